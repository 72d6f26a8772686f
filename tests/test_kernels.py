"""Infinite-width kernels against quadrature, finite networks and each other."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import ndtr

from skregimes.kernels import (
    curvature_weight,
    hidden_kernel,
    output_kernel,
    shallow_relu_kernel,
)

SLOPES = {"relu": (0.0, 1.0), "abs": (-1.0, 1.0), "leaky_relu": (0.01, 1.0)}
SCALES = {"uniform": 1.3, "uniform_pair": 1.3, "gaussian": 0.6, "constant_bias": 0.7}

each_law = pytest.mark.parametrize("law", SCALES)
each_activation = pytest.mark.parametrize("activation", SLOPES)


def sigma(z, activation):
    low, high = SLOPES[activation]
    return np.where(z > 0, high, low) * z


def slope(z, activation):
    low, high = SLOPES[activation]
    return np.where(z > 0, high, low)


def pieces(low, high, cuts, n_nodes=24):
    """Gauss-Legendre nodes and weights between the cuts of an interval."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    edges = np.unique(np.clip([low, *cuts, high], low, high))
    half = np.diff(edges)[:, None] / 2
    places = edges[:-1, None] + half * (nodes + 1)
    return places.ravel(), (half * weights).ravel()


def expectation(function, law, L, x, y):
    """Integrate ``function(w, beta)`` over a law of one feature.

    The integrand is smooth between the places where a unit's knot is at x or y.
    """
    if law == "uniform":
        total = 0.0
        for w in (-1.0, 1.0):
            beta, weight = pieces(-L, L, [w * x, w * y])
            total += weight @ function(w, beta) / (4 * L)
        return total
    if law == "uniform_pair":
        total = 0.0
        for w, share in zip(*pieces(-1, 1, [0.0])):
            beta, weight = pieces(-L, L, [w * x, w * y])
            total += share * (weight @ function(w, beta)) / (4 * L)
        return total
    if law == "constant_bias":
        w, weight = pieces(-13, 13, [L / x, L / y, *np.arange(-12.0, 13.0)])
        return weight @ (function(w, L) * np.exp(-(w**2) / 2)) / np.sqrt(2 * np.pi)
    # A function of degree 2 of a Gaussian pair: E[r**2] = 2 times the mean over angles.
    cuts = [np.arctan2(p, L) + k * np.pi for p in (x, y) for k in (-1, 0, 1)]
    angle, weight = pieces(-np.pi, np.pi, cuts)
    mean = function(np.cos(angle), L * np.sin(angle)) @ weight / (2 * np.pi)
    return 2 * mean


@each_law
@each_activation
@pytest.mark.parametrize(
    ("x", "y"), [(0.3, -0.8), (0.5, 0.9), (-0.4, -0.41), (0.6, 0.6)]
)
def test_one_feature_against_quadrature(law, activation, x, y):
    L = SCALES[law]
    where = {"law": law, "bias_scale": L, "activation": activation}

    def output(w, beta):
        return sigma(w * x - beta, activation) * sigma(w * y - beta, activation)

    def independent(w, beta):
        return slope(w * x - beta, activation) * slope(w * y - beta, activation)

    def balanced(w, beta):
        return (w**2 + beta**2) * independent(w, beta)

    def flat(w, beta):  # of degree 2 for the Gaussian rule: E[r**2] = 2
        return independent(w, beta) / (2 if law == "gaussian" else 1)

    K_out = expectation(output, law, L, x, y)
    K_hid = (x * y + 1) * expectation(balanced, law, L, x, y)
    K_flat = (x * y + 1) * expectation(flat, law, L, x, y)
    exact = {"rtol": 1e-12, "atol": 1e-13}
    assert_allclose(output_kernel([x], [y], **where), K_out, **exact)
    assert_allclose(hidden_kernel([x], [y], **where), K_hid, **exact)
    free = hidden_kernel([x], [y], output_weights="independent", **where)
    assert_allclose(free, K_flat, **exact)
    both = shallow_relu_kernel([x], [y], balance=-0.6, **where)
    assert_allclose(both, K_out + 0.36 * K_hid, **exact)


