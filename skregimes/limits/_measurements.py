"""Linear measurements of a matrix: some of its entries, or inner products with it.

Both kinds map a matrix M of shape (d1, d2) to the numbers ``<A_n, M>``, and numbers r
back to the matrix ``sum_n r_n A_n``.
"""

from operator import index

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import csr_array, issparse

from skregimes.limits._checks import LimitError, check_array
from skregimes.limits._gram import RowBasis

__all__ = ["Entries", "Sensing", "check_measurements", "inconsistent"]

# Largest residual of measurements that agree, relative to |y|.
_INCONSISTENT = 1e-8


class Entries:
    """Entries seen: ``A_n`` is one at a place of its own and zero elsewhere.

    Parameters
    ----------
    rows, cols : ndarray of shape (n,)
        Distinct places.
    y : ndarray of shape (n,)
        Entries there.
    shape : tuple (d1, d2)
    """

    def __init__(self, rows, cols, y, shape):
        self.rows, self.cols, self.y, self.shape = rows, cols, y, shape

    def measure(self, M):
        """Return ``<A_n, M>``."""
        return M[self.rows, self.cols]

    def adjoint(self, values):
        """Return ``sum_n values_n A_n``."""
        M = np.zeros(self.shape)
        M[self.rows, self.cols] = values
        return M

    def jacobian(self, left, right):
        """Return d measure(left @ right.T) / d (left, right), (n, k * (d1 + d2))."""
        d1, k = left.shape
        n, columns = len(self.y), np.arange(k)
        first, second = self.rows * k, (d1 + self.cols) * k
        places = np.hstack([first[:, None] + columns, second[:, None] + columns])
        value = np.hstack([right[self.cols], left[self.rows]])
        pointer = np.arange(n + 1) * 2 * k
        shape = (n, k * sum(self.shape))
        return csr_array((value.ravel(), places.ravel(), pointer), shape=shape)

    def independent(self):
        """Return equivalent independent measurements, and the way back for duals."""
        return self, lambda dual: dual

    def solve(self, values, ridge):
        """Return ``(A A.T + ridge)**-1 @ values``."""
        return values / (1 + ridge)


class Sensing:
    """Inner products with given matrices.

    Parameters
    ----------
    A : ndarray of shape (n, d1 * d2)
        Each row one matrix, row by row.
    y : ndarray of shape (n,)
        Inner products.
    shape : tuple (d1, d2)
    """

    def __init__(self, A, y, shape):
        self.A, self.y, self.shape = A, y, shape
        self._ridge = self._factor = None

    def measure(self, M):
        """Return ``<A_n, M>``."""
        return self.A @ M.ravel()

    def adjoint(self, values):
        """Return ``sum_n values_n A_n``."""
        return (values @ self.A).reshape(self.shape)

    def jacobian(self, left, right):
        """Return d measure(left @ right.T) / d (left, right), (n, k * (d1 + d2))."""
        n = len(self.y)
        A = self.A.reshape(n, *self.shape)
        sides = A @ right, A.transpose(0, 2, 1) @ left
        return np.hstack([side.reshape(n, -1) for side in sides])

    def independent(self):
        """Return equivalent independent measurements, and the way back for duals."""
        basis = RowBasis(self.A)
        return Sensing(basis.rows, basis.project(self.y), self.shape), basis.lift

    def solve(self, values, ridge):
        """Return ``(A A.T + ridge)**-1 @ values``."""
        A = self.A
        tall = ridge > 0 and A.shape[0] > A.shape[1]
        if ridge != self._ridge:
            gram = A.T @ A if tall else A @ A.T
            gram[np.diag_indices(len(gram))] += ridge
            try:
                self._factor = cho_factor(gram, lower=True, overwrite_a=True)
            except LinAlgError as error:
                raise LimitError(
                    "The penalty is under the rounding of the measurements, some of"
                    " which repeat others: take a larger one, or zero."
                ) from error
            self._ridge = ridge
        if tall:  # the Woodbury identity
            return (values - A @ cho_solve(self._factor, values @ A)) / ridge
        return cho_solve(self._factor, values)


def check_measurements(measurements, y=None, shape=None):
    """Return the `Entries` of a table with holes, or the `Sensing` of (A, y, shape)."""
    if y is not None:
        return _check_sensing(measurements, y, shape)
    if shape is not None:
        raise ValueError("shape goes with y: give both for sensing, none for a table.")
    if issparse(measurements):
        return _check_sparse(measurements)
    try:
        table = np.asarray(measurements)
        holes = np.isnan(table)
    except TypeError as error:
        raise ValueError("measurements must be a table of numbers.") from error
    table = check_array(np.where(holes, 0.0, table), "measurements", (2,))
    rows, cols = np.nonzero(~holes)
    return _check_seen(Entries(rows, cols, table[rows, cols], table.shape))


def inconsistent(measured, y):
    """Whether numbers that should be y differ from it beyond rounding."""
    return np.linalg.norm(measured - y) > _INCONSISTENT * np.linalg.norm(y)


def _check_sensing(A, y, shape):
    try:
        d1, d2 = (index(d) for d in shape)
    except (TypeError, ValueError) as error:
        message = f"shape must be two integers, of the matrix sought; got {shape!r}."
        raise ValueError(message) from error
    if min(d1, d2) < 1:
        raise ValueError(f"shape must be positive; got {shape!r}.")
    A, y = check_array(A, "measurements", (2,)), check_array(y, "y", (1,))
    if A.shape[1] != d1 * d2:
        raise ValueError(
            f"measurements has {A.shape[1]} columns; a matrix of shape {(d1, d2)}"
            f" has {d1 * d2} entries."
        )
    if len(A) != len(y):
        raise ValueError(f"measurements has {len(A)} rows but y has {len(y)}.")
    if not len(y):
        raise ValueError("There must be at least one measurement.")
    return Sensing(A, y, (d1, d2))


def _check_sparse(table):
    """Return what is stored and not NaN; a place stored twice counts with its mean."""
    table = table.tocoo()
    seen = ~np.isnan(table.data)
    value = check_array(table.data[seen], "measurements", (1,))
    place, group, count = np.unique(
        table.row[seen].astype(np.int64) * table.shape[1] + table.col[seen],
        return_inverse=True,
        return_counts=True,
    )
    rows, cols = np.divmod(place, max(table.shape[1], 1))
    value = np.bincount(group, value, len(place)) / count
    return _check_seen(Entries(rows, cols, value, table.shape))


def _check_seen(entries):
    if not len(entries.y):
        raise ValueError("measurements has no entry: every place is a hole.")
    return entries
