"""What an encoder knows of how often ids were seen, and how it learns new ones."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from skmtl._containers import as_frame, has_names
from skmtl.encoding._growth import Growth, growth
from skmtl.encoding._keys import as_keys
from skmtl.encoding._vocabulary import Vocabulary
from skmtl.tasks import check_row_weight


class GrowingMixin:
    """Encoders whose vocabularies count ids, and grow."""

    _vocabularies: list[Any]
    _categorical: list[int]
    categorical_names_: list[Any]
    bag_names_: list[Any]
    vocabulary_of_: dict[Any, Any]
    layout_: Any
    fit: Any
    encode: Any
    _as_frame: Any
    _keys: Any
    _matched_names: Any
    _limits: Any
    _set_vocabularies: Any

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Let new ids have rows; the first call is that of `fit`.

        Ids keep their rows. An id that has come up on `min_frequency` rows of all calls
        together gets one, while there are fewer than `max_categories`. Scales and bins
        stay as they are.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
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
            the encoder stays as it was.
        """
        if not hasattr(self, "vocabulary_sizes_"):
            fitted: Self = self.fit(X, sample_weight=sample_weight)
            return fitted
        self.__dict__.update(self.grown(X, sample_weight)[0].__dict__)
        return self

    def grown(self, X: Any, sample_weight: Any = None) -> tuple[Self, Growth]:
        """Give an encoder that knows the ids of more rows; this one stays as it is.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
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
        X = as_frame(X, estimator=self) if has_names(X) else X
        _refuse_more_columns(X, self._matched_names())
        frame = self._as_frame(X, reset=False)
        weight = check_row_weight(sample_weight, len(frame))
        if weight is not None and not weight.all():
            frame = frame[weight > 0]
        encoder = copy.copy(self)
        keys = self._keys(frame, self.vocabulary_of_, self.bag_names_)
        encoder._set_vocabularies(
            [
                vocabulary.grown(values, name, **self._limits())
                for (name, values), vocabulary in zip(
                    keys, self._vocabularies, strict=True
                )
            ]
        )
        before, after = (e._all_ids(frame) for e in (self, encoder))
        return encoder, growth(self.layout_, encoder.layout_, before, after)

    def _all_ids(self, frame: Any) -> npt.NDArray[np.int64]:
        """Ids of all cells, those of lists first; of single ones the first hash."""
        table = self.encode(frame)
        ids = table.ids[:, : len(self._categorical)]
        return np.concatenate([*(bag.values for bag in table.bags), ids.ravel()])

    def frequencies(self, X: Any) -> npt.NDArray[np.int64]:
        """On how many rows of `fit` and `partial_fit` each id of a table was seen.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            As for `encode`.

        Returns
        -------
        ndarray of shape (n_samples, n_id_columns), dtype int64
            0 for an id that was not seen, -1 for a missing cell. Hashed columns, whose
            ids nobody counts, have -1 everywhere.
        """
        check_is_fitted(self)
        frame = self._as_frame(X, reset=False)
        found = np.full((len(frame), len(self._categorical)), -1, dtype=np.int64)
        for k, i in enumerate(self._categorical):
            vocabulary = self._vocabularies[self.layout_.columns[k]]
            if isinstance(vocabulary, Vocabulary):
                keys = as_keys(frame.iloc[:, i], self.categorical_names_[k])
                found[:, k] = vocabulary.frequencies(keys)
        return found

    def row_frequencies(self) -> npt.NDArray[np.int64]:
        """On how many rows the id of each row of the fused table was seen.

        Returns
        -------
        ndarray of shape (n_rows_of_tables,), dtype int64
            0 for rows that are no id's own: unknown ids, fallbacks, buckets.
        """
        check_is_fitted(self)
        found = np.zeros(sum(self.layout_.totals), dtype=np.int64)
        firsts = self.layout_.first
        for first, vocabulary in zip(firsts, self._vocabularies, strict=True):
            if isinstance(vocabulary, Vocabulary):
                found[first + 1 : first + len(vocabulary)] = vocabulary.counts
        return found


def _refuse_more_columns(X: Any, names: Any) -> None:
    if names is None or not has_names(X):
        return
    known = set(names)
    more = [name for name in X.columns if name not in known]
    if more:
        raise ValueError(
            f"X has columns that were not there in the first call: {more}. Leave them "
            "out, or fit anew with them."
        )
