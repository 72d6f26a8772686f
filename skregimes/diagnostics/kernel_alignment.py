"""Angle between two kernels."""

import numpy as np

from skregimes.diagnostics._inputs import finite_pair

__all__ = ["kernel_alignment"]


def kernel_alignment(K0, K1):
    """Return the cosine of two kernels.

    ``<K0, K1>_F / (|K0|_F |K1|_F)``: 1 while a kernel only changes its size. In the
    rich regime it tends to a number that depends on the data, not to 0.

    Parameters
    ----------
    K0, K1 : array or tensor of one shape, usually (n_samples, n_samples)
        The kernels.

    Returns
    -------
    float
        The cosine, in [0, 1] for positive semidefinite kernels.

    Raises
    ------
    ValueError
        If the shapes differ, an entry is not finite, or a kernel is zero.

    References
    ----------
    Cristianini, Shawe-Taylor, Elisseeff, Kandola, "On Kernel-Target Alignment", NeurIPS
    2001, Definition 1.

    Examples
    --------
    >>> from skregimes.diagnostics import kernel_alignment
    >>> kernel_alignment([[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 4.0]])
    0.989949493661166...
    """
    units = []
    for name, kernel in zip(("K0", "K1"), finite_pair(K0=K0, K1=K1)):
        size = np.max(np.abs(kernel))
        if size == 0:
            raise ValueError(f"{name} is zero: it has no angle with anything.")
        kernel = kernel / size  # no square over- or underflows
        units.append(kernel / np.linalg.norm(kernel))
    return float(np.clip(np.sum(units[0] * units[1]), -1.0, 1.0))
