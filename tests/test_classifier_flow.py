"""Flow and sweep together, and what an intercept does to the separator."""

from itertools import pairwise

import numpy as np
import pytest
from classifier_reference import Reference, labelled, problem_of
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

from skregimes.flows.classifier import follow
from skregimes.limits import max_margin

each_depth = pytest.mark.parametrize("depth", [2, 3])
each_count = pytest.mark.parametrize("n_classes", [2, 3])


slow = lambda *values: pytest.param(*values, marks=pytest.mark.slow)


def separable(n_classes, depth=2, n=8, d=6, **options):
    X, y = labelled(n, d, n_classes, seed=1)
    options = {"depth": depth, "alpha": 1.0, "fit_intercept": True, **options}
    return problem_of(X, y, **options), X, y


def per_margin(node):
    return node.coef / node.loss.margins.min()


def distance(a, b):
    return np.linalg.norm(per_margin(a) - per_margin(b)) / np.linalg.norm(per_margin(b))


# -- flow and sweep --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "n_classes", "loss"),
    [
        (2, 2, "logistic"),
        (2, 3, "exponential"),
        slow(3, 2, "exponential"),
        slow(3, 3, "logistic"),
    ],
)
def test_the_sweep_goes_on_where_the_flow_ends(depth, n_classes, loss):
    problem, *_ = separable(n_classes, depth, loss=loss)
    goal = -2e4
    path, error = follow(problem, log_loss_tol=goal, sweep_from=-2e3)
    flow, none = follow(problem, "dual_mirror", log_loss_tol=goal)
    assert np.isnan(none)
    assert path.status == flow.status == "level"
    assert 0 < error < 3e-3
    for found in (path, flow):
        assert found.nodes[-1].loss.log_loss == pytest.approx(goal, rel=1e-9)
    # The error that was measured is about the one at the end.
    assert distance(path.nodes[-1], flow.nodes[-1]) < 3 * error + 1e-4
    times = [p.nodes[-1].log_time for p in (path, flow)]
    assert times[0] == pytest.approx(times[1], rel=1e-3)
    dual = [problem.dual_of_samples(p.nodes[-1]) for p in (path, flow)]
    assert_allclose(dual[0], dual[1], atol=2e-2 * np.abs(dual[1]).max())


@pytest.mark.parametrize(
    ("depth", "n_classes", "goal"),
    [
        (2, 2, -1e6),
        (3, 3, -1e6),
        (2, 2, -1e100),
        slow(3, 2, -1e100),
        slow(2, 3, -1e100),
        slow(3, 3, -1e100),
    ],
)
def test_tiny_losses_are_met(depth, n_classes, goal):
    problem, X, y = separable(n_classes, depth, alpha=0.5)
    path, error = follow(problem, log_loss_tol=goal)
    node = path.nodes[-1]
    assert path.status == "level"
    assert error < 1e-2
    assert node.loss.log_loss == pytest.approx(goal, rel=1e-11)
    assert node.loss.margins.min() == pytest.approx(-goal, rel=1e-4)
    assert node.log_time == pytest.approx(-goal, rel=1e-2)
    best = max_margin(X, y, norm="l1", fit_intercept=True).value
    excess = np.abs(per_margin(node)).sum() / best - 1
    # Depth 2 goes to the l1 separator, other depths somewhere near.
    assert -1e-6 < excess < (0.02 if depth == 2 else 0.5)


@each_depth
@each_count
def test_every_point_of_the_sweep_meets_its_conditions(depth, n_classes):
    problem, *_ = separable(n_classes, depth, n=9, d=4, alpha=0.5)
    path, _ = follow(problem, log_loss_tol=-1e7, sweep_from=-1e3)
    swept = [node for node in path.nodes if node.fall > 1e3 * (1 + 1e-9)]
    assert len(swept) > 20
    rule = problem.loss.margins
    dual = [rule.multipliers(problem.dual_of_samples(node).T) for node in swept]
    for node, (before, after) in zip(swept[1:], pairwise(dual), strict=True):
        size = node.loss.margins.min()
        charge = after - before
        assert charge.min() > -1e-12 * after.max()
        charged = charge > 1e-9 * after.max()
        assert_allclose(node.loss.margins[charged], size, rtol=1e-9)
        # Margins, forces and balance are those of the coefficients and the dual.
        scores = problem.X @ node.coef.T + node.intercept
        assert_allclose(rule.of(scores), node.loss.margins, atol=1e-9 * size)
        force = rule.pull(charge)
        assert_allclose(force.sum(axis=0), 0, atol=1e-10 * after.max())
        same = node.loss.force - force / charge.sum()
        assert_allclose(same, 0, atol=1e-5)


