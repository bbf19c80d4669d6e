"""Statistics of columns, from a table or a stream of blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._containers import as_frame
from skmtl._memory import free_memory
from skmtl._typing import ColumnName
from skmtl.encoding._columns import Plan, Reading, joined_ids, readers_of
from skmtl.encoding._hashing import HashedIds
from skmtl.encoding._lists import entry_keys, flat_keys, flat_values, spread_vectors
from skmtl.encoding._numbers import (
    ColumnProfile,
    Floats,
    NumberScale,
    as_float,
    distinct_with_mass,
    profile_numbers,
)
from skmtl.encoding._table import Columns
from skmtl.encoding._vocabulary import (
    Keys,
    Vocabulary,
    VocabularyLimits,
    as_keys,
    first_rows,
)
from skmtl.sources.space import size_text

if TYPE_CHECKING:
    import pyarrow as pa

# Rows of numbers that are kept of a stream, and their cells in all. The quantiles of so
# many rows have a rank error of .001.
_SAMPLE_ROWS, _SAMPLE_CELLS = 2**20, 2**25
# Number of distinct ids that may be pending before they are merged with the known ones.
_PENDING = 2**18
# Share of the free memory that counting may take; a vocabulary takes three times that.
_SHARE = 0.25


@dataclass(frozen=True)
class NumberStatistics:
    """What is known about a column of numbers.

    Attributes
    ----------
    values, mass : ndarray of shape (n_distinct,)
        As `distinct_with_mass` gives them.
    n_cells, n_missing : int
        Number of cells, and of missing ones.
    complete : bool
        Whether `values` are all distinct values rather than those of a sample.
    """

    values: Floats
    mass: Floats
    n_cells: int
    n_missing: int
    complete: bool = True


@dataclass(frozen=True)
class Learnt:
    """What an encoder learns about its columns.

    Attributes
    ----------
    vocabularies : list of Vocabulary or HashedIds
        One for each owner of a vocabulary.
    scales : list of NumberScale
        One for each numeric column.
    profile : dict
        What `TableEncoder.summary` says about each column.
    """

    vocabularies: list[Vocabulary | HashedIds]
    scales: list[NumberScale]
    profile: dict[ColumnName, ColumnProfile]


class Statistics(ABC):
    """Statistics of the rows that an encoder learns from."""

    @abstractmethod
    def ids(self, name: ColumnName, place: int) -> Reading:
        """Return the distinct ids of a column, as they appear, and their counts.

        Parameters
        ----------
        name : str or int
            The column.
        place : int
            Where it is, once vectors are spread over columns.
        """

    @abstractmethod
    def numbers(self, name: ColumnName, place: int) -> NumberStatistics:
        """Return the distinct numbers of a column and their weights; see `ids`."""

    def learnt(
        self, vocabulary: Vocabulary | HashedIds, names: list[ColumnName]
    ) -> None:
        """Record the vocabulary that was made from some columns."""
        return


def learn(
    plan: Plan,
    rows: Statistics,
    limits: VocabularyLimits,
    n_bins: int,
    bin_flags: bool,
) -> Learnt:
    """Make vocabularies, scales and bins from the statistics of rows.

    Parameters
    ----------
    plan : Plan
        What the columns are.
    rows : Statistics
        Their statistics, read one vocabulary after the other.
    limits : mapping
        `min_frequency` and `max_categories` of the vocabularies.
    n_bins, bin_flags
        As in `TableEncoder`.
    """
    vocabularies: list[Vocabulary | HashedIds] = []
    scales, profile, places = [], {}, plan.places
    for owner, readers in readers_of(plan.owners).items():
        readings = [rows.ids(name, places[name]) for name in readers]
        ids, counts = joined_ids(readings)
        if owner in plan.hashed:
            vocabularies.append(HashedIds.fit(ids, plan.hashed[owner]))
        else:
            vocabularies.append(Vocabulary.fit(ids, counts, **limits))
        rows.learnt(vocabularies[-1], readers)
        for one in readings:
            profile[one.name] = one.profile(vocabularies[-1], len(readings))
    for name, place in zip(plan.numeric, plan.roles.numeric, strict=True):
        x = rows.numbers(name, place)
        missing = x.n_missing > 0
        scale = NumberScale.of_distinct(
            x.values, x.mass, n_bins, missing, flags=bin_flags
        )
        scales.append(scale)
        profile[name] = profile_numbers(x.n_cells, x.n_missing, x.values)
        if not x.complete:
            profile[name]["distinct"] = None
    return Learnt(vocabularies, scales, profile)


class TableStatistics(Statistics):
    """Statistics of a table in memory.

    Parameters
    ----------
    columns : sequence of Series
        Its columns, vectors spread.
    lists : sequence of int
        Places of the columns of lists.
    weight : ndarray of shape (n_samples,) or None
        Weights of the rows, above 0.
    max_length : int or None
        Entries of a list that are kept.
    """

    def __init__(
        self,
        columns: Sequence[pd.Series],
        lists: Sequence[int],
        weight: Floats | None,
        max_length: int | None,
    ) -> None:
        self.columns, self.lists = columns, set(lists)
        self.weight, self.max_length = weight, max_length

    def ids(self, name: ColumnName, place: int) -> Reading:
        keys = self._keys(name, place)
        n_missing = len(keys) - int(keys.counts.sum())
        return Reading(name, keys.distinct, keys.counts, len(keys), n_missing)

    def _keys(self, name: ColumnName, place: int) -> Keys:
        column = self.columns[place]
        if place in self.lists:
            return flat_keys(column, name, self.max_length)[0]
        return as_keys(column, name)

    def numbers(self, name: ColumnName, place: int) -> NumberStatistics:
        x = as_float(self.columns[place], name)
        values, mass = distinct_with_mass(x, self.weight)
        return NumberStatistics(values, mass, len(x), int(np.isnan(x).sum()))


class EncodingStatistics(TableStatistics):
    """Statistics of a table whose ids are encoded as soon as their vocabulary is known.

    Telling the ids of a column apart is most of the work, and is done only once.

    Parameters
    ----------
    columns : sequence of Series
        The columns of the table, vectors spread.
    plan : Plan
        What the columns are.
    weight, max_length
        As for `TableStatistics`.
    limits : mapping
        As for `learn`.

    Attributes
    ----------
    codes : ndarray of shape (n_samples, n_categorical)
        For each column of single ids, the rows within its vocabulary.
    """

    def __init__(
        self,
        columns: Columns,
        plan: Plan,
        weight: Floats | None,
        max_length: int | None,
        limits: VocabularyLimits,
    ) -> None:
        super().__init__(columns, plan.roles.lists, weight, max_length)
        self.limits = limits
        self.places = {name: k for k, name in enumerate(plan.categorical)}
        most = max(plan.hashed.values(), default=0)
        shape = (len(columns.frame), len(self.places))
        self.codes = np.empty(shape, np.int32 if most < 2**31 else np.int64)
        self.pending: dict[ColumnName, Keys] = {}

    def _keys(self, name: ColumnName, place: int) -> Keys:
        keys = super()._keys(name, place)
        if name in self.places:
            self.pending[name] = keys
        return keys

    def learnt(
        self, vocabulary: Vocabulary | HashedIds, names: list[ColumnName]
    ) -> None:
        for name in names:
            # Popped, so that the keys of one column are freed before the next is read.
            keys = self.pending.pop(name, None)
            if keys is None:  # lists
                continue
            # A shared vocabulary has other frequencies than this column alone.
            if isinstance(vocabulary, Vocabulary) and len(names) == 1:
                rows = first_rows(keys, **self.limits)
            else:
                rows = vocabulary.rows(keys)
            self.codes[:, self.places[name]] = rows


class StreamedStatistics(Statistics):
    """Statistics of rows that come block by block.

    Ids are counted exactly. For numbers, a random sample of the rows is kept, with the
    count of missing values and the extremes over all rows.

    Parameters
    ----------
    plan : Plan
        What the columns are, and which share a vocabulary. The ids of hashed columns
        are not counted.
    max_length : int or None
        Entries of a list that are kept.
    """

    def __init__(self, plan: Plan, max_length: int | None) -> None:
        self.roles, self.max_length = plan.roles, max_length
        self.owners, roles = plan.owners, plan.roles
        self.lists = set(roles.lists)
        self.counters: dict[int, _Counter] = {}
        for place in [*roles.single, *roles.lists]:
            name = roles.names[place]
            kind = _FirstIds if plan.owners[name] in plan.hashed else _AllIds
            self.counters[place] = kind(name)
        self.sample = NumberSample(len(roles.numeric))
        self.n_rows = 0
        self.free = free_memory()

    def add(self, block: pa.Table, weight: Floats | None) -> None:
        """Take some rows.

        Parameters
        ----------
        block : pyarrow.Table
            The rows, with the columns of the table as passed.
        weight : ndarray of shape (n_rows,) or None
            Their weights. Those of weight 0 are left out.
        """
        if weight is not None and not weight.all():
            block, weight = block.filter(weight > 0), weight[weight > 0]
        if not len(block):
            return
        frame = spread_vectors(as_frame(block), self.roles.widths)
        self.n_rows += len(frame)
        columns = [column for _, column in frame.items()]
        for place, counter in self.counters.items():
            counter.add(self._cells(columns[place], place))
        numbers = np.empty((len(frame), len(self.roles.numeric)))
        for k, place in enumerate(self.roles.numeric):
            numbers[:, k] = as_float(columns[place], self.roles.names[place])
        self.sample.add(numbers, weight)
        self._check_memory()

    def _cells(self, column: pd.Series, place: int) -> pa.Array:
        """Single ids of a column as Arrow has them: cells, or entries of lists."""
        if place not in self.lists:
            return _to_arrow(column)
        name = self.roles.names[place]
        return _to_arrow(flat_values(column, name, self.max_length)[0])

    def _check_memory(self) -> None:
        sizes = {c.name: c.n_bytes for c in self.counters.values()}
        if self.free is None or sum(sizes.values()) < _SHARE * self.free:
            return
        name = max(sizes, key=lambda one: sizes[one])
        counter = next(c for c in self.counters.values() if c.name == name)
        owner = self.owners[name]
        whose = "it" if owner == name else f"{owner!r}, whose ids it shares"
        raise ValueError(
            f"Counting the ids of {len(sizes)} columns takes "
            f"{size_text(sum(sizes.values()))} of the {size_text(self.free)} of free "
            f"memory after {self.n_rows:,} rows, and a vocabulary takes three times "
            f"that. Column {name!r} has the most, at least {len(counter):,} distinct "
            f"ids. Hash {whose}: n_buckets={{{owner!r}: 1_000_000}}."
        )

    def ids(self, name: ColumnName, place: int) -> Reading:
        counter = self.counters[place]
        values, seen = counter.total()
        column = pd.Series(pd.arrays.ArrowExtensionArray(values))
        keys = (
            entry_keys(column, name) if place in self.lists else as_keys(column, name)
        )
        # NaN is a value to Arrow and a missing id here. Weights of bincount are floats,
        # exact for any count that can occur.
        there = keys.codes >= 0
        counts = np.bincount(
            keys.codes[there], seen[there], minlength=len(keys.distinct)
        ).astype(np.int64)
        n_missing = counter.n_missing + int(seen[~there].sum())
        return Reading(
            name, keys.distinct, counts, counter.n_cells, n_missing, counter.exact
        )

    def numbers(self, name: ColumnName, place: int) -> NumberStatistics:
        return self.sample.statistics(self.roles.numeric.index(place))


def _to_arrow(column: pd.Series) -> pa.Array:
    """A column as one Arrow array whose offsets cannot overflow."""
    import pyarrow as pa

    chunks = pa.table({"column": pa.array(column)})["column"]
    values = chunks.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # no chunks, or too large for one
        values = pa.concat_arrays(values.chunks)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.large_string()) if pa.types.is_string(values.type) else values


class _Counter(ABC):
    """Distinct values of one column, in order of appearance."""

    exact: bool

    def __init__(self, name: ColumnName) -> None:
        self.name = name
        self.n_cells = self.n_missing = 0
        self.known: pa.Array | None = None
        self.counts = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def n_bytes(self) -> int:
        """Memory that the distinct values take."""
        return 0 if self.known is None else self.known.nbytes + self.counts.nbytes

    def add(self, cells: pa.Array) -> None:
        """Count some cells."""
        self.n_cells += len(cells)
        self.n_missing += cells.null_count
        self._count(cells)

    @abstractmethod
    def _count(self, cells: pa.Array) -> None:
        """Take the values of cells."""

    def total(self) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        """The distinct values, and how often each occurred."""
        import pyarrow as pa

        return (pa.nulls(0) if self.known is None else self.known), self.counts


class _AllIds(_Counter):
    """Exact counts.

    The distinct values of blocks wait until there are as many of them as known values.
    Then all are counted together, so that each value is processed only a few times.
    """

    exact = True

    def __init__(self, name: ColumnName) -> None:
        super().__init__(name)
        self.pending: list[tuple[pa.Array, npt.NDArray[np.int64]]] = []
        self.n_pending = self.pending_bytes = 0

    def __len__(self) -> int:
        # Some pending values may be known already, but those of one block are distinct.
        return max([len(self.counts), *(len(counts) for _, counts in self.pending)])

    @property
    def n_bytes(self) -> int:
        """Memory that the values take, pending ones included."""
        return super().n_bytes + self.pending_bytes

    def _count(self, cells: pa.Array) -> None:
        from pyarrow import compute

        found = compute.value_counts(cells.drop_null())
        values, counts = found.field(0), found.field(1).to_numpy()
        self.pending.append((values, counts))
        self.n_pending += len(values)
        self.pending_bytes += values.nbytes + counts.nbytes
        if self.n_pending > max(_PENDING, len(self.counts)):
            self._fold()

    def _fold(self) -> None:
        import pyarrow as pa

        parts = [*([] if self.known is None else [(self.known, self.counts)])]
        parts += self.pending
        # Arrow's dictionaries list values in order of appearance.
        encoded = pa.concat_arrays([v for v, _ in parts]).dictionary_encode()
        weights = np.concatenate([counts for _, counts in parts])
        codes = encoded.indices.to_numpy()
        self.known = encoded.dictionary
        found = np.bincount(codes, weights, minlength=len(self.known))
        self.counts = found.astype(np.int64)
        self.pending, self.n_pending, self.pending_bytes = [], 0, 0

    def total(self) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        if self.pending:
            self._fold()
        return super().total()


class _FirstIds(_Counter):
    """The ids of the first block that has any, which tell whether they are numbers."""

    exact = False
    n_bytes = 0  # those of one block, whatever the number of rows

    def _count(self, cells: pa.Array) -> None:
        from pyarrow import compute

        if not len(self.counts):
            found = compute.value_counts(cells.drop_null())
            self.known, self.counts = found.field(0), found.field(1).to_numpy()


class NumberSample:
    """A random sample of rows of numbers, and what is known about all rows.

    Parameters
    ----------
    n_columns : int
        Numbers of a row.

    Notes
    -----
    As long as all rows fit, they are kept in order, so that what is learnt from them is
    bit-identical to a fit in memory. After that, row ``i`` draws a random place among
    the first ``i`` and is kept if that place lies in the sample (algorithm R). The
    sample is the same in each fit.

    References
    ----------
    J. S. Vitter, "Random Sampling with a Reservoir", ACM Transactions on Mathematical
    Software 11, 1985.
    """

    def __init__(self, n_columns: int) -> None:
        self.size = min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(n_columns, 1))
        self.rows = np.empty((0, n_columns))
        self.weight: Floats | None = None
        self.n_rows = 0
        self.n_missing = np.zeros(n_columns, dtype=np.int64)
        self.low, self.high = np.full((2, n_columns), np.nan)
        self.rng = np.random.default_rng(0)

    def add(self, rows: Floats, weight: Floats | None) -> None:
        """Take some rows, and their weights.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_columns)
            Numbers; NaN where missing.
        weight : ndarray of shape (n_rows,) or None
            Above 0. None for ones.
        """
        if not rows.shape[1]:
            return
        # Blocks before the first with weights, or after it, may have none.
        if weight is None and self.weight is not None:
            weight = np.ones(len(rows))
        if weight is not None and self.weight is None:
            self.weight = np.ones(len(self.rows))
        self.n_missing += np.isnan(rows).sum(axis=0)
        # `fmin` and `fmax` skip NaN.
        self.low = np.fmin(self.low, np.fmin.reduce(rows, axis=0))
        self.high = np.fmax(self.high, np.fmax.reduce(rows, axis=0))
        room = min(self.size - len(self.rows), len(rows))
        if room:
            self.rows = np.concatenate([self.rows, rows[:room]])
            if weight is not None:
                self.weight = np.concatenate([self.weight, weight[:room]])
        at = np.arange(self.n_rows + room, self.n_rows + len(rows))
        place = (self.rng.random(len(at)) * (at + 1)).astype(np.int64)
        taken = np.flatnonzero(place < self.size)
        # Of rows that draw the same place, the last one stays, as in algorithm R.
        self.rows[place[taken]] = rows[room + taken]
        if weight is not None and self.weight is not None:
            self.weight[place[taken]] = weight[room + taken]
        self.n_rows += len(rows)

    def statistics(self, k: int) -> NumberStatistics:
        """Return what is known about a column."""
        values, mass = distinct_with_mass(self.rows[:, k], self.weight)
        ends = np.array([self.low[k], self.high[k]])
        ends = np.unique(ends[~np.isnan(ends) & ~np.isin(ends, values)])
        if len(ends):  # extremes that the sample missed, which weigh nothing
            at = np.searchsorted(values, ends)
            values, mass = np.insert(values, at, ends), np.insert(mass, at, 0.0)
        complete = self.n_rows == len(self.rows)
        n_missing = int(self.n_missing[k])
        return NumberStatistics(values, mass, self.n_rows, n_missing, complete)
