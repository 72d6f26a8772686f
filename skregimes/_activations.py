"""The activations of hidden units: two slopes each."""

__all__ = ["ACTIVATIONS"]

# Slopes below and above zero.
ACTIVATIONS = {"relu": (0.0, 1.0), "abs": (-1.0, 1.0), "leaky_relu": (0.01, 1.0)}