def test_no_sweep_where_none_is_asked_for_or_needed():
    problem, *_ = separable(2)
    for solver, goal in (("auto", -100.0), ("dual_mirror", -1e5)):
        path, error = follow(problem, solver, log_loss_tol=goal)
        assert np.isnan(error)
        assert path.status == "level"
    path, error = follow(problem, log_loss_tol=-np.inf, log_max_time=5.0)
    assert np.isnan(error)
    assert path.status == "time"
    X, y = labelled(40, 3, seed=3, noise=0.3)
    path, error = follow(problem_of(X, y), log_loss_tol=-1e6)
    assert np.isnan(error)
    assert path.status == "stationary"


def test_a_sweep_can_be_stopped_and_interrupted():
    problem, *_ = separable(2)
    path, _ = follow(problem, log_loss_tol=-1e9, on_node=lambda node: node.fall > 1e6)
    assert path.status == "stopped"
    assert path.nodes[-2].fall <= 1e6 < path.nodes[-1].fall

    def interrupt(node):
        if node.fall > 1e6:
            raise KeyboardInterrupt

    path, _ = follow(problem, log_loss_tol=-1e9, on_node=interrupt)
    assert path.status == "interrupted"
    assert path.nodes[-2].fall <= 1e6 < path.nodes[-1].fall


# -- the intercept ---------------------------------------------------------------------


def trained_intercept(X, y, levels, rate, alpha=0.5):
    """Return coefficients and intercept of depth 2, all trained, at levels of -log L.

    The intercept moves by ``b' = -rate dL/db``, while the weights follow theirs.
    """
    net = Reference(X, y, alpha=alpha)
    d = X.shape[1]
    first = -net.force(np.zeros((len(y), 1)))[0]

    def field(clock, v):
        w = np.exp(v[:-1])
        log_loss, log_sum, force = net.force(X @ net.coef(w).T + v[-1])
        pull = (force.T @ X)[0]
        fall = 2 * np.concatenate([w[:d] * pull, -w[d:] * pull])
        push = force.sum()
        speed = fall @ fall + rate * push**2
        pace = np.exp(clock + log_loss - log_sum) / speed
        return pace * np.append(fall / w, rate * push)

    clock = np.log1p(np.array(levels) - first)
    start = np.append(np.log(net.start()), 0.0)
    solved = solve_ivp(
        field, (0, clock[-1]), start, "Radau", t_eval=clock, rtol=1e-6, atol=1e-8
    )
    assert solved.success
    return [(net.coef(np.exp(v[:-1]))[0], v[-1]) for v in solved.y.T]


def offset_data():
    """Return classes that a plane through the origin separates, though badly."""
    X, y = labelled(8, 3, seed=2)
    X[:, 0] += 1.5
    y = (X[:, 0] > 1.2).astype(int)
    X[:, 1] -= 1.5 * (1 - y)
    return X, y


@pytest.mark.parametrize(("rate", "last"), [(1.0, 1e2), slow(0.3, 1e4), slow(3.0, 1e4)])
def test_an_intercept_that_learns_at_a_rate_vanishes(rate, last):
    X, y = offset_data()
    levels = np.geomspace(10, last, 4)
    free = max_margin(X, y, norm="l1", fit_intercept=True)
    none = max_margin(X, y, norm="l1")
    assert abs(free.intercept) > 0.3
    assert none.value > 1.05 * free.value
    ratios, excess = [], []
    for coef, b in trained_intercept(X, y, levels, rate):
        margin = np.min((X @ coef + b) * np.where(y, 1, -1))
        ratios.append(abs(b) / margin)
        excess.append(np.abs(coef).sum() / margin / none.value - 1)
    assert np.all(np.diff(ratios) < 0)
    assert ratios[-1] < 3 * max(1, rate) * np.log(last) ** 1.5 / last
    assert abs(excess[-1]) < (0.1 if last < 1e4 else 0.01)
    # Profiled, as here, it is that of the best separator with a free intercept.
    path, _ = follow(
        problem_of(X, y, fit_intercept=True, alpha=0.5), log_loss_tol=-1e10
    )
    node = path.nodes[-1]
    size = node.loss.margins.min()
    assert np.abs(node.coef).sum() / size == pytest.approx(free.value, rel=0.01)
    assert node.intercept[0] / size == pytest.approx(free.intercept, rel=0.03)


@each_count
def test_the_linear_model_goes_to_the_free_l2_separator(n_classes):
    problem, X, y = separable(n_classes, depth=1, n=7, d=4)
    node = follow(problem, "dual_mirror", log_loss_tol=-1e6)[0].nodes[-1]
    best = max_margin(X, y, fit_intercept=True)
    size = node.loss.margins.min()
    coef = np.reshape(best.coef, node.coef.shape)
    assert_allclose(node.coef / size, coef, atol=1e-4 * np.abs(coef).max())
    assert_allclose(node.intercept / size, np.ravel(best.intercept), atol=1e-4)
