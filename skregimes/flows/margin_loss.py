"""Losses of margins, their forces and their curvature, at any level of the loss.

A loss of ``exp(-1e6)`` underflows, and so do its gradient and its curvature. But what a
flow needs of them beside their logs are ratios: which share each margin has in the
gradient, and the curvature in units of the gradient.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, logsumexp

from skregimes.limits.margins import Margins

__all__ = ["LOSSES", "LossPoint", "MarginLoss"]

LOSSES = ("logistic", "exponential")


def log_softplus(u):
    """Return ``log(log(1 + exp(u)))``."""
    near = np.maximum(u, -30.0)
    return np.where(u > -30, np.log(np.logaddexp(0.0, near)), u)


@dataclass(frozen=True, eq=False)
class LossPoint:
    """A loss at some scores, all that may under- or overflow in logs.

    With ``c`` the negative derivatives of the loss in the margins and ``G`` their sum:

    Attributes
    ----------
    log_loss, log_force : float
        Logs of the loss ``L`` and of ``G``.
    shares : ndarray of shape (n_margins,)
        ``c / G``.
    force : ndarray of shape (n_samples, n_outputs)
        Minus the gradient in the scores, divided by ``G``.
    saturation : ndarray of shape (n_samples,)
        Logistic loss: the chance of a wrong class; exponential loss: 0.
    margins : ndarray of shape (n_margins,)
        The margins.
    """

    log_loss: float
    log_force: float
    shares: np.ndarray
    force: np.ndarray
    saturation: np.ndarray
    margins: np.ndarray

    @property
    def ratio(self):
        """``L / G``: 1 for the exponential loss, tending to it for the logistic one."""
        return np.exp(self.log_loss - self.log_force)


@dataclass(frozen=True, eq=False)
class MarginLoss:
    """Weighted mean of a loss over samples.

    ``sum_k exp(-m_k)`` over the margins of a sample, or ``log(1 + sum_k exp(-m_k))``,
    which is the cross-entropy.

    Parameters
    ----------
    margins : Margins
        The labels.
    share : ndarray of shape (n_samples,)
        Positive weights of the samples, with sum one.
    loss : {"logistic", "exponential"}
        Which.
    """

    margins: Margins
    share: np.ndarray
    loss: str

    @cached_property
    def _log_share(self):
        return np.log(self.share)

    @cached_property
    def right(self):
        """Transpose of ``G`` as a linear function of the forces: where it is read."""
        n, k = len(self.share), self.margins.n_outputs
        if k == 1:
            return self.margins.signs[:, None]
        role = np.zeros((n, k))
        role[np.arange(n), self.margins.codes] = 1.0
        return role

    def at(self, scores):
        """Return the `LossPoint` of scores ``(n_samples, n_outputs)``."""
        margins = self.margins.of(scores)
        each = -margins.reshape(len(self.share), -1)
        total = each[:, 0] if each.shape[1] == 1 else logsumexp(each, axis=1)
        log_c = self._log_share[:, None] + each
        if self.loss == "exponential":
            log_l, saturation = total, np.zeros(len(total))
        else:
            log_l, saturation = log_softplus(total), expit(total)
            log_c = log_c - np.logaddexp(0.0, total)[:, None]
        log_force = logsumexp(log_c)
        shares = np.exp(log_c - log_force).ravel()
        return LossPoint(
            float(logsumexp(self._log_share + log_l)),
            float(log_force),
            shares,
            self.margins.pull(shares),
            saturation,
            margins,
        )

    def curvature(self, point):
        """Return the loss's Hessian in each sample's scores, divided by ``G``.

        Shape (n_samples, n_outputs, n_outputs). With ``e_k`` the unit vectors,
        ``sum_k c_k (e_y - e_k) (e_y - e_k).T``, for the logistic loss minus the product
        of forces over the weight.
        """
        n, k = len(self.share), self.margins.n_outputs
        shares = point.shares.reshape(n, -1)
        total = shares.sum(axis=1)
        if k == 1:
            return (total * (1 - point.saturation))[:, None, None]
        rows, codes = np.arange(n), self.margins.codes
        wrong = self.margins.wrong
        blocks = np.zeros((n, k, k))
        blocks[rows[:, None], wrong, wrong] = shares
        blocks[rows[:, None], codes[:, None], wrong] = -shares
        blocks[rows[:, None], wrong, codes[:, None]] = -shares
        blocks[rows, codes, codes] = total
        if self.loss == "logistic":
            unit = point.force / np.maximum(total, 1e-300)[:, None]
            part = point.saturation[:, None] * point.force
            blocks -= part[:, :, None] * unit[:, None]
        return blocks

    def start(self, fit_intercept):
        """Return the intercepts that fit best without features, ``(n_outputs,)``."""
        out = np.zeros(self.margins.n_outputs)
        if not fit_intercept:
            return out
        log = np.log(np.bincount(self.margins.codes, self.share))
        if self.loss == "exponential":
            log = log / 2
        if self.margins.n_outputs == 1:
            return log[1:] - log[:1]
        return log - log.mean()
