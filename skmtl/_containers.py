"""Conversion of containers: tables and columns of any library become pandas.

`to_native` serves every argument (`X`, `y`, weights, groups). It leaves arrays and
lists unchanged and turns everything else into pandas, without passing a cell through a
type that cannot hold it. `as_frame` makes a DataFrame of the result.

Arrow's C stream (``__arrow_c_stream__``), which polars, pyarrow, DuckDB, Ibis, cuDF and
others support, keeps integers next to missing cells exact; narwhals' ``to_pandas``
turns them into floats, so it is not used here.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from scipy import sparse
from sklearn.utils import check_array, indexable

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

# Beyond this, float64 does not hold every integer.
_EXACT_FLOAT = 2**53
# Containers that hold a query, by package and name, and the call that runs it.
_LAZY = {
    ("polars", "LazyFrame"): "collect()",
    ("dask", "DataFrame"): "compute()",
    ("dask", "Series"): "compute()",
    ("dask_expr", "DataFrame"): "compute()",
    ("dask_expr", "Series"): "compute()",
    ("pyspark", "DataFrame"): "toPandas()",
}


def to_native(values: Any, input_name: str = "X") -> Any:
    """Turn containers of other libraries into pandas.

    Parameters
    ----------
    values : object
        A pandas, polars or Arrow table or column, a mapping of column names to 1-D
        arrays, a structured array, rows as a list of mappings, any other object with
        ``__arrow_c_stream__`` or ``__dataframe__``; or an array or list.
    input_name : str, default="X"
        Name of the argument, for errors.

    Returns
    -------
    DataFrame, Series or object
        pandas for everything that is a table with column names or a column of another
        library. Arrays, lists and scalars are returned unchanged. Integers next to
        missing cells stay integers.

    Raises
    ------
    TypeError
        For containers that hold a query instead of rows, and sparse matrices.
    ValueError
        For mappings of arrays that are not 1-D or differ in length.

    Examples
    --------
    >>> from skmtl._containers import to_native
    >>> to_native({"item": ["a", "b"], "user": [2**60 + 1, None]}).dtypes.astype(str)
    item      str
    user    Int64
    dtype: str
    """
    if isinstance(values, pd.DataFrame | pd.Series | np.ndarray):
        if isinstance(values, np.ndarray) and values.dtype.names:
            return _from_mapping({n: values[n] for n in values.dtype.names}, input_name)
        return values
    if isinstance(values, pd.Index):
        # By default, a Series of an Index has its own values as the index.
        return values.to_series(index=pd.RangeIndex(len(values)))
    _refuse_unread(values, input_name)
    package = type(values).__module__.partition(".")[0]
    # Before the protocols, so that polars does not need pyarrow.
    if package == "polars":
        if hasattr(values, "columns"):
            columns = {name: _from_polars(values[name]) for name in values.columns}
            return pd.DataFrame(columns, index=pd.RangeIndex(len(values)))
        return _from_polars(values).rename(values.name or None)
    if package == "pyarrow":
        return _from_arrow(values)
    if isinstance(values, Mapping):
        return _from_mapping(values, input_name)
    if isinstance(values, list | tuple) and values and isinstance(values[0], Mapping):
        return _from_records(values, input_name)
    return _from_protocol(values)


def table_of_tasks(values: object, n_rows: int, input_name: str = "y") -> Any:
    """Turn labels or weights of tasks into something with a row for each row of `X`.

    Parameters
    ----------
    values : object
        As for `to_native`; or a list of columns, one for each task, which is
        distinguished from a list of rows by its length.
    n_rows : int
        Rows of `X`.
    input_name : str, default="y"
        Name of the argument, for errors.

    Returns
    -------
    DataFrame, Series or object
        As `to_native`; a DataFrame for columns that all have names, else an array.

    Raises
    ------
    TypeError, ValueError
        As `to_native`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl._containers import table_of_tasks
    >>> click, order = np.array([1, 0, 1]), np.array([0, 0, 1])
    >>> table_of_tasks([click, order], 3).shape
    (3, 2)
    """
    values = to_native(values, input_name)
    if not isinstance(values, list | tuple) or len(values) in (0, n_rows):
        return values
    columns = [to_native(one, input_name) for one in values]
    # Not columns of this table: the reader of labels says what is wrong.
    if any(np.ndim(one) != 1 or len(one) != n_rows for one in columns):
        return values
    names = [getattr(one, "name", None) for one in columns]
    table = {place: np.asarray(one) for place, one in enumerate(columns)}
    if None in names:
        return np.column_stack(list(table.values()))
    # By position first: a dict of names would drop columns of the same name, which are
    # to be refused.
    return pd.DataFrame(table).set_axis(names, axis=1)


def n_rows_of(table: object) -> int:
    """Count the rows of a table or array of any kind; -1 if unknown."""
    if isinstance(table, Mapping):
        return n_rows_of(next(iter(table.values()), ()))
    # A scalar array has a shape without entries.
    shape: tuple[int, ...] = getattr(table, "shape", ())
    if len(shape):
        return int(shape[0])
    return len(table) if hasattr(table, "__len__") else -1


def check_same_length(**n_rows: int) -> None:
    """Raise if arguments differ in their numbers of rows.

    Parameters
    ----------
    **n_rows : int
        The number of rows of each argument; below 0 if unknown.

    Raises
    ------
    ValueError
        The message names the arguments.
    """
    known = {name: n for name, n in n_rows.items() if n >= 0}
    if len(set(known.values())) > 1:
        found = ", ".join(f"{name} has {n:,} rows" for name, n in known.items())
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {found}. "
            "Pass the same rows in all of them."
        )


def with_rows(table: Any) -> Any:
    """Return a table from which rows can be taken: a mapping of columns as pandas."""
    return to_native(table) if isinstance(table, Mapping) else table


def same_rows(X: Any, y: Any) -> tuple[Any, Any]:
    """Return a table and labels from which the same rows can be taken.

    Parameters
    ----------
    X : object
        A table that `to_native` reads.
    y : object
        Labels that `table_of_tasks` reads.

    Returns
    -------
    X, y : object
        Tables that scikit-learn's splitters and ``_safe_indexing`` accept.

    Raises
    ------
    ValueError
        If they differ in their numbers of rows.
    """
    X = with_rows(X)
    y = table_of_tasks(y, n_rows_of(X))
    check_same_length(X=n_rows_of(X), y=n_rows_of(y))
    return tuple(indexable(X, y))


def _refuse_unread(values: object, input_name: str) -> None:
    """Name the call that turns a query or a sparse matrix into a table."""
    if sparse.issparse(values):
        raise TypeError(
            f"{input_name} is a sparse {type(values).__name__}. Sparse data was passed "
            f"where a dense table is required. Pass {input_name}.toarray(), or columns "
            "of lists of ids instead of indicator columns."
        )
    package, kind = type(values).__module__.partition(".")[0], type(values).__name__
    if (package, kind) in _LAZY:
        raise TypeError(
            f"{input_name} is a {package} {kind}, which holds a query, not rows. "
            f"Pass {input_name}.{_LAZY[package, kind]}."
        )


def has_names(values: object) -> bool:
    """Whether a container names its columns, so that they can be matched by name."""
    if isinstance(values, np.ndarray):
        return values.dtype.names is not None
    if isinstance(values, list | tuple):
        return bool(values) and isinstance(values[0], Mapping)
    if isinstance(values, pd.DataFrame | Mapping) or hasattr(values, "__dataframe__"):
        return True
    return hasattr(values, "__arrow_c_stream__") and _is_table(values)


def _is_table(values: object) -> bool:
    """Whether a container with an Arrow stream is a table, not a single column."""
    return hasattr(values, "columns") or hasattr(values, "column_names")


def is_source(values: object) -> bool:
    """Whether a table is read block by block: paths, datasets and queries.

    Parameters
    ----------
    values : object
        The argument `X` of the caller.
    """
    if isinstance(values, str | os.PathLike):
        return True
    if isinstance(values, list | tuple):
        return bool(values) and all(isinstance(v, str | os.PathLike) for v in values)
    # Not imported: `sources` is a layer above. A process that never imported the class
    # has no such object.
    source = _of_module("skmtl.sources.source", "Source")
    return isinstance(values, source) or is_dataset(values) or is_query(values)


def is_query(values: object) -> bool:
    """Whether a table is a polars query."""
    return isinstance(values, _of_module("polars", "LazyFrame"))


def is_dataset(values: object) -> bool:
    """Whether a table is a pyarrow dataset."""
    return isinstance(values, _of_module("pyarrow.dataset", "Dataset"))


def check_in_memory(values: object, argument: str, why: str) -> None:
    """Raise for a source if a table in memory is needed.

    Queries are left to `to_native`, which names the call that runs them.

    Parameters
    ----------
    values : object
        The argument.
    argument : str
        Its name, for the error.
    why : str
        Why a table in memory is needed, for the error.

    Raises
    ------
    TypeError
        For a source.
    """
    if is_source(values) and not is_query(values):
        raise TypeError(
            f"{argument} is a source (a {type(values).__name__}), but {why}. Read it "
            "into memory first, for example with "
            "skmtl.sources.ParquetFiles(path).read()."
        )


def _of_module(module: str, name: str) -> tuple[type, ...]:
    """Return a class of a module; nothing if the module was never imported."""
    loaded = sys.modules.get(module)
    return () if loaded is None else (getattr(loaded, name),)


def as_frame(
    values: object, *, estimator: object = None, input_name: str = "X"
) -> pd.DataFrame:
    """Turn any table into a pandas DataFrame.

    Parameters
    ----------
    values : DataFrame, array-like of shape (n_samples, n_features), or as `to_native`
        The table. An array of objects and a list of rows are read column by column, so
        that numbers stay numbers next to strings.
    estimator : object, default=None
        The estimator, for errors.
    input_name : str, default="X"
        Name of the argument, for errors.

    Returns
    -------
    DataFrame
        With the names of the columns, or 0, 1, … if there are none. A DataFrame is
        returned unchanged. The byte order is the machine's.

    Raises
    ------
    ValueError, TypeError
        As `to_native`, and for what is not a table.
    """
    values = to_native(values, input_name)
    if isinstance(values, pd.DataFrame):
        return _native_order(values)
    if isinstance(values, list | tuple) and len(values) == 0:
        raise ValueError(
            f"{input_name} is an empty {type(values).__name__}, which has neither rows "
            "nor columns. Pass at least one row."
        )
    if _holds_rows(values):
        return _from_rows(values, input_name)
    array = checked_array(values, input_name, estimator=estimator)
    if array.dtype.kind in "OU":
        # Each column finds its own type: some may hold numbers only.
        return _from_columns(array.astype(object).T, len(array))
    return _native_order(pd.DataFrame(array))


def checked_array(
    values: object, input_name: str, **options: Any
) -> npt.NDArray[np.generic]:
    """Call `sklearn.utils.check_array`, allowing cells of any kind.

    Parameters
    ----------
    values : array-like
        The values.
    input_name : str
        Name of the argument, for errors.
    **options
        Further arguments of ``check_array``.

    Raises
    ------
    ValueError, TypeError
        For what is not an array of rows, and for complex numbers.
    """
    try:
        return check_array(
            values,
            dtype=None,
            ensure_all_finite=False,
            input_name=input_name,
            **options,
        )
    except ValueError as error:
        if not str(error).startswith("Complex data not supported"):
            raise
        raise ValueError(
            f"Complex data not supported: {input_name} holds complex numbers. Pass "
            "real ones."
        ) from None


def is_native(frame: pd.DataFrame) -> bool:
    """Whether `as_frame` would return a DataFrame unchanged."""
    return all(map(_is_native, frame.dtypes.tolist()))


def check_names(frame: pd.DataFrame, input_name: str = "X") -> None:
    """Raise for columns without a name, and columns with the same name.

    Parameters
    ----------
    frame : DataFrame
        The table.
    input_name : str, default="X"
        Name of the argument, for errors.

    Raises
    ------
    ValueError
        If a name is missing (None, NaN) or repeated.
    """
    names = frame.columns
    # pandas does not define missing values for a MultiIndex.
    if not isinstance(names, pd.MultiIndex) and names.hasnans:
        place = int(names.isna().argmax())
        raise ValueError(
            f"{input_name} has columns without a name: {names[place]!r} at position "
            f"{place}. Name each column."
        )
    if names.has_duplicates:
        twice = list(names[names.duplicated()])
        raise ValueError(
            f"{input_name} has columns of the same name: {twice}. Rename them."
        )


def has_columns(frame: pd.DataFrame, names: Sequence[Any] | None) -> bool:
    """Whether a table has exactly these columns, in this order."""
    try:
        return bool(frame.columns.tolist() == names)
    except TypeError:  # pandas' NA as a name, whose comparison has no truth value
        return False


def select_columns(
    frame: pd.DataFrame, names: Sequence[Any], input_name: str = "X"
) -> pd.DataFrame:
    """Select columns by name and in this order, whatever the names are.

    ``frame[names]`` would not do: pandas reads a list of booleans as a mask of rows.

    Parameters
    ----------
    frame : DataFrame
        The table.
    names : sequence of str or object
        The columns seen in `fit`.
    input_name : str, default="X"
        Name of the argument, for errors.

    Returns
    -------
    DataFrame
        These columns.

    Raises
    ------
    ValueError
        If a column is missing or repeated.
    """
    if has_columns(frame, names):
        return frame
    columns = list(frame.columns)
    place = {name: i for i, name in enumerate(columns)}
    missing = [name for name in names if name not in place]
    if missing:
        raise ValueError(
            f"{input_name} lacks columns that it had in fit: {missing}. Found "
            f"{columns}. Add them, with missing cells if their values are unknown."
        )
    wanted = set(names)
    # Columns that the fit did not see are ignored, even if they are repeated.
    check_names(frame.iloc[:, [i for i, name in enumerate(columns) if name in wanted]])
    return frame.iloc[:, [place[name] for name in names]]


def infer_column(cells: Iterable[Any]) -> pd.Series:
    """Convert cells of any kind to a type that holds them exactly.

    pandas would turn integers next to missing cells into floats.

    Parameters
    ----------
    cells : iterable of object
        The cells of one column.

    Returns
    -------
    Series
        Of int64, uint64, Int64, float64, bool, boolean or str; of objects where none of
        these holds all cells.
    """
    array = np.empty(len(cells := list(cells)), dtype=object)
    array[:] = cells if not any(map(_is_sized, cells)) else _one_by_one(cells)
    column = pd.Series(array, dtype=object)
    kind = types.infer_dtype(column, skipna=True)
    missing = column.isna().to_numpy()
    if kind == "floating":
        # Not `infer_objects`, which leaves floats next to pandas' NA as objects.
        return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind == "mixed-integer-float":
        wide = (isinstance(v, int) and abs(v) > _EXACT_FLOAT for v in array[~missing])
        # A float would merge neighbouring ids; as objects they stay apart.
        if any(wide):
            return column
        return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if missing.any() and kind in ("integer", "boolean"):
        # The fill value is hidden by the mask.
        filled = np.where(missing, 0, array)
        if kind == "boolean":
            return pd.Series(pd.arrays.BooleanArray(filled.astype(bool), missing))
        try:
            return pd.Series(pd.arrays.IntegerArray(filled.astype(np.int64), missing))
        # For example uint64 hashes next to missing cells.
        except OverflowError:
            return column
    try:
        return column.infer_objects()
    except UnicodeEncodeError:  # lone surrogates, which pandas' strings cannot hold
        return column


def _is_sized(cell: object) -> bool:
    return isinstance(cell, Sequence | np.ndarray) and not isinstance(cell, str)


def _one_by_one(cells: list[Any]) -> npt.NDArray[np.object_]:
    """Make an array of lists, where numpy would add a dimension."""
    array = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        array[row] = cell
    return array


def _holds_rows(values: object) -> TypeGuard[Sequence[Sequence[object]]]:
    """Whether this is a list of rows that are lists, such as JSON gives."""
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(isinstance(row, list | tuple) for row in values)
    )


def _from_rows(rows: Sequence[Sequence[Any]], input_name: str) -> pd.DataFrame:
    width = len(rows[0])
    for i, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(
                f"{input_name} is a list of rows of different lengths: row 0 has "
                f"{width} cells, row {i} has {len(row)}. Give every row a cell for "
                "each column."
            )
    return _from_columns(zip(*rows, strict=True), len(rows))


def _from_columns(columns: Iterable[Iterable[Any]], n_rows: int) -> pd.DataFrame:
    found = dict(enumerate(map(infer_column, columns)))
    return pd.DataFrame(found, index=pd.RangeIndex(n_rows))


def _from_records(rows: Sequence[Mapping[Any, Any]], input_name: str) -> pd.DataFrame:
    # A dict as an ordered set: keys in the order of their first occurrence, and a key
    # that some rows lack is a missing cell there.
    names: dict[Any, None] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(
                f"{input_name} is a list of mappings, but row {i} is a "
                f"{type(row).__name__}. Make every row a mapping."
            )
        names.update(dict.fromkeys(row))
    return pd.DataFrame(
        {name: infer_column(row.get(name) for row in rows) for name in names},
        index=pd.RangeIndex(len(rows)),
    )


def _from_mapping(columns: Mapping[Any, Any], input_name: str) -> pd.DataFrame:
    found: dict[Any, pd.Series] = {}
    for key, given in columns.items():
        # Of numpy's strings alone: the text of an enumeration's member is another.
        name = str(key) if isinstance(key, np.str_) else key
        column = to_native(given, f"{input_name}[{name!r}]")
        if isinstance(column, pd.Series):
            # By position: pandas would align Series by their indexes.
            found[name] = column.reset_index(drop=True)
        elif isinstance(column, np.ndarray) and column.ndim == 1:
            found[name] = pd.Series(_native_array(column))
        elif isinstance(column, list | tuple | range):
            found[name] = infer_column(column)
        else:
            shape = f" of shape {column.shape}" if hasattr(column, "shape") else ""
            raise ValueError(
                f"{input_name}[{name!r}] must be a column, a 1-D array or a list, "
                f"found a {type(column).__name__}{shape}."
            )
    lengths = {name: len(column) for name, column in found.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"The columns of {input_name} differ in length: {lengths}. Give each the "
            "same number of rows."
        )
    return pd.DataFrame(found)


def _from_arrow(values: object) -> Any:
    import pyarrow as pa

    if isinstance(values, pa.RecordBatch):
        values = pa.Table.from_batches([values])
    if isinstance(values, pa.Table):
        # Arrow's own types keep integers next to nulls. The metadata of pandas would
        # turn columns back into an index and into the dtypes that pandas had.
        return values.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return pd.Series(pd.arrays.ArrowExtensionArray(values))
    return values


def _from_protocol(values: object) -> Any:
    """Convert tables of other libraries by the protocols that they implement."""
    if hasattr(values, "__arrow_c_stream__") and find_spec("pyarrow"):
        import pyarrow as pa

        if _is_table(values):
            return _from_arrow(pa.table(values))
        return _from_arrow(pa.chunked_array(values))
    if hasattr(values, "__dataframe__"):
        with warnings.catch_warnings():  # pandas is about to drop the older protocol
            warnings.simplefilter("ignore", DeprecationWarning)
            return pd.api.interchange.from_dataframe(values)
    return values


def _from_polars(column: pl.Series) -> pd.Series:
    import polars as pl

    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        return _from_polars_lists(column)
    if isinstance(dtype, pl.Struct | pl.Object):
        return pd.Series(column.to_list(), dtype=object)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    # `to_numpy` would give objects of Python.
    if isinstance(dtype, pl.Decimal):
        column = column.cast(pl.Float64)
    # `to_numpy` would turn integers next to nulls into floats.
    if column.null_count() and dtype.is_integer():
        mask = column.is_null().to_numpy()
        return pd.Series(pd.arrays.IntegerArray(column.fill_null(0).to_numpy(), mask))
    if column.null_count() and dtype == pl.Boolean:
        mask = column.is_null().to_numpy()
        filled = column.fill_null(False).to_numpy()
        return pd.Series(pd.arrays.BooleanArray(filled, mask))
    return pd.Series(column.to_numpy())


def _from_polars_lists(column: pl.Series) -> pd.Series:
    if not find_spec("pyarrow"):
        return pd.Series(column.to_list(), dtype=object)
    import polars as pl

    dtype = column.dtype
    assert isinstance(dtype, pl.List | pl.Array)
    if isinstance(dtype.inner, pl.Categorical | pl.Enum):
        column = column.cast(pl.List(pl.String))
    lists = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pd.Series(pd.arrays.ArrowExtensionArray(lists))


def _native_order(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table in types that all of pandas understands."""
    if is_native(frame):
        return frame
    columns = [
        column if _is_native(column.dtype) else _native(column)
        for _, column in frame.items()
    ]
    native = pd.concat(columns, axis=1)
    native.columns = frame.columns
    return native


