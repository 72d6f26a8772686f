"""Folds for tables that may come sorted."""

from numbers import Integral

from sklearn.model_selection import KFold, StratifiedKFold

__all__ = ["shuffled_folds"]


def shuffled_folds(cv, classifier):
    """Return a splitter for a number of folds, None being 5.

    They are shuffled, always alike: tables are often sorted, and a fold at the end of a
    curve would ask for extrapolation. Other splitters are returned as given.
    """
    if cv is None:
        cv = 5
    if not isinstance(cv, Integral):
        return cv
    kind = StratifiedKFold if classifier else KFold
    return kind(cv, shuffle=True, random_state=0)
