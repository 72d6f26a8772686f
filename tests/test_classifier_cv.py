"""Cross-validated choice of the scale and the training loss of classifiers."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from skregimes import (
    DiagonalNetClassifier,
    DiagonalNetClassifierCV,
    InitScaleSearchCV,
    init_scale_path,
)

SMALL = {"init_scales": [3.0, 0.01], "log_loss_tols": [-1.0, -2.0, -4.0], "cv": 2}

TINY = {"init_scales": [0.1], "log_loss_tols": [-1.0, -3.0], "cv": 2}


def table(n_classes=2, n_samples=30, seed=0, **options):
    """Return a table whose classes a hyperplane separates, labelled by strings."""
    settings = {"n_informative": 4, "n_redundant": 0, "class_sep": 3.0, "flip_y": 0}
    X, y = make_classification(
        n_samples, 8, n_classes=n_classes, n_clusters_per_class=1,
        random_state=seed, **(settings | options),
    )  # fmt: skip
    return X, np.array(["left", "middle", "right"])[y]


def overlapping(n_samples=60):
    """Return a table of classes that overlap in every fold."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 2))
    return X, (X[:, 0] + 2 * rng.normal(size=n_samples) > 0).astype(int)


@parametrize_with_checks(
    [DiagonalNetClassifierCV([3.0], log_loss_tols=[-0.8], rtol=0.1, cv=2)]
)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("n_classes", "options"),
    [
        (2, {}),
        (3, {"loss": "exponential", "depth": 3}),
        (2, {"fit_intercept": False, "units": "paper", "class_weight": "balanced"}),
    ],
)
def test_it_is_grid_search_over_the_same_grid(n_classes, options):
    X, y = table(n_classes)
    options = options | {"rtol": 1e-4}  # flows that are only compared take ten times it
    model = DiagonalNetClassifierCV(**SMALL, **options).fit(X, y)
    search = GridSearchCV(
        DiagonalNetClassifier(early_stopping=False, **options),
        {"init_scale": [3.0, 0.01], "log_loss_tol": [-1.0, -2.0, -4.0]},
        scoring="neg_log_loss",
        cv=2,
    ).fit(X, y)
    assert model.init_scale_ == search.best_params_["init_scale"]
    assert model.log_loss_tol_ == search.best_params_["log_loss_tol"]
    assert model.best_index_ == search.best_index_
    np.testing.assert_allclose(model.best_score_, search.best_score_, atol=1e-3)
    for name in ("mean_test_score", "std_test_score", "split1_test_score"):
        mine, others = model.cv_results_[name], search.cv_results_[name]
        np.testing.assert_allclose(mine, others, atol=1e-3)
    assert model.cv_results_["params"] == search.cv_results_["params"]
    assert [*model.cv_results_["rank_test_score"]] == [
        *search.cv_results_["rank_test_score"]
    ]
    np.testing.assert_array_equal(model.coef_, search.best_estimator_.coef_)


def test_the_chosen_fit_has_all_attributes_of_a_single_one():
    X, y = table()
    model = DiagonalNetClassifierCV(**SMALL).fit(X, y)
    single = DiagonalNetClassifier(
        model.init_scale_, log_loss_tol=model.log_loss_tol_, early_stopping=False
    ).fit(X, y)
    for name in [name for name in vars(single) if name.endswith("_")]:
        assert hasattr(model, name), name
    np.testing.assert_array_equal(model.predict_proba(X), single.predict_proba(X))
    np.testing.assert_array_equal(model.tangent_kernel(X), single.tangent_kernel(X))
    assert model.regime_ == single.regime_
    assert model.separable_
    assert model.excess_l1_margin_ == single.excess_l1_margin_
    assert model.scores_.shape == (2, 3, 2)
    best = np.unravel_index(model.best_index_, (2, 3))
    assert model.scores_.mean(axis=2)[best] == model.best_score_
    assert model.init_scales_[best[0]] == model.init_scale_
    assert model.log_loss_tols_[best[1]] == model.log_loss_tol_
    np.testing.assert_allclose(model.log_loss_, model.log_loss_tol_, rtol=1e-9)


def test_the_default_grid():
    X, y = table(n_samples=30)
    model = DiagonalNetClassifierCV(cv=2, init_scales=[0.3]).fit(X, y)
    share = np.bincount(np.unique(y, return_inverse=True)[1]) / len(y)
    fall = np.log(-share @ np.log(share)) - model.log_loss_tols_
    np.testing.assert_allclose(fall, np.geomspace(0.02, 100, 25))
    assert model._settings().get_params()["early_stopping"] is False
    scales = DiagonalNetClassifierCV(log_loss_tols=[-1.0], cv=2).fit(X, y).init_scales_
    np.testing.assert_array_equal(scales, [30, 3, 0.3, 0.03, 1e-3])


