"""Ids of one column: which get a row of their own, and which row."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl.encoding._keys import check_same_kind, holds_numbers, plain_index

# A direct look-up table is used when the integers span at most this many times the
# number of distinct ids, or fewer than 65,536 values in all.
_DENSE_SPAN = 8

Counts = npt.NDArray[np.int64]


class Vocabulary:
    """Map the ids of one column to rows 1, 2, …; anything else goes to row 0.

    Parameters
    ----------
    keys : pandas.Index
        The ids with a row of their own, the most frequent first, so that the rows
        that are read most lie together.
    counts : ndarray of int64
        On how many rows each was seen.
    rest : pandas.Index
        Ids that were seen, but are too rare or too many for a row of their own.
    rest_counts : ndarray of int64
        On how many rows each of them was seen.

    Attributes
    ----------
    keys, counts, rest, rest_counts
        As given.
    """

    def __init__(
        self, keys: pd.Index, counts: Counts, rest: pd.Index, rest_counts: Counts
    ) -> None:
        self.keys, self.counts = keys, counts
        self.rest, self.rest_counts = rest, rest_counts
        self._lookup, self._low = _dense_lookup(keys)

    @classmethod
    def fit(
        cls,
        values: pd.Series,
        *,
        min_frequency: int,
        max_categories: int | None,
    ) -> Vocabulary:
        """Keep the ids that are frequent enough.

        Ties in frequency are broken by first appearance.
        """
        codes, uniques = pd.factorize(values)
        counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
        return cls.of_counts(
            plain_index(uniques),
            counts,
            min_frequency=min_frequency,
            max_categories=max_categories,
        )

    @classmethod
    def of_counts(
        cls,
        ids: pd.Index,
        counts: Counts,
        *,
        min_frequency: int,
        max_categories: int | None,
    ) -> Vocabulary:
        """Keep the frequent ones of different ids."""
        order = np.argsort(-counts, kind="stable")
        own = order[counts[order] >= max(min_frequency, 1)][:max_categories]
        rest = order[len(own) :]
        return cls(ids.take(own), counts[own], ids.take(rest), counts[rest])

    def extended(self, keys: pd.Index) -> Vocabulary:
        """Give those of `keys` that have no row one, after all others."""
        new = keys[self.rows(pd.Series(keys)) == 0]
        counts = np.maximum(self.frequencies(pd.Series(new)), 0)
        left = _positions(new, self.rest) < 0
        return type(self)(
            _append(self.keys, new),
            np.concatenate([self.counts, counts]),
            self.rest[left],
            self.rest_counts[left],
        )

    def __len__(self) -> int:
        """Rows of the column, the unknown row included."""
        return len(self.keys) + 1

    @cached_property
    def numbers(self) -> bool | None:
        """Whether the ids are numbers; None where there are none."""
        known = self.keys if len(self.keys) else self.rest
        return holds_numbers(known) if len(known) else None

    def __getstate__(self) -> dict[str, Any]:
        # A fresh Index, without the hash table that look-ups have cached.
        return {
            "keys": self.keys.copy(),
            "counts": self.counts,
            "rest": self.rest.copy(),
            "rest_counts": self.rest_counts,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def rows_of_few(self, values: pd.Series) -> npt.NDArray[np.int64] | None:
        """Rows of a short column as it came; None where the long way must be gone.

        Hashing whole columns costs pandas about half a millisecond for each, however
        short it is. Strings and integers are looked up one by one instead.
        """
        if isinstance(values.dtype, pd.StringDtype):
            cells: Any = values.to_numpy(object)
        elif values.dtype == np.int64 and self.keys.dtype == np.int64:
            if self._lookup is not None:
                return self._dense_rows(values.to_numpy())
            cells = values.tolist()
        else:
            return None
        return self.rows_of_cells(cells)

    def rows_of_cells(self, cells: Iterable[Any]) -> npt.NDArray[np.int64]:
        """Rows of strings or of Python's integers, one by one."""
        return np.fromiter(map(self._row_of.get, cells, repeat(0)), np.int64)

    @cached_property
    def _row_of(self) -> dict[Any, int]:
        """Row of every id; made when the first short table is encoded."""
        return dict(zip(self.keys.tolist(), range(1, len(self)), strict=True))

    def rows(self, values: pd.Series) -> npt.NDArray[np.int64]:
        """Row of every value of a column that went through `as_keys`."""
        if self._lookup is not None and values.dtype == np.int64:
            return self._dense_rows(values.to_numpy())
        codes, uniques = pd.factorize(values)
        # One slot more, so that code -1 (missing) reads row 0.
        rows = np.zeros(len(uniques) + 1, dtype=np.int64)
        rows[:-1] = self._rows_of_distinct(plain_index(uniques))
        return rows[codes]

    def _dense_rows(self, values: np.ndarray) -> npt.NDArray[np.int64]:
        assert self._lookup is not None
        size = len(self._lookup) - 1  # the last slot is 0, for all that is outside
        inside = (values >= self._low) & (values < self._low + size)
        return self._lookup[np.where(inside, values - self._low, size)]

    def _rows_of_distinct(self, distinct: pd.Index) -> npt.NDArray[np.int64]:
        return _positions(self.keys, distinct) + 1

    def frequencies(self, values: pd.Series) -> Counts:
        """Rows on which each value was seen, of a column that went through `as_keys`.

        0 for an id that was not seen, -1 for a missing cell.
        """
        codes, uniques = pd.factorize(values)
        distinct = plain_index(uniques)
        found = np.full(len(distinct) + 1, -1, dtype=np.int64)
        found[:-1] = 0
        for ids, counts in ((self.keys, self.counts), (self.rest, self.rest_counts)):
            at = _positions(ids, distinct)
            found[:-1][at >= 0] = counts[at[at >= 0]]
        return found[codes]

    def grown(
        self,
        values: pd.Series,
        name: object,
        *,
        min_frequency: int,
        max_categories: int | None,
    ) -> Vocabulary:
        """A vocabulary that has seen these values too.

        Ids keep their rows; those that have become frequent enough get rows after them.

        Raises
        ------
        TypeError
            For strings after integers, or integers after strings.
        """
        codes, uniques = pd.factorize(values)
        distinct = plain_index(uniques)
        seen = np.bincount(codes[codes >= 0], minlength=len(distinct))
        if len(distinct) and self.numbers is not None:
            check_same_kind(self.numbers, distinct, name)
        at = _positions(self.keys, distinct)
        counts = self.counts.copy()
        counts[at[at >= 0]] += seen[at >= 0]
        others = _joined(self.rest, distinct[at < 0], seen[at < 0], self.rest_counts)
        room = None if max_categories is None else max(max_categories - len(counts), 0)
        new = Vocabulary.of_counts(
            *others, min_frequency=min_frequency, max_categories=room
        )
        return Vocabulary(
            _append(self.keys, new.keys),
            np.concatenate([counts, new.counts]),
            new.rest,
            new.rest_counts,
        )


