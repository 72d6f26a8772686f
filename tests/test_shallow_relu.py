"""The shallow network behind scikit-learn's interface."""

import importlib.util
import itertools
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from relu_reference import reference_flow, reference_predict
from scipy.interpolate import CubicSpline, RBFInterpolator
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import skregimes.flows.shallow_relu as training
from skregimes import ShallowReLURegressor, _relu_network
from skregimes._activations import ACTIVATIONS
from skregimes.datasets import make_curve
from skregimes.diagnostics import kernel_alignment, kernel_change, kernel_richness
from skregimes.limits import curvature_spline

# Short flows of small networks, whose error is that of the step.
SHORT = {"n_hidden": 16, "early_stopping": False, "max_time": 20.0, "random_state": 0}


def curve(n_samples=9, noise=0.0):
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(-2, 5, n_samples))
    y = 3 * np.sin(1.3 * x) + x + noise * rng.standard_normal(n_samples) + 20
    return x[:, None], y


def plane(n_samples=14, n_targets=None):
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (n_samples, 2)) * [1.0, 4.0] + [3.0, -2.0]
    y = np.maximum(X[:, 0] - 3, 0) + np.cos(X[:, 1])
    if n_targets is not None:
        y = np.column_stack([y, *(X[:, 0] * X[:, 1] for _ in range(n_targets - 1))])
    return X, y


def net(scale=1.0, **options):
    return ShallowReLURegressor(scale, **{**SHORT, **options})


def close(actual, expected, rtol=1e-9):
    size = np.max(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * (size or 1))


def same_fit(one, two, X, rtol=1e-9):
    mean = np.mean(one.predict(X))
    close(two.predict(X) - mean, one.predict(X) - mean, rtol)
    assert two.time_ == pytest.approx(one.time_, rel=rtol)


# -- the flow of the paper, against an independent integrator --------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"skip_connection": False},
        {"fit_intercept": False},
        {"skip_connection": False, "fit_intercept": False, "activation": "abs"},
        {"activation": "leaky_relu"},
        {"solver": "krylov"},
        {"solver": "chebyshev"},
        {"solver": "gd"},
    ],
    ids=str,
)
def test_paper_units_are_those_of_the_weights(options):
    X, y = curve(7)
    y = y - 18
    rng = np.random.default_rng(0)
    units = rng.choice([-1.0, 1.0], (6, 1)), rng.uniform(-1, 4, 6)
    weight = np.linspace(0.5, 2, 7)
    alpha, time = 1.5, 0.6
    model = ShallowReLURegressor(
        alpha, n_hidden=6, units="paper", init=units, early_stopping=False, tol=0.0,
        max_time=time, rtol=1e-5, **options,
    ).fit(X, y, weight)  # fmt: skip
    assert model.time_ == pytest.approx(time)
    assert model.alpha_ == pytest.approx(alpha)
    start = alpha / math.sqrt(6) * np.column_stack(units)
    affine = {
        "sample_weight": weight,
        "skip_connection": options.get("skip_connection", True),
        "fit_intercept": options.get("fit_intercept", True),
        "slopes": ACTIVATIONS[options.get("activation", "relu")],
    }
    [(hidden, output)] = reference_flow(X, y, start, np.zeros(6), [time], **affine)
    grid = np.linspace(-3, 6, 50)[:, None]
    expected = reference_predict(grid, hidden, output, X, y, **affine)
    rtol = {"gd": 0.05, "chebyshev": 5e-3}.get(options.get("solver"), 2e-3)
    close(model.predict(grid), expected, rtol)
    close(model.coefs_[0], hidden[:, :1].T, rtol)
    close(model.coefs_[1][:, 0], output, rtol)
    close(model.intercepts_[0], -hidden[:, 1], rtol)
    assert np.max(np.abs(hidden - start)) > 0.02


def test_gradient_descent_is_a_hand_written_loop():
    X, y = plane()
    rate, n_steps = 0.03, 40
    model = net(
        1.3, units="paper", solver="gd", learning_rate=rate, max_time=rate * n_steps,
        skip_connection=False, fit_intercept=False, tol=0.0,
    ).fit(X, y)  # fmt: skip
    start = clone(model).set_params(max_time=1e-9, learning_rate=1e-9).fit(X, y)
    inputs, target = torch.as_tensor(X), torch.as_tensor(y)
    weights = [
        torch.tensor(array, requires_grad=True)
        for array in (start.coefs_[0], start.intercepts_[0], np.zeros(16))
    ]
    for _ in range(n_steps):
        hidden = torch.relu(inputs @ weights[0] + weights[1])
        loss = ((hidden @ weights[2] - target) ** 2).mean() / 2
        for part, step in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            part.data -= rate * step
    assert model.n_iter_ == n_steps
    close(model.coefs_[0], weights[0].detach().numpy(), 1e-6)
    close(model.coefs_[1][:, 0], weights[2].detach().numpy(), 1e-6)


def test_mini_batches_are_drawn_by_the_random_state():
    X, y = plane()
    options = {"solver": "gd", "batch_size": 4, "learning_rate": 0.1}
    fits = [net(random_state=seed, **options).fit(X, y) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0].predict(X), fits[1].predict(X))
    assert np.max(np.abs(fits[0].predict(X) - fits[2].predict(X))) > 1e-6
    full = net(solver="gd", learning_rate=0.1).fit(X, y)
    assert np.max(np.abs(fits[0].predict(X) - full.predict(X))) > 1e-6


# -- units -----------------------------------------------------------------------------


