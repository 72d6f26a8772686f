"""Functions of one feature, beside their data, knots and spline twins."""

import numpy as np

from skregimes.inspection._display import (
    load_pyplot,
    look,
    make_axes,
)
from skregimes.inspection._fitted import (
    Innermost,
    feature_names,
    fits_of,
    fitted,
    named_weights,
    scale_name,
)
from skregimes.inspection._marks import (
    draw_data,
    draw_rug,
    mark_knots,
    visible_knots,
)
from skregimes.inspection._twins import TWINS, check_twins, twin
from skregimes.inspection._views import View, grid_of, like, places_of

__all__ = ["FunctionDisplay"]

# How twins look: lines of no curve's colour.
_TWIN_LOOKS: dict = {
    "cubic": {"linestyle": "--", "color": "0.15"},
    "smoothing": {"linestyle": (0, (7, 2)), "color": "0.35"},
    "linear": {"linestyle": ":", "color": "0.15"},
    "lazy": {"linestyle": "-.", "color": "0.35"},
}
# How far a twin may widen the picture beyond the curves, as a share of their range.
_ROOM = 0.25
# Marks the artists of curves, so that other displays on the same Axes look different.
_CURVE = "skregimes-curve"


class FunctionDisplay:
    """Functions of one feature, with data, knots and the twins of a network.

    Make it by `from_estimator` or `from_results`. Several displays can be drawn on the
    same Axes; each curve gets a look of its own.

    Parameters
    ----------
    grid : ndarray of shape (n_points,)
        Places, increasing.
    curves : dict of str to ndarray of shape (n_points,)
        Functions there, by name.
    knots : dict of str to tuple of two ndarrays of shape (n_knots,), default=None
        Where curves bend, and by how much the slope rises there; not all curves need
        have them.
    twins : dict of str to ndarray of shape (n_points,), default=None
        What the curves are compared with, by the names that `from_estimator` takes.
    x, y : ndarray of shape (n_samples,), default=None
        The data; of a classifier ``y`` is whether a sample has the class drawn.
    feature_name, response_name : str, default="x", "y"
        Labels of the axes.
    class_names : tuple of two str, default=None
        Of a classifier, what the samples with and without the class are called.

    Attributes
    ----------
    ax_ : Axes
        Where it was drawn.
    figure_ : Figure
        The figure of it.
    lines_ : list of Line2D
        The curves, in the order of ``curves``.
    twin_lines_ : list of Line2D
        The twins, in the order of ``twins``.
    knot_marks_ : list of artists
        One for each curve with knots.
    points_ : list of PathCollection
        The data.

    See Also
    --------
    InitScalePathDisplay : Scores and richness against the scale.
    skregimes.TangentKernelRidge : The lazy twin at the end of its flow, or with a
        penalty; the one that is drawn here stops when the network does.
    sklearn.inspection.DecisionBoundaryDisplay : Functions of two features.

    References
    ----------
    Williams, Trager, Silva, Panozzo, Zorin, Bruna, "Gradient Dynamics of Shallow
    Univariate ReLU Networks", NeurIPS 2019 (figures 1 and 4 draw fits like this).

    Examples
    --------
    >>> from skregimes import ShallowReLURegressor
    >>> from skregimes.datasets import make_curve
    >>> from skregimes.inspection import FunctionDisplay
    >>> X, y = make_curve("smooth", 40, noise=0.1, random_state=0)
    >>> net = ShallowReLURegressor(100.0, n_hidden=50, random_state=0).fit(X, y)
    >>> display = FunctionDisplay.from_estimator(net, X, y, twins="lazy")
    >>> [line.get_label() for line in display.lines_ + display.twin_lines_]
    ['init_scale 100 (kernel)', 'lazy twin']
    """

    def __init__(
        self,
        *,
        grid,
        curves,
        knots=None,
        twins=None,
        x=None,
        y=None,
        feature_name="x",
        response_name="y",
        class_names=None,
    ):
        self.grid = grid
        self.curves = curves
        self.knots = knots
        self.twins = twins
        self.x = x
        self.y = y
        self.feature_name = feature_name
        self.response_name = response_name
        self.class_names = class_names

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        twins=(),
        target=None,
        response_method="auto",
        sample_weight=None,
        grid_resolution=400,
        name=None,
        ax=None,
        **options,
    ):
        """Draw the function that an estimator fitted.

        Parameters
        ----------
        estimator : estimator
            Any regressor or classifier of one feature, also a pipeline or a search.
            One that is not fitted is cloned and fitted. Knots are those of a
            `ShallowReLURegressor` or `ShallowReLUClassifier` in it.
        X : array-like of shape (n_samples, 1)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        twins : str or list of str, default=()
            What a regressor is compared with. The first two belong to the data, the
            others to the network and the time at which it stopped, too:

            - "linear": the linear interpolant, which has the least variation of the
              slope;
            - "cubic": the interpolant of least curvature, the kernel limit of a
              `ShallowReLURegressor` by the law of its units; a natural cubic spline
              for the default law and for other regressors. Either is for data without
              noise;
            - "smoothing": the smoothing spline that is near a network in the kernel
              regime (`skregimes.limits.smoothing_spline`);
            - "lazy": the network linearized at its start, whose kernel stays as it was
              (`skregimes.limits.kernel_flow`).
        target : int or label, default=None
            Which of several targets, or of the classes, is drawn. Of two classes None
            is the second.
        response_method : {"auto", "decision_function", "predict_proba"}, \
default="auto"
            What is drawn of a classifier; "auto" is the first that it has.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights with which the estimator was, or is to be, fitted.
        grid_resolution : int, default=400
            Number of places, beside samples and knots.
        name : str, default=None
            Of the curve, for the legend; None is the scale and the regime, or the name
            of the estimator's class.
        ax : Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            For `plot`.

        Returns
        -------
        FunctionDisplay

        Raises
        ------
        ValueError
            If X has several features, or the estimator has no such twin or target.
        """
        load_pyplot(cls)  # before any work
        kinds = check_twins(twins)
        places_of(X, y)  # before a fit that may take long
        weights = named_weights(estimator, sample_weight)
        estimator = fitted(estimator, X, y, **weights)
        if name is None:
            name = scale_name(estimator, "init_scale ")
        if name is None:
            name = type(Innermost.of(estimator).step).__name__
        view = View.of(estimator, np.asarray(y), response_method, target)
        display = cls._of_fits(
            {name: estimator}, view, (X, y, sample_weight), kinds, grid_resolution
        )
        return display.plot(ax, **options)

    @classmethod
    def from_results(
        cls,
        results,
        X,
        y,
        *,
        twins=(),
        target=None,
        response_method="auto",
        sample_weight=None,
        grid_resolution=400,
        ax=None,
        **options,
    ):
        """Draw the function of each scale.

        Parameters
        ----------
        results : InitScalePath or fitted InitScaleSearchCV
            What `init_scale_path` returned for an estimator, drawn at the last of its
            times; or a search, of which each scale is fitted once more, up to its best
            time.
        X : array-like of shape (n_samples, 1)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        twins : str or list of str, default=()
            "cubic" and "linear", as in `from_estimator`.
        target : int or label, default=None
            Which of several targets, or of the classes, is drawn.
        response_method : {"auto", "decision_function", "predict_proba"}, \
default="auto"
            What is drawn of classifiers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights with which the path or the search was fitted.
        grid_resolution : int, default=400
            Number of places, beside samples and knots.
        ax : Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            For `plot`.

        Returns
        -------
        FunctionDisplay

        Raises
        ------
        ValueError
            If X has several features, or the results are of another kind.
        """
        kinds = check_twins(twins)
        for kind in ("lazy", "smoothing"):
            if kind in kinds:
                raise ValueError(
                    f"Each scale has a twin {kind!r} of its own; draw one scale by "
                    "from_estimator."
                )
        places_of(X, y)
        fits = {scale_name(fit): fit for fit in fits_of(results, X, y, sample_weight)}
        first = next(iter(fits.values()))
        view = View.of(first, np.asarray(y), response_method, target)
        display = cls._of_fits(
            fits, view, (X, y, sample_weight), kinds, grid_resolution
        )
        return display.plot(ax, **{"legend_title": "init_scale"} | options)

    @classmethod
    def _of_fits(cls, fits, view, data, kinds, resolution):
        """Compute the curves of fitted estimators, and twins of the first."""
        X, y, weight = data
        x, y = places_of(X, y)
        if kinds and view.classes is not None:
            raise ValueError("Twins are for regressors; a classifier has none.")
        inner = {name: Innermost.of(fit) for name, fit in fits.items()}
        found = {name: view.knots(step) for name, step in inner.items()}
        knots = {name: bends for name, bends in found.items() if bends is not None}
        grid = grid_of(x, resolution, knots.values())
        points, first = like(X, grid), next(iter(inner.values()))
        known = view.data(y)
        samples = like(X, x), known["y"], weight
        return cls(
            grid=grid,
            curves={name: view.response(fit, points) for name, fit in fits.items()},
            knots=knots,
            twins={
                kind: twin(kind, first, samples, points, view.column) for kind in kinds
            },
            x=x,
            feature_name=(feature_names(X) or ["x"])[0],
            **known,
        )

    def plot(
        self,
        ax=None,
        *,
        knots="curve",
        data=True,
        legend=True,
        legend_title=None,
        line_kwargs=None,
    ):
        """Draw the curves.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None makes a figure.
        knots : {"curve", "rug"} or None, default="curve"
            Where knots are drawn: as marks on the curve whose area is their share of
            the variation of the slope, full where the slope rises and hollow where it
            falls; or as a rug at the bottom, whose heights are that share's root.
            Knots too near to be told apart are drawn as one.
        data : bool, default=True
            Whether the data are drawn; those of a classifier at the top and the bottom.
        legend : bool, default=True
            Whether there is a legend.
        legend_title : str, default=None
            Its title.
        line_kwargs : dict, default=None
            For `matplotlib.axes.Axes.plot` of the curves.

        Returns
        -------
        self : FunctionDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If ``knots`` is unknown.
        """
        if knots not in ("curve", "rug", None):
            raise ValueError(f"knots must be 'curve', 'rug' or None; got {knots!r}.")
        self.figure_, (ax,) = make_axes(self, ax, 1)
        self.ax_ = ax
        self._known_labels = set(ax.get_legend_handles_labels()[1])
        before = sum(line.get_gid() == _CURVE for line in ax.lines)
        self.points_ = []
        if data and self.x is not None:
            named = self.class_names and [f"class {name}" for name in self.class_names]
            labels = [self._label(name) for name in named or ["data"]]
            self.points_ = draw_data(ax, self.x, self.y, labels)
        self.lines_, self.knot_marks_ = [], []
        for index, (name, values) in enumerate(self.curves.items(), before):
            style = {**look(index), "linewidth": 2.0, "label": name}
            style |= line_kwargs or {}
            (line,) = ax.plot(self.grid, values, gid=_CURVE, zorder=3, **style)
            self.lines_.append(line)
            bends = (self.knots or {}).get(name)
            if knots is not None and bends is not None:
                places, shares = visible_knots(bends, self.grid)
                if knots == "curve":
                    marks = mark_knots(ax, line, places, shares)
                else:
                    marks = draw_rug(ax, line, places, shares, index)
                self.knot_marks_.append(marks)
        self.twin_lines_ = [
            self._draw_twin(ax, kind, values)
            for kind, values in (self.twins or {}).items()
        ]
        ax.autoscale_view()
        ax.set(
            xlabel=self.feature_name,
            ylabel=self.response_name,
            xlim=(self.grid[0], self.grid[-1]),
        )
        if legend:
            ax.legend(fontsize="small", title=legend_title)
        return self

    def _draw_twin(self, ax, kind, values):
        """Draw a twin, which may leave the picture: interpolants of noise do."""
        from matplotlib.lines import Line2D

        line = Line2D(
            self.grid,
            values,
            label=self._label(TWINS[kind]),
            linewidth=1.2,
            zorder=4,
            **_TWIN_LOOKS[kind],
        )
        ax.add_artist(line)
        shown = np.concatenate(list(self.curves.values()))
        low, high = shown.min(), shown.max()
        room = _ROOM * (high - low)
        inside = np.clip(values, low - room, high + room)
        ax.update_datalim(np.column_stack([self.grid, inside]))
        return line

    def _label(self, name):
        """Return a label, hidden where the Axes have it already."""
        return f"_{name}" if name in self._known_labels else name
