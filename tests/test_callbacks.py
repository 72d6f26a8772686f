"""Callbacks of all estimators: progress, records of the regime, and what is printed."""

import itertools
import math
import pickle

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skregimes import (
    DiagonalNetClassifier,
    DiagonalNetClassifierCV,
    DiagonalNetRegressor,
    DiagonalNetRegressorCV,
    InitScaleSearchCV,
    MatrixCompletionRegressor,
    MatrixFactorizationImputer,
    MatrixFactorizer,
    MatrixSensingRegressor,
    ShallowReLUClassifier,
    ShallowReLURegressor,
)
from skregimes._base import FlowEstimator
from skregimes._watch import Course, work_done
from skregimes.callbacks import RegimeMonitor

TABLE = make_regression(12, 16, n_informative=3, noise=5.0, random_state=0)
TARGETS = make_regression(12, 16, n_informative=3, n_targets=3, random_state=0)
LABELS = make_classification(
    16, 4, n_redundant=0, class_sep=2.0, flip_y=0.0, random_state=1
)
POINTS = np.random.default_rng(0).uniform(-1, 1, (14, 2))
CURVE = (POINTS, np.abs(POINTS[:, 0]) + POINTS[:, 0] * POINTS[:, 1])
MATRIX = np.outer(np.arange(1.0, 9), np.arange(2.0, 9)) + np.eye(8, 7)
MATRIX[::2, 1::3] = np.nan
PAIRS = np.argwhere(np.isfinite(MATRIX))
SMALL = {"n_hidden": 6, "rtol": 1e-2, "random_state": 0}
DIM = {"init_scale": 0.1, "random_state": 0}
# What is followed to a time.
FLOWS = {
    "diagonal": (DiagonalNetRegressor(0.1), TABLE),
    "diagonal classifier": (DiagonalNetClassifier(0.1), LABELS),
    "shallow": (ShallowReLURegressor(**SMALL), CURVE),
    "shallow classifier": (ShallowReLUClassifier(log_loss_tol=-4.0, **SMALL), LABELS),
    "factorizer": (MatrixFactorizer(center=None, **DIM), (MATRIX,)),
    "imputer": (MatrixFactorizationImputer(**DIM), (MATRIX,)),
    "completion": (
        MatrixCompletionRegressor(**DIM),
        (PAIRS, MATRIX[tuple(PAIRS.T)]),
    ),
    "sensing": (MatrixSensingRegressor(**DIM), TABLE),
}
# And other roads to an end.
ROADS = FLOWS | {
    "targets": (DiagonalNetRegressor(early_stopping=True, random_state=0), TARGETS),
    "gd": (
        DiagonalNetRegressor(solver="gd", early_stopping=False, max_time=10.0),
        TABLE,
    ),
    "held out": (ShallowReLURegressor(early_stopping=True, **SMALL), CURVE),
    "level": (DiagonalNetClassifier(log_loss_tol=-100.0), LABELS),
    "limit": (DiagonalNetRegressor(early_stopping=False), TABLE),
}
each_flow = pytest.mark.parametrize("name", FLOWS)
each_road = pytest.mark.parametrize("name", ROADS)


def on_road(name, *callbacks, **options):
    """Return an estimator with callbacks, and its data."""
    model, data = ROADS[name]
    return clone(model).set_params(**options).set_callbacks(*callbacks), data


def flow_to(name, time, *callbacks):
    """Return an estimator that goes to a time, and its data."""
    return on_road(name, *callbacks, early_stopping=False, max_time=time)


def answers(model, data):
    method = model.predict if hasattr(model, "predict") else model.impute
    return method(data[0])


class Recorder:
    """Remembers the tasks of fits."""

    def __init__(self, ask=lambda context: False):
        self.ask = ask
        self.begun, self.ended, self.shares = [], [], []

    def setup(self, estimator, context):
        self.open = True

    def teardown(self, estimator, context):
        self.open = False

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.parent is not None:
            self.shares.append((context.task_id + 1) / context.parent.max_subtasks)
        self.ended.append((context, fitted_estimator))
        return self.ask(context)

    @property
    def points(self):
        """Fitted estimators on the way."""
        flow = [fit for task, fit in self.ended if task.task_name == "flow"]
        return [fit for fit in flow if fit is not None]


