"""From encoded rows to the input of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.id_tables import IdTables, Pretrained


class TableEmbedding(nn.Module):
    """Embed ids and bins, and append the scaled numbers.

    Parameters
    ----------
    vocabulary_sizes : sequence of int
        Rows of each id column, row 0 (unknown) included.
    bin_sizes : sequence of int
        Bins of each number, bin 0 (missing) included; empty without bins.
    n_numeric : int
        Numbers of a row.
    embedding_dim : int or sequence of int
        Width of an id's embedding, or of those of each column. Columns of the same
        width lie in one table, so that one gather reads them.
    bin_dim : int
        Width of a bin's embedding.
    sparse : bool
        Whether the tables of ids get sparse gradients, so that rows which a batch does
        not touch cost nothing.
    pretrained : mapping of int to Pretrained, or None
        For some id columns, vectors that their rows start from.
    gain : float
        Multiplier of what all other rows start from.

    Attributes
    ----------
    width : int
        ``sum(embedding_dim) + n_bins * bin_dim + n_numeric``.

    Notes
    -----
    Shape: ``ids (batch, n_ids)``, ``bins (batch, n_bins)``, ``numeric (batch,
    n_numeric)`` to ``(batch, width)``.
    """

    def __init__(
        self,
        *,
        vocabulary_sizes: Sequence[int],
        bin_sizes: Sequence[int],
        n_numeric: int,
        embedding_dim: int | Sequence[int],
        bin_dim: int,
        sparse: bool,
        pretrained: Mapping[int, Pretrained] | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        dims = widths(embedding_dim, len(vocabulary_sizes))
        self.ids = IdTables(
            sizes=vocabulary_sizes,
            dims=dims,
            sparse=sparse,
            pretrained=pretrained,
            gain=gain,
        )
        self.bins = nn.Parameter(torch.empty(sum(bin_sizes), bin_dim))
        self.width = self.ids.width + len(bin_sizes) * bin_dim + n_numeric
        nn.init.normal_(self.bins, std=bin_dim**-0.5)
        with torch.no_grad():
            self.bins.mul_(gain)

    def forward(self, ids: Tensor, bins: Tensor, numeric: Tensor) -> Tensor:
        parts = []
        if ids.shape[1]:
            parts += [rows.flatten(1) for rows in self.ids(ids)]
        if bins.shape[1]:
            parts.append(F.embedding(bins, self.bins).flatten(1))
        if numeric.shape[1]:
            parts.append(numeric)
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


class TaskEmbedding(TableEmbedding):
    """An embedding of its own for each task, side by side in one table.

    Parameters
    ----------
    n_sets : int
        Number of embeddings, most often that of the tasks.
    vocabulary_sizes, bin_sizes, n_numeric, embedding_dim, bin_dim, sparse, pretrained
        As in `TableEmbedding`, for each of the embeddings. Vectors of the width of one
        are the start of all; others are projected to each.

    Attributes
    ----------
    width : int
        Width of one set's input.

    Notes
    -----
    Shape: as `TableEmbedding`, to ``(n_sets, batch, width)``. A row of the table holds
    ``n_sets * embedding_dim`` numbers: all sets' embeddings of one id. One gather reads
    them, and a lazy optimiser that updates the rows of a batch updates every set's
    part of them. The numbers of a row are the same in every set.
    """

    def __init__(
        self,
        *,
        n_sets: int,
        embedding_dim: int | Sequence[int],
        bin_dim: int,
        pretrained: Mapping[int, Pretrained] | None = None,
        **sizes: Any,
    ) -> None:
        dims = widths(embedding_dim, len(sizes["vocabulary_sizes"]))
        super().__init__(
            embedding_dim=[n_sets * dim for dim in dims],
            bin_dim=n_sets * bin_dim,
            pretrained={
                k: given.repeated(n_sets)
                if given.vectors.shape[1] == dims[k]
                else given
                for k, given in (pretrained or {}).items()
            },
            gain=n_sets**0.5,  # as wide as if each set stood alone
            **sizes,
        )
        self.n_sets = n_sets
        n_numeric = sizes["n_numeric"]
        self.width = (self.width - n_numeric) // n_sets + n_numeric

    def forward(self, ids: Tensor, bins: Tensor, numeric: Tensor) -> Tensor:
        parts = []
        if ids.shape[1]:
            parts += [self._by_set(rows) for rows in self.ids(ids)]
        if bins.shape[1]:
            parts.append(self._by_set(F.embedding(bins, self.bins)))
        if numeric.shape[1]:
            parts.append(numeric.expand(self.n_sets, *numeric.shape))
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]

    def _by_set(self, rows: Tensor) -> Tensor:
        """``(batch, columns, n_sets * dim)`` to ``(n_sets, batch, columns * dim)``."""
        return rows.unflatten(2, (self.n_sets, -1)).permute(2, 0, 1, 3).flatten(2)


def widths(embedding_dim: int | Sequence[int], n_columns: int) -> list[int]:
    """One width for each column."""
    if isinstance(embedding_dim, int):
        return [embedding_dim] * n_columns
    return list(embedding_dim)
