"""
Knots on the move
=================

A ReLU network of one feature bends at one place for each of its units, its *knot*. In
the kernel regime knots stay where they were drawn and only the sizes of the bends are
learned. In the rich regime they move: samples attract them and hold them, for a while
or for good; those that are let go travel on together.
"""

# %%
# ``trajectory_.knots`` holds the place of every knot at every recorded time. Darker
# lines are units that bend the function more at the end.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import ShallowReLURegressor
from skregimes.datasets import load_teaching_points
from skregimes.diagnostics import knots_near_samples

X, y = load_teaching_points(return_X_y=True)

fig, axes = plt.subplots(
    1, 3, figsize=(11, 5), sharey=True, width_ratios=(3, 3, 2), layout="constrained"
)
for ax, init_scale in zip(axes, (300.0, 3.0)):
    net = ShallowReLURegressor(
        init_scale, n_hidden=100, early_stopping=False, tol=1e-6, random_state=0
    ).fit(X, y)
    path = net.trajectory_
    bend = np.abs(net.coefs_[0][0] * net.coefs_[1][:, 0])
    shade = 0.12 + 0.88 * bend / bend.max()
    for track, alpha in zip(path.knots.T, shade):
        ax.semilogx(path.time[1:], track[1:], color="#0072B2", lw=1, alpha=alpha)
    for place in X[:, 0]:
        ax.axhline(place, color="k", lw=0.7, ls=":")
    near = knots_near_samples(net.knots_, net.slope_changes_, X)
    ax.set(
        xlabel="time (in units of time_unit_)", ylim=(-1.15, 1.15),
        title=f"init_scale = {init_scale:g}: {net.regime_} ({net.richness_:.2f})",
    )  # fmt: skip
    print(
        f"init_scale {init_scale:g}: {100 * near:.0f} % of the bending within 2 % of "
        "half a gap of a sample"
    )
    grid = np.linspace(-1.15, 1.15, 501)
    style = "-" if init_scale < 100 else "--"
    axes[2].plot(
        net.predict(grid[:, np.newaxis]), grid, style, color="#0072B2",
        label=f"init_scale = {init_scale:g}",
    )  # fmt: skip
axes[2].plot(y, X[:, 0], "o", color="k", ms=5)
axes[2].set(xlabel="y", title="the functions at the end")
axes[2].legend(fontsize="small")
axes[0].set_ylabel("x, and where the units bend")
plt.show()
