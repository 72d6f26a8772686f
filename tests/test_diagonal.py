"""DiagonalNetRegressor, from the outside."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler

from skregimes import DiagonalNetRegressor
from skregimes.limits import min_l1_norm, min_l2_norm, min_q_norm, q_norm

DEPTHS = [1, 2, 3, 4]
each_depth = pytest.mark.parametrize("depth", DEPTHS)
ROADS = {
    "gcv": {},
    "held out": {"early_stopping": True, "validation_fraction": 0.3, "random_state": 0},
    "time": {"early_stopping": False, "max_time": 3.0},
    "limit": {"early_stopping": False},
}
each_road = pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)


def table(n_samples=12, n_features=20, n_targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features)) * np.geomspace(0.3, 5, n_features)
    X += rng.standard_normal(n_features)
    beta = np.zeros((n_features, n_targets or 1))
    beta[:3] = rng.standard_normal((3, n_targets or 1)) + 2
    Y = X @ beta + 0.3 * rng.standard_normal((n_samples, n_targets or 1)) + 4
    return X, (Y if n_targets else Y[:, 0])


def close(a, b, tol=1e-6):
    size = np.max(np.abs(b))
    np.testing.assert_allclose(a, b, rtol=0, atol=tol * size)


def weights_flow(X, y, depth, alpha, times, weight=None):
    """Coefficients at times of ``dw/dt = -grad L``, from the weights themselves."""
    weight = np.ones(len(y)) if weight is None else weight
    share, d = weight / weight.sum(), X.shape[1]

    def field(t, w):
        u, v = w.reshape(2, d)
        g = depth * X.T @ (share * (X @ (u**depth - v**depth) - y))
        return np.concatenate([-(u ** (depth - 1)) * g, v ** (depth - 1) * g])

    start = np.broadcast_to(alpha, (2, d)).ravel()
    solved = solve_ivp(
        field, (0, max(times)), start, "LSODA", t_eval=times, rtol=1e-10, atol=1e-12
    )
    assert solved.success
    u, v = solved.y.T.reshape(-1, 2, d).transpose(1, 0, 2)
    return u**depth - v**depth


# -- the flow, in the units of the papers ----------------------------------------------


@each_depth
@pytest.mark.parametrize("size", [1.0, 30.0])
def test_paper_units_are_those_of_the_weights(depth, size):
    X, y = table(6, 8)
    X, y = X / 3, size * (y - y.mean())
    weight = np.array([1.0, 2.0, 0.5, 1.0, 1.0, 3.0])
    shape = np.linspace(0.5, 1.5, 8)
    time = 2.0 if depth == 1 else 0.3 / size
    truth = weights_flow(X, y, depth, 0.7 * shape, [time / 2, time], weight)
    model = DiagonalNetRegressor(
        0.7, depth=depth, units="paper", fit_intercept=False, init_shape=shape,
        early_stopping=False, max_time=time, rtol=1e-8, tol=0.0,
    ).fit(X, y, weight)  # fmt: skip
    assert model.solver_ == "dual_mirror"
    assert model.time_ == pytest.approx(time)
    close(model.coef_, truth[1])
    close(model.trajectory_.at(time)[0][0], truth[1])
    close(model.trajectory_.at(time / 2)[0][0], truth[0], 1e-4)
    assert model.alpha_ == pytest.approx(0.7)
    residual = y - X @ truth[1]
    expected = np.average(residual**2, weights=weight) / 2
    assert model.loss_ == pytest.approx(expected, rel=1e-5)
    expected = q_norm(truth[1], 0.7, depth=depth, init_shape=shape)
    assert model.q_norm_ == pytest.approx(expected, rel=1e-5)


@each_depth
def test_the_limit_is_that_of_the_function(depth):
    X, y = table()
    y = 30 * (y - y.mean())
    weight = np.linspace(0.5, 2, 12)
    root, shape = np.sqrt(weight)[:, None], np.linspace(0.5, 1.5, 20)
    expected, dual = min_q_norm(
        root * X, root[:, 0] * y, 0.3, depth=depth, init_shape=shape, return_dual=True
    )
    model = DiagonalNetRegressor(
        0.3, depth=depth, units="paper", fit_intercept=False, init_shape=shape,
        early_stopping=False,
    ).fit(X, y, weight)  # fmt: skip
    assert (model.solver_, model.time_, model.n_iter_) == ("limit", np.inf, 1)
    close(model.coef_, expected)
    close(X.T @ model.dual_coef_, (root * X).T @ dual)


@each_depth
def test_relative_units_are_what_their_attributes_say(depth):
    X, y = table()
    y = 7 * y
    relative = DiagonalNetRegressor(
        0.3, depth=depth, early_stopping=False, max_time=2.0, rtol=1e-6
    ).fit(X, y)
    paper = DiagonalNetRegressor(
        relative.alpha_, depth=depth, units="paper", standardize=True,
        early_stopping=False, max_time=2.0 * relative.time_unit_, rtol=1e-6,
    ).fit(X, y)  # fmt: skip
    close(paper.coef_, relative.coef_)
    assert relative.scale_ == pytest.approx(0.3)
    assert paper.scale_ == pytest.approx(0.3)
    assert relative.alpha_**depth == pytest.approx(0.3 * relative.scale_unit_)
    assert relative.time_ == pytest.approx(2.0)
    assert paper.time_ == pytest.approx(2.0 * relative.time_unit_)


@each_depth
@each_road
def test_fits_are_homogeneous(depth, road):
    X, y = table()
    model = DiagonalNetRegressor(0.3, depth=depth, **road)
    once = clone(model).fit(X, y)
    for scale in (1e-200, 1e-3, 1e3, 1e200):
        scaled = clone(model).fit(X, scale * y)
        close(scaled.coef_ / scale, once.coef_)
        close(scaled.predict(X) / scale, once.predict(X))
        assert scaled.richness_ == pytest.approx(once.richness_, abs=1e-6)
        assert scaled.time_ == pytest.approx(once.time_)
    scaled = clone(model).fit(X * np.geomspace(1e-3, 1e3, 20), y)
    close(scaled.predict(X * np.geomspace(1e-3, 1e3, 20)), once.predict(X))


@pytest.mark.parametrize("size", [1e-60, 1e100])
def test_features_of_any_size(size):
    X, y = table()
    once = DiagonalNetRegressor().fit(X, y)
    scaled = DiagonalNetRegressor().fit(size * X, y)
    close(scaled.predict(size * X), once.predict(X))


# -- scikit-learn's usual promises -----------------------------------------------------


@each_depth
@each_road
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_coefficients_are_in_the_units_of_the_input(depth, road, fit_intercept):
    X, Y = table(n_targets=2)
    model = DiagonalNetRegressor(depth=depth, fit_intercept=fit_intercept, **road)
    model.fit(X, Y)
    assert model.coef_.shape == (2, 20)
    assert model.intercept_.shape == (2,)
    np.testing.assert_allclose(X @ model.coef_.T + model.intercept_, model.predict(X))
    if fit_intercept:
        np.testing.assert_allclose(model.predict(X).mean(0), Y.mean(0))
    else:
        np.testing.assert_array_equal(model.intercept_, 0.0)


@each_road
def test_several_targets_are_as_many_fits(road):
    X, Y = table(n_targets=3)
    Y = Y * [1.0, 100.0, 1e-3]
    model = DiagonalNetRegressor(0.05, **road)
    both = clone(model).fit(X, Y)
    names = [
        name
        for name, value in vars(both).items()
        if name.endswith("_") and isinstance(value, np.ndarray)
    ]
    assert {"coef_", "intercept_", "richness_", "loss_", "time_", "alpha_"} <= {*names}
    for j in range(3):
        one = clone(model).fit(X, Y[:, j])
        for name in names:
            a, b = getattr(both, name)[j], getattr(one, name)
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-10)
        assert both.regime_[j] == one.regime_
        close(both.excess_l1_[j], one.excess_l1_, 1e-5)
    column = clone(model).fit(X, Y[:, [0]])
    assert column.coef_.shape == (1, 20)
    assert column.predict(X).shape == (12, 1)


@each_road
def test_standardising_inside_is_standardising_outside(road):
    X, y = table()
    inside = DiagonalNetRegressor(**road).fit(X, y)
    explicit = DiagonalNetRegressor(standardize=True, **road).fit(X, y)
    np.testing.assert_array_equal(inside.coef_, explicit.coef_)
    scaler = StandardScaler().fit(X)
    outside = DiagonalNetRegressor(standardize=False, **road)
    outside.fit(scaler.transform(X), y)
    close(outside.predict(scaler.transform(X)), inside.predict(X))
    close(outside.coef_ / scaler.scale_, inside.coef_)
    raw = DiagonalNetRegressor(standardize=False, **road).fit(X, y)
    assert np.max(np.abs(raw.coef_ - inside.coef_)) > 1e-3


@pytest.mark.parametrize("name", ["gcv", "time", "limit"])
@each_depth
def test_weights_are_repetitions(name, depth):
    X, y = table(14)
    count = np.random.default_rng(0).integers(0, 4, 14)
    model = DiagonalNetRegressor(depth=depth, **ROADS[name])
    weighted = clone(model).fit(X, y, count)
    again = clone(model).fit(np.repeat(X, count, axis=0), np.repeat(y, count))
    close(weighted.coef_, again.coef_)
    close(weighted.intercept_, again.intercept_)
    for attribute in ("richness_", "loss_", "time_", "alpha_", "kernel_change_"):
        a, b = getattr(weighted, attribute), getattr(again, attribute)
        assert a == pytest.approx(b, rel=1e-5, abs=1e-12)


def test_only_ratios_of_weights_matter():
    X, y = table()
    weight = np.random.default_rng(0).uniform(0.5, 2, 12)
    one = DiagonalNetRegressor().fit(X, y, weight)
    for factor in (1e-12, 1e12):
        close(DiagonalNetRegressor().fit(X, y, factor * weight).coef_, one.coef_)
    part = np.arange(12) < 9
    zeroed = DiagonalNetRegressor().fit(X, y, np.where(part, 1.0, 0.0))
    close(zeroed.coef_, DiagonalNetRegressor().fit(X[part], y[part]).coef_)


@each_road
def test_constant_columns_get_nothing(road):
    X, y = table()
    fill = np.column_stack([X, np.zeros(12), np.full(12, 0.1), np.full(12, 1e9)])
    model = DiagonalNetRegressor(units="paper", init_scale=0.1, **road)
    if road.get("max_time"):
        model.set_params(max_time=0.05)
    without, filled = clone(model).fit(X, y), clone(model).fit(fill, y)
    np.testing.assert_array_equal(filled.coef_[-3:], 0.0)
    close(filled.coef_[:-3], without.coef_)


@each_depth
def test_duplicated_columns_share(depth):
    X, y = table()
    model = DiagonalNetRegressor(
        0.2, depth=depth, units="paper", early_stopping=False, max_time=0.05, rtol=1e-6
    )
    doubled = clone(model).fit(np.hstack([X, X]), y)
    close(doubled.coef_[:20], doubled.coef_[20:])


def test_float32():
    X, y = table()
    wide = DiagonalNetRegressor().fit(X, y)
    model = DiagonalNetRegressor().fit(X.astype(np.float32), y.astype(np.float32))
    assert model.coef_.dtype == np.float32
    assert model.predict(X.astype(np.float32)).dtype == np.float32
    close(model.predict(X.astype(np.float32)), wide.predict(X), 1e-3)


def test_everything_is_deterministic_and_parameters_stay():
    X, y = table()
    model = DiagonalNetRegressor(early_stopping=True, random_state=3)
    before = model.get_params()
    first = model.fit(X, y).coef_
    assert model.get_params() == before
    np.testing.assert_array_equal(clone(model).fit(X, y).coef_, first)
    other = clone(model).set_params(random_state=5).fit(X, y)
    assert other.time_ != model.time_


# -- roads to the same place -----------------------------------------------------------


@each_depth
@pytest.mark.parametrize("scale", [1e-3, 0.3, 30.0])
def test_the_flow_ends_at_the_limit(depth, scale):
    X, y = table()
    options = {"depth": depth, "early_stopping": False}
    flow = DiagonalNetRegressor(
        scale, solver="dual_mirror", tol=1e-16, rtol=1e-6, **options
    ).fit(X, y)
    limit = DiagonalNetRegressor(scale, solver="limit", **options).fit(X, y)
    auto = DiagonalNetRegressor(scale, **options).fit(X, y)
    close(flow.coef_, limit.coef_, 2e-5)
    np.testing.assert_array_equal(auto.coef_, limit.coef_)
    close(limit.predict(X), y)
    assert flow.richness_ == pytest.approx(limit.richness_, abs=1e-4)
    assert flow.converged_


@pytest.mark.parametrize("depth", [3, 4])
def test_the_sweeping_limit_meets_the_flow_between_its_jumps(depth):
    X, y = table()
    options = {"depth": depth, "early_stopping": False}
    scale = 1e-12 if depth == 3 else 1e-9
    swept = DiagonalNetRegressor(scale, solver="inverse_scale_space", **options)
    swept.fit(X, y)
    jumps = swept.trajectory_.time[1:]
    gaps = np.flatnonzero(jumps[1:] > 1.3 * jumps[:-1])[:3]
    assert len(gaps)
    for gap in gaps:
        time = np.sqrt(jumps[gap] * jumps[gap + 1])
        flow = DiagonalNetRegressor(
            scale, solver="dual_mirror", max_time=time, rtol=1e-3, **options
        ).fit(X, y)
        stop = clone(swept).set_params(max_time=time).fit(X, y)
        close(stop.coef_, swept.trajectory_.at(time)[0][0], 1e-9)
        close(flow.coef_, stop.coef_, 0.02)


@pytest.mark.parametrize("depth", [3, 4, 5])
@each_road
def test_scales_beyond_the_flow(depth, road):
    X, y = table()
    model = DiagonalNetRegressor(1e-60, depth=depth, **road).fit(X, y)
    assert model.alpha_ ** (depth - 2) < 1e-8
    assert model.solver_ == (
        "inverse_scale_space" if road != ROADS["limit"] else "limit"
    )
    assert np.all(np.isfinite(model.coef_))
    assert model.richness_ > 0.99 or not np.any(model.coef_)
    if road == ROADS["limit"]:
        scale = X.std(axis=0)
        least = min_l1_norm((X - X.mean(0)) / scale, y - y.mean())
        close(model.coef_ * scale, least, 1e-5)
    elif road == ROADS["gcv"]:
        assert model.score(X, y) > 0.5


@pytest.mark.parametrize("scale", [1e-60, 1e-12, 1e6, 1e12])
@pytest.mark.parametrize("depth", [1, 2])
@each_road
def test_extreme_scales(scale, depth, road):
    X, y = table()
    model = DiagonalNetRegressor(scale, depth=depth, **road).fit(X, y)
    assert np.all(np.isfinite(model.coef_))
    assert model.converged_
    assert 0 <= model.richness_ <= 1
    if road == ROADS["limit"] and scale > 1:
        size = X.std(axis=0)
        least = min_l2_norm((X - X.mean(0)) / size, y - y.mean())
        close(model.coef_ * size, least, 1e-5)


def test_gradient_descent_tends_to_the_flow_with_its_step():
    X, y = table(6, 8)
    options = {"init_scale": 0.5, "early_stopping": False, "max_time": 1.0}
    flow = DiagonalNetRegressor(rtol=1e-8, **options).fit(X, y)
    gaps = []
    for steps in (200, 400):
        rate = flow.time_unit_ / steps
        gd = DiagonalNetRegressor(solver="gd", learning_rate=rate, **options).fit(X, y)
        gaps.append(np.max(np.abs(gd.coef_ - flow.coef_)))
    assert gaps[1] < 0.02 * np.max(np.abs(flow.coef_))
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)


def test_gradient_descent_is_a_hand_written_loop():
    X, y = table(6, 8)
    X, y = X / 3, y - y.mean()
    weight = np.array([1.0, 2.0, 0.5, 1.0, 1.0, 3.0])
    share = weight / weight.sum()
    model = DiagonalNetRegressor(
        0.3, units="paper", fit_intercept=False, solver="gd", early_stopping=False,
        learning_rate=0.02, max_iter=10_000, max_time=2.0,
    ).fit(X, y, weight)  # fmt: skip
    u, v = np.full(8, 0.3), np.full(8, 0.3)
    for _ in range(model.n_iter_):
        g = X.T @ (share * (X @ (u**2 - v**2) - y))
        u, v = u * (1 - 0.04 * g), v * (1 + 0.04 * g)
    assert model.n_iter_ == pytest.approx(100, abs=1)
    close(model.coef_, u**2 - v**2, 1e-9)
    close(model.effective_init_scale_, np.sqrt(u * v), 1e-9)
    assert not hasattr(model, "dual_coef_")


@pytest.mark.filterwarnings("ignore:.*max_iter")
def test_mini_batches_are_drawn_by_the_random_state():
    X, y = table()
    model = DiagonalNetRegressor(
        solver="gd", early_stopping=False, learning_rate=1e-3, max_iter=30, tol=0.0
    )
    full = [clone(model).set_params(random_state=s).fit(X, y).coef_ for s in (0, 1)]
    np.testing.assert_array_equal(*full)
    model.set_params(batch_size=3)
    first, again, other = (
        clone(model).set_params(random_state=s).fit(X, y).coef_ for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.max(np.abs(first - other)) > 0
    with pytest.raises(ValueError, match="device"):
        model.set_params(device="cuda:99").fit(X, y)


def test_flows_beyond_float64_are_refused_not_guessed():
    X, y = table()
    model = DiagonalNetRegressor(
        1e-40, depth=4, solver="dual_mirror", early_stopping=False, max_iter=3000
    )
    with pytest.raises(FloatingPointError, match="solver='auto'"):
        model.fit(X, y)
    assert np.all(np.isfinite(model.predict(X)))
    assert not model.converged_


def test_targets_may_take_different_roads():
    # In the papers' units the same alpha is far from one target's size only.
    X, Y = table(n_targets=2)
    Y = (Y - Y.mean(axis=0)) * [1e14, 1e-1]
    options = {"init_scale": 1e-3, "depth": 3, "units": "paper", "standardize": True}
    both = DiagonalNetRegressor(**options).fit(X, Y)
    for j in range(2):
        one = DiagonalNetRegressor(**options).fit(X, Y[:, j])
        close(both.coef_[j], one.coef_)
        assert one.solver_ == ["inverse_scale_space", "dual_mirror"][j]


# -- stopping --------------------------------------------------------------------------


def test_gcv_is_the_minimum_along_the_path():
    X, y = table(20)
    y = y + np.random.default_rng(1).standard_normal(20)
    model = DiagonalNetRegressor(rtol=1e-6).fit(X, y)
    n = len(y)
    mse = np.mean((y - model.predict(X)) ** 2)
    assert model.gcv_ == pytest.approx(mse / (1 - (model.df_ + 1) / n) ** 2, rel=5e-3)
    # Degrees of freedom are the divergence of the fit at a fixed time, here by nudges
    # of y at the same raw scale and time.
    fixed = DiagonalNetRegressor(
        model.alpha_, units="paper", standardize=True, early_stopping=False,
        max_time=model.time_ * model.time_unit_, rtol=1e-7, tol=0.0,
    )  # fmt: skip
    nudges = 1e-3 * np.eye(n)
    up = clone(fixed).fit(X, y[:, None] + nudges).predict(X)
    down = clone(fixed).fit(X, y[:, None] - nudges).predict(X)
    df = np.trace(up - down) / 2e-3 - 1  # without the intercept's
    assert model.df_ == pytest.approx(df, rel=0.02)
    # No other time has a clearly better score.
    for factor in (0.5, 0.8, 1.25, 2.0):
        later = clone(fixed).set_params(max_time=factor * fixed.max_time).fit(X, y)
        near = DiagonalNetRegressor(rtol=1e-6, max_time=factor * model.time_).fit(X, y)
        assert near.gcv_ >= model.gcv_ * (1 - 1e-3)
        if factor < 1:
            assert np.mean((y - later.predict(X)) ** 2) > mse


def test_gcv_looks_no_further_than_max_time():
    X, y = table(30)
    free = DiagonalNetRegressor().fit(X, y)
    bound = DiagonalNetRegressor(max_time=free.time_ / 10).fit(X, y)
    assert bound.time_ <= free.time_ / 10 * (1 + 1e-12)


def test_held_out_stopping_is_at_the_best_time_of_the_part():
    X, y = table(40, 60)
    y = y + 2 * np.random.default_rng(1).standard_normal(40)
    options = {"standardize": False, "units": "paper", "init_scale": 0.05}
    model = DiagonalNetRegressor(
        early_stopping=True, validation_fraction=0.25, random_state=1, rtol=1e-6,
        **options,
    ).fit(X, y)  # fmt: skip
    train, held = train_test_split(np.arange(40), test_size=0.25, random_state=1)
    times = model.time_ * np.array([0.2, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0])
    errors = []
    for time in times:
        part = DiagonalNetRegressor(
            early_stopping=False, max_time=time, rtol=1e-6, **options
        ).fit(X[train], y[train])
        errors.append(np.mean((y[held] - part.predict(X[held])) ** 2))
    assert errors[3] <= min(errors) * (1 + 1e-3)
    whole = DiagonalNetRegressor(
        early_stopping=False, max_time=model.time_, rtol=1e-6, **options
    ).fit(X, y)
    close(whole.coef_, model.coef_)


def test_patience_is_counted_in_time():
    X, y = table(40, 60)
    y = np.random.default_rng(1).standard_normal(40)
    hasty, patient = (
        DiagonalNetRegressor(
            1e-4, early_stopping=True, validation_fraction=0.3, random_state=0,
            n_iter_no_change=n,
        ).fit(X, y)
        for n in (1, 60)
    )  # fmt: skip
    assert hasty.time_ <= patient.time_


def test_tol_and_max_iter_end_the_flow():
    X, y = table()
    options = {"early_stopping": False, "solver": "dual_mirror"}
    loose = DiagonalNetRegressor(tol=1e-2, **options).fit(X, y)
    tight = DiagonalNetRegressor(tol=1e-8, **options).fit(X, y)
    start = np.var(y) / 2
    assert tight.loss_ <= 1e-8 * start < loose.loss_ <= 1e-2 * start
    assert tight.time_ > loose.time_
    with pytest.warns(ConvergenceWarning, match="Increase max_iter"):
        short = DiagonalNetRegressor(max_iter=7, **options).fit(X, y)
    assert short.n_iter_ == 7
    assert not short.converged_
    finer = DiagonalNetRegressor(tol=1e-8, rtol=1e-8, **options).fit(X, y)
    assert finer.n_iter_ > tight.n_iter_


# -- warm starts -----------------------------------------------------------------------


@each_depth
@pytest.mark.parametrize("size", [1.0, 1e3])
def test_a_warm_start_goes_on(depth, size):
    X, y = table()
    y = size * y
    options = {
        "init_scale": 0.4, "depth": depth, "units": "paper", "early_stopping": False,
        "rtol": 1e-7, "tol": 0.0,
    }  # fmt: skip
    first, second = np.array([0.02, 0.05]) * size ** (2 / depth - 2)
    straight = DiagonalNetRegressor(max_time=second, **options).fit(X, y)
    model = DiagonalNetRegressor(max_time=first, warm_start=True, **options).fit(X, y)
    model.set_params(max_time=second - first).fit(X, y)
    close(model.coef_, straight.coef_, 1e-5)
    half = DiagonalNetRegressor(max_time=first, **options).fit(X, y)
    np.testing.assert_allclose(model.trajectory_.at(0.0)[0][0], half.coef_, rtol=1e-9)
    # New data, and on to its limit: the Bregman projection of where it was.
    model.set_params(max_time=None).fit(X, y)
    limit = DiagonalNetRegressor(**options).fit(X, y)
    close(model.coef_, limit.coef_, 1e-5)


def test_a_warm_start_needs_the_same_shape():
    X, y = table()
    model = DiagonalNetRegressor(warm_start=True, early_stopping=False).fit(X, y)
    with pytest.raises(ValueError, match="as many features and targets"):
        model.fit(X[:, :5], y)
    model.set_params(warm_start=False).fit(X[:, :15], y)


# -- what is known of a fit ------------------------------------------------------------


class Literal(torch.nn.Module):
    """The network itself, for one target."""

    def __init__(self, plus, minus, depth):
        super().__init__()
        self.plus = torch.nn.Parameter(torch.as_tensor(plus))
        self.minus = torch.nn.Parameter(torch.as_tensor(minus))
        self.depth = depth

    def forward(self, x):
        return x @ (self.plus**self.depth - self.minus**self.depth)


def literal_weights(coef, alpha, depth):
    """Weights on the flow's conserved curve, by bisection."""
    if depth == 1:
        return alpha + coef / 2, alpha - coef / 2
    low, high = np.full_like(coef, -30.0), np.full_like(coef, 30.0)
    p = depth - 2

    def pair(x):  # a parametrisation of the conserved curve by log(plus / minus)
        if depth == 2:
            return alpha * np.exp(x / 2), alpha * np.exp(-x / 2)
        minus = alpha * ((1 + np.exp(-p * x)) / 2) ** (1 / p)
        return minus * np.exp(x), minus

    for _ in range(200):
        mid = (low + high) / 2
        plus, minus = pair(mid)
        small = plus**depth - minus**depth < coef
        low, high = np.where(small, mid, low), np.where(small, high, mid)
    return pair(low)


