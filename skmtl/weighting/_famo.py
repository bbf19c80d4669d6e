"""Equal progress for all tasks, from losses alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor

from skmtl.weighting._base import LossWeighting
from skmtl.weighting._checks import check_number
from skmtl.weighting._step import Step

# Adam's usual constants, which the reference implementation uses too.
_DECAY_MEAN, _DECAY_SQUARE, _EPSILON = 0.9, 0.999, 1e-8


class FAMO(LossWeighting):
    r"""Let all losses fall at the same relative rate, without looking at gradients.

    The network descends :math:`\sum_t w_t L_t` with

    .. math::

        w_t = \frac{T c z_t}{L_t}, \qquad z = \mathrm{softmax}(\xi), \qquad
        c = \Big( \sum_u \frac{z_u}{L_u} \Big)^{-1}

    for `T` tasks. After each step the losses of the same batch are computed again, and
    the logits :math:`\xi` descend along

    .. math::

        J^\top \big( \log L - \log L' \big) + \gamma \xi

    with :math:`J` the Jacobian of the softmax, :math:`L` the losses before the step and
    :math:`L'` those after it. A task whose loss fell by a larger share than the others'
    loses weight.

    Parameters
    ----------
    learning_rate : float, default=0.025
        Step size of the logits, above 0.
    gamma : float, default=1e-3
        Decay of the logits towards equal shares, at least 0. The larger it is, the
        sooner old steps are forgotten.

    Notes
    -----
    The losses after the step cost one more forward pass of the network.

    As in the reference implementation, the logits take steps of Adam, whereas the
    paper's algorithm 1 has plain gradient descent. These steps are the strategy's own,
    whatever optimiser the network has. Deviations: the weights sum to the number of
    tasks, whereas those of the paper sum to 1, so that a learning rate means the same
    as with equal weights. A task without a label in the batch is left out, and its
    logit does not change. Losses are compared under the same dropout before and after
    the step. Their lower bound is 0; in the reference implementation the user can
    change it.

    References
    ----------
    B. Liu, Y. Feng, P. Stone, Q. Liu, "FAMO: Fast Adaptive Multitask Optimization",
    NeurIPS 2023, section 3, equations 8 to 11, algorithm 1.

    Examples
    --------
    With equal shares the rarer task gets the larger weight, since its loss is smaller:

    >>> import torch
    >>> from skmtl.weighting import FAMO
    >>> weighting = FAMO().start(["click", "order"])
    >>> losses = torch.tensor([0.3, 0.1], requires_grad=True)
    >>> weighting(losses).backward()
    >>> losses.grad
    tensor([0.5000, 1.5000])
    """

    name: ClassVar[str | None] = "famo"
    looks_back: ClassVar[bool] = True
    logits: Tensor
    n_steps: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, *, learning_rate: float = 0.025, gamma: float = 1e-3) -> None:
        super().__init__()
        self.learning_rate: float = learning_rate
        self.gamma = gamma

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        check_number(self, "learning_rate", above=0)
        check_number(self, "gamma", at_least=0)
        # Buffers, not parameters: no optimiser of the network steps them.
        for name in ("logits", "n_steps", "mean", "square"):
            self.register_buffer(name, torch.zeros(len(self.tasks)))
        return self

    def forward(self, losses: Tensor) -> Tensor:
        seen = losses.detach()
        active = seen > 0
        # Without a graph: the derivative of this sum by a loss is to be its weight.
        share = torch.where(active, self._shares(active) / (seen + _EPSILON), 0.0)
        weights = share * (active.sum() / share.sum().clamp(min=_EPSILON))
        return torch.dot(weights, losses)

    def after_step(self, step: Step) -> None:
        before, after = step.losses.detach(), step.losses_after()
        active = before > 0
        fall = torch.where(active, _log(before) - _log(after), 0.0)
        shares = self._shares(active)
        # The Jacobian of the softmax, diag(z) - z z', times the falls.
        slope = shares * (fall - torch.dot(shares, fall)) + self.gamma * self.logits
        if slope.isfinite().all():  # otherwise the next loss ends training
            self._descend(slope, active)

    def _shares(self, active: Tensor) -> Tensor:
        """Softmax of the logits over the tasks that have a loss; 0 for the others."""
        if not active.any():
            return torch.zeros_like(self.logits)
        return self.logits.masked_fill(~active, -torch.inf).softmax(dim=0)

    def _descend(self, slope: Tensor, active: Tensor) -> None:
        """Take a step of Adam on the logits of the active tasks."""
        n_steps = self.n_steps + active
        mean = torch.lerp(slope, self.mean, _DECAY_MEAN)
        square = torch.lerp(slope.square(), self.square, _DECAY_SQUARE)
        length = (square / (1 - _DECAY_SQUARE**n_steps)).sqrt() + _EPSILON
        logits = self.logits - self.learning_rate * (
            mean / (1 - _DECAY_MEAN**n_steps) / length
        )
        self.n_steps = n_steps
        self.mean = torch.where(active, mean, self.mean)
        self.square = torch.where(active, square, self.square)
        self.logits = torch.where(active, logits, self.logits)


def _log(losses: Tensor) -> Tensor:
    return (losses + _EPSILON).log()
