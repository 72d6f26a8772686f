"""Kernels of infinitely wide shallow ReLU networks at their initialization.

Unit j of width m starts at ``(a_j, b_j) = alpha / sqrt(m) * (w_j, beta_j)``, with
output weight ``c_j = +-balance * norm((a_j, b_j))``, and adds ``c_j * sigma(a_j @ x -
b_j)``. As m grows the tangent kernel over ``alpha**2`` tends to `shallow_relu_kernel`.
"""

from functools import partial

import numpy as np
from scipy.linalg import norm
from scipy.spatial.distance import cdist
from scipy.special import gammaln, ndtr, owens_t

from skregimes._activations import ACTIVATIONS

__all__ = [
    "curvature_weight",
    "hidden_kernel",
    "output_kernel",
    "shallow_relu_kernel",
]


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
        K += _real(balance, "balance") ** 2 * hidden_kernel(X, Y, **where)
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
    X, Y, units = _problem(X, Y, law, bias_scale)
    low, jump = _slopes(activation)
    # sigma(z) = jump * relu(z) + low * z
    K = jump**2 * units.relu_relu(X, Y)
    if low != 0:
        K += jump * low * (units.relu_linear(X, Y) + units.relu_linear(Y, X).T)
        K += low**2 * units.linear_linear(X, Y)
    return K


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
    X, Y, units = _problem(X, Y, law, bias_scale)
    low, jump = _slopes(activation)
    weighted = output_weights == "balanced"
    both = units.both_active(X, Y, weighted)
    # sigma'(z) = jump * (z > 0) + low
    slopes = jump**2 * both
    if low != 0:
        one, other = units.active(X, weighted), units.active(Y, weighted)
        slopes += jump * low * (one[:, None] + other)
        slopes += low**2 * units.total(X, weighted)
    return (X @ Y.T + 1) * slopes


def curvature_weight(*, law="uniform", bias_scale, activation="relu"):
    r"""Return the curvature that an initial law affords at each place of the line.

    ``zeta(xi) = E[w**2 | knot at xi] * density of knots at xi``, with the knot ``beta /
    w`` of a unit. Trained in the kernel regime, a network of one feature with a skip
    connection minimizes :math:`\int f''(\xi)^2 / \zeta(\xi) \, d\xi`.

    Parameters
    ----------
    law : {"uniform", "gaussian", "constant_bias", "uniform_pair"}, default="uniform"
        As in `shallow_relu_kernel`, for one feature.
    bias_scale : float
        L of the law: positive, and not zero for "constant_bias".
    activation : {"relu", "abs", "leaky_relu"}, default="relu"
        It multiplies zeta by the square of its jump of slope.

    Returns
    -------
    zeta : callable
        From an array of places to an array of the same shape; per unit
        ``init_scale**2``. It pickles.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Jin and Montufar, JMLR 2023 (curvature penalties of common laws).

    Examples
    --------
    >>> from skregimes.kernels import curvature_weight
    >>> zeta = curvature_weight(law="uniform", bias_scale=2.0)
    >>> zeta([0.0, 1.5, 2.5])
    array([0.25, 0.25, 0.  ])
    """
    if law not in _ZETAS:
        raise ValueError(f"law must be one of {sorted(_ZETAS)}; got {law!r}.")
    L = _real(bias_scale, "bias_scale")
    if L == 0 or (L < 0 and law != "constant_bias"):
        raise ValueError(f"bias_scale must be positive; got {L:g}.")
    return partial(_weight, law=law, scale=L, factor=_slopes(activation)[1] ** 2)


def _weight(xi, *, law, scale, factor):
    """Evaluate ``factor * zeta`` of a law."""
    return factor * _ZETAS[law](np.asarray(xi, dtype=np.float64), scale)


def _zeta_constant_bias(xi, B):
    """Density of ``B / w`` times ``w**2``, zero where ``w`` is beyond all doubles."""
    w = np.abs(B) / np.maximum(np.abs(xi), np.abs(B) * 1e-3)
    return w**4 * np.exp(-(w**2) / 2) / (np.sqrt(2 * np.pi) * np.abs(B))


_ZETAS = {
    "uniform": lambda xi, L: np.where(np.abs(xi) <= L, 1 / (2 * L), 0.0),
    "uniform_pair": lambda xi, L: 1 / (8 * L) / np.maximum(np.abs(xi) / L, 1) ** 4,
    "gaussian": lambda xi, L: 2 / (np.pi * L * (1 + (xi / L) ** 2) ** 2),
    "constant_bias": _zeta_constant_bias,
}


