"""Watching a fit: how far it is, what it passed, and what it prints.

scikit-learn shows a percentage and the time left of a task whose number of subtasks is
known. So the work of a fit is divided into a fixed number of ticks: each flow has its
lane of them, and each tick is a subtask. A recorded point of a flow is a tick that can
predict; the others are empty, and only say that time goes on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.callback import AutoPropagatedCallback

__all__ = [
    "POINTS_PER_DECADE",
    "Course",
    "Point",
    "SearchWatcher",
    "Watcher",
    "log",
    "work_done",
]

# Points at which callbacks are told of a running flow, and patience is counted.
POINTS_PER_DECADE = 12
# Later times than so many decades are told of by decades of their logarithm.
_DECADES = 12.0
# Ticks of a flow, and of all together: what a bar costs grows as their square.
_TICKS, _MOST_TICKS = 200, 1000
# Share of the ticks left that points may have before they are due.
_AHEAD = 0.15
# Log of the share of a loss that rounding leaves.
_LEAST_TOL = math.log(1e-26)
# How work grows with time: see `work_done`. The sharpness bounds explicit steps, its
# root those of a stabilised method; others are as long as the flow is old.
_POWERS = {"gd": 1.0, "chebyshev": 0.5}
# Measured: the later decades of the exponential flows take longer.
_ORDERS = {"exponential": 2, "krylov": 2}
# What a fit leaves that is private, and not yet known while it runs.
_FITTED = ("_network", "_rows", "_labelled", "_rested")
_NAMES = ("n_features_in_", "feature_names_in_")


def log(value):
    """Return a logarithm, -inf of zero."""
    return math.log(value) if value > 0 else -math.inf


def work_done(log_now, log_end, power):
    """Return the share of its work that a flow has done, from 0 to 1.

    Parameters
    ----------
    log_now, log_end : float
        Logs of how far it is and of where it ends, in units in which it has just begun
        to move at 1.
    power : float
        Work grows as ``(1 + t)**power``, and as ``log(1 + t)`` for 0: flows whose steps
        may be as long as they are old are followed in equal ratios of time.

    Returns
    -------
    float
    """
    now, end = np.logaddexp(0.0, log_now), np.logaddexp(0.0, log_end)
    if now >= end:
        return 1.0
    if math.isinf(end):
        return 0.0
    if power == 0:
        return float(now / end)
    left = math.exp(power * (now - end))
    return float(left * math.expm1(-power * now) / math.expm1(-power * end))


class Course:
    """Says how much of its work a flow has done: by its time or by its loss.

    Parameters
    ----------
    level : float, default=-inf
        Log of the loss at which the flow ends.
    relative : bool, default=False
        Whether that is relative to the first loss.
    solver : str, default=""
        Name of the flow: explicit ones work harder the longer they run.
    loss_power : float, default=1.0
        See `work_done`, of what the log of the loss fell by.
    """

    def __init__(self, level=-math.inf, *, relative=False, solver="", loss_power=1.0):
        self.level = max(level, _LEAST_TOL) if relative else level
        self.relative = relative
        self.powers = _POWERS.get(solver, 0.0), loss_power
        self.order = _ORDERS.get(solver, 1)
        self.first = None

    def __call__(self, log_time, log_end, log_loss):
        """Return the share done at a time, of a flow that ends at another at latest."""
        if self.first is None:
            self.first = log_loss
        fall = -self.level if self.relative else self.first - self.level
        by_time = work_done(log_time, log_end, self.powers[0]) ** self.order
        fallen = log(self.first - log_loss) if log_loss < self.first else -math.inf
        return max(by_time, work_done(fallen, log(fall), self.powers[1]))


@dataclass(frozen=True, eq=False)
class Point:
    """A point of a flow, in the units of the estimator.

    Parameters
    ----------
    time, loss : float
        Inf and 0 beyond the range of floats.
    log_time, log_loss : float
        Their logarithms.
    richness, kernel_change : callable
        Return the estimator's ``richness_`` and ``kernel_change_`` here.
    target : int, default=0
        Which of the networks, where each target has its own.
    in_logs : bool, default=False
        Whether logarithms are what is shown.
    """

    time: float
    loss: float
    log_time: float
    log_loss: float
    richness: Callable[[], float]
    kernel_change: Callable[[], float]
    target: int = 0
    in_logs: bool = False

    @classmethod
    def at(cls, time, loss, richness, kernel_change, target=0):
        """Return a point whose time and loss are floats."""
        logs = log(time), log(loss)
        return cls(time, loss, *logs, richness, kernel_change, target)

    @classmethod
    def of_logs(cls, log_time, log_loss, richness, kernel_change):
        """Return a point whose time and loss are known as logarithms."""
        with np.errstate(over="ignore"):
            time, loss = (float(np.exp(value)) for value in (log_time, log_loss))
        return cls(
            time, loss, log_time, log_loss, richness, kernel_change, in_logs=True
        )

    def __str__(self):
        richness = f"richness {self.richness():.3f}"
        if self.in_logs:
            where = f"log time {self.log_time:9.2f}"
            return f"{where}  {richness}  log loss {self.log_loss:9.3e}"
        return f"time {self.time:9.2e}  {richness}  loss {self.loss:9.3e}"


class _Lane:
    """The ticks of one flow."""

    def __init__(self, ticks):
        self.ticks, self.told, self.done = ticks, 0, 0.0

    def advance(self, done):
        """Take the share that is done; no flow goes back."""
        self.done = max(self.done, min(done, 1.0))

    @property
    def missing(self):
        """Ticks that are due."""
        return int(self.done * self.ticks) - self.told

    @property
    def has_room(self):
        """Whether a point may have a tick, due or somewhat before."""
        return self.told < self.ticks * (self.done + _AHEAD * (1 - self.done))


class Watcher:
    """Tells callbacks of a running fit, and prints its decades.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    X, y, sample_weight : array-like
        What it is fitted to; shown to callbacks.
    """

    def __init__(self, estimator, X, y, sample_weight):
        self.estimator = estimator
        self.name = type(estimator).__name__
        self.shown = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self.shown["metadata"] = {"sample_weight": sample_weight}
        self.context: Any = None
        self.places: dict = {}
        self.current = 0

    def begin(self, searches=0, targets=1):
        """Say what is to come; the fit begins.

        Parameters
        ----------
        searches : int, default=0
            Flows that are followed first, for the time to stop.
        targets : int, default=1
            Networks that are trained side by side in each.
        """
        flows = searches + 1
        ticks = max(1, min(_TICKS, _MOST_TICKS // (flows * targets)))
        self.searches, self.targets = searches, targets
        self.flows = [[_Lane(ticks) for _ in range(targets)] for _ in range(flows)]
        if hasattr(self.estimator, "_skl_callbacks"):
            self.context = self.estimator._init_callback_context(
                max_subtasks=flows * targets * ticks
            )
            self.context.call_on_fit_task_begin(**self.shown)

    def search(self, number, log_time, log_age, done, target=0):
        """Report a step of a flow that is followed for the time to stop.

        Parameters
        ----------
        number : int
            Which of the flows, from 0 on.
        log_time, log_age : float
            Log of its time in the units of the estimator, and in natural ones.
        done : float
            Share of its work that is done.
        target : int, default=0
            Which of the networks.

        Returns
        -------
        bool
            Whether a callback asks to stop.
        """
        _, decade = self._passed((number, target), log_age)
        if decade and self.estimator.verbose:
            time = f"time {math.exp(log_time):9.2e}"
            if log_time > 700:
                time = f"log time {log_time:9.2f}"
            self._print(
                target, f"held-out flow {number + 1} of {self.searches}  {time}"
            )
        if self.context is None:
            return False
        return self._advance("search", number, target, done)

    def __call__(self, point, log_age, done, state):
        """Report a step of the flow of all data; a true answer asks it to stop.

        Parameters
        ----------
        point : Point
            Where it is.
        log_age : float
            Log of its time in natural units. Only the first step beyond each of 12
            points a decade of it is recorded.
        done : float
            Share of its work that is done.
        state : callable
            Returns attributes that predict as of now.

        Returns
        -------
        bool
        """
        number, target = self.searches, point.target
        new, decade = self._passed((number, target), log_age)
        if decade and self.estimator.verbose:
            self._print(target, str(point))
        if self.context is None:
            return False
        lane = self.flows[number][target]
        lane.advance(done)
        told = new and lane.has_room
        stop = self._advance("flow", number, target, done, kept=told)
        if told:
            lane.told += 1
            stop = self._task("flow", lambda: self._as_of(point, state)) or stop
        return stop

    def finish(self):
        """Report the end of fit."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                **self.shown, reconstruction_attributes=dict
            )

    def _passed(self, key, log_age):
        """Return whether a flow passed a point to be told of, and a decade."""
        place = log_age / math.log(10)
        if place > _DECADES:
            place = _DECADES + math.log10(place / _DECADES)
        point = math.floor(POINTS_PER_DECADE * max(place, -300.0))
        before = self.places.get(key)
        if before is not None and point <= before:
            return False, False
        self.places[key] = point
        decade = point // POINTS_PER_DECADE
        return True, before is None or decade > before // POINTS_PER_DECADE

    def _print(self, target, message):
        if self.targets > 1:
            message = f"target {target}  {message}"
        print(f"[{self.name}] {message}")  # noqa: T201

    def _advance(self, name, number, target, done, kept=0):
        """Bring the ticks up to where a flow is, but for those kept for points."""
        while self.current < number:  # they have ended
            for lane in self.flows[self.current]:
                self._fill("search", lane, 1.0)
            self.current += 1
        return self._fill(name, self.flows[number][target], done, kept)

    def _fill(self, name, lane, done, kept=0):
        lane.advance(done)
        stop = False
        while lane.missing > kept:
            lane.told += 1
            stop = self._task(name) or stop
        return stop

    def _task(self, name, state=None):
        task = self.context.subcontext(task_name=name)
        task.call_on_fit_task_begin(**self.shown)
        return task.call_on_fit_task_end(**self.shown, reconstruction_attributes=state)

    def _as_of(self, point, state):
        """Return all attributes of an estimator fitted up to a point.

        All, lest those of an earlier fit be taken for those of this one.
        """
        known = {
            name: value
            for name, value in vars(self.estimator).items()
            if name in _NAMES or not (name.endswith("_") or name in _FITTED)
        }
        now = {"time_": point.time, "loss_": point.loss, "_point": point}
        return {"__dict__": known | now | state()}


