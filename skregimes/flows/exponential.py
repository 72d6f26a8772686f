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

from skregimes.flows._nodes import Nodes
from skregimes.flows.ending import Ending
from skregimes.flows.result import FlowResult
from skregimes.flows.sliding import Field, State
from skregimes.networks.shallow_relu import ShallowReLUProblem

__all__ = ["exponential"]

# The kernel is kept while what it misses moves the residual by less than this share.
_REUSE = 0.3
# Beyond this many time constants of the fastest mode, stiff modes are slaved.
_STIFF = 3.0
# Largest impulse on a unit in a step: it may turn and grow by that much.
_MAX_IMPULSE = 1.0
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
    degrees : bool, default=False
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
    field = Field(problem, sliding)
    visit = _Visitor(field, Ending(tol=tol, max_time=max_time), Nodes(nodes, on_node))
    memory = _Memory.full(problem) if degrees else None
    state, time, n_iter = field.state(*problem.unpack(theta)), 0.0, 0
    end_of_time, status = max_time, None
    try:
        status = visit(time, state, memory)
        if status is None:
            radius = problem.kernel_radius(theta)[0] + field.growth(state)
            end_of_time = min(max_time, _FOREVER / max(radius, _TINY))
        # Where the affine part fits the targets there may still be a start to forget.
        size = max(problem.target_norm, float(state.residual.norm()))
        terms = float(state.H.norm() * state.output.norm())
        if size <= 64 * torch.finfo(theta.dtype).eps * terms:
            status = "converged"  # only rounding is left
        step, linear, pull = end_of_time, None, state.residual
        while status is None and n_iter < max_iter:
            left = end_of_time - time
            taken = _Step.take(
                field,
                field.release(state, pull),
                linear,
                min(step, left),
                time,
                rtol * size,
                krylov,
            )
            if taken is None:
                status = "stalled"
                break
            end = time + taken.length
            if taken.length >= left * (1 - 1e-12):
                end = end_of_time
            if memory is not None:
                memory = memory.seen_from(taken.linear)
            for node in visit.due(time, end, last=end == end_of_time):
                after = taken.length if node == end else node - time
                there = taken.end if node == end else taken.land(after)[0]
                status = visit(node, there, memory and memory.after(after))
                if status is not None:
                    break
            else:
                node, there = end, taken.end
                if end == max_time:
                    status = "max_time"
                elif end == end_of_time:
                    end_of_time = min(max_time, 100.0 * end_of_time)
            n_iter, time, state = n_iter + 1, node, there
            memory = memory and memory.after(taken.length)
            linear, pull, step = taken.linear, taken.pull, taken.next
        status = status or "max_iter"
    except KeyboardInterrupt:
        status = "interrupted"
    return FlowResult.at(
        problem.pack(state.hidden, state.output),
        time,
        field.loss(state),
        n_iter=n_iter,
        n_gradients=field.n_gradients,
        status=status,
    )


@dataclass(frozen=True, eq=False)
class _Visitor:
    """Tells of states, and why the flow ends there."""

    field: Field
    ending: Ending
    nodes: Nodes

    def due(self, start, end, *, last):
        """Return the times in ``(start, end]`` to look at."""
        if self.nodes.everywhere:
            return [end]
        due = self.nodes.passed(start, end)
        return [*due, end] if last and end not in due else due

    def __call__(self, time, state, memory):
        """Return the status with which the flow ends at a state, or None."""
        field, loss = self.field, self.field.loss(state)
        theta = field.problem.pack(state.hidden, state.output)
        degrees = () if memory is None else (memory.degrees,)
        stop = self.nodes.tell(time, theta, loss, *degrees)
        slope = -float((state.residual * field.velocity(state, state.residual)).sum())
        growth = lambda: field.growth(state)
        found = self.ending.status(time, loss, max(slope, 0.0), growth)
        return found or ("stopped" if stop else None)


