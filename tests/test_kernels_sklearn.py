"""The tangent kernels inside scikit-learn."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.gaussian_process import (
    GaussianProcessClassifier,
    GaussianProcessRegressor,
)
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from skregimes.kernels import (
    BiasedReLUTangentKernel,
    ReLUTangentKernel,
    ResNetTangentKernel,
    ShallowReLUTangentKernel,
)

KERNELS = [
    ReLUTangentKernel(3, 1.5, 0.3, activation="leaky_relu"),
    ReLUTangentKernel(2, bias_variance=0.0, bias_variance_bounds="fixed"),
    ShallowReLUTangentKernel(0.8, 0.5),
    ShallowReLUTangentKernel(5.0, law="uniform", bias_scale_bounds=(5.0, 1e3)),
    BiasedReLUTangentKernel(0.6, train_output=True),
    ResNetTangentKernel(3, 0.4),
]
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=repr)

# Where the likelihood climbs up to a bound, scikit-learn warns.
at_a_bound = pytest.mark.filterwarnings(
    "ignore:The optimal value found:sklearn.exceptions.ConvergenceWarning"
)


def table(n_samples=40, n_features=3):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (n_samples, n_features))
    y = 2 * np.abs(X[:, 0] - 0.3) + 0.5 * X[:, 1] + 0.1 * rng.standard_normal(len(X))
    return X, y - 1


@each_kernel
def test_it_is_a_kernel(kernel):
    X, _ = table()
    assert isinstance(kernel, Kernel)
    assert kernel.is_stationary() is False
    assert kernel.requires_vector_input is True
    assert clone(kernel) == kernel
    assert clone(kernel) is not kernel
    assert pickle.loads(pickle.dumps(kernel)) == kernel
    names = [each.name for each in kernel.hyperparameters if not each.fixed]
    assert_allclose(kernel.theta, [np.log(getattr(kernel, name)) for name in names])
    assert kernel.bounds.shape == (len(names), 2)
    moved = kernel.clone_with_theta(kernel.theta + 0.1)
    assert_allclose(moved.theta, kernel.theta + 0.1)
    assert not np.allclose(moved(X), kernel(X))


def test_repr_says_what_differs_from_the_defaults():
    assert repr(KERNELS[0]) == (
        "ReLUTangentKernel(depth=3, weight_variance=1.5, bias_variance=0.3,"
        " activation='leaky_relu')"
    )
    assert repr(KERNELS[4]) == "BiasedReLUTangentKernel(bias=0.6, train_output=True)"
    assert repr(ResNetTangentKernel(3, 1 / 3)) == (
        "ResNetTangentKernel(n_blocks=3, residual_scale=0.333)"
    )


@each_kernel
@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_symmetric_positive_and_whole(kernel, n_features):
    """More points than a tile holds, copies and the origin among them."""
    X = np.random.default_rng(1).uniform(-1, 1, (260, n_features))
    X[250:255], X[255] = X[:5], 0
    K = kernel(X)
    assert np.array_equal(K, K.T)
    assert np.array_equal(kernel(X, X), K)
    assert_allclose(kernel.diag(X), np.diag(K), rtol=1e-14)
    assert np.linalg.eigvalsh(K).min() > -1e-13 * len(X) * K.max()
    # Not the same object: nothing is mirrored.
    assert_allclose(kernel(X, X.copy()), K, rtol=0, atol=1e-14 * K.max())
    assert_allclose(kernel(X[200:], X[:130]), K[200:, :130], atol=1e-14 * K.max())


@each_kernel
def test_lists_and_single_precision(kernel):
    X, _ = table(5)
    assert_allclose(kernel(X.tolist()), kernel(X), rtol=0)
    single = kernel(X.astype(np.float32))
    assert single.dtype == np.float64
    assert_allclose(single, kernel(X), rtol=1e-5)


@each_kernel
def test_kernel_ridge(kernel):
    X, y = table()
    ridge = KernelRidge(alpha=1e-3, kernel=kernel).fit(X, y)
    expected = kernel(X[:4] + 0.1, X)
    expected = expected @ np.linalg.solve(kernel(X) + 1e-3 * np.eye(len(X)), y)
    assert_allclose(ridge.predict(X[:4] + 0.1), expected, rtol=1e-8)


def test_kernel_ridge_chooses_the_depth():
    X, y = table()
    grid = {
        "kernel__depth": [1, 2, 5],
        "kernel__bias_variance": [0.0, 0.1],
        "alpha": [1e-3, 1e-1],
    }
    search = GridSearchCV(KernelRidge(kernel=ReLUTangentKernel()), grid).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores.round(12))) == 12
    # The target has a kink: a linear kernel, of depth 1, cannot be best.
    assert search.best_params_["kernel__depth"] > 1
    linear = scores[np.array(search.cv_results_["param_kernel__depth"]) == 1]
    assert search.best_score_ > linear.max() + 0.1


@each_kernel
def test_support_vectors(kernel):
    X = table(60)[0]
    inside = np.linalg.norm(X, axis=1) < 1
    by_kernel = SVC(kernel=kernel, C=10.0).fit(X, inside)
    by_matrix = SVC(kernel="precomputed", C=10.0).fit(kernel(X), inside)
    assert_allclose(
        by_kernel.decision_function(X + 0.1),
        by_matrix.decision_function(kernel(X + 0.1, X)),
        rtol=1e-6,
    )


@at_a_bound
@each_kernel
def test_gaussian_process_climbs_its_likelihood(kernel):
    X, y = table()
    process = GaussianProcessRegressor(kernel, alpha=1e-2)
    fixed = clone(process).set_params(optimizer=None).fit(X, y)
    before = fixed.log_marginal_likelihood()
    process.fit(X, y)
    assert process.log_marginal_likelihood_value_ > before + 0.1
    assert np.abs(process.kernel_.theta - kernel.theta).max() > 0.05
    mean, std = process.predict(X, return_std=True)
    assert np.all(std > 0)
    assert np.mean((mean - y) ** 2) < 0.05 * y.var()
    # The slope of the likelihood, from our gradients.
    value, slope = fixed.log_marginal_likelihood(kernel.theta, eval_gradient=True)
    step = 1e-5 * slope / np.linalg.norm(slope)
    ahead, behind = (
        fixed.log_marginal_likelihood(kernel.theta + s * step) for s in (1, -1)
    )
    assert_allclose((ahead - behind) / 2e-5, np.linalg.norm(slope), rtol=1e-5)
    assert_allclose(value, before, rtol=1e-12)


@at_a_bound
def test_sums_products_and_powers():
    X, y = table()
    tangent, bell = ReLUTangentKernel(), RBF()
    K, B = tangent(X), bell(X)
    assert_allclose((tangent + bell)(X), K + B)
    assert_allclose((2.0 * tangent * bell)(X), 2 * K * B)
    assert_allclose((tangent**2)(X), K**2)
    assert_allclose((tangent + 3.0).diag(X), np.diag(K) + 3)
    kernel = ConstantKernel(1.0) * tangent + WhiteKernel(1e-2)
    process = GaussianProcessRegressor(kernel, normalize_y=True).fit(X, y)
    start = process.log_marginal_likelihood(kernel.theta)
    assert process.log_marginal_likelihood_value_ > start
    assert process.score(X, y) > 0.95


@at_a_bound
def test_gaussian_process_classifier():
    X, y = table()
    process = GaussianProcessClassifier(ReLUTangentKernel()).fit(X, y > 0)
    assert process.score(X, y > 0) > 0.85


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (ReLUTangentKernel(0), "depth must be an integer >= 1; got 0"),
        (ReLUTangentKernel(2.0), "depth must be an integer"),
        (ReLUTangentKernel(True), "depth must be an integer"),
        (ReLUTangentKernel(2, 0.0), "weight_variance must be a number, > 0; got 0.0"),
        (ReLUTangentKernel(2, "2"), "weight_variance must be a number"),
        (ReLUTangentKernel(2, 2.0, -0.1), "bias_variance must be a number, >= 0"),
        (ReLUTangentKernel(2, 2.0, np.nan), "bias_variance must be"),
        (ReLUTangentKernel(activation="tanh"), "activation must be one of"),
        (ReLUTangentKernel(bias_init="one"), "bias_init must be one of"),
        (ResNetTangentKernel(0), "n_blocks must be an integer >= 1"),
        (ResNetTangentKernel(2, -1.0), "residual_scale must be a number, >= 0"),
        (ResNetTangentKernel(2, np.inf), "residual_scale must be a number"),
        (BiasedReLUTangentKernel(np.inf), "bias must be a number, finite"),
        (BiasedReLUTangentKernel([1.0]), "bias must be a number"),
        (ShallowReLUTangentKernel(0.0), "bias_scale must be positive"),
        (ShallowReLUTangentKernel(balance=np.nan), "balance must be a number"),
        (ShallowReLUTangentKernel(law="cauchy"), "law must be one of"),
        (ShallowReLUTangentKernel(activation="tanh"), "activation must be one of"),
        (ShallowReLUTangentKernel(0.1, law="uniform"), "at least the largest norm"),
        (ShallowReLUTangentKernel(9.0, law="uniform_pair"), "needs one feature"),
    ],
    ids=str,
)
def test_bad_parameters(kernel, message):
    X, _ = table(5)
    with pytest.raises(ValueError, match=message):
        kernel(X)
    with pytest.raises(ValueError, match=message):
        kernel.diag(X)


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        ([1.0, 2.0], None, "X must be 2-D.*reshape"),
        ([[1.0]], [1.0], "Y must be 2-D"),
        (np.ones((2, 0)), None, "X has no features"),
        ([[1.0]], [[1.0, 2.0]], "X has 1 features but Y has 2"),
        ([[np.nan]], None, "X contains NaN"),
        ([[1.0]], [[np.inf]], "Y contains NaN or infinity"),
    ],
)
def test_bad_points(X, Y, message):
    with pytest.raises(ValueError, match=message):
        ReLUTangentKernel()(X, Y)


@each_kernel
def test_gradient_only_for_one_set(kernel):
    X, _ = table(5)
    with pytest.raises(ValueError, match="only be evaluated when Y is None"):
        kernel(X, X, eval_gradient=True)


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (ReLUTangentKernel(bias_variance=0.0), "bias_variance"),
        (ResNetTangentKernel(residual_scale=0.0), "residual_scale"),
        (BiasedReLUTangentKernel(-1.0), "bias"),
        (ShallowReLUTangentKernel(balance=0.0), "balance"),
        (ShallowReLUTangentKernel(-1.0, law="constant_bias"), "bias_scale"),
    ],
)
def test_no_logarithm_of_zero(kernel, name):
    """The value is fine as long as nobody asks to optimize it."""
    X, y = table(10)
    KernelRidge(kernel=kernel).fit(X, y)
    with pytest.raises(ValueError, match=f"{name}_bounds='fixed'"):
        GaussianProcessRegressor(kernel, alpha=0.1).fit(X, y)
    fixed = clone(kernel).set_params(**{f"{name}_bounds": "fixed"})
    GaussianProcessRegressor(fixed, alpha=0.1).fit(X, y)
