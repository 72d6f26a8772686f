"""The network against autograd, the units against a matrix exponential."""

import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from scipy.linalg import expm

from skregimes._border import to_tensor
from skregimes.kernels import shallow_relu_kernel
from skregimes.networks import shallow_relu as module
from skregimes.networks.shallow_relu import ShallowReLUProblem, hyperbolic
from skregimes.networks.units import ACTIVATIONS, draw_units


class Case:
    """A problem, parameters away from any symmetry, and its loss for autograd."""

    def __init__(
        self, d=2, q=1, *, activation="relu", skip=True, weighted=True, n=9, m=7, seed=0
    ):
        rng = np.random.default_rng(seed)
        self.X = to_tensor(rng.uniform(-1, 1, (n, d)))
        self.Y = to_tensor(rng.standard_normal((n, q)))
        weight = rng.uniform(0.2, 3.0, n) if weighted else np.ones(n)
        self.weight = to_tensor(weight)
        self.low, self.high = ACTIVATIONS[activation]
        self.columns = torch.cat([self.X, torch.ones(n, 1, dtype=torch.float64)], 1)
        self.skip = skip
        self.problem = ShallowReLUProblem.build(
            self.X,
            self.Y,
            self.weight,
            skip=self.columns if skip else None,
            slopes=ACTIVATIONS[activation],
        )
        self.hidden = to_tensor(rng.standard_normal((m, d + 1)))
        self.output = to_tensor(rng.standard_normal((m, q)))
        self.theta = self.problem.pack(self.hidden, self.output)
        self.direction = to_tensor(rng.standard_normal(len(self.theta)))

    def function(self, theta):
        """Return the network with the best affine part, times roots of weights."""
        m, p, q = len(self.hidden), self.X.shape[1] + 1, self.Y.shape[1]
        a, c = theta[: m * p].view(m, p), theta[m * p :].view(m, q)
        z = self.X @ a[:, :-1].T - a[:, -1]
        f = torch.where(z > 0, self.high * z, self.low * z) @ c
        root = (self.weight / self.weight.sum()).sqrt()[:, None]
        if self.skip:
            fit = torch.linalg.pinv(root * self.columns) @ (root * (self.Y - f))
            f = f + self.columns @ fit
        return root * f

    def loss(self, theta):
        root = (self.weight / self.weight.sum()).sqrt()[:, None]
        return ((self.function(theta) - root * self.Y) ** 2).sum() / 2

    def jacobian(self):
        found = torch.autograd.functional.jacobian(self.function, self.theta)
        return found.reshape(self.Y.numel(), -1)


every_network = pytest.mark.parametrize(
    ("activation", "q", "skip"),
    list(itertools.product(ACTIVATIONS, (1, 3), (True, False))),
)


def close(actual, expected, error=1e-12):
    assert_allclose(actual, expected, rtol=0, atol=error * float(expected.abs().max()))


@every_network
def test_gradient_is_that_of_the_loss(activation, q, skip):
    case = Case(q=q, activation=activation, skip=skip)
    theta = case.theta.clone().requires_grad_()
    loss = case.loss(theta)
    (expected,) = torch.autograd.grad(loss, theta)
    gradient, value = case.problem.gradient(case.theta)
    close(gradient, expected)
    assert_allclose(float(value), loss.item(), rtol=1e-12)


@every_network
def test_tangent_gram_and_function_change_are_the_jacobian_s(activation, q, skip):
    case = Case(q=q, activation=activation, skip=skip)
    jacobian = case.jacobian()
    close(case.problem.tangent_gram(case.hidden, case.output), jacobian @ jacobian.T)
    close(
        case.problem.function_change(case.theta, case.direction),
        jacobian @ case.direction,
    )


@every_network
def test_pull_is_the_adjoint_of_push(activation, q, skip):
    case = Case(q=q, activation=activation, skip=skip)
    problem = case.problem
    residual = problem.project(to_tensor(np.random.default_rng(1).normal(size=(9, q))))
    d_hidden, d_output = problem.unpack(case.direction)
    pushed = problem.push(case.hidden, case.output, d_hidden, d_output)
    for_hidden, for_output = problem.pull(case.hidden, residual)
    pulled = problem.pack((for_hidden @ case.output[:, :, None])[:, :, 0], for_output)
    assert_allclose(
        float((pushed * residual).sum()), float(pulled @ case.direction), rtol=1e-12
    )


