"""Roads to the fit of a diagonal network: the flow, its sweeping limit, its end."""

from copy import copy
from dataclasses import dataclass

import numpy as np

from skregimes.flows.dual_mirror import dual_mirror_flow
from skregimes.flows.units import time_unit
from skregimes.limits.inverse_scale_space import inverse_scale_space
from skregimes.limits.min_q_norm import min_q_norm, q_norm
from skregimes.limits.potentials import DiagonalPotential

__all__ = [
    "DiagonalProblem",
    "End",
    "follow",
    "follow_scales",
    "solve",
    "solve_limits",
    "sweep",
]

# At depth >= 3 and ``alpha**(depth - 2)`` below this, in units of the coefficients,
# flow and sweeping limit differ by about as much, but for a share of time ten times as
# large: at the jumps.
_SWEEP_BELOW = 1e-6

_TRAJECTORY_POINTS = 100


@dataclass
class End:
    """Where one target stopped, in the problem's own units.

    ``time``, ``loss`` (mean squared residual above its infimum) and ``coef`` of the
    recorded points are in ``path``; ``dual`` is scaled as `min_q_norm` scales it, None
    after discrete steps, which leave the span of the samples.
    """

    coef: np.ndarray
    dual: np.ndarray | None
    time: float
    loss: float
    n_iter: int
    status: str
    path: tuple
    jumps: bool = False
    df: float = np.nan
    gcv: float = np.nan
    log_effective_scale: np.ndarray | None = None


def thin(n):
    """Return about 100 of ``n`` indices, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, _TRAJECTORY_POINTS)).astype(int))


class DiagonalProblem:
    """Reduced data, and for each target the network that is to fit it.

    Parameters
    ----------
    rows : Rows
        Reduced data, targets divided by ``y_unit``.
    y_unit : ndarray of shape (n_targets,)
        Size of the targets. Coefficients scale as ``alpha**depth`` does, so problems
        are solved for targets of size one.
    depth : int
        Depth of the network.
    log_alpha : ndarray of shape (n_targets,)
        Logs of the raw scales, for the targets as they were.
    init_shape : ndarray of shape (n_features,) or None
        Positive shape of the initial weights.
    start : ndarray of shape (n_targets, n_features) or None
        Coefficients to start from, of the targets of size one.

    Attributes
    ----------
    potentials : list of DiagonalPotential
        One a target.
    unit : ndarray of shape (n_targets,)
        The unit of time, for targets of size one.
    time_factor : ndarray of shape (n_targets,)
        Times here over times of the targets as they were.
    """

    def __init__(self, rows, y_unit, depth, log_alpha, *, init_shape=None, start=None):
        self.rows, self.depth, self.start = rows, depth, start
        self.log_alpha, self.y_unit = np.asarray(log_alpha), y_unit
        self.log_shape = None if init_shape is None else np.log(init_shape)
        self.log_scale = log_alpha - np.log(y_unit) / depth
        self.time_factor = y_unit ** (2 * (depth - 1) / depth)
        self.potentials = [self._potential(j) for j in range(len(y_unit))]
        self.unit = np.array(
            [time_unit(rows, j, pot) for j, pot in enumerate(self.potentials)]
        )

    def _potential(self, j):
        shape = 0.0 if self.log_shape is None else self.log_shape
        potential = DiagonalPotential(self.depth, self.log_scale[j] + shape)
        if self.start is not None:
            theta = potential.theta(self.start[j])
            potential.offset = potential.dual_of_theta(theta)
        return potential

    def clock(self, units):
        """Return the size of a unit of the user's time in this problem's, a target."""
        return self.unit if units == "relative" else self.time_factor

    def take(self, targets):
        """Return the problem of some of the targets."""
        part = copy(self)
        part.rows = self.rows.take(targets)
        part.potentials = [self.potentials[j] for j in targets]
        part.start = None if self.start is None else self.start[targets]
        for name in ("log_alpha", "log_scale", "time_factor", "unit", "y_unit"):
            setattr(part, name, getattr(self, name)[targets])
        return part

    def with_rows(self, rows):
        """Return the same networks, at the same scales, on other rows."""
        other = copy(self)
        other.rows = rows
        return other

    def batch(self):
        """Return the potentials of all targets as one."""
        log_scale = np.array([np.atleast_1d(p.log_scale) for p in self.potentials])
        offsets = [p.offset for p in self.potentials]
        offset = 0.0 if self.start is None else np.array(offsets)
        return DiagonalPotential(self.depth, log_scale, offset)

    def log_barrier(self, j):
        """Return the log of ``alpha**(depth - 2)`` in units of the coefficients.

        It measures how far the network is from its sweeping limit; depth >= 3.
        """
        size = self.rows.marginal_coef[j]
        if size == 0:
            return 0.0
        top = self.depth * np.max(self.potentials[j].log_scale)
        return (self.depth - 2) / self.depth * (top - np.log(size))

    def q_norm(self, j, coef):
        """Return the potential of a fit, normalised as `skregimes.limits.q_norm` is."""
        shape = None if self.log_shape is None else np.exp(self.log_shape)
        return q_norm(
            coef, np.exp(self.log_scale[j]), depth=self.depth, init_shape=shape
        )

    def lasso_alpha(self, j, end):
        """Return the Lasso's alpha that belongs to the time average of a path.

        With ``beta_bar`` the average up to ``t``, ``X.T (y - X beta_bar)`` is exactly
        ``X.T nu(t) / t``, so its largest entry is the alpha of which ``beta_bar`` meets
        the Lasso's bound; as ``alpha -> 0`` it becomes ``log(1 / alpha**2) / (4 t)``
        (depth 2) and ``1 / (D (D - 2) alpha**(D - 2) t)``.
        """
        if end.time == 0:
            return float(np.max(np.abs(self.rows.correlation[j])))
        pull = np.max(np.abs(self.rows.XT @ end.dual))
        rate = np.exp(np.max(self.potentials[j].log_rate))
        return float(pull / rate / end.time)

    def dual_of_samples(self, dual):
        """Return a reduced problem's dual for its samples, as `min_q_norm` has it."""
        if self.depth > 2 and self.log_shape is not None:
            dual = dual * np.exp((2 - self.depth) * np.max(self.log_shape))
        return self.rows.dual_of_samples(dual)


