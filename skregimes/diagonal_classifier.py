"""Diagonal linear networks for classification: margins by scale and training loss."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property, partial
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._base import FlowEstimator
from skregimes._classification import ClassifierFace, encode
from skregimes._classifier_start import ClassifierStart, link
from skregimes._held_out import Search, held_out_curve
from skregimes._labelled import LEAST_SAMPLES, LabelledTable, held_out_parts
from skregimes._sklearn import Interval, StrOptions, check_sample_weight, fit_context
from skregimes._watch import POINTS_PER_DECADE, Course, Point
from skregimes.diagnostics import effective_sparsity
from skregimes.diagnostics.diagonal import diagonal_diagnostics, log_kernel_weights
from skregimes.flows.classifier import follow
from skregimes.flows.ending import BROKEN
from skregimes.flows.margin_loss import LOSSES
from skregimes.flows.trajectory import ClassifierTrajectory
from skregimes.limits.max_margin import max_margin
from skregimes.limits.potentials import DiagonalPotential

__all__ = ["DiagonalNetClassifier"]

_FLOATS = [np.float64, np.float32]
_TRAJECTORY_POINTS = 100
# A trajectory holds at most so many numbers.
_MOST_NUMBERS = 2**24
# How much less accurate such a flow may be: scores have far more noise.
_ROUGH, _ROUGHEST = 10.0, 0.05
# Where early_stopping=False and nothing else says when to stop: far beyond all other
# tools, and a matter of milliseconds.
_LOG_LOSS_TOL = -1e3
# All but this of the forces are carried by the support.
_UNSUPPORTED = 1e-3


class DiagonalNetClassifierFit(ClassifierFace, FlowEstimator):
    """What a fitted classifier answers, however it was chosen. Abstract."""

    _draws_its_start = False  # random_state is for held-out samples and batches

    def _log_odds(self, X):
        return self._scaled(X, self.coef_, self.intercept_, self.temperature_)

    def _staged_log_odds(self, X, times):
        path = self.trajectory_
        stages = (path.coef, path.intercept, path.temperature)
        if times is not None:
            stages = path.at(times)
        for stage in zip(*stages, strict=True):
            yield self._scaled(X, *stage)

    def _scaled(self, X, coef, intercept, temperature):
        scores = X @ coef.T + intercept
        if scores.shape[1] == 1:
            scores = scores[:, 0]
        return scores * (link(self.loss) / temperature)

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
        ndarray of shape (n_samples_X, n_samples_Y) or (n_classes, ...)
            Inner products of the gradients of the scores with respect to the weights;
            of features as the network sees them, centred if there is an intercept.
            Networks of different classes have no weights in common.

        Raises
        ------
        ValueError
            If ``at`` is unknown.
        """
        check_is_fitted(self)
        if at not in ("init", "end"):
            raise ValueError(f"at must be 'init' or 'end', got {at!r}.")
        net = self._network
        left, right = (
            (validate_data(self, as_array(A), dtype=_FLOATS, reset=False) - net.x_mean)
            / net.x_scale
            for A in (X, X if Y is None else Y)
        )
        kernels = np.array(
            [
                (left * np.exp(log_kernel_weights(net.potential, coef, at))) @ right.T
                for coef in net.coef
            ]
        )
        return kernels[0] if len(kernels) == 1 else kernels

    @cached_property
    def separable_(self):
        """Whether a hyperplane separates the classes, see the class docstring."""
        check_is_fitted(self)
        if self.margin_ > 0:
            return True
        if self._rested and not hasattr(self, "_labelled"):
            return False  # forces cancel: all but a proof, where the data are gone
        data = self._data()
        try:
            max_margin(data.X, data.codes, norm="l1", fit_intercept=self.fit_intercept)
        except ValueError:
            return False
        return True

    @cached_property
    def excess_l1_margin_(self):
        """Excess of the l1 norm per margin over the least possible."""
        return self._excess("l1", 1)

    @cached_property
    def excess_l2_margin_(self):
        """Excess of the l2 norm per margin over the least possible."""
        return self._excess("l2", 2)

    def _excess(self, norm, power):
        check_is_fitted(self)
        if self.margin_ <= 0:
            raise AttributeError(
                "The fit does not separate the classes, so it has no norm per margin. "
                "Train to a smaller loss (log_loss_tol), if separable_ is true."
            )
        data = self._data()
        best = max_margin(
            data.X, data.codes, norm=norm, fit_intercept=self.fit_intercept
        )
        size = np.linalg.norm((self._network.coef / self.margin_).ravel(), power)
        return float(size / best.value - 1)

    def _data(self):
        if not hasattr(self, "_labelled"):
            raise AttributeError(
                "This is computed from the training data, which is not pickled: ask "
                "for it before pickling."
            )
        return self._labelled

    def __dir__(self):
        # scikit-learn reads all attributes to list them: not these, unasked.
        lazy = {"excess_l1_margin_", "excess_l2_margin_", "separable_"}
        lazy -= vars(self).keys()
        names = [name for name in object.__dir__(self) if name not in lazy]
        return [name for name in names if hasattr(self, name)]

    def __getstate__(self):
        """Leave the training data out of pickles."""
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_labelled"}


