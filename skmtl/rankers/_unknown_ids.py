"""Training for ids that nobody has seen: known ids play the unknown."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skmtl.encoding import TableEncoder


class UnknownIds:
    """Replace ids of a batch by their column's unknown row, the rarer the more often.

    Parameters
    ----------
    rate : float
        An id seen on n rows is replaced with the probability ``rate / (rate + n)``.
    encoder : TableEncoder
        Knows n, and what takes the place of an unknown id.
    device : str
        Where the batches are.

    Notes
    -----
    Shape: ``(batch, n_columns)`` to the same. Rows of further hashes, which come after
    those of the columns, stay as they are, and so do the entries of lists. Where an
    id's fallback is itself replaced, that of the fallback is taken. Random numbers come
    from torch's generator of the device.

    References
    ----------
    E. Kiperwasser and Y. Goldberg, "Simple and Accurate Dependency Parsing Using
    Bidirectional LSTM Feature Representations", TACL 2016, paragraph "Word dropout".
    """

    def __init__(self, rate: float, encoder: TableEncoder, device: str) -> None:
        n = torch.from_numpy(encoder.row_frequencies()).to(device).float()
        self.probability = torch.where(n > 0, rate / (rate + n), 0.0)
        layout = encoder.layout_
        self.first = torch.tensor(layout.column_first, dtype=torch.int64, device=device)
        self.sizes = torch.tensor(layout.column_sizes, dtype=torch.int64, device=device)
        first = layout.column_first
        # For each column of a chain, what turns its id to the row that stands for it.
        self.chains = [
            (
                one.column,
                [
                    (c, first[one.column] + row - first[c] - 1)
                    for c, row in zip(one.chain, one.first, strict=True)
                ],
            )
            for one in layout.fallbacks
        ]

    def __call__(self, ids: Tensor) -> Tensor:
        columns = ids[:, : len(self.first)]
        chance = self.probability.index_select(0, columns.flatten()).view_as(columns)
        replaced = torch.rand_like(chance) < chance
        first = self.first.to(ids.dtype)
        found = torch.where(replaced, first, columns)
        if self.chains:
            self._fall_back(found, columns, replaced)
        return torch.cat([found, ids[:, len(first) :]], dim=1)

    def _fall_back(self, found: Tensor, columns: Tensor, replaced: Tensor) -> None:
        codes = columns - self.first.to(columns.dtype)
        known = (codes > 0) & (codes < self.sizes) & ~replaced
        for column, chain in self.chains:
            row = self.first[column].to(columns.dtype)
            for c, shift in reversed(chain):
                row = torch.where(known[:, c], columns[:, c] + shift, row)
            found[:, column] = torch.where(known[:, column], columns[:, column], row)


def unknown_ids(ranker: Any, encoder: TableEncoder) -> UnknownIds | None:
    """What a ranker's `unknown_rate` asks for; None where there is nothing to do."""
    if not ranker.unknown_rate or not encoder.row_frequencies().any():
        return None
    return UnknownIds(ranker.unknown_rate, encoder, ranker.device)
