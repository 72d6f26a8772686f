"""Order, error estimate and stability of the linearly implicit methods."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from skregimes.flows.rosenbrock import RODAS4

each_method = pytest.mark.parametrize("method", [RODAS4], ids=["RODAS4"])


def lotka_volterra(y):
    a, b = np.moveaxis(y, -1, 0)
    return np.stack([a * (1 - b), b * (a - 1)], axis=-1)


def jacobian(y):
    a, b = np.moveaxis(y, -1, 0)
    rows = [np.stack([1 - b, -a], -1), np.stack([b, a - 1], -1)]
    return np.stack(rows, axis=-2)


def advance(method, y, h):
    """One step of each problem, with exact Jacobians."""
    W = np.eye(2) - (h * method.gamma)[..., None] * jacobian(y)
    solve = lambda b: np.linalg.solve(W, b[..., None])[..., 0]
    return method.step(y, lotka_volterra(y), lotka_volterra, solve, h)


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@each_method
def test_order_of_convergence(method):
    start, end = np.array([2.0, 0.5]), 1.5
    exact = solve_ivp(
        lambda t, y: lotka_volterra(y),
        (0, end),
        start,
        "DOP853",
        rtol=1e-13,
        atol=1e-14,
    ).y[:, -1]
    counts, errors = np.array([80, 160, 320]), []
    for count in counts:
        y = start[None]
        for _ in range(count):
            y, _ = advance(method, y, np.array([[end / count]]))
        errors.append(np.max(np.abs(y[0] - exact)))
    assert slope(1 / counts, errors) == pytest.approx(method.order, abs=0.2)


@each_method
def test_the_estimate_is_the_error_of_the_method_one_order_below(method):
    start, sizes = np.array([2.0, 0.5]), np.array([0.08, 0.04, 0.02, 0.01])
    errors = []
    for h in sizes:
        exact = solve_ivp(
            lambda t, y: lotka_volterra(y), (0, h), start, "DOP853", rtol=1e-13,
            atol=1e-15,
        ).y[:, -1]  # fmt: skip
        new, estimate = advance(method, start[None], np.array([[h]]))
        errors.append(np.max(np.abs(estimate)))
        # What is left when the estimate is taken away is the embedded method.
        lower = np.max(np.abs(new[0] - estimate[0] - exact))
        assert lower == pytest.approx(errors[-1], rel=0.3)
    assert slope(sizes, errors) == pytest.approx(method.order, abs=0.2)


@each_method
@pytest.mark.parametrize("z", [-1e-2, -1.0, -1e3, -1e8, -1e15])
def test_linear_decay_is_damped_at_any_stiffness(method, z):
    # y' = z y over a step of one: A-stable, and nothing survives an infinite z.
    solve = lambda b: b / (1 - method.gamma * z)
    y, h = np.ones((1, 1)), np.ones((1, 1))
    new, _ = method.step(y, z * y, lambda at: z * at, solve, h)
    if z > -0.1:
        tolerance = 2 * abs(z) ** (method.order + 1)
        assert new[0, 0] == pytest.approx(np.exp(z), abs=tolerance)
    else:
        assert abs(new[0, 0]) <= min(1.0, 30 / abs(z))


@each_method
def test_a_stiff_step_lands_on_the_slow_solution(method):
    # y1' = -y1, y2' = -1e9 (y2 - y1**2): beyond the transient y2 = y1**2 + O(1e-9).
    rate, h = 1e9, np.array([[0.01]])
    field = lambda y: np.stack([-y[:, 0], -rate * (y[:, 1] - y[:, 0] ** 2)], axis=-1)
    y = np.array([[1.0, 1.5]])
    for _ in range(100):
        J = np.array([[-1.0, 0.0], [2 * rate * y[0, 0], -rate]])
        W = np.eye(2) - h[0, 0] * method.gamma * J
        solve = lambda b, W=W: np.linalg.solve(W, b.T).T
        y, _ = method.step(y, field(y), field, solve, h)
    np.testing.assert_allclose(y[0], [np.exp(-1), np.exp(-2)], rtol=1e-6)


@each_method
def test_problems_do_not_see_each_other(method):
    y = np.array([[2.0, 0.5], [0.3, 1.2], [1.0, 1.0]])
    h = np.array([[0.1], [0.03], [0.5]])
    together = advance(method, y, h)
    for j in range(3):
        alone = advance(method, y[[j]], h[[j]])
        for both, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(both[j], one[0], rtol=1e-14, atol=1e-16)
    # The last starts at rest and stays there.
    np.testing.assert_array_equal(together[0][2], [1.0, 1.0])
