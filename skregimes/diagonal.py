"""Diagonal linear networks: sparse or ridge-like regression by the initial scale."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._base import (
    FlowEstimator,
    LinearTable,
    effective_samples,
)
from skregimes._sklearn import Interval, StrOptions, check_sample_weight, fit_context
from skregimes._watch import POINTS_PER_DECADE, Course, Point, log
from skregimes.diagnostics import effective_sparsity
from skregimes.diagnostics.diagonal import diagonal_diagnostics, log_kernel_weights
from skregimes.flows.diagonal import DiagonalProblem, descend, solve
from skregimes.flows.rows import Rows
from skregimes.flows.stopping import GCV
from skregimes.flows.trajectory import Trajectory
from skregimes.flows.units import log_alphas, scale_unit
from skregimes.limits import min_l1_norm, min_l2_norm

__all__ = ["DiagonalNetRegressor"]

_FLOATS = [np.float64, np.float32]
_BROKEN = {"max_iter", "stalled", "interrupted"}


class DiagonalNetFit(MultiOutputMixin, RegressorMixin, FlowEstimator):
    """What a fitted diagonal network answers, however it was chosen. Abstract."""

    _draws_its_start = False  # random_state is for held-out samples and batches

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
        X = validate_data(self, as_array(X), dtype=_FLOATS, reset=False)
        return X @ self.coef_.T + self.intercept_

    def staged_predict(self, X, times=None):
        """Predict along the recorded trajectory.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        times : array-like of shape (n_times,), default=None
            Times in the units of ``time_``; None is those of ``trajectory_``. Several
            targets need times, since each has a clock of its own.

        Yields
        ------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predictions at one time.
        """
        check_is_fitted(self)
        X = validate_data(self, as_array(X), dtype=_FLOATS, reset=False)
        if self._single:
            trajectory = self.trajectory_
            times = trajectory.time if times is None else times
            for coef, intercept in zip(*trajectory.at(times), strict=True):
                yield (X @ coef + intercept).astype(X.dtype, copy=False)
            return
        if times is None:
            raise ValueError("With several targets, staged_predict needs times.")
        stages = [trajectory.at(times) for trajectory in self.trajectory_]
        for i in range(len(np.atleast_1d(times))):
            stage = np.column_stack([X @ coef[i] + b[i] for coef, b in stages])
            yield stage.astype(X.dtype, copy=False)

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
        ndarray of shape (n_samples_X, n_samples_Y) or (n_targets, ...)
            Inner products of the gradients of the output, in the units of y, with
            respect to the weights; of features as the network sees them, centred if
            there is an intercept.

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
        kernels = []
        for j, (potential, coef) in enumerate(
            zip(net.potentials, net.coefs, strict=True)
        ):
            # Weights of a network for targets of size one, brought to those of y.
            power = 2 * (potential.depth - 1) / potential.depth
            log = log_kernel_weights(potential, coef, at) + power * np.log(
                net.y_unit[j]
            )
            kernels.append((left * np.exp(log)) @ right.T)
        return kernels[0] if self._single else np.array(kernels)

    @cached_property
    def excess_l1_(self):
        """Excess of the l1 norm over the least possible, see the class docstring."""
        return self._excess(min_l1_norm, 1)

    @cached_property
    def excess_l2_(self):
        """Excess of the squared l2 norm over the least possible."""
        return self._excess(min_l2_norm, 2)

    def _excess(self, least_norm, power):
        check_is_fitted(self)
        if not hasattr(self, "_rows"):
            raise AttributeError(
                "The excess norms are computed from the training data, which is not "
                "pickled: ask for excess_l1_ and excess_l2_ before pickling."
            )
        rows = self._rows
        excess = []
        for y_row, coef in zip(rows.y, self._network.coefs, strict=True):
            least = least_norm(rows.XT.T, y_row)
            floor = np.sum(np.abs(least) ** power)
            size = np.sum(np.abs(coef) ** power)
            excess.append(size / floor - 1 if floor > 0 else 0.0)
        return self._each(excess)

    def _table(self, X, Y, weight, like=None):
        standardize = self.standardize
        if standardize is None:
            standardize = self.units == "relative"
        return LinearTable.build(
            X, Y, weight, center=self.fit_intercept, standardize=standardize, like=like
        )

    def _each(self, values):
        """One value for a 1-D y, an array for a 2-D one."""
        values = np.asarray(values)
        if not self._single:
            return values
        return values[0] if values.ndim > 1 else float(values[0])

    def __dir__(self):
        # scikit-learn reads all attributes to list them: not these, unasked.
        lazy = {"excess_l1_", "excess_l2_"} - vars(self).keys()
        names = [name for name in object.__dir__(self) if name not in lazy]
        return [name for name in names if hasattr(self, name)]

    def __getstate__(self):
        """Leave the training data out of pickles."""
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_rows"}


class DiagonalNetRegressor(DiagonalNetFit):
    """Linear regression by gradient flow on a diagonal network.

    The network is ``f(x) = <beta, x>`` with ``beta = w_plus**depth - w_minus**depth``
    elementwise, both halves started at ``alpha * init_shape``, trained by gradient flow
    on the mean squared error over two. A small scale ``alpha`` gives the rich regime:
    sparse coefficients, like the Lasso's but less shrunk. A large one gives the kernel
    regime: ridge-like coefficients. Both the scale and the stopping time regularise.

    Parameters
    ----------
    init_scale : float, default=0.1
        Scale of the initialisation, the paper's ``alpha``. With ``units="relative"`` it
        is ``alpha**depth`` over what the data ask for: 1 is the middle of the
        transition for every table and depth, 30 is kernel unless the columns are
        strongly correlated (then 100). At 0.01 depth 3 is rich (richness about 0.96),
        but depth 2 gets there only logarithmically (0.87; 0.92 at 1e-4). It has no
        effect at ``depth=1``.

    depth : int, default=2
        Number of layers ``D >= 1``; 1 is plain linear regression by gradient flow.

    units : {"relative", "paper"}, default="relative"
        Units of ``init_scale`` and of times. With "relative" features are standardised
        inside, times are multiples of ``time_unit_``, and fitting ``c * y`` gives ``c``
        times the function. With "paper" the scale is ``alpha``, time is that of
        ``dw/dt = -grad L``, and features are taken as they are. Either way `coef_` is
        in the units of the input.

    init_shape : array-like of shape (n_features,), default=None
        Positive shape of the initial weights, ``alpha * init_shape``; None is all ones.
        At depth >= 3 the rich limit is the l1 norm weighted by
        ``init_shape**(2 - depth)``; at depth 2 it is not weighted.

    standardize : bool, default=None
        Whether the network sees features divided by their standard deviation; None
        means yes for ``units="relative"`` and no for "paper".

    fit_intercept : bool, default=True
        Fit an intercept, as a bias that learns infinitely faster than the weights: X
        and y are centred.

    solver : {"auto", "dual_mirror", "inverse_scale_space", "limit", "gd"}, \
