"""Bottoms of their own that are drawn towards each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skmtl.modules.layers import TaskLinear
from skmtl.modules.sharing import TaskBottoms


class SoftlySharedBottoms(TaskBottoms):
    """Separate dense layers for each task, with a penalty on their distance.

    Parameters
    ----------
    distance : {"l2", "trace_norm"}
        What is penalised, in the sum over layers. With a layer's weights and biases
        of task t as one row ``w_t`` of a matrix W: "l2" is ``sum_t ||w_t - mean w||²``;
        "trace_norm" is the sum of the singular values of W, which draws the rows into
        a space of few dimensions.
    strength : float
        Multiplier of the penalty.
    **sizes
        As in `TaskBottoms`.

    Notes
    -----
    Shape: as `TaskBottoms`. The singular values are roots of the eigenvalues of
    ``W Wᵀ``, of shape ``(n_tasks, n_tasks)``, which costs one small product a layer.

    References
    ----------
    L. Duong et al., "Low Resource Dependency Parsing: Cross-lingual Parameter Sharing
    in a Neural Network Parser", ACL 2015, for the squared distance; Y. Yang and T.
    Hospedales, "Trace Norm Regularised Deep Multi-Task Learning", ICLR workshop 2017,
    for the trace norm of layers (their last axis flattening).

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import SoftlySharedBottoms
    >>> bottoms = SoftlySharedBottoms(
    ...     distance="l2", strength=0.01, n_tasks=2, width=8, units=(4,)
    ... )
    >>> bottoms(torch.ones(5, 8)).shape
    torch.Size([2, 5, 4])
    >>> bottoms.penalty(torch.zeros(5, 2), None).shape
    torch.Size([])
    """

    def __init__(self, *, distance: str, strength: float, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.distance, self.strength = distance, strength

    def penalty(self, logits: Tensor, weight: Tensor | None) -> Tensor:
        """Compute the penalty on the distance of the tasks' layers.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_tasks)
            Not used, but for its type and device.
        weight : Tensor of shape (batch, n_tasks) or None
            Not used.

        Returns
        -------
        Tensor of shape ()
            The penalty, times `strength`.
        """
        measure = _spread if self.distance == "l2" else _trace_norm
        total = logits.new_zeros(())
        if self.n_tasks > 1:
            # Layers of dropout have no parameters.
            for layer in self.layers:
                if isinstance(layer, TaskLinear):
                    rows = torch.cat([layer.weight, layer.bias], dim=1).flatten(1)
                    total = total + measure(rows)
        return self.strength * total


def _spread(rows: Tensor) -> Tensor:
    return (rows - rows.mean(dim=0)).square().sum()


def _trace_norm(rows: Tensor) -> Tensor:
    eigenvalues = torch.linalg.eigvalsh(rows @ rows.T)
    # The root has no derivative at 0, which occurs if rows are copies of each other, so
    # eigenvalues below the rounding error of the largest one are clamped to it.
    rounding = torch.finfo(rows.dtype).eps * eigenvalues.detach().amax()
    total: Tensor = eigenvalues.clamp(min=rounding).sqrt().sum()
    return total
