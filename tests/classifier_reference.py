"""Diagonal classifiers by other means: flows of all weights, losses, plain minimisers.

Nothing here knows of margins, duals or potentials. Two classes are two scores, the
first of which is zero.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize, root
from scipy.special import log_softmax, logsumexp

from skregimes.flows.classifier_problem import ClassifierProblem
from skregimes.flows.margin_loss import MarginLoss
from skregimes.limits.margins import Margins
from skregimes.limits.potentials import DiagonalPotential


def labelled(n, d, n_classes=2, seed=0, noise=0.0):
    """Return features, and what linear rules say of them, some of it wrong."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    scores = X @ rng.standard_normal((d, n_classes)) + 0.5 * np.arange(n_classes)
    y = scores.argmax(axis=1)
    wrong = rng.random(n) < noise
    y[wrong] = rng.integers(n_classes, size=wrong.sum())
    if len(np.unique(y)) < n_classes:
        y[:n_classes] = np.arange(n_classes)
    return X, y


def problem_of(
    X, y, *, depth=2, alpha=0.1, loss="exponential", weight=None, fit_intercept=False
):
    """Return the `ClassifierProblem` of data; alpha may be one a feature."""
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
    rule = MarginLoss(Margins(y, y.max() + 1), weight / weight.sum(), loss)
    log_scale = np.log(np.broadcast_to(alpha, X.shape[1]))
    return ClassifierProblem(
        X, rule, DiagonalPotential(depth, log_scale), fit_intercept
    )


