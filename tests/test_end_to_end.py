"""The flow of a product against the flow of its factors."""

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

from skregimes.limits import end_to_end_flow
from skregimes.limits._checks import LimitError
from skregimes.limits.end_to_end import _gains, _precondition

D1, D2, WIDTH = 6, 5, 7
TIMES = [0.0, 0.3, 1.0, 3.0]


def weighted_loss(seed):
    """Return the gradient of a weighted distance to a random matrix."""
    rng = np.random.default_rng(seed)
    target = rng.standard_normal((D1, D2))
    weight = rng.uniform(0.2, 1, (D1, D2))
    return lambda M: weight * (M - target)


def orthonormal(rng, n, k):
    return np.linalg.qr(rng.standard_normal((n, k)))[0]


def balanced_factors(seed, depth, values, width=WIDTH):
    """Return balanced factors whose product has the given singular values."""
    rng, k = np.random.default_rng(seed), len(values)
    sizes = [D2, *[width] * (depth - 1), D1]
    ends = [orthonormal(rng, size, k) for size in sizes]
    root = np.asarray(values) ** (1 / depth)
    return [root * b @ a.T for a, b in pairwise(ends)]


def product(factors):
    M = factors[0]
    for W in factors[1:]:
        M = W @ M
    return M


def factor_flow(gradient, factors, times):
    """Return the products of factors under gradient flow."""
    shapes = [W.shape for W in factors]
    cuts = np.cumsum([W.size for W in factors])[:-1]
    split = lambda w: [
        part.reshape(shape) for part, shape in zip(np.split(w, cuts), shapes)
    ]

    def velocity(_, w):
        factors = split(w)
        G = gradient(product(factors))
        steps = []
        for j in range(len(factors)):
            before = product([np.eye(D2), *factors[:j]])
            after = product([np.eye(factors[j].shape[0]), *factors[j + 1 :]])
            steps.append((after.T @ G @ before.T).ravel())
        return -np.concatenate(steps)

    start = np.concatenate([W.ravel() for W in factors])
    flow = solve_ivp(
        velocity,
        (0, times[-1]),
        start,
        "DOP853",
        t_eval=times,
        rtol=1e-12,
        atol=1e-15,
    )
    return np.array([product(split(w)) for w in flow.y.T])


@pytest.mark.parametrize(
    "values",
    [[0.5, 0.3, 0.2, 0.1, 0.05], [0.5, 0.1], [0.1] * 5, [1e-4] * 5],
    ids=["full", "rank 2", "ties", "small"],
)
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_equals_the_flow_of_balanced_factors(depth, values):
    gradient, factors = weighted_loss(0), balanced_factors(1, depth, values)
    expected = factor_flow(gradient, factors, TIMES)
    path = end_to_end_flow(gradient, expected[0], depth, TIMES)
    assert_allclose(path, expected, rtol=0, atol=1e-8)
    # The rank stays, and so does each singular value's sign of life.
    s = np.linalg.svdvals(path)
    assert np.all(s[:, len(values) :] < 1e-10)
    assert np.all(s[:, len(values) - 1] > 1e-6)


@pytest.mark.parametrize("depth", [2, 3, 5, 40])
def test_singular_values_grow_by_their_own_power(depth):
    gradient, step = weighted_loss(2), 1e-3 / depth
    M0 = product(balanced_factors(3, 2, [0.9, 0.5, 0.3, 0.2, 0.1]))
    times = 0.2 / depth + step * np.arange(3)
    before, middle, after = end_to_end_flow(gradient, M0, depth, times)
    U, s, Vt = np.linalg.svd(middle, full_matrices=False)
    growth = (np.linalg.svdvals(after) - np.linalg.svdvals(before)) / (2 * step)
    drive = np.einsum("ir,ij,rj->r", U, gradient(middle), Vt)
    expected = -depth * s ** (2 - 2 / depth) * drive
    assert_allclose(growth, expected, atol=1e-5 * np.max(np.abs(expected)))


@pytest.mark.parametrize("depth", [2, 3, 7])
@pytest.mark.parametrize("rank", [2, 5])
def test_velocity_is_the_sum_of_powers(depth, rank):
    rng = np.random.default_rng(4)
    M = rng.standard_normal((D1, rank)) @ rng.standard_normal((rank, D2))
    G = rng.standard_normal((D1, D2))

    def power(gram, p):
        values, vectors = np.linalg.eigh(gram)
        values[:-rank] = 0.0
        return vectors * values**p @ vectors.T

    expected = sum(
        power(M @ M.T, (depth - p) / depth) @ G @ power(M.T @ M, (p - 1) / depth)
        for p in range(1, depth + 1)
    )
    assert_allclose(_precondition(M, G, rank, depth), expected, atol=1e-11)


