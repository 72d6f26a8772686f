"""A new diagnostic: does the kernel know the target?

Cristianini, Shawe-Taylor, Elisseeff, Kandola, "On kernel-target alignment", NIPS 2001,
definition 2.
"""

import numpy as np


def target_alignment(kernel, target):
    """Return the cosine of a kernel and of the outer product of the target.

    It is 1 for a kernel that has learned the target and nothing else, and
    ``1 / sqrt(n_samples)`` for the identity, which tells nothing of one sample by
    another. In the kernel regime training leaves it where it was.

    Parameters
    ----------
    kernel : array-like of shape (n_samples, n_samples)
        Symmetric and positive semidefinite, such as a tangent kernel.
    target : array-like of shape (n_samples,)
        What was to be learned.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([1.0, -1.0, 1.0, 1.0])
    >>> print(target_alignment(np.outer(y, y), y), target_alignment(np.eye(4), y))
    1.0 0.5
    """
    kernel, target = np.asarray(kernel, float), np.asarray(target, float)
    if kernel.shape != (target.size, target.size):
        raise ValueError(
            f"A kernel of shape {kernel.shape} does not go with {target.size} targets."
        )
    size = np.linalg.norm(kernel) * (target @ target)
    if not size > 0:
        raise ValueError("The alignment of a zero kernel or target is not defined.")
    return float(target @ kernel @ target / size)
