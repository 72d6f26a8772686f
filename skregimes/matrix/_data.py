"""What was observed of a matrix, as the flow asks for it.

Two kinds of data, entries and linear measurements, answer the same questions:

``shape``, ``total_weight``
    Of the matrix, and of all its measurements.
``size``
    The norm of a matrix of this shape whose measurements are as large as the data.
``norm``
    Norm of the measurements as a map.
``measured(unit, norm, like)``
    What `skregimes.networks.measurements` wants, divided by ``norm``, and the target,
    also divided by ``unit``.
``slope(unit, norm)``
    The matrix that the first moment of the flow moves along, so divided.
``split(fraction, random_state)``
    Two parts of the data; the second is measured as the first would predict it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from skregimes._entries import Entries
from skregimes._offsets import Offsets
from skregimes._samples import Samples

__all__ = ["ObservedEntries", "SensedMatrix"]


@dataclass(frozen=True, eq=False)
class ObservedEntries:
    """Entries of a matrix and what is subtracted from them.

    Parameters
    ----------
    entries : Entries
        As observed.
    center : {None, "global", "columns", "both"}
        Kind of offsets.
    offsets : Offsets
        Of the entries, or, of held-out ones, of the others.
    """

    entries: Entries
    center: str | None
    offsets: Offsets

    @classmethod
    def build(cls, entries, center):
        """Fit the offsets."""
        return cls(entries, center, Offsets.fit(entries, center))

    @property
    def shape(self):
        return self.entries.shape

    def __len__(self):
        return len(self.entries)

    @property
    def weight(self):
        weight = self.entries.weight
        return np.ones(len(self)) if weight is None else weight.astype(float)

    @property
    def total_weight(self):
        return float(self.weight.sum())

    @property
    def target(self):
        """Entries without their offsets."""
        found = self.entries
        values = found.values.astype(float)
        rest = values - self.offsets.at(found.rows, found.cols)
        # What rounding leaves of equal entries is not a target.
        largest = np.max(np.abs(values), initial=0.0)
        rest[np.abs(rest) <= 8 * np.finfo(found.values.dtype).eps * largest] = 0.0
        return values if self.center is None else rest

    @property
    def size(self):
        target, weight = self.target, self.weight
        largest = np.max(np.abs(target), initial=0.0)
        if largest == 0:
            return 0.0
        mean = np.average((target / largest) ** 2, weights=weight)
        return float(
            largest * np.sqrt(mean) * np.sqrt(np.prod(self.shape, dtype=float))
        )

    @property
    def norm(self):
        return math.sqrt(self.weight.max())

    def measured(self, unit, norm, like):
        from skregimes.networks.measurements import entries

        found = self.entries
        weight = None if found.weight is None else self.weight / norm**2
        measurements = entries(found.rows, found.cols, found.shape, weight, like=like)
        return measurements, measurements.lay_out(self.target / unit)

    def slope(self, unit, norm):
        values = (self.target / unit) * (self.weight / norm**2)
        return replace(self.entries, values=values).csr()

    def split(self, fraction, random_state):
        train, held = self.entries.split(fraction, random_state)
        part = ObservedEntries.build(train, self.center)
        return part, replace(self, entries=held, offsets=part.offsets)


@dataclass(frozen=True, eq=False)
class SensedMatrix:
    """Inner products of a matrix with known ones.

    Parameters
    ----------
    samples : Samples
        The known matrices, one a row, and the products, without repetitions.
    shape : tuple of int
        Shape of the matrix.
    total_weight : float
        Sum of the weights of all samples.
    center : bool
        Whether means are subtracted.
    """

    samples: Samples
    shape: tuple
    total_weight: float
    center: bool

    @classmethod
    def build(cls, X, y, weight, shape, *, center):
        """Centre, scale and merge; weightless samples are dropped."""
        samples = Samples.build(
            X, y.reshape(-1, 1), weight, center=center, standardize=False
        )
        return cls(samples, tuple(shape), float(weight.sum()), center)

    def __len__(self):
        return len(self.samples.X)

    @property
    def means(self):
        """What was subtracted from the known matrices and from the products."""
        return self.samples.x_shift, float(self.samples.y_shift[0])

    @property
    def weight(self):
        return self.total_weight * self.samples.weight

    @property
    def target(self):
        return self.samples.y_unit * self.samples.Y[:, 0]

    @property
    def size(self):
        samples = self.samples
        largest = np.max(np.abs(samples.X), initial=0.0)
        if largest == 0 or not np.any(samples.Y):
            return 0.0
        rms = lambda squares: np.sqrt(samples.weight @ squares)
        signal = samples.y_unit * rms(samples.Y[:, 0] ** 2)
        return float(
            signal / (largest * rms(np.mean((samples.X / largest) ** 2, axis=1)))
        )

    @property
    def norm(self):
        X = self.samples.X
        largest = np.max(np.abs(X), initial=0.0) or 1.0
        root = np.sqrt(self.weight)[:, None]
        return float(largest * linalg.norm(root * (X / largest), 2))

    def measured(self, unit, norm, like):
        from skregimes.networks.measurements import LinearMeasurements

        A, b, unfit = _reduced(*self._divided(unit, norm))
        measurements = LinearMeasurements(A, self.shape, like, unfit)
        return measurements, measurements.lay_out(b)

    def _divided(self, unit, norm):
        """Return measurements and target, with the roots of their weights."""
        root = np.sqrt(self.weight)
        return root[:, None] * (self.samples.X / norm), root * (
            self.target / norm / unit
        )

    def slope(self, unit, norm):
        A, b = self._divided(unit, norm)
        return (b @ A).reshape(self.shape)

    def split(self, fraction, random_state):
        n_held = min(max(1, round(fraction * len(self))), len(self) - 1)
        order = random_state.permutation(len(self))
        parts = np.sort(order[n_held:]), np.sort(order[:n_held])
        train, held = (self._take(rows) for rows in parts)
        if not self.center:
            return train, held
        samples = train.samples
        x, y = samples.weight @ samples.X, samples.weight @ samples.Y
        return train._shifted(x, y), held._shifted(x, y)

    def _shifted(self, x, y):
        samples = self.samples
        samples = replace(samples, X=samples.X - x, Y=samples.Y - y)
        return replace(self, samples=samples)

    def _take(self, rows):
        samples = self.samples
        share = samples.weight[rows]
        part = replace(
            samples,
            X=samples.X[rows],
            Y=samples.Y[rows],
            weight=share / share.sum(),
        )
        return replace(self, samples=part, total_weight=self.total_weight * share.sum())


def _reduced(A, b):
    """Return at most as many measurements as the matrix has entries.

    Their sum of squares is that of all of them, but for what no matrix can fit. Half of
    that is returned, too.
    """
    if len(A) <= A.shape[1]:
        return A, b, 0.0
    U, s, Vt = linalg.svd(A, full_matrices=False)
    rank = np.count_nonzero(s > s[0] * max(A.shape) * np.finfo(float).eps)
    U, inner = U[:, :rank], U[:, :rank].T @ b
    return s[:rank, None] * Vt[:rank], inner, float(np.sum((b - U @ inner) ** 2) / 2)
