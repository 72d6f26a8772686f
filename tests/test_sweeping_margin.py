"""The sweeping process against its conditions, the static problem and the flow."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, nnls
from scipy.special import logsumexp, softmax

from skregimes.limits import max_margin, sweeping_margin
from skregimes.limits._checks import LimitError
from skregimes.limits._sweeping import NotSeparableError, Sweep
from skregimes.limits.margins import Margins
from skregimes.limits.potentials import DiagonalPotential


def problem(seed, n, d, n_classes=2):
    """Return data that a plane through the origin separates."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    if n_classes == 2:
        return X, (X[:, :3].sum(axis=1) > 0).astype(int)
    return X, (X @ rng.standard_normal((d, n_classes))).argmax(axis=1)


def gradients(X, y):
    """Return the gradient of every margin, (n_margins, n_outputs * d)."""
    n_classes = y.max() + 1
    rows = []
    for x, code in zip(X, y, strict=True):
        if n_classes == 2:
            rows.append(x if code else -x)
            continue
        for wrong in np.delete(np.arange(n_classes), code):
            row = np.zeros((n_classes, len(x)))
            row[code], row[wrong] = x, -x
            rows.append(row.ravel())
    return np.array(rows)


def link(depth, s):
    """Return coefficients of scale one, from Woodworth et al., Theorems 1 and 3."""
    if depth == 2:
        return 2 * np.sinh(s)
    k = depth / (depth - 2)
    return (1 - s) ** -k - (1 + s) ** -k


def rate(depth, s):
    """Return the derivative of the link."""
    if depth == 2:
        return 2 * np.cosh(s)
    k = depth / (depth - 2)
    return k * ((1 - s) ** (-k - 1) + (1 + s) ** (-k - 1))


# -- one step ----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3, 4, 8])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_every_step_meets_the_conditions_of_a_projection(
    depth, n_classes, fit_intercept
):
    X, y = problem(0, 12, 20, n_classes)
    A = gradients(X, y)
    units = gradients(np.ones((12, 1)), y)  # of the intercepts
    sweep = Sweep(
        X,
        Margins(y, n_classes),
        DiagonalPotential(depth, 0.0),
        fit_intercept=fit_intercept,
    )
    before = np.zeros(len(A))
    for gamma in (1e-3, 1.0, 1.5, 20.0, 1e3):
        sweep.advance(gamma)
        assert np.all(sweep.dual >= before)
        coef = link(depth, sweep.dual @ A)
        assert_allclose(sweep.coef.ravel(), coef, rtol=1e-6, atol=1e-8 * gamma)
        margins = A @ sweep.coef.ravel() + units @ sweep.intercept
        assert_allclose(sweep.margins, margins, atol=1e-9 * gamma)
        assert_allclose(margins.min(), gamma, rtol=1e-9)
        assert_allclose(margins[sweep.dual > before], gamma, rtol=1e-9)
        if fit_intercept:
            balance = sweep.dual @ units
            assert_allclose(balance, 0, atol=1e-9 * sweep.dual.sum())
        before = sweep.dual


@pytest.mark.parametrize("depth", [3, 4])
def test_a_shape_weighs_the_dual(depth):
    X, y = problem(1, 10, 15)
    shape = np.exp(np.random.default_rng(0).standard_normal(15))
    sweep = Sweep(X, Margins(y, 2), DiagonalPotential(depth, np.log(shape)))
    sweep.advance(3.0)
    # The scaled dual of a feature grows with its weight to the power depth - 2.
    pull = X.T @ (sweep.dual * np.where(y, 1, -1))
    s = (shape / shape.max()) ** (depth - 2) * pull
    assert_allclose(sweep.coef[0], shape**depth * link(depth, s), rtol=1e-9)
    assert_allclose(sweep.margins.min(), 3.0, rtol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 10])
