"""Nested cross-validation on real tables: R2 and time beside the usual methods.

Outer folds measure, inner folds tune; all methods share both. Run

    python -m benchmarks.bench_real --methods LassoCV RidgeCV --data hitters judges
"""

import functools
import sys
import warnings

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.model_selection import KFold

from benchmarks import _harness as harness
from benchmarks._datasets import PROBLEMS, load
from benchmarks._peers import METHODS

REFERENCES = ("LassoCV", "RidgeCV")
PROPOSED = ("NetCV", "NetGCV", "Net", "Net, raw")


@functools.cache
def warm_up(method):
    """Pay once per process for imports and compilation."""
    X = np.random.default_rng(0).standard_normal((30, 8))
    cv = KFold(3)
    METHODS[method](cv, 20, 8).fit(X, X @ np.arange(8.0) + 1)


def one_fold(data, repetition, fold, methods, folds, seed):
    """Fit every method on one outer training set.

    Returns ``{method: (squared error, CPU seconds, warned)}``, the error being the
    sum over the outer test set.
    """
    X, y = load(data)
    outer = KFold(folds, shuffle=True, random_state=seed + repetition)
    train, test = list(outer.split(X))[fold]
    inner = KFold(folds, shuffle=True, random_state=seed)
    out = {}
    with harness.single_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for method in methods:
            warm_up(method)
            caught.clear()
            estimator = METHODS[method](inner, len(train), X.shape[1])
            seconds, fitted = harness.cpu_seconds(
                lambda e=estimator: clone(e).fit(X[train], y[train]),
                repeats=1,
                warm_up=False,
            )
            warned = bool(caught)
            error = ((fitted.predict(X[test]).ravel() - y[test]) ** 2).sum()
            out[method] = error, seconds, warned
    return out


def run(data, methods, *, folds, seed, repetitions, n_jobs):
    """Return arrays (n_data, n_methods) R2, seconds, warned and the fold errors."""
    r2, seconds, warned, errors = [], [], [], {}
    for name in data:
        tasks = [
            delayed(one_fold)(name, repetition, fold, methods, folds, seed)
            for repetition in range(repetitions or PROBLEMS[name].repetitions)
            for fold in range(folds)
        ]
        results = [
            [result[method] for method in methods] for result in Parallel(n_jobs)(tasks)
        ]
        of_folds = np.array(results)  # (repetitions * folds, n_methods, 3)
        y = load(name)[1]
        # Squared error of each outer fold, as a share of the variance of y.
        errors[name] = of_folds[..., 0] / (y.size / folds * y.var())
        r2.append(1 - errors[name].mean(axis=0))
        seconds.append(of_folds[..., 1].mean(axis=0))
        warned.append(of_folds[..., 2].sum(axis=0))
        scores = ", ".join(
            f"{method} {score:.3f} ({s:.2f} s)"
            for method, score, s in zip(methods, r2[-1], seconds[-1])
        )
        print(f"{name}: {scores}", file=sys.stderr, flush=True)
    return np.array(r2), np.array(seconds), np.array(warned), errors


def wins_ties_losses(errors, left, right):
    """Count the data sets where two methods differ by two standard errors."""
    counts = [0, 0, 0]
    for of_data in errors.values():
        difference = of_data[:, right] - of_data[:, left]
        margin = 2 * difference.std(ddof=1) / np.sqrt(len(difference))
        mean = difference.mean()
        counts[0 if mean > margin else 2 if mean < -margin else 1] += 1
    return "/".join(map(str, counts))


def mean_ranks(methods, r2):
    """Rank the linear methods: each of ours alone among the peers, they beside NetCV.

    Ranking our own variants against each other would push the peers down.
    """
    ranked = [method for method in methods if METHODS[method].ranked]
    peers = [method for method in ranked if method not in PROPOSED]
    ranks = np.full(len(methods), np.nan)
    for j, method in enumerate(methods):
        if method in ranked:
            ours = method if method in PROPOSED else PROPOSED[0]
            field = [m for m in methods if m in peers or m == ours]
            scores = r2[:, [methods.index(m) for m in field]]
            ranks[j] = rankdata(-scores, axis=1)[:, field.index(method)].mean()
    return ranks


