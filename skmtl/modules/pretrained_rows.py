"""A table of ids, with pretrained vectors for some of them in a table of their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.draws import generator_of


@dataclass(frozen=True)
class Grown:
    """A table that got more rows.

    Attributes
    ----------
    before, after : torch.nn.Parameter
        The table before, and the one that takes its place.
    rows : Tensor of shape (len(after),), dtype int64
        The row before that each row starts with.
    fresh : Tensor of shape (len(after),), dtype bool
        Which rows were not there before.
    """

    before: nn.Parameter
    after: nn.Parameter
    rows: Tensor
    fresh: Tensor


def grown(before: nn.Parameter, rows: Tensor, fresh: Tensor) -> Grown:
    """Make a table with these rows of another."""
    numbers = before.detach()[rows.to(before.device)]
    after = nn.Parameter(numbers, requires_grad=before.requires_grad)
    return Grown(before, after, rows, fresh)


class PretrainedRows(nn.Module):
    """Embeddings of one vocabulary: pretrained vectors, and rows for all other ids.

    Parameters
    ----------
    vectors : Tensor of shape (n_vectors, width)
        The pretrained vectors.
    rows : Tensor of shape (n_vectors,), int64
        Rows of the vocabulary that they belong to; never row 0.
    own : Tensor of shape (size, dim)
        What the rows of the vocabulary start from; those of ids with a vector are not
        used.
    frozen : bool
        Whether the vectors stay as they are. The projection and the other rows are
        trained in any case.
    sparse : bool
        Whether tables get sparse gradients.
    learning_rate_factor : float
        Multiplier of the learning rate of the vectors.

    Attributes
    ----------
    projection : torch.nn.Linear or None
        From `width` to `dim`, where they differ. It keeps the variance at the start.

    Notes
    -----
    Shape: ids ``(...)``, rows of this vocabulary, to ``(..., dim)``. An id reads its
    vector, projected, plus its own row. One of the two is row 0 of its table, which
    stays at zero; so the sum is a choice, and mean or sum pooling can be done on it.
    """

    vectors: Tensor
    vector_of: Tensor
    own_of: Tensor

    def __init__(
        self,
        *,
        vectors: Tensor,
        rows: Tensor,
        own: Tensor,
        frozen: bool,
        sparse: bool,
        learning_rate_factor: float = 1.0,
    ) -> None:
        super().__init__()
        (size, dim), (n, width) = own.shape, vectors.shape
        self.frozen, self.sparse = frozen, sparse
        self.learning_rate_factor = learning_rate_factor
        without = torch.ones(size, dtype=torch.bool)
        without[rows] = False
        vector_of = torch.zeros(size, dtype=torch.int64)
        vector_of[rows] = torch.arange(1, n + 1)
        self.register_buffer("vector_of", vector_of)
        self.register_buffer("own_of", without.cumsum(0) * without)
        # Row 0 of both tables is zero, for ids that read the other one only.
        self.own = nn.Parameter(F.pad(own[without], (0, 0, 1, 0)))
        vectors = F.pad(vectors, (0, 0, 1, 0))
        if frozen:
            self.register_buffer("vectors", vectors)
        else:
            self.vectors = nn.Parameter(vectors)
        self.projection = None
        if width != dim:
            generator = generator_of("cpu")
            self.projection = nn.utils.skip_init(nn.Linear, width, dim, bias=False)
            weight = self.projection.weight
            # nn.Linear draws first, so that the same seed gives the same start.
            nn.init.kaiming_uniform_(weight, generator=generator)
            nn.init.normal_(weight, std=width**-0.5, generator=generator)

    def tables(self) -> list[tuple[nn.Parameter, float]]:
        """Tables that are trained, and the factor of their learning rates."""
        trained = [(self.own, 1.0)]
        if isinstance(self.vectors, nn.Parameter):  # not frozen
            trained.append((self.vectors, self.learning_rate_factor))
        return trained

    def forward(self, ids: Tensor) -> Tensor:
        vectors = F.embedding(
            self.vector_of[ids],
            self.vectors,
            padding_idx=0,
            sparse=self.sparse and not self.frozen,
        )
        if self.projection is not None:
            vectors = self.projection(vectors)
        own = F.embedding(self.own_of[ids], self.own, padding_idx=0, sparse=self.sparse)
        return vectors + own

    def grow(self, start: Tensor, new: Tensor) -> Grown:
        """Give the vocabulary more rows, which have no vectors.

        Parameters
        ----------
        start : Tensor of shape (size,), dtype int64
            The row before that each row starts with.
        new : Tensor of shape (size,), dtype bool
            Which rows were not there before.

        Returns
        -------
        Grown
            The table of rows without vectors.
        """
        n, device = len(self.own), self.own_of.device
        start, new = start.to(device), new.to(device)
        own_of, vector_of = self.own_of[start], self.vector_of[start]
        # Old rows keep their places. New ids come after them, and start from the row
        # that they read before.
        own = torch.cat([torch.arange(n, device=device), own_of[new]])
        fresh = torch.arange(len(own), device=device) >= n
        found = grown(self.own, own.cpu(), fresh.cpu())
        self.own = found.after
        own_of[new] = torch.arange(n, len(own), device=device)
        vector_of[new] = 0
        self.own_of, self.vector_of = own_of, vector_of
        return found
