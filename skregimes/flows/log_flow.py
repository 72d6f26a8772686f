"""Gradient flow of losses that fall for ever, by a clock that does not stall.

``theta' = -grad log L`` takes the way of ``theta' = -grad L``; only its clock runs
differently, ``d tau = L dt``. A loss of exp(-1e4) takes a time t of exp(1e4) but a
handful of units of tau. Of t and L only the logarithms are known.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from torch import Tensor

from skregimes.flows.chebyshev import chebyshev
from skregimes.flows.problem import norm

__all__ = ["LogPoint", "LogResult", "log_flow"]

# Told of: so many points a decade of time up to the decade, and beyond as many for
# each e-fold of its number.
_PER_DECADE, _FAR = 12, 6.0
# Accuracy with which a level of the loss or a time is hit, relative to its logarithm.
_HIT = 1e-9
# Panels on which time is integrated, halving towards the end of a step, and the nodes
# on each: the loss may fall by many orders of magnitude in a step.
_PANELS = 1 - np.append(2.0 ** -np.arange(0, 40), 0.0)
_GAUSS = np.polynomial.legendre.leggauss(8)
_WIDTH = np.diff(_PANELS)[:, None]
_PLACES = (_PANELS[:-1, None] + _WIDTH * (1 + _GAUSS[0]) / 2).ravel()
_LOG_WEIGHTS = np.log(_WIDTH * _GAUSS[1] / 2).ravel()


@dataclass(frozen=True, eq=False)
class LogPoint:
    """A point of the flow.

    Parameters
    ----------
    tau : float
        The clock, 0 at the start.
    theta, gradient : Tensor of shape (n_params,)
        Parameters, and the gradient of the log of the loss.
    log_loss : float
        Natural logarithm of the loss.
    log_time : float
        That of the flow time, -inf at the start.
    """

    tau: float
    theta: Tensor
    gradient: Tensor
    log_loss: float
    log_time: float


@dataclass(frozen=True, eq=False)
class LogResult:
    """Where a flow ended, and why.

    Parameters
    ----------
    theta : Tensor of shape (n_params,)
        Parameters at the end.
    log_time, log_loss : float
        Natural logarithms of the flow time and of the loss.
    n_iter : int
        Number of accepted steps.
    status : str
        As in `skregimes.flows.result.FlowResult`; "converged" is a loss that met its
        level.
    """

    theta: Tensor
    log_time: float
    log_loss: float
    n_iter: int
    status: str


def log_flow(
    problem,
    theta: Tensor,
    *,
    log_loss: float = -math.inf,
    log_time: float = math.inf,
    rtol: float = 1e-3,
    max_iter: int = 100_000,
    unit: float = 1.0,
    on_node: Callable[..., object] | None = None,
) -> LogResult:
    """Follow ``theta' = -grad L(theta)`` to a level of the loss or a time.

    Parameters
    ----------
    problem : object
        See `skregimes.flows.problem`; its loss is ``log L``, and its gradient and
        sharpness are those of that.
    theta : Tensor of shape (n_params,)
        Parameters at time zero.
    log_loss : float, default=-inf
        Natural logarithm of the loss at which to end.
    log_time : float, default=inf
        That of the time at which to end.
    rtol : float, default=1e-3
        Error of a step, see `skregimes.flows.chebyshev.chebyshev`.
    max_iter : int, default=100_000
        Largest number of steps.
    unit : float, default=1.0
        A time at which the flow has just begun; told of are times from a hundredth of
        it on.
    on_node : callable, optional
        Called as ``on_node(log_time, theta, log_loss)`` at the start, at about 12
        points a decade of time (fewer beyond 1e6 units), and at the end unless the flow
        was interrupted. A true answer ends the flow there.

    Returns
    -------
    LogResult
        The end. Besides the level and the time it may be rest, see
        `skregimes.flows.ending.Ending`.

    Examples
    --------
    One weight and a loss of ``exp(-w)``: at time t the weight is ``log(1 + t)``.

    >>> import torch
    >>> from skregimes.flows.log_flow import log_flow
    >>> class Exponential:
    ...     def gradient(self, theta):
    ...         return -torch.ones_like(theta), -theta.sum()
    >>> start = torch.zeros(1, dtype=torch.float64)
    >>> result = log_flow(Exponential(), start, log_loss=-1e6)
    >>> print(f"{float(result.theta):.6g} {result.log_time:.6g}")
    1e+06 1e+06
    """
    clock = _Clock(problem, theta, (log_loss, log_time), unit, on_node)
    options: dict[str, Any] = {"rtol": rtol, "max_iter": max_iter, "floor": -math.inf}
    result = chebyshev(problem, theta, on_node=clock.step, **options)
    status = result.status
    if status != "interrupted":
        try:
            if clock.over:
                status = clock.finish(options)
            clock.tell(clock.now)
        except KeyboardInterrupt:
            status = "interrupted"
    end = clock.now
    return LogResult(end.theta, end.log_time, end.log_loss, result.n_iter, status)


class _Clock:
    """Follows the steps of a flow, and keeps its time."""

    def __init__(self, problem, theta, end, unit, on_node):
        self.problem = problem
        self.log_loss, self.log_time = end
        self.on_node = on_node
        self.nodes = _Nodes(min(math.log(unit), self.log_time))
        self.before = self.now = self._point(0.0, theta.detach().clone(), -math.inf)
        self.told = math.nan

    def _point(self, tau, theta, log_time) -> LogPoint:
        gradient, log_loss = self.problem.gradient(theta)
        return LogPoint(tau, theta, gradient, float(log_loss), float(log_time))

    def beyond(self, point) -> float:
        """Return how far a point is beyond the end."""
        return max(self.log_loss - point.log_loss, point.log_time - self.log_time)

    @property
    def over(self) -> bool:
        """Whether the last step went to the end or beyond."""
        return self.beyond(self.now) >= 0

    def step(self, tau, theta, log_loss) -> bool:
        """Take the end of a step; return whether the flow ends there."""
        if tau == 0:
            return self.tell(self.now) or self.over
        old, new = self.now, self._point(tau, theta, -math.inf)
        log_time = np.logaddexp(old.log_time, _log_elapsed(old, new))
        self.before, self.now = old, replace(new, log_time=float(log_time))
        return self.over or self._tell_between()

    def _tell_between(self) -> bool:
        """Tell of the points to be told of in the last step."""
        if self.on_node is None:
            return False
        old, new = self.before, self.now
        times = self.nodes.between(old.log_time, new.log_time)
        for share in _shares(old, new, times):
            self.now = self._between(old, new, share) if share < 1 else new
            if self.tell(self.now):
                return True
        self.now = new
        return False

    def _between(self, old, new, s) -> LogPoint:
        """Return a point of the cubic through both ends with their slopes."""
        h = new.tau - old.tau
        theta = old.theta + (s * s * (3 - 2 * s)) * (new.theta - old.theta)
        theta = theta - (h * s * (1 - s) ** 2) * old.gradient
        theta = theta + (h * s * s * (1 - s)) * new.gradient
        log_time = np.logaddexp(old.log_time, _log_elapsed(old, new, s))
        return self._point(old.tau + s * h, theta, log_time)

    def tell(self, point) -> bool:
        """Tell of a point, once; return whether the caller wants to stop there."""
        if self.on_node is None or point.log_time == self.told:
            return False
        self.told = point.log_time
        return bool(self.on_node(point.log_time, point.theta, point.log_loss))

    def finish(self, options) -> str:
        """Go to the end, within the last step; return why it is the end."""
        if self.before is not self.now and self.beyond(self.now) > 0:
            # No rule of rest ends the last step.
            options = options | {"rest": 1e-300, "plateau": math.inf}
            new, self.now = self.now, self.before
            self.now = self._last(self.before, new, options)
            if self._tell_between():
                return "stopped"
        reached = self.log_loss - self.now.log_loss >= self.now.log_time - self.log_time
        return "converged" if reached else "max_time"

    def _last(self, old, new, options) -> LogPoint:
        """Return the point at the end, between one before it and one beyond."""
        whole = new.tau - old.tau
        found = {0.0: old, whole: new}

        def gap(length):
            if length not in found:
                found[length] = self._leap(old, length, options)
            return self.beyond(found[length])

        size = max(abs(x) for x in (self.log_loss, self.log_time) if math.isfinite(x))
        pace = max(norm(new.gradient) ** 2, 1 / whole)
        length = brentq(gap, 0.0, whole, xtol=_HIT * max(size, 1.0) / pace)
        gap(length)
        return found[length]

    def _leap(self, old, length, options) -> LogPoint:
        """Return where the flow is a while after a point."""
        end = -math.inf, math.inf
        clock = _Clock(self.problem, old.theta, end, 1.0, None)
        result = chebyshev(
            self.problem, old.theta, max_time=length, on_node=clock.step, **options
        )
        if result.status == "interrupted":
            raise KeyboardInterrupt
        log_time = np.logaddexp(old.log_time, clock.now.log_time)
        return replace(clock.now, tau=old.tau + length, log_time=float(log_time))


class _Nodes:
    """The times to tell of: geometric ones, and later doubly geometric ones."""

    def __init__(self, log_unit):
        self.log_unit = log_unit

    def place(self, log_time) -> float:
        """Return the number of the last node before a time."""
        if log_time == -math.inf:
            return -2 * _PER_DECADE - 1
        decades = (log_time - self.log_unit) / math.log(10)
        if decades > _FAR:
            decades = _FAR * (1 + math.log(decades / _FAR))
        return max(math.floor(_PER_DECADE * decades), -2 * _PER_DECADE - 1)

    def between(self, start, end):
        """Return the log times of the nodes in ``(start, end]``."""
        numbers = np.arange(self.place(start) + 1, self.place(end) + 1)
        decades = numbers / _PER_DECADE
        far = np.maximum(decades, _FAR) / _FAR - 1
        decades = np.where(decades > _FAR, _FAR * np.exp(far), decades)
        return self.log_unit + math.log(10) * decades


# -- time ------------------------------------------------------------------------------


def _log_paces(old, new, s):
    """Return ``-log L`` at parts of a step, by a cubic with the slopes of its ends."""
    h = new.tau - old.tau
    first, last = (norm(point.gradient) ** 2 * h for point in (old, new))
    rise = s * s * (3 - 2 * s) * (old.log_loss - new.log_loss)
    bend = s * (1 - s) ** 2 * first - s * s * (1 - s) * last
    return rise + bend - old.log_loss


def _log_elapsed(old, new, share=1.0):
    """Return the log of the time in a part of a step, ``log int exp(-log L) d tau``."""
    paces = _log_paces(old, new, share * _PLACES) + _LOG_WEIGHTS
    return np.logaddexp.reduce(paces) + math.log(share * (new.tau - old.tau))


def _shares(old, new, log_times):
    """Return about which parts of a step are over at given times."""
    if not len(log_times):
        return []
    paces = _log_paces(old, new, _PLACES) + _LOG_WEIGHTS
    passed = np.logaddexp.accumulate(paces) + math.log(new.tau - old.tau)
    passed = np.append(old.log_time, np.logaddexp(old.log_time, passed))
    # A clock that is that of the time at first, and then that of its logarithm.
    clock = lambda log_time: np.logaddexp(log_time, log_times[0])
    middles = (_PLACES[1:] + _PLACES[:-1]) / 2
    return np.interp(clock(log_times), clock(passed), [0.0, *middles, 1.0])
