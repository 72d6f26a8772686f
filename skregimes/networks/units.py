"""Hidden units: their activations, and the laws from which they are drawn."""

import numpy as np

from skregimes._activations import ACTIVATIONS

__all__ = ["ACTIVATIONS", "draw_units"]


def draw_units(law, n_hidden, n_features, bias_scale, random_state):
    """Draw weights and biases of the hidden units at unit scale.

    Parameters
    ----------
    law : {"stratified", "uniform", "gaussian", "uniform_pair"}
        "uniform": directions uniform on the sphere, biases uniform on
        ``[-bias_scale, bias_scale]``; "stratified": the same law, but one bias in each
        of ``n_hidden`` equal parts of the interval (for one feature: of each sign), so
        that the kernel of a finite network is nearer to its limit; "gaussian":
        standard normal weights, normal biases of deviation ``bias_scale``;
        "uniform_pair": weights uniform on [-1, 1], biases as in "uniform".
    n_hidden, n_features : int
        Sizes.
    bias_scale : float
        Scale of the biases.
    random_state : numpy.random.RandomState
        Source of the draw.

    Returns
    -------
    weights : ndarray of shape (n_hidden, n_features)
        Weights.
    biases : ndarray of shape (n_hidden,)
        Biases; a unit's kink is where ``weights @ x == biases``.
    """
    shape = (n_hidden, n_features)
    if law == "gaussian":
        return random_state.normal(size=shape), bias_scale * random_state.normal(
            size=n_hidden
        )
    if law == "uniform_pair":
        weights = random_state.uniform(-1, 1, shape)
    else:
        weights = random_state.normal(size=shape)
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    quantile = random_state.uniform(size=n_hidden)
    if law == "stratified":
        if n_features == 1:
            weights[:, 0] = np.where(np.arange(n_hidden) % 2, -1.0, 1.0)
            stratum = np.arange(n_hidden) // 2
            quantile = (stratum + quantile) / np.where(
                weights[:, 0] > 0, (n_hidden + 1) // 2, max(n_hidden // 2, 1)
            )
        else:
            stratum = random_state.permutation(n_hidden)
            quantile = (stratum + quantile) / n_hidden
    return weights, bias_scale * (2 * quantile - 1)
