"""Williams et al., "Gradient Dynamics of Shallow Univariate ReLU Networks" (2019).

Their claims for one feature: from large initial weights the network learns a cubic
spline; from small ones its knots move, are attracted by samples, and the network is
adaptive, near the linear spline. Problems of our own, with ten points of a curve and
with twenty noisy ones; references from SciPy and from `skregimes.limits`.
"""

import functools

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from skregimes import ShallowReLURegressor
from skregimes.diagnostics import knots_near_samples, layer_imbalance
from skregimes.limits import linear_spline


def make_problem(n_samples, noise):
    """Return samples in [-1, 1], and targets of mean zero and deviation one."""
    rng = np.random.default_rng(1)
    x = np.linspace(-1, 1, n_samples) + rng.uniform(-0.3, 0.3, n_samples) / n_samples
    x /= np.abs(x).max()
    y = np.sin(4 * x) + 0.3 * np.sin(11 * x)
    y = y / y.std() + noise * np.random.default_rng(2).normal(size=n_samples)
    return x, (y - y.mean()) / y.std()


PROBLEMS = {"clean": make_problem(10, 0.0), "noisy": make_problem(20, 0.3)}


@functools.cache
def fit(problem, alpha, n_hidden=100, seed=0):
    x, y = PROBLEMS[problem]
    return ShallowReLURegressor(
        alpha,
        n_hidden=n_hidden,
        units="paper",
        bias_scale=1.0,
        early_stopping=False,
        tol=1e-6,
        random_state=seed,
    ).fit(x[:, np.newaxis], y)


def splines(problem):
    """Return the cubic and the linear spline, and total variations of their slopes."""
    x, y = PROBLEMS[problem]
    cubic, linear = CubicSpline(x, y, bc_type="natural"), linear_spline(x, y)
    # The cubic's slope turns at knots and where f'' crosses zero: a fine grid will do.
    fine = np.linspace(x[0], x[-1], 20_001)
    bending = np.abs(np.diff(cubic(fine, 1))).sum()
    return cubic, linear, bending, np.abs(linear.slope_changes).sum()


def distances(problem, alpha, **options):
    """Return distances, root mean square, to the cubic and to the linear spline."""
    x, _ = PROBLEMS[problem]
    cubic, linear, *_ = splines(problem)
    inside = np.linspace(x[0], x[-1], 501)
    f = fit(problem, alpha, **options).predict(inside[:, np.newaxis])
    return [np.sqrt(np.mean((f - spline(inside)) ** 2)) for spline in (cubic, linear)]


def near_samples(problem, alpha, **options):
    net = fit(problem, alpha, **options)
    return knots_near_samples(net.knots_, net.slope_changes_, PROBLEMS[problem][0])


def weights(net, point):
    """Return hidden and output weights, for targets of size one."""
    theta, m = net.trajectory_.theta[point], net.n_hidden
    return theta[: 2 * m].reshape(m, 2), theta[2 * m :]


def test_large_scales_give_the_cubic_spline():
    net = fit("clean", 100.0)
    to_cubic, to_linear = distances("clean", 100.0)
    assert net.regime_ == "kernel"
    assert to_cubic < 0.02
    assert to_linear > 4 * to_cubic
    # No knot has moved by as much as a tenth of the smallest gap between samples.
    path = net.trajectory_.knots
    gap = np.diff(PROBLEMS["clean"][0]).min()
    assert np.abs(path[-1] - path[0]).max() < gap / 10


def test_smaller_scales_leave_it_for_the_linear_spline():
    near, far = distances("clean", 100.0), distances("clean", 10.0)
    assert far[0] > 3 * near[0]
    assert far[1] < near[1] / 2
    assert far[1] < far[0]


def test_slope_changes_gather_at_samples():
    # Evenly spread knots would give .02.
    assert near_samples("clean", 100.0) < 0.06
    assert near_samples("clean", 30.0) > 0.2
    assert near_samples("clean", 10.0) > 0.5


def test_slope_has_the_least_total_variation_in_a_window_of_scales():
    _, _, cubic, linear = splines("noisy")
    assert cubic > 1.4 * linear
    # The kernel end has the cubic's, the window the least that interpolates, ...
    for alpha, expected in ((300.0, cubic), (30.0, linear)):
        found = fit("noisy", alpha, 400).total_variation_
        np.testing.assert_allclose(found, expected, rtol=0.03)
    to_cubic, to_linear = distances("noisy", 30.0, n_hidden=400)
    assert to_linear < to_cubic
    # ... and smaller scales do not interpolate: the flow comes to rest before.
    under = fit("noisy", 1.0)
    assert under.converged_
    assert under.loss_ > 0.005
    assert under.total_variation_ < linear / 2


def test_richness_grows_as_the_scale_falls_whatever_the_width():
    alphas = (100.0, 30.0, 10.0, 3.0)
    narrow = [fit("clean", alpha).richness_ for alpha in alphas]
    wide = [fit("clean", alpha, 400).richness_ for alpha in alphas]
    assert np.all(np.diff(narrow) > 0)
    np.testing.assert_allclose(narrow, wide, atol=0.05)
    assert narrow[0] < 0.01
    assert narrow[-1] > 0.9


@pytest.mark.parametrize("problem", PROBLEMS)
def test_crossover_is_at_the_root_of_the_total_variation(problem):
    *_, bending, _ = splines(problem)
    alpha = np.sqrt(bending)
    middle = fit(problem, alpha).richness_
    assert 0.3 < middle < 0.85
    assert fit(problem, 5 * alpha).richness_ < 0.1
    assert fit(problem, alpha / 5).richness_ > 0.9


def test_output_weights_are_the_splines_curvature_in_the_kernel_regime():
    # c_j / |a_j| = 2 L f''(knot) / alpha**2 with L = 1, so that their mean size is the
    # total variation of the slope over alpha**2.
    *_, bending, _ = splines("clean")
    net = fit("clean", 100.0, 400)
    hidden, output = weights(net, -1)
    ratio = np.abs(output / hidden[:, 0])
    np.testing.assert_allclose(ratio.mean(), bending / 100.0**2, rtol=0.03)


@pytest.mark.parametrize("alpha", [30.0, 3.0])
def test_layers_keep_their_imbalance(alpha):
    net = fit("clean", alpha)
    start, end = (layer_imbalance(*weights(net, k)) for k in (0, -1))
    np.testing.assert_allclose(end, start, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
def test_table_of_the_transition(problem):
    alphas = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
    table = np.array(
        [
            [
                [fit(problem, alpha, width, seed).richness_ for seed in range(4)]
                for width in (100, 400)
            ]
            for alpha in alphas
        ]
    )
    assert np.all(np.diff(table.mean(axis=2), axis=0) > 0)
    assert np.all(table.std(axis=2) < 0.05)
    assert np.abs(np.diff(table.mean(axis=2), axis=1)).max() < 0.05
    # Where it is adaptive it gathers knots, whatever the seed.
    near = [near_samples(problem, 30.0, n_hidden=400, seed=seed) for seed in range(4)]
    far = [near_samples(problem, 300.0, n_hidden=400, seed=seed) for seed in range(4)]
    assert min(near) > max(far) + 0.1
