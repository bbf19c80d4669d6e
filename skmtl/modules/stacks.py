"""Stacks of dense layers side by side, in one step forward and one backward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from skmtl.modules.products import (
    SMALL,
    before_relu,
    column_sums,
    linear,
    over_rows,
    product,
    refuse_second_derivatives,
    takes,
    to_input,
)

# Up to so many numbers, what is computed of them number by number stays in the cache.
_IN_CACHE = 2**19

# Weight (n, width, n_units), bias (n, 1, n_units), and whether a ReLU follows.
Layer = tuple[Tensor, Tensor, bool]


def stacks(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """``x[i] @ weight[i] + bias[i]`` for every i, one layer after the other.

    Parameters
    ----------
    x : Tensor of shape (n or 1, batch, width)
        The inputs, or the one that all stacks read.
    layers : sequence of tuple
        Weight of shape (n, width, n_units), bias of shape (n, 1, n_units), and whether
        a ReLU follows.

    Returns
    -------
    Tensor of shape (n, batch, n_units)
        The outputs of the last layer.
    """
    n = len(layers[0][0])
    if not takes(x):
        x = x.expand(n, -1, -1)
        for weight, bias, relu in layers:
            x = torch.baddbmm(bias, x, weight)
            x = x.relu() if relu else x
        return x
    # Of an input that was broadcast the gradients may be wanted one by one.
    if len(x) == 1 < n or (x.stride(0) == 0 and not torch.is_grad_enabled()):
        return _from_one(x[0], layers)
    return _apart(x, layers)


def _from_one(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Stacks whose first layers read the same: these are one wide product."""
    (weight, bias, relu), *rest = layers
    side_by_side = weight.transpose(0, 1).flatten(1)
    out = linear(x, side_by_side, bias.flatten(), relu=relu)
    each = out.unflatten(1, (len(weight), -1)).transpose(0, 1)
    if not rest:
        return each.contiguous()  # for dropout to draw in the order of stacks
    if len(rest) == 1 and rest[0][0].shape[2] == 1 and each.numel() <= _IN_CACHE:
        return _units(each, *rest[0])
    return _apart(each, rest)


def _units(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """A layer of one unit for each stack, quicker than by products of a column each."""
    out = (x * weight.transpose(1, 2)).sum(dim=2, keepdim=True) + bias
    return out.relu() if relu else out


def _apart(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Layers of every stack by products of their own."""
    if not torch.is_grad_enabled():
        if x.shape[1] == 1 and all(w[0].numel() <= SMALL for w, *_ in layers):
            return _one_row(x, layers)
        return torch.stack([_last(x[i], layers, i) for i in range(len(x))])
    parameters = [p for weight, bias, _ in layers for p in (weight, bias)]
    out: Tensor = _Stacks.apply([relu for *_, relu in layers], x, *parameters)
    return out


def _one_row(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """What `product` does with one row and a small weight, for all stacks at once."""
    for weight, bias, relu in layers:
        x = (x.transpose(1, 2) * weight).sum(dim=1, keepdim=True) + bias
        x = x.relu() if relu else x
    return x


def _outputs(x: Tensor, layers: Sequence[Layer], i: int) -> Iterator[Tensor]:
    for weight, bias, relu in layers:
        x = product(x, weight[i], bias[i, 0], relu)
        yield x


def _last(x: Tensor, layers: Sequence[Layer], i: int) -> Tensor:
    *_, out = _outputs(x, layers, i)
    return out


class _Stacks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, relus: list[bool], x: Tensor, *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        layers = list(zip(weights, biases, relus, strict=True))
        rows = []  # of each stack, its input and the outputs of its layers
        for i, own in enumerate(x):
            own = own.contiguous()
            rows.append([own, *_outputs(own, layers, i)])
        ctx.relus = relus
        ctx.save_for_backward(*weights, *(tensor for row in rows for tensor in row))
        return torch.stack([row[-1] for row in rows])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        refuse_second_derivatives()
        n_layers = len(ctx.relus)
        weights, saved = ctx.saved_tensors[:n_layers], ctx.saved_tensors[n_layers:]
        _, need_x, *need = ctx.needs_input_grad
        found: list[list[Tensor]] = [[] for _ in need]
        n, n_rows, _ = gradients[0].shape
        dx = weights[0].new_empty(n, n_rows, weights[0].shape[1]) if need_x else None
        for i, g in enumerate(gradients[0]):
            row = saved[i * (n_layers + 1) : (i + 1) * (n_layers + 1)]
            for k in reversed(range(n_layers)):
                if ctx.relus[k]:
                    # Below the last layer the gradient is nobody else's.
                    g = before_relu(g, row[k + 1], in_place=k < n_layers - 1)
                if need[2 * k]:
                    found[2 * k].append(over_rows(row[k], g))
                if need[2 * k + 1]:
                    found[2 * k + 1].append(column_sums(g)[None])
                if k or need_x:
                    g = to_input(g, weights[k][i])
            if dx is not None:
                dx[i] = g
        of_parameters = [torch.stack(one) if one else None for one in found]
        return None, dx, *of_parameters
