"""Spectra: singular values, coefficients or eigenvalues by size."""

import numpy as np

from skregimes.diagnostics import effective_sparsity
from skregimes.diagnostics.effective_rank import entropy_rank
from skregimes.inspection._display import (
    load_pyplot,
    look,
    make_axes,
)
from skregimes.inspection._fitted import Innermost, fitted, scale_name
from skregimes.inspection._kernels import kernel_pair, projected, single_kernel
from skregimes.inspection._spectra import (
    attribute,
    by_row,
    first_of,
    of_path,
    of_trajectory,
    sizes,
    without_offsets,
)

__all__ = ["SpectrumDisplay"]

# What a spectrum is of: its name, and the power whose sum is shared out.
_KINDS = {
    "singular_values": ("singular value", 2),
    "coef": ("size of coefficient", 1),
    "eigenvalues": ("eigenvalue", 1),
}
# Values below this share of the largest are rounding and are not drawn.
_ROUNDING = 1e-14
# Samples on which kernels are compared, at most.
_MOST_SAMPLES = 500
# What spectra to compare with are called, and how they look: rings, under the others.
_REFERENCE = "reference"
_RINGS = {
    "color": "0.3",
    "linestyle": "none",
    "marker": "o",
    "markersize": 8.0,
    "fillstyle": "none",
    "zorder": 1.5,
}


