"""Limits of gradient flow: where a network must end, computed without following it."""

from skregimes.limits.inverse_scale_space import (
    InverseScaleSpacePath,
    inverse_scale_space,
)
from skregimes.limits.kernel_flow import kernel_flow
from skregimes.limits.min_norms import min_l1_norm, min_l2_norm
from skregimes.limits.min_q_norm import min_q_norm, q_norm
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

__all__ = [
    "CurvatureSpline",
    "InverseScaleSpacePath",
    "LinearSpline",
    "PolyharmonicSpline",
    "curvature_spline",
    "inverse_scale_space",
    "kernel_flow",
    "linear_spline",
    "min_l1_norm",
    "min_l2_norm",
    "min_q_norm",
    "min_total_variation",
    "min_total_variation_band",
    "polyharmonic_limit",
    "q_norm",
    "smoothing_spline",
]
