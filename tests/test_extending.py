"""The worked example of the documentation: a network, a flow and a diagnostic."""

import doctest
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from skregimes.diagnostics import kernel_alignment, kernel_change, tangent_kernel
from skregimes.flows.chebyshev import chebyshev
from skregimes.flows.descent import descent
from skregimes.limits import min_q_norm

FOLDER = Path(__file__).parents[1] / "docs" / "extending"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TanhNetwork = load("network").TanhNetwork
heavy_ball = load("flow").heavy_ball
diagnostic = load("diagnostic")
target_alignment = diagnostic.target_alignment

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 2))
Y = np.array([1.0, -1.0, 0.5, 1.5, -0.5, -1.5])


def network(alpha=1.0, n_hidden=8):
    return TanhNetwork(X, Y, n_hidden=n_hidden, alpha=alpha)


class Module(torch.nn.Module):
    """The same network, to be differentiated by torch."""

    def __init__(self, net):
        super().__init__()
        weights = net.start.reshape(-1, 3)
        self.hidden = torch.nn.Parameter(weights[:, :2].clone())
        self.output = torch.nn.Parameter(weights[:, 2].clone())

    def forward(self, X):
        return torch.tanh(X @ self.hidden.T) @ self.output


def solve(net, time, friction=None):
    """Follow the flow, or that with momentum, by SciPy."""

    def slope(_, state):
        if friction is None:
            return -net.gradient(torch.from_numpy(state))[0].numpy()
        theta, velocity = np.split(state, 2)
        pull = net.gradient(torch.from_numpy(theta))[0].numpy()
        return np.concatenate([velocity, -friction * velocity - pull])

    start = net.start.numpy()
    if friction is not None:
        start = np.concatenate([start, np.zeros_like(start)])
    end = solve_ivp(slope, (0, time), start, rtol=1e-10, atol=1e-12).y[:, -1]
    return end[: net.start.numel()]


# -- the network -----------------------------------------------------------------------


def test_gradient_is_that_of_autograd():
    net = network(alpha=3.0)
    theta = (net.start + 0.1).requires_grad_()
    weights, start = theta.reshape(-1, 3), net.start.reshape(-1, 3)

    def output(w):
        return torch.tanh(net.X @ w[:, :2].T) @ w[:, 2]

    loss = ((3.0 * (output(weights) - output(start)) - net.y) ** 2).mean() / 2 / 3.0**2
    (expected,) = torch.autograd.grad(loss, theta)
    gradient, value = net.gradient(theta.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(value, loss.detach(), rtol=1e-12, atol=0)


def test_tangent_kernel_is_that_of_autograd():
    net = network()
    expected = tangent_kernel(Module(net), torch.from_numpy(X))
    np.testing.assert_allclose(net.tangent_kernel(net.start), expected, rtol=1e-10)


@pytest.mark.parametrize("flow", [chebyshev, descent])
def test_flows_of_the_package_train_it(flow):
    net = network()
    options = {"rtol": 1e-5} if flow is chebyshev else {"learning_rate": 2e-3}
    end = flow(net, net.start, max_time=4.0, **options)
    expected = solve(net, 4.0)
    assert end.status == "max_time"
    assert np.linalg.norm(expected - net.start.numpy()) > 0.3
    np.testing.assert_allclose(end.theta, expected, atol=2e-3)


def test_large_alpha_is_the_kernel_regime():
    changes = []
    for alpha in (1.0, 10.0, 100.0):
        net = network(alpha, n_hidden=30)
        end = chebyshev(net, net.start, max_time=2.0, rtol=1e-4).theta
        kernels = [net.tangent_kernel(theta).numpy() for theta in (net.start, end)]
        changes.append(kernel_change(*kernels))
    # Weights move like 1 / alpha, and so does the kernel.
    np.testing.assert_allclose(np.array(changes[1:]) / changes[:-1], 0.1, rtol=0.5)
    fitted = 100.0 * (net._output(end, net.X) - net.offset)
    missing = expm(-kernels[0] * 2.0 / len(Y)) @ Y
    np.testing.assert_allclose(fitted, Y - missing, atol=0.02)


# -- the flow --------------------------------------------------------------------------


class Oscillator:
    """A single parameter, of unit curvature."""

    def gradient(self, theta):
        return theta.clone(), theta @ theta / 2


def test_heavy_ball_is_the_damped_oscillator():
    start, time, friction = torch.ones(1, dtype=torch.float64), 5.0, 0.6
    frequency = np.sqrt(1 - friction**2 / 4)
    turn = frequency * time
    expected = np.exp(-friction * time / 2) * (
        np.cos(turn) + friction / 2 / frequency * np.sin(turn)
    )
    errors = [
        heavy_ball(
            Oscillator(), start, friction=friction, max_time=time, n_steps=n
        ).theta.item()
        - expected
        for n in (100, 200)
    ]
    assert abs(errors[0]) < 1e-3
    np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.05)  # second order


