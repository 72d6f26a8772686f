"""
From a spline to a broken line
==============================

One network of 300 ReLU units, eight points, three initial scales. From a large scale
training ends in the natural cubic spline. From a smaller one it ends in an almost
broken line whose slope has the least total variation that a curve through the points
can have. From a very small one it is content with five straight pieces and misses two
points: it has come to rest there, at a stationary point of the loss.
"""

# %%
# ``init_scale`` is the only thing that changes, and nothing stops the training early.
# Below each curve is its slope: smooth on the left, a few steps on the right. The grey
# band holds all curves of least total variation through the points.
import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import CubicSpline

from skregimes import ShallowReLURegressor
from skregimes.datasets import load_teaching_points
from skregimes.limits import linear_spline, min_total_variation_band

X, y = load_teaching_points(return_X_y=True)
x = X[:, 0]
grid = np.linspace(-1, 1, 801)
middle = (grid[1:] + grid[:-1]) / 2
cubic = CubicSpline(x, y, bc_type="natural")
linear = linear_spline(x, y)
lower, upper = min_total_variation_band(x, y, grid)
print(
    "total variation of the slope: cubic spline "
    f"{np.abs(np.diff(cubic(grid, 1))).sum():.1f}, least possible "
    f"{np.abs(linear.slope_changes).sum():.1f}"
)

fig, axes = plt.subplots(
    2, 3, figsize=(11, 6), sharex=True, sharey="row", height_ratios=(2, 1),
    layout="constrained",
)  # fmt: skip
for (ax, below), init_scale in zip(axes.T, (1000.0, 10.0, 0.01)):
    net = ShallowReLURegressor(
        init_scale, n_hidden=300, early_stopping=False, tol=1e-6, random_state=0
    ).fit(X, y)
    curve = net.predict(grid[:, np.newaxis])
    ax.fill_between(
        grid, lower, upper, color="0.85", lw=3, label="least variation of slope"
    )
    ax.plot(grid, cubic(grid), color="k", lw=1, ls="--", label="natural cubic spline")
    ax.plot(grid, curve, color="#0072B2", lw=2.5, label="network")
    ax.plot(x, y, "o", color="k", ms=5, zorder=3, label="points")
    ax.set_title(
        f"init_scale = {init_scale:g}: {net.regime_} ({net.richness_:.2f})",
        fontsize="medium",
    )
    below.plot(middle, np.diff(cubic(grid)) / np.diff(grid), color="k", lw=1, ls="--")
    below.plot(middle, np.diff(curve) / np.diff(grid), color="#0072B2", lw=2)
    for place in x:
        below.axvline(place, color="0.8", lw=0.8, zorder=0)
    below.set_xlabel("x")
    print(
        f"init_scale {init_scale:g}: richness {net.richness_:.2f}, total variation "
        f"{net.total_variation_:.1f}, rms distance to the cubic spline "
        f"{np.sqrt(np.mean((curve - cubic(grid)) ** 2)):.3f}, largest error at a point "
        f"{np.abs(net.predict(X) - y).max():.3f}"
    )
axes[0, 0].set_ylabel("y")
axes[1, 0].set_ylabel("slope")
axes[0, 0].legend(fontsize="x-small", loc=(0.3, 0.03))
plt.show()
