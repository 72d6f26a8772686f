"""Codes of rows that were not there at training."""

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy import linalg

__all__ = ["FoldIn", "row_keys"]

# Strengths to choose from, and the number of training rows that choose.
_GRID = np.logspace(-12, 0, 13)
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
        stretch = (s / s[0]) ** power if s[0] > 0 else np.zeros_like(s)
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
        basis = (self.components * self.stretch[:, None]).T
        for rows, columns, values in _by_pattern(entries, rest):
            U, t, Wt = linalg.svd(basis[columns], full_matrices=False)
            t[t <= 1e-15 * max(t[0], np.finfo(float).tiny)] = 0.0
            inner = values @ U
            for k, alpha in enumerate(strengths):
                damping = t**2 + alpha
                shrunk = np.divide(t, damping, out=np.zeros_like(t), where=t > 0)
                found[k, rows] = (inner * shrunk) @ Wt * self.stretch
        return found[0] if alphas is None else found

    def calibrated(self, entries, rest, codes, alpha=0.0):
        """Return this fold-in with the strength that best reproduces known codes.

        Parameters
        ----------
        entries, rest
            As for `codes`, of training rows.
        codes : ndarray of shape (n_rows, n_components)
            Their codes.
        alpha : float, default=0.0
            A strength to try beside powers of ten.

        Returns
        -------
        FoldIn
        """
        chosen = np.linspace(0, len(codes) - 1, min(len(codes), _MOST_ROWS))
        rows = np.unique(chosen.astype(int))
        kept = np.isin(entries.rows, rows)
        alphas = np.append(alpha, _GRID) if alpha > 0 else _GRID
        found = self.codes(entries.take(kept), rest[kept], alphas)[:, rows]
        gaps = np.linalg.norm(found - codes[rows], axis=(1, 2))
        return FoldIn(self.components, self.stretch, float(alphas[np.argmin(gaps)]))

    def gap(self, entries, rest, codes):
        """Return how far training rows are from their codes, relative to these."""
        size = np.linalg.norm(codes)
        return float(np.linalg.norm(self.codes(entries, rest) - codes) / (size or 1.0))


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
    keys = dict.fromkeys(range(entries.shape[0]), b"")
    for row, (start, end) in _spans(entries):
        content = entries.cols[start:end].tobytes() + values[start:end].tobytes()
        keys[row] = hashlib.blake2b(content, digest_size=16).digest()
    return list(keys.values())