default="auto"
        - "dual_mirror" follows the gradient flow itself;
        - "inverse_scale_space" follows its sweeping limit for ``alpha -> 0`` at
          depth >= 3, piecewise constant in time;
        - "limit" solves for infinite time, without following the flow; it needs
          ``early_stopping=False`` and ``max_time=None``;
        - "gd" runs the discrete algorithm, which ends somewhere else than the flow by
          an amount proportional to ``learning_rate``;
        - "auto" takes "limit" if nothing stops the flow, "inverse_scale_space" where
          the scale is so small that the flow cannot be told from it in float64, and
          "dual_mirror" elsewhere.

    early_stopping : "gcv" or bool, default="gcv"
        When to stop: "gcv" at the minimum of generalised cross-validation with the
        exact degrees of freedom of the path; True at the best score on a
        ``validation_fraction`` held out, followed by a fit of everything to that time;
        False at ``tol`` or ``max_time``, that is, practically, at the limit.

    max_time : float, default=None
        Time at which to stop at the latest; None is no bound.

    tol : float, default=1e-10
        Stop when the loss above its infimum falls below ``tol`` times its start.

    rtol : float, default=1e-3
        Relative error of the coefficients allowed in a step of "dual_mirror"; the error
        of the result is usually smaller.

    max_iter : int, default=100_000
        Bound on the steps of "dual_mirror" and "gd".

    validation_fraction : float, default=0.1
        Share of the samples held out, only with ``early_stopping=True``.

    n_iter_no_change : int, default=12
        Points in time, 12 a decade, without a better score after which the search for
        the time to stop gives up.

    learning_rate : float, default=None
        Step of ``solver="gd"``; None chooses a safe one from the data.

    batch_size : int, default=None
        Samples in a step of ``solver="gd"``; None is all of them.

    warm_start : bool, default=False
        Start from the coefficients at which the previous fit stopped, at the scale
        that it conserved: the flow goes on. Discrete steps do not quite conserve it.

    random_state : int, RandomState instance or None, default=None
        Source of the held-out samples and of mini batches.

    verbose : int or bool, default=0
        Print a line for each decade of time that "dual_mirror" or "gd" passes.

    device : str, default="cpu"
        Where ``solver="gd"`` runs, a torch device; the others run on the CPU.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients in the units of the input.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    richness_ : float or ndarray of shape (n_targets,)
        0 in the kernel regime, 1 in the rich one: two minus the local degree of
        homogeneity of the potential that the scale selects.
    regime_ : str or ndarray of shape (n_targets,)
        "kernel" (richness below 0.1), "transition" or "rich" (above 0.9).
    scale_ : float or ndarray of shape (n_targets,)
        The relative scale, whatever ``units`` is.
    alpha_, scale_unit_, time_unit_ : float or ndarray of shape (n_targets,)
        The raw scale, and the factors between relative and raw: ``alpha_**depth =
        scale_ * scale_unit_``, raw times are ``time_unit_`` times relative ones.
    time_ : float or ndarray of shape (n_targets,)
        When the flow stopped, in the units of ``units``; inf for the limit.
    loss_ : float or ndarray of shape (n_targets,)
        Training loss, weighted mean of squared residuals over two.
    df_, gcv_ : float or ndarray of shape (n_targets,)
        Degrees of freedom without the intercept, and the score minimised; only with
        ``early_stopping="gcv"``.
    kernel_change_ : float or ndarray of shape (n_targets,)
        ``||K_T - K_0|| / ||K_0||`` of the tangent kernel on the training samples, in
        the Frobenius norm; samples count by their weights.
    kernel_alignment_ : float or ndarray of shape (n_targets,)
        Cosine of the two kernels.
    weight_change_ : float or ndarray of shape (n_targets,)
        ``||w_T - w_0|| / ||w_0||``.
    q_norm_ : float or ndarray of shape (n_targets,)
        The potential of the coefficients that the network sees, see
        `skregimes.limits.q_norm`.
    effective_sparsity_ : float or ndarray of shape (n_targets,)
        ``(||beta||_1 / ||beta||_2)**2``, of the coefficients that the network sees.
    lasso_equivalent_alpha_ : float or ndarray of shape (n_targets,)
        The Lasso's ``alpha`` whose optimality bound the time average of the
        coefficients, of features as the network sees them, meets exactly; in the rich
        limit that average is the Lasso's.
    excess_l1_, excess_l2_ : float or ndarray of shape (n_targets,)
        By what share the l1 norm and the squared l2 norm of the coefficients that the
        network sees exceed the least among all least-squares solutions (negative for
        fits stopped early); computed when asked for.
    dual_coef_ : ndarray of shape (n_samples,) or (n_targets, n_samples)
        Scaled dual variable: the link of ``init_shape**(depth - 2) * (X.T @
        dual_coef_)``, of features as the network sees them, is the coefficient; after a
        warm start, of the change since. Not for ``solver="gd"``.
    effective_init_scale_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Only ``solver="gd"``: the raw scale from which gradient *flow*, started biased,
        ends exactly where the discrete steps did; nan if a step turned the sign of a
        weight.
    trajectory_ : Trajectory or list of Trajectory
        About 100 points on the way, in the units of the input.
    solver_, n_iter_, converged_ : str, int, bool
        What ran, how many steps at most, and whether it ended as asked.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    DiagonalNetRegressorCV : Chooses the scale and the time.
    skregimes.limits.min_q_norm : The infinite-time limit as a function.

    References
    ----------
    Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models", COLT 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skregimes import DiagonalNetRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = DiagonalNetRegressor().fit(X, y)
    >>> print(model.regime_, round(model.score(X, y), 2))
    transition 0.51
    """

    _parameter_constraints: dict = {
        **FlowEstimator._parameter_constraints,
        "depth": [Interval(Integral, 1, None, closed="left")],
        "init_shape": [None, "array-like"],
        "standardize": [None, "boolean"],
        "solver": [
            StrOptions({"auto", "dual_mirror", "inverse_scale_space", "limit", "gd"})
        ],
        "early_stopping": ["boolean", StrOptions({"gcv"})],
    }

    def __init__(
        self,
        init_scale=0.1,
        *,
        depth=2,
        units="relative",
        init_shape=None,
        standardize=None,
        fit_intercept=True,
        solver="auto",
        early_stopping="gcv",
        max_time=None,
        tol=1e-10,
        rtol=1e-3,
        max_iter=100_000,
        validation_fraction=0.1,
        n_iter_no_change=12,
        learning_rate=None,
        batch_size=None,
        warm_start=False,
        random_state=None,
        verbose=0,
        device="cpu",
    ):
        self.init_scale = init_scale
        self.depth = depth
        self.units = units
        self.init_shape = init_shape
        self.standardize = standardize
        self.fit_intercept = fit_intercept
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
            Targets; each gets a network of its own.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the squared errors. Only their ratios matter, but for
            ``early_stopping="gcv"``: whole numbers count as repetitions there.

        Returns
        -------
        self : DiagonalNetRegressor

        Raises
        ------
        ValueError
            If the data or the combination of parameters make no sense.
        FloatingPointError
            If steps of ``solver="gd"`` diverge, or a flow needs times that float64
            cannot tell apart.
        KeyboardInterrupt
            On Ctrl-C, after what was reached has been stored: the estimator is fitted.
        """
        X, y = validate_data(
            self,
            as_array(X),
            as_array(y),
            dtype=_FLOATS,
            multi_output=True,
            y_numeric=True,
        )
        self._check_parameters()
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        self._single = y.ndim == 1
        table = self._table(X, y.reshape(len(y), -1), weight)
        problem = self._problem(table)
        watcher = self._watch(X, y, sample_weight)
        solver, ends = self._solve(problem, table, X, y, weight, watcher)
        self._store(problem, table, solver, ends, X.dtype)
        self._rows = problem.rows
        if watcher is not None:
            watcher.finish()
        self._report(problem, ends)
        return self

    def _check_parameters(self):
        """Refuse combinations that could only be ignored."""
        self._refuse_descent_options()
        if self.solver != "gd" and self.device != "cpu":
            raise ValueError(
                f"device={self.device!r} is for solver='gd'; the other solvers run on "
                "the CPU, with device='cpu'."
            )
        if self.solver == "limit" and not self._runs_to_the_end():
            raise ValueError(
                "solver='limit' is the limit of infinite time; set max_time=None and "
                "early_stopping=False, or use solver='dual_mirror'."
            )
        if self.solver == "inverse_scale_space" and self.depth < 3:
            raise ValueError("solver='inverse_scale_space' needs depth >= 3.")
        if self.solver == "gd" and self.early_stopping == "gcv":
            raise ValueError(
                "solver='gd' has no exact degrees of freedom for early_stopping='gcv'; "
                "use early_stopping=True or False, or solver='dual_mirror'."
            )
        if self.warm_start and self.early_stopping == "gcv":
            raise ValueError(
                "early_stopping='gcv' cannot count the degrees of freedom of earlier "
                "fits; with warm_start=True use early_stopping=True or False."
            )

    def _runs_to_the_end(self):
        return self.early_stopping is False and self.max_time is None

    def _problem(self, table):
        """Reduce the table, and set the scales: anew, or as the last fit left them."""
        rows = self._reduce(table)
        log_alpha = log_alphas(
            rows, table.y_unit, self.depth, self.init_scale, self.units
        )
        start = None
        if self.warm_start and hasattr(self, "_network"):
            log_alpha, start = self._network.restart(table, self._initialisation())
            start[:, rows.column_norms2 == 0] = 0.0  # nothing holds them any more
        shape = self._shape(len(table.XT))
        return DiagonalProblem(
            rows, table.y_unit, self.depth, log_alpha, init_shape=shape, start=start
        )

    def _initialisation(self):
        """Return what a warm start must find unchanged."""
        shape = None if self.init_shape is None else tuple(np.ravel(self.init_shape))
        return {
            "depth": self.depth,
            "init_scale": self.init_scale,
            "units": self.units,
            "init_shape": shape,
        }

    def _reduce(self, table):
        # The discrete algorithm still needs the samples, which reduction overwrites.
        XT = table.XT.copy() if self.solver == "gd" else table.XT
        return Rows.reduce(XT, table.Y, table.weight)

    def _shape(self, n_features):
        if self.init_shape is None:
            return None
        shape = check_array(
            self.init_shape, ensure_2d=False, dtype=float, input_name="init_shape"
        )
        if shape.shape != (n_features,) or np.any(shape <= 0):
            raise ValueError(
                f"init_shape must be {n_features} positive numbers, one a feature; got "
                f"an array of shape {shape.shape}."
            )
        return shape

    def _solve(self, problem, table, X, y, weight, watcher):
        """Return the solver that was used, and one `End` a target."""
        max_time = np.full(len(problem.unit), np.inf)
        if self.max_time is not None:
            max_time = self.max_time * problem.clock(self.units)
        gcv, tol = None, self.tol
        if watcher is not None:
            searches = self.early_stopping not in ("gcv", False)
            watcher.begin(int(searches), len(problem.unit))
        if self.early_stopping == "gcv":
            gcv = GCV(
                effective_samples(table.weight), self.fit_intercept, self._patience()
            )
        elif self.early_stopping:
            Y = y.reshape(len(y), -1)
            max_time = self._held_out_time(
                problem, table, X, Y, weight, max_time, watcher
            )
            tol = 0.0
        on_node = self._reporter(problem, table, watcher, max_time, gcv, tol)
        return self._run(problem, table, X.dtype, max_time, on_node, gcv, tol)

    def _run(self, problem, table, dtype, max_time, on_node, gcv=None, tol=0.0):
        options = {"max_time": max_time, "tol": tol, "max_iter": self.max_iter}
        if self.solver != "gd":
            return solve(
                problem,
                self.solver,
                gcv=gcv,
                rtol=self.rtol,
                on_node=on_node,
                **options,
            )
        ends = descend(
            problem,
            table.XT.T.astype(dtype),
            table.Y * table.y_unit[:, None],
            table.weight,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            random_state=check_random_state(self.random_state),
            device=self.device,
            on_node=on_node,
            **options,
        )
        return self.solver, ends

    def _patience(self):
        """Return the factor in time after which a search without success gives up."""
        return 10 ** (self.n_iter_no_change / POINTS_PER_DECADE)

    def _reporter(self, problem, table, watcher, max_time, gcv, tol):
        """Return what the flow is to call at its steps, or None."""
        if watcher is None:
            return None
        rest, unit = problem.rows.rest, problem.unit
        coefs = np.zeros((len(unit), len(table.XT)))
        times, losses = np.zeros((2, len(unit)))
        clock, courses = problem.clock(self.units), self._courses(len(unit), tol)
        if gcv is not None:
            watches = [gcv.watch(*each) for each in zip(rest, unit, strict=True)]

        def state():
            now = {"time_": self._each(times), "loss_": self._each(losses)}
            return now | self._in_input_units(table, coefs, float)

        def on_node(j, time, loss, coef, df=None):
            age, end, potential = (
                log(time / unit[j]),
                max_time[j],
                problem.potentials[j],
            )
            if gcv is not None:
                watches[j](time, loss, df)
                end = min(end, watches[j].end)
            done = courses[j](age, log(end / unit[j]), log(loss))
            times[j], coefs[j] = time / clock[j], coef
            losses[j] = _loss(table.y_unit[j], loss + rest[j])
            point = Point.at(
                times[j],
                losses[j],
                lambda: potential.richness(coef),
                lambda: _change(potential, coef, problem.rows),
                target=j,
            )
            return watcher(point, age, done, state)

        return on_node

    def _courses(self, n_targets, tol):
        """Return what says how far the flows of all targets are."""
        course = lambda: Course(log(tol), relative=True, solver=self.solver)
        return [course() for _ in range(n_targets)]

    def _held_out_time(self, problem, table, X, Y, weight, max_time, watcher):
        """Return the best times on held-out samples, of flows on the others."""
        used = np.flatnonzero(weight > 0)
        n_held = int(np.ceil(self.validation_fraction * len(used)))
        if n_held >= len(used):
            raise ValueError(
                f"early_stopping=True with validation_fraction="
                f"{self.validation_fraction} leaves none of the {len(used)} samples to "
                "train on; use early_stopping='gcv' or False."
            )
        train, held = train_test_split(
            used, test_size=n_held, random_state=self.random_state
        )
        part = self._table(X[train], Y[train], weight[train], like=table)
        network = problem.with_rows(self._reduce(part))
        held_X = (X[held] - part.x_mean) / part.x_scale
        held_Y = (Y[held] - part.y_mean) / part.y_unit

        def error(j, coefs):
            residual = held_Y[:, j] - np.atleast_2d(coefs) @ held_X.T
            return residual**2 @ weight[held]

        patience = self._patience()
        # Patience begins after one unit of time: before, small scales stand still.
        best = [(np.inf, unit) for unit in problem.unit]
        clock, courses = problem.clock(self.units), self._courses(len(best), self.tol)

        def on_node(j, time, loss, coef, df=None):
            unit, stop = problem.unit[j], False
            best[j] = min(best[j], (error(j, coef)[0], max(time, unit)))
            end = patience * best[j][1]
            if watcher is not None:
                last = log(min(end, max_time[j]) / unit)
                done = courses[j](log(time / unit), last, log(loss))
                now = log(time / clock[j])
                stop = watcher.search(0, now, log(time / unit), done, target=j)
            return time > end or stop

        # A bound that is never reached keeps "auto" from going straight to the limit.
        bound = np.minimum(max_time, 1e300)
        _, ends = self._run(network, part, X.dtype, bound, on_node, tol=self.tol)
        paths = [end.path for end in ends]
        return np.array(
            [time[np.argmin(error(j, c))] for j, (time, _, c) in enumerate(paths)]
        )

    # -- what is known of a fit ----------------------------------------------------

    def _store(self, problem, table, solver, ends, dtype):
        """Set the fitted attributes."""
        self._forget()
        coefs = np.array([end.coef for end in ends])
        self._network = _Network(
            problem.potentials,
            problem.log_alpha,
            coefs,
            table.x_mean,
            table.x_scale,
            table.y_unit,
            self._initialisation(),
        )
        self.solver_ = solver
        self.n_iter_ = max(end.n_iter for end in ends)
        self.converged_ = all(end.status not in _BROKEN for end in ends)
        unit = scale_unit(problem.rows, self.depth) * table.y_unit
        self.alpha_ = self._each(np.exp(problem.log_alpha))
        self.scale_ = self._each(np.exp(self.depth * problem.log_alpha - np.log(unit)))
        self.scale_unit_ = self._each(unit)
        self.time_unit_ = self._each(problem.unit / problem.time_factor)
        clock = 1 / problem.clock(self.units)
        self.time_ = self._each([end.time for end in ends] * clock)
        rest = problem.rows.rest
        self.loss_ = self._each(_loss(table.y_unit, [end.loss for end in ends] + rest))
        if self.early_stopping == "gcv":
            self.df_ = self._each([end.df for end in ends])
            gcv = np.array([end.gcv for end in ends])
            self.gcv_ = self._each(2 * _loss(table.y_unit, gcv))
        for name, value in self._in_input_units(table, coefs, dtype).items():
            setattr(self, name, value)
        trajectories = []
        for j, end in enumerate(ends):
            time, loss, path = end.path
            richness = np.array([problem.potentials[j].richness(c) for c in path])
            path, intercepts = table.restore(path, j)
            loss = _loss(table.y_unit[j], loss + rest[j])
            trajectories.append(
                Trajectory(time * clock[j], loss, richness, path, intercepts, end.jumps)
            )
        self.trajectory_ = trajectories[0] if self._single else trajectories
        self.richness_ = self._each([t.richness[-1] for t in trajectories])
        for name, values in self._scores(problem, table, ends).items():
            setattr(self, name, self._each(values))

    def _scores(self, problem, table, ends):
        """Diagnostics, each a list with one entry a target."""
        scores: dict = {}
        for j, (end, potential) in enumerate(
            zip(ends, problem.potentials, strict=True)
        ):
            score = diagonal_diagnostics(potential, end.coef, problem.rows)
            score = {f"{name}_": value for name, value in score.items()}
            score["effective_sparsity_"] = effective_sparsity(end.coef)
            # Of targets of size one, brought to those of y. At depth 1, where no scale
            # goes along, the dual is linear in y and the norm quadratic.
            unit = self._network.y_unit[j]
            linear = unit if self.depth == 1 else 1.0
            with np.errstate(over="ignore"):
                score["q_norm_"] = linear * unit * problem.q_norm(j, end.coef)
            if end.dual is not None:
                score["lasso_equivalent_alpha_"] = unit * problem.lasso_alpha(j, end)
                dual = linear * problem.dual_of_samples(end.dual)
                score["dual_coef_"] = table.of_all_samples(dual)
            if self.solver == "gd":
                score["effective_init_scale_"] = np.exp(end.log_effective_scale)
            for name, value in score.items():
                scores.setdefault(name, []).append(value)
        return scores

    def _in_input_units(self, table, coefs, dtype):
        """Return ``coef_`` and ``intercept_`` of the network's coefficients."""
        pairs = [table.restore(coef, j) for j, coef in enumerate(coefs)]
        coef = np.array([coef for coef, _ in pairs], dtype=dtype)
        intercept = np.array([b for _, b in pairs], dtype=dtype)
        if self._single:
            return {"coef_": coef[0], "intercept_": intercept[0]}
        return {"coef_": coef, "intercept_": intercept}

    def _report(self, problem, ends):
        """Say what a user should know of how the fit ended."""
        rows = problem.rows
        features = np.count_nonzero(rows.column_norms2)
        if self._runs_to_the_end() and 0 < features == rows.rank and self.depth > 1:
            warnings.warn(
                f"The {features} features that vary are linearly independent, so every "
                "init_scale gives least squares in the limit of infinite time. Stop "
                "the flow: early_stopping='gcv' or True, or max_time.",
                UserWarning,
                stacklevel=4,
            )
        if (
            self.solver == "gd"
            and self.max_time is not None
            and not any(end.time > 0 for end in ends)
        ):
            warnings.warn(
                f"max_time={self.max_time} is shorter than a step: nothing was learnt.",
                ConvergenceWarning,
                stacklevel=4,
            )
        for end in ends:
            if end.status == "interrupted":
                raise KeyboardInterrupt(
                    "fit was interrupted; what it reached is stored"
                )
            if end.status == "stalled":
                raise FloatingPointError(
                    f"Beyond time {np.max(self.time_):.6g} the flow needs steps below "
                    "the resolution of float64; the estimator holds its state there. "
                    "Use solver='auto', or a larger init_scale or rtol."
                )
            if end.status == "max_iter":
                other = f"rtol (now {self.rtol})"
                if self.solver == "gd":
                    other = "learning_rate"
                warnings.warn(
                    f"The flow did not end within max_iter={self.max_iter} steps. "
                    f"Increase max_iter or {other}, or lower max_time.",
                    ConvergenceWarning,
                    stacklevel=4,
                )
                return


