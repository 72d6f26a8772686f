"""Tangent kernels of fitted estimators, on samples that are ordered and thinned out."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import orth
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_consistent_length

from skregimes._arrays import as_array
from skregimes.inspection._fitted import Innermost
from skregimes.tangent._networks import free_columns

__all__ = [
    "KernelPair",
    "SampleOrder",
    "evenly",
    "is_symmetric",
    "kernel_pair",
    "projected",
    "single_kernel",
]


@dataclass(frozen=True, eq=False)
class KernelPair:
    """Kernels of a network at its start and at its end on the same samples.

    Parameters
    ----------
    kernels : tuple of two ndarrays
        In the shape in which the estimator gives them.
    X : ndarray of shape (n_samples, n_features)
        The samples as the network's estimator sees them.
    y : ndarray or None
        Their targets.
    rows : ndarray of shape (n_samples,)
        Which samples they are; of a table, which of its observed entries.
    columns : ndarray of shape (n_samples, n_columns) or None
        What the estimator fits outside its kernel.
    """

    kernels: tuple
    X: np.ndarray
    y: np.ndarray | None
    rows: np.ndarray
    columns: np.ndarray | None


def is_symmetric(K):
    """Return whether a matrix is square and symmetric, up to rounding."""
    if K.ndim != 2 or K.shape[0] != K.shape[1]:
        return False
    return np.allclose(K, K.T, rtol=1e-6, atol=1e-8 * np.max(np.abs(K), initial=0.0))


def evenly(order, count):
    """Return at most so many of an order's entries, evenly spread, both ends kept."""
    if count < 2:
        raise ValueError(f"max_samples must be at least 2; got {count}.")
    if len(order) <= count:
        return order
    return order[np.linspace(0, len(order) - 1, count).round().astype(int)]


def kernel_pair(estimator, X, y=None, *, order=None, max_samples=200):
    """Return the `KernelPair` of a fitted estimator.

    ``order`` takes the samples as the estimator sees them and the targets, and returns
    the order of the samples; None leaves it.

    Raises
    ------
    ValueError
        If the estimator has no tangent kernel, or X and y do not fit.
    """
    inner = Innermost.of(estimator)
    step = inner.step
    if not hasattr(step, "tangent_kernel"):
        raise ValueError(
            f"{type(step).__name__} has no tangent_kernel; give kernels to "
            "from_results."
        )
    X = inner.seen(as_array(X))
    if hasattr(step, "predict_entries"):  # of a table the samples are its entries
        X, y = _entries(step, X)
    samples = np.asarray(X)
    if y is not None:
        y = np.asarray(as_array(y))
        check_consistent_length(samples, y)
    rows = np.arange(len(samples)) if order is None else order(samples, y)
    rows = evenly(rows, max_samples)
    chosen = X.iloc[rows] if hasattr(X, "iloc") else samples[rows]
    kernels = tuple(step.tangent_kernel(chosen, at=at) for at in ("init", "end"))
    y = None if y is None else y[rows]
    return KernelPair(kernels, samples[rows], y, rows, _outside(step, chosen))


def _entries(step, X):
    """Return the places of a table's observed entries, and their values."""
    table = check_array(X, dtype=float, ensure_all_finite="allow-nan")
    hole = np.isnan(table)
    if not np.isnan(step.missing_values):
        hole = table == step.missing_values
    rows, cols = np.nonzero(~hole)
    return np.column_stack([rows, cols]), table[rows, cols]


def single_kernel(kernel, target=None):
    """Return one kernel, (n_samples, n_samples), of a kernel with several outputs.

    That of one output, or the mean over them.
    """
    kernel = np.asarray(kernel, dtype=float)
    if kernel.ndim == 4:  # outputs with weights in common: how each moves itself
        kernel = np.moveaxis(np.diagonal(kernel, axis1=0, axis2=1), -1, 0)
    if kernel.ndim == 2:
        if target not in (None, 0):
            raise ValueError(f"target={target!r}, but the kernel has one output.")
        return kernel
    if target is None:
        return kernel.mean(axis=0)
    if target not in range(len(kernel)):
        raise ValueError(f"target={target!r} is none of the {len(kernel)} outputs.")
    return kernel[target]


class SampleOrder:
    """Orders samples, and remembers by what.

    Parameters
    ----------
    step : estimator
        The network's.
    how : {"auto", "feature", "y"}
        What was asked for.
    """

    def __init__(self, step, how):
        self.step, self.how, self.found = step, how, how

    def __call__(self, X, y):
        """Return the order of samples."""
        if self.how == "auto":
            places = X.shape[1] == 1 or hasattr(self.step, "row_bias_")
            by_feature = y is None or (places and not is_classifier(self.step))
            self.found = "feature" if by_feature else "y"
        keys = [*X.T[::-1]]
        if self.found == "y":
            if y is None:
                raise ValueError("order='y' needs y.")
            columns = np.reshape(y, (len(y), -1)).T[::-1]
            # Labels may be of any kind that has an order.
            keys += [np.unique(column, return_inverse=True)[1] for column in columns]
        return np.lexsort(keys)


def _outside(step, X):
    """Return the columns that an estimator fits outside its kernel, None without."""
    step = getattr(step, "starts_", [step])[0]  # of a twin
    columns = free_columns(step, X)
    if getattr(step, "center", None) is not None:  # offsets are removed beforehand
        columns = np.ones((len(X), 1))
    return columns if columns.shape[1] else None


def projected(K, columns):
    """Return a kernel without what columns, fitted outside it, explain."""
    if columns is None:
        return K
    basis = orth(columns)
    K = K - basis @ (basis.T @ K)
    return K - (K @ basis) @ basis.T
