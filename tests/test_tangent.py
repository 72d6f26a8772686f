"""The lazy twin: against autograd, precomputed kernel ridge, loops and flows."""

import pickle

import numpy as np
import pytest
import torch
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline

from skregimes import (
    DiagonalNetClassifier,
    DiagonalNetRegressor,
    InitScaleSearchCV,
    MatrixCompletionRegressor,
    MatrixFactorizer,
    MatrixSensingRegressor,
    ShallowReLUClassifier,
    ShallowReLURegressor,
    TangentKernelRidge,
)
from skregimes.kernels import shallow_relu_kernel
from skregimes.limits import curvature_spline

UNEVEN = np.array([1.0, 3.0, 0.5, 2.0] * 5)


def table(n=20, d=30, n_targets=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    shape = (n,) if n_targets is None else (n, n_targets)
    return X, rng.normal(size=shape) + 2, rng.normal(size=(7, d))


def shallow(**options):
    options = {"n_hidden": 40, "random_state": 0, "early_stopping": False} | options
    return ShallowReLURegressor(options.pop("init_scale", 1.0), **options)


# -- exactly the linearized network ----------------------------------------------------


def literal_network(model, X):
    """Outputs (n, q) and their Jacobian (n, q, p) at the start, by autograd."""
    net = model._network.initial()
    root = np.sqrt(net.y_unit)
    weights = [
        torch.tensor(root * part, requires_grad=True)
        for part in (net.hidden, net.output)
    ]
    inputs = torch.tensor(np.column_stack([net.scaled(X), -np.ones(len(X))]))
    out = torch.relu(inputs @ weights[0].T) @ weights[1]
    rows = [
        torch.cat(
            [g.ravel() for g in torch.autograd.grad(v, weights, retain_graph=True)]
        )
        for v in out.ravel()
    ]
    return out.detach().numpy(), torch.stack(rows).numpy().reshape(*out.shape, -1)


@pytest.mark.parametrize("affine", [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("n_targets", [None, 2])
@pytest.mark.parametrize("symmetric", [True, False])
def test_it_is_the_network_linear_in_its_weights(affine, n_targets, symmetric):
    X, y, new = table(8, 3, n_targets)
    skip, intercept = affine
    model = shallow(
        balance=1.0, antisymmetric=symmetric, skip_connection=skip,
        fit_intercept=intercept,
    )  # fmt: skip
    twin = TangentKernelRidge(model).fit(X, y)
    model = clone(model).set_params(max_time=1e-9).fit(X, y)
    start, J = literal_network(model, X)
    start_new, J_new = literal_network(model, new)
    # The least move of the weights that fits, beside free affine columns.
    q = start.shape[1]
    J, J_new = J.reshape(len(X) * q, -1), J_new.reshape(len(new) * q, -1)
    ones = [np.eye(q)] * intercept
    free = np.array([np.kron(np.r_[x * skip, [1.0] * intercept], np.eye(q)) for x in X])
    free_new = np.array(
        [np.kron(np.r_[x * skip, [1.0] * intercept], np.eye(q)) for x in new]
    )
    assert len(ones) == intercept
    free, free_new = free.reshape(len(J), -1), free_new.reshape(len(J_new), -1)
    rest = (y.reshape(len(X), -1) - start).ravel()
    away = np.eye(len(J)) - free @ np.linalg.pinv(free) if free.size else np.eye(len(J))
    move = np.linalg.pinv(away @ J, rcond=1e-9) @ (away @ rest)
    coef = np.linalg.pinv(free) @ (rest - J @ move) if free.size else np.zeros(0)
    wanted = start_new + (J_new @ move + free_new @ coef).reshape(len(new), q)
    assert_allclose(
        twin.predict(new).reshape(len(new), q), wanted, rtol=1e-6, atol=1e-8
    )


def test_the_flow_of_a_large_start_ends_there():
    X, y, new = table(6, 8)
    for model in (
        DiagonalNetRegressor(1e5, early_stopping=False),
        DiagonalNetRegressor(1e5, depth=3, early_stopping=False, standardize=False),
        shallow(init_scale=1e6, n_hidden=100, skip_connection=False),
    ):
        twin = TangentKernelRidge(model).fit(X, y)
        assert_allclose(twin.predict(new), model.fit(X, y).predict(new), atol=2e-3)


def test_the_infinite_twin_of_a_curve_is_a_cubic_spline():
    x = np.linspace(-1, 1, 9)[:, None]
    y = np.sin(3 * x[:, 0])
    twin = TangentKernelRidge(shallow(bias_scale=2.0), n_seeds=np.inf).fit(x, y)
    grid = np.linspace(-1, 1, 51)
    # Its kernel is the cubic one, whatever the scale; outside the samples it is affine.
    spline = curvature_spline(x[:, 0], y)
    assert_allclose(twin.predict(grid[:, None]), spline(grid), atol=1e-8)


def test_small_weights_give_the_same_twin():
    X, y, new = table()
    wanted = TangentKernelRidge(DiagonalNetRegressor()).fit(X, y).predict(new)
    for scale in (1e-60, 1e6):
        model = DiagonalNetRegressor(scale, depth=3)
        assert_allclose(TangentKernelRidge(model).fit(X, y).predict(new), wanted)


# -- ridge -----------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.03, 4.0])
@pytest.mark.parametrize("at", ["init", "end"])
def test_it_is_kernel_ridge_with_the_kernel(alpha, at):
    X, y, new = table()
    model = DiagonalNetRegressor(0.1, fit_intercept=False)
    twin = TangentKernelRidge(model, at=at, alpha=alpha).fit(X, y, UNEVEN)
    trained = model.fit(X, y, UNEVEN)
    K, K_new = (trained.tangent_kernel(A, X, at=at) for A in (X, new))
    ridge = KernelRidge(alpha=alpha, kernel="precomputed").fit(K, y, UNEVEN)
    assert_allclose(twin.predict(new), ridge.predict(K_new), rtol=1e-8)
    assert_allclose(twin.dual_coef_, ridge.dual_coef_, rtol=1e-6)
    assert_array_equal(twin.tangent_kernel(new, X), K_new)
    assert twin.loss_ == pytest.approx(
        np.average((ridge.predict(K) - y) ** 2, weights=UNEVEN) / 2
    )


def test_the_free_columns_are_not_penalized():
    X, y, new = table(20, 3)
    X_shifted, new_shifted = X + 5, new + 5
    model = shallow(skip_connection=True)
    y = y + X @ [1.0, -2.0, 3.0]
    twin = TangentKernelRidge(model, alpha=1e12).fit(X_shifted, y)
    P = np.column_stack([X, np.ones(len(X))])
    coef = np.linalg.lstsq(P, y, rcond=None)[0]
    found = twin.predict(new_shifted)
    assert_allclose(found, np.column_stack([new, np.ones(7)]) @ coef, rtol=1e-6)
    assert twin.df_ < 1e-6
    assert twin.affine_coef_.shape == (4,)


def test_degrees_of_freedom_are_the_divergence():
    X, y, _ = table(8, 3)
    twin = TangentKernelRidge(shallow(skip_connection=False, units="paper"), alpha=50.0)
    fit = lambda y: clone(twin).fit(X, y).predict(X)
    moved = [(fit(y + e) - fit(y))[i] for i, e in enumerate(np.eye(len(y)))]
    # The intercept is one more.
    assert twin.fit(X, y).df_ == pytest.approx(np.sum(moved) - 1, rel=1e-6)


@pytest.mark.parametrize("n_targets", [None, 2])
def test_outputs_that_share_weights_are_solved_together(n_targets):
    X, y, new = table(10, 3, 2)
    model = shallow(balance=1.0, fit_intercept=False, skip_connection=False)
    twin = TangentKernelRidge(model, alpha=0.7).fit(X, y)
    trained = model.set_params(max_time=1e-9).fit(X, y)
    K = trained.tangent_kernel(X, at="init")
    assert np.abs(K[0, 1]).max() > 0
    full = np.block([[K[0, 0], K[0, 1]], [K[1, 0], K[1, 1]]])
    dual = np.linalg.solve(full + 0.7 * np.eye(20), y.T.ravel())
    assert_allclose(twin.dual_coef_, dual.reshape(2, 10).T, rtol=1e-7)
    K_new = trained.tangent_kernel(new, X, at="init")
    wanted = np.einsum("klij,lj->ik", K_new, dual.reshape(2, 10))
    assert_allclose(twin.predict(new), wanted, rtol=1e-7)


def test_networks_of_targets_are_solved_one_by_one():
    X, y, new = table(n_targets=3)
    twin = TangentKernelRidge(DiagonalNetRegressor(), at="end", alpha=2.0).fit(X, y)
    for j in range(3):
        one = clone(twin).fit(X, y[:, j])
        assert_allclose(twin.predict(new)[:, j], one.predict(new), rtol=1e-10)
        assert twin.df_[j] == pytest.approx(one.df_)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_weights_are_repetitions(alpha):
    X, y, new = table(12, 3)
    weight = np.array([0, 1, 2, 3] * 3)
    often = np.repeat(np.arange(12), weight)
    for model in (DiagonalNetRegressor(), shallow(bias_scale=3.0)):
        twin = TangentKernelRidge(model, alpha=alpha)
        wanted = clone(twin).fit(X[often], y[often]).predict(new)
        assert_allclose(twin.fit(X, y, weight).predict(new), wanted, rtol=1e-7)


# -- cross-validation ------------------------------------------------------------------


def by_a_loop(twin, X, y, cv, weight=None):
    """Mean squared errors of each penalty and fold, one fit each."""
    errors = []
    for alpha in twin.alphas:
        row = []
        for train, test in cv.split(X, y):
            each = TangentKernelRidge(twin.estimator, at=twin.at, alpha=alpha)
            each.fit(X[train], y[train], None if weight is None else weight[train])
            found, wanted = each.predict(X[test]), y[test]
            if is_classifier(twin):
                found, wanted = each.decision_function(X[test]), 2.0 * wanted - 1
            w = np.ones(len(test)) if weight is None else weight[test]
            row.append(np.average((found - wanted) ** 2, weights=w))
        errors.append(row)
    return np.array(errors)


@pytest.mark.parametrize("weight", [None, UNEVEN])
@pytest.mark.parametrize(
    ("model", "at"),
    [
        (DiagonalNetRegressor(), "init"),
        (DiagonalNetRegressor(), "end"),
        (shallow(n_hidden=10), "init"),
        (DiagonalNetClassifier(rtol=1e-2), "init"),
    ],
    ids=["diagonal", "diagonal-end", "shallow", "classifier"],
)
def test_cv_is_a_loop_over_fits(model, at, weight):
    X, y, new = table(20, 4)
    cv = KFold(4, shuffle=True, random_state=0)
    if is_classifier(model):
        y = (y > 2).astype(int)
        cv = StratifiedKFold(4, shuffle=True, random_state=0)
    alphas = [0.0, 0.1, 3.0, 100.0]
    twin = TangentKernelRidge(model, at=at, alpha="cv", alphas=alphas, cv=cv)
    twin.fit(X, y, weight)
    errors = by_a_loop(twin, X, y, cv, weight)
    assert_allclose(twin.cv_errors_, errors, rtol=1e-7)
    assert_array_equal(twin.alphas_, alphas)
    size = np.ones(20) if weight is None else weight
    size = [size[test].sum() for _, test in cv.split(X, y)]
    assert twin.alpha_ == alphas[np.argmin(errors @ size)]
    again = TangentKernelRidge(model, at=at, alpha=twin.alpha_).fit(X, y, weight)
    assert_array_equal(again.predict(new), twin.predict(new))


def test_default_penalties_are_in_units_of_the_kernel():
    X, y, new = table(30, 5)
    y = y + 3 * X[:, 0]
    twin = TangentKernelRidge(shallow(n_hidden=20), alpha="cv").fit(X, y)
    for size in (1e-170, 1e6):
        sized = TangentKernelRidge(shallow(n_hidden=20), alpha="cv").fit(X, size * y)
        assert_allclose(sized.predict(new), size * twin.predict(new), rtol=1e-6)
    assert twin.cv_errors_.shape == (len(twin.alphas_), 5)
    assert twin.alphas_[-1] / twin.alphas_[0] == pytest.approx(1e13)


def test_jobs_change_nothing():
    X, y, _ = table(20, 4)
    with parallel_config("threading"):
        one, two = (
            TangentKernelRidge(DiagonalNetRegressor(), alpha="cv", n_jobs=n).fit(X, y)
            for n in (None, 2)
        )
    assert_array_equal(one.cv_errors_, two.cv_errors_)


# -- seeds -----------------------------------------------------------------------------


def test_one_seed_is_the_draw_of_the_estimator():
    X, y, _ = table(12, 3)
    for state in (3, np.random.RandomState(3), None):
        model = shallow(random_state=state, early_stopping=True, max_time=1.0)
        twin = TangentKernelRidge(model, at="end").fit(X, y)
        start, end = twin.starts_[0], twin.networks_[0]
        assert_array_equal(
            start.tangent_kernel(X, at="init"), end.tangent_kernel(X, at="init")
        )
        if state is not None:
            K = clone(model).fit(X, y).tangent_kernel(X)
            assert_array_equal(twin.tangent_kernel(X), K)


def test_seeds_are_averaged():
    X, y, new = table(12, 3)
    model = shallow(balance=1.0, antisymmetric=False, n_hidden=10)
    twin = TangentKernelRidge(model, n_seeds=3).fit(X, y)
    kernels = [net.tangent_kernel(new, X, at="init") for net in twin.networks_]
    assert len(kernels) == 3
    assert np.ptp(kernels, axis=0).max() > 0
    assert_allclose(twin.tangent_kernel(new, X), np.mean(kernels, axis=0))
    assert_allclose(twin.predict(X), y, atol=1e-6)
    assert_array_equal(twin.predict(new), clone(twin).fit(X, y).predict(new))


@pytest.mark.parametrize("init", ["uniform", "gaussian"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_infinitely_many_seeds_have_the_mean_kernel(init, activation):
    X, y, _ = table(6, 2, 2)
    model = shallow(
        init=init, balance=0.8, antisymmetric=False, activation=activation,
        n_hidden=2000, bias_scale=6.0, units="paper",
    )  # fmt: skip
    mean = TangentKernelRidge(model, n_seeds=np.inf).fit(X, y)
    some = TangentKernelRidge(model, n_seeds=5).fit(X, y)
    K, K_some = mean.tangent_kernel(X), some.tangent_kernel(X)
    # Means over 10 000 units.
    for k in range(2):
        assert_allclose(K_some[k, k], K[k], atol=0.05 * np.abs(K).max())
    assert np.abs(K_some[0, 1]).max() < 0.05 * np.abs(K).max()
    net = mean.networks_[0]._network
    wanted = shallow_relu_kernel(
        net.scaled(X), law=init, bias_scale=6.0, balance=0.8 / np.sqrt(2),
        activation=activation,
    )  # fmt: skip
    assert_allclose(K[0], net.y_unit * net.alpha**2 * wanted)


def test_the_mean_kernel_leaves_room_for_new_points():
    X, y, _ = table(10, 3)
    twin = TangentKernelRidge(shallow(), n_seeds=np.inf).fit(X, y)
    assert np.isfinite(twin.predict(1.9 * X / 1.0)[np.argmin(np.sum(X**2, 1))])
    with pytest.raises(ValueError, match="bias_scale"):
        twin.predict(100 * X)
    K = TangentKernelRidge(DiagonalNetRegressor(), n_seeds=np.inf).fit(X, y)
    assert_array_equal(K.tangent_kernel(X), K.networks_[0].tangent_kernel(X, at="init"))


# -- classification --------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "model",
    [
        DiagonalNetClassifier(rtol=1e-2),
        ShallowReLUClassifier(n_hidden=20, random_state=0, balance=1.0),
    ],
    ids=["diagonal", "shallow"],
)
def test_classes_are_codes(model, n_classes):
    X, y, new = table(24, 4)
    labels = np.array(["no", "perhaps", "yes"])[-n_classes:]
    codes = np.argsort(np.argsort(y)) * n_classes // 24
    twin = TangentKernelRidge(model, alpha=0.1).fit(X, labels[codes])
    scores = twin.decision_function(new)
    assert_array_equal(twin.classes_, labels)
    assert is_classifier(twin)
    assert scores.shape == ((7,) if n_classes == 2 else (7, 3))
    chosen = (scores > 0).astype(int) if n_classes == 2 else scores.argmax(axis=1)
    assert_array_equal(twin.predict(new), labels[chosen])
    assert twin.score(X, labels[codes]) == np.mean(twin.predict(X) == labels[codes])
    # The optimality of ridge: what is left is alpha times the coefficients, but for
    # what the kernel does not see.
    wanted = np.where(np.eye(n_classes)[codes] > 0, 1.0, -1.0)
    wanted = wanted[:, 1] if n_classes == 2 else wanted
    off = wanted - twin.decision_function(X) - 0.1 * twin.dual_coef_
    off, K = off.reshape(24, -1), twin.tangent_kernel(X)
    size = np.abs(K).max()
    K = {2: K[None, None], 3: K[:, None] * np.eye(len(K))[..., None, None], 4: K}[
        K.ndim
    ]
    assert_allclose(np.einsum("klij,jl->ik", K, off) / size, 0, atol=1e-8)
    assert_allclose(twin.dual_coef_.sum(axis=0), 0, atol=1e-8)


def test_classes_without_weight_are_none():
    X, y, new = table(24, 4)
    codes = np.argsort(np.argsort(y)) // 8
    twin = TangentKernelRidge(DiagonalNetClassifier(rtol=1e-2), alpha=0.1)
    part = clone(twin).fit(X[codes > 0], codes[codes > 0])
    twin.fit(X, codes, sample_weight=(codes > 0).astype(float))
    assert_array_equal(twin.classes_, [1, 2])
    assert_allclose(twin.decision_function(new), part.decision_function(new))


# -- matrices --------------------------------------------------------------------------


def test_entries_of_a_matrix():
    pairs = np.array([(f"r{i}", f"c{j}") for i in range(5) for j in range(4)])
    y = np.random.default_rng(0).normal(size=20)
    model = MatrixCompletionRegressor(random_state=0, center="both")
    twin = TangentKernelRidge(model).fit(pairs[:15], y[:15])
    assert_allclose(twin.predict(pairs[:15]), y[:15], atol=1e-8)
    new = [["r0", "?"], ["!", "c1"]]
    assert_array_equal(twin.predict(new), model.fit(pairs[:15], y[:15]).predict(new))
    cv = KFold(5, shuffle=True, random_state=0)
    chosen = TangentKernelRidge(model, alpha="cv", cv=cv).fit(pairs, y)
    assert np.isfinite(chosen.cv_errors_).all()
    with pytest.raises(ValueError, match="finite number of seeds"):
        TangentKernelRidge(model, n_seeds=np.inf).fit(pairs, y)


def test_measurements_of_a_matrix():
    X, y, new = table(30, 6)
    model = MatrixSensingRegressor(shape=(3, 2), random_state=0)
    twin = TangentKernelRidge(model, alpha=1e-30).fit(X, y)
    P = np.column_stack([X, np.ones(30)])
    wanted = np.column_stack([new, np.ones(7)]) @ np.linalg.lstsq(P, y, rcond=None)[0]
    assert_allclose(twin.predict(new), wanted, rtol=1e-5)


# -- what can be wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        KernelRidge(),
        DiagonalNetRegressor,
        make_pipeline(DiagonalNetRegressor()),
        InitScaleSearchCV(DiagonalNetRegressor()),
        MatrixFactorizer(),
        None,
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_it_needs_a_network(estimator):
    X, y, _ = table()
    with pytest.raises(TypeError, match="needs an estimator with"):
        TangentKernelRidge(estimator).fit(X, y)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"at": "middle"}, "at"),
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": "gcv"}, "alpha"),
        ({"n_seeds": 0}, "n_seeds"),
        ({"n_seeds": 1.5}, "whole or inf"),
        ({"n_seeds": np.inf, "at": "end"}, "finite number of seeds"),
        ({"alpha": "cv", "alphas": [-1.0]}, "not negative"),
        ({"alpha": "cv", "alphas": [[1.0]]}, "1-D"),
        ({"alpha": "cv", "cv": 1}, "cv"),
    ],
)
def test_bad_options(options, match):
    X, y, _ = table()
    with pytest.raises(ValueError, match=match):
        TangentKernelRidge(DiagonalNetRegressor(), **options).fit(X, y)


