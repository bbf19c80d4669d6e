"""From per-task representations to one logit per task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skmtl.modules.graph import (
    multiply_along,
    rates_given_parents,
    topological_order,
)
from skmtl.modules.layers import (
    Dense,
    SideBySide,
    TaskLinear,
    dense_stack,
    is_plain,
    one_after_the_other,
    side_by_side,
)
from skmtl.modules.protocols import Towers


class ParallelTowers(Towers):
    """A stack of dense layers and a logit for each task, apart from the others.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    width : int
        Width of a task's representation.
    units : sequence of int
        Widths of a tower's hidden layers; may be empty.
    dropout : float
        Share of a layer's outputs that is dropped in training.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)``, or ``(1, batch, width)`` where all tasks read
    the same, to ``(batch, n_tasks)``.
    """

    independent = True
    broadcasts = True

    def __init__(
        self, *, n_tasks: int, width: int, units: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.hidden = side_by_side(n_tasks, width, units, dropout)
        self.output = TaskLinear(n_tasks, units[-1] if units else width, 1)

    def start_at(self, rates: Tensor) -> None:
        """Set the output biases so that the first predictions are `rates`."""
        with torch.no_grad():
            self.output.bias.copy_(rates.logit().reshape(-1, 1, 1))

    def forward(self, representation: Tensor) -> Tensor:
        # The hidden layers and the last one in one step, if they are as we made them.
        plain = is_plain(self.hidden, SideBySide)
        layers = self.hidden if plain else [self.hidden]
        return (
            one_after_the_other(representation, [*layers, self.output]).squeeze(2).t()
        )


class ChainedTowers(Towers):
    """Towers that also read the embeddings of the towers of earlier tasks.

    Parameters
    ----------
    parents : sequence of sequence of int
        For each task, the tasks whose tower embeddings its tower reads. The graph has
        no cycle.
    width : int
        Width of a task's representation.
    units : sequence of int
        Widths of a tower's hidden layers, at least one. The last hidden layer is the
        tower embedding.
    dropout : float
        Share of a layer's outputs that is dropped in training.
    chain_probability : bool
        Whether a task's probability is multiplied by those of its parents, so that
        it never exceeds any of them. With several parents, the smallest counts.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)`` to ``(batch, n_tasks)``.

    References
    ----------
    Q. Wang et al., "DBMTL: Deep Bayesian Multi-Target Learning for Recommender
    Systems", 2019, section 3, for towers on a graph of tasks; X. Ma et al., "Entire
    Space Multi-Task Model", SIGIR 2018, equation 1, for the product.
    """

    def __init__(
        self,
        *,
        parents: Sequence[Sequence[int]],
        width: int,
        units: Sequence[int],
        dropout: float = 0.0,
        chain_probability: bool = False,
    ) -> None:
        super().__init__()
        self.parents = [list(p) for p in parents]
        self.order = topological_order(self.parents)
        self.chain_probability = chain_probability
        self.hidden = nn.ModuleList(
            dense_stack(width + len(p) * units[-1], units, dropout)
            for p in self.parents
        )
        self.output = nn.ModuleList(Dense(units[-1], 1) for _ in self.parents)

    def start_at(self, rates: Tensor) -> None:
        """Set the output biases so that the first predictions are `rates`."""
        parents = self.parents if self.chain_probability else [[] for _ in rates]
        with torch.no_grad():
            for rate, output in zip(
                rates_given_parents(rates, parents), self.output, strict=True
            ):
                output.bias.fill_(rate.logit())  # type: ignore[operator]

    def bounds(self) -> Sequence[Sequence[int]]:
        """The parents of each task, where probabilities are multiplied."""
        return self.parents if self.chain_probability else ()

    def forward(self, representation: Tensor) -> Tensor:
        embeddings: dict[int, Tensor] = {}
        logits: dict[int, Tensor] = {}
        for task in self.order:
            read = [representation[task], *(embeddings[p] for p in self.parents[task])]
            embeddings[task] = self.hidden[task](torch.cat(read, dim=1))
            logits[task] = self.output[task](embeddings[task]).squeeze(1)
        columns = [logits[task] for task in range(len(self.parents))]
        if self.chain_probability:
            columns = multiply_along(columns, self.parents, self.order)
        return torch.stack(columns, dim=1)


class PooledTower(Towers):
    """One tower and one logit for all tasks.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    width : int
        Width of the representation.
    units : sequence of int
        Widths of the hidden layers; may be empty.
    dropout : float
        Share of a layer's outputs that is dropped in training.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)``, the same for every task, to
    ``(batch, n_tasks)``, equal columns.
    """

    def __init__(
        self, *, n_tasks: int, width: int, units: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.hidden = dense_stack(width, units, dropout)
        self.output = Dense(units[-1] if units else width, 1)

    def start_at(self, rates: Tensor) -> None:
        """Set the output bias so that the first predictions are the largest rate."""
        with torch.no_grad():
            self.output.bias.fill_(rates.max().logit())

    def forward(self, representation: Tensor) -> Tensor:
        logits: Tensor = self.output(self.hidden(representation[0]))
        return logits.expand(-1, self.n_tasks)
