"""Hashed ids of one column: a fixed number of rows, whatever the ids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl.encoding._advice import check_same_kind
from skmtl.encoding._numbers import number_of
from skmtl.encoding._vocabulary import Counts, Ids, Keys

_UINT64 = npt.NDArray[np.uint64]
# Between the seeds of two hash functions: 2^64 over the golden ratio, as in SplitMix64.
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
        other kind reads row 0.
    """

    def __init__(self, n_buckets: int, numbers: bool | None) -> None:
        self.n_buckets, self.numbers = n_buckets, numbers

    @classmethod
    def fit(cls, ids: Ids, n_buckets: int) -> HashedIds:
        """Note which kind of ids a column holds."""
        return cls(n_buckets, ids.numbers if len(ids) else None)

    def __len__(self) -> int:
        """Rows of the column, row 0 included."""
        return self.n_buckets + 1

    def rows(self, keys: Keys, hash_number: int = 0) -> npt.NDArray[np.int64]:
        """Row of every cell of a column."""
        distinct = keys.distinct
        # One extra slot, so that code -1 (missing) reads row 0.
        rows = np.zeros(len(distinct) + 1, dtype=np.int64)
        if len(distinct) and distinct.numbers == self.numbers:
            rows[:-1] = buckets(distinct, self.n_buckets, hash_number) + 1
        return rows[keys.codes]

    def grown(
        self, distinct: Ids, seen: Counts, name: object, **_: object
    ) -> HashedIds:
        """Return the same mapping; new ids share the existing rows.

        Raises
        ------
        TypeError
            For strings after integers, or integers after strings.
        """
        if not len(distinct):
            return self
        if self.numbers is not None:
            check_same_kind(self.numbers, distinct.numbers, name)
        return HashedIds(self.n_buckets, distinct.numbers)


def buckets(ids: Ids, n_buckets: int, hash_number: int = 0) -> npt.NDArray[np.int64]:
    """Find the bucket of each id, the same in every process and on every machine.

    Parameters
    ----------
    ids : Ids
        The ids.
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


def stable_hash(ids: Ids) -> _UINT64:
    """64-bit hash of each id; integers hash by value, whatever their dtype."""
    values = ids.values
    if values.dtype == np.int64:
        return pd.util.hash_array(values)
    if not ids.numbers:
        return _text_hash(values.tolist())
    # Fractions and integers beyond int64 are hashed as text, other numbers as int64.
    cells = [number_of(v) if isinstance(v, str) else v for v in values.tolist()]
    small = np.array([v == int(v) and -(2**63) <= v < 2**63 for v in cells], bool)
    hashes = np.empty(len(cells), dtype=np.uint64)
    whole = [int(v) for v, is_small in zip(cells, small, strict=True) if is_small]
    hashes[small] = pd.util.hash_array(np.array(whole, dtype=np.int64))
    hashes[~small] = _text_hash(
        [_decimal(v) for v, is_small in zip(cells, small, strict=True) if not is_small]
    )
    return hashes


def _decimal(number: float) -> str:
    """Decimal digits of a number; hexadecimal for integers beyond Python's limit."""
    try:
        return repr(number)
    except ValueError:
        return hex(int(number))


def _text_hash(cells: list[str]) -> _UINT64:
    try:
        # The ids are distinct, so that it does not pay to factorize them first.
        return pd.util.hash_array(np.array(cells, dtype=object), categorize=False)
    except UnicodeEncodeError:  # lone surrogates cannot be encoded in UTF-8
        return _text_hash([ascii(cell) if _is_lone(cell) else cell for cell in cells])


def _is_lone(cell: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in cell)


def _mixed(hashes: _UINT64, hash_number: int) -> _UINT64:
    """Derive another hash by the finaliser of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = hashes + np.uint64((_STEP * (hash_number + 1)) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
