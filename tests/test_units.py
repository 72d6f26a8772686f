"""Relative units: what they measure, how they convert, and what they are blind to."""

import numpy as np
import pytest

from skregimes.flows.rows import Rows
from skregimes.flows.units import (
    paper_to_relative,
    relative_to_paper,
    scale_unit,
    time_unit,
)
from skregimes.limits.potentials import DiagonalPotential, typical_ratio

DEPTHS = [1, 2, 3, 4, 6]
each_depth = pytest.mark.parametrize("depth", DEPTHS)


def table(seed=0, n_samples=8, n_features=15, n_targets=2):
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((n_samples, n_features)),
        rng.standard_normal((n_targets, n_samples)),
    )


def reduce(X, Y):
    return Rows.reduce(np.array(X.T, order="C"), Y)


@each_depth
def test_conversions_invert_each_other(depth):
    scales = np.geomspace(1e-30, 1e6, 7)
    alpha = relative_to_paper(scales, 0.3, depth)
    np.testing.assert_allclose(alpha**depth, 0.3 * scales, rtol=1e-12)
    np.testing.assert_allclose(paper_to_relative(alpha, 0.3, depth), scales, rtol=1e-12)


@each_depth
def test_the_scale_unit_is_homogeneous(depth):
    X, Y = table()
    unit = scale_unit(reduce(X, Y), depth)
    assert np.all(unit > 0)
    np.testing.assert_allclose(scale_unit(reduce(X, 7 * Y), depth), 7 * unit, rtol=1e-9)
    np.testing.assert_allclose(scale_unit(reduce(7 * X, Y), depth), unit / 7, rtol=1e-9)


@each_depth
def test_a_coefficient_of_the_typical_size_is_in_the_transition_at_scale_one(depth):
    # A single target on orthonormal features of equal pull has one coefficient size.
    rows = Rows.reduce(np.eye(6), np.ones((1, 6)))
    typical = rows.typical_coef[0]
    log_scale = np.log(scale_unit(rows, depth)[0]) / depth
    richness = DiagonalPotential(depth, log_scale).richness(np.full(6, typical))
    if depth == 1:
        assert richness == 0.0
    else:
        assert 0.2 < richness < 0.35
    np.testing.assert_allclose(scale_unit(rows, depth), typical * typical_ratio(depth))


def test_typical_ratios_at_the_depths_that_were_measured():
    # "0.2 for depth 2 and 0.4 for depth 3 within a factor of two".
    assert 0.1 < typical_ratio(2) < 0.4
    assert 0.2 < typical_ratio(3) < 0.8
    assert typical_ratio(3) < typical_ratio(4) < typical_ratio(6)


def test_units_of_data_that_ask_for_nothing_are_one():
    rows = Rows.reduce(np.zeros((3, 4)), np.ones((1, 4)))
    for depth in DEPTHS:
        np.testing.assert_allclose(scale_unit(rows, depth), typical_ratio(depth))
        assert time_unit(rows, 0, DiagonalPotential(depth, 0.0)) == 1.0


@each_depth
@pytest.mark.parametrize("shaped", [False, True])
def test_the_time_unit_is_when_the_first_feature_would_be_of_own_fit_size(
    depth, shaped
):
    X, Y = table()
    rows = reduce(X, Y)
    shape = np.linspace(0.5, 2.0, 15) if shaped else np.ones(15)
    alpha = 0.3 * shape
    unit = time_unit(rows, 1, DiagonalPotential(depth, np.log(alpha)))
    # The weights' own equations with the residual frozen, in closed form for depth 1
    # and 2, by quadrature of dw / w**(depth - 1) in general.
    pull = np.abs(X.T @ Y[1] / 8)
    size = np.max(pull / (np.sum(X**2, axis=0) / 8))

    def grown(t):
        if depth == 1:
            return 2 * pull * t
        if depth == 2:
            up, down = alpha * np.exp(2 * pull * t), alpha * np.exp(-2 * pull * t)
        else:
            p = depth - 2
            left = np.maximum(alpha**-p - p * depth * pull * t, 1e-300)
            up, down = left ** (-1 / p), (alpha**-p + p * depth * pull * t) ** (-1 / p)
        return up**depth - down**depth

    assert np.max(grown(unit)) == pytest.approx(size, rel=1e-9)


@each_depth
def test_the_time_unit_is_homogeneous(depth):
    X, Y = table()
    potential = DiagonalPotential(depth, np.log(0.3))
    unit = time_unit(reduce(X, Y), 0, potential)
    # y times c with alpha**depth times c: time times c**(2 / depth - 2).
    c = 50.0
    scaled = DiagonalPotential(depth, np.log(0.3) + np.log(c) / depth)
    factor = c ** (2 / depth - 2)
    assert time_unit(reduce(X, c * Y), 0, scaled) == pytest.approx(
        factor * unit, rel=1e-9
    )


@each_depth
def test_the_time_unit_at_extreme_scales(depth):
    rows = reduce(*table())
    for log_alpha in (-60.0, 0.0, 20.0):
        unit = time_unit(rows, 0, DiagonalPotential(depth, log_alpha))
        assert 0 < unit < np.inf
