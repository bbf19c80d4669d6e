"""Parts of error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def did_you_mean(given: object, known: Iterable[object]) -> str:
    """Name what resembles an unknown name, as a sentence; empty if nothing does.

    Parameters
    ----------
    given : object
        The unknown name.
    known : iterable
        The names that exist.

    Returns
    -------
    str
        With a space before it.
    """
    found = resembling(given, known)
    return "" if found is None else f" Did you mean {found!r}?"


def resembling(given: object, known: Iterable[T], cutoff: float = 0.6) -> T | None:
    """The name that is most like an unknown one; None if none is like it.

    Parameters
    ----------
    given : object
        The unknown name.
    known : iterable
        The names that exist.
    cutoff : float, default=0.6
        How much alike they are at least, from 0 to 1.
    """
    by_text = {str(name): name for name in known}
    close = difflib.get_close_matches(str(given), by_text, n=1, cutoff=cutoff)
    return by_text[close[0]] if close else None