# -- how much of its work a flow has done ----------------------------------------------


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_work_grows_as_a_power_of_time(power):
    work = np.log1p if power == 0 else lambda t: (1 + t) ** power - 1
    for t in (0.0, 0.1, 3.0, 50.0):
        with np.errstate(divide="ignore"):
            found = work_done(np.log(t), np.log(50.0), power)
        assert_allclose(found, work(t) / work(50.0), rtol=1e-12)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_work_is_known_far_beyond_the_range_of_floats(power):
    shares = [work_done(t, 1e6, power) for t in (-1e6, 0.0, 9e5, 1e6 - 1, 1e6, 2e6)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-2:] == [1.0, 1.0]
    # One unit of the logarithm before its end.
    assert_allclose(shares[3], math.exp(-power) if power else 1 - 1e-6, rtol=1e-9)
    assert work_done(5.0, math.inf, power) == 0


def test_a_course_goes_by_what_is_nearer():
    course = Course(math.log(1e-4), relative=True)
    assert course(-math.inf, math.inf, math.log(7.0)) == 0
    assert_allclose(course(-math.inf, math.inf, math.log(7e-2)), 0.5)
    assert_allclose(course(math.log(9), math.log(99), math.log(7e-1)), 0.5)
    level = Course(-100.0, loss_power=0.0)
    level(-math.inf, math.inf, -1.0)
    share = math.log1p(9) / math.log1p(99)
    assert_allclose(level(-math.inf, math.inf, -10.0), share)


# -- progress --------------------------------------------------------------------------


