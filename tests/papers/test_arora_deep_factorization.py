"""Arora et al., "Implicit Regularization in Deep Matrix Factorization" (2019).

Their matrix completion: 100 x 100, rank 5, Frobenius norm 100, factors of width 100
with Gaussian entries. The reference values come from an independent implementation of
the flow, run on the same data from the same start.
"""

import numpy as np
import pytest
from scipy.integrate import quad

from skregimes import MatrixFactorizer
from skregimes.datasets import make_low_rank_matrix_completion
from skregimes.diagnostics import effective_rank
from skregimes.limits import end_to_end_flow, min_nuclear_norm

SIZE, RANK = 100, 5
# End-to-end scale of the start: (relative error, effective rank) for depths 2, 3, 4.
TABLE = {
    1.0: ((0.771, 43.7), (0.681, 31.3), (0.716, 25.7)),
    1e-1: ((0.552, 22.7), (0.191, 9.49), (0.129, 7.61)),
    1e-2: ((0.386, 13.3), (0.0208, 5.48), (0.00757, 5.21)),
    1e-3: ((0.264, 9.38), (0.00203, 5.02), (0.00069, 4.98)),
    1e-4: ((0.177, 7.47), (0.00040, 4.96), (0.00024, 4.96)),
}
FAST = [(2, 1e-1), (2, 1e-3), (3, 1e-1), (3, 1e-3)]


def draw(n_observed, seed, size=SIZE, rank=RANK):
    return make_low_rank_matrix_completion(
        (size, size),
        rank=rank,
        n_observed=n_observed,
        random_state=seed,
        return_matrix=True,
    )


def fit(X, depth, scale, **options):
    """Fit from Gaussian factors, at an end-to-end scale in the units of the paper."""
    alpha = scale ** (1 / depth) * len(X) ** -0.5
    options = {"init": "gaussian", "random_state": 1} | options
    return MatrixFactorizer(
        depth=depth,
        init_scale=alpha,
        units="paper",
        center=None,
        early_stopping=False,
        fold_in_alpha=0,
        **options,
    ).fit(X)


def error(matrix, truth):
    return np.linalg.norm(matrix - truth) / np.linalg.norm(truth)


# -- depth against scale ---------------------------------------------------------------


@pytest.fixture(scope="module")
def few():
    """Return 2000 of 10 000 entries, and the matrix."""
    return draw(2000, 0)


@pytest.fixture(scope="module")
def fitted(few):
    """Return a function that fits each depth and scale once."""
    known = {}

    def get(depth, scale):
        if (depth, scale) not in known:
            known[depth, scale] = fit(few[0], depth, scale)
        return known[depth, scale]

    return get


@pytest.mark.parametrize(
    ("depth", "scale"),
    [
        pair if pair in FAST else pytest.param(*pair, marks=pytest.mark.slow)
        for pair in [(depth, scale) for depth in (2, 3, 4) for scale in TABLE]
    ],
)
def test_depth_against_scale(few, fitted, depth, scale):
    expected, rank = TABLE[scale][depth - 2]
    model = fitted(depth, scale)
    # The flows end when the residual is 1e-4 of the data.
    found = error(model.complete(), few[1])
    np.testing.assert_allclose(found, expected, rtol=0.03, atol=1e-4)
    np.testing.assert_allclose(model.effective_rank_, rank, rtol=0.01)


def test_depth_three_finds_what_the_nuclear_norm_does_not(few, fitted):
    X, truth = few
    shallow, deep = (error(fitted(L, 1e-3).complete(), truth) for L in (2, 3))
    convex = min_nuclear_norm(X, tol=1e-4).matrix
    assert deep < 0.01
    assert shallow > 0.15
    # Seeds 0 to 7 give 0.14 to 0.28.
    np.testing.assert_allclose(error(convex, truth), 0.266, rtol=0.01)
    np.testing.assert_allclose(effective_rank(convex), 8.82, rtol=0.01)


def test_depth_sharpens_the_rise_of_singular_values(fitted):
    two, three = (rises(fitted(depth, 1e-3))[1] for depth in (2, 3))
    np.testing.assert_allclose([two[0], three[0]], [0.56, 0.056], rtol=0.1)
    assert np.all(three < 0.5 * two)


def rises(model, count=RANK):
    """Return when each value is at half of its end, and how long it takes for that.

    As a share of that time: from 10 to 90 per cent.
    """
    path = model.trajectory_
    values = path.singular_values[:, :count]
    start, middle, end = (
        np.array([np.interp(q * s[-1], s, path.time) for s in values.T])
        for q in (0.1, 0.5, 0.9)
    )
    return middle, (end - start) / middle


# -- singular values one by one --------------------------------------------------------

SPECTRUM = np.array([30.0, 10.0, 3.0, 1.0])


def exact_time(value, depth, scale, share):
    """Return when ``ds/dt = L s**(2 - 2/L) (value - s)``, s(0) = scale, is at a share.

    So moves each singular value of a matrix all of whose entries are observed, from a
    balanced start along its singular vectors.
    """

    def slowness(log_s):  # dt / dlog(s)
        s = np.exp(log_s)
        return s ** (2 / depth - 1) / (depth * (value - s))

    ends = np.log([scale, share * value])
    return quad(slowness, *ends, epsabs=0, epsrel=1e-10, limit=200)[0]


