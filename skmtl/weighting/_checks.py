"""Checks of the hyperparameters of strategies."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import TypeAlias

import numpy.typing as npt
import torch
from torch import Tensor

from skmtl._messages import shown
from skmtl.tasks.arguments import by_task

# One number for each task, in order or by name; a Series is matched by its index.
Preference: TypeAlias = npt.ArrayLike | Mapping[str, float]


def check_number(
    weighting: object,
    name: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    whole: bool = False,
    optional: bool = False,
) -> None:
    """Raise if a hyperparameter is not a finite number in its range.

    Parameters
    ----------
    weighting : LossWeighting
        Has the hyperparameter as an attribute.
    name : str
        Its name.
    above, at_least : float or None
        The lower bound; exactly one of the two is given.
    whole : bool
        Whether it must be an integer.
    optional : bool
        Whether it may be None.

    Raises
    ------
    TypeError
        For anything but a number.
    ValueError
        For a number out of range.
    """
    value = getattr(weighting, name)
    if optional and value is None:
        return
    strategy = type(weighting).__name__
    kind = "an integer" if whole else "a number"
    # bool is an Integral, but True is hardly meant as a number.
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        other = ", or None" if optional else ""
        raise TypeError(
            f"{name} of {strategy} must be {kind}{other}, found {shown(value)}."
        )
    low = above if above is not None else at_least
    assert low is not None
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        finite = False
    if not finite or value < low or value == above:
        bound = f"above {low:g}" if above is not None else f"at least {low:g}"
        raise ValueError(
            f"{name} of {strategy} must be {kind}, finite and {bound}, found "
            f"{shown(value)}."
        )


def check_choice(weighting: object, name: str, choices: Collection[str]) -> None:
    """Raise if a hyperparameter is not one of a few strings.

    Parameters
    ----------
    weighting : LossWeighting
        Has the hyperparameter as an attribute.
    name : str
        Its name.
    choices : collection of str
        The strings.

    Raises
    ------
    ValueError
        For anything else.
    """
    value = getattr(weighting, name)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{name}={shown(value)} of {type(weighting).__name__} must be one of "
            f"{list(choices)}."
        )


def check_preference(preference: Preference | None, tasks: Sequence[str]) -> Tensor:
    """Convert a preference to one number for each task, with mean 1.

    Parameters
    ----------
    preference : array-like of shape (n_tasks,), mapping, Series or None
        Positive numbers; None for equal ones. A mapping or a Series names the tasks.
    tasks : sequence of str
        Names of the tasks.

    Returns
    -------
    Tensor of shape (n_tasks,)
        The preference, scaled to mean 1.

    Raises
    ------
    ValueError
        For unknown or missing tasks, a wrong length, and numbers that are not above 0.
    """
    if preference is None:
        return torch.ones(len(tasks))
    given = by_task(preference, tasks, "preference")
    try:
        found = torch.as_tensor(given, dtype=torch.float64)
    except (OverflowError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"preference must hold numbers: {error}") from error
    if found.shape != (len(tasks),):
        raise ValueError(
            f"preference has shape {tuple(found.shape)}, but there are {len(tasks)} "
            f"tasks: {list(tasks)}. Give one positive number for each."
        )
    if not (found.isfinite().all() and (found > 0).all()):
        raise ValueError(
            f"preference is {found.tolist()}. Its numbers must be finite and above 0."
        )
    return (found / found.mean()).float()
