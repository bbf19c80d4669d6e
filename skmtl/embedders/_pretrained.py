"""Configuration of a table of pretrained vectors in a ranker."""

from __future__ import annotations

from typing import Self

import numpy as np

from skmtl._messages import shown
from skmtl._typing import ColumnName


class PretrainedEmbedding:
    """Configure how a ranker uses a table of pretrained vectors.

    A table passed to ``embeddings`` directly is used with the defaults.

    Parameters
    ----------
    table : DataFrame, tuple, KeyedVectors or embedder
        Vectors: a DataFrame with the ids as index, a pair ``(ids, matrix)``, gensim's
        ``KeyedVectors`` or a fitted embedder of `skmtl.embedders`.
    mode : {"init", "frozen"}, default="init"
        Whether training starts from the vectors or leaves them unchanged.
    learning_rate_factor : float, default=1.0
        Multiplier of the learning rate of the vectors, above 0; ignored if they are
        frozen. Ids without a vector are trained at the full rate.
    projection : bool, default=True
        Whether a linear map, learned with the network, may bring vectors of another
        width to the ``embedding_dim`` of the column. If False, another width is an
        error.
    scale : "auto" or float, default="auto"
        Factor of the vectors. "auto" brings their root mean square to
        ``embedding_dim ** -0.5``, so that their length is about 1, five times that of
        rows with a random start; 1 leaves them unchanged.

    See Also
    --------
    skmtl.embedders.Word2VecEmbedder : Makes such a table from a log.
    skmtl.embedders.GraphSAGEEmbedder : Also has vectors for new items.

    Notes
    -----
    Training soon overwrites small vectors. Those of ids without training rows stay
    small and then have little effect. On a synthetic table where labels depend on the
    vectors, the AUC for ids without a training row was .73 with vectors of the size of
    random rows, .85 with "auto" and with four times that size, and .85 with frozen
    vectors of any size.

    Copies and clones share the table, which must not be changed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import MMoE, PretrainedEmbedding
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"item": rng.integers(0, 20, 500)}).astype("category")
    >>> y = (X["item"].astype(int) > 10).astype(int)
    >>> table = pd.DataFrame(rng.normal(size=(30, 4)), index=range(30))
    >>> frozen = PretrainedEmbedding(table, mode="frozen")
    >>> ranker = MMoE(embeddings={"item": frozen}, random_state=0).fit(X, y)
    >>> ranker.embedding_coverage_
          ids  rows  unseen
    item  1.0   1.0      10
    """

    def __init__(
        self,
        table: object,
        *,
        mode: str = "init",
        learning_rate_factor: float = 1.0,
        projection: bool = True,
        scale: float | str = "auto",
    ) -> None:
        self.table = table
        self.mode = mode
        self.learning_rate_factor = learning_rate_factor
        self.projection = projection
        self.scale = scale

    def __deepcopy__(self, memo: object) -> Self:
        # `clone` deep-copies parameters, and tables are large.
        return self

    def __repr__(self) -> str:
        return f"PretrainedEmbedding({type(self.table).__name__}, mode={self.mode!r})"

    def _check(self, column: ColumnName) -> None:
        """Check the parameters; the message names the column."""
        where = f"of the embeddings of column {shown(column)}"
        if self.mode not in ("init", "frozen"):
            raise ValueError(
                f"mode {where} must be 'init' or 'frozen', found {shown(self.mode)}."
            )
        for what in ("learning_rate_factor", "scale"):
            value = getattr(self, what)
            number = isinstance(value, (int, float, np.number))
            if not (
                (number and 0 < value < np.inf) or (what, value) == ("scale", "auto")
            ):
                raise ValueError(
                    f"{what} {where} must be a number above 0, found {shown(value)}."
                )
