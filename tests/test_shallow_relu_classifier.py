"""The shallow network as a classifier behind scikit-learn's interface."""

import math
import pickle

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import skregimes.flows.log_flow as flow
from skregimes import ShallowReLUClassifier
from skregimes.limits.margins import Margins

# Short flows of small networks, whose error is that of the step.
SHORT = {"n_hidden": 12, "early_stopping": False, "max_time": 5.0, "random_state": 0}


@parametrize_with_checks([ShallowReLUClassifier(n_hidden=8, max_time=1.0, rtol=1e-2)])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        ShallowReLUClassifier(
            0.1, n_hidden=4, loss="exponential", early_stopping=True, max_time=0.1,
            validation_fraction=0.5, rtol=1e-2, skip_connection=True,
        ),
        ShallowReLUClassifier(
            n_hidden=8, loss="soft_accuracy", solver="gd", learning_rate=2.0,
            balance=1.0, early_stopping=False, max_time=100.0,
        ),
    ]
)  # fmt: skip
def test_scikit_learn_otherwise(estimator, check):
    check(estimator)


def moons(n_samples=24, noise=0.1):
    return make_moons(n_samples, noise=noise, random_state=0)


def flowers(step=6):
    X, y = load_iris(return_X_y=True)
    return X[::step], y[::step]


def net(scale=1.0, **options):
    return ShallowReLUClassifier(scale, **{**SHORT, **options})


def same_fit(one, two, X, rtol=1e-7):
    expected = one.decision_function(X)
    size = np.max(np.abs(expected))
    np.testing.assert_allclose(two.decision_function(X), expected, atol=rtol * size)
    assert two.log_time_ == pytest.approx(one.log_time_, rel=rtol, abs=rtol)


# -- answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["logistic", "exponential", "soft_balanced_accuracy"])
@pytest.mark.parametrize("data", [moons, flowers])
def test_answers_agree_with_each_other_and_with_the_weights(loss, data):
    X, y = data()
    names = np.array(["a", "b", "c"])[y]
    options = {"max_time": 1.0, "skip_connection": True, "rtol": 1e-2}
    model = net(loss=loss, **options).fit(X, names)
    log_odds, proba = model.decision_function(X), model.predict_proba(X)
    if proba.shape[1] == 2:
        np.testing.assert_array_equal(proba[:, 1], expit(log_odds))
    else:
        np.testing.assert_array_equal(proba, softmax(log_odds, axis=1))
    np.testing.assert_allclose(np.log(proba), model.predict_log_proba(X))
    assert list(model.predict(X)) == list(model.classes_[proba.argmax(axis=1)])
    # The weights, in the units of the input, are the network.
    inner, outer = model.coefs_
    hidden = np.maximum(X @ inner + model.intercepts_[0], 0)
    skip = model.skip_coef_.T.reshape(X.shape[1], -1)
    scores = hidden @ outer + X @ skip + model.intercepts_[1]
    factor = 2 if loss == "exponential" else 1
    expected = factor * scores / model.temperature_
    np.testing.assert_allclose(
        log_odds.reshape(len(X), -1), expected, atol=1e-9 * np.abs(expected).max()
    )
    codes = np.searchsorted(model.classes_, names)
    margins = Margins(codes, len(model.classes_)).of(scores)
    assert model.margin_ == pytest.approx(margins.min(), rel=1e-9)
    if loss == "exponential":
        value = np.exp(-margins).reshape(len(X), -1).sum(axis=1).mean()
        assert model.loss_ == pytest.approx(value, rel=1e-9)
    if loss == "logistic":
        each = np.log1p(np.exp(-margins).reshape(len(X), -1).sum(axis=1))
        assert model.log_loss_ == pytest.approx(np.log(each.mean()), rel=1e-9)
    assert model.loss_ == pytest.approx(math.exp(model.log_loss_))


