"""Peers that fill tables, behind one small interface.

A peer tries its settings on held-out entries and fits one of them to all training
entries, `tuned`. What it fits is a function from rows and columns to values.
"""

import contextlib
import itertools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from unittest import mock

import numpy as np
import pandas as pd
import threadpoolctl
from scipy import sparse
from scipy.sparse.linalg import svds
from sklearn.decomposition import NMF, TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import BayesianRidge, Ridge

CHUNK = 2**21  # numbers gathered at a time


@dataclass(frozen=True)
class Observed:
    """Entries of a table: each position at most once."""

    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    shape: tuple

    def __len__(self):
        return len(self.values)

    def take(self, index):
        """Return some of the entries."""
        return Observed(
            self.rows[index], self.cols[index], self.values[index], self.shape
        )

    def split(self, fraction, rng):
        """Hold out a share of the entries, drawn as our estimators draw them."""
        held = np.zeros(len(self), bool)
        order = rng.permutation(len(self))
        held[order[: round(fraction * len(self))]] = True
        return self.take(~held), self.take(held)

    def sparse(self):
        """Return a sparse matrix; a value of zero stays stored."""
        return sparse.csr_array((self.values, (self.rows, self.cols)), self.shape)

    def dense(self, fill=np.nan):
        """Return the table with holes."""
        table = np.full(self.shape, float(fill))
        table[self.rows, self.cols] = self.values
        return table


def grid(**options):
    """Return the settings of a grid, as dictionaries."""
    return [
        dict(zip(options, values)) for values in itertools.product(*options.values())
    ]


def product_entries(left, right, rows, cols):
    """Return ``(left @ right.T)[rows, cols]`` without a large gather."""
    values = np.empty(len(rows), left.dtype)
    step = CHUNK // max(1, left.shape[1]) + 1
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        np.einsum("ij,ij->i", left[rows[part]], right[cols[part]], out=values[part])
    return values


def rmse(predict, entries):
    """Return the root mean squared error of a prediction of entries."""
    gap = predict(entries.rows, entries.cols) - entries.values
    return float(np.sqrt(np.mean(gap**2)))


@dataclass(frozen=True)
class Trial:
    """One split; test errors are in units of `unit`."""

    train: Observed
    test: Observed
    seed: int
    unit: float = 1.0

    def parts(self):
        """Return pairs of training entries: to fit while choosing, and to choose by.

        A tenth is held out, and where that is few another tenth, up to five times, the
        same ones that our estimators hold out.
        """
        rng = np.random.RandomState(self.seed)
        times = min(5, math.ceil(1000 / (0.1 * len(self.train))))
        return [self.train.split(0.1, rng) for _ in range(times)]


@dataclass(frozen=True)
class Tuned:
    """A method fitted to all training entries with the setting it chose."""

    predict: Callable
    setting: dict
    held_error: float
    seconds: float  # of the search and the fit
    fit_seconds: float


@dataclass(frozen=True)
class Peer:
    """A method and the settings it is tried with, each fitted by itself."""

    settings: list = field(default_factory=lambda: [{}])

    def sweep(self, train, held):
        """Yield each setting with its values at the held-out entries."""
        for setting in self.settings:
            yield setting, self.fit(train, **setting)(held.rows, held.cols)

    def choose(self, parts):
        """Return the setting of least error on what parts hold out, and the error."""
        tried: dict = {}
        for train, held in parts:
            for setting, values in self.sweep(train, held):
                error = np.mean((values - held.values) ** 2)
                tried.setdefault(repr(setting), []).append((error, setting))
        # A path that ended early says nothing of the settings that it did not reach.
        errors = [
            (float(np.sqrt(np.mean([error for error, _ in runs]))), runs[0][1])
            for runs in tried.values()
            if len(runs) == len(parts)
        ]
        error, setting = min(errors, key=lambda pair: pair[0])
        return setting, error

    def tuned(self, trial):
        """Choose on the held-out entries, and fit to all training entries."""
        begin = time.process_time()
        setting, error = self.choose(trial.parts())
        middle = time.process_time()
        predict = self.fit(trial.train, **setting)
        end = time.process_time()
        return Tuned(predict, setting, error, end - begin, end - middle)


