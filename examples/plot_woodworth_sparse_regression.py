r"""
Sparse regression between two norms (Woodworth et al., 2020)
============================================================

A diagonal network :math:`\beta = w_+^D - w_-^D`, started at :math:`w_\pm = \alpha`, is
trained to the end by gradient flow on N = 100 noisy samples of a target with 5 nonzero
coefficients out of d = 1000. Large :math:`\alpha` ends in the minimum :math:`\ell_2`
norm (the kernel regime), which learns nothing here; small :math:`\alpha` in the minimum
:math:`\ell_1` norm, which all but finds the target. The deeper the network, the sharper
the transition, and the less small :math:`\alpha` needs to be.
"""

# %%
# ``units="paper"`` takes :math:`\alpha` as the paper does, raw, and leaves the columns
# as they are. Without times, :func:`~skregimes.init_scale_path` gives the limits of
# infinite time of all scales; it fits what ``DiagonalNetRegressor(alpha, units="paper",
# fit_intercept=False, early_stopping=False)`` fits, and uses each scale to warm-start
# the next.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import init_scale_path
from skregimes.limits import min_l1_norm, min_l2_norm

n_features, n_nonzero, noise = 1000, 5, 0.1
truth = np.zeros(n_features)
truth[:n_nonzero] = n_nonzero**-0.5


def make_data(n_samples, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    return X, X @ truth + noise * rng.standard_normal(n_samples)


def limits(X, y, alphas, depth):
    path = init_scale_path(
        X, y, init_scales=alphas, depth=depth, units="paper", fit_intercept=False
    )
    return path.coefs[::-1, 0]  # from the smallest scale up, like alphas


def population_error(coef):
    return np.sum((coef - truth) ** 2, axis=-1)


def l1_norm(coef):
    return np.sum(np.abs(coef), axis=-1)


# %%
# The error on the population is :math:`\|\beta - \beta^*\|^2` plus that of the noise.
alphas = np.logspace(-5, 1, 19)
depths = (2, 3, 4)
data = [make_data(100, seed) for seed in range(3)]
sparsest = [min_l1_norm(X, y) for X, y in data]
smallest = [min_l2_norm(X, y) for X, y in data]
errors, excess = [], []
for depth in depths:
    coefs = np.array([limits(X, y, alphas, depth) for X, y in data])
    least = l1_norm(np.array(sparsest))[:, None]
    errors.append(population_error(coefs).mean(axis=0))
    excess.append((l1_norm(coefs) / least - 1).mean(axis=0))

for alpha, *row in zip(alphas[::3], *(error[::3] for error in errors)):
    print(f"alpha {alpha:7.0e}  error " + "  ".join(f"{error:.4f}" for error in row))

# %%
# Depth 2 approaches the sparse solution only like :math:`1 / \log(1/\alpha)`; depth 3
# and 4 get there polynomially.
colors = ("#0072B2", "#D55E00", "#009E73")
styles = ("-", "--", "-.")
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for depth, error, more, color, style in zip(depths, errors, excess, colors, styles):
    look = {"color": color, "ls": style, "lw": 2, "label": f"depth {depth}"}
    left.loglog(alphas, error, **look)
    right.loglog(alphas, np.maximum(more, 1e-16), **look)
for coefs, name, place in (
    (sparsest, "least ℓ₁ norm", {"x": alphas[-1], "ha": "right", "va": "top"}),
    (smallest, "least ℓ₂ norm", {"x": alphas[0], "ha": "left", "va": "bottom"}),
):
    level = population_error(np.array(coefs)).mean()
    left.axhline(level, color="0.5", lw=1)
    left.text(y=level, s=f"{name}\n" if place["va"] == "bottom" else f"\n{name}",
              color="0.35", linespacing=0.4, **place)  # fmt: skip
left.set(ylabel="population error, $\\|\\beta - \\beta^*\\|^2$", ylim=(4e-3, 2))
right.set(ylabel="excess of $\\|\\beta\\|_1$ over the least", ylim=(1e-7, 10))
for ax in (left, right):
    ax.set_xlabel("scale of the initialisation, $\\alpha$")
right.legend()
fig.suptitle("5 of 1000 coefficients, 100 samples")
plt.show()

# %%
# How many samples a small enough scale saves
# -------------------------------------------
# The scale from which the target is found depends on the number of samples: close to
# the fewest with which the minimum :math:`\ell_1` norm finds it, depth 2 needs a minute
# :math:`\alpha`. Depth 3 does not. The error is 0.025 on the white line.
samples = np.array([40, 50, 60, 70, 80, 100, 130, 170, 220])
alphas = np.logspace(-6, 0, 13)
fig, axes = plt.subplots(
    1, 2, figsize=(10, 4), sharex=True, sharey=True, layout="constrained"
)
for ax, depth in zip(axes, (2, 3)):
    error = np.array(
        [
            np.mean(
                [
                    population_error(limits(*make_data(n, seed), alphas, depth))
                    for seed in range(2)
                ],
                axis=0,
            )
            for n in samples
        ]
    )
    levels = np.linspace(-2.1, 0.3, 25)
    filled = ax.contourf(
        samples, alphas, np.log10(error.T), levels, cmap="viridis", extend="both"
    )
    ax.contour(samples, alphas, error.T, [0.025], colors="white", linewidths=2)
    ax.set(yscale="log", title=f"depth {depth}", xlabel="number of samples, N")
axes[0].set_ylabel("scale of the initialisation, $\\alpha$")
ticks = [0.01, 0.03, 0.1, 0.3, 1]
bar = fig.colorbar(filled, ax=axes, ticks=np.log10(ticks))
bar.ax.set_yticklabels([f"{tick:g}" for tick in ticks])
bar.set_label("population error, $\\|\\beta - \\beta^*\\|^2$")
plt.show()
