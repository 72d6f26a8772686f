"""Time neural-tangents by an interpreter that has it; prints seconds and MB as JSON.

    python benchmarks/_neural_tangents.py points.npy depth bias_variance n_blocks

It stands alone: neural-tangents 0.6.5 does not import with the jax of today, so it
lives in an environment of its own. Compilation is not counted.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["JAX_ENABLE_X64"] = "1"
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import jax
import numpy as np
from neural_tangents import stax


def deep(depth, bias_variance):
    layer = lambda: stax.Dense(1, W_std=2**0.5, b_std=bias_variance**0.5 or None)
    layers = [layer()]
    for _ in range(depth - 1):
        layers += [stax.Relu(), layer()]
    return stax.serial(*layers)[2]


def residual(n_blocks):
    layer = lambda scale=1.0: stax.Dense(1, W_std=scale)

    def block():
        own = stax.serial(layer(2**0.5), stax.Relu(), layer(0.5))
        both = stax.parallel(stax.Identity(), own)
        return stax.serial(stax.FanOut(2), both, stax.FanInSum())

    return stax.serial(layer(), *[block() for _ in range(n_blocks)], layer())[2]


def main():
    points = np.load(sys.argv[1])
    depth, bias, n_blocks = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    network = residual(n_blocks) if n_blocks else deep(depth, bias)
    kernel = jax.jit(network, static_argnums=2)
    kernel(points, None, "ntk").block_until_ready()
    seconds = []
    for _ in range(3):
        start = time.process_time()
        K = kernel(points, None, "ntk").block_until_ready()
        seconds.append(time.process_time() - start)
    peak = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            peak = int(line.split()[1]) / 1024
    corner = np.asarray(K)[:50, :50].tolist()
    print(json.dumps([sorted(seconds)[1], peak, corner]))


if __name__ == "__main__":
    main()
