"""Shape of a shallow ReLU network, from its weights alone.

The network is ``f(x) = sum_j c_j sigma(a_j . x - b_j)``. Its weights are given as
``hidden``, whose rows are ``(a_j, b_j)``, and ``output``, whose rows are ``c_j``. In
one dimension f is piecewise linear, with knots at ``b_j / a_j``.
"""

import numpy as np

from skregimes._arrays import as_array
from skregimes.diagnostics._inputs import finite, finite_pair

__all__ = [
    "curvature",
    "knot_clustering",
    "knots",
    "knots_near_samples",
    "layer_imbalance",
    "merge_knots",
    "pattern_change",
    "slope_total_variation",
]


def knots(hidden, output, *, slopes=(0.0, 1.0)):
    """Return where a network of one feature bends, and by how much.

    Parameters
    ----------
    hidden : array or tensor of shape (n_hidden, 2)
        Slope ``a_j`` and bias ``b_j`` of each unit.
    output : array or tensor of shape (n_hidden,) or (n_hidden, n_outputs)
        Output weights ``c_j``.
    slopes : tuple (s_minus, s_plus), default=(0.0, 1.0)
        Of the activation below and above zero; the default is ReLU.

    Returns
    -------
    positions : ndarray of shape (n_knots,)
        ``b_j / a_j``, increasing, in units of x. A unit whose ``a_j`` is zero (or so
        small that the ratio overflows) is constant and has no knot.
    slope_changes : ndarray of shape (n_knots,) or (n_knots, n_outputs)
        ``(s_plus - s_minus) c_j |a_j|``, by how much the slope of f rises there.

    Raises
    ------
    ValueError
        If `hidden` has not two columns, the lengths differ, or an entry is not finite.

    References
    ----------
    Williams, Trager, Silva, Panozzo, Zorin, Bruna, "Gradient Dynamics of Shallow
    Univariate ReLU Networks", NeurIPS 2019, section 2.

    Examples
    --------
    >>> from skregimes.diagnostics import knots
    >>> positions, slope_changes = knots([[1.0, 2.0], [-2.0, 2.0]], [3.0, -1.0])
    >>> positions
    array([-1.,  2.])
    >>> slope_changes
    array([-2.,  3.])
    """
    hidden, output = _network(hidden, output)
    if hidden.shape[1] != 2:
        raise ValueError(
            f"Knots need one feature: hidden must have 2 columns, it has "
            f"{hidden.shape[1]}."
        )
    a, b = hidden.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        positions = b / a
    order = np.argsort(positions, kind="stable")
    order = order[np.isfinite(positions[order])]
    low, high = slopes
    rise = (high - low) * np.abs(a)
    return positions[order], (rise * output.T).T[order]


def merge_knots(positions, slope_changes, *, tolerance=1e-8):
    """Merge knots that are nearly at one place.

    From left to right, each knot joins the one that its group began with if it is at
    most `tolerance` away. A network bends twice at one place without bending at all if
    the slope changes cancel, so merge before adding up their sizes.

    Parameters
    ----------
    positions : array or tensor of shape (n_knots,)
        Places, in any order.
    slope_changes : array or tensor of shape (n_knots,) or (n_knots, n_outputs)
        Slope changes there, of either sign.
    tolerance : float, default=1e-8
        Largest distance within a group, in units of x, not negative.

    Returns
    -------
    positions : ndarray of shape (n_merged,)
        Means over the groups, weighted by the sizes of the slope changes; increasing.
    slope_changes : ndarray of shape (n_merged,) or (n_merged, n_outputs)
        Sums over the groups.

    Raises
    ------
    ValueError
        If the lengths differ, an entry is not finite, or `tolerance` is negative.

    Examples
    --------
    >>> from skregimes.diagnostics import merge_knots
    >>> merge_knots([0.0, 1.0, 1.25], [1.0, 3.0, -1.0], tolerance=0.5)
    (array([0.    , 1.0625]), array([1., 2.]))
    """
    positions, slope_changes = _knots(positions, slope_changes)
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative; got {tolerance}.")
    order = np.argsort(positions, kind="stable")
    positions, slope_changes = positions[order], slope_changes[order]
    starts: list[int] = []
    for k, position in enumerate(positions):
        if not starts or position - positions[starts[-1]] > tolerance:
            starts.append(k)
    if not starts:
        return positions, slope_changes
    first = positions[starts]
    group = np.repeat(np.arange(len(starts)), np.diff([*starts, len(positions)]))
    size = _sizes(slope_changes)
    total = np.add.reduceat(size, starts)
    # Distances from the first knot of a group keep the digits that positions share.
    shift = np.add.reduceat(size * (positions - first[group]), starts)
    merged = first + np.divide(shift, total, out=np.zeros_like(total), where=total > 0)
    return merged, np.add.reduceat(slope_changes, starts, axis=0)


