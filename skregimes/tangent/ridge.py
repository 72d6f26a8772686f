"""The lazy twin of a network: kernel ridge in its tangent kernel."""

import warnings
from copy import deepcopy
from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._folds import shuffled_folds
from skregimes._sklearn import Interval, StrOptions, fit_context, take
from skregimes.tangent._networks import (
    draws_its_start,
    free_columns,
    mean_kernel,
    start_values,
    target_of,
)
from skregimes.tangent._twin import Twin, apply_kernel

__all__ = ["TangentKernelRidge"]

_MOVED = ("richness_", "kernel_change_")
_NEEDED = ("tangent_kernel", "staged_predict")
# Penalties tried, in units of the mean eigenvalue of the training kernel.
_ALPHAS = np.logspace(-10, 3, 27)


class TangentKernelRidge(CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Kernel ridge in the tangent kernel of an estimator's network: its lazy twin.

    A network that moves its function but not its features, because it is wide or starts
    large, is the linear model of its weights around the start,

    .. math:: f(x) = f_0(x) + \sum_i K(x, x_i) c_i + p(x)^\top b,

    with its tangent kernel K and the columns p that the estimator keeps at their
    optimum, an intercept or a skip connection. With ``alpha=0`` this is, exactly, where
    gradient flow on the linearized network ends. What the network itself does better or
    worse is the effect of learning features: the two differ in nothing else.

    Parameters
    ----------
    estimator : estimator
        An unfitted estimator of this package with features and a target, such as
        `ShallowReLURegressor`, or any with the methods ``tangent_kernel`` and
        ``staged_predict`` and the parameter ``max_time``. It is cloned. Of a classifier
        the codes 1 and -1 of the classes are fitted, one against the rest.

    at : {"init", "end"}, default="init"
        Whose kernel: "init" is the network's at its initialisation, which is not
        trained; "end" is that of the network after its own fit to the same data, with
        the features that it learnt. The function starts from ``f_0`` either way.

    alpha : float or "cv", default=0.0
        Penalty on ``c @ K @ c``, as in `sklearn.kernel_ridge.KernelRidge`: added to the
        eigenvalues of K. Zero is the solution of least norm. "cv" takes the best of
        ``alphas`` by the squared error on ``cv`` folds; each fold has a network of its
        own, which sees nothing of the held-out samples, and one eigendecomposition for
        all penalties.

    n_seeds : int or inf, default=1
        Number of initialisations whose kernels and starts are averaged. With 1 the
        draw is that which the estimator would train. inf takes the mean over all of
        them, that is the kernel of the infinitely wide network and no ``f_0``, where
        it is known in closed form; it needs ``at="init"``. Where a uniform law of
        biases has no ``bias_scale`` of its own, inf takes twice the radius of the
        samples, so that there is room for new ones.

    alphas : array-like of shape (n_alphas,), default=None
        Penalties to try with ``alpha="cv"``. None is 27 of them, 1e-10 to 1e3 times the
        mean eigenvalue of the kernel on the training samples.

    cv : int, cross-validation generator or iterable, default=None
        Folds for ``alpha="cv"``, see `sklearn.model_selection.check_cv`; None is
        5-fold. Those of a number are shuffled, always alike, since curves and tables
        often come sorted.

    n_jobs : int, default=None
        Folds worked on in parallel, see `joblib.Parallel`.

    Attributes
    ----------
    alpha_ : float
        The penalty used.
    dual_coef_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The coefficients c; for several classes one column a class.
    affine_coef_ : ndarray of shape (n_columns,) or (n_columns, n_outputs)
        The coefficients b of the free columns: of the features as the network sees
        them, if it has a skip connection, then the intercept.
    df_ : float or ndarray of shape (n_outputs,)
        Degrees of freedom beside the free columns, the sum of ``eigenvalue /
        (eigenvalue + alpha)``. Of outputs whose networks share weights, of all of them.
    loss_ : float
        Training loss, half the weighted mean of squared residuals.
    richness_, kernel_change_ : float
        How far the networks had come whose kernel it is, the mean over networks and
        targets: zero with ``at="init"``.
    alphas_ : ndarray of shape (n_alphas,)
        The penalties tried; only with ``alpha="cv"``.
    cv_errors_ : ndarray of shape (n_alphas, n_splits)
        Mean squared errors on the folds; only with ``alpha="cv"``.
    networks_ : list of estimators
        The networks whose kernels are averaged, fitted: with ``at="init"`` to a time at
        which nothing has moved.
    starts_ : list of estimators
        The networks at their start, which give ``f_0``.
    X_fit_ : array-like of shape (n_samples, n_features)
        Training data, which predictions need.
    classes_ : ndarray of shape (n_classes,)
        The labels; only of classifiers.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    skregimes.limits.kernel_flow : The same function at any time of the flow; what
        `skregimes.inspection.FunctionDisplay` draws as the lazy twin.
    skregimes.kernels : Tangent kernels of infinitely wide networks, for any kernel
        machine.
    compare_regimes : A network beside its twins and baselines, cross-validated.

    Notes
    -----
    The kernel is computed on all training samples at once, ``n_samples**2`` numbers for
    each pair of outputs that share weights, and decomposed in a time of the order of
    ``n_samples**3``.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural Tangent Kernel: Convergence and Generalization
    in Neural Networks", NeurIPS 2018. Chizat, Oyallon and Bach, "On Lazy Training in
    Differentiable Programming", NeurIPS 2019. Fort et al., "Deep learning versus kernel
    learning", NeurIPS 2020 (the kernel after training).

    Examples
    --------
    >>> from skregimes import ShallowReLURegressor, TangentKernelRidge
    >>> from skregimes.datasets import make_curve
    >>> X, y = make_curve("smooth", 30, random_state=0)
    >>> lazy = ShallowReLURegressor(1e5, random_state=0, early_stopping=False)
    >>> twin = TangentKernelRidge(lazy).fit(X, y)
    >>> bool(abs(twin.predict(X) - lazy.fit(X, y).predict(X)).max() < 1e-3)
    True
    """

    _parameter_constraints: dict = {
        "estimator": "no_validation",
        "at": [StrOptions({"init", "end"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"cv"})],
        "n_seeds": [Interval(Real, 1, None, closed="both")],
        "alphas": ["array-like", None],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator,
        *,
        at="init",
        alpha=0.0,
        n_seeds=1,
        alphas=None,
        cv=None,
        n_jobs=None,
    ):
        self.estimator = estimator
        self.at = at
        self.alpha = alpha
        self.n_seeds = n_seeds
        self.alphas = alphas
        self.cv = cv
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Build the network, and solve for the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target, or labels of classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the squared errors.

        Returns
        -------
        self : TangentKernelRidge
            The fitted model.

        Raises
        ------
        TypeError
            If the estimator has no network with a tangent kernel on features.
        ValueError
            If an option or the data make no sense.
        """
        self._check_options()
        X, y, sample_weight = indexable(as_array(X), as_array(y), sample_weight)
        splits = []
        if self.alpha == "cv":
            classifier = is_classifier(self.estimator)
            folds = shuffled_folds(self.cv, classifier)
            splitter = check_cv(folds, y, classifier=classifier)
            splits = list(splitter.split(X, y))
        watch = _Watch(
            self, X, y, self._init_callback_context(max_subtasks=1 + len(splits))
        )
        watch.context.call_on_fit_task_begin(**watch.shown)
        twin = Twin.build(self, X, y, sample_weight, watch.task("all samples"))
        found = {}
        if self.alpha == "cv":
            found = self._choose(twin, X, y, sample_weight, splits, watch)
        alpha = float(found.get("alpha_", self.alpha))
        dual, coef, df = (each[0] for each in twin.solve([alpha]))
        with np.errstate(over="ignore"):  # of the squares of huge targets
            squares = (twin.rest - twin.fitted(dual, coef)) ** 2
        found |= {
            "alpha_": alpha,
            "dual_coef_": dual.reshape(twin.shape),
            "affine_coef_": coef.reshape(-1, *twin.shape[1:]),
            "df_": df if len(df) > 1 else float(df[0]),
            "loss_": float(np.average(squares.mean(axis=1), weights=twin.weight)) / 2,
            **{name: self._moved(twin.networks, name) for name in _MOVED},
            "networks_": twin.networks,
            "starts_": twin.starts,
            "X_fit_": X,
            "_kernel": (self.at, self._infinite),
        }
        if is_classifier(self.estimator):
            found["classes_"] = twin.starts[0].classes_
        validate_data(self, X, skip_check_array=True)
        # All at once: an interrupted fit leaves the last one as it was.
        for name in {"alphas_", "cv_errors_"} - found.keys():
            if hasattr(self, name):
                delattr(self, name)
        for name, value in found.items():
            setattr(self, name, value)
        watch.context.call_on_fit_task_end(**watch.shown)
        return self

    def _check_options(self):
        missing = [name for name in _NEEDED if not hasattr(self.estimator, name)]
        if not missing and not isinstance(self.estimator, type):
            missing = {"max_time"} - self.estimator.get_params(deep=False).keys()
        if missing or isinstance(self.estimator, type):
            raise TypeError(
                "TangentKernelRidge needs an estimator with the methods tangent_kernel "
                "and staged_predict and the parameter max_time, such as "
                "ShallowReLURegressor(); got "
                f"{self.estimator!r}. In a pipeline put the twin in place of the last "
                "step; of a search take its estimator."
            )
        if self.n_seeds == np.inf:
            if self.at == "end":
                raise ValueError(
                    "n_seeds=inf is the mean kernel at the start, at='init'; networks "
                    "after training can only be averaged over a finite number of seeds."
                )
            known = hasattr(self.estimator, "_mean_start_kernel")
            if draws_its_start(self.estimator) and not known:
                raise ValueError(
                    f"For {type(self.estimator).__name__} no closed form of the mean "
                    "kernel is known; use a finite number of seeds, such as n_seeds=20."
                )
        elif self.n_seeds != int(self.n_seeds):
            raise ValueError(f"n_seeds must be whole or inf; got {self.n_seeds}.")
        if self.alpha != "cv":
            for name in ("alphas", "cv", "n_jobs"):
                if getattr(self, name) is not None:
                    warnings.warn(
                        f"alpha={self.alpha} makes no use of {name}; for a choice by "
                        "cross-validation set alpha='cv'.",
                        UserWarning,
                        stacklevel=4,
                    )
        elif self.alphas is not None:
            alphas = check_array(self.alphas, ensure_2d=False, input_name="alphas")
            if alphas.ndim != 1 or np.any(alphas < 0):
                raise ValueError("alphas must be 1-D and not negative.")

    def _moved(self, networks, name):
        """Return how far networks moved, the mean over them and their targets."""
        if self.at == "init":
            return 0.0
        return float(np.mean([np.mean(getattr(net, name, np.nan)) for net in networks]))

    # -- choosing the penalty ------------------------------------------------------

    def _choose(self, twin, X, y, sample_weight, splits, watch):
        """Return the best penalty by cross-validation, and all errors."""
        # Squares of tiny and huge targets would leave the range of floats.
        unit = np.max(np.abs(twin.rest)) or 1.0
        folds = Parallel(n_jobs=self.n_jobs)(
            delayed(_fold_errors)(
                self, X, y, sample_weight, *split, unit, watch.task("fold")
            )
            for split in splits
        )
        errors, size = (np.array(column) for column in zip(*folds, strict=True))
        alphas = self._penalties(twin)
        with np.errstate(over="ignore"):
            in_units_of_y = errors.T * unit * unit
        return {
            "alpha_": alphas[np.argmin(size @ errors)],
            "alphas_": alphas,
            "cv_errors_": in_units_of_y,
        }

    def _penalties(self, twin):
        """Return the penalties to try on a training set."""
        if self.alphas is None:
            return twin.mean_eigenvalue * _ALPHAS
        return np.array(self.alphas, dtype=float)

    # -- answers -------------------------------------------------------------------

    def _values(self, X):
        """Return the fitted function, (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = as_array(X)  # the networks are the ones to check it
        dual = self.dual_coef_.reshape(len(self.dual_coef_), -1)
        coef = self.affine_coef_.reshape(-1, dual.shape[1])
        start = start_values(self.starts_, X, self._kernel[1])
        kernel = mean_kernel(self.networks_, X, self.X_fit_, *self._kernel)
        return (
            start + apply_kernel(kernel, dual) + free_columns(self.starts_[0], X) @ coef
        )

    @property
    def _infinite(self):
        return self.n_seeds == np.inf

    def predict(self, X):
        """Predict targets or labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
        """
        values = self._values(X)
        if is_classifier(self.estimator):
            if values.shape[1] == 1:
                return self.classes_[(values[:, 0] > 0).astype(int)]
            return self.classes_[np.argmax(values, axis=1)]
        if getattr(X, "dtype", None) == np.float32:
            values = values.astype(np.float32)
        return values[:, 0] if self.dual_coef_.ndim == 1 else values

    @available_if(lambda self: is_classifier(self.estimator))
    def decision_function(self, X):
        """Return the fitted codes: positive for the class, negative for the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes, that of the second one.
        """
        values = self._values(X)
        return values[:, 0] if values.shape[1] == 1 else values

    def score(self, X, y, sample_weight=None):
        """Return R2, or of a classifier the accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target, or labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
        """
        measure = accuracy_score if is_classifier(self.estimator) else r2_score
        return measure(y, self.predict(X), sample_weight=sample_weight)

    def tangent_kernel(self, X, Y=None, *, at=None):
        """Return the tangent kernel of the network, averaged over seeds.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
            Features.
        Y : array-like of shape (n_samples_Y, n_features), default=None
            Features; None is ``X``.
        at : {"init", "end"}, default=None
            When; None is the one that was fitted with. With ``at="init"`` of the twin
            nothing was trained, and both are the same.

        Returns
        -------
        ndarray of shape (n_samples_X, n_samples_Y) or (n_targets, ...)
            As the method of the estimator returns it.

        Raises
        ------
        ValueError
            If ``at`` is unknown.
        """
        check_is_fitted(self)
        if at not in (None, "init", "end"):
            raise ValueError(f"at must be 'init' or 'end', got {at!r}.")
        X = as_array(X)
        Y = X if Y is None else as_array(Y)
        fitted_at, infinite = self._kernel
        return mean_kernel(self.networks_, X, Y, at or fitted_at, infinite)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.target_tags = deepcopy(inner.target_tags)
        tags.classifier_tags = deepcopy(inner.classifier_tags)
        tags.regressor_tags = deepcopy(inner.regressor_tags)
        tags.input_tags = deepcopy(inner.input_tags)
        return tags


def _fold_errors(model, X, y, sample_weight, train, test, unit, task):
    """Return mean squared errors on a fold, over the unit's square, and its weight."""
    weight = None if sample_weight is None else take(sample_weight, train)
    twin = Twin.build(model, take(X, train), take(y, train), weight, task)
    dual, coef, _ = twin.solve(model._penalties(twin))
    held_out, columns = take(X, test), free_columns(twin.starts[0], take(X, test))
    start = start_values(twin.starts, held_out, model._infinite)
    kernel = mean_kernel(
        twin.networks, held_out, take(X, train), model.at, model._infinite
    )
    values = start + apply_kernel(kernel, dual) + columns @ coef
    target = target_of(take(y, test), twin.starts[0])
    off = (values - target.reshape(len(target), -1)) / unit
    squares = np.mean(off**2, axis=-1)
    size = np.ones(len(target)) if sample_weight is None else take(sample_weight, test)
    if not np.any(size):
        return np.zeros(len(squares)), 0.0
    return squares @ size / np.sum(size), np.sum(size)


class _Watch:
    """Tells callbacks of the training sets that a fit works on."""

    def __init__(self, model, X, y, context):
        self.shown = {"estimator": model, "X": X, "y": y}
        self.context = context
        self.n_trained = int(model.n_seeds) if model.at == "end" else 0

    def task(self, name):
        """Return the task of a training set; networks to be trained are its parts."""
        return self.context.subcontext(name, max_subtasks=self.n_trained)
