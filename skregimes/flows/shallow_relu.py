"""Training of a shallow network: its units of scale and time, and which flow it takes.

Arrays come in and go out; torch stays inside.
"""

import math
from dataclasses import dataclass

import torch

from skregimes._activations import ACTIVATIONS
from skregimes._border import check_device, to_numpy, to_tensor
from skregimes._samples import spread_rows
from skregimes.flows.chebyshev import chebyshev
from skregimes.flows.descent import descent
from skregimes.flows.exponential import exponential
from skregimes.networks.shallow_relu import ShallowReLUProblem

__all__ = ["MAX_GRAM", "Training", "natural_solver"]

# Up to so many values of the function an eigendecomposition of its Gram matrix is
# cheaper than the many gradients that it saves.
MAX_GRAM = 1000
# Samples on which the unit of scale is measured.
_UNIT_SAMPLES = 1000
# Measured on nine tables of 1 to 10 features: at this multiple of the scale where the
# predicted growth of the hidden layer's kernel is as large as the initial kernel, the
# kernel changes half as much as it can.
_MIDDLE = 0.5


def natural_solver(n_values):
    """Return the solver for a function with that many values on the training set."""
    return "exponential" if n_values <= MAX_GRAM else "chebyshev"


@dataclass(frozen=True, eq=False)
class Training:
    """A network at its start, on a training set.

    Parameters
    ----------
    problem : ShallowReLUProblem
        The training set.
    hidden, output : Tensor
        Weights at unit scale, ``alpha = 1``.
    """

    problem: ShallowReLUProblem
    hidden: torch.Tensor
    output: torch.Tensor

    @classmethod
    def build(cls, samples, skip, activation, hidden, output, device):
        """Bring arrays over: `Samples`, the profiled columns, weights at unit scale."""
        place = check_device(device)

        def tensor(array):
            return to_tensor(array, device=place, dtype=torch.float64)

        problem = ShallowReLUProblem.build(
            tensor(samples.X),
            tensor(samples.Y),
            tensor(samples.weight),
            skip=None if skip is None else tensor(skip),
            slopes=ACTIVATIONS[activation],
        )
        return cls(problem, tensor(hidden), tensor(output))

    @property
    def n_values(self):
        """Number of values of the function on the training set."""
        return self.problem.target.numel()

    def units(self):
        """Return the square of the scale in the middle of the transition, and a rate.

        The lazy solution, kernel ridge regression with the network's own tangent kernel
        and the penalty that generalised cross-validation chooses, says how large the
        output weights must become, and so how much of a kernel the hidden layer will
        grow: ``B / alpha**2`` beside the initial ``alpha**2 K``. In the middle of the
        transition they balance. The rate is the fastest of K.
        """
        problem = self.problem
        n, q = problem.target.shape
        if n * q > _UNIT_SAMPLES:
            rows = spread_rows(n, max(_UNIT_SAMPLES // q, 1))
            problem = problem.part(to_tensor(rows, device=problem.target.device))
        kernel = problem.tangent_gram(self.hidden, self.output)
        rates, basis = torch.linalg.eigh(kernel)
        rates = rates.clamp(min=0)
        top = float(rates[-1])
        target = problem.target.reshape(-1)
        if top == 0 or not target.any():
            return 1.0, top
        parts = basis.T @ target
        penalty = top * torch.logspace(0, -13, 53).to(rates)[:, None]
        keep = rates / (rates + penalty)
        rank = 0 if problem.affine is None else problem.affine.shape[1]
        left = 1 - (keep.sum(1) + rank * q) / len(rates)
        score = ((1 - keep) * parts).square().sum(1) / left.clamp(min=0) ** 2
        score[left * len(rates) < 0.5] = math.inf
        best = int(score.argmin())
        dual = basis @ (parts / (rates + penalty[best]))
        _, coefficients = problem.pull(self.hidden, dual.view(problem.target.shape))
        Z = problem.inputs @ self.hidden.T
        grown = problem.gram_of(torch.zeros_like(Z), problem.slope(Z), coefficients)
        grown = float(problem.project_gram(grown).norm())
        if grown == 0:
            return 1.0, top
        return _MIDDLE * math.sqrt(grown / float(kernel.norm())), top

    def growth(self, theta):
        """Return the rate at which units may grow at given parameters."""
        return self.problem.growth(self._tensor(theta))

    def follow(
        self,
        theta,
        solver,
        *,
        on_node=None,
        degrees=False,
        random_state=None,
        **options,
    ):
        """Follow a flow from given parameters.

        Parameters
        ----------
        theta : ndarray of shape (n_params,)
            Parameters at the start.
        solver : {"exponential", "krylov", "chebyshev", "gd"}
            The flow.
        on_node : callable, default=None
            Called with ``time, theta, loss`` and, for ``degrees``, their number.
        degrees : bool, default=False
            Whether to follow the degrees of freedom, "exponential" only.
        random_state : numpy.random.RandomState, default=None
            Source of mini batches, "gd" only.
        **options
            For the flow.

        Returns
        -------
        FlowResult
            Where the flow ended.
        """
        tell = None
        if on_node is not None:
            tell = lambda time, theta, *rest: on_node(time, to_numpy(theta), *rest)
        start = self._tensor(theta)
        if solver == "gd":
            options.pop("rtol")
            return descent(
                self.problem, start, on_node=tell, random_state=random_state, **options
            )
        if solver == "chebyshev":
            return chebyshev(self.problem, start, on_node=tell, **options)
        return exponential(
            self.problem,
            start,
            on_node=tell,
            krylov=solver == "krylov",
            degrees=degrees,
            **options,
        )

    def linearization_gap(self, start, end, time):
        """Return how far a network is from its own linearization at the same time.

        Root mean square over the training set, in units of the target's.
        """
        problem = self.problem
        start, end = self._tensor(start), self._tensor(end)
        kernel = problem.tangent_gram(*problem.unpack(start))
        rates, basis = torch.linalg.eigh(kernel)
        before = problem.residual(*problem.unpack(start)).reshape(-1)
        fade = torch.exp(-time * rates.clamp(min=0))
        linear = basis @ (fade * (basis.T @ before))
        true = problem.residual(*problem.unpack(end)).reshape(-1)
        size = problem.target_norm
        return float((true - linear).norm()) / size if size > 0 else 0.0

    def _tensor(self, theta):
        place = self.problem.target.device
        return to_tensor(theta, device=place, dtype=torch.float64)
