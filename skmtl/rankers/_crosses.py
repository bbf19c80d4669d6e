"""The hyperparameter `crosses`: what lets columns act on each other."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from skmtl.modules import (
    Cross,
    CrossedEmbedding,
    CrossNetwork,
    Embedding,
    FactorizationMachine,
    ModuleCross,
)
from skmtl.rankers._network import Maker, check_part, make_part, own_parameters
from skmtl.training.parameters import SharedParameters

NAMED: dict[str, type[Cross]] = {"dcn": CrossNetwork, "fm": FactorizationMachine}


def check_crosses(crosses: str | Maker | None, params: Mapping[str, object]) -> None:
    """Raise if crosses cannot be made with what `params` holds for them.

    Raises
    ------
    TypeError, ValueError
        As `check_part`, for unknown names, and for parameters without crosses.
    """
    own = own_parameters("crosses", params)
    if crosses is not None:
        check_part("crosses", _maker(crosses), own)
    elif own:
        raise ValueError(
            f"crosses__{next(iter(own))} is set, but crosses is None. Choose the "
            f"crosses, one of {list(NAMED)} or a class, or leave it out."
        )


def with_crosses(
    embedding: Embedding,
    n_sets: int | None,
    ranker: SharedParameters,
    params: Mapping[str, object],
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

    Raises
    ------
    TypeError
        If a function makes something else than a module.
    """
    offered = {
        "width": embedding.width,
        "columns": embedding.columns,
        "dropout": ranker.dropout,
    }
    assert ranker.crosses is not None
    maker, own = _maker(ranker.crosses), own_parameters("crosses", params)
    made = []
    for _ in range(n_sets or 1):
        cross = make_part(maker, offered, own)
        if not isinstance(cross, nn.Module):
            raise TypeError(f"crosses must make a torch.nn.Module, found {cross!r}.")
        if not isinstance(cross, Cross):
            cross = ModuleCross(module=cross, width=embedding.width)
        made.append(cross)
    return CrossedEmbedding(embedding, made)


def _maker(crosses: str | Maker) -> Maker:
    return NAMED[crosses] if isinstance(crosses, str) else crosses
