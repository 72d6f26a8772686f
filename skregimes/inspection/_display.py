"""What pictures share: matplotlib on request, panels, looks legible in grey, units."""

import numpy as np

from skregimes._base import regime

__all__ = [
    "BORDERS",
    "COLORS",
    "MAP",
    "checked_panels",
    "draw_values",
    "load_pyplot",
    "look",
    "make_axes",
    "scale_label",
    "shade_regimes",
    "time_label",
]

# Of Okabe and Ito's palette; as grey they go from dark to light.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P")
# Colour map of values: as grey it goes from dark to light.
MAP = "cividis"
# Richness up to which a fit is in the kernel regime, and from which on in the rich one.
BORDERS = (0.1, 0.9)
# Inches that a letter of the name of a regime needs.
_LETTER = 0.07


def load_pyplot(display):
    """Return `matplotlib.pyplot`.

    Parameters
    ----------
    display : object or type
        The display that asks, for the error message.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        kind = display if isinstance(display, type) else type(display)
        raise ImportError(
            f"{kind.__name__}.plot needs matplotlib: pip install skregimes[plot]"
        ) from error
    return pyplot


def look(index, *, markers=False):
    """Return the colour and dash of the index-th line, which differ from all near it.

    With ``markers`` also its marker: for lines of few points.
    """
    style: dict = {
        "color": COLORS[index % len(COLORS)],
        "linestyle": DASHES[index % len(DASHES)],
    }
    if markers:
        style |= {"marker": MARKERS[index % len(MARKERS)], "markersize": 4.5}
    return style


def make_axes(display, ax, rows, columns=1, *, figsize=None, **options):
    """Return the figure and ``rows * columns`` Axes, an ndarray, row by row.

    Parameters
    ----------
    display : object
        The display that asks, for error messages.
    ax : Axes, array-like of Axes or None
        None makes a figure. One Axes is used, or, where several are needed, gives its
        place to them. Several must be as many as there are panels.
    rows, columns : int
        Panels.
    figsize : tuple of float, default=None
        Size of a new figure, in inches; None is by the number of panels.
    **options : dict
        Such as ``sharex`` and ``height_ratios``, for `Figure.subplots`.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If ``ax`` cannot hold the panels.
    """
    plt = load_pyplot(display)
    count = rows * columns
    if ax is None:
        if figsize is None:
            figsize = 6.4 * columns**0.6, 2.2 + 2.0 * rows
        figure = plt.figure(figsize=figsize, layout="constrained")
        return figure, _flat(figure.subplots(rows, columns, **options))
    given = _flat(ax)
    if len(given) == count:
        return given[0].figure, given
    if len(given) > 1:
        raise ValueError(
            f"This picture has {count} panels: ax must be one Axes or {count}, not "
            f"{len(given)}."
        )
    place, figure = given[0].get_subplotspec(), given[0].figure
    if place is None or not given[0].axison:
        raise ValueError(
            f"This ax cannot be split into {count} panels, because it was split before"
            f" or has no place in a grid. Pass {count} Axes, or one of plt.subplots()."
        )
    given[0].set_axis_off()
    heights = options.pop("height_ratios", None)
    # Where nothing lays the figure out, labels need room.
    room = {} if figure.get_layout_engine() else {"wspace": 0.45, "hspace": 0.45}
    grid = place.subgridspec(rows, columns, height_ratios=heights, **room)
    return figure, _flat(grid.subplots(**options))


def _flat(ax):
    """Return one or several Axes as a 1-D array."""
    axes = np.empty(np.size(ax), dtype=object)
    axes[:] = np.ravel(np.asarray(ax, dtype=object))
    return axes


def shade_regimes(axes, x, richness):
    """Shade the kernel and the rich regime along horizontal axes and name the regimes.

    Parameters
    ----------
    axes : sequence of Axes
        With one logarithmic axis in common; the names stand above the first.
    x : ndarray of shape (n_points,)
        Places, increasing; the axes are limited to them.
    richness : ndarray of shape (n_points,)
        There; in between it is interpolated.

    Returns
    -------
    list of Rectangle
        The bands.
    """
    margin = (x[-1] / x[0]) ** 0.03
    fine = np.geomspace(x[0] / margin, x[-1] * margin, 1001)
    names = regime(np.interp(np.log(fine), np.log(x), richness))
    borders = np.flatnonzero(names[1:] != names[:-1]) + 1
    width = axes[0].get_window_extent().width / axes[0].figure.dpi
    bands, middles = [], {}
    for run in np.split(np.arange(len(fine)), borders):
        name, ends = names[run[0]], fine[[run[0], min(run[-1] + 1, len(fine) - 1)]]
        if name != "transition":
            dark = 0.2 if name == "rich" else 0.09
            look = {"color": "0.3", "alpha": dark, "linewidth": 0, "zorder": 0}
            bands += [ax.axvspan(*ends, **look) for ax in axes]
        if len(run) * width > _LETTER * len(name) * len(fine):
            middles[np.sqrt(np.prod(ends))] = name
    for ax in axes:
        ax.set_xlim(fine[0], fine[-1])
    # An axis of its own, above which a title finds room.
    above = axes[0].secondary_xaxis("top", functions=(_same, _same))
    above.set_xticks(list(middles), list(middles.values()), fontsize="small")
    above.set_xticks([], minor=True)
    above.tick_params(length=0, pad=2)
    above.spines["top"].set_visible(False)
    return bands


def _same(x):
    # Matplotlib's own is a lambda, with which no figure can be pickled.
    return x


def checked_panels(panels, known):
    """Return names of panels, all of which are known."""
    panels = [panels] if isinstance(panels, str) else list(panels)
    unknown = [panel for panel in panels if panel not in known]
    if unknown or not panels:
        raise ValueError(f"panels={panels} must be some of {list(known)}.")
    return panels


def draw_values(panel, x, values, n_named, names, kind, *, markers=False, **style):
    """Draw many values against x, those largest at their largest told apart and named.

    Parameters
    ----------
    panel : Axes
        Where.
    x : ndarray of shape (n_points,)
        Places.
    values : ndarray of shape (n_points, n_values)
        Values there.
    n_named : int
        How many to name.
    names : sequence of str or None
        Names of all values; None numbers them.
    kind : str
        What the values are, for numbered names.
    markers : bool, default=False
        Whether to mark the points.
    **style : dict
        For all lines.

    Returns
    -------
    list of Line2D
        In the order of the values.
    """
    rank = np.argsort(-np.max(np.abs(values), axis=0), kind="stable")[:n_named]
    lines = panel.plot(x, values, color="0.6", linewidth=0.7, **style)
    for index, which in enumerate(rank):
        name = f"{kind} {which}" if names is None else names[which]
        lines[which].set(
            **look(index, markers=markers), linewidth=1.8, zorder=3 - 0.1 * index,
            label=name,
        )  # fmt: skip
    if len(rank):
        named = [lines[which] for which in rank]
        panel.legend(handles=named, fontsize="small", handlelength=2.6)
    return lines


def scale_label(units):
    """Return the name of an axis of initial scales."""
    return f"initialisation scale ({_unit(units)})"


def time_label(units):
    """Return the name of an axis of times."""
    return f"time ({_unit(units)})"


def _unit(units):
    return {"relative": "relative", "paper": "paper's units"}.get(units, units)
