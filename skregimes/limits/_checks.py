"""Errors and input checks shared by the limits: clear messages, float64 out."""

from numbers import Integral

import numpy as np
from scipy.sparse import issparse

__all__ = [
    "LimitError",
    "check_array",
    "check_depth",
    "check_features",
    "check_scale",
    "check_system",
]


class LimitError(RuntimeError):
    """The limit could not be computed to the promised accuracy."""


def check_array(values, name, ndims):
    """Return `values` as a finite float64 array whose ``ndim`` is one of `ndims`."""
    if issparse(values):
        raise ValueError(f"{name} is sparse; pass a dense array, {name}.toarray().")
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise ValueError(f"{name} is complex; only real arrays are accepted.")
    try:
        array = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers.") from error
    if array.ndim not in ndims:
        wanted = " or ".join(f"{ndim}-D" for ndim in ndims)
        raise ValueError(f"{name} must be {wanted}; its shape is {array.shape}.")
    # The extremes are NaN or inf if any entry is, without a mask of X's size.
    if array.size and not np.isfinite([array.min(), array.max()]).all():
        raise ValueError(f"{name} contains NaN or infinity; impute or drop it first.")
    return array


def check_system(X, y):
    """Return the design (n, d) and the targets (n,) or (n, n_targets)."""
    X, y = check_array(X, "X", (2,)), check_array(y, "y", (1, 2))
    if 0 in X.shape or 0 in y.shape:
        raise ValueError(f"X {X.shape} and y {y.shape} must not be empty.")
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows but y has {len(y)}.")
    return X, y


def check_features(values, name, n_features, *, positive=False):
    """Return one number per feature, positive ones if asked."""
    values = check_array(values, name, (1,))
    if len(values) != n_features:
        raise ValueError(
            f"{name} has {len(values)} entries; X has {n_features} columns."
        )
    if positive and not np.all(values > 0):
        raise ValueError(f"{name} must be positive; its minimum is {values.min():g}.")
    return values


def check_scale(scale, name="init_scale"):
    """Return a positive, finite float."""
    scale = float(check_array(scale, name, (0,)))
    if not scale > 0:
        raise ValueError(f"{name} must be positive; got {scale:g}.")
    return scale


def check_depth(depth):
    """Return a depth of at least 1."""
    if not isinstance(depth, Integral) or isinstance(depth, bool) or depth < 1:
        raise ValueError(f"depth must be an integer of at least 1; got {depth!r}.")
    return int(depth)
