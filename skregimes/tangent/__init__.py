"""Lazy twins: networks that are linear in their weights."""

from skregimes.tangent.ridge import TangentKernelRidge

__all__ = ["TangentKernelRidge"]
