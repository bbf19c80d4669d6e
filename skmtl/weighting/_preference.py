"""The border for preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def check_preference(preference: Any, tasks: Sequence[str]) -> Tensor:
    """Bring a preference to one number for each task, with mean 1.

    Parameters
    ----------
    preference : array-like of shape (n_tasks,), mapping of task to float, or None
        Positive numbers; None for all alike.
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
    if isinstance(preference, Mapping):
        wrong = sorted(map(str, set(preference) ^ set(tasks)))
        if wrong:
            raise ValueError(
                f"preference must name every task and no other: {wrong} differ. The "
                f"tasks are {list(tasks)}."
            )
        preference = [preference[task] for task in tasks]
    try:
        found = torch.as_tensor(preference, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
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
