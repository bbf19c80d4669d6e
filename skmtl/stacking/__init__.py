"""Scores of other models as columns of a ranker's table."""

from skmtl.stacking._out_of_fold import OutOfFoldScores

__all__ = ["OutOfFoldScores"]
