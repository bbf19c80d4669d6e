"""Dense layers, single and stacked side by side, and their matrix products.

On the CPU in float32 the products go to oneDNN instead of the BLAS that torch was built
with. oneDNN's products have the same bits on any number of threads; MKL's depend on it
for many shapes. Sums over more rows than `_ROWS` are made block by block, since oneDNN
shares those out among threads too. On AMD processors its products also take half the
time (MKL 2024.2, oneDNN 3.12). Other types and devices take torch's own way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby, pairwise
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl._memory import free_memory
from skmtl.modules.draws import Dropout, generator_of

L = TypeVar("L", bound=nn.Module)

# A parameter with fewer numbers is taken without asking whether memory has room.
_SMALL = 2**24


def room_for(*shape: int) -> tuple[int, ...]:
    """Give a parameter's shape back if there is memory for it, before it is taken.

    Raises
    ------
    MemoryError
        Where the parameter, its gradient and two moments take more than is free.
    """
    size = 1
    for n in shape:
        size *= n
    free = None if size < _SMALL else free_memory()
    if free is None or 16 * size <= free:
        return shape
    raise MemoryError(
        f"A layer of {' x '.join(f'{n:,}' for n in shape)} numbers, its gradient and "
        f"its optimiser's moments take {16 * size // 2**30:,} GiB, but "
        f"{free / 2**30:,.1f} GiB are free. Give layers fewer units (expert_units, "
        "tower_units), fewer experts, or narrower embeddings (embedding_dim, bin_dim)."
    )


class Dense(nn.Module):
    """A dense layer with an optional ReLU, bit-identical on any number of threads.

    Parameters
    ----------
    width, n_units : int
        Width of the input and of the output.
    bias : bool, default=True
        Whether there is a bias.
    relu : bool, default=False
        Whether a ReLU follows.

    Attributes
    ----------
    weight : torch.nn.Parameter of shape (width, n_units)
        The weight.
    bias : torch.nn.Parameter of shape (n_units,) or None
        The bias.

    Raises
    ------
    MemoryError
        If the layer and what its training needs do not fit into the free memory.

    Notes
    -----
    Shape: ``(..., width)`` to ``(..., n_units)``. It starts as ``torch.nn.Linear``
    does, but its weight is ``(width, n_units)``, in the memory layout of its gradient.

    In float32 on the CPU it has no second derivatives.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import Dense
    >>> layer = Dense(8, 4, relu=True)
    >>> layer(torch.ones(5, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self, width: int, n_units: int, *, bias: bool = True, relu: bool = False
    ) -> None:
        super().__init__()
        self.relu = relu
        generator, bound = generator_of("cpu"), 1 / math.sqrt(width)
        # The draws of torch.nn.Linear, in its layout.
        start = torch.empty(room_for(n_units, width))
        nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        self.weight = nn.Parameter(start.t().contiguous())
        if bias:
            self.bias = nn.Parameter(torch.empty(n_units))
            nn.init.uniform_(self.bias, -bound, bound, generator=generator)
        else:
            self.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias, relu=self.relu)


