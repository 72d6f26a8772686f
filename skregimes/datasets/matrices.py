"""Low-rank matrices to recover, and the two forms that a table with holes can take."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from skregimes._entries import Entries
from skregimes.datasets._checks import check_counts, check_noise, check_shape

__all__ = [
    "entries_to_matrix",
    "holdout_entries",
    "make_low_rank_matrix_completion",
    "make_matrix_sensing",
    "matrix_to_entries",
]


def make_low_rank_matrix_completion(
    shape=(100, 100),
    *,
    rank=5,
    n_observed=0.2,
    noise=0.0,
    random_state=None,
    return_matrix=False,
):
    """Draw a low-rank matrix of which only some entries are observed.

    The matrix is a product of two Gaussian factors, scaled to entries of mean square 1:
    its Frobenius norm is ``sqrt(d1 * d2)``, so n for an n x n matrix, and the
    signal-to-noise ratio is ``1 / noise**2`` in variances. The observed positions are
    drawn uniformly, without replacement; a row or a column may remain empty.

    Parameters
    ----------
    shape : tuple of int, default=(100, 100)
        Numbers ``(d1, d2)`` of rows and columns.
    rank : int, default=5
        Rank of the matrix, from 1 to ``min(shape)``.
    n_observed : int or float, default=0.2
        Number of observed entries if an int, at least 1, else their share, in (0, 1].
    noise : float, default=0.0
        Standard deviation of the Gaussian noise of the observed entries.
    random_state : int, RandomState instance or None, default=None
        Draws the matrix, then the observed positions, then the noise.
    return_matrix : bool, default=False
        Whether to return the matrix too.

    Returns
    -------
    X : ndarray of shape (d1, d2)
        Observed entries, NaN elsewhere. `matrix_to_entries` turns it into pairs.
    matrix : ndarray of shape (d1, d2)
        Only if `return_matrix`: the whole matrix, without noise.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Arora, Cohen, Hu, Luo, "Implicit Regularization in Deep Matrix Factorization",
    NeurIPS 2019, section 2: ``shape=(100, 100), rank=5, n_observed=2000``.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.datasets import make_low_rank_matrix_completion
    >>> X, matrix = make_low_rank_matrix_completion(
    ...     (30, 20), rank=2, n_observed=250, random_state=0, return_matrix=True
    ... )
    >>> int(np.isfinite(X).sum()), int(np.linalg.matrix_rank(matrix))
    (250, 2)
    """
    d1, d2 = check_shape(shape)
    _check_rank(rank, d1, d2)
    count = _count_of("n_observed", n_observed, d1 * d2)
    check_noise(noise)
    random = check_random_state(random_state)
    left, right = random.standard_normal((d1, rank)), random.standard_normal((d2, rank))
    matrix = left @ right.T
    matrix /= np.sqrt(np.mean(matrix**2))
    observed = random.permutation(d1 * d2)[:count]
    X = np.full(d1 * d2, np.nan)
    X[observed] = matrix.ravel()[observed] + noise * random.standard_normal(count)
    X = X.reshape(d1, d2)
    return (X, matrix) if return_matrix else X


def make_matrix_sensing(
    n_samples=200,
    shape=(20, 20),
    *,
    rank=2,
    psd=False,
    noise=0.0,
    random_state=None,
    coef=False,
):
    """Draw linear measurements of a low-rank matrix.

    ``y_n = <A_n, M> + noise``, where the ``A_n`` have standard normal entries and M is
    a product of Gaussian factors, scaled to Frobenius norm 1. The measurements then
    have variance 1, so the signal-to-noise ratio is ``1 / noise**2`` in variances.

    Parameters
    ----------
    n_samples : int, default=200
        Number of measurements, at least 1.
    shape : tuple of int, default=(20, 20)
        Shape ``(d1, d2)`` of the matrix.
    rank : int, default=2
        Rank of the matrix, from 1 to ``min(shape)``.
    psd : bool, default=False
        Whether the matrix is symmetric and positive semidefinite, and measured by the
        symmetric parts ``(A_n + A_n') / 2``. The measurements of such a matrix are the
        same, but only then is a flow from a symmetric start symmetric.
    noise : float, default=0.0
        Standard deviation of the Gaussian noise.
    random_state : int, RandomState instance or None, default=None
        Draws the matrix, then the measurements, then the noise.
    coef : bool, default=False
        Whether to return the matrix too.

    Returns
    -------
    X : ndarray of shape (n_samples, d1 * d2)
        Measurement matrices, row by row: ``X[n].reshape(shape)`` is ``A_n``.
    y : ndarray of shape (n_samples,)
        Measurements.
    coef : ndarray of shape (d1, d2)
        Only if `coef`: the matrix.

    Raises
    ------
    ValueError
        If an argument is out of its domain.

    References
    ----------
    Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro, "Implicit Regularization in
    Matrix Factorization", NeurIPS 2017, section 2, for ``psd=True``. Recht, Fazel,
    Parrilo, "Guaranteed Minimum-Rank Solutions of Linear Matrix Equations via Nuclear
    Norm Minimization", SIAM Review 52, 2010, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.datasets import make_matrix_sensing
    >>> X, y, matrix = make_matrix_sensing(50, (8, 6), random_state=0, coef=True)
    >>> X.shape, y.shape, bool(np.allclose(X @ matrix.ravel(), y))
    ((50, 48), (50,), True)
    """
    check_counts(n_samples=n_samples)
    d1, d2 = check_shape(shape)
    _check_rank(rank, d1, d2)
    if psd and d1 != d2:
        raise ValueError(f"psd=True needs a square matrix; got shape=({d1}, {d2}).")
    check_noise(noise)
    random = check_random_state(random_state)
    left = random.standard_normal((d1, rank))
    right = left if psd else random.standard_normal((d2, rank))
    matrix = left @ right.T
    matrix /= np.linalg.norm(matrix)
    measured = random.standard_normal((n_samples, d1, d2))
    if psd:
        measured = (measured + measured.transpose(0, 2, 1)) / 2
    X = measured.reshape(n_samples, d1 * d2)
    y = X @ matrix.ravel() + noise * random.standard_normal(n_samples)
    return (X, y, matrix) if coef else (X, y)


def matrix_to_entries(X, missing_values=np.nan):
    """List the observed entries of a table, one sample each.

    In this form estimators such as `MatrixCompletionRegressor` take them, and splitters
    such as KFold split entries instead of rows.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (d1, d2)
        Dense with holes, or sparse: what it stores is observed, zeros too.
    missing_values : float, default=np.nan
        Marks the holes.

    Returns
    -------
    pairs : ndarray of shape (n_entries, 2), of int
        Numbers of row and column from 0, sorted.
    y : ndarray of shape (n_entries,)
        Values; if a sparse matrix stores a position more than once, their mean.

    Raises
    ------
    ValueError
        If X is no matrix, or an entry that is not a hole is not finite.

    See Also
    --------
    entries_to_matrix : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.datasets import matrix_to_entries
    >>> pairs, y = matrix_to_entries([[5.0, np.nan], [0.0, 2.0]])
    >>> pairs.tolist(), y.tolist()
    ([[0, 0], [1, 0], [1, 1]], [5.0, 0.0, 2.0])
    """
    return _pairs_of(Entries.from_matrix(X, missing_values))


def entries_to_matrix(pairs, y, shape=None):
    """Put entries listed one by one into a table with holes.

    Parameters
    ----------
    pairs : array-like of shape (n_samples, 2)
        Numbers of row and column from 0. Labels of other kinds are first numbered, for
        instance by `sklearn.preprocessing.OrdinalEncoder`.
    y : array-like of shape (n_samples,)
        Values; the mean counts where a pair occurs more than once.
    shape : tuple of int, default=None
        Shape ``(d1, d2)`` of the table; None: the smallest that holds all pairs.

    Returns
    -------
    X : ndarray of shape (d1, d2)
        The table, NaN where nothing was listed.

    Raises
    ------
    ValueError
        If pairs are not whole numbers from 0, or do not fit the values or the shape.

    See Also
    --------
    matrix_to_entries : The way back.

    Examples
    --------
    >>> from skregimes.datasets import entries_to_matrix
    >>> entries_to_matrix([[0, 0], [1, 0], [1, 1]], [5.0, 0.0, 2.0])
    array([[ 5., nan],
           [ 0.,  2.]])
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"pairs must have shape (n_samples, 2); got {pairs.shape}.")
    numeric = pairs.dtype.kind in "iuf" and np.all(np.isfinite(pairs))
    if not numeric or np.any(pairs != np.floor(pairs)):
        raise ValueError("pairs must be whole numbers; encode labels of other kinds.")
    rows, cols = pairs.T
    if shape is None:
        if len(pairs) == 0:
            raise ValueError("Without pairs, the shape must be given.")
        shape = rows.max() + 1, cols.max() + 1
    else:
        shape = check_shape(shape)
    return Entries.from_pairs(rows, cols, y, None, shape).dense(np.nan)


