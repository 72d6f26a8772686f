"""Training of a shallow network to classify: its unit of time, and its flows.

Arrays come in and go out; torch stays inside.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from skregimes._activations import ACTIVATIONS
from skregimes._border import check_device, to_numpy, to_tensor
from skregimes.flows.chebyshev import chebyshev
from skregimes.flows.descent import descent
from skregimes.flows.log_flow import LogResult, log_flow
from skregimes.losses import MARGIN_LOSSES, MarginLoss, SoftLoss
from skregimes.networks.shallow_relu_scores import (
    LogScoreProblem,
    MarginScoreProblem,
    ScoreProblem,
)

__all__ = ["ScoreTraining"]


@dataclass(frozen=True, eq=False)
class ScoreTraining:
    """A network at a scale, on a labelled training set.

    States of the network are arrays: the weights of the units, the slopes of the linear
    part ``(n_features, n_outputs)`` and the intercept ``(n_outputs,)``, flat.

    Parameters
    ----------
    problem : ScoreProblem
        The training set as the flow sees it.
    alpha : float
        The scale of the linear columns.
    columns : tuple of bool
        Whether there are a linear part and an intercept.
    """

    problem: ScoreProblem
    alpha: float
    columns: tuple[bool, bool]

    @classmethod
    def build(
        cls, samples, codes, n_classes, *, loss, solver, alpha, columns, activation,
        device, width,
    ):  # fmt: skip
        """Bring arrays over: `Samples`, and the numbers of their classes."""
        place = check_device(device)

        def tensor(array, dtype=torch.float64):
            return to_tensor(array, device=place, dtype=dtype)

        skip, intercept = columns
        X = tensor(samples.X)
        labels = tensor(codes, torch.int64), tensor(samples.weight), n_classes
        linear = alpha * X if skip else X[:, :0]
        units = {"slopes": ACTIVATIONS[activation]}
        if solver != "gd":
            units["width"] = width
        if loss in MARGIN_LOSSES:
            kind = MarginScoreProblem if solver == "gd" else LogScoreProblem
            problem = kind.build(
                X, MarginLoss(loss, *labels), linear, profiled=intercept, **units
            )
        else:
            one = torch.ones_like(X[:, :1])
            linear = torch.cat([linear, alpha * one], dim=1) if intercept else linear
            problem = ScoreProblem.build(X, SoftLoss(loss, *labels), linear, **units)
        return cls(problem, alpha, columns)

    @property
    def _margins(self):
        return isinstance(self.problem, MarginScoreProblem)

    def state(self, theta):
        """Return parameters of the flow as a state of the network."""
        problem, (skip, intercept) = self.problem, self.columns
        hidden, output, linear = problem.unpack(theta)
        d, q = problem.units.inputs.shape[1] - 1, problem.n_outputs
        slopes = self.alpha * linear[:d] if skip else linear.new_zeros(d, q)
        shift = problem.intercept(theta)
        if intercept and not self._margins:
            shift = self.alpha * linear[-1]
        return to_numpy(problem.pack(hidden, output, torch.cat([slopes, shift[None]])))

    def parameters(self, state):
        """Return a state of the network as parameters of the flow."""
        problem, (skip, intercept) = self.problem, self.columns
        place = problem.units.inputs.device
        state = to_tensor(state, device=place, dtype=torch.float64)
        d, q = problem.units.inputs.shape[1] - 1, problem.n_outputs
        weights, tail = state[: -(d + 1) * q], state[-(d + 1) * q :] / self.alpha
        parts = [tail[: d * q]] if skip else []
        if intercept and not self._margins:
            parts.append(tail[d * q :])
        return torch.cat([weights, *parts])

    def pace(self, state, rate):
        """Return the fastest rate of the flow at a state.

        Parameters
        ----------
        state : ndarray
            The state.
        rate : float
            The largest eigenvalue of the tangent kernel's weighted Gram matrix there.

        Returns
        -------
        float
            The rate times the curvature of the loss in the scores (for a soft loss,
            which has none, 1), and the rate at which units may grow.
        """
        problem, theta = self.problem, self.parameters(state)
        if not self._margins:
            return rate + problem.growth(theta)
        point = problem.loss.at(problem.scores(theta))
        growth = problem.growth(theta)
        loss = math.exp(float(point.log_loss))
        if isinstance(problem, LogScoreProblem):
            growth *= loss
        return loss * point.curvature() * rate + growth

    def follow(
        self,
        state,
        *,
        log_loss=-math.inf,
        log_time=math.inf,
        rtol=1e-3,
        max_iter=100_000,
        unit=1.0,
        on_node=None,
        descends=False,
        **options,
    ):
        """Follow the flow from a state.

        Parameters
        ----------
        state : ndarray
            Where to start.
        log_loss, log_time : float, default=-inf, inf
            Natural logarithms of the loss and of the time at which to end.
        rtol : float, default=1e-3
            Error of a step.
        max_iter : int, default=100_000
            Bound on the steps.
        unit : float, default=1.0
            A time at which the flow has just begun.
        on_node : callable, default=None
            Called with ``log_time, state, log_loss``; a true answer ends the flow.
        descends : bool, default=False
            Whether to run gradient descent.
        **options
            For `skregimes.flows.descent.descent`, and the ``nodes`` of flows in
            ordinary time.

        Returns
        -------
        LogResult
            Where the flow ended, with the state for ``theta``.
        """
        theta = self.parameters(state)
        tell = None
        if on_node is not None:
            tell = lambda time, theta, loss: on_node(time, self.state(theta), loss)
        if isinstance(self.problem, LogScoreProblem):
            result = log_flow(
                self.problem, theta, log_loss=log_loss, log_time=log_time, rtol=rtol,
                max_iter=max_iter, unit=unit, on_node=tell,
            )  # fmt: skip
            return replace(result, theta=self.state(result.theta))
        options |= {"max_time": _exp(log_time), "max_iter": max_iter}
        if tell is not None:
            options["on_node"] = lambda t, x, loss: tell(_log(t), x, _log(loss))
        if descends:
            start = _log(float(self.problem.gradient(theta)[1]))
            tol = _exp(log_loss - start)
            end = descent(self.problem, theta, tol=tol, **options)
        else:
            end = chebyshev(self.problem, theta, rtol=rtol, **options)
        theta = self.state(end.theta)
        return LogResult(theta, _log(end.time), _log(end.loss), end.n_iter, end.status)


def _log(value):
    with np.errstate(divide="ignore"):
        return float(np.log(value))


def _exp(value):
    with np.errstate(over="ignore"):
        return float(np.exp(value))
