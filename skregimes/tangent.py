"""The lazy twin of a network: kernel ridge in its tangent kernel."""

import warnings
from copy import deepcopy
from functools import cached_property
from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, check_random_state, get_tags, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from skregimes._arrays import as_array
from skregimes._classification import plain_labels
from skregimes._sklearn import (
    Interval,
    StrOptions,
    check_sample_weight,
    fit_context,
    num_samples,
    take,
)
from skregimes.limits.kernel_spectrum import KernelSpectrum

__all__ = ["TangentKernelRidge", "at_start"]

# A fit that ends before anything moves is the network at its start.
_AT_ONCE = 1e-100
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
        5-fold.

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
    skregimes.limits.kernel_flow : The same function at any time of the flow.
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
            splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
            splits = list(splitter.split(X, y))
        watch = _Watch(
            self, X, y, self._init_callback_context(max_subtasks=1 + len(splits))
        )
        watch.context.call_on_fit_task_begin(**watch.shown)
        twin = _Twin.build(self, X, y, sample_weight, watch.task("all samples"))
        found = {}
        if self.alpha == "cv":
            found = self._choose(twin, X, y, sample_weight, splits, watch)
        alpha = float(found.get("alpha_", self.alpha))
        dual, coef, df = (each[0] for each in twin.solve([alpha]))
        residual = twin.rest - twin.fitted(dual, coef)
        found |= {
            "alpha_": alpha,
            "dual_coef_": dual.reshape(twin.shape),
            "affine_coef_": coef.reshape(-1, *twin.shape[1:]),
            "df_": df if len(df) > 1 else float(df[0]),
            "loss_": float(np.average(residual**2, axis=0, weights=twin.weight).mean())
            / 2,
            "networks_": twin.networks,
            "starts_": twin.starts,
            "X_fit_": X,
            "_kernel": (self.at, self._infinite),
        }
        if is_classifier(self.estimator):
            found["classes_"] = twin.starts[0].classes_
        validate_data(self, X, skip_check_array=True)
        # All at once: an interrupted fit leaves the last one as it was.
        for name in ("alphas_", "cv_errors_"):
            vars(self).pop(name, None)
        vars(self).update(found)
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
            if not hasattr(self.estimator, "_mean_start_kernel"):
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

    # -- choosing the penalty ------------------------------------------------------

    def _choose(self, twin, X, y, sample_weight, splits, watch):
        """Return the best penalty by cross-validation, and all errors."""
        folds = Parallel(n_jobs=self.n_jobs)(
            delayed(_fold_errors)(self, X, y, sample_weight, *split, watch.task("fold"))
            for split in splits
        )
        errors, size = (np.array(column) for column in zip(*folds, strict=True))
        alphas = self._penalties(twin)
        return {
            "alpha_": alphas[np.argmin(size @ errors)],
            "alphas_": alphas,
            "cv_errors_": errors.T,
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
        start = _start_values(self.starts_, X, self._kernel[1])
        kernel = _mean_kernel(self.networks_, X, self.X_fit_, *self._kernel)
        return start + _apply(kernel, dual) + _free_columns(self.starts_[0], X) @ coef

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

    def tangent_kernel(self, X, Y=None):
        """Return the kernel: that of the network, averaged over seeds.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
            Features.
        Y : array-like of shape (n_samples_Y, n_features), default=None
            Features; None is ``X``.

        Returns
        -------
        ndarray of shape (n_samples_X, n_samples_Y) or (n_targets, ...)
            As the method of the estimator returns it.
        """
        check_is_fitted(self)
        X = as_array(X)
        Y = X if Y is None else as_array(Y)
        return _mean_kernel(self.networks_, X, Y, *self._kernel)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.target_tags = deepcopy(inner.target_tags)
        tags.classifier_tags = deepcopy(inner.classifier_tags)
        tags.regressor_tags = deepcopy(inner.regressor_tags)
        tags.input_tags = deepcopy(inner.input_tags)
        return tags


class _Twin:
    """Networks on a training set, and the ridge problems that they pose.

    Outputs of networks that share weights make one problem together, others one each.
    """

    def __init__(self, starts, networks, kernel, columns, rest, weight, shape):
        self.starts, self.networks = starts, networks
        self.kernel, self.columns = kernel, columns
        self.rest, self.weight, self.shape = rest, weight, shape
        self.problems = _problems(kernel, rest, columns, np.sqrt(weight))

    @classmethod
    def build(cls, model, X, y, sample_weight, task):
        starts, networks = _fit_networks(model, X, y, sample_weight, task)
        weight = check_sample_weight(
            sample_weight, np.empty(num_samples(X)), dtype=np.float64
        )
        target = _target(y, starts[0])
        columns = _free_columns(starts[0], X)
        rest = target.reshape(len(target), -1) - _start_values(
            starts, X, model._infinite
        )
        kernel = _mean_kernel(networks, X, X, model.at, model._infinite)
        return cls(starts, networks, kernel, columns, rest, weight, target.shape)

    @cached_property
    def mean_eigenvalue(self):
        """Mean of the positive eigenvalues, the unit of penalties."""
        values = np.concatenate([problem.eigenvalues for problem in self.problems])
        return float(np.mean(values[values > 0])) if np.any(values > 0) else 1.0

    def solve(self, alphas):
        """Return coefficients of kernel and columns and degrees of freedom.

        Of shapes (n_alphas, n_samples, n_outputs), (n_alphas, n_columns, n_outputs) and
        (n_alphas, n_problems).
        """
        alphas = np.reshape(alphas, (-1, 1))
        duals, coefs, df = [], [], []
        for problem in self.problems:
            seen = problem.eigenvalues > 0
            values = np.where(seen, problem.eigenvalues, 1.0)
            gain = np.where(seen, 1 / (values + alphas), 0.0)
            dual = problem.dual(gain)
            duals.append(self._by_output(dual, len(self.rest)))
            coefs.append(self._by_output(problem.coef(dual), self.columns.shape[1]))
            df.append(gain @ problem.eigenvalues)
        return np.concatenate(duals, -1), np.concatenate(coefs, -1), np.array(df).T

    def _by_output(self, stacked, length):
        """Return (n_alphas, length, n_outputs) of outputs under one another."""
        if stacked.shape[1] == length:
            return stacked
        return stacked.reshape(len(stacked), -1, length).transpose(0, 2, 1)

    def fitted(self, dual, coef):
        """Return the function on the samples, less its start."""
        return _apply(self.kernel, dual) + self.columns @ coef


def _problems(kernel, rest, columns, root):
    """Return a `KernelSpectrum` for each group of outputs that share weights."""
    if kernel.ndim == 2:
        return [KernelSpectrum(kernel, rest, columns, root)]
    if kernel.ndim == 3:
        return [
            KernelSpectrum(K, target[:, None], columns, root)
            for K, target in zip(kernel, rest.T, strict=True)
        ]
    q, _, n, _ = kernel.shape
    stacked = kernel.transpose(0, 2, 1, 3).reshape(q * n, q * n)
    every = np.kron(np.eye(q), columns)
    return [KernelSpectrum(stacked, rest.T.reshape(-1, 1), every, np.tile(root, q))]


def _apply(kernel, dual):
    """Return what the kernel makes of coefficients (..., n_samples, n_outputs)."""
    if kernel.ndim == 2:
        return kernel @ dual
    if kernel.ndim == 3:
        return np.einsum("kij,...jk->...ik", kernel, dual)
    return np.einsum("klij,...jl->...ik", kernel, dual)


def _fold_errors(model, X, y, sample_weight, train, test, task):
    """Return the mean squared error of each penalty on a fold, and the fold's size."""
    weight = None if sample_weight is None else take(sample_weight, train)
    twin = _Twin.build(model, take(X, train), take(y, train), weight, task)
    dual, coef, _ = twin.solve(model._penalties(twin))
    held_out, columns = take(X, test), _free_columns(twin.starts[0], take(X, test))
    start = _start_values(twin.starts, held_out, model._infinite)
    kernel = _mean_kernel(
        twin.networks, held_out, take(X, train), model.at, model._infinite
    )
    values = start + _apply(kernel, dual) + columns @ coef
    target = _target(take(y, test), twin.starts[0])
    squares = np.mean((values - target.reshape(len(target), -1)) ** 2, axis=-1)
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


def _fit_networks(model, X, y, sample_weight, task):
    """Return the networks at their start, and those whose kernel is asked for."""
    shown = {"estimator": model, "X": X, "y": y}
    fit_params = {}
    if sample_weight is not None:
        if not has_fit_parameter(model.estimator, "sample_weight"):
            raise ValueError(
                f"{type(model.estimator).__name__} takes no sample_weight."
            )
        fit_params["sample_weight"] = sample_weight
        shown["metadata"] = fit_params
    task.call_on_fit_task_begin(**shown)
    drawn = _draws(model.estimator, 1 if model._infinite else int(model.n_seeds))
    starts = [at_start(each).fit(X, y, **fit_params) for each in drawn]
    networks = starts
    if model.at == "end":
        networks = [clone(each) for each in drawn]
        for each in networks:
            part = task.subcontext("network")
            with part.propagate_callback_context(each):
                part.call_on_fit_task_begin(**shown)
                each.fit(X, y, **fit_params)
            part.call_on_fit_task_end(**shown)
    task.call_on_fit_task_end(**shown)
    return starts, networks


def _draws(estimator, n_seeds):
    """Return clones that each draw their start once and for all."""
    params = estimator.get_params(deep=False)
    if "random_state" not in params:
        return [clone(estimator)]  # it has nothing to draw
    state = params["random_state"]
    if n_seeds == 1 and state is not None:
        return [clone(estimator)]
    seeds = check_random_state(state).randint(np.iinfo(np.int32).max, size=n_seeds)
    return [clone(estimator).set_params(random_state=int(seed)) for seed in seeds]


def at_start(estimator):
    """Return a clone whose fit stops before anything moves."""
    wanted = {
        "max_time": _AT_ONCE,
        "early_stopping": False,
        "solver": "auto",
        "learning_rate": None,
        "batch_size": None,
        "warm_start": False,
        "verbose": 0,
    }
    params = estimator.get_params(deep=False)
    wanted = {name: value for name, value in wanted.items() if name in params}
    return clone(estimator).set_params(**wanted)


def _target(y, network):
    """Return what to fit: the target, or codes 1 and -1 of the classes."""
    if not is_classifier(network):
        return check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    codes = np.where(plain_labels(np.ravel(y))[:, None] == network.classes_, 1.0, -1.0)
    return codes[:, 1] if codes.shape[1] == 2 else codes


def _start_values(starts, X, infinite):
    """Return the mean function at the start, (n_samples, n_outputs)."""
    if infinite:
        return np.zeros((num_samples(X), 1))  # signs of output weights cancel
    name = "decision_function" if is_classifier(starts[0]) else "predict"
    stages = [next(iter(getattr(net, f"staged_{name}")(X, [0.0]))) for net in starts]
    return np.mean(stages, axis=0).reshape(num_samples(X), -1)


def _mean_kernel(networks, X, Y, at, infinite):
    """Return the mean tangent kernel of networks."""
    if infinite:
        return networks[0]._mean_start_kernel(X, Y)
    total = np.array(networks[0].tangent_kernel(X, Y, at=at), dtype=np.float64)
    for network in networks[1:]:
        total += network.tangent_kernel(X, Y, at=at)
    return total / len(networks)


def _free_columns(network, X):
    """Return the columns whose coefficients are always at their optimum."""
    if hasattr(network, "_free_columns"):
        return network._free_columns(X)
    return np.zeros((num_samples(X), 0))