@each_road
def test_a_watched_fit(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    recorder, monitor = Recorder(), RegimeMonitor()
    model, data = on_road(name, ProgressBar(), recorder, monitor)
    model.fit(*data)

    # Progress is a known number of tasks, and no part of the way is jumped over.
    root, end = recorder.begun[0], recorder.ended[-1][0]
    assert root is end
    assert 0 < root.max_subtasks <= 1000
    assert recorder.shares == sorted(set(recorder.shares))
    assert all(task.parent is root for task in recorder.begun[1:])
    if model.solver_ != "limit":
        assert 0.4 < recorder.shares[-1] <= 1
        assert np.max(np.diff(recorder.shares)) < 0.02
        assert 8 < len(recorder.points) <= 200 * np.size(model.loss_)
    assert not recorder.open

    # The bar ends at 100 percent.
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert line.startswith(f"{type(model).__name__} - fit ")
    assert "100%" in line

    # Nothing changes.
    plain, _ = on_road(name)
    assert_array_equal(answers(plain.fit(*data), data), answers(model, data))

    # Records end with what was fitted.
    rows = monitor.get_logs().data
    ends = [row for row in rows if row["task_name"] == "fit"]
    assert rows[-len(ends) :] == ends
    for column in ("time", "loss", "richness", "kernel_change"):
        found = [row[column] for row in ends]
        assert_array_equal(found, np.ravel(getattr(model, f"{column}_")))
    assert [row["target"] for row in ends] == [*range(np.size(model.loss_))]
    assert {row["init_scale"] for row in rows} == {model.init_scale}
    assert {row["fit"] for row in rows} == {-1}


def test_early_and_late_stages_share_the_bar():
    recorder = Recorder()
    model, data = on_road("targets", recorder)
    model.fit(*data)
    names = [task.task_name for task, _ in recorder.ended[:-1]]
    assert [name for name, _ in itertools.groupby(names)] == ["search", "flow"]
    assert names.count("search") == recorder.begun[0].max_subtasks / 2


def test_many_targets_share_the_ticks():
    X, Y = make_regression(8, 5, n_targets=30, random_state=0)
    recorder = Recorder()
    DiagonalNetRegressor().set_callbacks(recorder).fit(X, Y)
    assert recorder.begun[0].max_subtasks == 990
    assert len(recorder.shares) <= 990


def test_times_linear_in_the_work_pass_evenly():
    # Steps of one size: half of the time is half of the bar.
    recorder = Recorder()
    model, data = on_road("gd", recorder, max_time=20.0, tol=0.0, learning_rate=1e-3)
    model.fit(*data)
    rows = [
        (fit.time_, task.task_id + 1)
        for task, fit in recorder.ended[:-1]
        if fit is not None and fit.time_ > 4
    ]
    share = np.array(rows) / [20.0, recorder.begun[0].max_subtasks]
    assert_allclose(*share.T, atol=0.02)


@pytest.mark.parametrize("name", ["diagonal", "shallow", "level", "factorizer"])
def test_who_does_not_watch_pays_nothing(name, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr("skregimes._base.Watcher", refuse)
    model, data = on_road(name)
    model.fit(*data)
    model.set_params(verbose=1)
    with pytest.raises(AssertionError):
        model.fit(*data)


# -- records ---------------------------------------------------------------------------


@each_flow
def test_records_are_what_a_fit_to_that_time_would_be(name):
    monitor = RegimeMonitor()
    model, data = flow_to(name, 20.0, monitor)
    model.fit(*data)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "flow"]
    times = [row["time"] for row in rows]
    assert times == sorted(times)
    assert_allclose(np.exp([row["log_time"] for row in rows]), times, rtol=1e-9)
    row = rows[int(0.7 * len(rows))]
    shorter, _ = flow_to(name, (1 + 1e-6) * row["time"])
    shorter.fit(*data)
    assert_allclose(row["time"], shorter.time_, rtol=2e-6)
    for column in ("loss", "richness", "kernel_change"):
        found = getattr(shorter, f"{column}_")
        assert found > 0
        assert_allclose(row[column], found, rtol=0.05, err_msg=column)


@each_flow
def test_records_lie_on_the_trajectory(name):
    monitor = RegimeMonitor()
    model, data = flow_to(name, 5.0, monitor)
    path = model.fit(*data).trajectory_
    loss = path.loss if hasattr(path, "loss") else np.exp(path.log_loss)
    known = zip(path.time.tolist(), loss, path.richness, strict=True)
    known = {round(time, 9): rest for time, *rest in known}
    both = [
        (known[round(row["time"], 9)], [row["loss"], row["richness"]])
        for row in monitor.get_logs().data
        if round(row["time"], 9) in known
    ]
    assert len(both) > 8
    assert_allclose(*map(np.array, zip(*both, strict=True)), rtol=1e-9, atol=1e-12)


def test_costly_columns_may_be_sparse():
    monitor = RegimeMonitor(every=3)
    model, data = flow_to("diagonal", 20.0, monitor)
    model.fit(*data).fit(*data)
    rows = monitor.get_logs().data
    known = np.isfinite([row["richness"] for row in rows])
    assert_array_equal(known[:-1], np.arange(len(rows) - 1) % 3 == 0)
    assert known[-1]
    assert_array_equal(known, np.isfinite([row["kernel_change"] for row in rows]))
    assert np.all(np.isfinite([row["loss"] for row in rows]))


def test_each_target_has_its_rows():
    monitor = RegimeMonitor(every=2)
    model, data = on_road("targets", monitor)
    model.fit(*data)
    rows = monitor.get_logs().data
    for target in range(3):
        own = [row for row in rows if row["target"] == target]
        assert own[-1]["time"] == model.time_[target]
        assert np.isfinite(own[0]["richness"])
        assert np.isnan(own[1]["richness"])
        losses = np.array([row["loss"] for row in own])
        assert np.all(np.diff(losses) < 1e-9 * losses[0])


@each_flow
def test_a_second_fit_shows_nothing_of_the_first(name):
    recorder, monitor = Recorder(), RegimeMonitor()
    model, data = flow_to(name, 3.0, recorder, monitor)
    model.fit(*data)
    first = len(recorder.points)
    model.fit(*data)
    again = recorder.points
    assert len(again) == 2 * first
    assert not any(hasattr(fit, "trajectory_") for fit in again)
    assert not any(hasattr(fit, "kernel_change_") for fit in again)
    runs = monitor.get_logs(select="all")
    assert len(runs) == 2
    for one, two in zip(*(run.data for run in runs), strict=True):
        assert one == two
    assert_array_equal(answers(again[-1], data), answers(again[first - 1], data))


def test_times_beyond_floats_are_told_of(capsys):
    monitor = RegimeMonitor()
    model, data = on_road(
        "shallow classifier", monitor, log_loss_tol=-1000.0, verbose=1
    )
    model.fit(*data)
    times = logarithms(capsys.readouterr().out.splitlines(), "ShallowReLUClassifier")
    assert_allclose(times[-1], 120 * math.log(10), rtol=0.2)
    rows = monitor.get_logs().data
    late = [row for row in rows[:-1] if row["log_time"] > 710]
    assert len(late) >= 2
    assert_array_equal([row["time"] for row in late], np.inf)
    assert rows[-1]["log_loss"] == model.log_loss_
    richness = [row["richness"] for row in late]
    assert richness == sorted(richness)


# -- requests, errors, interrupts ------------------------------------------------------


@each_flow
def test_a_request_to_stop_is_honoured(name):
    recorder = Recorder(lambda context: len(recorder.points) >= 6)
    model, data = flow_to(name, 20.0, recorder)
    model.fit(*data)
    assert model.time_ < 5.0
    assert len(recorder.points) <= 7  # the end of the flow may be a point of its own
    assert model.converged_


@pytest.mark.parametrize("name", ["targets", "held out", "shallow classifier"])
def test_a_search_may_be_stopped(name):
    recorder = Recorder(lambda context: context.task_name == "search")
    model, data = on_road(name, recorder, early_stopping=True, max_time=30.0)
    model.fit(*data)
    assert np.all(np.isfinite(answers(model, data)))
    plain, _ = on_road(name, early_stopping=True, max_time=30.0)
    assert np.max(model.time_) < np.max(plain.fit(*data).time_)


def test_an_error_of_a_callback_leaves_the_last_fit():
    def fail(context):
        if context.task_id >= 5:
            raise ZeroDivisionError

    monitor, recorder = RegimeMonitor(), Recorder()
    model, data = flow_to("shallow", 3.0, monitor, recorder)
    before = answers(model.fit(*data), data)
    recorder.ask = fail
    with pytest.raises(ZeroDivisionError):
        model.fit(*data)
    assert not recorder.open
    assert_array_equal(answers(model, data), before)
    assert len(monitor.get_logs(select="all")[1].data) == 6
    recorder.ask = lambda context: False
    assert_array_equal(answers(model.fit(*data), data), before)


@pytest.mark.parametrize("name", ["diagonal", "level", "shallow", "factorizer"])
def test_an_interrupted_fit_keeps_its_records(name):
    def interrupt(context):
        if context.parent is not None and context.task_id >= 30:
            raise KeyboardInterrupt

    monitor = RegimeMonitor()
    model, data = on_road(
        name, monitor, Recorder(interrupt), early_stopping=False, max_time=1e3
    )
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    *way, end = monitor.get_logs().data
    assert len(way) >= 3
    assert end["loss"] == model.loss_
    assert end["task_name"] == "fit"


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "all"])
def test_bad_every(every):
    with pytest.raises(ValueError, match="every"):
        RegimeMonitor(every=every)


