"""Estimators that use the scale of a network's initialisation as regularisation."""

from skregimes import datasets, diagnostics, kernels, limits
from skregimes.diagonal import DiagonalNetRegressor
from skregimes.diagonal_classifier import DiagonalNetClassifier
from skregimes.matrix import (
    MatrixCompletionRegressor,
    MatrixFactorizationImputer,
    MatrixFactorizer,
    MatrixSensingRegressor,
)
from skregimes.model_selection import (
    DiagonalNetClassifierCV,
    DiagonalNetRegressorCV,
    InitScaleSearchCV,
    init_scale_path,
)
from skregimes.shallow_relu import ShallowReLUClassifier, ShallowReLURegressor

__all__ = [
    "DiagonalNetClassifier",
    "DiagonalNetClassifierCV",
    "DiagonalNetRegressor",
    "DiagonalNetRegressorCV",
    "InitScaleSearchCV",
    "MatrixCompletionRegressor",
    "MatrixFactorizationImputer",
    "MatrixFactorizer",
    "MatrixSensingRegressor",
    "ShallowReLUClassifier",
    "ShallowReLURegressor",
    "datasets",
    "diagnostics",
    "init_scale_path",
    "kernels",
    "limits",
]
__version__ = "0.1.0.dev0"
