"""Strategies by name."""

from __future__ import annotations

import copy
from importlib import import_module

from torch import nn

from skmtl._messages import shown
from skmtl.weighting._base import LossWeighting
from skmtl.weighting._torchjd import adapt


def get_strategy_names() -> list[str]:
    """List the names of the strategies that `get_strategy` knows.

    Returns
    -------
    list of str
        The names, sorted.

    Examples
    --------
    >>> from skmtl.weighting import get_strategy_names
    >>> "gradnorm" in get_strategy_names()
    True
    """
    return sorted(_named())


def get_strategy(strategy: str | nn.Module) -> LossWeighting:
    """Make a strategy from its name, or copy one.

    Parameters
    ----------
    strategy : str, LossWeighting, or a weighting, aggregator or scalarizer of TorchJD
        A name stands for the strategy with its defaults.

    Returns
    -------
    LossWeighting
        A new instance, which may be changed.

    Raises
    ------
    ValueError
        For a name that is not known, and anything else.

    Examples
    --------
    >>> from skmtl.weighting import get_strategy
    >>> get_strategy("dynamic_weight_average")
    DynamicWeightAverage(temperature=2.0)
    """
    if isinstance(strategy, str):
        named = _named()
        if strategy not in named:
            raise ValueError(
                f"loss_weight={shown(strategy)} is not a known strategy. The "
                f"strategies are {sorted(named)}; 'auto' and 'inverse_ratio' give "
                "fixed weights."
            )
        return named[strategy]()
    found = strategy if isinstance(strategy, LossWeighting) else None
    if found is None and isinstance(strategy, nn.Module):
        found = adapt(strategy)
    if found is None:
        raise ValueError(
            f"loss_weight={shown(strategy)} is not a loss weighting. Pass numbers, the "
            "name of a strategy, an instance from skmtl.weighting, or a weighting, "
            "aggregator or scalarizer of TorchJD."
        )
    # `start` changes it, and the ranker's hyperparameter must stay as it is.
    return copy.deepcopy(found)


def _named() -> dict[str, type[LossWeighting]]:
    """Return the public strategies that have a name."""
    # Imported here, since the package imports this file.
    public = import_module("skmtl.weighting")
    classes = [getattr(public, name) for name in public.__all__]
    strategies = [
        one
        for one in classes
        if isinstance(one, type) and issubclass(one, LossWeighting)
    ]
    return {one.name: one for one in strategies if one.name is not None}
