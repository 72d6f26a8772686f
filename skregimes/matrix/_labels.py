"""Numbers for labels of any type."""

import warnings
from dataclasses import dataclass

import numpy as np

from skregimes._arrays import as_array

__all__ = ["Labels", "as_labels"]


def as_labels(table):
    """Turn lists into an array that keeps the type of each label."""
    if isinstance(table, list | tuple):
        return np.array(table, dtype=object)
    return as_array(table)


@dataclass(frozen=True, eq=False)
class Labels:
    """Distinct labels in order, and their numbers.

    Parameters
    ----------
    values : ndarray of shape (n_labels,) or (n_labels, n_columns)
        Distinct labels; with several columns, those of a label together.
    columns : tuple of ndarray
        Distinct values of each column.
    codes : ndarray of shape (n_labels,)
        Numbers of the combinations of them that occur, increasing.
    """

    values: np.ndarray
    columns: tuple
    codes: np.ndarray

    @classmethod
    def of(cls, table):
        """Take the distinct rows of a table of shape (n_samples, n_columns)."""
        columns = tuple(_distinct(column) for column in table.T)
        combined = _combine(table, columns)
        codes, first = np.unique(combined, return_index=True)
        values = table[first]
        return cls(values[:, 0] if len(columns) == 1 else values, columns, codes)

    def __len__(self):
        return len(self.codes)

    def index(self, table):
        """Return the number of each row of a table, -1 for labels never seen.

        Warns if all are unseen and of another type than those that were seen.
        """
        found = _find(self.codes, _combine(table, self.columns))
        if len(found) and np.all(found < 0):
            for seen, column in zip(self.columns, table.T):
                _compare_types(seen, column)
        return found


def _combine(table, columns):
    """Return one number a row, -1 where a column has an unknown value."""
    combined = np.zeros(len(table), dtype=np.int64)
    known = np.ones(len(table), dtype=bool)
    for column, distinct in zip(table.T, columns):
        number = _find(distinct, column)
        known &= number >= 0
        combined = combined * len(distinct) + number
    return np.where(known, combined, -1)


def _distinct(column):
    """Return the distinct values of a column, sorted, of mixed types by type first."""
    try:
        return np.unique(column)
    except TypeError:
        values = sorted(set(column.tolist()), key=_type_first)
        distinct = np.empty(len(values), dtype=object)
        distinct[:] = values
        return distinct


def _find(distinct, column):
    """Return where values are among distinct ones, -1 for none."""
    if not len(distinct):
        return np.full(len(column), -1)
    try:
        place = np.searchsorted(distinct, column).clip(max=len(distinct) - 1)
        return np.where(distinct[place] == column, place, -1)
    except TypeError:
        number = {value: k for k, value in enumerate(distinct.tolist())}
        return np.array([number.get(value, -1) for value in column.tolist()])


def _compare_types(seen, column):
    known, asked = (_types(values) for values in (seen, column))
    if not known & asked:
        warnings.warn(
            f"No label was seen in fit; labels there were {_names(known)}, these are "
            f"{_names(asked)}.",
            UserWarning,
            stacklevel=5,
        )


def _types(values):
    numbers = {int: float, bool: float}
    return {numbers.get(type(v), type(v)) for v in values.tolist()}


def _names(types):
    return "numbers" if types == {float} else ", ".join(t.__name__ for t in types)


def _type_first(value):
    return type(value).__name__, value
