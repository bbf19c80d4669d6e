"""Word2VecEmbedder is gensim's word2vec on the sequences of a log."""

import numpy as np
import pandas as pd
from gensim.models import Word2Vec

from skmtl.embedders import Word2VecEmbedder


def test_vectors_are_those_of_gensim(log):
    embedder = Word2VecEmbedder(
        time_column="day",
        embedding_dim=6,
        window=3,
        negative=4,
        ns_exponent=0.5,
        skip_gram=False,
        learning_rate=0.05,
        max_iter=2,
        random_state=3,
    ).fit(log)
    seed = np.random.RandomState(3).randint(2**31 - 1)
    ordered = log.sort_values(["user_id", "day"], kind="stable")
    # Groups in the order in which the log has them first.
    sentences = [
        ordered.loc[ordered["user_id"] == user, "item_id"].astype(str).tolist()
        for user in log["user_id"].drop_duplicates()
    ]
    model = Word2Vec(
        sentences,
        vector_size=6,
        window=3,
        min_count=1,
        negative=4,
        ns_exponent=0.5,
        sg=0,
        sample=0,
        alpha=0.05,
        epochs=2,
        seed=int(seed),
        workers=1,
    )
    keys = embedder.embeddings_.index.astype(str)
    np.testing.assert_array_equal(embedder.embeddings_.to_numpy(), model.wv[keys])


def test_a_sequence_beyond_gensims_limit_is_not_cut():
    n = 10_050
    log = pd.DataFrame({"u": np.zeros(n, int), "i": [1] * 10_000 + [2, 3] * 25})
    embedder = Word2VecEmbedder(embedding_dim=4, max_iter=1, random_state=0)
    late = embedder.fit(log).embeddings_.loc[[2, 3]]
    still = embedder.set_params(learning_rate=1e-9).fit(log).embeddings_.loc[[2, 3]]
    assert np.abs(late - still).to_numpy().max() > 1e-4
