"""Pictures of regimes, as scikit-learn's displays draw them; they need matplotlib."""

from skregimes.inspection.function import FunctionDisplay
from skregimes.inspection.init_scale_path import InitScalePathDisplay
from skregimes.inspection.regime_map import RegimeMapDisplay
from skregimes.inspection.spectrum import SpectrumDisplay
from skregimes.inspection.tangent_kernel import TangentKernelDisplay
from skregimes.inspection.trajectory import TrajectoryDisplay

__all__ = [
    "FunctionDisplay",
    "InitScalePathDisplay",
    "RegimeMapDisplay",
    "SpectrumDisplay",
    "TangentKernelDisplay",
    "TrajectoryDisplay",
]
