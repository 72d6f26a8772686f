"""What a layer of homogeneous units does to the angle of two points.

With Gaussian weights, a unit of slopes ``(low, high)`` sends points at an angle to
values of which the cosine is the arc-cosine kernel of Cho and Saul (2009) for ReLU, and
a mixture with the plain cosine in general.
"""

import numpy as np

from skregimes._activations import ACTIVATIONS

__all__ = ["Units"]


class Units:
    """Means over Gaussian weights of an activation's values and slopes.

    Parameters
    ----------
    activation : {"relu", "leaky_relu", "abs"}
        Name of the activation, ``mean * z + bend * abs(z)``.

    Attributes
    ----------
    moment : float
        Mean square of the slope: what a layer multiplies squared norms by.
    share : float
        Share of the moment due to the bend: 1/2 for ReLU, 1 for abs.
    """

    def __init__(self, activation):
        low, high = ACTIVATIONS[activation]
        mean, bend = (high + low) / 2, (high - low) / 2
        self.moment = mean**2 + bend**2
        self.share = bend**2 / self.moment

    def value_deficit(self, deficit, angle, sine):
        """Return ``1 - cosine`` of the values of the units at two points."""
        if self.share == 1:
            # An even function: opposite points coincide, and need all the digits of
            # their small angle, which only the sine has.
            small = np.minimum(angle, np.pi - angle)
            angle = np.where(sine < 0.5, np.arcsin(sine), small)
            deficit = 2 * np.sin(angle / 2) ** 2
        # sine - angle * cosine
        bent = angle * deficit
        bent += sine
        bent -= angle
        bent *= -2 * self.share / np.pi
        bent += deficit
        return np.maximum(bent, 0, out=bent)

    def slope_cosine(self, angle):
        """Return the mean product of the slopes at two points, over the moment."""
        return 1 - (2 * self.share / np.pi) * angle
