"""What maps are drawn with: levels, cells, halos, and names where there is room."""

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import distance_transform_edt

from skregimes._base import regime

__all__ = ["edges", "halo", "levels_of", "name_regions"]

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
    # The worst would use up all the colours.
    low, high = np.nanquantile(shown, 0.1), np.nanmax(shown)
    return MaxNLocator(15).tick_values(low, high if high > low else low + 1), "min"


def halo():
    """Return what makes lines and letters legible on any colour."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="w")]


def name_regions(ax, scales, heights, richness):
    """Write the name of each regime where its region is widest."""
    logs = np.log(scales), np.log(heights) if ax.get_yscale() == "log" else heights
    fine = [np.linspace(each[0], each[-1], _PIXELS) for each in logs]
    places = np.meshgrid(*fine, indexing="ij")
    found = RegularGridInterpolator(logs, richness.T)(tuple(places))
    names = np.where(np.isnan(found), "", regime(found))
    texts = []
    for name in ("kernel", "transition", "rich"):
        mask = names == name
        depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        if depth.max() < _ROOM * _PIXELS:
            continue
        # Of places as good as the best the one in the middle.
        best = np.argwhere(depth >= 0.95 * depth.max())
        i, j = best[len(best) // 2]
        x, y = np.exp(fine[0][i]), fine[1][j]
        y = np.exp(y) if ax.get_yscale() == "log" else y
        texts.append(ax.text(x, y, name, ha="center", va="center", weight="bold"))
    return texts