@pytest.mark.parametrize("data", [moons, flowers])
def test_stages_lead_to_the_end(data):
    X, y = data()
    model = net().fit(X, y)
    path = model.trajectory_
    assert path.time[0] == 0
    assert path.time[-1] == model.time_ == pytest.approx(5.0, rel=1e-6)
    assert np.all(np.diff(path.log_loss) < 0)
    stages = list(model.staged_decision_function(X))
    assert len(stages) == len(path)
    np.testing.assert_allclose(stages[-1], model.decision_function(X), rtol=1e-12)
    np.testing.assert_allclose(stages[0], stages[0][:1].repeat(len(X), axis=0))
    times = [0.0, 0.5, 5.0, 50.0]
    first, middle, last, beyond = model.staged_predict_proba(X, times)
    np.testing.assert_allclose(last, model.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(last, beyond, rtol=1e-12)
    np.testing.assert_allclose(first.sum(axis=1), 1)
    shorter = clone(model).set_params(max_time=0.5).fit(X, y)
    np.testing.assert_allclose(middle, shorter.predict_proba(X), atol=2e-3)
    for labels in model.staged_predict(X, [0.5]):
        assert list(labels) == list(model.classes_[middle.argmax(axis=1)])
    with pytest.raises(ValueError, match="non-negative"):
        list(model.staged_predict(X, [-1.0]))
    assert path.richness[-1] == pytest.approx(model.richness_, rel=1e-9)


def test_the_tangent_kernel_is_that_of_the_weights():
    X, y = flowers()
    model = net(n_hidden=6).fit(X, y)
    kernel = model.tangent_kernel(X[:4], X)
    assert kernel.shape == (3, 3, 4, len(X))
    assert net(n_hidden=6).fit(X, y == 0).tangent_kernel(X).shape == (len(X),) * 2
    start = model.tangent_kernel(X, at="init")
    np.testing.assert_allclose(start[0, 1], 0, atol=1e-15)
    with pytest.raises(ValueError, match="'init' or 'end'"):
        model.tangent_kernel(X, at="now")


# -- how far the loss is pushed --------------------------------------------------------


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
@pytest.mark.parametrize("data", [moons, flowers])
def test_a_level_of_the_loss_is_hit(loss, data):
    X, y = data()
    y = y if data is moons else y == 0
    for level in (-2.5, -100.0):
        model = net(loss=loss, max_time=None, log_loss_tol=level, rtol=1e-2).fit(X, y)
        assert model.log_loss_ == pytest.approx(level, rel=1e-6)
        assert model.converged_
        assert model.score(X, y) == 1
        assert np.all(np.isfinite(model.predict_log_proba(X)))
        # Probabilities are not surer than so few samples allow.
        sure = np.mean(-np.log(model.predict_proba(X).max(axis=1)))
        assert 0.02 < sure < 0.3
    assert model.margin_ == pytest.approx(100, rel=0.05)
    assert model.temperature_ > 5
    assert model.richness_ > 0.5


def test_losses_below_floats_take_times_beyond_them():
    X = np.array([[-1.0], [-0.2], [0.1], [1.0]])
    y = [0, 0, 1, 1]
    model = net(max_time=None, log_loss_tol=-1e4, rtol=1e-2).fit(X, y)
    assert model.loss_ == 0
    assert model.log_loss_ == pytest.approx(-1e4, rel=1e-6)
    assert model.time_ == math.inf
    assert model.log_time_ == pytest.approx(1e4, rel=0.01)
    assert np.all(np.diff(model.trajectory_.log_time[1:]) > 0)
    assert list(model.predict(X)) == y
    stages = list(model.staged_predict_proba(X, [1.0, 1e300]))
    assert np.all(np.isfinite(stages))


def test_by_default_the_loss_is_pushed_to_a_level_that_is_enough():
    X, y = moons(10)
    model = net(max_time=None, rtol=1e-2).fit(X, y)
    assert model.log_loss_ == pytest.approx(-20, rel=1e-6)


def test_classes_that_cannot_be_separated_come_to_rest():
    X = np.array([[0.0], [0.0], [1.0], [1.0]])
    y = [0, 1, 0, 1]
    weight = [1.0, 3.0, 2.0, 1.0]
    with pytest.warns(UserWarning, match="cannot separate"):
        model = net(max_time=None, log_loss_tol=-9.0).fit(X, y, weight)
    # The best probabilities are the frequencies at each place.
    scores = model.decision_function(X[[0, 2]]) * model.temperature_
    np.testing.assert_allclose(expit(scores), [3 / 4, 1 / 3], atol=0.01)
    assert model.margin_ < 0
    assert model.converged_


# -- both ends of the scale ------------------------------------------------------------


def test_the_kernel_regime_ends_at_the_largest_margin_of_its_kernel():
    X, y = moons(30)
    model = net(
        1e5, n_hidden=400, max_time=None, log_loss_tol=-300.0, loss="exponential"
    ).fit(X, y)
    assert model.regime_ == "kernel"
    kernel = model.tangent_kernel(X, at="init")
    machine = SVC(kernel="precomputed", C=1e12, tol=1e-8).fit(kernel, y)
    grid = np.random.default_rng(0).uniform(-1, 2, (200, 2))
    expected = machine.decision_function(model.tangent_kernel(grid, X, at="init"))
    scores = model.decision_function(grid) * model.temperature_ / 2
    gap = scores / model.margin_ - expected
    assert np.sqrt(np.mean(gap**2)) < 0.02 * np.sqrt(np.mean(expected**2))


def test_a_small_scale_ends_at_the_least_total_variation_of_the_slope():
    x = np.array([-1.0, -0.7, -0.45, -0.2, 0.1, 0.35, 0.6, 1.0])
    y = np.array([0, 0, 1, 1, 1, 0, 0, 0])
    options = {"max_time": None, "log_loss_tol": -100.0, "n_hidden": 100, "rtol": 3e-3}
    rich, kernel = (net(s, **options).fit(x[:, None], y) for s in (1e-4, 1e4))
    assert (rich.regime_, kernel.regime_) == ("rich", "kernel")
    # Of margin 1: up by 2 from -0.7 to -0.45, down from 0.1 to 0.35, one kink between.
    assert rich.total_variation_ / rich.margin_ == pytest.approx(16, rel=2e-3)
    near = np.abs(rich.knots_ + 0.175) < 0.02
    assert np.abs(rich.slope_changes_[near]).sum() > 0.98 * rich.total_variation_
    assert kernel.total_variation_ / kernel.margin_ > 17
    assert len(kernel.knots_) > 20


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
@pytest.mark.parametrize("data", [moons, flowers])
def test_richness_falls_with_the_scale(loss, data):
    X, y = data()
    options = {"loss": loss, "max_time": None, "log_loss_tol": -4.0, "n_hidden": 100}
    low, middle, high = (
        net(s, rtol=1e-2, **options).fit(X, y).richness_ for s in (0.01, 1.0, 100.0)
    )
    assert low > 0.9
    assert 0.1 < middle < 0.9
    assert high < 0.1


# -- what must not matter --------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}])
def test_weights_are_repetitions_and_order_does_not_matter(options):
    X, y = moons(20)
    weight = np.random.default_rng(0).integers(0, 3, 20)
    options = {**options, "rtol": 1e-2}
    weighted = net(**options).fit(X, y, weight)
    repeated = net(**options).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    same_fit(weighted, repeated, X)
    assert weighted.temperature_ == pytest.approx(repeated.temperature_, rel=1e-7)
    turned = net(**options).fit(X[::-1], y[::-1], weight[::-1])
    same_fit(weighted, turned, X)


def test_class_weights_are_weights():
    X, y = flowers()
    weight = np.array([2.0, 1.0, 5.0])
    by_class = net(class_weight=dict(enumerate(weight)), rtol=1e-2).fit(X, y)
    by_sample = net(rtol=1e-2).fit(X, y, weight[y])
    scores = [m.decision_function(X) * m.temperature_ for m in (by_class, by_sample)]
    np.testing.assert_allclose(*scores, atol=1e-6 * np.abs(scores[0]).max())
    balanced = net(class_weight="balanced", rtol=1e-2).fit(X[4:], y[4:])
    start = next(balanced.staged_predict_proba(X[:1]))
    np.testing.assert_allclose(start, 1 / 3, atol=1e-9)


def test_units_of_the_features_do_not_matter():
    X, y = moons()
    moved = X * [1e-6, 1e5] + [3e-6, -1e5]
    one, two = net().fit(X, y), net().fit(moved, y)
    np.testing.assert_allclose(
        one.predict_proba(X), two.predict_proba(moved), atol=1e-6
    )


def test_opposite_labels_at_a_place_are_frequencies():
    X, y = moons(12)
    doubled, labels = np.concatenate([X, X[:3]]), np.concatenate([y, 1 - y[:3]])
    model = net(rtol=1e-2).fit(doubled, labels)
    assert np.all(np.isfinite(model.predict_proba(X)))
    assert model.margin_ < 0


@pytest.mark.parametrize("labels", [[True, False], ["x", "y"], [-3, 4], [0.0, 2.0]])
def test_labels_of_any_type(labels):
    X = np.array([[0.0], [1.0]])
    model = net(rtol=1e-2).fit(X, np.array(labels))
    assert list(model.predict(X)) == labels
    assert model.classes_.dtype == np.array(labels).dtype
    objects = net(rtol=1e-2).fit(X, np.array(labels, dtype=object))
    assert list(objects.predict(X)) == labels


@pytest.mark.parametrize("scale", [1e-6, 1e4])
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_scales_far_off(scale, loss):
    X, y = moons(12)
    model = net(scale, loss=loss, max_time=100.0, rtol=1e-2).fit(X, y)
    assert np.all(np.isfinite(model.decision_function(X)))
    assert model.regime_ == ("rich" if scale < 1 else "kernel")


def test_constant_features_say_nothing():
    X = np.ones((6, 2))
    model = net(rtol=1e-2).fit(X, [0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / 3, atol=1e-6)


def test_single_precision_is_as_good():
    X, y = moons()
    X = X.astype(np.float32)
    single, double = net(rtol=1e-2).fit(X, y), net(rtol=1e-2).fit(X.astype(float), y)
    same_fit(double, single, X)


# -- ways to train ---------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["logistic", "soft_f1"])
def test_gradient_descent_with_small_steps_is_the_flow(loss):
    X, y = moons(16)
    options = {"loss": loss, "max_time": 1.0, "n_hidden": 6, "random_state": 1}
    flow = net(**options, rtol=1e-4).fit(X, y)
    steps = net(**options, solver="gd", learning_rate=2e-3).fit(X, y)
    assert steps.solver_ == "gd"
    scores = [m.decision_function(X) * m.temperature_ for m in (flow, steps)]
    np.testing.assert_allclose(*scores, atol=0.01 * np.abs(scores[0]).max())
    batches = net(**options, solver="gd", batch_size=4, learning_rate=0.01).fit(X, y)
    scores[1] = batches.decision_function(X) * batches.temperature_
    np.testing.assert_allclose(*scores, atol=0.3 * np.abs(scores[0]).max())


def test_descent_that_diverges_says_so():
    X, y = moons(10)
    model = net(solver="gd", learning_rate=1e9, loss="exponential", max_time=1e12)
    with pytest.raises(FloatingPointError, match="decrease learning_rate"):
        model.fit(X, y)


def test_soft_losses_fall_and_rest():
    X, y = moons(30, noise=0.3)
    for loss in ("soft_f1", "soft_accuracy", "soft_balanced_accuracy"):
        model = net(loss=loss, max_time=50.0, rtol=3e-2).fit(X, y)
        losses = model.trajectory_.loss
        assert losses[-1] < 0.6 * losses[0]
        assert model.score(X, y) > 0.7


def test_held_out_samples_choose_the_time():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 2))
    y = (X[:, 0] + rng.standard_normal(50) > 0).astype(int)
    options = {"max_time": None, "rtol": 1e-2}
    early = net(**options, early_stopping="auto").fit(X, y)
    late = net(**options, log_loss_tol=-1.4, early_stopping="auto").fit(X, y)
    assert early.log_loss_ > late.log_loss_ + 0.2
    fresh = rng.standard_normal((4000, 2))
    truth = np.mean(fresh[:, 0:1] + rng.standard_normal((4000, 50)) > 0, axis=1)
    both = np.column_stack([1 - truth, truth])
    ours, theirs = (
        -np.mean(np.sum(both * m.predict_log_proba(fresh), axis=1))
        for m in (early, late)
    )
    assert ours < theirs
    assert ours < math.log(2) - 0.1


