"""Diagonal classifiers that choose their scale and their training loss."""

import warnings
from numbers import Integral

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.validation import validate_data

from skregimes._arrays import as_array
from skregimes._classification import (
    log_probabilities,
    plain_labels,
    probabilities,
    temperature,
)
from skregimes._sklearn import check_sample_weight, fit_context
from skregimes._watch import SearchWatcher
from skregimes.diagonal_classifier import (
    DiagonalNetClassifier,
    DiagonalNetClassifierFit,
)
from skregimes.flows.classifier import follow
from skregimes.flows.trajectory import through
from skregimes.model_selection._grids import (
    check_grid,
    check_levels,
    default_levels,
    default_scales,
)
from skregimes.model_selection._scorer import takes_weights
from skregimes.model_selection.path import check_flow

__all__ = ["DiagonalNetClassifierCV"]

_FLOATS = [np.float64, np.float32]
# Scores that differ by less are the same, up to rounding.
_ROUNDING = 1e-12


class DiagonalNetClassifierCV(DiagonalNetClassifierFit):
    """Diagonal classifier whose scale and training loss are chosen by data.

    The scale of the initialisation and the training loss at which the flow stops decide
    together which separator is found. One flow a scale and fold passes all levels of
    the loss on its way, so that the search costs as much as the scales alone.

    Parameters
    ----------
    init_scales : array-like of shape (n_scales,), default=None
        Scales to try, in ``units``; None is five from ridge-like (30) to sparse (1e-3).
        With ``units="paper"`` they must be given.

    log_loss_tols : array-like of shape (n_levels,), default=None
        Natural logarithms of the training loss at which to stop, below that of equal
        probabilities. None is 25 of them, below that of the best constant probabilities
        by 0.02 to 100, log-spaced: from hardly any training to far beyond an error.

    cv : int, cross-validation generator or iterable, default=5
        Folds, see `sklearn.model_selection.check_cv`: of a number stratified ones. For
        folds that need groups pass their splits,
        ``list(GroupKFold().split(X, y, groups))``.

    scoring : str or callable, default="neg_log_loss"
        Score to maximise over the folds; None is the default. A callable may use
        ``predict``, ``predict_proba``, ``predict_log_proba``, ``decision_function`` and
        ``classes_`` alone.

    depth : int, default=2
        Number of layers.

    units : {"relative", "paper"}, default="relative"
        Units of scales, see `DiagonalNetClassifier`. In each fold, relative units are
        those of the fold's training part, as they would be in `GridSearchCV`.

    init_shape : array-like of shape (n_features,), default=None
        Shape of the initial weights, see `DiagonalNetClassifier`.

    standardize : bool, default=None
        Whether features are divided by their standard deviation; None means yes for
        ``units="relative"``.

    loss : {"logistic", "exponential"}, default="logistic"
        Loss of the margins, see `DiagonalNetClassifier`.

    fit_intercept : bool, default=True
        Whether there are intercepts.

    class_weight : dict or "balanced", default=None
        Weights of the classes, which multiply those of the samples in training.

    solver : {"auto", "dual_mirror"}, default="auto"
        See `DiagonalNetClassifier`.

    tol : float, default=1e-9
        When flows are at rest, see `DiagonalNetClassifier`.

    rtol : float, default=1e-3
        Relative error of the coefficients allowed in a step of the chosen flow; those
        that are only compared may err ten times as much.

    max_iter : int, default=10_000
        Bound on the steps of a flow.

    n_jobs : int, default=None
        Folds followed in parallel, see `joblib.Parallel`.

    verbose : int or bool, default=0
        Print a line for each fold, and for each decade of time of the chosen flow.

    Attributes
    ----------
    init_scale_, log_loss_tol_ : float
        The chosen pair. Of pairs with equal scores it is the one of largest scale, and
        of these the one that stops first. Where classes overlap the flow may come to
        rest before it reaches ``log_loss_tol_``; then it ends there, at ``log_loss_``.
    init_scales_ : ndarray of shape (n_scales,)
        Scales tried, decreasing.
    log_loss_tols_ : ndarray of shape (n_levels,)
        Levels tried, decreasing.
    scores_ : ndarray of shape (n_scales, n_levels, n_folds)
        Scores on the folds.
    cv_results_ : dict of ndarrays
        As `GridSearchCV` has it, a row for each scale and level.
    best_score_, best_index_ : float, int
        Mean score of the chosen pair, and its row.
    coef_, intercept_, ... : ndarray
        All the fitted attributes of `DiagonalNetClassifier`, for the chosen pair.

    See Also
    --------
    DiagonalNetClassifier : At a scale and a loss of your own.
    InitScaleSearchCV : Chooses the scale and the time of any estimator with a flow.

    Notes
    -----
    Folds are aligned by their training loss; by time, pairs were chosen that did
    somewhat worse on new samples of six tables. A fold whose classes overlap comes to
    rest at its least loss: the end answers for all levels below. Predictions have the
    temperature of their fold's training part. Samples of a class that is not in the
    training part of a fold are left out of the score there, with a warning. Levels are
    interpolated between the steps of a flow, to a few ten-thousandths of the log loss
    on the test parts. Callbacks watch the flow of the chosen pair.

    References
    ----------
    Moroshko, Gunasekar, Woodworth, Lee, Srebro, Soudry, "Implicit Bias in Deep Linear
    Classification: Initialization Scale vs Training Accuracy", NeurIPS 2020.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from skregimes import DiagonalNetClassifierCV
    >>> X, y = make_classification(
    ...     60, 30, n_informative=3, n_redundant=0, class_sep=2.0, random_state=0
    ... )
    >>> model = DiagonalNetClassifierCV([10, 0.01], cv=3).fit(X, y)
    >>> print(model.init_scale_, model.scores_.shape)
    0.01 (2, 25, 3)
    """

    _parameter_constraints: dict = {
        name: DiagonalNetClassifier._parameter_constraints[name]
        for name in (
            "depth", "units", "init_shape", "standardize", "loss", "fit_intercept",
            "class_weight", "solver", "tol", "rtol", "max_iter", "verbose",
        )
    } | {
        "init_scales": [None, "array-like"],
        "log_loss_tols": [None, "array-like"],
        "cv": ["cv_object"],
        "scoring": [None, str, callable],
        "n_jobs": [None, Integral],
    }  # fmt: skip

    def __init__(
        self,
        init_scales=None,
        *,
        log_loss_tols=None,
        cv=5,
        scoring="neg_log_loss",
        depth=2,
        units="relative",
        init_shape=None,
        standardize=None,
        loss="logistic",
        fit_intercept=True,
        class_weight=None,
        solver="auto",
        tol=1e-9,
        rtol=1e-3,
        max_iter=10_000,
        n_jobs=None,
        verbose=0,
    ):
        self.init_scales = init_scales
        self.log_loss_tols = log_loss_tols
        self.cv = cv
        self.scoring = scoring
        self.depth = depth
        self.units = units
        self.init_shape = init_shape
        self.standardize = standardize
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.rtol = rtol
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Choose the scale and the training loss, then fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of any type, at least two different ones.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, in training and in scores.

        Returns
        -------
        self : DiagonalNetClassifierCV

        Raises
        ------
        ValueError
            If the data or the combination of parameters make no sense.
        RuntimeError
            If a flow that is compared breaks off.
        """
        X, y = validate_data(self, as_array(X), as_array(y), dtype=_FLOATS)
        y = plain_labels(y)
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        self._forget()
        scales = self._scales()
        levels = self._levels(X, y, weight, float(scales[0]))
        watcher = SearchWatcher(self, X, y, sample_weight)
        scores = self._search(X, y, weight, scales, levels, watcher)
        self.init_scales_, self.log_loss_tols_, self.scores_ = scales, levels, scores
        self._choose()
        model = self._settings(
            init_scale=self.init_scale_, log_loss_tol=self.log_loss_tol_
        )
        watcher.say(f"fit of the best init_scale, {self.init_scale_:g}")
        with warnings.catch_warnings():
            # That a default level is out of reach is nothing that the user asked for.
            warnings.filterwarnings("ignore", "The flow came to rest", UserWarning)
            watcher.fit(model, X, y, sample_weight)
        own = {*DiagonalNetClassifier._get_param_names(), "_skl_callbacks"}
        self.__dict__.update({k: v for k, v in vars(model).items() if k not in own})
        return self

    def _settings(self, **params):
        """Return the estimator of which this one chooses two parameters."""
        shared = set(DiagonalNetClassifier._get_param_names())
        own = {k: v for k, v in self.get_params(deep=False).items() if k in shared}
        return DiagonalNetClassifier(**(own | params), early_stopping=False)

    def _scales(self):
        if self.init_scales is None:
            return default_scales(self.units)
        return check_grid(self.init_scales, "init_scales")[::-1]

    def _levels(self, X, y, weight, scale):
        settings = self._settings(init_scale=scale)
        data, classes = settings._prepare(X, y, weight)
        if self.log_loss_tols is not None:
            wrong = len(classes) - 1
            equal = np.log(wrong if self.loss == "exponential" else np.log1p(wrong))
            return check_levels(self.log_loss_tols, "log_loss_tols", equal)
        return default_levels(settings._start(data).problem().start().loss.log_loss)

    def _search(self, X, y, weight, scales, levels, watcher):
        """Return the scores, (n_scales, n_levels, n_folds)."""
        splits = list(check_cv(self.cv, y, classifier=True).split(X, y))
        splits = _checked_splits(splits, y, weight)
        scorer, weighted = None, np.ptp(weight) > 0
        if self.scoring not in (None, "neg_log_loss"):
            scorer = check_scoring(_Answers(), scoring=self.scoring)
            if weighted and not takes_weights(scorer):
                weighted = False
                warnings.warn(
                    f"The scorer {scorer} takes no sample_weight: all samples of the "
                    "test parts count the same.",
                    UserWarning,
                    stacklevel=4,
                )
        watcher.begin(len(splits))
        folds = watcher.each(Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(_fold)(
                self._settings(), X, y, weight, train, test, scales, levels, scorer,
                weighted,
            )
            for train, test in splits
        ))  # fmt: skip
        return np.stack(folds, axis=-1)

    def _choose(self):
        """Set the best pair, and what `GridSearchCV` would know of the search."""
        scores = self.scores_.reshape(-1, self.scores_.shape[-1])
        mean = scores.mean(axis=1)
        lost = np.isnan(mean)
        if lost.all():
            raise ValueError(
                "All scores are nan; a fold may have too few samples for this "
                "scoring. Use fewer folds, or scoring=None."
            )
        if lost.any():
            warnings.warn("Some scores are nan: they lose.", UserWarning, stacklevel=4)
            mean = np.where(lost, -np.inf, mean)
        most = mean.max()
        best = int(np.argmax(mean >= most - _ROUNDING * max(1.0, abs(most))))
        params = [
            {"init_scale": float(scale), "log_loss_tol": float(level)}
            for scale in self.init_scales_
            for level in self.log_loss_tols_
        ]
        self.cv_results_ = {
            "params": params,
            **{f"param_{k}": np.array([row[k] for row in params]) for k in params[0]},
            **{f"split{k}_test_score": column for k, column in enumerate(scores.T)},
            "mean_test_score": scores.mean(axis=1),
            "std_test_score": scores.std(axis=1),
            "rank_test_score": rankdata(-mean, method="min").astype(int),
        }
        self.best_index_, self.best_score_ = best, float(mean[best])
        for name, value in params[best].items():
            setattr(self, f"{name}_", value)


class _Answers(ClassifierMixin, BaseEstimator):
    """Log odds already known, dressed as an estimator for a scorer."""

    def __init__(self, classes=None, log_odds=None):
        self.classes = classes
        self.log_odds = log_odds

    @property
    def classes_(self):
        return self.classes

    def fit(self, X, y):
        return self

    def decision_function(self, X):
        return self.log_odds

    def predict_proba(self, X):
        return probabilities(self.log_odds)

    def predict_log_proba(self, X):
        return log_probabilities(self.log_odds)

    def predict(self, X):
        return self.classes[np.argmax(self.predict_log_proba(X), axis=1)]


def _checked_splits(splits, y, weight):
    """Return splits, their test parts without samples that cannot be scored.

    These are samples of no weight, and of classes that are not in the training part.
    """
    if not splits:
        raise ValueError("cv has no folds.")
    classes, codes = np.unique(y, return_inverse=True)
    numbers, checked, missing = np.arange(len(y)), [], set()
    for k, split in enumerate(splits):
        train, test = (
            part[weight[part] > 0] for part in map(numbers.__getitem__, split)
        )
        known = np.unique(codes[train])
        scored = np.isin(codes[test], known)
        missing |= {*codes[test][~scored]}
        if len(known) < 2 or not scored.any():
            raise ValueError(
                f"Fold {k} has {len(known)} classes with a weight in its training part "
                f"and {np.count_nonzero(scored)} samples of them in its test part, but "
                "needs two and one. Use fewer folds, or stratified ones."
            )
        checked.append((train, test[scored]))
    if missing:
        warnings.warn(
            f"The classes {classes[sorted(missing)].tolist()} are missing in training "
            "parts of folds; there their samples are left out of the score. Use fewer "
            "folds, or stratified ones, if the classes have more than one sample.",
            UserWarning,
            stacklevel=5,
        )
    return checked


def _fold(settings, X, y, weight, train, test, scales, levels, scorer, weighted):
    """Return scores on the test part of a fold, (n_scales, n_levels)."""
    data, classes = settings._prepare(X[train], y[train], weight[train])
    X, y, weight = X[test], y[test], weight[test]
    options = {"sample_weight": weight} if weighted else {}
    right = np.arange(len(y)), np.searchsorted(classes, y)
    share = weight / weight.max()
    share /= share.sum()
    scores = np.empty((len(scales), len(levels)))
    for i, scale in enumerate(scales):
        settings.set_params(init_scale=float(scale))
        for j, log_odds in enumerate(_stages(settings, data, X, levels)):
            if scorer is None:
                scores[i, j] = share @ log_probabilities(log_odds)[right]
            else:
                scores[i, j] = scorer(_Answers(classes, log_odds), X, y, **options)
    return scores


def _stages(settings, data, X, levels):
    """Yield calibrated log odds of X where the training loss is at the levels."""
    last = levels[-1]
    path, _ = follow(
        settings._start(data).problem(),
        settings.solver,
        log_loss_tol=2 * last - 1,  # beyond: steps need not land on the last level
        on_node=lambda node: node.loss.log_loss <= last,
        **settings._accuracy(rough=True),
    )
    check_flow(path)
    start = path.nodes[0].fall
    clock = np.log1p([node.fall - start for node in path.nodes])
    states = [np.column_stack([node.coef, node.intercept]) for node in path.nodes]
    found = through(
        clock,
        np.array([state.ravel() for state in states]),
        np.log1p(np.maximum(-levels - start, 0.0)),
    )
    X = (X - data.table.x_mean) / data.table.x_scale
    for state in found.reshape(len(levels), *states[0].shape):
        coef, intercept = state[:, :-1], state[:, -1]
        trained = settings._scaled(data.X, coef, intercept, 1.0)
        scale = temperature(trained, data.codes, data.weight)
        yield settings._scaled(X, coef, intercept, scale)
