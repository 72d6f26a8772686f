"""Limits of gradient flow: where a network must end, computed without following it."""

from skregimes.limits.end_to_end import end_to_end_flow
from skregimes.limits.greedy_low_rank import GreedyPoint, greedy_low_rank_path
from skregimes.limits.hypentropy_spectrum import min_hypentropy_spectrum
from skregimes.limits.inverse_scale_space import (
    InverseScaleSpacePath,
    inverse_scale_space,
)
from skregimes.limits.kernel_flow import kernel_flow
from skregimes.limits.max_margin import MaxMargin, max_margin
from skregimes.limits.min_norms import min_l1_norm, min_l2_norm
from skregimes.limits.min_q_norm import min_q_norm, q_norm
from skregimes.limits.nuclear_norm import (
    NuclearNormSolution,
    min_frobenius_norm,
    min_nuclear_norm,
)
from skregimes.limits.splines import (
    CurvatureSpline,
    LinearSpline,
    PolyharmonicSpline,
    curvature_spline,
    linear_spline,
    min_total_variation,
    min_total_variation_band,
    polyharmonic_limit,
    smoothing_spline,
)
from skregimes.limits.sweeping_margin import SweepingMargin, sweeping_margin

__all__ = [
    "CurvatureSpline",
    "GreedyPoint",
    "InverseScaleSpacePath",
    "LinearSpline",
    "MaxMargin",
    "NuclearNormSolution",
    "PolyharmonicSpline",
    "SweepingMargin",
    "curvature_spline",
    "end_to_end_flow",
    "greedy_low_rank_path",
    "inverse_scale_space",
    "kernel_flow",
    "linear_spline",
    "max_margin",
    "min_frobenius_norm",
    "min_hypentropy_spectrum",
    "min_l1_norm",
    "min_l2_norm",
    "min_nuclear_norm",
    "min_q_norm",
    "min_total_variation",
    "min_total_variation_band",
    "polyharmonic_limit",
    "q_norm",
    "smoothing_spline",
    "sweeping_margin",
]
