"""Masked, weighted cross-entropy per task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TaskLosses(nn.Module):
    """Cross-entropy of every task over the labels that were observed.

    With label weight ``w`` the loss of a row is ``w y log q + (1 - y) log(1 - q)``,
    negated. Its minimiser ``q`` has the log-odds of the true probability plus
    ``log w``; so the network's logit ``z`` is read as the *true* log-odds, and ``q =
    sigmoid(z + log w)``. What label weights do to the prior is thereby undone
    exactly, and products of probabilities along a chain are products of true ones.

    Parameters
    ----------
    label_weight : sequence of float
        One for each task, above 0.

    Notes
    -----
    Shape: logits ``(batch, n_tasks)``, labels ``(batch, n_tasks)`` in {0, 1}, weights
    ``(batch, n_tasks)`` or None, to ``(n_tasks,)``. Weights are scaled to mean 1 over
    the whole table by the caller and 0 where a label was not observed. Dividing by
    the size of the batch, not by the weight in it, keeps the gradient unbiased when
    few labels are observed, and is defined when none is.
    """

    weight: Tensor
    shift: Tensor

    def __init__(self, label_weight: Sequence[float]) -> None:
        super().__init__()
        weight = torch.tensor(label_weight, dtype=torch.float64)
        self.register_buffer("weight", weight.float())
        self.register_buffer("shift", weight.log().float())
        self._plain = bool((weight == 1).all())

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        losses = F.binary_cross_entropy_with_logits(
            logits if self._plain else logits + self.shift,
            y,
            pos_weight=None if self._plain else self.weight,
            reduction="none",
        )
        if weight is not None:
            losses = losses * weight
        return losses.mean(dim=0)


class PooledLosses(nn.Module):
    """Parts of the cross-entropy of one score for all positive feedback.

    Every positive label is an example with label 1 and its task's label weight, so a
    row that was clicked and ordered counts with the sum of both weights; a row without
    any positive is one example with label 0. With ``q = sigmoid(z)`` the loss of a row
    is ``sum_t w_t y_t log q + (1 - max_t y_t) log(1 - q)``, negated.

    The part of task t holds its positives, and an equal share of the rows without one;
    the sum over the tasks is the loss.

    Parameters
    ----------
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

    def __init__(self, label_weight: Sequence[float]) -> None:
        super().__init__()
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
