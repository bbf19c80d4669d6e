"""Warnings that point at the caller's own line."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import sklearn

# Frames in these folders lie between the caller and the code that warns.
_INNER = tuple(
    str(Path(module.__file__).parent)
    for module in (sys.modules[__name__.partition(".")[0]], sklearn)
    if module.__file__ is not None
)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the caller of skmtl, however deep the warning arises.

    Parameters
    ----------
    message : str
        What was found and what to do.
    category : type of Warning, default=UserWarning
        Class of the warning.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INNER):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
