"""What regressors and classifiers with one hidden layer share."""

import math
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._activations import ACTIVATIONS
from skregimes._arrays import as_array
from skregimes._base import FlowEstimator
from skregimes._relu_network import affine_columns
from skregimes._sklearn import Interval, StrOptions
from skregimes._watch import POINTS_PER_DECADE
from skregimes.diagnostics import (
    kernel_alignment,
    kernel_change,
    kernel_richness,
    knots,
    merge_knots,
    pattern_change,
    slope_total_variation,
    weight_change,
)
from skregimes.kernels import shallow_relu_kernel
from skregimes.networks.units import draw_units

__all__ = ["FLOATS", "ROUGH", "ShallowReLUEstimator", "node_times"]

FLOATS = [np.float64, np.float32]
# How much less accurate a flow may be that is followed for its held-out score alone:
# the score's own noise is far larger, and a third of the steps will do.
ROUGH = 10.0
# Times are recorded within these decades of the fastest time of the start.
_FIRST_DECADE, _LAST_DECADE = -2, 16
# Scales and rates beyond this or its inverse overflow on the way.
_HUGE = 1e200
# Infinite width: how much farther new points may be out than the samples.
_ROOM = 2.0


class ShallowReLUEstimator(FlowEstimator):
    """A network with one hidden layer behind scikit-learn's interface. Abstract.

    A fit leaves the `Network` that it ended with as ``_network``, and ``_single``,
    whether it has one output.
    """

    _parameter_constraints: dict = {
        **FlowEstimator._parameter_constraints,
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "init": [
            StrOptions({"stratified", "uniform", "gaussian", "uniform_pair"}),
            tuple,
        ],
        "bias_scale": [None, Interval(Real, 0, 1e50, closed="neither")],
        "balance": [Interval(Real, 0, None, closed="left")],
        "antisymmetric": ["boolean"],
        "skip_connection": ["boolean"],
        "activation": [StrOptions({"relu", "abs", "leaky_relu"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
    }
    # What a warm start must find unchanged, beside ``init``.
    _kept: tuple[str, ...] = (
        "init_scale", "n_hidden", "units", "bias_scale", "balance",
        "antisymmetric", "skip_connection", "fit_intercept", "activation",
    )  # fmt: skip

    # -- the start -----------------------------------------------------------------

    def _check_units(self):
        """Refuse laws of the units that could only be ignored."""
        if self.balance > 0 and self.antisymmetric and self.n_hidden % 2:
            raise ValueError(
                f"antisymmetric=True pairs the units, but n_hidden={self.n_hidden} is "
                "odd; use an even number, or antisymmetric=False."
            )
        if isinstance(self.init, tuple) and self.bias_scale is not None:
            raise ValueError(
                "bias_scale is for a law of init; given arrays are taken as they are."
            )

    def _check_sizes(self, alpha, radius):
        """Refuse scales and rates that floats cannot hold."""
        square = alpha * alpha
        sizes = square, radius or 1.0
        if not all(1 / _HUGE < size < _HUGE for size in sizes):
            raise ValueError(
                f"With init_scale={self.init_scale} and units={self.units!r} the flow's"
                f" fastest rate is {radius:.3g} and the network's size {square:.3g}, "
                "beyond float64; rescale X, y or init_scale, or use units='relative'."
            )

    def _fitted(self):
        return hasattr(self, "_network")

    def _options(self):
        """Return what a warm start must find unchanged."""
        law = self.init
        if isinstance(law, tuple):
            law = tuple(tuple(np.ravel(part)) for part in law)
        return {"init": law, **{name: getattr(self, name) for name in self._kept}}

    def _check_restart(self, last, samples):
        for name, value in self._options().items():
            if value != last.options[name]:
                raise ValueError(
                    f"warm_start=True goes on from the last fit's network, but {name} "
                    "has changed since; set warm_start=False."
                )
        shapes = samples.X.shape[1], samples.Y.shape[1]
        before = last.samples.X.shape[1], last.samples.Y.shape[1]
        if shapes != before:
            raise ValueError(
                "warm_start=True needs as many features and targets as the last fit "
                f"had, {before[0]} and {before[1]}; got {shapes[0]} and {shapes[1]}."
            )

    def _draw(self, samples, random_state):
        """Draw the units at unit scale, and return their scale of biases too."""
        d = samples.X.shape[1]
        bias_scale = self.bias_scale
        n_drawn = self.n_hidden
        paired = self.balance > 0 and self.antisymmetric
        if isinstance(self.init, tuple):
            weights, biases = self._given_units(d)
        else:
            if bias_scale is None:
                bias_scale = np.max(np.linalg.norm(samples.X, axis=1)) or 1.0
            n_drawn = n_drawn // 2 if paired else n_drawn
            weights, biases = draw_units(
                self.init, n_drawn, d, bias_scale, random_state
            )
        hidden = np.column_stack([weights, biases]) / math.sqrt(self.n_hidden)
        size = self.balance * np.linalg.norm(hidden, axis=1)[:, None]
        shape = (len(hidden), samples.Y.shape[1])
        output = np.zeros(shape)
        if self.balance > 0:
            sign = random_state.choice([-1.0, 1.0], shape) / math.sqrt(shape[1])
            output = size * sign
        if paired and n_drawn < self.n_hidden:
            hidden = np.concatenate([hidden, hidden])
            output = np.concatenate([output, -output])
        return hidden, output, bias_scale

    def _given_units(self, n_features):
        if len(self.init) != 2:
            raise ValueError("init must be a name, or a tuple of weights and biases.")
        weights = check_array(self.init[0], dtype=float, input_name="init")
        biases = check_array(
            self.init[1], dtype=float, ensure_2d=False, input_name="init"
        )
        wanted = (self.n_hidden, n_features)
        if weights.shape != wanted or biases.shape != wanted[:1]:
            raise ValueError(
                f"init must hold weights of shape {wanted} and biases of shape "
                f"{wanted[:1]}; got {weights.shape} and {biases.shape}."
            )
        if not weights.any():
            raise ValueError("init holds no weights but zeros: units would be blind.")
        if self.balance > 0 and self.antisymmetric:
            raise ValueError(
                "antisymmetric=True draws its own pairs; with arrays as init and "
                "balance > 0 use antisymmetric=False."
            )
        return weights, biases

    def _patience(self):
        """Return the factor in time after which a search without success gives up."""
        return 10 ** (self.n_iter_no_change / POINTS_PER_DECADE)

    # -- what is known of a fit ----------------------------------------------------

    def _store_network(self, net):
        """Set the attributes that a network at its end has by itself."""
        samples = net.samples
        self._network = net
        self.scale_unit_ = net.scale_unit * samples.y_unit
        self.scale_ = net.alpha**2 / net.scale_unit
        self.alpha_ = net.alpha * math.sqrt(samples.y_unit)
        self.time_unit_ = net.time_unit / samples.y_unit
        for name, value in self._weights(net).items():
            setattr(self, name, value)
        initial = net.initial()
        before, after = initial.probe_kernel(), net.probe_kernel()
        self.richness_ = kernel_richness(before, after)
        any_kernel = np.any(before)
        self.kernel_change_ = kernel_change(before, after) if any_kernel else 0.0
        self.kernel_alignment_ = (
            kernel_alignment(before, after) if any_kernel and np.any(after) else 1.0
        )
        self.weight_change_ = weight_change(initial.weights, net.weights)
        inputs = np.column_stack([samples.X, -np.ones(len(samples.X))])
        self.pattern_change_ = pattern_change(net.hidden0, net.hidden, inputs)
        if samples.X.shape[1] == 1:
            self._store_knots(net)

    def _weights(self, net):
        """Return the weights in the units of the input."""
        samples = net.samples
        weights, bias = net.hidden[:, :-1], net.hidden[:, -1]
        # Both layers take their part of the unit of y, so that they move at one rate.
        root = math.sqrt(samples.y_unit)
        inner, bias = root * weights / samples.x_scale, root * bias
        skip, intercept = net.affine
        coef = samples.y_unit * skip / samples.x_scale[:, None]
        intercept = (
            samples.y_shift + samples.y_unit * intercept - samples.x_shift @ coef
        )
        return {
            "coefs_": [inner.T, root * net.output],
            "intercepts_": [-(bias + inner @ samples.x_shift), intercept],
            "skip_coef_": coef[:, 0] if self._single else coef.T,
        }

    def _store_knots(self, net):
        samples = net.samples
        slopes = ACTIVATIONS[self.activation]
        where, change = knots(net.hidden, net.output, slopes=slopes)
        where, change = merge_knots(where, change, tolerance=1e-6 * np.ptp(samples.X))
        change = change * samples.y_unit / samples.x_scale[0]
        self.knots_ = samples.x_shift[0] + samples.x_scale[0] * where
        self.slope_changes_ = change[:, 0] if self._single else change
        self.total_variation_ = slope_total_variation(
            self.knots_, self.slope_changes_, tolerance=0.0
        )

    def tangent_kernel(self, X, Y=None, *, at="end"):
        """Return the network's tangent kernel, closed form.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
            Features.
        Y : array-like of shape (n_samples_Y, n_features), default=None
            Features; None is ``X``.
        at : {"init", "end"}, default="end"
            When: at the initialisation, or where the flow stopped.

        Returns
        -------
        ndarray of shape (n_samples_X, n_samples_Y) or (n_targets, n_targets, \
n_samples_X, n_samples_Y)
            Inner products of the gradients of the outputs, in the units of y, with
            respect to the weights of the units, with features as the network sees them.
            The affine part, which learns at once, is not among them.

        Raises
        ------
        ValueError
            If ``at`` is unknown.
        """
        check_is_fitted(self)
        if at not in ("init", "end"):
            raise ValueError(f"at must be 'init' or 'end', got {at!r}.")
        left, right = (
            validate_data(self, as_array(A), dtype=FLOATS, reset=False)
            for A in (X, X if Y is None else Y)
        )
        net = self._network if at == "end" else self._network.initial()
        # Weights of a network for targets of size one, brought to those of y.
        kernel = net.y_unit * net.kernel(net.scaled(left), net.scaled(right))
        return kernel[0, 0] if self._single else kernel

    def _free_columns(self, X):
        """Return the columns whose coefficients are always at their optimum."""
        X = validate_data(self, as_array(X), dtype=FLOATS, reset=False)
        net = self._network
        columns = affine_columns(net.scaled(X), *net.columns)
        return np.zeros((len(X), 0)) if columns is None else columns

    def _mean_start_kernel(self, X, Y):
        """Return the mean tangent kernel of all draws of the start.

        That of each output; outputs share no output weights, and the signs of these are
        independent.
        """
        if isinstance(self.init, tuple):
            raise ValueError(
                "A mean over all starts needs a law, but init holds arrays; use one of "
                "the names of init."
            )
        net = self._network
        bias_scale = net.bias_scale
        if self.bias_scale is None:
            bias_scale = _ROOM * bias_scale
        q = net.output.shape[1]
        left, right = (
            validate_data(self, as_array(A), dtype=FLOATS, reset=False) for A in (X, Y)
        )
        kernel = shallow_relu_kernel(
            net.scaled(left),
            net.scaled(right),
            law="uniform" if self.init == "stratified" else self.init,
            bias_scale=bias_scale,
            balance=self.balance / math.sqrt(q),
            activation=self.activation,
        )
        kernel *= net.y_unit * net.alpha**2
        return kernel if self._single else np.broadcast_to(kernel, (q, *kernel.shape))


def node_times(unit, bound):
    """Return the times to record, geometric, for a unit of time and a last time."""
    count = POINTS_PER_DECADE * (_LAST_DECADE - _FIRST_DECADE)
    times = unit * np.logspace(_FIRST_DECADE, _LAST_DECADE, count + 1)
    if 0 < bound < times[0]:
        # Shorter flows are recorded too.
        times = np.concatenate([bound * np.geomspace(1e-2, 1, 24)[:-1], times])
    return times
