"""What a flow of parameters asks of the problem that it trains.

A *problem* is any object with

``gradient(theta)``
    The gradient of the training loss, (n_params,), and the loss, both new tensors of
    theta's dtype. Enough for every flow of parameters.

It may, and where its network knows better than a general rule it should, have

``function_change(theta, direction)`` and ``target_norm``
    The derivative along a direction of the fitted values, 1-D, and the norm of the
    target in the same units.
``sharpness(theta, start=None)``
    ``(value, start)``: the spectral radius of the Hessian of the loss, and what to
    start from next time.
``growth(theta)``
    A bound on how fast the flow runs away from a saddle, or None.
``batch_gradient(theta, rows)`` and ``n_samples``
    The gradient of the loss on some rows, for mini batches.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CountedProblem", "Point", "power_sharpness"]


@dataclass(frozen=True, eq=False)
class Point:
    """A point of a flow whose loss is known.

    Replaced whole, never changed: an interruption finds it whole.
    """

    time: float
    n_iter: int
    theta: Tensor
    gradient: Tensor
    loss: float
    grad_norm2: float

    @property
    def finite(self) -> bool:
        """Whether the loss and its gradient are finite."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm2)


class CountedProblem:
    """A problem whose gradients are counted, with what it lacks filled in.

    Parameters
    ----------
    problem : object
        See the top of this module.
    """

    def __init__(self, problem):
        self._problem = problem
        self.n_gradients = 0
        self._sharpness = getattr(problem, "sharpness", None)
        self._growth = getattr(problem, "growth", None)
        self._function_change = getattr(problem, "function_change", None)
        self._direction: Tensor | None = None
        self._radius = 0.0

    def gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient and the loss."""
        self.n_gradients += 1
        return self._problem.gradient(theta)

    def batch_gradient(self, theta: Tensor, rows: Tensor) -> Tensor:
        """Return the gradient of the loss on some rows."""
        self.n_gradients += 1
        return self._problem.batch_gradient(theta, rows)

    def point(self, time: float, n_iter: int, theta: Tensor) -> Point:
        """Return all that is to be known of a point."""
        gradient, loss = self.gradient(theta)
        return Point(time, n_iter, theta, gradient, float(loss), norm(gradient) ** 2)

    def start(self, theta: Tensor) -> Point:
        """Return the point at time zero, or raise ValueError if it is not finite."""
        point = self.point(0.0, 0, theta.detach().clone())
        if not point.finite:
            raise ValueError("The loss or its gradient at the start is not finite.")
        return point

    def sharpness(self, theta: Tensor) -> float:
        """Return the spectral radius of the Hessian, the last one if it is not finite.

        Each call starts from the direction that the one before found.
        """
        if self._sharpness is None:
            value, direction = power_sharpness(self, theta, self._direction)
        else:
            value, direction = self._sharpness(theta, self._direction)
        if math.isfinite(value):
            self._radius, self._direction = float(value), direction
        return self._radius

    def growth(self, theta: Tensor) -> float | None:
        """Return how fast the flow may run away from a saddle, None if not known."""
        growth = None if self._growth is None else self._growth(theta)
        return None if growth is None else float(growth)

    def size(self, theta: Tensor, change: Tensor, scale: float) -> float:
        """Return the relative size of a small change of the parameters.

        The larger of what it is of the parameters' norm, ``scale``, and, if the problem
        knows, what the change of its function is of the target's.
        """
        relative = norm(change) / scale
        if self._function_change is not None and self._problem.target_norm > 0:
            effect = norm(self._function_change(theta, change))
            relative = max(effect / float(self._problem.target_norm), relative)
        return relative


def norm(vector: Tensor) -> float:
    """Return the 2-norm; in float32 alone the squares of small numbers would vanish."""
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))


def power_sharpness(
    problem, theta: Tensor, start: Tensor | None = None, *, max_iter: int = 30
) -> tuple[float, Tensor]:
    """Return the spectral radius of the Hessian of the loss, by power iteration.

    Parameters
    ----------
    problem : object
        What is trained; needs ``gradient(theta)`` only.
    theta : Tensor of shape (n_params,)
        Parameters.
    start : Tensor of shape (n_params,), optional
        Direction to start from. By default a fixed one of Gaussian numbers.
    max_iter : int, default=30
        Largest number of iterations; it ends when the value changes by less than 1 %.

    Returns
    -------
    value : float
        Spectral radius, from below.
    direction : Tensor of shape (n_params,)
        The direction reached, a good start for parameters nearby.

    Notes
    -----
    Products with the Hessian are central differences of gradients, two gradients each:
    nothing is asked of how the gradient was computed, and at the kinks of a network
    the difference is what a step would meet.

    Examples
    --------
    >>> import torch
    >>> from skregimes.flows.problem import power_sharpness
    >>> class Quadratic:
    ...     def gradient(self, theta):
    ...         rates = torch.tensor([5.0, 1.0, 0.1], dtype=torch.float64)
    ...         return rates * theta, (rates * theta**2).sum() / 2
    >>> value, _ = power_sharpness(Quadratic(), torch.ones(3, dtype=torch.float64))
    >>> print(f"{value:.1f}")
    5.0
    """
    if start is None:
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(theta.numel(), generator=generator, dtype=torch.float64)
    direction = start.to(theta)
    # The cube root of the resolution balances rounding and truncation.
    size = norm(theta)
    reach = torch.finfo(theta.dtype).eps ** (1 / 3) * (size if size > 0 else 1.0)
    value = 0.0
    for _ in range(max_iter):
        step = direction * (reach / norm(direction))
        ahead, behind = (problem.gradient(theta + d)[0] for d in (step, -step))
        product = (ahead - behind) / (2 * reach)
        last, value = value, norm(product)
        if value == 0 or not math.isfinite(value):
            break
        direction = product
        if abs(value - last) <= 0.01 * value:
            break
    return value, direction
