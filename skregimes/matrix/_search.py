"""When to stop: where flows of a part of the data predict the rest best."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from skregimes._watch import Course, log
from skregimes.flows.ending import BROKEN

__all__ = ["Search", "holds_out", "solver_of"]

# Observed values from which "auto" holds some of them out.
_AUTO = 20
# Parts are held out until so many values have been, but not more often than this.
_ENOUGH, _MOST = 1000, 5
# Patience runs out a little whenever the training loss has fallen by the first factor,
# and more slowly, by the second one in time, where the flow stands still, at a saddle.
_LEARNS, _STANDS = 0.97, 1.3
# What counts as an improvement of the held-out score.
_BETTER = 1 - 1e-4
# Precision at which the search ends, of losses whose infimum is not known.
_REST = 1e-3


def holds_out(early_stopping, data):
    """Return whether to search, given the estimator's parameter."""
    if early_stopping == "auto":
        return len(data) >= _AUTO
    if early_stopping and len(data) < 2:
        raise ValueError(
            "early_stopping=True needs at least two observed values; use "
            "early_stopping='auto' or False."
        )
    return early_stopping


def solver_of(params):
    """Return the name of the flow that an estimator's parameters ask for."""
    return "gd" if params.solver == "gd" else "chebyshev"


@dataclass(frozen=True, eq=False)
class Search:
    """What flows of parts of the data said.

    Parameters
    ----------
    curve : ndarray of shape (n_points, 2)
        Times, as the flow of all data counts them, and mean squared errors on what was
        held out, over all parts.
    time : float
        The time of the least of these.
    broken : FlowResult or None
        A flow that did not end as asked.
    interrupted : tuple or None
        Parameters and loss at the start, and the best state so far, of the flow during
        which the keyboard interrupted.
    """

    curve: np.ndarray
    time: float
    broken: object
    interrupted: tuple | None

    @classmethod
    def run(cls, flow, data, bound, random_state, watcher=None):
        """Follow the flows of a few random parts of the data.

        Parameters
        ----------
        flow : object
            ``pose(origin, data)`` and ``follow(...)``, with ``origin`` and ``params``.
        data : ObservedEntries or SensedMatrix
            All of it.
        bound : float
            Largest time.
        random_state : RandomState
            Draws the parts.
        watcher : Watcher, default=None
            Told of all points.

        Returns
        -------
        Search
        """
        fraction = flow.params.validation_fraction
        times = min(_MOST, math.ceil(_ENOUGH / (fraction * len(data))))
        trials: list[_Trial] = []
        if watcher is not None:
            watcher.begin(searches=times)
        for number in range(times):
            part, held = data.split(fraction, random_state)
            trials.append(_Trial(flow, part, held, data))
            if watcher is not None:
                trials[-1].watch(watcher, number, flow, bound)
            result = trials[-1].run(flow, bound)
            if result.status == "interrupted":
                break
        curve = _mean([trial.curve for trial in trials])
        best = float(curve[np.argmin(curve[:, 1]), 0])
        broken = [trial.result for trial in trials if trial.result.status in BROKEN]
        last = trials[-1]
        stopped = last.result.status == "interrupted"
        return cls(
            curve,
            best,
            broken[0] if broken else None,
            (last.start, last.result) if stopped else None,
        )


class _Trial:
    """A flow of a part of the data, watched on the rest."""

    def __init__(self, flow, part, held, data):
        # Flow of more data is faster.
        self.pace = part.total_weight / data.total_weight
        origin = flow.origin.of_part(part, self.pace, flow.params)
        self.posed, (self.held, _) = (flow.pose(origin, d) for d in (part, held))
        self.size = held.total_weight
        problem, self.theta = self.posed
        self.start = self.theta, float(problem.gradient(self.theta)[1])
        self.patience = flow.params.n_iter_no_change
        self.scores: list = []
        self.best, self.idle = math.inf, 0
        self.counted: tuple | None = None  # time and loss, of what was counted last
        self.tell: Callable[..., bool] | None = None

    def run(self, flow, bound):
        """Follow the flow; if it is interrupted the result is the best state so far."""
        tol = flow.params.tol
        result = flow.follow(self.posed, bound / self.pace, tol, self, _REST)
        if result.status == "interrupted":
            result = replace(result, theta=self.theta)
        self.result = result
        return result

    def watch(self, watcher, number, flow, bound):
        """Tell a watcher of all points."""
        params, origin = flow.params, flow.origin
        rate, clock = origin.rate, origin.clock(params.units)
        course = Course(log(params.tol), relative=True, solver=solver_of(params))
        unfit = self.posed[0].measurements.unfit

        def tell(time, loss):
            time = time * self.pace
            # If nothing gets better any more, at a saddle or not.
            left = _STANDS ** (self.patience - self.idle)
            end = min(bound, max(time, 1 / rate) * left)
            age = log(time * rate)
            done = course(age, log(end * rate), log(loss - unfit))
            return watcher.search(number, log(time / clock), age, done)

        self.tell = tell

    def __call__(self, time, theta, loss):
        """Take a point; a true answer stops the search."""
        score = self.held.error(theta) / self.size
        self.scores.append((time * self.pace, score))
        if self.counted is None:
            self.counted = math.inf, loss  # the flow may stand long at its start
        counts = loss < _LEARNS * self.counted[1] or time > _STANDS * self.counted[0]
        if counts:
            self.counted = time, loss
        if score < self.best * _BETTER:
            self.best, self.theta, self.idle = score, theta, 0
        elif counts:
            self.idle += 1
        stop = self.tell is not None and self.tell(time, loss)
        return self.idle >= self.patience or stop

    @property
    def curve(self):
        """Times, as the flow of all data counts them, and errors."""
        return np.array(self.scores or [(0.0, math.inf)])


def _mean(curves):
    """Return the mean of curves, linear between points and constant beyond the last."""
    if len(curves) == 1:
        return curves[0]
    times = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    errors = [np.interp(times, *curve.T) for curve in curves]
    return np.column_stack([times, np.mean(errors, axis=0)])
