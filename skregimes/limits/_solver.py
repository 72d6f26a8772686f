"""The limit of a diagonal net, one target at a time: reduction, units, road."""

import numpy as np
from scipy.linalg import qr, solve_triangular

from skregimes.limits._checks import LimitError
from skregimes.limits._gram import GramSolver, RowBasis
from skregimes.limits._interior_point import barrier_level, interior_point
from skregimes.limits._newton import LimitProblem, follow_path, newton
from skregimes.limits._vertex import refine_vertex

__all__ = ["NetworkLimit", "kernel_solution"]

# Barriers scale**(depth - 2), relative to the coefficients: under the first, active
# features are eliminated; under the second, 1 - |s| drowns in rounding.
_VERTEX, _FLOOR = 1e-4, 1e-9
# This far above the kernel level (in depth * log(scale)) the correction to the kernel
# solution, of relative size exp(-2 * level), is under rounding.
_KERNEL = 20.0
# exp(level) must stay a normal number where it is formed (depth 2).
_LOWEST = -650.0
# Largest residual of X beta = y, relative to its terms, that is returned; and that
# above which the kernel solution is computed anew from an orthogonal factorization.
_MISFIT, _KERNEL_MISFIT = 1e-10, 1e-12
# Beyond this change of log(scale) a warm start is no better than the kernel limit.
_WARM_REACH = 1.5


class NetworkLimit:
    """What all targets share: the live features and the independent equations."""

    def __init__(
        self, X, depth, shape, start, *, shape_name="init_shape", screening=True
    ):
        self.depth, self.shape, self.start = depth, shape, start
        self.shape_name = shape_name
        # A zero column never moves, and its weights say nothing of the others.
        self.live = X.any(axis=0)
        if not self.live.all():
            X = X[:, self.live]
        self.n_samples = len(X)
        size = max(X.max(initial=0.0), -X.min(initial=0.0))
        self.unit = 1.0 if 1e-75 < size < 1e75 or size == 0 else size
        self.X = X if self.unit == 1 else X / self.unit
        log_shape = np.log(shape[self.live])
        self.log_top = np.max(log_shape, initial=-np.inf)
        self.log_shape = log_shape - self.log_top
        if self.live.any():
            self.basis = RowBasis(self.X)
            self.gram = GramSolver(
                self.basis.rows, self.basis.gram, screening=screening
            )

    def solve(self, y, scale, warm=None):
        """Return one target's coefficients and dual, and the scale they belong to.

        That scale is the wanted one, unless double precision does not resolve it. An
        infinite scale stands for the kernel limit, whose dual is the multiplier.
        """
        coef, dual = self.start.copy(), np.zeros(self.n_samples)
        if self.live.any():
            hint = warm and (warm[0], warm[1][self.live], warm[2])
            try:
                coef[self.live], dual, solved = self._solve_live(
                    y / self.unit, scale, hint
                )
            except LimitError as error:
                if warm is not None:  # of other data, say: start afresh
                    return self.solve(y, scale)
                raise LimitError(f"{error} {self._advice(scale)}") from error
            scale = solved
        if not (np.isfinite(coef).all() and np.isfinite(dual).all()):
            raise LimitError(
                "The limit overflows double precision. Rescale X, y and init_scale."
            )
        return coef, dual, scale

    def _advice(self, scale):
        """Return what the caller can do about a limit that could not be computed."""
        ways = ["rescale badly conditioned columns of X"]
        if np.ptp(self.log_shape) > 0:
            ways.insert(0, f"narrow the range of {self.shape_name}")
        if self.depth > 1 and np.isfinite(scale):
            ways.append("take a larger init_scale")
        return ", or ".join(ways).capitalize().replace(" x", " X") + "."

    def _solve_live(self, y, scale, warm):
        basis, start = self.basis, self.start[self.live]
        goal = basis.project(y)
        moved = basis.project(y - self.X @ start) if start.any() else goal
        if not moved.any():
            return start, np.zeros(self.n_samples), scale
        # s does not depend on the units of X nor on the height of the shape.
        dual_unit = self.unit * np.exp(max(self.depth - 2, 0) * self.log_top)
        if warm is not None:
            old, coef, dual = warm
            warm = old, coef, basis.drop(dual * dual_unit)
        beta, nu, scale = self._solve_reduced(goal, start, scale, warm)
        misfit = _misfit(self.gram, goal, beta)
        if misfit > _MISFIT:
            raise LimitError(
                "The computed limit does not solve the least-squares problem: its"
                f" relative residual is {misfit:.1g}."
            )
        return beta, basis.lift(nu) / dual_unit, scale

    def _solve_reduced(self, goal, start, scale, warm):
        """Return beta with ``rows @ beta = goal``, nu, and the scale they belong to."""
        rows, depth = self.basis.rows, self.depth
        # 1) The kernel solution: the answer at depth 1, the unit of beta beyond.
        kernel, multiplier = kernel_solution(
            self.gram, goal, start, (depth - 1) * self.log_shape
        )
        if depth == 1 or np.isinf(scale):
            return kernel, multiplier, scale
        unit = max(np.max(np.abs(kernel)), np.max(np.abs(start)))
        kernel, multiplier = kernel / unit, multiplier / unit
        level_of = lambda scale: depth * (np.log(scale) + self.log_top) - np.log(unit)
        level = solved = level_of(scale)
        problem = LimitProblem(
            rows, goal / unit, depth, self.log_shape, start / unit, self.gram
        )

        # 2) One least-squares solution, or the general case.
        if self.basis.rank == len(start):
            beta = rows.T @ problem.y
            potential = problem.potential(level)
            change = problem.dual_gap(
                potential.theta(beta), potential.theta(problem.start)
            )
            nu = rows @ (change / problem.stiffness)
        else:
            if warm is not None:
                old, coef, nu = warm
                warm = level_of(old), coef / unit, nu
            beta, nu, solved = _solve_scaled(problem, level, kernel, multiplier, warm)
        if solved > level:
            scale = scale * np.exp((solved - level) / depth)
        return beta * unit, nu, scale


