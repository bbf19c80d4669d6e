"""Read the cells of short tables, such as a service sends, without pandas' detours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, cast
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray, take

from skmtl._typing import AnyArray, ColumnName
from skmtl.encoding._hashing import HashedIds
from skmtl.encoding._lookup import IdLookup, Texts
from skmtl.encoding._vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

# A column of pandas, an array of numpy, or Python's cells.
Cells = ExtensionArray | AnyArray | list[object]
Vocabularies = Sequence[Vocabulary | HashedIds]
_Integers = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

_FLAGS = {bool, np.bool_}
_WHOLE = {int, *(np.dtype(code).type for code in "bhilqBHI")}
_NUMBERS = {*_WHOLE, float, np.float32, np.float64}
_ABSENT = {type(None), float}

_LOOKUPS: WeakKeyDictionary[object, tuple[Vocabularies, IdLookup]] = WeakKeyDictionary()


class _ArrowArray(Protocol):
    def __arrow_array__(self) -> pa.ChunkedArray | pa.Array: ...


def lookup_of(encoder: object, vocabularies: Vocabularies) -> IdLookup:
    """The hash table of an encoder's vocabularies, made for its first short table.

    It is not among the attributes of the encoder, so that files do not hold it.
    """
    known = _LOOKUPS.get(encoder)
    if known is None or known[0] is not vocabularies:
        known = _LOOKUPS[encoder] = vocabularies, IdLookup(vocabularies)
    return known[1]


def quick_rows(
    lookup: IdLookup,
    vocabularies: Vocabularies,
    reads: Sequence[int],
    columns: Sequence[Cells],
) -> tuple[list[tuple[list[int], _Integers]], list[int]]:
    """Rows, within the vocabularies, of the columns whose cells are plain.

    Parameters
    ----------
    lookup : IdLookup
        The hash table.
    vocabularies : sequence of Vocabulary or HashedIds
        The vocabularies.
    reads : sequence of int
        Which of them each column reads.
    columns : sequence of ExtensionArray, ndarray or list
        The columns of ids, which have as many cells.

    Returns
    -------
    rows : list of tuple
        Positions of columns, and their rows of shape (n_columns, n_samples).
    rest : list of int
        The other columns: of lists, hashed, of fractions or of the other kind.
    """
    texts: dict[int, pa.ChunkedArray | list[str | None]] = {}
    integers: dict[int, _Integers] = {}
    found: list[tuple[list[int], _Integers]] = []
    for k, (v, cells) in enumerate(zip(reads, columns, strict=True)):
        one = vocabularies[v]
        if isinstance(one, Vocabulary) and one.dense:
            ids = as_integers(cells)
            if ids is not None:
                found.append(([k], one.dense_rows(ids)[None]))
        elif lookup.holds[v] and one.numbers:
            ids = as_integers(cells)
            if ids is not None:
                integers[k] = ids
        elif lookup.holds[v]:
            text = as_texts(cells)
            if text is not None:
                texts[k] = text
    if integers:
        asked = np.stack(list(integers.values()))
        rows = lookup.rows_of_integers(asked, [reads[k] for k in integers])
        found.append((list(integers), rows))
    joined = _joined(list(texts.values())) if texts else None
    if joined is not None:
        rows = lookup.rows_of_texts(joined, [reads[k] for k in texts])
        found.append((list(texts), rows))
    done = {k for places, _ in found for k in places}
    return found, [k for k in range(len(columns)) if k not in done]


def as_texts(cells: Cells) -> pa.ChunkedArray | list[str | None] | None:
    """Strings of a column, None for missing ones; or None where it holds others."""
    if isinstance(cells, pd.Categorical):
        cells = take(cells.categories.values, cells.codes, allow_fill=True)
    if not isinstance(cells, list):
        dtype = cells.dtype
        arrow = isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"
        if arrow or isinstance(dtype, pd.ArrowDtype):
            return _large_strings(cells)
        if isinstance(dtype, np.dtype) and dtype.kind not in "OU":
            return None
        cells = cells.tolist()
    kinds = set(map(type, cells))
    if kinds == {str}:
        return cells
    if not kinds <= {str, *_ABSENT}:
        return None
    texts = [cell if isinstance(cell, str) else None for cell in cells]
    others = (cell for cell in cells if isinstance(cell, float))
    return texts if all(cell != cell for cell in others) else None


def _large_strings(cells: Cells) -> pa.ChunkedArray | None:
    import pyarrow as pa

    column = cast(_ArrowArray, cells).__arrow_array__()  # quicker than `pa.array`
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    if pa.types.is_string(column.type):
        return column.cast(pa.large_string())
    return column if pa.types.is_large_string(column.type) else None


def _joined(columns: list[pa.ChunkedArray | list[str | None]]) -> Texts | None:
    """All strings one after the other; None where Arrow cannot hold one of them."""
    lists = [cells for cells in columns if isinstance(cells, list)]
    if len(lists) == len(columns):
        return Texts.of_cells(lists)
    import pyarrow as pa

    kind = pa.large_string()
    try:
        return Texts.of_arrow(
            [
                pa.chunked_array([cells], kind) if isinstance(cells, list) else cells
                for cells in columns
            ]
        )
    except UnicodeEncodeError:  # lone surrogates
        return None


def as_integers(cells: Cells) -> _Integers | None:
    """Integers of a column; None where it holds others, or missing ones."""
    if isinstance(cells, pd.Categorical):
        if (cells.codes < 0).any():
            return None
        cells = cells.categories.values.take(cells.codes)
    if not isinstance(cells, list):
        if not isinstance(cells.dtype, np.dtype):
            return None
        if cells.dtype.kind != "O":
            whole = cells.dtype.kind in "iub" and cells.dtype != np.uint64
            return np.asarray(cells, dtype=np.int64) if whole else None
        cells = cells.tolist()
    kinds = set(map(type, cells))
    if not (kinds <= _WHOLE or kinds <= _FLAGS):
        return None
    try:
        return np.array(cells, dtype=np.int64)
    except OverflowError:
        return None


def as_numbers(cells: Cells) -> npt.NDArray[np.float64] | None:
    """Numbers of a column, NaN for missing ones; None where it holds others."""
    if not isinstance(cells, list):
        plain = isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "fiub"
        return np.asarray(cells, dtype=np.float64) if plain else None
    kinds = set(map(type, cells)) - {type(None)}
    if not (kinds <= _NUMBERS or kinds <= _FLAGS):
        return None
    try:
        return np.array(cells, dtype=np.float64)  # None becomes NaN
    except OverflowError:
        return None


def cells_of(table: object, names: Sequence[ColumnName]) -> list[Cells] | None:
    """The columns of a mapping, or of rows that are mappings, by name.

    None where the table is something else, lacks a column or has no rows.
    """
    if isinstance(table, Mapping):
        if not all(name in table for name in names):
            return None
        columns = [table[name] for name in names]
        columns = [one.values if isinstance(one, pd.Series) else one for one in columns]
        if not all(map(is_column, columns)):
            return None
    elif isinstance(table, list) and set(map(type, table)) == {dict}:
        get = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
        try:
            columns = [list(cells) for cells in zip(*map(get, table), strict=True)]
        except KeyError:
            return None
    else:
        return None
    sizes = set(map(len, columns))
    return columns if len(sizes) == 1 and min(sizes) > 0 else None


def column_arrays(frame: pd.DataFrame) -> Sequence[Cells]:
    """Return the values of each column, to be read only.

    A Series for each column takes microseconds, longer than a short column is read.
    pandas has no public way without them; where its own way is gone, Series it is.
    """
    arrays = getattr(pd.DataFrame, "_iter_column_arrays", None)
    if arrays is not None:
        return list(arrays(frame))
    return [column.values for _, column in frame.items()]


def is_column(cells: object) -> bool:
    """Whether these are the cells of a column, in the machine's byte order."""
    if isinstance(cells, np.ndarray):
        return cells.ndim == 1 and cells.dtype.isnative
    return isinstance(cells, list | ExtensionArray)
