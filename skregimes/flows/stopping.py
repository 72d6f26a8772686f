"""When to stop: generalised cross-validation along a path."""

from dataclasses import dataclass

import numpy as np

__all__ = ["GCV", "generalized_cross_validation"]

# Beyond this share of the samples GCV compares zero with zero (0.5 to 0.9 do alike).
_MAX_DF_SHARE = 0.7
# A path whose df stays too large over this factor in time will not come back.
_SATURATED = 2.0


def generalized_cross_validation(residual, df, n_samples):
    """Return the generalised cross-validation score, inf where the fit is saturated.

    Parameters
    ----------
    residual : float or ndarray
        Mean squared training residual.
    df : float or ndarray
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

    Examples
    --------
    >>> from skregimes.flows.stopping import generalized_cross_validation
    >>> print(generalized_cross_validation([0.9, 0.5, 0.1], [1, 5, 10], 10).round(2))
    [1.11 2.   inf]
    """
    left = 1 - np.asarray(df) / n_samples
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(left > 1e-12, residual / left**2, np.inf)


@dataclass(frozen=True)
class GCV:
    """Stop at the minimum of generalised cross-validation.

    Attributes
    ----------
    n_samples : float
        Number of samples.
    intercept : bool
        Whether an intercept was fitted beside: it counts as one degree of freedom.
    patience : float
        Factor in time without a better score after which the search ends.
    """

    n_samples: float
    intercept: bool
    patience: float = 10.0

    def allows(self, df):
        """Return whether points with so many degrees of freedom compete."""
        # At the sudden jumps of deep rich networks df peaks far outside of this range.
        return (df > -0.5) & (df < _MAX_DF_SHARE * self.n_samples)

    def score(self, residual, df):
        """Return the scores of points of a path."""
        return generalized_cross_validation(
            residual, df + self.intercept, self.n_samples
        )

    def watch(self, rest, unit):
        """Return a function ``(time, loss, df)`` that tells when a path may end.

        ``rest`` is what ``loss`` lacks to the mean squared residual, ``unit`` the time
        before which nothing happens.
        """
        return _Watch(self, rest, unit)

    def choose(self, time, residual, df):
        """Return ``(time, df, score)`` at the minimum along a path.

        Only points with ``df`` below 0.7 ``n_samples`` compete. The parabola through
        the best three, in log time, refines the choice.
        """
        valid = self.allows(df)
        inner = valid.copy()
        inner[1:] &= valid[:-1]
        inner[:-1] &= valid[1:]
        score = np.where(inner, self.score(residual, df), np.inf)
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


class _Watch:
    """Tells when a path may end."""

    def __init__(self, gcv, rest, unit):
        self.gcv, self.rest, self.unit = gcv, rest, unit
        self.best, self.best_time, self.since = np.inf, unit, np.inf

    @property
    def end(self):
        """The time at which the path ends if nothing gets better any more."""
        return min(self.gcv.patience * self.best_time, _SATURATED * self.since)

    def __call__(self, time, loss, df):
        too_many = df >= _MAX_DF_SHARE * self.gcv.n_samples
        self.since = min(self.since, time) if too_many else np.inf
        score = self.gcv.score(loss + self.rest, df)
        if self.gcv.allows(df) and score < self.best:
            self.best, self.best_time = score, max(time, self.unit)
        late = time > self.gcv.patience * self.best_time and score > self.best
        return late or time > _SATURATED * self.since
