"""The stabilised flow against closed forms and SciPy's integrators."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from skregimes._border import to_numpy, to_tensor
from skregimes.flows.chebyshev import _coefficients, _stages, chebyshev
from skregimes.flows.problem import Point, power_sharpness


class Trained:
    """A problem with nothing but a gradient, by autograd, of ``loss(theta)``."""

    def __init__(self, loss):
        self.loss = loss

    def gradient(self, theta):
        theta = theta.clone().requires_grad_()
        value = self.loss(theta)
        (gradient,) = torch.autograd.grad(value, theta)
        return gradient, value.detach()


class Quadratic:
    def __init__(self, rates):
        self.rates = to_tensor(np.asarray(rates, dtype=float))

    def gradient(self, theta):
        gradient = self.rates.to(theta) * theta
        return gradient, gradient @ theta / 2


class TanhNet(Trained):
    """Four units on ten samples, its functions known."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.x = to_tensor(np.linspace(-1, 1, 10))
        self.y = torch.sin(3 * self.x)
        self.start = to_tensor(rng.standard_normal(12))
        self.target_norm = float(self.y.norm() / math.sqrt(10))
        super().__init__(lambda theta: ((self.f(theta) - self.y) ** 2).mean() / 2)

    def f(self, theta):
        a, b, c = theta.view(3, 4)
        return torch.tanh(self.x[:, None] * a - b) @ c

    def function_change(self, theta, direction):
        _, change = torch.func.jvp(self.f, (theta,), (direction,))
        return change / math.sqrt(10)


class Factors:
    """``|U V^T - Y|**2 / 2``; its saddles grow at most with the residual's norm."""

    def __init__(self, Y):
        self.Y = to_tensor(np.asarray(Y, dtype=float))

    def split(self, theta):
        return theta.view(2, len(self.Y), -1)

    def gradient(self, theta):
        U, V = self.split(theta)
        R = U @ V.T - self.Y
        return torch.cat([(R @ V).ravel(), (R.T @ U).ravel()]), (R**2).sum() / 2


class KnowingFactors(Factors):
    def growth(self, theta):
        U, V = self.split(theta)
        return torch.linalg.matrix_norm(U @ V.T - self.Y, 2)


def ones(n, dtype=torch.float64):
    return torch.ones(n, dtype=dtype)


def reference(problem, theta, time):
    field = lambda t, y: -to_numpy(problem.gradient(to_tensor(y))[0])
    solution = solve_ivp(
        field, (0, time), to_numpy(theta), method="DOP853", rtol=1e-12, atol=1e-13
    )
    return solution.y[:, -1]


def slope(rtols, errors):
    return np.polyfit(np.log(rtols), np.log(errors), 1)[0]


# -- the method ------------------------------------------------------------------------


def stability(n_stages, z):
    """Values of the stability polynomial at ``-z``: one step of ``y' = -z y``."""
    problem = Quadratic(z)
    y = ones(len(z))
    gradient, loss = problem.gradient(y)
    point = Point(0.0, 0, y, gradient, float(loss), 1.0)
    return to_numpy(_stages(problem.gradient, point, 1.0, n_stages))


@pytest.mark.parametrize("n_stages", [2, 3, 4, 7, 20, 75, 200])
def test_steps_are_of_second_order_and_stable_as_far_as_they_should(n_stages):
    z = np.array([1e-2, 2e-2])
    gap = (stability(n_stages, z) - (1 - z + z**2 / 2)) / z**3
    assert np.all(np.abs(gap) < 0.17)
    # The internal stages neither blow up nor lose digits where the step is long.
    reach = (n_stages**2 - 1) / 1.54
    values = stability(n_stages, np.linspace(0, reach, 5000))
    assert np.max(np.abs(values)) <= 1 + 1e-9
    away = np.linspace(0.1 * reach, reach, 5000)
    assert np.max(np.abs(stability(n_stages, away))) < 0.97
    assert np.max(np.abs(stability(n_stages, np.array([1.2 * reach])))) > 1


def test_the_method_of_two_stages_is_that_of_the_paper():
    # w1 = T2'(w0) / T2''(w0) = w0, b_j = 1 / (4 w0**2), mu_1 = b_1 w1.
    w0 = 1 + 2 / 13 / 4
    first, ((mu, nu, mu_t, gamma_t),) = _coefficients(2)
    assert first == pytest.approx(1 / (4 * w0))
    assert (mu, nu, mu_t) == pytest.approx((2 * w0, -1, 2 * w0))
    assert gamma_t == pytest.approx(-(1 - w0 / (4 * w0**2)) * 2 * w0)


