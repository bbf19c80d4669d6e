"""Columns that are known in training only: their tower, and predictions without it."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmtl import ShareBottom, load
from skmtl.datasets import make_funnel
from tests.rankers.makers import MAKERS, small_mmoe

IDS = ["user_id", "item_id", "category_id", "device"]
BIASED = {"categorical_features": "from_dtype", "max_iter": 1}


@pytest.fixture(scope="module")
def log():
    return make_funnel(
        600,
        n_users=30,
        n_items=20,
        tasks=["click", "cart"],
        click_rate=0.25,
        cart_rate=0.1,
        order_rate=0.01,
        position_bias=1.0,
        history_length=3,
        random_state=0,
    )


def biased(**params):
    given = {"bias_features": ["position", "device"], **BIASED, **params}
    return small_mmoe(**given)


@pytest.fixture(scope="module")
def fitted(log):
    return biased().fit(log.data, log.target)


def without(log):
    return log.data.drop(columns=["position", "device"])


@pytest.mark.parametrize("name", MAKERS)
def test_predictions_of_every_ranker_do_without(name, log):
    ranker = MAKERS[name](bias_features="position", **BIASED).fit(log.data, log.target)
    proba = ranker.predict_task_proba(log.data)
    moved = log.data.assign(position=7)
    assert np.array_equal(proba, ranker.predict_task_proba(moved))
    lacks = log.data.drop(columns="position")
    assert np.array_equal(proba, ranker.predict_task_proba(lacks))
    few = ranker.predict_task_proba(lacks.iloc[:2])
    np.testing.assert_allclose(few, proba[:2], rtol=1e-5)
    # The intercept makes up for what the tower has learnt of the level.
    np.testing.assert_allclose(proba.mean(axis=0), log.target.mean(), rtol=1e-4)
    tower = ranker.net_.module_.get_submodule("bias")
    assert tower.output.weight.ne(0).any(dim=0).all()  # every task has trained it


def test_order_of_relevance_and_examination_are_recovered():
    """Where items that are shown first are not the best, clicks alone mislead."""
    log = make_funnel(
        5000,
        n_users=1,
        n_items=20,
        tasks=["click"],
        click_rate=0.1,
        position_bias=1.0,
        zipf_exponent=0.0,
        random_state=0,
    )
    rng = np.random.default_rng(0)
    item = log.data["item_id"].to_numpy()
    # Instead of the log's own places: by a preference that has nothing to do with
    # relevance.
    key = 3 * rng.normal(size=20)[item] + rng.gumbel(size=5000)
    key = pd.Series(-key).groupby(log.session)
    position = key.rank(method="first").astype(int).to_numpy()
    seen = rng.random(5000) < log.relevance["click"] / position
    X = pd.DataFrame({"item": item, "position": position})
    y = pd.DataFrame({"click": seen.astype(int)})
    truth = log.relevance["click"].groupby(item).mean()

    def fitted(X, **params):
        return ShareBottom(
            categorical_features=["item"], bottom_units=(8,), tower_units=(8,),
            batch_size=64, max_iter=2, early_stopping=False, random_state=0, **params,
        ).fit(X, y)  # fmt: skip

    each = pd.DataFrame({"item": np.arange(20)})
    tower = fitted(X, bias_features=["position"])
    ignored = fitted(X[["item"]])
    found = [spearmanr(r.predict_proba(each)[:, 1], truth)[0] for r in (tower, ignored)]
    assert found[0] > found[1] + 0.1, found
    # For rare clicks the log-odds of e p are those of p plus log e.
    shown = pd.DataFrame({"item": 0, "position": np.arange(1, 11)})
    inputs = tensors(tower, shown)
    with torch.inference_mode():
        added = tower.net_.module_.biased(torch.zeros(10, 1), inputs)[:, 0].numpy()
    assert np.corrcoef(added, -np.log(np.arange(1, 11)))[0, 1] > 0.95
    assert added[0] - added[9] > 0.8  # 2.3 with more rows


def tensors(ranker, X):
    """What the network takes of a table without lists."""
    encoded = ranker.encoder_.encode(X).as_dict()
    return {name: torch.from_numpy(x) for name, x in encoded.items()}


def test_names_stay_those_of_fit(log, fitted):
    assert list(fitted.feature_names_in_) == list(log.data)
    assert fitted.n_features_in_ == log.data.shape[1]
    assert "BiasTower" in fitted.summary()
    with pytest.raises(ValueError, match=r"lacks columns .*\['price'\]"):
        fitted.predict_proba(without(log).drop(columns="price"))
    assert clone(fitted).bias_features == ["position", "device"]


def test_arrays_and_pipelines(log):
    X = log.data[["price", "discount", "position"]]
    array = X.to_numpy()
    ranker = ShareBottom(bias_features=[-1], max_iter=1, random_state=0)
    ranker.fit(array, log.target)
    expected = ranker.predict_task_proba(array)
    array[:, 2] = np.nan
    assert np.array_equal(ranker.predict_task_proba(array), expected)
    with pytest.raises(ValueError, match="X has 2 features, but"):
        ranker.predict_proba(array[:, :2])
    last = ShareBottom(bias_features=["position"], max_iter=1, random_state=0)
    steps = make_pipeline(FunctionTransformer(lambda X: X * 1.0), last)
    steps.fit(X, log.target)
    proba = steps.predict_proba(X.drop(columns="position"))
    np.testing.assert_array_equal(proba[0][:, 1], expected[:, 0])


def test_training_and_validation_need_the_columns(log, fitted):
    X, y, lacks = log.data, log.target, without(log)
    with pytest.raises(ValueError, match="bias_features names 'position', which X lac"):
        biased().fit(lacks, y)
    with pytest.raises(ValueError, match="names 'device', which X_val lacks"):
        biased().fit(X, y, X_val=lacks, y_val=y)
    before = fitted.predict_task_proba(lacks)
    with pytest.raises(ValueError, match="names 'device', which X lacks"):
        fitted.partial_fit(lacks, y)
    assert np.array_equal(fitted.predict_task_proba(lacks), before)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bias_features": ["history"]}, "'history', which holds lists"),
        ({"bias_features": [99]}, "bias_features holds index 99, but X has 9 columns"),
        ({"bias_features": [False]}, "bias_features is a mask of 1 values"),
        (
            {"bias_features": ["item_id"], "pooling": ("attention", "item_id")},
            "'item_id', which pooling reads too",
        ),
        ({"fallback": {"item_id": "device"}}, "'device', which fallback reads too"),
    ],
    ids=["lists", "no column", "short mask", "attention", "fallback"],
)
def test_refused_columns(params, message, log):
    with pytest.raises(ValueError, match=message):
        biased(**params).fit(log.data, log.target)
    with pytest.raises(ValueError, match=r"names all columns of X.* 1 feature\(s\)"):
        biased(bias_features=list(log.data[["price"]])).fit(
            log.data[["price"]], log.target
        )


def test_early_stopping_and_validation_judge_with_the_tower(log):
    X, y = log.data.drop(columns="history"), log.target
    ranker = biased(max_iter=2).fit(X, y, X_val=X, y_val=y)
    module, inputs = ranker.net_.module_, tensors(ranker, X)
    with torch.inference_mode():
        logits = module.biased(module(**inputs), inputs).double().numpy()
    labels = y.to_numpy()
    losses = np.log1p(np.exp(logits)) - labels * logits
    best = ranker.history_[ranker.history_["epoch"] == ranker.best_iter_]
    np.testing.assert_allclose(best["valid_loss"], losses.mean(axis=0), rtol=1e-5)


def test_partial_fit_and_warm_start_let_ids_of_both_parts_grow(log, fitted):
    X, y = log.data, log.target
    ranker = biased(min_frequency=1).partial_fit(X[:300], y[:300])
    more = X[300:].copy()
    more["device"] = "watch"
    ranker.partial_fit(more, y[300:])
    tables = ranker.net_.module_.get_submodule("bias").embedding.inner.ids.tables
    assert len(tables[0]) == 5  # unknown, three devices, and the new one
    assert np.isfinite(ranker.predict_task_proba(without(log))).all()
    warm = biased(warm_start=True).fit(X, y)
    before = warm.predict_task_proba(without(log))
    assert not np.array_equal(warm.fit(X, y).predict_task_proba(without(log)), before)


def test_sources(log, tmp_path):
    pytest.importorskip("pyarrow")
    X = log.data.drop(columns="history").astype(dict.fromkeys(IDS, str))
    pd.concat([X, log.target], axis=1).to_parquet(tmp_path / "log.parquet")
    ranker = biased(early_stopping=False)
    ranker.fit(tmp_path / "log.parquet", ["click", "cart"])
    lacks = X.drop(columns=["position", "device"])
    expected = ranker.predict_task_proba(lacks)
    lacks.to_parquet(tmp_path / "later.parquet")
    assert np.array_equal(
        ranker.predict_task_proba(tmp_path / "later.parquet"), expected
    )
    written = ranker.predict_task_proba(
        tmp_path / "later.parquet", to=tmp_path / "p.parquet"
    )
    np.testing.assert_array_equal(written.read().to_numpy(), expected)
    lacks.assign(click=0, cart=1).to_parquet(tmp_path / "more.parquet")
    with pytest.raises(ValueError, match="names 'position', which X lacks"):
        ranker.fit(tmp_path / "more.parquet", ["click", "cart"])


@pytest.mark.parametrize("chosen", [[0], [True, False, False], [-3]])
def test_indices_and_masks_stand_for_the_columns_of_the_first_table(chosen):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((60, 3)), columns=["position", "a", "b"])
    y = (rng.random(60) < 0.5).astype(int)
    params = {"max_iter": 1, "random_state": 0, "bottom_units": (2,)}
    ranker = ShareBottom(bias_features=chosen, **params)
    lacks, needs = X[["b", "a"]], "names 'position', which {} lacks"
    with pytest.raises(ValueError, match=needs.format("X_val")):
        ranker.fit(X, y, X_val=lacks, y_val=y)
    ranker.set_params(warm_start=True).fit(X, y)
    expected = ranker.predict_proba(X)
    assert np.array_equal(ranker.predict_proba(lacks), expected)
    for again in (ranker.fit, ranker.partial_fit):
        with pytest.raises(ValueError, match=needs.format("X")):
            again(lacks, y)
        for other in (None, ["a"], ["position", "a"], ["no column"]):
            ranker.set_params(bias_features=other)
            with pytest.raises(ValueError, match=r"bias_features=.*\['position'\]"):
                again(X, y)
        ranker.set_params(bias_features=chosen)
    assert np.array_equal(ranker.predict_proba(X), expected)
    ranker.set_params(bias_features="position").partial_fit(
        X[["b", "position", "a"]], y
    )


def test_integer_column_names_come_before_places():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((60, 3)), columns=[7, 1, 0])
    y = (rng.random(60) < 0.5).astype(int)
    ranker = ShareBottom(bias_features=[0], max_iter=1, random_state=0).fit(X, y)
    assert ranker.encoder_.optional_names_ == [0]
    ranker.predict(X[[7, 1]])
    with pytest.raises(ValueError, match="names 0, which X lacks"):
        ranker.partial_fit(X[[7, 1]], y)


def test_columns_of_vectors_are_refused_by_name():
    X = pd.DataFrame({"v": [[0.5, 1.5]] * 8, "a": range(8), "b": range(8)})
    ranker = ShareBottom(bias_features=["v"], max_iter=1)
    with pytest.raises(ValueError, match=r"bias_features .* 'v', which holds vectors"):
        ranker.fit(X, [0, 1] * 4)
    ranker.set_params(bias_features=[2], random_state=0).fit(X, [0, 1] * 4)
    assert ranker.encoder_.optional_names_ == ["b"]


STRANGE = {
    "strings": "top of page",
    "infinity": np.inf,
    "a time": pd.Timestamp("2026-01-01"),
    "categories": pd.Categorical(["a"] * 20),
    "lists": [["a"]] * 20,
    "objects": object(),
}


@pytest.mark.parametrize("cell", STRANGE.values(), ids=STRANGE)
def test_predictions_do_not_read_the_columns(cell, log, fitted):
    rows = log.data[:20]
    strange = rows.assign(position=cell, device=cell)
    expected = fitted.predict_task_proba(rows)
    assert np.array_equal(fitted.predict_task_proba(strange), expected)
    few = fitted.predict_task_proba(strange.iloc[:2, ::-1])  # a path of its own
    np.testing.assert_allclose(few, expected[:2], rtol=1e-5)
    more = strange.assign(more=0)
    assert np.array_equal(fitted.predict_task_proba(more), expected)
    weights = fitted.gate_weights(strange)
    assert np.array_equal(weights, fitted.gate_weights(rows))


def test_predictions_do_not_read_the_columns_of_other_containers(log, tmp_path):
    pytest.importorskip("pyarrow")
    X = log.data[["price", "discount", "position"]]
    ranker = ShareBottom(bias_features=["position"], max_iter=1, random_state=0)
    expected = ranker.fit(X, log.target).predict_task_proba(X)
    strange = X.assign(position="top")
    strange.to_parquet(tmp_path / "strange.parquet")
    for table in (tmp_path / "strange.parquet", strange.to_dict("list")):
        assert np.array_equal(ranker.predict_task_proba(table), expected)
    to = tmp_path / "p.parquet"
    ranker.predict_task_proba(tmp_path / "strange.parquet", to=to, keep=["position"])
    written = pd.read_parquet(to)
    assert (written.pop("position") == "top").all()
    assert np.array_equal(written, expected)
    ranker.set_params(bias_features=[2]).fit(X.to_numpy(), log.target)
    array = strange.to_numpy(dtype=object)
    np.testing.assert_allclose(ranker.predict_task_proba(array), expected, rtol=1e-6)


def test_files(log, fitted, tmp_path):
    fitted.save(tmp_path / "ranker")
    again = load(tmp_path / "ranker")
    expected = fitted.predict_task_proba(without(log))
    assert np.array_equal(again.predict_task_proba(without(log)), expected)
    X, y = log.data, log.target
    one, other = (r.partial_fit(X, y).predict_task_proba(X) for r in (again, fitted))
    assert np.array_equal(one, other)


def test_exported_file_has_no_input_for_them(log, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from skmtl.export import onnx_inputs, to_onnx

    ranker = biased(n_buckets={"device": 7})
    ranker.fit(log.data.astype({"device": str}), log.target)
    to_onnx(ranker, tmp_path / "ranker.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "ranker.onnx")
    names = {one.name for one in session.get_inputs()}
    assert names == set(without(log))
    proba = session.run(None, onnx_inputs(session, without(log)))[0]
    expected = ranker.predict_task_proba(without(log))
    np.testing.assert_allclose(proba, expected, rtol=1e-5)


def test_ordered_classes_stay_ordered(log):
    stars = np.digitize(log.relevance["click"], [0.15, 0.25, 0.4])
    ranker = biased(task_kinds={"stars": "ordinal"})
    y = pd.DataFrame({"stars": stars, "click": log.target["click"]})
    levels = ranker.fit(log.data, y)._levels(without(log))
    assert (np.diff(levels[:, :3], axis=1) < 0).all()


@pytest.mark.parametrize("loss_weight", ["mgda", "gradnorm", "uncertainty"])
def test_strategies_train_the_tower(loss_weight, log):
    ranker = biased(loss_weight=loss_weight).fit(log.data, log.target)
    tower = ranker.net_.module_.get_submodule("bias")
    assert tower.output.weight.ne(0).any(dim=0).all()
