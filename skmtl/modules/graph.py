"""Towers and probabilities along a graph of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.layers import Dense, dense_stack
from skmtl.modules.protocols import Towers


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
    dropout : float, default=0.0
        Share of a layer's outputs that is dropped in training.
    chain_probability : bool, default=False
        Whether a task's probability is multiplied by those of its parents, so that
        it never exceeds any of them. With several parents, the smallest counts.
    n_outputs : sequence of int or None, default=None
        Outputs of each task; None for one.
    binary : sequence of bool or None, default=None
        Whether first outputs are log-odds, which are multiplied; None if all are. A
        task of another kind neither has parents nor is one, if probabilities are
        multiplied.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)`` to ``(batch, n_tasks)``, or ``(batch,
    sum(n_outputs))``.

    References
    ----------
    Q. Wang et al., "Deep Bayesian Multi-Target Learning for Recommender Systems", 2019,
    section 3, for towers on a graph of tasks; X. Ma et al., "Entire Space Multi-Task
    Model", SIGIR 2018, equation 1, for the product.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ChainedTowers
    >>> towers = ChainedTowers(
    ...     parents=[[], [0]], width=8, units=(4,), chain_probability=True
    ... )
    >>> probabilities = towers(torch.rand(2, 5, 8)).sigmoid()
    >>> bool((probabilities[:, 1] <= probabilities[:, 0]).all())
    True
    """

    def __init__(
        self,
        *,
        parents: Sequence[Sequence[int]],
        width: int,
        units: Sequence[int],
        dropout: float = 0.0,
        chain_probability: bool = False,
        n_outputs: Sequence[int] | None = None,
        binary: Sequence[bool] | None = None,
    ) -> None:
        super().__init__()
        self.parents = [list(p) for p in parents]
        self.order = topological_order(self.parents)
        self.chain_probability = chain_probability
        self.n_outputs = list(n_outputs or [1] * len(self.parents))
        self.binary = list(binary or [True] * len(self.parents))
        self.hidden = nn.ModuleList(
            dense_stack(width + len(p) * units[-1], units, dropout)
            for p in self.parents
        )
        self.output = nn.ModuleList(Dense(units[-1], n) for n in self.n_outputs)

    def start_at(self, rates: Tensor) -> None:
        """Set the output biases so that the first predictions are `rates`."""
        parents = self.parents if self.chain_probability else [[] for _ in self.parents]
        own = given_parents(rates.split(self.n_outputs), parents, self.binary)
        with torch.no_grad():
            for rate, output in zip(own, self.output, strict=True):
                output.bias.copy_(rate.logit())  # type: ignore[operator]

    @property
    def bounds(self) -> Sequence[Sequence[int]]:  # type: ignore[override]
        """The parents of each task, where probabilities are multiplied."""
        return self.parents if self.chain_probability else ()

    def forward(self, representation: Tensor) -> Tensor:
        embeddings: dict[int, Tensor] = {}
        logits: dict[int, Tensor] = {}
        for task in self.order:
            read = [representation[task], *(embeddings[p] for p in self.parents[task])]
            embeddings[task] = self.hidden[task](torch.cat(read, dim=1))
            logits[task] = self.output[task](embeddings[task])
        columns = [logits[task] for task in range(len(self.parents))]
        if self.chain_probability:
            columns = multiply_along(columns, self.parents, self.order, self.binary)
        return torch.cat(columns, dim=1)


def given_parents(
    rates: Sequence[Tensor], parents: Sequence[Sequence[int]], binary: Sequence[bool]
) -> list[Tensor]:
    """Rates of each task among the rows of its rarest parent, away from 0 and 1.

    Those of tasks that are not binary stay as they are.
    """
    given = []
    for task, before in enumerate(parents):
        rate = rates[task]
        if before:
            # Only the first output of a binary task is its log-odds.
            rate = rate / torch.stack([rates[p][:1] for p in before]).amin(dim=0)
        # Conditional rates of 1 occur (a task that copies another).
        given.append(rate.clamp(1e-6, 1 - 1e-3) if binary[task] else rate)
    return given


def multiply_along(
    logits: Sequence[Tensor],
    parents: Sequence[Sequence[int]],
    order: Sequence[int],
    binary: Sequence[bool] | None = None,
) -> list[Tensor]:
    """Logits of the products of the probabilities along a graph of tasks.

    Outputs of tasks that are not binary, and further ones of binary tasks, stay as they
    are.
    """
    log_p: dict[int, Tensor] = {}
    for task in order:
        if binary is not None and not binary[task]:
            continue
        own = logits[task]
        log_p[task] = log_sigmoid(own if own.shape[-1] == 1 else own[..., :1])
        if parents[task]:
            # Not above any of the parents: their smallest probability is multiplied.
            before = torch.stack([log_p[p] for p in parents[task]])
            log_p[task] = log_p[task] + before.amin(dim=0)
    return [
        _with_first(logit_of_log(log_p[task]), own) if task in log_p else own
        for task, own in enumerate(logits)
    ]


def _with_first(first: Tensor, columns: Tensor) -> Tensor:
    """Columns with another one in the first place."""
    if columns.shape[-1] == 1:
        return first
    return torch.cat([first, columns[..., 1:]], dim=-1)


def log_sigmoid(logits: Tensor) -> Tensor:
    """Logarithm of the sigmoid."""
    if torch.compiler.is_compiling():
        # An exporter would write the logarithm of a sigmoid, which runtimes round to
        # multiples of 1e-16 or worse, too coarse for a tiny probability.
        return logits.clamp(max=0) - torch.log1p(torch.exp(-logits.abs()))
    return F.logsigmoid(logits)


def logit_of_log(log_p: Tensor) -> Tensor:
    """Logit of a probability given by its logarithm, without cancellation."""
    # Rounding may give log p = 0; the gradient of log(1 - p) must stay finite.
    log_p = log_p.clamp(max=-1e-7)
    return log_p - torch.log(-torch.expm1(log_p))


def topological_order(parents: Sequence[Sequence[int]]) -> list[int]:
    """Tasks in an order in which parents come first.

    Raises
    ------
    ValueError
        When the graph has a cycle; the message holds the tasks in it.
    """
    order: list[int] = []
    left = set(range(len(parents)))
    while left:
        ready = sorted(t for t in left if not left & set(parents[t]))
        if not ready:
            raise ValueError(f"the tasks {sorted(left)} form a cycle")
        order += ready
        left -= set(ready)
    return order
