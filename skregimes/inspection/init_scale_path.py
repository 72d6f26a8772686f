"""Fits against the scale of their initialisation."""

import numpy as np

from skregimes._arrays import as_array
from skregimes.inspection._display import (
    BORDERS,
    checked_panels,
    draw_values,
    load_pyplot,
    look,
    make_axes,
    scale_label,
    shade_regimes,
)
from skregimes.inspection._fitted import Innermost
from skregimes.inspection._results import (
    Results,
    cv_results,
    path_scores,
    score_label,
    units_of,
)
from skregimes.inspection._scales import (
    excess_norms,
    fit_each,
    of_target,
    richness_of,
    scale_grid,
    scaled_step,
    search,
    vector_of,
)
from skregimes.model_selection import InitScalePath

__all__ = ["InitScalePathDisplay"]

_PANELS = ("score", "richness", "excess", "coefs")


class InitScalePathDisplay:
    """Score, richness, excess norms and coefficients against the initial scale.

    Make it by `from_estimator` or `from_results`. Regimes are shaded and named, the
    rich one on the left, and the scale with the best score is marked.

    Parameters
    ----------
    init_scales : ndarray of shape (n_scales,)
        Scales, increasing, in ``units``.
    scores : ndarray of shape (n_scales, n_folds), default=None
        Scores on the test parts.
    richness : ndarray of shape (n_scales,), default=None
        0 in the kernel regime, 1 in the rich one.
    excess : dict of str to ndarray of shape (n_scales,), default=None
        By what share norms exceed the least of all fits that interpolate: below zero
        for fits that were stopped before.
    coefs : ndarray of shape (n_scales, n_values), default=None
        Coefficients or singular values.
    coefs_kind : str, default="coefficient"
        What ``coefs`` are.
    coef_names : sequence of str, default=None
        Names of ``coefs``; None numbers them.
    chosen : float, default=None
        The scale to mark.
    score_name : str, default="score"
        What ``scores`` are.
    units : {"relative", "paper"}, default="relative"
        Units of the scales.

    Attributes
    ----------
    figure_ : Figure
        The figure.
    ax_ : Axes or ndarray of Axes
        One panel, or several from top to bottom.
    lines_ : dict of str to list of Line2D
        Lines of each panel.
    score_band_ : FillBetweenPolyCollection or None
        One standard deviation of the folds about the mean score.
    regime_bands_ : list of Rectangle
        What shades the kernel and the rich regime, in all panels.
    chosen_lines_ : list of Line2D
        What marks the chosen scale, in all panels.

    See Also
    --------
    RegimeMapDisplay : The regime over the scale and a second quantity.
    TrajectoryDisplay : One fit against its training time.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skregimes import DiagonalNetRegressor
    >>> from skregimes.inspection import InitScalePathDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> display = InitScalePathDisplay.from_estimator(
    ...     DiagonalNetRegressor(), X, y, init_scales=[0.01, 1, 100]
    ... )
    >>> display.richness.round(1)
    array([0.9, 0.6, 0. ])
    """

    def __init__(
        self,
        *,
        init_scales,
        scores=None,
        richness=None,
        excess=None,
        coefs=None,
        coefs_kind="coefficient",
        coef_names=None,
        chosen=None,
        score_name="score",
        units="relative",
    ):
        self.init_scales = init_scales
        self.scores = scores
        self.richness = richness
        self.excess = excess
        self.coefs = coefs
        self.coefs_kind = coefs_kind
        self.coef_names = coef_names
        self.chosen = chosen
        self.score_name = score_name
        self.units = units

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        init_scales=None,
        panels=None,
        cv=None,
        scoring=None,
        target=None,
        n_jobs=None,
        ax=None,
        **plot_options,
    ):
        """Fit at many scales, with cross-validation, and draw.

        Everything but the scale is as the estimator has it, so that fits stop where it
        would stop.

        Parameters
        ----------
        estimator : estimator
            With the parameter ``init_scale``, or a Pipeline whose last step is one. It
            is cloned.
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets; None for estimators that take none.
        init_scales : array-like of shape (n_scales,), default=None
            Scales; None is nine around the defaults of `InitScaleSearchCV`. With
            ``units="paper"`` they must be given.
        panels : sequence of str, default=None
            What to compute and draw, of "score", "richness", "excess" and "coefs" (or
            singular values); None is score and richness.
        cv : int, cross-validation generator or iterable, default=None
            Folds of the score, see `sklearn.model_selection.check_cv`; None is 5-fold.
            Those of a number are shuffled, always alike, since curves often come
            sorted.
        scoring : str or callable, default=None
            Score; None is the estimator's own.
        target : int, default=None
            Which target, or class, to draw coefficients, richness and norms of, where
            there are several of them.
        n_jobs : int, default=None
            Fits in parallel, see `joblib.Parallel`.
        ax : Axes or array-like of Axes, default=None
            Where to draw, see `plot`.
        **plot_options : dict
            Handed to `plot`.

        Returns
        -------
        InitScalePathDisplay

        Raises
        ------
        TypeError
            If the estimator has no scale.
        ValueError
            If it does not have what a panel shows.
        """
        load_pyplot(cls)  # before any work
        X, y = as_array(X), None if y is None else as_array(y)
        prefix, step = scaled_step(estimator)
        scales = scale_grid(step, init_scales)
        panels = (
            ("score", "richness") if panels is None else checked_panels(panels, _PANELS)
        )
        if "score" not in panels and not (cv is None and scoring is None):
            raise ValueError("cv and scoring are for the panel 'score'.")
        measure = _Measure(set(panels), X, y, target)
        shown = fit_each(estimator, prefix, scales, X, y, measure, n_jobs)
        excess = coefs = scores = chosen = None
        kind, names = "coefficient", None
        if "excess" in panels:
            excess = {
                name: np.array([each["excess"][name] for each in shown])
                for name in shown[0]["excess"]
            }
        if "coefs" in panels:
            vectors, kinds, name_lists = zip(*(each["coefs"] for each in shown))
            coefs, kind, names = _padded(vectors), kinds[0], name_lists[0]
        if "score" in panels:
            grid = {f"{prefix}init_scale": scales.tolist()}
            found = search(estimator, grid, X, y, scoring, cv, n_jobs)
            scores = found.scores["score"]
            chosen = float(scales[np.argmax(found.means("score"))])
        display = cls(
            init_scales=scales,
            scores=scores,
            richness=np.array([each["richness"] for each in shown]),
            excess=excess,
            coefs=coefs,
            coefs_kind=kind,
            coef_names=names,
            chosen=chosen,
            score_name=score_label(estimator, scoring),
            units=getattr(step, "units", "relative"),
        )
        return display.plot(ax, panels=panels, **plot_options)

    @classmethod
    def from_results(
        cls,
        results,
        *,
        X_test=None,
        y_test=None,
        metric=None,
        time=None,
        target=None,
        units=None,
        ax=None,
        **plot_options,
    ):
        """Draw what a path or a search has found.

        Parameters
        ----------
        results : InitScalePath, fitted search or dict
            What `init_scale_path` returns; a fitted `InitScaleSearchCV`,
            `DiagonalNetRegressorCV`, `DiagonalNetClassifierCV` or `GridSearchCV` over
            ``init_scale``; or their ``cv_results_``. If a search varied other
            parameters, too, such as the stopping time, each scale stands there with
            the best of them.
        X_test : array-like of shape (n_samples, n_features), default=None
            Samples to score the fits of a path on.
        y_test : array-like of shape (n_samples,) or (n_samples, n_targets), \
default=None
            Their targets: the score is R² or the accuracy.
        metric : str, default=None
            Which score of a search to draw, if it has several; None is that of its
            ``refit``. One named "richness", as
            ``scoring={"score": ..., "richness": richness_scorer}`` makes it, is that of
            the panel of richness.
        time : float, default=None
            Which of the times of a path; None is the last.
        target : int, default=None
            Which target, or class, of several.
        units : {"relative", "paper"}, default=None
            Units of the scales, where the results do not know; None is those of the
            estimator where it is known, or else "relative".
        ax : Axes or array-like of Axes, default=None
            Where to draw, see `plot`.
        **plot_options : dict
            Handed to `plot`.

        Returns
        -------
        InitScalePathDisplay

        Raises
        ------
        ValueError
            If the results are no such thing, or lack what is asked for.
        """
        if isinstance(results, InitScalePath):
            if metric is not None:
                raise ValueError("metric is for searches; a path has no scores.")
            data = _of_path(results, X_test, y_test, time, target)
        else:
            given = {"X_test": X_test, "y_test": y_test, "time": time, "target": target}
            idle = [name for name, value in given.items() if value is not None]
            if idle:
                raise ValueError(f"{', '.join(idle)}: only for an InitScalePath.")
            data = _of_search(results, metric)
        if units is not None:
            data["units"] = units
        return cls(**data).plot(ax, **plot_options)

    # -- drawing -------------------------------------------------------------------

    def plot(self, ax=None, *, panels=None, n_coefs=5):
        """Draw.

        Parameters
        ----------
        ax : Axes or array-like of Axes, default=None
            One Axes, to be split if there are several panels, or one for each; None
            makes a figure.
        panels : sequence of str, default=None
            What to draw from top to bottom, of "score", "richness", "excess" and
            "coefs"; None is all that is known of the first two, or else of the others.
        n_coefs : int, default=5
            How many of the largest coefficients to tell apart and name.

        Returns
        -------
        InitScalePathDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If a panel has no data.
        """
        known = [
            panel
            for panel, data in zip(
                _PANELS,
                (self.scores, self.richness, self.excess, self.coefs),
                strict=True,
            )
            if data is not None
        ]
        if panels is None:
            panels = [panel for panel in known if panel in _PANELS[:2]] or known
        panels = checked_panels(panels, known)
        figure, axes = make_axes(self, ax, len(panels), sharex=True)
        self.figure_, self.ax_ = figure, axes if len(axes) > 1 else axes[0]
        self.lines_, self.score_band_ = {}, None
        draw = {
            "score": self._draw_score,
            "richness": self._draw_richness,
            "excess": self._draw_excess,
            "coefs": lambda panel: self._draw_coefs(panel, n_coefs),
        }
        for name, panel in zip(panels, axes, strict=True):
            panel.set_xscale("log")
            self.lines_[name] = draw[name](panel)
        self.regime_bands_ = self.chosen_lines_ = []
        if self.richness is not None and len(self.init_scales) > 1:
            self.regime_bands_ = shade_regimes(axes, self.init_scales, self.richness)
        if self.chosen is not None:
            self.chosen_lines_ = [
                panel.axvline(self.chosen, color="k", linestyle=":", linewidth=1.5)
                for panel in axes
            ]
            self.chosen_lines_[0].set_label(f"best: {self.chosen:.2g}")
        for name, panel in zip(panels, axes, strict=True):
            if name != "coefs" and panel.get_legend_handles_labels()[1]:
                panel.legend(fontsize="small")
        axes[-1].set_xlabel(scale_label(self.units))
        return self

    def _draw_score(self, panel):
        mean, spread = self.scores.mean(axis=1), self.scores.std(axis=1)
        several = self.scores.shape[1] > 1
        style = look(0, markers=True)
        if several:
            self.score_band_ = panel.fill_between(
                self.init_scales,
                mean - spread,
                mean + spread,
                color=style["color"],
                alpha=0.25,
                linewidth=0,
                label="± one deviation of the folds",
            )
        name = f"mean of {self.scores.shape[1]} folds" if several else None
        panel.set_ylabel(f"test score, {self.score_name}")
        return panel.plot(self.init_scales, mean, label=name, **style)

    def _draw_richness(self, panel):
        panel.set(ylabel="richness", ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
        for border in BORDERS:
            panel.axhline(border, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
        return panel.plot(self.init_scales, self.richness, **look(0, markers=True))

    def _draw_excess(self, panel):
        panel.set_ylabel("norm above the least, share")
        values = np.array(list(self.excess.values()))
        if np.nanmin(values) > 0:
            panel.set_yscale("log")
        else:
            panel.axhline(0.0, color="0.5", linewidth=0.8)
        return [
            panel.plot(
                self.init_scales, values, label=name, **look(index, markers=True)
            )[0]
            for index, (name, values) in enumerate(self.excess.items())
        ]

    def _draw_coefs(self, panel, n_coefs):
        panel.set_ylabel(f"{self.coefs_kind}s")
        panel.axhline(0.0, color="0.5", linewidth=0.8)
        return draw_values(
            panel,
            self.init_scales,
            self.coefs,
            n_coefs,
            self.coef_names,
            self.coefs_kind,
            markers=True,
        )


class _Measure:
    """What panels need to know of a fit, as a dict."""

    def __init__(self, panels, X, y, target):
        self.panels, self.X, self.y, self.target = panels, X, y, target

    def __call__(self, fit):
        inner = Innermost.of(fit)
        shown = {"richness": richness_of(fit, self.target)}
        if "excess" in self.panels:
            seen = inner.seen(self.X)
            shown["excess"] = excess_norms(inner.step, seen, self.y, self.target)
        if "coefs" in self.panels:
            shown["coefs"] = vector_of(inner.step, self.target)
        return shown


def _padded(vectors):
    """Return vectors as rows, with zeros where one is shorter."""
    rows = np.zeros((len(vectors), max(map(len, vectors))))
    for row, vector in zip(rows, vectors, strict=True):
        row[: len(vector)] = vector
    return rows


def _of_search(results, metric):
    """Return data of the display of a fitted search or its cv_results_."""
    found = Results.read(cv_results(results))
    name = found.metric(metric, results)
    scales, rows = found.best_rows(name)
    data = {"init_scales": scales, "scores": found.scores[name][rows]}
    data["chosen"] = float(found.init_scales[np.argmax(found.means(name))])
    if "richness" in found.scores:
        data["richness"] = found.scores["richness"][rows].mean(axis=1)
    data |= {"score_name": found.label(results, name), "units": units_of(results)}
    return data


def _of_path(path, X_test, y_test, time, target):
    """Return data of the display of an `InitScalePath`."""
    times = np.asarray(path.times)
    index = len(times) - 1
    if time is not None:
        if time not in times:
            raise ValueError(f"time={time} must be one of the path's, {times}.")
        index = int(np.flatnonzero(times == time)[0])
    order = np.argsort(path.init_scales)
    richness = path.richness[order, index]
    data = {
        "init_scales": path.init_scales[order],
        "richness": of_target(richness, target, 1) if richness.ndim > 1 else richness,
    }
    if path.coefs is not None:
        coefs = path.coefs[order, index]
        data["coefs"] = of_target(coefs, target, 1) if coefs.ndim > 2 else coefs
    if path.estimators is not None:
        data["units"] = units_of(path.estimators[0])
    scores, name = path_scores(path, X_test, y_test)
    if scores is not None:
        scores = scores[order, index]
        data |= {"scores": scores[:, None], "score_name": name}
        data["chosen"] = float(data["init_scales"][np.argmax(scores)])
    return data
