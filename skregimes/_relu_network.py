"""A shallow network behind the estimator's face: its units, its weights, its record."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from scipy.linalg import orth, pinv

from skregimes._activations import ACTIVATIONS
from skregimes._samples import Samples, spread_rows
from skregimes._watch import Point, log
from skregimes.diagnostics import kernel_change, kernel_richness
from skregimes.flows.ending import BROKEN

__all__ = [
    "MOST_NUMBERS",
    "Motion",
    "Network",
    "NetworkTrajectory",
    "Patience",
    "Record",
    "affine_columns",
    "initial_weights",
]

# A trajectory holds at most so many numbers; longer ones keep every second point.
MOST_NUMBERS = 2**24
# A flow stands still while the loss is above this share of its start.
_IDLE = 0.9
# Samples on which the change of the kernel is measured.
_PROBES = 256
# A kink is at a sample up to this share of the sizes of the unit and the sample.
_AT_KINK = 1e-9
# Rows of a prediction are worked off in pieces of so many activations.
_PIECE = 2**21


def affine_columns(X, linear, intercept):
    """Return the columns of the profiled part, or None."""
    parts = [X] if linear else []
    if intercept:
        parts.append(np.ones((len(X), 1)))
    return np.column_stack(parts) if parts else None


def initial_weights(hidden, output, alpha):
    """Return all weights at the start, flat, of those at unit scale."""
    return alpha * np.concatenate([hidden.ravel(), output.ravel()])


@dataclass(frozen=True, eq=False)
class Network:
    """A network in its own units, with all that leads back to those of the input.

    ``hidden0 (m, p)`` and ``output0 (m, q)`` are the weights drawn, at unit scale,
    ``theta`` all weights now.
    """

    samples: Samples
    hidden0: np.ndarray
    output0: np.ndarray
    alpha: float
    scale_unit: float
    rate: float
    time_unit: float
    bias_scale: float | None
    columns: tuple[bool, bool]
    activation: str
    options: dict
    theta: np.ndarray

    def at(self, theta):
        """Return the network with other weights."""
        net = replace(self, theta=theta)
        # It belongs to the samples, not to the weights: found once for all of them.
        vars(net)["_affine_solver"] = self._affine_solver
        return net

    def initial(self):
        """Return the network at its start."""
        return self.at(initial_weights(self.hidden0, self.output0, self.alpha))

    @property
    def hidden(self):
        """Weights and biases of the units."""
        return self.theta[: self.hidden0.size].reshape(self.hidden0.shape)

    @property
    def output(self):
        """Output weights."""
        return self.weights[self.hidden0.size :].reshape(self.output0.shape)

    @property
    def weights(self):
        """All weights of the units, flat."""
        return self.theta[: self.hidden0.size + self.output0.size]

    @property
    def y_unit(self):
        """Size of the targets."""
        return self.samples.y_unit

    def clock(self, units):
        """Return the factor from times in units to the network's own."""
        return self.time_unit if units == "relative" else self.y_unit

    def raw_loss(self, loss):
        """Return a loss in the units of y."""
        half = self.samples.spread / 2
        with np.errstate(over="ignore"):
            return float((self.y_unit * np.sqrt(loss + half)) ** 2)

    def units(self, X):
        """Return inputs, and inputs and outputs of the units."""
        low, high = ACTIVATIONS[self.activation]
        inputs = np.column_stack([X, -np.ones(len(X))])
        Z = inputs @ self.hidden.T
        return inputs, Z, np.where(Z > 0, high, low) * Z

    def slopes(self, inputs, Z):
        """Return the slopes of the units, the middle ones at kinks.

        Kinks stick to samples: on which side they are is a matter of rounding.
        """
        low, high = ACTIVATIONS[self.activation]
        size = np.linalg.norm(self.hidden, axis=1)
        near = _AT_KINK * np.linalg.norm(inputs, axis=1)[:, None] * size
        return np.where(np.abs(Z) <= near, (low + high) / 2, np.where(Z > 0, high, low))

    def values(self, X):
        """Return the units' part of the function at scaled features."""
        step = max(1, _PIECE // len(self.hidden0))
        return np.concatenate(
            [
                self.units(X[i : i + step])[2] @ self.output
                for i in range(0, len(X), step)
            ]
        )

    @cached_property
    def _affine_solver(self):
        """Matrix (d + 1, n) from what the units miss to slopes and intercept."""
        samples = self.samples
        solver = np.zeros((samples.X.shape[1] + 1, len(samples.X)))
        columns = affine_columns(samples.X, *self.columns)
        if columns is not None:
            root = np.sqrt(samples.weight)
            scaled = root[:, None] * columns
            floor = max(scaled.shape) * np.finfo(float).eps
            linear, intercept = self.columns
            learnt = [linear] * samples.X.shape[1] + [intercept]
            solver[learnt] = pinv(scaled, rtol=floor) * root
        return solver

    @cached_property
    def affine(self):
        """Slopes (d, q) and intercept (q,) of the profiled part."""
        samples = self.samples
        found = self._affine_solver @ (samples.Y - self.values(samples.X))
        return found[:-1], found[-1]

    def predict(self, X):
        """Predict at features in the units of the input."""
        samples = self.samples
        Z = self.scaled(X)
        slope, intercept = self.affine
        values = self.values(Z) + Z @ slope + intercept
        return samples.y_shift + samples.y_unit * values

    def scaled(self, X):
        """Return features as the network sees them."""
        X = X.astype(float, order="C")  # the layout would show in the last place
        return (X - self.samples.x_shift) / self.samples.x_scale

    def probe_kernel(self):
        """Return the Gram matrix of the tangent kernel on at most 256 samples.

        Weighted, and without what the affine part explains.
        """
        samples = self.samples
        rows = spread_rows(len(samples.X), _PROBES)
        X, root = samples.X[rows], np.sqrt(samples.weight[rows])
        kernel = root[:, None] * self.kernel(X, X) * root
        columns = affine_columns(X, *self.columns)
        if columns is not None:
            basis = orth(root[:, None] * columns)
            kernel = kernel - basis @ (basis.T @ kernel)
            kernel = kernel - (kernel @ basis) @ basis.T
        q = len(kernel)
        return kernel.transpose(0, 2, 1, 3).reshape(q * len(X), q * len(X))

    def kernel(self, X, Y):
        """Return the tangent kernel between scaled features."""
        (left, Z, H), (right, Z_right, H_right) = self.units(X), self.units(Y)
        out, products = H @ H_right.T, left @ right.T
        D, D_right = self.slopes(left, Z), self.slopes(right, Z_right)
        q = self.output.shape[1]
        kernel = np.empty((q, q, *out.shape))
        for k in range(q):
            for other in range(q):
                weight = self.output[:, k] * self.output[:, other]
                kernel[k, other] = ((D * weight) @ D_right.T) * products
                if k == other:
                    kernel[k, k] += out
        return kernel


class Patience:
    """Whether a search along a flow has gone on for long enough without success.

    From a small start the function stands still until the units have grown, for many
    times the unit of time: patience begins after that.
    """

    def __init__(self, factor, unit):
        self.factor, self.unit = factor, unit
        self.first_loss, self.idle_until = None, 0.0
        self.end = factor * unit  # if nothing gets better any more

    def over(self, time, loss, best_time):
        """Take a point of the flow, and return whether to give up."""
        if self.first_loss is None:
            self.first_loss = loss
        if loss > _IDLE * self.first_loss:
            self.idle_until = time
        self.end = self.factor * max(best_time, self.unit, self.idle_until)
        if best_time == 0 and loss > 0.5 * self.first_loss:
            return False  # few held-out samples may speak against all beginnings
        return time > self.end


class Motion:
    """Compares the tangent kernel of networks with that of their start, if asked."""

    def __init__(self, origin):
        self.before = cache(lambda: origin.initial().probe_kernel())

    def of(self, net):
        """Return functions that return ``richness_`` and ``kernel_change_``."""
        after = cache(net.probe_kernel)

        def change():
            any_kernel = np.any(self.before())
            return kernel_change(self.before(), after()) if any_kernel else 0.0

        return lambda: kernel_richness(self.before(), after()), change


class Record:
    """What a flow tells on its way: recorded points, and where it was best."""

    def __init__(self, origin, units, gcv, watcher, course, bound):
        self.origin, self.units, self.gcv, self.watcher = origin, units, gcv, watcher
        self.course, self.bound, self.motion = course, bound, Motion(origin)
        self.points: list = []
        self.stride, self.seen = 1, 0
        self.best = None
        self.scores: dict = {}
        if gcv is not None:
            self.spread = origin.samples.spread
            self.watch = gcv.watch(self.spread, origin.time_unit)
            self.patience = Patience(gcv.patience, origin.time_unit)

    def __call__(self, time, theta, loss, df=None):
        """Take a point; a true answer stops the flow."""
        if self.seen % self.stride == 0:
            self.points.append((time, loss, theta))
            if len(self.points) * theta.size > MOST_NUMBERS:
                self.points = self.points[::2]
                self.stride *= 2
        self.seen += 1
        stop = self.watcher is not None and self._tell(time, theta, loss)
        if self.gcv is not None:
            score = float(self.gcv.score(2 * loss + self.spread, df))
            if self.best is None or (self.gcv.allows(df) and score < self.best[0]):
                self.best = (score, time, theta, loss, df)
            late = self.patience.over(time, loss, self.best[1])
            late = late or not self.gcv.allows(df)
            stop = (self.watch(time, 2 * loss, df) and late) or stop
        return stop

    def _tell(self, time, theta, loss):
        """Tell the watcher of a point."""
        net, end = self.origin.at(theta), self.bound
        if self.gcv is not None:
            end = min(end, max(self.watch.end, self.patience.end))
        age = log(time / net.time_unit)
        done = self.course(age, log(end / net.time_unit), log(loss))
        when, raw = time / net.clock(self.units), net.raw_loss(loss)
        point = Point.at(when, raw, *self.motion.of(net))
        return self.watcher(point, age, done, lambda: {"_network": net})

    def close(self, result):
        """Return the result, moved back to where the score was best."""
        if self.gcv is not None and self.best is not None:
            score, time, theta, loss, df = self.best
            size = self.origin.y_unit
            with np.errstate(over="ignore"):
                self.scores = {"df_": df, "gcv_": (size * np.sqrt(score)) ** 2}
            asked = time < result.time and result.status not in BROKEN
            status = "stopped" if asked else result.status
            result = replace(result, time=time, theta=theta, loss=loss, status=status)
        theta = np.asarray(result.theta)
        self.points = [p for p in self.points if p[0] < result.time]
        self.points.append((result.time, result.loss, theta))
        return replace(result, theta=theta)

    def trajectory(self):
        """Return the recorded trajectory in the units of the input."""
        time, loss, theta = (list(column) for column in zip(*self.points, strict=True))
        clock = self.origin.clock(self.units)
        return NetworkTrajectory(
            np.array(time) / clock,
            np.array([self.origin.raw_loss(value) for value in loss]),
            np.array(theta),
            self.origin,
        )


@dataclass(frozen=True, eq=False)
class NetworkTrajectory:
    """Weights of a network on its way, the start included.

    Parameters
    ----------
    time : ndarray of shape (n_points,)
        Flow times, increasing from 0.
    loss : ndarray of shape (n_points,)
        Training loss.
    theta : ndarray of shape (n_points, n_params)
        Weights in the network's own units: hidden ones with their biases, unit by unit,
        then output ones.
    network : object
        The network that went this way, with its units.

    Examples
    --------
    >>> from skregimes import ShallowReLURegressor
    >>> from skregimes.datasets import load_teaching_points
    >>> X, y = load_teaching_points(return_X_y=True)
    >>> net = ShallowReLURegressor(
    ...     n_hidden=50, early_stopping=False, max_time=10.0, random_state=0
    ... )
    >>> path = net.fit(X, y).trajectory_
    >>> path.knots.shape == (len(path.time), 50)
    True
    """

    time: np.ndarray
    loss: np.ndarray
    theta: np.ndarray
    network: Network

    @cached_property
    def richness(self):
        """``richness_`` at each point, computed when asked for."""
        before = self.network.initial().probe_kernel()
        return np.array(
            [
                kernel_richness(before, self.network.at(theta).probe_kernel())
                for theta in self.theta
            ]
        )

    @property
    def knots(self):
        """Where each unit bends, (n_points, n_hidden), for networks of one feature.

        In the units of the input; inf for units that do not bend.
        """
        net = self.network
        if net.hidden0.shape[1] != 2:
            raise AttributeError("Knots need one feature.")
        hidden = self.theta[:, : net.hidden0.size].reshape(len(self), -1, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            place = hidden[..., 1] / hidden[..., 0]
        return net.samples.x_shift + net.samples.x_scale * place

    def __len__(self):
        return len(self.time)

    def __repr__(self):
        return f"NetworkTrajectory({len(self)} points, time 0 to {self.time[-1]:.3g})"
