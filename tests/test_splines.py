"""Splines against SciPy, kernels, finite differences and linear programs."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.interpolate import CubicSpline, RBFInterpolator, make_smoothing_spline
from scipy.optimize import linprog
from scipy.sparse import block_array, csr_array, diags_array
from scipy.sparse.linalg import spsolve

from skregimes.kernels import curvature_weight, output_kernel
from skregimes.limits import (
    curvature_spline,
    kernel_flow,
    linear_spline,
    min_total_variation,
    min_total_variation_band,
    polyharmonic_limit,
    smoothing_spline,
)
from skregimes.limits._checks import LimitError

SCALES = {"uniform": 1.2, "uniform_pair": 1.2, "gaussian": 0.6, "constant_bias": 0.5}


def samples(seed, n, spread=1.0):
    """Unsorted points at least a third of a step apart, and noise."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, n) + rng.uniform(-1, 1, n) * 2 / 3 / n
    return rng.permutation(np.clip(spread * x, -spread, spread)), rng.normal(size=n)


def beyond(spline, x):
    """Continue SciPy's natural spline by its tangents."""
    low, high = spline.x[0], spline.x[-1]
    end = np.clip(x, low, high)
    return spline(end) + spline(end, 1) * (x - end)


# -- constant weight -------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4, 12, 200])
@pytest.mark.parametrize(("shift", "unit"), [(0.0, 1.0), (3.0, 1e-3), (-1e3, 1e3)])
def test_interpolation_is_the_natural_spline(n, shift, unit):
    x, y = samples(0, n)
    x = shift + unit * x
    order = np.argsort(x)
    scipy = CubicSpline(x[order], y[order], bc_type="natural")
    for zeta in (None, 0.3):
        f = curvature_spline(x, y, zeta)
        inside = np.linspace(x.min(), x.max(), 301)
        # The differences of shifted places are known to fewer digits.
        digits = 1e-12 * (1 + abs(shift) / unit)
        for nu in range(3):
            expected = scipy(inside, nu)
            size = max(np.abs(expected).max(), np.abs(y).max() / unit**nu)
            assert_allclose(f(inside, nu), expected, atol=digits * size)
        outside = shift + unit * np.array([-3.0, -1.5, 1.5, 3.0])
        expected = beyond(scipy, outside)
        assert_allclose(f(outside), expected, atol=digits * np.abs(expected).max())
        assert_array_equal(f(outside, 2), 0)
        assert_allclose(f(x), y, rtol=1e-13)
    # f'' is linear between samples: Simpson's rule is exact for its square.
    ends = f(x[order], 2)
    squares = ends[:-1] ** 2 + ends[:-1] * ends[1:] + ends[1:] ** 2
    roughness = np.diff(x[order]) @ squares / 3 / 0.3
    assert_allclose(f.penalty, roughness, rtol=100 * digits, atol=1e-14)


