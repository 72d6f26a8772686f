"""A new network: one hidden layer of tanh units, in the lazy scaling.

The function is ``alpha * (h(x) - h_0(x))`` with ``h(x) = c @ tanh(A x)`` and its start
``h_0``; the loss is the mean square over ``2 * alpha**2``. Large alpha is the kernel
regime, whatever the network (Chizat, Oyallon, Bach, "On lazy training in differentiable
programming", NeurIPS 2019, section 2).
"""

import torch


class TanhNetwork:
    """What is trained: a problem, as ``skregimes.flows.problem`` describes it."""

    def __init__(self, X, y, *, n_hidden, alpha, seed=0):
        draw = torch.Generator().manual_seed(seed)
        self.X, self.y = (torch.as_tensor(a, dtype=torch.float64) for a in (X, y))
        self.alpha = alpha
        self.target_norm = float(torch.linalg.vector_norm(self.y))
        shape = n_hidden, self.X.shape[1] + 1  # a row a unit: A, then c
        weights = torch.randn(shape, generator=draw, dtype=torch.float64)
        weights[:, -1] /= n_hidden**0.5
        self.start = weights.ravel()
        self.offset = self._output(self.start, self.X)

    def _weights(self, theta):
        weights = theta.reshape(-1, self.X.shape[1] + 1)
        return weights[:, :-1], weights[:, -1]

    def _output(self, theta, X):
        hidden, output = self._weights(theta)
        return torch.tanh(X @ hidden.T) @ output

    def jacobian(self, theta):
        """Return the derivative of h on the samples, (n_samples, n_params)."""
        hidden, output = self._weights(theta)
        unit = torch.tanh(self.X @ hidden.T)
        inner = ((1 - unit**2) * output)[:, :, None] * self.X[:, None, :]
        return torch.cat([inner, unit[:, :, None]], dim=2).flatten(1)

    def gradient(self, theta):
        """Return the gradient of the loss and the loss: all that a flow needs."""
        fitted = self.alpha * (self._output(theta, self.X) - self.offset)
        residual = fitted - self.y
        loss = residual @ residual / (2 * len(self.y) * self.alpha**2)
        return self.jacobian(theta).T @ residual / (len(self.y) * self.alpha), loss

    def function_change(self, theta, direction):
        """Return the change of the fitted values, lest a flow judge by weights alone.

        Those of a lazy network hardly move.
        """
        return self.alpha * (self.jacobian(theta) @ direction)

    def tangent_kernel(self, theta):
        """Return the kernel of the network at theta, (n_samples, n_samples)."""
        jacobian = self.jacobian(theta)
        return jacobian @ jacobian.T
