"""Columns of lists as tensors, from which batches are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


class Ragged:
    """A column of lists on the device.

    Parameters
    ----------
    values : Tensor of shape (n_entries,)
        Entries of all rows, one row after the other.
    offsets : Tensor of shape (n_rows + 1,), dtype int64
        Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
    """

    def __init__(self, values: Tensor, offsets: Tensor) -> None:
        self.values, self.offsets = values, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Tensor:
        """Number of entries of each row."""
        return self.offsets.diff()

    @cached_property
    def row(self) -> Tensor:
        """Row of each entry."""
        return torch.repeat_interleave(self.lengths, output_size=len(self.values))

    def __getitem__(self, rows: Any) -> Ragged:
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(len(self))
            offsets = self.offsets[start : max(start, stop) + 1]
            return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])
        lengths = self.lengths[rows]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        total = int(offsets[-1])
        jump = self.offsets[:-1][rows] - offsets[:-1]
        at = torch.repeat_interleave(jump, lengths, output_size=total)
        at += torch.arange(total, device=at.device)
        return Ragged(self.values[at], offsets)

    def to(self, device: str) -> Ragged:
        """Move to a device."""
        return Ragged(self.values.to(device), self.offsets.to(device))


class Bags:
    """Columns of lists of one table, from which rows are taken together.

    Parameters
    ----------
    columns : iterable of Ragged
        The columns, each with a list for every row.
    """

    def __init__(self, columns: Iterable[Ragged]) -> None:
        self.columns = tuple(columns)

    def __iter__(self) -> Iterator[Ragged]:
        return iter(self.columns)

    def __getitem__(self, rows: Any) -> Bags:
        return Bags([column[rows] for column in self.columns])

    def to(self, device: str) -> Bags:
        """Move to a device."""
        return Bags([column.to(device) for column in self.columns])
