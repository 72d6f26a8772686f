"""Regression by shallow networks: from smooth splines to broken lines by the scale."""

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._base import effective_samples
from skregimes._relu_network import (
    Network,
    Patience,
    Record,
    affine_columns,
    initial_weights,
)
from skregimes._samples import Samples
from skregimes._sklearn import StrOptions, check_sample_weight, fit_context
from skregimes._watch import Course, log
from skregimes.flows.ending import BROKEN
from skregimes.flows.stopping import GCV
from skregimes.flows.trajectory import interpolate
from skregimes.kernels import curvature_weight
from skregimes.shallow_relu._face import (
    FLOATS,
    ROUGH,
    ShallowReLUEstimator,
    node_times,
)

__all__ = ["ShallowReLURegressor"]


@dataclass(frozen=True, eq=False)
class _Run:
    """A flow to be followed: on what, from where, and by which solver."""

    training: object
    origin: Network
    solver: str


class ShallowReLURegressor(MultiOutputMixin, RegressorMixin, ShallowReLUEstimator):
    """Regression by gradient flow on a network with one hidden ReLU layer.

    The network is ``f(x) = sum_j c_j relu(a_j . x - b_j) + u . x + v``, trained by
    gradient flow on the mean squared error over two. Its units start at ``(a_j, b_j) =
    alpha / sqrt(n_hidden) * (w_j, beta_j)`` with random ``w`` and ``beta``. A large
    scale ``alpha`` gives the kernel regime: in one dimension a natural cubic spline, in
    several a polyharmonic one. A small scale gives the rich, adaptive regime: in one
    dimension a broken line with few knots, in several a function of few directions.

    Parameters
    ----------
    init_scale : float, default=1.0
        Scale of the initialisation. With ``units="relative"`` it is ``alpha**2`` over
        what the data ask for: 1 is the middle of the transition for every table and
        width, 30 is kernel, 0.01 is rich. With "paper" it is ``alpha``.

    n_hidden : int, default=300
        Number of hidden units. The regime does not depend on it. In the kernel regime
        a network with fewer units than samples cannot interpolate.

    units : {"relative", "paper"}, default="relative"
        Units of ``init_scale`` and of times. With "relative" features are standardised
        and scaled into the unit ball inside, times are multiples of ``time_unit_``,
        the fastest time of the start, and fitting ``c * y`` gives ``c`` times the
        function. With "paper" time is that of ``dtheta/dt = -grad L`` and features are
        taken as they are.

    init : {"stratified", "uniform", "gaussian", "uniform_pair"} or tuple of arrays, \
default="stratified"
        Law of the units at unit scale. "uniform": ``w`` uniform on the sphere, ``beta``
        uniform on ``[-bias_scale, bias_scale]``. "stratified": the same law with evenly
        spread biases, nearer to the limit of infinite width. "gaussian": both normal,
        ``beta`` of deviation ``bias_scale``. "uniform_pair": all ``w`` uniform on
        [-1, 1], ``beta`` as in "uniform". Or the arrays ``w (n_hidden, n_features)``
        and ``beta (n_hidden,)``, of features as the network sees them.

    bias_scale : float, default=None
        Scale of the biases; None is the largest norm of a training sample as the
        network sees it, so that kinks cover the data: 1 for relative units.

    balance : float, default=0.0
        Size of the initial output weights, ``|c_j| = balance * |(a_j, b_j)|`` with
        random signs. Zero is the law of the theory of splines. With 1 the layers are
        balanced, and kinks appear at the samples even in the kernel regime.

    antisymmetric : bool, default=True
        Whether units come in pairs with opposite output weights, so that the network is
        zero at its start. Without ``balance`` it is zero anyway.

    skip_connection : bool, default=True
        Whether there is a linear part ``u . x``, which learns infinitely faster than
        the units. With it the limits are splines exactly. With hardly more samples than
        features it fits them all, and nothing is left for the units: then say False.

    fit_intercept : bool, default=True
        Whether there is an intercept ``v``, learning infinitely faster; if not,
        features and targets are not centred either.

    activation : {"relu", "abs", "leaky_relu"}, default="relu"
        Activation of the units; the leaky ReLU has slope 0.01 below zero.

    solver : {"auto", "exponential", "krylov", "chebyshev", "gd"}, default="auto"
        - "exponential" follows the flow in the eigenbasis of the tangent kernel's Gram
          matrix, with kinks that slide along samples: few steps, however stiff;
        - "krylov" does so on a Krylov space, without the Gram matrix; for many samples
          away from the kernel regime;
        - "chebyshev" is a stabilised explicit Runge-Kutta method: for any number of
          samples; it resolves sliding kinks by small steps;
        - "gd" runs the discrete algorithm, which ends somewhere else than the flow by
          an amount proportional to ``learning_rate``;
        - "auto" takes "exponential" up to 1000 different samples (times targets), where
          an eigendecomposition costs less than the gradients it saves, and "chebyshev"
          beyond.

    early_stopping : {"auto", "gcv"} or bool, default="auto"
        When to stop: "gcv" at the minimum of generalised cross-validation with the
        degrees of freedom that the tangent kernels on the way give, exact in the kernel
        regime, only for "exponential"; True at the best score on a
        ``validation_fraction`` held out, followed by a fit of everything to that time;
        False at ``tol``, at ``max_time``, or where the flow comes to rest. "auto" takes
        "gcv" where it can, else True.

    max_time : float, default=None
        Time at which to stop at the latest; None is no bound.

    tol : float, default=1e-8
        Stop when the loss falls below ``tol`` times its start.

    rtol : float, default=1e-3
        Error of the function on the training set allowed in a step, relative to the
        target: about the error of the result. Not for "gd". The flow that held-out
        samples watch to choose the time may err by ten times as much.

    max_iter : int, default=100_000
        Bound on the steps.

    validation_fraction : float, default=0.1
        Share of the samples held out, only where held-out samples are used.

    n_iter_no_change : int, default=8
        Points in time, 12 a decade, without a better score after which the search for
        the time to stop gives up.

    learning_rate : float, default=None
        Step of ``solver="gd"`` in the units of times, so that with relative units 2 is
        where the start becomes unstable; None adapts a safe one.

    batch_size : int, default=None
        Samples in a step of ``solver="gd"``; None is all of them. The affine part is
        always that of all samples.

    warm_start : bool, default=False
        Go on from the weights at which the previous fit stopped, with its units.

    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, held-out samples and mini batches.

    verbose : int or bool, default=0
        Print a line for each decade of time.

    device : str, default="cpu"
        Where the flow runs, a torch device.

    Attributes
    ----------
    coefs_ : list of ndarray, of shapes (n_features, n_hidden), (n_hidden, n_targets)
        Weights of the two layers, for features and targets in the units of the input;
        with ``units="paper"`` the very weights that flow.
    intercepts_ : list of ndarray, of shapes (n_hidden,), (n_targets,)
        Biases of the two layers: the first is ``-b``.
    skip_coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients of the linear part, zero without ``skip_connection``.
    richness_ : float
        ``||K_T - K_0|| / (||K_T|| + ||K_0||)`` of the tangent kernel on at most 256
        training samples, without the affine part: 0 in the kernel regime, 1 in the rich
        one, whatever the width.
    regime_ : str
        "kernel" (richness below 0.1), "transition" or "rich" (above 0.9).
    kernel_change_, kernel_alignment_, weight_change_ : float
        ``||K_T - K_0|| / ||K_0||``, cosine of the kernels, and ``||theta_T - theta_0||
        / ||theta_0||``.
    pattern_change_ : float
        Fraction of the pairs of unit and sample that were switched on or off.
    scale_ : float
        The relative scale, whatever ``units`` is.
    alpha_, scale_unit_, time_unit_ : float
        The raw scale, and the factors between relative and raw: ``alpha_**2 = scale_ *
        scale_unit_``; raw times are ``time_unit_`` times relative ones.
    time_ : float
        When the flow stopped, in the units of ``units``.
    loss_ : float
        Training loss, half the weighted mean of squared residuals, summed over targets.
    df_, gcv_ : float
        Degrees of freedom, the affine part's included, and the score minimised; only
        where generalised cross-validation stopped the flow.
    linearization_gap_ : float
        Distance to the linearised network at the same time, root mean square over the
        training set in units of the target's; computed when asked for. After a warm
        start, the network linearised where that began.
    knots_, slope_changes_ : ndarray of shape (n_knots,), (n_knots,) or (n_knots, \
n_targets)
        One feature only: where the function bends, and by how much. Knots closer than
        1e-6 of the range are merged.
    total_variation_ : float or ndarray of shape (n_targets,)
        One feature only: total variation of the slope, the sum of sizes of the changes.
    trajectory_ : NetworkTrajectory
        At most about 12 points a decade on the way.
    solver_, n_iter_, converged_ : str, int, bool
        What ran, how many steps, and whether it ended as asked. The number of steps of
        "exponential" is itself a measure of richness: few in the kernel regime.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    InitScaleSearchCV : Chooses the scale and the time by cross-validation.
    skregimes.limits.curvature_spline : The kernel limit in one dimension.
    skregimes.limits.polyharmonic_limit : The kernel limit in several.

    Notes
    -----
    Samples at the same place are merged, which changes nothing. All targets share the
    hidden layer, so targets of different sizes should be standardised, as by
    `sklearn.compose.TransformedTargetRegressor`.

    References
    ----------
    Williams, Trager, Silva, Panozzo, Zorin, Bruna, "Gradient Dynamics of Shallow
    Univariate ReLU Networks", NeurIPS 2019.

    Jin, Montufar, "Implicit Bias of Gradient Descent for Mean Squared Error Regression
    with Two-Layer Wide Neural Networks", JMLR 2023.

    Examples
    --------
    >>> from skregimes import ShallowReLURegressor
    >>> from skregimes.datasets import make_curve
    >>> X, y = make_curve("kinky", 60, noise=0.1, random_state=0)
    >>> model = ShallowReLURegressor(0.03, random_state=0).fit(X, y)
    >>> print(model.regime_, round(model.score(X, y), 2))
    rich 0.99
    """

    _parameter_constraints: dict = {
        **ShallowReLUEstimator._parameter_constraints,
        "solver": [StrOptions({"auto", "exponential", "krylov", "chebyshev", "gd"})],
        "early_stopping": ["boolean", StrOptions({"auto", "gcv"})],
    }

    def __init__(
        self,
        init_scale=1.0,
        *,
        n_hidden=300,
        units="relative",
        init="stratified",
        bias_scale=None,
        balance=0.0,
        antisymmetric=True,
        skip_connection=True,
        fit_intercept=True,
        activation="relu",
        solver="auto",
        early_stopping="auto",
        max_time=None,
        tol=1e-8,
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
        self.units = units
        self.init = init
        self.bias_scale = bias_scale
        self.balance = balance
        self.antisymmetric = antisymmetric
        self.skip_connection = skip_connection
        self.fit_intercept = fit_intercept
        self.activation = activation
        self.solver = solver
        self.early_stopping = early_stopping
        self.max_time = max_time
        self.tol = tol
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
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets; they share the hidden layer.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the squared errors. Only their ratios matter, but for generalised
            cross-validation: whole numbers count as repetitions there.

        Returns
        -------
        self : ShallowReLURegressor

        Raises
        ------
        ValueError
            If the data or the combination of parameters make no sense.
        FloatingPointError
            If steps of ``solver="gd"`` diverge.
        KeyboardInterrupt
            On Ctrl-C, after what was reached has been stored: the estimator is fitted.
        """
        X, y = validate_data(
            self,
            as_array(X),
            as_array(y),
            dtype=FLOATS,
            multi_output=True,
            y_numeric=True,
        )
        self._check_parameters()
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        self._single = y.ndim == 1
        data = (X, y.reshape(len(y), -1), weight)
        random_state = check_random_state(self.random_state)
        run = self._prepare(data, random_state)
        watcher = self._watch(X, y, sample_weight)
        record, result = self._run(run, data, random_state, watcher)
        self._store(run, record, result)
        if watcher is not None:
            watcher.finish()
        self._report(run, result)
        return self

    def _check_parameters(self):
        """Refuse combinations that could only be ignored."""
        self._refuse_descent_options()
        if self.early_stopping == "gcv" and self.solver not in ("auto", "exponential"):
            raise ValueError(
                f"solver={self.solver!r} has no degrees of freedom for "
                "early_stopping='gcv'; use early_stopping=True or False, or "
                "solver='exponential'."
            )
        if self.warm_start and self.early_stopping == "gcv":
            raise ValueError(
                "early_stopping='gcv' cannot count the degrees of freedom of earlier "
                "fits; with warm_start=True use early_stopping=True or False."
            )
        self._check_units()

    def _prepare(self, data, random_state):
        """Return the `_Run`: anew, or from where the last fit stopped."""
        last = self._network if self.warm_start and self._fitted() else None
        samples = self._samples(data, like=last and last.samples)
        if last is None:
            hidden, output, bias_scale = self._draw(samples, random_state)
        else:
            self._check_restart(last, samples)
            hidden, output, bias_scale = last.hidden0, last.output0, last.bias_scale
        columns = (self.skip_connection, self.fit_intercept)
        training = _training(
            samples, columns, self.activation, hidden, output, self.device
        )
        if last is None:
            unit, rate = training.units()
            if self.units == "relative":
                alpha = math.sqrt(self.init_scale * unit)
            else:
                alpha = self.init_scale / math.sqrt(samples.y_unit)
        else:
            unit, rate, alpha = last.scale_unit, last.rate, last.alpha
        start = initial_weights(hidden, output, alpha)
        radius = rate * alpha * alpha + training.growth(start)
        self._check_sizes(alpha, radius)
        if last is not None:
            start = last.theta
        solver = self.solver
        if solver == "auto":
            from skregimes.flows.shallow_relu import natural_solver

            solver = natural_solver(training.n_values)
        origin = Network(
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
            theta=start,
        )
        return _Run(training, origin, solver)

    def _samples(self, data, like=None):
        return Samples.build(
            *data,
            center=self.fit_intercept and self.units == "relative",
            standardize=self.units == "relative",
            like=like,
        )

    def _stopping(self, solver):
        """Return how to stop: "gcv", True or False."""
        if self.early_stopping != "auto":
            return self.early_stopping
        return "gcv" if solver == "exponential" and not self.warm_start else True

    def _run(self, run, data, random_state, watcher):
        """Follow the flow to where it is to stop; return its record and result."""
        origin, stopping = run.origin, self._stopping(run.solver)
        if stopping == "gcv" and run.solver != "exponential":
            raise ValueError(
                f"early_stopping='gcv' needs the Gram matrix of {run.training.n_values}"
                " values, which is too large; use early_stopping=True or False, or "
                "solver='exponential'."
            )
        bound, tol = math.inf, self.tol
        if self.max_time is not None:
            bound = self.max_time * origin.clock(self.units)
        gcv = search = None
        if stopping == "gcv":
            n_samples = effective_samples(data[2]) * data[1].shape[1]
            gcv = GCV(n_samples, False, self._patience())
        if watcher is not None:
            watcher.begin(searches=int(bool(stopping) and gcv is None))
        if stopping and gcv is None:
            bound, search = self._held_out_time(run, data, random_state, bound, watcher)
            tol = 0.0
        course = Course(log(tol), relative=True, solver=run.solver)
        record = Record(origin, self.units, gcv, watcher, course, bound)
        degrees = gcv is not None
        result = self._follow(
            run, record, bound, tol, self.rtol, random_state, degrees=degrees
        )
        if search is not None and search.status in BROKEN:
            result = replace(result, status=search.status, message=search.message)
        return record, record.close(result)

    def _follow(self, run, on_node, bound, tol, rtol, random_state, **options):
        if run.solver == "gd":
            clock = run.origin.clock(self.units)
            options |= {
                "learning_rate": self.learning_rate and self.learning_rate * clock,
                "batch_size": self.batch_size,
                "random_state": random_state,
            }
        return run.training.follow(
            run.origin.theta,
            run.solver,
            max_time=bound,
            rtol=rtol,
            tol=tol,
            max_iter=self.max_iter,
            nodes=node_times(run.origin.time_unit, bound),
            on_node=on_node,
            **options,
        )

    def _held_out_time(self, run, data, random_state, bound, watcher):
        """Return the best time on held-out samples, and how a flow on the others ended.

        Time zero if that flow was interrupted.
        """
        X, Y, weight = data
        used = np.flatnonzero(weight > 0)
        n_held = int(np.ceil(self.validation_fraction * len(used)))
        if n_held >= len(used):
            raise ValueError(
                f"early_stopping=True with validation_fraction="
                f"{self.validation_fraction} leaves none of the {len(used)} samples to "
                "train on; use early_stopping='gcv' or False."
            )
        train, held = train_test_split(
            used, test_size=n_held, random_state=random_state
        )
        origin = run.origin
        part = self._samples((X[train], Y[train], weight[train]), like=origin.samples)
        origin = replace(origin, samples=part)
        training = _training(
            part,
            origin.columns,
            self.activation,
            origin.hidden0,
            origin.output0,
            self.device,
        )
        patience = Patience(self._patience(), origin.time_unit)
        best, best_time = math.inf, 0.0
        course = Course(log(self.tol), relative=True, solver=run.solver)
        unit, clock = origin.time_unit, origin.clock(self.units)

        def on_node(time, theta, loss):
            nonlocal best, best_time
            error = Y[held] - origin.at(theta).predict(X[held])
            score = float(weight[held] @ np.sum((error / origin.y_unit) ** 2, axis=1))
            if score < best:
                best, best_time = score, time
            over = patience.over(time, loss, best_time)
            if watcher is None:
                return over
            age, end = log(time / unit), log(min(bound, patience.end) / unit)
            done = course(age, end, log(loss))
            return watcher.search(0, log(time / clock), age, done) or over

        part_run = _Run(training, origin, run.solver)
        rtol = ROUGH * self.rtol
        result = self._follow(part_run, on_node, bound, self.tol, rtol, random_state)
        return 0.0 if result.status == "interrupted" else best_time, result

    # -- what is known of a fit ----------------------------------------------------

    def _store(self, run, record, result):
        """Set the fitted attributes."""
        self._forget()
        net = run.origin.at(result.theta)
        self._store_network(net)
        self.solver_ = run.solver
        self.n_iter_ = result.n_iter
        self.converged_ = result.status not in BROKEN
        self.time_ = result.time / net.clock(self.units)
        self.loss_ = net.raw_loss(result.loss)
        for name, value in record.scores.items():
            setattr(self, name, value)
        self.trajectory_ = record.trajectory()

    def _report(self, run, result):
        """Say what a user should know of how the fit ended."""
        if result.status == "interrupted":
            raise KeyboardInterrupt("fit was interrupted; what it reached is stored")
        if result.status == "diverged":
            raise FloatingPointError(result.message)
        samples = run.origin.samples
        n_columns = np.dot(run.origin.columns, (samples.X.shape[1], 1))
        if 1 < len(samples.X) <= n_columns and run.training.problem.target_norm == 0:
            warnings.warn(
                "The affine part fits all samples, so the hidden units learn nothing. "
                "Use skip_connection=False, or more samples than features.",
                UserWarning,
                stacklevel=4,
            )
        if result.status in ("max_iter", "stalled"):
            warnings.warn(
                f"The flow did not end as asked. {result.message}",
                ConvergenceWarning,
                stacklevel=4,
            )

    @cached_property
    def linearization_gap_(self):
        """Distance to the linearised network at the same time."""
        from skregimes.flows.shallow_relu import MAX_GRAM

        check_is_fitted(self)
        net = self._network
        if net.samples.Y.size > MAX_GRAM:
            raise AttributeError(
                f"The linearised network needs a Gram matrix of {net.samples.Y.size} "
                f"values; more than {MAX_GRAM} are too many."
            )
        training = _training(
            net.samples,
            net.columns,
            net.activation,
            net.hidden0,
            net.output0,
            "cpu",
        )
        time = self.time_ * net.clock(net.options["units"])
        start = self.trajectory_.theta[0]
        return training.linearization_gap(start, net.theta, time)

    # -- answers -------------------------------------------------------------------

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
        """
        check_is_fitted(self)
        X = validate_data(self, as_array(X), dtype=FLOATS, reset=False)
        return self._shaped(self._network.predict(X), X.dtype)

    def staged_predict(self, X, times=None):
        """Predict along the recorded trajectory.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        times : array-like of shape (n_times,), default=None
            Times in the units of ``time_``; None is those of ``trajectory_``. Between
            recorded points predictions are interpolated in log time; times beyond the
            end are answered by the end.

        Yields
        ------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predictions at one time.

        Raises
        ------
        ValueError
            If a time is negative or nan.
        """
        check_is_fitted(self)
        X = validate_data(self, as_array(X), dtype=FLOATS, reset=False)
        path = self.trajectory_
        stages = np.array([self._network.at(theta).predict(X) for theta in path.theta])
        if times is not None:
            times = np.atleast_1d(np.asarray(times, dtype=float))
            if not np.all(times >= 0):
                raise ValueError("Times must be non-negative numbers.")
            shape = (len(times), *stages.shape[1:])
            flat = interpolate(path.time, stages.reshape(len(stages), -1), times)
            stages = flat.reshape(shape)
        for stage in stages:
            yield self._shaped(stage, X.dtype)

    def _shaped(self, values, dtype):
        values = values[:, 0] if self._single else values
        return values.astype(dtype, copy=False)

    def curvature_penalty(self, x):
        """Return what the kernel regime charges for curvature at places of the line.

        With a skip connection and zero initial output weights, the function at which
        a wide network's flow ends in the kernel regime minimises ``int f''(x)**2 *
        penalty(x) dx`` among those through the data.

        Parameters
        ----------
        x : array-like of shape (n_points,)
            Places, in the units of the input.

        Returns
        -------
        ndarray of shape (n_points,)
            The penalty, ``1 / zeta`` of the initial law at the network's scale; inf
            where no unit can bend.

        Raises
        ------
        AttributeError
            If there are several features, or ``init`` is not a law.
        """
        check_is_fitted(self)
        net = self._network
        law = net.options["init"]
        if self.n_features_in_ != 1 or isinstance(law, tuple):
            raise AttributeError(
                "curvature_penalty needs one feature and init one of the laws."
            )
        zeta = curvature_weight(
            law="uniform" if law == "stratified" else law,
            bias_scale=net.bias_scale,
            activation=net.activation,
        )
        scale = net.samples.x_scale[0]
        place = (np.asarray(x, dtype=float) - net.samples.x_shift[0]) / scale
        with np.errstate(divide="ignore"):
            return scale**3 / (self.alpha_**2 * zeta(place))

    def __dir__(self):
        # scikit-learn reads all attributes to list them: not this one, unasked.
        lazy = {"linearization_gap_"} - vars(self).keys()
        names = [name for name in object.__dir__(self) if name not in lazy]
        return [name for name in names if hasattr(self, name)]


def _training(samples, columns, activation, hidden, output, device):
    """Return the `Training` of a network; imports torch."""
    from skregimes.flows.shallow_relu import Training

    skip = affine_columns(samples.X, *columns)
    return Training.build(samples, skip, activation, hidden, output, device)
