"""The greedy path against small starts, plain integration and stationarity."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

from skregimes.limits import greedy_low_rank_path
from skregimes.limits._checks import LimitError

D1, D2 = 6, 5


def completion(seed, values=(8.0, 2.5, 0.8), n=28):
    """Return a table with holes and the entries seen."""
    rng = np.random.default_rng(seed)
    P = np.linalg.qr(rng.standard_normal((D1, len(values))))[0]
    Q = np.linalg.qr(rng.standard_normal((D2, len(values))))[0]
    seen = np.zeros(D1 * D2, dtype=bool)
    seen[rng.choice(D1 * D2, n, replace=False)] = True
    seen = seen.reshape(D1, D2)
    return np.where(seen, P * values @ Q.T, np.nan), seen


def sensing(seed, n=22):
    table, _ = completion(seed, n=D1 * D2)
    A = np.random.default_rng(seed + 100).standard_normal((n, D1 * D2))
    return A, A @ table.ravel()


def residuals(table, seen):
    target = np.where(seen, table, 0.0)
    return lambda M: np.where(seen, M - target, 0.0)


def factor_flow(gradient, factors, time, method="LSODA"):
    """Return the products of factors along their gradient flow."""
    shapes = [W.shape for W in factors]
    cuts = np.cumsum([W.size for W in factors])[:-1]
    split = lambda w: [
        part.reshape(shape) for part, shape in zip(np.split(w, cuts), shapes)
    ]

    def chain(w):
        """Products of the first factors, up to each."""
        before = [np.eye(D2)]
        for W in split(w):
            before.append(W @ before[-1])
        return before

    def velocity(_, w):
        before, after, steps = chain(w), np.eye(D1), []
        G = gradient(before[-1])
        for W, first in zip(split(w)[::-1], before[-2::-1]):
            steps.append((after.T @ G @ first.T).ravel())
            after = after @ W
        return -np.concatenate(steps[::-1])

    start = np.concatenate([W.ravel() for W in factors])
    flow = solve_ivp(velocity, (0, time), start, method, rtol=1e-9, atol=1e-13)
    return np.array([chain(w)[-1] for w in flow.y.T])


def small_start(depth, scale, k=5):
    rng = np.random.default_rng(0)
    sizes = [D2, *[k] * (depth - 1), D1]
    alpha = scale ** (1 / depth) / np.sqrt(k)
    return [alpha * rng.standard_normal((b, a)) for a, b in pairwise(sizes)]


def distances(products, path):
    """Least relative distance of a trajectory to each point."""
    return [
        np.min(np.linalg.norm(products - point.matrix, axis=(1, 2)))
        / np.linalg.norm(point.matrix)
        for point in path[1:]
    ]


@pytest.mark.parametrize("seed", [9, 10])
def test_small_starts_pass_by_the_points(seed):
    table, seen = completion(seed)
    gradient = residuals(table, seen)
    path = greedy_low_rank_path(table, max_rank=3)
    assert [point.rank for point in path] == [0, 1, 2, 3]
    near = distances(factor_flow(gradient, small_start(2, 1e-12), 300), path)
    far = distances(factor_flow(gradient, small_start(2, 1e-3), 300), path)
    assert max(near) < 2e-4
    assert max(near) < max(far) / 50
    deep = distances(factor_flow(gradient, small_start(3, 1e-4), 300), path)
    assert max(deep) < 2e-4


def components(matrix, rank):
    """Return balanced factors of a matrix of known rank."""
    U, s, Vt = np.linalg.svd(matrix)
    root = np.sqrt(s[:rank])
    return U[:, :rank] * root, Vt[:rank].T * root


@pytest.mark.parametrize("kind", ["completion", "sensing"])
def test_each_point_is_where_the_flow_from_the_last_ends(kind):
    if kind == "completion":
        table, seen = completion(0)
        path = greedy_low_rank_path(table)
        gradient = residuals(table, seen)
    else:
        A, y = sensing(0)
        path = greedy_low_rank_path(A, y, (D1, D2))
        gradient = lambda M: ((A @ M.ravel() - y) @ A).reshape(D1, D2)
    assert path[-1].rank == 3
    for last, point in pairwise(path):
        U, _, Vt = np.linalg.svd(-gradient(last.matrix))
        left, right = components(last.matrix, last.rank)
        left = np.column_stack([left, 1e-4 * U[:, 0]])
        right = np.column_stack([right, 1e-4 * Vt[0]])
        time = 3000 if kind == "completion" else 300
        end = factor_flow(gradient, [right.T, left], time)[-1]
        assert_allclose(end, point.matrix, atol=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_points_are_stationary_and_losses_fall(seed):
    table, seen = completion(seed, n=22)
    table = table + 0.1 * np.random.default_rng(seed).standard_normal((D1, D2))
    gradient = residuals(table, seen)
    path = greedy_low_rank_path(table)
    losses = [point.loss for point in path]
    assert np.all(np.diff(losses) < 0)
    assert not path[0].matrix.any()
    assert losses[-1] < 1e-12 * losses[0]
    top = np.linalg.norm(gradient(path[0].matrix), 2)
    for point in path:
        G = gradient(point.matrix)
        assert_allclose(point.loss, np.sum(G**2) / 2, atol=1e-25)
        s = np.linalg.svdvals(point.matrix)
        assert np.all(s[point.rank :] <= 1e-13 * s[0])
        left, right = components(point.matrix, point.rank)
        assert_allclose(G @ right, 0, atol=1e-8 * top)
        assert_allclose(G.T @ left, 0, atol=1e-8 * top)


def test_a_full_table_gives_truncated_decompositions():
    M = np.random.default_rng(0).standard_normal((7, 4))
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    path = greedy_low_rank_path(M)
    assert len(path) == 5
    for k, point in enumerate(path):
        assert point.rank == k
        assert_allclose(point.matrix, U[:, :k] * s[:k] @ Vt[:k], atol=1e-9)
        assert_allclose(point.loss, np.sum(s[k:] ** 2) / 2, atol=1e-12)
    assert [point.rank for point in greedy_low_rank_path(M, max_rank=2)] == [0, 1, 2]
    assert [point.rank for point in greedy_low_rank_path(M, max_rank=0)] == [0]
    left = np.cumsum(s[::-1] ** 2)[::-1] / np.sum(s**2)
    short = greedy_low_rank_path(M, tol=1.01 * left[2])
    assert [point.rank for point in short] == [0, 1, 2]


def test_completion_is_a_case_of_sensing():
    table, seen = completion(1)
    A, y = np.eye(table.size)[seen.ravel()], table[seen]
    one = greedy_low_rank_path(table, max_rank=2)
    two = greedy_low_rank_path(A, y, (D1, D2), max_rank=2)
    for a, b in zip(one, two, strict=True):
        assert_allclose(a.matrix, b.matrix, atol=1e-7)


def test_units():
    table, _ = completion(9)
    path = greedy_low_rank_path(table, max_rank=2)
    for unit in (1e-12, 1e12):
        scaled = greedy_low_rank_path(unit * table, max_rank=2)
        for a, b in zip(path, scaled, strict=True):
            assert_allclose(b.matrix / unit, a.matrix, atol=1e-7)


def test_measurements_that_no_matrix_fits():
    A, y = sensing(2, n=45)
    y = y + np.random.default_rng(0).standard_normal(45)
    path = greedy_low_rank_path(A, y, (D1, D2))
    assert path[-1].rank == D2
    least = np.linalg.lstsq(A, y)[0]
    assert_allclose(path[-1].matrix.ravel(), least, atol=1e-8)
    # The least squares of twice the same measurements have rank 1.
    a = np.outer(np.ones(D1), np.arange(D2)).ravel()
    path = greedy_low_rank_path([a, a], [1.0, 2.0], (D1, D2))
    assert [point.rank for point in path] == [0, 1]
    assert_allclose(path[1].loss, 0.25)


def test_zero_measurements():
    (point,) = greedy_low_rank_path([[0.0, np.nan], [np.nan, 0.0]])
    assert (point.rank, point.loss) == (0, 0.0)


def test_a_flow_without_rest(monkeypatch):
    monkeypatch.setattr("skregimes.limits.greedy_low_rank._MAX_STEPS", 20)
    with pytest.raises(LimitError, match="rank 1 did not come to rest within 20"):
        greedy_low_rank_path(completion(0)[0])


def test_a_rank_whose_best_matrix_is_far_or_nowhere():
    # Of rank 1 the hole is 1 / x: far away for small x, infinite for none.
    for x in (1.0, 0.1):
        path = greedy_low_rank_path([[np.nan, 1.0], [1.0, x]])
        assert [point.rank for point in path] == [0, 1]
        assert_allclose(path[1].matrix[0, 0], 1 / x, rtol=1e-6)
    for x in (1e-3, 1e-12):
        table = [[np.nan, 1.0], [1.0, x]]
        with pytest.raises(LimitError, match=r"rank 1 has no limit.* max_rank=0"):
            greedy_low_rank_path(table)
        assert len(greedy_low_rank_path(table, max_rank=0)) == 1


def test_rest_at_a_saddle():
    # The first component alone is a fixed point of rank 1, but no minimum.
    with pytest.raises(LimitError, match="rank 1 rests where there is no minimum"):
        greedy_low_rank_path([[np.nan, 2.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measurements": [[np.nan]]}, "every place is a hole"),
        ({"y": [1.0]}, "shape must be two integers"),
        ({"max_rank": -1}, "max_rank must be an integer"),
        ({"max_rank": 1.5}, "max_rank must be an integer"),
        ({"tol": 0.0}, "tol must be positive"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        greedy_low_rank_path(**{"measurements": np.eye(2), **arguments})
