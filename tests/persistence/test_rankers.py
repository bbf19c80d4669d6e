"""A ranker from a file is the ranker that was saved."""

import numpy as np
import pandas as pd
import pytest
from sklearn import model_selection

import skmtl
from skmtl.persistence._registry import SPLITTERS
from skmtl.weighting import DynamicWeightAverage, GradNorm, get_strategy_names
from tests.persistence.conftest import IDS, RANKERS, make_table, small_ranker


def round_trip(estimator, tmp_path, **options):
    path = tmp_path / "saved.safetensors"
    estimator.save(path, **options)
    return skmtl.load(path)


def assert_same_predictions(loaded, ranker, *tables):
    for X in tables:
        np.testing.assert_array_equal(
            np.asarray(loaded.predict_task_proba(X)),
            np.asarray(ranker.predict_task_proba(X)),
        )


@pytest.mark.parametrize("name", RANKERS)
def test_every_ranker_predicts_and_continues_to_the_last_bit(
    name, table, unseen, tmp_path
):
    ranker = small_ranker(name, categorical_features=IDS).fit(*table)
    loaded = round_trip(ranker, tmp_path)
    assert_same_predictions(loaded, ranker, table[0], unseen, unseen.iloc[:1])
    more = make_table(200, 2)
    assert_same_predictions(
        loaded.partial_fit(*more), ranker.partial_fit(*more), unseen
    )
    for one in (loaded, ranker):
        one.set_params(warm_start=True).fit(*table)
    assert_same_predictions(loaded, ranker, unseen)


def test_fitted_attributes_are_the_same(fitted, tmp_path):
    loaded = round_trip(fitted, tmp_path)
    assert type(loaded) is type(fitted)
    assert loaded.get_params() == fitted.get_params()
    assert set(vars(loaded)) == set(vars(fitted))
    for name in (
        "task_names_",
        "prior_",
        "label_weight_",
        "loss_weight_",
        "intercept_",
    ):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fitted, name))
    np.testing.assert_array_equal(loaded.feature_names_in_, fitted.feature_names_in_)
    assert [c.tolist() for c in loaded.classes_] == [
        c.tolist() for c in fitted.classes_
    ]
    pd.testing.assert_frame_equal(loaded.history_, fitted.history_)
    assert list(loaded.net_.history) == list(fitted.net_.history)
    assert loaded.n_iter_ == fitted.n_iter_
    assert loaded.n_parameters_ == fitted.n_parameters_
    assert loaded.summary() == fitted.summary()


OPTIONS = {
    "auto widths": {"embedding_dim": "auto"},
    "widths by column": {"embedding_dim": {"item": 8, "user": 2}},
    "hashing": {"n_buckets": {"item": 7}, "n_hashes": 2},
    "fallback": {"fallback": {"item": "category"}},
    "shared": {"share_embedding": {"history": "item", "seen": "user"}, "max_length": 2},
    "attention": {"pooling": {"history": ("attention", "item"), "seen": "max"}},
    "frequent": {"min_frequency": 10, "max_categories": 3},
    "no bins": {"n_bins": 0},
    "indices": {"categorical_features": [0, 1, 2, 5, 6]},
    "label weights": {"label_weight": {"click": 2.0, "order": "1:2"}},
    "loss weights": {"loss_weight": [1.0, 0.5]},
    "adagrad": {"embedding_optimizer": "adagrad", "optimizer": "sgd"},
    "dense": {"embedding_optimizer": "adam", "weight_decay": 0.01},
    "stopping": {"early_stopping": True, "max_iter": 2, "scoring": "auc:order"},
    "gradients": {"record_gradients": True, "dropout": 0.1, "gate_dropout": 0.1},
    "bf16": {"precision": "bf16"},
    "generator": {"random_state": np.random.RandomState(3)},
    "linear": {"learning_rate_schedule": "linear", "max_iter": 2},
}


