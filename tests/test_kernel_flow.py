"""The linearized network against an ODE solver and linear algebra."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

from skregimes.limits import kernel_flow


def problem(seed, n=7, k=2, rank=None, n_test=4):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n + n_test, rank or n + 2))
    K = features @ features[:n].T
    y = rng.standard_normal((n, k))
    skip = np.column_stack([rng.standard_normal(n + n_test), np.ones(n + n_test)])
    return K[:n], K[n:], y, skip[:n], skip[n:], rng.uniform(0.2, 3, n), rng


def integrate(K, K_test, y, skip, skip_test, weight, start, start_test, time):
    """Follow the network's function on all points; then fit the skip connection."""
    n, k = y.shape
    share = weight / weight.sum()

    def fit(f):
        root = np.sqrt(share)[:, None]
        return np.linalg.lstsq(root * skip, root * (y - f), rcond=None)[0]

    def velocity(_, state):
        f = state.reshape(-1, k)[:n]
        residual = f + skip @ fit(f) - y
        return -(np.vstack([K, K_test]) @ (share[:, None] * residual)).ravel()

    initial = np.vstack([start, start_test]).ravel()
    flow = solve_ivp(velocity, (0, time), initial, "DOP853", rtol=1e-12, atol=1e-13)
    f = flow.y[:, -1].reshape(-1, k)
    return f[n:] + skip_test @ fit(f[:n])


