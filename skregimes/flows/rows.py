"""Least squares as gradient flow sees it: few rows, no null directions.

With sample weights ``w`` the loss ``sum w_i (x_i beta - y_i)^2 / (2 sum w)`` is
``||y' - X' beta||^2 / 2`` for rows scaled by ``sqrt(w_i / sum w)``. Gradient flow sees
``X'.T X'`` and ``X'.T y'`` only, so more rows than columns fold into as many, and what
``X'`` cannot reach of ``y'`` is the infimum of the loss.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.linalg as sla
from scipy.linalg.blas import dsyrk, ssyrk

__all__ = ["Rows", "weighted_gram"]

# Squared singular values below this share of the largest count as zero.
_RANK_TOL = 1e-12


def weighted_gram(XT, weights):
    """Return ``X diag(weights) X.T`` in the precision of ``XT``, by one rank update."""
    half = XT * np.sqrt(weights).astype(XT.dtype)[:, None]
    lower = (ssyrk if XT.dtype == np.float32 else dsyrk)(1.0, half.T, lower=1)
    return lower + np.tril(lower, -1).T


@dataclass(frozen=True)
class Rows:
    """Reduced least-squares data.

    Attributes
    ----------
    XT : ndarray of shape (n_features, n_rows)
        Scaled features, transposed: columns of X are contiguous.
    y : ndarray of shape (n_targets, n_rows)
        Scaled targets, projected on what X can reach: directions in which X is below
        1e-6 of its largest would take a flow 1e12 times as long as the first.
    whole : ndarray of shape (n_targets, n_rows)
        Scaled targets, not projected.
    rest : ndarray of shape (n_targets,)
        Squared norm of what X cannot reach: twice the infimum of the loss.
    eigvals, eigvecs : ndarray of shape (rank,) and (n_rows, rank)
        Of ``X X.T``, increasing, the null directions left out.
    root : ndarray of shape (n_samples,)
        Square roots of the weights that the samples were multiplied by.
    back : ndarray of shape (n_samples, n_rows) or None
        Orthonormal basis in which more samples than features were folded.
    """

    XT: np.ndarray
    y: np.ndarray
    whole: np.ndarray
    rest: np.ndarray
    eigvals: np.ndarray
    eigvecs: np.ndarray
    root: np.ndarray
    back: np.ndarray | None

    @classmethod
    def reduce(cls, XT, Y, sample_weight=None):
        """Build from data that the caller has centred and will not use again.

        Parameters
        ----------
        XT : ndarray of shape (n_features, n_samples)
            Features, transposed; overwritten.
        Y : ndarray of shape (n_targets, n_samples)
            Targets.
        sample_weight : ndarray of shape (n_samples,), optional
            Weights of the squared errors, all positive.

        Returns
        -------
        Rows
        """
        d, n = XT.shape
        weight = np.ones(n) if sample_weight is None else sample_weight
        weight = weight / weight.max()  # their sum may overflow
        root = np.sqrt(weight / weight.sum())
        XT *= root
        Y = Y * root
        total = np.sum(Y**2, axis=1)
        back = None
        if n > d:
            back, R = np.linalg.qr(XT.T)
            XT, Y = np.ascontiguousarray(R.T), Y @ back
        with np.errstate(over="ignore", invalid="ignore"):
            gram = XT.T @ XT
        size = np.trace(gram)
        if not np.isfinite(size) or (size < 1e-290 and np.any(XT)):
            raise ValueError(
                "The squares of the features overflow or underflow; divide X by its "
                "size first."
            )
        values, vectors = sla.eigh(gram, check_finite=False)
        live = values > max(values[-1] * _RANK_TOL, 0.0)
        vectors = vectors[:, live]
        y = Y @ vectors
        rest = np.maximum(total - np.sum(y**2, axis=1), 0.0)
        return cls(XT, y @ vectors.T, Y, rest, values[live], vectors, root, back)

    def dual_of_samples(self, dual):
        """Return the dual per sample whose features it multiplies: ``X.T dual``."""
        full = dual if self.back is None else dual @ self.back.T
        return full * self.root

    @property
    def gram(self):
        """``X X.T``, (n_rows, n_rows)."""
        return (self.eigvecs * self.eigvals) @ self.eigvecs.T

    def without_mean(self):
        """Return ``(X, Y, basis)`` without the direction that centring emptied.

        ``X = basis.T @ self.XT.T`` has one row less and full rank, where centring is
        all that rank was lost to; elsewhere ``basis`` is None and X as it is.
        """
        X, n_rows = self.XT.T, self.XT.shape[1]
        if self.back is None and self.rank == n_rows - 1 > 0:
            drift = np.max(np.abs(self.XT @ self.root))
            if drift <= 1e-13 * np.sqrt(np.max(self.column_norms2)):
                return self.eigvecs.T @ X, self.whole @ self.eigvecs, self.eigvecs
        return X, self.whole, None

    def take(self, targets):
        """Return the rows with some of the targets."""
        return replace(
            self,
            y=self.y[targets],
            whole=self.whole[targets],
            rest=self.rest[targets],
        )

    @property
    def rank(self):
        """Rank of the features."""
        return len(self.eigvals)

    @cached_property
    def correlation(self):
        """``X.T y``: minus the gradient at zero, (n_targets, n_features)."""
        return self.y @ self.XT.T

    @cached_property
    def column_norms2(self):
        """Squared norms of the columns of X."""
        return np.einsum("dr,dr->d", self.XT, self.XT)

    @cached_property
    def marginal_coef(self):
        """The largest one-feature least-squares coefficient of each target."""
        norms = self.column_norms2
        return np.max(np.abs(self.correlation) / np.where(norms > 0, norms, np.inf), 1)

    @cached_property
    def typical_coef(self):
        """The root mean square coefficient that the data ask for.

        That of plain linear gradient flow at the time when it has explained half of
        the variance that it can explain: a ridge-like fit, in closed form.
        """
        out = np.zeros(len(self.y))
        squares = (self.y @ self.eigvecs) ** 2
        for j, square in enumerate(squares):
            total = square.sum()
            if total <= 0:
                continue
            # sum square exp(-2 eigval T) falls in T: bisect on log T.
            low, high = -np.log(2 * self.eigvals[[-1, 0]]) + np.log([0.1, 1.0])
            for _ in range(60):
                mid = (low + high) / 2
                left = square @ np.exp(-2 * self.eigvals * np.exp(mid))
                low, high = (mid, high) if left > total / 2 else (low, mid)
            filled = -np.expm1(-self.eigvals * np.exp(high))
            out[j] = np.sqrt(np.sum(filled**2 / self.eigvals * square) / len(self.XT))
        return out