def test_levels_are_those_of_the_flow_however_fine():
    X, y = table()
    train, test = next(StratifiedKFold(3).split(X, y))
    levels = -np.geomspace(0.5, 300, 6)
    model = DiagonalNetClassifierCV(
        [0.1], log_loss_tols=levels, cv=[(train, test)], rtol=1e-4
    ).fit(X, y)
    for level, score in zip(levels, model.scores_[0, :, 0], strict=True):
        fit = DiagonalNetClassifier(log_loss_tol=level, rtol=1e-5)
        p = fit.fit(X[train], y[train]).predict_proba(X[test])
        np.testing.assert_allclose(score, -log_loss(y[test], p), atol=2e-3)


# -- classes that overlap, ties ------------------------------------------------


def test_folds_that_come_to_rest_answer_by_their_end():
    X, y = overlapping()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = DiagonalNetClassifierCV(
            [1.0], log_loss_tols=[-50.0, -5.0, -500.0], cv=3
        ).fit(X, y)
    assert np.ptp(model.scores_, axis=1).max() == 0
    assert model.log_loss_tol_ == -5.0  # the first of equals
    assert model.log_loss_ > -1.0
    assert not model.separable_
    ends = [
        DiagonalNetClassifier(1.0, early_stopping=False)
        .fit(X[train], y[train])
        .predict_proba(X[test])
        for train, test in StratifiedKFold(3).split(X, y)
    ]
    scores = [
        -log_loss(y[test], p)
        for p, (_, test) in zip(ends, StratifiedKFold(3).split(X, y), strict=True)
    ]
    np.testing.assert_allclose(model.scores_[0, 0], scores, rtol=1e-6)


def test_of_equal_scores_the_largest_scale_and_the_earliest_stop_win():
    X, y = table(class_sep=20.0)
    model = DiagonalNetClassifierCV(**SMALL, scoring="accuracy").fit(X, y)
    assert np.all(model.scores_ == 1)
    assert (model.init_scale_, model.log_loss_tol_) == (3.0, -1.0)
    X = np.ones_like(X)  # nothing to learn: all pairs are the same
    model = DiagonalNetClassifierCV(**SMALL).fit(X, y)
    assert (model.init_scale_, model.log_loss_tol_) == (3.0, -1.0)
    assert not model.coef_.any()


def test_sparse_classes_ask_for_a_small_scale():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 100))
    y = X[:, 0] + X[:, 1] > 0
    model = DiagonalNetClassifierCV([30.0, 1e-3], log_loss_tols=[-1.0, -3.0], cv=3)
    assert model.fit(X, y).init_scale_ == 1e-3
    assert {*np.argsort(-np.abs(model.coef_[0]))[:2]} == {0, 1}


# -- scores and weights --------------------------------------------------------


def of_probabilities(model, X, y):
    """Score a model by its least probability of a right class."""
    p = model.predict_proba(X)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p)
    return p[np.arange(len(y)), np.searchsorted(model.classes_, y)].min()


@pytest.mark.parametrize(
    "scoring",
    ["accuracy", "roc_auc_ovr", "neg_brier_score", make_scorer(accuracy_score)],
)
def test_any_scorer(scoring):
    X, y = table(3, class_sep=1.0)
    model = DiagonalNetClassifierCV([0.1], log_loss_tols=[-1.0], cv=2, scoring=scoring)
    search = GridSearchCV(
        DiagonalNetClassifier(0.1, early_stopping=False),
        {"log_loss_tol": [-1.0]},
        scoring=scoring,
        cv=2,
        refit=False,
    ).fit(X, y)
    score = model.fit(X, y).best_score_
    np.testing.assert_allclose(score, search.best_score_, atol=1e-3)


def test_the_log_loss_is_the_default_score():
    X, y = table()
    models = [
        DiagonalNetClassifierCV(**TINY, **options).fit(X, y)
        for options in (
            {},
            {"scoring": None},
            {"scoring": make_scorer(log_loss, greater_is_better=False,
                                    response_method="predict_proba")},
        )
    ]  # fmt: skip
    np.testing.assert_array_equal(models[0].scores_, models[1].scores_)
    np.testing.assert_allclose(models[0].scores_, models[2].scores_, rtol=1e-9)


