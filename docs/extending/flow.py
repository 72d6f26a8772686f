"""A new flow: momentum, ``theta'' + friction * theta' = -grad L(theta)``.

It is the limit of the heavy ball for small steps. Large friction is gradient flow at
the time ``t / friction``.
"""

import math

import torch

from skregimes.flows.problem import CountedProblem
from skregimes.flows.result import FlowResult


def heavy_ball(problem, theta, *, friction, max_time, n_steps):
    """Follow the flow from rest by ``n_steps`` steps of the second order.

    A half step of the friction, exact; a step of velocity Verlet, which is exact for
    the energy to second order; another half step of the friction.
    """
    if friction < 0:
        raise ValueError(f"friction={friction} must not be negative.")
    step = max_time / n_steps
    decay = math.exp(-friction * step / 2)
    counted = CountedProblem(problem)
    point, velocity = counted.start(theta), torch.zeros_like(theta)
    status = "max_time"
    for number in range(1, n_steps + 1):
        velocity = decay * velocity - step / 2 * point.gradient
        new = counted.point(number * step, number, point.theta + step * velocity)
        if not new.finite:
            status = "diverged"
            break
        velocity = decay * (velocity - step / 2 * new.gradient)
        point = new
    return FlowResult.at(
        point.theta,
        point.time,
        point.loss,
        n_iter=point.n_iter,
        n_gradients=counted.n_gradients,
        status=status,
    )
