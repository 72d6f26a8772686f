"""Relative change of the weights."""

from skregimes.diagnostics._inputs import finite_pair, relative_change

__all__ = ["weight_change"]


def weight_change(theta0, theta1):
    """Return how far the weights moved, relative to where they started.

    ``|theta1 - theta0| / |theta0|`` in the Euclidean norm over all weights.

    Parameters
    ----------
    theta0, theta1 : array or tensor of one shape
        All weights at the start and at the end of training.

    Returns
    -------
    float
        The relative change, dimensionless.

    Raises
    ------
    ValueError
        If the shapes differ, an entry is not finite, or ``theta0`` is zero.

    References
    ----------
    Chizat, Oyallon, Bach, "On Lazy Training in Differentiable Programming", NeurIPS
    2019.

    Examples
    --------
    >>> from skregimes.diagnostics import weight_change
    >>> weight_change([3.0, 4.0], [3.0, 9.0])
    1.0
    """
    start, end = finite_pair(theta0=theta0, theta1=theta1)
    return relative_change(start, end, "theta0")
