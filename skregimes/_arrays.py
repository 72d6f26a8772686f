"""Arrays from whatever the user has, without importing torch for it."""

__all__ = ["as_array"]


def as_array(data):
    """Turn a torch tensor into an array and leave everything else alone.

    Called before validation: with array API dispatch switched on scikit-learn would
    demand torch dtypes. Most fits never need torch, and its import takes seconds.
    """
    is_tensor = type(data).__module__.partition(".")[0] == "torch"
    return data.numpy(force=True) if is_tensor else data
