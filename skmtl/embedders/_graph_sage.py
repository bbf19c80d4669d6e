"""GraphSAGEEmbedder: items as nodes of a graph, and vectors for new ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmtl._messages import shown
from skmtl._sklearn import ABOVE_ZERO, COUNT, Interval
from skmtl._typing import ColumnName, RandomStateLike, TableLike
from skmtl.embedders._base import POSITIVE, Codes, ItemEmbedder
from skmtl.embedders._graph import Graph
from skmtl.embedders._log import column_position
from skmtl.encoding import EncodedTable, TableEncoder

# Fewer bins than in a ranker: there are fewer items than rows, and a bin that holds a
# single item says nothing about new ones.
_N_BINS = 16


class GraphSAGEEmbedder(ItemEmbedder):
    """Item vectors from a graph of items that occur together, by GraphSAGE.

    Two items are connected if they are at most `window` events apart in the sequence of
    a user or a session. A network reads an item, its features and a sample of its
    neighbours, and is trained without labels: items that are connected by a short
    random walk get similar vectors. An item that was not in `fit` gets a vector from
    its features and from the items around it. Needs the extra ``graph``.

    Parameters
    ----------
    group_column : str or int, default=0
        Column whose equal values make one sequence, such as a user or a session; its
        name or index.
    item_column : str or int, default=1
        Column of the items.
    time_column : str, int or None, default=None
        Column that orders the events of a group: numbers or times. ``None`` for the
        order of the rows.
    feature_columns : sequence of str or int, or None, default=None
        Columns that describe the item, such as its category and price. The values of
        its first row are used. Columns of ids are recognised by their dtype, as in
        `TableEncoder`.
    embedding_dim : int, default=16
        Width of a vector and of the layers. The default is that of the rankers.
    window : int, default=5
        Largest distance, in events, of two items that are connected.
    min_frequency : int, default=1
        Items on fewer rows are not nodes; `embed` treats them as new.
    n_neighbors : sequence of int, default=(10, 5)
        Neighbours drawn for each node in each layer. There are as many layers as
        numbers.
    walk_length : int, default=2
        Largest number of steps of a random walk.
    negative : int, default=20
        Number of random items that each pair is contrasted with, shared within a batch.
    unknown_share : float, default=0.1
        Share of the items that are treated as new in training, so that the network
        learns vectors for new items too.
    learning_rate : float, default=5e-3
        Step size of Adam.
    batch_size : int, default=128
        Number of walks in a step.
    max_iter : int, default=5
        Passes over the log, with a walk from the item of every event.
    random_state : int, RandomState instance or None, default=None
        Seed. The same integer on the same machine gives bit-identical vectors. Global
        generators are not affected.

    Attributes
    ----------
    embeddings_ : DataFrame of shape (n_items, embedding_dim), float32
        A row for each item, the most frequent first, with the item as index. Rankers
        take it, or the fitted embedder, as ``embeddings={"item_id": ...}``.
    loss_curve_ : list of float
        Mean loss of each pass.
    item_name_ : str or int
        Name of the column of items.
    n_iter_ : int
        Passes over the log.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if all are strings.

    See Also
    --------
    Word2VecEmbedder : Faster, but has no vectors for new items.

    Notes
    -----
    The loss is eq. 1 of the paper. The layers are its mean aggregator, with separate
    weights for the node and for its neighbours, and vectors have length 1. There are
    three differences from the paper: only the last layer is scaled to length 1; a node
    has a learned vector in addition to its features, which all new items share; and
    neighbours are drawn by how often they occurred together. After training, vectors
    are computed from all neighbours, without drawing. A node without neighbours is its
    own neighbour.

    References
    ----------
    W. Hamilton, R. Ying and J. Leskovec, "Inductive Representation Learning on Large
    Graphs", NeurIPS 2017, sections 3.1 and 3.2.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.embedders import GraphSAGEEmbedder
    >>> log = pd.DataFrame({
    ...     "user_id": [1, 1, 1, 2, 2, 2],
    ...     "item_id": ["tea", "pot", "cup", "tea", "cup", "pot"],
    ...     "category": ["food", "kitchen", "kitchen", "food", "kitchen", "kitchen"],
    ... })
    >>> embedder = GraphSAGEEmbedder(
    ...     feature_columns=["category"], embedding_dim=4, random_state=0
    ... ).fit(log)
    >>> embedder.embeddings_.shape
    (3, 4)

    A new item that follows a known one:

    >>> new = pd.DataFrame({
    ...     "user_id": [3, 3],
    ...     "item_id": ["tea", "pan"],
    ...     "category": ["food", "kitchen"],
    ... })
    >>> embedder.embed(new).index.tolist()
    ['tea', 'pan']
    """

    _parameter_constraints: ClassVar[dict[str, object]] = {
        **ItemEmbedder._parameter_constraints,
        "feature_columns": ["array-like", None],
        "n_neighbors": ["array-like"],
        "walk_length": POSITIVE,
        "unknown_share": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": [ABOVE_ZERO],
        "batch_size": [COUNT],
    }

    def __init__(
        self,
        *,
        group_column: ColumnName = 0,
        item_column: ColumnName = 1,
        time_column: ColumnName = None,
        feature_columns: Sequence[ColumnName] | None = None,
        embedding_dim: int = 16,
        window: int = 5,
        min_frequency: int = 1,
        n_neighbors: Sequence[int] = (10, 5),
        walk_length: int = 2,
        negative: int = 20,
        unknown_share: float = 0.1,
        learning_rate: float = 5e-3,
        batch_size: int = 128,
        max_iter: int = 5,
        random_state: RandomStateLike = None,
    ) -> None:
        self.group_column = group_column
        self.item_column = item_column
        self.time_column = time_column
        self.feature_columns = feature_columns
        self.embedding_dim = embedding_dim
        self.window = window
        self.min_frequency = min_frequency
        self.n_neighbors = n_neighbors
        self.walk_length = walk_length
        self.negative = negative
        self.unknown_share = unknown_share
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.random_state = random_state

    def _learn(
        self, frame: pd.DataFrame, codes: Codes, n_items: int, seed: int
    ) -> npt.NDArray[np.float32]:
        from skmtl.embedders import _sage_net

        sizes = check_sizes(self.n_neighbors)
        features = self._features(frame, codes)
        encoder = (
            None if features is None else TableEncoder(n_bins=_N_BINS).fit(features)
        )
        table = node_table(np.arange(n_items) + 1, n_items, features, encoder)
        log = self._log(frame, codes)
        graph = Graph.of(*log.pairs(int(self.window)), n_items)
        net, curve = _sage_net.fit(
            table,
            graph,
            log.codes,
            seed,
            # As Python's: narrow integers of numpy overflow.
            width=int(self.embedding_dim),
            vocabulary_sizes=[n_items + 1, *getattr(encoder, "vocabulary_sizes_", [])],
            bin_sizes=getattr(encoder, "bin_sizes_", []),
            n_neighbors=sizes,
            walk_length=int(self.walk_length),
            negative=int(self.negative),
            unknown_share=self.unknown_share,
            max_iter=int(self.max_iter),
            batch_size=int(self.batch_size),
            learning_rate=self.learning_rate,
        )
        *known, vectors = _sage_net.layers(net, table, graph)
        self._encoder, self._net, self._known = encoder, net, known
        self.loss_curve_ = curve
        return vectors

    def _features(self, frame: pd.DataFrame, codes: Codes) -> pd.DataFrame | None:
        """Take the features of each item from its first row."""
        if self.feature_columns is None:
            return None
        names = list(frame.columns)
        columns = [
            column_position(c, names, "feature_columns") for c in self.feature_columns
        ]
        # Sorted by code, so that row k holds the features of item k.
        items, first = np.unique(codes, return_index=True)
        return frame.iloc[first[items >= 0], columns].reset_index(drop=True)

    def embed(self, X: TableLike) -> pd.DataFrame:
        """Return the vector of every item of a table, including new ones.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_events, n_features)
            Events with the columns seen in `fit`. The neighbours of a new item are the
            items around it here that were in `fit`.

        Returns
        -------
        DataFrame of shape (n_items, embedding_dim), float32
            A row for each item, in order of appearance. Rankers accept it as
            ``embeddings={"item_id": ...}``.
        """
        check_is_fitted(self)
        return self._distinct(self._as_frame(X, reset=False))[1]

    def _distinct(self, frame: pd.DataFrame) -> tuple[Codes, pd.DataFrame]:
        codes, table = super()._distinct(frame)
        rows = self._vocabulary.rows_of_ids(self._items(frame)[1])
        new = np.flatnonzero(rows == 0)
        if len(new):
            table.iloc[new] = self._embed_new(frame, codes, rows, new)
        return codes, table

    def _embed_new(
        self, frame: pd.DataFrame, codes: Codes, rows: Codes, new: Codes
    ) -> npt.NDArray[np.float32]:
        from skmtl.embedders import _sage_net

        features = self._features(frame, codes)
        if features is not None:
            features = features.iloc[new]
        around, nodes = self._log(frame, codes).pairs(int(self.window))
        # From known items to new ones: only known ones have layers to read.
        joined = (rows[around] > 0) & (rows[nodes] == 0)
        around, nodes = rows[around[joined]] - 1, np.searchsorted(new, nodes[joined])
        table = node_table(
            np.zeros(len(new), dtype=np.int64),
            len(self._vocabulary.ids),
            features,
            self._encoder,
        )
        return _sage_net.new_nodes(self._net, table, self._known, (around, nodes))


def check_sizes(n_neighbors: Iterable[int]) -> list[int]:
    """Check the number of neighbours of each layer; there is at least one layer."""
    sizes = list(n_neighbors)
    if not sizes or any(not isinstance(k, (int, np.integer)) or k < 1 for k in sizes):
        raise ValueError(
            "n_neighbors must hold an integer of at least 1 for each layer, found "
            f"{shown(n_neighbors)}."
        )
    return [int(k) for k in sizes]


def node_table(
    rows: Codes,
    n_items: int,
    features: pd.DataFrame | None,
    encoder: TableEncoder | None,
) -> EncodedTable:
    """Encode nodes for the network: the item's row (0 if new), then the features."""
    if features is None:
        none = np.zeros((len(rows), 0))
        return EncodedTable(
            rows[:, None], none.astype(np.int64), none.astype(np.float32)
        )
    assert encoder is not None  # there is one if there are features
    table = encoder.encode(features)
    # Ids of features follow those of the items and the row of new ones.
    ids = np.column_stack([rows, table.ids + n_items + 1])
    return EncodedTable(ids, table.bins, table.numeric)
