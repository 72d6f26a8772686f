"""The search over scales and times against `GridSearchCV` over the same grid."""

import copy
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes import (
    DiagonalNetRegressor,
    InitScaleSearchCV,
    ShallowReLURegressor,
    init_scale_path,
)
from skregimes.datasets import make_curve

SCALES, TIMES = [10.0, 0.3, 1e-3], [0.1, 1.0, 30.0]
GRID = {"init_scale": SCALES, "max_time": TIMES}


class LinearFlow(BaseEstimator):
    """Gradient flow of least squares at the rate ``init_scale``, in closed form."""

    fits = 0

    def __init__(
        self, init_scale=1.0, *, max_time=None, early_stopping=True, units="relative",
        fails_below=0.0,
    ):  # fmt: skip
        self.init_scale = init_scale
        self.max_time = max_time
        self.early_stopping = early_stopping
        self.units = units
        self.fails_below = fails_below

    def fit(self, X, y, sample_weight=None):
        type(self).fits += 1
        X, y = validate_data(self, X, y)
        if self.early_stopping:
            raise AssertionError("a search stops the flows itself")
        if self.init_scale < self.fails_below:
            raise FloatingPointError("too small a scale")
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        share = weight / weight.sum()
        rate, self._axes = np.linalg.eigh((X.T * share) @ X)
        self._rate = self.init_scale * np.maximum(rate, 0)
        self._pull = self.init_scale * self._axes.T @ (X.T * share) @ self._targets(y)
        self.end_ = np.inf if self.max_time is None else self.max_time
        time = np.array([0.0, 0.1, 1.0, 10.0])
        self.trajectory_ = SimpleNamespace(time=time, richness=time / 10)
        self.alpha_ = 2 * self.init_scale
        return self

    def _output(self, X, times):
        X = validate_data(self, X, reset=False)
        for time in np.minimum(times, self.end_):
            with np.errstate(invalid="ignore", divide="ignore"):
                grown = -np.expm1(-self._rate * time) / self._rate
            grown = np.where(self._rate > 1e-12, grown, 0.0)
            yield X @ self._axes @ (grown * self._pull)


class ToyRegressor(RegressorMixin, LinearFlow):
    def _targets(self, y):
        return y

    def staged_predict(self, X, times=None):
        return self._output(X, self.trajectory_.time if times is None else times)

    def predict(self, X):
        check_is_fitted(self)
        return next(self._output(X, [self.end_]))


class ToyClassifier(ClassifierMixin, LinearFlow):
    def _targets(self, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        return 2.0 * codes - 1

    def staged_decision_function(self, X, times):
        return self._output(X, times)

    def staged_predict(self, X, times):
        for output in self._output(X, times):
            yield self.classes_[(output > 0).astype(int)]

    def staged_predict_proba(self, X, times):
        for output in self._output(X, times):
            share = 1 / (1 + np.exp(-output))
            yield np.column_stack([1 - share, share])

    def decision_function(self, X):
        return next(self.staged_decision_function(X, [self.end_]))

    def predict(self, X):
        return next(self.staged_predict(X, [self.end_]))

    def predict_proba(self, X):
        return next(self.staged_predict_proba(X, [self.end_]))


TOY = ToyRegressor()


def table(n_samples=24, n_features=30, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    y = X[:, :3] @ [2.0, -3.0, 1.0] + 0.5 * rng.standard_normal(n_samples) + 4
    return X, y


def both(estimator, X, y, params=None, prefix="", **options):
    """A search and scikit-learn's over the same grid, fitted."""
    options = {"cv": 3} | options
    search = InitScaleSearchCV(estimator, init_scales=SCALES, times=TIMES, **options)
    still = clone(estimator).set_params(**{f"{prefix}early_stopping": False})
    grid = {f"{prefix}{name}": values for name, values in GRID.items()}
    reference = GridSearchCV(still, grid, **options)
    return [model.fit(X, y, **(params or {})) for model in (search, reference)]


def assert_same_search(search, reference, rtol=1e-9):
    ours, theirs = search.cv_results_, reference.cv_results_
    assert list(ours) == list(theirs)
    assert ours["params"] == theirs["params"]
    for name in set(ours) - {"params"}:
        assert type(ours[name]) is type(theirs[name])
        assert ours[name].dtype == theirs[name].dtype
        if "_time" not in name or "param_" in name:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=rtol, atol=rtol)
    assert search.multimetric_ == reference.multimetric_
    assert search.n_splits_ == reference.n_splits_
    for name in ("best_index_", "best_params_"):
        assert hasattr(search, name) == hasattr(reference, name)
        if hasattr(reference, name):
            assert getattr(search, name) == getattr(reference, name)


# -- against GridSearchCV --------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3])
def test_diagonal_networks(depth):
    X, y = table()
    net = DiagonalNetRegressor(depth=depth, rtol=1e-4)
    search, reference = both(net, X, y, return_train_score=True)
    # Between recorded points a trajectory is exact to about 1e-3 of its final size.
    assert_same_search(search, reference, rtol=2e-3)
    np.testing.assert_array_equal(
        search.best_estimator_.coef_, reference.best_estimator_.coef_
    )
    assert search.best_score_ == pytest.approx(reference.best_score_, rel=1e-3)
    assert search.score(X, y) == reference.score(X, y)


def test_shallow_networks():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 24))
    y = np.abs(x) + 0.1 * rng.standard_normal(24)
    net = ShallowReLURegressor(n_hidden=16, random_state=0)
    search, reference = both(net, x[:, None], y)
    assert_same_search(search, reference, rtol=5e-3)
    best, other = search.best_estimator_, reference.best_estimator_
    np.testing.assert_array_equal(best.predict(x[:, None]), other.predict(x[:, None]))
    assert search.richness_ == best.richness_


