r"""
Measured matrices (Gunasekar et al., 2017)
==========================================

Fewer random measurements :math:`y_n = \langle A_n, M \rangle` than a positive
semidefinite :math:`M` has entries are fitted by :math:`M = U U^\top`, of full width and
without any penalty. From small multiples of the identity, :math:`U(0) = \alpha I`,
gradient flow finds a matrix of nearly the least nuclear norm, which here is the trace,
and with it the truth; from large ones it does not.
"""

# %%
# With ``init="identity"`` and symmetric measurements both factors stay each other's
# transpose, so that this is the flow of the paper. 12 x 12 matrices of rank 2 have 23
# free numbers, and 78 if symmetric and of any rank. With 40 measurements the matrix of
# least trace is the truth itself.
import matplotlib.pyplot as plt
import numpy as np

from skregimes import MatrixSensingRegressor
from skregimes.limits import min_nuclear_norm

size, rank = 12, 2


def draw(n_measurements, seed):
    random = np.random.default_rng(seed)
    factor = random.standard_normal((size, rank))
    A = random.standard_normal((n_measurements, size, size))
    X = ((A + A.transpose(0, 2, 1)) / 2).reshape(n_measurements, -1)
    truth = factor @ factor.T
    return X, X @ truth.ravel(), truth


def fit(X, y, alpha):
    return MatrixSensingRegressor(
        (size, size),
        init="identity",
        init_scale=alpha,
        units="paper",
        fit_intercept=False,
        early_stopping=False,
        tol=1e-8,
    ).fit(X, y)


alphas = np.logspace(-3, -0.5, 11)
excess = np.array(
    [
        [
            np.trace(fit(X, y, alpha).coef_matrix_) / np.trace(truth) - 1
            for alpha in alphas
        ]
        for X, y, truth in (draw(40, seed) for seed in range(3))
    ]
)
for alpha, *row in zip(alphas[::2], *excess[:, ::2]):
    print(
        f"alpha {alpha:.4f}: excess of the trace " + ", ".join(f"{e:.4f}" for e in row)
    )


# %%
# How many measurements does it take? The least nuclear norm, by convex optimisation,
# needs between 35 and 40. The flow from a small start is *not* at the least nuclear
# norm when there are fewer: it prefers a low rank (Li, Luo and Lyu, 2021), and with 30
# of them its error is a tenth.
def error(matrix, truth):
    return np.linalg.norm(matrix - truth) / np.linalg.norm(truth)


counts = np.array([20, 25, 30, 35, 40, 45])
methods = {
    r"flow, $\alpha$ = 0.3": lambda X, y: fit(X, y, 0.3).coef_matrix_,
    r"flow, $\alpha$ = 0.03": lambda X, y: fit(X, y, 0.03).coef_matrix_,
    r"flow, $\alpha$ = 0.001": lambda X, y: fit(X, y, 0.001).coef_matrix_,
    "least nuclear norm": lambda X, y: (
        min_nuclear_norm(X, y, shape=(size, size)).matrix
    ),
}
errors = {
    name: [
        np.median(
            [error(solve(X, y), M) for X, y, M in (draw(n, seed) for seed in range(5))]
        )
        for n in counts
    ]
    for name, solve in methods.items()
}
print("median error with " + ", ".join(map(str, counts)) + " measurements")
for name, row in errors.items():
    print(f"{name:24s} " + ", ".join(f"{value:.4f}" for value in row))

# %%
looks = (("#D55E00", "o--"), ("#009E73", "s-."), ("#0072B2", "^-"), ("k", "D:"))
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for row, (color, style) in zip(excess, looks):
    left.loglog(alphas, row, style, color=color)
left.set(
    xlabel=r"scale of the initialisation, $\alpha$ (paper's)",
    ylabel="excess of the trace over the least",
    title="40 measurements, three draws",
)
for (name, row), (color, style) in zip(errors.items(), looks):
    right.semilogy(counts, row, style, color=color, label=name)
right.set(
    xlabel="number of measurements",
    ylabel="relative error",
    title="median of five draws",
)
right.legend()
plt.show()

# %%
# Reference: Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro, "Implicit
# Regularization in Matrix Factorization", NeurIPS 2017.
