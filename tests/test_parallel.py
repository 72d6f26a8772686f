"""Searches spread over joblib's backends find what they find in one process."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.datasets import make_regression
from sklearn.model_selection import GridSearchCV

from skregimes import DiagonalNetRegressor, DiagonalNetRegressorCV

X, y = make_regression(30, 12, n_informative=3, noise=5.0, random_state=0)
GRID = {"init_scale": [1.0, 1e-3], "max_time": [1.0, 10.0]}


def searches():
    yield GridSearchCV(DiagonalNetRegressor(early_stopping=False), GRID, cv=3)
    yield DiagonalNetRegressorCV(init_scales=[1.0, 1e-3], n_times=5, cv=3)


@pytest.mark.parametrize("which", [0, 1], ids=["grid search", "own search"])
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_backend_changes_nothing(which, backend):
    alone, spread = list(searches())[which], list(searches())[which]
    with parallel_config(backend=backend):
        spread.set_params(n_jobs=2).fit(X, y)
    scores = [s.cv_results_["mean_test_score"] for s in (alone.fit(X, y), spread)]
    np.testing.assert_allclose(*scores, rtol=1e-9)
