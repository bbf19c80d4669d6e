"""Ids of one column: exact keys, and which of them get a row of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from skmtl._typing import AnyArray
from skmtl.encoding._advice import (
    check_same_kind,
    object_error,
    warn_of_unknown,
)
from skmtl.encoding._numbers import number_of, number_texts

# A direct look-up table is used when the integers span at most this many times the
# number of distinct ids, or fewer than 65,536 values in all.
_DENSE_SPAN = 8
_INT64_MAX = np.iinfo(np.int64).max
_EXACT_FLOAT = 2**53

Counts = npt.NDArray[np.int64]


class Ids:
    """Distinct ids on a plain numpy array, in a type that holds them exactly.

    Parameters
    ----------
    values : ndarray of int64, float64 or object
        The ids. Objects are strings.
    numbers : bool
        Whether the ids are numbers. Numbers may be held as strings: integers beyond
        int64, and integers next to fractions, are written as text (`number_text`),
        which is exact, and whose hashes cannot be made to collide on purpose.
    """

    def __init__(self, values: AnyArray, numbers: bool) -> None:
        self.values, self.numbers = values, numbers

    @classmethod
    def of(cls, uniques: AnyArray | pd.Index | pd.Categorical, numbers: bool) -> Ids:
        """Wrap distinct keys as `pandas.factorize` gives them."""
        if isinstance(uniques, np.ndarray):
            return cls(uniques, numbers)
        if isinstance(uniques, pd.Categorical | pd.CategoricalIndex):
            uniques = uniques.categories.take(uniques.codes)
        kind = "int64" if types.is_integer_dtype(uniques.dtype) else None
        text = not (kind or types.is_float_dtype(uniques.dtype))
        return cls(uniques.to_numpy(object if text else kind), numbers)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, at: AnyArray) -> Ids:
        """Select some, by position or by a mask."""
        return Ids(self.values[at], self.numbers)

    def head(self, n: int) -> list[int | float | str]:
        """The first ones, as `tolist`."""
        return Ids(self.values[:n], self.numbers).tolist()

    def positions(self, others: Ids) -> npt.NDArray[np.int64]:
        """Position of each of `others` among these ids, -1 where it is not there."""
        found = np.full(len(others), -1, dtype=np.int64)
        if not len(self) or not len(others) or self.numbers != others.numbers:
            return found
        values, asked = self.values, others.values
        if values.dtype == asked.dtype:
            return self._index.get_indexer(_index(asked)).astype(np.int64)
        if asked.dtype == object:
            return self._as_text().positions(others)
        if values.dtype == object:
            return self.positions(others._as_text())
        # Integers against floats: only values that both types hold exactly can match.
        exact, converted = _converted(asked, values.dtype)
        found[exact] = self._index.get_indexer(_index(converted[exact]))
        return found

    def joined(self, more: Ids) -> Ids:
        """These ids and then `more`, all distinct, in a type that is exact for both."""
        if not len(more) or not len(self):
            return more if len(more) else self
        if self.values.dtype != more.values.dtype:
            return self._as_text().joined(more._as_text())
        return Ids(np.concatenate([self.values, more.values]), self.numbers)

    def tolist(self) -> list[Any]:
        """The ids as Python's integers, floats or strings."""
        if self.numbers and self.values.dtype == object:
            return [number_of(text) for text in self.values]
        return self.values.tolist()

    def to_index(self) -> pd.Index:
        """The ids as a pandas Index: of int64, float64, str or objects."""
        values = self.tolist() if self.numbers else self.values
        if self.values.dtype != object:
            return pd.Index(self.values)
        try:
            return pd.Index(values, dtype=object if self.numbers else None)
        except UnicodeEncodeError:  # lone surrogates
            return pd.Index(values, dtype=object)

    @cached_property
    def _index(self) -> pd.Index:
        """What looks ids up; pandas keeps its hash table here."""
        return _index(self.values)

    def _as_text(self) -> Ids:
        if self.values.dtype == object:
            return self
        return Ids(number_texts(self.values.tolist()), self.numbers)


