"""Linear algebra of the limits: independent rows, and weighted Gram systems.

Every Newton step of a limit solves ``X diag(w) X.T v = r`` for new positive weights.
Forming the matrix costs n^2 d, which is all of the time when d is large. But most
columns carry a negligible weight in the rich regime, and the weights hardly change from
step to step in the kernel regime: `GramSolver` uses both.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh, qr, svd
from scipy.linalg.blas import dsyrk

from skregimes.limits._checks import LimitError

__all__ = ["GramSolver", "RowBasis", "weighted_gram"]

_EPS = np.finfo(float).eps
_BLOCK = 2**22  # entries of X scaled at a time: 32 MB
_SCREEN_ABOVE = 3e8  # n^2 d from which a factorization outweighs the bookkeeping


def weighted_gram(X, weights):
    """Return the lower triangle of ``X diag(weights) X.T``, by blocks of columns."""
    n, d = X.shape
    root = np.sqrt(weights)
    gram = np.zeros((n, n), order="F")
    width = max(1, _BLOCK // n)
    for start in range(0, d, width):
        block = X[:, start : start + width] * root[start : start + width]
        # syrk does half the work of a general product.
        gram = dsyrk(1.0, block.T, 1.0, gram, trans=1, lower=1, overwrite_c=1)
    return gram


class RowBasis:
    """Linearly independent equations equivalent to the normal equations of a design.

    Gradient flow sees ``X.T X`` and ``X.T y`` alone, so ``X beta = y`` may be replaced
    by ``rows @ beta = project(y)``, where `rows` has full row rank: X itself if it is
    well conditioned, otherwise its right singular vectors. The part of y out of reach
    is dropped. Singular values under ``max(n, d) * eps`` times the largest count as
    zero, NumPy's convention.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    """

    def __init__(self, X):
        n, d = X.shape
        self._left = None
        self.rows = X
        self.rank = n
        if n < d:
            self.gram = weighted_gram(X, np.ones(d))
            spectrum = eigvalsh(self.gram)
            # A Gram matrix squares the condition number: trust only a good one.
            if spectrum[0] > 1e-10 * spectrum[-1]:
                return
        if n > d:
            orthonormal, triangle = qr(X, mode="economic")
            left, values, right = _svd(triangle)
            left = orthonormal @ left
        else:
            left, values, right = _svd(X)
        self.rank = rank = int(np.sum(values > values[0] * max(n, d) * _EPS))
        self.rows = np.ascontiguousarray(right[:rank])
        self.gram = np.eye(rank)
        self._left, self._values = left[:, :rank], values[:rank]

    def project(self, y):
        """Return the right-hand side; exact zero if y is orthogonal to the columns."""
        if self._left is None:
            return y
        part = self._left.T @ y
        noise = 4 * _EPS * np.sqrt(len(y)) * np.linalg.norm(y)
        return part / self._values if np.linalg.norm(part) > noise else 0 * part

    def lift(self, nu):
        """Return the dual of the samples, with ``X.T @ lift(nu) == rows.T @ nu``."""
        return nu if self._left is None else self._left @ (nu / self._values)

    def drop(self, dual):
        """Return the dual of the rows, the inverse of `lift`."""
        return dual if self._left is None else self._values * (self._left.T @ dual)


def _svd(matrix):
    try:
        return svd(matrix, full_matrices=False)
    except LinAlgError:  # the divide-and-conquer driver may, rarely, give up
        return svd(matrix, full_matrices=False, lapack_driver="gesvd")


