"""The linearised network on a training set: a ridge problem in its tangent kernel."""

from functools import cached_property

import numpy as np

from skregimes._sklearn import check_sample_weight, num_samples
from skregimes.limits.kernel_spectrum import KernelSpectrum
from skregimes.tangent._networks import (
    fit_networks,
    free_columns,
    mean_kernel,
    start_values,
    target_of,
)

__all__ = ["Twin", "apply_kernel"]


class Twin:
    """Networks on a training set, and the ridge problems that they pose.

    Outputs of networks that share weights make one problem together, others one each.
    """

    def __init__(self, starts, networks, kernel, columns, rest, weight, shape):
        self.starts, self.networks = starts, networks
        self.kernel, self.columns = kernel, columns
        self.rest, self.weight, self.shape = rest, weight, shape
        self.problems = _problems(kernel, rest, columns, np.sqrt(weight))

    @classmethod
    def build(cls, model, X, y, sample_weight, task):
        starts, networks = fit_networks(model, X, y, sample_weight, task)
        weight = check_sample_weight(
            sample_weight, np.empty(num_samples(X)), dtype=np.float64
        )
        target = target_of(y, starts[0])
        columns = free_columns(starts[0], X)
        rest = target.reshape(len(target), -1) - start_values(
            starts, X, model._infinite
        )
        kernel = mean_kernel(networks, X, X, model.at, model._infinite)
        return cls(starts, networks, kernel, columns, rest, weight, target.shape)

    @cached_property
    def mean_eigenvalue(self):
        """Mean of the positive eigenvalues, the unit of penalties."""
        values = np.concatenate([problem.eigenvalues for problem in self.problems])
        return float(np.mean(values[values > 0])) if np.any(values > 0) else 1.0

    def solve(self, alphas):
        """Return coefficients of kernel and columns and degrees of freedom.

        Of shapes (n_alphas, n_samples, n_outputs), (n_alphas, n_columns, n_outputs) and
        (n_alphas, n_problems).
        """
        alphas = np.reshape(alphas, (-1, 1))
        duals, coefs, df = [], [], []
        for problem in self.problems:
            seen = problem.eigenvalues > 0
            values = np.where(seen, problem.eigenvalues, 1.0)
            gain = np.where(seen, 1 / (values + alphas), 0.0)
            dual = problem.dual(gain)
            duals.append(self._by_output(dual, len(self.rest)))
            coefs.append(self._by_output(problem.coef(dual), self.columns.shape[1]))
            df.append(gain @ problem.eigenvalues)
        return np.concatenate(duals, -1), np.concatenate(coefs, -1), np.array(df).T

    def _by_output(self, stacked, length):
        """Return (n_alphas, length, n_outputs) of outputs under one another."""
        if stacked.shape[1] == length:
            return stacked
        return stacked.reshape(len(stacked), -1, length).transpose(0, 2, 1)

    def fitted(self, dual, coef):
        """Return the function on the samples, less its start."""
        return apply_kernel(self.kernel, dual) + self.columns @ coef


def _problems(kernel, rest, columns, root):
    """Return a `KernelSpectrum` for each group of outputs that share weights."""
    if kernel.ndim == 2:
        return [KernelSpectrum(kernel, rest, columns, root)]
    if kernel.ndim == 3:
        return [
            KernelSpectrum(K, target[:, None], columns, root)
            for K, target in zip(kernel, rest.T, strict=True)
        ]
    q, _, n, _ = kernel.shape
    stacked = kernel.transpose(0, 2, 1, 3).reshape(q * n, q * n)
    every = np.kron(np.eye(q), columns)
    return [KernelSpectrum(stacked, rest.T.reshape(-1, 1), every, np.tile(root, q))]


def apply_kernel(kernel, dual):
    """Return what the kernel makes of coefficients (..., n_samples, n_outputs)."""
    if kernel.ndim == 2:
        return kernel @ dual
    if kernel.ndim == 3:
        return np.einsum("kij,...jk->...ik", kernel, dual)
    return np.einsum("klij,...jl->...ik", kernel, dual)
