"""Tables with holes, factorized: codes of rows and completed tables."""

import math
from itertools import pairwise
from numbers import Real
from zlib import crc32

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._entries import Entries
from skregimes._sklearn import Interval, StrOptions, fit_context
from skregimes.matrix._data import ObservedEntries
from skregimes.matrix._docs import documented
from skregimes.matrix._face import FLOATS, MatrixEstimator
from skregimes.matrix._fold_in import STRENGTHS, FoldIn, row_keys
from skregimes.networks.factors import kernel_entries, product_entries

__all__ = ["MatrixFactorizer", "TableEstimator"]

# Entries of each row that `score` hides.
_HIDDEN = 0.2


class TableEstimator(TransformerMixin, MatrixEstimator):
    """A factorization of tables, whose rows are samples."""

    _parameter_constraints: dict = MatrixEstimator._parameter_constraints | {
        "center": [None, StrOptions({"global", "columns", "both"})],
        "missing_values": [Real],
        "fold_in_alpha": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="left"),
        ],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # -- fitting -------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Factorize a table.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The table. Dense: ``missing_values`` are holes, and a zero is a zero.
            Sparse: stored entries are observed, stored zeros too, and all others are
            holes.
        y : None
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If nothing is observed, or parameters contradict each other.
        FloatingPointError
            If steps of ``solver="gd"`` diverge.
        KeyboardInterrupt
            On Ctrl-C, after what was reached has been stored: the estimator is fitted.
        """
        entries = self._entries(X, reset=True)
        if not len(entries):
            raise ValueError(
                f"No entry of X (shape {entries.shape}) is observed; at least one must "
                "be."
            )
        scale = self._scale_of(entries)
        entries = entries.with_values(entries.values / scale[entries.cols])
        data = ObservedEntries.build(entries, self.center)
        keys = [*enumerate(row_keys(entries))]
        count = np.bincount(entries.cols, minlength=entries.shape[1])
        known = {
            "_offsets": data.offsets,
            "_known": {key: row for row, key in reversed(keys)},
            "feature_scale_": scale,
            "incomplete_features_": np.flatnonzero(count < entries.shape[0]),
            "row_bias_": data.offsets.row_bias,
            "col_bias_": data.offsets.col_bias,
            "offset_": self._offset_of_columns(data.offsets, count),
            "n_observed_": len(entries),
        }
        dtype = self._dtype(entries.values.dtype)
        outcome = self._follow(data, dtype, (X, y, None), known)
        rest = data.target - self._product(entries.rows, entries.cols)
        self.reconstruction_err_ = _rms(rest * scale[entries.cols])
        self._report(outcome)
        return self

    def _describe(self, data, known, origin, path):
        found = super()._describe(data, known, origin, path)
        fold_in, gap = self._fold_in_of(data, found, origin)
        return found | {
            "_fold_in": fold_in,
            "fold_in_alpha_": fold_in.alpha,
            "fold_in_gap_": gap,
            "_n_features_out": found["n_components_"],
        }

    def _entries(self, X, *, reset):
        """Validate a table and take its entries."""
        missing = self.missing_values
        X = validate_data(
            self,
            as_array(X),
            reset=reset,
            accept_sparse=("csr", "csc", "coo"),
            dtype=FLOATS,
            ensure_all_finite="allow-nan",  # NaN beside another mark is refused below
        )
        return Entries.from_matrix(X, missing)

    def _scale_of(self, entries):
        """Return what columns are divided by."""
        return np.ones(entries.shape[1], dtype=entries.values.dtype)

    def _offset_of_columns(self, offsets, count):
        """Return the offsets of columns with so many observed entries."""
        return offsets.intercept + offsets.col_bias

    def _product(self, rows, cols):
        """Return entries of the fitted matrix without offsets."""
        return product_entries(self.embedding_, self.components_.T, rows, cols)

    # -- new rows ------------------------------------------------------------------

    def _fold_in_of(self, data, found, origin):
        """Return the fold-in of a fitted matrix, and its gap on training rows."""
        values = found["singular_values_"]
        decays = self.weight_decay > 0 and self.depth == 2
        fold_in = FoldIn.build(
            found["components_"], values, power=0.5 if decays else 1.0
        )
        alphas = [*STRENGTHS]
        if self.fold_in_alpha != "auto":
            alphas = [self.fold_in_alpha]
        elif decays and values[0] > 0:
            # Of least squares with a nuclear norm rows have exactly these codes.
            alphas.append(origin.weight_decay * origin.unit / float(values[0]))
        return fold_in.calibrated(
            data.entries, data.target, found["embedding_"], alphas
        )

    def _codes(self, entries):
        """Return codes and biases of rows: of those of the training their own."""
        entries = entries.with_values(
            entries.values / self.feature_scale_[entries.cols]
        )
        known = np.array([self._known.get(key, -1) for key in row_keys(entries)])
        new = known < 0
        bias = np.where(new, self._offsets.new_rows(entries), self.row_bias_[known])
        others = entries.take(new[entries.rows])
        rest = others.values - self.offset_[others.cols] - bias[others.rows]
        codes = self._fold_in.codes(others, rest)
        codes[~new] = self.embedding_[known[~new]]
        return codes, bias

    def _completed(self, codes, bias):
        table = codes @ self.components_ + self.offset_ + bias[:, None]
        return table * self.feature_scale_

    def impute(self, X):
        """Fill the holes of a table, and leave the rest as it is.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows as in `fit`, known or new; new ones are folded in.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Without holes; dense for sparse X, too.
        """
        check_is_fitted(self)
        entries = self._entries(X, reset=False)
        full = self._completed(*self._codes(entries)).astype(entries.values.dtype)
        full[entries.rows, entries.cols] = entries.values
        return full

    # -- the training table --------------------------------------------------------

    def complete(self):
        """Return the fitted matrix with its offsets.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Fitted values of all entries of the training table, observed or not.
        """
        check_is_fitted(self)
        dtype = self.components_.dtype
        return self._completed(self.embedding_, self.row_bias_).astype(dtype)

    def predict_entries(self, rows, cols):
        """Return entries of the fitted matrix without forming it.

        Parameters
        ----------
        rows, cols : array-like of int of shape (n_entries,)
            Places in the training table; negative ones count from the end.

        Returns
        -------
        ndarray of shape (n_entries,)

        Raises
        ------
        IndexError
            If a place is outside of the table.
        """
        check_is_fitted(self)
        rows, cols = np.asarray(rows), np.asarray(cols)
        offset = self.offset_[cols] + self.row_bias_[rows]
        return self.feature_scale_[cols] * (self._product(rows, cols) + offset)

    def tangent_kernel(self, X, Y=None, *, at="end"):
        """Return the tangent kernel between entries of the matrix, closed form.

        Parameters
        ----------
        X : array-like of int of shape (n_entries_X, 2)
            Rows and columns of entries of the training table.
        Y : array-like of int of shape (n_entries_Y, 2), default=None
            The same; None is ``X``.
        at : {"init", "end"}, default="end"
            When: at the start, or where the flow stopped.

        Returns
        -------
        ndarray of shape (n_entries_X, n_entries_Y)
            Inner products of the gradients of the entries in the factors.

        Raises
        ------
        ValueError
            If ``at`` is unknown, or X is not pairs.
        """
        check_is_fitted(self)
        pairs = [np.asarray(A) for A in (X, X if Y is None else Y)]
        if any(A.ndim != 2 or A.shape[1] != 2 for A in pairs):
            raise ValueError("X and Y must be pairs (row, column), of shape (n, 2).")
        return kernel_entries(self._factors_at(at), *pairs[0].T, *pairs[1].T)

    def excess_nuclear_norm(self, X):
        """Return how much larger the nuclear norm is than the least possible.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The training table.

        Returns
        -------
        float
            The nuclear norm of the fitted matrix over the least one of all matrices
            with the observed entries, minus 1. Below zero if the fit does not
            interpolate.
        """
        check_is_fitted(self)
        entries = self._entries(X, reset=False)
        offset = self._offsets.at(entries.rows, entries.cols)
        rest = entries.values / self.feature_scale_[entries.cols] - offset
        return self._excess(entries.with_values(rest).csr())

    def score(self, X, y=None):
        """Return how well entries held out within rows are predicted.

        A fifth of the observed entries of each row is hidden, always the same, and the
        rest folded in.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows, new ones if the score is to mean something.
        y : None
            Ignored.

        Returns
        -------
        float
            R2 of the hidden entries against the offsets of columns; nan if there is
            nothing to hide.
        """
        check_is_fitted(self)
        entries = self._entries(X, reset=False)
        hidden = _hide(entries)
        if not hidden.any():
            return float("nan")
        table = self._completed(*self._codes(entries.take(~hidden)))
        rows, cols = entries.rows[hidden], entries.cols[hidden]
        scale, truth = self.feature_scale_[cols], entries.values[hidden]
        error = (truth - table[rows, cols]) / scale
        spread = _rms(truth / scale - self.offset_[cols])
        return 1 - (_rms(error) / spread) ** 2 if spread > 0 else float("nan")


def _rms(values):
    """Return the root of the mean square; no square overflows."""
    largest = float(np.max(np.abs(values))) or 1.0
    return largest * math.sqrt(np.mean(np.square(values / largest, dtype=float)))


def _hide(entries):
    """Choose entries of each row, the same whatever other rows there are.

    They depend on the order of the row's entries by size, so that of rows without holes
    they are not all in the same columns.
    """
    hidden = np.zeros(len(entries), dtype=bool)
    ends = np.searchsorted(entries.rows, np.arange(entries.shape[0] + 1))
    for start, end in pairwise(ends):
        by_size = np.argsort(entries.values[start:end], kind="stable")
        order = np.random.RandomState(crc32(by_size.tobytes())).permutation(end - start)
        # Of a row with few entries one, but never the only one.
        count = max(1, int(_HIDDEN * (end - start))) if end - start > 1 else 0
        hidden[start + order[:count]] = True
    return hidden


@documented("entries")
class MatrixFactorizer(ClassNamePrefixFeaturesOutMixin, TableEstimator):
    """Low-rank codes of the rows of a table with holes, by deep matrix factorization.

    The table is fitted by a product of matrices ``M = W_L ... W_1``, trained by
    gradient flow on the observed entries alone. From a small start the product is of
    low rank, although no rank is chosen; from a large one the holes stay what they
    were.

    In contrast to `sklearn.decomposition.NMF` and `TruncatedSVD`, an entry of a sparse
    table that is not stored is not zero: it is not known.

    Parameters
    ----------
    n_components : int, default=None
        Width k of the factors, a bound on the rank; None is ``min(n_samples,
        n_features)``, no bound.

    <parameters of the flow>

    missing_values : float, default=nan
        Marks the holes of X.

    fold_in_alpha : float or "auto", default="auto"
        Strength of the regularisation with which codes of new rows are found; "auto" is
        the one that reproduces the codes of training rows best.

    <parameters of the computation>

    Attributes
    ----------
    <attributes of the flow>
    offset_, row_bias_, col_bias_ : ndarray
        Offsets: of each column with the mean, of each row, and of each column without.
    reconstruction_err_ : float
        Root of the mean squared error on the observed entries.
    fold_in_alpha_, fold_in_gap_ : float
        Strength used, and how far it takes training rows from their codes, relative to
        these.
    incomplete_features_ : ndarray of int
        Columns that had holes.
    feature_scale_ : ndarray of shape (n_features,)
        What columns are divided by: all ones here.
    n_observed_ : int
        Number of observed entries.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    MatrixFactorizationImputer : Fills the holes.
    MatrixCompletionRegressor : The same for entries given one by one.

    References
    ----------
    Arora, Cohen, Hu, Luo, "Implicit Regularization in Deep Matrix Factorization",
    NeurIPS 2019.

    Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro, "Implicit Regularization in
    Matrix Factorization", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes import MatrixFactorizer
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30))
    >>> X = np.where(rng.random(truth.shape) < 0.5, truth, np.nan)
    >>> model = MatrixFactorizer(depth=3, center=None, early_stopping=False)
    >>> model = model.fit(X)
    >>> print(model.regime_, round(model.effective_rank_, 1))
    rich 2.0
    >>> error = np.linalg.norm(model.complete() - truth) / np.linalg.norm(truth)
    >>> bool(error < 0.01)
    True
    """

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
        missing_values=np.nan,
        fold_in_alpha="auto",
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
        self.missing_values = missing_values
        self.fold_in_alpha = fold_in_alpha
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def transform(self, X):
        """Return the codes of rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows as in `fit`. Those of the training table have the codes found there;
            new ones are folded in, by regularised least squares.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Coordinates on ``components_``.
        """
        check_is_fitted(self)
        entries = self._entries(X, reset=False)
        return self._codes(entries)[0].astype(entries.values.dtype)

    def inverse_transform(self, X):
        """Return the rows that belong to codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes. Biases of rows, which ``center="both"`` knows, are not among them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If the number of columns is not ``n_components_``.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=FLOATS)
        if X.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {X.shape[1]} columns, but codes have {self.n_components_}."
            )
        return self._completed(X, np.zeros(len(X))).astype(X.dtype)
