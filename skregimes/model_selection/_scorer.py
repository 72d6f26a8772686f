"""Scores of a fitted flow at many times, as scikit-learn's searches take them."""

import warnings
from inspect import signature
from traceback import format_exc

import numpy as np
from sklearn import get_config
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if

from skregimes.model_selection._staged import flow_step, of_targets, richness_at, staged

__all__ = ["StagedScorer", "positional", "score_key", "takes_weights"]


def positional(X, y):
    """Return positional arguments: y only where there is one."""
    return (X,) if y is None else (X, y)


def score_key(metric, when):
    """Return the name of a score at a time."""
    return f"{metric} at time {when}"


def takes_weights(scorer):
    """Whether a scorer makes use of sample_weight, asked as GridSearchCV does."""
    if hasattr(scorer, "_accept_sample_weight"):
        return scorer._accept_sample_weight()
    return "sample_weight" in signature(scorer).parameters


class StagedScorer:
    """Scores a fitted flow at many times: a dict with an entry a score and time.

    Parameters
    ----------
    scorers : dict of name to callable
        What scores an estimator.
    times : sequence of float
        When.
    error_score : "raise" or float
        What stands for a score that could not be computed.
    """

    def __init__(self, scorers, times, error_score):
        self.scorers = scorers
        self.times = times
        self.error_score = error_score

    def __call__(self, estimator, X, y=None, sample_weight=None, **params):
        if sample_weight is not None:
            params["sample_weight"] = sample_weight
        routed = self.route(params)
        answers = _Answers(estimator, self.times)
        scores, failures = {}, []
        for name, scorer in self.scorers.items():
            found = []
            for index in range(len(self.times)):
                stage = _Stage(answers, index)
                try:
                    found.append(scorer(stage, *positional(X, y), **routed[name]))
                except Exception:
                    if self.error_score == "raise":
                        raise
                    found.append(self.error_score)
                    failures.append(format_exc())
            # A callable may return several scores; failures then stand for all.
            parts = next((value for value in found if isinstance(value, dict)), [name])
            for when, value in zip(self.times, found, strict=True):
                for part in parts:
                    known = isinstance(value, dict)
                    scores[score_key(part, when)] = value[part] if known else value
        if failures:
            warnings.warn(
                f"Scoring failed, {len(failures)} times for one flow; these scores "
                f"become {self.error_score}. Details of the last:\n{failures[-1]}",
                UserWarning,
                stacklevel=2,
            )
        return scores

    def route(self, params):
        """Return the metadata that each scorer gets."""
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "score", **params)
            return {name: routed[name].score for name in self.scorers}
        bare = {k: v for k, v in params.items() if k != "sample_weight"}
        return {
            name: params if takes_weights(scorer) else bare
            for name, scorer in self.scorers.items()
        }

    def get_metadata_routing(self):
        return MetadataRouter(owner=self).add(
            **self.scorers,
            method_mapping=MethodMapping().add(caller="score", callee="score"),
        )

    def warn_of_unweighted(self):
        """Warn of scorers that weights do not reach."""
        for name, scorer in self.scorers.items():
            if not takes_weights(scorer):
                warnings.warn(
                    f"The scorer {name}={scorer} takes no sample_weight: all samples "
                    "of the test parts count the same.",
                    UserWarning,
                    stacklevel=4,
                )


class _Answers:
    """Staged answers of a fitted estimator, of the last X it was asked about."""

    def __init__(self, estimator, times):
        self.estimator = estimator
        self.step = flow_step(estimator)[1]
        self.times = times
        self.known = {}

    def at(self, index, method, X):
        of_X, answers = self.known.get(method, (None, None))
        if of_X is not X:
            answers = list(staged(self.estimator, method, X, self.times))
            self.known[method] = X, answers
        return answers[index]


def _has_staged(method):
    """Whether the estimator answers by a method along its flow."""
    return lambda self: hasattr(self._answers.step, f"staged_{method}")


class _Stage:
    """A fitted estimator as it was at one time, for scorers to look at."""

    def __init__(self, answers, index):
        self._answers = answers
        self._index = index

    @property
    def classes_(self):
        return self._answers.estimator.classes_

    @property
    def richness_(self):
        step, time = self._answers.step, self._answers.times[self._index]
        return of_targets(step, richness_at, np.array([time]))[0]

    @property
    def kernel_change_(self):
        raise TypeError(
            "InitScaleSearchCV reads all times off one flow, which records its "
            "richness but not the change of its kernel: use richness_scorer, or "
            "GridSearchCV over init_scale and max_time."
        )

    def __sklearn_tags__(self):
        return get_tags(self._answers.estimator)

    def predict(self, X):
        return self._answers.at(self._index, "predict", X)

    @available_if(_has_staged("predict_proba"))
    def predict_proba(self, X):
        return self._answers.at(self._index, "predict_proba", X)

    @available_if(_has_staged("decision_function"))
    def decision_function(self, X):
        return self._answers.at(self._index, "decision_function", X)

    def score(self, X, y=None, **params):
        # The estimator's own rule, of the predictions at this time.
        return type(self._answers.step).score(self, *positional(X, y), **params)
