"""Columns that share a vocabulary, and with it a table of embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmtl.encoding._keys import holds_numbers, plain_index


def vocabulary_owners(
    share_embedding: Mapping[Any, Any] | None,
    id_names: Sequence[Any],
    names: Sequence[Any],
) -> dict[Any, Any]:
    """Name the column whose vocabulary each id column reads.

    Parameters
    ----------
    share_embedding : mapping or None
        From a column to the one whose table it shares; chains are followed.
    id_names : sequence of str or int
        Columns of ids and of lists of ids.
    names : sequence of str or int
        All columns.

    Returns
    -------
    dict
        From each of `id_names` to the owner, which is itself where nothing is shared.

    Raises
    ------
    ValueError
        For names that are no columns or hold no ids, and for circles.
    """
    share = dict(share_embedding or {})
    for name in (*share, *share.values()):
        if name not in names:
            raise ValueError(
                f"share_embedding names {name!r}, which is not a column of X. The "
                f"columns are {list(names)}."
            )
        if name not in id_names:
            raise ValueError(
                f"share_embedding names {name!r}, which is read as numbers. Name the "
                "column in categorical_features, or cast it to 'category'."
            )
    return {name: _owner(share, name) for name in id_names}


def _owner(share: dict[Any, Any], name: Any) -> Any:
    way = [name]
    while way[-1] in share:
        way.append(share[way[-1]])
        if way[-1] in way[:-1]:
            raise ValueError(
                "share_embedding goes in a circle: "
                f"{' -> '.join(repr(step) for step in way)}. One of the columns must "
                "have a table of its own."
            )
    return way[-1]


def joined_keys(keys: Sequence[pd.Series], names: Sequence[Any]) -> pd.Series:
    """Bring the keys of columns that share a vocabulary into one series.

    Raises
    ------
    TypeError
        When one column holds strings and another numbers.
    """
    if len(keys) == 1:
        return keys[0]
    found: list[tuple[pd.Index, Any]] = []
    for column, name in zip(keys, names, strict=True):
        index = plain_index(column.dropna())
        if not len(index):
            continue
        if found and holds_numbers(index) != holds_numbers(found[0][0]):
            (first, known), kinds = found[0], {True: "numbers", False: "strings"}
            raise TypeError(
                f"share_embedding joins column {known!r}, which holds "
                f"{kinds[holds_numbers(first)]}, with column {name!r}, which holds "
                f"{kinds[holds_numbers(index)]}. Turn both into strings, or both into "
                "integers."
            )
        found.append((index, name))
    if not found:
        return pd.Series([], dtype=object)
    parts = [index for index, _ in found]
    if len({index.dtype for index in parts}) == 1:
        return pd.Series(parts[0].append(parts[1:]))
    # Integers and fractions would meet as floats, inexactly.
    cells = np.concatenate([index.to_numpy(dtype=object) for index in parts])
    return pd.Series(cells, dtype=object)