@pytest.mark.parametrize("log_scale", [-30.0, 5.0])
def test_extreme_margins(depth, log_scale):
    X, y = problem(2, 8, 12)
    A = gradients(X, y)
    sweep = Sweep(X, Margins(y, 2), DiagonalPotential(depth, log_scale))
    for gamma in (1e-3, 1.0, 1e20, 1e60):
        sweep.advance(gamma)
        assert_allclose(sweep.margins.min(), gamma, rtol=1e-9)
        assert_allclose(A @ sweep.coef[0], sweep.margins, rtol=1e-9)
        # The dual and theta, carried apart, agree to the digits that the dual has.
        s = DiagonalPotential(depth, log_scale).dual_of_theta(sweep.theta[0])
        assert_allclose(sweep.dual @ A, s, atol=1e-12 * np.abs(s).max())


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_sweep_can_be_taken_up_again(depth, fit_intercept, n_classes):
    X, y = problem(3, 12, 20, n_classes)
    potential, margins = DiagonalPotential(depth, -1.0), Margins(y, n_classes)
    whole = Sweep(X, margins, potential, fit_intercept=fit_intercept)
    whole.advance(2.0)
    again = Sweep(
        X,
        margins,
        potential,
        whole.dual,
        fit_intercept=fit_intercept,
        intercept=whole.intercept,
        theta=whole.theta,
    )
    assert_allclose(again.margins, whole.margins, rtol=1e-12)
    for sweep in (whole, again):
        sweep.advance(7.0)
    assert_allclose(again.coef, whole.coef, atol=1e-8)
    assert_allclose(again.dual, whole.dual, atol=1e-9)
    unchanged = whole.dual
    whole.advance(5.0)
    assert_allclose(whole.dual, unchanged, rtol=0)


