"""Diagonal linear networks: linear in the input, a power of depth D in the weights."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["DiagonalNet"]

_LOG2 = math.log(2.0)


def _log_cosh(x: Tensor) -> Tensor:
    return torch.logaddexp(x, -x) - _LOG2


def _angle_of_ratio(log_ratio: Tensor, k: float) -> Tensor:
    """Solve ``k log cosh t + log 2 sinh(k t) = log_ratio`` for t > 0."""
    linear = torch.exp(log_ratio.clamp(max=-18.0)) / (2 * k)
    log = log_ratio.clamp(min=-18.0)
    t = torch.logaddexp(log, torch.zeros_like(log)) / (2 * k)
    # Newton on a concave increasing function, from below.
    for _ in range(8):
        sinh = k * t + torch.log(-torch.expm1(-2 * k * t))
        gap = k * _log_cosh(t) + sinh - log
        t = t - gap / (k * torch.tanh(t) + k / torch.tanh(k * t))
    return torch.where(log_ratio > -18, t, linear)


@dataclass(frozen=True)
class DiagonalNet:
    """Diagonal linear network ``f(x) = sum_i (u_i**depth - v_i**depth) x_i``.

    It holds no state: weights are a tensor of shape ``(n_problems, 2, n_features)``,
    ``u`` before ``v``, that every method takes. Problems do not see each other.

    Parameters
    ----------
    depth : int
        Number of layers, at least 1. Depth 1 is a plain linear model.

    References
    ----------
    Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models", COLT 2020,
    Sections 4 and 5.

    Examples
    --------
    >>> import torch
    >>> from skregimes.networks.diagonal import DiagonalNet
    >>> network = DiagonalNet(depth=2)
    >>> weights = network.initial_weights(2, 0.5)
    >>> weights
    tensor([[[0.5000, 0.5000],
             [0.5000, 0.5000]]], dtype=torch.float64)
    >>> network.coef(weights)
    tensor([[0., 0.]], dtype=torch.float64)
    >>> network.tangent_kernel(weights, torch.eye(2, dtype=torch.float64))
    tensor([[[2., 0.],
             [0., 2.]]], dtype=torch.float64)
    """

    depth: int

    def __post_init__(self):
        if self.depth != int(self.depth) or self.depth < 1:
            raise ValueError(f"depth={self.depth!r} must be an integer >= 1.")

    # -- parameters ----------------------------------------------------------------

    def initial_weights(
        self,
        n_features: int,
        init_scale: float | Tensor,
        *,
        init_shape: Tensor | None = None,
        init_offset: Tensor | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Return the weights at time zero.

        They are computed in float64 on the CPU and only then cast and moved.

        Parameters
        ----------
        n_features : int
            Number of coefficients.
        init_scale : float or Tensor of shape (n_problems,)
            The papers' alpha > 0.
        init_shape : Tensor of shape (n_features,) or (n_problems, n_features), \
                optional
            Shape ``w0 > 0`` of the start; one everywhere by default. Each coordinate
            has the conserved scale ``init_scale * w0``.
        init_offset : Tensor of shape (n_features,) or (n_problems, n_features), \
                optional
            Coefficients at time zero; zero by default, where both weights are
            ``init_scale * w0``.
        dtype : torch.dtype, default=torch.float64
            Type of the weights.
        device : torch.device or str, default="cpu"
            Where the weights live.

        Returns
        -------
        Tensor of shape (n_problems, 2, n_features)
            The weights.

        Raises
        ------
        ValueError
            If a scale is not positive.
        """
        f64 = torch.float64
        scale = torch.as_tensor(init_scale, dtype=f64, device="cpu").reshape(-1, 1)
        shape = torch.ones(n_features, dtype=f64)
        if init_shape is not None:
            shape = init_shape.to(device="cpu", dtype=f64)
        scale = scale * shape
        if not bool(torch.all(scale > 0)):
            raise ValueError(
                "init_scale and init_shape must be positive: a weight that starts at "
                "zero stays there."
            )
        coef = torch.zeros(n_features, dtype=f64)
        if init_offset is not None:
            coef = init_offset.to(device="cpu", dtype=f64)
        scale, coef = torch.broadcast_tensors(scale, coef)
        if self.depth == 1:
            weights = torch.stack([scale + coef / 2, scale - coef / 2], dim=1)
        else:
            log_ratio = coef.abs().log() - self.depth * scale.log()
            if self.depth == 2:
                # u, v = a exp(+-t / 2), hence coef = 2 a**2 sinh t
                near = torch.asinh(torch.exp(log_ratio.clamp(max=20.0)) / 2)
                even = torch.zeros_like(scale)
                odd = torch.where(log_ratio > 20, log_ratio, near) / 2
            else:
                # u, v = a (exp(+-t) cosh t)**(1 / p), with k = D / p
                # hence coef = 2 a**D cosh(t)**k sinh(k t)
                p = self.depth - 2
                theta = _angle_of_ratio(log_ratio, self.depth / p)
                even, odd = _log_cosh(theta) / p, theta / p
            odd = torch.copysign(odd, coef)
            log = torch.stack([even + odd, even - odd], dim=1)
            weights = scale[:, None] * torch.exp(log)
        return weights.to(device=device, dtype=dtype)

    # -- function ------------------------------------------------------------------

    def coef(self, weights: Tensor) -> Tensor:
        """Return the coefficients ``u**depth - v**depth``.

        Parameters
        ----------
        weights : Tensor of shape (n_problems, 2, n_features)
            The weights.

        Returns
        -------
        Tensor of shape (n_problems, n_features)
            The coefficients.
        """
        power = weights**self.depth
        return power[:, 0] - power[:, 1]

    def forward(self, weights: Tensor, X: Tensor) -> Tensor:
        """Return the predictions.

        Parameters
        ----------
        weights : Tensor of shape (n_problems, 2, n_features)
            The weights.
        X : Tensor of shape (n_samples, n_features)
            The inputs.

        Returns
        -------
        Tensor of shape (n_problems, n_samples)
            The predictions.
        """
        return self.coef(weights) @ X.T

    def gradient(self, weights: Tensor, coef_gradient: Tensor) -> Tensor:
        """Pull a gradient in the coefficients back to the weights.

        Parameters
        ----------
        weights : Tensor of shape (n_problems, 2, n_features)
            The weights.
        coef_gradient : Tensor of shape (n_problems, n_features)
            Gradient ``g`` of the loss in the coefficients.

        Returns
        -------
        Tensor of shape (n_problems, 2, n_features)
            ``depth u**(depth - 1) g`` and ``-depth v**(depth - 1) g``.
        """
        signed = torch.stack([coef_gradient, -coef_gradient], dim=1)
        return self.depth * weights ** (self.depth - 1) * signed

    # -- tangent kernel ------------------------------------------------------------

    def kernel_weights(self, weights: Tensor) -> Tensor:
        """Return the weight of each feature in the tangent kernel.

        Parameters
        ----------
        weights : Tensor of shape (n_problems, 2, n_features)
            The weights.

        Returns
        -------
        Tensor of shape (n_problems, n_features)
            ``depth**2 (u**(2 depth - 2) + v**(2 depth - 2))``.
        """
        return self.depth**2 * (weights ** (2 * self.depth - 2)).sum(dim=1)

    def tangent_kernel(
        self, weights: Tensor, X: Tensor, Y: Tensor | None = None
    ) -> Tensor:
        """Return the tangent kernel ``X diag(kernel_weights) Y.T``.

        Parameters
        ----------
        weights : Tensor of shape (n_problems, 2, n_features)
            The weights.
        X : Tensor of shape (n_samples, n_features)
            Left inputs.
        Y : Tensor of shape (n_other, n_features), optional
            Right inputs; X by default.

        Returns
        -------
        Tensor of shape (n_problems, n_samples, n_other)
            The kernel matrices.
        """
        right = X if Y is None else Y
        return (X * self.kernel_weights(weights)[:, None]) @ right.T

    # -- what gradient flow conserves, and the dual variable it moves -----------------

    def log_scale(self, weights: Tensor) -> Tensor:
        """Return the log of the scale that gradient flow conserves.

        ``sqrt(u v)`` for depth 2, ``((u**-p + v**-p) / 2)**(-1 / p)`` with
        ``p = depth - 2`` beyond, ``(u + v) / 2`` for depth 1: the value of ``u = v``
        from which an unbiased start has the same invariant.

        Parameters
        ----------
        weights : Tensor of shape (n_problems, 2, n_features)
            Weights; positive for depths above 1, else the answer is nan.

        Returns
        -------
        Tensor of shape (n_problems, n_features)
            Natural logs.
        """
        if self.depth == 1:
            return weights.mean(dim=1).log()
        log = weights.log()
        if self.depth == 2:
            return log.mean(dim=1)
        p = self.depth - 2
        return (_LOG2 - torch.logsumexp(-p * log, dim=1)) / p

    def dual(self, weights: Tensor) -> Tensor:
        """Return the scaled dual variable ``s`` of mirror flow.

        ``log(u / v)`` for depth 2, ``(v**-p - u**-p) / (v**-p + u**-p)`` beyond, the
        coefficient for depth 1. Gradient flow moves it along the loss' negative
        gradient in the coefficients: ``ds/dt = -exp(log_dual_rate) g``.

        Parameters
        ----------
        weights : Tensor of shape (n_problems, 2, n_features)
            Weights; positive for depths above 1, else the answer is nan.

        Returns
        -------
        Tensor of shape (n_problems, n_features)
            The dual; inside (-1, 1) for depth >= 3.
        """
        if self.depth == 1:
            return self.coef(weights)
        log = weights.log()
        angle = log[:, 0] - log[:, 1]
        if self.depth == 2:
            return angle
        return torch.tanh((self.depth - 2) * angle / 2)

    def log_dual_rate(self, log_scale: Tensor) -> Tensor:
        """Return the log of the speed of the dual variable.

        Parameters
        ----------
        log_scale : Tensor
            What `log_scale` returns.

        Returns
        -------
        Tensor
            Log of 2 for depth 1, of 4 for depth 2, of ``D (D - 2) scale**(D - 2)``
            beyond.
        """
        if self.depth <= 2:
            return torch.full_like(log_scale, self.depth * _LOG2)
        p = self.depth - 2
        return math.log(self.depth * p) + p * log_scale
