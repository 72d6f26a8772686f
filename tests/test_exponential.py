"""The exponential flow against the event-driven referee and exact kernel flows."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from relu_reference import reference_flow

from skregimes._border import to_numpy, to_tensor
from skregimes.flows.exponential import exponential
from skregimes.limits import kernel_flow
from skregimes.networks.shallow_relu import ShallowReLUProblem
from skregimes.networks.units import ACTIVATIONS


class Case:
    """A noisy curve or surface, and a network at ``init_scale`` alpha."""

    def __init__(
        self, alpha, *, n=10, m=20, d=1, q=1, activation="relu", skip=True,
        weighted=False, balance=0.0, y_scale=1.0, seed=0,
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        self.X = rng.uniform(-1, 1, (n, d))
        y = np.sin(3 * self.X.sum(1))[:, None] + 0.3 * rng.standard_normal((n, q))
        self.y = y_scale * (y / y.std() if n > 1 else y)
        w = rng.standard_normal((m, d))
        w /= np.linalg.norm(w, axis=1)[:, None]
        biases = rng.uniform(-1, 1, m)
        if balance:  # pairs, so that the function starts at zero
            w[1::2], biases[1::2] = w[::2], biases[::2]
        self.hidden = np.column_stack([w, biases]) * alpha / np.sqrt(m)
        signs = np.where(np.arange(m) % 2, -1.0, 1.0)[:, None]
        size = balance * np.linalg.norm(self.hidden, axis=1)[:, None]
        self.output = size * signs * np.ones((m, q))
        self.weight = rng.uniform(0.3, 3, n) if weighted else np.ones(n)
        self.skip, self.slopes = skip, ACTIVATIONS[activation]
        self.columns = np.column_stack([self.X, np.ones(n)])[:, : (d + 1) * skip]
        self.problem = ShallowReLUProblem.build(
            to_tensor(self.X),
            to_tensor(self.y),
            to_tensor(self.weight),
            skip=to_tensor(self.columns) if skip else None,
            slopes=self.slopes,
        )
        self.theta = self.problem.pack(to_tensor(self.hidden), to_tensor(self.output))

    def flow(self, **options):
        return exponential(self.problem, self.theta, **options)

    def reference(self, times):
        """Return the weights at times of the flow, as flat vectors."""
        states = reference_flow(
            self.X, self.y, self.hidden, self.output, times,
            sample_weight=self.weight, slopes=self.slopes,
            skip_connection=self.skip, fit_intercept=self.skip,
        )  # fmt: skip
        return [self.problem.pack(to_tensor(a), to_tensor(c)) for a, c in states]

    def function(self, theta):
        """Return the weighted function on the training set, without affine part."""
        problem = self.problem
        return problem.residual(*problem.unpack(theta)) + problem.target

    def distance(self, theta, other):
        """Return how far two functions are apart, in units of the target."""
        change = self.function(theta) - self.function(other)
        return float(change.norm()) / self.problem.target_norm

    def balance(self, theta):
        """Return ``|c|**2 - |a|**2`` and ``|c|**2 + |a|**2`` of each unit."""
        hidden, output = self.problem.unpack(theta)
        a, c = (hidden**2).sum(1), (output**2).sum(1)
        return c - a, c + a


def observe(record, stop=lambda time: False):
    """Return an ``on_node`` that keeps what it is told."""

    def on_node(time, theta, *rest):
        record.append((time, theta.clone(), *rest))
        return stop(time)

    return on_node


# -- accuracy ------------------------------------------------------------------------

MIXED = {
    "d": 2, "q": 2, "activation": "abs", "skip": False, "weighted": True, "n": 6,
    "m": 10,
}  # fmt: skip


@pytest.mark.parametrize(
    ("alpha", "time", "options"),
    [
        (100.0, 5.0, {}),
        (10.0, 15.0, {}),
        (1.0, 20.0, {"m": 12}),
        (0.3, 30.0, {"n": 8, "m": 10}),
        (10.0, 5.0, {"d": 2}),
        (1.0, 10.0, {"d": 2}),
        (0.3, 30.0, {"d": 2, "n": 8, "m": 12}),
        (1.0, 20.0, {"weighted": True}),
        (10.0, 10.0, {"activation": "abs", "m": 12}),
        (1.0, 20.0, {"activation": "leaky_relu"}),
        (1.0, 5.0, {"skip": False, "n": 7}),
        (3.0, 5.0, {"q": 2, "m": 12}),
        (1.0, 5.0, {"balance": 1.0, "m": 12}),
        (1.0, 4.0, MIXED),
    ],
    ids=str,
)
def test_agrees_with_the_referee(alpha, time, options):
    case = Case(alpha, **options)
    [expected] = case.reference([time])
    start = case.balance(case.theta)[0]
    steps = []
    for rtol, bound in ((1e-3, 2e-3), (1e-5, 3e-5)):
        result = case.flow(max_time=time, rtol=rtol)
        assert result.status == "max_time"
        assert result.time == time
        assert case.distance(result.theta, expected) < bound
        _, loss = case.problem.gradient(result.theta)
        assert_allclose(result.loss, float(loss), rtol=1e-9)
        balance, size = case.balance(result.theta)
        assert float(((balance - start).abs() / size).max()) < 1e-12
        steps.append(result.n_iter)
    # Second order: tenfold steps for a hundredth of the error.
    assert steps[1] < 16 * steps[0] + 60


def test_error_falls_with_rtol():
    errors = []
    cases = [Case(3.0, seed=seed) for seed in range(3)]
    ends = [case.reference([5.0])[0] for case in cases]
    for rtol in (1e-2, 1e-3, 1e-4, 1e-5):
        errors.append(
            np.median(
                [
                    case.distance(case.flow(max_time=5.0, rtol=rtol).theta, end)
                    for case, end in zip(cases, ends, strict=True)
                ]
            )
        )
        assert errors[-1] < rtol
    assert np.all(np.diff(errors) < 0)
    assert errors[0] > 100 * errors[-1]


@pytest.mark.parametrize("alpha", [0.3, 3.0, 100.0])
def test_flow_is_covariant_under_scaling(alpha):
    # f_{s theta}(t; y) = s^2 f_theta(s^2 t; y / s^2), exactly for powers of two.
    big, small = Case(2 * alpha), Case(alpha, y_scale=0.25)
    one, other = big.flow(max_time=10.0), small.flow(max_time=40.0)
    assert one.n_iter == other.n_iter
    size = float(one.theta.abs().max())
    assert_allclose(one.theta, 2 * other.theta, rtol=0, atol=1e-9 * size)


def test_the_balance_is_kept_to_the_end_of_a_rich_flow():
    case = Case(0.3, n=15, m=30)
    result = case.flow()
    before, after = case.balance(case.theta)[0], case.balance(result.theta)
    assert float(((after[0] - before).abs() / after[1]).max()) < 1e-12
    assert float(after[1].max()) > 10 * float(before.abs().max())  # it did move


# -- the kernel regime ---------------------------------------------------------------

KERNEL = [
    {},
    {"d": 2},
    {"q": 2},
    {"skip": False},
    {"activation": "abs", "weighted": True},
    {"activation": "leaky_relu"},
    {"balance": 0.5},
]


@pytest.mark.parametrize("options", KERNEL, ids=str)
def test_few_steps_reach_the_end_in_the_kernel_regime(options):
    case = Case(1e3, m=60, **options)
    result = case.flow(tol=1e-8)
    assert result.status == "converged"
    assert result.n_iter <= 5
    assert result.loss <= 1e-8 * case.problem.target_norm**2


@pytest.mark.parametrize("options", KERNEL, ids=str)
def test_dense_output_is_the_kernel_flow(options):
    case = Case(1e3, m=60, **options)
    times = np.logspace(-6, 2, 9)
    record = []
    case.flow(max_time=1e3, nodes=times, on_node=observe(record))
    assert_allclose([time for time, *_ in record], [0.0, *times, 1e3])

    # The kernel from its definition, sums over units, for each output.
    z = np.column_stack([case.X, -np.ones(len(case.X))]) @ case.hidden.T
    slope = np.where(z > 0, case.slopes[1], case.slopes[0])
    output = case.output[:, 0]
    inner = case.X @ case.X.T + 1
    K = (slope * z) @ (slope * z).T + (slope * output**2) @ slope.T * inner
    flow = kernel_flow(
        K,
        case.y,
        time=[time for time, *_ in record],
        skip=case.columns if case.skip else None,
        sample_weight=case.weight,
        start=(slope * z) @ case.output,
    )
    root = to_numpy(case.problem.root)
    for (_, theta, _), f in zip(record, flow, strict=True):
        expected = to_numpy(case.problem.project(to_tensor(root * f)))
        error = np.linalg.norm(to_numpy(case.function(theta)) - expected)
        assert error < 1e-3 * case.problem.target_norm


@pytest.mark.parametrize("options", KERNEL[:6], ids=str)
def test_degrees_of_freedom_are_the_trace_of_the_smoother(options):
    case = Case(1e3, m=60, **options)
    n, q = case.y.shape
    record = []
    case.flow(
        max_time=1e4,
        nodes=np.logspace(-6, 3, 10),
        degrees=True,
        on_node=observe(record),
    )
    z = np.column_stack([case.X, -np.ones(n)]) @ case.hidden.T
    H = np.where(z > 0, case.slopes[1], case.slopes[0]) * z
    # Column i of the smoother is the fit of the i-th unit vector.
    smoothers = kernel_flow(
        H @ H.T,
        np.eye(n),
        time=[time for time, *_ in record],
        skip=case.columns if case.skip else None,
        sample_weight=case.weight,
    )
    expected = q * np.trace(smoothers, axis1=1, axis2=2)
    assert expected[0] < expected[4] - 0.1 < expected[-1] - 1
    assert_allclose([df for *_, df in record], expected, rtol=0, atol=2e-5 * n * q)


# -- what is seen on the way ---------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.3, 3.0, 100.0])
def test_dense_output_is_where_the_flow_would_have_stopped(alpha):
    case, rtol = Case(alpha), 1e-3
    nodes = [0.1, 0.5, 2.0, 7.0, 15.0]
    record = []
    result = case.flow(max_time=20.0, rtol=rtol, nodes=nodes, on_node=observe(record))
    assert [time for time, *_ in record] == [0.0, *nodes, 20.0]
    assert torch.equal(record[0][1], case.theta)
    assert torch.equal(record[-1][1], result.theta)
    for time, theta, loss in record[1:]:
        assert_allclose(loss, float(case.problem.gradient(theta)[1]), rtol=1e-9)
        stopped = case.flow(max_time=time, rtol=rtol)
        assert case.distance(theta, stopped.theta) < 3 * rtol


def test_every_step_is_seen_without_nodes():
    case = Case(3.0)
    record = []
    result = case.flow(max_time=5.0, on_node=observe(record))
    times = np.array([time for time, *_ in record])
    assert len(times) == result.n_iter + 1
    assert times[0] == 0
    assert times[-1] == result.time == 5.0
    assert np.all(np.diff(times) > 0)
    losses = np.array([loss for *_, loss in record])
    assert np.all(np.diff(losses) < 0)


@pytest.mark.parametrize("alpha", [0.3, 10.0])
def test_degrees_of_freedom_grow_between_their_bounds(alpha):
    case = Case(alpha, n=12, m=30)
    record = []
    case.flow(max_time=100.0, degrees=True, on_node=observe(record))
    degrees = np.array([df for *_, df in record])
    assert_allclose(degrees[0], 2, atol=1e-12)
    assert np.all(np.diff(degrees) > -1e-9)
    assert 2.05 < degrees[-1] < 12


# -- variants of the method ----------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"q": 2}, {"d": 2, "skip": False}], ids=str)
@pytest.mark.parametrize("alpha", [1.0, 10.0, 100.0])
def test_krylov_spaces_give_the_same_flow(alpha, options):
    case = Case(alpha, **options)
    whole = case.flow(max_time=5.0)
    krylov = case.flow(max_time=5.0, krylov=True)
    assert case.distance(krylov.theta, whole.theta) < 2e-3
    balance, size = case.balance(krylov.theta)
    change = (balance - case.balance(case.theta)[0]).abs() / size
    assert float(change.max()) < 1e-12


def test_krylov_knows_no_degrees_of_freedom():
    with pytest.raises(ValueError, match="krylov=False"):
        Case(1.0).flow(krylov=True, degrees=True)


def test_without_sliding_the_flow_creeps():
    case = Case(0.3, n=20, m=40)
    options = {"max_time": 60.0, "rtol": 1e-3}
    sliding = case.flow(**options)
    creeping = case.flow(**options, sliding=False)
    assert creeping.n_iter > 4 * sliding.n_iter
    assert case.distance(creeping.theta, sliding.theta) < 5e-3
    # Kinks lie on samples.
    hidden, _ = case.problem.unpack(sliding.theta)
    z = case.problem.inputs @ hidden.T / hidden.norm(dim=1)
    assert int((z.abs() < 1e-12).any(0).sum()) > 5


# -- ends ----------------------------------------------------------------------------


def test_converged():
    result = Case(100.0).flow(tol=1e-2)
    assert result.status == "converged"
    assert result.loss <= 1e-2 * Case(100.0).problem.target_norm ** 2 / 2


def test_max_iter():
    result = Case(1.0).flow(max_iter=3)
    assert (result.status, result.n_iter) == ("max_iter", 3)
    none = Case(1.0).flow(max_iter=0)
    assert (none.status, none.time) == ("max_iter", 0.0)
    assert torch.equal(none.theta, Case(1.0).theta)


def test_no_time():
    result = Case(1.0).flow(max_time=0.0)
    assert (result.status, result.n_iter, result.time) == ("max_time", 0, 0.0)
    assert torch.equal(result.theta, Case(1.0).theta)


def test_rich_flows_come_to_rest_without_a_fit():
    case = Case(0.3, n=15, m=30)
    result = case.flow(tol=1e-8)
    assert result.status in ("stationary", "plateau")
    start = case.problem.target_norm**2 / 2
    assert 1e-4 * start < result.loss < 0.9 * start
    # Going on does not help.
    later = exponential(case.problem, result.theta, max_time=result.time)
    assert result.loss - later.loss < 5e-3 * result.loss


@pytest.mark.parametrize("nodes", [None, [0.5, 1.0, 2.0, 3.0]])
def test_on_node_stops_the_flow(nodes):
    case = Case(10.0)
    record = []
    stop = lambda time: time >= 1.0
    result = case.flow(nodes=nodes, on_node=observe(record, stop))
    assert result.status == "stopped"
    assert result.time == record[-1][0] >= 1.0
    assert all(time < 1.0 for time, *_ in record[:-1])
    assert torch.equal(result.theta, record[-1][1])
    assert nodes is None or result.time == 1.0


@pytest.mark.parametrize("nodes", [None, [0.5, 1.0, 2.0, 3.0]])
def test_an_interrupt_keeps_what_was_reached(nodes):
    case = Case(10.0)
    calls = []

    def on_node(time, theta, loss):
        calls.append(time)
        if len(calls) == 4:
            raise KeyboardInterrupt

    result = case.flow(max_time=50.0, nodes=nodes, on_node=on_node)
    assert result.status == "interrupted"
    assert len(calls) == 4
    assert 0 < result.time <= calls[-1]
    # The state is that of the time.
    expected = case.flow(max_time=result.time)
    assert case.distance(result.theta, expected.theta) < 3e-3
    assert_allclose(
        result.loss, float(case.problem.gradient(result.theta)[1]), rtol=1e-9
    )


# -- extremes ------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1e-8, 1e6])
@pytest.mark.parametrize("q", [1, 2])
def test_extreme_scales(alpha, q):
    case = Case(alpha, q=q)
    result = case.flow(tol=1e-6)
    assert result.status in ("converged", "stationary", "plateau")
    assert result.n_iter < 500
    assert result.loss < 0.5 * case.problem.target_norm**2 / 2
    balance, size = case.balance(result.theta)
    change = (balance - case.balance(case.theta)[0]).abs() / size
    assert float(change.max()) < 1e-12


@pytest.mark.parametrize("y_scale", [1e-100, 1e100])
def test_targets_of_any_size(y_scale):
    # Covariance moves the scale along: alpha**2 / |y| is all that matters.
    case = Case(10.0 * math.sqrt(y_scale), y_scale=y_scale)
    result = case.flow(max_time=10.0 / y_scale)
    plain = Case(10.0)
    expected = plain.function(plain.flow(max_time=10.0).theta)
    assert_allclose(case.function(result.theta) / y_scale, expected, atol=1e-3)


@pytest.mark.parametrize("skip", [True, False])
def test_nothing_to_learn(skip):
    case = Case(1.0, y_scale=0.0, skip=skip)
    result = case.flow()
    assert result.status == "converged"
    assert (result.n_iter, result.loss, result.time) == (0, 0.0, 0.0)
    assert torch.equal(result.theta, case.theta)


def test_one_sample():
    # The unit that sees it follows f' = -(h^2 + |c x~|^2) (f - y), by the referee.
    case = Case(1.0, n=1, m=4, skip=False)
    [expected] = case.reference([3.0])
    assert case.distance(case.flow(max_time=3.0).theta, expected) < 2e-3
    assert case.flow(tol=1e-8).status == "converged"
    affine = Case(1.0, n=1).flow()
    assert (affine.status, affine.n_iter) == ("converged", 0)


@pytest.mark.parametrize("skip", [True, False])
def test_one_unit(skip):
    case = Case(1.0, m=1, skip=skip, seed=1)
    [expected] = case.reference([20.0])
    assert float(case.function(expected).norm()) > 0.05  # it does learn
    assert case.distance(case.flow(max_time=20.0).theta, expected) < 2e-3


def test_units_that_see_nothing_stay():
    case = Case(1.0)
    hidden, output = case.problem.unpack(case.theta.clone())
    hidden[3] = torch.tensor([0.1, 5.0])  # off everywhere
    theta = case.problem.pack(hidden, output)
    result = exponential(case.problem, theta, max_time=10.0)
    moved, pushed = case.problem.unpack(result.theta)
    assert torch.equal(moved[3], hidden[3])
    assert not pushed[3].any()
