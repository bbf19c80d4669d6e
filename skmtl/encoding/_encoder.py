"""TableEncoder: ids to rows of an embedding table, numbers to scales and bins."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    check_is_fitted,
    validate_data,
)

from skmtl._containers import as_frame, has_names
from skmtl._saving import SaveMixin
from skmtl._sklearn import Interval, StrOptions, _fit_context, output_config
from skmtl.encoding._columns import as_float, select_categorical
from skmtl.encoding._fallback import fall_back, fallback_chains
from skmtl.encoding._growing import GrowingMixin
from skmtl.encoding._growth import Layout
from skmtl.encoding._hashing import HashedIds, check_buckets
from skmtl.encoding._keys import as_keys, warn_of_other_kind
from skmtl.encoding._lists import flat_keys, holds_lists
from skmtl.encoding._numbers import NumberScale, scaled
from skmtl.encoding._ragged import RaggedArray
from skmtl.encoding._sharing import joined_keys, vocabulary_owners
from skmtl.encoding._short import SHORT, plain_cells
from skmtl.encoding._table import EncodedTable
from skmtl.encoding._vocabulary import Vocabulary
from skmtl.tasks import check_row_weight

_ID_NAME = re.compile(r"(^|_|(?<=[a-z]))(id|ids|ID|IDs|Id)$")


class TableEncoder(GrowingMixin, SaveMixin, TransformerMixin, BaseEstimator):
    """Turn a table of ids and numbers into what an embedding network reads.

    Every id column gets a vocabulary. Row 0 of each is shared by the values that are
    missing, rare or unseen; the other rows are ordered by frequency. Ids stay
    integers or strings from the cell to the row: 16,777,217 is not 16,777,216.

    A column of lists of ids (what a user viewed before, the tags of an item) becomes a
    bag: the rows of all its ids, one list after the other. Missing entries of a list
    are left out, unseen ones read row 0, and a missing list is an empty one.

    Every number is scaled robustly (median and quartiles, then squashed), and also
    binned by quantiles for an embedding of its own. A value that carries a whole bin's
    share of the rows, such as the zeros of capital gains, gets a bin to itself, and
    missing numbers get bin 0.

    Parameters
    ----------
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold ids: by dtype (``category``, strings, objects and lists), by
        name, by index or by a boolean mask. ``None`` takes all columns for numbers.
    min_frequency : int, default=2
        Ids found fewer times share row 0. With 1 every id that is seen has its own row,
        and nothing but missing cells trains row 0.
    max_categories : int or None, default=None
        At most this many ids of a column, the most frequent, get a row of their own.
    share_embedding : mapping or None, default=None
        From the name of an id column, or column of lists, to that of another whose
        vocabulary it shares, such as ``{"history": "item_id"}``. The frequencies of
        an id in all its columns add up.
    max_length : int or None, default=None
        Entries of a list that are kept, the last ones, since histories are written
        from the oldest to the newest. None for all.
    fallback : mapping of column to column or None, default=None
        What unknown ids of a column fall back to, such as ``{"item_id":
        "category_id"}``: a row for each known id of the other column, in the table of
        the first, takes the place of row 0. Where the other's id is unknown too, the
        column that it falls back to itself is asked, and row 0 at the end.
    n_buckets : mapping of column to int or None, default=None
        Id columns without a vocabulary: a hash puts each id in one of so many rows,
        which ids share by chance. Nothing is rare or unseen there; row 0 is for missing
        cells.
    n_hashes : int, default=1
        Number of hash functions for these columns. With several, the embedding of an id
        is the sum of so many rows, and few ids share all of them.
    n_bins : int, default=64
        Bins for each number, about. 0 for no bins. A number with two values, or one,
        and no missing cell gets none: its scaled value says all there is to know.

    Attributes
    ----------
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if `X` had any that are all strings.
    categorical_names_, bag_names_, numeric_names_ : list
        Names (or indices) of the id columns, the columns of lists and the numeric
        columns.
    vocabulary_of_ : dict
        From each id column and column of lists to the column that gives its
        vocabulary the name: itself, if nothing is shared.
    vocabulary_names_ : list
        Names of the vocabularies.
    vocabulary_sizes_ : list of int
        Rows of each vocabulary, row 0 and fallbacks included.
    layout_ : Layout
        Where each vocabulary's rows lie in the fused table.
    more_hashes_ : list of int
        For each further hash, the place of its column among the id columns. Their rows
        come after those of all columns.
    bin_sizes_ : list of int
        Bins of each number that has any, the missing bin included.

    See Also
    --------
    sklearn.preprocessing.OrdinalEncoder : Codes without row 0 and frequencies.

    References
    ----------
    Robust scaling and squashing: D. Holzmüller, L. Grinsztajn and I. Steinwart,
    "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data",
    NeurIPS 2024, section 3.

    Hashing: K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning",
    ICML 2009, section 2; several hashes: D. Svenstrup, J. M. Hansen and O. Winther,
    "Hash Embeddings for Efficient Word Representations", NeurIPS 2017, section 3,
    here without its weights of importance, which need a vocabulary.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.encoding import TableEncoder
    >>> X = pd.DataFrame({"item": ["a", "b", "a", None], "price": [1.0, 2.0, 3.0, 9.0]})
    >>> encoder = TableEncoder(min_frequency=1, n_bins=2).set_output(transform="pandas")
    >>> encoder.fit_transform(X)
       item     price  price_bin
    0     1 -0.493197          1
    1     2  0.000000          1
    2     1  0.493197          2
    3     0  2.277770          2
    """

    _frame_names: list[Any] | None = None
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), str, None],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "max_categories": [Interval(Integral, 1, None, closed="left"), None],
        "share_embedding": [dict, None],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "fallback": [Mapping, None],
        "n_buckets": [Mapping, None],
        "n_hashes": [Interval(Integral, 1, None, closed="left")],
        "n_bins": [Interval(Integral, 0, 65_536, closed="both")],
    }

    def __init__(
        self,
        categorical_features: Any = "from_dtype",
        *,
        min_frequency: int = 2,
        max_categories: int | None = None,
        share_embedding: Mapping[Any, Any] | None = None,
        max_length: int | None = None,
        fallback: Mapping[Any, Any] | None = None,
        n_buckets: Mapping[Any, int] | None = None,
        n_hashes: int = 1,
        n_bins: int = 64,
    ) -> None:
        self.categorical_features = categorical_features
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.share_embedding = share_embedding
        self.max_length = max_length
        self.fallback = fallback
        self.n_buckets = n_buckets
        self.n_hashes = n_hashes
        self.n_bins = n_bins

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn vocabularies, scales and bins.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.
        y : object
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in medians, quartiles and bins. A row of weight 0 is
            left out altogether; frequencies of ids count rows.

        Returns
        -------
        self : TableEncoder
            The fitted encoder.

        Raises
        ------
        ValueError, TypeError
            For tables that cannot be encoded; the message names the column.
        """
        frame = self._as_frame(X, reset=True)
        weight = check_row_weight(sample_weight, len(frame))
        if weight is not None and not weight.all():
            frame, weight = frame[weight > 0], weight[weight > 0]
        names = list(frame.columns)
        mask = select_categorical(frame, self.categorical_features)
        if isinstance(self.categorical_features, str):
            _warn_of_integer_ids(frame, mask)
        ids = [i for i, is_id in enumerate(mask) if is_id]
        lists = [i for i in ids if holds_lists(frame.iloc[:, i])]
        single = [i for i in ids if i not in lists]
        numeric = [i for i, is_id in enumerate(mask) if not is_id]
        bags, categorical = ([names[i] for i in at] for at in (lists, single))
        owners = vocabulary_owners(self.share_embedding, [*categorical, *bags], names)
        hashed = check_buckets(self.n_buckets, owners, bags, self.n_hashes)
        chains = fallback_chains(self.fallback, categorical, owners, list(hashed))
        vocabularies: dict[Any, Any] = {
            owner: HashedIds.fit(keys, hashed[owner])
            if owner in hashed
            else Vocabulary.fit(keys, **self._limits())
            for owner, keys in self._keys(frame, owners, bags)
        }
        scales = [
            NumberScale.fit(as_float(frame.iloc[:, i], names[i]), weight, self.n_bins)
            for i in numeric
        ]
        self._categorical, self._lists, self._numeric = single, lists, numeric
        self.categorical_names_, self.bag_names_ = categorical, bags
        self.numeric_names_ = [names[i] for i in numeric]
        self.vocabulary_of_, self.vocabulary_names_ = owners, list(vocabularies)
        self._chains, self._scales = chains, scales
        self._set_vocabularies(list(vocabularies.values()))
        more = [k for k, name in enumerate(categorical) if owners[name] in hashed]
        self.more_hashes_ = more * (self.n_hashes - 1)
        self.bin_sizes_ = [s.n_bins for s in scales if s.edges is not None]
        return self

    def _keys(
        self, frame: pd.DataFrame, owners: dict[Any, Any], lists: Sequence[Any]
    ) -> Iterator[tuple[Any, pd.Series]]:
        """Keys of one vocabulary after the other, from all columns that read it."""
        for owner in dict.fromkeys(owners.values()):
            columns = [name for name in owners if owners[name] == owner]
            keys = [
                flat_keys(frame[name], name, self.max_length)[0]
                if name in lists
                else as_keys(frame[name], name)
                for name in columns
            ]
            yield owner, joined_keys(keys, columns)

    def _limits(self) -> dict[str, Any]:
        return {
            "min_frequency": self.min_frequency,
            "max_categories": self.max_categories,
        }

    def _set_vocabularies(self, vocabularies: list[Any]) -> None:
        self._vocabularies = vocabularies
        places = self.vocabulary_places_
        columns = [places[name] for name in self.categorical_names_]
        self.layout_ = Layout.of(self._chains, columns, [len(v) for v in vocabularies])
        self.vocabulary_sizes_ = list(self.layout_.totals)

    def encode(self, X: Any) -> EncodedTable:
        """Encode a table for the network.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            A table with the columns seen in `fit`. The columns of a DataFrame are
            matched by name and may come in any order; columns that `fit` has not seen
            are left out.

        Returns
        -------
        EncodedTable
            Typed arrays, with every column's offset added.
        """
        check_is_fitted(self)
        if isinstance(X, EncodedTable):
            return X
        frame = self._as_frame(X, reset=False)
        cells = self._plain_cells(frame)
        if cells is not None:
            return self._encode_cells(cells, frame)
        n = len(frame)
        columns = [column for _, column in frame.items()]
        codes = np.empty((n, len(self._categorical)), dtype=self._id_type())
        for k, i in enumerate(self._categorical):
            vocabulary = self._vocabularies[self.layout_.columns[k]]
            codes[:, k] = _rows(vocabulary, columns[i], self.categorical_names_[k])
        fall_back(codes, self.layout_.fallbacks)
        ids = self._with_more_hashes(codes, columns)
        ids += self._id_offsets()
        bags = tuple(
            self._bag(columns[i], name)
            for i, name in zip(self._lists, self.bag_names_, strict=True)
        )
        numeric = np.empty((n, len(self._scales)), dtype=np.float32)
        bins = np.empty((n, len(self.bin_sizes_)), dtype=np.int32)
        places = self._bin_places()
        for k, (i, scale) in enumerate(zip(self._numeric, self._scales, strict=True)):
            x = as_float(columns[i], self.numeric_names_[k])
            numeric[:, k] = scale.scaled(x)
            if k in places:
                place, offset = places[k]
                np.add(scale.bins(x), offset, out=bins[:, place])
        return EncodedTable(ids, bins, numeric, bags)

    def _plain_cells(self, frame: pd.DataFrame) -> npt.NDArray[Any] | None:
        """Cells of a table that can be encoded at once, one row for each column."""
        strings = all(
            isinstance(v, Vocabulary) and v.numbers is False for v in self._vocabularies
        )
        if self._lists or not strings:
            return None
        return plain_cells(frame, self._categorical, self._numeric)

    def _encode_cells(
        self, cells: npt.NDArray[Any], frame: pd.DataFrame
    ) -> EncodedTable:
        """Encode a short table of strings and numbers."""
        ids = np.empty((len(frame), len(self._categorical)), dtype=self._id_type())
        for k, i in enumerate(self._categorical):
            vocabulary = self._vocabularies[self.layout_.columns[k]]
            ids[:, k] = vocabulary.rows_of_cells(cells[i].tolist())
        fall_back(ids, self.layout_.fallbacks)
        ids += self._id_offsets()
        x = cells[self._numeric].T.astype(np.float64, order="C")
        if np.isinf(x).any():
            for i, name in zip(self._numeric, self.numeric_names_, strict=True):
                as_float(frame.iloc[:, i], name)  # raises, and names the column
        bins = np.empty((len(x), len(self.bin_sizes_)), dtype=np.int32)
        for k, (place, offset) in self._bin_places().items():
            np.add(self._scales[k].bins(x[:, k]), offset, out=bins[:, place])
        return EncodedTable(ids, bins, scaled(x, self._scales))

    def transform(self, X: Any) -> npt.NDArray[np.float64] | pd.DataFrame:
        """Encode a table as one array, for use outside skmtl.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            As for `encode`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), dtype float64
            Codes of the ids (then those of further hashes), lengths of the lists,
            scaled numbers, and bins of the numbers. A DataFrame with integer codes
            under ``set_output(transform="pandas")``. The ids in lists, which fit in no
            column, are in what `encode` gives.
        """
        table = self.encode(X)
        ids = table.ids - self._id_offsets()
        bins = table.bins - np.array(_offsets(self.bin_sizes_), dtype=np.int32)
        lengths = np.empty((len(table), len(table.bags)), dtype=np.int64)
        for k, bag in enumerate(table.bags):
            lengths[:, k] = bag.lengths
        arrays = (ids, lengths, table.numeric, bins)
        if not self._wants_frame():
            return np.hstack(arrays, dtype=np.float64)
        out = pd.concat([pd.DataFrame(block) for block in arrays], axis=1)
        out.columns = self.get_feature_names_out()
        return out.set_axis(X.index) if isinstance(X, pd.DataFrame) else out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Give the names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names for columns that had none in `fit`.

        Returns
        -------
        ndarray of str
            The id columns, ``<name>_hash2`` and so on with several hashes,
            ``<name>_length`` for each column of lists, the numbers,
            and ``<name>_bin`` for each number that has bins.
        """
        check_is_fitted(self)
        names = _check_input_names(self, input_features)
        ids = [names[i] for i in self._categorical]
        for k, number in zip(self.more_hashes_, self._hash_numbers(), strict=True):
            ids.append(f"{ids[k]}_hash{number + 1}")
        lengths = [f"{names[i]}_length" for i in self._lists]
        numbers = [names[i] for i in self._numeric]
        bins = [f"{numbers[k]}_bin" for k in self._bin_places()]
        return np.asarray([*ids, *lengths, *numbers, *bins], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = False
        return tags

    @property
    def binned_(self) -> list[int]:
        """For each of `bin_sizes_`, which of `numeric_names_` it is of."""
        if not self.bin_sizes_:
            return []
        return [k for k, s in enumerate(self._scales) if s.edges is not None]

    def _bin_places(self) -> dict[int, tuple[int, int]]:
        """For each number with bins, its column of bins and the first row of these."""
        pairs = zip(self.binned_, _offsets(self.bin_sizes_), strict=True)
        return {k: (i, offset) for i, (k, offset) in enumerate(pairs)}

    @property
    def vocabulary_places_(self) -> dict[Any, int]:
        """From each id column and column of lists to the place of its vocabulary."""
        place = {name: v for v, name in enumerate(self.vocabulary_names_)}
        return {name: place[owner] for name, owner in self.vocabulary_of_.items()}

    def _bag(self, column: pd.Series, name: Any) -> RaggedArray:
        keys, lengths = flat_keys(column, name, self.max_length)
        place = self.vocabulary_places_[name]
        rows = _rows(self._vocabularies[place], keys, name)
        return RaggedArray.from_lengths(rows + self.layout_.first[place], lengths)

    def _hash_numbers(self) -> list[int]:
        """Number of the hash function behind each of `more_hashes_`, from 1."""
        n_hashed = max(len(set(self.more_hashes_)), 1)
        return [1 + place // n_hashed for place in range(len(self.more_hashes_))]

    def _with_more_hashes(
        self, codes: npt.NDArray[np.signedinteger[Any]], columns: list[pd.Series]
    ) -> npt.NDArray[np.signedinteger[Any]]:
        """Append the rows of further hashes."""
        more = []
        for k, number in zip(self.more_hashes_, self._hash_numbers(), strict=True):
            keys = as_keys(columns[self._categorical[k]], self.categorical_names_[k])
            vocabulary = self._vocabularies[self.layout_.columns[k]]
            more.append(vocabulary.rows(keys, number).astype(codes.dtype))
        return np.column_stack([codes, *more]) if more else codes

    def _id_type(self) -> type[np.signedinteger[Any]]:
        """Type of rows of the fused table: half the memory while they fit 32 bits."""
        fits = sum(self.vocabulary_sizes_) <= np.iinfo(np.int32).max
        return np.int32 if fits else np.int64

    def _id_offsets(self) -> npt.NDArray[np.signedinteger[Any]]:
        """First row in the fused table of what each column of encoded ids holds."""
        offsets = np.array(self.layout_.column_first, dtype=self._id_type())
        places = [*range(len(offsets)), *self.more_hashes_]
        return offsets[np.array(places, dtype=np.intp)]

    def _is_hashed(self, k: int) -> bool:
        """Whether a vocabulary is none."""
        return isinstance(self._vocabularies[k], HashedIds)

    def _add_ids(self, k: int, keys: pd.Index) -> None:
        """Give ids that `fit` did not see, or found too rare, rows of their own."""
        vocabularies = list(self._vocabularies)
        vocabularies[k] = vocabularies[k].extended(keys)
        self._set_vocabularies(vocabularies)

    def _as_frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Check the table against the one seen in `fit`, columns matched by name."""
        seen = None if reset else self._matched_names()
        if seen is not None and isinstance(X, pd.DataFrame) and _is_as_fitted(X, seen):
            return X  # what a service sends; the checks below take their time
        named = has_names(X)
        frame = as_frame(X, estimator=self)
        if named:
            _refuse_missing_names(frame)
        if named and seen is not None:
            frame = _select_by_name(frame, seen)
        if not len(frame) or not frame.shape[1]:
            what, lacks = (
                ("sample(s)", "row") if not len(frame) else ("feature(s)", "column")
            )
            raise ValueError(
                f"Found array with 0 {what} (shape={frame.shape}) while a minimum of "
                f"1 is required by {type(self).__name__}. Give a table with at least "
                f"one {lacks}."
            )
        _refuse_duplicates(frame.columns)
        validate_data(self, frame, skip_check_array=True, reset=reset)
        if reset:  # scikit-learn keeps names that are strings
            self._frame_names = list(frame.columns) if named else None
        return frame

    def _matched_names(self) -> list[Any] | None:
        """What columns of a DataFrame are matched by; None after an array."""
        names = getattr(self, "feature_names_in_", self._frame_names)
        return None if names is None else list(names)

    def _wants_frame(self) -> bool:
        return output_config("transform", self)["dense"] in ("pandas", "polars")


