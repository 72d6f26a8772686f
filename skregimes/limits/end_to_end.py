"""Gradient flow of a deep factorization, written for its product alone."""

import math
from numbers import Integral

import numpy as np
from scipy.integrate import solve_ivp

from skregimes.limits._checks import LimitError, check_array

__all__ = ["end_to_end_flow"]


def end_to_end_flow(gradient, M0, depth, times, *, rtol=1e-10):
    r"""Follow the product of balanced factors under gradient flow.

    For ``M = W_L @ ... @ W_1`` with ``W_{j+1}.T @ W_{j+1} = W_j @ W_j.T`` at the start,
    the flow of the factors moves the product by

        ``dM/dt = -sum_{p=1..L} (M M^T)^((L-p)/L) G (M^T M)^((p-1)/L)``,

    G being the gradient of the loss at M: it depends on the width through the rank of
    M alone, which does not change. The limit of many layers, with time divided by L,
    is ``dM/dt = -int_0^1 (M M^T)^(1-t) G (M^T M)^t dt``.

    Parameters
    ----------
    gradient : callable
        Returns the gradient of the loss, of shape (d1, d2), for a matrix M.
    M0 : array-like of shape (d1, d2)
        Product at time zero.
    depth : int or math.inf
        Number of layers L, at least 2.
    times : float or array-like of shape (n_times,)
        Flow times at which to return the product, at least zero, increasing.
        If the depth is infinite, the limit of L times that of L layers.
    rtol : float, default=1e-10
        Relative tolerance of the integrator.

    Returns
    -------
    M : ndarray of shape (n_times, d1, d2) or (d1, d2)
        The product; one matrix for one number.

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    LimitError
        A ``RuntimeError``: the integrator stopped, as for a loss without lower bound.

    Notes
    -----
    Integrated by an explicit Runge-Kutta method of order 8, one singular value
    decomposition an evaluation: meant for small matrices. Singular values smaller than
    the largest by more than 1e13 count as zero at the start. Later, errors are relative
    to the largest, so small ones are known to fewer digits.

    References
    ----------
    Arora, Cohen and Hazan, "On the Optimization of Deep Networks", ICML 2018, Theorem
    1. Bah et al., "Learning Deep Linear Neural Networks: Riemannian Gradient Flows and
    Convergence to Global Minimizers", Information and Inference 11, 2022 (the rank).
    Cohen, Menon and Veraszto, "Deep Linear Networks for Matrix Completion: An Infinite
    Depth Limit", SIAM Journal on Applied Dynamical Systems 22, 2023.

    Examples
    --------
    The singular values of a matrix are learned one after another.

    >>> import numpy as np
    >>> from skregimes.limits import end_to_end_flow
    >>> target = np.diag([2.0, 1.0])
    >>> path = end_to_end_flow(lambda M: M - target, 1e-4 * np.eye(2), 2, [0, 3, 12])
    >>> np.linalg.svdvals(path).round(3)
    array([[0.   , 0.   ],
           [1.781, 0.039],
           [2.   , 1.   ]])
    """
    M0 = check_array(M0, "M0", (2,))
    if not M0.size:
        raise ValueError(f"M0 must not be empty; its shape is {M0.shape}.")
    if depth != math.inf and (
        not isinstance(depth, Integral) or isinstance(depth, bool) or depth < 2
    ):
        raise ValueError(
            f"depth must be an integer of at least 2, or math.inf; got {depth!r}."
        )
    ends = check_array(times, "times", (0, 1))
    grid = np.atleast_1d(ends)
    if not grid.size or grid[0] < 0 or np.any(np.diff(grid) <= 0):
        raise ValueError(f"times must be at least 0 and increasing; got {times!r}.")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must be between 0 and 1; got {rtol!r}.")
    path = _integrate(gradient, M0, depth, grid, rtol)
    return path if ends.ndim else path[0]


def _integrate(gradient, M0, depth, times, rtol):
    U, s, Vt = np.linalg.svd(M0, full_matrices=False)
    rank = int(np.sum(s > 1e-13 * s[0]))
    if rank == 0 or times[-1] == 0:
        return np.repeat(M0[None], len(times), axis=0)

    def velocity(_, state):
        M = state.reshape(M0.shape)
        G = check_array(gradient(M), "gradient(M)", (2,))
        if G.shape != M.shape:
            raise ValueError(f"gradient(M) has shape {G.shape}; M has {M.shape}.")
        return -_precondition(M, G, rank, depth).ravel()

    flow = solve_ivp(
        velocity,
        (0.0, times[-1]),
        ((U[:, :rank] * s[:rank]) @ Vt[:rank]).ravel(),
        "DOP853",
        t_eval=times,
        rtol=rtol,
        atol=rtol * s[rank - 1],
    )
    if not flow.success:
        raise LimitError(f"The flow could not be followed: {flow.message}")
    return flow.y.T.reshape(-1, *M0.shape)


def _precondition(M, G, rank, depth):
    """Return ``sum_p (M M^T)^((L-p)/L) G (M^T M)^((p-1)/L)`` for M of a known rank."""
    U, s, Vt = np.linalg.svd(M)
    left, right = (np.zeros(d) for d in M.shape)
    left[:rank] = right[:rank] = s[:rank]
    return U @ (_gains(left, right, depth) * (U.T @ G @ Vt.T)) @ Vt


def _gains(left, right, depth):
    """Return ``(a**2 - b**2) / (a**(2/L) - b**(2/L))`` for all pairs of two vectors.

    As ``a**(2 - 2/L)`` for the larger, a, times the sum of L powers of the ratio
    ``(b / a)**(2/L)``, so that ties lose no digits. For infinite depth the limit of the
    L-th part, the logarithmic mean of the squares.
    """
    high = np.maximum(left[:, None], right)
    low = np.minimum(left[:, None], right)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = 2 * np.log(low / high)  # log(q**L), of which zero means a tie
        if depth == math.inf:
            gains = high**2 * np.where(x == 0, 1.0, np.expm1(x) / x)
        else:
            total = np.where(x == 0, depth, np.expm1(x) / np.expm1(x / depth))
            gains = high ** (2 - 2 / depth) * total
    return np.where(high > 0, gains, 0.0)
