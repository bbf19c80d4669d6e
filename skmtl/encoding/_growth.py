"""Where the rows of a grown table of ids come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from skmtl.encoding._fallback import Fallback, fallbacks


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
    """How the rows of the vocabularies lie in the fused table.

    Attributes
    ----------
    columns : sequence of int
        The vocabulary that each id column reads.
    sizes : sequence of int
        Rows of each vocabulary's ids, row 0 included, without fallbacks.
    totals : sequence of int
        With fallbacks.
    fallbacks : sequence of Fallback
        The fallbacks.
    """

    columns: Sequence[int]
    sizes: Sequence[int]
    totals: Sequence[int]
    fallbacks: Sequence[Fallback]

    @classmethod
    def of(
        cls,
        chains: Sequence[Sequence[int]],
        columns: Sequence[int],
        sizes: Sequence[int],
    ) -> Layout:
        """Lay out vocabularies of these sizes, with columns that fall back."""
        found = fallbacks(chains, [sizes[v] for v in columns])
        totals = list(sizes)
        for one in found:
            totals[columns[one.column]] += sum(sizes[columns[c]] - 1 for c in one.chain)
        return cls(columns, sizes, totals, found)

    @property
    def first(self) -> list[int]:
        """First row of each vocabulary."""
        return list(accumulate(self.totals, initial=0))[:-1]

    @property
    def column_first(self) -> list[int]:
        """First row of the vocabulary of each id column."""
        first = self.first
        return [first[v] for v in self.columns]

    @property
    def column_sizes(self) -> list[int]:
        """Rows of the ids of each id column's vocabulary."""
        return [self.sizes[v] for v in self.columns]

    def blocks(self, vocabulary: int) -> list[tuple[int, int]]:
        """First row and length of a vocabulary's parts: ids, then each fallback."""
        found = [(0, self.sizes[vocabulary])]
        for one in self.fallbacks:
            if self.columns[one.column] == vocabulary:
                lengths = [self.column_sizes[c] - 1 for c in one.chain]
                found += list(zip(one.first, lengths, strict=True))
        first = self.first[vocabulary]
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
    ids_before, ids_after : ndarray of shape (n_ids,)
        All ids of the new data, encoded for either. They say what a new id was before,
        which may differ from cell to cell; the last says it.
    """
    start = np.empty(sum(after.totals), dtype=np.int64)
    new = np.ones(len(start), dtype=bool)
    for vocabulary in range(len(after.sizes)):
        parts = zip(before.blocks(vocabulary), after.blocks(vocabulary), strict=True)
        unknown = before.first[vocabulary]
        for (old_row, old_length), (row, length) in parts:
            start[row : row + length] = unknown
            start[row : row + old_length] = np.arange(old_row, old_row + old_length)
            new[row : row + old_length] = False
    fresh = new[ids_after]
    start[ids_after[fresh]] = ids_before[fresh]
    return Growth(start, new)