def test_relative_units_are_what_their_attributes_say():
    X, y = plane()
    relative = net(0.5).fit(X, y)
    assert relative.scale_ == pytest.approx(0.5)
    assert relative.alpha_**2 == pytest.approx(0.5 * relative.scale_unit_)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    Z /= np.max(np.linalg.norm(Z, axis=1))
    paper = net(
        relative.alpha_, units="paper", bias_scale=1.0,
        max_time=20.0 * relative.time_unit_,
    ).fit(Z, y - y.mean())  # fmt: skip
    close(paper.predict(Z) + y.mean(), relative.predict(X), 5e-3)
    for name in ("scale_", "scale_unit_", "time_unit_", "alpha_"):
        assert getattr(paper, name) == pytest.approx(getattr(relative, name))
    assert paper.time_ == pytest.approx(20 * paper.time_unit_)
    assert paper.richness_ == pytest.approx(relative.richness_, abs=0.01)


def test_time_is_in_units_of_the_fastest_mode():
    X, y = curve()
    model = net(30.0).fit(X, y)
    K = model.tangent_kernel(X, at="init")
    P = np.column_stack([X, np.ones(9)])
    M = np.eye(9) - P @ np.linalg.pinv(P)
    fastest = np.linalg.eigvalsh(M @ K @ M)[-1] / 9
    # At this scale the units' own growth hardly adds to it.
    assert 1 / model.time_unit_ == pytest.approx(fastest, rel=0.1)
    assert 1 / model.time_unit_ > fastest


@pytest.mark.parametrize("early_stopping", ["gcv", False])
@pytest.mark.parametrize("factor", [1e-150, -3.7, 1e150])
def test_fits_are_homogeneous(early_stopping, factor):
    X, y = curve(noise=0.3)
    options = {"early_stopping": early_stopping, "max_time": 20.0}
    one, other = net(**options).fit(X, y), net(**options).fit(X, factor * y)
    assert other.time_ == pytest.approx(one.time_)
    close(other.predict(X), factor * one.predict(X), 1e-4)
    assert other.richness_ == pytest.approx(one.richness_, abs=0.02)
    change = factor * one.total_variation_
    assert other.total_variation_ == pytest.approx(abs(change), rel=0.02)


@pytest.mark.parametrize("size", [1e-6, [1e6, 1e-3], 1e150])
def test_features_of_any_size(size):
    X, y = plane()
    shift = np.array([5.0, -2.0])
    one, other = net().fit(X, y), net().fit((X + shift) * size, y)
    close(other.predict((X + shift) * size), one.predict(X), 5e-3)
    assert other.richness_ == pytest.approx(one.richness_, abs=0.02)


# -- weights and shape of the function -------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"units": "paper", "max_time": 0.05},
        {"skip_connection": False, "activation": "abs"},
        {"fit_intercept": False, "balance": 1.0, "activation": "leaky_relu"},
        {"skip_connection": False, "fit_intercept": False, "init": "gaussian"},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_targets", [None, 2])
