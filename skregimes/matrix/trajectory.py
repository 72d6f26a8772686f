"""What a factorization remembers of its way."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skregimes.flows.trajectory import interpolate
from skregimes.networks.factors import outer, product_svd

__all__ = ["FactorTrajectory", "SensingTrajectory"]


@dataclass(frozen=True, eq=False)
class FactorTrajectory:
    """Factors of a matrix on their way, the start included.

    Parameters
    ----------
    time : ndarray of shape (n_points,)
        Flow times, increasing from 0.
    loss : ndarray of shape (n_points,)
        Training loss.
    factors : list of lists of ndarray
        ``W_1`` to ``W_L`` at each point.
    centered : bool, default=False
        Whether the product of the start is subtracted.
    rank : int, default=None
        Number of singular values of the matrix that are kept; None is all.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes import MatrixFactorizer
    >>> X = np.diag([3.0, 1.0])
    >>> model = MatrixFactorizer(center=None, early_stopping=False, random_state=0)
    >>> path = model.fit(X).trajectory_
    >>> path.singular_values[-1].round(3)
    array([3., 1.])
    """

    time: np.ndarray
    loss: np.ndarray
    factors: list
    centered: bool = False
    rank: int | None = None

    def halves(self, point):
        """Return the matrix at a point as a product of two.

        Parameters
        ----------
        point : int
            Its index.

        Returns
        -------
        left : ndarray of shape (d1, k)
            Left factor.
        right : ndarray of shape (d2, k)
            Right factor: the matrix is ``left @ right.T``, without the product of the
            start where the factorization is centred.
        """
        left, right = outer(self.factors[point])
        if self.centered:
            left0, right0 = outer(self.factors[0])
            left, right = np.hstack([left, -left0]), np.hstack([right, right0])
        if self.rank is not None:
            U, s, Vt = product_svd(left, right, self.rank)
            left, right = U * s, Vt.T
        return left, right

    @cached_property
    def singular_values(self):
        """Singular values of the matrix at each point, (n_points, n_values)."""
        return np.array([product_svd(*self.halves(p))[1] for p in range(len(self))])

    @cached_property
    def richness(self):
        """``richness_`` at each point."""
        from skregimes.matrix._geometry import kernel_motion

        start = self.factors[0]
        return np.array([kernel_motion(start, now).richness for now in self.factors])

    def interpolated(self, values, times):
        """Return what is known at the points at any times.

        Parameters
        ----------
        values : ndarray of shape (n_points, n_values)
            Values at the points.
        times : array-like of shape (n_times,)
            Times from 0 on; those beyond the last point are answered by it.

        Returns
        -------
        ndarray of shape (n_times, n_values)
            Between the points a monotone cubic in log time.

        Raises
        ------
        ValueError
            If a time is negative or nan.
        """
        times = np.atleast_1d(np.asarray(times, dtype=float))
        if not np.all(times >= 0):
            raise ValueError("Times must be non-negative numbers.")
        before = np.searchsorted(self.time, times, "right") - 1
        if np.all(self.time[before] == times):
            return values[before]
        return interpolate(self.time, values, times)

    def __len__(self):
        return len(self.time)

    def __repr__(self):
        return f"FactorTrajectory({len(self)} points, time 0 to {self.time[-1]:.3g})"


@dataclass(frozen=True, eq=False, repr=False)
class SensingTrajectory(FactorTrajectory):
    """Factors of a matrix that was measured, on their way.

    Parameters
    ----------
    time, loss, factors, centered, rank
        As in `FactorTrajectory`.
    x_mean : ndarray of shape (d1 * d2,) or float, default=0.0
        Mean of the measurement matrices, for the intercept.
    y_mean : float, default=0.0
        Mean of the measured numbers.
    """

    x_mean: np.ndarray | float = 0.0
    y_mean: float = 0.0

    def at(self, times):
        """Return coefficients and intercepts at any times.

        Parameters
        ----------
        times : array-like of shape (n_times,)
            Times from 0 on; those beyond the last point are answered by it.

        Returns
        -------
        coef : ndarray of shape (n_times, d1 * d2)
            The matrix, row by row; between the recorded points a monotone cubic in log
            time.
        intercept : ndarray of shape (n_times,)
            Intercepts.

        Raises
        ------
        ValueError
            If a time is negative or nan.
        """
        halves = (self.halves(point) for point in range(len(self)))
        coefs = np.array([(left @ right.T).ravel() for left, right in halves])
        found = self.interpolated(coefs, times)
        return found, self.y_mean - found @ np.broadcast_to(self.x_mean, found.shape[1])
