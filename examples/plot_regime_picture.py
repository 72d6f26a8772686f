"""
A picture of your own data, in five lines
=========================================

Which regime suits a table? Fit the same network from many scales, and look at the test
score and at the richness. With ``X`` and ``y`` of your own in the fourth line it is the
picture of your data.
"""

# %%
# Here four of 200 columns matter, and there are 80 rows.
from sklearn.datasets import make_sparse_uncorrelated

from skregimes import DiagonalNetRegressor
from skregimes.inspection import InitScalePathDisplay

X, y = make_sparse_uncorrelated(80, n_features=200, random_state=0)
display = InitScalePathDisplay.from_estimator(DiagonalNetRegressor(), X, y)

# %%
# Read it from the left. In the rich regime the network finds the four columns; at the
# kernel end, on the right, it is ridge regression and spreads the signal over all of
# them. What was drawn is in the display:
scores = display.scores.mean(axis=1)
for scale, score, richness in zip(display.init_scales, scores, display.richness):
    print(f"init_scale {scale:7.4f}: test R2 {score:5.2f}, richness {richness:.2f}")

# %%
# Where the score is flat from end to end the data do not ask for a regime, and ridge
# regression does, or the lasso. On scikit-learn's diabetes table it is:
from sklearn.datasets import load_diabetes

X, y = load_diabetes(return_X_y=True)
flat = InitScalePathDisplay.from_estimator(DiagonalNetRegressor(), X, y)
scores = flat.scores.mean(axis=1)
print(f"test R2 from {scores.min():.3f} to {scores.max():.3f}")

# %%
# Run from the project's root, as `make demo` does, the first picture goes to the
# README.
from pathlib import Path

static = Path("docs/_static")
if static.is_dir():
    display.figure_.savefig(static / "regime_picture.png", dpi=150)