def two_scores(estimator, X, y):
    error = y - estimator.predict(X)
    return {"mean": -np.mean(error**2), "worst": -np.max(np.abs(error))}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scoring": "neg_mean_absolute_error"},
        {"scoring": make_scorer(mean_absolute_error, greater_is_better=False)},
        {"scoring": lambda estimator, X, y: -np.ptp(y - estimator.predict(X))},
        {"scoring": ["r2", "neg_max_error"], "refit": "neg_max_error"},
        {"scoring": {"score": "r2"}, "refit": "score"},
        {"scoring": ("r2", "neg_max_error"), "refit": False},
        {"scoring": two_scores, "refit": "worst"},
        {"refit": lambda results: int(np.argmin(results["std_test_score"]))},
        {"return_train_score": True},
        {"refit": False},
        {"cv": KFold(4, shuffle=True, random_state=0)},
        {"cv": iter([(np.arange(12), np.arange(12, 24))])},
    ],
    ids=lambda options: ",".join(options),
)
def test_options_mean_what_they_mean_in_grid_search(options):
    X, y = table()
    if not isinstance(options.get("cv", 3), (int, KFold)):
        options = options | {"cv": list(options["cv"])}
    search, reference = both(TOY, X, y, **options)
    assert_same_search(search, reference)
    if options.get("refit", True):
        np.testing.assert_allclose(search.predict(X), reference.predict(X))
        assert search.score(X, y) == pytest.approx(reference.score(X, y))
        assert search.refit_time_ > 0
    if not callable(options.get("refit", True)) and options.get("refit", True):
        assert search.best_score_ == pytest.approx(reference.best_score_)


def test_one_flow_for_each_scale_and_fold():
    X, y = table()
    before = ToyRegressor.fits
    InitScaleSearchCV(TOY, init_scales=SCALES, n_times=40, cv=4).fit(X, y)
    assert ToyRegressor.fits - before == 3 * 4 + 1


def test_weights_and_groups():
    X, y = table()
    rng = np.random.default_rng(0)
    params = {
        "sample_weight": rng.uniform(0.2, 3, 24),
        "groups": rng.permutation(np.arange(24) % 4),
    }
    search, reference = both(TOY, X, y, params, cv=GroupKFold(4))
    assert_same_search(search, reference)
    plain, _ = both(TOY, X, y, {"groups": params["groups"]}, cv=GroupKFold(4))
    assert np.all(
        search.cv_results_["mean_test_score"] != plain.cv_results_["mean_test_score"]
    )


def test_scorers_that_take_no_weights():
    X, y = table()
    params = {"sample_weight": np.random.default_rng(0).uniform(0.2, 3, 24)}
    deaf = lambda estimator, X, y: -np.ptp(y - estimator.predict(X))
    with pytest.warns(UserWarning, match="sample_weight"):
        search, reference = both(TOY, X, y, params, scoring=deaf)
    assert_same_search(search, reference)
    with pytest.warns(UserWarning, match="neg_max_error=.* takes no sample_weight"):
        InitScaleSearchCV(
            TOY, times=TIMES, scoring=["r2", "neg_max_error"], refit="r2"
        ).fit(X, y, **params)


