"""Columns of lists: recognised, and laid flat without work by the row."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from skmtl.encoding._keys import as_keys

Lengths = npt.NDArray[np.int64]

LISTS = (list, tuple, np.ndarray)


def holds_lists(column: pd.Series) -> bool:
    """Whether a column holds lists: by its dtype, or its first cell that is there."""
    if _is_arrow_list(column.dtype):
        return True
    if not types.is_object_dtype(column.dtype):
        return False
    there = column.notna().to_numpy()
    return bool(there.any()) and isinstance(column.iloc[there.argmax()], LISTS)


def _is_arrow_list(dtype: Any) -> bool:
    if not isinstance(dtype, pd.ArrowDtype):
        return False
    return _is_list_type(dtype.pyarrow_dtype)


def _is_list_type(kind: Any) -> bool:
    from pyarrow import types as arrow

    return bool(
        arrow.is_list(kind)
        or arrow.is_large_list(kind)
        or arrow.is_fixed_size_list(kind)
    )


def flat_keys(
    column: pd.Series, name: object, max_length: int | None
) -> tuple[pd.Series, Lengths]:
    """Bring a column of lists to keys of all entries, and the length of each row.

    Missing entries are left out, and of what remains the last `max_length` entries of
    each row are kept. A missing list is an empty one.

    Parameters
    ----------
    column : pandas.Series
        Cells that are lists, tuples, 1-D arrays or missing, or of an Arrow list type.
    name : str or int
        Its name, for errors.
    max_length : int or None
        Entries of a row that are kept, at most.

    Returns
    -------
    keys : pandas.Series
        As `as_keys` gives them.
    lengths : ndarray of shape (n_samples,), dtype int64
        Entries of each row.

    Raises
    ------
    TypeError
        When lists are mixed with single values, hold lists, or mix types.
    """
    if _is_arrow_list(column.dtype):
        values, lengths = _from_arrow(column)
    else:
        values, lengths = _from_cells(column, name)
    there = values.notna().to_numpy()
    if not there.all():
        row = np.repeat(np.arange(len(lengths)), lengths)
        lengths = np.bincount(row[there], minlength=len(lengths))
        values = values[there]
    if max_length is not None and lengths.max(initial=0) > max_length:
        from_end = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(values))
        values = values[from_end <= max_length]
        lengths = np.minimum(lengths, max_length)
    try:
        return as_keys(values.reset_index(drop=True), name), lengths
    except TypeError:
        if any(isinstance(value, LISTS) for value in values):
            raise TypeError(
                f"Column {name!r} holds lists of lists. An entry of a list must be a "
                "string or a number: flatten the lists, or spread them over columns."
            ) from None
        raise


def _from_arrow(column: pd.Series) -> tuple[pd.Series, Lengths]:
    import pyarrow as pa
    from pyarrow import compute

    lists: Any = pa.table({"lists": column.array})["lists"]
    counted = compute.fill_null(compute.list_value_length(lists), 0)
    flat = compute.list_flatten(lists)
    if pa.types.is_dictionary(flat.type):
        flat = flat.cast(flat.type.value_type)
    if _is_list_type(flat.type) or pa.types.is_null(flat.type):
        # The caller's check for lists in lists looks at cells.
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
            "Make every cell of it a list, or none; missing cells may stay."
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
        # An empty array is one of floats, whatever the others hold.
        filled = [cell for cell in cells if len(cell)]
        if len(set(map(attrgetter("dtype"), filled))) == 1:
            return pd.Series(np.concatenate(filled))
    # Arrays of several dtypes must not meet in one that holds neither.
    return pd.Series(list(chain.from_iterable(cells)), dtype=object)
