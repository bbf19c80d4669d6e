"""Weights that do not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from skmtl.tasks.arguments import by_task
from skmtl.weighting._base import LossWeighting
from skmtl.weighting._checks import Preference
from skmtl.weighting._step import Step


class StaticWeighting(LossWeighting):
    """``L = sum_i w_i L_i`` with fixed weights.

    Parameters
    ----------
    weights : sequence of float, mapping or Series by task name
        One for each task, at least 0.

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import StaticWeighting
    >>> weighting = StaticWeighting([1.0, 3.0]).start(["click", "order"])
    >>> weighting(torch.tensor([0.5, 0.1]))
    tensor(0.8000)
    """

    fixed: Tensor

    def __init__(self, weights: Preference) -> None:
        super().__init__()
        self.weights = weights

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        given = by_task(self.weights, self.tasks, "weights")
        try:
            fixed = torch.as_tensor(given, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                "The weights of StaticWeighting must be numbers, one for each of the "
                f"tasks {self.tasks}, found {self.weights!r}."
            ) from error
        if fixed.shape != (len(self.tasks),):
            raise ValueError(
                f"StaticWeighting has weights of shape {tuple(fixed.shape)}, but there "
                f"are {len(self.tasks)} tasks: {self.tasks}. Give one number for each."
            )
        if not (fixed.isfinite().all() and (fixed >= 0).all()):
            raise ValueError(
                f"StaticWeighting has weights {fixed.tolist()}. They must be finite "
                "and at least 0."
            )
        self.register_buffer("fixed", fixed)
        return self

    def take(self, other: LossWeighting) -> None:
        self.fixed = other.current().to(self.fixed.device)

    def forward(self, losses: Tensor) -> Tensor:
        return torch.dot(self.fixed, losses)

    def backward(self, step: Step) -> None:
        # The derivatives are the weights; there is nothing to differentiate.
        step.through_towers(self.fixed)
        step.descend()

    def ahead(self) -> Tensor:
        return self.fixed

    def current(self) -> Tensor:
        return self.fixed

    def reference(self) -> Tensor:
        return self.fixed
