r"""
Depth finds matrices from fewer entries
=======================================

A fifth of the entries of a 100 x 100 matrix of rank 5 are known (Arora et al., 2019). A
deeper product of matrices finds it from a start at which two factors do not, and from
entries so few that the matrix of least nuclear norm, the usual convex method, is
another one.
"""

# %%
# ``units="paper"`` takes the standard deviation of the Gaussian factors; the scale of
# the product is :math:`s_0 = (\alpha^2 k)^{L/2}` for depth L and width k. The matrix
# has the Frobenius norm 100. Single precision and loose tolerances are enough here. The
# data are made on the spot.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import MatrixFactorizer
from skregimes.datasets import make_low_rank_matrix_completion
from skregimes.diagnostics import effective_rank
from skregimes.limits import min_nuclear_norm


def draw(size, rank, n_observed, seed):
    return make_low_rank_matrix_completion(
        (size, size),
        rank=rank,
        n_observed=n_observed,
        random_state=seed,
        return_matrix=True,
    )


def fit(X, depth, scale, seed=1):
    return MatrixFactorizer(
        depth=depth,
        init="gaussian",
        init_scale=scale ** (1 / depth) / np.sqrt(len(X)),
        units="paper",
        center=None,
        early_stopping=False,
        tol=1e-6,
        rtol=1e-2,
        fold_in_alpha=0,
        dtype="float32",
        random_state=seed,
    ).fit(X)


def error(matrix, truth):
    return np.linalg.norm(matrix - truth) / np.linalg.norm(truth)


# %%
# The effective rank is the exponential of the entropy of the singular values.
X, truth = draw(100, 5, 2000, seed=0)
scales = np.array([1.0, 0.1, 0.01, 1e-3])
convex = min_nuclear_norm(X, tol=1e-3).matrix
convex_error, convex_rank = error(convex, truth), effective_rank(convex)
print(f"least nuclear norm: error {convex_error:.3f}, effective rank {convex_rank:.1f}")
curves = {}
for depth in (2, 3, 4):
    curves[depth] = np.zeros((len(scales), 2))
    for row, scale in zip(curves[depth], scales):
        model = fit(X, depth, scale)
        row[:] = error(model.complete(), truth), model.effective_rank_
        print(f"depth {depth}, s0 {scale:5g}: error {row[0]:.4f}, rank {row[1]:.1f}")

# %%
# How many entries it takes: matrices of size 30 and rank 2, found if the relative error
# is below 0.01.
counts = np.array([200, 250, 300, 350, 400, 450])
n_draws = 4
share = np.zeros((3, len(counts)))
for place, count in enumerate(counts):
    for seed in range(n_draws):
        table, matrix = draw(30, 2, count, seed)
        fits = [fit(table, L, 3e-3, seed + 50).complete() for L in (2, 3)]
        fits.append(min_nuclear_norm(table, tol=1e-4).matrix)
        share[:, place] += [error(M, matrix) < 0.01 for M in fits]
share /= n_draws
for name, row in zip(("depth 2", "depth 3", "least nuclear norm"), share):
    print(f"{name}: found {row} of {counts}")

# %%
# A 30 x 30 matrix of rank 2 has 116 degrees of freedom: nothing can find it from fewer
# entries.
colors = {2: "#0072B2", 3: "#D55E00", 4: "#009E73"}
styles = {2: "o-", 3: "s--", 4: "^-."}
fig, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for depth, rows in curves.items():
    look = {"color": colors[depth], "lw": 2, "label": f"depth {depth}"}
    for ax, column in zip(axes, rows.T):
        ax.loglog(scales, column, styles[depth], **look)
for ax, level in zip(axes, (convex_error, convex_rank)):
    ax.axhline(level, color="0.5", lw=1)
    ax.set_xlabel("scale of the start, $s_0$")
axes[0].text(scales[-1], 0.9 * convex_error, "least nuclear norm", va="top",
             color="0.35")  # fmt: skip
axes[1].axhline(5, color="k", lw=1, ls=":")
axes[1].text(scales[0], 5, "rank of the matrix", ha="right", va="top")
axes[0].set(title="2000 of 10 000 entries", ylabel="relative error")
axes[1].set(title="2000 of 10 000 entries", ylabel="effective rank", ylim=(4, 60))
axes[1].set_yticks([5, 10, 20, 50], ["5", "10", "20", "50"])
axes[1].minorticks_off()
axes[2].plot(counts, share[0], styles[2], color=colors[2], lw=2, label="depth 2")
axes[2].plot(counts, share[1], styles[3], color=colors[3], lw=2, label="depth 3")
axes[2].plot(counts, share[2], "x:", color="0.4", lw=2, label="least nuclear norm")
axes[2].set(
    title="30 x 30, rank 2, $s_0$ = 0.003",
    xlabel="known entries of 900",
    ylabel="share of matrices found",
    xlim=(80, 470),
)
axes[0].legend(loc="lower right")
axes[2].legend(loc="upper left", fontsize="small")
plt.show()