def _misfit(gram, y, beta):
    """Return the largest residual of ``X beta = y``, relative to its terms."""
    terms = np.max(np.abs(y)) + np.sqrt(gram.column_norms) @ np.abs(beta)
    return np.max(np.abs(y - gram.X @ beta)) / terms


def kernel_solution(gram, y, start, log_root):
    """Return ``start + root**2 * (X.T @ m)`` with ``X beta = y``, and m.

    Weights over many decades make the Gram matrix singular to rounding: there, an
    orthogonal factorization takes over.
    """
    X, root = gram.X, np.exp(log_root)
    weights = root**2
    gram.set_weights(weights)
    beta, multiplier = start, np.zeros_like(y)
    for _ in range(2):  # the second round is iterative refinement
        multiplier = multiplier + gram.solve(y - X @ beta)
        beta = start + weights * (X.T @ multiplier)
    misfit = _misfit(gram, y, beta)
    if misfit > _KERNEL_MISFIT:
        graded = _graded_solution(X, y, start, root)
        if _misfit(gram, y, graded[0]) < misfit:
            return graded
    return beta, multiplier


@np.errstate(over="ignore", invalid="ignore")
def _graded_solution(X, y, start, root):
    """Return the kernel solution for weights ``root**2`` of any range, and m.

    Householder QR of ``diag(root) X.T`` with column pivoting and rows sorted by size is
    backward stable row by row (Cox and Higham, "Stability of Householder QR
    Factorization for Weighted Least Squares Problems", 1998), so light features keep
    their digits next to heavy ones.
    """
    scaled = (X * root).T
    order = np.argsort(-np.max(np.abs(scaled), axis=1))
    Q, R, pivots = qr(scaled[order], mode="economic", pivoting=True)
    beta, multiplier = start, np.zeros_like(y)
    if not np.all(np.diag(R)):  # weights that underflow leave equations empty
        return beta, multiplier
    for _ in range(2):  # the second round is iterative refinement
        part = solve_triangular(R, (y - X @ beta)[pivots], trans="T")
        step = np.empty_like(beta)
        step[order] = Q @ part
        beta = beta + root * step
        multiplier[pivots] += solve_triangular(R, part)
    return beta, multiplier


