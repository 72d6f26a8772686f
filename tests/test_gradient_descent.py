"""Gradient descent against loops, flows and limits written here in NumPy and SciPy."""

import random

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from skregimes._border import to_numpy, to_tensor
from skregimes.flows.gradient_descent import gradient_descent
from skregimes.limits.potentials import DiagonalPotential
from skregimes.networks.diagonal import DiagonalNet

DEPTHS = [1, 2, 3, 4, 5]


def problem(n_samples=5, n_features=9, seed=0, n_targets=None):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    shape = n_samples if n_targets is None else (n_targets, n_samples)
    return X, rng.standard_normal(shape)


def descend(X, y, *, depth=2, init_scale=0.5, offset=None, shape=None, **options):
    network = DiagonalNet(depth)
    n_problems = 1 if np.ndim(y) == 1 else len(y)
    weights = network.initial_weights(
        X.shape[1],
        torch.full((n_problems,), init_scale, dtype=torch.float64),
        init_offset=None if offset is None else to_tensor(offset),
        init_shape=None if shape is None else to_tensor(shape),
    )
    return gradient_descent(network, weights, to_tensor(X), to_tensor(y), **options)


def hand_loop(X, y, depth, init_scale, rate, n_steps, weight=None):
    """Return the coefficients after each step."""
    u = np.full(X.shape[1], init_scale)
    v = u.copy()
    weight = np.ones(len(y)) if weight is None else weight
    path = []
    for _ in range(n_steps):
        path.append(u**depth - v**depth)
        residual = X @ path[-1] - y
        g = X.T @ (weight * residual) / weight.sum()
        u = u - rate * depth * u ** (depth - 1) * g
        v = v + rate * depth * v ** (depth - 1) * g
    return np.array([*path, u**depth - v**depth])


# -- the algorithm ---------------------------------------------------------------------


@pytest.mark.parametrize("depth", DEPTHS)
def test_steps_are_those_of_a_hand_written_loop(depth):
    X, y = problem()
    weight = np.array([1.0, 2.0, 0.0, 0.5, 3.0])
    result = descend(
        X,
        y,
        depth=depth,
        sample_weight=to_tensor(weight),
        learning_rate=0.02,
        max_iter=40,
        tol=0.0,
    )
    expected = hand_loop(X, y, depth, 0.5, 0.02, 40, weight)
    np.testing.assert_allclose(result.coef[0], expected[-1], rtol=1e-12, atol=1e-14)
    assert result.status == ("max_iter",)
    assert "max_iter=40" in result.message[0]
    assert result.n_iter[0] == 40
    assert result.time[0] == pytest.approx(0.8)
    path = result.trajectories[0]
    steps = np.round(path.time / 0.02).astype(int)
    assert steps[0] == 0
    assert steps[-1] == 40
    np.testing.assert_allclose(path.coef, expected[steps], rtol=1e-12, atol=1e-14)
    residual = expected[steps] @ X.T - y
    loss = np.sum(weight * residual**2, axis=1) / (2 * weight.sum())
    np.testing.assert_allclose(path.loss, loss, rtol=1e-12)
    assert result.loss[0] == path.loss[-1]
    potential = DiagonalPotential(depth, np.full(9, np.log(0.5)))
    np.testing.assert_allclose(
        path.richness, [potential.richness(coef) for coef in expected[steps]], atol=1e-9
    )


def test_mini_batches_are_shuffled_epochs_and_unbiased():
    X, y = problem(n_samples=7)
    weight = np.arange(1.0, 8.0)
    rate, seed = 0.01, 3
    result = descend(
        X,
        y,
        sample_weight=to_tensor(weight),
        learning_rate=rate,
        batch_size=3,
        random_state=seed,
        max_iter=8,
        tol=0.0,
    )
    generator = np.random.RandomState(seed)
    u, v = np.full(9, 0.5), np.full(9, 0.5)
    for step in range(8):
        if step % 3 == 0:
            order = generator.permutation(7)
        batch = order[3 * (step % 3) : 3 * (step % 3) + 3]
        residual = X[batch] @ (u**2 - v**2) - y[batch]
        g = X[batch].T @ (weight[batch] * residual) * 7 / len(batch) / weight.sum()
        u, v = u * (1 - 2 * rate * g), v * (1 + 2 * rate * g)
    np.testing.assert_allclose(result.coef[0], u**2 - v**2, rtol=1e-12, atol=1e-14)


