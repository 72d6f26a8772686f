"""Hard-margin separators against convex solvers and optimality conditions."""

from importlib import import_module

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.svm import SVC

from skregimes.limits import max_margin, q_norm
from skregimes.limits._checks import LimitError
from skregimes.limits.max_margin import Separation, _linear_program


def problem(seed, n, d, n_classes=2):
    """Return separable data; a class is what an offset linear rule gives."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    scores = X @ rng.standard_normal((d, n_classes)) + 0.3 * np.arange(n_classes)
    return X, scores.argmax(axis=1)


def margins(X, y, coef, intercept):
    """Return all margins, from the definition."""
    _, codes = np.unique(y, return_inverse=True)
    if coef.ndim == 1:
        return (X @ coef + intercept) * np.where(codes == 1, 1, -1)
    scores = X @ coef.T + intercept
    return np.concatenate(
        [np.delete(f[c] - f, c) for f, c in zip(scores, codes, strict=True)]
    )


def pull(X, y, dual):
    """Return the pull of multipliers on coefficients, and that on intercepts."""
    _, codes = np.unique(y, return_inverse=True)
    if dual.ndim == 1:
        force = dual * np.where(codes == 1, 1, -1)
        return X.T @ force, force.sum()
    force = np.array(
        [np.insert(-row, c, row.sum()) for row, c in zip(dual, codes, strict=True)]
    )
    return force.T @ X, force.sum(axis=0)


def convex(X, y, fit_intercept, cost, **options):
    """Return the separator that a convex solver finds."""
    _, codes = np.unique(y, return_inverse=True)
    n_outputs = 1 if codes.max() == 1 else codes.max() + 1
    coef = cp.Variable((n_outputs, X.shape[1]))
    intercept = cp.Variable(n_outputs)
    rows = []
    for x, c in zip(X, codes, strict=True):
        f = coef @ x + intercept
        if n_outputs == 1:
            rows.append(f[0] * (1 if c else -1) >= 1)
        else:
            rows += [f[int(c)] - f[k] >= 1 for k in range(n_outputs) if k != c]
    rows += [cp.sum(intercept) == 0] if fit_intercept and n_outputs > 1 else []
    rows += [] if fit_intercept else [intercept == 0]
    value = cp.Problem(cp.Minimize(cost(coef)), rows).solve("CLARABEL", **options)
    return (
        np.squeeze(np.array(coef.value)),
        np.squeeze(np.array(intercept.value)),
        value,
    )


CASES = [(12, 30, 2), (40, 5, 2), (9, 12, 3), (30, 4, 4)]


@pytest.mark.parametrize("shape", CASES)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_l2_meets_the_quadratic_program(shape, fit_intercept):
    n, d, n_classes = shape
    X, y = problem(0, n, d, n_classes)
    if not fit_intercept and n_classes == 2:
        y = (X[:, 0] > 0).astype(int)
    if not fit_intercept and n_classes > 2:
        y = (X @ np.random.default_rng(5).standard_normal((d, n_classes))).argmax(1)
    ours = max_margin(X, y, norm="l2", fit_intercept=fit_intercept)
    coef, intercept, value = convex(X, y, fit_intercept, cp.sum_squares)
    assert_allclose(ours.coef, coef, atol=1e-5 * np.abs(coef).max())
    assert_allclose(ours.intercept, intercept, atol=1e-4 * np.abs(coef).max())
    assert_allclose(ours.value, np.sqrt(value), rtol=1e-7)
    assert_allclose(ours.margin, 1 / np.linalg.norm(ours.coef))
    # The multipliers certify it: their pull is the gradient of the norm.
    slack = margins(X, y, ours.coef, ours.intercept) - 1
    assert slack.min() > -1e-9
    assert_allclose(slack * ours.dual.ravel(), 0, atol=1e-8 * ours.dual.max())
    assert ours.dual.min() >= 0
    force, balance = pull(X, y, ours.dual)
    assert_allclose(force, ours.coef / ours.value, atol=1e-10)
    if fit_intercept:
        assert_allclose(balance, 0, atol=1e-9 * ours.dual.sum())
    assert_allclose(ours.dual.sum(), ours.value, rtol=1e-9)


@pytest.mark.parametrize("shape", CASES)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_l1_is_certified_by_its_multipliers(shape, fit_intercept):
    n, d, n_classes = shape
    X, y = problem(1, n, d, n_classes)
    fit_intercept = fit_intercept or n_classes > 2 or n > d
    ours = max_margin(X, y, norm="l1", fit_intercept=fit_intercept)
    assert margins(X, y, ours.coef, ours.intercept).min() > 1 - 1e-9
    force, balance = pull(X, y, ours.dual)
    assert ours.dual.min() >= 0
    assert np.max(np.abs(force)) < 1 + 1e-12
    if fit_intercept:
        assert_allclose(balance, 0, atol=1e-9 * ours.dual.sum())
    # Weak duality: no separator has a lesser norm than the multipliers add up to.
    assert_allclose(ours.dual.sum(), np.abs(ours.coef).sum(), rtol=1e-9)
    assert_allclose(ours.value, np.abs(ours.coef).sum())
    cost = lambda coef: cp.sum(cp.abs(coef))
    assert_allclose(ours.value, convex(X, y, fit_intercept, cost)[2], rtol=1e-6)


@pytest.mark.parametrize("shape", CASES)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_linear_program_agrees(shape, fit_intercept):
    n, d, n_classes = shape
    X, y = problem(1, n, d, n_classes)
    fit_intercept = fit_intercept or n_classes > 2 or n > d
    data = Separation(X, y, fit_intercept)
    ours = max_margin(X, y, norm="l1", fit_intercept=fit_intercept)
    coef, intercept, dual = data.restore(*_linear_program(data))
    if n_classes == 2:  # more classes tie
        assert_allclose(coef, ours.coef, atol=1e-9 * np.abs(coef).max())
    assert margins(X, y, coef, intercept).min() > 1 - 1e-9
    assert_allclose(np.abs(coef).sum(), ours.value, rtol=1e-9)
    assert_allclose(dual.sum(), ours.value, rtol=1e-9)


def test_l1_falls_back_on_the_linear_program(monkeypatch):
    X, y = problem(1, 12, 30)
    expected = max_margin(X, y, norm="l1")

    def fail(self, gamma):
        raise LimitError("not today")

    monkeypatch.setattr("skregimes.limits._sweeping.Sweep.advance", fail)
    ours = max_margin(X, y, norm="l1")
    assert_allclose(ours.coef, expected.coef, atol=1e-10)
    assert_allclose(ours.dual, expected.dual, atol=1e-8)


def test_an_uncertified_linear_program_is_refused(monkeypatch):
    X, y = problem(1, 12, 30)
    module = import_module("skregimes.limits.max_margin")
    monkeypatch.setattr(module, "_INEXACT", 0.0)
    with pytest.raises(LimitError, match="linear program was solved to a relative"):
        max_margin(X, y, norm="l1")


@pytest.mark.parametrize("mu", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_q_of_depth_2_meets_an_exponential_cone_solver(mu, fit_intercept):
    X, y = problem(2, 10, 20)
    signs = np.where(y == 1, 1, -1)
    plus, minus, b = cp.Variable(20), cp.Variable(20), cp.Variable()
    rows = [cp.multiply(signs, X @ (plus - minus) + b) >= 1]
    rows += [] if fit_intercept else [b == 0]
    # The conjugate of 2 mu (cosh(s) - 1), as an entropy of two positive parts.
    cost = cp.sum(cp.kl_div(plus, mu) + cp.kl_div(minus, mu))
    value = cp.Problem(cp.Minimize(cost), rows).solve("CLARABEL")
    ours = max_margin(X, y, norm=("q", mu), fit_intercept=fit_intercept)
    coef = (plus - minus).value
    assert_allclose(ours.coef, coef, atol=1e-3 * np.abs(coef).max())
    assert_allclose(ours.value, value, rtol=1e-5)
    scale = np.sqrt(mu)
    assert_allclose(ours.value, q_norm(ours.coef, scale), rtol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_q_of_any_depth_is_stationary(depth, n_classes, fit_intercept):
    X, y = problem(3, 12, 25, n_classes)
    for mu in (30.0, 0.1, 1e-3):
        ours = max_margin(
            X, y, norm=("q", mu), depth=depth, fit_intercept=fit_intercept
        )
        assert_allclose(margins(X, y, ours.coef, ours.intercept).min(), 1, rtol=1e-9)
        slack = margins(X, y, ours.coef, ours.intercept) - 1
        assert_allclose(slack * ours.dual.ravel(), 0, atol=1e-8 * ours.dual.max())
        force, balance = pull(X, y, ours.dual)
        if fit_intercept:
            assert_allclose(balance, 0, atol=1e-9 * ours.dual.sum())
        # The pull is the gradient of Q: by differences of q_norm, coordinate-wise.
        flat, scale = ours.coef.ravel(), mu ** (1 / depth)
        gradient = np.zeros_like(flat)
        for i, value in enumerate(flat):
            h = 1e-4 * max(abs(value), 1e-2 * mu)
            ends = [q_norm(np.array([value + e]), scale, depth=depth) for e in (h, -h)]
            gradient[i] = (ends[0] - ends[1]) / (2 * h)
        assert_allclose(np.ravel(force), gradient, atol=1e-6 * np.abs(force).max())
        total = np.sum(q_norm(ours.coef, scale, depth=depth))
        assert_allclose(ours.value, total, rtol=1e-9)


def test_q_of_depth_3_meets_a_general_solver():
    X, y = problem(4, 6, 8)
    signs, mu = np.where(y == 1, 1, -1), 0.2
    # Parts of beta, smooth: a sequential quadratic program in coordinates.
    answer = minimize(
        lambda beta: q_norm(beta, mu ** (1 / 3), depth=3),
        max_margin(X, y).coef,
        constraints={"type": "ineq", "fun": lambda beta: signs * (X @ beta) - 1},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    ours = max_margin(X, y, norm=("q", mu), depth=3)
    assert_allclose(ours.coef, answer.x, atol=1e-5)
    assert_allclose(ours.value, answer.fun, rtol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_q_lies_between_both_ends(depth):
    X, y = problem(5, 12, 30)
    l1, l2 = max_margin(X, y, norm="l1"), max_margin(X, y, norm="l2")
    wide = max_margin(X, y, norm=("q", 1e6), depth=depth)
    assert_allclose(wide.coef, l2.coef, atol=1e-11)
    for mu in (1e30, 1e100, 1e200):
        wide = max_margin(X, y, norm=("q", mu), depth=depth)
        assert_allclose(wide.coef, l2.coef, atol=1e-11)
    narrow = max_margin(X, y, norm=("q", 1e-100), depth=depth)
    excess = np.abs(narrow.coef).sum() / l1.value - 1
    # Depth 2 closes in like one over the log of mu, deeper networks like a power.
    assert -1e-9 < excess < (0.03 if depth == 2 else 1e-9)


def test_svc_of_large_penalty_agrees():
    X, y = problem(6, 60, 4)
    machine = SVC(kernel="linear", C=1e10, tol=1e-8).fit(X, y)
    ours = max_margin(X, y, fit_intercept=True)
    assert_allclose(ours.coef, machine.coef_[0], rtol=1e-4)
    assert_allclose(ours.intercept, machine.intercept_[0], rtol=1e-4)


def test_by_hand():
    X = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    ours = max_margin(X, ["no", "yes", "yes"], fit_intercept=True)
    # The first class at (1, 0): the strip to the segment between the other two is
    # normal to (2, 3), 4 / sqrt(13) wide.
    assert_allclose(ours.coef, [1.0, 1.5], rtol=1e-12)
    assert_allclose(ours.intercept, -2.0, rtol=1e-12)
    assert_allclose(ours.margin, 2 / np.sqrt(13))
    assert ours.classes.tolist() == ["no", "yes"]
    one = max_margin([[2.0], [-4.0]], [True, False], norm="l1")
    assert_allclose([one.coef[0], one.value, one.margin], [0.5, 0.5, 2.0])
    # Three classes at the corners of a triangle, by symmetry.
    angle = 2 * np.pi / 3 * np.arange(3)
    corners = np.c_[np.cos(angle), np.sin(angle)]
    three = max_margin(corners, [5, 7, 9], fit_intercept=True)
    assert_allclose(three.coef, corners * 2 / 3, atol=1e-12)
    assert_allclose(three.intercept, 0, atol=1e-12)
    assert three.dual.shape == (3, 2)


def test_both_ends_on_a_sparse_rule():
    # Constants of an independent implementation.
    X = np.random.default_rng(0).standard_normal((20, 50))
    y = X[:, :3].sum(axis=1) > 0
    l1, l2 = max_margin(X, y, norm="l1"), max_margin(X, y, norm="l2")
    assert_allclose([l1.value, l2.value], [2.938090, 0.683834], rtol=1e-6)
    assert_allclose(np.abs(l2.coef).sum() / l1.value - 1, 0.3128, atol=5e-5)
    assert_allclose(np.linalg.norm(l1.coef) / l2.value - 1, 0.6171, atol=5e-5)


@pytest.mark.parametrize("norm", ["l1", "l2", ("q", 0.1)])
def test_duplicates_change_nothing(norm):
    X, y = problem(7, 15, 25)
    ours = max_margin(X, y, norm=norm, fit_intercept=True)
    rows = np.r_[np.arange(15), np.arange(8), np.arange(8)]
    twice = max_margin(X[rows], y[rows], norm=norm, fit_intercept=True)
    assert_allclose(twice.coef, ours.coef, atol=1e-9)
    dual = np.zeros(15)
    np.add.at(dual, rows, twice.dual)
    assert_allclose(dual, ours.dual, atol=1e-7 * dual.max())
    # Equal columns share, resolved by 1 - |s| where s is all but one.
    double = max_margin(np.hstack([X, X]), y, norm=norm, fit_intercept=True)
    left, right = np.split(double.coef, 2)
    assert_allclose(left, right, atol=1e-3 if norm == "l1" else 1e-10)
    if norm == "l1":
        assert_allclose(left + right, ours.coef, atol=1e-9)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_units_and_offsets(norm):
    X, y = problem(8, 12, 20)
    ours = max_margin(X, y, norm=norm, fit_intercept=True)
    for unit in (1e-150, 1e-20, 1e150):
        scaled = max_margin(X * unit, y, norm=norm, fit_intercept=True)
        assert_allclose(scaled.coef * unit, ours.coef, atol=1e-11)
        assert_allclose(scaled.value * unit, ours.value, rtol=1e-11)
        assert_allclose(scaled.dual * unit, ours.dual, atol=1e-8)
    far = max_margin(X + 1e6, y, norm=norm, fit_intercept=True)
    assert_allclose(far.coef, ours.coef, atol=1e-7)


@pytest.mark.parametrize("unit", [1e-150, 1e-20, 1e150])
@pytest.mark.parametrize("depth", [2, 3])
def test_mu_has_the_unit_of_coefficients(unit, depth):
    X, y = problem(8, 12, 20)
    ours = max_margin(X, y, norm=("q", 0.1), depth=depth)
    scaled = max_margin(X * unit, y, norm=("q", 0.1 / unit), depth=depth)
    assert_allclose(scaled.coef * unit, ours.coef, atol=1e-10)
    assert_allclose(scaled.value * unit, ours.value, rtol=1e-10)
    assert_allclose(scaled.dual * unit, ours.dual, atol=1e-8 * ours.dual.max())


@pytest.mark.parametrize("norm", ["l1", "l2", ("q", 0.1)])
@pytest.mark.parametrize("seed", range(4))
def test_inseparable_classes_are_named(norm, seed):
    X, y = problem(9, 10, 20)
    X, y = np.vstack([X, X[3]]), np.r_[y, 1 - y[3]]
    with pytest.raises(ValueError, match=r"not linearly separable.* samples 3, 10 "):
        max_margin(X, y, norm=norm, fit_intercept=True)
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((60, 4)), rng.integers(0, 3, 60)
    with pytest.raises(ValueError, match="not linearly separable"):
        max_margin(X, y, norm=norm, fit_intercept=True)
    # Two positive numbers on one side of the origin.
    with pytest.raises(ValueError, match="fit_intercept=True"):
        max_margin([[1.0], [2.0]], [0, 1], norm=norm)
    coef = max_margin([[1.0], [2.0]], [0, 1], norm="l2", fit_intercept=True).coef
    assert_allclose(coef, 2.0)
    with pytest.raises(ValueError, match="not linearly separable"):
        max_margin([[0.0], [2.0]], [0, 1], norm=norm)
    with pytest.raises(ValueError, match="not linearly separable"):
        max_margin([[0.0], [0.0]], [0, 1], norm=norm, fit_intercept=True)


@pytest.mark.parametrize("norm", ["l1", "l2", ("q", 0.1)])
def test_nearly_touching_classes(norm):
    X, y = problem(10, 10, 20)
    X, y = np.vstack([X, X[3] + 1e-6]), np.r_[y, 1 - y[3]]
    ours = max_margin(X, y, norm=norm, fit_intercept=True)
    assert_allclose(margins(X, y, ours.coef, ours.intercept).min(), 1, rtol=1e-6)
    assert np.linalg.norm(ours.coef) > 1e4


@pytest.mark.parametrize("norm", ["l1", "l2", ("q", 0.1)])
def test_labels_of_any_type(norm):
    X, y = problem(11, 10, 15, 3)
    ours = max_margin(X, y, norm=norm)
    for labels in (np.array(["x", "y", "z"]), np.array([-1.5, 0.0, 9.0])):
        again = max_margin(X, labels[y], norm=norm)
        assert_allclose(again.coef, ours.coef)
        assert again.classes.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [[np.nan], [1.0]]}, "X contains NaN"),
        ({"X": np.zeros((2, 0))}, "must not be empty"),
        ({"y": [1, 1]}, "y has one class only"),
        ({"y": [0, 1, 1]}, "X has 2 rows but y has 3"),
        ({"y": [[0], [1]]}, "y must be 1-D"),
        ({"y": [0.0, np.nan]}, "y contains NaN"),
        ({"y": np.array([0, "a"], dtype=object)}, "do not compare"),
        ({"norm": "l3"}, "norm must be"),
        ({"norm": ("q", 0.0)}, "mu must be positive"),
        ({"norm": ("q", 1e-300)}, "mu must be at least"),
        ({"depth": 0, "norm": ("q", 1.0)}, "depth must be"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        max_margin(**{"X": [[1.0], [-1.0]], "y": [1, 0]} | change)
