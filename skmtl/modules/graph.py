"""Probabilities along a graph of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def rates_given_parents(rates: Tensor, parents: Sequence[Sequence[int]]) -> Tensor:
    """Rates of each task among the rows of its rarest parent, away from 0 and 1."""
    given = rates.clone()
    for task, before in enumerate(parents):
        if before:
            given[task] = rates[task] / rates[list(before)].min()
    # Conditional rates of 1 occur (a task that copies another).
    return given.clamp(1e-6, 1 - 1e-3)


def multiply_along(
    logits: Sequence[Tensor], parents: Sequence[Sequence[int]], order: Sequence[int]
) -> list[Tensor]:
    """Logits of the products of the probabilities along a graph of tasks."""
    log_p: dict[int, Tensor] = {}
    for task in order:
        log_p[task] = log_sigmoid(logits[task])
        if parents[task]:
            before = torch.stack([log_p[p] for p in parents[task]])
            log_p[task] = log_p[task] + before.amin(dim=0)
    return [logit_of_log(log_p[task]) for task in range(len(logits))]


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
