"""Displays of paths, trajectories and maps: their data, artists and complaints."""

import pickle
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skregimes import (
    DiagonalNetClassifier,
    DiagonalNetClassifierCV,
    DiagonalNetRegressor,
    DiagonalNetRegressorCV,
    InitScaleSearchCV,
    MatrixCompletionRegressor,
    MatrixFactorizationImputer,
    MatrixFactorizer,
    MatrixSensingRegressor,
    ShallowReLUClassifier,
    ShallowReLURegressor,
    init_scale_path,
)
from skregimes._base import regime
from skregimes.inspection import (
    InitScalePathDisplay,
    RegimeMapDisplay,
    TrajectoryDisplay,
)
from skregimes.limits import min_l1_norm
from skregimes.model_selection import richness_scorer

SCALES = np.array([1e-4, 0.1, 1e3])
TIMES = np.array([0.1, 1.0, 10.0])


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((24, 30))
    return X, X[:, 0] - 2 * X[:, 1] + 0.1 * rng.standard_normal(24)


@pytest.fixture(scope="module")
def path_display(data):
    return InitScalePathDisplay.from_estimator(
        LIMIT,
        *data,
        init_scales=SCALES,
        cv=3,
        panels=("score", "richness", "excess", "coefs"),
    )


def folds(count):
    return KFold(count, shuffle=True, random_state=0)


def net(scale=0.1):
    """A net whose flow is followed to a time."""
    return DiagonalNetRegressor(scale, early_stopping=False, max_time=10.0, rtol=0.01)


# The limit of infinite time, in a hundredth of a second.
LIMIT = DiagonalNetRegressor(early_stopping=False)


# -- paths -----------------------------------------------------------------------------


def test_a_path_shows_what_fits_have(data, path_display):
    X, y = data
    for i, scale in enumerate(SCALES):
        fit = clone(LIMIT).set_params(init_scale=scale)
        scores = cross_val_score(fit, X, y, cv=folds(3))
        assert_allclose(path_display.scores[i], scores)
        fit.fit(X, y)
        assert_allclose(path_display.richness[i], fit.richness_)
        assert_allclose(path_display.coefs[i], fit.coef_)
    means = path_display.scores.mean(axis=1)
    assert path_display.chosen == SCALES[np.argmax(means)]


def test_excess_norms_are_those_of_the_fits(data, path_display):
    # Of columns and targets as the network sees them, against a linear program.
    X, y = (A - A.mean(axis=0) for A in data)
    sizes = X.std(axis=0)
    least = np.abs(min_l1_norm(X / sizes, y)).sum()
    norms = np.abs(path_display.coefs * sizes).sum(axis=1)
    assert_allclose(path_display.excess["l1 norm"], norms / least - 1, rtol=1e-6)


def test_panels_of_a_path_draw_their_data(path_display):
    display = path_display.plot(panels=("score", "richness", "excess", "coefs"))
    coefs = display.ax_[-1]
    assert [panel.get_ylabel() for panel in display.ax_] == [
        "test score, R²", "richness", "norm above the least, share", "coefficients",
    ]  # fmt: skip
    assert coefs.get_xlabel() == "initialisation scale (relative)"
    assert all(panel.get_xscale() == "log" for panel in display.ax_)
    (line,) = display.lines_["score"]
    assert_allclose(line.get_xydata().T, [SCALES, display.scores.mean(axis=1)])
    band = display.score_band_.get_paths()[0].vertices
    assert np.isclose(band[:, 1].min(), np.min(
        display.scores.mean(axis=1) - display.scores.std(axis=1)
    ))  # fmt: skip
    (line,) = display.lines_["richness"]
    assert_allclose(line.get_ydata(), display.richness)
    assert len(display.lines_["excess"]) == 2
    drawn = np.array([line.get_ydata() for line in display.lines_["coefs"]])
    assert_allclose(drawn.T, display.coefs)
    for line in display.chosen_lines_:
        assert line.get_xdata()[0] == display.chosen
    assert {text.get_text() for text in coefs.get_legend().get_texts()} >= {
        "coefficient 0", "coefficient 1",
    }  # fmt: skip


