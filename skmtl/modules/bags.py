"""From the embeddings of a list's ids to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from skmtl._messages import shown
from skmtl.modules.ragged import Ragged

# Length at which a row counts half as long in a cosine: that of most rows at the start
# is 0.2. The cosine with a row at 0, that of unknown ids, is 0, and its slope is small.
_SOFT_LENGTH = 0.1

# Whether a pooling reads a query; None if it may.
_QUERY = {
    "mean": False,
    "sum": False,
    "max": False,
    "attention": True,
    "din": True,
    "transformer": None,
}


@dataclass(frozen=True)
class BagColumn:
    """The vocabulary that a column of lists reads, and how its lists are pooled.

    Parameters
    ----------
    vocabulary : int
        Index of its vocabulary.
    pooling : {"mean", "sum", "max", "attention", "din", "transformer"}, default="mean"
        How the embeddings of a list become one.
    query : int or None, default=None
        Index of the id column with each row's target, whose embedding has the width of
        the entries'. "attention" and "din" need it, "transformer" reads it if there is
        one, and the others must not have it.
    length : int, default=64
        Number of entries that a transformer reads, the last ones.

    Raises
    ------
    ValueError
        If there is no such pooling, or a `query` is missing or not read.

    Examples
    --------
    A history of items, compared with the item of the row:

    >>> import torch
    >>> from skmtl.modules import BagColumn, Ragged, TableEmbedding
    >>> history = BagColumn(vocabulary=0, pooling="attention", query=0)
    >>> embedding = TableEmbedding(
    ...     vocabulary_sizes=[11], bin_sizes=[], n_numeric=0, embedding_dim=4,
    ...     bin_dim=1, sparse=True, bags=[history],
    ... )
    >>> items, none = torch.tensor([[1], [2]]), torch.empty(2, 0)
    >>> lists = Ragged(torch.tensor([3, 4, 5]), torch.tensor([0, 3, 3]))
    >>> embedding(items, none.long(), none, [lists]).shape
    torch.Size([2, 8])
    """

    vocabulary: int
    pooling: str = "mean"
    query: int | None = None
    length: int = 64

    def __post_init__(self) -> None:
        if self.pooling not in _QUERY:
            raise ValueError(
                f"pooling must be one of {list(_QUERY)}, found {shown(self.pooling)}."
            )
        needed = _QUERY[self.pooling]
        if needed is not None and needed != (self.query is not None):
            verb = "needs" if needed else "does not read"
            raise ValueError(
                f"pooling={shown(self.pooling)} {verb} a query, found "
                f"query={shown(self.query)}."
            )


def pool(
    x: Tensor, bag: Ragged, how: str, query: Tensor | None = None, n_sets: int = 1
) -> Tensor:
    """One embedding for each list.

    Parameters
    ----------
    x : Tensor of shape (n_entries, width)
        Embeddings of the entries.
    bag : Ragged
        The lists.
    how : {"mean", "sum", "max", "attention"}
        How the embeddings of a list become one.
    query : Tensor of shape (n_rows, width) or None
        What attention compares each row's entries with.
    n_sets : int, default=1
        Embeddings of an id that lie side by side; attention weighs each by itself.

    Returns
    -------
    Tensor of shape (n_rows, width)
        The pooled embeddings.
    """
    if query is None:
        return POOLINGS[how](x, bag)
    sets = (n_sets, -1)
    return attend(x.unflatten(1, sets), bag, query.unflatten(1, sets)).flatten(1)


def pool_sum(x: Tensor, bag: Ragged) -> Tensor:
    """Sum over the entries of each list; 0 for an empty one."""
    return x.new_zeros(len(bag), *x.shape[1:]).index_add(0, bag.row, x)


def pool_mean(x: Tensor, bag: Ragged) -> Tensor:
    """Mean over the entries of each list; 0 for an empty one."""
    return pool_sum(x, bag) / bag.lengths.clamp(min=1).to(x.dtype)[:, None]


def pool_max(x: Tensor, bag: Ragged) -> Tensor:
    """Greatest number over the entries of each list; 0 for an empty one."""
    # torch.segment_reduce would be faster, but if entries tie it gives each of them the
    # whole gradient where this is negative.
    at = torch.arange(len(x), device=x.device)
    return F.embedding_bag(at, x, bag.offsets, mode="max", include_last_offset=True)


def attend(x: Tensor, bag: Ragged, query: Tensor) -> Tensor:
    """Sum of each list's entries, weighted by their cosine with the row's query.

    Parameters
    ----------
    x : Tensor of shape (n_entries, n_sets, dim)
        Embeddings of the entries.
    bag : Ragged
        The lists.
    query : Tensor of shape (n_rows, n_sets, dim)
        What each row's entries are compared with.

    Returns
    -------
    Tensor of shape (n_rows, n_sets, dim)
        ``sum_j cos(q, x_j) x_j``; 0 for an empty list.

    Notes
    -----
    Weights are not brought to sum 1, as in the papers: a list with ten entries that go
    with the query says more than one with a single such entry. Pi et al. take the inner
    product where we take the cosine, softened: 0.01 is added to both squared lengths.

    References
    ----------
    G. Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018,
    section 4.3. Q. Pi et al., "Search-based User Interest Modeling with Lifelong
    Sequential Behavior Data for Click-Through Rate Prediction", CIKM 2020.
    """
    towards = unit(query).index_select(0, bag.row)
    weight = (unit(x) * towards).sum(dim=2, keepdim=True)
    return pool_sum(weight * x, bag)


def unit(x: Tensor) -> Tensor:
    """Vectors of length 1, but for short ones, whose length stays below."""
    square = x.square().sum(dim=-1, keepdim=True)
    return x * (square + _SOFT_LENGTH**2).rsqrt()


POOLINGS: dict[str, Callable[[Tensor, Ragged], Tensor]] = {
    "mean": pool_mean,
    "sum": pool_sum,
    "max": pool_max,
}
