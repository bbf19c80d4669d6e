"""Parts of a network, from the classes, functions or modules that users give."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

# Whose parameters are named sharing__n_experts and so on.
PARTS = ("sharing", "towers")


def belongs_to_part(name: str) -> bool:
    """Whether a hyperparameter is one of a part, such as ``sharing__n_experts``."""
    return name.startswith(tuple(f"{part}__" for part in PARTS))


def own_parameters(part: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Of all hyperparameters those of a part, under the names that it has for them."""
    prefix = f"{part}__"
    return {
        name.removeprefix(prefix): value
        for name, value in params.items()
        if name.startswith(prefix)
    }


def check_part(part: str, given: Any, own: Mapping[str, Any]) -> None:
    """Refuse what makes no part, or not with these parameters.

    Raises
    ------
    TypeError
        For anything but a class, a function or a module.
    ValueError
        For parameters that it does not have.
    """
    if isinstance(given, nn.Module):
        if own:
            raise ValueError(
                f"{part}__{next(iter(own))} cannot be set, for {part} is a module that "
                f"is there already. Give its class: {part}={type(given).__name__}."
            )
        return
    if not callable(given):
        raise TypeError(
            f"{part} must be a class, a function that makes a module, or a module; "
            f"found {given!r}."
        )
    known = _accepted(given)
    for name in own:
        if name not in known:
            raise ValueError(
                f"{part}__{name} is not a parameter of {_name(given)}, which takes "
                f"{sorted(known)}."
            )


def make_part(
    given: Any, offered: Mapping[str, Any], own: Mapping[str, Any]
) -> nn.Module:
    """Make a part.

    Parameters
    ----------
    given : callable or torch.nn.Module
        What makes it, or what is copied.
    offered : mapping
        What it gets as far as its signature names it.
    own : mapping
        What it gets in any case.

    Returns
    -------
    torch.nn.Module
        The part.
    """
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    wanted = _accepted(given) - _bound(given)
    taken = {name: value for name, value in offered.items() if name in wanted}
    made: nn.Module = given(**taken | dict(own))
    return made


def _accepted(given: Callable[..., Any]) -> set[str]:
    """Names of parameters, those of base classes too where a class takes ``**more``."""
    if isinstance(given, functools.partial):
        return _accepted(given.func)
    makers: list[Any] = [given]
    if isinstance(given, type):
        makers = [vars(c)["__init__"] for c in given.__mro__ if "__init__" in vars(c)]
    names: set[str] = set()
    for maker in makers:
        parameters = inspect.signature(maker).parameters.values()
        names |= {
            p.name
            for p in parameters
            if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        }
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names - {"self"}


def _bound(given: Callable[..., Any]) -> set[str]:
    """What a ``functools.partial`` has already."""
    if not isinstance(given, functools.partial):
        return set()
    return set(given.keywords) | _bound(given.func)


def _name(given: Callable[..., Any]) -> str:
    if isinstance(given, functools.partial):
        return _name(given.func)
    named = inspect.isroutine(given) or inspect.isclass(given)
    return given.__name__ if named else repr(given)
