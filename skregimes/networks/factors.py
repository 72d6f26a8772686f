"""Products of factors, or deep linear networks: starts, products, tangent kernels.

A network of depth L is a list of factors ``[W_1, ..., W_L]`` with ``M = W_L ... W_1``
of shape (d1, d2): ``W_1`` is (width, d2), ``W_L`` is (d1, width), those between are
(width, width).
"""

import math
from numbers import Integral

import numpy as np
from scipy.linalg import svd
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds
from sklearn.utils import check_random_state
from sklearn.utils.extmath import svd_flip

__all__ = [
    "LAWS",
    "alpha_of",
    "compress",
    "draw_factors",
    "end_to_end_scale",
    "full_width",
    "kernel_entries",
    "kernel_inner",
    "kernel_measure",
    "outer",
    "product",
    "product_entries",
    "product_svd",
]

LAWS = ("spectral", "gaussian", "orthogonal", "identity", "lifted")
# Up to this many entries a dense SVD takes less than a second.
_SMALL = 1_000_000
# Numbers gathered at a time.
_GATHER = 4_000_000
# Of the arbitrary part of a spectral start. Nobody draws data with it: data made of the
# very same numbers would span what is to complete them.
_SEED = 0x5EED_FAC7_0125


# -- scales ------------------------------------------------------------------------


def full_width(law, shape):
    """Return the width that lets the product be any matrix of this shape.

    Parameters
    ----------
    law : {"spectral", "gaussian", "orthogonal", "identity", "lifted"}
        Law of the start.
    shape : tuple of (int, int)
        Shape of the product.

    Returns
    -------
    int
        ``d1 + d2`` for "lifted", which needs exactly this one, else ``min(d1, d2)``.
    """
    return sum(shape) if law == "lifted" else min(shape)


def end_to_end_scale(law, alpha, width, depth):
    """Return the scale of the product at the start, which sets the regime.

    Parameters
    ----------
    law : {"spectral", "gaussian", "orthogonal", "identity", "lifted"}
        Law of the start.
    alpha : float
        Scale of each factor, positive.
    width, depth : int
        Width of the hidden layers, number of factors.

    Returns
    -------
    float
        ``(alpha**2 * width)**(depth / 2)`` for "gaussian", else ``alpha**depth``.

    Raises
    ------
    ValueError
        If a number is not positive, or the scale is beyond float64.
    """
    _check_law(law, width, depth)
    _check_scale("alpha", alpha)
    # Python's power raises where NumPy's would answer inf.
    with np.errstate(over="ignore", under="ignore"):
        scale = float(np.float64(alpha * _spread(law, width)) ** depth)
    if not 0 < scale < math.inf:
        raise ValueError(
            f"alpha={alpha:g} at depth {depth} makes the product's scale leave float64."
        )
    return scale