@each_depth
@pytest.mark.parametrize("units", ["relative", "paper"])
def test_the_tangent_kernel_is_that_of_the_literal_network(depth, units):
    X, y = table(6, 8)
    y = 50 * y
    shape = np.linspace(0.5, 1.5, 8)
    model = DiagonalNetRegressor(
        0.5, depth=depth, units=units, init_shape=shape, early_stopping=False,
        max_time=0.5 if units == "relative" else 1e-4,
    ).fit(X, y)  # fmt: skip
    scale = X.std(axis=0) if units == "relative" else np.ones(8)
    Z = torch.as_tensor((X - X.mean(axis=0)) / scale)
    beta = model.coef_ * scale

    def kernel(coef, alpha):
        net = Literal(*literal_weights(coef, alpha, depth), depth)
        rows = []
        for z in Z:
            gradients = torch.autograd.grad(net(z), list(net.parameters()))
            rows.append(torch.cat(gradients))
        J = torch.stack(rows)
        return (J @ J.T).numpy()

    K0 = kernel(np.zeros(8), model.alpha_ * shape)
    K1 = kernel(beta, model.alpha_ * shape)
    close(model.tangent_kernel(X, at="init"), K0)
    close(model.tangent_kernel(X), K1)
    close(model.tangent_kernel(X[:2], X[1:]), K1[:2, 1:])
    change = np.linalg.norm(K1 - K0) / np.linalg.norm(K0)
    assert model.kernel_change_ == pytest.approx(change, rel=1e-5, abs=1e-9)
    cosine = np.sum(K0 * K1) / np.linalg.norm(K0) / np.linalg.norm(K1)
    assert model.kernel_alignment_ == pytest.approx(cosine, rel=1e-6)
    w0 = np.concatenate(literal_weights(np.zeros(8), model.alpha_ * shape, depth))
    w1 = np.concatenate(literal_weights(beta, model.alpha_ * shape, depth))
    moved = np.linalg.norm(w1 - w0) / np.linalg.norm(w0)
    assert model.weight_change_ == pytest.approx(moved, rel=1e-5)
    norm1, norm2 = np.sum(np.abs(beta)), np.sum(beta**2)
    assert model.effective_sparsity_ == pytest.approx(norm1**2 / norm2)
    with pytest.raises(ValueError, match="at must be"):
        model.tangent_kernel(X, at="middle")


