"""How far from kernel a network went: one function a diagnostic."""

from skregimes.diagnostics.balancedness import balancedness
from skregimes.diagnostics.deep_linear_volume import (
    deep_linear_orbit_volume,
    deep_linear_volume,
)
from skregimes.diagnostics.effective_rank import effective_rank
from skregimes.diagnostics.effective_sparsity import effective_sparsity
from skregimes.diagnostics.kernel_alignment import kernel_alignment
from skregimes.diagnostics.kernel_change import kernel_change
from skregimes.diagnostics.richness import kernel_richness
from skregimes.diagnostics.shallow_relu import (
    curvature,
    knot_clustering,
    knots,
    knots_near_samples,
    layer_imbalance,
    merge_knots,
    pattern_change,
    slope_total_variation,
)
from skregimes.diagnostics.stable_rank import stable_rank
from skregimes.diagnostics.weight_change import weight_change

__all__ = [
    "balancedness",
    "curvature",
    "deep_linear_orbit_volume",
    "deep_linear_volume",
    "effective_rank",
    "effective_sparsity",
    "kernel_alignment",
    "kernel_change",
    "kernel_richness",
    "knot_clustering",
    "knots",
    "knots_near_samples",
    "layer_imbalance",
    "merge_knots",
    "pattern_change",
    "slope_total_variation",
    "stable_rank",
    "tangent_kernel",
    "weight_change",
]


def __getattr__(name):
    # Only this one needs torch, whose import takes seconds. Its file has another name,
    # lest the import binds `tangent_kernel` to the module.
    if name == "tangent_kernel":
        from skregimes.diagnostics._tangent_kernel import tangent_kernel

        return tangent_kernel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
