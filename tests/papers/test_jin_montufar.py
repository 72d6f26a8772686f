"""Jin and Montufar, "Implicit Bias of Gradient Descent for Mean Squared Error
Regression with Two-Layer Wide Neural Networks" (2023).

Their claims for wide networks: training ends in the function that fits the data with
the least curvature, weighted by the law of the initial weights, and the error falls
with the width; on the way it is near a smoothing spline. Rates are those of our own
study; references come from SciPy and from `skregimes.limits`, which follow no flow.
"""

import functools

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline, RBFInterpolator, make_smoothing_spline

from skregimes import ShallowReLURegressor
from skregimes.kernels import curvature_weight
from skregimes.limits import curvature_spline, kernel_flow, linear_spline

X10 = np.linspace(-1, 1, 10) + 0.05 * np.cos(7 * np.arange(10))
X10[[0, -1]] = -1, 1
GRID = np.linspace(-1, 1, 201)


def standard(y):
    return (y - y.mean()) / y.std()


Y10 = standard(np.sin(3 * X10) + 0.3 * np.cos(5 * X10))


def affine(x):
    return np.column_stack([x, np.ones(len(x))])


@functools.cache
def fit(n_hidden, init, seed, skip=True):
    """Fit the ten points at the papers' scale, weights of order one."""
    return ShallowReLURegressor(
        np.sqrt(n_hidden),
        n_hidden=n_hidden,
        units="paper",
        init=init,
        bias_scale=1.0,
        skip_connection=skip,
        fit_intercept=skip,
        early_stopping=False,
        tol=1e-13,
        random_state=seed,
    ).fit(X10[:, np.newaxis], Y10)


def median_distance(n_hidden, init, reference, n_seeds, **options):
    nets = [fit(n_hidden, init, seed, **options) for seed in range(n_seeds)]
    errors = [np.abs(net.predict(GRID[:, np.newaxis]) - reference) for net in nets]
    return np.median(np.max(errors, axis=1))


def rate(coarse, fine, ratio):
    """Return p if errors fall with the width to the power -p."""
    return np.log(coarse / fine) / np.log(ratio)


CUBIC = CubicSpline(X10, Y10, bc_type="natural")(GRID)


@pytest.mark.parametrize(
    ("init", "slowest", "fastest", "largest"),
    [("uniform", 0.3, 1.1, 0.02), ("stratified", 1.6, 2.4, 2e-4)],
)
def test_wide_networks_end_in_the_natural_cubic_spline(init, slowest, fastest, largest):
    errors = [median_distance(m, init, CUBIC, 2) for m in (100, 400, 6400)]
    assert errors[0] > errors[1] > errors[2]
    assert slowest < rate(*errors[1:], 16) < fastest
    assert errors[-1] < largest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("init", "exponent", "largest"), [("uniform", 0.5, 0.005), ("stratified", 2, 2e-5)]
)
def test_rates_up_to_25600_units(init, exponent, largest):
    widths = np.array([400, 1600, 6400, 25600])
    errors = [median_distance(m, init, CUBIC, 5) for m in widths]
    found = -np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert abs(found - exponent) < 0.2 * max(exponent, 1)
    assert errors[-1] < largest


def test_networks_approach_their_own_linearisation():
    gaps = []
    for m in (1600, 6400):
        net = fit(m, "stratified", 0)
        new, old = GRID[:, np.newaxis], X10[:, np.newaxis]
        linear = kernel_flow(
            net.tangent_kernel(old, at="init"),
            Y10,
            K_test=net.tangent_kernel(new, old, at="init"),
            skip=affine(X10),
            skip_test=affine(GRID),
        )
        gaps.append(np.abs(net.predict(new) - linear).max())
    assert 1.5 < rate(*gaps, 4) < 2.6


@pytest.mark.parametrize(
    ("init", "largest"), [("gaussian", 0.03), ("uniform_pair", 0.03)]
)
def test_law_of_the_weights_says_where_curvature_is_cheap(init, largest):
    zeta = curvature_weight(law=init, bias_scale=1.0)
    weighted = curvature_spline(X10, Y10, zeta)(GRID)
    errors = [median_distance(m, init, weighted, 2) for m in (400, 6400)]
    assert rate(*errors, 16) > 0.3
    assert errors[1] < largest


def test_gaussian_law_does_not_end_in_the_cubic_spline():
    zeta = curvature_weight(law="gaussian", bias_scale=0.3)
    x, y = X10[:, np.newaxis], Y10
    net = ShallowReLURegressor(
        100.0, n_hidden=6400, units="paper", init="gaussian", bias_scale=0.3,
        early_stopping=False, random_state=0,
    ).fit(x, y)  # fmt: skip
    f = net.predict(GRID[:, np.newaxis])
    to_weighted = np.abs(f - curvature_spline(X10, y, zeta)(GRID)).max()
    assert to_weighted < np.abs(f - CUBIC).max() / 2


def test_without_skip_connection_affine_functions_cost_too():
    zeta = curvature_weight(law="uniform", bias_scale=1.0)
    limit = curvature_spline(X10, Y10, zeta, skip_connection=False)(GRID)
    errors = [
        median_distance(m, "stratified", limit, 1, skip=False) for m in (400, 1600)
    ]
    assert errors[1] < errors[0] / 4
    # The limit with a skip connection is another one, and farther away.
    assert errors[1] < median_distance(1600, "stratified", CUBIC, 1, skip=False) / 4