def slope_total_variation(positions, slope_changes, *, tolerance=1e-8):
    """Return the total variation of the slope of a piecewise linear function.

    ``sum |slope changes|`` after merging knots: what the linear spline makes least
    among all interpolators, and what the rich regime of the network is drawn to.

    Parameters
    ----------
    positions : array or tensor of shape (n_knots,)
        Places of the knots, in any order.
    slope_changes : array or tensor of shape (n_knots,) or (n_knots, n_outputs)
        Slope changes there.
    tolerance : float, default=1e-8
        Passed to `merge_knots`.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        In units of y over those of x.

    Raises
    ------
    ValueError
        As `merge_knots`.

    References
    ----------
    Savarese, Evron, Soudry, Srebro, "How Do Infinite Width Bounded Norm Networks Look
    in Function Space?", COLT 2019, Theorem 3.1.

    Examples
    --------
    >>> from skregimes.diagnostics import slope_total_variation
    >>> slope_total_variation([0.0, 1.0, 1.0], [2.0, 3.0, -4.0])
    3.0
    """
    _, slope_changes = merge_knots(positions, slope_changes, tolerance=tolerance)
    return _per_output(np.sum(np.abs(slope_changes), axis=0))


def curvature(positions, slope_changes, bin_width):
    """Return the integrated squared second derivative at a resolution.

    The second derivative of a piecewise linear function is a sum of spikes, whose
    square has no integral. Here the slope changes are added up within bins of one
    width h, the first bin to the right of 0 being ``[0, h)``, and spread over them:
    ``sum_bins (sum of slope changes)**2 / h``. For a wide network in the kernel regime
    it approximates ``int f''(x)**2 dx``.

    Parameters
    ----------
    positions : array or tensor of shape (n_knots,)
        Places of the knots, in any order.
    slope_changes : array or tensor of shape (n_knots,) or (n_knots, n_outputs)
        Slope changes there.
    bin_width : float
        Width h of the bins, positive, in units of x: smaller than the features of f,
        and with many knots in a bin.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        In units of y squared over those of x cubed.

    Raises
    ------
    ValueError
        If the lengths differ, an entry is not finite, or `bin_width` is not positive.

    Examples
    --------
    >>> from skregimes.diagnostics import curvature
    >>> curvature([0.1, 0.2, 0.7], [1.0, 1.0, -1.0], bin_width=0.5)
    10.0
    """
    positions, slope_changes = _knots(positions, slope_changes)
    if not bin_width > 0:
        raise ValueError(f"bin_width must be positive; got {bin_width}.")
    filled, number = np.unique(np.floor(positions / bin_width), return_inverse=True)
    sums = np.zeros((len(filled), *slope_changes.shape[1:]))
    np.add.at(sums, number, slope_changes)
    return _per_output(np.sum(sums**2, axis=0) / bin_width)


