"""Classification by shallow networks."""

import math
import warnings
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from skregimes._arrays import as_array
from skregimes._classification import ClassifierFace, encode, log_probabilities
from skregimes._classifier_start import link
from skregimes._labelled import LEAST_SAMPLES, held_out_parts
from skregimes._relu_network import Patience, affine_columns, initial_weights
from skregimes._samples import Samples
from skregimes._sklearn import Interval, StrOptions, check_sample_weight, fit_context
from skregimes._watch import Course, log
from skregimes.flows.ending import BROKEN
from skregimes.flows.margin_loss import LOSSES
from skregimes.limits.margins import Margins
from skregimes.shallow_relu._face import (
    FLOATS,
    ROUGH,
    ShallowReLUEstimator,
    node_times,
)
from skregimes.shallow_relu._scores import (
    LabelledSamples,
    ScoreNetwork,
    ScoreRecord,
    interpolate_logs,
)

__all__ = ["ShallowReLUClassifier"]

# Kinks of the flow are this much wider than its steps' errors, but no wider than that.
_KINK, _WIDEST = 10.0, 0.02
_SOFT_LOSSES = ("soft_f1", "soft_accuracy", "soft_balanced_accuracy")
# The log loss that is small enough where nothing else says when to stop.
_LOG_LOSS_TOL = -20.0
# At such a share of the unit of time nothing has moved in float64.
_LOG_AT_ONCE = -100.0


@dataclass(frozen=True, eq=False)
class _Run:
    """A flow to be followed: on what, from where, and by which solver."""

    train: object  # makes the `ScoreTraining` of labelled samples
    origin: ScoreNetwork
    solver: str


