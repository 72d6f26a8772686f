"""What a classifier's flow moves in, and its field in the clock of the loss.

The dual of a training set, the coefficients and scores that belong to it, and how fast
it moves: ratios of forces alone, at any level of the loss, and their derivatives.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skregimes.flows.dual_mirror import Features
from skregimes.flows.margin_loss import LossPoint

__all__ = ["ClassifierProblem", "Node", "Speed"]

# Share of the tangent kernel's trace that may be left out of the Jacobian.
_DROP = 1e-10
# Forces cancel no better than this.
_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Node:
    """A point of the path; replaced whole, so that an interruption finds it whole.

    Attributes
    ----------
    dual : ndarray of shape (n_outputs, n_rows)
        Scaled dual of each output.
    intercept : ndarray of shape (n_outputs,)
        Intercepts, zero unless fitted; several sum to zero.
    theta, coef : ndarray of shape (n_outputs, n_features)
        Angles and coefficients.
    loss : LossPoint
        The loss there.
    log_time : float
        Log of the flow time, -inf at the start.
    forces : ndarray of shape (n_samples, n_outputs) or None
        Scaled dual of each sample, integrated: where `dual` does not hold it.
    """

    dual: np.ndarray
    intercept: np.ndarray
    theta: np.ndarray
    coef: np.ndarray
    loss: LossPoint
    log_time: float = -np.inf
    forces: np.ndarray | None = None

    @property
    def fall(self):
        """Minus the log of the training loss."""
        return -self.loss.log_loss


@dataclass(frozen=True, eq=False)
class Speed:
    """How fast the dual moves: by ``scale * force`` in a unit of the clock.

    Attributes
    ----------
    scale : float
        ``w / (g + c w)`` with the pull ``c`` of the features at the start.
    w : float
        ``1 + fall of the log of the loss so far``, times `ratio`.
    g : float
        Fall of the loss per unit of force squared.
    ratio : float
        Loss over force.
    slope : ndarray of shape (n_outputs, n_features)
        Of the links.
    """

    scale: float
    w: float
    g: float
    ratio: float
    slope: np.ndarray


class ClassifierProblem:
    """A training set and the diagonal network, one for each output, that is to fit it.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Features as the network sees them.
    loss : MarginLoss
        Labels, weights and loss.
    potential : DiagonalPotential
        The network's start, unbiased, the same for all outputs.
    fit_intercept : bool
        Whether there are intercepts.
    """

    def __init__(self, X, loss, potential, fit_intercept):
        self.loss, self.potential, self.fit_intercept = loss, potential, fit_intercept
        n, d = X.shape
        self.X = X
        # More samples than features fold into as many: X = basis @ rows.
        self.basis: np.ndarray | None = None
        rows = X
        if n > d:
            self.basis, rows = np.linalg.qr(X)
        self.features = Features(np.ascontiguousarray(rows.T))
        log_rate = np.asarray(potential.log_rate)
        self.log_rate = float(log_rate.max())
        self.shape = np.exp(log_rate - self.log_rate) if log_rate.ndim else 1.0
        self.n_outputs, self.n_rows = loss.margins.n_outputs, len(rows)

    # -- maps ------------------------------------------------------------------------

    def spread(self, values):
        """Return values of rows, ``(n_outputs, n_rows)``, as values of samples."""
        return values.T if self.basis is None else self.basis @ values.T

    def fold(self, values):
        """Return the transpose of `spread`: ``(n_samples, k)`` to ``(k, n_rows)``."""
        return values.T if self.basis is None else values.T @ self.basis

    def project(self, dual):
        """Return by how much a change of the dual changes ``s``."""
        return self.shape * (dual @ self.features.XT.T)

    def scores(self, coef):
        """Return the scores of the samples, without intercepts."""
        return self.spread(coef @ self.features.XT)

    def start(self):
        """Return the node at time zero."""
        intercept = np.zeros(self.n_outputs)
        if self.fit_intercept:
            intercept = self.loss.start()
        node = self.node(np.zeros((self.n_outputs, self.n_rows)), intercept)
        if self.basis is None:
            return node
        return replace(node, forces=np.zeros_like(node.loss.force))

    def node(self, dual, intercept):
        """Return all that is to be known of a dual, given a guess of the intercepts."""
        theta = self.potential.theta_of_dual(self.project(dual))
        coef = self.potential.coef(theta)
        scores = self.scores(coef)
        if self.fit_intercept:
            intercept, loss = self.loss.profiled(scores, intercept)
        else:
            loss = self.loss.at(scores)
        return Node(dual, intercept, theta, coef, loss)

    def dual_of_samples(self, node):
        """Return the scaled dual of each sample, (n_outputs, n_samples).

        The features' pull on it is the scaled dual of the coefficients, exactly.
        """
        if self.basis is None:
            return node.dual
        # What quadrature missed is left to the smallest correction.
        return node.forces.T + (node.dual - self.fold(node.forces)) @ self.basis.T

    # -- the field -------------------------------------------------------------------

    @cached_property
    def _origin(self):
        """Log of the loss at the start, and the pull of the features there."""
        loss = self.start().loss
        pull = np.max(np.abs(self.pull(loss)))
        return loss.log_loss, float(pull)

    @cached_property
    def _sizes(self):
        return np.abs(self.X)

    def at_rest(self, node, tol):
        """Return whether the forces on each coefficient cancel to a share of them.

        On separable data some feature pulls whatever the forces; on others the flow
        ends where all pulls cancel.
        """
        force = node.loss.force.T
        most = np.abs(force) @ self._sizes
        return bool(np.all(np.abs(force @ self.X) <= max(tol, _ROUNDING) * most))

    def pull(self, loss):
        """Return ``shape X.T force``, the speed of ``s`` per unit of total force."""
        return self.shape * (self.fold(loss.force) @ self.features.XT.T)

    def speed(self, node):
        """Return the `Speed` at a node, computed once."""
        known = vars(node).get("_speed")
        if known is None:
            base, least = self._origin
            pull = self.pull(node.loss)
            slope = self.potential.slope(node.theta)
            g = float(np.sum(slope / self.shape * pull**2))
            ratio = node.loss.ratio
            w = (1 + base - node.loss.log_loss) * ratio
            known = Speed(w / (g + least * w), w, g, ratio, slope)
            vars(node)["_speed"] = known
        return known

    def field(self, node):
        """Return the change of the dual by the clock."""
        return self.speed(node).scale * self.fold(node.loss.force)

    def log_pace(self, node):
        """Return the log of the time that passes in a unit of the clock."""
        scale = self.speed(node).scale
        return float(np.log(scale) - self.log_rate - node.loss.log_force)

    def jacobian(self, node):
        """Return the derivatives of the field and of the intercepts, closed form.

        Returns
        -------
        field : ndarray of shape (n_dual, n_dual)
            With ``n_dual = n_outputs * n_rows``.
        intercept : ndarray of shape (n_outputs, n_dual)
            Zero without intercepts.
        """
        loss, XT = node.loss, self.features.XT
        k, r = self.n_outputs, self.n_rows + self.fit_intercept
        speed = self.speed(node)
        scale, w, g, ratio = speed.scale, speed.w, speed.g, speed.ratio
        den = w / scale
        slope = speed.slope * self.shape
        mass = slope @ self.features.norms2
        gram = self.features.gram(slope, _DROP * mass)
        curvature = self.loss.curvature(loss)
        # Derivatives of the forces on rows and, last, of their sums, in the dual and,
        # last, in the intercept.
        force = self._widen(loss.force)
        change = np.empty((k, r, k, r))
        size = np.empty((k, r))  # minus the derivative of log G
        read = np.einsum("nk,nkl->nl", self.loss.right, curvature)
        for out in range(k):
            size[out] = self._narrow(self._widen(read[:, [out]])[0], gram[out])
            for other in range(k):
                block = self._squeeze(curvature[:, out, other])
                change[out, :, other] = -self._narrow(block, gram[other])
        change += force[:, :, None, None] * size
        # Derivatives of the log of the loss, of g and of the speed.
        fall = np.array([self._narrow(f, A) for f, A in zip(force, gram, strict=True)])
        ahead = self.fold(loss.force)
        pull = np.einsum("krs,ks->kr", gram, ahead)
        grow = np.einsum("kr,krls->ls", 2 * pull, change[:, : self.n_rows])
        bend = self.potential.bend(node.theta) * (ahead @ XT.T) ** 2 * self.shape**2
        grow[:, : self.n_rows] += bend @ XT
        fall_w = (ratio - w) * fall / ratio + w * size
        faster = (g * fall_w - w * grow) / den**2
        field = scale * change[:, : self.n_rows]
        field += ahead[:, :, None, None] * faster
        n_dual = k * self.n_rows
        by_dual = field[..., : self.n_rows].reshape(n_dual, n_dual)
        if not self.fit_intercept:
            return by_dual, np.zeros((k, n_dual))
        # Intercepts keep the sums of the forces at zero. Each sum counts in units of
        # its own forces: few samples may carry it.
        unit = np.maximum(np.abs(loss.force).sum(axis=0), 1e-300)[:, None]
        sums = change[:, -1].reshape(k, k, r) / unit[:, None]
        free = 1 / k if k > 1 else 0.0
        by = np.linalg.lstsq(
            sums[..., -1] + free, -sums[..., : self.n_rows].reshape(k, n_dual)
        )[0]
        return by_dual + field[..., -1].reshape(n_dual, k) @ by, by

    def _widen(self, values):
        """Fold ``(n_samples, k)``, and append the sums if there is an intercept."""
        folded = self.fold(values)
        if self.fit_intercept:
            folded = np.column_stack([folded, values.sum(axis=0)])
        return folded

    def _narrow(self, rows, gram):
        """Multiply by the derivative of the scores in the state of an output."""
        out = rows[..., : self.n_rows] @ gram
        if self.fit_intercept:
            out = np.concatenate([out, rows[..., -1:]], axis=-1)
        return out

    def _squeeze(self, diagonal):
        """Return ``W.T diag W`` with ``W`` the basis, and a column of ones."""
        if self.basis is None:
            block = np.diag(diagonal)
            edge = diagonal
        else:
            block = (self.basis.T * diagonal) @ self.basis
            edge = diagonal @ self.basis
        if not self.fit_intercept:
            return block
        return np.block([[block, edge[:, None]], [edge, diagonal.sum()]])
