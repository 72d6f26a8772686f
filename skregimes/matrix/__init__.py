"""Matrices found by factorization: from tables, from entries, from measurements."""

from skregimes.matrix.completion import MatrixCompletionRegressor
from skregimes.matrix.factorizer import MatrixFactorizer
from skregimes.matrix.imputer import MatrixFactorizationImputer
from skregimes.matrix.sensing import MatrixSensingRegressor
from skregimes.matrix.trajectory import FactorTrajectory

__all__ = [
    "FactorTrajectory",
    "MatrixCompletionRegressor",
    "MatrixFactorizationImputer",
    "MatrixFactorizer",
    "MatrixSensingRegressor",
]
