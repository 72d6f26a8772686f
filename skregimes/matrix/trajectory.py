"""What a factorization remembers of its way."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skregimes.networks.factors import outer, product_svd

__all__ = ["FactorTrajectory"]


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

    def __len__(self):
        return len(self.time)

    def __repr__(self):
        return f"FactorTrajectory({len(self)} points, time 0 to {self.time[-1]:.3g})"
