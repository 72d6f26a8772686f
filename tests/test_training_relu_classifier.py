"""Flows of shallow networks that classify, and the clock of their loss."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, root
from scipy.special import expit, softmax

from skregimes.flows.log_flow import log_flow
from skregimes.flows.score_training import ScoreTraining
from skregimes.losses import MarginLoss, SoftLoss
from skregimes.networks.shallow_relu_scores import (
    LogScoreProblem,
    MarginScoreProblem,
    ScoreProblem,
)
from skregimes.shallow_relu._scores import LabelledSamples

NAMES = ["logistic", "exponential"]


def table(n_classes, n=12, d=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, d))
    codes = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n)])[:n]
    return X, codes, rng.uniform(0.5, 2, n)


def problem(kind, name, n_classes, m=7, width=0.0, linear=True, **options):
    X, codes, weight = table(n_classes)
    loss = SoftLoss if name.startswith("soft") else MarginLoss
    loss = loss(name, torch.tensor(codes), torch.tensor(weight), n_classes)
    X = torch.tensor(X)
    columns = 0.7 * X if linear else X[:, :0]
    net = kind.build(X, loss, columns, (0.1, 1.0), width, **options)
    q, k = net.n_outputs, columns.shape[1]
    rng = np.random.default_rng(1)
    return net, torch.tensor(rng.standard_normal(m * (3 + q) + k * q))


def scores_of(net, theta):
    """Scores without intercept, by the definition."""
    hidden, output, linear = net.unpack(theta)
    Z = net.units.inputs @ hidden.T
    low, high = net.units.slopes
    return torch.where(Z > 0, high * Z, low * Z) @ output + net.linear @ linear


# -- gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("profiled", [True, False])
def test_gradients_of_margin_losses_are_autograds(name, n_classes, profiled):
    net, theta = problem(LogScoreProblem, name, n_classes, profiled=profiled)
    shift = net.intercept(theta)
    assert bool(shift.any()) == profiled

    log_loss = lambda theta: net.loss.at(scores_of(net, theta) + shift).log_loss
    gradient, value = net.gradient(theta)
    assert float(value) == pytest.approx(float(log_loss(theta)), rel=1e-12)
    assert_allclose(gradient, torch.func.grad(log_loss)(theta), atol=1e-12)
    plain, _ = problem(MarginScoreProblem, name, n_classes, profiled=profiled)
    slope, loss = plain.gradient(theta)
    assert float(loss) == pytest.approx(math.exp(value), rel=1e-12)
    assert_allclose(slope, loss * gradient, rtol=1e-8, atol=1e-12)
    if profiled:  # no other intercept has less loss
        for step in (-1e-3, 1e-3):
            moved = net.loss.at(net.scores(theta) + step * shift)
            assert float(moved.log_loss) > float(value)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_of_soft_losses_are_autograds(n_classes):
    net, theta = problem(ScoreProblem, "soft_f1", n_classes)
    gradient, _ = net.gradient(theta)
    change = torch.tensor(np.random.default_rng(2).standard_normal(len(theta)))
    ahead, behind = (
        net.loss(scores_of(net, theta + s * change))[0] for s in (1e-6, -1e-6)
    )
    assert float(gradient @ change) == pytest.approx(
        float(ahead - behind) / 2e-6, rel=1e-5
    )
    assert not net.intercept(theta).any()


@pytest.mark.parametrize("name", NAMES)
def test_batches_are_the_samples_of_a_smaller_set_with_the_same_intercept(name):
    net, theta = problem(MarginScoreProblem, name, 3)
    rows = torch.tensor([0, 1, 2, 5, 7])
    found = net.batch_gradient(theta, rows)
    shift = net.intercept(theta)

    def loss(theta):
        scores = (scores_of(net, theta) + shift)[rows]
        part = MarginLoss(name, net.loss.codes[rows], net.loss.weight[rows], 3)
        return part.at(scores).log_loss.exp()

    assert_allclose(found, torch.func.grad(loss)(theta), atol=1e-12)
    everything = net.batch_gradient(theta, torch.arange(net.n_samples))
    assert_allclose(everything, net.gradient(theta)[0], atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sharpness_bounds_the_hessian_of_the_profiled_loss(name, n_classes):
    net, theta = problem(LogScoreProblem, name, n_classes)
    jacobian = torch.func.jacrev(lambda x: scores_of(net, x).reshape(-1))(theta)
    scores = net.scores(theta)
    bend = torch.func.hessian(lambda f: net.loss.at(f.view(scores.shape)).log_loss)(
        scores.reshape(-1)
    )
    shifts = torch.eye(net.n_outputs, dtype=scores.dtype).repeat(len(scores), 1)
    bent = bend @ shifts
    bend = bend - bent @ torch.linalg.pinv(shifts.T @ bent, rtol=1e-10) @ bent.T
    expected = torch.linalg.eigvalsh(jacobian.T @ bend @ jacobian).abs().max()
    value, _ = net.curvature(theta, rtol=1e-9, max_iter=2000)
    assert value == pytest.approx(float(expected), rel=1e-6)
    hidden, _, _ = net.unpack(theta)
    force = net.force(scores)[0]
    slope = torch.where(net.units.inputs @ hidden.T > 0, 1.0, 0.1)
    pull = torch.einsum("ij,ip,iq->jpq", slope, net.units.inputs, force)
    growth = float(pull.flatten(1).norm(dim=1).max())
    assert net.growth(theta) == pytest.approx(growth, rel=1e-8)
    assert net.sharpness(theta)[0] >= float(expected) + growth


@pytest.mark.parametrize("n_classes", [2, 3])
def test_change_of_the_scores_has_the_intercepts_answer(n_classes):
    net, theta = problem(LogScoreProblem, "logistic", n_classes)
    step = 1e-6 * torch.tensor(np.random.default_rng(5).standard_normal(len(theta)))
    share = (net.loss.weight / net.loss.weight.sum()).sqrt()[:, None]
    change = share * (net.scores(theta + step) - net.scores(theta - step)) / 2
    size = max(1.0, float((share * net.scores(theta)).norm()))
    found = net.function_change(theta, step)
    assert_allclose(found * size, change.reshape(-1), rtol=1e-4, atol=1e-11)


def test_wide_kinks_are_stiff_and_narrow_ones_exact():
    sharp, theta = problem(LogScoreProblem, "logistic", 2)
    wide, _ = problem(LogScoreProblem, "logistic", 2, width=0.3)
    narrow, _ = problem(LogScoreProblem, "logistic", 2, width=1e-9)
    exact = sharp.gradient(theta)[0]
    assert_allclose(narrow.gradient(theta)[0], exact, atol=1e-14)
    gap = float((wide.gradient(theta)[0] - exact).norm() / exact.norm())
    assert 1e-3 < gap < 1
    assert sharp.sharpness(theta)[0] < wide.sharpness(theta)[0]
    assert wide.sharpness(theta)[0] < narrow.sharpness(theta)[0]


# -- the clock -------------------------------------------------------------------------


class Decay:
    """A weight w whose loss is exp(-w): w = log(1 + t)."""

    def gradient(self, theta):
        return -torch.ones_like(theta), -theta.sum()


class Growth:
    """A product of two weights whose loss is exp(-u v): the loss of a margin."""

    def gradient(self, theta):
        return -theta.flip(0), -theta.prod()


def growth_time(log_loss, start):
    """Log time at which the balanced product reaches a loss: dp/dt = 2 p exp(-p)."""
    p = np.linspace(start, -log_loss, 200_001)
    pace = p - np.log(2 * p)
    step = p[1] - p[0]
    return np.logaddexp.reduce(np.logaddexp(pace[1:], pace[:-1])) + math.log(step / 2)


@pytest.mark.parametrize("level", [-0.3, -10.0, -1e4, -1e9])
def test_time_is_kept_as_a_logarithm(level):
    start = torch.zeros(1, dtype=torch.float64)
    result = log_flow(Decay(), start, log_loss=level)
    assert result.status == "converged"
    assert result.log_loss == pytest.approx(level, rel=1e-8)
    weight = -result.log_loss
    exact = weight + math.log(-math.expm1(-weight))
    assert result.log_time == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("level", [-3.0, -100.0])
def test_time_of_a_growing_network(level):
    start = torch.full((2,), 0.5, dtype=torch.float64)
    result = log_flow(Growth(), start, log_loss=level, rtol=1e-6)
    assert result.log_loss == pytest.approx(level, rel=1e-8)
    assert result.log_time == pytest.approx(growth_time(level, 0.25), abs=1e-4)
    there = log_flow(Growth(), start, log_time=result.log_time, rtol=1e-6)
    assert there.status == "max_time"
    assert there.log_time == pytest.approx(result.log_time, rel=1e-8)
    assert there.log_loss == pytest.approx(level, rel=1e-4)


def test_points_on_the_way_are_those_of_the_flow():
    start = torch.zeros(1, dtype=torch.float64)
    points = []
    tell = lambda *point: points.append((point[0], float(point[1][0]), point[2]))
    result = log_flow(Decay(), start, log_loss=-2e3, unit=10.0, on_node=tell)
    log_time, weight, log_loss = np.array(points).T
    assert log_time[0] == -math.inf
    assert log_time[1] == pytest.approx(math.log(0.1), abs=0.5)
    assert np.all(np.diff(log_time[1:]) > 0)
    assert (log_time[-1], log_loss[-1]) == (result.log_time, result.log_loss)
    assert_allclose(weight, np.logaddexp(0, log_time), rtol=1e-8)
    assert_allclose(log_loss, -weight, rtol=1e-12)
    # Twelve a decade at first, and then fewer and fewer.
    early = (log_time > 0) & (log_time < math.log(1e5))
    assert 50 < early.sum() < 70
    assert len(log_time) < 700


def test_who_is_told_may_end_the_flow():
    start = torch.zeros(1, dtype=torch.float64)
    stop = lambda log_time, theta, log_loss: log_loss < -5
    result = log_flow(Decay(), start, on_node=stop)
    assert result.status == "stopped"
    assert -6 < result.log_loss < -5
    assert float(result.theta) == -result.log_loss
    at_once = log_flow(Decay(), start, on_node=lambda *point: True)
    assert (at_once.status, at_once.log_time) == ("stopped", -math.inf)
    already = log_flow(Decay(), start, log_loss=1.0)
    assert (already.status, already.log_time) == ("converged", -math.inf)


@pytest.mark.parametrize("after", [3, 40])
def test_an_interrupted_flow_keeps_its_last_point(after):
    class Impatient(Decay):
        calls = 0

        def gradient(self, theta):
            self.calls += 1
            if self.calls == after:
                raise KeyboardInterrupt
            return super().gradient(theta)

    start = torch.zeros(1, dtype=torch.float64)
    result = log_flow(Impatient(), start, log_loss=-1e6)
    assert result.status == "interrupted"
    assert result.log_loss == -float(result.theta)
    assert np.logaddexp(0, result.log_time) == pytest.approx(-result.log_loss)


def test_a_loss_that_rests_ends_the_flow():
    class Bowl:
        """exp(log L) = 1 + w**2 has a least value."""

        def gradient(self, theta):
            square = (theta**2).sum()
            return 2 * theta / (1 + square), torch.log1p(square)

        def growth(self, theta):
            return 0.0

    start = torch.ones(1, dtype=torch.float64)
    result = log_flow(Bowl(), start, log_loss=-1.0)
    assert result.status == "stationary"
    assert result.log_loss < 1e-4


# -- the flow of the definition --------------------------------------------------------


def definition(X, codes, weight, name, n_classes, hidden, output, slopes):
    """Return ``dtheta/dt`` by NumPy, with the intercept found by SciPy."""
    m, q = output.shape
    share = weight / weight.sum()
    inputs = np.column_stack([X, -np.ones(len(X))])
    hot = codes[:, None] == np.arange(n_classes)

    def derivative(scores):
        """Derivative of the loss in the scores."""
        if n_classes == 2:
            sign = 2.0 * codes - 1
            margin = sign * scores[:, 0]
            size = np.exp(-margin) if name == "exponential" else expit(-margin)
            return (-share * sign * size)[:, None]
        if name == "logistic":
            return share[:, None] * (softmax(scores, axis=1) - hot)
        right = scores[hot][:, None]
        each = np.where(hot, 0.0, np.exp(scores - right))
        return share[:, None] * (each - hot * each.sum(axis=1, keepdims=True))

    def intercept(scores):
        total = lambda b: derivative(scores + b).sum(axis=0)
        if n_classes == 2:
            return brentq(lambda b: total(b)[0], -50, 50, xtol=1e-13)
        # Of intercepts that add up to zero.
        full = lambda b: np.append(b, -b.sum())
        found = root(lambda b: total(full(b))[:-1], np.zeros(q - 1), tol=1e-12)
        return full(found.x)

    def field(time, theta):
        A, c = theta[: m * 3].reshape(m, 3), theta[m * 3 :].reshape(m, q)
        Z = inputs @ A.T
        slope = np.where(Z > 0, slopes[1], slopes[0])
        scores = (slope * Z) @ c
        force = derivative(scores + intercept(scores))
        return -np.concatenate(
            [
                ((force @ c.T * slope).T @ inputs).ravel(),
                ((slope * Z).T @ force).ravel(),
            ]
        )

    start = np.concatenate([hidden.ravel(), output.ravel()])
    return field, start


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("slopes", "end"), [((1.0, 1.0), 4.0), ((0.0, 1.0), 0.4)], ids=["linear", "relu"]
)
def test_the_flow_is_that_of_the_definition(name, n_classes, slopes, end):
    X, codes, weight = table(n_classes, n=9, seed=2)
    rng = np.random.default_rng(4)
    m, q = 5, 1 if n_classes == 2 else n_classes
    hidden = 0.6 * rng.standard_normal((m, 3))
    output = 0.25 * rng.standard_normal((m, q))
    field, start = definition(X, codes, weight, name, n_classes, hidden, output, slopes)
    times = np.array([0.2, 1.0]) * end
    solution = solve_ivp(field, (0, end), start, "RK45", times, rtol=1e-7, atol=1e-9)
    assert solution.nfev < 2000  # no kink sticks to a sample
    loss = MarginLoss(name, torch.tensor(codes), torch.tensor(weight), n_classes)
    X = torch.tensor(X)
    net = LogScoreProblem.build(X, loss, X[:, :0], slopes)
    for time, expected in zip(times, solution.y.T, strict=True):
        result = log_flow(net, torch.tensor(start), log_time=math.log(time), rtol=1e-6)
        assert result.log_time == pytest.approx(math.log(time), abs=1e-8)
        assert_allclose(result.theta, expected, atol=1e-4)


def test_states_and_parameters():
    X, codes, weight = table(3)
    samples = LabelledSamples.arrange(X, codes, weight, center=True, standardize=True)
    for loss, columns in [
        ("logistic", (True, True)), ("logistic", (False, False)),
        ("soft_accuracy", (True, True)), ("soft_accuracy", (False, True)),
    ]:  # fmt: skip
        training = ScoreTraining.build(
            samples, samples.codes, 3, loss=loss, solver="chebyshev", alpha=0.5,
            columns=columns, activation="relu", device="cpu", width=0.0,
        )  # fmt: skip
        theta = torch.tensor(np.random.default_rng(0).standard_normal(4 * 6))
        n_linear = training.problem.linear.shape[1] * 3
        theta = torch.cat([theta, torch.arange(n_linear, dtype=torch.float64)])
        state = training.state(theta)
        assert state.shape == (4 * 6 + 9,)
        assert_allclose(training.parameters(state), theta, rtol=1e-15)
        # What the network says of a state is what the flow sees.
        tail = state[24:].reshape(3, 3)
        affine = samples.X @ tail[:2] + tail[2]
        hidden, output = state[:12].reshape(4, 3), state[12:24].reshape(4, 3)
        Z = np.column_stack([samples.X, -np.ones(len(samples.X))]) @ hidden.T
        scores = training.problem.scores(theta)
        assert_allclose(np.maximum(Z, 0) @ output + affine, scores, atol=1e-12)
