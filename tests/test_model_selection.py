"""Choosing the scale and the time, alone and inside scikit-learn's own searches."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_regression
from sklearn.ensemble import BaggingRegressor, StackingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV, SelectFromModel
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skregimes import DiagonalNetRegressor, DiagonalNetRegressorCV, init_scale_path

SCALES, TIMES = [10.0, 0.3, 1e-3], [0.3, 3.0, 30.0]


def table(n_samples=24, n_features=30, n_targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features)) * np.geomspace(0.3, 5, n_features)
    beta = np.zeros((n_features, n_targets or 1))
    beta[:3] = rng.standard_normal((3, n_targets or 1)) + 2
    Y = X @ beta + 0.5 * rng.standard_normal((n_samples, n_targets or 1)) + 4
    return X, (Y if n_targets else Y[:, 0])


def close(a, b, tol=1e-6):
    np.testing.assert_allclose(a, b, rtol=0, atol=tol * np.max(np.abs(b)))


# -- the path --------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_path_is_that_of_single_fits(depth, fit_intercept):
    X, y = table(12)
    y = 50 * y
    weight = np.random.default_rng(0).uniform(0.5, 2, 12)
    shape = np.linspace(0.5, 1.5, 30)
    shared = {"depth": depth, "fit_intercept": fit_intercept, "init_shape": shape}
    limit = init_scale_path(X, y, init_scales=SCALES, sample_weight=weight, **shared)
    flow = init_scale_path(
        X, y, init_scales=SCALES[::-1], times=TIMES, sample_weight=weight, rtol=1e-6,
        **shared,
    )  # fmt: skip
    for path in (limit, flow):
        np.testing.assert_array_equal(path.init_scales, SCALES)
    np.testing.assert_array_equal(limit.times, [np.inf])
    np.testing.assert_array_equal(flow.times, TIMES)
    assert flow.coefs.shape == (3, 3, 30)
    for i, scale in enumerate(SCALES):
        model = DiagonalNetRegressor(scale, early_stopping=False, rtol=1e-6, **shared)
        model.fit(X, y, weight)
        close(limit.coefs[i, 0], model.coef_, 1e-5)
        close(limit.intercepts[i, 0], model.intercept_, 1e-5)
        assert limit.richness[i, 0] == pytest.approx(model.richness_, abs=1e-4)
        assert limit.alphas[i] == pytest.approx(model.alpha_)
        for j, time in enumerate(TIMES):
            model.set_params(max_time=time).fit(X, y, weight)
            close(flow.coefs[i, j], model.coef_, 1e-4)
            close(flow.intercepts[i, j], model.intercept_, 1e-4)
            assert flow.richness[i, j] == pytest.approx(model.richness_, abs=1e-3)


def test_the_path_in_the_units_of_the_papers():
    X, y = table(12)
    path = init_scale_path(X, y, init_scales=[1.0, 0.01], times=[1e-2], units="paper")
    for i, alpha in enumerate(path.alphas):
        model = DiagonalNetRegressor(
            alpha, units="paper", early_stopping=False, max_time=1e-2
        ).fit(X, y)
        close(path.coefs[i, 0], model.coef_, 1e-3)


def test_the_default_path_goes_from_kernel_to_rich():
    path = init_scale_path(*table(12))
    assert path.coefs.shape == (25, 1, 30)
    assert np.all(np.diff(path.richness[:, 0]) > 0)
    assert path.richness[0, 0] < 0.1
    assert path.richness[-1, 0] > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_scales": [0.0, 1.0]}, "init_scales must be"),
        ({"init_scales": [[1.0]]}, "init_scales must be"),
        ({"init_scales": [np.nan]}, "init_scales contains NaN"),
        ({"times": [-1.0]}, "times must be"),
        ({"times": []}, "minimum of 1"),
        ({"units": "paper"}, "needs init_scales"),
        ({"depth": 0}, "depth"),
        ({"sample_weight": [-1.0] * 24}, "[Nn]egative"),
        ({"n_jobs": 2}, "n_jobs is for estimator"),
        ({"estimator": DiagonalNetRegressor(), "depth": 2}, "depth must be set on"),
        ({"estimator": DiagonalNetRegressor(), "times": [np.nan]}, "times must be"),
        ({"estimator": DiagonalNetRegressor(units="paper")}, "needs init_scales"),
    ],
)
def test_bad_paths(options, message):
    with pytest.raises(ValueError, match=message):
        init_scale_path(*table(), **options)
    with pytest.raises(RuntimeError, match="max_iter"):
        init_scale_path(*table(), init_scales=[1.0], times=[10.0], max_iter=2)


@pytest.mark.parametrize("n_targets", [None, 2])
@pytest.mark.parametrize("depth", [2, 3])
def test_the_path_of_an_estimator_is_that_of_single_fits(depth, n_targets):
    X, y = table(12, n_targets=n_targets)
    weight = np.random.default_rng(0).uniform(0.5, 2, 12)
    net = DiagonalNetRegressor(depth=depth, rtol=1e-5)
    times = [*TIMES, np.inf]
    path = init_scale_path(
        X, y, estimator=net, init_scales=SCALES, times=times, sample_weight=weight
    )
    outputs = () if n_targets is None else (2,)
    np.testing.assert_array_equal(path.init_scales, SCALES)
    np.testing.assert_array_equal(path.times, times)
    assert path.coefs.shape == (3, 4, *outputs, 30)
    assert path.intercepts.shape == path.richness.shape == (3, 4, *outputs)
    assert path.alphas.shape == (3, *outputs)
    predicted = path.predict(X)
    assert predicted.shape == (3, 4, 12, *outputs)
    singles = [
        [
            clone(net)
            .set_params(init_scale=scale, early_stopping=False, max_time=time)
            .fit(X, y, weight)
            for time in [*TIMES, None]
        ]
        for scale in SCALES
    ]
    gather = lambda value: np.array([[value(fit) for fit in row] for row in singles])
    # Between recorded points a trajectory is exact to about 1e-3 of its final size.
    close(path.coefs, gather(lambda fit: fit.coef_), 2e-3)
    close(path.intercepts, gather(lambda fit: fit.intercept_), 2e-3)
    close(path.richness, gather(lambda fit: fit.richness_), 3e-2)
    close(predicted, gather(lambda fit: fit.predict(X)), 2e-3)
    close(path.alphas, gather(lambda fit: fit.alpha_)[:, 0])


def test_both_ways_to_a_path_agree():
    X, y = table(12)
    for times in (None, TIMES):
        options = {"init_scales": SCALES, "times": times}
        quick = init_scale_path(X, y, depth=3, rtol=1e-5, **options)
        net = DiagonalNetRegressor(depth=3, rtol=1e-5)
        slow = init_scale_path(X, y, estimator=net, n_jobs=2, **options)
        assert quick.estimators is None
        for name in ("init_scales", "times", "alphas"):
            np.testing.assert_allclose(getattr(quick, name), getattr(slow, name))
        for name in ("coefs", "intercepts", "richness"):
            close(getattr(quick, name), getattr(slow, name), 5e-3)
        close(quick.predict(X), slow.predict(X), 2e-3)


def test_richness_jumps_along_the_sweeping_limit():
    X, y = table(12)
    net = DiagonalNetRegressor(depth=4)
    path = init_scale_path(
        X, y, estimator=net, init_scales=[1e-60], times=[0.5, 1.0, 3.0]
    )
    (fit,) = path.estimators
    assert fit.solver_ == "inverse_scale_space"
    assert set(path.richness[0]) <= set(fit.trajectory_.richness)
    assert len(set(path.richness[0])) > 1


def test_the_default_path_of_an_estimator():
    path = init_scale_path(*table(12), estimator=DiagonalNetRegressor())
    np.testing.assert_array_equal(path.init_scales, [30.0, 3.0, 0.3, 0.03, 1e-3])
    assert all(fit.solver_ == "limit" for fit in path.estimators)
    assert np.all(np.diff(path.richness[:, 0]) > 0)


# -- DiagonalNetRegressorCV ------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_cv_is_grid_search_over_the_same_grid(depth):
    X, y = table()
    cv = KFold(3, shuffle=True, random_state=0)
    model = DiagonalNetRegressorCV(
        init_scales=SCALES, times=TIMES, depth=depth, cv=cv
    ).fit(X, y)
    search = GridSearchCV(
        DiagonalNetRegressor(depth=depth, early_stopping=False),
        {"init_scale": SCALES, "max_time": TIMES},
        cv=cv,
        scoring="neg_mean_squared_error",
    ).fit(X, y)
    ours, theirs = model.cv_results_, search.cv_results_
    assert [dict(p) for p in ours["params"]] == theirs["params"]
    size = y.var()
    for k in range(3):
        np.testing.assert_allclose(
            ours[f"split{k}_test_score"], theirs[f"split{k}_test_score"],
            rtol=2e-2, atol=2e-2 * size,
        )  # fmt: skip
    np.testing.assert_allclose(
        ours["mean_test_score"], np.mean(-model.mse_path_, axis=-1).ravel()
    )
    assert ours["rank_test_score"][model.best_index_] == 1
    if depth > 1:  # at depth 1 all scales are one
        assert model.best_index_ == search.best_index_
        assert model.init_scale_ == search.best_params_["init_scale"]
        close(model.coef_, search.best_estimator_.coef_, 1e-9)
    assert model.best_score_ == pytest.approx(search.best_score_, rel=5e-2)
    assert model.time_ == pytest.approx(search.best_params_["max_time"])
    assert model.mse_path_.shape == (3, 3, 3)
    fine = clone(model).set_params(path_rtol=1e-5).fit(X, y)
    np.testing.assert_allclose(
        fine.cv_results_["mean_test_score"], theirs["mean_test_score"], rtol=1e-3
    )


def test_folds_see_nothing_of_one_another():
    # What a fold's test part holds must not matter to its own predictions.
    X, y = table()
    train, test = np.arange(12), np.arange(12, 24)
    model = DiagonalNetRegressorCV(
        init_scales=SCALES, times=TIMES, cv=[(train, test)], path_rtol=1e-5
    ).fit(X, y)
    for i, scale in enumerate(SCALES):
        single = DiagonalNetRegressor(scale, early_stopping=False, max_time=3.0)
        error = np.mean(
            (y[test] - single.fit(X[train], y[train]).predict(X[test])) ** 2
        )
        assert model.mse_path_[i, 1, 0] == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("units", ["relative", "paper"])
def test_the_chosen_fit_has_all_attributes_of_a_single_one(units):
    X, y = table()
    grid = {"times": [0.01, 0.1]} if units == "paper" else {}
    model = DiagonalNetRegressorCV(
        init_scales=[1.0, 0.1], n_times=5, cv=3, units=units, **grid
    ).fit(X, y)
    single = DiagonalNetRegressor(
        model.init_scale_, units=units, early_stopping=False, max_time=model.time_
    ).fit(X, y)
    own = {name for name in vars(single) if name.endswith("_")}
    assert own <= {name for name in vars(model) if name.endswith("_")}
    np.testing.assert_allclose(model.coef_, single.coef_)
    assert model.regime_ == single.regime_
    assert model.excess_l1_ == pytest.approx(single.excess_l1_)
    np.testing.assert_allclose(model.tangent_kernel(X), single.tangent_kernel(X))
    np.testing.assert_allclose(X @ model.coef_ + model.intercept_, model.predict(X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_default_grid_and_its_size():
    X, y = table()
    model = DiagonalNetRegressorCV(n_times=7, cv=2).fit(X, y)
    assert len(model.times_) == 7
    assert model.mse_path_.shape == (len(model.init_scales_), 7, 2)
    assert np.all(np.diff(model.init_scales_) < 0)
    assert model.score(X, y) > 0.9
    assert model.init_scale_ in model.init_scales_


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gcv_is_the_best_of_single_fits(depth):
    X, y = table()
    model = DiagonalNetRegressorCV(
        init_scales=SCALES, criterion="gcv", depth=depth, path_rtol=1e-4
    ).fit(X, y)
    single = [DiagonalNetRegressor(s, depth=depth).fit(X, y) for s in SCALES]
    gcv = [fit.gcv_ for fit in single]
    np.testing.assert_allclose(model.gcv_path_, gcv, rtol=2e-2)
    if depth > 1:
        assert model.init_scale_ == SCALES[np.argmin(gcv)]
        close(model.coef_, single[np.argmin(gcv)].coef_, 1e-2)
    np.testing.assert_allclose(model.cv_results_["mean_test_score"], -model.gcv_path_)
    assert model.best_score_ == -np.min(model.gcv_path_)
    assert not hasattr(model, "mse_path_")


def test_gcv_at_depth_three_chooses_the_time_only():
    X, y = table()
    model = DiagonalNetRegressorCV(criterion="gcv", depth=3).fit(X, y)
    assert len(model.init_scales_) == 1
    assert model.df_ > 0


@pytest.mark.parametrize("criterion", ["cv", "gcv"])
def test_several_targets_share_one_pair(criterion):
    X, Y = table(n_targets=2)
    options = {"init_scales": SCALES, "criterion": criterion}
    if criterion == "cv":
        options |= {"times": TIMES, "cv": 3}
    model = DiagonalNetRegressorCV(**options).fit(X, Y)
    assert model.coef_.shape == (2, 30)
    parts = [DiagonalNetRegressorCV(**options).fit(X, y) for y in Y.T]
    mean = np.mean([part.cv_results_["mean_test_score"] for part in parts], axis=0)
    np.testing.assert_allclose(model.cv_results_["mean_test_score"], mean, rtol=1e-2)
    assert isinstance(model.init_scale_, float)


def test_scoring():
    X, y = table()
    options = {"init_scales": SCALES, "times": TIMES, "cv": 3}
    name = DiagonalNetRegressorCV(scoring="neg_mean_absolute_error", **options)
    function = DiagonalNetRegressorCV(
        scoring=make_scorer(mean_absolute_error, greater_is_better=False), **options
    )
    search = GridSearchCV(
        DiagonalNetRegressor(early_stopping=False),
        {"init_scale": SCALES, "max_time": TIMES},
        cv=3,
        scoring="neg_mean_absolute_error",
    )
    expected = search.fit(X, y).cv_results_["mean_test_score"]
    for model in (name, function):
        scores = model.fit(X, y).cv_results_["mean_test_score"]
        np.testing.assert_allclose(scores, expected, rtol=2e-2)
        assert model.best_score_ == np.max(scores)
    X, Y = table(n_targets=2)
    model = DiagonalNetRegressorCV(scoring="r2", **options).fit(X, Y)
    assert model.best_score_ <= 1


def test_weights():
    X, y = table()
    weight = np.random.default_rng(0).uniform(0.5, 2, 24)
    options = {"init_scales": SCALES, "times": TIMES, "cv": 3, "path_rtol": 1e-5}
    model = DiagonalNetRegressorCV(**options).fit(X, y, weight)
    folds = KFold(3).split(X)
    errors = []
    for train, test in folds:
        single = DiagonalNetRegressor(0.3, early_stopping=False, max_time=3.0)
        single.fit(X[train], y[train], weight[train])
        residual = y[test] - single.predict(X[test])
        errors.append(np.average(residual**2, weights=weight[test]))
    np.testing.assert_allclose(model.mse_path_[1, 1], errors, rtol=1e-3)
    # Samples of weight zero are as good as absent, from training and from scores.
    zero = np.where(np.arange(24) % 8 == 0, 0.0, 1.0)
    keep = np.flatnonzero(zero)
    place = np.cumsum(zero).astype(int) - 1
    cv = list(KFold(3).split(X))
    inner = [tuple(place[part[zero[part] > 0]] for part in fold) for fold in cv]
    options["cv"] = cv
    weighted = DiagonalNetRegressorCV(**options).fit(X, y, zero)
    options["cv"] = inner
    absent = DiagonalNetRegressorCV(**options).fit(X[keep], y[keep])
    np.testing.assert_allclose(weighted.mse_path_, absent.mse_path_, rtol=1e-9)
    close(weighted.coef_, absent.coef_)
    options["cv"] = 3
    with pytest.raises(ValueError, match="weight zero"):
        DiagonalNetRegressorCV(**options).fit(X, y, np.arange(24) >= 8)
    for criterion in ("cv", "gcv"):
        with pytest.raises(ValueError, match=r"[Nn]egative"):
            DiagonalNetRegressorCV(criterion=criterion).fit(X, y, -zero)


def test_gcv_counts_repetitions():
    X, y = table()
    count = np.random.default_rng(0).integers(0, 4, 24)
    model = DiagonalNetRegressorCV(init_scales=SCALES, criterion="gcv")
    weighted = clone(model).fit(X, y, count)
    again = clone(model).fit(np.repeat(X, count, axis=0), np.repeat(y, count))
    np.testing.assert_allclose(weighted.gcv_path_, again.gcv_path_, rtol=1e-5)
    close(weighted.coef_, again.coef_, 1e-5)


def test_jobs_change_nothing():
    X, y = table()
    options = {"init_scales": SCALES, "times": TIMES, "cv": 2}
    one = DiagonalNetRegressorCV(**options).fit(X, y)
    two = DiagonalNetRegressorCV(n_jobs=2, **options).fit(X, y)
    np.testing.assert_array_equal(one.mse_path_, two.mse_path_)
    np.testing.assert_array_equal(one.coef_, two.coef_)


@pytest.mark.parametrize("criterion", ["cv", "gcv"])
def test_nothing_to_learn(criterion):
    X, _ = table()
    model = DiagonalNetRegressorCV(criterion=criterion).fit(X, np.full(24, 3.0))
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.intercept_ == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_scales": [-1.0]}, "init_scales must be"),
        ({"times": [0.0]}, "times must be"),
        ({"units": "paper"}, "needs init_scales"),
        ({"units": "paper", "init_scales": [1.0]}, "needs times"),
        ({"criterion": "aic"}, "criterion"),
        ({"cv": 100}, "n_splits=100"),
        ({"n_times": 0}, "n_times"),
        ({"path_rtol": 0.0}, "path_rtol"),
        ({"scoring": "nonsense"}, "nonsense"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        DiagonalNetRegressorCV(**options).fit(*table())


def test_paths_that_break_off_are_reported():
    with pytest.raises(RuntimeError, match="Increase max_iter"):
        DiagonalNetRegressorCV(max_iter=3).fit(*table())


def test_deep_and_tiny_scales_are_reported():
    # A single fit would take another road there; flows side by side cannot.
    model = DiagonalNetRegressorCV(
        depth=4, init_scales=[1.0, 1e-60], n_times=5, cv=2, max_iter=3000
    )
    with pytest.raises(RuntimeError, match="leave out the smallest init_scales"):
        model.fit(*table())


# -- scikit-learn's own tools ----------------------------------------------------------

MODEL = DiagonalNetRegressor()
GRID = {"init_scale": [10.0, 0.1]}


@pytest.mark.parametrize(
    "search",
    [
        GridSearchCV(MODEL, GRID, cv=2),
        RandomizedSearchCV(MODEL, GRID, n_iter=2, cv=2, random_state=0),
        HalvingGridSearchCV(MODEL, GRID, cv=2, min_resources=8, random_state=0),
        StackingRegressor([("net", MODEL), ("ridge", Ridge())], cv=2),
        BaggingRegressor(MODEL, n_estimators=3, random_state=0),
        TransformedTargetRegressor(MODEL, func=np.arcsinh, inverse_func=np.sinh),
        make_pipeline(StandardScaler(), SelectFromModel(MODEL), Ridge()),
        make_pipeline(RFECV(MODEL, cv=2, step=10, min_features_to_select=5), Ridge()),
        make_pipeline(StandardScaler(), DiagonalNetRegressorCV(criterion="gcv")),
    ],
    ids=lambda search: type(search).__name__,
)
def test_meta_estimators(search):
    X, y = table()
    assert clone(search).fit(X, y).score(X, y) > 0.5


def test_selection_finds_the_signal():
    X, y = table(40, 60)
    model = DiagonalNetRegressor(1e-3)
    chosen = SelectFromModel(model, threshold="mean").fit(
        StandardScaler().fit_transform(X), y
    )
    # The three columns with a coefficient have the least variance of all.
    assert set(np.flatnonzero(chosen.get_support())) & {0, 1, 2}


@pytest.mark.parametrize(
    "model",
    [
        DiagonalNetRegressor(),
        DiagonalNetRegressorCV(init_scales=[0.1], n_times=3, cv=2),
    ],
    ids=["single", "cv"],
)
def test_feature_names(model):
    X, y = table()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(30)])
    model = clone(model).fit(frame, pd.Series(y))
    np.testing.assert_array_equal(model.feature_names_in_, frame.columns)
    close(model.predict(frame), clone(model).fit(X, y).predict(X), 1e-12)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])
    assert list(model.tangent_kernel(frame[:2]).shape) == [2, 2]


def test_weights_are_routed():
    X, y = table()
    weight = np.random.default_rng(0).uniform(0.1, 3, 24)
    with sklearn.config_context(enable_metadata_routing=True):
        model = DiagonalNetRegressor().set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        search = GridSearchCV(model, GRID, cv=2)
        search.fit(X, y, sample_weight=weight)
        plain = GridSearchCV(clone(model), GRID, cv=2).fit(X, y)
        assert np.any(
            search.cv_results_["mean_test_score"]
            != plain.cv_results_["mean_test_score"]
        )
        chooser = DiagonalNetRegressorCV(criterion="gcv", init_scales=[0.1])
        chooser.set_fit_request(sample_weight=True).set_score_request(
            sample_weight=True
        )
        scores = cross_validate(chooser, X, y, cv=2, params={"sample_weight": weight})[
            "test_score"
        ]
    assert np.all(np.isfinite(scores))
    direct = DiagonalNetRegressor(**search.best_params_).fit(X, y, weight)
    np.testing.assert_array_equal(search.best_estimator_.coef_, direct.coef_)


def test_nested_cross_validation():
    X, y = table(30)
    model = DiagonalNetRegressorCV(criterion="gcv")
    cv = ShuffleSplit(2, test_size=0.3, random_state=0)
    assert cross_val_score(model, X, y, cv=cv).mean() > 0.3


@pytest.mark.parametrize("criterion", ["cv", "gcv"])
@pytest.mark.parametrize("unit", [1e-180, 1e180])
def test_the_choice_does_not_depend_on_the_units_of_y(criterion, unit):
    X, y = make_regression(40, 60, n_informative=3, noise=5.0, random_state=0)
    fit = lambda y: DiagonalNetRegressorCV(criterion=criterion, n_times=10).fit(X, y)
    plain, scaled = fit(y), fit(unit * y)
    assert plain.init_scale_ == scaled.init_scale_
    np.testing.assert_allclose(scaled.coef_, unit * plain.coef_, rtol=1e-3)


def test_gcv_says_what_it_makes_no_use_of():
    X, y = make_regression(20, 5, random_state=0)
    with pytest.warns(UserWarning, match="no use of cv"):
        DiagonalNetRegressorCV(criterion="gcv", cv=3).fit(X, y)


def test_a_refit_forgets_the_other_criterion():
    X, y = make_regression(30, 10, n_informative=3, noise=1.0, random_state=0)
    model = DiagonalNetRegressorCV(criterion="gcv").fit(X, y)
    assert model.excess_l1_ is not None
    model.set_params(criterion="cv", n_times=5).fit(X, y)
    assert not {"gcv_", "df_", "gcv_path_", "excess_l1_"} & vars(model).keys()


def test_scores_that_are_all_nan_are_refused():
    X, y = make_regression(5, 3, random_state=0)
    model = DiagonalNetRegressorCV(scoring=lambda estimator, X, y: np.nan, n_times=3)
    with pytest.raises(ValueError, match="All scores are nan"):
        model.fit(X, y)


@pytest.mark.parametrize("option", [{"rtol": -1.0}, {"max_iter": "3"}])
def test_the_path_checks_its_options(option):
    X, y = make_regression(20, 5, random_state=0)
    with pytest.raises(ValueError, match=next(iter(option))):
        init_scale_path(X, y, init_scales=[0.1], times=[1.0], **option)


@pytest.mark.parametrize("criterion", ["cv", "gcv"])
def test_callbacks_watch_the_chosen_flow(criterion):
    X, y = make_regression(30, 10, n_informative=3, noise=1.0, random_state=0)
    monitor = ScoringMonitor(scoring="r2")
    model = DiagonalNetRegressorCV(criterion=criterion, n_times=5)
    model.set_callbacks(monitor).fit(X, y)
    assert len(monitor.get_logs().data) > 8
    assert model.set_callbacks().fit(X, y).score(X, y) > 0.5
