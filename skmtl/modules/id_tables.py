"""Tables of id embeddings: vocabularies of one width lie in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.pretrained_rows import Grown, PretrainedRows, grown


@dataclass(frozen=True)
class Pretrained:
    """Vectors that some rows of a vocabulary start from.

    Attributes
    ----------
    rows : Tensor of shape (n_vectors,), int64
        Rows of the vocabulary.
    vectors : Tensor of shape (n_vectors, width)
        Their vectors.
    frozen : bool
        Whether they stay as they are.
    learning_rate_factor : float
        Multiplier of their learning rate.
    """

    rows: Tensor
    vectors: Tensor
    frozen: bool = False
    learning_rate_factor: float = 1.0

    def repeated(self, n: int, dim: int) -> Pretrained:
        """The vectors `n` times side by side, if that makes them `dim` wide."""
        if n * self.vectors.shape[1] != dim:
            return self
        return replace(self, vectors=self.vectors.repeat(1, n))

    def apart(self, dim: int) -> bool:
        """Whether they need a table of their own beside one of width `dim`."""
        plain = self.learning_rate_factor == 1.0 and self.vectors.shape[1] == dim
        return self.frozen or not plain


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
    more : sequence of int
        For each further hash, which column it belongs to. Their rows come after those
        of the columns, and are added to their column's.
    pretrained : mapping of int to Pretrained, or None
        For some vocabularies, vectors that rows start from. Those that are frozen, have
        a learning rate of their own or another width lie in a table of their own.
    gain : float
        Multiplier of what rows without a vector start from.

    Attributes
    ----------
    tables : torch.nn.ParameterList
        A table for each width, ``(rows, width)``, in the order in which widths first
        appear.
    apart : torch.nn.ModuleList
        Tables with pretrained vectors of their own, each of one vocabulary.
    widths : list of int
        Width of the embeddings of each id column.

    Notes
    -----
    Shape: ``(batch, n_columns)`` to a list with ``(batch, n_columns of this width,
    width)`` for each table that has columns, those apart last. Ids are rows of one
    fused space: the code of an id plus the sizes of all vocabularies before its own.
    With one width that is the row of the only table; with several, each column is
    shifted to its place.
    """

    shifts: Tensor

    def __init__(
        self,
        *,
        sizes: Sequence[int],
        dims: Sequence[int],
        sparse: bool,
        columns: Sequence[int] | None = None,
        more: Sequence[int] = (),
        pretrained: Mapping[int, Pretrained] | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.sparse, self.more = sparse, list(more)
        of_column = range(len(sizes)) if columns is None else columns
        self.vocabularies = list(of_column)
        self.widths = [dims[v] for v in self.vocabularies]
        given = pretrained or {}
        apart = [v for v, one in given.items() if one.apart(dims[v])]
        together = [v for v in range(len(sizes)) if v not in apart]
        self.groups = [
            [v for v in together if dims[v] == width]
            for width in dict.fromkeys(dims[v] for v in together)
        ]
        self.tables = nn.ParameterList(
            _start([sizes[v] for v in group], dims[group[0]], gain)
            for group in self.groups
        )
        self.apart = nn.ModuleList(
            PretrainedRows(
                **vars(given[v]), own=_start([sizes[v]], dims[v], gain), sparse=sparse
            )
            for v in apart
        )
        self.groups += [[v] for v in apart]
        self._set_places()
        self._set_shifts(sizes)
        first = _first_rows(sizes)
        for v in given.keys() - set(apart):
            rows = first[v] - self.shift_of[v] + given[v].rows
            with torch.no_grad():
                self.tables[self.table_of[v]][rows] = given[v].vectors

    def _set_places(self) -> None:
        """Say which places of the ids each table reads.

        Those of its columns, and after them those of their further hashes.
        """
        places = [*self.vocabularies, *(self.vocabularies[k] for k in self.more)]
        self.table_of = {v: g for g, group in enumerate(self.groups) for v in group}
        self.columns, self.places = [], []
        for g, group in enumerate(self.groups):
            read = [p for p, v in enumerate(places) if v in group]
            columns = [p for p in read if p < len(self.vocabularies)]
            owners = [
                columns.index(self.more[p - len(self.vocabularies)])
                for p in read[len(columns) :]
            ]
            self.columns.append(columns)
            self.places.append(read)
            owner = torch.tensor(owners, dtype=torch.int64)
            self.register_buffer(f"owners{g}", owner, persistent=False)

    def _set_shifts(self, sizes: Sequence[int], device: Any = None) -> None:
        """From a row of the fused space to that of its table."""
        self.shift_of = _shifts(sizes, self.groups)
        shifts = [self.shift_of[v] for v in self.vocabularies]
        shifts += [shifts[k] for k in self.more]
        tensor = torch.tensor(shifts, dtype=torch.int64, device=device)
        self.register_buffer("shifts", tensor, persistent=False)

    def trained(self) -> list[tuple[nn.Parameter, float]]:
        """Every table that is trained, and the factor of its learning rate."""
        found = [(table, 1.0) for table in self.tables]
        for one in self.apart:
            assert isinstance(one, PretrainedRows)
            found += one.tables()
        return [(table, factor) for table, factor in found if table.numel()]

    def forward(self, ids: Tensor) -> list[Tensor]:
        if len(self.groups) == 1 and not self.apart:
            return [self._rows(ids, 0)]
        ids = ids - self.shifts.to(ids.dtype)
        return [
            self._rows(ids[:, places], g)
            for g, places in enumerate(self.places)
            if places
        ]

    def entries(self, ids: Tensor, vocabulary: int) -> Tensor:
        """Embeddings of ids that are all of one vocabulary, ``(n, width)``."""
        g = self.table_of[vocabulary]
        return self._look_up(ids - self.shift_of[vocabulary], g)

    def column(self, rows: list[Tensor], k: int) -> Tensor:
        """Column k of what `forward` gave, ``(batch, width)``."""
        read = [columns for columns in self.columns if columns]
        g = next(g for g, columns in enumerate(read) if k in columns)
        return rows[g][:, read[g].index(k)]

    def _rows(self, ids: Tensor, g: int) -> Tensor:
        rows = self._look_up(ids, g)
        n = len(self.columns[g])
        if rows.shape[1] == n:
            return rows
        return rows[:, :n].index_add(1, getattr(self, f"owners{g}"), rows[:, n:])

    def _look_up(self, ids: Tensor, g: int) -> Tensor:
        if g < len(self.tables):
            return F.embedding(ids, self.tables[g], sparse=self.sparse)
        rows: Tensor = self.apart[g - len(self.tables)](ids)
        return rows

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give each vocabulary more rows, as `Embedding.grow` says."""
        first, found = _first_rows(sizes), []
        for g, group in enumerate(self.groups):
            parts = {v: slice(first[v], first[v] + sizes[v]) for v in group}
            row = torch.cat([start[p] - self.shift_of[v] for v, p in parts.items()])
            fresh = torch.cat([new[p] for p in parts.values()])
            if g < len(self.tables):
                one = grown(self.tables[g], row, fresh)
                self.tables[g] = one.after
            else:
                apart = self.apart[g - len(self.tables)]
                assert isinstance(apart, PretrainedRows)
                one = apart.grow(row, fresh)
            found.append(one)
        self._set_shifts(sizes, self.shifts.device)
        return found


def _shifts(sizes: Sequence[int], groups: list[list[int]]) -> list[int]:
    """From a row of the fused space to that of its table, for each vocabulary."""
    shifts, first = [0] * len(sizes), _first_rows(sizes)
    for group in groups:
        own = _first_rows([sizes[v] for v in group])
        for v, row in zip(group, own, strict=True):
            shifts[v] = first[v] - row
    return shifts


def _start(sizes: Sequence[int], dim: int, gain: float) -> nn.Parameter:
    """A table with rows near 0, and those of unknown ids at 0.

    A fifth of what keeps the variance of a layer. What an id drew at the start is noise
    until its rows are seen; the smaller it is, the better are rare ids. 0 is the middle
    of all others, so that an id never seen is neutral even where training had no
    missing or rare id.
    """
    table = torch.empty(sum(sizes), dim)
    nn.init.normal_(table, std=0.2 * dim**-0.5)
    table *= gain
    table[_first_rows(sizes)] = 0.0
    return nn.Parameter(table)


def _first_rows(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:k]) for k in range(len(sizes))]
