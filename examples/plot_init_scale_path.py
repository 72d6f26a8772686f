"""
Which regime suits the data?
============================

The kernel regime spreads what it learns over all columns, the rich regime looks for the
few that matter. Which one predicts better is for the data to say, and
:class:`~skregimes.inspection.InitScalePathDisplay` asks them: one line fits a network
at scales from one end to the other, with cross-validation, and draws score and regime.
"""

# %%
# Two targets on the same 100 columns: one of four columns, one of all.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import DiagonalNetRegressor, InitScaleSearchCV
from skregimes.inspection import InitScalePathDisplay, TrajectoryDisplay

rng = np.random.default_rng(0)
X = rng.standard_normal((80, 100))
few = np.r_[4.0, -3.0, 2.0, -1.0, np.zeros(96)]
all_of_them = rng.standard_normal(100) * 30**0.5 / 10
targets = {
    f"{name} of 100 columns matter": X @ coef + rng.standard_normal(80)
    for name, coef in (("4", few), ("all", all_of_them))
}

# %%
# Small scales are on the left: there the network is in the rich regime. ``ax`` says
# where to draw, here in four panels of one figure.
figure, axes = plt.subplots(
    2, 2, figsize=(10, 5.6), sharex=True, sharey="row", layout="constrained"
)
for column, (name, y) in zip(axes.T, targets.items()):
    display = InitScalePathDisplay.from_estimator(
        DiagonalNetRegressor(), X, y, ax=column
    )
    column[0].set_title(name)
    best = np.argmax(display.scores.mean(axis=1))
    print(
        f"{name}: best init_scale {display.chosen:.2g}, R² "
        f"{display.scores[best].mean():.2f}, richness {display.richness[best]:.2f}"
    )
plt.show()

# %%
# A search has tried scales and stopping times already: its results are drawn without
# another fit, each scale at its best time.
y = targets["4 of 100 columns matter"]
search = InitScaleSearchCV(DiagonalNetRegressor()).fit(X, y)
InitScalePathDisplay.from_results(search)
plt.show()

# %%
# How did the chosen fit get there? From a small scale columns are learnt one after the
# other, the strongest first.
TrajectoryDisplay.from_estimator(search, n_values=4)
plt.show()