def test_weights_are_repetitions():
    X, y = table(class_sep=1.0)
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    folds = np.arange(len(y)) % 2
    rows = np.repeat(np.arange(len(y)), weight)
    parts = lambda fold: [(np.flatnonzero(fold != k), np.flatnonzero(fold == k))
                          for k in range(2)]  # fmt: skip
    for scoring in ("neg_log_loss", "accuracy"):
        options = {**TINY, "scoring": scoring}
        weighted = DiagonalNetClassifierCV(**(options | {"cv": parts(folds)}))
        weighted.fit(X, y, sample_weight=weight)
        repeated = DiagonalNetClassifierCV(**(options | {"cv": parts(folds[rows])}))
        repeated.fit(X[rows], y[rows])
        np.testing.assert_allclose(weighted.scores_, repeated.scores_, rtol=1e-9)
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)


def test_a_scorer_without_weights_is_told():
    X, y = table(class_sep=1.0)
    weight = np.linspace(1, 2, len(y))
    model = DiagonalNetClassifierCV(**TINY, scoring=of_probabilities)
    with pytest.warns(UserWarning, match="takes no sample_weight"):
        model.fit(X, y, sample_weight=weight)
    assert np.all((model.scores_ > 0) & (model.scores_ < 1))


def test_folds_of_groups_and_jobs():
    X, y = table()
    groups = np.arange(len(y)) % 5
    splits = list(GroupKFold(2).split(X, y, groups))
    options = TINY | {"cv": splits, "log_loss_tols": [-1.0]}
    one = DiagonalNetClassifierCV(**options).fit(X, y)
    two = DiagonalNetClassifierCV(**options, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.scores_, two.scores_)
    masks = [tuple(np.isin(np.arange(len(y)), part) for part in s) for s in splits]
    three = DiagonalNetClassifierCV(**(options | {"cv": masks})).fit(X, y)
    np.testing.assert_array_equal(one.scores_, three.scores_)


# -- bad input -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log_loss_tols": [0.1, -1.0]}, "below that of equal probabilities, -0.36"),
        ({"log_loss_tols": [0.0], "loss": "exponential"}, "equal probabilities, 0"),
        ({"log_loss_tols": [[-1.0]]}, "1-D array of natural logs"),
        ({"log_loss_tols": []}, "0 sample"),
        ({"log_loss_tols": [-np.inf]}, "infinity"),
        ({"log_loss_tols": [np.nan]}, "NaN"),
        ({"init_scales": [0.0, 1.0]}, "init_scales must be"),
        ({"units": "paper", "init_scales": None}, "units='paper' needs init_scales"),
        ({"init_shape": [1.0, -1.0]}, "init_shape must be 8 positive"),
        ({"scoring": "no_such_score"}, "no_such_score"),
        ({"cv": 1}, "must be an int in the range"),
        ({"cv": []}, "no folds"),
        ({"cv": 40}, "n_splits=40"),
        ({"depth": 0}, "depth"),
    ],
)
def test_options_that_make_no_sense(options, message):
    X, y = table()
    with pytest.raises(ValueError, match=message):
        DiagonalNetClassifierCV(**(SMALL | options)).fit(X, y)


def test_labels_of_any_type():
    X, y = table(3)
    known = DiagonalNetClassifierCV(**TINY).fit(X, y)
    codes = np.searchsorted(known.classes_, y)
    for labels in (np.array(["left", "middle", "right"], dtype=object), [-2, 0, 7]):
        other = DiagonalNetClassifierCV(**TINY).fit(X, np.array(labels)[codes])
        np.testing.assert_array_equal(known.scores_, other.scores_)
        np.testing.assert_array_equal(other.classes_, labels)
    numbers = np.array([-2, 0, 7], dtype=object)[codes]
    other = DiagonalNetClassifierCV(**TINY).fit(X, numbers)
    np.testing.assert_array_equal(known.scores_, other.scores_)


def test_grids_are_sorted_and_distinct():
    X, y = table()
    model = DiagonalNetClassifierCV(
        [0.1, 1.0, 0.1], log_loss_tols=[-3.0, -1.0, -3.0], cv=2
    ).fit(X, y)
    np.testing.assert_array_equal(model.init_scales_, [1.0, 0.1])
    np.testing.assert_array_equal(model.log_loss_tols_, [-1.0, -3.0])


def test_positive_levels_where_the_loss_starts_above_one():
    X, y = table(3)
    model = DiagonalNetClassifierCV([0.1], log_loss_tols=[0.05, -2.0], cv=3).fit(X, y)
    np.testing.assert_array_equal(model.log_loss_tols_, [0.05, -2.0])
    assert model.scores_[0, 0].max() > -np.log(3)


