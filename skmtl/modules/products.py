"""Matrix products of dense layers, forward and backward.

On the CPU in float32 they go to oneDNN instead of the BLAS that torch was built with.
oneDNN's products have the same bits on any number of threads; MKL's depend on it for
many shapes. Sums over more rows than `_ROWS` are made block by block, since oneDNN
shares those out among threads too. On AMD processors its products also take half the
time (MKL 2024.2, oneDNN 3.12).
Other types and devices take torch's own way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Up to so many rows, and a little more, sums had the same bits for all shapes tried.
_ROWS = 1024


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias``.

    Parameters
    ----------
    x : Tensor of shape (..., width)
        The input.
    weight : Tensor of shape (n_units, width)
        As ``torch.nn.Linear`` has it.
    bias : Tensor of shape (n_units,) or None
        As ``torch.nn.Linear`` has it.

    Returns
    -------
    Tensor of shape (..., n_units)
        The output.
    """
    if not _takes(x):
        return F.linear(x, weight, bias)
    if x.ndim > 2:
        return linear(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])
    if not torch.is_grad_enabled():
        return _product(x, weight, bias)
    out: Tensor = _Linear.apply(x, weight, bias)
    return out


def linear_each(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x[i] @ weight[i] + bias[i]`` for every i.

    Parameters
    ----------
    x : Tensor of shape (n, batch, width)
        The inputs.
    weight : Tensor of shape (n, width, n_units)
        The weights.
    bias : Tensor of shape (n, 1, n_units)
        The biases.

    Returns
    -------
    Tensor of shape (n, batch, n_units)
        The outputs.
    """
    if not _takes(x):
        return torch.baddbmm(bias, x, weight)
    if not torch.is_grad_enabled():
        return _each(x, weight, bias)
    out: Tensor = _LinearEach.apply(x, weight, bias)
    return out


def _takes(x: Tensor) -> bool:
    """Whether oneDNN can be asked, through torch 2's operator for fused layers."""
    return (
        x.dtype is torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and _available()
    )


def _available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_linear_pointwise"
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``, of matrices."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


def _over_rows(x: Tensor, g: Tensor) -> Tensor:
    """``x.T @ g``, the rows summed in the same order on any number of threads.

    The input comes first, since oneDNN copies its first matrix where it is a view, and
    the input is most often the smaller one.
    """
    blocks = zip(x.split(_ROWS), g.split(_ROWS), strict=True)
    total, *more = (_product(a.t(), b.t()) for a, b in blocks)
    for one in more:
        total += one
    return total


def _column_sums(g: Tensor) -> Tensor:
    """Sums over rows, likewise."""
    total, *more = (block.sum(dim=0) for block in g.split(_ROWS))
    for one in more:
        total += one
    return total


def _each(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    rows = zip(x, weight.transpose(1, 2), bias[:, 0], strict=True)
    return torch.stack([_product(*row) for row in rows])


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        g = gradients[0]
        return (
            _product(g, weight.t()) if need_x else None,
            _over_rows(x, g).t() if need_weight else None,
            _column_sums(g) if need_bias else None,
        )


class _LinearEach(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _each(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        g = gradients[0]
        dx = dweight = None
        if need_x:
            dx = torch.stack([_product(*pair) for pair in zip(g, weight, strict=True)])
        if need_weight:
            pairs = zip(x, g, strict=True)
            dweight = torch.stack([_over_rows(*pair) for pair in pairs])
        dbias = (
            torch.stack([_column_sums(one)[None] for one in g]) if need_bias else None
        )
        return dx, dweight, dbias
