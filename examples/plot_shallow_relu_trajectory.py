"""
Stopping early is smoothing
===========================

Wide networks in the kernel regime pass by smoothing splines on their way. At time
:math:`t` the network is near the spline of penalty :math:`\\lambda = n / (\\alpha^2 t
\\zeta)`, as Jin and Montufar have it: the later, the less smooth. How near? The network
has fitted the share :math:`1 - e^{-s}` of a mode where the spline has :math:`s / (1 +
s)`. They never differ by more than 0.204, and by half of that if the penalty is
multiplied by 0.53.
"""

# %%
# ``staged_predict`` gives predictions at any times of one fit. With ``units="paper"``
# times and scale are those of the paper, and biases uniform in [-1, 1] have
# :math:`\zeta = 1/2` there.
import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import make_smoothing_spline

from skregimes import ShallowReLURegressor
from skregimes.datasets import make_curve

X, y = make_curve("smooth", 40, noise=0.4, random_state=3)
x, alpha, zeta = X[:, 0], 300.0, 0.5
x, y = np.sort(x), y[np.argsort(x)]
times = np.array([1e1, 1e3, 1e5, 1e7]) / alpha**2
net = ShallowReLURegressor(
    alpha, n_hidden=2000, units="paper", bias_scale=1.0, early_stopping=False,
    max_time=times[-1], random_state=0,
).fit(x[:, np.newaxis], y)  # fmt: skip

grid = np.linspace(x[0], x[-1], 501)
fig, axes = plt.subplots(
    2, 4, figsize=(12, 5), sharex=True, sharey="row", height_ratios=(2, 1),
    layout="constrained",
)  # fmt: skip
curves = net.staged_predict(grid[:, np.newaxis], times)
for (ax, below), time, curve in zip(axes.T, times, curves):
    penalty = len(x) / (alpha**2 * time * zeta)
    ax.plot(x, y, "o", color="0.6", ms=4, label="samples")
    ax.plot(grid, curve, color="#0072B2", lw=3, alpha=0.7, label="network")
    gaps = []
    for factor, style, name in ((1.0, "--", "spline,"), (0.53, ":", "spline, 0.53")):
        spline = make_smoothing_spline(x, y, lam=factor * penalty)(grid)
        name = rf"{name} $\lambda$"
        ax.plot(grid, spline, color="k", lw=1, ls=style, label=name)
        below.plot(grid, curve - spline, color="k", lw=1.2, ls=style, label=name)
        gaps.append(f"{np.sqrt(np.mean((curve - spline) ** 2)):.3f}")
    power = round(np.log10(alpha**2 * time))
    ax.set_title(rf"$\alpha^2 t = 10^{power}$")
    below.set_xlabel("x")
    print(f"alpha^2 t = 1e{power}: rms distance to the splines " + ", ".join(gaps))
axes[0, 0].set_ylabel("y")
axes[1, 0].set_ylabel("network - spline")
axes[0, 0].legend(fontsize="small")
print(f"{net.n_iter_} steps, richness {net.richness_:.4f}")
plt.show()
