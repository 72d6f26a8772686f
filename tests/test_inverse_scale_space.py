"""The vanishing-start limit of the training path, against flows, LPs and its KKT."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp
from scipy.optimize import linprog, minimize_scalar, nnls

from skregimes.limits.inverse_scale_space import inverse_scale_space
from skregimes.limits.potentials import DiagonalPotential


def gaussian(seed, n, d):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def correlated(seed, n=20, d=40):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3)) @ rng.standard_normal((3, d))
    return X + 0.01 * rng.standard_normal((n, d)), rng.standard_normal(n)


def low_rank(seed, n=15, d=30):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 5)) @ rng.standard_normal((5, d))
    return X, rng.standard_normal(n)


def ternary(seed, n=8, d=40):
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, (n, d)).astype(float)
    return X, rng.integers(-2, 3, n).astype(float)


def one_hot(seed, n=40):
    """Balanced factors, centered: every factor's columns sum to zero."""
    rng = np.random.default_rng(seed)
    levels = [rng.permutation(np.arange(n) % k) for k in (2, 4, 4, 5)]
    X = np.hstack([np.eye(k)[lev] for lev, k in zip(levels, (2, 4, 4, 5), strict=True)])
    y = rng.standard_normal(n)
    return X - X.mean(axis=0), y - y.mean()


CASES = {
    "wide": lambda seed: gaussian(seed, 8, 20),
    "tall": lambda seed: gaussian(seed, 30, 6),
    "square": lambda seed: gaussian(seed, 6, 6),
    "one sample": lambda seed: gaussian(seed, 1, 5),
    "one feature": lambda seed: gaussian(seed, 7, 1),
    "correlated": correlated,
    "low rank, inconsistent": low_rank,
    "ternary": ternary,
    "one hot": one_hot,
}
CASE = pytest.mark.parametrize("case", CASES)


def flow_coefs(X, y, rate, depth, shape, times):
    """Integrate the network's flow in its dual; `rate` is ``alpha**(depth - 2)``."""
    p = depth - 2
    potential = DiagonalPotential(depth, np.log(rate) / p + np.log(shape))
    lean, bound = shape**p, 1 - 2.0**-50

    def theta(nu):
        return np.arctanh(np.clip(lean * (X.T @ nu), -bound, bound))

    flow = solve_ivp(
        lambda t, nu: y - X @ potential.coef(theta(nu)),
        (0, times[-1]),
        np.zeros(len(y)),
        method="Radau",
        jac=lambda t, nu: -(X * (potential.slope(theta(nu)) * lean)) @ X.T,
        t_eval=times,
        rtol=1e-9,
        atol=1e-13,
    )
    assert flow.success
    return np.array([potential.coef(theta(nu)) for nu in flow.y.T]), flow.y.T


def between(path):
    """Return a time inside each piece after the first, and one past the end."""
    ends = np.append(path.times[2:], 1.5 * path.times[-1])
    return 0.3 * path.times[1:] + 0.7 * ends


def smallest_l1(X, y, weights):
    """Return the smallest weighted l1 norm of a least-squares solution, by an LP."""
    basis, size, _ = np.linalg.svd(X, full_matrices=False)
    basis = basis[:, size > 1e-10 * size[0]]
    A = basis.T @ X
    found = linprog(
        np.tile(weights, 2), A_eq=np.hstack((A, -A)), b_eq=basis.T @ y, method="highs"
    )
    assert found.status == 0
    return found.fun


# -- the network's flow ----------------------------------------------------------------


@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize("depth", [3, 4])
def test_flow_tends_to_the_path(depth, shaped):
    X, y = gaussian(0, 4, 6)
    shape = np.random.default_rng(1).uniform(0.7, 1.4, 6) if shaped else np.ones(6)
    path = inverse_scale_space(X, y, weights=shape ** -(depth - 2.0), depth=depth)
    times = between(path)
    coef_gaps, dual_gaps = [], []
    for rate in (1e-3, 1e-4, 1e-5):
        coefs, duals = flow_coefs(X, y, rate, depth, shape, times)
        coef_gaps.append(np.max(np.abs(coefs - path.coef(times))))
        dual_gaps.append(np.max(np.abs(duals - path.dual(times))))
    # The dual errs by alpha^(D-2), the coefficients by alpha^D: at least tenfold less.
    assert_allclose(np.divide(dual_gaps[:-1], dual_gaps[1:]), 10, rtol=0.2)
    assert coef_gaps[1] < coef_gaps[0] / 10
    assert coef_gaps[2] < coef_gaps[1] / 10
    assert coef_gaps[2] < 1e-4


