"""Berthier, "Diagonal linear networks and the lasso regularization path".

As the scale of the initialisation vanishes, the average of the coefficients up to time
t tends to the lasso's, with a penalty that falls like 1 / t.
"""

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from skregimes import DiagonalNetRegressor


def sparse_data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 80))
    return X, X[:, :3] @ [2.0, -1.5, 1.0] + 0.3 * rng.standard_normal(40)


def fit(X, y, alpha, depth, max_time):
    return DiagonalNetRegressor(
        alpha,
        depth=depth,
        units="paper",
        standardize=False,
        fit_intercept=False,
        early_stopping=False,
        solver="dual_mirror",
        max_time=max_time,
    ).fit(X, y)


def distance_to_lasso(net, X, y):
    """Relative distance of the average coefficients, and of the last ones."""
    trajectory = net.trajectory_
    # The coefficients jump where features join: many points, in linear time.
    times = np.linspace(0, net.time_, 20_001)
    average = np.trapezoid(trajectory.at(times)[0], times, axis=0) / net.time_
    lasso = Lasso(
        alpha=net.lasso_equivalent_alpha_,
        fit_intercept=False,
        tol=1e-10,
        max_iter=10**5,
    )
    lasso = lasso.fit(X, y).coef_
    size = np.linalg.norm(lasso)
    return (
        np.linalg.norm(average - lasso) / size,
        np.linalg.norm(net.coef_ - lasso) / size,
    )


def asymptotic_penalty(alpha, depth, time):
    if depth == 2:
        return np.log(1 / alpha**2) / (4 * time)
    return 1 / (depth * (depth - 2) * alpha ** (depth - 2) * time)


# Tolerances: the average is within 1.3 % of the lasso at depth 2, where the distance
# falls only like 1 / log(1 / alpha), and within 1 % at depth 3.
@pytest.mark.parametrize(
    ("depth", "alpha", "tolerance"),
    [(2, 1e-10, 0.013), (2, 1e-20, 0.0065), (3, 1e-2, 0.009), (4, 1e-2, 1e-3)],
)
@pytest.mark.parametrize("share", [0.5, 0.2, 0.05])
def test_time_average_is_the_lasso(depth, alpha, tolerance, share):
    X, y = sparse_data()
    penalty = share * np.max(np.abs(X.T @ y)) / len(y)
    # The asymptotic penalty falls like 1 / t, so this is the time that belongs to it.
    max_time = asymptotic_penalty(alpha, depth, 1.0) / penalty
    net = fit(X, y, alpha, depth, max_time)
    average, last = distance_to_lasso(net, X, y)
    assert average < tolerance
    # The last coefficients are not the lasso's, being much less shrunk.
    assert last > 0.05
    np.testing.assert_allclose(net.lasso_equivalent_alpha_, penalty, rtol=0.02)


@pytest.mark.parametrize(("depth", "alphas"), [(2, (1e-5, 1e-20)), (3, (1e-2, 1e-3))])
def test_distance_to_the_lasso_vanishes_with_the_scale(depth, alphas):
    X, y = sparse_data()
    penalty = 0.2 * np.max(np.abs(X.T @ y)) / len(y)
    far, near = (
        distance_to_lasso(
            fit(X, y, alpha, depth, asymptotic_penalty(alpha, depth, 1.0) / penalty),
            X,
            y,
        )[0]
        for alpha in alphas
    )
    assert near < far / 3
