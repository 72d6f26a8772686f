"""Products of factors: starts, exact identities of the flow, tangent kernels."""

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp

from skregimes.diagnostics import balancedness
from skregimes.networks.factors import (
    LAWS,
    alpha_of,
    compress,
    draw_factors,
    end_to_end_scale,
    full_width,
    kernel_entries,
    kernel_inner,
    kernel_measure,
    outer,
    product,
    product_svd,
)

BALANCED = ("spectral", "orthogonal", "identity")


def multiply(factors):
    return reduce(lambda M, W: W @ M, factors)


def draw(law, shape, width, depth, alpha, seed=0):
    rng = np.random.RandomState(seed)
    data = rng.standard_normal(shape)
    return draw_factors(
        law, shape, width, depth, alpha, data=data, random_state=seed + 1
    )


def balanced(shape, values, depth, seed=0):
    """Balanced factors whose product has these singular values."""
    rng = np.random.default_rng(seed)
    rank = len(values)
    sizes = [shape[1], *[rank + 1] * (depth - 1), shape[0]]
    frames = [np.linalg.qr(rng.standard_normal((size, rank)))[0] for size in sizes]
    root = np.diag(np.asarray(values) ** (1 / depth))
    return [after @ root @ before.T for before, after in pairwise(frames)]


def differences(factors):
    """What gradient flow conserves."""
    return [after.T @ after - before @ before.T for before, after in pairwise(factors)]


def flow(factors, loss_gradient, time, weight_decay=0.0):
    """Follow the gradient flow of all factors with SciPy."""
    sizes = np.cumsum([factor.size for factor in factors])[:-1]

    def unpack(state):
        parts = np.split(state, sizes)
        return [part.reshape(W.shape) for part, W in zip(parts, factors)]

    def velocity(_, state):
        layers = unpack(state)
        G = loss_gradient(multiply(layers))
        rates = []
        for j, layer in enumerate(layers):
            above = reduce(lambda P, W: W @ P, layers[j + 1 :], np.eye(len(layer)))
            below = reduce(lambda P, W: W @ P, layers[:j], np.eye(layers[0].shape[1]))
            rates.append(-above.T @ G @ below.T - weight_decay * layer)
        return np.concatenate([rate.ravel() for rate in rates])

    start = np.concatenate([factor.ravel() for factor in factors])
    end = solve_ivp(velocity, (0, time), start, "DOP853", rtol=1e-12, atol=1e-14)
    return unpack(end.y[:, -1])


def completion(shape, seed=0, fraction=0.6):
    """Gradient of half the sum of squares on some entries."""
    rng = np.random.default_rng(seed)
    target, observed = rng.standard_normal(shape), rng.random(shape) < fraction
    return lambda M: observed * (M - target)


def dense_kernel(factors):
    """Jacobian times its transpose, by automatic differentiation."""
    layers = [torch.tensor(factor, requires_grad=True) for factor in factors]
    rows = [
        torch.cat([part.ravel() for part in gradient])
        for entry in multiply(layers).ravel()
        for gradient in [torch.autograd.grad(entry, layers, retain_graph=True)]
    ]
    J = torch.stack(rows)
    return (J @ J.T).numpy()


def positions(shape):
    return tuple(index.ravel() for index in np.indices(shape))


# -- scales --------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("s0", [1e-60, 1e-20, 1e-6, 1.0, 1e6])
def test_scales_convert_and_are_those_of_the_draw(law, depth, s0):
    shape = (5, 4)
    width = 9 if law == "lifted" else 6
    alpha = alpha_of(law, s0, width, depth)
    assert end_to_end_scale(law, alpha, width, depth) == pytest.approx(s0, rel=1e-13)
    factors = draw(law, shape, width, depth, alpha)
    values = np.linalg.svd(multiply(factors))[1]
    if law in BALANCED:
        assert_allclose(values, s0, rtol=1e-12)
    elif law == "lifted":
        assert_array_equal(values, 0)
    else:
        assert_allclose(
            multiply(factors),
            alpha**depth * multiply(draw(law, shape, width, depth, 1.0)),
        )


