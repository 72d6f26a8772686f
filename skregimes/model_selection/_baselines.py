"""What `compare_regimes` puts beside a network: its rich limit, and plain models."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LassoCV, LogisticRegression, MultiTaskLassoCV, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.utils import check_array, check_X_y

from skregimes._entries import Entries
from skregimes._folds import shuffled_folds
from skregimes.diagonal import DiagonalNetRegressor
from skregimes.diagonal_classifier import DiagonalNetClassifier
from skregimes.limits import linear_spline, max_margin, min_l1_norm, min_nuclear_norm
from skregimes.matrix import MatrixCompletionRegressor, MatrixSensingRegressor
from skregimes.shallow_relu import ShallowReLURegressor
from skregimes.tangent._networks import at_start

__all__ = ["kernel_machine", "linear_models", "rich_limit"]


def rich_limit(network, n_features, y):
    """Return a name and a model of where the flow ends from a vanishing scale, or None.

    Parameters
    ----------
    network : estimator
        Unfitted.
    n_features : int
        Number of features that it sees.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Target.

    Returns
    -------
    tuple of str and estimator, or None
        None where no limit is known that can be computed by itself.
    """
    linear = isinstance(network, DiagonalNetRegressor | DiagonalNetClassifier)
    if linear and network.depth == 1:
        return None  # it has no rich regime
    if linear:
        plain = {"fit_intercept": network.fit_intercept}
        shape = network.init_shape if network.depth > 2 else None
        standardize = network.standardize
        if standardize is None:
            standardize = network.units == "relative"
        scale = StandardScaler(with_mean=network.fit_intercept, with_std=standardize)
        if isinstance(network, DiagonalNetRegressor):
            if shape is not None:
                plain["weights"] = np.asarray(shape, float) ** (2 - network.depth)
            return "least l1 norm", make_pipeline(scale, LeastL1(**plain))
        if shape is None:
            return "largest l1 margin", make_pipeline(scale, LargestMargin(**plain))
    curve = n_features == 1 and np.ndim(y) == 1
    if isinstance(network, ShallowReLURegressor) and curve:
        return "linear spline", BrokenLine()
    if isinstance(network, MatrixCompletionRegressor | MatrixSensingRegressor):
        return "least nuclear norm", LeastNuclearNorm(network)
    return None


def kernel_machine(network):
    """Return a name and a radial kernel machine, tuned on each training set."""
    prepare = _prepare(network)
    if is_classifier(network):
        grid = {
            "svc__gamma": ["scale", 0.01, 0.1, 1.0],
            "svc__C": np.logspace(-1, 3, 5),
        }
        return "SVC (rbf)", _tuned(make_pipeline(prepare, SVC()), grid)
    grid = {
        "kernelridge__gamma": [None, 0.001, 0.01, 0.1, 1.0],
        "kernelridge__alpha": np.logspace(-5, 1, 7),
    }
    machine = _tuned(make_pipeline(prepare, KernelRidge(kernel="rbf")), grid)
    # Kernel ridge has no intercept.
    centred = TransformedTargetRegressor(machine, transformer=StandardScaler())
    return "kernel ridge (rbf)", centred


def linear_models(network, y):
    """Return names and penalised linear models, tuned on each training set."""
    prepare = _prepare(network)
    if is_classifier(network):
        sparse = OneVsRestClassifier(
            LogisticRegression(l1_ratio=1.0, solver="liblinear", random_state=0)
        )
        models = {
            "logistic (l2)": _tuned(
                LogisticRegression(max_iter=1000), {"C": np.logspace(-4, 4, 9)}
            ),
            "logistic (l1)": _tuned(sparse, {"estimator__C": np.logspace(-2, 2, 9)}),
        }
    else:
        single = np.ndim(y) == 1
        folds = shuffled_folds(None, classifier=False)
        models = {
            "ridge": RidgeCV(np.logspace(-6, 3, 28)),
            "lasso": LassoCV(cv=folds) if single else MultiTaskLassoCV(cv=folds),
        }
    return {name: make_pipeline(prepare, model) for name, model in models.items()}


def _tuned(model, grid):
    """Return a search on shuffled folds."""
    folds = shuffled_folds(None, is_classifier(model))
    return GridSearchCV(model, grid, cv=folds)


def _prepare(network):
    """Return what makes features of the input for a plain model."""
    if isinstance(network, MatrixCompletionRegressor):
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return StandardScaler()


class LeastL1(RegressorMixin, BaseEstimator):
    """Linear interpolator of least weighted l1 norm."""

    def __init__(self, *, fit_intercept=True, weights=None):
        self.fit_intercept = fit_intercept
        self.weights = weights

    def fit(self, X, y):
        """Fit ``X (n, d)`` and ``y (n,)`` or ``(n, n_targets)``."""
        X, y = check_X_y(X, y, multi_output=True, y_numeric=True, dtype=float)
        x_mean, y_mean = np.zeros(X.shape[1]), np.zeros(y.shape[1:])
        if self.fit_intercept:
            x_mean, y_mean = X.mean(axis=0), y.mean(axis=0)
        self.coef_ = min_l1_norm(X - x_mean, y - y_mean, weights=self.weights)
        self.intercept_ = y_mean - self.coef_ @ x_mean
        return self

    def predict(self, X):
        """Predict at ``X (n, d)``."""
        return check_array(X, dtype=float) @ self.coef_.T + self.intercept_


class LargestMargin(ClassifierMixin, BaseEstimator):
    """Separator of largest margin for its l1 norm; the classes must be separable."""

    def __init__(self, *, fit_intercept=True):
        self.fit_intercept = fit_intercept

    def fit(self, X, y):
        """Fit ``X (n, d)`` and labels ``y (n,)``."""
        self.classes_ = np.unique(y)
        found = max_margin(X, y, norm="l1", fit_intercept=self.fit_intercept)
        self.coef_ = np.atleast_2d(found.coef)
        self.intercept_ = np.atleast_1d(found.intercept)
        return self

    def decision_function(self, X):
        """Return margins of ``X (n, d)``, a column a class if there are several."""
        scores = check_array(X, dtype=float) @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X):
        """Predict labels of ``X (n, d)``."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return self.classes_[(scores > 0).astype(int)]
        return self.classes_[np.argmax(scores, axis=1)]


