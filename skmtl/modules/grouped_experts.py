"""Experts in groups: those of each task, and shared ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skmtl.modules.layers import dense_stack, side_by_side


class GroupedExperts(nn.Module):
    """Experts of each task and shared experts, with a separate input for each group.

    Parameters
    ----------
    n_tasks, n_task_experts, n_shared_experts : int
        Number of tasks, of experts of each, and of shared experts.
    width : int
        Width of the inputs.
    units : sequence of int
        Widths of the layers of each expert, at least one.
    one_input : bool
        Whether all groups read the same input. Their first layers are then one
        product; otherwise one batched product of the tasks and one of the shared.
    dropout : float
        Share of a layer's outputs that is dropped in training.

    Notes
    -----
    Shape: ``(batch, width)`` with `one_input`, else ``(n_tasks + 1, batch, width)``
    with the shared input last, to ``(batch, n_experts, units[-1])``: the experts of the
    first task, those of the second, …, the shared ones.
    """

    def __init__(
        self,
        *,
        n_tasks: int,
        n_task_experts: int,
        n_shared_experts: int,
        width: int,
        units: Sequence[int],
        one_input: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_experts = n_tasks * n_task_experts + n_shared_experts
        self.one_input, self.first_units = one_input, units[0]
        if one_input:
            self.first = dense_stack(width, [self.n_experts * units[0]], dropout)
        else:
            own = n_task_experts * units[0]
            self.of_tasks = side_by_side(n_tasks, width, [own], dropout)
            self.shared = dense_stack(width, [n_shared_experts * units[0]], dropout)
        self.rest = side_by_side(self.n_experts, units[0], units[1:], dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor
        if self.one_input:
            hidden = self.first(x)
        else:
            # The experts of each task in turn, before the shared ones.
            of_tasks = self.of_tasks(x[:-1]).transpose(0, 1).flatten(1)
            hidden = torch.cat([of_tasks, self.shared(x[-1])], dim=1)
        hidden = hidden.unflatten(1, (self.n_experts, self.first_units))
        if not len(self.rest):
            return hidden
        out: Tensor = self.rest(hidden.transpose(0, 1))
        return out.transpose(0, 1)