def test_a_warm_start_goes_on():
    X, y = moons(12)
    whole = net(max_time=2.0, rtol=1e-4).fit(X, y)
    halves = net(max_time=1.0, rtol=1e-4, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_allclose(
        halves.decision_function(X), whole.decision_function(X), rtol=2e-3
    )
    with pytest.raises(ValueError, match="needs the classes of the last fit"):
        halves.fit(X, y + 1)
    with pytest.raises(ValueError, match="loss has changed"):
        halves.set_params(loss="exponential").fit(X, y)


def test_an_interrupted_fit_is_stored(monkeypatch):
    X, y = moons(12)
    step, count = flow._Clock.step, iter(range(1000))

    def impatient(self, *point):
        if next(count) == 6:
            raise KeyboardInterrupt
        return step(self, *point)

    monkeypatch.setattr(flow._Clock, "step", impatient)
    model = net()
    with pytest.raises(KeyboardInterrupt, match="is stored"):
        model.fit(X, y)
    assert not model.converged_
    assert 0 < model.time_ < 5
    assert model.trajectory_.time[-1] == model.time_
    assert np.all(np.isfinite(model.predict_proba(X)))


def test_too_few_steps_are_told():
    X, y = moons(12)
    with pytest.warns(ConvergenceWarning, match="max_iter=3 steps were not enough"):
        model = net(max_iter=3).fit(X, y)
    assert not model.converged_


def test_a_fit_survives_pickling_without_torch():
    X, y = moons(12)
    model = net(rtol=1e-2).fit(X, y)
    data = pickle.dumps(model)
    assert b"torch" not in data
    np.testing.assert_array_equal(
        pickle.loads(data).predict_proba(X), model.predict_proba(X)
    )


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "soft_f1", "log_loss_tol": -3.0}, "comes to rest"),
        ({"learning_rate": 0.1}, "is for solver='gd'"),
        ({"balance": 1.0, "n_hidden": 7}, "odd"),
        ({"loss": "hinge"}, "loss"),
        ({"solver": "exponential"}, "solver"),
        ({"class_weight": {0: 0.0}}, "must be positive"),
        ({"units": "paper", "scale": 1e200}, "beyond float64"),
        ({"early_stopping": True, "validation_fraction": 0.1}, None),
    ],
)
def test_bad_parameters(options, message):
    X, y = moons(8)
    if message is None:
        X, y, message = X[:2], np.array([0, 1]), "no class with a sample to spare"
    with pytest.raises(ValueError, match=message):
        net(**options).fit(X, y)


def test_bad_data():
    X, y = moons(8)
    with pytest.raises(ValueError, match="only one class"):
        net().fit(X, np.zeros(8))
    with pytest.raises(ValueError, match="NaN"):
        net().fit(np.where(X > 1, np.nan, X), y)
    with pytest.raises(ValueError, match="Unknown label type"):
        net().fit(X, X[:, 0])
