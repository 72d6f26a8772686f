"""Matrices of least nuclear and least Frobenius norm that fit measurements."""

import warnings
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy.linalg import svdvals

from skregimes.limits._checks import check_array, check_scale
from skregimes.limits._measurements import Sensing, check_measurements, inconsistent
from skregimes.limits._nuclear_splitting import least_nuclear_norm
from skregimes.limits.min_norms import min_l2_norm

__all__ = ["NuclearNormSolution", "min_frobenius_norm", "min_nuclear_norm"]


@dataclass(frozen=True, eq=False)
class NuclearNormSolution:
    """A matrix of least nuclear norm, with its certificate.

    Made by `min_nuclear_norm`.

    Parameters
    ----------
    matrix : ndarray of shape (d1, d2)
        The solution.
    norm : float
        Its nuclear norm.
    gap : float
        By how much the objective at `matrix` may exceed the least one, as a share of
        itself: certified by `dual`.
    dual : ndarray of shape (n,)
        One multiplier a measurement (entries are in row-major order). ``sum_n dual_n
        A_n`` has a spectral norm of at most 1, and tends to a subgradient of the
        nuclear norm at the solution. With a penalty, the residual over the penalty.
    n_iter : int
        Iterations, of one symmetric eigendecomposition each.
    converged : bool
        Whether `gap` is at most ``tol``.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_nuclear_norm
    >>> table = [[4.0, 2.0, np.nan], [2.0, np.nan, 1.0], [np.nan, 1.0, 1.0]]
    >>> solution = min_nuclear_norm(table)
    >>> round(solution.norm, 3)
    6.0
    >>> solution.converged and solution.gap < 1e-3
    True
    """

    matrix: np.ndarray
    norm: float
    gap: float
    dual: np.ndarray
    n_iter: int
    converged: bool


def min_frobenius_norm(measurements, y=None, shape=None):
    """Return the matrix of least Frobenius norm that fits the measurements.

    The kernel limit of a matrix factorization with balanced, lifted or infinitely wide
    layers. For a table with holes it is zero in the holes: nothing is learned there.

    Parameters
    ----------
    measurements : array-like of shape (d1, d2) or (n, d1 * d2)
        Without `y` a table, of which NaN marks the holes (of a sparse one, entries
        that are not stored). With `y` the sensing matrices, one a row.
    y : array-like of shape (n,), default=None
        Inner products of the matrix with each of the sensing matrices.
    shape : tuple (d1, d2), default=None
        Shape of the matrix; needed with `y`.

    Returns
    -------
    matrix : ndarray of shape (d1, d2)
        In units of the table, or of y over those of the sensing matrices.

    Raises
    ------
    ValueError
        If an argument is out of its domain, or no matrix fits the measurements.
    LimitError
        A ``RuntimeError``: the solution could not be computed. The message says what to
        change.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural Tangent Kernel", NeurIPS 2018 (the kernel limit
    is a projection in the norm of the kernel, here a multiple of the identity).

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_frobenius_norm
    >>> min_frobenius_norm([[2.0, np.nan], [1.0, 1.0]])
    array([[2., 0.],
           [1., 1.]])
    >>> min_frobenius_norm([[1.0, 1.0, 0.0, 0.0]], y=[3.0], shape=(2, 2))
    array([[1.5, 1.5],
           [0. , 0. ]])
    """
    system = check_measurements(measurements, y, shape)
    if not isinstance(system, Sensing):
        return system.adjoint(system.y)
    matrix = min_l2_norm(system.A, system.y).reshape(system.shape)
    _check_fit(system, matrix, "fit the least squares by min_l2_norm")
    return matrix


