"""Gradient flow by a stabilised explicit method: large steps with gradients only.

An explicit step of s gradients that is stable over a range which grows like s**2, where
s steps of gradient descent reach s: what stiffness costs is its square root.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from skregimes.flows._nodes import Nodes, OnNode
from skregimes.flows.ending import Ending
from skregimes.flows.problem import CountedProblem, Point, norm
from skregimes.flows.result import FlowResult

__all__ = ["chebyshev"]

# Damping of the stability polynomial, and the h * rho per s**2 - 1 that it leaves.
_DAMPING = 2 / 13
_REACH = 1.54
# Power iteration comes from below, and the curvature changes within a step.
_MARGIN = 1.1
# The curvature is measured anew once this many gradients were spent on steps.
_REFRESH = 20
# Step size control for an error of third order.
_SAFETY, _SHRINK, _GROW = 0.8, 0.1, 5.0
# Largest growth exponent of a step, per rtol**(1/3). No error estimate sees a direction
# that runs away from a saddle while it is still small beside the others.
_MAX_GROWTH = 5.0
# Steps shorter than this many units of the last place do not advance the time.
_RESOLUTION = 4 * 2.0**-52


def chebyshev(
    problem,
    theta: Tensor,
    *,
    max_time: float = math.inf,
    rtol: float = 1e-3,
    tol: float = 0.0,
    floor: float = 0.0,
    rest: float = 1e-3,
    plateau: float = 100.0,
    max_iter: int = 100_000,
    max_stages: int = 200,
    nodes=None,
    on_node: OnNode | None = None,
) -> FlowResult:
    """Follow ``theta' = -grad L(theta)`` by the second-order Runge-Kutta-Chebyshev.

    Parameters
    ----------
    problem : object
        What is trained, see `skregimes.flows.problem`. It needs a gradient only.
    theta : Tensor of shape (n_params,)
        Parameters at time zero. The arithmetic is done in its dtype, on its device.
    max_time : float, default=inf
        Flow time at which to end.
    rtol : float, default=1e-3
        Error of a step, relative to the parameters' norm and, if ``problem`` knows its
        functions, to the target's norm: the larger of the two. The error at the end is
        about as large as this, and falls with its power 2/3.
    tol : float, default=0.0
        Stop when the loss above `floor` is at most `tol` times the initial one. The
        flow ends also where it comes to rest: see `skregimes.flows.ending.Ending`.
    floor : float, default=0.0
        Infimum of the loss; -inf for the logarithm of a loss.
    rest, plateau : float, default=1e-3, 100.0
        When the flow has come to rest, see `skregimes.flows.ending.Ending`.
    max_iter : int, default=100_000
        Largest number of steps, the rejected ones included.
    max_stages : int, default=200
        Largest number of gradients in a step, at least 2.
    nodes : array-like of shape (n_nodes,), optional
        Increasing times to tell `on_node` of. By default the end of every step.
    on_node : callable, optional
        Called as ``on_node(time, theta, loss)`` at the start, at the nodes on the way
        and at the end (but not of an interrupted flow). Between steps the parameters
        are those of a cubic Hermite interpolant, and their loss costs a gradient. A
        true answer ends the flow there.

    Returns
    -------
    FlowResult
        Its ``n_gradients`` does not count what ``problem.sharpness`` spends.

    Raises
    ------
    ValueError
        If an option is out of its range, or the loss or its gradient at the start is
        not finite.

    Notes
    -----
    Where the problem knows its ``growth``, steps are short enough for the flow to run
    away from a saddle as fast as it should, and a local minimum is told from a saddle.
    Without it the time that a small start takes to grow is less exact (measured: 2 %
    for a start of 1e-6 at rtol=1e-3, instead of 0.8 %).

    A step that leaves the finite numbers is tried again with a quarter of its length.

    References
    ----------
    Sommeijer, Shampine, Verwer, "RKC: An explicit solver for parabolic PDEs", Journal
    of Computational and Applied Mathematics 88 (1998), equations 2.1-2.9 and 3.1.

    Examples
    --------
    Least squares whose rates differ by 10000, until time 1:

    >>> import torch
    >>> from skregimes.flows.chebyshev import chebyshev
    >>> class Quadratic:
    ...     rates = torch.tensor([1e4, 1.0], dtype=torch.float64)
    ...
    ...     def gradient(self, theta):
    ...         return self.rates * theta, (self.rates * theta**2).sum() / 2
    >>> start = torch.ones(2, dtype=torch.float64)
    >>> result = chebyshev(Quadratic(), start, max_time=1.0, rtol=1e-4)
    >>> print(f"{result.theta[1]:.3f}", result.n_gradients < 1000)
    0.368 True
    """
    if not 0 < rtol < math.inf:
        raise ValueError(f"rtol={rtol} must be positive.")
    if max_iter < 1:
        raise ValueError(f"max_iter={max_iter} must be at least 1.")
    if max_stages < 2:
        raise ValueError(f"max_stages={max_stages} must be at least 2.")
    eps = torch.finfo(theta.dtype).eps
    counted = CountedProblem(problem)
    flow = _Flow(
        counted,
        rtol,
        max_stages,
        Ending(tol, max_time, floor, eps, rest, plateau),
        Nodes(nodes, on_node),
    )
    return flow.follow(counted.start(theta), max_iter, eps)


# -- the loop --------------------------------------------------------------------------


class _Flow:
    """What a flow consists of, and how it goes on."""

    def __init__(self, problem, rtol, max_stages, ending, nodes):
        self.problem = problem
        self.rtol = rtol
        self.max_stages = max_stages
        self.ending = ending
        self.nodes = nodes
        self._sharpness = 0.0
        self._spent = 0  # gradients since it was measured

    def _measure(self, theta: Tensor) -> None:
        self._sharpness = _MARGIN * self.problem.sharpness(theta)
        self._spent = 0

    def _status(self, point: Point, growth: float | None) -> str | None:
        return self.ending.status(point.time, point.loss, point.grad_norm2, growth)

    def follow(self, point: Point, max_iter: int, eps: float) -> FlowResult:
        """Step until the flow ends or the keyboard interrupts."""
        try:
            growth = self.problem.growth(point.theta)
            status = self._status(point, growth)
            if self.nodes.tell(point.time, point.theta, point.loss) and not status:
                status = "stopped"
            if status is None:
                self._measure(point.theta)
                # In ten times this the loss would vanish at its rate.
                h = 0.1 * self.ending.size(point.loss) / point.grad_norm2
                if self._sharpness > 0:
                    h = min(h, 0.25 / self._sharpness)
                trial = h
            n_trials = 0
            while status is None:
                if n_trials == max_iter:
                    status = "max_iter"
                    break
                n_trials += 1
                h, n_stages = self._length(point.time, h, growth)
                new, error = self._step(point, h, n_stages)
                self._spent += n_stages
                if error <= 1:
                    old, point = point, new
                    growth = self.problem.growth(point.theta)
                    status = self._status(point, growth)
                    point, stopped = self._tell(old, point)
                    if stopped:
                        status = status if point is new and status else "stopped"
                    elif self._spent >= _REFRESH and status is None:
                        self._measure(point.theta)
                    h = trial = h * _factor(error, _GROW)
                else:
                    if self._spent > n_stages:  # not measured at this point
                        self._measure(point.theta)
                    h *= _factor(error, 0.9)
                    if h < eps * trial or h <= _RESOLUTION * point.time:
                        status = "stalled"
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

    def _length(self, time, h, growth) -> tuple[float, int]:
        """Return the length of the next step, and its number of gradients."""
        if growth:
            h = min(h, _MAX_GROWTH * self.rtol ** (1 / 3) / growth)
        if self._sharpness > 0:
            h = min(h, (self.max_stages**2 - 1) / (_REACH * self._sharpness))
        left = self.ending.max_time - time
        # Rather a little shorter than a tiny last one.
        h = left if h >= left else min(h, max(left / 2, 0.9 * h))
        n_stages = math.ceil(math.sqrt(1 + _REACH * h * self._sharpness))
        return h, min(max(2, n_stages), self.max_stages)

    def _step(self, point, h, n_stages) -> tuple[Point, float]:
        """Return where a step leads, and its error in units of what is allowed."""
        time = point.time + h
        if h == self.ending.max_time - point.time:
            time = self.ending.max_time
        new = self.problem.point(
            time, point.n_iter + 1, _stages(self.problem.gradient, point, h, n_stages)
        )
        if not new.finite:
            return new, math.inf
        slope = point.gradient + new.gradient
        estimate = 0.8 * (point.theta - new.theta) - (0.4 * h) * slope
        scale = max(norm(point.theta), norm(new.theta))
        error = self.problem.size(new.theta, estimate, scale) / self.rtol
        return new, error if math.isfinite(error) else math.inf

    def _tell(self, old: Point, new: Point) -> tuple[Point, bool]:
        """Tell of the nodes in a step; return where the flow is, and if it stops."""
        for time in self.nodes.passed(old.time, new.time):
            node = new if time == new.time else self._between(old, new, time)
            if self.nodes.tell(node.time, node.theta, node.loss):
                return node, True
        return new, False

    def _between(self, old: Point, new: Point, time: float) -> Point:
        """Return a point of the cubic that has both ends' values and slopes."""
        h = new.time - old.time
        s = (time - old.time) / h
        theta = old.theta + (s * s * (3 - 2 * s)) * (new.theta - old.theta)
        theta -= (h * s * (1 - s) ** 2) * old.gradient
        theta += (h * s * s * (1 - s)) * new.gradient
        return self.problem.point(time, new.n_iter, theta)


