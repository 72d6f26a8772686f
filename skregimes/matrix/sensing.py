"""A matrix from linear measurements, by matrix factorization."""

import math
from numbers import Integral

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._sklearn import check_sample_weight, fit_context
from skregimes.matrix._data import SensedMatrix
from skregimes.matrix._docs import documented
from skregimes.matrix._face import FLOATS, MatrixEstimator
from skregimes.matrix.trajectory import SensingTrajectory
from skregimes.networks.factors import kernel_measure

__all__ = ["MatrixSensingRegressor"]


@documented("measurements")
class MatrixSensingRegressor(RegressorMixin, MatrixEstimator):
    """Linear regression on matrices, by deep matrix factorization.

    A sample is a matrix A, flattened row by row, and its inner product with an unknown
    matrix M plus an intercept. M is fitted by a product of matrices ``W_L ... W_1``,
    trained by gradient flow: from a small start of low rank, from a large one of least
    Frobenius norm.

    Parameters
    ----------
    shape : tuple of (int, int), default=None
        Shape (d1, d2) of the matrices, ``d1 * d2 = n_features``; None is the most
        nearly square one.

    n_components : int, default=None
        Width k of the factors, a bound on the rank; None is ``min(d1, d2)``, no bound.

    <parameters of the flow>

    <parameters of the computation>

    Attributes
    ----------
    <attributes of the flow>
    coef_matrix_ : ndarray of shape (d1, d2)
        The fitted matrix.
    coef_ : ndarray of shape (d1 * d2,)
        The same, flat.
    intercept_ : float
        The intercept.
    shape_ : tuple of (int, int)
        Shape of the matrix.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    MatrixCompletionRegressor : The same where measurements are entries.
    skregimes.limits.min_nuclear_norm : Where tiny starts mostly end at depth 2.

    Notes
    -----
    Samples with the same matrix are merged into their weighted mean, exactly. Samples
    to hold out are drawn from distinct ones: repeating samples is weighing them.

    References
    ----------
    Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro, "Implicit Regularization in
    Matrix Factorization", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes import MatrixSensingRegressor
    >>> rng = np.random.default_rng(0)
    >>> truth = np.outer(rng.normal(size=10), rng.normal(size=12))
    >>> X = rng.normal(size=(70, 120))
    >>> model = MatrixSensingRegressor((10, 12), early_stopping=False)
    >>> model = model.fit(X, X @ truth.ravel())
    >>> print(model.coef_matrix_.shape, round(model.stable_rank_, 2))
    (10, 12) 1.0
    """

    _parameter_constraints: dict = MatrixEstimator._parameter_constraints | {
        "shape": [None, tuple, list],
        "fit_intercept": ["boolean"],
    }

    def __init__(
        self,
        shape=None,
        *,
        n_components=None,
        depth=2,
        init="spectral",
        init_scale=1e-6,
        units="relative",
        centered=False,
        fit_intercept=True,
        weight_decay=0.0,
        solver="auto",
        learning_rate=None,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        max_time=None,
        tol=1e-8,
        rtol=None,
        max_iter=10_000,
        dtype=None,
        device="cpu",
        random_state=None,
        verbose=0,
    ):
        self.shape = shape
        self.n_components = n_components
        self.depth = depth
        self.init = init
        self.init_scale = init_scale
        self.units = units
        self.centered = centered
        self.fit_intercept = fit_intercept
        self.weight_decay = weight_decay
        self.solver = solver
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.max_time = max_time
        self.tol = tol
        self.rtol = rtol
        self.max_iter = max_iter
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit a matrix to measurements.

        Parameters
        ----------
        X : array-like of shape (n_samples, d1 * d2)
            Matrices, flattened row by row.
        y : array-like of shape (n_samples,)
            Inner products.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the squared errors.

        Returns
        -------
        self : MatrixSensingRegressor

        Raises
        ------
        ValueError
            If ``shape`` does not fit X, or parameters contradict each other.
        FloatingPointError
            If steps of ``solver="gd"`` diverge.
        KeyboardInterrupt
            On Ctrl-C, after what was reached has been stored: the estimator is fitted.
        """
        X, y = validate_data(
            self, as_array(X), as_array(y), dtype=FLOATS, y_numeric=True
        )
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        shape = self._shape_of(X.shape[1])
        data = SensedMatrix.build(X, y, weight, shape, center=self.fit_intercept)
        known = {"shape_": shape}
        shown = (X, y, sample_weight)
        outcome = self._follow(data, self._dtype(X.dtype), shown, known)
        path = self.trajectory_
        self.trajectory_ = SensingTrajectory(
            path.time, path.loss, path.factors, path.centered, path.rank, *data.means
        )
        self._report(outcome)
        return self

    def _describe(self, data, known, origin, path):
        found = super()._describe(data, known, origin, path)
        matrix = found["embedding_"] @ found["components_"]
        x_mean, y_mean = data.means
        return found | {
            "coef_matrix_": matrix,
            "coef_": matrix.ravel(),
            "intercept_": float(y_mean - x_mean @ matrix.ravel()),
        }

    def _shape_of(self, n_features):
        if self.shape is None:
            rows = math.isqrt(n_features)
            while n_features % rows:
                rows -= 1
            return rows, n_features // rows
        shape = tuple(self.shape)
        if len(shape) != 2 or not all(
            isinstance(size, Integral) and int(size) > 0 for size in shape
        ):
            raise ValueError(f"shape={self.shape!r} must be two positive integers.")
        if math.prod(shape) != n_features:
            raise ValueError(
                f"shape={self.shape!r} has {math.prod(shape)} entries, but X has "
                f"{n_features} features."
            )
        return tuple(int(size) for size in shape)

    def predict(self, X):
        """Predict inner products.

        Parameters
        ----------
        X : array-like of shape (n_samples, d1 * d2)
            Matrices, flattened row by row.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = validate_data(self, as_array(X), dtype=FLOATS, reset=False)
        return (X @ self.coef_ + self.intercept_).astype(X.dtype, copy=False)

    def staged_predict(self, X, times=None):
        """Predict along the recorded trajectory.

        Parameters
        ----------
        X : array-like of shape (n_samples, d1 * d2)
            Matrices, flattened row by row.
        times : array-like of shape (n_times,), default=None
            Times in the units of ``time_``; None is those of ``trajectory_``. Between
            recorded points predictions are interpolated in log time; times beyond the
            end are answered by the end.

        Yields
        ------
        ndarray of shape (n_samples,)
            Predictions at one time.

        Raises
        ------
        ValueError
            If a time is negative or nan.
        """
        check_is_fitted(self)
        X = validate_data(self, as_array(X), dtype=FLOATS, reset=False)
        path = self.trajectory_
        coefs, intercepts = path.at(path.time if times is None else times)
        for coef, intercept in zip(coefs, intercepts, strict=True):
            yield (X @ coef + intercept).astype(X.dtype, copy=False)

    def tangent_kernel(self, X, Y=None, *, at="end"):
        """Return the tangent kernel between measurements, closed form.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, d1 * d2)
            Matrices, flattened row by row.
        Y : array-like of shape (n_samples_Y, d1 * d2), default=None
            Matrices; None is ``X``.
        at : {"init", "end"}, default="end"
            When: at the start, or where the flow stopped.

        Returns
        -------
        ndarray of shape (n_samples_X, n_samples_Y)
            Inner products of the gradients of the predictions in the factors, without
            the intercept.

        Raises
        ------
        ValueError
            If ``at`` is unknown.
        """
        check_is_fitted(self)
        left, right = (
            validate_data(self, as_array(A), dtype=FLOATS, reset=False)
            for A in (X, X if Y is None else Y)
        )
        return kernel_measure(self._factors_at(at), left, right)

    def excess_nuclear_norm(self, X, y):
        """Return how much larger the nuclear norm is than the least possible.

        Parameters
        ----------
        X : array-like of shape (n_samples, d1 * d2)
            Training matrices.
        y : array-like of shape (n_samples,)
            Their inner products.

        Returns
        -------
        float
            The nuclear norm of the fitted matrix over the least one of all matrices
            that fit, minus 1. Below zero if the fit does not interpolate.
        """
        check_is_fitted(self)
        X, y = validate_data(self, as_array(X), as_array(y), dtype=FLOATS, reset=False)
        path = self.trajectory_
        return self._excess(X - path.x_mean, y - path.y_mean, self.shape_)