@pytest.mark.parametrize("idle", [{"alphas": [1.0]}, {"cv": 3}, {"n_jobs": 2}])
def test_idle_options_are_said(idle):
    X, y, _ = table()
    with pytest.warns(UserWarning, match="makes no use of"):
        TangentKernelRidge(DiagonalNetRegressor(), **idle).fit(X, y)


def test_arrays_of_units_have_no_mean_kernel():
    X, y, _ = table(5, 2)
    units = (np.ones((4, 2)), np.zeros(4))
    model = shallow(init=units, n_hidden=4)
    with pytest.raises(ValueError, match="needs a law"):
        TangentKernelRidge(model, n_seeds=np.inf).fit(X, y)


def test_hostile_data():
    X, y, new = table()
    model = DiagonalNetRegressor()
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            TangentKernelRidge(model).fit(np.where(X[0, 0] == X, bad, X), y)
    constant = TangentKernelRidge(model).fit(X, np.full(20, 3.0))
    assert_array_equal(constant.predict(new), 3.0)
    assert constant.loss_ == 0
    alike = TangentKernelRidge(model).fit(np.ones((20, 3)), y)
    assert_allclose(alike.predict(np.ones((2, 3))), y.mean())
    twice = TangentKernelRidge(model).fit(np.tile(X, (2, 1)), np.r_[y, y + 1])
    assert_allclose(twice.predict(X), y + 0.5)
    single = TangentKernelRidge(model).fit(X, y).predict(new.astype(np.float32))
    assert single.dtype == np.float32