def test_gaussian_scale_is_alpha_squared_times_width():
    assert end_to_end_scale("gaussian", 0.1, 400, 2) == pytest.approx(4.0, rel=1e-15)
    assert end_to_end_scale("orthogonal", 0.1, 400, 2) == pytest.approx(0.01)
    assert alpha_of("gaussian", 8.0, 100, 3) == pytest.approx(0.2)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_wide_gaussian_kernels_tend_to_the_identity(depth):
    def deviation(width):
        s0 = end_to_end_scale("gaussian", 0.3, width, depth)
        unit = depth * s0 ** (2 - 2 / depth)
        found = []
        for seed in range(4):
            factors = draw("gaussian", (4, 3), width, depth, 0.3, seed)
            K = kernel_entries(factors, *positions((4, 3)))
            found.append(np.linalg.norm(K / unit - np.eye(12), 2))
        return np.mean(found)

    narrow, middle, wide = deviation(10), deviation(90), deviation(810)
    assert 2 < narrow / middle < 8
    assert 2 < middle / wide < 4.5
    assert wide < 0.3


def test_full_width():
    assert full_width("spectral", (5, 3)) == 3
    assert full_width("lifted", (5, 3)) == 8


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("normal", 1.0, 3, 2), "init='normal' must be one of"),
        (("gaussian", 0.0, 3, 2), "positive"),
        (("gaussian", np.nan, 3, 2), "positive"),
        (("gaussian", np.inf, 3, 2), "positive"),
        (("gaussian", 1.0, 0, 2), "width=0"),
        (("gaussian", 1.0, 2.5, 2), "width=2.5"),
        (("gaussian", 1.0, 3, 1), "depth=1"),
    ],
)
def test_scales_out_of_domain(arguments, match):
    law, scale, width, depth = arguments
    for convert in (end_to_end_scale, alpha_of):
        with pytest.raises(ValueError, match=match):
            convert(*arguments)
    with pytest.raises(ValueError, match=match):
        draw_factors(law, (4, 3), width, depth, scale, data=np.eye(4, 3))


@pytest.mark.parametrize("alpha", [1e-200, 1e200])
def test_scales_beyond_floats_are_refused(alpha):
    with pytest.raises(ValueError, match="leave float64"):
        end_to_end_scale("identity", alpha, 3, 2)


# -- starts --------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize(("shape", "width"), [((5, 4), 2), ((3, 6), 3), ((4, 4), 9)])
def test_shapes_and_balance(law, depth, shape, width):
    width = sum(shape) if law == "lifted" else width
    factors = draw(law, shape, width, depth, 0.7)
    d1, d2 = shape
    hidden = [(width, width)] * (depth - 2)
    assert [W.shape for W in factors] == [(width, d2), *hidden, (d1, width)]
    narrow = width <= min(shape)
    if law in ("spectral", "orthogonal") or (law == "identity" and narrow):
        assert balancedness(factors) < 1e-15
        values = np.linalg.svd(multiply(factors))[1]
        expected = np.where(np.arange(min(shape)) < width, 0.7**depth, 0)
        assert_allclose(values, expected, atol=1e-14)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_lifted_starts_at_zero_with_an_isotropic_kernel(depth):
    factors = draw_factors("lifted", (4, 3), 7, depth, 0.6)
    assert_array_equal(multiply(factors), 0)
    K = kernel_entries(factors, *positions((4, 3)))
    assert_allclose(K, depth * 0.6 ** (2 * depth - 2) * np.eye(12), rtol=1e-14)


def test_lifted_has_one_width():
    with pytest.raises(ValueError, match="= 7; got 5"):
        draw_factors("lifted", (4, 3), 5, 2, 1.0)


@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
def test_draws_depend_on_the_seed_only(law):
    first, again, other = (draw(law, (4, 3), 3, 3, 0.5, seed) for seed in (0, 0, 1))
    for one, same, different in zip(first, again, other):
        assert_array_equal(one, same)
        assert not np.allclose(one, different)


def test_orthogonal_frames_have_no_preferred_sign():
    first = [draw("orthogonal", (3, 3), 1, 2, 1.0, seed)[0][0, 0] for seed in range(60)]
    assert 15 < np.sum(np.array(first) > 0) < 45


