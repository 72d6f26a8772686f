"""Entries given one by one, and linear measurements: the regressors of matrices."""

import importlib.util
import pickle

import numpy as np
import pandas as pd
import pytest
from matrix_reference import distance, pairs_of, table
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skregimes import (
    InitScaleSearchCV,
    MatrixCompletionRegressor,
    MatrixFactorizer,
    MatrixSensingRegressor,
    init_scale_path,
)
from skregimes.limits import min_nuclear_norm

BARE = {"early_stopping": False, "random_state": 0}


def complete(pairs, y, weight=None, **options):
    model = MatrixCompletionRegressor(**{**BARE, "center": None, **options})
    return model.fit(pairs, y, weight)


def sensing(n_samples=40, shape=(6, 5), rank=1, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    left, right = (rng.standard_normal((d, rank)) for d in shape)
    truth = left @ right.T
    A = rng.standard_normal((n_samples, truth.size))
    return A, A @ truth.ravel() + noise * rng.standard_normal(n_samples), truth


# -- entries ---------------------------------------------------------------------------


@pytest.mark.parametrize("center", [None, "global", "columns", "both"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_entries_one_by_one_are_a_table(center, early_stopping):
    X, _ = table((12, 9), noise=0.3)
    pairs, y = pairs_of(X)
    options = {"center": center, "early_stopping": early_stopping, "max_time": 50.0}
    whole = MatrixFactorizer(**options, random_state=0).fit(X)
    model = MatrixCompletionRegressor(**options, random_state=0).fit(pairs, y)
    for W, other in zip(model.factors_, whole.factors_, strict=True):
        assert_array_equal(W, other)
    assert_allclose(model.to_matrix(), whole.complete(), rtol=1e-12, atol=1e-12)
    assert_allclose(
        model.predict(pairs), whole.predict_entries(*pairs.T), rtol=1e-12, atol=1e-12
    )
    assert_array_equal(model.row_labels_, np.arange(12))
    assert_array_equal(model.col_labels_, np.arange(9))
    assert model.n_observed_ == len(y)
    assert model.score(pairs, y) == pytest.approx(r2_score(y, model.predict(pairs)))


def test_the_order_of_samples_does_not_matter():
    X, _ = table((12, 9), noise=0.3)
    pairs, y = pairs_of(X)
    order = np.random.default_rng(0).permutation(len(y))
    one = MatrixCompletionRegressor(random_state=0).fit(pairs, y)
    two = MatrixCompletionRegressor(random_state=0).fit(pairs[order], y[order])
    assert_array_equal(one.to_matrix(), two.to_matrix())


@pytest.mark.parametrize("early_stopping", [False, True])
def test_repetitions_are_weights(early_stopping):
    X, _ = table((10, 8), noise=0.3)
    pairs, y = pairs_of(X)
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, len(y))
    weight[:5] = 1
    options = {"early_stopping": early_stopping, "max_time": 30.0}
    weighted = complete(pairs, y, weight, **options)
    repeated = complete(
        np.repeat(pairs, weight, axis=0), np.repeat(y, weight), **options
    )
    assert_allclose(weighted.to_matrix(), repeated.to_matrix(), rtol=1e-9, atol=1e-11)
    assert weighted.loss_ == pytest.approx(repeated.loss_)


def test_different_values_of_one_entry():
    X, _ = table((10, 8))
    pairs, y = pairs_of(X)
    two = np.concatenate([y + 1, y - 3])
    weight = np.concatenate([np.full(len(y), 3.0), np.ones(len(y))])
    model = complete(np.tile(pairs, (2, 1)), two, weight, max_time=30.0)
    mean = complete(pairs, y, np.full(len(y), 4.0), max_time=30.0)
    assert_allclose(model.to_matrix(), mean.to_matrix(), rtol=1e-9, atol=1e-11)
    assert model.n_observed_ == len(y)


@pytest.mark.parametrize("factor", [1e-100, 1e-3, 1e60])
def test_only_ratios_of_weights_matter_but_for_time(factor):
    X, _ = table((10, 8), noise=0.3)
    pairs, y = pairs_of(X)
    weight = np.random.default_rng(0).uniform(0.2, 3, len(y))
    one = complete(pairs, y, weight, early_stopping=True)
    two = complete(pairs, y, factor * weight, early_stopping=True)
    assert_allclose(two.to_matrix(), one.to_matrix(), rtol=1e-7, atol=1e-9)
    assert two.time_ == pytest.approx(one.time_)
    assert two.time_unit_ == pytest.approx(one.time_unit_ / factor)
    assert two.validation_score_ == pytest.approx(one.validation_score_)


# -- labels ----------------------------------------------------------------------------


def objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


LABELS = {
    "int": np.array([50, -7, 3, 0, 8, 10**12]),
    "float": np.array([0.5, -1.5, 2.25, np.pi, 1e10, 1e-10]),
    "str": np.array(["Ann", "Bob", "Cid", "Dee", "Éva", "Zoë"]),
    "bytes": objects([b"a", b"b", b"", b"ab", b"ba", b"z"]),
    "mixed": objects(["Ann", 3, 2.5, "7", 7, True]),
    "tuple": objects([(0, "a"), (0, "b"), (1, "a"), (1,), (), (2, "z")]),
    # Ordered in part only: of two neither may be the smaller one.
    "set": objects([frozenset(letters) for letters in ("a", "b", "ab", "", "c", "ac")]),
    "date": pd.date_range("2024-01-01", periods=6).to_numpy(),
}


def labelled(kind):
    """Pairs with labels of a kind, and the rows and columns they stand for."""
    X, _ = table((6, 5), observed=0.8)
    pairs, y = pairs_of(X)
    columns = objects(["tea", "milk", "rye", "oat", "fig"])
    rows = LABELS[kind][pairs[:, 0]]
    return pd.DataFrame({"who": rows, "what": columns[pairs[:, 1]]}), y, pairs


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("form", ["frame", "array", "list"])
def test_labels_of_any_type(kind, form):
    X, y, pairs = labelled(kind)
    if form == "array":
        X = X.to_numpy(dtype=object)
    elif form == "list":
        X = [list(row) for row in X.itertuples(index=False)]
    expected = complete(pairs, y)
    model = complete(X, y)
    # The order of labels is another one, and with it the steps of the flow.
    assert_allclose(model.predict(X), expected.predict(pairs), atol=1e-3)
    assert_allclose(model.singular_values_, expected.singular_values_, atol=1e-3)
    assert len(model.row_labels_) == 6
    assert len(model.col_labels_) == 5
    table = model.to_matrix()
    rows = X if form == "list" else np.asarray(X, dtype=object)
    for (row, column), answer in zip(rows, model.predict(X), strict=True):
        place = [*model.row_labels_].index(row), [*model.col_labels_].index(column)
        assert table[place] == pytest.approx(answer)


def test_several_columns_are_one_label():
    X, _ = table((6, 8))
    pairs, y = pairs_of(X)
    split = np.column_stack([pairs[:, 0], pairs[:, 1] // 3, pairs[:, 1] % 3])
    model, expected = complete(split, y), complete(pairs, y)
    assert_allclose(model.predict(split), expected.predict(pairs), atol=1e-9)
    assert model.col_labels_.shape == (8, 2)
    assert_array_equal(model.col_labels_[4], [1, 1])
    # A combination that was not seen is a new label, though its parts are not.
    assert model.predict([[0, 2, 2]]) == 0


def test_as_many_columns_as_you_like():
    rng = np.random.default_rng(0)
    labels = rng.standard_normal((500, 40))  # far more combinations than 2**63
    X = np.column_stack([np.arange(500) % 7, labels])
    model = complete(X, rng.standard_normal(500), max_time=0.1)
    assert model.col_labels_.shape == (500, 40)
    assert np.all(model.predict(X) != 0)
    assert np.all(model.predict(X[:, [0, *range(40, 0, -1)]]) == 0)


@pytest.mark.parametrize("center", [None, "global", "columns", "both"])
def test_unseen_labels_are_offsets(center):
    X, _ = table((12, 9), noise=0.3)
    pairs, y = pairs_of(X + 5)
    model = complete(pairs, y, center=center, max_time=20.0)
    found = model.predict([[99, 99], [0, 99], [99, 0]])
    mean, row, col = model.intercept_, model.row_bias_[0], model.col_bias_[0]
    assert_allclose(found, [mean, mean + row, mean + col])
    if center is not None:
        assert mean == pytest.approx(y.mean(), rel=0.05)
    assert (row != 0) == (center == "both")
    assert (col != 0) == (center in ("columns", "both"))
    # Their predictions do not depend on the factors.
    unseen = [[0, 99], [99, 0], [99, 99]]
    assert not model.tangent_kernel(unseen, pairs).any()
    assert not model.tangent_kernel(pairs, unseen, at="init").any()
    assert_array_equal(
        model.tangent_kernel(pairs)[:3, :3], model.tangent_kernel(pairs[:3])
    )
    with pytest.warns(UserWarning, match="No label was seen"):
        assert_array_equal(model.predict([["?", "!"]]), [mean])


def test_pairs_of_strings_in_a_frame():
    X, y, _ = labelled("str")
    model = complete(X, y)
    assert list(model.feature_names_in_) == ["who", "what"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[["what", "who"]])
    categories = X.astype("category")
    assert_array_equal(complete(categories, y).predict(categories), model.predict(X))


def test_float32_values():
    X, _ = table((12, 9))
    pairs, y = pairs_of(X)
    model = complete(pairs, y.astype(np.float32), max_time=20.0)
    assert {W.dtype for W in model.factors_} == {np.dtype(np.float32)}
    assert model.predict(pairs).dtype == np.float32
    assert model.to_matrix().dtype == np.float32
    wide = complete(pairs, y, max_time=20.0)
    assert distance(model.to_matrix(), wide.to_matrix()) < 1e-3
    integers = complete(pairs, np.arange(len(y)), max_time=20.0)
    assert integers.predict(pairs).dtype == np.float64
    A, y, _ = sensing()
    model = MatrixSensingRegressor((6, 5), **BARE, max_time=20.0)
    model.fit(A.astype(np.float32), y.astype(np.float32))
    assert model.coef_.dtype == np.float32
    assert model.predict(A.astype(np.float32)).dtype == np.float32
    wide = clone(model).fit(A, y)
    assert distance(model.coef_, wide.coef_) < 1e-3


# -- on the way ------------------------------------------------------------------------


@pytest.mark.parametrize("centered", [False, True])
def test_staged_predictions_of_entries(centered):
    X, _ = table((9, 7), noise=0.3)
    pairs, y = pairs_of(X)
    everywhere = np.array([*np.ndindex(9, 7), (0, 99)])
    options = {"init_scale": 0.1, "center": "both", "centered": centered}
    model = complete(pairs, y, **options, max_time=30.0)
    stages = [*model.staged_predict(everywhere)]
    assert len(stages) == len(model.trajectory_)
    assert_allclose(stages[-1], model.predict(everywhere), atol=1e-12)
    asked = [0.0, 1.0, 7.0, 30.0, 1e9]
    found = [*model.staged_predict(everywhere, asked)]
    assert_allclose(found[0], stages[0], atol=1e-12)
    assert_allclose(found[-1], stages[-1], atol=1e-12)
    for time, stage in zip(asked[1:3], found[1:3], strict=True):
        stopped = complete(pairs, y, **options, max_time=time)
        assert np.max(np.abs(stopped.predict(everywhere) - stage)) < 0.01 * np.ptp(y)
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="non-negative"):
            next(model.staged_predict(pairs, [bad]))


def test_staged_predictions_of_measurements():
    A, y, _ = sensing(noise=0.1)
    model = MatrixSensingRegressor((6, 5), **BARE, init_scale=0.1, max_time=30.0)
    model.fit(A, y)
    stages = [*model.staged_predict(A)]
    assert_allclose(stages[-1], model.predict(A), atol=1e-10)
    errors = [np.sum((stage - y) ** 2) for stage in stages]
    assert_allclose(errors, 2 * model.trajectory_.loss, rtol=1e-6)
    (found,) = model.staged_predict(A, 3.0)
    stopped = clone(model).set_params(max_time=3.0).fit(A, y)
    assert np.max(np.abs(stopped.predict(A) - found)) < 0.01 * np.ptp(y)


# -- measurements ----------------------------------------------------------------------


def test_few_measurements_of_a_matrix_of_low_rank():
    A, y, truth = sensing(70, (10, 12))
    model = MatrixSensingRegressor((10, 12), **BARE).fit(A, y)
    assert distance(model.coef_matrix_, truth) < 0.01
    assert model.stable_rank_ == pytest.approx(1, abs=0.01)
    assert_array_equal(model.coef_, model.coef_matrix_.ravel())
    assert_allclose(
        model.embedding_ @ model.components_, model.coef_matrix_, atol=1e-12
    )
    excess = np.sum(model.singular_values_) / min_nuclear_norm(A, y, (10, 12)).norm - 1
    bare = clone(model).set_params(fit_intercept=False).fit(A, y)
    assert bare.excess_nuclear_norm(A, y) == pytest.approx(excess, abs=5e-3)
    assert -1e-3 < bare.excess_nuclear_norm(A, y) < 0.05


def test_the_shape_is_the_most_nearly_square():
    for size, shape in ((12, (3, 4)), (36, (6, 6)), (7, (1, 7)), (1, (1, 1))):
        A = np.random.default_rng(0).standard_normal((5, size))
        model = MatrixSensingRegressor(max_time=1.0).fit(A, A[:, 0])
        assert model.shape_ == model.coef_matrix_.shape == shape


def test_more_measurements_than_entries():
    A, y, truth = sensing(300, (4, 5), rank=4, noise=0.1)
    model = MatrixSensingRegressor((4, 5), **BARE).fit(A, y)
    # No other interpolates as well: least squares.
    design = np.column_stack([A, np.ones(300)])
    exact = np.linalg.lstsq(design, y)[0]
    assert_allclose(model.coef_, exact[:-1], atol=2e-3)
    assert model.intercept_ == pytest.approx(exact[-1], abs=1e-3)
    assert distance(model.coef_matrix_, truth) < 0.05
    weight = np.random.default_rng(0).uniform(0.1, 3, 300)
    root = np.sqrt(weight)
    model.fit(A, y, weight)
    exact = np.linalg.lstsq(root[:, None] * design, root * y)[0]
    assert_allclose(model.coef_, exact[:-1], atol=2e-3)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_repeated_measurements_are_weights(early_stopping):
    A, y, _ = sensing(30, noise=0.3)
    weight = np.random.default_rng(0).integers(0, 4, 30)
    model = MatrixSensingRegressor(
        (6, 5), early_stopping=early_stopping, max_time=20.0, random_state=0
    )
    weighted = clone(model).fit(A, y, weight)
    repeated = clone(model).fit(np.repeat(A, weight, axis=0), np.repeat(y, weight))
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8, atol=1e-10)
    order = np.random.default_rng(1).permutation(30)
    shuffled = clone(model).fit(A[order], y[order], weight[order])
    assert_allclose(weighted.coef_, shuffled.coef_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_measurements_of_any_size(dtype, early_stopping):
    A, y, _ = sensing(noise=0.1)
    A, y = A.astype(dtype), y.astype(dtype)
    model = MatrixSensingRegressor(
        (6, 5), early_stopping=early_stopping, max_time=20.0, random_state=0
    )
    coef = clone(model).fit(A, y).coef_
    sizes = (1e-30, 1e30) if dtype == np.float32 else (1e-150, 1e150)
    for size in map(dtype, sizes):
        small = clone(model).fit(size * A, size * y)
        assert_allclose(small.coef_, coef, rtol=1e-3, atol=1e-3)
        if dtype == np.float64:
            scaled = clone(model).fit(size * A, y)
            assert_allclose(size * scaled.coef_, coef, rtol=1e-7, atol=1e-9)


# -- searches --------------------------------------------------------------------------


def test_a_grid_search_over_entries():
    X, _ = table((25, 20), rank=2, observed=0.6, noise=0.05)
    pairs, y = pairs_of(X)
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(
        MatrixCompletionRegressor(random_state=0, center=None, max_time=300.0),
        {"n_components": [1, 2], "depth": [2, 3]},
        cv=folds,
    ).fit(pairs, y)
    assert search.best_params_["n_components"] == 2
    assert search.best_score_ > 0.95
    predicted = cross_val_predict(search.best_estimator_, pairs, y, cv=folds)
    assert r2_score(y, predicted) > 0.95


def test_cold_starts():
    X, _ = table((25, 20), noise=0.1)
    pairs, y = pairs_of(X + np.arange(20))
    scores = cross_val_score(
        MatrixCompletionRegressor(random_state=0, center="both", max_time=100.0),
        pairs,
        y,
        groups=pairs[:, 0],
        cv=GroupKFold(3),
    )
    # Of new rows the biases of columns are known.
    assert np.all(scores > 0.8)


@pytest.mark.parametrize("depth", [2, 3])
def test_a_search_over_scales_and_times_of_entries(depth):
    X, _ = table((20, 16), rank=2, observed=0.6, noise=0.1)
    pairs, y = pairs_of(X)
    search = InitScaleSearchCV(
        MatrixCompletionRegressor(center=None, depth=depth),
        init_scales=[1.0, 1e-3, 1e-6],
        times=[1.0, 10.0, 100.0, 1000.0],
        cv=KFold(3, shuffle=True, random_state=0),
    )
    # The largest start swamps the data, and a fit says so.
    with pytest.warns(UserWarning, match="product of the start"):
        search.fit(pairs, y)
    assert search.best_params_["init_scale"] < 1
    assert search.best_score_ > 0.8
    brute = GridSearchCV(
        MatrixCompletionRegressor(center=None, depth=depth, early_stopping=False),
        {"init_scale": [1e-3], "max_time": [10.0, 100.0]},
        cv=KFold(3, shuffle=True, random_state=0),
    ).fit(pairs, y)
    for params, score in zip(
        brute.cv_results_["params"], brute.cv_results_["mean_test_score"], strict=True
    ):
        row = search.cv_results_["params"].index(params)
        assert search.cv_results_["mean_test_score"][row] == pytest.approx(
            score, abs=0.01
        )


def test_a_search_over_scales_of_measurements():
    A, y, _ = sensing(60, (8, 8), noise=0.3)
    search = InitScaleSearchCV(
        MatrixSensingRegressor((8, 8), init="lifted"),
        init_scales=[10.0, 1e-3],
        times=[3.0, 30.0],
        cv=3,
    ).fit(A, y)
    assert search.best_params_["init_scale"] == 1e-3
    assert search.best_score_ > 0.8
    path = init_scale_path(
        A, y, estimator=MatrixSensingRegressor((8, 8), init="lifted"),
        init_scales=[10.0, 1e-3],
    )  # fmt: skip
    ranks = [model.effective_rank_ for model in path.estimators]
    assert ranks[0] > ranks[1]


def test_measurements_in_a_pipeline():
    A, y, _ = sensing(60)
    model = make_pipeline(StandardScaler(), MatrixSensingRegressor((6, 5)))
    assert model.set_output(transform="pandas").fit(A, y).score(A, y) > 0.99
    weight = np.ones(60)
    model.fit(A, y, matrixsensingregressor__sample_weight=weight)


# -- what is stored --------------------------------------------------------------------


def fitted(kind):
    if kind == "sensing":
        A, y, _ = sensing()
        return MatrixSensingRegressor((6, 5), random_state=0).fit(A, y), A
    X, y, _ = labelled(kind)
    return MatrixCompletionRegressor(random_state=0, max_time=20.0).fit(X, y), X


@pytest.mark.parametrize("kind", ["str", "mixed", "sensing"])
def test_pickles_know_nothing_of_torch(kind):
    model, X = fitted(kind)
    data = pickle.dumps(model)
    assert b"torch" not in data
    again = pickle.loads(data)
    assert_array_equal(again.predict(X), model.predict(X))
    assert_array_equal([*again.staged_predict(X)], [*model.staged_predict(X)])


@pytest.mark.parametrize("kind", ["int", "str", "mixed", "sensing"])
@pytest.mark.skipif(not importlib.util.find_spec("skops"), reason="needs skops")
def test_skops(kind):
    import skops.io

    model, X = fitted(kind)
    data = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("skregimes.") for name in unknown)
    again = skops.io.loads(data, trusted=unknown)
    assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("kind", ["str", "sensing"])
def test_the_html_display_computes_nothing(kind):
    model, _ = fitted(kind)
    assert type(model).__name__ in model._repr_html_()
    assert "log_volume_" not in vars(model)
    assert not {"singular_values", "richness"} & vars(model.trajectory_).keys()


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((3, 1)), np.ones(3), "n_features=1"),
        (np.ones((0, 2)), np.ones(0), "0 sample"),
        ([[1, 2], [3, 4]], [1.0, np.nan], "NaN"),
        ([[1, 2], [3, 4]], [1.0, np.inf], "infinity"),
        ([[1, 2], [3, np.nan]], [1.0, 2.0], "NaN"),
        ([[1, 2], [3, 4]], [1.0], "inconsistent"),
        ([[1, 2], [3, 4]], ["a", "b"], "convert|numeric"),
        ([1, 2], [1.0, 2.0], "1D|2D"),
    ],
)
def test_bad_entries(X, y, message):
    with pytest.raises(ValueError, match=message):
        MatrixCompletionRegressor().fit(X, y)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 5), "25 entries"),
        ((6,), "two positive integers"),
        ((6, 5, 1), "two positive integers"),
        ((-6, -5), "two positive integers"),
        ((6.0, 5.0), "two positive integers"),
        ("65", "shape"),
        (30, "shape"),
    ],
)
def test_shapes_that_do_not_fit(shape, message):
    A, y, _ = sensing()
    with pytest.raises(ValueError, match=message):
        MatrixSensingRegressor(shape).fit(A, y)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_measurements_that_are_no_numbers(bad):
    A, y, _ = sensing()
    A[3, 4] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        MatrixSensingRegressor((6, 5)).fit(A, y)


