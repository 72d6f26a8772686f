"""How rich a training run was, on a scale from 0 to 1."""

import numpy as np

from skregimes.diagnostics._inputs import finite_pair

__all__ = ["kernel_richness"]


def kernel_richness(K0, K1):
    """Return how much of two kernels is not common to them.

    ``|K1 - K0|_F / (|K0|_F + |K1|_F)``: 0 in the kernel regime, where the tangent
    kernel stays what it was, and towards 1 in the rich regime, where it outgrows or
    leaves its start. Unlike `kernel_change` it is bounded and symmetric.

    Parameters
    ----------
    K0, K1 : array or tensor of one shape, usually (n_samples, n_samples)
        The tangent kernel at the start and at the end of training. Where a part of the
        model is fitted exactly, such as an intercept, project it out of both.

    Returns
    -------
    float
        In [0, 1], dimensionless: 1 if only one of the kernels is zero, 0 if both are.

    Raises
    ------
    ValueError
        If the shapes differ or an entry is not finite.

    References
    ----------
    Chizat, Oyallon, Bach, "On Lazy Training in Differentiable Programming", NeurIPS
    2019, whose relative change of the kernel is normalised here by both ends.

    Examples
    --------
    >>> from skregimes.diagnostics import kernel_richness
    >>> kernel_richness([[1.0, 0.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]])
    0.6
    """
    start, end = finite_pair(K0=K0, K1=K1)
    size = max(np.max(np.abs(start)), np.max(np.abs(end)))
    if size == 0:
        return 0.0
    start, end = start / size, end / size  # no square overflows
    both = np.linalg.norm(start) + np.linalg.norm(end)
    return min(float(np.linalg.norm(end - start) / both), 1.0)