def test_metadata_routing():
    X, y = table()
    weight = np.random.default_rng(0).uniform(0.2, 3, 24)
    groups = np.arange(24) % 4
    with sklearn.config_context(enable_metadata_routing=True):
        toy = ToyRegressor().set_fit_request(sample_weight=True)
        toy.set_score_request(sample_weight=True)
        params = {"sample_weight": weight, "groups": groups}
        search, reference = both(toy, X, y, params, cv=GroupKFold(4))
        assert_same_search(search, reference)
        assert search.score(X, y, sample_weight=weight) == pytest.approx(
            reference.score(X, y, sample_weight=weight)
        )
        scorer = make_scorer(mean_absolute_error, greater_is_better=False)
        several = {
            "scoring": {
                "plain": scorer,
                "weighted": copy.deepcopy(scorer).set_score_request(sample_weight=True),
            },
            "refit": "weighted",
        }
        toy.set_score_request(sample_weight=None)
        mute = {"sample_weight": weight}
        scorer.set_score_request(sample_weight=False)
        assert_same_search(*both(toy, X, y, mute, **several))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            InitScaleSearchCV(TOY, times=TIMES).fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        search.score(X, y, sample_weight=weight)


@pytest.mark.parametrize("scoring", [None, "roc_auc", "neg_log_loss", "f1", "accuracy"])
def test_classifiers(scoring):
    X, y = table()
    y = np.where(y > 4, "up", "down")
    if scoring == "f1":
        scoring = make_scorer(sklearn.metrics.f1_score, pos_label="up")
    search, reference = both(ToyClassifier(), X, y, scoring=scoring)
    assert_same_search(search, reference)
    assert get_tags(search).estimator_type == "classifier"
    np.testing.assert_array_equal(search.classes_, ["down", "up"])
    for method in ("predict", "predict_proba", "decision_function"):
        np.testing.assert_array_equal(
            getattr(search, method)(X), getattr(reference, method)(X)
        )


def test_what_the_estimator_cannot_the_search_cannot():
    search = InitScaleSearchCV(TOY)
    assert hasattr(search, "predict")
    for name in ("predict_proba", "decision_function", "tangent_kernel", "coef_"):
        assert not hasattr(search, name)
    assert hasattr(InitScaleSearchCV(DiagonalNetRegressor()), "tangent_kernel")
    assert not hasattr(InitScaleSearchCV(TOY, refit=False), "predict")
    assert not hasattr(InitScaleSearchCV(TOY, refit=False), "staged_predict")


# -- pipelines -------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [(StandardScaler(), TOY), (TOY,)])
def test_a_pipeline_that_ends_in_a_flow(steps):
    X, y = table()
    pipe = make_pipeline(*steps)
    search, reference = both(pipe, X, y, prefix="toyregressor__")
    assert_same_search(search, reference)
    best = search.best_params_["toyregressor__max_time"]
    np.testing.assert_array_equal(
        next(search.staged_predict(X, [best])), search.predict(X)
    )
    path = init_scale_path(
        X, y, estimator=pipe, init_scales=SCALES, times=[best],
        sample_weight=np.ones(24),
    )  # fmt: skip
    row = SCALES.index(search.best_params_["toyregressor__init_scale"])
    np.testing.assert_allclose(path.predict(X)[row, 0], search.predict(X))


def test_a_search_inside_a_pipeline():
    X, y = table()
    pipe = make_pipeline(StandardScaler(), InitScaleSearchCV(TOY, times=TIMES))
    assert pipe.fit(X, y).predict(X).shape == y.shape
    assert cross_val_score(pipe, X, y, cv=2).shape == (2,)


@pytest.mark.parametrize(
    "estimator", [Ridge(), make_pipeline(TOY, Ridge()), make_pipeline("passthrough")]
)
def test_estimators_without_a_flow(estimator):
    for fit in (InitScaleSearchCV(estimator).fit, lambda X, y: init_scale_path(
        X, y, estimator=estimator
    )):  # fmt: skip
        with pytest.raises(TypeError, match=r"wrapper\(InitScaleSearchCV"):
            fit(*table())


