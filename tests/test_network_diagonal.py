"""The diagonal network against torch's autograd and against the mirror potential."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from skregimes._border import to_numpy, to_tensor
from skregimes.limits.potentials import DiagonalPotential
from skregimes.networks.diagonal import DiagonalNet

DEPTHS = [1, 2, 3, 4, 5]
N_PROBLEMS, N_SAMPLES, N_FEATURES = 3, 4, 6


def draw(depth, seed=0):
    rng = np.random.default_rng(seed)
    weights = to_tensor(rng.uniform(0.3, 1.5, size=(N_PROBLEMS, 2, N_FEATURES)))
    X = to_tensor(rng.standard_normal((N_SAMPLES, N_FEATURES)))
    return DiagonalNet(depth), weights, X, rng


@pytest.mark.parametrize("depth", DEPTHS)
def test_gradient_is_autograd(depth):
    network, weights, X, rng = draw(depth)
    y = to_tensor(rng.standard_normal((N_PROBLEMS, N_SAMPLES)))
    leaf = weights.clone().requires_grad_()
    loss = ((network.forward(leaf, X) - y) ** 2).sum() / (2 * N_SAMPLES)
    (expected,) = torch.autograd.grad(loss, leaf)
    coef_gradient = (network.forward(weights, X) - y) @ X / N_SAMPLES
    found = network.gradient(weights, coef_gradient)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("depth", DEPTHS)
def test_tangent_kernel_is_autograd(depth):
    network, weights, X, rng = draw(depth)
    Y = to_tensor(rng.standard_normal((2, N_FEATURES)))
    for i, own in enumerate(weights):
        jacobian = [
            torch.autograd.functional.jacobian(
                lambda w, points=points: network.forward(w[None], points)[0], own
            ).flatten(start_dim=1)
            for points in (X, Y)
        ]
        for found, expected in (
            (network.tangent_kernel(weights, X)[i], jacobian[0] @ jacobian[0].T),
            (network.tangent_kernel(weights, X, Y)[i], jacobian[0] @ jacobian[1].T),
        ):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("scale", [1e-4, 0.3, 20.0])
def test_start_has_the_scale_and_the_coefficients_asked_for(depth, scale):
    rng = np.random.default_rng(1)
    shape = rng.uniform(0.5, 2, size=N_FEATURES)
    offset = np.array([0.0, 1e-9, -1e-3, 1.0, -3.0, 40.0])
    network = DiagonalNet(depth)
    weights = network.initial_weights(
        N_FEATURES, scale, init_shape=to_tensor(shape), init_offset=to_tensor(offset)
    )
    # coef is a difference of two powers of about this size
    size = to_numpy(weights[0]).max(axis=0) ** depth
    error = np.abs(to_numpy(network.coef(weights)[0]) - offset)
    assert np.all(error <= 1e-14 * depth * size)
    np.testing.assert_allclose(
        to_numpy(network.log_scale(weights)[0]), np.log(scale * shape), atol=3e-14
    )
    potential = DiagonalPotential(depth, np.log(scale * shape))
    expected = potential.dual_of_theta(potential.theta(offset))
    np.testing.assert_allclose(to_numpy(network.dual(weights)[0]), expected, atol=1e-13)
    rate = network.log_dual_rate(network.log_scale(weights))[0]
    np.testing.assert_allclose(to_numpy(rate), potential.log_rate, atol=1e-13)


def test_start_takes_a_scale_for_each_problem():
    network = DiagonalNet(3)
    scales = torch.tensor([0.1, 2.0], dtype=torch.float64)
    both = network.initial_weights(4, scales, dtype=torch.float32)
    assert both.shape == (2, 2, 4)
    assert both.dtype == torch.float32
    assert torch.equal(both[1:], network.initial_weights(4, 2.0, dtype=torch.float32))
    assert torch.equal(network.coef(both), torch.zeros(2, 4))


@pytest.mark.parametrize("depth", DEPTHS)
def test_gradient_flow_conserves_the_scale_and_moves_the_dual(depth):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((3, 5))
    y = rng.standard_normal(3)
    network = DiagonalNet(depth)
    start = network.initial_weights(
        5, 0.7, init_offset=to_tensor(0.3 * rng.standard_normal(5))
    )

    def coef_gradient(flat):
        weights = to_tensor(flat.reshape(1, 2, 5))
        residual = to_numpy(network.coef(weights)[0]) @ X.T - y
        return weights, residual @ X / 3

    def field(time, state):
        weights, gradient = coef_gradient(state[:10])
        slope = network.gradient(weights, to_tensor(gradient[None]))
        return np.concatenate([-to_numpy(slope).ravel(), gradient])

    first = np.concatenate([to_numpy(start).ravel(), np.zeros(5)])
    run = solve_ivp(field, (0, 3), first, method="DOP853", rtol=1e-12, atol=1e-13)
    assert run.status == 0
    final, pull = to_tensor(run.y[:10, -1].reshape(1, 2, 5)), run.y[10:, -1]
    assert np.max(np.abs(to_numpy(final - start))) > 0.1
    np.testing.assert_allclose(
        to_numpy(network.log_scale(final)),
        to_numpy(network.log_scale(start)),
        atol=1e-10,
    )
    rate = to_numpy(network.log_dual_rate(network.log_scale(start)).exp()[0])
    moved = to_numpy(network.dual(final) - network.dual(start))[0]
    np.testing.assert_allclose(moved, -rate * pull, atol=1e-10)


@pytest.mark.parametrize("depth", [0, -1, 2.5])
def test_depth_is_checked(depth):
    with pytest.raises(ValueError, match=r"depth=.* must be an integer >= 1"):
        DiagonalNet(depth)


def test_scales_are_checked():
    network = DiagonalNet(2)
    with pytest.raises(ValueError, match="must be positive"):
        network.initial_weights(2, 0.0)
    with pytest.raises(ValueError, match="must be positive"):
        network.initial_weights(2, 1.0, init_shape=torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="must be positive"):
        network.initial_weights(2, float("nan"))
