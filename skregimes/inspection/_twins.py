"""What a network of one feature is compared with: splines, and its linearization."""

import numpy as np

from skregimes.limits import curvature_spline, kernel_flow, linear_spline
from skregimes.shallow_relu import ShallowReLURegressor

__all__ = ["TWINS", "check_twins", "twin"]

# Names in the legend.
TWINS = {
    "cubic": "least curvature",
    "smoothing": "smoothing spline",
    "linear": "linear spline",
    "lazy": "lazy twin",
}


def check_twins(twins):
    """Return the names of twins as a list, or say which ones there are."""
    names = [twins] if isinstance(twins, str) else list(twins)
    unknown = [name for name in names if name not in TWINS]
    if unknown:
        raise ValueError(
            f"twins must be some of {', '.join(map(repr, TWINS))}; got {unknown[0]!r}."
        )
    return names


def twin(name, inner, samples, places, target):
    """Return the values of a twin.

    Parameters
    ----------
    name : str
        One of ``TWINS``.
    inner : Innermost
        The network in its estimator.
    samples : tuple
        Features (n_samples, 1), targets (n_samples,) and weights or None.
    places : table of shape (n_places, 1)
        Where to evaluate it.
    target : int or None
        Which output of the network the targets are of; None if it has one.

    Returns
    -------
    ndarray of shape (n_places,)

    Raises
    ------
    ValueError
        If the network has no such twin.
    """
    X, y, weight = samples
    if name == "linear":
        line = linear_spline(np.asarray(X)[:, 0], y, sample_weight=weight)
        return line(np.asarray(places)[:, 0])
    net = inner.step
    if name == "cubic" and not isinstance(net, ShallowReLURegressor):
        spline = curvature_spline(np.asarray(X)[:, 0], y, sample_weight=weight)
        return spline(np.asarray(places)[:, 0])
    if not isinstance(net, ShallowReLURegressor):
        raise ValueError(
            f"Only a ShallowReLURegressor has the twin {name!r}, not "
            f"{type(net).__name__}; use 'cubic' or 'linear'."
        )
    Z, Z_new = (np.asarray(inner.seen(table)) for table in (X, places))
    if name == "lazy":
        return _lazy(net, (Z, y, weight), Z_new, target)
    lam = 0.0 if name == "cubic" else _total(y, weight) / max(_raw_time(net), 1e-300)
    spline = curvature_spline(
        Z[:, 0], y, _curvature_weight(net), lam=lam, sample_weight=weight
    )
    return spline(Z_new[:, 0])


def _curvature_weight(net):
    """Return the curvature weight of a network's kernel limit, its scale included."""
    reasons = {
        "balance > 0": net.balance > 0,
        "skip_connection=False": not net.skip_connection,
        "fit_intercept=False": not net.fit_intercept,
        "arrays as init": isinstance(net.init, tuple),
        "several features": net.n_features_in_ != 1,
    }
    for reason, holds in reasons.items():
        if holds:
            raise ValueError(
                f"With {reason} the kernel limit is not the spline of a law; use "
                "twins='lazy'."
            )
    return lambda place: 1 / net.curvature_penalty(place)


def _lazy(net, samples, Z_new, target):
    """Return the linearized network at the time at which the network stopped."""
    Z, y, weight = samples
    K = net.tangent_kernel(Z, at="init")
    K_new = net.tangent_kernel(Z_new, Z, at="init")
    start, start_new = (next(net.staged_predict(A, [0.0])) for A in (Z, Z_new))
    if K.ndim == 4:
        if net.balance > 0:
            raise ValueError(
                "With balance > 0 the linearized outputs depend on one another; draw "
                "the lazy twin of a fit to one target."
            )
        K, K_new = K[target, target], K_new[target, target]
    if target is not None:
        start, start_new = start[:, target], start_new[:, target]
    return kernel_flow(
        K,
        y,
        time=_raw_time(net),
        K_test=K_new,
        sample_weight=weight,
        start=start,
        start_test=start_new,
        skip=net._free_columns(Z),
        skip_test=net._free_columns(Z_new),
    )


def _raw_time(net):
    """Return the time at which a network stopped, of the flow in the paper's units."""
    return net.time_ * (net.time_unit_ if net.units == "relative" else 1.0)


def _total(y, weight):
    return len(y) if weight is None else np.sum(weight)
