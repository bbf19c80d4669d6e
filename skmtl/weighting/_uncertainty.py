"""Weights learned as the noise of each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from skmtl.weighting._base import InitialLosses
from skmtl.weighting._checks import check_number


class Uncertainty(InitialLosses):
    r"""Weigh each task by the inverse of a learned variance.

    .. math::

        L = \sum_t e^{-s_t} L_t + \tfrac{1}{2} s_t

    where :math:`s_t = \log \sigma_t^2` is learned with the network. At the optimum
    :math:`e^{-s_t} = 1 / (2 L_t)`: a task with a small loss gets a large weight, and
    multiplying a loss by a number changes nothing.

    Parameters
    ----------
    learning_rate : float or None, default=None
        Step size of the log-variances; None for the network's.

    Notes
    -----
    This is the paper's form for classification (equation 10). Deviations: a batch
    without a label for a task says nothing about its noise, and adds no gradient of its
    log-variance. Log-variances start at the optimum for the losses before the first
    step (of at most 65,536 training rows), whereas the paper leaves the start open:
    from elsewhere, the weight of a rare task would take more than a few epochs.

    References
    ----------
    A. Kendall, Y. Gal, R. Cipolla, "Multi-Task Learning Using Uncertainty to Weigh
    Losses for Scene Geometry and Semantics", CVPR 2018, section 3.2, equations 5 to 10.

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import Uncertainty
    >>> weighting = Uncertainty().start(["click", "order"])
    >>> weighting.current()
    tensor([1., 1.])
    """

    name: ClassVar[str | None] = "uncertainty"

    def __init__(self, *, learning_rate: float | None = None) -> None:
        super().__init__()
        self.learning_rate = learning_rate

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        check_number(self, "learning_rate", above=0, optional=True)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))
        return self

    def first(self, losses: Tensor) -> None:
        # There the derivative by s is 0. A task without labels keeps a weight of 1.
        at_rest = torch.where(losses > 0, (2 * losses).log(), 0.0)
        with torch.no_grad():
            self.log_variance.copy_(at_rest)

    def forward(self, losses: Tensor) -> Tensor:
        terms = losses * (-self.log_variance).exp() + 0.5 * self.log_variance
        return torch.where(losses.detach() > 0, terms, 0.0).sum()

    def ahead(self) -> Tensor:
        return self.current()

    def current(self) -> Tensor:
        return (-self.log_variance.detach()).exp()