class _BoundedBias:
    """Expectations for a bias uniform on ``[-L, L]``, and w of a symmetric law.

    They need the following moments: with ``w1, w2`` the components of w along two
    orthogonal directions, ``linear = E|w1|``, ``square = E[w1**2]``, ``cube =
    E|w1|**3``, ``mixed = E[|w1| * w2**2]``.
    """

    def __init__(self, L, n_features, linear, square, cube, mixed):
        self.L, self.n_features = L, n_features
        self.linear, self.square, self.cube, self.mixed = linear, square, cube, mixed

    def relu_relu(self, X, Y):
        gap = cdist(X, Y)
        curved = self.cube * gap**3 / (24 * self.L)
        return self.L**2 / 6 + self.square * (X @ Y.T) / 2 + curved

    def linear_linear(self, X, Y):
        return self.square * (X @ Y.T) + self.L**2 / 3

    def relu_linear(self, X, Y):
        return self.linear_linear(X, Y) / 2

    def both_active(self, X, Y, weighted):
        # Both are active for beta under the lower of w @ x and w @ y.
        gap = cdist(X, Y)
        if not weighted:
            return 1 / 2 - self.linear * gap / (4 * self.L)
        # E[norm(w)**2 * |w1|], then E[min(w @ x, w @ y)**3] by parts along x - y.
        normed = self.cube + (self.n_features - 1) * self.mixed
        squares = np.sum(X**2, axis=1)[:, None], np.sum(Y**2, axis=1)
        along = (squares[0] - squares[1]) ** 2
        safe = np.where(gap > 0, gap, 1)
        middle = cdist(X, -Y) ** 2
        # gap * (w @ (x + y))**2 * |w1| on average
        spread = self.cube * along / safe + self.mixed * (middle * gap - along / safe)
        cubes = -(3 * spread + self.cube * gap**3) / 8
        half = self.total(X, True) / 2
        return half + (cubes / 3 - normed * gap / 2) / (2 * self.L)

    def active(self, X, weighted):
        return np.full(len(X), self.total(X, weighted) / 2)

    def total(self, X, weighted):
        return self.n_features * self.square + self.L**2 / 3 if weighted else 1.0


class _ConstantBias:
    """Expectations for standard normal w and a constant bias B.

    With p and q the norms of two points, ``h = B / p``, ``k = B / q`` and their angle
    theta, which is computed from chords: arccos is blind near coincident points.
    """

    def __init__(self, B):
        self.B = B

    def _geometry(self, X, Y):
        # Any direction will do for a point at the origin, and any tiny sine for
        # coincident directions: the formulas have the right limits.
        p = np.maximum(norm(X, axis=1), 1e-100)[:, None]
        q = np.maximum(norm(Y, axis=1), 1e-100)
        U, V = X / p, Y / q[:, None]
        theta = 2 * np.arctan2(cdist(U, V), cdist(U, -V))
        sine, tangent = np.maximum(np.sin(theta), 1e-100), np.tan(theta / 2)
        return p, q, theta, sine, tangent

    def _edges(self, X, Y):
        """Return ``phi(h) * P(w @ y > B | w @ x = B)`` and the same for k."""
        p, q, _, sine, tangent = self._geometry(X, Y)
        h, k = self.B / p, self.B / q
        shift = -self.B * ((p - q) / sine) / (p * q)
        return (
            _density(h) * ndtr(shift - h * tangent),
            _density(k) * ndtr(-shift - k * tangent),
        )

    def _orthant(self, X, Y):
        """Return ``P(w @ x > B and w @ y > B)``."""
        p, q, _, sine, tangent = self._geometry(X, Y)
        h, k = self.B / p, self.B / q
        drift = (p - q) / sine
        beyond = owens_t(-h, drift / q + tangent) + owens_t(-k, -drift / p + tangent)
        return (ndtr(-h) + ndtr(-k)) / 2 - beyond

    def both_active(self, X, Y, weighted):
        both = self._orthant(X, Y)
        if not weighted:
            return both
        # E[w @ w * active] by Gaussian integration by parts
        p, q, *_ = self._geometry(X, Y)
        one, other = self._edges(X, Y)
        edges = self.B / p * one + self.B / q * other
        return (X.shape[1] + self.B**2) * both + edges

    def active(self, X, weighted):
        h = self.B / np.maximum(norm(X, axis=1), 1e-100)
        if not weighted:
            return ndtr(-h)
        return (X.shape[1] + self.B**2) * ndtr(-h) + h * _density(h)

    def total(self, X, weighted):
        return X.shape[1] + self.B**2 if weighted else 1.0

    def relu_relu(self, X, Y):
        p, q, theta, sine, _ = self._geometry(X, Y)
        h, k = self.B / p, self.B / q
        one, other = self._edges(X, Y)
        with np.errstate(over="ignore"):  # exp(-inf) is the right zero
            exponent = ((h - k) / sine) ** 2 / 2 + h * k / (2 * np.cos(theta / 2) ** 2)
        joint = np.sin(theta) / (2 * np.pi) * np.exp(-exponent)
        product = (np.cos(theta) + h * k) * self._orthant(X, Y)
        return p * q * (product + joint - k * one - h * other)

    def relu_linear(self, X, Y):
        p = np.maximum(norm(X, axis=1), 1e-100)
        share = ndtr(-self.B / p)
        mean = p * _density(self.B / p) - self.B * share
        return share[:, None] * (X @ Y.T) - self.B * mean[:, None]

    def linear_linear(self, X, Y):
        return X @ Y.T + self.B**2