def test_flow_before_the_first_jump():
    # There beta = alpha^D h(s) with s = time / first breakpoint at the leading feature.
    X, y = gaussian(3, 4, 6)
    path = inverse_scale_space(X, y)
    times = np.linspace(0.1, 0.9, 5) * path.times[1]
    _, duals = flow_coefs(X, y, 1e-4, 3, np.ones(6), times)
    assert_allclose(duals, path.dual(times), rtol=1e-6, atol=1e-9)
    assert_array_equal(path.coef(times), 0.0)


@pytest.mark.parametrize("depth", [3, 4])
def test_flow_where_the_coefficients_are_not_unique(depth):
    rng = np.random.default_rng(1)
    X = np.eye(4)[np.arange(8) % 4]
    X = np.hstack((X - X.mean(axis=0), rng.standard_normal((8, 2))))
    y = np.tile([3.0, 1.0, -2.0, -1.0], 2) + 0.3 * rng.standard_normal(8)
    path = inverse_scale_space(X, y - y.mean(), depth=depth)
    assert np.max(np.sum(path.coefs[:, :4] != 0, axis=1)) == 4  # of rank 3
    times = between(path)
    gaps = []
    for rate in (1e-4, 1e-5):
        coefs, _ = flow_coefs(X, y - y.mean(), rate, depth, np.ones(6), times)
        gaps.append(np.max(np.abs(coefs - path.coef(times))))
    assert gaps[1] < gaps[0] / 10
    assert gaps[1] < 1e-6


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_spread_over_dependent_columns(depth):
    # Two signed pairs trade along one direction, so a scalar search finds the shares.
    X = np.eye(4) - 0.25
    y = np.array([3.0, 1.0, -1.5, -2.5])
    coef = inverse_scale_space(X, y, depth=depth).coefs[-1]
    assert_allclose(X @ coef, y, atol=1e-12)
    best = minimize_scalar(
        lambda shift: -np.sum(np.abs(y + shift) ** (2 / depth)),
        bounds=(-1, 1.5),
        method="bounded",
        options={"xatol": 1e-12},
    )
    assert_allclose(coef, y + best.x, rtol=1e-6)


# -- breakpoints and the end -----------------------------------------------------------


@CASE
@pytest.mark.parametrize("seed", range(3))
def test_optimality_at_every_breakpoint(case, seed):
    X, y = CASES[case](seed)
    weights = np.ones(X.shape[1])
    if case != "one hot":
        weights = np.random.default_rng(seed).choice([0.5, 1.0, 2.0], X.shape[1])
    path = inverse_scale_space(X, y, weights=weights)
    norms = np.linalg.norm(X, axis=0) + 1e-300
    scaled = path.duals @ X / weights
    gradient = (y - path.coefs @ X.T) @ X / norms / np.linalg.norm(y)
    assert np.all(np.diff(path.times) > 0)
    assert path.horizon == np.inf
    # The dual is feasible and complementary, and moves along the residual.
    assert np.max(np.abs(scaled)) <= 1 + 1e-9
    used = path.coefs != 0
    assert_allclose(scaled[used], np.sign(path.coefs[used]), rtol=1e-9)
    assert_allclose(path.residuals, y - path.coefs @ X.T, atol=1e-9)
    steps = np.diff(path.times)[:, None] * path.residuals[:-1]
    scale = np.max(np.abs(path.duals))
    assert_allclose(np.diff(path.duals, axis=0), steps, rtol=1e-9, atol=1e-12 * scale)
    # The coefficients fit the active columns best among those of the right signs.
    assert np.max(np.abs(gradient[used])) < 1e-10
    active = np.abs(scaled) > 1 - 1e-9
    assert np.max(np.where(active, np.sign(scaled) * gradient, 0)) < 1e-10
    # And the fit gets better all the time, until it is best.
    assert np.all(np.diff(np.linalg.norm(path.residuals, axis=1)) < 0)
    assert np.max(np.abs(gradient[-1])) < 1e-10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", ["wide", "tall", "correlated"])
def test_pieces_match_nonnegative_least_squares(case, seed):
    X, y = CASES[case](seed)
    path = inverse_scale_space(X, y)
    scaled = path.duals @ X
    for coef, dual in zip(path.coefs[1:], scaled[1:], strict=True):
        active = np.flatnonzero(np.abs(dual) > 1 - 1e-9)
        expected = np.zeros(X.shape[1])
        sign = np.sign(dual[active])
        expected[active] = sign * nnls(X[:, active] * sign, y)[0]
        assert_allclose(coef, expected, rtol=1e-8, atol=1e-8 * np.max(np.abs(coef)))


