"""Grids of scales, times and losses, and the defaults that paths and searches share."""

import numpy as np
from sklearn.utils import check_array

__all__ = [
    "SCALES",
    "TIMES",
    "check_grid",
    "check_levels",
    "default_levels",
    "default_scales",
    "default_times",
    "scales_of",
]

# Relative scales from ridge-like to sparse. Eleven from 300 to 3e-5, and any choice of
# eight of them, scored no better on 13 tables: more choices, more noise in the choice.
SCALES = (30.0, 3.0, 0.3, 0.03, 1e-3)
# Range of relative times: fits are chosen at 1 to 30, on spectra far later.
TIMES = (0.1, 1e5)
# What the log of a training loss falls by, from hardly anything to far beyond 1/n, and
# how many levels. Falls up to 1000 scored no better on 6 tables, and half as many
# levels somewhat worse.
FALLS, N_LEVELS = (0.02, 100.0), 25


def check_grid(values, name, *, allow_inf=False):
    """Return sorted, distinct, positive numbers."""
    grid = check_array(
        np.atleast_1d(values),
        ensure_2d=False,
        dtype=float,
        input_name=name,
        ensure_all_finite=not allow_inf,
    )
    if grid.ndim != 1 or not np.all(grid > 0):
        raise ValueError(f"{name} must be a 1-D array of positive numbers.")
    return np.unique(grid)


def scales_of(estimator):
    """Return the default scales of an estimator, those of its family if it has any."""
    scales = getattr(estimator, "_default_init_scales", SCALES)
    return default_scales(getattr(estimator, "units", "relative"), scales)


def default_scales(units, scales=SCALES):
    """Return relative scales, decreasing; there are none that fit all raw data."""
    if units == "paper":
        raise ValueError("units='paper' needs init_scales: no default fits all data.")
    return np.array(scales)


def default_times(units, n_times):
    """Return relative times, increasing; there are none that fit all raw data."""
    if units == "paper":
        raise ValueError("units='paper' needs times: no default fits all data.")
    return np.geomspace(*TIMES, n_times)


def check_levels(values, name, most):
    """Return distinct logs of the training loss, decreasing, all below ``most``."""
    levels = check_array(
        np.atleast_1d(values), ensure_2d=False, dtype=float, input_name=name
    )
    if levels.ndim != 1 or not np.all(levels < most):
        raise ValueError(
            f"{name} must be a 1-D array of natural logs of the training loss, below "
            f"that of equal probabilities, {most:.6g}."
        )
    return np.unique(levels)[::-1]


def default_levels(start):
    """Return logs of the training loss, decreasing, that start at ``start``."""
    return start - np.geomspace(*FALLS, N_LEVELS)
