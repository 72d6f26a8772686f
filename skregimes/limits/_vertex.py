"""Vanishing scales at depth >= 3: the weighted-l1 vertex and what is left of the scale.

Where ``scale**(depth - 2)`` is tiny the slacks ``1 - |s|`` of active features drown in
rounding. But then the active features are known, and can be eliminated.
"""

from functools import partial

import numpy as np
from scipy.linalg import lstsq

__all__ = ["refine_vertex"]

_EPS = np.finfo(float).eps


def refine_vertex(problem, level, beta, nu):
    """Solve the equations near a weighted-l1 vertex, active features exactly.

    Features whose ``|s|`` has come close to 1 form the support. There ``s`` hardly
    depends on beta: ``X.T nu`` must equal the signs up to slacks that beta gives to
    full relative accuracy. Off the support beta is tiny and follows from nu. If the
    support has independent columns, ``X beta = y`` fixes beta; otherwise (ties,
    duplicated columns) the slacks choose ``argmax sum |beta|**(2 / depth)`` on the
    optimal face. If it does not span y's space, the rest of nu balances the features
    off the support among themselves, whatever the scale.

    Parameters
    ----------
    problem : LimitProblem
        Of a balanced start, depth >= 3.
    level : float
        Wanted ``depth * log(scale)``.
    beta, nu : ndarray
        Solution at this level or at one not far from it in terms of nu.

    Returns
    -------
    solution : (beta, nu) or None
        None unless certified: signs kept, strictly dual feasible off the support, all
        residuals at rounding level.
    """
    slack = 1 - np.abs(problem.dual(nu))
    for on in _supports(slack):
        solution = _refine(problem, level, beta, nu, on & (beta != 0))
        if solution is not None:
            return solution
    return None


def _supports(slack, n_candidates=4):
    """Yield where slacks are small, cutting their sorted logs at the widest jumps."""
    order = np.argsort(slack)
    logs = np.log(np.maximum(slack[order], 1e-16))
    logs = np.append(logs[logs < np.log(0.1)], 0.0)
    for cut in np.argsort(-np.diff(logs))[:n_candidates]:
        on = np.zeros(len(slack), dtype=bool)
        on[order[: cut + 1]] = True
        yield on


def _refine(problem, level, beta, nu, on, *, max_iter=60):
    """Return the certified solution with support `on`, or None."""
    X, y, depth, stiffness = problem.X, problem.y, problem.depth, problem.stiffness
    potential = problem.potential(level)
    inside, outside = potential.subset(on), potential.subset(~on)
    sign, beta = np.sign(beta[on]), beta.copy()
    X_on, X_off = X[:, on], X[:, ~on]
    solve = partial(lstsq, cond=max(X_on.shape) * _EPS, lapack_driver="gelsy")
    started = centered = False
    last = np.inf
    for n_iter in range(max_iter):
        # 1) The dual that meets the active slacks, nearest to the present one.
        theta = np.abs(inside.theta(beta[on]))
        slack = 2 / (np.exp(np.minimum(2 * theta, 700.0)) + 1)
        wanted = sign * (1 - slack) / stiffness[on]
        shift, _, rank, _ = solve(X_on.T, wanted - X_on.T @ nu)
        nu = nu + shift
        mismatch = np.max(np.abs(X_on.T @ nu - wanted) * stiffness[on])
        if n_iter > 2 and mismatch > 1e-9:  # not the signs of one face
            return None
        s_off = stiffness[~on] * (X_off.T @ nu)
        if np.max(np.abs(s_off), initial=0.0) >= 1 - 1e-9:
            return None
        # 2) Its part that no active feature sees.
        move = 0.0
        if rank < len(nu):
            if not started:
                fit = X_on @ solve(X_on, y)[0]
                if np.linalg.norm(y - fit) > 1e-11 * np.linalg.norm(y):
                    return None
                # The shortest such dual is often near the center.
                d_nu = solve(X_on.T, wanted)[0] - nu
                nu = nu + 0.9 * _room(s_off, stiffness[~on] * (X_off.T @ d_nu)) * d_nu
                s_off, started = stiffness[~on] * (X_off.T @ nu), True
            pull_off, weights = _barrier(problem, on, s_off, centered=centered)
            pull_off -= X_on @ solve(X_on, pull_off)[0]
            problem.gram.set_weights(weights)
            d_nu = problem.gram.solve(pull_off)
            d_s = stiffness[~on] * (X_off.T @ d_nu)
            move = np.max(np.abs(d_s) / (1 - np.abs(s_off)))
            nu = nu + min(1.0, 0.5 * _room(s_off, d_s)) * d_nu
            centered = centered or move < 0.5
            s_off = stiffness[~on] * (X_off.T @ nu)
        beta[~on] = outside.coef(np.arctanh(s_off))
        # 3) Newton step of max sum |beta|^(2/depth) subject to X beta = y.
        primal = y - X @ beta
        root, pull = np.abs(beta[on]) ** (1 - 1 / depth), 0.0
        if rank < len(sign):
            pull = root * sign * np.abs(beta[on]) ** (2 / depth - 1) / (1 - 2 / depth)
            primal = primal - X_on @ (root * pull)
        d_beta = root * (pull + solve(X_on * root, primal)[0])
        beta[on] += d_beta
        if np.any(np.sign(beta[on]) != sign):
            return None
        # 4) Stop at rounding level.
        change = np.sum(np.abs(d_beta)) / np.sum(np.abs(beta))
        if move < 1e-6 and (change < 1e-14 or 0.5 * last < change < 1e-12):
            break
        last = change
    else:
        return None
    nu = nu + solve(X_on.T, wanted - X_on.T @ nu)[0]
    residual = np.linalg.norm(y - X @ beta) / np.linalg.norm(y)
    mismatch = np.max(np.abs(X_on.T @ nu - wanted) * stiffness[on])
    return (beta, nu) if residual < 1e-13 * len(y) and mismatch < 1e-11 else None


def _room(s, change):
    """Return how many times `change` keeps s inside the unit box."""
    with np.errstate(divide="ignore"):
        return np.min((1 - np.sign(change) * s) / np.abs(change))


def _barrier(problem, on, s_off, *, centered):
    """Return ``-X_off beta_off`` and the weights of its Newton step in nu.

    The features off the support scale together, so the scale drops out of
    ``beta_off = (1 - s)**-k - (1 + s)**-k``. From afar take k = 1, the logarithmic
    barrier, on which Newton's method converges from anywhere. A stiff weight on the
    support keeps its dual where it is.
    """
    height, k = np.ones_like(s_off), 1.0
    if centered:
        height = np.exp(problem.depth * problem.log_shape[~on])
        k = problem.depth / (problem.depth - 2)
    minus, plus = 1 - s_off, 1 + s_off
    beta_off = height * (minus**-k - plus**-k)
    slope = height * k * (minus ** (-k - 1) + plus ** (-k - 1))
    slope *= problem.stiffness[~on]
    norms = problem.gram.column_norms
    weights = np.full(len(on), 1e2 * (slope @ norms[~on]) / np.sum(norms[on]))
    weights[~on] = slope
    return -problem.X[:, ~on] @ beta_off, weights
