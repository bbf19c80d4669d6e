"""The loss of a fit: losses of the tasks, label weights and loss weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from skmtl._messages import shown
from skmtl._typing import AnyArray
from skmtl.tasks import TaskKinds
from skmtl.tasks.arguments import by_task, check_names
from skmtl.weighting import LossWeighting, StaticWeighting, Step, get_strategy

Floats = npt.NDArray[np.float64]

# The largest number in float32, in which losses are summed.
_LARGEST = float(np.finfo(np.float32).max)


class TaskLosses(nn.Module):
    """Mean loss of every task over the labels that were observed.

    Parameters
    ----------
    kinds : TaskKinds
        The kind of each task. Tasks of one kind are computed together.
    label_weight : sequence of float
        One for each task, above 0.

    Notes
    -----
    Shape: outputs ``(batch, n_outputs)``, labels ``(batch, n_tasks)``, weights
    ``(batch, n_tasks)`` or None, lists ``(batch,)`` or None, to ``(n_tasks,)``. With
    lists, losses of the order within them are added. Weights are scaled to mean 1 over
    the whole table by the caller and 0 where a label was not observed. Dividing by
    the size of the batch, not by the weight in it, keeps the gradient unbiased when
    few labels are observed, and is defined when none is.
    """

    def __init__(self, kinds: TaskKinds, label_weight: Sequence[float]) -> None:
        super().__init__()
        self.kinds = kinds
        self.by_label = nn.ModuleList(
            group.kind.make_loss([label_weight[t] for t in group.tasks])
            for group in kinds.groups
        )
        made = [(group, group.kind.make_list_loss()) for group in kinds.groups]
        self.ranked = [group for group, loss in made if loss is not None]
        self.by_list = nn.ModuleList(loss for _, loss in made if loss is not None)

    def forward(
        self,
        logits: Tensor,
        y: Tensor,
        weight: Tensor | None,
        lists: Tensor | None = None,
    ) -> Tensor:
        means = self.of_labels(logits, y, weight)
        if lists is None:
            return means
        order = torch.zeros_like(means)
        for loss, group in zip(self.by_list, self.ranked, strict=True):
            own = None if weight is None else weight[:, group.tasks]
            order[group.tasks] = loss(
                logits[:, group.outputs], y[:, group.tasks], own, lists
            ).to(order.dtype)
        return means + order

    def of_labels(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """Give the loss of each task without that of the order, ``(n_tasks,)``."""
        losses = self._by_label(logits, y)
        if weight is not None:
            losses = losses * weight
        return losses.mean(dim=0)

    def _by_label(self, logits: Tensor, y: Tensor) -> Tensor:
        """Loss of every label, ``(batch, n_tasks)``."""
        # The usual case, in which no column is copied.
        if len(self.by_label) == 1:
            only: Tensor = self.by_label[0](logits, y)
            return only
        losses = torch.empty_like(y)
        for loss, group in zip(self.by_label, self.kinds.groups, strict=True):
            of_group = loss(logits[:, group.outputs], y[:, group.tasks])
            losses[:, group.tasks] = of_group.to(losses.dtype)
        return losses

    def with_label_weight(
        self, kinds: TaskKinds, label_weight: Sequence[float]
    ) -> Self:
        """The same losses with other label weights, and what is known of the kinds."""
        return type(self)(kinds, label_weight)


class Criterion(nn.Module):
    """Task losses and what weighs them; its parameters are trained."""

    def __init__(self, weighting: LossWeighting, losses: TaskLosses) -> None:
        super().__init__()
        self.task_losses = losses
        self.weighting = weighting

    def forward(
        self, logits: Tensor, target: tuple[Tensor, Tensor | None, Tensor | None]
    ) -> Tensor:
        loss: Tensor = self.weighting(self.task_losses(logits, *target))
        return loss

    def reweigh(
        self, weighting: LossWeighting, kinds: TaskKinds, label_weight: Sequence[float]
    ) -> None:
        """Take new fixed weights; a strategy that learns keeps what it has."""
        device = self.weighting.in_force.device
        losses = self.task_losses.with_label_weight(kinds, label_weight)
        # Made on the CPU, with buffers.
        self.task_losses = losses.to(device)
        self.weighting.take(weighting)


def label_weights(
    value: object,
    names: AnyArray,
    rates: Floats,
    kinds: TaskKinds | None = None,
) -> Floats:
    """Convert `label_weight` to one number for each task.

    Parameters
    ----------
    value : None, float, str, sequence or mapping of task name to float or str
        A string is "balanced" or a ratio "p:n" of the weight of positives to that of
        negatives.
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    rates : ndarray of shape (n_tasks,)
        Weighted rate of positives of each task.
    kinds : TaskKinds or None
        The kind of each task; None if all are binary.

    Returns
    -------
    ndarray of shape (n_tasks,)
        Multipliers of the positives. A ratio never gives less than 1, and gives 1 to
        a task without both classes. Tasks that are not binary have 1.

    Raises
    ------
    ValueError
        For unknown or missing tasks, a wrong length, numbers that are not above 0,
        strings that are not ratios, and weights of tasks that are not binary.
    """
    if kinds is not None and not kinds.all_binary:
        return _of_binary_tasks(value, names, rates, kinds)
    if isinstance(value, str):
        value = [value] * len(names)
    value = by_task(value, names, "label_weight")
    if isinstance(value, Sequence) and len(value) == len(names):
        value = [
            _multiplier(one, name, rate) if isinstance(one, str) else one
            for one, name, rate in zip(value, names, rates, strict=True)
        ]
    return check_per_task(value, names, "label_weight", positive=True)


def _of_binary_tasks(
    value: object, names: AnyArray, rates: Floats, kinds: TaskKinds
) -> Floats:
    """Convert label weights if some tasks are not binary, and so have none."""
    weights = np.ones(len(names))
    if value is None:
        return weights
    given: set[str] = set()
    if by_name := isinstance(value, Mapping | pd.Series):
        given = set(map(str, value.keys()))
        check_names(given, [str(name) for name in names], "label_weight")
    binary = [task for task, kind in enumerate(kinds) if kind.has_label_weight]
    for task, kind in enumerate(kinds):
        # A list or a number has a value for every task, a mapping only for some.
        if task not in binary and (not by_name or str(names[task]) in given):
            raise ValueError(
                f"label_weight multiplies positives, but task {names[task]!r} is of "
                f"kind {kind.name}, which has none. Pass a mapping that names binary "
                "tasks only."
            )
    if binary:
        only = TaskKinds([kinds[task] for task in binary])
        weights[binary] = label_weights(value, names[binary], rates[binary], only)
    return weights


def _multiplier(text: str, name: str, rate: float) -> float:
    ratio = 1.0 if text == "balanced" else _ratio(text, name)
    if not 0 < rate < 1:
        return 1.0
    return max(1.0, ratio * (1 - rate) / rate)


def _ratio(text: str, name: str) -> float:
    try:
        positive, negative = (float(part) for part in text.split(":"))
    except ValueError:
        # Refused below, as ratios of 0 are.
        positive = negative = 0.0
    if not (0 < positive < np.inf and 0 < negative < np.inf):
        raise ValueError(
            f"label_weight of task {shown(name)} is {shown(text)}. Use a number, "
            "'balanced', or a ratio of positives to negatives such as '1:2', both "
            "above 0."
        )
    return positive / negative


def loss_weighting(
    value: object, names: AnyArray, rates: Floats, label: Floats, compete: bool
) -> LossWeighting:
    """Make the weighting that `loss_weight` asks for, ready to train.

    Parameters
    ----------
    value : None, float, sequence, mapping, str, or a strategy
        The hyperparameter of the ranker. A strategy is copied.
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    rates : ndarray of shape (n_tasks,)
        Weighted rate of positives of each task.
    label : ndarray of shape (n_tasks,)
        Label weights.
    compete : bool
        Whether all tasks are binary and train the same parameters. If not, "auto" is 1.

    Returns
    -------
    LossWeighting
        Started for the tasks.

    Raises
    ------
    ValueError
        For numbers, names and hyperparameters that do not fit.
    """
    weighting: LossWeighting
    if isinstance(value, str) and value == "auto":
        numbers = np.ones(len(names))
        if compete:
            numbers = entropy_weights(rates, label)
        weighting = StaticWeighting(numbers.tolist())
    elif isinstance(value, str) and value == "inverse_ratio":
        weighting = StaticWeighting(inverse_ratio(rates).tolist())
    elif isinstance(value, str | nn.Module):
        weighting = get_strategy(value)
    else:
        numbers = check_per_task(value, names, "loss_weight", positive=False)
        weighting = StaticWeighting(numbers.tolist())
    return weighting.start(list(names))


def check_same_strategy(
    old: LossWeighting, new: LossWeighting, continued: str = "warm_start"
) -> None:
    """Raise if training would continue with another strategy, whose state is missing.

    Raises
    ------
    ValueError
        Unless both have fixed weights, or are the same strategy.
    """
    fixed = isinstance(old, StaticWeighting) and isinstance(new, StaticWeighting)
    if not fixed and repr(old) != repr(new):
        raise ValueError(
            f"{continued} continues with loss_weight={old!r}, found {new!r}. Fit again "
            "with warm_start=False."
        )


def inverse_ratio(rates: Floats) -> Floats:
    """Return the negatives per positive of each task, scaled to mean 1.

    The mean is over the tasks with both classes.

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


