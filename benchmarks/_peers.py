"""The methods compared: each a scikit-learn estimator that tunes itself.

Every tuned method is handed the same inner folds and sees X and y standardised on
its training part. Grids are generous but ordinary.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_smoothing_spline
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNetCV,
    LassoCV,
    OrthogonalMatchingPursuitCV,
    RidgeCV,
    lasso_path,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

MAX_ITER = 10_000


class _PathCV(RegressorMixin, BaseEstimator):
    """Choose one of the models of a regularisation path by cross-validation.

    A subclass returns, for centred data and penalties, the coefficients of all its
    models, of shape ``(n_features, n_models)``, in the same order for every fold.
    """

    def __init__(self, n_alphas, eps, cv):
        self.n_alphas = n_alphas
        self.eps = eps
        self.cv = cv

    def _centred_path(self, X, y, alphas):
        X_mean, y_mean = X.mean(axis=0), y.mean()
        coefs = self._path(np.asfortranarray(X - X_mean), y - y_mean, alphas)
        return coefs, y_mean - X_mean @ coefs

    def fit(self, X, y):
        X, y = validate_data(self, X, y, y_numeric=True)
        largest = np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y)
        alphas = np.geomspace(largest, self.eps * largest, self.n_alphas)
        errors = 0
        for train, test in self.cv.split(X):
            coefs, intercepts = self._centred_path(X[train], y[train], alphas)
            residuals = y[test, None] - X[test] @ coefs - intercepts
            errors = errors + (residuals**2).sum(axis=0)
        coefs, intercepts = self._centred_path(X, y, alphas)
        best = np.argmin(errors)
        self.coef_, self.intercept_ = coefs[:, best], intercepts[best]
        return self

    def predict(self, X):
        check_is_fitted(self)
        return validate_data(self, X, reset=False) @ self.coef_ + self.intercept_


class RelaxedLassoCV(_PathCV):
    """Blend of the Lasso and of least squares on its support (Meinshausen, 2007)."""

    def __init__(
        self, n_alphas=100, eps=1e-3, blends=(0.0, 0.25, 0.5, 0.75, 1.0), cv=None
    ):
        super().__init__(n_alphas, eps, cv)
        self.blends = blends

    def _path(self, X, y, alphas):
        lasso = lasso_path(X, y, alphas=alphas, max_iter=MAX_ITER)[1]
        free = np.zeros_like(lasso)
        for k, coef in enumerate(lasso.T):
            support = np.flatnonzero(coef)
            free[support, k] = np.linalg.lstsq(X[:, support], y)[0]
        return np.hstack([blend * lasso + (1 - blend) * free for blend in self.blends])


class MCPRegressorCV(_PathCV):
    """Minimax concave penalty by skglm, warm-started along the path."""

    def __init__(self, n_alphas=40, eps=1e-2, gamma=3.0, cv=None):
        super().__init__(n_alphas, eps, cv)
        self.gamma = gamma

    def _path(self, X, y, alphas):
        from skglm.datafits import Quadratic
        from skglm.penalties import MCPenalty
        from skglm.solvers import AndersonCD

        penalty = MCPenalty(alphas[0], self.gamma)
        solver = AndersonCD(fit_intercept=False, warm_start=True)
        return solver.path(X, y, Quadratic(), penalty, alphas)[1]


def _lasso(cv, n_samples, n_features):
    return LassoCV(cv=cv, max_iter=MAX_ITER)


def _ridge(cv, n_samples, n_features):
    return RidgeCV(np.logspace(-3, 6, 60))


def _elastic_net(cv, n_samples, n_features):
    return ElasticNetCV(
        l1_ratio=[0.1, 0.5, 0.9, 1.0], alphas=40, cv=cv, max_iter=MAX_ITER
    )


def _relaxed(cv, n_samples, n_features):
    return RelaxedLassoCV(cv=cv)


def _mcp(cv, n_samples, n_features):
    return MCPRegressorCV(cv=cv)


def _omp(cv, n_samples, n_features):
    return OrthogonalMatchingPursuitCV(cv=cv, max_iter=min(n_features, n_samples // 2))


def _pls(cv, n_samples, n_features):
    most = min(25, n_features, n_samples - n_samples // cv.get_n_splits() - 2)
    grid = {"n_components": list(range(1, most + 1))}
    score = "neg_mean_squared_error"
    return GridSearchCV(PLSRegression(scale=False), grid, cv=cv, scoring=score)


def _kernel_ridge(cv, n_samples, n_features):
    grid = {
        "gamma": np.logspace(-2, 1, 7) / n_features,
        "alpha": np.logspace(-4, 2, 13),
    }
    score = "neg_mean_squared_error"
    return GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=cv, scoring=score)


def _net_cv(cv, n_samples, n_features):
    from skregimes import DiagonalNetRegressorCV

    return DiagonalNetRegressorCV(criterion="cv", cv=cv)


def _net_gcv(cv, n_samples, n_features):
    from skregimes import DiagonalNetRegressorCV

    return DiagonalNetRegressorCV(criterion="gcv")


def _net(cv, n_samples, n_features):
    from skregimes import DiagonalNetRegressor

    return DiagonalNetRegressor()


@dataclass(frozen=True)
class Method:
    """How to build a method, and whether it is ranked among the linear ones."""

    build: Callable
    ranked: bool = True
    standardised: bool = True

    def __call__(self, cv, n_samples, n_features):
        estimator = self.build(cv, n_samples, n_features)
        if not self.standardised:
            return estimator
        return TransformedTargetRegressor(
            make_pipeline(StandardScaler(), estimator), transformer=StandardScaler()
        )


METHODS = {
    "LassoCV": Method(_lasso),
    "RidgeCV": Method(_ridge),
    "ElasticNetCV": Method(_elastic_net),
    "RelaxedLassoCV": Method(_relaxed),
    "MCP": Method(_mcp),
    "OMPCV": Method(_omp),
    "PLS": Method(_pls),
    "KernelRidge": Method(_kernel_ridge, ranked=False),
    "NetCV": Method(_net_cv),
    "NetGCV": Method(_net_gcv),
    "Net": Method(_net),
    "Net, raw": Method(_net, ranked=False, standardised=False),
}


# -- methods that are not linear -------------------------------------------------------


class SmoothingSpline(RegressorMixin, BaseEstimator):
    """Cubic smoothing spline of one feature by SciPy, penalty by its GCV."""

    def fit(self, X, y):
        X, y = validate_data(self, X, y, y_numeric=True)
        x, place, count = np.unique(X[:, 0], return_inverse=True, return_counts=True)
        mean = np.bincount(place, y) / count
        self.spline_ = make_smoothing_spline(x, mean, w=count.astype(float))
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.spline_(validate_data(self, X, reset=False)[:, 0])


class TangentKernel(TransformerMixin, BaseEstimator):
    """From features to the tangent kernel of an infinite network with the training set.

    Features are brought into the unit ball first, as `ShallowReLURegressor` does.
    """

    def __init__(self, balance=0.0):
        self.balance = balance

    def fit(self, X, y=None):
        self.X_ = validate_data(self, X)
        self.radius_ = np.linalg.norm(self.X_, axis=1).max()
        return self

    def transform(self, X):
        from skregimes.kernels import shallow_relu_kernel

        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        # A larger bias scale than the ball's covers test samples outside of it.
        return shallow_relu_kernel(
            X / self.radius_,
            self.X_ / self.radius_,
            bias_scale=4.0,
            balance=self.balance,
        )


def _gaussian_process(kernel):
    def build(cv, n_samples, n_features):
        # Restarts for small tables only: a fit takes n_samples**3 for each gradient.
        return GaussianProcessRegressor(
            ConstantKernel(1.0, (1e-3, 1e3)) * kernel + WhiteKernel(0.1, (1e-5, 10.0)),
            n_restarts_optimizer=2 if n_samples < 500 else 0,
            random_state=0,
        )

    return build


def _tangent_ridge(cv, n_samples, n_features):
    model = make_pipeline(TangentKernel(), KernelRidge(kernel="precomputed"))
    grid = {"kernelridge__alpha": np.logspace(-7, 2, 28)}
    return GridSearchCV(model, grid, cv=cv, scoring="neg_mean_squared_error")


def _mlp(cv, n_samples, n_features):
    return MLPRegressor(random_state=0)


def _mlp_cv(cv, n_samples, n_features):
    model = MLPRegressor(solver="lbfgs", max_iter=1000, random_state=0)
    grid = {"alpha": np.logspace(-4, 2, 7)}
    return GridSearchCV(model, grid, cv=cv, scoring="neg_mean_squared_error")


def _boosting(cv, n_samples, n_features):
    return HistGradientBoostingRegressor(random_state=0)


def _relu(init_scale):
    def build(cv, n_samples, n_features):
        from skregimes import ShallowReLURegressor

        return ShallowReLURegressor(init_scale, random_state=0)

    return build


def _relu_search(cv, n_samples, n_features):
    from skregimes import InitScaleSearchCV, ShallowReLURegressor

    # One percent is far below the noise of a score.
    net = ShallowReLURegressor(rtol=1e-2, random_state=0)
    return InitScaleSearchCV(net, cv=cv, scoring="neg_mean_squared_error")


def _curve_kernel_ridge(cv, n_samples, n_features):
    # Curves have details far smaller than their domain.
    grid = {"gamma": np.logspace(-1, 4, 11), "alpha": np.logspace(-5, 1, 13)}
    score = "neg_mean_squared_error"
    return GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=cv, scoring=score)


# For one feature and for several; ours scale the table themselves.
CURVE_METHODS = {
    "smoothing spline": Method(lambda *_: SmoothingSpline()),
    "GP, RBF": Method(_gaussian_process(RBF(0.5))),
    "GP, Matern 3/2": Method(_gaussian_process(Matern(0.5, nu=1.5))),
    "KernelRidge": Method(_curve_kernel_ridge),
    "tangent KernelRidge": Method(_tangent_ridge),
    "MLP": Method(_mlp),
    "MLP lbfgs, CV": Method(_mlp_cv),
    "ReLU": Method(_relu(1.0), standardised=False),
    "ReLU 30": Method(_relu(30.0), standardised=False),
    "ReLU 0.03": Method(_relu(0.03), standardised=False),
    "ReLU, search": Method(_relu_search, standardised=False),
}
TABLE_METHODS = {
    "Ridge": Method(_ridge),
    "boosting": Method(_boosting),
    **{
        name: method
        for name, method in CURVE_METHODS.items()
        if name != "smoothing spline"
    },
    "KernelRidge": Method(_kernel_ridge),
}
