"""Splines that shallow ReLU networks reach: of least curvature or total variation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.linalg import LinAlgError, solve_banded
from scipy.optimize import linprog

from skregimes.limits._checks import (
    LimitError,
    check_array,
    check_scale,
    check_system,
)

__all__ = [
    "CurvatureSpline",
    "LinearSpline",
    "PolyharmonicSpline",
    "curvature_spline",
    "linear_spline",
    "min_total_variation",
    "min_total_variation_band",
    "polyharmonic_limit",
    "smoothing_spline",
]

# Gauss-Legendre rule of each panel, on [0, 1].
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_ENDS = np.array([1e-8, 1 - 1e-8])
# From values at the nodes to those, at the ends, of the polynomial through them.
_TO_ENDS = np.linalg.solve(
    np.polynomial.legendre.legvander(_NODES, 15).T,
    np.polynomial.legendre.legvander(2 * _ENDS - 1, 15).T,
)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
# Relative error of the integrals of zeta at which a panel is no longer halved.
_QUADRATURE_TOL = 1e-13
# Relative rank of centered points under which a direction counts as absent.
_RANK_TOL = 1e-12


# -- least curvature -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CurvatureSpline:
    """A function f whose ``f'' / zeta`` is a linear spline on the samples.

    Made by `curvature_spline` and `smoothing_spline`.

    Parameters
    ----------
    knots : ndarray of shape (n_knots,)
        Distinct samples, ascending.
    values, slopes : ndarray of shape (n_knots,)
        Values and slopes of f there.
    dual : ndarray of shape (n_knots,)
        ``f'' / zeta`` there; linear between knots and outside them.
    outer_slopes : tuple of two floats
        Slopes of the dual below the first and above the last knot: zeros with a skip
        connection, where f is affine outside its knots.
    penalty : float
        The penalty that `curvature_spline` minimizes, at f.
    zeta : callable
        Curvature weight.
    panels : ndarray
        Where zeta is integrated piece by piece.

    Examples
    --------
    >>> from skregimes.limits import curvature_spline
    >>> spline = curvature_spline([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    >>> spline.dual.round(4)
    array([ 0., -3.,  0.])
    >>> round(spline.penalty, 4)
    6.0
    """

    knots: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    dual: np.ndarray
    outer_slopes: tuple[float, float]
    penalty: float
    zeta: Callable
    panels: np.ndarray = field(repr=False)

    def __call__(self, x, nu=0):
        """Evaluate the spline or its derivative.

        Parameters
        ----------
        x : array-like
            Places, of any shape, inside the samples or not.
        nu : {0, 1, 2}, default=0
            Order of the derivative.

        Returns
        -------
        f : ndarray of the shape of x
            Units of y over those of x to the power nu.

        Raises
        ------
        ValueError
            If nu is none of these, or x is not finite.
        """
        if nu not in (0, 1, 2):
            raise ValueError(f"nu must be 0, 1 or 2; got {nu!r}.")
        x = check_array(x, "x", range(33))
        if nu == 2:
            return self._curvature(x)
        edges, first, last = self.panels, self.knots[0], self.knots[-1]
        if any(self.outer_slopes) and x.size:  # f bends outside its knots too
            edges = np.unique(
                np.concatenate(
                    [
                        _panels(self.zeta, np.unique([min(x.min(), first), first])),
                        edges,
                        _panels(self.zeta, np.unique([last, max(x.max(), last)])),
                    ]
                )
            )
        heights, slopes = self._at(edges)
        panel = np.maximum(np.searchsorted(edges, x, "right") - 1, 0)
        run = x - edges[panel]
        bend = _WEIGHTS * self._curvature(edges[panel][..., None] + _outer(run, _NODES))
        if nu == 1:
            return slopes[panel] + run * bend.sum(axis=-1)
        return heights[panel] + slopes[panel] * run + run**2 * (bend @ (1 - _NODES))

    def _curvature(self, s):
        """Return f''."""
        dual = np.interp(s, self.knots, self.dual)
        if not any(self.outer_slopes):  # then zeta may be undefined outside the knots
            return self.zeta(np.clip(s, self.knots[0], self.knots[-1])) * dual
        below, above = self.outer_slopes
        dual = dual + below * np.minimum(s - self.knots[0], 0)
        return self.zeta(s) * (dual + above * np.maximum(s - self.knots[-1], 0))

    def _at(self, edges):
        """Return f and f' at the edges of panels, from those at the nearest knots."""
        run = np.diff(edges)
        bend = _WEIGHTS * self._curvature(edges[:-1, None] + _outer(run, _NODES))
        rise = np.concatenate([[0.0], np.cumsum(run * bend.sum(axis=1))])
        knot = np.searchsorted(self.knots, edges, "right") - 1
        knot = np.clip(knot, 0, len(self.knots) - 1)
        start = np.searchsorted(edges, self.knots)[knot]
        slopes = self.slopes[knot] + rise - rise[start]
        climb = slopes[:-1] * run + run**2 * (bend @ (1 - _NODES))
        climb = np.concatenate([[0.0], np.cumsum(climb)])
        return self.values[knot] + climb - climb[start], slopes


def curvature_spline(
    x, y, zeta=None, *, lam=0.0, sample_weight=None, skip_connection=True
):
    r"""Return the function of least weighted curvature through or near the samples.

    It minimizes

    .. math:: \sum_i w_i (f(x_i) - y_i)^2 + \lambda \int f''(s)^2 / \zeta(s) \, ds

    or, for ``lam=0``, the integral among the functions that interpolate: where gradient
    flow on a wide ReLU network ends in the kernel regime, with `zeta` given by the law
    of its initial weights (`skregimes.kernels.curvature_weight`). At time t the
    network is near the spline of ``lam = sum(sample_weight) / (init_scale**2 * t)``
    (`smoothing_spline`).

    Parameters
    ----------
    x : array-like of shape (n_samples,)
        Samples, in any order. Equal ones count as one, of the sum of their weights and
        the weighted mean of their targets, also for ``lam=0``.
    y : array-like of shape (n_samples,)
        Targets.
    zeta : callable or float, default=None
        Curvature weight: from an array of places to non-negative numbers, or a positive
        number. It may jump, but peaks much narrower than the spacing of the samples may
        be missed. None means 1: the natural cubic spline, and SciPy's
        ``make_smoothing_spline`` of the same `lam`.
    lam : float, default=0.0
        Penalty, at least 0; inf gives what is not penalized: the regression line.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights w, not normalized; samples of weight zero are left out. None means ones.
    skip_connection : bool, default=True
        Whether the network has a trained affine part, or else its hidden layer alone
        (of a law that is symmetric under change of sign) and the penalty has a part
        for the affine functions; see Notes.

    Returns
    -------
    spline : CurvatureSpline
        Called with places, and the order of a derivative. With a skip connection it
        is affine outside the samples.

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    LimitError
        A ``RuntimeError``: zeta vanishes around a sample, or its integrals do not
        converge.

    Notes
    -----
    ``f'' = zeta * p`` with p a linear spline on the samples, which is a banded linear
    system: time and memory are linear in the number of samples. The integrals of zeta
    are computed to a relative accuracy of about 1e-13.

    Without skip connection, and with ``E[a**2]``, ``E[a * b]`` and ``E[b**2]`` the
    integrals of zeta times 1, the place and its square, which must be finite, the
    kernel is that of `skregimes.kernels.output_kernel`, and its squared norm of f the
    penalty. For an even zeta it is

    .. math:: \int \frac{f''(s)^2}{\zeta(s)} ds
        + \frac{(f'(\infty) + f'(-\infty))^2}{E[a^2]}
        + \frac{(\int f''(s) |s| ds - 2 f(0))^2}{E[b^2]}.

    References
    ----------
    Jin and Montufar, "Implicit Bias of Gradient Descent for Mean Squared Error
    Regression with Two-Layer Wide Neural Networks", JMLR 2023 (one feature).

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.kernels import curvature_weight
    >>> from skregimes.limits import curvature_spline
    >>> x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0])
    >>> curvature_spline(x, y)([0.5, 1.0, 3.0]).round(4)
    array([ 0.6875,  1.    , -1.5   ])
    >>> zeta = curvature_weight(law="gaussian", bias_scale=1.0)
    >>> curvature_spline(x, y, zeta)([0.5, 1.0, 3.0]).round(4)
    array([ 0.86  ,  1.    , -1.1763])
    """
    x, y, weight = _check_samples(x, y, sample_weight)
    lam = float(lam)
    if not lam >= 0:
        raise ValueError(f"lam must be at least 0; got {lam:g}.")
    if zeta is None or not callable(zeta):
        level = 1.0 if zeta is None else float(check_array(zeta, "zeta", (0,)))
        if not level > 0:
            raise ValueError(f"zeta must be positive; got {level:g}.")
        if not skip_connection:
            raise ValueError(
                "A constant zeta belongs to no network without skip connection: its"
                " integral over the line is infinite. Pass a callable."
            )
        zeta = partial(np.full_like, fill_value=level)
    system = _System(x, weight, zeta, lam)
    free = y
    if np.isinf(lam):
        free = _line(x, y, weight) if skip_connection else np.zeros_like(y)
    if skip_connection or np.isinf(lam):
        return system.spline(system.solve(free, (0.0, 0.0)), (0.0, 0.0))

    # The kernel is [x, 1] C [x, 1]^T + G / 2, with G the kernel of zeta that vanishes
    # for equal arguments. The solution is linear in the targets and in the moments
    # (T, S) of the kernel's coefficients, which C turns into the affine part.
    mass, first, second = _line_moments(zeta, np.abs(x).max() or 1.0)
    C = np.array([[mass, -first], [-first, second]]) / 2
    if len(x) == 1:
        kernel = np.array([x[0], 1.0]) @ C @ [x[0], 1.0]
        coef = y[0] / (kernel + lam / weight[0])
        moments = coef * np.array([x[0], 1.0])
        slope = (C @ moments)[0]
        solution = np.array([kernel * coef]), np.zeros(1), np.array([coef])
        return system.spline(solution, moments, slope)
    start = system.solve(y, (0.0, 0.0))
    along = [system.solve(np.zeros_like(y), unit) for unit in np.eye(2)]
    V = np.column_stack([system.affine(s, unit) for s, unit in zip(along, np.eye(2))])
    moments = np.linalg.solve(C - V, system.affine(start, (0.0, 0.0)))
    return system.spline(system.solve(y, moments), moments)


class _System:
    """The linear system of a spline: values g and dual p at the samples.

    With the kernel coefficients ``alpha``, the jumps of the slope of p, it reads
    ``weight * (y - g) = lam * alpha`` and, for the second differences of g, ``D g = M
    p``. The dual ends at given moments ``T = alpha @ x`` and ``S = sum(alpha)``.
    """

    def __init__(self, x, weight, zeta, lam):
        self.x, self.weight, self.zeta, self.lam = x, weight, zeta, lam
        self.panels = _panels(zeta, x)
        self.gap = np.diff(x)
        run = np.diff(self.panels)
        s = self.panels[:-1, None] + _outer(run, _NODES)
        density = run[:, None] * _WEIGHTS * zeta(s)
        interval = np.searchsorted(x, self.panels[:-1], "right") - 1
        share = (s - x[interval][:, None]) / self.gap[interval][:, None]

        def integral(values):
            sums = np.sum(density * values, axis=1)
            return np.bincount(interval, sums, minlength=len(self.gap))

        # Integrals of zeta times products of the two hat functions of an interval.
        self.falling = integral((1 - share) ** 2)
        self.crossed = integral(share * (1 - share))
        self.rising = integral(share**2)

    def solve(self, y, moments):
        """Return g, p and alpha."""
        n, gap, (T, S) = len(self.x), self.gap, moments
        ends = (T - S * self.x[0]) / 2, (S * self.x[-1] - T) / 2
        if np.isinf(self.lam) or n == 1:
            return y, np.zeros(n), np.zeros(n)
        # Unknowns g_0, p_0, g_1, p_1, ...; row i of diagonal k holds entry (i, i + k).
        rows = {k: np.zeros(2 * n) for k in range(-3, 4)}
        right = np.empty(2 * n)
        # (1) g + lam / weight * alpha = y
        stiff = self.lam / self.weight
        rows[0][::2] = 1
        rows[1][:-2:2] -= stiff[:-1] / gap
        rows[1][2::2] -= stiff[1:] / gap
        rows[3][:-2:2] = stiff[:-1] / gap
        rows[-1][2::2] = stiff[1:] / gap
        right[::2] = y
        right[0] -= stiff[0] * S / 2
        right[-2] -= stiff[-1] * S / 2
        # (2) D g - M p = 0 inside, in units of g; p given at the ends
        unit = gap[:-1] * gap[1:] / (gap[:-1] + gap[1:])
        rows[0][1::2] = 1
        rows[-3][3:-2:2] = unit / gap[:-1]
        rows[-1][3:-2:2] = -1
        rows[1][3:-2:2] = unit / gap[1:]
        rows[-2][3:-2:2] = -unit * self.crossed[:-1]
        rows[0][3:-2:2] = -unit * (self.rising[:-1] + self.falling[1:])
        rows[2][3:-2:2] = -unit * self.crossed[1:]
        right[1::2] = 0
        right[1], right[-1] = ends
        banded = np.array([np.roll(rows[k], k) for k in range(3, -4, -1)])
        try:
            solution = solve_banded((3, 3), banded, right)
        except LinAlgError as error:
            raise LimitError(
                "No function interpolates: zeta vanishes around a sample. Give it"
                " support wherever there are samples, or take lam > 0."
            ) from error
        g, p = solution[::2], solution[1::2]
        p[[0, -1]] = ends  # not to rounding: f is affine outside for zeros
        turn = np.diff(p) / gap
        alpha = np.diff(turn, prepend=-S / 2, append=S / 2)
        return (y if self.lam == 0 else g), p, alpha

    def slopes(self, g, p):
        """Return f' at the samples."""
        chords = np.diff(g) / self.gap
        right = chords - self.falling * p[:-1] - self.crossed * p[1:]
        left = chords[-1:] + self.crossed[-1:] * p[-2:-1] + self.rising[-1:] * p[-1:]
        return np.concatenate([right, left])

    def affine(self, solution, moments):
        """Return the affine part (slope, intercept) next to ``G @ alpha / 2``."""
        (g, p, _), (T, S) = solution, moments
        # Integrals of zeta * q from the first sample, and of the distance to it times
        # that, where q = p + (T - S * s) / 2 is linear between samples.
        q = p + (T - S * self.x) / 2
        falling = self.falling * q[:-1] + self.crossed * q[1:]
        rising = self.crossed * q[:-1] + self.rising * q[1:]
        far = np.sum((self.x[:-1] - self.x[0]) * (falling + rising) + self.gap * rising)
        slope = self.slopes(g, p)[0] + np.sum(falling + rising) / 2
        return np.array([slope, g[0] - slope * self.x[0] - far / 2])

    def spline(self, solution, moments, slope=0.0):
        """Return the function; a lone sample needs its slope."""
        (g, p, alpha), S = solution, float(moments[1])
        return CurvatureSpline(
            knots=self.x,
            values=g,
            slopes=self.slopes(g, p) if len(g) > 1 else np.array([slope]),
            dual=p,
            outer_slopes=(-S / 2, S / 2),
            penalty=float(alpha @ g),
            zeta=self.zeta,
            panels=self.panels,
        )


def smoothing_spline(
    x, y, time, zeta, *, init_scale=1.0, sample_weight=None, skip_connection=True
):
    """Return the smoothing spline that a wide ReLU network is near at a time.

    `curvature_spline` with ``lam = sum(sample_weight) / (init_scale**2 * time)``. Where
    the tangent kernel over the samples has an eigenvalue mu, gradient flow has fitted
    the share ``1 - exp(-s)`` of the target, ``s = time * mu / n_samples``, and this
    spline ``s / (1 + s)``: they differ by at most 0.204, and by 0.103 for the spline at
    ``time / 0.53``. `kernel_flow` is exact.

    Parameters
    ----------
    x, y : array-like of shape (n_samples,)
        As in `curvature_spline`.
    time : float
        Flow time of half the weighted mean squared error, in ``[0, inf]``.
    zeta : callable or float
        Curvature weight of the initial law per unit ``init_scale**2``, as of
        `skregimes.kernels.curvature_weight`; ``1 / (2 * L)`` for a "uniform" law whose
        biases reach L.
    init_scale : float, default=1.0
        Scale alpha of the initial hidden weights, positive.
    sample_weight : array-like of shape (n_samples,), default=None
        As in `curvature_spline`.
    skip_connection : bool, default=True
        As in `curvature_spline`.

    Returns
    -------
    spline : CurvatureSpline

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    LimitError
        As in `curvature_spline`.

    References
    ----------
    Jin and Montufar, JMLR 2023 (training trajectories).

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import smoothing_spline
    >>> x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0])
    >>> [smoothing_spline(x, y, time, zeta=0.5)(1.0).round(4) for time in (0, 50, 1e9)]
    [np.float64(0.3333), np.float64(0.6538), np.float64(1.0)]
    """
    time, init_scale = float(time), check_scale(init_scale)
    if not time >= 0:
        raise ValueError(f"time must be at least 0; got {time:g}.")
    total = np.size(y) if sample_weight is None else np.sum(sample_weight)
    lam = np.inf if time == 0 else total / (init_scale**2 * time)
    return curvature_spline(
        x,
        y,
        zeta,
        lam=lam,
        sample_weight=sample_weight,
        skip_connection=skip_connection,
    )


# -- several dimensions ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PolyharmonicSpline:
    """A cubic polyharmonic spline; made by `polyharmonic_limit`.

    Parameters
    ----------
    center : ndarray of shape (n_features,)
        Mean of the distinct samples.
    directions : ndarray of shape (rank, n_features)
        Orthogonal basis of the differences of samples, of one length, such that the
        samples lie in the unit ball.
    interpolator : scipy.interpolate.RBFInterpolator
        In the coordinates of that basis.

    Examples
    --------
    >>> from skregimes.limits import polyharmonic_limit
    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> spline = polyharmonic_limit(X, [0.0, 1.0, 1.0, 2.0])
    >>> spline([[0.5, 0.25]]).round(4)
    array([0.75])
    """

    center: np.ndarray
    directions: np.ndarray
    interpolator: RBFInterpolator

    def __call__(self, X):
        """Evaluate at X of shape (n_samples, n_features)."""
        X = check_array(X, "X", (2,))
        if X.shape[1] != len(self.center):
            raise ValueError(
                f"X has {X.shape[1]} features; the samples had {len(self.center)}."
            )
        return self.interpolator((X - self.center) @ self.directions.T)


def polyharmonic_limit(X, y):
    """Return the interpolator to which wide ReLU networks train in d dimensions.

    The kernel limit for weights uniform on the sphere, biases uniform on ``[-L, L]``
    with L at least the largest norm, and a trained affine part: SciPy's
    ``RBFInterpolator(kernel="cubic", degree=1)``, made safe for few, equal or
    degenerate samples.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Samples. Equal ones count as one, with the mean of their targets.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.

    Returns
    -------
    spline : PolyharmonicSpline
        Called with an array of shape (n_samples, n_features).

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    Notes
    -----
    If the samples lie in an affine subspace, the spline is that of their coordinates
    in it, constant in the directions across; on the subspace it is the limit. Up to
    ``n_features + 1`` samples in general position it is affine. Time is cubic in the
    number of samples.

    References
    ----------
    Jin and Montufar, JMLR 2023 (several features).

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import polyharmonic_limit
    >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> polyharmonic_limit(X, [0.0, 1.0, 1.0, 0.0])([[0.5, 0.5], [0.5, 0.0]]).round(4)
    array([0.5, 0.5])
    """
    X, y = check_system(X, y)
    X, group, count = np.unique(X, axis=0, return_inverse=True, return_counts=True)
    means = np.zeros((len(X), *y.shape[1:]))
    np.add.at(means, group, y)
    means /= count.reshape(-1, *[1] * (y.ndim - 1))
    center = X.mean(axis=0)
    _, size, directions = np.linalg.svd(X - center, full_matrices=False)
    rank = max(int(np.sum(size > _RANK_TOL * size[0])), 1)
    radius = np.max(np.linalg.norm(X - center, axis=1))
    directions = directions[:rank] / (radius or 1.0)  # the spline is homogeneous
    places = (X - center) @ directions.T
    if len(X) == 1:  # a constant: the interpolant of two equal values
        places, means = np.array([[-1.0], [1.0]]), np.repeat(means, 2, axis=0)
    interpolator = RBFInterpolator(places, means, kernel="cubic", degree=1)
    return PolyharmonicSpline(center, directions, interpolator)


# -- least total variation -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LinearSpline:
    """A piecewise linear function, affine outside its knots.

    Made by `linear_spline` and `min_total_variation`.

    Parameters
    ----------
    knots : ndarray of shape (n_knots,)
        Ascending.
    values : ndarray of shape (n_knots,)
        The function there.

    Examples
    --------
    >>> from skregimes.limits import linear_spline
    >>> spline = linear_spline([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    >>> spline.slope_changes
    array([-2.])
    """

    knots: np.ndarray
    values: np.ndarray

    @property
    def slopes(self):
        """Slopes between knots, (n_knots - 1,); one zero for a lone knot."""
        if len(self.knots) == 1:
            return np.zeros(1)
        return np.diff(self.values) / np.diff(self.knots)

    @property
    def slope_changes(self):
        """Changes of slope at the inner knots, (n_knots - 2,)."""
        return np.diff(self.slopes)

    @property
    def total_variation(self):
        """Total variation of the slope."""
        return float(np.abs(self.slope_changes).sum())

    def __call__(self, x):
        """Evaluate at an array of places."""
        x = check_array(x, "x", range(33))
        piece = np.searchsorted(self.knots[1:-1], x, "right")
        return self.values[piece] + self.slopes[piece] * (x - self.knots[piece])


def linear_spline(x, y, *, sample_weight=None):
    """Return the piecewise linear interpolant: the limit for tiny initial weights.

    An interpolant of least total variation of the slope, with knots at the samples; its
    end pieces continue outside. Trained networks come near it, and near other
    functions of the same total variation (`min_total_variation_band`), as their
    initial scale falls; at the smallest scales they need not interpolate.

    Parameters
    ----------
    x : array-like of shape (n_samples,)
        Samples, in any order. Equal ones count as one, with the weighted mean of their
        targets.
    y : array-like of shape (n_samples,)
        Targets.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; samples of weight zero are left out. None means ones.

    Returns
    -------
    spline : LinearSpline
        With ``knots``, ``slopes``, ``slope_changes`` and ``total_variation``.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Williams et al., "Gradient Dynamics of Shallow Univariate ReLU Networks", NeurIPS
    2019. Hanin, "Ridgeless Interpolation with Shallow ReLU Networks in 1D is Nearest
    Neighbor Curvature Extrapolation and Provably Generalizes on Lipschitz Functions",
    2021.

    Examples
    --------
    >>> from skregimes.limits import linear_spline
    >>> spline = linear_spline([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    >>> spline([0.5, 3.0])
    array([ 0.5, -1. ])
    >>> spline.total_variation
    2.0
    """
    x, y, _ = _check_samples(x, y, sample_weight)
    return LinearSpline(x, y)


def min_total_variation(x, y, *, weight=None, grid=None):
    """Minimize the total variation of the slope of an interpolant on a grid of knots.

    A linear program: ``min sum(weight * abs(change of slope))`` over the piecewise
    linear interpolants of which the inner knots are points of the grid.

    Parameters
    ----------
    x : array-like of shape (n_samples,)
        Samples, in any order. Equal ones count as one, with the mean of their targets.
    y : array-like of shape (n_samples,)
        Targets.
    weight : callable, default=None
        Positive cost of a unit change of slope at each place. None means 1; a network
        of which all parameters, biases included, have least norm has ``sqrt(1 +
        s**2)``.
    grid : array-like of shape (n_grid,), default=None
        Places of possible knots besides the samples; those outside the samples are
        ignored. None means none without a weight (nothing beats the samples), and 512
        equal steps with one.

    Returns
    -------
    value : float
        Least total variation, in units of slope (times those of the weight).
    spline : LinearSpline
        One solution; there may be many.

    Raises
    ------
    ValueError
        If an argument is out of its domain.
    LimitError
        A ``RuntimeError``: the linear program was not solved.

    References
    ----------
    Savarese et al., "How do infinite width bounded norm networks look in function
    space?", COLT 2019. Boursier and Flammarion, "Penalising the biases in norm
    regularisation enforces sparsity", NeurIPS 2023 (the weight above).

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import min_total_variation
    >>> x, y = np.arange(4.0), np.array([0.0, 1.0, 1.0, 0.0])
    >>> value, _ = min_total_variation(x, y)
    >>> round(value, 6)
    2.0
    """
    x, y, _ = _check_samples(x, y, None)
    cost = weight if weight is not None else np.ones_like
    if grid is not None:
        grid = check_array(grid, "grid", (1,))
    elif weight is None:
        grid = x
    else:
        grid = np.linspace(x[0], x[-1], 513)
    knots = np.unique(np.concatenate([x, grid]))
    knots = knots[(knots > x[0]) & (knots < x[-1])]
    cost = check_array(cost(knots), "weight", (1,))
    if not np.all(cost > 0):
        raise ValueError(f"weight must be positive; its minimum is {cost.min():g}.")
    # In units where the samples span [0, 1] and deviate from their chord by up to 1.
    span = (x[-1] - x[0]) or 1.0
    chord = LinearSpline(x[[0, -1]], y[[0, -1]]) if len(x) > 1 else LinearSpline(x, y)
    rest = y - chord(x)
    size = np.abs(rest).max()
    if size == 0:
        return 0.0, chord
    # rest = tilt * (x - x[0]) + sum of hinges
    hinges = np.maximum(x[1:, None] - knots, 0) / span
    run = (x[1:, None] - x[0]) / span
    program = linprog(
        np.concatenate([[0.0], cost, cost]),
        A_eq=np.hstack([run, hinges, -hinges]),
        b_eq=rest[1:] / size,
        bounds=[(None, None)] + [(0, None)] * (2 * len(knots)),
        method="highs",
        options={
            "primal_feasibility_tolerance": 1e-10,
            "dual_feasibility_tolerance": 1e-10,
        },
    )
    if not program.success:
        raise LimitError(f"The linear program was not solved: {program.message}")
    tilt, up, down = np.split(program.x, [1, 1 + len(knots)])
    change = up - down
    used = np.abs(change) > 1e-12 * np.abs(change).max()
    ends = np.concatenate([x[:1], knots[used], x[-1:]])
    bends = np.maximum(ends[:, None] - knots[used], 0) @ change[used]
    values = chord(ends) + size / span * (tilt * (ends - x[0]) + bends)
    return float(program.fun * size / span), LinearSpline(ends, values)


def min_total_variation_band(x, y, points):
    """Return the range of the interpolants of least total variation of the slope.

    Between two samples where the `linear_spline` bends the same way at both, a function
    may lie anywhere between the chord and the neighboring pieces' extensions; wherever
    it does not, and outside the samples, it is the linear spline.

    Parameters
    ----------
    x : array-like of shape (n_samples,)
        Samples, in any order. Equal ones count as one, with the mean of their targets.
    y : array-like of shape (n_samples,)
        Targets.
    points : array-like
        Places, of any shape.

    Returns
    -------
    lower, upper : ndarray of the shape of points
        Least and greatest values; each is attained.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Hanin, "Ridgeless Interpolation with Shallow ReLU Networks in 1D", 2021.

    Examples
    --------
    >>> from skregimes.limits import min_total_variation_band
    >>> x, y = [0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 1.0, 0.0]
    >>> min_total_variation_band(x, y, [0.5, 1.5])
    (array([0.5, 1. ]), array([0.5, 1.5]))
    """
    spline = linear_spline(x, y)
    points = check_array(points, "points", range(33))
    chord = spline(points)
    lower, upper = chord.copy(), chord.copy()
    x, y, slopes = spline.knots, spline.values, spline.slopes
    bends = np.sign(spline.slope_changes)
    piece = np.searchsorted(x[1:-1], points, "right")
    inner = (piece > 0) & (piece < len(slopes) - 1)
    k = piece[inner]
    before = y[k] + slopes[k - 1] * (points[inner] - x[k])
    after = y[k + 1] + slopes[k + 1] * (points[inner] - x[k + 1])
    bend, same = bends[k - 1], bends[k - 1] == bends[k]
    convex, concave = same & (bend > 0), same & (bend < 0)
    lower[inner] = np.where(convex, np.maximum(before, after), chord[inner])
    upper[inner] = np.where(concave, np.minimum(before, after), chord[inner])
    return lower, upper


# -- shared ----------------------------------------------------------------------------


def _check_samples(x, y, sample_weight):
    """Return distinct samples in order, the means of their targets, their weights."""
    x, y = check_array(x, "x", (1,)), check_array(y, "y", (1,))
    weight = np.ones_like(x)
    if sample_weight is not None:
        weight = check_array(sample_weight, "sample_weight", (1,))
    if not len(x) == len(y) == len(weight):
        raise ValueError(
            f"x, y and sample_weight have {len(x)}, {len(y)} and {len(weight)} entries."
        )
    if np.any(weight < 0):
        raise ValueError(f"sample_weight must not be negative: {weight.min():g}.")
    x, y, weight = x[weight > 0], y[weight > 0], weight[weight > 0]
    if not len(x):
        raise ValueError("There must be a sample of positive weight.")
    knots, group = np.unique(x, return_inverse=True)
    if len(knots) == len(x):
        order = np.argsort(x)
        return x[order], y[order], weight[order]
    total = np.bincount(group, weight)
    return knots, np.bincount(group, weight * y) / total, total


def _outer(run, nodes):
    """Return ``run * nodes`` with the nodes along a new last axis."""
    return run[..., None] * nodes


def _line(x, y, weight):
    """Return the values of the weighted regression line at the samples."""
    share = weight / weight.sum()
    run, rise = x - share @ x, y - share @ y
    spread = share @ run**2
    slope = (share @ (run * rise)) / spread if spread > 0 else 0.0
    return share @ y + slope * run


def _panels(zeta, edges):
    """Split intervals until the rule integrates zeta times quadratics on each."""
    # Moments of a whole panel from those of its halves, where u is (u - 1) / 2.
    shift = np.array([[1, -0.5, 0.25], [0, 0.5, -0.5], [0, 0, 0.25]])
    settled, (low, high) = [edges], (edges[:-1], edges[1:])
    whole, missed = _panel_moments(zeta, low, high)
    goal = np.zeros(len(low))
    while len(low):
        middle = (low + high) / 2
        left, missed_left = _panel_moments(zeta, low, middle)
        right, missed_right = _panel_moments(zeta, middle, high)
        halves = left @ shift + right @ np.abs(shift)
        # Relative to the largest part of the first interval that has been met.
        goal = np.maximum(goal, _QUADRATURE_TOL * halves[:, 0])
        poor = np.max(np.abs(whole - halves), axis=1) > goal
        poor |= missed > goal
        poor &= (low < middle) & (middle < high)
        settled.append(middle[poor])
        low, high = (
            np.concatenate([low[poor], middle[poor]]),
            np.concatenate([middle[poor], high[poor]]),
        )
        whole = np.concatenate([left[poor], right[poor]])
        missed = np.concatenate([missed_left[poor], missed_right[poor]])
        goal = np.concatenate([goal[poor], goal[poor]])
    return np.unique(np.concatenate(settled))


def _panel_moments(zeta, low, high):
    """Integrate zeta times 1, u and u**2, with u from -1 to 1 on each panel.

    The second result bounds what a jump adds that no node sees, being between the
    outermost nodes and the ends: there zeta is off the polynomial through the nodes.
    """
    run = high - low
    s = low[:, None] + _outer(run, np.concatenate([_NODES, _ENDS]))
    values = np.broadcast_to(np.asarray(zeta(s), dtype=np.float64), s.shape)
    if not np.all((values >= 0) & np.isfinite(values)):
        raise ValueError("zeta must be finite and at least 0 between the samples.")
    values, ends = np.split(values, [len(_NODES)], axis=1)
    moments = run[:, None] * ((_WEIGHTS * values) @ _powers(2 * _NODES - 1))
    gap = np.max(np.abs(ends - values @ _TO_ENDS), axis=1)
    return moments, run * _NODES[0] * gap


def _powers(u):
    """Return the columns 1, u and u**2."""
    return np.column_stack([np.ones_like(u), u, u**2])


def _line_moments(zeta, unit):
    """Integrate zeta times 1, s and s**2 over the line; unit is a length of it."""

    def tail(v, sign):  # at s = sign * unit / v, times 1 + (s / unit)**2
        if np.any(v < 1e-30):
            raise LimitError(
                "The integrals of zeta, alone and times the squared place, do not"
                " converge: the network without skip connection has no kernel."
            )
        return zeta(sign * unit / v) * unit / v**2 * (1 + 1 / v**2)

    s, mass = _rule(zeta, np.linspace(-unit, unit, 9))
    moments = mass @ _powers(s)
    for sign in (-1, 1):
        v, mass = _rule(partial(tail, sign=sign), np.linspace(0, 1, 5))
        moments += (mass / (1 + 1 / v**2)) @ _powers(sign * unit / v)
    return moments


def _rule(zeta, edges):
    """Return nodes, and weights times zeta there, of an accurate rule."""
    edges = _panels(zeta, edges)
    run = np.diff(edges)
    s = edges[:-1, None] + _outer(run, _NODES)
    return s.ravel(), (run[:, None] * _WEIGHTS * zeta(s)).ravel()
