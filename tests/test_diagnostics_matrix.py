"""Rank, balance and volumes of products of factors, against other computations."""

import math
from itertools import combinations, pairwise

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from skregimes._border import to_tensor
from skregimes.diagnostics import (
    balancedness,
    deep_linear_orbit_volume,
    deep_linear_volume,
    effective_rank,
    kernel_alignment,
    kernel_change,
    stable_rank,
)
from skregimes.networks.factors import draw_factors, kernel_entries, kernel_inner

INF = math.inf


# -- stable rank and balance ---------------------------------------------------------


@pytest.mark.parametrize("wrap", [np.asarray, to_tensor])
def test_stable_rank(wrap):
    M = np.random.default_rng(0).standard_normal((5, 3))
    expected = np.linalg.norm(M) ** 2 / np.linalg.norm(M, 2) ** 2
    assert stable_rank(wrap(M)) == pytest.approx(expected, rel=1e-14)
    for scale in (1e-300, 1e300):
        assert stable_rank(wrap(scale * M)) == pytest.approx(expected, rel=1e-13)
    assert stable_rank(wrap(np.full((4, 4), 1e308))) == pytest.approx(1.0)
    assert stable_rank(wrap(np.eye(4))) == pytest.approx(4.0)
    assert stable_rank(wrap(np.zeros((4, 2)))) == 0.0


@pytest.mark.parametrize("M", [[1.0, 2.0], [[np.nan]], np.zeros((0, 3))])
def test_stable_rank_of_bad_input(M):
    with pytest.raises(ValueError, match="M must"):
        stable_rank(M)


@pytest.mark.parametrize("wrap", [np.asarray, to_tensor])
def test_balancedness(wrap):
    factors = draw_factors("gaussian", (4, 3), 5, 3, 1.0, random_state=0)
    gaps = [
        np.linalg.norm(after.T @ after - before @ before.T)
        for before, after in pairwise(factors)
    ]
    expected = max(gaps) / sum(np.linalg.norm(W) ** 2 for W in factors)
    for scale in (1e-200, 1.0, 1e200):
        found = balancedness([wrap(scale * W) for W in factors])
        assert found == pytest.approx(expected, rel=1e-13)
    balanced = draw_factors("orthogonal", (4, 3), 5, 3, 0.1, random_state=0)
    assert balancedness([wrap(W) for W in balanced]) < 1e-15
    lifted = draw_factors("lifted", (2, 2), 4, 2, 3.0)
    assert balancedness(lifted) == pytest.approx(0.5)  # diag(1, 1, -1, -1) over 2 + 2
    assert balancedness([np.zeros((2, 3)), np.zeros((4, 2))]) == 0.0


@pytest.mark.parametrize(
    ("factors", "match"),
    [
        ([], "two factors"),
        ([np.eye(2)], "two factors"),
        ([np.eye(2), np.eye(3)], "shapes"),
        ([np.ones(2), np.eye(2)], "shapes"),
        ([np.eye(2), np.full((2, 2), np.nan)], r"factors\[1\] must hold finite"),
    ],
)
def test_balancedness_of_bad_input(factors, match):
    with pytest.raises(ValueError, match=match):
        balancedness(factors)


# -- volume --------------------------------------------------------------------------


def power(symmetric, exponent):
    values, vectors = np.linalg.eigh(symmetric)
    values = np.where(values > 1e-12, values, 0.0)  # whose zeroth power is 1
    return (vectors * values**exponent) @ vectors.T


def inverse_metric(M, depth):
    """Dense operator on vectorised matrices; over depth if that is infinite."""
    left, right = M @ M.T, M.T @ M
    if depth == INF:
        nodes, weights = np.polynomial.legendre.leggauss(40)
        terms = zip((nodes + 1) / 2, weights / 2)
        return sum(w * np.kron(power(left, 1 - t), power(right, t)) for t, w in terms)
    return sum(
        np.kron(power(left, (depth - p) / depth), power(right, (p - 1) / depth))
        for p in range(1, depth + 1)
    )


def vandermonde_form(s, depth, extra=0):
    """The published form, for distinct singular values."""
    d = len(s)
    if depth == INF:
        volume = -np.sum(np.log(s))
        ratio = lambda a, b: np.log(a**2 / b**2) / (a**2 - b**2)
    else:
        volume = -d / 2 * np.log(depth) - (1 - 1 / depth) * (1 + extra) * np.sum(
            np.log(s)
        )
        ratio = lambda a, b: (a ** (2 / depth) - b ** (2 / depth)) / (a**2 - b**2)
    return volume + sum(np.log(ratio(a, b)) for a, b in combinations(s, 2))


