"""Means and biases of a table against their definitions and brute force."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from skregimes._entries import Entries
from skregimes._offsets import Offsets

CENTERS = [None, "global", "columns", "both"]


def table(
    shape=(12, 9), density=0.6, deviations=(1.0, 0.5, 0.3), seed=0, weighted=False
):
    """Entries of an additive table with effects and noise of these deviations."""
    rng = np.random.default_rng(seed)
    row, col, noise = (
        deviation * rng.standard_normal(size)
        for deviation, size in zip(deviations, (shape[0], shape[1], shape))
    )
    rows, cols = np.nonzero(rng.random(shape) < density)
    weight = rng.uniform(0.5, 3, len(rows)) if weighted else None
    values = (3 + row[:, None] + col + noise)[rows, cols]
    return Entries.from_pairs(rows, cols, values, weight, shape)


def weight_of(entries):
    return np.ones(len(entries)) if entries.weight is None else entries.weight


def residual(offsets, entries):
    return entries.values - offsets.at(entries.rows, entries.cols)


def mixed_model(entries, row_damping, col_damping):
    """Solve the mixed model equations of mean, rows and columns densely."""
    d1, d2 = entries.shape
    design = np.zeros((len(entries), 1 + d1 + d2))
    design[:, 0] = 1
    design[np.arange(len(entries)), 1 + entries.rows] = 1
    design[np.arange(len(entries)), 1 + d1 + entries.cols] = 1
    weighted = design * weight_of(entries)[:, None]
    penalty = np.repeat([0, row_damping, col_damping], [1, d1, d2])
    solution = np.linalg.solve(
        weighted.T @ design + np.diag(penalty), weighted.T @ entries.values
    )
    return solution[0], solution[1 : 1 + d1], solution[1 + d1 :]


def free_energy(log_variances, entries):
    """Least variational free energy for given variances, up to constants."""
    rows, cols, noise = np.exp(log_variances)
    mean, b, c = mixed_model(entries, noise / rows, noise / cols)
    weight = weight_of(entries)
    rest = entries.values - mean - b[entries.rows] - c[entries.cols]
    energy = len(entries) * np.log(noise) + weight @ rest**2 / noise
    for index, effect, variance in ((entries.rows, b, rows), (entries.cols, c, cols)):
        count = np.bincount(index, weight, len(effect))
        posterior = 1 / (count / noise + 1 / variance)
        energy += count @ posterior / noise + effect @ effect / variance
        energy += np.sum(np.log(variance / posterior) + posterior / variance - 1)
    return energy


@pytest.mark.parametrize("weighted", [False, True])
def test_mean_and_column_means(weighted):
    entries = table(weighted=weighted)
    weight = weight_of(entries)
    nothing = Offsets.fit(entries, None)
    assert nothing.intercept == 0
    assert not np.any(nothing.at(entries.rows, entries.cols))
    mean = np.average(entries.values, weights=weight)
    for center in ("global", "columns"):
        assert Offsets.fit(entries, center).intercept == pytest.approx(mean, rel=1e-14)
    only_mean = Offsets.fit(entries, "global").at(entries.rows, entries.cols)
    assert_allclose(only_mean, mean, rtol=1e-14)
    offsets = Offsets.fit(entries, "columns")
    for col in range(entries.shape[1]):
        own = entries.cols == col
        expected = np.average(entries.values[own], weights=weight[own])
        assert offsets.at(0, col) == pytest.approx(expected, rel=1e-14)
    assert not np.any(offsets.row_bias)
    dampings = [(o.row_damping, o.col_damping) for o in (nothing, offsets)]
    assert dampings == [(np.inf, np.inf), (np.inf, 0)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("density", [0.25, 0.6, 1.0])
def test_biases_solve_the_mixed_model_equations(density, weighted):
    entries = table(density=density, weighted=weighted)
    offsets = Offsets.fit(entries, "both")
    assert 0.01 < offsets.row_damping < 10
    assert 0.01 < offsets.col_damping < 30
    expected = mixed_model(entries, offsets.row_damping, offsets.col_damping)
    assert offsets.intercept == pytest.approx(expected[0], abs=1e-7)
    assert_allclose(offsets.row_bias, expected[1], atol=1e-7)
    assert_allclose(offsets.col_bias, expected[2], atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_dampings_minimise_the_free_energy(weighted):
    entries = table(weighted=weighted, seed=2)
    offsets = Offsets.fit(entries, "both")
    best = minimize(
        free_energy,
        [0.0, 0.0, 0.0],
        entries,
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-11, "maxiter": 2000},
    )
    assert best.success
    rows, cols, noise = np.exp(best.x)
    assert offsets.row_damping == pytest.approx(noise / rows, rel=1e-4)
    assert offsets.col_damping == pytest.approx(noise / cols, rel=1e-4)


def test_dampings_are_those_of_the_model_in_large_tables():
    entries = table((400, 300), 0.2, (0.5, 0.25, 1.0))
    offsets = Offsets.fit(entries, "both")
    # 1 / 0.5^2 and 1 / 0.25^2; the deviation of a variance is about sqrt(2 / size).
    assert offsets.row_damping == pytest.approx(4, rel=0.2)
    assert offsets.col_damping == pytest.approx(16, rel=0.25)


def test_biases_predict_better_than_plain_means_and_than_none():
    train, held = table((80, 60), 0.1, (0.7, 0.5, 1.0)).split(
        0.2, np.random.RandomState(0)
    )
    error = {
        center: np.mean(residual(Offsets.fit(train, center), held) ** 2)
        for center in CENTERS
    }
    assert error["both"] < error["columns"] < error[None]
    assert error["both"] < 0.85 * error["global"]
    offsets = Offsets.fit(train, "both")
    for factor in (1e-3, 1e3):  # hardly any damping, and far too much
        mean, b, c = mixed_model(
            train, factor * offsets.row_damping, factor * offsets.col_damping
        )
        other = held.values - mean - b[held.rows] - c[held.cols]
        assert error["both"] < np.mean(other**2)


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_additive_tables_are_fitted(density):
    entries = table((40, 30), density, (1.0, 0.5, 0.0))
    offsets = Offsets.fit(entries, "both")
    assert_allclose(residual(offsets, entries), 0, atol=1e-7)
    assert max(offsets.row_damping, offsets.col_damping) < 1e-6


@pytest.mark.parametrize("center", CENTERS)
def test_equal_values_have_no_biases(center):
    entries = table(weighted=True)
    entries = entries.with_values(np.full(len(entries), 0.1))
    offsets = Offsets.fit(entries, center)
    assert offsets.intercept == (0 if center is None else 0.1)
    assert not np.any(offsets.row_bias)
    assert not np.any(offsets.col_bias)


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize("shape", [(1, 30), (30, 1), (1, 1), (2, 2)])
def test_narrow_tables(shape, center):
    entries = table(shape, 1.0)
    offsets = Offsets.fit(entries, center)
    assert np.all(np.isfinite(residual(offsets, entries)))
    if center == "both" and 1 in shape:
        # One row is no row effect: the mean is there for that.
        bias = offsets.row_bias if shape[0] == 1 else offsets.col_bias
        assert_allclose(bias, 0, atol=1e-12)


@pytest.mark.parametrize("center", CENTERS)
def test_without_entries(center):
    offsets = Offsets.fit(Entries.from_pairs([], [], [], None, (2, 3)), center)
    assert_array_equal(offsets.at([0, 1, -1], [2, -1, 0]), 0)


def test_noise_alone_is_damped_away():
    entries = table((60, 50), 0.5, (0.0, 0.0, 1.0))
    offsets = Offsets.fit(entries, "both")
    spread = np.ptp(offsets.at(entries.rows, entries.cols))
    plain = Offsets.fit(entries, "columns")
    assert spread < 0.2 * np.ptp(plain.at(entries.rows, entries.cols))


@pytest.mark.parametrize("scale", [2.0**-300, 1e-3, 3.0, 2.0**300])
@pytest.mark.parametrize("center", CENTERS)
def test_equivariant_in_scale(center, scale):
    entries = table()
    offsets = Offsets.fit(entries, center)
    scaled = Offsets.fit(entries.with_values(scale * entries.values), center)
    for name in ("intercept", "row_bias", "col_bias"):
        expected = getattr(offsets, name)
        assert_allclose(getattr(scaled, name) / scale, expected, rtol=0, atol=1e-9)
    assert scaled.row_damping == pytest.approx(offsets.row_damping, rel=1e-6)


@pytest.mark.parametrize("center", CENTERS[1:])
def test_equivariant_in_translation(center):
    entries = table()
    offsets = Offsets.fit(entries, center)
    moved = Offsets.fit(entries.with_values(entries.values + 1000), center)
    assert moved.intercept == pytest.approx(offsets.intercept + 1000, abs=1e-8)
    assert_allclose(moved.row_bias, offsets.row_bias, atol=1e-8)
    assert_allclose(moved.col_bias, offsets.col_bias, atol=1e-8)


def test_rows_and_columns_are_alike():
    entries = table(weighted=True)
    turned = Entries.from_pairs(
        entries.cols, entries.rows, entries.values, entries.weight, entries.shape[::-1]
    )
    offsets, other = (Offsets.fit(e, "both") for e in (entries, turned))
    assert other.row_damping == pytest.approx(offsets.col_damping, rel=1e-5)
    assert_allclose(other.row_bias, offsets.col_bias, atol=1e-7)
    assert_allclose(other.col_bias, offsets.row_bias, atol=1e-7)


@pytest.mark.parametrize("center", CENTERS)
def test_only_ratios_of_weights_matter(center):
    entries = table(weighted=True)
    heavy = Entries.from_pairs(
        entries.rows, entries.cols, entries.values, 50 * entries.weight, entries.shape
    )
    offsets, other = (Offsets.fit(e, center) for e in (entries, heavy))
    assert_allclose(residual(other, entries), residual(offsets, entries), atol=1e-9)
    if center == "both":
        assert other.row_damping == pytest.approx(50 * offsets.row_damping, rel=1e-6)


@pytest.mark.parametrize("center", ["columns", "both"])
def test_empty_rows_and_columns_and_unseen_ones(center):
    entries = table()
    wide = Entries.from_pairs(
        entries.rows + 1, entries.cols + 1, entries.values, None, (15, 12)
    )
    offsets, other = Offsets.fit(entries, center), Offsets.fit(wide, center)
    assert_allclose(other.row_bias[1:13], offsets.row_bias, atol=1e-12)
    assert_allclose(other.col_bias[1:10], offsets.col_bias, atol=1e-12)
    assert not np.any(other.row_bias[[0, 13, 14]])
    assert not np.any(other.col_bias[[0, 10, 11]])
    known = offsets.intercept + offsets.col_bias[3]
    assert_allclose(offsets.at([-1, -1], [3, -1]), [known, offsets.intercept])
    known = offsets.intercept + offsets.row_bias[4]
    assert_allclose(offsets.at([4], [-1]), [known])


def test_biases_of_new_rows():
    entries = table(weighted=True)
    offsets = Offsets.fit(entries, "both")
    # Rows of the fit get what they had: they are at their minimum given the columns.
    assert_allclose(offsets.new_rows(entries), offsets.row_bias, atol=1e-8)
    new = Entries.from_pairs([0, 0, 2], [1, 5, 3], [4.0, 6.0, 1.0], [1, 2, 3], (3, 9))
    rest = new.values - offsets.intercept - offsets.col_bias[new.cols]
    damping = offsets.row_damping
    expected = [(rest[0] + 2 * rest[1]) / (3 + damping), 0, 3 * rest[2] / (3 + damping)]
    assert_allclose(offsets.new_rows(new), expected, rtol=1e-13)
    for center in (None, "global", "columns"):
        assert_array_equal(Offsets.fit(entries, center).new_rows(new), np.zeros(3))


@pytest.mark.parametrize("center", CENTERS)
def test_float32_entries_are_fitted_in_float64(center):
    entries = table(weighted=True)
    single = Entries.from_pairs(
        entries.rows, entries.cols, entries.values.astype("f4"), entries.weight, (12, 9)
    )
    assert single.weight.dtype == np.float32
    offsets, other = Offsets.fit(entries, center), Offsets.fit(single, center)
    assert other.col_bias.dtype == np.float64
    assert_allclose(residual(other, entries), residual(offsets, entries), atol=1e-5)


def test_unknown_center():
    with pytest.raises(ValueError, match="center must be None"):
        Offsets.fit(table(), "rows")
