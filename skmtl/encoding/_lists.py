"""Cells that hold several values: lists of ids, flattened, and vectors of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from skmtl._typing import AnyArray, ColumnName, DType
from skmtl.encoding._advice import warn_of_other_kind
from skmtl.encoding._vocabulary import Keys, RowsOfIds, as_keys

if TYPE_CHECKING:
    import pyarrow as pa

Lengths = npt.NDArray[np.int64]

LISTS = (list, tuple, np.ndarray)
# Cells that are looked at together, to find the first that is there.
_FIRST = 1024


def holds_lists(column: pd.Series) -> bool:
    """Whether a column holds lists, by its dtype or its first observed cell."""
    if _is_arrow_list(column.dtype):
        return True
    if not types.is_object_dtype(column.dtype):
        return False
    for start in range(0, len(column), _FIRST):  # usually the first few cells suffice
        cells = column.iloc[start : start + _FIRST]
        there = cells.notna().to_numpy()
        if there.any():
            return isinstance(cells.iloc[there.argmax()], LISTS)
    return False


def _is_arrow_list(dtype: DType) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and _is_list_type(dtype.pyarrow_dtype)


def _is_list_type(kind: pa.DataType) -> bool:
    from pyarrow import types as arrow

    return bool(
        arrow.is_list(kind)
        or arrow.is_large_list(kind)
        or arrow.is_fixed_size_list(kind)
    )


def flat_keys(
    column: pd.Series, name: object, max_length: int | None
) -> tuple[Keys, Lengths]:
    """Flatten a column of lists to the keys of all entries and the length of each row.

    Missing entries are dropped, then the last `max_length` entries of each row are
    kept. A missing list counts as an empty one.

    Parameters
    ----------
    column : pandas.Series
        Cells that are lists, tuples, 1-D arrays or missing, or of an Arrow list type.
    name : str or int
        Its name, for errors.
    max_length : int or None
        Largest number of entries of a row to keep. None for all.

    Returns
    -------
    keys : Keys
        As `as_keys` gives them.
    lengths : ndarray of shape (n_samples,), dtype int64
        Entries of each row.

    Raises
    ------
    TypeError
        When lists are mixed with single values, hold lists, or mix types.
    ValueError
        For fractional numbers, which are not ids.
    """
    values, lengths = flat_values(column, name, max_length)
    return entry_keys(values, name), lengths


def flat_values(
    column: pd.Series, name: object, max_length: int | None
) -> tuple[pd.Series, Lengths]:
    """Flatten the entries of all rows that are kept; return them and each length."""
    values, lengths = _flat(column, name)
    there = values.notna().to_numpy()
    if not there.all():
        row = np.repeat(np.arange(len(lengths)), lengths)
        lengths = np.bincount(row[there], minlength=len(lengths))
        values = values[there]
    if max_length is not None and lengths.max(initial=0) > max_length:
        # 1 for the last entry of a row, 2 for the one before it, and so on.
        from_end = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(values))
        values = values[from_end <= max_length]
        lengths = np.minimum(lengths, max_length)
    return values.reset_index(drop=True), lengths


def entry_keys(values: pd.Series, name: object) -> Keys:
    """Keys of the entries of lists; the errors are those of `flat_keys`."""
    try:
        keys = as_keys(values, name)
    except TypeError:
        if any(isinstance(value, LISTS) for value in values):
            raise TypeError(
                f"Column {name!r} holds lists of lists. An entry of a list must be a "
                "string or a number: flatten the lists, or spread them over columns."
            ) from None
        raise
    if keys.cells.dtype == np.float64:
        _refuse_fractions(np.asarray(keys.cells), name)
    return keys


def encode_lists(
    vocabulary: RowsOfIds, column: pd.Series, name: object, max_length: int | None
) -> tuple[npt.NDArray[np.int64], Lengths]:
    """Look up all entries of a column; return their rows and the length of each list.

    Parameters
    ----------
    vocabulary : Vocabulary or HashedIds
        The ids.
    column, name, max_length
        As for `flat_keys`.
    """
    keys, lengths = flat_keys(column, name, max_length)
    rows = vocabulary.rows(keys)
    if not rows.any():
        now = keys.numbers if len(keys.distinct) else None
        warn_of_other_kind(vocabulary.numbers, now, name)
    return rows, lengths


def _refuse_fractions(array: npt.NDArray[np.float64], name: object) -> None:
    fractions = array[np.isfinite(array) & (array % 1 != 0)]
    if len(fractions):
        raise ValueError(
            f"Column {name!r} holds lists of fractional numbers, such as "
            f"{fractions[0]}, which are not ids. Vectors that all have the same length "
            "are read as numbers, unless categorical_features names the column; other "
            "lists must hold strings or integers."
        )


def holds_vectors(column: pd.Series, name: object) -> bool:
    """Whether a column of lists holds vectors of numbers rather than ids.

    Fractions are never ids. Whole numbers form vectors only if the type of the column
    says that all lists have the same length and hold floats.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype) and _is_arrow_list(dtype):
        from pyarrow import types as arrow

        kind = dtype.pyarrow_dtype
        floats = arrow.is_floating(kind.value_type)
        if floats and arrow.is_fixed_size_list(kind):
            return True
        if not floats:
            return False
    elif any(isinstance(entry, str) for entry in _first_entry(column)):
        return False
    values, lengths = _flat(column, name)
    if not _is_float(values):
        return False
    array = values.to_numpy(np.float64, na_value=np.nan)
    array = array[np.isfinite(array)]
    there = lengths[column.notna().to_numpy()]
    return bool((array % 1 != 0).any()) and len(set(there.tolist())) == 1


