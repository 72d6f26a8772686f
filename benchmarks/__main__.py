"""Run every benchmark: ``python -m benchmarks``."""

import sys

from benchmarks import bench_diagonal, bench_real

for benchmark in (bench_diagonal, bench_real):
    print(f"\n## {benchmark.__name__}\n")
    benchmark.main(sys.argv[1:])
