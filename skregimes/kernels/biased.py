"""The tangent kernel of a shallow network whose units are rarely active."""

import numpy as np
from scipy.special import ndtr

from skregimes.kernels._kernel import TangentKernel, check_number, points
from skregimes.kernels._law_slopes import slope_of
from skregimes.kernels._laws import ConstantBias, hidden_part, output_part
from skregimes.kernels._pairs import polar

__all__ = ["BiasedReLUTangentKernel"]


class BiasedReLUTangentKernel(TangentKernel):
    r"""Tangent kernel of a wide shallow ReLU network whose biases all start at B.

    For ``f(x) = sum_j c_j * relu(w_j @ x - b_j) / sqrt(m)`` with w standard normal,
    ``b = B`` and independent signs c, the kernel of the hidden weights and biases is

    .. math::

       K(x, y) = (x \cdot y + 1)\, P(w \cdot x > B,\; w \cdot y > B) .

    Only a share ``Phi(-B / norm(x))`` of the units is active at x: a large bias makes
    the network sparse, and its kernel narrow around each point.

    Parameters
    ----------
    bias : float, default=1.0
        B, in units of the norm of a point.
    train_output : bool, default=False
        Whether the output weights move too, which adds ``E[relu(w @ x - B) * relu(w @ y
        - B)]``. The literature holds them fixed.
    bias_bounds : pair of floats > 0 or "fixed", default=(1e-5, 1e5)
        Bounds of ``bias`` when hyperparameters are optimized. A bias that is zero or
        negative must be "fixed".

    See Also
    --------
    ShallowReLUTangentKernel : Output weights as large as the hidden ones of their unit.

    References
    ----------
    Yang, Jiang, Zhang, Wang and Liang, "Convergence and Generalization of Wide Neural
    Networks with Large Bias", 2023. Owen, "Tables for computing bivariate normal
    probabilities", Annals of Mathematical Statistics 1956 (the probability).

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.svm import SVC
    >>> from skregimes.kernels import BiasedReLUTangentKernel
    >>> X, y = make_moons(100, noise=0.1, random_state=0)
    >>> kernel = BiasedReLUTangentKernel(1.0)
    >>> SVC(kernel=kernel, C=100.0).fit(X, y).score(X, y)
    1.0
    >>> kernel.active_fraction([[1.0, 0.0], [0.0, 0.5]]).round(4)
    array([0.1587, 0.0228])
    """

    def __init__(self, bias=1.0, *, train_output=False, bias_bounds=(1e-5, 1e5)):
        self.bias = bias
        self.train_output = train_output
        self.bias_bounds = bias_bounds

    @property
    def hyperparameter_bias(self):
        """The common bias."""
        return self._hyperparameter("bias")

    def active_fraction(self, X):
        """Return the share of the hidden units that are active at each point.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        fraction : ndarray of shape (n_samples,)
            ``Phi(-B / norm(x))``, between 0 and 1.
        """
        check_number(self, "bias")
        return ndtr(-self.bias / np.maximum(polar(points(X, "X"))[1], 1e-100))

    def _check(self, n_features, radius):
        check_number(self, "bias")

    def _evaluate(self, pairs, n_features, names):
        law = ConstantBias(self.bias, n_features)

        def whole(expectations):
            K = hidden_part(expectations, pairs, "relu", False)
            if self.train_output:
                K = K + output_part(expectations, pairs, "relu")
            return K

        return whole(law), [whole(slope_of(law)) for _ in names]
