"""Losses of classifiers as functions of their scores, with gradients.

Two classes have one score a sample, positive for the second class; more have a score a
class. All losses are weighted means over the samples.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "LOG_ODDS",
    "MARGIN_LOSSES",
    "SOFT_LOSSES",
    "MarginLoss",
    "MarginPoint",
    "SoftLoss",
    "soft_step",
]

MARGIN_LOSSES = ("logistic", "exponential")
SOFT_LOSSES = ("soft_f1", "soft_accuracy", "soft_balanced_accuracy")
# What the scores of the least loss of a population are to be multiplied by to be log
# odds. The soft losses take scores for log odds.
LOG_ODDS = {"exponential": 2.0, "logistic": 1.0, **dict.fromkeys(SOFT_LOSSES, 1.0)}

# Below this, log(1 + exp(a)) is exp(a) to the last place.
_TINY = -37.0
# One step of Newton's method from such forces on the intercept, relative to themselves,
# leaves the square of that.
_QUADRATIC = 1e-7
_MAX_NEWTON = 100
# Classes whose forces on others are a smaller share of their own do not move for them.
_BLIND = 1e-10

# Thresholds over which the soft confusion matrix is averaged, and its softness.
_THRESHOLDS = tuple(k / 10 for k in range(1, 10))
_SOFTNESS = 0.1


def _per_class(scores: Tensor) -> Tensor:
    """Return a score a class; the first of two classes has the score zero."""
    if scores.shape[1] > 1:
        return scores
    return torch.cat([torch.zeros_like(scores), scores], dim=1)


@dataclass(frozen=True, eq=False)
class MarginLoss:
    """The logistic or the exponential loss, in the log domain.

    With the margins ``m_ik = f_iy - f_ik`` of a sample of class y over the wrong
    classes k, the logistic loss is the mean of ``log(1 + sum_k exp(-m_ik))``, the
    cross-entropy of the softmax, and the exponential loss that of
    ``sum_k exp(-m_ik)``. The loss itself is never formed: one of exp(-1e6) has as exact
    a gradient as any.

    Parameters
    ----------
    name : {"logistic", "exponential"}
        Which of the two.
    codes : Tensor of shape (n_samples,)
        Numbers of the right classes.
    weight : Tensor of shape (n_samples,)
        Weights of the samples; only their ratios matter.
    n_classes : int
        Number of classes.

    Raises
    ------
    ValueError
        If there is no such loss.

    Examples
    --------
    >>> import torch
    >>> from skregimes.losses import MarginLoss
    >>> weight = torch.ones(2, dtype=torch.float64)
    >>> loss = MarginLoss("logistic", torch.tensor([0, 1]), weight, 2)
    >>> point = loss.at(torch.tensor([[-1e6], [1e6]], dtype=torch.float64))
    >>> print(float(point.log_loss), point.gradient.ravel().round(decimals=6).tolist())
    -1000000.0 [0.5, -0.5]
    """

    name: str
    codes: Tensor
    weight: Tensor
    n_classes: int

    def __post_init__(self):
        if self.name not in MARGIN_LOSSES:
            raise ValueError(f"name={self.name!r} must be one of {MARGIN_LOSSES}.")

    @cached_property
    def log_share(self) -> Tensor:
        """Logarithms of the samples' shares of the weight."""
        return (self.weight / self.weight.sum()).log()

    @cached_property
    def right(self) -> Tensor:
        """Ones where a class is the right one, (n_samples, n_classes)."""
        classes = torch.arange(self.n_classes, device=self.codes.device)
        return (self.codes[:, None] == classes).to(self.weight.dtype)

    @cached_property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the samples of the second class and of the first, of two."""
        codes = self.codes.numpy(force=True)
        return np.flatnonzero(codes == 1), np.flatnonzero(codes == 0)

    def at(self, scores: Tensor) -> "MarginPoint":
        """Return the loss at scores of shape (n_samples, n_outputs)."""
        full = _per_class(scores)
        right = self.codes[:, None]
        lead = (full - full.gather(1, right)).scatter(1, right, -math.inf)
        return MarginPoint(self, lead, lead.logsumexp(dim=1), scores.shape[1])

    def intercept(self, scores: Tensor, start: Tensor | None = None) -> Tensor:
        """Return what to add to the scores so that the loss is least.

        Parameters
        ----------
        scores : Tensor of shape (n_samples, n_outputs)
            Scores.
        start : Tensor of shape (n_outputs,), optional
            Where to begin; zeros by default.

        Returns
        -------
        Tensor of shape (n_outputs,)
            Of more than two classes, with the mean of `start`.

        Notes
        -----
        The loss is convex in the intercept and least where what pulls each class up
        equals what pushes it down. Newton's method is applied to the logarithms of
        these two, which are almost linear however far apart the scores are.
        """
        balance = (_BalanceOfTwo if self.n_classes == 2 else _Balance).of(self, scores)
        shift = np.zeros(scores.shape[1])
        if start is not None:
            shift = start.numpy(force=True)
        shift = balance.solve(shift)
        return scores.new_tensor(shift)


@dataclass(frozen=True, eq=False)
class MarginPoint:
    """A margin loss at some scores.

    Parameters
    ----------
    loss : MarginLoss
        The loss.
    lead : Tensor of shape (n_samples, n_classes)
        Minus the margins; -inf for the right class.
    total : Tensor of shape (n_samples,)
        Logarithms of the sums of the exponentials of ``lead``.
    n_outputs : int
        Number of scores a sample.
    """

    loss: MarginLoss
    lead: Tensor
    total: Tensor
    n_outputs: int

    @cached_property
    def _damping(self) -> Tensor:
        """Minus the log of what the logistic loss takes off its derivative."""
        if self.loss.name == "exponential":
            return torch.zeros_like(self.total)
        return torch.logaddexp(self.total, torch.zeros_like(self.total))

    @cached_property
    def log_loss(self) -> Tensor:
        """Natural logarithm of the loss."""
        each = self.total
        if self.loss.name == "logistic":
            each = torch.where(each < _TINY, each, self._damping.log())
        return (self.loss.log_share + each).logsumexp(dim=0)

    @cached_property
    def _log_pull(self) -> Tensor:
        """Logarithms of the derivatives of the loss in the wrong scores."""
        return (self.loss.log_share - self._damping)[:, None] + self.lead

    @cached_property
    def _pull(self) -> Tensor:
        return (self._log_pull - self.log_loss).exp()

    @cached_property
    def gradient(self) -> Tensor:
        """Gradient of the log of the loss, shape (n_samples, n_outputs)."""
        return self._balanced(self._pull)

    def _balanced(self, pull: Tensor) -> Tensor:
        """Return forces on scores, of those on wrong ones."""
        total = pull.sum(dim=1, keepdim=True)
        return (pull - self.loss.right * total)[:, -self.n_outputs :]

    def _moved(self, change: Tensor) -> Tensor:
        """Return the change of the logarithms of derivatives in the wrong scores."""
        moved = change - (change * self.loss.right).sum(dim=1, keepdim=True)
        if self.loss.name == "exponential":
            return moved
        wrong = (self.lead - self._damping[:, None]).exp()
        return moved - (wrong * moved).sum(dim=1, keepdim=True)

    def hessian_product(self, change: Tensor) -> Tensor:
        """Return the Hessian of the log loss times a change of the scores."""
        change = _per_class(change)
        lead = change - (change * self.loss.right).sum(dim=1, keepdim=True)
        fall = (self._pull * lead).sum()
        return self._balanced(self._pull * (self._moved(change) - fall))

    def curvature(self) -> float:
        """Return the largest second derivative of the loss in one output's scores.

        That of the loss over the loss, summed over the samples.
        """
        wrong = (self.lead - self._damping[:, None]).exp()
        if self.loss.name == "exponential":
            wrong = torch.zeros_like(wrong)
        right = self._pull.sum(dim=1) * (1 - wrong.sum(dim=1))
        bend = self._pull * (1 - wrong) + self.loss.right * right[:, None]
        return float(bend.sum(dim=0)[-self.n_outputs :].max())


@dataclass(frozen=True, eq=False)
class _BalanceOfTwo:
    """The search for the best intercept of two classes, in NumPy, which is faster.

    The forces of the samples of one class are to equal those of the other.
    """

    logistic: bool
    margins: tuple[np.ndarray, np.ndarray]
    log_share: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, loss, scores):
        """Take scores of any intercept."""
        scores, share = (a.numpy(force=True) for a in (scores[:, 0], loss.log_share))
        high, low = loss.sides
        margins = scores[high], -scores[low]
        return cls(loss.name == "logistic", margins, (share[high], share[low]))

    def _force(self, side, shift):
        """Return the log of the force of a class, and minus its slope in margins."""
        margins = self.margins[side] + shift
        if not self.logistic:
            log_force = self.log_share[side] - margins
            peak = log_force.max()
            return peak + math.log(np.exp(log_force - peak).sum()), 1.0
        damping = np.logaddexp(margins, 0.0)
        log_force = self.log_share[side] - damping
        peak = log_force.max()
        force = np.exp(log_force - peak)
        total = force.sum()
        return peak + math.log(total), force @ np.exp(margins - damping) / total

    def solve(self, shift):
        """Return the best intercept, given where to begin."""
        shift, low, high = float(shift[0]), -math.inf, math.inf
        reach = 1 + 2 * max(np.abs(m).max() for m in self.margins)
        for _ in range(_MAX_NEWTON):
            up, rise = self._force(0, shift)
            down, fall = self._force(1, -shift)
            gap, slope = up - down, rise + fall
            low, high = (shift, high) if gap > 0 else (low, shift)
            limit = reach + abs(shift)
            step = min(max(gap / max(slope, 1e-300), -limit), limit)
            if abs(gap) <= _QUADRATIC:
                return np.array([shift + step])
            shift = shift + step
            if not low < shift < high:
                shift = (low + high) / 2
        return np.array([shift])


@dataclass(frozen=True, eq=False)
class _Balance:
    """The search for the best intercept of more classes, in NumPy, which is faster.

    What pulls the scores of a class up, the forces of its own samples, is to equal
    what pushes them down, those of others.
    """

    logistic: bool
    scores: np.ndarray
    right: np.ndarray
    log_share: np.ndarray

    @classmethod
    def of(cls, loss, scores):
        """Take scores of any intercept."""
        arrays = scores, loss.right, loss.log_share
        return cls(loss.name == "logistic", *(a.numpy(force=True) for a in arrays))

    def solve(self, shift):
        """Return the best intercept, given where to begin."""
        forces = self.at(shift)
        for _ in range(_MAX_NEWTON):
            step = forces.step()
            if forces.size <= _QUADRATIC:
                return shift + step
            for _ in range(60):
                moved = self.at(shift + step)
                # Rounding may hide that the loss falls.
                if forces.size < 1e-3 or moved.log_loss <= forces.log_loss:
                    break
                step = step / 2
            shift, forces = shift + step, moved
        return shift

    def at(self, shift):
        """Return the forces for an intercept."""
        full = self.scores + shift
        own = self.right == 1
        lead = full - full[own][:, None]
        lead[own] = -np.inf
        log_total, wrong = _softmax(lead, axis=1)
        damping = np.zeros_like(log_total)
        each, share = log_total, damping
        if self.logistic:
            damping = np.logaddexp(log_total, 0)
            with np.errstate(divide="ignore"):
                each = np.where(log_total < _TINY, log_total, np.log(damping))
            share = np.exp(log_total - damping)
        base = (self.log_share - damping)[:, None]
        log_up, up = _softmax(np.where(own, base + log_total[:, None], -np.inf), axis=0)
        log_down, down = _softmax(base + lead, axis=0)
        # How the logarithms of forces change with the intercept.
        turn = wrong - self.right
        slope = (up * (1 - share)[:, None]).T @ turn
        slope += down.T @ (self.right + share[:, None] * turn)
        slope[np.diag_indices_from(slope)] -= 1
        log_loss = np.logaddexp.reduce(self.log_share + each)
        return _Forces(log_loss, log_up, log_down, slope)


@dataclass(frozen=True, eq=False)
class _Forces:
    """Logarithms of the forces on the scores of each class."""

    log_loss: float
    log_up: np.ndarray
    log_down: np.ndarray
    slope: np.ndarray  # of the gap in the intercept

    @cached_property
    def gap(self):
        """What is to vanish."""
        return self.log_up - self.log_down

    @property
    def size(self):
        """How far it is from that."""
        return np.abs(self.gap).max()

    def step(self):
        """Return a step of Newton's method, or one that is surely downhill."""
        step = -np.linalg.pinv(self.slope, rcond=_BLIND) @ self.gap
        top = max(self.log_up.max(), self.log_down.max())
        uphill = step @ (np.exp(self.log_down - top) - np.exp(self.log_up - top))
        step = step if uphill < 0 else self.gap / 2
        return step - step.mean()