def _first_entry(column: pd.Series) -> list[object]:
    """The first entry of the first list that has one."""
    for cell in column:
        # Such an array has no length.
        scalar = isinstance(cell, np.ndarray) and cell.ndim == 0
        if isinstance(cell, LISTS) and not scalar and len(cell):
            return [cell[0]]
    return []


def _is_float(values: pd.Series) -> bool:
    if types.is_object_dtype(values.dtype):
        kind = types.infer_dtype(values, skipna=True)
        return kind in ("floating", "mixed-integer-float")
    return types.is_float_dtype(values.dtype)


def vector_width(column: pd.Series, name: object) -> int:
    """Return the length of the vectors of a column.

    Raises
    ------
    ValueError
        If they differ in length, or there is none.
    """
    _, lengths = _flat(column, name)
    found = np.unique(lengths[column.notna().to_numpy()])
    if len(found) != 1 or not found[0]:
        what = (
            f"vectors of {found[0]} to {found[-1]} numbers"
            if len(found) > 1
            else "no number"
        )
        raise ValueError(
            f"Column {name!r} holds {what}. To be read as numbers, all lists must "
            "have the same length of at least 1; a missing list is a missing vector. "
            "Pad or cut the lists, or name the column in categorical_features if it "
            "holds ids."
        )
    return int(found[0])


def spread_vectors(frame: pd.DataFrame, widths: Mapping[int, int]) -> pd.DataFrame:
    """Put each number of a vector into a column of its own.

    Parameters
    ----------
    frame : DataFrame
        The table.
    widths : mapping of int to int
        Length of the vectors of each column of vectors, by its position.

    Returns
    -------
    DataFrame
        With the columns ``name[0]``, ``name[1]``, … instead of ``name``.

    Raises
    ------
    ValueError
        For vectors of another length.
    TypeError
        For entries that are not numbers.
    """
    if not widths:
        return frame
    parts: list[pd.Series | pd.DataFrame] = []
    for place, (name, column) in enumerate(frame.items()):
        width = widths.get(place)
        if width is None:
            parts.append(column)
        else:
            matrix = _matrix(column, name, width)
            parts.append(pd.DataFrame(matrix, index=frame.index))
    spread = pd.concat(parts, axis=1)
    names = spread_names(list(frame.columns), widths)
    # Names that are tuples must not become levels of an index.
    spread.columns = pd.Index(names, tupleize_cols=False)
    return spread