class Keys:
    """The ids of every cell of one column.

    Parameters
    ----------
    cells : Series or ndarray
        Of int64, Int64, float64, strings, or category of these.
    numbers : bool
        As in `Ids`.
    """

    def __init__(self, cells: pd.Series | AnyArray, numbers: bool) -> None:
        self.cells, self.numbers = cells, numbers

    def __len__(self) -> int:
        return len(self.cells)

    @cached_property
    def _factorized(self) -> tuple[npt.NDArray[np.int64], Ids]:
        cells = self.cells
        codes, uniques = pd.factorize(cells)
        ids = Ids.of(uniques, self.numbers)
        if cells.dtype == object and set(map(type, ids.values)) - {str}:
            # Subclasses of str, numpy's for example, may compare in another way.
            plain = [str.__str__(c) if isinstance(c, str) else None for c in cells]
            codes, uniques = pd.factorize(np.array(plain, dtype=object))
            ids = Ids.of(uniques, self.numbers)
        return codes, ids

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """Position of each cell's id in `distinct`; -1 for a missing cell."""
        return self._factorized[0]

    @property
    def distinct(self) -> Ids:
        """The distinct ids, in order of appearance."""
        return self._factorized[1]

    def to_objects(self, missing: object) -> npt.NDArray[np.object_]:
        """The id of each cell as Python has it, `missing` for a missing cell."""
        ids = np.empty(len(self.distinct) + 1, dtype=object)
        ids[:-1], ids[-1] = self.distinct.tolist(), missing
        return ids[self.codes]

    @cached_property
    def counts(self) -> Counts:
        """Number of cells of each of `distinct`."""
        codes = self.codes
        return np.bincount(codes[codes >= 0], minlength=len(self.distinct))


class CategoryKeys(Keys):
    """The ids of every cell of a categorical column.

    Parameters
    ----------
    codes : ndarray of int
        For each cell the place of its category; -1 for a missing cell.
    categories : Keys
        The categories, which are all different.
    """

    def __init__(self, codes: AnyArray, categories: Keys) -> None:
        super().__init__(codes.astype(np.int32, copy=False), categories.numbers)
        self.categories = categories

    @cached_property
    def _factorized(self) -> tuple[npt.NDArray[np.int64], Ids]:
        n_cells = len(self.cells)
        # One slot more, for -1. Of places that are given twice the last one stays.
        first = np.full(len(self.categories) + 1, n_cells)
        first[self.cells[::-1]] = np.arange(n_cells)[::-1]
        first[-1] = n_cells
        used = np.argsort(first)[: np.count_nonzero(first < n_cells)]
        place = np.full(len(first), -1)
        place[used] = np.arange(len(used))
        ids = pd.Index(self.categories.cells, dtype=self.categories.cells.dtype)
        return place[self.cells], Ids.of(ids.take(used), self.numbers)


def as_keys(values: pd.Series, name: object) -> Keys:
    """Convert one column of ids to a form in which equal ids are equal keys.

    Integers become int64, whatever their width, and so do whole floats (a column of
    integers with a missing cell is float in pandas); strings stay strings. Nothing
    passes through a type that cannot hold it exactly.

    Parameters
    ----------
    values : pandas.Series
        The column.
    name : str or int
        Its name, for errors.

    Returns
    -------
    Keys
        The ids.

    Raises
    ------
    TypeError
        For dates, mixed types and cells that cannot be hashed.
    ValueError
        For infinity.
    """
    if isinstance(values.dtype, pd.SparseDtype):
        # pandas does not see that sparse cells are strings.
        values = values.astype(values.dtype.subtype)
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        # A few rows of a large table keep all its categories, which take time to read.
        # Those of objects may mix types, which only matters for those that are used.
        few = len(values) < len(dtype.categories)
        if few or types.is_object_dtype(dtype.categories.dtype):
            values = values.cat.remove_unused_categories()
        categories = as_keys(pd.Series(values.cat.categories), name)
        return CategoryKeys(values.cat.codes.to_numpy(), categories)
    if types.is_bool_dtype(dtype):
        return Keys(values.astype("Int64" if values.isna().any() else "int64"), True)
    if types.is_integer_dtype(dtype):
        return _integer_keys(values)
    if types.is_float_dtype(dtype):
        return _float_keys(values.to_numpy(np.float64, na_value=np.nan), name)
    if types.is_object_dtype(dtype):
        return _object_keys(values, name)
    if types.is_string_dtype(dtype):
        return Keys(values, False)
    raise TypeError(
        f"Column {name!r} holds {dtype} values, which are not ids. Turn it into "
        "numbers or strings, or leave it out."
    )