def test_tangent_kernels_of_several_targets():
    X, Y = table(n_targets=2)
    model = DiagonalNetRegressor().fit(X, Y)
    kernels = model.tangent_kernel(X)
    assert kernels.shape == (2, 12, 12)
    close(kernels[1], DiagonalNetRegressor().fit(X, Y[:, 1]).tangent_kernel(X))


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_richness_goes_from_kernel_to_rich(depth):
    X, y = table()
    scales = [1e-30, 1e-3, 1.0, 1e3] if depth == 2 else [1e-8, 1e-3, 1.0, 1e3]
    fits = [
        DiagonalNetRegressor(scale, depth=depth, early_stopping=False).fit(X, y)
        for scale in scales
    ]
    richness = [fit.richness_ for fit in fits]
    assert np.all(np.diff(richness) < 0)
    assert (fits[0].regime_, fits[-1].regime_) == ("rich", "kernel")
    assert fits[2].regime_ == "transition"
    # Two minus the local degree of homogeneity of the potential.
    for fit in fits[1:3]:
        beta, alpha = fit.coef_ * X.std(axis=0), fit.alpha_
        up, mid, down = (
            q_norm(c * beta, alpha, depth=depth) for c in (1 + 1e-5, 1, 1 - 1e-5)
        )
        degree = (up - down) / 2e-5 / mid
        assert fit.richness_ == pytest.approx(2 - degree, abs=1e-6)
    np.testing.assert_allclose(fits[0].excess_l1_, 0, atol=0.02)
    np.testing.assert_allclose(fits[-1].excess_l2_, 0, atol=1e-4)
    assert fits[-1].excess_l1_ > fits[0].excess_l1_
    assert fits[0].excess_l2_ > fits[-1].excess_l2_


