"""Checks of the arguments of generators."""

from numbers import Integral

import numpy as np

__all__ = ["check_counts", "check_noise", "check_shape"]


def check_counts(least=1, **counts):
    """Raise ValueError unless all are integers of at least ``least``."""
    for name, number in counts.items():
        is_integer = isinstance(number, Integral) and not isinstance(number, bool)
        if not is_integer or number < least:
            raise ValueError(
                f"{name} must be an integer of at least {least}; got {number!r}."
            )


def check_noise(noise):
    """Raise ValueError unless this is a standard deviation."""
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise must be finite and not negative; got {noise!r}.")


def check_shape(shape):
    """Return the shape of a matrix as two integers, or raise ValueError."""
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise ValueError(f"shape must be two integers, (d1, d2); got {shape!r}.")
    d1, d2 = shape
    check_counts(d1=d1, d2=d2)
    return int(d1), int(d2)
