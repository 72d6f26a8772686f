"""Networks with one hidden ReLU layer, for regression and for classification."""

from skregimes._relu_network import NetworkTrajectory
from skregimes.shallow_relu._scores import ClassifierTrajectory
from skregimes.shallow_relu.classifier import ShallowReLUClassifier
from skregimes.shallow_relu.regressor import ShallowReLURegressor

__all__ = [
    "ClassifierTrajectory",
    "NetworkTrajectory",
    "ShallowReLUClassifier",
    "ShallowReLURegressor",
]