def test_depth_one_is_kernel_at_any_scale():
    X, y = table()
    fits = [
        DiagonalNetRegressor(scale, depth=1, early_stopping=False, max_time=1.0)
        for scale in (1e-3, 1e3)
    ]
    coefs = [fit.fit(X, y).coef_ for fit in fits]
    close(coefs[0], coefs[1])
    assert [fit.regime_ for fit in fits] == ["kernel"] * 2


def test_excess_norms_by_hand():
    X, y = table()
    model = DiagonalNetRegressor(0.3, early_stopping=False).fit(X, y)
    scale = X.std(axis=0)
    Z, beta = (X - X.mean(axis=0)) / scale, model.coef_ * scale
    one, two = (f(Z, y - y.mean()) for f in (min_l1_norm, min_l2_norm))
    expected = np.sum(np.abs(beta)) / np.sum(np.abs(one)) - 1
    assert model.excess_l1_ == pytest.approx(expected, rel=1e-6)
    expected = np.sum(beta**2) / np.sum(two**2) - 1
    assert model.excess_l2_ == pytest.approx(expected, rel=1e-6)
    assert model.excess_l1_ > 0
    assert DiagonalNetRegressor(max_time=0.1).fit(X, y).excess_l1_ < 0
    assert "excess_l1_" not in vars(DiagonalNetRegressor().fit(X, y))


