"""Experts on shared embeddings and on each task's own, gradients kept apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skmtl.modules.grouped_experts import GroupedExperts
from skmtl.modules.layers import TaskLinear
from skmtl.modules.protocols import Sharing
from skmtl.modules.sharing import softmax


class EmbeddingExperts(Sharing):
    """Gates over all experts, with gradients only to a task's own and shared experts.

    Each task has an embedding and experts on it, and there are shared ones. A task's
    gate weighs the experts of all tasks, but its loss does not change the experts and
    embeddings of the others.

    Parameters
    ----------
    n_tasks, n_task_experts, n_shared_experts : int
        Number of tasks, of experts of each, and of shared experts.
    width : int
        Width of one embedding.
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
    Shape: ``(n_tasks + 1, batch, width)``, the shared embedding last, to ``(n_tasks,
    batch, expert_units[-1])``. A task's gate reads the sum of its own and the shared
    embedding. A ReLU follows each layer of an expert. In the authors' code gates have
    hidden layers, and such levels can be stacked; here gates are linear, and there is
    one level.

    References
    ----------
    L. Su et al., "STEM: Unleashing the Power of Embeddings for Multi-task
    Recommendation", AAAI 2024, section on the all forward task-specific backward
    gating network.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import EmbeddingExperts
    >>> _ = torch.manual_seed(0)
    >>> sharing = EmbeddingExperts(
    ...     n_tasks=2, n_task_experts=2, n_shared_experts=1, width=8,
    ...     expert_units=(4,), dropout=0.0,
    ... )
    >>> x = torch.rand(3, 5, 8, requires_grad=True)
    >>> representation = sharing(x)
    >>> representation.shape
    torch.Size([2, 5, 4])

    The first task has no gradient at the embedding of the second:

    >>> representation[0].sum().backward()
    >>> x.grad.abs().sum(dim=(1, 2)) > 0
    tensor([ True, False,  True])
    """

    own: Tensor
    others: Tensor

    def __init__(
        self,
        *,
        n_tasks: int,
        n_task_experts: int,
        n_shared_experts: int,
        width: int,
        expert_units: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = expert_units[-1]
        self.n_task_experts, self.n_shared_experts = n_task_experts, n_shared_experts
        self.experts = GroupedExperts(
            n_tasks=n_tasks,
            n_task_experts=n_task_experts,
            n_shared_experts=n_shared_experts,
            width=width,
            units=expert_units,
            one_input=False,
            dropout=dropout,
        )
        self.gates = TaskLinear(n_tasks, width, self.experts.n_experts)
        # A task may change its own experts, and all tasks the shared ones.
        own = torch.eye(n_tasks).repeat_interleave(n_task_experts, dim=1)
        own = torch.cat([own, torch.ones(n_tasks, n_shared_experts)], dim=1)
        self.register_buffer("own", own, persistent=False)
        self.register_buffer("others", 1 - own, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weights, experts = self.mixture(x)
        mixed = torch.bmm(weights * self.own, experts)
        # Experts of other tasks count in the forward pass, but get no gradient.
        mixed = mixed + torch.bmm(weights * self.others, experts.detach())
        return mixed.transpose(0, 1)

    def mixture(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute gate weights and the experts' outputs.

        Parameters
        ----------
        x : Tensor of shape (n_tasks + 1, batch, width)
            The inputs, the shared one last.

        Returns
        -------
        weights : Tensor of shape (batch, n_tasks, n_experts)
            Weights of the experts in each task's mixture, summing to 1.
        experts : Tensor of shape (batch, n_experts, width)
            Outputs of the experts: those of each task in turn, then the shared ones.
        """
        gates: Tensor = self.gates(x[:-1] + x[-1])
        return softmax(gates).transpose(0, 1), self.experts(x)
