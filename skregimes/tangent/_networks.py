"""The networks behind a twin: their start, their kernel, what they leave free."""

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import has_fit_parameter

from skregimes._classification import plain_labels
from skregimes._sklearn import num_samples

__all__ = [
    "at_start",
    "draws_its_start",
    "fit_networks",
    "free_columns",
    "mean_kernel",
    "start_values",
    "target_of",
]

# A fit that ends before anything moves is the network at its start.
_AT_ONCE = 1e-100


def fit_networks(model, X, y, sample_weight, task):
    """Return the networks at their start, and those whose kernel is asked for."""
    shown = {"estimator": model, "X": X, "y": y}
    fit_params = {}
    if sample_weight is not None:
        if not has_fit_parameter(model.estimator, "sample_weight"):
            raise ValueError(
                f"{type(model.estimator).__name__} takes no sample_weight."
            )
        fit_params["sample_weight"] = sample_weight
        shown["metadata"] = fit_params
    task.call_on_fit_task_begin(**shown)
    drawn = _draws(model.estimator, 1 if model._infinite else int(model.n_seeds))
    starts = [at_start(each).fit(X, y, **fit_params) for each in drawn]
    networks = starts
    if model.at == "end":
        networks = [clone(each) for each in drawn]
        for each in networks:
            part = task.subcontext("network")
            with part.propagate_callback_context(each):
                part.call_on_fit_task_begin(**shown)
                each.fit(X, y, **fit_params)
            part.call_on_fit_task_end(**shown)
    task.call_on_fit_task_end(**shown)
    return starts, networks


def _draws(estimator, n_seeds):
    """Return clones that each draw their start once and for all."""
    params = estimator.get_params(deep=False)
    if not draws_its_start(estimator) or "random_state" not in params:
        return [clone(estimator)]  # it has nothing to draw
    state = params["random_state"]
    if n_seeds == 1 and state is not None:
        return [clone(estimator)]
    seeds = check_random_state(state).randint(np.iinfo(np.int32).max, size=n_seeds)
    return [clone(estimator).set_params(random_state=int(seed)) for seed in seeds]


def draws_its_start(estimator):
    """Return whether networks of an estimator start at random."""
    return getattr(estimator, "_draws_its_start", True)


def at_start(estimator):
    """Return a clone whose fit stops before anything moves."""
    wanted = {
        "max_time": _AT_ONCE,
        "early_stopping": False,
        "solver": "auto",
        "learning_rate": None,
        "batch_size": None,
        "warm_start": False,
        "verbose": 0,
    }
    params = estimator.get_params(deep=False)
    wanted = {name: value for name, value in wanted.items() if name in params}
    start = clone(estimator).set_params(**wanted)
    if hasattr(start, "set_callbacks"):
        start.set_callbacks()  # there is nothing to watch
    return start


def target_of(y, network):
    """Return what to fit: the target, or codes 1 and -1 of the classes."""
    if not is_classifier(network):
        return check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    codes = np.where(plain_labels(np.ravel(y))[:, None] == network.classes_, 1.0, -1.0)
    return codes[:, 1] if codes.shape[1] == 2 else codes


def start_values(starts, X, infinite):
    """Return the mean function at the start, (n_samples, n_outputs)."""
    if infinite:
        return np.zeros((num_samples(X), 1))  # signs of output weights cancel
    name = "decision_function" if is_classifier(starts[0]) else "predict"
    stages = [next(iter(getattr(net, f"staged_{name}")(X, [0.0]))) for net in starts]
    return np.mean(stages, axis=0).reshape(num_samples(X), -1)


def mean_kernel(networks, X, Y, at, infinite):
    """Return the mean tangent kernel of networks."""
    if infinite and draws_its_start(networks[0]):
        return networks[0]._mean_start_kernel(X, Y)
    total = np.array(networks[0].tangent_kernel(X, Y, at=at), dtype=np.float64)
    for network in networks[1:]:
        total += network.tangent_kernel(X, Y, at=at)
    return total / len(networks)


def free_columns(network, X):
    """Return the columns whose coefficients are always at their optimum."""
    if hasattr(network, "_free_columns"):
        return network._free_columns(X)
    return np.zeros((num_samples(X), 0))