@pytest.mark.parametrize("skip", [True, False])
def test_residual_does_not_see_affine_changes_of_the_targets(skip):
    case = Case(q=2, skip=skip)
    shift = case.columns @ to_tensor(np.array([[3.0, 1.0], [-2.0, 0.5], [7.0, 1.0]]))
    other = ShallowReLUProblem.build(
        case.X, case.Y + shift, case.weight, skip=case.columns if skip else None
    )
    change = other.residual(case.hidden, case.output) - case.problem.residual(
        case.hidden, case.output
    )
    assert (float(change.norm()) < 1e-13) == skip


def test_dependent_columns_of_the_affine_part_count_once():
    case = Case()
    columns = torch.cat([case.columns, case.columns[:, :1], 0 * case.columns[:, :1]], 1)
    other = ShallowReLUProblem.build(case.X, case.Y, case.weight, skip=columns)
    assert other.affine.shape == (9, 3)
    close(other.gradient(case.theta)[0], case.problem.gradient(case.theta)[0])


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_batch_gradients_average_to_the_gradient(skip, weighted):
    # Each batch counts by its share of the weight: the same for all without weights.
    case = Case(q=2, skip=skip, weighted=weighted, n=6)
    total = torch.zeros_like(case.theta)
    shares = 0.0
    for rows in itertools.combinations(range(6), 2):
        share = float(case.weight[list(rows)].sum() / case.weight.sum())
        batch = case.problem.batch_gradient(case.theta, torch.tensor(rows))
        total += share * batch
        shares += share
    close(total / shares, case.problem.gradient(case.theta)[0])


@pytest.mark.parametrize("skip", [True, False])
def test_the_batch_of_everything_has_the_gradient_of_everything(skip):
    case = Case(q=2, skip=skip)
    rows = torch.tensor([3, 1, 4, 0, 5, 8, 2, 6, 7])
    close(
        case.problem.batch_gradient(case.theta, rows),
        case.problem.gradient(case.theta)[0],
    )


@pytest.mark.parametrize("skip", [True, False])
def test_a_part_is_the_problem_of_its_samples(skip):
    case = Case(q=2, skip=skip)
    rows = torch.tensor([1, 2, 4, 5, 7])
    expected = ShallowReLUProblem.build(
        case.X[rows],
        case.Y[rows],
        case.weight[rows],
        skip=case.columns[rows] if skip else None,
    )
    part = case.problem.part(rows)
    close(part.target, expected.target)
    close(part.gradient(case.theta)[0], expected.gradient(case.theta)[0])
    close(
        part.tangent_gram(case.hidden, case.output),
        expected.tangent_gram(case.hidden, case.output),
    )


def test_pieces_change_nothing(monkeypatch):
    case = Case(q=2, n=23, m=5)
    problem, theta = case.problem, case.theta
    everything = lambda: (
        problem.residual(case.hidden, case.output),
        problem.gradient(theta)[0],
        problem.function_change(theta, case.direction),
    )
    whole = everything()
    sizes = []
    plain = ShallowReLUProblem.activation
    monkeypatch.setattr(
        ShallowReLUProblem,
        "activation",
        lambda self, Z: (sizes.append(len(Z)), plain(self, Z))[1],
    )
    for piece, expected in ((1, 1), (10, 2), (35, 7)):
        monkeypatch.setattr(module, "_PIECE", piece)
        sizes.clear()
        for found, before in zip(everything(), whole, strict=True):
            close(found, before, 1e-14)
        assert max(sizes) == expected


# -- the bound of the spectral radius ------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 0.3, 3.0])
@every_network
def test_sharpness_bounds_the_spectral_radius(activation, q, skip, scale):
    case = Case(q=q, activation=activation, skip=skip)
    theta = scale * case.theta
    hessian = torch.autograd.functional.hessian(case.loss, theta)
    radius = float(torch.linalg.eigvalsh(hessian).abs().max())
    bound, _ = case.problem.sharpness(theta)
    assert radius <= bound * (1 + 1e-12)
    # The Frobenius norm of G exceeds its spectral norm by at most sqrt(q).
    assert bound < 2.5 * np.sqrt(q) * radius