def _positions(keys: pd.Index, distinct: pd.Index) -> npt.NDArray[np.int64]:
    """Place of each of `distinct` in `keys`, -1 where it is not there."""
    if holds_numbers(keys) != holds_numbers(distinct):
        return np.full(len(distinct), -1)  # strings among integers
    if keys.dtype != distinct.dtype and holds_numbers(keys):
        # int64 and float64 would be compared as floats, inexactly; integers
        # beyond int64 are objects.
        keys, distinct = keys.astype(object), distinct.astype(object)
    return keys.get_indexer(distinct).astype(np.int64)


def _joined(
    ids: pd.Index, more: pd.Index, seen: Counts, counts: Counts
) -> tuple[pd.Index, Counts]:
    """Different ids of both, with the sums of their counts."""
    at = _positions(ids, more)
    counts = counts.copy()
    counts[at[at >= 0]] += seen[at >= 0]
    return _append(ids, more[at < 0]), np.concatenate([counts, seen[at < 0]])


def _append(ids: pd.Index, more: pd.Index) -> pd.Index:
    """Both, in a type that holds them exactly."""
    if not len(more) or not len(ids):
        return more if len(more) else ids
    if ids.dtype != more.dtype:
        ids, more = ids.astype(object), more.astype(object)
    return ids.append(more)


def _dense_lookup(
    keys: pd.Index,
) -> tuple[npt.NDArray[np.int64] | None, int]:
    if keys.dtype != np.int64 or not len(keys):
        return None, 0
    values = keys.to_numpy()
    low, high = int(values.min()), int(values.max())
    span = high - low + 1
    if span > max(_DENSE_SPAN * len(values), 65_536):
        return None, 0
    lookup = np.zeros(span + 1, dtype=np.int64)
    lookup[values - low] = np.arange(1, len(values) + 1)
    return lookup, low