def holdout_entries(X, test_size=0.2, random_state=None, *, missing_values=np.nan):
    """Hide some of the observed entries of a table, to test a completion on them.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (d1, d2)
        Dense with holes, or sparse: what it stores is observed, zeros too.
    test_size : float or int, default=0.2
        Entries to hide: their share, in (0, 1), if a float, else their number. At least
        one is hidden and at least one is left.
    random_state : int, RandomState instance or None, default=None
        Draws the entries, uniformly and without replacement.
    missing_values : float, default=np.nan
        Marks the holes, and what is hidden in a dense table.

    Returns
    -------
    X_train : ndarray, or sparse matrix in CSR format, of shape (d1, d2)
        A copy of the table without the hidden entries.
    pairs : ndarray of shape (n_hidden, 2), of int
        Rows and columns of the hidden entries, sorted.
    values : ndarray of shape (n_hidden,)
        Their values.

    Raises
    ------
    ValueError
        If fewer than two entries are observed, or `test_size` leaves or hides none.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.datasets import holdout_entries
    >>> X = np.arange(20.0).reshape(4, 5)
    >>> X_train, pairs, values = holdout_entries(X, random_state=0)
    >>> int(np.isnan(X_train).sum()), values.shape
    (4, (4,))
    >>> bool(np.all(X[pairs[:, 0], pairs[:, 1]] == values))
    True
    """
    entries = Entries.from_matrix(X, missing_values)
    if isinstance(test_size, Integral):
        check_counts(test_size=test_size)
        test_size = test_size / max(len(entries), 1)
    train, held = entries.split(test_size, check_random_state(random_state))
    if not sparse.issparse(X):
        return train.dense(missing_values), *_pairs_of(held)
    kind = sparse.csr_matrix if isinstance(X, sparse.spmatrix) else sparse.csr_array
    return kind(train.csr()), *_pairs_of(held)


def _pairs_of(entries):
    return np.column_stack([entries.rows, entries.cols]), entries.values


def _check_rank(rank, d1, d2):
    check_counts(rank=rank)
    if rank > min(d1, d2):
        raise ValueError(f"rank={rank} is more than a {d1} x {d2} matrix can have.")


def _count_of(name, number, total):
    """Return a number given as an int, or as a share of the total."""
    if isinstance(number, Integral):
        check_counts(**{name: number})
    elif not 0 < number <= 1:
        raise ValueError(f"{name} as a share must be in (0, 1]; got {number!r}.")
    count = number if isinstance(number, Integral) else max(round(number * total), 1)
    if count > total:
        raise ValueError(f"{name}={count} is more than the {total} entries there are.")
    return count