def test_bands_are_where_the_regimes_are(path_display):
    display = path_display.plot(panels="richness")
    place = np.log(SCALES)
    for band in display.regime_bands_:
        ends = [band.get_x() * 1.02, (band.get_x() + band.get_width()) / 1.02]
        found = regime(np.interp(np.log(ends), place, display.richness))
        assert set(found) in ({"kernel"}, {"rich"})
    assert len(display.regime_bands_) == 2
    assert display.ax_ is not None
    assert not isinstance(display.ax_, np.ndarray)


def test_default_scales_reach_both_regimes(data):
    display = InitScalePathDisplay.from_estimator(LIMIT, *data, panels="richness")
    assert display.scores is None
    assert set(regime(display.richness)) == {"kernel", "transition", "rich"}
    assert list(display.lines_) == ["richness"]


def test_a_pipeline_and_a_scoring(data):
    pipe = make_pipeline(StandardScaler(), clone(LIMIT))
    folds = KFold(3)
    display = InitScalePathDisplay.from_estimator(
        pipe, *data, init_scales=SCALES, cv=folds, scoring="neg_mean_squared_error"
    )
    pipe.set_params(diagonalnetregressor__init_scale=SCALES[1])
    scores = cross_val_score(pipe, *data, cv=folds, scoring="neg_mean_squared_error")
    assert_allclose(display.scores[1], scores)
    assert display.ax_[0].get_ylabel() == "test score, neg mean squared error"


def test_singular_values_stand_for_coefficients(data):
    X = np.where(data[0][:8, :6] > 1, np.nan, data[0][:8, :6])
    table = MatrixFactorizer(random_state=0)
    display = InitScalePathDisplay.from_estimator(
        table, X, init_scales=[1e-4, 1e-2], panels=("coefs", "excess")
    )
    fit = clone(table).set_params(init_scale=1e-2).fit(X)
    assert_allclose(display.coefs[1, : len(fit.singular_values_)], fit.singular_values_)
    assert_allclose(display.excess["nuclear norm"][1], fit.excess_nuclear_norm(X))
    assert display.ax_[0].get_ylabel() == "singular values"


def test_one_of_several_targets(data):
    X, y = data
    Y = np.column_stack([y, X[:, 2] ** 2])
    net = clone(LIMIT)
    with pytest.raises(ValueError, match="2 targets"):
        InitScalePathDisplay.from_estimator(net, X, Y, init_scales=SCALES)
    display = InitScalePathDisplay.from_estimator(
        net, X, Y, init_scales=SCALES, panels=("coefs", "richness"), target=1
    )
    fit = clone(net).set_params(init_scale=SCALES[0]).fit(X, Y)
    assert_allclose(display.coefs[0], fit.coef_[1])
    assert_allclose(display.richness[0], fit.richness_[1])
    with pytest.raises(ValueError, match="from 0 to 1"):
        InitScalePathDisplay.from_estimator(
            net, X, Y, init_scales=SCALES, panels="richness", target=2
        )


def test_a_path_that_was_computed(data):
    X, y = data
    path = init_scale_path(X[:16], y[:16], init_scales=SCALES, times=TIMES)
    display = InitScalePathDisplay.from_results(
        path, X_test=X[16:], y_test=y[16:], time=1.0
    )
    assert_array_equal(display.init_scales, SCALES)
    assert_allclose(display.richness, path.richness[::-1, 1])
    assert_allclose(display.coefs, path.coefs[::-1, 1])
    rest = y[16:] - path.predict(X[16:])[::-1, 1]
    spread = np.sum((y[16:] - y[16:].mean()) ** 2)
    assert_allclose(display.scores[:, 0], 1 - np.sum(rest**2, axis=1) / spread)
    assert display.score_band_ is None
    with pytest.raises(ValueError, match="one of the path's"):
        InitScalePathDisplay.from_results(path, time=2.0)
    with pytest.raises(ValueError, match="go together"):
        InitScalePathDisplay.from_results(path, X_test=X)
    with pytest.raises(ValueError, match="metric is for searches"):
        InitScalePathDisplay.from_results(path, metric="score")


def test_a_path_of_classifiers_is_scored_by_its_labels(data):
    X, y = data
    path = init_scale_path(
        X, y > 0, estimator=DiagonalNetClassifier(), init_scales=[0.1, 10], times=[1, 9]
    )
    display = InitScalePathDisplay.from_results(path, X_test=X, y_test=y > 0)
    hits = path.predict(X)[::-1, 1] == (y > 0)
    assert_allclose(display.scores[:, 0], hits.mean(axis=1))
    assert display.score_name == "accuracy"


