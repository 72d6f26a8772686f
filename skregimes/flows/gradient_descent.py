"""The literal discrete algorithm: gradient descent on the weights, constant step.

Gradient *flow* is what the theory speaks of, and `skregimes` has faster and more exact
ways to follow it. This file is for those who study the step itself: its size, mini
batches, and what the two do to the point where training ends.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from skregimes._border import to_numpy, to_tensor
from skregimes.flows.trajectory import Trajectory
from skregimes.limits.potentials import DiagonalPotential
from skregimes.networks.diagonal import DiagonalNet

__all__ = ["GradientDescentResult", "gradient_descent"]

# Steps between two recorded points grow by this: about 100 points in 100 000 steps.
_RECORD_GROWTH = 1.12
# A loss above this many times the larger of the initial one and the target's size has
# diverged. Stable runs do not come near it; divergent ones cross it in a few steps.
_BLOW_UP = 1e6
# The default step in units of 1 / sharpness; gradient descent is stable below 2.
_SAFE_STEP = 0.2


@dataclass(frozen=True, eq=False)
class GradientDescentResult:
    """Where gradient descent ended, one entry (or row) a problem.

    Parameters
    ----------
    coef : ndarray of shape (n_problems, n_features)
        Coefficients at the end.
    weights : ndarray of shape (n_problems, 2, n_features)
        Weights ``u, v`` at the end.
    time : ndarray of shape (n_problems,)
        Flow time: the sum of the steps.
    n_iter : ndarray of shape (n_problems,)
        Number of steps.
    loss : ndarray of shape (n_problems,)
        Training loss at the end.
    excess_loss : ndarray of shape (n_problems,)
        Training loss above its infimum over all coefficients, free of cancellation.
    status : tuple of str
        ``"converged"``, ``"max_time"``, ``"max_iter"``, ``"stopped"`` (by ``on_node``),
        ``"diverged"`` or ``"interrupted"`` (by the keyboard: what was reached is kept,
        and it is for the caller to say so or to raise KeyboardInterrupt again).
    message : tuple of str
        The status in a sentence, with what to change.
    learning_rate : ndarray of shape (n_problems,)
        Step sizes used.
    sharpness : ndarray of shape (n_problems,)
        Largest eigenvalue at the end of the tangent kernel with the samples' weights:
        that of the loss' Hessian where the residuals vanish. Descent is stable there
        while ``learning_rate < 2 / sharpness``. Power iteration, to about 1e-6.
    log_effective_scale : ndarray of shape (n_problems, n_features)
        Log of the scale that flow from the equivalent start conserves, see Notes.
    dual_shift : ndarray of shape (n_problems, n_features)
        Scaled dual of the equivalent start.
    effective_offset : ndarray of shape (n_problems, n_features)
        Coefficients of the equivalent start, whose scaled dual is ``dual_shift``.
    identity_valid : ndarray of bool of shape (n_problems,)
        Whether the equivalent start exists. False if a step turned the sign of a weight
        (depth 2: ``2 learning_rate |g| >= 1``), for depth >= 3 also if a dual shift
        left (-1, 1); the three arrays above are then meaningless.
    trajectories : tuple of Trajectory
        About 100 log-spaced points each, start and end included.

    Notes
    -----
    Every gradient in the coefficients is a combination of rows of X. With ``S`` the sum
    of ``learning_rate * g`` over the steps, ``abar`` the conserved scale of the final
    weights and ``s`` their scaled dual, ``coef`` has the dual ``s0 + C(abar) (-S)``
    with ``s0 = s + C(abar) S``: it is *exactly* the point at which gradient flow ends
    that starts from the effective scale ``abar`` and dual ``s0``, if it fits as flow
    does. For depth 2 and an unbiased start that is, coordinate by coordinate, ::

        log abar = log a + sum log(1 - (2 lr g)**2) / 2
        s0       = sum [log((1 - 2 lr g) / (1 + 2 lr g)) + 4 lr g]

    so a finite step shrinks the scale where gradients were large. Beyond depth 2 the
    same algebra holds, though no product formula does. One sum a step is all it costs.

    References
    ----------
    Pesme, Pillaud-Vivien, Flammarion, "Implicit Bias of SGD for Diagonal Linear
    Networks: a Provable Benefit of Stochasticity", NeurIPS 2021. Even, Pesme,
    Gunasekar, Flammarion, "(S)GD over Diagonal Linear Networks: Implicit
    Regularisation, Large Stepsizes and Edge of Stability", NeurIPS 2023.
    """

    coef: np.ndarray
    weights: np.ndarray
    time: np.ndarray
    n_iter: np.ndarray
    loss: np.ndarray
    excess_loss: np.ndarray
    status: tuple[str, ...]
    message: tuple[str, ...]
    learning_rate: np.ndarray
    sharpness: np.ndarray
    log_effective_scale: np.ndarray
    dual_shift: np.ndarray
    effective_offset: np.ndarray
    identity_valid: np.ndarray
    trajectories: tuple[Trajectory, ...]


@dataclass(frozen=True, eq=False)
class _Problems:
    """What defines each problem; every tensor has the problems as its first axis.

    With ``root = sqrt(sample_weight / sum)``, ``r = root * (X @ coef) - target`` the
    loss is ``|r|**2 / 2``, and ``|r + gap|**2 / 2`` its excess over the infimum.
    """

    index: Tensor  # place in the whole batch
    root: Tensor
    target: Tensor
    gap: Tensor
    rate: Tensor
    goal: Tensor  # excess loss at which the problem has converged
    ceiling: Tensor  # excess loss above which it has diverged
    last: Tensor  # number of steps it may take

    def select(self, keep: Tensor) -> "_Problems":
        return _Problems(*(getattr(self, field.name)[keep] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class _State:
    """What a step changes; replaced whole, so that an interruption finds it whole."""

    n_iter: int
    weights: Tensor
    pull: Tensor  # sum of the gradients in the coefficients
    lowest: Tensor  # smallest weight met on the way

    def select(self, keep: Tensor) -> "_State":
        return replace(
            self,
            weights=self.weights[keep],
            pull=self.pull[keep],
            lowest=self.lowest[keep],
        )


def gradient_descent(
    network: DiagonalNet,
    weights: Tensor,
    X: Tensor,
    y: Tensor,
    *,
    sample_weight: Tensor | None = None,
    learning_rate: float | Tensor | None = None,
    batch_size: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    tol: float = 1e-8,
    max_iter: int = 100_000,
    max_time: float | Tensor | None = None,
    on_node: Callable[[int, float, float, np.ndarray], object] | None = None,
) -> GradientDescentResult:
    """Train diagonal networks by gradient descent with a constant step.

    The loss is ``sum_i w_i (f(x_i) - y_i)**2 / (2 sum_i w_i)``. Problems share X and
    the order of the mini batches; each has its own target, sample weights, start, step,
    and end. Which others are in the batch touches a result by rounding errors only. The
    arithmetic is done in the dtype and on the device of ``X``.

    Parameters
    ----------
    network : DiagonalNet
        The network.
    weights : Tensor of shape (n_problems, 2, n_features)
        Weights at time zero.
    X : Tensor of shape (n_samples, n_features)
        Inputs.
    y : Tensor of shape (n_samples,) or (n_problems, n_samples)
        Targets.
    sample_weight : Tensor of shape (n_samples,) or (n_problems, n_samples), optional
        Weights >= 0 of the samples; equal ones by default. A zero leaves a sample out.
    learning_rate : float or Tensor of shape (n_problems,), optional
        Step size > 0. By default 0.2 over an upper estimate of the sharpness on the
        way, ten times below where descent loses its stability: see Notes.
    batch_size : int, optional
        Samples in a mini batch, drawn without replacement from a fresh shuffle each
        epoch (the last one of an epoch may be smaller). A batch's gradient is scaled to
        be an unbiased estimate of the full one. By default every step sees all samples.
    random_state : int or RandomState, optional
        Seed of the shuffles; needed with `batch_size`.
    tol : float, default=1e-8
        Stop when the loss above its infimum is at most `tol` times the initial loss, or
        when the fit is perfect to 20 units of the last place. It is looked at after
        every step, with mini batches after every epoch and at every recorded point.
        Lack of progress never stops: small scales spend most of their time on plateaus.
    max_iter : int, default=100_000
        Largest number of steps.
    max_time : float or Tensor of shape (n_problems,), optional
        Largest flow time, inf for no bound. The run ends at the last step not beyond.
    on_node : callable, optional
        Called as ``on_node(j, time, excess_loss, coef)`` at each recorded point of
        problem ``j`` but the start; a true answer ends that problem.

    Returns
    -------
    GradientDescentResult
        The end, and how it was reached. Nothing is raised for a run that diverges or
        does not converge, or that Ctrl-C stops: see its ``status``.

    Raises
    ------
    ValueError
        If shapes do not fit or an option is out of its range.

    Notes
    -----
    The sharpness (largest eigenvalue of the tangent kernel, weighted as the loss) is
    estimated at the start, at the least squares coefficients, and at sparse ones, taken
    as the lesser of all one-feature fits at once and of the least squares coefficients'
    l1 norm in the column of largest norm. The default step takes the largest. For mini
    batches it becomes the expected smoothness of [1]_, which counts the steepest
    sample. The default also keeps ``depth |w|**(depth - 2) learning_rate |g| <= 0.1``
    for the gradient at the start and the largest of these coefficients, so that no
    weight turns its sign. None of it is a proof: look at ``status`` and
    ``identity_valid``.

    References
    ----------
    .. [1] Gower, Loizou, Qian, Sailanbayev, Shulgin, Richtarik, "SGD: General Analysis
       and Improved Rates", ICML 2019, Section 3.3.

    Examples
    --------
    >>> import torch
    >>> from skregimes.flows.gradient_descent import gradient_descent
    >>> from skregimes.networks.diagonal import DiagonalNet
    >>> X = torch.tensor([[1.0, 2, 0, -1], [0, 1, 1, 3]], dtype=torch.float64)
    >>> y = torch.tensor([1.0, 2], dtype=torch.float64)
    >>> network = DiagonalNet(depth=2)
    >>> start = network.initial_weights(4, 0.1)
    >>> result = gradient_descent(network, start, X, y, learning_rate=0.001, tol=1e-12)
    >>> result.status
    ('converged',)
    >>> result.coef.round(3)
    array([[0.033, 0.693, 0.051, 0.419]])
    """
    n_problems, n_samples = len(weights), len(X)
    _check(network, weights, X, y, batch_size, random_state, tol, max_iter, max_time)
    weights = weights.to(X)
    root = _root_weights(X, sample_weight, n_problems)
    target = root * y.to(X)
    gap, sharpness = _survey(network, weights, X, root, target, batch_size or n_samples)
    if learning_rate is None:
        # Where nothing has to be learnt any step will do.
        rate = _SAFE_STEP / torch.where(sharpness > 0, sharpness, 1.0)
    else:
        rate = torch.as_tensor(learning_rate, dtype=torch.float64, device="cpu")
        if not bool(torch.all((rate > 0) & torch.isfinite(rate))):
            raise ValueError(f"learning_rate={learning_rate} must be positive.")
        rate = rate.expand(n_problems)
    rate = rate.to(X)

    start_loss = _half_square(root * network.forward(weights, X) - target)
    size = torch.maximum(start_loss, _half_square(target))
    rounding = (20 * torch.finfo(X.dtype).eps) ** 2
    last = torch.full_like(rate, max_iter, dtype=torch.float64)
    if max_time is not None:
        # The slack lets a max_time of k steps be k steps.
        bound = torch.as_tensor(max_time, dtype=torch.float64).to(X.device)
        last = last.clamp(max=torch.floor(bound / rate.double() * (1 + 1e-12)))
    problems = _Problems(
        index=torch.arange(n_problems, device=X.device),
        root=root,
        target=target,
        gap=gap.to(X),
        rate=rate,
        goal=torch.maximum(tol * start_loss, rounding * size),
        ceiling=_BLOW_UP * size,
        last=last,
    )
    state = _State(
        n_iter=0,
        weights=weights,
        pull=torch.zeros_like(weights[:, 0], dtype=torch.float64),
        lowest=weights.amin(dim=(1, 2)),
    )
    batches = None if batch_size is None else _batches(X, batch_size, random_state)
    logbook = _Logbook(n_problems, on_node)
    _descend(network, X, state, problems, batches, logbook)
    return _result(network, X, weights, root, rate, sharpness, max_iter, logbook)


# -- the loop --------------------------------------------------------------------------


def _descend(
    network: DiagonalNet,
    X: Tensor,
    state: _State,
    problems: _Problems,
    batches: Iterator[tuple[Tensor, bool]] | None,
    logbook: "_Logbook",
) -> None:
    """Step until every problem has ended or the keyboard interrupts."""
    next_record = 0
    lasts = set(problems.last.tolist())
    epoch_ends = True  # a full batch is an epoch
    try:
        while True:
            recorded = state.n_iter >= next_record
            if recorded:
                grown = math.ceil(_RECORD_GROWTH * state.n_iter)
                next_record = max(state.n_iter + 1, grown)
            if recorded or epoch_ends or state.n_iter in lasts:
                coef, residual = _residual(network, X, state, problems)
                excess = _half_square(residual + problems.gap)
                done = excess <= problems.goal
                lost = ~(excess <= problems.ceiling)  # nan is lost, too
                late = (problems.last <= state.n_iter) & ~done & ~lost
                ended = done | lost | late
                if recorded or bool(ended.any()):
                    seen = ~lost if recorded else ended & ~lost
                    stopped = logbook.watch(state, problems, coef, excess, seen)
                    stopped = stopped & ~ended
                    ended = ended | stopped
                    logbook.record(state, problems, coef, residual, seen & ~ended)
                    for where, status in (
                        (done, "converged"),
                        (lost, "diverged"),
                        (late, "late"),
                        (stopped, "stopped"),
                    ):
                        logbook.end(state, problems, coef, residual, where, status)
                    if bool(ended.all()):
                        return
                    state, problems = state.select(~ended), problems.select(~ended)
                    residual = residual[~ended]
            if batches is None:
                gradient = (problems.root * residual) @ X
            else:
                batch, epoch_ends = next(batches)
                gradient = _batch_gradient(network, X, state, problems, batch)
            velocity = network.gradient(state.weights, gradient)
            weights = state.weights - problems.rate[:, None, None] * velocity
            state = _State(
                n_iter=state.n_iter + 1,
                weights=weights,
                pull=state.pull + gradient,
                lowest=torch.minimum(state.lowest, weights.amin(dim=(1, 2))),
            )
    except KeyboardInterrupt:
        logbook.interrupt(state, problems, *_residual(network, X, state, problems))


def _residual(network, X, state, problems) -> tuple[Tensor, Tensor]:
    coef = network.coef(state.weights)
    return coef, problems.root * (coef @ X.T) - problems.target


def _batch_gradient(network, X, state, problems, batch) -> Tensor:
    """Return an unbiased estimate of the gradient in the coefficients."""
    rows, root = X[batch], problems.root[:, batch]
    coef = network.coef(state.weights)
    residual = root * (coef @ rows.T) - problems.target[:, batch]
    return (len(X) / len(rows)) * ((root * residual) @ rows)


def _batches(X, batch_size, random_state) -> Iterator[tuple[Tensor, bool]]:
    """Yield the samples of each mini batch, and whether it ends its epoch."""
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(random_state)
    while True:
        order = to_tensor(random_state.permutation(len(X)), device=X.device)
        for start in range(0, len(X), batch_size):
            stop = start + batch_size
            yield order[start:stop], stop >= len(X)


def _half_square(residual: Tensor) -> Tensor:
    return (residual**2).sum(dim=-1) / 2


class _Logbook:
    """The recorded points and the end of each problem, and who is told of them."""

    def __init__(self, n_problems: int, on_node: Callable | None):
        self.on_node = on_node
        self.points: list[list[tuple]] = [[] for _ in range(n_problems)]
        self.ends: list[dict | None] = [None] * n_problems

    def watch(self, state, problems, coef, excess, where):
        """Tell the caller of some problems; return which of them are to stop."""
        stop = torch.zeros_like(where)
        if self.on_node is not None and state.n_iter > 0:
            for row in torch.nonzero(where)[:, 0].tolist():
                stop[row] = bool(
                    self.on_node(
                        int(problems.index[row]),
                        state.n_iter * float(problems.rate[row]),
                        float(excess[row]),
                        to_numpy(coef[row]),
                    )
                )
        return stop

    def record(self, state, problems, coef, residual, where):
        """Note a point of some problems, once."""
        loss = _half_square(residual)
        for row in torch.nonzero(where)[:, 0].tolist():
            points = self.points[int(problems.index[row])]
            if not points or points[-1][0] < state.n_iter:
                points.append((state.n_iter, float(loss[row]), to_numpy(coef[row])))

    def end(self, state, problems, coef, residual, where, status):
        """Note the end of some problems."""
        if status != "diverged":
            self.record(state, problems, coef, residual, where)
        loss = _half_square(residual)
        excess = _half_square(residual + problems.gap)
        for row in torch.nonzero(where)[:, 0].tolist():
            self.ends[int(problems.index[row])] = {
                "status": status,
                "n_iter": state.n_iter,
                "loss": float(loss[row]),
                "excess_loss": float(excess[row]),
                "coef": to_numpy(coef[row]),
                "weights": state.weights[row],
                "pull": state.pull[row],
                "same_signs": bool(state.lowest[row] > 0),
            }

    def interrupt(self, state, problems, coef, residual):
        """Note the end of those that still ran."""
        running = [self.ends[i] is None for i in problems.index.tolist()]
        where = torch.tensor(running, device=coef.device)
        self.end(state, problems, coef, residual, where, "interrupted")


# -- what is known before the first step -----------------------------------------------


def _check(network, weights, X, y, batch_size, random_state, tol, max_iter, max_time):
    if weights.shape[1:] != (2, X.shape[1]):
        raise ValueError(
            f"weights of shape {tuple(weights.shape)} do not fit X of shape "
            f"{tuple(X.shape)}: (n_problems, 2, n_features) is wanted."
        )
    if y.shape not in ((len(X),), (len(weights), len(X))):
        raise ValueError(
            f"y of shape {tuple(y.shape)} must be (n_samples,) or (n_problems, "
            f"n_samples), here {len(weights)} problems and {len(X)} samples."
        )
    if batch_size is not None:
        if not 1 <= batch_size <= len(X):
            raise ValueError(
                f"batch_size={batch_size} must lie between 1 and n_samples={len(X)}."
            )
        if random_state is None:
            raise ValueError(
                "Mini batches need a random_state: a seed or a RandomState."
            )
    if not tol >= 0:
        raise ValueError(f"tol={tol} must not be negative.")
    if max_iter < 1:
        raise ValueError(f"max_iter={max_iter} must be at least 1.")
    if max_time is not None and not bool(torch.all(torch.as_tensor(max_time) >= 0)):
        raise ValueError(f"max_time={max_time} must not be negative.")


def _root_weights(X, sample_weight, n_problems) -> Tensor:
    """Return the square roots of the samples' weights, which sum to one."""
    if sample_weight is None:
        sample_weight = torch.ones(len(X), dtype=X.dtype)
    weight = sample_weight.to(X.device, torch.float64).expand(n_problems, len(X))
    total = weight.sum(dim=1, keepdim=True)
    if not bool(torch.all(weight >= 0) & torch.all((total > 0) & (total < math.inf))):
        raise ValueError(
            "sample_weight must be finite and not negative, and its sum positive."
        )
    return torch.sqrt(weight / total).to(X)