def test_gains_of_infinite_depth_integrate_the_powers():
    left, right = np.array([2.0, 1.0, 0.3, 0.0]), np.array([1.0, 0.3, 0.0])
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t, weights = (nodes + 1) / 2, weights / 2
    expected = np.zeros((4, 3))
    for i in range(3):
        for j in range(2):
            powers = left[i] ** (2 * (1 - t)) * right[j] ** (2 * t)
            expected[i, j] = weights @ powers
    assert_allclose(_gains(left, right, math.inf), expected, rtol=1e-13)
    for depth in (10**3, 10**6):
        finite = _gains(left[:3], right[:2], depth) / depth
        assert_allclose(finite, expected[:3, :2], rtol=10 / depth)


@pytest.mark.parametrize(
    ("depth", "tie"),
    [(2, 2 * 0.7), (3, 3 * 0.7 ** (4 / 3)), (math.inf, 0.7**2)],
)
def test_gains_at_and_near_ties(depth, tie):
    for gap in (0.0, 1e-16, 1e-12, 1e-8):
        gains = _gains(np.array([0.7]), np.array([0.7 * (1 + gap)]), depth)
        assert_allclose(gains, tie, rtol=2 * gap + 1e-14)


def test_many_layers_near_infinitely_many():
    gradient = weighted_loss(5)
    M0 = product(balanced_factors(6, 2, [0.9, 0.5, 0.3, 0.2, 0.1]))
    limit = end_to_end_flow(gradient, M0, math.inf, 2.0)
    errors = [
        np.max(np.abs(end_to_end_flow(gradient, M0, depth, 2.0 / depth) - limit))
        for depth in (10, 100, 1000)
    ]
    # Of order 1 / depth.
    assert_allclose(np.divide(errors[:-1], errors[1:]), 10, rtol=0.25)
    assert errors[-1] < 1e-2


def test_infinite_depth_keeps_rows_and_columns():
    gradient = weighted_loss(7)
    M0 = product(balanced_factors(8, 2, [0.9, 0.5]))
    M = end_to_end_flow(gradient, M0, math.inf, 3.0)
    U, _, Vt = np.linalg.svd(M0)
    inside = U[:, :2] @ (U[:, :2].T @ M @ Vt[:2].T) @ Vt[:2]
    assert_allclose(inside, M, atol=1e-9)
    assert np.max(np.abs(M - M0)) > 0.1


def test_times():
    gradient = weighted_loss(9)
    M0 = product(balanced_factors(0, 2, [0.5, 0.2]))
    path = end_to_end_flow(gradient, M0, 3, [0.5, 1.0])
    assert path.shape == (2, D1, D2)
    assert_allclose(end_to_end_flow(gradient, M0, 3, 1.0), path[1], atol=1e-9)
    assert_allclose(end_to_end_flow(gradient, M0, 3, 0.0), M0, rtol=1e-15)
    assert not end_to_end_flow(gradient, 0 * M0, 3, [1.0, 2.0]).any()
    turned = end_to_end_flow(lambda M: gradient(M.T).T, M0.T, 3, 1.0)
    assert_allclose(turned.T, path[1], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"M0": np.zeros((0, 2))}, "empty"),
        ({"M0": [1.0]}, "2-D"),
        ({"depth": 1}, "depth must be an integer of at least 2"),
        ({"depth": 2.5}, "depth must be an integer of at least 2"),
        ({"depth": -math.inf}, "depth must be an integer of at least 2"),
        ({"times": []}, "times must be at least 0"),
        ({"times": -1.0}, "times must be at least 0"),
        ({"times": [1.0, 1.0]}, "times must be at least 0 and increasing"),
        ({"times": math.inf}, "infinity"),
        ({"rtol": 0.0}, "rtol must be between"),
        ({"gradient": lambda M: M[0]}, "must be 2-D"),
        ({"gradient": lambda M: M[:1]}, r"has shape \(1, 2\)"),
        ({"gradient": lambda M: M / 0 * 0}, "NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_arguments(change, message):
    arguments = {"gradient": lambda M: M, "M0": np.eye(2), "depth": 2, "times": 1.0}
    with pytest.raises(ValueError, match=message):
        end_to_end_flow(**arguments | change)


def test_a_flow_that_explodes():
    with pytest.raises(LimitError, match="could not be followed"):
        end_to_end_flow(lambda M: -(M**3), np.eye(2), 2, 10.0)