@pytest.mark.filterwarnings("ignore:No id in columns:UserWarning")
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option(option, table, unseen, tmp_path):
    params = {"categorical_features": IDS, **OPTIONS[option]}
    ranker = small_ranker("MMoE", **params).fit(*table)
    loaded = round_trip(ranker, tmp_path)
    assert_same_predictions(loaded, ranker, table[0], unseen)
    if not ranker.early_stopping:
        more = make_table(200, 2)
        loaded.partial_fit(*more)
        ranker.partial_fit(*more)
        assert_same_predictions(loaded, ranker, unseen)


def test_chained_probabilities(table, unseen, tmp_path):
    ranker = small_ranker(
        "ChainedMMoE",
        categorical_features=IDS,
        chain_probability=True,
        task_order={"order": ["click"]},
    ).fit(*table)
    assert_same_predictions(round_trip(ranker, tmp_path), ranker, unseen)


@pytest.mark.parametrize(
    ("name", "n_tasks"),
    [
        *((name, 2) for name in [*get_strategy_names(), "inverse_ratio"]),
        *((name, 1) for name in ["uncertainty", "gradnorm", "mgda", "nash_mtl"]),
    ],
)
def test_strategies_continue(name, n_tasks, table, tmp_path):
    X, y = table[0][["price", "age"]], table[1].iloc[:, :n_tasks]
    ranker = small_ranker("ShareBottom", loss_weight=name, max_iter=2).fit(X, y)
    loaded = round_trip(ranker, tmp_path)
    assert_same_predictions(loaded, ranker, X)
    for one in (loaded, ranker):
        one.set_params(warm_start=True).fit(X, y)
    assert_same_predictions(loaded, ranker, X)


@pytest.mark.parametrize("strategy", [GradNorm(alpha=0.5), DynamicWeightAverage()])
def test_strategies_as_hyperparameters(strategy, table, tmp_path):
    X, y = table[0][["price", "age"]], table[1]
    ranker = small_ranker("ShareBottom", loss_weight=strategy, max_iter=3).fit(X, y)
    loaded = round_trip(ranker, tmp_path)
    assert repr(loaded.loss_weight) == repr(strategy)
    for one in (loaded, ranker):
        one.set_params(warm_start=True).fit(X, y)
    assert_same_predictions(loaded, ranker, X)


def test_one_task_with_own_labels(table, tmp_path):
    X = table[0][["price", "age"]].to_numpy()
    y = np.where(table[1]["click"] == 1, "yes", "no")
    ranker = small_ranker("MMoE").fit(X, y)
    loaded = round_trip(ranker, tmp_path)
    assert_same_predictions(loaded, ranker, X)
    assert loaded.predict(X).tolist() == ranker.predict(X).tolist()
    assert loaded.classes_.tolist() == ["no", "yes"]


def test_constant_and_unobserved_tasks(table, tmp_path):
    X = table[0][["price", "age"]]
    y = table[1].astype(float).assign(never=0.0, unknown=np.nan)
    with pytest.warns(UserWarning, match="never|unknown"):
        ranker = small_ranker("ESMM").fit(X, y)
    loaded = round_trip(ranker, tmp_path)
    assert_same_predictions(loaded, ranker, X)
    np.testing.assert_array_equal(loaded.prior_, ranker.prior_)


def test_output_and_requests_are_kept(table, tmp_path):
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        ranker = small_ranker("MMoE").set_fit_request(sample_weight=True)
        ranker.set_output(transform="pandas").fit(table[0][["price"]], table[1])
        loaded = round_trip(ranker, tmp_path)
        asked = loaded.get_metadata_routing().fit.requests
    assert asked["sample_weight"] is True
    proba = loaded.predict_task_proba(table[0][["price"]])
    assert list(proba.columns) == ["click", "order"]


def test_not_fitted(tmp_path):
    ranker = small_ranker("PLE", fallback={"item": "category"})
    loaded = round_trip(ranker, tmp_path)
    assert loaded.get_params() == ranker.get_params()
    assert not hasattr(loaded, "net_")


