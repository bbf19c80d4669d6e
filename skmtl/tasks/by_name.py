"""The one reader of values that are given by the names of the tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd


def by_task(value: Any, names: Iterable[Any], what: str) -> Any:
    """Bring a mapping or a Series to a list in the order of the tasks; leave all else.

    Parameters
    ----------
    value : object
        A mapping or a Series has one value for each task. Names are compared as
        strings, so that 0 names the task "0".
    names : iterable of str
        Names of the tasks.
    what : str
        Name of the hyperparameter, for errors.

    Returns
    -------
    list or object
        The values in the order of `names`, or what was given.

    Raises
    ------
    ValueError
        For unknown, missing and repeated tasks.
    """
    known = [str(name) for name in names]
    hint = ""
    if isinstance(value, pd.Series):
        # By position its values would swap tasks without a word.
        hint = (
            f" A Series is matched by its index; pass {what}.tolist() to give its "
            "values in the order of the tasks."
        )
    elif not isinstance(value, Mapping):
        return value
    given = {str(name): one for name, one in value.items()}
    if len(given) < len(value):
        raise ValueError(f"{what} names a task twice.{hint}")
    check_names(given, known, what, hint)
    missing = [name for name in known if name not in given]
    if missing:
        raise ValueError(f"{what} has no value for the tasks {missing}.{hint}")
    return [given[name] for name in known]


def check_names(
    found: Iterable[Any], known: list[Any], what: str, hint: str = ""
) -> None:
    """Refuse names that are not tasks.

    Raises
    ------
    ValueError
        For such names.
    """
    unknown = [name for name in found if name not in known]
    if unknown:
        raise ValueError(
            f"{what} names {unknown}, which are not tasks. The tasks are {known}.{hint}"
        )