@dataclass(frozen=True, eq=False)
class _Memory:
    """How the residual remembers the targets, ``d residual / d target`` at the flow.

    With frozen kernels it is a product of exponentials; ``matrix`` is that product in
    the coordinates of the current ``linear`` operator.
    """

    matrix: Tensor
    linear: "_Linear"

    @classmethod
    def full(cls, problem):
        """Return the memory at the start: all that the affine part leaves."""
        n, q = problem.target.shape
        eye = torch.eye(n * q, dtype=problem.root.dtype, device=problem.root.device)
        return cls(problem.project_gram(eye), _Linear(eye, 0 * eye[0], True))

    @property
    def degrees(self):
        """Degrees of freedom of the fit, those of the affine part included."""
        return len(self.matrix) - float(self.matrix.trace())

    def seen_from(self, linear):
        """Return the same in the coordinates of another operator."""
        if linear is self.linear:
            return self
        turn = self.linear.basis.T @ linear.basis
        return _Memory(turn.T @ self.matrix @ turn, linear)

    def after(self, time):
        """Return what is left of it later."""
        fade = torch.exp(-time * self.linear.rates)
        return _Memory(fade[:, None] * self.matrix, self.linear)


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
    def krylov(cls, field, state, step, allowed):
        """Lanczos' method from the residual, until a step is resolved."""
        shape, n = state.residual.shape, state.residual.numel()
        beside: list[float] = []
        size = float(state.residual.norm())
        vectors, diagonal = [state.residual.reshape(-1) / size], []
        for k in range(min(_KRYLOV_SIZE, n)):
            image = -field.velocity(state, vectors[-1].view(shape)).reshape(-1)
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
            if missed * size < 0.05 * allowed or next_ < 1e-13 * diagonal[0]:
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

    field: Field
    start: State
    linear: _Linear
    first: Tensor
    bend: Tensor
    length: float
    end: State | None = None
    pull: Tensor | None = None
    next: float = 0.0

    def land(self, time):
        """Return the network at a time of the step.

        Returns
        -------
        state : State
            The network.
        pull : Tensor of shape (n, q)
            The residual integrated over the time.
        largest, error : float
            Largest impulse on a unit, and an estimate of the function's error.
        """
        linear, field = self.linear, self.field
        project = field.problem.project
        phi1, phi2, phi3 = _phis(-time * linear.rates)
        bend = self.bend * (time / self.length)
        start = self.start.residual
        pull = time * start + time**2 * (
            linear.apply(phi2, self.first, 0.5) + linear.apply(phi3, bend, 1 / 6)
        )
        state, largest = field.advance(self.start, project(pull))
        curved = time * linear.apply(phi2, bend, 0.5)
        expected = start + time * linear.apply(phi1, self.first, 1.0) + curved
        if time * float(linear.rates[-1]) > _STIFF:
            # Stiff modes follow the others at once: the pull that puts them where the
            # exponential formula says they are.
            gain = torch.where(
                linear.rates > 0,
                (1 - phi1) / linear.rates.clamp(min=_TINY),
                torch.zeros_like(phi1),
            )
            pull = pull + linear.apply(gain, state.residual - expected)
            state, more = field.advance(self.start, project(pull))
            largest = max(largest, more)
        error = float(curved.norm() + (state.residual - expected).norm())
        return state, project(pull), largest, error

    @classmethod
    def take(cls, field, state, linear, step, time, allowed, krylov):
        """Find a step whose error is as small as allowed; None if there is none."""
        first = field.velocity(state, state.residual)
        missed, n_rejected = torch.zeros_like(first), 0
        frozen = linear is not None and linear.whole
        if frozen:
            explained = linear.apply(linear.rates, state.residual)
            missed = first + explained
            moves = linear.apply(_phis(-step * linear.rates)[0], explained)
            frozen = float(missed.norm()) <= _REUSE * float(moves.norm())
        known = frozen
        while True:
            if not known:
                if krylov:
                    linear = _Linear.krylov(field, state, step, allowed)
                else:
                    linear = _Linear.eigen(field.gram(state))
                missed = torch.zeros_like(first)
            trial = cls(field, state, linear, first, first, step)
            taken, factor = trial.attempt(missed, allowed)
            if taken is not None:
                return replace(taken, next=step * factor)
            step *= factor
            n_rejected += 1
            # A Krylov space serves one length of step; and an old kernel may be what
            # keeps steps short.
            known = not krylov and not (frozen and n_rejected == 3)
            if time + step <= time * (1 + 1e-15) or step < 1e-300:
                return None

    def attempt(self, missed, allowed):
        """Try the step.

        Parameters
        ----------
        missed : Tensor of shape (n, q)
            What the linear operator does not explain of the velocity at the start.
        allowed : float
            Error allowed.

        Returns
        -------
        taken : _Step or None
            The step with its end, or None if it was too long.
        factor : float
            By what to multiply the length of the next.
        """
        field, linear, step = self.field, self.linear, self.length
        phi2 = _phis(-step * linear.rates)[1]
        first = linear.apply(phi2, self.first, 0.5)
        pull = step * self.start.residual + step**2 * first
        there, largest = field.advance(self.start, field.problem.project(pull))
        if largest > 4 * _MAX_IMPULSE:
            return None, max(0.02, 0.7 * _MAX_IMPULSE / largest)
        # This first, straight step shows how the velocity bends.
        explained = linear.apply(linear.rates, there.residual)
        bend = field.velocity(there, there.residual) + explained - missed
        trial = replace(self, bend=bend)
        end, pull, more, error = trial.land(step)
        largest, error = max(largest, more), error / allowed
        if not math.isfinite(error):
            return None, 0.1
        factor = min(5.0, max(0.1, 0.8 / math.sqrt(max(error, 1e-12))))
        if largest > _MAX_IMPULSE:
            return None, min(factor, max(0.1, 0.7 * _MAX_IMPULSE / largest))
        if error > 1:
            return None, factor
        room = max(1.0, 0.9 * _MAX_IMPULSE / max(largest, 1e-12))
        return replace(trial, end=end, pull=pull / step), min(factor, room)


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
