"""Referee of the shallow ReLU flows: slow, of high precision, and independent of them.

The network is ``f(x) = sum_j c_j sigma(a_j . x - b_j)`` plus an affine function that is
fitted anew at every instant, ``sigma`` has two slopes, and the flow is

    ``theta' = -grad L``, ``L = min_affine sum_i w_i |f(x_i) - y_i|^2 / (2 sum_i w_i)``.

The right hand side jumps where a kink ``a_j . x = b_j`` meets a sample. Between such
events it is smooth and SciPy integrates it; events are located on the integrator's
dense output. At an event the kink either crosses the sample or, when the velocities on
both sides point back at it, is pinned there: Filippov's solution slides along
``z_ij = 0`` with that slope between the two of ``sigma`` that keeps ``z_ij`` at zero,
and leaves when that slope reaches either end.

Filippov, "Differential Equations with Discontinuous Righthand Sides", 1988, section 4.
"""

from itertools import pairwise

import numpy as np
from scipy.integrate import DOP853
from scipy.optimize import brentq

TOLERANCE = 1e-12  # of a margin, see `_Flow.margins`
MAX_EVENTS = 20_000


def reference_flow(
    X,
    y,
    hidden,
    output,
    times,
    *,
    sample_weight=None,
    skip_connection=True,
    fit_intercept=True,
    slopes=(0.0, 1.0),
    rtol=1e-10,
    integrator=DOP853,
):
    """Return the weights at given times of the flow.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Distinct rows: equal ones share their kinks, so merge them by their weights.
    y : array of shape (n_samples,) or (n_samples, n_outputs)
    hidden : array of shape (n_hidden, n_features + 1)
        Initial ``(a_j, b_j)``.
    output : array of shape (n_hidden,) or (n_hidden, n_outputs)
        Initial ``c_j``.
    times : array of shape (n_times,)
        Increasing, not negative; the flow starts at 0.
    sample_weight : array of shape (n_samples,), optional
        Only ratios matter; None means equal weights.
    skip_connection, fit_intercept : bool
        Whether the fitted affine function has a linear part and a constant.
    slopes : tuple (s_minus, s_plus)
        Of ``sigma`` below and above zero, the first one smaller.
    rtol : float
        Relative tolerance of the integrator.
    integrator : class
        A solver of ``scipy.integrate``.

    Returns
    -------
    list of tuple (hidden, output)
        One at each time, shaped like the arguments.
    """
    flow = _Flow(
        *_weighted(X, y, sample_weight),
        hidden,
        output,
        _affine(skip_connection, fit_intercept),
        slopes,
    )
    states = []
    for time in times:
        flow.advance(time, rtol, integrator)
        hidden_now, output_now = flow.split(flow.theta)
        states.append((hidden_now.copy(), output_now.reshape(np.shape(output)).copy()))
    return states


def reference_predict(
    X_new,
    hidden,
    output,
    X,
    y,
    *,
    sample_weight=None,
    skip_connection=True,
    fit_intercept=True,
    slopes=(0.0, 1.0),
):
    """Return the network at ``X_new``, with the affine function fitted on ``(X, y)``.

    Parameters
    ----------
    X_new : array of shape (n_new, n_features)
    hidden, output, X, y, sample_weight, skip_connection, fit_intercept, slopes
        As in `reference_flow`.

    Returns
    -------
    array of shape (n_new,) or (n_new, n_outputs)
    """
    X, y, weight = _weighted(X, y, sample_weight)
    affine = _affine(skip_connection, fit_intercept)
    network = lambda Z: _sigma(_extend(Z) @ hidden.T, slopes) @ output
    return network(X_new) + affine(X_new) @ (
        _least_squares(affine(X), weight) @ (y - network(X))
    )


def _extend(X):
    """Return ``(x, -1)``, whose product with ``(a, b)`` is ``a . x - b``."""
    return np.column_stack([X, -np.ones(len(X))])


def _affine(skip_connection, fit_intercept):
    """Return the function that gives the columns of the fitted affine part."""
    return lambda X: np.column_stack(
        [X if skip_connection else X[:, :0], np.ones((len(X), int(fit_intercept)))]
    )


def _least_squares(columns, weight):
    """Return the matrix that turns targets into weighted least-squares coefficients."""
    root = np.sqrt(weight)[:, None]
    return np.linalg.pinv(root * columns) * root.T


def _sigma(z, slopes):
    return np.where(z > 0, slopes[1], slopes[0]) * z


def _weighted(X, y, sample_weight):
    """Return the samples of positive weight, and their weights, which sum to one."""
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
    kept = weight > 0
    return X[kept], y[kept], weight[kept] / weight[kept].sum()


