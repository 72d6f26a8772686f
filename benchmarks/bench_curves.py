"""Curves and tables by peers that are not linear: test error and time, nothing hidden.

    python -m benchmarks.bench_curves --quick
    python -m benchmarks.bench_curves --sections curves --methods ReLU "GP, RBF"

Drawn curves: new samples for each seed, the error against the curve without its noise.
Real data: repeated folds, all methods on the same ones.
"""

import inspect
import sys
import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import KFold, RepeatedKFold

from benchmarks import _harness as harness
from benchmarks._datasets import load
from benchmarks._peers import CURVE_METHODS, TABLE_METHODS
from skregimes.datasets import load_motorcycle, make_curve

CURVES = [("kinky", 50), ("smooth", 50), ("doppler", 200), ("bumps", 200)]
REFERENCE = "ReLU"
SLOW = ("MLP lbfgs, CV", "ReLU, search")
INNER = 5


def one_fit(method, X, y, X_test, y_test, seed):
    """Return mean squared test error, CPU seconds and whether the fit warned."""
    inner = KFold(INNER, shuffle=True, random_state=seed)
    estimator = method(inner, *X.shape)
    with harness.single_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seconds, model = harness.cpu_seconds(
            lambda: clone(estimator).fit(X, y), repeats=1, warm_up=False
        )
    error = np.mean((np.ravel(model.predict(X_test)) - y_test) ** 2)
    return float(error), seconds, bool(caught)


def compete(methods, trials, seed, n_jobs):
    """Fit all methods on all trials ``(X, y, X_test, y_test)``.

    Returns an array (n_methods, n_trials, 3).
    """
    # Pay for imports first, in each process as it comes: a tiny fit.
    tasks = [
        delayed(one_trial)(methods, trial, seed, first=i < max(1, n_jobs))
        for i, trial in enumerate(trials)
    ]
    results = Parallel(n_jobs)(tasks)
    return np.array(results, dtype=float).transpose(1, 0, 2)


def one_trial(methods, trial, seed, first):
    """Fit every method on one training set."""
    X, y = trial[:2]
    if first:
        few = slice(0, 20)
        for method in methods.values():
            one_fit(method, X[few], y[few], X[few], y[few], seed)
    return [one_fit(method, *trial, seed) for method in methods.values()]


def summary(methods, results, unit):
    """Return a table: mean errors, and paired differences to our default.

    Errors are in units of ``unit``, a variance.
    """
    names = list(methods)
    error = results[..., 0] / unit
    n_trials = error.shape[1]
    reference = error[names.index(REFERENCE)] if REFERENCE in names else error[0]
    rows = []
    for name, values, own in zip(names, error, results):
        difference = values - reference
        spread = difference.std(ddof=1) / np.sqrt(n_trials)
        rows.append(
            [
                name,
                values.mean(),
                np.median(values),
                f"{difference.mean():+.4f}",
                f"{spread:.4f}" if np.any(difference) else "-",
                own[:, 1].mean(),
                f"{own[:, 2].sum():.0f}",
            ]
        )
    header = ["method", "MSE / variance", "median", f"minus {REFERENCE}", "se"]
    return harness.table([*header, "CPU s", "warned"], rows)


def report(title, methods, results, unit):
    """Print a table on the way, and return it."""
    text = f"#### {title}\n\n{summary(methods, results, unit)}"
    print(text, file=sys.stderr, flush=True)
    return text


def wanted(methods, args):
    """Return the methods asked for; a quick run leaves out the slowest unasked."""
    names = args.methods or [
        name for name in methods if not (args.quick and name in SLOW)
    ]
    return {name: method for name, method in methods.items() if name in names}


def bench_curves(args):
    """Drawn curves, noise 0.1 or 0.3 of their deviation: error against the truth."""
    methods, parts = wanted(CURVE_METHODS, args), []
    grid = np.linspace(-0.98, 0.98, 1000)[:, None]
    for kind, n_samples in CURVES[: 1 if args.quick else None]:
        for noise in (0.3,) if args.quick else (0.1, 0.3):
            trials = []
            for trial in range(args.trials):
                X, y, curve = make_curve(
                    kind,
                    n_samples,
                    noise=noise,
                    random_state=args.seed + trial,
                    return_function=True,
                )
                trials.append((X, y, grid, curve(grid)))
            results = compete(methods, trials, args.seed, args.n_jobs)
            title = f"{kind}, n={n_samples}, noise {noise}, {args.trials} draws"
            parts.append(report(title, methods, results, 1.0))
    return "\n\n".join(parts)


def folds_of(X, y, n_splits, repetitions, seed):
    """Return the trials of repeated folds."""
    cv = RepeatedKFold(n_splits=n_splits, n_repeats=repetitions, random_state=seed)
    return [(X[i], y[i], X[j], y[j]) for i, j in cv.split(X)]


def bench_motorcycle(args):
    """The motorcycle data: repeated folds.

    Folds overlap: standard errors are of paired differences, and too small rather than
    too large.
    """
    methods = wanted(CURVE_METHODS, args)
    X, y = load_motorcycle(return_X_y=True)
    n_splits = 2 if args.quick else 10
    trials = folds_of(X, y, n_splits, args.repetitions, args.seed)
    results = compete(methods, trials, args.seed, args.n_jobs)
    title = f"mcycle, n=133, {args.repetitions} x {n_splits} folds"
    return report(title, methods, results, y.var())


def bench_tables(args):
    """Tables of several features: repeated 10-fold, above 1000 samples 5-fold once."""
    methods, parts = wanted(TABLE_METHODS, args), []
    for name in args.data:
        X, y = load(name)
        if args.quick:
            X, y = X[:100], y[:100]
        long = len(X) > 1000
        n_splits, repetitions = (5, 1) if long else (10, args.repetitions)
        if args.quick:
            n_splits, repetitions = 2, 1
        trials = folds_of(X, y, n_splits, repetitions, args.seed)
        results = compete(methods, trials, args.seed, args.n_jobs)
        n, d = X.shape
        title = f"{name}, n={n}, d={d}, {repetitions} x {n_splits} folds"
        parts.append(report(title, methods, results, y.var()))
    return "\n\n".join(parts)


SECTIONS = {
    "curves": bench_curves,
    "motorcycle": bench_motorcycle,
    "tables": bench_tables,
}


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[*SECTIONS])
    names = sorted(CURVE_METHODS.keys() | TABLE_METHODS.keys())
    parser.add_argument("--methods", nargs="+", choices=names)
    tables = ["diabetes", "concrete", "ames"]
    parser.add_argument("--data", nargs="+", choices=tables, default=tables)
    parser.add_argument("--trials", type=int, default=10, help="draws of a curve")
    parser.add_argument("--repetitions", type=int, default=3, help="of the folds")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small, in minutes")
    args = parser.parse_args(argv)
    if args.quick:
        args.trials, args.repetitions, args.data = 2, 1, args.data[:1]
    print(harness.environment())
    for name in args.sections:
        section = SECTIONS[name]
        text = f"### {inspect.cleandoc(section.__doc__)}\n\n{section(args)}"
        print("\n" + text, flush=True)
        if args.save:
            harness.save_section(f"curves {name}", text)


if __name__ == "__main__":
    main()
