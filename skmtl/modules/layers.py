"""Dense layers, single and stacked side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby, pairwise
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from skmtl.modules.products import linear
from skmtl.modules.stacks import stacks

L = TypeVar("L", bound=nn.Module)


class Dense(nn.Module):
    """A dense layer, if wanted with ReLU, with the same bits on any number of threads.

    Parameters
    ----------
    width, n_units : int
        Width of the input and of the output.
    bias : bool, default=True
        Whether there is a bias.
    relu : bool, default=False
        Whether a ReLU follows.

    Notes
    -----
    Shape: ``(batch, width)`` to ``(batch, n_units)``. It starts as ``torch.nn.Linear``
    does, but its weight is ``(width, n_units)``, laid out in memory as its gradient.
    """

    def __init__(
        self, width: int, n_units: int, *, bias: bool = True, relu: bool = False
    ) -> None:
        super().__init__()
        self.relu = relu
        start = nn.Linear(width, n_units, bias)
        self.weight = nn.Parameter(start.weight.detach().t().contiguous())
        self.bias = start.bias

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias, relu=self.relu)


class TaskLinear(nn.Module):
    """As many linear maps as tasks (or experts), side by side.

    Parameters
    ----------
    n : int
        Number of maps.
    width, n_units : int
        Width of the input and of the output of each.
    relu : bool, default=False
        Whether a ReLU follows.

    Notes
    -----
    Shape: ``(n, batch, width)`` to ``(n, batch, n_units)``. Every map starts as
    ``torch.nn.Linear`` does, and differently from the others.
    """

    def __init__(self, n: int, width: int, n_units: int, *, relu: bool = False) -> None:
        super().__init__()
        self.relu = relu
        self.weight = nn.Parameter(torch.empty(n, width, n_units))
        self.bias = nn.Parameter(torch.empty(n, 1, n_units))
        bound = 1.0 / math.sqrt(width)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return stacks(x, [(self.weight, self.bias, self.relu)])


class SideBySide(nn.Sequential):
    """Layers of ``TaskLinear``, and dropout; without it all of them in one step."""

    def forward(self, x: Tensor) -> Tensor:
        return one_after_the_other(x, self)


def one_after_the_other(x: Tensor, layers: Iterable[nn.Module]) -> Tensor:
    """Apply layers, those of ``TaskLinear`` that follow each other in one step."""
    for at_once, group in groupby(layers, lambda one: is_plain(one, TaskLinear)):
        if at_once:
            x = stacks(x, [(one.weight, one.bias, one.relu) for one in group])  # type: ignore[misc]
        else:
            for one in group:
                x = one(x)
    return x


def is_plain(layer: nn.Module, kind: type[L]) -> TypeGuard[L]:
    """Whether a layer's parameters may be read instead of calling it.

    Not those of a subclass, which may compute something else, and not where hooks wait
    for a call: pruning sets the weight in one.
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
            layers.append(nn.Dropout(dropout))
    return layers


def last_parameters(layers: nn.Sequential) -> list[Tensor]:
    """Parameters of the last layer of a stack that has any; empty for the identity."""
    for layer in reversed(layers):
        if found := list(layer.parameters()):
            return list(found)
    return []
