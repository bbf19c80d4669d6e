"""A transformer over the entries of a list, in their order."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.draws import generator_of
from skmtl.modules.layers import Dense
from skmtl.modules.protocols import Pooling
from skmtl.modules.ragged import Ragged
from skmtl.modules.sharing import softmax

# Lists are filled up to these lengths, or to the most entries that are read.
_LENGTHS = (4, 8, 16, 32, 64, 128, 256, 512)
# Width that most rows have at the start, so that pooled lists are no louder than ids.
_START = 0.2


class TransformerPooling(Pooling):
    """Mean of the outputs of a transformer block over a list and its target.

    Entries, and the target after the last one if there is a target, are tokens: their
    embedding plus one of their position, counted from the end of the list. The block
    is self-attention of two heads and two dense layers, each with a residual connection
    and layer normalisation.

    Parameters
    ----------
    width : int
        Width of the embeddings.
    length : int, default=64
        Number of entries to read, the last ones.

    Notes
    -----
    Shape: as `Pooling`. A row takes time and memory by the square of the length of its
    list; rows of similar lengths are filled up and computed together.

    The paper hands the outputs of all tokens, of lists of a fixed length, to the next
    layers; here lists may have any length, and the outputs are averaged. Positions are
    counted in entries instead of seconds. Normalisation has no parameters, since the
    layers that follow can scale.

    References
    ----------
    Q. Chen et al., "Behavior Sequence Transformer for E-commerce Recommendation in
    Alibaba", DLP-KDD 2019, section 2.2.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import Ragged, TransformerPooling
    >>> lists = Ragged(torch.arange(5), torch.tensor([0, 3, 3, 5]))
    >>> pooling = TransformerPooling(width=4)
    >>> pooling(torch.rand(5, 4), lists, None).shape
    torch.Size([3, 4])
    """

    def __init__(self, *, width: int, length: int = 64) -> None:
        super().__init__()
        self.length, self.scale = length, width**0.5
        self.n_heads = 1 if width % 2 else 2
        # The target's position is the first row.
        self.positions = nn.Parameter(torch.empty(length + 1, width))
        generator = generator_of("cpu")
        nn.init.normal_(self.positions, std=_START, generator=generator)
        self.attention = Dense(width, 3 * width, bias=False)
        self.mixed = Dense(width, width)
        self.inner = Dense(width, 2 * width, relu=True)
        self.outer = Dense(2 * width, width)

    def forward(self, x: Tensor, bag: Ragged, query: Tensor | None) -> Tensor:
        found = x.new_zeros(len(bag), x.shape[1])
        lengths = bag.lengths.clamp(max=self.length)
        shorter = 0
        for length in _filled(int(lengths.max()) if len(bag) else 0):
            chosen = ((lengths > shorter) & (lengths <= length)).nonzero().flatten()
            shorter = length
            if not len(chosen):
                continue
            end = bag.offsets[1:].index_select(0, chosen)
            # The last entries, so that all lists end in the last column.
            at = end[:, None] - torch.arange(length, 0, -1, device=end.device)
            first = end - lengths.index_select(0, chosen)
            mask = at >= first[:, None]
            entries = x.index_select(0, at.clamp(min=0).flatten())
            own = None if query is None else query.index_select(0, chosen)
            rows = self._pool(entries.unflatten(0, at.shape), mask, own)
            found = found.index_add(0, chosen, rows)
        return found

    def padded(self, x: Tensor, mask: Tensor, query: Tensor | None) -> Tensor:
        return self._pool(x, mask, query)

    def _pool(self, x: Tensor, mask: Tensor, query: Tensor | None) -> Tensor:
        there = mask.long()
        place = there.sum(dim=1, keepdim=True) - there.cumsum(dim=1) + 1
        read = mask & (place <= self.length)
        place = place.clamp(0, self.length)
        some = mask.any(dim=1, keepdim=True)
        if query is not None:
            x = torch.cat([x, query[:, None]], dim=1)
            read = torch.cat([read, torch.ones_like(some)], dim=1)
            place = torch.cat([place, torch.zeros_like(place[:, :1])], dim=1)
        tokens = self.scale * x + F.embedding(place, self.positions)
        outputs = self._block(tokens, read)
        n = read.sum(dim=1, keepdim=True).clamp(min=1)
        mean = (outputs * read[:, :, None]).sum(dim=1) / n
        pooled: Tensor = _START / self.scale * mean * some
        return pooled

    def _block(self, x: Tensor, read: Tensor) -> Tensor:
        heads = self.attention(x).unflatten(2, (3, self.n_heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        score = query @ key.transpose(2, 3) / key.shape[3] ** 0.5
        hidden = torch.finfo(score.dtype).min
        # The gradient of torch's own softmax depends on the number of threads.
        weight = softmax(score.masked_fill(~read[:, None, None], hidden))
        mixed = (weight @ value).transpose(1, 2).flatten(2)
        x = _normalized(x + self.mixed(mixed))
        return _normalized(x + self.outer(self.inner(x)))


def _filled(longest: int) -> list[int]:
    """Lengths up to which lists are filled, which double where the others end."""
    found = list(_LENGTHS)
    while found[-1] < longest:
        found.append(2 * found[-1])
    return [*(n for n in found if n < longest), longest]


def _normalized(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])