@pytest.mark.parametrize("shape", [(20, 30), (1100, 1000)])
def test_spectral_start_is_the_top_of_the_data(shape):
    rng = np.random.default_rng(0)
    # A block in a table of zeros.
    left, right = np.zeros((shape[0], 5)), np.zeros((shape[1], 5))
    left[:12] = np.linalg.qr(rng.standard_normal((12, 5)))[0]
    right[:15] = np.linalg.qr(rng.standard_normal((15, 5)))[0]
    data = left @ np.diag([5.0, 4.0, 3.0, 2.0, 1.0]) @ right.T
    factors = draw_factors("spectral", shape, 3, 3, 0.1, data=data)
    expected = 1e-3 * left[:, :3] @ right[:, :3].T
    assert_allclose(product(factors), expected, atol=1e-16)
    assert balancedness(factors) < 1e-14


@pytest.mark.parametrize(("shape", "width"), [((30, 20), 4), ((1100, 1000), 3)])
def test_spectral_start_of_dense_and_sparse_data_is_the_same(shape, width):
    rng = np.random.default_rng(0)
    n = 300
    rows, cols = rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)
    cells = np.unique(np.column_stack([rows, cols]), axis=0)
    values = rng.standard_normal(len(cells))
    values[:5] = 0.0  # observed zeros are stored
    sparse = sp.coo_array((values, tuple(cells.T)), shape=shape)
    unsorted = sparse.tocsr()
    for start, stop in zip(unsorted.indptr, unsorted.indptr[1:]):
        for part in (unsorted.indices, unsorted.data):
            part[start:stop] = part[start:stop][::-1].copy()
    unsorted.has_sorted_indices = False
    kept = unsorted.copy()
    expected = draw_factors("spectral", shape, width, 2, 0.1, data=sparse.toarray())
    for data in (sparse, sparse.tocsc(), unsorted):
        found = draw_factors("spectral", shape, width, 2, 0.1, data=data)
        for one, other in zip(found, expected):
            assert_array_equal(one, other)
    assert_array_equal(unsorted.indices, kept.indices)
    # Signs are no accident either.
    peaks = np.argmax(np.abs(expected[0]), axis=1)
    assert np.all(expected[0][np.arange(width), peaks] > 0)


@pytest.mark.parametrize("shape", [(6, 5), (1100, 1000)])
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_spectral_start_does_not_depend_on_the_unit(shape, scale):
    data = np.zeros(shape)
    data[:6, :5] = np.random.default_rng(0).standard_normal((6, 5))
    found = draw_factors("spectral", shape, 3, 2, 0.1, data=scale * data)
    expected = draw_factors("spectral", shape, 3, 2, 0.1, data=data)
    for one, other in zip(found, expected):
        assert_allclose(one, other, atol=1e-14)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_spectral_start_of_data_of_low_rank(rank):
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((7, 2)))[0][:, :rank]
    right = np.linalg.qr(rng.standard_normal((5, 2)))[0][:, :rank]
    data = 3 * left @ right.T
    factors = draw_factors("spectral", (7, 5), 4, 2, 1.0, data=data)
    M = product(factors)
    assert_allclose(np.linalg.svd(M)[1], [1, 1, 1, 1, 0], atol=1e-14)
    # What the data say is there, and noise does not choose the rest.
    assert_allclose(left.T @ M, right.T, atol=1e-14)
    again = draw_factors("spectral", (7, 5), 4, 2, 1.0, data=data * (1 + 1e-13))
    assert_allclose(product(again), M, atol=1e-10)


