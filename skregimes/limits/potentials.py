"""Mirror potentials: the convex functions that an initialisation minimises.

Gradient flow on ``beta = w_plus**depth - w_minus**depth`` is mirror flow in ``beta``:
the dual variable ``z = grad Q(beta)`` moves along the plain negative gradient of the
loss. This file holds the map between ``beta`` and its dual for every depth, in the log
domain, so that scales from 1e-100 to 1e6 neither under- nor overflow.

The dual is carried as ``s = offset + rate * z`` (dimensionless) or as ``theta``, with
``theta = s`` for depths 1 and 2 and ``theta = arctanh(s)`` beyond: for depth >= 3 the
box ``|s| < 1`` is the dual ball of the l1 norm that small scales approach.
"""

from functools import cache

import numpy as np

__all__ = ["DiagonalPotential", "typical_ratio"]

_LOG2 = np.log(2.0)
# Below this the links are linear to rounding.
_TINY = 1e-8


def _log_cosh(x):
    x = np.abs(x)
    small = 0.5 * np.log1p(np.sinh(np.minimum(x, 0.5)) ** 2)
    return np.where(x < 0.5, small, x + np.log1p(np.exp(-2 * x)) - _LOG2)


def _log_2sinh(x):
    """Return ``log(2 sinh x)`` for x >= 0; the linear branch serves tiny x."""
    with np.errstate(divide="ignore"):
        big = np.maximum(x, _TINY)
        return np.where(x > _TINY, big + np.log(-np.expm1(-2 * big)), np.log(2 * x))