def knots_near_samples(positions, slope_changes, x, *, radius=0.02):
    """Return the share of bending that happens next to a sample.

    Of all knots between the first and the last sample, weighted by the sizes of their
    slope changes: the share whose distance to a sample is less than `radius` times half
    the gap between the two samples around it. Knots spread evenly give `radius`, those
    of the linear spline 1. A network with balanced layers has kinks at samples even in
    the kernel regime: alone this does not show a rich one. Changes that cancel count,
    unless `merge_knots` takes them away first.

    Parameters
    ----------
    positions : array or tensor of shape (n_knots,)
        Places of the knots, in any order.
    slope_changes : array or tensor of shape (n_knots,) or (n_knots, n_outputs)
        Slope changes there; of several outputs the sizes are added.
    x : array or tensor of shape (n_samples,) or (n_samples, 1)
        The samples, at least two different ones.
    radius : float, default=0.02
        In (0, 1], a fraction of half a gap.

    Returns
    -------
    float
        In [0, 1]; 0 if nothing bends between the samples.

    Raises
    ------
    ValueError
        If the lengths differ, an entry is not finite, `x` has not two different
        entries, or `radius` is out of its range.

    References
    ----------
    Williams, Trager, Silva, Panozzo, Zorin, Bruna, "Gradient Dynamics of Shallow
    Univariate ReLU Networks", NeurIPS 2019: in the adaptive regime knots are attracted
    by samples.

    Examples
    --------
    >>> from skregimes.diagnostics import knots_near_samples
    >>> knots_near_samples([0.001, 1.5, 9.0], [3.0, -1.0, 5.0], [0.0, 1.0, 2.0])
    0.75
    """
    if not 0 < radius <= 1:
        raise ValueError(f"radius must be in (0, 1]; got {radius}.")
    distance, share = _distances(positions, slope_changes, x)
    return float(np.sum(share[distance < radius]))


def knot_clustering(positions, slope_changes, x):
    """Return how much knots gather at samples.

    ``1 - 2 * mean(distance)``, where the distance of a knot to the nearest sample is in
    units of half the gap around it, and the mean over the knots between the first and
    the last sample is weighted by the sizes of their slope changes.

    Parameters
    ----------
    positions : array or tensor of shape (n_knots,)
        Places of the knots, in any order.
    slope_changes : array or tensor of shape (n_knots,) or (n_knots, n_outputs)
        Slope changes there; of several outputs the sizes are added.
    x : array or tensor of shape (n_samples,) or (n_samples, 1)
        The samples, at least two different ones.

    Returns
    -------
    float
        1 for knots at samples, 0 for knots spread evenly, -1 for knots halfway between
        samples; 0 if nothing bends between the samples.

    Raises
    ------
    ValueError
        If the lengths differ, an entry is not finite, or `x` has not two different
        entries.

    Examples
    --------
    >>> from skregimes.diagnostics import knot_clustering
    >>> knot_clustering([0.0, 1.5], [3.0, -1.0], [0.0, 1.0, 2.0])
    0.5
    """
    distance, share = _distances(positions, slope_changes, x)
    return float(np.sum(share * (1 - 2 * distance)))


def pattern_change(hidden0, hidden1, inputs):
    """Return the fraction of activations that were switched on or off.

    Parameters
    ----------
    hidden0, hidden1 : array or tensor of shape (n_hidden, n_features + 1)
        Hidden weights ``(a_j, b_j)`` at the start and at the end.
    inputs : array or tensor of shape (n_samples, n_features + 1)
        Samples with a last column of -1: unit j is active where
        ``inputs @ hidden[j] > 0``.

    Returns
    -------
    float
        Over all samples and units, in [0, 1].

    Raises
    ------
    ValueError
        If the shapes do not fit or an entry is not finite.

    Examples
    --------
    >>> from skregimes.diagnostics import pattern_change
    >>> pattern_change([[1.0, 0.5]], [[1.0, -0.5]], [[0.0, -1.0], [1.0, -1.0]])
    0.5
    """
    start, end = finite_pair(hidden0=hidden0, hidden1=hidden1)
    inputs = finite("inputs", inputs)
    if start.ndim != 2 or inputs.ndim != 2 or start.shape[1] != inputs.shape[1]:
        raise ValueError(
            f"The weights {start.shape} and the inputs {inputs.shape} must be matrices "
            "with the same number of columns."
        )
    return float(np.mean((inputs @ start.T > 0) != (inputs @ end.T > 0)))


