"""The matrices that a factorization visits, rank by rank, from a vanishing start."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy.integrate import BDF
from scipy.linalg import eigh
from scipy.sparse import issparse

from skregimes.limits._checks import LimitError, check_scale
from skregimes.limits._measurements import check_measurements

__all__ = ["GreedyPoint", "greedy_low_rank_path"]

_ESCAPE = 1e-8  # size of a new component, relative to its best size
_RTOL = 1e-7  # of the stiff integrator
_MAX_STEPS = 2000  # of the integrator, for one rank; it takes a few hundred
_FAR = 100  # size of a matrix, relative to the data, that counts as infinite
_NEAR, _STILL = 1e-7, 1e-12  # fall of the gradient: try Newton's method; give up
_REACH = 0.03  # largest step of Newton's method, relative to the factors
_FLAT = 1e-10  # curvature, relative to the largest, that counts as none
_SOLVED = 1e-3  # fall of the gradient that Newton's method must bring
_DESCENT = 1e-6  # negative curvature, relative to the largest, of a saddle


@dataclass(frozen=True, eq=False)
class GreedyPoint:
    """A point of the greedy path; made by `greedy_low_rank_path`.

    Parameters
    ----------
    rank : int
        Number of components.
    matrix : ndarray of shape (d1, d2)
        Where gradient flow of a factorization of that width comes to rest.
    loss : float
        ``sum_n (<A_n, matrix> - y_n)**2 / 2``.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import greedy_low_rank_path
    >>> point = greedy_low_rank_path(np.diag([3.0, 2.0, 1.0]))[1]
    >>> point.matrix.round(3) + 0.0
    array([[3., 0., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    """

    rank: int
    matrix: np.ndarray
    loss: float


def greedy_low_rank_path(measurements, y=None, shape=None, *, max_rank=None, tol=1e-12):
    """Return the limits that gradient flow from a vanishing start passes, by rank.

    Greedy low-rank learning: from rank 0, the zero matrix, add an infinitesimal
    multiple of the top singular pair of minus the gradient, follow the gradient flow of
    the factors to its limit, and repeat. Gradient flow of ``M = U @ V.T`` from small
    random factors passes by all of these points one after another, and from a smaller
    start more closely and for longer. So do deeper factorizations, the more sharply.

    Parameters
    ----------
    measurements : array-like of shape (d1, d2) or (n, d1 * d2)
        Without `y` a table, of which NaN marks the holes (of a sparse one, entries
        that are not stored). With `y` the sensing matrices, one a row.
    y : array-like of shape (n,), default=None
        Inner products of the matrix with each of the sensing matrices.
    shape : tuple (d1, d2), default=None
        Shape of the matrix; needed with `y`.
    max_rank : int, default=None
        Largest rank; None means ``min(d1, d2)``.
    tol : float, default=1e-12
        The path ends when the loss, relative to that of the zero matrix, is under
        `tol`, or no component lowers it.

    Returns
    -------
    path : list of GreedyPoint
        With ``rank``, ``matrix`` and ``loss``: of rank 0, 1, 2, ...

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    LimitError
        A ``RuntimeError``: the flow of some rank has no limit, as where no matrix of
        that rank is best, or was not followed to it. The message says what to change.

    Notes
    -----
    The flow is followed by an implicit method with the exact Hessian, so that the limit
    is the one that the flow chooses; Newton's method finishes close to it. Each step
    factors a matrix of order ``rank * (d1 + d2)``: meant for up to some thousand. The
    path is unique if the top singular value is simple at each point. Where little is
    measured a point may be far away, or infinitely far, and reached very late: the flow
    from a start of ordinary size turns to the next rank before.

    References
    ----------
    Li, Luo and Lyu, "Towards Resolving the Implicit Bias of Gradient Descent for Matrix
    Factorization: Greedy Low-Rank Learning", ICLR 2021, Algorithm 1.

    Examples
    --------
    With every entry seen, the points are the truncated singular value decompositions.

    >>> import numpy as np
    >>> from skregimes.limits import greedy_low_rank_path
    >>> path = greedy_low_rank_path(np.diag([3.0, 2.0, 1.0]))
    >>> [(point.rank, round(point.loss, 6)) for point in path]
    [(0, 7.0), (1, 2.5), (2, 0.5), (3, 0.0)]
    """
    system = check_measurements(measurements, y, shape)
    limit = min(system.shape)
    if max_rank is not None:
        if not isinstance(max_rank, Integral) or max_rank < 0:
            raise ValueError(
                f"max_rank must be an integer of at least 0; got {max_rank!r}."
            )
        limit = min(limit, max_rank)
    tol = check_scale(tol, "tol")
    factors = np.zeros((sum(system.shape), 0))
    path, unit = [_point(system, factors)], 0.0
    steepest = np.linalg.norm(_gradient(system, factors), 2)
    while len(path) <= limit and path[-1].loss > tol * path[0].loss:
        U, s, Vt = np.linalg.svd(-_gradient(system, factors))
        if s[0] <= np.sqrt(tol) * steepest:
            break
        pair = np.concatenate([U[:, 0], Vt[0]])
        # The loss is lowest at this distance along the pair.
        best = s[0] / np.sum(system.measure(np.outer(U[:, 0], Vt[0])) ** 2)
        unit = max(unit, best)
        new = np.sqrt(_ESCAPE * best) * pair
        factors = _descend(system, np.column_stack([factors, new]), unit)
        path.append(_point(system, factors))
    return path


def _point(system, factors):
    """Return the point of stacked factors."""
    left, right = np.split(factors, [system.shape[0]])
    matrix = left @ right.T
    misfit = system.measure(matrix) - system.y
    return GreedyPoint(factors.shape[1], matrix, float(misfit @ misfit / 2))


def _gradient(system, factors):
    """Return the gradient of the loss by the matrix."""
    left, right = np.split(factors, [system.shape[0]])
    return system.adjoint(system.measure(left @ right.T) - system.y)


def _descend(system, factors, unit):
    """Follow the gradient flow of stacked factors, (d1 + d2, k), to its limit.

    `unit` is the size of the matrix to expect.
    """
    shape, (d1, d2) = factors.shape, system.shape

    def slope(w):
        w = w.reshape(shape)
        G = _gradient(system, w)
        return np.concatenate([G @ w[d1:], G.T @ w[:d1]]).ravel()

    def hessian(w):
        w = w.reshape(shape)
        J = system.jacobian(w[:d1], w[d1:])
        gauss_newton = J.T @ J
        if issparse(gauss_newton):
            gauss_newton = gauss_newton.toarray()
        G = _gradient(system, w)
        cross = np.block([[np.zeros((d1, d1)), G], [G.T, np.zeros((d2, d2))]])
        return gauss_newton + np.kron(cross, np.eye(shape[1]))

    flow = BDF(
        lambda _, w: -slope(w),
        0.0,
        factors.ravel(),
        np.inf,
        rtol=_RTOL,
        atol=_RTOL * np.max(np.abs(factors[:, -1])),
        jac=lambda _, w: -hessian(w),
    )
    steepest, near = 0.0, _NEAR
    for _ in range(_MAX_STEPS):
        flow.step()
        if flow.y @ flow.y > 2 * _FAR * unit:
            raise LimitError(
                f"The flow of rank {shape[1]} has no limit, or one over {_FAR} times as"
                " large as the data: too little is measured for that rank. Take"
                f" max_rank={shape[1] - 1}."
            )
        size = float(np.linalg.norm(slope(flow.y)))
        steepest = max(steepest, size)
        if size < near * steepest:
            end = _newton(slope, hessian, flow.y)
            if end is not None:
                return end.reshape(shape)
            near *= 0.1
        if near < _STILL:
            raise LimitError(
                f"The flow of rank {shape[1]} rests where there is no minimum, as at a"
                " saddle that the symmetry of the measurements does not let it leave."
                f" Perturb them a little, or take max_rank={shape[1] - 1}."
            )
    raise LimitError(
        f"The flow of rank {shape[1]} did not come to rest within {_MAX_STEPS} steps."
        f" Take max_rank={shape[1] - 1}."
    )


def _newton(slope, hessian, w):
    """Return the minimum next to w, or None if there may be none.

    The factors of a matrix are not unique, so some curvatures are zero: steps have no
    part along them.
    """
    reach = _REACH * np.linalg.norm(w)
    first = g = slope(w)
    while True:
        curvature, modes = eigh(hessian(w))
        if curvature[0] < -_DESCENT * curvature[-1]:
            return None
        modes = modes[:, curvature > _FLAT * curvature[-1]]
        step = modes @ ((modes.T @ g) / curvature[-modes.shape[1] :])
        reach -= np.linalg.norm(step)
        if reach < 0:
            return None
        new = slope(w - step)
        if not np.linalg.norm(new) < 0.1 * np.linalg.norm(g):
            # Unless the gradient all but vanished, some of it lies where it is flat.
            return w if np.linalg.norm(g) <= _SOLVED * np.linalg.norm(first) else None
        w, g = w - step, new
