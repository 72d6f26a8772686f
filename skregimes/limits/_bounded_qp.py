"""Quadratic programs with bounds: the model that a step of a sweep minimises."""

import numpy as np
from scipy.linalg import cho_solve, lapack

from skregimes.limits._checks import LimitError

__all__ = ["bounded_qp"]

_EPS = np.finfo(float).eps
# How much stiffer the balance is than the quadratic form: it is kept to rounding in
# the end, since every step repairs what the last one left.
_STIFF = 1e8


def bounded_qp(gram, rest, balance, owed, lower):
    """Minimise ``x @ gram @ x / 2 - rest @ x`` over ``x >= lower``, in balance.

    An active-set method in the manner of Lawson and Hanson. Rows enter in batches,
    one at a time where a batch fails, so that dependent rows do no harm.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
        Positive semidefinite.
    rest : ndarray of shape (m,)
        Linear term.
    balance : ndarray of shape (m, q)
        The constraint is ``balance.T @ x + owed = 0``; ``q`` may be zero.
    owed : ndarray of shape (q,)
        What earlier steps left of the balance.
    lower : ndarray of shape (m,)
        Lower bounds, at most 0. Where they are negative the row starts free.

    Returns
    -------
    x : ndarray of shape (m,)
        Minimiser.
    multiplier : ndarray of shape (q,)
        Of the balance: ``rest - gram @ x - balance @ multiplier`` is zero on free
        rows and not positive on others.

    References
    ----------
    Lawson and Hanson, "Solving Least Squares Problems", 1974, Chapter 23.
    """
    # An augmented form, the same on balanced x, is regular where the gram is not.
    lift = np.trace(gram) / len(gram) or 1.0
    gram = gram + lift * balance @ balance.T
    rest = rest - lift * balance @ owed
    unit = np.sqrt(np.diagonal(gram))
    unit[unit == 0] = unit.max() or 1.0
    gram = gram / unit / unit[:, None]
    rest, balance = rest / unit, balance / unit[:, None]
    bounds, lower = lower, lower * unit

    model = _Model(gram, rest, balance, owed, 1 / (_STIFF * lift))
    x, free = np.zeros(len(rest)), lower < 0
    x, free, multiplier = _descend(model, x, free, lower)
    batch = len(rest)
    for _ in range(20 * len(rest) + 20):
        slack = rest - gram @ x - balance @ multiplier
        slack[free] = -np.inf
        most = slack.max(initial=-np.inf)
        if most <= 1e-13 * np.max(np.abs(rest)):
            break
        # The strongest claims first; a failed batch is retried with fewer.
        order = np.argsort(-slack)[:batch]
        tried = free.copy()
        tried[order[slack[order] > 0.1 * most]] = True
        new, kept, new_multiplier = _descend(model, x, tried, lower)
        if np.any(kept & ~free) or np.any(free & ~kept):
            x, free, multiplier = new, kept, new_multiplier
        elif batch == 1:
            break  # what is left is rounding
        else:
            batch = max(batch // 8, 1)
    shift = balance.T @ x + owed
    # Rows at their bounds are there exactly.
    x = np.where(x > lower, x / unit, bounds)
    return x, multiplier + lift * shift


class _Model:
    """The program in units of its diagonal, and its minimisers without bounds."""

    def __init__(self, gram, rest, balance, owed, slip):
        self.gram, self.rest, self.balance = gram, rest, balance
        self.owed, self.slip = owed, slip * np.eye(balance.shape[1])

    def solve(self, x, free):
        """Return the minimiser over the free rows, others fixed, and multipliers."""
        fixed = np.flatnonzero(~free & (x != 0))
        rest, owed = self.rest[free], self.owed
        if len(fixed):
            rest = rest - self.gram[np.ix_(free, fixed)] @ x[fixed]
            owed = owed + x[fixed] @ self.balance[fixed]
        factor = _cholesky(self.gram[np.ix_(free, free)])
        inner = cho_solve(factor, rest, check_finite=False)
        if not len(owed):
            return inner, owed
        border = self.balance[free]
        spread = cho_solve(factor, border, check_finite=False)
        multiplier = np.linalg.solve(
            border.T @ spread + self.slip, border.T @ inner + owed
        )
        return inner - spread @ multiplier, multiplier


def _cholesky(gram):
    """Factor a matrix of unit diagonal, with the least ridge that rounding asks for."""
    ridge = 4 * _EPS * len(gram)
    while ridge < 1e-6:
        factor, failed = lapack.dpotrf(gram + ridge * np.eye(len(gram)), lower=1)
        if not failed:
            return factor, True
        ridge *= 30
    raise LimitError("A Gram matrix of margins is not finite.")


def _descend(model, x, free, lower):
    """Go to the minimiser over the free rows; those that meet a bound stay there."""
    free = free.copy()
    while True:
        goal = x.copy()
        goal[free], multiplier = model.solve(x, free)
        blocked = np.flatnonzero(free & (goal < lower))
        if not len(blocked):
            return goal, free, multiplier
        reach = (x - lower)[blocked] / (x - goal)[blocked]
        share = reach.min()
        x = x + share * (goal - x)
        stuck = blocked[reach <= share]
        x[stuck], free[stuck] = lower[stuck], False
