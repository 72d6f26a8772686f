"""Margins of a classifier: by how much the right class leads, and their transposes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Margins"]


@dataclass(frozen=True, eq=False)
class Margins:
    """Margins of labelled samples, linear in the scores.

    Two classes have one score a sample, positive for the second class, and one margin,
    ``+score`` or ``-score``. More have a score a class, and a margin for each class
    that is wrong, ``score of the right one - score of the wrong one``; those of a
    sample stand together, wrong classes in increasing order.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Numbers of the classes, from 0.
    n_classes : int
        How many there are, at least 2.
    """

    codes: np.ndarray
    n_classes: int

    @property
    def n_outputs(self):
        """Scores of a sample."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def n_each(self):
        """Margins of a sample."""
        return self.n_classes - 1

    @cached_property
    def signs(self):
        """Signs of the margins of two classes, shape (n_samples,)."""
        return np.where(self.codes == 1, 1.0, -1.0)

    @cached_property
    def wrong(self):
        """The wrong classes of each sample, shape (n_samples, n_each)."""
        others = np.arange(self.n_each)
        return others + (others >= self.codes[:, None])

    @cached_property
    def sample(self):
        """The sample that each margin belongs to, shape (n_margins,)."""
        return np.repeat(np.arange(len(self.codes)), self.n_each)

    @cached_property
    def roles(self):
        """Signs with which the outputs enter margins, shape (n_outputs, n_margins)."""
        units = np.eye(self.n_outputs)[:, None]
        return self.of(np.repeat(units, len(self.codes), axis=1))

    def of(self, scores):
        """Return the margins ``(..., n_margins)`` of ``scores (..., n, n_outputs)``."""
        if self.n_classes == 2:
            return scores[..., 0] * self.signs
        rows = np.arange(len(self.codes))
        right = scores[..., rows, self.codes][..., None]
        wrong = scores[..., rows[:, None], self.wrong]
        return (right - wrong).reshape(*scores.shape[:-2], -1)

    def pull(self, dual):
        """Return forces ``(..., n, n_outputs)`` of multipliers ``(..., n_margins)``.

        The transpose of `of`.
        """
        if self.n_classes == 2:
            return (dual * self.signs)[..., None]
        rows = np.arange(len(self.codes))
        dual = dual.reshape(*dual.shape[:-1], len(self.codes), self.n_each)
        force = np.zeros((*dual.shape[:-1], self.n_classes))
        force[..., rows[:, None], self.wrong] = -dual
        force[..., rows, self.codes] = dual.sum(axis=-1)
        return force

    def multipliers(self, force):
        """Return the multipliers ``(..., n_margins)`` of forces, the inverse of `pull`.

        For forces that add up to zero over several outputs.
        """
        if self.n_classes == 2:
            return force[..., 0] * self.signs
        rows = np.arange(len(self.codes))[:, None]
        return -force[..., rows, self.wrong].reshape(*force.shape[:-2], -1)

    def gram(self, X, weights, which):
        """Return the Gram matrix of some margins' gradients.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Features.
        weights : ndarray of shape (n_outputs, n_features)
            Weights of the coefficients.
        which : ndarray of shape (m,)
            Numbers of the margins.

        Returns
        -------
        ndarray of shape (m, m)
            ``A diag(weights) A.T`` with a row of ``A`` a margin.
        """
        owner = self.sample[which]
        gram = np.zeros((len(which), len(which)))
        for role, weight in zip(self.roles[:, which], weights, strict=True):
            live = np.flatnonzero(role)
            samples, place = np.unique(owner[live], return_inverse=True)
            part = X[samples]
            inner = (part * weight) @ part.T
            share = inner[np.ix_(place, place)] * np.outer(role[live], role[live])
            gram[np.ix_(live, live)] += share
        return gram
