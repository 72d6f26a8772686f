"""The flow in the dual against the flow of the weights, and against its own limit."""

from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from skregimes.flows.dual_mirror import dual_mirror_flow
from skregimes.flows.rows import Rows
from skregimes.flows.units import time_unit
from skregimes.limits import min_q_norm
from skregimes.limits.potentials import DiagonalPotential

DEPTHS = [1, 2, 3, 4, 5]
TIMES = np.array([0.01, 0.1, 0.4, 1.5, 6.0])
each_depth = pytest.mark.parametrize("depth", DEPTHS)


def table(seed=0, n_samples=4, n_features=7):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    return X, rng.standard_normal(n_samples), rng.uniform(0.5, 2.0, n_samples)


def starts(kind, n_features=7):
    """Logs of the initial weights of the two halves."""
    rng = np.random.default_rng(1)
    plus = np.full(n_features, np.log(0.6))
    if kind in ("shaped", "both"):
        plus += np.log(rng.uniform(0.5, 2.0, n_features))
    minus = plus.copy()
    if kind in ("biased", "both"):
        minus += np.log(rng.uniform(0.6, 1.6, n_features))
    return plus, minus


@cache
def weights_flow(depth, kind):
    """Integrate the 2 d weights themselves: ``dw/dt = -grad L``, (n_times, 2, d)."""
    X, y, weight = table()
    share = weight / weight.sum()

    def field(t, w):
        u, v = w.reshape(2, -1)
        g = X.T @ (share * (X @ (u**depth - v**depth) - y))
        power = depth - 1
        return np.concatenate([-depth * u**power * g, depth * v**power * g])

    w0 = np.exp(np.concatenate(starts(kind)))
    span, options = (0, TIMES[-1]), {"rtol": 1e-12, "atol": 1e-13}
    solved = solve_ivp(field, span, w0, "DOP853", t_eval=TIMES, **options)
    assert solved.success
    return solved.y.T.reshape(len(TIMES), 2, -1)


def follow(X, y, potentials, *, weight=None, rtol=1e-9, **options):
    """Follow one potential, or several on the same targets side by side."""
    several = isinstance(potentials, list)
    potentials = potentials if several else [potentials]
    rows = Rows.reduce(X.T.copy(), np.atleast_2d(y), weight)
    row = lambda a: np.atleast_1d(a)
    batch = DiagonalPotential(
        potentials[0].depth,
        np.array([row(p.log_scale) for p in potentials]),
        np.array([np.broadcast_to(p.offset, X.shape[1]) for p in potentials]),
    )
    n = len(potentials)
    unit = [time_unit(rows, j % len(rows.y), p) for j, p in enumerate(potentials)]
    y = np.broadcast_to(rows.y, (n, rows.y.shape[1]))
    paths = dual_mirror_flow(rows.XT, y.copy(), batch, unit=unit, rtol=rtol, **options)
    return paths if several else paths[0]


# -- finite times ----------------------------------------------------------------------


@each_depth
@pytest.mark.parametrize("kind", ["uniform", "shaped", "biased", "both"])
def test_finite_times_meet_the_flow_of_the_weights(depth, kind):
    X, y, weight = table()
    potential = DiagonalPotential.from_weights(depth, *starts(kind))
    truth = weights_flow(depth, kind)
    beta = truth[:, 0] ** depth - truth[:, 1] ** depth
    path = follow(X, y, potential, weight=weight, max_time=TIMES[-1], tol=0.0)
    size = np.max(np.abs(beta))
    np.testing.assert_allclose(path.coef(TIMES), beta, rtol=0, atol=1e-7 * size)
    # The weights, too, by their conserved quantities.
    if depth > 1:
        theta = potential.theta(path.coef(TIMES))
        u, v = np.exp(potential.log_weights(theta))
        np.testing.assert_allclose(u, truth[:, 0], rtol=1e-6)
        np.testing.assert_allclose(v, truth[:, 1], rtol=1e-6)
    rows = Rows.reduce(X.T.copy(), y[None], weight)
    share = weight / weight.sum()
    loss = (y - beta @ X.T) ** 2 @ share - rows.rest
    residual = rows.y - path.coef(TIMES) @ rows.XT
    np.testing.assert_allclose(np.sum(residual**2, axis=1), loss, rtol=1e-5, atol=1e-12)


