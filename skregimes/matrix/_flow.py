"""The one road of all matrix estimators: from data to trained factors.

Inside, the matrix is divided by a unit, the size that the data ask for, and each factor
by the unit's root of order L. So float32 is safe, and nothing depends on the units of
the data.
"""

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from skregimes._watch import Course, Point, log
from skregimes.matrix._geometry import kernel_motion
from skregimes.matrix._search import Search, holds_out, solver_of
from skregimes.matrix.trajectory import FactorTrajectory
from skregimes.networks.factors import (
    alpha_of,
    compress,
    draw_factors,
    end_to_end_scale,
    full_width,
)

__all__ = ["Origin", "Outcome", "run"]

# Tolerances of a step where none is asked for: a time chosen on held-out data is not
# known any better.
_CLOSE, _LOOSE = 1e-3, 1e-2
# Numbers that a trajectory keeps at most, and points.
_MOST_NUMBERS, _MOST_POINTS = 5_000_000, 400
# Factor in time without progress after which a flow that could fit the data gives up,
# and one whose factors are too narrow.
_PATIENT, _IMPATIENT = 1e4, 1e2
# Product over data below which factors that the penalty shrinks are done with.
_NOTHING = 1e-12
# Entries of a matrix whose dense decomposition takes no time.
_DENSE_SVD = 250_000


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a flow begins, in units in which the matrix has size one.

    Parameters
    ----------
    unit : float
        Size of the matrix in the units of the data.
    norm : float
        Norm of the measurements as a map, by which they are divided.
    factors : list of ndarray
        ``W_1`` to ``W_L``.
    alpha : float
        Scale of the factors in the units of the data, 0 if there is nothing to learn.
    scale : float
        End-to-end scale of the start, over the unit.
    rate : float
        Rate of the fastest direction at the start.
    weight_decay : float
        Weight of the penalty.
    pull : float
        Largest rate at which data pull at a factor of size one, 0 if there is nothing
        to learn.
    centered : bool
        Whether the product of the start is subtracted.
    """

    unit: float
    norm: float
    factors: list
    alpha: float
    scale: float
    rate: float
    weight_decay: float
    pull: float
    centered: bool

    @classmethod
    def build(cls, data, params, random_state):
        """Draw the start that an estimator's parameters describe."""
        depth, law = params.depth, params.init
        width = full_width(law, data.shape)
        if law != "lifted":
            width = params.n_components or width
        relative = params.units == "relative"
        scale = alpha = 0.0
        unit = data.size
        if relative and unit > 0:
            scale = params.init_scale
            alpha = alpha_of(law, scale, width, depth) * unit ** (1 / depth)
        elif not relative:
            alpha = params.init_scale
            size = end_to_end_scale(law, alpha, width, depth)
            unit = unit or size
            scale = size / unit
        unit, norm = unit or 1.0, data.norm or 1.0
        slope = data.slope(unit, norm)
        factors = _draw(law, slope, width, depth, alpha, unit, random_state)
        pull = _top_singular_value(slope)
        rate = depth * (pull + scale ** (2 - 2 / depth)) or 1.0
        decay = params.weight_decay * pull
        if not relative:
            pace = _pace(unit, norm, depth)
            if not 0 < pace < math.inf:
                raise ValueError(
                    "Flow times in units='paper' leave float64 for data of this size; "
                    "use units='relative', or scale the data."
                )
            decay = params.weight_decay / pace
        return cls(
            unit, norm, factors, alpha, scale, rate, decay, pull, params.centered
        )

    def of_part(self, part, share, params):
        """Return the origin of the flow of a part of the data, in the same units.

        Nothing that it is made of has seen the rest, and the penalty has the same share
        in the loss.
        """
        self = replace(self, weight_decay=share * self.weight_decay)
        if params.init != "spectral":
            return self
        width = len(self.factors[0])
        slope = part.slope(self.unit, self.norm)
        factors = _draw("spectral", slope, width, self.depth, self.alpha, self.unit)
        return replace(self, factors=factors)

    @property
    def depth(self):
        return len(self.factors)

    def vanishes(self, size):
        """Return whether factors of this norm are next to nothing and only shrink.

        Beyond depth 2 what grows, grows in proportion to the other factors' size.
        """
        depth = self.depth
        pull = (self.pull + size**depth) * size ** (depth - 2)
        shrinks = depth > 2 and not self.centered and pull < self.weight_decay
        return shrinks and size**depth < _NOTHING

    @property
    def shrinks(self):
        """Whether the penalty is so strong that zero is known to be the minimum."""
        return self.depth == 2 and self.weight_decay >= self.pull and not self.centered

    def clock(self, units):
        """Return how much of the time inside is one unit of time outside."""
        if units == "relative":
            return 1 / self.rate
        return _pace(self.unit, self.norm, self.depth)

    def loss(self, loss):
        """Return a loss inside in the units of the data."""
        with np.errstate(over="ignore", under="ignore"):
            return float((np.float64(self.unit) * self.norm) ** 2 * loss)

    def raw(self, factors):
        """Return factors in the units of the data."""
        return [W * W.dtype.type(self.unit ** (1 / self.depth)) for W in factors]

    def problem(self, data, dtype, device):
        """Return the problem that the data pose, and the parameters to begin at."""
        import torch

        from skregimes._border import check_device
        from skregimes.networks.factors import outer
        from skregimes.networks.matrix import FactorizationProblem

        like = torch.empty(
            0, dtype=getattr(torch, np.dtype(dtype).name), device=check_device(device)
        )
        measurements, target = data.measured(self.unit, self.norm, like)
        start = None
        if self.centered:
            halves = (torch.from_numpy(half).to(like) for half in outer(self.factors))
            start = measurements.fitted(*halves)
        problem = FactorizationProblem(
            measurements,
            target,
            data.shape,
            len(self.factors[0]),
            self.depth,
            self.weight_decay,
            start,
        )
        return problem, problem.pack(self.factors)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Trained factors, and how they came about.

    Parameters
    ----------
    origin : Origin
        Where the flow began.
    result : FlowResult
        Its end, in the units inside.
    trajectory : FactorTrajectory
        In the units of the data.
    validation : ndarray of shape (n_points, 2) or None
        Times, as the flow of all data counts them, and mean squared errors on held-out
        measurements.
    """

    origin: Origin
    result: object
    trajectory: FactorTrajectory
    validation: np.ndarray | None

    @cached_property
    def factors(self):
        """``W_1`` to ``W_L`` at the end, in the units of the data."""
        return self.trajectory.factors[-1]


def run(data, params, dtype, random_state, watcher, describe):
    """Follow the flow that an estimator's parameters describe.

    Parameters
    ----------
    data : ObservedEntries or SensedMatrix
        What was observed.
    params : estimator
        Its parameters; none is changed.
    dtype : dtype
        Of the arithmetic.
    random_state : RandomState
        Source of the start and of the held-out part.
    watcher : callable or None
        Told of the flow of all data.
    describe : callable
        Given the origin and a trajectory, what an estimator needs to predict as of its
        last point, for the watcher.

    Returns
    -------
    Outcome
    """
    origin = Origin.build(data, params, random_state)
    stops_early = holds_out(params.early_stopping, data) and origin.alpha > 0
    flow = _Flow(origin, params, dtype, stops_early)
    bound, tol, search = math.inf, params.tol, None
    if params.max_time is not None:
        bound = params.max_time * origin.clock(params.units)
    if stops_early:
        search = Search.run(flow, data, bound, random_state, watcher)
        bound, tol = search.time, 0.0
    elif watcher is not None:
        watcher.begin()
    record = _Record(flow.pose(origin, data), origin, params, watcher, describe)
    record.aim(tol, bound)
    if search is not None and search.interrupted is not None:
        start, result = search.interrupted
        record(0.0, *start)
    else:
        result = flow.follow(record.problem, bound, tol, record)
        if search is not None and search.broken is not None:
            status, message = search.broken.status, search.broken.message
            result = replace(result, status=status, message=message)
    curve = None
    if search is not None:
        clock, size2 = origin.clock(params.units), origin.loss(1.0)
        curve = np.column_stack(
            [search.curve[:, 0] / clock, search.curve[:, 1] * size2]
        )
    return Outcome(origin, result, record.trajectory(result), curve)


# -- following -------------------------------------------------------------------------


class _Flow:
    """How all flows of one fit are followed."""

    def __init__(self, origin, params, dtype, stops_early):
        self.origin, self.params, self.dtype = origin, params, dtype
        self.rtol = params.rtol or (_LOOSE if stops_early else _CLOSE)

    def pose(self, origin, data):
        """Return the problem that data pose to a network, and where it begins."""
        return origin.problem(data, self.dtype, self.params.device)

    def follow(self, posed, bound, tol, on_node, rest=0.0):
        """Follow a flow to a time, to a loss, or to rest."""
        from skregimes.flows.chebyshev import chebyshev
        from skregimes.flows.descent import descent

        problem, theta = posed
        params, origin = self.params, self.origin
        if origin.weight_decay:
            on_node = self._until_nothing_is_left(on_node)
        narrow = len(origin.factors[0]) < min(
            len(origin.factors[-1]), origin.factors[0].shape[1]
        )
        options = {
            "max_time": bound,
            "tol": tol,
            "floor": problem.measurements.unfit,
            "plateau": _IMPATIENT if narrow else _PATIENT,
            "max_iter": params.max_iter,
            "on_node": on_node,
        }
        # The unit of the tolerance is the loss of a matrix of zeros; a large start's is
        # larger, and what is fitted of it says nothing.
        start = float(problem.gradient(theta)[1]) - options["floor"]
        if start > 0 and problem.target_norm > 0:
            options["tol"] *= min(1.0, problem.target_norm**2 / 2 / start)
        if origin.weight_decay and tol:
            # The infimum of the loss is not known.
            options |= {"rest": max(tol, rest), "tol": 0.0}
            if origin.shrinks and not rest:
                options |= {"floor": problem.target_norm**2 / 2, "tol": tol}
        if params.solver != "gd":
            result = chebyshev(problem, theta, rtol=self.rtol, **options)
        else:
            rate = params.learning_rate
            if rate is not None:
                rate = rate * origin.clock(params.units)
            result = descent(problem, theta, learning_rate=rate, **options)
        if result.status == "stationary" and result.time == 0 and origin.pull > 0:
            raise ValueError(
                f"The gradient is zero at the start, init={params.init!r} with "
                f"init_scale={params.init_scale:g} in {self.dtype.name}, and nothing "
                "can be learned. Increase init_scale, use dtype='float64' or another "
                "init."
            )
        return result

    def _until_nothing_is_left(self, on_node):
        def tell(time, theta, loss):
            stop = on_node(time, theta, loss)
            return stop or self.origin.vanishes(float(theta.norm()))

        return tell


class _Record:
    """Points of a flow, thinned out when they become many."""

    def __init__(self, posed, origin, params, watcher, describe):
        self.problem, self.origin = posed, origin
        self.params, self.watcher, self.describe = params, watcher, describe
        self.points: list = []
        self.stride, self.seen = 1, 0

    def __call__(self, time, theta, loss):
        """Take a point; a true answer stops the flow."""
        if self.seen % self.stride == 0:
            self.points.append((time, loss, theta))
            count = len(self.points)
            if count > 2 and (
                count * theta.numel() > _MOST_NUMBERS or count > _MOST_POINTS
            ):
                self.points = self.points[::2]
                self.stride *= 2
        self.seen += 1
        return self.watcher is not None and self._tell(time, loss, theta)

    def aim(self, tol, bound):
        """Say at which share of the loss and at which time the flow is to end."""
        self.course = Course(log(tol), relative=True, solver=solver_of(self.params))
        self.log_end = log(bound * self.origin.rate)

    def _tell(self, time, loss, theta):
        """Tell the watcher of a point."""
        origin, units = self.origin, self.params.units
        path = cache(lambda: self._path([self.points[0], (time, loss, theta)]))
        motion = cache(lambda: kernel_motion(path().factors[0], path().factors[-1]))
        point = Point.at(
            time / origin.clock(units),
            origin.loss(loss),
            lambda: motion().richness,
            lambda: motion().change,
        )
        age = log(time * origin.rate)
        unfit = self.problem[0].measurements.unfit
        done = self.course(age, self.log_end, log(loss - unfit))
        state = lambda: self.describe(origin, path())
        return self.watcher(point, age, done, state)

    def trajectory(self, result):
        """Return what was recorded up to the end of the flow."""
        points = [point for point in self.points if point[0] < result.time]
        if not points or result.time > 0:
            points.append((result.time, result.loss, result.theta))
        return self._path(points)

    def _path(self, points):
        time, loss, theta = zip(*points, strict=True)
        origin, unpack = self.origin, self.problem[0].unpack
        return FactorTrajectory(
            np.array(time) / origin.clock(self.params.units),
            np.array([origin.loss(value) for value in loss]),
            [origin.raw(unpack(parameters)) for parameters in theta],
            origin.centered,
            self.params.n_components if self.params.init == "lifted" else None,
        )


# -- small questions -------------------------------------------------------------------


def _pace(unit, norm, depth):
    """Return how much of the time inside is one unit of time of the sum of squares."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float64(unit) ** (2 - 2 / depth) * norm * norm)


def _draw(law, slope, width, depth, alpha, unit, random_state=None):
    """Return the factors of the start, in units in which the matrix has size one."""
    # Not drawn at a tiny scale, whose frames would lose digits.
    factors = draw_factors(
        law, slope.shape, width, depth, 1.0, data=slope, random_state=random_state
    )
    return [alpha / unit ** (1 / depth) * W for W in compress(factors)]


def _top_singular_value(matrix):
    """Return the largest singular value of a dense or sparse matrix."""
    if not sparse.issparse(matrix):
        return float(np.linalg.norm(matrix, 2))
    if min(matrix.shape) <= 2 or np.prod(matrix.shape, dtype=float) <= _DENSE_SVD:
        return float(np.linalg.norm(matrix.toarray(), 2))
    start = np.random.RandomState(0).standard_normal(min(matrix.shape))
    return float(svds(matrix, k=1, v0=start, return_singular_vectors=False)[0])
