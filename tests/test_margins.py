"""Margins against their definition, sample by sample."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skregimes.limits.margins import Margins


def labelled(n_classes, n=7):
    """Return margins of seven samples, every class among them."""
    rng = np.random.default_rng(n_classes)
    codes = np.r_[np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)]
    return Margins(codes, n_classes)


def matrix(rule):
    """Return the matrix of the margins of scores, flattened by rows."""
    rows = []
    for i, code in enumerate(rule.codes):
        if rule.n_classes == 2:
            row = np.zeros((len(rule.codes), 1))
            row[i] = 1.0 if code == 1 else -1.0
            rows.append(row.ravel())
            continue
        for wrong in range(rule.n_classes):
            if wrong != code:
                row = np.zeros((len(rule.codes), rule.n_classes))
                row[i, code], row[i, wrong] = 1.0, -1.0
                rows.append(row.ravel())
    return np.array(rows)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_margins_are_leads_of_the_right_class(n_classes):
    rule = labelled(n_classes)
    scores = np.random.default_rng(0).standard_normal((4, 7, rule.n_outputs))
    expected = scores.reshape(4, -1) @ matrix(rule).T
    assert_allclose(rule.of(scores), expected, rtol=1e-14)
    assert_allclose(rule.of(scores[2]), expected[2], rtol=1e-14)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_pull_is_the_transpose(n_classes):
    rule = labelled(n_classes)
    dual = np.random.default_rng(1).standard_normal((4, len(rule.sample)))
    force = rule.pull(dual)
    assert force.shape == (4, 7, rule.n_outputs)
    assert_allclose(force.reshape(4, -1), dual @ matrix(rule), rtol=1e-14, atol=1e-15)
    assert_allclose(rule.pull(dual[1]), force[1])
    assert_allclose(rule.multipliers(force), dual)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_roles_and_owners(n_classes):
    rule = labelled(n_classes)
    per_sample = matrix(rule).reshape(-1, 7, rule.n_outputs)
    assert_array_equal(rule.roles, per_sample.sum(axis=1).T)
    assert_array_equal(rule.sample, np.abs(per_sample).sum(axis=2).argmax(axis=1))


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("some", [False, True])
def test_gram_is_that_of_the_gradients(n_classes, some):
    rule = labelled(n_classes)
    rng = np.random.default_rng(2)
    X = rng.standard_normal((7, 4))
    weights = rng.uniform(0.1, 2.0, (rule.n_outputs, 4))
    which = np.arange(len(rule.sample))
    if some:
        which = rng.permutation(which)[: len(which) // 2]
    # A row a margin: how it changes with the coefficients, output by output.
    per_sample = matrix(rule).reshape(-1, 7, rule.n_outputs)
    gradients = np.einsum("mno,nd->mod", per_sample, X)[which].reshape(len(which), -1)
    expected = gradients * weights.ravel() @ gradients.T
    assert_allclose(rule.gram(X, weights, which), expected, rtol=1e-12, atol=1e-13)