class ShallowReLUClassifier(ClassifierFace, ShallowReLUEstimator):
    """Classification by gradient flow on a network with one hidden ReLU layer.

    The scores are ``f(x) = sum_j c_j relu(a_j . x - b_j) + v``, one for two classes and
    one a class for more, with a common hidden layer. They are trained by gradient flow,
    ``dtheta/dt = -grad L``, from units ``(a_j, b_j) = alpha / sqrt(n_hidden) * (w_j,
    beta_j)`` with random ``w`` and ``beta``. A large scale ``alpha`` gives the kernel
    regime: scores of minimal norm in a space of smooth functions. A small scale gives
    the rich regime: few directions, few kinks. How far the loss is pushed matters as
    much: sooner or later each scale becomes rich.

    Parameters
    ----------
    init_scale : float, default=1.0
        Scale of the initialisation. With ``units="relative"`` it is ``alpha**2`` over
        what the data ask for: at a loss of exp(-4) 1 is about the middle of the
        transition, 30 is kernel, 0.01 is rich. With "paper" it is ``alpha``.

    n_hidden : int, default=300
        Number of hidden units. The regime does not depend on it.

    loss : {"logistic", "exponential", "soft_f1", "soft_accuracy", \
"soft_balanced_accuracy"}, default="logistic"
        What falls, a weighted mean over the samples:

        - "logistic" is the cross-entropy of the softmax, ``log(1 + sum_k exp(-m_k))``
          with the margins ``m_k = f_y - f_k`` over the wrong classes (``m = +-f`` of
          two classes), and "exponential" is ``sum_k exp(-m_k)``. If the network can
          separate the classes both fall for ever. The flow is then followed by the
          clock of the loss, ``dtau = L dt``, in which it is the flow of ``log L``: a
          loss of exp(-1e4) is no further than others.
        - The soft ones are one minus the score of a soft confusion matrix, averaged
          over nine thresholds; with more than two classes, of each class against the
          rest, averaged. They are bounded and not convex in the scores: no theory of
          margins is theirs, and their flow comes to rest, in ordinary time.

    units : {"relative", "paper"}, default="relative"
        Units of ``init_scale`` and of times. With "relative" features are standardised
        and scaled into the unit ball inside, and times are multiples of ``time_unit_``,
        the fastest time of the start. With "paper" time is that of ``dtheta/dt = -grad
        L`` and features are taken as they are.

    init : {"stratified", "uniform", "gaussian", "uniform_pair"} or tuple of arrays, \
default="stratified"
        Law of the units at unit scale, as of `ShallowReLURegressor`.

    bias_scale : float, default=None
        Scale of the biases; None is the largest norm of a training sample as the
        network sees it: 1 for relative units.

    balance : float, default=0.0
        Size of the initial output weights, ``|c_j| = balance * |(a_j, b_j)|`` with
        random signs.

    antisymmetric : bool, default=True
        Whether units come in pairs with opposite output weights, so that the network is
        zero at its start. Without ``balance`` it is zero anyway.

    skip_connection : bool, default=False
        Whether there is a linear part ``alpha u . x``, with weights ``u`` that start at
        zero and flow with the others. It cannot be the best one at all times, as that
        of the regressor: separable classes have none. Where the loss is pushed far the
        units, whose scores are quadratic in the weights, leave it behind.

    fit_intercept : bool, default=True
        Whether there are intercepts ``v``, at all times the ones of the least loss: as
        if they learnt infinitely faster. The margins then approach the largest ones
        with a free intercept. Those of the soft losses, which may have no best one,
        start at zero and flow like the skip connection. If not, features are not
        centred either.

    activation : {"relu", "abs", "leaky_relu"}, default="relu"
        Activation of the units; the leaky ReLU has slope 0.01 below zero.

    class_weight : None, "balanced" or dict, default=None
        What the weights of each class are multiplied by; "balanced" makes their sums
        equal.

    solver : {"auto", "chebyshev", "gd"}, default="auto"
        - "chebyshev", which is "auto", follows the flow by a stabilised explicit
          Runge-Kutta method. For it slopes of units change over a hundredth of the
          features' range (ten times ``rtol``), so that kinks which stick to samples
          do not ask for tiny steps;
        - "gd" runs the discrete algorithm on the loss itself, which stands still near a
          loss of exp(-10).

    early_stopping : "auto" or bool, default="auto"
        True stops at the time of the best log loss of samples held out,
        ``validation_fraction`` of each class, up to five such parts one after another
        while fewer than 1000 samples have been held out; all samples are then fitted to
        that time. False goes on to ``log_loss_tol``, ``max_time`` or rest. "auto" is
        True from 20 distinct samples on, if ``log_loss_tol`` and ``max_time`` are None.

    log_loss_tol : float, default=None
        Natural logarithm of the training loss at which to stop, maybe -1e4. None is no
        such level, or -20 where nothing else would ever stop the flow. Not for the soft
        losses.

    max_time : float, default=None
        Time at which to stop at the latest; None is no bound.

    rtol : float, default=1e-3
        Error of the scores on the training set allowed in a step, relative to their
        size (to 1 while they are smaller): about the error of the result. Not for "gd".
        Flows that held-out samples watch may err by ten times as much.

    max_iter : int, default=100_000
        Bound on the steps.

    validation_fraction : float, default=0.1
        Share of the samples held out, only with early stopping.

    n_iter_no_change : int, default=8
        Points in time, 12 a decade, without a better score after which the search for
        the time to stop gives up.

    learning_rate : float, default=None
        Step of ``solver="gd"`` in the units of times, so that with relative units 2 is
        about where the start becomes unstable; None adapts a safe one.

    batch_size : int, default=None
        Samples in a step of ``solver="gd"``; None is all of them. Intercepts are always
        those of all samples.

    warm_start : bool, default=False
        Go on from the weights at which the previous fit stopped, with its units.

    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, held-out samples and mini batches.

    verbose : int or bool, default=0
        Print a line for each decade of time, and beyond 12 decades for each of its
        logarithm.

    device : str, default="cpu"
        Where the flow runs, a torch device.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    log_loss_, loss_ : float
        Natural logarithm of the training loss, and the loss itself: 0 below floats.
    log_time_, time_ : float
        Natural logarithm of the time when the flow stopped, in the units of ``units``,
        and that time: inf beyond floats.
    margin_ : float
        The least margin of a training sample, in raw scores.
    temperature_ : float
        What raw scores (twice them, for the exponential loss) are divided by to be log
        odds: the least temperature, at least 1, at which the mean log loss of the ``n``
        training samples is at least ``1 / (n + n_classes)``. However far the loss is
        pushed, probabilities mean something.
    coefs_ : list of ndarray, of shapes (n_features, n_hidden), (n_hidden, n_outputs)
        Weights of the two layers, for features in the units of the input; one output
        for two classes.
    intercepts_ : list of ndarray, of shapes (n_hidden,), (n_outputs,)
        Biases of the two layers: the first is ``-b``.
    skip_coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients of the linear part, zero without ``skip_connection``.
    richness_ : float
        ``||K_T - K_0|| / (||K_T|| + ||K_0||)`` of the tangent kernel on at most 256
        training samples, without the affine part: 0 in the kernel regime, 1 in the rich
        one, whatever the width.
    regime_ : str
        "kernel" (richness below 0.1), "transition" or "rich" (above 0.9).
    kernel_change_, kernel_alignment_, weight_change_ : float
        ``||K_T - K_0|| / ||K_0||``, cosine of the kernels, and ``||theta_T - theta_0||
        / ||theta_0||`` of the units' weights.
    pattern_change_ : float
        Fraction of the pairs of unit and sample that were switched on or off.
    scale_ : float
        The relative scale, whatever ``units`` is.
    alpha_, scale_unit_, time_unit_ : float
        The raw scale, and the factors between relative and raw: ``alpha_**2 = scale_ *
        scale_unit_``; raw times are ``time_unit_`` times relative ones.
    knots_, slope_changes_ : ndarray of shape (n_knots,), (n_knots,) or (n_knots, \
n_outputs)
        One feature only: where the raw scores bend, and by how much. Knots closer than
        1e-6 of the range are merged.
    total_variation_ : float or ndarray of shape (n_outputs,)
        One feature only: total variation of the slope, the sum of sizes of the changes.
    trajectory_ : ClassifierTrajectory
        At most about 12 points a decade on the way.
    solver_, n_iter_, converged_ : str, int, bool
        What ran, how many steps, and whether it ended as asked.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    ShallowReLURegressor : The same network for regression.
    DiagonalNetClassifier : A sparse linear classifier by the scale of its start.

    Notes
    -----
    The unit of the scale is the regressor's, of the working responses: the residuals of
    the labels at the frequencies of the classes, over their variances (half of them for
    the exponential loss). On four of five tables (iris, wine, breast cancer, a wave on
    the line) ``init_scale=1`` has a richness between 0.5 and 0.9 at a loss of exp(-4),
    0.01 one above 0.98 and 100 one below 0.02; on two moons with noise, which a kernel
    tells apart with ease, the transition is at 0.05.

    Samples at one place with one label are merged, so that weights are repetitions.

    References
    ----------
    Chizat, Bach, "Implicit Bias of Gradient Descent for Wide Two-layer Neural Networks
    Trained with the Logistic Loss", COLT 2020.

    Lyu, Li, "Gradient Descent Maximizes the Margin of Homogeneous Neural Networks",
    ICLR 2020.

    Moroshko, Gunasekar, Woodworth, Lee, Srebro, Soudry, "Implicit Bias in Deep Linear
    Classification: Initialization Scale vs Training Accuracy", NeurIPS 2020.

    Tsoi, Candon, Li, Milkessa, Vazquez, "Bridging the Gap: Unifying the Training and
    Evaluation of Neural Network Binary Classifiers", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skregimes import ShallowReLUClassifier
    >>> X, y = make_moons(60, noise=0.1, random_state=0)
    >>> model = ShallowReLUClassifier(
    ...     0.01, n_hidden=50, log_loss_tol=-30, rtol=1e-2, random_state=0
    ... )
    >>> model.fit(X, y)
    ShallowReLUClassifier(...)
    >>> print(model.regime_, round(model.log_loss_, 6), model.score(X, y))
    rich -30.0 1.0
    """

    _parameter_constraints: dict = {
        **ShallowReLUEstimator._parameter_constraints,
        "loss": [StrOptions({*LOSSES, *_SOFT_LOSSES})],
        "solver": [StrOptions({"auto", "chebyshev", "gd"})],
        "log_loss_tol": [None, Interval(Real, None, None, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _parameter_constraints.pop("tol")
    _kept = (*ShallowReLUEstimator._kept, "loss")

    def __init__(
        self,
        init_scale=1.0,
        *,
        n_hidden=300,
        loss="logistic",
        units="relative",
        init="stratified",
        bias_scale=None,
        balance=0.0,
        antisymmetric=True,
        skip_connection=False,
        fit_intercept=True,
        activation="relu",
        class_weight=None,
        solver="auto",
        early_stopping="auto",
        log_loss_tol=None,
        max_time=None,
        rtol=1e-3,
        max_iter=100_000,
        validation_fraction=0.1,
        n_iter_no_change=8,
        learning_rate=None,
        batch_size=None,
        warm_start=False,
        random_state=None,
        verbose=0,
        device="cpu",
    ):
        self.init_scale = init_scale
        self.n_hidden = n_hidden
        self.loss = loss
        self.units = units
        self.init = init
        self.bias_scale = bias_scale
        self.balance = balance
        self.antisymmetric = antisymmetric
        self.skip_connection = skip_connection
        self.fit_intercept = fit_intercept
        self.activation = activation
        self.class_weight = class_weight
        self.solver = solver
        self.early_stopping = early_stopping
        self.log_loss_tol = log_loss_tol
        self.max_time = max_time
        self.rtol = rtol
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    # -- fitting -------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Follow the flow on training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of at least two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the losses. Only their ratios matter, but for ``temperature_``:
            whole numbers count as repetitions there.

        Returns
        -------
        self : ShallowReLUClassifier

        Raises
        ------
        ValueError
            If the data or the combination of parameters make no sense.
        FloatingPointError
            If steps of ``solver="gd"`` diverge.
        KeyboardInterrupt
            On Ctrl-C, after what was reached has been stored: the estimator is fitted.
        """
        X, y = validate_data(self, as_array(X), as_array(y), dtype=FLOATS)
        self._check_parameters()
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        classes, codes, weights = encode(y, weight, self.class_weight)
        random_state = check_random_state(self.random_state)
        data = X[weight > 0], codes, weights
        run = self._prepare(data, classes, random_state)
        watcher = self._watch(X, y, sample_weight)
        state = {"classes_": classes, "_single": len(classes) == 2}
        record = ScoreRecord(run.origin, self.units, self._factor, watcher, state)
        result = self._run(run, record, random_state)
        self._store(run, record, result, state)
        if watcher is not None:
            watcher.finish()
        self._report(result)
        return self

    @property
    def _factor(self):
        """What makes log odds of scores: the best exponential ones are half of them."""
        return link(self.loss)

    def _check_parameters(self):
        """Refuse combinations that could only be ignored."""
        self._refuse_descent_options()
        self._check_units()
        if self.loss in _SOFT_LOSSES and self.log_loss_tol is not None:
            raise ValueError(
                f"log_loss_tol is for losses that fall for ever; loss={self.loss!r} "
                "comes to rest. Use max_time, early_stopping, or another loss."
            )

    def _prepare(self, data, classes, random_state):
        """Return the `_Run`: anew, or from where the last fit stopped."""
        from skregimes.flows.score_training import ScoreTraining

        last = self._network if self.warm_start and self._fitted() else None
        if last is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start=True needs the classes of the last fit, "
                f"{self.classes_.tolist()}; got {classes.tolist()}."
            )
        samples = LabelledSamples.arrange(
            *data,
            center=self.fit_intercept and self.units == "relative",
            standardize=self.units == "relative",
            like=last and last.samples,
        )
        if last is None:
            hidden, output, bias_scale = self._draw(samples, random_state)
            unit, rate = self._unit(samples, hidden, output)
            relative = self.units == "relative"
            alpha = math.sqrt(self.init_scale * unit) if relative else self.init_scale
        else:
            self._check_restart(last, samples)
            hidden, output, bias_scale = last.hidden0, last.output0, last.bias_scale
            unit, rate, alpha = last.scale_unit, last.rate, last.alpha
        solver = "chebyshev" if self.solver == "auto" else self.solver
        columns = (self.skip_connection, self.fit_intercept)
        train = partial(
            _training, ScoreTraining, loss=self.loss, solver=solver, alpha=alpha,
            columns=columns, activation=self.activation, device=self.device,
        )  # fmt: skip
        training = train(samples, self.rtol)
        tail = np.zeros((samples.X.shape[1] + 1) * samples.Y.shape[1])
        start = np.append(initial_weights(hidden, output, alpha), tail)
        radius = training.pace(start, rate * alpha * alpha)
        self._check_sizes(alpha, radius)
        origin = ScoreNetwork(
            samples=samples,
            hidden0=hidden,
            output0=output,
            alpha=alpha,
            scale_unit=unit,
            rate=rate,
            time_unit=1 / radius if radius > 0 else 1.0,
            bias_scale=bias_scale,
            columns=columns,
            activation=self.activation,
            options=self._options(),
            theta=start if last is None else last.theta,
        )
        return _Run(train, origin, solver)

    def _unit(self, samples, hidden, output):
        """Return the unit of the scale's square, and the rate of the kernel.

        They are the regressor's, of the working responses.
        """
        from skregimes.flows.shallow_relu import Training

        target = Samples.build(
            samples.X, samples.Y, samples.weight, center=False, standardize=False
        )
        skip = affine_columns(target.X, self.skip_connection, self.fit_intercept)
        training = Training.build(
            target, skip, self.activation, hidden, output, self.device
        )
        unit, rate = training.units()
        return unit * target.y_unit / self._factor, rate

    # -- when to stop --------------------------------------------------------------

    def _run(self, run, record, random_state):
        """Follow the flow to where it is to stop."""
        origin = run.origin
        clock = math.log(origin.clock(self.units))
        log_time = math.inf
        if self.max_time is not None:
            log_time = math.log(self.max_time) + clock
        search, samples, watcher = None, origin.samples, record.watcher
        if self._stops_early(samples):
            log_time, search = self._held_out_time(run, log_time, random_state, watcher)
        elif watcher is not None:
            watcher.begin()
        level = self._level(search)
        at_once = log_time < math.log(origin.time_unit) + _LOG_AT_ONCE
        if at_once or self._starts_at_rest(samples):
            level = math.inf  # there is nothing to follow
        training = run.train(samples, self.rtol)
        record.aim(level, log_time, run.solver)
        result = self._follow(
            run, training, record, level, log_time, self.rtol, random_state
        )
        if search is not None and search.status in BROKEN:
            result = replace(result, status=search.status)
        return result

    def _stops_early(self, samples):
        if self.early_stopping != "auto":
            return self.early_stopping
        free = self.log_loss_tol is None and self.max_time is None
        return free and len(samples.X) >= LEAST_SAMPLES

    def _starts_at_rest(self, samples):
        """Return whether the intercept is all that there is to learn."""
        profiled = self.fit_intercept and self.loss in LOSSES
        return profiled and not np.ptp(samples.X, axis=0).any()

    def _level(self, search):
        """Return the log of the loss at which to stop."""
        if self.log_loss_tol is not None:
            return self.log_loss_tol
        bounded = search is not None or self.max_time is not None
        return -math.inf if bounded or self.loss in _SOFT_LOSSES else _LOG_LOSS_TOL

    def _follow(self, run, training, on_node, level, log_time, rtol, random_state):
        origin, options = run.origin, {}
        if run.solver == "gd":
            clock = origin.clock(self.units)
            options = {
                "learning_rate": self.learning_rate and self.learning_rate * clock,
                "batch_size": self.batch_size,
                "random_state": random_state,
            }
        with np.errstate(over="ignore"):
            bound = float(np.exp(log_time))
        return training.follow(
            origin.theta,
            log_loss=level,
            log_time=log_time,
            rtol=rtol,
            max_iter=self.max_iter,
            unit=origin.time_unit,
            nodes=node_times(origin.time_unit, bound),
            on_node=on_node,
            descends=run.solver == "gd",
            **options,
        )

    def _held_out_time(self, run, bound, random_state, watcher):
        """Return the log of the best time on held-out samples, and how flows ended."""
        samples = run.origin.samples
        parts = held_out_parts(samples.codes, self.validation_fraction, random_state)
        level = _LOG_LOSS_TOL if self.log_loss_tol is None else self.log_loss_tol
        rtol = min(ROUGH * self.rtol, 0.1)
        curves, worst = [], None
        if watcher is not None:
            watcher.begin(searches=len(parts))
        for number, held in enumerate(parts):
            trial = _Trial(run, held, rtol, self._factor, self._patience())
            if watcher is not None:
                clock = math.log(run.origin.clock(self.units))
                trial.tell = partial(
                    _tell, watcher, number, trial.patience, clock, bound,
                    Course(level, solver=run.solver, loss_power=0.5),
                )  # fmt: skip
            result = self._follow(
                trial.run, trial.training, trial, level, bound,
                rtol, random_state,
            )  # fmt: skip
            if result.status == "interrupted":
                return -math.inf, result
            if worst is None or result.status in BROKEN:
                worst = result
            curves.append(np.array(trial.curve))
        times = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
        scores = np.mean([np.interp(times, *curve.T) for curve in curves], axis=0)
        return float(times[np.argmin(scores)]), worst

    # -- what is known of a fit ----------------------------------------------------

    def _store(self, run, record, result, state):
        """Set the fitted attributes."""
        self._forget()
        for name, value in state.items():
            setattr(self, name, value)
        net = run.origin.at(result.theta)
        self._store_network(net)
        self.solver_ = run.solver
        self.n_iter_ = max(result.n_iter, 1)
        self.converged_ = result.status not in BROKEN
        self.trajectory_ = path = record.trajectory(result)
        self.log_time_, self.time_ = float(path.log_time[-1]), float(path.time[-1])
        self.log_loss_, self.loss_ = float(path.log_loss[-1]), float(path.loss[-1])
        self.temperature_ = net.temperature(self._factor)
        margins = Margins(net.samples.codes, len(self.classes_))
        self.margin_ = float(np.min(margins.of(net.scores(net.samples.X))))

    def _report(self, result):
        """Say what a user should know of how the fit ended."""
        if result.status == "interrupted":
            raise KeyboardInterrupt("fit was interrupted; what it reached is stored")
        if result.status == "diverged":
            raise FloatingPointError(
                "The loss blew up and the last finite state is kept; decrease "
                "learning_rate."
            )
        if result.status in ("max_iter", "stalled"):
            hint = {
                "max_iter": f"max_iter={self.max_iter} steps were not enough; increase "
                "it, or stop earlier by log_loss_tol or max_time",
                "stalled": "steps shrank below the resolution of float64; increase "
                "rtol, or stop earlier by log_loss_tol or max_time",
            }[result.status]
            warnings.warn(
                f"The flow did not end as asked: {hint}. It reached a log loss of "
                f"{self.log_loss_:.4g}.",
                ConvergenceWarning,
                stacklevel=4,
            )
        rests = result.status in ("stationary", "plateau")
        if rests and self.log_loss_tol is not None:
            warnings.warn(
                f"The flow came to rest at a log loss of {self.log_loss_:.6g}, before "
                f"it reached log_loss_tol={self.log_loss_tol}: the network cannot "
                "separate the classes.",
                UserWarning,
                stacklevel=4,
            )

    # -- answers -------------------------------------------------------------------

    def _log_odds(self, X):
        net = self._network
        scores = net.scores(net.scaled(X))
        return net.log_odds(scores, self._factor / self.temperature_)

    def _staged_log_odds(self, X, times):
        path = self.trajectory_
        stages = path.log_odds(X)
        if times is not None:
            with np.errstate(divide="ignore"):
                log_times = np.log(times)
            shape = (len(times), *stages.shape[1:])
            flat = stages.reshape(len(stages), -1)
            stages = interpolate_logs(path.log_time, flat, log_times).reshape(shape)
        yield from stages


class _Trial:
    """A flow of some samples, watched on the rest."""

    def __init__(self, run, held, rtol, factor, patience):
        samples = run.origin.samples
        part = samples.part(~held)
        self.held = samples.part(held)
        self.run = replace(run, origin=replace(run.origin, samples=part))
        self.training = run.train(part, rtol)
        self.factor = factor
        self.patience = Patience(patience, run.origin.time_unit)
        self.curve: list = []
        self.best = math.inf, 0.0
        self.tell = None

    def __call__(self, log_time, state, log_loss):
        """Take a point; a true answer stops the flow."""
        net = self.run.origin.at(state)
        log_odds = net.log_odds(
            net.scores(self.held.X), self.factor / net.temperature(self.factor)
        )
        log_p = log_probabilities(log_odds)[
            np.arange(len(self.held.codes)), self.held.codes
        ]
        score = -float(self.held.weight @ log_p)
        time = math.exp(min(log_time, 700.0))
        if time > 0:
            self.curve.append((log_time, score))
        if score < self.best[0]:
            self.best = score, time
        over = self.patience.over(time, math.exp(log_loss), self.best[1])
        stop = self.tell is not None and self.tell(log_time, log_loss)
        return over or (stop and len(self.curve) > 0)


def _tell(watcher, number, patience, clock, bound, course, log_time, log_loss):
    """Tell a watcher of a point of a flow that is followed for the time to stop."""
    log_unit = math.log(patience.unit)
    end = min(bound, log(patience.end)) - log_unit
    age = log_time - log_unit
    done = course(age, end, log_loss)
    return watcher.search(number, log_time - clock, age, done)


def _training(kind, samples, rtol, **options):
    """Return the `ScoreTraining` of labelled samples."""
    width = min(_KINK * rtol, _WIDEST)
    return kind.build(samples, samples.codes, samples.n_classes, width=width, **options)
