"""Pretrained embeddings: from the caller's tables to rows of the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from skmtl._messages import shown
from skmtl._typing import ColumnName
from skmtl._warnings import warn
from skmtl.embedders import PretrainedEmbedding
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.encoding._vectors import VectorTable
from skmtl.encoding._vocabulary import Vocabulary
from skmtl.modules import Pretrained

# If fewer of the training rows have a vector, something is probably wrong.
_POOR = 0.5


@dataclass(frozen=True)
class ColumnVectors:
    """Checked vectors of one id column."""

    column: ColumnName
    spec: PretrainedEmbedding
    table: VectorTable

    def scaled(self, dim: int) -> npt.NDArray[np.float32]:
        """Vectors for a column of width `dim`."""
        vectors = self.table.vectors
        factor = self.spec.scale
        if isinstance(factor, str):  # "auto"
            # Numbers of size dim**-0.5: a row of width dim then has length 1.
            size = np.sqrt(np.square(vectors, dtype=np.float64).mean())
            factor = dim**-0.5 / size if size else 1.0
        return (vectors * factor).astype(np.float32)

    def description(self) -> str:
        """The same for equal ids, vectors and settings."""
        digest = hashlib.blake2b(digest_size=8)
        ids = [repr(one) for one in self.table.ids.tolist()]
        order = sorted(range(len(ids)), key=ids.__getitem__)  # that of rows is free
        text = ", ".join(ids[k] for k in order)
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(self.table.vectors[order]).data)
        spec, shape = self.spec, self.table.vectors.shape
        how = (spec.mode, spec.learning_rate_factor, spec.projection, spec.scale)
        return f"{shape[0]} x {shape[1]} {how} {digest.hexdigest()}"


class PretrainedTables:
    """The tables of one fit, checked before anything else is done.

    Parameters
    ----------
    embeddings : mapping or None
        As in the rankers.
    """

    def __init__(self, embeddings: Mapping[ColumnName, object] | None) -> None:
        self.columns: list[ColumnVectors] = []
        for column, given in (embeddings or {}).items():
            spec = (
                given
                if isinstance(given, PretrainedEmbedding)
                else PretrainedEmbedding(given)
            )
            spec._check(column)
            table = VectorTable.read(spec.table, column)
            self.columns.append(ColumnVectors(column, spec, table))

    def description(self) -> dict[str, str] | None:
        """Hash of ids and vectors, and how they are used, by column."""
        return {repr(one.column): one.description() for one in self.columns} or None

    def add_to(self, encoder: TableEncoder) -> None:
        """Give every id with a vector a row of its own."""
        self.known = list(encoder.layout_.sizes)
        self.places = [_place(encoder, one.column) for one in self.columns]
        _refuse_two_for_one(self.places, [one.column for one in self.columns])
        keys = [
            one.table.ids_for(_vocabulary(encoder, k), one.column)
            for k, one in zip(self.places, self.columns, strict=True)
        ]
        for k, ids in zip(self.places, keys, strict=True):
            encoder._add_ids(k, ids)
        self.rows = [
            _vocabulary(encoder, k).rows_of_ids(ids)
            for k, ids in zip(self.places, keys, strict=True)
        ]
        self.offsets = [sum(encoder.vocabulary_sizes_[:k]) for k in self.places]

    def coverage(
        self, encoder: TableEncoder, tables: Iterable[EncodedTable]
    ) -> pd.DataFrame:
        """Report how many rows have vectors, with a line for each column.

        Warns if they are few. For a column of lists, its entries are counted.
        """
        found = []
        seen = self._cells_by_row(encoder, tables)
        for one, k, rows, counts in zip(
            self.columns, self.places, self.rows, seen, strict=True
        ):
            n_cells = counts.sum()
            of_rows = float(counts[rows].sum() / n_cells) if n_cells else np.nan
            # Row 0 is that of unknown ids. Ids that have a row only for their vector
            # come after those that training rows gave one.
            n_frequent = self.known[k] - 1
            of_ids = np.sum(rows <= n_frequent) / n_frequent if n_frequent else np.nan
            unseen = int((counts[rows] == 0).sum())
            found.append({"ids": of_ids, "rows": of_rows, "unseen": unseen})
            if of_rows < _POOR:
                warn(
                    f"The embeddings of column {shown(one.column)} have vectors for "
                    f"only {of_rows:.0%} of the training rows. The ids of the others "
                    "start at random. Check that both write ids in the same way.",
                )
        names = [one.column for one in self.columns]
        columns = ["ids", "rows", "unseen"]
        return pd.DataFrame(found, index=names, columns=columns)

    def _cells_by_row(
        self, encoder: TableEncoder, tables: Iterable[EncodedTable]
    ) -> list[npt.NDArray[np.int64]]:
        """Count, for each column, the cells that read each row of its vocabulary."""
        sizes = [encoder.vocabulary_sizes_[k] for k in self.places]
        found = [np.zeros(size, dtype=np.int64) for size in sizes]
        # Tables of a source are read from disk, so only if there is something to count.
        for table in tables if self.columns else ():
            for one, offset, counts in zip(
                self.columns, self.offsets, found, strict=True
            ):
                cells = _cells(table, encoder, one.column) - offset
                counts += np.bincount(cells, minlength=len(counts))
        return found

    def for_network(self, dims: Sequence[int]) -> dict[int, Pretrained]:
        """Convert the vectors for the network's embedding, by widths of columns."""
        found = {}
        for one, k, rows in zip(self.columns, self.places, self.rows, strict=True):
            width = one.table.vectors.shape[1]
            if width != dims[k] and not one.spec.projection:
                raise ValueError(
                    f"The embeddings of column {shown(one.column)} have width {width}, "
                    f"but its embedding_dim is {dims[k]}. Set "
                    f"embedding_dim={{{shown(one.column)}: {width}}}, or allow a "
                    "projection."
                )
            found[k] = Pretrained(
                rows=torch.from_numpy(rows),
                vectors=torch.from_numpy(one.scaled(dims[k])),
                frozen=one.spec.mode == "frozen",
                learning_rate_factor=float(one.spec.learning_rate_factor),
            )
        return found