def test_stiff_linear_flows_meet_rtol_at_second_order():
    rates = np.geomspace(1e3, 1e-2, 25)
    exact = np.exp(-3 * rates)
    rtols = np.array([1e-3, 1e-4, 1e-5, 1e-6])
    errors = []
    for rtol in rtols:
        result = chebyshev(Quadratic(rates), ones(25), max_time=3.0, rtol=rtol)
        assert result.status == "max_time"
        assert result.time == 3.0
        assert result.loss == pytest.approx(rates @ to_numpy(result.theta) ** 2 / 2)
        error = np.linalg.norm(to_numpy(result.theta) - exact)
        errors.append(error / np.linalg.norm(exact))
    assert errors[0] < 1e-3
    assert 0.5 < slope(rtols, errors) < 0.85
    assert result.n_gradients < 3 * rates[0]  # of one explicit step per 1 / rate


def test_fewer_stages_make_shorter_steps():
    runs = {
        most: chebyshev(Quadratic([1e4, 1.0]), ones(2), max_time=1.0, max_stages=most)
        for most in (5, 20, 200)
    }
    n_iter = [run.n_iter for run in runs.values()]
    assert n_iter[0] > 1.54e4 / 24
    assert n_iter[0] > 5 * n_iter[1] > 5 * n_iter[2]
    for run in runs.values():
        assert float(run.theta[1]) == pytest.approx(math.exp(-1), rel=3e-3)
        assert abs(float(run.theta[0])) < 1e-3


def test_nets_follow_a_tight_integrator():
    problem = TanhNet()
    exact = reference(problem, problem.start, 20.0)
    f = lambda theta: to_numpy(problem.f(to_tensor(theta)))
    rtols = np.array([1e-2, 1e-3, 1e-4, 1e-5])
    errors = []
    for rtol in rtols:
        theta = chebyshev(problem, problem.start, max_time=20.0, rtol=rtol).theta
        error = np.sqrt(np.mean((f(to_numpy(theta)) - f(exact)) ** 2))
        errors.append(error / problem.target_norm)
        parameters = np.linalg.norm(to_numpy(theta) - exact)
        assert parameters < 5 * rtol ** (2 / 3) * np.linalg.norm(exact)
    assert errors[1] < 1e-3
    assert 0.5 < slope(rtols, errors) < 0.9


def test_errors_in_the_function_count_where_parameters_hardly_move():
    # A large constant shift makes any change of theta relatively tiny.
    problem, still = TanhNet(), TanhNet()
    inner = problem.gradient
    shift = torch.cat([torch.zeros(12, dtype=torch.float64), 1e4 * ones(1)])
    start = torch.cat([problem.start, 0 * ones(1)]) + shift
    padded = lambda theta: torch.cat([inner(theta[:12])[0], 0 * ones(1)])
    known = lambda theta, d: still.function_change(theta[:12], d[:12])
    problem.gradient = lambda theta: (padded(theta), inner(theta[:12])[1])
    exact = problem.f(to_tensor(reference(still, still.start, 5.0)))
    gap = {}
    for name in ("parameters", "functions"):
        problem.function_change = known if name == "functions" else None
        theta = chebyshev(problem, start, max_time=5.0, rtol=1e-3).theta
        gap[name] = float((problem.f(theta[:12]) - exact).norm() / still.y.norm())
    assert gap["functions"] < 1e-3 < gap["parameters"]


def test_balance_is_kept_to_second_order():
    rng = np.random.default_rng(1)
    problem = Factors(rng.standard_normal((4, 4)))
    start = to_tensor(0.3 * rng.standard_normal(32))

    def balance(theta):
        U, V = problem.split(theta)
        return U.T @ U - V.T @ V

    rtols = np.array([1e-2, 1e-3, 1e-4, 1e-5])
    drifts = []
    for rtol in rtols:
        theta = chebyshev(problem, start, max_time=10.0, rtol=rtol).theta
        drift = (balance(theta) - balance(start)).norm() / (theta @ theta)
        drifts.append(float(drift))
    assert drifts[1] < 1e-3
    assert 0.5 < slope(rtols, drifts) < 0.95


@pytest.mark.parametrize(("model", "bar"), [(Factors, 0.025), (KnowingFactors, 0.012)])
def test_modes_escape_one_after_the_other_when_they_should(model, bar):
    # Each obeys m' = 2 m (s - m) from alpha**2 and passes s / 2 at the time below.
    sizes, alpha = np.array([30.0, 10.0, 3.0, 1.0]), 1e-6
    exact = np.log(sizes / alpha**2 - 1) / (2 * sizes)
    problem, times, modes = model(np.diag(sizes)), [], []

    def watch(time, theta, loss):
        U, V = problem.split(theta)
        times.append(time)
        modes.append(to_numpy(torch.diagonal(U @ V.T)))

    start = alpha * torch.eye(4, dtype=torch.float64).ravel().repeat(2)
    nodes = np.linspace(0, 30, 1501)
    result = chebyshev(problem, start, tol=1e-6, nodes=nodes, on_node=watch)
    assert result.status == "converged"
    for mode, size, time in zip(np.transpose(modes), sizes, exact, strict=True):
        assert np.interp(size / 2, mode, times) == pytest.approx(time, rel=bar)