def test_the_weights_are_those_of_the_function(options, n_targets):
    X, y = plane(n_targets=n_targets)
    model = net(**options).fit(X, y)
    low, high = ACTIVATIONS[model.activation]
    Z = X @ model.coefs_[0] + model.intercepts_[0]
    values = np.where(Z > 0, high, low) * Z @ model.coefs_[1] + model.intercepts_[1]
    values = values + X @ np.atleast_2d(model.skip_coef_).T
    close(model.predict(X), values[:, 0] if n_targets is None else values)
    assert model.predict(X).shape == y.shape
    assert np.any(model.coefs_[1])
    assert np.any(model.skip_coef_) == options.get("skip_connection", True)
    assert model.skip_coef_.shape == ((2,) if n_targets is None else (2, 2))
    error = np.sum((y - model.predict(X)) ** 2) / len(X) / 2
    assert model.loss_ == pytest.approx(error)
    plain = net(**options).fit(X, y, np.full(len(X), 7.5))
    same_fit(model, plain, X, 1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_knots_are_where_the_function_bends(activation):
    X, y = curve()
    model = net(0.3, activation=activation, n_hidden=10).fit(X, y)
    at, change = model.knots_, model.slope_changes_
    assert np.all(np.diff(at) > 0)
    edges = np.r_[at[0] - 1, (at[1:] + at[:-1]) / 2, at[-1] + 1]
    left, right = np.r_[edges[0], at], np.r_[at, edges[-1]]
    width = (right - left) / 3
    rise = model.predict((right - width)[:, None]) - model.predict(
        (left + width)[:, None]
    )
    slopes = rise / (right - left - 2 * width)
    close(np.diff(slopes), change, 1e-6)
    assert model.total_variation_ == pytest.approx(np.sum(np.abs(change)))
    several = net(0.3, n_hidden=10).fit(X, np.column_stack([y, X]))
    assert several.slope_changes_.shape == (len(several.knots_), 2)
    assert several.total_variation_.shape == (2,)
    assert not hasattr(net().fit(*plane()), "knots_")


def test_knots_of_the_trajectory():
    X, y = curve()
    path = net(0.1).fit(X, y).trajectory_
    assert path.knots.shape == (len(path), 16)
    # Stratified: within the reach of the data, and on both sides.
    centre, reach = X.mean(), np.max(np.abs(X - X.mean()))
    assert np.all(np.abs(path.knots[0] - centre) <= reach * (1 + 1e-9))
    assert np.ptp(path.knots[0]) > 1.5 * reach
    with pytest.raises(AttributeError, match="one feature"):
        _ = net(max_time=1.0).fit(*plane()).trajectory_.knots
    assert "points, time 0 to 20" in repr(path)


# -- limits ----------------------------------------------------------------------------


def test_the_kernel_limit_is_the_natural_cubic_spline():
    X, y = curve()
    spline = CubicSpline(X[:, 0], y, bc_type="natural")
    grid = np.linspace(X[0, 0], X[-1, 0], 200)
    gaps = []
    for width in (200, 800):
        model = ShallowReLURegressor(
            3e4, n_hidden=width, early_stopping=False, tol=1e-16, random_state=0
        ).fit(X, y)
        assert model.regime_ == "kernel"
        gap = np.abs(model.predict(grid[:, None]) - spline(grid))
        gaps.append(np.max(gap) / np.std(y))
    assert gaps[0] < 5e-2
    assert gaps[1] < 1e-2


def test_the_kernel_limit_in_the_plane_is_polyharmonic():
    X, y = plane(20)
    model = ShallowReLURegressor(
        1e4, n_hidden=2000, early_stopping=False, tol=1e-14, random_state=0
    ).fit(X, y)
    seen = lambda A: (A - X.mean(axis=0)) / X.std(axis=0)
    spline = RBFInterpolator(seen(X), y, kernel="cubic", degree=1)
    inside = 0.7 * X + 0.3 * X.mean(axis=0)
    gap = np.max(np.abs(model.predict(inside) - spline(seen(inside))))
    assert gap < 0.1 * np.std(y)


@pytest.mark.parametrize("init", ["stratified", "gaussian", "uniform_pair"])
def test_the_curvature_penalty_is_what_the_kernel_regime_charges(init):
    X, y = curve()
    model = ShallowReLURegressor(
        3e3, n_hidden=4000, init=init, early_stopping=False, tol=1e-12, random_state=0,
        bias_scale=1.3,
    ).fit(X, y)  # fmt: skip
    spline = curvature_spline(X[:, 0], y, lambda x: 1 / model.curvature_penalty(x))
    grid = np.linspace(X[0, 0], X[-1, 0], 100)
    gap = np.max(np.abs(model.predict(grid[:, None]) - spline(grid)))
    assert gap < 0.04 * np.std(y)
    # It falls with the square of the scale.
    other = net(3e4, init=init, max_time=1.0, bias_scale=1.3).fit(X, y)
    charges = [
        fit.alpha_**2 * fit.curvature_penalty([0.3, 1.0]) for fit in (model, other)
    ]
    close(*charges)


def test_the_size_of_the_curvature_penalty():
    X, y = curve(7)
    time = 1e-3
    model = ShallowReLURegressor(
        1e3, units="paper", n_hidden=4000, bias_scale=6.0, early_stopping=False,
        max_time=time, random_state=0,
    ).fit(X, y)  # fmt: skip
    penalty = model.curvature_penalty(np.array([0.0, 7.0]))
    np.testing.assert_allclose(penalty, [2 * 6.0 / 1e6, np.inf])


def test_who_has_no_curvature_penalty():
    X, y = plane()
    with pytest.raises(AttributeError, match="one feature"):
        net(max_time=1.0).fit(X, y).curvature_penalty([0.0])
    units = np.ones((2, 1)), np.array([0.0, 0.5])
    model = net(n_hidden=2, init=units, max_time=1.0).fit(*curve())
    with pytest.raises(AttributeError, match="one of the laws"):
        model.curvature_penalty([0.0])


def test_richness_goes_from_kernel_to_rich():
    X, y = curve()
    fits = [net(scale, max_time=300.0).fit(X, y) for scale in (100.0, 1.0, 1e-2)]
    assert np.all(np.diff([fit.richness_ for fit in fits]) > 0)
    assert [fit.regime_ for fit in fits][::2] == ["kernel", "rich"]
    assert fits[0].linearization_gap_ < 0.05
    assert fits[2].linearization_gap_ > 0.1
    assert fits[0].pattern_change_ < fits[2].pattern_change_
    assert fits[0].weight_change_ < fits[2].weight_change_


# -- what is known of a fit ------------------------------------------------------------


@pytest.mark.parametrize("units", ["relative", "paper"])
def test_the_tangent_kernel_is_that_of_autograd(units):
    X, y = plane(8)
    y = 50 * y
    model = net(0.5, units=units, max_time=2.0 if units == "relative" else 1e-3)
    model.fit(X, y)
    start = clone(model).set_params(max_time=1e-9 * model.time_).fit(X, y)
    Z, undo = X, 1.0
    if units == "relative":
        Z = (X - X.mean(axis=0)) / X.std(axis=0)
        undo = X.std(axis=0) * np.max(np.linalg.norm(Z, axis=1))
        Z = Z / np.max(np.linalg.norm(Z, axis=1))
    kernels = []
    for fit in (start, model):
        hidden = torch.tensor(fit.coefs_[0].T * undo, requires_grad=True)
        offset = fit.intercepts_[0]
        if units == "relative":
            offset = offset + X.mean(axis=0) @ fit.coefs_[0]
        bias = torch.tensor(offset, requires_grad=True)
        output = torch.tensor(fit.coefs_[1][:, 0], requires_grad=True)
        rows = []
        for z in torch.as_tensor(Z):
            value = torch.relu(hidden @ z + bias) @ output
            gradient = torch.autograd.grad(value, [hidden, bias, output])
            rows.append(torch.cat([part.reshape(-1) for part in gradient]))
        J = torch.stack(rows)
        kernels.append((J @ J.T).numpy())
    close(model.tangent_kernel(X, at="init"), kernels[0], 1e-6)
    close(model.tangent_kernel(X), kernels[1])
    close(model.tangent_kernel(X[:3], X[2:]), kernels[1][:3, 2:])
    P = np.column_stack([X, np.ones(8)])
    M = np.eye(8) - P @ np.linalg.pinv(P)
    before, after = (M @ K @ M for K in kernels)
    assert model.richness_ == pytest.approx(kernel_richness(before, after), abs=1e-6)
    assert model.kernel_change_ == pytest.approx(kernel_change(before, after), rel=1e-5)
    assert model.kernel_alignment_ == pytest.approx(
        kernel_alignment(before, after), abs=1e-6
    )
    with pytest.raises(ValueError, match="at must be"):
        model.tangent_kernel(X, at="middle")


def test_tangent_kernels_of_several_targets():
    X, Y = plane(6, n_targets=2)
    model = net(balance=1.0, antisymmetric=False).fit(X, Y)
    K = model.tangent_kernel(X, X[:4])
    assert K.shape == (2, 2, 6, 4)
    full = model.tangent_kernel(X).transpose(0, 2, 1, 3).reshape(12, 12)
    close(full, full.T)
    assert np.linalg.eigvalsh(full)[0] > -1e-9 * np.linalg.norm(full)
    assert np.any(K[0, 1])


def test_the_changes_by_hand():
    X, y = plane()
    model = net(0.3).fit(X, y)
    path = model.trajectory_
    first, last = path.theta[0], path.theta[-1]
    moved = np.linalg.norm(last - first) / np.linalg.norm(first)
    assert model.weight_change_ == pytest.approx(moved)
    start = clone(model).set_params(max_time=1e-9).fit(X, y)
    active = [X @ m.coefs_[0] + m.intercepts_[0] > 0 for m in (start, model)]
    # On which side of a sample a kink is that sticks to it is a matter of rounding.
    expected = np.mean(active[0] != active[1])
    assert model.pattern_change_ == pytest.approx(expected, abs=0.02)
    assert model.pattern_change_ > 0


def test_the_linearization_gap_by_hand():
    X, y = curve()
    model = net(3.0, max_time=50.0).fit(X, y)
    K = model.tangent_kernel(X, at="init")
    P = np.column_stack([X, np.ones(9)])
    M = np.eye(9) - P @ np.linalg.pinv(P)
    rates, basis = np.linalg.eigh(M @ K @ M / 9)
    target = M @ y
    time = model.time_ * model.time_unit_
    linear = basis @ (-np.expm1(-rates.clip(0) * time) * (basis.T @ target))
    gap = np.linalg.norm(M @ model.predict(X) - linear) / np.linalg.norm(target)
    assert model.linearization_gap_ == pytest.approx(gap, rel=1e-5)
    assert gap > 1e-3


def test_the_trajectory():
    X, y = curve(noise=0.3)
    model = net(0.5).fit(X, y)
    path = model.trajectory_
    assert path.time[0] == 0
    assert path.time[-1] == model.time_
    assert np.all(np.diff(path.time) > 0)
    assert 10 < len(path) == len(path.theta) < 60
    assert path.richness[0] == 0
    assert path.richness[-1] == model.richness_
    assert path.loss[-1] == pytest.approx(model.loss_)
    stages = list(model.staged_predict(X))
    losses = [np.mean((y - stage) ** 2) / 2 for stage in stages]
    np.testing.assert_allclose(path.loss, losses, rtol=1e-6)
    # The affine part is there from the start.
    line = np.polynomial.Polynomial.fit(X[:, 0], y, 1)
    np.testing.assert_allclose(stages[0], line(X[:, 0]))
    np.testing.assert_array_equal(stages[-1], model.predict(X))
    k = len(path) // 2
    exact = list(model.staged_predict(X, path.time[[k, -1]]))
    close(exact[0], stages[k])
    close(exact[1], stages[-1])
    stopped = net(0.5, max_time=path.time[k]).fit(X, y)
    close(stopped.predict(X), stages[k], 2e-3)
    between = math.sqrt(path.time[k] * path.time[k + 1])
    (stage,) = model.staged_predict(X, [between])
    stopped = net(0.5, max_time=between).fit(X, y)
    close(stage, stopped.predict(X), 5e-3)
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="non-negative"):
            next(model.staged_predict(X, [bad]))


