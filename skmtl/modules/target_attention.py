"""The attention of the Deep Interest Network: entries weighed by a small network."""

from __future__ import annotations

import torch
from torch import Tensor

from skmtl.modules.bags import pool_sum
from skmtl.modules.layers import Dense
from skmtl.modules.protocols import Pooling
from skmtl.modules.ragged import Ragged

# Times the square root of its width, it makes the numbers of an embedding start with
# variance 1.
_UNIT = 5.0


class TargetAttention(Pooling):
    r"""Sum of a list's entries, weighted by a network that sees entry and target.

    .. math::

        \sum_j a(x_j, q)\, x_j, \quad
        a(x, q) = w^\top \operatorname{relu}(A x + B q + C (x \odot q) + b) + c

    Parameters
    ----------
    width : int
        Width of the embeddings.
    units : int, default=36
        Width of the hidden layer, that of the paper.

    Raises
    ------
    ValueError
        When it is called without a `query`.

    Notes
    -----
    Shape: as `Pooling`. The weights are not brought to sum 1, as in the paper, so that
    they also say how much interest there is.

    The paper passes the difference of entry and target too; any linear map of it is one
    of the two. The layer's activation is ReLU instead of PReLU or Dice. Embeddings
    start near 0, and enter the network scaled to variance 1.

    References
    ----------
    G. Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018,
    section 4.3 and figure 2.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import Ragged, TargetAttention
    >>> lists = Ragged(torch.arange(5), torch.tensor([0, 3, 3, 5]))
    >>> pooling = TargetAttention(width=4)
    >>> pooling(torch.ones(5, 4), lists, torch.ones(3, 4)).shape
    torch.Size([3, 4])
    """

    def __init__(self, *, width: int, units: int = 36) -> None:
        super().__init__()
        self.scale = _UNIT * width**0.5
        self.of_entries = Dense(2 * width, units, bias=False)
        self.of_target = Dense(width, units)
        self.output = Dense(units, 1)

    def forward(self, x: Tensor, bag: Ragged, query: Tensor | None) -> Tensor:
        query = self._scaled(query)
        there = self.of_target(query).index_select(0, bag.row)
        weight = self._weight(x, query.index_select(0, bag.row), there)
        return pool_sum(weight * x, bag)

    def padded(self, x: Tensor, mask: Tensor, query: Tensor | None) -> Tensor:
        query = self._scaled(query)
        weight = self._weight(x, query[:, None], self.of_target(query)[:, None])
        return (weight * x * mask[:, :, None]).sum(dim=1)

    def _scaled(self, query: Tensor | None) -> Tensor:
        if query is None:
            raise ValueError(
                "TargetAttention compares entries with the row's target, but query is "
                "None. Pass the target's embeddings."
            )
        scaled: Tensor = self.scale * query
        return scaled

    def _weight(self, x: Tensor, query: Tensor, of_target: Tensor) -> Tensor:
        entries = self.scale * x
        seen = self.of_entries(torch.cat([entries, entries * query], dim=-1))
        weight: Tensor = self.output((seen + of_target).relu())
        return weight
