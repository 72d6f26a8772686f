"""The referee is tested by itself: invariants, itself, and plain gradient descent."""

import numpy as np
import pytest
from relu_reference import reference_flow, reference_predict
from scipy.integrate import Radau

RELU, ABS, LEAKY = (0.0, 1.0), (-1.0, 1.0), (0.01, 1.0)


def problem(n=10, m=20, d=1, scale=1.0, n_outputs=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, d))
    shape = (n,) if n_outputs is None else (n, n_outputs)
    signal = np.sin(3 * X.sum(axis=1))
    y = (signal if n_outputs is None else signal[:, None]) + 0.3 * rng.standard_normal(
        shape
    )
    directions = rng.standard_normal((m, d))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    hidden = np.column_stack([directions, rng.uniform(-1, 1, m)]) * scale / np.sqrt(m)
    return X, y / y.std(), hidden, np.zeros((m, *shape[1:]))


def at_samples(X, hidden):
    return np.abs(np.column_stack([X, -np.ones(len(X))]) @ hidden.T)


def gradient_descent(
    X, y, hidden, output, time, steps, *, weight, columns, slopes=RELU
):
    """Take literal steps on the loss, with the gradient of its definition."""
    y, output = y.reshape(len(y), -1), output.reshape(len(output), -1)
    inputs, weight = np.column_stack([X, -np.ones(len(X))]), weight / weight.sum()
    root = np.sqrt(weight)[:, None]
    # The projector on the columns that the affine part cannot fit, by QR.
    basis = np.linalg.qr(root * columns)[0]
    for _ in range(steps):
        z = inputs @ hidden.T
        slope = np.where(z > 0, slopes[1], slopes[0])
        residual = root * ((slope * z) @ output - y)
        gradient = root * (residual - basis @ (basis.T @ residual))
        hidden_step = (slope * (gradient @ output.T)).T @ inputs
        output = output - time / steps * (slope * z).T @ gradient
        hidden = hidden - time / steps * hidden_step
    return hidden, output


each_size = pytest.mark.parametrize(
    ("d", "scale", "time"),
    [(1, 10.0, 3.0), (1, 1.0, 20.0), (1, 0.3, 50.0), (2, 1.0, 5.0)],
)


@each_size
def test_a_finer_tolerance_changes_nothing_and_the_balance_is_kept(d, scale, time):
    X, y, hidden, output = problem(d=d, scale=scale)
    grid = np.random.default_rng(1).uniform(-1.5, 1.5, (40, d))
    predictions = []
    for rtol in (1e-10, 1e-12):
        [(H, c)] = reference_flow(X, y, hidden, output, [time], rtol=rtol)
        balance = c**2 - np.sum(H**2, axis=1)
        start = output**2 - np.sum(hidden**2, axis=1)
        np.testing.assert_allclose(balance, start, rtol=0, atol=1e-10)
        predictions.append(reference_predict(grid, H, c, X, y))
    np.testing.assert_allclose(*predictions, rtol=0, atol=1e-9)


def test_an_implicit_integrator_agrees():
    X, y, hidden, output = problem(n=6, m=6)
    [explicit] = reference_flow(X, y, hidden, output, [3.0])
    [implicit] = reference_flow(
        X, y, hidden, output, [3.0], rtol=1e-9, integrator=Radau
    )
    for first, second in zip(explicit, implicit, strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-8)


@pytest.mark.parametrize("slopes", [RELU, ABS, LEAKY], ids=["relu", "abs", "leaky"])
@pytest.mark.parametrize("flags", [(1, 1), (0, 1), (1, 0), (0, 0)], ids=str)
@pytest.mark.parametrize(("d", "n_outputs"), [(1, None), (2, None), (1, 2)])
def test_gradient_descent_converges_to_it_at_first_order(d, n_outputs, flags, slopes):
    skip, constant = flags
    X, y, hidden, output = problem(n=8, m=12, d=d, n_outputs=n_outputs, seed=2)
    weight = np.linspace(0.5, 2.0, 8)
    columns = np.column_stack([X[:, : d * skip], np.ones((8, constant))])
    [reference] = reference_flow(
        X, y, hidden, output, [8.0], sample_weight=weight, slopes=slopes,
        skip_connection=bool(skip), fit_intercept=bool(constant),
    )  # fmt: skip
    errors = []
    for steps in (500, 4000):
        H, c = gradient_descent(
            X, y, hidden, output, 8.0, steps,
            weight=weight, columns=columns, slopes=slopes,
        )  # fmt: skip
        c = c.reshape(output.shape)
        errors.append(
            max(np.abs(H - reference[0]).max(), np.abs(c - reference[1]).max())
        )
    # The constant of the first order fluctuates where kinks are pinned.
    assert errors[1] < min(errors[0] / 4, 1e-3)