@each_activation
@pytest.mark.parametrize("B", [0.7, -0.4, 0.0])
def test_constant_bias_in_three_dimensions_against_quadrature(activation, B):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2, 3))
    p, q = np.linalg.norm(X, axis=1)
    cosine = X[0] @ X[1] / (p * q)
    sine = np.sqrt(1 - cosine**2)
    low, high = SLOPES[activation]

    def expected(weighted, power):
        """Integrate the second component of w in closed form, the first by SciPy."""

        def integrand(u):
            cut = (B / q - cosine * u) / sine
            density = np.exp(-(cut**2) / 2) / np.sqrt(2 * np.pi)
            tail = np.array([ndtr(-cut), density, ndtr(-cut) + cut * density, 0.0])
            tail[3] = (cut**2 + 2) * density
            moments = high * tail + low * (np.array([1, 0, 1, 0]) - tail)
            one = p * u - B
            factor = slope(one, activation) * one**power
            # sigma(z2) or sigma'(z2), times norm(w)**2 + B**2, as polynomials in w2
            other = np.array([q * cosine * u - B, q * sine]) if power else np.ones(1)
            size = np.array([u**2 + 1 + B**2, 0, 1]) if weighted else np.ones(1)
            poly = np.convolve(other, size)
            return (
                factor
                * (poly @ moments[: len(poly)])
                * np.exp(-(u**2) / 2)
                / np.sqrt(2 * np.pi)
            )

        ends = sorted([-12.0, B / p, 12.0])
        return sum(
            quad(integrand, a, b, epsabs=1e-14, epsrel=1e-13, limit=200)[0]
            for a, b in pairwise(ends)
        )

    where = {"law": "constant_bias", "bias_scale": B, "activation": activation}
    inner = X[0] @ X[1] + 1
    exact = {"rtol": 1e-11, "atol": 1e-13}
    assert_allclose(output_kernel(X, **where)[0, 1], expected(False, 1), **exact)
    balanced = hidden_kernel(X, **where)[0, 1]
    assert_allclose(balanced, inner * expected(True, 0), **exact)
    free = hidden_kernel(X, output_weights="independent", **where)[0, 1]
    assert_allclose(free, inner * expected(False, 0), **exact)


@each_law
@each_activation
def test_wide_network(law, activation):
    """The tangent kernel of a finite network, from its derivatives."""
    rng = np.random.default_rng(1)
    d, m, L, balance = (1 if law == "uniform_pair" else 3), 200_000, SCALES[law], 0.8
    X = rng.uniform(-0.6, 0.6, (5, d))
    if law == "uniform_pair":
        W = rng.uniform(-1, 1, (m, d))
    else:
        W = rng.standard_normal((m, d))
    beta = {"gaussian": L * rng.standard_normal(m), "constant_bias": np.full(m, L)}
    beta = beta.get(law, rng.uniform(-L, L, m))
    if law == "uniform":
        W /= np.linalg.norm(W, axis=1, keepdims=True)
    hidden = np.column_stack([W, beta]) / np.sqrt(m)
    output = balance * np.linalg.norm(hidden, axis=1) * rng.choice([-1, 1], m)
    lifted = np.column_stack([X, -np.ones(len(X))])
    Z = lifted @ hidden.T
    by_hidden = slope(Z, activation) * output
    H = sigma(Z, activation)
    empirical = H @ H.T + (by_hidden @ by_hidden.T) * (lifted @ lifted.T)
    where = {"law": law, "bias_scale": L, "activation": activation}
    K = shallow_relu_kernel(X, balance=balance, **where)
    # Five standard errors of a mean of m terms of the size of the kernel.
    assert_allclose(empirical, K, atol=5 * 3 * np.abs(K).max() / np.sqrt(m))


@each_law
def test_kernels_are_symmetric_and_positive(law):
    rng = np.random.default_rng(2)
    X = rng.uniform(-1, 1, (30, 1 if law == "uniform_pair" else 2))
    K = shallow_relu_kernel(X, law=law, bias_scale=1.5, balance=1.0)
    assert np.array_equal(K, K.T)
    assert np.linalg.eigvalsh(K).min() > -1e-13
    part = shallow_relu_kernel(X[:4], X, law=law, bias_scale=1.5, balance=1.0)
    assert_allclose(part, K[:4], rtol=1e-14, atol=1e-16)


def test_default_bias_scale_is_the_largest_norm():
    X, Y = np.array([[0.3, 0.4]]), np.array([[0.0, 2.0]])
    assert_allclose(output_kernel(X, Y), output_kernel(X, Y, bias_scale=2.0))
    assert_allclose(
        output_kernel(X, law="gaussian"),
        output_kernel(X, law="gaussian", bias_scale=0.5),
    )


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("law", ["gaussian", "constant_bias", "uniform"])
def test_points_that_nearly_coincide(law, gap):
    """P(both active) falls linearly with the distance; arccos would lose 1e-8."""
    x = np.array([0.8, 0.5])
    normal = np.array([-0.5, 0.8])
    X = np.stack([x, x + gap * normal])
    distance = np.linalg.norm(X[1] - X[0])
    where = {"law": law, "bias_scale": 1.1, "output_weights": "independent"}
    P = hidden_kernel(X, **where) / (X @ X.T + 1)
    length = np.linalg.norm(x)
    fall = {
        "uniform": 2 / np.pi * distance / 4 / 1.1,
        "gaussian": distance / np.hypot(length, 1.1) / (2 * np.pi),
        "constant_bias": np.exp(-((1.1 / length) ** 2) / 2)
        * distance
        / length
        / (2 * np.pi),
    }[law]
    mean = (P[0, 0] + P[1, 1]) / 2
    assert_allclose(mean - P[0, 1], fall, rtol=2 * gap, atol=4e-16)