def _softmax(values, axis):
    """Return the logarithm of the sum of exponentials, and their shares."""
    peak = np.max(values, axis=axis, keepdims=True)
    shares = np.exp(values - peak)
    total = shares.sum(axis=axis, keepdims=True)
    return (np.log(total) + peak).squeeze(axis), shares / total


@dataclass(frozen=True, eq=False)
class SoftLoss:
    """One minus a score of a soft confusion matrix.

    Probabilities become entries of the matrix by a piecewise linear step at a
    threshold, and the score is averaged over the thresholds .1, .2, ..., .9. With more
    than two classes it is also averaged over the classes, each against the rest, with
    probabilities by the softmax.

    Parameters
    ----------
    name : {"soft_f1", "soft_accuracy", "soft_balanced_accuracy"}
        The score: ``2 TP / (2 TP + FP + FN)``, ``TP + TN`` or ``(TP / (TP + FN) + TN /
        (TN + FP)) / 2``, of shares of the weight.
    codes : Tensor of shape (n_samples,)
        Numbers of the right classes; the second of two is the positive one.
    weight : Tensor of shape (n_samples,)
        Weights of the samples; only their ratios matter.
    n_classes : int
        Number of classes, each with a sample.

    Raises
    ------
    ValueError
        If there is no such loss.

    References
    ----------
    Tsoi, Candon, Li, Milkessa, Vazquez, "Bridging the Gap: Unifying the Training and
    Evaluation of Neural Network Binary Classifiers", NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from skregimes.losses import SoftLoss
    >>> loss = SoftLoss("soft_accuracy", torch.tensor([0, 1]), torch.ones(2), 2)
    >>> value, gradient = loss(torch.tensor([[-5.0], [0.0]]))
    >>> print(round(float(value), 3))
    0.252
    """

    name: str
    codes: Tensor
    weight: Tensor
    n_classes: int

    def __post_init__(self):
        if self.name not in SOFT_LOSSES:
            raise ValueError(f"name={self.name!r} must be one of {SOFT_LOSSES}.")

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss at scores (n_samples, n_outputs), and its gradient."""
        scores = scores.detach().requires_grad_()
        with torch.enable_grad():
            value = 1 - self._score(scores)
        (gradient,) = torch.autograd.grad(value, scores)
        return value.detach(), gradient

    def _score(self, scores: Tensor) -> Tensor:
        if scores.shape[1] == 1:
            probability, labels = scores.sigmoid(), self.codes[:, None] == 1
        else:
            probability = scores.softmax(dim=1)
            labels = self.codes[:, None] == torch.arange(
                self.n_classes, device=scores.device
            )
        share = (self.weight / self.weight.sum()).to(scores)[:, None, None]
        # Samples, classes, thresholds.
        positive = labels.to(scores)[:, :, None]
        said = soft_step(probability[:, :, None], scores.new_tensor(_THRESHOLDS))
        TP = (share * said * positive).sum(dim=0)
        FP = (share * said * (1 - positive)).sum(dim=0)
        FN = (share * (1 - said) * positive).sum(dim=0)
        TN = (share * (1 - said) * (1 - positive)).sum(dim=0)
        if self.name == "soft_accuracy":
            return (TP + TN).mean()
        if self.name == "soft_f1":
            return (2 * TP / (2 * TP + FP + FN)).mean()
        return (TP / (TP + FN) + TN / (TN + FP)).mean() / 2


def soft_step(probability: Tensor, threshold: Tensor) -> Tensor:
    """Return a step from 0 to 1 at a threshold, made of three straight lines.

    Parameters
    ----------
    probability, threshold : Tensor
        Numbers in [0, 1], threshold neither 0 nor 1, of shapes that broadcast.

    Returns
    -------
    Tensor
        0, .1, .5, .9 and 1 at 0, ``threshold - w``, ``threshold``, ``threshold + w``
        and 1, where w is half the distance of the threshold to the nearer of 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from skregimes.losses import soft_step
    >>> p = torch.tensor([0.0, 0.1, 0.2, 0.3, 1.0])
    >>> soft_step(p, torch.tensor(0.2))
    tensor([0.0000, 0.1000, 0.5000, 0.9000, 1.0000])
    """
    half = torch.minimum(threshold, 1 - threshold) / 2
    low = _SOFTNESS / (threshold - half) * probability
    middle = 0.5 + (0.5 - _SOFTNESS) / half * (probability - threshold)
    high = 1 - _SOFTNESS / (1 - threshold - half) * (1 - probability)
    rises = torch.where(probability > threshold + half, high, middle)
    return torch.where(probability < threshold - half, low, rises)
