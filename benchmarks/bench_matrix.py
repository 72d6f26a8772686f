"""Tables with holes, by factorization and by peers: error, time, distance to the flow.

    python -m benchmarks.bench_matrix                        # all of it, an hour
    python -m benchmarks.bench_matrix --quick                # a taste, in minutes
    python -m benchmarks.bench_matrix --sections ratings --methods cmfrec "flow, k=50"
    python -m benchmarks.bench_matrix --sections recovery --tables cancer image

Every method chooses its settings, and the flow its time, on the same held-out tenth of
the training entries, is then fitted to all of them, and meets the test entries once.
"""

import inspect
import json
import sys
import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from sklearn.exceptions import ConvergenceWarning

from benchmarks import _harness as harness
from benchmarks._datasets import load_table
from benchmarks._matrix_peers import RATING_PEERS, TABLE_PEERS, Observed, Trial, rmse
from skregimes import MatrixCompletionRegressor, MatrixFactorizer
from skregimes.datasets import load_ratings, make_low_rank_matrix_completion
from skregimes.flows.chebyshev import chebyshev
from skregimes.networks.factors import alpha_of, draw_factors
from skregimes.networks.matrix import FactorizationProblem
from skregimes.networks.measurements import entries as entry_measurements

REFERENCE = "cmfrec"
SEED = 101  # the first nobody has looked at
TEST_SHARE = 0.1


# -- competitions ----------------------------------------------------------------------


def compete(peers, trials):
    """Tune every peer on every trial; returns lists of `Tuned`, with test errors."""
    results = {}
    for name, peer in peers.items():
        results[name] = []
        for trial in trials:
            with harness.single_thread(), warnings.catch_warnings():
                # Peers that do not converge show it by their errors.
                warnings.simplefilter("ignore", ConvergenceWarning)
                tuned = peer.tuned(trial)
            error = rmse(tuned.predict, trial.test) / trial.unit
            results[name].append((error, tuned))
            print(
                f"{name}: test {error:.4f}, held out {tuned.held_error:.4f}, "
                f"{tuned.seconds:.1f} s, {tuned.setting}",
                file=sys.stderr,
                flush=True,
            )
    return results


def errors_of(results):
    """Return test errors as an array for each method."""
    return {name: np.array([e for e, _ in runs]) for name, runs in results.items()}


def mean_of(runs, attribute):
    return np.mean([getattr(tuned, attribute) for _, tuned in runs])


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan


def settings_of(runs):
    """Return the setting chosen most often, in words."""
    words = [
        ", ".join(f"{key} {short(value)}" for key, value in tuned.setting.items())
        for _, tuned in runs
    ]
    return Counter(words).most_common(1)[0][0] or "-"


def short(value):
    if isinstance(value, dict):
        return "/".join(short(part) for part in value.values())
    if isinstance(value, float):
        return harness.number(value)
    return str(value)


# -- ratings ---------------------------------------------------------------------------


def rating_trials(n_splits, seed):
    """Return splits of the ratings, users and movies numbered from 0."""
    X, y = load_ratings(return_X_y=True)
    labels, places = zip(*(np.unique(column, return_inverse=True) for column in X.T))
    shape = tuple(len(part) for part in labels)
    order = np.lexsort(places[::-1])
    ratings = Observed(*(part[order] for part in places), y[order], shape)
    return [
        Trial(*ratings.split(TEST_SHARE, np.random.RandomState(number)), number)
        for number in range(seed, seed + n_splits)
    ]


def bench_ratings(args):
    """Ratings of movies: test error over splits that nobody looked at while tuning.

    100 004 ratings by 671 users of 9066 movies; a tenth is the test set, a tenth of the
    rest chooses the settings. "cmfrec, implicit" also models which movies a user rated,
    the others only how. Flows choose their time within the fit: one fit of theirs is a
    search and a fit.
    """
    peers = wanted(RATING_PEERS, args)
    trials = rating_trials(args.splits, args.seed)
    results = compete(peers, trials)
    errors = errors_of(results)
    base = REFERENCE if REFERENCE in peers else next(iter(peers))
    seconds, fit_seconds = (
        {name: mean_of(runs, what) for name, runs in results.items()}
        for what in ("seconds", "fit_seconds")
    )
    rows = [
        [
            name,
            f"{error.mean():.4f}",
            f"{standard_error(error):.4f}",
            f"{np.mean(error - errors[base]):+.4f}",
            f"{standard_error(error - errors[base]):.4f}",
            seconds[name],
            harness.ratio(seconds[name], seconds[base]),
            fit_seconds[name],
            harness.ratio(fit_seconds[name], fit_seconds[base]),
            settings_of(results[name]),
        ]
        for name, error in errors.items()
    ]
    header = ["method", "test RMSE", "se", f"minus {base}", "se", "search + fit, s"]
    header += ["ratio", "one fit, s", "ratio", "setting chosen most often"]
    return harness.table(header, rows)


