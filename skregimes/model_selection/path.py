"""Fits at many initial scales."""

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skregimes._arrays import as_array
from skregimes._sklearn import check_sample_weight
from skregimes.diagonal import DiagonalNetRegressor
from skregimes.flows.diagonal import DiagonalProblem, follow_scales, solve_limits
from skregimes.flows.rows import Rows
from skregimes.flows.units import log_alphas
from skregimes.model_selection._grids import check_grid, default_scales, scales_of
from skregimes.model_selection._staged import (
    flow_params,
    flow_step,
    of_targets,
    richness_at,
    staged,
)

__all__ = ["InitScalePath", "init_scale_path"]


@dataclass(frozen=True, eq=False)
class InitScalePath:
    """Fits at many scales and times.

    Parameters
    ----------
    init_scales : ndarray of shape (n_scales,)
        Scales, decreasing, in the units asked for.
    times : ndarray of shape (n_times,)
        Times in the same units; inf for the limit.
    coefs : ndarray of shape (n_scales, n_times, n_features) or None
        Coefficients in the units of the input; None if the fits are not linear.
    intercepts : ndarray of shape (n_scales, n_times) or None
        Intercepts; None if the fits are not linear.
    richness : ndarray of shape (n_scales, n_times)
        0 in the kernel regime, 1 in the rich one.
    alphas : ndarray of shape (n_scales,)
        The raw scales.
    estimators : list of n_scales estimators, default=None
        Fitted to the end of their flows; None where the path was computed without
        estimators.

    Notes
    -----
    Fits of an estimator are read off its trajectory: between its recorded points
    coefficients are interpolated, and so is the richness, to a few hundredths where it
    changes fast.

    For a 2-D y of estimators that give each target a network of its own, ``coefs``,
    ``intercepts`` and ``richness`` have an axis of targets after that of times, and
    ``alphas`` has it after that of scales. Of classifiers ``coefs`` and ``intercepts``
    have an axis of scores there (one for two classes), before calibration.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes import init_scale_path
    >>> X = np.random.default_rng(0).normal(size=(10, 30))
    >>> path = init_scale_path(X, X[:, 0], init_scales=[30.0, 1e-3])
    >>> path.coefs.shape
    (2, 1, 30)
    >>> path.richness[:, 0].round(2)
    array([0.05, 0.91])
    """

    init_scales: np.ndarray
    times: np.ndarray
    coefs: np.ndarray | None
    intercepts: np.ndarray | None
    richness: np.ndarray
    alphas: np.ndarray
    estimators: list | None = None

    def predict(self, X):
        """Predict with every fit, labels if the estimator is a classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_scales, n_times, n_samples) or (..., n_targets)
        """
        if self.estimators is not None:
            return np.array(
                [[*staged(fit, "predict", X, self.times)] for fit in self.estimators]
            )
        X = check_array(as_array(X), dtype=float)
        return np.asarray(self.coefs) @ X.T + np.asarray(self.intercepts)[..., None]