def test_heavy_ball_trains_the_network_as_an_ode_solver_does():
    net = network()
    end = heavy_ball(net, net.start, friction=1.0, max_time=5.0, n_steps=500)
    np.testing.assert_allclose(end.theta, solve(net, 5.0, friction=1.0), atol=1e-4)
    assert (end.status, end.n_iter, end.n_gradients) == ("max_time", 500, 501)


def test_large_friction_is_gradient_flow():
    net = network()
    end = heavy_ball(net, net.start, friction=20.0, max_time=40.0, n_steps=800)
    np.testing.assert_allclose(end.theta, solve(net, 2.0), atol=0.01)


def test_heavy_ball_keeps_the_last_finite_state():
    class Explosive:
        def gradient(self, theta):
            return -torch.exp(theta**2), -(theta @ theta)

    start = torch.ones(1, dtype=torch.float64)
    end = heavy_ball(Explosive(), start, friction=0.0, max_time=50.0, n_steps=100)
    assert end.status == "diverged"
    assert torch.isfinite(end.theta).all()


def test_heavy_ball_refuses_negative_friction():
    start = torch.ones(1, dtype=torch.float64)
    with pytest.raises(ValueError, match="friction=-1 must not be negative"):
        heavy_ball(Oscillator(), start, friction=-1, max_time=1.0, n_steps=1)


# -- the diagnostic --------------------------------------------------------------------


def test_target_alignment_is_the_cosine_with_the_outer_product():
    kernel = X @ X.T
    expected = kernel_alignment(kernel, np.outer(Y, Y))
    np.testing.assert_allclose(target_alignment(kernel, Y), expected, rtol=1e-12)


def test_target_alignment_stays_in_the_kernel_regime():
    net = network(alpha=100.0)
    end = chebyshev(net, net.start, max_time=2.0).theta
    before, after = (
        target_alignment(net.tangent_kernel(theta), Y) for theta in (net.start, end)
    )
    assert torch.linalg.vector_norm(end - net.start) > 1e-3
    assert abs(after - before) < 1e-3


@pytest.mark.parametrize(("alpha", "least", "most"), [(1e-3, 0.99, 1), (10, 0, 0.6)])
def test_target_alignment_of_a_diagonal_network(alpha, least, most):
    # Its kernel is known: a rich one has learned that one column is the target.
    features = RNG.normal(size=(20, 60))
    target = features[:, 0]
    coef = min_q_norm(features, target, alpha)
    kernel = features * (4 * np.sqrt(coef**2 + 4 * alpha**4)) @ features.T
    assert least <= target_alignment(kernel, target) <= most


@pytest.mark.parametrize(
    ("kernel", "target", "match"),
    [
        (np.eye(3), np.ones(2), "with 2 targets"),
        (np.eye(2), np.zeros(2), "a zero kernel"),
    ],
)
def test_target_alignment_refuses(kernel, target, match):
    with pytest.raises(ValueError, match=match):
        target_alignment(kernel, target)


def test_the_example_in_its_docstring_runs():
    assert doctest.testmod(diagnostic).failed == 0
    assert doctest.testmod(diagnostic).attempted > 0
