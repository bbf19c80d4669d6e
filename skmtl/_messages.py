"""Parts of error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

import numpy as np

T = TypeVar("T")

# Python has no such times, and `item` gives integers of unknown units.
_TIMES = np.datetime64, np.timedelta64


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
    return "" if found is None else f" Did you mean {shown(found)}?"


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


def shown(value: object) -> str:
    """The value as in Python: ``'a'`` for ``numpy.str_('a')``.

    Parameters
    ----------
    value : object
        Numbers and strings of numpy may be in lists, tuples and dicts.
    """
    return repr(_as_python(value))


def _as_python(value: object) -> object:
    if isinstance(value, np.longdouble):  # of which `item` makes another one
        return float(value)
    if isinstance(value, np.generic) and not isinstance(value, _TIMES):
        return value.item()
    if type(value) is dict:
        return {_as_python(k): _as_python(v) for k, v in value.items()}
    if type(value) is list or type(value) is tuple:
        return type(value)(_as_python(one) for one in value)
    return value
