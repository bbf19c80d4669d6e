"""Losses of tasks: by label, and masked, weighted means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.tasks.kinds import TaskKinds


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
    ``(batch, n_tasks)`` or None, to ``(n_tasks,)``. Weights are scaled to mean 1 over
    the whole table by the caller and 0 where a label was not observed. Dividing by
    the size of the batch, not by the weight in it, keeps the gradient unbiased when
    few labels are observed, and is defined when none is.
    """

    def __init__(self, kinds: TaskKinds, label_weight: Sequence[float]) -> None:
        super().__init__()
        self.kinds = kinds
        self.by_label = nn.ModuleList(
            group.kind.loss([label_weight[t] for t in group.tasks])
            for group in kinds.groups
        )

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        losses = self._by_label(logits, y)
        if weight is not None:
            losses = losses * weight
        return losses.mean(dim=0)

    def _by_label(self, logits: Tensor, y: Tensor) -> Tensor:
        """Loss of every label, ``(batch, n_tasks)``."""
        if len(self.by_label) == 1:
            only: Tensor = self.by_label[0](logits, y)
            return only
        losses = torch.empty_like(y)
        for loss, group in zip(self.by_label, self.kinds.groups, strict=True):
            of_group = loss(logits[:, group.outputs], y[:, group.tasks])
            losses[:, group.tasks] = of_group.to(losses.dtype)
        return losses

    def with_label_weight(self, label_weight: Sequence[float]) -> Self:
        """The same losses with other label weights."""
        return type(self)(self.kinds, label_weight)


class PooledLosses(TaskLosses):
    """Parts of the cross-entropy of one score for all positive feedback.

    Every positive label is an example with label 1 and its task's label weight, so a
    row that was clicked and ordered counts with the sum of both weights; a row without
    any positive is one example with label 0. With ``q = sigmoid(z)`` the loss of a row
    is ``sum_t w_t y_t log q + (1 - max_t y_t) log(1 - q)``, negated.

    The part of task t holds its positives, and an equal share of the rows without one;
    the sum over the tasks is the loss.

    Parameters
    ----------
    kinds : TaskKinds
        Binary, every one.
    label_weight : sequence of float
        One for each task, above 0.

    Notes
    -----
    Shape: as `TaskLosses`; all columns of the logits are the same. A row without a
    positive counts with the mean of its weights, 0 where not observed. The logit is
    shifted by the logarithm of the mean label weight, so that training starts near the
    weighted rate; the shift is the same for all rows and changes no order.
    """

    weight: Tensor
    shift: Tensor

    def __init__(self, kinds: TaskKinds, label_weight: Sequence[float]) -> None:
        super().__init__(kinds, label_weight)
        weight = torch.tensor(label_weight, dtype=torch.float64)
        self.register_buffer("weight", weight.float())
        self.register_buffer("shift", weight.mean().log().float())

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        z = logits + self.shift
        weight = torch.ones_like(y) if weight is None else weight
        positive = self.weight * weight * y * F.softplus(-z)
        none = ((weight > 0) * y).amax(dim=1, keepdim=True) == 0
        share = none * weight.mean(dim=1, keepdim=True) / y.shape[1]
        return (positive + share * F.softplus(z)).mean(dim=0)
