"""What the tangent kernels share: scikit-learn's interface, and walking in tiles."""

from abc import abstractmethod
from inspect import signature
from numbers import Real

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from skregimes.kernels._pairs import Pairs, mirrored, polar

# Rows and columns of a tile: its ten or so temporaries stay in the processor's cache,
# and under the 128 KiB from which on malloc asks the system for new pages each time.
TILE = 120


class TangentKernel(Kernel):
    """A kernel of norms and angles of points.

    A subclass says in `_evaluate` what the kernel is on some pairs of points.
    """

    _remedy = "rescale X"

    def __call__(self, X, Y=None, eval_gradient=False):
        """Return the kernel of all pairs, and its gradient if asked for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            First points.
        Y : array-like of shape (n_other, n_features), default=None
            Second points; None means X, and then the matrix is exactly symmetric.
        eval_gradient : bool, default=False
            Whether to return the gradient in theta too, the logarithms of the
            hyperparameters that are not fixed. Only for ``Y=None``.

        Returns
        -------
        K : ndarray of shape (n_samples, n_other)
            The kernel.
        K_gradient : ndarray of shape (n_samples, n_samples, n_dims)
            Its derivatives, in the order of theta. Only if ``eval_gradient``.

        Raises
        ------
        ValueError
            If an argument or a parameter is out of its domain, or the kernel beyond all
            floating point numbers.
        """
        if eval_gradient and Y is not None:
            raise ValueError("Gradient can only be evaluated when Y is None.")
        same = Y is None or Y is X
        X = points(X, "X")
        Y = X if same else points(Y, "Y")
        if X.shape[1] != Y.shape[1]:
            raise ValueError(f"X has {X.shape[1]} features but Y has {Y.shape[1]}.")
        U, p = polar(X)
        V, q = (U, p) if same else polar(Y)
        n_features, radius = X.shape[1], max(p.max(initial=0), q.max(initial=0))
        self._check(n_features, radius)
        names = self._free() if eval_gradient else []
        K = np.empty((len(X), len(Y)))
        gradient = np.empty((*K.shape, len(names)))
        for rows in _tiles(len(X)):
            for columns in _tiles(len(Y)):
                if same and columns.start < rows.start:
                    continue  # filled by its mirror image
                pairs = Pairs.between(U[rows], p[rows], V[columns], q[columns])
                tile, slopes = self._finite(pairs, n_features, names)
                _fill(K, rows, columns, tile, same)
                for j, slope in enumerate(slopes):
                    _fill(gradient[..., j], rows, columns, slope, same)
        return (K, gradient) if eval_gradient else K

    def diag(self, X):
        """Return the kernel of each point with itself, without the full matrix.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        K_diag : ndarray of shape (n_samples,)
            The diagonal of ``self(X)``.
        """
        X = points(X, "X")
        p = polar(X)[1]
        self._check(X.shape[1], p.max(initial=0))
        return self._finite(Pairs.themselves(p), X.shape[1], [])[0]

    def is_stationary(self):
        """Return False: the kernel depends on more than differences of points.

        Returns
        -------
        stationary : bool
            False.
        """
        return False

    def __repr__(self):
        words = []
        for name, parameter in signature(type(self)).parameters.items():
            value = getattr(self, name)
            if name.endswith("_bounds"):
                continue
            if isinstance(value, Real) and not isinstance(value, bool):
                words.append(f"{name}={value:.3g}")
            elif repr(value) != repr(parameter.default):
                words.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"

    @abstractmethod
    def _evaluate(self, pairs, n_features, names):
        """Return the kernel of pairs, and its derivatives in ``log(name)``."""

    @abstractmethod
    def _check(self, n_features, radius):
        """Raise ValueError if a parameter is bad for points of norms up to radius."""

    def _finite(self, pairs, n_features, names):
        with np.errstate(over="ignore", invalid="ignore"):
            K, slopes = self._evaluate(pairs, n_features, names)
        if not all(np.isfinite(values).all() for values in (K, *slopes)):
            raise ValueError(
                f"{self!r} is too large for floating point numbers on these points:"
                f" {self._remedy}."
            )
        return K, slopes

    def _free(self):
        return [each.name for each in self.hyperparameters if not each.fixed]

    def _hyperparameter(self, name):
        """Return a hyperparameter, of which the logarithm must exist unless fixed."""
        value = getattr(self, name)
        result = Hyperparameter(name, "numeric", getattr(self, f"{name}_bounds"))
        if not result.fixed and not value > 0:
            raise ValueError(
                f"{name}={value} has no logarithm to optimize: give"
                f" {name}_bounds='fixed', or a positive {name}."
            )
        return result


def check_number(kernel, name, *, low=-np.inf, strict=False):
    """Raise ValueError unless a parameter is a finite number of at least ``low``."""
    value = getattr(kernel, name)
    good = np.isscalar(value) and not isinstance(value, str) and np.isfinite(value)
    if not good or value < low or (strict and value == low):
        wanted = "finite" if low == -np.inf else f"{'>' if strict else '>='} {low}"
        raise ValueError(f"{name} must be a number, {wanted}; got {value!r}.")


def check_count(kernel, name):
    """Raise ValueError unless a parameter is a whole number of at least one."""
    value = getattr(kernel, name)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1; got {value!r}.")


def check_choice(kernel, name, choices):
    """Raise ValueError unless a parameter is one of the choices."""
    value = getattr(kernel, name)
    if value not in choices:
        raise ValueError(f"{name} must be one of {sorted(choices)}; got {value!r}.")


def points(X, name):
    """Return finite points as a float64 matrix."""
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2:
        raise ValueError(
            f"{name} must be 2-D, a row a sample; its shape is {X.shape}."
            " One feature: X.reshape(-1, 1). One sample: X.reshape(1, -1)."
        )
    if X.shape[1] == 0:
        raise ValueError(f"{name} has no features; its shape is {X.shape}.")
    if not np.isfinite(X).all():
        raise ValueError(f"{name} contains NaN or infinity.")
    return X


def _tiles(n):
    return [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]


def _fill(whole, rows, columns, tile, mirror):
    """Write a tile into a matrix, and its mirror image if asked to."""
    if mirror and rows == columns:
        tile = mirrored(tile)
    elif mirror:
        whole[columns, rows] = tile.T
    whole[rows, columns] = tile
