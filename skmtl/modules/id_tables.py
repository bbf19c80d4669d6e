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
    more : sequence of int
        For each further hash, which column it belongs to. Their rows come after those
        of the columns, and are added to their column's.

    Attributes
    ----------
    tables : torch.nn.ParameterList
        A table for each width, ``(rows, width)``, in the order in which widths first
        appear.
    width : int
        Sum of `dims`.

    Notes
    -----
    Shape: ``(batch, n_columns + n_more)`` to a list with ``(batch, n_columns of this
    width, width)`` for each table. Ids are rows of one fused space: the code of an id
    plus the sizes of all vocabularies before its own. With one width that is the row of
    the only table; with several, each column is shifted to its place.
    """

    shifts: Tensor

    def __init__(
        self,
        *,
        sizes: Sequence[int],
        dims: Sequence[int],
        sparse: bool,
        more: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.sparse, self.width = sparse, sum(dims)
        self.more = list(more)
        self.columns = [
            [k for k, dim in enumerate(dims) if dim == width]
            for width in dict.fromkeys(dims)
        ]
        self.tables = nn.ParameterList(
            _start([sizes[k] for k in columns], dims[columns[0]])
            for columns in self.columns
        )
        places = [*range(len(sizes)), *self.more]
        # Which places of the ids each table reads, and whose rows the further ones are.
        self.places = [
            [p for p, k in enumerate(places) if k in columns]
            for columns in self.columns
        ]
        for g, columns in enumerate(self.columns):
            owners = [columns.index(k) for k in self.more if k in columns]
            owner = torch.tensor(owners, dtype=torch.int64)
            self.register_buffer(f"owners{g}", owner, persistent=False)
        self.register_buffer("shifts", self._shifts(sizes), persistent=False)

    def _shifts(self, sizes: Sequence[int]) -> Tensor:
        """From a row of the fused space to that of the table, for each place."""
        shifts = torch.zeros(len(sizes), dtype=torch.int64)
        first = _first_rows(sizes)
        for columns in self.columns:
            own = _first_rows([sizes[k] for k in columns])
            for k, row in zip(columns, own, strict=True):
                shifts[k] = first[k] - row
        return torch.cat([shifts, shifts[self.more]])

    def forward(self, ids: Tensor) -> list[Tensor]:
        if len(self.tables) == 1:
            return [self._rows(ids, 0)]
        ids = ids - self.shifts.to(ids.dtype)
        return [self._rows(ids[:, places], g) for g, places in enumerate(self.places)]

    def _rows(self, ids: Tensor, g: int) -> Tensor:
        rows = F.embedding(ids, self.tables[g], sparse=self.sparse)
        n = len(self.columns[g])
        if rows.shape[1] == n:
            return rows
        return rows[:, :n].index_add(1, getattr(self, f"owners{g}"), rows[:, n:])

    def grow(
        self, sizes: Sequence[int], start: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Give each vocabulary more rows.

        Parameters
        ----------
        sizes : sequence of int
            Rows of each vocabulary from now on.
        start : Tensor of shape (sum(sizes),), dtype int64
            For each row of the fused space, the row of the fused space before whose
            numbers it starts with, of the same vocabulary.

        Returns
        -------
        rows, places : list of Tensor
            For each table, the row of the table before that each row starts with, and
            the place of each row in `start`.
        """
        shifts, first = self.shifts.cpu(), _first_rows(sizes)
        rows, places = [], []
        for g, columns in enumerate(self.columns):
            parts = [torch.arange(first[k], first[k] + sizes[k]) for k in columns]
            row = torch.cat(
                [start[p] - shifts[k] for p, k in zip(parts, columns, strict=True)]
            )
            old = self.tables[g]
            grown = old.detach()[row.to(old.device)]
            self.tables[g] = nn.Parameter(grown, requires_grad=old.requires_grad)
            rows.append(row)
            places.append(torch.cat(parts))
        self.shifts = self._shifts(sizes).to(self.shifts.device)
        return rows, places


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
