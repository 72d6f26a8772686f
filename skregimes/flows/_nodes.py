"""At which times a flow of parameters tells its caller where it is."""

from bisect import bisect_right
from collections.abc import Callable

import numpy as np

OnNode = Callable[..., object]


class Nodes:
    """Times to be told of, and whom to tell: ``on_node(time, theta, loss)``."""

    def __init__(self, nodes, on_node: OnNode | None):
        self._nodes = None
        if nodes is not None:
            times = np.asarray(nodes, dtype=float)
            increases = times.ndim == 1 and np.all(np.diff(times) > 0)
            if not (increases and np.all(times >= 0)):
                raise ValueError("nodes must be a 1-D array of increasing times >= 0.")
            self._nodes = times.tolist()
        self._on_node = on_node
        self._told = -1.0

    @property
    def everywhere(self) -> bool:
        """Whether no times were chosen."""
        return self._nodes is None

    def passed(self, start: float, end: float) -> list[float]:
        """Return the times to tell of in ``(start, end]``."""
        if self._on_node is None:
            return []
        if self._nodes is None:
            return [end]
        first, last = (bisect_right(self._nodes, time) for time in (start, end))
        return self._nodes[first:last]

    def tell(self, time, theta, loss, *more) -> bool:
        """Tell of a point, once; return whether the caller wants to stop there."""
        if self._on_node is None or time == self._told:
            return False
        self._told = time
        return bool(self._on_node(time, theta, loss, *more))
