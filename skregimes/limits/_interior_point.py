"""Small scales at depth >= 3, where the limit is a central path.

With ``u = w**depth`` for the two layers and slacks ``1 -+ s`` the limit of a balanced
start satisfies ``u**(1/k) * slack = stiffness * scale**(depth - 2)``: the central path
of a weighted l1 problem under a power barrier. So a primal-dual predictor-corrector
method in the manner of Mehrotra reaches any scale in a few tens of factorizations.
"""

import numpy as np

from skregimes.limits._checks import LimitError

__all__ = ["barrier_level", "interior_point"]

_SIGN = np.array([[1.0], [-1.0]])  # of the plus and the minus layer


def barrier_level(depth, barrier):
    """Return ``depth * log(scale)`` at which ``scale**(depth - 2)`` is `barrier`."""
    return depth / (depth - 2) * np.log(barrier)


def interior_point(problem, level, start, theta, nu, *, max_iter=80):
    """Solve the equations of a balanced start at a small level, to about 1e-3.

    Parameters
    ----------
    problem : LimitProblem
        Depth >= 3.
    level : float
        Wanted ``depth * log(scale)``.
    start : float
        Level of the starting point.
    theta, nu : ndarray of shape (d,) and (n,)
        Starting point, on the central path at `start`; it need not fit y.

    Returns
    -------
    beta, nu : ndarray
        Within reach of Newton's method.
    """
    X, y, gram, stiffness = problem.X, problem.y, problem.gram, problem.stiffness
    k = problem.depth / (problem.depth - 2)
    goal = np.exp(level / k)
    # 1) Start: slacks 1 -+ tanh(theta), without cancellation.
    z = X.T @ nu
    slack = 2 / (1 + np.exp(np.minimum(2 * _SIGN * theta, 700.0)))
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
    raise LimitError(f"The interior point method did not converge in {max_iter} steps.")


def _max_step(values, change):
    """Return the longest step of at most 1 that keeps `values` positive."""
    falling = change < 0
    return min(1.0, np.min(-values[falling] / change[falling], initial=1.0))
