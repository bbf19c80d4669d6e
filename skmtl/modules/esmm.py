"""Towers whose probabilities are multiplied along the funnel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skmtl.modules.composition import ParallelTowers
from skmtl.modules.graph import (
    multiply_along,
    rates_given_parents,
    topological_order,
)
from skmtl.modules.protocols import Towers


class ProductTowers(Towers):
    """Parallel towers for probabilities given the tasks before, multiplied.

    A tower's logit is that of the probability *given* the parents. Multiplied along
    the graph it is that of the probability over all rows, and never exceeds a
    parent's. With several parents, the smallest counts.

    Parameters
    ----------
    parents : sequence of sequence of int
        For each task, the tasks that it follows. The graph has no cycle.
    width, units, dropout
        As in `ParallelTowers`.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)`` to ``(batch, n_tasks)``.

    References
    ----------
    X. Ma et al., "Entire Space Multi-Task Model", SIGIR 2018, equation 1.
    """

    def __init__(
        self,
        *,
        parents: Sequence[Sequence[int]],
        width: int,
        units: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.given_parents = ParallelTowers(
            n_tasks=len(parents), width=width, units=units, dropout=dropout
        )
        self.parents = [list(p) for p in parents]
        self.order = topological_order(self.parents)

    def start_at(self, rates: Tensor) -> None:
        """Set the output biases so that the first predictions are `rates`."""
        self.given_parents.start_at(rates_given_parents(rates, self.parents))

    @property
    def bounds(self) -> Sequence[Sequence[int]]:  # type: ignore[override]
        """The parents of each task."""
        return self.parents

    def forward(self, representation: Tensor) -> Tensor:
        columns = self.given_parents(representation).unbind(dim=1)
        return torch.stack(multiply_along(columns, self.parents, self.order), dim=1)