def test_without_training_state(fitted, table, unseen, tmp_path):
    whole = tmp_path / "whole.safetensors"
    fitted.save(whole)
    loaded = round_trip(fitted, tmp_path, include_training_state=False)
    size = (tmp_path / "saved.safetensors").stat().st_size
    # Two moments of four bytes for each parameter.
    n_parameters = sum(p.numel() for p in fitted.net_.module_.parameters())
    assert whole.stat().st_size - size >= 8 * n_parameters
    assert_same_predictions(loaded, fitted, unseen)
    with pytest.raises(ValueError, match="include_training_state=True"):
        loaded.partial_fit(*table)
    assert_same_predictions(loaded, fitted, unseen)
    again = round_trip(loaded, tmp_path)
    assert_same_predictions(again, fitted, unseen)
    with pytest.raises(ValueError, match="include_training_state=True"):
        again.partial_fit(*table)
    # A new fit needs nothing of the old one.
    again.fit(*table)


def test_pretrained_tables(table, unseen, tmp_path):
    from skmtl import PretrainedEmbedding

    rng = np.random.default_rng(0)
    ids = [f"ü{i}" for i in range(20)] + ["new"]
    vectors = pd.DataFrame(rng.normal(size=(21, 4)).astype(np.float32), index=ids)
    users = (np.arange(25), rng.normal(size=(25, 3)))
    for item in (
        vectors,
        PretrainedEmbedding(vectors, mode="frozen"),
        PretrainedEmbedding(vectors, learning_rate_factor=0.5, scale=2.0),
    ):
        ranker = small_ranker(
            "MMoE", categorical_features=IDS, embeddings={"item": item, "user": users}
        ).fit(*table)
        loaded = round_trip(ranker, tmp_path)
        assert_same_predictions(loaded, ranker, table[0], unseen)
        pd.testing.assert_frame_equal(
            loaded.embedding_coverage_, ranker.embedding_coverage_
        )
        more = make_table(200, 2)
        ranker.partial_fit(*more)
        loaded.partial_fit(*more)
        assert_same_predictions(loaded, ranker, unseen)
        # The tables have grown.
        assert_same_predictions(round_trip(ranker, tmp_path), ranker, unseen)


def test_words_of_gensim(table, unseen, tmp_path):
    models = pytest.importorskip("gensim.models")
    words = models.KeyedVectors(4)
    words.add_vectors(["ü1", "ü2"], np.ones((2, 4), np.float32))
    with pytest.warns(UserWarning, match="have vectors"):
        ranker = small_ranker(
            "MMoE", categorical_features=IDS, embeddings={"item": words}
        ).fit(*table)
    loaded = round_trip(ranker, tmp_path)
    assert_same_predictions(loaded, ranker, unseen)
    assert loaded.embeddings["item"].index_to_key == ["ü1", "ü2"]


def test_global_generator_is_left_alone(fitted, tmp_path):
    import torch

    before = torch.random.get_rng_state()
    round_trip(fitted, tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_device_may_be_chosen(fitted, unseen, tmp_path):
    path = tmp_path / "ranker.safetensors"
    fitted.save(path)
    loaded = skmtl.load(path, device="cpu")
    assert_same_predictions(loaded, fitted, unseen)
    with pytest.raises(ValueError, match="device='nowhere'"):
        skmtl.load(path, device="nowhere")


@pytest.mark.parametrize("name", SPLITTERS)
def test_every_splitter_divides_as_before(name, tmp_path):
    kind = getattr(model_selection, name)
    given = {"n_splits": 3} if name == "TimeSeriesSplit" else {"random_state": 1}
    if name in ("KFold", "GroupKFold", "StratifiedKFold", "StratifiedGroupKFold"):
        given["shuffle"] = True
    splitter = kind(**given)
    ranker = small_ranker("MMoE", validation_split=splitter)
    loaded = round_trip(ranker, tmp_path).validation_split
    assert type(loaded) is kind
    y = np.arange(60) % 2
    groups = np.arange(60) // 5 if "Group" in name else None
    splits = [list(one.split(y, y, groups)) for one in (loaded, splitter)]
    for pair, expected in zip(*splits, strict=True):
        np.testing.assert_array_equal(pair[0], expected[0])
        np.testing.assert_array_equal(pair[1], expected[1])
