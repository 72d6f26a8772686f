"""Fits at many scales, and what they can show."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV

from skregimes._folds import shuffled_folds
from skregimes.inspection._fitted import Innermost
from skregimes.inspection._results import Results
from skregimes.model_selection._grids import check_grid, scales_of
from skregimes.model_selection._staged import last_step

__all__ = [
    "excess_norms",
    "fit_each",
    "of_target",
    "ordinals",
    "richness_of",
    "scale_grid",
    "scaled_step",
    "search",
    "vector_of",
]

_EXCESS = {
    "excess_l1_": "l1 norm",
    "excess_l2_": "squared l2 norm",
    "excess_l1_margin_": "l1 norm per margin",
    "excess_l2_margin_": "l2 norm per margin",
}


def scaled_step(estimator):
    """Return the prefix of the parameters of the step that has a scale, and it.

    Raises
    ------
    TypeError
        If there is none.
    """
    prefix, step = last_step(estimator)
    params = step.get_params(deep=False) if hasattr(step, "get_params") else {}
    if "init_scale" not in params:
        raise TypeError(
            "The estimator must have the parameter init_scale, or be a Pipeline whose "
            f"last step has; got {estimator!r}. What a fitted search has found is drawn"
            " by from_results."
        )
    return prefix, step


def scale_grid(step, init_scales, count=9):
    """Return scales, increasing; None is beyond both ends of the family's default."""
    if init_scales is None:
        known = scales_of(step)
        return np.geomspace(known.min() / 10, 3 * known.max(), count)
    return check_grid(init_scales, "init_scales")


def search(estimator, grid, X, y, scoring, cv, n_jobs):
    """Return the `Results` of a grid search; scorers that fail raise."""
    found = GridSearchCV(
        estimator,
        grid,
        scoring=scoring,
        refit=False,
        cv=shuffled_folds(cv, is_classifier(estimator)),
        n_jobs=n_jobs,
        error_score="raise",
    )
    return Results.read(found.fit(X, y).cv_results_)


def fit_each(estimator, prefix, scales, X, y, measure, n_jobs):
    """Return ``measure(fit)`` of a clone fitted at each scale.

    It is measured where it was fitted: some fits leave their data behind there.
    """
    return Parallel(n_jobs=n_jobs)(
        delayed(_measured)(
            clone(estimator).set_params(**{f"{prefix}init_scale": scale}), X, y, measure
        )
        for scale in scales.tolist()
    )


def _measured(estimator, X, y, measure):
    return measure(estimator.fit(X) if y is None else estimator.fit(X, y))


def of_target(values, target, axis=0):
    """Return values of one target, or class, along an axis of them.

    Raises
    ------
    ValueError
        If there are several and ``target`` chooses none.
    """
    count = np.shape(values)[axis]
    if target is None and count > 1:
        raise ValueError(
            f"There are {count} targets or classes: choose the one to draw by target=0 "
            f"to {count - 1}."
        )
    target = 0 if target is None else target
    if target not in range(count):
        raise ValueError(
            f"target={target!r} must be from 0 to {count - 1}; classes are numbered in "
            "the order of classes_."
        )
    return np.take(values, target, axis=axis)


def richness_of(fit, target):
    """Return the richness of a fitted estimator, whatever holds it."""
    richness = Innermost.of(fit).step.richness_
    return float(of_target(richness, target) if np.ndim(richness) else richness)


def ordinals(count):
    """Return the names of singular values."""
    return [f"singular value {k}" for k in range(1, count + 1)]


def vector_of(step, target):
    """Return singular values or coefficients of a fit, what they are, and their names.

    Raises
    ------
    ValueError
        If it has neither.
    """
    if hasattr(step, "singular_values_"):
        values = np.asarray(step.singular_values_)
        return values, "singular value", ordinals(len(values))
    if hasattr(step, "coef_"):
        coef = np.asarray(step.coef_)
        coef = of_target(coef, target) if coef.ndim > 1 else coef
        return coef, "coefficient", getattr(step, "feature_names_in_", None)
    raise ValueError(
        f"{type(step).__name__} has neither coefficients nor singular values to draw."
    )


def excess_norms(step, X, y, target):
    """Return by what share norms of a fitted step exceed the least ones, by name.

    Those per margin are nan where a fit does not separate the classes.

    Raises
    ------
    ValueError
        If none is known of it.
    """
    if hasattr(step, "excess_nuclear_norm"):
        args = (X,) if y is None else (X, y)
        return {"nuclear norm": step.excess_nuclear_norm(*args)}
    found = {}
    for attribute, name in _EXCESS.items():
        if hasattr(type(step), attribute):
            value = getattr(step, attribute, np.nan)
            found[name] = of_target(value, target) if np.ndim(value) else value
    if not found:
        raise ValueError(
            f"{type(step).__name__} knows no norm in excess of the least one."
        )
    return found
