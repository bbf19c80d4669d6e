"""Word2VecEmbedder: items as words, sequences as sentences."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._extras import import_extra
from skmtl._sklearn import ABOVE_ZERO, FINITE, Interval
from skmtl._typing import ColumnName, RandomStateLike
from skmtl.embedders._base import Codes, ItemEmbedder

# gensim silently drops the rest of a sentence after this many words.
_LONGEST = 10_000


class Word2VecEmbedder(ItemEmbedder):
    """Item vectors from the sequences of users or sessions, by word2vec.

    The items of a user or a session, ordered by time, are a sentence, and each item is
    a word: items that occur next to the same items get similar vectors. gensim trains
    them. Needs the extra ``word2vec``.

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
    embedding_dim : int, default=16
        Width of a vector; gensim's ``vector_size``. The default is that of the rankers.
    window : int, default=5
        Largest distance, in events, of two items that count as neighbours.
    min_frequency : int, default=1
        Items on fewer rows get no vector; gensim's ``min_count``.
    negative : int, default=5
        Number of random items that each pair is contrasted with.
    ns_exponent : float, default=0.75
        The random items are drawn with a probability proportional to their frequency to
        this power: 0 is uniform, below 0 prefers rare items.
    skip_gram : bool, default=True
        Whether to predict the neighbours from the item (gensim's ``sg=1``) or the item
        from the mean of its neighbours.
    subsample : float, default=0.0
        Items that make up more than this share of the events are dropped at random;
        gensim's ``sample``. 0 keeps all.
    learning_rate : float, default=0.025
        Step size at the start; gensim's ``alpha``.
    max_iter : int, default=5
        Passes over the log; gensim's ``epochs``.
    random_state : int, RandomState instance or None, default=None
        Seed. The same integer gives bit-identical vectors, for which gensim runs with
        one worker.

    Attributes
    ----------
    embeddings_ : DataFrame of shape (n_items, embedding_dim), float32
        A row for each item, the most frequent first, with the item as index. Rankers
        take it, or the fitted embedder, as ``embeddings={"item_id": ...}``.
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
    GraphSAGEEmbedder : Also has vectors for items that it has not seen.

    Notes
    -----
    Fit it only on events before those that a ranker is tested on. A sequence of more
    than 10,000 events is cut into sentences of that length. No labels are needed, so
    the rows may be events of every kind.

    References
    ----------
    T. Mikolov et al., "Distributed Representations of Words and Phrases and their
    Compositionality", NeurIPS 2013, section 2. O. Barkan and N. Koenigstein, "Item2Vec:
    Neural Item Embedding for Collaborative Filtering", MLSP 2016.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.embedders import Word2VecEmbedder
    >>> log = pd.DataFrame({
    ...     "user_id": [1, 1, 1, 2, 2, 2],
    ...     "item_id": ["tea", "pot", "cup", "tea", "cup", "pot"],
    ... })
    >>> embedder = Word2VecEmbedder(embedding_dim=4, random_state=0).fit(log)
    >>> embedder.embeddings_.shape
    (3, 4)
    >>> embedder.transform(log).shape
    (6, 4)
    """

    _parameter_constraints: ClassVar[dict[str, object]] = {
        **ItemEmbedder._parameter_constraints,
        "ns_exponent": [FINITE],
        "skip_gram": ["boolean"],
        "subsample": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": [ABOVE_ZERO],
    }

    def __init__(
        self,
        *,
        group_column: ColumnName = 0,
        item_column: ColumnName = 1,
        time_column: ColumnName = None,
        embedding_dim: int = 16,
        window: int = 5,
        min_frequency: int = 1,
        negative: int = 5,
        ns_exponent: float = 0.75,
        skip_gram: bool = True,
        subsample: float = 0.0,
        learning_rate: float = 0.025,
        max_iter: int = 5,
        random_state: RandomStateLike = None,
    ) -> None:
        self.group_column = group_column
        self.item_column = item_column
        self.time_column = time_column
        self.embedding_dim = embedding_dim
        self.window = window
        self.min_frequency = min_frequency
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.skip_gram = skip_gram
        self.subsample = subsample
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.random_state = random_state

    def _learn(
        self, frame: pd.DataFrame, codes: Codes, n_items: int, seed: int
    ) -> npt.NDArray[np.float32]:
        gensim = import_extra("gensim.models", "word2vec", type(self).__name__)
        # gensim reads an integer as a position, so the codes must be strings.
        names = np.array([str(code) for code in range(n_items)], dtype=object)
        sentences = [
            names[part[start : start + _LONGEST]].tolist()
            for part in self._log(frame, codes).sequences()
            for start in range(0, len(part), _LONGEST)
        ]
        model = gensim.Word2Vec(
            sentences,
            # As Python's: gensim's sums overflow with narrow integers of numpy.
            vector_size=int(self.embedding_dim),
            window=int(self.window),
            # Rare items are left out already, by the vocabulary.
            min_count=1,
            negative=int(self.negative),
            ns_exponent=self.ns_exponent,
            sg=int(self.skip_gram),
            sample=self.subsample,
            alpha=self.learning_rate,
            # The rate falls to this; it must not rise.
            min_alpha=min(1e-4, self.learning_rate),
            epochs=int(self.max_iter),
            seed=seed,
            workers=1,
        )
        vectors = np.zeros((n_items, self.embedding_dim), dtype=np.float32)
        # gensim has its own order of the words.
        vectors[[int(code) for code in model.wv.index_to_key]] = model.wv.vectors
        return vectors
