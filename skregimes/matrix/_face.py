"""What the matrix estimators share."""

import math
import warnings
from functools import cached_property, partial
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skregimes._base import FlowEstimator
from skregimes._sklearn import Interval, StrOptions
from skregimes.diagnostics import balancedness, deep_linear_volume, weight_change
from skregimes.diagnostics.effective_rank import entropy_rank
from skregimes.flows.ending import BROKEN
from skregimes.matrix._flow import run
from skregimes.matrix._geometry import kernel_motion
from skregimes.networks.factors import LAWS, outer, product_svd

__all__ = ["FLOATS", "MatrixEstimator"]

FLOATS = [np.float64, np.float32]
# A start whose product is larger than this share of the data swamps them.
_SWAMPS = 0.3
# Singular values below this share of the largest do not count for the volume.
_NEGLIGIBLE = 1e-2


class MatrixEstimator(FlowEstimator):
    """A product of matrices trained by gradient flow."""

    # What searches try. From larger starts nothing is learned of what was not observed,
    # from smaller ones noiseless tables alone gain.
    _default_init_scales = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)

    _parameter_constraints: dict = {
        name: constraint
        for name, constraint in FlowEstimator._parameter_constraints.items()
        if name not in ("fit_intercept", "batch_size", "warm_start")
    } | {
        "n_components": [None, Interval(Integral, 1, None, closed="left")],
        "depth": [Interval(Integral, 2, None, closed="left")],
        "init": [StrOptions(set(LAWS))],
        "centered": ["boolean"],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"auto", "chebyshev", "gd"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "rtol": [None, Interval(Real, 0, 1, closed="neither")],
        "dtype": [None, str, type, np.dtype],
    }

    def _refuse_idle(self):
        """Refuse parameters that could only be ignored."""
        idle = "rtol" if self.solver == "gd" else "learning_rate"
        if getattr(self, idle) is not None:
            other = "chebyshev" if self.solver == "gd" else "gd"
            raise ValueError(
                f"{idle} is for solver={other!r}, not for solver={self.solver!r}."
            )

    def _dtype(self, found):
        """Return the dtype of the arithmetic, for data of one dtype."""
        if self.dtype is None:
            return np.dtype(found if found in FLOATS else np.float64)
        try:
            dtype = np.dtype(self.dtype)
        except TypeError:
            dtype = None
        if dtype not in FLOATS:
            raise ValueError(f"dtype={self.dtype!r} must be float64, float32 or None.")
        return dtype

    def _follow(self, data, dtype, shown, known):
        """Train on observed data and set the attributes; ``known`` are some of them."""
        self._refuse_idle()
        random_state = check_random_state(self.random_state)
        watcher = self._watch(*shown)
        describe = partial(self._describe, data, known)
        outcome = run(data, self, dtype, random_state, watcher, describe)
        self._forget()
        found = describe(outcome.origin, outcome.trajectory)
        for name, value in found.items():
            setattr(self, name, value)
        self._store(data, outcome)
        if watcher is not None:
            watcher.finish()
        return outcome

    def _describe(self, data, known, origin, path):
        """Return the attributes that predictions need, as of the end of a path."""
        left, right = path.halves(-1)
        U, s, Vt = product_svd(left.astype(float), right.astype(float), path.rank)
        cast = lambda array: array.astype(left.dtype, copy=False)
        return known | {
            "factors_": path.factors[-1],
            "n_components_": len(s),
            "components_": cast(Vt),
            "singular_values_": cast(s),
            "embedding_": cast(U * s),
            "time_": float(path.time[-1]),
            "loss_": float(path.loss[-1]),
        }

    def _store(self, data, outcome):
        origin, result, path = outcome.origin, outcome.result, outcome.trajectory
        self.trajectory_ = path
        self.initial_factors_ = path.factors[0]
        self._shape = tuple(data.shape)
        s = self.singular_values_.astype(float)
        self.effective_rank_ = entropy_rank(s)
        self.stable_rank_ = float(np.sum((s / s[0]) ** 2)) if s[0] > 0 else 0.0
        self.solver_ = "gd" if self.solver == "gd" else "chebyshev"
        self.n_iter_ = max(result.n_iter, 1)
        self.converged_ = result.status not in BROKEN
        self.alpha_, self.scale_ = origin.alpha, origin.scale
        self.scale_unit_ = origin.unit
        paper, relative = origin.clock("paper"), origin.clock("relative")
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            self.time_unit_ = float(np.float64(relative) / np.float64(paper))
        motion = kernel_motion(self.initial_factors_, self.factors_)
        self.kernel_change_ = motion.change
        self.kernel_alignment_ = motion.alignment
        self.kernel_angle_ = motion.angle
        self.richness_ = motion.richness
        self.weight_change_ = _weight_change(self.initial_factors_, self.factors_)
        self.balancedness_ = balancedness(self.factors_)
        if outcome.validation is not None:
            self.validation_curve_ = outcome.validation
            self.validation_score_ = float(np.min(outcome.validation[:, 1]))

    def _report(self, outcome):
        """Say what a user should know of how the fit ended."""
        result, origin = outcome.result, outcome.origin
        if result.status == "interrupted":
            raise KeyboardInterrupt("fit was interrupted; what it reached is stored")
        if result.status == "diverged":
            raise FloatingPointError(result.message)
        start = _product_norm(origin)
        if not origin.centered and start > _SWAMPS:
            warnings.warn(
                f"At init_scale={self.init_scale:g} the product of the start is "
                f"{start:.2g} times as large as the data, and entries that were not "
                "observed keep it. Use centered=True, init='lifted' or a smaller "
                "init_scale.",
                UserWarning,
                stacklevel=4,
            )
        if result.status in ("max_iter", "stalled"):
            warnings.warn(
                f"The flow did not end as asked. {result.message}",
                ConvergenceWarning,
                stacklevel=4,
            )
        size = float(self.singular_values_[0])
        if self.weight_decay > 0 and self.depth > 2 and size <= _shrunk(origin):
            warnings.warn(
                "The penalty shrank all factors to zero, a local minimum for "
                f"depth={self.depth}: the data pull at a start of init_scale="
                f"{self.init_scale:g} too weakly. Decrease weight_decay, increase "
                "init_scale, or use depth=2.",
                UserWarning,
                stacklevel=4,
            )
        # By whom tol was asked for, of data that ask for anything.
        asked = outcome.validation is None and self.weight_decay == 0
        if asked and origin.pull > 0 and result.status in ("plateau", "stationary"):
            width, rank = len(origin.factors[0]), min(self._shape)
            cause = (
                f"Products of rank n_components={width} cannot fit the data to tol; "
                "increase n_components, or use early_stopping=True or max_time."
                if width < rank
                else result.message
            )
            warnings.warn(
                f"The loss stands still at {self.loss_:.3g}. {cause}",
                ConvergenceWarning,
                stacklevel=4,
            )

    # -- what is computed when asked for -------------------------------------------

    @cached_property
    def log_volume_(self):
        """Log volume of the metric of deep linear networks at the fitted matrix."""
        check_is_fitted(self)
        s = np.asarray(self.singular_values_, dtype=float)
        s = s[s > _NEGLIGIBLE * s[0]]
        if not len(s):
            raise AttributeError("The fitted matrix is zero; it has no volume form.")
        return deep_linear_volume(s, self.depth, shape=self._shape)

    def __dir__(self):
        # scikit-learn reads all attributes to list them: not this one, unasked.
        lazy = {"log_volume_"} - vars(self).keys()
        names = [name for name in object.__dir__(self) if name not in lazy]
        return [name for name in names if hasattr(self, name)]

    def _stages(self, answer, times):
        """Yield ``answer(left, right)`` along the trajectory, or at given times."""
        path = self.trajectory_
        stages = np.array([answer(*path.halves(p)) for p in range(len(path))])
        yield from path.interpolated(stages, path.time if times is None else times)

    def _excess(self, *measured):
        """Return the nuclear norm over the least one that fits, minus 1."""
        from skregimes.limits import min_nuclear_norm

        least = min_nuclear_norm(*measured).norm
        norm = float(np.sum(self.singular_values_, dtype=float))
        if least == 0:
            return 0.0 if norm == 0 else math.inf
        return norm / least - 1

    def _factors_at(self, at):
        if at not in ("init", "end"):
            raise ValueError(f"at must be 'init' or 'end', got {at!r}.")
        return self.factors_ if at == "end" else self.initial_factors_


def _shrunk(origin):
    """Return what the product is below if the factors only shrank."""
    return origin.scale * origin.unit if origin.pull > 0 else -1.0


def _product_norm(origin):
    """Return the norm of the product of the start, 0 where it is clearly small."""
    left, right = outer(origin.factors)
    if origin.scale**2 * left.shape[1] < _SWAMPS**2 / 10:
        return 0.0
    return math.sqrt(np.sum((left.T @ left) * (right.T @ right)))


def _weight_change(start, end):
    flat = [np.concatenate([W.ravel() for W in F]).astype(float) for F in (start, end)]
    return weight_change(*flat) if np.any(flat[0]) else 0.0