# -- biases ----------------------------------------------------------------------------


class Biases(Peer):
    """Mean and damped biases of rows and columns, by alternating sweeps."""

    sweeps = 20

    def fit(self, train, row_damping, col_damping):
        mean = train.values.mean()
        residual = train.values - mean
        row, col = np.zeros(train.shape[0]), np.zeros(train.shape[1])
        for _ in range(self.sweeps):
            col = _shrunken_mean(
                train.cols, residual - row[train.rows], col, col_damping
            )
            row = _shrunken_mean(
                train.rows, residual - col[train.cols], row, row_damping
            )
        return lambda rows, cols: mean + row[rows] + col[cols]


def _shrunken_mean(index, values, like, damping):
    count = np.bincount(index, minlength=len(like))
    total = np.bincount(index, values, len(like))
    return total / np.maximum(count + damping, 1e-12)


@dataclass(frozen=True)
class OnResiduals(Peer):
    """A peer that works on what biases, chosen by the same entries, leave over."""

    biases: Biases = field(kw_only=True)
    peer: Peer = field(kw_only=True)

    def choose(self, parts):
        first, _ = self.biases.choose(parts)
        rests = []
        for train, held in parts:
            base = self.biases.fit(train, **first)
            rests.append((_residuals(train, base), _residuals(held, base)))
        setting, error = self.peer.choose(rests)
        return {"first": first, **setting}, error

    def fit(self, train, first, **setting):
        base = self.biases.fit(train, **first)
        predict = self.peer.fit(_residuals(train, base), **setting)
        return lambda rows, cols: base(rows, cols) + predict(rows, cols)


def _residuals(entries, base):
    return replace(entries, values=entries.values - base(entries.rows, entries.cols))


# -- low rank --------------------------------------------------------------------------


class FilledSVD(Peer):
    """`TruncatedSVD` of the table with zeros in the holes."""

    def fit(self, train, n_components):
        model = TruncatedSVD(min(n_components, min(train.shape) - 1), random_state=0)
        left = model.fit_transform(train.sparse())
        right = model.components_.T
        return lambda rows, cols: product_entries(left, right, rows, cols)


class FilledNMF(Peer):
    """`NMF` of the table with means in the holes, moved up to be positive."""

    def fit(self, train, n_components):
        table = train.dense(fill=train.values.mean())
        lowest = table.min()
        model = NMF(min(n_components, *train.shape), max_iter=1000, random_state=0)
        left = model.fit_transform(table - lowest)
        right = model.components_.T
        return lambda rows, cols: lowest + product_entries(left, right, rows, cols)


