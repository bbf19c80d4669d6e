"""Open sources, and read the columns that arguments name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

from skmtl._containers import is_dataset, is_query, is_source
from skmtl.sources.parquet import ParquetFiles
from skmtl.sources.queries import ArrowDataset, PolarsQuery
from skmtl.sources.source import Source


def open_source(values: Any) -> Source:
    """Open what `is_source` recognises.

    Parameters
    ----------
    values : str, path-like, sequence of these, Dataset, LazyFrame or Source
        The table.
    """
    if isinstance(values, Source):
        return values
    if is_dataset(values):
        return ArrowDataset(values)
    if is_query(values):
        return PolarsQuery(values)
    return ParquetFiles(values)


def are_names(values: object) -> TypeGuard[str | Sequence[str]]:
    """Whether an argument names columns instead of holding values."""
    if isinstance(values, str):
        return True
    if not isinstance(values, list | tuple):
        return False
    return bool(values) and all(isinstance(v, str) for v in values)


def column_names(values: object, argument: str, table: str = "X") -> list[str]:
    """Return the columns of a source that an argument names.

    Parameters
    ----------
    values : str, sequence of str or None
        One name or several; None for none.
    argument : str
        Its name, for the error.
    table : str, default="X"
        Name of the argument that holds the source, for the error.

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    TypeError
        For anything else: columns of values need a table in memory.
    """
    if values is None:
        return []
    if not are_names(values):
        raise TypeError(
            f"{table} is read block by block, so {argument} must name columns of it, "
            f"such as {argument}='click' or a list of names; found a "
            f"{type(values).__name__}. To pass values, read {table} into memory first."
        )
    return [values] if isinstance(values, str) else list(values)


def named_columns(X: Any, values: object, argument: str) -> Any:
    """Read the columns that an argument names, if `X` is a source.

    Parameters
    ----------
    X : object
        The table.
    values : object
        The argument. It is returned unchanged if `X` is a table in memory, or if it
        holds values, one for each row of the source.
    argument : str
        Its name, for errors.

    Returns
    -------
    Series, DataFrame or object
        The whole columns, in memory; nothing else of `X` is read.
    """
    if not is_source(X) or not are_names(values):
        return values
    source, names = open_source(X), column_names(values, argument)
    source.check_columns(names, argument)
    columns = source.read(names)
    return columns[values] if isinstance(values, str) else columns
