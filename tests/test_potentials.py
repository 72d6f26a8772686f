"""The mirror potential against 100-digit arithmetic and the flow of the weights."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

from skregimes.limits.potentials import DiagonalPotential, typical_ratio

DEPTHS = [2, 3, 4, 6, 10]
SCALES = [1e-30, 1e-8, 1e-3, 0.3, 1.0, 40.0, 1e6]
SIZES = [1e-30, 1e-12, 1e-5, 0.02, 1.0, 30.0, 1e8, 1e30]


def exact(depth, scale, beta):
    """Return s, theta, d beta / d s and the potential, in 100 digits or more.

    The link is inverted in ``v = w_plus / a >= 1``, of which beta is a power sum.
    """
    a, b = mpmath.mpf(scale), mpmath.mpf(beta) / mpmath.mpf(scale) ** depth
    if depth == 2:
        s = mpmath.asinh(b / 2)
        q = 2 - mpmath.sqrt(4 + b**2) + b * s
        return s, s, 2 * a**2 * mpmath.cosh(s), a**2 * q
    p = depth - 2
    k = mpmath.mpf(depth) / p
    # In t = log(1 / (1 - s)), which resolves both ends: bisection, then Newton.
    link = lambda t: mpmath.exp(k * t) - (2 - mpmath.exp(-t)) ** -k
    low, high = mpmath.mpf(10) ** -320, (mpmath.log(b + 2) + 1) / k + 1
    for _ in range(30):
        middle = mpmath.sqrt(low * high)
        low, high = (low, middle) if link(middle) > b else (middle, high)
    for _ in range(12):
        e = mpmath.exp(-low)
        low -= (link(low) - b) / (k * (e**-k + (2 - e) ** (-k - 1) * e))
    assert abs(link(low) / b - 1) < mpmath.mpf(10) ** -100
    gap = mpmath.exp(-low)
    s = 1 - gap
    theta = mpmath.log((2 - gap) / gap) / 2
    slope = a**depth * k * (gap ** (-k - 1) + (2 - gap) ** (-k - 1))
    e = -mpmath.mpf(2) / p
    psi = mpmath.mpf(p) / 2 * (gap**e + (2 - gap) ** e - 2)
    return s, theta, slope, a**depth * (b * s - psi)


def exact_cases(depth):
    with mpmath.workdps(320):
        for scale in SCALES:
            for beta in SIZES:
                yield scale, beta, exact(depth, scale, beta)


def log_error(log, value):
    """Error of a logarithm, relative to its size or 1."""
    reference = mpmath.log(value)
    return float(abs(log - reference) / max(1, abs(reference)))


@pytest.mark.parametrize("depth", DEPTHS)
def test_links_in_high_precision(depth):
    for scale, beta, (s, theta, slope, value) in exact_cases(depth):
        potential = DiagonalPotential(depth, np.log(scale))
        mine = potential.theta(beta)
        assert_allclose(mine, float(theta), rtol=1e-13)
        assert_allclose(potential.dual_of_theta(mine), float(s), rtol=1e-13)
        assert_allclose(potential.coef(mine), beta, rtol=3e-13)
        assert log_error(float(potential.log_slope(mine)), slope) < 1e-14
        assert_allclose(potential.value(beta), float(value), rtol=1e-12)
        # The links are odd, the potential even.
        assert potential.theta(-beta) == -mine
        assert potential.coef(-mine) == -potential.coef(mine)
        assert potential.value(-beta) == potential.value(beta)


@pytest.mark.parametrize("depth", [1, *DEPTHS])
def test_slopes_and_gradient_by_differences(depth):
    potential = DiagonalPotential(depth, np.log(0.7))
    for theta in (-1.5, -0.1, 0.3, 2.0):
        around = theta + 1e-5 * np.array([-1.0, 1.0])
        coef, s = potential.coef(around), potential.dual_of_theta(around)
        by = lambda values: np.diff(values)[0]
        assert_allclose(by(coef) / by(s), potential.slope(theta), rtol=1e-8)
        assert_allclose(by(coef) / 2e-5, potential.slope_in_theta(theta), rtol=1e-8)
        gradient = by(potential.value(coef)) / by(coef)
        assert_allclose(gradient, potential.dual_of_theta(theta), rtol=1e-8)


@pytest.mark.parametrize("depth", DEPTHS)
def test_weights_make_the_coefficient(depth):
    potential = DiagonalPotential(depth, np.log([0.2, 1.0, 3.0]))
    theta = np.array([-0.8, 0.0, 1.3])
    plus, minus = np.exp(potential.log_weights(theta))
    assert_allclose(plus**depth - minus**depth, potential.coef(theta), atol=1e-14)
    kernel = depth**2 * (plus ** (2 * depth - 2) + minus ** (2 * depth - 2))
    assert_allclose(np.exp(potential.log_kernel_weight(theta)), kernel)
    # And back: the conserved scale, and s(0) of a start with those weights.
    again = DiagonalPotential.from_weights(depth, np.log(plus), np.log(minus))
    assert_allclose(again.log_scale, potential.log_scale, atol=1e-14)
    assert_allclose(again.offset, potential.dual_of_theta(theta), atol=1e-14)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_the_flow_of_the_weights_conserves_the_scale(depth):
    rng = np.random.default_rng(depth)
    X, y = rng.standard_normal((4, 7)), rng.standard_normal(4)
    start = np.exp(0.3 * rng.standard_normal(14))

    def velocity(_, state):
        # The weights, and the dual z of the mirror flow.
        plus, minus = state[:7], state[7:14]
        gradient = X.T @ (X @ (plus**depth - minus**depth) - y) / 4
        pull = depth * gradient
        return np.r_[
            -pull * plus ** (depth - 1), pull * minus ** (depth - 1), -gradient
        ]

    flow = solve_ivp(
        velocity, (0, 2), np.r_[start, np.zeros(7)], "DOP853", rtol=1e-12, atol=1e-13
    )
    first = DiagonalPotential.from_weights(depth, *np.log(start).reshape(2, 7))
    for state in flow.y.T[1:]:
        plus, minus, z = state[:7], state[7:14], state[14:]
        now = DiagonalPotential.from_weights(depth, np.log(plus), np.log(minus))
        assert_allclose(now.log_scale, first.log_scale, atol=1e-9)
        s = first.offset + np.exp(first.log_rate) * z
        assert_allclose(now.offset, s, atol=1e-9)
        theta = first.theta_of_dual(s)
        assert_allclose(first.coef(theta), plus**depth - minus**depth, atol=1e-8)


def test_depth_1_is_plain():
    potential = DiagonalPotential.from_weights(
        1, np.log([2.0, 3.0]), np.log([1.0, 5.0])
    )
    assert_allclose(potential.offset, [1.0, -2.0])
    assert_allclose(potential.value([2.0, -4.0]), [2.0, 8.0])
    assert_allclose(np.exp(potential.log_rate), 2.0)


def test_dual_outside_the_box_is_no_number():
    potential = DiagonalPotential(3, 0.0)
    assert np.isinf(potential.theta_of_dual(1.0))
    assert np.isnan(potential.theta_of_dual(1.5))


def test_subset():
    potential = DiagonalPotential(3, np.log([1.0, 2.0, 4.0]), 0.5)
    part = potential.subset([True, False, True])
    assert_allclose(part.log_scale, np.log([1.0, 4.0]))
    assert part.offset == 0.5


@pytest.mark.parametrize("depth", DEPTHS)
def test_richness_runs_from_kernel_to_l1(depth):
    coef = np.array([1.0, -0.5, 0.0])
    levels = np.linspace(20, -60, 30)
    scores = [DiagonalPotential(depth, v / depth).richness(coef) for v in levels]
    assert np.all(np.diff(scores) >= -1e-12)
    assert scores[0] < 1e-10
    assert scores[-1] > (0.95 if depth == 2 else 1 - 1e-5)
    assert DiagonalPotential(depth, 0.0).richness(0 * coef) == 0


def test_typical_ratio_is_in_the_transition():
    for depth in DEPTHS:
        ratio = typical_ratio(depth)
        score = DiagonalPotential(depth, np.log(ratio) / depth).richness(np.ones(1))
        assert_allclose(score, 0.275, atol=1e-6)
    assert typical_ratio(1) == 1