def test_volume_of_full_rank():
    # Draws and figures of an earlier, independent computation.
    rng = np.random.default_rng(1)
    for shape, depth, figure in [
        ((4, 4), 2, -5.0706819409),
        ((4, 4), 3, -14.3358663789),
        ((5, 3), 2, -6.8415864846),
        ((5, 3), 4, -8.3900761446),
        ((4, 4), INF, -6.6045366614),
    ]:
        M = rng.standard_normal(shape)
        s = np.linalg.svd(M)[1]
        found = deep_linear_volume(s, depth, shape)
        assert found == pytest.approx(figure, abs=1e-10)
        form = vandermonde_form(s, depth, abs(shape[0] - shape[1]))
        assert found == pytest.approx(form, abs=1e-10)
        operator = inverse_metric(M, depth)
        assert found == pytest.approx(-np.linalg.slogdet(operator)[1] / 2, abs=1e-10)
        assert deep_linear_volume(s[::-1], depth, shape) == pytest.approx(found)


def test_volume_of_a_rank_2_stratum():
    values = np.array([1.7, 0.6])
    rng = np.random.default_rng(0)
    P = np.linalg.qr(rng.standard_normal((5, 2)))[0]
    Q = np.linalg.qr(rng.standard_normal((4, 2)))[0]
    for depth, figure in [(2, None), (3, -2.44428304), (4, None)]:
        found = deep_linear_volume(values, depth, (5, 4))
        if figure is not None:
            assert found == pytest.approx(figure, abs=1e-8)
        # The kernel of balanced factors, on its range: the tangent space.
        root = np.diag(values ** (1 / depth))
        factors = [root @ Q.T, *[root] * (depth - 2), P @ root]
        index = (part.ravel() for part in np.indices((5, 4)))
        eigenvalues = np.linalg.eigvalsh(kernel_entries(factors, *index))
        assert np.all(np.abs(eigenvalues[:6]) < 1e-12)
        assert found == pytest.approx(-np.sum(np.log(eigenvalues[6:])) / 2, abs=1e-12)


def test_infinite_depth_is_a_limit():
    s = [2.0, 1.0, 0.3]
    figures = [0.140969, 0.356027, 0.589698, 0.658159, 0.675907]
    for depth, figure in zip([2, 4, 16, 64, 256], figures):
        found = deep_linear_volume(s, depth) + 9 / 2 * np.log(depth)
        assert found == pytest.approx(figure, abs=6e-7)
    limit = deep_linear_volume(s, INF)
    assert limit == pytest.approx(0.681879, abs=6e-7)
    assert deep_linear_volume(s, np.inf) == limit
    late = deep_linear_volume(s, 10**9) + 9 / 2 * np.log(1e9)
    assert late == pytest.approx(limit, abs=1e-8)
    assert deep_linear_volume(s, INF, (3, 4)) == INF
    assert deep_linear_volume(s, INF, (4, 4)) == INF


@pytest.mark.parametrize("depth", [1, 2, 3, 7, INF])
@pytest.mark.parametrize(
    "s",
    [
        (1.0, 1.0, 1.0),
        (2.0, 2.0, 0.5),
        (1.0, 1.0 + 1e-15, 1.0 - 1e-12),
        (3.0, 1.0, 1e-60),
        (1e-60, 1e-60, 3e-61),
        (1e-200, 1.0, 1e200),
        (0.7,),
    ],
)
def test_volumes_at_ties_and_extremes(s, depth):
    def eigenvalue(a, b):
        a, b = mpmath.mpf(a), mpmath.mpf(b)
        if depth == INF:
            return a**2 if a == b else (a**2 - b**2) / mpmath.log(a**2 / b**2)
        exponents = [mpmath.mpf(2 * p) / depth for p in range(depth)]
        return mpmath.fsum(
            a ** exponents[-1 - p] * b ** exponents[p] for p in range(depth)
        )

    with mpmath.workdps(60):
        pairs = mpmath.fsum(
            mpmath.log(eigenvalue(*pair)) for pair in combinations(s, 2)
        )
        single = mpmath.fsum(mpmath.log(eigenvalue(a, a)) for a in s)
        volume = float(-single / 2 - pairs)
        n_pairs = len(s) * (len(s) - 1) // 2
        power_of_two = n_pairs * (depth - 1) * mpmath.log(2) if depth < INF else 0
        entropy = float((pairs + power_of_two) / 2)
    assert_allclose(deep_linear_volume(s, depth), volume, rtol=1e-13, atol=1e-13)
    if depth < INF:
        found = deep_linear_orbit_volume(s, depth)
        assert_allclose(found, entropy, rtol=1e-13, atol=1e-13)


def fibre_volume(s, depth, seed):
    """Log root Gram determinant of the rotations of the hidden layers, numerically."""
    rng = np.random.default_rng(seed)
    d = len(s)
    frames = [np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(depth + 1)]
    root = np.diag(np.asarray(s) ** (1 / depth))
    tangents = []
    for layer in range(1, depth):
        for i, j in combinations(range(d), 2):
            generator = np.zeros((d, d))
            generator[i, j], generator[j, i] = 1.0, -1.0
            # A complex step: derivatives to the last digit.
            turn, back = expm(1e-30j * generator), expm(-1e-30j * generator)
            turned = [
                (frames[p + 1] @ turn if p + 1 == layer else frames[p + 1])
                @ root
                @ (back @ frames[p].T if p == layer else frames[p].T)
                for p in range(depth)
            ]
            tangents.append(np.imag(turned).ravel() / 1e-30)
    tangents = np.array(tangents)
    return np.linalg.slogdet(tangents @ tangents.T)[1] / 2