def _place(encoder: TableEncoder, column: ColumnName) -> int:
    """Return the position of a column's vocabulary."""
    if column in encoder.vocabulary_of_:
        place = encoder.vocabulary_places_[column]
        if encoder._is_hashed(place):
            raise ValueError(
                f"embeddings names {shown(column)}, which is hashed (n_buckets), so no "
                "id has a row of its own. Leave it out of one of the two."
            )
        return place
    if column in encoder.numeric_names_:
        raise ValueError(
            f"embeddings names {shown(column)}, which is read as numbers. Name the "
            "column in categorical_features, or cast it to 'category'."
        )
    names = [*encoder.vocabulary_of_, *encoder.numeric_names_]
    raise ValueError(
        f"embeddings names {shown(column)}, which is not a column of X. The columns "
        f"are {names}."
    )


def _vocabulary(encoder: TableEncoder, place: int) -> Vocabulary:
    found = encoder._vocabularies[place]
    assert isinstance(found, Vocabulary)  # `_place` refuses hashed columns
    return found


def _refuse_two_for_one(places: list[int], columns: list[ColumnName]) -> None:
    """Raise if two columns that share a vocabulary both have a table."""
    for i, place in enumerate(places):
        if place in places[:i]:
            raise ValueError(
                f"embeddings has tables for {columns[places.index(place)]!r} and "
                f"{columns[i]!r}, which share one embedding. Pass one table for both."
            )


def _cells(
    table: EncodedTable, encoder: TableEncoder, column: ColumnName
) -> npt.NDArray[np.int64]:
    """Rows of the fused table that a column reads."""
    if column in encoder.categorical_names_:
        return table.ids[:, encoder.categorical_names_.index(column)]
    bag: npt.NDArray[np.int64] = table.bags[encoder.bag_names_.index(column)].values
    return bag
