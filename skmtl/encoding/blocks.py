"""Encoded rows that come block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from skmtl.encoding._table import EncodedTable
from skmtl.sources.source import Block

# Rows to learn from, and their weights, or None where all weigh the same.
WeightedBlock = tuple[Block, npt.NDArray[np.float64] | None]


class EncodedBlocks(ABC):
    """Rows that an encoder has encoded, which do not have to fit in memory."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def tables(self) -> Iterator[EncodedTable]:
        """The rows, block by block."""
