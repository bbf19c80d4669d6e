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
    keys = indices.numpy() << bits
    keys |= np.arange(n_reads)
    keys.sort()
    sorted_rows = keys >> bits
    first = np.ones(n_reads, dtype=bool)
    np.not_equal(sorted_rows[1:], sorted_rows[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    keys &= (1 << bits) - 1
    places = torch.from_numpy(keys)
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
            state["step"] = torch.zeros((), device=table.device)
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        state["step"] += 1
        whole = table, state["exp_avg"], state["exp_avg_sq"]
        moved, m, v = (one.index_select(0, rows) for one in whole)
        beta1, beta2 = group["betas"]
        # What AdamW(fused=True) calls: one pass over these rows instead of eight.
        torch._fused_adamw_(
            [moved],
            [g],
            [m],
            [v],
            [],
            [state["step"]],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
        for one, new in zip(whole, (moved, m, v), strict=True):
            one.index_copy_(0, rows, new)


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