@pytest.mark.parametrize(("stopping", "count"), [(False, 1), (True, 2)])
def test_the_affine_part_is_solved_once_for_a_training_set(
    monkeypatch, stopping, count
):
    solved = []
    pinv = _relu_network.pinv
    watched = lambda A, **options: (solved.append(A.shape), pinv(A, **options))[1]
    monkeypatch.setattr(_relu_network, "pinv", watched)
    X, y = curve(20, noise=0.3)
    model = net(early_stopping=stopping).fit(X, y)
    assert len(list(model.staged_predict(X))) > 10
    assert solved == [(18, 2), (20, 2)][-count:]


def test_targets_share_the_hidden_layer():
    X, Y = plane(n_targets=2)
    model = net(100.0, rtol=1e-4).fit(X, Y)
    # Far in the kernel regime they do not see each other ...
    for j in range(2):
        one = net(model.alpha_, units="paper", bias_scale=1.0, rtol=1e-4)
        Z = (X - X.mean(axis=0)) / X.std(axis=0)
        Z /= np.max(np.linalg.norm(Z, axis=1))
        one.set_params(max_time=model.time_ * model.time_unit_)
        y = Y[:, j] - Y[:, j].mean()
        close(one.fit(Z, y).predict(Z), model.predict(X)[:, j] - Y[:, j].mean(), 0.02)
    # ... and a repeated target is one target.
    twice = net().fit(X, Y[:, [0, 0]])
    close(twice.predict(X)[:, 0], twice.predict(X)[:, 1])
    assert [stage.shape for stage in twice.staged_predict(X, [0.0, 1.0])] == [
        (14, 2),
        (14, 2),
    ]


# -- when the flow stops ---------------------------------------------------------------


def test_weights_are_repetitions():
    X, y = curve(noise=0.3)
    counts = np.array([1, 2, 0, 1, 3, 1, 1, 0, 2])
    options = {"max_time": 20.0, "n_hidden": 16, "random_state": 0}
    for early_stopping in ("gcv", False):
        model = ShallowReLURegressor(early_stopping=early_stopping, **options)
        weighted = clone(model).fit(X, y, counts)
        repeated = clone(model).fit(np.repeat(X, counts, 0), np.repeat(y, counts))
        same_fit(weighted, repeated, X, 1e-6)
        assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-6)


def test_different_targets_at_one_place():
    X, y = curve(noise=0.3)
    X, y = np.r_[X, X[:3]], np.r_[y, y[:3] + 2]
    model = net(30.0, max_time=None).fit(X, y)
    means = y[:9] + np.r_[1, 1, 1, np.zeros(6)]
    close(model.predict(X[:9]), means, 1e-2)
    assert model.loss_ == pytest.approx(3 / 12 / 2 * 2, rel=0.05)


