"""Classifiers of diagonal networks against named peers: same data, same run.

    python -m benchmarks.bench_classifier                            # half an hour
    python -m benchmarks.bench_classifier --quick                    # minutes
    python -m benchmarks.bench_classifier --sections loss_levels --large
    python -m benchmarks.bench_classifier --sections real --data nci60

Losses are named by their natural logarithm: a log loss of -1000 is a mean loss of
exp(-1000), which float64 cannot hold.
"""

import inspect
import sys
import time
import warnings
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from scipy.optimize import linprog, nnls
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from benchmarks import _harness as harness
from benchmarks._classification_peers import CLASSIFIERS
from benchmarks._datasets import CLASS_TASKS, FOLDS
from skregimes import DiagonalNetClassifier
from skregimes.datasets import make_sparse_classification

# -- loss levels -----------------------------------------------------------------------

SHAPES = [(20, 50), (100, 1000)]
LARGE = (500, 10_000)
SCALES = [1e-3, 0.1, 1.0, 10.0]
LEVELS = [-10.0, -1e3, -1e6]
N_INFORMATIVE = 3


@dataclass
class Race:
    """Two separable classes and the least norms of a direction of margin one.

    ``signed`` are the samples times their labels: margins are ``signed @ coef``.
    """

    X: np.ndarray
    y: np.ndarray

    def __post_init__(self):
        self.signed = self.X * self.y[:, np.newaxis]
        self.highs = harness.cpu_seconds(lambda: least_l1(self.signed))
        self.least_l1 = np.abs(self.highs[1]).sum()
        self.least_l2 = np.linalg.norm(least_l2(self.signed))

    def log_loss(self, coef):
        """Return the natural logarithm of the mean exponential loss."""
        return float(logsumexp(-self.signed @ coef) - np.log(len(self.y)))

    def excess(self, coef):
        """Return by how much the norms exceed the least ones at the same margin."""
        margin = np.min(self.signed @ coef)
        if margin <= 0:
            return "no margin", "no margin"
        return (
            float(np.abs(coef).sum() / margin / self.least_l1 - 1),
            float(np.linalg.norm(coef) / margin / self.least_l2 - 1),
        )


def least_l1(signed):
    """Return the direction of margin one and of least l1 norm, by HiGHS."""
    n, d = signed.shape
    cost, limit = np.ones(2 * d), -np.ones(n)
    solution = linprog(cost, A_ub=np.hstack([-signed, signed]), b_ub=limit)
    return solution.x[:d] - solution.x[d:]


def least_l2(signed):
    """Return the direction of margin one and of least l2 norm: the hard SVM.

    It points to the point of the samples' convex hull that is nearest to zero, which is
    a problem of non-negative least squares.
    """
    below = np.append(np.zeros(signed.shape[1]), 1.0)
    share, _ = nnls(np.vstack([signed.T, np.ones(len(signed))]), below)
    nearest = signed.T @ (share / share.sum())
    return nearest / (nearest @ nearest)


def flow(race, scale, level):
    """Follow the flow of the network to a log loss; returns its coefficients."""
    net = DiagonalNetClassifier(
        scale,
        units="paper",
        loss="exponential",
        log_loss_tol=level,
        early_stopping=False,
        fit_intercept=False,
    ).fit(race.X, race.y)
    return net.coef_[0]


def descent(race, scale, rate, max_seconds):
    """Plain gradient descent on the weights in torch; returns coefficients, steps."""
    signed = torch.from_numpy(race.signed)
    plus = torch.full((signed.shape[1],), scale, dtype=signed.dtype)
    minus = plus.clone()
    start = time.process_time()
    for step in range(1, 10**9):
        force = torch.exp(-signed @ (plus**2 - minus**2)) / len(signed)
        gradient = 2 * (signed.T @ force)
        plus, minus = plus + rate * gradient * plus, minus - rate * gradient * minus
        if step % 20 == 0 and time.process_time() - start > max_seconds:
            break
    return (plus**2 - minus**2).numpy(), step


def stable_rate(race, scale):
    """Half the inverse of the largest curvature along the flow, known to an oracle.

    Descent leaves the flow above ``2 / sharpness``. In the weights the Hessian of the
    loss is that of the linear model, seen through the tangent kernel, plus twice the
    gradient in the coefficients on its diagonal.
    """
    sharpness = 0.0
    for level in (-0.01, -0.3, -1.0, -2.0, -3.0, -5.0):
        coef = flow(race, scale, level)
        force = np.exp(-race.signed @ coef) / len(race.y)
        kernel = 8 * np.sqrt(coef**2 / 4 + scale**4)
        half = race.signed * np.sqrt(np.outer(force, kernel))
        pull = 2 * np.abs(race.signed.T @ force).max()
        sharpness = max(sharpness, np.linalg.norm(half, 2) ** 2 + pull)
    return 0.5 / sharpness