@pytest.mark.parametrize(("depth", "alpha"), [(1, 1.0), (2, 1e-5), (3, 1e-2), (4, 0.1)])
def test_the_lasso_equivalent_of_the_time_average(depth, alpha):
    X, y = table(6, 8)
    X, y = X - X.mean(axis=0), 20 * (y - y.mean())
    model = DiagonalNetRegressor(
        alpha, depth=depth, units="paper", early_stopping=False, rtol=1e-7,
        solver="dual_mirror", tol=1e-2,
    ).fit(X, y)  # fmt: skip
    # Average the coefficients over a fine grid of times, by cells of equal weight.
    nodes, weights = np.polynomial.legendre.leggauss(4)
    edges = np.linspace(0, model.time_, 801)
    half = np.diff(edges)[:, None] / 2
    times = (edges[:-1, None] + half + half * nodes).ravel()
    coefs = weights_flow(X, y, depth, alpha, times)
    average = (half * weights).ravel() @ coefs / model.time_
    slack = X.T @ (y - X @ average) / len(y)
    assert model.lasso_equivalent_alpha_ == pytest.approx(
        np.max(np.abs(slack)), rel=1e-4
    )


def test_the_lasso_is_the_time_average_of_the_rich_limit():
    from sklearn.linear_model import Lasso

    X, y = table(15, 20)
    X = X - X.mean(axis=0)
    y = y - y.mean()
    model = DiagonalNetRegressor(
        1e-100, units="paper", early_stopping=False, solver="dual_mirror", tol=0.5
    ).fit(X, y)
    times = np.linspace(0, model.time_, 4001)
    coefs = model.trajectory_.at((times[1:] + times[:-1]) / 2)[0]
    lasso = Lasso(alpha=model.lasso_equivalent_alpha_, tol=1e-10, max_iter=10**6)
    close(coefs.mean(axis=0), lasso.fit(X, y).coef_, 0.05)


