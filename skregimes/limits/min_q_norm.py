"""The interpolator that a diagonal linear network reaches at infinite time."""

import warnings

import numpy as np

from skregimes.limits._checks import (
    check_array,
    check_depth,
    check_features,
    check_scale,
    check_system,
)
from skregimes.limits._solver import NetworkLimit
from skregimes.limits.potentials import DiagonalPotential

__all__ = ["min_q_norm", "q_norm"]


def min_q_norm(
    X,
    y,
    init_scale,
    *,
    depth=2,
    init_shape=None,
    init_offset=None,
    warm_start=None,
    return_dual=False,
):
    """Return the infinite-time limit of gradient flow on a diagonal linear network.

    Gradient flow on the squared loss of ``beta = w_plus**depth - w_minus**depth``, from
    ``w_plus = w_minus = init_scale * init_shape``, ends at

        ``argmin Q(beta)`` subject to ``X.T @ X @ beta = X.T @ y``,

    with Q the potential of `q_norm`: an l2 norm for large scales and an l1 norm for
    small ones. It is solved here as a convex problem, without simulating the flow.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Design, any rank. There is no intercept: center X and y for one.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets, each solved by a network of its own. They need not be attainable.
    init_scale : float
        Scale alpha of the initial weights, positive, in the units of the paper: the
        limit depends on ``init_scale**depth`` relative to the coefficients.
    depth : int, default=2
        Number of layers, at least 1. Depth 1 is a linear model, whose limit is the
        nearest least-squares solution to the start at every scale.
    init_shape : array-like of shape (n_features,), default=None
        Relative initial weights, positive; None means all ones. The kernel limit
        minimizes ``sum(beta**2 / init_shape**(2 * depth - 2))``; the rich limit
        ``sum(abs(beta) / init_shape**(depth - 2))``, so unweighted at depth 2.
    init_offset : array-like of shape (n_features,), default=None
        Coefficients at time zero; None means zeros. ``init_scale * init_shape`` is
        then the scale that the flow conserves, ``sqrt(w_plus * w_minus)`` at depth 2
        and, with ``p = depth - 2``, ``((w_plus**-p + w_minus**-p) / 2)**(-1 / p)``
        beyond. The limit is the Bregman projection of the start.
    warm_start : tuple (init_scale, coef, dual), default=None
        Scale and results of a call for the same X, y and other parameters: cheap when
        the scales are near.
    return_dual : bool, default=False
        Whether to return the dual too.

    Returns
    -------
    coef : ndarray of shape (n_features,) or (n_targets, n_features)
        Units of y over those of X.
    dual : ndarray of shape (n_samples,) or (n_targets, n_samples)
        Only if `return_dual`. With ``z = X.T @ dual``, and ``s`` the scaled mirror map
        of `potentials.DiagonalPotential`, ``s(coef) - s(init_offset)`` is ``z`` at
        depths 1 and 2 and ``init_shape**(depth - 2) * z`` beyond, where ``abs(s) < 1``
        and the dual tends to a certificate of the l1 problem. Directions that no
        active feature sees are known to fewer digits than `coef`.

    Raises
    ------
    ValueError
        If an argument is out of its domain, or `init_scale` is under about 1e-140 at
        depth 2.
    LimitError
        A ``RuntimeError``: the limit could not be computed. The message says what to
        change.

    Warns
    -----
    RuntimeWarning
        At depth >= 3 and extremely small scales, if the l1 solution cannot be certified
        (nearly tied features) or `init_offset` is used: the solution for the larger
        scale named in the message is returned.

    Notes
    -----
    Rank ``n_features`` leaves one least-squares solution, whatever the scale. Accuracy
    is that of a backward stable least-squares solver. Depth 2 follows the path of
    solutions down from the kernel limit; depth >= 3 uses an interior point method of
    which the limit is the central path.

    References
    ----------
    Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models", COLT 2020,
    Theorems 1 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_q_norm
    >>> X = np.array([[1.0, 2.0, 0.0, -1.0], [0.0, 1.0, 1.0, 3.0]])
    >>> y = np.array([1.0, 2.0])
    >>> min_q_norm(X, y, 100.0).round(4)
    array([0.2, 0.6, 0.2, 0.4])
    >>> min_q_norm(X, y, 1e-3, depth=3).round(4)
    array([0.    , 0.7143, 0.    , 0.4286])
    """
    X, y = check_system(X, y)
    n_samples, n_features = X.shape
    scale, depth = check_scale(init_scale), check_depth(depth)
    shape, start = np.ones(n_features), np.zeros(n_features)
    if init_shape is not None:
        shape = check_features(init_shape, "init_shape", n_features, positive=True)
    if init_offset is not None:
        start = check_features(init_offset, "init_offset", n_features)
    targets = y.reshape(n_samples, -1).T
    warm = [None] * len(targets)
    if warm_start is not None:
        warm = _check_warm_start(warm_start, X, y)

    network = NetworkLimit(X, depth, shape, start)
    coefs, duals = [], []
    for target, hint in zip(targets, warm):
        coef, dual, solved = network.solve(target, scale, hint)
        if solved != scale:
            _warn_of_floor(coef, scale, solved, depth, shape)
        coefs.append(coef)
        duals.append(dual)
    coef, dual = np.array(coefs), np.array(duals)
    if y.ndim == 1:
        coef, dual = coef[0], dual[0]
    return (coef, dual) if return_dual else coef


