"""Remove from each gradient what conflicts with another."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from skmtl.weighting._checks import Preference
from skmtl.weighting._torchjd import TorchJDWeighting, aggregation


class PCGrad(TorchJDWeighting):
    """Project each gradient away from those that it conflicts with.

    Solved by TorchJD (extra ``jd``) on the Gramian at the representation. Each task's
    gradient is projected onto the normal plane of every other that it points against,
    in random order; the projected gradients are added.

    Parameters
    ----------
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive numbers that multiply the losses before the solver sees their
        gradients.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    References
    ----------
    T. Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, algorithm 1.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight="pcgrad")
    """

    name: ClassVar[str | None] = "pcgrad"
    solver: None = None

    def __init__(
        self, *, preference: Preference | None = None, at: str = "representation"
    ) -> None:
        super().__init__(None, preference=preference, at=at)

    def _make(self, n_tasks: int) -> nn.Module:
        made: nn.Module = aggregation().PCGradWeighting()
        return made
