"""Fits over scales and something else: what a map of the regimes shows."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from skregimes._folds import shuffled_folds
from skregimes._sklearn import num_samples
from skregimes.flows.trajectory import through
from skregimes.inspection._fitted import Innermost
from skregimes.inspection._scales import fit_each, of_target, richness_of, search
from skregimes.model_selection import InitScaleSearchCV, init_scale_path
from skregimes.model_selection._grids import check_grid
from skregimes.model_selection._staged import flow_params, flow_step

__all__ = ["Survey"]

# Relative times, falls of the log loss, and how many numbers of samples.
_TIMES = np.geomspace(0.01, 1e3, 41)
_FALLS = np.geomspace(0.01, 30.0, 41)
_N_SIZES = 6
# How much further than asked for a classifier's loss falls: it may start above 1.
_SPARE = 3.0


@dataclass(frozen=True)
class Survey:
    """What is fitted, and what is to be known of it.

    Parameters
    ----------
    estimator : estimator
        A network, or a pipeline that ends in one.
    prefix : str
        Of the parameters of the network.
    scales : ndarray of shape (n_scales,)
        Initial scales, increasing.
    X, y : array-like
        Data; y may be None.
    scored : bool
        Whether scores are wanted, besides the richness.
    cv, scoring : object
        As `GridSearchCV` takes them.
    target : int or None
        Which target's richness.
    n_jobs : int or None
        Fits in parallel.
    """

    estimator: BaseEstimator
    prefix: str
    scales: np.ndarray
    X: object
    y: object
    scored: bool
    cv: object
    scoring: object
    target: int | None
    n_jobs: int | None

    def over_times(self, times):
        """Return data of a map against the stopping time: one fit answers all."""
        if times is None:
            step = flow_step(self.estimator)[1]
            if getattr(step, "units", "relative") == "paper":
                raise ValueError("units='paper' needs values: no times fit all data.")
            times = _TIMES
        times = check_grid(times, "values")
        path = init_scale_path(
            self.X,
            self.y,
            estimator=self.estimator,
            init_scales=self.scales,
            times=times,
            n_jobs=self.n_jobs,
        )
        richness = path.richness[::-1]
        if richness.ndim > 2:
            richness = of_target(richness, self.target, 2)
        data = {"others": times, "richness": richness}
        if self.scored:
            found = InitScaleSearchCV(
                self.estimator,
                init_scales=self.scales,
                times=times,
                cv=shuffled_folds(self.cv, is_classifier(self.estimator)),
                scoring=self.scoring,
                n_jobs=self.n_jobs,
                refit=False,
                error_score="raise",
            ).fit(self.X, self.y)
            means = found.cv_results_["mean_test_score"]
            data["scores"] = means.reshape(len(self.scales), -1)[::-1]
        return data

    def over_losses(self, falls):
        """Return data of a map against the fall of the log loss: one fit a scale."""
        if self.scored:
            raise ValueError(
                "value='score' does not go with against='loss'. Use against='time', or "
                "RegimeMapDisplay.from_results(DiagonalNetClassifierCV().fit(X, y))."
            )
        falls = check_grid(_FALLS if falls is None else falls, "values")
        prefix, step = flow_step(self.estimator)
        params = flow_params(prefix, self.estimator, np.array([1.0, np.inf]))
        if "log_loss_tol" in step.get_params():
            params[f"{prefix}log_loss_tol"] = -float(falls[-1]) - _SPARE
        rows = fit_each(
            clone(self.estimator).set_params(**params),
            prefix,
            self.scales,
            self.X,
            self.y,
            _RichnessAtFalls(falls, self.target),
            self.n_jobs,
        )
        return {"others": falls, "richness": np.array(rows)}

    def over_sizes(self, sizes, random_state):
        """Return data of a map against the number of samples: nested parts."""
        n = num_samples(self.X)
        order = random_state.permutation(n)
        folds = self._folds()
        if folds is not None:
            folds = [(order[np.isin(order, train)], test) for train, test in folds]
            n = min(len(train) for train, _ in folds)
        if sizes is None:
            sizes = np.unique(np.geomspace(max(n / 20, 5), n, _N_SIZES).astype(int))
        sizes = check_grid(sizes, "values")
        if np.any(sizes != sizes.astype(int)) or sizes[-1] > n:
            raise ValueError(f"values must be whole numbers of samples, at most {n}.")
        sizes = sizes.astype(int)
        columns = []
        for size in sizes:
            if folds is None:
                splits = [(order[:size], order[:1])]
            else:
                splits = [(train[:size], test) for train, test in folds]
            columns.append(self._searched({}, splits))
        data = {"others": sizes}
        for name in columns[0]:
            data[name] = np.stack([column[name][:, 0] for column in columns], axis=1)
        return data

    def over_parameter(self, name, values):
        """Return data of a map against a parameter."""
        if name not in self.estimator.get_params():
            name = f"{self.prefix}{name}"
        if name not in self.estimator.get_params():
            raise ValueError(
                f"against={name!r} must be 'time', 'loss', 'n_samples' or a parameter "
                "of the estimator."
            )
        if values is None:
            raise ValueError(f"against={name!r} needs values.")
        every = np.arange(num_samples(self.X))
        splits = self._folds() or [(every, every[:1])]
        return {"others": list(values)} | self._searched({name: list(values)}, splits)

    def _folds(self):
        """Return splits if scores are wanted, else None."""
        if not self.scored:
            return None
        classifier = is_classifier(self.estimator)
        cv = check_cv(
            shuffled_folds(self.cv, classifier), self.y, classifier=classifier
        )
        return list(cv.split(self.X, self.y))

    def _searched(self, grid, splits):
        """Return richness, and scores if wanted, each (n_scales, n_others)."""
        scoring = {"richness": _Richness(self.target)}
        if self.scored:
            scoring["scores"] = check_scoring(self.estimator, self.scoring)
        # One grid a scale: the order within a grid is that of the names.
        grids = [
            {f"{self.prefix}init_scale": [scale], **grid}
            for scale in self.scales.tolist()
        ]
        found = search(
            self.estimator,
            grids,
            self.X,
            self.y,
            scoring,
            splits,
            self.n_jobs,
        )
        return {
            name: scores.mean(axis=1).reshape(len(self.scales), -1)
            for name, scores in found.scores.items()
        }


@dataclass(frozen=True)
class _Richness:
    """A scorer: the richness of a fitted estimator, whatever the samples."""

    target: int | None

    def __call__(self, fit, X, y=None):
        return richness_of(fit, self.target)


@dataclass(frozen=True)
class _RichnessAtFalls:
    """Measures the richness where the log loss has fallen so far, nan beyond."""

    falls: np.ndarray
    target: int | None

    def __call__(self, fit):
        path = Innermost.of(fit).step.trajectory_
        if isinstance(path, list):
            path = of_target(np.array(path, dtype=object), self.target)
        log_loss = path.log_loss if hasattr(path, "log_loss") else _log(path.loss)
        # A fit may end at a loss of zero, which is not on the clock.
        kept = np.isfinite(log_loss) & (log_loss < log_loss[0])
        clock = np.log(log_loss[0] - np.minimum.accumulate(log_loss[kept]))
        wanted = np.log(self.falls)
        if not len(clock):
            return np.full(len(wanted), np.nan)
        found = through(clock, path.richness[kept][:, None], wanted)[:, 0]
        return np.where(wanted > clock[-1], np.nan, found)


def _log(values):
    with np.errstate(divide="ignore"):
        return np.log(values)
