"""Tables of id embeddings: vocabularies of one width lie in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.pretrained_rows import PretrainedRows


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

    def repeated(self, n: int) -> Pretrained:
        """The vectors `n` times side by side."""
        return replace(self, vectors=self.vectors.repeat(1, n))

    def apart(self, dim: int) -> bool:
        """Whether they need a table of their own beside one of width `dim`."""
        plain = self.learning_rate_factor == 1.0 and self.vectors.shape[1] == dim
        return self.frozen or not plain


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
    pretrained : mapping of int to Pretrained
        For some vocabularies, vectors that rows start from. Those that are frozen, have
        a learning rate of their own or another width lie in a table of their own.
    gain : float
        Multiplier of what rows without a vector start from.

    Attributes
    ----------
    apart : torch.nn.ModuleDict
        Tables with pretrained vectors of their own, by the number of the vocabulary.
    tables : torch.nn.ParameterList
        A table for each width, ``(rows, width)``, in the order in which widths first
        appear.
    width : int
        Sum of `dims`.

    Notes
    -----
    Shape: ``(batch, n_columns)`` to a list with ``(batch, n_columns of this width,
    width)`` for each table, then ``(batch, 1, width)`` for each table apart. Ids are
    rows of one fused space: the code of an id plus the sizes of all vocabularies before
    its own. With one width that is the row of the only table; with several, each column
    is shifted to its place.
    """

    shifts: Tensor

    def __init__(
        self,
        *,
        sizes: Sequence[int],
        dims: Sequence[int],
        sparse: bool,
        pretrained: Mapping[int, Pretrained] | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.sparse, self.width = sparse, sum(dims)
        pretrained = pretrained or {}
        alone = [k for k, given in pretrained.items() if given.apart(dims[k])]
        together = [k for k in range(len(dims)) if k not in alone]
        self.columns = [
            [k for k in together if dims[k] == width]
            for width in dict.fromkeys(dims[k] for k in together)
        ]
        self.tables = nn.ParameterList(
            _start([sizes[k] for k in columns], dims[columns[0]], gain)
            for columns in self.columns
        )
        self.apart = nn.ModuleDict(
            {
                str(k): PretrainedRows(
                    **vars(pretrained[k]),
                    own=_start([sizes[k]], dims[k], gain),
                    sparse=sparse,
                )
                for k in alone
            }
        )
        shifts = torch.zeros(len(sizes), dtype=torch.int64)
        first = _first_rows(sizes)
        for columns in (*self.columns, *([k] for k in alone)):
            own = _first_rows([sizes[k] for k in columns])
            for k, row in zip(columns, own, strict=True):
                shifts[k] = first[k] - row
        for columns, table in zip(self.columns, self.tables, strict=True):
            for k in pretrained.keys() & set(columns):
                row = first[k] - int(shifts[k])
                with torch.no_grad():
                    table[row + pretrained[k].rows] = pretrained[k].vectors
        self.register_buffer("shifts", shifts, persistent=False)

    def trained(self) -> list[tuple[Tensor, float]]:
        """Every table that is trained, and the factor of its learning rate."""
        found = [(table, 1.0) for table in self.tables]
        for one in self.apart.values():
            assert isinstance(one, PretrainedRows)
            found += one.tables()
        return [(table, factor) for table, factor in found if table.numel()]

    def forward(self, ids: Tensor) -> list[Tensor]:
        if len(self.tables) == 1 and not self.apart:
            return [self._rows(ids, self.tables[0])]
        ids = ids - self.shifts.to(ids.dtype)
        together = [
            self._rows(ids[:, columns], table)
            for columns, table in zip(self.columns, self.tables, strict=True)
        ]
        return together + [one(ids[:, [int(k)]]) for k, one in self.apart.items()]

    def _rows(self, ids: Tensor, table: Tensor) -> Tensor:
        return F.embedding(ids, table, sparse=self.sparse)


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