def _rows(vocabulary: Any, column: pd.Series, name: Any) -> Any:
    """Row of every id of a column within its vocabulary."""
    rows = vocabulary.rows_of_few(column) if len(column) <= SHORT else None
    if rows is None:
        rows = vocabulary.rows(as_keys(column, name))
    if not rows.any():
        warn_of_other_kind(vocabulary.numbers, column, name)
    return rows


def _is_as_fitted(X: pd.DataFrame, names: list[Any]) -> bool:
    """Whether a table has rows, these columns in this order, and native numbers."""
    return (
        len(X) > 0
        and list(X.columns) == names
        and all(getattr(dtype, "isnative", True) for dtype in X.dtypes.tolist())
    )


def _refuse_missing_names(frame: pd.DataFrame) -> None:
    if isinstance(frame.columns, pd.MultiIndex):
        return
    missing = np.flatnonzero(frame.columns.isna())
    if len(missing):
        raise ValueError(
            f"X has columns without a name: {frame.columns[missing[0]]!r} at position "
            f"{missing[0]}. Name each column."
        )


def _refuse_duplicates(columns: pd.Index) -> None:
    if columns.has_duplicates:
        twice = list(columns[columns.duplicated()])
        raise ValueError(f"X has columns of the same name: {twice}. Rename them.")


