"""The linearized network: gradient flow under a kernel that stays what it was."""

import numpy as np

from skregimes.limits._checks import check_array
from skregimes.limits.kernel_spectrum import KernelSpectrum

__all__ = ["kernel_flow"]


def kernel_flow(
    K,
    y,
    *,
    time=None,
    K_test=None,
    skip=None,
    skip_test=None,
    sample_weight=None,
    start=None,
    start_test=None,
):
    r"""Return the function of a linearized network at any time, exactly.

    Gradient flow of ``sum(w * (f - y)**2) / (2 * sum(w))`` moves the function by ``f' =
    -K @ (w * (f - y)) / sum(w)`` for the tangent kernel K at initialization. In an
    eigenbasis of K the share ``1 - exp(-t * eigenvalue)`` of the target is fitted at
    time t. A skip connection, with columns P, is at its optimum all along: the flow of
    the loss after minimization over its coefficients, which are not penalized.

    Parameters
    ----------
    K : array-like of shape (n_samples, n_samples)
        Tangent kernel on the training samples, ``init_scale**2`` included; positive
        semidefinite, of any rank.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    time : float or array-like of shape (n_times,), default=None
        Flow times, in ``[0, inf]``; None means inf, the limit. Many times cost one
        eigendecomposition.
    K_test : array-like of shape (n_test, n_samples), default=None
        Kernel of the points to predict with the training samples; None means K.
    skip : array-like of shape (n_samples, n_columns), default=None
        Columns P of the skip connection, of any rank, such as X and ones. None means
        no skip connection.
    skip_test : array-like of shape (n_test, n_columns), default=None
        The same columns at the points to predict, needed if they are not the samples.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights w, not negative, not all zero. None means ones.
    start : array-like of the shape of y, default=None
        Function at time zero, without the skip connection; None means zeros.
    start_test : array-like of shape (n_test,) or (n_test, n_targets), default=None
        The same at the points to predict, needed if they are not the samples.

    Returns
    -------
    f : ndarray of shape (n_test,) or (n_test, n_targets)
        Function at the points to predict; for an array of times with a leading axis of
        length n_times.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    Notes
    -----
    Eigenvalues under ``n_samples`` roundings of the largest count as zero: along them
    nothing moves, at any time.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural Tangent Kernel", NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.kernels import shallow_relu_kernel
    >>> from skregimes.limits import kernel_flow
    >>> x, y = np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    >>> P = np.column_stack([x, np.ones(3)])
    >>> K = shallow_relu_kernel(x)
    >>> kernel_flow(K, y, skip=P, time=[0.0, 50.0, np.inf]).round(4)
    array([[0.3333, 0.3333, 0.3333],
           [0.1321, 0.7359, 0.1321],
           [0.    , 1.    , 0.    ]])
    """
    K, y = check_array(K, "K", (2,)), check_array(y, "y", (1, 2))
    n = len(y)
    if K.shape != (n, n) or not y.size:
        raise ValueError(f"K {K.shape} and y {y.shape} do not fit, or are empty.")
    times = np.inf if time is None else np.asarray(time, dtype=np.float64)
    if np.ndim(times) > 1 or not np.all(times >= 0):
        raise ValueError(f"time must be a number or 1-D, at least 0; got {time!r}.")
    if not np.allclose(K, K.T, rtol=1e-6, atol=1e-8 * np.max(np.abs(K), initial=0)):
        raise ValueError("K must be symmetric.")
    root = _root_weights(sample_weight, n)
    K_new = K if K_test is None else _check_rows(K_test, "K_test", n)
    start, start_new = _check_pair(
        "start", start, start_test, np.zeros_like(y), K_test is not None, len(K_new)
    )
    if start.shape != y.shape or start_new.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"start {start.shape} and start_test {start_new.shape} do not fit y"
            f" {y.shape}."
        )
    P, P_new = _check_pair(
        "skip", skip, skip_test, np.zeros((n, 0)), K_test is not None, len(K_new)
    )
    if P.ndim != 2 or len(P) != n or P_new.shape[1:] != P.shape[1:]:
        raise ValueError(
            f"skip {P.shape} and skip_test {P_new.shape} do not fit {n} samples."
        )

    target = (y - start).reshape(n, -1)
    spectrum = KernelSpectrum(K, target, P, root)
    dual = spectrum.dual(_integrated_decay(spectrum.eigenvalues, np.atleast_1d(times)))
    f = K_new @ dual + P_new @ spectrum.coef(dual)
    f = f.reshape(-1, len(K_new), *y.shape[1:]) + start_new
    return f if np.ndim(times) else f[0]


def _integrated_decay(eigenvalues, times):
    """Return ``(1 - exp(-t * eigenvalue)) / eigenvalue``, zero for eigenvalue zero."""
    seen = eigenvalues > 0
    rate = np.where(seen, eigenvalues, 1.0)
    with np.errstate(over="ignore"):  # inf is the right exponent then
        fitted = -np.expm1(-times[:, None] * rate)
    return np.where(seen, fitted / rate, 0.0)


def _root_weights(sample_weight, n_samples):
    """Return the square roots of the normalized weights."""
    if sample_weight is None:
        return np.full(n_samples, n_samples**-0.5)
    weight = check_array(sample_weight, "sample_weight", (1,))
    if len(weight) != n_samples:
        raise ValueError(
            f"sample_weight has {len(weight)} entries for {n_samples} samples."
        )
    if np.any(weight < 0) or not np.any(weight):
        raise ValueError("sample_weight must not be negative, nor zero throughout.")
    return np.sqrt(weight / weight.sum())


def _check_rows(values, name, n_columns):
    """Return a matrix of so many columns."""
    values = check_array(values, name, (2,))
    if values.shape[1] != n_columns:
        raise ValueError(f"{name} {values.shape} must have {n_columns} columns.")
    return values


def _check_pair(name, train, test, absent, elsewhere, n_test):
    """Return an argument at the samples and at the points to predict."""
    if train is None:
        if test is not None:
            raise ValueError(f"{name}_test needs {name}.")
        return absent, np.zeros((n_test, *absent.shape[1:]))
    train = check_array(train, name, (1, 2))
    if not elsewhere:
        if test is not None:
            raise ValueError(f"{name}_test needs K_test.")
        return train, train
    if test is None:
        raise ValueError(f"{name} with K_test needs {name}_test.")
    test = check_array(test, f"{name}_test", (1, 2))
    if len(test) != n_test:
        raise ValueError(f"{name}_test has {len(test)} rows; K_test has {n_test}.")
    return train, test
