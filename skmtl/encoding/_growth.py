"""Where the rows of a grown table of ids come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skmtl.encoding._fallback import Fallback


@dataclass(frozen=True)
class Growth:
    """The rows of a fused table after new ids got theirs.

    Attributes
    ----------
    start : ndarray of shape (n_rows,), dtype int64
        The row of the table before that each row starts from: for an old row its own
        place there, for a new one that of what the id was until now, the unknown row
        or its fallback.
    new : ndarray of shape (n_rows,), dtype bool
        Rows that were not there before.
    """

    start: npt.NDArray[np.int64]
    new: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """How the rows of the columns lie in the fused table.

    Attributes
    ----------
    sizes : sequence of int
        Rows of each column's ids, row 0 included, without fallbacks.
    totals : sequence of int
        With fallbacks.
    fallbacks : sequence of Fallback
        The fallbacks.
    """

    sizes: Sequence[int]
    totals: Sequence[int]
    fallbacks: Sequence[Fallback]

    @property
    def first(self) -> list[int]:
        """First row of each column."""
        return [sum(self.totals[:column]) for column in range(len(self.totals))]

    def blocks(self, column: int) -> list[tuple[int, int]]:
        """First row and length of a column's parts: own ids, then each fallback."""
        found = [(0, self.sizes[column])]
        for one in self.fallbacks:
            if one.column == column:
                lengths = [self.sizes[c] - 1 for c in one.chain]
                found += list(zip(one.first, lengths, strict=True))
        first = self.first[column]
        return [(first + row, length) for row, length in found]


def growth(
    before: Layout,
    after: Layout,
    ids_before: npt.NDArray[np.int64],
    ids_after: npt.NDArray[np.int64],
) -> Growth:
    """Map the rows of the grown table to those before.

    Parameters
    ----------
    before, after : Layout
        Of the two tables.
    ids_before, ids_after : ndarray of shape (n_samples, n_columns)
        The new rows of data, encoded for either. They say what a new id was before,
        which may differ from row to row; the last says it.
    """
    start = np.empty(sum(after.totals), dtype=np.int64)
    new = np.ones(len(start), dtype=bool)
    for column in range(len(after.sizes)):
        parts = zip(before.blocks(column), after.blocks(column), strict=True)
        unknown = before.first[column]
        for (old_row, old_length), (row, length) in parts:
            start[row : row + length] = unknown
            start[row : row + old_length] = np.arange(old_row, old_row + old_length)
            new[row : row + old_length] = False
    fresh = new[ids_after]
    start[ids_after[fresh]] = ids_before[fresh]
    return Growth(start, new)
