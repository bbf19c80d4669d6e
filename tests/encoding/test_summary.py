"""The summary counts what a loop over the cells counts."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmtl import MMoE, TableEncoder


def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "item": [None if v > 6 else f"i{v}" for v in rng.zipf(1.5, 60)],
            "seen": [f"i{v}" for v in rng.zipf(1.4, 60)],
            "tags": [[f"t{v}" for v in rng.zipf(1.6, k)] for k in rng.poisson(2, 60)],
            "v": rng.normal(size=(60, 4)).tolist(),
            "price": np.where(rng.random(60) < 0.2, np.nan, rng.integers(0, 9, 60)),
        }
    )


def test_ids_are_counted():
    X = table()
    encoder = TableEncoder(share_embedding={"seen": "item"}).fit(X)
    found = encoder.summary()
    assert found.index.tolist() == list(X)
    assert found["read_as"].tolist() == [
        "ids",
        "ids",
        "lists of ids",
        "vectors of 4 numbers",
        "numbers",
    ]
    together = pd.concat([X["item"], X["seen"]]).value_counts()
    known = set(together[together >= 2].index)
    for name in ("item", "seen"):
        cells, row = X[name], found.loc[name]
        there = cells.dropna()
        assert row["distinct"] == there.nunique()
        assert row["missing"] == cells.isna().sum()
        assert row["rare"] == len(set(there) - known)
        assert_allclose(row["unknown_share"], 1 - cells.isin(known).mean())
        assert row["rows"] == len(known) + 1
        assert row["examples"].split(", ")[0] == there.mode()[0]
    entries = X["tags"].explode().dropna()
    counts = entries.value_counts()
    row = found.loc["tags"]
    assert (row["distinct"], row["missing"]) == (entries.nunique(), 0)
    assert row["rare"] == (counts < 2).sum()
    assert_allclose(row["unknown_share"], (counts == 1).sum() / len(entries))


def test_numbers_and_vectors_are_counted():
    X = table()
    found = TableEncoder(n_bins=3).fit(X).summary()
    price = X["price"].dropna()
    row = found.loc["price"]
    assert (row["distinct"], row["missing"]) == (price.nunique(), 60 - len(price))
    low, _, high = row["examples"].split(", ")
    assert (float(low), float(high)) == (price.min(), price.max())
    assert found.loc["v", "rows"] == 4 * 4  # three bins and that of missing numbers
    assert found.loc["v", "missing"] == 0
    weights = np.ones(60)
    weights[:10] = 0
    weighted = TableEncoder().fit(X, sample_weight=weights).summary()
    assert weighted.loc["price", "missing"] == X["price"][10:].isna().sum()


def test_hashed_columns_arrays_and_long_examples():
    X = pd.DataFrame({"a": ["x" * 100, None, "y"]})
    found = TableEncoder(n_buckets={"a": 7}).fit(X).summary()
    assert found.loc["a", "read_as"] == "ids, hashed"
    assert (found.loc["a", "rows"], found.loc["a", "rare"]) == (8, 0)
    assert found.loc["a", "examples"] == "x" * 23 + "…, y"
    found = TableEncoder([0]).fit(np.array([[2, 0.5], [2, 1.5]])).summary()
    assert found.index.tolist() == [0, 1]
    assert found["examples"].tolist() == ["2", "0.5, 1.5, 1.5"]


def test_rows_follow_partial_fit():
    X = pd.DataFrame({"a": ["x", "x"]})
    encoder = TableEncoder().fit(X)
    assert encoder.summary().loc["a", "rows"] == 2
    encoder.partial_fit(pd.DataFrame({"a": ["y", "y"]}))
    assert encoder.summary().loc["a", "rows"] == 3


def test_it_is_in_the_html_of_a_fitted_encoder_and_of_a_ranker():
    X = table()
    encoder = TableEncoder()
    assert "read_as" not in encoder._repr_mimebundle_()["text/html"]
    html = encoder.fit(X)._repr_mimebundle_()["text/html"]
    assert "read_as" in html
    assert "vectors of 4 numbers" in html
    y = (np.arange(60) % 3 == 0).astype(int)
    ranker = MMoE(max_iter=1, random_state=0).fit(X, y)
    pd.testing.assert_frame_equal(ranker.encoder_.summary(), encoder.summary())


def test_an_encoder_that_is_not_fitted_has_none():
    with pytest.raises(ValueError, match="not fitted"):
        TableEncoder().summary()
