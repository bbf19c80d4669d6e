"""Known ids play the unknown in training, the rarer the more often."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from skmtl import STEM, MMoE, ShareBottom
from skmtl.encoding import TableEncoder
from skmtl.encoding._columns import rare_shares as shares_of
from skmtl.training.batches import UnknownIds


def rare_shares(encoder):
    first, min_frequency = encoder.layout_.first, encoder.min_frequency
    return shares_of(first, encoder._vocabularies, min_frequency)


def table(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    item = rng.zipf(1.3, n) % 60
    X = pd.DataFrame({"item": item, "kind": item % 7, "shop": item % 3})
    return X.astype("category").astype({"item": object})


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_an_id_is_replaced_as_often_as_its_frequency_says(share):
    X = table()
    encoder = TableEncoder().fit(X)
    ids = torch.from_numpy(encoder.encode(X).ids)
    replace = UnknownIds(5.0, share, 0.0, encoder, "cpu")
    torch.manual_seed(0)
    first = torch.tensor(encoder.layout_.first)
    found = torch.stack([replace(ids) != ids for _ in range(400)]).double().mean(0)
    frequency = encoder.frequencies(X)
    known = (ids > first).numpy()
    expected = np.where(known, np.maximum(5.0 / (5.0 + frequency), share), 0.0)
    assert (expected[known] == share).any() == (share > 0)
    # Five standard errors of 400 draws each.
    error = 5 * np.sqrt(expected * (1 - expected) / 400)
    assert (np.abs(found.numpy() - expected) <= error + 1e-12).all()
    changed = replace(ids)
    assert ((changed == ids) | (changed == first)).all()


def test_columns_without_rare_ids_have_all_ids_replaced_evenly():
    counts = np.array([4, 10, 30, 156])
    many = np.repeat(np.arange(4), counts)
    # 40 of 200 rows have an id that would be unknown without them.
    rare = np.repeat(np.arange(33), [20] * 8 + [2] * 15 + [1] * 10)
    X = pd.DataFrame({"user": many, "item": rare}).astype(object)
    encoder = TableEncoder().fit(X)
    shares = [share for _, share in rare_shares(encoder)]
    assert shares == [0.0, 0.2]
    chance = UnknownIds(10.0, 0.05, 0.05, encoder, "cpu").probability.numpy()
    n = encoder.row_frequencies()
    rule = np.where(n > 0, np.maximum(10 / (10 + n), 0.05), 0.0)
    user, item = (rows for rows, _ in rare_shares(encoder))
    mean = (rule[user] * n[user]).sum() / 200
    assert_allclose(chance[user], mean, rtol=1e-6)
    mean = np.average(rule[item], weights=n[item])
    expected = rule[item] + 0.05 / (0.05 + 0.2) * (mean - rule[item])
    assert_allclose(chance[item], expected, rtol=1e-6)
    assert chance[[0, user.stop]].tolist() == [0.0, 0.0]


def test_ids_beyond_max_categories_are_not_rare():
    X = pd.DataFrame({"item": np.repeat(np.arange(4), [10, 9, 8, 3])}).astype(object)
    encoder = TableEncoder(max_categories=2, min_frequency=3).fit(X)
    assert rare_shares(encoder) == [(slice(1, 3), 0.1)]


def test_row_0_learns_the_level_of_all_users_where_none_is_rare():
    """The users have 6 or 100 rows each, and later ones are like them."""
    rng = np.random.default_rng(0)
    active = rng.random(150) < 0.2
    n = np.where(active, 100, 6)
    user = np.repeat(np.arange(150), n)
    X = pd.DataFrame({"user": user, "x": rng.normal(size=len(user))})
    X = X.astype({"user": object})
    y = (rng.random(len(user)) < np.repeat(np.where(active, 0.15, 0.5), n)).astype(int)
    later = pd.DataFrame({"user": 999, "x": rng.normal(size=500)})
    small = {"n_experts": 2, "max_iter": 4, "random_state": 0, "learning_rate": 0.02}
    level = {
        share: MMoE(new_id_share=share, **small).fit(X, y).predict_proba(later)[:, 1]
        for share in (0.0, 0.005)
    }
    error = {share: abs(p.mean() - y.mean()) for share, p in level.items()}
    assert error[0.005] < 0.5 * error[0.0]


@pytest.mark.parametrize("rate", [0.5, 20.0, 1e12])
def test_replaced_ids_fall_back_as_unknown_ids_do(rate):
    """The ids of a batch equal those of a table in which the replaced are missing."""
    X = table()
    encoder = TableEncoder(fallback={"item": "kind", "kind": "shop"}).fit(X)
    ids = encoder.encode(X).ids
    replace = UnknownIds(rate, 0.0, 0.0, encoder, "cpu")
    torch.manual_seed(3)
    found = replace(torch.from_numpy(ids)).numpy()
    torch.manual_seed(3)
    drawn = torch.rand(ids.shape) < replace.probability[torch.from_numpy(ids)]
    missing = X.astype(object).mask(drawn.numpy())
    assert drawn.any()
    assert_array_equal(found, encoder.encode(missing).ids)


def test_further_hashes_are_left_alone():
    X = table()
    encoder = TableEncoder(n_buckets={"item": 20}, n_hashes=3).fit(X)
    ids = torch.from_numpy(encoder.encode(X).ids)
    found = UnknownIds(1e12, 0.0, 0.0, encoder, "cpu")(ids)
    hashed = [0, 3, 4]
    assert torch.equal(found[:, hashed], ids[:, hashed])
    first = encoder.layout_.first
    assert (found[:, 1] == first[1]).all()
    assert (found[:, 2] == first[2]).all()


def labels(X, seed=0):
    rng = np.random.default_rng(seed)
    signal = np.sin(X["item"].astype(int)) + X["kind"].astype(int) / 3
    y = signal.to_numpy()[:, None] + rng.logistic(size=(len(X), 2)) > [1.0, 2.0]
    return pd.DataFrame(y.astype(int), columns=["click", "order"])


SMALL = {"max_iter": 2, "random_state": 0, "embedding_dim": 4, "tower_units": (8,)}


@pytest.mark.parametrize("embedding_optimizer", ["lazy_adam", "adam"])
@pytest.mark.parametrize("kind", [ShareBottom, STEM])
def test_the_unknown_row_is_trained(kind, embedding_optimizer):
    X = table()
    X = X[X.groupby("item")["item"].transform("size") > 1]  # no rare id trains row 0
    y = labels(X)
    ranker = {
        rate: kind(
            unknown_rate=rate, embedding_optimizer=embedding_optimizer, **SMALL
        ).fit(X, y)
        for rate in (0.0, 2.0)
    }
    row = {
        rate: one.net_.module_.embedding.ids.tables[0][0].detach()
        for rate, one in ranker.items()
    }
    assert (row[0.0] == 0).all()
    assert (row[2.0] != 0).all()
    assert ranker[2.0].net_.unknown_ids is None


def test_prediction_and_validation_see_the_ids_as_they_are():
    X = table()
    y = labels(X)
    ranker = MMoE(unknown_rate=50.0, n_experts=2, **{**SMALL, "max_iter": 1})
    ranker.fit(X, y, X_val=X, y_val=y)
    first = ranker.predict_task_proba(X)
    assert_array_equal(first, ranker.predict_task_proba(X))
    proba = expit(logit(first) - ranker.intercept_)  # as the loss sees them
    losses = [log_loss(y[task], proba[:, t]) for t, task in enumerate(y)]
    assert_allclose(ranker.history_["valid_loss"], losses, rtol=1e-5)


def test_the_same_seed_replaces_the_same_ids():
    X = table()
    y = labels(X)
    first, second, other, off = (
        MMoE(n_experts=2, **{**SMALL, "random_state": seed}, unknown_rate=rate)
        .fit(X, y)
        .predict_task_proba(X)
        for seed, rate in ((0, 3.0), (0, 3.0), (1, 3.0), (0, 0.0))
    )
    assert_array_equal(first, second)
    assert (first != other).any()
    assert (first != off).any()


def test_ids_by_several_hashes_are_learnt():
    X = table(4000)
    y = labels(X)
    ranker = ShareBottom(
        n_buckets={"item": 40},
        n_hashes=2,
        embedding_dim={"item": 8, "kind": 4},
        **{k: v for k, v in SMALL.items() if k != "embedding_dim"},
    ).fit(X, y)
    assert ranker.encoder_.encode(X).ids.shape == (4000, 4)
    assert ranker.net_.module_.embedding.ids.tables[0].shape == (41, 8)
    assert ranker.score(X, y) > 0.65
    assert "rows" in ranker.summary()
    again = pickle.loads(pickle.dumps(ranker))
    assert_array_equal(again.predict_task_proba(X), ranker.predict_task_proba(X))


@pytest.mark.parametrize("rate", [-1.0, "often"])
def test_bad_rates_are_named(rate):
    X = table()
    with pytest.raises(ValueError, match="'unknown_rate' parameter of MMoE"):
        MMoE(unknown_rate=rate).fit(X, labels(X))
