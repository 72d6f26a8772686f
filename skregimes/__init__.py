"""Estimators that use the scale of a network's initialisation as regularisation."""

from skregimes import callbacks, datasets, diagnostics, inspection, kernels, limits
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
    compare_regimes,
    init_scale_path,
    kernel_change_scorer,
    richness_scorer,
)
from skregimes.shallow_relu import ShallowReLUClassifier, ShallowReLURegressor
from skregimes.tangent import TangentKernelRidge

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
    "TangentKernelRidge",
    "callbacks",
    "compare_regimes",
    "datasets",
    "diagnostics",
    "init_scale_path",
    "inspection",
    "kernel_change_scorer",
    "kernels",
    "limits",
    "richness_scorer",
]
__version__ = "0.1.0.dev0"
