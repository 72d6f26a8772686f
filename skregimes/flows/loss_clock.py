"""Gradient flow of diagonal classifiers, followed in the dual by the clock of the loss.

As for squared errors, the flow of all weights is an ascent in as many variables as
there are samples (times outputs): ``d nu / dt = force``, coefficients being a function
of ``X.T nu``. But forces fall like the loss, so that it takes a time of ``exp(1e6)`` to
reach a loss of ``exp(-1e6)``. Only their ratios matter for the path. Here the clock is
that of the loss itself: one unit multiplies its logarithm by e (and moves the dual by
one, while the loss is flat yet). The time of the flow comes out as a logarithm.

The intercept is at every time the one that fits best: a function of the dual, found by
Newton's method wherever the field is asked for.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg as sla
from scipy.optimize import brentq

from skregimes.flows.rosenbrock import RODAS4

__all__ = ["ClassifierPath", "loss_clock_flow"]

# Coefficients below this share of the largest are resolved absolutely.
_FLOOR = 1e-2
# Largest error of the margins that carry the gradient: beyond it a step may leave the
# slow manifold, on which they stay equal up to logarithms.
_MARGIN_ERROR = 0.3
# A step may raise the log of the loss by so much: rounding.
_SLACK = 1e-9
# Steps so long lead nowhere: what still pulls is rounding.
_STANDS = 1e14
# How well a level of the loss or a time is met, and worse than what it is missed.
_HIT, _MISSED = 1e-12, 1e-4
_MAX_SOLVES = 100
# Log of a step over the shortest part of it that is looked at.
_LONGEST_STEP = 600.0


@dataclass(frozen=True, eq=False)
class ClassifierPath:
    """The flow at the steps that the integrator took.

    Attributes
    ----------
    nodes : list of Node
        From the start on.
    n_iter : int
        Accepted and rejected steps.
    status : str
        "level", "time", "stationary", "stopped", "max_iter", "stalled" or
        "interrupted".
    """

    nodes: list
    n_iter: int
    status: str


class _Step:
    """Steps of any length from one node."""

    def __init__(self, problem, node):
        self.problem, self.node = problem, node
        self.shape = node.dual.shape
        self.field0 = problem.field(node)
        self.pace0 = problem.log_pace(node)
        with np.errstate(all="ignore"):
            self.jacobian, self.tilt = problem.jacobian(node)

    def _at(self, dual):
        """Return the node of a dual, flat."""
        guess = self.node.intercept + self.tilt @ (dual - self.node.dual.ravel())
        return self.problem.node(dual.reshape(self.shape), guess)

    def __call__(self, h):
        """Return the node at the end of a step, and its error estimate."""
        matrix = -(h * RODAS4.gamma) * self.jacobian
        matrix[np.diag_indices_from(matrix)] += 1.0
        factor = sla.lu_factor(matrix, check_finite=False, overwrite_a=True)
        new, error = RODAS4.step(
            self.node.dual.ravel(),
            self.field0.ravel(),
            lambda dual: self.problem.field(self._at(dual)).ravel(),
            lambda b: sla.lu_solve(factor, b, check_finite=False),
            h,
        )
        if not np.all(np.isfinite(new)):
            return None, np.inf
        node = self._at(new)
        if not (np.all(np.isfinite(node.coef)) and np.isfinite(node.loss.log_loss)):
            return None, np.inf
        return node, error

    def size(self, node, error, rtol):
        """Return an error in units of what is allowed."""
        problem = self.problem
        move = problem.project(error.reshape(self.shape))
        move = problem.speed(node).slope * move
        size = np.abs(node.coef)
        size = np.max(np.abs(move) / (rtol * (size + _FLOOR * size.max())))
        lead = problem.loss.margins.of(problem.scores(move) + self.tilt @ error)
        lead = np.sqrt(node.loss.shares @ lead**2) / _MARGIN_ERROR
        return max(size, lead)

    def timed(self, node, h):
        """Return the node with its time, by quadrature of the pace over the step."""
        problem = self.problem
        slopes = self.field0, problem.field(node)
        middle = (self.node.dual + node.dual) / 2 + (slopes[0] - slopes[1]) * (h / 8)
        half = problem.node(middle, (self.node.intercept + node.intercept) / 2)
        paces = self.pace0, problem.log_pace(half), problem.log_pace(node)
        if not np.all(np.isfinite(paces)):
            paces = self.pace0, (self.pace0 + paces[2]) / 2, paces[2]
        time = np.logaddexp(self.node.log_time, np.log(h) + _log_mean_exp(*paces))
        forces = None
        if self.node.forces is not None:
            at = [
                problem.speed(n).scale * n.loss.force for n in (self.node, half, node)
            ]
            forces = self.node.forces + (at[0] + 4 * at[1] + at[2]) * (h / 6)
        return replace(node, log_time=float(time), forces=forces)


_KNOTS, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def _log_mean_exp(first, middle, last):
    """Return the log of the mean of ``exp`` of the parabola through three values."""
    x = (1 + _KNOTS) / 2
    curve = first * (1 - x) * (1 - 2 * x) + middle * 4 * x * (1 - x)
    curve = curve + last * x * (2 * x - 1)
    top = max(first, middle, last)
    if top - min(first, middle, last) < 20:
        return top + np.log(_WEIGHTS @ np.exp(curve - top) / 2)
    # Steep: all that counts is next to the end; the pace is straight on either half.
    return np.logaddexp(
        _log_mean_of_line(first, middle), _log_mean_of_line(middle, last)
    ) - np.log(2)


def _log_mean_of_line(first, last):
    """Return the log of the mean of ``exp`` along a line."""
    rise = abs(last - first)
    if rise < 1e-8:
        return (first + last) / 2
    return max(first, last) + np.log(-np.expm1(-rise) / rise)


@dataclass(frozen=True)
class _Goal:
    """Where to stop: a level of the loss, or a time, in logs."""

    log_loss: float
    log_time: float

    def _beyond(self, node):
        level = time = -1e300
        if np.isfinite(self.log_loss):
            size = max(1.0, abs(self.log_loss))
            level = (self.log_loss - node.loss.log_loss) / size
        if self.log_time == -np.inf:
            time = np.inf
        elif np.isfinite(self.log_time):
            time = (node.log_time - self.log_time) / max(1.0, abs(self.log_time))
        return level, time

    def excess(self, node):
        """Return by how much a node is beyond the goal; negative before it."""
        return max(self._beyond(node))

    def reached(self, node):
        """Return which of the two a node at the goal has reached."""
        level, time = self._beyond(node)
        return "level" if level >= time else "time"


def _attempt(step, h, rtol):
    """Return where a step leads, and its error in units of what is allowed."""
    with np.errstate(all="ignore"):
        new, error = step(h)
        if new is None:
            return None, np.inf
        size = step.size(new, error, rtol)
        rose = new.loss.log_loss - step.node.loss.log_loss > _SLACK
        if rose or not np.isfinite(size):
            return None, np.inf
        return step.timed(new, h), float(size)


def _hit(step, goal, node, h):
    """Return the shorter step that ends at the goal, and its length."""
    last = np.log(h)
    found = {last: node}

    def excess(log):
        if log not in found:
            with np.errstate(all="ignore"):
                found[log] = step.timed(step(np.exp(log))[0], np.exp(log))
        value = max(goal.excess(found[log]), -1e3)
        return 0.0 if abs(value) <= _HIT else value

    # In the log, since a time may be a tiny part of the step.
    first = last - _LONGEST_STEP
    if excess(first) < 0:
        brentq(excess, first, last, xtol=1e-15, maxiter=_MAX_SOLVES, disp=False)
    best = min(found, key=lambda at: abs(goal.excess(found[at])))
    return found[best], np.exp(best)


def loss_clock_flow(
    problem,
    *,
    log_loss_tol=-np.inf,
    log_max_time=np.inf,
    tol=1e-9,
    rtol=1e-3,
    max_iter=10_000,
    start=None,
    on_node=None,
):
    """Follow the flow to a level of the loss, a time, or where it comes to rest.

    Parameters
    ----------
    problem : ClassifierProblem
    log_loss_tol : float, default=-inf
        Log of the training loss at which to stop.
    log_max_time : float, default=inf
        Log of the flow time at which to stop.
    tol : float, default=1e-9
        At rest the forces on each coefficient cancel to this share of them.
    rtol : float, default=1e-3
        Relative error allowed in each coefficient in a step.
    max_iter : int, default=10_000
        Bound on the steps.
    start : Node, optional
        Where to go on from; the start of the problem by default.
    on_node : callable, optional
        Called with each accepted `Node`; a true answer stops the flow.

    Returns
    -------
    ClassifierPath
    """
    node = problem.start() if start is None else start
    goal = _Goal(log_loss_tol, log_max_time)
    nodes, n_iter, h, status = [node], 0, 0.1, ""
    if goal.excess(node) >= 0:
        status = goal.reached(node)
    try:
        while not status:
            if problem.at_rest(node, tol) or h > _STANDS:
                status = "stationary"
                break
            step = _Step(problem, node)
            while not status:
                if n_iter >= max_iter:
                    status = "max_iter"
                    break
                n_iter += 1
                new, size = _attempt(step, h, rtol)
                if size <= 1:
                    break
                h *= (
                    max(0.2, 0.9 * size ** (-1 / RODAS4.order))
                    if size < np.inf
                    else 0.2
                )
                if h < 1e-14:
                    status = "stalled"
            if status:
                break
            if goal.excess(new) > 0:
                new, h = _hit(step, goal, new, h)
                status = goal.reached(new)
                if abs(goal.excess(new)) > _MISSED:
                    status = "stalled"  # the dual no longer resolves coefficients
            node = new
            nodes.append(node)
            if on_node is not None and on_node(node) and not status:
                status = "stopped"
            h *= min(5.0, 0.9 * max(size, 1e-12) ** (-1 / RODAS4.order))
    except KeyboardInterrupt:
        status = "interrupted"
    return ClassifierPath(nodes, n_iter, status)
