"""pyarrow datasets and polars queries as sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skmtl._extras import import_extra
from skmtl.sources.source import Block, Source

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset as ds


class ArrowDataset(Source):
    """A pyarrow dataset: any format, partitions and filters.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
        The dataset.
    """

    def __init__(self, dataset: ds.Dataset) -> None:
        self.dataset = dataset

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self.dataset.schema.remove_metadata()

    def fingerprint(self) -> dict[str, object]:
        """Describe the rows; only their number may need a pass over the files.

        Returns
        -------
        dict
            Facts by their name.
        """
        import pyarrow as pa

        try:
            n_rows = self.dataset.count_rows()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(
                f"The rows of the dataset cannot be counted: {error}"
            ) from error
        return {**super().fingerprint(), "number of rows": n_rows}

    def _blocks(self, columns: list[str], n_rows: int) -> Iterator[Block]:
        import pyarrow as pa

        # Only one batch and one file are read ahead, since these are held in memory.
        batches = self.dataset.to_batches(
            columns=columns, batch_size=n_rows, batch_readahead=1, fragment_readahead=1
        )
        done = 0
        try:
            for batch in batches:
                done += len(batch)
                table = pa.Table.from_batches([batch]).select(columns)
                yield Block(table, f"the dataset, rows before {done:,}", batch.nbytes)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(
                f"The dataset cannot be read after {done:,} rows: {error}"
            ) from error


class PolarsQuery(Source):
    """A polars query, which runs again for each pass.

    Parameters
    ----------
    frame : polars.LazyFrame
        The query. It must return the same rows in the same order each time.
    """

    def __init__(self, frame: pl.LazyFrame) -> None:
        import_extra("pyarrow", "parquet", "Reading a polars.LazyFrame block by block")
        if getattr(frame, "collect_batches", None) is None:
            raise ImportError(
                "Reading a polars.LazyFrame block by block needs polars 1.34 or later. "
                "Update it, or pass query.collect()."
            )
        self.frame = frame
        self._schema = _to_arrow(frame.head(0).collect()).schema

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._schema

    def fingerprint(self) -> dict[str, object]:
        """Describe the rows; to count them, the query runs once.

        Returns
        -------
        dict
            Facts by their name.
        """
        import polars as pl

        count = self.frame.select(pl.len())
        try:
            n_rows = count.collect(engine="streaming").item()
            known = super().fingerprint()
        except pl.exceptions.PolarsError as error:
            raise ValueError(
                f"The query cannot be read to compare its rows: {error}"
            ) from error
        return {**known, "number of rows": n_rows}

    def _first_rows(self, n_rows: int) -> pa.Table:
        # A query that is left halfway would still run.
        return _to_arrow(self.frame.head(n_rows).collect())

    def _blocks(self, columns: list[str], n_rows: int) -> Iterator[Block]:
        import polars as pl

        query = self.frame.select(columns)
        done = 0
        try:
            for frame in query.collect_batches(chunk_size=n_rows, maintain_order=True):
                done += len(frame)
                table = _to_arrow(frame)
                yield Block(table, f"the query, rows before {done:,}", table.nbytes)
        except pl.exceptions.PolarsError as error:
            raise ValueError(
                f"The query cannot be read after {done:,} rows: {error}"
            ) from error


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    import polars as pl

    plain = frame.cast({pl.Categorical: pl.String, pl.Enum: pl.String})
    return plain.to_arrow(compat_level=pl.CompatLevel.oldest())
