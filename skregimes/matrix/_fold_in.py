"""Codes of rows that were not there at training."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

__all__ = ["STRENGTHS", "FoldIn", "row_keys"]

# Directions with less than this share of the largest singular value are left out:
# those that a small start has not grown.
_GROWN = 1e-5
# Strengths to choose from, and the number of training rows that choose.
STRENGTHS = np.logspace(-12, 0, 13)
_MOST_ROWS = 200


@dataclass(frozen=True, eq=False)
class FoldIn:
    """Regularised least squares on the row space of a fitted matrix.

    The code z of a row x with observed columns O minimises ``|x_O - V_O z|**2 + alpha
    |w|**2``, where ``z = (s / s_1)**power w``: directions in which the training rows
    vary little cost more.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
        Orthonormal rows, ``V.T``.
    stretch : ndarray of shape (n_components,)
        ``(s / s_1)**power``.
    alpha : float
        Strength.
    """

    components: np.ndarray
    stretch: np.ndarray
    alpha: float = 0.0

    @classmethod
    def build(cls, components, singular_values, *, power):
        """Take a fitted matrix apart."""
        s = np.maximum(np.asarray(singular_values, dtype=float), 0.0)
        share = s / s[0] if s[0] > 0 else np.zeros_like(s)
        stretch = np.where(share > _GROWN, share, 0.0) ** power
        return cls(np.asarray(components, dtype=float), stretch)

    def codes(self, entries, rest, alphas=None):
        """Return the codes of all rows of entries.

        Parameters
        ----------
        entries : Entries
            Observed entries of the rows.
        rest : ndarray of shape (n_entries,)
            Their values without offsets.
        alphas : ndarray of shape (n_alphas,), optional
            Strengths; by default the own one.

        Returns
        -------
        ndarray of shape (n_rows, n_components) or (n_alphas, n_rows, n_components)
        """
        strengths = np.atleast_1d(self.alpha if alphas is None else alphas)
        found = np.zeros((len(strengths), entries.shape[0], len(self.stretch)))
        grown = np.count_nonzero(self.stretch)
        stretch = self.stretch[:grown]
        basis = (self.components[:grown] * stretch[:, None]).T
        for rows, columns, values in _by_pattern(entries, rest):
            U, t, Wt = linalg.svd(basis[columns], full_matrices=False)
            t[t <= 1e-15 * np.max(t, initial=np.finfo(float).tiny)] = 0.0
            inner = values @ U
            for k, alpha in enumerate(strengths):
                damping = t**2 + alpha
                shrunk = np.divide(t, damping, out=np.zeros_like(t), where=t > 0)
                found[k, rows, :grown] = (inner * shrunk) @ Wt * stretch
        return found[0] if alphas is None else found

    def calibrated(self, entries, rest, codes, alphas=STRENGTHS):
        """Return this fold-in with the strength that best reproduces known codes.

        Parameters
        ----------
        entries, rest
            As for `codes`, of training rows, of which some are tried.
        codes : ndarray of shape (n_rows, n_components)
            Their codes.
        alphas : array-like of shape (n_alphas,), default=STRENGTHS
            Strengths to choose from.

        Returns
        -------
        fold_in : FoldIn
        gap : float
            How far it takes these rows from their codes, relative to these.
        """
        chosen = np.linspace(0, len(codes) - 1, min(len(codes), _MOST_ROWS))
        rows = np.unique(chosen.astype(int))
        kept = np.isin(entries.rows, rows)
        part, codes = entries.take(kept), codes[rows]
        part = replace(
            part,
            rows=np.searchsorted(rows, part.rows),
            shape=(len(rows), entries.shape[1]),
        )
        size = np.max(np.abs(codes)) or 1.0  # no square overflows
        codes, found = codes / size, self.codes(part, rest[kept], alphas) / size
        gaps = np.linalg.norm(found - codes, axis=(1, 2))
        best = np.argmin(gaps)
        fold_in = FoldIn(self.components, self.stretch, float(alphas[best]))
        return fold_in, float(gaps[best] / (np.linalg.norm(codes) or 1.0))


def _by_pattern(entries, rest):
    """Yield rows with the same observed columns, these, and the values."""
    groups: dict = {}
    for row, (start, end) in _spans(entries):
        groups.setdefault(entries.cols[start:end].tobytes(), []).append((row, start))
    for key, members in groups.items():
        columns = np.frombuffer(key, dtype=entries.cols.dtype)
        rows = [row for row, _ in members]
        values = np.array([rest[start : start + len(columns)] for _, start in members])
        yield rows, columns, values


def _spans(entries):
    """Yield each row that has entries, and where they begin and end."""
    rows, starts = np.unique(entries.rows, return_index=True)
    ends = np.append(starts[1:], len(entries.rows))
    return zip(rows.tolist(), zip(starts.tolist(), ends.tolist()))


def row_keys(entries):
    """Return a digest of each row's entries, to know the row again."""
    values = entries.values.astype(float)
    keys = dict.fromkeys(range(entries.shape[0]), "")
    for row, (start, end) in _spans(entries):
        content = entries.cols[start:end].tobytes() + values[start:end].tobytes()
        keys[row] = hashlib.blake2b(content, digest_size=16).hexdigest()
    return list(keys.values())