def solve(problem, solver, *, max_time, gcv, tol, **options):
    """Take the road named ``solver``, or choose one.

    Parameters
    ----------
    problem : DiagonalProblem
    solver : {"auto", "dual_mirror", "inverse_scale_space", "limit"}
    max_time : ndarray of shape (n_targets,)
        Inf where there is no bound.
    gcv : GCV or None
    tol, **options
        See `follow`.

    Returns
    -------
    solver : str
        The road taken (by the first target, should they differ).
    ends : list of End
        One a target.
    """
    targets = np.arange(len(problem.potentials))
    if solver == "auto" and gcv is None and np.all(np.isinf(max_time)):
        solver = "limit"
    if solver == "auto":
        far = np.zeros(len(targets), dtype=bool)
        if problem.depth >= 3 and problem.start is None:
            far = np.array([problem.log_barrier(j) for j in targets])
            far = far < np.log(_SWEEP_BELOW)
        if far.any() and not far.all():
            # Targets differ in how far they are from the sweeping limit.
            alone = lambda j: solve(
                problem.take([j]),
                solver,
                max_time=max_time[[j]],
                gcv=gcv,
                tol=tol,
                **options,
            )
            solvers, ends = zip(*(alone(j) for j in targets), strict=True)
            return solvers[0], [end for (end,) in ends]
        solver = "inverse_scale_space" if far.any() else "dual_mirror"
    if solver == "limit":
        return solver, solve_limits([problem])[0]
    if solver == "inverse_scale_space":
        return solver, sweep(problem, max_time=max_time, gcv=gcv, tol=tol)
    return solver, follow(problem, max_time=max_time, gcv=gcv, tol=tol, **options)


def follow(problem, *, max_time, tol, rtol, max_iter, gcv=None, on_node=None):
    """Follow the gradient flow itself; ``max_time`` has one entry a target."""
    rows = problem.rows
    paths = dual_mirror_flow(
        rows.XT,
        rows.y,
        problem.batch(),
        unit=problem.unit,
        max_time=max_time,
        tol=tol,
        rtol=rtol,
        max_iter=max_iter,
        with_df=gcv is not None,
        on_node=_watchers(gcv, rows.rest, problem.unit, on_node),
    )
    return [_end_of_path(path, rows.rest[j], gcv) for j, path in enumerate(paths)]


def follow_scales(
    problems, *, max_time, tol, rtol, max_iter, gcv=None, probe=None, on_node=None
):
    """Follow many networks on the same rows side by side.

    Parameters
    ----------
    problems : list of DiagonalProblem
        One a scale, sharing rows.
    max_time : ndarray of shape (n_scales, n_targets)
    probe : ndarray of shape (n_features, n_outputs), optional
        See `dual_mirror_flow`, as for the rest.
    on_node : callable, optional
        Its first argument is the number of the scale times that of targets, plus that
        of the target.

    Returns
    -------
    list of list of DualPath
        A list of the targets' paths for each scale.
    """
    rows = problems[0].rows
    batches = [problem.batch() for problem in problems]
    offset = (
        0.0 if problems[0].start is None else np.vstack([b.offset for b in batches])
    )
    paths = dual_mirror_flow(
        rows.XT,
        np.tile(rows.y, (len(problems), 1)),
        DiagonalPotential(
            problems[0].depth, np.vstack([b.log_scale for b in batches]), offset
        ),
        unit=np.concatenate([problem.unit for problem in problems]),
        max_time=np.ravel(max_time),
        tol=tol,
        rtol=rtol,
        max_iter=max_iter,
        with_df=gcv is not None,
        probe=probe,
        on_node=_watchers(
            gcv,
            np.tile(rows.rest, len(problems)),
            np.concatenate([problem.unit for problem in problems]),
            on_node,
        ),
    )
    n = len(rows.y)
    return [paths[i : i + n] for i in range(0, len(paths), n)]


