"""Parts of error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
    by_text = {str(name): name for name in known}
    close = difflib.get_close_matches(str(given), by_text, n=1)
    return f" Did you mean {by_text[close[0]]!r}?" if close else ""
