"""Diagonal networks that choose their scale and time."""

import warnings
from numbers import Integral

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.validation import validate_data

from skregimes._arrays import as_array
from skregimes._base import effective_samples
from skregimes._sklearn import Interval, StrOptions, check_sample_weight, fit_context
from skregimes._watch import Course, SearchWatcher, log
from skregimes.diagonal import DiagonalNetFit, DiagonalNetRegressor
from skregimes.flows.diagonal import follow_scales
from skregimes.flows.stopping import GCV
from skregimes.flows.trajectory import interpolate
from skregimes.model_selection._grids import (
    SCALES,
    TIMES,
    check_grid,
    default_scales,
    default_times,
)
from skregimes.model_selection.path import check_flow, diagonal_problems

__all__ = ["DiagonalNetRegressorCV"]

_FLOATS = [np.float64, np.float32]
# Generalised cross-validation does not choose the scale well at depth >= 3.
_DEEP_GCV_SCALES = (0.5,)
# Flows that are only compared end where this share of the loss is left to be learnt.
_PATH_TOL = 1e-8
# Parts into which the progress of flows side by side is divided.
_TICKS = 100


class DiagonalNetRegressorCV(DiagonalNetFit):
    """Diagonal network whose initial scale and stopping time are chosen by data.

    One flow a scale answers all times, and all scales are followed side by side, so
    that the search costs little more than a few fits.

    Parameters
    ----------
    init_scales : array-like of shape (n_scales,), default=None
        Scales to try, in ``units``; None is five from ridge-like (30) to sparse (1e-3),
        and for ``criterion="gcv"`` at depth >= 3, where it does not choose the
        scale well, 0.5 alone. With ``units="paper"`` they must be given.

    n_times : int, default=60
        Number of stopping times, at least 2, log-spaced from 0.1 to 1e5 relative units;
        only for ``criterion="cv"``. Generalised cross-validation looks at every step.

    times : array-like of shape (n_times,), default=None
        Stopping times to try instead, in ``units``.

    depth : int, default=2
        Number of layers.

    criterion : {"cv", "gcv"}, default="cv"
        "cv" is cross-validation; "gcv" needs no folds: generalised cross-validation
        with the exact degrees of freedom of each path, for depth 2 as good and several
        times faster.

    cv : int, cross-validation generator or iterable, default=None
        Folds, see `sklearn.model_selection.check_cv`; None is 5-fold, not shuffled: for
        tables that come sorted pass ``KFold(5, shuffle=True)``. For folds that
        need groups pass their splits, ``list(GroupKFold().split(X, y, groups))``.

    scoring : str or callable, default=None
        Score to maximise over the folds; None is the negative mean squared error. A
        callable may use ``predict`` alone. Only for ``criterion="cv"``.

    units : {"relative", "paper"}, default="relative"
        Units of scales and times, see `DiagonalNetRegressor`. In each fold, relative
        units are those of the fold's training part, as they would be in `GridSearchCV`.

    init_shape : array-like of shape (n_features,), default=None
        Shape of the initial weights, see `DiagonalNetRegressor`.

    standardize : bool, default=None
        Whether features are divided by their standard deviation; None means yes for
        ``units="relative"``.

    fit_intercept : bool, default=True
        Whether X and y are centred.

    tol : float, default=1e-10
        Where the chosen flow stops at the latest, see `DiagonalNetRegressor`.

    rtol : float, default=1e-3
        Relative error of the coefficients allowed in a step of the chosen flow.

    path_rtol : float, default=3e-2
        Like ``rtol``, for the flows that are only compared; the chosen one is followed
        again at ``rtol``.

    max_iter : int, default=100_000
        Bound on the steps of a flow.

    n_jobs : int, default=None
        Folds followed in parallel, see `joblib.Parallel`.

    verbose : int or bool, default=0
        Print a line for each fold, and for each decade of time of the chosen flow.

    Attributes
    ----------
    init_scale_, time_ : float
        The chosen scale, and the time at which its flow ended, in ``units``: the chosen
        one, or earlier if the flow reached ``tol``.
    init_scales_ : ndarray of shape (n_scales,)
        Scales tried, decreasing.
    times_ : ndarray of shape (n_times,)
        Times tried; only ``criterion="cv"``.
    mse_path_ : ndarray of shape (n_scales, n_times, n_folds)
        Mean squared errors on the folds, of several targets their mean; only
        ``criterion="cv"``.
    gcv_path_ : ndarray of shape (n_scales,)
        Best score of each scale; only ``criterion="gcv"``.
    cv_results_ : dict of ndarrays
        As `GridSearchCV` has it, a row for each scale and time (each scale, for "gcv").
    best_score_, best_index_ : float, int
        Score of the chosen pair, and its row.
    n_iter_ : int
        Steps of the flow that was chosen.
    coef_, intercept_, ... : ndarray
        All the fitted attributes of `DiagonalNetRegressor`, for the chosen pair.

    See Also
    --------
    DiagonalNetRegressor : At a scale and a time of your own.
    init_scale_path : Coefficients for all scales and times.

    Notes
    -----
    Folds are aligned by time in the data's unit, not by training loss, which is not
    comparable between folds. With several targets one pair serves all; for a pair each,
    use `sklearn.multioutput.MultiOutputRegressor`. Callbacks watch the flow of the
    chosen pair.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skregimes import DiagonalNetRegressorCV
    >>> X, y = make_regression(60, 200, n_informative=4, noise=5.0, random_state=0)
    >>> model = DiagonalNetRegressorCV(criterion="gcv").fit(X, y)
    >>> print(model.init_scale_ < 1e-2, round(model.score(X, y), 2))
    True 1.0
    """

    _parameter_constraints: dict = {
        name: DiagonalNetRegressor._parameter_constraints[name]
        for name in (
            "depth", "units", "init_shape", "standardize", "fit_intercept", "tol",
            "rtol", "max_iter", "verbose",
        )
    } | {
        "init_scales": [None, "array-like"],
        "n_times": [Interval(Integral, 2, None, closed="left")],
        "times": [None, "array-like"],
        "criterion": [StrOptions({"cv", "gcv"})],
        "cv": ["cv_object"],
        "scoring": [None, str, callable],
        "path_rtol": DiagonalNetRegressor._parameter_constraints["rtol"],
        "n_jobs": [None, Integral],
    }  # fmt: skip

    def __init__(
        self,
        *,
        init_scales=None,
        n_times=60,
        times=None,
        depth=2,
        criterion="cv",
        cv=None,
        scoring=None,
        units="relative",
        init_shape=None,
        standardize=None,
        fit_intercept=True,
        tol=1e-10,
        rtol=1e-3,
        path_rtol=3e-2,
        max_iter=100_000,
        n_jobs=None,
        verbose=0,
    ):
        self.init_scales = init_scales
        self.n_times = n_times
        self.times = times
        self.depth = depth
        self.criterion = criterion
        self.cv = cv
        self.scoring = scoring
        self.units = units
        self.init_shape = init_shape
        self.standardize = standardize
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.rtol = rtol
        self.path_rtol = path_rtol
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Choose the scale and the time, then fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the squared errors, in training and in scores.

        Returns
        -------
        self : DiagonalNetRegressorCV

        Raises
        ------
        ValueError
            If the data or the combination of parameters make no sense.
        """
        X, y = validate_data(
            self, as_array(X), as_array(y), dtype=_FLOATS, multi_output=True,
            y_numeric=True,
        )  # fmt: skip
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        self._forget()
        self._single = y.ndim == 1
        Y = y.reshape(len(y), -1)
        self.init_scales_ = self._scales()
        watcher = SearchWatcher(self, X, y, sample_weight)
        search = self._search_gcv if self.criterion == "gcv" else self._search_cv
        model = self._settings(**search(X, Y, weight, watcher))
        self.init_scale_ = model.init_scale
        watcher.say(f"fit of the best init_scale, {self.init_scale_:g}")
        watcher.fit(model, X, y, sample_weight)
        chosen = {
            name: v for name, v in vars(model).items() if name not in self._keep()
        }
        self.__dict__.update(chosen)
        return self

    def _keep(self):
        """Return names that the fit of the chosen pair must not bring along."""
        return {*DiagonalNetRegressor._get_param_names(), "_skl_callbacks"}

    def _settings(self, **params):
        """Return the estimator of which this one chooses two parameters."""
        shared = set(DiagonalNetRegressor._get_param_names())
        own = {k: v for k, v in self.get_params(deep=False).items() if k in shared}
        return DiagonalNetRegressor(**(own | params))

    def _scales(self):
        if self.init_scales is not None:
            return check_grid(self.init_scales, "init_scales")[::-1]
        deep_gcv = self.criterion == "gcv" and self.depth >= 3
        return default_scales(self.units, _DEEP_GCV_SCALES if deep_gcv else SCALES)

    def _times(self):
        if self.times is not None:
            return check_grid(self.times, "times")
        return default_times(self.units, self.n_times)

    # -- generalised cross-validation ----------------------------------------------

    def _search_gcv(self, X, Y, weight, watcher):
        for name in ("times", "scoring", "cv"):
            if getattr(self, name) is not None:
                warnings.warn(
                    f"criterion='gcv' makes no use of {name}.",
                    UserWarning,
                    stacklevel=4,
                )
        settings, size = self._settings(), _size(Y)
        table = settings._table(X, Y, weight)
        problems = diagonal_problems(settings, table, self.init_scales_)
        gcv = GCV(effective_samples(table.weight), self.fit_intercept)
        paths = follow_scales(
            problems,
            max_time=TIMES[1] * np.array([problem.unit for problem in problems]),
            tol=max(self.tol, _PATH_TOL),
            rtol=self.path_rtol,
            max_iter=self.max_iter,
            gcv=gcv,
            on_node=self._reporter_of_scales(problems, gcv, watcher),
        )
        scores, times = np.zeros(len(problems)), np.zeros((len(problems), Y.shape[1]))
        for i, row in enumerate(paths):
            for j, path in enumerate(row):
                check_flow(path)
                time, _, score = gcv.choose(
                    path.time, path.loss + problems[0].rows.rest[j], path.df
                )
                times[i, j] = time / problems[i].clock(settings.units)[j]
                scores[i] += score * (table.y_unit[j] / size) ** 2 / Y.shape[1]
        self.gcv_path_ = _square_units(scores, size)
        self._tabulate(
            [{"init_scale": float(a)} for a in self.init_scales_],
            -scores[:, None],
            -self.gcv_path_[:, None],
        )
        # The same search along the chosen path, at full accuracy, ends a little later.
        end = 4 * times[self.best_index_].max()
        return {
            "init_scale": float(self.init_scales_[self.best_index_]),
            "early_stopping": "gcv",
            "max_time": end if end > 0 else None,
        }

    def _reporter_of_scales(self, problems, gcv, watcher):
        """Return what the flows of all scales are to call at their steps, or None."""
        watcher.begin(_TICKS)
        if not hasattr(self, "_skl_callbacks"):
            return None
        units = np.concatenate([problem.unit for problem in problems])
        watches = [
            gcv.watch(rest, unit)
            for problem in problems
            for rest, unit in zip(problem.rows.rest, problem.unit, strict=True)
        ]
        courses = [Course(log(self.tol), relative=True) for _ in units]
        done = np.zeros(len(units))

        def on_node(k, time, loss, coef, df):
            watches[k](time, loss, df)
            end = log(min(watches[k].end / units[k], TIMES[1]))
            done[k] = max(done[k], courses[k](log(time / units[k]), end, log(loss)))
            watcher.advance(int(_TICKS * done.mean()))

        return on_node

    # -- cross-validation ----------------------------------------------------------

    def _search_cv(self, X, Y, weight, watcher):
        self.times_ = self._times()
        splits = list(check_cv(self.cv).split(X, Y))
        if not splits:
            raise ValueError("cv has no folds.")
        scorer = None
        if self.scoring is not None:
            scorer = check_scoring(_Predictions(), scoring=self.scoring)
        watcher.begin(len(splits))
        folds = watcher.each(Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(_fold)(
                self._settings(), X, Y, weight, train, test, self.init_scales_,
                self.times_, self.path_rtol, scorer,
            )
            for train, test in splits
        ))  # fmt: skip
        mse = np.stack([mse for mse, _ in folds], axis=-1)
        self.mse_path_ = _square_units(mse, _size(Y))
        scores, shown = -mse, -self.mse_path_
        if scorer is not None:
            scores = shown = np.stack([score for _, score in folds], axis=-1)
        params = [
            {"init_scale": float(scale), "max_time": float(time)}
            for scale in self.init_scales_
            for time in self.times_
        ]
        self._tabulate(
            params, scores.reshape(len(params), -1), shown.reshape(len(params), -1)
        )
        return {**params[self.best_index_], "early_stopping": False}

    def _tabulate(self, params, scores, shown):
        """Set what `GridSearchCV` would know of the search.

        ``scores`` decide, ``shown`` are the same in the units of y, where they may
        overflow.
        """
        mean = scores.mean(axis=1)
        if np.any(np.isnan(mean)):
            if np.all(np.isnan(mean)):
                raise ValueError(
                    "All scores are nan; a fold may have too few samples for this "
                    "scoring. Use fewer folds, or scoring=None."
                )
            warnings.warn("Some scores are nan: they lose.", UserWarning, stacklevel=5)
            mean = np.where(np.isnan(mean), -np.inf, mean)
        results = {"params": params}
        for name in params[0]:
            results[f"param_{name}"] = np.array([row[name] for row in params])
        for k, column in enumerate(shown.T):
            results[f"split{k}_test_score"] = column
        with np.errstate(over="ignore", invalid="ignore"):
            results["mean_test_score"] = shown.mean(axis=1)
            results["std_test_score"] = shown.std(axis=1)
        results["rank_test_score"] = rankdata(-mean, method="min").astype(int)
        self.cv_results_ = results
        self.best_index_ = int(np.argmax(mean))
        self.best_score_ = float(results["mean_test_score"][self.best_index_])


class _Predictions(RegressorMixin, BaseEstimator):
    """Predictions already made, dressed as an estimator for a scorer."""

    def __init__(self, values=None):
        self.values = values

    def fit(self, X, y):
        return self

    def predict(self, X):
        return self.values


def _size(Y):
    """Return the size of the targets: errors are compared in its units."""
    return np.max(np.abs(Y)) or 1.0


def _square_units(errors, size):
    """Return squared errors in the targets' units, inf where they overflow."""
    with np.errstate(over="ignore"):
        return (np.sqrt(errors) * size) ** 2


