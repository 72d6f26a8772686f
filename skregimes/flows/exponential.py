"""Exponential integrator for the gradient flow of shallow two-slope networks.

Two things make explicit methods creep on this flow. The tangent kernel is stiff: its
eigenvalues span ten and more decades. And kinks stick to samples: where the units'
velocities on both sides of a sample point at it, the solution slides along it, a
Filippov solution of the discontinuous flow; methods that ignore this chatter.

Here the residual is followed in the eigenbasis of the tangent kernel, where a frozen
kernel costs nothing however long the step; each unit then moves by the exact flow for
the impulse that the residual exerts on it over the step, a hyperbolic rotation that
conserves the balance of its layers; and kinks that stick are pinned until the residual
pulls them off. In the kernel regime one step reaches the end of the flow.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from skregimes.flows.ending import Ending
from skregimes.flows.result import FlowResult, explain
from skregimes.networks.shallow_relu import ShallowReLUProblem, hyperbolic

__all__ = ["exponential"]

# The kernel is kept while what it misses moves the residual by less than this share.
_REUSE = 0.3
# Beyond this many time constants of the fastest mode, stiff modes are slaved.
_STIFF = 3.0
# Largest impulse on a unit in a step: it may turn and grow by that much.
_MAX_IMPULSE = 1.0
# Passes over the units whose kinks cross samples in a step.
_SWEEPS = 2
_KRYLOV_SIZE = 60
_TINY = 1e-300
# Stands for infinite time, in units of the fastest time of the start.
_FOREVER = 1e15


def exponential(
    problem: ShallowReLUProblem,
    theta: Tensor,
    *,
    max_time: float = math.inf,
    rtol: float = 1e-3,
    tol: float = 0.0,
    max_iter: int = 100_000,
    krylov: bool = False,
    sliding: bool = True,
    degrees: bool = False,
    nodes: Sequence[float] | None = None,
    on_node: Callable | None = None,
) -> FlowResult:
    """Follow the gradient flow of a shallow network.

    Parameters
    ----------
    problem : ShallowReLUProblem
        Training set.
    theta : Tensor of shape (n_params,)
        Parameters at the start, float64.
    max_time : float, default=inf
        Flow time at which to stop.
    rtol : float, default=1e-3
        Error of the function on the training set allowed in a step, root mean square,
        relative to that of the target. The error of the result is of the same size.
    tol : float, default=0.0
        Stop when the loss falls below ``tol`` times its start.
    max_iter : int, default=100_000
        Bound on accepted steps.
    krylov : bool, default=False
        Whether the kernel is known on a Krylov space of the residual only, without its
        Gram matrix: for so many samples that an eigendecomposition is too dear. Stiff,
        slow kernel regimes then need many steps.
    sliding : bool, default=True
        Whether kinks can be pinned to samples. False is for study: the method then
        needs tiny steps wherever the flow slides.
    degrees : bool = False
        Whether to follow the degrees of freedom, the trace of the map from the targets
        to the function, by the tangent kernels on the way. Exact in the kernel regime;
        beyond, it leaves out that the kernel depends on the targets. Not with
        ``krylov``.
    nodes : sequence of float, default=None
        Times, increasing, at which to call ``on_node`` and to see whether to stop, from
        the dense output; None is at every step.
    on_node : callable, default=None
        Called with ``time, theta, loss``, with ``degrees`` also their number, at the
        start and the end too; a true answer stops the flow.

    Returns
    -------
    FlowResult
        Where the flow ended.

    References
    ----------
    .. [1] M. Hochbruck and A. Ostermann, "Exponential integrators", Acta Numerica 19,
       2010: the Rosenbrock-type methods of section 2.4.
    .. [2] A. F. Filippov, "Differential equations with discontinuous righthand sides",
       1988, section 4.
    """
    if krylov and degrees:
        raise ValueError("degrees=True needs the whole kernel: set krylov=False.")
    flow = _Flow(problem, sliding)
    visit = _Visitor(flow, Ending(tol=tol, max_time=max_time), on_node)
    memory = _Memory.full(problem) if degrees else None
    state = flow.state(*problem.unpack(theta), None)
    status = visit(0.0, state, memory)
    end_of_time = max_time
    if math.isinf(max_time) and status is None:
        radius = problem.kernel_radius(theta)[0] + flow.growth(state)
        end_of_time = _FOREVER / radius
    time, n_iter, n_seen, step, linear, pull = 0.0, 0, 0, end_of_time, None, None
    try:
        while status is None and n_iter < max_iter:
            state = flow.release(state, pull)
            left = end_of_time - time
            taken = _Step.take(flow, state, linear, min(step, left), time, rtol, krylov)
            if taken is None:
                status = "stalled"
                break
            n_iter += 1
            before, time = time, time + taken.length
            if taken.length >= left * (1 - 1e-12):
                time = end_of_time
            if memory is not None:
                memory = memory.seen_from(taken.linear)
            for node in () if nodes is None else nodes[n_seen:]:
                if node >= time:
                    break
                n_seen += 1
                if node <= before:
                    continue
                there = taken.land(node - before)[0]
                left_over = memory and memory.after(node - before)
                status = visit(node, there, left_over)
                if status is not None:
                    time, state = node, there
                    break
            if status is not None:
                break
            state, pull, linear, step = taken.end, taken.pull, taken.linear, taken.next
            memory = memory and memory.after(taken.length)
            if nodes is None or time == end_of_time:
                status = visit(time, state, memory)
            if time == end_of_time:
                status = status or "max_time"
        status = status or "max_iter"
    except KeyboardInterrupt:
        status = "interrupted"
    return FlowResult(
        problem.pack(state.hidden, state.output),
        time,
        flow.loss(state),
        n_iter,
        flow.n_gradients,
        status,
        explain(status, n_iter, time),
    )


@dataclass(frozen=True, eq=False)
class _Visitor:
    """Tells of states, and why the flow ends there."""

    flow: "_Flow"
    ending: Ending
    on_node: Callable | None

    def __call__(self, time, state, memory):
        """Return the status with which the flow ends at a state, or None."""
        flow, loss = self.flow, self.flow.loss(state)
        stop = False
        if self.on_node is not None:
            theta = flow.problem.pack(state.hidden, state.output)
            degrees = () if memory is None else (memory.degrees,)
            stop = self.on_node(time, theta, loss, *degrees)
        slope = -float((state.residual * flow.velocity(state, state.residual)).sum())
        found = self.ending.status(time, loss, max(slope, 0.0), flow.growth(state))
        return found or ("stopped" if stop else None)


@dataclass(frozen=True, eq=False)
class _Memory:
    """How the residual remembers the targets, ``d residual / d target`` at the flow.

    With frozen kernels it is a product of exponentials; ``matrix`` is that product in
    the coordinates of the current ``linear`` operator.
    """

    matrix: Tensor
    linear: "_Linear | None" = None

    @classmethod
    def full(cls, problem):
        """Return the memory at the start: all that the affine part leaves."""
        n, q = problem.target.shape
        eye = torch.eye(n * q, dtype=problem.root.dtype, device=problem.root.device)
        return cls(problem.project_gram(eye))

    @property
    def degrees(self):
        """Degrees of freedom of the fit, those of the affine part included."""
        return len(self.matrix) - float(self.matrix.trace())

    def seen_from(self, linear):
        """Return the same in the coordinates of another operator."""
        if linear is self.linear:
            return self
        turn = linear.basis
        if self.linear is not None:
            turn = self.linear.basis.T @ turn
        return _Memory(turn.T @ self.matrix @ turn, linear)

    def after(self, time):
        """Return what is left of it later."""
        fade = torch.exp(-time * self.linear.rates)
        return _Memory(fade[:, None] * self.matrix, self.linear)


@dataclass(frozen=True, eq=False)
class _Pins:
    """Kinks held at samples.

    ``held`` (n, m) says which; the rest is of the ``k`` units that hold any: their
    numbers ``units (k,)``, samples ``rows (k, b)`` of which ``real`` are not padding,
    the samples' inputs ``inputs (k, b, p)``, and an orthonormal ``basis (k, p, b)`` of
    these: a unit moves orthogonally to it.
    """

    held: Tensor
    units: Tensor
    rows: Tensor
    real: Tensor
    inputs: Tensor
    basis: Tensor

    @classmethod
    def of(cls, held, inputs):
        """Return the pins of a mask, or None if it is empty."""
        units = held.any(0).nonzero()[:, 0]
        if len(units) == 0:
            return None
        mask = held[:, units].T
        most = int(mask.sum(1).max())
        rows = torch.topk(mask.to(torch.int8), most, dim=1).indices
        real = torch.gather(mask, 1, rows)
        pinned = inputs[rows] * real[..., None]
        if most == 1:
            basis = (pinned / pinned.norm(dim=2, keepdim=True)).mT
        else:
            _, size, right = torch.linalg.svd(pinned, full_matrices=False)
            basis = right.mT * (size > 1e-10 * size[:, :1])[:, None, :]
        return cls(held, units, rows, real, pinned, basis)

    def project(self, impulse):
        """Remove from impulses (m, p, q) what would tear pinned kinks off."""
        impulse = impulse.clone()
        own = impulse[self.units]
        impulse[self.units] = own - self.basis @ (self.basis.mT @ own)
        return impulse


@dataclass(frozen=True, eq=False)
class _State:
    """A network on the training set: ``Z (n, m)``, activations, slopes, residual."""

    hidden: Tensor
    output: Tensor
    Z: Tensor
    H: Tensor
    D: Tensor
    residual: Tensor
    pins: _Pins | None


class _Flow:
    """The vector field on a training set, its sliding modes, and moves of the units."""

    def __init__(self, problem, sliding):
        self.problem, self.sliding = problem, sliding
        self.inputs, self.root = problem.inputs, problem.root
        self.scaled = problem.root * problem.inputs
        self.size2 = (problem.inputs**2).sum(1)
        low, high = problem.slopes
        self.low, self.jump = low, high - low
        self.n_gradients = 0

    def state(self, hidden, output, pins):
        """Evaluate the network."""
        problem = self.problem
        Z = self.inputs @ hidden.T
        if pins is not None:
            Z.masked_fill_(pins.held, 0.0)
        H, D = problem.activation(Z), problem.slope(Z)
        if pins is not None and self.low != 0:
            D.masked_fill_(pins.held, 0.0)  # any slope: projection removes it
        residual = problem.project(self.root * (H @ output)) - problem.target
        return _State(hidden, output, Z, H, D, residual, pins)

    def loss(self, state):
        """Return the loss."""
        return 0.5 * float((state.residual**2).sum())

    def impulse(self, state, residual):
        """Return ``G`` of each unit, (m, p, q), less what pins bear."""
        m, p, q = len(state.hidden), self.inputs.shape[1], residual.shape[1]
        outer = self.scaled[:, :, None] * residual[:, None, :]
        impulse = (state.D.T @ outer.view(-1, p * q)).view(m, p, q)
        self.n_gradients += 1
        return impulse if state.pins is None else state.pins.project(impulse)

    def growth(self, state):
        """Return ``max_j |G_j|``: how fast units may grow."""
        return float(self.impulse(state, state.residual).flatten(1).norm(dim=1).max())

    def velocity(self, state, residual):
        """Return ``-A residual``, A the tangent kernel of the sliding flow."""
        impulse = self.impulse(state, residual)
        d_hidden = (impulse @ state.output[:, :, None])[:, :, 0]
        d_output = state.H.T @ (self.root * residual)
        change = (
            state.H @ d_output + (state.D * (self.inputs @ d_hidden.T)) @ state.output
        )
        return -self.problem.project(self.root * change)

    def gram(self, state):
        """Return the Gram matrix of A."""
        gram = self.problem.gram_of(state.H, state.D, state.output)
        if state.pins is not None:
            pins = state.pins
            D = self.root * state.D[:, pins.units]
            along = torch.einsum("np,kpb->nkb", self.inputs, pins.basis)
            held = torch.einsum("nk,kq,nkb->nqkb", D, state.output[pins.units], along)
            held = held.reshape(len(gram), -1)
            gram = gram - held @ held.T
        return self.problem.project_gram(gram)

    def release(self, state, pull):
        """Let go of kinks that ``pull``, the mean residual of a step, tears off.

        A pinned sample contributes to its unit with a slope between the two of the
        activation, the one that keeps the kink in place; where that slope would lie
        outside, or the sample no longer attracts, the kink leaves. The residual at the
        end of a step would be the wrong judge: it chatters.
        """
        for _ in range(3):
            pins = state.pins
            if pins is None:
                return state
            pull = self.root * state.residual if pull is None else pull
            D, output = state.D[:, pins.units], state.output[pins.units]
            weight = pull @ output.T  # (n, k): how hard a sample pulls at a unit
            force = (D * weight).T @ self.inputs
            own = torch.gather(weight.T, 1, pins.rows)
            if pins.rows.shape[1] == 1:
                along = pins.inputs[:, 0]
                share = -(along * force).sum(1) / (along**2).sum(1)
                share = share[:, None]
            else:
                share = -(torch.linalg.pinv(pins.inputs.mT) @ force[..., None])[..., 0]
            safe = torch.where(own == 0, torch.full_like(own, _TINY), own)
            mix = (share / safe - self.low) / self.jump
            loose = pins.real & ((mix < -1e-9) | (mix > 1 + 1e-9) | (own <= 0))
            if not loose.any():
                return state
            which, column = loose.nonzero(as_tuple=True)
            rows, units = pins.rows[which, column], pins.units[which]
            held, slopes = pins.held.clone(), state.D.clone()
            held[rows, units] = False
            up = (mix[which, column] > 0.5).to(slopes.dtype)
            slopes[rows, units] = self.low + self.jump * up
            state = replace(state, D=slopes, pins=_Pins.of(held, self.inputs))
        return state

    def advance(self, state, pull):
        """Move the units by ``pull (n, q)``, the residual integrated over a step.

        Returns
        -------
        state : _State
            The moved network.
        largest : float
            Largest impulse on a unit.
        """
        impulse = self.impulse(state, pull)
        hidden, output = hyperbolic(state.hidden, state.output, impulse)
        size = impulse.flatten(1).norm(dim=1)
        if not self.sliding:
            return self.state(hidden, output, state.pins), float(size.max())
        Z = self.inputs @ hidden.T
        active = state.D > self.low + 0.5 * self.jump  # noqa: SIM300
        crossed = (Z > 0) != active
        if state.pins is not None:
            crossed &= ~state.pins.held
        units = crossed.any(0).nonzero()[:, 0]
        if len(units) == 0:
            return self.state(hidden, output, state.pins), float(size.max())
        moved = self._cross(state, pull, units, crossed[:, units], Z, output)
        hidden[units], output[units], size[units], stuck = moved
        pins = state.pins
        if stuck.any():
            hidden, pins = self._pin(hidden, pins, units, stuck)
        return self.state(hidden, output, pins), float(size.max())

    def _cross(self, state, pull, units, crossed, Z, output):
        """Move units some of whose kinks pass or meet samples within the step.

        For a kink that passes, the sample acts with either slope for its share of the
        step; for one that is stopped, with the mean slope that brings it to the sample
        and holds it there.
        """
        start, before = state.Z[:, units], state.D[:, units]
        up = (before - self.low) / self.jump  # 0 or 1
        now, a0, c0 = Z[:, units], state.hidden[units], state.output[units]
        c1, pins = output[units], state.pins
        size2 = self.size2[:, None].expand(-1, len(units))
        held, basis = torch.zeros_like(crossed), None
        if pins is not None:
            held = pins.held[:, units]
            place = torch.full((len(state.hidden),), -1, device=units.device)
            place[pins.units] = torch.arange(len(pins.units), device=units.device)
            own = place[units]
            bound = own >= 0
            if bound.any():
                basis = pins.basis[own[bound]]
                along = torch.einsum("np,kpb->nkb", self.inputs, basis)
                size2 = size2.clone()
                size2[:, bound] -= (along**2).sum(-1)
        pulled = self.root * pull
        active, mix = crossed, up
        stuck = torch.zeros_like(crossed)
        for _ in range(_SWEEPS):
            # Displacements of z without and with the sample's own upper slope, from
            # the mean output weights over the step.
            own = -self.jump * (pulled @ (0.5 * (c0 + c1)).T) * size2
            low = now - start - mix * own
            high = low + own
            meets = (low > 0) & (high < 0)
            share = torch.where(
                meets,
                (start + low) / (-own).clamp(min=_TINY),
                torch.where(
                    start > 0,
                    start / (-high).clamp(min=_TINY),
                    1 + start / low.clamp(min=_TINY),
                ),
            ).clamp(0, 1)
            flees = (low < 0) & (high > 0)
            mix = torch.where(active & ~flees, share, up)
            slopes = self.low + self.jump * mix
            if self.low != 0:
                slopes = slopes.masked_fill(held, 0.0)
            outer = self.scaled[:, :, None] * pull[:, None, :]
            impulse = slopes.T @ outer.view(len(pull), -1)
            impulse = impulse.view(len(units), self.inputs.shape[1], -1)
            if basis is not None:
                part = impulse[bound]
                impulse[bound] = part - basis @ (basis.mT @ part)
            a1, c1 = hyperbolic(a0, c0, impulse)
            now = self.inputs @ a1.T
            stuck = active & meets & (mix > 0) & (mix < 1)
            active = active | (((now > 0) != (up > 0.5)) & ~held & ~stuck)
        self.n_gradients += 1
        return a1, c1, impulse.flatten(1).norm(dim=1), stuck

    def _pin(self, hidden, pins, units, stuck):
        """Pin kinks to samples, moving them there; a unit has at most p - 1 pins."""
        held = torch.zeros(
            len(stuck), len(hidden), dtype=torch.bool, device=hidden.device
        )
        if pins is not None:
            held |= pins.held
        more = held[:, units] | stuck
        fits = more.sum(0) < self.inputs.shape[1]
        held[:, units[fits]] = more[:, fits]
        pins = _Pins.of(held, self.inputs)
        if pins is not None:
            place = torch.isin(pins.units, units[fits])
            own, basis = pins.units[place], pins.basis[place]
            a = hidden[own]
            size = a.norm(dim=1, keepdim=True)
            a = a - (basis @ (basis.mT @ a[:, :, None]))[:, :, 0]
            # The norm stays: it belongs to the conserved balance.
            hidden[own] = a * (size / a.norm(dim=1, keepdim=True).clamp(min=_TINY))
        return hidden, pins


@dataclass(frozen=True, eq=False)
class _Linear:
    """The operator A, ``basis @ diag(rates) @ basis.T``, and functions of it.

    ``whole`` says whether the basis is complete; A is zero on what it leaves out.
    """

    basis: Tensor
    rates: Tensor
    whole: bool

    @classmethod
    def eigen(cls, gram):
        """Decompose a Gram matrix."""
        rates, basis = torch.linalg.eigh(gram)
        return cls(basis, rates.clamp(min=0), True)

    @classmethod
    def krylov(cls, flow, state, step, rtol):
        """Lanczos' method from the residual, until a step is resolved."""
        shape, n = state.residual.shape, state.residual.numel()
        size = float(state.residual.norm())
        vectors, diagonal, beside = [state.residual.reshape(-1) / size], [], []
        for k in range(min(_KRYLOV_SIZE, n)):
            image = -flow.velocity(state, vectors[-1].view(shape)).reshape(-1)
            diagonal.append(float(vectors[-1] @ image))
            space = torch.stack(vectors, 1)
            for _ in range(2):  # full reorthogonalisation, twice is enough
                image = image - space @ (space.T @ image)
            next_ = float(image.norm())
            small = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
            if k:
                off = torch.tensor(beside, dtype=torch.float64)
                small = small + torch.diag(off, 1) + torch.diag(off, -1)
            rates, turn = torch.linalg.eigh(small)
            phi1 = _phis(-step * rates.clamp(min=0))[0]
            missed = step * next_ * abs(float(turn[-1] @ (phi1 * turn[0])))
            if missed < 0.05 * rtol or next_ < 1e-13 * diagonal[0]:
                break
            beside.append(next_)
            vectors.append(image / next_)
        space = torch.stack(vectors[: len(diagonal)], 1)
        basis = space @ turn.to(space)
        return cls(basis, rates.clamp(min=0).to(space), False)

    def apply(self, values, residual, rest=0.0):
        """Apply a function of A, given by its values at the rates and at zero."""
        flat = residual.reshape(-1)
        if self.whole:
            found = self.basis @ (values * (self.basis.T @ flat))
        else:
            found = rest * flat + self.basis @ ((values - rest) * (self.basis.T @ flat))
        return found.view(residual.shape)