def min_nuclear_norm(
    measurements,
    y=None,
    shape=None,
    *,
    penalty=0.0,
    tol=1e-6,
    max_iter=5000,
    warm_start=None,
):
    r"""Return the matrix of least nuclear norm that fits the measurements.

    ``argmin |M|_*`` subject to ``<A_n, M> = y_n`` or, with a penalty, ``argmin sum_n
    (<A_n, M> - y_n)**2 / 2 + penalty * |M|_*``: the limit of a matrix factorization of
    two layers under weight decay of that strength, if it is wide enough. Small initial
    weights come near it where measurements commute or are plentiful.

    Parameters
    ----------
    measurements : array-like of shape (d1, d2) or (n, d1 * d2)
        Without `y` a table, of which NaN marks the holes (of a sparse one, entries
        that are not stored). With `y` the sensing matrices, one a row.
    y : array-like of shape (n,), default=None
        Inner products of the matrix with each of the sensing matrices.
    shape : tuple (d1, d2), default=None
        Shape of the matrix; needed with `y`.
    penalty : float, default=0.0
        Zero asks for an interpolant. In units of the singular values of ``sum_n y_n
        A_n``, of which the largest is the least penalty that makes the solution zero.
    tol : float, default=1e-6
        Largest relative duality gap.
    max_iter : int, default=5000
        Largest number of iterations.
    warm_start : NuclearNormSolution, default=None
        Solution for the same measurements and a penalty nearby.

    Returns
    -------
    solution : NuclearNormSolution
        With ``matrix``, ``norm``, ``gap``, ``dual``, ``n_iter`` and ``converged``.

    Raises
    ------
    ValueError
        If an argument is out of its domain, or no matrix fits the measurements.
    LimitError
        A ``RuntimeError``: the penalty is positive, but too small for double precision.

    Warns
    -----
    RuntimeWarning
        If the gap is above `tol` after `max_iter` iterations.

    Notes
    -----
    Alternating direction method of multipliers (Douglas-Rachford splitting) with a step
    chosen by residual balancing and safeguarded Anderson acceleration, on dense
    matrices. An interpolant fits to rounding; a penalized solution has exact low rank.
    2000 entries of 100 x 100 take about a second.

    References
    ----------
    Candès and Recht, "Exact Matrix Completion via Convex Optimization", Foundations of
    Computational Mathematics 9, 2009. Srebro, Rennie and Jaakkola, "Maximum-Margin
    Matrix Factorization", NeurIPS 2004, Lemma 1 (weight decay). Boyd et al.,
    "Distributed Optimization and Statistical Learning via the Alternating Direction
    Method of Multipliers", Foundations and Trends in Machine Learning 3, 2011, Sections
    3.4.1 and 3.4.3. Fu, Zhang and Boyd, "Anderson Accelerated Douglas-Rachford
    Splitting", SIAM Journal on Scientific Computing 42, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_nuclear_norm
    >>> table = [[4.0, 2.0, np.nan], [2.0, np.nan, 1.0], [np.nan, 1.0, 1.0]]
    >>> min_nuclear_norm(table).matrix.round(3)
    array([[4., 2., 2.],
           [2., 1., 1.],
           [2., 1., 1.]])
    """
    system = check_measurements(measurements, y, shape)
    penalty = float(check_array(penalty, "penalty", (0,)))
    if penalty < 0:
        raise ValueError(f"penalty must not be negative; got {penalty:g}.")
    tol = check_scale(tol, "tol")
    if not isinstance(max_iter, Integral) or max_iter < 1:
        raise ValueError(f"max_iter must be a positive integer; got {max_iter!r}.")
    start = None
    if warm_start is not None:
        start = _check_warm_start(warm_start, system)
    # Measurements that repeat others change nothing but make the system singular.
    problem, lift = system, lambda dual: dual
    if penalty == 0:
        problem, lift = system.independent()
        nearest = problem.adjoint(problem.solve(problem.y, 0.0))
        _check_fit(system, nearest, "take a penalty above zero")
    matrix, gap, dual, n_iter = least_nuclear_norm(
        problem, penalty, tol, max_iter, start
    )
    converged = gap <= tol
    if not converged:
        warnings.warn(
            f"The nuclear norm is certified to a relative {gap:.1g} only, after"
            f" {n_iter} iterations: increase max_iter, or tol ({tol:g}).",
            RuntimeWarning,
            stacklevel=2,
        )
    norm = float(svdvals(matrix).sum())
    return NuclearNormSolution(matrix, norm, gap, lift(dual), n_iter, converged)


def _check_fit(system, matrix, way_out):
    """Refuse measurements that contradict each other."""
    if inconsistent(system.measure(matrix), system.y):
        raise ValueError(
            "No matrix fits the measurements: they contradict each other. Drop those"
            f" that repeat others, or {way_out}."
        )


def _check_warm_start(solution, system):
    """Return the matrix and the subgradient of another solution."""
    if not isinstance(solution, NuclearNormSolution):
        raise ValueError("warm_start must be a result of min_nuclear_norm.")
    if solution.matrix.shape != system.shape or len(solution.dual) != len(system.y):
        raise ValueError(
            f"warm_start is for {len(solution.dual)} measurements of a matrix of shape"
            f" {solution.matrix.shape}; these are {len(system.y)}, of {system.shape}."
        )
    return solution.matrix, system.adjoint(solution.dual)
