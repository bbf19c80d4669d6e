"""A table with every kind of column, and small rankers on it."""

import inspect

import numpy as np
import pandas as pd
import pytest

import skmtl

RANKERS = [
    "AITM",
    "ChainedMMoE",
    "CrossStitch",
    "ESMM",
    "MMoE",
    "PLE",
    "PooledTask",
    "STEM",
    "ShareBottom",
    "SingleTask",
    "SoftSharing",
]
WANTED = {
    "n_experts": 2,
    "n_task_experts": 1,
    "n_shared_experts": 1,
    "expert_units": (8,),
    "bottom_units": (8,),
    "tower_units": (4,),
    "embedding_dim": 4,
    "bin_dim": 2,
    "n_bins": 8,
    "max_iter": 1,
    "batch_size": 64,
    "random_state": 0,
}


def small_ranker(name, **params):
    """A ranker of few numbers."""
    cls = getattr(skmtl, name)
    known = inspect.signature(cls).parameters
    return cls(**{k: v for k, v in WANTED.items() if k in known} | params)


def make_table(n_rows, seed):
    """Strings, integers, lists of either, and numbers, with missing cells."""
    rng = np.random.default_rng(seed)
    names = np.array([f"ü{i}" for i in range(30)], dtype=object)
    frame = pd.DataFrame(
        {
            "item": names[rng.integers(30, size=n_rows)],
            "category": names[rng.integers(4, size=n_rows)],
            "user": pd.Series(rng.integers(20, size=n_rows)).astype("Int64"),
            "price": rng.lognormal(size=n_rows),
            "age": rng.integers(90, size=n_rows).astype(float),
        }
    )
    frame["history"] = [list(names[rng.integers(30, size=k)]) for k in frame.index % 4]
    frame["seen"] = [rng.integers(20, size=k).tolist() for k in (frame.index + 1) % 3]
    for column in ("item", "user", "price", "history"):
        frame.loc[frame.index[rng.random(n_rows) < 0.1], column] = None
    signal = frame["price"].fillna(1).to_numpy() + frame["age"].to_numpy() / 90
    click = signal + rng.normal(size=n_rows) > 1.5
    y = pd.DataFrame({"click": click, "order": click & (rng.random(n_rows) < 0.4)})
    return frame, y.astype(int)


IDS = ["item", "category", "user", "history", "seen"]


def check_equal(loaded, ranker, unseen):
    """Compare predictions, before and after more training of both."""
    np.testing.assert_array_equal(
        loaded.predict_task_proba(unseen), ranker.predict_task_proba(unseen)
    )
    more = make_table(200, 2)
    np.testing.assert_array_equal(
        loaded.partial_fit(*more).predict_task_proba(unseen),
        ranker.partial_fit(*more).predict_task_proba(unseen),
    )


@pytest.fixture(scope="session")
def table():
    return make_table(400, 0)


@pytest.fixture(scope="session")
def unseen():
    """Rows with ids that no fit has seen."""
    frame, _ = make_table(50, 1)
    frame.loc[::3, "item"] = "nobody knows"
    frame.loc[::4, "user"] = 999
    return frame


@pytest.fixture(scope="session")
def fitted(table):
    """A fitted ranker of every kind of column."""
    return small_ranker("MMoE", categorical_features=IDS).fit(*table)
