r"""
Scale and training loss decide together (Moroshko et al., 2020)
===============================================================

With more features than samples many hyperplanes separate two classes. Trained on the
exponential loss, a diagonal network tends to the one of least l2 norm per margin while
it acts as a kernel machine, and to the one of least l1 norm later. When it changes is
decided by the scale of its initialisation **and** by how far the loss has fallen
[1]_ - and it may be far below what any float can hold. `DiagonalNetClassifier` follows
the flow in the clock of its own loss, so that ``exp(-1e6)`` takes about a second.
"""

# %%
# Twenty samples of fifty features, of which three decide.

import matplotlib.pyplot as plt
import numpy as np

from skregimes import DiagonalNetClassifier
from skregimes.limits import max_margin

rng = np.random.default_rng(0)
X = rng.standard_normal((20, 50))
y = np.sign(X[:, :3].sum(axis=1))
l1, l2 = (max_margin(X, y, norm=norm).value for norm in ("l1", "l2"))


def fit(alpha):
    return DiagonalNetClassifier(
        alpha,
        units="paper",
        loss="exponential",
        fit_intercept=False,
        early_stopping=False,
        log_loss_tol=-1e6,
    ).fit(X, y)


def excess(model, falls):
    """Excess of the l1 and l2 norms per margin at losses exp(-fall)."""
    coef = model.trajectory_.at_log_loss(-falls)[0][:, 0]
    margin = np.min(y * (coef @ X.T), axis=1)
    norms = [np.linalg.norm(coef, order, axis=1) / margin for order in (1, 2)]
    return norms[0] / l1 - 1, norms[1] / l2 - 1


# %%
# One flow tells all levels of the loss
# -------------------------------------
#
# Gradient descent in float64 gets to about ``exp(-10)`` in a hundred thousand steps,
# and the loss itself is zero beyond ``exp(-745)``. For ``alpha = 10`` the regimes only
# change a hundred times further down.

falls = np.geomspace(3, 1e6, 300)
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True, layout="constrained")
styles = {0.01: "-", 0.1: "--", 1.0: "-.", 10.0: ":"}
for alpha, style in styles.items():
    for ax, values in zip(axes, excess(fit(alpha), falls), strict=True):
        ax.plot(falls, 100 * values, style, label=rf"$\alpha$ = {alpha:g}", lw=2)
for ax, norm in zip(axes, ("l1", "l2"), strict=True):
    ax.axvspan(745, falls[-1], color="0.93", zorder=0)
    ax.set(xscale="log", ylim=(-2, 80), xlabel="minus the log of the training loss")
    ax.set_ylabel(f"excess of the {norm} norm per margin (%)")
axes[0].legend(loc="upper right")
axes[1].text(950, 75, "below any float64", color="0.35")
plt.show()

# %%
# The phase diagram
# -----------------
#
# What decides is about ``alpha**2`` over the margin, and the margin grows like minus
# the log of the loss: the border climbs with slope one half. At the left the scale is
# too small to help: the early, soft phase of training has charged multipliers that the
# hard-margin phase takes long to forget.

alphas = np.geomspace(1e-3, 100, 21)
diagram = np.array([excess(fit(alpha), falls)[0] for alpha in alphas])

fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
image = ax.pcolormesh(
    falls, alphas, 100 * diagram, cmap="cividis_r", vmin=0, vmax=32, shading="nearest"
)
for percent, style in ((15, "k-"), (5, "k:")):
    first = [falls[np.argmax(100 * row < percent)] for row in diagram]
    reached = 100 * diagram.min(axis=1) < percent
    ax.plot(np.where(reached, first, np.nan), alphas, style, label=f"{percent} %")
ax.legend(loc="lower right", title="first below")
ax.axvline(745, color="k", ls="--")
ax.text(690, 1.4e-3, "below any float64", rotation=90, ha="right")
ax.set(xscale="log", yscale="log", ylabel=r"scale of the initialisation $\alpha$")
ax.set_xlabel("minus the log of the training loss")
fig.colorbar(image, label="excess of the l1 norm per margin (%)")
plt.show()

# %%
# For ``alpha = 1`` the fit is within 5 % of the l1 margin at a loss of about 1e-700:
level = falls[np.argmax(excess(fit(1.0), falls)[0] < 0.05)]
print(f"10 to the power of {-level / np.log(10):.0f}")

# %%
# .. [1] Moroshko, Gunasekar, Woodworth, Lee, Srebro, Soudry, "Implicit Bias in Deep
#    Linear Classification: Initialization Scale vs Training Accuracy", NeurIPS 2020.
