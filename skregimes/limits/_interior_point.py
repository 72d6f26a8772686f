"""Small scales at depth >= 3: interior point, then the vertex it points at.

With ``u = w**depth`` for the two layers and slacks ``1 -+ s`` the limit of a balanced
start is a central path, ``u**(1/k) * slack = stiffness * scale**(depth - 2)``, whose
end is a weighted-l1 vertex. So a primal-dual predictor-corrector method in the manner
of Mehrotra reaches any scale in a few tens of factorizations.

Where ``scale**(depth - 2)`` is tiny the slacks of active features cannot be resolved
in ``s``, but there the active ones are known exactly: `refine_vertex` eliminates them.
"""

from functools import partial

import numpy as np
from scipy.linalg import lstsq

from skregimes.limits._newton import LimitError

__all__ = ["barrier_level", "interior_point", "refine_vertex"]

_EPS = np.finfo(float).eps
_SIGN = np.array([[1.0], [-1.0]])  # of the plus and the minus layer


def barrier_level(depth, barrier):
    """Return ``depth * log(scale)`` at which ``scale**(depth - 2)`` is `barrier`."""
    return depth / (depth - 2) * np.log(barrier)


def interior_point(problem, level, start, nu, *, max_iter=80):
    """Solve the equations of a balanced start at a small level, to about 1e-3.

    Parameters
    ----------
    problem : LimitProblem
        Depth >= 3.
    level : float
        Wanted ``depth * log(scale)``.
    start : float
        Level at the border of the kernel regime, above `level`.
    nu : ndarray of shape (n,)
        Dual of the kernel solution at `start`.

    Returns
    -------
    beta, nu : ndarray
        Within reach of Newton's method.
    """
    X, y, gram, stiffness = problem.X, problem.y, problem.gram, problem.stiffness
    k = problem.depth / (problem.depth - 2)
    goal = np.exp(level / k)
    # 1) Start: the kernel direction inside the box, on the central path there.
    nu = nu * min(1.0, 0.9 / np.max(np.abs(stiffness * (X.T @ nu))))
    z = X.T @ nu
    slack = 1 - _SIGN * stiffness * z
    u = (np.exp(start / k) * stiffness / slack) ** k
    for _ in range(max_iter):
        primal = y - X @ (u[0] - u[1])
        dual = 1 - _SIGN * stiffness * z - slack
        product = u ** (1 / k) * slack / stiffness
        spread = np.max(np.abs(np.log(product / goal)))
        if spread < 1e-3 and np.linalg.norm(primal) < 1e-8 * np.linalg.norm(y):
            return u[0] - u[1], nu
        gain = k * u / slack
        gram.set_weights(np.sum(gain, axis=0) * stiffness)

        def direction(change, primal=primal, dual=dual, gain=gain, u=u):
            """Newton step for a wanted relative change of the products."""
            base = k * u * change - gain * dual
            d_nu = gram.solve(primal - X @ (base[0] - base[1]), 1e-6)
            d_z = X.T @ d_nu
            d_slack = dual - _SIGN * stiffness * d_z
            return d_nu, d_z, k * u * change - gain * d_slack, d_slack

        # 2) Predictor straight to the goal: how far one may go sets the next target.
        _, _, d_u, d_slack = direction(goal / product - 1)
        ahead_u = np.maximum(u + _max_step(u, d_u) * d_u, 1e-300)
        ahead_slack = slack + _max_step(slack, d_slack) * d_slack
        ahead = np.mean(ahead_u ** (1 / k) * ahead_slack / stiffness)
        mean = np.mean(product)
        target = max(goal, min(1.0, (ahead / mean) ** 3) * mean)
        # 3) Corrector with the second-order term of the products.
        change = target / product - 1
        if target > 1.0001 * goal:
            change = change - np.clip(d_u / (k * u) * d_slack / slack, -2, 2)
        d_nu, d_z, d_u, d_slack = direction(change)
        room = min(_max_step(u, d_u), _max_step(slack, d_slack))
        length = room if room == 1 else 0.99 * room
        u, slack = u + length * d_u, slack + length * d_slack
        nu, z = nu + length * d_nu, z + length * d_z
        if not np.isfinite(length * np.sum(u)):
            break
    raise LimitError(
        f"The interior point method did not converge in {max_iter} steps. Rescale badly"
        " conditioned columns of X, or take a larger init_scale."
    )


def _max_step(values, change):
    """Return the longest step of at most 1 that keeps `values` positive."""
    falling = change < 0
    return min(1.0, np.min(-values[falling] / change[falling], initial=1.0))


def refine_vertex(problem, level, beta, nu, *, max_iter=50):
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
    X, y, depth, stiffness = problem.X, problem.y, problem.depth, problem.stiffness
    on = _support(1 - np.abs(stiffness * (X.T @ nu))) & (beta != 0)
    if not on.any():
        return None
    potential = problem.potential(level)
    inside, outside = potential.subset(on), potential.subset(~on)
    sign, beta = np.sign(beta[on]), beta.copy()
    X_on, X_off = X[:, on], X[:, ~on]
    solve = partial(lstsq, cond=max(X_on.shape) * _EPS, lapack_driver="gelsy")
    started = centered = False
    for _ in range(max_iter):
        # 1) The dual that meets the active slacks, nearest to the present one.
        theta = np.abs(inside.theta(beta[on]))
        slack = 2 / (np.exp(np.minimum(2 * theta, 700.0)) + 1)
        wanted = sign * (1 - slack) / stiffness[on]
        shift, _, rank, _ = solve(X_on.T, wanted - X_on.T @ nu)
        nu = nu + shift
        s_off = stiffness[~on] * (X_off.T @ nu)
        if np.max(np.abs(s_off), initial=0.0) >= 1 - 1e-9:
            return None
        # 2) Its part that no active feature sees.
        move = 0.0
        if rank < len(nu):
            if not started:  # the shortest such dual is often near the center
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
        change = root * (pull + solve(X_on * root, primal)[0])
        beta[on] += change
        if np.any(np.sign(beta[on]) != sign):
            return None
        if move < 1e-6 and np.sum(np.abs(change)) < 1e-14 * np.sum(np.abs(beta)):
            break
    nu = nu + solve(X_on.T, wanted - X_on.T @ nu)[0]
    residual = np.linalg.norm(y - X @ beta) / np.linalg.norm(y)
    mismatch = np.max(np.abs(X_on.T @ nu - wanted) * stiffness[on])
    steady = move < 1e-3 and np.sum(np.abs(change)) < 1e-12 * np.sum(np.abs(beta))
    certified = steady and residual < 1e-13 * len(y) and mismatch < 1e-11
    return (beta, nu) if certified else None


def _support(slack):
    """Return where slacks are small, cutting at the widest jump of their logs."""
    slack = np.maximum(slack, 1e-16)
    order = np.argsort(slack)
    logs = np.append(np.log(slack[order]), 0.0)
    logs = logs[: np.searchsorted(logs, np.log(0.1)) + 1]
    on = np.zeros(len(slack), dtype=bool)
    if len(logs) > 1:
        on[order[: np.argmax(np.diff(logs)) + 1]] = True
    return on


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
