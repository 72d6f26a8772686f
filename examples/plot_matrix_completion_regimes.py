r"""
A table with holes, from kernel to rich
=======================================

60 of the 100 entries of a matrix of rank one are known. A product of two or three
matrices is trained on them by gradient flow, to the end. From a large start the holes
stay as they were, at zero: the kernel regime fills a table with the least Frobenius
norm, and learns nothing about what it has not seen. From a small start it finds the
matrix.
"""

# %%
# ``init="lifted"`` starts at a product of zero, whatever the scale, so ``init_scale``
# sets the regime and nothing else. It is relative to the size of the matrix: from about
# 1 on kernel, below 0.001 rich. ``center=None`` leaves the entries as they are, and
# ``early_stopping=False`` goes on until they are fitted. The data are made on the spot.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import MatrixFactorizer
from skregimes.datasets import make_low_rank_matrix_completion
from skregimes.limits import min_nuclear_norm


def make_table(seed):
    return make_low_rank_matrix_completion(
        (10, 10), rank=1, n_observed=60, random_state=seed, return_matrix=True
    )


def fit(X, init_scale, depth):
    return MatrixFactorizer(
        depth=depth,
        init="lifted",
        init_scale=init_scale,
        center=None,
        early_stopping=False,
    ).fit(X)


def error(matrix, truth, X):
    hole = np.isnan(X)
    return np.linalg.norm((matrix - truth)[hole]) / np.linalg.norm(truth[hole])


# %%
# Four tables, and the means over them. Excess is that of a norm over the least one of
# all matrices with these entries. For the Frobenius norm that is reached in the kernel
# regime. The nuclear norm is nearly reached on the way, but not in the end: there the
# flow prefers rank one, whose nuclear norm is 5 % larger in these tables.
scales = np.logspace(-6, 2, 13)
tables = [make_table(seed) for seed in range(4)]
least = [min_nuclear_norm(X) for X, _ in tables]
curves = {}
for depth in (2, 3):
    rows = np.zeros((len(scales), 4))
    for (X, truth), nuclear in zip(tables, least):
        for row, scale in zip(rows, scales):
            model = fit(X, scale, depth)
            matrix = model.complete()
            row += (
                error(matrix, truth, X),
                np.sum(model.singular_values_) / nuclear.norm - 1,
                np.linalg.norm(matrix) / np.sqrt(np.nansum(X**2)) - 1,
                model.richness_,
            )
    curves[depth] = rows / len(tables)
for depth, rows in curves.items():
    for scale, (wrong, nuclear, frobenius, _) in zip(scales[::3], rows[::3]):
        print(
            f"depth {depth}, init_scale {scale:6.0e}: error {wrong:.4f}, excess of the "
            f"nuclear norm {nuclear:.3f}, of the Frobenius norm {frobenius:.3f}"
        )
convex = np.mean([error(n.matrix, M, X) for n, (X, M) in zip(least, tables)])
print(f"least nuclear norm: error {convex:.3f}")

# %%
# Above: the third table and three fits of depth 2. Below: the regime against the scale.
X, truth = tables[2]
shown = {
    "matrix": truth,
    "60 known entries": X,
    **{f"init_scale = {s:g}": fit(X, s, 2).complete() for s in (10, 0.1, 1e-6)},
}
fig = plt.figure(figsize=(11, 6.4), layout="constrained")
above, below = fig.subfigures(2, 1, height_ratios=(1, 1.3))
height = np.max(np.abs(truth))
cmap = plt.get_cmap("viridis").with_extremes(bad="white")
for ax, (title, matrix) in zip(above.subplots(1, 5), shown.items()):
    image = ax.imshow(matrix, cmap=cmap, vmin=-height, vmax=height)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize="medium")
    if title.startswith("init"):
        ax.set_xlabel(f"error in the holes {error(matrix, truth, X):.3f}")
above.colorbar(image, ax=above.axes, shrink=0.8)

left, middle, right = below.subplots(1, 3)
for (depth, rows), color, style in zip(curves.items(), ("#0072B2", "#D55E00"), "-:"):
    look = {"color": color, "lw": 2.5, "ls": style}
    left.loglog(scales, rows[:, 0], **look, label=f"depth {depth}")
    middle.semilogx(scales, rows[:, 1], **look, label=f"nuclear norm, depth {depth}")
    middle.semilogx(
        scales, rows[:, 2], **look, alpha=0.45, label=f"Frobenius norm, depth {depth}"
    )
    right.semilogx(scales, rows[:, 3], **look, label=f"depth {depth}")
left.axhline(convex, color="0.5", lw=1)
left.text(
    scales[-1], 0.8 * convex, "least nuclear norm", ha="right", va="top", color="0.35"
)
left.set(ylabel="error in the holes", ylim=(1e-5, 2))
middle.set(ylabel="excess over the least norm", ylim=(-0.03, 0.6))
right.set(ylabel="richness_")
right.axhspan(0.9, 1, color="0.9")
right.axhspan(0, 0.1, color="0.9")
right.text(scales[-1], 0.95, "rich", ha="right", va="center")
right.text(scales[0], 0.05, "kernel", ha="left", va="center")
for ax, place in (
    (left, "lower right"),
    (middle, "upper right"),
    (right, "center left"),
):
    ax.set_xlabel("init_scale")
    ax.legend(fontsize="small", loc=place)
plt.show()
