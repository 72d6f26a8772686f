"""Data on which the regimes differ visibly; nothing is downloaded."""

from skregimes.datasets.gene_expression import load_khan, load_nci60
from skregimes.datasets.generators import (
    make_curve,
    make_relu_teacher,
    make_sparse_classification,
)
from skregimes.datasets.loaders import (
    load_motorcycle,
    load_ratings,
    load_teaching_points,
)
from skregimes.datasets.matrices import (
    entries_to_matrix,
    holdout_entries,
    make_low_rank_matrix_completion,
    make_matrix_sensing,
    matrix_to_entries,
)

__all__ = [
    "entries_to_matrix",
    "holdout_entries",
    "load_khan",
    "load_motorcycle",
    "load_nci60",
    "load_ratings",
    "load_teaching_points",
    "make_curve",
    "make_low_rank_matrix_completion",
    "make_matrix_sensing",
    "make_relu_teacher",
    "make_sparse_classification",
    "matrix_to_entries",
]
