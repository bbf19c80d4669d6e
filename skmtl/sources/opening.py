"""The border for sources: what is one, and the columns that arguments name."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, TypeGuard

from skmtl.sources.parquet import ParquetFiles
from skmtl.sources.queries import ArrowDataset, PolarsQuery
from skmtl.sources.source import Source


def is_source(values: object) -> bool:
    """Whether a table is read block by block: paths, datasets and queries.

    Parameters
    ----------
    values : object
        What the caller gave as `X`.
    """
    if isinstance(values, str | os.PathLike | Source):
        return True
    if isinstance(values, list | tuple):
        return bool(values) and all(isinstance(v, str | os.PathLike) for v in values)
    return _is_dataset(values) or is_query(values)


def open_source(values: Any) -> Source:
    """Open what `is_source` recognises.

    Parameters
    ----------
    values : str, path-like, sequence of these, Dataset, LazyFrame or Source
        The table.
    """
    if isinstance(values, Source):
        return values
    if _is_dataset(values):
        return ArrowDataset(values)
    if is_query(values):
        return PolarsQuery(values)
    return ParquetFiles(values)


def _of_module(module: str, name: str) -> tuple[type, ...]:
    """A class of a module, if anyone has imported that: else nothing is of it."""
    loaded = sys.modules.get(module)
    return () if loaded is None else (getattr(loaded, name),)


def _is_dataset(values: object) -> bool:
    return isinstance(values, _of_module("pyarrow.dataset", "Dataset"))


def is_query(values: object) -> bool:
    """Whether a table is a query of polars."""
    return isinstance(values, _of_module("polars", "LazyFrame"))


def are_names(values: object) -> TypeGuard[str | Sequence[str]]:
    """Whether an argument names columns instead of holding values."""
    if isinstance(values, str):
        return True
    if not isinstance(values, list | tuple):
        return False
    return bool(values) and all(isinstance(v, str) for v in values)


def check_in_memory(values: object, argument: str, why: str) -> None:
    """Refuse a source where a table in memory is needed.

    Queries are left to `to_native`, which names the call that runs them.

    Parameters
    ----------
    values : object
        The argument.
    argument : str
        Its name, for the error.
    why : str
        What needs a table, for the error.

    Raises
    ------
    TypeError
        For a source.
    """
    if is_source(values) and not is_query(values):
        raise TypeError(
            f"{argument} is a source (a {type(values).__name__}), but {why}. Read it "
            "into memory first, such as with skmtl.sources.ParquetFiles(path).read()."
        )


def column_names(values: object, argument: str, table: str = "X") -> list[str]:
    """Columns of a source that an argument names.

    Parameters
    ----------
    values : str, sequence of str or None
        One name or several; None for none.
    argument : str
        Its name, for the error.
    table : str, default="X"
        Name of the argument that gives the source, for the error.

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    TypeError
        For anything else: a column of values goes with a table in memory.
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
    """Values of the columns that an argument names, if `X` is a source.

    Parameters
    ----------
    X : object
        The table.
    values : object
        The argument. It is given back as it is if `X` is a table in memory, or if it
        holds values, one for each row of the source.
    argument : str
        Its name, for errors.

    Returns
    -------
    Series, DataFrame or object
        The columns whole, which take memory for each row; nothing else of `X` is read.
    """
    if not is_source(X) or not are_names(values):
        return values
    source, names = open_source(X), column_names(values, argument)
    source.check_columns(names, argument)
    columns = source.read(names)
    return columns[values] if isinstance(values, str) else columns
