"""Solvers of the flow of shallow ReLU networks: who is how wrong after how long.

    python -m benchmarks.bench_shallow_relu                    # all of it, hours
    python -m benchmarks.bench_shallow_relu --quick            # a taste, two minutes
    python -m benchmarks.bench_shallow_relu --sections solvers --cases B1 C3

Every solver starts at the same weights and is to follow the same flow, with the affine
part profiled, to the same time. Its error is the distance of its function from the
reference's, root mean square over the training set, relative to the target.
"""

import inspect
import math
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from runpy import run_path

import numpy as np
import torch
from scipy.integrate import LSODA, RK45
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold

from benchmarks import _harness as harness
from skregimes import InitScaleSearchCV, ShallowReLURegressor
from skregimes.datasets import load_motorcycle, make_curve, make_relu_teacher
from skregimes.flows.chebyshev import chebyshev
from skregimes.flows.exponential import exponential
from skregimes.networks.shallow_relu import ShallowReLUProblem
from skregimes.networks.units import draw_units

REFRESH = 5  # steps of descent between looks at the stable step
TARGET = 1e-3  # error at which solvers of the rich regime are compared
N_TEST = 1000
# A Jacobian by differences of more parameters than this is out of reach.
LARGEST_JACOBIAN = 2000
# The event-driven oracle is the reference up to this many pairs of sample and unit.
LARGEST_ORACLE = 4000
ORACLE_RTOL = 1e-6


# -- problems --------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A table, a width, an initial scale ``alpha`` and the time to be reached."""

    name: str
    data: str
    n: int
    d: int
    m: int
    alpha: float
    time: float
    regime: str
    reference: float = 1e-6  # rtol of the reference

    @property
    def large(self):
        """Whether a Gram matrix is dear."""
        return self.n > 1000


CASES = [
    Case("B1", "curve", 20, 1, 200, 100, 300, "kernel"),
    Case("B2", "curve", 20, 1, 200, 10, 300, "rich"),
    Case("B3", "curve", 20, 1, 200, 1, 300, "rich"),
    Case("C1", "curve", 50, 1, 1000, 300, 100, "kernel"),
    Case("C2", "curve", 50, 1, 1000, 30, 100, "kernel"),
    Case("C3", "curve", 50, 1, 1000, 0.3, 300, "rich"),
    Case("D1", "curve", 50, 1, 10_000, 1000, 100, "kernel"),
    Case("D2", "curve", 50, 1, 10_000, 1, 300, "rich", 1e-5),
    Case("F1", "diabetes", 342, 10, 500, 300, 100, "kernel"),
    Case("F2", "diabetes", 342, 10, 500, 30, 100, "rich", 1e-5),
    Case("F3", "diabetes", 342, 10, 500, 1, 100, "rich", 1e-5),
    Case("H1", "teacher", 2000, 10, 10_000, 1000, 100, "kernel", 1e-4),
    Case("H2", "teacher", 2000, 20, 2000, 1, 30, "rich", 1e-4),
]
QUICK = ["B1", "B2", "B3"]


def table_of(case, seed):
    """Return training and test features and the training target, scaled.

    Features have variance one, a single feature lies in [-1, 1], the target has
    variance one.
    """
    n = case.n
    if case.data == "diabetes":
        X, y = load_diabetes(return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(X))
        X, y = X[order], y[order[:n]]
    elif case.data == "teacher":
        X, y = make_relu_teacher(n + N_TEST, case.d, random_state=seed)
    else:
        X, y = make_curve("smooth", n + N_TEST, random_state=seed)
    y, train = y[:n], X[:n]
    X = (X - train.mean(0)) / train.std(0)
    if case.d == 1:
        X = X / np.abs(X[:n]).max()
    return X[:n], X[n:], (y - y.mean()) / y.std()


