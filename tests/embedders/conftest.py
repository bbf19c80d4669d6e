"""A log in which users keep to one kind of item."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def log():
    rng = np.random.default_rng(0)
    n, kinds = 4000, 4
    user = rng.integers(0, 200, n)
    kind = user % kinds
    item = 100 * kind + rng.integers(0, 15, n)
    item = np.where(rng.random(n) < 0.1, 100 * rng.integers(0, kinds, n), item)
    return pd.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "day": rng.integers(0, 30, n),
            "kind": pd.Categorical(item // 100),
            "price": 10.0 * (item // 100) + rng.random(n),
        }
    )


def neighbors_of_a_kind(table):
    """Share of items whose nearest other item, by cosine, is of their kind."""
    z = table.to_numpy()
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    similarity = z @ z.T
    np.fill_diagonal(similarity, -2)
    kind = table.index.to_numpy() // 100
    return (kind[similarity.argmax(axis=1)] == kind).mean()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
