"""Infinite-width tangent kernels: time and memory beside scikit-ntk, neural-tangents.

    python -m benchmarks.bench_kernels --quick
    python -m benchmarks.bench_kernels --neural-tangents other-env/bin/python

All on the same points in the same run, in float64 on one thread. neural-tangents 0.6.5
needs a jax older than ours: with an interpreter that has both (``pip install
jax==0.4.30 jaxlib==0.4.30 "numpy<2" neural-tangents``) the package itself is timed.
Without, only its recursion as published, in NumPy.
"""

import inspect
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.gaussian_process.kernels import RBF
from skntk import NeuralTangentKernel

from benchmarks import _harness as harness
from skregimes.kernels import (
    BiasedReLUTangentKernel,
    ReLUTangentKernel,
    ResNetTangentKernel,
    ShallowReLUTangentKernel,
)

BIAS_VARIANCE = 0.1
OURS = "ReLUTangentKernel"


def points(n_samples, n_features, seed):
    return np.random.default_rng(seed).standard_normal((n_samples, n_features))


def published(X, depth, bias_variance):
    """Return what layers of Novak et al., "Neural Tangents" (2020), compute."""
    nngp = 2 * X @ X.T / X.shape[1] + bias_variance
    ntk = nngp.copy()
    for _ in range(depth - 1):
        squares = np.diag(nngp)
        root = np.sqrt(np.maximum(np.outer(squares, squares) - nngp**2, 0))
        angle = np.arctan2(root, nngp)
        slopes = (np.pi - angle) / np.pi
        nngp = root / np.pi + slopes * nngp + bias_variance
        ntk = nngp + slopes * ntk
    return ntk


def ours(X, depth):
    return ReLUTangentKernel(depth, 2.0, BIAS_VARIANCE)(X)


def scikit_ntk(X, depth):
    """Its biases start at zero; see the notes of `ReLUTangentKernel`."""
    return NeuralTangentKernel(depth - 1, BIAS_VARIANCE**0.5)(X)


def ours_as_scikit_ntk(X, depth):
    kernel = ReLUTangentKernel(depth, 2.0, BIAS_VARIANCE, bias_init="zero")
    return kernel(X * np.sqrt(X.shape[1] / 2)) / (depth * (BIAS_VARIANCE + 1))


METHODS = {
    OURS: ours,
    "same, biases from 0": ours_as_scikit_ntk,
    "scikit-ntk": scikit_ntk,
    "neural-tangents' recursion, NumPy": lambda X, depth: published(
        X, depth, BIAS_VARIANCE
    ),
}
# Which of ours computes the same kernel.
SAME_KERNEL = {
    OURS: OURS,
    "same, biases from 0": "same, biases from 0",
    "scikit-ntk": "same, biases from 0",
    "neural-tangents' recursion, NumPy": OURS,
}
PACKAGE = "neural-tangents, jitted"


