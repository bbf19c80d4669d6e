"""From what towers give to outputs of tasks: places, and thresholds of classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.protocols import Towers


class OutputPlaces(nn.Module):
    """Which outputs of last layers that are one `TaskLinear` belong to tasks.

    The layer has as many outputs for each task as the task with the most, so that one
    product gives all; those that a task does not have are left out.

    Parameters
    ----------
    n_outputs : sequence of int
        Outputs of each task.

    Notes
    -----
    Shape: ``(n_tasks, batch, max(n_outputs))`` to ``(batch, sum(n_outputs))``.
    """

    used: Tensor

    def __init__(self, n_outputs: Sequence[int]) -> None:
        super().__init__()
        self.most = max(n_outputs)
        places = [
            task * self.most + k for task, n in enumerate(n_outputs) for k in range(n)
        ]
        used = torch.tensor(places, dtype=torch.int64)
        self.register_buffer("used", used, persistent=False)

    def start_at(self, rates: Tensor, biases: Tensor) -> None:
        """Set biases to the logits of `rates`, of shape (sum(n_outputs),)."""
        with torch.no_grad():
            started = rates.new_zeros(biases.numel())
            started[self.used] = rates.logit()
            biases.copy_(started.view_as(biases))

    def forward(self, outputs: Tensor) -> Tensor:
        if self.most == 1:
            return outputs.squeeze(2).t()
        return outputs.transpose(0, 1).flatten(1).index_select(1, self.used)


class OrderedThresholds(nn.Module):
    r"""From one score to the log-odds of a label above each class but the last.

    Output k is ``score - threshold[k]``, with thresholds that rise: the first is a
    parameter, each further one adds a softplus of a parameter.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 2.

    Notes
    -----
    Shape: ``(batch, 1)`` to ``(batch, n_classes - 1)``.

    References
    ----------
    P. McCullagh, "Regression Models for Ordinal Data", Journal of the Royal Statistical
    Society B 42(2), 1980, section 2: the proportional odds model.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import OrderedThresholds
    >>> thresholds = OrderedThresholds(n_classes=3)
    >>> thresholds.start_at(torch.tensor([0.8, 0.3]))
    >>> thresholds(torch.zeros(1, 1)).sigmoid()
    tensor([[0.8000, 0.3000]], grad_fn=<SigmoidBackward0>)
    """

    def __init__(self, *, n_classes: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(1))
        self.steps = nn.Parameter(torch.zeros(n_classes - 2))

    def start_at(self, rates: Tensor) -> None:
        """Make the first outputs for a score of 0 those of `rates`, which fall."""
        thresholds = -rates.double().logit()
        with torch.no_grad():
            self.first.copy_(thresholds[:1])
            gaps = thresholds.diff().clamp(min=1e-4)
            self.steps.copy_(gaps + torch.log(-torch.expm1(-gaps)))

    def forward(self, score: Tensor) -> Tensor:
        thresholds = torch.cat([self.first, F.softplus(self.steps)]).cumsum(dim=0)
        return score - thresholds


def with_thresholds(
    towers: Towers, n_thresholds: Sequence[int], *, n_scores: Sequence[int]
) -> Towers:
    """Give towers the thresholds of tasks with ordered classes; as they are without.

    Parameters
    ----------
    towers : Towers
        Towers that give numbers for each task.
    n_thresholds : sequence of int
        Thresholds of each task; 0 for one whose outputs are what its tower gives.
    n_scores : sequence of int
        Numbers of each task that the towers give.
    """
    if not any(n_thresholds):
        return towers
    heads = [OrderedThresholds(n_classes=n + 1) if n else None for n in n_thresholds]
    n_outputs = [n or own for n, own in zip(n_thresholds, n_scores, strict=True)]
    return TowersWithHeads(towers, heads, n_scores=n_scores, n_outputs=n_outputs)


class TowersWithHeads(Towers):
    """Towers, and what makes outputs of the numbers that they give.

    Parameters
    ----------
    towers : Towers
        The towers.
    heads : sequence of OrderedThresholds or None
        The head of each task; None for outputs that stay as they are.
    n_scores, n_outputs : sequence of int
        Numbers that the tower gives of each task, and outputs.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)`` to ``(batch, sum(n_outputs))``.
    """

    def __init__(
        self,
        towers: Towers,
        heads: Sequence[OrderedThresholds | None],
        *,
        n_scores: Sequence[int],
        n_outputs: Sequence[int],
    ) -> None:
        super().__init__()
        self.towers = towers
        self.heads = nn.ModuleList(head or nn.Identity() for head in heads)
        self.n_scores, self.n_outputs = list(n_scores), list(n_outputs)
        self.independent = towers.independent
        self.broadcasts = towers.broadcasts
        if towers.penalty is not None:
            self.penalty = self._penalty

    def start_at(self, rates: Tensor) -> None:
        """Start the towers' numbers below a head at 0, and the head at its rates."""
        inner = []
        for head, own in zip(self.heads, rates.split(self.n_outputs), strict=True):
            if isinstance(head, OrderedThresholds):
                head.start_at(own)
                own = torch.full_like(own[:1], 0.5)
            inner.append(own)
        self.towers.start_at(torch.cat(inner))

    @property
    def bounds(self) -> Sequence[Sequence[int]]:  # type: ignore[override]
        """Those of the towers."""
        return self.towers.bounds

    def forward(self, representation: Tensor) -> Tensor:
        scores = self.towers(representation).split(self.n_scores, dim=1)
        pairs = zip(self.heads, scores, strict=True)
        return torch.cat([head(score) for head, score in pairs], dim=1)

    def _penalty(self, logits: Tensor, weight: Tensor | None) -> Tensor:
        """That of the towers, which looks at log-odds that have no head."""
        parts = logits.split(self.n_outputs, dim=1)
        kept = [part[:, :n] for part, n in zip(parts, self.n_scores, strict=True)]
        assert self.towers.penalty is not None
        return self.towers.penalty(torch.cat(kept, dim=1), weight)
