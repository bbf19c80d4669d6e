"""What each column holds, and the parameters that name columns."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from pandas.api import types

from skmtl._containers import check_names, has_names
from skmtl._messages import resembling, shown
from skmtl._typing import (
    AnyArray,
    CategoricalFeatures,
    ColumnName,
    DType,
    TableLike,
)
from skmtl.encoding._lists import (
    holds_lists,
    holds_vectors,
    spread_vectors,
    vector_width,
)
from skmtl.encoding._numbers import ColumnProfile
from skmtl.encoding._table import Columns
from skmtl.encoding._vocabulary import Counts, Ids, RowsOfIds, Vocabulary, merged

# Rows of all columns together are counted in 64 bits, which leaves room for 2**15 such
# columns.
_MOST_BUCKETS = 2**48


@dataclass(frozen=True)
class Roles:
    """What each column is read as, once vectors are spread over columns.

    Attributes
    ----------
    names : list of str or int
        Names of the columns.
    given : list of str or int
        Names of the columns of the table as passed.
    single, lists, numeric : list of int
        Places of the columns of ids, of lists of ids, and of numbers.
    widths : dict of int to int
        Length of the vectors of each column of vectors, by its position in the table
        as passed.
    """

    names: list[ColumnName]
    given: list[ColumnName]
    single: list[int]
    lists: list[int]
    numeric: list[int]
    widths: dict[int, int]


def read_roles(
    frame: pd.DataFrame, categorical_features: CategoricalFeatures
) -> tuple[pd.DataFrame, Roles]:
    """Decide what each column is read as, and spread vectors over columns.

    Parameters
    ----------
    frame : DataFrame
        The table.
    categorical_features : "from_dtype", None or array-like
        As in `TableEncoder`.

    Returns
    -------
    frame : DataFrame
        The table with a column for each number of a vector.
    roles : Roles
        What the columns of this table are read as.
    """
    names: list[ColumnName] = list(frame.columns)
    by_dtype = is_by_dtype(categorical_features)
    columns = Columns(frame)
    mask = select_categorical(columns, names, categorical_features)
    widths, kinds, dtypes = {}, [], frame.dtypes.tolist()
    for place, (is_id, name) in enumerate(zip(mask, names, strict=True)):
        lists = _may_hold_lists(dtypes[place]) and holds_lists(columns[place])
        # Lists in a column that is named as one of ids are ids, whatever they hold.
        if lists and (not is_id or (by_dtype and holds_vectors(columns[place], name))):
            widths[place] = vector_width(columns[place], name)
            kinds += ["number"] * widths[place]
        else:
            kinds.append("list" if lists else "id" if is_id else "number")
    if widths:
        frame = spread_vectors(frame, widths)
        check_names(frame)
    single, lists_at, numeric = (
        [i for i, kind in enumerate(kinds) if kind == wanted]
        for wanted in ("id", "list", "number")
    )
    return frame, Roles(list(frame.columns), names, single, lists_at, numeric, widths)


def _may_hold_lists(dtype: DType) -> bool:
    return isinstance(dtype, pd.ArrowDtype) or types.is_object_dtype(dtype)


def is_by_dtype(categorical_features: CategoricalFeatures) -> bool:
    """Whether columns of ids are recognized by their dtype."""
    return isinstance(categorical_features, str) and (
        categorical_features == "from_dtype"
    )


def select_categorical(
    columns: Columns,
    names: Sequence[ColumnName],
    categorical_features: CategoricalFeatures,
) -> list[bool]:
    """Decide for each column whether it holds ids.

    Parameters
    ----------
    columns : sequence of Series
        The columns of the table.
    names : sequence of str or int
        Their names.
    categorical_features : "from_dtype", None or array-like
        Names, indices or a mask; ``None`` for no column.

    Returns
    -------
    list of bool
        One for each column.
    """
    if is_by_dtype(categorical_features):
        return list(map(_looks_categorical, columns))
    if categorical_features is None:
        return [False] * len(names)
    chosen = chosen_places(categorical_features, names, "categorical_features")
    return [i in chosen for i in range(len(names))]


def chosen_places(
    wanted: str | Sequence[object] | AnyArray,
    names: Sequence[ColumnName],
    argument: str,
) -> set[int]:
    """Places of the columns that a parameter chooses.

    Parameters
    ----------
    wanted : str or sequence
        Names, indices or a mask. An integer that is the name of a column is a name.
    names : sequence of str or int
        The columns of the table.
    argument : str
        The parameter, for errors.

    Raises
    ------
    ValueError, TypeError
        For anything else; the message names the parameter.
    """
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    # Before the indices, since True is an int.
    if wanted and all(isinstance(w, (bool, np.bool_)) for w in wanted):
        if len(wanted) != len(names):
            raise ValueError(
                f"{argument} is a mask of {len(wanted)} values, but X has "
                f"{len(names)} columns. Give one value for each column."
            )
        return {i for i, one in enumerate(wanted) if one}
    places = {name: i for i, name in enumerate(names)}
    return {_position(w, places, argument) for w in wanted}


def optional_columns(
    optional_features: str | Sequence[ColumnName] | None, roles: Roles
) -> list[ColumnName]:
    """Names of columns that later tables may lack.

    Parameters
    ----------
    optional_features
        As in `TableEncoder`.
    roles : Roles
        What each column is read as.

    Raises
    ------
    ValueError
        For names that are not columns, and for columns of lists or vectors.
    """
    if optional_features is None:
        return []
    argument = "bias_features (optional_features of TableEncoder)"
    chosen = sorted(chosen_places(optional_features, roles.given, argument))
    lists = {roles.names[place] for place in roles.lists}
    for place in chosen:
        name = roles.given[place]
        if name in lists or place in roles.widths:
            what = "lists" if name in lists else "vectors"
            raise ValueError(
                f"{argument} names {shown(name)}, which holds {what}. Name columns of "
                "single ids or of numbers."
            )
    return [roles.given[place] for place in chosen]


def with_missing(frame: pd.DataFrame, names: Iterable[ColumnName]) -> pd.DataFrame:
    """Return a copy with missing cells in some columns, which it may lack."""
    # Not the caller's own frame, and no copy of its cells.
    frame = frame.copy(deep=False)
    for name in names:
        frame[name] = np.nan
    return frame


def _position(wanted: object, places: Mapping[ColumnName, int], argument: str) -> int:
    is_index = isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool)
    if (isinstance(wanted, str) or is_index) and wanted in places:
        return places[wanted]
    if isinstance(wanted, str):
        raise ValueError(
            f"{argument} names {shown(wanted)}, which is not a column of X. The "
            f"columns are {list(places)}."
        )
    if isinstance(wanted, (int, np.integer)) and is_index:
        if -len(places) <= wanted < len(places):
            return int(wanted) % len(places)
        raise ValueError(
            f"{argument} holds index {wanted}, but X has {len(places)} "
            f"columns. Use indices from 0 to {len(places) - 1}."
        )
    raise TypeError(
        f"{argument} must hold names, indices or booleans, found "
        f"{type(wanted).__name__} {shown(wanted)}."
    )


def _looks_categorical(column: pd.Series) -> bool:
    dtype = column.dtype
    # Objects may be ids of any kind; only fractions are certain to be numbers.
    if types.is_object_dtype(dtype):
        return not _holds_fractions(column)
    return not types.is_bool_dtype(dtype) and (
        isinstance(dtype, pd.CategoricalDtype)
        or types.is_string_dtype(dtype)
        or (_may_hold_lists(dtype) and holds_lists(column))
    )


def _holds_fractions(column: pd.Series) -> bool:
    """Whether a column of objects holds numbers that are not all whole."""
    kind = types.infer_dtype(column, skipna=True)
    if kind not in ("floating", "mixed-integer-float"):
        return False
    values = column.to_numpy(np.float64, na_value=np.nan)
    return bool((values[np.isfinite(values)] % 1 != 0).any())


def vocabulary_owners(
    share_embedding: Mapping[ColumnName, object] | None,
    id_names: Sequence[ColumnName],
    names: Sequence[ColumnName],
) -> dict[ColumnName, object]:
    """Name the column whose vocabulary each id column reads.

    Parameters
    ----------
    share_embedding : mapping or None
        From a column to the one whose table it shares; chains are followed.
    id_names : sequence of str or int
        Columns of ids and of lists of ids.
    names : sequence of str or int
        All columns.

    Returns
    -------
    dict
        From each of `id_names` to the owner, which is itself where nothing is shared.

    Raises
    ------
    ValueError
        For names that are not columns or hold no ids, and for cycles.
    """
    share = dict(share_embedding or {})
    for name in (*share, *share.values()):
        if name not in names:
            raise ValueError(
                f"share_embedding names {shown(name)}, which is not a column of X. The "
                f"columns are {list(names)}."
            )
        if name not in id_names:
            raise ValueError(
                f"share_embedding names {shown(name)}, which is read as numbers. Name "
                "the column in categorical_features, or cast it to 'category'."
            )
    cure = "One of the columns must have a table of its own."
    return {name: _chain(name, share, "share_embedding", cure)[-1] for name in id_names}


def _chain(
    name: ColumnName, follows: Mapping[ColumnName, ColumnName], what: str, cure: str
) -> list[ColumnName]:
    """Follow a column to the one that it names, and so on; raise on a cycle."""
    chain = [name]
    while chain[-1] in follows:
        chain.append(follows[chain[-1]])
        if chain[-1] in chain[:-1]:
            circle = " -> ".join(map(repr, chain))
            raise ValueError(f"{what} has a cycle of columns: {circle}. {cure}")
    return chain


def joined_ids(readings: Sequence[Reading]) -> tuple[Ids, Counts]:
    """Join the distinct ids of columns that share a vocabulary, and their counts.

    Raises
    ------
    TypeError
        When one column holds strings and another numbers.
    """
    first = readings[0]
    ids, counts = first.ids, first.counts
    for more in readings[1:]:
        # A column that is missing everywhere does not say whether its ids are numbers.
        if not len(ids):
            first, ids, counts = more, more.ids, more.counts
        elif len(more.ids):
            _check_joinable(first, more)
            ids, counts = merged((ids, counts), (more.ids, more.counts))
    return ids, counts


def _check_joinable(first: Reading, more: Reading) -> None:
    if more.ids.numbers != first.ids.numbers:
        kinds = {True: "numbers", False: "strings"}
        raise TypeError(
            f"share_embedding joins column {first.name!r}, which holds "
            f"{kinds[first.ids.numbers]}, with column {more.name!r}, which holds "
            f"{kinds[more.ids.numbers]}. Turn both into strings, or both into integers."
        )


def check_buckets(
    n_buckets: Mapping[ColumnName, int] | None,
    owners: Mapping[ColumnName, object],
    lists: Sequence[ColumnName],
    n_hashes: int,
) -> dict[ColumnName, int]:
    """Check the columns to hash, and their numbers of buckets.

    Parameters
    ----------
    n_buckets, n_hashes
        As in `TableEncoder`.
    owners : mapping of str or int to str or int
        From each id column and column of lists to the one whose rows it reads.
    lists : sequence of str or int
        The columns of lists.

    Raises
    ------
    ValueError
        For columns that hold no ids or share another's rows, for numbers below 1, and
        for lists hashed by several functions.
    """
    found = dict(n_buckets or {})
    for name, number in found.items():
        if name not in owners:
            raise ValueError(
                f"n_buckets names {shown(name)}, which is not an id column of X. The "
                f"id columns are {list(owners)}."
            )
        if owners[name] != name:
            raise ValueError(
                f"n_buckets names {shown(name)}, which shares the embeddings of "
                f"{owners[name]!r} (share_embedding). Name {owners[name]!r}."
            )
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not whole or not 1 <= number <= _MOST_BUCKETS:
            raise ValueError(
                f"n_buckets of column {shown(name)} must be an integer from 1 to "
                f"{_MOST_BUCKETS:,}, found {shown(number)}."
            )
        found[name] = int(number)
    for name in lists:
        if n_hashes > 1 and owners[name] in found:
            raise ValueError(
                f"n_hashes is {n_hashes}, but {shown(name)} holds lists, whose ids are "
                "hashed once. Set n_hashes=1, or leave the column out of n_buckets."
            )
    return found


def fallback_chains(
    fallback: Mapping[ColumnName, object] | None,
    names: Sequence[ColumnName],
    owners: Mapping[ColumnName, object],
    hashed: Sequence[ColumnName],
) -> list[list[int]]:
    """List the columns that each id column falls back to, in order.

    Parameters
    ----------
    fallback : mapping of column name to column name, or None
        As in `TableEncoder`.
    names : sequence of str or int
        The id columns.
    owners : mapping of str or int to str or int
        From each column to the one whose vocabulary it reads.
    hashed : sequence of str or int
        Owners that have no vocabulary.

    Raises
    ------
    ValueError
        For columns that hold no ids or are hashed, for one that falls back although it
        reads another's vocabulary, and for cycles.
    """
    follows = dict(fallback or {})
    for name in (*follows, *follows.values()):
        if name not in names:
            raise ValueError(
                f"fallback names {shown(name)}, which is not an id column of X. The id "
                f"columns are {list(names)}."
            )
        if owners[name] in hashed:
            raise ValueError(
                f"fallback names {shown(name)}, which is hashed (n_buckets) and so has "
                "no unknown ids. Leave it out of one of the two."
            )
        if name in follows and owners[name] != name:
            raise ValueError(
                f"fallback has an entry for {shown(name)}, which shares the embeddings "
                f"of {owners[name]!r} (share_embedding). Make the entry for "
                f"{owners[name]!r}."
            )
    places = {name: k for k, name in enumerate(names)}
    chains = [
        _chain(name, follows, "fallback", "Remove one of these pairs.")
        for name in names
    ]
    # Without the column itself, with which each chain begins.
    return [[places[n] for n in chain[1:]] for chain in chains]


def rare_shares(
    firsts: Sequence[int], vocabularies: Sequence[RowsOfIds], min_frequency: int
) -> list[tuple[slice, float]]:
    """Estimate for each vocabulary the share of rows whose id would be unknown.

    A row's id would be unknown without that row if it was seen on no more than
    `min_frequency` rows. For a frequency of 1 this is the estimate of Good and Turing
    for the probability of an id never seen.

    Parameters
    ----------
    firsts : sequence of int
        Where each vocabulary begins in the fused table.
    vocabularies : sequence of Vocabulary or HashedIds
        The vocabularies of a fitted encoder.
    min_frequency : int
        On how many rows an id must be seen for a row of its own.

    Returns
    -------
    list of tuple of slice and float
        The rows of the fused table that are ids of the vocabulary, and the share.
        Hashed columns, and vocabularies without an id, are left out.

    References
    ----------
    I. J. Good, "The Population Frequencies of Species and the Estimation of Population
    Parameters", Biometrika 40, 1953.
    """
    found = []
    for first, one in zip(firsts, vocabularies, strict=True):
        if isinstance(one, Vocabulary) and len(one) > 1:
            n = np.concatenate([one.counts, one.rest_counts])
            share = float(n[n <= min_frequency].sum() / n.sum())
            found.append((slice(first + 1, first + len(one)), share))
    return found


@dataclass(frozen=True)
class Reading:
    """The ids of one column.

    Attributes
    ----------
    name : str or int
        The column.
    ids : Ids
        Its distinct ids.
    counts : ndarray of int64
        How often each occurs.
    n_cells, n_missing : int
        Number of cells, or of entries of lists, and how many of them are missing.
    exact : bool
        Whether `ids` holds all distinct ids. Those of hashed columns in a stream are
        not counted.
    """

    name: ColumnName
    ids: Ids
    counts: Counts
    n_cells: int
    n_missing: int
    exact: bool = True

    def profile(self, vocabulary: RowsOfIds, together: int) -> ColumnProfile:
        """Return what `TableEncoder.summary` says about the column.

        Parameters
        ----------
        vocabulary : Vocabulary or HashedIds
            The vocabulary that the column reads.
        together : int
            Number of columns that read it.
        """
        rare = unknown = 0
        # What is left over in a shared vocabulary may come from any of its columns.
        if isinstance(vocabulary, Vocabulary) and together == 1:
            rare, unknown = len(vocabulary.rest), int(vocabulary.rest_counts.sum())
            first = [*vocabulary.ids.head(3), *vocabulary.rest.head(3)][:3]
        else:
            order = np.argsort(-self.counts, kind="stable")
            first = self.ids.take(order[:3]).tolist()
            if isinstance(vocabulary, Vocabulary):
                without = vocabulary.rows_of_ids(self.ids) == 0
                rare, unknown = int(without.sum()), int(self.counts[without].sum())
        return {
            "distinct": len(self.ids) if self.exact else None,
            "missing": self.n_missing,
            "rare": rare,
            "unknown_share": (unknown + self.n_missing) / max(self.n_cells, 1),
            "examples": first,
        }


def readers_of(
    owners: Mapping[ColumnName, ColumnName],
) -> dict[ColumnName, list[ColumnName]]:
    """Map each vocabulary to the columns that read it, in the order of the columns.

    Parameters
    ----------
    owners : mapping of str or int to str or int
        From each id column to the one whose vocabulary it reads.
    """
    readers: dict[ColumnName, list[ColumnName]] = {}
    for name, owner in owners.items():
        readers.setdefault(owner, []).append(name)
    return readers


@dataclass(frozen=True)
class Plan:
    """What to learn about the columns: their roles, and the parameters that name them.

    Attributes
    ----------
    roles : Roles
        What each column is read as.
    owners : dict of str or int to str or int
        From each id column to the one whose vocabulary it reads.
    hashed : dict of str or int to int
        Buckets of the columns without a vocabulary.
    chains : list of list of int
        From `fallback_chains`.
    optional : list of str or int
        From `optional_columns`.
    """

    roles: Roles
    owners: dict[ColumnName, ColumnName]
    hashed: dict[ColumnName, int]
    chains: list[list[int]]
    optional: list[ColumnName]

    @property
    def categorical(self) -> list[ColumnName]:
        """Names of the id columns."""
        return [self.roles.names[i] for i in self.roles.single]

    @property
    def bags(self) -> list[ColumnName]:
        """Names of the columns of lists."""
        return [self.roles.names[i] for i in self.roles.lists]

    @property
    def numeric(self) -> list[ColumnName]:
        """Names of the numeric columns."""
        return [self.roles.names[i] for i in self.roles.numeric]

    @property
    def places(self) -> dict[ColumnName, int]:
        """Positions of the id columns, including columns of lists."""
        # In the order of `owners`.
        at = [*self.roles.single, *self.roles.lists]
        return dict(zip(self.owners, at, strict=True))


def names_columns(X: TableLike, seen: Sequence[ColumnName] | None) -> bool:
    """Whether a table names its columns.

    Parameters
    ----------
    X : table
        The table, which may be a list of rows that are mappings.
    seen : sequence of str or None
        The columns of `fit`.

    Raises
    ------
    ValueError
        If a row lacks one of `seen`, but has a key that resembles it: the column would
        be a missing cell there. Other keys are ignored, as other columns are.
    """
    if isinstance(X, list | tuple) and X and seen is not None:
        _check_keys([row for row in X if isinstance(row, Mapping)], seen)
    return has_names(X)


def _check_keys(
    rows: Sequence[Mapping[Hashable, object]], seen: Sequence[ColumnName]
) -> None:
    known = set(seen)
    alike: dict[Hashable, ColumnName | None] = {}  # by key, since rows repeat them
    for i, row in enumerate(rows):
        lacks = known - row.keys()
        for key in row.keys() - known if lacks else ():
            if key not in alike:
                alike[key] = _meant(key, seen, rows)
            name = alike[key]
            if name not in lacks:
                continue
            raise ValueError(
                f"Row {i} of X has no {shown(name)}, but {shown(key)}, which is not a "
                f"column of fit. Did you mean {shown(name)}? Rename it; or remove it, "
                f"if the value of {shown(name)} is unknown."
            )


def _meant(
    key: Hashable,
    seen: Sequence[ColumnName],
    rows: Sequence[Mapping[Hashable, object]],
) -> ColumnName | None:
    """The column of which a key is a misspelling; None if of none."""
    # Names with other numbers, such as of other periods, are no misspellings.
    digits = re.findall(r"\d", str(key))
    near = [name for name in seen if re.findall(r"\d", str(name)) == digits]
    # The names of some rows may be much alike, so more than for a suggestion.
    name = resembling(key, near, cutoff=0.8)
    # Not if both are in one row: then they are different things.
    return None if any(name in row and key in row for row in rows) else name


def check_input_names(
    given: Iterable[str] | None, n_features: int, seen: Iterable[str] | None
) -> list[str]:
    """Return the names of the columns in `fit`, or those given if they had none."""
    # The messages are those of scikit-learn's own transformers.
    if given is None:
        return [f"x{i}" for i in range(n_features)] if seen is None else list(seen)
    given = list(given)
    if seen is not None and given != list(seen):
        raise ValueError("input_features is not equal to feature_names_in_")
    if len(given) != n_features:
        raise ValueError(
            "input_features should have length equal to number of features "
            f"({n_features}), got {len(given)}"
        )
    return given
