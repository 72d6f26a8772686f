"""How fits of matrices end: early stopping, warnings, interrupts, callbacks."""

import math
import warnings

import numpy as np
import pytest
import torch
from matrix_reference import distance, pairs_of, table
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import skregimes.flows.chebyshev as integrator
import skregimes.matrix._search as searching
from skregimes import (
    MatrixCompletionRegressor,
    MatrixFactorizationImputer,
    MatrixFactorizer,
    MatrixSensingRegressor,
)
from skregimes._entries import Entries
from skregimes.networks.factors import product

BARE = {"center": None, "early_stopping": False, "random_state": 0}


def fit(X, **options):
    return MatrixFactorizer(**{**BARE, **options}).fit(X)


def sensing(n_samples=30, noise=0.0):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n_samples, 20))
    truth = np.outer(rng.standard_normal(4), rng.standard_normal(5)).ravel()
    return A, A @ truth + noise * rng.standard_normal(n_samples)


def data_of(kind):
    """An estimator, what it is fitted to, and what it predicts then."""
    X, _ = table((12, 9), noise=0.3)
    pairs, y = pairs_of(X)
    if kind == "sensing":
        A, y = sensing(noise=0.3)
        return MatrixSensingRegressor((4, 5), random_state=0), (A, y), "predict"
    if kind == "entries":
        return MatrixCompletionRegressor(random_state=0), (pairs, y), "predict"
    cls = {"factorizer": MatrixFactorizer, "imputer": MatrixFactorizationImputer}[kind]
    return cls(random_state=0), (X,), "transform"


each_kind = pytest.mark.parametrize(
    "kind", ["factorizer", "imputer", "entries", "sensing"]
)


# -- early stopping --------------------------------------------------------------------


@pytest.mark.parametrize("init", ["gaussian", "spectral"])
def test_held_out_entries_choose_the_time(monkeypatch, init):
    monkeypatch.setattr(searching, "_MOST", 1)
    X, _ = table((20, 15), noise=0.4)
    model = fit(X, early_stopping=True, init=init, init_scale=0.03)
    curve = model.validation_curve_
    assert model.time_ == pytest.approx(curve[np.argmin(curve[:, 1]), 0])
    assert model.validation_score_ == np.min(curve[:, 1])
    assert 0 < model.time_ < curve[-1, 0]
    same = {"init": init, "units": "paper", "init_scale": model.alpha_}
    again = fit(X, **same, rtol=1e-2, max_time=model.time_ * model.time_unit_)
    assert_allclose(again.complete(), model.complete(), atol=1e-6)
    # By hand: the flow of the part that was left. Nothing of it has seen the rest.
    random_state = np.random.RandomState(0)
    for shape in ((15, 15), (20, 15)) if init == "gaussian" else ():
        random_state.standard_normal(shape)  # the draw of the start comes first
    whole = Entries.from_matrix(X)
    part, held = whole.split(0.1, random_state)
    share = len(part) / len(whole)
    for index in (5, np.argmin(curve[:, 1]), len(curve) - 1):
        time = curve[index, 0] * model.time_unit_ / share
        stopped = fit(part.dense(np.nan), **same, rtol=1e-4, max_time=time, tol=0.0)
        error = stopped.predict_entries(held.rows, held.cols) - held.values
        assert np.mean(error**2) == pytest.approx(curve[index, 1], rel=0.03)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_held_out_measurements_choose_the_time(monkeypatch, fit_intercept):
    monkeypatch.setattr(searching, "_MOST", 1)
    A, y = sensing(30, noise=0.5)
    A, y = A + 1.0, y + 3.0
    options = {"init": "gaussian", "fit_intercept": fit_intercept, "random_state": 0}
    model = MatrixSensingRegressor(
        (4, 5), init_scale=0.01, early_stopping=True, **options
    ).fit(A, y)
    curve = model.validation_curve_
    assert model.time_ == pytest.approx(curve[np.argmin(curve[:, 1]), 0])
    random_state = np.random.RandomState(0)
    for shape in ((4, 5), (4, 4)):
        random_state.standard_normal(shape)
    order = np.lexsort(A.T[::-1])  # samples are sorted
    order = order[random_state.permutation(30)]
    part, held = order[3:], order[:3]
    for index in (5, np.argmin(curve[:, 1])):
        stopped = MatrixSensingRegressor(
            (4, 5), units="paper", init_scale=model.alpha_, early_stopping=False,
            max_time=curve[index, 0] * model.time_unit_ / 0.9, rtol=1e-4, **options,
        ).fit(A[part], y[part])  # fmt: skip
        error = stopped.predict(A[held]) - y[held]
        assert np.mean(error**2) == pytest.approx(curve[index, 1], rel=0.02)


