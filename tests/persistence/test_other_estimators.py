"""Encoders, embedders, and what is around a ranker."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

import skmtl
from skmtl import FixedOutputWeights, OutputWeightSearchCV, TableEncoder
from skmtl.calibration import CalibratedTasksCV
from skmtl.embedders import GraphSAGEEmbedder, Word2VecEmbedder
from skmtl.metrics import make_task_scorer
from tests.persistence.conftest import IDS, make_table, small_ranker


def round_trip(estimator, tmp_path):
    path = tmp_path / "saved.safetensors"
    estimator.save(path)
    return type(estimator).load(path)


ENCODERS = [
    {},
    {"min_frequency": 1, "n_bins": 0},
    {"max_categories": 3, "max_length": 1},
    {"share_embedding": {"history": "item"}, "fallback": {"item": "category"}},
    {"n_buckets": {"user": 5, "item": 9}, "n_hashes": 3},
]


@pytest.mark.parametrize("params", ENCODERS, ids=str)
def test_encoder(params, table, unseen, tmp_path):
    encoder = TableEncoder(IDS, **params).set_output(transform="pandas").fit(table[0])
    loaded = round_trip(encoder, tmp_path)
    assert loaded.get_params() == encoder.get_params()
    for X in (table[0], unseen):
        pd.testing.assert_frame_equal(loaded.transform(X), encoder.transform(X))
        for a, b in zip(loaded.encode(X).bags, encoder.encode(X).bags, strict=True):
            np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(
        loaded.frequencies(unseen), encoder.frequencies(unseen)
    )
    more, _ = make_table(300, 5)
    for one in (loaded, encoder):
        one.partial_fit(more)
    pd.testing.assert_frame_equal(loaded.transform(unseen), encoder.transform(unseen))


@pytest.mark.parametrize(
    "ids",
    [
        [2**70, 2**70 + 1, 5, 5],
        [0.5, 1.5, 2.0, 2.0],
        [True, False, True, None],
        [16_777_217, 16_777_216, -(2**63), 2**63 - 1],
        ["a\x00b", "", "\ud800", "ü"],
        [None, None, None, None],
    ],
    ids=str,
)
def test_ids_of_every_kind(ids, tmp_path):
    X = pd.DataFrame({"id": pd.Series(ids, dtype=object), "n": [1.0, 2.0, 3.0, 4.0]})
    encoder = TableEncoder(["id"], min_frequency=1).fit(X)
    loaded = round_trip(encoder, tmp_path)
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))
    assert loaded.vocabulary_sizes_ == encoder.vocabulary_sizes_


def test_encoder_of_an_array(tmp_path):
    X = np.arange(12.0).reshape(6, 2)
    encoder = TableEncoder([0], min_frequency=1).fit(X)
    loaded = round_trip(encoder, tmp_path)
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))


@pytest.fixture
def log():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user": rng.integers(10, size=200),
            "item": [f"i{k}" for k in rng.integers(12, size=200)],
            "price": rng.normal(size=200),
            "brand": [f"b{k}" for k in rng.integers(3, size=200)],
        }
    )


def test_word2vec(log, tmp_path):
    pytest.importorskip("gensim")
    embedder = Word2VecEmbedder(embedding_dim=4, random_state=0).fit(log)
    loaded = round_trip(embedder, tmp_path)
    pd.testing.assert_frame_equal(loaded.embeddings_, embedder.embeddings_)
    np.testing.assert_array_equal(loaded.transform(log), embedder.transform(log))


@pytest.mark.parametrize("features", [None, ["price", "brand"]])
def test_graph_sage(features, log, tmp_path):
    pytest.importorskip("torch_geometric")
    embedder = GraphSAGEEmbedder(
        embedding_dim=4, feature_columns=features, max_iter=1, random_state=0
    ).fit(log)
    loaded = round_trip(embedder, tmp_path)
    pd.testing.assert_frame_equal(loaded.embeddings_, embedder.embeddings_)
    new = log.assign(item=log["item"].where(log.index % 5 > 0, "new"))
    pd.testing.assert_frame_equal(loaded.embed(new), embedder.embed(new))


def test_ranker_with_a_fitted_embedder(log, tmp_path):
    pytest.importorskip("gensim")
    embedder = Word2VecEmbedder(embedding_dim=4, random_state=0).fit(log)
    y = (log[["price"]] > 0).astype(int).assign(b=log["brand"] == "b1").astype(int)
    ranker = small_ranker("MMoE", embeddings={"item": embedder}).fit(log, y)
    loaded = round_trip(ranker, tmp_path)
    np.testing.assert_array_equal(
        loaded.predict_task_proba(log), ranker.predict_task_proba(log)
    )
    assert isinstance(loaded.embeddings["item"], Word2VecEmbedder)


@pytest.mark.parametrize("method", ["sum", "product", "logit", "rank"])
def test_fixed_weights(method, fitted, unseen, tmp_path):
    fixed = FixedOutputWeights(fitted, {"click": 1, "order": 3}, method=method)
    loaded = round_trip(fixed, tmp_path)
    np.testing.assert_array_equal(
        loaded.decision_function(unseen), fixed.decision_function(unseen)
    )


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "prior_shift"])
def test_calibrated(method, fitted, table, unseen, tmp_path):
    calibrated = CalibratedTasksCV(fitted, method=method, cv="prefit").fit(*table)
    loaded = round_trip(calibrated, tmp_path)
    np.testing.assert_array_equal(
        loaded.predict_task_proba(unseen), calibrated.predict_task_proba(unseen)
    )
    weighed = FixedOutputWeights(calibrated, [1, 2])
    np.testing.assert_array_equal(
        round_trip(weighed, tmp_path).decision_function(unseen),
        weighed.decision_function(unseen),
    )


def test_search(table, unseen, tmp_path):
    ranker = small_ranker("ShareBottom", categorical_features=IDS)
    scoring = {
        "worst": "min_auc",
        "order": make_task_scorer("auc", task="order", average="max"),
        "click": "auc:click",
    }
    search = OutputWeightSearchCV(
        ranker, weights=3, scoring=scoring, refit="worst", cv=KFold(2)
    ).fit(*table)
    loaded = round_trip(search, tmp_path)
    np.testing.assert_array_equal(
        loaded.decision_function(unseen), search.decision_function(unseen)
    )
    assert loaded.best_params_ == search.best_params_
    for key, column in search.cv_results_.items():
        np.testing.assert_array_equal(loaded.cv_results_[key], column)
    pd.testing.assert_frame_equal(
        loaded.bootstrap_intervals(20, random_state=0),
        search.bootstrap_intervals(20, random_state=0),
    )


def test_one_ranker_is_saved_once(fitted, table, tmp_path):
    search = OutputWeightSearchCV(fitted, weights=3, cv="prefit").fit(*table)
    loaded = round_trip(search, tmp_path)
    assert loaded.estimator_ is loaded.estimator
    fitted.save(tmp_path / "ranker.safetensors")
    alone = (tmp_path / "ranker.safetensors").stat().st_size
    assert (tmp_path / "saved.safetensors").stat().st_size < 1.5 * alone


def test_class_is_checked(fitted, tmp_path):
    path = tmp_path / "ranker.safetensors"
    fitted.save(path)
    assert isinstance(skmtl.MultiTaskRanker.load(path), skmtl.MMoE)
    with pytest.raises(ValueError, match="holds a MMoE, not a PLE"):
        skmtl.PLE.load(path)
