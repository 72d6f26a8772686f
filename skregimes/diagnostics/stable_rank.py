"""Number of directions that carry the energy of a matrix."""

import numpy as np

from skregimes.diagnostics._inputs import finite

__all__ = ["stable_rank"]


def stable_rank(M):
    """Return the stable rank of a matrix.

    ``|M|_F**2 / |M|_op**2``: never above the rank, and hardly moved by small singular
    values, to which `effective_rank` is more sensitive.

    Parameters
    ----------
    M : array or tensor of shape (n_rows, n_columns)
        Any matrix.

    Returns
    -------
    float
        Between 1 and the rank; 0 for a matrix of zeros.

    Raises
    ------
    ValueError
        If ``M`` is not a matrix or an entry is not finite.

    References
    ----------
    Rudelson, Vershynin, "Sampling from Large Matrices: an Approach through Geometric
    Functional Analysis", Journal of the ACM 54, 2007, Section 1 ("numerical rank").

    Examples
    --------
    >>> from skregimes.diagnostics import stable_rank
    >>> stable_rank([[2.0, 0.0], [0.0, 1.0]])
    1.25
    """
    matrix = finite("M", M)
    if matrix.ndim != 2:
        raise ValueError(f"M must be a matrix; its shape is {matrix.shape}.")
    largest = np.max(np.abs(matrix))
    if largest == 0:
        return 0.0
    values = np.linalg.svd(matrix / largest, compute_uv=False)
    return float(np.sum((values / values[0]) ** 2))
