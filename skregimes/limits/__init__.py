"""Limits of gradient flow: where a network must end, computed without following it."""

from skregimes.limits.inverse_scale_space import (
    InverseScaleSpacePath,
    inverse_scale_space,
)
from skregimes.limits.min_norms import min_l1_norm, min_l2_norm
from skregimes.limits.min_q_norm import min_q_norm, q_norm

__all__ = [
    "InverseScaleSpacePath",
    "inverse_scale_space",
    "min_l1_norm",
    "min_l2_norm",
    "min_q_norm",
    "q_norm",
]