def test_a_path_of_a_flow_that_is_not_linear():
    X, y = table()
    path = init_scale_path(X, y, estimator=TOY, init_scales=SCALES, times=TIMES)
    assert path.coefs is None
    assert path.intercepts is None
    np.testing.assert_allclose(path.alphas, 2 * np.array(SCALES))
    # Known at 0.1 and 1; later than the last point that holds.
    np.testing.assert_allclose(path.richness, [[0.01, 0.1, 1.0]] * 3)
    predicted = path.predict(X)
    for i, scale in enumerate(SCALES):
        for j, time in enumerate(TIMES):
            single = ToyRegressor(scale, max_time=time, early_stopping=False)
            np.testing.assert_allclose(predicted[i, j], single.fit(X, y).predict(X))


# -- grids -----------------------------------------------------------------------------


def test_the_end_of_the_flow():
    X, y = table()
    times = [0.1, 1.0, np.inf]
    for net, rtol in ((TOY, 1e-9), (DiagonalNetRegressor(rtol=1e-4), 1e-3)):
        search = InitScaleSearchCV(net, init_scales=SCALES, times=times, cv=3)
        search.fit(X, y)
        still = clone(net).set_params(early_stopping=False)
        grid = {"init_scale": SCALES, "max_time": [0.1, 1.0, None]}
        reference = GridSearchCV(still, grid, cv=3).fit(X, y)
        assert_same_search_objects(search, reference, rtol)


def assert_same_search_objects(search, reference, rtol):
    ours, theirs = search.cv_results_, reference.cv_results_
    assert ours["params"] == theirs["params"]
    assert ours["param_max_time"].tolist() == theirs["param_max_time"].tolist()
    np.testing.assert_allclose(
        ours["mean_test_score"], theirs["mean_test_score"], rtol=rtol, atol=rtol
    )
    assert search.best_params_ == reference.best_params_


def test_the_end_alone_is_the_limit():
    X, y = table()
    net = DiagonalNetRegressor()
    search = InitScaleSearchCV(net, init_scales=SCALES, times=[np.inf], cv=3)
    search.fit(X, y)
    assert search.best_estimator_.solver_ == "limit"
    assert search.best_params_["max_time"] is None
    still = net.set_params(early_stopping=False)
    reference = GridSearchCV(still, {"init_scale": SCALES}, cv=3).fit(X, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], reference.cv_results_["mean_test_score"]
    )


def test_default_grids():
    X, y = table()
    search = InitScaleSearchCV(TOY, cv=2).fit(X, y)
    assert len(search.times_) == 30
    assert len(search.cv_results_["params"]) == 30 * len(search.init_scales_)
    assert np.all(np.diff(search.init_scales_) < 0)
    assert search.best_params_["max_time"] in search.times_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_scales": [-1.0]}, "init_scales must be"),
        ({"init_scales": [np.inf]}, "init_scales contains infinity"),
        ({"times": [0.0]}, "times must be"),
        ({"times": [np.nan]}, "times must be"),
        ({"times": [[1.0]]}, "times must be"),
        ({"n_times": 1}, "n_times"),
        ({"scoring": "nonsense"}, "nonsense"),
        ({"scoring": ["r2", "r2"]}, "[Uu]nique|duplicate"),
        ({"scoring": ["r2", "neg_max_error"]}, "refit must name"),
        ({"scoring": two_scores}, "refit must name"),
        ({"scoring": mean_absolute_error}, "make_scorer"),
        ({"estimator": ToyRegressor(units="paper")}, "needs init_scales"),
        (
            {"estimator": ToyRegressor(units="paper"), "init_scales": [1.0]},
            "needs times",
        ),
        ({"cv": 100}, "n_splits=100"),
        ({"error_score": "wrong"}, "error_score"),
    ],
)
def test_options_that_make_no_sense(options, message):
    search = InitScaleSearchCV(**({"estimator": TOY} | options))
    with pytest.raises(ValueError, match=message):
        search.fit(*table())


def test_a_target_is_needed():
    with pytest.raises(ValueError, match="requires y to be passed"):
        InitScaleSearchCV(TOY).fit(table()[0])


@pytest.mark.parametrize(
    ("choice", "error"), [(0.5, TypeError), (99, IndexError), (-1, IndexError)]
)
def test_a_refit_that_returns_no_row(choice, error):
    search = InitScaleSearchCV(
        TOY, init_scales=SCALES, times=TIMES, refit=lambda results: choice
    )
    with pytest.raises(error, match="refit"):
        search.fit(*table())


