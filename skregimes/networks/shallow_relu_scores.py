"""Networks with one hidden layer as classifiers: their scores, and losses of these.

``f(x) = sum_j c_j sigma(a_j . x - b_j) + u . (s x) + v`` with the units of
`skregimes.networks.shallow_relu`. The weights ``u`` of a linear part are trained like
those of the units, ``s`` being a constant: separable classes have no best linear part,
as least squares do. They have a best intercept ``v``, for the losses of margins, and
there it is that at all times, as if it learnt infinitely faster.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from skregimes.losses import MarginPoint

__all__ = ["LogScoreProblem", "MarginScoreProblem", "ScoreProblem"]

# Rows are worked off in pieces of so many entries of a samples x units array: larger
# ones leave the cache.
_PIECE = 2**19

# Power iteration approaches the largest eigenvalue from below.
_MARGIN = 1.1
# Classes that hardly feel each other are not balanced, see `MarginLoss.intercept`.
_BLIND = 1e-10


@dataclass(frozen=True, eq=False)
class Units:
    """Two-slope units on given samples, whose slopes may change gradually.

    A kink that meets a sample may be held there by forces from both sides, and the flow
    then slides along: its slope at the sample is whatever between the two of the
    activation keeps it there (Filippov's solution). With a slope that changes over a
    small range around the kink a flow finds that one by itself.

    Parameters
    ----------
    inputs : Tensor of shape (n_samples, p)
        Features and a column of -1, ``p = n_features + 1``.
    slopes : tuple of float
        Slopes of the activation below and above zero.
    width : float
        Half the range of inputs ``z = x . a`` over which the slope changes, as a share
        of ``|x| |a|``; may be 0.
    """

    inputs: Tensor
    slopes: tuple[float, float]
    width: float

    @cached_property
    def sizes(self):
        """Norms of the inputs, (n_samples, 1)."""
        return self.inputs.norm(dim=1, keepdim=True)

    def rows(self, rows):
        """Return the units on some of the samples."""
        return replace(self, inputs=self.inputs[rows])

    def _pieces(self, n_hidden):
        step = max(1, _PIECE // n_hidden)
        return [slice(i, i + step) for i in range(0, len(self.inputs), step)]

    def _activation(self, Z):
        low, high = self.slopes
        up = Z.clamp(min=0)
        return (high - low) * up + low * Z if low else high * up

    def _slope(self, Z, rows, hidden):
        low, high = self.slopes
        if self.width == 0:
            return low + (high - low) * (Z > 0).to(Z.dtype)
        reach = self.width * hidden.norm(dim=1).clamp(min=1e-300)
        part = (Z / reach / self.sizes[rows]).clamp(-1, 1)
        return (high - low) / 2 * part + (high + low) / 2

    def values(self, hidden, output):
        """Return the units' part of the function, (n_samples, n_outputs)."""
        pieces = self._pieces(len(hidden))
        inputs = self.inputs
        return torch.cat(
            [self._activation(inputs[rows] @ hidden.T) @ output for rows in pieces]
        )

    def pull(self, hidden, force):
        """Pull a function back to the units.

        Returns
        -------
        for_hidden : Tensor of shape (m, p, q)
            ``G_j = sum_i force_i sigma'(z_ij) x_i``.
        for_output : Tensor of shape (m, q)
            Gradient in the output weights; that in the hidden ones is ``G_j c_j``.
        """
        m, p, q = len(hidden), self.inputs.shape[1], force.shape[1]
        for_hidden = hidden.new_zeros(m, p * q)
        for_output = hidden.new_zeros(m, q)
        for rows in self._pieces(m):
            Z = self.inputs[rows] @ hidden.T
            outer = self.inputs[rows, :, None] * force[rows, None, :]
            for_hidden += self._slope(Z, rows, hidden).T @ outer.reshape(-1, p * q)
            for_output += self._activation(Z).T @ force[rows]
        return for_hidden.view(m, p, q), for_output

    def push(self, hidden, output, d_hidden, d_output):
        """Return the change of the function by a direction."""
        change = []
        for rows in self._pieces(len(hidden)):
            inputs = self.inputs[rows]
            Z = inputs @ hidden.T
            through = self._slope(Z, rows, hidden) * (inputs @ d_hidden.T)
            change.append(self._activation(Z) @ d_output + through @ output)
        return torch.cat(change)

    def stiffness(self, hidden, output, force):
        """Return how fast slopes may adapt to a force, at most."""
        if self.width == 0:
            return 0.0
        low, high = self.slopes
        size = hidden.norm(dim=1)
        share = output.norm(dim=1)[size > 0] / size[size > 0]
        push = (force.norm(dim=1) * self.sizes[:, 0]).max()
        return float((high - low) * share.max() * push / (2 * self.width))


@dataclass(frozen=True, eq=False)
class ScoreProblem:
    """A labelled training set as the flows of a network's weights see it.

    Parameters
    ----------
    units : Units
        The samples as the units see them.
    loss : SoftLoss or MarginLoss
        What is to fall.
    linear : Tensor of shape (n_samples, k)
        Columns ``s x`` with weights of their own; k may be 0.
    n_outputs : int
        Number of scores a sample.
    """

    units: Units
    loss: Any  # of which a subclass may ask more
    linear: Tensor
    n_outputs: int

    @classmethod
    def build(cls, X, loss, linear, slopes, width=0.0, **options):
        """Arrange tensors ``X (n, d)`` and ``linear (n, k)``."""
        inputs = torch.cat([X, -torch.ones_like(X[:, :1])], dim=1)
        n_outputs = 1 if loss.n_classes == 2 else loss.n_classes
        units = Units(inputs, tuple(slopes), width)
        return cls(units, loss, linear, n_outputs, **options)

    @property
    def n_samples(self):
        """Number of samples."""
        return len(self.units.inputs)

    @property
    def target_norm(self):
        """What `function_change` is to be compared with."""
        return 1.0

    def unpack(self, theta):
        """Return ``hidden (m, p)``, ``output (m, q)`` and ``linear (k, q)``, views."""
        p, q, k = self.units.inputs.shape[1], self.n_outputs, self.linear.shape[1]
        m = (len(theta) - k * q) // (p + q)
        hidden, output, linear = theta.split([m * p, m * q, k * q])
        return hidden.view(m, p), output.view(m, q), linear.view(k, q)

    def pack(self, hidden, output, linear):
        """Return all parameters as one vector."""
        return torch.cat([part.reshape(-1) for part in (hidden, output, linear)])

    # -- scores ----------------------------------------------------------------------

    def free_scores(self, theta):
        """Return the scores of the samples without the intercept."""
        hidden, output, linear = self.unpack(theta)
        return self.units.values(hidden, output) + self.linear @ linear

    def intercept(self, theta):
        """Return the intercept, (n_outputs,), if it is not among the parameters."""
        return torch.zeros_like(self.free_scores(theta)[0])

    def scores(self, theta):
        """Return the scores of the samples, (n_samples, n_outputs)."""
        return self.free_scores(theta)

    def force(self, scores):
        """Return the gradient in the scores of what falls, and its value."""
        value, gradient = self.loss(scores)
        return gradient, value

    # -- what flows ask for ----------------------------------------------------------

    def gradient(self, theta):
        """Return the gradient of what falls, a vector, and its value."""
        force, value = self.force(self.scores(theta))
        return self.pull(theta, force), value

    def pull(self, theta, force):
        """Pull a function on the samples back to the parameters."""
        hidden, output, _ = self.unpack(theta)
        for_hidden, for_output = self.units.pull(hidden, force)
        for_hidden = (for_hidden @ output[:, :, None])[:, :, 0]
        return self.pack(for_hidden, for_output, self.linear.T @ force)

    def push(self, theta, direction):
        """Return the change of the scores by a direction in the parameters."""
        hidden, output, _ = self.unpack(theta)
        d_hidden, d_output, d_linear = self.unpack(direction)
        change = self.units.push(hidden, output, d_hidden, d_output)
        return change + self.linear @ d_linear

    def batch_gradient(self, theta, rows):
        """Return the gradient of the loss of some samples.

        An intercept that is not among the parameters is that of all samples.
        """
        loss = self.loss
        part = replace(
            self,
            units=self.units.rows(rows),
            loss=replace(loss, codes=loss.codes[rows], weight=loss.weight[rows]),
            linear=self.linear[rows],
        )
        return part.pull(theta, part.force(self.scores(theta)[rows])[0])

    def growth(self, theta):
        """Return ``max_j |G_j|``, the rate at which units may grow."""
        hidden, *_ = self.unpack(theta)
        for_hidden, _ = self.units.pull(hidden, self.force(self.scores(theta))[0])
        return float(for_hidden.flatten(1).norm(dim=1).max())

    def function_change(self, theta, direction):
        """Return the change of the scores by a direction in the parameters.

        Its norm is a root mean square in units of the one of the scores, or of 1 where
        these are smaller: they are logarithms of odds.
        """
        scores = self.scores(theta)
        change = self._settle(scores, self.push(theta, direction))
        share = (self.loss.weight / self.loss.weight.sum()).sqrt()[:, None]
        size = float((share * scores).norm())
        return (share * change).reshape(-1) / max(size, 1.0)

    def _settle(self, scores, change):
        """Return a change of the scores with the answer of the intercept."""
        return change


@dataclass(frozen=True, eq=False)
class MarginScoreProblem(ScoreProblem):
    """The same for a `MarginLoss`, whose intercept may be the best one at all times.

    Parameters
    ----------
    units, loss, linear, n_outputs
        As in `ScoreProblem`.
    profiled : bool, default=True
        Whether there is an intercept.
    """

    profiled: bool = True
    # The search for the intercept begins where the last one ended.
    _found: list = field(default_factory=list, init=False, repr=False)

    def intercept(self, theta):
        """Return the best intercept, (n_outputs,)."""
        return self._best(self.free_scores(theta))

    def scores(self, theta):
        """Return the scores of the samples, (n_samples, n_outputs)."""
        scores = self.free_scores(theta)
        return scores + self._best(scores)

    def _best(self, scores):
        # Steps that go wrong are rejected, but before that they are looked at.
        if not (self.profiled and torch.isfinite(scores).all()):
            return torch.zeros_like(scores[0])
        self._found[:] = [self.loss.intercept(scores, *self._found)]
        return self._found[0]

    def force(self, scores):
        """Return the gradient in the scores of the loss, and the loss."""
        point = self.loss.at(scores)
        value = point.log_loss.exp()
        return value * point.gradient, value

    def _settle(self, scores, change):
        if not self.profiled:
            return change
        return _Profile.at(self.loss.at(scores)).settle(change)


class LogScoreProblem(MarginScoreProblem):
    """The same with the logarithm of the loss for what falls.

    ``theta' = -grad log L`` goes the way of ``theta' = -grad L`` with a clock that runs
    L times as fast, so that it does not stand still when the loss is small.
    """

    def force(self, scores):
        """Return the gradient in the scores of the log of the loss, and that log."""
        point = self.loss.at(scores)
        return point.gradient, point.log_loss

    def sharpness(self, theta, start=None):
        """Return a bound of the spectral radius of the flow, and where to go on.

        It is that of the Gauss-Newton matrix, found by power iteration, `growth`, and
        the stiffness of the kinks.
        """
        max_iter = 30 if start is None else 4
        value, vector = self.curvature(theta, start, max_iter=max_iter)
        hidden, output, _ = self.unpack(theta)
        kinks = self.units.stiffness(hidden, output, self.force(self.scores(theta))[0])
        return _MARGIN * value + self.growth(theta) + kinks, vector

    def curvature(self, theta, start=None, *, rtol=1e-2, max_iter=30):
        """Return the largest eigenvalue of the Gauss-Newton matrix, and its vector."""
        scores = self.scores(theta)
        point = self.loss.at(scores)
        profile = _Profile.at(point) if self.profiled else None
        vector = start
        if vector is None:
            # A fixed, rough function: no eigenvector is orthogonal to it.
            n = torch.arange(1, scores.numel() + 1, dtype=theta.dtype)
            rough = torch.frac(n * (5**0.5 - 1) / 2).to(scores) + 0.5
            vector = self.pull(theta, rough.view(scores.shape))
        value = 0.0
        for _ in range(max_iter):
            size = float(vector.norm())
            if size == 0:
                return 0.0, start
            change = self.push(theta, vector / size)
            if profile is not None:
                change = profile.settle(change)
            vector = self.pull(theta, point.hessian_product(change))
            before, value = value, float(vector.norm())
            if abs(value - before) <= rtol * value:
                break
        return value, vector


@dataclass(frozen=True, eq=False)
class _Profile:
    """How the best intercept answers to changes of the scores."""

    point: MarginPoint
    inverse: Tensor

    @classmethod
    def at(cls, point):
        """Take the loss at the scores with the best intercept."""
        shifts = torch.eye(point.n_outputs).to(point.lead)[:, None, :]
        rows = [
            point.hessian_product(shift.expand(len(point.lead), -1)).sum(dim=0)
            for shift in shifts
        ]
        bend = torch.stack(rows)
        return cls(point, torch.linalg.pinv(bend, rtol=_BLIND, hermitian=True))

    def settle(self, change):
        """Return a change of the scores together with the answer to it."""
        force = self.point.hessian_product(change).sum(dim=0)
        return change - self.inverse @ force
