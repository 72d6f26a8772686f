"""Each diagnostic against a hand computation, on arrays and on tensors."""

import numpy as np
import pytest
import torch

from skregimes._border import to_numpy, to_tensor
from skregimes.diagnostics import (
    effective_rank,
    effective_sparsity,
    kernel_alignment,
    kernel_change,
    tangent_kernel,
    weight_change,
)
from skregimes.networks.diagonal import DiagonalNet


@pytest.fixture(params=["array", "tensor"])
def wrap(request):
    return np.asarray if request.param == "array" else to_tensor


@pytest.fixture
def kernels():
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 5, 7))
    return A @ A.T, B @ B.T


def test_kernel_change(wrap, kernels):
    K0, K1 = kernels
    expected = np.sqrt(np.sum((K1 - K0) ** 2) / np.sum(K0**2))
    assert kernel_change(wrap(K0), wrap(K1)) == pytest.approx(expected, rel=1e-14)
    assert kernel_change(wrap(K0), wrap(K0)) == 0.0


def test_changes_beyond_the_square_root_of_the_largest_float():
    # In the rich regime the change is without bound.
    assert kernel_change(np.eye(2), 1e200 * np.eye(2)) == pytest.approx(1e200)
    assert kernel_change(1e-200 * np.eye(2), np.eye(2)) == pytest.approx(1e200)
    assert weight_change([1e-200], [3e-200]) == pytest.approx(2.0)


def test_kernel_alignment(wrap, kernels):
    K0, K1 = kernels
    expected = np.trace(K0 @ K1) / np.sqrt(np.trace(K0 @ K0) * np.trace(K1 @ K1))
    assert kernel_alignment(wrap(K0), wrap(K1)) == pytest.approx(expected, rel=1e-14)
    assert kernel_alignment(wrap(K0), wrap(1e200 * K0)) == pytest.approx(1.0, abs=1e-15)
    assert kernel_alignment(np.diag([1.0, 0.0]), np.diag([0.0, 2.0])) == 0.0


def test_weight_change(wrap):
    found = weight_change(wrap(np.array([[3.0, 0.0], [0.0, 4.0]])), wrap(np.eye(2)))
    assert found == pytest.approx(np.sqrt(13) / 5, rel=1e-15)


def test_effective_sparsity(wrap):
    coef = np.array(
        [[3.0, -3.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1e-9, 0.0, 0.0]]
    )
    for scale in (1.0, 1e-200, 1e200):
        found = effective_sparsity(wrap(scale * coef))
        np.testing.assert_allclose(found, [3.0, 0.0, 1.0], rtol=1e-8)
    x = np.random.default_rng(1).standard_normal(9)
    expected = (np.linalg.norm(x, 1) / np.linalg.norm(x, 2)) ** 2
    assert effective_sparsity(wrap(x)) == pytest.approx(expected, rel=1e-14)


def test_effective_rank(wrap, kernels):
    values = np.linalg.eigvalsh(kernels[0])
    share = values / values.sum()
    expected = np.exp(-np.sum(share * np.log(share)))
    assert effective_rank(wrap(kernels[0])) == pytest.approx(expected, rel=1e-12)
    assert effective_rank(wrap(1e200 * np.ones((3, 4)))) == pytest.approx(1.0)
    assert effective_rank(wrap(np.zeros((2, 2)))) == 0.0


@pytest.mark.parametrize("diagnostic", [kernel_change, kernel_alignment, weight_change])
def test_pairs_are_checked(diagnostic):
    with pytest.raises(ValueError, match="one shape"):
        diagnostic(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="finite"):
        diagnostic(np.eye(2), np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="is zero"):
        diagnostic(np.zeros((2, 2)), np.eye(2))


def test_single_inputs_are_checked():
    with pytest.raises(ValueError, match="must be a matrix"):
        effective_rank(np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        effective_rank([[np.inf]])
    with pytest.raises(ValueError, match="finite"):
        effective_sparsity([])


class Diagonal(torch.nn.Module):
    """The diagonal network as a module, written out again."""

    def __init__(self, weights, depth):
        super().__init__()
        self.plus = torch.nn.Parameter(weights[0].clone())
        self.minus = torch.nn.Parameter(weights[1].clone())
        self.depth = depth

    def forward(self, X):
        return X @ (self.plus**self.depth - self.minus**self.depth)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_tangent_kernel_agrees_with_the_closed_form(depth):
    rng = np.random.default_rng(3)
    weights = to_tensor(rng.uniform(0.2, 2.0, size=(1, 2, 5)))
    X, Y = to_tensor(rng.standard_normal((2, 3, 5)))
    module, network = Diagonal(weights[0], depth), DiagonalNet(depth)
    for arguments in ((X,), (X, Y)):
        torch.testing.assert_close(
            tangent_kernel(module, *arguments),
            network.tangent_kernel(weights, *arguments)[0],
            rtol=1e-12,
            atol=1e-12,
        )


def test_tangent_kernel_of_several_outputs():
    torch_state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    module = torch.nn.utils.skip_init(torch.nn.Linear, 3, 2, dtype=torch.float64)
    hidden = torch.nn.utils.skip_init(torch.nn.Linear, 2, 2, dtype=torch.float64)
    module = torch.nn.Sequential(module, torch.nn.Tanh(), hidden)
    for weight in module.parameters():
        weight.data = torch.randn(
            weight.shape, generator=generator, dtype=torch.float64
        )
    X = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    kernel = tangent_kernel(module, X)
    assert kernel.shape == (4, 4, 2, 2)
    assert not kernel.requires_grad
    rows = {}
    for i in range(4):
        for a in range(2):
            grads = torch.autograd.grad(module(X)[i, a], list(module.parameters()))
            rows[i, a] = torch.cat([grad.flatten() for grad in grads])
    for (i, a), left in rows.items():
        for (j, b), right in rows.items():
            assert float(kernel[i, j, a, b]) == pytest.approx(float(left @ right))
    assert torch.equal(torch_state, torch.get_rng_state())


def test_tangent_kernel_leaves_out_frozen_weights():
    module = Diagonal(torch.ones(2, 2, dtype=torch.float64), 2)
    X = torch.eye(2, dtype=torch.float64)
    module.minus.requires_grad_(False)
    np.testing.assert_array_equal(to_numpy(tangent_kernel(module, X)), 4 * np.eye(2))
    module.plus.requires_grad_(False)
    with pytest.raises(ValueError, match="requires a gradient"):
        tangent_kernel(module, X)
