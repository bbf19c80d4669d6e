"""Look up the ids of short tables, those of all columns at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from skmtl._typing import AnyArray
from skmtl.encoding._hashing import HashedIds
from skmtl.encoding._vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

_Words = npt.NDArray[np.uint64]
_Bools = npt.NDArray[np.bool_]
_Places = npt.NDArray[np.int64]

# What the lowest 0 to 8 bytes of a word hold.
_LOW_BYTES = np.array([2 ** (8 * n) - 1 for n in range(9)], dtype=np.uint64)
# Slots for each id. With fewer, more ids are not found in the first slot.
_SLOTS = 3
_HALF, _TOP = np.uint64(32), np.uint64(1 << 63)
# 2^64 over the golden ratio, and the multiplier of SplitMix64's finaliser.
_STEP, _FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
# Differs from process to process, so that nobody can choose ids that collide. Rows do
# not depend on it, since ids are compared in full.
_SEED = np.frombuffer(os.urandom(8), dtype=np.uint64)[0]


@dataclass(frozen=True)
class Texts:
    """Strings, one after the other in UTF-8.

    Attributes
    ----------
    data : ndarray of uint8
        The bytes, and 8 more.
    starts, lengths : ndarray of int64
        String ``i`` is ``data[starts[i] : starts[i] + lengths[i]]``.
    missing : ndarray of bool or None
        Which of them are missing; None if none is.
    """

    data: npt.NDArray[np.uint8]
    starts: _Places
    lengths: _Places
    missing: _Bools | None = None

    @classmethod
    def of_cells(cls, columns: Sequence[Sequence[str | None]]) -> Texts:
        """Join columns of strings, lone surrogates included."""
        given, missing = list(chain.from_iterable(columns)), None
        cells = cast(list[str], given)
        try:
            text = "".join(cells)
        except TypeError:
            missing = np.array([cell is None for cell in given])
            cells = [cell or "" for cell in given]
            text = "".join(cells)
        data, sizes = text.encode("utf-8", "surrogatepass"), list(map(len, cells))
        if not text.isascii():
            sizes = [len(cell.encode("utf-8", "surrogatepass")) for cell in cells]
        lengths = np.array(sizes, dtype=np.int64)
        padded = np.frombuffer(data + bytes(8), dtype=np.uint8)
        return cls(padded, np.cumsum(lengths) - lengths, lengths, missing)

    @classmethod
    def of_arrow(cls, columns: Sequence[pa.ChunkedArray]) -> Texts:
        """Join columns of Arrow's large strings."""
        import pyarrow as pa

        # `chunks` takes longer than a short column is read.
        parts = [one.chunk(k) for one in columns for k in range(one.num_chunks)]
        joined = pa.concat_arrays(parts)
        _, offsets, data = joined.buffers()
        ends = np.frombuffer(offsets, np.int64, len(joined) + 1, 8 * joined.offset)
        first, last = int(ends[0]), int(ends[-1])
        padded = np.zeros(last - first + 8, dtype=np.uint8)
        if last > first:
            padded[:-8] = np.frombuffer(data, np.uint8, last - first, first)
        missing = None
        if joined.null_count:
            missing = joined.is_null().to_numpy(zero_copy_only=False)
        return cls(padded, ends[:-1] - first, np.diff(ends), missing)

    def words(self, at: _Places) -> _Words:
        """Read 8 bytes from each of some places."""
        # Of a type of single bytes, so that words may begin anywhere.
        view: AnyArray = np.ndarray(
            len(self.data) - 7, dtype="V8", buffer=self.data, strides=(1,)
        )
        # Not `take`, which would first copy the view: 8 times the bytes of all strings.
        return view[at].view("<u8").astype(np.uint64, copy=False)

    def keys(self) -> _Words:
        """Give each string a number: its bytes if there are at most 7, else a hash."""
        lengths = self.lengths
        keys = self.words(self.starts) & _LOW_BYTES.take(np.minimum(lengths, 7))
        keys |= lengths.astype(np.uint64) << np.uint64(56)
        long = np.flatnonzero(lengths > 7)
        if len(long):
            keys[long] = self._hashes(self.starts[long], lengths[long]) | _TOP
        return keys

    def _hashes(self, starts: _Places, left: _Places) -> _Words:
        hashes = left.astype(np.uint64) ^ _SEED
        some = np.arange(len(left))
        while len(some):
            words = self.words(starts[some]) & _LOW_BYTES[np.minimum(left[some], 8)]
            hashes[some] = _mixed(hashes[some] ^ words)
            starts, left = starts + 8, left - 8
            some = some[left[some] > 0]
        return hashes

    def equals(self, at: _Places, others: Texts, places: _Places) -> _Bools:
        """Compare strings at some places with as many others."""
        left = self.lengths[at]
        equal: _Bools = left == others.lengths[places]
        starts, begins = self.starts[at], others.starts[places]
        some = np.flatnonzero(equal)
        while len(some):
            differ = self.words(starts[some]) ^ others.words(begins[some])
            differ &= _LOW_BYTES[np.minimum(left[some], 8)]
            equal[some[differ != 0]] = False
            starts, begins, left = starts + 8, begins + 8, left - 8
            some = some[(differ == 0) & (left[some] > 0)]
        return equal


def _mixed(words: _Words) -> _Words:
    """Spread the bits of each word over all others."""
    words = (words + _SEED) * _STEP
    words ^= words >> _HALF
    words *= _FACTOR
    words ^= words >> _HALF
    return words


