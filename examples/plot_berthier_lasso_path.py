r"""
Training time is the lasso's penalty (Berthier, 2025)
=====================================================

From a tiny start a diagonal network runs through sparse solutions, and the *average* of
its coefficients up to time :math:`t` is the lasso with a penalty that falls like
:math:`1 / t`. So one training run draws the whole regularisation path of the lasso. The
coefficients themselves jump from one sparse solution to the next, much less shrunken.
"""

# %%
# Three of 80 columns matter, 40 noisy samples. ``units="paper"`` takes :math:`\alpha`
# as the paper does. The penalty of scikit-learn's lasso that belongs to time :math:`t`
# is, as :math:`\alpha \to 0`,
#
# .. math::
#
#    \lambda = \frac{\log(1 / \alpha^2)}{4 t} \quad (D = 2), \qquad
#    \lambda = \frac{1}{D (D - 2) \, \alpha^{D-2} \, t} \quad (D \ge 3) .
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import lasso_path

from skregimes import DiagonalNetRegressor

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 80))
y = X[:, :3] @ [2.0, -1.5, 1.0] + 0.3 * rng.standard_normal(40)
largest = np.max(np.abs(X.T @ y)) / len(y)  # above it the lasso is zero
penalties = largest * np.geomspace(1.5, 0.05, 60)
_, lasso, _ = lasso_path(X, y, alphas=penalties, tol=1e-8, max_iter=100_000)


def average_and_last(alpha, depth):
    """Return both kinds of coefficients, (n_penalties, n_features)."""
    time = np.log(1 / alpha**2) / 4
    if depth > 2:
        time = 1 / (depth * (depth - 2) * alpha ** (depth - 2))
    net = DiagonalNetRegressor(
        alpha,
        depth=depth,
        units="paper",
        fit_intercept=False,
        early_stopping=False,
        solver="dual_mirror",
        max_time=time / penalties[-1],
    ).fit(X, y)
    # The coefficients jump, so the average needs many points.
    times = np.linspace(0, net.time_, 40_001)
    coef = net.trajectory_.at(times)[0]
    steps = np.diff(times)[:, np.newaxis] * (coef[1:] + coef[:-1]) / 2
    integral = np.vstack([np.zeros(X.shape[1]), np.cumsum(steps, axis=0)])
    chosen = np.searchsorted(times, time / penalties).clip(1, len(times) - 1)
    return integral[chosen] / times[chosen, np.newaxis], coef[chosen]


def distance(coef):
    """Relative distance to the lasso where that is not zero."""
    some = penalties < 0.9 * largest
    gap = np.linalg.norm(coef[some] - lasso.T[some], axis=1)
    return gap / np.linalg.norm(lasso.T[some], axis=1)


for depth, alphas in ((2, (1e-5, 1e-10, 1e-20)), (3, (1e-1, 1e-2, 1e-3))):
    for alpha in alphas:
        average, last = (distance(coef) for coef in average_and_last(alpha, depth))
        print(
            f"depth {depth}, alpha {alpha:g}: median distance to the lasso, of the "
            f"average {np.median(average):.4f}, of the last {np.median(last):.2f}"
        )

# %%
# The thin black lines are the lasso's path. On the left the average lies on them; on
# the right the coefficients at the same time have jumped to where they stay.
average, last = average_and_last(1e-10, 2)
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
looks = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."))
for ax, coef, name in zip(axes, (average, last), ("average up to t", "at time t")):
    ax.plot(penalties, coef[:, 3:], color="0.75", lw=1)
    for i, (color, style) in enumerate(looks):
        ax.plot(penalties, coef[:, i], style, color=color, lw=3, label=f"column {i}")
    ax.plot(penalties, lasso[:3].T, color="k", lw=1)
    ax.plot([], [], color="k", lw=1, label="lasso")
    ax.set(xscale="log", xlabel="penalty of the lasso, falling like 1 / t", title=name)
    ax.invert_xaxis()
axes[0].set_ylabel("coefficient")
axes[0].legend(loc="lower left", handlelength=4)
fig.suptitle(r"Depth 2, $\alpha$ = 1e-10")
plt.show()

# %%
# Reference: Berthier, "Diagonal linear networks and the lasso regularization path",
# arXiv:2509.18766.