def spread_names(
    names: Sequence[ColumnName], widths: Mapping[int, int]
) -> list[ColumnName]:
    """Names of the columns after `spread_vectors`."""
    found: list[ColumnName] = []
    for place, name in enumerate(names):
        width = widths.get(place)
        found += [name] if width is None else [f"{name}[{k}]" for k in range(width)]
    return found


def _matrix(column: pd.Series, name: object, width: int) -> npt.NDArray[np.float64]:
    matrix = np.full((len(column), width), np.nan)
    there = column.notna().to_numpy()
    if not there.any():
        return matrix
    if not holds_lists(column):
        raise TypeError(
            f"Column {name!r} held vectors of {width} numbers in fit and holds single "
            "values now. Give a list of numbers in each cell."
        )
    values, lengths = _flat(column, name)
    wrong = there & (lengths != width)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"Column {name!r} held vectors of {width} numbers in fit, but row {row} "
            f"has {lengths[row]}. Give vectors of one length."
        )
    try:
        flat = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Column {name!r} must hold vectors of numbers: {error}"
        ) from error
    matrix[there] = flat.reshape(-1, width)
    return matrix


def _flat(column: pd.Series, name: object) -> tuple[pd.Series, Lengths]:
    """Return all entries, and how many each row has."""
    if _is_arrow_list(column.dtype):
        return _from_arrow(column)
    return _from_cells(column, name)


def _from_arrow(column: pd.Series) -> tuple[pd.Series, Lengths]:
    import pyarrow as pa
    from pyarrow import compute

    lists = pa.table({"lists": column.array})["lists"]
    # Flattening leaves out lists that are missing, so that they have no entry.
    counted = compute.fill_null(compute.list_value_length(lists), 0)
    flat = compute.list_flatten(lists)
    if pa.types.is_dictionary(flat.type):
        flat = flat.cast(flat.type.value_type)
    if _is_list_type(flat.type) or pa.types.is_null(flat.type):
        # As objects, since `entry_keys` recognizes lists of lists by their cells.
        values = pd.Series(flat.to_pylist(), dtype=object)
    else:
        values = pd.Series(pd.arrays.ArrowExtensionArray(flat))
    return values, counted.to_numpy().astype(np.int64)


def _from_cells(column: pd.Series, name: object) -> tuple[pd.Series, Lengths]:
    there = column.notna().to_numpy()
    cells = column.to_numpy(dtype=object)[there]
    kinds = set(map(type, cells))
    strange = sorted(t.__name__ for t in kinds if not issubclass(t, LISTS))
    if strange:
        raise TypeError(
            f"Column {name!r} mixes lists with single values ({', '.join(strange)}). "
            "Make all its cells lists, or none; missing cells are allowed."
        )
    arrays = bool(kinds) and all(issubclass(t, np.ndarray) for t in kinds)
    if arrays and set(map(attrgetter("ndim"), cells)) != {1}:
        raise TypeError(
            f"Column {name!r} holds arrays that are not 1-D. An entry of a list must "
            "be a string or a number: flatten the arrays, or spread them over columns."
        )
    lengths = np.zeros(len(column), dtype=np.int64)
    lengths[there] = np.fromiter(map(len, cells), np.int64, len(cells))
    return _joined(cells, arrays), lengths


def _joined(cells: npt.NDArray[np.object_], arrays: bool) -> pd.Series:
    if arrays:
        # An empty array usually is one of floats, whatever the others hold.
        filled = [cell for cell in cells if len(cell)]
        if len(set(map(attrgetter("dtype"), filled))) == 1:
            return pd.Series(_native(np.concatenate(filled)))
    # Not concatenated, since a common dtype may hold neither exactly.
    return pd.Series(list(chain.from_iterable(cells)), dtype=object)


def _native(array: AnyArray) -> AnyArray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