def test_several_parts_are_held_out_of_small_tables():
    X, _ = table((20, 15), noise=0.4)
    draws = []

    class Spy(np.random.RandomState):
        def permutation(self, n):
            draws.append(n)
            return super().permutation(n)

    fit(X, early_stopping=True, random_state=Spy(0))
    assert draws == [np.sum(~np.isnan(X))] * 5


@each_kind
def test_stopping_early_is_better_with_noise(kind):
    X, truth = table((40, 30), noise=1.0, observed=0.5)
    pairs, y = pairs_of(X)
    if kind == "sensing":
        rng = np.random.default_rng(1)
        A = rng.standard_normal((150, truth[:12, :15].size))
        target = A @ truth[:12, :15].ravel()
        fitted = lambda model: (
            model.fit(A, target + 10 * rng.standard_normal(150)).coef_matrix_
        )
        model, truth = MatrixSensingRegressor((12, 15)), truth[:12, :15]
    elif kind == "entries":
        fitted = lambda model: model.fit(pairs, y).to_matrix()
        model = MatrixCompletionRegressor(center=None)
    else:
        model, _, _ = data_of(kind)
        model.set_params(center=None)
        fitted = lambda model: model.fit(X).complete()
    model.set_params(random_state=0, init_scale=1e-3)
    stopped = distance(fitted(clone(model)), truth)
    interpolated = distance(fitted(model.set_params(early_stopping=False)), truth)
    assert stopped < 0.8 * interpolated


def test_when_auto_holds_out():
    X = np.full((5, 8), np.nan)
    X.flat[:19] = np.random.default_rng(0).standard_normal(19)
    assert not hasattr(fit(X, early_stopping="auto"), "validation_curve_")
    X.flat[19] = 1.0
    assert hasattr(fit(X, early_stopping="auto"), "validation_curve_")


@pytest.mark.parametrize("n_entries", [2, 3])
def test_early_stopping_with_hardly_an_entry(n_entries):
    X = np.full((3, 4), np.nan)
    X.flat[[0, 5, 10][:n_entries]] = [1.0, -1.0, 0.5][:n_entries]
    for center in (None, "global", "both"):
        model = fit(X, early_stopping=True, center=center)
        assert np.all(np.isfinite(model.complete()))
        assert model.validation_curve_.shape[1] == 2


@pytest.mark.parametrize("init", ["spectral", "gaussian"])
@pytest.mark.parametrize("depth", [2, 3])
def test_patience_begins_when_the_flow_has_left_its_start(init, depth):
    # Held-out entries say nothing while the product is still tiny.
    X, truth = table((20, 15), noise=0.1)
    model = fit(
        X, early_stopping=True, init=init, depth=depth, init_scale=1e-9,
        n_iter_no_change=2,
    )  # fmt: skip
    assert distance(model.complete(), truth) < 0.5


def test_max_time_bounds_the_search():
    X, _ = table((20, 15), noise=0.4)
    free = fit(X, early_stopping=True)
    bound = fit(X, early_stopping=True, max_time=free.time_ / 3)
    assert bound.time_ == pytest.approx(free.time_ / 3)
    assert np.max(bound.validation_curve_[:, 0]) == pytest.approx(free.time_ / 3)


def test_early_stopping_with_weight_decay():
    X, truth = table((20, 15), noise=0.3)
    model = fit(X, early_stopping=True, weight_decay=0.02)
    assert distance(model.complete(), truth) < 0.5
    assert model.converged_


# -- ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("tol", [1e-2, 1e-6])
def test_tol_is_on_the_loss(tol):
    X, _ = table()
    model = fit(X, tol=tol)
    assert model.loss_ <= tol * model.trajectory_.loss[0]
    assert model.trajectory_.loss[-2] > tol * model.trajectory_.loss[0]
    assert model.trajectory_.loss[0] == pytest.approx(np.nansum(X**2) / 2, rel=1e-4)
    assert model.converged_


def test_max_time_is_reached():
    X, _ = table()
    model = fit(X, max_time=3.7)
    assert model.time_ == pytest.approx(3.7, rel=1e-12)
    assert model.converged_
    paper = fit(X, units="paper", init_scale=0.1, max_time=0.25)
    assert paper.time_ == pytest.approx(0.25, rel=1e-12)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["chebyshev", "gd"])