def test_seeds():
    X, y = problem(n_samples=7)
    options = {"batch_size": 2, "max_iter": 50, "tol": 0.0, "learning_rate": 0.02}
    first = descend(X, y, random_state=0, **options).coef
    again = descend(X, y, random_state=np.random.RandomState(0), **options).coef
    other = descend(X, y, random_state=1, **options).coef
    np.testing.assert_array_equal(first, again)
    assert np.max(np.abs(first - other)) > 1e-6


def test_integer_weights_are_repetitions():
    X, y = problem()
    repeats = np.array([1, 3, 0, 2, 1])
    options = {"learning_rate": 0.02, "tol": 1e-10}
    weighted = descend(X, y, sample_weight=to_tensor(repeats.astype(float)), **options)
    repeated = descend(np.repeat(X, repeats, axis=0), np.repeat(y, repeats), **options)
    assert weighted.n_iter == repeated.n_iter
    np.testing.assert_allclose(weighted.coef, repeated.coef, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("rates", [None, [0.01, 0.05, 0.002]])
def test_a_problem_does_not_see_the_others(batch_size, rates):
    X, Y = problem(n_targets=3)
    network = DiagonalNet(2)
    scales = torch.tensor([0.02, 0.3, 2.0], dtype=torch.float64)
    weights = network.initial_weights(9, scales)
    masks = np.array([[1, 1, 1, 1, 0], [0.5, 1, 0, 1, 1], [1, 1, 1, 1, 1.0]])
    rates = None if rates is None else torch.tensor(rates, dtype=torch.float64)
    options = {"batch_size": batch_size, "random_state": 0, "tol": 1e-4}
    options["max_iter"] = 3000
    X, Y, masks = to_tensor(X), to_tensor(Y), to_tensor(masks)
    together = gradient_descent(
        network, weights, X, Y, sample_weight=masks, learning_rate=rates, **options
    )
    assert len(set(together.n_iter.tolist())) > 1  # each has its own end
    for i in range(3):
        alone = gradient_descent(
            network,
            weights[i : i + 1],
            X,
            Y[i],
            sample_weight=masks[i],
            learning_rate=None if rates is None else float(rates[i]),
            **options,
        )
        assert alone.status[0] == together.status[i]
        assert alone.n_iter[0] == together.n_iter[i]
        assert alone.learning_rate[0] == together.learning_rate[i]
        for name in ("coef", "weights", "log_effective_scale", "dual_shift"):
            np.testing.assert_allclose(
                getattr(alone, name)[0], getattr(together, name)[i], atol=1e-12
            )
        np.testing.assert_array_equal(
            alone.trajectories[0].time, together.trajectories[i].time
        )


# -- where it goes ---------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_approaches_the_flow_linearly_in_the_step(depth):
    X, y = problem()
    d = X.shape[1]

    def field(time, w):
        u, v = w[:d], w[d:]
        g = X.T @ (X @ (u**depth - v**depth) - y) / len(y)
        slope = depth * np.concatenate([u ** (depth - 1) * g, -(v ** (depth - 1)) * g])
        return -slope

    run = solve_ivp(
        field, (0, 2), np.full(2 * d, 0.5), method="DOP853", rtol=1e-11, atol=1e-12
    )
    u, v = np.split(run.y[:, -1], 2)
    errors = []
    for rate in (0.02, 0.01, 0.005):
        result = descend(X, y, depth=depth, learning_rate=rate, max_time=2.0, tol=0.0)
        assert result.status == ("max_time",)
        assert result.time[0] == pytest.approx(2.0, rel=1e-12)
        errors.append(np.linalg.norm(result.coef[0] - (u**depth - v**depth)))
    assert errors[0] < 0.1 * np.linalg.norm(u**depth - v**depth)
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2.0, rtol=0.1)