def _change(potential, coef, rows):
    """Return the relative change of the tangent kernel."""
    return diagonal_diagnostics(potential, coef, rows)["kernel_change"]


def _loss(unit, mse):
    """Return the loss of targets of a size, inf where its square overflows."""
    with np.errstate(over="ignore"):
        return (unit * np.sqrt(np.maximum(mse, 0.0))) ** 2 / 2


@dataclass
class _Network:
    """What the estimator keeps of its networks, in the units in which they live."""

    potentials: list
    log_alpha: np.ndarray
    coefs: np.ndarray
    x_mean: np.ndarray
    x_scale: np.ndarray
    y_unit: np.ndarray
    initialisation: dict

    def restart(self, table, initialisation):
        """Return the scales, and the coefficients in the units of another table."""
        for name, value in initialisation.items():
            if value != self.initialisation[name]:
                raise ValueError(
                    f"warm_start=True goes on from the last fit's network, but {name} "
                    "has changed since; set warm_start=False."
                )
        if self.coefs.shape != (len(table.Y), len(table.XT)):
            raise ValueError(
                "warm_start=True needs as many features and targets as the last fit "
                f"had, {self.coefs.shape[1]} and {self.coefs.shape[0]}; got "
                f"{len(table.XT)} and {len(table.Y)}."
            )
        coefs = self.coefs * self.y_unit[:, None] / self.x_scale
        return self.log_alpha, coefs * table.x_scale / table.y_unit[:, None]
