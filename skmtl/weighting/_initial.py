"""Strategies that compare losses with those before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor

from skmtl.weighting._base import LossWeighting


class InitialLosses(LossWeighting):
    """Keep the loss of each task before the first step as `initial`.

    It is measured on (at most 65,536) training rows, once, also when training goes on
    by a warm start.
    """

    initial: Tensor

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        self.register_buffer("initial", torch.full((len(self.tasks),), torch.nan))
        return self

    def begin(self, measure: Callable[[], Tensor]) -> None:
        if self.initial.isnan().all():
            self.initial = measure()
            self.first(self.initial)

    def first(self, losses: Tensor) -> None:
        """Start from the losses before the first step, of shape (n_tasks,)."""
