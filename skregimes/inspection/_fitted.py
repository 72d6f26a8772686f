"""Fitted networks, out of whatever holds them: pipelines and searches."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skregimes.model_selection._staged import flow_step, last_step

__all__ = [
    "Innermost",
    "feature_names",
    "fits_of",
    "fitted",
    "named_weights",
    "scale_name",
]


def fitted(estimator, X, y, **fit_params):
    """Return the estimator if it is fitted, else a fitted clone."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        known = False
    else:
        known = True
    return estimator if known else clone(estimator).fit(X, y, **fit_params)


@dataclass(frozen=True)
class Innermost:
    """The last step within searches and pipelines.

    Parameters
    ----------
    step : estimator
        Fitted, neither a search nor a pipeline.
    before : list of transformers
        What samples go through on their way to it.
    """

    step: object
    before: list

    @classmethod
    def of(cls, estimator):
        """Find it in a fitted estimator."""
        before = []
        while True:
            if hasattr(estimator, "best_estimator_"):
                estimator = estimator.best_estimator_
            elif isinstance(estimator, Pipeline):
                if len(estimator) > 1:
                    before.append(estimator[:-1])
                estimator = estimator[-1]
            else:
                return cls(estimator, before)

    def seen(self, X):
        """Return samples as the last step sees them."""
        for transformer in self.before:
            X = transformer.transform(X)
        return X

    def can_look_back(self):
        """Return whether what the last step sees can be traced back to samples."""
        return all(hasattr(step, "inverse_transform") for step in self.before)

    def look_back(self, Z):
        """Return the samples that the last step sees so."""
        for transformer in reversed(self.before):
            Z = transformer.inverse_transform(Z)
        return Z


def feature_names(X):
    """Return the names of the columns of a table, or None."""
    columns = getattr(X, "columns", None)
    return None if columns is None else [str(name) for name in columns]


def named_weights(estimator, sample_weight):
    """Return weights under the name by which ``fit`` takes them."""
    if sample_weight is None:
        return {}
    # Of a search those of what it searches.
    prefix, _ = last_step(getattr(estimator, "estimator", estimator))
    return {f"{prefix}sample_weight": sample_weight}


def scale_name(estimator, before=""):
    """Return what a legend calls the network in an estimator, None without a scale."""
    step = Innermost.of(estimator).step
    scale, regime = getattr(step, "init_scale", None), getattr(step, "regime_", None)
    if scale is None:
        return None
    # Targets with a network each have a regime each.
    return f"{before}{scale:g}" + (f" ({regime})" if isinstance(regime, str) else "")


def fits_of(results, X, y, sample_weight=None):
    """Return the estimators fitted at each scale of a path or a search."""
    if hasattr(results, "cv_results_") and hasattr(results, "init_scales_"):
        return _fits_of_search(results, X, y, sample_weight)
    if not hasattr(results, "init_scales"):
        raise ValueError(
            "results must be an InitScalePath or a fitted InitScaleSearchCV; got "
            f"{type(results).__name__}. For an estimator use from_estimator."
        )
    if results.estimators is None:
        raise ValueError(
            "This path keeps no estimators; pass estimator=... to init_scale_path."
        )
    return results.estimators


def _fits_of_search(search, X, y, sample_weight):
    """Fit each scale up to its best time, as the search fits the best one."""
    if not hasattr(search, "estimator"):
        raise ValueError(
            f"{type(search).__name__} keeps no estimators; draw InitScaleSearchCV or "
            "the results of init_scale_path."
        )
    prefix, _ = flow_step(search.estimator)
    metric = search.refit if isinstance(search.refit, str) else "score"
    rows = search.cv_results_["params"]
    scores = np.nan_to_num(search.cv_results_[f"mean_test_{metric}"], nan=-np.inf)
    fits = []
    for scale in search.init_scales_:
        of_scale = [
            i for i, row in enumerate(rows) if row[f"{prefix}init_scale"] == scale
        ]
        best = max(of_scale, key=lambda i: scores[i])
        params = {**rows[best], f"{prefix}early_stopping": False}
        weights = named_weights(search.estimator, sample_weight)
        fits.append(clone(search.estimator).set_params(**params).fit(X, y, **weights))
    return fits
