"""
Maps of the regimes
===================

The scale of the initialisation does not decide alone. How long a network is trained,
how far its loss has fallen and how many samples it has seen move the borders of the
regimes, too. :class:`~skregimes.inspection.RegimeMapDisplay` draws the map for your own
data.
"""

# %%
# Scale and time
# --------------
# Every network starts in the kernel regime, and leaves it at a time of about 1 (in the
# data's own unit) if its scale is small enough. One fit a scale answers for all times.
# The diabetes data have ten columns; with their squares and products there are 65. A
# hundred patients will do.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skregimes import DiagonalNetClassifier, DiagonalNetRegressor
from skregimes.inspection import RegimeMapDisplay

X, y = (A[:100] for A in load_diabetes(return_X_y=True))
network = make_pipeline(
    StandardScaler(), PolynomialFeatures(2, include_bias=False), DiagonalNetRegressor()
)
RegimeMapDisplay.from_estimator(network, X, y)
plt.show()

# %%
# Where does it predict best? With ``value="score"`` the colours are the cross-validated
# score, and the borders of the regimes stay. The best networks stop soon after they
# have left the kernel regime; trained on, all get worse, whatever their scale.
display = RegimeMapDisplay.from_estimator(
    network,
    X,
    y,
    value="score",
    init_scales=np.geomspace(1e-4, 100, 7),
    values=np.geomspace(0.1, 100, 25),
    cv=3,
)
best = np.unravel_index(np.argmax(display.scores), display.scores.shape)
print(
    f"best score {display.scores[best]:.2f} at init_scale "
    f"{display.init_scales[best[0]]:.2g} and time {display.others[best[1]]:.2g}, "
    f"richness {display.richness[best]:.2f}; at the last time "
    f"{display.scores[:, -1].max():.2f} at most"
)
plt.show()

# %%
# Scale and training loss
# -----------------------
# A classifier that separates the classes is never done: its loss falls for ever. From
# any scale it becomes rich in the end, but a scale ten times larger has to wait for a
# loss that is many powers of ten smaller.
rng = np.random.default_rng(0)
A = rng.standard_normal((30, 60))
labels = A[:, :3].sum(axis=1) > 0
RegimeMapDisplay.from_estimator(
    DiagonalNetClassifier(),
    A,
    labels,
    against="loss",
    init_scales=np.geomspace(1e-3, 100, 9),
    values=np.geomspace(0.01, 1e4, 36),
)
plt.show()

# %%
# Scale and number of samples
# ---------------------------
# Three of 60 columns matter: from how many samples on does a small scale find them?
B = rng.standard_normal((100, 60))
target = B[:, :3].sum(axis=1) + 0.5 * rng.standard_normal(100)
RegimeMapDisplay.from_estimator(
    DiagonalNetRegressor(),
    B,
    target,
    against="n_samples",
    value="score",
    init_scales=np.geomspace(1e-4, 100, 7),
    values=[10, 20, 30, 45, 66],
    cv=3,
)
plt.show()