class DiagonalPotential:
    """Mirror potential of a diagonal linear network, one coordinate per feature.

    Parameters
    ----------
    depth : int
        Number of layers ``D >= 1``.
    log_scale : float or ndarray of shape (n_features,)
        Natural log of the initial weights. For an unbalanced start it is the log of
        the conserved scale, see `from_weights`.
    offset : float or ndarray of shape (n_features,), default=0.0
        Value of the scaled dual ``s`` at time zero; zero when the start is unbiased.

    References
    ----------
    Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models", COLT 2020,
    Theorems 1 and 3.
    """

    def __init__(self, depth, log_scale, offset=0.0):
        self.depth = int(depth)
        self.log_scale = np.asarray(log_scale, dtype=float)
        self.offset = np.asarray(offset, dtype=float)

    @classmethod
    def from_weights(cls, depth, log_plus, log_minus):
        """Build the potential of a start ``w_plus != w_minus`` from their logs."""
        log_plus, log_minus = np.broadcast_arrays(log_plus, log_minus)
        if depth == 1:
            # A plain linear model: s = beta, whatever the two halves are.
            return cls(1, log_plus, np.exp(log_plus) - np.exp(log_minus))
        if depth == 2:
            return cls(2, (log_plus + log_minus) / 2, log_plus - log_minus)
        p = depth - 2
        mean = np.logaddexp(-p * log_plus, -p * log_minus) - _LOG2
        return cls(depth, -mean / p, np.tanh(p * (log_plus - log_minus) / 2))

    @property
    def k(self):
        """Exponent of the link for depth >= 3, ``D / (D - 2)``."""
        return self.depth / (self.depth - 2)

    @property
    def log_rate(self):
        """Log of ``ds/dz``: 2, 4, and ``D (D - 2) a^(D - 2)`` beyond."""
        if self.depth <= 2:
            return np.full_like(self.log_scale, self.depth * _LOG2)
        p = self.depth - 2
        return np.log(self.depth * p) + p * self.log_scale

    def subset(self, keep):
        """Return the potential of some of the features."""
        pick = lambda a: a if a.ndim == 0 else a[keep]
        return DiagonalPotential(self.depth, pick(self.log_scale), pick(self.offset))

    # -- links ---------------------------------------------------------------------

    def theta_of_dual(self, s):
        """Return ``theta``; beyond the open box of depth >= 3 it is inf or nan."""
        if self.depth <= 2:
            return np.asarray(s, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.arctanh(s)

    def dual_of_theta(self, theta):
        """Return the scaled dual ``s``."""
        return theta if self.depth <= 2 else np.tanh(theta)

    def coef(self, theta):
        """Return ``beta``, relative error a few ulp times ``1 + |log|beta||``."""
        size = np.abs(theta)
        with np.errstate(over="ignore", divide="ignore"):
            if self.depth == 1:
                return np.array(theta, dtype=float)
            if self.depth == 2:
                log = 2 * self.log_scale + _log_2sinh(size)
            else:
                log = self.depth * self.log_scale + self.k * _log_cosh(size)
                log = log + _log_2sinh(self.k * size)
            return np.copysign(np.exp(log), theta)

    def theta(self, coef):
        """Return the inverse link, for ``a**D`` from 1e-300 to 1e300."""
        if self.depth == 1:
            return np.array(coef, dtype=float)
        with np.errstate(divide="ignore"):
            log = np.log(np.abs(coef)) - self.depth * self.log_scale
        if self.depth == 2:
            big = log > 20
            log = log - _LOG2
            theta = np.arcsinh(np.exp(np.where(big, 0.0, log)))
            return np.copysign(np.where(big, log + _LOG2, theta), coef)
        k = self.k
        theta = np.exp(np.minimum(log, -18.0)) / (2 * k)  # the linear branch
        live = log > -18
        if np.any(live):
            # A lower bound of the root (far out: the asymptote), then Newton on a
            # concave increasing function: four to six rounds reach rounding.
            target = log[live]
            far = target > 80 * k
            t = np.log1p(np.exp(np.where(far, 0.0, target))) / (2 * k)
            t = np.where(far, (target + k * _LOG2) / (2 * k), t)
            for _ in range(6):
                gap = k * _log_cosh(t) + _log_2sinh(k * t) - target
                t = t - gap / (k * np.tanh(t) + k / np.tanh(k * t))
            theta = np.array(theta, ndmin=1)
            theta[np.atleast_1d(live)] = t
            theta = theta.reshape(np.shape(log))
        return np.copysign(theta, coef)

    def log_slope(self, theta):
        """Return ``log(d beta / d s)``."""
        if self.depth == 1:
            return np.zeros_like(theta, dtype=float)
        if self.depth == 2:
            return 2 * self.log_scale + _log_cosh(theta) + _LOG2
        k = self.k
        log = self.depth * self.log_scale + np.log(2 * k)
        return log + (k + 1) * _log_cosh(theta) + _log_cosh((k + 1) * theta)

    def slope(self, theta):
        """Return ``d beta / d s`` (inf where it overflows)."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_slope(theta))

    def bend(self, theta):
        """Return ``d^2 beta / d s^2`` (inf where it overflows)."""
        if self.depth == 1:
            return np.zeros_like(theta, dtype=float)
        if self.depth == 2:
            return self.coef(theta)
        k = self.k
        growth = (k + 1) * (np.tanh(theta) + np.tanh((k + 1) * theta))
        with np.errstate(over="ignore"):
            return np.exp(self.log_slope(theta) + 2 * _log_cosh(theta)) * growth

    def slope_in_theta(self, theta):
        """Return ``d beta / d theta``."""
        if self.depth <= 2:
            return self.slope(theta)
        with np.errstate(over="ignore"):
            return np.exp(self.log_slope(theta) - 2 * _log_cosh(theta))

    def log_kernel_weight(self, theta):
        """Log of the tangent kernel's weights, ``K = X diag(weight) X.T``."""
        return self.log_slope(theta) + self.log_rate

    def log_weights(self, theta):
        """Return logs of the two layers' weights ``w_plus, w_minus`` (depth >= 2)."""
        if self.depth == 2:
            return self.log_scale + theta / 2, self.log_scale - theta / 2
        p = self.depth - 2
        even = self.log_scale + _log_cosh(theta) / p
        return even + theta / p, even - theta / p

    # -- the potential -------------------------------------------------------------

    def value(self, coef):
        """Return ``rate * Q`` of each coordinate, gradient ``s`` (unbiased start).

        ``a**D q_D(beta / a**D)`` in the notation of Woodworth et al., free of
        cancellation from the kernel regime (quadratic) to the rich one (l1).
        """
        coef = np.asarray(coef, dtype=float)
        size, theta = np.abs(coef), np.abs(self.theta(coef))
        if self.depth == 1:
            return size**2 / 2
        if self.depth == 2:
            with np.errstate(divide="ignore"):
                return size * theta - np.exp(
                    2 * self.log_scale + 2 * _log_2sinh(theta / 2)
                )
        p = self.depth - 2
        h = 2 * theta / p
        lift = (2 / p) * _log_cosh(theta)
        base = self.depth * self.log_scale
        near = np.minimum(h, 0.5)
        with np.errstate(over="ignore", invalid="ignore"):
            small = np.expm1(np.minimum(lift, 5.0)) * np.cosh(near)
            small = np.exp(base) * (small + 2 * np.sinh(near / 2) ** 2)
            large = np.exp(base + lift + _log_cosh(h)) - np.exp(base)
        return size * np.tanh(theta) - p * np.where(h < 0.5, small, large)

    def richness(self, coef):
        """Two minus the local degree of homogeneity of ``Q``: 0 quadratic, 1 l1.

        ``<beta, grad Q>`` is ``2 Q`` where Q is quadratic and ``Q`` where it is a norm.
        """
        if self.depth == 1 or not np.any(coef):
            return 0.0
        # 1 / rate weighs the coordinates; only its shape matters.
        weight = np.exp(np.min(self.log_rate) - self.log_rate)
        s = self.dual_of_theta(self.theta(coef))
        slope = np.sum(weight * coef * s)
        value = np.sum(weight * self.value(coef))
        if value <= 0:  # every coordinate underflowed: the kernel end
            return 0.0
        return float(np.clip(2 - slope / value, 0.0, 1.0))


@cache
def typical_ratio(depth):
    """Return ``a**D / |beta|`` at the middle of the kernel-to-rich transition.

    Measured on 15 tables (12 real) as 0.2 for depth 2 and 0.4 for depth 3, within a
    factor of two, with ``|beta|`` the root mean square coefficient of a ridge-like fit.
    A coordinate of that size has richness 0.30 and 0.25 there; other depths take the
    ratio at which the richness is 0.275, and all depths do so for continuity.
    """
    from scipy.optimize import brentq

    if depth == 1:
        return 1.0
    gap = lambda log: DiagonalPotential(depth, log / depth).richness(np.ones(1)) - 0.275
    return float(np.exp(brentq(gap, -10.0, 5.0)))