def _select_by_name(frame: pd.DataFrame, names: list[Any]) -> pd.DataFrame:
    """The named columns in this order, by position, as a name may be a boolean."""
    place = {name: i for i, name in reversed(list(enumerate(frame.columns)))}
    missing = [name for name in names if name not in place]
    if missing:
        raise ValueError(
            f"X lacks columns that were there in fit: {missing}. Found "
            f"{list(frame.columns)}. Add them, with missing cells where nothing is "
            "known."
        )
    _refuse_duplicates(frame.columns[frame.columns.isin(names)])
    return frame.iloc[:, [place[name] for name in names]]


def _check_input_names(encoder: TableEncoder, given: Any) -> list[str]:
    seen = getattr(encoder, "feature_names_in_", None)
    if given is None:
        if seen is not None:
            return list(seen)
        return [f"x{i}" for i in range(encoder.n_features_in_)]
    given = list(given)
    if seen is not None and given != list(seen):
        raise ValueError("input_features is not equal to feature_names_in_")
    if len(given) != encoder.n_features_in_:
        raise ValueError(
            "input_features should have length equal to number of features "
            f"({encoder.n_features_in_}), got {len(given)}"
        )
    return given


def _offsets(sizes: list[int]) -> list[int]:
    """First row of each column in the fused table."""
    return [sum(sizes[:i]) for i in range(len(sizes))]


def _warn_of_integer_ids(frame: pd.DataFrame, mask: list[bool]) -> None:
    suspects = [
        str(name)
        for name, is_id, dtype in zip(frame.columns, mask, frame.dtypes, strict=True)
        if not is_id and types.is_integer_dtype(dtype) and _ID_NAME.search(str(name))
    ]
    if suspects:
        warnings.warn(
            f"Columns {suspects} are named like ids but hold integers, so they are "
            "read as numbers. Name them in categorical_features, or cast them to "
            "'category'.",
            UserWarning,
            stacklevel=4,
        )
