"""Newton's method and path following for the stationarity equations of a limit.

The infinite-time limit of a diagonal net solves, in ``beta`` and the dual ``nu``,

    ``X beta = y``,    ``s(beta) = s(beta_0) + stiffness * (X.T nu)``,

where ``s`` is the scaled mirror map (`DiagonalPotential`). Iterating on both unknowns
keeps ``beta`` accurate to rounding where ``s`` saturates and ``nu`` alone could not
resolve it. Scales enter as ``level = depth * log(scale)``, so none is too small.
"""

import numpy as np

from skregimes.limits._checks import LimitError
from skregimes.limits._gram import GramSolver
from skregimes.limits.potentials import DiagonalPotential, _log_2sinh, _log_cosh

__all__ = ["LimitProblem", "follow_path", "newton"]

_EPS = np.finfo(float).eps
_TOL = 1e-12
# Largest change of theta in one Newton step: theta is a logarithm of beta at depth 2.
_MAX_MOVE = {2: 8.0}


class LimitProblem:
    """One target's equations, in units where the coefficients are of order one.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Full row rank, ``n < d``.
    y : ndarray of shape (n,)
    depth : int
        At least 2.
    log_shape : ndarray of shape (d,)
        Log of the relative initial weights, at most 0.
    start : ndarray of shape (d,)
        Initial coefficients.
    gram : GramSolver
        Solver of weighted Gram systems of X.
    """

    def __init__(self, X, y, depth, log_shape, start, gram: GramSolver):
        self.X, self.y, self.depth = X, y, depth
        self.log_shape, self.start, self.gram = log_shape, start, gram
        self.biased = bool(np.any(start))
        self.stiffness = np.exp((depth - 2) * log_shape)
        # d beta / d s over scale**depth at the kernel limit.
        self.kernel_rate = 2.0 if depth == 2 else 2 * depth / (depth - 2)

    def potential(self, level):
        """Return the mirror potential at ``level = depth * log(scale)``."""
        return DiagonalPotential(self.depth, level / self.depth + self.log_shape)

    def kernel_level(self, solution):
        """Return the level above which the kernel solution is a good start."""
        size = np.maximum(np.abs(solution), np.abs(self.start))
        with np.errstate(divide="ignore"):
            return float(np.max(np.log(size) - self.depth * self.log_shape))

    def dual(self, nu):
        """Return the scaled dual ``s`` less that of the start."""
        return self.stiffness * (self.X.T @ nu)

    def dual_gap(self, theta, theta_start):
        """Return ``s(theta) - s(theta_start)`` without cancellation near the poles."""
        change = theta - theta_start
        if self.depth == 2:
            return change
        # tanh a - tanh b = sinh(a - b) / (cosh a cosh b)
        log = _log_2sinh(np.abs(change)) - _log_cosh(theta) - _log_cosh(theta_start)
        return np.sign(change) * np.exp(log) / 2


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def newton(problem, level, beta, nu, *, tol=_TOL, max_iter=30):
    """Solve the equations at one level from a nearby point.

    Returns
    -------
    beta, nu : ndarray
    n_iter : int
        Number of steps, or None if the iteration failed.
    """
    X, gram, stiffness = problem.X, problem.gram, problem.stiffness
    potential = problem.potential(level)
    theta_start = potential.theta(problem.start)
    cap = _MAX_MOVE.get(problem.depth, 2.0)
    loose = tol > 1e-6
    z = X.T @ nu
    last = np.inf, np.inf
    for n_iter in range(1, max_iter + 1):
        theta = potential.theta(beta)
        slope = potential.slope(theta)
        if not np.isfinite(slope).all():
            return beta, nu, None
        # 1) Residuals, over all columns: the fixed point is exact.
        dual = stiffness * z - problem.dual_gap(theta, theta_start)
        primal = problem.y - X @ (beta + slope * dual)
        # 2) Newton direction, no finer than the next step is quadratic.
        gram.set_weights(slope * stiffness)
        d_nu = gram.solve(primal, np.clip(last[0], 1e-8, 1e-3))
        d_z = X.T @ d_nu
        d_s = stiffness * d_z + dual
        d_beta = slope * d_s
        d_theta = d_s if problem.depth == 2 else d_s * np.exp(2 * _log_cosh(theta))
        size = np.sum(np.abs(beta))
        change = np.sum(np.abs(d_beta)) / size if size > 0 else np.inf
        move = np.max(np.abs(d_theta))
        if not np.isfinite(move) or (loose and n_iter > 2 and change > 50):
            return beta, nu, None
        # 3) Step: additive in beta where the map is nearly linear (which keeps
        #    X beta = y to rounding), in theta and shortened where it is not.
        length = min(1.0, cap / move) if move > 0.3 else 1.0
        linear = np.abs(d_theta) * length <= 0.3
        beta = np.where(
            linear, beta + length * d_beta, potential.coef(theta + length * d_theta)
        )
        nu, z = nu + length * d_nu, z + length * d_z
        # 4) Stop at the tolerance, or when steps are the rounding noise of `dual`;
        #    negligible features too are wanted to some digits, if they have any.
        if loose:
            done = change < tol and move < 2
        else:
            noise = 10 * _EPS * np.sum(slope) / size if size > 0 else 0.0
            small = change < tol or 0.3 * last[0] < change < max(1e-11, noise)
            done = small and (move < 1e-3 or 0.3 * last[1] < move < 0.3)
        if done:
            return beta, nu, n_iter
        last = change, move
    return beta, nu, None


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def follow_path(problem, level, target, beta, nu, *, max_steps=400):
    """Follow the solution from `level` to `target` by predictor and corrector.

    At fixed dual ``d beta / d level = beta``; the tangent adds the change of nu that
    keeps ``X beta = y`` and the coefficients of the start.
    """
    X, gram, stiffness = problem.X, problem.gram, problem.stiffness
    length = 2.0
    for _ in range(max_steps):
        if level == target:
            return beta, nu
        step = np.clip(target - level, -length, length)
        last = abs(target - level) <= length
        ahead = target if last else level + step
        # 1) Tangent.
        potential = problem.potential(level)
        theta, slope = potential.theta(beta), potential.slope(potential.theta(beta))
        anchor = 0.0
        if problem.biased:
            anchor = problem.start / potential.slope(potential.theta(problem.start))
        gram.set_weights(slope * stiffness)
        d_nu = gram.solve(X @ (slope * anchor - beta), 1e-3)
        d_s = stiffness * (X.T @ d_nu) - anchor
        if problem.depth == 2:
            guess = problem.potential(ahead).coef(theta + step * d_s)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                growth = step * np.where(beta != 0, 1 + slope * d_s / beta, 0.0)
            guess = beta * np.exp(np.clip(growth, -4 * abs(step), 4 * abs(step)))
        # 2) Corrector: loose on the way, to rounding at the end.
        effort = {} if last else {"tol": 3e-2, "max_iter": 8}
        new_beta, new_nu, n_iter = newton(
            problem, ahead, guess, nu + step * d_nu, **effort
        )
        if n_iter is None:
            length = abs(step) / 3
            if length < 1e-3:
                break
            continue
        beta, nu, level = new_beta, new_nu, ahead
        length = abs(step) * (3.0 if n_iter <= 2 else 1.5 if n_iter <= 4 else 1.0)
    raise LimitError(
        "The path of solutions was lost at"
        f" {np.exp((level - target) / problem.depth):g} times the wanted init_scale."
    )
