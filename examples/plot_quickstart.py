"""
Quickstart: tune the scale of the initialisation
================================================

The mean area of the cell nuclei in a biopsy is known up to little noise from their other
measures, if one knows the formula: area goes like radius squared. Does a model find that
out from 40 patients, when it may use 405 columns, the 27 measures that are not areas and
all their products?

Nothing in this example is particular to the data: a pipeline, a grid of ``init_scale``,
a cross-validated search, and the usual peers.
"""

# %%
# The data, which come with scikit-learn, and a pipeline. There are ten times more columns
# than rows, so what decides is *which* of the many fitting models training finds.
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
# What did it find? Coefficients of columns brought to unit standard deviation, in units
# of the target's:
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
alphas = np.logspace(-4, 4, 17)


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
# The same network, from the kernel to the rich regime. At the kernel end it is as good as
# ridge regression on these columns, because it *is* a kernel machine there.
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
for (name, style), color in zip(
    [("RidgeCV", "--"), ("KernelRidge, RBF", "-."), ("LassoCV", ":")],
    [orange, green, grey],
):
    top.axhline(1 - scores[name], ls=style, color=color, lw=2, label=name)
top.set(ylabel="test error, 1 − R²", title="Mean area of nuclei, from 40 patients")
top.legend(fontsize="small", loc="best")
bottom.semilogx(scales, richness, "o-", color=blue, lw=2)
for low, high, name in ((0, 0.1, "kernel"), (0.1, 0.9, "transition"), (0.9, 1, "rich")):
    bottom.axhspan(low, high, color=grey, alpha=0.0 if name == "transition" else 0.15)
    bottom.text(0.99, (low + high) / 2, name, ha="right", va="center", fontsize="small",
                transform=bottom.get_yaxis_transform())  # fmt: skip
bottom.set(xlabel="init_scale (relative to the data)", ylabel="richness", ylim=(0, 1))

# Run from the project's root, as `make demo` does, the picture goes to the README.
static = Path("docs/_static")
if static.is_dir():
    fig.savefig(static / "quickstart.png", dpi=150)
plt.show()
