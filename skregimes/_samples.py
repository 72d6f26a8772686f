"""A training set as a network sees it: scaled, without repetitions."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Samples", "spread_rows"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Distinct, scaled samples, and the way back to the units of the input.

    Samples at one place are merged into one with the sum of their weights and the mean
    of their targets. Least squares cannot tell the difference but for a constant,
    ``spread``.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        Features as the network sees them.
    Y : ndarray of shape (n_samples, n_targets)
        Targets as the network sees them.
    weight : ndarray of shape (n_samples,)
        Shares of the weight, adding up to one.
    x_shift, x_scale : ndarray of shape (n_features,)
        Subtracted from the features, and then divided by.
    y_shift : ndarray of shape (n_targets,)
        Subtracted from the targets.
    y_unit : float
        All targets are divided by it.
    spread : float
        Weighted mean square of what merging took from the targets, of their sum.
    """

    X: np.ndarray
    Y: np.ndarray
    weight: np.ndarray
    x_shift: np.ndarray
    x_scale: np.ndarray
    y_shift: np.ndarray
    y_unit: float
    spread: float

    @classmethod
    def build(cls, X, Y, weight, *, center, standardize, like=None):
        """Scale and merge ``X (n, d)`` and ``Y (n, q)``; weightless ones are dropped.

        ``center`` removes means, ``standardize`` brings features to one deviation and
        all samples into the unit ball. ``like``, other samples, lends its units.
        """
        used = weight > 0
        share = weight[used] / weight.max()
        X, place = np.unique(X[used] + 0.0, axis=0, return_inverse=True)
        place = place.reshape(-1)
        X, Y = X.astype(float), Y[used].astype(float)
        merged = np.bincount(place, share)
        weight = merged / merged.sum()
        share = share / merged.sum()
        if like is None:
            x_shift, x_scale = _units_of(X, weight, center, standardize)
            size = np.max(np.abs(Y)) or 1.0
            y_shift = size * (share @ (Y / size)) if center else np.zeros(Y.shape[1])
            # What rounding leaves of a constant target is not a target.
            rest = np.where(np.ptp(Y, axis=0) == 0, y_shift, Y) if center else Y
            y_unit = float(np.max(np.abs(rest - y_shift))) or 1.0
        else:
            x_shift, x_scale = like.x_shift, like.x_scale
            y_shift, y_unit = like.y_shift, like.y_unit
            rest = Y
        X = (X - x_shift) / x_scale
        Y = (rest - y_shift) / y_unit
        mean = (
            np.column_stack([np.bincount(place, share * y) for y in Y.T])
            / merged[:, None]
            * merged.sum()
        )
        spread = float(share @ np.sum((Y - mean[place]) ** 2, axis=1))
        return cls(X, mean, weight, x_shift, x_scale, y_shift, y_unit, spread)


def _units_of(X, weight, center, standardize):
    """Return shift and scale of the features; a constant one is only shifted."""
    d = X.shape[1]
    shift, scale = np.zeros(d), np.ones(d)
    peak = np.max(np.abs(X), axis=0)
    peak[peak == 0] = 1.0
    unit = X / peak
    if center:
        shift = weight @ unit
        unit = unit - shift
    if standardize:
        scale = np.sqrt(weight @ unit**2)
        scale[np.ptp(X, axis=0) <= 8 * np.finfo(float).eps * peak] = 0.0
        scale[scale == 0] = 1.0
        radius = np.max(np.linalg.norm(unit / scale, axis=1))
        scale = scale * (radius or 1.0)
        scale = scale * peak
    return shift * peak, scale


def spread_rows(n_samples, count):
    """Return at most ``count`` row numbers, evenly spread: rows are sorted."""
    rows = np.linspace(0, n_samples - 1, min(count, n_samples))
    return np.unique(rows.round().astype(int))