def test_the_trajectory():
    X, y = table()
    model = DiagonalNetRegressor().fit(X, y)
    path = model.trajectory_
    assert path.time[0] == 0
    assert path.time[-1] == model.time_
    assert 10 < len(path) <= 102
    np.testing.assert_array_equal(path.coef[0], 0.0)
    np.testing.assert_array_equal(path.coef[-1], model.coef_)
    assert path.intercept[0] == pytest.approx(y.mean())
    assert path.richness[-1] == model.richness_
    residual = y - path.coef @ X.T - path.intercept[:, None]
    np.testing.assert_allclose(path.loss, np.mean(residual**2, axis=1) / 2, rtol=1e-6)
    stages = list(model.staged_predict(X))
    assert len(stages) == len(path)
    np.testing.assert_allclose(stages[0], y.mean())
    np.testing.assert_allclose(stages[-1], model.predict(X))
    half = model.time_ / 2
    (stage,) = model.staged_predict(X, [half])
    stopped = DiagonalNetRegressor(early_stopping=False, max_time=half).fit(X, y)
    close(stage, stopped.predict(X), 1e-3)
    with pytest.raises(ValueError, match="non-negative"):
        path.at(-1.0)
    with pytest.raises(ValueError, match="non-negative"):
        path.at(np.nan)
    assert "points" in repr(path)


def test_stages_of_several_targets_need_times():
    X, Y = table(n_targets=2)
    model = DiagonalNetRegressor().fit(X, Y)
    with pytest.raises(ValueError, match="needs times"):
        next(model.staged_predict(X))
    stages = list(model.staged_predict(X, [0.0, 1e9]))
    np.testing.assert_allclose(stages[0], np.tile(Y.mean(axis=0), (12, 1)))
    np.testing.assert_allclose(stages[1], model.predict(X))


def test_the_limit_has_no_way_to_it():
    X, y = table()
    model = DiagonalNetRegressor(early_stopping=False).fit(X, y)
    np.testing.assert_array_equal(model.trajectory_.at(np.inf)[0][0], model.coef_)
    with pytest.raises(ValueError, match="dual_mirror"):
        model.trajectory_.at(1.0)


@each_road
def test_pickles_are_small_and_know_nothing_of_torch(road):
    X, y = table(n_samples=400, n_features=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = DiagonalNetRegressor(**road).fit(X, y)
    data = pickle.dumps(model)
    assert b"torch" not in data
    assert len(data) < X.nbytes
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.tangent_kernel(X), model.tangent_kernel(X))
    with pytest.raises(AttributeError, match="not pickled"):
        _ = again.excess_l1_
    before = model.excess_l1_
    assert pickle.loads(pickle.dumps(model)).excess_l1_ == before


