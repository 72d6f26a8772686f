"""Labels, weights and temperatures of the classifiers."""

import numpy as np
import pytest
from scipy.special import log_softmax

from skregimes._classification import (
    encode,
    log_probabilities,
    probabilities,
    temperature,
)


@pytest.mark.parametrize(
    "labels",
    [["no", "yes", "maybe"], [-3, 0, 7], [2.0, 4.0, 8.0]],
    ids=["str", "int", "float"],
)
@pytest.mark.parametrize("dtype", [None, object])
def test_codes_lead_back_to_labels(labels, dtype):
    y = np.array(labels, dtype=dtype)[[0, 1, 2, 1, 1]]
    classes, codes, weight = encode(y, np.ones(5))
    assert list(classes[codes]) == list(y)
    assert list(classes) == sorted(labels)
    np.testing.assert_array_equal(weight, np.ones(5))


def test_weightless_samples_are_dropped_classes_included():
    y = np.array([True, False, True])
    classes, codes, weight = encode(y, np.array([1.0, 2.0, 0.0]))
    assert classes.dtype == bool
    assert list(codes) == [1, 0]
    assert list(weight) == [1.0, 2.0]
    with pytest.raises(ValueError, match="only one class: True"):
        encode(y, np.array([1.0, 0.0, 3.0]))


def test_weights_add_up_to_the_samples_that_they_stand_for():
    y = np.array([0, 0, 1])
    weight = encode(y, np.array([0.1, 0.3, 0.2]))[2]
    np.testing.assert_allclose(weight, [0.5, 1.5, 1.0])
    balanced = encode(y, np.array([3.0, 1.0, 1.0]), "balanced")[2]
    np.testing.assert_allclose(balanced, [1.875, 0.625, 2.5])
    given = encode(y, np.ones(3), {0: 1e300, 1: 2e300})[2]
    np.testing.assert_allclose(given, [0.75, 0.75, 1.5])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf])
def test_class_weights_must_be_positive(bad):
    with pytest.raises(ValueError, match="must be positive for each class"):
        encode(np.array([0, 1]), np.ones(2), {1: bad})


def test_numbers_are_not_labels():
    with pytest.raises(ValueError, match="Unknown label type"):
        encode(np.array([0.1, 0.7, 1.3]), np.ones(3))


# -- temperature -----------------------------------------------------------------------


def mean_log_loss(T, log_odds, codes, weight):
    """Log loss of scaled log odds, written out."""
    log_p = log_softmax(log_odds / T, axis=1)[np.arange(len(codes)), codes]
    return -weight @ log_p / weight.sum()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("size", [50.0, 1e4, 1e100])
def test_temperature_meets_the_rule_of_succession(n_classes, size):
    rng = np.random.default_rng(0)
    codes = rng.integers(n_classes, size=30)
    weight = rng.integers(1, 4, size=30).astype(float)
    scores = rng.standard_normal((30, n_classes))
    scores[np.arange(30), codes] += 6.0  # separated
    scores *= size
    found = temperature(scores, codes, weight)
    assert found > 1
    least = 1 / (weight.sum() + n_classes)
    assert mean_log_loss(found, scores, codes, weight) == pytest.approx(least)
    if n_classes == 2:
        single = temperature(scores[:, 1] - scores[:, 0], codes, weight)
        np.testing.assert_allclose(single, found, rtol=1e-10)
    # Log odds are known up to a constant a sample.
    shifted = scores + size * rng.standard_normal((30, 1))
    np.testing.assert_allclose(temperature(shifted, codes, weight), found, rtol=1e-9)


@pytest.mark.parametrize("size", [1e-300, 1e-8, 1.0, 1e8, 1e300])
def test_temperature_takes_scores_of_any_size(size):
    codes = np.array([0, 0, 1, 1, 1])
    margin = np.array([-2.0, -1.0, 1.0, 2.0, 0.5])
    T = temperature(size * margin, codes, np.ones(5))
    assert T >= 1
    if size >= 1e8:
        assert T / size == pytest.approx(
            temperature(1e9 * margin, codes, np.ones(5)) / 1e9
        )
    if size < 1e-6:
        assert T == 1


def test_modest_scores_are_left_alone():
    codes = np.array([0, 1, 1])
    assert temperature(np.array([-0.1, 0.1, 0.1]), codes, np.ones(3)) == 1
    assert temperature(np.zeros(3), codes, np.ones(3)) == 1


def test_errors_are_left_alone():
    # They cost more than the least log loss, whatever the others are.
    assert temperature(np.array([5.0, -5.0]), np.array([0, 1]), np.ones(2)) == 1
    assert (
        temperature(np.array([-9e9, 9e9, -1.0]), np.array([0, 1, 1]), np.ones(3)) == 1
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_add_up_to_one_however_large_the_log_odds(n_classes):
    rng = np.random.default_rng(0)
    shape = (6,) if n_classes == 2 else (6, 3)
    log_odds = rng.standard_normal(shape) * np.logspace(-300, 300, 6).reshape(
        (6, *(1,) * (len(shape) - 1))
    )
    p, log_p = probabilities(log_odds), log_probabilities(log_odds)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(np.exp(log_p), p, atol=1e-300)
    assert np.all(np.isfinite(log_p))
