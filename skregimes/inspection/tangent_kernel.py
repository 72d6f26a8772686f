"""Tangent kernels at the start and at the end, as images and by their spectra."""

from functools import cached_property

import numpy as np
from scipy.linalg import eigh, orth
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length

from skregimes.diagnostics import kernel_alignment, kernel_change
from skregimes.diagnostics.effective_rank import entropy_rank
from skregimes.inspection._display import (
    MAP,
    load_pyplot,
    look,
    make_axes,
)
from skregimes.inspection._fitted import Innermost, feature_names, fitted
from skregimes.inspection._kernels import (
    SampleOrder,
    evenly,
    is_symmetric,
    kernel_pair,
    projected,
    single_kernel,
)

__all__ = ["TangentKernelDisplay"]

# Eigenvalues below this share of the largest are rounding.
_ROUNDING = 1e-12
# Entries of the kernels between which colours change: all but an outer percent.
_SATURATED = (0.01, 0.99)
# Labels along a picture of samples in the order of a number.
_TICKS = 5


class TangentKernelDisplay:
    """The tangent kernel before and after training.

    Images of both kernels on the same samples, their eigenvalues, and how much of the
    target lies in their leading eigenvectors: where a network has learnt features it is
    often more at the end. What the estimator fits outside the kernel, an
    intercept or a linear part, is taken out of kernels and target, in the images and in
    all numbers, as estimators do for ``richness_``; samples count alike, whatever
    their weights in the fit. Of several outputs the mean of
    their kernels is drawn: its change is not the estimator's, which is of all blocks.

    Make it by `from_estimator` or `from_results`.

    Parameters
    ----------
    K_init, K_end : ndarray of shape (n_samples, n_samples)
        The kernels on the samples shown, in the order in which they are shown.
    y : ndarray of shape (n_samples,) or (n_samples, n_targets), default=None
        Their targets; of a classifier the indicators of the classes.
    columns : ndarray of shape (n_samples, n_columns), default=None
        What is fitted outside the kernel, such as ones for an intercept.
    order : ndarray of shape (n_samples,), default=None
        The labels or numbers by which the samples are ordered, for the ticks.
    order_name : str, default=None
        What these are.
    n_averaged : int, default=1
        How many outputs the kernels are the mean over, for the title.

    Attributes
    ----------
    kernel_change_, kernel_alignment_ : float
        `skregimes.diagnostics.kernel_change` and its `kernel_alignment` of the two.
    eigenvalues_ : tuple of two ndarrays
        Of both kernels, decreasing.
    target_shares_ : tuple of two ndarrays or None
        Share of the target's squares in the first eigenvectors, as many as the kernel
        has; None without a target.
    ax_ : ndarray of Axes
        Where it was drawn: two images, eigenvalues, and shares if there is a target.
    figure_ : Figure
        The figure of it.
    images_ : list of AxesImage
        The kernels.
    lines_, share_lines_ : list of Line2D
        Eigenvalues and shares, of both kernels.

    See Also
    --------
    SpectrumDisplay : Spectra alone, of several kernels.
    skregimes.diagnostics.kernel_alignment : The cosine of two kernels.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural Tangent Kernel", NeurIPS 2018. Kopitkov, Indelman,
    "Neural Spectrum Alignment", ICANN 2020 (the target in the top eigenvectors).

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skregimes import DiagonalNetRegressor
    >>> from skregimes.inspection import TangentKernelDisplay
    >>> X, y = make_regression(40, 100, n_informative=4, random_state=0)
    >>> net = DiagonalNetRegressor(0.01, early_stopping=False).fit(X, y)
    >>> display = TangentKernelDisplay.from_estimator(net, X, y)
    >>> before, after = (shares[3] for shares in display.target_shares_)
    >>> print(before.round(1), after.round(1))
    0.4 1.0
    """

    def __init__(
        self,
        *,
        K_init,
        K_end,
        y=None,
        columns=None,
        order=None,
        order_name=None,
        n_averaged=1,
    ):
        self.K_init = K_init
        self.K_end = K_end
        self.y = y
        self.columns = columns
        self.order = order
        self.order_name = order_name
        self.n_averaged = n_averaged

    @cached_property
    def _basis(self):
        """Orthonormal basis of what is fitted outside the kernel."""
        if self.columns is None:
            return np.zeros((len(self.K_init), 0))
        return orth(self.columns)

    @cached_property
    def _kernels(self):
        """Both kernels without what is fitted outside them."""
        return [projected(K, self.columns) for K in (self.K_init, self.K_end)]

    @cached_property
    def _eigen(self):
        """Eigenvalues of both kernels, decreasing, and eigenvectors."""
        pairs = [eigh((K + K.T) / 2) for K in self._kernels]
        return [(np.maximum(w, 0.0)[::-1], U[:, ::-1]) for w, U in pairs]

    @property
    def kernel_change_(self):
        """Relative change of the kernel."""
        return kernel_change(*self._kernels)

    @property
    def kernel_alignment_(self):
        """Cosine of the kernels."""
        return kernel_alignment(*self._kernels)

    @property
    def eigenvalues_(self):
        """Eigenvalues of both kernels."""
        return tuple(values for values, _ in self._eigen)

    @property
    def target_shares_(self):
        """Share of the target in the first eigenvectors of both kernels."""
        if self.y is None:
            return None
        Y = self.y.reshape(len(self.y), -1).astype(float)
        Y = Y - self._basis @ (self._basis.T @ Y)
        shares = []
        for values, vectors in self._eigen:
            seen = values > _ROUNDING * values[0]
            squares = np.sum((vectors[:, seen].T @ Y) ** 2, axis=1)
            shares.append(np.cumsum(squares) / (np.sum(Y**2) or 1.0))
        return tuple(shares)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        order="auto",
        target=None,
        max_samples=200,
        ax=None,
        **options,
    ):
        """Draw the kernels of an estimator on samples.

        Parameters
        ----------
        estimator : estimator
            Any with ``tangent_kernel``, also a pipeline or a search. One that is not
            fitted is cloned and fitted.
        X : array-like of shape (n_samples, n_features)
            Samples, usually the training data. Of `MatrixFactorizer` and
            `MatrixFactorizationImputer` the training table, whose observed entries are
            the samples.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets. Those of a table are its entries.
        order : {"auto", "feature", "y"} or None, default="auto"
            Order of the samples: by the features, the first one first; by the target
            and then by the features; or as they come. "auto" is "y", that is by class,
            for classifiers, and "feature" for other estimators of one feature and of
            entries of tables, and where there is no target.
        target : int, default=None
            Which output of several. None is the mean of the kernels by which the
            outputs move themselves.
        max_samples : int, default=200
            At most so many samples, evenly chosen in their order, are taken; all
            numbers are of those.
        ax : Axes or array-like of Axes, default=None
            Where to draw, one that is split or four, three without a target; None makes
            a figure.
        **options : dict
            For `plot`.

        Returns
        -------
        TangentKernelDisplay

        Raises
        ------
        ValueError
            If the estimator has no tangent kernel, or parameters make no sense.
        """
        load_pyplot(cls)  # before any work
        if order not in ("auto", "feature", "y", None):
            raise ValueError(
                f"order must be 'auto', 'feature', 'y' or None: {order!r}."
            )
        estimator = fitted(estimator, X, y)
        step = Innermost.of(estimator).step
        by = None if order is None else SampleOrder(step, order)
        pair = kernel_pair(estimator, X, y, order=by, max_samples=max_samples)
        return cls._of_pair(step, pair, by, target, feature_names(X)).plot(
            ax, **options
        )

    @classmethod
    def _of_pair(cls, step, pair, by, target, names):
        """Compute the display of kernels on chosen samples."""
        K_init, K_end = (single_kernel(K, target) for K in pair.kernels)
        several = target is None and np.ndim(pair.kernels[0]) > 2
        n_averaged = len(pair.kernels[0]) if several else 1
        y, ordered = pair.y, {}
        if by is not None:
            values = pair.X[:, 0] if by.found == "feature" else pair.y
            if values.ndim == 1:
                first = "row" if hasattr(step, "row_bias_") else (names or ["x"])[0]
                name = "y" if by.found == "y" else first
                ordered = {"order": values, "order_name": name}
        if y is not None and is_classifier(step):
            y = (y[:, np.newaxis] == step.classes_).astype(float)
            if target is not None and len(step.classes_) > 2:
                y = y[:, target]
        elif y is not None and y.ndim == 2 and target is not None:
            y = y[:, target]
        return cls(
            K_init=K_init,
            K_end=K_end,
            y=y,
            columns=pair.columns,
            n_averaged=n_averaged,
            **ordered,
        )

    @classmethod
    def from_results(
        cls,
        K_init,
        K_end,
        y=None,
        *,
        columns=None,
        order=None,
        max_samples=200,
        ax=None,
        **options,
    ):
        """Draw any two kernels on the same samples.

        Parameters
        ----------
        K_init, K_end : array-like of shape (n_samples, n_samples) or (n_targets, ...)
            The kernels; with several outputs the mean over these is taken.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets, numbers.
        columns : array-like of shape (n_samples, n_columns), default=None
            What is fitted outside the kernel, such as ones for an intercept.
        order : array-like of shape (n_samples,), default=None
            Numbers or labels by which the samples are ordered; None leaves them.
        max_samples : int, default=200
            At most so many samples, evenly chosen in their order, are taken.
        ax : Axes or array-like of Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            For `plot`.

        Returns
        -------
        TangentKernelDisplay

        Raises
        ------
        ValueError
            If shapes do not fit, or a kernel is not symmetric.
        """
        kernels = []
        for name, K in (("K_init", K_init), ("K_end", K_end)):
            K = single_kernel(K)
            if not is_symmetric(K):
                raise ValueError(f"{name} {K.shape} must be square and symmetric.")
            kernels.append(K)
        arrays = {"y": y, "columns": columns, "order": order}
        arrays = {
            name: np.asarray(array)
            for name, array in arrays.items()
            if array is not None
        }
        check_consistent_length(*kernels, *arrays.values())
        rows = np.arange(len(kernels[0]))
        if order is not None:
            rows = np.argsort(arrays["order"], kind="stable")
        rows = evenly(rows, max_samples)
        K_init, K_end = (K[np.ix_(rows, rows)] for K in kernels)
        chosen = {name: array[rows] for name, array in arrays.items()}
        return cls(K_init=K_init, K_end=K_end, **chosen).plot(ax, **options)

    def plot(self, ax=None, *, normalize=True, cmap=MAP, title=True):
        """Draw the kernels.

        Parameters
        ----------
        ax : Axes or array-like of Axes, default=None
            Where to draw, one that is split or as many as panels; None makes a figure.
        normalize : bool, default=True
            Whether each kernel is divided by the mean of its diagonal, so that the
            scale of colours, which they share, shows the shape of both. By how much the
            kernel has grown stands above it. The outer percent of entries of either
            sign is beyond the scale.
        cmap : str or Colormap, default="cividis"
            Colours of the images.
        title : bool, default=True
            Whether the change and the alignment stand above the picture.

        Returns
        -------
        self : TangentKernelDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If a kernel is zero but for what is fitted outside it.
        """
        if not all(np.any(values > 0) for values in self.eigenvalues_):
            raise ValueError(
                "A kernel is zero on these samples, but for what is fitted outside it: "
                "give more samples."
            )
        rows, columns = (1, 3) if self.y is None else (2, 2)
        size = (11.0, 3.6) if self.y is None else (8.4, 7.0)
        self.figure_, self.ax_ = make_axes(self, ax, rows, columns, figsize=size)
        self._draw_images(self.ax_[:2], normalize, cmap)
        self._draw_eigenvalues(self.ax_[2])
        self.share_lines_ = []
        if self.y is not None:
            self._draw_shares(self.ax_[3])
        if title:
            text = (
                f"kernel change {self.kernel_change_:.3g}, "
                f"alignment {self.kernel_alignment_:.3f}"
            )
            if self.n_averaged > 1:
                text += f" (of the mean over {self.n_averaged} outputs)"
            if ax is None:
                self.figure_.suptitle(text, fontsize="medium")
            else:
                self.ax_[2].set_title(text, fontsize="small")
        return self

    def _draw_images(self, axes, normalize, cmap):
        kernels = self._kernels
        traces = [np.trace(K) / len(K) for K in kernels]
        if normalize:
            kernels = [K / (t or 1.0) for K, t in zip(kernels, traces, strict=True)]
        # The diagonal may tower above all else.
        low, high = np.quantile(kernels, _SATURATED)
        self.images_ = [
            ax.imshow(K, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
            for ax, K in zip(axes, kernels, strict=True)
        ]
        grown = f", trace $\\times$ {traces[1] / traces[0]:.3g}" if traces[0] else ""
        axes[0].set_title("$K_0$", fontsize="medium")
        axes[1].set_title(f"$K_T${grown}", fontsize="medium")
        for ax in axes:
            self._label_samples(ax)
        label = "kernel / mean diagonal" if normalize else "kernel"
        self.figure_.colorbar(
            self.images_[1], ax=list(axes), label=label, shrink=0.8, extend="both"
        )

    def _label_samples(self, ax):
        """Put the values by which samples are ordered along an image."""
        if self.order is None:
            ax.set(xlabel="sample", ylabel="sample")
            return
        last = len(self.order) - 1
        names, first, count = np.unique(
            self.order, return_index=True, return_counts=True
        )
        if len(names) <= 2 * _TICKS:  # groups
            places, labels = first + (count - 1) / 2, [str(name) for name in names]
            for edge in first[first > 0] - 0.5:
                ax.axhline(edge, color="white", linewidth=0.8)
                ax.axvline(edge, color="white", linewidth=0.8)
        else:
            places = np.linspace(0, last, _TICKS).round().astype(int)
            labels = [_short(value) for value in self.order[places]]
        name = self.order_name or "order"
        ax.set(xlabel=f"samples by {name}", ylabel=f"samples by {name}")
        ax.set_xticks(places, [""] * len(places))  # the same as of the other axis
        ax.set_yticks(places, labels)

    def _draw_eigenvalues(self, ax):
        self.lines_ = []
        for index, (name, values) in enumerate(zip(_NAMES, self.eigenvalues_)):
            seen = values > _ROUNDING * values[0]
            places = np.arange(1, len(values) + 1)[seen]
            label = f"{name}: {entropy_rank(values):.3g} effective"
            (line,) = ax.loglog(
                places, values[seen], label=label, **_look(index, len(places))
            )
            self.lines_.append(line)
        ax.set(xlabel="index of eigenvalue", ylabel="eigenvalue")
        ax.legend(fontsize="small", loc="lower left")

    def _draw_shares(self, ax):
        for index, (name, shares) in enumerate(zip(_NAMES, self.target_shares_)):
            places = np.arange(1, len(shares) + 1)
            (line,) = ax.semilogx(
                places, shares, label=name, **_look(index, len(places))
            )
            self.share_lines_.append(line)
        ax.set(
            xlabel="top eigenvectors",
            ylabel="share of the target",
            ylim=(0, 1.03),
        )
        ax.legend(fontsize="small", loc="lower right")


_NAMES = ("$K_0$", "$K_T$")


def _look(index, count):
    marked = np.geomspace(1, count, min(count, 20)).round().astype(int) - 1
    every = {"markevery": np.unique(marked).tolist()}
    return {**look(index, markers=True), "linewidth": 1.4, **every}


def _short(value):
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)
