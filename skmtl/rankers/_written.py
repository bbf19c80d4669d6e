"""Predictions written to a file block by block."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skmtl._containers import as_frame, is_source, select_columns
from skmtl._extras import import_extra
from skmtl.sources import ParquetFiles
from skmtl.sources.opening import open_source

if TYPE_CHECKING:
    import pyarrow as pa

# From encoded rows or a table to probabilities of shape (n_rows, n_tasks).
Predict = Callable[[Any], npt.NDArray[np.float64]]


def write_predictions(
    predict: Predict,
    X: object,
    features: Sequence[str],
    tasks: Sequence[str],
    to: str | os.PathLike[str],
    keep: Sequence[str],
) -> ParquetFiles:
    """Predict a table block by block, and write a Parquet file.

    Parameters
    ----------
    predict : callable
        Maps rows to their probabilities.
    X : source, or table with column names
        The rows.
    features : sequence of str
        Columns that `predict` needs.
    tasks : sequence of str
        Names of the columns of probabilities.
    to : str or path-like
        The file. It only appears once all rows are written.
    keep : sequence of str
        Columns of `X` that are copied before the probabilities.
    """
    import_extra("pyarrow", "parquet", "Writing predictions to a Parquet file")
    import pyarrow as pa
    import pyarrow.parquet as pq

    both = [name for name in keep if name in set(tasks)]
    if both:
        raise ValueError(
            f"keep names {both}, but these are tasks, whose columns hold "
            "probabilities. Leave them out."
        )
    target = Path(to)
    # Beside the target, so that it can be renamed in one step, and under a name that no
    # other process writes to.
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    writer = None
    try:
        for kept, rows in _blocks(X, list(features), list(keep)):
            proba = predict(rows)
            columns = {name: kept[name] for name in keep}
            columns |= {
                task: pa.array(p) for task, p in zip(tasks, proba.T, strict=True)
            }
            table = pa.table(columns)
            if writer is None:
                writer = pq.ParquetWriter(part, table.schema)
            writer.write_table(table)
        if writer is None:
            raise ValueError("X has no rows. Pass at least one.")
        writer.close()
        os.replace(part, target)
    except BaseException:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
        raise
    return ParquetFiles(target)


def _blocks(
    X: object, features: list[str], keep: list[str]
) -> Iterator[tuple[pa.Table, Any]]:
    """Yield columns to keep and rows to predict."""
    import pyarrow as pa

    if not is_source(X):
        kept = select_columns(as_frame(X), keep) if keep else as_frame(X).iloc[:, :0]
        yield pa.Table.from_pandas(kept, preserve_index=False), X
        return
    source = open_source(X)
    source.check_columns(keep, "keep")
    for block in source.blocks(list(dict.fromkeys([*features, *keep]))):
        if len(block.table):
            yield block.table, block.table.select(features)
