"""Embedders: vectors of items of any log."""

import pickle

import numpy as np

from skmtl.embedders import Word2VecEmbedder
from tests.fuzz.strategies import SEEDS, as_polars, in_other_bytes, options, tables

GOOD = {
    "group_column": [0, 1, -1],
    "item_column": [1, 0],
    "time_column": [None, 2],
    "window": [1, 5],
    "min_frequency": [1, 2],
    "ns_exponent": [0.75, 0.0],
    "subsample": [0.0, 1e-300],
    "learning_rate": [0.025, 1e-30],
}
BAD = {
    "group_column": ["absent", 99],
    "item_column": ["absent"],
    "time_column": ["absent", -1],
    "window": [0, 10**30],
    "min_frequency": [100],
    "negative": [0],
    "ns_exponent": [10**400],
    "subsample": [1.0],
    "learning_rate": [10**400],
}
IDS = ("int64", "str", "words", "category", "huge", "Int64", "int8", "uint16")


def case(c):
    """Draw a log and hyperparameters; compare vectors."""
    frame = c.draw(tables(min_rows=4, min_columns=3, kinds=IDS))
    params = {"embedding_dim": 2, "max_iter": 1, "random_state": 0, "min_frequency": 1}
    params |= options(c.draw, GOOD, BAD)
    embedder = Word2VecEmbedder(**params)
    c.values(*frame.columns)
    c.naming("X", *embedder.get_params())
    c.note(frame=frame, kinds=frame.attrs["kinds"], params=params)
    c.tried(embedder.fit, frame)
    vectors = c.must("what fit took", embedder.transform, frame)
    c.holds(
        "vectors are finite", np.isfinite(vectors).all() and len(vectors) == len(frame)
    )
    again = Word2VecEmbedder(**params).fit(frame)
    c.equal("a second fit", again.transform(frame), vectors)
    twin = pickle.loads(pickle.dumps(embedder))
    c.equal("a pickle", twin.transform(frame), vectors)
    order = np.random.default_rng(c.draw(SEEDS)).permutation(len(frame))
    c.equal("order of rows", embedder.transform(frame.iloc[order]), vectors[order])
    c.equal("byte order", embedder.transform(in_other_bytes(frame)), vectors)
    if all(isinstance(name, str) for name in frame.columns):
        turned = c.must("order of columns", embedder.transform, frame.iloc[:, ::-1])
        c.equal("order of columns", turned, vectors)
    polars = as_polars(frame)
    if polars is not None and not {"mixed", "NA", "nested", "objects"} & set(
        frame.attrs["kinds"]
    ):
        c.equal("polars", c.must("polars", embedder.transform, polars), vectors)
    other = c.draw(tables(max_rows=3))
    c.values(*other.columns)
    c.allowed(embedder.transform, other)
    c.equal("after another table", embedder.transform(frame), vectors)
