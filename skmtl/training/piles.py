"""Encoded rows on disk, in piles that each fit in memory, and their batches.

Rows are scattered at random over the piles, so that every pile is a random sample of
the table. An epoch takes one pile after the other, in a new order, and shuffles the
rows within. A shuffling buffer only mixes rows that are near each other: the batches of
a log that is sorted by user or by label would not be random samples of it.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO, RawIOBase
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skmtl.encoding import EncodedTable, RaggedArray
from skmtl.encoding.blocks import EncodedBlocks
from skmtl.modules.draws import generator_of
from skmtl.sources.space import size_text
from skmtl.training.batches import (
    GATHERED_ROWS,
    Batch,
    RowBatches,
    Rows,
    RowTable,
    TensorTable,
)
from skmtl.training.computing import as_tensors

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.int32]

# Bytes of a pile, about, and how many piles there are at most.
PILE_BYTES, _MOST_PILES = 2**24, 4096


@dataclass(frozen=True)
class RecordLayout:
    """How a row is written: words of 32 bits, one field after the other.

    Attributes
    ----------
    ids, bins, numeric, bags : int
        Number of columns of each kind. A record holds the length of each list; the
        entries are in a file of their own.
    tasks : int
        Number of tasks.
    weighted : bool
        Whether weights are written, and not all the same.
    long : bool
        Whether rows of the table of ids need 64 bits.
    """

    ids: int
    bins: int
    numeric: int
    bags: int
    tasks: int
    weighted: bool
    long: bool

    @classmethod
    def of(cls, table: EncodedTable, n_tasks: int, *, weighted: bool) -> RecordLayout:
        """The layout for rows such as these."""
        return cls(
            table.ids.shape[1],
            table.bins.shape[1],
            table.numeric.shape[1],
            len(table.bags),
            n_tasks,
            weighted,
            table.ids.dtype == np.int64,
        )

    @property
    def fields(self) -> dict[str, tuple[slice, type[np.generic]]]:
        """Words and type of each field."""
        widths: dict[str, tuple[int, type[np.generic]]] = {
            "ids": ((1 + self.long) * self.ids, np.int64 if self.long else np.int32),
            "bins": (self.bins, np.int32),
            "numeric": (self.numeric, np.float32),
            "labels": (self.tasks, np.float32),
            "weight": (self.tasks * self.weighted, np.float32),
            "lengths": (self.bags, np.int32),
        }
        found, start = {}, 0
        for name, (width, kind) in widths.items():
            found[name] = slice(start, start + width), kind
            start += width
        return found

    @property
    def width(self) -> int:
        """Words of a record."""
        return int(self.fields["lengths"][0].stop)

    def row_bytes(self, table: EncodedTable) -> float:
        """Bytes of a row, with the entries of its lists, if all are such as these."""
        entries = sum(len(bag.values) for bag in table.bags)
        return 4 * (self.width + (1 + self.long) * entries / max(len(table), 1))

    def pack(
        self, table: EncodedTable, labels: npt.NDArray[np.float32], weight: Floats
    ) -> Words:
        """Write rows as records."""
        parts = {
            "ids": table.ids,
            "bins": table.bins,
            "numeric": table.numeric,
            "labels": labels,
            "weight": weight if self.weighted else np.empty((len(table), 0)),
            "lengths": _lengths(table.bags, len(table)),
        }
        records = np.empty((len(table), self.width), dtype=np.int32)
        for name, (words, kind) in self.fields.items():
            part = np.ascontiguousarray(parts[name], dtype=kind)
            if part.shape[1]:
                records[:, words] = part.view(np.int32)
        return records

    def unpack(self, records: Words, name: str) -> npt.NDArray[Any]:
        """Read a field of records."""
        words, kind = self.fields[name]
        if words.stop == words.start:
            return np.empty((len(records), 0), dtype=kind)
        # A copy in all cases: the records may be overwritten by those of another pile.
        return np.array(records[:, words], order="C").view(kind)


def _lengths(bags: tuple[RaggedArray, ...], n_rows: int) -> npt.NDArray[np.int64]:
    lengths = np.empty((n_rows, len(bags)), dtype=np.int64)
    for k, bag in enumerate(bags):
        lengths[:, k] = bag.lengths
    return lengths


@dataclass(frozen=True)
class PileRows:
    """Rows of piles: records, and the entries of their lists."""

    layout: RecordLayout
    records: Words
    bags: tuple[RaggedArray, ...]

    def __len__(self) -> int:
        return len(self.records)

    def take(self, at: npt.NDArray[np.int64] | slice) -> PileRows:
        """Select rows."""
        bags = tuple(bag.take(at) for bag in self.bags)
        return PileRows(self.layout, self.records[at], bags)

    def copy(self) -> PileRows:
        """The rows in memory of their own."""
        return PileRows(self.layout, self.records.copy(), self.bags)

    def joined(self, more: PileRows) -> PileRows:
        """These rows and then others."""
        bags = tuple(
            RaggedArray.from_lengths(
                np.concatenate([bag.values, others.values]),
                np.concatenate([bag.lengths, others.lengths]),
            )
            for bag, others in zip(self.bags, more.bags, strict=True)
        )
        records = np.concatenate([self.records, more.records])
        return PileRows(self.layout, records, bags)

    @property
    def encoded(self) -> EncodedTable:
        """The rows as an encoder gives them."""
        ids, bins, numeric = (
            self.layout.unpack(self.records, name)
            for name in ("ids", "bins", "numeric")
        )
        bags = tuple(
            RaggedArray(bag.values.astype(np.int64, copy=False), bag.offsets)
            for bag in self.bags
        )
        return EncodedTable(ids, bins, numeric, bags)

    @property
    def labels(self) -> npt.NDArray[np.float32]:
        """Labels, 0 where not observed."""
        return self.layout.unpack(self.records, "labels")

    @property
    def weight(self) -> npt.NDArray[np.float32] | None:
        """Weights as they were given; None where all are the same."""
        if not self.layout.weighted:
            return None
        return self.layout.unpack(self.records, "weight")


class Piles(EncodedBlocks):
    """Rows in files of one folder, which are deleted with it.

    Parameters
    ----------
    folder : str
        An existing, empty folder.
    layout : RecordLayout
        How rows are written.

    Attributes
    ----------
    sizes : ndarray of shape (n_piles,)
        Rows of each pile.
    """

    def __init__(self, folder: str, layout: RecordLayout) -> None:
        self.folder, self.layout = folder, layout
        self.sizes = np.zeros(0, dtype=np.int64)
        self.checksums = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def add(
        self,
        table: EncodedTable,
        labels: npt.NDArray[np.float32],
        weight: Floats,
        pile: npt.NDArray[np.integer],
    ) -> None:
        """Write rows, each to its pile; within a pile they stay in order.

        Raises
        ------
        ValueError
            If the disk is full.
        """
        records = self.layout.pack(table, labels, weight)
        order = np.argsort(pile, kind="stable")
        rows = PileRows(self.layout, records, table.bags).take(order)
        counts = np.bincount(pile, minlength=len(self.sizes))
        ends = np.cumsum(counts)
        more = np.zeros(len(counts) - len(self.sizes), dtype=np.int64)
        self.sizes = np.concatenate([self.sizes, more])
        self.checksums = np.concatenate([self.checksums, more])
        try:
            for p in np.flatnonzero(counts):
                at = slice(int(ends[p] - counts[p]), int(ends[p]))
                self._append(int(p), rows.take(at))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise ValueError(
                f"The disk of {self.folder!r} is full after {len(self):,} encoded "
                f"rows of {size_text(4 * self.layout.width)} each. Set scratch_dir to "
                "a folder with room for them."
            ) from error
        self.sizes += counts

    def _append(self, p: int, rows: PileRows) -> None:
        # Files are opened for each block, so that their number has no limit.
        kind = np.int64 if self.layout.long else np.int32
        entries = [bag.values.astype(kind) for bag in rows.bags]
        for name, part in enumerate([rows.records, *entries]):
            data = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
            # Checksums identify the rows to checkpoints and other processes.
            self.checksums[p] = zlib.crc32(data, int(self.checksums[p]))
            with open(self._path(p, name), "ab", buffering=0) as file:
                _write_all(file, data)

    def _path(self, p: int, name: int) -> str:
        return os.path.join(self.folder, f"{p}.{name}")

    def read(self, p: int, into: Words | None = None) -> PileRows:
        """All rows of a pile.

        Parameters
        ----------
        p : int
            Which.
        into : ndarray of shape (n_words,) or None, default=None
            Memory for the records, of `space`; None for new memory.
        """
        if not self.sizes[p]:
            empty = np.empty((0, self.layout.width), dtype=np.int32)
            none = RaggedArray(np.empty(0, np.int64), np.zeros(1, np.int64))
            return PileRows(self.layout, empty, (none,) * self.layout.bags)
        if not os.path.exists(self.folder):
            raise RuntimeError(
                f"The encoded rows in {self.folder!r} are no longer there. The process "
                "that wrote them has ended, and its message says why, or another "
                "program has deleted them."
            )
        n_words = int(self.sizes[p]) * self.layout.width
        words = np.empty(n_words, np.int32) if into is None else into[:n_words]
        with open(self._path(p, 0), "rb", buffering=0) as file:
            _read_all(file, words.view(np.uint8).data)
        records = words.reshape(-1, self.layout.width)
        lengths = self.layout.unpack(records, "lengths").astype(np.int64)
        kind = np.int64 if self.layout.long else np.int32
        bags = tuple(
            RaggedArray.from_lengths(
                np.fromfile(self._path(p, k + 1), dtype=kind), lengths[:, k]
            )
            for k in range(self.layout.bags)
        )
        return PileRows(self.layout, records, bags)

    def space(self) -> Words:
        """Memory for the records of any pile."""
        return np.empty(int(self.sizes.max()) * self.layout.width, dtype=np.int32)

    def blocks(self, first: int = 0, step: int = 1) -> Iterator[PileRows]:
        """All rows, pile by pile, or some of the piles.

        A pile is overwritten when the next one is read.
        """
        space = self.space()
        for p in range(first, len(self.sizes), step):
            yield self.read(p, space)

    def tables(self) -> Iterator[EncodedTable]:
        for rows in self.blocks():
            yield rows.encoded


def _write_all(file: RawIOBase, data: memoryview) -> None:
    """Write to an unbuffered file, which may take a part only."""
    done = 0
    while done < len(data):
        done += file.write(data[done:])


def _read_all(file: FileIO, data: memoryview) -> None:
    """Fill memory from an unbuffered file, which may give a part only."""
    done = 0
    while done < len(data):
        n = file.readinto(data[done:])
        if not n:
            raise RuntimeError(
                f"{file.name!r} has only {done:,} of {len(data):,} bytes. Another "
                "program has changed it: fit again, and set scratch_dir to a folder "
                "that no other program cleans."
            )
        done += n


class NewPiles(Protocol):
    """Makes piles for rows such as these, and says how many bytes a row has."""

    def __call__(
        self, table: EncodedTable, n_rows: int | None, *, weighted: bool
    ) -> tuple[Piles, float]: ...


class PileWriter:
    """Writes rows to piles that it makes when the first rows come.

    Parameters
    ----------
    new_piles : callable
        Makes the piles.
    weighted : bool
        Whether labels do not all have the same weight.
    n_rows : int or None, default=None
        How many rows there will be at most; needed to scatter them.
    rng : Generator or None, default=None
        Scatters the rows at random; without it they stay in order.
    """

    def __init__(
        self,
        new_piles: NewPiles,
        weighted: bool,
        n_rows: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.new_piles, self.weighted = new_piles, weighted
        self.n_rows, self.rng = n_rows, rng
        self._piles: Piles | None = None

    def __len__(self) -> int:
        return 0 if self._piles is None else len(self._piles)

    @property
    def piles(self) -> Piles:
        """The piles, once rows have come."""
        assert self._piles is not None
        return self._piles

    def add(
        self, table: EncodedTable, labels: npt.NDArray[np.float32], weight: Floats
    ) -> None:
        """Write some rows."""
        if not len(table):
            return
        if self._piles is None:
            # By the first rows; lists of later ones may be longer, and piles then
            # larger.
            made = self.new_piles(table, self.n_rows, weighted=self.weighted)
            self._piles, row_bytes = made
            self.rows_of_pile = max(int(PILE_BYTES // row_bytes), 1)
        if self.rng is None or self.n_rows is None:
            pile = (len(self) + np.arange(len(table))) // self.rows_of_pile
        else:
            wanted = min(-(-self.n_rows // self.rows_of_pile), _MOST_PILES)
            # numpy's stable sort of 16 bits is a radix sort, in linear time.
            pile = self.rng.integers(0, wanted, len(table), dtype=np.int16)
        self._piles.add(table, labels, weight, pile)


class PileTable(RowTable):
    """The rows of piles, as the net reads them.

    Parameters
    ----------
    piles : Piles
        The rows.
    mean_weight : ndarray of shape (n_tasks,) or None
        What weights are divided by, 0 for tasks that do not count; None where all
        labels count the same.
    device : str
        Where batches go.
    """

    def __init__(self, piles: Piles, mean_weight: Floats | None, device: str) -> None:
        self.piles, self.mean_weight, self.device = piles, mean_weight, device

    def __len__(self) -> int:
        return len(self.piles)

    def batches(self, batch_size: int, *, shuffle: bool) -> PileBatches:
        return PileBatches(self, batch_size, shuffle=shuffle)

    def spread(self, n_rows: int) -> TensorTable:
        # A pile is a random sample. There are several only if each has many rows.
        p = int(self.piles.sizes.argmax())
        rows = self.piles.read(p)
        stride = max(-(-len(rows) // n_rows), 1)
        return self.tensors(rows.take(slice(None, None, stride)))

    def where_labelled(self, values: Tensor) -> Tensor:
        if self.mean_weight is None:
            return values
        labelled = torch.from_numpy(self.mean_weight > 0).to(values.device)
        return values.where(labelled, torch.nan)

    def state(self) -> list[Tensor]:
        return [torch.from_numpy(x) for x in (self.piles.sizes, self.piles.checksums)]

    def tensors(self, rows: PileRows) -> TensorTable:
        """Some rows as tensors, weights scaled."""
        X, y = as_tensors(rows.encoded), torch.from_numpy(rows.labels)
        return TensorTable(X, y, self._scaled(rows)).to(self.device)

    def _scaled(self, rows: PileRows) -> Tensor | None:
        mean = self.mean_weight
        if mean is None:
            return None
        given = rows.weight
        weight = np.ones((len(rows), len(mean))) if given is None else given
        scaled = np.zeros((len(rows), len(mean)))
        np.divide(weight, mean, out=scaled, where=mean > 0)
        return torch.from_numpy(scaled.astype(np.float32))


class PileBatches(RowBatches):
    """Batches of piles; a batch may begin in one pile and end in the next."""

    def __init__(self, table: PileTable, batch_size: int, *, shuffle: bool) -> None:
        self.table: PileTable = table
        self.batch_size, self.shuffle = batch_size, shuffle

    def after(self, n_batches: int) -> Iterator[Batch]:
        sizes = self.table.piles.sizes.tolist()
        order = list(range(len(sizes)))
        rows: Iterator[Tensor] | None = None
        if self.shuffle and len(order) == 1:
            # As in memory, to the last bit.
            rows = iter([torch.randperm(sizes[0], generator=generator_of("cpu"))])
        elif self.shuffle:
            # Piles are shuffled one by one while steps draw from the same generator, so
            # a generator of the pass's own is seeded when the pass begins.
            given = generator_of("cpu")
            order = torch.randperm(len(order), generator=given).tolist()
            own = torch.Generator()
            own.manual_seed(int(torch.randint(2**62, (), generator=given)))
            rows = (torch.randperm(sizes[p], generator=own) for p in order)
        return islice(self._pass(order, rows), n_batches, None)

    def _pass(
        self, order: list[int], orders: Iterator[Tensor] | None
    ) -> Iterator[Batch]:
        size, rest = self.batch_size, None
        for rows, at in self._piles(order, orders):
            begun = 0
            if rest is not None:
                # Rows that did not fill a batch have waited for this pile.
                begun = min(size - len(rest), len(rows))
                rest = rest.joined(rows.take(_places(at, 0, begun)))
                if len(rest) < size:
                    continue
                yield from self._batches(rest)
            whole = begun + (len(rows) - begun) // size * size
            # Shuffled as they are taken: a shuffled copy would be memory for a pile.
            yield from self._batches(rows, at, begun, whole)
            rest = None
            if whole < len(rows):
                rest = rows.take(_places(at, whole, len(rows))).copy()
        if rest is not None:
            yield from self._batches(rest)

    def _batches(
        self,
        rows: PileRows,
        at: Rows | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[Batch]:
        # Fields of several batches are taken apart at once, which takes half the time.
        step = max(GATHERED_ROWS // self.batch_size, 1) * self.batch_size
        end = len(rows) if stop is None else stop
        for first in range(start, end, step):
            places = _places(at, first, min(first + step, end))
            table = self.table.tensors(rows.take(places))
            for k in range(0, len(table), self.batch_size):
                yield table.rows(slice(k, k + self.batch_size))

    def _piles(
        self, order: list[int], orders: Iterator[Tensor] | None
    ) -> Iterator[tuple[PileRows, Rows | None]]:
        """Piles one after the other, and the order of their rows.

        The next one is read while one is trained on. Memory is that of two, and of the
        same two in the whole pass: the C library would not give back all that is freed.
        """
        piles = self.table.piles
        spaces = [piles.space() for _ in order[:2]]
        with ThreadPoolExecutor(1) as reader:
            coming: Future[PileRows] | None = None
            at: Rows | None = None
            for k, p in enumerate([*order, None]):
                ready, before = coming, at
                coming = None
                if p is not None:
                    # Drawn here, in the order of the piles, not in the thread of the
                    # reader.
                    at = None if orders is None else next(orders).numpy()
                    coming = reader.submit(piles.read, p, spaces[k % 2])
                if ready is not None:
                    yield ready.result(), before


def _places(at: Rows | None, start: int, stop: int) -> Rows | slice:
    """The rows from one place of an order to another."""
    return slice(start, stop) if at is None else at[start:stop]
