"""Diagonal networks against named peers: same data, same run, ratios printed.

    python -m benchmarks.bench_diagonal --sections descent rich
    python -m benchmarks.bench_diagonal --large

Data are those of Woodworth et al. (2020): Gaussian features, a coefficient vector of
unit length with five entries, noise of variance 0.01.
"""

import inspect
import json
import sys
import time
import warnings

import numpy as np
import torch
from scipy.optimize import linprog
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    ElasticNetCV,
    Lasso,
    LassoCV,
    LassoLars,
    Ridge,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV, KFold

from benchmarks import _harness as harness
from skregimes import DiagonalNetRegressor, DiagonalNetRegressorCV, init_scale_path
from skregimes.limits import min_l1_norm, min_l2_norm, min_q_norm

LOSS = 1e-8  # relative training loss at which flow and descent stop
SHAPES = [(20, 50), (100, 1000)]
LARGE = [(500, 10_000), (1000, 100_000)]


def problem(n_samples, n_features, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    coef = np.zeros(n_features)
    coef[:5] = 1 / np.sqrt(5)
    return X, X @ coef + 0.1 * rng.standard_normal(n_samples)


def versus(tasks, *, repeats=3):
    """Time functions that return coefficients; ratios are to the first of them.

    A function may return ``(coefficients, note)``. Distances are relative, to the
    coefficients of the first.
    """
    rows = []
    for label, task in tasks.items():
        seconds, coef = harness.cpu_seconds(task, repeats=repeats)
        coef, note = coef if isinstance(coef, tuple) else (coef, "")
        if not rows:
            base, exact = seconds, coef
        distance = float(np.linalg.norm(coef - exact) / np.linalg.norm(exact))
        rows.append([label, seconds, harness.ratio(seconds, base), distance, note])
    header = ["solver", "CPU s", "ratio", "distance", "note"]
    return harness.table(header, rows)


# -- infinite time: the limit, the flow and gradient descent ---------------------------


def flow(X, y, scale, depth):
    """Gradient flow to the relative loss ``LOSS``."""
    net = DiagonalNetRegressor(
        scale,
        depth=depth,
        units="paper",
        solver="dual_mirror",
        early_stopping=False,
        fit_intercept=False,
        tol=LOSS,
    ).fit(X, y)
    loss = np.mean((y - net.predict(X)) ** 2) / np.mean(y**2)
    return net.coef_, f"loss {loss:.0e}"


def descent(X, y, scale, depth, rate, max_seconds):
    """Plain gradient descent on the weights in torch to the relative loss ``LOSS``."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    plus = torch.full((X.shape[1],), scale, dtype=X.dtype)
    minus = plus.clone()
    start, first = time.process_time(), y.square().mean()
    for step in range(10**9):
        residual = X @ (plus**depth - minus**depth) - y
        gradient = depth / len(y) * (X.T @ residual)
        plus, minus = (
            plus - rate * gradient * plus ** (depth - 1),
            minus + rate * gradient * minus ** (depth - 1),
        )
        if step % 20 == 0:
            loss = (residual.square().mean() / first).item()
            if loss <= LOSS or time.process_time() - start > max_seconds:
                break
    note = f"loss {loss:.0e}, {step} steps" + ("" if loss <= LOSS else ", out of time")
    return (plus**depth - minus**depth).numpy(), note


def stable_rate(X, y, coef, scale, depth):
    """Half the inverse of the largest curvature along the flow, known to an oracle.

    Descent diverges from the flow above ``2 / sharpness``; the sharpness is that of
    the tangent kernel, which is largest at one of the two ends.
    """
    # Above depth 2 the two halves are only bounded: that costs little, and is safe.
    if depth == 2:
        weights = 8 * np.sqrt(coef**2 / 4 + scale**4)
    else:
        low = np.full_like(coef, scale)
        high = (np.abs(coef) + scale**depth) ** (1 / depth)
        weights = depth**2 * (high ** (2 * depth - 2) + low ** (2 * depth - 2))
    start = np.full_like(coef, 2 * depth**2 * scale ** (2 * depth - 2))
    sharpness = max(
        np.linalg.eigvalsh((X * k) @ X.T / len(y))[-1] for k in (weights, start)
    )
    return 0.5 / sharpness


def bench_descent(X, y, args):
    """The limit in one solve, the flow and torch gradient descent to loss 1e-8.

    Descent is given a rate near the largest stable one, from a curvature that only
    the solution tells, and a tenth of it, which stays closer to the flow.
    """
    cases = [(2, 1e-3), (2, 0.1), (2, 1.0), (3, 0.1), (3, 1.0)]
    return "\n\n".join(one_descent(X, y, *case, args.seconds) for case in cases)


def one_descent(X, y, depth, scale, max_seconds):
    exact = min_q_norm(X, y, scale, depth=depth)
    rate = stable_rate(X, y, exact, scale, depth)
    tasks = {
        "min_q_norm": lambda: min_q_norm(X, y, scale, depth=depth),
        "flow": lambda: flow(X, y, scale, depth),
        "torch descent": lambda: descent(X, y, scale, depth, rate, max_seconds),
        "torch descent, rate / 10": lambda: descent(
            X, y, scale, depth, rate / 10, max_seconds
        ),
    }
    return f"Depth {depth}, alpha {scale:g}\n\n" + versus(tasks)


# -- the same minimisers by general-purpose solvers ------------------------------------


def cone_q_norm(X, y, scale):
    """Minimise the depth-2 potential as an exponential-cone programme by Clarabel."""
    import cvxpy as cp

    plus, minus = cp.Variable(X.shape[1]), cp.Variable(X.shape[1])
    square = np.full(X.shape[1], scale**2)
    potential = cp.sum(cp.kl_div(plus, square)) + cp.sum(cp.kl_div(minus, square))
    programme = cp.Problem(cp.Minimize(potential), [X @ (plus - minus) == y])
    programme.solve(solver="CLARABEL")
    return plus.value - minus.value, programme.status


def cone_l1_norm(X, y):
    import cvxpy as cp

    coef = cp.Variable(X.shape[1])
    programme = cp.Problem(cp.Minimize(cp.norm1(coef)), [X @ coef == y])
    programme.solve(solver="CLARABEL")
    return coef.value, programme.status


def highs_l1_norm(X, y):
    n_features = X.shape[1]
    solution = linprog(np.ones(2 * n_features), A_eq=np.hstack([X, -X]), b_eq=y)
    return solution.x[:n_features] - solution.x[n_features:]


def skglm_lasso(X, y, alpha):
    import skglm

    return skglm.Lasso(alpha, fit_intercept=False, tol=1e-8).fit(X, y).coef_


def bench_rich(X, y, args):
    """Basis pursuit, the rich end, beside linear programming and the Lasso."""
    alpha = 1e-3 * np.abs(X.T @ y).max() / len(y)
    plain = {"fit_intercept": False}
    return versus(
        {
            "min_l1_norm": lambda: min_l1_norm(X, y),
            "min_q_norm, depth 4, alpha 1e-6": lambda: min_q_norm(X, y, 1e-6, depth=4),
            "HiGHS": lambda: highs_l1_norm(X, y),
            "Clarabel": lambda: cone_l1_norm(X, y),
            "LassoLars(0)": lambda: LassoLars(0.0, **plain).fit(X, y).coef_,
            "Lasso(1e-3 max)": lambda: (
                Lasso(alpha, max_iter=20_000, tol=1e-8, **plain).fit(X, y).coef_
            ),
            "skglm Lasso(1e-3 max)": lambda: skglm_lasso(X, y, alpha),
        }
    )


def bench_cone(X, y, args):
    """The depth-2 potential, between the ends, by an exponential-cone solver."""
    return "\n\n".join(one_cone(X, y, scale) for scale in (1e-3, 0.1, 1.0))


def one_cone(X, y, scale):
    tasks = {
        "min_q_norm": lambda: min_q_norm(X, y, scale),
        "Clarabel": lambda: cone_q_norm(X, y, scale),
    }
    return f"Alpha {scale:g}\n\n" + versus(tasks)


def bench_kernel(X, y, args):
    """Least norm, the kernel end, beside least squares."""
    return versus(
        {
            "min_l2_norm": lambda: min_l2_norm(X, y),
            "min_q_norm, alpha 10": lambda: min_q_norm(X, y, 10.0),
            "lstsq": lambda: np.linalg.lstsq(X, y)[0],
            "Ridge(1e-8)": lambda: Ridge(1e-8, fit_intercept=False).fit(X, y).coef_,
        }
    )


# -- paths, cross-validation, whole fits -----------------------------------------------


def limits_along(X, y, scales, *, warm):
    """Return the limits of decreasing scales, each from the last if ``warm``."""
    coefs, start = [], None
    for scale in scales:
        coef, dual = min_q_norm(X, y, scale, warm_start=start, return_dual=True)
        coefs.append(coef)
        if warm:
            start = scale, coef, dual
    return np.array(coefs)


def bench_path(X, y, args):
    """A path of 25 scales against 25 cold fits."""
    raw, relative = np.geomspace(10, 1e-6, 25), np.geomspace(30, 1e-3, 25)
    limit = DiagonalNetRegressor(early_stopping=False)
    pairs = {
        "min_q_norm, alpha 10 to 1e-6": (
            lambda: limits_along(X, y, raw, warm=True),
            lambda: limits_along(X, y, raw, warm=False),
        ),
        "init_scale_path, relative 30 to 1e-3": (
            lambda: init_scale_path(X, y, init_scales=relative),
            lambda: [
                clone(limit).set_params(init_scale=scale).fit(X, y)
                for scale in relative
            ],
        ),
    }
    rows = []
    for label, tasks in pairs.items():
        path, cold = (harness.cpu_seconds(task, repeats=1)[0] for task in tasks)
        rows.append([label, path, cold, harness.ratio(path, cold)])
    return harness.table(["25 scales", "path s", "cold s", "path / cold"], rows)


def bench_cv(X, y, args):
    """DiagonalNetRegressorCV against GridSearchCV over the same scales and times."""
    cv = KFold(5, shuffle=True, random_state=args.seed)
    scales = [10.0, 1.0, 0.1, 0.01]
    own = DiagonalNetRegressorCV(init_scales=scales, n_times=10, cv=cv, criterion="cv")
    own_seconds, own = harness.cpu_seconds(lambda: clone(own).fit(X, y), repeats=1)
    search = GridSearchCV(
        DiagonalNetRegressor(early_stopping=False),
        {"init_scale": scales, "max_time": list(own.times_)},
        cv=cv,
        scoring="neg_mean_squared_error",
    )
    seconds, search = harness.cpu_seconds(lambda: search.fit(X, y), repeats=1)
    best = search.best_params_
    rows = [
        ["DiagonalNetRegressorCV", own_seconds, own.init_scale_, own.time_, "1x"],
        [
            "GridSearchCV",
            seconds,
            best["init_scale"],
            best["max_time"],
            harness.ratio(seconds, own_seconds),
        ],
    ]
    header = ["5 folds, 4 scales, 10 times", "CPU s", "scale", "time", "ratio"]
    return harness.table(header, rows)


ESTIMATORS = {
    "ElasticNetCV": lambda: ElasticNetCV(l1_ratio=[0.1, 0.5, 0.9, 1.0], alphas=40),
    "LassoCV": lambda: LassoCV(),
    "RidgeCV": lambda: RidgeCV(np.logspace(-3, 6, 60)),
    "DiagonalNetRegressor": lambda: DiagonalNetRegressor(),
    "DiagonalNetRegressor, limit": lambda: DiagonalNetRegressor(early_stopping=False),
    "DiagonalNetRegressorCV, gcv": lambda: DiagonalNetRegressorCV(criterion="gcv"),
    "DiagonalNetRegressorCV, cv": lambda: DiagonalNetRegressorCV(criterion="cv"),
}


def bench_fit(X, y, args):
    """Whole fits, tuning included, beside scikit-learn's linear models."""
    X_test, y_test = problem(1000, X.shape[1], args.seed + 1)
    rows = []
    for label, build in ESTIMATORS.items():
        seconds, model = harness.cpu_seconds(lambda build=build: build().fit(X, y))
        score = model.score(X_test, y_test)
        reference = rows[0][1] if rows else seconds
        rows.append([label, seconds, harness.ratio(seconds, reference), score])
    return harness.table(["estimator", "CPU s", "/ ElasticNetCV", "test R2"], rows)


# -- large fits, each in a process of its own for its peak memory ----------------------

LARGE_TASKS = {
    "min_q_norm depth 2, alpha 1e-3": lambda X, y: min_q_norm(X, y, 1e-3),
    "min_q_norm depth 2, alpha 1": lambda X, y: min_q_norm(X, y, 1.0),
    "min_q_norm depth 3, alpha 0.1": lambda X, y: min_q_norm(X, y, 0.1, depth=3),
    "DiagonalNetRegressor": lambda X, y: DiagonalNetRegressor().fit(X, y),
    "DiagonalNetRegressor, limit": lambda X, y: DiagonalNetRegressor(
        early_stopping=False
    ).fit(X, y),
    "RidgeCV": lambda X, y: RidgeCV(np.logspace(-3, 6, 60)).fit(X, y),
    "Lasso(1e-2 max)": lambda X, y: Lasso(1e-2 * np.abs(X.T @ y).max() / len(y)).fit(
        X, y
    ),
    "LassoCV": lambda X, y: LassoCV().fit(X, y),
}


def large_task(label, n_samples, n_features, seed):
    """Run one large task and print its time and memory as JSON."""
    X, y = problem(n_samples, n_features, seed)
    before = harness.peak_memory()
    with harness.single_thread():
        seconds, _ = harness.cpu_seconds(
            lambda: LARGE_TASKS[label](X, y), repeats=1, warm_up=False
        )
    print(json.dumps([seconds, before, harness.peak_memory()]))


def bench_large(args):
    """Run the large fits, each in a process of its own, with its peak memory."""
    parts = ["### Large fits with their peak memory"]
    for n_samples, n_features in LARGE:
        rows = []
        for label in LARGE_TASKS:
            seconds, before, peak = harness.in_fresh_process(
                "benchmarks.bench_diagonal",
                *("--task", label, n_samples, n_features, args.seed),
            )
            rows.append([label, seconds, peak, peak - before])
        title = (
            f"{n_samples} x {n_features}; X alone is "
            f"{n_samples * n_features * 8 / 2**20:.0f} MB"
        )
        header = ["task", "CPU s", "peak MB", "of which the fit's"]
        parts += [f"#### {title}", harness.table(header, rows)]
    return "\n\n".join(parts)


def by_shape(section, args):
    """Run one section on both shapes."""
    parts = [f"### {inspect.cleandoc(section.__doc__)}"]
    for n_samples, n_features in SHAPES:
        X, y = problem(n_samples, n_features, args.seed)
        parts += [f"#### {n_samples} x {n_features}", section(X, y, args)]
    return "\n\n".join(parts)


SECTIONS = {
    "descent": bench_descent,
    "rich": bench_rich,
    "cone": bench_cone,
    "kernel": bench_kernel,
    "path": bench_path,
    "cv": bench_cv,
    "fit": bench_fit,
}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--task"]:
        label, *sizes = argv[1:]
        large_task(label, *map(int, sizes))
        return
    parser = harness.parser(__doc__)
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[*SECTIONS])
    parser.add_argument("--large", action="store_true", help="add the large fits")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="given to each gradient descent"
    )
    args = parser.parse_args(argv)
    print(harness.environment())
    sections = {
        name: lambda name=name: by_shape(SECTIONS[name], args) for name in args.sections
    }
    if args.large:
        sections["large"] = lambda: bench_large(args)
    for name, section in sections.items():
        with harness.single_thread(), warnings.catch_warnings():
            # Peers that do not converge show it by their distance.
            warnings.simplefilter("ignore", ConvergenceWarning)
            text = section()
        print("\n" + text, flush=True)
        if args.save:
            harness.save_section(f"diagonal {name}", text)


if __name__ == "__main__":
    main()
