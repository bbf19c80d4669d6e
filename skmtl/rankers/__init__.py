"""The rankers: estimators on one base."""

from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._bottoms import PooledTask, ShareBottom, SingleTask
from skmtl.rankers._funnel import AITM, ESMM
from skmtl.rankers._gated import GatedRanker
from skmtl.rankers._mmoe import ChainedMMoE, MMoE
from skmtl.rankers._soft_sharing import CrossStitch, SoftSharing
from skmtl.rankers._task_experts import PLE, STEM

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