def _factor(error: float, most: float) -> float:
    """Return what to multiply the length of a step by, given its error."""
    if math.isinf(error):
        return 0.25
    if error == 0:
        return most
    return min(most, max(_SHRINK, _SAFETY * error ** (-1 / 3)))


# -- the method ------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _coefficients(n_stages: int):
    """Return the first stage's weight and those of the others.

    A later stage is ``(1 - mu - nu) y_0 + mu y_{j-1} + nu y_{j-2}`` plus the step's
    length times ``mu_t F_{j-1} + gamma_t F_0``.
    """
    s = n_stages
    w0 = 1 + _DAMPING / s**2
    # Chebyshev polynomials and their first two derivatives at w0.
    T, dT, ddT = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, s + 1):
        ddT.append(2 * w0 * ddT[-1] - ddT[-2] + 4 * dT[-1])
        dT.append(2 * w0 * dT[-1] - dT[-2] + 2 * T[-1])
        T.append(2 * w0 * T[-1] - T[-2])
    w1 = dT[s] / ddT[s]
    b = [ddT[j] / dT[j] ** 2 for j in range(2, s + 1)]
    b = [b[0], b[0], *b]
    stages = []
    for j in range(2, s + 1):
        mu, nu = 2 * w0 * b[j] / b[j - 1], -b[j] / b[j - 2]
        mu_t = 2 * w1 * b[j] / b[j - 1]
        stages.append((mu, nu, mu_t, -(1 - b[j - 1] * T[j - 1]) * mu_t))
    return b[1] * w1, tuple(stages)


def _stages(gradient, point: Point, h: float, n_stages: int) -> Tensor:
    """Return the parameters after one step."""
    first, stages = _coefficients(n_stages)
    theta, slope = point.theta, point.gradient
    y = theta - (h * first) * slope
    # One product a stage: with many parameters memory is what a sum of five costs.
    rows = torch.stack([theta, slope, theta, y, slope])
    before, last = 2, 3
    for mu, nu, mu_t, gamma_t in stages:
        rows[4] = gradient(rows[last])[0]
        weights = [1 - mu - nu, -h * gamma_t, 0.0, 0.0, -h * mu_t]
        weights[last], weights[before] = mu, nu
        y = theta.new_tensor(weights) @ rows
        rows[before] = y
        before, last = last, before
    return y
