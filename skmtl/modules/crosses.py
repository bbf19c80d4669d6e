"""An embedding whose columns act on each other, and any module that lets them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from skmtl.modules.layers import output_width
from skmtl.modules.pretrained_rows import Grown
from skmtl.modules.protocols import Cross, Embedding
from skmtl.modules.ragged import Ragged


class CrossedEmbedding(Embedding):
    """An embedding, and crosses of its columns.

    Parameters
    ----------
    inner : Embedding
        Embeds the rows.
    crosses : sequence of Cross
        One for each set of embeddings that `inner` gives; no set sees another's.

    Attributes
    ----------
    width : int
        That of the first cross.
    columns : ColumnSlices
        Those of the first cross.
    sparse : bool
        That of `inner`.

    Notes
    -----
    Shape: as `inner`, to ``(batch, width)`` for one cross and ``(n_sets, batch,
    width)`` for several.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import CrossedEmbedding, CrossNetwork, TableEmbedding
    >>> table = TableEmbedding(
    ...     vocabulary_sizes=[11, 5], bin_sizes=[], n_numeric=0, embedding_dim=4,
    ...     bin_dim=1, sparse=True,
    ... )
    >>> embedding = CrossedEmbedding(table, [CrossNetwork(width=8)])
    >>> none = torch.empty(3, 0)
    >>> embedding(torch.tensor([[1, 12], [2, 11], [0, 13]]), none.long(), none).shape
    torch.Size([3, 8])
    """

    def __init__(self, inner: Embedding, crosses: Sequence[Cross]) -> None:
        super().__init__()
        self.inner, self.sparse = inner, inner.sparse
        self.crosses = nn.ModuleList(crosses)
        self.width, self.columns = crosses[0].width, crosses[0].columns

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        x: Tensor = self.inner(ids, bins, numeric, bags)
        if x.ndim == 2:
            crossed: Tensor = self.crosses[0](x)
            return crossed
        pairs = zip(self.crosses, x, strict=True)
        return torch.stack([cross(own) for cross, own in pairs])

    def id_tables(self) -> list[tuple[nn.Parameter, float]]:
        """Those of the inner embedding."""
        return self.inner.id_tables()

    def own_rates(self) -> list[tuple[nn.Parameter, float]]:
        """Those of the inner embedding."""
        return self.inner.own_rates()

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give the vocabularies more rows, as `Embedding.grow` says."""
        return self.inner.grow(sizes, start, new)


class ModuleCross(Cross):
    """Any module as a cross.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(batch, width)`` to ``(batch, units)``, each row by itself.
    width : int
        Width of the input.

    Attributes
    ----------
    width : int
        Width of the output, found by evaluating the module on two rows.

    Raises
    ------
    ValueError
        If the module gives something else for two rows.

    Notes
    -----
    Shape: ``(batch, input width)`` to ``(batch, units)``. `columns` is empty.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ModuleCross
    >>> cross = ModuleCross(module=torch.nn.Linear(8, 6), width=8)
    >>> cross.width
    6
    >>> cross(torch.ones(5, 8)).shape
    torch.Size([5, 6])
    """

    def __init__(self, *, module: nn.Module, width: int) -> None:
        super().__init__()
        self.module = module
        self.width = output_width(
            module,
            width,
            "crosses",
            "a plain torch.nn.Module, which crosses columns",
            "Make it for this width, and return one tensor.",
        )

    def forward(self, x: Tensor) -> Tensor:
        crossed: Tensor = self.module(x)
        return crossed
