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
import scipy.linalg as sla
from scipy.linalg.blas import dsyrk, ssyrk

from skregimes.flows.rosenbrock import RODAS3, RODAS4
from skregimes.limits.potentials import DiagonalPotential

__all__ = ["DualPath", "dual_mirror_flow"]

# Coefficients below this share of the largest one-feature fit are resolved absolutely.
_FLOOR = 1e-2
# The loss is a square: below this share of its start it is rounding.
_LOSS_FLOOR = 1e-26
# A path whose df stays beyond its limit over this factor in time will not come back.
_PATIENCE = 2.0
# Up to this many rows a batched inverse beats a loop over Cholesky factors.
_SMALL = 48


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
        "tol", "time", "df", "max_iter", "stalled" or "interrupted".
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
        """Return coefficients at flow times (default: the nodes), (n_times, n_features).

        Between two nodes a single fresh step is taken from the earlier one, so the
        answer is as accurate as the flow itself.
        """
        if times is None:
            return self.problem.repeat(len(self.dual)).coef(self.dual)
        times = np.atleast_1d(np.asarray(times, dtype=float))
        return self.problem.repeat(len(times)).coef(self.dual_at(times))

    def dual_at(self, times):
        """Return the scaled dual at flow times within the path."""
        times = np.clip(times, 0.0, self.time[-1])
        node = np.clip(np.searchsorted(self.time, times, "right") - 1, 0, None)
        out = self.dual[node]
        scale = np.exp(self.problem.log_rate[0, 0])
        for j in np.unique(node):
            late = (node == j) & (times > self.time[j])
            if not late.any():
                continue
            gram = self.problem.gram(self.dual[[j]])[0]
            for i in np.flatnonzero(late):
                h = np.full((1, 1), (times[i] - self.time[j]) * scale)
                new, _ = self.problem.step(RODAS4, self.dual[[j]], gram[None], h)
                if not np.all(np.isfinite(self.problem.coef(new))):
                    weight = h[0, 0] / scale / (self.time[j + 1] - self.time[j])
                    new = (1 - weight) * self.dual[[j]] + weight * self.dual[[j + 1]]
                out[i] = new[0]
        return out

    def gram(self, node):
        """Return the tangent kernel over ``rate`` at a node, (n_rows, n_rows)."""
        return self.problem.gram(self.dual[[node]])[0]


