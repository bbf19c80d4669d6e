"""The encoded form of a table, where the rows of its ids lie, and how it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._containers import has_columns
from skmtl._typing import AnyArray, ColumnName, TableLike
from skmtl.encoding._hashing import HashedIds
from skmtl.encoding._lists import encode_lists
from skmtl.encoding._numbers import (
    SHORT,
    ColumnProfile,
    NumberScale,
    encode_few,
    encode_numbers,
)
from skmtl.encoding._requests import (
    Cells,
    as_numbers,
    cells_of,
    column_arrays,
    is_column,
    lookup_of,
    quick_rows,
)
from skmtl.encoding._vocabulary import Vocabulary, as_keys, rows_of_column

IdArray = npt.NDArray[np.signedinteger]

# Columns held as Series at a time. With more, fits of wide tables take longer.
_HELD = 64


@dataclass(frozen=True)
class RaggedArray:
    """A column of lists: all entries in one array, and where those of each row begin.

    Parameters
    ----------
    values : ndarray of shape (n_entries,), dtype int64
        The entries of all rows, one row after the other.
    offsets : ndarray of shape (n_samples + 1,), dtype int64
        Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``, as in a CSR matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import RaggedArray
    >>> lists = RaggedArray(np.array([4, 7, 5]), np.array([0, 2, 2, 3]))
    >>> lists.lengths
    array([2, 0, 1])
    >>> lists.take([2, 0]).values
    array([5, 4, 7])
    """

    values: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def from_lengths(
        cls, values: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> RaggedArray:
        """Build a column from its entries and the number of them in each row."""
        return cls(values, _offsets(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of entries of each row."""
        return np.diff(self.offsets)

    def take(self, rows: npt.ArrayLike | slice) -> RaggedArray:
        """Select rows.

        Parameters
        ----------
        rows : array-like of int or bool, or slice
            Which rows to take.

        Returns
        -------
        RaggedArray
            The selected rows, in the order asked for.
        """
        chosen = _places(rows)
        starts, lengths = self.offsets[:-1][chosen], self.lengths[chosen]
        offsets = _offsets(lengths)
        # From the place of an entry in the result to that in `values`.
        at = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return RaggedArray(self.values[at], offsets)


def _places(rows: npt.ArrayLike | slice) -> AnyArray | slice:
    """Positions or a mask as numpy takes them, which reads an empty list as floats."""
    if isinstance(rows, slice):
        return rows
    places = np.asarray(rows)
    return places if places.size else places.astype(np.intp)


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


