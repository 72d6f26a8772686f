"""What a flow remembers of its way."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

__all__ = ["Trajectory", "interpolate"]


def interpolate(time, values, times):
    """Interpolate states of a path by a monotone cubic in log time.

    Parameters
    ----------
    time : ndarray of shape (n_points,)
        Times of the points, increasing from 0.
    values : ndarray of shape (n_points, n_values)
        States.
    times : ndarray of shape (n_times,)
        Times asked for; beyond the last point its state holds.

    Returns
    -------
    ndarray of shape (n_times, n_values)
    """
    if len(time) == 1:
        return np.repeat(values, len(times), axis=0)
    clock = lambda t: np.log(np.minimum(t, time[-1]) + time[1])
    return PchipInterpolator(clock(time), values)(clock(times))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """States of one problem at about 100 log-spaced times, the start included.

    Parameters
    ----------
    time : ndarray of shape (n_points,)
        Flow times, increasing from 0.
    loss : ndarray of shape (n_points,)
        Training loss.
    richness : ndarray of shape (n_points,)
        Score in [0, 1]: 0 in the kernel regime, 1 in the rich one.
    coef : ndarray of shape (n_points, n_features)
        Coefficients, in the units of the data that the flow was given.
    intercept : ndarray of shape (n_points,), default=0.0
        Intercepts.
    jumps : bool, default=False
        Whether the path is constant from one point to the next.
    """

    time: np.ndarray
    loss: np.ndarray
    richness: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray | float = 0.0
    jumps: bool = False

    def at(self, times):
        """Return coefficients and intercepts at any times of the trajectory.

        Parameters
        ----------
        times : array-like of shape (n_times,)
            Times from 0 to the last point; later ones are answered by the last point.

        Returns
        -------
        coef : ndarray of shape (n_times, n_features)
            Between the points a monotone cubic in log time, exact at the points and
            between them to about 1e-3 of the final size; where the path jumps, the
            value since the last jump.
        intercept : ndarray of shape (n_times,)
            Intercepts.

        Raises
        ------
        ValueError
            If a time is negative or nan, or only the start and the limit of infinite
            time are known and a time lies between.
        """
        times = np.atleast_1d(np.asarray(times, dtype=float))
        if not np.all(times >= 0):
            raise ValueError("Times must be non-negative numbers.")
        intercept = np.broadcast_to(self.intercept, len(self))
        values = np.column_stack([self.coef, intercept])
        before = np.searchsorted(self.time, times, "right") - 1
        if self.jumps or np.all(self.time[before] == times):
            found = values[before]
        elif np.isinf(self.time[-1]):
            raise ValueError(
                "This fit went straight to the limit of infinite time; use "
                "solver='dual_mirror' to follow the flow there."
            )
        else:
            found = interpolate(self.time, values, times)
        return found[:, :-1], found[:, -1]

    def __len__(self):
        return len(self.time)

    def __repr__(self):
        return f"Trajectory({len(self)} points, time 0 to {self.time[-1]:.3g})"