def _is_native(dtype: object) -> bool:
    """Whether numbers have the machine's byte order, and Arrow's a simple layout."""
    if isinstance(dtype, pd.ArrowDtype):
        kind = dtype.pyarrow_dtype
        return _simple_arrow(kind) is kind
    return dtype.isnative if isinstance(dtype, np.dtype) else True


def _native(column: pd.Series) -> pd.Series:
    dtype = column.dtype
    if not isinstance(dtype, pd.ArrowDtype):
        assert isinstance(dtype, np.dtype)
        return column.astype(dtype.newbyteorder("="))
    import pyarrow as pa

    simple = _simple_arrow(dtype.pyarrow_dtype)
    # The public way to the Arrow data of a pandas column.
    values: pa.ChunkedArray = pa.table({"column": column.array})["column"]
    if simple is None:  # a dictionary or nulls
        found = values.to_pandas()
        if pa.types.is_null(values.type):
            found = pd.Series(np.full(len(column), np.nan))
        # Rows of `to_pandas` are numbered from 0.
        return found.set_axis(column.index)
    if "list_view" in str(values.type):
        # Arrow's cast of a part of such a column gives wrong offsets.
        plain = pa.chunked_array([pa.array(values.to_pylist(), simple)])
    else:
        plain = values.cast(simple)
    return pd.Series(pd.arrays.ArrowExtensionArray(plain), index=column.index)


def _simple_arrow(kind: pa.DataType) -> pa.DataType | None:
    """An Arrow type without views; None if pandas has its own type for it."""
    from pyarrow import types as arrow

    if arrow.is_dictionary(kind) or arrow.is_null(kind):
        return None
    import pyarrow as pa

    if arrow.is_string_view(kind):
        return pa.large_string()
    if arrow.is_binary_view(kind):
        return pa.large_binary()
    views = (arrow.is_list_view, arrow.is_large_list_view)
    lists = (arrow.is_list, arrow.is_large_list, *views)
    if not any(is_kind(kind) for is_kind in lists):
        return kind
    given = kind.value_type
    inner = _simple_arrow(given)
    inner = given if inner is None else inner
    if inner is given and not any(is_kind(kind) for is_kind in views):
        return kind
    return pa.large_list(inner)


def _native_array(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
