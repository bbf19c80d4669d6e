"""Base of the embedders: from a log of events to a table of item vectors."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl._containers import as_frame, has_names
from skmtl._saving import SaveMixin
from skmtl._sklearn import COUNT, _fit_context
from skmtl._typing import ColumnName, LabelsLike, RandomStateLike, TableLike
from skmtl.embedders._log import Log, column_position
from skmtl.encoding._vocabulary import Ids, Vocabulary, as_keys

Codes = npt.NDArray[np.int64]
POSITIVE = [COUNT]


class ItemEmbedder(
    SaveMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC
):
    """Base of estimators that learn a vector for each item of a log.

    A subclass adds a constructor and `_learn`.
    """

    # Files of the first version do not have these two.
    _columns: list[ColumnName] | None = None
    _has_names: bool | None = None
    _parameter_constraints: ClassVar[dict[str, object]] = {
        "group_column": [str, Integral],
        "item_column": [str, Integral],
        "time_column": [str, Integral, None],
        "embedding_dim": POSITIVE,
        "window": POSITIVE,
        "min_frequency": POSITIVE,
        "negative": POSITIVE,
        "max_iter": POSITIVE,
        "random_state": ["random_state"],
    }
    group_column: ColumnName
    item_column: ColumnName
    time_column: ColumnName
    embedding_dim: int
    window: int
    min_frequency: int
    max_iter: int
    random_state: RandomStateLike

    @abstractmethod
    def _learn(
        self, frame: pd.DataFrame, codes: Codes, n_items: int, seed: int
    ) -> npt.NDArray[np.float32]:
        """Learn vectors of the items, ``(n_items, embedding_dim)``.

        `codes` holds the item of each row of the table, -1 for none.
        """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: TableLike, y: LabelsLike | None = None) -> Self:
        """Learn a vector for each item.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_events, n_features)
            A log of events. A row without an item or a group is left out.
        y : object
            Ignored.

        Returns
        -------
        self : ItemEmbedder
            The fitted embedder.

        Raises
        ------
        ValueError, TypeError
            For a log that cannot be read; the message names the column.
        ImportError
            If the extra is not installed.
        """
        frame = self._as_frame(X, reset=True)
        names = list(frame.columns)
        item = column_position(self.item_column, names, "item_column")
        grouped = frame.iloc[:, self._group(names)].notna().to_numpy()
        # A row without a group is in no sequence and must not count.
        seen = as_keys(frame.iloc[grouped, item], names[item])
        vocabulary = Vocabulary.fit(
            seen.distinct,
            seen.counts,
            min_frequency=self.min_frequency,
            max_categories=None,
        )
        if not len(vocabulary.ids):
            raise ValueError(
                f"Column {names[item]!r} has no item on at least min_frequency="
                f"{self.min_frequency} rows that have a group. Lower min_frequency, or "
                "pass more rows."
            )
        # Row 0 of the vocabulary is that of unknown items, which become -1.
        codes = vocabulary.rows(as_keys(frame.iloc[:, item], names[item])) - 1
        if not len(self._log(frame, codes).pairs(1)[0]):
            warnings.warn(
                f"No group of column {names[self._group(names)]!r} holds two different "
                "items one after the other, so nothing can be learnt about which items "
                "occur together.",
                UserWarning,
                stacklevel=4,
            )
        # An integer, from which numpy, torch or gensim seed generators of their own.
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        vectors = self._learn(frame, codes, len(vocabulary.ids), seed)
        self._vocabulary = vocabulary
        self._n_features_out = self.embedding_dim
        self.item_name_ = names[item]
        self._columns = list[ColumnName](names)
        self._has_names = has_names(X)
        self.n_iter_ = self.max_iter
        self.embeddings_ = pd.DataFrame(
            vectors,
            index=vocabulary.ids.to_index().rename(self.item_name_),
            columns=self.get_feature_names_out(),
        )
        return self

    def transform(self, X: TableLike) -> npt.NDArray[np.float32]:
        """Look up the vector of the item of each row.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_rows, n_features)
            A table with the columns seen in `fit`. The columns of a DataFrame are
            matched by name.

        Returns
        -------
        ndarray of shape (n_rows, embedding_dim), dtype float32
            Vectors; zeros for an item without a vector.
        """
        check_is_fitted(self)
        frame = self._as_frame(X, reset=False)
        codes, table = self._distinct(frame)
        return _with_zeros(table)[codes]

    def _distinct(self, frame: pd.DataFrame) -> tuple[Codes, pd.DataFrame]:
        """Return the item of each row, and the vectors of the distinct items."""
        codes, ids = self._items(frame)
        rows = self._vocabulary.rows_of_ids(ids)
        vectors = _with_zeros(self.embeddings_)[rows - 1]
        return codes, pd.DataFrame(
            vectors,
            index=ids.to_index().rename(self.item_name_),
            columns=self.get_feature_names_out(),
        )

    def _items(self, frame: pd.DataFrame) -> tuple[Codes, Ids]:
        """Return the item of each row, -1 for none, and the distinct items."""
        names = list(frame.columns)
        if self.item_name_ in names:
            at = names.index(self.item_name_)
        else:  # from an early file, which does not hold the columns of `fit`
            at = column_position(self.item_column, names, "item_column")
        keys = as_keys(frame.iloc[:, at], self.item_name_)
        return keys.codes, keys.distinct

    def _group(self, names: Sequence[ColumnName]) -> int:
        return column_position(self.group_column, names, "group_column")

    def _log(self, frame: pd.DataFrame, codes: npt.NDArray[np.int64]) -> Log:
        names = list(frame.columns)
        group = frame.iloc[:, self._group(names)]
        if self.time_column is None:
            return Log.of(codes, group, None)
        time = column_position(self.time_column, names, "time_column")
        return Log.of(codes, group, frame.iloc[:, time])

    def _as_frame(self, X: TableLike, *, reset: bool) -> pd.DataFrame:
        frame = as_frame(X, estimator=self)
        repeated = frame.columns[frame.columns.duplicated()]
        if len(repeated):
            raise ValueError(
                f"X has several columns named {repeated[0]!r}. Rename them, or pass an "
                "array and refer to columns by index."
            )
        columns, named = self._seen() if not reset else (None, False)
        if columns is not None and named and has_names(X):
            frame = _matched(frame, columns)
        if not len(frame):
            raise ValueError(
                f"Found array with 0 sample(s) (shape={frame.shape}) while a minimum "
                f"of 1 is required by {type(self).__name__}."
            )
        validate_data(self, frame, skip_check_array=True, reset=reset)
        # If only one of the two tables has names, columns are matched by position.
        return frame if columns is None else frame.set_axis(columns, axis=1)

    def _seen(self) -> tuple[list[ColumnName] | None, bool]:
        """Return the columns of `fit`, and whether they had names.

        Files of the first version only hold names that are strings. Without them,
        columns are found in each table by the parameters.
        """
        if self._columns is not None and self._has_names is not None:
            return self._columns, self._has_names
        seen = getattr(self, "feature_names_in_", None)
        return (None, False) if seen is None else (list(seen), True)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _with_zeros(table: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Append a row of zeros to the vectors of a table, which code -1 reads."""
    vectors = table.to_numpy(np.float32)
    return np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])


def _matched(frame: pd.DataFrame, names: Sequence[ColumnName]) -> pd.DataFrame:
    """Select the columns with these names, in this order."""
    places: dict[ColumnName, int] = {n: k for k, n in enumerate(frame.columns)}
    missing = [name for name in names if name not in places]
    if missing:
        raise ValueError(
            f"X lacks columns that it had in fit: {missing}. Found "
            f"{list(frame.columns)}."
        )
    return frame.take([places[name] for name in names], axis=1)
