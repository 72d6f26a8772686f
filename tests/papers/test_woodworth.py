"""Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models" (2020).

Their sparse regression: d = 1000 features, 5 nonzero coefficients, noise of variance
0.01. The reference values come from an independent implementation of the limits, run on
the same data.
"""

import numpy as np
import pytest

from skregimes import DiagonalNetRegressor
from skregimes.limits import min_l1_norm, min_l2_norm, q_norm

DEPTHS = (2, 3, 4)
N_FEATURES = 1000
TRUTH = np.zeros(N_FEATURES)
TRUTH[:5] = 5**-0.5

# alpha: (population error, excess of the l1 norm) for each of DEPTHS; N = 100, 5 seeds.
TABLE = {
    1e-8: ((0.0098, 1.5e-3), (0.0090, 0.0), (0.0090, 0.0)),
    1e-4: ((0.0118, 9.0e-3), (0.0090, 8.7e-8), (0.0090, 0.0)),
    1e-3: ((0.0146, 2.4e-2), (0.0089, 1.0e-5), (0.0090, 4e-9)),
    1e-2: ((0.0452, 0.159), (0.0086, 1.7e-3), (0.0089, 9e-6)),
    0.05: ((0.478, 1.09), (0.0102, 0.050), (0.0084, 3.3e-3)),
    0.1: ((0.807, 1.69), (0.0447, 0.247), (0.0081, 0.031)),
    0.2: ((0.897, 1.86), (0.591, 1.34), (0.0446, 0.267)),
    0.5: ((0.9046, 1.872), (0.903, 1.868), (0.895, 1.85)),
    1.0: ((0.9048, 1.872), (0.9048, 1.872), (0.9048, 1.872)),
    10.0: ((0.9048, 1.872), (0.9048, 1.872), (0.9048, 1.872)),
}
FAST = (1e-4, 1e-2, 0.1, 0.5)

# Largest alpha at which depth 2 has a mean error of at most 0.025; 3 seeds.
NEEDED_ALPHA = {80: 2.2e-4, 100: 4.5e-3, 150: 1.35e-2, 200: 2.2e-2, 300: 3.6e-2}


def make_data(n_samples, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, N_FEATURES))
    return X, X @ TRUTH + 0.1 * rng.standard_normal(n_samples)


def fit(alpha, X, y, depth=2):
    return DiagonalNetRegressor(
        alpha,
        depth=depth,
        units="paper",
        standardize=False,
        fit_intercept=False,
        early_stopping=False,
    ).fit(X, y)


def population_error(coef):
    return np.sum((coef - TRUTH) ** 2)


def mean_error(alpha, data):
    return np.mean([population_error(fit(alpha, X, y).coef_) for X, y in data])


@pytest.fixture(scope="module")
def samples():
    """Five draws of 100 samples, with the least l1 norm that fits them."""
    data = [make_data(100, seed) for seed in range(5)]
    return [(X, y, np.abs(min_l1_norm(X, y)).sum()) for X, y in data]


def test_the_two_norms(samples):
    sparse = np.mean([population_error(min_l1_norm(X, y)) for X, y, _ in samples])
    dense = np.mean([population_error(min_l2_norm(X, y)) for X, y, _ in samples])
    np.testing.assert_allclose(sparse, 0.0090, rtol=0.02)
    np.testing.assert_allclose(dense, 0.9048, rtol=0.001)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "alpha",
    [
        alpha if alpha in FAST else pytest.param(alpha, marks=pytest.mark.slow)
        for alpha in TABLE
    ],
)
def test_sparse_regression_from_kernel_to_rich(samples, alpha, depth):
    error, excess = TABLE[alpha][DEPTHS.index(depth)]
    nets = [(fit(alpha, X, y, depth), least) for X, y, least in samples]
    found = np.mean([population_error(net.coef_) for net, _ in nets])
    found_excess = np.mean([np.abs(net.coef_).sum() / l1 - 1 for net, l1 in nets])
    np.testing.assert_allclose(found, error, rtol=0.1)
    # The table's zeros are anything under 1e-8, its figures of one digit are rounded.
    np.testing.assert_allclose(found_excess, excess, rtol=0.1, atol=1e-8)


@pytest.mark.parametrize(
    ("depth", "ratios"),
    [
        (2, (0.0363, 0.0394, 0.0545, 0.1666, 0.9806)),
        (3, (0.0316, 0.0318, 0.0376, 0.1056, 0.9594)),
        (4, (0.0316, 0.0317, 0.0347, 0.0886, 0.9469)),
        (10, (0.0316, 0.0316, 0.0327, 0.0694, 0.9220)),
    ],
)
def test_potential_turns_from_the_l1_to_the_squared_l2_norm(depth, ratios):
    # One unit coefficient against a unit vector of equal ones: the ratio is 1 for the
    # squared l2 norm and 1 / sqrt(d) = .0316 for the l1 norm.
    one, equal = np.eye(1, N_FEATURES)[0], np.full(N_FEATURES, N_FEATURES**-0.5)
    for scale, ratio in zip((1e-12, 1e-8, 1e-4, 1e-2, 1.0), ratios):
        alpha = scale ** (1 / depth)
        found = q_norm(one, alpha, depth=depth) / q_norm(equal, alpha, depth=depth)
        assert abs(found - ratio) < 5.1e-5


@pytest.mark.parametrize(
    "n_samples",
    [n if n == 100 else pytest.param(n, marks=pytest.mark.slow) for n in NEEDED_ALPHA],
)
def test_fewer_samples_need_a_smaller_scale(n_samples):
    data = [make_data(n_samples, seed) for seed in range(3)]
    alpha = NEEDED_ALPHA[n_samples]
    assert mean_error(0.9 * alpha, data) <= 0.025 < mean_error(1.1 * alpha, data)


@pytest.mark.slow
def test_with_too_few_samples_no_scale_is_small_enough():
    data = [make_data(60, seed) for seed in range(3)]
    assert mean_error(1e-12, data) > 0.025
    assert np.mean([population_error(min_l1_norm(X, y)) for X, y in data]) > 0.025
