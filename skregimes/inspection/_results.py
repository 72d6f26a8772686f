"""What searches and paths over the scale have found, as numbers."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import accuracy_score, r2_score

from skregimes._arrays import as_array
from skregimes.inspection._fitted import Innermost

__all__ = ["Results", "cv_results", "path_scores", "score_label", "units_of"]


def cv_results(results):
    """Return ``cv_results_`` of a fitted search, or what was given as such.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if hasattr(results, "cv_results_"):
        return results.cv_results_
    if not isinstance(results, dict):
        raise TypeError(
            "The results must be what init_scale_path returns, a fitted search or its "
            f"cv_results_; got {type(results).__name__}. For an estimator use "
            "from_estimator."
        )
    return results


def units_of(estimator):
    """Return the units of an estimator, whatever holds it."""
    step = Innermost.of(getattr(estimator, "estimator", estimator)).step
    return getattr(step, "units", "relative")


def score_label(estimator, scoring):
    """Return how a score is called on an axis."""
    if scoring is None:
        if is_regressor(estimator):
            return "R²"
        # Of a table it is that of entries held out.
        return "accuracy" if is_classifier(estimator) else "R² of hidden entries"
    if not isinstance(scoring, str):
        scoring = getattr(scoring, "__name__", "score")
    return {"r2": "R²"}.get(scoring, scoring.replace("_", " "))


def path_scores(path, X_test, y_test):
    """Return R² or accuracy of a path, (n_scales, n_times), and its name; None without.

    Raises
    ------
    ValueError
        If only one of the two is given.
    """
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test go together.")
    if X_test is None:
        return None, None
    labels = path.estimators is not None and is_classifier(path.estimators[0])
    score = accuracy_score if labels else r2_score
    scores = [[score(y_test, y) for y in row] for row in path.predict(as_array(X_test))]
    return np.array(scores), "accuracy" if labels else "R²"


@dataclass(frozen=True)
class Results:
    """What a search over scales found.

    Parameters
    ----------
    params : dict of str to list
        What varied, without the prefixes of pipelines; a ``max_time`` of None is inf.
    scores : dict of str to ndarray of shape (n_rows, n_folds)
        Scores on the test parts.
    """

    params: dict
    scores: dict

    @classmethod
    def read(cls, results):
        """Read ``cv_results_``.

        Raises
        ------
        ValueError
            If they are not of a search over scales.
        """
        whole = [key[len("param_") :] for key in results if key.startswith("param_")]
        last = [name.rpartition("__")[2] for name in whole]
        if last.count("init_scale") != 1:
            raise ValueError(
                "The results must be of one search over init_scale, as cv_results_ of "
                f"GridSearchCV; their parameters are {whole}."
            )
        params = {}
        for name, part in zip(whole, last, strict=True):
            short = part if last.count(part) == 1 else name
            params[short] = list(results[f"param_{name}"])
        if "max_time" in params:
            params["max_time"] = [
                np.inf if time is None else time for time in params["max_time"]
            ]
        scores = {}
        for key in results:
            if key.startswith("mean_test_"):
                name = key.removeprefix("mean_test_")
                folds = [results[each] for each in results if _is_fold(each, name)]
                scores[name] = np.array(folds, dtype=float).T
        return cls(params, scores)

    @property
    def init_scales(self):
        """Scale of each row."""
        return np.array(self.params["init_scale"], dtype=float)

    def metric(self, name, search):
        """Return the name of the score to draw, of a search or its cv_results_.

        None is that which decided, or the only one but the richness.
        """
        decided = getattr(search, "refit", None)
        known = [each for each in self.scores if each != "richness"] or [*self.scores]
        if name is None and isinstance(decided, str):
            return decided
        if name is None and len(known) == 1:
            return known[0]
        if name not in self.scores:
            raise ValueError(
                f"metric={name!r} must be given as one of the scores of the search, "
                f"{sorted(self.scores)}."
            )
        return name

    def label(self, search, name):
        """Return how a score of a search, or of its cv_results_, is called."""
        if name != "score" or isinstance(search, dict):
            return score_label(None, name)
        if hasattr(search, "estimator") or search.scoring is not None:
            return score_label(getattr(search, "estimator", search), search.scoring)
        # Ours that search by themselves have defaults of their own.
        if getattr(search, "criterion", "cv") == "gcv":
            return "negative GCV"
        return "neg log loss" if is_classifier(search) else "neg mean squared error"

    def means(self, name):
        """Mean over the folds of each row, -inf where it is not known."""
        mean = self.scores[name].mean(axis=1)
        return np.where(np.isnan(mean), -np.inf, mean)

    def best_rows(self, name):
        """Return the scales, increasing, and of each the row of the best mean score."""
        scales, mean = np.unique(self.init_scales), self.means(name)
        rows = [np.flatnonzero(self.init_scales == scale) for scale in scales]
        return scales, np.array([row[np.argmax(mean[row])] for row in rows])

    def varied(self):
        """Return the names of parameters, but the scale, that took several values."""
        return [
            name
            for name, values in self.params.items()
            if name != "init_scale" and len(set(map(str, values))) > 1
        ]

    def table(self, name, against):
        """Return the scales, the values of a parameter, and the rows of their pairs.

        Rows are -1 where a pair was not tried; of several rows the best stands.
        """
        others = list(dict.fromkeys(self.params[against]))
        if all(isinstance(other, Real) for other in others):
            others = sorted(others)
        scales, mean = np.unique(self.init_scales), self.means(name)
        rows = np.full((len(scales), len(others)), -1)
        for row in np.argsort(mean, kind="stable"):
            i = np.searchsorted(scales, self.init_scales[row])
            rows[i, others.index(self.params[against][row])] = row
        return scales, others, rows


def _is_fold(key, name):
    """Whether a key is of the scores of one fold."""
    return key.startswith("split") and key.endswith(f"_test_{name}")
