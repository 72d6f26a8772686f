"""The tangent kernel of a fully connected network of any depth."""

import numpy as np

from skregimes._activations import ACTIVATIONS
from skregimes.kernels._homogeneous import Units
from skregimes.kernels._kernel import (
    TangentKernel,
    check_choice,
    check_count,
    check_number,
)
from skregimes.kernels._pairs import Pairs

__all__ = ["ReLUTangentKernel"]


class ReLUTangentKernel(TangentKernel):
    r"""Tangent kernel of an infinitely wide, fully connected ReLU network.

    The network has ``depth`` layers of weights,

    .. math::

       z_1 = \sqrt{v / d}\, W_1 x + \sqrt{b}\, \beta_1, \qquad
       z_{l+1} = \sqrt{v / m}\, W_{l+1} \sigma(z_l) + \sqrt{b}\, \beta_{l+1}, \qquad
       f(x) = z_{\text{depth}}

    with d features, m hidden units a layer, and all W and :math:`\beta` standard normal
    at the start and trained. As m grows, :math:`\nabla f(x) \cdot \nabla f(y)` tends to
    this kernel, and training by gradient flow is kernel regression with it. ``depth=2``
    is one hidden layer.

    Parameters
    ----------
    depth : int, default=2
        Number of layers of weights, at least 1 (a linear kernel). The same network is
        ``stax.serial(Dense, Relu, Dense)`` of neural-tangents for ``depth=2``, with
        ``W_std**2`` our ``weight_variance`` and ``b_std**2`` our ``bias_variance``, and
        ``NeuralTangentKernel(depth=1)`` of scikit-ntk, which counts hidden layers (see
        Notes).
    weight_variance : float, default=2.0
        Variance v of a weight times the number of inputs of its layer. 2 is He's: the
        size of the signal is the same in every layer of ReLUs, at any depth.
    bias_variance : float, default=0.1
        Variance b of a bias. Without biases (0, and
        ``bias_variance_bounds="fixed"``) the kernel is that of functions with ``f(c *
        x) = c * f(x)``, ``c > 0``.
    activation : {"relu", "leaky_relu", "abs"}, default="relu"
        ``max(z, 0)``, ``max(z, 0.01 * z)`` or ``abs(z)``; for the last the variance
        that keeps the size of the signal is 1.
    bias_init : {"normal", "zero"}, default="normal"
        "zero": biases start at zero instead, and are trained all the same.
    weight_variance_bounds : pair of floats > 0 or "fixed", default=(1e-5, 1e5)
        Bounds of ``weight_variance`` when hyperparameters are optimized.
    bias_variance_bounds : pair of floats > 0 or "fixed", default=(1e-5, 1e5)
        Bounds of ``bias_variance`` when hyperparameters are optimized.

    See Also
    --------
    ResNetTangentKernel : With skip connections.
    ShallowReLUTangentKernel : One hidden layer, and other laws of the biases.

    Notes
    -----
    scikit-ntk does not divide by d, fixes v at 2 except for 1 in the first layer,
    starts biases at zero, and divides by ``(D + 1) * (bias**2 + 1)``. Its kernel is
    that of ``ReLUTangentKernel(D + 1, bias_variance=bias**2, bias_init="zero")`` at
    ``X * sqrt(d / 2)``, over this divisor.

    Angles are computed from chords, so that nothing is lost where points nearly
    coincide; values are right to a few roundings of ``sqrt(K(x, x) * K(y, y))`` a
    layer.

    References
    ----------
    Cho and Saul, "Kernel Methods for Deep Learning", NeurIPS 2009 (equation 6). Jacot,
    Gabriel and Hongler, "Neural Tangent Kernel", NeurIPS 2018 (theorem 1). Lee et al.,
    "Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent",
    NeurIPS 2019. Arora et al., "On Exact Computation with an Infinitely Wide Neural
    Net", NeurIPS 2019 (equations 7 to 9).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.kernel_ridge import KernelRidge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skregimes.kernels import ReLUTangentKernel
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> X, y = (X - X.mean(axis=0)) / X.std(axis=0), y - y.mean()
    >>> ridge = KernelRidge(alpha=30.0, kernel=ReLUTangentKernel())
    >>> search = GridSearchCV(ridge, {"kernel__depth": [1, 2, 5]}).fit(X, y)
    >>> round(float(search.best_score_), 2)
    0.48
    """

    _remedy = "rescale X, or take a weight_variance nearer to 2 or a smaller depth"

    def __init__(
        self,
        depth=2,
        weight_variance=2.0,
        bias_variance=0.1,
        *,
        activation="relu",
        bias_init="normal",
        weight_variance_bounds=(1e-5, 1e5),
        bias_variance_bounds=(1e-5, 1e5),
    ):
        self.depth = depth
        self.weight_variance = weight_variance
        self.bias_variance = bias_variance
        self.activation = activation
        self.bias_init = bias_init
        self.weight_variance_bounds = weight_variance_bounds
        self.bias_variance_bounds = bias_variance_bounds

    @property
    def hyperparameter_weight_variance(self):
        """The variance of the weights."""
        return self._hyperparameter("weight_variance")

    @property
    def hyperparameter_bias_variance(self):
        """The variance of the biases."""
        return self._hyperparameter("bias_variance")

    def _check(self, n_features, radius):
        check_count(self, "depth")
        check_number(self, "weight_variance", low=0, strict=True)
        check_number(self, "bias_variance", low=0)
        check_choice(self, "activation", ACTIVATIONS)
        check_choice(self, "bias_init", ("normal", "zero"))

    def _evaluate(self, pairs, n_features, names):
        v, b, units = self.weight_variance, self.bias_variance, Units(self.activation)
        started = np.sqrt(b) if self.bias_init == "normal" else 0.0
        moved = b if self.bias_init == "zero" else 0.0  # b that the products lack
        rates = [_Rate(name, started) for name in names]

        before = pairs.scaled(np.sqrt(v / n_features))
        K = before.inner() + b
        for rate in rates:
            rate.start(before)
        for _ in range(self.depth - 1):
            pairs = before.lifted(started)
            for rate in rates:
                rate.through_layer(before, pairs, moved)
            angle, sine = pairs.angle_and_sine
            slopes = v * units.moment * units.slope_cosine(angle)
            deficit = units.value_deficit(pairs.deficit, angle, sine)
            for rate in rates:
                rate.through_units(units, angle, sine, slopes, K, v)
            grown = pairs.scaled(np.sqrt(v * units.moment))
            before = Pairs(grown.p, grown.q, deficit)
            K *= slopes
            K += before.inner()
            K += b
        for rate in rates:
            rate.through_layer(before, before.lifted(started), moved)
        return K, [rate.of_kernel for rate in rates]


