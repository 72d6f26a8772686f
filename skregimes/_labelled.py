"""A labelled training set as a linear network sees it, and parts of it to hold out."""

from dataclasses import dataclass

import numpy as np

from skregimes._base import LinearTable

__all__ = [
    "LEAST_SAMPLES",
    "LabelledTable",
    "class_folds",
    "held_out_parts",
    "responses",
]

# "auto" stops early where there are so many distinct samples.
LEAST_SAMPLES = 20
# Parts held out one after the other, as long as so few samples were.
_MOST_PARTS, _FEW_HELD = 5, 1000

# No class counts as rarer than this in units.
_RARE = 1e-12


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """Distinct labelled samples, sorted, with all that leads back to those given.

    Samples at one place with one label are one with the sum of their weights: no loss
    can tell the difference.

    Attributes
    ----------
    table : LinearTable
        Centred and scaled features, and as targets the working response of each output:
        the residual at the class frequencies over its variance.
    codes : ndarray of shape (n_distinct,)
        Numbers of the classes.
    n_classes : int
        How many there are.
    used : ndarray of bool of shape (n_samples,)
        Which samples have a weight.
    place : ndarray of shape (n_used,)
        The distinct sample that each of them is.
    share : ndarray of shape (n_used,)
        Its share of the weight there.
    """

    table: LinearTable
    codes: np.ndarray
    n_classes: int
    used: np.ndarray
    place: np.ndarray
    share: np.ndarray

    @classmethod
    def build(cls, X, used, codes, weight, *, center, standardize):
        """Merge and scale.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Features.
        used : ndarray of bool of shape (n_samples,)
            Which samples have a weight.
        codes, weight : ndarray of shape (n_used,)
            Their classes and positive weights.
        center, standardize : bool
            See `LinearTable.build`.
        """
        X = X[used]
        labelled = np.column_stack([codes.astype(X.dtype), X + 0.0])  # no -0.0
        labelled, place = np.unique(labelled, axis=0, return_inverse=True)
        place = place.reshape(-1)
        merged = np.bincount(place, weight)
        codes, X = labelled[:, 0].astype(int), labelled[:, 1:]
        n_classes = codes.max() + 1
        Y = responses(codes, merged, n_classes, center)
        table = LinearTable.build(X, Y, merged, center=center, standardize=standardize)
        share = weight / merged[place]
        return cls(table, codes, n_classes, used, place, share)

    @property
    def weight(self):
        """Weights of the distinct samples."""
        return self.table.weight

    @property
    def X(self):  # noqa: N802
        """Features as the network sees them, (n_distinct, n_features)."""
        return self.table.XT.T

    def of_samples(self, values):
        """Spread ``(..., n_distinct)`` over all samples, by their weights."""
        full = np.zeros((*values.shape[:-1], len(self.used)))
        full[..., self.used] = values[..., self.place] * self.share
        return full

    def samples_of(self, distinct):
        """Return the numbers of the samples that are some of the distinct ones."""
        return np.flatnonzero(self.used)[np.isin(self.place, distinct)]

    def restore(self, coef, intercept):
        """Return ``coef (..., d)`` and intercepts in the units of the input."""
        coef = coef / self.table.x_scale
        intercept = intercept - coef @ self.table.x_mean
        if len(intercept) > 1:  # only their differences matter
            intercept = intercept - intercept.mean()
        return coef, intercept


def responses(codes, weight, n_classes, center):
    """Return working responses, a column an output.

    The residuals of the labels at the best constant probabilities over their variances:
    what scores should be, to first order.
    """
    share = np.bincount(codes, weight, minlength=n_classes) / weight.sum()
    if not center:
        share = np.full(n_classes, 1 / n_classes)
    share = np.clip(share, _RARE, 1 - _RARE)
    hot = codes[:, None] == np.arange(n_classes)
    response = (hot - share) / (share * (1 - share))
    return response[:, 1:] if n_classes == 2 else response


def class_folds(codes, fraction, n_parts, random_state):
    """Return masks of samples to hold out, disjoint, with a share of each class.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Numbers of the classes.
    fraction : float
        Share of each class held out in a part, at least one sample.
    n_parts : int
        How many parts, at most.
    random_state : RandomState

    Returns
    -------
    list of ndarray of bool
        Classes that cannot spare a sample are in none, and there may be fewer parts.
    """
    n_folds = max(2, round(1 / fraction))
    fold = np.full(len(codes), -1)
    shift = 0
    for code in range(codes.max() + 1):
        rows = random_state.permutation(np.flatnonzero(codes == code))
        if len(rows) > 1:
            fold[rows] = (np.arange(len(rows)) + shift) % n_folds
            shift += len(rows)  # small classes take turns
    parts = [fold == k for k in range(n_folds)]
    whole = lambda held: set(codes[~held]) == set(codes)
    return [held for held in parts if held.any() and whole(held)][:n_parts]


def held_out_parts(codes, fraction, random_state):
    """Return the parts of `class_folds` that a search for the time to stop holds out.

    Up to five, as long as fewer than 1000 samples were held out before.

    Raises
    ------
    ValueError
        If there is none.
    """
    parts = class_folds(codes, fraction, _MOST_PARTS, random_state)
    if not parts:
        raise ValueError(
            f"early_stopping=True with validation_fraction={fraction} finds no class "
            "with a sample to spare; use early_stopping=False."
        )
    before = np.cumsum([0, *(np.count_nonzero(held) for held in parts[:-1])])
    return [held for held, n in zip(parts, before, strict=True) if n < _FEW_HELD]
