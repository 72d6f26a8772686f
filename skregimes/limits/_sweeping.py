"""The zero-temperature sweeping process of a classifier.

At losses far below one only the samples of least margin push. In this limit the flow of
a diagonal network raises the least margin ``gamma`` by charging multipliers of margins
that would fall behind, and multipliers never decrease, since they integrate forces:

    ``nu <- argmin psi(A.T nu) - gamma sum(nu)`` over ``nu >= the present nu``,

the Bregman projection of the present coefficients on ``{margins >= gamma}``.
"""

from dataclasses import dataclass, replace

import numpy as np

from skregimes.limits._bounded_qp import bounded_qp
from skregimes.limits._checks import LimitError

__all__ = ["NotSeparableError", "Sweep"]

# Relative error of the margins: aimed at, and accepted where rounding stops short.
_AIM, _ACCEPT = 1e-12, 1e-9
# On the way to a far margin.
_LOOSE = 0.1
# Multipliers whose pulls cancel to this share prove that no margin is positive.
_CANCELLED = 1e-11
# Rows that may join a Newton step, the worst ones first.
_JOIN = 256
# A step of depth 2 changes no log coefficient by more than this.
_MAX_GROWTH = 3.0


class NotSeparableError(LimitError):
    """No coefficients make all margins positive, to double precision.

    Parameters
    ----------
    rows : ndarray of shape (m,)
        Margins of which a positive combination vanishes.
    """

    def __init__(self, rows):
        super().__init__(
            "The classes are not linearly separable: there is no positive margin."
        )
        self.rows = rows


@dataclass(frozen=True)
class _State:
    """A point of the sweep: its dual is `floor + charge`, both not negative.

    Near the poles of depth >= 3 `theta` and the balance resolve changes of the dual
    that its own digits do not: both are carried along, never computed from it.
    """

    floor: np.ndarray
    charge: np.ndarray
    owed: np.ndarray
    theta: np.ndarray
    intercept: np.ndarray
    coef: np.ndarray
    margins: np.ndarray

    def error(self, level):
        """Return the largest violation of the optimality conditions, relative."""
        rest = 1 - self.margins / level
        off = np.abs(self.owed).max(initial=0.0) / (self.charge.sum() or 1.0)
        return max(rest.max(), -rest[self.charge > 0].min(initial=0.0), off)


