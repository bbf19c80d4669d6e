"""Weights by how fast each loss falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor

from skmtl.weighting._base import LossWeighting
from skmtl.weighting._checks import check_number


class DynamicWeightAverage(LossWeighting):
    r"""Give more weight to tasks whose loss falls slowly, epoch by epoch.

    .. math::

        w_t(e) = T \frac{\exp(r_t(e-1) / \tau)}{\sum_u \exp(r_u(e-1) / \tau)}, \qquad
        r_t(e-1) = \frac{L_t(e-1)}{L_t(e-2)}

    with :math:`L_t(e)` the mean training loss of epoch `e`, and `T` tasks. All weights
    are 1 in the first two epochs.

    Parameters
    ----------
    temperature : float, default=2.0
        :math:`\tau`, above 0. The larger it is, the more equal the weights are.

    References
    ----------
    S. Liu, E. Johns, A. J. Davison, "End-to-End Multi-Task Learning with Attention",
    CVPR 2019, section 3.3, equation 7.

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import DynamicWeightAverage
    >>> weighting = DynamicWeightAverage().start(["click", "order"])
    >>> weighting.after_epoch(torch.tensor([0.8, 0.1]))
    >>> weighting.after_epoch(torch.tensor([0.4, 0.1]))
    >>> weighting.current()
    tensor([0.8756, 1.1244])
    """

    name: ClassVar[str | None] = "dynamic_weight_average"
    weights: Tensor
    before: Tensor

    def __init__(self, *, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        check_number(self, "temperature", above=0)
        self.register_buffer("weights", torch.ones(len(self.tasks)))
        # NaN before the first epoch.
        self.register_buffer("before", torch.full((len(self.tasks),), torch.nan))
        return self

    def forward(self, losses: Tensor) -> Tensor:
        return torch.dot(self.weights, losses)

    def after_epoch(self, losses: Tensor) -> None:
        if not self.before.isnan().all():
            # A task without any label has a loss of 0; it counts as unchanged.
            ratio = torch.where(self.before > 0, losses / self.before, 1.0)
            self.weights = len(ratio) * torch.softmax(ratio / self.temperature, dim=0)
        self.before = losses.detach().clone()

    def ahead(self) -> Tensor:
        return self.weights

    def current(self) -> Tensor:
        return self.weights
