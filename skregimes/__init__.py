"""Estimators that use the scale of a network's initialisation as regularisation."""

from skregimes import diagnostics, limits
from skregimes.diagonal import DiagonalNetRegressor
from skregimes.model_selection import DiagonalNetRegressorCV, init_scale_path

__all__ = [
    "DiagonalNetRegressor",
    "DiagonalNetRegressorCV",
    "diagnostics",
    "init_scale_path",
    "limits",
]
__version__ = "0.1.0.dev0"
