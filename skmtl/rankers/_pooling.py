"""How the embeddings of a list's ids become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skmtl.encoding import TableEncoder
from skmtl.modules import BagColumn

POOLINGS = ("mean", "sum", "max")


def check_pooling(pooling: Any) -> None:
    """Refuse what is no pooling, before any table is read.

    Raises
    ------
    ValueError
        For unknown names, and attention without the column to compare with.
    """
    if not isinstance(pooling, Mapping):
        pooling = {None: pooling}
    for name, one in pooling.items():
        if one in POOLINGS or _is_attention(one):
            continue
        where = "" if name is None else f" of column {name!r}"
        raise ValueError(
            f"pooling{where} must be 'mean', 'sum', 'max' or ('attention', <name of an "
            f"id column>), found {one!r}."
        )


def _is_attention(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and one[0] == "attention"


def bag_columns(
    pooling: Any, encoder: TableEncoder, dims: Sequence[int]
) -> list[BagColumn]:
    """What each column of lists reads, and how it is pooled.

    Parameters
    ----------
    pooling : str, tuple or mapping of column name to str or tuple
        As in the rankers.
    encoder : TableEncoder
        The fitted encoder.
    dims : sequence of int
        Width of each vocabulary.

    Returns
    -------
    list of BagColumn
        One for each column of lists.

    Raises
    ------
    ValueError
        For names that are not columns of the right kind, and attention between
        embeddings of different widths.
    """
    names, places = encoder.bag_names_, encoder.vocabulary_places_
    if not isinstance(pooling, Mapping):
        pooling = dict.fromkeys(names, pooling)
    unknown = [name for name in pooling if name not in names]
    if unknown:
        raise ValueError(
            f"pooling names {unknown}, which are not columns of lists. The columns of "
            f"lists are {names}."
        )
    found = []
    for name in names:
        one = pooling.get(name, "mean")
        if one in POOLINGS:
            found.append(BagColumn(places[name], one))
            continue
        query = one[1]
        if query not in encoder.categorical_names_:
            raise ValueError(
                f"pooling compares column {name!r} with {query!r}, which is not a "
                "column of single ids. The columns of single ids are "
                f"{encoder.categorical_names_}."
            )
        own, other = dims[places[name]], dims[places[query]]
        if own != other:
            raise ValueError(
                f"pooling compares column {name!r}, whose embeddings have width {own}, "
                f"with {query!r}, whose have {other}. Give both the same width in "
                f"embedding_dim, or one table: share_embedding={{{name!r}: {query!r}}}."
            )
        at = encoder.categorical_names_.index(query)
        found.append(BagColumn(places[name], "attention", at))
    return found
