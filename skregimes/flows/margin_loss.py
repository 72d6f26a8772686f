"""Losses of margins, their forces and their curvature, at any level of the loss.

A loss of ``exp(-1e6)`` underflows, and so do its gradient and its curvature. But what a
flow needs of them beside their logs are ratios: which share each margin has in the
gradient, and the curvature in units of the gradient.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from skregimes.limits.margins import Margins

__all__ = ["LOSSES", "LossPoint", "MarginLoss", "log_sum_exp"]

LOSSES = ("logistic", "exponential")

_MAX_NEWTON, _MAX_HALVED = 60, 8
# Forces on an output balance to this share, or as well as margins are resolved.
_BALANCED = 1e-12
_LEAST_SLOPE = 1e-12
_LEAST_PULL = 1e-200


def log_sum_exp(values):
    """Return ``log(sum(exp(values)))`` over the last axis.

    SciPy's takes longer to begin with than a step of a small problem has in all.
    """
    top = values.max(axis=-1)
    return top + np.log(np.exp(values - top[..., None]).sum(axis=-1))


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
    log_shares : ndarray of shape (n_samples, n_classes - 1)
        Logs of ``c / G``.
    force : ndarray of shape (n_samples, n_outputs)
        Minus the gradient in the scores, divided by ``G``.
    saturation : ndarray of shape (n_samples,)
        Logistic loss: the chance of a wrong class; exponential loss: 0.
    margins : ndarray of shape (n_margins,)
        The margins.
    """

    log_loss: float
    log_force: float
    log_shares: np.ndarray
    force: np.ndarray
    saturation: np.ndarray
    margins: np.ndarray

    @cached_property
    def shares(self):
        """``c / G``, shape (n_margins,)."""
        return np.exp(self.log_shares.ravel())

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
        return self._point(margins, *self._log_forces(margins))

    def _point(self, margins, log_c, total):
        log_force = float(log_sum_exp(log_c.ravel()))
        log_shares = log_c - log_force
        if self.loss == "exponential":
            log_l, saturation = total, np.zeros(len(total))
        else:
            log_l, saturation = log_softplus(total), expit(total)
        return LossPoint(
            float(log_sum_exp(self._log_share + log_l)),
            log_force,
            log_shares,
            self.margins.pull(np.exp(log_shares.ravel())),
            saturation,
            margins,
        )

    def _log_forces(self, margins):
        """Return logs of the forces, an entry a margin, and of the sums of exp(-m)."""
        each = -margins.reshape(len(self.share), -1)
        total = each[:, 0] if each.shape[1] == 1 else log_sum_exp(each)
        log_c = self._log_share[:, None] + each
        if self.loss == "logistic":
            log_c -= np.logaddexp(0.0, total)[:, None]
        return log_c, total

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

    def profiled(self, scores, intercept):
        """Return the intercepts of least loss, and the `LossPoint` there.

        Forces on each output balance: ``log(pull up) - log(pull down) = 0``, solved by
        Newton's method. It is all but linear in the intercepts where margins are large,
        however small the loss, and whatever few samples carry it.

        Parameters
        ----------
        scores : ndarray of shape (n_samples, n_outputs)
            Scores without intercepts.
        intercept : ndarray of shape (n_outputs,)
            First guess.
        """
        margins = self.margins.of(scores + intercept)
        log_c, total = self._log_forces(margins)
        largest = np.max(np.abs(margins))
        if not np.isfinite(largest):
            return intercept, self._point(margins, log_c, total)
        reach = 1 + np.ptp(scores)
        enough = max(_BALANCED, 4 * np.finfo(float).eps * largest)
        gap, newton = self._balance(log_c, total)
        for _ in range(_MAX_NEWTON):
            size = np.max(np.abs(gap))
            if size <= enough:
                break
            step = newton()
            step *= min(1.0, reach / np.max(np.abs(step), initial=reach))
            for _ in range(_MAX_HALVED):
                moved = self.margins.of(scores + intercept + step)
                forces = self._log_forces(moved)
                gap, newton = self._balance(*forces)
                if np.max(np.abs(gap)) < size:
                    break
                step = step / 4
            else:
                break  # rounding
            intercept, margins, (log_c, total) = intercept + step, moved, forces
        return intercept, self._point(margins, log_c, total)

    @cached_property
    def _members(self):
        """Samples of each class, and which is in which, (n_classes, n_samples)."""
        hot = np.arange(self.margins.n_classes)[:, None] == self.margins.codes
        return [np.flatnonzero(row) for row in hot], hot.astype(float)

    def _balance(self, log_c, total):
        """Return by how much the log of the pull up exceeds that down, an output.

        And a function that returns the Newton step to gaps of zero.
        """
        if self.margins.n_outputs > 1:
            pulls = self._pulls(log_c)
            gap = pulls[0] - pulls[1]
            return gap, lambda: self._newton(log_c, total, pulls, gap)
        rows, hot = self._members
        log = log_c[:, 0]
        weight = np.exp(log - log.max())
        pull = hot @ weight
        if pull.min() > _LEAST_PULL:
            gap = np.log(pull[1] / pull[0])
        else:  # far from balanced
            weight, pull = np.empty_like(log), np.ones(2)
            tops = [log_sum_exp(log[members]) for members in rows]
            for members, top in zip(rows, tops, strict=True):
                weight[members] = np.exp(log[members] - top)
            gap = tops[1] - tops[0]
        if self.loss == "logistic":
            weight = weight * expit(-total)
        slope = np.sum(hot @ weight / pull)
        step = np.atleast_1d(gap / max(slope, _LEAST_SLOPE))
        return np.atleast_1d(gap), lambda: step

    def _pulls(self, log_c):
        """Return logs of the pulls on each class: up, and down by whose samples."""
        n_classes = self.margins.n_classes
        mass = np.full((n_classes, n_classes), -np.inf)
        others = ~np.eye(n_classes, dtype=bool)
        for code, rows in enumerate(self._members[0]):
            mass[code, others[code]] = log_sum_exp(log_c[rows].T)
        return log_sum_exp(mass), log_sum_exp(mass.T), mass

    def _newton(self, log_c, total, pulls, gap):
        # Several intercepts have a free sum, which stays zero.
        slope = self._slope(log_c, total, *pulls) + 1 / self.margins.n_classes
        step, *_ = np.linalg.lstsq(slope, -gap)
        return step - step.mean()

    def _slope(self, log_c, total, up, down, mass):
        """Return the derivative of the gaps in the intercepts of three and more."""
        codes, n_classes = self.margins.codes, self.margins.n_classes
        out = np.exp(mass - up[:, None])  # of the pull up, what each other class gets
        come = np.exp(mass - down).T
        slope = out + come - 2 * np.eye(n_classes)
        if self.loss == "exponential":
            return slope
        # A force falls less the more of the sample's chance is with wrong classes.
        saturation, sums = expit(total), log_sum_exp(log_c)
        rows, wrong = np.arange(len(codes)), self.margins.wrong
        chance = np.zeros((len(codes), n_classes))
        inner = np.exp(log_c - sums[:, None])
        chance[rows[:, None], wrong] = saturation[:, None] * inner
        chance[rows, codes] = -saturation
        weight = np.zeros((len(codes), n_classes))
        weight[rows, codes] = np.exp(sums - up[codes])
        weight[rows[:, None], wrong] = -np.exp(log_c - down[wrong])
        return slope - weight.T @ chance

    def start(self):
        """Return the intercepts that fit best without features, ``(n_outputs,)``."""
        log = np.log(np.bincount(self.margins.codes, self.share))
        if self.loss == "exponential":
            log = log / 2
        if self.margins.n_outputs == 1:
            return log[1:] - log[:1]
        return log - log.mean()