class _GaussianBias(_ConstantBias):
    """Expectations for standard normal w and a bias of standard deviation L.

    The bias is the weight of a further, constant feature of value L.
    """

    def __init__(self, L):
        super().__init__(0.0)
        self.L = L

    def _lift(self, X):
        return np.column_stack([X, np.full(len(X), self.L)])

    def relu_relu(self, X, Y):
        return super().relu_relu(self._lift(X), self._lift(Y))

    def relu_linear(self, X, Y):
        return self.linear_linear(X, Y) / 2

    def linear_linear(self, X, Y):
        return X @ Y.T + self.L**2

    def both_active(self, X, Y, weighted):
        X, Y = self._lift(X), self._lift(Y)
        both = self._orthant(X, Y)
        if not weighted:
            return both
        # norm(w)**2 + beta**2 = v @ v + (L**2 - 1) * v_last**2 for standard normal v
        p, q, _, sine, tangent = self._geometry(X, Y)
        one, other = self.L / p, self.L / q
        last = (one**2 + other**2) * tangent - (one - other) ** 2 / sine
        excess = self.L**2 - 1
        return (X.shape[1] + excess) * both + excess * last / (2 * np.pi)

    def active(self, X, weighted):
        return np.full(len(X), self.total(X, weighted) / 2)

    def total(self, X, weighted):
        return X.shape[1] + self.L**2 if weighted else 1.0


def _density(z):
    """Return the standard normal density."""
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def _uniform(L, d):
    """Return the expectations for w uniform on the sphere of d dimensions."""
    linear = np.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / np.sqrt(np.pi)
    cube = np.exp(gammaln(d / 2) - gammaln((d + 3) / 2)) / np.sqrt(np.pi)
    mixed = (linear - cube) / (d - 1) if d > 1 else 0.0
    return _BoundedBias(L, d, linear, 1 / d, cube, mixed)


def _uniform_pair(L, d):
    """Return the expectations for w uniform on [-1, 1]."""
    if d != 1:
        raise ValueError(f"law='uniform_pair' needs one feature; X has {d}.")
    return _BoundedBias(L, 1, 1 / 2, 1 / 3, 1 / 4, 0.0)


_LAWS = {
    "uniform": _uniform,
    "uniform_pair": _uniform_pair,
    "gaussian": lambda L, d: _GaussianBias(L),
    "constant_bias": lambda L, d: _ConstantBias(L),
}


def _problem(X, Y, law, bias_scale):
    """Return both sets of points and the expectations of the law."""
    X = _points(X, "X")
    Y = X if Y is None else _points(Y, "Y")
    if X.shape[1] != Y.shape[1]:
        raise ValueError(f"X has {X.shape[1]} features but Y has {Y.shape[1]}.")
    if law not in _LAWS:
        raise ValueError(f"law must be one of {sorted(_LAWS)}; got {law!r}.")
    radius = max(norm(X, axis=1).max(initial=0), norm(Y, axis=1).max(initial=0))
    L = (radius or 1.0) if bias_scale is None else _real(bias_scale, "bias_scale")
    if law != "constant_bias" and not L > 0:
        raise ValueError(f"bias_scale must be positive; got {L:g}.")
    if law in ("uniform", "uniform_pair") and radius * (1 - 1e-12) > L:
        raise ValueError(
            f"law={law!r} needs bias_scale of at least the largest norm of X and Y,"
            f" {radius:g}; got {L:g}."
        )
    return X, Y, _LAWS[law](L, X.shape[1])


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


def _real(value, name):
    """Return a finite float."""
    value = float(value)
    if not np.isfinite(value):
        raise ValueError(f"{name} must be finite; got {value}.")
    return value


def _slopes(activation):
    """Return the slope for negative arguments and the jump of the slope at zero."""
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {sorted(ACTIVATIONS)}; got {activation!r}."
        )
    low, high = ACTIVATIONS[activation]
    return low, high - low