def test_an_interruption_leaves_a_point_of_the_sweep(monkeypatch):
    X, y = problem(4, 12, 20)
    sweep = Sweep(X, Margins(y, 2), DiagonalPotential(2, 0.0))
    sweep.advance(1.0)
    dual, coef = sweep.dual, sweep.coef
    with monkeypatch.context() as patch:
        patch.setattr(
            Sweep, "_shift", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            sweep.advance(9.0)
    assert sweep.dual is dual
    assert sweep.coef is coef
    sweep.advance(9.0)
    assert_allclose(sweep.margins.min(), 9.0)


@pytest.mark.parametrize("order", ["mixed", "sorted"])
def test_many_more_samples_than_features(order):
    X, y = problem(5, 1000, 10)
    if order == "sorted":  # the first rows that join are of one class
        X, y = X[np.argsort(y)], np.sort(y)
    sweep = Sweep(X, Margins(y, 2), DiagonalPotential(2, 0.0), fit_intercept=True)
    for gamma in (1.0, 2.0, 50.0):
        sweep.advance(gamma)
        assert_allclose(sweep.margins.min(), gamma, rtol=1e-9)
    assert np.count_nonzero(sweep.dual) < 40


@pytest.mark.parametrize("gamma", [0.0, -1.0, np.nan, np.inf])
def test_bad_margin(gamma):
    X, y = problem(5, 5, 10)
    sweep = Sweep(X, Margins(y, 2), DiagonalPotential(2, 0.0))
    with pytest.raises(ValueError, match="gamma must be positive"):
        sweep.advance(gamma)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_inseparable_rows_are_a_certificate(depth):
    X, y = problem(6, 6, 10)
    X, y = np.vstack([X, X[:1]]), np.r_[y, 1 - y[0]]
    sweep = Sweep(X, Margins(y, 2), DiagonalPotential(depth, 0.0))
    with pytest.raises(NotSeparableError) as caught:
        sweep.advance(1.0)
    assert caught.value.rows.tolist() == [0, 6]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_some_positive_combination_of_those_rows_vanishes(depth, n_classes, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((60, 4)), np.arange(60) % n_classes
    sweep = Sweep(
        X, Margins(y, n_classes), DiagonalPotential(depth, 0.0), fit_intercept=True
    )
    with pytest.raises(NotSeparableError) as caught:
        sweep.advance(1.0)
    A = gradients(np.hstack([X, np.ones((60, 1))]), y)[caught.value.rows]
    sums = np.vstack([A.T, np.ones(len(A))])
    assert nnls(sums, np.eye(len(sums))[-1])[1] < 1e-12


def test_an_inexact_projection_is_refused(monkeypatch):
    X, y = problem(6, 6, 10)
    monkeypatch.setattr(Sweep, "_step", lambda self, state, level: None)
    sweep = Sweep(X, Margins(y, 2), DiagonalPotential(2, 0.0))
    with pytest.raises(LimitError, match="could not be reached"):
        sweep.advance(1.0)


# -- the process -------------------------------------------------------------------


def decrease(X, y, depth, mus):
    """Return by how much multipliers of the static problem ever fall."""
    duals = [max_margin(X, y, norm=("q", mu), depth=depth).dual for mu in mus]
    return max(np.max((a - b) / b.max()) for a, b in pairwise(duals))


def test_it_is_the_static_problem_while_that_never_releases_a_sample():
    X, y = problem(0, 20, 50)
    mus = np.geomspace(30.0, 0.1, 12)
    assert decrease(X, y, 2, mus) < 1e-9
    swept = sweeping_margin(X, y, mus)
    for mu, coef, dual in zip(mus, swept.coef, swept.dual, strict=True):
        static = max_margin(X, y, norm=("q", mu))
        assert_allclose(coef, static.coef, atol=1e-8)
        assert_allclose(dual, static.dual, atol=1e-8)


def test_it_leaves_the_static_problem_once_that_releases_a_sample():
    X, y = problem(0, 20, 50)
    mus = np.geomspace(10.0, 0.01, 20)
    assert decrease(X, y, 2, mus) > 1e-2
    swept = sweeping_margin(X, y, [0.01, 0.001]).coef
    for coef, mu, low, high in zip(
        swept, (0.01, 0.001), (0.02, 0.04), (0.03, 0.07), strict=True
    ):
        static = max_margin(X, y, norm=("q", mu)).coef
        gap = np.linalg.norm(coef - static) / np.linalg.norm(coef)
        assert low < gap < high


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_multipliers_never_decrease(depth, n_classes, fit_intercept):
    X, y = problem(7, 12, 16, n_classes)
    mus = np.geomspace(3.0, 0.01, 7)
    path = sweeping_margin(
        X, y, mus, ratio=1.2, depth=depth, fit_intercept=fit_intercept
    )
    assert np.all(np.diff(path.dual, axis=0) >= 0)
    n_outputs = 1 if n_classes == 2 else 3
    A, units = gradients(X, y), gradients(np.ones((12, 1)), y)
    margins = path.coef.reshape(7, -1) @ A.T
    margins += path.intercept.reshape(7, n_outputs) @ units.T
    assert_allclose(margins.min(axis=1), 1, rtol=1e-9)
    # Any order, and one at a time.
    few = sweeping_margin(
        X, y, mus[[5, 2]], depth=depth, fit_intercept=fit_intercept, ratio=1.2
    )
    assert_allclose(few.coef, path.coef[[5, 2]], atol=3e-3 * np.abs(few.coef).max())
    one = sweeping_margin(
        X, y, mus[2], ratio=1.2, depth=depth, fit_intercept=fit_intercept
    )
    assert one.coef.shape == path.coef.shape[1:]
    assert np.shape(one.intercept) == path.intercept.shape[1:]
    assert_allclose(one.coef, path.coef[2], atol=3e-3 * np.abs(one.coef).max())


@pytest.mark.parametrize("depth", [2, 3])
def test_the_default_ratio_is_fine_enough(depth):
    X, y = problem(0, 20, 50)
    mus = [0.03]
    fine = sweeping_margin(X, y, mus, depth=depth, ratio=1.03).coef
    miss = lambda ratio: max(
        np.linalg.norm(a - b) / np.linalg.norm(b)
        for a, b in zip(
            sweeping_margin(X, y, mus, depth=depth, ratio=ratio).coef, fine, strict=True
        )
    )
    assert miss(1.1) < 5e-4
    assert miss(1.1) < 0.2 * miss(2.0)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_the_kernel_end_is_the_l2_separator(depth):
    X, y = problem(8, 15, 30)
    expected = max_margin(X, y, norm="l2", fit_intercept=True)
    path = sweeping_margin(X, y, [1e200, 1e6], depth=depth, fit_intercept=True)
    for coef, intercept in zip(path.coef, path.intercept, strict=True):
        assert_allclose(coef, expected.coef, atol=1e-10)
        assert_allclose(intercept, expected.intercept, atol=1e-10)
    if depth == 1:
        rich = sweeping_margin(X, y, 1e-6, depth=1, fit_intercept=True)
        assert_allclose(rich.coef, expected.coef, atol=1e-10)
        assert_allclose(rich.dual, expected.dual * expected.value, atol=1e-9)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("mu", [3.0, 0.05, 1e-6])
def test_one_direction_has_a_scalar_equation(depth, mu):
    x = np.array([2.0, 1.0, -0.5])
    end = 0.5 - 1e-12 if depth == 3 else 100.0
    nu = brentq(lambda nu: x @ link(depth, nu * x) * mu - 1, 0, end, xtol=1e-15)
    expected = mu * link(depth, nu * x)
    ours = sweeping_margin([x, -2 * x], ["b", "a"], mu, ratio=2.0, depth=depth)
    assert_allclose(ours.coef, expected, rtol=1e-7, atol=1e-9)
    assert ours.classes.tolist() == ["a", "b"]


@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_mu_has_the_unit_of_coefficients(unit):
    X, y = problem(9, 12, 20)
    ours = sweeping_margin(X, y, 0.01, ratio=1.3)
    scaled = sweeping_margin(X * unit, y, 0.01 / unit, ratio=1.3)
    assert_allclose(scaled.coef * unit, ours.coef, atol=1e-7)
    assert_allclose(scaled.dual * unit, ours.dual, atol=1e-6)


# -- the flow ----------------------------------------------------------------------


class Flow:
    """Gradient flow of the exponential loss in its dual, intercepts at their best.

    Its clock is ``log(1 - log loss)``, in which the flow ends in finite time.
    """

    def __init__(self, X, y, depth, scale, fit_intercept):
        self.A, self.depth, self.big = gradients(X, y), depth, scale**depth
        self.signs = np.zeros(len(self.A))
        if fit_intercept:
            self.signs = np.where(y == 1, 1.0, -1.0)

    def margins(self, nu):
        inner = self.A @ (self.big * link(self.depth, nu @ self.A))
        intercept, tilt = 0.0, np.zeros(len(nu))
        if self.signs.any():
            plus, minus = self.signs > 0, self.signs < 0
            intercept = (logsumexp(-inner[plus]) - logsumexp(-inner[minus])) / 2
            tilt[plus], tilt[minus] = -softmax(-inner[plus]), softmax(-inner[minus])
        return inner + self.signs * intercept, intercept, tilt / 2

    def speed(self, _, nu):
        margins, _, _ = self.margins(nu)
        q = softmax(-margins)
        fall = np.log(len(nu)) - logsumexp(-margins)
        metric = np.sum(self.big * rate(self.depth, nu @ self.A) * (q @ self.A) ** 2)
        return (1 + fall) * q / metric

    def jacobian(self, _, nu):
        A, s = self.A, nu @ self.A
        margins, _, tilt = self.margins(nu)
        q, k = softmax(-margins), self.depth / max(self.depth - 2, 1)
        w = 1 + np.log(len(nu)) - logsumexp(-margins)
        K = A * self.big * rate(self.depth, s) @ A.T
        bend = 2 * np.sinh(s)
        if self.depth > 2:
            bend = k * (k + 1) * ((1 - s) ** (-k - 2) - (1 + s) ** (-k - 2))
        d_margins = K + np.outer(self.signs, tilt @ K)
        d_q = -(q[:, None] * d_margins - np.outer(q, q @ d_margins))
        d_g = 2 * (K @ q) @ d_q + A @ (self.big * bend * (q @ A) ** 2)
        g = q @ K @ q
        return (w / g) * d_q + np.outer(q, (q @ d_margins * g - w * d_g) / g**2)

    def follow(self, fall):
        """Return margins per unit of the least: coefficients, intercept, least."""
        answer = solve_ivp(
            self.speed,
            (0, np.log1p(fall)),
            np.zeros(len(self.A)),
            method="LSODA",
            jac=self.jacobian,
            rtol=1e-6,
            atol=1e-10,
        )
        assert answer.success
        nu = answer.y[:, -1]
        margins, intercept, _ = self.margins(nu)
        least = margins.min()
        coef = self.big * link(self.depth, nu @ self.A)
        return coef / least, intercept / least, least


@pytest.mark.parametrize(
    ("depth", "n_classes", "fit_intercept"),
    [(2, 2, False), (2, 2, True), (2, 3, False), (3, 2, False)],
)
def test_the_flow_from_a_large_scale_meets_it(depth, n_classes, fit_intercept):
    X, y = problem(0, 8, 12, n_classes)
    scale = 1e4 ** (1 / depth)
    flow = Flow(X, y, depth, scale, fit_intercept)
    coef, intercept, least = flow.follow(scale**depth / 0.01)
    mu = scale**depth / least
    options = {"depth": depth, "fit_intercept": fit_intercept}
    swept = sweeping_margin(X, y, mu, ratio=1.03, **options)
    size = np.linalg.norm(swept.coef)
    assert np.linalg.norm(coef - swept.coef.ravel()) < 1e-4 * size
    assert_allclose(intercept, swept.intercept, atol=1e-4)
    static = max_margin(X, y, norm=("q", mu), **options)
    assert np.linalg.norm(static.coef - swept.coef) > 2e-3 * size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu": 0.0}, "mu must be positive"),
        ({"mu": [1.0, -1.0]}, "mu must be positive"),
        ({"mu": []}, "mu must be positive"),
        ({"mu": [[1.0]]}, "mu must be 0-D or 1-D"),
        ({"mu": np.nan}, "mu contains NaN"),
        ({"ratio": 1.0}, "ratio must be at least"),
        ({"depth": 0}, "depth must be"),
        ({"y": [1, 1]}, "y has one class only"),
        ({"X": [[1.0], [2.0]]}, "not linearly separable"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        sweeping_margin(**{"X": [[1.0], [-1.0]], "y": [1, 0], "mu": 1.0} | change)
