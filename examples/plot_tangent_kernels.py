"""
How a tangent kernel turns towards its target
=============================================

A network learns by gradient flow under its tangent kernel. In the kernel regime that
kernel stays as it was drawn, and training is kernel ridge regression. In the rich
regime it moves while the network learns, and it moves towards what is asked of it:
samples that belong together become alike. ``TangentKernelDisplay`` shows the kernel at
the start and at the end, their eigenvalues, and how much of the target lies in their
leading eigenvectors.
"""

# %%
# Handwritten digits from 0 to 3, samples in the order of their classes. A network that
# started small has made its classes into blocks, and three eigenvectors hold four
# fifths of the labels; those of the kernel at the start hold three fifths.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skregimes import DiagonalNetRegressor, ShallowReLUClassifier
from skregimes.inspection import SpectrumDisplay, TangentKernelDisplay

X, y = load_digits(n_class=4, return_X_y=True)
X, y = X[:240], y[:240]
rich = ShallowReLUClassifier(
    0.01, n_hidden=100, rtol=1e-2, log_loss_tol=-4, random_state=0
).fit(X, y)
display = TangentKernelDisplay.from_estimator(rich, X, y)
before, after = (shares[2] for shares in display.target_shares_)
print(f"{rich.regime_}; three eigenvectors: {before:.2f} before, {after:.2f} after")

# %%
# From a large start nothing of the kind happens: the two kernels are one.
lazy = ShallowReLUClassifier(
    100.0, n_hidden=100, rtol=1e-2, log_loss_tol=-4, random_state=0
).fit(X, y)
display = TangentKernelDisplay.from_estimator(lazy, X, y)
print(f"{lazy.regime_}, kernel change {display.kernel_change_:.4f}")

# %%
# In a sparse regression only five of 200 features count. The kernel of a diagonal
# network is linear, and at the start all features weigh the same: its spectrum is
# flat, like that of any random matrix. At the end it sees the five features and little
# else, and all of the target is in their five eigenvectors.
rng = np.random.default_rng(0)
features = rng.standard_normal((60, 200))
target = features[:, :5] @ np.array([3.0, -2.0, 2.0, -1.0, 1.0])
sparse = DiagonalNetRegressor(1e-3, early_stopping=False).fit(features, target)
TangentKernelDisplay.from_estimator(sparse, features, target)

# %%
# ``SpectrumDisplay`` compares any kernels, here those at the end of three scales, by
# their eigenvalues and by the share of the first ones.
kernels = {}
for init_scale in (1e-3, 0.1, 10.0):
    net = DiagonalNetRegressor(init_scale, early_stopping=False).fit(features, target)
    kernel = net.tangent_kernel(features)
    kernels[f"{init_scale:g} ({net.regime_})"] = kernel / np.trace(kernel)
display = SpectrumDisplay.from_results(kernels, what="eigenvalues", share=True)
display.figure_.set_size_inches(10, 4)
plt.show()
