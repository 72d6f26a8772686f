"""scikit-learn's own checks: all of them run, and none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from skregimes import DiagonalNetRegressor, DiagonalNetRegressorCV

# Left out: early_stopping=True, whose held-out part is drawn from the rows, so that
# repeated rows are not weights; and criterion="gcv", since the check of weights sets cv.
ESTIMATORS = [
    DiagonalNetRegressor(),
    DiagonalNetRegressor(0.01, depth=3, rtol=1e-3),
    DiagonalNetRegressor(depth=1, early_stopping=False, max_time=10.0),
    DiagonalNetRegressor(0.1, units="paper", early_stopping=False, max_time=10.0),
    DiagonalNetRegressor(1e-30, depth=4, standardize=False),
    DiagonalNetRegressorCV(init_scales=[0.3], times=[1.0, 10.0], cv=2),
]


def checks():
    for estimator in ESTIMATORS:
        for instance, check in estimator_checks_generator(estimator, mark=None):
            yield instance, check


def name(value):
    return getattr(getattr(value, "func", None), "__name__", None) or repr(value)


@pytest.mark.parametrize(("estimator", "check"), [*checks()], ids=name)
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_checks_are_not_few():
    names = {name(check) for _, check in checks()}
    assert len(names) > 40
    assert {
        "check_sample_weight_equivalence_on_dense_data",
        "check_fit_idempotent",
    } <= {*names}
