"""Diagnostics of a diagonal network's fit, from its coefficients alone."""

import numpy as np

from skregimes.flows.rows import weighted_gram

__all__ = ["diagonal_diagnostics", "log_kernel_weights"]


def log_kernel_weights(potential, coef, at):
    """Return logs of the tangent kernel's weights, one for each feature.

    Parameters
    ----------
    potential : DiagonalPotential
    coef : ndarray of shape (n_features,)
        Coefficients at the end.
    at : {"init", "end"}

    Returns
    -------
    ndarray of shape (n_features,)
        ``K(x, x') = sum_i exp(result_i) x_i x'_i``.
    """
    theta = potential.theta(coef)
    if at == "init":
        theta = np.broadcast_to(potential.theta_of_dual(potential.offset), theta.shape)
    return potential.log_kernel_weight(theta)


def diagonal_diagnostics(potential, coef, rows):
    """Compare a diagonal network at its end with its start.

    Parameters
    ----------
    potential : DiagonalPotential
    coef : ndarray of shape (n_features,) or (n_outputs, n_features)
        Several outputs have networks of their own, which start alike; what is compared
        then is the whole of them.
    rows : Rows
        Training features.

    Returns
    -------
    dict
        ``kernel_change`` (inf beyond 1e308), ``kernel_alignment`` and
        ``weight_change``.
    """
    each = [_compare_kernels(potential, one, rows) for one in np.atleast_2d(coef)]
    change, growth, alignment = np.array(each).T
    # Kernels of different outputs are orthogonal, and of one size at the start.
    size = np.exp(growth - growth.max())
    alignment = alignment @ size / np.linalg.norm(size) / np.sqrt(len(size))
    with np.errstate(over="ignore"):
        change = np.linalg.norm(change) / np.sqrt(len(size))
    return {
        "kernel_change": float(change),
        "kernel_alignment": float(np.clip(alignment, -1, 1)),
        "weight_change": _weight_change(potential, coef),
    }


def _compare_kernels(potential, coef, rows):
    """Return the relative change, the log of the growth, and the cosine."""
    start, end = (log_kernel_weights(potential, coef, at) for at in ("init", "end"))
    if rows.rank == 0 or np.array_equal(start, end):
        return 0.0, 0.0, 1.0
    top0, top1 = start.max(), end.max()
    K0 = (
        rows.gram
        if np.ptp(start) == 0
        else weighted_gram(rows.XT, np.exp(start - top0))
    )
    K1 = weighted_gram(rows.XT, np.exp(end - top1))
    size0, size1 = np.linalg.norm(K0), np.linalg.norm(K1)
    if size0 == 0 or size1 == 0:
        return 0.0, 0.0, 1.0  # squares of the features underflow
    growth = top1 - top0 + np.log(size1) - np.log(size0)
    with np.errstate(over="ignore"):
        if top1 - top0 < 30:
            change = np.linalg.norm(np.exp(top1 - top0) * K1 - K0) / size0
        else:  # K0 is beyond the digits of K1
            change = np.exp(growth)
    return change, growth, np.sum((K0 / size0) * (K1 / size1))


def _weight_change(potential, coef):
    """``||w_T - w_0|| / ||w_0||`` over both halves of the network."""
    if potential.depth == 1:
        # Both halves move by half of what the coefficients did.
        size = np.exp(potential.log_scale) * np.ones_like(coef)
        moved = (coef - potential.offset) / 2
        return float(np.linalg.norm(moved) / np.linalg.norm(size))
    theta = potential.theta(coef)
    theta0 = np.broadcast_to(potential.theta_of_dual(potential.offset), theta.shape)
    now = np.array(potential.log_weights(theta))
    then = np.array(potential.log_weights(theta0))
    top = then.max()
    with np.errstate(over="ignore"):
        moved = np.exp(then - top) * np.expm1(now - then)
        return float(np.linalg.norm(moved) / np.linalg.norm(np.exp(then - top)))
