"""Small tables: rows that are there twice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from skmtl.encoding import EncodedTable, RaggedArray
from skmtl.rankers._targets import Targets

# Tables up to this many rows fit a batch or two; merging them costs a millisecond.
MERGE_ROWS = 1024


def merge_rows(
    table: EncodedTable, targets: Targets, weight: npt.NDArray[np.float64]
) -> tuple[EncodedTable, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Merge equal rows with equal labels, adding their weights, in sorted order.

    On a table this small a row that is there twice, or has weight 2, must give the
    same fit to the last bit, in whatever order the rows come. The loss is the same
    sum either way; merging makes its rounding the same too.

    Returns
    -------
    table, labels, weight
        Without rows of weight 0 for all tasks.
    """
    lists = [_same_lists(bag) for bag in table.bags]
    key = np.hstack(
        [table.ids, table.bins, table.numeric, *lists, targets.labels, weight > 0],
        dtype=np.float64,
    )
    distinct, first, inverse = np.unique(
        key, axis=0, return_index=True, return_inverse=True
    )
    merged = np.zeros((len(distinct), weight.shape[1]))
    np.add.at(merged, inverse.ravel(), weight)
    keep = merged.any(axis=1)
    return table.take(first[keep]), targets.labels[first[keep]], merged[keep]


def _same_lists(bag: RaggedArray) -> npt.NDArray[np.int64]:
    """A number for each row that equal lists share, whatever the order of the rows."""
    cells = np.empty((len(bag), 1), dtype=object)
    for row, (start, stop) in enumerate(pairwise(bag.offsets)):
        cells[row] = bag.values[start:stop].tobytes()
    return np.unique(cells, return_inverse=True)[1].reshape(-1, 1)
