"""The only file that names private scikit-learn symbols.

They are imported here once, so that a new scikit-learn release can break skmtl in
one place only.
"""

from functools import partial

from sklearn.base import _fit_context
from sklearn.metrics._scorer import _BaseScorer as BaseScorer
from sklearn.metrics._scorer import _cached_call
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)
from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock

# The caller that scikit-learn hands to a scorer when nothing is to be cached.
uncached_call = partial(_cached_call, None)

__all__ = [
    "BaseScorer",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "VisualBlock",
    "_fit_context",
    "_safe_indexing",
    "uncached_call",
]
