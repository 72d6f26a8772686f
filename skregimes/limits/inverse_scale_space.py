"""Whole training path of a deep diagonal network in the limit of a vanishing start.

For depth ``D >= 3`` and initial weights ``alpha * w0`` the flow, slowed down by
``alpha**(D - 2)``, becomes piecewise constant as ``alpha -> 0``: plateaus joined by
jumps, each jump a least-squares fit with sign constraints. This is the inverse scale
space flow of a weighted l1 norm, followed here from breakpoint to breakpoint.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space, qr_delete, solve_triangular
from scipy.optimize import linprog

from skregimes.limits._checks import check_array, check_system

__all__ = ["InverseScaleSpacePath", "inverse_scale_space"]

# A velocity below this (unit columns, relative to |y|) is a rounded zero.
_STILL = 1e-12
# Coordinates this close to the boundary, moving outward, arrive together.
_TIE = 1e-10
# A unit column this close to the span of others depends on them: as long as `_STILL`,
# since the velocity of a column at distance e from the span is at most e |residual|.
_DEPENDENT = 1e-12


@dataclass(frozen=True, eq=False)
class InverseScaleSpacePath:
    """Piecewise constant coefficients and piecewise linear dual of the flow.

    Parameters
    ----------
    times : ndarray of shape (n_pieces,)
        Start of each piece; ``times[0] = 0``.
    coefs : ndarray of shape (n_pieces, n_features)
        Coefficients on ``[times[j], times[j + 1])``; ``coefs[0] = 0``.
    duals : ndarray of shape (n_pieces, n_samples)
        Dual variable at ``times``.
    residuals : ndarray of shape (n_pieces, n_samples)
        ``y - X @ coef`` of each piece, the time derivative of the dual.
    horizon : float
        End of the last piece: ``inf`` once the flow has come to rest, otherwise the
        first breakpoint that was not computed.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import inverse_scale_space
    >>> path = inverse_scale_space(np.eye(3), [2.0, -1.0, 0.0])
    >>> path.coefs + 0.0
    array([[ 0.,  0.,  0.],
           [ 2.,  0.,  0.],
           [ 2., -1.,  0.]])
    >>> float(path.horizon)
    inf
    """

    times: np.ndarray
    coefs: np.ndarray
    duals: np.ndarray
    residuals: np.ndarray
    horizon: float

    def coef(self, t):
        """Return the coefficients at time `t`, shape ``t.shape + (n_features,)``.

        Parameters
        ----------
        t : float or array-like
            Times in ``[0, horizon)``. At a breakpoint the value after the jump.

        Returns
        -------
        ndarray
        """
        return self.coefs[self._piece(np.asarray(t, dtype=float))]

    def dual(self, t):
        """Return the dual variable at time `t`, shape ``t.shape + (n_samples,)``.

        Parameters
        ----------
        t : float or array-like
            Times in ``[0, horizon)``.

        Returns
        -------
        ndarray
        """
        t = np.asarray(t, dtype=float)
        piece = self._piece(t)
        elapsed = (t - self.times[piece])[..., np.newaxis]
        return self.duals[piece] + elapsed * self.residuals[piece]

    def _piece(self, t):
        if not np.all((t >= 0) & (t < self.horizon)):
            raise ValueError(
                f"Times must lie in [0, {self.horizon:g}), where the path is known; "
                "raise max_time or max_breakpoints to follow it further."
            )
        return np.searchsorted(self.times, t, side="right") - 1


def inverse_scale_space(
    X, y, *, weights=None, depth=3, max_time=None, max_breakpoints=None
):
    r"""Follow the inverse scale space flow of the weighted l1 norm.

    The dual variable :math:`\nu(t) \in \mathbb{R}^n` and the coefficients obey

    .. math::

        \dot\nu = y - X \beta, \qquad \nu(0) = 0, \qquad
        X^\top \nu(t) \in \partial \textstyle\sum_i \lambda_i |\beta_i(t)| .

    A coefficient can be nonzero only where its dual constraint
    :math:`|x_i^\top \nu| \le \lambda_i` is active. Between breakpoints :math:`\beta` is
    constant; when a new constraint becomes active it jumps to the least-squares fit on
    the active columns with the signs of :math:`x_i^\top \nu`. The flow comes to rest at
    the least-squares solution of smallest weighted l1 norm.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features; center `X` and `y` beforehand for an intercept.
    y : array-like of shape (n_samples,)
        Targets.
    weights : array-like of shape (n_features,), default=None
        Positive weights :math:`\lambda` of the l1 norm; all ones by default. For a
        diagonal network with initial weights ``alpha * init_shape`` they are
        ``init_shape ** -(depth - 2)``.
    depth : int, default=3
        Depth ``D >= 3`` of the network. It matters only where columns in play are
        linearly dependent and the coefficients are not unique: the network then takes
        those that maximize ``sum(abs(coef) ** (2 / depth))`` (copies of a column
        share its coefficient equally). The dual and the fit are always unique.
    max_time : float, default=None
        Compute no breakpoint beyond this time. By default, follow the flow to its end.
    max_breakpoints : int, default=None
        Compute at most this many jumps. By default, all.

    Returns
    -------
    InverseScaleSpacePath
        The breakpoints, with methods ``coef(t)`` and ``dual(t)``.

    Raises
    ------
    ValueError
        If an input is malformed or a weight is not positive.
    RuntimeError
        If rounding prevents the path from being followed.

    Notes
    -----
    Time is that in which the derivative of the dual is ``y - X @ coef``. Gradient flow
    of the network, ``dw/dt = -grad L`` with ``L = ||X beta - y||^2 / (2 n)``, reaches
    the same point at ``n * time / (D * (D - 2) * alpha**(D - 2))``. With sample
    weights, scale the rows of `X` and `y` by their square roots and replace ``n`` by
    the sum of the weights.

    The network's dual lies within ``O(alpha**(D - 2))`` of the one returned here. Its
    coefficients lie within ``O(alpha**D)`` away from the jumps; a jump takes it a time
    ``O(alpha**(D - 2))``, and there the two differ by up to the size of the jump.

    Each breakpoint costs one product ``X.T @ residual`` and a few updates of a QR
    decomposition of the columns in use. One to three times
    ``min(n_samples, n_features)`` breakpoints are typical, more if features are
    strongly correlated.

    References
    ----------
    M. Burger, M. Moeller, M. Benning and S. Osher, "An adaptive inverse scale space
    method for compressed sensing", Mathematics of Computation 82, 2013, Algorithm 1.

    S. Pesme and N. Flammarion, "Saddle-to-saddle dynamics in diagonal linear
    networks", NeurIPS 2023, for the same limit at depth 2, where it is approached only
    logarithmically in ``alpha``.

    C. L. Lawson and R. J. Hanson, "Solving least squares problems", 1974, Chapter 23,
    for the fit with sign constraints.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import inverse_scale_space
    >>> path = inverse_scale_space(np.eye(3), [2.0, -1.0, 0.0])
    >>> path.times
    array([0. , 0.5, 1. ])
    >>> path.coef(0.7).round(12) + 0.0
    array([2., 0., 0.])
    >>> path.coef(5.0).round(12) + 0.0
    array([ 2., -1.,  0.])
    """
    X, y = check_system(X, check_array(y, "y", (1,)))
    y = y.astype(np.float64)
    n_samples, n_features = X.shape
    weights = np.ones(n_features) if weights is None else np.asarray(weights, float)
    if weights.shape != (n_features,):
        raise ValueError(
            f"weights must have shape ({n_features},), one per feature; "
            f"got {weights.shape}."
        )
    if not np.all((weights > 0) & np.isfinite(weights)):
        raise ValueError("weights must be positive and finite.")
    if depth < 3:
        raise ValueError(f"depth must be at least 3, got {depth}.")
    if max_time is None:
        max_time = np.inf
    if not max_time >= 0 or (max_breakpoints is not None and max_breakpoints < 0):
        raise ValueError("max_time and max_breakpoints must not be negative.")
    if max_breakpoints is None:
        # Far beyond any path seen; the residual decreases at every breakpoint.
        patience = 1000 + 100 * (n_samples + n_features)
    else:
        patience = max_breakpoints

    unit = np.max(np.abs(y)) or 1.0
    problem = _Problem(X, y / unit, weights, depth)
    pieces, horizon = _follow(problem, max_time * unit, patience)
    problem.verify(pieces[-1][1])
    if max_breakpoints is None and len(pieces) > patience and horizon <= max_time:
        raise RuntimeError(
            f"The path has more than {patience} breakpoints; pass max_time or "
            "max_breakpoints, or simulate the flow at a larger init_scale."
        )

    times = np.array([piece[0] for piece in pieces])
    coefs = np.zeros((len(pieces), n_features))
    for row, piece in zip(coefs, pieces, strict=True):
        problem.write_coef(row, *piece[3])
    duals, residuals = (
        problem.lift(np.array([piece[which] for piece in pieces]), drift)
        for which, drift in ((1, times), (2, np.ones(len(pieces))))
    )
    return InverseScaleSpacePath(
        times / unit, unit * coefs, duals, unit * residuals, horizon / unit
    )


class _Problem:
    """The data in reduced form: unit columns, copies merged, at most d rows.

    ``columns`` (one row per merged feature) and the bounds ``cap`` on their products
    with the dual; ``spread`` and ``power`` weigh the coefficients where they are not
    unique.
    """

    def __init__(self, X, y, weights, depth):
        peak = np.max(np.abs(X), axis=0)
        live = np.flatnonzero(peak)
        unit = (X[:, live] / peak[live]).T
        norm = np.linalg.norm(unit, axis=1)
        unit /= norm[:, np.newaxis]
        norm *= peak[live]
        cap = weights[live] / norm

        # Equal scaled columns, up to sign, move as one.
        rounded = np.round(unit, 12)
        first = np.argmax(rounded != 0, axis=1)
        flip = np.sign(rounded[np.arange(len(live)), first])
        rounded = rounded * flip[:, np.newaxis] + 0.0  # no negative zeros
        groups: dict[tuple, list[int]] = {}
        for i, row in enumerate(rounded):
            key = (row.tobytes(), float(np.round(np.log(cap[i]), 12)))
            groups.setdefault(key, []).append(i)
        lead = np.fromiter((members[0] for members in groups.values()), np.intp)
        group = np.empty(len(live), dtype=int)
        for k, members in enumerate(groups.values()):
            group[members] = k

        # Within a group, maximizing sum |coef|^q fixes the shares.
        self.power = 2 / depth
        share = (norm / np.max(norm, initial=0.0)) ** (-2 / (depth - 2))
        total = np.bincount(group, share, minlength=len(lead))
        self.spread = total ** (1 - self.power)
        share *= flip * flip[lead][group] / total[group]
        self._scatter = live, group, share / norm

        self.columns, self.cap = unit[lead], cap[lead]
        self.target, self._frame, self._outside = y, None, 0 * y
        if len(y) > len(lead) > 0:
            self._frame, triangle = np.linalg.qr(self.columns.T)
            self.columns = np.ascontiguousarray(triangle.T)
            self.target = self._frame.T @ y
            self._outside = y - self._frame @ self.target
            self._outside -= self._frame @ (self._frame.T @ self._outside)
        self.tol = _STILL * np.linalg.norm(y)

    def write_coef(self, row, index, value):
        """Fill `row` with the coefficients of the merged features `index`."""
        live, group, share = self._scatter
        merged = np.zeros(len(self.cap))
        merged[index] = value
        row[live] = merged[group] * share

    def verify(self, dual):
        """Raise unless the last dual obeys its bounds: rounding adds up there."""
        slip = np.abs(self.columns @ dual) - self.cap * (1 + 1e-6)
        if np.any(slip > 1e-13 * np.linalg.norm(dual)):
            raise RuntimeError(
                "Rounding has taken the path off its constraints: the columns are too "
                "nearly dependent for its late part. Pass a smaller max_time, or "
                "simulate the flow at a larger init_scale or with depth=2."
            )

    def lift(self, reduced, drift):
        """Return sample-space vectors; what no feature explains grows as `drift`."""
        if self._frame is not None:
            reduced = reduced @ self._frame.T
        return reduced + drift[:, np.newaxis] * self._outside


def _follow(problem, max_time, patience):
    """Return the pieces ``(time, dual, residual, (index, coef))`` and the horizon."""
    columns, cap, tol = problem.columns, problem.cap, problem.tol
    fit = _SignedLeastSquares(columns, problem.target, tol)
    edge = np.zeros(len(cap), dtype=bool)  # |product| = cap, not moving inward
    sign = np.zeros(len(cap))
    product = np.zeros(len(cap))  # columns @ dual
    time, dual, residual = 0.0, np.zeros(len(problem.target)), problem.target
    velocity = columns @ residual
    pieces: list[tuple] = [(time, dual, residual, ([], []))]
    while True:
        moving = ~edge & (np.abs(velocity) > tol)
        if not np.any(moving):
            return pieces, np.inf
        outward = np.sign(velocity)
        wait = np.full(len(cap), np.inf)
        gap = (outward * cap - product)[moving]
        wait[moving] = np.maximum(gap / velocity[moving], 0.0)
        step = np.min(wait)
        if time + step > max_time or len(pieces) > patience:
            return pieces, time + step

        if step <= _TIE * time:
            pieces.pop()  # the same breakpoint, reached in two roundings
        time, dual = time + step, dual + step * residual
        product += step * velocity
        arrived = moving & (cap - outward * product <= _TIE * cap)
        arrived[np.argmin(wait)] = True
        edge |= arrived
        sign[arrived] = outward[arrived]
        product[arrived] = (outward * cap)[arrived]

        fit.settle(np.flatnonzero(edge), sign)
        residual = fit.residual()
        velocity = columns @ residual
        velocity[fit.support] = 0.0
        edge &= sign * velocity >= -tol
        velocity[edge] = 0.0
        pieces.append((time, dual, residual, _share(problem, fit, edge, sign)))


class _SignedLeastSquares:
    """Least squares with sign constraints, warm-started as columns come and go.

    The active-set method of Lawson and Hanson on a QR decomposition of the columns
    with nonzero coefficients.
    """

    def __init__(self, columns, target, tol):
        self.columns, self.target, self.tol = columns, target, tol
        self.support = []
        self.size = np.zeros(0)  # |coef| on the support
        self._q = np.zeros((len(target), 0))
        self._r = np.zeros((0, 0))

    def residual(self):
        """Return the residual, orthogonal to the support to rounding of itself."""
        left = self.target - self._q @ (self._q.T @ self.target)
        return left - self._q @ (self._q.T @ left)

    def settle(self, allowed, sign):
        """Fit the columns `allowed`, coefficients of the given `sign` or zero."""
        barred: set[int] = set()
        for _ in range(100 + 20 * len(allowed)):
            idle = np.setdiff1d(allowed, [*self.support, *barred])
            gain = sign[idle] * (self.columns[idle] @ self.residual())
            if not np.any(gain > self.tol):
                return
            new = idle[np.argmax(gain)]
            if not self._add(new):
                barred.add(new)
                continue
            self.size = np.append(self.size, 0.0)
            goal = self._solve(sign)
            if goal[-1] <= 0:  # a gain that was rounding only
                self._drop(len(goal) - 1)
                barred.add(new)
                continue
            while np.any(goal <= 0):
                # Go as far as the signs allow and drop what reaches zero.
                short = np.flatnonzero(goal <= 0)
                part = self.size[short] / (self.size[short] - goal[short])
                self.size += np.min(part) * (goal - self.size)
                self._drop(short[np.argmin(part)])
                barred.clear()
                goal = self._solve(sign)
            self.size = goal
        raise RuntimeError(
            "The sign-constrained fit at a breakpoint did not settle: the columns are "
            "too nearly dependent. Simulate the flow at a larger init_scale instead, "
            "or use depth=2."
        )

    def dependent(self, others, sign):
        """Return which of `others` the support spans, and how they trade with it.

        Each column of the second value is a change of the sizes on the support and on
        these others that leaves the fit as it is.
        """
        along, rest = self._split(self.columns[others])
        spanned = np.linalg.norm(rest, axis=1) <= _DEPENDENT
        others = others[spanned]
        trade = solve_triangular(self._r, along[:, spanned] * sign[others])
        trade *= sign[self.support][:, np.newaxis]
        return others, np.vstack((-trade, np.eye(len(others))))

    def _split(self, columns):
        """Return coordinates in the basis of the support, and what it leaves."""
        along = self._q.T @ columns.T
        rest = columns - (self._q @ along).T
        again = self._q.T @ rest.T
        return along + again, rest - (self._q @ again).T

    def _solve(self, sign):
        coef = solve_triangular(self._r, self._q.T @ self.target)
        return sign[self.support] * coef

    def _add(self, new):
        along, rest = self._split(self.columns[[new]])
        length = np.linalg.norm(rest)
        k = len(self.support)
        if length <= _DEPENDENT or k == len(self.target):
            return False
        triangle = np.zeros((k + 1, k + 1))
        triangle[:k, :k] = self._r
        triangle[:k, [k]] = along
        triangle[k, k] = length
        self._q = np.column_stack((self._q, rest.T / length))
        self._r = triangle
        self.support.append(int(new))
        return True

    def _drop(self, position):
        k = len(self.support) - 1
        if k == 0:
            self._q, self._r = self._q[:, :0], self._r[:0, :0]
        else:
            q, r = qr_delete(self._q, self._r, position, which="col")
            self._q, self._r = q[:, :k], r[:k]
        del self.support[position]
        self.size = np.delete(self.size, position)


def _share(problem, fit, edge, sign):
    """Return ``(index, coef)`` of the piece, made unique as the network makes it."""
    index, size = np.array(fit.support, dtype=int), fit.size
    spare = np.setdiff1d(np.flatnonzero(edge), index)
    if len(spare):
        spare, kernel = fit.dependent(spare, sign)
    if len(spare):
        index = np.concatenate((index, spare))
        size = np.concatenate((size, np.zeros(len(spare))))
        size = _most_spread(size, kernel, problem.spread[index], problem.power)
    return index, sign[index] * size


def _most_spread(vertex, kernel, scale, power):
    """Maximize ``sum(scale * b**power)`` over ``b = vertex + kernel @ g``, b >= 0.

    The slope of the objective is infinite at zero, so every coefficient that can be
    positive is. A linear program finds those, Newton's method their values.
    """
    unit = np.max(vertex)
    vertex = vertex / unit
    m, k = kernel.shape
    # Largest support: max sum u, u <= 1, u <= tau * vertex + kernel @ g, tau >= 1.
    best = linprog(
        -np.concatenate((np.zeros(k + 1), np.ones(m))),
        A_ub=np.hstack((-kernel, -vertex[:, np.newaxis], np.eye(m))),
        b_ub=np.zeros(m),
        bounds=[(None, None)] * k + [(1, None)] + [(0, 1)] * m,
    )
    if best.status != 0:
        raise RuntimeError(_UNSHARED)
    free = best.x[k + 1 :] > 0.5
    # Bring the others to zero beyond the program's tolerance, and keep them there.
    g, fixed = best.x[:k] / best.x[k], kernel[~free]
    g -= np.linalg.pinv(fixed, rcond=_TIE) @ (vertex[~free] + fixed @ g)
    b = (vertex + kernel @ g)[free]
    if np.any(b <= 0):
        raise RuntimeError(_UNSHARED)
    kernel = kernel[free] @ null_space(fixed, rcond=_TIE) if len(fixed) else kernel
    scale = scale[free] / np.max(scale[free])
    for _ in range(200):
        # Newton's step, as weighted least squares in the kernel.
        root = np.sqrt(scale * b ** (power - 2) * (1 - power))
        pull = scale * b ** (power - 1) / root
        g = np.linalg.lstsq(root[:, np.newaxis] * kernel, pull, rcond=None)[0]
        move = kernel @ g
        ratio = np.max(np.abs(move) / b)
        # Halving no coefficient, the step stays in the domain and ascends.
        b = b + move * min(1.0, 0.5 / ratio if ratio > 0 else 1.0)
        if ratio < 1e-9:
            out = np.zeros(m)
            out[free] = b
            return unit * out
    raise RuntimeError(_UNSHARED)


_UNSHARED = (
    "Linearly dependent columns share their coefficients in a way that rounding does "
    "not resolve. Drop redundant columns, or simulate the flow at a larger init_scale "
    "or with depth=2."
)
