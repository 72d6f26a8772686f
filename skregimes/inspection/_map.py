"""What maps are drawn with: levels, cells, halos, and names where there is room."""

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import distance_transform_edt

from skregimes._base import regime

__all__ = ["Grid", "edges", "halo", "levels_of", "name_regions"]

# Pixels a side of a map, and the share of them that the name of a regime needs.
_PIXELS = 101
_ROOM = 0.07


def edges(logs):
    """Return the edges of cells around places, of which the logarithms are given."""
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp([2 * logs[0] - middle[0], *middle, 2 * logs[-1] - middle[-1]])


def levels_of(shown, value):
    """Return levels of the colours, and where there is more."""
    from matplotlib.ticker import MaxNLocator

    if value == "richness":
        return np.linspace(0, 1, 21), "neither"
    # Bad scores would use up the colours, and what matters is near the best.
    low, high = np.nanquantile(shown, 0.35), np.nanmax(shown)
    return MaxNLocator(15).tick_values(low, high if high > low else low + 1), "min"


def halo():
    """Return what makes lines and letters legible on any colour."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="w")]


class Grid:
    """A finer grid, on which values are linear along the axes as they are drawn.

    Contours would be linear between the values of a logarithmic axis themselves.

    Parameters
    ----------
    scales, heights : ndarray
        Places of the values; those of the scales are logarithmic.
    log_heights : bool
        Whether those of the heights are.
    """

    def __init__(self, scales, heights, log_heights):
        self.log_heights = log_heights
        self.coarse = np.log(heights) if log_heights else heights, np.log(scales)
        self.fine = tuple(
            np.union1d(each, np.linspace(each[0], each[-1], _PIXELS))
            for each in self.coarse
        )

    @property
    def axes(self):
        """Scales and heights of the grid."""
        heights, scales = self.fine
        return np.exp(scales), np.exp(heights) if self.log_heights else heights

    def values(self, shown):
        """Return values (n_heights, n_scales) on the grid."""
        places = np.meshgrid(*self.fine, indexing="ij")
        found = RegularGridInterpolator(self.coarse, shown)(tuple(places))
        return np.ma.masked_invalid(found)


def name_regions(ax, grid, richness):
    """Write the name of each regime where its region is widest."""
    scales, heights = grid.axes
    names = np.where(np.ma.getmaskarray(richness), "", regime(richness.filled(0)))
    texts = []
    for name in ("kernel", "transition", "rich"):
        mask = names == name
        depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        if depth.max() < _ROOM * min(names.shape):
            continue
        # Of places as good as the best the one in the middle.
        best = np.argwhere(depth >= 0.95 * depth.max())
        j, i = best[len(best) // 2]
        place = scales[i], heights[j]
        texts.append(ax.text(*place, name, ha="center", va="center", weight="bold"))
    return texts
