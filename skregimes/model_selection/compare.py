"""A network beside its kernels, its limit and plain models, cross-validated."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import check_cv, cross_validate
from sklearn.pipeline import Pipeline

from skregimes._arrays import as_array
from skregimes._base import FlowEstimator
from skregimes._folds import shuffled_folds
from skregimes.diagonal import DiagonalNetRegressor
from skregimes.diagonal_classifier import DiagonalNetClassifier
from skregimes.model_selection._baselines import (
    kernel_machine,
    linear_models,
    rich_limit,
)
from skregimes.model_selection.classifier_cv import DiagonalNetClassifierCV
from skregimes.model_selection.diagonal_cv import DiagonalNetRegressorCV
from skregimes.model_selection.scorers import network_of
from skregimes.tangent import TangentKernelRidge

__all__ = ["compare_regimes"]

_LIMIT = "rich limit"
_MODELS = (
    "network",
    "lazy twin",
    "trained kernel",
    _LIMIT,
    "kernel machine",
    "linear",
)
_SEARCHES: dict[type, Any] = {
    DiagonalNetRegressorCV: DiagonalNetRegressor,
    DiagonalNetClassifierCV: DiagonalNetClassifier,
}


def compare_regimes(
    estimator, X, y, *, cv=5, scoring=None, models=None, n_jobs=None, verbose=0
):
    """Cross-validate a network beside its kernels, its rich limit and plain models.

    All are fitted to the same folds, each tuned on the training part alone. The rows:

    - "network": the estimator as it is;
    - "lazy twin": kernel ridge in its tangent kernel at the initialisation. What the
      network does better than this is due to learning features;
    - "trained kernel": the same with the tangent kernel after training. Where it is as
      good as the network, the features are what training found;
    - "rich limit": where the flow ends from a vanishing scale, if that is known: the
      interpolator of least l1 norm or largest l1 margin of a diagonal network, the
      linear spline of a shallow one of one feature, the matrix of least nuclear norm;
    - a kernel machine with a radial kernel, tuned;
    - linear models with an l2 and an l1 penalty, tuned.

    Parameters
    ----------
    estimator : estimator
        A network of this package with a target, a pipeline that ends in one, or a
        search over one. It is cloned. The twins of a search are those of its estimator
        as it was given.
    X : array-like of shape (n_samples, n_features)
        Features, or what the network takes.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Target, or labels.
    cv : int, cross-validation generator or iterable, default=5
        Folds, see `sklearn.model_selection.check_cv`. Those of a number are shuffled,
        always alike, since curves and tables often come sorted.
    scoring : str, callable, list, tuple or dict, default=None
        As in `sklearn.model_selection.cross_validate`; None is R2, for classifiers the
        accuracy. A score that a model cannot give, such as one of probabilities of a
        kernel machine, is nan, with a warning.
    models : list of str, default=None
        Which of "network", "lazy twin", "trained kernel", "rich limit", "kernel
        machine" and "linear" to compare; None is all of them.
    n_jobs : int, default=None
        Fits in parallel, see `joblib.Parallel`.
    verbose : int or bool, default=0
        Print a line for each model that is done.

    Returns
    -------
    pandas.DataFrame or dict
        With a row for each model, named by the index: ``mean_test_score`` and
        ``std_test_score`` over the folds (with the names of several scores in place of
        ``score``), ``mean_fit_time`` and ``mean_score_time`` in seconds, and where they
        mean something ``richness`` and ``kernel_change``. Without pandas a dict of
        arrays, the names under "model".

    Raises
    ------
    TypeError
        If there is no network of this package in the estimator.
    ValueError
        If ``models`` names one that does not exist, or nothing is left to compare.

    See Also
    --------
    TangentKernelRidge : The twins by themselves.
    InitScaleSearchCV : A network tuned over its scale, to compare in its stead.

    Notes
    -----
    The rich limit interpolates: on noisy data a network that is stopped early is
    better. That of a classifier needs separable classes; else its row is nan, with a
    warning. The radial kernel machine
    and the linear models see standardised columns, or indicators of labels. Each
    "trained kernel" trains the network six times: once a fold of its own, and once on
    all of the training part.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes import DiagonalNetRegressor, compare_regimes
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 100))
    >>> y = X[:, :3].sum(axis=1) + 0.1 * rng.normal(size=60)
    >>> table = compare_regimes(
    ...     DiagonalNetRegressor(0.01), X, y, models=["network", "lazy twin", "linear"]
    ... )
    >>> table[["mean_test_score", "richness"]].round(2)
                          mean_test_score  richness
    model
    DiagonalNetRegressor             0.99      0.88
    lazy twin                        0.21      0.00
    ridge                            0.23       NaN
    lasso                            0.99       NaN
    """
    X, y = as_array(X), as_array(y)
    wrap, network = _take_apart(estimator)
    chosen = _candidates(estimator, wrap, network, X, y, models)
    classifier = is_classifier(estimator)
    splitter = check_cv(shuffled_folds(cv, classifier), y, classifier=classifier)
    splits = list(splitter.split(X, y))
    rows: list[dict] = []
    for name, model in chosen.items():
        try:
            found = cross_validate(
                clone(model),
                X,
                y,
                cv=splits,
                scoring=scoring,
                n_jobs=n_jobs,
                return_estimator=True,
            )
        except ValueError as error:
            # Where it exists is a matter of the data, such as separable classes.
            if not name.startswith(_LIMIT):
                raise
            reason = str(error).strip().splitlines()[-1]
            warnings.warn(
                f"No training part has a {name}, so its row is nan: {reason}",
                UserWarning,
                stacklevel=2,
            )
            rows.append({})
        else:
            rows.append(_row(found))
        if verbose:
            seconds = rows[-1].get("mean_fit_time", np.nan)
            print(f"[compare_regimes] {name}: {seconds:.2g} s a fit")  # noqa: T201
    return _table(list(chosen), rows)


def _take_apart(estimator):
    """Return what puts another model in the place of the network, and the network."""
    if isinstance(estimator, Pipeline):
        wrap, network = _take_apart(estimator[-1])
        name = estimator.steps[-1][0]
        rebuilt = lambda model: Pipeline([*estimator.steps[:-1], (name, wrap(model))])
        return rebuilt, network
    if isinstance(estimator, TransformedTargetRegressor):
        wrap, network = _take_apart(estimator.regressor)
        params = estimator.get_params(deep=False)
        rebuilt = lambda model: TransformedTargetRegressor(
            **{**params, "regressor": wrap(model)}
        )
        return rebuilt, network
    kind = _SEARCHES.get(type(estimator))
    if kind is not None:
        params, known = estimator.get_params(), kind().get_params().keys()
        plain = {name: params[name] for name in known & params.keys()}
        return lambda model: model, kind(**plain)
    inner = getattr(estimator, "estimator", None)
    if inner is not None and not isinstance(estimator, TangentKernelRidge):
        return _take_apart(inner)
    return lambda model: model, estimator


def _candidates(estimator, wrap, network, X, y, models):
    """Return the models to compare, by name."""
    models = _MODELS if models is None else models
    known = not isinstance(models, str) and set(models) <= set(_MODELS)
    if not known or not models:
        raise ValueError(
            f"models must be a list of some of {', '.join(_MODELS)}; got {models!r}."
        )
    if not isinstance(network, FlowEstimator):
        raise TypeError(
            "compare_regimes needs a network of this package, such as "
            "ShallowReLURegressor(), a pipeline that ends in one or a search over one; "
            f"got {estimator!r}."
        )
    TangentKernelRidge(network)._check_options()
    found = {}
    if "network" in models:
        found[type(network).__name__] = estimator
    for name, at in (("lazy twin", "init"), ("trained kernel", "end")):
        if name in models:
            found[name] = wrap(TangentKernelRidge(network, at=at, alpha="cv"))
    if _LIMIT in models:
        limit = rich_limit(network, _n_features(wrap, X, y), y)
        if limit is not None:
            found[f"{_LIMIT}: {limit[0]}"] = wrap(limit[1])
    if "kernel machine" in models:
        name, machine = kernel_machine(network)
        found[name] = wrap(machine)
    if "linear" in models:
        plain = linear_models(network, y)
        found |= {name: wrap(model) for name, model in plain.items()}
    if not found:
        raise ValueError(
            f"For {network!r} no rich limit is known: ask for other models."
        )
    return found


def _n_features(wrap, X, y):
    """Return how many features the network sees behind the steps of a pipeline."""
    before = wrap("passthrough")
    seen = X if before == "passthrough" else clone(before).fit_transform(X, y)
    return getattr(seen, "shape", np.shape(X))[1]


def _row(found):
    """Return the entries of a model's row."""
    row = {}
    for key, values in found.items():
        if key.startswith("test_"):
            row[f"mean_{key}"], row[f"std_{key}"] = np.mean(values), np.std(values)
    for name in ("fit_time", "score_time"):
        row[f"mean_{name}"] = np.mean(found[name])
    fits = [network_of(fit) for fit in found["estimator"]]
    for name in ("richness", "kernel_change"):
        values = [np.mean(getattr(fit, f"{name}_", np.nan)) for fit in fits]
        row[name] = np.mean(values)
    return row


def _table(names, rows):
    """Return the rows as a frame if there is pandas, else as a dict of columns."""
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = {key: np.array([row.get(key, np.nan) for row in rows]) for key in keys}
    try:
        import pandas as pd
    except ImportError:
        return {"model": np.array(names), **columns}
    return pd.DataFrame(columns, index=pd.Index(names, name="model"))
