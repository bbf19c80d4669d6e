"""The estimators: one file each, one base."""

from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._chained_mmoe import ChainedMMoE
from skmtl.rankers._mmoe import MMoE
from skmtl.rankers._share_bottom import ShareBottom

__all__ = ["ChainedMMoE", "MMoE", "MultiTaskRanker", "ShareBottom"]
