"""Expectations over the unit-scale weights w and bias beta of a hidden unit.

A law offers, for pairs of points: ``relu_relu``, ``relu_linear``, ``linear_linear``,
the means of the product of two units' values; and ``both_active``, ``active``,
``total``, the means of what marks active units, weighted by ``norm(w)**2 + beta**2`` if
asked to. `skregimes.kernels._law_slopes` offers their derivatives in ``log(L)``.
"""

import numpy as np
from scipy.special import gammaln, ndtr, owens_t

from skregimes._activations import ACTIVATIONS

__all__ = [
    "LAWS",
    "BoundedBias",
    "ConstantBias",
    "GaussianBias",
    "activation_slopes",
    "check_law",
    "density",
    "finite_number",
    "hidden_part",
    "law_of",
    "output_part",
]


class BoundedBias:
    """Expectations for a bias uniform on ``[-L, L]``, and w of a symmetric law.

    They need the following moments: with ``w1, w2`` the components of w along two
    orthogonal directions, ``linear = E|w1|``, ``square = E[w1**2]``, ``cube =
    E|w1|**3``, ``mixed = E[|w1| * w2**2]``.
    """

    def __init__(self, L, n_features, linear, square, cube, mixed):
        self.L, self.n_features = L, n_features
        self.linear, self.square, self.cube, self.mixed = linear, square, cube, mixed

    def relu_relu(self, pairs):
        curved = self.cube * pairs.gap() ** 3 / (24 * self.L)
        return self.L**2 / 6 + self.square * pairs.inner() / 2 + curved

    def linear_linear(self, pairs):
        return self.square * pairs.inner() + self.L**2 / 3

    def relu_linear(self, pairs):
        return self.linear_linear(pairs) / 2

    def both_active(self, pairs, weighted):
        # Both are active for beta under the lower of w @ x and w @ y.
        if not weighted:
            return 1 / 2 - self.linear * pairs.gap() / (4 * self.L)
        return self.total(True) / 2 + self.missed(pairs)

    def missed(self, pairs):
        """Return what the weighted share loses as points part, of order ``1 / L``."""
        # E[norm(w)**2 * |w1|], then E[min(w @ x, w @ y)**3] by parts along x - y.
        normed = self.cube + (self.n_features - 1) * self.mixed
        gap, middle = pairs.gap(), pairs.middle() ** 2
        along = ((pairs.p - pairs.q) * (pairs.p + pairs.q)) ** 2
        along = np.divide(along, gap, out=np.zeros_like(gap), where=gap > 0)
        # gap * (w @ (x + y))**2 * |w1| on average
        spread = self.cube * along + self.mixed * (middle * gap - along)
        cubes = -(3 * spread + self.cube * gap**3) / 8
        return (cubes / 3 - normed * gap / 2) / (2 * self.L)

    def active(self, p, weighted):
        return self.total(weighted) / 2

    def total(self, weighted):
        return self.n_features * self.square + self.L**2 / 3 if weighted else 1.0


class ConstantBias:
    """Expectations for standard normal w and a constant bias B.

    With p and q the norms of two points, ``h = B / p`` and ``k = B / q``.
    """

    def __init__(self, B, n_features):
        self.L = self.B = B
        self.n_features = n_features

    def geometry(self, pairs):
        """Return p, q, and for their angle the sine and the tangent of its half."""
        # Any direction will do for a point at the origin, and any tiny sine for
        # coincident directions: the formulas have the right limits.
        p, q = np.maximum(pairs.p, 1e-100), np.maximum(pairs.q, 1e-100)
        sine = np.maximum(pairs.angle_and_sine[1], 1e-100)
        return p, q, sine, pairs.deficit / sine

    def edges(self, pairs):
        """Return ``phi(h) * P(w @ y > B | w @ x = B)`` and the same for k."""
        p, q, sine, tangent = self.geometry(pairs)
        h, k = self.B / p, self.B / q
        shift = -self.B * ((p - q) / sine) / (p * q)
        return (
            density(h) * ndtr(shift - h * tangent),
            density(k) * ndtr(-shift - k * tangent),
        )

    def orthant(self, pairs):
        """Return ``P(w @ x > B and w @ y > B)``."""
        p, q, sine, tangent = self.geometry(pairs)
        h, k = self.B / p, self.B / q
        drift = (p - q) / sine
        beyond = owens_t(-h, drift / q + tangent) + owens_t(-k, -drift / p + tangent)
        return (ndtr(-h) + ndtr(-k)) / 2 - beyond

    def joint(self, pairs):
        """Return the density of both at their edge, times ``sine * p * q``."""
        p, q, sine, _ = self.geometry(pairs)
        h, k = self.B / p, self.B / q
        with np.errstate(over="ignore"):  # exp(-inf) is the right zero
            exponent = ((h - k) / sine) ** 2 / 2
            exponent += h * k / np.maximum(pairs.surplus, 1e-100)
        return np.exp(-exponent) / (2 * np.pi)

    def both_active(self, pairs, weighted):
        both = self.orthant(pairs)
        if not weighted:
            return both
        # E[w @ w * active] by Gaussian integration by parts
        p, q, *_ = self.geometry(pairs)
        one, other = self.edges(pairs)
        return self.total(True) * both + self.B / p * one + self.B / q * other

    def active(self, p, weighted):
        h = self.B / np.maximum(p, 1e-100)
        if not weighted:
            return ndtr(-h)
        return self.total(True) * ndtr(-h) + h * density(h)

    def total(self, weighted):
        return self.n_features + self.B**2 if weighted else 1.0

    def relu_relu(self, pairs):
        p, q, *_ = self.geometry(pairs)
        h, k = self.B / p, self.B / q
        one, other = self.edges(pairs)
        product = (1 - pairs.deficit + h * k) * self.orthant(pairs)
        joint = pairs.angle_and_sine[1] * self.joint(pairs)
        return p * q * (product + joint - k * one - h * other)

    def relu_linear(self, pairs):
        p = np.maximum(pairs.p, 1e-100)
        share = ndtr(-self.B / p)
        mean = p * density(self.B / p) - self.B * share
        return share * pairs.inner() - self.B * mean

    def linear_linear(self, pairs):
        return pairs.inner() + self.B**2


