"""Random samples of known functions."""

from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from skregimes.datasets._checks import check_counts, check_noise

__all__ = ["make_curve", "make_relu_teacher", "make_sparse_classification"]

_QUADRATURE_NODES = 2**14


def make_curve(
    kind,
    n_samples=100,
    *,
    noise=0.1,
    design="uniform",
    random_state=None,
    return_function=False,
):
    """Draw noisy samples of a curve on [-1, 1].

    Each curve has mean 0 and variance 1 over the interval, so the signal-to-noise ratio
    is ``1 / noise**2`` in variances.

    Parameters
    ----------
    kind : {"smooth", "kinky", "step", "bumps", "doppler"}
        The curve:

        - "smooth": a sum of sines, the case for cubic splines;
        - "kinky": piecewise linear with five kinks, the case for linear splines;
        - "step": piecewise constant with four jumps;
        - "bumps": eleven narrow peaks (Donoho and Johnstone);
        - "doppler": oscillations ever faster to the left (Donoho and Johnstone).
    n_samples : int, default=100
        Number of samples, at least 1.
    noise : float, default=0.1
        Standard deviation of the Gaussian noise, in units of the curve's own.
    design : {"uniform", "grid"}, default="uniform"
        Where samples are: drawn at random, in random order, or equally spaced,
        increasing and with both ends.
    random_state : int, RandomState instance or None, default=None
        Draws the samples and the noise; the curves are fixed.
    return_function : bool, default=False
        Whether to return the curve too.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
        Inputs in [-1, 1].
    y : ndarray of shape (n_samples,)
        The curve plus noise.
    function : callable
        Only if `return_function`: the curve without noise, from inputs of shape (n, 1)
        or (n,) to (n,). Constant beyond [-1, 1].

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Donoho, Johnstone, "Ideal Spatial Adaptation by Wavelet Shrinkage", Biometrika 81,
    1994, Table 1.

    Examples
    --------
    >>> from skregimes.datasets import make_curve
    >>> X, y, function = make_curve(
    ...     "kinky", 20, noise=0.0, random_state=0, return_function=True
    ... )
    >>> X.shape, y.shape, bool((function(X) == y).all())
    ((20, 1), (20,), True)
    """
    if kind not in _CURVES:
        raise ValueError(f"kind must be one of {', '.join(_CURVES)}; got {kind!r}.")
    if design not in ("uniform", "grid"):
        raise ValueError(f'design must be "uniform" or "grid"; got {design!r}.')
    check_counts(n_samples=n_samples)
    check_noise(noise)
    random = check_random_state(random_state)
    if design == "uniform":
        X = random.uniform(-1, 1, (n_samples, 1))
    else:
        X = np.linspace(-1, 1, n_samples)[:, np.newaxis]
    curve = _CURVES[kind]
    values = curve((np.arange(_QUADRATURE_NODES) + 0.5) / _QUADRATURE_NODES)
    function = partial(_standard_curve, curve, values.mean(), values.std())
    y = function(X) + noise * random.standard_normal(n_samples)
    return (X, y, function) if return_function else (X, y)


def make_relu_teacher(
    n_samples=100,
    n_features=5,
    *,
    n_units=3,
    noise=0.1,
    random_state=None,
    return_function=False,
):
    """Draw noisy samples of a ReLU network with few units.

    ``y = scale * sum_j (-1)**j max(w_j . x, 0) - shift`` with unit vectors ``w_j``
    drawn uniformly: a function of few directions, which the rich regime can find and a
    kernel that favours none cannot. Inputs are standard normal, and the function has
    mean 0 and variance 1 over them, so the signal-to-noise ratio is ``1 / noise**2`` in
    variances.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples, at least 1.
    n_features : int, default=5
        Number of features, at least 2; for one see `make_curve`.
    n_units : int, default=3
        Number of units of the teacher, at least 1.
    noise : float, default=0.1
        Standard deviation of the Gaussian noise, in units of the function's own.
    random_state : int, RandomState instance or None, default=None
        Draws the teacher, then the samples and the noise.
    return_function : bool, default=False
        Whether to return the teacher too.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Standard normal inputs.
    y : ndarray of shape (n_samples,)
        The teacher plus noise.
    function : callable
        Only if `return_function`: the teacher without noise, from inputs of shape
        (n, n_features) to (n,).

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Chizat, Oyallon, Bach, "On Lazy Training in Differentiable Programming", NeurIPS
    2019, section 3.1, learns such teachers. The variance follows from the arc-cosine
    kernel of order 1 of Cho, Saul, "Kernel Methods for Deep Learning", NeurIPS 2009.

    Examples
    --------
    >>> from skregimes.datasets import make_relu_teacher
    >>> X, y = make_relu_teacher(50, 10, random_state=0)
    >>> X.shape, y.shape
    ((50, 10), (50,))
    """
    check_counts(n_samples=n_samples, n_units=n_units)
    check_counts(least=2, n_features=n_features)
    check_noise(noise)
    random = check_random_state(random_state)
    directions = random.standard_normal((n_units, n_features))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sign = np.where(np.arange(n_units) % 2 == 0, 1.0, -1.0)
    mean = sign.sum() / np.sqrt(2 * np.pi)
    # Angles by their halves: the arc cosine loses the small ones.
    pairs = directions[:, np.newaxis], directions
    sine, cosine = (np.linalg.norm(op(*pairs), axis=2) for op in (np.subtract, np.add))
    angle = 2 * np.arctan2(sine, cosine)
    # E max(w.x, 0) max(v.x, 0) for standard normal x
    moment = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    deviation = np.sqrt(sign @ moment @ sign - mean**2)
    function = partial(_teacher, directions, sign / deviation, mean / deviation)
    X = random.standard_normal((n_samples, n_features))
    y = function(X) + noise * random.standard_normal(n_samples)
    return (X, y, function) if return_function else (X, y)