def neural_tangents(args, X, depth=0, n_blocks=0):
    """Return seconds, MB and a corner of the matrix of the package itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, X)
        script = Path(__file__).with_name("_neural_tangents.py")
        command = [args.neural_tangents, script, path, depth, BIAS_VARIANCE, n_blocks]
        done = subprocess.run(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    seconds, megabytes, corner = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes, np.array(corner)


def memory(name, n_samples, n_features, depth):
    """Peak of a fresh process, over that of one that only holds the points."""
    before = harness.peak_memory()
    METHODS[name](points(n_samples, n_features, 0), depth)
    return harness.peak_memory() - before


def bench_depth(args):
    """One matrix, of fully connected networks.

    "minus" is the largest difference to our matrix of the same kernel, over its largest
    entry; MB is what a process grew by, of which the matrix itself is n^2 * 8 bytes.
    """
    rows = []
    for n_features in args.features:
        X = points(args.samples, n_features, args.seed)
        for depth in args.depths:
            rows += depth_rows(args, X, depth)
    header = ["d", "depth", "method", "CPU s", "over ours", "MB", "minus"]
    return f"n = {args.samples}\n\n{harness.table(header, rows)}"


def depth_rows(args, X, depth):
    """Time every method on the same points; the last rows are of the package."""
    n_samples, n_features = X.shape
    timed = {}
    for name, method in METHODS.items():
        with harness.single_thread():
            timed[name] = harness.cpu_seconds(
                partial(method, X, depth), repeats=args.repeats
            )
    reference, K = timed[OURS]
    rows = []
    for name, (seconds, values) in timed.items():
        same = timed[SAME_KERNEL[name]][1]
        grown = harness.in_fresh_process(
            "benchmarks.bench_kernels", "--measure", name, n_samples, n_features, depth
        )
        row = [n_features, depth, name, seconds, harness.ratio(seconds, reference)]
        rows.append([*row, f"{grown:.0f}", difference(values, same)])
    if args.neural_tangents:
        seconds, whole, corner = neural_tangents(args, X, depth=depth)
        row = [n_features, depth, PACKAGE, seconds, harness.ratio(seconds, reference)]
        rows.append([*row, f"{whole:.0f} (all of it)", difference(corner, K[:50, :50])])
    return rows


def difference(K, reference):
    return np.abs(K - reference).max() / reference.max()


def bench_gradient(args):
    """One matrix and its gradient in the bias, by which a Gaussian process is tuned."""
    n_samples = args.samples // 2
    X = points(n_samples, 10, args.seed)
    rows = []
    for depth in args.depths:
        kernel = ReLUTangentKernel(
            depth,
            bias_variance=BIAS_VARIANCE,
            bias_init="zero",
            weight_variance_bounds="fixed",
        )
        peer = NeuralTangentKernel(depth - 1, BIAS_VARIANCE**0.5)
        with harness.single_thread():
            own, _ = harness.cpu_seconds(
                partial(kernel, X, eval_gradient=True), repeats=args.repeats
            )
            other, _ = harness.cpu_seconds(
                partial(peer, X, eval_gradient=True), repeats=args.repeats
            )
        rows += [[depth, OURS, own, "1x"]]
        rows += [[depth, "scikit-ntk", other, harness.ratio(other, own)]]
    header = ["depth", "method", "CPU s", "over ours"]
    return f"n = {n_samples}, d = 10\n\n{harness.table(header, rows)}"


def bench_others(args):
    """One matrix of every kernel, beside scikit-learn's RBF."""
    X = points(args.samples, 10, args.seed)
    kernels = [
        RBF(),
        ReLUTangentKernel(),
        ReLUTangentKernel(bias_variance=0.0),
        ResNetTangentKernel(),
        BiasedReLUTangentKernel(3.0),
        ShallowReLUTangentKernel(3.0),
        ShallowReLUTangentKernel(20.0, law="uniform"),
        ShallowReLUTangentKernel(3.0, law="constant_bias"),
    ]
    rows = []
    for kernel in kernels:
        with harness.single_thread():
            seconds, _ = harness.cpu_seconds(partial(kernel, X), repeats=args.repeats)
        rows.append(
            [
                repr(kernel),
                seconds,
                harness.ratio(seconds, rows[0][1]) if rows else "1x",
            ]
        )
    if args.neural_tangents:
        seconds, _, _ = neural_tangents(args, X, n_blocks=4)
        name = "neural-tangents, the same ResNet"
        rows.append([name, seconds, harness.ratio(seconds, rows[0][1])])
    table = harness.table(["kernel", "CPU s", "over RBF"], rows)
    return f"n = {args.samples}, d = 10\n\n{table}"


SECTIONS = {"depth": bench_depth, "gradient": bench_gradient, "others": bench_others}


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[*SECTIONS])
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--features", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--depths", type=int, nargs="+", default=[2, 5])
    parser.add_argument(
        "--neural-tangents", metavar="PYTHON", help="an interpreter that has it"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of each timing")
    parser.add_argument("--quick", action="store_true", help="small, in seconds")
    parser.add_argument("--measure", nargs=4, help="used by this script itself")
    args = parser.parse_args(argv)
    if args.measure:
        name, *sizes = args.measure
        print(json.dumps(memory(name, *map(int, sizes))))
        return
    if args.quick:
        args.samples, args.features = 1000, [10]
    print(harness.environment())
    for name in args.sections:
        section = SECTIONS[name]
        text = f"### {inspect.cleandoc(section.__doc__)}\n\n{section(args)}"
        print("\n" + text, flush=True)
        if args.save:
            harness.save_section(f"kernels {name}", text)


if __name__ == "__main__":
    main(sys.argv[1:])