# -- callbacks, printing, interrupts ---------------------------------------------------


def test_a_monitor_sees_the_score_rise():
    X, y = table()
    monitor = ScoringMonitor(scoring="r2")
    model = DiagonalNetRegressor(early_stopping=False, max_time=10.0)
    model.set_callbacks(monitor).fit(X, y)
    log = monitor.get_logs().data
    scores = [row["r2"] for row in log if row["task_name"] == "flow"]
    assert len(scores) > 8
    assert np.all(np.diff(scores) > -1e-9)
    assert scores[-1] <= model.score(X, y) + 1e-9
    plain = DiagonalNetRegressor(early_stopping=False, max_time=10.0).fit(X, y)
    np.testing.assert_array_equal(plain.coef_, model.coef_)


def test_callbacks_under_a_grid_search(capsys):
    X, y = table()
    grid = {"init_scale": [0.1, 1.0]}
    monitor = ScoringMonitor(scoring="r2")
    model = DiagonalNetRegressor().set_callbacks(monitor)
    watched = GridSearchCV(model, grid, cv=2).fit(X, y)
    assert len(monitor.get_logs().data) > 8
    DiagonalNetRegressor().set_callbacks(ProgressBar()).fit(X, y)
    search = GridSearchCV(DiagonalNetRegressor(), grid, cv=2)
    search.set_callbacks(ProgressBar()).fit(X, y)
    plain = GridSearchCV(DiagonalNetRegressor(), grid, cv=2).fit(X, y)
    for other in (watched, search):
        np.testing.assert_array_equal(
            other.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
        )


def test_verbose_prints_a_line_a_decade(capsys):
    X, y = table()
    DiagonalNetRegressor().fit(X, y)
    assert capsys.readouterr().out == ""
    DiagonalNetRegressor(verbose=1, early_stopping=False, max_time=100.0).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert 3 <= len(lines) <= 6
    assert all(line.startswith("[DiagonalNetRegressor] time") for line in lines)
    losses = [float(line.split()[-1]) for line in lines]
    assert losses == sorted(losses, reverse=True)


class Interrupting(DiagonalNetRegressor):
    """Pressed Ctrl-C at a time."""

    def _reporter(self, problem, table, watcher, *_):
        def on_node(j, time, *_):
            if time > problem.unit[j]:
                raise KeyboardInterrupt

        return on_node


@pytest.mark.parametrize("early_stopping", ["gcv", False])
def test_an_interrupt_keeps_what_was_reached(early_stopping):
    X, y = table()
    model = Interrupting(solver="dual_mirror", early_stopping=early_stopping)
    with pytest.raises(KeyboardInterrupt, match="stored"):
        model.fit(X, y)
    assert not model.converged_
    assert 0 < model.time_ < 5.0
    assert np.all(np.isfinite(model.predict(X)))
    if early_stopping is False:
        assert model.time_ > 1.0
        same = DiagonalNetRegressor(early_stopping=False, max_time=model.time_)
        close(model.coef_, same.fit(X, y).coef_, 1e-3)


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_no_numbers(bad):
    X, y = table()
    broken = X.copy()
    broken[0, 0] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        DiagonalNetRegressor().fit(broken, y)
    broken = y.copy()
    broken[0] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        DiagonalNetRegressor().fit(X, broken)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        DiagonalNetRegressor().fit(X, y, broken)


def test_shapes_that_do_not_fit():
    X, y = table()
    with pytest.raises(ValueError, match="inconsistent"):
        DiagonalNetRegressor().fit(X, y[:-1])
    with pytest.raises(ValueError, match="2D array"):
        DiagonalNetRegressor().fit(y, y)
    with pytest.raises(ValueError, match="features"):
        DiagonalNetRegressor().fit(X, y).predict(X[:, :3])


@each_road
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_one_sample(road, fit_intercept):
    if road == ROADS["held out"]:
        with pytest.raises(ValueError, match="none of the 1 samples"):
            DiagonalNetRegressor(**road).fit([[1.0, 2.0]], [3.0])
        return
    model = DiagonalNetRegressor(fit_intercept=fit_intercept, standardize=False, **road)
    model.fit([[1.0, 2.0]], [3.0])
    assert np.all(np.isfinite(model.coef_))
    if fit_intercept:
        np.testing.assert_array_equal(model.coef_, 0.0)
        assert model.predict([[9.0, 9.0]])[0] == 3.0
    elif road == ROADS["limit"]:
        assert model.predict([[1.0, 2.0]])[0] == pytest.approx(3.0)


@each_depth
@each_road
@pytest.mark.parametrize("value", [0.0, -7.3, 1e200])
def test_targets_without_variation(depth, road, value):
    X, _ = table()
    model = DiagonalNetRegressor(depth=depth, **road).fit(X, np.full(12, value))
    np.testing.assert_array_equal(model.coef_, 0.0)
    np.testing.assert_allclose(model.predict(X), value)
    assert model.richness_ == 0.0
    assert model.effective_sparsity_ >= 0
    assert model.kernel_change_ == 0.0
    assert model.loss_ == pytest.approx(0, abs=1e-12)
    assert model.excess_l1_ == 0.0


def test_features_without_variation():
    _, y = table()
    model = DiagonalNetRegressor().fit(np.ones((12, 3)), y)
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.predict(np.ones((1, 3)))[0] == pytest.approx(y.mean())


@each_depth
def test_more_samples_than_features_end_in_least_squares(depth):
    X, y = table(30, 5)
    model = DiagonalNetRegressor(depth=depth, early_stopping=False)
    if depth == 1:
        model.fit(X, y)
    else:
        with pytest.warns(UserWarning, match="every init_scale gives least squares"):
            model.fit(X, y)
    A = np.column_stack([X, np.ones(30)])
    best = np.linalg.lstsq(A, y)[0]
    close(np.append(model.coef_, model.intercept_), best, 1e-7)
    model.set_params(early_stopping="gcv").fit(X, y)  # no warning
    assert model.score(X, y) <= r2_score(y, A @ best)