@dataclass(frozen=True, eq=False)
class _Step:
    """An accepted step, with its dense output.

    ``residual'(t) = first + (-A)(residual - start) + ...``: with the operator A frozen,
    ``first`` the true velocity at the start and ``bend`` the change over the step of
    what A does not explain, linear in time in between.
    """

    flow: _Flow
    start: _State
    linear: _Linear
    first: Tensor
    bend: Tensor
    length: float
    end: _State | None = None
    pull: Tensor | None = None
    next: float = 0.0

    def land(self, time):
        """Return the network at a time of the step, its pull and its errors."""
        linear, flow = self.linear, self.flow
        phi1, phi2, phi3 = _phis(-time * linear.rates)
        bend = self.bend * (time / self.length)
        start = self.start.residual
        pull = time * start + time**2 * (
            linear.apply(phi2, self.first, 0.5) + linear.apply(phi3, bend, 1 / 6)
        )
        state, largest = flow.advance(self.start, flow.problem.project(pull))
        curved = time * linear.apply(phi2, bend, 0.5)
        expected = start + time * linear.apply(phi1, self.first, 1.0) + curved
        if time * float(linear.rates[-1]) > _STIFF:
            # Stiff modes follow the rest at once: the pull that puts them where the
            # exponential formula says they are.
            gain = torch.where(
                linear.rates > 0,
                (1 - phi1) / linear.rates.clamp(min=_TINY),
                torch.zeros_like(phi1),
            )
            pull = pull + linear.apply(gain, state.residual - expected)
            state, more = flow.advance(self.start, flow.problem.project(pull))
            largest = max(largest, more)
        error = float(curved.norm() + (state.residual - expected).norm())
        return state, (pull, largest, error)

    @classmethod
    def take(cls, flow, state, linear, step, time, rtol, krylov):
        """Find a step whose error is small enough; None if there is none."""
        allowed = rtol * flow.problem.target_norm
        first, missed, n_rejected = None, None, 0
        if linear is not None and linear.whole:
            first = flow.velocity(state, state.residual)
            explained = linear.apply(linear.rates, state.residual)
            missed = first + explained
            moves = linear.apply(_phis(-step * linear.rates)[0], explained)
            if float(missed.norm()) > _REUSE * float(moves.norm()):
                linear = None
        else:
            linear = None
        while True:
            if linear is None:
                if krylov:
                    linear = _Linear.krylov(flow, state, step, rtol)
                else:
                    linear = _Linear.eigen(flow.gram(state))
                first, missed = -linear.apply(linear.rates, state.residual), None
            # A first, frozen step shows how the velocity bends.
            trial = cls(flow, state, linear, first, torch.zeros_like(first), step)
            phi2 = _phis(-step * linear.rates)[1]
            pull = step * state.residual + step**2 * linear.apply(phi2, first, 0.5)
            there, largest = flow.advance(state, flow.problem.project(pull))
            if not largest <= 4 * _MAX_IMPULSE:
                factor = (
                    0.02
                    if not math.isfinite(largest)
                    else max(0.02, 0.7 * _MAX_IMPULSE / largest)
                )
            else:
                bend = flow.velocity(there, there.residual) + linear.apply(
                    linear.rates, there.residual
                )
                if missed is not None:
                    bend = bend - missed
                trial = replace(trial, bend=bend)
                end, (pull, more, error) = trial.land(step)
                largest, error = max(largest, more), error / allowed
                if not math.isfinite(error):
                    error = 1e10
                factor = min(5.0, max(0.1, 0.9 / math.sqrt(max(error, 1e-12))))
                if largest > _MAX_IMPULSE:
                    error = max(error, 2.0)
                    factor = min(factor, max(0.1, 0.7 * _MAX_IMPULSE / largest))
                if error <= 1:
                    growth = max(1.0, 0.9 * _MAX_IMPULSE / max(largest, 1e-12))
                    return replace(
                        trial,
                        end=end,
                        pull=flow.root * flow.problem.project(pull) / step,
                        next=step * min(factor, growth),
                    )
            step *= factor
            n_rejected += 1
            if time + step <= time * (1 + 1e-15) or step < 1e-300:
                return None
            if n_rejected > 2 and missed is not None:
                linear = None  # an old kernel may be what stops the step


def _phis(z):
    """Return the exponential functions phi_1, phi_2, phi_3 of ``z <= 0``."""
    small = z.abs() < 1e-2
    safe = torch.where(small, -torch.ones_like(z), z)
    one = torch.expm1(safe) / safe
    two = (one - 1) / safe
    three = (two - 0.5) / safe
    one_ = 1 + z / 2 * (1 + z / 3 * (1 + z / 4 * (1 + z / 5 * (1 + z / 6))))
    two_ = 0.5 * (1 + z / 3 * (1 + z / 4 * (1 + z / 5 * (1 + z / 6))))
    three_ = (1 + z / 4 * (1 + z / 5 * (1 + z / 6 * (1 + z / 7)))) / 6
    return (
        torch.where(small, one_, one),
        torch.where(small, two_, two),
        torch.where(small, three_, three),
    )