def _watchers(gcv, rests, units, on_node=None):
    """Return what a flow is to call at its nodes, so that it ends in time."""
    if gcv is None:
        return on_node
    watchers = [gcv.watch(*each) for each in zip(rests, units, strict=True)]

    def watch(j, time, loss, coef, df):
        stop = on_node is not None and on_node(j, time, loss, coef, df)
        return watchers[j](time, loss, df) or stop

    return watch


def _end_of_path(path, rest, gcv):
    time, df, score, status = path.time[-1], np.nan, np.nan, path.status
    if gcv is not None:
        time, df, score = gcv.choose(path.time, path.loss + rest, path.df)
        if time < path.time[-1] and status in ("max_iter", "stalled"):
            status = "gcv"  # the minimum lies before the trouble
    kept = np.flatnonzero(path.time < time)
    kept = kept[thin(len(kept))] if len(kept) else kept
    dual = path.dual_at(np.array([time]))
    times = np.append(path.time[kept], time)
    coefs = path.problem.coef(np.vstack([path.dual[kept], dual]))
    residual = path.problem.residual(coefs[-1:])[0]
    losses = np.append(path.loss[kept], residual @ residual)
    return End(
        coefs[-1], dual[0], time, losses[-1], path.n_iter, status,
        (times, losses, coefs), df=df, gcv=score,
    )  # fmt: skip


def sweep(problem, *, max_time, tol, gcv=None):
    """Follow the limit ``alpha -> 0`` of the flow at depth >= 3.

    Raises
    ------
    ValueError
        If the network does not start at zero, or time leaves the range of float64.
    """
    if problem.start is not None:
        raise ValueError(
            "solver='inverse_scale_space' starts at zero; a warm start at so small a "
            "scale is not supported. Use warm_start=False or a larger init_scale."
        )
    return [_sweep_one(problem, j, max_time[j], tol, gcv) for j in range(len(max_time))]


def _sweep_one(problem, j, max_time, tol, gcv):
    rows, potential = problem.rows, problem.potentials[j]
    log_rate = np.max(potential.log_rate)
    if abs(log_rate) > 690:
        raise ValueError(
            "The time that the flow takes at this init_scale and depth leaves the "
            "range of float64. Use solver='limit' with early_stopping=False, or a "
            "larger init_scale."
        )
    rate = np.exp(log_rate)
    weights = None
    if potential.log_scale.ndim:
        weights = np.exp(log_rate - potential.log_rate)
    swept = inverse_scale_space(
        rows.XT.T,
        rows.y[j],
        weights=weights,
        depth=problem.depth,
        max_time=None if np.isinf(max_time) else max_time * rate,
    )
    time, coefs = swept.times / rate, swept.coefs
    loss = np.sum((rows.y[j] - coefs @ rows.XT) ** 2, axis=1)
    reached = np.flatnonzero(loss <= tol * loss[0])
    last = reached[0] if len(reached) else len(time) - 1
    end, status, score = time[last], "tol" if len(reached) else "time", np.nan
    df = np.count_nonzero(coefs, axis=1).astype(float)
    if gcv is not None:
        end, _, score = gcv.choose(
            time[: last + 1], loss[: last + 1] + rows.rest[j], df[: last + 1]
        )
        # The path is constant from one breakpoint to the next.
        end = time[np.searchsorted(time, end, "right") - 1]
    elif status == "time":
        end = max(end, max_time) if np.isfinite(max_time) else end
    stop = int(np.searchsorted(time, end, "right") - 1)
    kept = thin(stop + 1)
    dual = swept.dual(min(end * rate, np.nextafter(swept.horizon, 0)))
    return End(
        coefs[stop], dual, end, loss[stop], len(time), status,
        (time[kept], loss[kept], coefs[kept]), jumps=True, df=df[stop], gcv=score,
    )  # fmt: skip


