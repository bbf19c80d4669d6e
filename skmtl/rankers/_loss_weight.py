"""Loss weights: numbers, or a strategy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from skmtl.rankers._per_task import check_per_task
from skmtl.weighting import LossWeighting, StaticWeighting, get_strategy

Floats = npt.NDArray[np.float64]


def loss_weighting(value: Any, names: npt.NDArray[Any], rates: Floats) -> LossWeighting:
    """Make the weighting that `loss_weight` asks for, ready to train.

    Parameters
    ----------
    value : None, float, sequence, mapping, str, or a strategy
        What the ranker was given. A strategy is copied.
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    rates : ndarray of shape (n_tasks,)
        Weighted rate of positives of each task.

    Returns
    -------
    LossWeighting
        Started for the tasks.

    Raises
    ------
    ValueError
        For numbers, names and hyperparameters that do not fit.
    """
    if isinstance(value, str) and value == "inverse_ratio":
        weighting: LossWeighting = StaticWeighting(inverse_ratio(rates).tolist())
    elif isinstance(value, str | nn.Module):
        weighting = get_strategy(value)
    else:
        numbers = check_per_task(value, names, "loss_weight", positive=False)
        weighting = StaticWeighting(numbers.tolist())
    return weighting.start(list(names))


def check_same_strategy(
    old: LossWeighting, new: LossWeighting, goes_on: str = "warm_start"
) -> None:
    """Refuse to go on training with another strategy, whose state would be missing.

    Raises
    ------
    ValueError
        Unless both have fixed weights, or are the same strategy.
    """
    fixed = isinstance(old, StaticWeighting) and isinstance(new, StaticWeighting)
    if not fixed and repr(old) != repr(new):
        raise ValueError(
            f"{goes_on} goes on with loss_weight={old!r}, found {new!r}. Fit anew "
            "with warm_start=False."
        )


def inverse_ratio(rates: Floats) -> Floats:
    """Negatives per positive of each task, scaled to mean 1 over the tasks with both.

    Parameters
    ----------
    rates : ndarray of shape (n_tasks,)
        Rates of positives.

    Returns
    -------
    ndarray of shape (n_tasks,)
        Weights; 1 for a task without both classes.
    """
    weights = np.ones(len(rates))
    both = (rates > 0) & (rates < 1)
    if both.any():
        inverse = (1 - rates[both]) / rates[both]
        weights[both] = inverse / inverse.mean()
    return weights
