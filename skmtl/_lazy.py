"""Optimisers of tables: rows that a batch does not touch cost nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# A row and a place in the batch are packed into one 64-bit integer.
_KEY_BITS = 63


def touched_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of a table that have a gradient, and the gradient of each.

    Parameters
    ----------
    gradient : sparse Tensor of shape (n_rows, width)
        Gradient of a table, a row as often as it was read.

    Returns
    -------
    rows : Tensor of shape (n_touched,), dtype int64
        Ascending.
    values : Tensor of shape (n_touched, width)
        Sums over the reads of each row, in the order of the batch.
    """
    indices, values = gradient._indices()[0], gradient._values()
    n_reads = len(indices)
    bits = max(n_reads - 1, 1).bit_length()
    packable = gradient.shape[0].bit_length() + bits <= _KEY_BITS
    on_cpu = gradient.device.type == "cpu"
    if gradient.is_coalesced() or not on_cpu or not n_reads or not packable:
        gradient = gradient.coalesce()
        return gradient.indices()[0], gradient.values()
    # torch's `coalesce` does the same in ten times the time: numpy sorts integers by
    # vector instructions, and a bag of embeddings sums rows with prefetching.
    keys = np.sort((indices.numpy() << bits) | np.arange(n_reads))
    sorted_rows = keys >> bits
    starts = np.flatnonzero(np.diff(sorted_rows, prepend=-1))
    places = torch.from_numpy(keys & ((1 << bits) - 1))
    sums = F.embedding_bag(places, values, torch.from_numpy(starts), mode="sum")
    return torch.from_numpy(sorted_rows[starts]), sums


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
        rows, g = touched_rows(table.grad)  # type: ignore[arg-type]
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


class RowAdagrad(torch.optim.Optimizer):
    """Adagrad with one sum for each row of a table, on the rows a batch touches.

    ``s_r += mean(g_r ** 2)`` and ``row_r -= lr * g_r / (sqrt(s_r) + eps)``: a row that
    is seldom seen takes larger steps. It keeps one number for each row, where Adam
    keeps two for each of its numbers.

    Parameters
    ----------
    params : iterable
        Parameters with sparse gradients along their first axis.
    lr, eps, weight_decay : float
        As in ``torch.optim.Adagrad``, with decoupled weight decay of the rows touched.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive Subgradient Methods for Online Learning
    and Stochastic Optimization", JMLR 12, 2011; by row as in D. Mudigere et al.,
    "Software-Hardware Co-design for Fast and Scalable Training of Deep Learning
    Recommendation Models", ISCA 2022, section 4.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group)

    def _update(self, table: Tensor, group: dict[str, Any]) -> None:
        rows, g = touched_rows(table.grad)  # type: ignore[arg-type]
        state = self.state[table]
        if not state:
            state["sum"] = table.new_zeros(len(table), 1)
        s = state["sum"].index_select(0, rows) + g.square().mean(dim=1, keepdim=True)
        state["sum"].index_copy_(0, rows, s)
        moved = table.index_select(0, rows)
        moved.mul_(1 - group["lr"] * group["weight_decay"])
        moved.addcdiv_(g, s.sqrt_().add_(group["eps"]), value=-group["lr"])
        table.index_copy_(0, rows, moved)
