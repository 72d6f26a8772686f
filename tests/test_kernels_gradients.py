"""Gradients of the tangent kernels in their hyperparameters, by differences."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skregimes.kernels import (
    BiasedReLUTangentKernel,
    ReLUTangentKernel,
    ResNetTangentKernel,
    ShallowReLUTangentKernel,
)

ACTIVATIONS = ["relu", "leaky_relu", "abs"]


def hostile_points(n_features):
    """The origin, and points that coincide, oppose, nearly so, and share a ray."""
    rng = np.random.default_rng(n_features)
    x, y, turn = rng.uniform(0.5, 1.5, (3, n_features)) * [[1.0], [-1.0], [1.0]]
    points = [np.zeros(n_features), x, x, x + 1e-9 * turn, x + 1e-5 * turn, 2 * x]
    return np.array([*points, -x, -x + 1e-7 * turn, y, -0.5 * y, turn])


def by_differences(kernel, points, step=3e-4):
    """Derivatives in theta, to fourth order in the step."""

    def along(axis):
        at = lambda k: kernel.clone_with_theta(kernel.theta + k * step * axis)(points)
        return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)

    return np.stack([along(axis) for axis in np.eye(kernel.n_dims)], axis=-1)


KERNELS = [
    *[
        ReLUTangentKernel(depth, 1.4, b, activation=activation, bias_init=start)
        for depth in (1, 2, 5)
        for b in (0.2, 1e-4)
        for activation in ACTIVATIONS
        for start in ("normal", "zero")
    ],
    *[
        ReLUTangentKernel(3, 1.4, 0.0, activation=a, bias_variance_bounds="fixed")
        for a in ACTIVATIONS
    ],
    ReLUTangentKernel(3, 1.4, 0.2, weight_variance_bounds="fixed"),
    *[
        ResNetTangentKernel(n_blocks, scale, train_ends=ends)
        for n_blocks in (1, 5)
        for scale in (0.01, 0.5, 2.0)
        for ends in (True, False)
    ],
    *[
        BiasedReLUTangentKernel(bias, train_output=output)
        for bias in (0.3, 1.5)
        for output in (True, False)
    ],
    *[
        ShallowReLUTangentKernel(scale, 0.7, law=law, activation=activation)
        for law, scale in (
            ("gaussian", 1.0),
            ("gaussian", 0.3),
            ("constant_bias", 0.8),
            ("uniform", 12.0),
        )
        for activation in ACTIVATIONS
    ],
]


@pytest.mark.parametrize("n_features", [1, 2, 6])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_gradient(kernel, n_features):
    points = hostile_points(n_features)
    K, gradient = kernel(points, eval_gradient=True)
    assert np.array_equal(K, kernel(points))
    assert gradient.shape == (*K.shape, kernel.n_dims)
    differences = by_differences(kernel, points)
    assert np.abs(differences).max(axis=(0, 1)).min() > 1e-6  # something to compare
    assert_allclose(gradient, differences, rtol=0, atol=1e-9 * np.abs(K).max())


def test_gradient_of_a_pair_of_uniform_laws():
    kernel = ShallowReLUTangentKernel(4.0, 0.7, law="uniform_pair")
    points = hostile_points(1)
    K, gradient = kernel(points, eval_gradient=True)
    differences = by_differences(kernel, points)
    assert_allclose(gradient, differences, rtol=0, atol=1e-10 * K.max())


def test_gradient_of_fixed_hyperparameters_is_empty():
    for kernel in (
        ReLUTangentKernel(weight_variance_bounds="fixed", bias_variance_bounds="fixed"),
        ResNetTangentKernel(residual_scale_bounds="fixed"),
        BiasedReLUTangentKernel(-0.5, bias_bounds="fixed"),
        ShallowReLUTangentKernel(
            balance=0.0, balance_bounds="fixed", bias_scale_bounds="fixed"
        ),
    ):
        assert kernel.theta.size == 0
        K, gradient = kernel(hostile_points(2), eval_gradient=True)
        assert gradient.shape == (*K.shape, 0)


def test_gradient_fills_all_tiles():
    points = np.random.default_rng(0).standard_normal((250, 2))
    kernel = ReLUTangentKernel(3)
    K, gradient = kernel(points, eval_gradient=True)
    chosen = np.ix_([3, 130, 249], [3, 130, 249])
    few, few_gradient = kernel(points[[3, 130, 249]], eval_gradient=True)
    assert_allclose(K[chosen], few, rtol=1e-14)
    assert_allclose(gradient[chosen], few_gradient, rtol=1e-12)
    assert np.array_equal(gradient, gradient.transpose(1, 0, 2))


@pytest.mark.parametrize("n_features", [1, 5])
@pytest.mark.parametrize("scale", [1e-18, 1e-9, 1e-4, 30.0, 1e3])
def test_extreme_hyperparameters(scale, n_features):
    """No NaN, no warning, and still positive: rounding tips opposite points over."""
    points = hostile_points(n_features)
    for kernel in (
        ReLUTangentKernel(3, 2.0, scale**2),
        ReLUTangentKernel(3, 2.0, scale**2, activation="abs"),
        ReLUTangentKernel(3, min(scale, 1e3), 0.1),
        ShallowReLUTangentKernel(scale, 1.0),
        ShallowReLUTangentKernel(scale, 1.0, law="constant_bias"),
        BiasedReLUTangentKernel(scale, train_output=True),
        ResNetTangentKernel(3, scale),
    ):
        K, gradient = kernel(points, eval_gradient=True)
        assert np.isfinite(gradient).all()
        assert np.linalg.eigvalsh(K).min() >= -1e-13 * K.max()
