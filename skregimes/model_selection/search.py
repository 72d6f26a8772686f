"""A search over scales and times for any estimator that follows a flow."""

import time
import warnings
from copy import deepcopy
from numbers import Integral, Real

import numpy as np
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import GridSearchCV
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skregimes._arrays import as_array
from skregimes._sklearn import Interval, StrOptions, fit_context
from skregimes.model_selection._grids import check_grid, default_times, scales_of
from skregimes.model_selection._scorer import StagedScorer, positional, score_key
from skregimes.model_selection._staged import (
    flow_params,
    flow_step,
    max_time,
    staged,
)

__all__ = ["InitScaleSearchCV"]


def _refitted_has(name):
    """Whether the estimator, fitted or not, has a method to be delegated to."""

    def check(self):
        if not self.refit:
            raise AttributeError(
                f"{name} is available only with refit; this InitScaleSearchCV has "
                "refit=False. Fit an estimator with best_params_ yourself."
            )
        getattr(vars(self).get("best_estimator_", self.estimator), name)
        return True

    return check


def _can_be_staged(self):
    """Whether there is, or will be, a best estimator to ask along its flow."""
    flow_step(self.estimator)
    return bool(self.refit)


class InitScaleSearchCV(CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
    """Cross-validated choice of the initial scale and the stopping time.

    What `GridSearchCV` over ``init_scale`` and ``max_time`` finds, for the price of the
    scales alone: one flow a scale and fold is followed to the last time, and its
    predictions on the way answer for all the others.

    Parameters
    ----------
    estimator : estimator
        Any estimator with the parameters ``init_scale``, ``max_time`` and
        ``early_stopping`` and the method ``staged_predict``, or a
        `sklearn.pipeline.Pipeline` whose last step is one. The search sets the first
        two and ``early_stopping=False``.

    init_scales : array-like of shape (n_scales,), default=None
        Scales to try, in the estimator's ``units``; None is five from 30 to 1e-3, or
        from 0.01 to 1e-6 of a matrix estimator. With ``units="paper"`` they must be
        given.

    times : array-like of shape (n_times,), default=None
        Stopping times to try, in the estimator's ``units``; inf is the end of the flow,
        ``max_time=None``. None is ``n_times`` of them, log-spaced from 0.1 to 1e5. With
        ``units="paper"`` they must be given.

    n_times : int, default=30
        Number of stopping times, at least 2, if ``times`` is None.

    cv : int, cross-validation generator or iterable, default=None
        Folds, see `sklearn.model_selection.check_cv`; None is 5-fold, not shuffled, as
        in `GridSearchCV`: for curves that come sorted pass ``KFold(5, shuffle=True)``.

    scoring : str, callable, list, tuple or dict, default=None
        Scores, as in `GridSearchCV`; None is the estimator's own ``score``. Scorers are
        handed the predictions at a time: they may use ``predict``, ``score`` and, where
        the estimator has their staged forms, ``predict_proba`` and
        ``decision_function``, but no other fitted attribute than ``classes_`` and
        ``richness_``.

    n_jobs : int, default=None
        Flows followed in parallel, see `joblib.Parallel`.

    refit : bool, str or callable, default=True
        Whether to fit the best pair on all the data; of several scores the name of that
        which decides; or a function that takes ``cv_results_`` and returns
        ``best_index_``.

    error_score : "raise" or float, default=nan
        Score of flows and scores that fail, with a warning; "raise" raises.

    return_train_score : bool, default=False
        Whether ``cv_results_`` has scores on the training parts, too.

    verbose : int, default=0
        As in `GridSearchCV`: messages on every flow from 2 on, with scores from 3 on.

    pre_dispatch : int or str, default="2*n_jobs"
        Flows handed to the workers at a time, see `joblib.Parallel`.

    Attributes
    ----------
    best_estimator_ : estimator
        Fitted on all the data; its other fitted attributes, such as ``richness_``, can
        be read here as well.
    best_params_ : dict
        ``init_scale`` and ``max_time`` of the best pair, None for inf; of a pipeline
        with the prefix of its last step.
    best_score_ : float
        Mean score of the best pair on the test parts.
    best_index_ : int
        Its row in ``cv_results_``.
    cv_results_ : dict of ndarrays
        As `GridSearchCV` has it, a row for each scale and time; ``params`` is a list.
        Fit and score times are those of the flow of the scale, which all its rows
        share.
    init_scales_ : ndarray of shape (n_scales,)
        Scales tried, decreasing.
    times_ : ndarray of shape (n_times,)
        Times tried, increasing.
    scorer_ : callable or dict
        What scored.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds that the fit on all the data took.
    multimetric_ : bool
        Whether there are several scores.
    n_features_in_, feature_names_in_, classes_
        As the best estimator has them.

    See Also
    --------
    DiagonalNetRegressorCV : Follows the scales of diagonal networks side by side, in
        half the time or less, and can do without folds.
    init_scale_path : Fits for all scales and times.

    Notes
    -----
    Rows agree with `GridSearchCV` to the accuracy of the estimator's trajectory between
    its recorded points. A flow that ended before a time answers with its last state.

    Ctrl-C while the folds are followed leaves the search as it was; during the last fit
    it leaves ``cv_results_`` and ``best_params_``.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skregimes import DiagonalNetRegressor, InitScaleSearchCV
    >>> X, y = make_regression(60, 100, n_informative=4, noise=5.0, random_state=0)
    >>> net = DiagonalNetRegressor(depth=3)
    >>> search = InitScaleSearchCV(net, init_scales=[10, 0.01]).fit(X, y)
    >>> print(search.best_params_["init_scale"], search.regime_)
    0.01 rich
    >>> print(len(search.cv_results_["params"]), round(search.best_score_, 2))
    60 1.0
    """

    _parameter_constraints: dict = {
        "init_scales": [None, "array-like"],
        "times": [None, "array-like"],
        "n_times": [Interval(Integral, 2, None, closed="left")],
        "cv": ["cv_object"],
        "scoring": [
            None, callable, list, tuple, dict, StrOptions({*get_scorer_names()})
        ],
        "n_jobs": [None, Integral],
        "refit": ["boolean", str, callable],
        "error_score": [StrOptions({"raise"}), Real],
        "return_train_score": ["boolean"],
        "verbose": ["verbose"],
        "pre_dispatch": [Integral, str],
    }  # fmt: skip

    def __init__(
        self,
        estimator,
        *,
        init_scales=None,
        times=None,
        n_times=30,
        cv=None,
        scoring=None,
        n_jobs=None,
        refit=True,
        error_score=np.nan,
        return_train_score=False,
        verbose=0,
        pre_dispatch="2*n_jobs",
    ):
        self.estimator = estimator
        self.init_scales = init_scales
        self.times = times
        self.n_times = n_times
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.verbose = verbose
        self.pre_dispatch = pre_dispatch

    # -- searching -----------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Score all scales and times, then fit the best pair.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target.
        **params : dict
            Such as ``sample_weight`` and ``groups``, handed on as `GridSearchCV` does:
            by metadata routing if that is enabled; else ``groups`` to the splitter, the
            others to the estimator, and ``sample_weight`` to the scorers that take it.

        Returns
        -------
        self : InitScaleSearchCV

        Raises
        ------
        TypeError
            If the estimator does not follow a flow.
        ValueError
            If the parameters make no sense, or all fits fail.
        """
        prefix, step = flow_step(self.estimator)
        scales, times = self._grids(step)
        scorer = self._staged_scorer(times)
        if self._names_its_scores():
            self._check_refit(scorer.scorers)
        if get_config()["enable_metadata_routing"]:
            fit_params = process_routing(self, "fit", **params).estimator.fit
        else:
            fit_params = {k: v for k, v in params.items() if k != "groups"}
            if params.get("sample_weight") is not None:
                scorer.warn_of_unweighted()
        if y is None and get_tags(step).target_tags.required:
            raise ValueError(
                f"{type(self).__name__} of {type(step).__name__} requires y to be "
                "passed, but the target y is None."
            )
        X, y = as_array(X), as_array(y)
        shown = {"estimator": self, "X": X, "y": y}
        if params.get("sample_weight") is not None:
            shown["metadata"] = {"sample_weight": params["sample_weight"]}
        context = self._init_callback_context(
            max_subtasks=1 + (self.refit is not False)
        )
        context.call_on_fit_task_begin(**shown)
        task = context.subcontext(task_name="folds")
        found = self._follow(prefix, scales, times, scorer, X, y, params, task)
        rows = [
            {**row, f"{prefix}max_time": max_time(t)}
            for row in found.cv_results_["params"]
            for t in times
        ]
        results, metrics = _tabulate(found.cv_results_, rows, times, found.n_splits_)
        self._forget()
        self.init_scales_, self.times_ = scales, times
        self.n_splits_ = found.n_splits_
        self.cv_results_ = results
        named = self._names_its_scores()
        self.scorer_ = scorer.scorers if named else scorer.scorers["score"]
        self.multimetric_ = named or metrics != ["score"]
        self._choose(metrics)
        if self.refit:
            best = clone(self.estimator).set_params(
                **self.best_params_, **{f"{prefix}early_stopping": False}
            )
            task = context.subcontext(task_name="refit")
            with task.propagate_callback_context(best):
                task.call_on_fit_task_begin(**shown)
                start = time.perf_counter()
                best.fit(*positional(X, y), **fit_params)
                self.refit_time_ = time.perf_counter() - start
            task.call_on_fit_task_end(**shown)
            self.best_estimator_ = best
        context.call_on_fit_task_end(**shown)
        return self

    def _follow(self, prefix, scales, times, scorer, X, y, params, task):
        """Return a search over the scales alone, its scores those of all times."""
        search = GridSearchCV(
            clone(self.estimator).set_params(
                **flow_params(prefix, self.estimator, times)
            ),
            {f"{prefix}init_scale": scales.tolist()},
            scoring=scorer,
            refit=False,
            cv=self.cv,
            n_jobs=self.n_jobs,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
            verbose=self.verbose,
            pre_dispatch=self.pre_dispatch,
        )
        with warnings.catch_warnings():
            # It would say so for every time; `_tabulate` says it once.
            warnings.filterwarnings("ignore", "One or more of the .* are non-finite")
            with task.propagate_callback_context(search):
                task.call_on_fit_task_begin(estimator=self, X=X, y=y)
                search.fit(X, y, **params)
            task.call_on_fit_task_end(estimator=self, X=X, y=y)
        return search

    def _grids(self, step):
        """Return the scales, decreasing, and the times, increasing."""
        if self.init_scales is None:
            scales = scales_of(step)
        else:
            scales = check_grid(self.init_scales, "init_scales")[::-1]
        if self.times is None:
            units = getattr(step, "units", "relative")
            return scales, default_times(units, self.n_times)
        return scales, check_grid(self.times, "times", allow_inf=True)

    def _names_its_scores(self):
        """Whether there is a score for each name; a callable may yet return some."""
        return isinstance(self.scoring, list | tuple | dict)

    def _staged_scorer(self, times=()):
        """Return what scores a fitted flow at all times."""
        scoring = self.scoring
        if not self._names_its_scores():
            scoring = {"score": scoring}
        else:
            check_scoring(self.estimator, scoring)  # for its error messages
        if not isinstance(scoring, dict):
            scoring = {name: name for name in scoring}
        scorers = {
            name: check_scoring(self.estimator, score)
            for name, score in scoring.items()
        }
        return StagedScorer(scorers, times, self.error_score)

    def _check_refit(self, metrics):
        """Refuse several scores of which none decides."""
        free = self.refit is False or callable(self.refit)
        if not free and self.refit not in metrics:
            raise ValueError(
                "Of several scores, refit must name the one that decides, one of "
                f"{[*metrics]}, or be a function or False; got {self.refit!r}."
            )

    def _choose(self, metrics):
        """Set the best row."""
        metric = "score"
        if self.multimetric_:
            self._check_refit(metrics)
            if not self.refit:
                return
            metric = self.refit
        if callable(self.refit):
            best = self.refit(self.cv_results_)
            if not isinstance(best, Integral):
                raise TypeError(f"refit must return an integer, got {best!r}.")
            if best not in range(len(self.cv_results_["params"])):
                raise IndexError(f"refit returned {best}, which is not a row.")
        else:
            best = self.cv_results_[f"rank_test_{metric}"].argmin()
            self.best_score_ = self.cv_results_[f"mean_test_{metric}"][best]
        self.best_index_ = best
        self.best_params_ = self.cv_results_["params"][best]

    def _forget(self):
        """Delete what an earlier fit knew."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    # -- what the best estimator answers -------------------------------------------

    def __getattr__(self, name):
        # Fitted attributes only; others fail again, as they did. `vars` does not ask
        # for attributes in turn.
        best = vars(self).get("best_estimator_")
        if best is None or name.startswith("_") or not name.endswith("_"):
            return object.__getattribute__(self, name)
        return getattr(best, name)

    def score(self, X, y=None, **params):
        """Score the best estimator with the score that chose it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target.
        **params : dict
            Metadata for the scorer, with metadata routing enabled.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If there are several scores of which none decided, or metadata without
            metadata routing.
        """
        check_is_fitted(self, "best_estimator_")
        if self.multimetric_ and callable(self.refit):
            raise ValueError("Of several scores, score needs refit to name one.")
        if params:
            if not get_config()["enable_metadata_routing"]:
                raise ValueError(
                    f"{[*params]} can be handed to score only with "
                    "sklearn.set_config(enable_metadata_routing=True)."
                )
            params = process_routing(self, "score", **params).scorer.score
        scorers, name = {"score": self.scorer_}, "score"
        if isinstance(self.scorer_, dict):
            scorers, name = self.scorer_, self.refit
        routed = StagedScorer(scorers, (), self.error_score).route(params)[name]
        score = scorers[name](self.best_estimator_, *positional(X, y), **routed)
        return score[self.refit] if isinstance(score, dict) else score

    @available_if(_refitted_has("predict"))
    def predict(self, X):
        """Predict with the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict(X)

    @available_if(_refitted_has("predict_proba"))
    def predict_proba(self, X):
        """Predict probabilities of the classes with the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict_proba(X)

    @available_if(_refitted_has("decision_function"))
    def decision_function(self, X):
        """Evaluate the decision function of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.decision_function(X)

    @available_if(_can_be_staged)
    def staged_predict(self, X, times=None):
        """Predict along the recorded trajectory of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        times : array-like of shape (n_times,), default=None
            Times in the estimator's units, up to the chosen one; None is those that
            it recorded.

        Yields
        ------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions at one time.
        """
        check_is_fitted(self, "best_estimator_")
        yield from staged(self.best_estimator_, "predict", X, times)

    @available_if(_refitted_has("tangent_kernel"))
    def tangent_kernel(self, X, Y=None, *, at="end"):
        """Return the tangent kernel of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
            Features.
        Y : array-like of shape (n_samples_Y, n_features), default=None
            Features; None is ``X``.
        at : {"init", "end"}, default="end"
            When: at the initialisation, or where the flow stopped.

        Returns
        -------
        ndarray of shape (n_samples_X, n_samples_Y) or (n_targets, ...)
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.tangent_kernel(X, Y, at=at)

    # -- what scikit-learn asks ----------------------------------------------------

    def get_metadata_routing(self):
        """Say which metadata go to the estimator, the scorers and the splitter.

        Returns
        -------
        MetadataRouter
        """
        return (
            MetadataRouter(owner=self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(
                scorer=self._staged_scorer(),
                method_mapping=MethodMapping()
                .add(caller="fit", callee="score")
                .add(caller="score", callee="score"),
            )
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.target_tags = deepcopy(inner.target_tags)
        tags.classifier_tags = deepcopy(inner.classifier_tags)
        tags.regressor_tags = deepcopy(inner.regressor_tags)
        tags.input_tags = deepcopy(inner.input_tags)
        return tags


def _tabulate(search, params, times, n_splits):
    """Return ``cv_results_`` with a row for each scale and time, and the scores' names.

    ``search`` are the results over the scales alone, scored by `StagedScorer`.
    """
    results = {
        f"{kind}_{name}_time": np.repeat(search[f"{kind}_{name}_time"], len(times))
        for name in ("fit", "score")
        for kind in ("mean", "std")
    }
    for name in params[0]:
        values = np.array([row[name] for row in params])
        results[f"param_{name}"] = np.ma.MaskedArray(values, mask=[False] * len(values))
    results["params"] = params
    first = score_key("", times[0])
    found = [
        name.removeprefix("split0_").removesuffix(first).partition("_")
        for name in search
        if name.startswith("split0_") and name.endswith(first)
    ]
    for part, _, metric in found:
        name = f"{part}_{metric}"
        keys = [score_key(name, when) for when in times]
        scores = np.array(
            [[search[f"split{k}_{key}"] for key in keys] for k in range(n_splits)]
        )
        scores = np.swapaxes(scores, 1, 2).reshape(n_splits, -1)
        results |= {f"split{k}_{name}": row for k, row in enumerate(scores)}
        mean, std = _moments(scores, part)
        results |= {f"mean_{name}": mean, f"std_{name}": std}
        if part == "test":
            results[f"rank_{name}"] = _rank(mean)
    return results, [metric for part, _, metric in found if part == "test"]


def _moments(scores, part):
    """Mean and deviation over the folds; what is not finite is said."""
    with np.errstate(invalid="ignore"):
        mean, std = scores.mean(axis=0), scores.std(axis=0)
    lost = np.count_nonzero(~np.isfinite(mean))
    if lost:
        warnings.warn(
            f"{lost} of the {len(mean)} {part} scores are non-finite.",
            UserWarning,
            stacklevel=5,
        )
    return mean, std


def _rank(mean):
    """Rank mean scores from 1; those that are nan share the last place."""
    if np.all(np.isnan(mean)):
        return np.ones(len(mean), dtype=np.int32)
    known = np.where(np.isnan(mean), np.nanmin(mean) - 1, mean)
    return rankdata(-known, method="min").astype(np.int32)
