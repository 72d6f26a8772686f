"""Both ends against linear programming, pseudoinverses and optimality conditions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import hilbert
from scipy.optimize import linprog

from skregimes.limits import min_l1_norm, min_l2_norm
from skregimes.limits._checks import LimitError
from skregimes.limits._solver import NetworkLimit
from skregimes.limits.min_norms import _linear_program


def problem(seed, n, d):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def least_l1(X, y, weights):
    """Return the optimal value of the linear program."""
    answer = linprog(
        np.r_[weights, weights], A_eq=np.hstack([X, -X]), b_eq=y, bounds=(0, None)
    )
    return answer.fun


@pytest.mark.parametrize("shape", [(1, 4), (5, 12), (20, 60), (60, 300)])
@pytest.mark.parametrize("weighted", [False, True])
def test_l1_meets_the_linear_program(shape, weighted):
    X, y = problem(0, *shape)
    rng = np.random.default_rng(1)
    weights = np.exp(rng.standard_normal(shape[1])) if weighted else np.ones(shape[1])
    coef = min_l1_norm(X, y, weights=weights if weighted else None)
    assert_allclose(X @ coef, y, atol=1e-13 * np.max(np.abs(y)) * len(y))
    assert_allclose(weights @ np.abs(coef), least_l1(X, y, weights), rtol=1e-9)
    assert np.count_nonzero(coef) <= len(X)


def test_l1_recovers_a_sparse_vector():
    X, _ = problem(2, 30, 100)
    truth = np.zeros(100)
    truth[[3, 50, 99]] = 1.0, -2.0, 1e-3
    assert_allclose(min_l1_norm(X, X @ truth), truth, atol=1e-14)


def test_l1_ties_are_shared_by_the_square_root_rule():
    X, y = problem(3, 6, 15)
    single = min_l1_norm(X, y)
    coef = min_l1_norm(np.hstack([X, X[:, :9], -X[:, :9], X[:, :3]]), y)
    assert_allclose(coef[3:9], single[3:9] / 3, atol=1e-14)
    assert_allclose(coef[24:33][3:], -single[3:9] / 3, atol=1e-14)
    assert_allclose(coef[:3], single[:3] / 4, atol=1e-14)
    # A tie that is no duplicate: b, b + c = 1 on an edge of equal length.
    coef = min_l1_norm(np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]), np.ones(2))
    t = coef[2]
    assert_allclose(coef[:2], 1 - t / 2)
    slope = lambda t: t**-0.5 - (1 - t / 2) ** -0.5
    assert abs(slope(t)) < 1e-12


def test_linear_program_road_agrees():
    X, y = problem(4, 8, 30)
    weights = np.exp(np.random.default_rng(0).standard_normal(30))
    X[:, 4] = 0.0
    network = NetworkLimit(X, 4, 1 / np.sqrt(weights), np.zeros(30))
    expected = min_l1_norm(X, y, weights=weights)
    assert_allclose(_linear_program(network, y), expected, atol=1e-12)


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_l1_of_weights_far_apart_falls_back_to_the_linear_program(seed):
    X, y = problem(seed, 8, 10)
    weights = np.logspace(-6, 6, 10)
    network = NetworkLimit(X, 4, 1 / np.sqrt(weights), np.zeros(10))
    with pytest.raises(LimitError, match="init_shape"):
        network.solve(y, 1e-200)
    coef = min_l1_norm(X, y, weights=weights)
    assert_allclose(X @ coef, y, atol=1e-13 * len(y))
    # Columns in units of their weights, solved by another algorithm.
    scaled = np.hstack([X, -X]) / np.r_[weights, weights]
    answer = linprog(np.ones(20), A_eq=scaled, b_eq=y, method="highs-ipm")
    assert_allclose(weights @ np.abs(coef), answer.fun, rtol=1e-7)
    # The dual of its support is feasible: no least l1 norm is smaller.
    on = coef != 0
    dual = np.linalg.lstsq(X[:, on].T / weights[on][:, None], np.sign(coef[on]))[0]
    assert np.max(np.abs(X.T @ dual) / weights) < 1 + 1e-6
    assert_allclose(y @ dual, weights @ np.abs(coef), rtol=1e-6)


def test_an_inexact_linear_program_is_refused(monkeypatch):
    X, y = problem(4, 8, 30)
    network = NetworkLimit(X, 4, np.ones(30), np.zeros(30))

    def careless(cost, **options):
        answer = linprog(cost, **options)
        answer.x = np.r_[np.ones(8), np.zeros(52)]  # feasible once polished
        return answer

    monkeypatch.setattr("skregimes.limits.min_norms.linprog", careless)
    with pytest.raises(LimitError, match=r"relative accuracy.*range of weights"):
        _linear_program(network, y)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(1, 3), (5, 12), (12, 5), (6, 6)])
def test_l2_meets_the_pseudoinverse(shape, weighted):
    X, y = problem(5, *shape)
    weights, root = None, np.ones(shape[1])
    if weighted:
        weights = np.exp(np.random.default_rng(0).standard_normal(shape[1]))
        root = np.sqrt(weights)
    expected = np.linalg.pinv(X / root) @ y / root
    assert_allclose(min_l2_norm(X, y, weights=weights), expected, rtol=1e-10)


@pytest.mark.parametrize("solve", [min_l1_norm, min_l2_norm])
def test_any_rank_and_any_target(solve):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((10, 3)) @ rng.standard_normal((3, 20))
    Y = rng.standard_normal((10, 2))
    coef = solve(X, Y)
    assert coef.shape == (2, 20)
    assert_allclose(X.T @ (X @ coef.T - Y), 0, atol=1e-11)
    for row, y in zip(coef, Y.T):
        assert_allclose(row, solve(X, y), atol=1e-14)
    # Rank d leaves no choice.
    tall = rng.standard_normal((10, 4))
    assert_allclose(solve(tall, Y), np.linalg.lstsq(tall, Y)[0].T, atol=1e-12)
    assert not solve(X, np.zeros(10)).any()
    assert not solve(np.zeros((3, 4)), np.ones(3)).any()
    X[:, 5] = 0
    assert solve(X, Y[:, 0])[5] == 0


@pytest.mark.parametrize("solve", [min_l1_norm, min_l2_norm])
def test_ill_conditioned(solve):
    X = hilbert(10)[:7]
    y = X @ np.ones(10)
    coef = solve(X, y)
    assert_allclose(X @ coef, y, rtol=1e-12)
    assert_allclose(solve(1e3 * X, 1e6 * y), 1e3 * coef, rtol=1e-4)


@pytest.mark.parametrize("solve", [min_l1_norm, min_l2_norm])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [[np.nan, 1.0]]}, "X contains NaN"),
        ({"y": [1.0, 2.0]}, "X has 1 rows but y has 2"),
        ({"weights": [1.0]}, "weights has 1 entries; X has 2 columns"),
        ({"weights": [1.0, -1.0]}, "weights must be positive"),
    ],
)
def test_bad_arguments(solve, change, message):
    with pytest.raises(ValueError, match=message):
        solve(**{"X": [[1.0, 2.0]], "y": [1.0]} | change)
