"""The flow of diagonal classifiers against flows of all weights, and minimisers."""

import numpy as np
import pytest
from classifier_reference import Reference, labelled, problem_of
from numpy.testing import assert_allclose
from scipy.integrate import quad

from skregimes.flows.loss_clock import _log_mean_exp, loss_clock_flow

SHAPE = np.linspace(0.5, 0.8, 4)
WEIGHT = np.linspace(1, 2, 6)
# Depth, loss, number of classes, intercept: every pair of values is there.
CASES = [
    (1, "exponential", 2, False),
    (1, "logistic", 3, True),
    (2, "exponential", 3, False),
    (2, "logistic", 2, True),
    (2, "exponential", 2, True),
    (3, "exponential", 2, True),
    (3, "logistic", 3, False),
    (4, "exponential", 2, True),
    (4, "logistic", 3, False),
]
each_case = pytest.mark.parametrize(("depth", "loss", "n_classes", "intercept"), CASES)


def case(depth, loss, n_classes, intercept, n=6, d=4, **options):
    """Return the same small problem for the flow and for its reference."""
    X, y = labelled(n, d, n_classes, seed=1)
    options = {
        "depth": depth, "loss": loss, "fit_intercept": intercept,
        "alpha": SHAPE, "weight": WEIGHT[:n], **options,
    }  # fmt: skip
    return problem_of(X, y, **options), Reference(X, y, **options)


def end(problem, **options):
    return loss_clock_flow(problem, **options).nodes[-1]


def close(a, b, tol):
    assert_allclose(a, b, rtol=0, atol=tol * np.abs(b).max())


# -- the field -------------------------------------------------------------------------


@each_case
@pytest.mark.parametrize("n_samples", [4, 9])
def test_jacobian_is_that_of_finite_differences(
    depth, loss, n_classes, intercept, n_samples
):
    X, y = labelled(n_samples, 5, n_classes, seed=2)
    problem = problem_of(
        X, y, depth=depth, loss=loss, fit_intercept=intercept, alpha=0.7
    )
    rng = np.random.default_rng(0)
    dual = 0.05 * rng.standard_normal(problem.start().dual.shape)
    node = problem.node(dual, problem.start().intercept)

    def at(flat):
        there = problem.node(flat.reshape(dual.shape), node.intercept)
        return np.concatenate([problem.field(there).ravel(), there.intercept])

    found = np.vstack(problem.jacobian(node))
    for column, unit in zip(found.T, np.eye(dual.size), strict=True):
        near, far = (
            at(dual.ravel() + h * unit) - at(dual.ravel() - h * unit)
            for h in (2e-4, 4e-4)
        )
        close(column, (8 * near - far) / 24e-4, 1e-7)


# -- the path --------------------------------------------------------------------------

# Moroshko et al. 2020 in small: margins of four samples, solved by Radau to 1e-11.
GOLDEN_X = np.array([[2, 1, 0], [1, -1, 1], [-1, -2, 0.5], [-1.5, 0.5, -1]])
GOLDEN = [
    (0.1, 1, "0.74403791 0.028526645 0.030891059"),
    (0.1, 10, "9.258665328 0.07311293 0.07261368"),
    (0.1, 1000, "999.0744661 .3088216758 .3768050484"),
    (1.0, 1, "0.660037856 0.155940186 0.197731502"),
    (1.0, 10, "8.406623519 0.981221995 1.723994667"),
    (1.0, 1000, "993.321099303 6.032689458 11.90610628"),
]


@pytest.mark.parametrize(("alpha", "fall", "coef"), GOLDEN)
def test_golden_values_to_all_digits(alpha, fall, coef):
    problem = problem_of(GOLDEN_X, np.array([1, 1, 0, 0]), alpha=alpha)
    node = end(problem, log_loss_tol=-fall, rtol=1e-10 if fall > 10 else 1e-8)
    for value, digits in zip(node.coef[0], coef.split(), strict=True):
        unit = 10.0 ** -len(digits.split(".")[1])
        assert value == pytest.approx(float(digits), rel=0, abs=0.51 * unit)
    if (alpha, fall) == (0.1, 1000):
        assert node.loss.margins.min() == pytest.approx(999.142449516, abs=5.1e-10)


