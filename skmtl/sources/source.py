"""A table that is read block by block."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from skmtl._containers import to_native

if TYPE_CHECKING:
    import pyarrow as pa

# Cells of a block: 32 MB for numbers of eight bytes. Larger blocks are not faster.
_CELLS, _FEWEST_ROWS, _MOST_ROWS = 2**22, 2**12, 2**17
_HASHED_ROWS = 1000


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a source.

    Parameters
    ----------
    table : pyarrow.Table
        The rows.
    origin : str
        Where they come from, for errors.
    n_bytes : int
        Approximate number of bytes that were read for them.
    """

    table: pa.Table
    origin: str
    n_bytes: int

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Prefix the message of an error with the origin of these rows."""
        try:
            yield
        except (TypeError, ValueError) as error:
            # Subclasses such as UnicodeDecodeError take more than a message.
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{self.origin}: {error}") from error


class Source(ABC):
    """A table that is read block by block, more than once, in the same order.

    Subclasses define which columns there are, and yield blocks of them.

    Attributes
    ----------
    n_rows : int or None
        Number of rows; None if it is only known after reading.
    """

    n_rows: int | None = None

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""

    @abstractmethod
    def _blocks(self, columns: list[str], n_rows: int) -> Iterator[Block]:
        """Yield blocks of at most `n_rows` rows, with these columns in this order."""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[Block]:
        """Read the table once.

        Parameters
        ----------
        columns : sequence of str or None, default=None
            Columns to read, in this order; None for all.

        Yields
        ------
        Block
            The next rows. A block may be empty.

        Raises
        ------
        ValueError
            For missing columns, and for files that cannot be read or have changed; the
            message names the file.
        """
        wanted = self.names if columns is None else list(columns)
        self.check_columns(wanted)
        width = sum(map(_n_columns, (self.schema.field(name).type for name in wanted)))
        n_rows = min(max(_CELLS // max(width, 1), _FEWEST_ROWS), _MOST_ROWS)
        return self._blocks(wanted, n_rows)

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read whole columns, such as the labels that a metric needs.

        Parameters
        ----------
        columns : sequence of str or None, default=None
            Columns to read, in this order; None for all.

        Returns
        -------
        DataFrame
            The columns.
        """
        import pyarrow as pa

        frame: pd.DataFrame = to_native(
            pa.concat_tables(block.table for block in self.blocks(columns))
        )
        return frame

    def fingerprint(self) -> dict[str, object]:
        """Describe the rows, without reading all of them.

        Processes that share a fit compare these facts. Values are the same
        for the same rows, whatever the folder or the machine that they are on.

        Returns
        -------
        dict
            Facts that can be pickled and compared, by their name: here the columns, the
            number of rows if it is known, and a hash of the first thousand rows.
        """
        rows = repr(self._first_rows(_HASHED_ROWS).to_pylist())
        return {
            "columns": self._columns(),
            "number of rows": self.n_rows,
            "first rows": hashlib.sha256(rows.encode()).hexdigest(),
        }

    def _first_rows(self, n_rows: int) -> pa.Table:
        """Read at most `n_rows` rows."""
        first = next(self._blocks(self.names, n_rows), None)
        return self.schema.empty_table() if first is None else first.table[:n_rows]

    def _columns(self) -> list[tuple[str, str]]:
        """Names of columns and their types."""
        return [(field.name, str(field.type)) for field in self.schema]

    def check_columns(
        self, columns: Sequence[str], argument: str = "", table: str = "X"
    ) -> None:
        """Raise for names that are not columns.

        Parameters
        ----------
        columns : sequence of str
            The names.
        argument : str, default=""
            The argument that names them, for the error.
        table : str, default="X"
            The argument that holds the source, for the error.

        Raises
        ------
        ValueError
            If one is not there.
        """
        missing = [name for name in columns if name not in self.names]
        if missing:
            what = f"{argument} names" if argument else f"{table} lacks"
            raise ValueError(
                f"{what} {missing}, which are not among its columns {self.names}. Fix "
                "the names, or add the columns to the files."
            )


def _n_columns(kind: pa.DataType) -> int:
    """Approximate memory of a column, as a number of columns of numbers."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    # A guess: the type does not say how long lists are.
    return 16 if nested else 1
