"""Least nuclear and Frobenius norms against a convex solver and optimality."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.sparse import coo_array, csr_array

from skregimes.limits import min_frobenius_norm, min_nuclear_norm
from skregimes.limits._checks import LimitError


def low_rank(rng, shape, rank):
    d1, d2 = shape
    return rng.standard_normal((d1, rank)) @ rng.standard_normal((rank, d2))


def completion(seed, shape=(8, 7), rank=2, n=30, noise=0.0):
    """Return a table with holes, the entries seen, and the matrix."""
    rng = np.random.default_rng(seed)
    M = low_rank(rng, shape, rank) + noise * rng.standard_normal(shape)
    seen = np.zeros(M.size, dtype=bool)
    seen[rng.choice(M.size, n, replace=False)] = True
    seen = seen.reshape(shape)
    return np.where(seen, M, np.nan), seen, M


def sensing(seed, shape=(6, 8), rank=1, n=25, noise=0.0):
    rng = np.random.default_rng(seed)
    M = low_rank(rng, shape, rank)
    A = rng.standard_normal((n, M.size))
    return A, A @ M.ravel() + noise * rng.standard_normal(n), shape


def clarabel(A, y, shape, penalty):
    """Return the least objective and its minimizer, by an interior point method."""
    cvxpy = pytest.importorskip("cvxpy")
    M = cvxpy.Variable(shape)
    misfit, norm = A @ cvxpy.vec(M, order="C") - y, cvxpy.normNuc(M)
    if penalty:
        problem = cvxpy.Problem(
            cvxpy.Minimize(cvxpy.sum_squares(misfit) / 2 + penalty * norm)
        )
    else:
        problem = cvxpy.Problem(cvxpy.Minimize(norm), [misfit == 0])
    value = problem.solve("CLARABEL")
    return value, M.value


def check_optimal(solution, measure, pull, y, penalty, atol):
    """Check the conditions of Karush, Kuhn and Tucker for exact arrays."""
    M, N = solution.matrix, pull(solution.dual)
    assert np.linalg.norm(N, 2) <= 1 + 1e-12
    U, s, Vt = np.linalg.svd(M)
    rank = np.sum(s > 1e-4 * s[0])
    assert_allclose(U[:, :rank].T @ N @ Vt[:rank].T, np.eye(rank), atol=atol)
    if penalty:
        assert_allclose(penalty * solution.dual, y - measure(M), atol=atol * penalty)
    else:
        assert_allclose(measure(M), y, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("penalty", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("case", [(8, 7), (5, 9)])
def test_completion_meets_clarabel(case, penalty):
    table, seen, _ = completion(0, case, n=30, noise=0.1)
    solution = min_nuclear_norm(table, penalty=penalty, tol=1e-9)
    A, y = np.eye(seen.size)[seen.ravel()], table[seen]
    value, expected = clarabel(A, y, case, penalty)
    residual = solution.matrix[seen] - y
    objective = solution.norm
    if penalty:
        objective = residual @ residual / 2 + penalty * solution.norm
    assert_allclose(objective, value, rtol=1e-7)
    assert_allclose(solution.matrix, expected, atol=2e-4)
    assert solution.converged
    assert solution.gap <= 1e-9


# Fewer measurements than entries, and more.
@pytest.mark.parametrize(
    ("n", "penalty"), [(15, 0.0), (25, 0.0), (25, 0.5), (25, 30.0), (90, 2.0)]
)
def test_sensing_meets_clarabel(n, penalty):
    A, y, shape = sensing(1, n=n, noise=0.1 if penalty else 0.0)
    solution = min_nuclear_norm(A, y, shape, penalty=penalty, tol=1e-9)
    value, expected = clarabel(A, y, shape, penalty)
    residual = A @ solution.matrix.ravel() - y
    objective = solution.norm
    if penalty:
        objective = residual @ residual / 2 + penalty * solution.norm
    assert_allclose(objective, value, rtol=1e-7)
    assert_allclose(solution.matrix, expected, atol=2e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.02])
def test_optimality_conditions(penalty):
    table, seen, _ = completion(2, (20, 15), n=150, noise=0.05)

    def pull(dual):
        N = np.zeros(seen.shape)
        N[seen] = dual
        return N

    solution = min_nuclear_norm(table, penalty=penalty, tol=1e-11)
    measure = lambda M: M[seen]
    check_optimal(solution, measure, pull, table[seen], penalty, 1e-4)
    A, y, shape = sensing(3, (12, 10), 2, 60, noise=0.05)
    solution = min_nuclear_norm(A, y, shape, penalty=penalty, tol=1e-11)
    measure, pull = lambda M: A @ M.ravel(), lambda dual: (dual @ A).reshape(shape)
    check_optimal(solution, measure, pull, y, penalty, 1e-4)


def test_gap_bounds_the_distance_to_the_least_norm():
    table, _, _ = completion(4, (15, 15), n=100, noise=0.1)
    best = min_nuclear_norm(table, tol=1e-10)
    for max_iter in (10, 30, 100):
        with pytest.warns(RuntimeWarning, match="increase max_iter"):
            rough = min_nuclear_norm(table, tol=1e-10, max_iter=max_iter)
        assert not rough.converged
        assert rough.n_iter == max_iter
        excess = 1 - best.norm / rough.norm
        assert -1e-10 <= excess <= rough.gap


def test_large_tables():
    # 2000 entries leave a part of a matrix of rank 5 open; 5000 determine it.
    table, seen, M = completion(0, (100, 100), 5, 2000)
    solution = min_nuclear_norm(table)
    assert solution.gap <= 1e-6
    assert_allclose(solution.matrix[seen], table[seen], rtol=1e-12)
    assert solution.norm < np.linalg.norm(M, "nuc")
    table, _, M = completion(0, (100, 100), 5, 5000)
    assert_allclose(min_nuclear_norm(table, tol=1e-9).matrix, M, atol=1e-6)


def test_a_full_table_is_soft_thresholded():
    M = np.random.default_rng(5).standard_normal((6, 9))
    assert_allclose(min_nuclear_norm(M).matrix, M, atol=1e-12)
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    for penalty in (0.1 * s[0], 0.999 * s[0]):
        solution = min_nuclear_norm(M, penalty=penalty, tol=1e-12)
        expected = (U * np.maximum(s - penalty, 0)) @ Vt
        assert_allclose(solution.matrix, expected, atol=1e-6)
        rank = np.sum(np.linalg.svdvals(solution.matrix) > 1e-12)
        assert rank == np.sum(s > penalty)
    solution = min_nuclear_norm(M, penalty=1.0001 * s[0])
    assert not solution.matrix.any()
    assert (solution.norm, solution.gap, solution.n_iter) == (0.0, 0.0, 0)
    assert_allclose(solution.dual, M.ravel() / (1.0001 * s[0]))


def test_the_limit_of_weight_decay():
    table, seen, _ = completion(6, (6, 5), n=20, noise=0.2)
    penalty, k = 0.3, 6

    def objective(w):
        U, V = np.split(w.reshape(11, k), [6])
        R = np.where(seen, U @ V.T - np.where(seen, table, 0), 0)
        value = np.sum(R**2) / 2 + penalty / 2 * (w @ w)
        return value, np.vstack([R @ V, R.T @ U]).ravel() + penalty * w

    start = np.random.default_rng(0).standard_normal(11 * k)
    options = {"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-10}
    trained = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    U, V = np.split(trained.x.reshape(11, k), [6])
    solution = min_nuclear_norm(table, penalty=penalty, tol=1e-11)
    assert_allclose(U @ V.T, solution.matrix, atol=1e-5)


def test_a_small_penalty_nears_the_interpolant():
    table, _, _ = completion(7, (12, 10), n=70)
    limit = min_nuclear_norm(table, tol=1e-9)
    solution, size = None, np.linalg.norm(limit.matrix, 2)
    errors, iterations = [], []
    for penalty in size * np.logspace(-1, -6, 6):
        cold = min_nuclear_norm(table, penalty=penalty, tol=1e-9)
        solution = min_nuclear_norm(
            table, penalty=penalty, tol=1e-9, warm_start=solution
        )
        assert_allclose(solution.matrix, cold.matrix, atol=1e-4 * size)
        errors.append(np.max(np.abs(solution.matrix - limit.matrix)) / size)
        iterations.append([solution.n_iter, cold.n_iter])
    assert np.all(np.diff(errors[:4]) < 0)
    assert errors[-1] < 1e-4
    warm, cold = np.sum(iterations, axis=0)
    assert warm < cold


def test_sparse_and_dense_tables_agree():
    table, seen, _ = completion(8)
    table[seen] += 0.5  # no zeros: those are stored on their own below
    table[0, np.flatnonzero(seen[0])[0]] = 0.0
    rows, cols = np.nonzero(seen)
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = coo_array(
        (table[seen][order], (rows[order], cols[order])), shape=table.shape
    )
    expected = min_nuclear_norm(table)
    for stored in (shuffled, shuffled.tocsr(), shuffled.tocsc()):
        assert_allclose(min_nuclear_norm(stored).matrix, expected.matrix, rtol=0)
        assert_allclose(min_frobenius_norm(stored), min_frobenius_norm(table), rtol=0)
    A = np.eye(table.size)[seen.ravel()]
    by_sensing = min_nuclear_norm(A, table[seen], table.shape)
    assert_allclose(by_sensing.matrix, expected.matrix, atol=1e-9)
    # Twice stored counts as the mean; a stored NaN is a hole.
    twice = coo_array(
        (
            np.concatenate([table[seen] - 1, table[seen] + 1, [np.nan]]),
            (np.r_[rows, rows, 0], np.r_[cols, cols, np.flatnonzero(~seen[0])[0]]),
        ),
        shape=table.shape,
    )
    assert_allclose(min_nuclear_norm(twice).matrix, expected.matrix, atol=1e-9)


def test_equivariance():
    table, _, _ = completion(9)
    expected = min_nuclear_norm(table, penalty=0.1).matrix
    for unit in (1e-40, 1e40):
        scaled = min_nuclear_norm(unit * table, penalty=0.1 * unit).matrix
        assert_allclose(scaled / unit, expected, atol=1e-9)
    assert_allclose(min_nuclear_norm(table.T, penalty=0.1).matrix.T, expected)
    A, y, shape = sensing(9)
    expected = min_nuclear_norm(A, y, shape).matrix
    scaled = min_nuclear_norm(1e3 * A, 1e-5 * y, shape).matrix
    assert_allclose(1e8 * scaled, expected, atol=1e-9)


def test_repeated_measurements_count_once_in_an_interpolant():
    A, y, shape = sensing(10)
    expected = min_nuclear_norm(A, y, shape, tol=1e-9)
    mix = np.random.default_rng(0).standard_normal((40, len(y)))
    repeated = min_nuclear_norm(mix @ A, mix @ y, shape, tol=1e-9)
    assert_allclose(repeated.matrix, expected.matrix, atol=1e-4)
    pulled = (repeated.dual @ mix @ A).reshape(shape)
    assert np.linalg.norm(pulled, 2) <= 1 + 1e-9
    assert_allclose(repeated.dual @ mix @ y, repeated.norm, rtol=1e-8)


def test_repeated_measurements_need_a_penalty_above_rounding():
    A, y, shape = sensing(10)
    A, y = np.vstack([A, A[:5]]), np.concatenate([y, y[:5]])
    with pytest.raises(LimitError, match="take a larger one, or zero"):
        min_nuclear_norm(A, y, shape, penalty=1e-20)


@pytest.mark.parametrize("find", [min_nuclear_norm, min_frobenius_norm])
def test_measurements_that_contradict_each_other(find):
    A, y, shape = sensing(11)
    A, y = np.vstack([A, A[:1]]), np.append(y, y[0] + 1e-3)
    with pytest.raises(ValueError, match="contradict"):
        find(A, y, shape)
    with pytest.raises(ValueError, match="contradict"):
        find(np.zeros((1, 4)), [1.0], (2, 2))


@pytest.mark.parametrize("n", [10, 48, 60])
@pytest.mark.parametrize("rank", [5, None])
def test_least_frobenius_norm_is_the_pseudoinverse(n, rank):
    A, y, shape = sensing(12, n=n)
    if rank:
        mix = np.random.default_rng(0).standard_normal((n, rank))
        A, y = mix @ A[:rank], mix @ y[:rank]
    expected = (np.linalg.pinv(A, rtol=1e-12) @ y).reshape(shape)
    assert_allclose(min_frobenius_norm(A, y, shape), expected, atol=1e-10)


def test_least_frobenius_norm_leaves_holes_at_zero():
    table, seen, _ = completion(13)
    assert_allclose(min_frobenius_norm(table), np.where(seen, table, 0), rtol=0)
    kept = csr_array(([0.0, 3.0], ([0, 1], [1, 0])), shape=(2, 2))
    assert_allclose(min_frobenius_norm(kept), [[0, 0], [3, 0]])


def test_all_zero_measurements():
    A = np.random.default_rng(0).standard_normal((3, 4))
    for solution in (
        min_nuclear_norm([[0, np.nan], [np.nan, 0]]),
        min_nuclear_norm(A, np.zeros(3), (2, 2)),
        min_nuclear_norm(0 * A, np.zeros(3), (2, 2)),
        min_nuclear_norm(A, np.zeros(3), (2, 2), penalty=1.0),
    ):
        assert not solution.matrix.any()
        assert solution.converged
    assert not min_frobenius_norm(A, np.zeros(3), (2, 2)).any()


TABLE = [[1.0, np.nan], [2.0, 1.0]]


@pytest.mark.parametrize("find", [min_nuclear_norm, min_frobenius_norm])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measurements": [[np.nan, np.nan]]}, "every place is a hole"),
        ({"measurements": np.zeros((0, 3))}, "every place is a hole"),
        ({"measurements": csr_array((2, 2))}, "every place is a hole"),
        ({"measurements": [1.0, 2.0]}, "must be 2-D"),
        ({"measurements": [[1.0, np.inf]]}, "NaN or infinity"),
        ({"measurements": [["a", "b"]]}, "table of numbers"),
        ({"measurements": [[1j]]}, "complex"),
        ({"shape": (2, 2)}, "shape goes with y"),
        ({"y": [1.0, 2.0]}, "shape must be two integers"),
        ({"y": [1.0, 2.0], "shape": (2, 1.0)}, "shape must be two integers"),
        ({"y": [1.0, 2.0], "shape": (-2, -1)}, "shape must be positive"),
        ({"measurements": np.ones((2, 3)), "y": [1, 2], "shape": (1, 2)}, "3 columns"),
        ({"measurements": np.ones((2, 2)), "y": [1], "shape": (1, 2)}, "2 rows but"),
        ({"measurements": np.ones((0, 2)), "y": [], "shape": (1, 2)}, "at least one"),
        ({"y": [1.0, 2.0], "shape": (1, 2)}, "NaN"),
        ({"measurements": csr_array(np.eye(2)), "y": [1, 2], "shape": (1, 2)}, "spars"),
    ],
)
def test_bad_measurements(find, arguments, message):
    with pytest.raises(ValueError, match=message):
        find(**{"measurements": TABLE, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"penalty": -1.0}, "not be negative"),
        ({"penalty": np.nan}, "penalty contains NaN"),
        ({"tol": 0.0}, "tol must be positive"),
        ({"max_iter": 0}, "max_iter must be a positive integer"),
        ({"max_iter": 10.0}, "max_iter must be a positive integer"),
        ({"warm_start": TABLE}, "must be a result"),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        min_nuclear_norm(TABLE, **arguments)


def test_a_warm_start_of_another_problem_is_refused():
    other = min_nuclear_norm([[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"warm_start is for 2 measurements"):
        min_nuclear_norm(TABLE, warm_start=other)