def _integer_keys(values: pd.Series) -> Keys:
    if types.is_unsigned_integer_dtype(values.dtype):
        there = values.dropna()
        if len(there) and there.max() > _INT64_MAX:
            return Keys(number_texts(values.astype(object)), True)
    return Keys(values.astype("Int64" if values.isna().any() else "int64"), True)


def _float_keys(array: npt.NDArray[np.float64], name: object) -> Keys:
    missing = np.isnan(array)
    filled = np.where(missing, 0.0, array)
    if np.isinf(filled).any():
        raise ValueError(
            f"Input X contains infinity: column {name!r}. Replace it, or mark it as "
            "missing (NaN)."
        )
    # A larger float may be the rounded form of several integers.
    if (np.abs(filled) < _EXACT_FLOAT).all() and (filled == np.floor(filled)).all():
        whole = filled.astype(np.int64)
        if not missing.any():
            return Keys(whole, True)
        return Keys(pd.Series(pd.arrays.IntegerArray(whole, missing)), True)
    return Keys(array, True)


def _object_keys(values: pd.Series, name: object) -> Keys:
    kind = types.infer_dtype(values, skipna=True)
    if kind == "mixed-integer-float":
        # Before version 3, pandas takes its own NA next to floats for an integer.
        kind = types.infer_dtype(values.dropna(), skipna=True)
    if kind == "empty":  # all missing
        return Keys(np.full(len(values), np.nan), False)
    cells = values.to_numpy(object)
    if kind == "string":
        return Keys(cells, False)
    if kind in ("integer", "boolean"):
        missing = pd.isna(cells)
        filled = np.where(missing, 0, cells)
        try:
            whole = filled.astype(np.int64)
        except OverflowError:
            return Keys(number_texts(cells), True)
        if not missing.any():
            return Keys(whole, True)
        return Keys(pd.Series(pd.arrays.IntegerArray(whole, missing)), True)
    if kind == "floating":
        return _float_keys(values.to_numpy(np.float64, na_value=np.nan), name)
    raise object_error(values, name)


def _index(values: AnyArray) -> pd.Index:
    # Without a dtype, pandas would turn objects into strings of its own.
    return pd.Index(values, dtype=values.dtype, copy=False)


def _converted(
    values: AnyArray, dtype: np.dtype[np.generic]
) -> tuple[npt.NDArray[np.bool_], AnyArray]:
    """Convert int64 to float64 or the reverse; the mask marks what is exact in both."""
    if dtype == np.int64:
        inside = (values == np.floor(values)) & (np.abs(values) < 2.0**63)
        return inside, np.where(inside, values, 0.0).astype(np.int64)
    floats = values.astype(np.float64)
    inside = floats < 2.0**63  # the largest integers are rounded up to 2^63
    back = np.where(inside, floats, 0.0).astype(np.int64)
    return inside & (back == values), floats


class VocabularyLimits(TypedDict):
    """Which ids get a row of their own."""

    min_frequency: int
    max_categories: int | None


class RowsOfIds(Protocol):
    """The ids of a column: a `Vocabulary` or `HashedIds`."""

    @property
    def numbers(self) -> bool | None: ...

    def __len__(self) -> int: ...

    def rows(self, keys: Keys) -> npt.NDArray[np.int64]: ...


