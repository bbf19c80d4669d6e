"""From encoded rows to the input of the network."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.bags import BagColumn, pool
from skmtl.modules.draws import generator_of
from skmtl.modules.layers import room_for
from skmtl.modules.pretrained_rows import Grown, PretrainedRows, grown
from skmtl.modules.protocols import ColumnSlices, Embedding, Pooling
from skmtl.modules.ragged import Ragged
from skmtl.modules.target_attention import TargetAttention
from skmtl.modules.transformer import TransformerPooling


class TableEmbedding(Embedding):
    """Embed ids, lists of ids and bins, and append the scaled numbers.

    Parameters
    ----------
    vocabulary_sizes : sequence of int
        Rows of each vocabulary, row 0 (unknown) included.
    bin_sizes : sequence of int
        Bins of each number that has any, bin 0 (missing) included.
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
    vocabularies : sequence of int or None, default=None
        Vocabulary of each id column. None for one column of each vocabulary.
    more_hashes : sequence of int, default=()
        For each further hash of an id, its column.
    bags : sequence of BagColumn, default=()
        The columns of lists.
    n_sets : int, default=1
        Embeddings of an id or bin that lie side by side. `embedding_dim` and `bin_dim`
        are the widths of all of them together.
    pretrained : mapping of int to Pretrained, or None, default=None
        For some vocabularies, vectors that their rows start from. Those of the width of
        one embedding are the start of all that lie side by side; others are projected
        to each.
    names : sequence of hashable, or None, default=None
        Names of all columns: those of ids, then those of lists, then the numbers. None
        if no column is looked up by its name.
    binned : sequence of int or None, default=None
        For each of `bin_sizes`, the index of its number. None for the first ones.
    bin_start : float, default=0.1
        Scale at which bins start, as a share of the scale that would keep the variance
        of a layer. Fits are equally good from 1/20 to 1/5; at 1 the initial noise of
        rare bins remains.
    bin_ranges : array of shape (sum(bin_sizes), 2), or None, default=None
        For each bin the scaled number at its lower edge, and one over its width; 0 for
        a bin that has a single embedding. None if all have.
    bin_rate : float, default=1.0
        Factor of the learning rate of bins.

    Attributes
    ----------
    width : int
        Sum of the widths of the embeddings of all columns, plus ``n_numeric``.
    columns : ColumnSlices
        For each name, where the column lies in the output. Empty without `names`.

    Raises
    ------
    ValueError
        If `names` are given, but not as many as columns, or not as many of `binned` as
        of `bin_sizes`.

    Notes
    -----
    Shape: ``ids (batch, n_ids + n_more_hashes)``, ``bins (batch, n_bins)``, ``numeric
    (batch, n_numeric)`` and, where there are any, ``bags``, columns of ``batch``
    lists, to ``(batch, width)``.

    Ids are rows of one fused space: the code of an id, plus the sizes of all
    vocabularies before its own. Bins have a fused space of their own.

    Examples
    --------
    Users, items and a price:

    >>> import torch
    >>> from skmtl.modules import TableEmbedding
    >>> embedding = TableEmbedding(
    ...     vocabulary_sizes=[11, 5], bin_sizes=[], n_numeric=1, embedding_dim=4,
    ...     bin_dim=1, sparse=True, names=["user", "item", "price"],
    ... )
    >>> ids, bins = torch.tensor([[1, 11 + 2], [3, 11 + 0]]), torch.empty(2, 0).long()
    >>> embedding(ids, bins, torch.tensor([[0.5], [1.0]])).shape
    torch.Size([2, 9])
    >>> embedding.columns["item"]
    (slice(4, 8, None),)
    """

    bin_ranges: Tensor | None
    binned: Tensor

    def __init__(
        self,
        *,
        vocabulary_sizes: Sequence[int],
        bin_sizes: Sequence[int],
        n_numeric: int,
        embedding_dim: int | Sequence[int],
        bin_dim: int,
        sparse: bool,
        vocabularies: Sequence[int] | None = None,
        more_hashes: Sequence[int] = (),
        bags: Sequence[BagColumn] = (),
        n_sets: int = 1,
        pretrained: Mapping[int, Pretrained] | None = None,
        names: Sequence[Hashable] | None = None,
        binned: Sequence[int] | None = None,
        bin_start: float = 0.1,
        bin_ranges: object = None,
        bin_rate: float = 1.0,
    ) -> None:
        super().__init__()
        dims = widths(embedding_dim, len(vocabulary_sizes))
        gain = n_sets**0.5  # as wide as if each set stood alone
        self.ids = IdTables(
            sizes=vocabulary_sizes,
            dims=dims,
            sparse=sparse,
            vocabularies=vocabularies,
            more=more_hashes,
            pretrained={
                v: given.repeated(n_sets, dims[v])
                for v, given in (pretrained or {}).items()
            },
            gain=gain,
        )
        self.sparse, self.bin_rate = sparse, bin_rate
        self.bags, self.n_sets = tuple(bags), n_sets
        self.bins = nn.Parameter(torch.empty(room_for(sum(bin_sizes), bin_dim)))
        of_ids = sum(self.ids.widths) + sum(dims[bag.vocabulary] for bag in bags)
        self.width = of_ids + len(bin_sizes) * bin_dim + n_numeric
        # Small relative to the scaled numbers, which carry the same information
        # without noise.
        std = bin_start * gain * bin_dim**-0.5
        nn.init.normal_(self.bins, std=std, generator=generator_of("cpu"))
        of_bins = range(len(bin_sizes)) if binned is None else binned
        # The encoder knows these, so they are not part of the learnt state.
        ranges = None if bin_ranges is None else torch.as_tensor(bin_ranges)
        self.register_buffer("bin_ranges", ranges, persistent=False)
        places = torch.tensor(of_bins, dtype=torch.int64)
        self.register_buffer("binned", places, persistent=False)
        self.poolings = nn.ModuleDict(
            {
                str(k): nn.ModuleList(
                    _pooling(bag, dims[bag.vocabulary] // n_sets) for _ in range(n_sets)
                )
                for k, bag in enumerate(self.bags)
                if bag.pooling in WITH_PARAMETERS
            }
        )
        if names is not None:
            if len(of_bins) != len(bin_sizes) or not set(of_bins) <= {
                *range(n_numeric)
            }:
                raise ValueError(
                    f"binned names {len(of_bins)} of {n_numeric} numbers, but "
                    f"bin_sizes has {len(bin_sizes)}."
                )
            self.columns = self._slices(names, dims, of_bins, n_numeric)

    def _slices(
        self,
        names: Sequence[Hashable],
        dims: Sequence[int],
        binned: Sequence[int],
        n_numeric: int,
    ) -> ColumnSlices:
        """Where each column lies in the output, in the order of `_embedded`."""
        n_ids = len(self.ids.vocabularies)
        expected = n_ids + len(self.bags) + n_numeric
        if len(names) != expected:
            raise ValueError(
                f"names has {len(names)} columns, but there are {n_ids} of ids, "
                f"{len(self.bags)} of lists and {n_numeric} numbers."
            )
        numbers = range(n_ids + len(self.bags), expected)
        # Names and widths, in the order of the output.
        order = [(k, self.ids.widths[k]) for read in self.ids.columns for k in read]
        order += [(n_ids + k, dims[b.vocabulary]) for k, b in enumerate(self.bags)]
        order += [(numbers[k], self.bins.shape[1]) for k in binned]
        found: dict[Hashable, list[slice]] = {name: [] for name in names}
        start = 0
        for k, width in order:
            # Within one set: several sets have an axis of their own in the output.
            stop = start + width // self.n_sets
            found[names[k]].append(slice(start, stop))
            start = stop
        for k in numbers:
            found[names[k]].append(slice(start, start + 1))
            start += 1
        return ColumnSlices({name: tuple(own) for name, own in found.items()})

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        parts = [rows.flatten(1) for rows in self._embedded(ids, bins, numeric, bags)]
        if numeric.shape[1]:
            parts.append(numeric)
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def id_tables(self) -> list[tuple[nn.Parameter, float]]:
        """Every table of ids that is trained, and the factor of its learning rate."""
        return self.ids.trained()

    def own_rates(self) -> list[tuple[nn.Parameter, float]]:
        """The embeddings of bins, if their learning rate is not that of layers."""
        apart = self.bins.numel() and self.bin_rate != 1
        return [(self.bins, self.bin_rate)] if apart else []

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give each vocabulary more rows, as `Embedding.grow` says."""
        return self.ids.grow(sizes, start, new)

    def _embedded(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged]
    ) -> list[Tensor]:
        """Embeddings, each ``(batch, columns, dim)``."""
        found: list[Tensor] = self.ids(ids) if ids.shape[1] else []
        pooled = [
            self._pooled(k, bag, found)[:, None]
            for k, (bag, _) in enumerate(zip(bags, self.bags, strict=True))
        ]
        of_bins = [self._of_bins(bins, numeric)] if bins.shape[1] else []
        return [*found, *pooled, *of_bins]

    def _of_bins(self, bins: Tensor, numeric: Tensor) -> Tensor:
        """Embeddings of binned numbers, ``(batch, columns, dim)``."""
        here = F.embedding(bins, self.bins)
        if self.bin_ranges is None:
            return here
        low, per_unit = F.embedding(bins, self.bin_ranges).unbind(2)
        share = (numeric.index_select(1, self.binned) - low) * per_unit
        # A bin without two edges stays with its own embedding.
        following = F.embedding(bins + (per_unit > 0), self.bins)
        # Numbers beyond all that were seen stay at the last edge.
        return torch.lerp(here, following, share.clamp(0, 1).unsqueeze(2))

    def _pooled(self, k: int, bag: Ragged, of_ids: list[Tensor]) -> Tensor:
        """Embeddings of the k-th column of lists, ``(batch, width)``."""
        column = self.bags[k]
        x = self.ids.entries(bag.values, column.vocabulary)
        query = self.target(k, of_ids)
        own = self.poolings_of(k)
        if not own:
            return pool(x, bag, column.pooling, query, self.n_sets)
        entries = x.chunk(self.n_sets, dim=1)
        queries = [None] * self.n_sets if query is None else query.chunk(self.n_sets, 1)
        sets = zip(own, entries, queries, strict=True)
        return torch.cat([pooling(x, bag, q) for pooling, x, q in sets], dim=1)

    def target(self, k: int, of_ids: list[Tensor]) -> Tensor | None:
        """Find what a column of lists is compared with.

        Parameters
        ----------
        k : int
            Its place among the columns of lists.
        of_ids : list of Tensor
            Embeddings of the columns of ids, by table.

        Returns
        -------
        Tensor of shape (batch, width) or None
            Embeddings of the targets, if it has any.
        """
        at = self.bags[k].query
        return None if at is None else self.ids.column(of_ids, at)

    def poolings_of(self, k: int) -> list[Pooling]:
        """Return the poolings with parameters of a column of lists.

        Parameters
        ----------
        k : int
            Its place among the columns of lists.

        Returns
        -------
        list of Pooling
            One for each set; empty for a pooling without parameters.
        """
        if str(k) not in self.poolings:
            return []
        return [
            one for one in self.poolings[str(k)].children() if isinstance(one, Pooling)
        ]