@pytest.mark.parametrize("cells", [0, 2])
def test_spectral_start_of_a_large_table_with_hardly_an_entry(cells):
    shape = (1100, 1000)
    place = (np.arange(cells), np.arange(cells) + 7)
    data = sp.coo_array((np.full(cells, -2.0), place), shape=shape)
    factors = draw_factors("spectral", shape, 5, 2, 1.0, data=data)
    assert_allclose(factors[0] @ factors[0].T, np.eye(5), atol=1e-14)
    assert_allclose(factors[1].T @ factors[1], np.eye(5), atol=1e-14)
    assert_allclose(product(factors)[place], -1)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (None, "needs data"),
        (np.eye(3), "shape"),
        (np.full((4, 3), np.nan), "finite"),
        (np.full((4, 3), np.inf), "finite"),
    ],
)
def test_spectral_start_of_bad_data(data, match):
    with pytest.raises(ValueError, match=match):
        draw_factors("spectral", (4, 3), 2, 2, 1.0, data=data)


# -- what the flow keeps -------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_gradient_flow_conserves_the_differences(law, depth):
    shape = (4, 3)
    start = draw(law, shape, 7, depth, 0.5)
    end = flow(start, completion(shape), 3.0)
    moved = max(np.max(np.abs(W - W0)) for W, W0 in zip(end, start))
    assert moved > 0.1
    for now, before in zip(differences(end), differences(start)):
        assert_allclose(now, before, atol=1e-10)


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_width_beyond_d1_plus_d2_is_superfluous_at_depth_2(weight_decay):
    shape = (4, 3)
    wide = draw("gaussian", shape, 40, 2, 0.1)
    narrow = compress(wide)
    assert [W.shape for W in narrow] == [(7, 3), (4, 7)]
    assert_allclose(product(narrow), product(wide), atol=1e-15)
    ends = [
        multiply(flow(factors, completion(shape), 4.0, weight_decay))
        for factors in (wide, narrow)
    ]
    assert np.max(np.abs(ends[0] - product(wide))) > 0.5
    assert_allclose(ends[1], ends[0], atol=1e-11)


def test_compress_leaves_alone_what_it_cannot_shorten():
    for shape, width, depth in [((4, 3), 7, 2), ((4, 3), 20, 3)]:
        factors = draw("gaussian", shape, width, depth, 1.0)
        assert compress(factors) is factors


# -- products ------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_and_their_decomposition(depth, shape, dtype):
    eps = np.finfo(dtype).eps
    for width in (2, 5):
        factors = [W.astype(dtype) for W in draw("gaussian", shape, width, depth, 1.0)]
        M = multiply(factors)
        left, right = outer(factors)
        assert left.shape == (shape[0], width)
        assert right.shape == (shape[1], width)
        assert product(factors).dtype == dtype
        size = np.max(np.abs(M))
        assert_allclose(product(factors), M, atol=20 * eps * size)
        U, s, Vt = product_svd(left, right)
        rank = min(width, *shape)
        assert (U.shape, Vt.shape) == ((shape[0], rank), (rank, shape[1]))
        assert {U.dtype, s.dtype, Vt.dtype} == {np.dtype(dtype)}
        assert_allclose((U * s) @ Vt, M, atol=50 * eps * size)
        assert_allclose(s, np.linalg.svd(M)[1][:rank], atol=50 * eps * size)
        assert_allclose(U.T @ U, np.eye(rank), atol=50 * eps)
        peaks = Vt[np.arange(rank), np.argmax(np.abs(Vt), axis=1)]
        assert np.all(peaks > 0)
        for part, whole in zip(product_svd(left, right, rank=1), (U, s, Vt)):
            assert_array_equal(part, whole[:, :1] if whole is U else whole[:1])


# -- tangent kernels -----------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize(("shape", "width"), [((4, 3), 2), ((3, 4), 6)])
def test_closed_form_kernel_against_automatic_differentiation(depth, shape, width):
    rng = np.random.default_rng(0)
    factors = draw("gaussian", shape, width, depth, 0.8)
    expected = dense_kernel(factors)
    rows, cols = positions(shape)
    scale = np.max(expected)
    K = kernel_entries(factors, rows, cols)
    assert_allclose(K, expected, atol=1e-14 * scale)
    some, others = np.array([7, 0, 3]), np.array([2, 7])
    block = kernel_entries(factors, rows[some], cols[some], rows[others], cols[others])
    assert_allclose(block, expected[np.ix_(some, others)], atol=1e-14 * scale)
    A, B = rng.standard_normal((5, 12)), rng.standard_normal((3, 12))
    assert_allclose(
        kernel_measure(factors, A, B), A @ expected @ B.T, atol=1e-13 * scale
    )
    assert_allclose(kernel_measure(factors, A), A @ expected @ A.T, atol=1e-13 * scale)
    assert_allclose(kernel_measure(factors, np.eye(12)), K, atol=1e-14 * scale)