def bench_loss_levels(args):
    """Time to a training loss of exp(-10), exp(-1000), exp(-1000000).

    Two classes by the sign of a sum of three features (Moroshko et al., 2020), no
    intercept, exponential loss, depth 2. Descent is plain gradient descent in torch on
    the same network at half the inverse of the largest curvature along the flow, until
    its seconds are over; "flow, as far as descent" stops at the loss that descent has
    reached by then, and its ratio is to descent. All other ratios are to HiGHS. Excess
    is the norm at margin one, relative to the least one: of l1 from HiGHS, of l2 from
    the hard SVM. From exp(-10000) on the flow is its zero-temperature limit.
    """
    shapes = [*SHAPES, LARGE] if args.large else SHAPES
    parts = []
    for n_samples, n_features in shapes:
        race = Race(
            *make_sparse_classification(
                n_samples, n_features, N_INFORMATIVE, random_state=args.seed
            )
        )
        rows = [*margin_rows(race)]
        for scale in SCALES:
            rows += flow_rows(race, scale, args)
        header = ["solver", "CPU s", "ratio", "log loss", "excess l1", "excess l2"]
        parts += [f"#### {n_samples} x {n_features}", harness.table(header, rows)]
    return "\n\n".join(parts)


def margin_rows(race):
    """Time the solvers that know no loss level; their norms are their own."""
    plain = {"fit_intercept": False, "max_iter": 1_000_000}
    seconds, coef = race.highs
    yield ["HiGHS, l1 margin", seconds, "1x", "-", *race.excess(coef)]
    tasks = {
        "LinearSVC(hinge, C=1e4)": lambda: (
            LinearSVC(loss="hinge", C=1e4, random_state=0, **plain)
            .fit(race.X, race.y)
            .coef_[0]
        ),
        "LogisticRegression(C=1e8)": lambda: (
            LogisticRegression(C=1e8, **plain).fit(race.X, race.y).coef_[0]
        ),
    }
    for label, task in tasks.items():
        row = timed(race, label, task, seconds)
        yield row if label.startswith("Logistic") else [*row[:3], "-", *row[4:]]


def flow_rows(race, scale, args):
    """Time the flow to each level, descent, and the flow to where descent got."""
    for level in LEVELS:
        yield timed(
            race,
            f"flow, alpha {scale:g}, to {level:g}",
            lambda level=level: flow(race, scale, level),
            race.highs[0],
        )
    rate = stable_rate(race, scale)
    seconds, (coef, steps) = harness.cpu_seconds(
        lambda: descent(race, scale, rate, args.seconds), repeats=1, warm_up=False
    )
    reached = race.log_loss(coef)
    label = f"torch descent, alpha {scale:g}, {steps} steps"
    share = harness.ratio(seconds, race.highs[0])
    yield [label, seconds, share, reached, *race.excess(coef)]
    yield timed(
        race,
        f"flow, alpha {scale:g}, as far as descent",
        lambda: flow(race, scale, reached),
        seconds,
    )


def timed(race, label, task, reference):
    """Return one row: time, ratio to a reference, log loss, both excesses."""
    seconds, coef = harness.cpu_seconds(task)
    share = harness.ratio(seconds, reference)
    return [label, seconds, share, race.log_loss(coef), *race.excess(coef)]


# -- real tables -----------------------------------------------------------------------


def bench_real(args):
    """Real tables: accuracy, log loss and time by nested cross-validation.

    Outer splits measure, inner folds tune, and all methods share both; X is
    standardised on the training part. Means over the outer splits, in brackets their
    standard errors, which overlap of the splits makes too small.
    """
    outcomes = {}
    for name in args.data:
        print(f"-- {name}", file=sys.stderr)
        outcomes[name] = compete(CLASS_TASKS[name], args)
    cells = {
        "Accuracy": partial(mean_and_error, 0),
        "Log loss": partial(mean_and_error, 1),
        "CPU seconds of one fit, tuning included": seconds_and_ratio,
    }
    parts = [shapes(outcomes, args.seed)]
    for title, cell in cells.items():
        rows = [
            [method, *(cell(outcome, method) for outcome in outcomes.values())]
            for method in args.methods
        ]
        parts += [f"#### {title}", harness.table(["method", *outcomes], rows)]
    header = ["data", "ours", "peer", "log loss, ours - peer", "accuracy, ours - peer"]
    rows = [row for name, outcome in outcomes.items() for row in paired(name, outcome)]
    parts += ["#### Ours against the peer of least mean log loss"]
    return "\n\n".join([*parts, harness.table(header, rows)])


def shapes(outcomes, seed):
    """Return a table of the sizes of the data."""
    rows = []
    for name, outcome in outcomes.items():
        X, y = CLASS_TASKS[name].data()
        train, test = CLASS_TASKS[name].splits(X, y, 1, seed)[0]
        sizes = X.shape[1], len(np.unique(y)), len(train), len(test)
        rows.append([name, *sizes, len(next(iter(outcome.values())))])
    header = ["data", "features", "classes", "train", "test", "outer splits"]
    return harness.table(header, rows)