# -- recovery --------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A synthetic table: noise in units of the entries' deviation."""

    shape: tuple
    rank: int
    share: float
    noise: float = 0.0

    def trial(self, seed):
        """Draw one; the test entries are those not observed, without noise."""
        X, matrix = make_low_rank_matrix_completion(
            self.shape,
            rank=self.rank,
            n_observed=self.share,
            noise=self.noise,
            random_state=seed,
            return_matrix=True,
        )
        seen = np.isfinite(X)
        return Trial(observed(X, seen), observed(matrix, ~seen), seed)


@dataclass(frozen=True)
class Real:
    """A real table of which a share is hidden; errors are in units of the means'.

    Columns, or the whole table, are centred and scaled by what is seen.
    """

    name: str
    hidden: float
    by_column: bool = True

    def trial(self, seed):
        """Hide entries; they are the test entries."""
        table = load_table(self.name)
        seen = np.random.RandomState(seed).random_sample(table.shape) >= self.hidden
        known = np.where(seen, table, np.nan)
        axis = 0 if self.by_column else None
        scale = np.nanstd(known, axis=axis)
        scale = np.where(scale > 0, scale, 1.0)
        table = (table - np.nanmean(known, axis=axis)) / scale
        unit = float(np.sqrt(np.mean(table[~seen] ** 2)))
        return Trial(observed(table, seen), observed(table, ~seen), seed, unit)


def observed(table, chosen):
    rows, cols = np.nonzero(chosen)
    return Observed(rows, cols, table[rows, cols], table.shape)


TABLES = {
    "40x40 r2 50 %": Drawn((40, 40), 2, 0.5),
    "100x100 r5 20 %": Drawn((100, 100), 5, 0.2),
    "100x100 r5 50 %": Drawn((100, 100), 5, 0.5),
    "200x60 r4 40 % noise": Drawn((200, 60), 4, 0.4, noise=0.15),
    "cancer": Real("cancer", 0.5),
    "digits": Real("digits", 0.5),
    "image": Real("image", 0.7, by_column=False),
}


def bench_recovery(args):
    """Tables with holes: error at what was hidden, relative to that of the means.

    Synthetic tables are Gaussian factors' products with the share of entries observed
    that is named, the noisy one with noise of 0.15 of the entries' deviation; their
    errors are against the table without noise. Of the real ones a half was hidden, of
    the image 70 %. Means over draws; seconds are of search and fit.
    """
    peers = wanted(TABLE_PEERS, args)
    errors, seconds, notes = [], [], []
    for name in args.tables:
        trials = [TABLES[name].trial(args.seed + i) for i in range(args.splits)]
        print(f"-- {name}", file=sys.stderr)
        results = compete(peers, trials)
        errors.append({key: e.mean() for key, e in errors_of(results).items()})
        seconds.append({key: mean_of(runs, "seconds") for key, runs in results.items()})
        notes.append(paired(name, errors_of(results)))
    parts = [
        "#### Error",
        harness.table(["method", *args.tables], by_method(peers, errors)),
        "#### Search and fit, seconds",
        harness.table(["method", *args.tables], by_method(peers, seconds)),
        "#### Default flow against the best peer, the peer of least mean error",
        harness.table(["table", "peer", "flow / peer", "flow - peer", "se"], notes),
    ]
    return "\n\n".join(parts)


def by_method(peers, columns):
    return [[name, *(column[name] for column in columns)] for name in peers]


def paired(table, errors):
    """Compare the default flow with the best of the peers, on the same draws."""
    others = {name: e for name, e in errors.items() if not name.startswith("flow")}
    ours = next((e for name, e in errors.items() if name.startswith("flow")), None)
    if ours is None or not others:
        return [table, "-", "-", "-", "-"]
    best = min(others, key=lambda name: others[name].mean())
    gap = ours - others[best]
    return [
        table,
        best,
        harness.ratio(ours.mean(), others[best].mean()),
        f"{gap.mean():+.4f}",
        f"{standard_error(gap):.4f}",
    ]


