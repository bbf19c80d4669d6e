"""Rankers read columns of lists."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict

from skmtl import STEM, MMoE, ShareBottom, load
from skmtl.encoding import TableEncoder
from skmtl.rankers._network import auto_dim
from skmtl.tasks import check_targets
from skmtl.training.loop import merge_rows
from tests.rankers.makers import MAKERS, small_mmoe

PARAMS = {
    "max_iter": 2,
    "tower_units": (8,),
    "batch_size": 128,
    "random_state": 0,
    "categorical_features": ["item", "history", "tags"],
    "share_embedding": {"history": "item"},
    "pooling": {"history": ("attention", "item"), "tags": "max"},
}
ATTENTION = ("attention", "item")
# Poolings with parameters, of columns with a target and without.
LEARNT = [{"history": "din"}, {"history": "transformer", "tags": "transformer"}]


def make_histories(n=1200, seed=0, n_items=60, longest=12):
    """Whether an item is liked depends on similar items in the history."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, n_items, n)
    history = [
        rng.integers(0, n_items, k).tolist() for k in rng.integers(0, longest, n)
    ]
    like = [sum(v % 5 == i % 5 for v in h) for h, i in zip(history, item, strict=True)]
    X = pd.DataFrame(
        {
            "item": item,
            "history": pd.Series(history, dtype=object),
            "tags": pd.Series([[f"t{i % 7}", f"t{i % 5}"] for i in item], dtype=object),
            "price": rng.random(n),
        }
    )
    X.loc[::50, "history"] = None
    X.at[1, "history"] = [3, None, 3]
    noise = rng.logistic(size=(n, 2))
    y = np.asarray(like)[:, None] * 2 - [2, 4] + noise > 0
    return X, pd.DataFrame(y.astype(int), columns=["click", "order"])


@pytest.fixture(scope="module")
def table():
    return make_histories()


def as_polars(X):
    return pl.DataFrame({name: X[name].to_list() for name in X})


def test_every_ranker_and_every_frame(maker, table):
    X, y = table
    ranker = maker(**PARAMS).fit(X, y)
    expected = ranker.predict_task_proba(X)
    assert np.isfinite(expected).all()
    assert_array_equal(ranker.predict_task_proba(as_polars(X)), expected)
    again = pickle.loads(pickle.dumps(ranker))
    assert_array_equal(again.predict_task_proba(X), expected)
    polars = clone(ranker).fit(as_polars(X), y)
    assert_array_equal(polars.predict_task_proba(X), expected)
    assert "poolings" not in ranker.summary()  # they have no parameters
    one = ranker.predict_task_proba(X[7:8])
    assert_allclose(one, expected[7:8], rtol=1e-4)


@pytest.mark.parametrize("kind", [MMoE, STEM])
@pytest.mark.parametrize("pooling", ["mean", "sum", "max", ATTENTION, *LEARNT])
def test_unseen_empty_and_missing_lists(kind, pooling, table):
    X, y = table
    ranker = kind(**{**PARAMS, "pooling": pooling}).fit(X, y)
    asked = X[:6].assign(
        history=pd.Series([[], None, [10**9], [-1, 3], np.array([3]), (3,)])
    )
    found = ranker.predict_task_proba(asked)
    assert np.isfinite(found).all()
    empty = X[:6].assign(history=[[]] * 6, item=3, tags=[[]] * 6)
    missing = empty.assign(history=np.nan, tags=None)
    assert_array_equal(
        ranker.predict_task_proba(empty), ranker.predict_task_proba(missing)
    )


@pytest.mark.parametrize("kind", [ShareBottom, STEM])
def test_only_empty_lists_to_fit_on(kind, table):
    X, y = table
    X = X.assign(history=[[]] * len(X), tags=[[]] * len(X))
    ranker = kind(**PARAMS).fit(X, y)
    assert ranker.encoder_.vocabulary_names_ == ["item", "tags"]
    assert np.isfinite(ranker.predict_task_proba(table[0])).all()


