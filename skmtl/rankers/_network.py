"""Hyperparameters of the network: parts, widths, pooling, and memory."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import nn

from skmtl._messages import shown
from skmtl._typing import ColumnName
from skmtl.encoding import TableEncoder
from skmtl.modules import (
    BagColumn,
    BiasTower,
    Embedding,
    Pretrained,
    SomeColumns,
    TableEmbedding,
    TaskEmbedding,
)
from skmtl.rankers._pooling import WITH_TARGET, WITHOUT_TARGET, bag_columns
from skmtl.tasks import TaskKinds
from skmtl.training.computing import free_bytes
from skmtl.training.parameters import SharedParameters
from skmtl.training.ranker import PretrainedRows

# Width of the columns that a mapping does not name: the default of the rankers.
DEFAULT = 16
_LARGEST_AUTO = 64
# Tables of fewer bytes are made without checking whether they fit into memory.
_SMALL = 2**26

# Number of floats (4 bytes each) that each optimiser keeps for a row of `dim` numbers:
# two moments of each number for Adam, one sum for row-wise Adagrad.
_STATE = {"lazy_adam": lambda dim: 2 * dim, "adagrad": lambda dim: 1}


def check_units(
    units: int | Iterable[int], what: str, *, at_least: int = 0
) -> list[int]:
    """Convert widths of layers to a list of positive integers.

    Raises
    ------
    ValueError
        For anything else, or too few layers.
    """
    found = list(units) if isinstance(units, Iterable) else [units]
    for n_units in found:
        # bool is an Integral, but True is hardly meant as a width.
        whole = isinstance(n_units, Integral) and not isinstance(n_units, bool)
        if not whole or n_units < 1:
            raise ValueError(
                f"{what} must hold widths of layers, integers of at least 1; found "
                f"{shown(n_units)}."
            )
    if len(found) < at_least:
        raise ValueError(f"{what} needs at least {at_least} layer(s), found {found}.")
    return [int(n) for n in found]


def check_embedding_dim(
    embedding_dim: int | str | Mapping[ColumnName, int | str],
) -> None:
    """Check widths of embeddings, before any table is read.

    Raises
    ------
    ValueError
        For widths below 1 and strings other than "auto".
    """
    if not isinstance(embedding_dim, Mapping):
        embedding_dim = {None: embedding_dim}
    for name, dim in embedding_dim.items():
        # bool is an Integral, but True is hardly meant as a width.
        whole = isinstance(dim, Integral) and not isinstance(dim, bool)
        if dim != "auto" and not (whole and int(dim) >= 1):
            where = "" if name is None else f" of column {shown(name)}"
            raise ValueError(
                f"embedding_dim{where} must be an integer of at least 1 or 'auto', "
                f"found {shown(dim)}."
            )


def embedding_dims(
    embedding_dim: int | str | Mapping[ColumnName, int | str],
    names: Sequence[ColumnName],
    sizes: Sequence[int],
) -> list[int]:
    """Return the width of the embedding of each id column.

    Parameters
    ----------
    embedding_dim : int, "auto" or mapping of column name to int or "auto"
        As in the rankers.
    names : sequence of str or int
        The id columns.
    sizes : sequence of int
        Rows of their vocabularies.

    Returns
    -------
    list of int
        One for each column.

    Raises
    ------
    ValueError
        When a mapping names a column that holds no ids.
    """
    if not isinstance(embedding_dim, Mapping):
        embedding_dim = dict.fromkeys(names, embedding_dim)
    unknown = [name for name in embedding_dim if name not in names]
    if unknown:
        raise ValueError(
            f"embedding_dim names {shown(unknown)}, which are not id columns of X with "
            f"a table of their own. These are {list(names)}."
        )
    wanted = [embedding_dim.get(name, DEFAULT) for name in names]
    return [
        auto_dim(size) if dim == "auto" else int(dim)
        for dim, size in zip(wanted, sizes, strict=True)
    ]


def auto_dim(size: int) -> int:
    """Return the width for a vocabulary of `size` rows.

    Six times its fourth root (R. Wang et al., "Deep & Cross Network for Ad Click
    Predictions", ADKDD 2017, section 4.2), at most 64, rounded to a power of two, so
    that columns share a few fused tables.
    """
    return int(2 ** np.round(np.log2(min(6 * size**0.25, _LARGEST_AUTO))))


def check_pooling(pooling: object) -> None:
    """Check poolings, before any table is read.

    Raises
    ------
    ValueError
        For unknown names and other values.
    """
    if not isinstance(pooling, Mapping):
        pooling = {None: pooling}
    for name, one in pooling.items():
        if isinstance(one, str) and one in WITHOUT_TARGET + WITH_TARGET:
            continue
        if isinstance(one, tuple) and len(one) == 2 and one[0] in WITH_TARGET:
            continue
        where = "" if name is None else f" of column {shown(name)}"
        raise ValueError(
            f"pooling{where} must be one of {[*WITHOUT_TARGET, *WITH_TARGET]}, or one "
            f"of the last three with the name of an id column, such as ('din', "
            f"'item_id'); found {shown(one)}."
        )


def check_memory(
    names: Sequence[ColumnName],
    sizes: Sequence[int],
    dims: Sequence[int],
    *,
    optimizer: str,
    device: str,
) -> None:
    """Raise if tables of ids do not fit into memory, and say what would.

    Parameters
    ----------
    names : sequence of str or int
        The id columns.
    sizes, dims : sequence of int
        Rows and width of each column's table.
    optimizer : {"lazy_adam", "adagrad", "adam"}
        As in the rankers.
    device : str
        Device of the tables.

    Raises
    ------
    MemoryError
        If tables and the state of the optimiser need more than the free memory.
    """
    needed = [
        table_bytes(size, dim, optimizer) for size, dim in zip(sizes, dims, strict=True)
    ]
    free = None if sum(needed) < _SMALL else free_bytes(device)
    if free is None or sum(needed) <= free:
        return
    largest = max(range(len(names)), key=needed.__getitem__)
    raise MemoryError(
        f"The embeddings of {len(names)} id columns and their optimiser take "
        f"{sum(needed) / 2**30:,.1f} GiB, but {free / 2**30:,.1f} GiB are free on "
        f"{shown(device)}. The largest is column {names[largest]!r}: "
        f"{sizes[largest]:,} rows of {dims[largest]} numbers, "
        f"{needed[largest] / 2**30:,.1f} GiB. Give fewer ids a row of their own "
        "(min_frequency, max_categories), make rows narrower (embedding_dim, which "
        "takes a mapping by column), or keep less per row "
        "(embedding_optimizer='adagrad')."
    )


def make_embedding(
    ranker: SharedParameters,
    encoder: TableEncoder,
    n_sets: int | None,
    pretrained: PretrainedRows,
) -> Embedding:
    """Make the embedding of encoded rows; with `n_sets`, several sets side by side.

    Columns that bias the labels are left out.

    Raises
    ------
    ValueError
        If such a column is asked for elsewhere too.
    """
    columns = embedding_columns(ranker, encoder, n_sets, pretrained)
    check_bias_roles(ranker, encoder, columns)
    biased = encoder.optional_names_
    return (columns.without(biased) if biased else columns).embedding(n_sets)


def make_bias_tower(
    ranker: SharedParameters,
    encoder: TableEncoder,
    kinds: TaskKinds,
    pretrained: PretrainedRows,
) -> BiasTower | None:
    """The tower over the columns that bias the labels; None where there are none."""
    if not encoder.optional_names_:
        return None
    columns = embedding_columns(ranker, encoder, None, pretrained)
    embedding = columns.only(encoder.optional_names_).embedding()
    # Thresholds make several outputs of one number.
    n_outputs = [kind.n_thresholds or kind.n_scores for kind in kinds]
    return BiasTower(embedding, n_scores=kinds.n_scores, n_outputs=n_outputs)


def check_bias_roles(
    ranker: SharedParameters, encoder: TableEncoder, columns: EmbeddingColumns
) -> None:
    """Refuse columns that bias labels and are asked for elsewhere, or all columns.

    Raises
    ------
    ValueError
        With the column's name.
    """
    biased = set(encoder.optional_names_)
    every = [*encoder.categorical_names_, *encoder.bag_names_, *encoder.numeric_names_]
    if biased and biased == set(every):
        raise ValueError(
            # scikit-learn's common checks look for "1 feature(s)".
            f"bias_features names all columns of X, {every}: of {len(every)} "
            "feature(s) nothing is left to rank by. Leave out those that are known "
            "when ranking."
        )
    asked: dict[object, str] = {
        columns.ids[bag.query][0]: "pooling"
        for _, bag in columns.bags
        if bag.query is not None
    }
    fallback = dict(ranker.fallback or {})
    asked |= {
        other: "fallback" for name, other in fallback.items() if name not in biased
    }
    for name in biased & set(asked):
        raise ValueError(
            f"bias_features names {shown(name)}, which {asked[name]} reads too, but "
            "which is not known when ranking. Leave it out of one of the two."
        )


def embedding_columns(
    ranker: SharedParameters,
    encoder: TableEncoder,
    n_sets: int | None,
    pretrained: PretrainedRows,
) -> EmbeddingColumns:
    """What makes an embedding of all columns that an encoder gives."""
    names, sizes = encoder.vocabulary_names_, encoder.vocabulary_sizes_
    dims = embedding_dims(ranker.embedding_dim, names, sizes)
    places = encoder.vocabulary_places_
    check_memory(
        names,
        sizes,
        [(n_sets or 1) * dim for dim in dims],
        optimizer=ranker.embedding_optimizer,
        device=ranker.device,
    )
    vocabularies = [places[name] for name in encoder.categorical_names_]
    bags: list[BagColumn] = []
    if encoder.bag_names_ or isinstance(ranker.pooling, Mapping):
        bags = bag_columns(ranker.pooling, encoder, dims)
    return EmbeddingColumns(
        sizes=sizes,
        dims=dims,
        ids=list(zip(encoder.categorical_names_, vocabularies, strict=True)),
        more_hashes=encoder.more_hashes_,
        bags=list(zip(encoder.bag_names_, bags, strict=True)),
        numbers=encoder.numeric_names_,
        binned=encoder.binned_,
        bin_sizes=encoder.bin_sizes_,
        bin_ranges=encoder.bin_ranges_ if ranker.interpolate_bins else None,
        pretrained=pretrained.for_network(dims),
        settings={
            "bin_dim": int(ranker.bin_dim),
            "bin_start": float(ranker.bin_start),
            "bin_rate": float(ranker.bin_learning_rate_factor),
            "sparse": ranker.embedding_optimizer != "adam",
        },
    )


@dataclass(frozen=True)
class EmbeddingColumns:
    """What makes an embedding.

    Attributes
    ----------
    sizes, dims : sequence of int
        Rows and width of each vocabulary.
    ids : sequence of tuple
        Name and vocabulary of each column of single ids.
    more_hashes : sequence of int
        For each further hash, the place of its column among `ids`.
    bags : sequence of tuple
        Name of each column of lists, and what it reads.
    numbers : sequence of str or int
        Names of the numbers.
    binned, bin_sizes : sequence of int
        Which of the numbers have bins, and how many.
    bin_ranges : ndarray of shape (n_bins_of_all, 2) or None
        As in `TableEmbedding`.
    pretrained : mapping of int to Pretrained
        Vectors of some vocabularies.
    settings : mapping
        All else that `TableEmbedding` takes.
    chosen : frozenset of str or int, or None
        Names of the columns that are read; None for all.
    """

    sizes: Sequence[int]
    dims: Sequence[int]
    ids: Sequence[tuple[ColumnName, int]]
    more_hashes: Sequence[int]
    bags: Sequence[tuple[ColumnName, BagColumn]]
    numbers: Sequence[ColumnName]
    binned: Sequence[int]
    bin_sizes: Sequence[int]
    bin_ranges: npt.NDArray[np.float32] | None
    pretrained: Mapping[int, Pretrained]
    settings: Mapping[str, float]
    chosen: frozenset[ColumnName] | None = None

    @property
    def names(self) -> list[ColumnName]:
        """Names of all columns: ids, lists, numbers."""
        named = [*self.ids, *self.bags]
        return [*(name for name, _ in named), *self.numbers]

    def only(self, names: Collection[ColumnName]) -> EmbeddingColumns:
        """The same with some of the columns."""
        return replace(self, chosen=frozenset(names))

    def without(self, names: Collection[ColumnName]) -> EmbeddingColumns:
        """The same without some of the columns."""
        return self.only([name for name in self.names if name not in names])

    def embedding(self, n_sets: int | None = None) -> Embedding:
        """Make the embedding; with `n_sets`, so many sets side by side."""
        if self.chosen is None:
            return self._table(n_sets)
        ids = self._places([name for name, _ in self.ids])
        bags = self._places([name for name, _ in self.bags])
        numeric = self._places(self.numbers)
        bins = [b for b, k in enumerate(self.binned) if k in numeric]
        hashes = [h for h, k in enumerate(self.more_hashes) if k in ids]
        vocabulary = [v for _, v in self.ids]
        # Further hashes come after the columns of ids, and read their vocabularies.
        vocabulary += [vocabulary[k] for k in self.more_hashes]
        at = [*ids, *(len(self.ids) + h for h in hashes)]
        of_bags = [(k, self.bags[k][1].vocabulary) for k in bags]
        read = sorted({v for _, v in of_bags} | {vocabulary[k] for k in at})
        first = list(accumulate(self.bin_sizes, initial=0))
        own = accumulate((self.bin_sizes[b] for b in bins), initial=0)
        inner = self._picked(read, ids, hashes, bags, numeric, bins)._table(n_sets)
        return SomeColumns(
            inner,
            sizes=self.sizes,
            ids=[(k, vocabulary[k]) for k in at],
            bags=of_bags,
            # `accumulate` also gives the end of all, hence not strict.
            bins=[(b, first[b] - row) for b, row in zip(bins, own, strict=False)],
            numeric=numeric,
        )

    def _places(self, names: Sequence[ColumnName]) -> list[int]:
        assert self.chosen is not None
        return [k for k, name in enumerate(names) if name in self.chosen]

    def _picked(
        self,
        read: list[int],
        ids: list[int],
        hashes: list[int],
        bags: list[int],
        numeric: list[int],
        bins: list[int],
    ) -> EmbeddingColumns:
        """These columns, in spaces of ids and bins of their own."""
        place = {v: k for k, v in enumerate(read)}
        ranges = self.bin_ranges
        if ranges is not None:
            parts = np.split(ranges, np.cumsum(self.bin_sizes)[:-1])
            ranges = np.concatenate([ranges[:0], *(parts[b] for b in bins)])
        return replace(
            self,
            sizes=[self.sizes[v] for v in read],
            dims=[self.dims[v] for v in read],
            ids=[(self.ids[k][0], place[self.ids[k][1]]) for k in ids],
            more_hashes=[ids.index(self.more_hashes[h]) for h in hashes],
            bags=[
                (name, _moved(bag, place, ids))
                for name, bag in (self.bags[k] for k in bags)
            ],
            numbers=[self.numbers[k] for k in numeric],
            binned=[numeric.index(self.binned[b]) for b in bins],
            bin_sizes=[self.bin_sizes[b] for b in bins],
            bin_ranges=ranges,
            pretrained={
                place[v]: one for v, one in self.pretrained.items() if v in place
            },
        )

    def _table(self, n_sets: int | None) -> TableEmbedding:
        arguments: dict[str, Any] = {
            "vocabulary_sizes": self.sizes,
            "bin_sizes": self.bin_sizes,
            "binned": self.binned,
            "n_numeric": len(self.numbers),
            "embedding_dim": self.dims,
            "bin_ranges": self.bin_ranges,
            "pretrained": self.pretrained,
            "vocabularies": [v for _, v in self.ids],
            "names": self.names,
            "bags": [bag for _, bag in self.bags],
            "more_hashes": self.more_hashes,
            **self.settings,
        }
        if n_sets is None:
            return TableEmbedding(**arguments)
        return TaskEmbedding(n_sets=n_sets, **arguments)


def _moved(bag: BagColumn, place: Mapping[int, int], ids: Sequence[int]) -> BagColumn:
    """A column of lists among other vocabularies and columns of ids."""
    query = None if bag.query is None else ids.index(bag.query)
    return replace(bag, vocabulary=place[bag.vocabulary], query=query)


def table_bytes(size: int, dim: int, optimizer: str) -> int:
    """Bytes of a table and of what the optimiser keeps for it."""
    if optimizer == "adam":  # dense: two moments, and a gradient of every row
        return 4 * size * 4 * dim
    return 4 * size * (dim + _STATE[optimizer](dim))


# Parts whose parameters are named sharing__n_experts, optimizer__betas and so on.
PARTS = ("sharing", "towers", "crosses", "optimizer")


def belongs_to_part(name: str) -> bool:
    """Whether a hyperparameter is one of a part, such as ``sharing__n_experts``."""
    return name.startswith(tuple(f"{part}__" for part in PARTS))


def own_parameters(
    part: str, params: Mapping[str, object], given: object = None
) -> dict[str, object]:
    """Return the hyperparameters of a part, without the prefix.

    None counts as not set if the part `given` does not take the parameter, so that it
    can be left behind for a part that does not have it.
    """
    prefix = f"{part}__"
    made = callable(given) and not isinstance(given, nn.Module)
    known = _accepted(given) if callable(given) and made else set()
    return {
        name.removeprefix(prefix): value
        for name, value in params.items()
        if name.startswith(prefix)
        and (value is not None or given is None or name.removeprefix(prefix) in known)
    }


# What each part is given by the ranker alone.
_SUPPLIED = {
    "sharing": ("n_tasks", "task_names", "width", "columns"),
    "towers": ("n_tasks", "task_names", "width", "n_outputs"),
    "crosses": ("width", "columns"),
}


def check_part(part: str, given: object, own: Mapping[str, object]) -> None:
    """Raise if a part cannot be made with these parameters.

    Raises
    ------
    TypeError
        For anything but a class, a function or a module.
    ValueError
        For parameters that it does not have, and those that the ranker supplies.
    """
    if isinstance(given, nn.Module):
        if own:
            raise ValueError(
                f"{part}__{next(iter(own))} cannot be set, since {part} is an existing "
                f"module. Pass its class, {part}={type(given).__name__}, or remove "
                f"the parameter with set_params({part}__{next(iter(own))}=None)."
            )
        return
    if not callable(given):
        raise TypeError(
            f"{part} must be a class, a function that makes a module, or a module; "
            f"found {shown(given)}."
        )
    if isinstance(given, type) and not issubclass(given, nn.Module):
        raise TypeError(
            f"{part} must make a torch.nn.Module, found the class {given.__name__}."
        )
    supplied, known = _SUPPLIED[part], _accepted(given)
    for name in own:
        if name in supplied:
            raise ValueError(
                f"{part}__{name} cannot be set, since the ranker supplies "
                f"{list(supplied)} to its {part}."
            )
        if name not in known:
            raise ValueError(
                f"{part}__{name} is not a parameter of {part_name(given)}, which takes "
                f"{sorted(known.difference(supplied))}. Remove it with "
                f"set_params({part}__{name}=None)."
            )


def make_part(
    given: Callable[..., nn.Module] | nn.Module,
    offered: Mapping[str, object],
    own: Mapping[str, object],
) -> nn.Module:
    """Make a part.

    Parameters
    ----------
    given : callable or torch.nn.Module
        A class or function that makes it, or a module to copy.
    offered : mapping
        Keyword arguments, of which those that its signature names are passed.
    own : mapping
        Keyword arguments that are always passed.

    Returns
    -------
    torch.nn.Module
        The part.

    Raises
    ------
    TypeError
        If it needs arguments that it does not get.
    """
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    # What a partial already sets takes precedence over what is offered.
    wanted = _accepted(given).difference(bound_arguments(given))
    taken = {name: value for name, value in offered.items() if name in wanted}
    arguments = taken | dict(own)
    try:
        inspect.signature(given).bind(**arguments)
    except TypeError as error:
        raise TypeError(
            f"{part_name(given)} cannot be called by a ranker: {error}. A ranker "
            f"offers {list(offered)}, and passes those that the signature names. Give "
            "the others a default, or set them as hyperparameters of this part."
        ) from error
    made: nn.Module = given(**arguments)
    return made


# A class or function that makes a part of a network, or the part itself.
Maker: TypeAlias = Callable[..., nn.Module] | nn.Module


def takes(given: Maker, name: str) -> bool:
    """Whether the maker of a part takes a parameter; True for an existing module."""
    return isinstance(given, nn.Module) or name in _accepted(given)


def _accepted(given: Callable[..., object]) -> set[str]:
    """Names of parameters, including those of base classes if there is ``**more``."""
    if isinstance(given, functools.partial):
        return _accepted(given.func)
    makers: list[Callable[..., object]] = [given]
    if isinstance(given, type):
        makers = [vars(c)["__init__"] for c in given.__mro__ if "__init__" in vars(c)]
    names: set[str] = set()
    for maker in makers:
        parameters = inspect.signature(maker).parameters.values()
        names |= {
            p.name
            for p in parameters
            if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        }
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names - {"self"}


def bound_arguments(given: Callable[..., object]) -> dict[str, object]:
    """Arguments that a ``functools.partial`` already has, by name."""
    if not isinstance(given, functools.partial):
        return {}
    return bound_arguments(given.func) | given.keywords


def part_name(given: Maker) -> str:
    """Name of a class or function that makes a part."""
    if isinstance(given, functools.partial):
        return part_name(given.func)
    named = inspect.isroutine(given) or inspect.isclass(given)
    return str(given.__name__) if named else repr(given)
