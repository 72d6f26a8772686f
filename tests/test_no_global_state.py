"""Fits leave the world as it was, and take arrays as they come."""

import random
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from skregimes import (
    DiagonalNetRegressor,
    DiagonalNetRegressorCV,
    ShallowReLURegressor,
)

MODELS = {
    "gcv": DiagonalNetRegressor(),
    "limit": DiagonalNetRegressor(early_stopping=False),
    "held out": DiagonalNetRegressor(early_stopping=True, random_state=0),
    "gd": DiagonalNetRegressor(
        solver="gd", early_stopping=False, max_iter=50, max_time=1.0, batch_size=5,
        learning_rate=0.01, random_state=0,
    ),
    "cv": DiagonalNetRegressorCV(init_scales=[1.0, 0.1], n_times=3, cv=2),
    "shallow, gcv": ShallowReLURegressor(
        n_hidden=20, skip_connection=False, max_time=3.0, random_state=0
    ),
    "shallow, chebyshev": ShallowReLURegressor(
        n_hidden=20, skip_connection=False, solver="chebyshev", early_stopping=True,
        max_time=3.0, random_state=0,
    ),
    "shallow, gd": ShallowReLURegressor(
        n_hidden=20, solver="gd", early_stopping=False, max_time=1.0, batch_size=5,
        learning_rate=0.1, skip_connection=False, random_state=0,
    ),
}  # fmt: skip
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 30))
    return X, X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(20)


def world():
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        np.get_printoptions(),
    )


@pytest.mark.filterwarnings("ignore:.*max_iter.*")
@each_model
def test_a_fit_changes_nothing_outside(model):
    X, y = table()
    weight = np.linspace(0, 2, 20)
    kept = [array.copy() for array in (X, y, weight)]
    before = world()
    clone(model).fit(X, y, weight).predict(X)
    assert world() == before
    for array, copy in zip((X, y, weight), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_torch_is_not_imported_unless_it_is_needed():
    run(
        """
        import sys
        import skregimes
        assert "torch" not in sys.modules
        import numpy as np
        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((20, 30)), rng.standard_normal(20)
        model = skregimes.DiagonalNetRegressor().fit(X, y)
        model.predict(X), model.tangent_kernel(X), model.excess_l1_, model.regime_
        skregimes.DiagonalNetRegressorCV(criterion="gcv", init_scales=[1]).fit(X, y)
        skregimes.init_scale_path(X, y, init_scales=[1.0])
        assert "torch" not in sys.modules
        assert "matplotlib" not in sys.modules
        """
    )


def layouts(X, y, folder):
    yield "lists", X.tolist(), y.tolist()
    yield "Fortran", np.asfortranarray(X), y
    yield "negative strides", X[::-1, ::-1][::-1, ::-1], y[::-1][::-1]
    wide, long = np.zeros((40, 60)), np.zeros(40)
    wide[::2, ::2], long[::2] = X, y
    yield "strides", wide[::2, ::2], long[::2]
    yield "big endian", X.astype(">f8"), y.astype(">f8")
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    load = lambda name: np.load(folder / name, mmap_mode="r")
    yield "read-only memory map", load("X.npy"), load("y.npy")
    yield "pandas", pd.DataFrame(X), pd.Series(y, index=np.arange(20)[::-1])
    yield "torch", torch.as_tensor(X), torch.as_tensor(y, dtype=torch.float64)
    yield "a tensor with a gradient", torch.tensor(X, requires_grad=True), y


@pytest.mark.filterwarnings("ignore:.*max_iter.*")
@each_model
def test_the_layout_of_the_arrays_does_not_matter(model, tmp_path):
    X, y = table()
    expected = clone(model).fit(X, y)
    for name, data, target in layouts(X, y, tmp_path):
        fit = clone(model).fit(data, target)
        if hasattr(expected, "coef_"):
            np.testing.assert_allclose(
                fit.coef_, expected.coef_, rtol=1e-9, atol=1e-11, err_msg=name
            )
        np.testing.assert_allclose(
            fit.predict(data), expected.predict(X), rtol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float16, bool])
def test_other_numbers_are_float64(dtype):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 2, (20, 30)).astype(dtype), rng.integers(0, 9, 20)
    model = DiagonalNetRegressor().fit(X, y)
    same = DiagonalNetRegressor().fit(X.astype(float), y.astype(float))
    assert model.coef_.dtype == np.float64
    np.testing.assert_array_equal(model.coef_, same.coef_)
