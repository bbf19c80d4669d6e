"""Optimisers and learning rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skmtl._lazy import LazyAdam, RowAdagrad


def dense_optimizer(
    name: str, params: list[Any], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Optimiser of the parameters, or groups of them, that every batch touches."""
    if name == "sgd":
        return torch.optim.SGD(params, lr, momentum=0.9, weight_decay=weight_decay)
    # AdamW without decay is Adam; with it, the decay does not pass the moments.
    return LazyAdam(params, lr, weight_decay=weight_decay)


def table_optimizer(
    name: str, params: list[nn.Parameter], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Optimiser of the table of ids."""
    if name == "adagrad":
        return RowAdagrad(params, lr, weight_decay=weight_decay)
    # Lazy where the gradients of tables are sparse.
    return dense_optimizer("adam", params, lr, weight_decay)


def replace_parameter(
    optimizer: torch.optim.Optimizer, old: Tensor, new: Tensor, rows: Tensor, fresh: Any
) -> None:
    """Put a table with more rows in the place of one, and keep what is known of rows.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Changed in place; one that does not train `old` stays as it is.
    old, new : Tensor with n_before and n_rows rows
        The tables.
    rows : Tensor of shape (n_rows,), dtype int64
        For each row of `new`, the row of `old` it started with.
    fresh : Tensor of shape (n_rows,), dtype bool
        Rows that begin without moments.
    """
    for group in optimizer.param_groups:
        group["params"] = [new if p is old else p for p in group["params"]]
    state = optimizer.state.pop(old, None)
    if state is None:
        return
    for name, value in state.items():
        if torch.is_tensor(value) and value.shape[:1] == old.shape[:1]:
            value = value[rows.to(value.device)]
            value[fresh.to(value.device)] = 0
        optimizer.state[new][name] = value


def schedule(
    optimizer: torch.optim.Optimizer, name: str | Callable[[float], float], steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Vary the learning rate over `steps` steps of training."""
    if callable(name):
        factor = name
    elif name == "cosine":
        factor = _cosine
    elif name == "linear":
        factor = _linear
    else:
        factor = _constant
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: factor(min(step / steps, 1.0))
    )


def _constant(progress: float) -> float:
    return 1.0


def _linear(progress: float) -> float:
    return 1.0 - progress


def _cosine(progress: float) -> float:
    return 0.5 + 0.5 * float(torch.cos(torch.tensor(progress * torch.pi)))
