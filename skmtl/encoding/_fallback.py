"""What an unknown id falls back to: a row for each value of another column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fallback:
    """Rows of one column for its unknown ids.

    Attributes
    ----------
    column : int
        The id column.
    chain : tuple of int
        The columns that are asked, one after the other, until one has a known id.
    first : tuple of int
        For each of them, the row (of `column`) of its first known id.
    """

    column: int
    chain: tuple[int, ...]
    first: tuple[int, ...]


def fallback_chains(
    fallback: Mapping[Any, Any] | None,
    names: Sequence[Any],
    owners: Mapping[Any, Any],
    hashed: Sequence[Any],
) -> list[list[int]]:
    """Columns that each id column falls back to, in order.

    Parameters
    ----------
    fallback : mapping of column name to column name, or None
        As in `TableEncoder`.
    names : sequence of str or int
        The id columns.
    owners : mapping of str or int to str or int
        From each column to the one whose vocabulary it reads.
    hashed : sequence of str or int
        Owners that have no vocabulary.

    Raises
    ------
    ValueError
        For columns that are no id columns or are hashed, for one that falls back though
        it reads another's vocabulary, and for cycles.
    """
    follows = dict(fallback or {})
    for name in (*follows, *follows.values()):
        if name not in names:
            raise ValueError(
                f"fallback names {name!r}, which is not an id column of X. The id "
                f"columns are {list(names)}."
            )
        if owners[name] in hashed:
            raise ValueError(
                f"fallback names {name!r}, which is hashed (n_buckets) and so has no "
                "unknown ids. Leave it out of one of the two."
            )
        if name in follows and owners[name] != name:
            raise ValueError(
                f"fallback lets {name!r} fall back, which shares the embeddings of "
                f"{owners[name]!r} (share_embedding). Let {owners[name]!r} fall back."
            )
    chains = []
    for name in names:
        chain = [name]
        while chain[-1] in follows:
            following = follows[chain[-1]]
            if following in chain:
                cycle = " -> ".join(repr(n) for n in [*chain, following])
                raise ValueError(f"fallback goes in a circle: {cycle}. Cut it.")
            chain.append(following)
        chains.append([names.index(n) for n in chain[1:]])
    return chains


def fallbacks(chains: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[Fallback]:
    """Lay the rows of the fallbacks out after each column's own.

    Parameters
    ----------
    chains : sequence of sequence of int
        From `fallback_chains`.
    sizes : sequence of int
        Rows of each column's vocabulary, row 0 included.

    Returns
    -------
    list of Fallback
        One for each column that has a chain.
    """
    found = []
    for column, chain in enumerate(chains):
        first = np.cumsum([sizes[column], *(sizes[c] - 1 for c in chain)])[:-1]
        if chain:
            rows = tuple(int(row) for row in first)
            found.append(Fallback(column, tuple(chain), rows))
    return found


def fall_back(codes: Codes, found: Sequence[Fallback]) -> None:
    """Give unknown ids (code 0) the row of the first known id of their chain.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_columns)
        Rows within each column; changed in place.
    found : sequence of Fallback
        From `fallbacks`.
    """
    own = codes.copy() if found else codes
    for one in found:
        column = codes[:, one.column]
        for c, first in zip(one.chain, one.first, strict=True):
            use = (column == 0) & (own[:, c] > 0)
            column[use] = first + own[use, c] - 1
