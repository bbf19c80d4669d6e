"""A fit that continues refuses hyperparameters that it would ignore."""

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal

from skmtl import MMoE, MultiTaskRanker, PretrainedEmbedding, rankers
from skmtl.modules import SharedBottom
from skmtl.training.parameters import SharedParameters, parameter
from tests.rankers.makers import MAKERS, SMALL, small_mmoe

IDS = ["u1", "u2", "u3", "u4"]
VECTORS = pd.DataFrame(np.arange(64, dtype=np.float32).reshape(4, 16), index=IDS)

# Of all rankers: another value of each hyperparameter that a fit reads only once.
FIXED = {
    "tower_units": (9,),
    "embedding_dim": {"user": 4},
    "embeddings": {"user": VECTORS},
    "pooling": "sum",
    "crosses": "dcn",
    "bin_dim": 2,
    "dropout": 0.5,
    "optimizer": "sgd",
    "embedding_optimizer": "adam",
    "categorical_features": ["user"],
    "min_frequency": 3,
    "max_categories": 7,
    "share_embedding": {"user": "item"},
    "max_length": 3,
    "fallback": {"user": "item"},
    "n_buckets": {"user": 5},
    "n_hashes": 2,
    "n_bins": 4,
    "interpolate_bins": False,
    "bin_start": 1.0,
    "bin_learning_rate_factor": 1.0,
    "bin_flags": True,
    "precision": "bf16",
    "compile": True,
}
LOOSE = {
    "label_weight": 2.0,
    "loss_weight": [1.0, 2.0],
    "max_iter": 1,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "learning_rate_schedule": "cosine",
    "average_weights": False,
    "weight_decay": 0.1,
    "early_stopping": True,
    "validation_fraction": 0.2,
    "validation_split": [(np.arange(0, 250), np.arange(250, 300))],
    "scoring": "mean_auc",
    "n_iter_no_change": 1,
    "tol": 0.1,
    "unknown_rate": 0.0,
    "unknown_share": 0.0,
    "new_id_share": 0.0,
    "n_threads": 1,
    "n_microbatches": 2,
    "callbacks": [],
    "record_gradients": True,
    "random_state": 7,
    "scratch_dir": "/nowhere",
    "verbose": 1,
}
# Checked by themselves.
APART = {"bias_features", "task_kinds", "warm_start", "device"}
OWN = {
    "n_experts": 4,
    "expert_units": (4,),
    "bottom_units": (4,),
    "gate_dropout": 0.1,
    "n_task_experts": 3,
    "n_shared_experts": 3,
    "n_levels": 2,
    "calibrator_weight": 0.1,
    "own_weight": 0.5,
    "penalty": "trace_norm",
    "alpha": 1.0,
    "chain_probability": True,
    "task_order": ["cart", "click"],
}


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    users = rng.choice(IDS, 300)
    X = pd.DataFrame({"user": users, "item": users, "x": rng.normal(size=300)})
    y = pd.DataFrame({"click": X.x > 0, "cart": X.x > 1}).astype(int)
    ranker = small_mmoe(warm_start=True, batch_size=32).fit(X, y)
    return pickle.dumps(ranker), X, y


def test_every_hyperparameter_is_tried():
    assert FIXED.keys() | LOOSE.keys() | APART == SharedParameters._parameters.keys()
    own = {name for kind in MAKERS for name in getattr(rankers, kind)._parameters}
    assert own - SharedParameters._parameters.keys() == OWN.keys()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", FIXED)
def test_what_would_be_ignored_is_refused(fitted, name, method):
    saved, X, y = fitted
    ranker = pickle.loads(saved).set_params(**{name: FIXED[name]})
    before = ranker.predict_task_proba(X), ranker.n_iter_
    what = "warm_start" if method == "fit" else method
    with pytest.raises(ValueError, match=rf"^{what} continues .*: {name} \(was .*, is"):
        getattr(ranker, method)(X, y)
    assert_array_equal(ranker.predict_task_proba(X), before[0])
    assert ranker.n_iter_ == before[1]
    ranker.set_params(warm_start=False)
    if method == "fit" and name in {"tower_units", "n_bins", "dropout"}:
        ranker.fit(X, y)
        assert ranker.set_params(warm_start=True).fit(X, y).n_iter_ == 6


@pytest.mark.parametrize("name", LOOSE)
def test_what_a_continued_fit_reads_may_change(fitted, name, capsys):
    saved, X, y = fitted
    ranker = pickle.loads(saved).set_params(**{name: LOOSE[name]})
    assert ranker.fit(X, y).n_iter_ > 3


@pytest.mark.parametrize("kind", MAKERS)
def test_the_own_hyperparameters_of_every_ranker_are_refused(fitted, kind):
    _, X, y = fitted
    own = [n for n in inspect.signature(getattr(rankers, kind)).parameters if n in OWN]
    ranker = MAKERS[kind](warm_start=True, max_iter=1).fit(X[:64], y[:64])
    for name in own:
        before = getattr(ranker, name)
        ranker.set_params(**{name: OWN[name]})
        with pytest.raises(ValueError, match=rf"since: {name} \(was "):
            ranker.fit(X[:64], y[:64])
        ranker.set_params(**{name: before})


