"""The curvature that an initial law of a shallow network affords along the line."""

from functools import partial

import numpy as np

from skregimes.kernels._laws import activation_slopes, finite_number

__all__ = ["curvature_weight"]


def curvature_weight(*, law="uniform", bias_scale, activation="relu"):
    r"""Return the curvature that an initial law affords at each place of the line.

    ``zeta(xi) = E[w**2 | knot at xi] * density of knots at xi``, with the knot ``beta /
    w`` of a unit. Trained in the kernel regime, a network of one feature with a skip
    connection minimizes :math:`\int f''(\xi)^2 / \zeta(\xi) \, d\xi`.

    Parameters
    ----------
    law : {"uniform", "gaussian", "constant_bias", "uniform_pair"}, default="uniform"
        As in `shallow_relu_kernel`, for one feature.
    bias_scale : float
        L of the law: positive, and not zero for "constant_bias".
    activation : {"relu", "abs", "leaky_relu"}, default="relu"
        It multiplies zeta by the square of its jump of slope.

    Returns
    -------
    zeta : callable
        From an array of places to an array of the same shape; per unit
        ``init_scale**2``. It pickles.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Jin and Montufar, JMLR 2023 (curvature penalties of common laws).

    Examples
    --------
    >>> from skregimes.kernels import curvature_weight
    >>> zeta = curvature_weight(law="uniform", bias_scale=2.0)
    >>> zeta([0.0, 1.5, 2.5])
    array([0.25, 0.25, 0.  ])
    """
    if law not in _ZETAS:
        raise ValueError(f"law must be one of {sorted(_ZETAS)}; got {law!r}.")
    L = finite_number(bias_scale, "bias_scale")
    if L == 0 or (L < 0 and law != "constant_bias"):
        raise ValueError(f"bias_scale must be positive; got {L:g}.")
    return partial(
        _weight, law=law, scale=L, factor=activation_slopes(activation)[1] ** 2
    )


def _weight(xi, *, law, scale, factor):
    """Evaluate ``factor * zeta`` of a law."""
    return factor * _ZETAS[law](np.asarray(xi, dtype=np.float64), scale)


def _zeta_constant_bias(xi, B):
    """Density of ``B / w`` times ``w**2``, zero where ``w`` is beyond all doubles."""
    w = np.abs(B) / np.maximum(np.abs(xi), np.abs(B) * 1e-3)
    return w**4 * np.exp(-(w**2) / 2) / (np.sqrt(2 * np.pi) * np.abs(B))


_ZETAS = {
    "uniform": lambda xi, L: np.where(np.abs(xi) <= L, 1 / (2 * L), 0.0),
    "uniform_pair": lambda xi, L: 1 / (8 * L) / np.maximum(np.abs(xi) / L, 1) ** 4,
    "gaussian": lambda xi, L: 2 / (np.pi * L * (1 + (xi / L) ** 2) ** 2),
    "constant_bias": _zeta_constant_bias,
}
