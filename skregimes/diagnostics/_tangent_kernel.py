"""Tangent kernel of any torch module."""

import torch
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

__all__ = ["tangent_kernel"]


def tangent_kernel(
    module: torch.nn.Module, X: Tensor, Y: Tensor | None = None
) -> Tensor:
    """Return the tangent kernel of a module at its present weights.

    ``K[i, j] = sum_p (df(x_i) / d theta_p) (df(y_j) / d theta_p)`` over all weights
    that require a gradient. It costs one backward pass for each sample and output, and
    the memory of all of them: where a network has a closed form, use that.

    Parameters
    ----------
    module : torch.nn.Module
        Maps a batch ``(n, ...)`` to ``(n,)`` or ``(n, n_outputs)``, each row on its
        own: switch layers such as dropout or batch norm to ``eval()`` first.
    X : Tensor of shape (n_samples, ...)
        Left inputs.
    Y : Tensor of shape (n_other, ...), optional
        Right inputs; X by default.

    Returns
    -------
    Tensor of shape (n_samples, n_other) or (n_samples, n_other, n_outputs, n_outputs)
        The kernel; the first shape for a single output.

    Raises
    ------
    ValueError
        If no weight requires a gradient.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural Tangent Kernel: Convergence and Generalization in
    Neural Networks", NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> from skregimes.diagnostics import tangent_kernel
    >>> module = torch.nn.Linear(2, 1)
    >>> tangent_kernel(module, torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    tensor([[ 6.,  7.],
            [ 7., 10.]])
    """
    weights: dict[str, Tensor] = {}
    fixed = dict(module.named_buffers())
    for name, weight in module.named_parameters():
        (weights if weight.requires_grad else fixed)[name] = weight.detach()
    if not weights:
        raise ValueError("module has no weight that requires a gradient.")

    output = lambda weights, x: functional_call(
        module, {**weights, **fixed}, (x[None],)
    )[0].reshape(-1)
    jacobian = lambda points: [
        leaf.flatten(start_dim=2)
        for leaf in vmap(jacrev(output), (None, 0))(weights, points).values()
    ]
    left = jacobian(X)
    right = left if Y is None else jacobian(Y)
    kernels = [torch.einsum("iap,jbp->ijab", a, b) for a, b in zip(left, right)]
    kernel = torch.stack(kernels).sum(dim=0)
    return kernel[:, :, 0, 0] if kernel.shape[-1] == 1 else kernel
