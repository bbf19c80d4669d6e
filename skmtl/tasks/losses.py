"""The loss of every label, for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CrossEntropy(nn.Module):
    """Cross-entropy of every label of binary tasks, with label weights.

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
    Shape: logits ``(batch, n_tasks)`` and labels ``(batch, n_tasks)`` in {0, 1} to
    ``(batch, n_tasks)``.
    """

    weight: Tensor
    shift: Tensor

    def __init__(self, label_weight: Sequence[float]) -> None:
        super().__init__()
        weight = torch.tensor(label_weight, dtype=torch.float64)
        self.register_buffer("weight", weight.float())
        self.register_buffer("shift", weight.log().float())
        self._plain = bool((weight == 1).all())

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            logits if self._plain else logits + self.shift,
            y,
            pos_weight=None if self._plain else self.weight,
            reduction="none",
        )