def test_a_monitor_belongs_on_a_network():
    search = GridSearchCV(DiagonalNetRegressor(), {"init_scale": [1.0]})
    with pytest.raises(TypeError, match="Set it on the network inside"):
        search.set_callbacks(RegimeMonitor()).fit(*TABLE)
    with pytest.raises(ValueError, match="No logs"):
        RegimeMonitor().get_logs()


def test_clones_and_pickles_go_on():
    monitor = RegimeMonitor()
    model, data = flow_to("diagonal", 3.0, monitor)
    clone(model).fit(*data)
    rows = monitor.get_logs().data
    again = pickle.loads(pickle.dumps(model.fit(*data)))
    assert_array_equal(answers(again, data), answers(model, data))
    (theirs,) = again._skl_callbacks
    assert len(theirs.get_logs(select="all")) == 2
    again.fit(*data)
    assert len(theirs.get_logs(select="all")) == 3
    assert len(monitor.get_logs(select="all")) == 2
    known = {name: [row[name] for row in rows] for name in ("time", "richness")}
    found = {name: [row[name] for row in theirs.get_logs().data] for name in known}
    assert found == known


# -- inside of searches ----------------------------------------------------------------


def searches(model, **options):
    grid = {"init_scale": [1.0, 0.1]}
    return {
        "grid": GridSearchCV(model, grid, cv=2, **options),
        "scales": InitScaleSearchCV(
            model, init_scales=grid["init_scale"], times=[1.0, 10.0], cv=2, **options
        ),
    }