@each_case
def test_agrees_with_the_flow_of_the_weights_in_time(depth, loss, n_classes, intercept):
    problem, reference = case(depth, loss, n_classes, intercept)
    truth = reference.at_times([2.0], rtol=1e-9)[0]
    path = loss_clock_flow(problem, log_max_time=np.log(2.0), rtol=1e-6)
    node = path.nodes[-1]
    assert path.status == "time"
    assert node.log_time == pytest.approx(np.log(2.0), abs=1e-11)
    close(node.coef, truth, 1e-6)
    scores = reference.X @ truth.T
    offset = reference.intercept(scores)
    if intercept:
        close(node.intercept, offset, 3e-6)
    log_loss, log_force, force = reference.force(scores + offset)
    assert node.loss.log_loss == pytest.approx(log_loss, abs=1e-5)
    assert node.loss.log_force == pytest.approx(log_force, abs=1e-5)
    close(node.loss.force, force, 1e-5)


def test_agrees_with_the_flow_of_the_weights_at_a_tiny_loss():
    levels = [6.0, 1e2, 1e5]
    problem, reference = case(2, "exponential", 2, False, n=4, d=2, alpha=0.5)
    for level, truth in zip(levels, reference.at_log_losses(levels, 1e-9), strict=True):
        path = loss_clock_flow(problem, log_loss_tol=-level, rtol=1e-7)
        assert path.status == "level"
        close(path.nodes[-1].coef, truth, 1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "loss", "n_classes", "intercept", "rtol"),
    [
        (1, "exponential", 2, True, 1e-9),
        (2, "exponential", 2, True, 1e-10),
        (2, "logistic", 3, False, 1e-8),
        (3, "logistic", 2, False, 1e-8),
        (3, "exponential", 3, False, 1e-8),
        (4, "exponential", 2, True, 1e-8),
    ],
)
def test_agrees_with_the_flow_of_the_weights_at_any_loss(
    depth, loss, n_classes, intercept, rtol
):
    levels = [6.0, 1e2, 1e5]
    problem, reference = case(
        depth, loss, n_classes, intercept, n=4, d=3, alpha=SHAPE[:3]
    )
    for level, truth in zip(levels, reference.at_log_losses(levels), strict=True):
        path = loss_clock_flow(problem, log_loss_tol=-level, rtol=rtol, max_iter=10**5)
        assert path.status == "level"
        close(path.nodes[-1].coef, truth, 1e-8)


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_time_of_one_sample_in_closed_form(loss):
    # Depth 1 is beta' = 2 c, c = exp(-beta) or 1 / (1 + exp(beta)).
    problem = problem_of(np.ones((1, 1)), np.array([1]), depth=1, loss=loss)
    for fall in (0.8, 5.0, 50.0, 1e3, 1e5):
        node = end(problem, log_loss_tol=-fall, rtol=1e-6)
        if loss == "exponential":
            assert node.coef == pytest.approx(fall, rel=1e-11)
            log_time = fall + np.log(-np.expm1(-fall)) - np.log(2)
        else:
            b = np.log(np.expm1(np.exp(-fall))) if fall < 30 else -fall
            assert node.coef == pytest.approx(-b, rel=1e-9)
            log_time = np.log(np.expm1(-b) - b) - np.log(2) if fall < 30 else fall
            log_time -= np.log(2) * (fall >= 30)
        assert node.log_time == pytest.approx(log_time, abs=1e-4)