class Sweep:
    """Sweeping process of a diagonal network on the margins of a classifier.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Features as the network sees them, entries of order one.
    margins : Margins
        Margins of the labels.
    potential : DiagonalPotential
        Of each output's network, balanced; its scale is a number or one a feature.
    dual : ndarray of shape (n_margins,), default=None
        Scaled multipliers at the start, ``s = shape * X.T @ pull(dual)`` with
        ``shape = rate / max(rate)``; not negative. None means zeros.
    fit_intercept : bool, default=False
        Whether outputs have free intercepts. The forces of each output then balance,
        and those of `dual` must.
    intercept : ndarray of shape (n_outputs,), default=None
        Intercepts at the start, zeros by default. Only a first guess.
    theta : ndarray of shape (n_outputs, n_features), default=None
        Angles at the start, where they are known more exactly than from `dual`.

    Attributes
    ----------
    dual : ndarray of shape (n_margins,)
        Scaled multipliers; they never decrease.
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients.
    intercept : ndarray of shape (n_outputs,)
        Intercepts; zero unless fitted.
    margins : ndarray of shape (n_margins,)
        Margins of the samples.
    n_iter : int
        Newton steps so far.
    """

    def __init__(
        self,
        X,
        margins,
        potential,
        dual=None,
        *,
        fit_intercept=False,
        intercept=None,
        theta=None,
    ):
        self.rule, self.potential = margins, potential
        # With balanced forces the origin of X is free: the mean loses fewest digits.
        self.center = X.mean(axis=0) if fit_intercept else np.zeros(X.shape[1])
        self.X = X - self.center if fit_intercept else X
        log_rate = potential.log_rate
        self.shape = np.exp(log_rate - log_rate.max())
        n_margins = len(margins.sample)
        # Column k: how the margins change with intercept k. The last of several
        # outputs has none, since only differences of scores matter.
        n_free = margins.n_classes - 1 if fit_intercept else 0
        self.balance = margins.roles[:n_free].T
        # What the pull of multipliers is compared with; an empty sample has a length.
        lengths = np.linalg.norm(self.X, axis=1)
        lengths[lengths == 0] = lengths.max() or 1.0
        self.lengths = lengths[margins.sample]
        # Equal claims join in a scattered order, lest they be all of one class.
        self.scatter = np.arange(n_margins) * 0.6180339887 % 1.0
        zero = np.zeros(n_margins)
        floor = zero if dual is None else np.array(dual, dtype=float)
        if theta is None:
            theta = potential.theta_of_dual(self._scaled(floor))
        start = np.zeros(n_free)
        if fit_intercept and intercept is not None:
            scores = intercept + potential.coef(theta) @ self.center
            start = scores if margins.n_outputs == 1 else (scores - scores[-1])[:-1]
        self._state = self._at(floor, zero, np.zeros_like(start), theta, start)
        self.n_iter = 0

    @property
    def dual(self):
        """Scaled multipliers, shape (n_margins,)."""
        return self._state.floor

    @property
    def theta(self):
        """Angles of the coefficients, shape (n_outputs, n_features)."""
        return self._state.theta

    @property
    def coef(self):
        """Coefficients, shape (n_outputs, n_features)."""
        return self._state.coef

    @property
    def intercept(self):
        """Intercepts, shape (n_outputs,); several sum to zero."""
        state, n_outputs = self._state, self.rule.n_outputs
        if not self.balance.shape[1]:
            return np.zeros(n_outputs)
        values = -state.coef @ self.center
        values[: len(state.intercept)] += state.intercept
        return values if n_outputs == 1 else values - values.mean()

    @property
    def margins(self):
        """Margins, shape (n_margins,)."""
        return self._state.margins

    def advance(self, gamma):
        """Raise the least margin to gamma.

        Returns
        -------
        ndarray of shape (n_margins,)
            By how much the multipliers grew, to relative accuracy.

        Raises
        ------
        NotSeparableError
            If no coefficients make all margins positive; a `LimitError`.
        LimitError
            If the projection cannot be computed to a relative accuracy of 1e-9. The
            sweep then stays where it was.
        """
        gamma = float(gamma)
        if not 0 < gamma < np.inf:
            raise ValueError(f"gamma must be positive and finite; got {gamma:g}.")
        state = self._reach(self._state, gamma)
        dual = state.floor + state.charge
        # Replaced whole, so that an interruption leaves a point of the sweep.
        self._state = replace(state, floor=dual, charge=np.zeros_like(dual))
        return state.charge

    # -- the road to one margin ----------------------------------------------------

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def _reach(self, state, gamma):
        """Return the projection at gamma, by way of nearer ones where it is far."""
        level = state.margins.min()
        if level >= gamma:
            return state
        if self.potential.depth == 1:
            # A quadratic potential makes one quadratic program, however far.
            new = self._newton(state, gamma, _AIM, 60)
            return new or self._give_up(gamma)
        if level <= 0:
            level = min(self._first_level(state), gamma)
            state = self._newton(state, level, _LOOSE, 60) or state
        ratio = 4.0
        while ratio > 1.001:
            goal, count = min(gamma, level * ratio), self.n_iter
            if goal == gamma:
                new = self._newton(state, goal, _AIM, 60)
                if new is not None:
                    return new
            else:
                new = self._newton(state, goal, _LOOSE, 20)
            if new is None:
                ratio = ratio**0.5
                continue
            state, level = new, goal
            if self.n_iter - count <= 4:
                ratio = min(ratio**2, 1e30)
        return self._give_up(gamma)

    def _give_up(self, gamma):
        raise LimitError(
            f"The margin {gamma:g} could not be reached to a relative accuracy of"
            f" {_ACCEPT:g}. Rescale badly conditioned columns of X, or take a larger"
            " scale."
        )

    def _first_level(self, state):
        """Return a margin at which coefficients just leave the linear range."""
        force, _ = self._direction(state, 1.0, self._rows(state, 1.0))
        return 1 / np.max(np.abs(self._scaled(force)))

    def _newton(self, state, level, tol, max_iter):
        """Return the projection at a level, or None if it is not reached."""
        last = np.inf
        for _ in range(max_iter):
            error = state.error(level)
            stuck = 0.5 * last < error <= _ACCEPT
            if error <= tol or stuck:
                return state
            last = error
            self.n_iter += 1
            try:
                state = self._step(state, level)
            except NotSeparableError:
                raise
            except LimitError:
                return None
            if state is None:
                return None
        return None

    def _step(self, state, level):
        """Return the end of one Newton step, or None if it does not ascend."""
        x, tilt = self._direction(state, level, self._rows(state, level))
        move, drift = self._scaled(x), x @ self.balance
        slope = x @ (level - state.margins - self.balance @ tilt)
        length = min(1.0, self._longest(state.theta, move))
        for _ in range(40):
            new = self._at(
                state.floor,
                np.maximum(state.charge + length * x, 0.0),
                state.owed + length * drift,
                self._shift(state.theta, length * move),
                state.intercept + tilt,
            )
            ahead = x @ (level - new.margins)
            if ahead >= -0.5 * slope or new.error(level) <= _ACCEPT:
                return new
            length *= max(0.1, 1.2 * slope / (slope - ahead))
        return None

    def _direction(self, state, level, rows):
        """Return the step to the minimiser of the quadratic model over some rows."""
        weights = self.potential.slope(state.theta) * self.shape
        x = np.zeros(len(state.charge))
        x[rows], tilt = bounded_qp(
            self.rule.gram(self.X, weights, rows),
            level - state.margins[rows],
            self.balance[rows],
            state.owed,
            -state.charge[rows],
        )
        total = np.maximum(state.charge + x, 0.0)
        pull = np.linalg.norm(self.X.T @ self.rule.pull(total))
        pull += self.lengths.max() * np.linalg.norm(total @ self.balance)
        if pull <= _CANCELLED * (total @ self.lengths):
            raise NotSeparableError(np.flatnonzero(total > 1e-6 * total.max()))
        return x, tilt

    def _rows(self, state, level):
        """Return the charged rows and the most violated others."""
        charged = state.charge > 0
        claim = np.where(charged, -np.inf, level - state.margins)
        worst = np.lexsort((self.scatter, -claim))[:_JOIN]
        return np.union1d(np.flatnonzero(charged), worst[claim[worst] > 0])

    # -- maps ----------------------------------------------------------------------

    def _at(self, floor, charge, owed, theta, intercept):
        coef = self.potential.coef(theta)
        margins = self.rule.of(self.X @ coef.T) + self.balance @ intercept
        return _State(floor, charge, owed, theta, intercept, coef, margins)

    def _scaled(self, dual):
        """Return the scaled dual of the coefficients, (n_outputs, n_features)."""
        return self.shape * (self.X.T @ self.rule.pull(dual)).T

    def _shift(self, theta, move):
        """Return theta after the scaled dual moved, to full relative accuracy."""
        if self.potential.depth <= 2:
            return theta + move
        # tanh(b - a) = (s_b - s_a) / (1 - s_a s_b), free of cancellation at the poles
        room = np.cosh(theta) ** -2 - np.tanh(theta) * move
        return theta + np.arctanh(move / room)

    def _longest(self, theta, move):
        """Return the multiple of a move at which coefficients grow too fast."""
        size = np.abs(move)
        if self.potential.depth == 1 or not size.any():
            return np.inf
        if self.potential.depth == 2:
            return _MAX_GROWTH / size.max()
        grow = np.tanh(_MAX_GROWTH / (2 * self.potential.k))
        room = grow * np.cosh(theta) ** -2
        room = room / (1 + np.sign(move) * np.tanh(theta) * grow)
        with np.errstate(divide="ignore"):
            return np.min(room / size)
