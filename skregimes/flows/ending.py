"""When a flow of parameters has come to its end."""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["BROKEN", "Ending"]

# Statuses of flows that did not end as asked.
BROKEN = frozenset({"max_iter", "stalled", "interrupted", "diverged"})

# At rest: growth, as an exponent, in as much time again.
_STANDS = 1e-3
# A plateau: less than this relative fall of the loss while time grew by a factor.
_PLATEAU_FALL = 1e-3
# Number of natural times of the start before the flow is said to have left it, ...
_WARM_UP = 10.0
# ... unless the loss fell by this much.
_LEFT = 0.01
# The loss of a perfect fit in units of eps**2 times the initial one, and how well a
# loss near its floor is known in units of eps.
_PERFECT = 400.0
_CANCELLATION = 4.0


@dataclass(eq=False)
class Ending:
    """The rules that end a flow, asked once at the start and after each accepted step.

    Parameters
    ----------
    tol : float, default=0.0
        Converged when the loss above `floor` is at most `tol` times the initial one
        (or a perfect fit up to rounding).
    max_time : float, default=inf
        Largest flow time.
    floor : float, default=0.0
        Infimum of the loss; -inf for the logarithm of a loss.
    eps : float, default=2**-52
        Resolution of the arithmetic, ``torch.finfo(theta.dtype).eps``.
    rest : float, default=1e-3
        At rest, the flow would lose less than this of its loss in as much time again.
        Where the infimum of the loss is not known, the precision asked for.
    plateau : float, default=100.0
        Factor in time without progress that makes a plateau.

    Raises
    ------
    ValueError
        If `tol`, `max_time` is negative or nan, `floor` is nan or inf, or is -inf and
        `tol` not zero, `rest` is not positive or `plateau` not above 1.

    Notes
    -----
    Small gradients alone mean nothing: a small start is close to a saddle, and the flow
    may pass others. With ``L`` the loss above its floor and ``g`` its gradient:

    *stationary* is a point where ``t |g|**2 / L < rest`` (gradient flow would lose less
    than that of its loss if it went on for as long again) and ``t growth < 1e-3``, with
    ``growth`` a bound on the rate at which the flow runs away from a saddle. A flow
    which does not know its growth never ends here unless its gradient is exactly zero.

    *plateau* is a loss which fell by less than 1e-3 while time grew by the factor.

    Where the loss is a logarithm, with the floor -inf, its absolute falls are what
    relative falls of a loss are, ``L`` is 1 in these rules, and it never converges.

    Neither is tried before the flow has left its start: ten times the shorter of
    ``L / |g|**2`` and ``1 / growth`` there must have passed (for a plateau, before it
    began), or, for a plateau, the loss have fallen by 1 % before it. A saddle passed
    later is taken for a plateau if it holds the flow for that factor of the time it
    took to get there.

    Examples
    --------
    >>> from skregimes.flows.ending import Ending
    >>> ending = Ending(tol=1e-2, max_time=5.0)
    >>> ending.status(0.0, loss=1.0, grad_norm2=1.0)
    >>> ending.status(1.0, loss=0.1, grad_norm2=0.1)
    >>> ending.status(2.5, loss=0.007, grad_norm2=0.007)
    'converged'
    """

    tol: float = 0.0
    max_time: float = math.inf
    floor: float = 0.0
    eps: float = 2.0**-52
    rest: float = 1e-3
    plateau: float = 100.0
    _times: list[float] = field(default_factory=list, init=False, repr=False)
    _losses: list[float] = field(default_factory=list, init=False, repr=False)
    _warm: float = field(default=math.inf, init=False, repr=False)

    def __post_init__(self):
        if not self.tol >= 0:
            raise ValueError(f"tol={self.tol} must not be negative.")
        if not self.max_time >= 0:
            raise ValueError(f"max_time={self.max_time} must not be negative.")
        if not self.floor < math.inf:
            raise ValueError(f"floor={self.floor} must be a number, or -inf.")
        if self.floor == -math.inf and self.tol > 0:
            raise ValueError(f"tol={self.tol} needs a floor of the loss.")
        if not self.rest > 0:
            raise ValueError(f"rest={self.rest} must be positive.")
        if not self.plateau > 1:
            raise ValueError(f"plateau={self.plateau} must be above 1.")

    def size(self, loss: float) -> float:
        """Return what falls of a loss are relative to."""
        return 1.0 if self.floor == -math.inf else loss - self.floor

    def status(
        self,
        time: float,
        loss: float,
        grad_norm2: float,
        growth: float | Callable[[], float | None] | None = None,
    ) -> str | None:
        """Return why the flow ends here, or None.

        Parameters
        ----------
        time : float
            Flow time, 0 at the first call and increasing from call to call; inf for the
            limit of the flow, which is stationary.
        loss : float
            Training loss.
        grad_norm2 : float
            Squared norm of its gradient.
        growth : float or callable, optional
            Bound on the growth rate of small perturbations at a saddle, None if it is
            not known; or a function without arguments that returns it, called only
            where it matters.

        Returns
        -------
        str or None
            ``"converged"``, ``"stationary"``, ``"plateau"``, ``"max_time"`` or None.
        """
        log, size = self.floor == -math.inf, self.size(loss)
        excess = loss if log else size
        if not self._times:
            leave = size / grad_norm2 if grad_norm2 > 0 else math.inf
            rate = _value(growth)
            escape = 1 / rate if rate else math.inf
            self._warm = _WARM_UP * min(leave, escape)
        self._times.append(time)
        self._losses.append(excess)
        if not log and self._is_fitted(excess):
            return "converged"
        if grad_norm2 == 0 or math.isinf(time):
            return "stationary"
        if self._at_rest(time, size, grad_norm2, growth):
            return "stationary"
        if self._on_plateau(time, excess, log):
            return "plateau"
        return "max_time" if time >= self.max_time else None

    def _is_fitted(self, excess) -> bool:
        perfect = _PERFECT * self.eps**2 * self._losses[0]
        known = _CANCELLATION * self.eps * abs(self.floor)
        return excess <= max(self.tol * self._losses[0], perfect, known)

    def _at_rest(self, time, size, grad_norm2, growth) -> bool:
        if time <= self._warm or time * grad_norm2 >= self.rest * size:
            return False
        rate = _value(growth)
        return rate is not None and time * rate < _STANDS

    def _on_plateau(self, time, excess, log) -> bool:
        # The last point before the plateau would have begun.
        before = bisect_right(self._times, time / self.plateau) - 1
        first, then = self._losses[0], self._losses[before]
        fell = first - then > _LEFT * (1.0 if log else first)
        left = self._times[before] > self._warm or fell
        return left and then - excess < _PLATEAU_FALL * (1.0 if log else then)


def _value(growth) -> float | None:
    return growth() if callable(growth) else growth