# -- failures --------------------------------------------------------------------------


def test_fits_that_fail():
    X, y = table()
    fragile = ToyRegressor(fails_below=0.01)
    search = InitScaleSearchCV(fragile, init_scales=SCALES, times=TIMES, cv=3)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        search.fit(X, y)
    assert [w.category for w in said] == [FitFailedWarning, UserWarning]
    assert "3 fits failed" in str(said[0].message)
    assert "3 of the 9 test scores are non-finite" in str(said[1].message)
    assert said[1].filename == __file__
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(np.isnan(scores), np.repeat([False, False, True], 3))
    assert set(search.cv_results_["rank_test_score"][-3:]) == {7}
    assert search.best_params_["init_scale"] > 0.01
    with pytest.warns(FitFailedWarning):
        known = clone(search).set_params(error_score=-5.0).fit(X, y)
    np.testing.assert_array_equal(known.cv_results_["mean_test_score"][-3:], -5.0)
    with pytest.raises(FloatingPointError, match="too small"):
        clone(search).set_params(error_score="raise").fit(X, y)
    with pytest.raises(ValueError, match=r"All the \d fits failed"):
        clone(search).set_params(init_scales=[1e-3]).fit(X, y)


def picky(estimator, X, y):
    if y.max() == 100.0:
        raise ArithmeticError("far off")
    return -np.mean((y - estimator.predict(X)) ** 2)


def test_scores_that_fail():
    X, y = table()
    y[3] = 100.0

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        search = InitScaleSearchCV(
            TOY, init_scales=SCALES, times=TIMES, cv=3, scoring=picky
        ).fit(X, y)
    assert sum("Scoring failed, 3 times" in str(w.message) for w in said) == 3
    assert all("far off" in str(w.message) for w in said if "fail" in str(w.message))
    results = search.cv_results_
    assert np.all(np.isnan(results["split0_test_score"]))
    assert np.all(np.isfinite(results["split1_test_score"]))
    with pytest.raises(ArithmeticError, match="far off"):
        clone(search).set_params(error_score="raise").fit(X, y)


def test_one_of_two_scores_fails():
    X, y = table()
    with pytest.warns(UserWarning, match=r"Scoring failed|non-finite") as said:
        search = InitScaleSearchCV(
            TOY, init_scales=SCALES, times=TIMES, cv=3, refit="r2",
            scoring={"r2": "r2", "log": "neg_mean_squared_log_error"},
        ).fit(X, -y)  # fmt: skip
    assert "Scoring failed" in str(said[0].message)
    assert np.all(np.isnan(search.cv_results_["mean_test_log"]))
    assert np.all(search.cv_results_["rank_test_log"] == 1)
    assert np.all(np.isfinite(search.cv_results_["mean_test_r2"]))


def test_scorers_see_predictions_and_nothing_else():
    # The fitted attributes are those of the end of the flow: wrong at other times.
    X, y = table()
    peek = lambda estimator, X, y: -np.abs(estimator.coef_).sum()
    net = DiagonalNetRegressor()
    search = InitScaleSearchCV(net, times=TIMES, scoring=peek, error_score="raise")
    with pytest.raises(AttributeError, match="coef_"):
        search.fit(X, y)


def test_scorers_may_predict_for_other_samples():
    X, y = table()
    tails = lambda estimator, X, y: (
        -np.sum([np.ptp(estimator.predict(part)) for part in (X[:3], X[3:], X[:3])])
    )
    search, reference = both(TOY, X, y, scoring=tails)
    assert_same_search(search, reference)


class Interrupted(ToyRegressor):
    """Stops at Ctrl-C in the last fit, or in one of the others."""

    when = "fold"

    def fit(self, X, y, sample_weight=None):
        if (len(X) == 24) == (self.when == "refit"):
            raise KeyboardInterrupt
        return super().fit(X, y, sample_weight)