def check_search(monitor, search, data):
    """Check that rows name their fits, and agree with fits of the same parts."""
    log = monitor.get_logs()
    assert log.estimator_name == type(search).__name__
    frame = log.data_as_pandas
    assert sorted(frame["fit"].unique()) == [-1, 0, 1, 2, 3]
    ends = frame[frame["task_name"] == "fit"].set_index("fit")
    assert_array_equal(ends.loc[range(4), "init_scale"], [1.0, 1.0, 0.1, 0.1])
    assert ends.loc[-1, "time"] == search.best_estimator_.time_
    assert ends.loc[-1, "richness"] == search.best_estimator_.richness_
    counts = frame.groupby("fit").size()
    assert counts.min() > 8


@pytest.mark.parametrize("kind", ["grid", "scales"])
def test_records_inside_of_a_search(kind):
    monitor = RegimeMonitor()
    search = searches(DiagonalNetRegressor().set_callbacks(monitor))[kind]
    check_search(monitor, search.fit(*TABLE), TABLE)


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_records_come_home_from_other_processes(backend):
    alone, together = RegimeMonitor(), RegimeMonitor()
    for monitor, n_jobs in ((alone, None), (together, 2)):
        model = DiagonalNetRegressor().set_callbacks(monitor)
        search = searches(model, n_jobs=n_jobs)["scales"]
        with parallel_config(backend=backend):
            check_search(monitor, search.fit(*TABLE), TABLE)
    assert alone.get_logs().data == together.get_logs().data


def test_records_inside_of_a_pipeline():
    monitor = RegimeMonitor()
    net = DiagonalNetRegressor(0.1).set_callbacks(monitor)
    pipe = make_pipeline(StandardScaler(), net).fit(*TABLE)
    log = monitor.get_logs()
    assert log.estimator_name == "Pipeline"
    assert log.data[-1]["richness"] == pipe[-1].richness_
    monitor = RegimeMonitor()
    cross_validate(clone(net).set_callbacks(monitor), *TABLE, cv=3)
    assert len(monitor.get_logs(select="all")) == 3


@pytest.mark.parametrize("criterion", ["cv", "gcv"])
def test_records_of_a_network_that_chooses_its_scale(criterion):
    monitor, recorder = RegimeMonitor(), Recorder()
    model = DiagonalNetRegressorCV(criterion=criterion)
    watched = clone(model).set_callbacks(monitor, recorder).fit(*TABLE)
    assert_array_equal(watched.coef_, model.fit(*TABLE).coef_)
    log = monitor.get_logs()
    assert log.estimator_name == "DiagonalNetRegressorCV"
    assert log.data[-1]["richness"] == watched.richness_
    assert {row["init_scale"] for row in log.data} == {watched.init_scale_}
    root, search = recorder.begun[:2]
    assert root.max_subtasks == 2
    parts = sum(task.parent is search for task, _ in recorder.ended)
    assert search.max_subtasks == (5 if criterion == "cv" else 100)
    assert 0.7 * search.max_subtasks <= parts <= search.max_subtasks


def test_a_classifier_that_chooses_its_scale_has_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    model = DiagonalNetClassifierCV(init_scales=[1.0, 0.1], cv=3)
    watched = clone(model).set_callbacks(ProgressBar()).fit(*LABELS)
    lines = [line.strip() for line in capsys.readouterr().out.strip().splitlines()]
    heads = ["fit ", "search #0", "refit | DiagonalNetClassifier - fit #1"]
    for line, head in zip(lines, heads, strict=True):
        assert line.startswith(f"DiagonalNetClassifierCV - {head}")
        assert "100%" in line
    assert_array_equal(watched.coef_, model.fit(*LABELS).coef_)