@pytest.mark.parametrize("own", [True, False])
def test_a_search_stands_at_the_best_times(data, own):
    kind = DiagonalNetRegressorCV if own else InitScaleSearchCV
    args = {} if own else {"estimator": DiagonalNetRegressor()}
    search = kind(**args, init_scales=SCALES, times=TIMES, cv=3).fit(*data)
    display = InitScalePathDisplay.from_results(search)
    table = search.cv_results_["mean_test_score"].reshape(3, 3)[::-1]
    assert_allclose(display.scores.mean(axis=1), table.max(axis=1))
    best = search.cv_results_["params"][search.best_index_]
    assert display.chosen == best["init_scale"]
    assert display.richness is None
    assert not display.regime_bands_
    # What cv_results_ alone does not say.
    again = InitScalePathDisplay.from_results(search.cv_results_, units="paper")
    assert_allclose(again.scores, display.scores)
    assert again.ax_.get_xlabel() == "initialisation scale (paper's units)"


def test_grid_searches_with_a_richness(data):
    pipe = make_pipeline(StandardScaler(), clone(LIMIT))
    grid = {"diagonalnetregressor__init_scale": SCALES}
    scoring = {"r2": "r2", "richness": richness_scorer}
    search = GridSearchCV(pipe, grid, scoring=scoring, refit=False, cv=3)
    display = InitScalePathDisplay.from_results(search.fit(*data))
    assert_allclose(display.scores.mean(axis=1), search.cv_results_["mean_test_r2"])
    assert_allclose(display.richness, search.cv_results_["mean_test_richness"])
    assert display.ax_[0].get_ylabel() == "test score, R²"
    with pytest.raises(ValueError, match="metric='mse'"):
        InitScalePathDisplay.from_results(search, metric="mse")


def test_the_end_of_flows_has_no_place_on_a_map(data):
    scoring = {"r2": "r2", "richness": richness_scorer, "mse": "neg_mean_squared_error"}
    search = InitScaleSearchCV(
        net(), init_scales=SCALES, times=[*TIMES, np.inf], cv=2, scoring=scoring,
        refit="r2",
    ).fit(*data)  # fmt: skip
    display = RegimeMapDisplay.from_results(search)
    assert_array_equal(display.others, TIMES)
    for name, shown in (("r2", display.scores), ("richness", display.richness)):
        table = search.cv_results_[f"mean_test_{name}"].reshape(3, 4)[::-1]
        assert_allclose(shown, table[:, :3])
    path = InitScalePathDisplay.from_results(search, metric="mse")
    assert path.ax_[0].get_ylabel() == "test score, mse"
    with pytest.raises(ValueError, match="metric=None"):
        InitScalePathDisplay.from_results(search.cv_results_)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "neg mean squared error"),
        ({"criterion": "gcv"}, "negative GCV"),
        ({"scoring": "r2"}, "R²"),
    ],
)
def test_scores_bear_their_names(data, options, name):
    if "criterion" not in options:
        options = {"times": TIMES, "cv": 2, **options}
    search = DiagonalNetRegressorCV(init_scales=SCALES[:2], **options).fit(*data)
    display = InitScalePathDisplay.from_results(search)
    assert display.ax_.get_ylabel() == f"test score, {name}"