def test_classes_missing_in_a_training_part():
    X, y = table(3)
    y = np.where(y == "right", "left", y)
    y[7] = "single"
    with (
        pytest.warns(UserWarning, match=r"\['single'\] are missing in training"),
        pytest.warns(UserWarning, match="least populated class"),
    ):
        model = DiagonalNetClassifierCV(**SMALL).fit(X, y)
    assert [*model.classes_] == ["left", "middle", "single"]
    assert np.all(np.isfinite(model.scores_))


@pytest.mark.parametrize(
    "split",
    [
        lambda y: (np.flatnonzero(y == "left"), np.flatnonzero(y != "left")),
        lambda y: (np.flatnonzero(y != "left"), np.flatnonzero(y == "left")),
        lambda y: (np.arange(30), np.arange(0)),
    ],
)
def test_folds_that_cannot_be_scored(split):
    X, y = table(3)
    with pytest.raises(ValueError, match="Fold 0 has"):
        DiagonalNetClassifierCV(**(SMALL | {"cv": [split(y)]})).fit(X, y)


def test_one_class():
    X, y = table()
    with pytest.raises(ValueError, match="only one class"):
        DiagonalNetClassifierCV(**SMALL).fit(X, np.full(len(y), "all"))


def test_scores_that_are_nan():
    X, y = table()
    worst = lambda model, X, y: np.nan
    with pytest.raises(ValueError, match="All scores are nan"):
        DiagonalNetClassifierCV(**SMALL, scoring=worst).fit(X, y)
    late = lambda model, X, y: np.ptp(model.decision_function(X))
    some = lambda model, X, y: np.nan if late(model, X, y) < 4 else late(model, X, y)
    with pytest.warns(UserWarning, match="Some scores are nan"):
        model = DiagonalNetClassifierCV(**SMALL, scoring=some).fit(X, y)
    assert np.isnan(model.scores_).any()
    assert np.isfinite(model.best_score_)


def test_flows_that_break_off_are_reported():
    X, y = table()
    with pytest.raises(RuntimeError, match="broke off after 3 steps"):
        DiagonalNetClassifierCV(**SMALL, max_iter=3).fit(X, y)


# -- searches and paths of the classifier itself -------------------------------


def test_a_search_over_times():
    X, y = table(class_sep=1.0)
    times = [0.3, 10.0]
    search = InitScaleSearchCV(
        DiagonalNetClassifier(), init_scales=[3.0, 0.01], times=times, cv=2,
        scoring="neg_log_loss",
    ).fit(X, y)  # fmt: skip
    grid = GridSearchCV(
        DiagonalNetClassifier(early_stopping=False),
        {"init_scale": [3.0, 0.01], "max_time": times},
        scoring="neg_log_loss",
        cv=2,
    ).fit(X, y)
    assert search.best_params_ == grid.best_params_
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"],
        grid.cv_results_["mean_test_score"],
        atol=2e-3,
    )
    np.testing.assert_allclose(
        search.predict_proba(X), grid.predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize(("n_classes", "n_scores"), [(2, 1), (3, 3)])
def test_a_path_of_classifiers(n_classes, n_scores):
    X, y = table(n_classes)
    times, scales = [1.0, 30.0, np.inf], [3.0, 0.01]
    path = init_scale_path(
        X, y, estimator=DiagonalNetClassifier(), init_scales=scales, times=times
    )
    assert path.coefs.shape == (2, 3, n_scores, X.shape[1])
    assert path.intercepts.shape == (2, 3, n_scores)
    assert path.predict(X).shape == (2, 3, len(y))
    assert {*path.predict(X).ravel()} <= {*y}
    for i, scale in enumerate(scales):
        end = path.estimators[i]
        assert end.log_loss_ == pytest.approx(-1000)
        np.testing.assert_allclose(path.coefs[i, 2], end.coef_, rtol=1e-12)
        np.testing.assert_allclose(path.richness[i, 2], end.richness_, rtol=1e-12)
        for j, time in enumerate(times[:2]):
            fit = DiagonalNetClassifier(scale, max_time=time).fit(X, y)
            size = np.abs(fit.coef_).max()
            np.testing.assert_allclose(path.coefs[i, j], fit.coef_, atol=1e-2 * size)
            assert path.richness[i, j] == pytest.approx(fit.richness_, abs=0.01)
    assert np.all(np.diff(path.richness, axis=0) > 0)
