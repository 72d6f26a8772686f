r"""
Where curvature is cheap (Jin and Montúfar, 2023)
=================================================

A wide ReLU network of one feature, in the kernel regime, ends in the function through
the samples with the least :math:`\int f''(x)^2 / \zeta(x) \, dx`. The weight
:math:`\zeta` is a matter of how the weights were drawn: it is large where many and
strong units have their knots. For knots spread evenly it is constant, and the function
is the natural cubic spline.
"""

# %%
# Two laws of the initial weights on six points. In the second ``bias_scale`` is small,
# so that knots crowd around zero and bending is cheap there.
# :func:`~skregimes.kernels.curvature_weight` has :math:`\zeta`, and
# :func:`~skregimes.limits.curvature_spline` the minimiser, without any training.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import ShallowReLURegressor
from skregimes.kernels import curvature_weight
from skregimes.limits import curvature_spline

x = np.linspace(-1, 1, 6)
y = np.sin(3 * x) + 0.3 * np.cos(5 * x)
y = (y - y.mean()) / y.std()
grid = np.linspace(-1, 1, 401)

# The law of the weights, its bias_scale, and the name of its curvature weight.
laws = {
    "knots evenly spread": ("stratified", 1.0, "uniform"),
    "Gaussian weights": ("gaussian", 0.3, "gaussian"),
}
widths = (100, 400, 1600, 6400)


def fit(n_hidden, init, bias_scale, seed):
    return ShallowReLURegressor(
        10 * np.sqrt(n_hidden),
        n_hidden=n_hidden,
        units="paper",
        init=init,
        bias_scale=bias_scale,
        early_stopping=False,
        tol=1e-10,
        random_state=seed,
    ).fit(x[:, np.newaxis], y)


limits, nets, errors = {}, {}, {}
for name, (init, bias_scale, law) in laws.items():
    zeta = curvature_weight(law=law, bias_scale=bias_scale)
    limits[name] = curvature_spline(x, y, zeta)(grid)
    curves = [
        [fit(m, init, bias_scale, seed).predict(grid[:, np.newaxis]) for seed in (0, 1)]
        for m in widths
    ]
    nets[name] = curves[-1][0]
    distance = np.abs(np.array(curves) - limits[name]).max(axis=2)
    errors[name] = distance.mean(axis=1)
    print(f"{name}: largest distance to its spline with {widths} units:")
    print("  " + ", ".join(f"{error:.1e}" for error in errors[name]))
cubic, other = limits.values()
print(f"largest distance of the two splines: {np.abs(cubic - other).max():.3f}")

# %%
# On the left, by how much each network differs from the natural cubic spline; the thin
# black line is by how much its own spline does. On the right, how fast they get there:
# knots drawn at random approach the limit like the square root of the width, roughly,
# knots placed one in each of equal parts much faster.
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
looks = (("#0072B2", "-", "o"), ("#D55E00", "--", "s"))
for (name, net), (color, style, marker) in zip(nets.items(), looks):
    left.plot(grid, net - cubic, style, color=color, lw=3, label=name)
    left.plot(grid, limits[name] - cubic, color="k", lw=1)
    right.loglog(widths, errors[name], style, marker=marker, color=color, label=name)
left.plot([], [], color="k", lw=1, label="their splines")
left.plot(x, 0 * x, "o", color="k", ms=5, zorder=3, label="points")
left.set(xlabel="x", ylabel="f minus the natural cubic spline")
left.set_title(f"{widths[-1]} units")
right.set(xlabel="hidden units", ylabel="largest distance to the spline")
right.set_title("two seeds, mean")
left.legend(fontsize="small")
right.legend()
plt.show()

# %%
# Reference: Jin, Montúfar, "Implicit Bias of Gradient Descent for Mean Squared Error
# Regression with Two-Layer Wide Neural Networks", JMLR 2023.