def test_all_changes_are_named_with_both_values(fitted):
    saved, X, y = fitted
    ranker = pickle.loads(saved).set_params(n_experts=4, dropout=0.5)
    ranker.set_params(optimizer__betas=(0.5, 0.9))
    with pytest.raises(ValueError, match="Set them back, or") as error:
        ranker.fit(X, y)
    assert (
        "dropout (was 0, is 0.5), n_experts (was 3, is 4), "
        "optimizer__betas (was not given, is [0.5, 0.9])"
    ) in str(error.value)


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [
        ("categorical_features", ["user", "item"], pd.Index(["user", "item"])),
        ("tower_units", [8], range(8, 9)),
        ("tower_units", [8], pd.Series([8])),
        ("n_buckets", {"user": 5}, {np.str_("user"): np.int64(5)}),
    ],
)
def test_equal_values_of_other_types_are_not_changes(fitted, name, first, then):
    _, X, y = fitted
    ranker = small_mmoe(warm_start=True, **{name: first}).fit(X, y)
    assert ranker.set_params(**{name: then}).fit(X, y).n_iter_ == 6


def test_equal_values_are_not_changes(fitted):
    saved, X, y = fitted
    ranker = pickle.loads(saved)
    ranker.set_params(
        tower_units=np.array([8]),
        n_experts=np.int64(3),
        dropout=0,
        categorical_features=("user", "item"),
        crosses__rank=3,  # has no effect without crosses
        crosses=None,
    )
    assert ranker.fit(X, y).n_iter_ == 6


@pytest.mark.parametrize("vectors", [VECTORS, PretrainedEmbedding(VECTORS)])
def test_saved_rankers_know_the_values_of_their_fit(fitted, vectors, tmp_path):
    _, X, y = fitted
    made = small_mmoe(
        embeddings={"user": vectors}, crosses="fm", crosses__dim=3, warm_start=True
    )
    made.fit(X, y).save(tmp_path / "r.skmtl")
    for again in MMoE.load(tmp_path / "r.skmtl"), pickle.loads(pickle.dumps(made)):
        again.set_params(max_iter=1)
        assert again.fit(X, y).partial_fit(X, y).n_iter_ == 5
        again.set_params(crosses__dim=4)
        with pytest.raises(ValueError, match=r"crosses__dim \(was 3, is 4\)"):
            again.fit(X, y)


def test_another_table_of_vectors_is_a_change(fitted):
    _, X, y = fitted
    ranker = small_mmoe(embeddings={"user": VECTORS}, warm_start=True).fit(X, y)
    assert ranker.set_params(embeddings={"user": VECTORS.copy()}).fit(X, y).n_iter_ == 6
    ranker.set_params(embeddings={"user": VECTORS[::-1]})  # in another order
    assert ranker.fit(X, y).n_iter_ == 9
    for other in VECTORS * 2, VECTORS[::-1].set_axis(IDS), VECTORS.iloc[:3]:
        with pytest.raises(ValueError, match=r"embeddings \(was"):
            ranker.set_params(embeddings={"user": other}).fit(X, y)
    frozen = PretrainedEmbedding(VECTORS, mode="frozen")
    with pytest.raises(ValueError, match=r"embeddings \(was"):
        ranker.set_params(embeddings={"user": frozen}).fit(X, y)


def test_texts_of_objects_count_within_a_version_only(fitted):
    _, X, y = fitted
    bottom = torch.nn.LazyLinear(8)
    ranker = MultiTaskRanker(sharing=bottom, warm_start=True, **SMALL)
    assert ranker.fit(X, y).fit(X, y).n_iter_ == 6
    text, _ = ranker._fixed["sharing"]
    ranker._fixed["sharing"] = (text + " of torch 1", "of another version")
    assert ranker.fit(X, y).n_iter_ == 9
    ranker._fixed["sharing"] = ("None", "")
    with pytest.raises(ValueError, match=r"sharing \(was None, is .*LazyLinear"):
        ranker.fit(X, y)
    del ranker._fixed  # as of a version that did not keep it
    assert ranker.fit(X, y).n_iter_ == 12


def test_parts_are_compared(fitted):
    _, X, y = fitted
    ranker = MultiTaskRanker(sharing=torch.nn.LazyLinear(8), warm_start=True, **SMALL)
    ranker.fit(X, y).set_params(sharing=SharedBottom)
    with pytest.raises(ValueError, match=r"sharing \(was .*LazyLinear.*SharedBottom"):
        ranker.fit(X, y)


def test_fields_of_users_count_unless_they_say_otherwise(fitted):
    class Mine(MMoE):
        """Mine."""

        width: int = parameter(default=3, allowed=[int])
        note: str = parameter(default="", allowed=[str], may_change=True)
        max_iter: int = 1

    _, X, y = fitted
    ranker = Mine(warm_start=True).fit(X, y)
    assert ranker.set_params(note="x", max_iter=2).fit(X, y).n_iter_ == 3
    with pytest.raises(ValueError, match=r"since: width \(was 3, is 4\)"):
        ranker.set_params(width=4).fit(X, y)


def test_a_network_does_not_move_to_another_device(fitted):
    saved, X, y = fitted
    ranker = pickle.loads(saved).set_params(device="meta")
    with pytest.raises(ValueError, match=r"device \(was cpu, is meta\)"):
        ranker.fit(X, y)
