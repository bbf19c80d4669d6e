"""From encoded rows to the input of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.bags import BagColumn, BagPooling
from skmtl.modules.id_tables import IdTables, Pretrained
from skmtl.modules.pretrained_rows import Grown
from skmtl.modules.protocols import Embedding
from skmtl.modules.ragged import Ragged


class TableEmbedding(Embedding):
    """Embed ids, lists of ids and bins, and append the scaled numbers.

    Parameters
    ----------
    vocabulary_sizes : sequence of int
        Rows of each vocabulary, row 0 (unknown) included.
    bin_sizes : sequence of int
        Bins of each number, bin 0 (missing) included; empty without bins.
    n_numeric : int
        Numbers of a row.
    embedding_dim : int or sequence of int
        Width of an id's embedding, or of those of each vocabulary. Vocabularies of the
        same width lie in one table, so that one gather reads them.
    bin_dim : int
        Width of a bin's embedding.
    sparse : bool
        Whether the tables of ids get sparse gradients, so that rows which a batch does
        not touch cost nothing.
    columns : sequence of int or None
        Vocabulary of each id column. None for one column of each vocabulary.
    bags : sequence of BagColumn
        The columns of lists.
    n_sets : int
        Embeddings of an id that lie side by side.
    more_hashes : sequence of int
        For each further hash of an id, its column.
    pretrained : mapping of int to Pretrained, or None
        For some vocabularies, vectors that their rows start from. Those of the width of
        one embedding are the start of all that lie side by side; others are projected
        to each.

    Attributes
    ----------
    width : int
        Sum of the widths of the embeddings of all columns, plus ``n_numeric``.

    Notes
    -----
    Shape: ``ids (batch, n_ids + n_more_hashes)``, ``bins (batch, n_bins)``, ``numeric
    (batch, n_numeric)`` and, where there are any, ``bags``, columns of ``batch``
    lists, to ``(batch, width)``.
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
        columns: Sequence[int] | None = None,
        more_hashes: Sequence[int] = (),
        bags: Sequence[BagColumn] = (),
        n_sets: int = 1,
        pretrained: Mapping[int, Pretrained] | None = None,
    ) -> None:
        super().__init__()
        dims = widths(embedding_dim, len(vocabulary_sizes))
        gain = n_sets**0.5  # as wide as if each set stood alone
        self.ids = IdTables(
            sizes=vocabulary_sizes,
            dims=dims,
            sparse=sparse,
            columns=columns,
            more=more_hashes,
            pretrained={
                v: given.repeated(n_sets, dims[v])
                for v, given in (pretrained or {}).items()
            },
            gain=gain,
        )
        self.sparse = sparse
        self.bags = BagPooling(bags, n_sets)
        self.bins = nn.Parameter(torch.empty(sum(bin_sizes), bin_dim))
        of_ids = sum(self.ids.widths) + sum(dims[bag.vocabulary] for bag in bags)
        self.width = of_ids + len(bin_sizes) * bin_dim + n_numeric
        nn.init.normal_(self.bins, std=bin_dim**-0.5)
        with torch.no_grad():
            self.bins.mul_(gain)

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        parts = [rows.flatten(1) for rows in self._embedded(ids, bins, bags)]
        if numeric.shape[1]:
            parts.append(numeric)
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def id_tables(self) -> list[tuple[nn.Parameter, float]]:
        """Every table of ids that is trained, and the factor of its learning rate."""
        return self.ids.trained()

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give each vocabulary more rows, as `Embedding.grow` says."""
        return self.ids.grow(sizes, start, new)

    def _embedded(
        self, ids: Tensor, bins: Tensor, bags: Iterable[Ragged]
    ) -> list[Tensor]:
        """Embeddings, each ``(batch, columns, dim)``."""
        found: list[Tensor] = self.ids(ids) if ids.shape[1] else []
        if self.bags.columns:
            found = found + self.bags(bags, self.ids, found)
        if bins.shape[1]:
            found = [*found, F.embedding(bins, self.bins)]
        return found


class TaskEmbedding(TableEmbedding):
    """An embedding of its own for each task, side by side in one table.

    Parameters
    ----------
    n_sets : int
        Number of embeddings, most often that of the tasks.
    vocabulary_sizes, bin_sizes, n_numeric, embedding_dim, bin_dim, sparse, more_hashes
        As in `TableEmbedding`, for each of the embeddings.
    columns, bags, pretrained
        As in `TableEmbedding`.

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
        **sizes: Any,
    ) -> None:
        dims = widths(embedding_dim, len(sizes["vocabulary_sizes"]))
        super().__init__(
            embedding_dim=[n_sets * dim for dim in dims],
            bin_dim=n_sets * bin_dim,
            n_sets=n_sets,
            **sizes,
        )
        self.n_sets = n_sets
        n_numeric = sizes["n_numeric"]
        self.width = (self.width - n_numeric) // n_sets + n_numeric

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        parts = [self._by_set(rows) for rows in self._embedded(ids, bins, bags)]
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