# -- the sharpness ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_power_iteration_finds_the_spectral_radius(dtype):
    problem = TanhNet()
    hessian = torch.autograd.functional.hessian(problem.loss, problem.start)
    radius = float(torch.linalg.eigvalsh(hessian).abs().max())
    problem.x, problem.y = problem.x.to(dtype), problem.y.to(dtype)
    value, direction = power_sharpness(problem, problem.start.to(dtype))
    assert direction.dtype == dtype
    assert 0.9 * radius < value < 1.01 * radius
    value, _ = power_sharpness(problem, problem.start.to(dtype), direction)
    assert 0.95 * radius < value < 1.01 * radius


def test_power_iteration_sees_negative_curvature_and_none():
    start = torch.zeros(3, dtype=torch.float64)
    assert power_sharpness(Quadratic([1, -5, 2]), start)[0] == pytest.approx(5, rel=0.1)
    assert power_sharpness(Quadratic([0, 0, 0]), start)[0] == 0


def test_the_problem_s_own_sharpness_is_asked_from_where_it_was_left():
    class Own(Quadratic):
        starts = []

        def sharpness(self, theta, start=None):
            self.starts.append(start)
            return float(self.rates.max()), len(self.starts)

    problem = Own(np.geomspace(1e3, 1, 5))
    result = chebyshev(problem, ones(5), max_time=1.0)
    assert problem.starts == [None, *range(1, len(problem.starts))]
    assert 3 < len(problem.starts) < result.n_gradients / 10


# -- nodes -----------------------------------------------------------------------------


def test_nodes_lie_on_the_flow():
    rates = np.array([100.0, 3.0, 1.0])
    nodes = np.geomspace(1e-4, 3, 30)
    told = []
    result = chebyshev(
        Quadratic(rates),
        ones(3),
        max_time=2.0,
        rtol=1e-5,
        nodes=nodes,
        on_node=lambda *point: told.append(point),
    )
    times = [time for time, _, _ in told]
    np.testing.assert_array_equal(times, [0, *nodes[nodes < 2], 2.0])
    for time, theta, loss in told:
        np.testing.assert_allclose(theta, np.exp(-rates * time), atol=3e-4)
        assert loss == pytest.approx(rates @ to_numpy(theta) ** 2 / 2, rel=1e-12)
    assert torch.equal(told[-1][1], result.theta)


def test_without_nodes_every_step_is_told():
    told = []
    result = chebyshev(
        Quadratic([1.0, 9.0]),
        ones(2),
        max_time=1.0,
        on_node=lambda time, theta, loss: told.append((time, loss)),
    )
    assert len(told) == result.n_iter + 1
    assert np.all(np.diff(told, axis=0)[:, 0] > 0)
    assert told[-1] == (result.time, result.loss)


@pytest.mark.parametrize("nodes", [[1.0, 0.5], [1.0, 1.0], [[1.0]], [-1.0, 2.0]])
def test_bad_nodes_are_refused(nodes):
    with pytest.raises(ValueError, match="nodes"):
        chebyshev(Quadratic([1.0]), ones(1), nodes=nodes)


# -- how it ends -----------------------------------------------------------------------


def test_it_converges_to_tol_above_the_floor():
    problem = Trained(lambda theta: 3 + (theta**2).sum() / 2)
    result = chebyshev(problem, ones(2), tol=1e-3, floor=3.0)
    assert result.status == "converged"
    assert 1e-4 < result.loss - 3.0 <= 1e-3
    # Nobody told it of the floor, nor of its growth.
    assert chebyshev(problem, ones(2), tol=1e-3).status == "plateau"
    problem.growth = lambda theta: 0.0
    assert chebyshev(problem, ones(2), tol=1e-3).status == "stationary"


def test_a_start_without_gradient_is_stationary():
    result = chebyshev(Factors(np.eye(2)), torch.zeros(8, dtype=torch.float64))
    assert (result.status, result.n_iter, result.n_gradients) == ("stationary", 0, 1)


def test_it_ends_after_max_iter_steps():
    result = chebyshev(Quadratic([1e3, 1.0]), ones(2), max_iter=5)
    assert result.status == "max_iter"
    assert 1 <= result.n_iter <= 5
    assert "increase max_iter" in result.message


