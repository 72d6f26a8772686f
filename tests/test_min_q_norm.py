"""The infinite-time limit against 40-digit Newton, cones, ODEs and its own laws."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.linalg import hilbert

from skregimes.limits import min_l1_norm, min_l2_norm, min_q_norm, q_norm
from skregimes.limits._checks import LimitError
from skregimes.limits._gram import GramSolver
from skregimes.limits._solver import NetworkLimit
from skregimes.limits.potentials import DiagonalPotential

X_SMALL = np.array([[1.0, 2.0, 0.0, -1.0], [0.0, 1.0, 1.0, 3.0]])
Y_SMALL = np.array([1.0, 2.0])


def relative_error(coef, expected):
    return np.sum(np.abs(coef - expected)) / np.sum(np.abs(expected))


def exact_limit(X, y, scale, depth, shape=None, offset=None, guess=None, digits=40):
    """Solve ``X beta(nu) = y`` by Newton's method in mpmath, from a guess of nu.

    The dual objective is strictly concave for X of full row rank: whatever the guess,
    a root to `digits` digits is the solution.
    """
    with mpmath.workdps(digits + 25):
        d = X.shape[1]
        A, target = mpmath.matrix(X.tolist()), mpmath.matrix(y.tolist())
        shape = np.ones(d) if shape is None else shape
        scales = [mpmath.mpf(scale) * mpmath.mpf(float(w)) for w in shape]
        stiff = [mpmath.mpf(float(w)) ** max(depth - 2, 0) for w in shape]
        k = mpmath.mpf(depth) / (depth - 2) if depth > 2 else None

        def link(s, a):
            if depth == 2:
                return 2 * a**2 * mpmath.sinh(s), 2 * a**2 * mpmath.cosh(s)
            slope = (1 - s) ** (-k - 1) + (1 + s) ** (-k - 1)
            return a**depth * ((1 - s) ** -k - (1 + s) ** -k), a**depth * k * slope

        def inverse(beta, a):
            if depth == 2:
                return mpmath.asinh(beta / (2 * a**2))
            low, high = mpmath.mpf(-1), mpmath.mpf(1)
            for _ in range(4 * mpmath.mp.dps):
                middle = (low + high) / 2
                above = link(middle, a)[0] > beta
                low, high = (low, middle) if above else (middle, high)
            return low

        start = [mpmath.mpf(0)] * d
        if offset is not None:
            start = [inverse(mpmath.mpf(float(b)), a) for b, a in zip(offset, scales)]
        nu = mpmath.matrix([mpmath.mpf(float(v)) for v in guess])
        for _ in range(100):
            z = A.T * nu
            links = [link(s + c * v, a) for s, c, v, a in zip(start, stiff, z, scales)]
            beta = mpmath.matrix([b for b, _ in links])
            weighted = A * mpmath.diag([b * c for (_, b), c in zip(links, stiff)])
            residual = target - A * beta
            if mpmath.norm(residual) < mpmath.mpf(10) ** -digits * mpmath.norm(target):
                return np.array([float(b) for b in beta])
            nu += mpmath.lu_solve(weighted * A.T, residual)
        raise AssertionError("the reference did not converge")


def parameter_flow(X, y, depth, plus, minus, time):
    """Integrate gradient flow of the weights themselves."""
    n, d = X.shape

    def velocity(_, w):
        gradient = X.T @ (X @ (w[:d] ** depth - w[d:] ** depth) - y) / n
        slope = depth * w ** (depth - 1)
        return slope * np.concatenate([-gradient, gradient])

    flow = solve_ivp(
        velocity, (0, time), np.r_[plus, minus], "LSODA", rtol=1e-11, atol=1e-13
    )
    end = flow.y[:, -1]
    return end[:d] ** depth - end[d:] ** depth


def problem(seed, n, d):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


# -- accuracy --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "scale", "printed"),
    [
        (2, 0.01, [0.00134980787912, 0.713154482056, 0.0038692019704, 0.427658771991]),
        (2, 0.1, [0.0332943414174, 0.692676355109, 0.0513824899863, 0.418647051635]),
        (2, 1.0, [0.197501805945, 0.601280299426, 0.198532486182, 0.400062404797]),
        (3, 0.01, [2.2371469648e-6, 0.714284060696, 4.86368659899e-6, 0.428570358539]),
        (3, 0.1, [0.0019312002909, 0.712928842307, 0.00370450297822, 0.427788884905]),
        (3, 1.0, [0.194600758406, 0.60276962477, 0.196810351395, 0.400140007945]),
    ],
)
def test_golden_values(depth, scale, printed):
    coef, dual = min_q_norm(X_SMALL, Y_SMALL, scale, depth=depth, return_dual=True)
    assert_allclose(coef, printed, rtol=4e-12)  # twelve digits are printed
    exact = exact_limit(X_SMALL, Y_SMALL, scale, depth, guess=dual)
    assert_allclose(coef, exact, rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
@pytest.mark.parametrize("scale", [1e-3, 0.03, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_forty_digits(depth, scale, shaped, biased):
    X, y = problem(depth, 3, 7)
    rng = np.random.default_rng(1)
    shape = np.exp(0.5 * rng.standard_normal(7)) if shaped else None
    offset = rng.standard_normal(7) * (np.arange(7) % 2) if biased else None
    if biased and scale ** (depth - 2) < 1e-8:
        pytest.skip("a biased start this rich is not resolved: see the warning")
    options = {"depth": depth, "init_shape": shape, "init_offset": offset}
    coef, dual = min_q_norm(X, y, scale, return_dual=True, **options)
    exact = exact_limit(X, y, scale, depth, shape, offset, guess=dual)
    assert relative_error(coef, exact) < 1e-12


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("scale", [0.4, 1.0])
def test_brute_force_flow(depth, scale):
    X, y = problem(7, 4, 9)
    rng = np.random.default_rng(2)
    plus, minus = scale * np.exp(0.3 * rng.standard_normal((2, 9)))
    slow = 4000 / scale ** (2 * depth - 2)
    end = parameter_flow(X, y, depth, plus, plus, slow)
    assert relative_error(min_q_norm(X, y, 1, depth=depth, init_shape=plus), end) < 1e-8

    end = parameter_flow(X, y, depth, plus, minus, slow)
    conserved = DiagonalPotential.from_weights(depth, np.log(plus), np.log(minus))
    coef = min_q_norm(
        X,
        y,
        2.0,
        depth=depth,
        init_shape=np.exp(conserved.log_scale) / 2,
        init_offset=plus**depth - minus**depth,
    )
    assert relative_error(coef, end) < 1e-8


@pytest.mark.parametrize("scale", [0.03, 0.3, 1.0])
def test_exponential_cone(scale):
    cvxpy = pytest.importorskip("cvxpy")
    X, y = problem(5, 4, 10)
    # At depth 2, with u and v the two layers' products, Q is an entropy.
    u, v = cvxpy.Variable(10), cvxpy.Variable(10)
    entropy = sum(
        cvxpy.sum(cvxpy.rel_entr(w, np.full(10, scale**2)) - w) for w in (u, v)
    )
    cvxpy.Problem(cvxpy.Minimize(entropy), [X @ (u - v) == y]).solve("CLARABEL")
    coef = min_q_norm(X, y, scale)
    assert relative_error(coef, u.value - v.value) < 1e-4  # the cone solver's


# -- the two ends ----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_kernel_end_is_the_weighted_l2_norm(depth):
    X, y = problem(0, 6, 20)
    shape = np.exp(0.5 * np.random.default_rng(3).standard_normal(20))
    end = min_l2_norm(X, y, weights=shape ** (2 - 2 * depth))
    coef = min_q_norm(X, y, 1e6, depth=depth, init_shape=shape)
    assert relative_error(coef, end) < 1e-10  # condition number 1e8 at depth 5
    # The distance falls with the square of scale**depth.
    end = min_l2_norm(X, y)
    far, near = (
        relative_error(min_q_norm(X, y, a ** (1 / depth), depth=depth), end)
        for a in (10, 20)
    )
    assert_allclose(far / near, 4, rtol=0.02)


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_rich_end_is_the_weighted_l1_norm(depth):
    X, y = problem(1, 6, 20)
    shape = np.exp(0.5 * np.random.default_rng(3).standard_normal(20))
    end = min_l1_norm(X, y, weights=shape ** (2 - depth))
    for scale in (1e-60, 1e-30):
        coef = min_q_norm(X, y, scale, depth=depth, init_shape=shape)
        assert relative_error(coef, end) < 1e-13
    # The distance is proportional to scale**depth.
    far, near = (
        relative_error(min_q_norm(X, y, a, depth=depth, init_shape=shape), end)
        for a in (2e-3 ** (3 / depth), 1e-3 ** (3 / depth))
    )
    assert_allclose(far / near, 8, rtol=0.1)


def test_rich_end_of_depth_2_is_unweighted():
    X, y = problem(2, 6, 20)
    shape = np.exp(0.5 * np.random.default_rng(3).standard_normal(20))
    end = min_l1_norm(X, y)
    assert relative_error(min_q_norm(X, y, 1e-30, init_shape=shape), end) < 1e-9
    assert relative_error(min_q_norm(X, y, 1e-60, init_shape=shape), end) < 1e-13


def test_depth_1_is_the_nearest_solution():
    X, y = problem(2, 4, 9)
    offset = np.arange(9.0)
    coef, dual = min_q_norm(X, y, 1e-60, depth=1, init_offset=offset, return_dual=True)
    assert_allclose(coef, offset + np.linalg.pinv(X) @ (y - X @ offset))
    assert_allclose(coef - offset, X.T @ dual)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("depth", [3, 4, 6])
def test_active_features_are_eliminated_without_a_seam(depth, noise):
    # Either side of the scale at which the vertex takes over from Newton's method.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10, 30))
    y = X[:, :3] @ [1.0, -2.0, 0.5] + noise * rng.standard_normal(10)
    scales = (10.0 ** np.arange(-5, -1.9, 0.5)) ** (1 / (depth - 2))
    path = [min_q_norm(X, y, a, depth=depth, return_dual=True) for a in scales]
    for scale, (coef, dual) in zip(scales, path):
        exact = exact_limit(X, y, scale, depth, guess=dual)
        assert relative_error(coef, exact) < 1e-11


# -- hostile problems ------------------------------------------------------------------


def hostile_problems():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 30)), rng.standard_normal(12)
    sparse = X[:, :3] @ [1.0, -2.0, 0.5]
    twins = np.hstack([X, X[:, :8], -X[:, 8:12]])
    binary = (rng.random((10, 30)) < 0.3).astype(float)
    holes = X * (np.arange(30) % 3 > 0)
    deficient = lambda n, d: rng.standard_normal((n, 4)) @ rng.standard_normal((4, d))
    return {
        "noiseless": (X, sparse),
        "duplicated": (twins, y),
        "duplicated noiseless": (twins, sparse),
        "hilbert": (hilbert(12)[:8], rng.standard_normal(8)),
        "n > d, rank deficient": (deficient(20, 9), rng.standard_normal(20)),
        "n < d, rank deficient": (deficient(9, 20), rng.standard_normal(9)),
        "n = 1": (X[:1], y[:1]),
        "n = 1, all tied": (np.ones((1, 5)), y[:1]),
        "d = 1": (X[:, :1], y),
        "n = d = 1": (X[:1, :1], y[:1]),
        "rank d": (X.T, rng.standard_normal(30)),
        "zero columns": (holes, y),
        "columns of all sizes": (X * np.logspace(-6, 6, 30), y),
        "centered": (X - X.mean(axis=0), y - y.mean()),
        "binary": (binary, binary[:, :3] @ [1.0, 2.0, 3.0]),
        "huge y": (X, 1e20 * y),
        "correlated": (10 * rng.standard_normal((12, 1)) + X, y),
    }


HOSTILE = hostile_problems()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
def test_stationarity_of_hostile_problems(name, depth):
    X, y = HOSTILE[name]
    moved = X.any(axis=0)
    for scale in (1e-30, 1e-10, 1e-5, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e6):
        coef, dual = min_q_norm(X, y, scale, depth=depth, return_dual=True)
        bulk = np.abs(X.T) @ (np.abs(X) @ np.abs(coef) + np.abs(y))
        assert np.max(np.abs(X.T @ (X @ coef - y))) < 1e-12 * np.max(bulk)
        assert not np.any(coef[~moved])
        # The scaled dual is in the row space; weigh what it does to beta.
        potential = DiagonalPotential(depth, np.log(scale))
        theta = potential.theta(coef)
        z = X.T @ dual
        gap = np.abs(potential.dual_of_theta(theta) - z)
        noise = 1e-13 * (1 + np.abs(X.T) @ np.abs(dual))
        resolved = np.abs(coef) > 1e-200
        if depth > 2:  # what |s| -> 1 leaves to be seen
            resolved &= np.abs(coef) > 1e-9 * np.max(np.abs(coef))
        effect = np.minimum(potential.slope(theta), np.max(np.abs(coef)))
        effect = effect * np.maximum(gap - noise, 0)
        assert np.sum(effect[resolved]) < 1e-9 * np.sum(np.abs(coef))
        if depth > 2 and scale < 1e-3:
            assert np.all(np.abs(z) <= 1 + noise)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("scale", [1e-20, 1e-4, 0.1, 10.0])
def test_equal_columns_share(depth, scale):
    X, y = problem(4, 5, 12)
    coef = min_q_norm(np.hstack([X, X[:, :6], -X[:, :6]]), y, scale, depth=depth)
    assert_allclose(coef[:6], coef[12:18], rtol=1e-9, atol=1e-12 * np.max(coef))
    assert_allclose(coef[:6], -coef[18:], rtol=1e-9, atol=1e-12 * np.max(coef))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("scale", [1e-20, 1.0])
def test_nothing_to_fit(depth, scale):
    X, y = problem(3, 6, 10)
    for target in (0 * y, np.linalg.svd(np.vstack([X, X]))[0][:, -1]):
        design = X if len(target) == 6 else np.vstack([X, X])
        coef = min_q_norm(design, target, scale, depth=depth)
        assert_allclose(coef, 0, atol=1e-300)
    assert not min_q_norm(0 * X, y, scale, depth=depth).any()
    offset = np.arange(10.0)
    kept = min_q_norm(0 * X, y, scale, depth=depth, init_offset=offset)
    assert_allclose(kept, offset, rtol=0)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_full_column_rank_is_least_squares(depth):
    X, y = problem(3, 10, 4)
    expected = np.linalg.lstsq(X, y)[0]
    for scale in (1e-60, 1.0, 1e6):
        coef, dual = min_q_norm(X, y, scale, depth=depth, return_dual=True)
        assert_allclose(coef, expected, rtol=1e-12)
        assert np.isfinite(dual).all()


def test_a_biased_start_beyond_resolution_is_announced():
    X, y = problem(0, 4, 9)
    offset = np.ones(9)
    with pytest.warns(RuntimeWarning, match="init_scale=.*at depth 4") as record:
        coef = min_q_norm(X, y, 1e-8, depth=4, init_offset=offset)
    named = float(
        str(record[0].message).split("limit for init_scale=")[1].split()[0][:-1]
    )
    again = min_q_norm(X, y, 1.01 * named, depth=4, init_offset=offset)
    assert relative_error(coef, again) < 1e-6


# -- wide initial shapes ---------------------------------------------------------------


def wide_problem(decades):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((8, 10))
    y = X[:, 0] - 2 * X[:, 3] + 0.5 * rng.standard_normal(8)
    return X, y, 10.0 ** np.linspace(-decades, decades, 10)


def exact_kernel_limit(X, y, weights):
    with mpmath.workdps(150):
        A = mpmath.matrix(X.tolist())
        weighted = mpmath.diag([mpmath.mpf(float(w)) for w in weights]) * A.T
        nu = mpmath.lu_solve(A * weighted, mpmath.matrix(y.tolist()))
        return np.array([float(b) for b in weighted * nu])


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
@pytest.mark.parametrize("decades", [1.0, 2.0, 3.0])
def test_kernel_end_of_a_wide_shape(depth, decades):
    X, y, shape = wide_problem(decades)
    # Far above the kernel level of the lightest features.
    scale = 1e4 / shape[0] ** 2
    coef = min_q_norm(X, y, scale, depth=depth, init_shape=shape)
    assert_allclose(X @ coef, y, atol=1e-12)
    exact = exact_kernel_limit(X, y, shape ** (2 * depth - 2))
    assert relative_error(coef, exact) < 1e-11
    weights = shape ** (2.0 - 2 * depth)
    assert relative_error(min_l2_norm(X, y, weights=weights), exact) < 1e-11


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 1e3])
def test_forty_digits_of_a_wide_shape(depth, scale):
    X, y, shape = wide_problem(1.0)
    options = {"depth": depth, "init_shape": shape}
    coef, dual = min_q_norm(X, y, scale, return_dual=True, **options)
    # From the dual computed in double precision, which the reference refines.
    exact = exact_limit(X, y, scale, depth, shape, guess=dual)
    assert relative_error(coef, exact) < 1e-10


@pytest.mark.filterwarnings("ignore:init_scale=:RuntimeWarning")
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("decades", [2.0, 3.0, 5.0])
def test_a_very_wide_shape_is_fitted_or_refused(depth, decades):
    X, y, shape = wide_problem(decades)
    fitted, messages = 0, []
    for scale in (1e-8, 1e-3, 0.1, 10.0, 1e3, 1e30):
        try:
            coef = min_q_norm(X, y, scale, depth=depth, init_shape=shape)
        except LimitError as error:
            messages.append(str(error))
            continue
        assert np.max(np.abs(X @ coef - y)) <= 1e-9 * np.max(np.abs(y))
        fitted += 1
    assert all("Narrow the range of init_shape" in text for text in messages)
    assert fitted >= (6 if depth == 1 else 1)


def test_a_limit_that_does_not_fit_is_refused(monkeypatch):
    X, y, shape = wide_problem(1.0)
    name = "skregimes.limits._solver.kernel_solution"
    for depth in (1, 3):
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda gram, y, start, _: (start + 1, 0 * y))
            with pytest.raises(LimitError, match="relative residual") as record:
                min_q_norm(X, y, 1e9, depth=depth, init_shape=shape)
            assert "init_shape" in str(record.value)
            with pytest.raises(LimitError, match=r"Rescale.* columns of X") as record:
                min_q_norm(X, y, 1e9, depth=depth)
            assert "init_shape" not in str(record.value)


# -- laws ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("scale", [1e-4, 0.05, 0.5, 3.0])
def test_homogeneity(depth, scale):
    X, y = problem(6, 8, 25)
    offset = np.where(np.arange(25) % 4, 0.0, 0.3)
    if scale ** (depth - 2) < 1e-8:
        offset = None
    solve = lambda X, y, scale, offset: min_q_norm(
        X, y, scale, depth=depth, init_offset=offset
    )
    coef = solve(X, y, scale, offset)
    moved = None if offset is None else 1e3 * offset
    scaled = solve(X, 1e3 * y, scale * 1e3 ** (1 / depth), moved)
    assert relative_error(scaled, 1e3 * coef) < 1e-11
    assert relative_error(solve(1e3 * X, 1e3 * y, scale, offset), coef) < 1e-11


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_extreme_units_of_the_design(depth, unit):
    X, y = problem(6, 8, 25)
    coef = min_q_norm(X, y, 0.1, depth=depth)
    assert (
        relative_error(min_q_norm(unit * X, unit * y, 0.1, depth=depth), coef) < 1e-12
    )


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_targets_are_separate(depth):
    X, _ = problem(8, 6, 15)
    Y = np.random.default_rng(0).standard_normal((6, 3)) * [1.0, 1e3, 0.0]
    together, duals = min_q_norm(X, Y, 0.2, depth=depth, return_dual=True)
    assert together.shape == (3, 15)
    assert duals.shape == (3, 6)
    for row, dual, target in zip(together, duals, Y.T):
        alone = min_q_norm(X, target, 0.2, depth=depth, return_dual=True)
        assert_allclose(row, alone[0], rtol=1e-14)
        assert_allclose(dual, alone[1], rtol=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_dual_as_documented(depth):
    X, y = problem(9, 5, 12)
    rng = np.random.default_rng(1)
    shape, offset = np.exp(rng.standard_normal(12)), rng.standard_normal(12)
    coef, dual = min_q_norm(
        X, y, 0.5, depth=depth, init_shape=shape, init_offset=offset, return_dual=True
    )
    potential = DiagonalPotential(depth, np.log(0.5 * shape))
    s, start = (potential.dual_of_theta(potential.theta(b)) for b in (coef, offset))
    stiffness = shape ** max(depth - 2, 0)
    assert_allclose(s - start, stiffness * (X.T @ dual), atol=1e-12)


# -- warm starts and screening ---------------------------------------------------------


def count_factorizations(monkeypatch):
    calls, original = [], GramSolver._factorize

    def counted(self, gram):
        calls.append(len(gram))
        original(self, gram)

    monkeypatch.setattr(GramSolver, "_factorize", counted)
    return calls


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_warm_path_costs_less_than_half(depth, noise, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 90))
    y = X[:, :4].sum(axis=1) + noise * rng.standard_normal(30)
    scales = np.geomspace(10, 1e-6, 25)
    calls = count_factorizations(monkeypatch)
    cold = [min_q_norm(X, y, scale, depth=depth) for scale in scales]
    n_cold = len(calls)
    calls.clear()
    previous = None
    for scale, expected in zip(scales, cold):
        coef, dual = min_q_norm(
            X, y, scale, depth=depth, warm_start=previous, return_dual=True
        )
        assert relative_error(coef, expected) < 1e-9
        previous = scale, coef, dual
    assert len(calls) < n_cold / 2


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_warm_start_may_be_wrong(depth):
    X, y = problem(10, 6, 15)
    expected = min_q_norm(X, y, 0.05, depth=depth)
    rng = np.random.default_rng(0)
    for size in (0.0, 1e-2, 1e3):
        hint = (0.06, size * rng.standard_normal(15), size * rng.standard_normal(6))
        coef = min_q_norm(X, y, 0.05, depth=depth, warm_start=hint)
        assert relative_error(coef, expected) < 1e-11


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("scale", [1e-4, 0.05, 0.5])
def test_screening_changes_nothing(depth, scale, monkeypatch):
    monkeypatch.setattr("skregimes.limits._gram._SCREEN_ABOVE", 0)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 1500)) + rng.standard_normal((60, 1))
    y = X[:, :5].sum(axis=1) + 0.1 * rng.standard_normal(60)
    solvers = []
    for screening in (False, True):
        network = NetworkLimit(
            X, depth, np.ones(1500), np.zeros(1500), screening=screening
        )
        solvers.append((network.gram, network.solve(y, scale)[0]))
    (plain, expected), (screened, coef) = solvers
    assert relative_error(coef, expected) < 1e-12
    assert screened.n_full < plain.n_full
    assert screened.n_iterations > 0


def test_screened_system_is_solved_to_tolerance(monkeypatch):
    monkeypatch.setattr("skregimes.limits._gram._SCREEN_ABOVE", 0)
    rng = np.random.default_rng(0)
    X, rhs = rng.standard_normal((40, 2000)), rng.standard_normal(40)
    solver = GramSolver(X, X @ X.T)
    for spread in (0.1, 1.0, 3.0, 5.0):
        weights = np.exp(spread * rng.standard_normal(2000))
        solver.set_weights(weights)
        solution = solver.solve(rhs, 1e-10)
        image = (X * weights) @ (X.T @ solution) + solver.ridge * solution
        assert_allclose(image, rhs, atol=1e-8)
    assert solver.n_screened > 0


# -- arguments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [[np.nan, 1.0]]}, "X contains NaN"),
        ({"y": [np.inf]}, "y contains NaN or infinity"),
        ({"X": [1.0, 2.0]}, "X must be 2-D"),
        ({"X": [["a", "b"]]}, "X must be an array of numbers"),
        ({"X": [[1j, 1.0]]}, "X is complex"),
        ({"X": np.empty((0, 2)), "y": []}, "must not be empty"),
        ({"y": [1.0, 2.0]}, "X has 1 rows but y has 2"),
        ({"init_scale": 0.0}, "init_scale must be positive"),
        ({"init_scale": -1.0}, "init_scale must be positive"),
        ({"init_scale": np.nan}, "init_scale contains NaN"),
        ({"init_scale": [1.0, 2.0]}, "init_scale must be 0-D"),
        ({"init_scale": 1e-200}, "init_scale is too small for depth 2"),
        ({"depth": 0}, "depth must be an integer"),
        ({"depth": 2.5}, "depth must be an integer"),
        ({"init_shape": [1.0]}, "init_shape has 1 entries; X has 2 columns"),
        ({"init_shape": [1.0, 0.0]}, "init_shape must be positive"),
        ({"init_offset": [1.0, np.nan]}, "init_offset contains NaN"),
        ({"warm_start": 3}, "warm_start must be"),
        ({"warm_start": (1.0, [1.0], [1.0])}, "do not fit X"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"X": [[1.0, 2.0]], "y": [1.0], "init_scale": 1.0} | change
    with pytest.raises(ValueError, match=message):
        min_q_norm(**arguments)


def test_sparse_design_is_refused():
    from scipy.sparse import eye_array

    with pytest.raises(ValueError, match="X is sparse"):
        min_q_norm(eye_array(2), [1.0, 2.0], 1.0)


# -- the norm --------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_q_norm_is_what_the_limit_minimizes(depth):
    X, y = problem(11, 4, 9)
    shape = np.exp(0.5 * np.random.default_rng(0).standard_normal(9))
    options = {"depth": depth, "init_shape": shape}
    coef = min_q_norm(X, y, 0.4, **options)
    null = np.linalg.svd(X)[2][4:]
    least = q_norm(coef, 0.4, **options)
    for direction in (*null, *-null):
        # Quadratic along the feasible directions: no slope, and upward.
        step = 1e-4 * direction
        rise = q_norm([coef + step, coef + 2 * step], 0.4, **options) - least
        assert rise[0] > 0
        assert_allclose(rise[1] / rise[0], 4, rtol=0.02)


def test_q_norm_of_depth_2_is_the_printed_formula():
    coef, scale = np.array([0.3, -2.0, 0.0]), 0.7
    b = coef / scale**2
    q = 2 - np.sqrt(4 + b**2) + b * np.arcsinh(b / 2)
    assert_allclose(q_norm(coef, scale), scale**2 * np.sum(q))
    with pytest.raises(ValueError, match="coef must be 1-D or 2-D"):
        q_norm(1.0, 1.0)