@pytest.mark.parametrize("n_features", [2, 3])
def test_several_features_end_in_the_polyharmonic_spline(n_features):
    rng = np.random.default_rng(n_features)
    X = rng.uniform(-1, 1, (30, n_features))
    X /= np.linalg.norm(X, axis=1).max()
    y = standard(np.sin(3 * X[:, 0]) + X[:, 1] ** 2)
    inside = rng.dirichlet(np.ones(30), 200) @ X
    limit = RBFInterpolator(X, y, kernel="cubic", degree=1)(inside)
    errors = []
    for m in (250, 4000):
        nets = [
            ShallowReLURegressor(
                10 * np.sqrt(m), n_hidden=m, units="paper", init="uniform",
                bias_scale=1.0, early_stopping=False, random_state=seed,
            ).fit(X, y)
            for seed in range(3)
        ]  # fmt: skip
        f = [net.predict(inside) for net in nets]
        errors.append(np.median(np.abs(f - limit).max(axis=1)))
    assert errors[1] < 0.05
    assert 0.25 < rate(*errors, 16) < 1.0


@pytest.fixture(scope="module")
def trajectory():
    """Forty noisy samples in the kernel regime, with times and predictions there."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 40))
    y = standard(np.sin(4 * x) + 0.3 * np.sin(11 * x) + 0.3 * rng.normal(size=40))
    alpha, times = 300.0, np.logspace(0, 6, 13) / 300.0**2
    net = ShallowReLURegressor(
        alpha, n_hidden=6400, units="paper", bias_scale=1.0, early_stopping=False,
        max_time=times[-1], random_state=0,
    ).fit(x[:, np.newaxis], y)  # fmt: skip
    return net, x, y, times


def test_trajectory_is_that_of_the_kernel(trajectory):
    net, x, y, times = trajectory
    old = x[:, np.newaxis]
    exact = kernel_flow(
        net.tangent_kernel(old, at="init"), y, time=times, skip=affine(x)
    )
    found = np.array(list(net.staged_predict(old, times)))
    np.testing.assert_allclose(found, exact, atol=2e-3)


def test_trajectory_is_near_smoothing_splines(trajectory):
    net, x, y, times = trajectory
    slope, level = np.polyfit(x, y, 1)
    size = np.sqrt(np.mean((y - slope * x - level) ** 2))
    # Flow fits 1 - exp(-s) of a mode, a smoothing spline s / (1 + s): they differ by at
    # most .204, and by .103 for .53 of the penalty.
    for factor, bound in ((1.0, 0.204), (0.53, 0.104)):
        gaps = []
        for time, f in zip(times, net.staged_predict(x[:, np.newaxis], times)):
            lam = factor * 2 * len(x) / (300.0**2 * time)
            smooth = make_smoothing_spline(x, y, lam=lam)(x)
            gaps.append(np.sqrt(np.mean((f - smooth) ** 2)) / size)
        assert max(gaps) < bound + 0.003
        # It is a bound, not an identity: somewhere on the way the two differ.
        assert max(gaps) > bound / 4


def adam(hidden, n_steps=20_000, learning_rate=1e-3):
    """Train all weights from c = 0 by Adam; return the function on the grid."""
    x, y = torch.tensor(affine(X10)), torch.tensor(Y10)
    inputs = x * torch.tensor([1.0, -1.0], dtype=torch.float64)
    hidden = torch.tensor(hidden).requires_grad_()
    output = torch.zeros(len(hidden), dtype=torch.float64, requires_grad=True)
    basis = torch.linalg.qr(x).Q
    optimizer = torch.optim.Adam([hidden, output], lr=learning_rate)
    for _ in range(n_steps):
        optimizer.zero_grad()
        rest = torch.relu(inputs @ hidden.T) @ output - y
        rest = rest - basis @ (basis.T @ rest)
        loss = rest.square().mean() / 2
        if loss < 1e-9:
            break
        loss.backward()
        optimizer.step()
    hidden, output = hidden.detach().numpy(), output.detach().numpy()

    def units(x):
        return np.maximum(affine(x) * [1.0, -1.0] @ hidden.T, 0) @ output

    coef, *_ = np.linalg.lstsq(affine(X10), Y10 - units(X10), rcond=None)
    return units(GRID) + affine(GRID) @ coef, loss.item()


@pytest.mark.slow
def test_adam_ends_elsewhere():
    # Same start, same loss at the end: the bias is that of the flow, not of the model.
    m = 1600
    net = fit(m, "stratified", 0)
    hidden = net.trajectory_.theta[0, : 2 * m].reshape(m, 2)
    f, loss = adam(hidden / np.abs(hidden[0, 0]))
    assert loss < 1e-6
    flow = np.abs(net.predict(GRID[:, np.newaxis]) - CUBIC).max()
    assert np.abs(f - CUBIC).max() > 5 * flow
    # It is no other spline of ours either.
    assert np.abs(f - linear_spline(X10, Y10)(GRID)).max() > 5 * flow
