"""Packages that come with an extra, loaded where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Import a module of an optional package.

    Raises
    ------
    ImportError
        When it is not installed; the message says which extra to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f'{what} needs {package}: pip install "skmtl[{extra}]"'
        ) from error