@pytest.mark.parametrize(("depth", "depth2"), [(2, 2), (3, 3), (4, 2)])
@pytest.mark.parametrize(("width", "width2"), [(2, 2), (2, 9), (9, 9)])
def test_inner_products_of_kernels(depth, depth2, width, width2):
    one = draw("gaussian", (4, 3), width, depth, 0.8)
    two = draw("gaussian", (4, 3), width2, depth2, 0.5, seed=1)
    for first, second in [(one, two), (one, one), (two, one)]:
        expected = np.sum(dense_kernel(first) * dense_kernel(second))
        assert kernel_inner(first, second) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("depth", [2, 5, 10])
@pytest.mark.parametrize("s0", [1e-60, 1e6])
def test_inner_products_of_kernels_at_extreme_scales(depth, s0):
    unit = draw("orthogonal", (4, 3), 3, depth, 1.0)
    alpha = alpha_of("orthogonal", s0, 3, depth)
    found = kernel_inner(*[[alpha * W for W in unit]] * 2)
    expected = s0 ** (4 - 4 / depth) * kernel_inner(unit, unit)
    assert found == pytest.approx(expected, rel=1e-11, abs=0)
    assert found > 0


def test_kernels_of_float32_factors_are_float64():
    factors = [W.astype(np.float32) for W in draw("gaussian", (4, 3), 2, 3, 1e-9)]
    exact = [W.astype(np.float64) for W in factors]
    assert kernel_entries(factors, [0], [0]).dtype == np.float64
    assert kernel_inner(factors, factors) == kernel_inner(exact, exact) > 0


def power(symmetric, exponent):
    """Power of a positive semidefinite matrix; the zeroth is the identity."""
    values, vectors = np.linalg.eigh(symmetric)
    values = np.where(values > 1e-10, values, 0.0)
    return (vectors * values**exponent) @ vectors.T


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("values", [(2.0, 1.0, 0.3), (1.5, 0.4)])
@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 5)])
def test_kernel_of_balanced_factors_is_the_end_to_end_preconditioner(
    depth, values, shape
):
    L = depth
    factors = balanced(shape, values, L)
    M = multiply(factors)
    # M's rows one after another: Z -> X Z Y has the matrix kron(X, Y').
    expected = sum(
        np.kron(power(M @ M.T, (L - p) / L), power(M.T @ M, (p - 1) / L))
        for p in range(1, L + 1)
    )
    K = kernel_entries(factors, *positions(shape))
    assert_allclose(K, expected, atol=1e-12)

    # Its eigenvalues, and the speed of singular values.
    d1, d2 = shape
    r = len(values)
    assert np.linalg.matrix_rank(K, tol=1e-10) == r * (d1 + d2 - r)
    s = np.concatenate([values, np.zeros(max(shape) - r)])
    U, _, Vt = np.linalg.svd(M)
    for i in range(d1):
        for j in range(d2):
            if s[i] == s[j] == 0:
                eigenvalue = 0.0
            elif s[i] == s[j]:
                eigenvalue = L * s[i] ** (2 - 2 / L)
            else:
                eigenvalue = (s[i] ** 2 - s[j] ** 2) / (
                    s[i] ** (2 / L) - s[j] ** (2 / L)
                )
            direction = np.outer(U[:, i], Vt[j]).ravel()
            assert_allclose(K @ direction, eigenvalue * direction, atol=1e-12)
    G = np.random.default_rng(1).standard_normal(shape)
    rate = -(K @ G.ravel()).reshape(shape)
    for i, value in enumerate(values):
        expected = -L * value ** (2 - 2 / L) * U[:, i] @ G @ Vt[i]
        assert U[:, i] @ rate @ Vt[i] == pytest.approx(expected, rel=1e-11)
