"""Gradient flow of diagonal networks, followed in the dual.

The flow of all ``2 d`` weights is plain gradient ascent of a concave function of as
many variables as there are samples: ``d nu / dt = y - X beta(X.T nu)``. Its Jacobian is
minus the current tangent kernel, in closed form, so a linearly implicit method follows
it at a cost that does not depend on how stiff the weights are.

Many problems (initial scales, targets, folds) are followed side by side. Each has its
own clock, step and end, and none sees the others.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs, spotrf, spotrs

from skregimes.flows.rosenbrock import RODAS4
from skregimes.flows.rows import weighted_gram
from skregimes.limits.potentials import DiagonalPotential

__all__ = ["DualPath", "Features", "dual_mirror_flow"]

# Coefficients below this share of the largest one-feature fit are resolved absolutely.
_FLOOR = 1e-2
# The loss is a square: below this share of its start it is rounding.
_LOSS_FLOOR = 1e-26
# Up to this many rows a batched inverse beats a loop over Cholesky factors, and up to
# its square of entries a batched product one over rank updates.
_SMALL = 48
# From this tolerance on Jacobians in single precision serve, where they are well
# conditioned.
_ROUGH = 5e-4
_EPS32 = 1e-7


@dataclass(frozen=True)
class DualPath:
    """One problem's flow, at the steps that the integrator took.

    Attributes
    ----------
    time : ndarray of shape (n_nodes,)
        Flow time, from 0.
    dual : ndarray of shape (n_nodes, n_rows)
        Scaled dual ``rate * nu``; the largest rate where the shape makes several.
    loss : ndarray of shape (n_nodes,)
        Twice the loss above its infimum, ``||y - X beta||^2`` in reduced rows.
    df : ndarray of shape (n_nodes,) or None
        Exact degrees of freedom, the divergence of the fit with respect to y.
    probe : ndarray of shape (n_nodes, n_outputs)
        Coefficients times the probe, if one was given.
    n_iter : int
        Accepted and rejected steps.
    status : str
        "tol", "time", "stopped", "max_iter", "stalled" or "interrupted".
    """

    time: np.ndarray
    dual: np.ndarray
    loss: np.ndarray
    df: np.ndarray | None
    probe: np.ndarray
    n_iter: int
    status: str
    problem: "_Problems"

    def coef(self, times=None):
        """Return coefficients at times (default: the nodes), (n_times, n_features).

        Between two nodes a single fresh step is taken from the earlier one, so the
        answer is as accurate as the flow itself.
        """
        return self.problem.coef(self.dual if times is None else self.dual_at(times))

    def dual_at(self, times):
        """Return the scaled dual at flow times within the path, (n_times, n_rows)."""
        times = np.clip(np.atleast_1d(times), 0.0, self.time[-1])
        node = np.searchsorted(self.time, times, "right") - 1
        dual = self.dual[node]
        scale = np.exp(self.problem.log_rate[0])
        for j in np.unique(node[times > self.time[node]]):
            start = self.dual[[j]]
            gram = self.problem.gram(self.problem.theta(start), [0.0])
            for i in np.flatnonzero((node == j) & (times > self.time[j])):
                elapsed = times[i] - self.time[j]
                new, _ = self.problem.step(start, gram, elapsed * scale)
                if not np.all(np.isfinite(self.problem.coef(new))):
                    # Beyond the pole, in a step that the flow's own error allowed.
                    share = elapsed / (self.time[j + 1] - self.time[j])
                    new = (1 - share) * start + share * self.dual[[j + 1]]
                dual[i] = new[0]
        return dual


class Features:
    """Features shared by all problems, and their weighted Gram matrices."""

    def __init__(self, XT, rough=False):
        self.XT = XT
        self.norms2 = np.einsum("dr,dr->d", XT, XT)
        self.single = XT.astype(np.float32) if rough else None

    def gram(self, weights, drop):
        """Return ``X diag(w) X.T`` for each row of weights.

        ``drop`` bounds the trace of what may be left out: features whose weight is
        negligible cost nothing, and single precision serves where its rounding is.
        """
        d, r = self.XT.shape
        if d * r <= _SMALL**2:
            return np.matmul((self.XT * weights[..., None]).transpose(0, 2, 1), self.XT)
        out = np.zeros((len(weights), r, r))
        for full, weight, slack in zip(out, weights, drop, strict=True):
            mass = weight * self.norms2
            XT = self.XT
            if self.single is not None and _EPS32 * mass.sum() < slack:
                XT = self.single
            keep = np.flatnonzero(mass * d > slack)
            if len(keep) < 0.7 * d:
                XT, weight = XT[keep], weight[keep]
            if len(XT):
                full[:] = weighted_gram(XT, weight)
        return out


class _Implicit:
    """Solves with ``I + c_j A_j``, one symmetric positive definite matrix a problem."""

    def __init__(self, A, c):
        r = A.shape[-1]
        W = A * c[:, None, None]
        W[:, np.arange(r), np.arange(r)] += 1.0
        self.inverse = np.linalg.inv(W) if r <= _SMALL else None
        if self.inverse is None:
            potrf, self.potrs = (
                (spotrf, spotrs) if A.dtype == np.float32 else (dpotrf, dpotrs)
            )
            self.factors = [potrf(w.T, lower=1, overwrite_a=1)[0] for w in W]

    def __call__(self, b):
        """Solve for one right-hand side (n_problems, r), or r of them."""
        if self.inverse is not None:
            if b.ndim == 3:
                return np.matmul(self.inverse, b)
            return np.matmul(self.inverse, b[..., None])[..., 0]
        pairs = zip(self.factors, b, strict=True)
        return np.array([self.potrs(factor, v, lower=1)[0] for factor, v in pairs])


class _Problems:
    """The field of a batch of problems on the same features."""

    def __init__(self, features, y, potential):
        self.features, self.y, self.potential = features, y, potential
        log_rate = np.atleast_2d(potential.log_rate)
        self.log_rate = log_rate.max(axis=1, keepdims=True)
        # Only an initial shape makes the rates of the features differ.
        self.shape = None
        if log_rate.shape[1] > 1:
            self.shape = np.exp(log_rate - self.log_rate)

    def take(self, keep):
        """Return the problems with some numbers."""
        pot = self.potential
        pick = lambda a: a if np.ndim(a) < 2 or len(a) == 1 else a[keep]
        potential = DiagonalPotential(pot.depth, pick(pot.log_scale), pick(pot.offset))
        return _Problems(self.features, self.y[keep], potential)

    def theta(self, dual):
        s = self.project(dual)
        return self.potential.theta_of_dual(s + self.potential.offset)

    def project(self, dual):
        """Return by how much a change of the dual changes ``s``."""
        s = dual @ self.features.XT.T
        return s if self.shape is None else s * self.shape

    def coef(self, dual):
        return self.potential.coef(self.theta(dual))

    def residual(self, coef):
        return self.y - coef @ self.features.XT

    def field(self, dual):
        return self.residual(self.coef(dual))

    def gram(self, theta, drop):
        """Return minus the Jacobian of the field: the tangent kernel over its rate."""
        weights = self.potential.slope(theta)
        if self.shape is not None:
            weights = weights * self.shape
        return self.features.gram(weights, drop)

    def step(self, dual, gram, h, field=None):
        """Return a step's end and its error estimate."""
        with np.errstate(all="ignore"):
            field = self.field(dual) if field is None else field
            solve = _Implicit(gram, h * RODAS4.gamma)
            return RODAS4.step(dual, field, self.field, solve, h[:, None])


