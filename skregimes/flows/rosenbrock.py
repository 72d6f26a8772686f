"""Linearly implicit Runge-Kutta (Rosenbrock) methods, as tables of numbers.

One step of size ``h`` from ``y`` of ``y' = f(y)`` with Jacobian ``J`` solves, stage by
stage, ``(I / (h gamma) - J) k_i = f(y + sum_j a_ij k_j) + sum_j c_ij k_j / h``. A
stiffly accurate and L-stable method lands on the slow solution when it steps far beyond
a fast transient, which is what makes its cost independent of stiffness.
"""

from dataclasses import dataclass

__all__ = ["RODAS4", "Rosenbrock"]


@dataclass(frozen=True)
class Rosenbrock:
    """Coefficients of a method whose last stage is its embedded error."""

    order: int
    gamma: float
    a: tuple[tuple[float, ...], ...]
    c: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]

    def step(self, y, f0, field, solve, h):
        """Return the new point and the error estimate.

        Parameters
        ----------
        y, f0 : ndarray of shape (n_problems, n)
            Where the step starts and the field there.
        field : callable
            ``field(y)``; entries may be nan where a problem left its domain.
        solve : callable
            Multiplies by ``(I - h gamma J)^-1``.
        h : ndarray of shape (n_problems, 1) or float
        """
        stages: list = []
        for a, c in zip(self.a, self.c, strict=True):
            at = y
            for weight, k in zip(a, stages, strict=False):
                if weight:
                    at = at + weight * k
            rhs = f0 if at is y else field(at)
            for weight, k in zip(c, stages, strict=False):
                if weight:
                    rhs = rhs + (weight / h) * k
            stages.append(solve((h * self.gamma) * rhs))
        new = y
        for weight, k in zip(self.weights, stages, strict=True):
            if weight:
                new = new + weight * k
        return new, stages[-1]


# Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.7: order 4.
_A5 = (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950)
RODAS4 = Rosenbrock(
    order=4,
    gamma=0.25,
    a=(
        (),
        (1.544,),
        (0.9466785280815826, 0.2557011698983284),
        (3.314825187068521, 2.896124015972201, 0.9986419139977817),
        _A5,
        (*_A5, 1.0),
    ),
    c=(
        (),
        (-5.6688,),
        (-2.430093356833875, -0.2063599157091915),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
        (
            8.083246795921522,
            -7.981132988064893,
            -31.52159432874371,
            16.31930543123136,
            -6.058818238834054,
        ),
    ),
    weights=(*_A5, 1.0, 1.0),
)