def test_what_is_no_path_is_refused(data):
    with pytest.raises(TypeError, match="init_scale"):
        InitScalePathDisplay.from_estimator(BaggingRegressor(), *data)
    with pytest.raises(TypeError, match="from_estimator"):
        InitScalePathDisplay.from_results(DiagonalNetRegressor())
    search = GridSearchCV(DiagonalNetRegressor(), {"depth": [2, 3]}, cv=2).fit(*data)
    with pytest.raises(ValueError, match="over init_scale"):
        InitScalePathDisplay.from_results(search)
    with pytest.raises(ValueError, match="panels"):
        InitScalePathDisplay.from_estimator(
            DiagonalNetRegressor(), *data, panels="knots"
        )
    with pytest.raises(ValueError, match="for the panel 'score'"):
        InitScalePathDisplay.from_estimator(LIMIT, *data, panels="richness", cv=3)
    relu = ShallowReLURegressor(
        n_hidden=5, max_time=0.1, early_stopping=False, random_state=0
    )
    x, y = curve(data)
    with pytest.raises(ValueError, match="neither coefficients"):
        InitScalePathDisplay.from_estimator(
            relu, x, y, init_scales=[1.0], panels="coefs"
        )
    with pytest.raises(ValueError, match="no norm in excess"):
        InitScalePathDisplay.from_estimator(
            relu, x, y, init_scales=[1.0], panels="excess"
        )
    with pytest.raises(ValueError, match="units='paper'"):
        InitScalePathDisplay.from_estimator(DiagonalNetRegressor(units="paper"), *data)


# -- places on figures -----------------------------------------------------------------


def test_one_axes_is_split_and_several_are_used(path_display):
    figure, (left, right) = plt.subplots(1, 2)
    display = path_display.plot(left, panels=("score", "richness"))
    assert display.figure_ is figure
    assert len(display.ax_) == 2
    assert not left.axison
    with pytest.raises(ValueError, match="split before"):
        path_display.plot(left, panels=("score", "richness"))
    assert path_display.plot(right, panels="score").ax_ is right
    _, axes = plt.subplots(2, 2)
    assert_array_equal(
        path_display.plot(axes[0], panels=["score", "coefs"]).ax_, axes[0]
    )
    with pytest.raises(ValueError, match="must be one Axes or 3"):
        path_display.plot(axes[0], panels=("score", "richness", "coefs"))


