"""How the units of a shallow network move on a training set, sliding kinks included.

The flow's velocity jumps where a kink passes a sample. If the velocities on both sides
point at the sample, the kink stays there and slides along, a Filippov solution; it is
*pinned* until the residual pulls it off.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from skregimes.networks.shallow_relu import ShallowReLUProblem, hyperbolic

__all__ = ["Field", "Pins", "State"]

# Passes over the kinks that meet samples in a step.
_SWEEPS = 2
_TINY = 1e-300
# Units do not grow by more than the exponential of this.
_TOO_FAR = 50.0


@dataclass(frozen=True, eq=False)
class Pins:
    """Kinks held at samples.

    Parameters
    ----------
    rows, columns : Tensor of shape (n_pins,)
        Sample and unit of each pin, sorted by units.
    units : Tensor of shape (k,)
        The units that hold any.
    place : Tensor of shape (n_pins, 2)
        Where each pin stands in the padded arrays.
    inputs : Tensor of shape (k, b, p)
        Inputs of the samples each unit is pinned to, padded by zeros.
    basis : Tensor of shape (k, p, b)
        Orthonormal basis of these, padded by zeros; units move orthogonally to it.
    """

    rows: Tensor
    columns: Tensor
    units: Tensor
    place: Tensor
    inputs: Tensor
    basis: Tensor

    @classmethod
    def at(cls, rows, columns, inputs):
        """Pin units ``columns`` to samples ``rows``; None if there are none."""
        if len(rows) == 0:
            return None
        order = torch.argsort(columns, stable=True)
        rows, columns = rows[order], columns[order]
        units, which, counts = torch.unique_consecutive(
            columns, return_inverse=True, return_counts=True
        )
        first = counts.cumsum(0) - counts
        slot = torch.arange(len(rows), device=rows.device) - first[which]
        place = torch.stack([which, slot], 1)
        pinned = inputs.new_zeros(len(units), int(counts.max()), inputs.shape[1])
        pinned[which, slot] = inputs[rows]
        if pinned.shape[1] == 1:
            basis = (pinned / pinned.norm(dim=2, keepdim=True)).mT
        else:
            _, size, right = torch.linalg.svd(pinned, full_matrices=False)
            basis = right.mT * (size > 1e-10 * size[:, :1])[:, None, :]
        return cls(rows, columns, units, place, pinned, basis)

    def project(self, impulse):
        """Remove from impulses (m, p, q) what would tear the kinks off."""
        own = impulse[self.units]
        impulse = impulse.clone()
        impulse[self.units] = own - self.basis @ (self.basis.mT @ own)
        return impulse


@dataclass(frozen=True, eq=False)
class State:
    """A network on the training set.

    Parameters
    ----------
    hidden, output : Tensor of shape (m, p), (m, q)
        Weights.
    Z, H, D : Tensor of shape (n, m)
        Inputs of the units, activations and slopes; all zero where pinned.
    up : Tensor of bool of shape (n, m)
        Which slope the units have.
    residual : Tensor of shape (n, q)
        Weighted, projected residual.
    pins : Pins or None
        Kinks held at samples.
    """

    hidden: Tensor
    output: Tensor
    Z: Tensor
    H: Tensor
    D: Tensor
    up: Tensor
    residual: Tensor
    pins: Pins | None


class Field:
    """Velocity, tangent kernel and moves of the units on a training set.

    Parameters
    ----------
    problem : ShallowReLUProblem
        The training set.
    sliding : bool, default=True
        Whether kinks can be pinned.
    """

    def __init__(self, problem: ShallowReLUProblem, sliding: bool = True):
        self.problem, self.sliding = problem, sliding
        self.inputs, self.root = problem.inputs, problem.root
        self.scaled = problem.root * problem.inputs
        self.size2 = (problem.inputs**2).sum(1)
        low, high = problem.slopes
        self.low, self.jump = low, high - low
        self.n_gradients = 0

    def state(self, hidden, output, pins=None, Z=None):
        """Evaluate the network; ``Z`` are the inputs of its units if known."""
        problem = self.problem
        if Z is None:
            Z = self.inputs @ hidden.T
        if pins is not None:
            Z[pins.rows, pins.columns] = 0.0
        H, D = problem.activation(Z), problem.slope(Z)
        if pins is not None and self.low != 0:
            D[pins.rows, pins.columns] = 0.0  # any slope: projection removes it
        residual = problem.project(self.root * (H @ output)) - problem.target
        return State(hidden, output, Z, H, D, Z > 0, residual, pins)

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
        through = (state.D * (self.inputs @ d_hidden.T)) @ state.output
        return -self.problem.project(self.root * (state.H @ d_output + through))

    def gram(self, state):
        """Return the Gram matrix of A."""
        gram = self.problem.gram_of(state.H, state.D, state.output)
        pins = state.pins
        if pins is not None:
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
            pulled = self.root * pull
            D, output = state.D[:, pins.units], state.output[pins.units]
            # The force on a unit's kink by the samples that are not pinned.
            force = (D * (pulled @ output.T)).T @ self.inputs
            own = (pulled[pins.rows] * state.output[pins.columns]).sum(1)
            if pins.inputs.shape[1] == 1:
                along = pins.inputs[:, 0]
                share = -(along * force).sum(1) / (along**2).sum(1)
            else:
                inverse = torch.linalg.pinv(pins.inputs.mT)
                share = -(inverse @ force[..., None])[..., 0]
                share = share[pins.place[:, 0], pins.place[:, 1]]
            safe = torch.where(own == 0, torch.full_like(own, _TINY), own)
            mix = (share / safe - self.low) / self.jump
            loose = (mix < -1e-9) | (mix > 1 + 1e-9) | (own <= 0)
            if not loose.any():
                return state
            rows, columns = pins.rows[loose], pins.columns[loose]
            up, slopes = state.up.clone(), state.D.clone()
            up[rows, columns] = mix[loose] > 0.5
            slopes[rows, columns] = self.low + self.jump * up[rows, columns].to(D)
            kept = Pins.at(pins.rows[~loose], pins.columns[~loose], self.inputs)
            state = replace(state, D=slopes, up=up, pins=kept)
        return state

    def advance(self, state, pull):
        """Move the units by ``pull (n, q)``, the residual integrated over a step.

        Returns
        -------
        state : State
            The moved network.
        largest : float
            Largest impulse on a unit: how far it turned or grew. Infinite, with the
            state where it was, if that was too far for numbers.
        """
        pins = state.pins
        impulse = self.impulse(state, pull)
        largest = float(impulse.flatten(1).norm(dim=1).max())
        if not largest <= _TOO_FAR:
            return state, math.inf
        hidden, output = hyperbolic(state.hidden, state.output, impulse)
        Z = self.inputs @ hidden.T
        if self.sliding:
            crossed = self._crossed(state, Z)
            rows, columns = crossed.nonzero(as_tuple=True)
            if len(rows):
                found = self._cross(
                    state, pull, impulse, (hidden, output, Z), (rows, columns), crossed
                )
                if found is None:
                    return state, math.inf
                hidden, output, Z, impulse, stuck = found
                if len(stuck[0]):
                    hidden, pins = self._pin(hidden, pins, *stuck)
                    Z = None
                largest = float(impulse.flatten(1).norm(dim=1).max())
        return self.state(hidden, output, pins, Z), largest

    def _crossed(self, state, Z):
        """Return which units have passed which samples; pinned ones have not."""
        crossed = (Z > 0) != state.up
        if state.pins is not None:
            crossed[state.pins.rows, state.pins.columns] = False
        return crossed

    def _cross(self, state, pull, impulse, moved, pairs, crossed):
        """Move units again whose kinks pass or meet samples within the step.

        For a kink that passes, the sample acts with either slope for its share of the
        step; for one that is stopped, with the mean slope that brings it to the sample
        and holds it there. None if that takes units too far for numbers.
        """
        hidden, output, Z = moved
        rows, columns = pairs
        pulled = self.root * pull
        p, q = self.inputs.shape[1], pull.shape[1]
        total, mix = impulse, state.up[rows, columns].to(pull)
        for sweep in range(_SWEEPS):
            if sweep:  # the others' kinks may have been pushed over samples too
                more = (self._crossed(state, Z) & ~crossed).nonzero(as_tuple=True)
                rows, columns = (
                    torch.cat([rows, more[0]]),
                    torch.cat([columns, more[1]]),
                )
                mix = torch.cat([mix, state.up[more].to(pull)])
            up = state.up[rows, columns].to(pull)
            start = state.Z[rows, columns]
            # Displacements of z with the sample's lower and upper slope, from the mean
            # output weights over the step.
            mean = 0.5 * (state.output[columns] + output[columns])
            own = -self.jump * (pulled[rows] * mean).sum(1)
            own = own * self._free_size2(state.pins, rows, columns)
            low = Z[rows, columns] - start - mix * own
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
            mix = torch.where(flees, up, share)
            change = (self.jump * (mix - up))[:, None] * (
                self.inputs[rows][:, :, None] * pulled[rows][:, None, :]
            ).view(-1, p * q)
            change = (
                torch.zeros_like(impulse).view(-1, p * q).index_add_(0, columns, change)
            )
            change = change.view(-1, p, q)
            if state.pins is not None:
                change = state.pins.project(change)
            total = impulse + change
            if not total.abs().max() <= _TOO_FAR:
                return None
            hidden, output = hyperbolic(state.hidden, state.output, total)
            Z = self.inputs @ hidden.T
        self.n_gradients += 1
        stuck = meets & (mix > 0) & (mix < 1)
        return hidden, output, Z, total, (rows[stuck], columns[stuck])

    def _free_size2(self, pins, rows, columns):
        """Return squared norms of inputs, less what the units' pins hold."""
        size2 = self.size2[rows]
        if pins is None:
            return size2
        place = columns.new_full((int(columns.max()) + 1,), -1)
        inside = pins.units <= columns.max()
        number = torch.arange(len(pins.units), device=columns.device)
        place[pins.units[inside]] = number[inside]
        own = place[columns]
        bound = own >= 0
        held = (pins.basis[own[bound]].mT @ self.inputs[rows[bound], :, None])[..., 0]
        size2[bound] -= (held**2).sum(1)
        return size2

    def _pin(self, hidden, pins, rows, columns):
        """Pin kinks to samples, moving them there; a unit has at most p - 1 pins."""
        n_pins = torch.bincount(columns, minlength=len(hidden))
        if pins is not None:
            n_pins = n_pins + torch.bincount(pins.columns, minlength=len(hidden))
        fits = n_pins[columns] < self.inputs.shape[1]
        rows, columns = rows[fits], columns[fits]
        if len(rows) == 0:
            return hidden, pins
        fresh = torch.unique(columns)
        if pins is not None:
            rows = torch.cat([pins.rows, rows])
            columns = torch.cat([pins.columns, columns])
        pins = Pins.at(rows, columns, self.inputs)
        place = torch.isin(pins.units, fresh)
        own, basis = pins.units[place], pins.basis[place]
        a = hidden[own]
        size = a.norm(dim=1, keepdim=True)
        a = a - (basis @ (basis.mT @ a[:, :, None]))[:, :, 0]
        # The norm stays: it belongs to the conserved balance.
        hidden[own] = a * (size / a.norm(dim=1, keepdim=True).clamp(min=_TINY))
        return hidden, pins
