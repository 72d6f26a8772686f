"""Maps of the regimes: the scale of the initialisation against something else."""

import numpy as np
from sklearn.utils import check_random_state

from skregimes._arrays import as_array
from skregimes.inspection._display import (
    BORDERS,
    MAP,
    load_pyplot,
    make_axes,
    scale_label,
    time_label,
)
from skregimes.inspection._map import Grid, edges, halo, levels_of, name_regions
from skregimes.inspection._results import (
    Results,
    cv_results,
    path_scores,
    score_label,
    units_of,
)
from skregimes.inspection._scales import of_target, scale_grid, scaled_step
from skregimes.inspection._survey import Survey
from skregimes.model_selection import InitScalePath

__all__ = ["RegimeMapDisplay"]

_VALUES = ("richness", "score")
# Scales of a map: more where one fit answers a whole column.
_N_SCALES = {"time": 13, "loss": 13}
# Fewer values than these are drawn as rows, each with its numbers.
_FEW = 5
# How high above the middle of a row the best is marked.
_LIFT = 0.3
# As many values are ticks.
_TICKS = 12


class RegimeMapDisplay:
    """A map of the regimes: the initial scale against something else.

    Make it by `from_estimator` or `from_results`. The rich regime is on the left; its
    border and that of the kernel regime are drawn where the richness is known.

    Parameters
    ----------
    init_scales : ndarray of shape (n_scales,)
        Scales, increasing, in ``units``.
    others : sequence of n_others values
        Values of the other quantity.
    richness : ndarray of shape (n_scales, n_others), default=None
        0 in the kernel regime, 1 in the rich one; nan where it is not known.
    scores : ndarray of shape (n_scales, n_others), default=None
        Mean scores on the test parts.
    against : str, default="time"
        What the other quantity is.
    score_name : str, default="score"
        What ``scores`` are.
    units : {"relative", "paper"}, default="relative"
        Units of the scales and times.

    Attributes
    ----------
    figure_ : Figure
        The figure.
    ax_ : Axes
        The map.
    image_ : QuadContourSet or QuadMesh
        Its colours: a mesh where the other quantity has few values.
    contours_ : QuadContourSet or None
        Lines of equal richness.
    names_ : list of Text
        Names of the regimes on the map, or the numbers of few cells.
    best_ : PathCollection or None
        What marks the best score.
    colorbar_ : Colorbar or None
        The colour bar.

    See Also
    --------
    InitScalePathDisplay : One line of the map, with scores and coefficients.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skregimes import DiagonalNetRegressor
    >>> from skregimes.inspection import RegimeMapDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> display = RegimeMapDisplay.from_estimator(
    ...     DiagonalNetRegressor(), X, y, init_scales=[0.01, 1, 100], values=[0.01, 1]
    ... )
    >>> display.richness.shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        init_scales,
        others,
        richness=None,
        scores=None,
        against="time",
        score_name="score",
        units="relative",
    ):
        self.init_scales = init_scales
        self.others = others
        self.richness = richness
        self.scores = scores
        self.against = against
        self.score_name = score_name
        self.units = units

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        against="time",
        value="richness",
        init_scales=None,
        values=None,
        cv=None,
        scoring=None,
        target=None,
        random_state=0,
        n_jobs=None,
        ax=None,
        **plot_options,
    ):
        """Fit at many scales, and draw the map.

        Parameters
        ----------
        estimator : estimator
            With the parameter ``init_scale``, or a Pipeline whose last step is one. It
            is cloned.
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets; None for estimators that take none.
        against : str, default="time"
            The other quantity. "time": the stopping time, all of one fit a scale.
            "loss": the training loss where a fit stops, by how much its natural
            logarithm fell; also of one fit a scale. "n_samples": the number of samples,
            nested parts of a random order. Or the name of a parameter.
        value : {"richness", "score"}, default="richness"
            What the colours show. A score needs a fit for each fold.
        init_scales : array-like of shape (n_scales,), default=None
            Scales; None is 13 around the defaults of `InitScaleSearchCV`, or nine where
            one fit does not answer for all the other values. With ``units="paper"``
            they must be given.
        values : sequence, default=None
            Values of the other quantity. Those of a parameter must be given, and times
            with ``units="paper"``. None is 41 times from 0.01 to 1000, 41 falls of the
            log loss from 0.01 to 30, or six numbers of samples.
        cv : int, cross-validation generator or iterable, default=None
            Folds of the score, see `sklearn.model_selection.check_cv`; None is 5-fold.
            Those of a number are shuffled, always alike, since curves often come
            sorted.
        scoring : str or callable, default=None
            Score; None is the estimator's own.
        target : int, default=None
            Which of several targets to show the richness of, where each has a network
            of its own.
        random_state : int or RandomState instance, default=0
            Draws the order of the samples for ``against="n_samples"``.
        n_jobs : int, default=None
            Fits in parallel, see `joblib.Parallel`.
        ax : Axes, default=None
            Where to draw; None makes a figure.
        **plot_options : dict
            Handed to `plot`.

        Returns
        -------
        RegimeMapDisplay

        Raises
        ------
        TypeError
            If the estimator has no scale, or no flow where times or losses are asked
            for.
        ValueError
            If ``against`` or ``value`` is unknown, or they do not go together.
        """
        load_pyplot(cls)  # before any work
        if value not in _VALUES:
            raise ValueError(f"value={value!r} must be one of {_VALUES}.")
        if value == "richness" and not (cv is None and scoring is None):
            raise ValueError("cv and scoring are for value='score'.")
        X, y = as_array(X), None if y is None else as_array(y)
        prefix, step = scaled_step(estimator)
        scales = scale_grid(step, init_scales, _N_SCALES.get(against, 9))
        scored = value == "score"
        survey = Survey(
            estimator, prefix, scales, X, y, scored, cv, scoring, target, n_jobs
        )
        if against == "time":
            data = survey.over_times(values)
        elif against == "loss":
            data = survey.over_losses(values)
        elif against == "n_samples":
            data = survey.over_sizes(values, check_random_state(random_state))
        else:
            data = survey.over_parameter(against, values)
        display = cls(
            init_scales=scales,
            against=against,
            score_name=score_label(estimator, scoring),
            units=getattr(step, "units", "relative"),
            **data,
        )
        return display.plot(ax, value=value, **plot_options)

    @classmethod
    def from_results(
        cls,
        results,
        *,
        against=None,
        metric=None,
        X_test=None,
        y_test=None,
        target=None,
        units=None,
        ax=None,
        **plot_options,
    ):
        """Draw what a path or a search has found.

        Parameters
        ----------
        results : InitScalePath, fitted search or dict
            What `init_scale_path` returns for several times; a fitted
            `InitScaleSearchCV`, `DiagonalNetRegressorCV`, `DiagonalNetClassifierCV` or
            `GridSearchCV` over ``init_scale`` and another parameter; or their
            ``cv_results_``.
        against : str, default=None
            Which other parameter of a search, if several vary; each pair stands there
            with the best of the rest.
        metric : str, default=None
            Which score of a search, if it has several; None is that of its ``refit``.
            One named "richness", as
            ``scoring={"score": ..., "richness": richness_scorer}`` makes it, gives the
            borders of the regimes.
        X_test : array-like of shape (n_samples, n_features), default=None
            Samples to score the fits of a path on.
        y_test : array-like of shape (n_samples,) or (n_samples, n_targets), \