def test_interruption(monkeypatch):
    X, y = table()
    search = InitScaleSearchCV(Interrupted(), init_scales=SCALES, times=TIMES, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    with pytest.raises(NotFittedError):
        search.predict(X)
    assert not hasattr(search, "cv_results_")
    monkeypatch.setattr(Interrupted, "when", "refit")
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert len(search.cv_results_["params"]) == 9
    assert set(search.best_params_) == {"init_scale", "max_time"}
    with pytest.raises(NotFittedError):
        search.predict(X)


# -- what the best estimator answers ---------------------------------------------------


def test_the_best_estimator_is_at_hand():
    X, y = table()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(30)])
    search = InitScaleSearchCV(
        DiagonalNetRegressor(), init_scales=SCALES, times=TIMES, cv=3
    ).fit(frame, y)
    best = search.best_estimator_
    assert best.early_stopping is False
    assert {k: getattr(best, k) for k in GRID} == search.best_params_
    assert search.richness_ == best.richness_
    assert search.coef_ is best.coef_
    assert search.n_features_in_ == 30
    np.testing.assert_array_equal(search.feature_names_in_, frame.columns)
    np.testing.assert_array_equal(search.predict(frame), best.predict(frame))
    np.testing.assert_array_equal(
        search.tangent_kernel(frame), best.tangent_kernel(frame)
    )
    for times in (None, [0.01, best.time_]):
        np.testing.assert_array_equal(
            [*search.staged_predict(frame, times)], [*best.staged_predict(frame, times)]
        )
    assert search.score(frame, y) == best.score(frame, y)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(frame), search.predict(frame))
    assert again.regime_ == search.regime_
    with pytest.raises(AttributeError, match="no_such_thing_"):
        _ = search.no_such_thing_
    with pytest.raises(AttributeError, match="solver"):
        _ = search.solver


def test_features_can_be_selected():
    X, y = table(60)
    net = InitScaleSearchCV(DiagonalNetRegressor(), times=TIMES, init_scales=[1e-3])
    kept = SelectFromModel(net, threshold=0.5).fit(X, y).get_support()
    np.testing.assert_array_equal(np.flatnonzero(kept), [0, 1, 2])


def test_a_refit_forgets():
    X, y = table()
    search = InitScaleSearchCV(TOY, init_scales=SCALES, times=TIMES, cv=3).fit(X, y)
    search.set_params(refit=False).fit(X, y)
    assert "best_estimator_" not in vars(search)
    with pytest.raises(AttributeError, match="predict") as error:
        search.predict(X)
    assert "refit=False" in str(error.value.__cause__)
    assert search.best_params_["init_scale"] in SCALES


def test_several_scores_of_which_none_is_named():
    X, y = table()
    search = InitScaleSearchCV(
        TOY, times=TIMES, scoring=two_scores, refit=lambda results: 0
    ).fit(X, y)
    assert search.best_params_ == {"init_scale": 30.0, "max_time": 0.1}
    with pytest.raises(ValueError, match="refit to name one"):
        search.score(X, y)


def test_jobs_change_nothing():
    X, y = table()
    net = DiagonalNetRegressor()
    one = InitScaleSearchCV(net, init_scales=SCALES, times=TIMES, cv=2).fit(X, y)
    two = clone(one).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(one.coef_, two.coef_)


def test_verbose(capsys):
    X, y = table()
    search = InitScaleSearchCV(TOY, init_scales=SCALES, times=TIMES, cv=2, verbose=3)
    search.fit(X, y)
    said = capsys.readouterr().out
    assert "2 folds for each of 3 candidates" in said
    assert said.count("score at time 30.0: (test=") == 6


def test_callbacks_of_the_estimator_watch_every_flow():
    X, y = table()
    monitor = ScoringMonitor(scoring="r2")
    net = DiagonalNetRegressor().set_callbacks(monitor)
    InitScaleSearchCV(net, init_scales=[0.3], times=TIMES, cv=2).fit(X, y)
    assert len(monitor.get_logs().data) > 8


def test_several_targets():
    X, y = table()
    Y = np.column_stack([y, y[::-1]])
    search, reference = both(DiagonalNetRegressor(rtol=1e-4), X, Y)
    assert_same_search(search, reference, rtol=1e-3)
    assert search.predict(X).shape == (24, 2)


def test_the_end_of_a_shallow_networks_flow_is_a_time_like_others():
    X, y = make_curve("smooth", 30, noise=0.1, random_state=0)
    search = InitScaleSearchCV(
        ShallowReLURegressor(n_hidden=30, random_state=0),
        init_scales=[10.0],
        times=[1.0, np.inf],
        cv=2,
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.all(np.isfinite(scores))
    assert scores[0] != scores[1]