class Reference:
    """The same data, loss and network, in its weights."""

    def __init__(
        self, X, y, *, depth=2, alpha=0.1, loss="exponential", weight=None,
        fit_intercept=False,
    ):  # fmt: skip
        self.X, self.y, self.depth, self.loss = X, y, depth, loss
        weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
        self.log_share = np.log(weight / weight.sum())
        self.fit_intercept = fit_intercept
        self.n_classes = y.max() + 1
        self.n_outputs = 1 if self.n_classes == 2 else self.n_classes
        self.alpha = np.broadcast_to(alpha, X.shape[1])
        self._free = np.zeros(self.n_classes - 1)

    # -- the loss ------------------------------------------------------------------

    def log_loss_and_pushes(self, scores):
        """Return log L, and logs of minus its derivatives in ``f_y - f_k``, (n, K)."""
        if self.n_classes == 2:
            scores = np.column_stack([np.zeros(len(scores)), scores])
        rows = np.arange(len(scores))
        lead = scores - scores[rows, self.y][:, None]
        lead[rows, self.y] = -np.inf
        total = logsumexp(lead, axis=1)
        if self.loss == "exponential":
            each, push = total, lead
        else:
            near = np.maximum(total, -40)
            each = np.where(total > -40, np.log(np.logaddexp(0, near)), total)
            push = log_softmax(scores, axis=1)
            push[rows, self.y] = -np.inf
        return logsumexp(self.log_share + each), push + self.log_share[:, None]

    def force(self, scores):
        """Return log L, log of the sum of pushes, and minus the gradient over it."""
        log_loss, push = self.log_loss_and_pushes(scores)
        log_sum = logsumexp(push)
        share = np.exp(push - log_sum)
        force = -share
        force[np.arange(len(share)), self.y] = share.sum(axis=1)
        return log_loss, log_sum, force[:, -self.n_outputs :]

    def margin(self, scores):
        """Return the least lead of the right class."""
        if self.n_classes == 2:
            scores = np.column_stack([np.zeros(len(scores)), scores])
        right = np.eye(self.n_classes, dtype=bool)[self.y]
        wrong = np.where(right, -np.inf, scores).max(axis=1)
        return np.min(scores[right] - wrong)

    def intercept(self, scores):
        """Return the intercepts of least loss, by a root finder of its own."""
        if not self.fit_intercept:
            return np.zeros(self.n_outputs)

        def unbalance(free):
            """Return log ratios of what pushes an output up and what pushes it down."""
            _, push = self.log_loss_and_pushes(scores + self._offsets_of(free))
            up = [logsumexp(push[self.y == k]) for k in range(self.n_classes)]
            return (np.array(up) - logsumexp(push, axis=0))[1:]

        if self.n_classes > 2:
            self._free = root(unbalance, self._free, tol=1e-9).x
            return self._offsets_of(self._free)
        for _ in range(60):  # the slope is 2 for an exponential, at least 1 for others
            move = unbalance(self._free) / 2
            self._free = self._free + move
            if np.abs(move) < 1e-14 * (1 + np.abs(self._free)):
                break
        return self._offsets_of(self._free)

    def _offsets_of(self, free):
        return free if self.n_classes == 2 else np.append(-free.sum(), free)

    # -- flows of the weights ------------------------------------------------------

    def coef(self, w):
        """Return coefficients of weights, (n_outputs, d)."""
        plus, minus = w.reshape(2, self.n_outputs, -1)
        return plus**self.depth - minus**self.depth

    def _state(self, w):
        """Return log L, log of the sum of pushes, and its fall in w over it."""
        scores = self.X @ self.coef(w).T
        log_loss, log_sum, force = self.force(scores + self.intercept(scores))
        pull = force.T @ self.X
        plus, minus = w.reshape(2, self.n_outputs, -1)
        slope = self.depth * np.array([plus, -minus]) ** (self.depth - 1)
        if self.depth % 2 == 1:  # (-minus)**even has lost its sign
            slope[1] *= -1
        return log_loss, log_sum, (slope * pull).ravel()

    def start(self):
        """Return the weights at time zero."""
        return np.tile(self.alpha, 2 * self.n_outputs)

    def at_times(self, times, rtol=1e-11, method="DOP853"):
        """Return coefficients at times of ``dw/dt = -grad L``."""

        def field(t, w):
            _, log_sum, fall = self._state(w)
            return np.exp(log_sum) * fall

        solved = solve_ivp(
            field, (0, times[-1]), self.start(), method, t_eval=times, rtol=rtol,
            atol=rtol * 0.1,
        )  # fmt: skip
        assert solved.success
        return np.array([self.coef(w) for w in solved.y.T])

    def at_log_losses(self, levels, rtol=1e-11, method="Radau"):
        """Return coefficients where -log L has grown to levels, (n_levels, k, d).

        The clock: ``dw/dl = -grad L / (|grad L|^2 / L)`` by ``log(1 + l - l_0)``, of
        the logs of the weights where they are positive.
        """
        in_logs = self.depth > 1
        first = -self._state(self.start())[0]

        def field(clock, v):
            w = np.exp(v) if in_logs else v
            log_loss, log_sum, fall = self._state(w)
            pace = np.exp(clock + log_loss - log_sum) / (fall @ fall)
            return pace * fall / (w if in_logs else 1.0)

        clock = np.log1p(np.array(levels) - first)
        start = np.log(self.start()) if in_logs else self.start()
        solved = solve_ivp(
            field, (0, clock[-1]), start, method, t_eval=clock, rtol=rtol, atol=rtol
        )
        assert solved.success
        ends = np.exp(solved.y.T) if in_logs else solved.y.T
        return np.array([self.coef(w) for w in ends])

    # -- no flow at all ------------------------------------------------------------

    def least(self, penalty=None):
        """Return coefficients, intercepts and the least loss, by BFGS."""
        k, d = self.n_outputs, self.X.shape[1]

        def loss(v):
            coef, offset = v[: k * d].reshape(k, d), v[k * d :]
            scores = self.X @ coef.T + (offset if self.fit_intercept else 0.0)
            log_loss, log_sum, force = self.force(scores)
            force = force * np.exp(log_sum)
            gradient = [-(force.T @ self.X).ravel(), -force.sum(axis=0)]
            if not self.fit_intercept:
                gradient[1] = 0 * gradient[1]
            return np.exp(log_loss), np.concatenate(gradient)

        start = np.zeros(k * d + k)
        found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-12})
        offset = found.x[k * d :]
        return (
            found.x[: k * d].reshape(k, d),
            offset - (k > 1) * offset.mean(),
            found.fun,
        )
