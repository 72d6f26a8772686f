"""The lazy twin: time to choose its penalty, and what leaving it is worth.

python -m benchmarks.bench_tangent --sections choose
python -m benchmarks.bench_tangent --save
"""

import inspect
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, KFold

from benchmarks import _harness as harness
from skregimes import (
    DiagonalNetRegressor,
    ShallowReLURegressor,
    TangentKernelRidge,
    compare_regimes,
)
from skregimes.datasets import load_motorcycle, make_curve

N_PENALTIES = 27


def choose(args):
    """Choosing a penalty out of 27 on 5 folds

    CPU seconds, and the error of the chosen fit on 1000 new points. Both peers try the
    same penalties on the same folds: `GridSearchCV` over `TangentKernelRidge` itself,
    which solves anew for each penalty, and over `KernelRidge` with the kernel of the
    whole training set, computed before the clock starts.
    """
    rows = []
    for n in args.sizes:
        rng = np.random.default_rng(args.seed)
        X = rng.normal(size=(n + 1000, 5))
        y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.3 * rng.normal(size=len(X))
        X, X_new, y, y_new = X[:n], X[n:], y[:n], y[n:]
        net = ShallowReLURegressor(
            n_hidden=200, random_state=0, skip_connection=False, fit_intercept=False
        )
        folds = KFold(5, shuffle=True, random_state=0)
        plain = TangentKernelRidge(net).fit(X, y)
        K, K_new = plain.tangent_kernel(X), plain.tangent_kernel(X_new, X)
        alphas = np.trace(K) / n * np.logspace(-10, 3, N_PENALTIES)
        grid = {"alpha": alphas}
        models = {
            "TangentKernelRidge(alpha='cv')": (
                TangentKernelRidge(net, alpha="cv", alphas=alphas, cv=folds), X, X_new,
            ),
            "GridSearchCV(TangentKernelRidge)": (
                GridSearchCV(plain, grid, cv=folds), X, X_new,
            ),
            "GridSearchCV(KernelRidge), kernel given": (
                GridSearchCV(KernelRidge(kernel="precomputed"), grid, cv=folds),
                K, K_new,
            ),
        }  # fmt: skip
        first = None
        for name, (model, A, A_new) in models.items():
            with harness.single_thread(), warnings.catch_warnings():
                # Cholesky factors of singular kernels, where KernelRidge changes road.
                warnings.simplefilter("ignore")
                seconds, fit = harness.cpu_seconds(
                    lambda model=model, A=A, y=y: clone(model).fit(A, y), repeats=1
                )
            first = first or seconds
            error = np.mean((fit.predict(A_new) - y_new) ** 2)
            rows.append(
                [n, name, f"{seconds:.3g}", f"{seconds / first:.1f}", f"{error:.3f}"]
            )
    return harness.table(["n", "model", "CPU s", "ratio", "error"], rows)


def regimes(args):
    """What `compare_regimes` says of some tables

    R2 on 5 shuffled folds (mean, deviation), wall seconds of a fit.
    """
    rng = np.random.default_rng(args.seed)
    X = rng.normal(size=(80, 200))
    sparse = X, X[:, :5].sum(axis=1) + rng.normal(size=80)
    curve = make_curve("kinky", 60, noise=0.1, random_state=0)
    shallow = ShallowReLURegressor(n_hidden=100, random_state=0)
    tables = {
        "sparse, 80 x 200": (DiagonalNetRegressor(), *sparse),
        "diabetes": (DiagonalNetRegressor(), *load_diabetes(return_X_y=True)),
        "kinky curve, n = 60": (shallow, *curve),
        "motorcycle": (shallow, *load_motorcycle(return_X_y=True)),
    }
    rows = []
    for data, (net, A, b) in tables.items():
        with harness.single_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = compare_regimes(net, A, b)
        for name, row in table.iterrows():
            score = f"{row['mean_test_score']:.3f} ({row['std_test_score']:.3f})"
            rich = "" if np.isnan(row["richness"]) else f"{row['richness']:.2f}"
            rows.append([data, name, score, rich, f"{row['mean_fit_time']:.2g}"])
    return harness.table(["table", "model", "R2", "richness", "fit s"], rows)


SECTIONS = {"choose": choose, "regimes": regimes}


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[*SECTIONS])
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 800])
    args = parser.parse_args(argv)
    print(harness.environment())
    for name in args.sections:
        section = SECTIONS[name]
        text = f"### {inspect.cleandoc(section.__doc__)}\n\n{section(args)}"
        print("\n" + text, flush=True)
        if args.save:
            harness.save_section(f"tangent {name}", text)


if __name__ == "__main__":
    main()