@pytest.mark.parametrize("lam", [1e-10, 1e-6, 1e-3, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_smoothing_is_that_of_scipy(lam, weighted):
    x, y = samples(1, 40)
    weight = np.random.default_rng(2).uniform(0.1, 3, 40) if weighted else None
    f = curvature_spline(x, y, lam=lam, sample_weight=weight)
    order = np.argsort(x)
    scipy = make_smoothing_spline(
        x[order], y[order], w=None if weight is None else weight[order], lam=lam
    )
    inside = np.linspace(x.min(), x.max(), 301)
    for nu in range(3):
        size = np.abs(scipy(inside, nu)).max()
        assert_allclose(f(inside, nu), scipy(inside, nu), atol=1e-11 * size)
    # A constant zeta is a change of lam.
    assert_allclose(
        curvature_spline(x, y, 0.4, lam=lam * 0.4, sample_weight=weight)(inside),
        f(inside),
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_huge_penalty_is_the_regression_line(n):
    """There SciPy's loses all digits: its deviation from the line is not small."""
    x, y = samples(3, n)
    weight = np.arange(1.0, n + 1)
    line = np.polyfit(x, y, min(n - 1, 1), w=np.sqrt(weight))
    places = np.linspace(-2, 2, 9)
    for lam in (1e13, 1e200, np.inf):
        f = curvature_spline(x, y, lam=lam, sample_weight=weight)
        assert_allclose(f(places), np.polyval(line, places), atol=1e-11)
    assert f.penalty == 0


def test_ten_thousand_samples():
    x, y = samples(4, 10_000)
    order = np.argsort(x)
    inside = np.linspace(-0.99, 0.99, 300)
    scipy = CubicSpline(x[order], y[order], bc_type="natural")
    assert_allclose(curvature_spline(x, y)(inside), scipy(inside), atol=1e-11)
    smooth = make_smoothing_spline(x[order], y[order], lam=1e-6)
    f = curvature_spline(x, y, lam=1e-6)
    assert_allclose(f(inside), smooth(inside), atol=1e-8)


# -- weights of initial laws -----------------------------------------------------------


@pytest.mark.parametrize("law", SCALES)
@pytest.mark.parametrize("ridge", [0.0, 1e-4, 0.03])
def test_with_skip_connection_against_the_kernel(law, ridge):
    x, y = samples(5, 10)
    where = {"law": law, "bias_scale": SCALES[law]}
    f = curvature_spline(x, y, curvature_weight(**where), lam=ridge)
    reach = 1.2 if law in ("uniform", "uniform_pair") else 2.5
    places = np.linspace(-reach, reach, 101)
    P = np.column_stack([x, np.ones(10)])
    K = output_kernel(x, **where) + ridge * np.eye(10)
    system = np.block([[K, P], [P.T, np.zeros((2, 2))]])
    coef = np.linalg.solve(system, np.concatenate([y, [0, 0]]))
    K_test = output_kernel(places, x, **where)
    expected = K_test @ coef[:10] + coef[10] * places + coef[11]
    # The kernel system's condition is 1e8 without a ridge; the spline's is small.
    accuracy = 1e-8 if ridge == 0 else 1e-11
    assert_allclose(f(places), expected, atol=accuracy * np.abs(expected).max())
    free = K - ridge * np.eye(10)
    norm = coef[:10] @ free @ coef[:10]
    assert_allclose(f.penalty, norm, rtol=1e-7 if ridge == 0 else 1e-10)


@pytest.mark.parametrize("law", ["uniform", "uniform_pair", "gaussian"])
@pytest.mark.parametrize("ridge", [0.0, 1e-4, 0.03])
@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_without_skip_connection_against_the_kernel(law, ridge, n):
    x, y = samples(6, n)
    where = {"law": law, "bias_scale": SCALES[law]}
    zeta = curvature_weight(**where)
    f = curvature_spline(x, y, zeta, lam=ridge, skip_connection=False)
    reach = 1.2 if law in ("uniform", "uniform_pair") else 2.5
    places = np.linspace(-reach, reach, 101)
    K = output_kernel(x, **where)
    coef = np.linalg.solve(K + ridge * np.eye(n), y)
    expected = output_kernel(places, x, **where) @ coef
    accuracy = 1e-8 if ridge == 0 else 1e-11
    assert_allclose(f(places), expected, atol=accuracy * np.abs(expected).max())
    step = 1e-5
    inner = places[1:-1]  # f'' jumps at the ends of the bounded law
    slope = (f(inner + step) - f(inner - step)) / (2 * step)
    assert_allclose(f(inner, 1), slope, atol=1e-6 * max(np.abs(slope).max(), 1))
    assert_allclose(f.penalty, coef @ K @ coef, rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "moments"), [("uniform", (1, 0.48)), ("gaussian", (1, 0.36))]
)
def test_penalty_without_skip_connection_is_the_formula(law, moments):
    """``int f''**2 / zeta`` and the two terms of the affine functions."""
    x, y = samples(7, 6)
    zeta = curvature_weight(law=law, bias_scale=SCALES[law])
    f = curvature_spline(x, y, zeta, skip_connection=False)
    # Smooth between the samples, 0 and, for the bounded law, the ends of zeta.
    far = 1.2 if law == "uniform" else np.inf
    cuts = np.unique([-far, *x, 0.0, far])

    def integral(integrand):
        pieces = pairwise(cuts)
        return sum(
            quad(integrand, *ends, epsabs=1e-9, epsrel=1e-11)[0] for ends in pieces
        )

    def ratio(s):  # f''**2 / zeta
        below, above = f.outer_slopes
        dual = np.interp(s, f.knots, f.dual)
        dual += below * min(s - f.knots[0], 0) + above * max(s - f.knots[-1], 0)
        return float(zeta(s) * dual**2)

    edge = max(f.knots[-1], 0.0)
    up = f(edge, 1) + sum(
        quad(lambda s: float(f(s, 2)), a, b)[0] for a, b in [(edge, far)]
    )
    low = min(f.knots[0], 0.0)
    down = f(low, 1) - quad(lambda s: float(f(s, 2)), -far, low)[0]
    turn = integral(lambda s: float(f(s, 2)) * abs(s)) - 2 * f(0.0)
    R = integral(ratio) + (up + down) ** 2 / moments[0] + turn**2 / moments[1]
    assert_allclose(f.penalty, R, rtol=1e-6)


def test_finite_differences_converge_to_the_gaussian_spline():
    x, y = samples(8, 9)
    zeta = curvature_weight(law="gaussian", bias_scale=0.6)
    f = curvature_spline(x, y, zeta)
    errors = []
    for n_nodes in (101, 401, 1601):
        t = np.linspace(x.min(), x.max(), n_nodes)
        step = t[1] - t[0]
        second = diags_array(
            [1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(n_nodes - 2, n_nodes)
        )
        second = second / step**2
        cost = second.T @ diags_array(step / zeta(t[1:-1])) @ second
        left = np.clip(np.searchsorted(t, x) - 1, 0, n_nodes - 2)
        share = (x - t[left]) / step
        rows = np.tile(np.arange(9), 2)
        entries = np.concatenate([1 - share, share])
        columns = np.concatenate([left, left + 1])
        sample = csr_array((entries, (rows, columns)), shape=(9, n_nodes))
        system = block_array([[cost, sample.T], [sample, None]]).tocsc()
        solution = spsolve(system, np.concatenate([np.zeros(n_nodes), y]))
        errors.append(np.abs(solution[:n_nodes] - f(t)).max())
    # Second order, up to the share of a step by which samples lie between nodes.
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4
    assert errors[2] < 1e-4


def test_quadrature_of_a_sharp_weight():
    """A peak and a jump between samples, against SciPy's adaptive rule."""

    def zeta(s):
        return 0.1 + np.exp(-(((s - 0.2) / 0.01) ** 2)) + (s > 0.7123)

    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0])
    f = curvature_spline(x, y, zeta)
    # One hat function: p(1) = -2 / int zeta hat**2.
    cuts = [0, 0.15, 0.2, 0.25, 0.7123, 1, 2]
    mass = sum(
        quad(lambda s: zeta(s) * (1 - abs(s - 1)) ** 2, *ends, epsabs=1e-14)[0]
        for ends in pairwise(cuts)
    )
    assert_allclose(f.dual, [0, -2 / mass, 0], rtol=1e-11)

    # Taylor's formula from the left sample
    def bend(s, place):
        return (place - s) * zeta(s) * f.dual[1] * s

    for place in (0.21, 0.6, 0.7123, 0.9):
        rest = sum(
            quad(bend, *ends, args=(place,), epsabs=1e-14)[0]
            for ends in pairwise(np.unique(np.minimum(cuts, place)))
        )
        assert_allclose(f(place), f.slopes[0] * place + rest, rtol=1e-11)
    assert_allclose(f(x), y, atol=1e-13)


@pytest.mark.parametrize("place", [1e-5, 0.002, 0.5, 0.6789, 0.998, 1 - 1e-5, 1])
def test_quadrature_of_a_jump_that_no_node_may_see(place):
    f = curvature_spline([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], lambda s: 1.0 + (s > place))
    mass = 2 / 3 + (1 - place**3) / 3 + 1 / 3
    assert_allclose(f.dual[1], -2 / mass, rtol=1e-12)


def test_smoothing_spline_is_kernel_ridge_and_near_the_flow():
    x, y = samples(9, 40)
    alpha, L, n = 3.0, 1.5, 40
    K = alpha**2 * output_kernel(x, bias_scale=L)
    P = np.column_stack([x, np.ones(n)])
    order = np.argsort(x)
    for time in (1.0, 1e2, 1e4):
        f = smoothing_spline(x, y, time, 1 / (2 * L), init_scale=alpha)
        system = np.block([[K + n / time * np.eye(n), P], [P.T, np.zeros((2, 2))]])
        coef = np.linalg.solve(system, np.concatenate([y, [0, 0]]))
        assert_allclose(f(x), K @ coef[:n] + P @ coef[n:], atol=7e-11)
        lam = 2 * L * n / (alpha**2 * time)
        scipy = make_smoothing_spline(x[order], y[order], lam=lam)
        assert_allclose(f(x), scipy(x), atol=1e-10)
        # |1 - exp(-s) - s / (1 + s)| <= 0.204 in each eigendirection
        line = smoothing_spline(x, y, 0, 1.0)(x)
        flow = kernel_flow(K, y, time=time, skip=P)
        assert np.linalg.norm(flow - f(x)) <= 0.204 * np.linalg.norm(y - line)
    end = smoothing_spline(x, y, np.inf, 1 / (2 * L))
    assert_allclose(end(x), y)


def test_smoothing_spline_with_weights_and_without_skip_connection():
    x, y = samples(10, 12)
    weight = np.random.default_rng(0).uniform(0.2, 2, 12)
    zeta = curvature_weight(law="gaussian", bias_scale=0.6)
    f = smoothing_spline(
        x,
        y,
        5.0,
        zeta,
        init_scale=2.0,
        sample_weight=weight,
        skip_connection=False,
    )
    K = 4 * output_kernel(x, law="gaussian", bias_scale=0.6)
    penalty = np.diag(weight.sum() / (5.0 * weight))
    assert_allclose(f(x), K @ np.linalg.solve(K + penalty, y), atol=1e-12)
    start = smoothing_spline(x, y, 0, zeta, skip_connection=False)
    assert_array_equal(start(x), 0)


# -- samples of every kind -------------------------------------------------------------


@pytest.mark.parametrize("skip_connection", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.1])
def test_equal_samples_count_as_their_mean(skip_connection, lam):
    zeta = curvature_weight(law="gaussian", bias_scale=0.6)
    where = {"zeta": zeta, "lam": lam, "skip_connection": skip_connection}
    x, y = [0.5, -0.5, 0.5, 0.0], [1.0, 0.0, 4.0, 1.0]
    f = curvature_spline(x, y, sample_weight=[2, 1, 1, 1], **where)
    g = curvature_spline([-0.5, 0, 0.5], [0, 1, 2.0], sample_weight=[1, 1, 3], **where)
    places = np.linspace(-1, 1, 9)
    assert_allclose(f(places), g(places), rtol=1e-12)
    assert_array_equal(f.knots, [-0.5, 0, 0.5])
    zero = curvature_spline(
        [*g.knots, 0.1], [0, 1, 2.0, 9.0], sample_weight=[1, 1, 3, 0], **where
    )
    assert_allclose(zero(places), g(places), rtol=1e-12)
    assert_allclose(linear_spline(x, y, sample_weight=[2, 1, 1, 1])(0.5), 2)