def entropy_weights(rates: Floats, label: Floats) -> Floats:
    """Return weights of one over the fourth root of each task's entropy.

    The entropy of a label is the log loss of predicting its rate. With these weights
    the losses of rare tasks are still smaller than those of frequent ones, but less so.
    They leave the sum of the losses of such predictions as it is. The power was chosen
    on nine tables: the square root helps the rarest tasks more, and harms the others.

    Parameters
    ----------
    rates : ndarray of shape (n_tasks,)
        Rates of positives.
    label : ndarray of shape (n_tasks,)
        Multipliers of the positives, which change the entropy.

    Returns
    -------
    ndarray of shape (n_tasks,)
        Weights; 1 for a task without both classes.
    """
    weights = np.ones(len(rates))
    both = (rates > 0) & (rates < 1)
    if both.any():
        positive, negative = label[both] * rates[both], 1 - rates[both]
        total = positive + negative
        entropy = -positive * np.log(positive / total)
        entropy -= negative * np.log(negative / total)
        found = entropy**-0.25
        weights[both] = found * entropy.sum() / (found @ entropy)
    return weights


def check_per_task(
    value: object, names: AnyArray, what: str, *, positive: bool
) -> npt.NDArray[np.float64]:
    """Convert a number, a list or a mapping to one number for each task.

    Parameters
    ----------
    value : None, float, sequence of float, or mapping or Series by task name
        None stands for 1. A mapping or a Series names every task.
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
        value = by_task(value, known, what)
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{what} must hold numbers: {error}") from error
    if numbers.shape != (len(known),):
        raise ValueError(
            f"{what} has shape {numbers.shape}, but there are {len(known)} tasks: "
            f"{known}. Give one number for each."
        )
    for name, number in zip(known, numbers, strict=True):
        # NaN fails every comparison, and is refused too.
        if not 0 <= number <= _LARGEST or (positive and number == 0):
            bound = "above 0" if positive else "at least 0"
            raise ValueError(
                f"{what} of task {shown(name)} is {number:g}. It must be finite, "
                f"{bound} and at most {_LARGEST:.3g}."
            )
    if not numbers.any():
        raise ValueError(f"{what} is 0 for every task. Set at least one above 0.")
    return numbers


class DivergedError(FloatingPointError):
    """The loss of a task is no longer a finite number."""

    def __init__(self, task: int) -> None:
        super().__init__(f"the loss of task {task} is not finite")
        self.task = task


def check_finite(losses: Tensor) -> None:
    """Raise for the first task whose loss is not finite."""
    # In the usual case one number is read. The sum of finite losses may overflow, so
    # that the losses themselves decide.
    if math.isfinite(losses.sum().item()):
        return
    finite = losses.isfinite()
    if not finite.all():
        raise DivergedError(int(finite.logical_not().nonzero()[0, 0]))


def look_back(weighting: LossWeighting, step: Step) -> None:
    """Call a strategy's `after_step`; raise if it leaves gradients behind."""
    own = list(weighting.parameters())
    # By identity: whether a gradient was set, whatever its numbers.
    given = [p.grad for p in own]
    weighting.after_step(step)
    if any(p.grad is not old for p, old in zip(own, given, strict=True)):
        raise RuntimeError(
            f"after_step of {weighting!r} gives its parameters a gradient, which no "
            "optimiser would apply: gradients are cleared before the next step. "
            "Change the parameters in place, under torch.no_grad()."
        )
