"""Li, Luo, Lyu, "Towards Resolving the Implicit Bias of Gradient Descent" (2021).

Greedy low-rank learning: from a tiny start gradient flow passes, rank by rank, close to
the points at which the flow of that rank comes to rest.
"""

import numpy as np
import pytest

from skregimes import MatrixFactorizer
from skregimes.limits import greedy_low_rank_path, min_nuclear_norm

RANK = 3


@pytest.fixture(scope="module")
def table():
    """Return 60 of 80 entries, and the matrix: singular values 10, 5 and 2."""
    random = np.random.default_rng(0)
    left, right = (np.linalg.qr(random.standard_normal((d, RANK)))[0] for d in (10, 8))
    truth = (left * [10.0, 5.0, 2.0]) @ right.T
    X = np.full(80, np.nan)
    observed = random.permutation(80)[:60]
    X[observed] = truth.ravel()[observed]
    return X.reshape(10, 8), truth


@pytest.fixture(scope="module")
def points(table):
    """Return the greedy matrices of ranks 1, 2 and 3."""
    return [point.matrix for point in greedy_low_rank_path(table[0])[1:]]


def fit(X, depth, init_scale, **options):
    options = {"init": "orthogonal", "random_state": 1} | options
    return MatrixFactorizer(
        depth=depth,
        init_scale=init_scale,
        center=None,
        early_stopping=False,
        fold_in_alpha=0,
        **options,
    ).fit(X)


def approach(model, points):
    """Return when the flow is closest to each point, and how close."""
    path = model.trajectory_
    matrices = [left @ right.T for left, right in map(path.halves, range(len(path)))]
    distance = np.array(
        [[np.linalg.norm(M - point) for M in matrices] for point in points]
    ) / np.linalg.norm(points[-1])
    return path.time[np.argmin(distance, axis=1)], np.min(distance, axis=1)


def test_greedy_points_end_at_the_matrix_and_not_at_the_least_nuclear_norm(
    table, points
):
    X, truth = table
    assert len(points) == RANK
    np.testing.assert_allclose(points[-1], truth, atol=1e-8)
    least = min_nuclear_norm(X)
    assert least.norm < 16.9  # that of the matrix is 17
    assert np.linalg.norm(least.matrix - truth) > 0.08 * np.linalg.norm(truth)


@pytest.mark.parametrize(
    ("depth", "init_scale", "far"),
    [(2, 1e-12, 0.05), (3, 1e-4, 0.03), (4, 1e-4, 0.005)],
)
@pytest.mark.parametrize("init", ["orthogonal", "spectral"])
def test_tiny_starts_pass_all_greedy_points(
    table, points, depth, init_scale, far, init
):
    times, distances = approach(fit(table[0], depth, init_scale, init=init), points)
    assert np.all(np.diff(times) > 0)
    assert np.all(distances < far)


@pytest.mark.parametrize(
    ("depth", "init_scales"),
    [(2, (1e-2, 1e-4, 1e-8, 1e-12)), (3, (1e-2, 1e-3, 1e-4))],
)
def test_smaller_starts_pass_more_closely(table, points, depth, init_scales):
    closest = np.array(
        [approach(fit(table[0], depth, scale), points)[1] for scale in init_scales]
    )
    assert np.all(closest[1:] < 0.9 * closest[:-1])


def test_deeper_products_pass_more_closely(table, points):
    closest = [approach(fit(table[0], depth, 1e-4), points)[1] for depth in (2, 3, 4)]
    assert np.all(np.diff(closest, axis=0) < 0)


def test_a_start_of_ordinary_size_passes_none(table, points):
    _, distances = approach(fit(table[0], 2, 0.3, init="lifted"), points)
    assert np.all(distances > 0.3)


# -- how long it takes -----------------------------------------------------------------


def escape(X, depth, scale):
    """Return when the first singular value is at half of that of the table."""
    model = fit(
        X,
        depth,
        scale ** (1 / depth),
        units="paper",
        init="spectral",
        rtol=1e-4,
        max_time=1.5 * waiting(X, depth, scale),
    )
    path = model.trajectory_
    return np.interp(0.5 * top(X), path.singular_values[:, 0], path.time)


def top(X):
    """Return the largest singular value of the slope at zero."""
    return np.linalg.norm(np.nan_to_num(X), 2)


def waiting(X, depth, scale):
    """Return the order of that time, for a scale in the units of the table."""
    if depth == 2:
        return np.log(top(X) / scale) / (2 * top(X))
    return scale ** (2 / depth - 1) / ((depth - 2) * top(X))


def test_two_layers_wait_for_the_logarithm_of_the_scale(table):
    X, _ = table
    times = [escape(X, 2, scale) for scale in (1e-4, 1e-8, 1e-12)]
    np.testing.assert_allclose(np.diff(times), np.log(1e4) / (2 * top(X)), rtol=2e-3)


@pytest.mark.parametrize("depth", [3, 4])
def test_deeper_products_wait_for_a_power_of_it(table, depth):
    X, _ = table
    ratios = [escape(X, depth, s) / waiting(X, depth, s) for s in (1e-5, 1e-7)]
    np.testing.assert_allclose(ratios, 1, atol=0.02)
