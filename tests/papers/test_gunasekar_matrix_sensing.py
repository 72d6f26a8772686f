"""Gunasekar et al., "Implicit Regularization in Matrix Factorization" (2017).

Gradient flow on ``M = U @ U.T`` from ``U = alpha * I``, under linear measurements of a
positive semidefinite 12 x 12 matrix of rank 2. The reference values come from an
independent implementation of the flow, run on the same data.
"""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import linprog, minimize

from skregimes import MatrixSensingRegressor

SIZE, RANK = 12, 2
ALPHAS = (1.0, 1e-1, 1e-2)
# Excess of the trace over the least one, for each of ALPHAS; 40 measurements.
EXCESS = {0: (0.416, 0.018, 0.0018), 1: (0.621, 0.050, 0.011)}


def draw(n_samples, seed):
    random = np.random.default_rng(seed)
    factor = random.standard_normal((SIZE, RANK))
    A = random.standard_normal((n_samples, SIZE, SIZE))
    X = ((A + A.transpose(0, 2, 1)) / 2).reshape(n_samples, -1)
    truth = factor @ factor.T
    return X, X @ truth.ravel(), truth


def fit(X, y, alpha, **options):
    # From equal multiples of the identity W_2 = W_1.T = U at all times.
    size = int(np.sqrt(X.shape[1]))
    return MatrixSensingRegressor(
        (size, size),
        init="identity",
        init_scale=alpha,
        units="paper",
        fit_intercept=False,
        early_stopping=False,
        **options,
    ).fit(X, y)


def least_trace(X, y):
    """Return the positive semidefinite matrix of least trace, by an interior point."""
    cp = pytest.importorskip("cvxpy")
    M = cp.Variable((SIZE, SIZE), PSD=True)
    problem = cp.Problem(cp.Minimize(cp.trace(M)), [X @ cp.vec(M, order="C") == y])
    problem.solve(solver="CLARABEL")
    return M.value


@pytest.mark.filterwarnings("ignore:At init_scale=1 the product of the start")
@pytest.mark.parametrize("seed", EXCESS)
def test_trace_falls_to_the_least_with_the_scale(seed):
    X, y, truth = draw(40, seed)
    least = least_trace(X, y)
    np.testing.assert_allclose(least, truth, atol=1e-5)
    models = [fit(X, y, alpha, tol=1e-10) for alpha in (*ALPHAS, 1e-3)]
    for model in models:
        assert np.max(np.abs(model.coef_matrix_ - model.coef_matrix_.T)) < 1e-12
        assert np.linalg.eigvalsh(model.coef_matrix_)[0] > -1e-12
    excess = [np.trace(model.coef_matrix_) / np.trace(least) - 1 for model in models]
    np.testing.assert_allclose(excess[:3], EXCESS[seed], rtol=0.05)
    assert 0 < excess[3] < 0.2 * excess[2]


def test_flow_is_that_of_the_square():
    X, y, _ = draw(40, 0)
    model = fit(X, y, 0.1, rtol=1e-5, max_time=0.05)

    def slope(_, u):
        U = u.reshape(SIZE, SIZE)
        rest = X @ (U @ U.T).ravel() - y
        return -((rest @ X).reshape(SIZE, SIZE) @ U).ravel()

    flow = solve_ivp(
        slope, (0, 0.05), 0.1 * np.eye(SIZE).ravel(), "LSODA", rtol=1e-9, atol=1e-12
    )
    U = flow.y[:, -1].reshape(SIZE, SIZE)
    assert model.time_ == 0.05
    distance = np.linalg.norm(model.coef_matrix_ - U @ U.T) / np.linalg.norm(U @ U.T)
    assert distance < 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_with_too_few_measurements_the_trace_is_not_least(seed):
    # Li, Luo and Lyu (2021): the flow prefers a low rank, and not the least trace.
    X, y, truth = draw(25, seed)
    least = least_trace(X, y)
    assert np.linalg.norm(least - truth) > 0.1 * np.linalg.norm(truth)
    models = [fit(X, y, alpha, tol=1e-10) for alpha in (0.1, 1e-2, 1e-3)]
    ranks = [model.effective_rank_ for model in models]
    assert np.all(np.diff(ranks) < 0)
    excess = [np.trace(model.coef_matrix_) / np.trace(least) - 1 for model in models]
    assert 0.015 < excess[-1] < 0.06
    assert excess[-1] > 0.9 * excess[1]


def commuting(seed):
    """Return four measurements with the same singular vectors, and their spectra."""
    random = np.random.default_rng(seed)
    P = np.linalg.qr(random.standard_normal((8, 8)))[0]
    spectra = random.standard_normal((4, 8))
    truth = np.zeros(8)
    truth[:2] = 1, 3
    X = np.einsum("ij,nj,kj->nik", P, spectra, P).reshape(4, -1)
    return X, spectra, spectra @ truth, P


@pytest.mark.parametrize("alpha", [0.5, 0.1, 1e-3])
def test_commuting_measurements_minimise_an_entropy(alpha):
    # m = alpha**2 * exp(2 s): the least sum of m log(m / alpha**2) - m, whose dual is
    # smooth and concave.
    X, spectra, y, P = commuting(0)
    dual = minimize(
        lambda nu: alpha**2 * np.exp(spectra.T @ nu).sum() - nu @ y,
        np.zeros(len(y)),
        jac=lambda nu: alpha**2 * spectra @ np.exp(spectra.T @ nu) - y,
        method="BFGS",
        options={"gtol": 1e-8},
    )
    spectrum = alpha**2 * np.exp(spectra.T @ dual.x)
    model = fit(X, y, alpha, tol=1e-14, rtol=1e-5)
    np.testing.assert_allclose(
        model.coef_matrix_, (P * spectrum) @ P.T, atol=3e-5 * spectrum.max()
    )


def test_commuting_measurements_have_least_trace_in_the_limit():
    # Theorem 1 of the paper.
    X, spectra, y, P = commuting(0)
    least = linprog(np.ones(8), A_eq=spectra, b_eq=y).x
    found = [fit(X, y, alpha, tol=1e-14).coef_matrix_ for alpha in (0.5, 0.1, 1e-4)]
    excess = [np.trace(matrix) / least.sum() - 1 for matrix in found]
    assert excess[0] > excess[1] > 0.01
    assert abs(excess[2]) < 1e-6
    np.testing.assert_allclose(found[-1], (P * least) @ P.T, atol=1e-5)
