"""Relative change of a kernel."""

from skregimes.diagnostics._inputs import finite_pair, relative_change

__all__ = ["kernel_change"]


def kernel_change(K0, K1):
    """Return how much a tangent kernel moved, relative to its start.

    ``|K1 - K0|_F / |K0|_F``: 0 in the kernel regime, without bound in the rich one.

    Parameters
    ----------
    K0, K1 : array or tensor of one shape, usually (n_samples, n_samples)
        The kernel at the start and at the end of training.

    Returns
    -------
    float
        The relative change, dimensionless.

    Raises
    ------
    ValueError
        If the shapes differ, an entry is not finite, or ``K0`` is zero.

    References
    ----------
    Chizat, Oyallon, Bach, "On Lazy Training in Differentiable Programming", NeurIPS
    2019.

    Examples
    --------
    >>> from skregimes.diagnostics import kernel_change
    >>> kernel_change([[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 1.0]])
    1.414213562373095
    """
    start, end = finite_pair(K0=K0, K1=K1)
    return relative_change(start, end, "K0")
