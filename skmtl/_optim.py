"""Optimisers: rows that a batch does not touch cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class LazyAdam(torch.optim.Optimizer):
    """Adam on the rows of a table that a batch touches.

    The moments of a row that no batch touches stay as they are, where dense Adam
    lets them decay and goes on moving the row. Bias correction counts all steps, as
    in ``torch.optim.SparseAdam``; weight decay is decoupled, and applies to the rows
    touched.

    Parameters
    ----------
    params : iterable
        Parameters with sparse gradients along their first axis.
    lr, betas, eps, weight_decay : float
        As in ``torch.optim.AdamW``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group)

    def _update(self, table: Tensor, group: dict[str, Any]) -> None:
        gradient = table.grad.coalesce()  # type: ignore[union-attr]
        rows, g = gradient.indices()[0], gradient.values()
        state = self.state[table]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        m = state["exp_avg"].index_select(0, rows).lerp_(g, 1 - beta1)
        v = state["exp_avg_sq"].index_select(0, rows).mul_(beta2)
        v.addcmul_(g, g, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, m)
        state["exp_avg_sq"].index_copy_(0, rows, v)
        correction1 = 1 - beta1 ** state["step"]
        correction2 = 1 - beta2 ** state["step"]
        spread = v.sqrt_().div_(correction2**0.5).add_(group["eps"])
        moved = table.index_select(0, rows)
        moved.mul_(1 - group["lr"] * group["weight_decay"])
        moved.addcdiv_(m, spread, value=-group["lr"] / correction1)
        table.index_copy_(0, rows, moved)


def dense_optimizer(
    name: str, params: list[Any], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Optimiser of the parameters, or groups of them, that every batch touches."""
    if name == "sgd":
        return torch.optim.SGD(params, lr, momentum=0.9, weight_decay=weight_decay)
    # AdamW without decay is Adam; with it, the decay does not pass the moments.
    return torch.optim.AdamW(params, lr, weight_decay=weight_decay, fused=True)


def table_optimizer(
    name: str, params: list[nn.Parameter], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Optimiser of the table of ids."""
    if name == "lazy_adam":
        return LazyAdam(params, lr, weight_decay=weight_decay)
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
