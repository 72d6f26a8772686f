"""Quadratic programs with bounds, against their optimality conditions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import nnls

from skregimes.limits._bounded_qp import bounded_qp

FREE, NOTHING = np.zeros((8, 0)), np.zeros(0)


def check(gram, rest, balance, owed, lower, x, multiplier, tol=1e-9):
    """Assert the conditions that a minimiser, and none but it, meets."""
    slack = rest - gram @ x - balance @ multiplier
    size = np.abs(rest).max()
    assert np.all(x >= lower)
    assert slack.max() <= tol * size
    assert_allclose(slack[x > lower], 0, atol=tol * size)
    assert_allclose(balance.T @ x + owed, 0, atol=tol * (1 + np.abs(x).sum()))


@pytest.mark.parametrize("seed", range(5))
def test_no_bounds_but_zero_is_least_squares(seed):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((12, 8)), rng.standard_normal(12)
    x, _ = bounded_qp(A.T @ A, A.T @ b, FREE, NOTHING, np.zeros(8))
    assert_allclose(x, nnls(A, b)[0], atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["regular", "copies", "zero", "low rank", "scales"])
@pytest.mark.parametrize("n_free", [0, 1, 2])
def test_optimality(seed, kind, n_free):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((8, 12))
    if kind == "copies":
        A = A[[0, 1, 2, 3, 0, 1, 2, 0]]
    if kind == "zero" and n_free:
        A[3] = 0.0
    if kind == "low rank":
        A[:, 3:] = 0.0
        A[:, :3] += 2.0  # bounded: all rows lean to one side
    if kind == "scales":
        A = A * np.logspace(-3, 3, 8)[:, None]
    rest = A @ rng.standard_normal(12) + 0.1 * np.abs(A).sum(axis=1)
    if kind == "copies":
        rest = rest[[0, 1, 2, 3, 0, 1, 2, 0]]
    balance = np.array([[1, -1, 1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, 1, -1, -1.0]])
    balance = balance[:n_free].T
    if kind == "copies":
        balance = balance[[0, 1, 2, 3, 0, 1, 2, 0]]
    lower = -np.maximum(rng.standard_normal(8), 0.0)
    owed = -balance.T @ np.maximum(rng.standard_normal(8), lower)
    x, multiplier = bounded_qp(A @ A.T, rest, balance, owed, lower)
    check(A @ A.T, rest, balance, owed, lower, x, multiplier, tol=1e-6)


def test_by_hand():
    # Two margins that pull one coefficient apart, and an intercept between.
    gram = np.array([[4.0, -2.0], [-2.0, 1.0]])
    balance = np.array([[1.0], [-1.0]])
    x, multiplier = bounded_qp(gram, np.ones(2), balance, np.zeros(1), np.zeros(2))
    # x = (t, t): t**2 / 2 - 2 t.
    assert_allclose(x, [2.0, 2.0], rtol=1e-7)
    assert_allclose(multiplier, [-3.0], rtol=1e-7)
