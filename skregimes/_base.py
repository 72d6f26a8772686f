"""What the estimators share: the border to scikit-learn and the names of regimes."""

from abc import ABC
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin

from skregimes._sklearn import Interval, StrOptions, num_samples
from skregimes._watch import Watcher

__all__ = ["FlowEstimator", "LinearTable", "effective_samples", "regime"]


def regime(richness):
    """Name the regime of a richness score: "kernel", "transition" or "rich"."""
    names = np.array(["kernel", "transition", "rich"])
    found = names[np.digitize(richness, [0.1, 0.9])]
    return str(found) if np.ndim(found) == 0 else found


def effective_samples(sample_weight):
    """Return the number of samples that weights stand for.

    Whole-number weights are repetitions and count as such; any others are relative, and
    each sample of positive weight counts once.
    """
    # Beyond 2**53 every float is a whole number.
    whole = np.all(sample_weight == np.round(sample_weight))
    if whole and np.all(sample_weight < 2.0**53 / len(sample_weight)):
        return float(sample_weight.sum())
    return float(np.count_nonzero(sample_weight))


@dataclass
class LinearTable:
    """Centred and scaled copy of a table, and the way back to its units.

    Attributes
    ----------
    XT : ndarray of shape (n_features, n_samples)
        Features as the network sees them.
    Y : ndarray of shape (n_targets, n_samples)
        Targets, divided by ``y_unit``.
    x_mean, x_scale : ndarray of shape (n_features,)
        Zero and one where nothing was subtracted or divided.
    y_mean, y_unit : ndarray of shape (n_targets,)
        Mean and largest size of the targets.
    weight : ndarray of shape (n_samples,)
        Positive weights of the samples that were kept.
    used : ndarray of bool of shape (n_all_samples,)
        Which samples were kept: those without weight are dropped.
    """

    XT: np.ndarray
    Y: np.ndarray
    x_mean: np.ndarray
    x_scale: np.ndarray
    y_mean: np.ndarray
    y_unit: np.ndarray
    weight: np.ndarray
    used: np.ndarray

    @classmethod
    def build(cls, X, Y, weight, *, center, standardize, like=None):
        """Copy ``X (n, d)`` and ``Y (n, n_targets)``; weightless samples are dropped.

        ``like``, another table, lends its units: of a part of the same data.
        """
        used = weight > 0
        if not used.all():
            X, Y, weight = X[used], Y[used], weight[used]
        XT = np.array(X.T, dtype=float, order="C")
        YT = np.array(Y.T, dtype=float, order="C")
        share = weight / weight.max()  # the sum of weights may overflow
        share /= share.sum()
        size = np.max(np.abs(XT), axis=1)
        x_mean, y_mean = np.zeros(len(XT)), np.zeros(len(YT))
        if center:
            for _ in range(2):  # the second round removes the rounding of the first
                for A, mean in ((XT, x_mean), (YT, y_mean)):
                    shift = A @ share
                    A -= shift[:, None]
                    mean += shift
            # What rounding leaves of a constant column is not a feature.
            constant = np.max(np.abs(XT), axis=1) <= 8 * np.finfo(X.dtype).eps * size
            XT[constant] = 0.0
            YT[np.ptp(Y, axis=0) == 0] = 0.0
        x_scale = np.ones(len(XT))
        if like is not None:
            x_scale, y_unit = like.x_scale, like.y_unit
        else:
            if standardize:
                peak = np.max(np.abs(XT), axis=1)
                peak[peak == 0] = 1.0
                x_scale = peak * np.sqrt((XT / peak[:, None]) ** 2 @ share)
                x_scale[x_scale == 0] = 1.0
            y_unit = np.max(np.abs(YT), axis=1)
            y_unit[y_unit == 0] = 1.0
        if standardize:
            XT /= x_scale[:, None]
        YT /= y_unit[:, None]
        return cls(XT, YT, x_mean, x_scale, y_mean, y_unit, weight, used)

    def of_all_samples(self, values):
        """Return values of the kept samples with zeros for those dropped."""
        full = np.zeros(len(self.used))
        full[self.used] = values
        return full

    def restore(self, coef, target):
        """Return coefficients and intercepts in the units of the input.

        ``coef`` has shape (..., n_features) and belongs to one target.
        """
        coef = coef * self.y_unit[target] / self.x_scale
        return coef, self.y_mean[target] - coef @ self.x_mean


class FlowEstimator(CallbackSupportMixin, BaseEstimator, ABC):
    """A network trained by gradient flow behind scikit-learn's interface."""

    _parameter_constraints: dict = {
        "init_scale": [Interval(Real, 0, None, closed="neither")],
        "units": [StrOptions({"relative", "paper"})],
        "fit_intercept": ["boolean"],
        "early_stopping": ["boolean"],
        "max_time": [None, Interval(Real, 0, None, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "rtol": [Interval(Real, 0, 1, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [None, Interval(Real, 0, None, closed="neither")],
        "batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "device": [str],
    }

    @property
    def regime_(self):
        """Name of the regime: "kernel", "transition" or "rich", from ``richness_``."""
        return regime(self.richness_)

    def _free_columns(self, X):
        """Return the columns whose coefficients are always at their optimum.

        They lie outside of the tangent kernel: ones for an intercept, unless a network
        has more.
        """
        return np.ones((num_samples(X), int(getattr(self, "fit_intercept", False))))

    def _refuse_descent_options(self):
        """Refuse options of gradient descent where another solver would ignore them."""
        if self.solver == "gd":
            return
        for name in ("learning_rate", "batch_size"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} is for solver='gd', not for solver={self.solver!r}."
                )

    def _forget(self):
        """Delete what an earlier fit knew."""
        kept = ("n_features_in_", "feature_names_in_")
        for name in list(vars(self)):
            if name.endswith("_") and name not in kept:
                delattr(self, name)

    def _watch(self, X, y, sample_weight):
        """Return a `Watcher`, or None where nobody watches: that is free."""
        if not self.verbose and not hasattr(self, "_skl_callbacks"):
            return None
        return Watcher(self, X, y, sample_weight)