class TaskLinear(nn.Module):
    """One linear map for each task (or expert), side by side.

    Parameters
    ----------
    n : int
        Number of maps.
    width, n_units : int
        Width of the input and of the output of each.
    relu : bool, default=False
        Whether a ReLU follows.

    Attributes
    ----------
    weight : torch.nn.Parameter of shape (n, width, n_units)
        The weights.
    bias : torch.nn.Parameter of shape (n, 1, n_units)
        The biases.

    Raises
    ------
    MemoryError
        If the layer and what its training needs do not fit into the free memory.

    Notes
    -----
    Shape: ``(n, batch, width)``, or ``(1, batch, width)`` for one input of all maps, to
    ``(n, batch, n_units)``. Every map starts as ``torch.nn.Linear`` does, and
    differently from the others. In float32 on the CPU it has no second derivatives.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import TaskLinear
    >>> layer = TaskLinear(2, 8, 4)
    >>> layer(torch.ones(2, 5, 8)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, n: int, width: int, n_units: int, *, relu: bool = False) -> None:
        super().__init__()
        self.relu = relu
        # torch.nn.Linear's bounds: kaiming_uniform_ with a=sqrt(5) is 1 / sqrt(width).
        self.weight = nn.Parameter(torch.empty(room_for(n, width, n_units)))
        self.bias = nn.Parameter(torch.empty(n, 1, n_units))
        bound = 1.0 / math.sqrt(width)
        for one in (self.weight, self.bias):
            nn.init.uniform_(one, -bound, bound, generator=generator_of("cpu"))

    def forward(self, x: Tensor) -> Tensor:
        return stacks(x, [(self.weight, self.bias, self.relu)])


class SideBySide(nn.Sequential):
    """Layers of ``TaskLinear`` and dropout; without dropout all layers in one step."""

    def forward(self, x: Tensor) -> Tensor:
        return one_after_the_other(x, self)


def one_after_the_other(x: Tensor, layers: Iterable[nn.Module]) -> Tensor:
    """Apply layers in turn; consecutive ``TaskLinear`` layers take one step."""
    for at_once, group in groupby(layers, lambda one: is_plain(one, TaskLinear)):
        if at_once:
            x = stacks(x, [(one.weight, one.bias, one.relu) for one in group])  # type: ignore[misc]
        else:
            for one in group:
                x = one(x)
    return x


def is_plain(layer: nn.Module, kind: type[L]) -> TypeGuard[L]:
    """Whether a layer's parameters may be used directly instead of calling the layer.

    False for a subclass, which may compute something else, and for a layer with hooks,
    which need the call: pruning sets the weight in one.
    """
    hooks = (
        layer._forward_hooks,
        layer._forward_pre_hooks,
        layer._backward_hooks,
        layer._backward_pre_hooks,
    )
    return type(layer) is kind and not any(hooks) and "forward" not in vars(layer)


def dense_stack(width: int, units: Sequence[int], dropout: float) -> nn.Sequential:
    """Dense layers with ReLU, and dropout after each.

    Parameters
    ----------
    width : int
        Width of the input.
    units : sequence of int
        Width of every layer; empty for the identity.
    dropout : float
        Share of a layer's outputs that is dropped in training.

    Returns
    -------
    torch.nn.Sequential
        Maps ``(batch, width)`` to ``(batch, units[-1])``.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import dense_stack
    >>> layers = dense_stack(8, [16, 4], dropout=0.1)
    >>> [type(layer).__name__ for layer in layers]
    ['Dense', 'Dropout', 'Dense', 'Dropout']
    >>> layers(torch.ones(5, 8)).shape
    torch.Size([5, 4])
    """
    return nn.Sequential(*_layers(partial(Dense, relu=True), width, units, dropout))


def side_by_side(
    n: int, width: int, units: Sequence[int], dropout: float
) -> SideBySide:
    """Stacks of dense layers with ReLU, `n` of them side by side.

    Maps ``(n, batch, width)`` to ``(n, batch, units[-1])``.
    """
    layer = partial(TaskLinear, n, relu=True)
    return SideBySide(*_layers(layer, width, units, dropout))


def _layers(
    layer: Callable[[int, int], nn.Module],
    width: int,
    units: Sequence[int],
    dropout: float,
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, n_units in pairwise([width, *units]):
        layers.append(layer(before, n_units))
        if dropout:
            layers.append(Dropout(dropout))
    return layers


def last_parameters(layers: nn.Sequential) -> list[Tensor]:
    """Parameters of the last layer of a stack that has any; empty for the identity."""
    for layer in reversed(layers):
        if found := list(layer.parameters()):
            return list(found)
    return []


def output_width(
    module: nn.Module, width: int, argument: str, role: str, hint: str
) -> int:
    """Width of the output of a module of a user, found by evaluating it on two rows.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(batch, width)`` to ``(batch, units)``.
    width : int
        Width of its input.
    argument, role, hint : str
        The hyperparameter that holds it, what it is, and what to do if it does
        something else, for the error.

    Raises
    ------
    ValueError
        If the module raises an error or gives something else for two rows.
    """
    training = module.training
    expected = (
        f"{argument}: {type(module).__name__} is {role}. It must map (batch, {width}) "
        f"to (batch, units), where {width} is the width of its input, but for two rows"
    )
    try:
        with torch.no_grad():
            found = module.eval()(torch.zeros(2, width))
    # Whatever a module of a user raises says that it does not fit.
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{expected} it raised {what}. {hint}") from error
    finally:
        module.train(training)
    if not torch.is_tensor(found) or found.shape[:-1] != (2,):
        raise ValueError(f"{expected} it gave {_form(found)}. {hint}")
    return int(found.shape[-1])


def _form(found: object) -> str:
    """Shapes of tensors, and types of all else."""
    if isinstance(found, Tensor):
        return str(tuple(found.shape))
    if isinstance(found, (tuple, list)):
        return f"a {type(found).__name__} of {', '.join(map(_form, found))}"
    return f"a {type(found).__name__}"


# Up to this many numbers, the results of elementwise operations stay in the cache.
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
    if not uses_onednn(x):
        x = x.expand(n, -1, -1)
        for weight, bias, relu in layers:
            x = torch.baddbmm(bias, x, weight)
            x = x.relu() if relu else x
        return x
    # The gradients of an input that was broadcast may be wanted one by one.
    if len(x) == 1 < n or (x.stride(0) == 0 and not torch.is_grad_enabled()):
        return _from_one(x[0], layers)
    return _one_by_one(x, layers)


def _from_one(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Apply stacks whose first layers read the same input, as one wide product."""
    (weight, bias, relu), *rest = layers
    side_by_side = weight.transpose(0, 1).flatten(1)
    out = linear(x, side_by_side, bias.flatten(), relu=relu)
    each: Tensor = out.unflatten(1, (len(weight), -1)).transpose(0, 1)
    if not rest:
        return each.contiguous()  # for dropout to draw in the order of stacks
    if len(rest) == 1 and rest[0][0].shape[2] == 1 and each.numel() <= _IN_CACHE:
        return _units(each, *rest[0])
    return _one_by_one(each, rest)