class GramSolver:
    """Solve ``(X diag(w) X.T + ridge) v = r`` for a sequence of weights.

    `ridge`, at rounding level of the trace, bounds the step in directions that the
    weights do not span. Large systems are solved by conjugate gradients on the full
    matrix, to a stated tolerance, with the best factorization at hand as the
    preconditioner: the last one if the weights hardly moved since, or that of the
    columns kept by screening. So screening changes the cost of an answer, never the
    answer.

    Screening sorts columns by ``w_i ||x_i||^2`` and keeps the largest. With ``eta`` the
    sum of the others, ``kept <= full <= kept + eta I``. If eta is below `ridge`, the
    kept columns are the matrix to rounding, and no iteration is made.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Full row rank.
    gram : ndarray of shape (n, n)
        Lower triangle of ``X @ X.T``: a first preconditioner.
    screening : bool, default=True
        Whether to avoid full factorizations where the size makes it worthwhile.

    Attributes
    ----------
    n_full, n_screened, n_iterations : int
        Factorizations of all columns, of screened columns, and iterations of
        conjugate gradients so far.
    """

    def __init__(self, X, gram, *, screening=True):
        n, d = X.shape
        self.X = X
        self.screening = screening and n * n * d > _SCREEN_ABOVE
        self.column_norms = np.einsum("ij,ij->j", X, X)
        self.n_full = self.n_screened = self.n_iterations = 0
        self._factor = None
        # One iteration reads X twice: about 32 n d operations' worth of time.
        self._max_iter = int(np.clip(n / 64, 4, 24))
        if self.screening:
            self.set_weights(np.ones(d))
            self._factorize(gram.copy())

    def set_weights(self, weights):
        """Choose the weights of the solves to come."""
        self.weights = weights
        self._traces = weights * self.column_norms
        self.ridge = 4 * _EPS * np.sum(self._traces)
        self._current = self._exact = False

    def solve(self, rhs, rtol=1e-8):
        """Return the solution; `rtol` bounds the preconditioned residual."""
        if self._exact:
            return cho_solve(self._factor, rhs, check_finite=False)
        if self.screening:
            if self._current or self._drift() < 0.7:
                solution = self._conjugate_gradients(rhs, rtol)
                if solution is not None:
                    return solution
            if not self._current and self._factor_screened():
                return self.solve(rhs, rtol)
        self._factorize(weighted_gram(self.X, self.weights))
        self._exact = True
        self.n_full += 1
        return cho_solve(self._factor, rhs, check_finite=False)

    def _drift(self):
        """Relative change of the matrix since it was factored, up to a factor."""
        old = self._factor_weights * self.column_norms
        new, old = self._traces / np.sum(self._traces), old / np.sum(old)
        return np.sum(np.abs(new - old))

    def _factor_screened(self):
        """Factor the heaviest columns, if few, plus the diagonal of the rest."""
        n, d = self.X.shape
        order = np.argsort(self._traces)[::-1]
        tails = np.cumsum(self._traces[order[::-1]])[::-1]  # from each rank on
        count = int(np.searchsorted(-tails, -1e-2 * tails[0]))
        count = max(2 * n, min(count, d // 8))
        if count > d // 3:
            return False
        kept = np.sort(order[:count])
        gram = weighted_gram(self.X[:, kept], self.weights[kept])
        rest = self.weights.copy()
        rest[kept] = 0.0
        gram[np.diag_indices(n)] += np.einsum("ij,ij,j->i", self.X, self.X, rest)
        self._factorize(gram)
        self._exact = bool(tails[count] < self.ridge)
        self.n_screened += 1
        return True

    def _factorize(self, gram):
        diagonal = np.diag_indices(len(gram))
        gram[diagonal] += self.ridge
        extra = self.ridge
        while True:
            try:
                self._factor = cho_factor(gram, lower=True, check_finite=False)
                break
            except LinAlgError:
                extra *= 100
                if not extra <= 1e-8 * np.sum(self._traces):
                    raise LimitError("A weighted Gram matrix is singular.") from None
                gram[diagonal] += extra
        self._factor_weights, self._current = self.weights, True

    def _conjugate_gradients(self, rhs, rtol):
        """Return the solution, or None if it takes too many iterations."""
        precondition = lambda r: cho_solve(self._factor, r, check_finite=False)
        solution, residual = np.zeros_like(rhs), rhs.copy()
        step = image = precondition(residual)
        energy = residual @ image
        goal = rtol**2 * energy
        for _ in range(self._max_iter):
            if energy <= goal:
                return solution
            self.n_iterations += 1
            product = self.X @ (self.weights * (self.X.T @ step)) + self.ridge * step
            length = energy / (step @ product)
            solution = solution + length * step
            residual = residual - length * product
            image = precondition(residual)
            energy, last = residual @ image, energy
            step = image + (energy / last) * step
        return solution if energy <= goal else None
