"""Equal ids of a column become equal keys, in types that hold them exactly."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

_INT64_MAX = np.iinfo(np.int64).max
_EXACT_FLOAT = 2**53


def as_keys(values: pd.Series, name: object) -> pd.Series:
    """Bring one categorical column to a form in which equal ids are equal keys.

    Integers become int64, whatever their width, and so do whole floats (a column of
    integers with a missing cell is float in pandas); strings stay strings. Nothing
    passes through a type that cannot hold it exactly.

    Parameters
    ----------
    values : pandas.Series
        The column.
    name : str or int
        Its name, for errors.

    Returns
    -------
    pandas.Series
        Of dtype int64 or nullable Int64, float64, str, object or category.

    Raises
    ------
    TypeError
        For dates, mixed types and cells that cannot be hashed.
    """
    values = plain_arrow(values)
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = as_keys(pd.Series(values.cat.categories), name)
        return pd.Series(
            pd.Categorical.from_codes(
                values.cat.codes, dtype=pd.CategoricalDtype(pd.Index(categories))
            )
        )
    if types.is_bool_dtype(dtype):
        return values.astype("Int64" if values.isna().any() else "int64")
    if types.is_integer_dtype(dtype):
        return _integer_keys(values)
    if types.is_float_dtype(dtype):
        return _float_keys(values, name)
    if isinstance(dtype, pd.StringDtype) or _is_arrow_string(dtype):
        return values
    if types.is_object_dtype(dtype):
        return _object_keys(values, name)
    raise TypeError(
        f"Column {name!r} holds {dtype} values, which are not ids. Turn it into "
        "numbers or strings, or leave it out."
    )


def plain_arrow(values: pd.Series) -> pd.Series:
    """Arrow's dictionaries as the values they stand for, its nulls as NaN."""
    dtype: Any = values.dtype
    if is_arrow_dictionary(dtype):
        return values.astype(pd.ArrowDtype(dtype.pyarrow_dtype.value_type))
    if isinstance(dtype, pd.ArrowDtype) and str(dtype) == "null[pyarrow]":
        return pd.Series(np.full(len(values), np.nan), index=values.index)
    return values


def is_arrow_dictionary(dtype: Any) -> bool:
    if not isinstance(dtype, pd.ArrowDtype):
        return False
    from pyarrow import types as arrow

    return bool(arrow.is_dictionary(dtype.pyarrow_dtype))


def _is_arrow_string(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and types.is_string_dtype(dtype)


def _integer_keys(values: pd.Series) -> pd.Series:
    if types.is_unsigned_integer_dtype(values.dtype) and values.max() > _INT64_MAX:
        return values.astype(object)  # exact, if slow: Python's own integers
    return values.astype("Int64" if values.isna().any() else "int64")


def _float_keys(values: pd.Series, name: object) -> pd.Series:
    array = values.to_numpy(np.float64, na_value=np.nan)
    missing = np.isnan(array)
    filled = np.where(missing, 0.0, array)
    if np.isinf(filled).any():
        raise ValueError(
            f"Input X contains infinity: column {name!r}. Replace it, or mark it as "
            "missing (NaN)."
        )
    if (np.abs(filled) < _EXACT_FLOAT).all() and (filled == np.floor(filled)).all():
        whole = filled.astype(np.int64)
        if not missing.any():
            return pd.Series(whole)
        return pd.Series(pd.arrays.IntegerArray(whole, missing))
    return pd.Series(array)


def _object_keys(values: pd.Series, name: object) -> pd.Series:
    kind = types.infer_dtype(values, skipna=True)
    if kind == "string":
        return values
    if kind in ("integer", "boolean"):
        try:
            return _object_integers(values)
        except OverflowError:  # beyond int64: exact, if slow, as Python's integers
            return values
    if kind == "floating":
        return _float_keys(values.astype(float), name)
    if kind == "empty":  # all missing
        return pd.Series(np.full(len(values), np.nan))
    bad = next((v for v in values if not _hashable(v)), None)
    if isinstance(bad, (list, np.ndarray)):
        raise TypeError(
            f"Column {name!r} holds lists, but also single ids, here or when fitting. "
            "Make every cell of it a list, or none; missing cells may stay."
        )
    if bad is not None:
        raise TypeError(
            f"Column {name!r} holds a {type(bad).__name__}, which cannot be an id: an "
            "id argument must be a string or a number. Turn the cells into strings or "
            "numbers."
        )
    found = sorted({type(v).__name__ for v in values.dropna()})
    if len(found) == 1:
        raise TypeError(
            f"Column {name!r} holds {found[0]} objects, which are not ids. Turn them "
            "into numbers or strings, or leave the column out."
        )
    raise TypeError(
        f"Column {name!r} mixes types ({', '.join(found)}), so equal ids cannot be "
        "told. Turn all its cells into strings, or all into integers."
    )


def _object_integers(values: pd.Series) -> pd.Series:
    missing = values.isna().to_numpy()
    if not missing.any():
        return pd.Series(values.to_numpy().astype(np.int64))
    filled = values.to_numpy(copy=True)
    filled[missing] = 0
    return pd.Series(pd.arrays.IntegerArray(filled.astype(np.int64), missing))


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def check_same_kind(numbers: bool, found: pd.Index, name: object) -> None:
    """Refuse strings where ids were numbers until now, and numbers where strings."""
    if holds_numbers(found) != numbers:
        was, is_now = ("numbers", "strings") if numbers else ("strings", "numbers")
        raise TypeError(
            f"Column {name!r} held {was} in earlier calls and holds {is_now} now, so "
            f"equal ids cannot be told. Turn it into {was}."
        )


def warn_of_other_kind(numbers: bool | None, column: pd.Series, name: object) -> None:
    """Warn where no id is known since `fit` saw numbers and these are strings, or so.

    Parameters
    ----------
    numbers : bool or None
        Whether `fit` saw numbers; None where it saw nothing.
    column : pandas.Series
        Ids, none of which is known.
    name : str or int
        Name of the column.
    """
    dtype = column.dtype
    same = (
        types.is_numeric_dtype(dtype) if numbers else isinstance(dtype, pd.StringDtype)
    )
    if numbers is None or same:
        return  # as the dtype says; to look at cells takes its time
    there = column.notna().to_numpy()
    if not there.any():
        return
    if isinstance(column.iloc[int(there.argmax())], str) == numbers:
        was, is_now = ("numbers", "strings") if numbers else ("strings", "numbers")
        warnings.warn(
            f"Column {name!r} held {was} in fit and holds {is_now} now, so all its ids "
            f"are read as unknown. Turn it into {was}.",
            UserWarning,
            stacklevel=5,
        )


def holds_numbers(index: pd.Index) -> bool:
    if index.dtype == object:
        return bool(len(index)) and not isinstance(index[0], str)
    return bool(types.is_numeric_dtype(index.dtype))


def plain_index(uniques: Any) -> pd.Index:
    """Index of distinct keys on plain storage: int64, float64, str or object."""
    index = pd.Index(uniques)
    if isinstance(index.dtype, pd.CategoricalDtype):
        index = pd.Index(index.categories.take(index.codes))
    if index.dtype == "Int64":
        index = index.astype("int64")
    return index
