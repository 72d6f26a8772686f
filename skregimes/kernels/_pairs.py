"""Norms and angles of pairs of points, without loss where points nearly coincide.

A kernel near its diagonal goes like the angle of two points, and arccos of a cosine
that is rounded is blind below 1e-8. So the angle comes from ``1 - cosine``, which is
half the squared chord of the directions, and is computed as such.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.distance import cdist

__all__ = ["Pairs", "mirrored", "polar"]

TINY = 1e-100
# The chord replaces the product of directions where the cosine is above this. An angle
# then is right to a few roundings, and few pairs of a table are that close.
CLOSE = 0.99
# Up to so many features all chords are cheaper than finding the pairs that need them.
FEW = 3


def polar(X):
    """Return directions and norms of the rows."""
    norms = np.sqrt(np.einsum("ij,ij->i", X, X))
    return X / np.maximum(norms, TINY)[:, None], norms


def mirrored(K):
    """Return a symmetric matrix without the roundings that differ below."""
    return np.triu(K) + np.triu(K, 1).T


@dataclass(frozen=True)
class Pairs:
    """Norms p and q, ``1 - cosine``, and ``1 + cosine`` of almost opposite pairs.

    The arrays broadcast: all pairs of two sets, or each point of one set with itself.
    ``opposite`` is None or the indices of pairs with a cosine near -1 and their ``1 +
    cosine``, of which ``1 - cosine`` holds no digits.
    """

    p: np.ndarray
    q: np.ndarray
    deficit: np.ndarray
    opposite: tuple | None = None

    @classmethod
    def between(cls, U, p, V, q):
        """Return all pairs of points of directions U and V and norms p and q."""
        if U.shape[1] <= FEW:
            deficit = cdist(U, V, "sqeuclidean")
            deficit /= 2
        else:
            deficit = U @ V.T
            np.subtract(1, deficit, out=deficit)
            if deficit.min(initial=1) < 1 - CLOSE:
                close = np.nonzero(deficit < 1 - CLOSE)
                deficit[close] = _half_square(U[close[0]] - V[close[1]])
        opposite = None
        if deficit.max(initial=1) > 1 + CLOSE:
            far = np.nonzero(deficit > 1 + CLOSE)
            rest = _half_square(U[far[0]] + V[far[1]])
            deficit[far] = 2 - rest
            opposite = far, rest
        # The origin has no direction: it gets one of its own, at right angles to all.
        nowhere = np.nonzero(p == 0)[0], np.nonzero(q == 0)[0]
        deficit[nowhere[0]] = 1
        deficit[:, nowhere[1]] = 1
        deficit[np.ix_(*nowhere)] = 0
        return cls(p[:, None], q, deficit, opposite)

    @classmethod
    def themselves(cls, p):
        """Return each point with itself."""
        return cls(p, p, np.zeros(len(p)))

    @property
    def swapped(self):
        """The same pairs, at the same places, second point first."""
        return Pairs(self.q, self.p, self.deficit, self.opposite)

    def scaled(self, factor):
        """Return the pairs of points multiplied by a factor."""
        return Pairs(self.p * factor, self.q * factor, self.deficit, self.opposite)

    def lifted(self, feature):
        """Return the pairs after appending a constant feature to every point."""
        if feature == 0:
            return self
        p, q = np.hypot(self.p, feature), np.hypot(self.q, feature)
        one, other = self.p / p, self.q / q
        deficit = one * other
        deficit *= self.deficit
        # and half the squared chord between the two latitudes
        for height, level in ((one, other), (feature / p, feature / q)):
            chord = height * np.sqrt(0.5) - level * np.sqrt(0.5)
            chord *= chord
            deficit += chord
        opposite = self._lifted_opposite(feature, p, q)
        if opposite:  # rounding may have led beyond 2
            deficit[opposite[0]] = 2 - opposite[1]
        return Pairs(p, q, deficit, opposite)

    def _lifted_opposite(self, feature, p, q):
        """Return what `opposite` is after lifting to the norms p and q."""
        if self.opposite is None:
            return None
        where, rest = self.opposite
        before, after = (
            [np.broadcast_to(each, self.deficit.shape)[where] for each in pair]
            for pair in ((self.p, self.q), (p, q))
        )
        flat, lifted = np.prod(before, axis=0), np.prod(after, axis=0)
        # lifted - flat + feature**2, where lifted**2 - flat**2 = feature**2 * squares
        squares = before[0] ** 2 + before[1] ** 2 + feature**2
        gained = feature**2 * (1 + squares / (lifted + flat))
        rest = (gained + flat * rest) / lifted
        near = rest < 1  # of those above, the deficit has all digits
        return tuple(index[near] for index in where), rest[near]

    def inner(self):
        """Return the inner products."""
        product = 1 - self.deficit
        product *= self.p
        product *= self.q
        return product

    @property
    def surplus(self):
        """The values of ``1 + cosine``."""
        surplus = 2 - self.deficit
        if self.opposite:
            where, rest = self.opposite
            surplus[where] = rest
        return surplus

    def gap(self):
        """Return the distances."""
        return self._length(self.deficit)

    def middle(self):
        """Return the norms of the sums."""
        return self._length(self.surplus)

    def _length(self, turned):
        return np.sqrt((self.p - self.q) ** 2 + 2 * self.p * self.q * turned)

    @cached_property
    def angle_and_sine(self):
        """Return the angles, between 0 and pi, and their sines."""
        sine = 2 - self.deficit
        sine *= self.deficit
        np.sqrt(sine, out=sine)
        angle = self.deficit / 2
        np.sqrt(angle, out=angle)
        np.arcsin(angle, out=angle)
        angle *= 2
        opposite = self.opposite
        if opposite is None and self.deficit.max(initial=1) > 1 + CLOSE:
            where = np.nonzero(self.deficit > 1 + CLOSE)
            opposite = where, 2 - self.deficit[where]
        if opposite:  # where arcsin is ill-conditioned
            where, rest = opposite
            sine[where] = np.sqrt(rest * (2 - rest))
            angle[where] = np.pi - 2 * np.arcsin(np.sqrt(rest / 2))
        return angle, sine


def _half_square(differences):
    return np.einsum("ij,ij->i", differences, differences) / 2
