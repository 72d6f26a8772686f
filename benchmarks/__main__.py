"""Run every benchmark: ``python -m benchmarks``."""

import sys

from benchmarks import (
    bench_classifier,
    bench_curves,
    bench_diagonal,
    bench_kernels,
    bench_matrix,
    bench_real,
    bench_shallow_relu,
    bench_tangent,
    bench_which_regime,
)

for benchmark in (
    bench_diagonal,
    bench_real,
    bench_shallow_relu,
    bench_curves,
    bench_matrix,
    bench_classifier,
    bench_kernels,
    bench_tangent,
    bench_which_regime,
):
    print(f"\n## {benchmark.__name__}\n")
    benchmark.main(sys.argv[1:])