@dataclass(frozen=True)
class EncodedTable:
    """Arrays that stand for the rows of a table, ready for the network.

    Parameters
    ----------
    ids : ndarray of shape (n_samples, n_categorical), dtype int32
        Rows of the fused embedding table: the code of each id plus the offset of its
        column. Where columns are hashed by several functions, more columns follow.
        Tables of more than 2,147,483,647 rows have int64.
    bins : ndarray of shape (n_samples, n_binned), dtype int32
        Rows of the fused bin table, offsets included, for each numeric column that has
        bins.
    numeric : ndarray of shape (n_samples, n_numeric), dtype float32
        Scaled numbers; 0 where the number is missing.
    bags : tuple of RaggedArray of n_samples rows, default=()
        One for each column of lists: rows of the fused embedding table, as `ids`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.encoding import TableEncoder
    >>> X = pd.DataFrame({"item": ["a", "b", "a"], "price": [1.0, 2.0, 3.0]})
    >>> table = TableEncoder(min_frequency=1).fit(X).encode(X)
    >>> len(table)
    3
    >>> table.ids.ravel()
    array([1, 2, 1], dtype=int32)
    """

    ids: npt.NDArray[np.signedinteger]
    bins: npt.NDArray[np.int32]
    numeric: npt.NDArray[np.float32]
    bags: tuple[RaggedArray, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the table that was encoded."""
        n_columns = self.ids.shape[1] + self.numeric.shape[1] + len(self.bags)
        return len(self.ids), n_columns

    def take(self, rows: npt.ArrayLike | slice) -> EncodedTable:
        """Select rows.

        Parameters
        ----------
        rows : array-like of int or bool, or slice
            Which rows to take.

        Returns
        -------
        EncodedTable
            The selected rows, in the order asked for.
        """
        rows = _places(rows)
        return EncodedTable(
            self.ids[rows],
            self.bins[rows],
            self.numeric[rows],
            tuple(bag.take(rows) for bag in self.bags),
        )

    def as_dict(self) -> dict[str, AnyArray | tuple[RaggedArray, ...]]:
        """Name the arrays as the network's ``forward`` does.

        Returns
        -------
        dict of str to ndarray
            ``ids``, ``bins`` and ``numeric``, and ``bags``, the tuple, where there are
            columns of lists.
        """
        arrays: dict[str, AnyArray | tuple[RaggedArray, ...]] = {
            "ids": self.ids,
            "bins": self.bins,
            "numeric": self.numeric,
        }
        return {**arrays, "bags": self.bags} if self.bags else arrays


@dataclass(frozen=True)
class Fallback:
    """Rows of one column for its unknown ids.

    Attributes
    ----------
    column : int
        The id column.
    chain : tuple of int
        The columns to try, one after the other, until one has a known id.
    first : tuple of int
        For each of them, the row (of `column`) of its first known id.
    """

    column: int
    chain: tuple[int, ...]
    first: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How the rows of the vocabularies lie in the fused table.

    Attributes
    ----------
    columns : sequence of int
        The vocabulary that each id column reads.
    sizes : sequence of int
        Rows of each vocabulary's ids, row 0 included, without fallbacks.
    totals : sequence of int
        With fallbacks.
    fallbacks : sequence of Fallback
        The fallbacks.
    """

    columns: Sequence[int]
    sizes: Sequence[int]
    totals: Sequence[int]
    fallbacks: Sequence[Fallback]

    @classmethod
    def of(
        cls,
        chains: Sequence[Sequence[int]],
        columns: Sequence[int],
        sizes: Sequence[int],
    ) -> Layout:
        """Lay out vocabularies of these sizes, with columns that fall back."""
        found = fallbacks(chains, [sizes[v] for v in columns])
        totals = list(sizes)
        for one in found:
            totals[columns[one.column]] += sum(sizes[columns[c]] - 1 for c in one.chain)
        return cls(columns, sizes, totals, found)

    @cached_property
    def first(self) -> list[int]:
        """First row of each vocabulary."""
        return list(accumulate(self.totals, initial=0))[:-1]

    @cached_property
    def column_first(self) -> list[int]:
        """First row of the vocabulary of each id column."""
        return [self.first[v] for v in self.columns]

    @property
    def column_sizes(self) -> list[int]:
        """Rows of the ids of each id column's vocabulary."""
        return [self.sizes[v] for v in self.columns]

    def blocks(self) -> list[list[tuple[int, int]]]:
        """First row and length of each vocabulary's parts: ids, then each fallback."""
        found = [[part] for part in zip(self.first, self.sizes, strict=True)]
        for one in self.fallbacks:
            vocabulary = self.columns[one.column]
            first = self.first[vocabulary]
            for row, column in zip(one.first, one.chain, strict=True):
                length = self.sizes[self.columns[column]] - 1
                found[vocabulary].append((first + row, length))
        return found


@dataclass(frozen=True)
class Growth:
    """The rows of a fused table after new ids got theirs.

    Attributes
    ----------
    start : ndarray of shape (n_rows,), dtype int64
        The row of the previous table that each row starts from: for an old row its own
        place there, for a new one the row that its id read until now, which is the
        unknown row or a fallback.
    new : ndarray of shape (n_rows,), dtype bool
        Rows that were not there before.
    """

    start: npt.NDArray[np.int64]
    new: npt.NDArray[np.bool_]


def growth(
    before: Layout,
    after: Layout,
    ids_before: npt.NDArray[np.int64],
    ids_after: npt.NDArray[np.int64],
) -> Growth:
    """Map the rows of the grown table to those of the previous one.

    Parameters
    ----------
    before, after : Layout
        Of the two tables.
    ids_before, ids_after : ndarray of shape (n_ids,)
        All ids of the new data, encoded for either table. They tell which row a new id
        read before; where that differs from cell to cell, the last cell decides.
    """
    start = np.empty(sum(after.totals), dtype=np.int64)
    new = np.ones(len(start), dtype=bool)
    for unknown, old, now in zip(
        before.first, before.blocks(), after.blocks(), strict=True
    ):
        for (old_row, old_length), (row, length) in zip(old, now, strict=True):
            start[row : row + length] = unknown
            start[row : row + old_length] = np.arange(old_row, old_row + old_length)
            new[row : row + old_length] = False
    fresh = new[ids_after]
    start[ids_after[fresh]] = ids_before[fresh]
    return Growth(start, new)


def fallbacks(chains: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[Fallback]:
    """Lay out the rows of the fallbacks after each column's own.

    Parameters
    ----------
    chains : sequence of sequence of int
        From `fallback_chains`.
    sizes : sequence of int
        Rows of each column's vocabulary, row 0 included.

    Returns
    -------
    list of Fallback
        One for each column that has a chain.
    """
    found = []
    for column, chain in enumerate(chains):
        first = np.cumsum([sizes[column], *(sizes[c] - 1 for c in chain)])[:-1]
        if chain:
            rows = tuple(int(row) for row in first)
            found.append(Fallback(column, tuple(chain), rows))
    return found


def fall_back(codes: npt.NDArray[np.signedinteger], found: Sequence[Fallback]) -> None:
    """Give unknown ids (code 0) the row of the first known id of their chain.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_columns)
        Rows within each column; changed in place.
    found : sequence of Fallback
        From `fallbacks`.
    """
    # As looked up: a row of a fallback is not a known id for the next column.
    own = codes.copy() if found else codes
    for one in found:
        column = codes[:, one.column]
        for c, first in zip(one.chain, one.first, strict=True):
            use = (column == 0) & (own[:, c] > 0)
            # Code 0, of unknown ids, has no row here.
            column[use] = first + own[use, c] - 1


class FittedEncoder(Protocol):
    """The attributes of a `TableEncoder` that the functions below read."""

    max_length: int | None
    categorical_names_: list[ColumnName]
    bag_names_: list[ColumnName]
    numeric_names_: list[ColumnName]
    vocabulary_sizes_: list[int]
    bin_sizes_: list[int]
    more_hashes_: list[int]
    layout_: Layout
    n_features_in_: int
    _categorical: list[int]
    _lists: list[int]
    _numeric: list[int]
    _vocabularies: list[Vocabulary | HashedIds]
    _scales: list[NumberScale]
    _widths: Mapping[int, int] | None
    _profile: Mapping[ColumnName, ColumnProfile] | None

    @property
    def vocabulary_places_(self) -> dict[ColumnName, int]: ...

    def _matched_names(self) -> list[ColumnName] | None: ...


class Columns(Sequence[pd.Series]):
    """The columns of a table, of which only some are held as Series at a time.

    Selecting them one by one is slow. Thousands of them at once keep Python's garbage
    collector busy for longer than it takes to encode them.

    Parameters
    ----------
    frame : DataFrame
        The table.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.start, self.held = 0, self._from(0)

    def __len__(self) -> int:
        return self.frame.shape[1]

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self):  # which also ends iteration
            raise IndexError(place)
        start = place - place % _HELD
        if start != self.start:
            self.start, self.held = start, self._from(start)
        return self.held[place - start]

    def _from(self, start: int) -> list[pd.Series]:
        some = self.frame
        if some.shape[1] > _HELD:
            some = some.iloc[:, start : start + _HELD]
        return [column for _, column in some.items()]

    def at(self, places: Iterable[int]) -> Iterator[pd.Series]:
        """Columns at ascending places."""
        return (self[place] for place in places)


def encode_frame(
    encoder: FittedEncoder, frame: pd.DataFrame, codes: IdArray | None = None
) -> EncodedTable:
    """Encode a table that has the columns of `fit` in their order, vectors spread.

    Parameters
    ----------
    encoder : FittedEncoder
        The encoder.
    frame : DataFrame
        The table.
    codes : ndarray of shape (n_samples, n_categorical) or None
        Rows of the single ids within their vocabularies, where they are known. Changed
        in place.
    """
    columns = Columns(frame)
    if codes is None:
        codes = _codes(encoder, columns)
    codes = codes.astype(_id_type(encoder), copy=False)
    if encoder.layout_.fallbacks:
        fall_back(codes, encoder.layout_.fallbacks)
    ids = _with_more_hashes(encoder, codes, columns)
    ids += id_offsets(encoder)
    bins, numeric = encode_numbers(
        len(frame),
        columns.at(encoder._numeric),
        encoder.numeric_names_,
        encoder._scales,
        encoder.bin_sizes_,
    )
    places = encoder.vocabulary_places_ if encoder._lists else {}
    bags = []
    for i, name in zip(encoder._lists, encoder.bag_names_, strict=True):
        vocabulary = encoder._vocabularies[places[name]]
        rows, lengths = encode_lists(vocabulary, columns[i], name, encoder.max_length)
        rows += encoder.layout_.first[places[name]]
        bags.append(RaggedArray.from_lengths(rows, lengths))
    return EncodedTable(ids, bins, numeric, tuple(bags))


def _codes(encoder: FittedEncoder, columns: Columns) -> IdArray:
    """Rows of all single ids within their vocabularies."""
    n_rows, reads = len(columns.frame), encoder.layout_.columns
    codes = np.empty((n_rows, len(reads)), dtype=_id_type(encoder))
    rest: Sequence[int] = range(len(reads))
    if n_rows <= SHORT and len(reads):
        ids = [column.values for column in columns.at(encoder._categorical)]
        rest = _quick_codes(encoder, ids, codes)
    for k in rest:
        vocabulary, name = (
            encoder._vocabularies[reads[k]],
            encoder.categorical_names_[k],
        )
        column = columns[encoder._categorical[k]]
        codes[:, k] = rows_of_column(vocabulary, column, name)
    return codes


def _quick_codes(
    encoder: FittedEncoder, ids: Sequence[Cells], codes: IdArray
) -> Sequence[int]:
    """Set the codes of all columns of plain cells; give the others."""
    if not ids:
        return []
    vocabularies = encoder._vocabularies
    lookup = lookup_of(encoder, vocabularies)
    found, rest = quick_rows(lookup, vocabularies, encoder.layout_.columns, ids)
    for places, rows in found:
        codes[:, places] = rows.T
    return rest


def encode_request(encoder: FittedEncoder, X: TableLike) -> EncodedTable | None:
    """Encode short tables of strings and numbers; None for other tables.

    pandas takes microseconds for each column, however short it is, and milliseconds to
    make a table. So columns do not become Series, and what a service gets (rows as
    dictionaries, or a dictionary of columns) does not become a table.
    """
    names = encoder._matched_names()
    if names is None or encoder._lists or encoder._widths or encoder.more_hashes_:
        return None
    if any(isinstance(one, HashedIds) for one in encoder._vocabularies):
        return None
    columns: Sequence[Cells] | None
    if isinstance(X, pd.DataFrame):
        # Their cells are taken by position.
        columns = _cells_of_frame(X) if has_columns(X, names) else None
    else:
        columns = cells_of(X, names)
    if columns is None or len(columns[0]) > SHORT:
        return None
    x = np.empty((len(columns[0]), len(encoder._numeric)))
    for k, i in enumerate(encoder._numeric):
        numbers = as_numbers(columns[i])
        if numbers is None:
            return None
        x[:, k] = numbers
    codes = np.empty((len(x), len(encoder._categorical)), dtype=_id_type(encoder))
    rest = _quick_codes(encoder, [columns[i] for i in encoder._categorical], codes)
    if rest or np.isinf(x).any():  # of which the other path raises an error
        return None
    if encoder.layout_.fallbacks:
        fall_back(codes, encoder.layout_.fallbacks)
    codes += id_offsets(encoder)
    return EncodedTable(codes, *encode_few(x, encoder._scales, encoder.bin_sizes_))


def _cells_of_frame(frame: pd.DataFrame) -> Sequence[Cells] | None:
    """Cells of the columns of a short table; None for other tables."""
    columns = column_arrays(frame) if 0 < len(frame) <= SHORT else []
    return columns if columns and all(map(is_column, columns)) else None


def _with_more_hashes(
    encoder: FittedEncoder, codes: IdArray, columns: Sequence[pd.Series]
) -> IdArray:
    """Append the rows of further hashes."""
    numbers = hash_numbers(encoder.more_hashes_)
    more = []
    for k, number in zip(encoder.more_hashes_, numbers, strict=True):
        name = encoder.categorical_names_[k]
        keys = as_keys(columns[encoder._categorical[k]], name)
        vocabulary = encoder._vocabularies[encoder.layout_.columns[k]]
        assert isinstance(vocabulary, HashedIds)
        more.append(vocabulary.rows(keys, number).astype(codes.dtype))
    return np.column_stack([codes, *more]) if more else codes


def hash_numbers(more_hashes: Sequence[int]) -> list[int]:
    """Number of the hash function behind each of `more_hashes_`, from 1."""
    # The second functions of all columns come first, then the third ones.
    n_hashed = max(len(set(more_hashes)), 1)
    return [1 + place // n_hashed for place in range(len(more_hashes))]


def _id_type(encoder: FittedEncoder) -> type[np.signedinteger]:
    """Type of rows of the fused table: half the memory while they fit 32 bits."""
    fits = sum(encoder.vocabulary_sizes_) <= np.iinfo(np.int32).max
    return np.int32 if fits else np.int64


def id_offsets(encoder: FittedEncoder) -> IdArray:
    """First row, in the fused table, of the rows that each column of ids reads."""
    offsets = np.array(encoder.layout_.column_first, dtype=_id_type(encoder))
    places = [*range(len(offsets)), *encoder.more_hashes_]
    return offsets[np.array(places, dtype=np.intp)]
