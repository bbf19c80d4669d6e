"""Parquet files as a source."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skmtl._extras import import_extra
from skmtl.sources.source import Block, Source

if TYPE_CHECKING:
    import fsspec
    import pyarrow as pa

# Bytes of a column that are fetched at once.
_BUFFER = 2**20

# Families of types of which columns of one name may be.
_NUMBERS = {"integer", "floating"}

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class _File:
    """A file as it was when the source was opened."""

    system: fsspec.AbstractFileSystem
    path: str
    stamp: tuple[str, ...]
    schema: pa.Schema
    n_rows: int
    n_bytes: int
    # Checksum of the footer.
    footer: int


class ParquetFiles(Source):
    """A table in Parquet files, which is read block by block.

    Wherever a ranker takes a path, it takes this too.

    Parameters
    ----------
    paths : str, path-like, or sequence of these
        A file, a folder with all ``*.parquet`` files below it, a pattern such as
        ``"log/day=*/*.parquet"``, or several of them. Addresses such as
        ``"s3://bucket/log/*.parquet"`` are opened by fsspec. The files of a folder or
        pattern are read in the order of their names.
    columns : sequence of str or None, default=None
        Columns to use; None for all. The others are never read.
    storage_options : dict or None, default=None
        Options for fsspec to open the address, such as credentials.

    Raises
    ------
    ValueError
        For files that are not Parquet, lack a column or have another type in it; the
        message names the file. Widths of numbers may differ, and whole numbers may be
        floats in other files, such as in those with missing cells.
    FileNotFoundError
        If there is no file.

    Notes
    -----
    At first only the footers are read. If a file changes later, reading it raises an
    error.

    Examples
    --------
    >>> import os, tempfile
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.sources import ParquetFiles
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = make_funnel(1000, random_state=0)
    ...     log.data.to_parquet(os.path.join(folder, "day1.parquet"))
    ...     source = ParquetFiles(folder, columns=["user_id", "item_id"])
    ...     source.n_rows, source.names
    (1000, ['user_id', 'item_id'])
    """

    def __init__(
        self,
        paths: Path | Sequence[Path],
        *,
        columns: Sequence[str] | None = None,
        storage_options: dict[str, object] | None = None,
    ) -> None:
        import_extra("pyarrow.parquet", "parquet", "Reading Parquet files")
        given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not given:
            raise ValueError("paths is an empty list. Pass at least one path.")
        found = [_located(os.fspath(path), storage_options or {}) for path in given]
        self._files = [_footer(system, path) for system, some in found for path in some]
        self._schema = _common_schema(self._files, columns)
        self.n_rows = sum(file.n_rows for file in self._files)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._schema

    @property
    def paths(self) -> list[str]:
        """The files, in the order in which they are read."""
        return [file.path for file in self._files]

    def fingerprint(self) -> dict[str, object]:
        """Describe the rows by names, sizes and footers of the files.

        Returns
        -------
        dict
            Facts by their name. Footers hold the number of rows, and in most files the
            size and the extremes of each column. Folders are left out.
        """
        return {
            "columns": self._columns(),
            "number of rows": self.n_rows,
            "files": [
                (file.path.rpartition("/")[2], file.n_bytes, file.footer)
                for file in self._files
            ],
        }

    def _blocks(self, columns: list[str], n_rows: int) -> Iterator[Block]:
        import pyarrow as pa

        schema = pa.schema([self._schema.field(name) for name in columns])
        for file in self._files:
            done = 0
            for batch in _batches(file, columns, n_rows):
                table = pa.Table.from_batches([batch]).select(columns)
                # A file may have a narrower type than the common one.
                if table.schema != schema:
                    table = _cast(table, schema, file.path)
                done += len(table)
                # The compressed size of these rows alone is not known.
                size = file.n_bytes * len(table) // max(file.n_rows, 1)
                yield Block(table, f"{file.path}, rows before {done:,}", size)


def _cast(table: pa.Table, schema: pa.Schema, path: str) -> pa.Table:
    """Convert the columns of a file to the common types."""
    import pyarrow as pa

    try:
        return table.cast(schema)
    except pa.ArrowInvalid as error:  # an integer that no float equals
        names = [f.name for f in schema if f.type != table.schema.field(f.name).type]
        raise ValueError(
            f"{path!r} has integers in the columns {names} that the type of other "
            f"files cannot hold exactly. {_text(error)} Write all files with one type."
        ) from error


def _located(
    path: str, options: dict[str, object]
) -> tuple[fsspec.AbstractFileSystem, list[str]]:
    """Return the file system of an address, and the files that it stands for."""
    from fsspec.core import url_to_fs

    try:
        system, inner = url_to_fs(path, **options)
    except ImportError as error:  # whose message may leave the package out
        package = getattr(error.__cause__, "name", None)
        known = f": pip install {package}" if package else ""
        raise ImportError(
            f"{path!r} cannot be read, since fsspec needs another package for such "
            f"addresses{known}. ({error})"
        ) from error
    if any(sign in inner for sign in "*?["):
        # File systems list in any order; all passes need the same.
        found = sorted(system.glob(inner))
    elif system.isdir(inner):
        found = sorted(system.glob(f"{inner.rstrip('/')}/**/*.parquet"))
    else:
        found = [inner] if system.exists(inner) else []
    if not found:
        raise FileNotFoundError(
            f"There is no Parquet file at {path!r}. Pass a file, a folder with "
            "*.parquet files, or a pattern such as 'log/*.parquet'."
        )
    return system, found


def _footer(system: fsspec.AbstractFileSystem, path: str) -> _File:
    """Read the footer of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stamp = _stamp(system, path)
    try:
        with system.open(path, "rb") as file, pq.ParquetFile(file) as opened:
            schema, footer = opened.schema_arrow, opened.metadata
            n_rows, written = footer.num_rows, io.BytesIO()
            footer.write_metadata_file(written)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path!r} cannot be read as Parquet: {_text(error)} Write the file again, "
            "or leave it out."
        ) from error
    plain, checksum = schema.remove_metadata(), zlib.crc32(written.getbuffer())
    return _File(system, path, stamp, plain, n_rows, int(stamp[0]), checksum)


