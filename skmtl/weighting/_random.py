"""Weights drawn at random for every step."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from skmtl.modules.draws import generator_of
from skmtl.weighting._base import LossWeighting


class RandomLossWeighting(LossWeighting):
    """Draw the weights of every step: the softmax of standard normal numbers.

    The baseline that any other strategy should beat. The weights sum to the number of
    tasks, whereas those of the paper sum to 1.

    References
    ----------
    B. Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for
    Multi-Task Learning", TMLR 2022, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import RandomLossWeighting
    >>> weighting = RandomLossWeighting().start(["click", "order"])
    >>> loss = weighting(torch.tensor([1.0, 1.0]))
    >>> round(float(loss), 5)
    2.0
    """

    name: ClassVar[str | None] = "random"

    def forward(self, losses: Tensor) -> Tensor:
        # Drawn on the CPU, so that a seed gives the same weights on every device.
        weights = torch.randn(len(losses), generator=generator_of("cpu"))
        weights = weights.softmax(dim=0).to(losses)
        return len(losses) * torch.dot(weights, losses)
