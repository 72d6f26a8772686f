"""When to stop: choosing a point of a path that has been followed."""

import numpy as np

__all__ = ["generalized_cross_validation", "gcv_minimum"]

# Beyond this share of the samples GCV compares zero with zero (0.5 to 0.9 do alike).
MAX_DF_SHARE = 0.7


def generalized_cross_validation(residual, df, n_samples):
    """Generalised cross-validation score, inf where the fit is saturated.

    Parameters
    ----------
    residual : ndarray
        Mean squared training residual.
    df : ndarray
        Degrees of freedom, the intercept's included.
    n_samples : float
        Number of samples.

    Returns
    -------
    ndarray
        ``residual / (1 - df / n_samples)**2``.

    References
    ----------
    Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a
    Good Ridge Parameter", Technometrics 1979.
    """
    left = 1 - np.asarray(df) / n_samples
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(left > 1e-12, residual / left**2, np.inf)


def gcv_minimum(time, residual, df, n_samples, *, intercept):
    """Return ``(time, df, score)`` where GCV is smallest along a path.

    Only points with ``df`` below 0.7 ``n_samples`` compete. The parabola through the
    best three, in log time, refines the choice.
    """
    score = generalized_cross_validation(residual, df + intercept, n_samples)
    # At the sudden jumps of deep rich networks df peaks far outside of this range.
    valid = (df > -0.5) & (df < MAX_DF_SHARE * n_samples)
    valid[1:] &= valid[:-1].copy()
    valid[:-1] &= valid[1:].copy()
    score = np.where(valid, score, np.inf)
    best = int(np.argmin(score))
    near = slice(best - 1, best + 2)
    if not 1 < best < len(score) - 1 or not np.all(np.isfinite(score[near])):
        return time[best], df[best], score[best]
    x = np.log(time[near] / time[best])
    curvature, slope, _ = np.polyfit(x, score[near], 2)
    if curvature <= 0:
        return time[best], df[best], score[best]
    shift = np.clip(-slope / (2 * curvature), x[0], x[2])
    return time[best] * np.exp(shift), np.interp(shift, x, df[near]), score[best]
