"""Callbacks of our own, for scikit-learn's experimental callback API."""

import math
from numbers import Integral

import numpy as np
from sklearn.callback import ScoringMonitor

from skregimes._base import FlowEstimator
from skregimes._watch import log

__all__ = ["RegimeMonitor"]

# What scikit-learn's searches call the fit of one candidate on one fold.
_EVALUATION = "candidate-split-evaluation"


class RegimeMonitor(ScoringMonitor):
    """Record time, loss, richness and kernel change while networks are trained.

    Set it on a network with ``set_callbacks``, also on one inside a pipeline or a
    search: clones take it along, and worker processes send home what they record.

    Parameters
    ----------
    every : int, default=1
        Richness and kernel change are computed at every so many recorded points of a
        flow, and at the end of each fit; in between they are nan. Time and loss are
        always recorded: they cost nothing.

    See Also
    --------
    sklearn.callback.ScoringMonitor : Records a score on the training data.
    sklearn.callback.ProgressBar : Shows how far a fit is, and the time left.

    Notes
    -----
    `get_logs` returns what was recorded in the most recent run, or with
    ``select="all"`` in each of them. A run is a fit of the outermost estimator that
    supports callbacks: a `GridSearchCV` is one run, `cross_validate` is one a fold. Its
    ``data`` is a list of dicts, ``data_as_pandas`` the same as a `pandas.DataFrame`.
    Their columns are:

    - ``fit``: number of the fit in a search, ``candidate * n_splits + split``; -1 for
      all others, such as the last one on all the data;
    - ``init_scale``: that of the network;
    - ``target``: number of the target, where each has a network of its own;
    - ``time``, ``loss``, ``log_time``, ``log_loss``: in the units of ``time_`` and
      ``loss_``. The logarithms tell what is beyond the range of floats;
    - ``richness``, ``kernel_change``: what ``richness_`` and ``kernel_change_`` would
      be if the fit ended there;
    - ``task_name``: "flow" for a point on the way, "fit" for the end of a fit;
    - ``task_id_path``, ``parent_task_id_path``, ``task_id``, ``estimator_name``,
      ``sequential_subtasks``: as `sklearn.callback.ScoringMonitor` has them.

    Recorded are the points that callbacks are told of: at most 12 a decade of time and
    200 of a flow, fewer where there are many targets. Searches for the time to stop, on
    a part of the data, are not recorded. With ``early_stopping="gcv"`` the flow runs on
    for a while beyond the time to which the fit then returns, so that the last points
    on the way may be later than the end.

    Of joblib's backends "loky", the default, and threads send home what they record;
    what workers of "multiprocessing" record is lost.

    A fit is not changed. Estimators keep their callbacks when they are pickled;
    ``estimator.set_callbacks()`` takes them off.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skregimes import DiagonalNetRegressor
    >>> from skregimes.callbacks import RegimeMonitor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> monitor = RegimeMonitor()
    >>> net = DiagonalNetRegressor(0.1).set_callbacks(monitor).fit(X, y)
    >>> rows = monitor.get_logs().data
    >>> print(rows[0]["richness"] < 0.01, rows[-1]["richness"] == net.richness_)
    True True
    """

    def __init__(self, *, every=1):
        if not isinstance(every, Integral) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every={every!r} must be an integer of at least 1.")
        super().__init__(scoring=_columns)
        self.every = every
        self._seen: dict = {}

    def setup(self, estimator, context):
        """Get ready for a fit; called by scikit-learn.

        Parameters
        ----------
        estimator : estimator
            What is about to be fitted.
        context : sklearn.callback.CallbackContext
            Its root task.

        Raises
        ------
        TypeError
            If it is no network of ours.
        """
        if not isinstance(estimator, FlowEstimator):
            raise TypeError(
                "RegimeMonitor watches networks of skregimes, not "
                f"{type(estimator).__name__}. Set it on the network inside: clones "
                "take it along."
            )
        super().setup(estimator, context)

    def teardown(self, estimator, context):
        """Finish a fit; called by scikit-learn.

        Parameters
        ----------
        estimator : estimator
            What was fitted.
        context : sklearn.callback.CallbackContext
            Its root task.
        """
        super().teardown(estimator, context)
        self._seen.pop(_key(context), None)

    def on_fit_task_begin(self, estimator, context):
        """Do nothing; called by scikit-learn.

        Parameters
        ----------
        estimator : estimator
            What is being fitted.
        context : sklearn.callback.CallbackContext
            The task that begins.
        """

    def get_logs(self, select="most_recent", include_lineage=False):
        """Return what was recorded.

        Parameters
        ----------
        select : {"most_recent", "all"}, default="most_recent"
            The last run, or all of them.
        include_lineage : bool, default=False
            Whether there are rows for the tasks of searches and pipelines, too.

        Returns
        -------
        sklearn.callback.ScoringMonitorLog or list of them
            Rows of each fit, its end last, fits in the order of a search.

        Raises
        ------
        ValueError
            If nothing was recorded.
        """
        try:
            found = super().get_logs(select, include_lineage)
        except ValueError as error:
            raise ValueError(
                f"Nothing was recorded, see scikit-learn's message: {error} Set the "
                "monitor on a network with set_callbacks, and fit it or what holds it."
            ) from error
        for run in found if select == "all" else [found]:
            run.data.sort(key=lambda row: (*row["task_id_path"], math.inf))
        return found

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        """Record a point; called by scikit-learn.

        Parameters
        ----------
        estimator : estimator
            What is being fitted.
        context : sklearn.callback.CallbackContext
            The task that ended.
        X : array-like, default=None
            Training data.
        fitted_estimator : estimator, default=None
            The estimator as if fit had stopped here; None if it cannot tell.
        """
        if fitted_estimator is None:
            return
        point = vars(fitted_estimator).get("_point")
        if point is None:  # the end of a fit
            targets = range(np.size(fitted_estimator.loss_))
            rows = [_of_fit(fitted_estimator, target) for target in targets]
        else:
            seen = self._seen.setdefault(_key(context.parent), {})
            count = seen[point.target] = seen.get(point.target, -1) + 1
            rows = [_of_point(point, count % self.every == 0)]
        for row in rows:
            known = {"fit": _fit_number(context), "init_scale": estimator.init_scale}
            super().on_fit_task_end(
                estimator,
                context,
                X=X,
                y=X,  # not None: tables have none
                fitted_estimator=fitted_estimator,
                metadata=known | row,
            )