def q_norm(coef, init_scale, *, depth=2, init_shape=None):
    """Return the potential that the initialization of a diagonal net minimizes.

    ``sum_i alpha**depth * w_i**2 * q(coef_i / (alpha * w_i)**depth)`` with ``alpha =
    init_scale`` and ``w = init_shape``, where ``q'`` is the inverse of the link from
    the dual to the coefficients: ``q'(b) = arcsinh(b / 2)`` at depth 2. At depth 1 it
    is ``sum(coef**2) / 2``, whatever the initialization.

    Parameters
    ----------
    coef : array-like of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    init_scale : float
        Scale alpha of the initial weights, positive.
    depth : int, default=2
        Number of layers.
    init_shape : array-like of shape (n_features,), default=None
        Relative initial weights, positive; None means all ones.

    Returns
    -------
    value : float or ndarray of shape (n_targets,)
        Non-negative. Its ratio between two coefficients lies between the ratios of
        squared l2 norms (large scales) and of l1 norms (small ones).

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models", COLT 2020,
    equation 7 and Theorem 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import q_norm
    >>> sparse, dense = np.eye(100)[0], np.full(100, 0.1)
    >>> [round(q_norm(sparse, a) / q_norm(dense, a), 3) for a in (1e-60, 0.1, 10.0)]
    [0.101, 0.243, 1.0]
    """
    coef = check_array(coef, "coef", (1, 2))
    depth = check_depth(depth)
    log_shape = np.zeros(coef.shape[-1])
    if init_shape is not None:
        name = "init_shape"
        log_shape = np.log(
            check_features(init_shape, name, len(log_shape), positive=True)
        )
    potential = DiagonalPotential(depth, np.log(check_scale(init_scale)) + log_shape)
    # potential.value is a**depth * q: restore Woodworth's weight of each feature.
    weights = np.exp(-max(depth - 2, 0) * log_shape)
    value = np.sum(weights * potential.value(coef), axis=-1)
    return float(value) if value.ndim == 0 else value


def _warn_of_floor(coef, scale, solved, depth, shape):
    """Say which scale the answer belongs to, and how far it is from the l1 limit."""
    # rate * Q = l1 - (depth / 2) * scale**(depth - 2) * sum |beta|**(2 / depth) + ...
    l1 = np.sum(np.abs(coef) / shape ** (depth - 2))
    bound = depth / 2 * solved ** (depth - 2) * np.sum(np.abs(coef) ** (2 / depth)) / l1
    warnings.warn(
        f"init_scale={scale:g} at depth {depth} is under the resolution of double"
        f" precision, and no l1 solution could be certified (nearly tied features, or"
        f" init_offset is used): this is the limit for init_scale={solved:.4g}. From a"
        f" balanced start its weighted l1 norm exceeds the least one by at most a"
        f" relative {bound:.1g}.",
        RuntimeWarning,
        stacklevel=3,
    )


def _check_warm_start(warm_start, X, y):
    """Return ``(scale, coef, dual)`` for each target."""
    try:
        scale, coef, dual = warm_start
    except (TypeError, ValueError) as error:
        raise ValueError("warm_start must be (init_scale, coef, dual).") from error
    scale = check_scale(scale, "warm_start's init_scale")
    coef = check_array(coef, "warm_start's coef", (y.ndim,))
    dual = check_array(dual, "warm_start's dual", (y.ndim,))
    want = y.T.shape[:-1]
    if coef.shape != (*want, X.shape[1]) or dual.shape != (*want, X.shape[0]):
        raise ValueError(
            f"warm_start's coef {coef.shape} and dual {dual.shape} do not fit X"
            f" {X.shape} and y {y.shape}."
        )
    return [(scale, *pair) for pair in zip(np.atleast_2d(coef), np.atleast_2d(dual))]
