"""Task networks that exchange activations after every layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skmtl.modules.draws import Dropout
from skmtl.modules.layers import TaskLinear
from skmtl.modules.protocols import Sharing


class CrossStitchBottoms(Sharing):
    """Dense layers for each task, whose outputs are mixed linearly after each.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    width : int
        Width of the input.
    units : sequence of int
        Widths of the layers, at least one.
    own_weight : float
        Weight of a task's own activations at the start; the others share the rest.
    dropout : float
        Share of a layer's outputs that is dropped in training, before they are mixed.

    Attributes
    ----------
    width : int
        Width of the representation.
    stitches : torch.nn.ParameterList
        A matrix of shape (n_tasks, n_tasks) for each layer; row t holds the weights of
        all tasks' activations in those of task t.

    Notes
    -----
    Shape: ``(batch, width)`` to ``(n_tasks, batch, units[-1])``. A ReLU follows each
    layer. All units of a layer have the same weights.

    References
    ----------
    I. Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016,
    section 3.2, equation 1.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import CrossStitchBottoms
    >>> bottoms = CrossStitchBottoms(
    ...     n_tasks=2, width=8, units=(16, 4), own_weight=0.9, dropout=0.0
    ... )
    >>> bottoms(torch.ones(5, 8)).shape
    torch.Size([2, 5, 4])
    >>> bottoms.stitches[0].data
    tensor([[0.9000, 0.1000],
            [0.1000, 0.9000]])
    """

    def __init__(
        self,
        *,
        n_tasks: int,
        width: int,
        units: Sequence[int],
        own_weight: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_tasks, self.width = n_tasks, units[-1]
        widths = [width, *units[:-1]]
        self.layers = nn.ModuleList(
            TaskLinear(n_tasks, w, n, relu=True)
            for w, n in zip(widths, units, strict=True)
        )
        start = torch.full((n_tasks, n_tasks), (1 - own_weight) / max(n_tasks - 1, 1))
        start.fill_diagonal_(own_weight if n_tasks > 1 else 1.0)
        self.stitches = nn.ParameterList(start.clone() for _ in units)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(self.n_tasks, *x.shape)
        for layer, stitch in zip(self.layers, self.stitches, strict=True):
            x = self.dropout(layer(x))
            # Rows and units of a task side by side: one product mixes all of them.
            x = (stitch @ x.flatten(1)).unflatten(1, x.shape[1:])
        return x
