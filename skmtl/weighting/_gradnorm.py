"""Weights that give the tasks' gradients the same size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from skmtl.weighting._base import InitialLosses
from skmtl.weighting._checks import Preference, check_number
from skmtl.weighting._gradient import GradientWeighting
from skmtl.weighting._step import Step


class GradNorm(InitialLosses, GradientWeighting):
    r"""Learn weights under which all tasks train at similar rates.

    Let :math:`G_t = \|w_t \nabla L_t\|`, with mean :math:`\bar G`. The relative inverse
    training rate :math:`r_t` is the share of its initial loss that a task still has,
    divided by the mean of these shares. The weights descend

    .. math:: \sum_t \left| G_t - \bar G r_t^\alpha p_t \right|

    with the right-hand term held fixed and preferences :math:`p_t` (1 by default).
    The network descends :math:`\sum_t w_t L_t`, towers included.

    Parameters
    ----------
    alpha : float, default=1.5
        At least 0. The larger it is, the more slow tasks are favoured; 0 for gradients
        of the same size.
    learning_rate : float or None, default=0.025
        Step size of the logarithms of the weights; None for the network's.
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive numbers: the size of each task's gradient, relative to the others.
    at : str, default="representation"
        Where gradients are taken: at the "representation", which costs only a norm, at
        the "last_shared_layer", as in the paper, or over all "shared_parameters". The
        latter two cost a backward pass for every task.

    Notes
    -----
    Deviations from the paper: the logarithms of the weights are learned, so that
    weights stay positive, and after each step they are scaled to sum to the number of
    tasks. :math:`L_t(0)` is measured on (at most 65,536) training rows before the
    first step, not on the first batch. A task without a label in the batch is left out,
    and gets no gradient. The logarithms take steps of the ranker's `optimizer`: with
    Adam, the default, the first one has the length of `learning_rate` for every task,
    however unequal the gradients are, and later ones are scaled by past slopes.
    No second derivative is needed:
    :math:`\partial G_t / \partial \log w_t = G_t`.

    References
    ----------
    Z. Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in
    Deep Multitask Networks", ICML 2018, section 3, equations 1 and 2, algorithm 1.

    Examples
    --------
    >>> from skmtl.weighting import GradNorm
    >>> GradNorm(alpha=0.5).start(["click", "order"]).current()
    tensor([1., 1.])
    """

    name: ClassVar[str | None] = "gradnorm"

    def __init__(
        self,
        *,
        alpha: float = 1.5,
        learning_rate: float | None = 0.025,
        preference: Preference | None = None,
        at: str = "representation",
    ) -> None:
        super().__init__(preference=preference, at=at)
        self.alpha = alpha
        self.learning_rate = learning_rate

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        check_number(self, "alpha", at_least=0)
        check_number(self, "learning_rate", above=0, optional=True)
        self.log_weights = nn.Parameter(torch.zeros(len(self.tasks)))
        return self

    def backward(self, step: Step) -> None:
        weights = self.current()
        step.through_towers(weights, apart=True)
        # The Gramian is of the unweighted losses.
        norms = weights * step.gramian(self.at).diagonal().clamp(min=0).sqrt()
        # The ranker's optimiser steps it, like every parameter of the criterion.
        self.log_weights.grad = self.slope(norms, step.losses.detach())
        step.descend()

    def slope(self, norms: Tensor, losses: Tensor) -> Tensor:
        """Compute the gradient with respect to the logarithms of the weights.

        Parameters
        ----------
        norms : Tensor of shape (n_tasks,)
            Norms of the weighted gradients, 0 for a task that is left out.
        losses : Tensor of shape (n_tasks,)
            Losses of the batch.

        Returns
        -------
        Tensor of shape (n_tasks,)
            ``G_t sign(G_t - target_t)``.
        """
        active = (norms > 0) & (self.initial > 0)
        left = torch.where(active, losses / self.initial, 0.0)
        n_active = active.sum().clamp(min=1)
        rate = left * n_active / left.sum()
        preference = self.preference_ * n_active / (self.preference_ * active).sum()
        mean = (norms * active).sum() / n_active
        target = mean * rate**self.alpha * preference
        return torch.where(active, (norms - target).sign() * norms, 0.0)

    def after_step(self, step: Step) -> None:
        with torch.no_grad():
            # Keeps the sum of the weights at the number of tasks.
            total = self.log_weights.logsumexp(dim=0)
            self.log_weights.add_(math.log(len(self.log_weights)) - total)

    def current(self) -> Tensor:
        return self.log_weights.detach().exp()
