"""From the losses of the tasks to one scalar."""

from skmtl.weighting._base import LossWeighting
from skmtl.weighting._static import StaticWeighting

__all__ = ["LossWeighting", "StaticWeighting"]
