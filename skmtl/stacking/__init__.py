"""Boosted trees beside a ranker: their scores as columns, or blended with its own."""

from skmtl.stacking._blended import BlendedRanker
from skmtl.stacking._out_of_fold import OutOfFoldScores

__all__ = ["BlendedRanker", "OutOfFoldScores"]