class _Flow:
    """The flow at one time, and on which side of each sample its kinks are."""

    def __init__(self, X, y, weight, hidden, output, affine, slopes):
        if len(np.unique(X, axis=0)) < len(X):
            raise ValueError("X has equal rows; merge them by their weights.")
        hidden, output = np.asarray(hidden, float), np.asarray(output, float)
        self.inputs, self.weight = _extend(X), weight
        self.target = y.reshape(len(y), -1)
        self.low, self.high = slopes
        self.shape, self.output_shape = hidden.shape, (len(output), -1)
        self.theta = np.concatenate([hidden.ravel(), output.ravel()])
        self.size = np.abs(self.theta).max()
        self.time = 0.0
        columns = affine(X)
        self.keep = np.eye(len(X)) - columns @ _least_squares(columns, weight)
        # +1 and -1 by the sign of z_ij, 0 for a kink that is pinned to the sample
        self.side = np.where(self.inputs @ hidden.T > 0, 1, -1)

    def split(self, theta):
        """Return the hidden (m, p) and the output weights (m, q)."""
        cut = self.shape[0] * self.shape[1]
        return theta[:cut].reshape(self.shape), theta[cut:].reshape(self.output_shape)

    def parts(self, theta):
        """Return z_ij, dL/dsigma(z_ij), mu_ij and the velocities of all weights.

        A pinned sample pulls at its unit by ``mu_ij``, its slope times
        ``dL/dsigma(z_ij)``, as large as it takes to hold ``z_ij`` at zero; the others
        have no mu.
        """
        hidden, output = self.split(theta)
        z = self.inputs @ hidden.T
        slope = np.choose(self.side + 1, [self.low, 0.0, self.high])
        active = slope * z  # a pinned z is zero: its slope does not matter
        gradient = self.weight[:, None] * (self.keep @ (active @ output - self.target))
        pull = gradient @ output.T
        force = (slope * pull).T @ self.inputs
        mu = np.zeros_like(z)
        for j in np.flatnonzero((self.side == 0).any(axis=0)):
            pins = np.flatnonzero(self.side[:, j] == 0)
            held = self.inputs[pins]
            mu[pins, j] = -np.linalg.pinv(held).T @ force[j]
            force[j] += held.T @ mu[pins, j]
        return z, pull, mu, -force, -active.T @ gradient

    def velocity(self, _, theta):
        """Return theta'."""
        *_, hidden, output = self.parts(theta)
        return np.concatenate([hidden.ravel(), output.ravel()])

    def margins(self, theta):
        """Return how far each pair (sample, unit) is from an event, an (n, m) array.

        Positive while the sides hold: ``|z_ij|`` of a free pair, and of a pinned one
        how far its slope is inside the two of sigma, free of division by a vanishing
        residual; both in units of their sizes.
        """
        z, pull, mu, *_ = self.parts(theta)
        sizes = np.abs(self.split(theta)[0]).max()
        pulls = np.maximum(np.abs(pull).max(axis=0), np.finfo(float).tiny)
        inside = np.minimum(mu - self.low * pull, self.high * pull - mu) / pulls
        return np.where(self.side == 0, inside, self.side * z / sizes)

    def advance(self, time, rtol, integrator):
        """Integrate until ``time``."""
        for _ in range(MAX_EVENTS):
            if self.time >= time:
                return
            solver = integrator(
                self.velocity,
                self.time,
                self.theta,
                time,
                rtol=rtol,
                atol=1e-2 * rtol * self.size,
            )
            event = None
            while solver.status == "running" and event is None:
                message = solver.step()
                if solver.status == "failed":
                    raise RuntimeError(f"{message} At time {solver.t}.")
                path = solver.dense_output()
                event = self.first_event(path, solver.t_old, solver.t)
            if event is None:
                self.time, self.theta = solver.t, solver.y
            else:
                self.time, sample, unit = event
                self.theta = self.after_event(path(self.time), sample, unit)
        raise RuntimeError(f"{MAX_EVENTS} events until time {self.time}.")

    def first_event(self, path, start, stop):
        """Return (time, sample, unit) of the first event of a step, None without one.

        Events are taken a tenth of the tolerance too late: the next smooth piece then
        starts on its own side.
        """
        for left, right in pairwise(np.linspace(start, stop, 5)):
            broken = np.argwhere(self.margins(path(right)) < -TOLERANCE)
            events = []
            for i, j in broken:
                late = lambda t: self.margins(path(t))[i, j] + 0.1 * TOLERANCE  # noqa: B023
                when = (
                    left if late(left) <= 0 else brentq(late, left, right, xtol=1e-15)
                )
                events.append((when, i, j))
            if events:
                return min(events)
        return None

    def after_event(self, theta, i, j):
        """Update the side of a pair; return theta, projected if the pair is pinned."""
        if self.side[i, j] == 0:
            _, pull, mu, *_ = self.parts(theta)
            at_low = mu[i, j] - self.low * pull[i, j]
            at_high = self.high * pull[i, j] - mu[i, j]
            self.side[i, j] = -1 if at_low < at_high else 1
            return theta
        self.side[i, j] *= -1
        drift = self.inputs[i] @ self.parts(theta)[3][j]
        if self.side[i, j] * drift >= 0:
            return theta  # crossed: it goes on beyond the sample
        self.side[i, j] = 0
        theta = theta.copy()
        unit = self.split(theta)[0][j]  # a view
        held = self.inputs[self.side[:, j] == 0]
        unit -= np.linalg.pinv(held) @ (held @ unit)
        return theta
