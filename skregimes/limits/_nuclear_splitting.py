"""Least nuclear norm by Douglas-Rachford splitting, accelerated and certified.

The problem ``min |M|_* + sum((<A, M> - y)**2) / (2 * penalty)``, of which penalty zero
is interpolation, has the dual

    ``max <y, u> - penalty / 2 * |u|**2``  subject to  ``|sum_n u_n A_n|_op <= 1``.

Any u becomes feasible by scaling, so its value is a lower bound of the problem.
"""

import numpy as np
from scipy.linalg import svdvals

__all__ = ["least_nuclear_norm"]

_CHECK_EVERY = 10  # iterations between two certificates
_RELAXATION = 1.6  # of the splitting, between 1 and 2
_START = 0.2  # first threshold, relative to the largest singular value
_MEMORY = 5  # of the acceleration
_GROWTH = 2.0  # of the fixed-point residual, from which acceleration is undone


def least_nuclear_norm(problem, penalty, tol, max_iter, start=None):
    """Solve the problem above until the relative gap is at most `tol`.

    Parameters
    ----------
    problem : Entries or Sensing
        Independent measurements if the penalty is zero.
    penalty : float
        At least zero.
    tol : float
        Relative duality gap to reach.
    max_iter : int
        Largest number of iterations.
    start : tuple (matrix, subgradient), default=None
        Solution of a problem nearby.

    Returns
    -------
    matrix : ndarray of shape (d1, d2)
        The solution.
    gap : float
        Relative duality gap reached.
    dual : ndarray of shape (n,)
        The feasible dual point that proves it.
    n_iter : int
        Iterations made.
    """
    y = problem.y
    pull = problem.adjoint(y)
    if np.linalg.norm(pull, 2) <= penalty:
        return np.zeros(problem.shape), 0.0, y / (penalty or 1.0), 0

    # V is the state, Z its image with few singular values, X the one that fits.
    V = pull * (np.sum(pull**2) / np.sum(problem.measure(pull) ** 2))
    threshold = _START * np.linalg.norm(V, 2)
    if start is not None:
        V = start[0] + threshold * start[1]
    Z, certificate = np.zeros_like(V), _Certificate(problem, penalty)
    acceleration, next_balance = _Anderson(), _CHECK_EVERY
    for n_iter in range(1, max_iter + 1):
        # 1) The two proximal steps.
        last, Z = Z, _shrink(V, threshold)
        W = 2 * Z - V
        misfit = y - problem.measure(W)
        dual = problem.solve(misfit, penalty / threshold) / threshold
        subgradient = problem.adjoint(dual)
        X = W + threshold * subgradient
        # 2) What is proven so far.
        if n_iter % _CHECK_EVERY == 0 or n_iter == max_iter:
            certificate.update(Z, dual, subgradient)
            if certificate.gap <= tol:
                break
        # 3) The next state; a threshold under which both residuals fall alike.
        image = V + _RELAXATION * (X - Z)
        if n_iter < next_balance:
            V = acceleration.next(V, image)
            continue
        next_balance *= 2
        change = _imbalance(X, Z, last, V - Z)
        threshold /= change
        V = Z + (image - Z) / change
        acceleration = _Anderson()
    return certificate.matrix, certificate.gap, certificate.dual, n_iter


def _shrink(V, threshold):
    """Lower the singular values of a matrix by the threshold, to zero at least."""
    if V.shape[0] > V.shape[1]:
        return _shrink(V.T, threshold).T
    # Squares lose the small singular values only, and those vanish.
    squares, vectors = np.linalg.eigh(V @ V.T)
    kept = squares > threshold**2
    vectors = vectors[:, kept]
    return (vectors * (1 - threshold / np.sqrt(squares[kept]))) @ (vectors.T @ V)


def _imbalance(X, Z, last, scaled_dual):
    """Return the root of the ratio of relative primal and dual residuals, clipped."""
    primal = np.linalg.norm(X - Z) / max(np.linalg.norm(X), np.linalg.norm(Z))
    dual = np.linalg.norm(Z - last) / np.linalg.norm(scaled_dual)
    return np.clip(np.sqrt(primal / dual), 0.2, 5.0) if primal and dual else 1.0


class _Certificate:
    """The best matrix and the best dual point met, and the gap between them."""

    def __init__(self, problem, penalty):
        self.problem, self.penalty = problem, penalty
        self._objective, self._bound = np.inf, -np.inf
        self.matrix = self.dual = None

    @property
    def gap(self):
        """Relative duality gap; rounding may make it negative."""
        return max(0.0, float(1 - self._bound / self._objective))

    def update(self, Z, dual, subgradient):
        """Compare a matrix of low rank and any dual point with the best so far."""
        problem, penalty, y = self.problem, self.penalty, self.problem.y
        misfit = y - problem.measure(Z)
        if penalty:
            matrix, cost = Z, np.sum(misfit**2) / (2 * penalty)
        else:
            matrix, cost = Z + problem.adjoint(problem.solve(misfit, 0.0)), 0.0
        objective = svdvals(matrix).sum() + cost
        if objective < self._objective:
            self._objective, self.matrix = objective, matrix
        # The best multiple within the unit ball.
        scale, pull = 1 / np.linalg.norm(subgradient, 2), y @ dual
        if penalty:
            scale = min(scale, pull / (penalty * np.sum(dual**2)))
        bound = scale * pull - penalty / 2 * scale**2 * np.sum(dual**2)
        if bound > self._bound:
            self._bound, self.dual = bound, scale * dual


class _Anderson:
    """Extrapolate a fixed-point iteration from its last few images.

    The affine combination of images of least residual (type II), taken back if the
    residual grows too much after it.
    """

    def __init__(self):
        self._residuals, self._images = [], []
        self._size: float = np.inf

    def next(self, state, image):
        """Return the next state, given the image of the present one."""
        residual = (image - state).ravel()
        size = float(np.linalg.norm(residual))
        if size > _GROWTH * self._size:
            plain = self._images[-1]
            self._residuals, self._images, self._size = [], [], np.inf
            return plain
        self._size = size
        self._residuals = [*self._residuals[-_MEMORY:], residual]
        self._images = [*self._images[-_MEMORY:], image]
        if len(self._images) == 1:
            return image
        F = np.diff(self._residuals, axis=0)
        gram = F @ F.T
        ridge = 1e-10 * np.trace(gram) + np.finfo(float).tiny
        gram[np.diag_indices(len(gram))] += ridge
        weights = np.linalg.solve(gram, F @ residual)
        steps = np.diff(self._images, axis=0)
        return image - np.tensordot(weights, steps, axes=1)