@every_network
def test_growth_is_that_of_the_fastest_unit(activation, q, skip):
    case = Case(q=q, activation=activation, skip=skip)
    growth = case.problem.growth(case.theta)
    # Around zero output weights the Hessian's off-diagonal blocks are all there is
    # when the units do not see each other: one unit at a time.
    hessian = torch.autograd.functional.hessian(case.loss, case.theta)
    gram = case.jacobian().T @ case.jacobian()
    rest = hessian - gram
    exact = float(torch.linalg.eigvalsh(rest).abs().max())
    assert exact <= growth * (1 + 1e-12)
    if q == 1:
        assert_allclose(growth, exact, rtol=1e-12)
    else:
        assert growth <= np.sqrt(q) * exact


@pytest.mark.parametrize("q", [1, 3])
def test_power_iteration_finds_the_largest_eigenvalue(q):
    case = Case(q=q)
    expected = float(torch.linalg.matrix_norm(case.jacobian(), 2)) ** 2
    value, vector = case.problem.kernel_radius(case.theta)
    assert 0.9 * expected <= value <= expected * (1 + 1e-12)
    value, _ = case.problem.kernel_radius(case.theta, vector, rtol=0, max_iter=200)
    assert_allclose(value, expected, rtol=1e-12)


def test_nothing_to_fit_has_no_rate():
    case = Case(n=3)  # the affine part fits three samples in the plane
    assert case.problem.target_norm < 1e-14
    assert case.problem.sharpness(0 * case.theta)[0] < 1e-13


# -- laws ----------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_scaling_the_weights_is_scaling_the_targets_and_time(factor):
    # f_{s theta}(t; y) = s^2 f_theta(s^2 t; y / s^2), so grad(s theta; y) = s^3 grad(
    # theta; y / s^2); powers of two are exact.
    case = Case(q=2)
    other = case.problem.with_target(case.problem.target / factor**2)
    scaled, loss = case.problem.gradient(factor * case.theta)
    plain, other_loss = other.gradient(case.theta)
    close(scaled, factor**3 * plain, 1e-14)
    assert_allclose(float(loss), factor**4 * float(other_loss), rtol=1e-14)


def test_weights_count_as_repetitions():
    case = Case(q=2, weighted=False)
    times = torch.tensor([1, 3, 1, 2, 1, 1, 4, 1, 2])
    weighted = ShallowReLUProblem.build(
        case.X, case.Y, times.double(), skip=case.columns
    )
    rows = torch.repeat_interleave(torch.arange(9), times)
    repeated = ShallowReLUProblem.build(
        case.X[rows], case.Y[rows], case.weight[rows], skip=case.columns[rows]
    )
    close(weighted.gradient(case.theta)[0], repeated.gradient(case.theta)[0])
    assert_allclose(weighted.target_norm, repeated.target_norm, rtol=1e-13)


@pytest.mark.parametrize("q", [1, 3])
@pytest.mark.parametrize("size", [1e-8, 0.3, 2.0])
def test_hyperbolic_motion_is_the_matrix_exponential(size, q):
    rng = np.random.default_rng(0)
    m, p = 6, 3
    a, c = rng.standard_normal((m, p)), rng.standard_normal((m, q))
    G = size * rng.standard_normal((m, p, q))
    hidden, output = hyperbolic(to_tensor(a), to_tensor(c), to_tensor(G))
    for j in range(m):
        generator = np.block([[np.zeros((p, p)), -G[j]], [-G[j].T, np.zeros((q, q))]])
        moved = expm(generator) @ np.concatenate([a[j], c[j]])
        found = np.concatenate([hidden[j], output[j]])
        assert_allclose(found, moved, rtol=0, atol=1e-13 * np.abs(moved).max())


