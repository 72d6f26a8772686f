"""What the diagnostics accept: arrays or tensors, on any device."""

import numpy as np

from skregimes._arrays import as_array


def finite(name, data):
    """Return ``data`` as a float64 array, or say what is wrong with it."""
    array = np.asarray(as_array(data), dtype=np.float64)
    if array.size == 0 or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must hold finite numbers, at least one.")
    return array


def finite_pair(**pair):
    """Return two float64 arrays, or say how their shapes differ."""
    names = list(pair)
    first, second = (finite(name, data) for name, data in pair.items())
    if first.shape != second.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} have the shapes {first.shape} and "
            f"{second.shape}; they must be of one shape."
        )
    return first, second


def relative_change(start, end, name):
    """Return ``|end - start| / |start|`` in the Frobenius norm."""
    size = np.max(np.abs(start))
    if size == 0:
        raise ValueError(f"{name} is zero: a change relative to it is undefined.")
    start, end = start / size, end / size
    scale = max(np.max(np.abs(end - start)), 1.0)
    change = scale * np.linalg.norm((end - start) / scale)
    return float(change / np.linalg.norm(start))