def test_features_leave_and_return():
    # Without this the tests above would not reach the sign constraints.
    X, y = correlated(0)
    scaled = np.abs(inverse_scale_space(X, y).duals @ X)
    active = scaled > 1 - 1e-9
    left = active[:-1] & ~active[1:]
    back = np.cumsum(left, axis=0)[:-1].astype(bool) & active[2:] & ~active[1:-1]
    assert np.sum(left) > 5
    assert np.sum(back) > 0


@CASE
def test_first_breakpoint(case):
    X, y = CASES[case](11)
    weights = np.random.default_rng(2).uniform(0.2, 5, X.shape[1])
    path = inverse_scale_space(X, y, weights=weights)
    assert_allclose(path.times[1], 1 / np.max(np.abs(X.T @ y) / weights))
    assert_array_equal(path.coefs[0], 0.0)
    assert path.times[0] == 0


@CASE
@pytest.mark.parametrize("seed", range(3))
def test_end_is_the_smallest_l1_norm(case, seed):
    X, y = CASES[case](seed)
    weights = np.random.default_rng(seed).uniform(0.2, 5, X.shape[1])
    coef = inverse_scale_space(X, y, weights=weights).coefs[-1]
    best = np.linalg.lstsq(X, y, rcond=1e-10)[0]
    assert_allclose(X @ coef, X @ best, atol=1e-9)
    assert_allclose(weights @ np.abs(coef), smallest_l1(X, y, weights), rtol=1e-6)


# -- invariances -----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [3, 5])
def test_copies_share_equally(depth):
    X, y = gaussian(5, 5, 8)
    X[:2, :4] = 0.0
    path = inverse_scale_space(X, y, depth=depth)
    copies = np.hstack((X, -X[:, :4], X[:, 2:6]))
    many = inverse_scale_space(copies, y, depth=depth)
    assert_allclose(many.times, path.times, rtol=1e-10)
    assert_allclose(many.duals, path.duals, rtol=1e-9, atol=1e-10)
    assert_array_equal(many.coefs[:, :4], -many.coefs[:, 8:12])
    assert_array_equal(many.coefs[:, 2:6], many.coefs[:, 12:])
    count = np.array([2, 2, 3, 3, 2, 2, 1, 1])
    assert_allclose(count * many.coefs[:, :8], path.coefs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("depth", [3, 4])
def test_proportional_columns_share_as_the_flow_does(depth):
    # Scaled alike with their weights they arrive together; one is twice as long.
    weights = np.array([1.0, 2.0])
    path = inverse_scale_space([[1.0, 2.0]], [3.0], weights=weights, depth=depth)
    shape = weights ** (-1 / (depth - 2))
    X, y = np.array([[1.0, 2.0]]), np.array([3.0])
    coefs, _ = flow_coefs(X, y, 1e-5, depth, shape, np.array([1.0, 2.0]))
    assert_allclose(path.coefs[-1], coefs[-1], rtol=1e-4)


def test_nearly_equal_copies_share_equally():
    # Equal but for rounding: the general rule takes over from the merging of copies.
    X, y = gaussian(5, 5, 8)
    path = inverse_scale_space(X, y)
    noise = 2e-13 * np.random.default_rng(0).standard_normal(X.shape)
    twice = inverse_scale_space(np.hstack((X, noise - X)), y)
    assert_allclose(twice.times, path.times, rtol=1e-9)
    assert_allclose(twice.coefs[:, :8], path.coefs / 2, rtol=1e-6, atol=1e-9)
    assert_allclose(twice.coefs[:, 8:], -path.coefs / 2, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", ["wide", "tall", "ternary"])
@pytest.mark.parametrize(("cx", "cy"), [(1e8, 1.0), (1e-8, 1e8), (1e-150, 1e-150)])
def test_scaling_laws(case, cx, cy):
    X, y = CASES[case](4)
    base, path = inverse_scale_space(X, y), inverse_scale_space(cx * X, cy * y)
    assert_allclose(path.times, base.times / cx / cy, rtol=1e-9)
    floor = 1e-10 * np.max(np.abs(base.coefs))
    assert_allclose(path.coefs * (cx / cy), base.coefs, rtol=1e-8, atol=floor)
    floor = 1e-10 * np.max(np.abs(base.duals))
    assert_allclose(path.duals * cx, base.duals, rtol=1e-8, atol=floor)


def test_weights_rescale_the_columns():
    X, y = gaussian(2, 6, 12)
    weights = np.random.default_rng(0).uniform(0.1, 10, 12)
    path = inverse_scale_space(X, y, weights=weights)
    plain = inverse_scale_space(X / weights, y)
    assert_allclose(path.times, plain.times)
    assert_allclose(path.coefs, plain.coefs / weights, atol=1e-12)


def test_repeated_rows_are_row_weights():
    X, y = gaussian(6, 7, 4)
    count = np.array([1, 2, 3, 1, 1, 2, 1])
    repeated = inverse_scale_space(np.repeat(X, count, axis=0), np.repeat(y, count))
    root = np.sqrt(count)
    scaled = inverse_scale_space(X * root[:, None], y * root)
    assert_allclose(repeated.times, scaled.times)
    assert_allclose(repeated.coefs, scaled.coefs, atol=1e-12)


# -- hostile data ----------------------------------------------------------------------


def test_zero_columns_change_nothing():
    X, y = gaussian(7, 5, 9)
    base = inverse_scale_space(X, y)
    path = inverse_scale_space(np.insert(X, [0, 4], 0.0, axis=1), y)
    assert_allclose(path.times, base.times)
    assert_array_equal(path.coefs[:, [0, 5]], 0.0)
    assert_allclose(np.delete(path.coefs, [0, 5], axis=1), base.coefs)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.ones((3, 2)), np.zeros(3)),
        (np.zeros((3, 2)), np.arange(3.0)),
        (np.array([[1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]), np.array([0.0, 0.0, 5.0])),
        (np.array([[1.0], [-1.0]]), np.array([1.0, 1.0])),
    ],
)
def test_nothing_to_fit(X, y):
    path = inverse_scale_space(X, y)
    assert_array_equal(path.times, [0.0])
    assert_array_equal(path.coef(1e9), np.zeros(X.shape[1]))
    assert_array_equal(path.dual(2.0), 2.0 * y)
    assert path.horizon == np.inf


