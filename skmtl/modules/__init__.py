"""The parts that networks are composed of; torch only."""

from skmtl.modules.composition import MultiTaskModule
from skmtl.modules.embedding import TableEmbedding
from skmtl.modules.layers import TaskLinear, dense_stack
from skmtl.modules.sharing import ExpertMixture, SharedBottom
from skmtl.modules.towers import ChainedTowers, ParallelTowers

__all__ = [
    "ChainedTowers",
    "ExpertMixture",
    "MultiTaskModule",
    "ParallelTowers",
    "SharedBottom",
    "TableEmbedding",
    "TaskLinear",
    "dense_stack",
]
