"""A layer of experts and its mixtures, in one step forward and one backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skmtl.modules.products import (
    before_relu,
    column_sums,
    linear,
    over_rows,
    product,
    refuse_second_derivatives,
    takes,
    to_input,
)


def mixed_layer(x: Tensor, weight: Tensor, bias: Tensor, mixture: Tensor) -> Tensor:
    """Mixtures of experts that are one dense layer with ReLU.

    The experts' outputs are the widest tensor of the network. Here they are written
    once, and their gradient once, which the ReLU then changes in place.

    Parameters
    ----------
    x : Tensor of shape (batch, width)
        The input.
    weight : Tensor of shape (width, n_experts * n_units)
        The experts' weights side by side.
    bias : Tensor of shape (n_experts * n_units,)
        Their biases.
    mixture : Tensor of shape (batch, n_tasks, n_experts)
        Weights of the experts for each task.

    Returns
    -------
    Tensor of shape (batch, n_tasks, n_units)
        The weighted sums of the experts' outputs after ReLU.
    """
    if takes(x) and torch.is_grad_enabled():
        out: Tensor = _MixedLayer.apply(x, weight, bias, mixture)
        return out
    return _mix(mixture, linear(x, weight, bias, relu=True))


def _mix(mixture: Tensor, out: Tensor) -> Tensor:
    return torch.bmm(mixture, out.unflatten(1, (mixture.shape[2], -1)))


class _MixedLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mixture: Tensor
    ) -> Tensor:
        out = product(x, weight, bias, relu=True)
        ctx.save_for_backward(x, weight, mixture, out)
        return _mix(mixture, out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        refuse_second_derivatives()
        x, weight, mixture, out = ctx.saved_tensors
        need_x, need_weight, need_bias, need_mixture = ctx.needs_input_grad
        of_mixture = None
        if need_mixture:
            experts = out.unflatten(1, (mixture.shape[2], -1))
            of_mixture = torch.bmm(gradients[0], experts.transpose(1, 2))
        g = torch.bmm(mixture.transpose(1, 2), gradients[0]).flatten(1)
        g = before_relu(g, out, in_place=True)
        return (
            to_input(g, weight) if need_x else None,
            over_rows(x, g) if need_weight else None,
            column_sums(g) if need_bias else None,
            of_mixture,
        )