def alpha_of(law, s0, width, depth):
    """Return the scale of each factor that gives this scale to the product.

    Parameters
    ----------
    law : {"spectral", "gaussian", "orthogonal", "identity", "lifted"}
        Law of the start.
    s0 : float
        End-to-end scale, positive: what `end_to_end_scale` returns.
    width, depth : int
        Width of the hidden layers, number of factors.

    Returns
    -------
    float
        The papers' alpha.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    _check_law(law, width, depth)
    _check_scale("s0", s0)
    return float(s0) ** (1 / depth) / _spread(law, width)


def _spread(law, width):
    """Size of the singular values of a wide factor of unit scale."""
    return math.sqrt(width) if law == "gaussian" else 1.0


def _check_law(law, width, depth):
    if law not in LAWS:
        raise ValueError(f"init={law!r} must be one of {LAWS}.")
    for name, number, least in [("width", width, 1), ("depth", depth, 2)]:
        if not isinstance(number, Integral) or number < least:
            raise ValueError(f"{name}={number!r} must be an integer >= {least}.")


def _check_scale(name, scale):
    if not 0 < scale < math.inf:
        raise ValueError(f"{name}={scale!r} must be positive and finite.")


# -- starts ------------------------------------------------------------------------


def draw_factors(law, shape, width, depth, scale, *, data=None, random_state=None):
    """Return the factors at time zero.

    Parameters
    ----------
    law : {"spectral", "gaussian", "orthogonal", "identity", "lifted"}
        With ``r = min(width, d1, d2)``:

        - "spectral": all singular values of all factors are `scale`, and those of the
          product have the top r singular vectors of `data`; no draw is made;
        - "gaussian": independent normal entries of deviation `scale`;
        - "orthogonal": as "spectral", with random singular vectors;
        - "identity": each factor is `scale` times a rectangular identity;
        - "lifted": the limit of infinite width at depth 2. The product is zero and the
          tangent kernel ``depth * scale**(2 * depth - 2)`` times the identity.

        "spectral" and "orthogonal" are balanced, ``W_(j+1).T @ W_(j+1) = W_j @ W_j.T``,
        and "identity" is up to width ``min(d1, d2)``.
    shape : tuple of (int, int)
        Shape of the product, (d1, d2).
    width, depth : int
        Width of the hidden layers, number of factors (at least 2).
    scale : float
        The papers' alpha, positive.
    data : array-like or sparse array of shape (d1, d2), default=None
        For "spectral": the observed entries, zero elsewhere. Singular vectors beyond
        its rank are arbitrary, but always the same.
    random_state : int, RandomState or None, default=None
        Source of the draw of "gaussian" and "orthogonal".

    Returns
    -------
    list of ndarray
        ``W_1`` of shape (width, d2), those between, ``W_depth`` of shape (d1, width).

    Raises
    ------
    ValueError
        If an argument is out of its domain, or "lifted" has not its full width.

    References
    ----------
    Arora, Cohen, Hu and Luo, "Implicit Regularization in Deep Matrix Factorization",
    NeurIPS 2019, Section 3 (balanced starts).

    Examples
    --------
    >>> from skregimes.networks.factors import draw_factors, product
    >>> factors = draw_factors("orthogonal", (4, 3), 2, 3, 0.1, random_state=0)
    >>> [factor.shape for factor in factors]
    [(2, 3), (2, 2), (4, 2)]
    >>> import numpy as np
    >>> np.linalg.svd(product(factors))[1].round(6)
    array([0.001, 0.001, 0.   ])
    """
    _check_law(law, width, depth)
    _check_scale("scale", scale)
    d1, d2 = shape
    sizes = [(width, d2), *[(width, width)] * (depth - 2), (d1, width)]
    if law == "gaussian":
        random = check_random_state(random_state)
        return [scale * random.standard_normal(size) for size in sizes]
    if law == "identity":
        return [scale * np.eye(*size) for size in sizes]
    if law == "lifted":
        if width != d1 + d2:
            raise ValueError(
                f'init="lifted" has the width d1 + d2 = {d1 + d2}; got {width}. Leave'
                " n_components out."
            )
        hidden = [np.eye(width)] * (depth - 2)
        unit = [np.eye(width, d2), *hidden, np.eye(d1, width, k=d2)]
        return [scale * factor for factor in unit]
    rank = min(width, d1, d2)
    if law == "spectral":
        if data is None:
            raise ValueError('init="spectral" needs data of shape (d1, d2).')
        left, right = _singular_frames(data, (d1, d2), rank)
        inner = [np.eye(width, rank)] * (depth - 1)
    else:
        random = check_random_state(random_state)
        left, right, *inner = (
            _complete(np.empty((size, 0)), rank, random)
            for size in [d1, d2, *[width] * (depth - 1)]
        )
    frames = [right, *inner, left]
    return [scale * frames[j + 1] @ frames[j].T for j in range(depth)]


def _singular_frames(data, shape, rank):
    """Orthonormal columns: top singular vectors, left and right, then arbitrary."""
    # One form, so that dense and sparse data give the same bits.
    table = csr_array(data, dtype=np.float64, copy=True)
    table.sum_duplicates()
    if table.shape != shape:
        raise ValueError(f"data has the shape {table.shape}; {shape} is asked for.")
    size = np.max(np.abs(table.data), initial=0.0)
    if not np.isfinite(size):
        raise ValueError("data must be finite: NaN or infinity found.")
    random = np.random.default_rng(_SEED)
    left, right = np.empty((shape[0], 0)), np.empty((shape[1], 0))
    if size > 0:
        left, right = _top_vectors(table / size, rank, random)
    return _complete(left, rank, random), _complete(right, rank, random)


def _top_vectors(table, rank, random):
    """Singular vectors, left and right, of values above rounding."""
    d1, d2 = table.shape
    if d1 * d2 <= _SMALL or 4 * rank > min(d1, d2):
        left, values, right = svd(table.toarray(), full_matrices=False)
    else:
        start = random.standard_normal(min(d1, d2))
        left, values, right = svds(table, k=rank, v0=start)
        left, values, right = left[:, ::-1], values[::-1], right[::-1]
    left, right = svd_flip(left, right, u_based_decision=False)
    noise = np.finfo(np.float64).eps * max(d1, d2) * values[0]
    known = int(np.sum(values[:rank] > noise))
    return left[:, :known], right[:known].T


def _complete(frame, rank, random):
    """Append orthonormal columns, of uniform direction, up to this rank."""
    size, known = frame.shape
    more = random.standard_normal((size, rank - known))
    columns, triangle = np.linalg.qr(np.hstack([frame, more]))
    # Signs that depend on the span of the frame only.
    columns = columns * np.sign(np.diag(triangle))
    return np.hstack([frame, columns[:, known:]])


def compress(factors):
    """Return the narrowest factors whose product has the same gradient flow.

    At depth 2 the flow of the product depends on the factors only through the Gram
    matrix of the rows of ``W_2`` and the columns of ``W_1``, with weight decay or
    without. So any width above d1 + d2 is exactly as good as d1 + d2.

    Parameters
    ----------
    factors : list of ndarray
        ``[W_1, ..., W_L]``.

    Returns
    -------
    list of ndarray
        Two factors of width d1 + d2; those given, if they are no wider or more than
        two.

    Examples
    --------
    >>> from skregimes.networks.factors import compress, draw_factors, product
    >>> wide = draw_factors("gaussian", (3, 2), 50, 2, 1.0, random_state=0)
    >>> narrow = compress(wide)
    >>> [factor.shape for factor in narrow]
    [(5, 2), (3, 5)]
    >>> import numpy as np
    >>> np.allclose(product(narrow), product(wide))
    True
    """
    first, last = factors[0], factors[-1]
    if len(factors) > 2 or len(first) <= len(last) + first.shape[1]:
        return factors
    _, triangle = np.linalg.qr(np.hstack([last.T, first]))
    return [triangle[:, len(last) :].copy(), triangle[:, : len(last)].T.copy()]


# -- products ----------------------------------------------------------------------


def outer(factors):
    """Return the product as that of two tall matrices.

    Parameters
    ----------
    factors : list of ndarray
        ``[W_1, ..., W_L]``.

    Returns
    -------
    left : ndarray of shape (d1, width)
        ``left @ right.T`` is the product.
    right : ndarray of shape (d2, width)
        The other half.
    """
    left, right = factors[-1], factors[0].T
    # Hidden layers go to the shorter side.
    if len(left) < len(right):
        for factor in reversed(factors[1:-1]):
            left = left @ factor
    else:
        for factor in factors[1:-1]:
            right = right @ factor.T
    return left, right


def product(factors):
    """Return ``W_L ... W_1``.

    Parameters
    ----------
    factors : list of ndarray
        ``[W_1, ..., W_L]``.

    Returns
    -------
    ndarray of shape (d1, d2)
        The end-to-end matrix.
    """
    left, right = outer(factors)
    return left @ right.T


def product_entries(left, right, rows, cols):
    """Return entries of ``left @ right.T`` without forming it.

    Parameters
    ----------
    left : ndarray of shape (d1, width)
        Left half, as from `outer`.
    right : ndarray of shape (d2, width)
        Right half.
    rows, cols : ndarray of int of shape (n_entries,)
        Where.

    Returns
    -------
    ndarray of shape (n_entries,)
    """
    rows, cols = np.broadcast_arrays(rows, cols)
    if len(left) * len(right) <= rows.size:
        return (left @ right.T)[rows, cols]
    found = np.empty(rows.shape, dtype=np.result_type(left, right))
    step = max(1, _GATHER // max(1, left.shape[1]))
    for start in range(0, rows.size, step):
        part = slice(start, start + step)
        found[part] = np.einsum("ij,ij->i", left[rows[part]], right[cols[part]])
    return found


def product_svd(left, right, rank=None):
    """Return the singular value decomposition of ``left @ right.T``.

    The product is formed only where it is no larger than its halves. Signs are fixed:
    the largest entry of each right vector is positive.

    Parameters
    ----------
    left : ndarray of shape (d1, width)
        Left half, as from `outer`.
    right : ndarray of shape (d2, width)
        Right half.
    rank : int, default=None
        Number of values to return; None means ``min(d1, d2, width)``.

    Returns
    -------
    U : ndarray of shape (d1, rank)
        Left singular vectors.
    s : ndarray of shape (rank,)
        Singular values, falling.
    Vt : ndarray of shape (rank, d2)
        Right singular vectors.
    """
    (d1, width), d2 = left.shape, len(right)
    if width < min(d1, d2):
        left, left_triangle = np.linalg.qr(left)
        right, right_triangle = np.linalg.qr(right)
        U, s, Vt = svd(left_triangle @ right_triangle.T)
        U, Vt = left @ U, Vt @ right.T
    else:
        U, s, Vt = svd(left @ right.T, full_matrices=False)
    U, Vt = svd_flip(U, Vt, u_based_decision=False)
    return U[:, :rank], s[:rank], Vt[:rank]


# -- tangent kernels ---------------------------------------------------------------


def _halves(factors):
    """Pairs ``(A_p, B_p)``: the kernel maps Z to ``sum_p A_p A_p' Z B_p B_p'``.

    ``A_p = W_L ... W_(p+1)`` and ``B_p = (W_(p-1) ... W_1)'``; None is the identity.
    """
    factors = [np.asarray(factor, dtype=np.float64) for factor in factors]
    lefts, rights = [None, factors[-1]], [None, factors[0].T]
    for factor in reversed(factors[1:-1]):
        lefts.append(lefts[-1] @ factor)
    for factor in factors[1:-1]:
        rights.append(rights[-1] @ factor.T)
    return list(zip(reversed(lefts), rights))


def kernel_entries(factors, rows, cols, rows2=None, cols2=None):
    """Return the tangent kernel between entries of the product.

    Parameters
    ----------
    factors : list of ndarray
        ``[W_1, ..., W_L]``.
    rows, cols : ndarray of shape (n,)
        Positions of the first entries.
    rows2, cols2 : ndarray of shape (m,), default=None
        Positions of the second entries; None means the first.

    Returns
    -------
    ndarray of shape (n, m)
        Inner products of the gradients of the entries in all factors, in float64.

    References
    ----------
    Arora, Cohen, Golowich and Hu, "A Convergence Analysis of Gradient Descent for Deep
    Linear Neural Networks", ICLR 2019, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes.networks.factors import kernel_entries
    >>> factors = [np.array([[1.0, 2.0]]), np.array([[3.0], [0.0]])]
    >>> kernel_entries(factors, np.array([0, 1]), np.array([0, 1]))
    array([[10.,  0.],
           [ 0.,  4.]])
    """
    rows2, cols2 = rows if rows2 is None else rows2, cols if cols2 is None else cols2
    kernel = np.zeros((len(rows), len(rows2)))
    for left, right in _halves(factors):
        kernel += _gram(left, rows, rows2) * _gram(right, cols, cols2)
    return kernel


def _gram(half, first, second):
    if half is None:
        return np.equal.outer(first, second).astype(np.float64)
    return half[first] @ half[second].T


def kernel_measure(factors, A, B=None):
    """Return the tangent kernel between linear measurements of the product.

    Parameters
    ----------
    factors : list of ndarray
        ``[W_1, ..., W_L]``.
    A : ndarray of shape (n, d1 * d2)
        First measurements, each a (d1, d2) matrix row by row.
    B : ndarray of shape (m, d1 * d2), default=None
        Second measurements; None means the first.

    Returns
    -------
    ndarray of shape (n, m)
        Inner products of the gradients of ``A @ M.ravel()`` and ``B @ M.ravel()``.
    """
    B = A if B is None else B
    matrices = np.asarray(B, dtype=np.float64).reshape(
        len(B), len(factors[-1]), factors[0].shape[1]
    )
    image = np.zeros_like(matrices)
    for left, right in _halves(factors):
        term = matrices if left is None else left @ (left.T @ matrices)
        image += term if right is None else (term @ right) @ right.T
    return A @ image.reshape(len(B), -1).T


def kernel_inner(factors, other):
    """Return the Frobenius inner product of two tangent kernels on all entries.

    It takes ``O(depth**2 * (d1 + d2) * width**2)`` operations: no kernel is formed.

    Parameters
    ----------
    factors, other : lists of ndarray
        Networks whose products have one shape.

    Returns
    -------
    float
        Sum over all pairs of entries.
    """
    # <A A', C C'> = |A' C|^2
    return float(
        sum(
            _overlap(left, left2, len(factors[-1]))
            * _overlap(right, right2, factors[0].shape[1])
            for left, right in _halves(factors)
            for left2, right2 in _halves(other)
        )
    )


def _overlap(first, second, size):
    if first is None and second is None:
        return size
    if first is None or second is None:
        return np.sum((first if second is None else second) ** 2)
    return np.sum((first.T @ second) ** 2)
