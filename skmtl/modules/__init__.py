"""The parts that networks are composed of; torch only."""

from skmtl.modules.aitm import TransferTowers
from skmtl.modules.bags import BagColumn
from skmtl.modules.bias import BiasTower, SomeColumns
from skmtl.modules.composition import (
    MultiTaskModule,
    OrderedThresholds,
    ParallelTowers,
    PooledTower,
    TowersWithHeads,
    with_thresholds,
)
from skmtl.modules.cross_network import CrossNetwork
from skmtl.modules.cross_stitch import CrossStitchBottoms
from skmtl.modules.crosses import CrossedEmbedding, ModuleCross
from skmtl.modules.draws import Dropout
from skmtl.modules.embedding import Pretrained, TableEmbedding, TaskEmbedding
from skmtl.modules.esmm import ProductTowers
from skmtl.modules.factorization_machine import FactorizationMachine
from skmtl.modules.graph import ChainedTowers
from skmtl.modules.layers import Dense, TaskLinear, dense_stack
from skmtl.modules.ple import ProgressiveExtraction
from skmtl.modules.protocols import (
    ColumnSlices,
    Cross,
    Embedding,
    Pooling,
    Sharing,
    Towers,
)
from skmtl.modules.ragged import Bags, Ragged
from skmtl.modules.sharing import (
    ExpertMixture,
    Mixture,
    ModuleBottom,
    SharedBottom,
    TaskBottoms,
)
from skmtl.modules.soft_sharing import SoftlySharedBottoms
from skmtl.modules.stem import EmbeddingExperts
from skmtl.modules.target_attention import TargetAttention
from skmtl.modules.transformer import TransformerPooling

__all__ = [
    "BagColumn",
    "Bags",
    "BiasTower",
    "ChainedTowers",
    "ColumnSlices",
    "Cross",
    "CrossNetwork",
    "CrossStitchBottoms",
    "CrossedEmbedding",
    "Dense",
    "Dropout",
    "Embedding",
    "EmbeddingExperts",
    "ExpertMixture",
    "FactorizationMachine",
    "Mixture",
    "ModuleBottom",
    "ModuleCross",
    "MultiTaskModule",
    "OrderedThresholds",
    "ParallelTowers",
    "PooledTower",
    "Pooling",
    "Pretrained",
    "ProductTowers",
    "ProgressiveExtraction",
    "Ragged",
    "SharedBottom",
    "Sharing",
    "SoftlySharedBottoms",
    "SomeColumns",
    "TableEmbedding",
    "TargetAttention",
    "TaskBottoms",
    "TaskEmbedding",
    "TaskLinear",
    "Towers",
    "TowersWithHeads",
    "TransferTowers",
    "TransformerPooling",
    "dense_stack",
    "with_thresholds",
]
