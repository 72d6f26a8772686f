"""What classifiers share: labels, calibrated log odds, and the answers made of them."""

from abc import ABC, abstractmethod
from numbers import Number

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skregimes._arrays import as_array
from skregimes._base import effective_samples
from skregimes.flows.margin_loss import log_sum_exp
from skregimes.flows.trajectory import check_times

__all__ = [
    "ClassifierFace",
    "check_times",
    "encode",
    "log_probabilities",
    "plain_labels",
    "probabilities",
    "temperature",
]

_FLOATS = [np.float64, np.float32]


def plain_labels(y):
    """Return labels as scikit-learn knows them: objects that are numbers as numbers."""
    if y.dtype == object and all(isinstance(label, Number) for label in y):
        return np.array(y.tolist())
    return y


def encode(y, sample_weight, class_weight=None):
    """Return numbers for the labels, and weights of the samples.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels of any type.
    sample_weight : ndarray of shape (n_samples,)
        Weights, none negative, not all zero.
    class_weight : None, "balanced" or dict, default=None
        What the weights of each class are multiplied by.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted labels of the samples with a weight.
    codes : ndarray of shape (n_used,)
        Place of each label in ``classes``, only of the samples whose ``sample_weight``
        is positive, in their order.
    weight : ndarray of shape (n_used,)
        Their weights, adding up to the number of samples that ``sample_weight`` stands
        for: repetitions if all are whole numbers, else one each.

    Raises
    ------
    ValueError
        If ``y`` is no set of labels or has one class only, or the weight of a class is
        not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skregimes._classification import encode
    >>> y = np.array(["no", "yes", "yes", "no", "maybe"])
    >>> classes, codes, weight = encode(y, np.array([1.0, 1, 2, 1, 0]))
    >>> print(classes, codes, weight)
    ['no' 'yes'] [0 1 1 0] [1. 1. 2. 1.]
    """
    y = plain_labels(y)
    check_classification_targets(y)
    used = sample_weight > 0
    try:
        classes, codes = np.unique(y[used], return_inverse=True)
    except TypeError as error:
        raise ValueError(
            "Labels must be of one type, all numbers or all strings."
        ) from error
    if len(classes) < 2:
        raise ValueError(
            "This classifier needs samples of at least 2 classes in the data, but the "
            f"data contains only one class: {classes.tolist()[0]!r}."
        )
    weight = sample_weight[used]
    factors = compute_class_weight(
        class_weight, classes=classes, y=y[used], sample_weight=weight
    )
    if not np.all((factors > 0) & np.isfinite(factors)):
        raise ValueError(
            f"class_weight={class_weight!r} must be positive for each class; to leave "
            "a class out, leave its samples out."
        )
    n_samples = effective_samples(weight)
    # By a power of two, so that whole weights stay exactly what repetitions are.
    weight = np.ldexp(weight, -np.frexp(weight.max())[1])
    weight = weight * (factors / factors.max())[codes]
    if not np.all(weight > 0):
        raise ValueError(
            "The weights of the samples, those of their classes included, differ by "
            "more than float64 can hold; drop the samples that count for nothing."
        )
    return classes, codes, weight * (n_samples / weight.sum())


def temperature(log_odds, codes, weight):
    """Return what to divide log odds by, at least 1, lest they be overconfident.

    Log odds of training samples grow without bound where the classes are separable, but
    ``n`` samples without an error do not make one less likely than about one in ``n``.
    So the temperature is the least at which the mean log loss of the samples is at
    least ``1 / (n + n_classes)``, as the rule of succession has it. Where training
    stopped before, it is 1 and changes nothing.

    Parameters
    ----------
    log_odds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Of the second of two classes; or of each class, up to a constant a sample.
    codes : ndarray of shape (n_samples,)
        Numbers of the right classes.
    weight : ndarray of shape (n_samples,)
        Weights of the samples, in numbers of samples.

    Returns
    -------
    float

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
    Section 4.2, for the scaling by one temperature.

    Examples
    --------
    Two samples may have a log loss of 1/4, that is log odds of 1.259:

    >>> import numpy as np
    >>> from skregimes._classification import temperature
    >>> T = temperature(np.array([-1e9, 1e9]), np.array([0, 1]), np.ones(2))
    >>> print(round(1e9 / T, 3), round(np.log1p(np.exp(-1e9 / T)), 6))
    1.259 0.25
    """
    if log_odds.ndim == 1:
        log_odds = np.column_stack([-log_odds / 2, log_odds / 2])
    behind = log_odds - log_odds[np.arange(len(codes)), codes][:, None]
    share = weight / weight.sum()
    least = 1 / (weight.sum() + log_odds.shape[1])

    def excess(log_temperature):
        """Return by how much the log loss is above the least."""
        return share @ log_sum_exp(behind * np.exp(-log_temperature)) - least

    # Divided by a hundred times their size, log odds are those of a coin.
    most = np.log(max(np.max(np.abs(behind)), 1.0)) + np.log(100.0)
    if excess(0.0) >= 0 or excess(most) <= 0:
        return 1.0
    return float(np.exp(brentq(excess, 0.0, most, xtol=1e-12)))