@pytest.mark.parametrize("q", [1, 3])
def test_hyperbolic_motion_keeps_the_balance(q):
    rng = np.random.default_rng(0)
    a = to_tensor(rng.standard_normal((200, 4)))
    c = to_tensor(rng.standard_normal((200, q)))
    before = (c**2).sum(1) - (a**2).sum(1)
    size = torch.ones(200, dtype=torch.float64)
    for _ in range(10):
        a, c = hyperbolic(a, c, to_tensor(0.1 * rng.standard_normal((200, 4, q))))
        size = torch.maximum(size, (c**2).sum(1) + (a**2).sum(1))
    change = (c**2).sum(1) - (a**2).sum(1) - before
    assert float((change / size).abs().max()) < 1e-14


@pytest.mark.parametrize("q", [1, 3])
def test_units_without_an_impulse_stay(q):
    rng = np.random.default_rng(0)
    a, c = to_tensor(rng.normal(size=(2, 3))), to_tensor(rng.normal(size=(2, q)))
    hidden, output = hyperbolic(a, c, torch.zeros(2, 3, q, dtype=torch.float64))
    assert torch.equal(hidden, a)
    assert torch.equal(output, c)


# -- laws of the units ---------------------------------------------------------------


def draw(law, m, d, L=2.0, seed=0):
    return draw_units(law, m, d, L, np.random.RandomState(seed))


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("law", ["uniform", "stratified"])
def test_directions_are_uniform_on_the_sphere(law, d):
    weights, biases = draw(law, 4000, d)
    assert weights.shape == (4000, d)
    assert_allclose(np.linalg.norm(weights, axis=1), 1, rtol=1e-14)
    assert_allclose(weights.mean(0), 0, atol=0.05)
    assert_allclose(weights.T @ weights / 4000, np.eye(d) / d, atol=0.03)
    if d == 3:  # Archimedes: each coordinate is uniform
        assert stats.kstest(weights[:, 0], stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(biases, weights[:, 0])[0, 1]) < 0.05
    assert stats.kstest(biases, stats.uniform(-2, 4).cdf).pvalue > 1e-3


def test_gaussian_and_paired_laws():
    weights, biases = draw("gaussian", 4000, 3)
    assert stats.kstest(weights.ravel(), stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest(biases, stats.norm(0, 2).cdf).pvalue > 1e-3
    weights, biases = draw("uniform_pair", 4000, 3)
    assert stats.kstest(weights.ravel(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert stats.kstest(biases, stats.uniform(-2, 4).cdf).pvalue > 1e-3


@pytest.mark.parametrize("m", [1, 2, 101])
def test_stratified_biases_have_one_in_each_part(m):
    _, biases = draw("stratified", m, 2)
    parts = np.floor((biases + 2) / 4 * m).astype(int)
    assert_allclose(np.sort(parts), np.arange(m))
    weights, biases = draw("stratified", m, 1)
    for sign in (1, -1):
        own = biases[weights[:, 0] == sign]
        assert len(own) == (m + (sign > 0)) // 2
        parts = np.floor((own + 2) / 4 * len(own)).astype(int)
        assert_allclose(np.sort(parts), np.arange(len(own)))


def kernel_error(law, m, d, seed):
    X = np.random.default_rng(1).uniform(-0.7, 0.7, (12, d))
    weights, biases = draw(law, m, d, 1.0, seed)
    H = np.maximum(X @ weights.T - biases, 0)
    limit = shallow_relu_kernel(X, law="uniform", bias_scale=1.0)
    return np.abs(H @ H.T / m - limit).max() / np.abs(limit).max()


def test_strata_bring_the_kernel_nearer_to_its_limit():
    # On the line, the error falls with the width instead of its root.
    for d, factor in ((1, 20), (2, 1.2)):
        errors = {
            law: np.mean([kernel_error(law, 1000, d, seed) for seed in range(5)])
            for law in ("uniform", "stratified")
        }
        assert factor * errors["stratified"] < errors["uniform"] < 0.1


def test_draws_are_those_of_the_random_state():
    for law in ("uniform", "stratified", "gaussian", "uniform_pair"):
        for first, second, other in zip(
            draw(law, 9, 2), draw(law, 9, 2), draw(law, 9, 2, seed=1), strict=True
        ):
            assert np.array_equal(first, second)
            assert not np.array_equal(first, other)
