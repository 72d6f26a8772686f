"""The tangent kernel of a shallow network, and its parts by layer.

Unit j of width m starts at ``(a_j, b_j) = alpha / sqrt(m) * (w_j, beta_j)``, with
output weight ``c_j = +-balance * norm((a_j, b_j))``, and adds ``c_j * sigma(a_j @ x -
b_j)``. As m grows the tangent kernel over ``alpha**2`` tends to `shallow_relu_kernel`.
"""

import numpy as np

from skregimes.kernels._laws import finite_number, hidden_part, law_of, output_part
from skregimes.kernels._pairs import Pairs, mirrored, polar

__all__ = ["hidden_kernel", "output_kernel", "shallow_relu_kernel"]


def shallow_relu_kernel(
    X, Y=None, *, law="uniform", bias_scale=None, balance=0.0, activation="relu"
):
    """Return the tangent kernel of an infinitely wide shallow ReLU network.

    ``output_kernel + balance**2 * hidden_kernel``, per unit ``init_scale**2``: the
    kernel with which gradient flow moves the network's function while it stays in the
    kernel regime.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or (n_samples,)
        First points; a 1-D array holds points of one feature.
    Y : array-like of shape (n_other, n_features) or (n_other,), default=None
        Second points; None means X.
    law : {"uniform", "gaussian", "constant_bias", "uniform_pair"}, default="uniform"
        Law of the unit-scale weights w and biases beta:

        - "uniform": w uniform on the unit sphere, beta uniform on ``[-L, L]``;
        - "gaussian": w standard normal, beta normal with standard deviation L;
        - "constant_bias": w standard normal, ``beta = L``, of any sign;
        - "uniform_pair": w uniform on ``[-1, 1]`` (one feature), beta on ``[-L, L]``.

    bias_scale : float, default=None
        L above, in units of X; at least the largest norm of a point for the uniform
        laws. None means that norm, over X and Y: give it where several calls must
        belong to one kernel.
    balance : float, default=0.0
        Norm of a unit's output weight over that of its hidden weights, at the start.
    activation : {"relu", "abs", "leaky_relu"}, default="relu"
        ``max(z, 0)``, ``abs(z)`` or ``max(z, 0.01 * z)``.

    Returns
    -------
    K : ndarray of shape (n_samples, n_other)
        Accurate to rounding also for points that nearly coincide.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural Tangent Kernel", NeurIPS 2018. Cho and Saul,
    "Kernel Methods for Deep Learning", NeurIPS 2009 ("gaussian"). Jin and Montufar,
    "Implicit Bias of Gradient Descent for Mean Squared Error Regression with Two-Layer
    Wide Neural Networks", JMLR 2023 (the uniform laws).

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.kernels import shallow_relu_kernel
    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> shallow_relu_kernel(x, bias_scale=2.0).round(4)
    array([[1.1667, 0.6875, 0.3333],
           [0.6875, 0.6667, 0.6875],
           [0.3333, 0.6875, 1.1667]])
    """
    where = {"law": law, "bias_scale": bias_scale, "activation": activation}
    K = output_kernel(X, Y, **where)
    if balance != 0:
        K += finite_number(balance, "balance") ** 2 * hidden_kernel(X, Y, **where)
    return K


def output_kernel(X, Y=None, *, law="uniform", bias_scale=None, activation="relu"):
    """Return the part of the tangent kernel that the output weights train.

    ``E[sigma(w @ x - beta) * sigma(w @ y - beta)]``: all of the kernel for a network
    that starts with zero output weights.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or (n_samples,)
        First points.
    Y : array-like of shape (n_other, n_features) or (n_other,), default=None
        Second points; None means X.
    law : {"uniform", "gaussian", "constant_bias", "uniform_pair"}, default="uniform"
        As in `shallow_relu_kernel`.
    bias_scale : float, default=None
        As in `shallow_relu_kernel`.
    activation : {"relu", "abs", "leaky_relu"}, default="relu"
        As in `shallow_relu_kernel`.

    Returns
    -------
    K : ndarray of shape (n_samples, n_other)
        Per unit ``init_scale**2``.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.kernels import output_kernel
    >>> output_kernel(np.eye(2), law="gaussian", bias_scale=1.0).round(4)
    array([[1.   , 0.609],
           [0.609, 1.   ]])
    """
    pairs, expectations = _problem(X, Y, law, bias_scale)
    K = output_part(expectations, pairs, activation)
    return mirrored(K) if Y is None else K


def hidden_kernel(
    X,
    Y=None,
    *,
    law="uniform",
    bias_scale=None,
    activation="relu",
    output_weights="balanced",
):
    """Return the part of the tangent kernel that hidden weights and biases train.

    ``(x @ y + 1) * E[c**2 * sigma'(w @ x - beta) * sigma'(w @ y - beta)]``, with the
    output weight c as follows.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or (n_samples,)
        First points.
    Y : array-like of shape (n_other, n_features) or (n_other,), default=None
        Second points; None means X.
    law : {"uniform", "gaussian", "constant_bias", "uniform_pair"}, default="uniform"
        As in `shallow_relu_kernel`.
    bias_scale : float, default=None
        As in `shallow_relu_kernel`.
    activation : {"relu", "abs", "leaky_relu"}, default="relu"
        As in `shallow_relu_kernel`.
    output_weights : {"balanced", "independent"}, default="balanced"
        "balanced" means ``c**2 = norm(w)**2 + beta**2``, a unit of which both layers
        have the same norm; "independent" means ``E[c**2] = 1`` whatever the unit, as
        in the usual neural tangent kernel.

    Returns
    -------
    K : ndarray of shape (n_samples, n_other)
        To be multiplied by ``balance**2``, or by the variance of independent output
        weights times the width, over ``init_scale**2``.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.kernels import hidden_kernel
    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> hidden_kernel(x, bias_scale=2.0, output_weights="independent").round(4)
    array([[1.   , 0.375, 0.   ],
           [0.375, 0.5  , 0.375],
           [0.   , 0.375, 1.   ]])
    """
    if output_weights not in ("balanced", "independent"):
        raise ValueError(
            f"output_weights must be 'balanced' or 'independent'; got"
            f" {output_weights!r}."
        )
    pairs, expectations = _problem(X, Y, law, bias_scale)
    K = hidden_part(expectations, pairs, activation, output_weights == "balanced")
    return mirrored(K) if Y is None else K


def _problem(X, Y, law, bias_scale):
    """Return all pairs of points and the expectations of the law."""
    X = _points(X, "X")
    Y = X if Y is None else _points(Y, "Y")
    if X.shape[1] != Y.shape[1]:
        raise ValueError(f"X has {X.shape[1]} features but Y has {Y.shape[1]}.")
    (U, p), (V, q) = polar(X), polar(Y)
    radius = max(p.max(initial=0), q.max(initial=0))
    L = bias_scale
    L = (radius or 1.0) if L is None else finite_number(L, "bias_scale")
    return Pairs.between(U, p, V, q), law_of(law, L, X.shape[1], radius)


def _points(X, name):
    """Return finite points as a float64 matrix; a vector is one feature."""
    X = np.asarray(X, dtype=np.float64)
    if X.ndim == 1:
        X = X[:, None]
    if X.ndim != 2:
        raise ValueError(f"{name} must be 1-D or 2-D; its shape is {X.shape}.")
    if not np.isfinite(X).all():
        raise ValueError(f"{name} contains NaN or infinity.")
    return X