def test_gcv_is_the_minimum_along_the_path():
    X, y = curve(30, noise=1.0)
    model = net(30.0, early_stopping="gcv", max_time=None, n_hidden=60).fit(X, y)
    assert model.solver_ == "exponential"
    residual = 2 * model.loss_ / (1 - model.df_ / 30) ** 2
    assert model.gcv_ == pytest.approx(residual, rel=1e-6)
    # In the kernel regime the degrees of freedom are those of a linear smoother.
    K = model.tangent_kernel(X, at="init")
    P = np.column_stack([X, np.ones(30)])
    M = np.eye(30) - P @ np.linalg.pinv(P)
    rates = np.linalg.eigvalsh(M @ K @ M / 30).clip(0)

    def df(time):
        return 2 - np.sum(np.expm1(-rates * time * model.time_unit_))

    assert model.df_ == pytest.approx(df(model.time_), rel=0.02)
    whole = net(30.0, max_time=1e3 * model.time_, n_hidden=60).fit(X, y)
    path = whole.trajectory_
    freedom = np.array([df(time) for time in path.time])
    scores = np.where(
        freedom < 0.7 * 30, 2 * path.loss / (1 - freedom / 30) ** 2, np.inf
    )
    best = path.time[np.argmin(scores)]
    assert abs(np.log10(model.time_ / best)) <= 1.01 / 12
    assert model.gcv_ == pytest.approx(np.min(scores), rel=0.01)
    auto = net(30.0, early_stopping="auto", max_time=None, n_hidden=60).fit(X, y)
    same_fit(auto, model, X)


def test_held_out_stopping_is_at_the_best_time_of_the_part():
    X, y = curve(30, noise=1.0)
    options = {"n_hidden": 30, "random_state": 1, "init_scale": 30.0}
    model = ShallowReLURegressor(early_stopping=True, **options).fit(X, y)
    assert not hasattr(model, "df_")
    assert 0 < model.time_ < 1e6
    until = ShallowReLURegressor(
        early_stopping=False, max_time=model.time_, **options
    ).fit(X, y)
    same_fit(until, model, X, 1e-6)
    # No point later of the patience counts.
    sooner = clone(model).set_params(n_iter_no_change=1).fit(X, y)
    assert sooner.time_ <= model.time_ * (1 + 1e-9)
    most = clone(model).set_params(validation_fraction=0.6).fit(X, y)
    assert most.time_ != model.time_
    bounded = clone(model).set_params(max_time=model.time_ / 5).fit(X, y)
    assert bounded.time_ <= model.time_ / 5 * (1 + 1e-9)


def test_the_flow_of_the_held_out_search_is_rougher(monkeypatch):
    asked = []
    follow = training.Training.follow

    def watched(self, *args, rtol, **options):
        asked.append((self.n_values, rtol))
        return follow(self, *args, rtol=rtol, **options)

    monkeypatch.setattr(training.Training, "follow", watched)
    net(early_stopping=True, rtol=1e-4).fit(*curve(20, noise=0.3))
    assert asked == [(18, pytest.approx(1e-3)), (20, 1e-4)]


def test_tol_and_max_iter_end_the_flow():
    X, y = curve()
    model = net(30.0, max_time=None, tol=1e-2).fit(X, y)
    assert model.converged_
    first = model.trajectory_.loss[0]
    assert model.loss_ <= 1.0001e-2 * first
    finer = net(30.0, max_time=None, tol=1e-4).fit(X, y)
    assert finer.time_ > model.time_
    with pytest.warns(ConvergenceWarning, match="increase max_iter"):
        model = net(0.01, max_iter=2).fit(X, y)
    assert not model.converged_
    assert model.n_iter_ == 2
    assert model.time_ < 20


def test_steps_are_as_accurate_as_rtol_asks():
    X, y = curve()
    exact = net(0.3, rtol=1e-6).fit(X, y)
    size = np.std(y)
    for rtol in (1e-2, 1e-4):
        model = net(0.3, rtol=rtol).fit(X, y)
        gap = np.sqrt(np.mean((model.predict(X) - exact.predict(X)) ** 2))
        assert gap < 5 * rtol * size
        assert model.n_iter_ <= exact.n_iter_


def test_many_samples_take_another_solver(monkeypatch):
    X, y = curve(noise=0.3)
    monkeypatch.setattr(training, "MAX_GRAM", 5)
    model = ShallowReLURegressor(30.0, n_hidden=16, random_state=0, max_time=20.0)
    model.fit(X, y)
    assert model.solver_ == "chebyshev"
    assert not hasattr(model, "df_")
    chosen = clone(model).set_params(solver="chebyshev").fit(X, y)
    same_fit(model, chosen, X)
    with pytest.raises(ValueError, match="too large"):
        clone(model).set_params(early_stopping="gcv").fit(X, y)
    with pytest.raises(AttributeError, match="too many"):
        _ = model.linearization_gap_
    full = clone(model).set_params(early_stopping=False, solver="exponential")
    fast = clone(full).set_params(solver="chebyshev").fit(X, y)
    close(fast.predict(X), full.fit(X, y).predict(X), 2e-3)


# -- warm starts -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_a_warm_start_goes_on(size):
    X, y = curve()
    y = size * y
    options = {"tol": 0.0, "rtol": 1e-4}
    straight = net(0.5, **options).fit(X, y)
    model = net(0.5, warm_start=True, max_time=6.0, **options).fit(X, y)
    half = net(0.5, max_time=6.0, **options).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), half.predict(X))
    model.set_params(max_time=14.0).fit(X, y)
    close(model.predict(X), straight.predict(X), 1e-3)
    assert model.richness_ == pytest.approx(straight.richness_, abs=0.01)
    close(next(model.staged_predict(X)), half.predict(X))
    assert model.time_ == pytest.approx(14.0)
    assert 0 < model.linearization_gap_ < straight.linearization_gap_


