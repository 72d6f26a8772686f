"""A kernel on weighted samples, decomposed once for all filters of its spectrum."""

import numpy as np
from scipy.linalg import eigh, qr

__all__ = ["KernelSpectrum"]


class KernelSpectrum:
    """Least squares in a kernel beside free columns, filtered in its eigenbasis.

    Functions are ``K @ dual + P @ coef``, with the coefficients of P always at their
    optimum: what is filtered is the whitened kernel outside of the span of P.

    Parameters
    ----------
    K : ndarray of shape (n_samples, n_samples)
        Positive semidefinite kernel of any rank.
    target : ndarray of shape (n_samples, n_targets)
        What the function is to be.
    P : ndarray of shape (n_samples, n_columns)
        Free columns, of any rank, or none.
    root : ndarray of shape (n_samples,)
        Square roots of the weights of the samples.

    Attributes
    ----------
    eigenvalues : ndarray of shape (n_modes,)
        Ascending. Those under ``n_samples`` roundings of the largest are zero: along
        them the kernel has no functions.
    """

    def __init__(self, K, target, P, root):
        self.K, self.target, self.P, self.root = K, target, P, root
        self._basis, self._inner, self._pivots, self._rank = _column_space(
            root[:, None] * P
        )
        free = self._basis[:, self._rank :]
        values, vectors = eigh(free.T @ (root[:, None] * K * root) @ free)
        floor = len(K) * np.finfo(float).eps * np.max(np.abs(values), initial=0)
        self.eigenvalues = np.where(values > floor, values, 0.0)
        self._vectors = free @ vectors
        self._modes = self._vectors.T @ (root[:, None] * target)

    @property
    def n_free(self):
        """Number of independent free columns."""
        return self._rank

    def dual(self, gain):
        """Return the coefficients of the kernel, (..., n_samples, n_targets).

        ``gain (..., n_modes)`` is that from the target to the coefficients along each
        eigenvector; it is zero where the eigenvalue is.
        """
        return self.root[:, None] * (self._vectors @ (gain[..., None] * self._modes))

    def coef(self, dual):
        """Return the coefficients of the free columns, (..., n_columns, n_targets)."""
        rest = self.root[:, None] * (self.target - self.K @ dual)
        coef = np.zeros((*dual.shape[:-2], self.P.shape[1], self.target.shape[1]))
        if self._rank:
            seen = slice(self._rank)
            coef[..., self._pivots[seen], :] = np.linalg.solve(
                self._inner[seen, seen], self._basis[:, seen].T @ rest
            )
        return coef


def _column_space(P):
    """Return a complete basis whose first columns span those of P, and how."""
    basis, inner, pivots = qr(P, mode="full", pivoting=True)
    size = np.abs(np.diag(inner))
    floor = max(P.shape) * np.finfo(float).eps * np.max(size, initial=0)
    return basis, inner, pivots, int(np.sum(size > floor))
