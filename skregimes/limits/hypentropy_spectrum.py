"""The spectrum that two-layer matrix sensing learns from commuting measurements."""

import numpy as np

from skregimes.limits._checks import check_scale
from skregimes.limits.min_q_norm import min_q_norm

__all__ = ["min_hypentropy_spectrum"]


def min_hypentropy_spectrum(A, y, scale):
    r"""Return the signed spectrum of the limit for commuting measurements.

    Measurements ``A_n = P @ diag(a_n) @ Q.T``, with the same orthonormal P and Q for
    all, see the signed spectrum m of ``M = P @ diag(m) @ Q.T`` alone. Gradient flow on
    the squared loss of ``M = U @ V.T`` from ``U @ U.T = V @ V.T = scale * I``, ``U @
    V.T = 0`` keeps this form, and ends at

        ``argmin sum(q(m))`` subject to ``A.T @ A @ m = A.T @ y``, with ``q(x) = scale *
        (z * arcsinh(z) - sqrt(1 + z**2) + 1)`` and ``z = x / scale``,

    the hypentropy: the nuclear norm as the scale falls, the Frobenius norm as it grows.

    Parameters
    ----------
    A : array-like of shape (n, d)
        Spectra ``a_n`` of the measurements, any rank.
    y : array-like of shape (n,) or (n, n_targets)
        Measured numbers; they need not be attainable.
    scale : float
        End-to-end scale of the start, positive: ``alpha**2`` for factors ``alpha * [I,
        0]`` and ``alpha * [0, I]``, and ``alpha**2 * width`` in the limit of wide
        Gaussian factors. If only one factor starts away from zero, ``V @ V.T = mu**2 *
        I``, it is ``mu**2 / 2``.

    Returns
    -------
    spectrum : ndarray of shape (d,) or (n_targets, d)
        Units of y over those of A.

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    LimitError
        A ``RuntimeError``: the limit could not be computed. The message says what to
        change.

    See Also
    --------
    min_q_norm : The same minimizer, of a diagonal net with ``init_scale = sqrt(scale /
        2)``; `q_norm` with that scale is the sum of q.

    References
    ----------
    Gunasekar et al., "Implicit Regularization in Matrix Factorization", NeurIPS 2017,
    Theorem 1 (commuting measurements). Woodworth et al., "Kernel and Rich Regimes in
    Overparametrized Models", COLT 2020 (matrix factorization). Ghai, Hazan and Singer,
    "Exponentiated Gradient Meets Gradient Descent", ALT 2020 (the hypentropy).

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_hypentropy_spectrum
    >>> A = np.array([[1.0, 2.0, 0.0, -1.0], [0.0, 1.0, 1.0, 3.0]])
    >>> y = np.array([1.0, 2.0])
    >>> small, large = (min_hypentropy_spectrum(A, y, scale) for scale in (1e-60, 1e6))
    >>> small.round(4) + 0.0
    array([0.    , 0.7143, 0.    , 0.4286])
    >>> large.round(4)
    array([0.2, 0.6, 0.2, 0.4])
    """
    return min_q_norm(A, y, np.sqrt(check_scale(scale, "scale") / 2))
