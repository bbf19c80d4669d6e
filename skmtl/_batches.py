"""Tables of tensors, and their batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from skmtl._device import fits, send, size_in_bytes

# Rows of so many batches as have so many rows are gathered at once.
_GATHERED_ROWS = 8192


class TensorTable(Dataset[Any]):
    """An encoded table with labels and weights, as tensors.

    Parameters
    ----------
    X : dict of str to Tensor or Bags, each with n_samples rows
        Arguments of the module.
    y : Tensor of shape (n_samples, n_tasks)
        Labels, 0 where not observed.
    weight : Tensor of shape (n_samples, n_tasks) or None
        Weights, 0 where not observed.
    """

    def __init__(self, X: dict[str, Any], y: Tensor, weight: Tensor | None) -> None:
        self.X, self.y, self.weight = X, y, weight
        self.device: torch.device | None = None  # where batches go, if elsewhere

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: str) -> TensorTable:
        """Put the table on a device, or where it does not fit send its batches there.

        A table takes at most half of what is free: parameters, their optimiser and
        what a step computes need the rest.
        """
        parts = (self.X, self.y, self.weight)
        if torch.device(device).type == "cpu" or fits(2 * size_in_bytes(parts), device):
            return TensorTable(*send(parts, device))
        self.device = torch.device(device)
        return self

    def take(self, at: Any) -> TensorTable:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[at]
        X = {name: x[at] for name, x in self.X.items()}
        taken = TensorTable(X, self.y[at], weight)
        taken.device = self.device
        return taken

    def rows(self, at: Any) -> tuple[dict[str, Any], tuple[Tensor, Tensor | None]]:
        """A batch."""
        taken = self.take(at)
        batch = taken.X, (taken.y, taken.weight)
        return batch if self.device is None else send(batch, self.device, pin=True)

    def where_labelled(self, values: Tensor) -> Tensor:
        """Values of tasks, NaN for those without a label here."""
        if self.weight is None:
            return values
        labelled = (self.weight != 0).any(dim=0).to(values.device)
        return values.where(labelled, torch.nan)


class Batches:
    """Slices of a table, without per-row work; shuffled anew at each pass."""

    def __init__(self, table: TensorTable, batch_size: int, *, shuffle: bool) -> None:
        self.table, self.batch_size, self.shuffle = table, batch_size, shuffle

    def __len__(self) -> int:
        return -(-len(self.table) // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        n = len(self.table)
        # Drawn on the CPU, so that a seed means the same on every device.
        order = torch.randperm(n).to(self.table.y.device) if self.shuffle else None
        if order is None or n <= self.batch_size:
            yield from self._slices(self.table)
            return
        # Rows of several batches are gathered at once, which takes half the time.
        n_batches = max(_GATHERED_ROWS // self.batch_size, 1)
        for at in order.split(n_batches * self.batch_size):
            yield from self._slices(self.table.take(at))

    def _slices(self, table: TensorTable) -> Iterator[Any]:
        for start in range(0, len(table), self.batch_size):
            yield table.rows(slice(start, start + self.batch_size))