@pytest.mark.parametrize("skipped", [False, True])
@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("time", [0.0, 0.3, 4.0])
def test_against_an_ode_solver(skipped, rank, time):
    K, K_test, y, skip, skip_test, weight, rng = problem(0, rank=rank)
    if not skipped:
        skip, skip_test = skip[:, :0], skip_test[:, :0]
    start, start_test = rng.standard_normal((7, 2)), rng.standard_normal((4, 2))
    f = kernel_flow(
        K,
        y,
        time=time,
        K_test=K_test,
        skip=skip,
        skip_test=skip_test,
        sample_weight=weight,
        start=start,
        start_test=start_test,
    )
    expected = integrate(K, K_test, y, skip, skip_test, weight, start, start_test, time)
    assert_allclose(f, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("skipped", [False, True])
def test_limit_interpolates(skipped):
    K, K_test, y, skip, skip_test, weight, _ = problem(1)
    arguments = {"skip": skip, "skip_test": skip_test} if skipped else {}
    f = kernel_flow(K, y, K_test=K_test, sample_weight=weight, **arguments)
    if skipped:
        system = np.block([[K, skip], [skip.T, np.zeros((2, 2))]])
        coef = np.linalg.solve(system, np.vstack([y, np.zeros((2, 2))]))
        expected = np.hstack([K_test, skip_test]) @ coef
        arguments = {"skip": skip}
    else:
        expected = K_test @ np.linalg.solve(K, y)
    assert_allclose(f, expected, rtol=1e-8, atol=1e-9)
    assert_allclose(kernel_flow(K, y, **arguments), y, rtol=1e-9)


def test_rank_deficient_kernel_ends_at_weighted_least_squares():
    rng = np.random.default_rng(2)
    A, y, weight = rng.standard_normal((9, 3)), rng.standard_normal(9), np.arange(1, 10)
    A_test = rng.standard_normal((5, 3))
    root = np.sqrt(weight)
    coef = np.linalg.lstsq(root[:, None] * A, root * y, rcond=None)[0]
    for time in (None, np.inf, 1e8, 1e300):
        f = kernel_flow(
            A @ A.T, y, time=time, K_test=A_test @ A.T, sample_weight=weight
        )
        assert_allclose(f, A_test @ coef, rtol=1e-11)


def test_filter_at_tiny_and_huge_products():
    rates = np.array([1e-200, 1e-9, 1.0, 1e9])
    y = np.ones(4)
    # Alone, each of the eigenvalues is seen; the loss divides them by one sample.
    for rate in rates:
        for product in (1e-300, 1e-12, 1.0, 1e3):
            f = kernel_flow([[rate]], [1.0], time=product / rate)
            assert_allclose(f, -np.expm1(-product), rtol=1e-14)
    together = kernel_flow(np.diag(rates), y, time=[0.0, 4e-9, 1e305])
    assert_allclose(together[0], 0)
    assert_allclose(together[1, 2:], -np.expm1([-1e-9, -1.0]), rtol=1e-12)
    assert_allclose(together[2], [0, 0, 1, 1])  # two lie below rounding of the last


def test_times_share_one_decomposition():
    K, K_test, y, skip, skip_test, weight, _ = problem(3)
    where = {"K_test": K_test, "skip": skip, "skip_test": skip_test}
    times = [0.0, 1.0, np.inf]
    f = kernel_flow(K, y, time=times, sample_weight=weight, **where)
    assert f.shape == (3, 4, 2)
    for time, value in zip(times, f):
        one = kernel_flow(K, y, time=time, sample_weight=weight, **where)
        assert_allclose(one, value, rtol=1e-12)
    column = kernel_flow(K, y[:, 0], time=times, sample_weight=weight, **where)
    assert_allclose(column, f[..., 0], rtol=1e-12)


def test_weights_count_like_copies_and_zero_leaves_out():
    K, K_test, y, skip, skip_test, _, _ = problem(4)
    where = {"time": 0.7, "K_test": K_test, "skip": skip, "skip_test": skip_test}
    f = kernel_flow(K, y, sample_weight=[2, 1, 0, 1, 1, 1, 1], **where)
    rows = [0, 0, 1, 3, 4, 5, 6]
    where["K_test"], where["skip"] = K_test[:, rows], skip[rows]
    assert_allclose(kernel_flow(K[np.ix_(rows, rows)], y[rows], **where), f, rtol=1e-10)


def test_dependent_skip_columns():
    K, K_test, y, skip, skip_test, weight, _ = problem(5)
    where = {"time": 0.7, "K_test": K_test, "sample_weight": weight}
    f = kernel_flow(K, y, skip=skip, skip_test=skip_test, **where)
    mix = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
    same = kernel_flow(K, y, skip=skip @ mix, skip_test=skip_test @ mix, **where)
    assert_allclose(same, f, rtol=1e-10)
    everything = kernel_flow(K, y, skip=np.eye(7), time=0.0)
    assert_allclose(everything, y, rtol=1e-12)


def test_zero_kernel_stays():
    f = kernel_flow(np.zeros((3, 3)), np.ones(3), start=[1.0, 2.0, 3.0])
    assert_allclose(f, [1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"K": np.eye(2)}, "do not fit"),
        ({"K": np.zeros((0, 0)), "y": []}, "empty"),
        ({"y": [1.0, np.nan, 0.0]}, "NaN"),
        ({"time": -1.0}, "at least 0"),
        ({"time": [np.nan]}, "at least 0"),
        ({"time": [[1.0]]}, "1-D"),
        ({"K_test": np.ones((2, 2))}, "3 columns"),
        ({"skip": np.ones(3)}, "do not fit"),
        ({"skip": np.ones((2, 1))}, "do not fit"),
        ({"skip": np.ones((3, 1)), "K_test": np.eye(3)}, "needs skip_test"),
        ({"skip_test": np.ones((3, 1))}, "needs skip"),
        ({"skip": np.ones((3, 1)), "skip_test": np.ones((3, 1))}, "needs K_test"),
        (
            {
                "skip": np.ones((3, 1)),
                "skip_test": np.ones((2, 1)),
                "K_test": np.eye(3),
            },
            "has 2 rows",
        ),
        ({"start": np.ones((3, 1))}, "do not fit y"),
        ({"sample_weight": [1.0, 1.0]}, "2 entries for 3"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, "negative"),
        ({"sample_weight": np.zeros(3)}, "zero throughout"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        kernel_flow(**{"K": np.eye(3), "y": np.ones(3), **arguments})


def test_a_kernel_that_is_not_symmetric_is_refused():
    with pytest.raises(ValueError, match="symmetric"):
        kernel_flow(np.array([[1.0, 0.5], [0.0, 1.0]]), np.ones(2))
