"""How far the layers of a deep linear network are from equal singular values."""

from itertools import pairwise

import numpy as np

from skregimes.diagnostics._inputs import finite

__all__ = ["balancedness"]


def balancedness(factors):
    """Return how unbalanced the factors of a product are.

    The largest ``|W_(j+1).T @ W_(j+1) - W_j @ W_j.T|_F`` over ``sum |W_j|_F**2``.
    Gradient flow conserves each of these differences, whatever the loss of the product
    and wherever it starts. So they stay what they were at the start, and their drift
    tells how true a solver is to the flow; weight decay makes them decay.

    Parameters
    ----------
    factors : list of arrays or tensors
        ``[W_1, ..., W_L]``, at least two, with ``W_L @ ... @ W_1`` the product.

    Returns
    -------
    float
        0 for balanced factors, at most 1.

    Raises
    ------
    ValueError
        If the factors cannot be multiplied or an entry is not finite.

    References
    ----------
    Arora, Cohen, Hazan, "On the Optimization of Deep Networks: Implicit Acceleration by
    Overparameterization", ICML 2018, Theorem 1.

    Examples
    --------
    >>> from skregimes.diagnostics import balancedness
    >>> balancedness([[[3.0, 4.0]], [[5.0]]])
    0.0
    >>> balancedness([[[3.0, 4.0]], [[0.0], [0.0]]])
    1.0
    """
    layers = [finite(f"factors[{j}]", factor) for j, factor in enumerate(factors)]
    if len(layers) < 2:
        raise ValueError(f"At least two factors are needed; got {len(layers)}.")
    for j, layer in enumerate(layers):
        if layer.ndim != 2 or (j and layer.shape[1] != len(layers[j - 1])):
            shapes = [layer.shape for layer in layers]
            raise ValueError(
                f"factors must be W_1, ..., W_L with W_L @ ... @ W_1; shapes {shapes}."
            )
    size = max(np.max(np.abs(layer)) for layer in layers)
    if size == 0:
        return 0.0
    layers = [layer / size for layer in layers]  # no square over- or underflows
    gaps = [
        np.linalg.norm(after.T @ after - before @ before.T)
        for before, after in pairwise(layers)
    ]
    return float(max(gaps) / sum(np.sum(layer**2) for layer in layers))