@dataclass(frozen=True)
class SoftImpute(Peer):
    """Nuclear-norm penalty by proximal steps on a sparse plus a low-rank matrix.

    The filled table is never formed: singular vectors come from products with it, and
    start where the last step left them. With momentum, restarted when the objective
    rises. Penalties fall and each fit starts from the one before.

    Mazumder, Hastie and Tibshirani, "Spectral regularization algorithms for learning
    large incomplete matrices", JMLR 11, 2010; momentum and inexact singular vectors
    after Yao and Kwok, "Accelerated inexact soft-impute", IJCAI 2015.
    """

    shares: tuple = tuple(np.geomspace(0.6, 0.05, 16))  # of the largest penalty
    max_rank: int = 300
    spare: int = 5
    tol: float = 1e-4
    max_iter: int = 500
    patience: int = 2

    def sweep(self, train, held):
        worse, best = 0, np.inf
        for share, factors in self._path(train):
            values = product_entries(*factors, held.rows, held.cols)
            yield {"share": share}, values
            error = np.mean((held.values - values) ** 2)
            worse = 0 if error < best else worse + 1
            best = min(best, error)
            if worse == self.patience:
                return

    def fit(self, train, share):
        for now, factors in self._path(train):
            if now <= share:
                return lambda rows, cols: product_entries(*factors, rows, cols)

    def _path(self, train):
        """Yield shares of the largest penalty with ``left`` and ``right``."""
        matrix = train.sparse()
        entries = Observed(*matrix.tocoo().coords, matrix.data.copy(), train.shape)
        start = np.random.default_rng(0).standard_normal(min(train.shape))
        largest = svds(matrix, 1, v0=start, return_singular_vectors=False)[0]
        factors = tuple(np.zeros((size, 0)) for size in train.shape)
        for share in self.shares:
            factors = self._solve(matrix, entries, factors, share * largest)
            yield share, factors

    def _solve(self, matrix, entries, new, penalty):
        """Minimise half the squared error plus ``penalty`` times the nuclear norm."""
        rng, target = np.random.default_rng(0), entries.values
        new_values = product_entries(*new, entries.rows, entries.cols)
        old, old_values, objective, steps = new, new_values, np.inf, 0
        basis = new[1]
        for _ in range(self.max_iter):
            weight = steps / (steps + 3)
            matrix.data = target - (1 + weight) * new_values + weight * old_values
            left = np.hstack([(1 + weight) * new[0], -weight * old[0]])
            right = np.hstack([new[1], old[1]])
            U, s, V = _leading(matrix, left, right, self._widened(basis, new, rng))
            kept = s > penalty
            s = s[kept] - penalty
            # Directions below the threshold are kept to start from, or they never rise.
            basis = V
            old, old_values, new = new, new_values, (U[:, kept] * s, V[:, kept])
            new_values = product_entries(*new, entries.rows, entries.cols)
            before = objective
            objective = 0.5 * np.sum((target - new_values) ** 2) + penalty * s.sum()
            if abs(before - objective) <= self.tol * objective:
                break
            steps = steps + 1 if objective < before else 0
        return new

    def _widened(self, basis, factors, rng):
        """Return the start of a power step: `spare` directions above the rank."""
        size, rank = factors[1].shape
        width = min(rank + self.spare, self.max_rank, size)
        missing = max(0, width - basis.shape[1])
        return np.hstack([basis[:, :width], rng.standard_normal((size, missing))])


def _leading(matrix, left, right, basis):
    """Return singular vectors of ``matrix + left @ right.T`` by one power step."""
    Q = np.linalg.qr(matrix @ basis + left @ (right.T @ basis))[0]
    V, s, rotation = _thin_svd(matrix.T @ Q + right @ (left.T @ Q))
    return Q @ rotation, s, V


def _thin_svd(tall):
    """Return the singular values of a tall matrix and both sides."""
    Q, R = np.linalg.qr(tall)
    U, s, Vt = np.linalg.svd(R)
    return Q @ U, s, Vt.T


# -- alternating least squares ---------------------------------------------------------


@dataclass(frozen=True)
class Cmfrec(Peer):
    """`cmfrec.CMF`: alternating ridge steps with biases of its own, in float32.

    Biases have a penalty of their own, `bias_penalty`; None is a model without them.
    """

    options: dict = field(default_factory=dict)

    def fit(self, train, k, penalty, bias_penalty):
        from cmfrec import CMF

        biased = bias_penalty is not None
        model = CMF(
            k=k,
            lambda_=[bias_penalty or penalty] * 2 + [penalty] * 4,
            user_bias=biased,
            item_bias=biased,
            nthreads=1,
            verbose=False,
            **self.options,
        )
        # As a frame: of a sparse matrix it would keep random factors for rows and
        # columns without entries.
        frame = {"UserId": train.rows, "ItemId": train.cols, "Rating": train.values}
        with _threads_left_alone():
            model.fit(pd.DataFrame(frame))
        return model.predict


def _threads_left_alone():
    """Spare cmfrec, told to use one thread, to look for BLAS libraries at every step.

    That costs 10 ms a step where many are loaded, more than the step on a small table.
    """
    return mock.patch.multiple(
        threadpoolctl,
        threadpool_info=list,
        threadpool_limits=lambda *_, **__: contextlib.nullcontext(),
    )


