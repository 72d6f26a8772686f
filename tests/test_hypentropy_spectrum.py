"""The learned spectrum of commuting measurements against factor flows."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, linprog

from skregimes.limits import min_hypentropy_spectrum, min_l2_norm, q_norm

D, N = 5, 2


def problem(seed):
    """Return spectra of measurements, targets, and the two orthonormal bases."""
    rng = np.random.default_rng(seed)
    bases = [np.linalg.qr(rng.standard_normal((D, D)))[0] for _ in range(2)]
    return rng.standard_normal((N, D)), rng.standard_normal(N), *bases


def two_layer_limit(A, y, P, Q, U, V, time):
    """Follow the flow of both factors for the full measurement matrices."""
    measurements = np.einsum("im,nm,jm->nij", P, A, Q)

    def velocity(_, w):
        U, V = w.reshape(2, D, -1)
        residual = np.einsum("nij,ij->n", measurements, U @ V.T) - y
        G = np.einsum("n,nij->ij", residual, measurements)
        return -np.concatenate([(G @ V).ravel(), (G.T @ U).ravel()])

    start = np.concatenate([U.ravel(), V.ravel()])
    size = np.max(np.abs(start))
    flow = solve_ivp(
        velocity, (0, time), start, "DOP853", rtol=1e-13, atol=1e-15 * size
    )
    U, V = flow.y[:, -1].reshape(2, D, -1)
    return U @ V.T


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 30.0])
def test_limit_of_a_lifted_start(scale):
    A, y, P, Q = problem(0)
    zero, one = np.zeros((D, D)), np.sqrt(scale) * np.eye(D)
    start = np.hstack([one, zero]), np.hstack([zero, one])
    M = two_layer_limit(A, y, P, Q, *start, 40 / scale if scale > 1 else 80)
    spectrum = min_hypentropy_spectrum(A, y, scale)
    assert_allclose(P.T @ M @ Q, np.diag(spectrum), rtol=0, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-2, 2.0])
def test_a_one_sided_start_halves_the_scale(scale):
    A, y, P, Q = problem(1)
    y, start = 10 * y, np.sqrt(scale) * np.eye(D)
    M = two_layer_limit(A, y, P, Q, 0 * start, start, 80)
    spectrum = min_hypentropy_spectrum(A, y, scale / 2)
    assert_allclose(P.T @ M @ Q, np.diag(spectrum), rtol=0, atol=1e-10)
    assert np.max(np.abs(spectrum - min_hypentropy_spectrum(A, y, scale))) > 1e-3


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 0.1, 1.0, 1e6])
def test_stationarity_of_the_hypentropy(scale):
    A, y, _, _ = problem(2)
    m = min_hypentropy_spectrum(A, y, scale)
    assert_allclose(A @ m, y, rtol=1e-10)
    # The gradient arcsinh(m / scale) lies in the row space of A.
    gradient = np.arcsinh(m / scale)
    dual = np.linalg.lstsq(A.T, gradient)[0]
    assert_allclose(A.T @ dual, gradient, rtol=1e-9)
    hypentropy = scale * (m / scale * gradient - np.sqrt(1 + (m / scale) ** 2) + 1)
    value = q_norm(m, np.sqrt(scale / 2))
    assert_allclose(value, hypentropy.sum(), rtol=1e-8 if scale < 1e3 else 1e-2)
    # No other interpolant has less.
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = rng.standard_normal(D)
        step -= np.linalg.pinv(A) @ (A @ step)
        assert q_norm(m + 0.01 * step, np.sqrt(scale / 2)) > value


def test_both_ends():
    A, y, _, _ = problem(3)
    least = linprog(np.ones(2 * D), A_eq=np.hstack([A, -A]), b_eq=y).fun
    excess = [
        np.abs(min_hypentropy_spectrum(A, y, scale)).sum() / least - 1
        for scale in (1.0, 1e-2, 1e-6, 1e-60)
    ]
    assert np.all(np.diff(excess) < 1e-12)
    assert abs(excess[-1]) < 1e-10
    large = min_hypentropy_spectrum(A, y, 1e6)
    assert_allclose(large, min_l2_norm(A, y), rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-60, 1e-9, 0.3, 1e6])
def test_one_measurement_at_any_scale(scale):
    A, y, _, _ = problem(4)
    A, y = A[:1], y[:1]
    # arcsinh(m / scale) is a multiple of A, by a scalar equation.
    log_sinh = lambda x: np.where(x > 20, x - np.log(2), np.log(np.sinh(x)))
    size = np.abs(A[0])
    measured = lambda nu: np.sum(size * np.exp(log_sinh(size * nu) + np.log(scale)))
    nu = brentq(lambda nu: measured(nu) - abs(y[0]), 1e-12, 400 / size.max())
    expected = np.sign(A[0] * y[0]) * np.exp(log_sinh(size * nu) + np.log(scale))
    spectrum = min_hypentropy_spectrum(A, y, scale)
    assert_allclose(spectrum, expected, rtol=1e-9)


def test_law_of_one_eigenvalue():
    # <u, v> moves as c * sinh(2 s + s0) while the measurements are integrated to s.
    rng = np.random.default_rng(5)
    u, v = rng.standard_normal((2, 4))

    def velocity(_, w):
        u, v, _ = np.split(w, [4, 8])
        drive = 1.5 - u @ v
        return np.concatenate([drive * v, drive * u, [drive]])

    flow = solve_ivp(
        velocity,
        (0, 1),
        np.concatenate([u, v, [0.0]]),
        "DOP853",
        rtol=1e-13,
        atol=1e-14,
    )
    end, s = flow.y[:, -1], flow.y[-1, -1]
    both, product = u @ u + v @ v, u @ v
    c = np.sqrt(both**2 - 4 * product**2) / 2
    expected = c * np.sinh(2 * s + np.arctanh(2 * product / both))
    assert_allclose(end[:4] @ end[4:8], expected, rtol=1e-11)
    # From zero: the hypentropy of scale c, or half the squared norm of one side.
    flow = solve_ivp(
        velocity, (0, 60), np.r_[0, 0, 0, 0, v, 0], "DOP853", rtol=1e-13, atol=1e-14
    )
    s = flow.y[-1, -1]
    assert_allclose(v @ v / 2 * np.sinh(2 * s), 1.5, rtol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_diagonal_law_of_deeper_networks(depth):
    """A positive aligned start: the entropy at depth 2, a power potential beyond."""
    A, _, P, Q = problem(6)
    A = np.abs(A)
    y = A @ np.linspace(0.2, 1.0, D)
    alpha = 0.5
    measurements = np.einsum("im,nm,jm->nij", P, A, Q)
    middle = [np.eye(D)] * (depth - 1)
    ends = [Q, *middle, P]
    weights = [alpha * b @ a.T for a, b in pairwise(ends)]

    def product(weights):
        M = weights[0]
        for W in weights[1:]:
            M = W @ M
        return M

    def velocity(_, w):
        weights = list(w.reshape(depth, D, D))
        residual = np.einsum("nij,ij->n", measurements, product(weights)) - y
        G = np.einsum("n,nij->ij", residual, measurements)
        before = [np.eye(D)]
        for W in weights:
            before.append(W @ before[-1])
        after = [np.eye(D)]
        for W in weights[::-1]:
            after.append(after[-1] @ W)
        steps = [after[depth - 1 - j].T @ G @ before[j].T for j in range(depth)]
        return -np.concatenate([step.ravel() for step in steps])

    start = np.concatenate([W.ravel() for W in weights])
    flow = solve_ivp(velocity, (0, 100), start, "DOP853", rtol=1e-11, atol=1e-13)
    M = P.T @ product(list(flow.y[:, -1].reshape(depth, D, D))) @ Q
    m = np.diag(M)
    assert_allclose(M, np.diag(m), atol=1e-10)
    assert_allclose(A @ m, y, rtol=1e-9)
    if depth == 2:
        gradient = np.log(m / alpha**2)
    else:
        power = (2 - depth) / depth
        gradient = (alpha ** (2 - depth) - m**power) / (depth - 2)
    dual = np.linalg.lstsq(A.T, gradient)[0]
    assert_allclose(A.T @ dual, gradient, atol=1e-9)


def test_unattainable_and_several_targets():
    rng = np.random.default_rng(7)
    A = rng.standard_normal((6, 2)) @ rng.standard_normal((2, D))
    Y = rng.standard_normal((6, 3))
    spectra = min_hypentropy_spectrum(A, Y, 0.1)
    assert spectra.shape == (3, D)
    assert_allclose(A.T @ (A @ spectra.T - Y), 0, atol=1e-11)
    assert_allclose(spectra[1], min_hypentropy_spectrum(A, Y[:, 1], 0.1), rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0.0}, "scale must be positive"),
        ({"scale": np.inf}, "scale contains NaN or infinity"),
        ({"A": [[np.nan, 1.0]]}, "NaN"),
        ({"y": [1.0, 2.0]}, "1 rows but y has 2"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        min_hypentropy_spectrum(
            **{"A": [[1.0, 2.0]], "y": [1.0], "scale": 1.0} | change
        )