@each_case
def test_every_node_obeys_what_the_flow_conserves(depth, loss, n_classes, intercept):
    problem, _ = case(depth, loss, n_classes, intercept, n=6, d=4)
    potential = problem.potential
    path = loss_clock_flow(problem, log_loss_tol=-0.9 if n_classes > 2 else -3)
    for node in path.nodes[1:]:
        dual = problem.shape * (problem.dual_of_samples(node) @ problem.X)
        close(dual, potential.dual_of_theta(node.theta), 1e-11)
        if intercept:
            assert_allclose(node.loss.force.sum(axis=0), 0, atol=1e-12)
        if depth == 1:
            continue
        plus, minus = (np.exp(log) for log in potential.log_weights(node.theta))
        close(plus**depth - minus**depth, node.coef, 1e-11)
        p = depth - 2
        kept = plus * minus if p == 0 else (plus**-p + minus**-p) / 2
        target = SHAPE**2 if p == 0 else SHAPE**-p
        assert_allclose(kept, np.broadcast_to(target, kept.shape), rtol=1e-11)
    assert np.all(np.diff([node.fall for node in path.nodes]) > 0)
    assert np.all(np.diff([node.log_time for node in path.nodes]) > 0)


def test_duals_integrate_forces():
    problem, _ = case(2, "logistic", 2, True, n=6, d=3, alpha=0.5)  # folded
    path = loss_clock_flow(problem, log_max_time=np.log(2.0), rtol=1e-6)
    time = np.exp([node.log_time for node in path.nodes])
    force = [node.loss.force[:, 0] * np.exp(node.loss.log_force) for node in path.nodes]
    middle = (np.array(force[1:]) + force[:-1]) / 2
    total = np.diff(time) @ middle * np.exp(problem.log_rate)
    close(problem.dual_of_samples(path.nodes[-1])[0], total, 1e-2)


@pytest.mark.parametrize(
    "values", [(0.0, 0.0, 0.0), (0.0, 1.0, 3.0), (5.0, 2.0, -9.0), (0.0, 700.0, 1400.0)]
)
def test_means_of_exponentials(values):
    top = max(values)
    curve = np.polynomial.Polynomial.fit([0, 0.5, 1], values, 2)
    near = [0.999, 1.0] if values[2] > values[0] else [0.0, 0.001]
    mean = quad(lambda x: np.exp(curve(x) - top), 0, 1, points=near, limit=200)[0]
    assert _log_mean_exp(*values) == pytest.approx(top + np.log(mean), abs=1e-5)


# -- where it stops --------------------------------------------------------------------


@each_case
def test_stops_exactly_where_told(depth, loss, n_classes, intercept):
    problem, _ = case(depth, loss, n_classes, intercept, n=4, d=5, alpha=0.5)
    for level in (-1.5, -3e3):
        path = loss_clock_flow(problem, log_loss_tol=level)
        assert path.status == "level"
        assert path.nodes[-1].loss.log_loss == pytest.approx(level, rel=2e-11)
    for log_time in (0.0, 3e3):
        path = loss_clock_flow(problem, log_max_time=log_time)
        assert path.status == "time"
        assert path.nodes[-1].log_time == pytest.approx(log_time, rel=2e-11, abs=2e-11)
    both = loss_clock_flow(problem, log_loss_tol=-1e3, log_max_time=0.0)
    assert both.status == "time"


def test_a_level_above_the_start_is_reached_there():
    problem, _ = case(2, "logistic", 2, False)
    path = loss_clock_flow(problem, log_loss_tol=1.0)
    assert (path.status, path.n_iter, len(path.nodes)) == ("level", 0, 1)
    assert np.all(path.nodes[0].coef == 0)