class TaskEmbedding(TableEmbedding):
    """A separate embedding for each task, side by side in one table.

    Parameters
    ----------
    n_sets : int
        Number of embeddings, most often that of the tasks.
    embedding_dim : int or sequence of int
        Width of one of the embeddings of an id, or of those of each vocabulary.
    bin_dim : int
        Width of one of the embeddings of a bin.
    **sizes
        All other parameters of `TableEmbedding`.

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

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import TaskEmbedding
    >>> embedding = TaskEmbedding(
    ...     n_sets=2, vocabulary_sizes=[11], bin_sizes=[], n_numeric=1,
    ...     embedding_dim=4, bin_dim=1, sparse=True,
    ... )
    >>> ids, bins = torch.tensor([[1], [3], [0]]), torch.empty(3, 0).long()
    >>> embedding(ids, bins, torch.ones(3, 1)).shape
    torch.Size([2, 3, 5])
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
        n_numeric = sizes["n_numeric"]
        self.width = (self.width - n_numeric) // n_sets + n_numeric

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        parts = [
            self._by_set(rows) for rows in self._embedded(ids, bins, numeric, bags)
        ]
        if numeric.shape[1]:
            parts.append(numeric.expand(self.n_sets, *numeric.shape))
        return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]

    def _by_set(self, rows: Tensor) -> Tensor:
        """``(batch, columns, n_sets * dim)`` to ``(n_sets, batch, columns * dim)``."""
        sets: Tensor = rows.unflatten(2, (self.n_sets, -1))
        return sets.permute(2, 0, 1, 3).flatten(2)


# Poolings by name that have parameters of their own.
WITH_PARAMETERS = ("din", "transformer")


def _pooling(bag: BagColumn, width: int) -> Pooling:
    if bag.pooling == "din":
        return TargetAttention(width=width)
    return TransformerPooling(width=width, length=bag.length)


def widths(embedding_dim: int | Sequence[int], n_columns: int) -> list[int]:
    """One width for each column."""
    if isinstance(embedding_dim, Iterable):
        return list(embedding_dim)
    return [int(embedding_dim)] * n_columns


@dataclass(frozen=True)
class Pretrained:
    """Vectors that some rows of a vocabulary start from.

    Parameters
    ----------
    rows : Tensor of shape (n_vectors,), dtype int64
        Rows of the vocabulary, without row 0, that of unknown ids.
    vectors : Tensor of shape (n_vectors, width)
        Their vectors. A learned linear map brings those of another width than the
        embedding to its width.
    frozen : bool, default=False
        Whether they stay as they are.
    learning_rate_factor : float, default=1.0
        Multiplier of their learning rate.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import Pretrained, TableEmbedding
    >>> vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> embedding = TableEmbedding(
    ...     vocabulary_sizes=[5], bin_sizes=[], n_numeric=0, embedding_dim=2,
    ...     bin_dim=1, sparse=True,
    ...     pretrained={0: Pretrained(torch.tensor([1, 4]), vectors, frozen=True)},
    ... )
    >>> none = torch.empty(2, 0)
    >>> embedding(torch.tensor([[4], [0]]), none.long(), none).detach()
    tensor([[3., 4.],
            [0., 0.]])
    """

    rows: Tensor
    vectors: Tensor
    frozen: bool = False
    learning_rate_factor: float = 1.0

    def repeated(self, n: int, dim: int) -> Pretrained:
        """Lay the vectors `n` times side by side, if that makes them `dim` wide.

        Parameters
        ----------
        n : int
            Number of copies.
        dim : int
            Width of the table.

        Returns
        -------
        Pretrained
            With the wider vectors, or the object itself.
        """
        if n * self.vectors.shape[1] != dim:
            return self
        return replace(self, vectors=self.vectors.repeat(1, n))

    def needs_own_table(self, dim: int) -> bool:
        """Whether they need a table of their own.

        Parameters
        ----------
        dim : int
            Width of the table of the other rows.

        Returns
        -------
        bool
            True for vectors that are frozen, of another width, or with a learning rate
            of their own.
        """
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
    vocabularies : sequence of int or None
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
    own_tables : torch.nn.ModuleList
        Tables with pretrained vectors of their own, each of one vocabulary.
    widths : list of int
        Width of the embeddings of each id column.

    Notes
    -----
    Shape: ``(batch, n_columns)`` to a list with ``(batch, n_columns of this width,
    width)`` for each table that has columns, those own tables last. Ids are rows of one
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
        vocabularies: Sequence[int] | None = None,
        more: Sequence[int] = (),
        pretrained: Mapping[int, Pretrained] | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.sparse, self.more = sparse, list(more)
        every = range(len(sizes))
        self.vocabularies = list(every if vocabularies is None else vocabularies)
        self.widths = [dims[v] for v in self.vocabularies]
        given = pretrained or {}
        own = [v for v, one in given.items() if one.needs_own_table(dims[v])]
        together = [v for v in range(len(sizes)) if v not in own]
        self.groups = [
            [v for v in together if dims[v] == width]
            for width in dict.fromkeys(dims[v] for v in together)
        ]
        self.tables = nn.ParameterList(
            _start([sizes[v] for v in group], dims[group[0]], gain)
            for group in self.groups
        )
        self.own_tables = nn.ModuleList(
            PretrainedRows(
                **vars(given[v]), own=_start([sizes[v]], dims[v], gain), sparse=sparse
            )
            for v in own
        )
        # Own tables are numbered after the others.
        self.groups += [[v] for v in own]
        self._set_reads()
        self._set_shifts(sizes)
        first = _first_rows(sizes)
        for v in given.keys() - set(own):
            rows = first[v] - self.shift_of[v] + given[v].rows
            with torch.no_grad():
                self.tables[self.table_of[v]][rows] = given[v].vectors

    def _set_reads(self) -> None:
        """Say which of the ids of a row each table reads.

        Those of its columns, and after them those of their further hashes.
        """
        vocabulary_of = [*self.vocabularies, *(self.vocabularies[k] for k in self.more)]
        self.table_of = {v: g for g, group in enumerate(self.groups) for v in group}
        self.columns, self.reads = [], []
        for g, group in enumerate(self.groups):
            read = [p for p, v in enumerate(vocabulary_of) if v in group]
            columns = [p for p in read if p < len(self.vocabularies)]
            owners = [
                columns.index(self.more[p - len(self.vocabularies)])
                for p in read[len(columns) :]
            ]
            self.columns.append(columns)
            self.reads.append(read)
            owner = torch.tensor(owners, dtype=torch.int64)
            self.register_buffer(f"owners{g}", owner, persistent=False)

    def _set_shifts(
        self, sizes: Sequence[int], device: str | torch.device | None = None
    ) -> None:
        """From a row of the fused space to that of its table."""
        self.shift_of = _shifts(sizes, self.groups)
        shifts = [self.shift_of[v] for v in self.vocabularies]
        shifts += [shifts[k] for k in self.more]
        tensor = torch.tensor(shifts, dtype=torch.int64, device=device)
        self.register_buffer("shifts", tensor, persistent=False)

    def trained(self) -> list[tuple[nn.Parameter, float]]:
        """Every table that is trained, and the factor of its learning rate."""
        found = [(table, 1.0) for table in self.tables]
        for one in self.own_tables:
            assert isinstance(one, PretrainedRows)
            found += one.tables()
        return [(table, factor) for table, factor in found if table.numel()]

    def forward(self, ids: Tensor) -> list[Tensor]:
        if len(self.groups) == 1 and not self.own_tables:
            return [self._rows(ids, 0)]
        ids = ids - self.shifts.to(ids.dtype)
        return [
            # A table that only columns of lists read has no rows here.
            self._rows(ids[:, read], g)
            for g, read in enumerate(self.reads)
            if read
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
        # An id that is hashed several times has the sum of its rows.
        return rows[:, :n].index_add(1, getattr(self, f"owners{g}"), rows[:, n:])

    def _look_up(self, ids: Tensor, g: int) -> Tensor:
        if g < len(self.tables):
            return F.embedding(ids, self.tables[g], sparse=self.sparse)
        rows: Tensor = self.own_tables[g - len(self.tables)](ids)
        return rows

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give each vocabulary more rows, as `Embedding.grow` says."""
        first, found = _first_rows(sizes), []
        for g, group in enumerate(self.groups):
            parts = {v: slice(first[v], first[v] + sizes[v]) for v in group}
            # Rows of `start` are those of before, and so are the shifts until the end.
            row = torch.cat([start[p] - self.shift_of[v] for v, p in parts.items()])
            fresh = torch.cat([new[p] for p in parts.values()])
            if g < len(self.tables):
                one = grown(self.tables[g], row, fresh)
                self.tables[g] = one.after
            else:
                own = self.own_tables[g - len(self.tables)]
                assert isinstance(own, PretrainedRows)
                one = own.grow(row, fresh)
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
    std, generator = 0.2 * dim**-0.5, generator_of("cpu")
    nn.init.normal_(table, std=std, generator=generator)
    table *= gain
    table[_first_rows(sizes)] = 0.0
    return nn.Parameter(table)


def _first_rows(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:k]) for k in range(len(sizes))]
