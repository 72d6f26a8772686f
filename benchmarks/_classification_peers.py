"""The classifiers compared: each a scikit-learn estimator that tunes itself.

Every tuned method is handed the same inner folds and sees X standardised on its
training part. All are tuned by their log loss but two, by their accuracy: `LinearSVC`,
which has no probabilities, and centroids, whose probabilities are poor.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

SCORING = "neg_log_loss"
MAX_ITER = 10_000


class ElasticNetLogistic(ClassifierMixin, BaseEstimator):
    """Logistic regression of two classes with both penalties, by skglm.

    The objective is that of scikit-learn, whose "saga" takes minutes where a proximal
    Newton method takes milliseconds.
    """

    def __init__(self, C=1.0, l1_ratio=0.5):
        self.C = C
        self.l1_ratio = l1_ratio

    def fit(self, X, y):
        from skglm import GeneralizedLinearEstimator
        from skglm.datafits import Logistic
        from skglm.penalties import L1_plus_L2
        from skglm.solvers import ProxNewton

        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) != 2:
            raise ValueError(f"Two classes are needed; got {len(self.classes_)}.")
        model = GeneralizedLinearEstimator(
            Logistic(),
            L1_plus_L2(1 / (self.C * len(y)), self.l1_ratio),
            ProxNewton(tol=1e-4, fit_intercept=True),
        )
        model.fit(np.asfortranarray(X), np.where(y == self.classes_[1], 1.0, -1.0))
        self.coef_, self.intercept_ = np.ravel(model.coef_), float(model.intercept_)
        return self

    def decision_function(self, X):
        check_is_fitted(self)
        return validate_data(self, X, reset=False) @ self.coef_ + self.intercept_

    def predict(self, X):
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def predict_proba(self, X):
        # 1 - expit(f) would lose the small ones.
        score = self.decision_function(X)
        return np.exp(-np.logaddexp(0, np.column_stack([score, -score])))


def _logistic_cv(cv, **options):
    return LogisticRegressionCV(
        cv=cv, scoring=SCORING, use_legacy_attributes=False, **options
    )


def _l2(cv, n_classes):
    return _logistic_cv(cv, Cs=np.logspace(-4, 4, 9), l1_ratios=(0.0,))


def _l1(cv, n_classes):
    Cs = np.logspace(-2, 2, 9)
    lasso = {"solver": "liblinear", "random_state": 0}
    if n_classes == 2:
        return _logistic_cv(cv, Cs=Cs, l1_ratios=(1.0,), **lasso)
    model = OneVsRestClassifier(LogisticRegression(l1_ratio=1.0, **lasso))
    return GridSearchCV(model, {"estimator__C": Cs}, cv=cv, scoring=SCORING)


def _elastic_net_saga(cv, n_classes):
    return _logistic_cv(
        cv,
        Cs=np.logspace(-2, 2, 9),
        l1_ratios=(0.2, 0.5, 0.8),
        solver="saga",
        tol=1e-3,
        max_iter=200,
        random_state=0,
    )


def _elastic_net(cv, n_classes):
    grid = {"C": np.logspace(-2, 2, 7), "l1_ratio": [0.2, 0.5, 0.8]}
    model = ElasticNetLogistic()
    if n_classes > 2:
        model = OneVsRestClassifier(model)
        grid = {f"estimator__{name}": values for name, values in grid.items()}
    return GridSearchCV(model, grid, cv=cv, scoring=SCORING)


def _linear_svc(cv, n_classes):
    model = LinearSVC(max_iter=MAX_ITER, random_state=0)
    return GridSearchCV(model, {"C": np.logspace(-5, 0, 6)}, cv=cv, scoring="accuracy")


def _shrunken_centroids(cv, n_classes):
    grid = {"shrink_threshold": [None, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0]}
    # Its probabilities are too sure of themselves: by them it would shrink too much.
    return GridSearchCV(NearestCentroid(), grid, cv=cv, scoring="accuracy")


def _net_cv(depth):
    def build(cv, n_classes):
        from skregimes import DiagonalNetClassifierCV

        return DiagonalNetClassifierCV(depth=depth, cv=cv)

    return build


def _net(cv, n_classes):
    from skregimes import DiagonalNetClassifier

    return DiagonalNetClassifier(random_state=0)


@dataclass(frozen=True)
class Peer:
    """How to build a method, and whether it is one of ours, or has probabilities."""

    build: Callable
    ours: bool = False
    probabilities: bool = True
    binary_only: bool = False

    def __call__(self, cv, n_classes):
        return make_pipeline(StandardScaler(), self.build(cv, n_classes))


CLASSIFIERS = {
    "LogisticRegressionCV, l2": Peer(_l2),
    "LogisticRegressionCV, l1": Peer(_l1),
    "LogisticRegressionCV, elastic net": Peer(_elastic_net_saga, binary_only=True),
    "elastic net, skglm": Peer(_elastic_net),
    "LinearSVC": Peer(_linear_svc, probabilities=False),
    "NearestCentroid, shrunken": Peer(_shrunken_centroids),
    "DiagonalNetClassifierCV": Peer(_net_cv(2), ours=True),
    "DiagonalNetClassifierCV, depth 3": Peer(_net_cv(3), ours=True),
    "DiagonalNetClassifier": Peer(_net, ours=True),
}