class Race:
    """One problem, what its solvers share, and its reference."""

    def __init__(self, case, seed, seconds, oracle):
        self.case, self.seconds, self.oracle = case, seconds, oracle
        self.X, self.X_test, self.y = table_of(case, seed)
        rng = np.random.RandomState(seed)
        bias_scale = np.linalg.norm(self.X, axis=1).max()
        units = draw_units("stratified", case.m, case.d, bias_scale, rng)
        self.hidden = case.alpha / math.sqrt(case.m) * np.column_stack(units)
        X, Y = torch.from_numpy(self.X), torch.from_numpy(self.y)[:, None]
        ones = torch.ones(len(X), 1, dtype=X.dtype)
        self.problem = ShallowReLUProblem.build(
            X, Y, ones[:, 0], skip=torch.cat([X, ones], 1)
        )
        output = torch.zeros(case.m, 1, dtype=X.dtype)
        self.start = self.problem.pack(torch.from_numpy(self.hidden), output)

    def residual(self, theta):
        """Return the residual on the training set, relative to the target."""
        residual = self.problem.residual(*self.problem.unpack(theta))
        return residual / self.problem.target_norm

    def error(self, theta, other):
        """Return the distance of two networks' functions on the training set."""
        return float((self.residual(theta) - self.residual(other)).norm())

    def relative_loss(self, theta):
        """Return the loss relative to that of the best affine function."""
        return float(self.residual(theta).square().sum())

    def test_error(self, theta, other):
        """Return their distance on fresh samples, in units of the target's size."""
        gap = self._predict(theta) - self._predict(other)
        return float(np.sqrt(np.mean(gap**2))) / self.problem.target_norm

    def _predict(self, theta):
        hidden, output = (part.numpy() for part in self.problem.unpack(theta))
        columns, values = [], []
        for X in (self.X, self.X_test):
            columns.append(np.column_stack([X, np.ones(len(X))]))
            inputs = np.column_stack([X, -np.ones(len(X))])
            values.append(np.maximum(inputs @ hidden.T, 0) @ output[:, 0])
        affine = np.linalg.lstsq(columns[0], self.y - values[0])[0]
        return values[1] + columns[1] @ affine

    @cached_property
    def reference(self):
        """Return weights much nearer to the flow than any solver's, and a label."""
        case = self.case
        if self.oracle and case.n * case.m <= LARGEST_ORACLE:
            oracle = run_path(str(harness.ROOT / "tests" / "relu_reference.py"))
            state = oracle["reference_flow"](
                self.X,
                self.y,
                self.hidden,
                np.zeros(case.m),
                [case.time],
                rtol=ORACLE_RTOL,
            )[0]
            weights = (torch.from_numpy(np.asarray(part)) for part in state)
            hidden, output = weights
            return self.problem.pack(hidden, output[:, None]), "event-driven oracle"
        krylov = case.large and case.regime == "rich"
        ends = [
            exponential(
                self.problem, self.start, max_time=case.time, rtol=rtol, krylov=krylov
            ).theta
            for rtol in (10 * case.reference, case.reference)
        ]
        gap = self.error(*ends)
        label = f"exponential, rtol {case.reference:.0e}; {gap:.0e} from rtol 10 times"
        return ends[1], label


# Sections share the references.
race_of = cache(Race)


class Clock:
    """CPU seconds spent, without those of pauses."""

    def __init__(self, limit):
        self.limit, self.paused = limit, 0.0
        self.begin = time.process_time()

    @property
    def spent(self):
        return time.process_time() - self.begin - self.paused

    @property
    def out(self):
        return self.spent > self.limit

    def pause(self, task):
        """Do something that is not counted."""
        begin = time.process_time()
        result = task()
        self.paused += time.process_time() - begin
        return result


@dataclass(frozen=True)
class Outcome:
    """Where a solver came, and what it took."""

    theta: torch.Tensor
    share: float  # of the time to be reached
    seconds: float
    gradients: int
    steps: int

    @property
    def finished(self):
        return self.share >= 1

    @property
    def projected(self):
        """Seconds to the end, at the same pace in flow time."""
        return self.seconds / max(self.share, 1e-300)


# -- solvers ---------------------------------------------------------------------------


