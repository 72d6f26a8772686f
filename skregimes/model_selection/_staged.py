"""What a search and a path ask of any estimator that follows a flow."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from skregimes.flows.trajectory import ClassifierTrajectory, interpolate

__all__ = [
    "flow_params",
    "flow_step",
    "last_step",
    "max_time",
    "of_targets",
    "richness_at",
    "staged",
]

_PARAMS = ("init_scale", "max_time", "early_stopping")
# Later than any flow of squared errors ends. None would let some of their solvers skip
# the way there. Classifiers do not, and may take longer than any float.
_AFTER_THE_END = 1e200


def last_step(estimator):
    """Return the prefix of the parameters of the last step of a pipeline, and it.

    Of another estimator no prefix, and the estimator.
    """
    if not isinstance(estimator, Pipeline):
        return "", estimator
    name, step = estimator.steps[-1]
    return f"{name}__", step


def flow_step(estimator):
    """Return the prefix of the parameters of the step that follows a flow, and it.

    Raises
    ------
    TypeError
        If neither the estimator nor the last step of a pipeline follows a flow.
    """
    prefix, step = last_step(estimator)
    params = step.get_params(deep=False) if hasattr(step, "get_params") else {}
    if not set(_PARAMS) <= set(params) or not hasattr(step, "staged_predict"):
        raise TypeError(
            "The estimator must have the parameters init_scale, max_time and "
            "early_stopping and the method staged_predict, as DiagonalNetRegressor "
            "has, or be a Pipeline whose last step is such an estimator; got "
            f"{estimator!r}. Where such an estimator is wrapped in another one, put "
            "the search inside: wrapper(InitScaleSearchCV(estimator))."
        )
    return prefix, step


def flow_params(prefix, estimator, times):
    """Return parameters of a fit whose flow passes all the times."""
    end = times[-1]
    if len(times) > 1 and not is_classifier(estimator):
        end = min(end, _AFTER_THE_END)
    return {f"{prefix}max_time": max_time(end), f"{prefix}early_stopping": False}


def max_time(time):
    """Return the parameter that stops a flow at a time: None at infinity."""
    return None if np.isinf(time) else float(time)


def staged(estimator, method, X, times=None):
    """Return answers at times, a generator; of a pipeline, those of its last step."""
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = estimator[:-1].transform(X)
        estimator = estimator[-1]
    return getattr(estimator, f"staged_{method}")(X, times)


def of_targets(step, value, times):
    """Values at times of a fit's trajectory, or of one trajectory a target."""
    if isinstance(step.trajectory_, list):
        return np.stack([value(each, times) for each in step.trajectory_], axis=1)
    return value(step.trajectory_, times)


def richness_at(trajectory, times):
    """Return the richness at times, (n_times,)."""
    if isinstance(trajectory, ClassifierTrajectory):
        return trajectory.richness_at(times)
    time, richness = trajectory.time, trajectory.richness
    before = np.searchsorted(time, times, "right") - 1
    if getattr(trajectory, "jumps", False) or np.all(time[before] == times):
        return richness[before]
    return interpolate(time, richness[:, None], times)[:, 0]
