"""
Motorcycle accidents
====================

The classic of curve fitting: acceleration of a dummy's head against time. Flat, then
bent sharply, with more noise later. The network as it comes chooses when to stop by
generalised cross-validation, as the smoothing spline chooses its penalty. By
cross-validation all scales are within 0.01 of R2 here, and the smooth curve is as good
as the one with corners.
"""

# %%
# The default is in the middle between kernel and rich. ``InitScaleSearchCV`` chooses
# the scale too, by cross-validation; all stopping times of a scale come from one flow a
# fold. Times with two measurements count twice; SciPy wants them merged.
import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import make_smoothing_spline
from sklearn.model_selection import KFold

from skregimes import InitScaleSearchCV, ShallowReLURegressor
from skregimes.datasets import load_motorcycle

X, y = load_motorcycle(return_X_y=True)
default = ShallowReLURegressor(n_hidden=100, random_state=0).fit(X, y)
search = InitScaleSearchCV(
    ShallowReLURegressor(n_hidden=100, random_state=0),
    init_scales=[30.0, 3.0, 0.3],
    times=np.logspace(0, 3, 19),
    cv=KFold(5, shuffle=True, random_state=0),
).fit(X, y)

x, group, count = np.unique(X[:, 0], return_inverse=True, return_counts=True)
mean = np.bincount(group, y) / count
spline = make_smoothing_spline(x, mean, w=count.astype(float))

grid = np.linspace(x[0], x[-1], 801)
fig, axes = plt.subplots(
    1, 3, figsize=(12, 4), sharex=True, sharey=True, layout="constrained"
)
panels = {
    "make_smoothing_spline, GCV": spline(grid),
    f"as it comes: {default.regime_} ({default.richness_:.2f})": default.predict(
        grid[:, np.newaxis]
    ),
    f"scale chosen: {search.best_params_['init_scale']:g}, {search.regime_} "
    f"({search.richness_:.2f})": search.predict(grid[:, np.newaxis]),
}
for ax, (title, curve) in zip(axes, panels.items()):
    ax.plot(X[:, 0], y, "o", color="0.65", ms=3)
    ax.plot(grid, curve, color="#0072B2", lw=2)
    ax.set_title(title, fontsize="medium")
    ax.set_xlabel("time after the impact (ms)")
axes[0].set_ylabel("acceleration (g)")
print(f"default: {default.n_iter_} steps, {default.df_:.1f} degrees of freedom")
scales = np.array([params["init_scale"] for params in search.cv_results_["params"]])
for scale in np.unique(scales):
    best = search.cv_results_["mean_test_score"][scales == scale].max()
    print(f"init_scale {scale:g}: cross-validated R2 {best:.3f}")
plt.show()