class Vocabulary:
    """Map the ids of one column to rows 1, 2, …; anything else goes to row 0.

    To store one without pickle, write the numpy arrays that `arrays` returns, and read
    them back with `from_arrays`. A pickle holds the same arrays.

    Parameters
    ----------
    ids : Ids
        The ids with a row of their own, the most frequent first, so that the rows
        that are read most lie together.
    counts : ndarray of int64
        On how many rows each was seen.
    rest : Ids
        Ids that were seen, but are too rare or too many for a row of their own.
    rest_counts : ndarray of int64
        On how many rows each of them was seen.

    Attributes
    ----------
    ids, counts, rest, rest_counts
        As given.
    """

    def __init__(self, ids: Ids, counts: Counts, rest: Ids, rest_counts: Counts):
        self.ids, self.counts = ids, counts
        self.rest, self.rest_counts = rest, rest_counts
        self._lookup, self._low = _dense_lookup(ids.values)

    @classmethod
    def fit(
        cls, ids: Ids, counts: Counts, *, min_frequency: int, max_categories: int | None
    ) -> Vocabulary:
        """Give rows to the most frequent of distinct ids.

        Of equally frequent ids, those that come first are preferred.
        """
        order, n_own = _by_frequency(counts, min_frequency, max_categories)
        own, rest = order[:n_own], order[n_own:]
        return cls(ids.take(own), counts[own], ids.take(rest), counts[rest])

    def arrays(self) -> dict[str, AnyArray]:
        """Return everything as numpy arrays, to be stored.

        Returns
        -------
        dict of str to ndarray
            ``ids``, all ids, those with a row first, of int64 or float64, or for
            strings their UTF-8 bytes (uint8; lone surrogates are passed through).
            ``offsets``, for strings only: string ``i`` is
            ``ids[offsets[i]:offsets[i + 1]]``. ``counts``, on how many rows each was
            seen. ``n_own``, how many have a row. ``numbers``, whether they are numbers
            (strings may stand for numbers).
        """
        ids = self.ids.joined(self.rest)
        found: dict[str, AnyArray] = {
            "ids": ids.values,
            "counts": np.concatenate([self.counts, self.rest_counts]),
            "n_own": np.array(len(self.ids), dtype=np.int64),
            "numbers": np.array(ids.numbers),
        }
        if ids.values.dtype == object:
            cells = [cell.encode("utf-8", "surrogatepass") for cell in ids.values]
            lengths = np.fromiter(map(len, cells), np.int64, len(cells))
            found["ids"] = np.frombuffer(b"".join(cells), dtype=np.uint8)
            found["offsets"] = np.concatenate([[0], np.cumsum(lengths)]).astype("int64")
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> Vocabulary:
        """Make a vocabulary from what `arrays` returned."""
        values, n = arrays["ids"], int(arrays["n_own"])
        if "offsets" in arrays:
            text, ends = values.tobytes(), arrays["offsets"].tolist()
            cells = [
                text[start:end].decode("utf-8", "surrogatepass")
                for start, end in pairwise(ends)
            ]
            values = np.array(cells, dtype=object)
        ids, counts = (
            Ids(values, bool(arrays["numbers"])),
            arrays["counts"].astype(np.int64, copy=False),
        )
        own, rest = np.arange(n), np.arange(n, len(ids))
        return cls(ids.take(own), counts[:n], ids.take(rest), counts[n:])

    def __getstate__(self) -> dict[str, AnyArray]:
        return self.arrays()

    def __setstate__(self, state: dict[str, AnyArray]) -> None:
        self.__dict__.update(self.from_arrays(state).__dict__)

    def extended(self, ids: Ids) -> Vocabulary:
        """Add rows, after all others, for those of `ids` that have none."""
        new = ids.take(self.ids.positions(ids) < 0)
        counts = np.maximum(self._counts_of(new), 0)
        left = new.positions(self.rest) < 0
        return Vocabulary(
            self.ids.joined(new),
            np.concatenate([self.counts, counts]),
            self.rest.take(left),
            self.rest_counts[left],
        )

    def __len__(self) -> int:
        """Rows of the column, the unknown row included."""
        return len(self.ids) + 1

    @property
    def keys(self) -> pd.Index:
        """The ids with a row, in the order of their rows, as pandas has them."""
        return self.ids.to_index()

    @property
    def numbers(self) -> bool | None:
        """Whether the ids are numbers; None where there are none."""
        known = self.ids if len(self.ids) else self.rest
        return known.numbers if len(known) else None

    def rows(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Row of every cell of a column."""
        if self._lookup is not None and keys.cells.dtype == np.int64:
            return self.dense_rows(np.asarray(keys.cells))
        # One extra slot, so that code -1 (missing) reads row 0.
        rows = np.zeros(len(keys.distinct) + 1, dtype=np.int64)
        rows[:-1] = self.rows_of_ids(keys.distinct)
        return rows[keys.codes]

    def rows_of_ids(self, ids: Ids) -> npt.NDArray[np.int64]:
        """Row of each of distinct ids."""
        return self.ids.positions(ids) + 1

    @property
    def dense(self) -> bool:
        """Whether the ids are integers so close together that a table holds all."""
        return self._lookup is not None

    def dense_rows(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Row of every integer, if `dense`."""
        assert self._lookup is not None
        size = len(self._lookup) - 1  # the last slot is 0, for ids outside the range
        inside = (values >= self._low) & (values < self._low + size)
        return self._lookup[np.where(inside, values - self._low, size)]

    def frequencies(self, keys: Keys) -> Counts:
        """Rows on which each cell's id was seen; 0 for unseen ids, -1 for missing."""
        found = np.full(len(keys.distinct) + 1, -1, dtype=np.int64)
        found[:-1] = self._counts_of(keys.distinct)
        return found[keys.codes]

    def _counts_of(self, distinct: Ids) -> Counts:
        found = np.zeros(len(distinct), dtype=np.int64)
        for ids, counts in ((self.ids, self.counts), (self.rest, self.rest_counts)):
            at = ids.positions(distinct)
            found[at >= 0] = counts[at[at >= 0]]
        return found

    def grown(
        self,
        distinct: Ids,
        seen: Counts,
        name: object,
        *,
        min_frequency: int,
        max_categories: int | None,
    ) -> Vocabulary:
        """Return a vocabulary that has also seen these ids.

        Ids keep their rows; those that have become frequent enough get rows after them.

        Raises
        ------
        TypeError
            For strings after integers, or integers after strings.
        """
        if len(distinct) and self.numbers is not None:
            check_same_kind(self.numbers, distinct.numbers, name)
        at = self.ids.positions(distinct)
        counts = self.counts.copy()
        counts[at[at >= 0]] += seen[at >= 0]
        others = merged(
            (self.rest, self.rest_counts), (distinct.take(at < 0), seen[at < 0])
        )
        room = None if max_categories is None else max(max_categories - len(counts), 0)
        new = Vocabulary.fit(*others, min_frequency=min_frequency, max_categories=room)
        return Vocabulary(
            self.ids.joined(new.ids),
            np.concatenate([counts, new.counts]),
            new.rest,
            new.rest_counts,
        )


def first_rows(
    keys: Keys, *, min_frequency: int, max_categories: int | None
) -> npt.NDArray[np.int64]:
    """Row of every cell in the vocabulary that is fitted to these cells alone.

    As `Vocabulary.rows` gives them, without a look-up of ids.
    """
    order, n_own = _by_frequency(keys.counts, min_frequency, max_categories)
    # One slot more, so that code -1 (missing) reads row 0.
    rows = np.zeros(len(order) + 1, dtype=np.int64)
    rows[order[:n_own]] = np.arange(1, n_own + 1)
    return rows[keys.codes]


def _by_frequency(
    counts: Counts, min_frequency: int, max_categories: int | None
) -> tuple[npt.NDArray[np.intp], int]:
    """Order of ids by frequency, and how many of the first have a row of their own."""
    # Stable: equally frequent ids stay in the order of their appearance.
    order = np.argsort(-counts, kind="stable")
    n_frequent = int(np.count_nonzero(counts >= max(min_frequency, 1)))
    return order, n_frequent if max_categories is None else min(
        n_frequent, max_categories
    )


def rows_of_column(
    vocabulary: RowsOfIds, column: pd.Series, name: object
) -> npt.NDArray[np.int64]:
    """Row of every id of a column in a `Vocabulary` or `HashedIds`."""
    rows = vocabulary.rows(as_keys(column, name))
    if not rows.any():
        warn_of_unknown(vocabulary.numbers, column, name)
    return rows


def merged(first: tuple[Ids, Counts], more: tuple[Ids, Counts]) -> tuple[Ids, Counts]:
    """Merge distinct ids and sum their counts."""
    (ids, counts), (others, seen) = first, more
    at = ids.positions(others)
    counts = counts.copy()
    counts[at[at >= 0]] += seen[at >= 0]
    return ids.joined(others.take(at < 0)), np.concatenate([counts, seen[at < 0]])


def _dense_lookup(
    values: AnyArray,
) -> tuple[npt.NDArray[np.int64] | None, int]:
    if values.dtype != np.int64 or not len(values):
        return None, 0
    low, high = int(values.min()), int(values.max())
    span = high - low + 1
    if span > max(_DENSE_SPAN * len(values), 65_536):
        return None, 0
    lookup = np.zeros(span + 1, dtype=np.int64)
    lookup[values - low] = np.arange(1, len(values) + 1)
    return lookup, low
