"""Products of matrices fitted to linear measurements, with gradients by hand."""

import numpy as np
import torch
from torch import Tensor

from skregimes._border import to_numpy, to_tensor

__all__ = ["FactorizationProblem"]

# Power iterations: at the start, and warm; the change at which they end; see sharpness.
_COLD, _WARM, _CLOSE = 30, 4, 0.02


class FactorizationProblem:
    """What a flow needs to know to train the factors of a matrix.

    The loss is ``|measurements(W_L ... W_1) - target|**2 / 2 + weight_decay / 2 *
    sum_j |W_j|**2``. Parameters are one vector: ``W_1`` transposed, so that its rows
    belong to columns of the matrix, then ``W_2`` to ``W_L``.

    Parameters
    ----------
    measurements : object
        See `skregimes.networks.measurements`.
    target : Tensor
        What they should be, in the shape of ``measurements.fitted``.
    shape : tuple of int
        ``(d1, d2)``, shape of the product.
    width : int
        Width k of the factors.
    depth : int
        Number L of factors, at least 2.
    weight_decay : float, default=0.0
        Weight of the penalty.
    start : Tensor, optional
        Measurements that are subtracted from those of the product. Errors of steps are
        relative to the target without them.
    """

    def __init__(
        self,
        measurements,
        target: Tensor,
        shape,
        width,
        depth,
        weight_decay=0.0,
        start: Tensor | None = None,
    ):
        self.measurements = measurements
        self.target = target if start is None else target + start
        self.weight_decay = float(weight_decay)
        self.target_norm = _norm(target)
        self._shapes = [
            (shape[1], width),
            *[(width, width)] * (depth - 2),
            (shape[0], width),
        ]
        self._sizes = [rows * cols for rows, cols in self._shapes]
        # Of narrow products the growth below would not vanish at a minimum.
        self._knows_growth = depth == 2 and width >= min(shape)
        self._direction: Tensor | None = None
        self._last: tuple | None = None  # parameters, and the pull-back there

    # -- parameters ----------------------------------------------------------------

    def pack(self, factors) -> Tensor:
        """Return the parameters of a list of arrays ``W_1`` to ``W_L``."""
        parts = [factors[0].T, *factors[1:]]
        flat = np.concatenate([np.ravel(part) for part in parts])
        return to_tensor(flat, device=self.target.device, dtype=self.target.dtype)

    def unpack(self, theta: Tensor) -> list[np.ndarray]:
        """Return the arrays ``W_1`` to ``W_L``."""
        first, *rest = (to_numpy(part) for part in self._parts(theta))
        return [np.ascontiguousarray(first.T), *rest]

    def _parts(self, theta: Tensor) -> list[Tensor]:
        split = theta.split(self._sizes)
        return [part.view(shape) for part, shape in zip(split, self._shapes)]

    @staticmethod
    def _features(parts) -> list[Tensor]:
        """Return ``(W_p ... W_1).T`` for p below L."""
        features = parts[:1]
        for part in parts[1:-1]:
            features.append(features[-1] @ part.T)
        return features

    # -- what flows ask ------------------------------------------------------------

    def fitted(self, theta: Tensor) -> Tensor:
        """Return the measurements of the product."""
        parts = self._parts(theta)
        return self.measurements.fitted(parts[-1], self._features(parts)[-1])

    def error(self, theta: Tensor) -> float:
        """Return the sum of squares of what the measurements miss."""
        rest = 2 * self.measurements.unfit
        return _norm(self.fitted(theta) - self.target) ** 2 + rest

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of the loss, and the loss."""
        parts = self._parts(theta)
        features = self._features(parts)
        residual = self.measurements.fitted(parts[-1], features[-1]).sub_(self.target)
        pulled = self.measurements.pull_back(residual)
        self._last = theta, pulled
        gradient = torch.empty_like(theta)
        into = self._parts(gradient)
        G, GT = pulled
        into[-1].copy_(G @ features[-1])
        back = GT @ parts[-1]
        for p in range(len(parts) - 2, 0, -1):
            into[p].copy_(back.T @ features[p - 1])
            back = back @ parts[p]
        into[0].copy_(back)
        residual = residual.view(-1)
        loss = residual @ residual / 2 + self.measurements.unfit
        if self.weight_decay:
            gradient.add_(theta, alpha=self.weight_decay)
            loss = loss + (self.weight_decay / 2) * (theta @ theta)
        return gradient, loss

    def function_change(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Return the derivative of the measurements along a direction, flat."""
        parts, change = self._parts(theta), self._parts(direction)
        features = self._features(parts)
        return self._forward(parts, features, change)[1].reshape(-1)

    def _forward(self, parts, features, change):
        """Return the change of the features, and of the measurements."""
        moved = change[:1]
        for p in range(1, len(parts) - 1):
            moved.append(moved[-1] @ parts[p].T + features[p - 1] @ change[p].T)
        fitted = self.measurements.fitted
        return moved, fitted(change[-1], features[-1]) + fitted(parts[-1], moved[-1])

    def sharpness(self, theta: Tensor, start: Tensor | None = None):
        """Return the spectral radius of the Hessian, and what to start from next time.

        By power iteration on exact products with the Hessian, so from below.
        """
        product = self._hessian(theta)
        most = _WARM
        if start is None:
            generator = torch.Generator().manual_seed(0)
            start = torch.randn(theta.numel(), generator=generator).to(theta)
            most = _COLD
        direction, value = start / torch.linalg.vector_norm(start), 0.0
        for _ in range(most):
            image = product(direction)
            last, value = value, _norm(image)
            if value == 0 or not np.isfinite(value):
                break
            direction = image / value
            if abs(value - last) <= _CLOSE * value:
                break
        return value, direction

    def _hessian(self, theta: Tensor):
        """Return the function that multiplies by the Hessian of the loss."""
        parts = self._parts(theta)
        features = self._features(parts)
        G, GT = self._pulled(theta)
        backs = [GT @ parts[-1]]
        for part in parts[-2:0:-1]:
            backs.insert(0, backs[0] @ part)

        def product(direction: Tensor) -> Tensor:
            change = self._parts(direction)
            moved, residual = self._forward(parts, features, change)
            dG, dGT = self.measurements.pull_back(residual)
            image = torch.empty_like(theta)
            into = self._parts(image)
            into[-1].copy_(dG @ features[-1] + G @ moved[-1])
            back = dGT @ parts[-1] + GT @ change[-1]
            for p in range(len(parts) - 2, 0, -1):
                into[p].copy_(back.T @ features[p - 1] + backs[p].T @ moved[p - 1])
                back = back @ parts[p] + backs[p] @ change[p]
            into[0].copy_(back)
            return image.add_(direction, alpha=self.weight_decay)

        return product

    def _pulled(self, theta: Tensor):
        """Return the gradient in the product, and its transpose."""
        if self._last is None or self._last[0] is not theta:
            self.gradient(theta)
        assert self._last is not None
        return self._last[1]

    def growth(self, theta: Tensor) -> float | None:
        """Return how fast a direction not yet learned grows; None if not known.

        At depth 2 directions of zero size grow at the largest singular value of the
        gradient in the product. Deeper ones grow in proportion to their size, so never
        exponentially.
        """
        if not self._knows_growth:
            return None
        G, GT = self._pulled(theta)
        if self._direction is None:
            generator = torch.Generator().manual_seed(0)
            size = self._shapes[0][0], 1
            direction = torch.randn(size, generator=generator).to(theta)
            self._direction = direction / _norm(direction)
        value = 0.0
        for _ in range(_COLD):
            image = GT @ (G @ self._direction)
            squared = _norm(image)
            last, value = value, squared**0.5
            if value == 0 or not np.isfinite(value):
                break
            self._direction = image / squared
            if abs(value - last) <= _CLOSE * value:
                break
        return max(value - self.weight_decay, 0.0)


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))
