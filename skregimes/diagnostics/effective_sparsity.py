"""Effective number of coefficients."""

import numpy as np

from skregimes.diagnostics._inputs import finite

__all__ = ["effective_sparsity"]


def effective_sparsity(coef):
    """Return the effective number of non-zero coefficients.

    ``(|coef|_1 / |coef|_2)**2``: k for k equal coefficients among zeros, whatever their
    size, and little affected by many tiny ones.

    Parameters
    ----------
    coef : array or tensor of shape (..., n_features)
        Coefficients.

    Returns
    -------
    float or ndarray of shape (...)
        Between 1 and n_features; 0 where all coefficients are zero.

    Raises
    ------
    ValueError
        If a coefficient is not finite.

    References
    ----------
    Lopes, "Estimating Unknown Sparsity in Compressed Sensing", ICML 2013.

    Examples
    --------
    >>> from skregimes.diagnostics import effective_sparsity
    >>> effective_sparsity([2.0, -2.0, 0.0, 0.0])
    2.0
    """
    size = np.abs(finite("coef", coef))
    largest = np.max(size, axis=-1, keepdims=True)
    size = size / np.where(largest > 0, largest, 1.0)
    square = np.sum(size**2, axis=-1)
    count = np.sum(size, axis=-1) ** 2 / np.where(square > 0, square, 1.0)
    return count if count.ndim else float(count)
