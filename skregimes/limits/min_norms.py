"""The two ends: interpolators of least weighted l1 and l2 norm."""

import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import linprog

from skregimes.limits._checks import LimitError, check_features, check_system
from skregimes.limits._solver import NetworkLimit

__all__ = ["min_l1_norm", "min_l2_norm"]

# So small that features off the support have no weight at all.
_VANISHING = 1e-200
# Largest relative error of a linear program that is returned.
_INEXACT = 1e-6


def min_l2_norm(X, y, *, weights=None):
    """Return the least-squares solution of least weighted l2 norm.

    ``argmin sum(weights * beta**2)`` subject to ``X.T @ X @ beta = X.T @ y``: the
    kernel limit of a diagonal net, with ``weights = init_shape**(2 - 2 * depth)``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Design, any rank.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets; they need not be attainable.
    weights : array-like of shape (n_features,), default=None
        Positive; None means all ones.

    Returns
    -------
    coef : ndarray of shape (n_features,) or (n_targets, n_features)
        Units of y over those of X.

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    LimitError
        A ``RuntimeError``: the solution could not be computed. The message says what to
        change.

    References
    ----------
    Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models", COLT 2020,
    Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_l2_norm
    >>> X = np.array([[1.0, 2.0, 0.0, -1.0], [0.0, 1.0, 1.0, 3.0]])
    >>> min_l2_norm(X, np.array([1.0, 2.0])).round(4)
    array([0.2, 0.6, 0.2, 0.4])
    """
    X, y = check_system(X, y)
    shape = np.ones(X.shape[1])
    if weights is not None:
        weights = check_features(weights, "weights", X.shape[1], positive=True)
        shape = 1 / np.sqrt(weights)
    # The kernel limit of depth 2.
    network = NetworkLimit(X, 2, shape, np.zeros_like(shape), shape_name="weights")
    targets = y.reshape(len(y), -1).T
    coef = np.array([network.solve(target, np.inf)[0] for target in targets])
    return coef[0] if y.ndim == 1 else coef


def min_l1_norm(X, y, *, weights=None):
    """Return a least-squares solution of least weighted l1 norm (basis pursuit).

    ``argmin sum(weights * abs(beta))`` subject to ``X.T @ X @ beta = X.T @ y``: the
    rich limit of a diagonal net, with ``weights = init_shape**(2 - depth)``; so at
    depth 2 it is unweighted whatever the shape.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Design, any rank.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets; they need not be attainable.
    weights : array-like of shape (n_features,), default=None
        Positive; None means all ones.

    Returns
    -------
    coef : ndarray of shape (n_features,) or (n_targets, n_features)
        Units of y over those of X.

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    RuntimeError
        If the linear program could not be solved, or only inaccurately (`LimitError`).

    Notes
    -----
    Solved as the limit of a net of depth 4 at vanishing scale, whose interior point
    method needs a few tens of factorizations of size n_samples, and is certified by
    its dual. Among tied solutions this one maximizes ``sum(sqrt(abs(beta)))``, so
    equal columns share. If ties are too near for a certificate, or weights too far
    apart for convergence, HiGHS solves the linear program. At 500 x 10000 the first
    takes seconds, the second a minute.

    References
    ----------
    Chen, Donoho and Saunders, "Atomic Decomposition by Basis Pursuit", SIAM Journal on
    Scientific Computing 20, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_l1_norm
    >>> X = np.array([[1.0, 2.0, 0.0, -1.0], [0.0, 1.0, 1.0, 3.0]])
    >>> min_l1_norm(X, np.array([1.0, 2.0])).round(4)
    array([0.    , 0.7143, 0.    , 0.4286])
    """
    X, y = check_system(X, y)
    shape = np.ones(X.shape[1])
    if weights is not None:
        weights = check_features(weights, "weights", X.shape[1], positive=True)
        shape = 1 / np.sqrt(weights)
    network = NetworkLimit(X, 4, shape, np.zeros_like(shape))
    coef = []
    for target in y.reshape(len(y), -1).T:
        try:
            solution, _, solved = network.solve(target, _VANISHING)
            certified = solved == _VANISHING
        except LimitError:
            certified = False
        coef.append(solution if certified else _linear_program(network, target))
    return coef[0] if y.ndim == 1 else np.array(coef)


def _linear_program(network, y):
    """Return the vertex that HiGHS finds, polished on its support."""
    X, weights = network.basis.rows, 1 / network.shape[network.live] ** 2
    goal = network.basis.project(y / network.unit)
    # HiGHS's tolerances are absolute, and it drops entries under 1e-9: let every
    # feature cost one unit, and the columns spread about one.
    weights = weights / np.sqrt(np.min(weights)) / np.sqrt(np.max(weights))
    scaled, unit = X / weights, np.max(np.abs(goal))
    answer = linprog(
        np.ones(2 * len(weights)),
        A_eq=np.hstack([scaled, -scaled]),
        b_eq=goal / unit,
        bounds=(0, None),
        method="highs",
    )
    if answer.status != 0:
        raise RuntimeError(
            f"HiGHS could not solve the linear program: {answer.message} Narrow the"
            " range of weights, or rescale badly conditioned columns of X."
        )
    plus, minus = np.split(answer.x, 2)
    beta = unit * (plus - minus) / weights
    support = beta != 0
    beta[support] += lstsq(X[:, support], goal - X @ beta)[0]
    # Weak duality bounds what the tolerances may have cost.
    dual = answer.eqlin.marginals
    bound = goal @ dual / max(1.0, np.max(np.abs(scaled.T @ dual)))
    excess = weights @ np.abs(beta) / bound - 1
    misfit = np.max(np.abs(goal - X @ beta)) / unit
    if not max(excess, misfit) < _INEXACT:
        raise LimitError(
            "HiGHS solved the linear program to a relative accuracy of"
            f" {max(excess, misfit):.1g} only. Narrow the range of weights, or rescale"
            " badly conditioned columns of X."
        )
    coef = np.zeros(len(network.live))
    coef[network.live] = beta
    return coef