class _Rate:
    """Derivatives in the log of one variance, layer by layer.

    Of the kernel, of the angles, and of the log norms p and q. A layer's bias is a
    constant feature appended to its inputs: a point gets a latitude psi, of which cos
    is ``norm before / norm after``, and the deficit of two points is ``1 - cos(psi_x -
    psi_y) + cos(psi_x) * cos(psi_y) * deficit before``.
    """

    def __init__(self, name, feature):
        self.weight = float(name == "weight_variance")
        self.bias = float(name == "bias_variance")
        self.feature = feature
        # of the log of the feature
        self.lift = self.bias / 2 if feature > 0 else 0.0

    def start(self, before):
        self.p = np.full_like(before.p, self.weight / 2)
        self.q = np.full_like(before.q, self.weight / 2)
        self.deficit = np.zeros_like(before.deficit)
        self.of_kernel = np.zeros_like(before.deficit)

    def through_units(self, units, angle, sine, slopes, K, v):
        self.deficit = units.slope_cosine(angle) * sine * self.angle
        bend = 2 * units.share / np.pi * v * units.moment
        self.of_kernel = slopes * (self.weight * K + self.of_kernel)
        self.of_kernel -= bend * self.angle * K
        self.p, self.q = self.p + self.weight / 2, self.q + self.weight / 2

    def through_layer(self, before, pairs, moved):
        one, sine_p, apart_p = self._latitude(before.p, pairs.p, self.p)
        other, sine_q, apart_q = self._latitude(before.q, pairs.q, self.q)
        self.p = self.lift + one**2 * apart_p
        self.q = self.lift + other**2 * apart_q
        turn = sine_q * other * apart_q - sine_p * one * apart_p
        rate = (sine_p * other - sine_q * one) * turn
        inside = sine_p**2 * apart_p + sine_q**2 * apart_q
        rate = rate + one * other * (inside * before.deficit + self.deficit)
        sine = pairs.angle_and_sine[1]
        self.angle = np.divide(rate, sine, out=np.zeros_like(rate), where=sine > 0)
        self.of_kernel += pairs.inner() * (self.p + self.q)
        self.of_kernel -= pairs.p * pairs.q * rate
        self.of_kernel += self.bias * moved

    def _latitude(self, before, after, rate):
        """Return cosine and sine of psi, and the rate of ``log(norm / feature)``."""
        alive = np.maximum(after, 1e-300)
        cosine = np.where(after > 0, before / alive, 1.0)
        return cosine, self.feature / alive * (after > 0), rate - self.lift