class BrokenLine(RegressorMixin, BaseEstimator):
    """The linear spline through samples of one feature."""

    def fit(self, X, y):
        """Fit ``X (n, 1)`` and ``y (n,)``."""
        X, y = check_X_y(X, y, dtype=float, y_numeric=True)
        self.spline_ = linear_spline(X[:, 0], y)
        return self

    def predict(self, X):
        """Predict at ``X (n, 1)``."""
        return self.spline_(check_array(X, dtype=float)[:, 0])


class LeastNuclearNorm(RegressorMixin, BaseEstimator):
    """Matrix of least nuclear norm, beside the offsets that the network would take."""

    def __init__(self, network):
        self.network = network

    def fit(self, X, y):
        """Fit what the network takes."""
        self.start_ = start = at_start(self.network).fit(X, y)
        y = np.asarray(y, dtype=float)
        if isinstance(start, MatrixCompletionRegressor):
            rows, cols = start._places(X)
            rest = y - start._offsets.at(rows, cols)
            entries = Entries.from_pairs(rows, cols, rest, None, start._shape)
            self.matrix_ = min_nuclear_norm(entries.csr()).matrix
            return self
        X = check_array(X, dtype=float)
        x_mean, y_mean = np.zeros(X.shape[1]), 0.0
        if start.fit_intercept:
            x_mean, y_mean = X.mean(axis=0), y.mean()
        found = min_nuclear_norm(X - x_mean, y - y_mean, start.shape_)
        self.matrix_ = found.matrix
        self.intercept_ = y_mean - x_mean @ self.matrix_.ravel()
        return self

    def predict(self, X):
        """Predict what the network takes."""
        if isinstance(self.start_, MatrixCompletionRegressor):
            rows, cols = self.start_._places(X)
            seen = (rows >= 0) & (cols >= 0)
            values = np.where(seen, self.matrix_[rows, cols], 0.0)
            return self.start_._offsets.at(rows, cols) + values
        return check_array(X, dtype=float) @ self.matrix_.ravel() + self.intercept_
