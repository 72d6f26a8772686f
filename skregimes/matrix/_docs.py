"""Sentences that the docstrings of all matrix estimators share."""

__all__ = ["documented"]

_PARAMETERS = """depth : int, default=2
        Number L of factors. Deeper products separate the ranks more sharply: they need
        fewer entries of a table of exactly low rank, and are more at a loss with noise.

    init : {{"spectral", "gaussian", "orthogonal", "identity", "lifted"}}, \
default="spectral"
        Law of the factors at the start, at scale a:

        - "spectral": singular values a, along {spectral};
          no randomness, and the best start for noisy tables;
        - "gaussian": independent entries of deviation a, as in the papers;
        - "orthogonal": singular values a, random directions, balanced;
        - "identity": a times (rectangular) identities;
        - "lifted": the limit of infinite width, whose product starts at zero: the
          clean dial between kernel and rich. Its width is d1 + d2, and
          ``n_components`` the number of singular values that the result keeps.

    init_scale : float, default=1e-6
        Scale of the start. With ``units="relative"`` it is the end-to-end scale s0,
        ``(a**2 k)**(L/2)`` for "gaussian" and ``a**L`` for the others, over
        ``{unit}``,
        the size of the matrix that the data ask for. From 10 on, if "lifted" or
        ``centered``, the kernel regime, in which
        {kernel}; below 1e-3 the rich one.
        With "paper" it is a.

    units : {{"relative", "paper"}}, default="relative"
        Units of ``init_scale``, ``weight_decay`` and of times. With "relative" times
        are multiples of ``time_unit_``, the fastest time of the start, and fitting c
        times the data gives c times the matrix. With "paper" time is that of
        ``dW_j/dt = -dloss/dW_j`` with the loss ``sum_n (<A_n, M> - y_n)**2 / 2``.

    centered : bool, default=False
        Whether the product of the start is subtracted. Large starts need it, but for
        "lifted".

    {offsets}

    weight_decay : float, default=0.0
        Weight of ``sum_j |W_j|**2 / 2`` in the loss. With "relative" 1 is the least
        that leaves nothing at depth 2. At depth 2 and without early stopping the fit
        then ends at least squares with a nuclear norm, that of soft-impute. Deeper
        products shrink to zero unless ``init_scale`` is above about
        ``weight_decay**(depth / (depth - 2))``.

    solver : {{"auto", "chebyshev", "gd"}}, default="auto"
        "chebyshev", which is "auto", follows gradient flow by a stabilised explicit
        Runge-Kutta method; "gd" runs the discrete algorithm, which ends somewhere else
        by an amount proportional to ``learning_rate``.

    learning_rate : float, default=None
        Step of "gd", in units of time; None follows the flow closely.

    early_stopping : {{"auto"}} or bool, default="auto"
        Whether to hold out ``validation_fraction`` of the {observed}, follow the flow
        of the others to where it predicts these best, and then fit everything to that
        time. Below 1000 held-out values this is done up to five times, and the mean
        error counts. "auto" does where there are 20 or more. False goes on to ``tol``
        or ``max_time``: with noise, a poor predictor.

    validation_fraction : float, default=0.1
        Share of the {observed} to hold out.

    n_iter_no_change : int, default=10
        Steps without improvement after which the search for that time ends.

    max_time : float, default=None
        Flow time at which to stop; None is no bound.

    tol : float, default=1e-8
        The flow ends when the loss is ``tol`` times that of a matrix of zeros: the
        residual is 1e-4 of the data by default. With ``weight_decay``, when the loss is
        that close to its minimum.

    rtol : float, default=None
        Tolerance of a step of "chebyshev"; None is 1e-3, or 1e-2 where early stopping
        ends the flow. With 1e-3 the matrix on its way is late or early by about .5 %
        of the time at depth 2, 2 % at depth 3 and 10 % at depth 4; that falls with
        ``rtol**(2/3)``. Where a flow ends is known better.

    max_iter : int, default=10000
        Largest number of steps."""

