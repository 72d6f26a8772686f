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
    steps : tuple of ndarray
        For each column the combinations with those before it that occur: the number of
        the combination so far times that of values, plus the number of the value;
        increasing.
    """

    values: np.ndarray
    columns: tuple
    steps: tuple

    @classmethod
    def of(cls, table):
        """Take the distinct rows of a table of shape (n_samples, n_columns)."""
        columns = tuple(_distinct(column) for column in table.T)
        steps, number = [], np.zeros(len(table), dtype=np.int64)
        for column, distinct in zip(table.T, columns):
            number = number * len(distinct) + _find(distinct, column)
            step, first, number = np.unique(
                number, return_index=True, return_inverse=True
            )
            steps.append(step)
        values = table[first]
        values = values[:, 0] if len(columns) == 1 else values
        return cls(values, columns, tuple(steps))

    def __len__(self):
        return len(self.steps[-1])

    def index(self, table):
        """Return the number of each row of a table, -1 for labels never seen.

        Warns if all are unseen and of another type than those that were seen.
        """
        found = np.zeros(len(table), dtype=np.int64)
        for column, distinct, step in zip(table.T, self.columns, self.steps):
            value = _find(distinct, column)
            place = _find(step, found * len(distinct) + value)
            found = np.where((found >= 0) & (value >= 0), place, -1)
        if len(found) and np.all(found < 0):
            for seen, column in zip(self.columns, table.T):
                _compare_types(seen, column)
        return found


def _distinct(column):
    """Return the distinct values of a column, sorted, of mixed types by type first."""
    if column.dtype != object:
        return np.unique(column)
    values = [*dict.fromkeys(column.tolist())]
    try:
        values.sort()
    except TypeError:
        values.sort(key=_type_first)
    distinct = np.empty(len(values), dtype=object)
    distinct[:] = values
    return distinct


def _find(distinct, column):
    """Return where values are among distinct ones, -1 for none."""
    if object in (distinct.dtype, column.dtype):
        number = {value: k for k, value in enumerate(distinct.tolist())}
        return np.array([number.get(value, -1) for value in column.tolist()], np.int64)
    if not len(distinct):
        return np.full(len(column), -1)
    try:
        place = np.searchsorted(distinct, column).clip(max=len(distinct) - 1)
    except TypeError:
        return np.full(len(column), -1)
    return np.where(distinct[place] == column, place, -1)


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
