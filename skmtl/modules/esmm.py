"""Towers whose probabilities are multiplied along the funnel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skmtl.modules.composition import ParallelTowers
from skmtl.modules.graph import (
    given_parents,
    multiply_along,
    topological_order,
)
from skmtl.modules.protocols import Towers


class ProductTowers(Towers):
    """Parallel towers for probabilities given the earlier tasks, which are multiplied.

    A tower's logit is that of the probability *given* the parents. Multiplied along
    the graph it is that of the probability over all rows, and never exceeds a
    parent's. With several parents, the smallest counts.

    Parameters
    ----------
    parents : sequence of sequence of int
        For each task, the tasks that it follows. The graph has no cycle.
    width : int
        Width of a task's representation.
    units : sequence of int
        Widths of a tower's hidden layers; may be empty.
    dropout : float
        Share of a layer's outputs that is dropped in training.
    n_outputs : sequence of int or None, default=None
        Outputs of each task; None for one.
    binary : sequence of bool or None, default=None
        Whether outputs are log-odds, which are multiplied; None if all are. A task of
        another kind neither has parents nor is one.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)`` to ``(batch, n_tasks)``, or ``(batch,
    sum(n_outputs))``.

    References
    ----------
    X. Ma et al., "Entire Space Multi-Task Model", SIGIR 2018, equation 1.

    Examples
    --------
    Half of the rows with a label of the first task have one of the second:

    >>> import torch
    >>> from skmtl.modules import ProductTowers
    >>> towers = ProductTowers(parents=[[], [0]], width=4, units=(), dropout=0.0)
    >>> towers.start_at(torch.tensor([0.5, 0.25]))
    >>> towers(torch.zeros(2, 1, 4)).sigmoid().detach()
    tensor([[0.5000, 0.2500]])
    >>> towers.bounds
    [[], [0]]
    """

    def __init__(
        self,
        *,
        parents: Sequence[Sequence[int]],
        width: int,
        units: Sequence[int],
        dropout: float,
        n_outputs: Sequence[int] | None = None,
        binary: Sequence[bool] | None = None,
    ) -> None:
        super().__init__()
        self.n_outputs = list(n_outputs or [1] * len(parents))
        self.binary = list(binary or [True] * len(parents))
        self.given_parents = ParallelTowers(
            n_tasks=len(parents),
            width=width,
            units=units,
            dropout=dropout,
            n_outputs=self.n_outputs,
        )
        self.parents = [list(p) for p in parents]
        self.order = topological_order(self.parents)

    def start_at(self, rates: Tensor) -> None:
        """Set the output biases so that the first predictions are `rates`."""
        own = given_parents(rates.split(self.n_outputs), self.parents, self.binary)
        self.given_parents.start_at(torch.cat(own))

    @property
    def bounds(self) -> Sequence[Sequence[int]]:  # type: ignore[override]
        """The parents of each task."""
        return self.parents

    def forward(self, representation: Tensor) -> Tensor:
        columns = self.given_parents(representation).split(self.n_outputs, dim=1)
        products = multiply_along(columns, self.parents, self.order, self.binary)
        return torch.cat(products, dim=1)
