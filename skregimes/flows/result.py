"""What a flow of parameters returns."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["STATUSES", "FlowResult", "explain"]

# What to change, for the ends that a user may want to change.
_SENTENCES = {
    "converged": "The loss met tol.",
    "stationary": (
        "The flow came to rest at a point where the gradient vanishes before the loss "
        "met tol; only another start (init_scale, number of units, seed) fits better."
    ),
    "plateau": (
        "The loss has fallen by less than 0.1 % while time grew by a factor of 100; "
        "set max_time or increase tol if this is where to stop, or change the start."
    ),
    "max_time": "max_time came before the loss met tol.",
    "max_iter": (
        "max_iter came before the loss met tol; increase max_iter or tol, or set "
        "max_time."
    ),
    "stopped": "on_node stopped it.",
    "stalled": (
        "Steps shrank below the resolution of the arithmetic: the gradient is too "
        "rough, or not finite next to this point, or rtol is too small for the dtype; "
        "increase rtol, use float64, or scale the data."
    ),
    "interrupted": "Interrupted by the keyboard; what was reached is kept.",
    "diverged": (
        "The loss blew up and the last finite state is kept; decrease learning_rate."
    ),
}
STATUSES = tuple(_SENTENCES)


def explain(status: str, n_iter: int, time: float) -> str:
    """Return a status in sentences that say what to change.

    Parameters
    ----------
    status : str
        One of `STATUSES`.
    n_iter : int
        Number of accepted steps.
    time : float
        Flow time reached.

    Returns
    -------
    str

    Examples
    --------
    >>> from skregimes.flows.result import explain
    >>> explain("converged", n_iter=12, time=3.5)
    'The loss met tol. Reached: step 12, flow time 3.5.'
    """
    return f"{_SENTENCES[status]} Reached: step {n_iter}, flow time {time:.4g}."


@dataclass(frozen=True, eq=False)
class FlowResult:
    """Where a flow of parameters ended, and why.

    A flow never raises or warns for how it ends: that is for the estimator to do.

    Parameters
    ----------
    theta : Tensor of shape (n_params,)
        Parameters at the end.
    time : float
        Flow time at the end.
    loss : float
        Training loss at the end.
    n_iter : int
        Number of (accepted) steps.
    n_gradients : int
        Number of gradients evaluated, those of mini batches included.
    status : str
        ``"converged"`` (the loss met `tol`), ``"stationary"`` (a local minimum that
        does not), ``"plateau"`` (no progress over a factor 100 in time),
        ``"max_time"``, ``"max_iter"``, ``"stopped"`` (by `on_node`), ``"stalled"``
        (steps below the resolution of the arithmetic), ``"diverged"`` or
        ``"interrupted"`` (by the keyboard: what was reached is kept, and it is for the
        caller to say so or to raise KeyboardInterrupt again).
    message : str
        The status in sentences, with what to change.
    """

    theta: Tensor
    time: float
    loss: float
    n_iter: int
    n_gradients: int
    status: str
    message: str

    @classmethod
    def at(
        cls,
        theta: Tensor,
        time: float,
        loss: float,
        *,
        n_iter: int,
        n_gradients: int,
        status: str,
    ) -> "FlowResult":
        """Return the result of a flow that ended so, with its message."""
        message = explain(status, n_iter, time)
        return cls(theta, time, loss, n_iter, n_gradients, status, message)

    def __repr__(self):
        return (
            f"FlowResult({self.status}, {self.theta.numel()} parameters, time "
            f"{self.time:.4g}, loss {self.loss:.4g}, {self.n_iter} steps)"
        )
