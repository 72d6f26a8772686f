"""Slow and plain: what the matrix estimators are compared with."""

from functools import reduce

import numpy as np
from scipy.integrate import solve_ivp


def multiply(factors):
    return reduce(lambda M, W: W @ M, factors)


def reference_flow(factors, gradient, times, weight_decay=0.0, rtol=1e-10):
    """Follow ``dW_j/dt = -dloss/dW_j`` of all factors with SciPy.

    ``gradient(M)`` is that of the loss in the product. Returns a list of factors for
    each of the times.
    """
    shapes = [W.shape for W in factors]
    ends = np.cumsum([W.size for W in factors])

    def cut(state):
        parts = np.split(state, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def velocity(_, state):
        factors = cut(state)
        G = gradient(multiply(factors))
        eye = np.eye(G.shape[1]), np.eye(G.shape[0])
        slopes = []
        for j, W in enumerate(factors):
            before = multiply([eye[0], *factors[:j]])
            after = multiply([*factors[j + 1 :], eye[1]])
            slopes.append(-after.T @ G @ before.T - weight_decay * W)
        return np.concatenate([slope.ravel() for slope in slopes])

    start = np.concatenate([W.ravel() for W in factors])
    times = np.atleast_1d(times)
    size = np.max(np.abs(start))
    flow = solve_ivp(
        velocity, (0, times[-1]), start, "DOP853", times, rtol=rtol, atol=rtol * size
    )
    assert flow.success
    return [cut(state) for state in flow.y.T]


def table(shape=(8, 6), rank=2, observed=0.6, noise=0.0, seed=0):
    """A matrix of low rank with holes, and without."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((shape[0], rank)) @ rng.standard_normal(
        (rank, shape[1])
    )
    seen = rng.random(shape) < observed
    seen[np.arange(shape[0]), np.arange(shape[0]) % shape[1]] = True
    return np.where(seen, truth + noise * rng.standard_normal(shape), np.nan), truth


def distance(found, expected):
    """Distance relative to the size of what was expected."""
    return np.linalg.norm(np.subtract(found, expected)) / np.linalg.norm(expected)


def pairs_of(X):
    """Places and values of the entries of a table, one by one."""
    rows, cols = np.nonzero(~np.isnan(X))
    return np.column_stack([rows, cols]), X[rows, cols]
