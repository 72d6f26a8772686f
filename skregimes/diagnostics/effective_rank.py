"""Effective number of directions of a kernel."""

import numpy as np

from skregimes.diagnostics._inputs import finite

__all__ = ["effective_rank", "entropy_rank"]


def effective_rank(K):
    """Return the effective rank of a matrix.

    The exponential of the entropy of the singular values, normalised to sum to one: k
    for k equal singular values among zeros, and continuous in between.

    Parameters
    ----------
    K : array or tensor of shape (n_rows, n_columns)
        A kernel, or any matrix.

    Returns
    -------
    float
        Between 1 and the rank; 0 for a matrix of zeros.

    Raises
    ------
    ValueError
        If ``K`` is not a matrix or an entry is not finite.

    References
    ----------
    Roy, Vetterli, "The Effective Rank: a Measure of Effective Dimensionality", EUSIPCO
    2007, Definition 1.

    Examples
    --------
    >>> from skregimes.diagnostics import effective_rank
    >>> round(effective_rank([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]), 12)
    2.0
    """
    matrix = finite("K", K)
    if matrix.ndim != 2:
        raise ValueError(f"K must be a matrix; its shape is {matrix.shape}.")
    largest = np.max(np.abs(matrix)) or 1.0
    return entropy_rank(np.linalg.svd(matrix / largest, compute_uv=False))


def entropy_rank(values):
    """Return the effective rank of a matrix with these singular values."""
    share = values[values > 0] / np.sum(values)
    return float(np.exp(-np.sum(share * np.log(share)))) if len(share) else 0.0