@pytest.mark.parametrize(("loss", "n_classes"), [("logistic", 3), ("exponential", 2)])
def test_goes_on_from_any_node(loss, n_classes):
    problem, _ = case(2, loss, n_classes, True, n=6, d=4)
    options = {"log_loss_tol": -30.0 if n_classes == 2 else -1.0, "rtol": 1e-6}
    whole = loss_clock_flow(problem, **options)
    start = whole.nodes[len(whole.nodes) // 2]
    again = loss_clock_flow(problem, start=start, **options)
    close(again.nodes[-1].coef, whole.nodes[-1].coef, 1e-5)
    assert again.nodes[-1].log_time == pytest.approx(whole.nodes[-1].log_time, abs=1e-4)


def test_bounds_interrupts_and_stops_keep_what_was_reached():
    problem, _ = case(2, "logistic", 2, True, n=4, d=5, alpha=0.5)
    short = loss_clock_flow(problem, log_loss_tol=-100.0, max_iter=5)
    assert (short.status, short.n_iter) == ("max_iter", 5)
    seen = []

    def third(node):
        seen.append(node)
        return len(seen) == 3

    stopped = loss_clock_flow(problem, log_loss_tol=-100.0, on_node=third)
    assert stopped.status == "stopped"
    assert stopped.nodes[1:] == seen

    def interrupt(node):
        if node.fall > 2:
            raise KeyboardInterrupt

    path = loss_clock_flow(problem, log_loss_tol=-100.0, on_node=interrupt)
    assert path.status == "interrupted"
    assert path.nodes[-1].fall > 2 > path.nodes[-2].fall
    again = loss_clock_flow(problem, log_loss_tol=-100.0, start=path.nodes[-1])
    assert again.status == "level"


# -- where it rests --------------------------------------------------------------------


@each_case
def test_overlapping_classes_end_at_the_least_loss(depth, loss, n_classes, intercept):
    X, y = labelled(40, 3, n_classes, seed=3, noise=0.3)
    options = {"loss": loss, "fit_intercept": intercept, "alpha": 0.5, "depth": depth}
    coef, offset, least = Reference(X, y, **options).least()
    path = loss_clock_flow(problem_of(X, y, **options), tol=1e-11)
    node = path.nodes[-1]
    assert path.status == "stationary"
    if n_classes > 2:  # the flow of depth 1 keeps the sum over classes at zero
        coef, found = coef - coef.mean(axis=0), node.coef - node.coef.mean(axis=0)
    else:
        found = node.coef
    close(found, coef, 1e-6)
    if intercept:
        close(node.intercept, offset, 3e-6)
    assert np.exp(node.loss.log_loss) == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize("n_samples", [5, 30])
def test_features_without_a_say_stay_where_they_are(n_samples):
    X, y = labelled(n_samples, 4, seed=4)
    X[:, 1] = 0
    X[:, 3] = X[:, 2]
    node = end(problem_of(X, y, fit_intercept=True), log_loss_tol=-3.0)
    assert node.coef[0, 1] == 0
    assert node.coef[0, 2] == pytest.approx(node.coef[0, 3], rel=1e-9)
    nothing = loss_clock_flow(problem_of(0 * X, y, fit_intercept=True))
    assert nothing.status == "stationary"
    assert np.all(nothing.nodes[-1].coef == 0)


@pytest.mark.parametrize(("loss", "n_classes"), [("logistic", 3), ("exponential", 2)])
def test_folding_many_samples_changes_nothing(loss, n_classes):
    X, y = labelled(9, 4, n_classes, seed=5)
    wide = np.column_stack([X, np.zeros((9, 5))])  # as many columns as rows: not folded
    options = {"loss": loss, "fit_intercept": True, "alpha": 0.5}
    folded, plain = (
        end(problem_of(A, y, **options), log_max_time=1.0, rtol=1e-6) for A in (X, wide)
    )
    close(folded.coef, plain.coef[:, :4], 1e-6)
    close(folded.intercept, plain.intercept, 1e-6)
    folded, plain = (
        problem_of(A, y, **options).dual_of_samples(node)
        for A, node in ((X, folded), (wide, plain))
    )
    close(folded, plain, 1e-3)  # quadrature along the steps


def test_repeated_samples_are_weights():
    X, y = labelled(6, 4, 3, seed=6)
    times = [1, 3, 2, 1, 1, 2]
    weighted = problem_of(X, y, weight=times, fit_intercept=True, loss="logistic")
    again = problem_of(
        np.repeat(X, times, axis=0), np.repeat(y, times), fit_intercept=True,
        loss="logistic",
    )  # fmt: skip
    a, b = (end(p, log_max_time=3.0, rtol=1e-5) for p in (weighted, again))
    close(a.coef, b.coef, 1e-5)
    assert a.loss.log_loss == pytest.approx(b.loss.log_loss, abs=1e-6)
