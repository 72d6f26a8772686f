"""Kernels of infinitely wide ReLU networks at their initialization.

Functions of the shallow network of this package, and tangent kernels of fully
connected, biased and residual networks as kernels of `sklearn.gaussian_process`, for
``KernelRidge``, ``SVC`` and ``GaussianProcessRegressor``.
"""

from skregimes.kernels.biased import BiasedReLUTangentKernel
from skregimes.kernels.curvature import curvature_weight
from skregimes.kernels.fully_connected import ReLUTangentKernel
from skregimes.kernels.parts import hidden_kernel, output_kernel, shallow_relu_kernel
from skregimes.kernels.resnet import ResNetTangentKernel
from skregimes.kernels.shallow import ShallowReLUTangentKernel

__all__ = [
    "BiasedReLUTangentKernel",
    "ReLUTangentKernel",
    "ResNetTangentKernel",
    "ShallowReLUTangentKernel",
    "curvature_weight",
    "hidden_kernel",
    "output_kernel",
    "shallow_relu_kernel",
]
