"""Entries of a table, given one by one, fitted by matrix factorization."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._entries import Entries
from skregimes._sklearn import StrOptions, check_sample_weight, fit_context
from skregimes.matrix._data import ObservedEntries
from skregimes.matrix._docs import documented
from skregimes.matrix._face import MatrixEstimator
from skregimes.matrix._labels import Labels, as_labels
from skregimes.networks.factors import kernel_entries, product_entries

__all__ = ["MatrixCompletionRegressor"]


@documented("entries")
class MatrixCompletionRegressor(RegressorMixin, MatrixEstimator):
    """Predict entries of a table from others, by deep matrix factorization.

    A sample is one entry: its row label, its column label and its value, such as user,
    film and rating. The table is fitted by a product of matrices ``M = W_L ... W_1``,
    trained by gradient flow. Since samples are entries, `KFold`, `GridSearchCV` and
    `cross_val_predict` hold out entries.

    Parameters
    ----------
    n_components : int, default=None
        Width k of the factors, a bound on the rank; None is the smaller number of
        labels, no bound. For large tables 10 to 200 save time.

    <parameters of the flow>

    <parameters of the computation>

    Attributes
    ----------
    <attributes of the flow>
    row_labels_, col_labels_ : ndarray
        Labels of rows and of columns, in the order of the matrix.
    intercept_, row_bias_, col_bias_ : float, ndarray, ndarray
        Offsets.
    n_observed_ : int
        Number of distinct entries.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    MatrixFactorizer : The same for tables.
    InitScaleSearchCV : Chooses the scale and the time by cross-validation.

    Notes
    -----
    Samples of one entry are merged into their weighted mean, exactly. The entries to
    hold out are drawn from distinct ones: repeating samples is weighing them.

    References
    ----------
    Arora, Cohen, Hu, Luo, "Implicit Regularization in Deep Matrix Factorization",
    NeurIPS 2019.

    Examples
    --------
    >>> from skregimes import MatrixCompletionRegressor
    >>> X = [["Ann", "tea"], ["Ann", "milk"], ["Bob", "tea"], ["Bob", "milk"],
    ...      ["Cid", "tea"]]
    >>> y = [1.0, 2.0, 2.0, 4.0, 3.0]
    >>> model = MatrixCompletionRegressor(center=None, depth=3).fit(X, y)
    >>> print(model.predict([["Cid", "milk"]]).round(1), model.n_observed_)
    [6.] 5
    """

    _parameter_constraints: dict = MatrixEstimator._parameter_constraints | {
        "center": [None, StrOptions({"global", "columns", "both"})],
    }

    def __init__(
        self,
        n_components=None,
        *,
        depth=2,
        init="spectral",
        init_scale=1e-6,
        units="relative",
        centered=False,
        center="global",
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
        self.n_components = n_components
        self.depth = depth
        self.init = init
        self.init_scale = init_scale
        self.units = units
        self.centered = centered
        self.center = center
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.regressor_tags.poor_score = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit entries of a table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labels of any type: the first column is that of the row, and all others
            together, usually one, that of the column.
        y : array-like of shape (n_samples,)
            Values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the squared errors.

        Returns
        -------
        self : MatrixCompletionRegressor

        Raises
        ------
        ValueError
            If X has one column, y is not numbers, or parameters contradict each other.
        FloatingPointError
            If steps of ``solver="gd"`` diverge.
        KeyboardInterrupt
            On Ctrl-C, after what was reached has been stored: the estimator is fitted.
        """
        X, y = validate_data(
            self, as_labels(X), as_array(y), dtype=None, y_numeric=True
        )
        _check_two_columns(X)
        weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        used = weight > 0
        rows, cols = Labels.of(X[used, :1]), Labels.of(X[used, 1:])
        entries = Entries.from_pairs(
            rows.index(X[used, :1]),
            cols.index(X[used, 1:]),
            y[used],
            weight[used],
            (len(rows), len(cols)),
        )
        data = ObservedEntries.build(entries, self.center)
        known = {
            "_rows": rows,
            "_cols": cols,
            "_offsets": data.offsets,
            "row_labels_": rows.values,
            "col_labels_": cols.values,
            "intercept_": float(data.offsets.intercept),
            "row_bias_": data.offsets.row_bias,
            "col_bias_": data.offsets.col_bias,
            "n_observed_": len(entries),
        }
        shown = (X, y, sample_weight)
        outcome = self._follow(data, self._dtype(entries.values.dtype), shown, known)
        self._report(outcome)
        return self

    def _places(self, X):
        """Validate labels and return their places, -1 for those never seen."""
        X = validate_data(self, as_labels(X), dtype=None, reset=False)
        return self._rows.index(X[:, :1]), self._cols.index(X[:, 1:])

    def predict(self, X):
        """Predict entries.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labels as in `fit`. An entry with a label that was not seen is predicted by
            what is known of the other: the mean, and its bias if ``center`` has any.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        places = self._places(X)
        return self._values(places, self.embedding_, self.components_.T)

    def _values(self, places, left, right):
        rows, cols = places
        product = product_entries(left, right, rows, cols)
        seen = (rows >= 0) & (cols >= 0)
        offset = self._offsets.at(rows, cols)
        return (offset + np.where(seen, product, 0)).astype(left.dtype)

    def staged_predict(self, X, times=None):
        """Predict along the recorded trajectory.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labels as in `fit`.
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
        places = self._places(X)
        yield from self._stages(lambda *halves: self._values(places, *halves), times)

    def to_matrix(self):
        """Return the fitted table.

        Returns
        -------
        ndarray of shape (n_rows, n_columns)
            In the order of ``row_labels_`` and ``col_labels_``.
        """
        check_is_fitted(self)
        offset = self.intercept_ + self.row_bias_[:, None] + self.col_bias_
        return (self.embedding_ @ self.components_ + offset).astype(
            self.components_.dtype
        )

    def tangent_kernel(self, X, Y=None, *, at="end"):
        """Return the tangent kernel between entries, closed form.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
            Labels of entries.
        Y : array-like of shape (n_samples_Y, n_features), default=None
            Labels of entries; None is ``X``.
        at : {"init", "end"}, default="end"
            When: at the start, or where the flow stopped.

        Returns
        -------
        ndarray of shape (n_samples_X, n_samples_Y)
            Inner products of the gradients of the predictions in the factors: zero for
            labels that were not seen, for which `predict` does not ask the factors.

        Raises
        ------
        ValueError
            If ``at`` is unknown.
        """
        check_is_fitted(self)
        left, right = (self._places(A) for A in (X, X if Y is None else Y))
        kernel = kernel_entries(self._factors_at(at), *left, *right)
        seen_left, seen_right = (np.minimum(*places) >= 0 for places in (left, right))
        return np.where(seen_left[:, None] & seen_right, kernel, 0.0)

    def excess_nuclear_norm(self, X, y):
        """Return how much larger the nuclear norm is than the least possible.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Labels of the training entries.
        y : array-like of shape (n_samples,)
            Their values.

        Returns
        -------
        float
            The nuclear norm of the fitted matrix, without offsets, over the least one
            of all matrices with these entries, minus 1. Below zero if the fit does not
            interpolate.

        Raises
        ------
        ValueError
            If a label was not seen.
        """
        check_is_fitted(self)
        rows, cols = self._places(X)
        rest = np.asarray(y, dtype=float) - self._offsets.at(rows, cols)
        return self._excess(
            Entries.from_pairs(rows, cols, rest, None, self._shape).csr()
        )


def _check_two_columns(X):
    if X.shape[1] < 2:
        raise ValueError(
            "Found n_features=1, but a sample needs two: the label of its row and that "
            "of its column."
        )
