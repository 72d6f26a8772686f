"""What a flow remembers of its way."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

__all__ = [
    "ClassifierTrajectory",
    "Trajectory",
    "check_times",
    "interpolate",
    "through",
]


def check_times(times):
    """Return times as an array, or raise ValueError if one is negative or nan."""
    times = np.atleast_1d(np.asarray(times, dtype=float))
    if not np.all(times >= 0):
        raise ValueError("Times must be non-negative numbers.")
    return times


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

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes import DiagonalNetRegressor
    >>> X, y = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), [4.0, 1.0]
    >>> model = DiagonalNetRegressor(
    ...     1e-3,
    ...     units="paper",
    ...     fit_intercept=False,
    ...     early_stopping=False,
    ...     solver="dual_mirror",
    ... ).fit(X, y)
    >>> path = model.trajectory_
    >>> coef, _ = path.at([4.0, 40.0])
    >>> coef.round(2)
    array([[1.63, 0.  , 0.77],
           [1.5 , 0.  , 1.  ]])
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
        times = check_times(times)
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


@dataclass(frozen=True, eq=False)
class ClassifierTrajectory:
    """States of a classifier on its way, in the clock of its loss.

    Times and losses are kept as logarithms: a loss of ``exp(-1e6)`` is reached at a
    time of about ``exp(1e6)``.

    Parameters
    ----------
    log_time : ndarray of shape (n_points,)
        Natural logs of the flow times, increasing from -inf.
    log_loss : ndarray of shape (n_points,)
        Natural logs of the training loss, decreasing.
    margin : ndarray of shape (n_points,)
        Least margins of the training samples.
    richness : ndarray of shape (n_points,)
        Score in [0, 1]: 0 in the kernel regime, 1 in the rich one.
    temperature : ndarray of shape (n_points,)
        What log odds are divided by.
    coef : ndarray of shape (n_points, n_outputs, n_features)
        Coefficients, in the units of the data that the flow was given.
    intercept : ndarray of shape (n_points, n_outputs)
        Intercepts.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes import DiagonalNetClassifier
    >>> X = np.array([[2.0, 1.0], [1.0, 3.0], [-2.0, -1.0]])
    >>> model = DiagonalNetClassifier(early_stopping=False, log_loss_tol=-1e3)
    >>> path = model.fit(X, ["b", "b", "a"]).trajectory_
    >>> coef = path.at_log_loss([-10.0, -1e3])[0]
    >>> coef.shape
    (2, 1, 2)
    """

    log_time: np.ndarray
    log_loss: np.ndarray
    margin: np.ndarray
    richness: np.ndarray
    temperature: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    @property
    def time(self):
        """Flow times, inf where they overflow."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_time)

    def at(self, times):
        """Return coefficients, intercepts and temperatures at flow times.

        Parameters
        ----------
        times : array-like of shape (n_times,)
            Times from 0 on; those beyond the last point are answered by it.

        Returns
        -------
        coef : ndarray of shape (n_times, n_outputs, n_features)
            Between the points a monotone cubic in log time, exact at the points and
            between them to about 5e-3 of the size there.
        intercept : ndarray of shape (n_times, n_outputs)
            Intercepts.
        temperature : ndarray of shape (n_times,)
            Temperatures.

        Raises
        ------
        ValueError
            If a time is negative or nan.
        """
        times = check_times(times)
        with np.errstate(divide="ignore"):
            return self._between(self._clock(self.log_time), self._clock(np.log(times)))

    def at_log_loss(self, levels):
        """Return coefficients, intercepts and temperatures at levels of the loss.

        Parameters
        ----------
        levels : array-like of shape (n_levels,)
            Natural logs of the training loss; levels that were not reached are answered
            by the nearest end.

        Returns
        -------
        coef, intercept, temperature : ndarray
            As of `at`, a monotone cubic in the log of what the logarithm fell by.

        Raises
        ------
        ValueError
            If a level is nan.
        """
        levels = np.atleast_1d(np.asarray(levels, dtype=float))
        if np.any(np.isnan(levels)):
            raise ValueError("Levels of the log of the loss must be numbers.")
        fall = lambda log: np.log1p(np.maximum(self.log_loss[0] - log, 0.0))
        return self._between(fall(self.log_loss), fall(levels))

    def _clock(self, log_time):
        first = self.log_time[min(1, len(self) - 1)]
        return np.logaddexp(log_time, first)

    def richness_at(self, times):
        """Return the richness at flow times, interpolated like the coefficients.

        Parameters
        ----------
        times : array-like of shape (n_times,)
            Times from 0 on; those beyond the last point are answered by it.

        Returns
        -------
        ndarray of shape (n_times,)

        Raises
        ------
        ValueError
            If a time is negative or nan.
        """
        with np.errstate(divide="ignore"):
            wanted = self._clock(np.log(check_times(times)))
        known = self._clock(self.log_time)
        return through(known, self.richness[:, None], wanted)[:, 0]

    def _between(self, points, wanted):
        """Interpolate at places on a clock that has the recorded points."""
        n = len(self)
        flat = np.column_stack(
            [self.coef.reshape(n, -1), self.intercept, np.log(self.temperature)]
        )
        found = through(points, flat, wanted)
        outputs = self.intercept.shape[1]
        coef = found[:, : -outputs - 1].reshape(len(wanted), *self.coef.shape[1:])
        return coef, found[:, -outputs - 1 : -1], np.exp(found[:, -1])

    def __len__(self):
        return len(self.log_time)

    def __repr__(self):
        return (
            f"ClassifierTrajectory({len(self)} points, log loss {self.log_loss[0]:.3g} "
            f"to {self.log_loss[-1]:.3g})"
        )


def through(points, values, wanted):
    """Return states at places on a clock, by a monotone cubic through those known.

    Parameters
    ----------
    points : ndarray of shape (n_points,)
        Places of the states, increasing but for rounding.
    values : ndarray of shape (n_points, n_values)
        States.
    wanted : ndarray of shape (n_wanted,)
        Places asked for; beyond the ends the states of the ends hold.

    Returns
    -------
    ndarray of shape (n_wanted, n_values)
    """
    # Where rounding made a clock stand still, one point is enough.
    points, kept = np.unique(points, return_index=True)
    wanted = np.clip(wanted, points[0], points[-1])
    if len(points) == 1:
        return np.repeat(values[kept], len(wanted), axis=0)
    return PchipInterpolator(points, values[kept])(wanted)
