"""What must be the same in every process, whatever the hash seed.

Each function returns what JSON can hold.
"""

import json
import sys

import pandas as pd

from skmtl import MultiTaskRanker
from skmtl.embedders import Word2VecEmbedder
from skmtl.encoding import TableEncoder
from skmtl.training.fingerprint import settings_of
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import small_mmoe
from tests.training.test_fingerprint import CASES


def texts():
    """Texts of hyperparameters, and of a set among the defaults of a function."""

    def schedule(progress, kinds=frozenset("abcdefgh")):
        return 1.0 if progress in {"a", "b", "c", "d"} else 0.5

    cases = [*CASES, ("learning_rate_schedule", None, lambda: schedule)]
    return [settings_of(MultiTaskRanker(**{n: v()}))[n] for n, _, v in cases]


def hashed_rows():
    """Rows of hashed ids."""
    X = pd.DataFrame({"s": ["a", "item-7", "\u00e9", ""], "i": [0, 1, 2**62, -5]})
    buckets = {"s": 1000, "i": 50}
    encoder = TableEncoder(["s", "i"], n_buckets=buckets, n_hashes=2).fit(X)
    return encoder.encode(X).ids.tolist()


def vectors():
    """Vectors of word2vec."""
    X = pd.DataFrame({"u": list("aabbccdd"), "i": list("xyyzzxxz")})
    embedder = Word2VecEmbedder(embedding_dim=3, random_state=0).fit(X)
    return embedder.embeddings_.sort_index().to_numpy().tolist()


def predictions():
    """Probabilities of a ranker, to the last bit: JSON keeps every digit of a float."""
    X, y = make_impressions(800)
    return small_mmoe().fit(X, y).predict_task_proba(X).tolist()


ALL = [texts, hashed_rows, vectors, predictions]


def print_all():
    """Print as JSON what each function returns, and what they have imported."""
    found = {function.__name__: function() for function in ALL}
    print(json.dumps({**found, "modules": list(sys.modules)}))
