"""Tables with holes behind scikit-learn's interface: factorizer and imputer."""

import importlib.util
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matrix_reference import distance, table
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skregimes import MatrixFactorizationImputer, MatrixFactorizer
from skregimes.diagnostics import deep_linear_volume, effective_rank, stable_rank
from skregimes.limits import min_nuclear_norm
from skregimes.networks.factors import product

BARE = {"center": None, "early_stopping": False, "random_state": 0}
BOTH = pytest.mark.parametrize("kind", [MatrixFactorizer, MatrixFactorizationImputer])


def fit(X, **options):
    return MatrixFactorizer(**{**BARE, **options}).fit(X)


def sparse_of(X, form):
    """A sparse matrix that stores the entries, zeros too."""
    rows, cols = np.nonzero(~np.isnan(X))
    return sp.coo_array((X[rows, cols], (rows, cols)), X.shape).asformat(form)


def noisy_table(n_new=60, seed=1):
    """Rows to train on and new ones, of rank 4 with noise, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((150 + n_new, 4)) @ rng.standard_normal((4, 60)) / 2
    X = truth + 0.3 * rng.standard_normal(truth.shape)
    X[rng.random(X.shape) > 0.4] = np.nan
    return X[:150], truth[:150], X[150:], truth[150:]


# -- what a fit consists of ------------------------------------------------------------


@pytest.mark.parametrize("center", [None, "global", "columns", "both"])
@pytest.mark.parametrize("depth", [2, 3])
def test_the_parts_make_the_whole(center, depth):
    X, _ = table((9, 7), noise=0.3)
    X += 5
    model = fit(X, center=center, depth=depth, max_time=100.0)
    U, s, V = model.embedding_, model.singular_values_, model.components_
    M = product(model.factors_)
    assert_allclose(U @ V, M, atol=1e-9)
    assert_allclose(np.linalg.norm(U, axis=0), s, rtol=1e-9)
    assert_allclose(V @ V.T, np.eye(len(V)), atol=1e-9)
    assert np.all(np.diff(s) <= 0)
    assert model.n_components_ == len(s) == 7
    assert model.effective_rank_ == pytest.approx(effective_rank(M))
    assert model.stable_rank_ == pytest.approx(stable_rank(M))
    full = model.complete()
    offset = model.offset_ + model.row_bias_[:, None]
    assert_allclose(full, M + offset, atol=1e-9)
    everywhere = np.array([*np.ndindex(X.shape)]).T
    assert_allclose(model.predict_entries(*everywhere), full.ravel(), atol=1e-12)
    assert model.predict_entries([0], [-1]) == pytest.approx(full[0, -1])
    rest = (full - X)[~np.isnan(X)]
    assert model.reconstruction_err_ == pytest.approx(np.sqrt(np.mean(rest**2)))
    assert model.loss_ == pytest.approx(np.sum(rest**2) / 2, rel=1e-6)
    assert model.n_observed_ == len(rest)
    holes = np.flatnonzero(np.isnan(X).any(axis=0))
    assert_array_equal(model.incomplete_features_, holes)
    with pytest.raises(IndexError):
        model.predict_entries([9], [0])


def test_offsets():
    X, _ = table((9, 7))
    X += np.arange(7) * 10 + 100
    model = fit(X, center="global")
    assert_allclose(model.offset_, np.full(7, np.nanmean(X)))
    model = fit(X, center="columns")
    assert_allclose(model.offset_, np.nanmean(X, axis=0))
    assert not np.any(model.row_bias_)
    rng = np.random.default_rng(0)
    additive = rng.standard_normal((30, 1)) + rng.standard_normal(20) + 4
    seen = np.where(rng.random(additive.shape) < 0.5, additive, np.nan)
    model = fit(seen, center="both", max_time=1.0)
    assert distance(model.complete(), additive) < 0.02


def test_log_volume_and_nuclear_norm():
    X, truth = table((12, 10), observed=0.7)
    model = fit(X, depth=3)
    assert model.effective_rank_ < 2.1
    s = model.singular_values_
    volume = deep_linear_volume(s[:2], 3, shape=X.shape)
    assert model.log_volume_ == pytest.approx(volume)
    least = min_nuclear_norm(X)
    excess = np.sum(s) / least.norm - 1
    assert model.excess_nuclear_norm(X) == pytest.approx(excess)
    assert -1e-3 < excess < 0.05
    assert distance(model.complete(), truth) < 0.01


def test_small_starts_recover_what_large_ones_do_not():
    X, truth = table((30, 20), rank=2, observed=0.5)
    errors = [
        distance(fit(X, init="lifted", init_scale=scale, depth=3).complete(), truth)
        for scale in (1e-6, 1e-2, 1.0, 100.0)
    ]
    assert np.all(np.diff(errors) > 0)
    assert errors[0] < 0.01
    assert errors[-1] > 0.5


# -- how the table comes ---------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sparse_is_bitwise_as_dense(kind, form, dtype):
    X, _ = table((12, 9), noise=0.2)
    X = X.astype(dtype)
    X[0, np.flatnonzero(~np.isnan(X[0]))[0]] = 0  # a zero, not a hole
    dense = kind(random_state=0, max_time=50.0)
    sparse = clone(dense).fit(sparse_of(X, form))
    dense.fit(X)
    for W, other in zip(dense.factors_, sparse.factors_, strict=True):
        assert_array_equal(W, other)
    assert_array_equal(dense.impute(X), sparse.impute(sparse_of(X, form)))
    assert_array_equal(dense.transform(X), sparse.transform(sparse_of(X, form)))
    assert dense.score(X) == sparse.score(sparse_of(X, form))
    assert isinstance(sparse.transform(sparse_of(X, form)), np.ndarray)
    holes = sparse_of(X, form).copy()
    holes.data[3] = np.nan  # stored, but not known
    other = X.copy()
    place = holes.tocoo()
    hole = np.flatnonzero(np.isnan(place.data))[0]
    other[place.coords[0][hole], place.coords[1][hole]] = np.nan
    assert_array_equal(clone(dense).fit(other).complete(), sparse.fit(holes).complete())


@BOTH
@pytest.mark.parametrize("marker", [-1.0, 0.0])
def test_other_markers_of_holes(kind, marker):
    X, _ = table((9, 7))
    X += 3 - np.nanmin(X)
    marked = np.where(np.isnan(X), marker, X)
    expected = kind(max_time=30.0, random_state=0).fit(X)
    model = kind(max_time=30.0, random_state=0, missing_values=marker).fit(marked)
    assert_array_equal(model.complete(), expected.complete())
    assert_array_equal(model.transform(marked), expected.transform(X))
    with pytest.raises(ValueError, match="NaN"):
        model.transform(X)


@BOTH
@pytest.mark.parametrize("dtype", [int, np.int8, bool, object])
def test_other_dtypes(kind, dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (12, 9)).astype(dtype)
    model = kind(2, max_time=20.0, random_state=0).fit(X)
    same = kind(2, max_time=20.0, random_state=0).fit(X.astype(float))
    assert model.components_.dtype == np.float64
    assert_array_equal(model.complete(), same.complete())


@pytest.mark.parametrize("depth", [2, 3])
def test_float32_stays_float32(depth):
    X, _ = table((20, 12), observed=0.7)
    wide = fit(X, depth=depth, init_scale=1e-3)
    X32 = X.astype(np.float32)
    model = fit(X32, depth=depth, init_scale=1e-3)
    arrays = [*model.factors_, *model.initial_factors_, *model.trajectory_.factors[2]]
    arrays += [model.components_, model.singular_values_, model.embedding_]
    arrays += [model.complete(), model.transform(X32), model.impute(X32)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert distance(model.complete(), wide.complete()) < 1e-3
    asked = fit(X, depth=depth, init_scale=1e-3, dtype="float32")
    assert {W.dtype for W in asked.factors_} == {np.dtype(np.float32)}
    assert fit(X32, dtype=np.float64).components_.dtype == np.float64
    with pytest.raises(ValueError, match="float64, float32"):
        fit(X, dtype="int32")


@BOTH
def test_data_frames(kind):
    X, _ = table((9, 4))
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"], index=range(10, 19))
    model = kind(max_time=10.0, random_state=0).fit(frame)
    assert_array_equal(model.feature_names_in_, ["a", "b", "c", "d"])
    assert_array_equal(model.transform(frame), clone(model).fit(X).transform(X))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[["b", "a", "c", "d"]])
    found = model.set_output(transform="pandas").transform(frame)
    assert list(found.index) == list(frame.index)
    names = [f"matrixfactorizer{j}" for j in range(4)]
    expected = names if kind is MatrixFactorizer else ["a", "b", "c", "d"]
    assert list(found.columns) == expected == list(model.get_feature_names_out())


def test_columns_of_any_unit():
    X, _ = table((20, 8), noise=0.1)
    units = np.logspace(-100, 100, 8)
    model = MatrixFactorizationImputer(random_state=0).fit(X)
    scaled = MatrixFactorizationImputer(random_state=0).fit(X * units + 0)
    assert_allclose(scaled.transform(X * units) / units, model.transform(X), rtol=1e-6)
    shifted = MatrixFactorizationImputer(random_state=0).fit(X + 3.0)
    assert_allclose(shifted.transform(X + 3.0) - 3, model.transform(X), rtol=1e-6)
    plain = MatrixFactorizationImputer(random_state=0, standardize=False)
    assert_array_equal(plain.fit(X).feature_scale_, np.ones(8))
    assert_allclose(model.feature_scale_, np.nanstd(X, axis=0))


# -- rows, known and new ---------------------------------------------------------------


@BOTH
def test_observed_entries_stay(kind):
    X, _ = table((12, 9), noise=0.5)
    model = kind(random_state=0).fit(X)
    seen = ~np.isnan(X)
    filled = model.impute(X)
    assert_array_equal(filled[seen], X[seen])
    assert_array_equal(filled[~seen], model.complete()[~seen])
    new = X[::-1] * 0.5
    filled = model.impute(new)
    assert_array_equal(filled[~np.isnan(new)], new[~np.isnan(new)])
    assert np.all(np.isfinite(filled))


@pytest.mark.parametrize("center", [None, "both"])
def test_training_rows_keep_their_codes(center):
    X, _ = table((12, 9), noise=0.5)
    model = fit(X, center=center, max_time=50.0)
    assert_array_equal(model.transform(X), model.embedding_)
    assert_array_equal(model.transform(X[[5, 2]]), model.embedding_[[5, 2]])
    back = model.inverse_transform(model.embedding_) + model.row_bias_[:, None]
    assert_allclose(back, model.complete(), atol=1e-12)
    assert_array_equal(model.fit_transform(X), clone(model).fit(X).transform(X))
    # Not by accident of the fold-in.
    assert model.fold_in_gap_ > 1e-6
    folded = model.transform(X + 1e-12)
    assert distance(folded, model.embedding_) == pytest.approx(
        model.fold_in_gap_, rel=1e-3
    )


def test_fold_in_is_least_squares_on_the_row_space():
    X, _ = table((12, 9), noise=0.5)
    new, _ = table((4, 9), noise=0.5, seed=5)
    for alpha in (0.0, 1e-3, 1.0):
        model = fit(X, n_components=3, max_time=50.0, fold_in_alpha=alpha)
        stretch = model.singular_values_ / model.singular_values_[0]
        codes = model.transform(new)
        for row, code in zip(new, codes, strict=True):
            seen = ~np.isnan(row)
            basis = (stretch[:, None] * model.components_[:, seen]).T
            if alpha:
                weights = np.linalg.solve(
                    basis.T @ basis + alpha * np.eye(3), basis.T @ row[seen]
                )
            else:
                weights = np.linalg.lstsq(basis, row[seen], rcond=1e-15)[0]
            assert_allclose(code, stretch * weights, rtol=1e-6, atol=1e-8)
        assert model.fold_in_alpha_ == alpha


@pytest.mark.parametrize("center", [None, "columns"])
def test_with_weight_decay_fold_in_is_exact(center):
    X, _ = table((40, 15), noise=0.3)
    model = fit(X, weight_decay=0.2, center=center, tol=1e-12)
    assert model.fold_in_gap_ < 1e-4
    # A row that is known, but not by its digest.
    assert_allclose(
        model.transform(X + 1e-13), model.embedding_, atol=1e-3 * np.nanmax(X)
    )


@pytest.mark.parametrize(("depth", "bar"), [(2, 0.21), (3, 0.21)])
def test_new_rows_of_a_noisy_table(depth, bar):
    X, _, new, truth = noisy_table()
    model = MatrixFactorizer(depth=depth, random_state=0).fit(X)
    holes = np.isnan(new)
    error = np.sqrt(np.mean((model.impute(new) - truth)[holes] ** 2))
    blind = np.sqrt(np.mean(truth[holes] ** 2))
    assert error < bar < blind / 4
    plain = MatrixFactorizer(depth=depth, random_state=0, fold_in_alpha=0.0).fit(X)
    naive = np.sqrt(np.mean((plain.impute(new) - truth)[holes] ** 2))
    assert naive > 1.5 * error


def test_rows_of_nothing_are_offsets():
    X, _ = table((12, 9), noise=0.5)
    X += 4
    model = fit(X, center="both", max_time=50.0)
    row = np.full((1, 9), np.nan)
    assert_allclose(model.impute(row)[0], model.offset_)
    assert_array_equal(model.transform(row), np.zeros((1, 9)))


def test_the_score_is_that_of_hidden_entries():
    X, _, new, _ = noisy_table()
    model = MatrixFactorizer(random_state=0).fit(X)
    score = model.score(new)
    assert 0.6 < score < 1
    assert model.score(X) == model.score(X)
    # Rows by themselves: that of all is between those of parts.
    parts = [model.score(part) for part in (new[:30], new[30:])]
    assert min(parts) <= score <= max(parts)
    assert model.score(3 * X) < 1
    noise = np.random.default_rng(0).standard_normal(new.shape)
    assert model.score(noise) < 0.1
    assert np.isnan(model.score(np.where(np.arange(60) == 3, new, np.nan)))
    scores = cross_val_score(MatrixFactorizer(random_state=0), X, cv=3)
    assert np.all(scores > 0.5)


def test_hidden_entries_of_full_rows_are_everywhere():
    from skregimes._entries import Entries
    from skregimes.matrix.factorizer import _hide

    X = np.random.default_rng(0).standard_normal((200, 10))
    hidden = _hide(Entries.from_matrix(X)).reshape(X.shape)
    assert_array_equal(hidden.sum(axis=1), 2)
    assert np.all(hidden.sum(axis=0) > 20)
    assert_array_equal(_hide(Entries.from_matrix(X[7:9])), hidden[7:9].ravel())


# -- the imputer -----------------------------------------------------------------------


def test_indicators():
    X, _ = table((12, 5), observed=0.8)
    X[:, 2] = np.arange(12)
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = MatrixFactorizationImputer(add_indicator=True, random_state=0)
    found = model.fit(frame).transform(frame)
    assert found.shape == (12, 9)
    assert_array_equal(found[:, :5], model.impute(frame))
    assert_array_equal(found[:, 5:], np.isnan(X)[:, [0, 1, 3, 4]])
    names = [*"abcde", *(f"missingindicator_{c}" for c in "abde")]
    assert list(model.get_feature_names_out()) == names
    output = model.set_output(transform="pandas").transform(frame)
    assert list(output.columns) == names
    sparse = MatrixFactorizationImputer(add_indicator=True, random_state=0)
    sparse.fit(sparse_of(X, "csr"))
    assert_array_equal(sparse.transform(sparse_of(X, "csr")), found)


def test_better_than_means():
    X, truth = table((60, 12), rank=2, observed=0.7, noise=0.1, seed=3)
    holes = np.isnan(X)
    filled = MatrixFactorizationImputer(random_state=0).fit_transform(X)
    error = np.sqrt(np.mean((filled - truth)[holes] ** 2))
    means = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
    assert error < 0.3 * np.sqrt(np.mean((means - truth)[holes] ** 2))


def test_in_a_pipeline():
    X, truth = table((120, 8), rank=2, observed=0.8, seed=3)
    y = truth @ np.arange(8)
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    model = make_pipeline(
        MatrixFactorizationImputer(random_state=0), Ridge(alpha=1e-3)
    ).set_output(transform="pandas")
    model.fit(frame[:80], y[:80])
    assert model.score(frame[80:], y[80:]) > 0.95
    codes = make_pipeline(
        MatrixFactorizer(random_state=0, center=None), Ridge(alpha=1e-3)
    )
    codes.fit(frame[:80], y[:80])
    assert codes.score(frame[80:], y[80:]) > 0.95


def test_a_grid_search_over_rows():
    X, _ = table((60, 20), rank=3, noise=0.1)
    search = GridSearchCV(
        MatrixFactorizer(random_state=0, center=None, max_time=300.0),
        {"n_components": [1, 3], "depth": [2, 3]},
        cv=2,
    ).fit(X)
    assert search.best_params_["n_components"] == 3
    assert search.best_score_ > 0.7


# -- what is stored, and how it is shown -----------------------------------------------


@BOTH
def test_pickles_know_nothing_of_torch(kind):
    X, _ = table((9, 7), noise=0.2)
    model = kind(random_state=0).fit(X)
    volume = model.log_volume_
    data = pickle.dumps(model)
    assert b"torch" not in data
    again = pickle.loads(data)
    new = 0.5 * X
    assert_array_equal(again.transform(X), model.transform(X))
    assert_array_equal(again.transform(new), model.transform(new))
    assert_array_equal(
        again.trajectory_.singular_values, model.trajectory_.singular_values
    )
    assert again.log_volume_ == volume


@BOTH
@pytest.mark.skipif(not importlib.util.find_spec("skops"), reason="needs skops")
def test_skops(kind):
    import skops.io

    X, _ = table((9, 7))
    model = kind(random_state=0, max_time=10.0).fit(X)
    data = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("skregimes.") for name in unknown)
    again = skops.io.loads(data, trusted=unknown)
    assert_array_equal(again.transform(X), model.transform(X))
    assert_array_equal(again.transform(0.5 * X), model.transform(0.5 * X))


@BOTH
def test_the_html_display_computes_nothing(kind):
    X, _ = table((9, 7))
    model = kind(max_time=10.0).fit(X)
    assert kind.__name__ in model._repr_html_()
    assert "log_volume_" not in vars(model)
    assert not {"singular_values", "richness"} & vars(model.trajectory_).keys()


def test_unfitted():
    X, _ = table()
    for name in ("complete", "transform", "impute", "score", "inverse_transform"):
        method = getattr(MatrixFactorizer(), name)
        with pytest.raises(NotFittedError):
            method(X) if name != "complete" else method()
    assert not hasattr(MatrixFactorizer(), "log_volume_")


def test_everything_is_deterministic_and_parameters_stay():
    X, _ = table((9, 7), noise=0.3)
    model = MatrixFactorizer(init="gaussian", random_state=3)
    before, kept = model.get_params(), X.copy()
    one, two = clone(model).fit(X), model.fit(X)
    assert_array_equal(one.complete(), two.complete())
    assert str(model.get_params()) == str(before)
    assert_array_equal(X, kept)
    other = MatrixFactorizer(init="gaussian", random_state=4).fit(X)
    assert np.max(np.abs(other.complete() - one.complete())) > 1e-6
    spectral = [fit(X, random_state=seed).complete() for seed in (0, 1)]
    assert_array_equal(*spectral)


def test_a_refit_forgets():
    X, _ = table((9, 7))
    model = MatrixFactorizer(early_stopping=True, random_state=0).fit(X)
    volume = model.log_volume_
    model.set_params(early_stopping=False).fit(2 * X[:5])
    assert not hasattr(model, "validation_curve_")
    assert not hasattr(model, "validation_score_")
    assert model.log_volume_ != volume
    assert model.complete().shape == (5, 7)


# -- bad input -------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.empty((0, 3)), "0 sample"),
        (np.empty((3, 0)), "0 feature"),
        (np.full((3, 4), np.nan), "No entry"),
        (sp.csr_array((3, 4)), "No entry"),
        (np.array([[1.0, np.inf], [0.0, 1.0]]), "infinity"),
        (sp.csr_array(np.array([[1.0, np.inf], [0.0, 1.0]])), "infinity"),
        (np.ones(3), "1D array"),
        ([["a", "b"], ["c", "d"]], "dtype|convert"),
    ],
)
def test_bad_tables(kind, X, message):
    with pytest.raises(ValueError, match=message):
        kind().fit(X)


@pytest.mark.filterwarnings("ignore:Columns .* have no observed entry")
@BOTH
@pytest.mark.parametrize(
    ("center", "depth"),
    [(None, 2), ("global", 3), ("columns", 2), ("both", 2), ("both", 3)],
)
def test_rows_and_columns_without_entries(kind, center, depth):
    X, _ = table((30, 8), observed=0.8)
    X[4], X[:, 6] = np.nan, np.nan
    model = kind(center=center, depth=depth, random_state=0, max_time=300.0).fit(X)
    full = model.complete()
    assert np.all(np.isfinite(full))
    if center in (None, "global"):
        # Next to nothing, or the mean, is known of them.
        mean = 0 if center is None else np.nanmean(X)
        if kind is MatrixFactorizer:
            assert_allclose(full[4], mean, atol=1e-3)
            assert_allclose(full[:, 6], mean, atol=1e-3)
    assert np.all(np.isfinite(model.transform(X)))
    assert np.all(np.isfinite(model.impute(X[::-1] + 1)))


@BOTH
@pytest.mark.parametrize("center", [None, "global", "columns", "both"])
@pytest.mark.parametrize("value", [0.0, -7.3, 1e200])
def test_equal_entries(kind, center, value):
    X = np.where(np.random.default_rng(0).random((6, 5)) < 0.7, value, np.nan)
    X[:, 0] = value
    model = kind(center=center, max_time=1e3, random_state=0).fit(X)
    full = model.complete()
    assert np.all(np.isfinite(full))
    if center is not None:
        assert_array_equal(full, np.full((6, 5), value))
        assert model.richness_ == 0
        assert model.time_ == 0
    elif value == 0:
        assert_array_equal(full, np.zeros((6, 5)))


@BOTH
@pytest.mark.parametrize("center", [None, "global"])
def test_one_entry(kind, center):
    X = np.full((3, 4), np.nan)
    X[1, 2] = 5.0
    if kind is MatrixFactorizationImputer:
        with pytest.warns(UserWarning, match=r"Columns \[0, 1, 3\] have no observed"):
            model = kind(center=center).fit(X)
        assert_allclose(model.transform(X)[:, [0, 1, 3]], 0, atol=1e-5)
    else:
        model = kind(center=center).fit(X)
    assert model.complete()[1, 2] == pytest.approx(5, rel=1e-3)
    assert np.all(np.isfinite(model.impute(X)))
    assert kind().fit([[2.0]]).impute([[np.nan]])[0, 0] == pytest.approx(2)
    with pytest.raises(ValueError, match="at least two observed"):
        kind(early_stopping=True, center=center).fit([[2.0]])


@BOTH
def test_codes_and_tables_of_another_shape(kind):
    X, _ = table()
    model = kind(max_time=10.0).fit(X)
    with pytest.raises(ValueError, match="5 features"):
        model.transform(X[:, :5])
    with pytest.raises(ValueError, match=r"at least 2|1D|shape"):
        model.tangent_kernel([0, 1])
    with pytest.raises(ValueError, match="'init' or 'end'"):
        model.tangent_kernel([[0, 1]], at="start")
    if kind is MatrixFactorizer:
        with pytest.raises(ValueError, match="codes have 6"):
            model.inverse_transform(np.ones((2, 5)))


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.1}, "learning_rate is for solver='gd'"),
        ({"depth": 1}, "depth"),
        ({"depth": 2.5}, "depth"),
        ({"n_components": 0}, "n_components"),
        ({"init": "zeros"}, "init"),
        ({"init_scale": 0.0}, "init_scale"),
        ({"init_scale": np.inf}, "init_scale"),
        ({"center": "rows"}, "center"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"solver": "lbfgs"}, "solver"),
        ({"early_stopping": "yes"}, "early_stopping"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"max_time": -1.0}, "max_time"),
        ({"rtol": 0.0}, "rtol"),
        ({"tol": -1.0}, "tol"),
        ({"fold_in_alpha": -1.0}, "fold_in_alpha"),
        ({"missing_values": "?"}, "missing_values"),
        ({"device": "tpu9"}, "device"),
        ({"dtype": "float16"}, "dtype"),
        ({"dtype": "number"}, "dtype"),
    ],
)
def test_options_that_make_no_sense(kind, options, message):
    X, _ = table()
    with pytest.raises(ValueError, match=message):
        kind(**options).fit(X)
