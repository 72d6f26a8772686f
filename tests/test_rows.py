"""Reduced rows carry the same loss, gradient and dual as the data they came from."""

import numpy as np
import pytest
import scipy.linalg as sla
from scipy.optimize import brentq

from skregimes.flows.rows import Rows


def wide(rng):
    return rng.standard_normal((5, 9))


def tall(rng):
    return rng.standard_normal((12, 4))


def deficient(rng):
    return rng.standard_normal((12, 3)) @ rng.standard_normal((3, 6))


def repeated(rng):
    return np.tile(rng.standard_normal((3, 7)), (2, 1))


each_table = pytest.mark.parametrize("make", [wide, tall, deficient, repeated])


def reduce(make, seed=0, n_targets=2, weighted=True):
    rng = np.random.default_rng(seed)
    X = make(rng)
    Y = rng.standard_normal((n_targets, len(X)))
    weight = rng.uniform(0.1, 3.0, len(X)) if weighted else np.ones(len(X))
    rows = Rows.reduce(np.array(X.T, order="C"), Y, weight if weighted else None)
    return X, Y, weight, rows


@each_table
@pytest.mark.parametrize("weighted", [True, False])
def test_the_loss_is_that_of_the_data(make, weighted):
    X, Y, weight, rows = reduce(make, weighted=weighted)
    share = weight / weight.sum()
    for beta in np.random.default_rng(1).standard_normal((4, X.shape[1])):
        whole = (Y - X @ beta) ** 2 @ share
        reduced = np.sum((rows.y - beta @ rows.XT) ** 2, axis=1) + rows.rest
        np.testing.assert_allclose(reduced, whole, rtol=1e-12)


@each_table
def test_the_gradient_and_the_infimum_are_those_of_the_data(make):
    X, Y, weight, rows = reduce(make)
    share = weight / weight.sum()
    np.testing.assert_allclose(rows.correlation, (Y * share) @ X, atol=1e-13)
    root = np.sqrt(share)
    best = np.linalg.lstsq(root[:, None] * X, (root * Y).T, rcond=1e-9)[0]
    rest = (Y - (X @ best).T) ** 2 @ share
    np.testing.assert_allclose(rows.rest, rest, atol=1e-13)
    np.testing.assert_allclose(
        rows.column_norms2, np.sum(X**2 * share[:, None], axis=0), rtol=1e-12
    )


@each_table
def test_the_spectrum_is_that_of_the_data(make):
    X, _, weight, rows = reduce(make)
    root = np.sqrt(weight / weight.sum())
    singular = np.linalg.svd(root[:, None] * X, compute_uv=False)
    rank = np.linalg.matrix_rank(X)
    assert rows.rank == rank
    np.testing.assert_allclose(np.sqrt(rows.eigvals[::-1]), singular[:rank], rtol=1e-9)
    assert rows.XT.shape == (X.shape[1], min(X.shape))
    np.testing.assert_allclose(rows.eigvecs.T @ rows.eigvecs, np.eye(rank), atol=1e-12)
    # Targets keep nothing that the features cannot reach.
    np.testing.assert_allclose(
        rows.y @ rows.eigvecs @ rows.eigvecs.T, rows.y, atol=1e-13
    )


@each_table
def test_the_dual_of_the_samples_has_the_same_pull(make):
    X, _, _, rows = reduce(make)
    dual = np.random.default_rng(2).standard_normal((3, rows.XT.shape[1]))
    np.testing.assert_allclose(
        rows.dual_of_samples(dual) @ X, dual @ rows.XT.T, atol=1e-12
    )
    one = rows.dual_of_samples(dual[0])
    np.testing.assert_allclose(one, rows.dual_of_samples(dual)[0], rtol=1e-14)


def test_weights_are_repetitions():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((4, 9)), rng.standard_normal((1, 4))
    count = np.array([1, 3, 2, 1])
    weighted = Rows.reduce(X.T.copy(), Y, count.astype(float))
    again = Rows.reduce(np.repeat(X, count, axis=0).T.copy(), np.repeat(Y, count, 1))
    np.testing.assert_allclose(weighted.correlation, again.correlation, rtol=1e-12)
    np.testing.assert_allclose(weighted.eigvals, again.eigvals, rtol=1e-12)
    np.testing.assert_allclose(weighted.typical_coef, again.typical_coef, rtol=1e-9)


def test_take_keeps_some_targets():
    _, _, _, rows = reduce(tall, n_targets=3)
    assert rows.correlation.shape == (3, 4)
    part = rows.take([2, 0])
    np.testing.assert_array_equal(part.y, rows.y[[2, 0]])
    np.testing.assert_array_equal(part.rest, rows.rest[[2, 0]])
    np.testing.assert_allclose(part.correlation, rows.correlation[[2, 0]], rtol=1e-13)


def test_marginal_coef_is_the_largest_simple_regression():
    X, Y, weight, rows = reduce(wide)
    single = [
        max(abs(np.polyfit(x, y, 1, w=np.sqrt(weight))[0]) for x in X.T) for y in Y
    ]
    # A regression through zero, so the data are centred for polyfit's intercept.
    share = weight / weight.sum()
    Xc, Yc = X - share @ X, Y - (Y @ share)[:, None]
    centred = Rows.reduce(Xc.T.copy(), Yc, weight)
    np.testing.assert_allclose(centred.marginal_coef, single, rtol=1e-10)
    assert np.all(rows.marginal_coef > 0)


@each_table
def test_typical_coef_is_that_of_linear_flow_at_half_of_the_variance(make):
    X, Y, weight, rows = reduce(make)
    share = weight / weight.sum()
    G, d = X.T @ (share[:, None] * X), X.shape[1]
    pull = (Y * share) @ X

    def flow(t, b):
        # beta' = b - G beta from zero, by the exponential of an augmented matrix.
        block = np.zeros((d + 1, d + 1))
        block[:d, :d], block[:d, d] = -G, b
        return sla.expm(t * block)[:d, d]

    for j, y in enumerate(Y):
        unreached = rows.rest[j]
        start = share @ y**2 - unreached

        def left(log_t, y=y, b=pull[j], start=start, unreached=unreached):
            beta = flow(np.exp(log_t), b)
            return (share @ (y - X @ beta) ** 2 - unreached) / start - 0.5

        beta = flow(np.exp(brentq(left, -5, 5, xtol=1e-13)), pull[j])
        expected = np.sqrt(np.mean(beta**2))
        assert rows.typical_coef[j] == pytest.approx(expected, rel=1e-8)


def test_no_signal_asks_for_nothing():
    rows = Rows.reduce(np.zeros((3, 4)), np.ones((1, 4)))
    assert rows.rank == 0
    assert rows.rest == pytest.approx([1.0])
    for size in (rows.typical_coef, rows.marginal_coef):
        np.testing.assert_array_equal(size, [0.0])
    rows = Rows.reduce(np.eye(3), np.zeros((1, 3)))
    np.testing.assert_array_equal(rows.typical_coef, [0.0])


@pytest.mark.parametrize("shape", [(3, 6), (6, 3)])
def test_overflow_is_said(shape):
    with pytest.raises(ValueError, match="divide X by its size"):
        Rows.reduce(np.full(shape, 1e200), np.ones((1, shape[1])))
