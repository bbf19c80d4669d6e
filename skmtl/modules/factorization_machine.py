"""Inner products of pairs of columns, the terms of a factorization machine."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence, Set
from itertools import combinations

import torch
from torch import Tensor, nn

from skmtl._messages import did_you_mean, shown
from skmtl.modules.cross_network import at_least_one
from skmtl.modules.draws import generator_of
from skmtl.modules.layers import Dense
from skmtl.modules.protocols import ColumnSlices, Cross

# Columns whose pairs are not too many to pass to dense layers.
_MOST = 256
# Width of vectors of columns that are narrower.
_LEAST = 8


class FactorizationMachine(Cross):
    r"""An inner product for each pair of columns, beside the input.

    .. math::

        \sqrt{k} \, \langle e_i, e_j \rangle, \quad i < j

    The vector :math:`e_i` of a column of ids or lists is its embedding. That of a
    number :math:`z` is :math:`z v_i` plus the embedding of its bin.

    Parameters
    ----------
    width : int
        Width of the input.
    columns : ColumnSlices
        Where the columns of the table lie in the input.
    between : sequence of hashable or None, default=None
        Names of the columns to cross, two or more; None for all.
    dim : int or None, default=None
        Length ``k`` of the vectors. None for the width of the widest embedding among
        the columns, at least 8. Embeddings of another width are mapped to it linearly,
        those of the same width by one map.

    Attributes
    ----------
    width : int
        Width of the output, that of the input and the number of pairs.
    columns : ColumnSlices
        Those of the input, which the output starts with.
    pairs : list of tuple
        Names of the columns whose products follow, in order.

    Raises
    ------
    ValueError
        If `between` is not a list of columns of the input, for fewer than two columns
        and more than 256.

    Notes
    -----
    Shape: ``(batch, input width)`` to ``(batch, width)``.

    A factorization machine adds the products of all pairs to its output. Here the
    layers that follow get each product, and weigh it. With the sum alone, whether one
    number or one for each of the ``k`` factors, the columns that belong together are
    lost among all others. Embeddings start near 0 and their products nearer; the factor
    brings these to about the size of the embeddings, whatever their length.

    References
    ----------
    S. Rendle, "Factorization Machines", ICDM 2010, equation 1. M. Naumov et al., "Deep
    Learning Recommendation Model for Personalization and Recommendation Systems", 2019,
    section 2.2, for products of pairs as the input of dense layers.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ColumnSlices, FactorizationMachine
    >>> columns = ColumnSlices({"user": (slice(0, 8),), "item": (slice(8, 16),)})
    >>> cross = FactorizationMachine(width=16, columns=columns)
    >>> cross.pairs
    [('user', 'item')]
    >>> cross(torch.ones(5, 16)).shape
    torch.Size([5, 17])
    """

    places: Tensor

    def __init__(
        self,
        *,
        width: int,
        columns: ColumnSlices,
        between: Sequence[Hashable] | None = None,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        FactorizationMachine.check_parameters({"between": between, "dim": dim})
        names = list(columns if between is None else dict.fromkeys(between))
        _check_columns(names, columns)
        if len(names) > _MOST:
            raise ValueError(
                f"crosses='fm' gives a number for each pair, and {len(names)} "
                f"columns have {len(names) * (len(names) - 1) // 2:,} pairs. Name at "
                f"most {_MOST} to cross: crosses__between=[...]."
            )
        widest = max(_width(one) for name in names for one in columns[name])
        self.dim = max(widest, _LEAST) if dim is None else dim
        by_form: dict[tuple[int, ...], list[Hashable]] = {}
        for name in names:
            form = tuple(_width(one) for one in columns[name])
            by_form.setdefault(form, []).append(name)
        # Numbers have vectors, and embeddings of this length are taken as they are.
        self.maps = nn.ModuleDict(
            {
                str(own): Dense(own, self.dim, bias=False)
                for own in sorted({own for form in by_form for own in form})
                if own not in (1, self.dim)
            }
        )
        self.vectors = nn.ModuleList(
            _Vectors([columns[name] for name in named], self.dim)
            for named in by_form.values()
        )
        ordered = [name for named in by_form.values() for name in named]
        self.pairs = list(combinations(ordered, 2))
        self.width, self.columns = width + len(self.pairs), columns
        n = len(ordered)
        places = [i * n + j for i, j in combinations(range(n), 2)]
        tensor = torch.tensor(places, dtype=torch.int64)
        self.register_buffer("places", tensor, persistent=False)

    @classmethod
    def check_parameters(cls, parameters: Mapping[str, object]) -> None:
        if parameters.get("dim") is not None:
            at_least_one("crosses__dim", parameters["dim"])
        if parameters.get("between") is not None:
            _check_between(parameters["between"])

    def forward(self, x: Tensor) -> Tensor:
        e = torch.cat([own(x, self.maps) for own in self.vectors], dim=1)
        products = torch.bmm(e, e.transpose(1, 2)).flatten(1)
        chosen = products.index_select(1, self.places)
        return torch.cat([x, self.dim**0.5 * chosen], dim=1)


def _check_between(between: object) -> None:
    """Refuse anything but a list of two names or more.

    Raises
    ------
    ValueError
        With what was found.
    """
    unordered = isinstance(between, (str, bytes, Set, Mapping))
    if unordered or not isinstance(between, Collection):
        raise ValueError(
            "crosses__between must be a list of names of columns, such as "
            f"['user_id', 'item_id'], since their order counts; found {shown(between)}."
        )
    for name in between:
        if not isinstance(name, Hashable):
            raise ValueError(
                "crosses__between must be a list of names of columns, which cannot "
                f"hold {shown(name)}."
            )
    if len(set(between)) < 2:
        raise ValueError(
            "crosses__between must name two columns or more, of whose pairs products "
            f"are taken; found {list(between)}."
        )


def _check_columns(names: Sequence[Hashable], columns: ColumnSlices) -> None:
    """Refuse columns that the input does not have, and fewer than two.

    Raises
    ------
    ValueError
        With the first of them.
    """
    for name in names:
        if name not in columns:
            raise ValueError(
                f"crosses__between names {shown(name)}, which is not a column of the "
                f"input.{did_you_mean(name, columns)} Its columns are {list(columns)}."
            )
    if len(names) < 2:
        # scikit-learn's common checks look for "1 feature(s)".
        raise ValueError(
            "crosses='fm' multiplies pairs of columns, and so needs two of them; found "
            f"{len(names)} feature(s), {list(names)}. Use crosses='dcn' or None."
        )


def _width(one: slice) -> int:
    width: int = one.stop - one.start
    return width


class _Vectors(nn.Module):
    """Vectors of columns that consist of parts of the same widths.

    Parameters
    ----------
    columns : sequence of tuple of slice
        Where the parts of each column lie.
    dim : int
        Length of the vectors.

    Notes
    -----
    Shape: ``(batch, width)`` and the maps by width, to ``(batch, n_columns, dim)``.
    """

    def __init__(self, columns: Sequence[tuple[slice, ...]], dim: int) -> None:
        super().__init__()
        self.dim, self.n = dim, len(columns)
        self.widths = [_width(one) for one in columns[0]]
        self.spans: list[tuple[int, int] | None] = []
        # A number has a vector of its own, which starts as wide as those of ids.
        self.own = nn.ParameterList()
        for part, width in enumerate(self.widths):
            ends = [(one[part].start, one[part].stop) for one in columns]
            places = [k for start, stop in ends for k in range(start, stop)]
            tensor = torch.tensor(places, dtype=torch.int64)
            self.register_buffer(f"places{part}", tensor, persistent=False)
            # Neighbours are read without a copy.
            first = places[0]
            neighbours = places == list(range(first, first + len(places)))
            self.spans.append((first, len(places)) if neighbours else None)
            if width == 1:
                start = torch.empty(self.n, dim)
                generator = generator_of("cpu")
                nn.init.normal_(start, std=0.2 * dim**-0.5, generator=generator)
                self.own.append(nn.Parameter(start))

    def forward(self, x: Tensor, maps: nn.ModuleDict) -> Tensor:
        own = iter(self.own)
        total: Tensor | None = None
        for part, width in enumerate(self.widths):
            found = self._part(x, part).unflatten(1, (self.n, width))
            if width == 1:
                found = found * next(own)
            elif width != self.dim:
                found = maps[str(width)](found)
            total = found if total is None else total + found
        assert total is not None
        return total

    def _part(self, x: Tensor, part: int) -> Tensor:
        span = self.spans[part]
        if span is None:
            return x.index_select(1, self.get_buffer(f"places{part}"))
        return x.narrow(1, *span)
