"""Raise the worst task while descending the mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from torch import nn

from skmtl.weighting._checks import Preference, check_number
from skmtl.weighting._torchjd import TorchJDWeighting, aggregation


class CAGrad(TorchJDWeighting):
    """Descend near the mean gradient, in favour of the task that gains least.

    Solved by TorchJD (extra ``jd``) on the Gramian at the representation, by a cone
    program in every step.

    Parameters
    ----------
    c : float, default=0.5
        Radius of the ball around the mean gradient, relative to its length; at least
        0. With 0 the direction is the mean gradient itself.
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive numbers that multiply the losses before the solver sees their
        gradients.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    References
    ----------
    B. Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS
    2021, algorithm 1.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight="cagrad")
    """

    name: ClassVar[str | None] = "cagrad"
    solver: None = None

    def __init__(
        self,
        *,
        c: float = 0.5,
        preference: Preference | None = None,
        at: str = "representation",
    ) -> None:
        super().__init__(None, preference=preference, at=at)
        self.c = c

    def start(self, tasks: Sequence[str]) -> Self:
        check_number(self, "c", at_least=0)
        return super().start(tasks)

    def _make(self, n_tasks: int) -> nn.Module:
        made: nn.Module = aggregation().CAGradWeighting(c=self.c)
        return made
