"""Widths of embeddings, column by column, and the memory that they take."""

import numpy as np
import pandas as pd
import pytest

from skmtl import STEM, MMoE, SingleTask
from skmtl.rankers import _network
from skmtl.rankers._network import auto_dim, embedding_dims


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "user": rng.permutation(2000) % 300,
            "item": rng.permutation(2000) % 40,
            "shop": rng.permutation(2000) % 300,
            "price": rng.normal(size=2000),
        }
    ).astype({"user": "category", "item": "category", "shop": "category"})
    liked = (X["item"].astype(int) % 2) + (X["user"].astype(int) % 3 > 1)
    y = pd.DataFrame({"click": liked > 0, "order": liked > 1}).astype(int)
    return X, y


def shapes(ranker):
    return [tuple(t.shape) for t in ranker.net_.module_.embedding.ids.tables]


@pytest.mark.parametrize(
    ("size", "dim"), [(2, 8), (10, 8), (1000, 32), (10_000, 64), (10**7, 64)]
)
def test_auto_dim(size, dim):
    assert auto_dim(size) == dim


def test_a_mapping_leaves_the_rest_at_the_default():
    found = embedding_dims({"b": 4, "c": "auto"}, ["a", "b", "c"], [9, 9, 10])
    assert found == [16, 4, 8]


@pytest.mark.parametrize("ranker", [MMoE, SingleTask, STEM])
def test_each_column_has_its_width(ranker, table):
    X, y = table
    dims = {"user": 4, "item": 8, "shop": 4}
    fitted = ranker(embedding_dim=dims, random_state=0, max_iter=2).fit(X, y)
    sets = {MMoE: 1, SingleTask: 2, STEM: 3}[ranker]
    # User and shop share a table of 301 + 301 rows.
    assert shapes(fitted) == [(602, 4 * sets), (41, 8 * sets)]
    assert fitted.score(X, y) > 0.8  # a table read at the wrong rows gives .5


def test_columns_read_their_own_rows(table):
    """What a column's embedding is does not depend on what lies beside it."""
    X, y = table
    ranker = MMoE(embedding_dim={"item": 8}, max_iter=1, random_state=0).fit(X, y)
    embedding = ranker.net_.module_.embedding
    encoded = ranker.encoder_.encode(X.head(5))
    import torch

    wide, narrow = embedding.ids(torch.from_numpy(encoded.ids))
    codes = encoded.ids - np.cumsum([0, *ranker.encoder_.vocabulary_sizes_[:-1]])
    both, item = (t.detach() for t in embedding.ids.tables)
    n_users = ranker.encoder_.vocabulary_sizes_[0]
    assert torch.equal(wide[:, 0], both[codes[:, 0]])
    assert torch.equal(wide[:, 1], both[n_users + codes[:, 2]])
    assert torch.equal(narrow[:, 0], item[codes[:, 1]])


@pytest.mark.parametrize(
    ("embedding_dim", "match"),
    [
        ({"price": 4}, r"names \['price'\], which are not id columns"),
        ({"nothing": 4}, r"names \['nothing'\]"),
        ({"user": 0}, "of column 'user' must be an integer of at least 1"),
        ({"user": "big"}, "of column 'user'.*found 'big'"),
        ({"user": 2.5}, "found 2.5"),
    ],
)
def test_bad_widths(embedding_dim, match, table):
    with pytest.raises(ValueError, match=match):
        MMoE(embedding_dim=embedding_dim).fit(*table)


@pytest.mark.parametrize(
    ("optimizer", "numbers"), [("lazy_adam", 48), ("adam", 64), ("adagrad", 17)]
)
def test_bytes_of_a_table(optimizer, numbers):
    assert _network.table_bytes(1000, 16, optimizer) == 4 * 1000 * numbers


def test_too_large_tables_are_refused_before_they_are_made(table, monkeypatch):
    X, y = table
    ranker = MMoE(max_iter=1, random_state=0).fit(X, y)
    before = ranker.predict_task_proba(X)
    monkeypatch.setattr(_network, "_SMALL", 0)
    monkeypatch.setattr(_network, "free_bytes", lambda device: 10_000)
    with pytest.raises(MemoryError, match=r"'user': 301 rows of 16.*max_categories"):
        ranker.fit(X, y)
    np.testing.assert_array_equal(before, ranker.predict_task_proba(X))
