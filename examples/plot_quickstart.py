"""
Quickstart: tune the scale of the initialisation
================================================

The mean area of the cell nuclei in a biopsy follows from their other measures, if one
knows which: it goes like the square of the radius. Does a model find that out from 40
patients, when it may use 405 columns, the 27 measures that are not areas and all their
products?

Nothing in this example is particular to the data: a pipeline, a grid of ``init_scale``,
a cross-validated search, and the usual peers.
"""

# %%
# The data, which come with scikit-learn, and a pipeline. There are ten times more
# columns than rows, so what decides is *which* of the many fitting models training
# finds.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LassoCV, RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skregimes import DiagonalNetRegressor

data = load_breast_cancer()
is_area = np.array(["area" in name for name in data.feature_names])
X, y = data.data[:, ~is_area], data.data[:, data.feature_names == "mean area"].ravel()
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=40, random_state=0)

products = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False))
network = make_pipeline(products, DiagonalNetRegressor())

# %%
# The scale of the initialisation is a parameter like any other. Its unit is the data's
# own: 1 is the middle of the transition between the kernel and the rich regime.
scales = np.logspace(2, -5, 8)
search = GridSearchCV(network, {"diagonalnetregressor__init_scale": scales})
search.fit(X_train, y_train)
best = search.best_estimator_[-1]
print(
    f"best init_scale {best.init_scale:g}: the {best.regime_} regime, "
    f"richness {best.richness_:.2f}"
)

# %%
# What did it find? The largest coefficients, for columns and target of unit standard
# deviation, belong to radius and perimeter and to their squares:
fitted_products = search.best_estimator_[0]
columns = fitted_products.transform(X_train)
names = fitted_products.get_feature_names_out(
    [name.replace(" ", "_") for name in data.feature_names[~is_area]]
)
weights = best.coef_ * columns.std(axis=0) / y_train.std()
for i in np.argsort(-np.abs(weights))[:5]:
    print(f"{weights[i]:6.2f}  {names[i]}")

# %%
# The peers, each tuned by cross-validation: the lasso and ridge regression, and kernel
# ridge with the linear kernel, all three on the same 405 columns; and kernel ridge with
# a radial kernel on the 27 measures, which has all products built in.
alphas = np.logspace(-4, 4, 9)


def kernel_ridge(columns, kernel, **grid):
    ridge = make_pipeline(columns, KernelRidge(kernel=kernel))
    grid = {f"regressor__kernelridge__{name}": values for name, values in grid.items()}
    centred = TransformedTargetRegressor(ridge, transformer=StandardScaler())
    return GridSearchCV(centred, grid)


standard = make_pipeline(products, StandardScaler())
peers = {
    "LassoCV": make_pipeline(standard, LassoCV()),
    "RidgeCV": make_pipeline(standard, RidgeCV(alphas)),
    "KernelRidge, linear": kernel_ridge(standard, "linear", alpha=alphas),
    "KernelRidge, RBF": kernel_ridge(
        StandardScaler(), "rbf", alpha=alphas, gamma=np.logspace(-5, 0, 11)
    ),
}
scores = {"DiagonalNetRegressor": search.score(X_test, y_test)}
for name, peer in peers.items():
    scores[name] = peer.fit(X_train, y_train).score(X_test, y_test)
for name, score in sorted(scores.items(), key=lambda item: -item[1]):
    print(f"test R2 {score:.3f}  {name}")

# %%
# The same network, from the kernel to the rich regime. At the kernel end it is as good
# as ridge regression on these columns, because it *is* a kernel machine there.
nets = [
    clone(network).set_params(diagonalnetregressor__init_scale=s).fit(X_train, y_train)
    for s in scales
]
missed = [1 - net.score(X_test, y_test) for net in nets]
richness = [net[-1].richness_ for net in nets]

fig, (top, bottom) = plt.subplots(
    2, sharex=True, figsize=(7, 5.6), height_ratios=(3, 2), layout="constrained"
)
blue, orange, green, grey = "#0072B2", "#D55E00", "#009E73", "0.35"
top.loglog(scales, missed, "o-", color=blue, lw=2, label="diagonal network")
top.loglog(
    best.init_scale, 1 - scores["DiagonalNetRegressor"], "o", ms=13, mfc="none",
    mec=blue, mew=2, label="chosen by cross-validation",
)  # fmt: skip
for name, style, color in (
    ("RidgeCV", "--", orange),
    ("KernelRidge, RBF", "-.", green),
    ("LassoCV", ":", grey),
):
    level = 1 - scores[name]
    top.axhline(level, ls=style, color=color, lw=2)
    top.annotate(name, (scales[-1], level), xytext=(0, 4), color=color,
                 textcoords="offset points")  # fmt: skip
top.set(
    ylabel="test error, 1 - R²", ylim=(3e-4, 0.6),
    title="Area of cell nuclei from 405 columns, 40 patients to learn from",
)  # fmt: skip
top.legend(loc="lower right", ncols=2)
bottom.semilogx(scales, richness, "o-", color=blue, lw=2)
bottom.axhspan(0, 0.1, color=grey, alpha=0.15, lw=0)
bottom.axhspan(0.9, 1, color=grey, alpha=0.15, lw=0)
for x, height, name in (
    (0.99, 0.95, "rich"), (0.01, 0.5, "transition"), (0.01, 0.05, "kernel"),
):  # fmt: skip
    bottom.text(x, height, name, ha="right" if x > 0.5 else "left", va="center",
                fontsize="small", transform=bottom.transAxes)  # fmt: skip
bottom.set(xlabel="init_scale (relative to the data)", ylabel="richness", ylim=(0, 1))

# Run from the project's root, as `make demo` does, the picture goes to the README.
static = Path("docs/_static")
if static.is_dir():
    fig.savefig(static / "quickstart.png", dpi=150)
plt.show()
