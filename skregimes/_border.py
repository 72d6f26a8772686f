"""The border between NumPy and torch: the only place where arrays cross over."""

import numpy as np
import torch

__all__ = ["check_device", "draw_normal", "to_numpy", "to_tensor"]


def check_device(device: str) -> torch.device:
    """Return the torch device named ``device`` if this machine has it.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:<index>"``.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ValueError
        If the name is not one of these, or the machine has no such device.

    Examples
    --------
    >>> from skregimes._border import check_device
    >>> check_device("cpu")
    device(type='cpu')
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not the name of a torch device; use 'cpu', 'cuda' "
            "or 'cuda:<index>'."
        ) from error
    if found.type not in ("cpu", "cuda"):
        # "mps", for one, has no float64.
        raise ValueError(f"device={device!r} is not supported; use 'cpu' or 'cuda'.")
    n_devices = torch.cuda.device_count() if found.type == "cuda" else 1
    if (found.index or 0) >= n_devices:
        raise ValueError(
            f"device={device!r} was asked for, but torch sees {n_devices} such "
            "device(s) on this machine; use device='cpu', or install a build of torch "
            "that fits your GPU."
        )
    return found


def to_tensor(
    array,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Copy an array to a tensor.

    The copy makes read-only memory maps, negative strides and foreign byte orders safe,
    and leaves the caller's array alone; ``torch.from_numpy`` alone does none of that.

    Parameters
    ----------
    array : array-like
        Numbers.
    device : torch.device or str, default="cpu"
        Where the tensor is to live.
    dtype : torch.dtype, default=None
        Type of the tensor; None keeps the array's.

    Returns
    -------
    torch.Tensor
        A tensor of the same shape.
    """
    array = np.array(array, order="C")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(array).to(device=device, dtype=dtype)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Copy a tensor to an array that owns its memory.

    Parameters
    ----------
    tensor : torch.Tensor
        A tensor on any device, with or without gradient.

    Returns
    -------
    ndarray
        An array of the same shape and dtype.
    """
    return tensor.numpy(force=True).copy()


def draw_normal(
    shape,
    random_state: np.random.RandomState,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Draw standard normals that depend neither on the device nor on the dtype.

    They are drawn on the CPU in float64 and only then cast and moved, because torch's
    streams differ between devices and dtypes. The global generators are not touched.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    random_state : numpy.random.RandomState
        Source of the seed; one integer is taken from it.
    device : torch.device or str, default="cpu"
        Where the tensor is to live.
    dtype : torch.dtype, default=torch.float64
        Type of the tensor.

    Returns
    -------
    torch.Tensor
        Independent standard normals.
    """
    seed = int(random_state.randint(np.iinfo(np.int32).max))
    generator = torch.Generator("cpu").manual_seed(seed)
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    return normal.to(device=device, dtype=dtype)
