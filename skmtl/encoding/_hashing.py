"""Ids of one column by hashing: a fixed number of rows, whatever the ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl.encoding._keys import check_same_kind, holds_numbers, plain_index

_UINT64 = npt.NDArray[np.uint64]
# Between the seeds of two hash functions: the golden ratio's share of 2^64.
_STEP = 0x9E3779B97F4A7C15


class HashedIds:
    """Map the ids of one column to rows 1 to `n_buckets` by a hash; missing to row 0.

    Takes the place of a `Vocabulary`.

    Parameters
    ----------
    n_buckets : int
        Rows that ids share.
    numbers : bool or None
        Whether the ids of `fit` were numbers; None where all were missing. An id of the
        other kind has row 0.
    """

    def __init__(self, n_buckets: int, numbers: bool | None) -> None:
        self.n_buckets, self.numbers = n_buckets, numbers

    @classmethod
    def fit(cls, values: pd.Series, n_buckets: int) -> HashedIds:
        """Note which kind of ids a column holds, after `as_keys`."""
        known = plain_index(values.dropna())
        return cls(n_buckets, holds_numbers(known) if len(known) else None)

    def __len__(self) -> int:
        """Rows of the column, row 0 included."""
        return self.n_buckets + 1

    def rows_of_few(self, values: pd.Series) -> None:
        """No short way: a hash is cheap."""

    def rows(self, values: pd.Series, hash_number: int = 0) -> npt.NDArray[np.int64]:
        """Row of every value of a column that went through `as_keys`."""
        codes, uniques = pd.factorize(values)
        distinct = plain_index(uniques)
        # One slot more, so that code -1 (missing) reads row 0.
        rows = np.zeros(len(distinct) + 1, dtype=np.int64)
        if len(distinct) and holds_numbers(distinct) == self.numbers:
            rows[:-1] = buckets(distinct, self.n_buckets, hash_number) + 1
        return rows[codes]

    def grown(self, values: pd.Series, name: object, **_: object) -> HashedIds:
        """The same; new ids share the rows that are there.

        Raises
        ------
        TypeError
            For strings after integers, or integers after strings.
        """
        known = plain_index(values.dropna())
        if not len(known):
            return self
        if self.numbers is not None:
            check_same_kind(self.numbers, known, name)
        return HashedIds(self.n_buckets, holds_numbers(known))


def check_buckets(
    n_buckets: Mapping[Any, Any] | None,
    owners: Mapping[Any, Any],
    lists: Sequence[Any],
    n_hashes: int,
) -> dict[Any, int]:
    """Check the columns to hash, and their numbers of buckets.

    Parameters
    ----------
    n_buckets, n_hashes
        As in `TableEncoder`.
    owners : mapping of str or int to str or int
        From each id column and column of lists to the one whose rows it reads.
    lists : sequence of str or int
        The columns of lists.

    Raises
    ------
    ValueError
        For columns that are no id columns or share another's rows, numbers below 1, and
        several hashes of lists.
    """
    found = dict(n_buckets or {})
    for name, number in found.items():
        if name not in owners:
            raise ValueError(
                f"n_buckets names {name!r}, which is not an id column of X. The id "
                f"columns are {list(owners)}."
            )
        if owners[name] != name:
            raise ValueError(
                f"n_buckets names {name!r}, which shares the embeddings of "
                f"{owners[name]!r} (share_embedding). Name {owners[name]!r}."
            )
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not whole or number < 1:
            raise ValueError(
                f"n_buckets of column {name!r} must be an integer of at least 1, found "
                f"{number!r}."
            )
    for name in lists:
        if n_hashes > 1 and owners[name] in found:
            raise ValueError(
                f"n_hashes is {n_hashes}, but {name!r} holds lists, whose ids are "
                "hashed once. Set n_hashes=1, or leave the column out of n_buckets."
            )
    return found


def buckets(
    ids: pd.Index, n_buckets: int, hash_number: int = 0
) -> npt.NDArray[np.int64]:
    """Bucket of each id, the same in every process and on every machine.

    Parameters
    ----------
    ids : pandas.Index of int64, float64, str or object
        Ids that went through `as_keys`.
    n_buckets : int
        Number of buckets.
    hash_number : int
        Which of the hash functions, from 0.

    Returns
    -------
    ndarray of int64
        From 0 to ``n_buckets - 1``.
    """
    hashes = _mixed(stable_hash(ids), hash_number)
    return (hashes % np.uint64(n_buckets)).astype(np.int64)


def stable_hash(ids: pd.Index) -> _UINT64:
    """64-bit hash of each id; an integer's is that of its value, whatever its dtype."""
    if ids.dtype == np.int64:
        return pd.util.hash_array(ids.to_numpy())
    cells = ids.to_numpy(object)
    if not holds_numbers(ids):
        return pd.util.hash_array(cells, categorize=False)
    # Fractions, and integers beyond int64, by their text; others as int64 would be.
    small = np.array([v == int(v) and -(2**63) <= v < 2**63 for v in cells], bool)
    hashes = np.empty(len(cells), dtype=np.uint64)
    hashes[small] = pd.util.hash_array(cells[small].astype(np.int64))
    text = np.array([repr(v) for v in cells[~small].tolist()], dtype=object)
    hashes[~small] = pd.util.hash_array(text, categorize=False)
    return hashes


def _mixed(hashes: _UINT64, hash_number: int) -> _UINT64:
    """Another hash of each, by the finaliser of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = hashes + np.uint64((_STEP * (hash_number + 1)) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
