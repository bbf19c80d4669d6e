"""Hyperparameters that may differ from task to task."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt


def check_per_task(
    value: Any, names: npt.NDArray[Any], what: str, *, positive: bool
) -> npt.NDArray[np.float64]:
    """Bring a number, a list or a mapping to one number for each task.

    Parameters
    ----------
    value : None, float, sequence of float or mapping of task name to float
        None stands for 1. A mapping names every task.
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    what : str
        Name of the hyperparameter, for errors.
    positive : bool
        Whether 0 is refused.

    Returns
    -------
    ndarray of shape (n_tasks,)
        The numbers.

    Raises
    ------
    ValueError
        For unknown or missing tasks, a wrong length and numbers out of range.
    """
    known = list(names)
    if value is None:
        return np.ones(len(known))
    if isinstance(value, Real):
        value = [value] * len(known)
    else:
        value = per_task(value, known, what)
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must hold numbers: {error}") from error
    if numbers.shape != (len(known),):
        raise ValueError(
            f"{what} has shape {numbers.shape}, but there are {len(known)} tasks: "
            f"{known}. Give one number for each."
        )
    for name, number in zip(known, numbers, strict=True):
        if not np.isfinite(number) or number < 0 or (positive and number == 0):
            bound = "above 0" if positive else "at least 0"
            raise ValueError(
                f"{what} of task {name!r} is {number:g}. It must be finite and {bound}."
            )
    if not numbers.any():
        raise ValueError(f"{what} is 0 for every task. Give one a positive value.")
    return numbers


def per_task(value: Any, known: list[Any], what: str) -> Any:
    """Bring a mapping to a list in the order of the tasks; leave all else.

    Raises
    ------
    ValueError
        For unknown or missing tasks.
    """
    if not isinstance(value, Mapping):
        return value
    check_names(value, known, what)
    missing = [n for n in known if n not in value]
    if missing:
        raise ValueError(f"{what} gives no value for the tasks {missing}.")
    return [value[n] for n in known]


def check_names(found: Any, known: list[Any], what: str) -> None:
    """Refuse names that are no task."""
    unknown = [n for n in found if n not in known]
    if unknown:
        raise ValueError(
            f"{what} names {unknown}, which are no tasks. The tasks are {known}."
        )
