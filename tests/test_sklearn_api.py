"""scikit-learn's own checks: all of them run, and none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from skregimes import (
    DiagonalNetClassifier,
    DiagonalNetRegressor,
    DiagonalNetRegressorCV,
    InitScaleSearchCV,
    MatrixCompletionRegressor,
    MatrixFactorizationImputer,
    MatrixFactorizer,
    MatrixSensingRegressor,
    ShallowReLUClassifier,
    ShallowReLURegressor,
    TangentKernelRidge,
)

# Left out: early_stopping=True, whose held-out part is drawn from the rows, so that
# weights are not repetitions. Flows of parameters are short here.
ESTIMATORS = [
    DiagonalNetRegressor(),
    DiagonalNetRegressor(0.1, units="paper", early_stopping=False, max_time=10.0),
    DiagonalNetRegressorCV(init_scales=[0.3], times=[1.0, 10.0], cv=2),
    InitScaleSearchCV(
        DiagonalNetRegressor(), init_scales=[10, 0.3], times=[1.0, 10.0], cv=2
    ),
    DiagonalNetClassifier(rtol=1e-2),
    ShallowReLURegressor(n_hidden=20, skip_connection=False, max_time=10.0),
    ShallowReLURegressor(
        n_hidden=20, balance=1.0, activation="leaky_relu", early_stopping=False,
        max_time=3.0,
    ),
    MatrixFactorizer(),
    MatrixFactorizationImputer(),
    MatrixCompletionRegressor(),
    MatrixSensingRegressor(),
    TangentKernelRidge(DiagonalNetRegressor()),
    TangentKernelRidge(DiagonalNetClassifier(rtol=1e-2), alpha=0.1),
]  # fmt: skip
# The same estimators otherwise.
VARIANTS = [
    DiagonalNetRegressor(0.01, depth=3, rtol=1e-3),
    DiagonalNetRegressor(depth=1, early_stopping=False, max_time=10.0),
    DiagonalNetRegressor(1e-30, depth=4, standardize=False),
    DiagonalNetRegressorCV(criterion="gcv", init_scales=[0.3, 0.01]),
    InitScaleSearchCV(
        DiagonalNetRegressor(depth=3, units="paper"),
        init_scales=[0.1],
        times=[0.1, 10.0],
        cv=2,
        scoring=["r2", "neg_mean_squared_error"],
        refit="r2",
    ),
    DiagonalNetClassifier(
        depth=3, loss="exponential", early_stopping=False, log_loss_tol=-30.0,
        rtol=1e-2, class_weight="balanced",
    ),
    DiagonalNetClassifier(
        units="paper", depth=1, early_stopping=False, max_time=100.0, rtol=1e-2
    ),
    ShallowReLURegressor(
        30.0, n_hidden=40, init="gaussian", activation="abs", early_stopping="gcv",
        max_time=10.0,
    ),
    ShallowReLURegressor(
        0.5, n_hidden=20, init="uniform", skip_connection=False, solver="chebyshev",
        early_stopping=False, max_time=3.0, rtol=1e-2,
    ),
    ShallowReLURegressor(
        n_hidden=20, init="uniform_pair", solver="gd", early_stopping=False,
        max_time=3.0,
    ),
    ShallowReLURegressor(
        n_hidden=20, units="paper", fit_intercept=False, solver="krylov",
        early_stopping=False, max_time=0.1,
    ),
    InitScaleSearchCV(
        ShallowReLURegressor(n_hidden=10, rtol=1e-2, random_state=0),
        init_scales=[10.0, 0.3], times=[1.0, 3.0], cv=2,
    ),
    MatrixFactorizer(
        depth=3, init="gaussian", early_stopping=False, max_time=50.0, random_state=0
    ),
    MatrixFactorizer(
        2, init="orthogonal", center="both", depth=4, init_scale=1e-3, max_time=10.0
    ),
    MatrixFactorizer(
        weight_decay=0.1, center="columns", early_stopping=False, max_time=30.0
    ),
    MatrixFactorizer(
        solver="gd", init="identity", center="columns", early_stopping=False,
        init_scale=0.01, max_time=3.0, fold_in_alpha=0.01,
    ),
    MatrixFactorizationImputer(
        depth=3, init="lifted", init_scale=1e-3, max_time=30.0, add_indicator=True
    ),
    MatrixFactorizationImputer(
        dtype="float32", standardize=False, center=None, early_stopping=False,
        max_time=30.0,
    ),
    MatrixCompletionRegressor(
        depth=3, center="both", init="orthogonal", early_stopping=False, max_time=20.0
    ),
    MatrixCompletionRegressor(
        init="identity", init_scale=1.0, centered=True, max_time=5.0, center="columns"
    ),
    MatrixSensingRegressor(
        depth=3, init="gaussian", early_stopping=False, max_time=500.0
    ),
    MatrixSensingRegressor(
        init="lifted", init_scale=0.1, fit_intercept=False, max_time=10.0
    ),
    InitScaleSearchCV(
        MatrixSensingRegressor(), init_scales=[1e-1, 1e-3], times=[3.0, 10.0], cv=2
    ),
    TangentKernelRidge(DiagonalNetRegressor(), alpha="cv", cv=3),
    TangentKernelRidge(
        ShallowReLURegressor(n_hidden=20, random_state=0), alpha=0.1, n_seeds=2
    ),
    TangentKernelRidge(
        ShallowReLUClassifier(
            n_hidden=10, random_state=0, early_stopping=False, max_time=1.0
        ),
        at="end",
        alpha=1.0,
    ),
]  # fmt: skip
pytestmark = [
    # A check of all that have a parameter cv sets it; this criterion has no use for it.
    pytest.mark.filterwarnings("ignore:criterion='gcv' makes no use of cv"),
    pytest.mark.filterwarnings("ignore:alpha=.* makes no use of cv"),
    # Of bad values a search warns in the folds before it raises in the last fit.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore:Scoring failed"),
    # Some tables of the checks have hardly more samples than features.
    pytest.mark.filterwarnings("ignore:The affine part fits all samples"),
    pytest.mark.filterwarnings("ignore:.*test scores are non-finite"),
    # Classes of the checks overlap.
    pytest.mark.filterwarnings("ignore:The flow came to rest"),
]


def checks():
    for estimator in ESTIMATORS:
        yield from estimator_checks_generator(estimator, mark=None)
    for estimator in VARIANTS:
        for case in estimator_checks_generator(estimator, mark=None):
            yield pytest.param(*case, marks=pytest.mark.slow)


def name(value):
    return getattr(getattr(value, "func", None), "__name__", None) or repr(value)


@pytest.mark.parametrize(("estimator", "check"), [*checks()], ids=name)
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_checks_are_not_few():
    generated = estimator_checks_generator(ESTIMATORS[0], mark=None)
    names = {name(check) for _, check in generated}
    assert len(names) > 40
    assert {
        "check_sample_weight_equivalence_on_dense_data",
        "check_fit_idempotent",
    } <= names