@pytest.mark.parametrize(
    "change",
    [
        {"n_hidden": 18}, {"init_scale": 0.4}, {"units": "paper"}, {"balance": 1.0},
        {"init": "uniform"}, {"skip_connection": False}, {"fit_intercept": False},
        {"activation": "abs"}, {"bias_scale": 2.0}, {"antisymmetric": False},
    ],
    ids=str,
)  # fmt: skip
def test_a_warm_start_refuses_another_network(change):
    X, y = curve()
    model = net(0.5, warm_start=True, max_time=1.0).fit(X, y)
    with pytest.raises(ValueError, match=f"{next(iter(change))} has changed"):
        model.set_params(**change).fit(X, y)


def test_a_warm_start_needs_the_same_shape():
    X, y = curve()
    model = net(warm_start=True, max_time=1.0).fit(X, y)
    with pytest.raises(ValueError, match="as many features and targets"):
        model.fit(*plane())
    with pytest.raises(ValueError, match="as many features and targets"):
        model.fit(X, np.column_stack([y, y]))
    model.set_params(warm_start=False).fit(*plane())


# -- initial laws ----------------------------------------------------------------------


@pytest.mark.parametrize("init", ["stratified", "uniform", "gaussian", "uniform_pair"])
def test_laws_of_the_start(init):
    X, y = plane()
    model = net(
        2.0, n_hidden=4000, init=init, units="paper", bias_scale=3.0, max_time=1e-9,
        fit_intercept=False,
    ).fit(X, y)  # fmt: skip
    weights = model.coefs_[0].T * math.sqrt(4000) / 2
    biases = -model.intercepts_[0] * math.sqrt(4000) / 2
    close(model.coefs_[1], 0.0 * model.coefs_[1], 1e-3)
    deviation = {"gaussian": 3.0}.get(init, 3 / math.sqrt(3))
    assert np.std(biases) == pytest.approx(deviation, rel=0.05)
    share = {"gaussian": 1.0, "uniform_pair": 1 / 3}.get(init, 0.5)
    np.testing.assert_allclose(np.mean(weights**2, axis=0), share, rtol=0.1)
    if init in ("stratified", "uniform"):
        np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1.0)
        assert np.max(np.abs(biases)) <= 3
        spread = np.diff(np.sort(biases))
        assert (np.max(spread) < 2.1 * 6 / 4000) == (init == "stratified")


def test_biases_reach_as_far_as_the_samples():
    X, y = plane()
    model = net(n_hidden=400, units="paper", max_time=1e-9, fit_intercept=False)
    model.fit(X, y)
    weights, bias = model.coefs_[0], model.intercepts_[0]
    reach = np.max(np.linalg.norm(X, axis=1))
    found = np.max(np.abs(bias) / np.linalg.norm(weights, axis=0))
    assert 0.98 * reach < found <= reach * (1 + 1e-9)


def test_balanced_starts():
    X, y = plane()
    model = net(balance=0.7, units="paper", max_time=1e-9, fit_intercept=False)
    model.fit(X, y)
    size = np.hypot(np.linalg.norm(model.coefs_[0], axis=0), model.intercepts_[0])
    output = model.coefs_[1][:, 0]
    np.testing.assert_allclose(np.abs(output), 0.7 * size, rtol=1e-5)
    np.testing.assert_allclose(output[:8], -output[8:], rtol=1e-5)
    np.testing.assert_allclose(model.coefs_[0][:, :8], model.coefs_[0][:, 8:])
    alone = net(balance=0.7, antisymmetric=False, max_time=1e-9).fit(X, y)
    assert len(np.unique(alone.coefs_[0][0].round(12))) == 16
    with pytest.raises(ValueError, match="odd; use an even number"):
        net(balance=1.0, n_hidden=15).fit(X, y)
    net(balance=1.0, n_hidden=15, antisymmetric=False, max_time=1e-3).fit(X, y)


def test_units_may_be_given():
    X, y = plane()
    rng = np.random.default_rng(0)
    weights, biases = rng.standard_normal((5, 2)), rng.standard_normal(5)
    model = net(n_hidden=5, init=(weights, biases), units="paper", max_time=1e-9)
    model.fit(X, y)
    close(model.coefs_[0].T, weights / math.sqrt(5), 1e-6)
    close(-model.intercepts_[0], biases / math.sqrt(5), 1e-6)
    for init, message in [
        ((weights,), "tuple of weights and biases"),
        ((weights[:4], biases), "of shape"),
        ((weights, biases[:4]), "of shape"),
        ((np.full((5, 2), np.nan), biases), "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.set_params(init=init).fit(X, y)
    model.set_params(init=(weights, biases), balance=1.0, antisymmetric=True)
    model.set_params(n_hidden=5, antisymmetric=False).fit(X, y)
    assert clone(model).fit(X, y).score(X, y) == model.score(X, y)


# -- the border to scikit-learn --------------------------------------------------------


def test_float32():
    X, y = plane()
    single = net().fit(X.astype(np.float32), y.astype(np.float32))
    assert single.predict(X.astype(np.float32)).dtype == np.float32
    assert next(single.staged_predict(X.astype(np.float32))).dtype == np.float32
    close(single.predict(X), net().fit(X, y).predict(X), 1e-3)


def test_everything_is_deterministic_and_parameters_stay():
    X, y = plane()
    model = net()
    before = model.get_params()
    one, two = clone(model).fit(X, y), model.fit(X, y)
    np.testing.assert_array_equal(one.predict(X), two.predict(X))
    assert model.get_params() == before
    other = net(random_state=1).fit(X, y)
    assert np.max(np.abs(other.predict(X) - one.predict(X))) > 1e-6
    with pytest.raises(NotFittedError):
        net().predict(X)


def test_pickles_know_nothing_of_torch():
    X, y = plane()
    model = net().fit(X, y)
    _ = model.linearization_gap_
    data = pickle.dumps(model)
    assert b"torch" not in data
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.tangent_kernel(X), model.tangent_kernel(X))
    np.testing.assert_array_equal(
        again.trajectory_.richness, model.trajectory_.richness
    )
    assert again.linearization_gap_ == model.linearization_gap_


@pytest.mark.skipif(not importlib.util.find_spec("skops"), reason="needs skops")
def test_skops():
    import skops.io

    X, y = curve()
    model = net().fit(X, y)
    data = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("skregimes.") for name in unknown)
    again = skops.io.loads(data, trusted=unknown)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_data_frames():
    X, y = plane()
    frame = pd.DataFrame(X, columns=["height", "width"])
    model = net().fit(frame, pd.Series(y))
    np.testing.assert_array_equal(model.feature_names_in_, ["height", "width"])
    np.testing.assert_array_equal(model.predict(frame), net().fit(X, y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["width", "height"]])


