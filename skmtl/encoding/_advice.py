"""Errors and warnings about columns, each with what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from skmtl._typing import ColumnName, TableLike
from skmtl._warnings import warn

_KINDS = {True: "numbers", False: "strings"}
_ID_NAME = re.compile(
    r"(^|_|(?<=[a-z]))(id|ids|ID|IDs|Id|code|Code|codes|sku|zip|zipcode|postcode)$"
)
# Consecutive numbers with fewer distinct values are not reported as codes. Nor are
# columns with fewer rows per value, whose frequencies say too little.
_FEWEST_CODES, _ROWS_PER_CODE = 10, 5
_FIRST = 64  # cells checked first; they settle most columns of floats
_CURE = (
    "If they are ids, list them in categorical_features, or cast them to 'category'."
)


def object_error(values: pd.Series, name: object) -> TypeError:
    """Return the error for a column of objects that are not ids."""
    cells = [v for v in values if not (types.is_scalar(v) and pd.isna(v))]
    bad = next((v for v in cells if not _hashable(v)), None)
    if isinstance(bad, list | np.ndarray):
        return TypeError(
            f"Column {name!r} holds both lists and single ids, in this table or since "
            "fit. Make all its cells lists, or none; missing cells are allowed."
        )
    if bad is not None:
        cure = "lists" if isinstance(bad, set) else "strings or numbers"
        # "argument must be a string or a number" are the words that scikit-learn's
        # common checks look for.
        return TypeError(
            f"Column {name!r} holds a {type(bad).__name__}, which cannot be an id: an "
            f"id argument must be a string or a number. Turn the cells into {cure}."
        )
    found = sorted({type(v).__name__ for v in cells})
    if len(found) == 1:
        return TypeError(
            f"Column {name!r} holds {found[0]} objects, which are not ids. Turn them "
            "into numbers or strings, or leave the column out."
        )
    return TypeError(
        f"Column {name!r} mixes types ({', '.join(found)}), so equal ids cannot be "
        "recognized. Turn all its cells into strings, or all into integers."
    )


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def check_same_kind(numbers: bool, now: bool, name: object) -> None:
    """Raise if a column of numbers now holds strings, or the reverse."""
    if now != numbers:
        raise TypeError(
            f"Column {name!r} held {_KINDS[numbers]} in earlier calls and holds "
            f"{_KINDS[now]} now, so equal ids cannot be recognized. Turn it into "
            f"{_KINDS[numbers]}."
        )


def warn_of_other_kind(numbers: bool | None, now: bool | None, name: object) -> None:
    """Warn that all ids are unknown since `fit` saw numbers and these are strings.

    It warns of the reverse too.

    Parameters
    ----------
    numbers, now : bool or None
        Whether `fit` saw numbers, and whether these ids are; None for no id at all.
    name : str or int
        Name of the column.
    """
    if numbers is not None and now is not None and numbers != now:
        warn(
            f"Column {name!r} held {_KINDS[numbers]} in fit and holds {_KINDS[now]} "
            f"now, so all its ids are read as unknown. Turn it into {_KINDS[numbers]}."
        )


def warn_of_unknown(numbers: bool | None, column: pd.Series, name: object) -> None:
    """As `warn_of_other_kind`, for a column of single ids that are all unknown."""
    dtype = column.dtype
    same = (
        types.is_numeric_dtype(dtype) if numbers else isinstance(dtype, pd.StringDtype)
    )
    if numbers is None or same:
        return  # the dtype settles it; looking at cells takes time
    there = column.notna().to_numpy()
    if there.any():
        first = column.iloc[int(there.argmax())]
        warn_of_other_kind(numbers, not isinstance(first, str), name)


def advise_on_numbers(
    columns: Sequence[pd.Series],
    names: Sequence[ColumnName],
    places: Sequence[int],
    *,
    from_array: bool,
) -> None:
    """Warn of columns read as numbers whose names or values are those of ids.

    Parameters
    ----------
    columns : sequence of Series
        The columns of the table.
    names : sequence of str or int
        Their names.
    places : sequence of int
        Positions of those that are read as numbers because of their dtype.
    from_array : bool
        Whether the table was an array, whose integers may have become floats.
    """
    named, coded = [], []
    for i in places:
        by_name = _ID_NAME.search(str(names[i])) is not None
        values = whole_values(columns[i], only_integers=not (by_name or from_array))
        if values is None:
            continue
        if by_name:
            named.append(names[i])
        elif are_codes(values):
            coded.append(names[i])
    if named:
        warn(
            f"Columns {named} are named like ids but hold integers, so they are read "
            f"as numbers. {_CURE}"
        )
    if coded:
        warn(
            f"Columns {coded} hold integers that look like codes, and are read as "
            f"numbers. {_CURE}"
        )


def whole_values(
    column: pd.Series, *, only_integers: bool = False
) -> npt.NDArray[np.int64] | None:
    """Return the observed values of a column of integers; None for other columns.

    Floats that are all whole count as integers, since pandas turns integers into floats
    when a cell is missing.
    """
    dtype = column.dtype
    if types.is_bool_dtype(dtype) or not types.is_numeric_dtype(dtype):
        return None
    if types.is_integer_dtype(dtype):
        there = column.dropna()
        # Larger ones might overflow int64, as might their differences.
        small = not len(there) or there.max() < 2**62
        return there.to_numpy(np.int64) if small else None
    values = column.to_numpy(np.float64, na_value=np.nan)
    first = values[:_FIRST] % 1
    if (first > 0).any():  # most columns of floats end here
        return None
    there = np.isfinite(values)
    # A missing cell turns integers into floats; without one, they were floats before.
    if only_integers and there.all():
        return None
    values = values[there]
    whole = len(values) > 0 and bool((values % 1 == 0).all())
    return values.astype(np.int64) if whole and np.abs(values).max() < 2**62 else None


def are_codes(values: npt.NDArray[np.int64]) -> bool:
    """Whether integers look like codes rather than amounts.

    Parameters
    ----------
    values : ndarray of int64
        The values of a column.

    Returns
    -------
    bool
        True for a few distinct values with the same number of digits, at least three,
        that are scattered and share no step (101, 207, 340, …), and for consecutive
        numbers from 0 or 1 whose frequencies rise and fall without order, as those of
        names in alphabetical order do. Amounts with two bounds, such as the weeks
        worked in a year, are most frequent at these bounds, and are not codes.
    """
    found, counts = np.unique(values, return_counts=True)
    if len(found) < 3 or len(values) < _ROWS_PER_CODE * len(found) or found[0] < 0:
        return False
    span = int(found[-1]) - int(found[0]) + 1
    if found[0] <= 1 and span == len(found):
        bounded = set(np.argsort(counts)[-2:]) == {0, len(counts) - 1}
        return len(found) >= _FEWEST_CODES and not bounded and _is_rough(counts)
    digits = {len(str(v)) for v in (found[0], found[-1])}
    scattered = len(found) < 0.2 * span
    step = np.gcd.reduce(np.diff(found))
    return len(digits) == 1 and min(digits) >= 3 and scattered and step == 1


def _is_rough(counts: npt.NDArray[np.int64]) -> bool:
    """Whether frequencies turn at more than half of the places, beyond chance."""
    change = np.diff(counts)
    # Within two standard errors, a difference of two counts may be chance.
    change[np.abs(change) < 2 * np.sqrt(counts[1:] + counts[:-1])] = 0
    turns = np.count_nonzero(change[1:] * change[:-1] < 0)
    return bool(turns > 0.5 * (len(counts) - 2))


def advise_on_arrays(
    X: TableLike, columns: Sequence[pd.Series], ids: Sequence[int]
) -> None:
    """Warn of columns whose kind cannot be told from an array or a list of rows.

    Parameters
    ----------
    X : ndarray or list
        The table as passed, without names.
    columns : sequence of Series
        Its columns.
    ids : sequence of int
        Those that are read as ids.
    """
    kind = X.dtype.kind if isinstance(X, np.ndarray) else "O"
    if kind == "O" and len(ids):
        integers = [
            i
            for i, column in enumerate(columns)
            if i not in set(ids) and types.is_integer_dtype(column.dtype)
        ]
        if integers:
            warn(
                f"X has no names or dtypes, and its columns {integers} hold integers, "
                "so they are read as numbers. If they are ids, pass "
                f"categorical_features={sorted([*ids, *integers])}, or pass a "
                "DataFrame."
            )
    elif kind in "US":
        numbers = [i for i in ids if _are_written_numbers(columns[i])]
        if numbers:
            warn(
                f"X is an array of strings. Its columns {numbers} hold numbers "
                "written as strings, so they are read as ids. Pass a DataFrame, or an "
                "array of objects that holds numbers."
            )


def _are_written_numbers(column: pd.Series) -> bool:
    numbers = pd.to_numeric(column, errors="coerce")
    return bool(numbers.notna().any() and numbers.notna().eq(column.notna()).all())


def advise_on_rare(
    names: Sequence[ColumnName], vocabularies: Sequence[Any], min_frequency: int
) -> None:
    """Warn of vocabularies in which no id has a row of its own."""
    # A column without any id, which is missing everywhere, is not meant.
    rare = [
        name
        for name, one in zip(names, vocabularies, strict=True)
        if len(one) == 1 and one.numbers is not None
    ]
    if rare:
        warn(
            f"No id in columns {rare} occurs on at least min_frequency={min_frequency} "
            "rows, so all are read as unknown and nothing can be learnt from them. "
            "Leave the columns out, lower min_frequency, or turn them into ids that "
            "recur or into numbers."
        )
