"""Tables of id embeddings: vocabularies of one width lie in one table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class IdTables(nn.Module):
    """Embeddings of ids, one gather for all columns of the same width.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each vocabulary, its row 0 (unknown) included.
    dims : sequence of int
        Width of each vocabulary's embeddings.
    sparse : bool
        Whether tables get sparse gradients, so that rows which a batch does not touch
        cost nothing.
    columns : sequence of int or None
        Vocabulary of each id column. None for one column of each vocabulary.

    Attributes
    ----------
    tables : torch.nn.ParameterList
        A table for each width, ``(rows, width)``, in the order in which widths first
        appear.
    widths : list of int
        Width of the embeddings of each id column.

    Notes
    -----
    Shape: ``(batch, n_columns)`` to a list with ``(batch, n_columns of this width,
    width)`` for each table that has columns. Ids are rows of one fused space: the code
    of an id plus the sizes of all vocabularies before its own. With one width that is
    the row of the only table; with several, each column is shifted to its place.
    """

    shifts: Tensor

    def __init__(
        self,
        *,
        sizes: Sequence[int],
        dims: Sequence[int],
        sparse: bool,
        columns: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.sparse = sparse
        vocabularies = range(len(sizes)) if columns is None else columns
        self.widths = [dims[v] for v in vocabularies]
        groups = [
            [v for v, dim in enumerate(dims) if dim == width]
            for width in dict.fromkeys(dims)
        ]
        self.tables = nn.ParameterList(
            _start([sizes[v] for v in group], dims[group[0]]) for group in groups
        )
        self.columns = [
            [k for k, v in enumerate(vocabularies) if v in group] for group in groups
        ]
        self.table_of = {v: g for g, group in enumerate(groups) for v in group}
        self.shift_of = _shifts(sizes, groups)
        shifts = torch.tensor([self.shift_of[v] for v in vocabularies])
        self.register_buffer("shifts", shifts, persistent=False)

    def forward(self, ids: Tensor) -> list[Tensor]:
        if len(self.tables) == 1:
            return [self._rows(ids, self.tables[0])]
        ids = ids - self.shifts.to(ids.dtype)
        return [
            self._rows(ids[:, columns], table)
            for columns, table in zip(self.columns, self.tables, strict=True)
            if columns
        ]

    def entries(self, ids: Tensor, vocabulary: int) -> Tensor:
        """Embeddings of ids that are all of one vocabulary, ``(n, width)``."""
        table = self.tables[self.table_of[vocabulary]]
        return self._rows(ids - self.shift_of[vocabulary], table)

    def column(self, rows: list[Tensor], k: int) -> Tensor:
        """Column k of what `forward` gave, ``(batch, width)``."""
        read = [columns for columns in self.columns if columns]
        g = next(g for g, columns in enumerate(read) if k in columns)
        return rows[g][:, read[g].index(k)]

    def _rows(self, ids: Tensor, table: Tensor) -> Tensor:
        return F.embedding(ids, table, sparse=self.sparse)


def _shifts(sizes: Sequence[int], groups: list[list[int]]) -> list[int]:
    """From a row of the fused space to that of its table, for each vocabulary."""
    shifts, first = [0] * len(sizes), _first_rows(sizes)
    for group in groups:
        own = _first_rows([sizes[v] for v in group])
        for v, row in zip(group, own, strict=True):
            shifts[v] = first[v] - row
    return shifts


def _start(sizes: Sequence[int], dim: int) -> nn.Parameter:
    """A table with rows near 0, and those of unknown ids at 0.

    A fifth of what keeps the variance of a layer. What an id drew at the start is noise
    until its rows are seen; the smaller it is, the better are rare ids. 0 is the middle
    of all others, so that an id never seen is neutral even where training had no
    missing or rare id.
    """
    table = torch.empty(sum(sizes), dim)
    nn.init.normal_(table, std=0.2 * dim**-0.5)
    table[_first_rows(sizes)] = 0.0
    return nn.Parameter(table)


def _first_rows(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:k]) for k in range(len(sizes))]
