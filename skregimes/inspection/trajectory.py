"""One fit against its training time."""

import math
from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skregimes.flows.trajectory import through
from skregimes.inspection._display import (
    BORDERS,
    checked_panels,
    draw_values,
    load_pyplot,
    look,
    make_axes,
    shade_regimes,
    time_label,
)
from skregimes.inspection._fitted import Innermost, fitted
from skregimes.inspection._scales import of_target, ordinals

__all__ = ["TrajectoryDisplay"]

_PANELS = ("loss", "richness", "values")
_CLOCKS = ("time", "loss")
# Natural logs within which a number can be drawn as such.
_FLOATS = 600.0
# Later than this, in natural logs, a classifier's time shows nothing of its beginning.
_LATE = 30 * math.log(10)
# Points between which lines are smooth.
_FINE = 400
# How far before its first jump a path is drawn, in natural logs.
_BEFORE = 0.5


class TrajectoryDisplay:
    """Loss, richness and coefficients, singular values or knots on the way of a fit.

    Make it by `from_estimator` or `from_results`. Regimes are shaded and named, and
    where the fit stopped is marked.

    Parameters
    ----------
    log_time : ndarray of shape (n_points,)
        Natural logarithms of the times, increasing from -inf, the start.
    log_loss : ndarray of shape (n_points,)
        Natural logarithms of the training loss.
    richness : ndarray of shape (n_points,)
        0 in the kernel regime, 1 in the rich one.
    values : ndarray of shape (n_points, n_values), default=None
        Coefficients, singular values or knots.
    values_kind : str, default="coefficient"
        What ``values`` are.
    value_names : sequence of str, default=None
        Names of ``values``; None numbers them.
    value_range : tuple of float, default=None
        Range of ``values`` to show: of knots that of the samples.
    jumps : bool, default=False
        Whether all is constant from one point to the next.
    end : str, default="end of the fit"
        What ended the fit.
    units : {"relative", "paper"}, default="relative"
        Units of the times.

    Attributes
    ----------
    figure_ : Figure
        The figure.
    ax_ : Axes or ndarray of Axes
        One panel, or several from top to bottom.
    lines_ : dict of str to list of Line2D
        Lines of each panel.
    clock_ : {"time", "loss"}
        What the horizontal axis shows.
    regime_bands_ : list of Rectangle
        What shades the kernel and the rich regime, in all panels.
    end_lines_ : list of Line2D
        What marks the end, in all panels.

    See Also
    --------
    InitScalePathDisplay : Fits against their initial scale.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skregimes import DiagonalNetRegressor
    >>> from skregimes.inspection import TrajectoryDisplay
    >>> model = DiagonalNetRegressor(1e-4).fit(*load_diabetes(return_X_y=True))
    >>> display = TrajectoryDisplay.from_estimator(model)
    >>> [panel.get_ylabel() for panel in display.ax_]
    ['training loss', 'richness', 'coefficients']
    """

    def __init__(
        self,
        *,
        log_time,
        log_loss,
        richness,
        values=None,
        values_kind="coefficient",
        value_names=None,
        value_range=None,
        jumps=False,
        end="end of the fit",
        units="relative",
    ):
        self.log_time = log_time
        self.log_loss = log_loss
        self.richness = richness
        self.values = values
        self.values_kind = values_kind
        self.value_names = value_names
        self.value_range = value_range
        self.jumps = jumps
        self.end = end
        self.units = units

    @classmethod
    def from_estimator(
        cls, estimator, X=None, y=None, *, target=None, ax=None, **plot_options
    ):
        """Draw the way of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted, any one with ``trajectory_``; also a pipeline or a search that ends
            in one. If it is not fitted, a clone is.
        X : array-like of shape (n_samples, n_features), default=None
            Features, only for an estimator that is not fitted.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets, only for an estimator that is not fitted.
        target : int, default=None
            Which target, or class, to draw, where there are several of them.
        ax : Axes or array-like of Axes, default=None
            Where to draw, see `plot`.
        **plot_options : dict
            Handed to `plot`.

        Returns
        -------
        TrajectoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted and there is no X.
        TypeError
            If it remembers no trajectory.
        ValueError
            If it has several targets or classes and none is chosen, or went straight to
            the limit of infinite time.
        """
        load_pyplot(cls)  # before any work
        if X is None:
            check_is_fitted(estimator)
        else:
            estimator = fitted(estimator, X, y)
        step = Innermost.of(estimator).step
        if not hasattr(step, "trajectory_"):
            raise TypeError(f"{type(step).__name__} remembers no trajectory_.")
        data = _of_trajectory(step.trajectory_, target)
        if data["values_kind"] == "coefficient":
            data["value_names"] = getattr(step, "feature_names_in_", None)
        data["end"] = _end_of(step)
        data["units"] = getattr(step, "units", "relative")
        return cls(**data).plot(ax, **plot_options)

    @classmethod
    def from_results(
        cls, trajectory, *, target=None, units="relative", ax=None, **plot_options
    ):
        """Draw a trajectory.

        Parameters
        ----------
        trajectory : object
            ``trajectory_`` of a fitted estimator.
        target : int, default=None
            Which target, or class, to draw, where there are several of them.
        units : {"relative", "paper"}, default="relative"
            Units of its times, those of the estimator.
        ax : Axes or array-like of Axes, default=None
            Where to draw, see `plot`.
        **plot_options : dict
            Handed to `plot`.

        Returns
        -------
        TrajectoryDisplay

        Raises
        ------
        ValueError
            If it has several targets or classes and none is chosen, or went straight to
            the limit of infinite time.
        """
        data = _of_trajectory(trajectory, target)
        return cls(**data, units=units).plot(ax, **plot_options)

    # -- drawing -------------------------------------------------------------------

    def plot(self, ax=None, *, panels=None, clock=None, n_values=5):
        """Draw.

        Parameters
        ----------
        ax : Axes or array-like of Axes, default=None
            One Axes, to be split if there are several panels, or one for each; None
            makes a figure.
        panels : sequence of str, default=None
            What to draw from top to bottom, of "loss", "richness" and "values"; None is
            all that is known, but no loss against itself.
        clock : {"time", "loss"}, default=None
            What the horizontal axis shows: the time, or by how much the logarithm of
            the training loss has fallen. None is the time unless it runs to beyond
            1e30, as that of classifiers may.
        n_values : int, default=5
            How many of the largest coefficients or singular values to tell apart and
            name.

        Returns
        -------
        TrajectoryDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If a panel has no data, or the clock is unknown.
        """
        if clock is None:
            clock = "time" if self.log_time[-1] < _LATE else "loss"
        if clock not in _CLOCKS:
            raise ValueError(f"clock={clock!r} must be one of {_CLOCKS} or None.")
        drawable = _PANELS if self.values is not None else _PANELS[:2]
        if panels is None:
            panels = drawable[1:] if clock == "loss" else drawable
        panels = checked_panels(panels, drawable)
        x, columns = self._on_clock(clock)
        figure, axes = make_axes(self, ax, len(panels), sharex=True)
        self.figure_, self.ax_ = figure, axes if len(axes) > 1 else axes[0]
        self.clock_ = clock
        draw: dict = {
            "loss": self._draw_loss,
            "richness": self._draw_richness,
            "values": partial(self._draw_values, clock=clock, n_values=n_values),
        }
        steps = {"drawstyle": "steps-post"} if self.jumps else {}
        self.lines_ = {}
        for name, panel in zip(panels, axes, strict=True):
            panel.set_xscale("log")
            self.lines_[name] = draw[name](panel, x, columns[name], steps)
        known = x, columns["richness"]
        if self.jumps:
            known = np.repeat(x, 2)[1:], np.repeat(columns["richness"], 2)[:-1]
        self.regime_bands_ = shade_regimes(axes, *known)
        self.end_lines_ = [
            panel.axvline(x[-1], color="k", linestyle=":", linewidth=1.5)
            for panel in axes
        ]
        axes[0].legend(self.end_lines_[:1], [self.end], fontsize="small")
        axes[-1].set_xlabel(
            time_label(self.units)
            if clock == "time"
            else "fall of the natural log of the training loss"
        )
        return self

    def _on_clock(self, clock):
        """Return places on the clock, without the start, and what is known there."""
        log_x = self.log_time
        if clock == "loss":
            with np.errstate(divide="ignore"):
                log_x = np.log(self.log_loss[0] - self.log_loss)
        elif log_x[-1] > _FLOATS:
            raise ValueError("These times are beyond any float: use clock='loss'.")
        log_x, moved = np.unique(np.maximum.accumulate(log_x), return_index=True)
        log_x, moved = log_x[np.isfinite(log_x)], moved[np.isfinite(log_x)]
        values = np.empty((len(self.log_time), 0))
        if self.values is not None:
            values = self.values
        if clock == "loss" and self.values_kind == "coefficient":
            values = _directions(values)
        table = np.column_stack([self.log_loss, self.richness, values])[moved]
        if self.jumps:
            start = self.log_loss[0], self.richness[0], *values[0]
            log_x = np.append(log_x[0] - _BEFORE, log_x)
            table = np.vstack([start, table])
        elif np.all(np.isfinite(table[:, :2])):
            fine = np.union1d(log_x, np.linspace(log_x[0], log_x[-1], _FINE))
            smooth = np.all(np.isfinite(table), axis=0)
            finer = np.full((len(fine), table.shape[1]), np.nan)
            finer[:, smooth] = through(log_x, table[:, smooth], fine)
            log_x, table = fine, finer
        columns = {"loss": table[:, 0], "richness": table[:, 1], "values": table[:, 2:]}
        return np.exp(log_x), columns

    def _draw_loss(self, panel, x, log_loss, style):
        panel.set_yscale("log")
        if log_loss[-1] > -_FLOATS or not np.isfinite(log_loss[-1]):
            panel.set_ylabel("training loss")
            return panel.plot(x, np.exp(log_loss), **look(0), **style)
        panel.set_ylabel("- ln(training loss)")
        return panel.plot(x, np.maximum(-log_loss, 0.0), **look(0), **style)

    def _draw_richness(self, panel, x, richness, style):
        panel.set(ylabel="richness", ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
        for border in BORDERS:
            panel.axhline(border, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
        return panel.plot(x, richness, **look(0), **style)

    def _draw_values(self, panel, x, values, style, *, clock, n_values):
        grows = clock == "loss" and self.values_kind == "coefficient"
        panel.set_ylabel(f"{self.values_kind}s" + (" / l2 norm" if grows else ""))
        if self.value_range is not None:
            low, high = self.value_range
            panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
            return panel.plot(x, values, color=look(0)["color"], alpha=0.35, lw=0.7)
        panel.axhline(0.0, color="0.5", linewidth=0.8)
        return draw_values(
            panel, x, values, n_values, self.value_names, self.values_kind, **style
        )


def _directions(values):
    """Return rows of unit length: those of classifiers grow without bound."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)


def _end_of(step):
    """Say what ended a fit."""
    if not step.converged_:
        return "broke off"
    if hasattr(step, "gcv_"):
        return "stopped by GCV"
    if (
        hasattr(step, "validation_curve_")
        or getattr(step, "early_stopping", None) is True
    ):
        return "stopped on held-out data"
    return "end of the fit"


def _of_trajectory(path, target):
    """Return data of the display of any of the trajectories."""
    if isinstance(path, list):
        path = of_target(np.array(path, dtype=object), target)
    elif target is not None and np.ndim(getattr(path, "coef", 0.0)) < 3:
        raise ValueError("There is one trajectory for all: leave out target.")
    if np.isinf(path.time[-1]) and not hasattr(path, "log_time"):
        raise ValueError(
            "This fit went straight to the limit of infinite time and has no way to "
            "show. Fit it with solver='dual_mirror'."
        )
    if len(path) < 2:
        raise ValueError("This fit stopped at its start and has no way to show.")
    if hasattr(path, "log_time"):
        data = {"log_time": path.log_time, "log_loss": path.log_loss}
    else:
        with np.errstate(divide="ignore"):
            data = {"log_time": np.log(path.time), "log_loss": np.log(path.loss)}
    data |= {"richness": path.richness, "jumps": getattr(path, "jumps", False)}
    return data | _values_of(path, target)


def _values_of(path, target):
    """Return coefficients, singular values or knots, whichever there are."""
    if hasattr(path, "coef"):
        coef = path.coef if path.coef.ndim == 2 else of_target(path.coef, target, 1)
        return {"values": coef, "values_kind": "coefficient"}
    if hasattr(path, "singular_values"):
        values = path.singular_values
        return {
            "values": values,
            "values_kind": "singular value",
            "value_names": ordinals(values.shape[1]),
        }
    found: dict = {"values_kind": "knot"}
    if hasattr(path, "knots"):
        samples = path.network.samples
        places = samples.x_shift + samples.x_scale * samples.X
        knots = np.where(np.isfinite(path.knots), path.knots, np.nan)
        ends = float(places.min()), float(places.max())
        found |= {"values": knots, "value_range": ends}
    return found