_COMPUTING = """dtype : {{None, "float64", "float32"}}, default=None
        Of the arithmetic; None is that of the data. "float32" takes half the time for
        large tables.

    device : str, default="cpu"
        Device of torch.

    random_state : int, RandomState instance or None, default=None
        Seed of the start and of the held-out part.

    verbose : int, default=0
        Whether to print a line a decade of time."""

_ATTRIBUTES = """factors_, initial_factors_ : list of ndarray
        ``W_1`` (k, d2) to ``W_L`` (d1, k) at the end and at the start. At depth 2 a
        width k above d1 + d2 is replaced by d1 + d2, with exactly the same result.
    components_ : ndarray of shape (n_components, d2)
        Right singular vectors of the fitted matrix, orthonormal rows.
    singular_values_ : ndarray of shape (n_components,)
        Its singular values, falling.
    embedding_ : ndarray of shape (d1, n_components)
        Left singular vectors times singular values.
    n_components_ : int
        Number of these.
    effective_rank_, stable_rank_ : float
        Exponential of the entropy of the singular values, and their sum of squares over
        the largest squared.
    richness_, regime_ : float, str
        ``kernel_change_ / (1 + kernel_change_)``: 0 is kernel, 1 is rich; "kernel"
        below .1, "rich" above .9.
    kernel_change_, kernel_alignment_, kernel_angle_ : float
        Change of the tangent kernel on all entries, relative to the start; cosine and
        angle between the two.
    weight_change_ : float
        Change of the factors relative to the start.
    balancedness_ : float
        Largest ``|W_{{j+1}}.T W_{{j+1}} - W_j W_j.T|`` over ``sum_j |W_j|**2``:
        gradient flow keeps the differences as they were at the start.
    scale_, alpha_ : float
        End-to-end scale of the start over ``scale_unit_``, and the scale a of factors.
    scale_unit_, time_unit_ : float
        Units of the scale and of relative times.
    time_, loss_, n_iter_, solver_, converged_
        Where and how the flow stopped.
    trajectory_ : FactorTrajectory
        ``time``, ``loss``, ``factors``, ``singular_values`` and ``richness`` on the
        way.
    validation_curve_ : ndarray of shape (n_points, 2)
        Times and mean squared errors on what was held out, if something was.
    validation_score_ : float
        Least of these errors.
    log_volume_ : float
        Log volume of the deep linear networks' metric at the fitted matrix, on the
        stratum of singular values above 1 % of the largest. A density: comparable at
        equal scale and rank only. Computed when asked for."""

_CENTER = """center : {None, "global", "columns", "both"}, default="CENTER"
        Offsets that are subtracted before, and added again: none, the mean, the means
        of columns, or the mean with biases of rows and columns, damped as the table
        suggests."""

_WORDS = {
    "entries": {
        "spectral": "the top singular vectors of the zero-filled table",
        "unit": "rms(observed, centred) * sqrt(d1 d2)",
        "kernel": "nothing is learned of entries not observed",
        "observed": "observed entries",
    },
    "measurements": {
        "spectral": "the top singular vectors of ``sum_n y_n A_n``",
        "unit": "rms(y) / rms(A)",
        "kernel": "the matrix of least Frobenius norm is found",
        "observed": "samples",
        "offsets": """fit_intercept : bool, default=True
        Whether there is an intercept, learned at once.""",
    },
}

_TEXTS = {
    "parameters of the flow": _PARAMETERS,
    "parameters of the computation": _COMPUTING,
    "attributes of the flow": _ATTRIBUTES,
}


def documented(kind, center="global"):
    """Fill what all matrix estimators have in common into the docstring of a class.

    Parameters
    ----------
    kind : {"entries", "measurements"}
        What is observed.
    center : str
        Default of the parameter of this name.
    """
    words = {"offsets": _CENTER.replace("CENTER", center)} | _WORDS[kind]

    def fill(cls):
        if cls.__doc__:  # python -OO has none
            for name, text in _TEXTS.items():
                text = text.format(**words)
                cls.__doc__ = cls.__doc__.replace(f"<{name}>", text)
        return cls

    return fill
