"""Roads to the fit of a diagonal classifier: the flow, and its limit beyond."""

from dataclasses import replace

import numpy as np

from skregimes.flows.classifier_problem import Node
from skregimes.flows.loss_clock import ClassifierPath, loss_clock_flow
from skregimes.flows.margin_loss import LossPoint
from skregimes.limits._sweeping import Sweep

__all__ = ["SWEEP_FROM", "follow"]

# Log of the loss from which "auto" follows the sweeping limit.
SWEEP_FROM = -1e4
# Growth of the log of the least margin from one point of the sweep to the next, also as
# a share of itself: coefficients change with its logarithm.
_GROWTH, _SHARE = 0.1, 0.01
# The limit is compared with the flow over this factor in the log of the loss.
_COMPARED = 1.3
# How exactly a sweep meets a level of the loss.
_HIT = 1e-12


def follow(
    problem,
    solver="auto",
    *,
    log_loss_tol,
    sweep_from=SWEEP_FROM,
    on_node=None,
    **options,
):
    """Follow the flow, and its sweeping limit beyond a level of the loss.

    Parameters
    ----------
    problem : ClassifierProblem
    solver : {"auto", "dual_mirror"}
        Whether the sweeping limit may take over.
    log_loss_tol : float
        Log of the training loss at which to stop, -inf for no such level.
    sweep_from : float
        Log of the training loss at which the limit takes over.
    on_node, **options
        See `loss_clock_flow`.

    Returns
    -------
    path : ClassifierPath
        With status "level" also where the sweep ended.
    error : float
        Relative distance of the coefficients per margin between the sweep and the flow
        where the one took over from the other, after the sweep had followed the flow
        over the last factor 1.3 in the log of the loss; nan without a sweep.
    """
    level = log_loss_tol
    if solver == "auto":
        level = max(level, sweep_from)
    path = loss_clock_flow(problem, log_loss_tol=level, on_node=on_node, **options)
    if path.status != "level" or level == log_loss_tol:
        return path, np.nan
    if np.isinf(log_loss_tol):
        # Nothing but a time may stop it, and times beyond e^1e5 are no floats.
        return path, np.nan
    nodes, error = list(path.nodes), np.nan
    try:
        error = _error_at(problem, path)
        n_iter, status = _sweep(problem, nodes, -log_loss_tol, on_node)
    except KeyboardInterrupt:
        n_iter, status = 0, "interrupted"
    return ClassifierPath(nodes, path.n_iter + n_iter, status), error


def _sweep_of(problem, node):
    """Return the sweep that goes on from a node of the flow."""
    margins = problem.loss.margins
    return Sweep(
        problem.X,
        margins,
        problem.potential,
        np.maximum(margins.multipliers(problem.dual_of_samples(node).T), 0.0),
        fit_intercept=problem.fit_intercept,
        intercept=node.intercept,
        theta=node.theta,
    )


def _error_at(problem, path):
    """Return by how much the sweep, from somewhat earlier on, misses the last node."""
    last = path.nodes[-1]
    before = [n for n in path.nodes if n.fall * _COMPARED <= last.fall]
    if not before or before[-1].loss.margins.min() <= 0:
        return np.nan
    sweep = _sweep_of(problem, before[-1])
    for gamma in _levels(before[-1].loss.margins.min(), last.loss.margins.min()):
        sweep.advance(gamma)
    true = last.coef / last.loss.margins.min()
    return float(
        np.linalg.norm(sweep.coef / sweep.margins.min() - true) / np.linalg.norm(true)
    )


def _levels(first, last):
    """Return margins up to the last one, geometric, ever farther apart."""
    levels = []
    while first < last:
        first *= np.exp(max(_GROWTH, _SHARE * np.log(first)))
        levels.append(min(first, last))
    return levels


def _sweep(problem, nodes, fall, on_node):
    """Sweep on from the last node until the loss has fallen so far; append to them.

    Returns the number of steps and the status.
    """
    node = nodes[-1]
    sweep = _sweep_of(problem, node)
    # The least margin is behind the log of the loss by a logarithm of the number of
    # samples that have it, which only the result tells.
    least = node.loss.margins.min()
    goals = _levels(least, fall - (node.fall - least))
    while goals:
        charged = sweep.advance(goals.pop(0))
        nodes.append(_node_of(problem, sweep, charged))
        if on_node is not None and on_node(nodes[-1]):
            return sweep.n_iter, "stopped"
        missing = fall - nodes[-1].fall
        if not goals and missing > _HIT * fall:
            goals.append(sweep.margins.min() + missing)
    return sweep.n_iter, "level"


def _node_of(problem, sweep, charged):
    """Return a point of the sweep as a node of the flow.

    Its forces are those that charged the multipliers last: margins that are equal up to
    rounding do not tell them.
    """
    loss = problem.loss
    shares = charged / charged.sum()
    force = loss.margins.pull(shares)
    at = loss.at(problem.X @ sweep.coef.T + sweep.intercept)
    with np.errstate(divide="ignore"):
        log_shares = np.log(shares).reshape(len(force), -1)
    point = LossPoint(
        at.log_loss, at.log_loss, log_shares, force, np.zeros(len(force)), sweep.margins
    )
    dual = loss.margins.pull(sweep.dual)
    node = Node(problem.fold(dual), sweep.intercept, sweep.theta, sweep.coef, point)
    forces = None if problem.basis is None else dual
    # A unit of the log of the loss takes 1 / (rate g L) of time, and the last one most.
    log_time = -at.log_loss - problem.log_rate - np.log(problem.speed(node).g)
    return replace(node, log_time=float(log_time), forces=forces)