@each_depth
def test_more_samples_than_features(depth):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((9, 3)), rng.standard_normal(9)

    def field(t, w):
        u, v = w.reshape(2, -1)
        g = X.T @ (X @ (u**depth - v**depth) - y) / 9
        return depth * np.concatenate([-(u ** (depth - 1)) * g, v ** (depth - 1) * g])

    solved = solve_ivp(field, (0, 2), np.full(6, 0.5), "DOP853", rtol=1e-12, atol=1e-13)
    u, v = solved.y[:, -1].reshape(2, -1)
    path = follow(X, y, DiagonalPotential(depth, np.log(0.5)), max_time=2.0, tol=0.0)
    np.testing.assert_allclose(path.coef(2.0)[0], u**depth - v**depth, atol=1e-8)


@each_depth
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6, 1e-8])
def test_the_error_is_at_most_about_the_tolerance(depth, rtol):
    X, y, weight = table()
    potential = DiagonalPotential.from_weights(depth, *starts("uniform"))
    truth = weights_flow(depth, "uniform")
    beta = truth[:, 0] ** depth - truth[:, 1] ** depth
    path = follow(
        X, y, potential, weight=weight, max_time=TIMES[-1], tol=0.0, rtol=rtol
    )
    error = np.max(np.abs(path.coef(TIMES) - beta)) / np.max(np.abs(beta))
    assert error < 3 * rtol


# -- infinite time ---------------------------------------------------------------------


@each_depth
@pytest.mark.parametrize("kind", ["uniform", "shaped", "biased", "both"])
def test_the_flow_ends_at_the_limit(depth, kind):
    X, y, _ = table()
    plus, minus = starts(kind)
    potential = DiagonalPotential.from_weights(depth, plus, minus)
    start = np.exp(depth * plus) - np.exp(depth * minus)
    limit = min_q_norm(
        X, y, 1.0, depth=depth, init_shape=np.exp(potential.log_scale),
        init_offset=start,
    )  # fmt: skip
    path = follow(X, y, potential, tol=1e-18, rtol=1e-8)
    assert path.status == "tol"
    size = np.max(np.abs(limit))
    np.testing.assert_allclose(path.coef()[-1], limit, rtol=0, atol=1e-6 * size)
    np.testing.assert_allclose(path.coef()[0], start, atol=1e-14)


@pytest.mark.parametrize("n_samples", [4, 12])
def test_the_limit_of_deficient_and_inconsistent_data(n_samples):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, 3)) @ rng.standard_normal((3, 7))
    y = rng.standard_normal(n_samples)
    limit = min_q_norm(X, y, 0.3)
    path = follow(X, y, DiagonalPotential(2, np.log(0.3)), tol=1e-18, rtol=1e-7)
    assert path.status == "tol"
    np.testing.assert_allclose(path.coef()[-1], limit, atol=1e-6)


