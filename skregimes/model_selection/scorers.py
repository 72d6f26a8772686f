"""Scorers that say which regime a fit is in."""

import numpy as np
from sklearn.pipeline import Pipeline

__all__ = ["kernel_change_scorer", "network_of", "richness_scorer"]

_WRAPPED = ("best_estimator_", "regressor_", "estimator_")


def richness_scorer(estimator, X=None, y=None):
    """Return the richness of a fitted network: 0 is the kernel regime, 1 the rich one.

    Beside a score that counts, in the ``scoring`` of `GridSearchCV` with ``refit`` for
    that score, it puts the regime of each candidate into ``cv_results_``.

    Parameters
    ----------
    estimator : estimator
        Fitted, with the attribute ``richness_``, or a pipeline, a search or another
        wrapper of one.
    X : object, default=None
        Not used: the richness belongs to the fit.
    y : object, default=None
        Not used.

    Returns
    -------
    float
        The mean over targets, if each has a network of its own.

    Raises
    ------
    TypeError
        If there is no such attribute.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skregimes import DiagonalNetRegressor, richness_scorer
    >>> X, y = make_regression(40, 100, n_informative=3, random_state=0)
    >>> search = GridSearchCV(
    ...     DiagonalNetRegressor(early_stopping=False),
    ...     {"init_scale": [1e-3, 1.0, 100.0]},
    ...     scoring={"r2": "r2", "richness": richness_scorer},
    ...     refit="r2",
    ... ).fit(X, y)
    >>> search.cv_results_["mean_test_richness"].round(1)
    array([0.9, 0.7, 0. ])
    """
    return _attribute(estimator, "richness_")


def kernel_change_scorer(estimator, X=None, y=None):
    """Return the relative change of the tangent kernel of a fitted network.

    ``||K_T - K_0|| / ||K_0||`` on the training samples, near zero in the kernel regime.

    Parameters
    ----------
    estimator : estimator
        Fitted, with the attribute ``kernel_change_``, or a pipeline, a search or
        another wrapper of one.
    X : object, default=None
        Not used: the change belongs to the fit.
    y : object, default=None
        Not used.

    Returns
    -------
    float
        The mean over targets, if each has a network of its own.

    Raises
    ------
    TypeError
        If there is no such attribute.

    Examples
    --------
    >>> from skregimes import ShallowReLURegressor, kernel_change_scorer
    >>> from skregimes.datasets import make_curve
    >>> X, y = make_curve("smooth", 20, random_state=0)
    >>> net = ShallowReLURegressor(1e4, random_state=0, early_stopping=False)
    >>> kernel_change_scorer(net.fit(X, y)) < 1e-3
    True
    """
    return _attribute(estimator, "kernel_change_")


def network_of(estimator):
    """Return the fitted estimator inside pipelines, searches and other wrappers."""
    if isinstance(estimator, Pipeline):
        return network_of(estimator[-1])
    for name in _WRAPPED:
        inner = vars(estimator).get(name)
        if inner is not None:
            return network_of(inner)
    return estimator


def _attribute(estimator, name):
    network = network_of(estimator)
    if not hasattr(network, name):
        raise TypeError(
            f"{type(network).__name__} has no {name}: this scorer is for fitted "
            "networks, such as ShallowReLURegressor, and what wraps one."
        )
    return float(np.mean(getattr(network, name)))
