"""What a classifier keeps of a network: labelled samples, states, and its way."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator

from skregimes._classification import temperature
from skregimes._labelled import responses
from skregimes._relu_network import MOST_NUMBERS, Motion, Network, NetworkTrajectory
from skregimes._samples import Samples
from skregimes._watch import Course, Point

__all__ = [
    "ClassifierTrajectory",
    "LabelledSamples",
    "ScoreNetwork",
    "ScoreRecord",
    "interpolate_logs",
]


@dataclass(frozen=True, eq=False)
class LabelledSamples(Samples):
    """Distinct labelled samples, sorted and scaled.

    Samples at one place with one label are one with the sum of their weights: no loss
    can tell the difference. Targets are the working responses: the residuals of the
    labels at the frequencies of the classes, over their variances, which is what the
    scores should be to first order.

    Attributes
    ----------
    codes : ndarray of shape (n_samples,)
        Numbers of the classes.
    n_classes : int
        How many there are.
    n_each : ndarray of shape (n_samples,)
        Weights in numbers of samples.
    """

    codes: np.ndarray
    n_classes: int
    n_each: np.ndarray

    @classmethod
    def arrange(cls, X, codes, weight, *, center, standardize, like=None):
        """Scale and merge ``X (n, d)``, ``codes (n,)`` and positive ``weight (n,)``.

        ``like``, other samples, lends its units.
        """
        labelled = np.column_stack([X + 0.0, codes])  # no -0.0
        labelled, place = np.unique(labelled, axis=0, return_inverse=True)
        weight = np.bincount(place.reshape(-1), weight)
        X, codes = labelled[:, :-1], labelled[:, -1].astype(int)
        n_classes = int(codes.max()) + 1 if like is None else like.n_classes
        options = {"center": center, "standardize": standardize}
        Y = responses(codes, weight, n_classes, center)
        if like is None:
            like = Samples.build(X, Y, weight, **options)
        q = Y.shape[1]
        return cls(
            X=(X - like.x_shift) / like.x_scale,
            Y=Y,
            weight=weight / weight.sum(),
            x_shift=like.x_shift,
            x_scale=like.x_scale,
            y_shift=np.zeros(q),
            y_unit=1.0,
            spread=0.0,
            codes=codes,
            n_classes=n_classes,
            n_each=weight,
        )

    def part(self, rows):
        """Return some of the samples, with the units of all."""
        weight = self.n_each[rows]
        return replace(
            self,
            X=self.X[rows],
            Y=self.Y[rows],
            weight=weight / weight.sum(),
            codes=self.codes[rows],
            n_each=weight,
        )


@dataclass(frozen=True, eq=False)
class ScoreNetwork(Network):
    """A network whose outputs are scores.

    Its ``theta`` goes on, after the weights of the units, with the slopes of the linear
    part (n_features, n_outputs) and the intercept (n_outputs,), flat.
    """

    samples: LabelledSamples

    def at(self, theta):
        """Return the network with another state."""
        return replace(self, theta=theta)

    def initial(self):
        """Return the network at its start, without linear part and intercept."""
        weights = [self.hidden0.ravel(), self.output0.ravel()]
        tail = np.zeros(len(self.theta) - len(self.weights))
        return self.at(np.concatenate([self.alpha * np.concatenate(weights), tail]))

    @cached_property
    def affine(self):
        """Slopes (d, q) and intercept (q,)."""
        tail = self.theta[len(self.weights) :].reshape(-1, self.output0.shape[1])
        return tail[:-1], tail[-1]

    def scores(self, X):
        """Return the scores at scaled features, (n_samples, n_outputs)."""
        slope, intercept = self.affine
        return self.values(X) + X @ slope + intercept

    def log_odds(self, scores, factor):
        """Return log odds, in the shape of scikit-learn, of scores."""
        scores = scores[:, 0] if scores.shape[1] == 1 else scores
        return factor * scores

    def temperature(self, factor):
        """Return that of the training samples; ``factor`` makes log odds of scores."""
        samples = self.samples
        log_odds = self.log_odds(self.scores(samples.X), factor)
        return temperature(log_odds, samples.codes, samples.n_each)


@dataclass(frozen=True, eq=False, repr=False)
class ClassifierTrajectory(NetworkTrajectory):
    """States of a classifier on its way, the start included.

    Parameters
    ----------
    time : ndarray of shape (n_points,)
        Flow times, increasing from 0; inf beyond the range of floats.
    loss : ndarray of shape (n_points,)
        Training loss; 0 below the range of floats.
    theta : ndarray of shape (n_points, n_params)
        Weights in the network's own units: hidden ones with their biases, unit by unit,
        output ones, slopes of the linear part and the intercept.
    network : object
        The network that went this way, with its units.
    log_time, log_loss : ndarray of shape (n_points,)
        Natural logarithms of the times and of the losses.
    factor : float
        What makes log odds of scores: 2 for the exponential loss, else 1.
    """

    log_time: np.ndarray
    log_loss: np.ndarray
    factor: float

    @cached_property
    def temperature(self):
        """``temperature_`` at each point, computed when asked for."""
        return np.array(
            [self.network.at(theta).temperature(self.factor) for theta in self.theta]
        )

    def log_odds(self, X):
        """Return calibrated log odds at features in the units of the input.

        Shape (n_points, n_samples) or (n_points, n_samples, n_classes).
        """
        Z = self.network.scaled(X)
        stages = []
        for theta, T in zip(self.theta, self.temperature, strict=True):
            net = self.network.at(theta)
            stages.append(net.log_odds(net.scores(Z), self.factor / T))
        return np.array(stages)


class ScoreRecord:
    """What a flow tells on its way: recorded points, and callbacks of them.

    Parameters
    ----------
    origin : ScoreNetwork
        The network at its start.
    units : str
        Units of times.
    factor : float
        What makes log odds of scores.
    watcher : Watcher or None
        Whom to tell.
    known : dict
        Attributes that an estimator has besides, to answer on the way.
    """

    def __init__(self, origin, units, factor, watcher, known):
        self.origin, self.units, self.factor = origin, units, factor
        self.watcher, self.known = watcher, known
        self.motion = Motion(origin)
        self.points: list = []
        self.stride, self.seen = 1, 0

    def aim(self, level, log_time, solver):
        """Say at which log of the loss and of the time the flow is to end."""
        self.course = Course(level, solver=solver, loss_power=0.5)
        self.log_end = log_time - math.log(self.origin.time_unit)

    def __call__(self, log_time, theta, log_loss):
        """Take a point; a true answer stops the flow."""
        if self.seen % self.stride == 0:
            self.points.append((log_time, log_loss, theta))
            if len(self.points) * theta.size > MOST_NUMBERS:
                self.points = self.points[::2]
                self.stride *= 2
        self.seen += 1
        if self.watcher is None:
            return False
        net = self.origin.at(theta)
        when = log_time - math.log(net.clock(self.units))
        point = Point.of_logs(when, log_loss, *self.motion.of(net))
        state = lambda: {
            **self.known,
            "_network": net,
            "temperature_": net.temperature(self.factor),
            "log_loss_": log_loss,
            "log_time_": when,
        }
        age = log_time - math.log(net.time_unit)
        done = self.course(age, self.log_end, log_loss)
        return self.watcher(point, age, done, state)

    def trajectory(self, result):
        """Return the recorded trajectory, up to where the flow ended."""
        points = [point for point in self.points if point[0] < result.log_time]
        points.append((result.log_time, result.log_loss, result.theta))
        log_time, log_loss, theta = map(np.array, zip(*points, strict=True))
        log_time = log_time - math.log(self.origin.clock(self.units))
        with np.errstate(over="ignore"):
            time, loss = np.exp(log_time), np.exp(log_loss)
        return ClassifierTrajectory(
            time, loss, theta, self.origin, log_time, log_loss, self.factor
        )


def interpolate_logs(log_time, values, log_times):
    """Interpolate states by a monotone cubic in log time; the last one holds on."""
    if len(log_time) == 1:
        return np.repeat(values, len(log_times), axis=0)
    clock = lambda t: np.logaddexp(np.minimum(t, log_time[-1]), log_time[1])
    return PchipInterpolator(clock(log_time), values)(clock(log_times))
