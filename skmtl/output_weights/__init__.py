"""Output weights: one ranking score from the probabilities of several tasks."""

from skmtl.output_weights._fixed import FixedOutputWeights
from skmtl.output_weights._fusion import fuse
from skmtl.output_weights._search import OutputWeightSearchCV

__all__ = ["FixedOutputWeights", "OutputWeightSearchCV", "fuse"]