def init_scale_path(
    X,
    y,
    *,
    estimator=None,
    init_scales=None,
    times=None,
    sample_weight=None,
    depth=None,
    units=None,
    init_shape=None,
    standardize=None,
    fit_intercept=None,
    rtol=None,
    max_iter=None,
    n_jobs=None,
):
    """Fit networks at many initial scales.

    Without ``estimator`` the networks are diagonal ones: their limits of infinite time
    warm-start one another, and their flows are followed side by side. An ``estimator``
    is fitted once a scale. Either way one flow answers all times.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,)
        Target. An estimator that can takes several, (n_samples, n_targets).
    estimator : estimator, default=None
        Any estimator with the parameters ``init_scale``, ``max_time`` and
        ``early_stopping``, the method ``staged_predict``, and the attributes
        ``trajectory_`` and ``alpha_``. It is cloned. None is `DiagonalNetRegressor`,
        without an object for every scale.
    init_scales : array-like of shape (n_scales,), default=None
        Scales; None is 25 from 100 down to 1e-8 of relative ones, and for an
        ``estimator`` five from 30 to 1e-3, or from 0.01 to 1e-6 if it factorizes a
        matrix.
    times : array-like of shape (n_times,), default=None
        Stopping times; None is the limit of infinite time alone. With an ``estimator``
        inf may be among them, the end of the flow.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the squared errors.
    depth, units, init_shape, standardize, fit_intercept, rtol, max_iter : default=None
        As `DiagonalNetRegressor` takes them; None is its default. With an
        ``estimator`` they are its own and must not be given here.
    n_jobs : int, default=None
        Scales fitted in parallel, see `joblib.Parallel`; only with an ``estimator``.

    Returns
    -------
    InitScalePath

    Raises
    ------
    ValueError
        If the input makes no sense.
    TypeError
        If the estimator does not follow a flow.
    RuntimeError
        If a flow does not reach its last time within ``max_iter`` steps; an
        ``estimator`` warns by its own rules.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skregimes import DiagonalNetRegressor, init_scale_path
    >>> X, y = make_regression(20, 50, n_informative=3, random_state=0)
    >>> path = init_scale_path(X, y, init_scales=[10, 1e-4])
    >>> print(path.coefs.shape, path.richness[:, 0].round(2))
    (2, 1, 50) [0.19 0.92]

    Of any estimator, at several times:

    >>> net = DiagonalNetRegressor(depth=3)
    >>> path = init_scale_path(
    ...     X, y, estimator=net, init_scales=[10, 0.01], times=[1, 10, 100]
    ... )
    >>> print(path.predict(X).shape, path.estimators[1].regime_)
    (2, 3, 20) rich
    """
    settings = {
        "depth": depth,
        "units": units,
        "init_shape": init_shape,
        "standardize": standardize,
        "fit_intercept": fit_intercept,
        "rtol": rtol,
        "max_iter": max_iter,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    if estimator is None:
        if n_jobs is not None:
            raise ValueError(
                "n_jobs is for estimator=...; without one all scales are followed side "
                "by side."
            )
        settings = DiagonalNetRegressor(**given)
        return _diagonal_path(settings, X, y, init_scales, times, sample_weight)
    if given:
        raise ValueError(
            f"{', '.join(given)} must be set on the estimator: "
            "init_scale_path takes them only without one."
        )
    return _estimator_path(estimator, X, y, init_scales, times, sample_weight, n_jobs)


def _estimator_path(estimator, X, y, init_scales, times, sample_weight, n_jobs):
    """Fit a clone at each scale."""
    prefix, step = flow_step(estimator)
    if init_scales is None:
        scales = scales_of(step)
    else:
        scales = check_grid(init_scales, "init_scales")[::-1]
    times = check_grid(np.inf if times is None else times, "times", allow_inf=True)
    weight = {}
    if sample_weight is not None:
        weight[f"{prefix}sample_weight"] = sample_weight
    params = flow_params(prefix, estimator, times)
    fits = Parallel(n_jobs=n_jobs)(
        delayed(_fit)(
            clone(estimator).set_params(**params, **{f"{prefix}init_scale": scale}),
            X,
            y,
            weight,
        )
        for scale in scales.tolist()
    )
    steps = [flow_step(fit)[1] for fit in fits]
    richness = np.array([of_targets(step, richness_at, times) for step in steps])
    alphas = np.array([step.alpha_ for step in steps])
    coefs = intercepts = None
    if hasattr(steps[0], "coef_"):
        lines = [of_targets(step, _line_at, times) for step in steps]
        coefs = np.array([line[..., :-1] for line in lines])
        intercepts = np.array([line[..., -1] for line in lines])
    return InitScalePath(scales, times, coefs, intercepts, richness, alphas, fits)


def _fit(estimator, X, y, weight):
    return estimator.fit(X, y, **weight)


def _line_at(trajectory, times):
    """Return coefficients and intercept at times, (n_times, ..., n_features + 1)."""
    coef, intercept, *_ = trajectory.at(times)
    return np.concatenate([coef, intercept[..., None]], axis=-1)


def _diagonal_path(settings, X, y, init_scales, times, sample_weight):
    """Compute limits, each from the last one, or follow flows side by side."""
    settings._validate_params()
    X, y = validate_data(
        settings, as_array(X), as_array(y), dtype=float, y_numeric=True
    )
    weight = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if init_scales is None:
        scales = default_scales(settings.units, np.geomspace(100, 1e-8, 25))
    else:
        scales = check_grid(init_scales, "init_scales")[::-1]
    table = settings._table(X, y[:, None], weight)
    problems = diagonal_problems(settings, table, scales)
    if times is None:
        grid = np.array([np.inf])
        coefs = np.array([[end.coef] for (end,) in solve_limits(problems)])
    else:
        grid = check_grid(times, "times")
        coefs = _flow_path(settings, problems, grid)
    richness = [
        [problem.potentials[0].richness(coef) for coef in row]
        for problem, row in zip(problems, coefs, strict=True)
    ]
    coefs, intercepts = table.restore(coefs, 0)
    alphas = np.exp([problem.log_alpha[0] for problem in problems])
    return InitScalePath(scales, grid, coefs, intercepts, np.array(richness), alphas)


def _flow_path(settings, problems, times):
    """Coefficients at times of each scale's own flow, (n_scales, n_times, d)."""
    raw = np.array([problem.clock(settings.units)[0] * times for problem in problems])
    paths = follow_scales(
        problems,
        max_time=raw[:, [-1]],
        tol=0.0,
        rtol=settings.rtol,
        max_iter=settings.max_iter,
    )
    for (path,) in paths:
        check_flow(path)
    return np.array([path.coef(at) for (path,), at in zip(paths, raw, strict=True)])


def diagonal_problems(settings, table, scales):
    """Return one `DiagonalProblem` a scale, sharing reduced rows."""
    rows, depth = Rows.reduce(table.XT, table.Y, table.weight), settings.depth
    shape = settings._shape(len(table.XT))
    alphas = [
        log_alphas(rows, table.y_unit, depth, scale, settings.units) for scale in scales
    ]
    return [
        DiagonalProblem(rows, table.y_unit, depth, log_alpha, init_shape=shape)
        for log_alpha in alphas
    ]


def check_flow(path):
    """Refuse to go on with a path that broke off."""
    if path.status == "interrupted":
        raise KeyboardInterrupt
    if path.status in ("max_iter", "stalled"):
        raise RuntimeError(
            f"A flow broke off after {path.n_iter} steps. Increase max_iter or the "
            "relative tolerance, or leave out the smallest init_scales."
        )
