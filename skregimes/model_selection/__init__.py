"""Choosing the initial scale and the stopping time."""

from skregimes.model_selection.classifier_cv import DiagonalNetClassifierCV
from skregimes.model_selection.diagonal_cv import DiagonalNetRegressorCV
from skregimes.model_selection.path import InitScalePath, init_scale_path
from skregimes.model_selection.search import InitScaleSearchCV

__all__ = [
    "DiagonalNetClassifierCV",
    "DiagonalNetRegressorCV",
    "InitScalePath",
    "InitScaleSearchCV",
    "init_scale_path",
]
