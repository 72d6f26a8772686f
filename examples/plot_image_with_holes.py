"""
An image with holes
===================

A photograph of which 70 % of the pixels are missing, filled as a table: nothing is
known of neighbouring pixels, only that rows and columns resemble each other. From a
small start the fit is of low rank and shows the picture; from a large one the holes
keep the mean, although every known pixel is fitted.
"""

# %%
# The photograph comes with scikit-learn. Both fits have the same parameters but for the
# start. ``early_stopping`` holds some of the known pixels out, to see when the small
# start has learned what it can; the large one goes on to the end and still learns
# nothing about the holes.
import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import griddata
from sklearn.datasets import load_sample_image

from skregimes import MatrixFactorizer

picture = load_sample_image("china.jpg").mean(axis=2)[:360:3, ::3] / 255
random = np.random.default_rng(0)
hole = random.random(picture.shape) < 0.7
table = np.where(hole, np.nan, picture)


def error(matrix):
    """Return the root of the mean squared error in the holes."""
    return np.sqrt(np.mean((matrix - picture)[hole] ** 2))


rich = MatrixFactorizer(
    n_components=20, fold_in_alpha=0, dtype="float32", random_state=0
).fit(table)
kernel = MatrixFactorizer(
    init="lifted",
    init_scale=30,
    early_stopping=False,
    tol=1e-5,
    fold_in_alpha=0,
    dtype="float32",
).fit(table)
print(f"white is 1; the mean in all holes: {error(np.nanmean(table)):.3f}")
for name, model in {"small start": rich, "large start": kernel}.items():
    print(
        f"{name}: {error(model.complete()):.3f}, {model.regime_} "
        f"({model.richness_:.3f}), effective rank {model.effective_rank_:.1f}"
    )

# %%
# A table is not the best model of a photograph. Who knows which pixels are neighbours
# can draw straight lines between the known ones:
known, places = np.argwhere(~hole), np.argwhere(hole)
lines = griddata(known, picture[~hole], places, method="linear")
nearest = griddata(known, picture[~hole], places, method="nearest")
lines = np.where(np.isnan(lines), nearest, lines)
print(f"linear interpolation: {np.sqrt(np.mean((lines - picture[hole]) ** 2)):.3f}")

# %%
# Known pixels are shown as they are, as ``MatrixFactorizer.impute`` returns them.
panels = {
    "original": picture,
    "30 % of the pixels": table,
    f"small start: error {error(rich.complete()):.3f}": rich.impute(table),
    f"large start: error {error(kernel.complete()):.3f}": kernel.impute(table),
}
fig, axes = plt.subplots(2, 2, figsize=(9, 5.6), layout="constrained")
cmap = plt.get_cmap("gray").with_extremes(bad="black")
for ax, (title, image) in zip(axes.flat, panels.items()):
    ax.imshow(image, cmap=cmap, vmin=0, vmax=1)
    ax.set_title(title, fontsize="medium")
    ax.set_axis_off()
plt.show()