# -- speed -----------------------------------------------------------------------------

LARGE_SHAPE, LARGE_RANK, LARGE_NOISE = (100_000, 20_000), 5, 0.5


def large_entries(n_entries, seed):
    """Draw entries of a low-rank matrix with noise; the last hundredth is to test."""
    rng = np.random.default_rng(seed)
    # Fewer entries, smaller table: as many a row.
    shrink = min(1.0, n_entries / 1e7)
    shape = tuple(max(100, int(size * shrink)) for size in LARGE_SHAPE)
    left, right = (
        rng.standard_normal((size, LARGE_RANK), np.float32) for size in shape
    )
    place = np.unique(rng.integers(shape[0] * shape[1], size=int(1.01 * n_entries)))
    rows, cols = np.divmod(place, shape[1])
    values = np.einsum("ij,ij->i", left[rows], right[cols]) / np.sqrt(LARGE_RANK)
    values += LARGE_NOISE * rng.standard_normal(len(values), np.float32)
    test = np.zeros(len(values), bool)
    test[rng.permutation(len(values))[: len(values) // 101]] = True
    drawn = Observed(rows, cols, values, shape)
    return drawn.take(~test), drawn.take(test)


def _large_pairs(train, k, **options):
    X = np.column_stack([train.rows, train.cols])
    model = MatrixCompletionRegressor(k, center="both", random_state=0, **options)
    model.fit(X, train.values)
    return lambda rows, cols: model.predict(np.column_stack([rows, cols]))


def _large_sparse(train, k, **options):
    model = MatrixFactorizer(k, center="both", random_state=0, **options)
    model.fit(train.sparse())
    return model.predict_entries


def _large_cmfrec(train, k, **options):
    return RATING_PEERS["cmfrec"].fit(train, k=k, penalty=10, bias_penalty=3)


LARGE_TASKS = {
    "flow, pairs": _large_pairs,
    "flow, sparse": _large_sparse,
    "cmfrec": _large_cmfrec,
}


def large_task(label, n_entries, k, seed):
    """Run one large fit and print its time, memory and test error as JSON."""
    train, test = large_entries(n_entries, seed)
    before = harness.peak_memory()
    with harness.single_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        seconds, predict = harness.cpu_seconds(
            lambda: LARGE_TASKS[label](train, k), repeats=1, warm_up=False
        )
    peak = harness.peak_memory()
    print(json.dumps([seconds, before, peak, rmse(predict, test)]))


def bench_speed(args):
    """One fit: a hundred thousand ratings at k = 50, ten million entries at k = 10.

    Times of flows include the search of their time. The large table is 100 000 x
    20 000, of rank 5 with as much as half its deviation in noise; its fits run in
    processes of their own for their peak memory.
    """
    ratings = rating_trials(1, args.seed)[0]
    X = np.column_stack([ratings.train.rows, ratings.train.cols])
    y = ratings.train.values
    flow = lambda **options: MatrixCompletionRegressor(
        50, center="both", random_state=0, **options
    )
    tasks = {
        "cmfrec": lambda: RATING_PEERS["cmfrec"].fit(
            ratings.train, k=50, penalty=12, bias_penalty=3
        ),
        "flow": lambda: flow().fit(X, y),
        "flow, float32": lambda: flow(dtype="float32").fit(X, y),
    }
    done = flow(dtype="float32").fit(X, y)
    once = {"early_stopping": False, "max_time": done.time_, "dtype": "float32"}
    tasks["flow, float32, time given"] = lambda: flow(**once).fit(X, y)
    rows = []
    for name, task in tasks.items():
        seconds, _ = harness.cpu_seconds(task, repeats=1 if args.quick else 3)
        rows.append(
            [name, seconds, harness.ratio(seconds, rows[0][1] if rows else seconds)]
        )
    parts = [
        f"#### {len(y)} ratings, k = 50",
        harness.table(["fit", "CPU s", "ratio"], rows),
    ]
    rows = []
    for label in LARGE_TASKS:
        seconds, before, peak, error = harness.in_fresh_process(
            "benchmarks.bench_matrix", "--task", label, args.entries, 10, args.seed
        )
        share = harness.ratio(seconds, rows[0][1]) if rows else "1x"
        rows.append([label, seconds, share, peak, peak - before, f"{error:.4f}"])
    header = ["fit", "CPU s", "ratio", "peak MB", "of which the fit's", "test RMSE"]
    parts += [f"#### {args.entries} entries, k = 10", harness.table(header, rows)]
    return "\n\n".join(parts)


# -- faithfulness ----------------------------------------------------------------------

FLOWS = [(2, 1e-1), (2, 1e-3), (2, 1e-6), (3, 1e-3)]
RESIDUAL = 1e-4  # where flows end, relative to the data
N_NODES = 40


class Counted:
    """Measurements that count how often they are pulled back.

    A gradient and a product with the Hessian, of which the curvature is made, each do
    that once.
    """

    def __init__(self, measurements):
        self._measurements, self.count = measurements, 0

    def __getattr__(self, name):
        return getattr(self._measurements, name)

    def pull_back(self, residual):
        self.count += 1
        return self._measurements.pull_back(residual)


class Race:
    """A 20 x 20 table of rank 2, half of it observed, and the flow of its factors."""

    shape, rank, width = (20, 20), 2, 20

    def __init__(self, depth, scale, seed):
        X = make_low_rank_matrix_completion(
            self.shape, rank=self.rank, n_observed=0.5, random_state=seed
        )
        self.mask = np.isfinite(X)
        self.Y = np.where(self.mask, X, 0.0)
        alpha = alpha_of("orthogonal", scale, self.width, depth)
        self.start = draw_factors(
            "orthogonal", self.shape, self.width, depth, alpha, random_state=seed
        )
        self.problem = self._problem()
        self.theta = self.problem.pack(self.start)
        self.time, self.end_sharpness = self._until()
        self.nodes = np.geomspace(0.05, 1, N_NODES) * self.time
        self.reference = self._reference()

    def _problem(self):
        rows, cols = np.nonzero(self.mask)
        like = torch.empty(0, dtype=torch.float64)
        measured = Counted(entry_measurements(rows, cols, self.shape, like=like))
        target = measured.lay_out(self.Y[rows, cols])
        depth = len(self.start)
        return FactorizationProblem(measured, target, self.shape, self.width, depth)

    def _until(self):
        """Return the time at which the residual is small, and the curvature there."""
        end = chebyshev(self.problem, self.theta, rtol=1e-4, tol=RESIDUAL**2)
        return end.time, self.problem.sharpness(end.theta)[0]

    def gradient(self, factors):
        """Return the gradients of the loss, in plain NumPy."""
        below = [np.eye(self.shape[1])]
        for W in factors[:-1]:
            below.append(W @ below[-1])
        after = np.where(self.mask, factors[-1] @ below[-1] - self.Y, 0.0)
        gradients = []
        for W, before in zip(factors[::-1], below[::-1]):
            gradients.append(after @ before.T)
            after = W.T @ after
        return gradients[::-1]

    def _reference(self):
        """Return the products at the nodes along a flow of high precision."""
        sizes = [W.size for W in self.start]

        def unpack(flat):
            parts = np.split(flat, np.cumsum(sizes)[:-1])
            return [part.reshape(W.shape) for part, W in zip(parts, self.start)]

        def velocity(_, flat):
            parts = self.gradient(unpack(flat))
            return -np.concatenate([part.ravel() for part in parts])

        start = np.concatenate([W.ravel() for W in self.start])
        smallest = np.sqrt(np.mean(start**2))
        found = solve_ivp(
            velocity,
            (0.0, self.time),
            start,
            method="DOP853",
            t_eval=self.nodes,
            rtol=1e-10,
            atol=1e-10 * smallest,
        )
        self.reference_evaluations = found.nfev
        return [product(unpack(flat)) for flat in found.y.T]

    def errors(self, products):
        """Return the distances to the reference at the nodes, relative to its end."""
        size = np.linalg.norm(self.reference[-1])
        return [np.linalg.norm(A - B) / size for A, B in zip(products, self.reference)]


def product(factors):
    result = factors[0]
    for W in factors[1:]:
        result = W @ result
    return result


def chebyshev_run(race, rtol):
    """Follow by ours; return products at the nodes and the number of gradients."""
    products = []

    def take(now, theta, loss):
        if now > 0:
            products.append(product(race.problem.unpack(theta)))

    before = race.problem.measurements.count
    options = {"max_time": race.time, "nodes": race.nodes, "on_node": take}
    chebyshev(race.problem, race.theta, rtol=rtol, **options)
    return products, race.problem.measurements.count - before


def descent_run(race, share):
    """Gradient descent in NumPy, at a share of the inverse of the largest curvature."""
    steps = int(np.ceil(race.time * race.end_sharpness / share))
    rate = race.time / steps
    when = np.maximum(np.rint(race.nodes / rate).astype(int), 1)
    factors, products = [W.copy() for W in race.start], []
    for step in range(1, steps + 1):
        for W, gradient in zip(factors, race.gradient(factors)):
            W -= rate * gradient
        if step == when[len(products)]:
            products += [product(factors)] * np.count_nonzero(when == step)
    return products, steps


RUNS = {
    "chebyshev 1e-2": lambda race: chebyshev_run(race, 1e-2),
    "chebyshev 1e-3": lambda race: chebyshev_run(race, 1e-3),
    "chebyshev 1e-4": lambda race: chebyshev_run(race, 1e-4),
    "descent 1/rho": lambda race: descent_run(race, 1.0),
    "descent 0.1/rho": lambda race: descent_run(race, 0.1),
}


def bench_faithfulness(args):
    """Distance to the flow: a 20 x 20 table of rank 2, half observed, balanced start.

    All begin at the same factors of width 20 and go to the same flow time, where the
    residual is 1e-4 of the data; s0 is the end-to-end scale of the start, entries have
    deviation 1. The reference is SciPy's DOP853 at rtol 1e-10. Errors are distances of
    the product, relative to its norm at the end: at the end and the largest at 40 times
    on the way, where singular values rise. Gradients include the products with the
    Hessian that measure the curvature. Descent has the rate 1/rho, rho the curvature at
    the end.
    """
    flows = FLOWS[: 1 if args.quick else None]
    return "\n\n".join(one_race(Race(*flow, args.seed), *flow) for flow in flows)


def one_race(race, depth, scale):
    rows = []
    for name, run in RUNS.items():
        seconds, (products, gradients) = harness.cpu_seconds(
            lambda run=run: run(race), repeats=1
        )
        errors = race.errors(products)
        row = [name, errors[-1], max(errors), gradients, seconds]
        first = rows[0] if rows else row
        rows.append([*row, *(harness.ratio(row[i], first[i]) for i in (3, 4))])
    header = ["solver", "error", "largest on the way", "gradients", "CPU s"]
    header += ["gradients, ratio", "time, ratio"]
    title = (
        f"#### depth {depth}, s0 = {scale:.0e}; the reference took "
        f"{race.reference_evaluations} gradients"
    )
    return f"{title}\n\n{harness.table(header, rows)}"


# -- command line ----------------------------------------------------------------------

SECTIONS = {
    "ratings": bench_ratings,
    "recovery": bench_recovery,
    "speed": bench_speed,
    "faithfulness": bench_faithfulness,
}


def wanted(peers, args):
    """Return the methods asked for."""
    names = args.methods or peers
    return {name: peer for name, peer in peers.items() if name in names}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--task"]:
        label, *numbers = argv[1:]
        large_task(label, *map(int, numbers))
        return
    parser = harness.parser(__doc__)
    parser.set_defaults(seed=SEED)
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[*SECTIONS])
    names = list(dict.fromkeys([*RATING_PEERS, *TABLE_PEERS]))
    parser.add_argument("--methods", nargs="+", choices=names)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=[*TABLES])
    parser.add_argument("--splits", type=int, default=5, help="splits, or draws")
    parser.add_argument(
        "--entries", type=int, default=10_000_000, help="of the large table"
    )
    parser.add_argument("--quick", action="store_true", help="small, in minutes")
    args = parser.parse_args(argv)
    if args.quick:
        args.splits, args.entries, args.tables = 2, 200_000, args.tables[:1]
    print(harness.environment())
    for name in args.sections:
        section = SECTIONS[name]
        with harness.single_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            text = f"### {inspect.cleandoc(section.__doc__)}\n\n{section(args)}"
        print("\n" + text, flush=True)
        if args.save:
            harness.save_section(f"bench_matrix {name}", text)


if __name__ == "__main__":
    main()
