"""DiagonalNetClassifier, from the outside."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from classifier_reference import Reference, labelled
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from skregimes import DiagonalNetClassifier
from skregimes.limits import max_margin
from skregimes.limits.potentials import DiagonalPotential

each_count = pytest.mark.parametrize("n_classes", [2, 3])
HELD_OUT = {"early_stopping": True, "validation_fraction": 0.3, "random_state": 0}
ROADS = {
    "held out": (2, HELD_OUT),
    "time": (3, {"max_time": 2.0}),
    "level": (2, {"log_loss_tol": -0.6}),
    "far": (3, {"early_stopping": False, "max_time": 30.0, "units": "paper"}),
}
each_road = pytest.mark.parametrize(("n_classes", "road"), ROADS.values(), ids=ROADS)
PREDICTS = ("coef_", "intercept_", "temperature_", "log_loss_", "margin_", "log_time_")


def net(*scale, **options):
    return DiagonalNetClassifier(*scale, **options)


def table(n_classes=2, n=18, d=3, seed=3, noise=0.3):
    """Return classes that overlap, in units of their own."""
    X, y = labelled(n, d, n_classes, seed, noise)
    return 2 + X * np.geomspace(0.5, 4, d), y


def separable(n_classes=2, n=10, d=6, seed=1):
    X, y = labelled(n, d, n_classes, seed)
    return 1 + X * np.geomspace(0.5, 4, d), y


def close(a, b, tol=1e-9):
    assert_allclose(a, b, rtol=0, atol=tol * max(np.abs(b).max(), 1e-300))


def level(scores):
    """Return scores of several classes up to a constant a sample."""
    single = scores.shape[1] == 1
    return scores if single else scores - scores.mean(axis=1, keepdims=True)


def same(a, b, names=PREDICTS, tol=1e-9):
    for name in names:
        assert_allclose(getattr(a, name), getattr(b, name), rtol=tol, atol=tol)


# -- the flow, in the units of the papers ----------------------------------------------


@each_count
@pytest.mark.parametrize(
    ("loss", "fit_intercept"), [("logistic", True), ("exponential", False)]
)
def test_paper_units_are_those_of_the_weights(n_classes, loss, fit_intercept):
    X, y = labelled(7, 3, n_classes, seed=2)
    weight, shape = np.linspace(1, 2.5, 7), np.array([0.5, 1, 1.5])
    centred = X - fit_intercept * np.average(X, axis=0, weights=weight)
    reference = Reference(
        centred, y, alpha=0.7 * shape, loss=loss, weight=weight,
        fit_intercept=fit_intercept,
    )  # fmt: skip
    truth = reference.at_times([1.5], rtol=1e-9)[0]
    scores = centred @ truth.T
    scores = scores + reference.intercept(scores)
    model = net(
        0.7, units="paper", loss=loss, fit_intercept=fit_intercept, init_shape=shape,
        max_time=1.5, rtol=1e-6,
    ).fit(X, y, weight)  # fmt: skip
    assert model.time_ == pytest.approx(1.5)
    close(model.coef_, truth, 1e-6)
    found = X @ model.coef_.T + model.intercept_
    close(level(found), level(scores), 1e-6)
    log_loss = reference.force(scores)[0]
    assert model.log_loss_ == pytest.approx(log_loss, abs=1e-6)
    assert model.loss_ == pytest.approx(np.exp(log_loss), rel=1e-6)
    assert model.alpha_ == pytest.approx(0.7)
    # The dual leads to the coefficients through the link, here 2 a^2 sinh.
    dual = model.dual_coef_ @ centred
    close(2 * (0.7 * shape) ** 2 * np.sinh(dual), model.coef_, 1e-6)


@pytest.mark.parametrize(("depth", "n_classes"), [(1, 2), (2, 3), (3, 2), (4, 3)])
def test_paper_and_relative_units_are_the_same_fit(depth, n_classes):
    X, y = table(n_classes)
    relative = net(0.3, depth=depth, max_time=2.0).fit(X, y)
    assert relative.scale_ == pytest.approx(0.3)
    paper = net(
        relative.alpha_, depth=depth, units="paper", standardize=True,
        max_time=2.0 * relative.time_unit_,
    ).fit(X, y)  # fmt: skip
    names = ("coef_", "intercept_", "scale_", "alpha_", "time_unit_", "richness_")
    same(relative, paper, names, 1e-7)


# -- weights, order, labels ------------------------------------------------------------


@each_road
def test_weights_are_repetitions(n_classes, road):
    X, y = table(n_classes)
    times = np.random.default_rng(0).integers(0, 4, len(y))
    weighted = net(**road).fit(X, y, times)
    again = net(**road).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    same(weighted, again, tol=1e-8)
    # Repeated samples share the dual of one.
    first = np.cumsum(times)[times > 0] - 1
    shared = again.dual_coef_[:, first] * times[times > 0]
    close(weighted.dual_coef_[:, times > 0], shared, 1e-8)
    assert np.all(weighted.dual_coef_[:, times == 0] == 0)


@each_road
def test_neither_the_order_nor_the_size_of_weights_matters(n_classes, road):
    X, y = table(n_classes)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    order = np.random.default_rng(2).permutation(len(y))
    one = net(**road).fit(X, y, weight)
    other = net(**road).fit(X[order], y[order], weight[order])
    scaled = net(**road).fit(X, y, weight * 2.0**40)
    for model in (other, scaled):
        same(one, model, tol=1e-6)


@each_count
def test_class_weights_multiply_those_of_samples(n_classes):
    X, y = table(n_classes)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    by_hand = {code: code + 1.5 for code in range(n_classes)}
    one = net(max_time=2.0, class_weight=by_hand).fit(X, y, weight)
    other = net(max_time=2.0).fit(X, y, weight * (y + 1.5))
    same(one, other)
    balanced = net(max_time=2.0, class_weight="balanced").fit(X, y)
    factors = compute_class_weight("balanced", classes=np.unique(y), y=y)
    same(balanced, net(max_time=2.0).fit(X, y, factors[y]))


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_two_classes_are_symmetric(loss):
    X, y = table()
    one = net(loss=loss, max_time=5.0).fit(X, y)
    other = net(loss=loss, max_time=5.0).fit(X, 1 - y)
    close(other.coef_, -one.coef_, 1e-7)
    close(other.intercept_, -one.intercept_, 1e-7)
    assert other.temperature_ == pytest.approx(one.temperature_)


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_classes_have_no_order(loss):
    X, y = table(3)
    order = np.array([2, 0, 1])
    one = net(loss=loss, max_time=5.0).fit(X, y)
    other = net(loss=loss, max_time=5.0).fit(X, order[y])
    close(other.coef_[order], one.coef_, 1e-7)
    close(other.intercept_[order], one.intercept_, 1e-7)


LABELS = {
    "str": np.array(["b", "c", "a"]),
    "bool": np.array([False, True]),
    "object": np.array(["b", "c", "a"], dtype=object),
    "negative": np.array([-3, 7, -1]),
    "floats": np.array([-1.0, 1.0]),
    "huge": np.array([2**60, 2**61, 0]),
}


@pytest.mark.parametrize("names", LABELS.values(), ids=LABELS)
def test_labels_of_any_type(names):
    X, y = table(len(names))
    model = net(max_time=2.0).fit(X, names[y])
    assert_array_equal(model.classes_, np.unique(names))
    assert model.predict(X).dtype == model.classes_.dtype
    codes = np.argsort(np.argsort(names))[y]
    plain = net(max_time=2.0).fit(X, codes)
    assert_array_equal(model.predict(X), model.classes_[plain.predict(X)])
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


def test_weightless_classes_are_left_out():
    X, y = table(3)
    model = net(max_time=2.0).fit(X, y, (y != 1).astype(float))
    assert_array_equal(model.classes_, [0, 2])
    assert model.coef_.shape == (1, 3)
    rest = net(max_time=2.0).fit(X[y != 1], y[y != 1])
    same(model, rest)
    assert_array_equal(model.support_, np.flatnonzero(y != 1)[rest.support_])


# -- units of the features -------------------------------------------------------------


@each_road
def test_units_and_offsets_of_features_do_not_matter(n_classes, road):
    if road.get("units") == "paper":
        road = {**road, "standardize": True}
    X, y = table(n_classes)
    unit, offset = np.array([0.01, 7, 1e3]), np.array([0.3, -2, 5])
    one, other = net(**road).fit(X, y), net(**road).fit(X * unit + offset, y)
    close(other.coef_ * unit, one.coef_, 1e-6)
    A = X * unit + offset
    close(other.predict_log_proba(A), one.predict_log_proba(X), 1e-6)
    assert other.log_time_ == pytest.approx(one.log_time_, abs=1e-6)


@pytest.mark.parametrize(("size", "n_classes"), [(1e-100, 3), (1e-8, 2), (1e100, 2)])
def test_features_of_any_size(size, n_classes):
    X, y = separable(n_classes)
    one = net(log_loss_tol=-20.0).fit(X, y)
    other = net(log_loss_tol=-20.0).fit(X * size, y)
    close(other.coef_ * size, one.coef_, 1e-6)
    close(other.predict_proba(X * size), one.predict_proba(X), 1e-6)
    if size < 1e50:
        raw = net(1.0, units="paper", log_loss_tol=-20.0).fit(X * size, y)
        assert raw.log_loss_ == pytest.approx(-20)
        assert np.all(np.isfinite(raw.coef_))


@pytest.mark.parametrize("scale", [1e-60, 1e-6, 1e6])
@pytest.mark.parametrize("depth", [2, 3])
def test_scales_of_any_size(scale, depth):
    X, y = separable()
    model = net(scale, depth=depth, log_loss_tol=-5.0)
    if (scale, depth) == (1e-60, 3):
        # Poles of the dual: a clear error, and an estimator that answers.
        with pytest.raises(FloatingPointError, match="larger init_scale"):
            model.fit(X, y)
        assert_allclose(model.predict_proba(X).sum(axis=1), 1)
        return
    model.fit(X, y)
    assert model.log_loss_ == pytest.approx(-5)
    assert np.all(np.isfinite(model.dual_coef_))
    assert model.richness_ < 1e-6 if scale > 1 else model.richness_ > 0.7
    assert model.regime_ == "kernel" if scale > 1 else model.regime_ != "kernel"


def test_single_precision_is_read_as_such():
    X, y = separable(3)
    X = X.astype(np.float32)
    single = net(log_loss_tol=-10.0).fit(X, y)
    double = net(log_loss_tol=-10.0).fit(X.astype(float), y)
    assert single.coef_.dtype == np.float64
    close(single.predict_proba(X), double.predict_proba(X.astype(float)), 1e-6)
    far = net(log_loss_tol=-1e100).fit(X, y)  # beyond the largest single number
    assert np.all(np.isfinite(far.decision_function(X)))
    assert_array_equal(far.predict(X), y)


# -- answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_classes", "loss", "goal"),
    [
        (2, "logistic", -0.5),
        (3, "exponential", -0.5),
        (3, "logistic", -30.0),
        (2, "exponential", -30.0),
        (2, "logistic", -1e6),
        (3, "exponential", -1e6),
    ],
)
def test_probabilities_are_links_of_the_decision(n_classes, loss, goal):
    X, y = separable(n_classes)
    model = net(loss=loss, log_loss_tol=goal).fit(X, y)
    new = 10 * np.random.default_rng(0).standard_normal((50, X.shape[1]))
    for A in (X, new):
        scores = A @ model.coef_.T + model.intercept_
        odds = scores * (2 if loss == "exponential" else 1) / model.temperature_
        odds = odds[:, 0] if n_classes == 2 else odds
        close(model.decision_function(A), odds)
        p = model.predict_proba(A)
        link = softmax(odds, axis=1) if n_classes > 2 else expit(odds)
        assert_allclose(p if n_classes > 2 else p[:, 1], link, rtol=1e-12)
        assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
        assert_array_equal(model.predict(A), p.argmax(axis=1))
        log_p = model.predict_log_proba(A)
        assert np.all(np.isfinite(log_p))
        assert_allclose(np.exp(log_p), p, rtol=1e-9)
    # The temperature is the least that is modest enough.
    least = 1 / (len(y) + n_classes)
    trained = log_loss(y, model.predict_proba(X))
    if model.temperature_ > 1:
        assert trained == pytest.approx(least, rel=1e-6)
    else:
        assert trained >= least
    assert (model.temperature_ > 1) == (goal < -10)
    assert model.margin_ == pytest.approx(
        Reference(X, y, loss=loss).margin(X @ model.coef_.T + model.intercept_)
    )


@each_count
def test_samples_between_classes_have_frequencies_as_probabilities(n_classes):
    times = np.array([1, 2, 4])[:n_classes]
    X = np.repeat([[0.0, 1], [1.0, 0], [1.0, 1]], times.sum(), axis=0)
    y = np.tile(np.repeat(np.arange(n_classes), times), 3)
    model = net(early_stopping=False).fit(X, y)
    assert not model.separable_
    assert model.converged_
    close(model.predict_proba(X), np.tile(times / times.sum(), (len(X), 1)), 1e-6)


@each_count
def test_overlapping_classes_end_at_maximum_likelihood(n_classes):
    X, y = table(n_classes, n=40)
    model = net(early_stopping=False, tol=1e-11).fit(X, y)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    reference = Reference(standard, y, loss="logistic", fit_intercept=True)
    coef, offset, least = reference.least()
    scores = standard @ coef.T + offset
    found = X @ model.coef_.T + model.intercept_
    close(level(found), level(scores), 1e-6)
    assert model.loss_ == pytest.approx(least, rel=1e-10)
    assert model.temperature_ == 1
    assert not model.separable_
    for name in ("excess_l1_margin_", "excess_l2_margin_"):
        with pytest.raises(AttributeError, match="does not separate"):
            getattr(model, name)
    with pytest.warns(UserWarning, match="overlap"):
        net(log_loss_tol=-50.0).fit(X, y)


def test_separable_is_found_by_margin_by_rest_and_by_a_program():
    X, y = separable()
    assert net(log_loss_tol=-20.0).fit(X, y).separable_
    early = net(max_time=1e-3).fit(X, y)
    assert early.margin_ <= 0
    assert early.separable_
    X, y = table(n=40)
    early = net(max_time=1e-3).fit(X, y)
    assert not early.separable_


# -- diagnostics -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "n_classes", "loss"),
    [(2, 2, "logistic"), (3, 3, "exponential"), (4, 2, "exponential")],
)
def test_duals_lead_to_coefficients(depth, n_classes, loss):
    X, y = separable(n_classes)
    shape = np.linspace(0.5, 1.5, X.shape[1])
    model = net(
        0.5, depth=depth, loss=loss, init_shape=shape, log_loss_tol=-30.0
    ).fit(X, y)  # fmt: skip
    seen = (X - X.mean(axis=0)) / X.std(axis=0)
    potential = DiagonalPotential(depth, np.log(model.alpha_ * shape))
    s = shape ** (depth - 2) * (model.dual_coef_ @ seen)
    coef = potential.coef(potential.theta_of_dual(s)) / X.std(axis=0)
    close(coef, model.coef_, 1e-6)
    assert_allclose(model.dual_coef_.sum(axis=1), 0, atol=1e-9)


@each_count
def test_support_vectors_have_the_least_margins(n_classes):
    X, y = separable(n_classes)
    model = net(log_loss_tol=-1e5).fit(X, y)
    scores = X @ model.coef_.T + model.intercept_
    if n_classes == 2:
        lead = scores[:, 0] * np.where(y, 1, -1)
    else:
        others = np.where(np.eye(n_classes, dtype=bool)[y], -np.inf, scores)
        lead = scores[np.arange(len(y)), y] - others.max(axis=1)
    assert model.margin_ == pytest.approx(lead.min(), rel=1e-9)
    assert np.all(lead[model.support_] < model.margin_ + 20)
    assert 2 <= len(model.support_) < len(y)


@each_count
@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_excess_margins_are_over_the_best(n_classes, norm, power):
    X, y = separable(n_classes)
    model = net(log_loss_tol=-50.0).fit(X, y)
    seen = (X - X.mean(axis=0)) / X.std(axis=0)
    best = max_margin(seen, y, norm=norm, fit_intercept=True)
    size = np.linalg.norm((model.coef_ * X.std(axis=0)).ravel(), power)
    excess = size / model.margin_ / best.value - 1
    assert getattr(model, f"excess_{norm}_margin_") == pytest.approx(excess, abs=1e-9)
    assert excess > 0


@pytest.mark.parametrize(("depth", "n_classes"), [(1, 2), (2, 3), (3, 2), (4, 3)])
def test_kernels_are_those_of_autograd(depth, n_classes):
    X, y = separable(n_classes, n=7, d=4)
    model = net(0.7, depth=depth, log_loss_tol=-4.0, rtol=1e-6).fit(X, y)
    seen = torch.tensor((X - X.mean(axis=0)) / X.std(axis=0))
    potential = DiagonalPotential(depth, np.log(model.alpha_))
    ends = []
    for k, coef in enumerate(model.coef_ * X.std(axis=0)):
        # Weights of these coefficients that obey what the flow conserves.
        if depth == 1:
            end = [coef / 2, -coef / 2]
        else:
            end = [np.exp(v) for v in potential.log_weights(potential.theta(coef))]
        weights = {"init": np.full((2, 4), model.alpha_), "end": np.array(end)}
        for at, start in weights.items():
            score = lambda w: seen @ (w[0] ** depth - w[1] ** depth)
            gradient = torch.autograd.functional.jacobian(score, torch.tensor(start))
            gradient = gradient.reshape(7, -1)
            found = model.tangent_kernel(X, at=at)
            found = found if n_classes == 2 else found[k]
            close(found, (gradient @ gradient.T).numpy(), 1e-8)
        ends.append(weights["end"])
    first, last = (np.array(model.tangent_kernel(X, at=at)) for at in ("init", "end"))
    change = np.linalg.norm(last - first) / np.linalg.norm(first)
    assert model.kernel_change_ == pytest.approx(change, rel=1e-6, abs=1e-9)
    cosine = np.sum(first * last) / np.linalg.norm(first) / np.linalg.norm(last)
    assert model.kernel_alignment_ == pytest.approx(cosine, rel=1e-9)
    if depth > 1:
        moved = np.array(ends) / model.alpha_ - 1
        change = np.linalg.norm(moved) / np.sqrt(moved.size)
        assert model.weight_change_ == pytest.approx(change, rel=1e-6)
    half = model.tangent_kernel(X[:3], X)
    close(half, last[..., :3, :])


# -- the way ---------------------------------------------------------------------------


@each_count
def test_stages_are_fits_that_stopped_there(n_classes):
    X, y = separable(n_classes)
    model = net(log_loss_tol=-1e3, rtol=1e-5).fit(X, y)
    path = model.trajectory_
    assert path.log_time[0] == -np.inf
    assert np.all(np.diff(path.log_loss) < 0)
    assert path.log_loss[-1] == model.log_loss_
    assert len(list(model.staged_predict(X))) == len(path)
    times = [0.0, 0.5, 3.0, np.inf]
    odds = list(model.staged_decision_function(X, times))
    for time, found in zip(times[1:3], odds[1:3], strict=True):
        stopped = net(max_time=time, rtol=1e-5).fit(X, y)
        close(found, stopped.decision_function(X), 2e-2)
    close(odds[3], model.decision_function(X))
    for p in model.staged_predict_proba(X, times):
        assert_allclose(p.sum(axis=1), 1)
    for level in (-0.7, -5.0, -200.0):
        coef, intercept, temperature = path.at_log_loss(level)
        stopped = net(log_loss_tol=level, rtol=1e-5).fit(X, y)
        close(coef[0], stopped.coef_, 1e-2)
        close(
            X @ coef[0].T + intercept[0], X @ stopped.coef_.T + stopped.intercept_, 1e-2
        )
        assert temperature[0] == pytest.approx(stopped.temperature_, rel=2e-2)


def test_times_that_no_float_holds():
    X, y = separable()
    model = net(log_loss_tol=-1e4).fit(X, y)
    assert model.time_ == np.inf
    assert model.log_time_ == pytest.approx(1e4, rel=0.01)
    assert model.loss_ == 0
    p = next(model.staged_predict_proba(X, [1e300]))
    assert np.all(np.isfinite(p))


def test_auto_and_the_flow_agree_beyond_the_switch():
    X, y = separable()
    auto = net(log_loss_tol=-3e4).fit(X, y)
    flow = net(log_loss_tol=-3e4, solver="dual_mirror").fit(X, y)
    assert (auto.solver_, flow.solver_) == ("sweeping", "dual_mirror")
    assert np.isnan(flow.sweep_error_)
    close(auto.coef_, flow.coef_, 3 * auto.sweep_error_ + 1e-4)
    close(auto.predict_proba(X), flow.predict_proba(X), 1e-3)


def test_early_stopping_takes_the_best_time_of_its_curve():
    X, y = table(n=40)
    model = net(early_stopping=True, random_state=0).fit(X, y)
    curve = model.validation_curve_
    assert curve.shape[1] == 2
    best = curve[np.argmin(curve[:, 1]), 0]
    assert model.time_ == pytest.approx(best, rel=1e-6)
    same(net(max_time=model.time_).fit(X, y), model, tol=1e-6)
    auto = net(random_state=0).fit(X, y)
    assert_array_equal(auto.coef_, model.coef_)


# -- errors, warnings, callbacks -------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"y": [1, 1, 1, 1]}, {}, "only one class"),
        ({"X": [[np.nan], [1], [2], [3]]}, {}, "NaN"),
        ({"X": [[np.inf], [1], [2], [3]]}, {}, "infinity"),
        ({"y": [0.1, 0.5, 0.2, 0.7]}, {}, "continuous"),
        ({"sample_weight": [1, -1, 1, 1]}, {}, "[Nn]egative"),
        ({"sample_weight": [0, 0, 1, 1]}, {}, "only one class"),
        ({"sample_weight": [0, 0, 0, 0]}, {}, "zero"),
        ({}, {"class_weight": {0: 0.0}}, "must be positive"),
        ({}, {"init_shape": [1.0, 2.0]}, "1 positive numbers"),
        ({}, {"init_shape": [-1.0]}, "1 positive numbers"),
        ({}, {"loss": "hinge"}, "loss"),
        ({}, {"log_loss_tol": -np.inf}, "log_loss_tol"),
        ({"y": [0, 1, 2, 3]}, {"early_stopping": True}, "early_stopping"),
    ],
)
def test_bad_input_is_named(change, options, message):
    data = {"X": [[0.0], [1], [2], [3]], "y": [0, 0, 1, 1], **change}
    with pytest.raises(ValueError, match=message):
        net(**options).fit(**data)


def test_class_weights_may_leave_classes_out():
    X, y = table()
    same(
        net(max_time=1.0, class_weight={0: 1.0}).fit(X, y), net(max_time=1.0).fit(X, y)
    )
    with pytest.raises(ValueError, match="not in class_weight"):
        net(class_weight={7: 2.0, 8: 1.0}).fit(X, y)


def test_sparse_features_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        net().fit(sparse.csr_array(np.eye(4)), [0, 1, 0, 1])


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_two_samples_and_constant_columns(fit_intercept):
    X, y = np.array([[1.0, 3, 7], [2, 3, 7]]), np.array([0, 1])
    model = net(fit_intercept=fit_intercept, log_loss_tol=-20.0).fit(X, y)
    assert_array_equal(model.predict(X), y)
    if fit_intercept:
        assert_array_equal(model.coef_[0, 1:], 0)
    same_place = net(early_stopping=False).fit(np.ones((2, 2)), y)
    close(same_place.predict_proba(np.ones((1, 2))), np.array([[0.5, 0.5]]))


def test_nearly_touching_classes():
    X = np.array([[0.0], [1.0], [1.0 + 1e-9], [2.0]])
    model = net(log_loss_tol=-100.0).fit(X, [0, 0, 1, 1])
    assert model.separable_
    assert model.margin_ > 0
    assert -model.intercept_[0] / model.coef_[0, 0] == pytest.approx(
        1 + 5e-10, rel=1e-9
    )


@pytest.mark.parametrize("depth", [1, 2])
def test_an_outlier_hides_nothing(depth):
    X, y = separable()
    X, y = np.vstack([X, np.full(6, 1e4)]), np.append(y, 1)
    model = net(depth=depth, log_loss_tol=-1e3).fit(X, y)
    assert model.log_loss_ == pytest.approx(-1e3, rel=1e-7)
    assert_array_equal(model.predict(X), y)


@pytest.mark.parametrize("time", [1e-30, 1e-6])
def test_any_time_can_be_the_last(time):
    X, y = separable()
    model = net(max_time=time).fit(X, y)
    assert model.time_ == pytest.approx(time)
    first = model.trajectory_.log_loss[0]
    assert model.log_loss_ == pytest.approx(first, abs=1e-3)


def test_too_few_steps_are_said():
    X, y = separable()
    with pytest.warns(ConvergenceWarning, match="max_iter=5"):
        model = net(log_loss_tol=-100.0, max_iter=5).fit(X, y)
    assert not model.converged_
    assert np.all(np.isfinite(model.predict_proba(X)))


class Interrupt(ScoringMonitor):
    """Raises Ctrl-C at the third point of a flow."""

    def on_fit_task_end(self, *args, **kwargs):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 3:
            raise KeyboardInterrupt
        return super().on_fit_task_end(*args, **kwargs)


def test_callbacks_watch_the_flow(capsys):
    X, y = separable()
    monitor = ScoringMonitor(scoring="neg_log_loss")
    model = net(log_loss_tol=-50.0, verbose=1).set_callbacks(monitor)
    model.fit(X, y)
    assert "[DiagonalNetClassifier] log time" in capsys.readouterr().out
    plain = net(log_loss_tol=-50.0).fit(X, y)
    assert_array_equal(model.coef_, plain.coef_)
    log = monitor.get_logs().data
    scores = [row["neg_log_loss"] for row in log if row["task_name"] == "flow"]
    assert len(scores) > 8
    assert scores[-1] > scores[0]
    assert np.all(np.isfinite(scores))


def test_an_interrupt_keeps_what_was_reached():
    X, y = separable()
    model = net(log_loss_tol=-50.0).set_callbacks(Interrupt(scoring="accuracy"))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not model.converged_
    assert -50 < model.log_loss_ < np.log(np.log(2))
    assert_allclose(model.predict_proba(X).sum(axis=1), 1)


@each_count
def test_pickles_and_clones(n_classes):
    X, y = separable(n_classes)
    model = net(log_loss_tol=-5.0).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.separable_
    with pytest.raises(AttributeError, match="before pickling"):
        _ = again.excess_l1_margin_
    assert_array_equal(clone(model).fit(X, y).coef_, model.coef_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "excess_l1_margin_" not in dir(model)
