"""A table of pretrained vectors, in any of the forms in which people hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl.encoding._columns import is_polars
from skmtl.encoding._keys import as_keys, holds_numbers, plain_index
from skmtl.encoding._vocabulary import Vocabulary


@dataclass(frozen=True)
class VectorTable:
    """Vectors of ids.

    Attributes
    ----------
    keys : pandas.Index
        Distinct ids, in the form in which the encoder compares them.
    vectors : ndarray of shape (n_ids, width), dtype float32
        Their vectors.
    from_words : bool
        Whether the ids come from where all are strings, integers too.
    """

    keys: pd.Index
    vectors: npt.NDArray[np.float32]
    from_words: bool

    @classmethod
    def read(cls, table: Any, column: Any) -> VectorTable:
        """Read and check a table.

        Parameters
        ----------
        table : gensim KeyedVectors or model, DataFrame, (ids, matrix), or embedder
            The table.
        column : str or int
            The column that it is for, for errors.

        Raises
        ------
        ValueError, TypeError
            For what is no such table, and ids or vectors that cannot be used.
        """
        ids, matrix, from_words = _parts(table, column)
        vectors = _matrix(matrix, column)
        keys = as_keys(pd.Series(ids), f"ids of the embeddings of {column}")
        if len(keys) != len(vectors):
            raise ValueError(
                f"The embeddings of column {column!r} hold {len(keys)} ids, but "
                f"{len(vectors)} vectors. Give a vector for each id."
            )
        if keys.isna().any():
            raise ValueError(
                f"The embeddings of column {column!r} have a missing id in row "
                f"{int(keys.isna().to_numpy().argmax())}. Leave it out."
            )
        if keys.duplicated().any():
            twice = keys[keys.duplicated()].unique()
            raise ValueError(
                f"The embeddings of column {column!r} hold {len(twice)} ids more than "
                f"once, such as {twice[0]!r}. Keep one vector for each id."
            )
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            raise ValueError(
                f"The embeddings of column {column!r} hold NaN or infinity: "
                f"{int(bad.sum())} vectors, such as that of "
                f"{keys.iloc[int(bad.argmax())]!r}. Leave these ids out."
            )
        return cls(plain_index(keys), vectors, from_words)

    def keys_for(self, vocabulary: Vocabulary, column: Any) -> pd.Index:
        """The ids in the type of a column's own.

        Raises
        ------
        ValueError
            When one are numbers and the others strings, so that none can be equal.
        """
        own, keys = vocabulary.keys, self.keys
        if not len(own) or holds_numbers(own) == holds_numbers(keys):
            return keys
        if self.from_words and holds_numbers(own):
            whole = keys[[_is_integer(word) for word in keys]]
            if len(whole) == len(keys):
                return plain_index(as_keys(pd.Series([int(k) for k in keys]), column))
        kinds = [
            "numbers" if holds_numbers(index) else "strings" for index in (own, keys)
        ]
        raise ValueError(
            f"Column {column!r} holds {kinds[0]}, such as {own[0]!r}, but the ids of "
            f"its embeddings are {kinds[1]}, such as {keys[0]!r}, so none can match. "
            "Bring both to one type."
        )


def _parts(table: Any, column: Any) -> tuple[Any, Any, bool]:
    """Ids, vectors, and whether ids can only be strings."""
    table = getattr(table, "embeddings_", getattr(table, "wv", table))
    if hasattr(table, "index_to_key") and hasattr(table, "vectors"):  # KeyedVectors
        return list(table.index_to_key), table.vectors, True
    if isinstance(table, pd.DataFrame):
        return table.index, table, False
    if isinstance(table, tuple) and len(table) == 2:
        return table[0], table[1], False
    mend = ""
    if is_polars(table):
        mend = " A polars DataFrame has no index: give (ids, matrix)."
    elif hasattr(table, "fit"):
        mend = (
            " Fit the embedder first; in the grid of a search wrap it in "
            "PretrainedEmbedding, since scikit-learn clones what it finds there."
        )
    raise TypeError(
        f"The embeddings of column {column!r} must be a DataFrame with the ids as "
        "index, a pair (ids, matrix), gensim's KeyedVectors or a fitted embedder; "
        f"found {type(table).__name__}.{mend}"
    )


def _matrix(matrix: Any, column: Any) -> npt.NDArray[np.float32]:
    try:
        vectors = np.asarray(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"The embeddings of column {column!r} must hold numbers: {error}"
        ) from error
    if vectors.ndim != 2 or not vectors.size:
        raise ValueError(
            f"The embeddings of column {column!r} must be a matrix with a row for each "
            f"id, found shape {vectors.shape}."
        )
    return vectors


def _is_integer(word: Any) -> bool:
    """Whether a string is how Python writes an integer."""
    if not isinstance(word, str) or not word.removeprefix("-").isdecimal():
        return False
    return str(int(word)) == word
