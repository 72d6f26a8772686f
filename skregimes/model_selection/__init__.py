"""Choosing the initial scale and the stopping time."""

from skregimes.model_selection.classifier_cv import DiagonalNetClassifierCV
from skregimes.model_selection.compare import compare_regimes
from skregimes.model_selection.diagonal_cv import DiagonalNetRegressorCV
from skregimes.model_selection.path import InitScalePath, init_scale_path
from skregimes.model_selection.scorers import kernel_change_scorer, richness_scorer
from skregimes.model_selection.search import InitScaleSearchCV

__all__ = [
    "DiagonalNetClassifierCV",
    "DiagonalNetRegressorCV",
    "InitScalePath",
    "InitScaleSearchCV",
    "compare_regimes",
    "init_scale_path",
    "kernel_change_scorer",
    "richness_scorer",
]
