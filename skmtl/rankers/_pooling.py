"""The hyperparameter `pooling`: how a list of ids becomes one embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from skmtl._messages import shown
from skmtl._typing import ColumnName
from skmtl.encoding import TableEncoder
from skmtl.modules import BagColumn

# The name of a pooling, or one of a target and the column that is its target.
Pooling: TypeAlias = str | tuple[str, str]
WITHOUT_TARGET = ("mean", "sum", "max")
WITH_TARGET = ("attention", "din", "transformer")


def bag_columns(
    pooling: Pooling | Mapping[ColumnName, Pooling],
    encoder: TableEncoder,
    dims: Sequence[int],
) -> list[BagColumn]:
    """Return what each column of lists reads, and how it is pooled.

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
        For names that are not columns of the right kind, lists whose target is not
        known, and targets whose embeddings have another width.
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
    return [
        _column(name, pooling.get(name, "mean"), encoder, places, dims)
        for name in names
    ]


def _column(
    name: ColumnName,
    one: Pooling,
    encoder: TableEncoder,
    places: Mapping[ColumnName, int],
    dims: Sequence[int],
) -> BagColumn:
    if one in WITHOUT_TARGET:
        return BagColumn(places[name], str(one))
    how = one[0] if isinstance(one, tuple) else one
    target: ColumnName | None
    if isinstance(one, tuple):
        target = one[1]
    else:
        target = _shared_with(name, how, encoder, places)
    length = {} if encoder.max_length is None else {"length": int(encoder.max_length)}
    if target is None:
        return BagColumn(places[name], how, **length)
    if target not in encoder.categorical_names_:
        raise ValueError(
            f"pooling compares column {shown(name)} with {shown(target)}, which is not "
            "a column of single ids. The columns of single ids are "
            f"{encoder.categorical_names_}."
        )
    own, other = dims[places[name]], dims[places[target]]
    if own != other:
        raise ValueError(
            f"pooling compares column {shown(name)}, whose embeddings have width "
            f"{own}, with {shown(target)}, whose have {other}. Give both the same "
            "width in embedding_dim, or one table: "
            f"share_embedding={{{shown(name)}: {shown(target)}}}."
        )
    at = encoder.categorical_names_.index(target)
    return BagColumn(places[name], how, at, **length)


def _shared_with(
    name: ColumnName,
    how: str,
    encoder: TableEncoder,
    places: Mapping[ColumnName, int],
) -> ColumnName | None:
    """The column of single ids that shares the embeddings of a column of lists."""
    ids = encoder.categorical_names_
    found = [one for one in ids if places[one] == places[name]]
    if len(found) == 1:
        return found[0]
    if not found and how == "transformer":
        return None
    those = f"the columns {found} do" if found else "none does"
    raise ValueError(
        f"pooling={shown(how)} compares the entries of column {shown(name)} with the "
        f"column of single ids that shares their embeddings, but {those}. Name the "
        f"column to compare with: pooling={{{shown(name)}: ({shown(how)}, <name>)}}, "
        f"where the columns of single ids are {ids}; share_embedding gives both one "
        "table."
    )