def _fold(settings, X, Y, weight, train, test, scales, times, rtol, scorer):
    """Mean squared errors for targets of size one, and scores, (n_scales, n_times)."""
    for part, name in ((train, "train"), (test, "test")):
        if not np.any(weight[part] > 0):
            raise ValueError(f"All samples of a fold's {name} part have weight zero.")
    table = settings._table(X[train], Y[train], weight[train])
    problems = diagonal_problems(settings, table, scales)
    raw = np.array([p.clock(settings.units)[:, None] * times for p in problems])
    probe = ((X[test] - table.x_mean) / table.x_scale).T
    paths = follow_scales(
        problems,
        max_time=raw[:, :, -1],
        tol=max(settings.tol, _PATH_TOL),
        rtol=rtol,
        max_iter=settings.max_iter,
        probe=probe,
    )
    share, size = weight[test] / weight[test].sum(), _size(Y)
    mse = np.zeros((len(scales), len(times)))
    scores = np.zeros_like(mse)
    for i, row in enumerate(paths):
        predicted = np.empty((len(times), *Y[test].shape))
        for j, path in enumerate(row):
            check_flow(path)
            values = interpolate(path.time, path.probe, raw[i, j])
            predicted[:, :, j] = table.y_mean[j] + table.y_unit[j] * values
        mse[i] = np.mean(((predicted - Y[test]) / size) ** 2, axis=2) @ share
        if scorer is not None:
            truth, options = Y[test], {}
            if Y.shape[1] == 1:
                truth, predicted = truth[:, 0], predicted[:, :, 0]
            if np.ptp(weight) > 0:
                options["sample_weight"] = weight[test]
            scores[i] = [
                scorer(_Predictions(values), X[test], truth, **options)
                for values in predicted
            ]
    return mse, scores