def solve_limits(problems):
    """Return where flows end, without following them.

    ``problems`` share their rows and differ in scale; each warm-starts the next.

    Returns
    -------
    list of list of End
        A list of the targets' ends for each problem.
    """
    rows, log_shape = problems[0].rows, problems[0].log_shape
    shape, top = None, 0.0
    if log_shape is not None:
        # The dual is scaled by the largest rate everywhere in this file.
        top = np.max(log_shape)
        shape = np.exp(log_shape - top)
    # Without a flow's time to mind, what X hardly reaches is fitted too.
    X, whole, basis = rows.without_mean()
    ends: list = []
    warm: list = [None] * len(whole)
    for problem in problems:
        ends.append([])
        for j, y in enumerate(whole):
            start = None if problem.start is None else problem.start[j]
            scale = np.exp(problem.log_scale[j] + top)
            coef, dual = min_q_norm(
                X,
                y,
                scale,
                depth=problem.depth,
                init_shape=shape,
                init_offset=start,
                warm_start=warm[j],
                return_dual=True,
            )
            warm[j] = scale, coef, dual
            dual = dual if basis is None else basis @ dual
            coefs = np.array([np.zeros_like(coef) if start is None else start, coef])
            loss = np.sum((rows.whole[j] - coefs @ rows.XT) ** 2, axis=1)
            loss -= rows.whole[j] @ rows.whole[j] - rows.y[j] @ rows.y[j]
            path = np.array([0.0, np.inf]), loss, coefs
            ends[-1].append(End(coef, dual, np.inf, loss[1], 1, "limit", path))
    return ends


def descend(
    problem,
    X,
    Y,
    weight,
    *,
    learning_rate,
    batch_size,
    random_state,
    device,
    max_time,
    tol,
    max_iter,
    on_node=None,
):
    """Run the discrete algorithm, gradient descent on the weights.

    Parameters
    ----------
    problem : DiagonalProblem
    X, Y : ndarray of shape (n_samples, n_features) and (n_targets, n_samples)
        The data before reduction, since mini batches see samples, and targets as they
        were, of which steps depend; the dtype of X is that of the computation.
    weight : ndarray of shape (n_samples,)
    max_time : ndarray of shape (n_targets,)
    learning_rate, batch_size, random_state, device, tol, max_iter
        See `skregimes.flows.gradient_descent.gradient_descent`.

    Returns
    -------
    list of End

    Raises
    ------
    FloatingPointError
        If the steps are too large and the loss diverges.
    """
    # torch takes seconds to import, and only this road needs it.
    from skregimes._border import check_device, to_tensor
    from skregimes.flows.gradient_descent import gradient_descent
    from skregimes.networks.diagonal import DiagonalNet

    device = check_device(device)
    tensor = lambda a: to_tensor(np.asarray(a, dtype=X.dtype), device=device)
    network = DiagonalNet(problem.depth)
    n_targets, n_features = len(Y), X.shape[1]
    shape = np.zeros(n_features) if problem.log_shape is None else problem.log_shape
    start = np.zeros((n_targets, n_features))
    if problem.start is not None:
        start = problem.start

    def report(j, time, loss, coef):
        unit = problem.y_unit[j]
        time = time * problem.time_factor[j]
        return on_node(j, time, 2 * loss / unit**2, coef / unit)

    weights = network.initial_weights(
        n_features,
        tensor(np.exp(problem.log_alpha)),
        init_shape=tensor(np.exp(shape)),
        init_offset=tensor(start * problem.y_unit[:, None]),
        dtype=tensor(0.0).dtype,
        device=device,
    )
    result = gradient_descent(
        network,
        weights,
        tensor(X),
        tensor(Y),
        sample_weight=tensor(weight),
        learning_rate=learning_rate,
        batch_size=batch_size,
        random_state=random_state,
        tol=tol,
        max_iter=max_iter,
        max_time=to_tensor(max_time / problem.time_factor),
        on_node=None if on_node is None else report,
    )
    ends = []
    words = {"converged": "tol", "max_time": "time"}
    for j, (status, path) in enumerate(
        zip(result.status, result.trajectories, strict=True)
    ):
        if status == "diverged":
            raise FloatingPointError(result.message[j])
        valid = result.identity_valid[j]
        scale = np.where(valid, result.log_effective_scale[j], np.nan)
        # Back to targets of size one, and to mean squares above the infimum.
        unit, clock = problem.y_unit[j], problem.time_factor[j]
        loss = path.loss - result.loss[j] + result.excess_loss[j]
        ends.append(
            End(
                coef=result.coef[j] / unit,
                dual=None,
                time=result.time[j] * clock,
                loss=2 * result.excess_loss[j] / unit**2,
                n_iter=max(int(result.n_iter[j]), 1),
                status=words.get(status, status),
                path=(path.time * clock, 2 * loss / unit**2, path.coef / unit),
                log_effective_scale=scale,
            )
        )
    return ends