default=None
            Their targets: the score is R² or the accuracy.
        target : int, default=None
            Which target of a path, of several.
        units : {"relative", "paper"}, default=None
            Units of the scales, where the results do not know; None is those of the
            estimator where it is known, or else "relative".
        ax : Axes, default=None
            Where to draw; None makes a figure.
        **plot_options : dict
            Handed to `plot`.

        Returns
        -------
        RegimeMapDisplay

        Raises
        ------
        TypeError
            If the results are no such thing.
        ValueError
            If they lack what is asked for.
        """
        if isinstance(results, InitScalePath):
            if not (metric is None and against is None):
                raise ValueError("metric and against are for searches.")
            data = _of_path(results, X_test, y_test, target)
        else:
            if not (X_test is None and y_test is None and target is None):
                raise ValueError("X_test, y_test and target are for an InitScalePath.")
            data = _of_search(results, metric, against)
        if units is not None:
            data["units"] = units
        return cls(**data).plot(ax, **plot_options)

    # -- drawing -------------------------------------------------------------------

    def plot(self, ax=None, *, value=None, cmap=MAP, colorbar=True):
        """Draw.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None makes a figure.
        value : {"richness", "score"}, default=None
            What the colours show; None is the score if it is known.
        cmap : str or Colormap, default="cividis"
            Colours.
        colorbar : bool, default=True
            Whether there is a colour bar.

        Returns
        -------
        RegimeMapDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If the value is not known.
        """
        known = {"score": self.scores, "richness": self.richness}
        known = {name: shown for name, shown in known.items() if shown is not None}
        value = next(iter(known)) if value is None else value
        if value not in known:
            raise ValueError(f"value={value!r} must be one of {[*known]}.")
        if len(self.init_scales) < 2 or len(self.others) < 2:
            raise ValueError("A map needs at least two scales and two other values.")
        figure, axes = make_axes(self, ax, 1)
        self.figure_, self.ax_ = figure, axes[0]
        self.contours_ = self.best_ = self.colorbar_ = None
        self.names_ = []
        axes[0].set_xscale("log")
        few = len(self.others) < _FEW or not _are_numbers(self.others)
        draw = self._draw_rows if few else self._draw_map
        heights = draw(axes[0], known[value].T, value, cmap)
        if value == "score":
            i, j = np.unravel_index(np.nanargmax(self.scores), self.scores.shape)
            lift = _LIFT if few else 0.0  # above the number of its cell
            self.best_ = axes[0].scatter(
                self.init_scales[i], heights[j] + lift, marker="*", s=150, color="w",
                edgecolor="k", zorder=4, clip_on=False, label="best score",
            )  # fmt: skip
            # Above the map, of which it would hide a corner.
            axes[0].legend(
                fontsize="small", loc="lower right", bbox_to_anchor=(1.0, 1.0),
                borderaxespad=0.2, frameon=False,
            )  # fmt: skip
        axes[0].set(xlabel=scale_label(self.units), ylabel=self._other_label())
        if colorbar:
            score = f"test score, {self.score_name}"
            self.colorbar_ = figure.colorbar(
                self.image_,
                ax=axes[0],
                label=score if value == "score" else "richness",
                ticks=None if value == "score" else np.linspace(0, 1, 6),
            )
        return self

    def _other_label(self):
        names = {
            "time": time_label(self.units),
            "loss": "fall of the natural log of the training loss",
            "n_samples": "number of samples",
            "- log_loss_tol": "- ln(training loss)",
        }
        return names.get(self.against, self.against)

    def _draw_map(self, ax, shown, value, cmap):
        """Draw values of many rows by their heights, which are returned."""
        heights = np.asarray(self.others, dtype=float)
        if heights[0] > 0 and heights[-1] >= _FEW * heights[0]:
            ax.set_yscale("log")
        if len(heights) <= _TICKS:
            ax.set_yticks(heights, [f"{height:g}" for height in heights])
            ax.set_yticks([], minor=True)
        levels, extend = levels_of(shown, value)
        grid = Grid(self.init_scales, heights, ax.get_yscale() == "log")
        self.image_ = ax.contourf(
            *grid.axes, grid.values(shown), levels, cmap=cmap, extend=extend
        )
        if self.richness is not None:
            known = grid.values(self.richness.T)
            glow = halo()
            self.contours_ = ax.contour(
                *grid.axes, known, BORDERS, colors="k", linestyles=["--", "-"],
                linewidths=1.5,
            )  # fmt: skip
            self.contours_.set_path_effects(glow)
            self.names_ = name_regions(ax, grid, known)
            for text in [*ax.clabel(self.contours_, fontsize="small"), *self.names_]:
                text.set_path_effects(glow)
        rows = np.flatnonzero(np.any(np.isfinite(shown), axis=1))
        ax.set_ylim(heights[rows[0]], heights[rows[-1]])
        return heights

    def _draw_rows(self, ax, shown, value, cmap):
        """Draw values of few rows at equal heights, which are returned."""
        heights = np.arange(len(self.others))
        limits = {"vmin": 0, "vmax": 1} if value == "richness" else {}
        self.image_ = ax.pcolormesh(
            edges(np.log(self.init_scales)), np.append(heights, len(heights)) - 0.5,
            np.ma.masked_invalid(shown), cmap=cmap, **limits,
        )  # fmt: skip
        ax.set_yticks(heights, [str(other) for other in self.others])
        shade = self.image_.norm(shown)
        for (j, i), number in np.ndenumerate(shown):
            if np.isfinite(number):
                color = "k" if shade[j, i] > 0.5 else "w"
                style = {"ha": "center", "va": "center", "fontsize": "x-small"}
                place = self.init_scales[i], j, f"{number:.2f}"
                self.names_.append(ax.text(*place, color=color, **style))
        return heights


def _are_numbers(values):
    return np.issubdtype(np.asarray(values).dtype, np.number)


def _of_path(path, X_test, y_test, target):
    """Return data of the display of an `InitScalePath`; without infinite times."""
    order, finite = np.argsort(path.init_scales), np.isfinite(path.times)
    richness = path.richness[order][:, finite]
    if richness.ndim > 2:
        richness = of_target(richness, target, 2)
    data = {
        "init_scales": path.init_scales[order],
        "others": path.times[finite],
        "richness": richness,
    }
    if path.estimators is not None:
        data["units"] = units_of(path.estimators[0])
    scores, name = path_scores(path, X_test, y_test)
    if scores is not None:
        data |= {"scores": scores[order][:, finite], "score_name": name}
    return data


def _of_search(results, metric, against):
    """Return data of the display of a fitted search or its cv_results_."""
    found = Results.read(cv_results(results))
    varied = found.varied()
    if against is None and len(varied) == 1:
        against = varied[0]
    if against not in varied:
        raise ValueError(
            f"against={against!r} must be one of the parameters that the search varied "
            f"besides the scale, {varied}."
        )
    name = found.metric(metric, results)
    scales, others, rows = found.table(name, against)
    if against == "max_time":
        # The end of the flow has no place on an axis of times.
        others = [time for time in others if np.isfinite(time)]
        rows = rows[:, : len(others)]
    known = rows >= 0
    data = {"init_scales": scales, "others": others, "against": against}
    for key, metric in (("scores", name), ("richness", "richness")):
        if metric in found.scores:
            means = found.scores[metric].mean(axis=1)
            data[key] = np.where(known, means[rows], np.nan)
    data |= {"score_name": found.label(results, name), "units": units_of(results)}
    if against == "max_time":
        data["against"] = "time"
    if against == "log_loss_tol":
        data |= {"against": "- log_loss_tol", "others": -np.array(others)[::-1]}
        data |= {
            key: data[key][:, ::-1] for key in ("scores", "richness") if key in data
        }
    return data