@pytest.mark.parametrize(
    ("depth", "scale"), [(2, 1e-3), (2, 1e-9), (3, 1e-3), (4, 1e-3)]
)
def test_singular_values_are_learned_one_by_one(depth, scale):
    random = np.random.default_rng(0)
    left, right = (
        np.linalg.qr(random.standard_normal((d, len(SPECTRUM))))[0] for d in (12, 9)
    )
    # The paper's alpha of a spectral start is the L-th root of the scale.
    model = MatrixFactorizer(
        len(SPECTRUM),
        depth=depth,
        init_scale=scale ** (1 / depth),
        units="paper",
        center=None,
        early_stopping=False,
        fold_in_alpha=0,
        rtol=1e-4,
    ).fit((left * SPECTRUM) @ right.T)
    times = np.array(
        [
            [exact_time(value, depth, scale, share) for value in SPECTRUM]
            for share in (0.1, 0.5, 0.9)
        ]
    )
    middle, sharpness = rises(model, len(SPECTRUM))
    np.testing.assert_allclose(middle, times[1], rtol=0.005)
    np.testing.assert_allclose(
        sharpness, (times[2] - times[0]) / times[1], rtol=0.05, atol=1e-3
    )
    # The next begins after the last has ended, if they are far enough apart.
    if depth > 2:
        assert np.all(times[0, 1:] > times[2, :-1])


@pytest.mark.parametrize(
    ("depth", "low", "high"), [(2, 0.38, 0.43), (3, 0.047, 0.064), (4, 0.013, 0.02)]
)
def test_relative_rise_hardly_depends_on_the_value(depth, low, high):
    # Of the five values of a 100 x 100 matrix of rank 5, at scale 1e-3.
    sharpness = [
        (exact_time(s, depth, 1e-3, 0.9) - exact_time(s, depth, 1e-3, 0.1))
        / exact_time(s, depth, 1e-3, 0.5)
        for s in (53.6, 47.2, 44.2, 41.6, 34.9)
    ]
    assert np.all(np.diff(sharpness) > 0)
    assert low < min(sharpness) < max(sharpness) < high


# -- how many entries it takes ---------------------------------------------------------

COUNTS = (200, 250, 300, 350, 400, 450, 550)


def recovered(n_observed, n_draws):
    """Return how often depth 2, depth 3 and the nuclear norm find 30 x 30 of rank 2."""
    found = []
    for seed in range(n_draws):
        X, truth = draw(n_observed, seed, size=30, rank=2)
        matrices = [
            *(
                fit(X, depth, 3e-3, rtol=1e-2, random_state=seed + 50).complete()
                for depth in (2, 3)
            ),
            min_nuclear_norm(X, tol=1e-5).matrix,
        ]
        found.append([error(matrix, truth) < 0.01 for matrix in matrices])
    return np.mean(found, axis=0)


def test_depth_three_needs_fewer_entries():
    two, three, convex = recovered(320, 3)
    assert two == convex == 0
    assert three == 1


@pytest.mark.slow
def test_phase_transition():
    share = np.array([recovered(count, 4) for count in COUNTS])
    half = [np.interp(0.5, column, COUNTS) for column in share.T]
    assert np.all(share[0] == 0)
    assert np.all(share[-3:, 1] == 1)
    two, three, convex = half
    assert three < 300 < convex < 425 < two


# -- two by two ------------------------------------------------------------------------


def test_nuclear_norm_does_not_choose_a_rank():
    # Of [[1, a], [b, 1]] with the corners observed, all positive semidefinite ones have
    # the nuclear norm 2: a = b in [-1, 1]. Depth decides where in between.
    X = np.array([[1.0, np.nan], [np.nan, 1.0]])
    np.testing.assert_allclose(min_nuclear_norm(X).norm, 2, rtol=1e-6)
    share = []
    for depth in (2, 3, 6):
        models = [
            MatrixFactorizer(
                depth=depth,
                init="gaussian",
                init_scale=0.05,
                center=None,
                early_stopping=False,
                fold_in_alpha=0,
                random_state=seed,
            ).fit(X)
            for seed in range(15)
        ]
        norms = [model.singular_values_.sum() for model in models]
        assert 1.999 < np.min(norms) < np.median(norms) < 2.03
        share.append(np.mean([model.effective_rank_ < 1.1 for model in models]))
    assert share[0] < 0.4 < share[1] < 0.85 < share[2]


@pytest.mark.slow
def test_deeper_balanced_products_choose_rank_one_more_often():
    # Determinants keep their sign. Negative ones must end next to rank one at any
    # depth; of the positive ones more and more do.
    share = {True: [], False: []}
    for depth in (2, 3, 6):
        ends = {True: [], False: []}
        for seed in range(60):
            start = 0.05 * np.random.default_rng(seed).standard_normal((2, 2))
            end = end_to_end_flow(
                lambda M: np.diag(np.diag(M) - 1), start, depth, 60.0, rtol=1e-4
            )
            ends[np.linalg.det(start) > 0].append(effective_rank(end) < 1.1)
        for sign in share:
            share[sign].append(np.mean(ends[sign]))
    assert share[False] == [1, 1, 1]
    assert share[True][0] < 0.1 < share[True][1] < 0.25 < share[True][2] < 0.5
