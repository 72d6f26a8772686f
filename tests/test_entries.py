"""Entries of a table with holes, against dictionaries and dense arrays."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skregimes._entries import Entries

DENSE = np.array(
    [
        [1.0, np.nan, 0.0, -2.5],
        [np.nan, np.nan, np.nan, np.nan],
        [3.0, 0.1, np.nan, np.nan],
    ]
)
ROWS, COLS, VALUES = [0, 0, 0, 2, 2], [0, 2, 3, 0, 1], [1.0, 0.0, -2.5, 3.0, 0.1]


def assert_same(entries, other):
    """Bitwise, dtypes too."""
    assert entries.shape == other.shape
    for name in ("rows", "cols", "values", "weight"):
        first, second = getattr(entries, name), getattr(other, name)
        assert (first is None) == (second is None), name
        if first is not None:
            assert first.dtype == second.dtype, name
            assert_array_equal(first, second, err_msg=name)


def pairs(n=60, shape=(5, 7), seed=0):
    """Samples with many duplicates, some of them without weight."""
    rng = np.random.default_rng(seed)
    rows, cols = (rng.integers(0, size, n) for size in shape)
    return rows, cols, rng.standard_normal(n), rng.integers(0, 4, n) / 2, shape


def test_dense():
    entries = Entries.from_matrix(DENSE)
    assert entries.shape == (3, 4)
    assert len(entries) == 5
    assert_array_equal(entries.rows, ROWS)
    assert_array_equal(entries.cols, COLS)
    assert_array_equal(entries.values, VALUES)
    assert entries.rows.dtype == entries.cols.dtype == np.int64
    assert entries.weight is None
    assert_array_equal(entries.dense(np.nan), DENSE)
    assert_array_equal(entries.dense(), np.nan_to_num(DENSE))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("form", ["csr", "csc", "lil", None])
@pytest.mark.parametrize("kind", [sparse.coo_matrix, sparse.coo_array])
def test_sparse_is_bitwise_as_dense(kind, form, dtype):
    order = [3, 0, 4, 2, 1]
    picked = [np.array(list_)[order] for list_ in (VALUES, ROWS, COLS)]
    X = kind((picked[0].astype(dtype), (picked[1], picked[2])), shape=(3, 4))
    before = X.copy()
    entries = Entries.from_matrix(X.asformat(form))
    assert_same(entries, Entries.from_matrix(DENSE.astype(dtype)))
    assert entries.values.dtype == dtype
    assert_array_equal(X.data, before.data)


def test_unsorted_and_repeated_indices_of_sparse_matrices():
    unsorted = sparse.csr_array(
        (np.array([2.0, 1.0, 0.5]), np.array([2, 0, 1]), np.array([0, 2, 3]))
    )
    entries = Entries.from_matrix(unsorted)
    assert_array_equal(entries.dense(np.nan), [[1, np.nan, 2], [np.nan, 0.5, np.nan]])
    twice = sparse.coo_array(([1.0, 4.0, 2.5], ([0, 1, 0], [1, 0, 1])), shape=(2, 2))
    entries = Entries.from_matrix(twice)
    assert_array_equal(entries.dense(), [[0, 1.75], [4, 0]])
    assert entries.weight is None  # a matrix holds one value a place


@pytest.mark.parametrize("marker", [-1.0, 0.0, 0.1, np.nan])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_missing_values(marker, dtype):
    holes = np.nan_to_num(DENSE, nan=7.0).astype(dtype)
    holes[holes == 0] = 5.0
    holes[0, 3] = holes[1, 1] = marker
    entries = Entries.from_matrix(holes, marker)
    expected = np.isnan(holes) if np.isnan(marker) else holes == dtype(marker)
    assert len(entries) == holes.size - expected.sum()
    assert_array_equal(entries.dense(marker), holes)
    # Also among what a sparse matrix stores.
    rows, cols = np.indices(holes.shape).reshape(2, -1)
    stored = sparse.coo_array((holes.ravel(), (rows, cols)), shape=holes.shape)
    assert_same(Entries.from_matrix(stored, marker), entries)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.uint16, object, ">f8"])
def test_dtypes_become_float64(dtype):
    X = np.array([[1, 0], [0, 1]]).astype(dtype)
    entries = Entries.from_matrix(X)
    assert entries.values.dtype == np.dtype("=f8")
    assert_array_equal(entries.dense(), [[1, 0], [0, 1]])
    if dtype not in (object, ">f8"):
        assert_same(
            Entries.from_matrix(sparse.csr_array(X)), entries.take(entries.values > 0)
        )


@pytest.mark.parametrize(
    ("X", "marker", "message"),
    [
        ([1.0, 2.0], np.nan, "must be a matrix; got 1 dim"),
        (sparse.coo_array(np.ones(3)), np.nan, "must be a matrix; got 1 dim"),
        ([[1.0, np.inf]], np.nan, "infinity"),
        ([[1.0, np.nan]], -1, "NaN.*missing_values"),
        (sparse.csr_array([[1.0, np.inf]]), np.nan, "infinity"),
    ],
)
def test_bad_matrices(X, marker, message):
    with pytest.raises(ValueError, match=message):
        Entries.from_matrix(X, marker)


def test_without_entries():
    entries = Entries.from_matrix(np.full((2, 3), np.nan))
    assert len(entries) == 0
    assert entries.csr().shape == (2, 3)
    assert_array_equal(entries.dense(), np.zeros((2, 3)))
    assert_same(entries, Entries.from_matrix(sparse.csr_array((2, 3))))
    assert_same(entries, Entries.from_pairs([], [], [], None, (2, 3)))
    assert_same(entries, Entries.from_pairs([0], [2], [1.0], [0.0], (2, 3)))


def test_pairs_are_merged_and_sorted():
    rows, cols, values, weight, shape = pairs()
    entries = Entries.from_pairs(rows, cols, values, weight, shape)
    sums = {}
    for row, col, value, share in zip(rows, cols, values, weight):
        if share:
            total, moment = sums.get((row, col), (0, 0))
            sums[row, col] = total + share, moment + share * value
    assert len(sums) < np.sum(weight > 0)
    assert list(zip(entries.rows, entries.cols)) == sorted(sums)
    for row, col, value, share in zip(
        entries.rows, entries.cols, entries.values, entries.weight
    ):
        total, moment = sums[row, col]
        assert share == pytest.approx(total, rel=1e-14)
        assert value == pytest.approx(moment / total, rel=1e-12)


def test_order_of_samples_does_not_matter():
    rows, cols, values, weight, shape = pairs(n=400)
    entries = Entries.from_pairs(rows, cols, values, weight, shape)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(400)
        shuffled = (part[order] for part in (rows, cols, values, weight))
        assert_same(Entries.from_pairs(*shuffled, shape), entries)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_repetitions_are_weights(dtype):
    rows, cols, values, _, shape = pairs()
    values = values.astype(dtype)
    counts = np.random.default_rng(1).integers(0, 4, len(rows))
    repeated = [np.repeat(part, counts) for part in (rows, cols, values)]
    first = Entries.from_pairs(*repeated, None, shape)
    second = Entries.from_pairs(rows, cols, values, counts, shape)
    assert first.values.dtype == first.weight.dtype == dtype
    assert_array_equal(
        first.rows * shape[1] + first.cols, second.rows * 7 + second.cols
    )
    assert_array_equal(first.weight, second.weight)
    assert_allclose(first.values, second.values, rtol=10 * np.finfo(dtype).eps)


def test_repetitions_of_equal_values_keep_them():
    entries = Entries.from_pairs([0] * 7, [0] * 7, [0.1] * 7, None, (1, 1))
    assert entries.values == [0.1]
    assert entries.weight == [7.0]


def test_weights_of_one_are_no_weights():
    once = Entries.from_pairs(ROWS, COLS, VALUES, None, (3, 4))
    assert_same(once, Entries.from_matrix(DENSE))
    assert_same(once, Entries.from_pairs(ROWS, COLS, VALUES, [1] * 5, (3, 4)))
    halves = Entries.from_pairs(ROWS * 2, COLS * 2, VALUES * 2, [0.5] * 10, (3, 4))
    assert_same(once, halves)


def test_positions_beyond_32_bits():
    rows, cols = np.array([2_000_000, 3], np.int32), np.array([5, 3_000_000], np.int32)
    entries = Entries.from_pairs(rows, cols, [1.0, 2.0], None, (2_000_001, 3_000_001))
    assert_array_equal(entries.rows, [3, 2_000_000])
    assert_array_equal(entries.cols, [3_000_000, 5])


@pytest.mark.parametrize(
    ("rows", "cols", "values", "weight", "message"),
    [
        ([0, 1], [0], [1.0, 2.0], None, "one length"),
        ([0], [0], [[1.0]], None, "one length"),
        (
            [0, 2],
            [0, 0],
            [1.0, 2.0],
            None,
            "row indices must be from 0 to 1; got 0 to 2",
        ),
        (
            [0, 1],
            [0, -1],
            [1.0, 2.0],
            None,
            "column indices must be from 0 to 2; got -1",
        ),
        ([0], [0], [np.nan], None, "NaN or infinity"),
        ([0], [0], [1.0], [-1.0], "not negative"),
        ([0], [0], [1.0], [np.nan], "finite"),
        ([0], [0], [1.0], [np.inf], "finite"),
        ([0], [0], [1.0], [1.0, 1.0], "2 weights for 1 values"),
    ],
)
def test_bad_pairs(rows, cols, values, weight, message):
    with pytest.raises(ValueError, match=message):
        Entries.from_pairs(rows, cols, values, weight, (2, 3))


def test_take_and_new_values():
    rows, cols, values, weight, shape = pairs()
    entries = Entries.from_pairs(rows, cols, values.astype("f4"), weight, shape)
    mask = entries.values > 0
    taken = entries.take(mask)
    assert_same(taken, entries.take(np.flatnonzero(mask)))
    assert_array_equal(taken.dense(), np.where(entries.dense() > 0, entries.dense(), 0))
    assert_array_equal(taken.weight, entries.weight[mask])
    other = entries.with_values(np.arange(len(entries)))
    assert other.values.dtype == np.float32
    assert other.weight is entries.weight
    assert_array_equal(other.values, np.arange(len(entries)))
    with pytest.raises(FrozenInstanceError):
        entries.shape = (1, 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_csr_stores_exactly_the_entries(dtype):
    entries = Entries.from_matrix(DENSE.astype(dtype))
    matrix = entries.csr()
    assert matrix.format == "csr"
    assert matrix.dtype == dtype
    assert matrix.nnz == 5  # with the observed zero
    assert matrix.has_canonical_format
    assert_array_equal(matrix.toarray(), entries.dense())
    assert_same(Entries.from_matrix(matrix), entries)


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.5, 0.999])
def test_split_is_a_partition(fraction):
    rows, cols, values, weight, shape = pairs()
    entries = Entries.from_pairs(rows, cols, values, weight, shape)
    n = len(entries)
    train, held = entries.split(fraction, np.random.RandomState(0))
    assert len(held) == min(max(round(fraction * n), 1), n - 1)
    both = [
        np.concatenate([getattr(part, name) for part in (train, held)])
        for name in ("rows", "cols", "values", "weight")
    ]
    assert len(both[0]) == n
    assert_same(Entries.from_pairs(*both, shape), entries)
    for part in (train, held):
        assert np.all(np.diff(part.rows * shape[1] + part.cols) > 0)
    again = entries.split(fraction, np.random.RandomState(0))
    assert_same(again[1], held)


def test_split_holds_every_entry_out_equally_often():
    entries = Entries.from_matrix(np.arange(10.0).reshape(2, 5))
    random, times = np.random.RandomState(0), np.zeros(10)
    for _ in range(2000):
        times[entries.split(0.3, random)[1].values.astype(int)] += 1
    # Binomial(2000, 0.3): mean 600, deviation 20.5
    assert np.all(np.abs(times - 600) < 90)
    assert times.sum() == 6000


def test_bad_splits():
    entries, random = Entries.from_matrix(DENSE), np.random.RandomState(0)
    for fraction in (0.0, 1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            entries.split(fraction, random)
    with pytest.raises(ValueError, match="1 observed entries cannot be split"):
        entries.take(slice(0, 1)).split(0.5, random)
