"""Encoded rows that come block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from skmtl.encoding._table import EncodedTable
from skmtl.sources.opening import column_names
from skmtl.sources.source import Block, Source
from skmtl.tasks import check_row_weight

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


def weighted_blocks(
    source: Source, y: object, sample_weight: object
) -> Iterator[WeightedBlock]:
    """Yield blocks without the columns of labels and weights, and the weights."""
    named = column_names(sample_weight, "sample_weight")
    if len(named) > 1:
        raise ValueError(
            f"sample_weight names the columns {named}, but an encoder takes one weight "
            "for each row. Name one column."
        )
    apart = {*column_names(y, "y"), *named}
    features = [name for name in source.names if name not in apart]
    source.check_columns(sorted(apart), "y or sample_weight")
    for block in source.blocks([*features, *named]):
        weight = None
        if named:
            with block.named_in_errors():
                column = block.table[named[0]].to_numpy()
                # A block may have weights of 0 only; the rows of all must not.
                weight = check_row_weight(column, len(column), some=False)
        yield replace(block, table=block.table.select(features)), weight
