"""Units of scale and time of a shallow network, and the flows behind one door."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skregimes._border import to_tensor
from skregimes._relu_network import initial_weights
from skregimes._samples import Samples
from skregimes.flows import shallow_relu as module
from skregimes.flows.chebyshev import chebyshev
from skregimes.flows.descent import descent
from skregimes.flows.exponential import exponential
from skregimes.flows.shallow_relu import Training, natural_solver
from skregimes.networks.units import draw_units


def table(n=40, d=1, q=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, d))
    Y = np.sin(4 * X.sum(1))[:, None] + 0.2 * rng.standard_normal((n, q))
    return X, Y


def training(
    X, Y, weight=None, *, m=60, seed=0, skip=True, activation="relu", center=True
):
    weight = np.ones(len(X)) if weight is None else weight
    samples = Samples.build(X, Y, weight, center=center, standardize=True)
    w, biases = draw_units(
        "stratified", m, X.shape[1], 1.0, np.random.RandomState(seed)
    )
    columns = np.column_stack([samples.X, np.ones(len(samples.X))]) if skip else None
    hidden = np.column_stack([w, biases]) / np.sqrt(m)
    return Training.build(
        samples, columns, activation, hidden, np.zeros((m, Y.shape[1])), "cpu"
    )


def start_of(network, alpha):
    return initial_weights(network.hidden.numpy(), network.output.numpy(), alpha)


def with_target(network, factor):
    problem = network.problem
    return replace(network, problem=problem.with_target(factor * problem.target))


# -- units ---------------------------------------------------------------------------


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("q", [1, 2])
def test_unit_of_scale_is_proportional_to_the_targets(q, skip):
    network = training(*table(q=q), skip=skip)
    unit, rate = network.units()
    assert unit > 0
    for factor in (1e-6, 3.0, 1e6):
        other, same = with_target(network, factor).units()
        assert_allclose(other, factor * unit, rtol=1e-9)
        assert same == rate


@pytest.mark.parametrize("d", [1, 3])
def test_units_do_not_see_the_units_of_the_data(d):
    X, Y = table(d=d)
    expected = training(X, Y).units()
    moved = X * np.array([1e6, 3.0, 1e-4])[:d] + np.array([7.0, -1.0, 2e-4])[:d]
    assert_allclose(training(moved, 1e5 * Y - 3).units(), expected, rtol=1e-6)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_units_do_not_see_the_width(activation, d):
    X, Y = table(d=d)
    wide = np.array(training(X, Y, m=3000, activation=activation).units())
    for m in (300, 800):
        units = [
            training(X, Y, m=m, seed=seed, activation=activation).units()
            for seed in range(5)
        ]
        assert_allclose(np.mean(units, axis=0), wide, rtol=0.15)
        assert_allclose(np.array(units), np.tile(wide, (5, 1)), rtol=0.3)


def test_units_do_not_see_the_number_of_samples_much():
    units = [training(*table(n=n, seed=1), m=400).units() for n in (150, 300)]
    assert_allclose(units[0][1], units[1][1], rtol=0.2)
    assert_allclose(units[0][0], units[1][0], rtol=0.5)


def test_the_rate_is_that_of_the_kernel():
    network = training(*table(d=2, q=2))
    gram = network.problem.tangent_gram(network.hidden, network.output)
    expected = float(torch.linalg.matrix_norm(gram, 2))
    assert_allclose(network.units()[1], expected, rtol=1e-12)


def test_many_samples_are_measured_on_some(monkeypatch):
    X, Y = table(n=400, q=2)
    network = training(X, Y, m=200)
    whole = network.units()
    sizes = []
    part = type(network.problem).part
    monkeypatch.setattr(
        type(network.problem),
        "part",
        lambda self, rows: (sizes.append(len(rows)), part(self, rows))[1],
    )
    monkeypatch.setattr(module, "_UNIT_SAMPLES", 300)
    found = network.units()
    assert sizes == [150]
    assert_allclose(found[1], whole[1], rtol=0.1)
    assert_allclose(found[0], whole[0], rtol=0.3)


def test_nothing_to_learn_has_the_unit_one():
    network = with_target(training(*table()), 0.0)
    unit, rate = network.units()
    assert unit == 1
    assert rate > 0
    blind = training(np.ones((5, 1)), np.arange(5.0)[:, None])
    assert_allclose(blind.units(), (1.0, 0.0), atol=1e-15)


def test_units_of_repetitions_are_those_of_weights():
    X, Y = table(n=20)
    times = np.random.default_rng(0).integers(1, 4, 20)
    repeated = training(np.repeat(X, times, 0), np.repeat(Y, times, 0))
    assert_allclose(
        training(X, Y, times.astype(float)).units(), repeated.units(), rtol=1e-10
    )


@pytest.mark.parametrize("d", [1, 2])
def test_scale_one_is_between_the_regimes(d):
    # What the unit is for: the kernel changes little far above it, much far below.
    network = training(*table(n=20, d=d), m=60)
    unit, rate = network.units()
    richness = []
    for scale in (100.0, 1.0, 0.01):
        alpha = np.sqrt(scale * unit)
        start = start_of(network, alpha)
        result = network.follow(
            start, "exponential", rtol=1e-2, max_time=100 / (alpha**2 * rate)
        )
        before, after = (
            network.problem.tangent_gram(*network.problem.unpack(to_tensor(theta)))
            for theta in (start, np.asarray(result.theta))
        )
        change = (after - before).norm() / (after.norm() + before.norm())
        richness.append(float(change))
    assert richness[0] < 0.1 < richness[1] < 0.95 < richness[2]


# -- one door ------------------------------------------------------------------------


def test_number_of_values():
    assert training(*table(q=2), m=10).n_values == 80


def test_growth_is_the_problem_s():
    network = training(*table(), m=10)
    theta = start_of(network, 3.0)
    assert network.growth(theta) == network.problem.growth(to_tensor(theta))


@pytest.mark.parametrize(
    ("solver", "flow", "options", "own"),
    [
        ("exponential", exponential, {"rtol": 1e-3}, {}),
        ("krylov", exponential, {"rtol": 1e-3}, {"krylov": True}),
        ("chebyshev", chebyshev, {"rtol": 1e-3}, {}),
        ("gd", descent, {"learning_rate": 0.01}, {}),
    ],
)
def test_follow_runs_the_flow_on_arrays(solver, flow, options, own):
    network = training(*table(n=10), m=10)
    start = start_of(network, 2.0)
    given = start.copy()
    seen = []
    result = network.follow(
        start,
        solver,
        max_time=1.0,
        on_node=lambda time, theta, loss: seen.append((time, theta, loss)),
        **({"rtol": 1e-3} | options),
    )
    expected = flow(network.problem, to_tensor(start), max_time=1.0, **options, **own)
    assert np.array_equal(start, given)
    assert_allclose(np.asarray(result.theta), expected.theta, rtol=1e-12, atol=1e-14)
    assert (result.status, result.time) == (expected.status, expected.time)
    assert seen[0][0] == 0
    assert seen[-1][0] == result.time
    assert all(isinstance(theta, np.ndarray) for _, theta, _ in seen)
    assert_allclose(seen[-1][1], np.asarray(result.theta))


def test_all_solvers_follow_one_flow():
    network = training(*table(n=10), m=10)
    problem = network.problem
    ends = []
    for solver, options in (
        ("exponential", {}), ("krylov", {}), ("chebyshev", {}),
        ("gd", {"learning_rate": 1e-3}),
    ):  # fmt: skip
        result = network.follow(
            start_of(network, 2.0), solver, max_time=2.0, rtol=1e-4, **options
        )
        ends.append(
            problem.residual(*problem.unpack(to_tensor(np.asarray(result.theta))))
        )
    for end in ends[1:]:
        assert float((end - ends[0]).norm()) < 3e-3 * problem.target_norm


def test_degrees_are_told():
    network = training(*table(n=10), m=10)
    told = []
    network.follow(
        start_of(network, 2.0),
        "exponential",
        max_time=1.0,
        rtol=1e-3,
        degrees=True,
        on_node=lambda time, theta, loss, degrees: told.append(degrees),
    )
    assert_allclose(told[0], 2, atol=1e-12)
    assert told[-1] > told[0]


def test_linearization_gap():
    network = training(*table(n=12), m=20)
    gaps = []
    for alpha in (1.0, 30.0, 1000.0):
        start = start_of(network, alpha)
        time = 100 / alpha**2
        result = network.follow(start, "exponential", max_time=time, rtol=1e-4)
        end = np.asarray(result.theta)
        gaps.append(network.linearization_gap(start, end, time))
    assert gaps[0] > 0.1
    assert gaps[1] < 0.1 * gaps[0]
    assert gaps[2] < 1e-3
    # Without time nothing has moved.
    assert network.linearization_gap(start, start, 0.0) < 1e-14
    assert with_target(network, 0.0).linearization_gap(start, start, 1.0) == 0


def test_natural_solver():
    assert natural_solver(module.MAX_GRAM) == "exponential"
    assert natural_solver(module.MAX_GRAM + 1) == "chebyshev"