def _text(error: Exception) -> str:
    """Return the message of an error, ending in exactly one full stop."""
    return f"{str(error).rstrip('. ')}."


def _stamp(system: fsspec.AbstractFileSystem, path: str) -> tuple[str, ...]:
    """Return what changes when a file does: its size and marks of its version."""
    # fsspec would answer from an earlier listing.
    system.invalidate_cache()
    info = system.info(path)
    marks = ("mtime", "LastModified", "last_modified", "updated", "ETag", "created")
    return (str(info["size"]), *(str(info[mark]) for mark in marks if mark in info))


def _batches(file: _File, columns: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one file.

    A `pyarrow.dataset` scan would hold several whole row groups in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_unchanged(file)
    local = "file" in _protocols(file.system)
    try:
        with (
            open(file.path, "rb")
            if local
            else file.system.open(file.path, "rb") as handle,
            pq.ParquetFile(handle, pre_buffer=False, buffer_size=_BUFFER) as opened,
        ):
            yield from opened.iter_batches(n_rows, columns=columns)
    except (pa.ArrowException, OSError) as error:
        # A change is a likelier reason for the error than damage.
        _check_unchanged(file)
        raise ValueError(
            f"{file.path!r} is damaged: {_text(error)} Write the file again, or leave "
            "it out."
        ) from error
    # A file that was overwritten while it was read may not raise.
    _check_unchanged(file)


def _protocols(system: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    names = system.protocol
    return (names,) if isinstance(names, str) else tuple(names)


def _check_unchanged(file: _File) -> None:
    try:
        same = _stamp(file.system, file.path) == file.stamp
    except FileNotFoundError:
        same = False
    if not same:
        raise ValueError(
            f"{file.path!r} has changed since it was first read. All passes must read "
            "the same rows: fit again once the file is complete, or leave it out."
        )


def _common_schema(files: Sequence[_File], columns: Sequence[str] | None) -> pa.Schema:
    """Return the common schema of all files; widths of numbers may differ."""
    import pyarrow as pa

    first = files[0]
    names = list(first.schema.names) if columns is None else list(columns)
    if len(set(first.schema.names)) < len(first.schema.names):
        raise ValueError(f"{first.path!r} has columns of the same name. Rename them.")
    fields = []
    for name in names:
        found = first
        for file in files:
            if file.schema.get_field_index(name) < 0:
                have = list(file.schema.names)
                raise ValueError(
                    f"{file.path!r} has no column {name!r}, only {have}. Add it to the "
                    "file, or use ParquetFiles(paths, columns=...) without it."
                )
            before, now = (f.schema.field(name).type for f in (found, file))
            # A column that is empty in one file takes its type from the others.
            if pa.types.is_null(before):
                found = file
            elif not pa.types.is_null(now) and not _one_family(now, before):
                raise ValueError(
                    f"Column {name!r} is of type {before} in {found.path!r} and of "
                    f"type {now} in {file.path!r}. Write the files with one type."
                )
        kinds = [pa.schema([file.schema.field(name)]) for file in files]
        joined = pa.unify_schemas(kinds, promote_options="permissive").field(name)
        # Arrow's choice for integers beside floats may be too narrow.
        if len({_family(kind.field(name).type) for kind in kinds} & _NUMBERS) > 1:
            joined = joined.with_type(pa.float64())
        # Another file may have missing cells where this one has none.
        fields.append(joined.with_nullable(True).remove_metadata())
    return pa.schema(fields)


def _one_family(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether a type holds the values of both.

    A column of whole numbers is written as floats where a cell is missing.
    """
    found = {_family(one), _family(other)}
    return len(found) == 1 or found == _NUMBERS


def _family(kind: pa.DataType) -> str:
    """Name the family of types that hold each other's values, whatever their width."""
    import pyarrow as pa

    types = pa.types
    for is_kind, family in (
        (types.is_integer, "integer"),
        (types.is_floating, "floating"),
        (types.is_string, "string"),
        (types.is_large_string, "string"),
        (types.is_string_view, "string"),
    ):
        if is_kind(kind):
            return family
    if types.is_list(kind) or types.is_large_list(kind):
        return f"list of {_family(kind.value_type)}"
    return str(kind)
