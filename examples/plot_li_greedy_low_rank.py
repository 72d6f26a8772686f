r"""
Rank by rank (Li, Luo and Lyu, 2021)
====================================

From a tiny start a factorization of a table with holes passes close to a sequence of
points, one a rank: where the flow of a factorization of that rank comes to rest. That
is *greedy low-rank learning*, and not the least nuclear norm: the two end in different
matrices.
"""

# %%
# 60 of the 80 entries of a matrix with singular values 10, 5 and 2 are known.
# :func:`~skregimes.limits.greedy_low_rank_path` computes the points without any tiny
# start: it starts each rank from the last point, along the direction in which the loss
# falls fastest.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import MatrixFactorizer
from skregimes.limits import greedy_low_rank_path, min_nuclear_norm

random = np.random.default_rng(0)
left, right = (np.linalg.qr(random.standard_normal((d, 3)))[0] for d in (10, 8))
truth = (left * [10.0, 5.0, 2.0]) @ right.T
observed = random.permutation(80)[:60]
table = np.full(80, np.nan)
table[observed] = truth.ravel()[observed]
table = table.reshape(10, 8)

points = [point.matrix for point in greedy_low_rank_path(table)[1:]]
size = np.linalg.norm(truth)
least = min_nuclear_norm(table)
print(
    f"distance to the matrix: {np.linalg.norm(points[-1] - truth) / size:.1e} for the "
    f"last greedy point, {np.linalg.norm(least.matrix - truth) / size:.3f} for the "
    f"least nuclear norm, which is {least.norm:.2f}, that of the matrix being "
    f"{np.linalg.norm(truth, 'nuc'):.2f}"
)


def distances(depth, init_scale):
    """Return times and distances to each point along the flow."""
    model = MatrixFactorizer(
        depth=depth,
        init="orthogonal",
        init_scale=init_scale,
        center=None,
        early_stopping=False,
        random_state=1,
    ).fit(table)
    path = model.trajectory_
    matrices = [a @ b.T for a, b in map(path.halves, range(len(path)))]
    gaps = [[np.linalg.norm(M - point) for M in matrices] for point in points]
    return path.time, np.array(gaps) / size


# %%
# Smaller starts pass more closely, and deeper products from much larger ones.
scales = {2: (1e-2, 1e-4, 1e-8, 1e-12), 3: (1e-2, 1e-3, 1e-4), 4: (1e-2, 1e-3, 1e-4)}
closest = {
    depth: np.array([distances(depth, scale)[1].min(axis=1) for scale in row])
    for depth, row in scales.items()
}
for depth, row in scales.items():
    for scale, gaps in zip(row, closest[depth]):
        print(
            f"depth {depth}, init_scale {scale:g}: passes the points of rank 1 to 3 at "
            + ", ".join(f"{gap:.4f}" for gap in gaps)
        )

# %%
looks = (("#0072B2", "-", "o"), ("#D55E00", "--", "s"), ("#009E73", "-.", "^"))
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
times, gaps = distances(3, 1e-4)
for rank, (gap, (color, style, _)) in enumerate(zip(gaps, looks), start=1):
    left.loglog(times, gap, style, color=color, lw=2, label=f"rank {rank}")
left.set(
    xlim=(times[np.argmin(gaps[0])] / 10, times[np.argmin(gaps[2])] * 3),
    xlabel="time (relative)",
    ylabel="distance to the greedy point",
    title="along one flow: depth 3, init_scale 1e-4",
)
left.legend()
for (depth, row), (color, style, marker) in zip(scales.items(), looks):
    right.loglog(
        row, closest[depth].max(axis=1), style, marker=marker, color=color,
        label=f"depth {depth}",
    )  # fmt: skip
right.set(
    xlabel="initialisation scale (relative)",
    ylabel="largest of the three closest distances",
    title="how closely all three points are passed",
)
right.legend()
plt.show()

# %%
# Reference: Li, Luo, Lyu, "Towards Resolving the Implicit Bias of Gradient Descent
# for Matrix Factorization: Greedy Low-Rank Learning", ICLR 2021.