def test_attention_finds_what_a_mean_does_not():
    X, y = make_histories(6000, n_items=100)
    train, test = slice(0, 5000), slice(5000, None)
    params = {**PARAMS, "max_iter": 4, "batch_size": 128, "tower_units": (64,)}
    attention, mean = (
        MMoE(**{**params, "pooling": pooling})
        .fit(X[train], y[train])
        .score(X[test], y[test])
        for pooling in ({"history": ATTENTION}, "mean")
    )
    assert attention > mean + 0.05


@pytest.mark.parametrize("name", MAKERS)
def test_every_ranker_learns_poolings(name, table):
    X, y = (part[:300] for part in table)
    pooling = LEARNT[len(name) % 2]
    ranker = MAKERS[name](**{**PARAMS, "pooling": pooling, "max_iter": 1}).fit(X, y)
    expected = ranker.predict_task_proba(X)
    assert np.isfinite(expected).all()
    assert_allclose(ranker.predict_task_proba(X[7:8]), expected[7:8], rtol=1e-4)
    assert_array_equal(ranker.predict_task_proba(as_polars(X)), expected)
    found = ranker.net_.module_.embedding.poolings_of(0)
    assert len(found) == {"SingleTask": 2, "STEM": 3}.get(name, 1)
    query = ranker.net_.module_.embedding.bags[0].query
    assert ranker.encoder_.categorical_names_[query] == "item"


@pytest.mark.parametrize("pooling", LEARNT, ids=["din", "transformer"])
def test_learnt_poolings_grow_and_are_saved(pooling, table, tmp_path):
    X, y = (part[:300] for part in table)
    params = {**PARAMS, "pooling": pooling, "min_frequency": 1, "max_length": 70}
    ranker = small_mmoe(**params).partial_fit(X, y)
    long = X.assign(item=100, history=[[100, 101] * (i % 40) for i in range(300)])
    ranker.partial_fit(long, y)
    assert ranker.encoder_.encode(long[:1]).ids[0, 0] > 0
    ranker.save(tmp_path / "ranker")
    again = load(tmp_path / "ranker")
    expected = ranker.predict_task_proba(long)
    assert_array_equal(again.predict_task_proba(long), expected)
    one, other = (r.partial_fit(X, y).predict_task_proba(X) for r in (ranker, again))
    assert_array_equal(one, other)


def test_a_target_must_be_unique(table):
    X, y = table
    X = X.assign(other=X["item"])
    share = {"history": "item", "other": "item"}
    params = {**PARAMS, "share_embedding": share}
    params["categorical_features"] = ["item", "other", "history", "tags"]
    ranker = small_mmoe(**{**params, "pooling": {"history": "din"}})
    with pytest.raises(
        ValueError, match=r"'history' .* columns \['item', 'other'\] do"
    ):
        ranker.fit(X, y)
    ranker.set_params(pooling={"history": ("din", "other")}).fit(X, y)
    assert ranker.net_.module_.embedding.bags[0].query == 1


def test_a_transformer_learns_what_depends_on_the_order():
    """Only the last entry counts."""
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 20, n).tolist() for n in rng.integers(1, 12, 2500)]
    y = np.array([one[-1] % 2 for one in lists]) ^ (rng.random(2500) < 0.05)
    X = pd.DataFrame({"history": pd.Series(lists, dtype=object)})
    params = {"max_iter": 4, "batch_size": 128, "bottom_units": (16,)}
    scores = {
        pooling: ShareBottom(
            pooling=pooling, random_state=0, learning_rate=0.01, **params
        ).fit(X[:2000], y[:2000]).score(X[2000:], y[2000:])
        for pooling in ("mean", "transformer")
    }  # fmt: skip
    assert scores["transformer"] > scores["mean"] + 0.15, scores


