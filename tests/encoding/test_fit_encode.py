"""`fit_encode` gives what `fit` and `encode` give, and tells ids apart once."""

import numpy as np
import pandas as pd
import pytest

from skmtl.encoding import TableEncoder
from skmtl.encoding._numbers import _n_edges_up_to

N = 600


def table(rng):
    ids = rng.zipf(1.3, (N, 5)) % 80
    text = pd.Series([f"i{k}" for k in ids[:, 0]], dtype="str")
    return pd.DataFrame(
        {
            "item": text.mask(rng.random(N) < 0.1),
            "object": pd.Series([f"o{k}" for k in ids[:, 1]], dtype=object),
            "category": pd.Categorical(ids[:, 2], categories=[500, *range(79, -1, -1)]),
            "integer": pd.array(ids[:, 3], dtype="Int64"),
            "hashed": [f"h{k}" for k in ids[:, 4]],
            "last": text.sample(frac=1, random_state=0).to_numpy(),
            "history": [[f"i{k}" for k in row] for row in ids],
            "price": rng.normal(size=N),
        }
    )


SINGLE = ["item", "object", "category", "integer", "hashed", "last"]
SETTINGS = [
    {},
    {"min_frequency": 1, "max_categories": 7},
    {"fallback": {"item": "category"}, "n_hashes": 2, "n_buckets": {"hashed": 5}},
    {"share_embedding": {"last": "item", "history": "item"}},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("weights", [None, "positive", "some are 0"])
def test_it_is_fit_and_encode(settings, weights):
    rng = np.random.default_rng(0)
    X, sample_weight = table(rng), None
    if settings.get("n_hashes"):
        X = X.drop(columns="history")
    if weights is not None:
        sample_weight = rng.random(N) + (weights == "positive")
        sample_weight[sample_weight < 0.3] = 0
    settings = {
        "categorical_features": [name for name in X if name != "price"],
        "n_bins": 6,
        **settings,
    }
    encoder = TableEncoder(**settings)
    expected = encoder.fit(X, sample_weight=sample_weight).encode(X)
    other = TableEncoder(**settings)
    found = other.fit_encode(X, sample_weight=sample_weight)
    assert other.vocabulary_sizes_ == encoder.vocabulary_sizes_
    for name in ("ids", "bins", "numeric"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for bag, as_expected in zip(found.bags, expected.bags, strict=True):
        np.testing.assert_array_equal(bag.values, as_expected.values)


def test_ids_of_a_column_are_told_apart_once(monkeypatch):
    X = table(np.random.default_rng(1)).drop(columns=["history", "price"])
    seen, factorize = [], pd.factorize
    monkeypatch.setattr(
        pd, "factorize", lambda cells: seen.append(len(cells)) or factorize(cells)
    )
    TableEncoder(SINGLE).fit_encode(X)
    assert seen == [N] * 5  # codes of categories are there


def test_buckets_beyond_32_bits_are_not_cut():
    X = pd.DataFrame({"id": [f"u{k}" for k in range(50)]})
    encoder = TableEncoder(n_buckets={"id": 2**40})
    ids = encoder.fit_encode(X).ids
    assert ids.dtype == np.int64
    assert ids.max() > 2**32


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_categories_are_read_as_their_values_are(missing):
    rng = np.random.default_rng(2)
    values = pd.Series([f"v{k}" for k in rng.integers(0, 40, N)], dtype="str")
    values = values.mask(rng.random(N) < missing)
    names = rng.permutation([f"v{k}" for k in range(60)])  # some are not used
    as_categories = pd.DataFrame({"id": pd.Categorical(values, categories=names)})
    encoder = TableEncoder(min_frequency=10)
    found = encoder.fit_encode(as_categories).ids
    expected = TableEncoder(min_frequency=10).fit_encode(values.to_frame("id")).ids
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(encoder.encode(as_categories).ids, expected)


@pytest.mark.parametrize("n_edges", [0, 1, 2, 7, 8, 130])
def test_numbers_are_binned_as_searchsorted_does(n_edges):
    rng = np.random.default_rng(n_edges)
    edges = np.unique(rng.normal(size=n_edges).round(2))
    x = np.concatenate([rng.normal(size=20_000), edges, [np.inf, -np.inf, 0.0, -0.0]])
    found = _n_edges_up_to(edges, x)
    np.testing.assert_array_equal(found, np.searchsorted(edges, x, side="right"))