@pytest.mark.parametrize(
    ("depth", "figure"), [(2, 2.13666361), (3, 3.76142592), (5, 6.57131556)]
)
def test_orbit_volume_is_that_of_the_fibre(depth, figure):
    s = [2.0, 1.0, 0.3]
    found = deep_linear_orbit_volume(s, depth)
    assert found == pytest.approx(figure, abs=1e-8)
    assert found == pytest.approx(fibre_volume(s, depth, seed=0), abs=1e-12)
    assert fibre_volume(s, depth, seed=1) == pytest.approx(found, abs=1e-12)
    tied = [2.0, 2.0, 0.3]
    expected = fibre_volume(tied, depth, seed=0)
    assert deep_linear_orbit_volume(tied, depth) == pytest.approx(expected, abs=1e-12)


def test_volumes_take_tensors():
    s = np.array([2.0, 1.0])
    assert deep_linear_volume(to_tensor(s), 3) == deep_linear_volume(s, 3)
    assert deep_linear_orbit_volume(to_tensor(s), 3) == deep_linear_orbit_volume(s, 3)


@pytest.mark.parametrize("volume", [deep_linear_volume, deep_linear_orbit_volume])
@pytest.mark.parametrize(
    ("s", "depth", "match"),
    [
        ([1.0, 0.0], 2, "positive"),
        ([1.0, -1.0], 2, "positive"),
        ([[1.0, 1.0]], 2, "list of positive"),
        ([], 2, "finite"),
        ([np.nan], 2, "finite"),
        ([1.0], 0, "depth=0"),
        ([1.0], 2.5, "depth=2.5"),
        ([1.0], -INF, "depth=-inf"),
        ([1.0], None, "depth=None"),
    ],
)
def test_volumes_of_bad_input(volume, s, depth, match):
    with pytest.raises(ValueError, match=match):
        volume(s, depth)


def test_volumes_say_what_does_not_exist():
    with pytest.raises(ValueError, match="do not fit"):
        deep_linear_volume([1.0, 2.0], 2, (3, 1))
    with pytest.raises(ValueError, match="infinite depth"):
        deep_linear_orbit_volume([1.0], INF)


# -- a worked example ----------------------------------------------------------------


def test_a_small_completion_problem_from_end_to_end():
    # 60 entries of a 10 x 10 matrix of rank 1, from the lifted start.
    d = 10
    rng = np.random.default_rng(3)
    target = rng.standard_normal((d, 1)) @ rng.standard_normal((d, 1)).T
    target *= d / np.linalg.norm(target)
    observed = np.zeros(d * d, dtype=bool)
    observed[rng.permutation(d * d)[:60]] = True
    observed = observed.reshape(d, d)
    alpha = math.sqrt(1e-3 * np.linalg.norm(target, 2))
    first, last = draw_factors("lifted", (d, d), 2 * d, 2, alpha)

    def velocity(_, state):
        V, U = state.reshape(2, d, 2 * d)
        G = observed * (U @ V.T - target)
        return -np.concatenate([(G.T @ U).ravel(), (G @ V).ravel()])

    start = np.concatenate([first.T.ravel(), last.ravel()])
    end = solve_ivp(velocity, (0, 400), start, "DOP853", rtol=1e-9, atol=1e-11)
    V, U = end.y[:, -1].reshape(2, d, 2 * d)
    M = U @ V.T
    assert np.max(np.abs(observed * (M - target))) < 1e-5

    # The figures were made with a solver of relative accuracy 1e-5 a step.
    s = np.linalg.svd(M)[1]
    found = [
        *s[:2],
        np.sum(s),
        np.linalg.norm(M),
        effective_rank(M),
        stable_rank(M),
        deep_linear_volume(s[:1], 2, (d, d)),
        deep_linear_volume(s[:1], 3, (d, d)),
    ]
    figures = [9.78019, 0.29961, 10.147350, 9.784828, 1.201497, 1.000949, -22.00998]
    assert_allclose(found, [*figures, -29.43385], rtol=5e-4)
    assert_allclose(found[2:], [*figures[2:], -29.43385], rtol=1e-4)

    before, after = [first, last], [V.T, U]
    here = np.nonzero(observed)
    K0, K1 = (kernel_entries(factors, *here) for factors in (before, after))
    both = kernel_inner(before, after)
    size0, size1 = kernel_inner(before, before), kernel_inner(after, after)
    found = [
        kernel_change(K0, K1),
        math.acos(kernel_alignment(K0, K1)),
        math.sqrt((size0 + size1 - 2 * both) / size0),
        math.acos(both / math.sqrt(size0 * size1)),
    ]
    assert_allclose(found, [211.881, 1.006668, 229.925, 1.112368], rtol=2e-5)