class _Problems:
    """The field, the Gram matrix and the implicit solves of a batch of problems."""

    def __init__(self, XT, y, potential, single=False):
        self.XT, self.y, self.potential = XT, y, potential
        log_rate = np.atleast_2d(potential.log_rate)
        self.log_rate = log_rate.max(axis=1, keepdims=True)
        # Only an initial shape makes the rates of the features differ.
        self.shape = np.exp(log_rate - self.log_rate) if log_rate.shape[1] > 1 else None
        self.single = single

    def take(self, keep):
        pot = self.potential
        pick = lambda a: a if np.ndim(a) < 2 or len(a) == 1 else a[keep]
        XT = self.XT[keep] if self.XT.ndim == 3 else self.XT
        potential = DiagonalPotential(pot.depth, pick(pot.log_scale), pick(pot.offset))
        return _Problems(XT, self.y[keep], potential, self.single)

    def one(self, j):
        return self.take(np.array([j]))

    def repeat(self, n):
        """Return ``n`` copies of a single problem that share everything."""
        copy = _Problems(
            self.XT[0] if self.XT.ndim == 3 else self.XT,
            self.y,
            self.potential,
            self.single,
        )
        return copy

    def transpose(self, k):
        """``X.T k`` of each problem."""
        if self.XT.ndim == 2:
            return k @ self.XT.T
        return np.matmul(self.XT, k[..., None])[..., 0]

    def theta(self, dual):
        s = self.transpose(dual)
        if self.shape is not None:
            s = s * self.shape
        return self.potential.theta_of_dual(s + self.potential.offset)

    def coef(self, dual):
        return self.potential.coef(self.theta(dual))

    def residual(self, coef):
        if self.XT.ndim == 2:
            return self.y - coef @ self.XT
        return self.y - np.matmul(coef[:, None, :], self.XT)[:, 0]

    def field(self, dual):
        return self.residual(self.coef(dual))

    def weights(self, theta):
        """Diagonal of the tangent kernel over the rate: ``d beta / d (X.T dual)``."""
        slope = self.potential.slope(theta)
        return slope if self.shape is None else slope * self.shape

    def gram(self, dual, *, weights=None, drop=None):
        """Return ``X diag(weights) X.T`` of each problem.

        ``drop`` is a bound on the trace of what may be left out: features whose
        weight is negligible cost nothing.
        """
        if weights is None:
            weights = self.weights(self.theta(dual))
        dtype = np.float32 if self.single else np.float64
        d, r = self.XT.shape[-2:]
        if d * r <= 4096 and len(weights) > 1:
            XT = self.XT if self.XT.ndim == 3 else self.XT[None]
            scaled = XT * weights[..., None]
            return np.matmul(scaled.transpose(0, 2, 1), XT)
        out = np.empty((len(weights), r, r))
        syrk = ssyrk if self.single else dsyrk
        for j, weight in enumerate(weights):
            XT = self.XT[j] if self.XT.ndim == 3 else self.XT
            if drop is not None:
                mass = weight * np.einsum("dr,dr->d", XT, XT)
                keep = np.flatnonzero(mass * d > drop[j])
                if len(keep) < 0.7 * d:
                    XT, weight = XT[keep], weight[keep]
            half = (XT * np.sqrt(weight)[:, None]).astype(dtype, copy=False)
            lower = syrk(1.0, half.T, lower=1) if len(half) else np.zeros((r, r))
            out[j] = lower
            out[j] += np.tril(lower, -1).T
        return out

    def solver(self, gram, h_gamma):
        """Return the multiplication by ``(I + h gamma gram)^-1``."""
        r = gram.shape[-1]
        W = gram * h_gamma[..., None]
        W[:, np.arange(r), np.arange(r)] += 1.0
        if r <= _SMALL:
            inverse = np.linalg.inv(W)
            return lambda b: np.matmul(inverse, b[..., None])[..., 0]
        factors = [sla.cho_factor(w, lower=True, check_finite=False) for w in W]

        def solve(b):
            pairs = zip(factors, b, strict=True)
            return np.array([sla.cho_solve(f, v, check_finite=False) for f, v in pairs])

        return solve

    def step(self, method, dual, gram, h, f0=None):
        with np.errstate(all="ignore"):
            f0 = self.field(dual) if f0 is None else f0
            solve = self.solver(gram, h * method.gamma)
            return method.step(dual, f0, self.field, solve, h)