def _solve_scaled(problem, level, kernel, multiplier, warm):
    """Choose the road by depth and scale; coefficients are of order one here.

    Returns beta, nu and the level they belong to.
    """
    if problem.depth == 2 and level < _LOWEST:
        raise ValueError(
            "init_scale is too small for depth 2 in double precision: its square must"
            f" exceed exp({_LOWEST:g}) times the largest coefficient. Use min_l1_norm."
        )
    top = problem.kernel_level(kernel)
    if level > top + _KERNEL:
        return kernel, multiplier * np.exp(-level) / problem.kernel_rate, level
    if warm is not None and level < top:
        solution = _from_warm(problem, level, warm)
        if solution is not None:
            return solution
    if problem.depth == 2 or problem.biased or level >= top:
        return _from_kernel(problem, level, max(top, level), kernel, multiplier)
    # The kernel direction, shrunk into the box.
    nu = multiplier * np.exp(-top) / problem.kernel_rate
    s = problem.dual(nu)
    shrink = min(1.0, 0.9 / np.max(np.abs(s), initial=1e-300))
    # Not the dual of shrink * nu, whose rounding may leave the box.
    return _by_interior_point(problem, level, top, np.arctanh(shrink * s), shrink * nu)


def _from_kernel(problem, level, top, kernel, multiplier):
    """Follow the path of solutions down from the kernel limit."""
    goal = max(level, _floor(problem))
    for begin in top + np.arange(0.0, 12.0, 3.0):
        nu = multiplier * np.exp(-begin) / problem.kernel_rate
        effort = {"tol": 3e-2, "max_iter": 8} if begin > goal else {}
        beta, nu, n_iter = newton(problem, begin, kernel, nu, **effort)
        if n_iter is not None:
            return *follow_path(problem, begin, goal, beta, nu), goal
    raise LimitError("Newton's method did not converge from the kernel limit.")


def _by_interior_point(problem, level, start, theta, nu):
    """Depth >= 3, balanced start: any scale under the kernel regime."""
    solved = max(level, _floor(problem))
    beta, nu = interior_point(problem, solved, start, theta, nu)
    if level < barrier_level(problem.depth, _VERTEX):
        vertex = refine_vertex(problem, level, beta, nu)
        if vertex is not None:
            return *vertex, level
    beta, nu, n_iter = newton(problem, solved, beta, nu)
    if n_iter is None:
        raise LimitError(
            "Newton's method did not converge from the interior point solution."
        )
    return beta, nu, solved


def _from_warm(problem, level, warm):
    """Return the solution reached from that of a nearby scale, or None."""
    begin, beta, nu = warm
    lowest = min(level, begin)
    if problem.depth == 2 or (problem.biased and lowest >= _floor(problem)):
        if begin != level:
            return *follow_path(problem, begin, level, beta, nu), level
        beta, nu, n_iter = newton(problem, level, beta, nu)
        return None if n_iter is None else (beta, nu, level)
    if problem.biased:
        return None
    if lowest < barrier_level(problem.depth, _VERTEX):
        vertex = refine_vertex(problem, level, beta, nu)
        if vertex is not None:
            return *vertex, level
    if lowest < _floor(problem) or abs(begin - level) > _WARM_REACH * problem.depth:
        return None
    theta = problem.potential(begin).theta(beta)
    return _by_interior_point(problem, level, begin, theta, nu)


def _floor(problem):
    """Return the least level that Newton's method resolves."""
    return -np.inf if problem.depth == 2 else barrier_level(problem.depth, _FLOOR)