@pytest.mark.parametrize("lam", [0.0, 0.1, np.inf])
def test_few_samples_and_zero_targets(lam):
    places = np.linspace(-2, 2, 5)
    assert_allclose(curvature_spline([0.3], [2.0], lam=lam)(places), 2)
    two = curvature_spline([1.0, 0.0], [3.0, 1.0], lam=lam)
    assert_allclose(two(places), 1 + 2 * places, atol=1e-14)
    assert_allclose(two(places, 1), 2)
    assert_array_equal(
        curvature_spline([1.0, 0.0, 2.0], np.zeros(3), lam=lam)(places), 0
    )
    assert two(0.5).shape == ()
    assert two(np.zeros((0, 2))).shape == (0, 2)
    assert two(np.zeros((2, 2)), 1).shape == (2, 2)


def test_zeta_is_needed_between_the_samples_only():
    f = curvature_spline([-0.9, 0.0, 0.9], [0.0, 1.0, 0.0], lambda s: np.sqrt(1 - s**2))
    assert_allclose(f([-2.0, 2.0]), -1.1 * f(0.9, 1) * np.array([-1, -1]))
    assert_array_equal(f([-2.0, 2.0], 2), 0)


def test_spline_pickles():
    f = curvature_spline([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], 0.5)
    assert pickle.loads(pickle.dumps(f))(0.3) == f(0.3)