def _units(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """Apply one unit per stack, which is faster than products with one column each."""
    out = (x * weight.transpose(1, 2)).sum(dim=2, keepdim=True) + bias
    return out.relu() if relu else out


def _one_by_one(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Apply the layers of every stack by separate products."""
    if not torch.is_grad_enabled():
        if x.shape[1] == 1 and all(w[0].numel() <= SMALL for w, *_ in layers):
            return _one_row(x, layers)
        return torch.stack([_last(x[i], layers, i) for i in range(len(x))])
    parameters = [p for weight, bias, _ in layers for p in (weight, bias)]
    out: Tensor = _Stacks.apply([relu for *_, relu in layers], x, *parameters)  # type: ignore[no-untyped-call]
    return out


def _one_row(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Do what `product` does with one row and a small weight, for all stacks."""
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
                    # Below the last layer, nothing else refers to this gradient.
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


# Up to this many rows, and a few more, sums were bit-identical for all shapes tried.
_ROWS = 1024

# With a weight of up to this many numbers, a product with one row is faster without
# oneDNN, for which a call takes 18 µs (on an Intel Xeon of 2023).
SMALL = 16_384

# Products with fewer columns than this are narrow.
_WIDE = 256


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, relu: bool = False
) -> Tensor:
    """``x @ weight + bias``, with negative values set to 0 if asked for.

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
    if not uses_onednn(x):
        out = F.linear(x, weight.t(), bias)
        return out.relu() if relu else out
    if x.ndim > 2:
        flat = linear(x.flatten(0, -2), weight, bias, relu=relu)
        rows: Tensor = flat.unflatten(0, x.shape[:-1])
        return rows
    if not torch.is_grad_enabled():
        return product(x, weight, bias, relu)
    found: Tensor = _Linear.apply(x, weight, bias, relu)  # type: ignore[no-untyped-call]
    return found


def uses_onednn(x: Tensor) -> bool:
    """Whether oneDNN can be called, through torch 2's operator for fused layers."""
    return (
        not torch.compiler.is_compiling()
        and x.dtype is torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0  # oneDNN refuses an input of width 0
        and not torch.is_autocast_enabled("cpu")
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
    """``x @ weight + bias`` of matrices, with negative values set to 0 if asked for."""
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
            weight = weight.contiguous()  # oneDNN is slow on other strides
        out = torch.ops.mkldnn._linear_pointwise(x, weight.t(), bias, "none", [], "")
    # oneDNN's own ReLU turns NaN into 0, which would hide a diverging loss.
    return out.relu_() if relu else out


def to_input(g: Tensor, weight: Tensor) -> Tensor:
    """``g @ weight.T``, the gradient at the input of a layer."""
    return g * weight.t() if g.shape[1] == 1 else product(g, weight.t())


def over_rows(x: Tensor, g: Tensor) -> Tensor:
    """``x.T @ g``, with the rows summed in the same order on any number of threads."""
    if g.shape[1] == 1:
        return column_sums(x * g)[:, None]
    # oneDNN computes the transpose of a narrow product in as little as half the time.
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
    """Sums over rows, in the same order on any number of threads."""
    if g.shape[0] <= _ROWS:
        return g.sum(dim=0)
    total: Tensor
    total, *more = (block.sum(dim=0) for block in g.split(_ROWS))
    for one in more:
        total += one
    return total


def before_relu(g: Tensor, out: Tensor, *, in_place: bool = False) -> Tensor:
    """Gradient before a ReLU, from the gradient after it and its output."""
    if in_place:
        torch.ops.aten.threshold_backward.grad_input(g, out, 0, grad_input=g)
        return g
    found: Tensor = torch.ops.aten.threshold_backward(g, out, 0)
    return found


def refuse_second_derivatives() -> None:
    """Refuse to record the graph of a gradient, which would lack oneDNN's products.

    Called in every backward pass.
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
        # Whether the output is above 0 is all that the gradient of a ReLU needs.
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
