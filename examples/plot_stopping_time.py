"""
When to stop
============

Coefficients of a diagonal network against training time. In the kernel regime all
grow together; in the rich regime the columns that matter come first, one after the
other, and noise comes later. The default, ``early_stopping="gcv"``, stops in between.
"""

# %%
# Three of 100 columns matter, 60 noisy samples. ``early_stopping=False`` with a solver
# that follows the flow goes on until ``max_time``, and ``trajectory_`` remembers the
# way: the picture of a fitted model is ``plt.semilogx(times,
# model.trajectory_.at(times)[0])``.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import DiagonalNetRegressor

rng = np.random.default_rng(0)
truth = np.zeros(100)
truth[:3] = 3.0, -2.0, 1.0
X = rng.standard_normal((60, 100))
y = X @ truth + rng.standard_normal(60)

times = np.geomspace(0.1, 100, 300)
fig, axes = plt.subplots(
    1, 2, figsize=(10, 4), sharex=True, sharey=True, layout="constrained"
)
for ax, init_scale in zip(axes, (300.0, 1e-4)):
    whole = DiagonalNetRegressor(
        init_scale, early_stopping=False, solver="dual_mirror", max_time=100
    ).fit(X, y)
    stopped = DiagonalNetRegressor(init_scale).fit(X, y)
    coef, _ = whole.trajectory_.at(times)
    ax.semilogx(times, coef[:, 3:], color="0.75", lw=0.6)
    for i, color in enumerate(("#0072B2", "#D55E00", "#009E73")):
        ax.semilogx(times, coef[:, i], color=color, lw=2, label=f"truth {truth[i]:g}")
        ax.axhline(truth[i], color=color, lw=1, ls=":")
    ax.axvline(stopped.time_, color="k", ls="--", lw=1.5, label="chosen by GCV")
    ax.set(
        xlim=(0.1, 100), xlabel="time (in units of time_unit_)",
        title=f"init_scale = {init_scale:g}: {whole.regime_}",
    )  # fmt: skip
    error, end = (np.sum((net.coef_ - truth) ** 2) for net in (stopped, whole))
    print(
        f"init_scale {init_scale:g}, {whole.regime_}: squared error of coefficients "
        f"{error:.2f} at the chosen time {stopped.time_:.1f}, {end:.2f} at the end"
    )
axes[0].set_ylabel("coefficient (in units of y per unit of x)")
axes[0].legend(fontsize="small")
plt.show()
