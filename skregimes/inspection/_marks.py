"""Marks along a curve: data, and the knots at which it bends."""

import numpy as np

from skregimes.diagnostics import merge_knots

__all__ = ["draw_data", "draw_rug", "mark_knots", "visible_knots"]

_POINTS: dict = {"s": 13, "facecolor": "0.5", "edgecolor": "black", "linewidth": 0.6}
# Where classes are drawn, as shares of the height, and by which marks.
_CLASSES = ((0.97, "^"), (0.03, "v"))
# Knots nearer than this share of the picture are drawn as one.
_TOGETHER = 1 / 150
# Area of the mark of a knot, in points squared, that has all of the variation.
_KNOT_AREA = 250.0
# Height of a lane of rugs, as a share of the picture.
_LANE = 0.07


def draw_data(ax, x, y, labels):
    """Draw data, by one label; or, by two, samples with a class and those without."""
    if len(labels) == 1:
        return [ax.scatter(x, y, zorder=5, label=labels[0], **_POINTS)]
    has_class = np.asarray(y, dtype=bool)
    marks = []
    for label, chosen, (height, marker) in zip(
        labels, (has_class, ~has_class), _CLASSES, strict=True
    ):
        heights = np.full(np.count_nonzero(chosen), height)
        transform = ax.get_xaxis_transform()
        style = _POINTS | {"marker": marker, "transform": transform, "label": label}
        marks.append(ax.scatter(x[chosen], heights, **style))
    return marks


def visible_knots(knots, grid):
    """Return the places of knots that can be told apart, and their shares of all."""
    places, changes = knots
    inside = (places >= grid[0]) & (places <= grid[-1])
    tolerance = _TOGETHER * (grid[-1] - grid[0])
    places, changes = merge_knots(places[inside], changes[inside], tolerance=tolerance)
    return places, changes / (np.sum(np.abs(changes)) or 1.0)


def mark_knots(ax, line, places, shares):
    """Mark knots on a curve, full where the slope rises."""
    color = line.get_color()
    return ax.scatter(
        places,
        np.interp(places, *line.get_data()),
        s=_KNOT_AREA * np.abs(shares),
        facecolor=np.where(shares > 0, color, "white"),
        edgecolor=color,
        linewidth=1.0,
        zorder=3.5,
    )


def draw_rug(ax, line, places, shares, lane):
    """Draw knots at the bottom, the curves in lanes one above the other."""
    return ax.vlines(
        places,
        _LANE * lane,
        _LANE * (lane + np.sqrt(np.abs(shares))),
        color=line.get_color(),
        linewidth=1.2,
        transform=ax.get_xaxis_transform(),
    )