def ours(flow, **options):
    """Follow the flow by one of ours, to its end or to the limit of seconds."""

    def run(race, max_time, **more):
        clock, last = Clock(race.seconds), [0.0, race.start]

        def watch(now, theta, *_):
            last[:] = now, theta
            return clock.out

        result = flow(
            race.problem,
            race.start,
            max_time=max_time,
            on_node=watch,
            **options,
            **more,
        )
        cut = result.status in ("stopped", "max_iter", "stalled")
        share = result.time / max_time if cut else 1.0
        return Outcome(
            result.theta, share, clock.spent, result.n_gradients, result.n_iter
        )

    return run


def descent(fraction, step):
    """Gradient descent at a fraction of the stable step, ``1 / rho``.

    ``rho`` is measured every few steps, at no cost to the solver. ``step(race)``
    returns a function ``(h)`` that takes a step and one that returns the weights.
    """

    def run(race, max_time):
        advance, weights = step(race)
        clock = Clock(race.seconds)
        now, steps, direction, rate = 0.0, 0, None, 0.0
        while now < max_time and not (steps % REFRESH == 0 and clock.out):
            if steps % REFRESH == 0:
                rho, direction = clock.pause(
                    lambda d=direction: race.problem.sharpness(weights(), d)
                )
                rate = fraction / rho
            rate = min(rate, max_time - now)
            advance(rate)
            now, steps = now + rate, steps + 1
            if max_time - now < 1e-12 * max_time:
                now = max_time
        return Outcome(weights(), now / max_time, clock.spent, steps, steps)

    return run


def torch_step(race):
    """Hand-written gradients in torch, those of the package."""
    theta = race.start.clone()

    def advance(rate):
        theta.sub_(race.problem.gradient(theta)[0], alpha=rate)

    return advance, lambda: theta


def numpy_step(race):
    """Hand-written gradients in NumPy."""
    theta, gradient = race.start.numpy().copy(), numpy_gradient(race)

    def advance(rate):
        theta[:] -= rate * gradient(theta)[0]

    return advance, lambda: torch.from_numpy(theta)


def autograd_step(race):
    """What everybody writes: autograd and `torch.optim.SGD`."""
    problem = race.problem
    hidden, output = (part.clone() for part in problem.unpack(race.start))
    parts = [part.requires_grad_() for part in (hidden, output)]
    optimizer = torch.optim.SGD(parts, lr=1.0)

    def advance(rate):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        values = torch.relu(problem.inputs @ hidden.T) @ output
        residual = problem.project(problem.root * values) - problem.target
        (0.5 * residual.square().sum()).backward()
        optimizer.step()

    return advance, lambda: problem.pack(hidden.detach(), output.detach())


def numpy_gradient(race):
    """Return a function from weights to gradient and loss, without torch."""
    problem = race.problem
    arrays = (problem.inputs, problem.target, problem.root, problem.affine)
    inputs, target, root, affine = (array.numpy() for array in arrays)
    size = race.hidden.size
    weighted = root * inputs

    def gradient(theta):
        hidden, output = theta[:size].reshape(race.hidden.shape), theta[size:]
        Z = inputs @ hidden.T
        H = np.maximum(Z, 0)
        fitted = root[:, 0] * (H @ output)
        residual = fitted - affine @ (affine.T @ fitted) - target[:, 0]
        slopes = (Z > 0).astype(float).T @ (residual[:, None] * weighted)
        for_hidden = output[:, None] * slopes
        for_output = H.T @ (root[:, 0] * residual)
        loss = 0.5 * residual @ residual
        return np.concatenate([for_hidden.ravel(), for_output]), loss

    return gradient


def scipy_flow(method, rtol):
    """A general solver of SciPy on the gradient flow."""

    def run(race, max_time):
        gradient = numpy_gradient(race)
        start = race.start.numpy()
        clock, calls = Clock(race.seconds), 0

        def velocity(_, theta):
            nonlocal calls
            calls += 1
            if calls % 100 == 0 and clock.out:
                raise TimeoutError
            return -gradient(theta)[0]

        # Output weights start at zero and stay far smaller than hidden ones.
        atol = 1e-2 * rtol * np.sqrt(np.mean(start**2))
        steps, now, theta = 0, 0.0, start
        try:
            solver = method(velocity, 0.0, start, max_time, rtol=rtol, atol=atol)
            while solver.status == "running" and not clock.out:
                solver.step()
                steps += 1
                now, theta = solver.t, solver.y.copy()
        except TimeoutError:
            pass  # the outcome says how far it came
        return Outcome(
            torch.from_numpy(theta), now / max_time, clock.spent, calls, steps
        )

    return run


