"""The softmax of gates: over few numbers of many rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the last axis, which is short.

    On the CPU torch's own goes through such an axis number by number, and takes three
    times as long for 8 experts. A row has the same bits wherever it stands in a batch.

    Parameters
    ----------
    logits : Tensor of shape (..., n_experts)
        Logits; those of -inf get no weight.

    Returns
    -------
    Tensor of shape (..., n_experts)
        Weights that sum to 1.
    """
    if logits.device.type != "cpu" or torch.compiler.is_compiling():
        return logits.softmax(dim=-1)
    if logits.dtype is torch.bfloat16:
        logits = logits.float()  # its exponentials would be summed in bf16
    weights: Tensor = _Softmax.apply(logits)
    return weights


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        weights = (logits - logits.amax(dim=-1, keepdim=True)).exp_()
        weights /= weights.sum(dim=-1, keepdim=True)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (weights,) = ctx.saved_tensors
        g = gradients[0]
        mean = (g * weights).sum(dim=-1, keepdim=True)
        return (g - mean).mul_(weights)
