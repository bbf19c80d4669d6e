"""The border: any table in, named pandas columns out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from skmtl.encoding._keys import is_arrow_dictionary, plain_arrow
from skmtl.encoding._lists import holds_lists


def is_polars(X: Any) -> bool:
    """Whether `X` is a polars DataFrame, without importing polars."""
    return type(X).__module__.partition(".")[0] == "polars" and hasattr(X, "columns")


def select_categorical(frame: pd.DataFrame, categorical_features: Any) -> list[bool]:
    """Say of every column whether it holds ids.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    categorical_features : "from_dtype", None or array-like
        Names, indices or a mask; ``None`` for no column.

    Returns
    -------
    list of bool
        One for each column.
    """
    names = list(frame.columns)
    if isinstance(categorical_features, str) and categorical_features == "from_dtype":
        return [_looks_categorical(frame.iloc[:, i]) for i in range(len(names))]
    if categorical_features is None:
        return [False] * len(names)
    if isinstance(categorical_features, str):
        categorical_features = [categorical_features]
    wanted = list(categorical_features)
    if wanted and all(isinstance(w, (bool, np.bool_)) for w in wanted):
        if len(wanted) != len(names):
            raise ValueError(
                f"categorical_features is a mask of {len(wanted)} values, but X has "
                f"{len(names)} columns. Give one value for each column."
            )
        return [bool(w) for w in wanted]
    chosen = {_position(w, names) for w in wanted}
    return [i in chosen for i in range(len(names))]


def _position(wanted: Any, names: list[Any]) -> int:
    if isinstance(wanted, str):
        if wanted in names:
            return names.index(wanted)
        raise ValueError(
            f"categorical_features names {wanted!r}, which is not a column of X. The "
            f"columns are {names}."
        )
    if isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool):
        if -len(names) <= wanted < len(names):
            return int(wanted) % len(names)
        raise ValueError(
            f"categorical_features holds index {wanted}, but X has {len(names)} "
            "columns."
        )
    raise TypeError(
        "categorical_features must hold names, indices or booleans, found "
        f"{type(wanted).__name__} {wanted!r}."
    )


def _looks_categorical(column: pd.Series) -> bool:
    dtype = column.dtype
    if types.is_bool_dtype(dtype):
        return False
    return (
        isinstance(dtype, pd.CategoricalDtype)
        or is_arrow_dictionary(dtype)
        or types.is_string_dtype(dtype)
        or types.is_object_dtype(dtype)
        or holds_lists(column)
    )


def as_float(column: pd.Series, name: object) -> np.ndarray:
    """Bring one numeric column to float64, missing cells to NaN.

    Raises
    ------
    TypeError
        When the column does not hold numbers.
    ValueError
        When it holds infinity, or complex numbers.
    """
    if column.dtype == np.float64:
        return _finite(column.to_numpy(copy=True), name)
    column = plain_arrow(column)
    if types.is_complex_dtype(column.dtype):
        raise ValueError(
            f"Complex data not supported: column {name!r} of X. Give its real and "
            "imaginary parts as two columns."
        )
    if holds_lists(column):
        raise TypeError(
            f"Column {name!r} must hold numbers, found lists. Name it in "
            "categorical_features when fitting, or spread it over columns."
        )
    kinds = (types.is_numeric_dtype, types.is_bool_dtype, types.is_object_dtype)
    if not any(is_kind(column.dtype) for is_kind in kinds):
        raise TypeError(f"Column {name!r} must hold numbers, {_mend(column.dtype)}")
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Column {name!r} must hold numbers: {error}") from error
    return _finite(values, name)


def _mend(dtype: Any) -> str:
    if types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return (
            f"found {dtype}. Turn times into numbers, such as days since a date or the "
            "hour of the day."
        )
    return (
        f"found {dtype}. Turn it into numbers, or name it in categorical_features when "
        "fitting."
    )


def _finite(values: np.ndarray, name: object) -> np.ndarray:
    """The values, NaN among them allowed."""
    if np.isinf(values).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for dtype('float64'): "
            f"column {name!r}, row {int(np.isinf(values).argmax())}. Replace it, or "
            "mark it as missing (NaN)."
        )
    return values
