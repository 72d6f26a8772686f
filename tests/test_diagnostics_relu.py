"""Diagnostics of ReLU networks against brute force on the function itself."""

from itertools import pairwise

import numpy as np
import pytest
from relu_reference import reference_flow

from skregimes._border import to_tensor
from skregimes.diagnostics import (
    curvature,
    kernel_richness,
    knot_clustering,
    knots,
    knots_near_samples,
    layer_imbalance,
    merge_knots,
    pattern_change,
    slope_total_variation,
)

RELU, ABS, LEAKY = (0.0, 1.0), (-1.0, 1.0), (0.01, 1.0)
each_activation = pytest.mark.parametrize(
    "slopes", [RELU, ABS, LEAKY], ids=["relu", "abs", "leaky"]
)


@pytest.fixture(params=["array", "tensor"])
def wrap(request):
    return np.asarray if request.param == "array" else to_tensor


def network(n_hidden=9, n_outputs=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n_hidden,) if n_outputs is None else (n_hidden, n_outputs)
    return rng.standard_normal((n_hidden, 2)), rng.standard_normal(shape)


def evaluate(x, hidden, output, slopes=RELU):
    z = np.outer(x, hidden[:, 0]) - hidden[:, 1]
    return np.where(z > 0, slopes[1] * z, slopes[0] * z) @ output


def bends(places, hidden, output, slopes):
    """Slope to the right minus slope to the left, by differences, at each place."""
    step = 1e-6
    before, at, after = (
        evaluate(places + shift, hidden, output, slopes) for shift in (-step, 0, step)
    )
    return (after - 2 * at + before) / step


# ------------------------------------------------------------------ richness


def test_kernel_richness(wrap):
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 5, 7))
    K0, K1 = A @ A.T, B @ B.T
    root = lambda K: np.sqrt(np.trace(K @ K))
    expected = root(K1 - K0) / (root(K0) + root(K1))
    assert kernel_richness(wrap(K0), wrap(K1)) == pytest.approx(expected, rel=1e-14)
    assert kernel_richness(K1, K0) == pytest.approx(expected, rel=1e-14)
    assert kernel_richness(K0, K0) == 0.0


def test_kernel_richness_at_the_ends_of_the_floats():
    K, zero = np.eye(3), np.zeros((3, 3))
    assert kernel_richness(zero, zero) == 0.0
    assert kernel_richness(zero, K) == kernel_richness(K, zero) == 1.0
    assert kernel_richness(1e-300 * K, 3e-300 * K) == pytest.approx(0.5, rel=1e-14)
    assert kernel_richness(1e300 * K, -1e300 * K) == pytest.approx(1.0, rel=1e-14)
    assert kernel_richness(1e-300 * K, 1e300 * K) == 1.0
    # Opposite, nearly parallel, any: rounding must not leave [0, 1].
    rng = np.random.default_rng(1)
    assert all(kernel_richness(-K, K) <= 1 for K in rng.standard_normal((200, 7, 7)))


def test_kernel_richness_checks_its_input():
    with pytest.raises(ValueError, match="one shape"):
        kernel_richness(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="finite"):
        kernel_richness(np.eye(2), np.full((2, 2), np.inf))


# --------------------------------------------------------------------- knots


@each_activation
@pytest.mark.parametrize("n_outputs", [None, 1, 3])
def test_knots_are_where_the_function_bends(slopes, n_outputs, wrap):
    hidden, output = network(n_outputs=n_outputs)
    positions, changes = knots(wrap(hidden), wrap(output), slopes=slopes)
    assert changes.shape == output.shape
    assert np.all(np.diff(positions) > 1e-4)
    np.testing.assert_allclose(
        changes, bends(positions, hidden, output, slopes), rtol=0, atol=1e-7
    )
    between = (positions[1:] + positions[:-1]) / 2
    assert np.abs(bends(between, hidden, output, slopes)).max() < 1e-8


def test_vanishing_units_have_no_knot():
    hidden = [[0.0, 1.0], [0.0, 0.0], [1e-320, 1.0], [2.0, 1.0], [-0.0, -1.0]]
    positions, changes = knots(hidden, [1.0, 1.0, 1.0, 3.0, 1.0])
    np.testing.assert_array_equal(positions, [0.5])
    np.testing.assert_array_equal(changes, [6.0])
    positions, changes = knots([[0.0, 1.0]], [[1.0, 2.0]])
    assert positions.shape == (0,)
    assert changes.shape == (0, 2)
    assert slope_total_variation([], []) == 0.0
    np.testing.assert_array_equal(slope_total_variation(positions, changes), [0, 0])
    assert curvature([], [], 0.1) == 0.0
    assert knots_near_samples([], [], [0, 1]) == knot_clustering([], [], [0, 1]) == 0.0