def test_max_iter_says_so(early_stopping, solver):
    X, _ = table((12, 9), noise=0.3)
    with pytest.warns(ConvergenceWarning, match="increase max_iter"):
        model = fit(X, max_iter=4, early_stopping=early_stopping, solver=solver)
    assert not model.converged_
    assert model.n_iter_ <= 4


def test_a_rank_too_small_says_so():
    X, _ = table((12, 9), noise=0.5)
    with pytest.warns(ConvergenceWarning, match="increase n_components"):
        model = fit(X, n_components=1)
    assert model.loss_ > 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(X, n_components=1, early_stopping=True)
        fit(X, n_components=1, max_time=100.0)
        fit(X, n_components=1, weight_decay=0.1)


def test_large_starts_that_are_not_centred_say_so():
    X, _ = table()
    with pytest.warns(UserWarning, match="Use centered=True, init='lifted'"):
        model = fit(X, init_scale=1.0)
    start = np.linalg.norm(product(model.initial_factors_))
    size = np.sqrt(np.nanmean(X**2) * X.size)
    assert start == pytest.approx(np.sqrt(6) * size, rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(X, init_scale=1.0, centered=True)
        fit(X, init_scale=1.0, init="lifted")
        fit(X, init_scale=0.1)


@pytest.mark.parametrize("init", ["spectral", "gaussian", "lifted"])
def test_starts_below_float32_say_so(init):
    X = table()[0].astype(np.float32)
    with pytest.raises(ValueError, match="gradient is zero at the start"):
        fit(X, depth=4, init_scale=1e-60, init=init)
    assert fit(X, init_scale=1e-30, init=init, n_components=None).loss_ < 1e-3


def test_a_start_without_gradient_says_so():
    X = np.full((4, 4), np.nan)
    X[2:, 2:] = [[1.0, 2.0], [2.0, -1.0]]
    with pytest.raises(ValueError, match="another init"):
        fit(X, depth=3, init="identity", n_components=1)


@pytest.mark.parametrize("scale", [1e-60, 1e-12, 1e6])
@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("init", ["spectral", "gaussian", "orthogonal", "lifted"])
def test_extreme_scales(init, depth, scale):
    X, _ = table()
    centered = scale > 1
    model = fit(
        X, init=init, depth=depth, init_scale=scale, centered=centered, max_time=30.0
    )
    arrays = [*model.factors_, model.complete(), model.trajectory_.loss]
    assert all(np.all(np.isfinite(array)) for array in arrays)
    assert 0 <= model.richness_ <= 1
    assert math.isfinite(model.alpha_)
    if centered:
        seen = ~np.isnan(X)
        assert distance(model.complete()[seen], X[seen]) < 0.2
        assert model.regime_ == "kernel"
    elif depth > 2 or scale < 1e-20:
        # It is still waiting.
        assert np.max(np.abs(model.complete())) < 1e-3


def test_paper_units_beyond_floats_are_refused():
    X, _ = table()
    with pytest.raises(ValueError, match="units='relative'"):
        fit(1e250 * X, depth=4, units="paper", init_scale=1e60, max_time=1.0)
    with pytest.raises(ValueError, match="leave float64"):
        fit(X, depth=4, units="paper", init_scale=1e100, max_time=1.0)


def test_deep_products_that_only_shrank_say_so():
    X, _ = table()
    with pytest.warns(UserWarning, match="shrank all factors to zero"):
        model = fit(X, depth=3, weight_decay=0.05)
    assert np.max(np.abs(model.complete())) < 1e-5
    assert model.n_iter_ < 200  # and not on to where they underflow
    # Where the pull of the data is as large as that of the penalty.
    critical = 0.05**3
    with pytest.warns(UserWarning, match="shrank all factors to zero"):
        fit(X, depth=3, weight_decay=0.05, init_scale=critical / 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(X, depth=3, weight_decay=0.05, init_scale=2 * critical)
        fit(X, depth=2, weight_decay=1.5)
        fit(np.ones((4, 4)), depth=3, weight_decay=0.1, center="global")
    assert np.max(np.abs(model.complete())) > 0.1


# -- trajectories ----------------------------------------------------------------------


def test_long_flows_are_thinned_out(monkeypatch):
    import skregimes.matrix._flow as road

    X, _ = table((12, 9), noise=0.3)
    options = {"solver": "gd", "learning_rate": 0.01, "max_time": 10.0}
    model = fit(X, **options)
    path = model.trajectory_
    assert model.n_iter_ == 1000
    assert 100 < len(path) <= 401
    assert path.time[0] == 0
    assert path.time[-1] == model.time_
    assert np.ptp(np.diff(path.time)[:-1]) < 1e-9  # evenly
    assert_array_equal(path.factors[-1][0], model.factors_[0])
    numbers = 10 * sum(W.size for W in model.factors_)
    monkeypatch.setattr(road, "_MOST_NUMBERS", numbers)
    short = fit(X, **options)
    assert 5 <= len(short.trajectory_) <= 11
    for W, other in zip(short.factors_, model.factors_, strict=True):
        assert_array_equal(W, other)
    monkeypatch.setattr(road, "_MOST_NUMBERS", 0)
    assert 2 <= len(fit(X, **options).trajectory_) <= 3


def test_the_trajectory_of_lifted_starts_keeps_so_many_values():
    X, _ = table((12, 9), noise=0.3)
    model = fit(X, init="lifted", n_components=2, max_time=50.0)
    assert model.components_.shape == (2, 9)
    assert model.trajectory_.singular_values.shape == (len(model.trajectory_), 2)
    full = fit(X, init="lifted", max_time=50.0)
    assert_allclose(model.singular_values_, full.singular_values_[:2])
    assert "points" in repr(model.trajectory_)


def test_singular_values_are_learned_one_after_another():
    X = np.diag([4.0, 2.0, 1.0])
    for depth, spread in ((2, 0.6), (3, 0.15)):
        path = fit(X, depth=depth, init_scale=1e-6).trajectory_
        rises = []
        for values in path.singular_values.T:
            share = values / values[-1]
            below = [np.interp(level, share, path.time) for level in (0.1, 0.5, 0.9)]
            rises.append(below)
        rises = np.array(rises)
        assert np.all(np.diff(rises[:, 1]) > 0)
        # The deeper, the more sudden.
        width = (rises[:, 2] - rises[:, 0]) / rises[:, 1]
        assert np.all(width < spread)


# -- the world outside -----------------------------------------------------------------


@each_kind
def test_nothing_outside_changes(kind):
    model, data, _ = data_of(kind)
    kept = [array.copy() for array in data]
    states = lambda: (
        torch.get_default_dtype(),
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )
    before = states()
    for dtype in ("float64", "float32"):
        clone(model).set_params(init="gaussian", dtype=dtype).fit(*data)
    assert states() == before
    for array, copy in zip(data, kept, strict=True):
        assert_array_equal(array, copy)


# -- callbacks, printing, interrupts ---------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["entries", "sensing"])
def test_a_monitor_sees_the_score_rise(kind, early_stopping):
    model, data, _ = data_of(kind)
    model.set_params(early_stopping=early_stopping, max_time=30.0)
    monitor = ScoringMonitor(scoring="r2")
    watched = clone(model).set_callbacks(monitor).fit(*data)
    logs = monitor.get_logs().data
    scores = [row["r2"] for row in logs if row["task_name"] == "flow"]
    assert len(scores) > 8
    assert np.all(np.diff(scores) > -1e-6)
    assert scores[-1] <= watched.score(*data) + 1e-9
    plain = clone(model).set_callbacks().fit(*data)
    assert_array_equal(plain.predict(data[0]), watched.predict(data[0]))


@pytest.mark.parametrize("kind", ["factorizer", "imputer"])
def test_a_callback_may_fill_the_table_on_the_way(kind):
    model, (X,), _ = data_of(kind)
    new, errors, known = X[::-1] * 0.9, [], []

    class Watch(ScoringMonitor):
        def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
            if fitted_estimator is None:
                return  # a task that only moves the bar
            errors.append(np.nansum((fitted_estimator.complete() - X) ** 2))
            known.append(fitted_estimator.impute(new))
            assert np.isfinite(fitted_estimator.score(new))

    model.set_params(early_stopping=False, max_time=30.0)
    model.set_callbacks(Watch(scoring="r2")).fit(X)
    # The last one is that of the fit as a whole.
    assert len(errors) > 8
    assert np.all(np.diff(errors) < 1e-6)
    assert errors[-1] == np.nansum((model.complete() - X) ** 2)
    assert_array_equal(known[-1], model.impute(new))


def test_a_callback_may_stop_the_flow():
    class Stopper(ScoringMonitor):
        def on_fit_task_end(self, estimator, context, **task):
            return context.task_name == "flow" and context.task_id >= 10

    X, _ = table()
    model = MatrixFactorizer(**BARE).set_callbacks(Stopper(scoring="r2")).fit(X)
    assert model.loss_ > 1e-2
    assert model.time_ < fit(X).time_


def test_callbacks_under_a_grid_search(capsys):
    model, data, _ = data_of("entries")
    model.set_params(max_time=10.0)
    grid = {"init_scale": [1e-3, 1e-2]}
    search = GridSearchCV(model, grid, cv=2)
    watched = clone(search).set_callbacks(ProgressBar()).fit(*data)
    clone(model).set_callbacks(ProgressBar()).fit(*data)
    plain = search.fit(*data)
    assert_array_equal(
        watched.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


@each_kind
def test_verbose_prints_a_line_a_decade(kind, capsys):
    model, data, _ = data_of(kind)
    model.set_params(early_stopping=False, max_time=100.0)
    model.fit(*data)
    assert capsys.readouterr().out == ""
    model.set_params(verbose=1).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    assert 3 <= len(lines) <= 6
    assert all(line.startswith(f"[{type(model).__name__}]") for line in lines)
    losses = [float(line.split()[-1]) for line in lines]
    assert losses == sorted(losses, reverse=True)


@each_kind
@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupt_keeps_what_was_reached(monkeypatch, kind, early_stopping):
    follow = integrator.chebyshev
    calls = []

    def interrupted(problem, theta, *, on_node, **options):
        calls.append(on_node)
        told = []

        def tell(time, *rest):
            on_node(time, *rest)
            told.append(time)
            # Of held-out parts the second is interrupted.
            if len(told) > 6 and len(calls) == (2 if early_stopping else 1):
                raise KeyboardInterrupt

        return follow(problem, theta, on_node=tell, **options)

    monkeypatch.setattr(integrator, "chebyshev", interrupted)
    model, data, method = data_of(kind)
    model.set_params(early_stopping=early_stopping)
    with pytest.raises(KeyboardInterrupt, match="stored"):
        model.fit(*data)
    assert len(calls) == (2 if early_stopping else 1)
    assert not model.converged_
    found = getattr(model, method)(data[0])
    assert np.all(np.isfinite(found))
    assert np.isfinite(model.score(*data))
    assert model.time_ >= 0
    assert hasattr(model, "validation_curve_") == early_stopping
    assert len(model.trajectory_) >= 1
    assert model.trajectory_.time[-1] == model.time_


@each_kind
def test_an_interrupt_of_the_final_flow(monkeypatch, kind):
    follow = integrator.chebyshev

    def interrupted(problem, theta, *, on_node, **options):
        def tell(time, *rest):
            on_node(time, *rest)
            if time > 0 and options["tol"] == 0 and math.isfinite(options["max_time"]):
                raise KeyboardInterrupt

        return follow(problem, theta, on_node=tell, **options)

    monkeypatch.setattr(integrator, "chebyshev", interrupted)
    model, data, method = data_of(kind)
    model.set_params(early_stopping=True)
    with pytest.raises(KeyboardInterrupt, match="stored"):
        model.fit(*data)
    curve = model.validation_curve_
    assert 0 < model.time_ < curve[np.argmin(curve[:, 1]), 0]
    assert np.all(np.isfinite(getattr(model, method)(data[0])))


@each_kind
def test_an_interrupt_from_a_callback(kind):
    class Interrupter(ScoringMonitor):
        def on_fit_task_end(self, estimator, context, **task):
            if context.task_name == "flow" and context.task_id >= 5:
                raise KeyboardInterrupt

    model, data, method = data_of(kind)
    model.set_params(early_stopping=False)
    model.set_callbacks(Interrupter(scoring="r2"))
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    assert not model.converged_
    assert np.all(np.isfinite(getattr(model, method)(data[0])))


@each_kind
def test_a_failed_refit_leaves_the_last_fit(kind):
    model, data, method = data_of(kind)
    model.set_params(max_time=5.0).fit(*data)
    before = getattr(model, method)(data[0])
    with pytest.raises(ValueError, match="learning_rate"):
        model.set_params(learning_rate=1.0).fit(*(2 * array for array in data))
    model.set_params(learning_rate=None)
    assert_array_equal(getattr(model, method)(data[0]), before)
