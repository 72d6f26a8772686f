"""Searches and paths on a cluster find what they find in one process.

The cluster is a local one of dask with two workers. As threads of this process they
start at once; as processes, the slow test, they import torch first, and what they need
must be sent there.
"""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.model_selection import GridSearchCV

from skregimes import (
    DiagonalNetClassifierCV,
    DiagonalNetRegressor,
    DiagonalNetRegressorCV,
    InitScaleSearchCV,
    ShallowReLURegressor,
    init_scale_path,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of distributed's own imports

X, y = make_regression(30, 12, n_informative=3, noise=5.0, random_state=0)
SCALES = [1.0, 1e-3]
NET = DiagonalNetRegressor(early_stopping=False)
RELU = ShallowReLURegressor(n_hidden=10, early_stopping=False, rtol=0.1, random_state=0)
SEARCHES = {
    "grid": GridSearchCV(NET, {"init_scale": SCALES, "max_time": [1.0, 10.0]}, cv=3),
    "scales": InitScaleSearchCV(RELU, init_scales=SCALES, times=[1.0, 10.0], cv=3),
    "regressor": DiagonalNetRegressorCV(init_scales=SCALES, n_times=5, cv=3),
    "classifier": DiagonalNetClassifierCV(init_scales=SCALES, cv=3),
}


PROCESSES = [False, pytest.param(True, marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=PROCESSES, ids=["threads", "processes"])
def cluster(request):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=request.param,
            dashboard_address=None,
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_finds_the_same(cluster, name):
    target = y > 0 if name == "classifier" else y
    alone = clone(SEARCHES[name]).fit(X, target)
    with parallel_config(backend="dask"):
        spread = clone(SEARCHES[name]).fit(X, target)
    np.testing.assert_allclose(
        spread.cv_results_["mean_test_score"],
        alone.cv_results_["mean_test_score"],
        rtol=1e-9,
    )
    np.testing.assert_allclose(spread.predict(X), alone.predict(X), rtol=1e-9)


def test_a_path_finds_the_same(cluster):
    options = {"init_scales": SCALES, "times": [1.0, 10.0], "estimator": RELU}
    alone = init_scale_path(X, y, **options)
    with parallel_config(backend="dask"):
        spread = init_scale_path(X, y, **options)
    np.testing.assert_allclose(spread.predict(X), alone.predict(X), rtol=1e-9)
    np.testing.assert_allclose(spread.richness, alone.richness, rtol=1e-9)


def test_the_workers_do_the_work(cluster):
    # Outside of a worker this function raises; without a name it travels by value.
    who = lambda model, X, y: __import__("distributed").get_worker().name
    grid = GridSearchCV(NET, {"init_scale": SCALES}, cv=3, scoring=who, refit=False)
    with parallel_config(backend="dask"):
        found = grid.fit(X, y).cv_results_
    names = {name for split in range(3) for name in found[f"split{split}_test_score"]}
    assert names
    assert names <= {0, 1}
