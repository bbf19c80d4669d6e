"""The estimators: one file each, one base."""

from skmtl.rankers._aitm import AITM
from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._chained_mmoe import ChainedMMoE
from skmtl.rankers._cross_stitch import CrossStitch
from skmtl.rankers._esmm import ESMM
from skmtl.rankers._gated import GatedRanker
from skmtl.rankers._mmoe import MMoE
from skmtl.rankers._ple import PLE
from skmtl.rankers._pooled_task import PooledTask
from skmtl.rankers._share_bottom import ShareBottom
from skmtl.rankers._single_task import SingleTask
from skmtl.rankers._soft_sharing import SoftSharing
from skmtl.rankers._stem import STEM

__all__ = [
    "AITM",
    "ESMM",
    "PLE",
    "STEM",
    "ChainedMMoE",
    "CrossStitch",
    "GatedRanker",
    "MMoE",
    "MultiTaskRanker",
    "PooledTask",
    "ShareBottom",
    "SingleTask",
    "SoftSharing",
]