@pytest.mark.parametrize("center", [None, "global", "columns", "both"])
@pytest.mark.parametrize("value", [0.0, 3.5])
def test_equal_values(center, value):
    X, _ = table((6, 5))
    pairs, y = pairs_of(X)
    model = complete(pairs, np.full(len(y), value), center=center)
    assert_allclose(model.predict(pairs), value, rtol=1e-3)
    if center is not None:
        assert_array_equal(model.to_matrix(), np.full((6, 5), value))


@pytest.mark.parametrize("early_stopping", ["auto", False])
def test_one_entry(early_stopping):
    model = MatrixCompletionRegressor(early_stopping=early_stopping)
    assert model.fit([["a", "b"]], [3.0]).predict([["a", "b"]]) == 3
    model = clone(model).set_params(center=None).fit([["a", "b"]], [3.0])
    assert model.predict([["a", "b"]]) == pytest.approx(3, rel=1e-3)
    with pytest.raises(ValueError, match="at least two observed"):
        MatrixCompletionRegressor(early_stopping=True).fit([["a", "b"]], [3.0])
    A = np.ones((1, 4))
    model = MatrixSensingRegressor(early_stopping=early_stopping).fit(A, [3.0])
    assert model.predict(A) == 3
    bare = MatrixSensingRegressor(early_stopping=early_stopping, fit_intercept=False)
    assert bare.fit(A, [3.0]).predict(A) == pytest.approx(3, rel=1e-3)
    with pytest.raises(ValueError, match="at least two observed"):
        MatrixSensingRegressor(early_stopping=True).fit(A, [3.0])