def probabilities(log_odds):
    """Return the probabilities ``(..., n_classes)`` of log odds, see `temperature`."""
    if np.ndim(log_odds) == 1:
        return np.column_stack([expit(-log_odds), expit(log_odds)])
    return softmax(log_odds, axis=1)


def log_probabilities(log_odds):
    """Return the logarithms of `probabilities`, finite for all finite log odds."""
    if np.ndim(log_odds) == 1:
        return np.column_stack([log_expit(-log_odds), log_expit(log_odds)])
    return log_softmax(log_odds, axis=1)


class ClassifierFace(ClassifierMixin, ABC):
    """The answers of a classifier that knows log odds, now and on its way."""

    @abstractmethod
    def _log_odds(self, X):
        """Return calibrated log odds, (n,) of the second of two classes or (n, K)."""

    @abstractmethod
    def _staged_log_odds(self, X, times):
        """Yield them at ``times``, checked, or None for those of the trajectory."""

    def _answer(self, make, X):
        check_is_fitted(self)
        X = validate_data(self, as_array(X), dtype=_FLOATS, reset=False)
        return make(self._log_odds(X))

    def _staged(self, make, X, times):
        check_is_fitted(self)
        X = validate_data(self, as_array(X), dtype=_FLOATS, reset=False)
        times = None if times is None else check_times(times)
        for log_odds in self._staged_log_odds(X, times):
            yield make(log_odds)

    def _labels(self, log_odds):
        best = log_odds > 0 if log_odds.ndim == 1 else np.argmax(log_odds, axis=1)
        return self.classes_[best.astype(int)]

    def decision_function(self, X):
        """Return calibrated log odds: `predict_proba` is their expit or softmax.

        They are the network's scores over ``temperature_`` (twice that for the
        exponential loss, whose best scores are half the log odds).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Of the second of two classes; or of each class, up to a constant a sample.
        """
        return self._answer(np.asarray, X)

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self._labels(self.decision_function(X))

    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        return self._answer(probabilities, X)

    def predict_log_proba(self, X):
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        return self._answer(log_probabilities, X)

    def staged_decision_function(self, X, times=None):
        """Return calibrated log odds along the recorded trajectory.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        times : array-like of shape (n_times,), default=None
            Times in the units of ``time_``; None is those of ``trajectory_``. Times
            beyond the end are answered by the end.

        Yields
        ------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Log odds at one time, with the temperature of that time.
        """
        yield from self._staged(np.asarray, X, times)

    def staged_predict(self, X, times=None):
        """Predict labels along the recorded trajectory.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        times : array-like of shape (n_times,), default=None
            Times in the units of ``time_``; None is those of ``trajectory_``. Times
            beyond the end are answered by the end.

        Yields
        ------
        ndarray of shape (n_samples,)
            Labels at one time.
        """
        for log_odds in self._staged(np.asarray, X, times):
            yield self._labels(log_odds)

    def staged_predict_proba(self, X, times=None):
        """Predict probabilities along the recorded trajectory.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        times : array-like of shape (n_times,), default=None
            Times in the units of ``time_``; None is those of ``trajectory_``. Times
            beyond the end are answered by the end.

        Yields
        ------
        ndarray of shape (n_samples, n_classes)
            Probabilities at one time.
        """
        yield from self._staged(probabilities, X, times)