def _survey(network, weights, X, root, target, batch_size) -> tuple[Tensor, Tensor]:
    """Return the unattainable part of each target, and its sharpness estimate."""
    X, weights, root, target = (t.double() for t in (X, weights, root, target))
    gaps, bounds = [], []
    for i in range(len(root)):
        if i == 0 or not torch.equal(root[i], root[i - 1]):
            A = root[i][:, None] * X
            basis, sizes = _column_space(A)
        inner = basis.T @ target[i]
        gaps.append(target[i] - basis @ inner)
        least_squares = A.T @ (basis @ (inner / sizes**2))
        bounds.append(
            _sharpness_bound(
                network, weights[i : i + 1], A, target[i], least_squares, batch_size
            )
        )
    return torch.stack(gaps), torch.stack(bounds)


def _column_space(A: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis of A's column space, and the singular values."""
    # The triangular factor of a wide matrix has the same left singular vectors.
    small = torch.linalg.qr(A.T, mode="r").R.T if len(A) < A.shape[1] else A
    basis, sizes, _ = torch.linalg.svd(small, full_matrices=False)
    live = sizes > max(A.shape) * torch.finfo(A.dtype).eps * sizes[0]
    return basis[:, live], sizes[live]


def _top_eigenvalue(A: Tensor, kernel_weights: Tensor) -> Tensor:
    """Return the largest eigenvalue of ``A diag(kernel_weights) A.T``."""
    norms = (A**2) @ kernel_weights
    v = torch.zeros_like(norms)
    v[norms.argmax()] = 1.0
    value = norms.max()
    for _ in range(300):
        v = A @ (kernel_weights * (A.T @ v))
        last, value = value, torch.linalg.vector_norm(v)
        if not value - last > 1e-7 * value:
            break
        v = v / value
    return value


def _sharpness_bound(network, weights, A, target, least_squares, batch_size) -> Tensor:
    """Return what the default step divides by; see the notes of `gradient_descent`."""
    depth, n_samples = network.depth, len(A)
    share = (n_samples - batch_size) / max(n_samples - 1, 1)

    def sharpness(kernel_weights):
        full = _top_eigenvalue(A, kernel_weights)
        steepest = n_samples * ((A**2) @ kernel_weights).max()
        return (n_samples * (1 - share) * full + share * steepest) / batch_size

    power = 2 - 2 / depth
    floor = torch.exp(depth * network.log_scale(weights)[0])
    # Upper bounds, from u**depth <= |coef| + scale**depth and v <= scale (coef >= 0).
    bound = lambda coef: sharpness(
        depth**2 * ((coef.abs() + floor) ** power + floor**power)
    )
    norms = (A**2).sum(dim=0)
    alone = torch.where(norms > 0, (A.T @ target) / norms, 0.0)
    pooled = torch.where(norms == norms.max(), least_squares.abs().sum(), 0.0)
    start = sharpness(network.kernel_weights(weights)[0])
    sparse = torch.minimum(bound(alone), bound(pooled))
    top = torch.stack([start, sparse, bound(least_squares)]).max()
    if depth == 1:
        return top
    residual = A @ network.coef(weights)[0] - target
    if batch_size == n_samples:
        slope = (A.T @ residual).abs().max()
    else:  # the steepest mini batch is no steeper than the steepest sample
        slope = n_samples * (residual[:, None] * A).abs().max()
    largest = (torch.maximum(alone.abs(), least_squares.abs()) + floor).max()
    turn = depth * largest ** (1 - 2 / depth) * slope
    return torch.maximum(top, 2 * turn)


# -- what is known after the last one --------------------------------------------------


def _result(
    network, X, start, root, rate, sharpness, max_iter, logbook
) -> GradientDescentResult:
    ends, rate = logbook.ends, rate.double()
    final = torch.stack([end["weights"] for end in ends])
    effective = _effective_start(network, final.double(), rate, ends)
    valid = effective["identity_valid"]
    n_iter = np.array([end["n_iter"] for end in ends])
    rates = to_numpy(rate)
    outcomes = [
        _outcome(end, rates[i], valid[i], float(sharpness[i]), max_iter)
        for i, end in enumerate(ends)
    ]
    kernel_weights = network.kernel_weights(final.double())
    log_start = to_numpy(network.log_scale(start.double()))
    trajectories = (
        _trajectory(points, rates[i], DiagonalPotential(network.depth, log_start[i]))
        for i, points in enumerate(logbook.points)
    )
    return GradientDescentResult(
        coef=np.stack([end["coef"] for end in ends]),
        weights=to_numpy(final),
        time=n_iter * rates,
        n_iter=n_iter,
        loss=np.array([end["loss"] for end in ends]),
        excess_loss=np.array([end["excess_loss"] for end in ends]),
        status=tuple(status for status, _ in outcomes),
        message=tuple(message for _, message in outcomes),
        learning_rate=rates,
        sharpness=np.array(
            [
                float(_top_eigenvalue((root[i][:, None] * X).double(), row))
                for i, row in enumerate(kernel_weights)
            ]
        ),
        trajectories=tuple(trajectories),
        **effective,
    )


def _effective_start(network, weights, rate, ends) -> dict[str, np.ndarray]:
    """Return the start whose gradient flow ends where descent did."""
    depth = network.depth
    pull = torch.stack([end["pull"] for end in ends])
    log_scale = network.log_scale(weights)
    travel = torch.exp(network.log_dual_rate(log_scale)) * rate[:, None] * pull
    shift = network.dual(weights) + travel
    valid = torch.isfinite(shift)
    if depth > 2:
        valid = valid & (shift.abs() < 1)
    same_signs = np.array([end["same_signs"] for end in ends])
    exists = to_numpy(valid.all(dim=1)) & (same_signs | (depth == 1))
    log_scale, shift = to_numpy(log_scale), to_numpy(shift)
    offset = np.full_like(shift, np.nan)
    potential = DiagonalPotential(depth, log_scale[exists])
    offset[exists] = potential.coef(potential.theta_of_dual(shift[exists]))
    return {
        "log_effective_scale": log_scale,
        "dual_shift": shift,
        "effective_offset": offset,
        "identity_valid": exists,
    }


def _outcome(end, rate, valid, sharpness, max_iter) -> tuple[str, str]:
    """Return how a problem ended, in a word, and in sentences that say what to do."""
    status, n_iter = end["status"], end["n_iter"]
    if status == "diverged":
        return status, (
            f"Gradient descent diverged: learning_rate={rate:.3g} is too large. It "
            "must stay below 2 / sharpness, with the sharpness the largest eigenvalue "
            "of the loss' Hessian on the way; an upper estimate of it gives "
            f"{2 / sharpness:.3g}. "
            f"learning_rate=None takes {_SAFE_STEP / sharpness:.3g}."
        )
    if status == "converged":
        message = f"The loss met tol after {n_iter} steps."
    elif status == "interrupted":
        message = f"Interrupted after {n_iter} steps."
    elif status == "stopped":
        message = f"on_node stopped it after {n_iter} steps."
    elif n_iter >= max_iter:
        status = "max_iter"
        message = (
            f"max_iter={max_iter} steps of learning_rate={rate:.3g} came before the "
            "loss met tol; increase max_iter or tol."
        )
    else:
        status = "max_time"
        message = f"max_time came after {n_iter} steps, before the loss met tol."
    if not valid:
        message += (
            f" Steps of learning_rate={rate:.3g} turned the sign of a weight or left "
            "the domain of the dual: the end is not that of a gradient flow; decrease "
            "learning_rate if it should be."
        )
    return status, message


def _trajectory(points, rate, potential) -> Trajectory:
    n_iter, loss, coef = zip(*points)
    return Trajectory(
        time=np.array(n_iter) * rate,
        loss=np.array(loss),
        richness=np.array([potential.richness(row.astype(float)) for row in coef]),
        coef=np.stack(coef),
    )