def report(data, methods, r2, seconds, warned, errors):
    """Return the three tables as markdown."""
    shapes = [load(name)[0].shape for name in data]
    labels = [name + ("*" if PROBLEMS[name].synthetic else "") for name in data]

    def by_data(title, values, form):
        rows = [
            [label, *shape, *map(form, row)]
            for label, shape, row in zip(labels, shapes, values)
        ]
        return f"{title}\n\n" + harness.table(["data", "n", "p", *methods], rows)

    # Means over problems leave out the drawn ones.
    real = np.array([not PROBLEMS[name].synthetic for name in data])
    errors = {name: e for name, e in errors.items() if not PROBLEMS[name].synthetic}
    r2_real, seconds_real = r2[real], seconds[real]
    ranks = mean_ranks(methods, r2_real)
    header = ["method", "mean R2", "median R2", "mean rank"]
    columns = [r2_real.mean(axis=0), np.median(r2_real, axis=0), ranks]
    if set(REFERENCES) <= set(methods):
        better = r2_real[:, [methods.index(name) for name in REFERENCES]].max(axis=1)
        loss = better[:, None] - r2_real
        header += ["median loss", "mean loss", "worst loss"]
        columns += [np.median(loss, axis=0), loss.mean(axis=0), loss.max(axis=0)]
    header += ["mean s"]
    columns += [seconds_real.mean(axis=0)]
    for name in ("ElasticNetCV", "LassoCV"):
        if name in methods:
            factor = seconds_real / seconds_real[:, [methods.index(name)]]
            header += [f"total s / {name}", f"median s / {name}"]
            total = seconds_real.sum(axis=0)
            columns += [total / total[methods.index(name)], np.median(factor, axis=0)]
    header += ["fits that warned"]
    columns += [warned[real].sum(axis=0)]
    rows = [
        [
            method,
            *(
                "-" if np.isnan(v) else f"{v:.3f}" if abs(v) < 10 else f"{v:.1f}"
                for v in row[:-1]
            ),
            f"{row[-1]:.0f}",
        ]
        for method, row in zip(methods, np.transpose(columns))
    ]
    for proposed in PROPOSED[:2]:
        if proposed in methods:
            header.append(f"{proposed} wins/ties/losses")
            left = methods.index(proposed)
            for j, row in enumerate(rows):
                row.append("-" if j == left else wins_ties_losses(errors, left, j))
    parts = [
        by_data("R2 of nested cross-validation", r2, "{:.3f}".format),
        by_data("CPU seconds of one fit, tuning included", seconds, "{:.3f}".format),
        f"Summary over {real.sum()} real problems; loss is against the better of "
        "LassoCV and RidgeCV; each of ours is ranked alone among the linear peers, "
        "and they beside NetCV; a win or a loss is a paired difference of two "
        "standard errors over the outer folds\n\n" + harness.table(header, rows),
    ]
    if not real.all():
        parts.append("\\* drawn data, left out of the summary")
    return "\n\n".join(parts)


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--data", nargs="+", choices=PROBLEMS, default=[*PROBLEMS])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--folds", type=int, default=5, help="outer and inner folds")
    parser.add_argument(
        "--repetitions", type=int, help="of the outer folds (default: by data set)"
    )
    parser.add_argument("--n-jobs", type=int, default=1)
    args = parser.parse_args(argv)
    outcome = run(
        args.data,
        args.methods,
        folds=args.folds,
        seed=args.seed,
        repetitions=args.repetitions,
        n_jobs=args.n_jobs,
    )
    text = report(args.data, args.methods, *outcome)
    print(harness.environment(), text, sep="\n\n")
    if args.save:
        harness.save_section("real", text)


if __name__ == "__main__":
    main()
