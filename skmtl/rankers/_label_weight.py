"""Label weights: numbers, or the ratio of positives to negatives that they reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skmtl.rankers._per_task import check_per_task, per_task

Floats = npt.NDArray[np.float64]


def label_weights(value: Any, names: npt.NDArray[Any], rates: Floats) -> Floats:
    """Bring `label_weight` to one number for each task.

    Parameters
    ----------
    value : None, float, str, sequence or mapping of task name to float or str
        A string is "balanced" or a ratio "p:n" of the weight of positives to that of
        negatives.
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    rates : ndarray of shape (n_tasks,)
        Weighted rate of positives of each task.

    Returns
    -------
    ndarray of shape (n_tasks,)
        Multipliers of the positives. A ratio never gives less than 1, and gives 1 to
        a task without both classes.

    Raises
    ------
    ValueError
        For unknown or missing tasks, a wrong length, numbers that are not above 0, and
        strings that are no ratio.
    """
    if isinstance(value, str):
        value = [value] * len(names)
    value = per_task(value, list(names), "label_weight")
    if isinstance(value, Sequence) and len(value) == len(names):
        value = [
            _multiplier(one, name, rate) if isinstance(one, str) else one
            for one, name, rate in zip(value, names, rates, strict=True)
        ]
    return check_per_task(value, names, "label_weight", positive=True)


def _multiplier(text: str, name: str, rate: float) -> float:
    ratio = 1.0 if text == "balanced" else _ratio(text, name)
    if not 0 < rate < 1:
        return 1.0
    return max(1.0, ratio * (1 - rate) / rate)


def _ratio(text: str, name: str) -> float:
    try:
        positive, negative = (float(part) for part in text.split(":"))
    except ValueError:
        positive = negative = 0.0
    if not (0 < positive < np.inf and 0 < negative < np.inf):
        raise ValueError(
            f"label_weight of task {name!r} is {text!r}. Give a number, 'balanced', or "
            "a ratio of positives to negatives such as '1:2', both above 0."
        )
    return positive / negative