@pytest.mark.parametrize(("depth", "bars"), [(1, 4), (2, 8)])
def test_a_search_of_the_scale_has_a_bar(depth, bars, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    model = DiagonalNetRegressor()
    search = searches(model)["scales"].set_callbacks(ProgressBar(depth))
    search.fit(*TABLE)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == bars
    assert all("100%" in line for line in lines)
    plain = searches(model)["scales"].fit(*TABLE)
    for name in ("mean_test_score", "std_test_score"):
        assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
    assert not hasattr(search.best_estimator_, "_skl_callbacks")


def test_a_search_of_the_scale_without_a_last_fit():
    monitor, recorder = ScoringMonitor(scoring="r2"), Recorder()
    search = InitScaleSearchCV(
        DiagonalNetRegressor().set_callbacks(monitor),
        init_scales=[1.0], times=[1.0, 5.0], cv=2, refit=False,
    )  # fmt: skip
    search.set_callbacks(recorder).fit(*TABLE)
    assert recorder.begun[0].max_subtasks == 1
    assert monitor.get_logs().estimator_name == "InitScaleSearchCV"


# -- what is printed -------------------------------------------------------------------


def logarithms(lines, name):
    """Return log times of printed lines, after a look at the rest."""
    words = [line.replace("log ", "log-").split() for line in lines]
    assert {(w[0], w[1], w[3], w[5]) for w in words} == {
        (f"[{name}]", "log-time", "richness", "log-loss")
    }
    times, richness, losses = np.array([w[2::2] for w in words], dtype=float).T
    assert np.all(np.diff(times) > 0)
    assert np.all(np.diff(losses) < 0)
    assert np.all((richness >= 0) & (richness <= 1))
    return times


def test_decades_of_the_loss_are_printed_as_logarithms(capsys):
    model, data = on_road("level", log_loss_tol=-4000.0, verbose=1)
    model.fit(*data)
    lines = capsys.readouterr().out.splitlines()
    times = logarithms(lines, "DiagonalNetClassifier")
    assert 6 < len(lines) < 20
    # Beyond 12 decades of time the decades are those of its logarithm.
    assert_allclose(times[-2:] / (12 * math.log(10)), [10, 100], rtol=0.5)


def test_several_targets_and_the_search_are_told_apart(capsys):
    model, data = on_road("targets", verbose=1)
    model.fit(*data)
    lines = capsys.readouterr().out.splitlines()
    for target in range(3):
        head = f"[DiagonalNetRegressor] target {target}  "
        own = [line.removeprefix(head) for line in lines if line.startswith(head)]
        search = [line for line in own if line.startswith("held-out flow 1 of 1  time")]
        assert 2 <= len(search) < len(own) <= 12
        assert all(line.startswith("time") for line in own if line not in search)


def test_printed_numbers_are_in_the_units_of_the_estimator(capsys):
    model, data = flow_to("diagonal", 10.0)
    model.fit(*data)
    model.set_params(units="paper", init_scale=model.alpha_, verbose=1)
    model.set_params(max_time=10 * model.time_unit_).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    words = [line.replace("time", "").split() for line in lines]
    times = np.array([w[1] for w in words], dtype=float)
    assert times[-1] <= 1.001 * model.time_
    assert times[-1] > 0.05 * model.time_
    nearest = np.argmin(np.abs(model.trajectory_.time - times[-1]))
    richness, loss = (float(words[-1][k]) for k in (3, 5))
    assert_allclose(richness, model.trajectory_.richness[nearest], atol=1e-3)
    assert_allclose(loss, model.trajectory_.loss[nearest], rtol=1e-3)


@pytest.mark.parametrize("kind", [DiagonalNetRegressorCV, DiagonalNetClassifierCV])
def test_folds_are_printed(kind, capsys):
    data = TABLE if kind is DiagonalNetRegressorCV else LABELS
    model = kind(init_scales=[1.0, 0.1], cv=3, verbose=1).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    head = f"[{kind.__name__}] "
    assert lines[:4] == [
        *(f"{head}fold {k} of 3" for k in (1, 2, 3)),
        f"{head}fit of the best init_scale, {model.init_scale_:g}",
    ]
    assert not any(line.startswith(head) for line in lines[4:])
    assert len(lines) > 5


def test_all_estimators_are_here():
    """A new estimator belongs in the list of roads."""
    kinds = {type(model) for model, _ in ROADS.values()}
    kinds |= {DiagonalNetRegressorCV, DiagonalNetClassifierCV}
    import skregimes

    public = {vars(skregimes)[name] for name in skregimes.__all__ if name[0].isupper()}
    assert {kind for kind in public if issubclass(kind, FlowEstimator)} == kinds
