"""Optional packages, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Import a module that comes with an extra of skmtl.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    extra : str
        Name of the extra that installs it.
    what : str
        What needs it, for the message.

    Returns
    -------
    module
        The module.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f'{what} needs {package}: pip install "skmtl[{extra}]"'
        ) from error