@pytest.mark.parametrize(
    ("depth", "alpha"),
    [
        (1, 1e-30), (1, 1e6), (2, 1e-30), (2, 1e-8), (2, 1e3), (2, 1e6),
        (3, 1e-5), (3, 1e6), (4, 1e-2), (4, 1e6), (5, 1e6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rtol", [1e-2, 1e-6])
def test_extreme_scales_end_at_the_limit(depth, alpha, rtol):
    X, y, _ = table()
    path = follow(
        X, y, DiagonalPotential(depth, np.log(alpha)), tol=1e-14, rtol=rtol,
        max_iter=20_000,
    )  # fmt: skip
    assert path.status == "tol"
    assert np.all(np.isfinite(path.coef()))
    limit = min_q_norm(X, y, alpha, depth=depth)
    assert np.max(np.abs(path.coef()[-1] - limit)) < 5 * rtol * np.max(np.abs(limit))


def test_stiffness_costs_nothing():
    # The weights' own stiffness is that of alpha**2; the steps must not follow it.
    X, y, _ = table()
    steps = [
        follow(X, y, DiagonalPotential(3, np.log(a)), rtol=1e-4).n_iter
        for a in (1.0, 1e2, 1e4, 1e6)
    ]
    assert max(steps) < 100


# -- what is recorded ------------------------------------------------------------------


@each_depth
def test_dense_output_is_as_accurate_as_the_nodes(depth):
    X, y, weight = table()
    potential = DiagonalPotential.from_weights(depth, *starts("both"))
    path = follow(X, y, potential, weight=weight, rtol=1e-4, max_time=6.0, tol=0.0)
    fine = follow(X, y, potential, weight=weight, rtol=1e-9, max_time=6.0, tol=0.0)
    between = (path.time[:-1] + path.time[1:]) / 2
    size = np.max(np.abs(fine.coef()))
    at_nodes = np.max(np.abs(path.coef() - fine.coef(path.time))) / size
    halfway = np.max(np.abs(path.coef(between) - fine.coef(between))) / size
    assert at_nodes < 1e-4
    assert halfway < max(2 * at_nodes, 1e-5)
    # At a node it is the node, in any order, and beyond the ends it is the ends.
    times, nodes = np.array([path.time[3], 0.0, 1e9]), path.coef()[[3, 0, -1]]
    np.testing.assert_allclose(path.coef(times), nodes, rtol=1e-13, atol=1e-15)
    assert path.coef(between).shape == (len(between), 7)


@each_depth
def test_nodes(depth):
    X, y, weight = table()
    potential = DiagonalPotential.from_weights(depth, *starts("uniform"))
    probe = np.random.default_rng(5).standard_normal((7, 3))
    calls = []

    def on_node(j, time, loss, coef, df):
        calls.append((j, time, loss, coef.copy()))

    path = follow(X, y, potential, weight=weight, probe=probe, on_node=on_node)
    assert path.time[0] == 0.0
    assert np.all(np.diff(path.time) > 0)
    assert np.all(np.diff(path.loss) < 0)
    assert path.df is None
    assert path.n_iter >= len(path.time) - 1
    np.testing.assert_allclose(path.probe, path.coef() @ probe, atol=1e-13)
    rows = Rows.reduce(X.T.copy(), y[None], weight)
    residual = rows.y - path.coef() @ rows.XT
    np.testing.assert_allclose(path.loss, np.sum(residual**2, axis=1), rtol=1e-8)
    assert {j for j, *_ in calls} == {0}
    np.testing.assert_allclose([time for _, time, *_ in calls], path.time[1:])
    np.testing.assert_array_equal([loss for _, _, loss, _ in calls], path.loss[1:])
    np.testing.assert_allclose([c for *_, c in calls], path.coef()[1:], atol=1e-14)


# -- degrees of freedom ----------------------------------------------------------------


@each_depth
@pytest.mark.parametrize("n_samples", [4, 9])
def test_df_is_the_divergence_of_the_fit(depth, n_samples):
    X, y, _ = table(n_samples=n_samples)
    potential = DiagonalPotential.from_weights(depth, *starts("both"))
    end = 0.7 if depth > 1 else 3.0

    options = {"max_time": end, "tol": 0.0, "rtol": 1e-8}
    path = follow(X, y, potential, with_df=True, **options)
    step = 1e-3
    nudges = step * np.vstack([np.eye(n_samples), -np.eye(n_samples)])
    moved = follow(X, y + nudges, [potential] * 2 * n_samples, **options)
    fits = np.array([X @ other.coef()[-1] for other in moved])
    up, down = fits[:n_samples], fits[n_samples:]
    divergence = np.trace(up - down) / (2 * step)
    assert path.df[0] == 0.0
    assert path.df[-1] == pytest.approx(divergence, rel=2e-3)


def test_df_of_linear_flow_in_closed_form():
    X, y, _ = table(n_samples=9)
    path = follow(X, y, DiagonalPotential(1, 0.0), rtol=1e-4, with_df=True)
    eigvals = np.linalg.eigvalsh(X.T @ X / 9)
    # Two equal halves learn: beta moves at twice the plain rate.
    exact = -np.expm1(-2 * np.outer(path.time, eigvals)).sum(axis=1)
    np.testing.assert_allclose(path.df, exact, atol=0.1)
    assert path.df[-1] == pytest.approx(7, abs=1e-3)


def test_df_is_roughly_right_at_the_tolerance_of_searches():
    X, y, weight = table(n_samples=9)
    for depth in (2, 3):
        potential = DiagonalPotential(depth, np.log(0.3))
        options = {"weight": weight, "max_time": 3.0, "tol": 0.0, "with_df": True}
        rough = follow(X, y, potential, rtol=1e-2, **options)
        fine = follow(X, y, potential, rtol=1e-9, **options)
        df = np.interp(rough.time, fine.time, fine.df)
        np.testing.assert_allclose(rough.df, df, atol=0.5)


# -- how a path ends -------------------------------------------------------------------


def test_the_flow_stops_at_the_tolerance():
    X, y, _ = table()
    path = follow(X, y, DiagonalPotential(2, -1.0), tol=1e-3)
    assert path.status == "tol"
    assert path.loss[-1] <= 1e-3 * path.loss[0] < path.loss[-2]


def test_the_flow_stops_at_the_time():
    X, y, _ = table()
    path = follow(X, y, DiagonalPotential(2, -1.0), max_time=0.37, tol=0.0)
    assert path.status == "time"
    assert path.time[-1] == pytest.approx(0.37, rel=1e-15)
    path = follow(X, y, DiagonalPotential(2, -1.0), max_time=0.0)
    assert (path.status, len(path.time)) == ("time", 1)


def test_the_flow_stops_at_a_time_that_a_step_lands_on():
    X, y, _ = table()
    path = follow(X, y, DiagonalPotential(2, -1.0), max_time=3.0, tol=0.0)
    for end in path.time[[3, len(path.time) // 2]]:
        for near in (end * (1 - 1e-15), end, end * (1 + 1e-15)):
            again = follow(X, y, DiagonalPotential(2, -1.0), max_time=near, tol=0.0)
            assert again.status == "time"
            assert again.time[-1] == pytest.approx(near, rel=1e-15)


def test_the_flow_stops_after_max_iter_steps():
    X, y, _ = table()
    path = follow(X, y, DiagonalPotential(2, -1.0), max_iter=5)
    assert (path.status, path.n_iter) == ("max_iter", 5)
    assert np.all(np.isfinite(path.coef()))


def test_the_flow_stops_when_asked():
    X, y, _ = table()
    path = follow(
        X, y, DiagonalPotential(2, -1.0), on_node=lambda j, time, *_: time > 0.2
    )
    assert path.status == "stopped"
    assert path.time[-2] <= 0.2 < path.time[-1]


def test_an_interrupt_keeps_what_was_reached():
    X, y, _ = table()

    def on_node(j, time, *_):
        if time > 0.2:
            raise KeyboardInterrupt

    potentials = [DiagonalPotential(2, -1.0), DiagonalPotential(2, -3.0)]
    paths = follow(X, y, potentials, on_node=on_node)
    assert [path.status for path in paths] == ["interrupted"] * 2
    assert max(path.time[-1] for path in paths) > 0.2
    assert all(np.all(np.isfinite(path.coef())) for path in paths)


@pytest.mark.parametrize("alpha", [1e-7, 1e-10])
def test_jumps_beyond_float64_are_reported_not_guessed(alpha):
    # Deep and tiny: between plateaus s comes within rounding of the pole.
    X, y, _ = table()
    potential = DiagonalPotential(4, np.log(alpha))
    path = follow(X, y, potential, rtol=1e-6, max_iter=3000)
    assert np.all(np.isfinite(path.coef()))
    assert np.all(np.isfinite(path.loss))
    if path.status == "tol":
        limit = min_q_norm(X, y, alpha, depth=4)
        np.testing.assert_allclose(path.coef()[-1], limit, atol=1e-3)
    else:
        assert path.status in ("stalled", "max_iter")


@each_depth
def test_nothing_to_learn(depth):
    X, y, _ = table()
    potential = DiagonalPotential(depth, 0.0)
    path = follow(X, 0 * y, potential)
    assert (path.status, path.n_iter) == ("tol", 1)
    np.testing.assert_array_equal(path.coef(), np.zeros((1, 7)))
    path = follow(0 * X, y, potential)
    np.testing.assert_array_equal(path.coef(), np.zeros((1, 7)))


# -- batches ---------------------------------------------------------------------------


@each_depth
def test_problems_do_not_see_each_other(depth):
    X, _, weight = table()
    Y = np.random.default_rng(4).standard_normal((3, 4))
    potentials = [DiagonalPotential(depth, np.log(a)) for a in (0.2, 0.9, 3.0)]
    options = {"weight": weight, "rtol": 1e-6, "tol": 1e-8}
    together = follow(X, Y, potentials, **options, max_time=[np.inf, 0.3, np.inf])
    ends = [path.status for path in together]
    assert ends == ["tol", "time", "tol"]
    for j, end in enumerate([np.inf, 0.3, np.inf]):
        alone = follow(X, Y[j], potentials[j], **options, max_time=end)
        assert alone.status == together[j].status
        # The same steps, but for the rounding of a batched product.
        assert len(alone.time) == len(together[j].time)
        np.testing.assert_allclose(alone.time, together[j].time, rtol=1e-6)
        np.testing.assert_allclose(alone.coef(), together[j].coef(), atol=1e-9)


def test_the_roads_of_few_and_of_many_rows_agree():
    # Above 48 rows other factorisations and products serve, with the same answer.
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 90)), rng.standard_normal(60)
    potential = DiagonalPotential(2, np.log(0.1))

    def field(t, nu):
        return (y - X @ (2e-2 * np.sinh(4 * (X.T @ nu)))) / 60

    solved = solve_ivp(field, (0, 2.0), np.zeros(60), "LSODA", rtol=1e-10, atol=1e-12)
    truth = 2e-2 * np.sinh(4 * (X.T @ solved.y[:, -1]))
    for rtol in (1e-2, 1e-7):
        options = {"max_time": 2.0, "tol": 0.0, "rtol": rtol, "with_df": True}
        path = follow(X, y, potential, **options)
        error = np.max(np.abs(path.coef()[-1] - truth)) / np.max(np.abs(truth))
        assert error < max(3 * rtol, 1e-6)
    assert 0 < path.df[-1] < 60