def biased_limit(X, y, depth, log_scale, shift):
    """Return the end of gradient flow from a scaled dual ``shift``, by dual Newton."""
    potential = DiagonalPotential(depth, log_scale)
    rate = np.exp(potential.log_rate)
    nu = np.zeros(len(y))

    def dual(nu):
        return shift + rate * (X.T @ nu)

    def mismatch(nu):
        s = dual(nu)
        if depth > 2 and np.max(np.abs(s)) >= 1:
            return None
        return y - X @ potential.coef(potential.theta_of_dual(s))

    for _ in range(200):
        gap = mismatch(nu)
        slope = rate * potential.slope(potential.theta_of_dual(dual(nu)))
        direction = np.linalg.solve((X * slope) @ X.T, gap)
        step = 1.0
        while True:
            new = mismatch(nu + step * direction)
            if new is not None and (
                np.linalg.norm(new) < np.linalg.norm(gap) or step < 1e-10
            ):
                break
            step /= 2
        nu = nu + step * direction
        if np.linalg.norm(step * direction) <= 1e-15 * np.linalg.norm(nu):
            break
    return potential.coef(potential.theta_of_dual(dual(nu)))


@pytest.mark.parametrize(
    ("depth", "batch_size", "biased"),
    [
        (2, None, False),
        (2, None, True),
        (2, 1, False),
        (2, 3, True),
        (3, None, True),
        (3, 2, False),
        (4, None, False),
    ],
)
def test_ends_where_its_exact_identity_says(depth, batch_size, biased):
    X, y = problem(n_samples=4)
    start = {}
    if biased:
        rng = np.random.default_rng(5)
        start["offset"] = 0.2 * rng.standard_normal(9)
        start["shape"] = rng.uniform(0.5, 1.5, size=9)
    result = descend(
        X,
        y,
        depth=depth,
        init_scale=0.3 if depth == 2 else 0.6,
        learning_rate=0.03,
        batch_size=batch_size,
        random_state=0,
        tol=1e-24,
        **start,
    )
    assert result.status == ("converged",)
    assert result.identity_valid[0]
    limit = biased_limit(
        X, y, depth, result.log_effective_scale[0], result.dual_shift[0]
    )
    np.testing.assert_allclose(result.coef[0], limit, atol=1e-10)
    # The equivalent start is not the nominal one: that one's flow ends elsewhere.
    nominal = DiagonalNet(depth).initial_weights(
        9,
        0.3 if depth == 2 else 0.6,
        init_offset=to_tensor(start.get("offset", np.zeros(9))),
        init_shape=to_tensor(start.get("shape", np.ones(9))),
    )
    log_scale = to_numpy(DiagonalNet(depth).log_scale(nominal)[0])
    shift = to_numpy(DiagonalNet(depth).dual(nominal)[0])
    elsewhere = biased_limit(X, y, depth, log_scale, shift)
    assert np.max(np.abs(result.coef[0] - elsewhere)) > 1e-5
    # effective_offset is the same start in coefficients.
    potential = DiagonalPotential(depth, result.log_effective_scale[0])
    dual = potential.dual_of_theta(potential.theta(result.effective_offset[0]))
    np.testing.assert_allclose(dual, result.dual_shift[0], atol=1e-12)


def test_effective_start_is_the_product_formula():
    X, y = problem()
    rate, n_steps = 0.05, 200
    result = descend(X, y, learning_rate=rate, max_iter=n_steps, tol=0.0)
    path = hand_loop(X, y, 2, 0.5, rate, n_steps)[:-1]
    step = 2 * rate * (path @ X.T - y) @ X / len(y)
    assert np.max(np.abs(step)) < 1
    log_scale = np.log(0.5) + np.sum(np.log1p(-(step**2)), axis=0) / 2
    shift = np.sum(np.log1p(-step) - np.log1p(step) + 2 * step, axis=0)
    np.testing.assert_allclose(result.log_effective_scale[0], log_scale, atol=1e-12)
    np.testing.assert_allclose(result.dual_shift[0], shift, atol=1e-12)


