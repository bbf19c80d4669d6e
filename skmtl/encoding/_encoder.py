"""TableEncoder: turn ids into rows of an embedding table, numbers into bins."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl._containers import (
    as_frame,
    check_in_memory,
    check_names,
    has_columns,
    is_source,
    select_columns,
)
from skmtl._saving import SaveMixin
from skmtl._sklearn import COUNT, Interval, StrOptions, _fit_context, output_config
from skmtl._typing import (
    CategoricalFeatures,
    ColumnName,
    LabelsLike,
    ObjectArray,
    TableLike,
    WeightsLike,
)
from skmtl.encoding._advice import (
    advise_on_arrays,
    advise_on_numbers,
    advise_on_rare,
)
from skmtl.encoding._columns import (
    Columns,
    Plan,
    Roles,
    check_buckets,
    check_input_names,
    fallback_chains,
    is_by_dtype,
    joined_ids,
    names_columns,
    optional_columns,
    read_roles,
    readers_of,
    vocabulary_owners,
    with_missing,
)
from skmtl.encoding._hashing import HashedIds
from skmtl.encoding._lists import spread_names, spread_vectors
from skmtl.encoding._numbers import ColumnProfile, as_float, binned, first_bins
from skmtl.encoding._statistics import (
    EncodingStatistics,
    Learnt,
    StreamedStatistics,
    TableStatistics,
    learn,
)
from skmtl.encoding._summary import summarize
from skmtl.encoding._table import (
    EncodedTable,
    Growth,
    IdArray,
    Layout,
    encode_frame,
    encode_request,
    growth,
    hash_numbers,
    id_offsets,
)
from skmtl.encoding._vocabulary import Ids, Vocabulary, VocabularyLimits, as_keys
from skmtl.encoding.blocks import EncodedBlocks, WeightedBlock, weighted_blocks
from skmtl.sources.opening import open_source
from skmtl.tasks import check_row_weight


class TableEncoder(SaveMixin, TransformerMixin, BaseEstimator):
    """Turn a table of ids and numbers into what an embedding network reads.

    Every id column gets a vocabulary. Row 0 of each is shared by the values that are
    missing, rare or unseen; the other rows are ordered by frequency. Ids stay
    integers or strings from the cell to the row: 16,777,217 is not 16,777,216.

    A column of lists of ids (what a user viewed before, the tags of an item) becomes a
    bag: the rows of all its ids, one list after the other. Missing entries of a list
    are left out, unseen ones read row 0, and a missing list is an empty one.

    Every numeric column is scaled robustly (median and quartiles, then squashed), and
    also binned by quantiles for an embedding of its own. A value that carries a whole
    bin's share of the rows, such as the zeros of capital gains, gets a bin to itself,
    and missing numbers get bin 0.

    Parameters
    ----------
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold ids: by dtype (``category``, strings, objects and lists), by
        name, by index or by a boolean mask. ``None`` treats all columns as numbers.
    min_frequency : int, default=2
        Ids found fewer times share row 0. With 1 every id that is seen has its own row,
        and only missing cells train row 0.
    max_categories : int or None, default=None
        Only this many ids of a column, the most frequent ones, get a row of their own.
        None for no limit.
    share_embedding : mapping or None, default=None
        From the name of an id column, or column of lists, to that of another whose
        vocabulary it shares, such as ``{"history": "item_id"}``. The frequencies of
        an id in all its columns add up.
    max_length : int or None, default=None
        Number of entries of a list to keep. The last ones are kept, since histories
        run from the oldest to the newest. None for all.
    fallback : mapping of column to column or None, default=None
        What unknown ids of a column fall back to, such as ``{"item_id":
        "category_id"}``: a row for each known id of the other column, in the table of
        the first, takes the place of row 0. Where the other's id is unknown too, the
        column that it falls back to in turn is used, and finally row 0.
    n_buckets : mapping of column to int or None, default=None
        Id columns to hash instead of giving them a vocabulary, and how many rows each
        gets. Ids may share a row by chance. No id is rare or unseen; row 0 is for
        missing cells.
    n_hashes : int, default=1
        Number of hash functions for these columns. With several, the embedding of an id
        is the sum of this many rows, and few ids share all of them.
    n_bins : int, default=128
        Approximate number of bins for each numeric column; 0 for no bins.
    bin_flags : bool, default=False
        Whether numeric columns with at most two distinct values and no missing cell get
        bins too, although their scaled values hold the same information.
    optional_features : array-like or None, default=None
        Columns of single ids or numbers, by name or index, that tables after `fit` may
        lack. They are then missing in every row. Tables without column names always
        have all columns.

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
        For each further hash, the position of its column among the id columns. Their
        rows come after those of all columns.
    bin_sizes_ : list of int
        Number of bins of each numeric column that has any, the missing bin included.
    optional_names_ : list
        Names (or indices) of the `optional_features`.

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

    _frame_names: list[ColumnName] | None = None
    _widths: Mapping[int, int] | None = None
    # The first versions' saved files and pickles do not have these.
    _profile: Mapping[ColumnName, ColumnProfile] | None = None
    optional_names_: Sequence[ColumnName] = ()
    _parameter_constraints: ClassVar[dict[str, Sequence[object]]] = {
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), str, None],
        "min_frequency": [COUNT],
        "max_categories": [COUNT, None],
        "share_embedding": [dict, None],
        "max_length": [COUNT, None],
        "fallback": [Mapping, None],
        "n_buckets": [Mapping, None],
        "n_hashes": [Interval(Integral, 1, 65_536, closed="both")],
        "n_bins": [Interval(Integral, 0, 65_536, closed="both")],
        "bin_flags": ["boolean"],
        "optional_features": ["array-like", str, None],
    }

    def __init__(
        self,
        categorical_features: CategoricalFeatures = "from_dtype",
        *,
        min_frequency: int = 2,
        max_categories: int | None = None,
        share_embedding: Mapping[ColumnName, ColumnName] | None = None,
        max_length: int | None = None,
        fallback: Mapping[ColumnName, object] | None = None,
        n_buckets: Mapping[ColumnName, int] | None = None,
        n_hashes: int = 1,
        n_bins: int = 128,
        bin_flags: bool = False,
        optional_features: str | Sequence[ColumnName] | None = None,
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
        self.bin_flags = bin_flags
        self.optional_features = optional_features

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: TableLike,
        y: LabelsLike | None = None,
        sample_weight: WeightsLike = None,
    ) -> Self:
        """Learn vocabularies, scales and bins.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features), or source
            The table: of pandas, polars or pyarrow, a dictionary of columns, an array,
            or a list of rows. A source is read block by block: a path, folder or
            pattern of Parquet files, a ``pyarrow.dataset.Dataset``, a
            ``polars.LazyFrame``, or :class:`~skmtl.sources.ParquetFiles`.
        y : object
            Ignored. For a source, the names of columns to leave out.
        sample_weight : array-like of shape (n_samples,) or str, default=None
            Weights of the rows in medians, quartiles and bins. A row of weight 0 is
            left out altogether; frequencies of ids count rows. For a source, the name
            of the column that holds the weights.

        Returns
        -------
        self : TableEncoder
            The fitted encoder.

        Raises
        ------
        ValueError, TypeError
            For tables that cannot be encoded; the message names the column.
        """
        if is_source(X):
            self.learn_blocks(weighted_blocks(open_source(X), y, sample_weight))
            return self
        self._learn(X, sample_weight)
        advise_on_rare(self.vocabulary_names_, self._vocabularies, self.min_frequency)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_encode(
        self,
        X: TableLike,
        y: LabelsLike | None = None,
        sample_weight: WeightsLike = None,
    ) -> EncodedTable:
        """Learn from a table, and encode it.

        The same as `fit` and then `encode`, in about half the time, since the distinct
        ids of a column are found only once.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table, which is in memory.
        y : object
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            As for `fit`. Rows of weight 0 are encoded too.

        Returns
        -------
        EncodedTable
            As `encode` gives it.

        Raises
        ------
        ValueError, TypeError
            As `fit`.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmtl import TableEncoder
        >>> X = pd.DataFrame({"item": ["a", "b", "a"], "price": [1.0, 2.0, 3.0]})
        >>> TableEncoder(min_frequency=1).fit_encode(X).ids.ravel()
        array([1, 2, 1], dtype=int32)
        """
        table, codes = self._learn(X, sample_weight, encodes=True)
        advise_on_rare(self.vocabulary_names_, self._vocabularies, self.min_frequency)
        return encode_frame(self, table, codes)

    def _learn(
        self, X: TableLike, sample_weight: WeightsLike, *, encodes: bool = False
    ) -> tuple[pd.DataFrame, IdArray | None]:
        """Learn; give the table, vectors spread, and its single ids if `encodes`."""
        frame = self._as_frame(X, reset=True)
        weight = check_row_weight(sample_weight, len(frame))
        kept, codes = frame, None
        some = weight is not None and not weight.all()
        if weight is not None and some:
            kept, weight = frame[weight > 0], weight[weight > 0]
        table, roles = read_roles(kept, self.categorical_features)
        plan, columns = self._plan(roles), Columns(table)
        rows = TableStatistics(columns, roles.lists, weight, self.max_length)
        # Codes are for the rows that are learnt from; others would have none.
        if encodes and not some:
            rows = EncodingStatistics(
                columns, plan, weight, self.max_length, self._limits()
            )
            codes = rows.codes
        found = learn(plan, rows, self._limits(), self.n_bins, self.bin_flags)
        self._set_learnt(frame, plan, found, named=names_columns(X, None))
        if is_by_dtype(self.categorical_features):
            from_array = self._frame_names is None
            if from_array:
                advise_on_arrays(X, columns, roles.single)
            advise_on_numbers(
                columns, roles.names, roles.numeric, from_array=from_array
            )
        return (self._spread(frame) if some else table), codes

    def learn_blocks(self, blocks: Iterable[WeightedBlock]) -> None:
        """Learn from rows that come block by block.

        Parameters
        ----------
        blocks : iterable of tuple
            A `Block` of the columns to learn from, and the weights of its rows, or
            None. The first block decides what the columns are read as.
        """
        rows: StreamedStatistics | None = None
        for block, weight in blocks:
            with block.named_in_errors():
                if rows is None:
                    frame = as_frame(block.table)
                    check_names(frame)
                    spread, roles = read_roles(frame, self.categorical_features)
                    plan = self._plan(roles)
                    rows = StreamedStatistics(plan, self.max_length)
                rows.add(block.table, weight)
        if rows is None or not rows.n_rows:
            raise ValueError(
                "The source has no row to learn from: it is empty, or all weights are "
                "0. Give at least one row with a weight above 0."
            )
        found = learn(plan, rows, self._limits(), self.n_bins, self.bin_flags)
        self._set_learnt(frame, plan, found, named=True)
        if is_by_dtype(self.categorical_features):
            advise_on_numbers(
                Columns(spread), roles.names, roles.numeric, from_array=False
            )
        advise_on_rare(self.vocabulary_names_, self._vocabularies, self.min_frequency)

    def _plan(self, roles: Roles) -> Plan:
        """Check the parameters that name columns."""
        single, bags = (
            [roles.names[i] for i in at] for at in (roles.single, roles.lists)
        )
        owners = vocabulary_owners(self.share_embedding, [*single, *bags], roles.names)
        hashed = check_buckets(self.n_buckets, owners, bags, self.n_hashes)
        chains = fallback_chains(self.fallback, single, owners, list(hashed))
        optional = optional_columns(self.optional_features, roles)
        return Plan(roles, owners, hashed, chains, optional)

    def _set_learnt(
        self, frame: pd.DataFrame, plan: Plan, found: Learnt, *, named: bool
    ) -> None:
        """Set the fitted attributes, only after everything has succeeded."""
        validate_data(self, frame, skip_check_array=True, reset=True)
        roles = plan.roles
        self._frame_names = list(frame.columns) if named else None
        self._categorical, self._lists = roles.single, roles.lists
        self._numeric, self._widths = roles.numeric, roles.widths
        self.categorical_names_, self.bag_names_ = plan.categorical, plan.bags
        self.numeric_names_, self._profile = plan.numeric, found.profile
        self.vocabulary_of_, self.optional_names_ = plan.owners, plan.optional
        self.vocabulary_names_ = list(dict.fromkeys(plan.owners.values()))
        self._chains, self._scales = plan.chains, found.scales
        self._set_vocabularies(found.vocabularies)
        more = [
            k
            for k, name in enumerate(plan.categorical)
            if plan.owners[name] in plan.hashed
        ]
        self.more_hashes_ = more * (self.n_hashes - 1)
        self.bin_sizes_ = [s.n_bins for s in found.scales if s.edges is not None]

    def _limits(self) -> VocabularyLimits:
        return {
            "min_frequency": self.min_frequency,
            "max_categories": self.max_categories,
        }

    def _set_vocabularies(self, vocabularies: list[Vocabulary | HashedIds]) -> None:
        self._vocabularies = vocabularies
        places = self.vocabulary_places_
        columns = [places[name] for name in self.categorical_names_]
        self.layout_ = Layout.of(self._chains, columns, [len(v) for v in vocabularies])
        self.vocabulary_sizes_ = list(self.layout_.totals)

    def encode(self, X: TableLike, *, read_optional: bool = True) -> EncodedTable:
        """Encode a table for the network.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            A table with the columns seen in `fit`. Columns that have names are matched
            by name and may come in any order; columns that `fit` has not seen are left
            out.
        read_optional : bool, default=True
            Whether to read the `optional_features`. With False they are missing in
            every row, and may hold anything.

        Returns
        -------
        EncodedTable
            Typed arrays, with every column's offset added.
        """
        check_is_fitted(self)
        if isinstance(X, EncodedTable):
            return X
        seen = self._matched_names()
        if isinstance(X, pd.DataFrame) and self.optional_names_:
            X = self._with_optional(X, read=read_optional)
        if isinstance(X, pd.DataFrame) and len(X) and has_columns(X, seen):
            few = encode_request(self, X)
            return few or encode_frame(self, self._spread(as_frame(X)))
        if not self.optional_names_ and (few := encode_request(self, X)):
            return few
        frame = self._as_frame(X, reset=False, read_optional=read_optional)
        return encode_frame(self, frame)

    def encode_blocks(self, X: object) -> Iterator[EncodedTable]:
        """Encode a source block by block, without its `optional_features`.

        Parameters
        ----------
        X : source or EncodedBlocks
            As for `fit`, or rows that are encoded already.

        Yields
        ------
        EncodedTable
            The next rows.
        """
        check_is_fitted(self)
        if isinstance(X, EncodedBlocks):
            yield from X.tables()
            return
        source = open_source(X)
        for block in source.blocks(self.names_to_match("X")):
            if len(block.table):
                with block.named_in_errors():
                    encoded = self.encode(block.table, read_optional=False)
                yield encoded

    def names_to_match(self, argument: str) -> list[str]:
        """Return the names in `fit`, by which the columns of a source are matched.

        Parameters
        ----------
        argument : str
            The argument that needs them, for the error.

        Returns
        -------
        list of str
            Their names, without the `optional_features`.

        Raises
        ------
        ValueError
            If the columns had no names.
        """
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            raise ValueError(
                f"{argument}: columns of a source are matched by name, but the table "
                "in fit had no names. Fit on a table with names."
            )
        without = set(self.optional_names_)
        return [str(name) for name in names if name not in without]

    def transform(self, X: TableLike) -> npt.NDArray[np.float64] | pd.DataFrame:
        """Encode a table as one array, for use outside skmtl.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            As for `encode`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), dtype float64
            Codes of the ids (then those of further hashes), lengths of the lists,
            scaled numbers, and bins of the numbers. A DataFrame with integer codes
            under ``set_output(transform="pandas")``. The ids in lists do not fit into
            columns; `encode` gives them.
        """
        table = self.encode(X)
        ids = table.ids - id_offsets(self)
        bins = table.bins - first_bins(self.bin_sizes_).astype(np.int32)
        lengths = np.empty((len(table), len(table.bags)), dtype=np.int64)
        for k, bag in enumerate(table.bags):
            lengths[:, k] = bag.lengths
        arrays = (ids, lengths, table.numeric, bins)
        if output_config("transform", self)["dense"] not in ("pandas", "polars"):
            return np.hstack(arrays, dtype=np.float64)
        out = pd.concat([pd.DataFrame(block) for block in arrays], axis=1)
        out.columns = self.get_feature_names_out()
        return out.set_axis(X.index) if isinstance(X, pd.DataFrame) else out

    def get_feature_names_out(
        self, input_features: Sequence[str] | ObjectArray | None = None
    ) -> np.ndarray:
        """Return the names of the columns that `transform` gives.

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
        given = check_input_names(
            input_features,
            self.n_features_in_,
            getattr(self, "feature_names_in_", None),
        )
        names = spread_names(given, self._widths or {})
        ids = [names[i] for i in self._categorical]
        for k, number in zip(
            self.more_hashes_, hash_numbers(self.more_hashes_), strict=True
        ):
            ids.append(f"{ids[k]}_hash{number + 1}")
        lengths = [f"{names[i]}_length" for i in self._lists]
        numbers = [names[i] for i in self._numeric]
        bins = [f"{numbers[k]}_bin" for k in self.binned_]
        return np.asarray([*ids, *lengths, *numbers, *bins], dtype=object)

    def summary(self) -> pd.DataFrame:
        """Describe what each column was read as.

        Returns
        -------
        DataFrame
            A row for each column of the table in `fit`. ``read_as`` is ids, lists of
            ids, numbers or vectors, and ``rows`` the number of rows of its embedding
            table (of bins for numbers; of a shared table where columns share one),
            including those that `partial_fit` has added. ``distinct`` counts the
            distinct values, ``missing`` the missing cells, and ``rare`` the ids without
            a row of their own. ``unknown_share`` is the share of the cells, or entries
            of lists, that read the row for unknown ids or are missing. ``examples``
            shows the most frequent ids, and the minimum, median and maximum of numbers.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmtl import TableEncoder
        >>> X = pd.DataFrame({"item": ["a", "b", "a", None], "price": [1, 2, 3, 9]})
        >>> encoder = TableEncoder().fit(X)
        >>> encoder.summary()[["read_as", "distinct", "missing", "rare", "examples"]]
                read_as  distinct  missing  rare examples
        column
        item        ids         2        1     1     a, b
        price   numbers         4        0     0  1, 3, 9
        """
        check_is_fitted(self)
        return summarize(self)

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle and hasattr(self, "vocabulary_sizes_"):
            bundle["text/html"] += self.summary().to_html()
        return bundle

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: TableLike,
        y: LabelsLike | None = None,
        sample_weight: WeightsLike = None,
    ) -> Self:
        """Add rows for new ids; the first call does what `fit` does.

        Ids keep their rows. An id that has been seen on `min_frequency` rows over all
        calls gets one, as long as there are fewer than `max_categories`. Scales and
        bins do not change.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            More rows, with the columns seen in the first call and no others.
        y : object
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Rows of weight 0 are left out.

        Returns
        -------
        self : TableEncoder
            The encoder.

        Raises
        ------
        ValueError, TypeError
            For other columns, or ids of another type; the message names the column, and
            the encoder is left unchanged.
        """
        if hasattr(self, "vocabulary_sizes_"):
            self.__dict__.update(self.grown(X, sample_weight)[0].__dict__)
        else:  # without `fit`'s warning of rare ids, which may come again later
            self._learn(X, sample_weight)
        return self

    def grown(
        self, X: TableLike, sample_weight: WeightsLike = None
    ) -> tuple[Self, Growth]:
        """Return an encoder that knows the ids of more rows; this one does not change.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            As for `partial_fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            As for `partial_fit`.

        Returns
        -------
        encoder : TableEncoder
            The new encoder.
        growth : Growth
            For each row of its fused table of ids, ``start``, the row of this encoder's
            table from which to start, and ``new``, whether it is new.

        Raises
        ------
        ValueError, TypeError
            As `partial_fit`.
        """
        check_is_fitted(self)
        seen = self._matched_names()
        if names_columns(X, seen) and seen is not None:
            X = as_frame(X, estimator=self)
            more = [name for name in X.columns if name not in set(seen)]
            if more:
                raise ValueError(
                    f"X has columns that were not there in the first call: {more}. "
                    "Leave them out, or fit again with them."
                )
        frame = self._as_frame(X, reset=False)
        weight = check_row_weight(sample_weight, len(frame))
        if weight is not None and not weight.all():
            frame = frame[weight > 0]
        encoder = copy.copy(self)
        columns, owners = Columns(frame), self.vocabulary_of_
        places = dict(zip(owners, [*self._categorical, *self._lists], strict=True))
        rows = TableStatistics(columns, self._lists, weight, self.max_length)
        grown = []
        for vocabulary, (owner, readers) in zip(
            self._vocabularies, readers_of(owners).items(), strict=True
        ):
            readings = [rows.ids(name, places[name]) for name in readers]
            ids, counts = joined_ids(readings)
            grown.append(vocabulary.grown(ids, counts, owner, **self._limits()))
        encoder._set_vocabularies(grown)
        before, after = (e._all_ids(frame) for e in (self, encoder))
        return encoder, growth(self.layout_, encoder.layout_, before, after)

    def _all_ids(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Ids of all cells, those of lists first; of single ones the first hash."""
        table = encode_frame(self, frame)
        ids = table.ids[:, : len(self._categorical)]
        return np.concatenate([*(bag.values for bag in table.bags), ids.ravel()])

    def frequencies(
        self, X: TableLike, *, read_optional: bool = True
    ) -> npt.NDArray[np.int64]:
        """Count the rows of `fit` and `partial_fit` on which each id was seen.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            As for `encode`.
        read_optional : bool, default=True
            As for `encode`.

        Returns
        -------
        ndarray of shape (n_samples, n_id_columns), dtype int64
            0 for an id that was not seen, -1 for a missing cell. Hashed columns, whose
            ids are not counted, have -1 everywhere.
        """
        check_is_fitted(self)
        if isinstance(X, pd.DataFrame) and self.optional_names_:
            X = self._with_optional(X, read=read_optional)
        frame = self._as_frame(X, reset=False, read_optional=read_optional)
        found = np.full((len(frame), len(self._categorical)), -1, dtype=np.int64)
        for k, i in enumerate(self._categorical):
            vocabulary = self._vocabularies[self.layout_.columns[k]]
            if isinstance(vocabulary, Vocabulary):
                keys = as_keys(frame.iloc[:, i], self.categorical_names_[k])
                found[:, k] = vocabulary.frequencies(keys)
        return found

    def numbers(self, X: TableLike) -> npt.NDArray[np.float64]:
        """Return the numbers of a table as they are, neither scaled nor binned.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            As for `encode`.

        Returns
        -------
        ndarray of shape (n_samples, n_numeric), dtype float64
            In the order of `numeric_names_`; NaN where missing.
        """
        check_is_fitted(self)
        frame = self._as_frame(X, reset=False)
        found = np.empty((len(frame), len(self._numeric)))
        for k, i in enumerate(self._numeric):
            found[:, k] = as_float(frame.iloc[:, i], self.numeric_names_[k])
        return found

    def row_frequencies(self) -> npt.NDArray[np.int64]:
        """Count the rows on which the id of each row of the fused table was seen.

        Returns
        -------
        ndarray of shape (n_rows_of_tables,), dtype int64
            0 for rows that do not belong to one id: unknown ids, fallbacks, buckets.
        """
        check_is_fitted(self)
        n_rows = sum(self.layout_.totals)
        try:
            found = np.zeros(n_rows, dtype=np.int64)
        except MemoryError as error:
            raise MemoryError(
                f"The columns {self.vocabulary_names_} have {n_rows:,} rows, whose "
                f"counts take {8 * n_rows / 2**30:,.1f} GiB. Use a smaller n_buckets."
            ) from error
        firsts = self.layout_.first
        for first, vocabulary in zip(firsts, self._vocabularies, strict=True):
            if isinstance(vocabulary, Vocabulary):
                found[first + 1 : first + len(vocabulary)] = vocabulary.counts
        return found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = False
        return tags

    @property
    def bin_ranges_(self) -> npt.NDArray[np.float32]:
        """Range of the scaled numbers that each row of the fused table of bins covers.

        Given as the lower edge and one over the width; zeros for a bin without two
        edges, and for that of a single value.
        """
        parts = [self._scales[k].ranges() for k in self.binned_]
        return np.concatenate([np.empty((0, 2), dtype=np.float32), *parts])

    @property
    def binned_(self) -> list[int]:
        """For each of `bin_sizes_`, the position of its column in `numeric_names_`."""
        return binned(self._scales, self.bin_sizes_)

    @property
    def vocabulary_places_(self) -> dict[ColumnName, int]:
        """Map each id column and column of lists to the position of its vocabulary."""
        place = {name: v for v, name in enumerate(self.vocabulary_names_)}
        return {name: place[owner] for name, owner in self.vocabulary_of_.items()}

    def _is_hashed(self, k: int) -> bool:
        """Whether the ids of place `k` are hashed instead of having a vocabulary."""
        return isinstance(self._vocabularies[k], HashedIds)

    def _add_ids(self, k: int, ids: Ids) -> None:
        """Give ids that `fit` did not see, or found too rare, rows of their own."""
        vocabularies = list(self._vocabularies)
        known = vocabularies[k]
        assert isinstance(known, Vocabulary)  # hashed columns are refused before
        vocabularies[k] = known.extended(ids)
        self._set_vocabularies(vocabularies)

    def _as_frame(
        self, X: TableLike, *, reset: bool, read_optional: bool = True
    ) -> pd.DataFrame:
        """Check the table against the one seen in `fit`, columns matched by name."""
        seen = None if reset else self._matched_names()
        if isinstance(X, pd.DataFrame) and len(X) and has_columns(X, seen):
            return self._spread(as_frame(X))
        check_in_memory(X, "X", "this method of TableEncoder takes tables in memory")
        named = names_columns(X, seen)
        frame = as_frame(X, estimator=self)
        if named and seen is not None:
            frame = self._with_optional(frame, read=read_optional)
            frame = select_columns(frame, seen)
        if not len(frame) or not frame.shape[1]:
            what, lacks = (
                ("sample(s)", "row") if not len(frame) else ("feature(s)", "column")
            )
            # scikit-learn's words, which its common checks look for.
            raise ValueError(
                f"Found array with 0 {what} (shape={frame.shape}) while a minimum of "
                f"1 is required by {type(self).__name__}. Give a table with at least "
                f"one {lacks}."
            )
        if reset:
            check_names(frame)
            return frame
        validate_data(self, frame, skip_check_array=True, reset=False)
        if not (read_optional or (named and seen is not None)):
            places = self._matched_names() or list(range(self.n_features_in_))
            at = [frame.columns[places.index(name)] for name in self.optional_names_]
            frame = with_missing(frame, at)
        return self._spread(frame)

    def _with_optional(self, frame: pd.DataFrame, *, read: bool = True) -> pd.DataFrame:
        """The table, with missing cells for the optional columns that it lacks.

        Or for all of them, if they are not to be `read`.
        """
        seen, there = self._matched_names(), set(frame.columns)
        lacks = [n for n in self.optional_names_ if not read or n not in there]
        if seen is None or not lacks:
            return frame
        frame = with_missing(frame, lacks)
        return frame if there - set(seen) else select_columns(frame, seen)

    def _spread(self, frame: pd.DataFrame) -> pd.DataFrame:
        return spread_vectors(frame, self._widths) if self._widths else frame

    def _matched_names(self) -> list[ColumnName] | None:
        """Names by which columns of a DataFrame are matched; None after an array."""
        names = getattr(self, "feature_names_in_", self._frame_names)
        return None if names is None else list(names)