def _sensitivity_step(N, A0, A1, h):
    """Advance ``N' = I - A N`` (N = d dual / d y) by an L-stable SDIRK of order two."""
    gamma = 1 - 0.5**0.5
    A = 0.5 * (A0 + A1)
    h = h[..., None]
    eye = np.eye(A.shape[-1])
    inverse = np.linalg.inv(eye + gamma * h * A)
    k1 = np.matmul(inverse, eye - np.matmul(A, N))
    k2 = np.matmul(inverse, eye - np.matmul(A, N + (1 - gamma) * h * k1))
    return N + h * ((1 - gamma) * k1 + gamma * k2)


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
    df_limit=None,
    probe=None,
    on_node=None,
):
    """Follow the gradient flow of many problems, each to its own end.

    Parameters
    ----------
    XT : ndarray of shape (n_features, n_rows) or (n_problems, n_features, n_rows)
        Reduced features (`Rows.XT`), shared or one for each problem.
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
    df_limit : float or array-like of shape (n_problems,), optional
        Compute exact degrees of freedom, and stop when they stay beyond this number.
    probe : ndarray of shape (n_features, n_outputs), optional
        Record ``coef @ probe`` at each node.
    on_node : callable, optional
        Called as ``on_node(j, time, loss, coef)`` after each accepted step of problem
        ``j``; a true answer ends that problem.

    Returns
    -------
    list of DualPath
    """
    n_problems = len(y)
    base = _Problems(XT, y, potential, single=rtol >= 1e-3)
    method = RODAS3 if rtol >= 1e-3 else RODAS4
    scale = np.exp(base.log_rate[:, 0])
    tol = max(tol, _LOSS_FLOOR)
    per_problem = lambda v: np.broadcast_to(np.asarray(v, float), (n_problems,)).copy()
    end = per_problem(max_time) * scale
    h = 0.01 * per_problem(unit) * scale
    h = np.minimum(h, np.where(end > 0, end, h))
    limit = None if df_limit is None else per_problem(df_limit)

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
    weights = now.weights(theta)
    A = now.gram(dual, weights=weights)
    N = None if limit is None else np.zeros_like(A)
    floor = _FLOOR * _own_fit(XT, y)
    since = np.full(n_problems, np.inf)
    probe = np.empty((coef.shape[1], 0)) if probe is None else probe
    seen = coef @ probe
    nodes = [[(0.0, dual[j], loss[j], 0.0, seen[j])] for j in range(n_problems)]
    n_iter = np.zeros(n_problems, dtype=int)
    status = np.full(n_problems, "", dtype=object)
    status[start <= _LOSS_FLOOR] = "tol"
    status[(status == "") & (end <= 0)] = "time"

    def drop_finished(alive):
        return status[alive] == ""

    running = drop_finished(alive)
    while True:
        if not running.all():
            # Finished problems leave the batch, and cost nothing from then on.
            alive, now = alive[running], now.take(running)
            dual, time, coef, field = (a[running] for a in (dual, time, coef, field))
            loss, A, h = loss[running], A[running], h[running]
            N = None if N is None else N[running]
        if len(alive) == 0:
            break
        h = np.minimum(h, end[alive] - time)
        last = h >= end[alive] - time
        try:
            with np.errstate(all="ignore"):
                new, error = now.step(method, dual, A, h[:, None], field)
                new_theta = now.theta(new)
                new_coef = now.potential.coef(new_theta)
                new_field = now.residual(new_coef)
                new_weights = now.weights(new_theta)
                move = new_weights * now.transpose(error)
                size = np.abs(new_coef) + floor[alive][:, None]
                size = np.max(np.abs(move) / (rtol * size), axis=1)
                new_loss = np.einsum("ij,ij->i", new_field, new_field)
            # The loss only falls along the flow.
            slack = 1e-3 * loss + 1e-12 * start[alive]
            ok = (size <= 1) & (new_loss <= loss + slack)
            n_iter[alive] += 1
            with np.errstate(all="ignore"):
                grow = 0.9 * np.maximum(size, 1e-12) ** (-1 / method.order)
            grow = np.where(np.isfinite(grow), np.clip(grow, 0.2, 5.0), 0.2)
            grow = np.where(ok, grow, np.minimum(grow, 0.5))
            if ok.any():
                done = np.flatnonzero(ok)
                part = now if ok.all() else now.take(done)
                reach = time[done] + 6 * h[done]
                A_new = part.gram(
                    new[done],
                    weights=new_weights[done],
                    drop=rtol / np.maximum(reach, 1e-300),
                )
                df = np.zeros(len(done))
                if N is not None:
                    N[done] = _sensitivity_step(
                        N[done], A[done], A_new, h[done][:, None]
                    )
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
                        j, time[at] / scale[j], loss[at], coef[at]
                    )
                    if loss[at] <= tol * start[j]:
                        status[j] = "tol"
                    elif last[at]:
                        status[j] = "time"
                    elif stop:
                        status[j] = "stopped"
                    elif limit is not None:
                        # At jumps df peaks and comes down again: wait a while.
                        since[j] = (
                            min(since[j], time[at]) if df[i] >= limit[j] else np.inf
                        )
                        if time[at] > _PATIENCE * since[j]:
                            status[j] = "df"
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
        running = drop_finished(alive)

    return [
        _path(nodes[j], n_iter[j], status[j], base.one(j), scale[j], limit is not None)
        for j in range(n_problems)
    ]


def _own_fit(XT, y):
    """Largest one-feature least-squares coefficient of each problem."""
    norms = np.sum(XT**2, axis=-1)
    norms = np.where(norms > 0, norms, np.inf)
    pull = y @ XT.T if XT.ndim == 2 else np.matmul(XT, y[..., None])[..., 0]
    return np.max(np.abs(pull) / norms, axis=-1)


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