def test_the_html_display_computes_nothing():
    model = net().fit(*curve())
    assert "ShallowReLURegressor" in model._repr_html_()
    assert "linearization_gap_" not in vars(model)
    assert "richness" not in vars(model.trajectory_)


def test_a_refit_forgets():
    X, y = curve()
    model = net(early_stopping="gcv").fit(X, y)
    gap = model.linearization_gap_
    model.set_params(early_stopping=False, max_time=1.0).fit(*plane())
    assert not hasattr(model, "df_")
    assert not hasattr(model, "knots_")
    assert model.linearization_gap_ != gap


def test_what_a_fit_knows_does_not_change_with_its_parameters():
    X, y = curve()
    model, other = net().fit(X, y), net().fit(X, y)
    other.set_params(units="paper", activation="abs", skip_connection=False)
    other.set_params(init="gaussian")
    assert other.linearization_gap_ == model.linearization_gap_
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    np.testing.assert_array_equal(
        other.curvature_penalty([0.0]), model.curvature_penalty([0.0])
    )


# -- callbacks, printing, interrupts ---------------------------------------------------


def test_a_monitor_sees_the_score_rise():
    X, y = curve()
    monitor = ScoringMonitor(scoring="r2")
    model = net(10.0).set_callbacks(monitor).fit(X, y)
    scores = [
        row["r2"] for row in monitor.get_logs().data if row["task_name"] == "flow"
    ]
    assert len(scores) > 8
    assert np.all(np.diff(scores) > -1e-6)
    assert scores[-1] <= model.score(X, y) + 1e-9
    np.testing.assert_array_equal(net(10.0).fit(X, y).predict(X), model.predict(X))


def test_verbose_prints_a_line_a_decade(capsys):
    X, y = curve()
    net().fit(X, y)
    assert capsys.readouterr().out == ""
    net(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert 3 <= len(lines) <= 6
    assert all(line.startswith("[ShallowReLURegressor]") for line in lines)
    losses = [float(line.split()[-1]) for line in lines]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    ("solver", "early_stopping"),
    [
        ("exponential", "gcv"),
        *itertools.product(["exponential", "chebyshev", "gd"], [False, True]),
    ],
)
def test_an_interrupt_keeps_what_was_reached(monkeypatch, early_stopping, solver):
    X, y = curve()
    follow = training.Training.follow

    def interrupted(self, *args, on_node, **options):
        def tell(time, *rest):
            on_node(time, *rest)
            if time > 0:
                raise KeyboardInterrupt

        return follow(self, *args, on_node=tell, **options)

    monkeypatch.setattr(training.Training, "follow", interrupted)
    model = net(solver=solver, early_stopping=early_stopping)
    with pytest.raises(KeyboardInterrupt, match="stored"):
        model.fit(X, y)
    assert not model.converged_
    assert model.time_ < 20
    assert np.all(np.isfinite(model.predict(X)))
    if early_stopping is True:
        # Held-out samples had not chosen a time yet: only the affine part is there.
        assert model.time_ == 0


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_no_numbers(bad):
    X, y = plane()
    for k in range(3):
        data = [X.copy(), y.copy(), np.ones(14)]
        data[k].flat[0] = bad
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            net().fit(*data)


def test_shapes_that_do_not_fit():
    X, y = plane()
    with pytest.raises(ValueError, match="inconsistent"):
        net().fit(X, y[:-1])
    with pytest.raises(ValueError, match="2D array"):
        net().fit(y, y)
    with pytest.raises(ValueError, match="features"):
        net(max_time=1.0).fit(X, y).predict(X[:, :1])
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        net().fit(X, y, -np.ones(14))
    with pytest.raises(ValueError, match="zero"):
        net().fit(X, y, np.zeros(14))


SOLVERS = ["exponential", "krylov", "chebyshev", "gd"]


@pytest.mark.parametrize(
    ("solver", "early_stopping"),
    [("exponential", "gcv"), *((solver, False) for solver in SOLVERS)],
)
def test_one_sample(solver, early_stopping):
    model = net(solver=solver, early_stopping=early_stopping)
    model.fit([[1.0, 2.0]], [3.0])
    np.testing.assert_allclose(model.predict([[1.0, 2.0], [9.0, 9.0]]), 3.0)
    assert model.regime_ == "kernel"
    assert model.loss_ == pytest.approx(0, abs=1e-20)
    bare = net(
        solver=solver, fit_intercept=False, skip_connection=False, max_time=1e4
    ).fit([[1.0, 2.0]], [3.0])
    assert bare.predict([[1.0, 2.0]])[0] == pytest.approx(3.0, rel=1e-2)


def test_held_out_stopping_needs_samples():
    with pytest.raises(ValueError, match="none of the 1 samples"):
        net(early_stopping=True).fit([[1.0]], [3.0])


def test_the_affine_part_may_fit_everything():
    with pytest.warns(UserWarning, match="affine part fits all samples"):
        model = net().fit([[1.0], [2.0]], [3.0, 5.0])
    np.testing.assert_allclose(model.predict([[1.5], [4.0]]), [4.0, 9.0])
    assert model.richness_ == 0.0
    X, y = plane(3)
    with pytest.warns(UserWarning, match="affine part fits all samples"):
        net().fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = net(skip_connection=False, max_time=1e4).fit(X, y)
    assert model.score(X, y) > 0.8  # a straight line has 0.67


