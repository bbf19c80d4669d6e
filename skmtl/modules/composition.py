"""A network is an embedding, a way of sharing, and towers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class MultiTaskModule(nn.Module):
    """Compose a network of its three parts.

    Parameters
    ----------
    embedding : torch.nn.Module
        Encoded rows to the input, ``(batch, width)``.
    sharing : torch.nn.Module
        Input to the representation of each task, ``(n_tasks, batch, width)``.
    towers : torch.nn.Module
        Representations to logits, ``(batch, n_tasks)``.

    Notes
    -----
    Sharing and towers may have a method ``penalty(logits, weight)`` that gives a
    0-dimensional tensor, which training adds to the loss.
    """

    towers: Any

    def __init__(
        self, *, embedding: nn.Module, sharing: nn.Module, towers: nn.Module
    ) -> None:
        super().__init__()
        self.embedding, self.sharing, self.towers = embedding, sharing, towers

    def forward(self, ids: Tensor, bins: Tensor, numeric: Tensor) -> Tensor:
        """Logits of the tasks' probabilities, ``(batch, n_tasks)``."""
        logits: Tensor = self.towers(self.representation(ids, bins, numeric))
        return logits

    def start_at(self, rates: Tensor) -> None:
        """Make the first predictions about `rates`, of shape (n_tasks,)."""
        self.towers.start_at(rates)

    def penalty(self, logits: Tensor, weight: Tensor | None) -> Tensor | None:
        """What training adds to the loss of a batch, or None.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_tasks)
            What `forward` gave.
        weight : Tensor of shape (batch, n_tasks) or None
            Weights of the labels, 0 where not observed.
        """
        parts = [p for p in (self.sharing, self.towers) if hasattr(p, "penalty")]
        terms = [part.penalty(logits, weight) for part in parts]  # type: ignore[operator]
        return torch.stack(terms).sum() if terms else None

    def representation(self, ids: Tensor, bins: Tensor, numeric: Tensor) -> Tensor:
        """What each task's tower reads, ``(n_tasks, batch, width)``."""
        shared: Tensor = self.sharing(self.embedding(ids, bins, numeric))
        return shared