@dataclass(frozen=True)
class Solver:
    """A way to follow the flow: ``kind`` is ours, descent or other."""

    run: Callable
    kind: str
    suits: Callable = lambda case: True


SOLVERS = {
    **{
        f"exponential {rtol:.0e}": Solver(
            ours(exponential, rtol=rtol),
            "ours",
            lambda case: not case.large or case.regime == "kernel",
        )
        for rtol in (1e-2, 1e-3, 1e-4)
    },
    **{
        f"krylov {rtol:.0e}": Solver(ours(exponential, rtol=rtol, krylov=True), "ours")
        for rtol in (1e-2, 1e-3)
    },
    **{
        f"chebyshev {rtol:.0e}": Solver(ours(chebyshev, rtol=rtol), "other")
        for rtol in (1e-2, 1e-3, 1e-4)
    },
    "GD 1/rho": Solver(descent(1.0, torch_step), "descent"),
    "GD 0.1/rho": Solver(descent(0.1, torch_step), "descent"),
    "GD 1/rho, NumPy": Solver(descent(1.0, numpy_step), "descent"),
    "torch SGD 1/rho": Solver(descent(1.0, autograd_step), "descent"),
    "SciPy RK45 1e-4": Solver(scipy_flow(RK45, 1e-4), "other"),
    "SciPy RK45 1e-6": Solver(scipy_flow(RK45, 1e-6), "other"),
    "SciPy LSODA 1e-4": Solver(
        scipy_flow(LSODA, 1e-4),
        "other",
        lambda case: case.m * (case.d + 2) <= LARGEST_JACOBIAN,
    ),
}
DEFAULT = "exponential 1e-03"


