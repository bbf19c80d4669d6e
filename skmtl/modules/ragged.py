"""Columns of lists as tensors, from which batches are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TypeAlias

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

    Examples
    --------
    Lists of two, no and one entries:

    >>> import torch
    >>> from skmtl.modules import Ragged
    >>> lists = Ragged(torch.tensor([7, 8, 9]), torch.tensor([0, 2, 2, 3]))
    >>> lists.lengths
    tensor([2, 0, 1])
    >>> lists.row
    tensor([0, 0, 2])
    >>> lists[torch.tensor([2, 0])].values
    tensor([9, 7, 8])
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
        # With the size given, a GPU need not be waited for.
        return torch.repeat_interleave(self.lengths, output_size=len(self.values))

    def __getitem__(self, rows: slice | Tensor) -> Ragged:
        if isinstance(rows, slice) and rows.step in (None, 1):
            # Consecutive rows are views of the entries.
            start, stop, _ = rows.indices(len(self))
            offsets = self.offsets[start : max(start, stop) + 1]
            return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])
        lengths = self.lengths[rows]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        total = int(offsets[-1])
        # Old place of each row's first entry minus the new one, as for all its entries.
        jump = self.offsets[:-1][rows] - offsets[:-1]
        at = torch.repeat_interleave(jump, lengths, output_size=total)
        at += torch.arange(total, device=at.device)
        return Ragged(self.values[at], offsets)

    def to(self, device: str | torch.device, *, non_blocking: bool = False) -> Ragged:
        """Move to a device.

        Parameters
        ----------
        device : str or torch.device
            Where to.
        non_blocking : bool, default=False
            As in ``torch.Tensor.to``.

        Returns
        -------
        Ragged
            With tensors on the device.
        """
        return self._map(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Ragged:
        """Copy to memory that a GPU reads by itself.

        Returns
        -------
        Ragged
            With pinned tensors.
        """
        return self._map(Tensor.pin_memory)

    @property
    def nbytes(self) -> int:
        """Bytes of entries and offsets."""
        return self.values.nbytes + self.offsets.nbytes

    def _map(self, change: Callable[[Tensor], Tensor]) -> Ragged:
        return Ragged(change(self.values), change(self.offsets))


class Bags:
    """Columns of lists of one table, from which rows are taken together.

    Parameters
    ----------
    columns : iterable of Ragged
        The columns, each with a list for every row.

    Attributes
    ----------
    columns : tuple of Ragged
        The columns.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import Bags, Ragged
    >>> history = Ragged(torch.tensor([7, 8, 9]), torch.tensor([0, 2, 2, 3]))
    >>> tags = Ragged(torch.tensor([1, 2, 3]), torch.tensor([0, 1, 2, 3]))
    >>> [column.values.tolist() for column in Bags([history, tags])[1:]]
    [[9], [2, 3]]
    """

    def __init__(self, columns: Iterable[Ragged]) -> None:
        self.columns = tuple(columns)

    def __iter__(self) -> Iterator[Ragged]:
        return iter(self.columns)

    def __getitem__(self, rows: slice | Tensor) -> Bags:
        return Bags([column[rows] for column in self.columns])

    def to(self, device: str | torch.device, *, non_blocking: bool = False) -> Bags:
        """Move to a device.

        Parameters
        ----------
        device : str or torch.device
            Where to.
        non_blocking : bool, default=False
            As in ``torch.Tensor.to``.

        Returns
        -------
        Bags
            With tensors on the device.
        """
        return Bags(c.to(device, non_blocking=non_blocking) for c in self.columns)

    def pin_memory(self) -> Bags:
        """Copy to memory that a GPU reads by itself.

        Returns
        -------
        Bags
            With pinned tensors.
        """
        return Bags(column.pin_memory() for column in self.columns)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(column.nbytes for column in self.columns)


# Arguments of a network by name: ids, bins, numbers, and columns of lists.
Inputs: TypeAlias = dict[str, Tensor | Bags]
