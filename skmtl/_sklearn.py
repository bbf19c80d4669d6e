"""The only file that names private scikit-learn symbols.

They are imported here once, so that a new scikit-learn release can break skmtl in
one place only. Each has been stable since scikit-learn 1.3.
"""

from sklearn.base import _fit_context
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "_fit_context",
]