def run_solver(solver, race):
    """Run once, and if that was quick twice more; the median of the times."""
    outcomes = [solver.run(race, race.case.time)]
    if outcomes[0].seconds < 1:
        outcomes += [solver.run(race, race.case.time) for _ in range(2)]
    return sorted(outcomes, key=lambda outcome: outcome.seconds)[len(outcomes) // 2]


def warm_up(seed):
    """Pay for imports and first calls."""
    tiny = Race(Case("", "curve", 8, 1, 10, 3, 0.01, "rich"), seed, 1.0, False)
    for solver in SOLVERS.values():
        solver.run(tiny, tiny.case.time)


def gap_note(outcome):
    """Say whether a solver came to the end."""
    return "" if outcome.finished else f"DNF, {outcome.share:.1g} of the time"


def case_title(race):
    case = race.case
    return (
        f"#### {case.name}: {case.data}, n={case.n}, d={case.d}, m={case.m}, "
        f"alpha={case.alpha:g}, to time {case.time:g} ({case.regime})"
    )


def bench_solvers(args):
    """Following the flow to a finite time: time, gradients and error of the function.

    Kernel regime, compared at equal error: seconds of the quicker descent at the stable
    step (if it did not finish, projected at its pace) times how much finer its step
    would have to be, first order, for the error of our default; never a longer step
    than the stable one. Rich regime: the cheapest runs of error at most 1e-3, and
    descent from its error at a tenth of the stable step, extrapolated as first order,
    at the pace of the quicker one. Chebyshev, although ours, counts as another.
    """
    parts, kernel, rich = [], [], []
    for case in chosen(args):
        race = race_of(case, args.seed, args.seconds, not args.quick)
        reference, label = race.reference
        outcomes = {
            name: run_solver(solver, race)
            for name, solver in SOLVERS.items()
            if solver.suits(case)
        }
        errors = {
            name: race.error(outcome.theta, reference)
            for name, outcome in outcomes.items()
        }
        default = DEFAULT if DEFAULT in outcomes else "krylov 1e-03"
        rows = [
            [
                name,
                outcome.seconds,
                harness.ratio(outcome.seconds, outcomes[default].seconds),
                outcome.gradients,
                outcome.steps,
                errors[name] if outcome.finished else "-",
                gap_note(outcome),
            ]
            for name, outcome in outcomes.items()
        ]
        header = ["solver", "CPU s", "ratio", "gradients", "steps", "error", "note"]
        facts = f"Reference: {label}. Relative loss {race.relative_loss(reference):.1e}"
        text = [case_title(race), facts + ".", harness.table(header, rows)]
        print("\n\n".join(text), file=sys.stderr, flush=True)
        parts += text
        finished = {name for name, outcome in outcomes.items() if outcome.finished}
        compare = kernel_row if case.regime == "kernel" else rich_row
        into = kernel if case.regime == "kernel" else rich
        into.append([case.name, *compare(outcomes, errors, finished, default)])
    if kernel:
        header = [
            "case",
            "default s",
            "error",
            "by",
            "s (* projected)",
            "error",
            "ratio",
        ]
        parts += ["#### Kernel regime, equal error", harness.table(header, kernel)]
    if rich:
        header = ["case", "ours s", "by", "others s", "by", "others / ours"]
        header += ["GD s, extrapolated", "order seen", "GD / ours"]
        parts += [f"#### Rich regime, error {TARGET:g}", harness.table(header, rich)]
    return "\n\n".join(parts)


def stable_descent(outcomes):
    """Return the quickest run of hand-written descent at the stable step."""
    names = ("GD 1/rho", "GD 1/rho, NumPy")
    return min(names, key=lambda name: outcomes[name].projected)


def kernel_row(outcomes, errors, finished, default):
    """Return default and stable descent, and their ratio at equal error."""
    mine, name = outcomes[default], stable_descent(outcomes)
    gd = outcomes[name]
    shown = harness.number(gd.projected)
    shown = [name, shown, errors[name]] if gd.finished else [name, f"{shown}*", None]
    if default not in finished:
        return [f"> {mine.seconds:.0f}", None, *shown, None]
    finer = max(1.0, errors[name] / errors[default]) if gd.finished else 1.0
    ratio = harness.ratio(gd.projected * finer, mine.seconds)
    return [mine.seconds, errors[default], *shown, ratio]


def rich_row(outcomes, errors, finished, default):
    """Return the cheapest of ours and of the others of error ``TARGET``."""

    def cheapest(ours):
        good = [
            (outcomes[name].seconds, name)
            for name in finished
            if errors[name] <= TARGET and (SOLVERS[name].kind == "ours") == ours
        ]
        return min(good, default=(None, "none"))

    def ratio(seconds):
        known = seconds is not None and mine is not None
        return harness.ratio(seconds, mine) if known else None

    mine, by = cheapest(True)
    other, other_by = cheapest(False)
    gd, order = None, None
    fine, coarse = "GD 0.1/rho", "GD 1/rho"
    if fine in finished:
        order = math.log10(errors[coarse] / errors[fine])
        # As many steps as its error asks for, never longer ones than stable.
        steps = outcomes[fine].steps * errors[fine] / TARGET
        quickest = outcomes[stable_descent(outcomes)]
        gd = max(steps, quickest.steps) * quickest.seconds / quickest.steps
    return [mine, by, other, other_by, ratio(other), gd, order, ratio(gd)]


# -- unfaithful optimisers -------------------------------------------------------------


def adam(rate):
    """Adam, until the training loss is that of the flow."""

    def run(race, loss):
        theta = race.start.clone().requires_grad_()
        optimizer = torch.optim.Adam([theta], lr=rate)
        clock, steps = Clock(race.seconds), 0
        while True:
            theta.grad, now = race.problem.gradient(theta.detach())
            if float(now) <= loss or clock.out:
                break
            optimizer.step()
            steps += 1
        share = 1.0 if float(now) <= loss else 0.0
        return Outcome(theta.detach(), share, clock.spent, steps, steps)

    return run


def lbfgs(race, loss):
    """L-BFGS of SciPy, until the training loss is that of the flow."""
    gradient, clock = numpy_gradient(race), Clock(race.seconds)

    def enough(intermediate_result):
        if intermediate_result.fun <= loss or clock.out:
            raise StopIteration

    result = minimize(
        lambda theta: gradient(theta)[::-1],
        race.start.numpy(),
        jac=True,
        method="L-BFGS-B",
        callback=enough,
        options={"maxiter": 10**6, "maxfun": 10**7, "ftol": 0, "gtol": 0},
    )
    share = 1.0 if result.fun <= loss else 0.0
    theta = torch.from_numpy(result.x)
    return Outcome(theta, share, clock.spent, result.nfev, result.nit)


UNFAITHFUL = {"Adam 1e-3": adam(1e-3), "Adam 1e-2": adam(1e-2), "L-BFGS": lbfgs}


def bench_unfaithful(args):
    """Other optimisers at the flow's training loss: how far from its function.

    Distances are relative to the target, on the training set and on fresh samples.
    """
    rows = []
    for case in chosen(args):
        if case.large:
            continue
        race = race_of(case, args.seed, args.seconds, not args.quick)
        reference, _ = race.reference
        loss = race.relative_loss(reference) * race.problem.target_norm**2 / 2
        runs = {DEFAULT: SOLVERS[DEFAULT].run(race, case.time)}
        runs |= {name: run(race, loss) for name, run in UNFAITHFUL.items()}
        rows += [
            [
                case.name,
                name,
                outcome.seconds,
                outcome.steps,
                race.relative_loss(outcome.theta),
                race.error(outcome.theta, reference),
                race.test_error(outcome.theta, reference),
                "" if outcome.finished else "DNF: loss not reached",
            ]
            for name, outcome in runs.items()
        ]
    header = ["case", "solver", "CPU s", "steps", "rel. loss", "train distance"]
    return harness.table([*header, "test distance", "note"], rows)


# -- to the end of the flow ------------------------------------------------------------


def bench_end(args):
    """To the end of the flow: relative loss 1e-8, or rest.

    Descent is estimated, not run: the measured time of a step, times the number of
    stable ones, the integral of ``rho`` along the flow that the first solver found.
    """
    rows = []
    for case in chosen(args):
        race = race_of(case, args.seed, args.seconds, not args.quick)
        krylov = case.large and case.regime == "rich"
        runs = {
            "krylov" if krylov else "exponential": (
                exponential,
                {"rtol": 1e-3, "krylov": krylov},
            ),
            "chebyshev 1e-2": (chebyshev, {"rtol": 1e-2}),
        }
        cells, path = [], []
        for name, (flow, options) in runs.items():
            clock = Clock(race.seconds)

            def watch(now, theta, *_, clock=clock, path=path, keep=not cells):
                if keep:
                    path.append((now, theta))
                return clock.out

            result = flow(race.problem, race.start, tol=1e-8, on_node=watch, **options)
            status = "DNF" if result.status == "stopped" else result.status
            ended = f"{status}, loss {race.relative_loss(result.theta):.0e}"
            cells.append([name, clock.spent, result.n_iter, result.time, ended])
        steps = stable_steps(race, path)
        seconds = steps * seconds_of_step(race)
        ended = cells[0][-1] if cells[0][-1].startswith("DNF") else "estimated"
        cells.append(["GD 1/rho", seconds, steps, cells[0][3], ended])
        rows += [
            [case.name, *cell[:2], harness.ratio(cell[1], cells[0][1]), *cell[2:]]
            for cell in cells
        ]
    header = ["case", "solver", "CPU s", "ratio", "steps", "flow time", "end"]
    return harness.table(header, rows)


def stable_steps(race, path):
    """Return the number of stable steps of descent along a recorded path."""
    stride = max(1, len(path) // 100)
    path = [*path[:-1:stride], path[-1]]
    rho = [race.problem.sharpness(theta)[0] for _, theta in path]
    times = [now for now, _ in path]
    return float(np.trapezoid(rho, times))


def seconds_of_step(race, count=20):
    """Return the time of one step of descent."""
    advance, _ = torch_step(race)
    begin = time.process_time()
    for _ in range(count):
        advance(1e-12)
    return (time.process_time() - begin) / count


# -- the search ------------------------------------------------------------------------


def bench_search(args):
    """InitScaleSearchCV against GridSearchCV over 8 scales, 30 times and 5 folds.

    Wall seconds, both with two processes. Of the grid's times only every ``stride``-th
    is run, and the seconds are multiplied by it.
    """
    scales = np.geomspace(30, 3e-3, 8)
    times = np.geomspace(0.1, 1e5, 30)
    tables = {"mcycle": load_motorcycle(return_X_y=True)}
    tables["kinky"] = make_curve("kinky", 60, random_state=args.seed)
    if args.quick:
        tables = {"kinky": make_curve("kinky", 30, random_state=args.seed)}
        scales, times = scales[:3], times[:20]
    stride = 10 if args.quick else args.stride
    net = ShallowReLURegressor(
        n_hidden=50 if args.quick else 200, early_stopping=False, random_state=args.seed
    )
    rows = []
    for name, (X, y) in tables.items():
        cv = KFold(5, shuffle=True, random_state=args.seed)
        own = InitScaleSearchCV(
            net, init_scales=scales, times=times, cv=cv, n_jobs=2, refit=False
        )
        grid = {"init_scale": scales, "max_time": times[stride // 2 :: stride]}
        plain = GridSearchCV(net, grid, cv=cv, n_jobs=2, refit=False)
        seconds = [wall_seconds(search, X, y) for search in (own, plain)]
        seconds[1] *= len(times) / len(grid["max_time"])
        for label, search, spent in zip(
            ("InitScaleSearchCV", "GridSearchCV"), (own, plain), seconds
        ):
            best = search.best_params_
            ratio = harness.ratio(spent, seconds[0])
            rows.append(
                [name, label, spent, ratio, best["init_scale"], best["max_time"]]
            )
    header = ["data", "search", "wall s", "ratio", "scale", "time"]
    title = (
        f"{len(scales)} scales, {len(times)} times, 5 folds, {net.n_hidden} units; the "
        f"grid's seconds are {stride} times those of every {stride}-th time"
    )
    return title + "\n\n" + harness.table(header, rows)


def wall_seconds(search, X, y):
    """Return the wall seconds of a search, workers being up."""
    small = search.__class__(
        search.estimator,
        **{"init_scales": [1.0], "times": [0.1, 1.0]}
        if isinstance(search, InitScaleSearchCV)
        else {"param_grid": {"init_scale": [1.0], "max_time": [0.1, 1.0]}},
        n_jobs=2,
        refit=False,
    )
    small.fit(X, y)
    begin = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - begin


SECTIONS = {
    "solvers": bench_solvers,
    "unfaithful": bench_unfaithful,
    "end": bench_end,
    "search": bench_search,
}


def chosen(args):
    """Return the cases asked for; a quick run is content with a rougher reference."""
    cases = [case for case in CASES if case.name in args.cases]
    if args.quick:
        cases = [replace(case, reference=1e-5) for case in cases]
    return cases


def main(argv=None):
    parser = harness.parser(__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[*SECTIONS])
    parser.add_argument("--cases", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="given to each solver"
    )
    parser.add_argument(
        "--stride", type=int, default=10, help="share of the grid that is run"
    )
    parser.add_argument("--quick", action="store_true", help="small, in two minutes")
    args = parser.parse_args(argv)
    if args.quick:
        args.cases = [name for name in args.cases if name in QUICK]
        args.seconds = min(args.seconds, 2.0)
    print(harness.environment())
    with harness.single_thread(), warnings.catch_warnings():
        # Flows cut short and peers that do not converge show it in the tables.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warm_up(args.seed)
        for name in args.sections:
            section = SECTIONS[name]
            text = f"### {inspect.cleandoc(section.__doc__)}\n\n{section(args)}"
            print("\n" + text, flush=True)
            if args.save:
                harness.save_section(f"shallow relu {name}", text)


if __name__ == "__main__":
    main()