class DiagonalNetClassifier(DiagonalNetClassifierFit):
    """Linear classification by gradient flow on a diagonal network.

    The score of a sample is ``f(x) = <beta, x> + b`` with ``beta = w_plus**depth -
    w_minus**depth`` elementwise, both halves started at ``alpha * init_shape`` and
    trained by gradient flow on the mean loss. Two classes have one such network, more
    have one each, trained together on the multiclass loss. Which separator the flow
    tends to is decided by the scale **and** by how far the training loss is pushed: a
    large scale gives the l2 max-margin separator until the loss is astronomically
    small, a small one soon gives that of sparse coefficients (l1 at depth 2).

    Parameters
    ----------
    init_scale : float, default=0.1
        Scale of the initialisation, the paper's ``alpha``. With ``units="relative"`` it
        is ``alpha**depth`` over what the data ask for while the loss is of order one.
        Where the loss is best for prediction, 30 had a richness of about 0.2, 1 of 0.7
        and 0.01 of 0.9 (0.98 at depth 3) on seven tables. It has no effect at
        ``depth=1``.

    depth : int, default=2
        Number of layers ``D >= 1``; 1 is plain logistic regression by gradient flow.
        At depth >= 3 smaller scales are greedier, and need not tend to the l1 margin.

    units : {"relative", "paper"}, default="relative"
        Units of ``init_scale`` and of times. With "relative" features are standardised
        inside and times are multiples of ``time_unit_``. With "paper" the scale is
        ``alpha``, time is that of ``dw/dt = -grad L``, and features are taken as they
        are. Either way `coef_` is in the units of the input.

    init_shape : array-like of shape (n_features,), default=None
        Positive shape of the initial weights, ``alpha * init_shape``; None is all ones.

    standardize : bool, default=None
        Whether the network sees features divided by their standard deviation; None
        means yes for ``units="relative"`` and no for "paper".

    loss : {"logistic", "exponential"}, default="logistic"
        Of the margins ``m_k``, by which the right class leads each wrong one: the
        cross-entropy ``log(1 + sum_k exp(-m_k))``, or ``sum_k exp(-m_k)``.

    fit_intercept : bool, default=True
        Fit intercepts, at every time those of least loss, as if they learnt infinitely
        faster than the weights. The separators that the flow tends to then have a free
        intercept; one that learnt at a finite rate would become ever smaller in
        comparison as the margins grow.

    class_weight : dict or "balanced", default=None
        Weights of the classes, which multiply those of the samples.

    solver : {"auto", "dual_mirror"}, default="auto"
        - "dual_mirror" follows the gradient flow itself, in the clock of its loss;
        - "auto" follows its zero-temperature limit from a loss of ``exp(-1e4)`` on: a
          sweeping process, in which only samples of least margin push. See
          ``sweep_error_``.

    early_stopping : "auto" or bool, default="auto"
        True stops at the time of the best log loss of samples held out,
        ``validation_fraction`` of each class, up to five such parts one after another
        while fewer than 1000 samples have been held out; all samples are then fitted to
        that time. The start counts as a time: where nothing on the way predicts better
        than the class frequencies, coefficients stay zero. False goes on to
        ``log_loss_tol`` or ``max_time``. "auto" is True from 20 distinct samples on, if
        ``log_loss_tol`` and ``max_time`` are None.

    log_loss_tol : float, default=None
        Natural logarithm of the training loss at which to stop, maybe -1e6, not below
        -1e200. None is no such level, or -1000 where nothing else would ever stop the
        flow (``early_stopping`` is off and ``max_time=None``).

    max_time : float, default=None
        Time at which to stop at the latest; None is no bound.

    tol : float, default=1e-9
        The flow is at rest where forces on the coefficients cancel to this share. It
        comes to rest on classes that overlap, at the coefficients of maximum
        likelihood (of least exponential loss).

    rtol : float, default=1e-3
        Relative error of the coefficients allowed in a step; the error of the result is
        usually smaller.

    max_iter : int, default=10_000
        Bound on the steps.

    validation_fraction : float, default=0.1
        Share of the samples held out, only with early stopping.

    n_iter_no_change : int, default=12
        Points in time, 12 a decade, without a better score after which the search for
        the time to stop gives up.

    random_state : int, RandomState instance or None, default=None
        Source of the held-out samples.

    verbose : int or bool, default=0
        Print a line for each decade of time that the flow passes, and beyond 12 decades
        for each of its logarithm.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients in the units of the input; float64, since they may be huge.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts; several sum to zero.
    margin_ : float
        Least margin of the training samples: positive if the fit separates them.
    log_loss_, loss_ : float
        Natural logarithm of the training loss, and the loss, which may underflow.
    temperature_ : float
        What scores are divided by to be log odds, at least 1. Scores of a separating
        fit grow without bound and are no probabilities. This is the least temperature
        at which the mean log loss of the ``n`` training samples is at least
        ``1 / (n + n_classes)``, as the rule of succession has it; 1 where training
        stopped before.
    separable_ : bool
        Whether a hyperplane separates the classes; if need be by a linear program, and
        then computed when asked for.
    support_ : ndarray of shape (n_support,)
        Samples that carry all but a thousandth of the forces: the support vectors.
    dual_coef_ : ndarray of shape (1, n_samples) or (n_classes, n_samples)
        Scaled dual variables: the link of ``init_shape**(depth - 2) * (dual_coef_ @
        X)``, of features as the network sees them, is the coefficient. They are the
        time integrals of the forces, times ``D (D - 2) alpha**(D - 2)``, 4 at depth 2.
    excess_l1_margin_, excess_l2_margin_ : float
        By what share the l1 and the l2 norm per margin, of the coefficients that the
        network sees, exceed the least possible; computed when asked for. An error where
        the fit does not separate the classes.
    sweep_error_ : float
        Relative distance between the flow and its sweeping limit, both per margin,
        where the limit took over; nan where it did not.
    richness_ : float
        0 in the kernel regime, 1 in the rich one: two minus the local degree of
        homogeneity of the potential that the scale selects.
    regime_ : str
        "kernel" (richness below 0.1), "transition" or "rich" (above 0.9).
    scale_ : float
        The relative scale, whatever ``units`` is.
    alpha_, scale_unit_, time_unit_ : float
        The raw scale, and the factors between relative and raw: ``alpha_**depth =
        scale_ * scale_unit_``, raw times are ``time_unit_`` times relative ones.
    log_time_, time_ : float
        When the flow stopped, in the units of ``units``: the logarithm, and the time,
        inf where it overflows.
    kernel_change_, kernel_alignment_ : float
        ``||K_T - K_0|| / ||K_0||`` of the tangent kernel on the training samples, in
        the Frobenius norm, and the cosine of the two kernels.
    weight_change_ : float
        ``||w_T - w_0|| / ||w_0||``.
    effective_sparsity_ : float
        ``(||beta||_1 / ||beta||_2)**2``, of the coefficients that the network sees.
    validation_curve_ : ndarray of shape (n_points, 2)
        Times and mean log losses of the held-out samples, only with early stopping.
    trajectory_ : ClassifierTrajectory
        About 100 points on the way, in the units of the input.
    solver_, n_iter_, converged_ : str, int, bool
        What ran, how many steps, and whether it ended as asked.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    DiagonalNetClassifierCV : Chooses the scale and the level of the loss.
    skregimes.limits.max_margin : The separators that flows tend to.

    References
    ----------
    Moroshko, Gunasekar, Woodworth, Lee, Srebro, Soudry, "Implicit Bias in Deep Linear
    Classification: Initialization Scale vs Training Accuracy", NeurIPS 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skregimes import DiagonalNetClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = DiagonalNetClassifier(random_state=0).fit(X, y)
    >>> print(round(model.score(X, y), 2), model.regime_)
    0.98 transition

    Losses that no float holds:

    >>> model = DiagonalNetClassifier(log_loss_tol=-1e5).fit(X[:100], y[:100])
    >>> print(f"{model.log_loss_:.0f} {model.loss_} {model.margin_ > 9e4}")
    -100000 0.0 True
    """

    _parameter_constraints: dict = {
        **{
            name: constraint
            for name, constraint in FlowEstimator._parameter_constraints.items()
            if name not in ("learning_rate", "batch_size", "warm_start", "device")
        },
        "depth": [Interval(Integral, 1, None, closed="left")],
        "init_shape": [None, "array-like"],
        "standardize": [None, "boolean"],
        "loss": [StrOptions(set(LOSSES))],
        "class_weight": [None, dict, StrOptions({"balanced"})],
        "solver": [StrOptions({"auto", "dual_mirror"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "log_loss_tol": [None, Interval(Real, -1e200, None, closed="left")],
    }

    def __init__(
        self,
        init_scale=0.1,
        *,
        depth=2,
        units="relative",
        init_shape=None,
        standardize=None,
        loss="logistic",
        fit_intercept=True,
        class_weight=None,
        solver="auto",
        early_stopping="auto",
        log_loss_tol=None,
        max_time=None,
        tol=1e-9,
        rtol=1e-3,
        max_iter=10_000,
        validation_fraction=0.1,
        n_iter_no_change=12,
        random_state=None,
        verbose=0,
    ):
        self.init_scale = init_scale
        self.depth = depth
        self.units = units
        self.init_shape = init_shape
        self.standardize = standardize
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.early_stopping = early_stopping
        self.log_loss_tol = log_loss_tol
        self.max_time = max_time
        self.tol = tol
        self.rtol = rtol
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.verbose = verbose

    # -- fitting -------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Follow the flow on training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of any type, at least two different ones.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples' losses. Only their ratios matter, but for the
            temperature: whole numbers count as repetitions there.

        Returns
        -------
        self : DiagonalNetClassifier

        Raises
        ------
        ValueError
            If the data or the combination of parameters make no sense.
        FloatingPointError
            If the flow leaves the resolution of float64; its state there is stored.
        KeyboardInterrupt
            On Ctrl-C, after what was reached has been stored: the estimator is fitted.
        """
        data, classes = self._prepare(X, y, sample_weight)
        watcher = self._watch(X, y, sample_weight)
        start = self._start(data)
        log_max_time = np.inf
        if self.max_time is not None:
            log_max_time = np.log(self.max_time) + start.clock
        search = None
        if self._stops_early(data):
            search = self._search(start, log_max_time, watcher)
            log_max_time = search.log_time
        elif watcher is not None:
            watcher.begin()
        level = self._level(search is not None)
        path, error = follow(
            start.problem(),
            self.solver,
            log_loss_tol=level,
            log_max_time=log_max_time,
            on_node=self._reporter(start, classes, watcher, level, log_max_time),
            **self._accuracy(),
        )
        if search is not None and search.status in BROKEN:
            path = replace(path, status=search.status)
        self._store(start, classes, path, error, search)
        if watcher is not None:
            watcher.finish()
        self._report(path)
        return self

    def _prepare(self, X, y, sample_weight):
        """Return the `LabelledTable`, and the labels; sets what validation sets."""
        X, y = validate_data(self, as_array(X), as_array(y), dtype=_FLOATS)
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        classes, codes, weights = encode(y, weight, self.class_weight)
        standardize = self.standardize
        if standardize is None:
            standardize = self.units == "relative"
        data = LabelledTable.build(
            X,
            weight > 0,
            codes,
            weights,
            center=self.fit_intercept,
            standardize=standardize,
        )
        return data, classes

    def _accuracy(self, rough=False):
        """Return options of the flow, of one followed for its held-out score alone."""
        rtol = min(_ROUGH * self.rtol, _ROUGHEST) if rough else self.rtol
        return {"tol": self.tol, "rtol": rtol, "max_iter": self.max_iter}

    def _start(self, data):
        """Return the network at its start, and its units."""
        shape = None
        if self.init_shape is not None:
            shape = self._checked_shape(data.X.shape[1])
        return ClassifierStart.build(
            data,
            self.init_scale,
            depth=self.depth,
            units=self.units,
            init_shape=shape,
            loss=self.loss,
            fit_intercept=self.fit_intercept,
        )

    def _checked_shape(self, n_features):
        shape = check_array(
            self.init_shape, ensure_2d=False, dtype=float, input_name="init_shape"
        )
        if shape.shape != (n_features,) or np.any(shape <= 0):
            raise ValueError(
                f"init_shape must be {n_features} positive numbers, one a feature; got "
                f"an array of shape {shape.shape} whose least entry is {shape.min():g}."
            )
        return shape

    def _stops_early(self, data):
        if self.early_stopping != "auto":
            return self.early_stopping
        free = self.log_loss_tol is None and self.max_time is None
        return free and len(data.codes) >= LEAST_SAMPLES

    def _level(self, bounded):
        """Return the log of the loss at which to stop; ``bounded`` flows need none."""
        if self.log_loss_tol is not None:
            return self.log_loss_tol
        bounded = bounded or self.max_time is not None
        return -np.inf if bounded else _LOG_LOSS_TOL

    def _search(self, start, log_max_time, watcher):
        """Return the `Search` for the best time on held-out samples."""
        random_state = check_random_state(self.random_state)
        curves = []
        parts = held_out_parts(start.data.codes, self.validation_fraction, random_state)
        if watcher is not None:
            watcher.begin(searches=len(parts))
        for number, held in enumerate(parts):
            tell = None
            if watcher is not None:
                course = Course(self._level(True), loss_power=0.0)
                tell = partial(self._tell, watcher, number, start, course, log_max_time)
            curves.append(
                held_out_curve(
                    start,
                    held,
                    np.log(10) * self.n_iter_no_change / POINTS_PER_DECADE,
                    tell,
                    log_loss_tol=self._level(True),
                    log_max_time=log_max_time,
                    **self._accuracy(rough=True),
                )
            )
            if curves[-1].status == "interrupted":
                break
        return Search.of(curves, log_max_time, start.clock)

    def _tell(self, watcher, number, start, course, log_max_time, log_end, node):
        """Tell the watcher of a step of a flow that is followed for its end."""
        age = node.log_time - start.log_unit
        end = min(log_end, log_max_time) - start.log_unit
        done = course(age, end, node.loss.log_loss)
        return watcher.search(number, node.log_time - start.clock, age, done)

    def _reporter(self, start, classes, watcher, level, log_max_time):
        """Return what the flow is to call at its steps, or None."""
        if watcher is None:
            return None
        course = Course(level, loss_power=0.0)

        def on_node(node):
            age, end = node.log_time - start.log_unit, log_max_time - start.log_unit
            log_time, log_loss = float(node.log_time - start.clock), node.loss.log_loss
            point = Point.of_logs(
                log_time,
                float(log_loss),
                lambda: start.potential.richness(node.coef),
                lambda: diagonal_diagnostics(start.potential, node.coef, start.rows)[
                    "kernel_change"
                ],
            )
            state = lambda: {
                **self._answers(start, classes, node), "log_time_": log_time
            }  # fmt: skip
            return watcher(point, age, course(age, end, log_loss), state)

        return on_node

    # -- what is known of a fit ----------------------------------------------------

    def _store(self, start, classes, path, error, search):
        """Set the fitted attributes."""
        data, problem, node = start.data, start.problem(), path.nodes[-1]
        dual = data.of_samples(problem.dual_of_samples(node))
        if self.depth > 2 and self.init_shape is not None:
            # The flow scales duals by the largest rate, which belongs to this shape.
            dual *= np.max(self.init_shape) ** (2.0 - self.depth)
        trajectory = self._trajectory(start, path)
        scores = diagonal_diagnostics(start.potential, node.coef, start.rows)
        log_scale = self.depth * start.log_alpha - np.log(start.scale_unit)
        found = {
            **self._answers(start, classes, node),
            **{f"{name}_": value for name, value in scores.items()},
            "_labelled": data,
            "_rested": path.status == "stationary",
            "_network": _Network(
                start.potential, node.coef, data.table.x_mean, data.table.x_scale
            ),
            "solver_": "dual_mirror" if np.isnan(error) else "sweeping",
            "sweep_error_": error,
            "n_iter_": max(path.n_iter, 1),
            "converged_": path.status not in BROKEN,
            "alpha_": float(np.exp(start.log_alpha)),
            "scale_": float(np.exp(log_scale)),
            "scale_unit_": float(start.scale_unit),
            "time_unit_": float(np.exp(start.log_unit)),
            "trajectory_": trajectory,
            "log_time_": float(trajectory.log_time[-1]),
            "time_": float(trajectory.time[-1]),
            "dual_coef_": dual,
            "support_": data.samples_of(_support(node)),
            "richness_": start.potential.richness(node.coef),
            "effective_sparsity_": effective_sparsity(node.coef.ravel()),
        }
        if search is not None:
            found["validation_curve_"] = search.curve
        # All at once, lest an interruption leave half of them.
        self._forget()
        self.__dict__.update(found)

    def _answers(self, start, classes, node):
        """Return the attributes that predict, of a node of the flow."""
        coef, intercept = start.in_input_units(node)
        return {
            "classes_": classes,
            "coef_": coef,
            "intercept_": intercept,
            "temperature_": start.temperature(node),
            "margin_": float(node.loss.margins.min()),
            "log_loss_": node.loss.log_loss,
            "loss_": float(np.exp(node.loss.log_loss)),
        }

    def _trajectory(self, start, path):
        most = max(2, min(_TRAJECTORY_POINTS, _MOST_NUMBERS // path.nodes[0].coef.size))
        places = np.linspace(0, len(path.nodes) - 1, min(len(path.nodes), most))
        nodes = [path.nodes[i] for i in np.unique(places.astype(int))]
        pairs = [start.in_input_units(node) for node in nodes]
        return ClassifierTrajectory(
            log_time=np.array([node.log_time for node in nodes]) - start.clock,
            log_loss=np.array([node.loss.log_loss for node in nodes]),
            margin=np.array([node.loss.margins.min() for node in nodes]),
            richness=np.array([start.potential.richness(n.coef) for n in nodes]),
            temperature=np.array([start.temperature(node) for node in nodes]),
            coef=np.array([coef for coef, _ in pairs]),
            intercept=np.array([intercept for _, intercept in pairs]),
        )

    def _report(self, path):
        """Say what a user should know of how the fit ended."""
        if path.status == "interrupted":
            raise KeyboardInterrupt("fit was interrupted; what it reached is stored")
        if path.status == "stalled":
            raise FloatingPointError(
                f"Beyond a log loss of {self.log_loss_:.6g} the flow needs steps below "
                "the resolution of float64; the estimator holds its state there. Use a "
                "larger init_scale, rtol or log_loss_tol, or units='relative'."
            )
        if path.status == "max_iter":
            warnings.warn(
                f"A flow did not end within max_iter={self.max_iter} steps. Increase "
                f"max_iter or rtol (now {self.rtol}), or stop it earlier by "
                "log_loss_tol or max_time.",
                ConvergenceWarning,
                stacklevel=4,
            )
        if path.status == "stationary" and self.log_loss_tol is not None:
            warnings.warn(
                f"The flow came to rest at the log loss {self.log_loss_:.6g}, before "
                f"log_loss_tol={self.log_loss_tol}: the classes overlap, if separable_ "
                f"is False, or else tol={self.tol} is too large.",
                UserWarning,
                stacklevel=4,
            )


@dataclass(frozen=True, eq=False)
class _Network:
    """What the estimator keeps of its networks, in the units in which they live."""

    potential: DiagonalPotential
    coef: np.ndarray
    x_mean: np.ndarray
    x_scale: np.ndarray


def _support(node):
    """Return the distinct samples that carry all but a share of the forces."""
    force = np.abs(node.loss.force).max(axis=1)
    order = np.argsort(-force, kind="stable")
    carried = np.cumsum(force[order])
    count = np.searchsorted(carried, (1 - _UNSUPPORTED) * carried[-1]) + 1
    return order[:count]
