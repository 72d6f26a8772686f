"""The one file that touches scikit-learn's private names.

Parameter validation and the check of sample weights have no public home yet
(scikit-learn issue 34001). Should a release move them, only this file changes.
"""

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as take
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "fit_context",
    "num_samples",
    "take",
]