@pytest.mark.parametrize("where", ["start", "node", "step"])
def test_on_node_stops_it_where_it_says(where):
    when = {"start": 0.0, "node": 0.5, "step": 0.0101}[where]
    result = chebyshev(
        Quadratic([1.0, 30.0]),
        ones(2),
        max_time=2.0,
        rtol=1e-5,
        nodes=None if where == "step" else [0.25, 0.5, 1.0],
        on_node=lambda time, theta, loss: time >= when,
    )
    assert result.status == "stopped"
    assert result.time == when if where != "step" else when < result.time < 0.1
    assert float(result.theta[0]) == pytest.approx(math.exp(-result.time), rel=1e-3)


def test_the_keyboard_keeps_what_was_reached():
    for call in (3, 30, 300):

        class Interrupted(Quadratic):
            n_calls = 0

            def gradient(self, theta, call=call):
                self.n_calls += 1
                if self.n_calls == call + 50:
                    raise KeyboardInterrupt
                return super().gradient(theta)

        problem = Interrupted(np.geomspace(1e4, 1, 9))
        result = chebyshev(problem, ones(9), max_time=1.0)
        assert result.status == "interrupted"
        assert result.n_gradients == call + 50
        assert 0 < result.time < 1.0
        assert result.loss == Quadratic(problem.rates).gradient(result.theta)[1]

    def press(time, theta, loss):
        if time > 0.1:
            raise KeyboardInterrupt

    result = chebyshev(Quadratic([1.0]), ones(1), max_time=1.0, on_node=press)
    assert result.status == "interrupted"
    assert 0.1 < result.time < 1.0


class Flaky(Quadratic):
    """Not a number from one call on, for so many calls."""

    first, n_bad, n_calls = 40, 1, 0

    def sharpness(self, theta, start=None):
        self.measured = theta
        return float(self.rates.max()), None

    def gradient(self, theta):
        gradient, loss = super().gradient(theta)
        self.n_calls += 1
        bad = 0 <= self.n_calls - self.first < self.n_bad
        return (math.nan * gradient if bad else gradient), loss


def test_a_step_that_is_not_finite_is_tried_again():
    rates = np.geomspace(1e3, 1, 4)
    smooth = chebyshev(Quadratic(rates), ones(4), max_time=1.0)
    problem = Flaky(rates)
    result = chebyshev(problem, ones(4), max_time=1.0)
    assert problem.n_calls > problem.first
    assert result.status == "max_time"
    torch.testing.assert_close(result.theta, smooth.theta, atol=1e-3, rtol=0)


def test_it_stalls_where_nothing_is_finite():
    problem = Flaky(np.geomspace(1e3, 1, 4))
    problem.n_bad = 10**9
    result = chebyshev(problem, ones(4), max_time=1.0)
    assert result.status == "stalled"
    assert 0 < result.time < 1
    assert torch.isfinite(result.theta).all()
    # The sharpness may have been what was wrong.
    assert torch.equal(problem.measured, result.theta)
    problem = Flaky([1.0])
    problem.first = 1
    with pytest.raises(ValueError, match="not finite"):
        chebyshev(problem, ones(1))


@pytest.mark.parametrize(
    "options",
    [
        {"rtol": 0.0},
        {"max_iter": 0},
        {"max_stages": 1},
        {"tol": -1.0},
        {"max_time": -1},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        chebyshev(Quadratic([1.0]), ones(1), **options)


# -- the world around ------------------------------------------------------------------


def test_single_precision_stays_so():
    class Watched(Quadratic):
        def gradient(self, theta):
            assert theta.dtype == torch.float32
            return super().gradient(theta)

    rates = np.geomspace(1e3, 1, 6)
    told = []
    options = {"max_time": 1.0, "nodes": [0.1, 0.7]}
    single = chebyshev(
        Watched(rates),
        ones(6, torch.float32),
        on_node=lambda time, theta, loss: told.append(theta.dtype),
        **options,
    )
    assert single.theta.dtype == torch.float32
    assert told == [torch.float32] * 4
    double = chebyshev(Quadratic(rates), ones(6), **options)
    assert float((single.theta.double() - double.theta).norm()) < 1e-4


def test_start_and_global_state_are_left_alone():
    before = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    problem = TanhNet()
    start = problem.start.clone()
    first = chebyshev(problem, problem.start, max_time=1.0)
    again = chebyshev(problem, problem.start, max_time=1.0)
    assert torch.equal(first.theta, again.theta)
    assert torch.equal(problem.start, start)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == before[1:]
    assert repr(first).startswith("FlowResult(max_time, 12 parameters, time 1, loss")
