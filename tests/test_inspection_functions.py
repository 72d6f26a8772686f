"""Pictures of functions, spectra and tangent kernels: data, artists and labels."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from scipy.interpolate import CubicSpline, make_smoothing_spline
from scipy.linalg import expm, null_space
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted

from skregimes import (
    DiagonalNetClassifier,
    DiagonalNetRegressor,
    InitScaleSearchCV,
    MatrixCompletionRegressor,
    MatrixFactorizationImputer,
    MatrixFactorizer,
    MatrixSensingRegressor,
    ShallowReLUClassifier,
    ShallowReLURegressor,
    TangentKernelRidge,
    init_scale_path,
)
from skregimes.diagnostics import effective_rank, effective_sparsity
from skregimes.inspection import (
    FunctionDisplay,
    SpectrumDisplay,
    TangentKernelDisplay,
)

x = np.array([-2.0, -1.1, -0.3, 0.2, 0.9, 1.3, 2.1, 2.6])
X = x[:, np.newaxis]
y = np.array([1.0, 0.2, -0.5, 0.8, 0.9, 0.1, 0.4, -0.3])
labels = np.array(["no", "no", "yes", "yes", "no", "yes", "yes", "yes"])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def relu(init_scale=1.0, **options):
    settings = {"n_hidden": 24, "early_stopping": False, "random_state": 0}
    settings |= {"max_time": 10.0, "rtol": 1e-2}
    return ShallowReLURegressor(init_scale, **settings | options)


@pytest.fixture
def undrawn(monkeypatch):
    """Kernels are only computed: drawing them takes longer."""
    monkeypatch.setattr(TangentKernelDisplay, "plot", lambda self, ax: self)


@pytest.fixture(scope="module")
def net():
    return relu().fit(X, y)


@pytest.fixture(scope="module")
def classifier():
    options = {"n_hidden": 20, "rtol": 1e-2, "log_loss_tol": -1.0, "random_state": 0}
    return ShallowReLUClassifier(1.0, **options)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    truth = 1 + rng.normal(size=(12, 2)) @ rng.normal(size=(2, 9))
    return truth, np.where(rng.random(truth.shape) < 0.7, truth, np.nan)


@pytest.fixture(scope="module")
def factorizer(table):
    return MatrixFactorizer(early_stopping=False, tol=1e-6).fit(table[1])


@pytest.fixture(scope="module")
def sparse():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(20, 30))
    coef = np.zeros(30)
    coef[:3] = 3.0, -2.0, 1.0
    return features, features @ coef, coef


# -- functions -------------------------------------------------------------------------


def test_a_curve_is_the_prediction_and_has_its_knots(net):
    display = FunctionDisplay.from_estimator(net, X, y)
    name = f"init_scale 1 ({net.regime_})"
    grid = display.grid
    assert_array_equal(display.curves[name], net.predict(grid[:, np.newaxis]))
    assert grid[0] < x.min()
    assert grid[-1] > x.max()
    assert np.all(np.diff(grid) > 0)
    assert np.isin(x, grid).all()
    places, changes = display.knots[name]
    assert_array_equal(places, net.knots_)
    assert_array_equal(changes, net.slope_changes_)
    inside = (places > grid[0]) & (places < grid[-1])
    assert np.isin(places[inside], grid).all()
    (line,) = display.lines_
    assert_array_equal(line.get_ydata(), display.curves[name])
    assert_array_equal(display.points_[0].get_offsets(), np.column_stack([x, y]))
    assert display.ax_.get_xlabel() == "x"
    assert display.ax_.get_ylabel() == "y"
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["data", name]
    assert display.figure_ is display.ax_.figure


def test_the_areas_of_knots_are_their_shares(net):
    display = FunctionDisplay.from_estimator(net, X, y)
    (marks,) = display.knot_marks_
    assert_allclose(marks.get_sizes().sum(), 250.0)
    hollow = marks.get_facecolors()[:, :3].min(axis=1) == 1.0
    assert 0 < hollow.sum() < len(hollow)
    # A mark sits on the curve.
    places, heights = marks.get_offsets().T
    assert_allclose(heights, net.predict(places[:, np.newaxis]), atol=1e-2)
    rug = display.plot(knots="rug").knot_marks_[0]
    tops = np.array([segment[1] for segment in rug.get_segments()])
    assert_allclose(tops[:, 0], places)
    assert_allclose((tops[:, 1] / 0.07) ** 2, marks.get_sizes() / 250, atol=1e-12)
    assert display.plot(knots=None).knot_marks_ == []
    with pytest.raises(ValueError, match="knots must be 'curve', 'rug' or None"):
        display.plot(knots="dots")


def test_splines_are_scipys(net):
    display = FunctionDisplay.from_estimator(
        net, X, y, twins=["cubic", "linear", "smoothing"]
    )
    inside = (display.grid >= x[0]) & (display.grid <= x[-1])
    grid = display.grid[inside]
    cubic = CubicSpline(x, y, bc_type="natural")(grid)
    assert_allclose(display.twins["cubic"][inside], cubic, atol=1e-9)
    assert_allclose(display.twins["linear"][inside], np.interp(grid, x, y), atol=1e-12)
    # Biases spread over [-1, 1], with the features scaled into the unit ball.
    scale = np.max(np.abs(x - x.mean()))
    zeta = net.alpha_**2 / 2 / scale**3
    lam = len(x) / (net.time_ * net.time_unit_ * zeta)
    smooth = make_smoothing_spline(x, y, lam=lam)(grid)
    assert_allclose(display.twins["smoothing"][inside], smooth, atol=1e-8)
    looks = [(line.get_linestyle(), line.get_color()) for line in display.twin_lines_]
    names = [line.get_label() for line in display.twin_lines_]
    assert len(set(looks)) == 3
    assert names == ["least curvature", "linear spline", "smoothing spline"]


def test_a_twin_may_leave_the_picture():
    near = x + np.array([0, 0, 0, 0, 0, 0, 0, -0.49])  # two samples almost in one place
    display = FunctionDisplay.from_estimator(
        LinearRegression(), near[:, np.newaxis], y, twins="cubic"
    )
    low, high = display.ax_.get_ylim()
    values = display.twins["cubic"]
    assert_array_equal(display.twin_lines_[0].get_ydata(), values)
    assert values.max() - values.min() > 3 * (high - low)
    assert low < y.min() < y.max() < high


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"skip_connection": False},
        {"fit_intercept": False, "units": "paper", "max_time": 2.0},
        {"skip_connection": False, "fit_intercept": False},
        {"balance": 1.0, "antisymmetric": False},
    ],
)
def test_the_lazy_twin_is_the_linearized_flow(options):
    net = relu(10.0, **options).fit(X, y)
    display = FunctionDisplay.from_estimator(net, X, y, twins="lazy")
    # In the complement of what is profiled residuals decay by a matrix exponential.
    columns = np.zeros((len(x), 0))
    if net.skip_connection:
        columns = np.column_stack([columns, x])
    if net.fit_intercept:
        columns = np.column_stack([columns, np.ones(len(x))])
    free = null_space(columns.T) if columns.size else np.eye(len(x))
    kernel = free.T @ net.tangent_kernel(X, at="init") @ free / len(x)
    time = net.time_ * (1.0 if net.units == "paper" else net.time_unit_)
    start = next(net.staged_predict(X, [0.0]))
    rest = free @ expm(-time * kernel) @ free.T @ (y - start)
    at_samples = display.twins["lazy"][np.isin(display.grid, x)]
    assert_allclose(at_samples, y - rest, atol=1e-8)


def test_a_large_scale_is_its_lazy_twin():
    display = FunctionDisplay.from_estimator(relu(1e4), X, y, twins="lazy")
    (curve,) = display.curves.values()
    assert_allclose(display.twins["lazy"], curve, atol=1e-3)


def test_twins_are_weighted():
    weight = np.array([1.0, 1, 1, 5, 1, 1, 0, 1])
    keep = weight > 0
    kinds = ["cubic", "linear", "smoothing", "lazy"]
    display = FunctionDisplay.from_estimator(
        relu(), X, y, sample_weight=weight, twins=kinds
    )
    net = relu().fit(X, y, sample_weight=weight)
    (curve,) = display.curves.values()
    assert_array_equal(curve, net.predict(display.grid[:, np.newaxis]))
    assert_allclose(
        display.twins["cubic"][np.isin(display.grid, x[keep])], y[keep], atol=1e-9
    )
    other = FunctionDisplay.from_estimator(net, X[keep], y[keep], twins=kinds)
    same = np.isin(display.grid, x), np.isin(other.grid, x)
    shared = np.isin(x, x[keep])
    for kind in ("cubic", "linear"):
        assert_allclose(
            display.twins[kind][same[0]][shared], other.twins[kind][same[1]], atol=1e-9
        )
    for kind in ("smoothing", "lazy"):
        gap = display.twins[kind][same[0]][shared] - other.twins[kind][same[1]]
        assert np.max(np.abs(gap)) > 1e-4


def test_pipelines_are_drawn_in_their_own_units():
    pipe = make_pipeline(StandardScaler(), relu())
    display = FunctionDisplay.from_estimator(pipe, X, y, twins=["cubic", "lazy"])
    with pytest.raises(NotFittedError):
        check_is_fitted(pipe)
    pipe = clone(pipe).fit(X, y)
    ((places, _),) = display.knots.values()
    assert_allclose(places, x.mean() + x.std() * pipe[-1].knots_)
    (curve,) = display.curves.values()
    assert_array_equal(curve, pipe.predict(display.grid[:, np.newaxis]))
    assert_allclose(display.twins["cubic"][np.isin(display.grid, x)], y, atol=1e-9)
    # Several columns within: no knots, but a lazy twin.
    pipe = make_pipeline(SplineTransformer(5), relu(1e4, skip_connection=False))
    display = FunctionDisplay.from_estimator(pipe, X, y, twins=["lazy", "linear"])
    (curve,) = display.curves.values()
    assert display.knots == {}
    assert_allclose(display.twins["lazy"], curve, atol=1e-3)
    with pytest.raises(ValueError, match="With skip_connection=False the kernel limit"):
        FunctionDisplay.from_estimator(pipe, X, y, twins="cubic")


def test_names_of_frames_are_shown(net):
    frame = pd.DataFrame({"speed": x})
    display = FunctionDisplay.from_estimator(relu(max_time=1.0), frame, y, name="net")
    assert display.ax_.get_xlabel() == "speed"
    assert list(display.curves) == ["net"]


def test_other_regressors_have_data_splines_but_no_knots():
    display = FunctionDisplay.from_estimator(
        KNeighborsRegressor(2), X, y, twins=["cubic", "linear"]
    )
    assert display.knots == {}
    assert display.knot_marks_ == []
    assert list(display.curves) == ["KNeighborsRegressor"]
    cubic = CubicSpline(x, y, bc_type="natural")(x)
    assert_allclose(display.twins["cubic"][np.isin(display.grid, x)], cubic)
    with pytest.raises(ValueError, match="not KNeighborsRegressor"):
        FunctionDisplay.from_estimator(KNeighborsRegressor(2), X, y, twins="lazy")


def test_several_targets():
    Y = np.column_stack([y, y**2])
    net = relu().fit(X, Y)
    display = FunctionDisplay.from_estimator(net, X, Y, target=1, twins="lazy")
    (curve,) = display.curves.values()
    assert_array_equal(curve, net.predict(display.grid[:, np.newaxis])[:, 1])
    assert_array_equal(display.y, Y[:, 1])
    ((_, changes),) = display.knots.values()
    assert_array_equal(changes, net.slope_changes_[:, 1])
    assert display.ax_.get_ylabel() == "y[1]"
    lazy = relu(1e4).fit(X, Y)
    display = FunctionDisplay.from_estimator(lazy, X, Y, target=0, twins="lazy")
    (curve,) = display.curves.values()
    assert_allclose(display.twins["lazy"], curve, atol=1e-3)
    with pytest.raises(ValueError, match="say which by target=0 to 1"):
        FunctionDisplay.from_estimator(net, X, Y)
    with pytest.raises(ValueError, match="target=2 is none of the 2"):
        FunctionDisplay.from_estimator(net, X, Y, target=2)
    coupled = relu(balance=1.0, antisymmetric=False, max_time=1.0).fit(X, Y)
    with pytest.raises(ValueError, match="depend on one another"):
        FunctionDisplay.from_estimator(coupled, X, Y, target=0, twins="lazy")


def test_two_classes(classifier):
    fitted = clone(classifier).fit(X, labels)
    display = FunctionDisplay.from_estimator(fitted, X, labels)
    table = display.grid[:, np.newaxis]
    (curve,) = display.curves.values()
    assert_array_equal(curve, fitted.decision_function(table))
    assert display.ax_.get_ylabel() == "log odds of yes"
    drawn = [points.get_label() for points in display.points_]
    assert drawn == ["class yes", "class no"]
    assert_array_equal(display.points_[1].get_offsets()[:, 0], x[labels == "no"])
    assert len(display.knot_marks_) == 1
    ((_, changes),) = display.knots.values()
    assert_array_equal(changes, fitted.slope_changes_)
    display = FunctionDisplay.from_estimator(fitted, X, labels, target="no")
    (curve,) = display.curves.values()
    assert_array_equal(curve, -fitted.decision_function(table))
    ((_, changes),) = display.knots.values()
    assert_array_equal(changes, -fitted.slope_changes_)
    display = FunctionDisplay.from_estimator(
        fitted, X, labels, target="no", response_method="predict_proba"
    )
    (curve,) = display.curves.values()
    assert_array_equal(curve, fitted.predict_proba(table)[:, 0])
    ((_, changes),) = display.knots.values()
    assert_array_equal(changes, -fitted.slope_changes_)
    assert display.ax_.get_ylabel() == "probability of no"
    with pytest.raises(ValueError, match="a classifier has none"):
        FunctionDisplay.from_estimator(fitted, X, labels, twins="linear")
    with pytest.raises(ValueError, match="target='maybe' is none of"):
        FunctionDisplay.from_estimator(fitted, X, labels, target="maybe")
    with pytest.raises(ValueError, match="response_method must be"):
        FunctionDisplay.from_estimator(fitted, X, labels, response_method="predict")


def test_three_classes(classifier):
    kinds = np.array([0, 0, 1, 1, 2, 2, 1, 1])
    fitted = clone(classifier).fit(X, kinds)
    display = FunctionDisplay.from_estimator(fitted, X, kinds, target=2)
    table = display.grid[:, np.newaxis]
    (curve,) = display.curves.values()
    assert_array_equal(curve, fitted.decision_function(table)[:, 2])
    ((_, changes),) = display.knots.values()
    assert_array_equal(changes, fitted.slope_changes_[:, 2])
    assert display.class_names == ("2", "others")
    with pytest.raises(ValueError, match=r"one of \[0, 1, 2\]"):
        FunctionDisplay.from_estimator(fitted, X, kinds)
    display = FunctionDisplay.from_estimator(LogisticRegression(), X, kinds, target=0)
    assert display.ax_.get_ylabel() == "decision function of 0"


def test_classifiers_without_the_response_are_refused():
    with pytest.raises(ValueError, match="LinearSVC has no predict_proba"):
        FunctionDisplay.from_estimator(
            LinearSVC(), X, labels, response_method="predict_proba"
        )
    stump = make_pipeline(StandardScaler(), NearestCentroid()).fit(X, labels)
    display = FunctionDisplay.from_estimator(stump, X, labels)
    assert display.ax_.get_ylabel() in (
        "decision function of yes",
        "probability of yes",
    )


def test_a_network_without_bends():
    # The affine part fits all, so that the units learn nothing.
    with pytest.warns(UserWarning, match="The affine part fits all samples"):
        flat = relu().fit(X[:2], y[:2])
    display = FunctionDisplay.from_estimator(flat, X[:2], y[:2])
    assert not np.any(display.knot_marks_[0].get_sizes())
    display.figure_.canvas.draw()
    assert len(display.plot(knots="rug").knot_marks_) == 1


def test_several_displays_share_an_axes(net):
    first = FunctionDisplay.from_estimator(net, X, y, name="one", twins="linear")
    second = FunctionDisplay.from_estimator(
        LinearRegression(), X, y, name="two", twins="linear", ax=first.ax_
    )
    assert second.ax_ is first.ax_
    one, two = first.lines_[0], second.lines_[0]
    assert one.get_color() != two.get_color()
    assert one.get_linestyle() != two.get_linestyle()
    texts = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert sorted(texts) == ["data", "linear spline", "one", "two"]
    bare = FunctionDisplay(grid=x, curves={"given": y}).plot(legend=False)
    assert bare.points_ == []
    assert bare.ax_.get_legend() is None
    styled = bare.plot(line_kwargs={"color": "k"})
    assert styled.lines_[0].get_color() == "k"


def test_a_path_has_a_curve_for_each_scale():
    path = init_scale_path(X, y, estimator=relu(), init_scales=[30, 0.3], times=[1, 50])
    display = FunctionDisplay.from_results(path, X, y, twins=["cubic", "linear"])
    wanted = path.predict(display.grid[:, np.newaxis])[:, -1]
    assert_allclose(list(display.curves.values()), wanted, atol=1e-6)
    names = [name.split(" ")[0] for name in display.curves]
    assert names == ["30", "0.3"]
    assert len(display.knots) == 2
    assert display.ax_.get_legend().get_title().get_text() == "init_scale"
    assert_allclose(display.twins["linear"][np.isin(display.grid, x)], y)
    colors = {line.get_color() for line in display.lines_}
    assert len(colors) == 2


def test_a_search_is_fitted_at_each_scale():
    search = InitScaleSearchCV(
        make_pipeline(StandardScaler(), relu(n_hidden=12)),
        init_scales=[30, 0.3],
        times=[1.0, 30.0],
        cv=2,
        scoring="neg_mean_squared_error",
    ).fit(X, y)
    display = FunctionDisplay.from_results(search, X, y)
    best = search.best_params_["shallowreluregressor__init_scale"]
    (name,) = [key for key in display.curves if key.startswith(f"{best:g} ")]
    wanted = search.predict(display.grid[:, np.newaxis])
    assert_allclose(display.curves[name], wanted)
    unfitted = clone(search).set_params(refit=True)
    alone = FunctionDisplay.from_estimator(unfitted, X, y, sample_weight=np.ones(8))
    (curve,) = alone.curves.values()
    assert_allclose(np.interp(x, alone.grid, curve), search.predict(X))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones((8, 2))}, "DecisionBoundaryDisplay"),
        ({"y": y[:5]}, "inconsistent numbers of samples"),
        ({"twins": "quartic"}, "twins must be some of 'cubic', .* got 'quartic'"),
        ({"target": 1}, "y is 1-D"),
        ({"response_method": "predict_proba"}, "is for classifiers"),
    ],
)
def test_bad_arguments_of_functions(change, message):
    with pytest.raises(ValueError, match=message):
        FunctionDisplay.from_estimator(**{"estimator": relu(), "X": X, "y": y} | change)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"balance": 1.0}, "balance > 0"),
        ({"fit_intercept": False}, "fit_intercept=False"),
        (
            {"n_hidden": 2, "init": ([[1.0], [-1.0]], [0.1, 0.2])},
            "arrays as init",
        ),
    ],
)
def test_laws_without_a_spline_are_refused(options, reason):
    net = relu(max_time=0.1, **options)
    with pytest.raises(ValueError, match=f"With {reason} the kernel limit is not"):
        FunctionDisplay.from_estimator(net, X, y, twins="cubic")


def test_bad_results_of_functions(net, sparse):
    with pytest.raises(ValueError, match=r"For an estimator use from_estimator"):
        FunctionDisplay.from_results(net, X, y)
    path = init_scale_path(X, y, init_scales=[1.0])
    with pytest.raises(ValueError, match="keeps no estimators"):
        FunctionDisplay.from_results(path, X, y)
    with pytest.raises(ValueError, match="has a twin 'lazy' of its own"):
        FunctionDisplay.from_results(path, X, y, twins="lazy")
    grid = GridSearchCV(relu(max_time=1.0), {"init_scale": [1.0]}, cv=2).fit(X, y)
    with pytest.raises(ValueError, match="got GridSearchCV"):
        FunctionDisplay.from_results(grid, X, y)


# -- spectra ---------------------------------------------------------------------------


def test_singular_values_beside_the_truth(factorizer, table):
    display = SpectrumDisplay.from_estimator(factorizer, reference=table[0], share=True)
    fitted, reference = display.spectra.values()
    assert_array_equal(fitted, factorizer.singular_values_)
    rest = table[0] - factorizer.offset_
    assert_allclose(reference, np.linalg.svd(rest, compute_uv=False))
    (name, other) = display.effective_
    assert_allclose(display.effective_[name], factorizer.effective_rank_)
    assert_allclose(display.effective_[other], effective_rank(rest))
    share = display.shares_[other]
    assert_allclose(share, np.cumsum(reference**2) / np.sum(rest**2))
    assert other == "reference"
    assert display.lines_[1].get_linestyle() == "None"
    assert_allclose(display.marks_[0].get_xdata(), factorizer.effective_rank_)
    assert_array_equal(display.share_lines_[1].get_ydata(), share)
    assert display.ax_[0].get_ylabel() == "singular value"
    assert display.ax_[1].get_ylabel() == "share of the sum of squares"
    assert "effective" in display.lines_[0].get_label()
    # Holes of what was observed are zeros, once the offsets are off.
    display = SpectrumDisplay.from_estimator(factorizer, reference=table[1])
    holes = np.nan_to_num(table[1] - factorizer.offset_, nan=0.0)
    assert_allclose(
        display.spectra["reference"], np.linalg.svd(holes, compute_uv=False)
    )


def test_offsets_of_other_matrix_models(table):
    truth, holes = table
    imputer = MatrixFactorizationImputer(early_stopping=False, max_time=50.0).fit(holes)
    display = SpectrumDisplay.from_estimator(imputer, reference=truth)
    rest = truth / imputer.feature_scale_ - imputer.offset_
    assert_allclose(display.spectra["reference"], np.linalg.svd(rest, compute_uv=False))
    rows, cols = np.nonzero(~np.isnan(holes))
    model = MatrixCompletionRegressor(early_stopping=False, max_time=50.0)
    display = SpectrumDisplay.from_estimator(
        model, np.column_stack([rows, cols]), holes[rows, cols], reference=truth
    )
    mean = holes[rows, cols].mean()
    assert_allclose(
        display.spectra["reference"], np.linalg.svd(truth - mean, compute_uv=False)
    )


def test_coefficients_by_size(sparse):
    features, targets, coef = sparse
    net = DiagonalNetRegressor(0.01, early_stopping=False).fit(features, targets)
    display = SpectrumDisplay.from_estimator(net, reference=coef, share=True)
    name = f"init_scale 0.01 ({net.regime_})"
    assert_array_equal(display.spectra[name], np.sort(np.abs(net.coef_))[::-1])
    assert_allclose(display.effective_[name], effective_sparsity(net.coef_))
    assert_allclose(display.shares_["reference"][2], 1.0)
    # Zeros are not drawn on a log axis.
    assert np.isnan(display.lines_[1].get_ydata()[3:]).all()
    linear = display.plot(yscale="linear").lines_[1].get_ydata()
    assert_array_equal(linear, display.spectra["reference"])
    assert display.ax_.get_ylabel() == "size of coefficient"
    several = DiagonalNetRegressor(0.01, early_stopping=False, max_time=10.0)
    display = SpectrumDisplay.from_estimator(
        several,
        features,
        np.column_stack([targets, -targets]),
        what="coef",
        reference=np.array([coef, -coef]),
        name="net",
    )
    names = ["net, output 0", "net, output 1", "reference, output 0"]
    assert list(display.spectra)[:3] == names
    # Each target has a regime of its own: none is named.
    both = clone(several).fit(features, np.column_stack([targets, -targets]))
    display = SpectrumDisplay.from_estimator(both)
    assert next(iter(display.spectra)) == "init_scale 0.01, output 0"


def test_eigenvalues_of_the_kernel(net):
    display = SpectrumDisplay.from_estimator(net, X)
    for at, name in (("init", "at the start"), ("end", "at the end")):
        kernel = net.tangent_kernel(X, at=at)
        # Beside what is fitted outside it.
        columns = np.ones((len(X), 1))
        if net.skip_connection:
            columns = np.column_stack([X, columns])
        away = np.eye(len(X)) - columns @ np.linalg.pinv(columns)
        kernel = away @ kernel @ away
        values = np.linalg.eigvalsh(kernel)[::-1]
        assert_allclose(display.spectra[name], np.maximum(values, 0), atol=1e-12)
        assert_allclose(display.effective_[name], effective_rank(kernel), rtol=1e-6)
        assert_allclose(display.shares_[name][0], values[0] / np.trace(kernel))
    assert display.ax_.get_xscale() == display.ax_.get_yscale() == "log"
    assert SpectrumDisplay.from_estimator(net, X, xscale="linear").ax_.get_xscale() == (
        "linear"
    )


def test_spectra_of_arrays_trajectories_and_paths(factorizer, sparse):
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(5, 3))
    display = SpectrumDisplay.from_results({"A": matrix, "values": [1.0, -4.0]})
    assert_allclose(display.spectra["A"], np.linalg.svd(matrix, compute_uv=False))
    assert_array_equal(display.spectra["values"], [4.0, 1.0])
    gram = matrix @ matrix.T
    display = SpectrumDisplay.from_results(gram, what="eigenvalues")
    (values,) = display.spectra.values()
    assert_allclose(values[:3], np.linalg.svd(matrix, compute_uv=False) ** 2)
    assert np.all(values >= 0)

    path = factorizer.trajectory_
    display = SpectrumDisplay.from_results(path, n_times=3)
    assert len(display.spectra) == 3
    assert_array_equal(list(display.spectra.values())[-1], path.singular_values[-1])
    assert display.ax_.get_legend().get_title().get_text() == "time"

    features, targets, _ = sparse
    scales = init_scale_path(features, targets, init_scales=[10.0, 1e-3])
    display = SpectrumDisplay.from_results(scales)
    assert list(display.spectra) == ["10", "0.001"]
    assert display.what == "coef"
    assert_array_equal(
        display.spectra["10"], np.sort(np.abs(scales.coefs[0, -1]))[::-1]
    )
    net = DiagonalNetRegressor(early_stopping=False, max_time=10.0)
    fitted = net.fit(features, targets)
    display = SpectrumDisplay.from_results(fitted.trajectory_)
    last = list(display.spectra.values())[-1]
    assert_allclose(last.sum(), np.abs(fitted.coef_).sum())
    binary = DiagonalNetClassifier(log_loss_tol=-1.0).fit(features, targets > 0)
    display = SpectrumDisplay.from_results(binary.trajectory_, n_times=2)
    assert len(display.spectra) == 2
    assert display.what == "coef"


def test_spectra_of_a_path_over_matrices():
    rng = np.random.default_rng(3)
    measure = rng.normal(size=(14, 12))
    values = measure @ np.outer([1, 0, 2], [1, 2, 0, 1]).ravel()
    model = MatrixSensingRegressor(shape=(3, 4))
    path = init_scale_path(
        measure, values, estimator=model, init_scales=[1e-2, 1e-4], times=[20.0]
    )
    display = SpectrumDisplay.from_results(path)
    assert display.what == "singular_values"
    for fit, found in zip(path.estimators, display.spectra.values(), strict=True):
        assert_array_equal(found, fit.singular_values_)


@pytest.mark.parametrize("what", ["coef", "eigenvalues"])
def test_a_spectrum_of_zeros(what):
    display = SpectrumDisplay.from_results(np.zeros(3), what=what)
    display.figure_.canvas.draw()
    assert list(display.effective_.values()) == [0.0]


def test_spectra_share_an_axes():
    first = SpectrumDisplay.from_results({"one": [2.0, 1.0]})
    second = SpectrumDisplay.from_results({"two": [3.0, 1.0]}, ax=first.ax_)
    assert first.lines_[0].get_color() != second.lines_[0].get_color()
    fig, axes = plt.subplots(1, 2)
    both = second.plot(axes, share=True)
    assert list(both.ax_) == list(axes)
    assert both.figure_ is fig


@pytest.mark.parametrize(
    ("results", "options", "message"),
    [
        ([1.0], {"what": "values"}, "what must be one of"),
        ({}, {}, "results is empty"),
        ([1.0, np.nan], {}, "finite numbers"),
        (np.ones((2, 2)), {"what": "coef"}, "holds no spectrum of coef"),
        (np.ones((2, 3)), {"what": "eigenvalues"}, "symmetric"),
        ([[1.0, 2.0], [0.0, 1.0]], {"what": "eigenvalues"}, "symmetric"),
    ],
)
def test_bad_results_of_spectra(results, options, message):
    with pytest.raises(ValueError, match=message):
        SpectrumDisplay.from_results(results, **options)


def test_bad_estimators_of_spectra(net):
    with pytest.raises(ValueError, match="need samples X"):
        SpectrumDisplay.from_estimator(net)
    with pytest.raises(ValueError, match="has no coef_"):
        SpectrumDisplay.from_estimator(net, X, what="coef")
    with pytest.raises(ValueError, match="compare kernels by"):
        SpectrumDisplay.from_estimator(net, X, reference=np.eye(8))
    with pytest.raises(ValueError, match="KNeighborsRegressor has none of"):
        SpectrumDisplay.from_estimator(KNeighborsRegressor(2), X, y)
    with pytest.raises(ValueError, match="holds neither singular values"):
        SpectrumDisplay.from_results(net.trajectory_)
    path = init_scale_path(X, y, estimator=relu(max_time=1.0), init_scales=[1.0])
    with pytest.raises(ValueError, match="This path holds neither"):
        SpectrumDisplay.from_results(path)


# -- tangent kernels -------------------------------------------------------------------


def shares_of(kernel, targets):
    """Return shares of targets in the leading singular vectors, independently."""
    vectors = np.linalg.svd(kernel)[0]
    parts = (vectors.T @ targets.reshape(len(targets), -1)) ** 2
    return np.cumsum(parts.sum(axis=1)) / np.sum(targets**2)


def test_kernels_of_a_network_of_one_feature(net):
    shuffle = np.random.default_rng(0).permutation(len(x))
    display = TangentKernelDisplay.from_estimator(net, X[shuffle], y[shuffle])
    assert_array_equal(display.order, x)
    assert_array_equal(display.y, y)
    assert_allclose(display.K_init, net.tangent_kernel(X, at="init"))
    assert_allclose(display.K_end, net.tangent_kernel(X))
    # Without what the affine part explains, as the estimator measures it.
    assert_allclose(display.kernel_change_, net.kernel_change_)
    assert_allclose(display.kernel_alignment_, net.kernel_alignment_)
    free = null_space(np.vstack([x, np.ones(8)]))
    inner = free.T @ display.K_end @ free
    assert_allclose(display.eigenvalues_[1][:6], np.linalg.eigvalsh(inner)[::-1])
    wanted = shares_of(inner, free.T @ y)
    assert_allclose(display.target_shares_[1], wanted[: len(display.target_shares_[1])])
    first, second = display.images_
    assert first.get_clim() == second.get_clim()
    shown = free @ inner @ free.T
    assert_allclose(second.get_array(), shown / np.trace(shown) * 8)
    low, high = first.get_clim()
    assert low >= min(image.get_array().min() for image in display.images_)
    assert high <= max(image.get_array().max() for image in display.images_)
    assert display.ax_.shape == (4,)
    title = display.figure_.get_suptitle()
    assert f"{net.kernel_change_:.3g}" in title
    assert display.ax_[1].get_ylabel() == "samples by x"
    assert_array_equal(display.share_lines_[0].get_ydata(), display.target_shares_[0])


def test_where_kernels_are_drawn(net):
    fig, ax = plt.subplots()
    display = TangentKernelDisplay.from_estimator(net, X, y, ax=ax, normalize=False)
    assert len(display.ax_) == 4
    assert display.figure_ is fig
    assert "alignment" in display.ax_[2].get_title()
    P = np.eye(8) - np.linalg.pinv(np.column_stack([x, np.ones(8)])).T @ np.vstack(
        [x, np.ones(8)]
    )
    wanted = P @ display.K_init @ P
    assert_allclose(display.images_[0].get_array(), wanted, atol=1e-9 * wanted.max())
    _, axes = plt.subplots(1, 3)
    display = TangentKernelDisplay.from_estimator(net, X, ax=axes, title=False)
    assert list(display.ax_) == list(axes)
    assert display.target_shares_ is None
    assert display.share_lines_ == []
    with pytest.raises(ValueError, match="ax must be one Axes or 4, not 3"):
        display.from_estimator(net, X, y, ax=axes)


@pytest.mark.usefixtures("undrawn")
def test_samples_are_ordered_and_thinned_out(sparse):
    features, targets, _ = sparse
    net = DiagonalNetRegressor(0.01, early_stopping=False, max_time=10.0)
    net.fit(features, targets)
    display = TangentKernelDisplay.from_estimator(net, features, targets, max_samples=5)
    rows = np.argsort(targets)[[0, 5, 10, 14, 19]]
    assert_array_equal(display.order, targets[rows])
    assert_allclose(display.K_end, net.tangent_kernel(features[rows]))
    display = TangentKernelDisplay.from_estimator(
        net, features, targets, order="feature"
    )
    assert np.all(np.diff(display.order) > 0)
    assert_allclose(np.sort(features[:, 0]), display.order)
    display = TangentKernelDisplay.from_estimator(net, features, targets, order=None)
    assert_allclose(display.K_end, net.tangent_kernel(features))
    assert display.order is None
    assert_allclose(display.kernel_change_, net.kernel_change_)


@pytest.mark.usefixtures("undrawn")
def test_kernels_of_classifiers(classifier):
    features, kinds = load_iris(return_X_y=True)
    features, kinds = features[::5], kinds[::5]
    for model in (clone(classifier), DiagonalNetClassifier(log_loss_tol=-1.0)):
        model.fit(features, kinds)
        display = TangentKernelDisplay.from_estimator(model, features, kinds)
        assert_array_equal(display.order, np.sort(kinds))
        kernel = model.tangent_kernel(features)
        order = np.lexsort([*features.T[::-1], kinds])
        each = [kernel[k, k] if kernel.ndim == 4 else kernel[k] for k in range(3)]
        mean = np.mean(each, axis=0)[np.ix_(order, order)]
        assert_allclose(display.K_end, mean)
        assert display.y.shape == (30, 3)
        one = TangentKernelDisplay.from_estimator(model, features, kinds, target=1)
        assert_allclose(one.K_end, each[1][np.ix_(order, order)])
        assert_array_equal(one.y, kinds[order] == 1)
        with pytest.raises(ValueError, match="target=3 is none of the 3 outputs"):
            TangentKernelDisplay.from_estimator(model, features, kinds, target=3)
    names = np.array(["b", "a"], dtype=object)[kinds[:20]]
    binary = clone(classifier).fit(features[:20], names)
    display = TangentKernelDisplay.from_estimator(binary, features[:20], names)
    assert_allclose(display.kernel_change_, binary.kernel_change_)
    assert_array_equal(display.order, np.sort(names))


@pytest.mark.usefixtures("undrawn")
def test_kernels_of_several_targets():
    Y = np.column_stack([y, y**2])
    net = relu(max_time=5.0).fit(X, Y)
    display = TangentKernelDisplay.from_estimator(net, X, Y, order="y")
    order = np.argsort(y)
    kernel = net.tangent_kernel(X[order])
    assert_allclose(display.K_end, (kernel[0, 0] + kernel[1, 1]) / 2)
    assert display.order is None  # two columns make no ticks
    one = TangentKernelDisplay.from_estimator(net, X, Y, target=1)
    assert_allclose(one.K_end, net.tangent_kernel(X)[1, 1])
    assert_array_equal(one.y, Y[:, 1])
    with pytest.raises(ValueError, match="the kernel has one output"):
        TangentKernelDisplay.from_estimator(relu(max_time=1.0), X, y, target=1)


@pytest.mark.usefixtures("undrawn")
def test_kernels_of_matrices(factorizer, table):
    display = TangentKernelDisplay.from_estimator(factorizer, table[1], max_samples=40)
    rows, cols = np.nonzero(~np.isnan(table[1]))
    chosen = np.linspace(0, len(rows) - 1, 40).round().astype(int)
    pairs = np.column_stack([rows, cols])[chosen]
    assert_allclose(display.K_end, factorizer.tangent_kernel(pairs))
    assert_array_equal(display.y, table[1][rows, cols][chosen])
    assert display.order_name == "row"
    by_value = TangentKernelDisplay.from_estimator(factorizer, table[1], order="y")
    assert_array_equal(by_value.y, np.sort(table[1][rows, cols]))
    marked = np.where(np.isnan(table[1]), -99.0, table[1])
    other = MatrixFactorizer(max_time=1.0, early_stopping=False, missing_values=-99)
    display = TangentKernelDisplay.from_estimator(other, marked)
    assert_array_equal(display.y, marked[rows, cols])

    pairs, values = np.column_stack([rows, cols]), table[0][rows, cols]
    model = MatrixCompletionRegressor(early_stopping=False, max_time=20.0)
    model.fit(pairs, values)
    display = TangentKernelDisplay.from_estimator(model, pairs[::-1], values[::-1])
    assert_allclose(display.K_init, model.tangent_kernel(pairs, at="init"))

    measure = np.random.default_rng(4).normal(size=(10, 6))
    sensing = MatrixSensingRegressor(shape=(2, 3), early_stopping=False, max_time=20.0)
    display = TangentKernelDisplay.from_estimator(sensing, measure, measure[:, 0])
    assert_array_equal(display.order, np.sort(measure[:, 0]))


@pytest.mark.usefixtures("undrawn")
def test_kernels_in_pipelines_and_searches():
    frame = pd.DataFrame({"speed": x})
    pipe = make_pipeline(StandardScaler(), relu(max_time=5.0)).fit(frame, y)
    display = TangentKernelDisplay.from_estimator(pipe, frame, y)
    seen = StandardScaler().fit_transform(X)
    assert_allclose(display.K_end, pipe[-1].tangent_kernel(seen))
    assert display.order_name == "speed"
    search = InitScaleSearchCV(
        relu(n_hidden=20), init_scales=[1.0], times=[1.0, 2.0], cv=2,
        scoring="neg_mean_squared_error",
    ).fit(frame, y)  # fmt: skip
    display = TangentKernelDisplay.from_estimator(search, frame, y)
    assert_allclose(display.K_end, search.tangent_kernel(frame))


@pytest.mark.usefixtures("undrawn")
def test_any_two_kernels():
    rng = np.random.default_rng(5)
    A, B = rng.normal(size=(2, 6, 6))
    A, B, targets = A @ A.T, B @ B.T, rng.normal(size=6)
    display = TangentKernelDisplay.from_results(A, B, targets, order=targets)
    order = np.argsort(targets)
    assert_array_equal(display.K_init, A[np.ix_(order, order)])
    assert_allclose(display.target_shares_[0], shares_of(A, targets))
    assert_allclose(display.kernel_change_, np.linalg.norm(B - A) / np.linalg.norm(A))
    cosine = np.sum(A * B) / np.linalg.norm(A) / np.linalg.norm(B)
    assert_allclose(display.kernel_alignment_, cosine)
    assert_allclose(display.eigenvalues_[1], np.linalg.eigvalsh(B)[::-1])
    centred = TangentKernelDisplay.from_results(A, B, columns=np.ones((6, 1)))
    P = np.eye(6) - 1 / 6
    assert_allclose(
        centred.eigenvalues_[0], np.linalg.eigvalsh(P @ A @ P)[::-1], atol=1e-10
    )
    stacked = TangentKernelDisplay.from_results([A, B], [B, B], max_samples=3)
    assert_allclose(stacked.K_init, ((A + B) / 2)[np.ix_([0, 2, 5], [0, 2, 5])])


def test_groups_are_ticks():
    groups = np.array(["b", "a", "b", "a", "a"])
    display = TangentKernelDisplay.from_results(np.eye(5), 2 * np.eye(5), order=groups)
    assert display.ax_.shape == (3,)
    ticks = display.ax_[0].get_yticks(), display.ax_[0].get_yticklabels()
    assert_array_equal(ticks[0], [1.0, 3.5])
    assert [tick.get_text() for tick in ticks[1]] == ["a", "b"]
    edges = [line.get_ydata()[0] for line in display.ax_[0].lines[:1]]
    assert edges == [2.5]
    assert "2" in display.ax_[1].get_title()


def test_a_target_beyond_the_kernel_has_no_share():
    kernel = np.diag([2.0, 1.0, 0.0])
    display = TangentKernelDisplay.from_results(kernel, np.eye(3), np.ones(3))
    assert_allclose(display.target_shares_[0], [1 / 3, 2 / 3])
    assert_allclose(display.target_shares_[1], [1 / 3, 2 / 3, 1])


def test_bad_arguments_of_kernels(net):
    with pytest.raises(ValueError, match="order must be"):
        TangentKernelDisplay.from_estimator(net, X, y, order="class")
    with pytest.raises(ValueError, match="order='y' needs y"):
        TangentKernelDisplay.from_estimator(net, X, order="y")
    with pytest.raises(ValueError, match="max_samples must be at least 2; got 0"):
        TangentKernelDisplay.from_estimator(net, X, y, max_samples=0)
    with pytest.raises(ValueError, match="LinearRegression has no tangent_kernel"):
        TangentKernelDisplay.from_estimator(LinearRegression(), X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TangentKernelDisplay.from_estimator(net, X, y[:5])
    with pytest.raises(ValueError, match=r"K_end \(2, 3\) must be square"):
        TangentKernelDisplay.from_results(np.eye(2), np.ones((2, 3)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TangentKernelDisplay.from_results(np.eye(2), np.eye(3))


def test_kernels_of_a_twin(net):
    twin = TangentKernelRidge(net, at="end", alpha=1.0).fit(X, y)
    display = TangentKernelDisplay.from_estimator(twin, X, y)
    alone = TangentKernelDisplay.from_estimator(twin.networks_[0], X, y)
    assert_allclose(display.eigenvalues_, alone.eigenvalues_)


def test_a_kernel_needs_samples():
    one = DiagonalNetRegressor().fit(np.eye(3), np.arange(3.0))
    with pytest.raises(ValueError, match="more samples"):
        TangentKernelDisplay.from_estimator(one, np.eye(3)[:1], [1.0])


def test_means_over_outputs_are_said(net):
    both = clone(net).fit(X, np.column_stack([y, -y]))
    display = TangentKernelDisplay.from_estimator(both, X, np.column_stack([y, -y]))
    assert "mean over 2 outputs" in display.figure_.get_suptitle()
    display = TangentKernelDisplay.from_estimator(both, X, y, target=1)
    assert "mean" not in display.figure_.get_suptitle()
