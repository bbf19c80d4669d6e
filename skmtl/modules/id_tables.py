"""Tables of id embeddings: vocabularies of one width lie in one table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class IdTables(nn.Module):
    """Embeddings of id columns, one gather for all columns of the same width.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each vocabulary, its row 0 (unknown) included.
    dims : sequence of int
        Width of each vocabulary's embeddings.
    sparse : bool
        Whether tables get sparse gradients, so that rows which a batch does not touch
        cost nothing.

    Attributes
    ----------
    tables : torch.nn.ParameterList
        A table for each width, ``(rows, width)``, in the order in which widths first
        appear.
    width : int
        Sum of `dims`.

    Notes
    -----
    Shape: ``(batch, n_columns)`` to a list with ``(batch, n_columns of this width,
    width)`` for each table. Ids are rows of one fused space: the code of an id plus
    the sizes of all vocabularies before its own. With one width that is the row of the
    only table; with several, each column is shifted to its place.
    """

    shifts: Tensor

    def __init__(
        self, *, sizes: Sequence[int], dims: Sequence[int], sparse: bool
    ) -> None:
        super().__init__()
        self.sparse, self.width = sparse, sum(dims)
        self.columns = [
            [k for k, dim in enumerate(dims) if dim == width]
            for width in dict.fromkeys(dims)
        ]
        self.tables = nn.ParameterList(
            _start([sizes[k] for k in columns], dims[columns[0]])
            for columns in self.columns
        )
        shifts = torch.zeros(len(sizes), dtype=torch.int64)
        first = _first_rows(sizes)
        for columns in self.columns:
            own = _first_rows([sizes[k] for k in columns])
            for k, row in zip(columns, own, strict=True):
                shifts[k] = first[k] - row
        self.register_buffer("shifts", shifts, persistent=False)

    def forward(self, ids: Tensor) -> list[Tensor]:
        if len(self.tables) == 1:
            return [self._rows(ids, self.tables[0])]
        ids = ids - self.shifts.to(ids.dtype)
        return [
            self._rows(ids[:, columns], table)
            for columns, table in zip(self.columns, self.tables, strict=True)
        ]

    def _rows(self, ids: Tensor, table: Tensor) -> Tensor:
        return F.embedding(ids, table, sparse=self.sparse)


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