def test_equal_rows_of_a_small_table_count_once(table):
    X, y = (part[:60] for part in table)
    encoded = TableEncoder(["item", "history", "tags"]).fit(X).encode(X)
    targets, weight = check_targets(y), np.tile(np.arange(60) % 3, (2, 1)).T + 0.0
    expected = merge_rows(encoded, targets, weight)
    assert len(expected[0]) == 40
    order = np.random.default_rng(0).permutation(
        np.repeat(np.arange(60), [0, 1, 2] * 20)
    )
    ones = np.ones((len(order), 2))
    found = merge_rows(encoded.take(order), targets.take(order), ones)
    for one, other in zip(expected[0].bags, found[0].bags, strict=True):
        assert_array_equal(one.values, other.values)
        assert_array_equal(one.offsets, other.offsets)
    assert_array_equal(expected[0].ids, found[0].ids)
    for one, other in zip(expected[1:], found[1:], strict=True):
        assert_array_equal(one, other)


def test_lists_that_differ_are_other_rows():
    X = pd.DataFrame({"h": [["a"], ["b"], ["a", "b"], ["b", "a"]] * 10, "x": 1.0})
    y = np.array([1, 0, 1, 0] * 10)
    ranker = ShareBottom(random_state=0, max_iter=200, pooling="sum").fit(X, y)
    proba = ranker.predict_proba(X)[:4, 1]
    assert proba[0] > proba[2] > proba[1]
    assert proba[2] == pytest.approx(proba[3])


def test_a_step_leaves_other_rows_alone(table):
    X, y = table
    params = {**PARAMS, "min_frequency": 1, "pooling": "mean", "max_iter": 1}
    params["unknown_rate"] = 0  # which moves the rows of unknown ids too
    ranker = MMoE(**params).fit(X, y)
    before = ranker.net_.module_.embedding.ids.tables[0].detach().clone()
    # One batch of rows whose items are 1 and whose histories hold 2 and 3.
    more = X[:32].assign(item=1, history=[[2, 3, 2]] * 32, tags=[[]] * 32)
    ranker.set_params(warm_start=True).fit(more, y[:32])
    after = ranker.net_.module_.embedding.ids.tables[0].detach()
    moved = (before != after).any(dim=1).nonzero().ravel()
    encoded = ranker.encoder_.encode(more)
    expected = np.unique(np.r_[encoded.ids.ravel(), encoded.bags[0].values])
    assert_array_equal(moved, expected)


@pytest.mark.parametrize("pooling", [PARAMS["pooling"], *LEARNT])
def test_same_seed_same_predictions_on_any_number_of_threads(
    pooling, table, set_threads
):
    X, y = (part[:300] for part in table)
    params = {**PARAMS, "batch_size": 150, "max_iter": 2, "pooling": pooling}
    ranker = MMoE(**params)
    expected = ranker.fit(X, y).predict_task_proba(X)
    set_threads(1 if torch.get_num_threads() > 1 else 2)
    assert_array_equal(ranker.fit(X, y).predict_task_proba(X), expected)


def test_cross_validation_and_searches_take_rows_of_lists(table):
    X, y = table
    params = PARAMS | {"batch_size": 64, "max_iter": 3, "early_stopping": True}
    ranker = MMoE(**params)
    proba = cross_val_predict(ranker, X, y, cv=KFold(2), method="predict_proba")
    for train, test in KFold(2).split(X):
        by_hand = clone(ranker).fit(X.iloc[train], y.iloc[train])
        expected = by_hand.predict_proba(X.iloc[test])
        for found, one in zip(proba, expected, strict=True):
            assert_array_equal(found[test], one)
    grid = {"pooling": ["mean", {"history": ATTENTION}], "max_length": [2, None]}
    search = GridSearchCV(ranker, grid, cv=KFold(2)).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 4  # each candidate is another model
    assert search.best_estimator_.score(X, y) > 0.6


def test_the_last_entries_are_kept(table):
    X, y = table
    ranker = MMoE(**PARAMS, max_length=2).fit(X, y)
    cut = X.assign(history=[None if h is None else h[-2:] for h in X["history"]])
    cut.at[1, "history"] = [3, 3]
    assert_array_equal(ranker.predict_task_proba(cut), ranker.predict_task_proba(X))


