"""Units in which a scale and a time mean the same for every data set.

The papers' ``alpha`` is raw: what it does depends on the units of y and on the number
of features. Here scales and times are measured by what the data ask for.
"""

import numpy as np

from skregimes.limits.potentials import DiagonalPotential, typical_ratio

__all__ = [
    "log_alphas",
    "log_frozen_time",
    "paper_to_relative",
    "relative_to_paper",
    "scale_unit",
    "time_unit",
]


def scale_unit(rows, depth):
    """Return the end-to-end scale ``alpha**depth`` in the middle of the transition.

    Parameters
    ----------
    rows : Rows
        The data.
    depth : int
        Depth of the network.

    Returns
    -------
    ndarray of shape (n_targets,)
        In the units of the coefficients; 1 where the data ask for nothing.
    """
    typical = rows.typical_coef
    return typical_ratio(depth) * np.where(typical > 0, typical, 1.0)


def relative_to_paper(init_scale, scale_unit, depth):
    """Return the papers' ``alpha`` of a relative scale.

    Parameters
    ----------
    init_scale : float or ndarray
        Relative scale: ``alpha**depth`` in units of ``scale_unit``.
    scale_unit : float or ndarray
        The fitted attribute ``scale_unit_``.
    depth : int
        Depth of the network.

    Returns
    -------
    float or ndarray
        ``(init_scale * scale_unit)**(1 / depth)``.

    Examples
    --------
    >>> from skregimes.flows.units import paper_to_relative, relative_to_paper
    >>> alpha = relative_to_paper(0.1, 0.025, depth=2)
    >>> print(f"{alpha:.3f} {paper_to_relative(alpha, 0.025, depth=2):.3f}")
    0.050 0.100
    """
    return np.exp((np.log(init_scale) + np.log(scale_unit)) / depth)


def paper_to_relative(alpha, scale_unit, depth):
    """Return the relative scale of the papers' ``alpha``.

    Parameters
    ----------
    alpha : float or ndarray
        Scale of the initial weights.
    scale_unit : float or ndarray
        The fitted attribute ``scale_unit_``.
    depth : int
        Depth of the network.

    Returns
    -------
    float or ndarray
        ``alpha**depth / scale_unit``, the inverse of `relative_to_paper`.

    Examples
    --------
    >>> from skregimes.flows.units import paper_to_relative
    >>> print(f"{paper_to_relative(0.05, 0.025, depth=2):.2f}")
    0.10
    """
    return np.exp(depth * np.log(alpha) - np.log(scale_unit))


def log_alphas(rows, y_unit, depth, init_scale, units):
    """Return logs of the papers' ``alpha``, (n_targets,), of a scale in ``units``.

    ``y_unit`` is what the targets of ``rows`` were divided by.
    """
    if units == "paper":
        return np.full(len(y_unit), np.log(init_scale))
    # In logs, since the unit of huge targets may overflow at a power.
    unit = np.log(scale_unit(rows, depth)) + np.log(y_unit)
    return (np.log(init_scale) + unit) / depth


def time_unit(rows, target, potential):
    """Return the flow time at which the fastest feature reaches its own-fit size.

    With the residual frozen at its start, feature ``i`` moves along ``s_i = rate_i t
    x_i.y``; the unit is the earliest time at which one reaches the largest one-feature
    least-squares coefficient (practical time: fits are chosen at 1 to 30 units).
    """
    pull = np.abs(rows.correlation[target])
    size = rows.marginal_coef[target]
    if size == 0:
        return 1.0
    return float(np.exp(log_frozen_time(potential, pull, size)))


def log_frozen_time(potential, pull, size):
    """Return the log of the first time at which frozen pulls make a coefficient so big.

    Parameters
    ----------
    potential : DiagonalPotential
    pull : ndarray of shape (..., n_features)
        Sizes of minus the gradient in the coefficients, not all zero.
    size : float
        Coefficient to reach from zero.
    """
    base = DiagonalPotential(potential.depth, potential.log_scale)
    dual = base.dual_of_theta(base.theta(np.full(pull.shape[-1], size)))
    with np.errstate(divide="ignore", over="ignore"):
        return float(np.min(np.log(dual) - base.log_rate - np.log(pull)))