# -- tables with holes -----------------------------------------------------------------


class Imputer(Peer):
    """A scikit-learn imputer on the table with holes."""

    def fit(self, train, imputer):
        table = train.dense()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            filled = imputer.set_params(keep_empty_features=True).fit_transform(table)
        return lambda rows, cols: filled[rows, cols]


# -- ours ------------------------------------------------------------------------------


class Flow(Peer):
    """`MatrixCompletionRegressor`: holds out the same entries itself, for the time."""

    def tuned(self, trial):
        from skregimes import MatrixCompletionRegressor

        train, fits = trial.train, []
        X = np.column_stack([train.rows, train.cols])
        begin = time.process_time()
        for setting in self.settings:
            start = time.process_time()
            model = MatrixCompletionRegressor(
                **setting, early_stopping=True, random_state=trial.seed
            )
            model.fit(X, train.values)
            seconds = time.process_time() - start
            fits.append((model.validation_score_, seconds, setting, model))
        score, seconds, setting, model = min(fits, key=lambda fit: fit[0])
        return Tuned(
            lambda rows, cols: model.predict(np.column_stack([rows, cols])),
            setting,
            float(np.sqrt(score)),
            time.process_time() - begin,
            seconds,
        )


# -- who competes ----------------------------------------------------------------------

_BIASES = Biases(grid(row_damping=(0.5, 1, 2, 4, 8), col_damping=(1, 2, 3, 5, 8)))
_ALS = grid(k=(50, 100), penalty=(8, 10, 12, 15, 20), bias_penalty=(3, 8))
_OURS = {"center": "both", "dtype": "float32"}

RATING_PEERS = {
    "cmfrec": Cmfrec(_ALS),
    "soft-impute": OnResiduals(biases=_BIASES, peer=SoftImpute()),
    "TruncatedSVD": OnResiduals(
        biases=_BIASES, peer=FilledSVD(grid(n_components=(5, 10, 20, 50, 100)))
    ),
    "biases": _BIASES,
    "cmfrec, implicit": Cmfrec(_ALS, {"add_implicit_features": True}),
    "flow, k=50": Flow([{**_OURS, "n_components": 50}]),
    "flow, k=100": Flow([{**_OURS, "n_components": 100}]),
    "flow, searched": Flow(
        [
            {**_OURS, **setting}
            for setting in grid(n_components=(50, 100), init_scale=(1e-4, 1e-5, 1e-6))
        ]
    ),
}

_RANKS = (1, 2, 3, 4, 5, 7, 10, 15, 20)
_CENTRED = {"center": None}
TABLE_PEERS = {
    "soft-impute": SoftImpute(
        shares=tuple(np.geomspace(0.7, 1e-4, 40)), tol=1e-6, max_iter=2000
    ),
    "cmfrec": Cmfrec(
        grid(
            k=(2, 5, 10, 20),
            penalty=(1e-3, 1e-2, 0.1, 0.3, 1, 3, 10),
            bias_penalty=(None,),
        ),
        {"center": False, "niter": 30, "use_cg": False},
    ),
    "IterativeImputer": Imputer(
        [
            {"imputer": IterativeImputer(estimator, random_state=0)}
            for estimator in (BayesianRidge(), Ridge(0.1), Ridge(1.0), Ridge(10.0))
        ]
    ),
    "KNNImputer": Imputer(
        [
            {"imputer": KNNImputer(n_neighbors=n, weights=weights)}
            for n in (1, 2, 3, 5, 10, 20, 40)
            for weights in ("uniform", "distance")
        ]
    ),
    "NMF": FilledNMF(grid(n_components=_RANKS)),
    "TruncatedSVD": FilledSVD(grid(n_components=_RANKS)),
    "flow": Flow([_CENTRED]),
    "flow, depth 3": Flow([{**_CENTRED, "depth": 3}]),
    "flow, depth chosen": Flow([_CENTRED, {**_CENTRED, "depth": 3}]),
}