class SpectrumDisplay:
    """Spectra, largest values first, with their effective numbers.

    Make it by `from_estimator` or `from_results`.

    Parameters
    ----------
    spectra : dict of str to ndarray of shape (n_values,)
        Sizes by name, none negative, decreasing.
    what : {"singular_values", "coef", "eigenvalues"}, default="singular_values"
        What they are.
    legend_title : str, default=None
        What the names are.

    Attributes
    ----------
    effective_ : dict of str to float
        Effective numbers of values: `skregimes.diagnostics.effective_rank` of singular
        values and eigenvalues, `skregimes.diagnostics.effective_sparsity` of
        coefficients.
    shares_ : dict of str to ndarray of shape (n_values,)
        Shares explained by the first values: of the sum of squares of singular values,
        of the sum of eigenvalues, of the l1 norm of coefficients.
    ax_ : Axes or ndarray of two Axes
        Where it was drawn; two with shares.
    figure_ : Figure
        The figure of it.
    lines_ : list of Line2D
        The spectra.
    marks_ : list of Line2D
        The effective numbers.
    share_lines_ : list of Line2D
        The shares; empty without.

    See Also
    --------
    TangentKernelDisplay : The kernels themselves.
    TrajectoryDisplay : Singular values against time.

    References
    ----------
    Arora, Cohen, Hu, Luo, "Implicit Regularization in Deep Matrix Factorization",
    NeurIPS 2019 (spectra of matrices). Roy, Vetterli, "The Effective Rank: a Measure of
    Effective Dimensionality", EUSIPCO 2007, Definition 1.

    Examples
    --------
    >>> from skregimes.inspection import SpectrumDisplay
    >>> display = SpectrumDisplay.from_results({"few": [3.0, 3.0, 0.0], "one": [1.0]})
    >>> {name: round(number, 1) for name, number in display.effective_.items()}
    {'few': 2.0, 'one': 1.0}
    """

    def __init__(self, *, spectra, what="singular_values", legend_title=None):
        self.spectra = spectra
        self.what = what
        self.legend_title = legend_title

    @property
    def effective_(self):
        """Effective numbers of values, by name."""
        count = effective_sparsity if self.what == "coef" else entropy_rank
        return {name: float(count(values)) for name, values in self.spectra.items()}

    @property
    def shares_(self):
        """Shares explained by the first values, by name."""
        power = _KINDS[self.what][1]
        shares = {}
        for name, values in self.spectra.items():
            sizes = (values / (np.max(values, initial=0.0) or 1.0)) ** power
            shares[name] = np.cumsum(sizes) / (np.sum(sizes) or 1.0)
        return shares

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        y=None,
        *,
        what="auto",
        reference=None,
        name=None,
        ax=None,
        **options,
    ):
        """Draw the spectrum of what an estimator fitted.

        Parameters
        ----------
        estimator : estimator
            With ``singular_values_``, such as `MatrixFactorizer`; with ``coef_``, such
            as `DiagonalNetRegressor`; or with ``tangent_kernel``, such as
            `ShallowReLURegressor`; also a pipeline or a search. One that is not fitted
            is cloned and fitted.
        X : array-like, default=None
            Samples for the kernel, of which at most 500, evenly chosen, are taken; and
            training data, if there is something to fit. A matrix estimator takes what
            its `fit` takes.
        y : array-like, default=None
            Targets, for an estimator that is to be fitted.
        what : {"auto", "singular_values", "coef", "eigenvalues"}, default="auto"
            Singular values of the fitted matrix, sizes of the coefficients, or
            eigenvalues of the tangent kernel at the start and at the end over the
            samples X, without what is fitted outside it (intercept, linear part);
            "auto" is the first that there is.
        reference : array-like, default=None
            A matrix or coefficients to compare with, such as the truth or what was
            observed. The estimator's offsets are taken from a matrix first; holes
            (nan) then count as zeros. Not for eigenvalues.
        name : str, default=None
            Of the spectrum; None is the scale and the regime.
        ax : Axes or array-like of two Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            For `plot`.

        Returns
        -------
        SpectrumDisplay

        Raises
        ------
        ValueError
            If the estimator has no such spectrum, or X is missing.
        """
        load_pyplot(cls)  # before any work
        _check_what(what, ("auto", *_KINDS))
        estimator = fitted(estimator, X, y)
        step = Innermost.of(estimator).step
        if what == "auto":
            what = first_of(step)
        if name is None:
            name = scale_name(estimator, "init_scale ") or "fitted"
        if what == "eigenvalues":
            if reference is not None:
                raise ValueError(
                    "reference is a matrix or coefficients; compare kernels by "
                    "from_results({name: kernel, ...}, what='eigenvalues')."
                )
            if X is None:
                raise ValueError("Eigenvalues of the kernel need samples X.")
            pair = kernel_pair(estimator, X, y, max_samples=_MOST_SAMPLES)
            kernels = [projected(single_kernel(K), pair.columns) for K in pair.kernels]
            found = dict(zip(("at the start", "at the end"), kernels, strict=True))
        elif what == "coef":
            found = by_row(name, attribute(step, "coef_"))
        else:
            found = {name: attribute(step, "singular_values_")}
        if reference is not None:
            reference = np.asarray(reference, dtype=float)
            if what == "coef":
                found |= by_row(_REFERENCE, reference)
            else:
                found[_REFERENCE] = without_offsets(step, reference)
        spectra = {key: sizes(value, what) for key, value in found.items()}
        return cls(spectra=spectra, what=what).plot(ax, **options)

    @classmethod
    def from_results(
        cls, results, *, what="singular_values", n_times=5, ax=None, **options
    ):
        """Draw spectra of arrays, of a trajectory, or of a path over scales.

        Parameters
        ----------
        results : array-like, dict of str to array-like, trajectory, or InitScalePath
            1-D arrays are values, 2-D ones matrices, of which the singular values or
            eigenvalues are taken. Of a trajectory with ``singular_values`` or ``coef``
            the spectra at some times are drawn, of a path those at its last time.
        what : {"singular_values", "coef", "eigenvalues"}, default="singular_values"
            What arrays hold; trajectories and paths know it.
        n_times : int, default=5
            Number of times of a trajectory, evenly spread over its recorded points.
        ax : Axes or array-like of two Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            For `plot`.

        Returns
        -------
        SpectrumDisplay

        Raises
        ------
        ValueError
            If the results hold no spectrum.
        """
        _check_what(what, _KINDS)
        title = None
        if hasattr(results, "init_scales"):
            results, what, title = of_path(results)
        elif hasattr(results, "time"):
            results, what, title = of_trajectory(results, n_times)
        elif not isinstance(results, dict):
            results = {_KINDS[what][0] + "s": results}
        spectra = {str(name): sizes(value, what) for name, value in results.items()}
        if not spectra:
            raise ValueError("results is empty: there is no spectrum to draw.")
        display = cls(spectra=spectra, what=what, legend_title=title)
        return display.plot(ax, **options)

    def plot(
        self,
        ax=None,
        *,
        share=False,
        xscale="auto",
        yscale="log",
        legend=True,
        line_kwargs=None,
    ):
        """Draw the spectra.

        Parameters
        ----------
        ax : Axes or array-like of two Axes, default=None
            Where to draw; None makes a figure.
        share : bool, default=False
            Whether a second panel shows the share that the first values explain.
        xscale : {"auto", "linear", "log"}, default="auto"
            Of the index; "auto" is "log" for eigenvalues and else "linear".
        yscale : {"linear", "log"}, default="log"
            Of the values. Those below 1e-14 of the largest are not drawn with "log",
            which is "linear" where all are zero.
        legend : bool, default=True
            Whether there is a legend, with the effective numbers.
        line_kwargs : dict, default=None
            For `matplotlib.axes.Axes.plot` of the spectra.

        Returns
        -------
        self : SpectrumDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        noun, power = _KINDS[self.what]
        self.figure_, axes = make_axes(self, ax, 1, 2 if share else 1)
        self.ax_ = axes if share else axes[0]
        if xscale == "auto":
            xscale = "log" if self.what == "eigenvalues" else "linear"
        if not any(np.any(values) for values in self.spectra.values()):
            yscale = "linear"
        before = len(axes[0].lines) // 2  # each has a line and a mark
        self.lines_, self.marks_, self.share_lines_ = [], [], []
        shares, effective = self.shares_, self.effective_
        for index, (name, values) in enumerate(self.spectra.items(), before):
            style = self._look(name, index, len(values)) | (line_kwargs or {})
            shown = values
            if yscale == "log":
                shown = np.where(values > _ROUNDING * values.max(), values, np.nan)
            places, number = np.arange(1, len(values) + 1), effective[name]
            label = f"{name}: {number:.3g} effective"
            (line,) = axes[0].plot(places, shown, label=label, **style)
            mark = axes[0].axvline(
                number, color=line.get_color(), linestyle=":", linewidth=1.2, zorder=1
            )
            self.lines_.append(line)
            self.marks_.append(mark)
            if share:
                (line,) = axes[1].plot(places, shares[name], label=name, **style)
                self.share_lines_.append(line)
        axes[0].set(ylabel=noun, yscale=yscale)
        if share:
            of = "squares" if power == 2 else f"{noun}s"
            axes[1].set(ylabel=f"share of the sum of {of}", ylim=(0, 1.03))
        for each in axes:
            each.set(xlabel="index, the largest first", xscale=xscale)
            if xscale == "linear":
                each.xaxis.get_major_locator().set_params(integer=True)
        if legend:
            axes[0].legend(fontsize="small", title=self.legend_title)
        return self

    def _look(self, name, index, count):
        # Marks thin out, since the first values matter most.
        marked = np.geomspace(1, count, min(count, 25)).round().astype(int) - 1
        every = {"markevery": np.unique(marked).tolist()}
        if name.startswith(_REFERENCE):
            return _RINGS
        return {**look(index, markers=True), "linewidth": 1.4, **every}


def _check_what(what, allowed):
    if what not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(f"what must be one of {names}; got {what!r}.")
