"""Strategies that use the gradients of the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from skmtl.weighting._base import LossWeighting
from skmtl.weighting._checks import Preference, check_choice, check_preference
from skmtl.weighting._step import Step

# What linear algebra raises for matrices that it cannot factorize.
_FAILURES: tuple[type[Exception], ...] = (
    np.linalg.LinAlgError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined,unused-ignore]
)
PLACES = ("representation", "last_shared_layer", "shared_parameters")


class GradientWeighting(LossWeighting):
    """Base of strategies that weigh tasks by the Gramian of their gradients.

    A subclass defines `solve`. The weights act on what the tasks share. Every tower
    gets the gradient of the plain losses, as in MGDA's algorithm 2, where the
    parameters of one task follow their own loss. Gates count as shared here.

    Parameters
    ----------
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive numbers, one for each task, of which only the ratios count. None for
        equal ones.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    Examples
    --------
    A complete strategy, which gives all gradients the same length:

    >>> from skmtl.weighting import GradientWeighting
    >>> class SameLength(GradientWeighting):
    ...     def solve(self, gramian, losses, active):
    ...         return gramian.diagonal().rsqrt()
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight=SameLength())
    """

    apart: ClassVar[bool] = True
    preference_: Tensor

    def __init__(
        self, *, preference: Preference | None = None, at: str = "representation"
    ) -> None:
        super().__init__()
        self.preference = preference
        self.at = at

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        preference = check_preference(self.preference, self.tasks)
        self.register_buffer("preference_", preference)
        check_choice(self, "at", PLACES)
        return self

    def backward(self, step: Step) -> None:
        step.through_towers(torch.ones_like(step.losses), apart=True)
        with torch.no_grad():
            # Solvers factorize it, and it is nearly singular if gradients are alike.
            gramian = step.gramian(self.at).double()
            weights = self.weigh(gramian, step.losses.detach().double())
            # If a solver fails, the weights of the previous step stay in force.
            if weights.isfinite().all():
                self.in_force = weights.to(self.in_force)
        step.descend(self.in_force)

    def weigh(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """Weigh all tasks.

        Tasks without a gradient (no label in the batch) are left out; the others are
        weighed as if they were the only ones.

        Parameters
        ----------
        gramian : Tensor of shape (n_tasks, n_tasks), dtype float64
            Inner products of the tasks' gradients.
        losses : Tensor of shape (n_tasks,), dtype float64
            Losses of the batch.

        Returns
        -------
        Tensor of shape (n_tasks,)
            Weights; 1 for a task without a gradient, NaN if none were found.
        """
        active = gramian.diagonal() > 0
        weights = torch.ones_like(losses)
        if active.any() and gramian.isfinite().all():
            among = gramian[active][:, active]
            try:
                found = self.solve(among, losses[active], active)
            except _FAILURES:
                found = torch.full_like(among[0], torch.nan)
            weights[active] = found.to(weights)
        return weights

    def solve(self, gramian: Tensor, losses: Tensor, active: Tensor) -> Tensor:
        """Weigh the tasks that have a gradient.

        Parameters
        ----------
        gramian : Tensor of shape (n_active, n_active), dtype float64
            Inner products of their gradients, positive on the diagonal.
        losses : Tensor of shape (n_active,), dtype float64
            Their losses.
        active : Tensor of shape (n_tasks,), dtype bool
            Which tasks they are.

        Returns
        -------
        Tensor of shape (n_active,)
            Weights.
        """
        raise NotImplementedError

    def reference(self) -> Tensor:
        return self.preference_
