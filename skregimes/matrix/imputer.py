"""Holes of a table filled by matrix factorization."""

import warnings

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_is_fitted

from skregimes.matrix._docs import documented
from skregimes.matrix.factorizer import TableEstimator

__all__ = ["MatrixFactorizationImputer"]


@documented("entries", center="columns")
class MatrixFactorizationImputer(OneToOneFeatureMixin, TableEstimator):
    """Fill the holes of a table by deep matrix factorization.

    The table is fitted by a product of matrices ``M = W_L ... W_1``, trained by
    gradient flow on the observed entries alone; its values fill the holes, and observed
    values stay. From a small start the product is of low rank, although no rank is
    chosen.

    Rows of the training table are filled as they were fitted; new rows are folded in.

    Parameters
    ----------
    n_components : int, default=None
        Width k of the factors, a bound on the rank; None is ``min(n_samples,
        n_features)``, no bound.

    <parameters of the flow>

    standardize : bool, default=True
        Whether columns are divided by their standard deviations inside, so that the
        result does not depend on their units.

    missing_values : float, default=nan
        Marks the holes of X.

    fold_in_alpha : float or "auto", default="auto"
        Strength of the regularisation with which new rows are fitted; "auto" is the one
        that reproduces the codes of training rows best.

    add_indicator : bool, default=False
        Whether to append a column of zeros and ones for each column that had holes in
        the training table, ones for holes.

    <parameters of the computation>

    Attributes
    ----------
    <attributes of the flow>
    offset_, row_bias_, col_bias_ : ndarray
        Offsets: of each column with the mean, of each row, and of each column without;
        in standard deviations if ``standardize``, and so is the fitted matrix.
    feature_scale_ : ndarray of shape (n_features,)
        What columns are divided by.
    incomplete_features_ : ndarray of int
        Columns that had holes in the training table.
    reconstruction_err_ : float
        Root of the mean squared error on the observed entries.
    fold_in_alpha_, fold_in_gap_ : float
        Strength used, and how far it takes training rows from their codes, relative to
        these.
    n_observed_ : int
        Number of observed entries.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    MatrixFactorizer : Codes of the rows instead.
    sklearn.impute.IterativeImputer : Regressions of each column on the others.
    sklearn.impute.KNNImputer : Means of similar rows.

    References
    ----------
    Arora, Cohen, Hu, Luo, "Implicit Regularization in Deep Matrix Factorization",
    NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skregimes import MatrixFactorizationImputer
    >>> truth = load_breast_cancer().data[:200]
    >>> rng = np.random.default_rng(0)
    >>> X = np.where(rng.random(truth.shape) < 0.7, truth, np.nan)
    >>> filled = MatrixFactorizationImputer(random_state=0).fit_transform(X)
    >>> error = ((filled - truth) / truth.std(axis=0))[np.isnan(X)]
    >>> bool(np.sqrt(np.mean(error**2)) < 0.5)
    True
    """

    _parameter_constraints: dict = TableEstimator._parameter_constraints | {
        "standardize": ["boolean"],
        "add_indicator": ["boolean"],
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
        center="columns",
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
        standardize=True,
        missing_values=np.nan,
        fold_in_alpha="auto",
        add_indicator=False,
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
        self.standardize = standardize
        self.missing_values = missing_values
        self.fold_in_alpha = fold_in_alpha
        self.add_indicator = add_indicator
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _scale_of(self, entries):
        n_columns = entries.shape[1]
        dtype, cols = entries.values.dtype, entries.cols
        count = np.bincount(cols, minlength=n_columns)
        if not self.standardize:
            return np.ones(n_columns, dtype=dtype)
        count = np.maximum(count, 1)
        values = entries.values.astype(float)
        peak = np.zeros(n_columns)
        np.maximum.at(peak, cols, np.abs(values))
        peak[peak == 0] = 1.0
        values = values / peak[cols]  # no square overflows
        mean = np.bincount(cols, values, n_columns) / count
        rest = values - mean[cols]
        scale = np.sqrt(np.bincount(cols, rest**2, n_columns) / count)
        # What rounding leaves of a constant column is not a deviation.
        scale[scale <= 8 * np.finfo(dtype).eps] = 1.0
        return (scale * peak).astype(dtype)

    def _offset_of_columns(self, offsets, count):
        offset = super()._offset_of_columns(offsets, count)
        empty = np.flatnonzero(count == 0)
        if len(empty):
            # Other columns say nothing of its units.
            offset[empty] = 0.0
            warnings.warn(
                f"Columns {empty.tolist()} have no observed entry; they are filled "
                "with 0.",
                UserWarning,
                stacklevel=4,
            )
        return offset

    def transform(self, X):
        """Fill the holes of a table.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows as in `fit`, known or new.

        Returns
        -------
        ndarray of shape (n_samples, n_features + n_indicators)
            Without holes; dense for sparse X, too.
        """
        full = self.impute(X)
        if not self.add_indicator:
            return full
        entries = self._entries(X, reset=False)
        hole = np.ones(entries.shape, dtype=full.dtype)
        hole[entries.rows, entries.cols] = 0
        return np.hstack([full, hole[:, self.incomplete_features_]])

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, if `fit` saw none.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        names = super().get_feature_names_out(input_features)
        if not self.add_indicator:
            return names
        flags = [f"missingindicator_{names[j]}" for j in self.incomplete_features_]
        return np.concatenate([names, np.asarray(flags, dtype=object)])
