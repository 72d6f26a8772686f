"""The observed entries of a table with holes, sorted and each position once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

__all__ = ["Entries"]


@dataclass(frozen=True, eq=False)
class Entries:
    """Observed entries of a matrix.

    Whatever form they came in, dense, sparse or pairs, the same entries give bitwise
    the same object, and hence the same fit.

    Parameters
    ----------
    rows, cols : ndarray of shape (n_entries,), of int64
        Positions, each once, sorted by row and then by column.
    values : ndarray of shape (n_entries,), of float64 or float32
        What was observed there.
    weight : ndarray of shape (n_entries,) or None
        Positive weights, of the dtype of the values; None where all are one.
    shape : tuple of int
        Shape ``(d1, d2)`` of the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes._entries import Entries
    >>> entries = Entries.from_matrix([[1.0, np.nan], [0.0, 2.0]])
    >>> entries.rows, entries.cols, entries.values
    (array([0, 1, 1]), array([0, 0, 1]), array([1., 0., 2.]))
    """

    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    weight: np.ndarray | None
    shape: tuple[int, int]

    @classmethod
    def from_matrix(cls, X, missing_values=np.nan):
        """Take the entries of a matrix that are not holes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (d1, d2)
            Of a sparse matrix the stored entries are observed, stored zeros too. If a
            position is stored more than once, the mean counts.
        missing_values : float, default=np.nan
            Marks the holes, also among stored entries.

        Returns
        -------
        Entries
            Unweighted entries; float32 stays float32, all else becomes float64.

        Raises
        ------
        ValueError
            If X is no matrix, or an entry that is not a hole is not finite.
        """
        stored = sparse.issparse(X)
        X = X.tocoo() if stored else _as_float(X)
        if X.ndim != 2:
            raise ValueError(f"X must be a matrix; got {X.ndim} dimension(s).")
        values = _as_float(X.data) if stored else X
        observed = ~_is_hole(values, missing_values)
        rows, cols = (
            (X.row[observed], X.col[observed]) if stored else np.nonzero(observed)
        )
        values = values[observed]
        entries = cls.from_pairs(rows, cols, values, None, X.shape)
        return replace(entries, weight=None)

    @classmethod
    def from_pairs(cls, rows, cols, values, weight, shape):
        """Sort and merge entries given one by one, in any order.

        Entries without weight are dropped. Those of one position become one of their
        weighted mean and the sum of their weights, so that to repeat an entry is to
        weigh it more; the result does not depend on their order.

        Parameters
        ----------
        rows, cols : array-like of int of shape (n_samples,)
            Positions, counted from 0.
        values : array-like of shape (n_samples,)
            Finite values.
        weight : array-like of shape (n_samples,) or None
            Weights that are not negative; None weighs all by one.
        shape : tuple of int
            Shape ``(d1, d2)`` of the matrix.

        Returns
        -------
        Entries
            The merged entries; float32 values stay float32, all else becomes float64.

        Raises
        ------
        ValueError
            If lengths differ, a position is outside the matrix, a value is not finite,
            or a weight is negative or not finite.
        """
        values = _as_float(values)
        rows, cols = np.asarray(rows, np.int64), np.asarray(cols, np.int64)
        shape = (int(shape[0]), int(shape[1]))
        _check_pairs(rows, cols, values, shape)
        share = np.ones(len(values)) if weight is None else np.asarray(weight, float)
        if share.shape != values.shape:
            raise ValueError(f"{len(share)} weights for {len(values)} values.")
        if not np.all((share >= 0) & (share < np.inf)):
            raise ValueError("Weights must be finite and not negative.")
        used = share > 0
        place, mean, share = _merge(
            (rows * shape[1] + cols)[used], values[used].astype(float), share[used]
        )
        rows, cols = np.divmod(place, max(shape[1], 1))
        merged = None if np.all(share == 1) else share.astype(values.dtype)
        return cls(rows, cols, mean.astype(values.dtype), merged, shape)

    def __len__(self):
        return len(self.values)

    def take(self, chosen):
        """Return the entries that a mask, or an increasing index, chooses."""
        return Entries(
            self.rows[chosen],
            self.cols[chosen],
            self.values[chosen],
            None if self.weight is None else self.weight[chosen],
            self.shape,
        )

    def with_values(self, values):
        """Return the same positions and weights with other values, cast as these."""
        return replace(self, values=np.asarray(values, self.values.dtype))

    def dense(self, fill=0.0):
        """Return the matrix as an array, its holes filled with a number."""
        matrix = np.full(self.shape, fill, self.values.dtype)
        matrix[self.rows, self.cols] = self.values
        return matrix

    def csr(self):
        """Return the matrix as a sparse array that stores exactly the entries."""
        counts = np.bincount(self.rows, minlength=self.shape[0])
        starts = np.concatenate([[0], np.cumsum(counts)])
        return sparse.csr_array((self.values, self.cols, starts), shape=self.shape)

    def split(self, fraction, random_state):
        """Hold out a share of the entries, drawn without replacement.

        Parameters
        ----------
        fraction : float
            Share of the entries to hold out, in (0, 1); at least one entry is held out
            and at least one is left.
        random_state : numpy.random.RandomState
            Source of the draw.

        Returns
        -------
        train, held : Entries
            A partition of the entries.

        Raises
        ------
        ValueError
            If there are fewer than two entries, or the share is not in (0, 1).
        """
        n = len(self)
        if n < 2:
            raise ValueError(f"{n} observed entries cannot be split into two parts.")
        if not 0 < fraction < 1:
            raise ValueError(
                f"The share to hold out must be between 0 and 1; got {fraction!r}."
            )
        held = np.zeros(n, bool)
        count = min(max(round(fraction * n), 1), n - 1)
        held[random_state.permutation(n)[:count]] = True
        return self.take(~held), self.take(held)


def _as_float(array):
    array = np.asarray(array)
    kept = array.dtype in (np.float32, np.float64)  # in native byte order
    return array if kept else array.astype(float)


def _is_hole(values, missing_values):
    """Mark holes; what remains may still be infinite, or NaN if that marks none."""
    if np.isnan(missing_values):
        return np.isnan(values)
    return values == values.dtype.type(missing_values)


def _check_pairs(rows, cols, values, shape):
    if not rows.shape == cols.shape == values.shape == (len(values),):
        raise ValueError(
            "Rows, columns and values must be vectors of one length; got shapes "
            f"{rows.shape}, {cols.shape} and {values.shape}."
        )
    if not np.all(np.isfinite(values)):
        raise ValueError(
            "Observed entries contain NaN or infinity; mark holes by missing_values."
        )
    for name, index, size in zip(("row", "column"), (rows, cols), shape):
        if len(index) and not 0 <= index.min() <= index.max() < size:
            raise ValueError(
                f"{name} indices must be from 0 to {size - 1}; got "
                f"{index.min()} to {index.max()}."
            )


def _merge(place, values, weight):
    """Sort by place; return places, weighted means of their values, and weights."""
    order = np.argsort(place, kind="stable")
    place = place[order]
    new = np.diff(place, prepend=-1) > 0
    if np.all(new):
        return place, values[order], weight[order]
    # Ties by value and weight: sums are then the same in whatever order entries come.
    tied = ~new | ~np.append(new[1:], True)
    ties = order[tied]
    order[tied] = ties[np.lexsort((weight[ties], values[ties], place[tied]))]
    values, weight = values[order], weight[order]
    # As differences from the least value: the mean of equal values is exactly theirs.
    least, group = values[new], np.cumsum(new) - 1
    total = np.bincount(group, weight)
    excess = np.bincount(group, weight * (values - least[group]))
    return place[new], least + excess / total, total