class SearchWatcher:
    """Tells callbacks of a search for parameters and of the fit of the best ones.

    Parameters
    ----------
    estimator : estimator
        What searches.
    X, y, sample_weight : array-like
        What it is fitted to; shown to callbacks.
    """

    def __init__(self, estimator, X, y, sample_weight):
        self.estimator = estimator
        self.shown = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self.shown["metadata"] = {"sample_weight": sample_weight}
        self.root = estimator._init_callback_context(max_subtasks=2)
        self.root.call_on_fit_task_begin(**self.shown)

    def begin(self, ticks):
        """Say into how many parts the search is divided."""
        self.ticks, self.told = ticks, 0
        self.search = self.root.subcontext(task_name="search", max_subtasks=ticks)
        self.search.call_on_fit_task_begin(**self.shown)

    def advance(self, ticks):
        """Bring the ticks up to so many."""
        while self.told < min(ticks, self.ticks):
            self.told += 1
            task = self.search.subcontext(task_name="part")
            task.call_on_fit_task_begin(**self.shown)
            task.call_on_fit_task_end(**self.shown)

    def each(self, folds):
        """Return the list of what folds answer, and tell of each of them."""
        answers = []
        for answer in folds:
            answers.append(answer)
            self.advance(len(answers))
            self.say(f"fold {len(answers)} of {self.ticks}")
        return answers

    def say(self, message):
        """Print a message, if messages are wanted."""
        if self.estimator.verbose:
            print(f"[{type(self.estimator).__name__}] {message}")  # noqa: T201

    def fit(self, model, *data):
        """Fit the best one; callbacks hear of that as part of the whole."""
        self.search.call_on_fit_task_end(**self.shown)
        task = self.root.subcontext(task_name="refit")
        callbacks = getattr(self.estimator, "_skl_callbacks", [])
        own = (c for c in callbacks if not isinstance(c, AutoPropagatedCallback))
        model.set_callbacks(*own)
        with task.propagate_callback_context(model):
            task.call_on_fit_task_begin(**self.shown)
            model.fit(*data)
        task.call_on_fit_task_end(**self.shown)
        self.root.call_on_fit_task_end(**self.shown)