def test_all_features_arrive_together():
    path = inverse_scale_space(2 * np.eye(5), np.array([1.0, -1.0, 1.0, 1.0, -1.0]))
    assert_array_equal(path.times, [0.0, 0.5])
    assert_allclose(path.coefs[1], [0.5, -0.5, 0.5, 0.5, -0.5])


def test_a_dependent_column_arrives_at_the_same_time():
    # With three of four centered levels at the boundary the fourth is there too.
    X, y = one_hot(3)
    scaled = np.abs(inverse_scale_space(X, y).duals @ X)
    factor = np.sum(scaled[:, 2:6] > 1 - 1e-9, axis=1)
    assert 4 in factor
    assert 3 not in factor


def test_path_at_given_times():
    X, y = gaussian(8, 5, 9)
    path = inverse_scale_space(X, y)
    assert path.coef(path.times).shape == path.coefs.shape
    assert_array_equal(path.coef(path.times), path.coefs)
    assert_allclose(path.dual(path.times), path.duals)
    assert path.dual(np.ones((2, 3))).shape == (2, 3, 5)
    just = np.nextafter(path.times[2], 0)
    assert_array_equal(path.coef(just), path.coefs[1])
    with pytest.raises(ValueError, match="Times must lie"):
        path.coef(-1.0)


def test_stopping_early():
    X, y = gaussian(8, 5, 9)
    path = inverse_scale_space(X, y)
    middle = (path.times[2] + path.times[3]) / 2
    for early in (
        inverse_scale_space(X, y, max_time=middle),
        inverse_scale_space(X, y, max_breakpoints=2),
    ):
        assert_allclose(early.times, path.times[:3])
        assert_allclose(early.coefs, path.coefs[:3])
        assert_allclose(early.horizon, path.times[3])
        with pytest.raises(ValueError, match="raise max_time"):
            early.dual(2 * path.times[3])


def test_numerically_dependent_columns_are_refused():
    # The late part of this path needs velocities that rounding drowns.
    u, v = np.linspace(0, 1, 40), np.linspace(0, 1, 100)
    X = np.exp(-((u[:, None] - v) ** 2) / 0.18)
    y = np.sin(9 * u) + 0.1 * np.random.default_rng(0).standard_normal(40)
    with pytest.raises(RuntimeError, match="larger init_scale"):
        inverse_scale_space(X, y)
    early = inverse_scale_space(X, y, max_time=100.0)
    assert np.max(np.abs(early.duals @ X)) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": np.ones(2)}, "one per feature"),
        ({"weights": np.array([1.0, 0.0, 1.0])}, "positive"),
        ({"weights": np.array([1.0, np.inf, 1.0])}, "positive and finite"),
        ({"depth": 2}, "depth must be at least 3"),
        ({"max_time": -1.0}, "must not be negative"),
        ({"max_breakpoints": -1}, "must not be negative"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        inverse_scale_space(np.ones((4, 3)), np.ones(4), **options)