def test_a_linear_target_leaves_nothing_to_the_units():
    X, _ = plane()
    y = X @ [2.0, -0.3] + 7
    model = net().fit(X, y)
    assert model.n_iter_ == 0
    np.testing.assert_allclose(model.predict(X + 1), y + 1.7)
    np.testing.assert_allclose(model.skip_coef_, [2.0, -0.3])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("value", [0.0, -7.3, 1e200])
def test_targets_without_variation(solver, value):
    X, _ = plane()
    model = net(solver=solver).fit(X, np.full(14, value))
    np.testing.assert_allclose(model.predict(X), value)
    assert model.richness_ == 0.0
    assert model.kernel_change_ == 0.0
    assert model.loss_ == 0.0
    assert model.linearization_gap_ == 0.0
    assert model.converged_


def test_features_without_variation():
    X, y = plane()
    X = np.column_stack([X, np.full(14, 1e6 / 3)])
    model = net().fit(X, y)
    assert model.skip_coef_[2] == pytest.approx(0, abs=1e-9)
    assert model.score(X, y) > 0.5
    model = net().fit(np.ones((14, 3)), y)
    assert model.predict(np.ones((1, 3)))[0] == pytest.approx(y.mean())


@pytest.mark.parametrize("scale", [1e-8, 1e6])
@pytest.mark.parametrize("width", [1, 7])
def test_extreme_scales_and_widths(scale, width):
    X, y = curve()
    model = net(scale, n_hidden=width).fit(X, y)
    assert np.all(np.isfinite(model.predict(X)))
    assert 0 <= model.richness_ <= 1
    if scale == 1e6:
        assert model.regime_ == "kernel"
        assert model.richness_ < 1e-3


def test_descent_with_a_useless_step_says_so():
    X, y = curve()
    model = net(0.01, solver="gd", learning_rate=1e3, max_time=1e5)
    with pytest.raises(FloatingPointError, match="decrease learning_rate"):
        model.fit(X, y)
    assert np.all(np.isfinite(model.predict(X)))
    assert not model.converged_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.1}, "learning_rate is for solver='gd'"),
        ({"batch_size": 3}, "batch_size is for solver='gd'"),
        ({"solver": "gd", "early_stopping": "gcv"}, "degrees of freedom"),
        ({"warm_start": True, "early_stopping": "gcv"}, "earlier"),
        ({"device": "typewriter"}, "device='typewriter'"),
        ({"device": "mps"}, "device='mps'"),
        ({"device": "cuda:99"}, "device='cuda:99'"),
        ({"init_scale": 0.0}, "init_scale"),
        ({"init_scale": np.nan}, "init_scale"),
        ({"n_hidden": 0}, "n_hidden"),
        ({"units": "metric"}, "units"),
        ({"init": "he"}, "init"),
        ({"init": (np.ones((16, 1)), np.ones(16)), "bias_scale": 1.0}, "bias_scale is"),
        (
            {"init": (np.ones((16, 1)), np.ones(16)), "balance": 1.0},
            "draws its own pairs",
        ),
        ({"bias_scale": 0.0}, "bias_scale"),
        ({"balance": -1.0}, "balance"),
        ({"activation": "tanh"}, "activation"),
        ({"solver": "magic"}, "solver"),
        ({"early_stopping": "aic"}, "early_stopping"),
        ({"max_time": 0}, "max_time"),
        ({"tol": -1.0}, "tol"),
        ({"rtol": 0.0}, "rtol"),
        ({"max_iter": 0}, "max_iter"),
        ({"validation_fraction": 1.5}, "validation_fraction"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"skip_connection": "yes"}, "skip_connection"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        net().set_params(**options).fit(*curve())


@pytest.mark.parametrize("early_stopping", ["gcv", True])
def test_a_search_that_was_cut_off_says_so(early_stopping):
    X, y = make_curve("kinky", 40, noise=0.2, random_state=0)
    model = ShallowReLURegressor(
        n_hidden=30, early_stopping=early_stopping, max_iter=3, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(X, y)
    assert not model.converged_


@pytest.mark.parametrize("early_stopping", ["gcv", True, False])
def test_an_interruption_within_the_flow_is_not_swallowed(monkeypatch, early_stopping):
    from skregimes.flows import exponential

    take, calls = exponential._Step.take, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return take(*args)

    monkeypatch.setattr(exponential._Step, "take", interrupted)
    X, y = make_curve("kinky", 40, noise=0.2, random_state=0)
    model = ShallowReLURegressor(
        n_hidden=30, early_stopping=early_stopping, random_state=0
    )
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert np.all(np.isfinite(model.predict(X)))
    assert not model.converged_


@pytest.mark.parametrize("size", [1e-290, 1e300])
def test_scales_beyond_float64_are_refused(size):
    X, y = make_curve("kinky", 20, random_state=0)
    with pytest.raises(ValueError, match="beyond float64"):
        ShallowReLURegressor(size, n_hidden=10, units="paper").fit(X, y)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_held_out_samples_do_not_stop_the_flow_before_it_began(seed):
    X, y = make_curve("kinky", 50, noise=0.1, random_state=seed)
    model = ShallowReLURegressor(
        0.03, n_hidden=50, early_stopping=True, random_state=0
    ).fit(X, y)
    assert model.time_ > 0
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("early_stopping", ["gcv", True])
def test_patience_begins_when_the_units_have_left_a_small_start(early_stopping):
    X, y = make_curve("smooth", 50, noise=0.1, random_state=1)
    model = ShallowReLURegressor(
        1e-20, n_hidden=50, early_stopping=early_stopping, random_state=0
    ).fit(X, y)
    assert model.regime_ == "rich"
    assert model.score(X, y) > 0.8  # a straight line has 0.67