@pytest.mark.parametrize(
    "shape", [np.ones(3), np.zeros(20), -np.ones(20), np.ones((20, 1))]
)
def test_bad_initial_shapes(shape):
    X, y = table()
    with pytest.raises(ValueError, match="init_shape must be 20 positive numbers"):
        DiagonalNetRegressor(init_shape=shape).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        DiagonalNetRegressor(init_shape=np.full(20, np.nan)).fit(X, y)


def test_bad_weights():
    X, y = table()
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        DiagonalNetRegressor().fit(X, y, -np.ones(12))
    with pytest.raises(ValueError, match="sample_weight"):
        DiagonalNetRegressor().fit(X, y, np.ones(5))
    with pytest.raises(ValueError, match="zero"):
        DiagonalNetRegressor().fit(X, y, np.zeros(12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.1}, "learning_rate is for solver='gd'"),
        ({"batch_size": 3}, "batch_size is for solver='gd'"),
        ({"device": "cuda"}, "device='cuda' is for solver='gd'"),
        ({"solver": "limit"}, "infinite time"),
        (
            {"solver": "limit", "early_stopping": False, "max_time": 1.0},
            "infinite time",
        ),
        ({"solver": "inverse_scale_space"}, "depth >= 3"),
        ({"solver": "gd"}, "degrees of freedom"),
        ({"warm_start": True}, "earlier"),
        ({"init_scale": 0.0}, "init_scale"),
        ({"init_scale": -1.0}, "init_scale"),
        ({"depth": 0}, "depth"),
        ({"depth": 2.0}, "depth"),
        ({"units": "metric"}, "units"),
        ({"solver": "magic"}, "solver"),
        ({"early_stopping": "aic"}, "early_stopping"),
        ({"max_time": 0}, "max_time"),
        ({"tol": -1.0}, "tol"),
        ({"rtol": 0.0}, "rtol"),
        ({"max_iter": 0}, "max_iter"),
        ({"validation_fraction": 1.5}, "validation_fraction"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"init_scale": np.nan}, "init_scale"),
        ({"init_scale": np.inf}, "init_scale"),
        ({"max_time": np.inf, "early_stopping": False}, "max_time"),
    ],
)
def test_options_that_make_no_sense(options, message):
    X, y = table()
    with pytest.raises(ValueError, match=message):
        DiagonalNetRegressor(**options).fit(X, y)


def test_a_refit_forgets_what_only_the_last_fit_knew():
    X, y = make_regression(20, 30, n_informative=3, random_state=0)
    model = DiagonalNetRegressor().fit(X, y)
    first = model.excess_l1_
    model.set_params(init_scale=30.0, early_stopping=False).fit(X, y)
    assert not hasattr(model, "df_")
    assert model.excess_l1_ != first


def test_the_dual_has_an_entry_for_samples_without_weight():
    X, y = make_regression(20, 30, n_informative=3, random_state=0)
    weight = np.ones(20)
    weight[3] = 0
    dual = DiagonalNetRegressor().fit(X, y, weight).dual_coef_
    assert dual.shape == (20,)
    assert dual[3] == 0


def test_hold_out_waits_for_the_plateau_of_a_small_scale_to_end():
    X, y = make_regression(60, 20, n_informative=3, random_state=0)
    model = DiagonalNetRegressor(1e-60, early_stopping=True, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.9


def test_the_html_display_computes_no_excess_norms():
    model = DiagonalNetRegressor().fit(*make_regression(20, 30, random_state=0))
    assert model._repr_html_()
    assert "excess_l1_" not in vars(model)
    assert "excess_l1_" not in dir(model)
    assert model.excess_l1_ > -1
    assert "excess_l1_" in dir(model)


def test_excess_norms_are_of_the_data_of_the_fit():
    X, y = make_regression(20, 30, n_informative=3, random_state=0)
    known, changed = (DiagonalNetRegressor().fit(X, y) for _ in range(2))
    expected = known.excess_l1_
    X[:] = 0.0
    changed.set_params(standardize=False)
    assert changed.excess_l1_ == expected


def test_a_constant_target_has_a_trajectory():
    X, y = make_regression(20, 5, random_state=0)
    model = DiagonalNetRegressor().fit(X, np.column_stack([y, np.ones(20)]))
    (stage,) = model.staged_predict(X, [1.0])
    np.testing.assert_allclose(stage[:, 1], 1.0)


@pytest.mark.parametrize(
    "change", [{"depth": 3}, {"init_scale": 2.0}, {"units": "paper"}]
)
def test_a_warm_start_refuses_another_network(change):
    X, y = make_regression(20, 5, random_state=0)
    model = DiagonalNetRegressor(early_stopping=False, max_time=1.0, warm_start=True)
    model.fit(X, y).set_params(**change)
    with pytest.raises(ValueError, match="has changed since"):
        model.fit(X, y)


def test_the_tangent_kernel_is_that_of_the_fit():
    X, y = make_regression(20, 5, random_state=0)
    model = DiagonalNetRegressor().fit(X, y)
    before = model.tangent_kernel(X)
    np.testing.assert_array_equal(model.set_params(depth=4).tangent_kernel(X), before)


def test_descent_with_a_useless_target_stops_at_its_start():
    X, _ = make_regression(30, 10, random_state=0)
    y = np.random.default_rng(0).normal(size=30)
    for seed in range(6):
        model = DiagonalNetRegressor(
            solver="gd", early_stopping=True, random_state=seed, max_iter=200
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)
        assert np.all(np.isfinite(model.coef_))


@pytest.mark.parametrize("size", [1e-170, 1e170])
def test_features_whose_squares_leave_float64_are_refused(size):
    X, y = make_regression(20, 5, random_state=0)
    with pytest.raises(ValueError, match="overflow or underflow"):
        DiagonalNetRegressor(1.0, units="paper").fit(size * X, y)
