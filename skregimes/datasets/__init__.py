"""Data on which the regimes differ visibly; nothing is downloaded."""

from skregimes.datasets.generators import make_curve, make_relu_teacher
from skregimes.datasets.loaders import load_motorcycle, load_teaching_points

__all__ = [
    "load_motorcycle",
    "load_teaching_points",
    "make_curve",
    "make_relu_teacher",
]
