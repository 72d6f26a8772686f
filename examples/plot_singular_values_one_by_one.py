r"""
Singular values, one after another
==================================

From a small start a product of matrices learns the singular values of a matrix one
after another, the largest first; each waits, then rises at once. The deeper the
product, the longer the wait and the sharper the rise. So a flow that is stopped, or
that has fitted all it saw, is of low rank.
"""

# %%
# All entries of a matrix with the singular values 30, 10, 3 and 1 are known, and the
# start is balanced along its singular vectors: ``init="spectral"``. Then each singular
# value moves on its own, by :math:`\dot s = L s^{2 - 2/L} (\sigma - s)`: the thin black
# lines. Time is divided by that at which the first is half way. The data are made on
# the spot.
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

from skregimes import MatrixFactorizer

spectrum = np.array([30.0, 10.0, 3.0, 1.0])
random = np.random.default_rng(0)
left, right = (np.linalg.qr(random.normal(size=(size, 4)))[0] for size in (12, 9))
matrix = (left * spectrum) @ right.T
scale = 1e-3


def fit(X, depth, **options):
    return MatrixFactorizer(
        depth=depth,
        init_scale=scale ** (1 / depth),
        units="paper",
        center=None,
        early_stopping=False,
        fold_in_alpha=0,
        **options,
    ).fit(X)


def exact(depth, times):
    """Return the singular values at given times."""
    flow = solve_ivp(
        lambda _, s: depth * s ** (2 - 2 / depth) * (spectrum - s),
        (0, times[-1]),
        np.full(4, scale),
        method="LSODA",
        t_eval=times,
        rtol=1e-9,
        atol=1e-12,
    )
    return flow.y


def rise(times, values):
    """Return when a singular value is half way, and how sharply it rises."""
    start, middle, end = (
        np.interp(q * values[-1], values, times) for q in (0.1, 0.5, 0.9)
    )
    return middle, (end - start) / middle


looks = list(zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7"), ("-", "--", "-.", ":")))
fig, axes = plt.subplots(2, 3, figsize=(11, 6), sharey="row", layout="constrained")
for ax, depth in zip(axes[0], (2, 3, 4)):
    path = fit(matrix, depth, n_components=4, rtol=1e-4).trajectory_
    unit = rise(path.time, path.singular_values[:, 0])[0]
    for value, s, (color, style) in zip(spectrum, path.singular_values.T, looks):
        half, sharpness = rise(path.time, s)
        ax.plot(path.time / unit, s / value, color=color, ls=style, lw=3)
        print(
            f"depth {depth}, singular value {value:g}: half way at {half / unit:.1f}, "
            f"from 10 to 90 % within {100 * sharpness:.1f} % of that time"
        )
    for s, value in zip(exact(depth, path.time), spectrum):
        ax.plot(path.time / unit, s / value, color="k", lw=0.8)
    ax.set(xscale="log", xlim=(0.3, None), title=f"depth {depth}, all entries known")
axes[0, 0].set_ylabel("singular value, share of its end")

# %%
# With 80 of the 108 entries known, the singular values are no longer on their own, but
# they still come one by one, and more sharply with depth. Depth 3 and 4 find the
# matrix.
hidden = np.ones(matrix.size, dtype=bool)
hidden[random.permutation(matrix.size)[:80]] = False
table = np.where(hidden.reshape(matrix.shape), np.nan, matrix)
for ax, depth in zip(axes[1], (2, 3, 4)):
    model = fit(table, depth)
    path = model.trajectory_
    unit = rise(path.time, path.singular_values[:, 0])[0]
    for value, s, (color, style) in zip(spectrum, path.singular_values.T, looks):
        ax.plot(path.time / unit, s, color=color, ls=style, lw=2.5, label=f"{value:g}")
    error = np.linalg.norm(model.complete() - matrix) / np.linalg.norm(matrix)
    ax.set(xscale="log", yscale="log", xlim=(0.3, None), ylim=(1e-3, 60),
           title=f"depth {depth}, error {error:.3f}",
           xlabel="time / time of the first rise")  # fmt: skip
    print(f"80 of 108 entries, depth {depth}: relative error {error:.3f}")
axes[1, 0].set_ylabel("singular value, 80 of 108 known")
handles, names = axes[1, 0].get_legend_handles_labels()
fig.legend(handles, names, title="singular\nvalue", loc="outside right upper")
plt.show()
