"""Factors fitted to measurements: gradients and curvatures by hand."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skregimes.networks.matrix import FactorizationProblem
from skregimes.networks.measurements import (
    DenseEntries,
    LinearMeasurements,
    SparseEntries,
    entries,
)

D1, D2, N = 5, 4, 11
LIKE = torch.empty(0, dtype=torch.float64)
KINDS = ("dense", "sparse", "linear")


def observed(seed=0):
    """Places row by row, values and weights."""
    rng = np.random.default_rng(seed)
    rows, cols = np.divmod(np.sort(rng.permutation(D1 * D2)[:N]), D2)
    return rows, cols, rng.standard_normal(N), rng.uniform(0.3, 3, N)


def system(kind, weighted=False, like=LIKE):
    """Measurements, the matrices they are inner products with, numbers and weights."""
    rows, cols, values, weight = observed()
    weight = weight if weighted else np.ones(N)
    if kind == "linear":
        A = np.random.default_rng(7).standard_normal((N, D1 * D2))
        root = np.sqrt(weight)
        measurements = LinearMeasurements(root[:, None] * A, (D1, D2), like)
        return measurements, measurements.lay_out(root * values), A, values, weight
    A = np.zeros((N, D1, D2))
    A[np.arange(N), rows, cols] = 1
    road = {"dense": DenseEntries, "sparse": SparseEntries}[kind]
    given = weight if weighted else None
    measurements = road(rows, cols, (D1, D2), given, like)
    target = measurements.lay_out(values)
    return measurements, target, A.reshape(N, -1), values, weight


def problem(kind, depth, width=3, weighted=False, weight_decay=0.0):
    """A problem, and its loss written down for automatic differentiation."""
    measurements, target, A, values, weight = system(kind, weighted)
    made = FactorizationProblem(
        measurements, target, (D1, D2), width, depth, weight_decay
    )
    A, values, weight = map(torch.from_numpy, (A, values, weight))

    def fitted(theta):
        factors = cut(theta, depth, width)
        M = torch.linalg.multi_dot(factors[::-1])
        return weight.sqrt() * (A @ M.reshape(-1))

    def loss(theta):
        residual = fitted(theta) - weight.sqrt() * values
        return residual @ residual / 2 + weight_decay / 2 * (theta @ theta)

    return made, loss, fitted


def cut(theta, depth, width):
    """``W_1`` to ``W_L`` of the parameters: the first is stored transposed."""
    shapes = [(D2, width), *[(width, width)] * (depth - 2), (D1, width)]
    parts = theta.split([rows * cols for rows, cols in shapes])
    first, *rest = (part.reshape(shape) for part, shape in zip(parts, shapes))
    return [first.T, *rest]


def point(made, seed=1, scale=0.7):
    size = sum(made._sizes)
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(size, generator=generator, dtype=torch.float64)


each_kind = pytest.mark.parametrize("kind", KINDS)
each_depth = pytest.mark.parametrize("depth", [2, 3, 4])
each_variant = pytest.mark.parametrize(
    ("weighted", "weight_decay"), [(False, 0.0), (True, 0.0), (True, 0.3)]
)


# -- against automatic differentiation -------------------------------------------------


@each_kind
@each_depth
@each_variant
def test_gradients_and_losses(kind, depth, weighted, weight_decay):
    made, loss, _ = problem(kind, depth, weighted=weighted, weight_decay=weight_decay)
    theta = point(made)
    gradient, value = made.gradient(theta)
    assert_allclose(float(value), float(loss(theta)), rtol=1e-13)
    assert_allclose(gradient, torch.func.grad(loss)(theta), rtol=0, atol=1e-12)
    rest = made.error(theta) / 2 + weight_decay / 2 * float(theta @ theta)
    assert rest == pytest.approx(float(value), rel=1e-12)


@each_kind
@each_depth
@each_variant
def test_products_with_the_hessian(kind, depth, weighted, weight_decay):
    made, loss, _ = problem(kind, depth, weighted=weighted, weight_decay=weight_decay)
    theta, direction = point(made), point(made, seed=2)
    hessian = torch.func.hessian(loss)(theta)
    assert_allclose(made._hessian(theta)(direction), hessian @ direction, atol=1e-11)
    radius = float(torch.linalg.eigvalsh(hessian).abs().max())
    value, start = made.sharpness(theta)
    assert 0.9 * radius < value <= radius * (1 + 1e-12)
    for _ in range(10):  # a warm start goes on
        value, start = made.sharpness(theta, start)
    assert 0.98 * radius < value <= radius * (1 + 1e-12)


@each_kind
@each_depth
def test_changes_of_the_fit(kind, depth):
    made, _, fitted = problem(kind, depth, weighted=True)
    theta, direction = point(made), point(made, seed=2)
    change = made.function_change(theta, direction)
    expected = torch.func.jvp(fitted, (theta,), (direction,))[1]
    assert change.ndim == 1
    # Those of a dense table have zeros between.
    assert_allclose(change[change != 0], expected, atol=1e-12)
    target = math.sqrt(2 * float(made.gradient(0 * theta)[1]))
    assert made.target_norm == pytest.approx(target, rel=1e-12)


@each_kind
@pytest.mark.parametrize("weight_decay", [0.0, 0.2, 1e3])
def test_growth_is_that_of_directions_not_yet_there(kind, weight_decay):
    made, loss, _ = problem(
        kind, 2, width=D1 + D2, weighted=True, weight_decay=weight_decay
    )
    theta = 1e-12 * point(made)
    # At the saddle the most negative curvature is the fastest growth.
    fastest = -float(torch.linalg.eigvalsh(torch.func.hessian(loss)(theta)).min())
    fastest = max(fastest, 0.0)
    assert 0.8 * fastest <= made.growth(theta) <= fastest * (1 + 1e-9)
    for _ in range(10):  # each call goes on where the last one ended
        growth = made.growth(theta)
    assert 0.98 * fastest <= growth <= fastest * (1 + 1e-9)
    deep, _, _ = problem(kind, 3, width=D1 + D2)
    assert deep.growth(point(deep)) is None
    narrow, _, _ = problem(kind, 2, width=2)
    assert narrow.growth(point(narrow)) is None


def test_the_pulled_back_residual_is_that_of_the_point_asked_for():
    made, loss, _ = problem("sparse", 2, width=4)
    one, two = point(made), point(made, seed=5)
    made.gradient(one)
    direction = point(made, seed=2)
    for theta in (two, one):
        expected = torch.func.hessian(loss)(theta) @ direction
        assert_allclose(made._hessian(theta)(direction), expected, atol=1e-11)


# -- parameters ------------------------------------------------------------------------


@each_depth
def test_packing_and_unpacking(depth):
    made, _, fitted = problem("dense", depth)
    theta = point(made)
    factors = made.unpack(theta)
    assert [W.shape for W in factors] == [(3, D2), *[(3, 3)] * (depth - 2), (D1, 3)]
    for W, expected in zip(factors, cut(theta, depth, 3), strict=True):
        assert_array_equal(W, expected)
        assert W.flags.c_contiguous
    assert_array_equal(made.pack(factors), theta)
    values = made.fitted(theta)[np.array(observed()[0]), np.array(observed()[1])]
    assert_allclose(values, fitted(theta), atol=1e-12)


def test_unpacked_factors_are_copies():
    made, _, _ = problem("dense", 2)
    theta = point(made)
    kept = theta.clone()
    for W in made.unpack(theta):
        W[...] = 0
    assert_array_equal(theta, kept)


# -- measurements ----------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("weighted", [False, True])
def test_pull_backs_are_adjoint(kind, weighted):
    measurements, target, A, values, weight = system(kind, weighted)
    rng = np.random.default_rng(3)
    left, right = rng.standard_normal((D1, 2)), rng.standard_normal((D2, 2))
    fitted = measurements.fitted(torch.from_numpy(left), torch.from_numpy(right))
    direct = np.sqrt(weight) * (A @ (left @ right.T).ravel())
    assert_allclose(fitted[fitted != 0], direct, atol=1e-12)
    assert_allclose(target[target != 0], np.sqrt(weight) * values, atol=1e-15)
    G, GT = measurements.pull_back(fitted - target)
    expected = (weight * (A @ (left @ right.T).ravel() - values)) @ A
    eye = torch.eye(D2, dtype=torch.float64), torch.eye(D1, dtype=torch.float64)
    assert_allclose(G @ eye[0], expected.reshape(D1, D2), atol=1e-12)
    assert_allclose(GT @ eye[1], expected.reshape(D1, D2).T, atol=1e-12)


def test_the_road_depends_on_how_full_the_table_is():
    road = lambda n, shape: type(
        entries(*np.divmod(np.arange(n), shape[1]), shape, like=LIKE)
    )
    assert road(3, (10, 10)) is DenseEntries
    assert road(90_000, (300, 400)) is DenseEntries
    assert road(9_000, (300, 400)) is SparseEntries


@each_kind
def test_float32_stays_float32(kind):
    like = torch.empty(0, dtype=torch.float32)
    measurements, target, *_ = system(kind, weighted=True, like=like)
    made = FactorizationProblem(measurements, target, (D1, D2), 3, 3, 0.1)
    reference, *_ = problem(kind, 3, weighted=True, weight_decay=0.1)
    wide = point(reference)
    theta = made.pack(reference.unpack(wide))
    gradient, loss = made.gradient(theta)
    _, start = made.sharpness(theta)
    tensors = target, theta, gradient, loss, start, made.function_change(theta, start)
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert {W.dtype for W in made.unpack(theta)} == {np.dtype(np.float32)}
    assert_allclose(gradient, reference.gradient(wide)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_rows_and_columns_without_entries(kind):
    road = {"dense": DenseEntries, "sparse": SparseEntries}[kind]
    rows, cols = np.array([1, 1, 3]), np.array([0, 3, 3])
    measurements = road(rows, cols, (5, 6), None, LIKE)
    target = measurements.lay_out(np.array([1.0, 2.0, 3.0]))
    made = FactorizationProblem(measurements, target, (5, 6), 2, 2)
    right, left = torch.ones(6, 2), 2 * torch.ones(5, 2)
    theta = torch.cat([right.reshape(-1), left.reshape(-1)]).double()
    gradient, loss = made.gradient(theta)
    assert float(loss) == pytest.approx((9 + 4 + 1) / 2)
    first, last = made.unpack(gradient)
    # Residuals 3, 2 and 1.
    assert_allclose(first[0], [6, 0, 0, 6, 0, 0])
    assert_allclose(last[:, 0], [0, 5, 0, 1, 0])
