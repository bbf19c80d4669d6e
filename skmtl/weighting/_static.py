"""Weights that do not change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skmtl.weighting._base import LossWeighting


class StaticWeighting(LossWeighting):
    """``L = sum_i w_i L_i`` with fixed weights.

    Parameters
    ----------
    weights : sequence of float
        One for each task, at least 0.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))

    def forward(self, losses: Tensor) -> Tensor:
        return torch.dot(self.weights, losses)

    def current(self) -> Tensor:
        return self.weights
