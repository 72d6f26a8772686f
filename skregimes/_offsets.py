"""What is subtracted from a table before it is factorized: a mean and biases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Offsets"]

# Sweeps end when biases move by less than this share of the largest value.
_TOL = 1e-9
_MAX_SWEEPS = 300
# Variances below this share of the values' own are rounding.
_FLOOR = 1e-14


@dataclass(frozen=True, eq=False)
class Offsets:
    """A mean, and biases of rows and columns around it.

    Parameters
    ----------
    intercept : float
        Offset of an entry whose row and column are unknown.
    row_bias : ndarray of shape (d1,)
        Added to it in each row; 0 in rows without entries.
    col_bias : ndarray of shape (d2,)
        Added to it in each column; 0 in columns without entries.
    row_damping, col_damping : float
        Weight, in entries, with which a row's or column's bias is drawn to zero; inf
        where there are no biases.
    """

    intercept: float
    row_bias: np.ndarray
    col_bias: np.ndarray
    row_damping: float
    col_damping: float

    @classmethod
    def fit(cls, entries, center):
        """Fit offsets to entries, in float64.

        Parameters
        ----------
        entries : Entries
            Observed entries.
        center : {None, "global", "columns", "both"}
            None: no offsets; "global": the weighted mean; "columns": the weighted mean
            of each column, and the mean of all in empty ones; "both": mean, row and
            column biases, damped as the entries themselves suggest (see Notes).

        Returns
        -------
        Offsets
            The offsets.

        Raises
        ------
        ValueError
            If `center` is none of these.

        Notes
        -----
        "both" is the model with crossed random effects ``y_ij = m + b_i + c_j + e_ij``,
        ``b_i ~ N(0, var_b)``, ``c_j ~ N(0, var_c)``, ``e_ij ~ N(0, var_e / w_ij)``. The
        mean minimises the penalised squares jointly with the biases, which are shrunk
        means of what the others leave: ``b_i = sum_j w_ij (y_ij - m - c_j) /
        (sum_j w_ij + damping)`` with ``damping = var_e / var_b``. The variances are a
        fixed point of the mean-field variational EM: every bias adds to its square the
        posterior variance ``var_e / (sum_j w_ij + damping)`` that it has when the
        others are known.

        References
        ----------
        Searle, Casella, McCulloch, "Variance Components", Wiley 1992, chapter 7 (mixed
        model equations). Ghosh, Hastie, Owen, "Backfitting for Large Scale Crossed
        Random Effects Regressions", Annals of Statistics 50, 2022. Menictas, Di
        Credico, Wand, "Streamlined Variational Inference for Linear Mixed Models with
        Crossed Random Effects", Journal of Computational and Graphical Statistics 32,
        2023.

        Examples
        --------
        >>> import numpy as np
        >>> from skregimes._entries import Entries
        >>> from skregimes._offsets import Offsets
        >>> entries = Entries.from_matrix([[1.0, 3.0], [2.0, np.nan]])
        >>> offsets = Offsets.fit(entries, "columns")
        >>> offsets.intercept, offsets.col_bias
        (2.0, array([-0.5,  1. ]))
        """
        if center not in (None, "global", "columns", "both"):
            raise ValueError(
                f'center must be None, "global", "columns" or "both"; got {center!r}.'
            )
        d1, d2 = entries.shape
        if center is None or len(entries) == 0:
            return cls(0.0, np.zeros(d1), np.zeros(d2), np.inf, np.inf)
        weight = _weight_of(entries)
        values = entries.values.astype(float)
        # Differences from one value: equal values have a mean of no rounding error.
        mean = values[0] + (weight / weight.sum()) @ (values - values[0])
        rest = values - mean
        size = np.max(np.abs(rest))
        if center == "columns":
            bias = _shrunken_means(entries.cols, rest, weight, d2, 0.0)
            return cls(float(mean), np.zeros(d1), bias, np.inf, 0.0)
        if center == "global" or size == 0:
            return cls(float(mean), np.zeros(d1), np.zeros(d2), np.inf, np.inf)
        shift, row_bias, col_bias, dampings = _crossed_effects(entries, rest / size)
        return cls(
            float(mean + size * shift), size * row_bias, size * col_bias, *dampings
        )

    def at(self, rows, cols):
        """Return the offsets of entries; index -1 is a row or column never seen."""
        return (
            self.intercept
            + np.append(self.row_bias, 0.0)[rows]
            + np.append(self.col_bias, 0.0)[cols]
        )

    def new_rows(self, entries):
        """Return biases, shape (n_rows,), of new rows over the columns of the fit."""
        rest = entries.values - self.intercept - self.col_bias[entries.cols]
        weight = _weight_of(entries)
        n_rows = entries.shape[0]
        return _shrunken_means(entries.rows, rest, weight, n_rows, self.row_damping)


def _weight_of(entries):
    if entries.weight is None:
        return np.ones(len(entries))
    return entries.weight.astype(float)


def _shrunken_means(index, values, weight, size, damping):
    """Return ``sum w v / (sum w + damping)`` of each group; 0 in empty ones."""
    total = np.bincount(index, weight, size)
    summed = np.bincount(index, weight * values, size)
    return summed / (np.where(total > 0, total, 1.0) + damping)


def _crossed_effects(entries, values):
    """Return a mean, effects of rows and columns, and dampings, for values within 1."""
    weight = _weight_of(entries)
    table = entries.csr().astype(float)
    table.data = weight
    row_count, col_count = table.sum(axis=1), table.sum(axis=0)
    row_sum = np.bincount(entries.rows, weight * values, len(row_count))
    col_sum = np.bincount(entries.cols, weight * values, len(col_count))
    square = weight @ values**2
    # Variance of the noise at weight one, and of the effects of rows and columns.
    noise = square / len(values)
    variance = np.full(2, square / weight.sum())
    least, least_noise = _FLOOR * variance, _FLOOR * noise
    row, col, from_cols = np.zeros_like(row_sum), np.zeros_like(col_sum), 0.0
    for _ in range(_MAX_SWEEPS):
        before = row, col
        dampings = noise / variance
        _, row, row_df = _effects(row_sum - from_cols, row_count, dampings[0])
        from_rows = table.T @ row
        shift, col, col_df = _effects(col_sum - from_rows, col_count, dampings[1])
        from_cols = table @ col
        moved = max(np.max(np.abs(row - before[0])), np.max(np.abs(col - before[1])))
        if moved <= _TOL:
            break
        # The sum of w (value - shift - row - col)^2, term by term.
        left = square + row_count @ (shift + row) ** 2 + col_count @ col**2
        left -= 2 * (
            row_sum @ (shift + row) + col_sum @ col - from_cols @ (shift + row)
        )
        noise = (max(left, 0.0) + noise * (row_df + col_df)) / len(values)
        noise = max(noise, least_noise)
        variance = np.maximum([row @ row / row_df, col @ col / col_df], least)
    return shift, row, col, dampings.tolist()


def _effects(summed, count, damping):
    """Return the mean and the shrunken effects that go with it, and their freedom."""
    share = count / (count + damping)
    mean = summed / np.where(count > 0, count, 1.0)
    shift = share @ mean / share.sum()
    return shift, share * (mean - shift), share.sum()
