"""The flow behind the matrix estimators, against other integrators and its limits."""

import itertools
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from matrix_reference import distance, multiply, pairs_of, reference_flow, table
from numpy.testing import assert_allclose
from sklearn.base import clone

from skregimes import (
    MatrixCompletionRegressor,
    MatrixFactorizer,
    MatrixSensingRegressor,
)
from skregimes.flows.descent import descent
from skregimes.limits import (
    end_to_end_flow,
    min_frobenius_norm,
    min_hypentropy_spectrum,
    min_nuclear_norm,
)
from skregimes.networks import measurements
from skregimes.networks.factors import compress, draw_factors, kernel_entries, product
from skregimes.networks.matrix import FactorizationProblem
from skregimes.networks.measurements import entries

INITS = ("spectral", "gaussian", "orthogonal", "identity", "lifted")
# The bare flow, to its end.
BARE = {"center": None, "early_stopping": False, "random_state": 0}


def fit(X, **options):
    return MatrixFactorizer(**{**BARE, **options}).fit(X)


def gradient_of(X):
    """Gradient of the loss in the matrix, for a table with holes."""
    seen, filled = ~np.isnan(X), np.nan_to_num(X)
    return lambda M: np.where(seen, M - filled, 0)


def sensing(n_samples=30, shape=(6, 5), rank=1, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((shape[0], rank)) @ rng.standard_normal(
        (rank, shape[1])
    )
    A = rng.standard_normal((n_samples, math.prod(shape)))
    return A, A @ truth.ravel(), truth


# -- the flow of the factors -----------------------------------------------------------


@pytest.mark.parametrize("rtol", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize(
    ("init", "depth"),
    [
        ("spectral", 2),
        ("gaussian", 2),
        ("lifted", 2),
        ("gaussian", 3),
        ("orthogonal", 3),
        ("identity", 4),
    ],
)
def test_the_flow_is_that_of_the_factors(init, depth, rtol):
    X, _ = table()
    model = fit(
        X, depth=depth, init=init, init_scale=1e-2, max_time=60.0, tol=0.0, rtol=rtol
    )
    assert model.time_ == pytest.approx(60.0)
    (expected,) = reference_flow(
        model.initial_factors_, gradient_of(X), model.time_ * model.time_unit_
    )
    # The error of second-order steps whose own error is rtol.
    allowed = rtol ** (2 / 3)
    for W, reference in zip(model.factors_, expected, strict=True):
        assert distance(W, reference) < allowed
    assert distance(model.complete(), multiply(expected)) < allowed


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
@pytest.mark.parametrize("init", ["spectral", "gaussian"])
def test_centred_flows_are_as_exact(init, scale):
    X, _ = table()
    model = fit(
        X, depth=3, init=init, init_scale=scale, centered=True, max_time=2.0, tol=0.0
    )
    start = multiply(model.initial_factors_)
    (expected,) = reference_flow(
        model.initial_factors_,
        lambda M: gradient_of(X)(M - start),
        model.time_ * model.time_unit_,
        rtol=1e-12,
    )
    assert distance(model.complete(), multiply(expected) - start) < 5e-3


@pytest.mark.parametrize("depth", [2, 3])
def test_on_the_way(depth):
    X, _ = table()
    model = fit(X, depth=depth, init_scale=0.1, max_time=20.0, rtol=1e-4)
    path = model.trajectory_
    chosen = np.linspace(1, len(path) - 1, 5).astype(int)
    expected = reference_flow(
        model.initial_factors_, gradient_of(X), path.time[chosen] * model.time_unit_
    )
    filled, seen = np.nan_to_num(X), ~np.isnan(X)
    for point, factors in zip(chosen, expected, strict=True):
        left, right = path.halves(point)
        M = multiply(factors)
        assert distance(left @ right.T, M) < 3e-3
        values = np.linalg.svd(M)[1]
        assert_allclose(path.singular_values[point], values, atol=3e-3 * values[0])
        loss = np.sum((M - filled)[seen] ** 2) / 2
        assert path.loss[point] == pytest.approx(loss, rel=0.01)
    assert np.all(np.diff(path.time) > 0)
    assert np.all(np.diff(path.loss) < 0)


def test_weight_decay_on_the_way():
    X, _ = table()
    model = fit(
        X, depth=3, units="paper", init_scale=0.5, weight_decay=0.7, max_time=1.3,
        rtol=1e-4,
    )  # fmt: skip
    (expected,) = reference_flow(
        model.initial_factors_, gradient_of(X), 1.3, weight_decay=0.7
    )
    assert distance(model.complete(), multiply(expected)) < 2e-3
    squares = sum(np.sum(W**2) for W in expected)
    loss = np.nansum((multiply(expected) - X) ** 2) / 2 + 0.7 * squares / 2
    assert model.loss_ == pytest.approx(loss, rel=2e-3)


def test_weights_on_the_way():
    X, _ = table()
    places, y = pairs_of(X)
    weight = np.random.default_rng(2).uniform(0.1, 4, len(y))
    model = MatrixCompletionRegressor(**BARE, init_scale=0.1, max_time=9.0, rtol=1e-4)
    model.fit(places, y, weight)
    spread = np.zeros(X.shape)
    spread[tuple(places.T)] = weight
    (expected,) = reference_flow(
        model.initial_factors_,
        lambda M: spread * (M - np.nan_to_num(X)),
        model.time_ * model.time_unit_,
    )
    assert distance(model.to_matrix(), multiply(expected)) < 2e-3
    residual = model.predict(places) - y
    assert model.loss_ == pytest.approx(weight @ residual**2 / 2, rel=1e-9)


def test_sensing_on_the_way():
    A, y, _ = sensing()
    weight = np.random.default_rng(2).uniform(0.1, 4, len(y))
    model = MatrixSensingRegressor(
        (6, 5), depth=3, init="gaussian", init_scale=0.1, max_time=9.0, rtol=1e-4,
        fit_intercept=False, early_stopping=False, random_state=0,
    ).fit(A, y, weight)  # fmt: skip
    (expected,) = reference_flow(
        model.initial_factors_,
        lambda M: ((weight * (A @ M.ravel() - y)) @ A).reshape(6, 5),
        model.time_ * model.time_unit_,
    )
    assert distance(model.coef_matrix_, multiply(expected)) < 2e-3
    assert model.loss_ == pytest.approx(weight @ (model.predict(A) - y) ** 2 / 2)


def test_an_intercept_moves_at_once():
    A, y, _ = sensing()
    weight = np.random.default_rng(2).uniform(0.1, 4, len(y))
    options = {"early_stopping": False, "max_time": 5.0, "init_scale": 0.1}
    model = MatrixSensingRegressor((6, 5), **options).fit(A, y + 100, weight)
    share = weight / weight.sum()
    bare = MatrixSensingRegressor((6, 5), **options, fit_intercept=False)
    bare.fit(A - share @ A, y - share @ y, weight)
    assert_allclose(model.coef_, bare.coef_, rtol=1e-8, atol=1e-10)
    expected = share @ (y + 100) - share @ A @ model.coef_
    assert model.intercept_ == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_balanced_starts_follow_the_end_to_end_flow(depth):
    X, _ = table((6, 5))
    model = fit(
        X, depth=depth, init="orthogonal", init_scale=0.05, max_time=20.0, rtol=1e-4
    )
    path = model.trajectory_
    points = [len(path) // 3, len(path) - 1]
    expected = end_to_end_flow(
        gradient_of(X),
        product(model.initial_factors_),
        depth,
        path.time[points] * model.time_unit_,
    )
    for point, M in zip(points, expected, strict=True):
        left, right = path.halves(point)
        assert distance(left @ right.T, M) < 3e-3


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("depth", [2, 3])
def test_what_the_flow_conserves(init, depth):
    X, _ = table()
    drift = []
    for rtol in (1e-3, 1e-5):
        model = fit(X, depth=depth, init=init, init_scale=0.3, centered=True, rtol=rtol)
        size = sum(np.sum(W**2) for W in model.factors_)
        ends = (model.initial_factors_, model.factors_)
        start, end = (
            [after.T @ after - before @ before.T for before, after in pairwise(F)]
            for F in ends
        )
        drift.append(
            max(np.linalg.norm(b - a) for a, b in zip(start, end, strict=True)) / size
        )
        largest = max(np.linalg.norm(D) for D in end) / size
        assert model.balancedness_ == pytest.approx(largest, rel=1e-6, abs=1e-12)
    assert drift[0] < 3e-3
    assert drift[1] < 2e-4


# -- units -----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("init", ["spectral", "gaussian", "lifted"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_units_convert(init, depth, weight_decay):
    X, _ = table()
    X = 7 * X
    options = {"init": init, "depth": depth}
    model = fit(X, init_scale=0.03, max_time=40.0, weight_decay=weight_decay, **options)
    pull = np.linalg.norm(np.nan_to_num(X), 2)
    unit = model.scale_unit_
    rms = np.sqrt(np.nanmean(X**2))
    assert unit == pytest.approx(rms * np.sqrt(X.size), rel=1e-12)
    same = fit(
        X,
        units="paper",
        init_scale=model.alpha_,
        max_time=40.0 * model.time_unit_,
        weight_decay=weight_decay * pull * unit ** (1 - 2 / depth),
        **options,
    )
    assert same.scale_ == pytest.approx(0.03, rel=1e-9)
    assert same.alpha_ == pytest.approx(model.alpha_, rel=1e-9)
    assert same.time_ == pytest.approx(40.0 * model.time_unit_, rel=1e-9)
    assert_allclose(same.complete(), model.complete(), rtol=1e-7, atol=1e-9)
    width = len(model.factors_[0])
    spread = math.sqrt(width) if init == "gaussian" else 1.0
    size = (model.alpha_ * spread) ** depth
    assert size == pytest.approx(0.03 * unit, rel=1e-9)


def test_one_time_unit_is_the_fastest_e_folding():
    X, _ = table()
    model = fit(X, init_scale=1e-12, max_time=2.0, rtol=1e-5)
    # One direction grows at the rate of the largest singular value, for each factor.
    growth = np.linalg.svd(np.nan_to_num(X))[1][0]
    assert 1 / model.time_unit_ == pytest.approx(2 * growth, rel=1e-4)
    left, right = model.trajectory_.halves(-1)
    found = np.linalg.svd(left @ right.T)[1][0]
    start = 1e-12 * model.scale_unit_
    assert found / start == pytest.approx(math.exp(2.0), rel=1e-3)


@pytest.mark.parametrize("init", ["spectral", "gaussian", "lifted"])
@pytest.mark.parametrize("depth", [2, 4])
def test_fits_are_homogeneous(init, depth):
    X, _ = table()
    options = {"init": init, "depth": depth, "init_scale": 1e-2, "max_time": 20.0}
    model = fit(X, **options)
    for factor in (1e-100, 1e-3, 1e6, 1e100):
        scaled = fit(factor * X, **options)
        assert_allclose(
            scaled.complete() / factor, model.complete(), rtol=1e-7, atol=1e-8
        )
        assert scaled.time_ == pytest.approx(model.time_)
        assert scaled.n_iter_ == model.n_iter_
        assert scaled.richness_ == pytest.approx(model.richness_)
        assert math.isfinite(scaled.loss_)


# -- limits ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3])
def test_in_the_kernel_limit_nothing_is_learned_of_the_holes(depth):
    X, _ = table((9, 8))
    errors = []
    for scale in (10.0, 1e3):
        model = fit(X, depth=depth, init="lifted", init_scale=scale, tol=1e-13)
        errors.append(distance(model.complete(), min_frobenius_norm(X)))
    # The product starts at zero: the first correction is of second order.
    assert 1e-5 < errors[0] < 1e-3
    assert errors[1] < 1e-6
    assert model.regime_ == "kernel"


@pytest.mark.parametrize("init", ["spectral", "identity"])
def test_centred_large_starts_have_the_same_limit(init):
    X, _ = table((9, 8))
    model = fit(X, init=init, init_scale=1e4, centered=True)
    assert distance(model.complete(), min_frobenius_norm(X)) < 1e-3
    assert model.regime_ == "kernel"


def test_the_kernel_limit_of_sensing():
    A, y, _ = sensing(20)
    model = MatrixSensingRegressor(
        (6, 5), init="lifted", init_scale=1e3, early_stopping=False, tol=1e-13,
        fit_intercept=False,
    ).fit(A, y)  # fmt: skip
    least = min_frobenius_norm(A, y, (6, 5))
    assert distance(model.coef_matrix_, least) < 3e-6
    assert distance(model.coef_, np.linalg.lstsq(A, y)[0]) < 3e-6


@pytest.mark.parametrize("scale", [1e-3, 1e-1, 10.0])
def test_commuting_measurements_end_at_least_hypentropy(scale):
    rng = np.random.default_rng(1)
    P, Q = (np.linalg.qr(rng.standard_normal((d, 5)))[0] for d in (5, 7))
    spectra = rng.standard_normal((3, 5))
    y = spectra @ np.array([2.0, 0, 0, -1, 0])
    A = np.einsum("ij,nj,kj->nik", P, spectra, Q).reshape(3, -1)
    model = MatrixSensingRegressor(
        (5, 7), init="lifted", init_scale=scale, early_stopping=False, rtol=1e-4,
        fit_intercept=False, tol=1e-14,
    ).fit(A, y)  # fmt: skip
    expected = min_hypentropy_spectrum(spectra, y, scale * model.scale_unit_)
    assert distance(P.T @ model.coef_matrix_ @ Q, np.diag(expected)) < 5e-4
    other = min_hypentropy_spectrum(spectra, y, 2 * scale * model.scale_unit_)
    if scale < 1:
        assert distance(other, expected) > 5e-3


@pytest.mark.parametrize("init", ["spectral", "gaussian"])
@pytest.mark.parametrize("weight_decay", [0.1, 0.9])
def test_weight_decay_ends_at_the_penalised_nuclear_norm(init, weight_decay):
    X, _ = table((9, 8), noise=0.3)
    model = fit(X, init=init, weight_decay=weight_decay)
    pull = np.linalg.norm(np.nan_to_num(X), 2)
    expected = min_nuclear_norm(X, penalty=weight_decay * pull, tol=1e-8).matrix
    gap = np.linalg.norm(model.complete() - expected)
    assert gap < 1e-4 * np.linalg.norm(np.nan_to_num(X))


def test_weight_decay_of_sensing():
    A, y, _ = sensing(25)
    y = y + np.random.default_rng(5).standard_normal(25)
    model = MatrixSensingRegressor(
        (6, 5), weight_decay=0.2, early_stopping=False, fit_intercept=False
    ).fit(A, y)
    penalty = 0.2 * np.linalg.norm((y @ A).reshape(6, 5), 2)
    expected = min_nuclear_norm(A, y, (6, 5), penalty=penalty, tol=1e-8).matrix
    assert distance(model.coef_matrix_, expected) < 1e-4


@pytest.mark.parametrize("weight_decay", [1.001, 1.5])
def test_a_weight_decay_of_one_leaves_nothing(weight_decay):
    X, _ = table()
    model = fit(X, weight_decay=weight_decay)
    assert np.max(np.abs(model.complete())) < 1e-4 * np.nanmax(np.abs(X))
    assert model.converged_
    assert np.max(np.abs(fit(X, weight_decay=0.98).complete())) > 1e-3


# -- width -----------------------------------------------------------------------------


def test_wide_gaussian_starts_tend_to_the_lifted_one():
    X, _ = table((9, 8))
    options = {"init_scale": 0.1, "tol": 1e-10}
    limit = fit(X, init="lifted", **options).complete()
    # What stays equal is alpha**2 times the width.
    gaps = [
        distance(
            fit(X, init="gaussian", n_components=width, **options).complete(), limit
        )
        for width in (10**3, 10**4, 10**5)
    ]
    for wide, wider in itertools.pairwise(gaps):
        assert wide / wider == pytest.approx(10**0.5, rel=0.5)
    assert gaps[-1] < 1e-2


def test_widths_beyond_the_sum_of_sides_cost_nothing():
    X, _ = table()
    model = fit(X, init="gaussian", n_components=400, init_scale=0.1, max_time=9.0)
    assert [W.shape for W in model.factors_] == [(14, 6), (8, 14)]
    assert model.alpha_ == pytest.approx(
        math.sqrt(0.1 * model.scale_unit_ / 400), rel=1e-12
    )
    deep = fit(X, n_components=50, depth=3, init_scale=0.1, max_time=1.0)
    assert [W.shape for W in deep.factors_] == [(50, 6), (50, 50), (8, 50)]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_compressed_factors_have_the_same_flow(weight_decay):
    X, _ = table()
    seen = np.nonzero(~np.isnan(X))
    wide = draw_factors("gaussian", X.shape, 60, 2, 0.1, random_state=0)
    ends = []
    for factors in (wide, compress(wide)):
        observed = entries(*seen, X.shape, like=torch.empty(0, dtype=torch.float64))
        problem = FactorizationProblem(
            observed, observed.lay_out(X[seen]), X.shape, len(factors[0]), 2,
            weight_decay,
        )  # fmt: skip
        result = descent(
            problem, problem.pack(factors), learning_rate=0.01, max_time=5.0
        )
        ends.append(multiply(problem.unpack(result.theta)))
    assert [len(factors[0]) for factors in (wide, compress(wide))] == [60, 14]
    assert distance(ends[1], ends[0]) < 1e-12


@pytest.mark.parametrize("weighted", [False, True])
def test_both_roads_lead_to_the_same_fit(monkeypatch, weighted):
    X, _ = table((30, 20), observed=0.3, noise=0.3)
    pairs, y = pairs_of(X)
    weight = np.random.default_rng(0).uniform(0.2, 3, len(y)) if weighted else None
    model = MatrixCompletionRegressor(depth=3, init_scale=1e-2, random_state=0)
    dense = clone(model).fit(pairs, y, weight)
    monkeypatch.setattr(measurements, "_SMALL", 0)
    monkeypatch.setattr(measurements, "_DENSE_FROM", 1.0)
    for dtype in ("float64", "float32"):
        sparse = clone(model).set_params(dtype=dtype).fit(pairs, y, weight)
        assert type(sparse.factors_[0]) is np.ndarray
        gap = distance(sparse.to_matrix(), dense.to_matrix())
        assert gap < (1e-9 if dtype == "float64" else 0.02)


# -- gradient descent ------------------------------------------------------------------


def test_descent_tends_to_the_flow():
    X, _ = table()
    options = {"init_scale": 0.1, "max_time": 8.0, "tol": 0.0}
    model = fit(X, **options, rtol=1e-6)
    T = 8.0 * model.time_unit_
    (exact,) = reference_flow(model.initial_factors_, gradient_of(X), T)
    gaps = []
    for rate in (0.02, 0.01, 0.005):
        descended = fit(X, **options, solver="gd", learning_rate=rate)
        assert descended.solver_ == "gd"
        assert descended.n_iter_ == round(8.0 / rate)
        assert descended.time_ == pytest.approx(8.0)
        gaps.append(distance(descended.complete(), multiply(exact)))
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)
    assert gaps[1] / gaps[2] == pytest.approx(2, rel=0.1)
    assert gaps[2] < 0.01


def test_descent_is_a_hand_written_loop():
    X, _ = table()
    model = fit(
        X, solver="gd", units="paper", init_scale=0.3, learning_rate=0.02,
        max_time=0.2, init="gaussian",
    )  # fmt: skip
    W1, W2 = model.initial_factors_
    gradient = gradient_of(X)
    for _ in range(10):
        G = gradient(W2 @ W1)
        W1, W2 = W1 - 0.02 * W2.T @ G, W2 - 0.02 * G @ W1.T
    assert model.n_iter_ == 10
    assert_allclose(model.factors_[0], W1, rtol=1e-10, atol=1e-12)
    assert_allclose(model.factors_[1], W2, rtol=1e-10, atol=1e-12)


def test_a_default_step_of_descent_stays_close_to_the_flow():
    X, _ = table()
    options = {"init_scale": 0.1}
    assert (
        distance(
            fit(X, **options, solver="gd").complete(), fit(X, **options).complete()
        )
        < 0.02
    )


def test_huge_steps_diverge():
    X, _ = table()
    with pytest.raises(FloatingPointError, match="decrease learning_rate"):
        fit(X, init_scale=0.1, solver="gd", learning_rate=100.0)


# -- tangent kernels -------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("at", ["init", "end"])
def test_tangent_kernels_are_inner_products_of_derivatives(depth, at):
    X, _ = table((5, 4))
    options = {
        "depth": depth, "init": "gaussian", "n_components": 3, "init_scale": 0.3,
        "centered": True, "max_time": 9.0,
    }  # fmt: skip
    model = fit(X, **options)
    factors = model.initial_factors_ if at == "init" else model.factors_
    tensors = tuple(torch.from_numpy(W) for W in factors)
    jacobian = torch.func.jacrev(
        lambda factors: torch.linalg.multi_dot(factors[::-1]).reshape(-1)
    )(tensors)
    flat = torch.cat([part.reshape(20, -1) for part in jacobian], dim=1).numpy()
    kernel = flat @ flat.T
    everywhere = np.array([*np.ndindex(5, 4)])
    assert_allclose(model.tangent_kernel(everywhere, at=at), kernel, atol=1e-9)
    some = everywhere[[3, 7]]
    assert_allclose(
        model.tangent_kernel(some, everywhere, at=at), kernel[[3, 7]], atol=1e-9
    )
    places, y = pairs_of(X)
    pairs = MatrixCompletionRegressor(**BARE, **options).fit(places, y)
    assert_allclose(pairs.tangent_kernel(everywhere, at=at), kernel, atol=1e-9)
    A = np.random.default_rng(3).standard_normal((6, 20))
    sensed = MatrixSensingRegressor(
        (5, 4), depth=depth, early_stopping=False, max_time=9.0, fit_intercept=False
    ).fit(A, A @ np.ones(20))
    factors = sensed.initial_factors_ if at == "init" else sensed.factors_
    rows, cols = everywhere.T
    full = kernel_entries(factors, rows, cols)
    assert_allclose(
        sensed.tangent_kernel(A, at=at), A @ full @ A.T, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("depth", [2, 3])
def test_the_kernel_moved_as_reported(depth):
    X, _ = table((5, 4))
    model = fit(X, depth=depth, init="gaussian", init_scale=0.3, centered=True)
    everywhere = np.array([*np.ndindex(5, 4)])
    start, end = (model.tangent_kernel(everywhere, at=at) for at in ("init", "end"))
    change = np.linalg.norm(end - start) / np.linalg.norm(start)
    cosine = np.sum(start * end) / np.linalg.norm(start) / np.linalg.norm(end)
    assert model.kernel_change_ == pytest.approx(change, rel=1e-9)
    assert model.kernel_alignment_ == pytest.approx(cosine, rel=1e-9)
    assert model.kernel_angle_ == pytest.approx(math.acos(cosine), rel=1e-6)
    assert model.richness_ == pytest.approx(change / (1 + change), rel=1e-9)
    assert model.trajectory_.richness[-1] == model.richness_
    assert model.trajectory_.richness[0] < 1e-6
    flat = [
        np.concatenate([W.ravel() for W in factors])
        for factors in (model.initial_factors_, model.factors_)
    ]
    moved = np.linalg.norm(flat[1] - flat[0]) / np.linalg.norm(flat[0])
    assert model.weight_change_ == pytest.approx(moved, rel=1e-9)


def test_richness_falls_with_the_scale():
    X, _ = table()
    richness = [
        fit(X, init="lifted", init_scale=scale).richness_
        for scale in (1e-6, 1e-2, 1.0, 100.0)
    ]
    assert np.all(np.diff(richness) < 0)
    assert richness[0] > 0.99
    assert richness[-1] < 0.01
