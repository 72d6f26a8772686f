"""Matrix completion between the two regimes of Woodworth et al. (2020).

"Kernel and Rich Regimes in Overparametrized Models": 60 entries of a 10 x 10 matrix of
rank 1, four draws, from the lifted start, which is that of infinite width at depth 2.
The reference values come from an independent implementation of the flow at tighter
tolerances, run on the same data.
"""

import numpy as np
import pytest

from skregimes import MatrixFactorizer
from skregimes.datasets import make_low_rank_matrix_completion
from skregimes.limits import (
    greedy_low_rank_path,
    min_frobenius_norm,
    min_nuclear_norm,
)

SIZE = 10
# init_scale: (relative error on the entries not observed, excess of the nuclear norm,
# excess of the Frobenius norm, angle of the tangent kernel), for depths 2 and 3.
TABLE = {
    1e-6: ((0.0208, 0.0405, 0.4036, 1.128), (1.4e-5, 0.0480, 0.4239, 1.155)),
    1e-4: ((0.1093, 0.0197, 0.3280, 1.115), (0.00141, 0.0479, 0.4227, 1.154)),
    1e-3: ((0.2140, 0.0136, 0.2519, 1.090), (0.0170, 0.0454, 0.4092, 1.153)),
    1e-2: ((0.4072, 0.0449, 0.1442, 1.008), (0.1708, 0.0305, 0.2881, 1.128)),
    0.1: ((0.7372, 0.1844, 0.0303, 0.6271), (0.6329, 0.1381, 0.0580, 0.8174)),
    0.3: ((0.8958, 0.2800, 0.0049, 0.2598), (0.8538, 0.2546, 0.0096, 0.3712)),
    1.0: ((0.9822, 0.3374, 1.4e-4, 0.0422), (0.9739, 0.3318, 3.1e-4, 0.0621)),
    10.0: ((0.9998, 0.3495, 0.0, 4.8e-4), (0.9997, 0.3494, 0.0, 7.1e-4)),
    100.0: ((1.0, 0.3496, 0.0, 5e-6), (1.0, 0.3496, 0.0, 8e-6)),
}


def draw(seed):
    return make_low_rank_matrix_completion(
        (SIZE, SIZE), rank=1, n_observed=60, random_state=seed, return_matrix=True
    )


DATA = [draw(seed) for seed in range(4)]


def fit(X, init_scale, depth, **options):
    return MatrixFactorizer(
        depth=depth,
        init="lifted",
        init_scale=init_scale,
        center=None,
        early_stopping=False,
        fold_in_alpha=0,
        **options,
    ).fit(X)


@pytest.fixture(scope="module")
def least():
    """Return the least nuclear norm of each draw."""
    return [min_nuclear_norm(X, tol=1e-8).norm for X, _ in DATA]


def nuclear_norm(matrix):
    return np.linalg.norm(matrix, "nuc")


def distance(matrix, other, where=...):
    return np.linalg.norm((matrix - other)[where]) / np.linalg.norm(other[where])


def figures(init_scale, depth, least):
    """Return the means of a row of the table, and the richness."""
    rows = []
    for (X, truth), norm in zip(DATA, least):
        model = fit(X, init_scale, depth)
        found, hole = model.complete(), np.isnan(X)
        rows.append(
            (
                distance(found, truth, hole),
                nuclear_norm(found) / norm - 1,
                np.linalg.norm(found) / np.linalg.norm(X[~hole]) - 1,
                model.kernel_angle_,
                model.richness_,
            )
        )
    return np.mean(rows, axis=0)


@pytest.fixture(scope="module", params=[2, 3])
def depth(request):
    return request.param


@pytest.fixture(scope="module")
def measured(depth, least):
    return np.array([figures(scale, depth, least) for scale in TABLE])


def test_every_scale_from_rich_to_kernel(measured, depth):
    table = np.array([row[depth - 2] for row in TABLE.values()])
    # The flows end when the residual is 1e-4 of the data.
    np.testing.assert_allclose(measured[:, :4], table, rtol=0.02, atol=3e-4)


def test_regime_is_monotone_in_the_scale(measured):
    error, _, frobenius, angle, richness = measured.T
    for falling in (-error, frobenius, angle, richness):
        # Differences that are small at the ends drown in the end of the flow.
        assert np.all(np.diff(falling) < 1e-4)
    assert richness[0] > 0.99
    assert richness[-1] < 1e-4


def test_nuclear_norm_is_least_on_the_way(measured, least):
    # Smaller scales come near the least nuclear norm, but do not stay there: they go on
    # to rank one, whose nuclear norm is 5 % larger here.
    excess = measured[:, 1]
    place = np.argmin(excess)
    assert 0 < place < len(excess) - 1
    assert np.all(np.diff(excess[: place + 1]) < 0)
    assert np.all(np.diff(excess[place:]) > -1e-6)
    truth = np.mean([nuclear_norm(M) / n - 1 for (_, M), n in zip(DATA, least)])
    np.testing.assert_allclose(truth, 0.0480, rtol=0.01)
    assert excess[place] < truth


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_rich_end_is_the_first_greedy_point(depth):
    angle = angle_of_rank_one(depth)
    for X, truth in DATA:
        first = greedy_low_rank_path(X, max_rank=1)[1].matrix
        assert distance(first, truth) < 1e-8
        model = fit(X, 1e-6 if depth > 2 else 1e-30, depth)
        assert distance(model.complete(), first) < 1e-3
        assert abs(model.kernel_angle_ - angle) < 1e-3


def angle_of_rank_one(depth):
    """Return the angle between the identity and the kernel at a matrix of rank one.

    That kernel is ``depth`` on the matrix itself, and one on the others of its 2 d - 1
    tangent directions.
    """
    others = 2 * (SIZE - 1)
    trace, norm = depth + others, np.sqrt(depth**2 + others)
    return np.arccos(trace / (SIZE * norm))


@pytest.mark.parametrize("depth", [2, 3])
def test_kernel_end_learns_nothing(depth):
    X, _ = DATA[0]
    filled = min_frobenius_norm(X)
    np.testing.assert_array_equal(filled, np.nan_to_num(X))
    # The way there is quadratic, since a product started at zero is odd in the data.
    far, near = (
        np.linalg.norm(fit(X, scale, depth, tol=1e-12).complete()[np.isnan(X)])
        for scale in (10.0, 100.0)
    )
    np.testing.assert_allclose(far / near, 100, rtol=0.02)
    assert near < 1e-3
