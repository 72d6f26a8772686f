"""Volumes that depth gives to a matrix: where deep linear networks spend their states.

On balanced factors ``M = W_L ... W_1`` gradient flow moves M by Riemannian gradient
flow. In the basis ``u_i v_j.T`` of singular vectors the inverse metric is diagonal:
``sum_p s_i**(2 (L - p) / L) s_j**(2 (p - 1) / L)``, which is also the tangent kernel.
"""

import math
from numbers import Integral

import numpy as np

from skregimes.diagnostics._inputs import finite

__all__ = ["deep_linear_orbit_volume", "deep_linear_volume"]


def deep_linear_volume(singular_values, depth, shape=None):
    """Return the log density of states of a deep linear network at a matrix.

    ``log sqrt det g``, with g the metric in which balanced gradient flow of the product
    is the gradient flow of its loss, on matrices of this shape and rank. It grows as
    singular values fall: deep networks have most of their states near low rank.

    Parameters
    ----------
    singular_values : array or tensor of shape (rank,)
        Positive singular values of the product, in any order; ties are fine.
    depth : int or math.inf
        Number of factors. For ``math.inf`` the metric is multiplied by the depth, so
        that it has a limit.
    shape : tuple of (int, int), default=None
        Shape of the product; None means square of full rank. If the rank is short the
        volume is that of the matrices of this rank.

    Returns
    -------
    float
        Natural log, in the units in which the singular values are given: compare only
        matrices of one shape, rank and scale. It is ``inf`` for infinite depth unless
        the matrix is square and of full rank.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Cohen, Menon, Veraszto, "Deep Linear Networks for Matrix Completion: an Infinite
    Depth Limit", SIAM Journal on Applied Dynamical Systems 22, 2023 (the volume forms
    of finite and infinite depth). Bah, Rauhut, Terstiege, Westdickenberg, "Learning
    Deep Linear Neural Networks: Riemannian Gradient Flows and Convergence to Global
    Minimizers", Information and Inference 11, 2022 (the metric at any rank).

    Examples
    --------
    >>> import math
    >>> from skregimes.diagnostics import deep_linear_volume
    >>> round(deep_linear_volume([2.0, 1.0, 0.3], math.inf), 6)
    0.681879
    >>> deep_linear_volume([2.0, 0.3], 3) > deep_linear_volume([2.0, 1.0], 3)
    True
    """
    log_squares, depth = _log_squares(singular_values), _depth(depth)
    rank = len(log_squares)
    d1, d2 = (rank, rank) if shape is None else shape
    if min(d1, d2) < rank:
        raise ValueError(f"{rank} singular values do not fit into the shape {shape}.")
    log_det = np.sum(_log_kernel(log_squares, depth))
    # Directions that mix a singular vector with the null space.
    outward = d1 + d2 - 2 * rank
    if outward and depth == math.inf:
        return math.inf
    log_det += outward * (1 - 1 / depth) * np.sum(log_squares)
    return float(-log_det / 2)


def deep_linear_orbit_volume(singular_values, depth):
    """Return the log volume of all balanced factorizations of a square matrix.

    They are the orbit of one under rotations of the hidden layers, whose volume is the
    matrix's entropy. It grows with the singular values, where `deep_linear_volume`
    falls: beside terms of single singular values that is -2 times the entropy.

    Parameters
    ----------
    singular_values : array or tensor of shape (dim,)
        All singular values, positive, in any order; ties are fine.
    depth : int
        Number of factors, each (dim, dim).

    Returns
    -------
    float
        Natural log, in the Euclidean metric of the factors and for rotations measured
        by their angles in the planes of two coordinates; that is, without ``(depth -
        1) log vol(O(dim))``, which depends on the sizes only.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Menon, Yu, "An Entropy Formula for the Deep Linear Network", arXiv:2509.09088, 2025,
    Theorem 4.

    Examples
    --------
    >>> from skregimes.diagnostics import deep_linear_orbit_volume
    >>> round(deep_linear_orbit_volume([2.0, 1.0, 0.3], 2), 6)
    2.136664
    """
    log_squares, depth = _log_squares(singular_values), _depth(depth)
    if depth == math.inf:
        raise ValueError("The orbit volume has no limit at infinite depth.")
    above = np.triu_indices(len(log_squares), 1)
    log_det = np.sum(_log_kernel(log_squares, depth)[above])
    return float((log_det + len(above[0]) * (depth - 1) * math.log(2)) / 2)


def _log_squares(singular_values):
    values = finite("singular_values", singular_values)
    if values.ndim != 1 or np.any(values <= 0):
        raise ValueError(
            "singular_values must be a list of positive numbers: leave zeros out and"
            " give the shape of the matrix."
        )
    return 2 * np.log(values)


def _depth(depth):
    if depth == math.inf or (isinstance(depth, Integral) and int(depth) >= 1):
        return depth
    raise ValueError(f"depth={depth!r} must be an integer >= 1 or math.inf.")


def _log_kernel(log_squares, depth):
    """Return logs of the eigenvalues of the kernel (over depth, if that is infinite).

    With a, b the squares: ``(a - b) / (a**(1 / L) - b**(1 / L))``, the logarithmic mean
    ``(a - b) / log(a / b)`` in the limit.
    """
    larger = np.maximum.outer(log_squares, log_squares)
    gap = np.abs(np.subtract.outer(log_squares, log_squares))
    tied = gap == 0
    gap = np.where(tied, 1.0, gap)
    if depth == math.inf:
        return larger + np.where(tied, 0.0, np.log(-np.expm1(-gap) / gap))
    ratio = np.expm1(-gap) / np.expm1(-gap / depth)
    return (1 - 1 / depth) * larger + np.log(np.where(tied, depth, ratio))