def test_merged_knots_bend_alike(wrap):
    # Three clumps, narrower than the tolerance and farther apart.
    rng = np.random.default_rng(0)
    clump = np.repeat([-1.0, 0.0, 2.0], 4)
    positions = rng.permutation(clump + 1e-4 * rng.uniform(-1, 1, 12))
    changes = rng.standard_normal((12, 2))
    places, merged = merge_knots(wrap(positions), wrap(changes), tolerance=1e-2)
    for k, center in enumerate([-1.0, 0.0, 2.0]):
        mine = np.abs(positions - center) < 0.5
        size = np.abs(changes[mine]).sum(axis=1)
        assert places[k] == pytest.approx(np.average(positions[mine], weights=size))
        np.testing.assert_allclose(merged[k], changes[mine].sum(axis=0), rtol=1e-12)
    assert len(places) == 3


def test_merging_does_not_chain():
    # Each is close to the next, but the last is far from the first.
    positions, _ = merge_knots(0.4 * np.arange(6), np.ones(6), tolerance=1.0)
    np.testing.assert_allclose(positions, [0.4, 1.6])
    positions, changes = merge_knots([3.0, 1.0, 3.0], [1.0, 2.0, -1.0], tolerance=0)
    np.testing.assert_array_equal(positions, [1.0, 3.0])
    np.testing.assert_array_equal(changes, [2.0, 0.0])
    # Weightless knots merge too.
    np.testing.assert_array_equal(merge_knots([1.0, 1.0], [0.0, 0.0])[0], [1.0])


@each_activation
@pytest.mark.parametrize("n_outputs", [None, 3])
def test_slope_total_variation_of_the_function(slopes, n_outputs):
    hidden, output = network(n_outputs=n_outputs)
    # Units 0 and 1 share a knot, 2 and 3 cancel each other.
    hidden[1] = -0.5 * hidden[0]
    hidden[3], output[3] = hidden[2], -output[2]
    positions, changes = knots(hidden, output, slopes=slopes)
    middle = np.unique(positions.round(7))
    x = np.concatenate(
        [[middle[0] - 1], (middle[1:] + middle[:-1]) / 2, [middle[-1] + 1]]
    )
    step = 1e-6
    slope = (
        evaluate(x + step, hidden, output, slopes) - evaluate(x, hidden, output, slopes)
    ) / step
    np.testing.assert_allclose(
        slope_total_variation(positions, changes),
        np.abs(np.diff(slope, axis=0)).sum(axis=0),
        rtol=1e-6,
    )
    assert np.ndim(slope_total_variation(positions, changes)) == output.ndim - 1
    assert np.all(
        np.abs(changes).sum(axis=0) > 1.01 * slope_total_variation(positions, changes)
    )


@pytest.mark.parametrize("n_outputs", [None, 2])
def test_curvature_is_the_integral_for_many_knots(n_outputs):
    # f'' = sin(x) on [0, 2 pi], whose square integrates to pi.
    rng = np.random.default_rng(0)
    positions = rng.permutation(np.linspace(0, 2 * np.pi, 20_000, endpoint=False))
    changes = np.sin(positions) * (2 * np.pi / 20_000)
    if n_outputs is not None:
        changes = np.column_stack([changes, 3 * changes])
    found = curvature(positions, changes, 2 * np.pi / 200)
    expected = np.pi if n_outputs is None else [np.pi, 9 * np.pi]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_curvature_by_hand():
    positions, changes = np.array([-0.1, 0.1, 0.2, 0.9]), np.array([1.0, 2.0, 3.0, 4.0])
    assert curvature(positions, changes, 0.5) == pytest.approx((1 + 25 + 16) / 0.5)


# --------------------------------------------------------- knots and samples