class GaussianBias:
    """Expectations for standard normal w and a bias of standard deviation L.

    The bias is the weight of a further, constant feature of value L.
    """

    def __init__(self, L, n_features):
        self.L, self.n_features = L, n_features

    def relu_relu(self, pairs):
        pairs = pairs.lifted(self.L)
        angle, sine = pairs.angle_and_sine
        share = (np.pi - angle) * (1 - pairs.deficit)
        return pairs.p * pairs.q * (sine + share) / (2 * np.pi)

    def relu_linear(self, pairs):
        return self.linear_linear(pairs) / 2

    def linear_linear(self, pairs):
        return pairs.inner() + self.L**2

    def both_active(self, pairs, weighted):
        lifted = pairs.lifted(self.L)
        both = (np.pi - lifted.angle_and_sine[0]) / (2 * np.pi)
        if not weighted:
            return both
        # norm(w)**2 + beta**2 = v @ v + (L**2 - 1) * v_last**2 for standard normal v
        last = self.last(lifted) * (self.L**2 - 1) / (2 * np.pi)
        return self.total(True) * both + last

    def last(self, lifted):
        """Return ``2 * pi * (E[v_last**2 * active] - P(active))``."""
        sine = np.maximum(lifted.angle_and_sine[1], 1e-100)
        one, other = self.L / lifted.p, self.L / lifted.q
        bend = (one**2 + other**2) * lifted.deficit - (one - other) ** 2
        return bend / sine

    def active(self, p, weighted):
        return self.total(weighted) / 2

    def total(self, weighted):
        return self.n_features + self.L**2 if weighted else 1.0


def output_part(law, pairs, activation):
    """Return the mean product of values of a unit at both points."""
    low, jump = activation_slopes(activation)
    # sigma(z) = jump * relu(z) + low * z
    K = jump**2 * law.relu_relu(pairs)
    if low != 0:
        K += jump * low * law.relu_linear(pairs)
        K += jump * low * law.relu_linear(pairs.swapped)
        K += low**2 * law.linear_linear(pairs)
    return K


def hidden_part(law, pairs, activation, weighted):
    """Return ``x @ y + 1`` times the mean product of slopes of a unit."""
    low, jump = activation_slopes(activation)
    # sigma'(z) = jump * (z > 0) + low
    slopes = jump**2 * law.both_active(pairs, weighted)
    if low != 0:
        one, other = law.active(pairs.p, weighted), law.active(pairs.q, weighted)
        slopes += jump * low * (one + other)
        slopes += low**2 * law.total(weighted)
    return (pairs.inner() + 1) * slopes


def density(z):
    """Return the standard normal density."""
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def _uniform(L, d):
    """Return the expectations for w uniform on the sphere of d dimensions."""
    linear = np.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / np.sqrt(np.pi)
    cube = np.exp(gammaln(d / 2) - gammaln((d + 3) / 2)) / np.sqrt(np.pi)
    mixed = (linear - cube) / (d - 1) if d > 1 else 0.0
    return BoundedBias(L, d, linear, 1 / d, cube, mixed)


def _uniform_pair(L, d):
    """Return the expectations for w uniform on [-1, 1]."""
    return BoundedBias(L, d, 1 / 2, 1 / 3, 1 / 4, 0.0)


LAWS = {
    "uniform": _uniform,
    "uniform_pair": _uniform_pair,
    "gaussian": GaussianBias,
    "constant_bias": ConstantBias,
}


def check_law(law, L, n_features, radius):
    """Raise ValueError unless a law exists for points of norms up to radius."""
    if law not in LAWS:
        raise ValueError(f"law must be one of {sorted(LAWS)}; got {law!r}.")
    if law == "uniform_pair" and n_features != 1:
        raise ValueError(f"law='uniform_pair' needs one feature; X has {n_features}.")
    if law != "constant_bias" and not L > 0:
        raise ValueError(f"bias_scale must be positive; got {L:g}.")
    if law in ("uniform", "uniform_pair") and radius * (1 - 1e-12) > L:
        raise ValueError(
            f"law={law!r} needs bias_scale of at least the largest norm of X and Y,"
            f" {radius:g}; got {L:g}."
        )


def law_of(law, L, n_features, radius):
    """Return the expectations of a law that is right for points up to a radius."""
    check_law(law, L, n_features, radius)
    return LAWS[law](L, n_features)


def finite_number(value, name):
    """Return a finite float."""
    value = float(value)
    if not np.isfinite(value):
        raise ValueError(f"{name} must be finite; got {value}.")
    return value


def activation_slopes(activation):
    """Return the slope for negative arguments and the jump of the slope at zero."""
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {sorted(ACTIVATIONS)}; got {activation!r}."
        )
    low, high = ACTIVATIONS[activation]
    return low, high - low