def test_depth_one_has_no_scale_to_lose():
    X, y = problem()
    result = descend(X, y, depth=1, learning_rate=0.05, tol=1e-25)
    np.testing.assert_allclose(result.coef[0], np.linalg.pinv(X) @ y, atol=1e-11)
    np.testing.assert_allclose(result.log_effective_scale, np.log(0.5), atol=1e-13)
    np.testing.assert_allclose(result.dual_shift, 0.0, atol=1e-12)
    assert result.identity_valid[0]


def test_a_step_that_turns_signs_is_reported():
    X, y = np.array([[1.0, 0.3]]), np.array([3.0])
    result = descend(X, y, init_scale=0.05, learning_rate=0.2, max_iter=500)
    assert result.identity_valid[0] == (2 * 0.2 * 3.0 < 1)
    assert not result.identity_valid[0]
    assert np.all(np.isnan(result.effective_offset))
    assert result.status[0] != "diverged"
    assert "turned the sign" in result.message[0]
    assert descend(X, y, init_scale=0.05, learning_rate=0.1).identity_valid[0]


# -- when it stops ---------------------------------------------------------------------


def test_stops_by_the_loss_above_its_infimum():
    X, y = problem(n_samples=30, n_features=4)  # inconsistent
    rest = y - X @ np.linalg.lstsq(X, y)[0]
    infimum = rest @ rest / 60
    result = descend(X, y, tol=1e-9)
    assert result.status == ("converged",)
    excess = result.loss[0] - infimum
    start = y @ y / 60
    assert excess <= 1e-9 * start
    assert result.excess_loss[0] == pytest.approx(excess, abs=1e-15)
    before = hand_loop(X, y, 2, 0.5, result.learning_rate[0], result.n_iter[0])[-2]
    assert np.mean((X @ before - y) ** 2) / 2 - infimum > 1e-9 * start


def test_rank_deficient_and_inconsistent():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 3)) @ rng.standard_normal((3, 6))
    X[:, 0] = 0.0
    y = rng.standard_normal(12)
    result = descend(X, y, tol=1e-20)
    assert result.status == ("converged",)
    assert result.coef[0, 0] == 0.0
    np.testing.assert_allclose(X.T @ (X @ result.coef[0] - y), 0.0, atol=1e-7)


def test_a_plateau_is_not_the_end():
    # For time log(1 / alpha^2) / 4 |g| nothing seems to happen.
    X, y = np.array([[1.0]]), np.array([1.0])
    result = descend(X, y, init_scale=1e-8, tol=1e-10)
    assert result.status == ("converged",)
    assert result.coef[0, 0] == pytest.approx(1.0, abs=1e-4)
    path = result.trajectories[0]
    assert path.loss[path.time < 6.0][-1] > 0.49
    assert result.time[0] > 9.0


@pytest.mark.parametrize("batch_size", [None, 2])
def test_nothing_to_learn(batch_size):
    X, _ = problem()
    result = descend(X, np.zeros(5), batch_size=batch_size, random_state=0)
    assert result.status == ("converged",)
    assert result.n_iter[0] == 0
    assert len(result.trajectories[0]) == 1
    np.testing.assert_array_equal(result.coef, 0.0)
    result = descend(
        np.zeros((3, 2)), np.ones(3), batch_size=batch_size, random_state=0
    )
    assert result.status == ("converged",)
    np.testing.assert_array_equal(result.coef, 0.0)


def test_starts_from_a_solution():
    X, y = problem()
    # tol times the loss at the start is out of reach of rounding: still no work to do
    result = descend(X, y, offset=np.linalg.pinv(X) @ y, tol=1e-10)
    assert result.status == ("converged",)
    assert result.n_iter[0] == 0


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_divergence_is_said_in_words(depth, batch_size):
    X, y = problem()
    safe = descend(X, y, depth=depth, batch_size=batch_size, random_state=0)
    assert safe.status == ("converged",)
    rate = 100.0 / safe.sharpness[0]
    result = descend(
        X, y, depth=depth, learning_rate=rate, batch_size=batch_size, random_state=0
    )
    assert result.status == ("diverged",)
    assert "learning_rate" in result.message[0]
    assert "2 / sharpness" in result.message[0]
    assert f"learning_rate=None takes {safe.learning_rate[0]:.3g}" in result.message[0]
    assert not result.identity_valid[0] or depth == 1
    assert np.all(np.isfinite(result.trajectories[0].coef))


