"""Generalised cross-validation along a path."""

import numpy as np
import pytest

from skregimes.flows.stopping import GCV, generalized_cross_validation


def test_scores_of_ridge_are_those_of_its_hat_matrix():
    # GCV of a linear smoother H: n ||(I - H) y||^2 / tr(I - H)^2.
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 5)), rng.standard_normal(12)
    for penalty in (0.1, 1.0, 10.0):
        H = X @ np.linalg.solve(X.T @ X + penalty * np.eye(5), X.T)
        left = np.eye(12) - H
        expected = 12 * np.sum((left @ y) ** 2) / np.trace(left) ** 2
        score = generalized_cross_validation(np.mean((left @ y) ** 2), np.trace(H), 12)
        assert score == pytest.approx(expected, rel=1e-12)


def gcv_minimum(time, residual, df, n_samples, *, intercept):
    return GCV(n_samples, intercept).choose(time, residual, df)


def test_saturated_fits_score_inf():
    score = generalized_cross_validation(np.array([0.0, 1.0, 1.0]), [10, 10, 12], 10)
    np.testing.assert_array_equal(score, np.inf)


def path(n_samples=100.0, n_points=60, noise=0.3):
    """Linear flow with one decay rate per direction: everything in closed form."""
    time = np.concatenate([[0.0], np.geomspace(1e-2, 1e3, n_points)])
    rates = np.geomspace(1e-3, 1.0, 50)
    signal = rates / rates.sum()
    filled = -np.expm1(-np.outer(time, rates))
    residual = (1 - filled) ** 2 @ signal + noise**2
    df = filled.sum(axis=1)
    return time, residual, df, n_samples


@pytest.mark.parametrize("intercept", [True, False])
def test_the_minimum_is_that_of_a_much_finer_path(intercept):
    chosen, df, score = gcv_minimum(*path(), intercept=intercept)
    fine = path(n_points=20_000)
    values = generalized_cross_validation(fine[1], fine[2] + intercept, 100.0)
    best = np.argmin(np.where(fine[2] < 70, values, np.inf))
    assert fine[0][best] > 0
    assert chosen == pytest.approx(fine[0][best], rel=0.02)
    assert df == pytest.approx(fine[2][best], rel=0.02)
    assert score == pytest.approx(values[best], rel=1e-3)


def test_the_intercept_counts():
    time, residual, df, n = path(n_samples=60.0)
    free, _, low = gcv_minimum(time, residual, df, n, intercept=False)
    paid, _, high = gcv_minimum(time, residual, df, n, intercept=True)
    assert high > low
    assert paid < free


def test_saturated_points_do_not_compete():
    # The residual falls to zero at df = n, where GCV would compare zero with zero.
    time = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    residual = np.array([1.0, 0.9, 0.8, 0.7, 1e-9, 1e-20])
    df = np.array([0.0, 1.0, 2.0, 3.0, 9.0, 9.99])
    _, chosen, score = gcv_minimum(time, residual, df, 10.0, intercept=False)
    assert chosen < 7
    assert score > 0.1


def test_points_beside_a_jump_of_df_do_not_compete():
    time = np.geomspace(1, 32, 6)
    residual = np.array([1.0, 0.9, 1e-3, 1e-3, 0.5, 0.5])
    df = np.array([0.0, 1.0, 2.0, 500.0, 2.0, 2.0])
    best, _, _ = gcv_minimum(time, residual, df, 10.0, intercept=False)
    assert best == 32.0


def test_a_path_of_one_point():
    zero = np.zeros(1)
    time, df, score = gcv_minimum(zero, np.ones(1), zero, 10.0, intercept=True)
    assert (time, df) == (0.0, 0.0)
    assert score == pytest.approx(1 / 0.9**2)


def test_nothing_to_learn_stops_at_the_start():
    time = np.array([0.0, 1.0, 2.0, 4.0])
    df = np.array([0.0, 1.0, 2.0, 3.0])
    best, chosen, _ = gcv_minimum(time, np.ones(4), df, 10.0, intercept=True)
    assert (best, chosen) == (0.0, 0.0)


def test_the_order_of_neighbours_bounds_the_refinement():
    rng = np.random.default_rng(0)
    time = np.concatenate([[0.0], np.geomspace(1e-2, 1e2, 30)])
    for _ in range(50):
        residual = 1 + 0.1 * rng.standard_normal(31)
        df = np.linspace(0, 5, 31)
        chosen, used, score = gcv_minimum(time, residual, df, 20.0, intercept=True)
        values = generalized_cross_validation(residual, df + 1, 20.0)
        best = int(np.argmin(values))
        assert score == values[best]
        low, high = max(best - 1, 0), min(best + 1, 30)
        assert time[low] <= chosen <= time[high]
        assert df[low] <= used <= df[high]


def walk(gcv, time, loss, df, rest=0.0, unit=1.0):
    """Time at which a watched path ends."""
    watcher = gcv.watch(rest, unit)
    stops = [watcher(*point) for point in zip(time, loss, df, strict=True)]
    return time[stops.index(True)] if True in stops else np.inf


def test_a_path_ends_when_patience_does():
    # The score is smallest at time 4, and patience is a factor of 5.
    time = np.arange(1.0, 40.0)
    loss, df = 1 + np.abs(np.log(time / 4)), np.ones(39)
    assert walk(GCV(20.0, True, patience=5.0), time, loss, df) == 21.0
    assert walk(GCV(20.0, True, patience=100.0), time, loss, df) == np.inf
    # Before one unit of time nothing is expected to happen.
    assert walk(GCV(20.0, True, patience=5.0), time, loss, df, unit=7.0) == 36.0


def test_patience_counts_from_the_last_better_score():
    # Two valleys: the second, lower one begins to fall before patience ends.
    time = np.geomspace(1, 1e4, 200)
    loss = 2 - 0.1 * np.log(time) + np.sin(np.log(time))
    end = walk(GCV(20.0, False, patience=30.0), time, loss, np.ones(200))
    lowest = time[np.argmin(loss[: np.searchsorted(time, end)])]
    assert lowest == pytest.approx(np.exp(1.5 * np.pi), rel=0.2)
    assert end == pytest.approx(30 * lowest, rel=0.1)


def test_a_path_that_stays_saturated_ends():
    time = np.arange(1.0, 30.0)
    falling = 1 / time**4
    df = np.where(time >= 5, 8.0, 1.0)
    assert walk(GCV(10.0, True, patience=1e9), time, falling, df) == 11.0
    # A peak of df that passes is a jump, not the end.
    df = np.where(time == 5, 500.0, 1.0)
    assert walk(GCV(10.0, True, patience=1e9), time, falling, df) == np.inf


def test_watching_includes_what_cannot_be_learnt():
    # With a large rest the rise of df outweighs the fall of the loss.
    time = np.arange(1.0, 60.0)
    loss, df = np.exp(-time), np.minimum(time / 10, 5)
    gcv = GCV(10.0, False, patience=3.0)
    assert walk(gcv, time, loss, df, rest=1.0) < np.inf
    assert walk(gcv, time, 1e3 / 3**time, df, rest=0.0) > 40
