"""The literal discrete algorithm for any network: gradient descent, all or mini batch.

For diagonal networks `skregimes.flows.gradient_descent` knows more.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from skregimes._border import to_tensor
from skregimes.flows._nodes import Nodes, OnNode
from skregimes.flows.ending import Ending
from skregimes.flows.problem import CountedProblem, Point
from skregimes.flows.result import FlowResult

__all__ = ["descent"]

# The default step. It is measured anew after each 5 steps, since the sharpness of a
# small start may grow by 1000 within a few.
_PER_SHARPNESS, _PER_GROWTH = 0.2, 0.02
_REFRESH = 5
# A loss above this many times the initial one has diverged.
_BLOW_UP = 1e6


def descent(
    problem,
    theta: Tensor,
    *,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    max_time: float = math.inf,
    tol: float = 0.0,
    floor: float = 0.0,
    rest: float = 1e-3,
    plateau: float = 100.0,
    max_iter: int = 100_000,
    nodes=None,
    on_node: OnNode | None = None,
) -> FlowResult:
    """Train by gradient descent, ``theta <- theta - learning_rate * gradient``.

    Parameters
    ----------
    problem : object
        What is trained, see `skregimes.flows.problem`. Mini batches need its
        ``batch_gradient`` and ``n_samples``.
    theta : Tensor of shape (n_params,)
        Parameters at time zero. The arithmetic is done in its dtype, on its device.
    learning_rate : float, optional
        Constant step size > 0. By default the step follows gradient flow: see Notes.
    batch_size : int, optional
        Samples in a mini batch, drawn without replacement from a fresh shuffle each
        epoch; the last one of an epoch may be smaller. By default all samples.
    random_state : int or RandomState, optional
        Seed of the shuffles; needed with `batch_size`.
    max_time : float, default=inf
        Largest flow time, the sum of the steps. With a given `learning_rate` the run
        ends at the last step not beyond, else the last step is shortened.
    tol : float, default=0.0
        Stop when the loss above `floor` is at most `tol` times the initial one. It is
        looked at after every step, with mini batches after every epoch and at the
        nodes. The run ends also at rest: see `skregimes.flows.ending.Ending`.
    floor : float, default=0.0
        Infimum of the loss.
    rest, plateau : float, default=1e-3, 100.0
        When the flow has come to rest, see `skregimes.flows.ending.Ending`.
    max_iter : int, default=100_000
        Largest number of steps.
    nodes : array-like of shape (n_nodes,), optional
        Increasing times to tell `on_node` of, at the first step not before each. By
        default every step, with mini batches every epoch.
    on_node : callable, optional
        Called as ``on_node(time, theta, loss)`` at the start, at the nodes and at the
        end (but not of an interrupted run). A true answer ends the run there.

    Returns
    -------
    FlowResult
        The end, and how it was reached. Nothing is raised for a run that diverges: its
        last state whose loss was below 1e6 times the initial one is kept. With mini
        batches an interrupted or diverged run goes back to where it last looked.

    Raises
    ------
    ValueError
        If an option is out of its range, or the loss or its gradient at the start is
        not finite.

    Notes
    -----
    The default step is the lesser of ``0.2 / sharpness`` and ``0.02 / growth``, looked
    at every 5 steps. Close to a saddle steps of ``0.2 / sharpness``, however stable,
    grow by 1.2 where the flow would by ``exp(0.2)``: without ``growth`` a small start
    takes about 10 % longer to grow.

    The default step of a mini batch is shorter by ``batch_size / n_samples``, so that
    an epoch takes the time of one full step: no batch's loss is then sharper than that
    step allows, if samples have equal weights. It is looked at every 5 epochs.

    Examples
    --------
    >>> import torch
    >>> from skregimes.flows.descent import descent
    >>> class Quadratic:
    ...     def gradient(self, theta):
    ...         return theta, (theta**2).sum() / 2
    >>> start = torch.ones(2, dtype=torch.float64)
    >>> result = descent(Quadratic(), start, learning_rate=0.5, max_time=1.5)
    >>> result.theta
    tensor([0.1250, 0.1250], dtype=torch.float64)
    """
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate={learning_rate} must be positive.")
    if max_iter < 1:
        raise ValueError(f"max_iter={max_iter} must be at least 1.")
    if batch_size is not None:
        n_samples = problem.n_samples
        if not 1 <= batch_size <= n_samples:
            raise ValueError(
                f"batch_size={batch_size} must lie between 1 and n_samples={n_samples}."
            )
        if random_state is None:
            raise ValueError(
                "Mini batches need a random_state: a seed or a RandomState."
            )
    eps = torch.finfo(theta.dtype).eps
    counted = CountedProblem(problem)
    run = _Run(
        counted,
        learning_rate,
        Ending(tol, max_time, floor, eps, rest, plateau),
        Nodes(nodes, on_node),
    )
    point = counted.start(theta)
    if batch_size is None:
        return run.follow(point, max_iter, None)
    run.share = batch_size / n_samples
    run.epoch = math.ceil(n_samples / batch_size)
    batches = _batches(n_samples, batch_size, random_state, theta.device)
    return run.follow(point, max_iter, batches)


# -- the loop --------------------------------------------------------------------------


class _Run:
    """What a run consists of, and how it goes on."""

    def __init__(self, problem, learning_rate, ending, nodes):
        self.problem = problem
        self.learning_rate = learning_rate
        self.ending = ending
        self.nodes = nodes
        self.epoch = 1  # in steps
        self.share = 1.0  # of the samples in a step

    def _status(self, point: Point) -> str | None:
        status = self.ending.status(
            point.time,
            point.loss,
            point.grad_norm2,
            lambda: self.problem.growth(point.theta),
        )
        late = status is None and self._late(point.n_iter, point.time)
        return "max_time" if late else status

    def follow(
        self, point: Point, max_iter: int, batches: Iterator[Tensor] | None
    ) -> FlowResult:
        """Step until the run ends or the keyboard interrupts."""
        ceiling = _BLOW_UP * (point.loss - self.ending.floor)
        n_iter, time, theta, gradient = 0, 0.0, point.theta, point.gradient
        try:
            status = self._status(point)
            if self.nodes.tell(time, theta, point.loss) and not status:
                status = "stopped"
            while status is None:
                if n_iter % (_REFRESH * self.epoch) == 0:
                    rate = self.learning_rate or self._rate(point)
                if batches is not None:
                    gradient = self.problem.batch_gradient(theta, next(batches))
                n_iter, last = n_iter + 1, time
                time, step = self._advance(n_iter, time, rate)
                theta = theta - step * gradient
                ends_epoch = n_iter % self.epoch == 0
                passed = bool(self.nodes.passed(last, time))
                due = ends_epoch if self.nodes.everywhere else passed
                if not (
                    ends_epoch or due or n_iter == max_iter or self._late(n_iter, time)
                ):
                    continue
                new = self.problem.point(time, n_iter, theta)
                if not (new.finite and new.loss - self.ending.floor <= ceiling):
                    status = "diverged"
                    break
                point, gradient = new, new.gradient
                status = self._status(point)
                if due and self.nodes.tell(time, theta, point.loss) and not status:
                    status = "stopped"
                elif status is None and n_iter == max_iter:
                    status = "max_iter"
            self.nodes.tell(point.time, point.theta, point.loss)
        except KeyboardInterrupt:
            status = "interrupted"
        return FlowResult.at(
            point.theta,
            point.time,
            point.loss,
            n_iter=point.n_iter,
            n_gradients=self.problem.n_gradients,
            status=status,
        )

    def _advance(self, n_iter: int, time: float, rate: float) -> tuple[float, float]:
        """Return the time after a step, and its size."""
        if self.learning_rate is not None:
            return n_iter * rate, rate  # a sum would collect rounding errors
        left = self.ending.max_time - time
        return (self.ending.max_time, left) if rate >= left else (time + rate, rate)

    def _late(self, n_iter: int, time: float) -> bool:
        """Return whether the next step would lead beyond the largest time."""
        if self.learning_rate is None:
            return time >= self.ending.max_time
        # The slack lets a max_time of k steps be k steps.
        after = (n_iter + 1) * self.learning_rate
        return after > self.ending.max_time * (1 + 1e-12)

    def _rate(self, point: Point) -> float:
        """Return the default step."""
        # Where the loss is flat or straight, no more than it could fall.
        rate = (point.loss - self.ending.floor) / point.grad_norm2
        sharpness = self.problem.sharpness(point.theta)
        if sharpness > 0:
            rate = min(rate, _PER_SHARPNESS / sharpness)
        if growth := self.problem.growth(point.theta):
            rate = min(rate, _PER_GROWTH / growth)
        return self.share * rate


def _batches(n_samples, batch_size, random_state, device) -> Iterator[Tensor]:
    """Yield the rows of each mini batch."""
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(random_state)
    while True:
        order = to_tensor(random_state.permutation(n_samples), device=device)
        yield from order.split(batch_size)