def _sensitivity_step(N, A0, A1, h, rough):
    """Advance ``N = d dual / d y``, which follows ``N' = I - A N``.

    A singly diagonally implicit method of order two, L-stable, one factorisation.
    """
    A = 0.5 * (A0 + A1)
    size = np.max(h * np.einsum("bii->b", A))
    dtype = np.float32 if rough and size * _EPS32 < 1e-4 else np.float64
    A, N, h = A.astype(dtype), N.astype(dtype), h.astype(dtype)
    gamma = dtype(1 - 0.5**0.5)
    solve = _Implicit(A, gamma * h)
    shift = (gamma * h)[:, None, None] * np.eye(A.shape[-1], dtype=dtype)
    middle = solve(N + shift)
    return solve(N + (1 / gamma - 1) * (middle - N) + shift)


def dual_mirror_flow(
    XT,
    y,
    potential,
    *,
    unit,
    max_time=np.inf,
    tol=1e-10,
    rtol=1e-6,
    max_iter=10_000,
    with_df=False,
    probe=None,
    on_node=None,
):
    """Follow the gradient flow of many problems, each to its own end.

    Parameters
    ----------
    XT : ndarray of shape (n_features, n_rows)
        Reduced features (`Rows.XT`).
    y : ndarray of shape (n_problems, n_rows)
        Reduced targets.
    potential : DiagonalPotential
        ``log_scale`` of shape (n_problems, 1) or (n_problems, n_features).
    unit : array-like of shape (n_problems,)
        Size of a natural time of each problem, for the first step: `time_unit`.
    max_time : float or array-like of shape (n_problems,), default=inf
        Flow time of ``dw/dt = -grad L`` at which to stop.
    tol : float, default=1e-10
        Stop when the loss above its infimum is below ``tol`` times its start.
    rtol : float, default=1e-6
        Relative error allowed in each coefficient in a step.
    max_iter : int, default=10_000
        Bound on the steps of each problem.
    with_df : bool, default=False
        Compute exact degrees of freedom along the paths.
    probe : ndarray of shape (n_features, n_outputs), optional
        Record ``coef @ probe`` at each node.
    on_node : callable, optional
        Called as ``on_node(j, time, loss, coef, df)`` after each accepted step of
        problem ``j``; a true answer ends that problem. ``coef`` is only lent.

    Returns
    -------
    list of DualPath
    """
    n_problems = len(y)
    rough = rtol >= _ROUGH
    features = Features(XT, rough)
    base = _Problems(features, y, potential)
    scale = np.exp(base.log_rate[:, 0])
    tol = max(tol, _LOSS_FLOOR)
    per_problem = lambda v: np.broadcast_to(np.asarray(v, float), (n_problems,)).copy()
    end = per_problem(max_time) * scale
    h = 0.01 * per_problem(unit) * scale
    h = np.minimum(h, np.where(end > 0, end, h))
    near = np.where(np.isfinite(end), 1e-14 * end, 0.0)

    # State of the problems still running; ``alive`` maps them to their numbers.
    alive = np.arange(n_problems)
    now = base
    dual = np.zeros_like(y)
    time = np.zeros(n_problems)
    theta = now.theta(dual)
    coef = potential.coef(theta)
    field = now.residual(coef)
    loss = np.einsum("ij,ij->i", field, field)
    start = loss.copy()
    A = now.gram(theta, np.zeros(n_problems))
    N = np.zeros_like(A) if with_df else None
    norms2 = np.where(features.norms2 > 0, features.norms2, np.inf)
    floor = _FLOOR * np.max(np.abs(y @ XT.T) / norms2, axis=1)
    probe = np.empty((coef.shape[1], 0)) if probe is None else probe
    seen = coef @ probe
    nodes = [[(0.0, dual[j].copy(), loss[j], 0.0, seen[j])] for j in range(n_problems)]
    n_iter = np.zeros(n_problems, dtype=int)
    status = np.full(n_problems, "", dtype=object)
    status[start <= _LOSS_FLOOR] = "tol"
    status[(status == "") & (end <= 0)] = "time"

    running = status == ""
    while True:
        if not running.all():
            # Finished problems leave the batch, and cost nothing from then on.
            alive, now = alive[running], now.take(running)
            dual, time, coef, field = (a[running] for a in (dual, time, coef, field))
            loss, A, h = loss[running], A[running], h[running]
            N = None if N is None else N[running]
        if len(alive) == 0:
            break
        # A rest that rounding might leave is no step of its own.
        rest = end[alive] - time
        last = h >= rest - near[alive]
        h = np.where(last, rest, h)
        try:
            with np.errstate(all="ignore"):
                new, error = now.step(dual, A, h, field)
                new_theta = now.theta(new)
                new_coef = now.potential.coef(new_theta)
                new_field = now.residual(new_coef)
                move = now.potential.slope(new_theta) * now.project(error)
                size = np.abs(new_coef) + floor[alive][:, None]
                size = np.max(np.abs(move) / (rtol * size), axis=1)
                new_loss = np.einsum("ij,ij->i", new_field, new_field)
            # The loss only falls along the flow.
            slack = 1e-3 * loss + 1e-12 * start[alive]
            ok = (size <= 1) & (new_loss <= loss + slack)
            n_iter[alive] += 1
            with np.errstate(all="ignore"):
                grow = 0.9 * np.maximum(size, 1e-12) ** (-1 / RODAS4.order)
            grow = np.where(np.isfinite(grow), np.clip(grow, 0.2, 5.0), 0.2)
            grow = np.where(ok, grow, np.minimum(grow, 0.5))
            if ok.any():
                done = np.flatnonzero(ok)
                part = now if ok.all() else now.take(done)
                reach = np.maximum(time[done] + 6 * h[done], 1e-300)
                A_new = part.gram(new_theta[done], rtol / reach)
                df = np.zeros(len(done))
                if N is not None:
                    N[done] = _sensitivity_step(N[done], A[done], A_new, h[done], rough)
                    df = np.einsum("bij,bji->b", A_new, N[done])
                time[done] = np.where(
                    last[done], end[alive[done]], time[done] + h[done]
                )
                dual[done], coef[done], field[done] = (
                    new[done],
                    new_coef[done],
                    new_field[done],
                )
                loss[done], A[done] = new_loss[done], A_new
                seen = new_coef[done] @ probe
                for i, j in enumerate(alive[done]):
                    at = done[i]
                    nodes[j].append((time[at], new[at], loss[at], df[i], seen[i]))
                    stop = on_node is not None and on_node(
                        j, time[at] / scale[j], loss[at], coef[at], df[i]
                    )
                    if loss[at] <= tol * start[j]:
                        status[j] = "tol"
                    elif last[at]:
                        status[j] = "time"
                    elif stop:
                        status[j] = "stopped"
            h = h * grow
            stalled = h <= 1e-15 * np.maximum(time, 1e-300)
            for mask, word in (
                (n_iter[alive] >= max_iter, "max_iter"),
                (stalled, "stalled"),
            ):
                ended = alive[mask]
                status[ended[status[ended] == ""]] = word
        except KeyboardInterrupt:
            status[status == ""] = "interrupted"
        running = status[alive] == ""

    return [
        _path(nodes[j], n_iter[j], status[j], base.take([j]), scale[j], with_df)
        for j in range(n_problems)
    ]


def _path(nodes, n_iter, status, problem, scale, with_df):
    time, dual, loss, df, seen = zip(*nodes, strict=True)
    return DualPath(
        time=np.array(time) / scale,
        dual=np.array(dual),
        loss=np.array(loss),
        df=np.array(df) if with_df else None,
        probe=np.array(seen),
        n_iter=max(int(n_iter), 1),
        status=status,
        problem=problem,
    )
