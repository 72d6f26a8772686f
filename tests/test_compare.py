"""A network beside its twins and plain models, and the scorers of the regime."""

import builtins

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skregimes import (
    DiagonalNetClassifier,
    DiagonalNetRegressor,
    DiagonalNetRegressorCV,
    InitScaleSearchCV,
    MatrixCompletionRegressor,
    MatrixSensingRegressor,
    ShallowReLURegressor,
    TangentKernelRidge,
    compare_regimes,
    kernel_change_scorer,
    richness_scorer,
)
from skregimes.limits import linear_spline, max_margin, min_l1_norm, min_nuclear_norm
from skregimes.model_selection._baselines import rich_limit

FOLDS = KFold(3, shuffle=True, random_state=0)


def sparse(n=40, d=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, X[:, :3].sum(axis=1) + 0.1 * rng.normal(size=n)


def test_rows_are_cross_validated_fits():
    X, y = sparse()
    net = DiagonalNetRegressor(0.01)
    table = compare_regimes(net, X, y, cv=3)  # all of it, once
    names = ["DiagonalNetRegressor", "lazy twin", "trained kernel"]
    names += ["rich limit: least l1 norm", "kernel ridge (rbf)", "ridge", "lasso"]
    assert list(table.index) == names
    found = cross_validate(net, X, y, cv=FOLDS, return_estimator=True)
    row = table.loc["DiagonalNetRegressor"]
    assert row["mean_test_score"] == pytest.approx(found["test_score"].mean())
    assert row["std_test_score"] == pytest.approx(found["test_score"].std())
    richness = [fit.richness_ for fit in found["estimator"]]
    assert row["richness"] == pytest.approx(np.mean(richness))
    folds = KFold(5, shuffle=True, random_state=0)
    twin = TangentKernelRidge(net, alpha="cv", cv=folds)
    found = cross_validate(twin, X, y, cv=FOLDS)
    row = table.loc["lazy twin"]
    assert row["mean_test_score"] == pytest.approx(found["test_score"].mean())
    assert row["richness"] == row["kernel_change"] == 0
    # What the data reward is to be seen.
    score = table["mean_test_score"]
    assert score["DiagonalNetRegressor"] > 0.9 > score["lazy twin"] + 0.2
    assert score["trained kernel"] > 0.9
    assert np.all(table["mean_fit_time"] > 0)
    assert table["richness"].isna().tolist() == [False] * 3 + [True] * 4


def test_pipelines_and_searches_are_taken_apart():
    X, y = sparse(30, 10)
    net = DiagonalNetRegressor(
        0.01, standardize=False, early_stopping=False, max_time=100.0
    )
    some = ["network", "lazy twin", "rich limit"]
    for outer in (
        make_pipeline(StandardScaler(), net),
        make_pipeline(
            StandardScaler(),
            InitScaleSearchCV(net, init_scales=[0.01], times=[1.0, 10.0], cv=2),
        ),
    ):
        table = compare_regimes(outer, 100 * X, y, cv=FOLDS, models=some)
        assert table.index[0] == "DiagonalNetRegressor"
        for name, model in {
            "DiagonalNetRegressor": outer,
            "lazy twin": make_pipeline(
                StandardScaler(),
                TangentKernelRidge(
                    net, alpha="cv", cv=KFold(5, shuffle=True, random_state=0)
                ),
            ),
        }.items():
            found = cross_validate(model, 100 * X, y, cv=FOLDS)["test_score"]
            assert table.loc[name, "mean_test_score"] == pytest.approx(found.mean())
        assert 0 < table.loc["DiagonalNetRegressor", "richness"] < 1


def test_several_scores_and_classes():
    X, y = sparse(30, 8)
    codes = np.where(y > 0, "yes", "no")
    table = compare_regimes(
        DiagonalNetClassifier(rtol=1e-2), X, codes, cv=2,
        scoring={"acc": "accuracy", "rich": richness_scorer}, models=["network"],
    )  # fmt: skip
    assert {"mean_test_acc", "std_test_rich"} <= set(table.columns)
    assert table["mean_test_rich"].iloc[0] == pytest.approx(table["richness"].iloc[0])
    table = compare_regimes(
        DiagonalNetClassifier(rtol=1e-2), X, codes, cv=2,
        models=["lazy twin", "rich limit", "kernel machine", "linear"],
    )  # fmt: skip
    assert list(table.index) == [
        "lazy twin", "rich limit: largest l1 margin", "SVC (rbf)", "logistic (l2)",
        "logistic (l1)",
    ]  # fmt: skip
    assert table["mean_test_score"].between(0.4, 1).all()


def test_without_pandas_it_is_a_dict(monkeypatch):
    real = builtins.__import__

    def no_pandas(name, *args, **kwargs):
        if name.startswith("pandas"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    X, y = sparse(20, 5)
    net = DiagonalNetRegressor(max_time=1.0, early_stopping=False)
    frame = compare_regimes(net, X, y, cv=2, models=["network", "linear"])
    monkeypatch.setattr(builtins, "__import__", no_pandas)
    table = compare_regimes(net, X, y, cv=2, models=["network", "linear"])
    assert_array_equal(table.pop("model"), frame.index)
    assert table.keys() == set(frame.columns)
    assert_allclose(table["mean_test_score"], frame["mean_test_score"])


def test_sorted_tables_are_shuffled():
    x = np.linspace(0, 1, 30)[:, None]
    net = ShallowReLURegressor(n_hidden=10, random_state=0, max_time=3.0)
    table = compare_regimes(net, x, x[:, 0] ** 2, cv=3, models=["lazy twin"])
    assert table["mean_test_score"].iloc[0] > 0.95


# -- rich limits -----------------------------------------------------------------------


def test_the_rich_limit_of_a_diagonal_network_is_near_its_end():
    X, y = sparse(20, 40)
    shape = np.linspace(0.5, 2, 40)
    # Depth 2 comes near as slowly as a logarithm.
    for options, atol in (({}, 0.1), ({"depth": 3, "init_shape": shape}, 1e-3)):
        net = DiagonalNetRegressor(1e-12, early_stopping=False, **options)
        name, model = rich_limit(net, 40, y)
        assert name == "least l1 norm"
        assert_allclose(model.fit(X, y).predict(X), y)
        assert_allclose(model.predict(X[::-1]), net.fit(X, y).predict(X[::-1]))
        coef = model[-1].coef_ / model[0].scale_
        assert_allclose(coef, net.coef_, atol=atol)
    two = rich_limit(net, 40, np.c_[y, -y])[1].fit(X, np.c_[y, -y])
    assert_allclose(two.predict(X), np.c_[y, -y])


def test_rich_limits_are_those_of_the_limits():
    X, y = sparse(20, 40)
    plain = DiagonalNetRegressor(units="paper", fit_intercept=False)
    coef = rich_limit(plain, 40, y)[1].fit(X, y)[-1].coef_
    assert_allclose(coef, min_l1_norm(X, y), atol=1e-10)
    codes = (y > 0).astype(int)
    plain = DiagonalNetClassifier(units="paper")
    model = rich_limit(plain, 40, codes)[1].fit(X, codes)
    wanted = max_margin(X, codes, norm="l1", fit_intercept=True)
    scores = X @ np.ravel(wanted.coef) + wanted.intercept
    assert_allclose(model.decision_function(X), np.ravel(scores), atol=1e-6)
    assert_array_equal(model.predict(X), codes)
    x = X[:, :1]
    name, model = rich_limit(ShallowReLURegressor(), 1, y)
    assert name == "linear spline"
    assert_allclose(
        model.fit(x, y).predict(x + 0.01), linear_spline(x[:, 0], y)(x[:, 0] + 0.01)
    )


def test_rich_limits_of_matrices():
    rng = np.random.default_rng(0)
    truth = np.outer(rng.normal(size=6), rng.normal(size=5))
    pairs = np.array([(i, j) for i in range(6) for j in range(5)])
    seen = rng.permutation(30)[:24]
    net = MatrixCompletionRegressor(center=None)
    model = rich_limit(net, 2, truth)[1].fit(pairs[seen], truth.ravel()[seen])
    holed = np.full((6, 5), np.nan)
    holed[tuple(pairs[seen].T)] = truth.ravel()[seen]
    wanted = min_nuclear_norm(holed).matrix
    assert_allclose(model.predict(pairs), wanted.ravel(), atol=1e-4)
    assert_array_equal(model.predict([[99, 0]]), [0.0])
    A = rng.normal(size=(25, 30))
    y = A @ truth.ravel() + 3
    model = rich_limit(MatrixSensingRegressor(shape=(6, 5)), 30, y)[1].fit(A, y)
    assert_allclose(model.predict(A), y, atol=1e-3)
    assert_allclose(model.matrix_, truth, atol=1e-2)


def test_some_networks_have_no_known_rich_limit():
    assert rich_limit(DiagonalNetRegressor(depth=1), 1, [0.0]) is None
    assert rich_limit(ShallowReLURegressor(), 1, [[0.0, 1.0]]) is None
    assert rich_limit(ShallowReLURegressor(), 2, [0.0]) is None
    shaped = DiagonalNetClassifier(depth=3, init_shape=[1.0, 2.0])
    assert rich_limit(shaped, 2, [0, 1]) is None
    X, y = sparse(20, 3)
    net = ShallowReLURegressor(n_hidden=5, max_time=1.0, early_stopping=False)
    assert (
        compare_regimes(net, X, y, cv=2, models=["rich limit", "linear"]).shape[0] == 2
    )


def test_pipelines_may_make_features_for_the_limit():
    X, y = sparse(20, 3)
    X = X[:, :1]
    net = ShallowReLURegressor(n_hidden=5, max_time=1.0, early_stopping=False)
    both = make_pipeline(PolynomialFeatures(2, include_bias=False), net)
    for model, count in ((net, 3), (both, 2)):
        table = compare_regimes(model, X, y, cv=2, models=["rich limit", "linear"])
        assert len(table) == count


def test_classes_that_overlap_have_no_largest_margin():
    X, _ = sparse(40, 3)
    codes = (np.random.default_rng(0).normal(size=40) > 0).astype(int)
    with pytest.warns(UserWarning, match="No training part has a rich limit"):
        table = compare_regimes(
            DiagonalNetClassifier(rtol=1e-2), X, codes, cv=2,
            models=["network", "rich limit"],
        )  # fmt: skip
    assert table["mean_test_score"].isna().tolist() == [False, True]


def test_bad_arguments():
    X, y = sparse(20, 3)
    with pytest.raises(ValueError, match="models must be a list"):
        compare_regimes(DiagonalNetRegressor(), X, y, models=["boosting"])
    with pytest.raises(ValueError, match="models must be a list"):
        compare_regimes(DiagonalNetRegressor(), X, y, models="network")
    with pytest.raises(ValueError, match="models must be a list"):
        compare_regimes(DiagonalNetRegressor(), X, y, models=[])
    with pytest.raises(ValueError, match="no rich limit is known"):
        compare_regimes(DiagonalNetRegressor(depth=1), X, y, models=["rich limit"])
    with pytest.raises(TypeError, match="needs a network"):
        compare_regimes(Ridge(), X, y)


def test_searches_of_their_own_and_transformed_targets_are_taken_apart():
    X, y = sparse(24, 30)
    search = DiagonalNetRegressorCV(init_scales=[0.1], times=[3.0], cv=2, depth=3)
    table = compare_regimes(search, X, y, cv=2, models=["network", "lazy twin"])
    found = cross_validate(search, X, y, cv=KFold(2, shuffle=True, random_state=0))
    row = table.loc["DiagonalNetRegressor"]
    assert row["mean_test_score"] == pytest.approx(found["test_score"].mean())
    logged = TransformedTargetRegressor(
        DiagonalNetRegressor(depth=3), func=np.log, inverse_func=np.exp
    )
    other = compare_regimes(logged, X, np.exp(y), cv=2, models=["lazy twin"])
    twin = TransformedTargetRegressor(
        TangentKernelRidge(
            DiagonalNetRegressor(depth=3), alpha="cv",
            cv=KFold(5, shuffle=True, random_state=0),
        ),
        func=np.log, inverse_func=np.exp,
    )  # fmt: skip
    found = cross_validate(
        twin, X, np.exp(y), cv=KFold(2, shuffle=True, random_state=0)
    )
    assert other["mean_test_score"].iloc[0] == pytest.approx(found["test_score"].mean())
    assert other["richness"].iloc[0] == 0


# -- scorers ---------------------------------------------------------------------------


def test_the_regime_stands_beside_the_score():
    X, y = sparse(30, 50)
    scoring = {"r2": "r2", "rich": richness_scorer, "change": kernel_change_scorer}
    model = make_pipeline(StandardScaler(), DiagonalNetRegressor(early_stopping=False))
    grid = {"diagonalnetregressor__init_scale": [1e-3, 1e3]}
    search = GridSearchCV(model, grid, scoring=scoring, refit="r2", cv=2).fit(X, y)
    rich, kernel = search.cv_results_["mean_test_rich"]
    assert rich > 0.8
    assert kernel < 0.01
    assert np.diff(search.cv_results_["mean_test_change"]) < -1
    best = search.best_estimator_[-1]
    assert richness_scorer(search) == best.richness_
    assert kernel_change_scorer(search, X, y) == best.kernel_change_


def test_the_search_over_scales_knows_the_regime_at_each_time():
    X, y = sparse(30, 20)
    search = InitScaleSearchCV(
        DiagonalNetRegressor(), init_scales=[1e-3, 1e3], times=[0.1, 10.0, 1e3], cv=2,
        scoring={"r2": "r2", "rich": richness_scorer}, refit="r2",
    ).fit(X, y)  # fmt: skip
    found = search.cv_results_["mean_test_rich"]
    for row, params in enumerate(search.cv_results_["params"]):
        wanted = []
        for train, _ in KFold(2).split(X):
            net = clone(search.estimator).set_params(early_stopping=False, **params)
            wanted.append(net.fit(X[train], y[train]).richness_)
        assert found[row] == pytest.approx(np.mean(wanted), abs=0.03)


def test_the_search_over_scales_says_that_it_does_not_know_the_kernel():
    X, y = sparse(20, 30)
    search = InitScaleSearchCV(
        DiagonalNetRegressor(), init_scales=[1.0], times=[1.0], cv=2,
        scoring=kernel_change_scorer, error_score="raise",
    )  # fmt: skip
    with pytest.raises(TypeError, match="use richness_scorer, or GridSearchCV"):
        search.fit(X, y)


def test_scorers_know_twins():
    X, y = sparse(20, 30)
    net = DiagonalNetRegressor()
    for at, wanted in (("init", 0.0), ("end", net.fit(X, y).richness_)):
        assert richness_scorer(TangentKernelRidge(net, at=at).fit(X, y)) == wanted


def test_scorers_average_targets_and_need_a_network():
    X, y = sparse(20, 30)
    net = DiagonalNetRegressor().fit(X, np.c_[y, X[:, 5]])
    assert richness_scorer(net) == pytest.approx(np.mean(net.richness_))
    with pytest.raises(TypeError, match="no richness_"):
        richness_scorer(Ridge().fit(X, y))
    with pytest.raises(TypeError, match="no kernel_change_"):
        kernel_change_scorer(BaggingRegressor(n_estimators=2).fit(X, y))


def test_lines_on_the_way(capsys):
    X, y = sparse(20, 5)
    net = DiagonalNetRegressor(max_time=1.0, early_stopping=False)
    compare_regimes(net, X, y, cv=2, models=["network", "linear"], verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "[compare_regimes] DiagonalNetRegressor",
        "[compare_regimes] ridge",
        "[compare_regimes] lasso",
    ]
