"""How far the tangent kernel of a product moved, in closed form."""

import math
from dataclasses import dataclass

import numpy as np

from skregimes.networks.factors import kernel_inner

__all__ = ["KernelMotion", "kernel_motion"]


@dataclass(frozen=True)
class KernelMotion:
    """Tangent kernels on all entries of the matrix, at the start and later.

    Parameters
    ----------
    change : float
        ``|K - K_0| / |K_0|``.
    alignment : float
        Cosine between them.
    """

    change: float
    alignment: float

    @property
    def richness(self):
        """``change / (1 + change)``, 0 in the kernel regime and towards 1 beyond."""
        return 1.0 if math.isinf(self.change) else self.change / (1 + self.change)

    @property
    def angle(self):
        """Angle between them."""
        return math.acos(self.alignment)


def kernel_motion(start, end):
    """Compare the tangent kernels of two lists of factors of one shape."""
    size0, size = _size(start), _size(end)
    if size0 == 0 or size == 0:
        return KernelMotion(0.0 if size == size0 else (1.0 if size0 else math.inf), 1.0)
    start, end = ([W / scale for W in F] for F, scale in ((start, size0), (end, size)))
    norm0 = math.sqrt(kernel_inner(start, start))
    norm = math.sqrt(kernel_inner(end, end))
    if norm0 == 0 or norm == 0:
        return KernelMotion(math.inf, 1.0)
    cosine = min(kernel_inner(start, end) / (norm0 * norm), 1.0)
    # A kernel is of degree 2 (L - 1) in the factors.
    log_ratio = 2 * (len(start) - 1) * math.log(size / size0) + math.log(norm / norm0)
    if log_ratio > 300:
        return KernelMotion(math.inf, cosine)
    ratio = math.exp(log_ratio)
    # 1 - 2 cos ratio + ratio**2 without cancellation of the first two terms.
    change = math.sqrt((ratio - 1) ** 2 + 2 * ratio * (1 - cosine))
    return KernelMotion(change, cosine)


def _size(factors):
    return math.sqrt(sum(float(np.sum(np.square(W, dtype=float))) for W in factors))
