"""The hyperparameter `crosses`: what lets columns act on each other."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import cast

from torch import nn

from skmtl._messages import shown
from skmtl.modules import (
    Cross,
    CrossedEmbedding,
    CrossNetwork,
    Embedding,
    FactorizationMachine,
    ModuleCross,
)
from skmtl.modules.layers import output_width
from skmtl.rankers._network import (
    Maker,
    bound_arguments,
    check_part,
    make_part,
    own_parameters,
)
from skmtl.training.parameters import SharedParameters

NAMED: dict[str, type[Cross]] = {"dcn": CrossNetwork, "fm": FactorizationMachine}


def check_crosses(crosses: str | Maker, params: Mapping[str, object]) -> None:
    """Raise if crosses cannot be made with what `params` holds for them.

    Raises
    ------
    TypeError, ValueError
        As `check_part`, and as `Cross.check_parameters` of the class.
    """
    maker = _maker(crosses)
    own = own_parameters("crosses", params, maker)
    check_part("crosses", maker, own)
    kind = _class_of(maker)
    if kind is not None:
        kind.check_parameters(_arguments(maker, own))


def with_crosses(
    embedding: Embedding,
    n_sets: int | None,
    ranker: SharedParameters,
    params: Mapping[str, object],
    biased: Sequence[Hashable],
) -> Embedding:
    """Let the columns of an embedding act on each other.

    Parameters
    ----------
    embedding : Embedding
        The embedding.
    n_sets : int or None
        Sets of embeddings; each gets a cross of its own. None for one that tasks share.
    ranker : SharedParameters
        Its crosses are not None.
    params : mapping
        Parameters of parts, such as ``crosses__rank``.
    biased : sequence of hashable
        Names of the columns that bias labels, which no cross reads.

    Raises
    ------
    TypeError
        If a function makes something else than a module.
    ValueError
        If a module does not do what a cross does, or serves several sets.
    """
    offered = {
        "width": embedding.width,
        "columns": embedding.columns,
        "dropout": ranker.dropout,
    }
    assert ranker.crosses is not None
    maker = _maker(ranker.crosses)
    own = own_parameters("crosses", params, maker)
    if _class_of(maker) is FactorizationMachine:
        _check_roles(_arguments(maker, own).get("between"), biased)
    made = []
    for _ in range(n_sets or 1):
        cross = make_part(maker, offered, own)
        if not isinstance(cross, nn.Module):
            raise TypeError(f"crosses must make a torch.nn.Module, found {cross!r}.")
        if isinstance(cross, Cross):
            _check_width(cross, embedding.width)
        else:
            cross = ModuleCross(module=cross, width=embedding.width)
        made.append(cross)
    _check_apart(made)
    return CrossedEmbedding(embedding, made)


def _check_roles(between: object, biased: Sequence[Hashable]) -> None:
    """Refuse to cross columns that bias labels.

    Raises
    ------
    ValueError
        With the column's name.
    """
    named = between if isinstance(between, Iterable) else ()
    for name in named:
        if name in biased:
            raise ValueError(
                f"bias_features names {shown(name)}, which crosses__between reads too, "
                "but which is not known when ranking. Leave it out of one of the two."
            )


def _check_width(cross: Cross, width: int) -> None:
    """Try a cross on two rows.

    Raises
    ------
    ValueError
        If its width is not that of its output.
    """
    name = type(cross).__name__
    said = getattr(cross, "width", None)
    if not isinstance(said, Integral):
        raise ValueError(
            f"crosses: {name} has no width. Set self.width in its constructor to the "
            "width of its output."
        )
    hint = "Change its forward."
    found = output_width(cross, width, "crosses", "a Cross", hint)
    if found != said:
        raise ValueError(
            f"crosses: {name} says that its output has width {said}, but for two rows "
            f"it gave (2, {found}). Set self.width to {found}, or change forward."
        )


def _check_apart(made: Sequence[Cross]) -> None:
    """Refuse crosses of several sets that share parameters.

    Raises
    ------
    ValueError
        If two of them do.
    """
    seen: set[int] = set()
    for cross in made:
        own = {id(one) for one in chain(cross.parameters(), cross.buffers())}
        if own & seen:
            raise ValueError(
                f"crosses made one module for several of the {len(made)} sets of "
                "embeddings, which would tie their tasks. Make a new module in each "
                "call, or pass the module itself, which is copied."
            )
        seen |= own


def _arguments(maker: Maker, own: Mapping[str, object]) -> Mapping[str, object]:
    """Arguments that a ranker passes beside those that it offers."""
    bound = {} if isinstance(maker, nn.Module) else bound_arguments(maker)
    return bound | dict(own)


def _class_of(maker: Maker) -> type[Cross] | None:
    """The class that makes crosses; None for functions and modules."""
    if isinstance(maker, functools.partial):
        return _class_of(maker.func)
    made = isinstance(maker, type) and issubclass(maker, Cross)
    return cast(type[Cross], maker) if made else None


def _maker(crosses: str | Maker) -> Maker:
    return NAMED[crosses] if isinstance(crosses, str) else crosses
