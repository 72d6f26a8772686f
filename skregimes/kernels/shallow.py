"""The tangent kernel of a shallow network with the laws of this package."""

from skregimes._activations import ACTIVATIONS
from skregimes.kernels._kernel import TangentKernel, check_choice, check_number
from skregimes.kernels._law_slopes import slope_of
from skregimes.kernels._laws import LAWS, check_law, hidden_part, output_part

__all__ = ["ShallowReLUTangentKernel"]


class ShallowReLUTangentKernel(TangentKernel):
    r"""Tangent kernel of an infinitely wide shallow ReLU network, with a law of biases.

    `shallow_relu_kernel` as a kernel of `sklearn.gaussian_process`: that of ``f(x) =
    sum_j c_j * sigma(a_j @ x - b_j)`` with ``(a_j, b_j) = (w_j, beta_j) / sqrt(m)`` and
    ``c_j = +-balance * norm((a_j, b_j))`` at the start. Gradient flow of
    `skregimes.ShallowReLURegressor` without skip connection and intercept is kernel
    regression with it as ``init_scale`` grows.

    Parameters
    ----------
    bias_scale : float, default=1.0
        Scale L of the biases, in units of X. For the uniform laws at least the largest
        norm of a point: give ``bias_scale_bounds`` that begin there.
    balance : float, default=1.0
        Norm of a unit's output weight over that of its hidden weights, at the start.
        With 0 (and ``balance_bounds="fixed"``) only output weights move at first, and
        functions are as smooth as cubic splines; with 1 they have kinks.
    law : {"gaussian", "uniform", "constant_bias", "uniform_pair"}, default="gaussian"
        Law of the unit-scale weights w and biases beta:

        - "gaussian": w standard normal, beta normal with standard deviation L;
        - "uniform": w uniform on the unit sphere, beta uniform on ``[-L, L]``;
        - "constant_bias": w standard normal, ``beta = L``;
        - "uniform_pair": w uniform on ``[-1, 1]`` (one feature), beta on ``[-L, L]``.

    activation : {"relu", "leaky_relu", "abs"}, default="relu"
        ``max(z, 0)``, ``max(z, 0.01 * z)`` or ``abs(z)``.
    bias_scale_bounds : pair of floats > 0 or "fixed", default=(1e-5, 1e5)
        Bounds of ``bias_scale`` when hyperparameters are optimized. A constant bias
        that is zero or negative must be "fixed".
    balance_bounds : pair of floats > 0 or "fixed", default=(1e-5, 1e5)
        Bounds of ``balance``; it must be "fixed" if it is zero or negative.

    See Also
    --------
    shallow_relu_kernel : The same as a function, for 1-D points too.
    ReLUTangentKernel : Any depth, and weights that do not depend on each other.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural Tangent Kernel", NeurIPS 2018. Jin and Montufar,
    "Implicit Bias of Gradient Descent for Mean Squared Error Regression with Two-Layer
    Wide Neural Networks", JMLR 2023 (the uniform laws).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.kernel_ridge import KernelRidge
    >>> from skregimes.kernels import ShallowReLUTangentKernel
    >>> X = np.linspace(-1, 1, 9).reshape(-1, 1)
    >>> kernel = ShallowReLUTangentKernel(1.0, law="uniform")
    >>> ridge = KernelRidge(alpha=1e-9, kernel=kernel).fit(X, np.abs(X.ravel()))
    >>> ridge.predict([[0.5]]).round(3)
    array([0.5])
    """

    def __init__(
        self,
        bias_scale=1.0,
        balance=1.0,
        *,
        law="gaussian",
        activation="relu",
        bias_scale_bounds=(1e-5, 1e5),
        balance_bounds=(1e-5, 1e5),
    ):
        self.bias_scale = bias_scale
        self.balance = balance
        self.law = law
        self.activation = activation
        self.bias_scale_bounds = bias_scale_bounds
        self.balance_bounds = balance_bounds

    @property
    def hyperparameter_bias_scale(self):
        """The scale of the biases."""
        return self._hyperparameter("bias_scale")

    @property
    def hyperparameter_balance(self):
        """The balance of the layers."""
        return self._hyperparameter("balance")

    def _check(self, n_features, radius):
        check_number(self, "bias_scale")
        check_number(self, "balance")
        check_choice(self, "activation", ACTIVATIONS)
        check_law(self.law, self.bias_scale, n_features, radius)

    def _evaluate(self, pairs, n_features, names):
        law, share = LAWS[self.law](self.bias_scale, n_features), self.balance**2

        def whole(expectations):
            K = output_part(expectations, pairs, self.activation)
            if share != 0:
                K = K + share * hidden_part(expectations, pairs, self.activation, True)
            return K

        slopes = {}
        if "bias_scale" in names:
            slopes["bias_scale"] = whole(slope_of(law))
        if "balance" in names:
            hidden = hidden_part(law, pairs, self.activation, True)
            slopes["balance"] = 2 * share * hidden
        return whole(law), [slopes[name] for name in names]
