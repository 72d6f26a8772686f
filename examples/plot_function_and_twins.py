"""
A network and its twins
=======================

What did a network gain from learning features? Its *lazy twin* tells: the same network
at the same start, trained for the same time, but linearized, so that its tangent kernel
stays what it was. At a large scale the two are one curve. At a small one the twin still
draws something smooth, while the network has moved its knots to the corners.
``FunctionDisplay`` draws both, with the knots: a mark is as large as its share of all
bending, full where the slope rises and hollow where it falls.
"""

# %%
# Sixty noisy samples of a broken line. Each network stops by itself, and its twin stops
# with it. Above each picture are their mean squared errors to the truth, in percent of
# its variance. A twin would do better with a time of its own: that is the kernel regime
# on the right.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import ShallowReLUClassifier, ShallowReLURegressor
from skregimes.datasets import make_curve
from skregimes.inspection import FunctionDisplay

X, y, truth = make_curve("kinky", 60, noise=0.2, random_state=1, return_function=True)
fig, axes = plt.subplots(
    1, 3, figsize=(13, 4.2), sharex=True, sharey=True, layout="constrained"
)
for ax, init_scale in zip(axes, (0.1, 1.0, 100.0)):
    net = ShallowReLURegressor(
        init_scale, n_hidden=60, rtol=1e-2, random_state=0
    ).fit(X, y)  # fmt: skip
    display = FunctionDisplay.from_estimator(net, X, y, twins="lazy", ax=ax)
    right = truth(display.grid[:, np.newaxis])
    (curve,) = display.curves.values()
    errors = [
        100 * np.mean((values - right) ** 2) / np.var(right)
        for values in (curve, display.twins["lazy"])
    ]
    ax.set_title(
        f"error {errors[0]:.1f} %, of the twin {errors[1]:.1f} %", fontsize="medium"
    )
    ax.legend(fontsize="small", loc="lower right")
    print(
        f"init_scale {init_scale:g}: {net.regime_}, kernel change "
        f"{net.kernel_change_:.2g}, distance to the twin "
        f"{net.linearization_gap_:.3f} of the target's size"
    )

# %%
# Without noise and trained to the end there is nothing to stop, and the twins are those
# of the theory: the spline that a wide network draws in the kernel regime, and the
# linear spline, whose slope varies least. ``init_scale_path`` and
# ``FunctionDisplay.from_results`` draw a curve for each scale; the rug shows where it
# bends.
from skregimes import init_scale_path
from skregimes.datasets import load_teaching_points

points, values = load_teaching_points(return_X_y=True)
path = init_scale_path(
    points,
    values,
    estimator=ShallowReLURegressor(n_hidden=100, rtol=1e-2, tol=1e-5, random_state=0),
    init_scales=[300.0, 10.0],
)
display = FunctionDisplay.from_results(
    path, points, values, twins=["cubic", "linear"], knots="rug"
)

# %%
# Classifiers of one feature have a decision function, here of whether a sample is above
# zero. In the rich regime the log odds are a broken line, too. Displays share an axes
# if told so.
labels = np.where(y > 0, "above", "below")
display = None
for init_scale in (0.01, 10.0):
    net = ShallowReLUClassifier(
        init_scale, n_hidden=60, rtol=1e-2, log_loss_tol=-1.8, random_state=0
    ).fit(X, labels)  # fmt: skip
    display = FunctionDisplay.from_estimator(
        net, X, labels, target="above", ax=display and display.ax_
    )
display.ax_.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
plt.show()