def _columns(estimator, X, y, **columns):
    """Score nothing: pass on what was found."""
    return columns


def _of_point(point, diagnosed):
    """Return the columns of a point on the way."""
    return {
        "target": point.target,
        "time": point.time,
        "loss": point.loss,
        "log_time": point.log_time,
        "log_loss": point.log_loss,
        "richness": point.richness() if diagnosed else math.nan,
        "kernel_change": point.kernel_change() if diagnosed else math.nan,
    }


def _of_fit(estimator, target):
    """Return the columns of the end of a fit."""
    names = ("time", "loss", "richness", "kernel_change")
    row = {
        name: float(np.ravel(getattr(estimator, f"{name}_"))[target]) for name in names
    }
    for name in ("time", "loss"):
        if hasattr(estimator, f"log_{name}_"):
            row[f"log_{name}"] = float(getattr(estimator, f"log_{name}_"))
        else:
            row[f"log_{name}"] = log(row[name])
    return {"target": target} | row


def _key(context):
    """Return what identifies a task in all runs."""
    return context.root_uuid, tuple(_task_ids(context))


def _task_ids(context):
    while context is not None:
        yield context.task_id
        context = context.parent


def _fit_number(context):
    """Return which fit of a search a task belongs to, -1 for none."""
    while context is not None:
        if _EVALUATION in (context.task_name, context.source_task_name):
            return context.task_id
        context = context.parent
    return -1
