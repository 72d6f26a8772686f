"""What is measured of a matrix, without forming the matrix where it is large.

Measurements are linear, each with the root of its weight as a factor, so that a
weighted sum of squares is a plain one. They have

``fitted(left, right)``
    The measurements of ``left @ right.T``, a tensor of any shape.
``pull_back(residual)``
    The pair ``(G, G.T)`` of the matrix whose inner product with any other is that of
    its measurements with the residual. Both multiply matrices by ``@``, no more.
``lay_out(values)``
    Given values of the measurements in the shape of ``fitted``, with their weights.
``unfit``
    Half the sum of squares of what was measured and no matrix can fit.
"""

import warnings

import numpy as np
import torch
from torch import Tensor

from skregimes._border import to_tensor

__all__ = ["DenseEntries", "LinearMeasurements", "SparseEntries", "entries"]

# Above this share of observed entries one dense product is faster than gathering: the
# measured break-even lay between .05 and .2, for widths of 5 to 100.
_DENSE_FROM = 0.15
# Below this many entries of the matrix the products cost less than their calls.
_SMALL = 40_000


class DenseEntries:
    """Entries of a matrix, by way of the whole matrix.

    Parameters
    ----------
    rows, cols : ndarray of shape (n_entries,)
        Where they are, each once.
    shape : tuple of int
        Shape of the matrix.
    weight : ndarray of shape (n_entries,) or None
        Their weights; None is all one.
    like : Tensor
        Lends its dtype and device.
    """

    unfit = 0.0

    def __init__(self, rows, cols, shape, weight, like: Tensor):
        self._place, self._shape, self._like = (rows, cols), tuple(shape), like
        root = np.ones(len(rows)) if weight is None else np.sqrt(weight)
        self._root = self._spread(root)

    def _spread(self, values) -> Tensor:
        full = np.zeros(self._shape)
        full[self._place] = values
        return _tensor(full, self._like)

    def lay_out(self, values) -> Tensor:
        """Return given values of the entries as `fitted` does."""
        return self._spread(values) * self._root

    def fitted(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the entries, (d1, d2), with zeros in the holes."""
        return (left @ right.T).mul_(self._root)

    def pull_back(self, residual: Tensor):
        """Return the weighted residual and its transpose."""
        G = residual * self._root
        return G, G.T


class SparseEntries:
    """Entries of a matrix, touching no others.

    Parameters
    ----------
    rows, cols : ndarray of shape (n_entries,)
        Where they are, each once, row by row.
    shape, weight, like
        As in `DenseEntries`.
    """

    unfit = 0.0

    def __init__(self, rows, cols, shape, weight, like: Tensor):
        # Sparse products want the narrow integers.
        index = lambda array: to_tensor(array, device=like.device, dtype=torch.int32)
        starts = lambda sorted_, size: np.searchsorted(sorted_, np.arange(size + 1))
        by_column = np.argsort(cols, kind="stable")
        self._rows = index(starts(rows, shape[0])), index(cols), tuple(shape)
        self._cols = (
            index(starts(cols[by_column], shape[1])),
            index(rows[by_column]),
            (shape[1], shape[0]),
        )
        self._by_column = to_tensor(by_column, device=like.device)
        self._root = None if weight is None else _tensor(np.sqrt(weight), like)
        with warnings.catch_warnings():
            # torch says once per process that this layout is new.
            warnings.filterwarnings("ignore", ".*[Ss]parse CSR.*", UserWarning)
            self._pattern = _csr(self._rows, _tensor(np.zeros(len(rows)), like))

    def _weighted(self, values: Tensor) -> Tensor:
        return values if self._root is None else values * self._root

    def lay_out(self, values) -> Tensor:
        """Return given values of the entries as `fitted` does."""
        return self._weighted(_tensor(values, self._pattern))

    def fitted(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the entries, (n_entries,)."""
        sampled = torch.sparse.sampled_addmm(self._pattern, left, right.T, beta=0.0)
        return self._weighted(sampled.values())

    def pull_back(self, residual: Tensor):
        """Return the sparse matrix of the weighted residual, and its transpose."""
        values = self._weighted(residual)
        return _csr(self._rows, values), _csr(
            self._cols, values.index_select(0, self._by_column)
        )


class LinearMeasurements:
    """Inner products with given matrices.

    Parameters
    ----------
    A : ndarray of shape (n_measurements, d1 * d2)
        The matrices, row by row, each times the root of its weight.
    shape : tuple of int
        ``(d1, d2)``.
    like : Tensor
        Lends its dtype and device.
    unfit : float, default=0.0
        Of measurements that these stand for.
    """

    def __init__(self, A, shape, like: Tensor, unfit=0.0):
        self._A, self._shape = _tensor(A, like), tuple(shape)
        self.unfit = unfit

    def lay_out(self, values) -> Tensor:
        """Return given inner products, times the roots of their weights."""
        return _tensor(values, self._A)

    def fitted(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the inner products, (n_measurements,)."""
        return self._A @ (left @ right.T).reshape(-1)

    def pull_back(self, residual: Tensor):
        """Return the sum of the matrices times the residuals, and its transpose."""
        G = (residual @ self._A).reshape(self._shape)
        return G, G.T


def entries(rows, cols, shape, weight=None, *, like: Tensor):
    """Return measurements of entries, by the road that is faster.

    Parameters
    ----------
    rows, cols : ndarray of shape (n_entries,)
        Where they are, row by row, each once.
    shape : tuple of int
        Shape of the matrix.
    weight : ndarray of shape (n_entries,), optional
        Their weights.
    like : Tensor
        Lends its dtype and device.

    Returns
    -------
    DenseEntries or SparseEntries
    """
    size = shape[0] * shape[1]
    dense = size <= _SMALL or len(rows) >= _DENSE_FROM * size
    road = DenseEntries if dense else SparseEntries
    return road(rows, cols, shape, weight, like)


def _tensor(array, like: Tensor) -> Tensor:
    return to_tensor(array, device=like.device, dtype=like.dtype)


def _csr(pattern, values: Tensor) -> Tensor:
    starts, indices, shape = pattern
    return torch.sparse_csr_tensor(
        starts, indices, values, shape, check_invariants=False
    )
