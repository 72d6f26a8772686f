"""A diagonal classifier at its start, on a training set, with its units."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skregimes._classification import temperature
from skregimes._labelled import LabelledTable
from skregimes.flows.classifier_problem import ClassifierProblem
from skregimes.flows.margin_loss import MarginLoss
from skregimes.flows.rows import Rows
from skregimes.flows.units import log_frozen_time
from skregimes.limits.margins import Margins
from skregimes.limits.potentials import DiagonalPotential, typical_ratio

__all__ = ["ClassifierStart", "link"]


def link(loss):
    """Return the log odds of a unit of score."""
    return 2.0 if loss == "exponential" else 1.0


@dataclass(frozen=True, eq=False)
class ClassifierStart:
    """Networks at their start, on a training set, with their units.

    ``log_unit`` is the log of the unit of time, ``clock`` that of the user's.
    """

    data: LabelledTable
    rows: Rows
    potential: DiagonalPotential
    log_alpha: float
    scale_unit: float
    loss: str
    fit_intercept: bool
    log_unit: float
    clock: float

    @classmethod
    def build(cls, data, init_scale, *, depth, units, init_shape, loss, fit_intercept):
        """Find the units, which the least squares of the working response set.

        Parameters
        ----------
        data : LabelledTable
            The training set.
        init_scale : float
            The scale, in ``units``.
        depth, units, loss, fit_intercept
            As the estimator has them.
        init_shape : ndarray of shape (n_features,) or None
            Positive shape of the start.
        """
        table = data.table
        rows = Rows.reduce(table.XT.copy(), table.Y, table.weight)
        # The scores of the least exponential loss are half the log odds.
        unit = table.y_unit / link(loss)
        typical = np.sqrt(np.mean((rows.typical_coef * unit) ** 2))
        scale_unit = typical_ratio(depth) * (typical if typical > 0 else 1.0)
        log_alpha = np.log(init_scale)
        if units == "relative":
            log_alpha = (log_alpha + np.log(scale_unit)) / depth
        log_shape = 0.0 if init_shape is None else np.log(init_shape)
        potential = DiagonalPotential(depth, log_alpha + log_shape)
        start = cls(
            data, rows, potential, log_alpha, scale_unit, loss, fit_intercept, 0.0, 0.0
        )
        problem = start._whole
        first = problem.start().loss
        pull = np.abs(problem.pull(first)) * np.exp(first.log_force)
        size = np.max(rows.marginal_coef * unit)
        log_unit = 0.0
        if size > 0 and pull.any():
            log_unit = log_frozen_time(potential, pull / problem.shape, size)
        clock = log_unit if units == "relative" else 0.0
        start = replace(start, log_unit=log_unit, clock=clock)
        vars(start)["_whole"] = problem  # it does not depend on the units
        return start

    @cached_property
    def _whole(self):
        return self._problem(slice(None))

    def problem(self, train=None):
        """Return the problem of all distinct samples, or some."""
        return self._whole if train is None else self._problem(train)

    def _problem(self, train):
        data = self.data
        weight = data.weight[train]
        margins = Margins(data.codes[train], data.n_classes)
        loss = MarginLoss(margins, weight / weight.sum(), self.loss)
        return ClassifierProblem(
            data.X[train], loss, self.potential, self.fit_intercept
        )

    def in_input_units(self, node):
        """Return coefficients and intercepts in the units of the input."""
        return self.data.restore(node.coef, node.intercept)

    def log_odds(self, node, which=slice(None)):
        """Return log odds of some distinct samples, not scaled."""
        scores = self.data.X[which] @ node.coef.T + node.intercept
        scores = scores * link(self.loss)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def temperature(self, node, which=slice(None)):
        """Return the temperature of some distinct samples."""
        data = self.data
        return temperature(
            self.log_odds(node, which), data.codes[which], data.weight[which]
        )