class IdLookup:
    """One hash table for the strings and integers of all vocabularies.

    An id and its row lie side by side, and all ids of a table are looked up in a few
    calls of numpy. Dictionaries take a call and several accesses to memory for each
    id, most of which the network has meanwhile driven out of the processor's cache.

    Each vocabulary has slots of its own, more than ids. An id is stored in the first
    free slot from the one that its hash says.

    Parameters
    ----------
    vocabularies : sequence of Vocabulary or HashedIds
        The vocabularies. Only those of strings, and of integers without a direct
        look-up table, are stored here.

    Attributes
    ----------
    holds : list of bool
        Which of them are stored.
    """

    def __init__(self, vocabularies: Sequence[Vocabulary | HashedIds]) -> None:
        tables, texts, sizes = [], [], []
        self.holds = []
        for one in vocabularies:
            keys, text = _keys_of(one)
            self.holds.append(keys is not None)
            if keys is None:
                keys = np.empty(0, dtype=np.uint64)
            sizes.append(max(_SLOTS * len(keys), 1))
            tables.append(_slots(keys, np.uint64(sizes[-1])))
            texts.append(text)
        self.sizes = np.array(sizes, dtype=np.uint64)[:, None]
        self.first = np.cumsum([0, *map(len, tables)])[:-1, None]
        self.slots = np.concatenate(tables)
        # Strings that keys do not tell apart, and the first one of each vocabulary.
        self.first_text = np.cumsum([0, *map(len, texts)])[:-1]
        self.texts = Texts.of_cells(texts) if any(texts) else None

    def rows_of_texts(self, texts: Texts, vocabularies: Sequence[int]) -> _Places:
        """Rows of strings, those of one column after those of another.

        Parameters
        ----------
        texts : Texts
            The strings.
        vocabularies : sequence of int
            For each column, which vocabulary it reads.

        Returns
        -------
        ndarray of shape (n_columns, n_rows), dtype int64
            Rows within the vocabularies; 0 where unknown or missing.
        """
        keys = texts.keys()
        rows = self._rows(keys, vocabularies)
        if self.texts is not None:
            first = self.first_text[np.array(vocabularies, dtype=np.intp)]
            at = np.flatnonzero((keys >= _TOP) & (rows > 0))
            places = first.repeat(len(keys) // len(first))[at] + rows[at] - 1
            rows[at[~texts.equals(at, self.texts, places)]] = 0
        if texts.missing is not None:
            rows[texts.missing] = 0
        return rows.reshape(len(vocabularies), -1)

    def rows_of_integers(self, ids: _Places, vocabularies: Sequence[int]) -> _Places:
        """Rows of integers, ``(n_columns, n_rows)``; as `rows_of_texts`."""
        found = self._rows(ids.ravel().view(np.uint64), vocabularies)
        return found.reshape(ids.shape)

    def _rows(self, keys: _Words, vocabularies: Sequence[int]) -> _Places:
        """Rows of the ids that have these keys."""
        which = np.array(vocabularies, dtype=np.intp)
        slot = _first_slot(keys.reshape(len(which), -1), self.sizes[which])
        slot = (slot + self.first[which]).ravel()
        rows, other = self._probe(slot, keys)
        left = np.flatnonzero(other)
        while len(left):
            slot[left] += 1
            rows[left], other = self._probe(slot[left], keys[left])
            left = left[other]
        return rows

    def _probe(self, slot: _Places, keys: _Words) -> tuple[_Places, _Bools]:
        """Row of the id in each slot, 0 if it has another key; and whether it has."""
        pairs = self.slots.take(slot, axis=0)
        stored, same = pairs[:, 1].astype(np.int64), pairs[:, 0] == keys
        return np.where(same, stored, 0), ~same & (stored > 0)


def _keys_of(one: Vocabulary | HashedIds) -> tuple[_Words | None, list[str]]:
    """Keys of ids, and the strings that are to be compared; None for other ids."""
    if not isinstance(one, Vocabulary) or one.numbers is None or one.dense:
        return None, []
    if one.numbers:
        whole = one.ids.values.dtype == np.int64
        return one.ids.values.view(np.uint64) if whole else None, []
    cells = one.ids.values.tolist()
    keys = Texts.of_cells([cells]).keys()
    long = keys[keys >= _TOP]
    if len(np.unique(long)) < len(long):  # one in 2^63 pairs
        return None, []
    return keys, cells if len(long) else []


def _first_slot(keys: _Words, sizes: _Words | np.uint64) -> _Places:
    """Where to begin to look for each key; `sizes` are below 2^32."""
    return ((_mixed(keys) >> _HALF) * sizes >> _HALF).astype(np.int64)


def _slots(keys: _Words, size: np.uint64) -> _Words:
    """Table of keys and of their rows from 1; empty slots have row 0."""
    begin = _first_slot(keys, size)
    order = np.argsort(begin, kind="stable")
    places = np.arange(len(keys))
    # Each key has the first free slot after that of the key before.
    slot = places + np.maximum.accumulate(begin[order] - places)
    n_slots = max(int(size), int(slot[-1]) + 1) if len(keys) else 1
    table = np.zeros((n_slots + 1, 2), dtype=np.uint64)  # the last slot is empty
    table[slot, 0], table[slot, 1] = keys[order], order + 1
    return table
