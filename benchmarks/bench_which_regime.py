"""Where trees, kernels or plain regression serve better than the networks here.

    python -m benchmarks.bench_which_regime --data hitters concrete

Outer folds measure, inner folds tune; all methods share both. A method that would take
minutes a fit on a table is left out there: a dash.
"""

import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV

from benchmarks import _harness as harness
from benchmarks._datasets import load
from benchmarks._peers import METHODS, TABLE_METHODS, Method
from benchmarks.bench_curves import folds_of, one_fit

DATA = ("khan_0", "permeability", "hitters", "us_crime", "diabetes", "concrete")
FOLDS = 5


def _boosting_tuned(cv, n_samples, n_features):
    grid = {"learning_rate": [0.03, 0.1], "min_samples_leaf": [5, 20]}
    model = HistGradientBoostingRegressor(max_iter=200, random_state=0)
    return GridSearchCV(model, grid, cv=cv, scoring="neg_mean_squared_error")


def _relu(cv, n_samples, n_features):
    from skregimes import ShallowReLURegressor

    # One percent is far below the noise of a score.
    return ShallowReLURegressor(rtol=1e-2, random_state=0)


# Each with the largest numbers of rows and columns that it is given.
CONTEST = {
    "OLS": (Method(lambda *_: LinearRegression()), 10**4, 10**4),
    "LassoCV": (METHODS["LassoCV"], 10**4, 10**4),
    "MCP": (METHODS["MCP"], 10**4, 10**4),
    "KernelRidge": (METHODS["KernelRidge"], 10**4, 10**4),
    "boosting": (TABLE_METHODS["boosting"], 10**4, 10**4),
    "boosting, tuned": (Method(_boosting_tuned), 10**4, 100),
    "NetGCV": (METHODS["NetGCV"], 10**4, 10**4),
    "ReLU": (Method(_relu, standardised=False), 500, 20),
}


def run(data, seed):
    """Return R2 and CPU seconds, (n_data, n_methods, folds); nan where left out."""
    X = np.random.default_rng(seed).normal(size=(40, 4))
    for method, *_ in CONTEST.values():  # pay for imports and compilation first
        one_fit(method, X, X[:, 0], X, X[:, 0], seed)
    out = np.full((len(data), len(CONTEST), FOLDS, 2), np.nan)
    for results, name in zip(out, data):
        X, y = load(name)
        trials = folds_of(X, y, FOLDS, 1, seed)
        for of_method, (method, most_rows, most_columns) in zip(
            results, CONTEST.values()
        ):
            if len(X) <= most_rows and X.shape[1] <= most_columns:
                for fold, trial in zip(of_method, trials):
                    error, seconds, _ = one_fit(method, *trial, seed)
                    fold[:] = 1 - error / y.var(), seconds
        scores = ", ".join(
            f"{method} {score:.3f} ({seconds:.2f} s)"
            for method, (score, seconds) in zip(CONTEST, results.mean(axis=1))
        )
        print(f"{name}: {scores}", file=sys.stderr, flush=True)
    return out[..., 0], out[..., 1]


def report(data, r2, seconds):
    """Return the tables as markdown."""
    shapes = [load(name)[0].shape for name in data]

    def by_data(title, values):
        rows = [
            [name, *map(str, shape), *("-" if np.isnan(v) else f"{v:.3f}" for v in row)]
            for name, shape, row in zip(data, shapes, values)
        ]
        return f"{title}\n\n" + harness.table(["data", "n", "p", *CONTEST], rows)

    methods = list(CONTEST)
    own, others = methods.index("NetGCV"), ("boosting", "KernelRidge", "ReLU")
    rows = []
    for name, of_data in zip(data, r2):
        gaps = [of_data[methods.index(other)] - of_data[own] for other in others]
        rows.append(
            [
                name,
                *(
                    "-"
                    if np.any(np.isnan(gap))
                    else f"{gap.mean():+.3f} ({gap.std(ddof=1) / FOLDS**0.5:.3f})"
                    for gap in gaps
                ),
            ]
        )
    gaps = harness.table(["data", *others], rows)
    return (
        "### Trees, kernels and plain regression beside the networks.\n\n"
        f"One repetition of {FOLDS} outer folds; a dash: not tried, "
        "it takes too long.\n"
        "`boosting` is scikit-learn's histogram boosting as it comes, "
        "`tuned` over two\n"
        "learning rates and two leaf sizes; `ReLU` is the default at `rtol=1e-2`.\n\n"
        + by_data("R2", r2.mean(axis=2))
        + "\n\n"
        + by_data("CPU seconds of one fit, tuning included", seconds.mean(axis=2))
        + "\n\nR2 minus that of NetGCV, fold by fold; in brackets the standard error,\n"
        "too small because training sets overlap\n\n" + gaps
    )


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    args = parser.parse_args(argv)
    text = report(args.data, *run(args.data, args.seed))
    print(harness.environment(), text, sep="\n\n")
    if args.save:
        harness.save_section("which regime", text)


if __name__ == "__main__":
    main()