def test_knots_near_samples_and_clustering_one_by_one(wrap):
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 6))
    positions = rng.uniform(-1.5, 1.5, 300)
    changes = rng.standard_normal((300, 2))
    near = far = total = 0.0
    for position, change in zip(positions, changes):
        for low, high in pairwise(x):
            if low <= position <= high:
                distance = min(position - low, high - position) / ((high - low) / 2)
                size = np.abs(change).sum()
                near += size * (distance < 0.1)
                far += size * distance
                total += size
    arguments = wrap(positions), wrap(changes), wrap(x[::-1].copy()[:, None])
    assert knots_near_samples(*arguments, radius=0.1) == pytest.approx(near / total)
    assert knot_clustering(*arguments) == pytest.approx(1 - 2 * far / total)


def test_even_knots_samples_and_midpoints():
    x = np.array([-1.0, -0.2, 0.1, 1.0])
    even = np.linspace(-1, 1, 20_001)
    ones = np.ones_like(even)
    assert knots_near_samples(even, ones, x) == pytest.approx(0.02, abs=1e-3)
    assert knot_clustering(even, ones, x) == pytest.approx(0.0, abs=1e-3)
    # By rounding a kink that sticks to the last sample lies beyond it.
    stuck, jumps = x * (1 + 1e-15), [1.0, -2.0, 1.0, 1.0]
    assert knots_near_samples(stuck, jumps, x) == 1.0
    assert knot_clustering(stuck, jumps, x) == pytest.approx(1.0)
    middle = (x[1:] + x[:-1]) / 2
    assert knots_near_samples(middle, jumps[1:], x, radius=0.9) == 0.0
    assert knot_clustering(middle, jumps[1:], x) == pytest.approx(-1.0)
    # Beyond the samples, or without weight, nothing counts.
    assert knot_clustering([2.0, 0.0], [1.0, 0.0], x) == 0.0


# ------------------------------------------------------------- units, layers


def test_pattern_change_counts_switches(wrap):
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 5, 3))
    X = rng.standard_normal((7, 2))
    switched = [
        (a[:2] @ x - a[2] > 0) != (b[:2] @ x - b[2] > 0)
        for a, b in zip(first, second)
        for x in X
    ]
    inputs = np.column_stack([X, -np.ones(7)])
    found = pattern_change(wrap(first), wrap(second), wrap(inputs))
    assert found == pytest.approx(np.mean(switched), rel=1e-14)
    assert pattern_change(first, 2 * first, inputs) == 0.0


@pytest.mark.parametrize("n_outputs", [None, 2])
def test_gradient_flow_conserves_the_layer_imbalance(n_outputs, wrap):
    hidden, output = network(6, n_outputs)
    x = np.linspace(-1, 1, 5)[:, None]
    y = np.sin(4 * x[:, 0]) if n_outputs is None else np.sin([1, 4] * x)
    [(later, weights)] = reference_flow(x, y, hidden, output, [2.0])
    start = layer_imbalance(wrap(hidden), wrap(output))
    assert np.abs(later - hidden).max() > 0.05
    np.testing.assert_allclose(layer_imbalance(later, weights), start, atol=1e-9)
    unit = 3
    size = np.sum(np.square(output[unit]))
    assert start[unit] == pytest.approx(size - np.linalg.norm(hidden[unit]) ** 2)


# -------------------------------------------------------------------- input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: knots(np.ones((2, 3)), np.ones(2)), "2 columns"),
        (lambda: knots(np.ones((2, 2)), np.ones(3)), "one row for each"),
        (lambda: knots([[1.0, np.nan]], [1.0]), "finite"),
        (lambda: merge_knots([1.0], [1.0, 2.0]), "one row for each"),
        (lambda: merge_knots([np.inf], [1.0]), "finite"),
        (lambda: merge_knots([1.0], [1.0], tolerance=-1), "must not be negative"),
        (lambda: curvature([1.0], [1.0], 0), "must be positive"),
        (lambda: knots_near_samples([1.0], [1.0], [0, 1], radius=0), "radius"),
        (lambda: knot_clustering([1.0], [1.0], [2.0, 2.0]), "two different"),
        (lambda: pattern_change(np.ones((2, 3)), np.ones((1, 3)), [[1]]), "one shape"),
        (lambda: pattern_change(np.ones((2, 3)), np.ones((2, 3)), [[1]]), "columns"),
        (lambda: layer_imbalance(np.ones((2, 3)), np.ones(1)), "one row for each"),
    ],
)
def test_input_is_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()