def test_without_matplotlib_it_says_what_to_install(path_display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install skregimes\[plot\]"):
        path_display.plot()


# -- trajectories ----------------------------------------------------------------------


def curve(data):
    return data[0][:, :1], data[1]


def holes(data):
    return np.where(data[0][:8, :6] > 1, np.nan, data[0][:8, :6]), None


def entries(data):
    rows, cols = np.divmod(np.arange(24), 5)
    return np.column_stack([rows, cols]), data[1]


def labels(data):
    return data[0], data[1] > 0


def curve_labels(data):
    return data[0][:, :1], data[0][:, 0] > 0.1


FLOWS = {
    "diagonal": (net(), tuple, "coefficient"),
    "jumps": (
        DiagonalNetRegressor(
            depth=3, solver="inverse_scale_space", early_stopping=False
        ),
        tuple,
        "coefficient",
    ),
    "labels": (
        DiagonalNetClassifier(early_stopping=False, log_loss_tol=-3.0),
        labels,
        "coefficient",
    ),
    "relu": (
        ShallowReLURegressor(
            n_hidden=10, max_time=5.0, early_stopping=False, random_state=0
        ),
        curve,
        "knot",
    ),
    "relu, two features": (
        ShallowReLURegressor(
            n_hidden=10, max_time=1.0, early_stopping=False, random_state=0
        ),
        lambda data: (data[0][:, :2], data[1]),
        None,
    ),
    "relu labels": (
        ShallowReLUClassifier(n_hidden=10, max_time=3.0, random_state=0),
        curve_labels,
        "knot",
    ),
    "table": (MatrixFactorizer(random_state=0), holes, "singular value"),
    "imputer": (MatrixFactorizationImputer(random_state=0), holes, "singular value"),
    "entries": (MatrixCompletionRegressor(random_state=0), entries, "singular value"),
    "sensing": (
        MatrixSensingRegressor((5, 6), random_state=0),
        tuple,
        "singular value",
    ),
}


@pytest.mark.parametrize("name", FLOWS)
def test_every_flow_has_a_picture(data, name):
    estimator, take, kind = FLOWS[name]
    X, y = take(data)
    fit = clone(estimator).fit(X, y) if y is not None else clone(estimator).fit(X)
    path = fit.trajectory_
    display = TrajectoryDisplay.from_estimator(fit)
    assert_allclose(np.exp(display.log_time), path.time)
    assert_allclose(display.richness, path.richness)
    assert display.richness[-1] == pytest.approx(fit.richness_, abs=1e-6)
    assert np.exp(display.log_loss[-1]) == pytest.approx(fit.loss_)
    assert display.clock_ == "time"
    # The line ends where the fit did.
    for line in display.end_lines_:
        assert line.get_xdata()[0] == pytest.approx(fit.time_)
    (line,) = display.lines_["loss"]
    x, loss = line.get_data()
    assert loss[-1] == pytest.approx(fit.loss_)
    # ... and passes through the recorded points.
    drawn = display.lines_["richness"][0].get_ydata()
    found = np.interp(np.log(path.time[1:]), np.log(x), drawn)
    assert_allclose(found, path.richness[1:], atol=1e-9)
    expected = ["training loss", "richness"] + ([] if kind is None else [f"{kind}s"])
    assert [panel.get_ylabel() for panel in display.ax_] == expected
    assert display.ax_[-1].get_xlabel() == "time (relative)"
    if kind == "coefficient":
        assert_allclose(display.values[-1], np.ravel(fit.coef_))
    elif kind == "singular value":
        assert_allclose(display.values[-1], fit.singular_values_, atol=1e-8)
    elif kind == "knot":
        low, high = display.value_range
        assert_allclose([low, high], [X.min(), X.max()])


def test_steps_begin_at_the_start(data):
    estimator, take, _ = FLOWS["jumps"]
    display = TrajectoryDisplay.from_estimator(estimator, *take(data))
    first = display.lines_["values"][0]
    assert first.get_drawstyle() == "steps-post"
    assert all(line.get_ydata()[0] == 0 for line in display.lines_["values"])
    # The kernel regime lasts until the first jump.
    kernel = min(display.regime_bands_, key=lambda band: band.get_x())
    jump = np.exp(display.log_time[1])
    assert kernel.get_x() + kernel.get_width() == pytest.approx(jump, rel=0.02)


def test_the_clock_of_a_late_classifier_is_its_loss(data):
    X, y = labels(data)
    fit = DiagonalNetClassifier(early_stopping=False, log_loss_tol=-1e3).fit(X, y)
    display = TrajectoryDisplay.from_estimator(fit)
    assert display.clock_ == "loss"
    assert list(display.lines_) == ["richness", "values"]
    x, richness = display.lines_["richness"][0].get_data()
    path = fit.trajectory_
    assert x[-1] == pytest.approx(path.log_loss[0] + 1e3, rel=1e-3)
    assert richness[-1] == pytest.approx(fit.richness_)
    ends = [line.get_ydata()[-1] for line in display.lines_["values"]]
    assert_allclose(ends, fit.coef_[0] / np.linalg.norm(fit.coef_[0]))
    assert display.plot(panels="loss").ax_.get_ylabel() == "- ln(training loss)"
    with pytest.raises(ValueError, match="clock='loss'"):
        display.plot(clock="time")
    with pytest.raises(ValueError, match="must be one of"):
        display.plot(clock="steps")


def test_what_ended_a_fit_is_said(data):
    X, y = data
    ends = {
        "gcv": "stopped by GCV",
        True: "stopped on held-out data",
    }
    for early_stopping, end in ends.items():
        fit = DiagonalNetRegressor(early_stopping=early_stopping, random_state=0)
        display = TrajectoryDisplay.from_estimator(fit.fit(X, y))
        (text,) = display.ax_[0].get_legend().get_texts()
        assert text.get_text() == end
    assert TrajectoryDisplay.from_estimator(net(), X, y).end == "end of the fit"
    fit.converged_ = False
    assert TrajectoryDisplay.from_estimator(fit).end == "broke off"


def test_a_trajectory_alone_and_what_holds_one(data):
    X, y = data
    pipe = make_pipeline(StandardScaler(), net())
    search = GridSearchCV(pipe, {"diagonalnetregressor__init_scale": SCALES}, cv=2)
    display = TrajectoryDisplay.from_estimator(search, X, y)
    path = search.fit(X, y).best_estimator_[-1].trajectory_
    assert_allclose(display.values, path.coef)
    alone = TrajectoryDisplay.from_results(path, units="paper", panels="values")
    assert_allclose(alone.values, path.coef)
    assert alone.ax_.get_xlabel() == "time (paper's units)"


def test_targets_and_classes_of_trajectories(data):
    X, y = data
    Y = np.column_stack([y, X[:, 2]])
    fit = net().fit(X, Y)
    with pytest.raises(ValueError, match="2 targets"):
        TrajectoryDisplay.from_estimator(fit)
    display = TrajectoryDisplay.from_estimator(fit, target=1)
    assert_allclose(display.values, fit.trajectory_[1].coef)
    classes = np.digitize(y, [-1, 1])
    fit = DiagonalNetClassifier(early_stopping=False, log_loss_tol=-2.0)
    fit.fit(X, classes)
    display = TrajectoryDisplay.from_estimator(fit, target=2)
    assert_allclose(display.values, fit.trajectory_.coef[:, 2])
    with pytest.raises(ValueError, match="leave out target"):
        TrajectoryDisplay.from_estimator(net().fit(X, y), target=0)


def test_what_has_no_way_is_refused(data):
    X, y = data
    with pytest.raises(NotFittedError):
        TrajectoryDisplay.from_estimator(net())
    limit = DiagonalNetRegressor(early_stopping=False).fit(X, y)
    with pytest.raises(ValueError, match="dual_mirror"):
        TrajectoryDisplay.from_estimator(limit)
    x, y = curve(data)
    at_start = ShallowReLURegressor(n_hidden=10, random_state=0).fit(x, y)
    with pytest.raises(ValueError, match="stopped at its start"):
        TrajectoryDisplay.from_estimator(at_start)
    with pytest.raises(TypeError, match="no trajectory_"):
        TrajectoryDisplay.from_estimator(StandardScaler().fit(X))
    with pytest.raises(ValueError, match="panels"):
        TrajectoryDisplay.from_estimator(net(), X, y, panels="knots")


# -- maps ------------------------------------------------------------------------------


def test_a_map_over_times_is_what_shorter_fits_have(data):
    display = RegimeMapDisplay.from_estimator(
        net(), *data, init_scales=SCALES, values=TIMES
    )
    for i, scale in enumerate(SCALES):
        for j, time in enumerate(TIMES):
            fit = clone(net(scale)).set_params(max_time=time).fit(*data)
            assert display.richness[i, j] == pytest.approx(fit.richness_, abs=0.03)
    assert display.ax_.get_xlabel() == "initialisation scale (relative)"
    assert display.ax_.get_ylabel() == "time (relative)"
    assert display.colorbar_.ax.get_ylabel() == "richness"


def test_a_map_of_scores_is_that_of_a_search(data):
    display = RegimeMapDisplay.from_estimator(
        net(), *data, init_scales=SCALES, values=np.geomspace(0.1, 10, 6),
        value="score", cv=2,
    )  # fmt: skip
    search = InitScaleSearchCV(
        net(), init_scales=SCALES, times=np.geomspace(0.1, 10, 6), cv=folds(2)
    ).fit(*data)
    table = search.cv_results_["mean_test_score"].reshape(3, 6)[::-1]
    assert_allclose(display.scores, table)
    best = search.best_params_["init_scale"], search.best_params_["max_time"]
    assert_allclose(display.best_.get_offsets()[0], best)
    assert display.contours_ is not None
    assert_array_equal(display.contours_.levels, [0.1, 0.9])
    assert display.colorbar_.ax.get_ylabel() == "test score, R²"
    again = RegimeMapDisplay.from_results(search)
    assert_allclose(again.scores, table)
    assert again.richness is None
    assert again.ax_.get_ylabel() == "time (relative)"
    plain = display.plot(value="richness", colorbar=False)
    assert plain.colorbar_ is None
    assert plain.best_ is None
    assert {text.get_text() for text in plain.names_} <= {
        "kernel",
        "transition",
        "rich",
    }
    assert plain.names_


def test_a_map_over_losses_is_what_fits_of_that_loss_have(data):
    X, y = data
    exact = net().set_params(rtol=1e-3)
    fits = [clone(exact).set_params(max_time=time).fit(X, y) for time in (0.3, 1, 5)]
    # At the start the net is the mean.
    falls = [np.log(y.var() / 2 / fit.loss_) for fit in fits]
    display = RegimeMapDisplay.from_estimator(
        exact, X, y, against="loss", init_scales=[0.1, 1.0], values=falls
    )
    richness = [fit.richness_ for fit in fits]
    assert_allclose(display.richness[0], richness, atol=0.03)
    assert max(richness) > min(richness) + 0.2
    label = "fall of the natural log of the training loss"
    assert display.ax_.get_ylabel() == label


def test_falls_beyond_the_end_are_blank(data):
    X, y = data
    display = RegimeMapDisplay.from_estimator(
        net(), X[:, 2:5], y, against="loss", init_scales=SCALES,
        values=[0.001, 0.002, 0.003, 0.004, 100.0],
    )  # fmt: skip
    assert np.all(np.isnan(display.richness[:, -1]))
    assert np.all(np.isfinite(display.richness[:, :-1]))
    assert display.ax_.get_ylim()[1] == 0.004


def test_a_classifier_reaches_the_falls_asked_for(data):
    display = RegimeMapDisplay.from_estimator(
        DiagonalNetClassifier(), *labels(data), against="loss",
        init_scales=[0.1, 10], values=np.geomspace(0.1, 100, 6),
    )  # fmt: skip
    assert np.all(np.isfinite(display.richness))
    assert np.all(np.diff(display.richness) > 0)


def test_a_map_over_samples_nests_them(data):
    X, y = data
    limit = lambda scale: clone(LIMIT).set_params(init_scale=scale)
    display = RegimeMapDisplay.from_estimator(
        LIMIT, X, y, against="n_samples", init_scales=SCALES[1:], values=[8, 24]
    )
    assert display.richness[0, 1] == pytest.approx(limit(0.1).fit(X, y).richness_)
    part = np.random.RandomState(0).permutation(24)[:8]
    fit = limit(0.1).fit(X[part], y[part])
    assert display.richness[0, 0] == pytest.approx(fit.richness_)
    assert display.ax_.get_ylabel() == "number of samples"
    scored = RegimeMapDisplay.from_estimator(
        LIMIT, X, y, against="n_samples", init_scales=SCALES[1:], value="score", cv=3
    )
    assert scored.others[-1] == 16
    scores = cross_val_score(limit(SCALES[2]), X, y, cv=folds(3))
    assert scored.scores[1, -1] == pytest.approx(scores.mean())
    with pytest.raises(ValueError, match="at most 24"):
        RegimeMapDisplay.from_estimator(
            LIMIT, X, y, against="n_samples", init_scales=SCALES, values=[8, 25]
        )


def test_a_map_over_a_parameter(data):
    pipe = make_pipeline(StandardScaler(), clone(LIMIT))
    display = RegimeMapDisplay.from_estimator(
        pipe, *data, against="depth", init_scales=SCALES, values=[2, 3], value="score",
        cv=3,
    )  # fmt: skip
    pipe.set_params(diagonalnetregressor__init_scale=0.1, diagonalnetregressor__depth=3)
    scores = cross_val_score(pipe, *data, cv=folds(3))
    assert display.scores[1, 1] == pytest.approx(scores.mean())
    # Few values are rows, with their numbers.
    assert display.names_[0].get_text() == f"{display.scores[0, 0]:.2f}"
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["2", "3"]
    with pytest.raises(ValueError, match="needs values"):
        RegimeMapDisplay.from_estimator(pipe, *data, against="depth")
    with pytest.raises(ValueError, match="or a parameter"):
        RegimeMapDisplay.from_estimator(pipe, *data, against="width", values=[1])


def test_searches_over_two_parameters(data):
    grid = {"init_scale": SCALES, "depth": [2, 3], "fit_intercept": [True, False]}
    scoring = {"score": "r2", "richness": richness_scorer}
    search = GridSearchCV(LIMIT, grid, scoring=scoring, refit=False, cv=2).fit(*data)
    with pytest.raises(ValueError, match="against=None"):
        RegimeMapDisplay.from_results(search)
    display = RegimeMapDisplay.from_results(search, against="depth")
    rows = search.cv_results_
    for i, scale in enumerate(SCALES):
        for j, depth in enumerate((2, 3)):
            same = (rows["param_init_scale"] == scale) & (rows["param_depth"] == depth)
            best = np.flatnonzero(same)[np.argmax(rows["mean_test_score"][same])]
            assert display.scores[i, j] == rows["mean_test_score"][best]
            assert display.richness[i, j] == rows["mean_test_richness"][best]


def test_a_classifier_search_is_a_map_over_losses(data):
    levels = [-0.8, -2.0, -4.0, -8.0, -16.0]
    search = DiagonalNetClassifierCV(SCALES, log_loss_tols=levels, cv=2)
    display = RegimeMapDisplay.from_results(search.fit(*labels(data)))
    assert_allclose(display.others, np.negative(levels))
    assert_allclose(display.scores, search.scores_.mean(axis=-1)[::-1])
    assert display.ax_.get_ylabel() == "- ln(training loss)"
    assert display.score_name == "neg log loss"


def test_a_path_is_a_map(data):
    X, y = data
    path = init_scale_path(
        X, y, estimator=net(), init_scales=SCALES, times=[*TIMES, np.inf]
    )
    display = RegimeMapDisplay.from_results(path, X_test=X, y_test=y)
    assert_array_equal(display.others, TIMES)
    assert_allclose(display.richness, path.richness[::-1, :-1])
    assert display.scores.shape == (3, 3)
    one = init_scale_path(X, y, init_scales=SCALES, times=[1.0])
    with pytest.raises(ValueError, match="at least two"):
        RegimeMapDisplay.from_results(one)
    with pytest.raises(ValueError, match="for searches"):
        RegimeMapDisplay.from_results(path, against="depth")


def test_maps_refuse_what_does_not_go_together(data):
    with pytest.raises(ValueError, match="value='margin'"):
        RegimeMapDisplay.from_estimator(net(), *data, value="margin")
    with pytest.raises(ValueError, match="against='loss'"):
        RegimeMapDisplay.from_estimator(net(), *data, against="loss", value="score")
    with pytest.raises(ValueError, match="for value='score'"):
        RegimeMapDisplay.from_estimator(net(), *data, cv=3)
    paper = net().set_params(units="paper")
    with pytest.raises(ValueError, match="units='paper'"):
        RegimeMapDisplay.from_estimator(paper, *data, init_scales=SCALES)
    with pytest.raises(ValueError, match="for an InitScalePath"):
        RegimeMapDisplay.from_results({}, X_test=data[0])
    display = RegimeMapDisplay(
        init_scales=SCALES, others=TIMES, richness=np.full((3, 3), 0.5)
    )
    with pytest.raises(ValueError, match="value='score'"):
        display.plot(value="score")


# -- seen by a reader ------------------------------------------------------------------


def test_borders_of_maps_are_where_paths_have_them():
    scales, richness = np.geomspace(0.1, 100, 4), np.array([0.95, 0.5, 0.05, 0.01])
    display = RegimeMapDisplay(
        init_scales=scales,
        others=np.geomspace(0.1, 10, 9),
        richness=np.tile(richness[:, None], 9),
    ).plot()
    for level, border in zip(
        display.contours_.levels, display.contours_.get_paths(), strict=True
    ):
        wanted = np.interp(-level, -richness, np.log(scales))
        # Exact but for the spacing of the finer grid.
        assert_allclose(np.log(border.vertices[:, 0]), wanted, atol=0.03)


def test_a_search_of_its_own_has_a_trajectory(data):
    fit = DiagonalNetRegressorCV(init_scales=[0.1], times=[1.0, 10.0], cv=2).fit(*data)
    assert len(TrajectoryDisplay.from_estimator(fit).log_time) > 2


def test_labels_are_no_numbers_of_classes(data):
    X, y = data
    codes = np.array(["a", "b", "c"])[np.digitize(y, [-1, 1])]
    with pytest.raises(ValueError, match="in the order of classes_"):
        InitScalePathDisplay.from_estimator(
            DiagonalNetClassifier(rtol=0.1), X, codes, init_scales=[0.1, 1.0],
            target="a", panels="coefs",
        )  # fmt: skip


def test_idle_targets_are_refused(data):
    search = InitScaleSearchCV(net(), init_scales=SCALES[:2], times=TIMES, cv=2)
    search.fit(*data)
    for display in (InitScalePathDisplay, RegimeMapDisplay):
        with pytest.raises(ValueError, match="y_test"):
            display.from_results(search, y_test=data[1])


def test_drawn_displays_pickle(path_display):
    again = pickle.loads(pickle.dumps(path_display.plot()))
    assert_array_equal(again.init_scales, path_display.init_scales)