def test_scalar_columns_share_a_table(table):
    X, y = table
    X = X.assign(other=X["item"].to_numpy()[::-1])
    features = ["item", "other", "history", "tags"]
    params = {**PARAMS, "categorical_features": features}
    own = MMoE(**{**params, "share_embedding": None}).fit(X, y)
    params["share_embedding"] = {"other": "item", "history": "item"}
    shared = MMoE(**params).fit(X, y)
    tables = [r.net_.module_.embedding.ids.tables[0] for r in (own, shared)]
    sizes = own.encoder_.vocabulary_sizes_
    assert len(tables[0]) == sum(sizes)
    assert len(tables[1]) == sizes[0] + sizes[-1]
    ids = shared.encoder_.encode(X.assign(other=X["item"])).ids
    assert_array_equal(ids[:, 0], ids[:, 1])


def test_widths_by_column(table):
    X, y = table
    dims = {"item": 4, "tags": 2}
    ranker = MMoE(**PARAMS, embedding_dim=dims).fit(X, y)
    widths = [t.shape[1] for t in ranker.net_.module_.embedding.ids.tables]
    assert widths == [4, 2]
    auto = MMoE(**PARAMS, embedding_dim="auto").fit(X, y)
    widths = {t.shape[1] for t in auto.net_.module_.embedding.ids.tables}
    assert widths == {auto_dim(size) for size in auto.encoder_.vocabulary_sizes_}


BAD = [
    ({"pooling": ("mean", "item")}, r"pooling must be one of \['mean', 'sum', 'max', "),
    ({"pooling": {"history": "median"}}, "pooling of column 'history' must be"),
    (
        {"pooling": "din"},
        r"entries of column 'tags' .* none does. Name the .*'tags': \('din', <name>",
    ),
    (
        {"pooling": {"history": "din"}, "share_embedding": None},
        r"of column 'history' .* none does.*single ids are \['item'\]",
    ),
    (
        {"pooling": {"history": ("transformer", "price")}},
        "compares column 'history' with 'price', which is not a column of single ids",
    ),
    ({"pooling": {"histroy": "sum"}}, r"\['histroy'\], which are not columns of lists"),
    ({"pooling": {"item": "sum"}}, r"\['item'\], which are not columns of lists"),
    (
        {"pooling": {"history": ("attention", "tags")}},
        "compares column 'history' with 'tags', which is not a column of single ids",
    ),
    (
        {"pooling": {"history": ("attention", "price")}},
        "'price', which is not a column of single ids",
    ),
    (
        {"pooling": {"tags": ATTENTION}, "embedding_dim": {"tags": 4}},
        "'tags', whose embeddings have width 4, with 'item', whose have 16",
    ),
    ({"embedding_dim": {"history": 4}}, r"\['history'\], which .* table of their own"),
    ({"share_embedding": {"tags": "item"}}, "'item', which holds numbers"),
    ({"share_embedding": {"history": "itme"}}, "'itme', which is not a column"),
    ({"share_embedding": {"history": "history"}}, "cycle"),
    ({"max_length": 0}, "'max_length' parameter"),
]


@pytest.fixture(scope="module")
def fitted(table):
    X, y = table
    ranker = MMoE(**PARAMS).fit(X, y)
    return ranker, ranker.predict_task_proba(X)


@pytest.mark.parametrize(("params", "message"), BAD)
def test_bad_parameters_are_named_before_anything_changes(
    params, message, table, fitted
):
    X, y = table
    ranker, expected = copy.deepcopy(fitted)
    with pytest.raises((TypeError, ValueError), match=message):
        ranker.set_params(**params).fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), expected)


def test_bad_lists_are_named_before_anything_changes(table):
    X, y = table
    ranker = MMoE(**PARAMS).fit(X, y)
    expected = ranker.predict_task_proba(X)
    for cells, message in (
        ([[[1]]] * len(X), "'history' holds lists of lists"),
        ([[1], 2] * (len(X) // 2), "'history' mixes lists with single values"),
        ([[1], ["a"]] * (len(X) // 2), "'history' mixes types"),
    ):
        with pytest.raises(TypeError, match=message):
            ranker.fit(X.assign(history=cells), y)
        with pytest.raises(TypeError, match=message):
            ranker.predict(X.assign(history=cells))
    assert_array_equal(ranker.predict_task_proba(X), expected)
