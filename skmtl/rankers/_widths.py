"""Checks of layer widths."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any


def check_units(units: Any, what: str, *, at_least: int = 0) -> list[int]:
    """Bring widths of layers to a list of positive integers.

    Raises
    ------
    ValueError
        For anything else, or too few layers.
    """
    found = list(units) if isinstance(units, Iterable) else [units]
    for n_units in found:
        if not isinstance(n_units, Integral) or n_units < 1:
            raise ValueError(
                f"{what} must hold widths of layers, integers of at least 1; found "
                f"{n_units!r}."
            )
    if len(found) < at_least:
        raise ValueError(f"{what} needs at least {at_least} layer(s), found {found}.")
    return [int(n) for n in found]