def test_measurements_of_nothing():
    A, y, _ = sensing()
    model = MatrixSensingRegressor((6, 5)).fit(np.zeros_like(A), y)
    assert_array_equal(model.coef_, np.zeros(30))
    assert model.intercept_ == pytest.approx(y.mean())
    model = MatrixSensingRegressor((6, 5)).fit(A, np.full(40, 2.5))
    assert_array_equal(model.coef_, np.zeros(30))
    assert model.intercept_ == pytest.approx(2.5, rel=1e-14)


def test_weights_of_zero():
    X, _ = table((6, 5))
    pairs, y = pairs_of(X)
    weight = np.ones(len(y))
    weight[pairs[:, 0] == 5] = 0
    model = complete(pairs, y, weight)
    assert_array_equal(model.row_labels_, np.arange(5))
    with pytest.raises(ValueError, match="weight"):
        complete(pairs, y, np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        complete(pairs, y, -weight)


def test_unfitted():
    for model in (MatrixCompletionRegressor(), MatrixSensingRegressor()):
        for name in ("predict", "tangent_kernel"):
            with pytest.raises(NotFittedError):
                getattr(model, name)([[0, 1, 2, 3]])
        with pytest.raises(NotFittedError):
            next(model.staged_predict([[0, 1, 2, 3]]))
        with pytest.raises(NotFittedError):
            model.excess_nuclear_norm([[0, 1, 2, 3]], [0.0])
    with pytest.raises(NotFittedError):
        MatrixCompletionRegressor().to_matrix()
