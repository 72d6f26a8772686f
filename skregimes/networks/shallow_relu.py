"""Networks with one hidden layer of two-slope units, and their loss on a training set.

``f(x) = sum_j c_j sigma(a_j . x - b_j) + u . x + v`` with ``sigma`` the ReLU, the
absolute value or a leaky ReLU. The affine part, the skip connection, is profiled: it is
at every time the least squares fit of what the units leave, as if it learnt infinitely
faster. Several outputs share the hidden layer.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skregimes.networks.units import ACTIVATIONS

__all__ = ["ShallowReLUProblem", "hyperbolic"]

# Rows are worked off in pieces of so many entries of a samples x units array: larger
# ones leave the cache.
_PIECE = 2**19
# Power iteration approaches the largest eigenvalue from below.
_MARGIN = 1.1


def hyperbolic(hidden, output, impulse):
    """Move units by the exact flow of ``c' = -G^T a, a' = -G c`` over unit time.

    Parameters
    ----------
    hidden : Tensor of shape (n_hidden, p)
        Weights and biases ``a`` of the units.
    output : Tensor of shape (n_hidden, q)
        Output weights ``c``.
    impulse : Tensor of shape (n_hidden, p, q)
        ``G``, one matrix a unit: the gradient's, integrated over a step.

    Returns
    -------
    hidden, output : Tensor
        The moved units; ``|c|**2 - |a|**2`` of each is kept to rounding.
    """
    if impulse.shape[2] == 1:
        left = impulse[:, :, 0]
        size = left.norm(dim=1, keepdim=True)
        left = left / size.clamp(min=1e-300)
        a, c = (hidden * left).sum(1, keepdim=True), output
        more, sinh = 2 * torch.sinh(size / 2) ** 2, torch.sinh(size)
        return hidden + (more * a - sinh * c) * left, c + more * c - sinh * a
    left, size, right = torch.linalg.svd(impulse, full_matrices=False)
    a = (left.mT @ hidden[:, :, None])[:, :, 0]
    c = (right @ output[:, :, None])[:, :, 0]
    more, sinh = 2 * torch.sinh(size / 2) ** 2, torch.sinh(size)
    hidden = hidden + (left @ (more * a - sinh * c)[:, :, None])[:, :, 0]
    output = output + (right.mT @ (more * c - sinh * a)[:, :, None])[:, :, 0]
    return hidden, output


@dataclass(frozen=True, eq=False)
class ShallowReLUProblem:
    """A training set as the network's flows see it.

    The loss is ``sum_i w_i |f(x_i) - y_i|**2 / (2 sum_i w_i)``, where the affine part
    of ``f`` is the best one. Functions are vectors of length ``n_samples * n_outputs``
    of values times the root of the samples' shares of the weight, so that 2-norms are
    weighted root mean squares.

    Parameters
    ----------
    inputs : Tensor of shape (n_samples, p)
        Features and a column of -1, ``p = n_features + 1``.
    target : Tensor of shape (n_samples, n_outputs)
        Targets times ``root``, without what the affine part explains.
    root : Tensor of shape (n_samples, 1)
        Roots of the shares of the weight.
    affine : Tensor of shape (n_samples, k) or None
        Orthonormal basis of what the profiled part can fit, times ``root``.
    slopes : tuple of float
        Slopes of the activation below and above zero.
    """

    inputs: Tensor
    target: Tensor
    root: Tensor
    affine: Tensor | None
    slopes: tuple[float, float] = ACTIVATIONS["relu"]

    @classmethod
    def build(cls, X, Y, weight, *, skip=None, slopes=ACTIVATIONS["relu"]):
        """Arrange tensors ``X (n, d)``, ``Y (n, q)``, ``weight (n,)``, ``skip (n, k)``.

        ``skip`` holds the columns of the profiled part; None is no such part.
        """
        root = (weight / weight.sum()).sqrt()[:, None]
        inputs = torch.cat([X, -torch.ones_like(X[:, :1])], dim=1)
        affine = None
        if skip is not None:
            left, size, _ = torch.linalg.svd(root * skip, full_matrices=False)
            floor = size[:1] * max(skip.shape) * torch.finfo(X.dtype).eps
            affine = left[:, size > floor]
        problem = cls(inputs, root * Y, root, affine, tuple(slopes))
        return problem.with_target(root * Y)

    def with_target(self, target):
        """Return the same problem for other targets (times ``root``)."""
        left = self.project(target)
        if left.norm() <= 64 * torch.finfo(target.dtype).eps * target.norm():
            left = torch.zeros_like(left)  # rounding, not a target
        return ShallowReLUProblem(
            self.inputs, left, self.root, self.affine, self.slopes
        )

    # -- pieces --------------------------------------------------------------------

    @property
    def n_samples(self):
        """Number of samples."""
        return len(self.inputs)

    @property
    def n_outputs(self):
        """Number of outputs."""
        return self.target.shape[1]

    @property
    def target_norm(self):
        """Weighted root mean square of the targets that the units must fit."""
        return float(self.target.norm())

    def project(self, values):
        """Remove what the affine part explains of ``values (n_samples, ...)``."""
        if self.affine is None:
            return values
        return values - self.affine @ (self.affine.T @ values)

    def activation(self, Z):
        """Apply the units to their inputs."""
        low, high = self.slopes
        if low == 0:
            return Z.clamp(min=0) if high == 1 else high * Z.clamp(min=0)
        return torch.where(Z > 0, high * Z, low * Z)

    def slope(self, Z):
        """Return the units' derivatives."""
        low, high = self.slopes
        up = (Z > 0).to(Z.dtype)
        return up if (low, high) == (0.0, 1.0) else low + (high - low) * up

    def pack(self, hidden, output):
        """Return all parameters as one vector."""
        return torch.cat([hidden.reshape(-1), output.reshape(-1)])

    def unpack(self, theta):
        """Return ``hidden (m, p)`` and ``output (m, q)``, views of a vector."""
        p, q = self.inputs.shape[1], self.n_outputs
        m = len(theta) // (p + q)
        return theta[: m * p].view(m, p), theta[m * p :].view(m, q)

    def _pieces(self, n_hidden):
        step = max(1, _PIECE // n_hidden)
        return [slice(i, i + step) for i in range(0, self.n_samples, step)]

    def values(self, hidden, output):
        """Return the units' part of the function, shape (n_samples, n_outputs)."""
        return torch.cat(
            [
                self.activation(self.inputs[rows] @ hidden.T) @ output
                for rows in self._pieces(len(hidden))
            ]
        )

    def residual(self, hidden, output):
        """Return the projected, weighted residual, shape (n_samples, n_outputs)."""
        return self.project(self.root * self.values(hidden, output)) - self.target

    def pull(self, hidden, residual):
        """Pull a function back to the units.

        Returns
        -------
        for_hidden : Tensor of shape (m, p, q)
            ``G_j = sum_i root_i residual_i sigma'(z_ij) x_i``.
        for_output : Tensor of shape (m, q)
            Gradient in the output weights; that in the hidden ones is ``G_j c_j``.
        """
        m, p, q = len(hidden), self.inputs.shape[1], residual.shape[1]
        pulled = self.root * residual
        for_hidden = hidden.new_zeros(m, p * q)
        for_output = hidden.new_zeros(m, q)
        for rows in self._pieces(m):
            Z = self.inputs[rows] @ hidden.T
            outer = self.inputs[rows, :, None] * pulled[rows, None, :]
            for_hidden += self.slope(Z).T @ outer.reshape(-1, p * q)
            for_output += self.activation(Z).T @ pulled[rows]
        return for_hidden.view(m, p, q), for_output

    def push(self, hidden, output, d_hidden, d_output):
        """Return the change of the (projected, weighted) function by a direction."""
        change = []
        for rows in self._pieces(len(hidden)):
            Z = self.inputs[rows] @ hidden.T
            through = self.slope(Z) * (self.inputs[rows] @ d_hidden.T)
            change.append(self.activation(Z) @ d_output + through @ output)
        return self.project(self.root * torch.cat(change))

    # -- what flows ask for ----------------------------------------------------------

    def gradient(self, theta):
        """Return the gradient of the loss, a vector, and the loss."""
        hidden, output = self.unpack(theta)
        residual = self.residual(hidden, output)
        for_hidden, for_output = self.pull(hidden, residual)
        gradient = self.pack((for_hidden @ output[:, :, None])[:, :, 0], for_output)
        return gradient, 0.5 * (residual**2).sum()

    def batch_gradient(self, theta, rows):
        """Return the gradient of the loss of some samples, an unbiased estimate.

        The affine part is the best one for all samples, which costs a pass over them.
        """
        hidden, output = self.unpack(theta)
        part = self.part(rows)
        if self.affine is None:
            residual = part.residual(hidden, output)
        else:
            residual = self.residual(hidden, output)[rows] / self.root[rows].norm()
        for_hidden, for_output = part.pull(hidden, residual)
        return self.pack((for_hidden @ output[:, :, None])[:, :, 0], for_output)

    def part(self, rows):
        """Return the problem of some samples, by their numbers.

        Its affine part is fitted to them.
        """
        root = self.root[rows]
        norm = root.norm()
        affine = None
        if self.affine is not None:
            left, size, _ = torch.linalg.svd(self.affine[rows], full_matrices=False)
            affine = left[:, size > size[:1] * 1e-12]
        target = self.target[rows] / norm
        part = ShallowReLUProblem(
            self.inputs[rows], target, root / norm, affine, self.slopes
        )
        return part.with_target(target)

    def function_change(self, theta, direction):
        """Return the change of the function by a direction in the parameters."""
        pushed = self.push(*self.unpack(theta), *self.unpack(direction))
        return pushed.reshape(-1)

    def growth(self, theta):
        """Return ``max_j |G_j|``, the rate at which units may grow.

        It is the part of the spectral radius that the tangent kernel does not show, and
        the larger one at small initial scales.
        """
        hidden, output = self.unpack(theta)
        for_hidden, _ = self.pull(hidden, self.residual(hidden, output))
        return float(for_hidden.flatten(1).norm(dim=1).max())

    def kernel_radius(self, theta, start=None, *, rtol=1e-2, max_iter=30):
        """Return the tangent kernel's largest eigenvalue by power iteration."""
        hidden, output = self.unpack(theta)
        vector = self.target if start is None else start
        if start is None:
            # A fixed, rough vector: no eigenvector of a smooth kernel is orthogonal.
            n = torch.arange(1, vector.numel() + 1, dtype=theta.dtype)
            rough = torch.frac(n * (math.sqrt(5) - 1) / 2).to(vector) + 0.5
            vector = rough.view(vector.shape)
        value = 0.0
        for _ in range(max_iter):
            vector = self.project(vector)
            size = float(vector.norm())
            if size == 0:
                return 0.0, start
            vector = vector / size
            for_hidden, for_output = self.pull(hidden, vector)
            d_hidden = (for_hidden @ output[:, :, None])[:, :, 0]
            vector = self.push(hidden, output, d_hidden, for_output)
            before, value = value, float(vector.norm())
            if abs(value - before) <= rtol * value:
                break
        return value, vector

    def sharpness(self, theta, start=None):
        """Return a bound of the spectral radius of the flow, and where to go on."""
        value, vector = self.kernel_radius(
            theta, start, max_iter=4 if start is not None else 30
        )
        return _MARGIN * value + self.growth(theta), vector

    def tangent_gram(self, hidden, output):
        """Return the Gram matrix of the tangent kernel, weighted and projected.

        Closed form. Shape (n_samples * n_outputs,) * 2, outputs running fastest.
        """
        Z = self.inputs @ hidden.T
        gram = self.gram_of(self.activation(Z), self.slope(Z), output)
        return self.project_gram(gram)

    def gram_of(self, H, D, output):
        """Return the weighted Gram matrix of given activations and slopes."""
        n, q = self.n_samples, self.n_outputs
        H, X = self.root * H, self.root * self.inputs
        out, products = H @ H.T, X @ X.T
        if q == 1:
            return out + ((D * output[:, 0] ** 2) @ D.T) * products
        gram = torch.einsum(
            "ij,kl->ikjl", out, torch.eye(q, dtype=out.dtype, device=out.device)
        )
        for k in range(q):
            for other in range(k + 1):
                block = ((D * (output[:, k] * output[:, other])) @ D.T) * products
                gram[:, k, :, other] += block
                if other < k:
                    gram[:, other, :, k] += block
        return gram.reshape(n * q, n * q)

    def project_gram(self, gram):
        """Project a Gram matrix on both sides."""
        if self.affine is None:
            return gram
        n, q = self.n_samples, self.n_outputs
        half = self.project(gram.view(n, -1)).view(n * q, n * q)
        return self.project(half.T.reshape(n, -1)).view(n * q, n * q).T
