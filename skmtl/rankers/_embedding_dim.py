"""Widths of the embeddings of id columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

# Width of the columns that a mapping does not name: the default of the rankers.
DEFAULT = 16
_LARGEST_AUTO = 64


def check_embedding_dim(embedding_dim: Any) -> None:
    """Refuse what is no width, before any table is read.

    Raises
    ------
    ValueError
        For widths below 1 and strings other than "auto".
    """
    if not isinstance(embedding_dim, Mapping):
        embedding_dim = {None: embedding_dim}
    for name, dim in embedding_dim.items():
        whole = isinstance(dim, Integral) and not isinstance(dim, bool)
        if dim != "auto" and not (whole and dim >= 1):
            where = "" if name is None else f" of column {name!r}"
            raise ValueError(
                f"embedding_dim{where} must be an integer of at least 1 or 'auto', "
                f"found {dim!r}."
            )


def embedding_dims(
    embedding_dim: Any, names: Sequence[Any], sizes: Sequence[int]
) -> list[int]:
    """Width of the embedding of each id column.

    Parameters
    ----------
    embedding_dim : int, "auto" or mapping of column name to int or "auto"
        As in the rankers.
    names : sequence of str or int
        The id columns.
    sizes : sequence of int
        Rows of their vocabularies.

    Returns
    -------
    list of int
        One for each column.

    Raises
    ------
    ValueError
        When a mapping names a column that holds no ids.
    """
    if not isinstance(embedding_dim, Mapping):
        embedding_dim = dict.fromkeys(names, embedding_dim)
    unknown = [name for name in embedding_dim if name not in names]
    if unknown:
        raise ValueError(
            f"embedding_dim names {unknown}, which are not id columns of X with a "
            f"table of their own. These are {list(names)}."
        )
    wanted = [embedding_dim.get(name, DEFAULT) for name in names]
    return [
        auto_dim(size) if dim == "auto" else int(dim)
        for dim, size in zip(wanted, sizes, strict=True)
    ]


def auto_dim(size: int) -> int:
    """Width for a vocabulary of so many rows.

    Six times its fourth root (R. Wang et al., "Deep & Cross Network for Ad Click
    Predictions", ADKDD 2017, section 4.2), at most 64, to the nearest power of two, so
    that columns share few tables.
    """
    return int(2 ** np.round(np.log2(min(6 * size**0.25, _LARGEST_AUTO))))
