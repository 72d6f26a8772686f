"""Units and merging of samples against their definitions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skregimes._samples import Samples, spread_rows


def table(n=12, d=3, q=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * [1.0, 10.0, 0.01][:d] + [5.0, -3.0, 0.0][:d]
    return X, rng.standard_normal((n, q)) + 1, rng.uniform(0.5, 2, n)


def build(X, Y, weight=None, *, center=True, standardize=True, like=None):
    weight = np.ones(len(X)) if weight is None else weight
    return Samples.build(
        X, Y, weight, center=center, standardize=standardize, like=like
    )


def assert_same(samples, other, error=1e-13):
    for name in ("X", "Y", "weight", "x_shift", "x_scale", "y_shift", "y_unit"):
        first, second = getattr(samples, name), getattr(other, name)
        size = np.max(np.abs(second), initial=1e-300)
        assert_allclose(first, second, rtol=0, atol=error * size, err_msg=name)
    assert_allclose(samples.spread, other.spread, rtol=1e-12, atol=1e-15)


def test_units_by_their_definitions():
    X, Y, weight = table()
    samples = build(X, Y, weight)
    share = weight / weight.sum()
    assert_allclose(samples.weight.sum(), 1, rtol=1e-15)
    assert_allclose(samples.weight @ samples.X, 0, atol=1e-14)
    deviation = np.sqrt(samples.weight @ samples.X**2)
    assert_allclose(deviation, deviation[0], rtol=1e-13)
    assert_allclose(np.linalg.norm(samples.X, axis=1).max(), 1, rtol=1e-14)
    assert_allclose(samples.weight @ samples.Y, 0, atol=1e-14)
    assert_allclose(np.abs(samples.Y).max(), 1, rtol=1e-14)
    assert samples.spread < 1e-30
    assert_allclose(samples.x_shift, share @ X, rtol=1e-13)
    assert_allclose(samples.y_shift, share @ Y, rtol=1e-13)
    # The way back, in the order of np.unique.
    order = np.lexsort(X.T[::-1])
    assert_allclose(samples.X * samples.x_scale + samples.x_shift, X[order])
    assert_allclose(samples.Y * samples.y_unit + samples.y_shift, Y[order])
    assert_allclose(samples.weight, share[order])


@pytest.mark.parametrize("center", [True, False])
def test_units_can_be_left_alone(center):
    X, Y, weight = table()
    samples = build(X, Y, weight, center=center, standardize=False)
    assert_allclose(samples.x_scale, 1)
    shift = weight @ X / weight.sum() if center else np.zeros(3)
    assert_allclose(samples.x_shift, shift, rtol=1e-13)
    assert_allclose(samples.X, np.unique(X, axis=0) - shift, atol=1e-13)
    assert np.any(samples.y_shift) == center


def test_repetitions_are_merged():
    X, Y, weight = table(n=6)
    rows = np.array([0, 1, 1, 2, 3, 3, 3, 4, 5])
    rng = np.random.default_rng(1)
    Y, weight = rng.standard_normal((9, 2)), rng.uniform(0.5, 2, 9)
    samples = build(X[rows], Y, weight)
    assert len(samples.X) == 6
    share, spread = weight / weight.sum(), 0.0
    for i in range(6):
        own = rows == i
        mean = share[own] @ Y[own] / share[own].sum()
        spread += share[own] @ ((Y[own] - mean) ** 2).sum(1) / samples.y_unit**2
        place = np.flatnonzero(
            np.isclose(samples.X * samples.x_scale + samples.x_shift, X[i]).all(1)
        )
        assert_allclose(samples.weight[place], share[own].sum())
        assert_allclose(
            samples.Y[place][0] * samples.y_unit + samples.y_shift, mean, rtol=1e-12
        )
    assert_allclose(samples.spread, spread, rtol=1e-12)


def test_merging_takes_a_constant_from_the_squared_error():
    X, _, _ = table(n=4)
    rows = np.array([0, 0, 1, 2, 2, 2, 3])
    rng = np.random.default_rng(1)
    Y, weight = rng.standard_normal((7, 2)), rng.uniform(0.5, 2, 7)
    samples = build(X[rows], Y, weight)
    fit = lambda Z: np.sin(Z @ np.array([[1.0, 2.0], [0.3, -1], [0.0, 2.0]]))
    merged = samples.weight @ ((fit(samples.X) - samples.Y) ** 2).sum(1)
    Z = (X[rows] - samples.x_shift) / samples.x_scale
    V = (Y - samples.y_shift) / samples.y_unit
    whole = weight / weight.sum() @ ((fit(Z) - V) ** 2).sum(1)
    assert_allclose(merged + samples.spread, whole, rtol=1e-12)


def test_weights_count_as_repetitions():
    X, Y, _ = table()
    times = np.array([1, 2, 3, 1, 0, 1, 4, 1, 1, 0, 2, 1])
    weighted = build(X, Y, times.astype(float))
    repeated = build(np.repeat(X, times, 0), np.repeat(Y, times, 0))
    assert len(weighted.X) == np.count_nonzero(times)
    assert_same(weighted, repeated)
    assert_same(build(X, Y, 1e-200 * times), weighted)
    assert_same(build(X, Y, 1e300 * times), weighted)


def test_order_does_not_matter():
    X, Y, weight = table()
    order = np.random.default_rng(3).permutation(12)
    assert_same(build(X[order], Y[order], weight[order]), build(X, Y, weight))


def test_zeros_of_either_sign_are_one_place():
    samples = build(np.array([[0.0], [-0.0], [1.0]]), np.array([[1.0], [3.0], [0.0]]))
    assert len(samples.X) == 2
    assert_allclose(samples.weight, [2 / 3, 1 / 3])


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -1e150, 1e-150])
def test_constant_features_are_only_shifted(constant):
    X, Y, weight = table(d=2)
    with_constant = np.column_stack([X, np.full(12, constant)])
    samples, plain = build(with_constant, Y, weight), build(X, Y, weight)
    assert_allclose(samples.X[:, 2], 0, atol=1e-14)
    assert_allclose(samples.X[:, :2], plain.X, rtol=1e-13, atol=1e-15)
    assert_allclose(samples.x_shift[2], constant, rtol=1e-15)


def test_everything_constant():
    samples = build(np.ones((5, 2)), np.full((5, 1), 0.1))
    assert_allclose(samples.X, np.zeros((1, 2)))
    assert_allclose(samples.Y, [[0.0]])
    assert samples.y_unit == 1
    assert samples.spread == 0


@pytest.mark.parametrize("size", [1e-150, 1e-8, 1e150])
def test_units_follow_the_scale_of_the_data(size):
    X, Y, weight = table()
    samples, plain = build(size * X, size * Y, weight), build(X, Y, weight)
    assert_allclose(samples.X, plain.X, rtol=1e-12, atol=1e-14)
    assert_allclose(samples.Y, plain.Y, rtol=1e-12, atol=1e-14)
    assert_allclose(samples.x_scale, size * plain.x_scale, rtol=1e-12)
    assert_allclose(samples.y_unit, size * plain.y_unit, rtol=1e-12)
    mixed = build(X * [size, 1.0, 1 / size], Y, weight)
    assert_allclose(mixed.X, plain.X, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("center", [True, False])
def test_units_can_be_lent(center):
    X, Y, weight = table()
    whole = build(X, Y, weight, center=center)
    part = build(X[:5] + 1, 7 * Y[:5], weight[:5], center=center, like=whole)
    order = np.lexsort(X[:5].T[::-1])
    assert_allclose(part.X, ((X[:5] + 1 - whole.x_shift) / whole.x_scale)[order])
    assert_allclose(part.Y, ((7 * Y[:5] - whole.y_shift) / whole.y_unit)[order])
    assert_allclose(part.weight, (weight[:5] / weight[:5].sum())[order])
    for name in ("x_shift", "x_scale", "y_shift", "y_unit"):
        assert np.all(getattr(part, name) == getattr(whole, name))


def test_single_precision_and_integers_come_as_float64():
    X, Y, weight = table()
    X32 = X.astype(np.float32)
    assert_same(build(X32, Y, weight), build(X32.astype(float), Y, weight))
    counts = np.arange(24).reshape(12, 2) ** 2
    assert_same(build(counts, Y), build(counts.astype(float), Y))


def test_arguments_are_left_alone():
    X, Y, weight = table()
    for array in (X, Y, weight):
        array.setflags(write=False)
    build(X, Y, weight)


def test_spread_rows():
    assert_allclose(spread_rows(5, 10), np.arange(5))
    rows = spread_rows(1001, 11)
    assert_allclose(rows, 100 * np.arange(11))
    assert len(spread_rows(10, 7)) == 7