def layer_imbalance(hidden, output):
    """Return what gradient flow conserves in each unit.

    ``|c_j|**2 - |a_j|**2 - b_j**2``: very negative in a network that moves its output
    weights only, 0 in a balanced one, very positive in one that moves its hidden
    weights only.

    Parameters
    ----------
    hidden : array or tensor of shape (n_hidden, n_features + 1)
        Hidden weights ``(a_j, b_j)``.
    output : array or tensor of shape (n_hidden,) or (n_hidden, n_outputs)
        Output weights ``c_j``.

    Returns
    -------
    ndarray of shape (n_hidden,)
        In the units of squared weights.

    Raises
    ------
    ValueError
        If the lengths differ or an entry is not finite.

    References
    ----------
    Du, Hu, Lee, "Algorithmic Regularization in Learning Deep Homogeneous Models: Layers
    are Automatically Balanced", NeurIPS 2018, Theorem 2.1.

    Examples
    --------
    >>> from skregimes.diagnostics import layer_imbalance
    >>> layer_imbalance([[1.0, 2.0], [0.0, 1.0]], [3.0, 1.0])
    array([4., 0.])
    """
    hidden, output = _network(hidden, output)
    return _sizes(output**2) - np.sum(hidden**2, axis=1)


def _network(hidden, output):
    """Return the weights as float64 arrays of a matching shape."""
    hidden, output = finite("hidden", hidden), finite("output", output)
    if hidden.ndim != 2 or output.ndim not in (1, 2) or len(hidden) != len(output):
        raise ValueError(
            f"hidden {hidden.shape} must be a matrix and output {output.shape} have "
            "one row for each of its rows."
        )
    return hidden, output


def _knots(positions, slope_changes):
    """Return knots, possibly none, as float64 arrays of a matching shape."""
    positions, slope_changes = (
        np.asarray(as_array(array), dtype=np.float64)
        for array in (positions, slope_changes)
    )
    if (
        positions.ndim != 1
        or slope_changes.ndim not in (1, 2)
        or len(positions) != len(slope_changes)
    ):
        raise ValueError(
            f"positions {positions.shape} must be a vector and slope_changes "
            f"{slope_changes.shape} have one row for each of its entries."
        )
    if not (np.isfinite(positions).all() and np.isfinite(slope_changes).all()):
        raise ValueError("positions and slope_changes must hold finite numbers.")
    return positions, slope_changes


def _sizes(rows):
    """Return the sum of sizes of each row: one number for each knot or unit."""
    return np.abs(rows if rows.ndim == 2 else rows[:, np.newaxis]).sum(axis=1)


def _per_output(value):
    """Return a float for a single output and an array for several."""
    return value if np.ndim(value) else float(value)


def _distances(positions, slope_changes, x):
    """Return distances to samples, in half gaps, and the knots' shares of the bending.

    Knots beyond the samples are left out, except by rounding: those that stick to the
    first or the last sample may lie on either side of it.
    """
    positions, slope_changes = _knots(positions, slope_changes)
    x = np.unique(finite("x", x))
    if len(x) < 2:
        raise ValueError("x must have at least two different entries.")
    slack = 1e-9 * (x[-1] - x[0])
    inside = (positions >= x[0] - slack) & (positions <= x[-1] + slack)
    positions, size = positions[inside], _sizes(slope_changes[inside])
    left = np.clip(np.searchsorted(x, positions) - 1, 0, len(x) - 2)
    half_gap = (x[left + 1] - x[left]) / 2
    nearest = np.minimum(np.abs(positions - x[left]), np.abs(x[left + 1] - positions))
    total = np.sum(size)
    return nearest / half_gap, size / total if total > 0 else np.zeros_like(size)
