"""Tables of labelled samples, and parts of them to hold out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from skregimes._labelled import LabelledTable, class_folds


def example():
    rng = np.random.default_rng(0)
    X = np.array([[0.0, 1], [2, 3], [0, 1], [-0.0, 1], [5, 5], [2, 3]])
    return X, np.array([0, 1, 0, 1, 2, 1]), rng.uniform(1, 2, 6)


@pytest.mark.parametrize("center", [True, False])
def test_samples_are_merged_and_found_again(center):
    X, codes, weight = example()
    used = np.ones(6, dtype=bool)
    data = LabelledTable.build(X, used, codes, weight, center=center, standardize=True)
    assert len(data.codes) == 4  # 0 and -0.0 are one place, two labels there are two
    assert data.n_classes == 3
    assert_allclose(data.codes[data.place], codes)
    assert_allclose(np.bincount(data.place, weight), data.weight)
    assert_allclose(data.X[data.place] * data.table.x_scale + data.table.x_mean, X)
    # Shares of what a distinct sample has add up to it.
    values = np.arange(4.0)[None]
    spread = data.of_samples(values)
    assert spread.shape == (1, 6)
    assert_allclose(np.bincount(data.place, spread[0]), values[0])
    scaler = StandardScaler(with_mean=center).fit(X, sample_weight=weight)
    if center:
        assert_allclose(data.table.x_mean, scaler.mean_)
        assert_allclose(data.table.x_scale, scaler.scale_)


def test_weightless_samples_are_zeros_on_the_way_back():
    X, codes, weight = example()
    used = np.array([True, True, False, True, True, True])
    data = LabelledTable.build(
        X, used, codes[used], weight[used], center=True, standardize=True
    )
    values = data.of_samples(np.ones((1, 4)))
    assert values[0, 2] == 0
    assert values.sum() == pytest.approx(4)
    assert_array_equal(data.samples_of([0, 1, 2, 3]), [0, 1, 3, 4, 5])


def test_coefficients_find_their_units_back():
    X, codes, weight = example()
    used = np.ones(6, dtype=bool)
    data = LabelledTable.build(X, used, codes, weight, center=True, standardize=True)
    coef = np.random.default_rng(1).standard_normal((3, 2))
    out, intercept = data.restore(coef, np.ones(3))
    seen = data.X[data.place] @ coef.T + 1
    shift = X @ out.T + intercept - seen  # one a sample
    assert_allclose(shift, shift[:, [0, 0, 0]], atol=1e-12)
    assert intercept.sum() == pytest.approx(0, abs=1e-12)
    out, intercept = data.restore(coef[:1], np.ones(1))
    assert_allclose(X @ out.T + intercept, seen[:, :1], atol=1e-12)


def test_classes_are_held_out_in_disjoint_shares():
    codes = np.repeat([0, 1, 2, 3], [50, 20, 3, 1])
    parts = class_folds(codes, 0.1, 5, np.random.RandomState(0))
    assert len(parts) == 5
    assert np.sum(parts, axis=0).max() == 1
    for held in parts:
        assert 5 + 2 <= held.sum() <= 5 + 2 + 1
        assert set(codes[~held]) == {0, 1, 2, 3}
    assert not any(held[-1] for held in parts)  # none of that class to spare
    again = class_folds(codes, 0.1, 5, np.random.RandomState(0))
    np.testing.assert_equal(again, parts)


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.99])
def test_any_fraction_leaves_every_class_something(fraction):
    codes = np.arange(12) % 3
    parts = class_folds(codes, fraction, 5, np.random.RandomState(1))
    assert parts
    for held in parts:
        assert held.any()
        assert set(codes[~held]) == {0, 1, 2}
    assert class_folds(np.arange(3), fraction, 5, np.random.RandomState(1)) == []
