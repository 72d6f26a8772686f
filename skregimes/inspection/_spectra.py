"""Spectra of estimators, arrays, trajectories and paths."""

import numpy as np

from skregimes.inspection._fitted import Innermost
from skregimes.inspection._kernels import is_symmetric

__all__ = [
    "attribute",
    "by_row",
    "first_of",
    "of_path",
    "of_trajectory",
    "sizes",
    "without_offsets",
]


def first_of(step):
    """Return the kind of the first spectrum that an estimator has."""
    has = {
        "singular_values": "singular_values_",
        "coef": "coef_",
        "eigenvalues": "tangent_kernel",
    }
    for what, found in has.items():
        if hasattr(step, found):
            return what
    raise ValueError(
        f"{type(step).__name__} has none of {', '.join(has.values())}; give arrays to "
        "SpectrumDisplay.from_results."
    )


def attribute(step, name):
    """Return an array that a fitted estimator has."""
    if not hasattr(step, name):
        raise ValueError(f"{type(step).__name__} has no {name}; choose another what.")
    return np.asarray(getattr(step, name), dtype=float)


def by_row(name, coef):
    """Return one spectrum, or one for each row where there are several."""
    rows = np.atleast_2d(coef)
    if len(rows) == 1:
        return {name: rows[0]}
    return {f"{name}, output {k}": row for k, row in enumerate(rows)}


def sizes(array, what):
    """Return sizes, decreasing, of values or of a matrix."""
    array = np.asarray(array, dtype=float)
    if array.size == 0 or not np.all(np.isfinite(array)):
        raise ValueError("A spectrum must hold finite numbers, at least one.")
    if array.ndim == 2 and what == "eigenvalues":
        if not is_symmetric(array):
            raise ValueError("Eigenvalues are of symmetric matrices.")
        # What rounding leaves of zero may be negative.
        array = np.maximum(np.linalg.eigvalsh(array), 0.0)
    elif array.ndim == 2 and what == "singular_values":
        array = np.linalg.svd(array, compute_uv=False)
    if array.ndim != 1:
        raise ValueError(
            f"An array of shape {array.shape} holds no spectrum of {what}; give 1-D "
            "values, one array a name."
        )
    return np.sort(np.abs(array))[::-1]


def without_offsets(step, matrix):
    """Return a table less a matrix estimator's offsets, holes filled by zeros."""
    if hasattr(step, "feature_scale_"):
        matrix = matrix / step.feature_scale_ - step.offset_ - step.row_bias_[:, None]
    elif hasattr(step, "col_bias_"):
        matrix = matrix - step.intercept_ - step.row_bias_[:, None] - step.col_bias_
    return np.where(np.isnan(matrix), 0.0, matrix)


def of_trajectory(path, n_times):
    """Return spectra by time, their kind, and what the names are."""
    what = "singular_values" if hasattr(path, "singular_values") else "coef"
    values = getattr(path, what, None)
    if values is None:
        raise ValueError(
            f"{type(path).__name__} holds neither singular values nor coefficients."
        )
    if np.ndim(values) == 3:
        if values.shape[1] > 1:
            raise ValueError(
                "This trajectory has several outputs; give {name: coefficients} "
                "instead."
            )
        values = values[:, 0]
    # The start is no more than its scale; log-spaced points follow.
    points = np.linspace(min(1, len(path) - 1), len(path) - 1, n_times)
    points = np.unique(points.round().astype(int))
    found = {f"{path.time[p]:.3g}": values[p] for p in points}
    return found, what, "time"


def of_path(path):
    """Return spectra by scale, their kind, and what the names are."""
    if path.estimators is not None:
        steps = [Innermost.of(fit).step for fit in path.estimators]
        if hasattr(steps[0], "singular_values_"):
            values = [step.singular_values_ for step in steps]
            names = [f"{scale:g}" for scale in path.init_scales]
            return (
                dict(zip(names, values, strict=True)),
                "singular_values",
                "init_scale",
            )
    if path.coefs is None:
        raise ValueError(
            "This path holds neither singular values nor coefficients; draw each "
            "kernel by from_estimator."
        )
    found: dict = {}
    for scale, coef in zip(path.init_scales, path.coefs[:, -1], strict=True):
        found |= by_row(f"{scale:g}", coef)
    return found, "coef", "init_scale"
