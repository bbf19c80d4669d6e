"""From encoded rows to the input of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TableEmbedding(nn.Module):
    """Embed ids and bins, and append the scaled numbers.

    Parameters
    ----------
    vocabulary_sizes : sequence of int
        Rows of each id column, row 0 (unknown) included. All columns live in one
        table, so that one gather reads them.
    bin_sizes : sequence of int
        Bins of each number, bin 0 (missing) included; empty without bins.
    n_numeric : int
        Numbers of a row.
    embedding_dim, bin_dim : int
        Width of an id's and of a bin's embedding.
    sparse : bool
        Whether the id table gets sparse gradients, so that rows which a batch does
        not touch cost nothing.

    Attributes
    ----------
    width : int
        ``n_ids * embedding_dim + n_bins * bin_dim + n_numeric``.

    Notes
    -----
    Shape: ``ids (batch, n_ids)``, ``bins (batch, n_bins)``, ``numeric (batch,
    n_numeric)`` to ``(batch, width)``. The rows of unknown ids start at zero, the
    middle of all others, so that an id never seen is neutral even where training had
    no missing or rare id.
    """

    def __init__(
        self,
        *,
        vocabulary_sizes: Sequence[int],
        bin_sizes: Sequence[int],
        n_numeric: int,
        embedding_dim: int,
        bin_dim: int,
        sparse: bool,
    ) -> None:
        super().__init__()
        self.sparse = sparse
        self.ids = nn.Parameter(torch.empty(sum(vocabulary_sizes), embedding_dim))
        self.bins = nn.Parameter(torch.empty(sum(bin_sizes), bin_dim))
        self.width = (
            len(vocabulary_sizes) * embedding_dim + len(bin_sizes) * bin_dim + n_numeric
        )
        # A fifth of what keeps the variance of a layer. What an id drew at the start is
        # noise until its rows are seen; the smaller it is, the better are rare ids.
        nn.init.normal_(self.ids, std=0.2 * embedding_dim**-0.5)
        nn.init.normal_(self.bins, std=bin_dim**-0.5)
        with torch.no_grad():
            first = 0
            for size in vocabulary_sizes:
                self.ids[first] = 0.0
                first += size

    def forward(self, ids: Tensor, bins: Tensor, numeric: Tensor) -> Tensor:
        parts = []
        if ids.shape[1]:
            parts.append(F.embedding(ids, self.ids, sparse=self.sparse).flatten(1))
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
    vocabulary_sizes, bin_sizes, n_numeric, embedding_dim, bin_dim, sparse
        As in `TableEmbedding`, for each of the embeddings.

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
        self, *, n_sets: int, embedding_dim: int, bin_dim: int, **sizes: Any
    ) -> None:
        super().__init__(
            embedding_dim=n_sets * embedding_dim, bin_dim=n_sets * bin_dim, **sizes
        )
        self.n_sets = n_sets
        n_numeric = sizes["n_numeric"]
        self.width = (self.width - n_numeric) // n_sets + n_numeric
        with torch.no_grad():  # as wide as if each set stood alone
            self.ids.mul_(n_sets**0.5)
            self.bins.mul_(n_sets**0.5)

    def forward(self, ids: Tensor, bins: Tensor, numeric: Tensor) -> Tensor:
        parts = []
        if ids.shape[1]:
            parts.append(self._by_set(F.embedding(ids, self.ids, sparse=self.sparse)))
        if bins.shape[1]:
            parts.append(self._by_set(F.embedding(bins, self.bins)))
        if numeric.shape[1]:
            parts.append(numeric.expand(self.n_sets, *numeric.shape))
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]

    def _by_set(self, rows: Tensor) -> Tensor:
        """``(batch, columns, n_sets * dim)`` to ``(n_sets, batch, columns * dim)``."""
        return rows.unflatten(2, (self.n_sets, -1)).permute(2, 0, 1, 3).flatten(2)