def test_divergence_touches_no_other_problem():
    X, y = problem()
    rates = torch.tensor([50.0, 0.02], dtype=torch.float64)
    both = descend(X, np.stack([y, y]), learning_rate=rates)
    alone = descend(X, y, learning_rate=0.02)
    assert both.status == ("diverged", "converged")
    np.testing.assert_allclose(both.coef[1], alone.coef[0], atol=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("init_scale", [0.4, 1.0, 10.0])
@pytest.mark.parametrize("shape", [(6, 20), (40, 5)])
def test_default_step_is_safe_and_not_timid(depth, init_scale, shape):
    X, y = problem(*shape, seed=depth)
    y = X[:, 0] + 0.1 * y
    for batch_size in (None, 4):
        result = descend(
            X,
            y,
            depth=depth,
            init_scale=init_scale,
            tol=1e-3,
            batch_size=batch_size,
            random_state=0,
        )
        assert result.status == ("converged",)
        assert result.identity_valid[0]
        if batch_size is None:
            assert 0.01 < result.learning_rate[0] * result.sharpness[0] < 0.4


def test_sharpness_is_the_top_eigenvalue_of_the_hessian():
    X, y = problem()
    result = descend(X, y, depth=3, tol=1e-24, learning_rate=0.01)
    network = DiagonalNet(3)

    def loss(flat):
        residual = network.forward(flat.reshape(1, 2, 9), to_tensor(X))[0] - to_tensor(
            y
        )
        return (residual**2).sum() / 10

    at = to_tensor(result.weights.ravel())
    hessian = torch.autograd.functional.hessian(loss, at)
    top = torch.linalg.eigvalsh(hessian)[-1]
    assert result.sharpness[0] == pytest.approx(float(top), rel=1e-5)


def test_interruption_keeps_what_was_reached(monkeypatch):
    X, Y = problem(n_targets=2)
    rates = torch.tensor([0.02, 0.05], dtype=torch.float64)
    options = {"learning_rate": rates, "tol": 1e-6}
    full = descend(X, Y, **options)
    stop_at = int(full.n_iter.min()) + 5
    gradient, calls = DiagonalNet.gradient, []

    def interrupted(self, weights, coef_gradient):
        calls.append(1)
        if len(calls) > stop_at:
            raise KeyboardInterrupt
        return gradient(self, weights, coef_gradient)

    monkeypatch.setattr(DiagonalNet, "gradient", interrupted)
    part = descend(X, Y, **options)
    slow, fast = np.argmax(full.n_iter), np.argmin(full.n_iter)
    assert part.status[fast] == "converged"
    assert part.status[slow] == "interrupted"
    assert part.n_iter[slow] == stop_at
    expected = hand_loop(X, Y[slow], 2, 0.5, float(rates[slow]), stop_at)[-1]
    np.testing.assert_allclose(part.coef[slow], expected, atol=1e-13)
    np.testing.assert_allclose(part.coef[fast], full.coef[fast], atol=1e-13)
    times = part.trajectories[slow].time
    assert times[-1] == part.time[slow]
    assert np.all(np.diff(times) > 0)


def test_max_time_of_each_problem():
    X, Y = problem(n_targets=2)
    bounds = torch.tensor([0.5, torch.inf], dtype=torch.float64)
    result = descend(X, Y, max_time=bounds, learning_rate=0.02)
    assert result.status == ("max_time", "converged")
    assert result.n_iter[0] == 25


def test_on_node_hears_of_every_point_and_may_stop():
    X, Y = problem(n_targets=2)
    heard = {0: [], 1: []}

    def on_node(j, time, excess_loss, coef):
        heard[j].append((time, excess_loss, coef))
        return j == 0 and time > 0.3

    result = descend(X, Y, on_node=on_node, learning_rate=0.02)
    assert result.status == ("stopped", "converged")
    assert "stopped" in result.message[0]
    assert 0.3 < result.time[0] < 0.4
    for j, path in enumerate(result.trajectories):
        times, losses, coefs = zip(*heard[j])
        np.testing.assert_array_equal(times, path.time[1:])
        np.testing.assert_array_equal(np.array(coefs), path.coef[1:])
        np.testing.assert_allclose(losses, path.loss[1:], rtol=1e-6)  # infimum is zero


def test_interruption_from_on_node():
    X, y = problem()

    def on_node(j, time, excess_loss, coef):
        if time > 0.3:
            raise KeyboardInterrupt

    result = descend(X, y, on_node=on_node, learning_rate=0.02)
    assert result.status == ("interrupted",)
    assert np.all(np.diff(result.trajectories[0].time) > 0)
    expected = hand_loop(X, y, 2, 0.5, 0.02, result.n_iter[0])[-1]
    np.testing.assert_allclose(result.coef[0], expected, atol=1e-13)


# -- types, manners --------------------------------------------------------------------


def test_float32_stays_float32():
    X, y = problem()
    network = DiagonalNet(2)
    start = network.initial_weights(9, 0.5)
    double = gradient_descent(network, start, to_tensor(X), to_tensor(y))
    single = gradient_descent(
        network,
        start,
        to_tensor(X, dtype=torch.float32),
        to_tensor(y, dtype=torch.float32),
    )
    assert single.status == ("converged",)
    for found in (single.coef, single.weights, single.trajectories[0].coef):
        assert found.dtype == np.float32
    np.testing.assert_allclose(single.coef, double.coef, atol=2e-4)


@pytest.mark.gpu
def test_gpu_agrees_with_cpu():
    X, y = problem()
    network = DiagonalNet(2)
    start = network.initial_weights(9, 0.5)
    for options in ({}, {"batch_size": 2, "random_state": 0}):
        results = [
            gradient_descent(
                network,
                start,
                to_tensor(X, device=device),
                to_tensor(y, device=device),
                **options,
            )
            for device in ("cpu", "cuda")
        ]
        np.testing.assert_allclose(results[0].coef, results[1].coef, atol=1e-10)


def test_global_state_is_untouched():
    X, y = problem()

    def state():
        name, keys, *rest = np.random.get_state()  # noqa: NPY002
        return (
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            random.getstate(),
            (name, keys.tolist(), *rest),
            np.geterr(),
        )

    before = state()
    descend(X, y, batch_size=2, random_state=0, max_iter=20)
    assert state() == before


def test_a_trajectory_is_about_a_hundred_points():
    X, y = problem()
    result = descend(X, y, learning_rate=2e-3, tol=0.0, max_time=20.0)
    path = result.trajectories[0]
    assert 60 < len(path) < 120
    assert path.coef.shape == (len(path), 9)
    assert np.all(np.diff(path.time) > 0)
    assert np.all(np.diff(path.loss) <= 0)
    assert repr(path) == f"Trajectory({len(path)} points, time 0 to 20)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be positive"),
        ({"learning_rate": float("nan")}, "must be positive"),
        ({"batch_size": 0, "random_state": 0}, "batch_size=0 must lie between"),
        ({"batch_size": 6, "random_state": 0}, "n_samples=5"),
        ({"batch_size": 2}, "random_state"),
        ({"tol": -1.0}, "tol=-1.0"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"max_time": -1.0}, "max_time=-1.0"),
        ({"sample_weight": torch.zeros(5)}, "sample_weight"),
        ({"sample_weight": -torch.ones(5)}, "sample_weight"),
    ],
)
def test_options_are_checked(options, message):
    X, y = problem()
    with pytest.raises(ValueError, match=message):
        descend(X, y, **options)


def test_shapes_are_checked():
    X, y = problem()
    with pytest.raises(ValueError, match=r"y of shape \(4,\)"):
        descend(X, y[:4])
    network = DiagonalNet(2)
    with pytest.raises(ValueError, match=r"weights of shape \(1, 2, 3\)"):
        gradient_descent(
            network, network.initial_weights(3, 1.0), to_tensor(X), to_tensor(y)
        )
