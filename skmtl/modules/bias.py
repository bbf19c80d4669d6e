"""Columns that are known in training and not when ranking, and their tower."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from skmtl.modules.layers import Dense
from skmtl.modules.pretrained_rows import Grown
from skmtl.modules.protocols import Embedding
from skmtl.modules.ragged import Ragged


class SomeColumns(Embedding):
    """An embedding that reads some of the columns of an encoded table.

    Parameters
    ----------
    inner : Embedding
        Embeds the chosen columns, in a fused space of ids and of bins of its own.
    sizes : sequence of int
        Rows of each vocabulary of the table.
    ids : sequence of tuple of int
        For each column of ids that is read, its place and its vocabulary.
    bags : sequence of tuple of int
        The same for each column of lists.
    bins : sequence of tuple of int
        For each column of bins that is read, its place, and how far its rows of the
        fused space of bins lie behind those of `inner`.
    numeric : sequence of int
        Places of the numbers that are read.

    Attributes
    ----------
    width : int
        That of `inner`.
    columns : ColumnSlices
        Those of `inner`.
    sparse : bool
        That of `inner`.

    Notes
    -----
    Shape: as `TableEmbedding`, for all columns of the table.

    Examples
    --------
    The second of two columns of ids:

    >>> import torch
    >>> from skmtl.modules import SomeColumns, TableEmbedding
    >>> inner = TableEmbedding(
    ...     vocabulary_sizes=[5], bin_sizes=[], n_numeric=0, embedding_dim=4,
    ...     bin_dim=1, sparse=True,
    ... )
    >>> embedding = SomeColumns(
    ...     inner, sizes=[11, 5], ids=[(1, 1)], bags=[], bins=[], numeric=[]
    ... )
    >>> ids, none = torch.tensor([[3, 11 + 2], [4, 11 + 0]]), torch.empty(2, 0)
    >>> embedding(ids, none.long(), none).shape
    torch.Size([2, 4])
    """

    id_places: Tensor
    id_shifts: Tensor
    bin_places: Tensor
    bin_shifts: Tensor
    numeric_places: Tensor

    def __init__(
        self,
        inner: Embedding,
        *,
        sizes: Sequence[int],
        ids: Sequence[tuple[int, int]],
        bags: Sequence[tuple[int, int]],
        bins: Sequence[tuple[int, int]],
        numeric: Sequence[int],
    ) -> None:
        super().__init__()
        self.inner = inner
        self.width, self.columns, self.sparse = inner.width, inner.columns, inner.sparse
        self.id_vocabularies = [v for _, v in ids]
        self.bags = list(bags)
        self.read = sorted({v for _, v in [*ids, *bags]})
        for name, places in (
            ("id_places", [place for place, _ in ids]),
            ("bin_places", [place for place, _ in bins]),
            ("bin_shifts", [shift for _, shift in bins]),
            ("numeric_places", numeric),
        ):
            tensor = torch.tensor(list(places), dtype=torch.int64)
            self.register_buffer(name, tensor, persistent=False)
        self._set_shifts(sizes)

    def _set_shifts(self, sizes: Sequence[int]) -> None:
        """From rows of the table's space of ids to those of `inner`."""
        self.sizes = list(sizes)
        first = list(accumulate(sizes, initial=0))
        own = accumulate((sizes[v] for v in self.read), initial=0)
        self.shift_of = {
            # `accumulate` also gives the end of all, hence not strict.
            v: first[v] - row
            for v, row in zip(self.read, own, strict=False)
        }
        shifts = [self.shift_of[v] for v in self.id_vocabularies]
        tensor = torch.tensor(shifts, dtype=torch.int64, device=self.id_places.device)
        self.register_buffer("id_shifts", tensor, persistent=False)

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        ids = ids.index_select(1, self.id_places) - self.id_shifts.to(ids.dtype)
        bins = bins.index_select(1, self.bin_places) - self.bin_shifts.to(bins.dtype)
        numeric = numeric.index_select(1, self.numeric_places)
        every = list(bags)
        chosen = [self._shifted(every[k], self.shift_of[v]) for k, v in self.bags]
        found: Tensor = self.inner(ids, bins, numeric, chosen)
        return found

    def _shifted(self, bag: Ragged, shift: int) -> Ragged:
        return Ragged(bag.values - shift, bag.offsets)

    def id_tables(self) -> list[tuple[nn.Parameter, float]]:
        """Those of the inner embedding."""
        return self.inner.id_tables()

    def own_rates(self) -> list[tuple[nn.Parameter, float]]:
        """Those of the inner embedding."""
        return self.inner.own_rates()

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give the vocabularies that are read more rows, as `Embedding.grow` says."""
        first = list(accumulate(sizes, initial=0))
        # There may be no vocabulary at all, and cat needs a tensor.
        none = start[:0]
        parts = {v: slice(first[v], first[v] + sizes[v]) for v in self.read}
        rows = [start[part] - self.shift_of[v] for v, part in parts.items()]
        fresh = [new[part] for part in parts.values()]
        found = self.inner.grow(
            [sizes[v] for v in self.read],
            torch.cat([none, *rows]),
            torch.cat([new[:0], *fresh]),
        )
        self._set_shifts(sizes)
        return found


class BiasTower(nn.Module):
    r"""What biased feedback adds to the outputs of each task in training.

    .. math::

        \text{output}_t = f_t(x) + b_t(p),

    where the network `f` reads what is known when ranking, and this shallow tower `b`
    the columns `p` that bias the labels, such as the position at which an item was
    shown. Predictions are made of `f` alone.

    Parameters
    ----------
    embedding : Embedding
        Embeds the columns that bias labels.
    n_scores : sequence of int
        Numbers that the tower adds for each task.
    n_outputs : sequence of int
        Outputs of each task. A task of several outputs and a single number, one with
        ordered classes, has it added to all of them, which keeps their order.
    units : int, default=16
        Width of the hidden layer, which lets columns act on each other.

    Notes
    -----
    Shape: as `TableEmbedding`, to ``(batch, sum(n_outputs))``. The tower starts at 0.

    References
    ----------
    Z. Zhao et al., "Recommending What Video to Watch Next: A Multitask Ranking System",
    RecSys 2019, section "Modeling and Removing Position and Selection Biases". There
    the position is missing when serving; here the tower is left out, and the intercepts
    of the tasks make up for its mean.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import BiasTower, TableEmbedding
    >>> embedding = TableEmbedding(
    ...     vocabulary_sizes=[11], bin_sizes=[], n_numeric=0, embedding_dim=4,
    ...     bin_dim=1, sparse=True,
    ... )
    >>> tower = BiasTower(embedding, n_scores=[1, 1], n_outputs=[1, 1])
    >>> none = torch.empty(3, 0)
    >>> tower(torch.tensor([[1], [2], [10]]), none.long(), none).shape
    torch.Size([3, 2])
    """

    places: Tensor

    def __init__(
        self,
        embedding: Embedding,
        *,
        n_scores: Sequence[int],
        n_outputs: Sequence[int],
        units: int = 16,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.hidden = Dense(embedding.width, units, relu=True)
        # Without a bias, which the towers have. At 0, so that training starts at the
        # rates; the hidden layer is not, so that these weights get a gradient.
        self.output = Dense(units, sum(n_scores), bias=False)
        nn.init.zeros_(self.output.weight)
        places, first = [], 0
        for own, outputs in zip(n_scores, n_outputs, strict=True):
            places += [first + k % own for k in range(outputs)]
            first += own
        tensor = torch.tensor(places, dtype=torch.int64)
        self.register_buffer("places", tensor, persistent=False)

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        hidden = self.hidden(self.embedding(ids, bins, numeric, bags))
        scores: Tensor = self.output(hidden)
        if scores.shape[1] == len(self.places):
            return scores
        return scores.index_select(1, self.places)
