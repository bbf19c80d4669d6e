"""The border: any table in, named pandas columns out."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.utils import check_array

from skmtl.encoding._keys import is_arrow_dictionary, plain_arrow
from skmtl.encoding._lists import holds_lists


def is_frame(X: Any) -> bool:
    """Whether `X` is a pandas or polars DataFrame."""
    return isinstance(X, pd.DataFrame) or is_polars(X)


def is_polars(X: Any) -> bool:
    """Whether `X` is a polars DataFrame, without importing polars."""
    return type(X).__module__.partition(".")[0] == "polars" and hasattr(X, "columns")


def as_frame(X: Any, *, estimator: object = None) -> pd.DataFrame:
    """Bring a pandas or polars DataFrame or a 2-D array to a pandas DataFrame.

    Columns keep their types: no cell passes through a type that cannot hold it. An
    array of objects is looked at column by column.
    """
    if isinstance(X, pd.DataFrame):
        return X
    if is_polars(X):
        columns = {name: _from_polars(X[name]) for name in X.columns}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(X)))
    array = check_array(
        X,
        dtype=None,
        ensure_all_finite=False,
        ensure_min_samples=1,
        ensure_min_features=1,
        estimator=estimator,
        input_name="X",
    )
    return pd.DataFrame(array).infer_objects()


def _from_polars(column: Any) -> pd.Series:
    kind = str(column.dtype)
    if kind.startswith(("List", "Array")):
        return _from_polars_lists(column)
    if kind.startswith("Struct"):
        return pd.Series(column.to_list(), dtype=object)
    if kind.startswith(("Categorical", "Enum")):
        column = column.cast(_polars_string(column))
    if kind.startswith("Decimal"):
        column = column.cast(_polars_float(column))
    if column.null_count() and column.dtype.is_integer():
        mask = column.is_null().to_numpy()
        return pd.Series(pd.arrays.IntegerArray(column.fill_null(0).to_numpy(), mask))
    if column.null_count() and kind == "Boolean":
        mask = column.is_null().to_numpy()
        filled = column.fill_null(False).to_numpy()
        return pd.Series(pd.arrays.BooleanArray(filled, mask))
    return pd.Series(column.to_numpy())


def _from_polars_lists(column: Any) -> pd.Series:
    if not find_spec("pyarrow"):
        return pd.Series(column.to_list(), dtype=object)
    import polars

    if isinstance(column.dtype.inner, (polars.Categorical, polars.Enum)):
        column = column.cast(polars.List(polars.String))
    lists = column.to_arrow(compat_level=polars.CompatLevel.oldest())
    return pd.Series(pd.arrays.ArrowExtensionArray(lists))


def _polars_string(column: Any) -> Any:
    import polars

    return polars.String


def _polars_float(column: Any) -> Any:
    import polars

    return polars.Float64


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
