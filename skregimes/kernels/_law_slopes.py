"""Derivatives in ``log(L)`` of the expectations of `skregimes.kernels._laws`.

Each class has the methods of its law, so that a kernel and its derivative are put
together from their parts by the same two functions.
"""

import numpy as np
from scipy.special import ndtr

from skregimes.kernels._laws import BoundedBias, ConstantBias, GaussianBias, density

__all__ = ["slope_of"]


class _Slope:
    def __init__(self, law):
        self.law, self.L = law, law.L


class _BoundedBiasSlope(_Slope):
    def relu_relu(self, pairs):
        return self.L**2 / 3 - self.law.cube * pairs.gap() ** 3 / (24 * self.L)

    def linear_linear(self, pairs):
        return 2 * self.L**2 / 3

    def relu_linear(self, pairs):
        return self.L**2 / 3

    def both_active(self, pairs, weighted):
        if not weighted:
            return self.law.linear * pairs.gap() / (4 * self.L)
        return self.L**2 / 3 - self.law.missed(pairs)

    def active(self, p, weighted):
        return self.total(weighted) / 2

    def total(self, weighted):
        return 2 * self.L**2 / 3 if weighted else 0.0


class _ConstantBiasSlope(_Slope):
    """Every derivative in B is over events at the edge, where one unit turns on."""

    def relu_relu(self, pairs):
        p, q, *_ = self.law.geometry(pairs)
        one, other = self.law.edges(pairs)
        cosine = 1 - pairs.deficit
        means = p * (one + cosine * other) + q * (other + cosine * one)
        return self.L * (2 * self.L * self.law.orthant(pairs) - means)

    def both_active(self, pairs, weighted):
        p, q, sine, tangent = self.law.geometry(pairs)
        one, other = self.law.edges(pairs)
        fall = self.L * (one / p + other / q)  # minus the derivative of P(both active)
        if not weighted:
            return -fall
        # the change of the edges themselves: each fades, and one unit's edge moves over
        # the other's
        apart = 1 / p - 1 / q
        with np.errstate(over="ignore", invalid="ignore"):
            turn = apart * (apart / sine) - tangent * (1 / p**2 + 1 / q**2)
            joint = self.law.joint(pairs)
            crossing = np.where(joint > 0, joint * turn, 0.0)
        fading = self.L * (one / p**3 + other / q**3)
        growth = 2 * self.L**2 * self.law.orthant(pairs)
        total = self.law.total(True)
        return growth + (1 - total) * fall + self.L**2 * (crossing - fading)

    def active(self, p, weighted):
        h = self.L / np.maximum(p, 1e-100)
        if not weighted:
            return -h * density(h)
        fall = (self.law.total(True) - 1 + h**2) * h * density(h)
        return 2 * self.L**2 * ndtr(-h) - fall

    def total(self, weighted):
        return 2 * self.L**2 if weighted else 0.0

    def relu_linear(self, pairs):
        p = np.maximum(pairs.p, 1e-100)
        h = self.L / p
        mean = p * density(h) - self.L * ndtr(-h)
        return self.L * (self.L * ndtr(-h) - mean) - h * density(h) * pairs.inner()

    def linear_linear(self, pairs):
        return 2 * self.L**2


class _GaussianBiasSlope(_Slope):
    def relu_relu(self, pairs):
        lifted = pairs.lifted(self.L)
        angle, sine = lifted.angle_and_sine
        ratio = lifted.p / lifted.q
        return self.L**2 * (np.pi - angle + sine * (ratio + 1 / ratio) / 2) / np.pi

    def relu_linear(self, pairs):
        return self.L**2

    def linear_linear(self, pairs):
        return 2 * self.L**2

    def turn(self, lifted):
        """Return the derivative of the angle: points fall into line as L grows."""
        p, q = lifted.p, lifted.q
        sine = np.maximum(lifted.angle_and_sine[1], 1e-100)
        bend = (1 - lifted.deficit) * (p - q) ** 2 / (2 * p * q) - lifted.deficit
        return 2 * self.L**2 / (p * q) * bend / sine

    def both_active(self, pairs, weighted):
        lifted = pairs.lifted(self.L)
        angle, sine = lifted.angle_and_sine
        turn = self.turn(lifted)
        rise = -turn / (2 * np.pi)
        if not weighted:
            return rise
        both = (np.pi - angle) / (2 * np.pi)
        last = self.law.last(lifted)
        excess = self.L**2 - 1
        moved = 2 * self.L**2 * last + excess * self._last(lifted, sine, turn)
        growth = 2 * self.L**2 * both
        return growth + self.law.total(True) * rise + moved / (2 * np.pi)

    def _last(self, lifted, sine, turn):
        sine = np.maximum(sine, 1e-100)
        one, other = self.L / lifted.p, self.L / lifted.q
        squares, apart = one**2 + other**2, one - other
        fading = 2 * (squares - one**4 - other**4) * lifted.deficit / sine
        fading -= 2 * apart**2 * (1 - squares - one * other) / sine
        cosine = 1 - lifted.deficit
        turning = squares / lifted.surplus + cosine * (apart / sine) ** 2
        return fading + turning * turn

    def active(self, p, weighted):
        return self.total(weighted) / 2

    def total(self, weighted):
        return 2 * self.L**2 if weighted else 0.0


_SLOPES = {
    BoundedBias: _BoundedBiasSlope,
    ConstantBias: _ConstantBiasSlope,
    GaussianBias: _GaussianBiasSlope,
}


def slope_of(law):
    """Return the derivatives of the expectations of a law."""
    return _SLOPES[type(law)](law)