def make_sparse_classification(
    n_samples=20,
    n_features=50,
    n_informative=3,
    *,
    noise=0.0,
    random_state=None,
):
    """Draw two classes apart by few of many features.

    Features are standard normal and the label is the sign of a sum over the first
    `n_informative` of them. With more features than samples the classes are separable
    by many directions, of which the sparse ones generalise: a case for the rich regime.

    Parameters
    ----------
    n_samples : int, default=20
        Number of samples, at least 1.
    n_features : int, default=50
        Number of features, at least 1.
    n_informative : int, default=3
        Number of features that decide, at least 1 and at most `n_features`.
    noise : float, default=0.0
        Standard deviation of Gaussian noise added to the sum before its sign is taken,
        in units of the sum's own: labels are wrong with probability
        ``arctan(noise) / pi``.
    random_state : int, RandomState instance or None, default=None
        Draws the features, row by row, then the noise.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Standard normal features.
    y : ndarray of shape (n_samples,), of int
        Labels, -1 and 1. They are equally likely, so that few samples may all have the
        same.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Moroshko et al., "Implicit Bias in Deep Linear Classification: Initialization Scale
    vs Training Accuracy", NeurIPS 2020, draws such data for its experiments.

    Examples
    --------
    >>> from skregimes.datasets import make_sparse_classification
    >>> X, y = make_sparse_classification(random_state=0)
    >>> X.shape, y.shape, bool((y * X[:, :3].sum(axis=1) > 0).all())
    ((20, 50), (20,), True)
    """
    check_counts(
        n_samples=n_samples, n_features=n_features, n_informative=n_informative
    )
    if n_informative > n_features:
        raise ValueError(
            f"n_informative must be at most n_features = {n_features}; got "
            f"{n_informative}."
        )
    check_noise(noise)
    random = check_random_state(random_state)
    X = random.standard_normal((n_samples, n_features))
    score = X[:, :n_informative].sum(axis=1) / np.sqrt(n_informative)
    score += noise * random.standard_normal(n_samples)
    return X, np.where(score > 0, 1, -1)


def _standard_curve(curve, mean, deviation, X):
    """Evaluate a curve on [-1, 1], centred and scaled; module level, so it pickles."""
    position = np.clip((np.reshape(X, -1) + 1) / 2, 0, 1)
    return (curve(position) - mean) / deviation


def _teacher(directions, weights, shift, X):
    return np.maximum(X @ directions.T, 0) @ weights - shift


# The curves before they are scaled, on [0, 1].


def _smooth(t):
    return np.sin(2 * np.pi * t) + 0.5 * np.sin(5 * np.pi * t) + np.cos(3 * np.pi * t)


def _kinky(t):
    places = [0.0, 0.15, 0.3, 0.5, 0.6, 0.8, 1.0]
    return np.interp(t, places, [0.0, 1.0, -1.0, -0.5, 1.5, 0.0, 0.5])


def _step(t):
    levels = np.array([0.0, 1.5, -1.0, 0.5, -0.5])
    return levels[np.searchsorted([0.15, 0.4, 0.6, 0.85], t, side="right")]


def _bumps(t):
    place = [0.1, 0.13, 0.15, 0.23, 0.25, 0.4, 0.44, 0.65, 0.76, 0.78, 0.81]
    height = [4.0, 5.0, 3.0, 4.0, 5.0, 4.2, 2.1, 4.3, 3.1, 5.1, 4.2]
    width = [0.005, 0.005, 0.006, 0.01, 0.01, 0.03, 0.01, 0.01, 0.005, 0.008, 0.005]
    distance = np.abs(np.subtract.outer(t, place)) / width
    return (1 + distance) ** -4 @ np.array(height)


def _doppler(t):
    return np.sqrt(t * (1 - t)) * np.sin(2.1 * np.pi / (t + 0.05))


_CURVES = {
    "smooth": _smooth,
    "kinky": _kinky,
    "step": _step,
    "bumps": _bumps,
    "doppler": _doppler,
}
