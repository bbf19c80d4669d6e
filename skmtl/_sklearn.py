"""The only file that names private scikit-learn symbols."""

from functools import partial

from sklearn.metrics._scorer import _BaseScorer as BaseScorer
from sklearn.metrics._scorer import _cached_call

# The caller that scikit-learn hands to a scorer when nothing is to be cached.
uncached_call = partial(_cached_call, None)

__all__ = ["BaseScorer", "uncached_call"]