@pytest.mark.parametrize("law", ["gaussian", "constant_bias"])
def test_origin_and_opposite_points(law):
    X = np.array([[0.0, 0.0], [1.0, 0.5], [-1.0, -0.5], [2.0, 1.0]])
    B = -0.8
    L = 0.8 if law == "gaussian" else B
    K = output_kernel(X, law=law, bias_scale=L)
    assert np.isfinite(K).all()
    length = np.hypot(1.0, 0.5)
    if law == "constant_bias":
        # At the origin every unit has the value 0.8.
        h = B / length
        mean = length * np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi) - B * ndtr(-h)
        assert_allclose(K[0, :3], [B**2, -B * mean, -B * mean], rtol=1e-14)
        # relu(z) * relu(-z - 2 B) is positive between 0 and -2 B
        u = quad(
            lambda w: (length * w - B) * (-length * w - B) * np.exp(-(w**2) / 2),
            B / length,
            -B / length,
        )[0]
        assert_allclose(K[1, 2], u / np.sqrt(2 * np.pi), rtol=1e-12)
    else:
        assert_allclose(K[0, 0], 0.64 / 2, rtol=1e-14)
    # relu(z) - relu(-z) = z for the reflected point and bias; here through abs.
    twice = output_kernel(X, law=law, bias_scale=L, activation="abs")
    assert np.all(np.diag(twice) >= np.diag(K))


@each_law
@each_activation
def test_curvature_weight_is_that_of_the_kernel(law, activation):
    """For coefficients blind to affine functions ``a' K a = int zeta * p**2``."""
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(-1, 1, 6))
    null = np.linalg.svd(np.stack([x, np.ones(6)]))[2][2:]
    coef = rng.standard_normal(4) @ null
    where = {"law": law, "bias_scale": SCALES[law], "activation": activation}
    zeta = curvature_weight(**where)

    def integrand(s):
        return zeta(s) * (coef @ np.abs(x - s) / 2) ** 2

    bends = [*x, 0.0]  # the constant bias law is flat, not analytic, at zero
    ends = np.unique(bends)
    value = sum(
        quad(integrand, a, b, epsabs=1e-15, epsrel=1e-12)[0] for a, b in pairwise(ends)
    )
    assert_allclose(coef @ output_kernel(x, **where) @ coef, value, rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "mass"),
    [("uniform", 1), ("uniform_pair", 1 / 3), ("gaussian", 1), ("constant_bias", 1)],
)
def test_mass_of_curvature_weight_is_the_mean_square_weight(law, mass):
    zeta = curvature_weight(law=law, bias_scale=0.9)
    cuts = [-np.inf, -0.9, 0.0, 0.9, np.inf]
    total = sum(quad(zeta, a, b, epsabs=1e-12)[0] for a, b in pairwise(cuts))
    assert_allclose(total, mass, rtol=1e-9)
    assert_allclose(pickle.loads(pickle.dumps(zeta))(0.3), zeta(0.3))
    assert zeta([[0.1, 0.2]]).shape == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bias_scale": 0.5}, "largest norm of X and Y, 1; got 0.5"),
        ({"bias_scale": -1.0}, "must be positive"),
        ({"bias_scale": np.nan}, "must be finite"),
        ({"law": "gaussian", "bias_scale": 0.0}, "must be positive"),
        ({"law": "cauchy"}, "law must be one of"),
        ({"activation": "tanh"}, "activation must be one of"),
        ({"balance": np.inf}, "balance must be finite"),
        ({"Y": np.ones((2, 2))}, "2"),
        ({"X": [np.nan]}, "NaN"),
        ({"X": np.ones((1, 1, 1))}, "1-D or 2-D"),
        ({"X": np.eye(2), "law": "uniform_pair"}, "needs one feature"),
    ],
)
def test_bad_kernel_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        shallow_relu_kernel(**{"X": [1.0, -0.5], **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bias_scale": 0.0}, "positive"),
        ({"law": "constant_bias", "bias_scale": 0.0}, "positive"),
        ({"law": "cauchy", "bias_scale": 1.0}, "law must be one of"),
        ({"bias_scale": 1.0, "activation": "tanh"}, "activation must be"),
    ],
)
def test_bad_curvature_weight_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        curvature_weight(**arguments)


def test_bad_output_weights():
    with pytest.raises(ValueError, match="'balanced' or 'independent'"):
        hidden_kernel([1.0], output_weights="zero")
