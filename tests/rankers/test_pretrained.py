"""Rankers that start from pretrained embeddings."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from gensim.models import KeyedVectors
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skmtl import STEM, MMoE, PretrainedEmbedding, ShareBottom, SingleTask
from skmtl.embedders import Word2VecEmbedder

N_ITEMS, DIM = 300, 16


@pytest.fixture(scope="module")
def world():
    """Items with hidden vectors that decide; a third of them has no training row."""
    rng = np.random.default_rng(0)
    hidden = pd.DataFrame(rng.normal(size=(N_ITEMS, DIM)), index=range(N_ITEMS))
    n = 4000
    item = rng.integers(0, N_ITEMS, n)
    logit = 2 * hidden.to_numpy()[item, :2]
    X = pd.DataFrame({"item": item, "price": rng.random(n)})
    y = pd.DataFrame(
        (logit + rng.logistic(size=(n, 2)) > 0).astype(int), columns=["click", "order"]
    )
    train = item < 200
    return hidden, X.astype({"item": "category"}), y, train


# Networks that are large enough for this world.
SIZES = {
    MMoE: {"n_experts": 3, "expert_units": (16,), "tower_units": (8,)},
    STEM: {"expert_units": (16,), "tower_units": (8,)},
    ShareBottom: {"bottom_units": (16,), "tower_units": (8,)},
    SingleTask: {"bottom_units": (16,), "tower_units": (8,)},
}


def fit(world, ranker=MMoE, embeddings=None, **parameters):
    _, X, y, train = world
    quick = {"batch_size": 128, "learning_rate": 0.01, **SIZES[ranker]}
    parameters = {"random_state": 0, "max_iter": 1, **quick, **parameters}
    return ranker(embeddings=embeddings, **parameters).fit(X[train], y[train])


def auc(world, ranker, rows=None):
    _, X, y, train = world
    rows = ~train if rows is None else rows
    proba = ranker.predict_task_proba(X[rows])
    return roc_auc_score(y[rows], proba)


ARCHITECTURES = [MMoE, ShareBottom, SingleTask, STEM]


@pytest.mark.parametrize(
    ("ranker", "how"),
    [
        *((one, {}) for one in ARCHITECTURES),
        (MMoE, {"mode": "frozen"}),
        (STEM, {"mode": "frozen"}),
        (MMoE, {"learning_rate_factor": 0.1}),
        (SingleTask, {"scale": 0.5}),
    ],
    ids=str,
)
def test_items_without_a_row_are_scored_by_their_vector(world, ranker, how):
    table = PretrainedEmbedding(world[0], **how)
    assert auc(world, fit(world, ranker, {"item": table}, max_iter=5)) > 0.75


@pytest.mark.parametrize("ranker", ARCHITECTURES)
def test_items_without_a_row_and_vector_are_all_the_same_id(world, ranker):
    assert abs(auc(world, fit(world, ranker, max_iter=3)) - 0.5) < 0.06


@pytest.mark.parametrize("ranker", [MMoE, STEM])
@pytest.mark.parametrize("mode", ["init", "frozen"])
def test_other_widths_are_projected(world, ranker, mode):
    table = PretrainedEmbedding(world[0], mode=mode)
    fitted = fit(world, ranker, {"item": table}, embedding_dim=8, max_iter=8)
    assert auc(world, fitted) > 0.75


def vectors_of(ranker, ids):
    """What the network reads of these ids."""
    import torch

    encoder, tables = ranker.encoder_, ranker.net_.module_.embedding.ids
    cells = pd.DataFrame({"item": ids, "price": 0.0})
    rows = torch.from_numpy(encoder.encode(cells.astype({"item": "category"})).ids)
    with torch.no_grad():
        return tables(rows)[0][:, 0].numpy()


def test_frozen_vectors_stay_and_others_move(world):
    hidden = world[0]
    half = hidden.iloc[::2]
    table = PretrainedEmbedding(half, mode="frozen", scale=1.0)
    ranker = fit(world, embeddings={"item": table}, weight_decay=0.1)
    found = vectors_of(ranker, half.index)
    np.testing.assert_allclose(found, half.to_numpy(np.float32))
    others = [i for i in range(200) if i % 2]
    before = fit(world, embeddings={"item": table}, learning_rate=1e-12)
    assert np.abs(vectors_of(ranker, others) - vectors_of(before, others)).min() > 0


@pytest.mark.parametrize("optimizer", ["lazy_adam", "adam"])
def test_the_factor_slows_vectors_down(world, optimizer):
    """Adam moves a row by about the learning rate, whatever its gradient."""
    hidden = world[0]

    def moved(factor):
        table = PretrainedEmbedding(hidden, learning_rate_factor=factor, scale=1.0)
        ranker = fit(
            world, embeddings={"item": table}, max_iter=1, embedding_optimizer=optimizer
        )
        seen = vectors_of(ranker, range(200)) - hidden.to_numpy()[:200]
        return np.abs(seen).mean()

    assert moved(0.01) / moved(0.999) == pytest.approx(0.01, rel=0.1)
    assert moved(1.0) / moved(0.999) == pytest.approx(1.0, rel=0.1)


def test_untrained_vectors_stay_as_given(world):
    hidden = world[0]
    table = PretrainedEmbedding(hidden, scale=1.0)
    ranker = fit(world, embeddings={"item": table})
    unseen = range(200, N_ITEMS)
    np.testing.assert_allclose(
        vectors_of(ranker, unseen), hidden.to_numpy(np.float32)[200:]
    )


def test_auto_scale_gives_vectors_of_length_one(world):
    ranker = fit(world, embeddings={"item": 100 * world[0]})
    unseen = vectors_of(ranker, range(200, N_ITEMS))
    lengths = np.linalg.norm(unseen, axis=1)
    assert np.sqrt(np.square(lengths).mean()) == pytest.approx(1, rel=0.05)


def test_tables_are_equal_in_every_form(world):
    hidden, X, _, _ = world
    keyed = KeyedVectors(DIM)
    keyed.add_vectors([str(i) for i in hidden.index], hidden.to_numpy(np.float32))
    tables = [hidden, (hidden.index, hidden.to_numpy()), keyed]
    scores = [
        fit(world, embeddings={"item": t}, max_iter=1).predict_task_proba(X)
        for t in tables
    ]
    for other in scores[1:]:
        np.testing.assert_array_equal(scores[0], other)


def test_arrays_take_the_index_of_the_column():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.random(400), rng.integers(0, 10, 400)])
    y = (X[:, 1] > 4).astype(int)
    table = (np.arange(12), rng.normal(size=(12, 16)))
    ranker = MMoE(categorical_features=[1], embeddings={1: table}, random_state=0)
    coverage = ranker.fit(X, y).embedding_coverage_
    assert coverage.loc[1].tolist() == [1.0, 1.0, 2]


def test_rare_ids_with_a_vector_have_a_row():
    rng = np.random.default_rng(0)
    ids = np.r_[np.repeat(np.arange(20), 20), np.arange(100, 140)]
    X = pd.DataFrame({"item": ids}).astype("category")
    y = rng.integers(0, 2, len(ids))
    table = pd.DataFrame(rng.normal(size=(30, 16)), index=np.arange(100, 130))
    with pytest.warns(UserWarning, match="column 'item' have vectors for only 7%"):
        ranker = MMoE(embeddings={"item": table}, random_state=0).fit(X, y)
    codes = ranker.encoder_.encode(X.tail(40)).ids[:, 0]
    assert len(set(codes[:30])) == 30
    assert not codes[30:].any()
    coverage = ranker.embedding_coverage_.loc["item"]
    assert coverage["ids"] == 0
    assert coverage["rows"] == pytest.approx(30 / 440)
    assert coverage["unseen"] == 0


def test_coverage_counts(world):
    hidden = world[0]
    ranker = fit(world, embeddings={"item": hidden.iloc[50:]})
    item = world[1].loc[world[3], "item"].astype(int)
    found = ranker.embedding_coverage_.loc["item"]
    assert found["ids"] == pytest.approx(150 / 200)
    assert found["rows"] == pytest.approx((item >= 50).mean())
    assert found["unseen"] == 100
    assert fit(world).embedding_coverage_.empty


def test_a_fitted_embedder_is_a_table(world):
    _, X, _, train = world
    log = X[train].assign(user=np.arange(train.sum()) // 5)
    embedder = Word2VecEmbedder(
        group_column="user", item_column="item", random_state=0
    ).fit(log)
    ranker = fit(world, embeddings={"item": embedder})
    assert ranker.embedding_coverage_.loc["item", "rows"] == 1
    again = clone(ranker)
    assert again.embeddings["item"] is embedder
    assert again.embeddings is not ranker.embeddings
    y = world[2][train]
    expected = clone(ranker).set_params(embeddings={"item": embedder.embeddings_})
    cv = {"cv": KFold(2), "error_score": "raise"}
    np.testing.assert_array_equal(
        cross_val_score(make_pipeline(ranker), X[train], y, **cv),
        cross_val_score(expected, X[train], y, **cv),
    )
    grid = {"embeddings": [{"item": embedder}]}
    with pytest.raises(TypeError, match="grid of a search wrap it in Pretrained"):
        GridSearchCV(ranker, grid, **cv).fit(X[train], y)
    grid = {"embeddings": [{"item": PretrainedEmbedding(embedder)}]}
    GridSearchCV(ranker, grid, **cv).fit(X[train], y)


@pytest.mark.filterwarnings("ignore:The embeddings of column")
@pytest.mark.parametrize(
    ("name", "table", "parameters", "message"),
    [
        ("sku", (["a"], [[1.0]]), {}, "embeddings names 'sku', which is not a column"),
        ("price", ([1], [[1.0]]), {}, "embeddings names 'price', which is read as num"),
        ("item", ([1, 1], np.ones((2, 16))), {}, "column 'item' hold 1 ids more than"),
        ("item", ([1], [[np.nan] * 16]), {}, "column 'item' hold NaN or infinity"),
        ("item", (["a"], np.ones((1, 16))), {}, "Column 'item' holds numbers"),
        (
            "item",
            PretrainedEmbedding(([1], np.ones((1, 9))), projection=False),
            {},
            "column 'item' have width 9, but its embedding_dim is 16",
        ),
        (
            "item",
            PretrainedEmbedding(([1], np.ones((1, 9))), mode="freeze"),
            {},
            "mode of the embeddings of column 'item'",
        ),
        (
            "item",
            PretrainedEmbedding(([1], np.ones((1, 9))), learning_rate_factor=0),
            {},
            "learning_rate_factor of the embeddings of column 'item'",
        ),
        (
            "item",
            PretrainedEmbedding(([1], np.ones((1, 9))), scale="big"),
            {},
            "scale of the embeddings of column 'item'",
        ),
    ],
)
def test_bad_tables_leave_a_fitted_ranker_as_it_was(
    world, name, table, parameters, message
):
    _, X, y, train = world
    ranker = fit(world, max_iter=1)
    before = copy.copy(ranker.__dict__)
    expected = ranker.predict_task_proba(X)
    ranker.set_params(embeddings={name: table}, **parameters)
    with pytest.raises(ValueError, match=message):
        ranker.fit(X[train], y[train])
    before |= {"embeddings": ranker.embeddings, **parameters}
    assert ranker.__dict__.keys() == before.keys()
    for k, v in ranker.__dict__.items():
        assert v is before[k], k
    np.testing.assert_array_equal(ranker.predict_task_proba(X), expected)


@pytest.mark.parametrize("mode", ["init", "frozen"])
def test_clone_pickle_and_seed(world, mode):
    X = world[1]
    table = PretrainedEmbedding(world[0], mode=mode)
    ranker = fit(world, embeddings={"item": table}, max_iter=1)
    proba = ranker.predict_task_proba(X)
    again = clone(ranker)
    assert again.embeddings["item"] is table  # not copied
    again.fit(X[world[3]], world[2][world[3]])
    loaded = pickle.loads(pickle.dumps(ranker))
    for other in (again, loaded):
        np.testing.assert_array_equal(other.predict_task_proba(X), proba)


@pytest.mark.parametrize("mode", ["init", "frozen"])
def test_warm_start_goes_on_with_the_vectors(world, mode):
    _, X, y, train = world
    table = PretrainedEmbedding(world[0], mode=mode, scale=1.0)
    ranker = fit(world, embeddings={"item": table}, max_iter=1, warm_start=True)
    first, coverage = vectors_of(ranker, range(N_ITEMS)), ranker.embedding_coverage_
    ranker.fit(X[train], y[train])
    then = vectors_of(ranker, range(N_ITEMS))
    np.testing.assert_array_equal(first[200:], then[200:])
    assert np.array_equal(first[:200], then[:200]) == (mode == "frozen")
    assert ranker.n_iter_ == 2
    assert ranker.embedding_coverage_ is coverage


def test_frozen_numbers_are_not_counted_as_trained(world):
    table = PretrainedEmbedding(world[0], mode="frozen")
    plain = fit(world, max_iter=1)
    frozen = fit(world, embeddings={"item": table}, max_iter=1)
    # All 200 ids and no more; two rows are those of unknown ids and of padding.
    assert plain.n_parameters_ - frozen.n_parameters_ == (201 - 2) * 16


@pytest.mark.parametrize("mode", ["init", "frozen"])
def test_lists_read_the_vectors_that_they_share(mode):
    """Lists of ids without a training row are told apart by their vectors."""
    rng = np.random.default_rng(0)
    hidden = pd.DataFrame(rng.normal(size=(90, 16)), index=range(90))
    train = np.arange(1500) < 1000
    lists = [rng.integers(*((0, 60) if t else (60, 90)), 3) for t in train]
    logit = np.array([2 * hidden.loc[ids, 0].sum() for ids in lists])
    X = pd.DataFrame({"item": rng.integers(0, 60, 1500), "history": lists})
    X = X.astype({"item": "category"})
    y = (logit + rng.logistic(size=1500) > 0).astype(int)
    table = PretrainedEmbedding(hidden, mode=mode)
    common = {"share_embedding": {"history": "item"}, "random_state": 0}
    ranker = MMoE(embeddings={"history": table}, max_iter=8, **common)
    ranker.fit(X[train], y[train])
    auc = roc_auc_score(y[~train], ranker.predict_proba(X[~train])[:, 1])
    assert auc > 0.8
    coverage = ranker.embedding_coverage_.loc["history"]
    assert coverage.tolist() == [1.0, 1.0, 30]
    both = {"history": table, "item": table}
    with pytest.raises(ValueError, match="'history' and 'item', which share one"):
        MMoE(embeddings=both, **common).fit(X[train], y[train])


@pytest.mark.parametrize("mode", ["init", "frozen"])
def test_partial_fit_keeps_vectors_and_adds_ids(world, mode):
    _, X, y, train = world
    table = PretrainedEmbedding(world[0], mode=mode, scale=1.0)
    ranker = MMoE(embeddings={"item": table}, max_iter=1, random_state=0)
    ranker.partial_fit(X[train], y[train])
    before = vectors_of(ranker, range(N_ITEMS))
    rng = np.random.default_rng(1)
    later = pd.DataFrame({"item": rng.integers(1000, 1020, 400), "price": 0.5})
    later = later.astype({"item": "category"})
    ranker.partial_fit(
        later, pd.DataFrame(rng.integers(0, 2, (400, 2)), columns=y.columns)
    )
    np.testing.assert_array_equal(vectors_of(ranker, range(200, N_ITEMS)), before[200:])
    new = vectors_of(ranker, range(1000, 1020))
    assert len(np.unique(new, axis=0)) == 20
    ranker.partial_fit(X[train], y[train])
    moved = vectors_of(ranker, range(200)) != before[:200]
    assert moved.any() == (mode == "init")


def test_hashed_columns_have_no_vectors(world):
    with pytest.raises(ValueError, match="'item', which is hashed"):
        fit(world, embeddings={"item": world[0]}, n_buckets={"item": 64})
