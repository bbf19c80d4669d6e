"""Shared experts and experts of each task, in several levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skmtl.modules.grouped_experts import GroupedExperts
from skmtl.modules.layers import Dense, TaskLinear
from skmtl.modules.sharing import Mixture, softmax


class ExtractionLevel(Mixture):
    """Customised gate control: a task's gate weights its own and the shared experts.

    Parameters
    ----------
    n_tasks, n_task_experts, n_shared_experts : int
        Number of tasks, of experts of each, and of shared experts.
    width : int
        Width of the inputs.
    units : sequence of int
        Widths of the layers of each expert.
    one_input : bool
        Whether tasks and shared experts read the same input, as in the first level.
    shared_gate : bool
        Whether a gate over all experts makes the shared input of a next level.
    dropout : float
        Share of a layer's outputs that is dropped in training.

    Notes
    -----
    Shape: inputs as in `GroupedExperts`, to ``(n_tasks, batch, units[-1])``, or with
    `shared_gate` to ``(n_tasks + 1, batch, units[-1])``, the shared one last.
    """

    # The experts that each task's gate weights, (n_tasks, own + shared).
    readable: Tensor

    def __init__(
        self,
        *,
        n_tasks: int,
        n_task_experts: int,
        n_shared_experts: int,
        width: int,
        units: Sequence[int],
        one_input: bool,
        shared_gate: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.experts = GroupedExperts(
            n_tasks=n_tasks,
            n_task_experts=n_task_experts,
            n_shared_experts=n_shared_experts,
            width=width,
            units=units,
            one_input=one_input,
            dropout=dropout,
        )
        self.gates = TaskLinear(n_tasks, width, n_task_experts + n_shared_experts)
        n_experts = self.experts.n_experts
        self.shared_gate = Dense(width, n_experts) if shared_gate else None
        own = torch.arange(n_tasks * n_task_experts).reshape(n_tasks, n_task_experts)
        shared = torch.arange(own.numel(), n_experts).expand(n_tasks, -1)
        self.register_buffer("readable", torch.cat([own, shared], 1), persistent=False)

    def mixture(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gate weights, 0 for other tasks' experts, and the experts' outputs."""
        experts = self.experts(x)
        # The first level has one input, for all tasks and the shared experts.
        each = x.expand(self.n_tasks + 1, *x.shape) if x.dim() == 2 else x
        own = softmax(self.gates(each[: self.n_tasks])).transpose(0, 1)
        # Over all experts, 0 for other tasks' own: one product makes all mixtures.
        weights = own.new_zeros(*own.shape[:2], experts.shape[1])
        # shape[0], because torch.export treats len() as a constant.
        readable = self.readable.expand(own.shape[0], -1, -1)
        weights = weights.scatter(2, readable, own)
        if self.shared_gate is not None:
            shared = softmax(self.shared_gate(each[-1]))
            weights = torch.cat([weights, shared.unsqueeze(1)], dim=1)
        return weights, experts


class ProgressiveExtraction(Mixture):
    """Levels of shared and task experts, whose outputs are the next level's inputs.

    Parameters
    ----------
    n_tasks, n_task_experts, n_shared_experts, n_levels : int
        Number of tasks, of experts of each task and of shared experts in a level, and
        of levels.
    width : int
        Width of the input.
    expert_units : sequence of int
        Widths of the layers of each expert, at least one.
    dropout : float
        Share of a layer's outputs that is dropped in training.

    Attributes
    ----------
    width : int
        Width of the representation.
    n_task_experts, n_shared_experts : int
        Number of experts of each task, and of shared experts.

    Notes
    -----
    Shape: ``(batch, width)`` to ``(n_tasks, batch, expert_units[-1])``. A ReLU follows
    each layer of an expert. Unlike those of the paper, gates have a bias.

    References
    ----------
    H. Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning
    (MTL) Model for Personalized Recommendations", RecSys 2020, section 4.1 for one
    level (CGC, equations 1 to 3), section 4.2 for several (equation 5).

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ProgressiveExtraction
    >>> sharing = ProgressiveExtraction(
    ...     n_tasks=2, n_task_experts=2, n_shared_experts=1, n_levels=2, width=8,
    ...     expert_units=(4,), dropout=0.0,
    ... )
    >>> sharing(torch.ones(5, 8)).shape
    torch.Size([2, 5, 4])

    The first task does not read the two experts of the second:

    >>> weights, experts = sharing.mixture(torch.ones(5, 8))
    >>> weights[0, 0].gt(0)
    tensor([ True,  True, False, False,  True])
    """

    def __init__(
        self,
        *,
        n_tasks: int,
        n_task_experts: int,
        n_shared_experts: int,
        n_levels: int,
        width: int,
        expert_units: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = expert_units[-1]
        self.n_task_experts, self.n_shared_experts = n_task_experts, n_shared_experts
        self.levels = nn.ModuleList(
            ExtractionLevel(
                n_tasks=n_tasks,
                n_task_experts=n_task_experts,
                n_shared_experts=n_shared_experts,
                width=width if level == 0 else self.width,
                units=expert_units,
                one_input=level == 0,
                shared_gate=level < n_levels - 1,
                dropout=dropout,
            )
            for level in range(n_levels)
        )

    def mixture(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gate weights and experts of the last level."""
        for level in self.levels[:-1]:
            x = level(x)
        weights, experts = self.levels[-1].mixture(x)  # type: ignore[operator]
        return weights, experts
