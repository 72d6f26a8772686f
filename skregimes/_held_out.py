"""The search for the time at which held-out samples are predicted best."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from skregimes._classification import log_probabilities
from skregimes.flows.classifier import follow
from skregimes.flows.ending import BROKEN

__all__ = ["Search", "held_out_curve"]

# Time at which a search for the time to stop begins, in units of time.
_FIRST_TIME = 1e-3


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Log losses of held-out samples on the way of a flow, the start included."""

    log_time: np.ndarray
    score: np.ndarray
    status: str

    def at(self, log_time):
        """Return the scores at times, by a monotone cubic; constant beyond the ends."""
        if len(self.score) == 1:
            return np.full(len(log_time), self.score[0])
        log_time = np.clip(log_time, self.log_time[0], self.log_time[-1])
        return PchipInterpolator(self.log_time, self.score)(log_time)


@dataclass(frozen=True, eq=False)
class Search:
    """Where the search for the time to stop ended: the log of the time, the scores."""

    log_time: float
    curve: np.ndarray
    status: str

    @classmethod
    def of(cls, curves, log_max_time, clock):
        """Find the best time of the mean of some `HeldOut`."""
        broken = [curve.status for curve in curves if curve.status in BROKEN]
        status = broken[0] if broken else curves[0].status
        if status == "interrupted":
            return cls(-np.inf, np.empty((0, 2)), status)
        # Flows at rest stay where they are; the others are known up to their ends.
        ends = [c.log_time[-1] for c in curves if c.status != "stationary"]
        last = min(ends) if ends else max(c.log_time[-1] for c in curves)
        times = np.unique(np.concatenate([curve.log_time for curve in curves]))
        times = times[times <= last]
        scores = np.mean([curve.at(times) for curve in curves], axis=0)
        best = int(np.argmin(scores))
        log_time = min(times[best], log_max_time)
        if best == 0:
            log_time = -np.inf  # nothing is gained by training
        elif best == len(times) - 1 and not ends:
            log_time = log_max_time  # nor by stopping
        return cls(log_time, np.column_stack([np.exp(times - clock), scores]), status)


def held_out_curve(start, held, patience, tell=None, **options):
    """Follow a flow on the other samples; return the `HeldOut` of those held out.

    ``tell(log_end, node)`` hears of each step, and where the flow ends if nothing gets
    better any more; a true answer ends it there.
    """
    data = start.data
    weight = data.weight[held] / data.weight[held].sum()
    codes = data.codes[held]

    def score(node):
        log_odds = start.log_odds(node, held) / start.temperature(node, ~held)
        return -float(
            weight @ log_probabilities(log_odds)[np.arange(len(codes)), codes]
        )

    problem = start.problem(~held)
    # The start counts as a time long before anything happens.
    times = [start.log_unit + np.log(_FIRST_TIME)]
    scores = [score(problem.start())]
    best = [scores[0], start.log_unit]

    def on_node(node):
        if node.log_time <= times[-1]:
            return False
        times.append(node.log_time)
        scores.append(score(node))
        if scores[-1] < best[0]:
            best[:] = scores[-1], max(node.log_time, start.log_unit)
        end = best[1] + patience
        stop = tell is not None and tell(end, node)
        return node.log_time > end or stop

    path, _ = follow(problem, on_node=on_node, **options)
    return HeldOut(np.array(times), np.array(scores), path.status)
