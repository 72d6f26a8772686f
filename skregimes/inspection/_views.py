"""What is drawn of an estimator of one feature: its response, its knots, its data."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_consistent_length

from skregimes._arrays import as_array
from skregimes._classification import ClassifierFace
from skregimes.inspection._fitted import Innermost, feature_names

__all__ = ["View", "grid_of", "like", "places_of"]

# How far the picture goes beyond the data, as a share of their range.
_MARGIN = 0.05


@dataclass(frozen=True)
class View:
    """Which response of an estimator is drawn, and which of its outputs.

    Parameters
    ----------
    method : str
        Name of the method that is called.
    column : int or None
        Column of what it returns; None if that is 1-D.
    classes : ndarray or None
        Labels of a classifier.
    positive : int
        Code of the class that is drawn.
    response_name : str
        What the response is called.
    """

    method: str = "predict"
    column: int | None = None
    classes: np.ndarray | None = None
    positive: int = 1
    response_name: str = "y"

    @classmethod
    def of(cls, estimator, y, method, target):
        """Choose for a fitted estimator, or say what is missing."""
        if is_classifier(estimator):
            return cls._of_classifier(estimator, method, target)
        if method != "auto":
            raise ValueError(f"response_method={method!r} is for classifiers.")
        n_targets = 1 if y.ndim == 1 else y.shape[1]
        if y.ndim == 1:
            if target is not None:
                raise ValueError(f"target={target!r} is for several targets; y is 1-D.")
            return cls()
        if target is None and n_targets > 1:
            raise ValueError(
                f"y has {n_targets} targets: say which by target=0 to {n_targets - 1}."
            )
        column = 0 if target is None else target
        if column not in range(n_targets):
            raise ValueError(f"target={target!r} is none of the {n_targets} targets.")
        return cls(column=column, response_name=f"y[{column}]")

    @classmethod
    def _of_classifier(cls, estimator, method, target):
        methods = ["decision_function", "predict_proba"]
        if method not in ("auto", *methods):
            raise ValueError(
                "response_method must be 'auto', 'decision_function' or "
                f"'predict_proba'; got {method!r}."
            )
        found = [name for name in methods if hasattr(estimator, name)]
        if (method == "auto" and not found) or method not in ("auto", *found):
            raise ValueError(
                f"{type(estimator).__name__} has no "
                f"{' or '.join(methods) if method == 'auto' else method}."
            )
        method = found[0] if method == "auto" else method
        classes = estimator.classes_
        if target is None and len(classes) > 2:
            raise ValueError(
                f"Say which class by target, one of {classes.tolist()}, or draw "
                "several displays on one ax."
            )
        if target is not None and target not in classes:
            raise ValueError(f"target={target!r} is none of {classes.tolist()}.")
        positive = 1 if target is None else int(np.flatnonzero(classes == target)[0])
        binary = len(classes) == 2
        column = None if binary and method == "decision_function" else positive
        name = "probability" if method == "predict_proba" else "decision function"
        if binary and name != "probability":
            inner = Innermost.of(estimator).step
            name = "log odds" if isinstance(inner, ClassifierFace) else name
        name = f"{name} of {classes[positive]}"
        return cls(method, column, classes, positive, name)

    def response(self, estimator, X):
        """Return what is drawn, (n_samples,)."""
        values = self.output(getattr(estimator, self.method)(X))
        return -values if self.column is None and self._first_of_two() else values

    def _first_of_two(self):
        """Return whether it is the first of two classes: scores are of the second."""
        two = self.classes is not None and len(self.classes) == 2
        return two and self.positive == 0

    def output(self, values):
        """Return the column of the output that is drawn."""
        return values if self.column is None else values[:, self.column]

    def knots(self, inner):
        """Return places and slope changes of the innermost network, None without."""
        places = getattr(inner.step, "knots_", None)
        if places is None or not inner.can_look_back():
            return None
        changes = inner.step.slope_changes_
        if changes.ndim == 2:
            changes = changes[:, self.column]
        changes = -changes if self._first_of_two() else changes
        if not len(places):
            return places, changes
        places = np.asarray(inner.look_back(places[:, np.newaxis]))[:, 0]
        order = np.argsort(places, kind="stable")
        return places[order], changes[order]

    def data(self, y):
        """Return what the display knows of the targets, and what it calls them."""
        if self.classes is None:
            return {"y": self.output(y), "response_name": self.response_name}
        names = [str(label) for label in self.classes]
        this = names[self.positive]
        others = [name for name in names if name != this]
        return {
            "y": y == self.classes[self.positive],
            "response_name": self.response_name,
            "class_names": (this, others[0] if len(others) == 1 else "others"),
        }


def places_of(X, y):
    """Return the one feature and the targets as arrays, or say what to use instead."""
    X = check_array(as_array(X), dtype=float, input_name="X")
    if X.shape[1] != 1:
        raise ValueError(
            f"FunctionDisplay draws functions of one feature, but X has {X.shape[1]}. "
            "Of two use sklearn.inspection.DecisionBoundaryDisplay, of more "
            "sklearn.inspection.PartialDependenceDisplay."
        )
    y = np.asarray(as_array(y))
    check_consistent_length(X, y)
    return X[:, 0], y


def grid_of(x, resolution, bends):
    """Return places over the range of the data and a little more, knots among them."""
    margin = _MARGIN * (np.ptp(x) or 1.0)
    low, high = x.min() - margin, x.max() + margin
    # Between knots and samples twins and networks are smooth.
    parts = [np.linspace(low, high, resolution), x]
    parts += [places for places, _ in bends]
    grid = np.unique(np.concatenate(parts))
    return grid[(grid >= low) & (grid <= high)]


def like(X, places):
    """Return places as a table of one column, with the name that X has."""
    table = np.asarray(places, dtype=float)[:, np.newaxis]
    return type(X)(table, columns=feature_names(X)) if hasattr(X, "iloc") else table
