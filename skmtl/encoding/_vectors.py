"""A table of pretrained vectors, in any of the usual forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._containers import infer_column
from skmtl._messages import shown
from skmtl._typing import ColumnName
from skmtl.encoding._vocabulary import Ids, Vocabulary, as_keys

# Longest word that is read as an integer; Python reads at most 4300 digits.
_LONGEST = 4000


@dataclass(frozen=True)
class VectorTable:
    """Vectors of ids.

    Attributes
    ----------
    ids : Ids
        Distinct ids, in the form in which the encoder compares them.
    vectors : ndarray of shape (n_ids, width), dtype float32
        Their vectors.
    from_words : bool
        Whether the ids come from an object that holds all ids, even integers, as
        strings.
    """

    ids: Ids
    vectors: npt.NDArray[np.float32]
    from_words: bool

    @classmethod
    def read(cls, table: object, column: ColumnName) -> VectorTable:
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
            For anything else, and for ids or vectors that cannot be used.
        """
        ids, matrix, from_words = _parts(table, column)
        vectors = _matrix(matrix, column)
        column_of_ids = infer_column(ids) if isinstance(ids, list) else pd.Series(ids)
        keys = as_keys(column_of_ids, f"ids of the embeddings of {column}")
        if len(keys) != len(vectors):
            raise ValueError(
                f"The embeddings of column {shown(column)} hold {len(keys)} ids, but "
                f"{len(vectors)} vectors. Give a vector for each id."
            )
        missing = keys.codes < 0
        if missing.any():
            raise ValueError(
                f"The embeddings of column {shown(column)} have a missing id in row "
                f"{int(missing.argmax())}. Leave it out."
            )
        twice = keys.distinct.take(keys.counts > 1)
        if len(twice):
            raise ValueError(
                f"The embeddings of column {shown(column)} hold {len(twice)} ids more "
                f"than once, such as {twice.tolist()[0]!r}. Keep one vector for each "
                "id."
            )
        bad = np.asarray(~np.isfinite(vectors).all(axis=1))
        if bad.any():
            raise ValueError(
                f"The embeddings of column {shown(column)} hold NaN or infinity: "
                f"{int(bad.sum())} vectors, such as that of "
                f"{keys.distinct.take(bad).tolist()[0]!r}. Leave these ids out."
            )
        return cls(keys.distinct, vectors, from_words)

    def ids_for(self, vocabulary: Vocabulary, column: ColumnName) -> Ids:
        """Return the ids in the type of the column's ids.

        Raises
        ------
        ValueError
            When one side holds numbers and the other strings, so that none can match.
        """
        own, ids = vocabulary.ids, self.ids
        if not len(own) or own.numbers == ids.numbers:
            return ids
        words = ids.tolist()
        if self.from_words and own.numbers and all(map(_is_integer, words)):
            return as_keys(infer_column(map(int, words)), column).distinct
        kinds = ["numbers" if one.numbers else "strings" for one in (own, ids)]
        raise ValueError(
            f"Column {shown(column)} holds {kinds[0]}, such as {own.tolist()[0]!r}, "
            f"but the ids of its embeddings are {kinds[1]}, such as {words[0]!r}, so "
            "none can match. Convert both to one type."
        )


def _parts(
    table: object, column: ColumnName
) -> tuple[npt.ArrayLike, npt.ArrayLike, bool]:
    """Return ids, vectors, and whether ids can only be strings."""
    # A fitted embedder, or a model of gensim.
    table = getattr(table, "embeddings_", getattr(table, "wv", table))
    if hasattr(table, "index_to_key") and hasattr(table, "vectors"):  # KeyedVectors
        return list(table.index_to_key), table.vectors, True
    if isinstance(table, pd.DataFrame):
        return table.index, table, False
    if isinstance(table, tuple) and len(table) == 2:
        return table[0], table[1], False
    cure = ""
    if type(table).__module__.startswith("polars."):
        cure = " A polars DataFrame has no index: pass (ids, matrix)."
    elif hasattr(table, "fit"):
        cure = (
            " Fit the embedder first; in the grid of a search wrap it in "
            "PretrainedEmbedding, since scikit-learn clones what it finds there."
        )
    raise TypeError(
        f"The embeddings of column {shown(column)} must be a DataFrame with the ids as "
        "index, a pair (ids, matrix), gensim's KeyedVectors or a fitted embedder; "
        f"found {type(table).__name__}.{cure}"
    )


def _matrix(matrix: npt.ArrayLike, column: ColumnName) -> npt.NDArray[np.float32]:
    try:
        vectors = np.asarray(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"The embeddings of column {shown(column)} must hold numbers: {error}"
        ) from error
    if vectors.ndim != 2 or not vectors.size:
        raise ValueError(
            f"The embeddings of column {shown(column)} must be a matrix with a row for "
            f"each id, found shape {vectors.shape}."
        )
    return vectors


def _is_integer(word: str) -> bool:
    """Whether a string is how Python writes an integer."""
    if not word.removeprefix("-").isdecimal() or len(word) > _LONGEST:
        return False
    # Not "007" or digits of another script, which are other words.
    return str(int(word)) == word
