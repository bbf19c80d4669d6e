"""Matrix products of dense layers, forward and backward.

On the CPU in float32 they go to oneDNN instead of the BLAS that torch was built with.
oneDNN's products have the same bits on any number of threads; MKL's depend on it for
many shapes. Sums over more rows than `_ROWS` are made block by block, since oneDNN
shares those out among threads too. On AMD processors its products also take half the
time (MKL 2024.2, oneDNN 3.12).
Other types and devices take torch's own way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Up to so many rows, and a little more, sums had the same bits for all shapes tried.
_ROWS = 1024

# Up to so many numbers of the weight, a product with one row is quicker without oneDNN,
# of which a call takes 18 µs (on an Intel Xeon of 2023).
SMALL = 16_384

# Products with fewer columns than this are narrow.
_WIDE = 256


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, relu: bool = False
) -> Tensor:
    """``x @ weight + bias``, or what of it is above 0.

    Parameters
    ----------
    x : Tensor of shape (..., width)
        The input.
    weight : Tensor of shape (width, n_units)
        The weight.
    bias : Tensor of shape (n_units,) or None
        The bias.
    relu : bool, default=False
        Whether a ReLU follows.

    Returns
    -------
    Tensor of shape (..., n_units)
        The output.
    """
    if not takes(x):
        out = F.linear(x, weight.t(), bias)
        return out.relu() if relu else out
    if x.ndim > 2:
        flat = linear(x.flatten(0, -2), weight, bias, relu=relu)
        return flat.unflatten(0, x.shape[:-1])
    if not torch.is_grad_enabled():
        return product(x, weight, bias, relu)
    found: Tensor = _Linear.apply(x, weight, bias, relu)
    return found


def takes(x: Tensor) -> bool:
    """Whether oneDNN can be asked, through torch 2's operator for fused layers."""
    return (
        x.dtype is torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and _available()
    )


@cache
def _available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_linear_pointwise"
    )


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """``x @ weight + bias`` of matrices, or what of it is above 0."""
    if len(x) == 1 and weight.numel() <= SMALL:
        out = (x.t() * weight).sum(dim=0, keepdim=True)
        out = out if bias is None else out + bias
    elif len(x) == 1 and weight.is_contiguous():
        # A weighted sum of rows, read once and added one by one: half oneDNN's time.
        rows = torch.arange(len(weight))[None]
        out = F.embedding_bag(rows, weight, mode="sum", per_sample_weights=x)
        out = out if bias is None else out + bias
    else:
        if not (weight.is_contiguous() or weight.t().is_contiguous()):
            weight = weight.contiguous()  # oneDNN is slow with other views
        out = torch.ops.mkldnn._linear_pointwise(x, weight.t(), bias, "none", [], "")
    # oneDNN's own ReLU makes 0 of NaN, which would hide a loss that diverges.
    return out.relu_() if relu else out


def to_input(g: Tensor, weight: Tensor) -> Tensor:
    """``g @ weight.T``, the gradient at the input of a layer."""
    return g * weight.t() if g.shape[1] == 1 else product(g, weight.t())


def over_rows(x: Tensor, g: Tensor) -> Tensor:
    """``x.T @ g``, the rows summed in the same order on any number of threads."""
    if g.shape[1] == 1:
        return column_sums(x * g)[:, None]
    # Of a narrow product oneDNN makes the transpose in as little as half the time.
    turned = g.shape[1] < min(x.shape[1], _WIDE)
    left, right = (g, x) if turned else (x, g)
    if g.shape[0] <= _ROWS:
        total = product(left.t(), right)
    else:
        blocks = zip(left.split(_ROWS), right.split(_ROWS), strict=True)
        total, *more = (product(a.t(), b) for a, b in blocks)
        for one in more:
            total += one
    return total.t() if turned else total


def column_sums(g: Tensor) -> Tensor:
    """Sums over rows, likewise."""
    if g.shape[0] <= _ROWS:
        return g.sum(dim=0)
    total, *more = (block.sum(dim=0) for block in g.split(_ROWS))
    for one in more:
        total += one
    return total


def before_relu(g: Tensor, out: Tensor, *, in_place: bool = False) -> Tensor:
    """Gradient before a ReLU, from that after it and what it gave."""
    if in_place:
        torch.ops.aten.threshold_backward.grad_input(g, out, 0, grad_input=g)
        return g
    found: Tensor = torch.ops.aten.threshold_backward(g, out, 0)
    return found


def refuse_second_derivatives() -> None:
    """Refuse a graph of a gradient, which oneDNN's products would be missing from.

    To be called where a gradient is made.
    """
    if torch.is_grad_enabled():  # by create_graph=True
        raise NotImplementedError(
            "In float32 on the CPU dense layers have no second derivatives. Leave "
            "create_graph=True out, or bring the network to float64: module.double()."
        )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool
    ) -> Tensor:
        out = product(x, weight, bias, relu)
        ctx.save_for_backward(x, weight, out if relu else None)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        refuse_second_derivatives()
        x, weight, out = ctx.saved_tensors
        need_x, need_weight, need_bias, _ = ctx.needs_input_grad
        g = gradients[0] if out is None else before_relu(gradients[0], out)
        return (
            to_input(g, weight) if need_x else None,
            over_rows(x, g) if need_weight else None,
            column_sums(g) if need_bias else None,
            None,
        )