@cache
def warm_up(method, n_classes):
    """Pay once for imports and compilation."""
    rng = np.random.default_rng(0)
    y = np.arange(30) % n_classes
    X = rng.standard_normal((30, 8)) + np.eye(n_classes, 8)[y]
    CLASSIFIERS[method](StratifiedKFold(3), n_classes).fit(X, y)


def compete(task, args):
    """Return ``{method: (n_splits, 3) accuracy, log loss, CPU seconds}``."""
    X, y = task.data()
    classes, codes = np.unique(y, return_inverse=True)
    methods = [
        name
        for name in args.methods
        if len(classes) == 2 or not CLASSIFIERS[name].binary_only
    ]
    results = {name: [] for name in methods}
    for train, test in task.splits(X, codes, args.splits or task.n_splits, args.seed):
        # A fold without a class has no log loss.
        folds = min(FOLDS, np.bincount(codes[train]).min())
        inner = StratifiedKFold(folds, shuffle=True, random_state=args.seed)
        for name in methods:
            model = CLASSIFIERS[name](inner, len(classes))
            warm_up(name, len(classes))
            seconds, fitted = harness.cpu_seconds(
                partial(model.fit, X[train], codes[train]), repeats=1, warm_up=False
            )
            # Not score: of a search that is the score it searched by.
            accuracy = np.mean(fitted.predict(X[test]) == codes[test])
            loss = np.nan
            if CLASSIFIERS[name].probabilities:
                loss = log_loss(
                    codes[test],
                    fitted.predict_proba(X[test]),
                    labels=np.arange(len(classes)),
                )
            results[name].append((accuracy, loss, seconds))
    for name, runs in results.items():
        mean = np.mean(runs, axis=0)
        print(f"{name}: {mean.round(4).tolist()}", file=sys.stderr, flush=True)
    return {name: np.array(runs) for name, runs in results.items()}


def mean_and_error(column, outcome, method):
    """Write a mean and its standard error; nothing where there is none."""
    if method not in outcome or np.isnan(outcome[method][:, column]).any():
        return "-"
    values = outcome[method][:, column]
    return f"{values.mean():.3f} ({standard_error(values):.3f})"


def seconds_and_ratio(outcome, method):
    """Write mean seconds and their ratio to those of the first method."""
    if method not in outcome:
        return "-"
    own, first = outcome[method][:, 2].mean(), next(iter(outcome.values()))[:, 2].mean()
    return f"{harness.number(own)} ({harness.ratio(own, first)})"


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan


def paired(name, outcome):
    """Compare each of ours with the best of the peers, on the same splits."""
    peers = [
        m for m in outcome if not CLASSIFIERS[m].ours and CLASSIFIERS[m].probabilities
    ]
    if not peers:
        return []
    best = min(peers, key=lambda m: outcome[m][:, 1].mean())
    rows = []
    for method in outcome:
        if CLASSIFIERS[method].ours:
            gap = outcome[method] - outcome[best]
            cells = (
                f"{gap[:, k].mean():+.4f} ({standard_error(gap[:, k]):.4f})"
                for k in (1, 0)
            )
            rows.append([name, method, best, *cells])
    return rows


# -- running ---------------------------------------------------------------------------

SLOW = {"nci60"}  # eight networks of 6830 features: only where asked for
SECTIONS = {"loss_levels": bench_loss_levels, "real": bench_real}


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=[*SECTIONS])
    parser.add_argument("--large", action="store_true", help="loss levels of 500x10000")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="given to each gradient descent"
    )
    usual = [name for name in CLASS_TASKS if name not in SLOW]
    parser.add_argument("--data", nargs="+", choices=CLASS_TASKS, default=usual)
    parser.add_argument(
        "--methods", nargs="+", choices=CLASSIFIERS, default=[*CLASSIFIERS]
    )
    parser.add_argument(
        "--splits", type=int, help="outer splits (default: by data set)"
    )
    parser.add_argument("--quick", action="store_true", help="small, in minutes")
    args = parser.parse_args(argv)
    if args.quick:
        args.splits, args.seconds = 2, 1.0
        args.data = [name for name in args.data if name != "khan"]
    print(harness.environment())
    for name in args.sections:
        section = SECTIONS[name]
        with harness.single_thread(), warnings.catch_warnings():
            # Peers that do not converge show it by their scores.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Pixels that are constant within a class, to NearestCentroid.
            warnings.filterwarnings("ignore", "self.within_class_std_dev_")
            text = f"### {inspect.cleandoc(section.__doc__)}\n\n{section(args)}"
        print("\n" + text, flush=True)
        if args.save:
            harness.save_section(f"bench_classifier {name}", text)


if __name__ == "__main__":
    main()