def test_zeta_that_vanishes_around_a_sample():
    zeta = curvature_weight(law="uniform", bias_scale=0.5)
    x, y = np.linspace(-1, 1, 9), np.cos(np.linspace(0, 9, 9))
    with pytest.raises(LimitError, match="vanishes around a sample"):
        curvature_spline(x, y, zeta)
    f = curvature_spline(x, y, zeta, lam=1e-3)
    assert_allclose(f([0.6, 0.9], 2), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [0.0, np.nan]}, "x contains NaN"),
        ({"y": [0.0, np.inf]}, "y contains NaN"),
        ({"x": [0.0]}, "1, 2 and 1 entries"),
        ({"x": [[0.0, 1.0]]}, "x must be 1-D"),
        ({"x": [], "y": []}, "a sample of positive weight"),
        ({"sample_weight": [0.0, 0.0]}, "a sample of positive weight"),
        ({"sample_weight": [1.0, -1.0]}, "must not be negative"),
        ({"lam": -1.0}, "lam must be"),
        ({"lam": np.nan}, "lam must be"),
        ({"zeta": 0.0}, "zeta must be positive"),
        ({"zeta": lambda s: -np.ones_like(s)}, "zeta must be finite"),
        ({"zeta": lambda s: np.full_like(s, np.nan)}, "zeta must be finite"),
        ({"skip_connection": False}, "A constant zeta"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        curvature_spline(**{"x": [0.0, 1.0], "y": [1.0, 0.0], **arguments})


def test_no_kernel_without_skip_connection():
    with pytest.raises(LimitError, match="do not converge"):
        curvature_spline(
            [0.0, 1.0], [1.0, 0.0], lambda s: 1 / (1 + s**2), skip_connection=False
        )


@pytest.mark.parametrize(
    ("law", "scale"),
    [("gaussian", 1e-3), ("gaussian", 1e4), ("uniform", 1e4), ("uniform_pair", 1e4)],
)
def test_no_skip_connection_far_from_unit_scale(law, scale):
    """The integrals of zeta over the line, at a scale that is not that of x."""
    where = {"law": law, "bias_scale": 1.3 * scale}
    zeta = curvature_weight(**where)
    f = curvature_spline([0.4], [2.0], zeta, skip_connection=False)
    K = output_kernel([0.4], [0.3, 0.4, 1.0], **where)[0]
    assert_allclose(f([0.3, 0.4, 1.0]), 2 * K / K[1], rtol=1e-11)


def test_bad_places_and_times():
    f = curvature_spline([0.0, 1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="nu must be"):
        f(0.0, 3)
    with pytest.raises(ValueError, match="NaN"):
        f([np.nan])
    with pytest.raises(ValueError, match="time must be"):
        smoothing_spline([0.0, 1.0], [1.0, 0.0], -1.0, 1.0)


# -- several dimensions ----------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_polyharmonic_limit_is_that_of_the_kernel(d):
    rng = np.random.default_rng(d)
    X = rng.uniform(-1, 1, (40, d)) / np.sqrt(d)
    Y = rng.standard_normal((40, 2))
    X_test = rng.uniform(-1, 1, (50, d)) / np.sqrt(d)
    f = polyharmonic_limit(X, Y)(X_test)
    scipy = RBFInterpolator(X, Y, kernel="cubic", degree=1)(X_test)
    assert_allclose(f, scipy, atol=1e-8 * np.abs(scipy).max())
    limit = kernel_flow(
        output_kernel(X, bias_scale=1.5),
        Y,
        K_test=output_kernel(X_test, X, bias_scale=1.5),
        skip=np.column_stack([X, np.ones(40)]),
        skip_test=np.column_stack([X_test, np.ones(50)]),
    )
    assert_allclose(f, limit, atol=1e-8 * np.abs(limit).max())


def test_polyharmonic_limit_of_degenerate_samples():
    rng = np.random.default_rng(0)
    # On a line in three dimensions it is the natural cubic spline along it.
    x, y = samples(11, 9)
    direction, center = np.array([2.0, -1.0, 2.0]) / 3, np.array([1.0, 2.0, 3.0])
    f = polyharmonic_limit(center + np.outer(x, direction), y)
    places = np.linspace(-1.5, 1.5, 31)
    expected = curvature_spline(x, y)(places)
    assert_allclose(
        f(center + np.outer(places, direction)), expected, rtol=1e-8, atol=1e-9
    )
    # Up to d + 1 samples: affine.
    for n in range(1, 5):
        X, coef = rng.standard_normal((n, 3)), rng.standard_normal(3)
        g = polyharmonic_limit(X, X @ coef + 1)
        mixed = rng.dirichlet(np.ones(n), 6) @ X
        assert_allclose(g(mixed), mixed @ coef + 1, rtol=1e-9)
    # Equal samples
    X = rng.standard_normal((6, 2))
    doubled = polyharmonic_limit(np.vstack([X, X]), np.arange(12.0))
    assert_allclose(doubled(X), 3 + np.arange(6.0), rtol=1e-9)
    same = polyharmonic_limit(np.ones((3, 2)), [0.0, 1.0, 5.0])
    assert_allclose(same([[1.0, 1.0], [4.0, -3.0]]), 2)


def test_bad_polyharmonic_arguments():
    with pytest.raises(ValueError, match="NaN"):
        polyharmonic_limit([[np.nan]], [1.0])
    with pytest.raises(ValueError, match="2 rows but y has 1"):
        polyharmonic_limit([[1.0], [2.0]], [1.0])
    with pytest.raises(ValueError, match="3 features; the samples had 1"):
        polyharmonic_limit([[1.0], [2.0]], [1.0, 2.0])(np.ones((1, 3)))


# -- least total variation -------------------------------------------------------------


def test_linear_spline():
    x, y = samples(12, 11)
    f = linear_spline(x, y)
    order = np.argsort(x)
    inside = np.linspace(x.min(), x.max(), 101)
    assert_allclose(f(inside), np.interp(inside, x[order], y[order]), atol=1e-14)
    chords = np.diff(y[order]) / np.diff(x[order])
    assert_allclose(f(x.max() + 2) - y[order][-1], 2 * chords[-1])
    assert_allclose(f(x.min() - 2) - y[order][0], -2 * chords[0])
    assert_allclose(f.total_variation, np.abs(np.diff(chords)).sum())
    assert linear_spline([0.3], [2.0])([0.0, 1.0]).tolist() == [2, 2]
    assert linear_spline([0.3], [2.0]).total_variation == 0
    two = linear_spline([1.0, 0.0], [3.0, 1.0])
    assert_allclose(two([-1.0, 0.5, 2.0]), [-1, 2, 5])
    with pytest.raises(ValueError, match="NaN"):
        linear_spline([0.0, np.nan], [0.0, 1.0])


def test_linear_spline_has_least_total_variation():
    x, y = samples(13, 9, spread=1e3)
    y = 1e-4 * y
    f = linear_spline(x, y)
    for grid in (None, np.linspace(-1e3, 1e3, 201)):
        value, g = min_total_variation(x, y, grid=grid)
        assert_allclose(value, f.total_variation, rtol=1e-9)
        assert_allclose(g.total_variation, value, rtol=1e-9)
        assert_allclose(g(x), y, atol=1e-9 * np.abs(y).max())
    # Smoother interpolants have more.
    t = np.linspace(x.min(), x.max(), 20_001)
    assert np.abs(np.diff(curvature_spline(x, y)(t, 1))).sum() > f.total_variation


def test_weighted_total_variation_is_sparser():
    x = np.linspace(-1, 1, 9)
    y = np.array([0, 0.1, 0.5, 1.2, 1.6, 1.5, 0.9, 0.4, 0.8])

    def weight(s):
        return np.sqrt(1 + s**2)

    value, f = min_total_variation(x, y, weight=weight)
    broken = linear_spline(x, y)
    cost = np.abs(f.slope_changes) @ weight(f.knots[1:-1])
    assert_allclose(cost, value, rtol=1e-8)
    assert_allclose(f(x), y, atol=1e-9)
    assert value < np.abs(broken.slope_changes) @ weight(x[1:-1]) - 1e-3
    assert len(f.knots) < len(x)


def test_min_total_variation_of_few_samples():
    for x, y in [
        ([0.3], [2.0]),
        ([0.0, 1.0], [1.0, 3.0]),
        ([0.0, 1.0, 2.0], [0, 1, 2]),
    ]:
        value, f = min_total_variation(x, y, weight=lambda s: 1 + s**2)
        assert value == 0
        assert_allclose(f(x), y)
    with pytest.raises(ValueError, match="weight must be positive"):
        min_total_variation([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], weight=np.zeros_like)


def test_band_is_the_range_of_the_linear_program():
    # Bends: +, -, -, 0, -, +, +: every pair of neighbors of signs.
    x = np.array([-1.0, -0.7, -0.2, 0.2, 0.6, 1.0, 1.2, 1.5, 2.0])
    slopes = np.array([0.2, 1.5, 0.4, -0.3, -0.3, -1.0, 0.6, 1.4])
    y = np.concatenate([[0.3], 0.3 + np.cumsum(slopes * np.diff(x))])
    grid = np.unique(np.concatenate([np.linspace(-1, 2, 301), x]))
    n_hinges = len(grid)

    def hinges(t):
        bends = np.maximum(np.subtract.outer(t, grid), 0)
        return np.concatenate([np.ones((len(t), 1)), t[:, None], bends, -bends], axis=1)

    cost = np.concatenate([[0, 0], np.ones(2 * n_hinges)])
    least = np.abs(np.diff(slopes)).sum()
    bounds = [(None, None)] * 2 + [(0, None)] * (2 * n_hinges)
    points = np.sort(np.concatenate([(x[1:] + x[:-1]) / 2, x[:-1] + 0.1, x]))
    lower, upper = min_total_variation_band(x, y, points)
    assert np.sum(upper > lower + 0.05) == 4
    for point, low, high in zip(points, lower, upper):
        row = hinges(np.array([point]))[0]
        ends = [
            sign
            * linprog(
                sign * row,
                A_eq=hinges(x),
                b_eq=y,
                A_ub=cost[None],
                b_ub=[least + 1e-9],
                bounds=bounds,
            ).fun
            for sign in (1, -1)
        ]
        # The grid holds the points where the extensions meet to 0.01.
        assert_allclose(ends, [low, high], atol=2e-6 if high - low < 1e-9 else 0.01)


def test_band_outside_and_of_few_samples():
    places = np.array([[-2.0, 0.5], [1.0, 9.0]])
    for x, y in [
        ([0.3], [2.0]),
        ([0.0, 1.0], [1.0, 3.0]),
        ([0.0, 1.0, 2.0], [0, 1, 0]),
    ]:
        lower, upper = min_total_variation_band(x, y, places)
        assert_array_equal(lower, upper)
        assert_array_equal(lower, linear_spline(x, y)(places))


@pytest.mark.parametrize("size", [1e-150, 1e150])
def test_polyharmonic_limit_does_not_mind_the_units(size):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 2)), rng.standard_normal(12)
    new = rng.standard_normal((5, 2))
    there = polyharmonic_limit(size * X, y)(size * new)
    np.testing.assert_allclose(there, polyharmonic_limit(X, y)(new), rtol=1e-8)