def test_a_pinned_kink_stays_while_its_unit_moves():
    X, y, hidden, output = problem(n=5, m=6)
    (early, _), (late, _) = reference_flow(X, y, hidden, output, [20.0, 30.0])
    pinned = (at_samples(X, early) < 1e-11) & (at_samples(X, late) < 1e-11)
    units = pinned.any(axis=0)
    assert units.sum() == 3
    assert np.abs(late - early)[units].min() > 1e-4
    knots = [state[units, 1] / state[units, 0] for state in (early, late)]
    np.testing.assert_allclose(*knots, rtol=1e-10)


@pytest.mark.parametrize(
    ("d", "seed", "slopes", "times"),
    [(1, 4, RELU, [30.0, 60.0]), (2, 1, ABS, [10.0, 20.0])],
)
def test_pinned_kinks_leave_when_gradient_descent_says_so(d, seed, slopes, times):
    X, y, hidden, output = problem(n=5, m=6, d=d, seed=seed)
    (early, _), (late, c) = reference_flow(X, y, hidden, output, times, slopes=slopes)
    pinned, still = (at_samples(X, state) < 1e-11 for state in (early, late))
    assert np.sum(pinned & ~still) >= 3
    columns = np.column_stack([X, np.ones(5)])
    errors = []
    for steps in (2000, 16000):
        H, b = gradient_descent(
            X, y, hidden, output, times[1], steps,
            weight=np.ones(5), columns=columns, slopes=slopes,
        )  # fmt: skip
        errors.append(max(np.abs(H - late).max(), np.abs(b[:, 0] - c).max()))
    assert errors[1] < min(errors[0] / 4, 1e-2)


def test_a_larger_start_is_a_smaller_target():
    # f(t; s theta_0, y) = s^2 f(s^2 t; theta_0, y / s^2)
    X, y, hidden, output = problem(n=8, m=10)
    grid = np.linspace(-2, 2, 30)[:, None]
    [(H, c)] = reference_flow(X, y, 3 * hidden, output, [1.0])
    [(h, b)] = reference_flow(X, y / 9, hidden, output, [9.0])
    np.testing.assert_allclose(H, 3 * h, rtol=0, atol=1e-8)
    np.testing.assert_allclose(
        reference_predict(grid, H, c, X, y),
        9 * reference_predict(grid, h, b, X, y / 9),
        rtol=0,
        atol=1e-8,
    )


def test_duplicated_units_change_nothing():
    X, y, hidden, output = problem(n=8, m=5)
    [(H, c)] = reference_flow(X, y, hidden, output, [10.0])
    twice = np.vstack([hidden, hidden]) / np.sqrt(2), np.append(output, output)
    [(H2, c2)] = reference_flow(X, y, *twice, [10.0])
    np.testing.assert_allclose(np.sqrt(2) * H2, np.vstack([H, H]), rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.sqrt(2) * c2, np.append(c, c), rtol=0, atol=1e-8)


def test_only_ratios_of_weights_matter_and_zero_leaves_a_sample_out():
    X, y, hidden, output = problem(n=8, m=10)
    weight = np.r_[1.0, 2.0, 0.0, 1.0, 3.0, 0.0, 1.0, 1.0]
    kept = weight > 0
    ways = [(X, y, 7 * weight), (X[kept], y[kept], weight[kept])]
    (first, second) = (
        reference_flow(X, y, hidden, output, [2.0], sample_weight=weight)[0]
        for X, y, weight in ways
    )
    np.testing.assert_allclose(first[0], second[0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        *(
            reference_predict(X[:3], *first, *way[:2], sample_weight=way[2])
            for way in ways
        ),
        rtol=0,
        atol=1e-12,
    )


def test_times_on_the_way_do_not_matter():
    X, y, hidden, output = problem(n=8, m=10)
    start, _, end = reference_flow(X, y, hidden, output, [0.0, 1.3, 4.0])
    np.testing.assert_array_equal(start[0], hidden)
    [direct] = reference_flow(X, y, hidden, output, [4.0])
    np.testing.assert_allclose(end[0], direct[0], rtol=0, atol=1e-9)


def test_equal_rows_are_refused():
    X, y, hidden, output = problem(n=3, m=2)
    X[1] = X[2]
    with pytest.raises(ValueError, match="equal rows"):
        reference_flow(X, y, hidden, output, [1.0])
