"""Hard-margin separators: where the flow of a classifier's loss goes in direction."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack

from skregimes.limits._checks import LimitError, check_array, check_depth, check_scale
from skregimes.limits._sweeping import NotSeparableError, Sweep
from skregimes.limits.margins import Margins
from skregimes.limits.potentials import DiagonalPotential

__all__ = ["MaxMargin", "Separation", "max_margin"]

# Log scale of the depth-4 network whose potential is the l1 norm to a relative 1e-11
# times the root of the number of coefficients.
_VANISHING = -13.0
# Largest relative duality gap that is returned.
_INEXACT = 1e-6
# Margins over mu: below the least the kernel limit is exact.
_LEAST, _MOST = 1e-140, 1e200


@dataclass(frozen=True)
class MaxMargin:
    """Separator of least norm.

    Parameters
    ----------
    coef : ndarray of shape (n_features,) or (n_classes, n_features)
        Coefficients, of margin one; a row a class if there are more than two.
    intercept : float or ndarray of shape (n_classes,)
        Intercepts; zero unless fitted. Several sum to zero.
    value : float
        Norm of `coef`, summed over classes: ``sum(abs(coef))``, the root of
        ``sum(coef**2)``, or ``sum(mu * q(coef / mu))``.
    dual : ndarray of shape (n_samples,) or (n_samples, n_classes - 1)
        Multipliers of the margins, not negative: their pull on the coefficients is
        a (sub)gradient of the norm at `coef`. Of more than two classes there is a
        margin for each wrong class, in increasing order.
    norm : str or tuple
        As passed.
    classes : ndarray of shape (n_classes,)
        Labels in sorted order; scores are positive for the second of two.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import max_margin
    >>> X = np.array([[2.0, 1.0], [1.0, 3.0], [-2.0, -1.0]])
    >>> separator = max_margin(X, [1, 1, -1], norm="l1", fit_intercept=False)
    >>> round(separator.value, 4)
    0.6
    >>> float(np.min(X @ separator.coef * [1, 1, -1]).round(4))
    1.0
    """

    coef: np.ndarray
    intercept: float | np.ndarray
    value: float
    dual: np.ndarray
    norm: str | tuple
    classes: np.ndarray

    @property
    def margin(self):
        """Margin of the separator of unit norm, the largest there is; nan for "q"."""
        return 1 / self.value if isinstance(self.norm, str) else np.nan


def max_margin(X, y, *, norm="l2", depth=2, fit_intercept=False):
    """Return the separator of least norm whose margins are all at least one.

    ``argmin norm(coef)`` subject to ``margins(coef, intercept) >= 1``. The margin of a
    sample of two classes is its score ``x @ coef + intercept``, negated for the first
    class. More classes have a score each; then each wrong class makes a margin, by
    which the score of the right one exceeds its own, and the norm is summed over
    classes.

    Gradient flow of the exponential or logistic loss on a linear model ends in the
    direction of the l2 separator; on a diagonal network of depth two in that of the l1
    separator.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,)
        Labels, of any type that sorts; at least two different ones.
    norm : {"l1", "l2"} or tuple ("q", mu), default="l2"
        The last is ``Q_mu(coef) = sum(mu * q(coef / mu))`` with the potential q of
        `q_norm` at `depth` and ``mu > 0`` in units of `coef`: the l2 norm, squared, for
        large mu and the l1 norm for small.
    depth : int, default=2
        Depth of the network of the potential. Used by ``("q", mu)`` alone; at depth 1
        it is ``sum(coef**2) / 2``.
    fit_intercept : bool, default=False
        Whether there are intercepts, which the norm does not see.

    Returns
    -------
    MaxMargin
        Coefficients, intercepts, value of the norm and multipliers.

    Raises
    ------
    ValueError
        If the classes are not linearly separable, or an argument is out of its domain.
    LimitError
        A ``RuntimeError``: the separator could not be computed accurately. The message
        says what to change.

    Notes
    -----
    Newton's method on the multipliers, whose steps are quadratic programs, to a
    relative 1e-9 in the margins: one program for "l2", a road from large mu to the
    wanted one for "q", and so far that the potential of depth 4 is the l1 norm for
    "l1". Tied l1 separators are then resolved by the largest ``sum(sqrt(abs(coef)))``,
    so equal columns share, to some digits. Both norms are certified by weak duality to
    a relative 1e-6; an l1 separator that is not comes from the linear program (HiGHS).

    References
    ----------
    Soudry et al., "The Implicit Bias of Gradient Descent on Separable Data", JMLR 19,
    2018, Theorem 3.
    Moroshko et al., "Implicit Bias in Deep Linear Classification: Initialization Scale
    vs Training Accuracy", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.limits import max_margin
    >>> X = np.array([[2.0, 1.0], [1.0, 3.0], [-2.0, -1.0]])
    >>> y = ["b", "b", "a"]
    >>> max_margin(X, y, norm="l2").coef.round(4)
    array([0.4, 0.2])
    >>> max_margin(X, y, norm="l1").coef.round(4)
    array([0.4, 0.2])
    """
    data = Separation(X, y, fit_intercept)
    mu, depth = _check_norm(norm), check_depth(depth)
    try:
        if norm == "l2":
            coef, intercept, dual, value = _least_l2(data)
        elif norm == "l1":
            coef, intercept, dual, value = _least_l1(data)
        else:
            coef, intercept, dual, value = _least_q(data, mu, depth)
    except NotSeparableError as error:
        raise data.explain(error) from error
    coef, intercept, dual = data.restore(coef, intercept, dual)
    return MaxMargin(coef, intercept, float(value), dual, norm, data.classes)


class Separation:
    """Labelled samples, checked, in units in which the largest feature is one."""

    def __init__(self, X, y, fit_intercept):
        X = check_array(X, "X", (2,))
        if 0 in X.shape:
            raise ValueError(f"X {X.shape} must not be empty.")
        self.classes, codes = _check_labels(y, len(X))
        self.rule = Margins(codes, len(self.classes))
        self.fit_intercept = bool(fit_intercept)
        self.unit = np.max(np.abs(X)) or 1.0
        self.X, self.center = X / self.unit, np.zeros(X.shape[1])
        if self.fit_intercept:
            # The intercept makes the origin free: no digits are lost to an offset.
            self.center = self.X.mean(axis=0)
            self.X = self.X - self.center
            spread = np.max(np.abs(self.X)) or 1.0
            self.X, self.center = self.X / spread, self.center / spread
            self.unit *= spread

    def sweep(self, depth, log_scale):
        """Return the sweep of a network from coefficients zero."""
        potential = DiagonalPotential(depth, log_scale)
        return Sweep(self.X, self.rule, potential, fit_intercept=self.fit_intercept)

    def restore(self, coef, intercept, dual):
        """Return results in the units of X, and in the shapes of two or more classes.

        ``dual`` is that of a potential whose gradient has no unit.
        """
        intercept = intercept - coef @ self.center
        if len(coef) == 1:
            return coef[0] / self.unit, float(intercept[0]), dual / self.unit
        return (
            coef / self.unit,
            intercept - intercept.mean(),
            dual.reshape(len(self.X), -1) / self.unit,
        )

    def level(self, mu):
        """Return margins at which the network of scale one is the one of scale mu.

        And by how much margins are still too large, where the kernel limit is exact.
        """
        log = -np.log(mu) - np.log(self.unit)
        if log > np.log(_MOST):
            raise ValueError(
                f"mu must be at least {1 / _MOST:g} over the largest feature"
                f" ({self.unit:.3g}); got {mu:g}."
            )
        level = max(np.exp(log), _LEAST)
        return level, np.exp(log - np.log(level))

    def explain(self, error):
        """Return the error of a caller whose classes are not separable."""
        samples = np.unique(self.rule.sample[error.rows])
        named = ", ".join(map(str, samples[:6])) + (", ..." if len(samples) > 6 else "")
        hint = "" if self.fit_intercept else " Consider fit_intercept=True."
        return ValueError(
            "The classes are not linearly separable: margins of the samples"
            f" {named} have positive multiples that cancel, so no separator makes all"
            f" of them positive.{hint}"
        )


def _least_l2(data):
    sweep = data.sweep(1, 0.0)
    sweep.advance(1.0)
    value = np.sqrt(np.sum(sweep.coef**2))
    # Of the norm, not of half its square.
    _certify(value**2, np.sum(sweep.dual), "quadratic program")
    return sweep.coef, sweep.intercept, sweep.dual / value, value / data.unit


def _least_l1(data):
    try:
        sweep = data.sweep(4, _VANISHING)
        sweep.advance(1.0)
        coef, intercept, dual = sweep.coef, sweep.intercept, sweep.dual
        dual = dual / np.max(np.abs(data.X.T @ data.rule.pull(dual)))
        _certify(np.sum(np.abs(coef)), np.sum(dual), "sweep")
    except NotSeparableError:
        raise
    except LimitError:
        coef, intercept, dual = _linear_program(data)
    return coef, intercept, dual, np.sum(np.abs(coef)) / data.unit


def _linear_program(data):
    """Return the separator of least l1 norm that HiGHS finds."""
    roles = data.rule.roles
    blocks = [data.X[data.rule.sample] * role[:, None] for role in roles]
    blocks = [csr_array(block) for block in blocks]
    parts = [sign * block for sign in (1, -1) for block in blocks]
    n_free = len(roles) if data.fit_intercept else 0
    parts += [csr_array(role[:, None]) for role in roles[:n_free]]
    n_coef = 2 * len(roles) * data.X.shape[1]
    answer = linprog(
        np.r_[np.ones(n_coef), np.zeros(n_free)],
        A_ub=-hstack(parts, format="csr"),
        b_ub=-np.ones(len(data.rule.sample)),
        bounds=[(0, None)] * n_coef + [(None, None)] * n_free,
        method="highs",
    )
    if answer.status != 0:
        raise LimitError(
            f"HiGHS could not solve the linear program: {answer.message} Rescale badly"
            " conditioned columns of X."
        )
    plus, minus = np.split(answer.x[:n_coef], 2)
    coef = (plus - minus).reshape(len(roles), -1)
    intercept = np.zeros(len(roles))
    intercept[:n_free] = answer.x[n_coef:]
    margins = data.rule.of(data.X @ coef.T + intercept)
    coef, intercept = coef / margins.min(), intercept / margins.min()
    dual = np.maximum(-answer.ineqlin.marginals, 0.0)
    dual = dual / max(1.0, np.max(np.abs(data.X.T @ data.rule.pull(dual))))
    _certify(np.sum(np.abs(coef)), np.sum(dual), "linear program")
    return coef, intercept, dual


def _least_q(data, mu, depth):
    level, thin = data.level(mu)
    sweep = data.sweep(depth, 0.0)
    sweep.advance(level)
    coef, intercept, dual = sweep.coef / level, sweep.intercept / level, sweep.dual
    if depth == 1:  # it has no scale
        dual = dual / level / data.unit
        value = np.sum((coef / data.unit) ** 2) / 2
    else:
        dual = dual * thin
        value = np.sum(sweep.potential.value(sweep.coef)) / level / data.unit * thin
    return coef, intercept, dual, value


def _certify(value, bound, name):
    """Check a norm against a lower bound of it."""
    if not abs(value - bound) <= _INEXACT * value:
        raise LimitError(
            f"The {name} was solved to a relative accuracy of {value / bound - 1:.1g}"
            " only. Rescale badly conditioned columns of X."
        )


def _check_norm(norm):
    """Return mu, or None for the norms that have none."""
    if isinstance(norm, str) and norm in ("l1", "l2"):
        return None
    if isinstance(norm, tuple) and len(norm) == 2 and norm[0] == "q":
        return check_scale(norm[1], "mu")
    raise ValueError(f'norm must be "l1", "l2" or ("q", mu); got {norm!r}.')


def _check_labels(y, n_samples):
    """Return the classes and the number of each sample's one."""
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y must be 1-D; its shape is {y.shape}.")
    if len(y) != n_samples:
        raise ValueError(f"X has {n_samples} rows but y has {len(y)}.")
    if np.any(y != y):
        raise ValueError("y contains NaN; drop those samples first.")
    try:
        classes, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise ValueError("y has labels of types that do not compare.") from error
    if len(classes) < 2:
        raise ValueError(f"y has one class only, {classes[0]!r}; it needs two.")
    return classes, codes