def test_a_fit_that_fails_leaves_the_last_one():
    X, y, new = table()
    twin = TangentKernelRidge(DiagonalNetRegressor(), alpha="cv").fit(X, y)
    before = twin.predict(new)
    with pytest.raises(ValueError, match="NaN"):
        twin.fit(X * np.nan, y)
    assert_array_equal(twin.predict(new), before)
    twin.set_params(alpha=1.0, at="end", n_seeds=5)
    assert_array_equal(twin.predict(new), before)
    assert not hasattr(twin.fit(X, y), "cv_errors_")


def test_pickled_it_answers_alike():
    X, y, new = table()
    model = shallow(n_hidden=10, skip_connection=False)
    twin = TangentKernelRidge(model, alpha="cv").fit(X, y)
    text = pickle.dumps(twin)
    assert b"torch" not in text
    assert_array_equal(pickle.loads(text).predict(new), twin.predict(new))


# -- callbacks -------------------------------------------------------------------------


class Counter:
    """Counts tasks of fits."""

    def __init__(self):
        self.begun, self.ended = [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.estimator_name, context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.ended.append((context.estimator_name, context.task_name))


class Traveller(Counter):
    """Counts those of the twin and of the networks that it trains, too."""

    max_propagation_depth = None


@pytest.mark.parametrize("at", ["init", "end"])
def test_callbacks_see_training_sets_and_networks(at):
    X, y, new = table(20, 4)
    counter = Traveller()
    twin = TangentKernelRidge(DiagonalNetRegressor(), at=at, alpha="cv", cv=3)
    wanted = clone(twin).fit(X, y).predict(new)
    twin.set_callbacks(counter).fit(X, y)
    assert_array_equal(twin.predict(new), wanted)
    assert sorted(counter.begun) == sorted(counter.ended)
    name = "TangentKernelRidge"
    assert counter.begun.count((name, "fold")) == 3
    assert counter.begun.count((name, "all samples")) == 1
    fits = [task for task in counter.begun if task == ("DiagonalNetRegressor", "fit")]
    assert len(fits) == (4 if at == "end" else 0)


def test_callbacks_of_the_network_see_its_training_alone():
    X, y, _ = table(20, 4)
    for at, count in (("init", 0), ("end", 2)):
        counter = Counter()
        net = shallow(early_stopping=False, max_time=1.0).set_callbacks(counter)
        TangentKernelRidge(net, at=at, n_seeds=2).fit(X, y)
        assert counter.begun.count(("ShallowReLURegressor", "fit")) == count


def test_huge_targets():
    X, y, new = table()
    twin = TangentKernelRidge(DiagonalNetRegressor(), alpha="cv")
    wanted = clone(twin).fit(X, y).predict(new)
    assert_allclose(twin.fit(X, 1e200 * y).predict(new), 1e200 * wanted, rtol=1e-6)
