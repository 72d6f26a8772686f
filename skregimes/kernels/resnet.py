"""The tangent kernel of a fully connected residual network."""

import numpy as np

from skregimes.kernels._homogeneous import Units
from skregimes.kernels._kernel import TangentKernel, check_count, check_number
from skregimes.kernels._pairs import Pairs

__all__ = ["ResNetTangentKernel"]


class ResNetTangentKernel(TangentKernel):
    r"""Tangent kernel of an infinitely wide, fully connected ReLU ResNet.

    The network has ``n_blocks`` residual blocks of residual scale :math:`\alpha`,

    .. math::

       h_0 = \frac{1}{\sqrt d} A x, \qquad
       h_l = h_{l-1} + \frac{\alpha}{\sqrt m} V_l\,
       \mathrm{relu}\Big(\sqrt{\tfrac{2}{m}}\, W_l h_{l-1}\Big), \qquad
       f(x) = \frac{1}{\sqrt m} u \cdot h_L

    with d features, m hidden units a layer, and all entries of A, V, W and u standard
    normal at the start. As m grows, :math:`\nabla f(x) \cdot \nabla f(y)` tends to this
    kernel. Its functions satisfy ``f(c * x) = c * f(x)`` for ``c > 0``: append a
    constant column to X for a network with a bias at its input.

    Parameters
    ----------
    n_blocks : int, default=4
        Number L of residual blocks, of two layers of weights each: the longest way
        through the network passes ``2 * n_blocks + 2`` layers of weights.
    residual_scale : float, default=0.5
        :math:`\alpha`, what a block is multiplied by before it is added. The literature
        takes ``n_blocks ** -g`` with g between 1/2 and 1; the signal grows by ``(1 +
        alpha**2) ** n_blocks``.
    train_ends : bool, default=True
        Whether A and u are trained; the literature holds them fixed.
    residual_scale_bounds : pair of floats > 0 or "fixed", default=(1e-5, 10.0)
        Bounds of ``residual_scale`` when hyperparameters are optimized.

    See Also
    --------
    ReLUTangentKernel : Without skip connections.

    Notes
    -----
    With :math:`\kappa_0 = (\pi - \theta) / \pi` and :math:`\kappa_1 = (\sin\theta +
    (\pi - \theta) \cos\theta) / \pi` at the angle :math:`\theta` of the hidden states,
    of which :math:`K_l` is the covariance and p, q the norms,

    .. math::

       K_0 = x \cdot y / d, \qquad K_l = K_{l-1} + \alpha^2 p q\, \kappa_1, \qquad
       T_l = (1 + \alpha^2 \kappa_0)\, T_{l-1}
             + \alpha^2 (p q\, \kappa_1 + K_{l-1} \kappa_0)

    The kernel is :math:`T_L` from :math:`T_0 = 0`; if the ends are trained, it is
    :math:`T_L + K_L` from :math:`T_0 = K_0`.

    References
    ----------
    Huang, Wang, Tao and Zhao, "Why Do Deep Residual Networks Generalize Better than
    Deep Feedforward Networks? A Neural Tangent Kernel Perspective", NeurIPS 2020.
    Belfer, Geifman, Galun and Basri, "Spectral Analysis of the Neural Tangent Kernel
    for Deep Residual Networks", JMLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from skregimes.kernels import ResNetTangentKernel
    >>> x = np.linspace(-1, 1, 20)
    >>> X = np.column_stack([x, np.ones(20)])
    >>> kernel = ResNetTangentKernel(4, residual_scale=0.5)
    >>> process = GaussianProcessRegressor(kernel, alpha=1e-3).fit(X, np.sin(3 * x))
    >>> process.kernel_
    ResNetTangentKernel(n_blocks=4, residual_scale=0.313)
    >>> process.predict([[0.5, 1.0]]).round(1)
    array([1.])
    """

    _remedy = "rescale X, or take a residual_scale nearer to n_blocks**-0.5"

    def __init__(
        self,
        n_blocks=4,
        residual_scale=0.5,
        *,
        train_ends=True,
        residual_scale_bounds=(1e-5, 10.0),
    ):
        self.n_blocks = n_blocks
        self.residual_scale = residual_scale
        self.train_ends = train_ends
        self.residual_scale_bounds = residual_scale_bounds

    @property
    def hyperparameter_residual_scale(self):
        """The factor of the residual blocks."""
        return self._hyperparameter("residual_scale")

    def _check(self, n_features, radius):
        check_count(self, "n_blocks")
        check_number(self, "residual_scale", low=0)

    def _evaluate(self, pairs, n_features, names):
        # Divided by norms, which grow alike at all points: only angles remain. A state
        # then is a mixture, with weight w, of the skipping state and the block's.
        square = self.residual_scale**2
        w = square / (1 + square)
        norms = pairs.p * pairs.q / n_features
        norms = norms * np.exp(self.n_blocks * np.log1p(square))
        rate = _Rate(w) if names else None
        T = (1 - pairs.deficit) * float(self.train_ends)
        if rate:
            rate.start(pairs)
        for _ in range(self.n_blocks):
            T, pairs = _block(T, pairs, w, rate)
        K = T + (1 - pairs.deficit) if self.train_ends else T
        if not rate:
            return K * norms, []
        growth = 2 * self.n_blocks * w
        of_K = rate.T - rate.deficit if self.train_ends else rate.T
        return K * norms, [(of_K + growth * K) * norms]


_UNITS = Units("relu")


def _block(T, pairs, w, rate):
    """Return the tangent kernel and the pairs of states after a block."""
    angle, sine = pairs.angle_and_sine
    slopes = _UNITS.slope_cosine(angle)
    deficit = _UNITS.value_deficit(pairs.deficit, angle, sine)
    own = (1 - deficit) + (1 - pairs.deficit) * slopes
    after = Pairs(pairs.p, pairs.q, (1 - w) * pairs.deficit + w * deficit)
    if rate:
        rate.through_block(T, pairs, after, angle_parts=(sine, slopes, deficit, own))
    return T * (1 - w + w * slopes) + w * own, after


class _Rate:
    """Derivatives in the log of the residual scale, block by block."""

    def __init__(self, w):
        self.w = w
        self.of_w = 2 * w * (1 - w)

    def start(self, pairs):
        self.T = np.zeros_like(pairs.deficit)
        self.deficit = np.zeros_like(pairs.deficit)
        self.angle = np.zeros_like(pairs.deficit)

    def through_block(self, T, pairs, after, angle_parts):
        sine, slopes, deficit, own = angle_parts
        w, of_w = self.w, self.of_w
        of_slopes = -self.angle / np.pi
        of_values = slopes * sine * self.angle  # of the deficit of the block's values
        of_own = (1 - pairs.deficit) * of_slopes - of_values - slopes * self.deficit
        self.T = self.T * (1 - w + w * slopes) + of_w * own + w * of_own
        self.T += T * (of_w * (slopes - 1) + w * of_slopes)
        self.deficit = (1 - w) * self.deficit + w * of_values
        self.deficit += of_w * (deficit - pairs.deficit)
        sine = after.angle_and_sine[1]
        zero = np.zeros_like(sine)
        self.angle = np.divide(self.deficit, sine, out=zero, where=sine > 0)
