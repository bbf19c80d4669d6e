"""Dense layers, single and stacked side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skmtl.modules.products import linear, linear_each


class Dense(nn.Linear):
    """``torch.nn.Linear`` with the same bits on any number of threads.

    Notes
    -----
    Shape: ``(batch, in_features)`` to ``(batch, out_features)``.
    """

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


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
    layers: list[nn.Module] = []
    for n_units in units:
        layers += [Dense(width, n_units), nn.ReLU(inplace=True)]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = n_units
    return nn.Sequential(*layers)


class TaskLinear(nn.Module):
    """As many linear maps as tasks (or experts), in one batched product.

    Parameters
    ----------
    n : int
        Number of maps.
    width, n_units : int
        Width of the input and of the output of each.

    Notes
    -----
    Shape: ``(n, batch, width)`` to ``(n, batch, n_units)``. Every map starts as
    ``torch.nn.Linear`` does, and differently from the others.
    """

    def __init__(self, n: int, width: int, n_units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, width, n_units))
        self.bias = nn.Parameter(torch.empty(n, 1, n_units))
        bound = 1.0 / math.sqrt(width)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return linear_each(x, self.weight, self.bias)


def side_by_side(
    n: int, width: int, units: Sequence[int], dropout: float
) -> nn.Sequential:
    """Stacks of dense layers with ReLU, `n` of them in batched products.

    Maps ``(n, batch, width)`` to ``(n, batch, units[-1])``.
    """
    layers: list[nn.Module] = []
    for n_units in units:
        layers += [TaskLinear(n, width, n_units), nn.ReLU(inplace=True)]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = n_units
    return nn.Sequential(*layers)


def last_parameters(layers: nn.Sequential) -> list[Tensor]:
    """Parameters of the last layer of a stack that has any; empty for the identity."""
    for layer in reversed(layers):
        if found := list(layer.parameters()):
            return list(found)
    return []
