"""Rankers whose tasks are not all binary."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import MulticlassTask, OrdinalTask, RegressionTask, ShareBottom
from skmtl.metrics import get_task_scorer
from skmtl.modules import PooledTower
from skmtl.training.computing import logits
from skmtl.weighting import get_strategy_names
from tests.rankers.makers import MAKERS

KINDS = {
    "stars": "ordinal",
    "dwell": RegressionTask("gamma"),
    "items": RegressionTask("poisson"),
    "reason": "multiclass",
}
# Those that have an order of probabilities, which binary tasks alone may have.
ORDERED = {
    "ESMM": {"task_order": {"cart": ["click"]}},
    "AITM": {"task_order": {"cart": ["click"]}},
}
MIXED = {name: maker for name, maker in MAKERS.items() if name != "PooledTask"}


def make_table(n=600, seed=0):
    """Two binary tasks, stars, seconds, a count and a reason; a tenth is missing."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "user": rng.integers(20, size=n).astype(str),
            "item": rng.integers(30, size=n).astype(str),
            "price": rng.normal(size=n),
        }
    )
    effect = X["price"] + X["item"].astype(int) / 15 - 1
    noise = rng.logistic(size=(n, 3)) / 2
    y = pd.DataFrame(
        {
            "click": (effect + noise[:, 0] > 0).astype(float),
            "stars": np.digitize(effect + noise[:, 1], [-1, 0, 1]) + 1.0,
            "dwell": np.exp(effect / 2 + noise[:, 2] / 2),
            "cart": (effect + noise[:, 0] > 1).astype(float),
            "items": rng.poisson(np.exp(effect / 2)).astype(float),
            "reason": np.array(["size", "late", "colour"])[
                np.digitize(effect + noise[:, 1], [-1, 1])
            ],
        }
    )
    return X, y.mask(rng.random(y.shape) < 0.1)


@pytest.fixture(scope="module")
def table():
    return make_table()


def make(name, **params):
    own = {"task_kinds": KINDS, "max_iter": 2, "batch_size": 64}
    params = own | ORDERED.get(name, {}) | params
    return MIXED[name](**params)


def means_of(y, weight=None):
    """Weighted means of what is predicted, column by column."""
    numbers = y.drop(columns="reason").astype(float)
    reasons = pd.get_dummies(y["reason"], prefix="reason").astype(float)
    table = numbers.join(reasons.where(y["reason"].notna()))
    w = np.ones(len(y)) if weight is None else weight
    known = table.notna().mul(w, axis=0)
    return (table * known).sum() / known.sum()


@pytest.mark.parametrize("name", MIXED)
def test_every_ranker_learns_all_kinds_and_meets_their_means(name, table):
    X, y = table
    ranker = make(name).fit(X, y)
    values = ranker.set_output(transform="pandas").predict_task(X)
    expected = means_of(y)
    assert list(values) == list(expected.index)
    for task in y:  # over the rows that have a label of the task
        if (name, task) == ("ESMM", "cart"):
            continue  # some of its labels follow from clicks
        own = [c for c in values if c == task or c.startswith(f"{task}_")]
        found = values.loc[y[task].notna(), own].mean()
        assert_allclose(found, expected[own], rtol=1e-6)
    assert ranker.score(X, y) > 0.37  # .25 before the first step
    assert ranker.history_["train_loss"].notna().all()
    labels = ranker.predict(X)
    reasons = values[["reason_colour", "reason_late", "reason_size"]]
    chosen = reasons.idxmax(axis=1).str.removeprefix("reason_")
    assert_array_equal(labels[:, 5], chosen)
    kinds = ranker._kinds
    stars = kinds[1].probabilities(ranker._levels(X)[:, kinds.outputs[1]])[0]
    assert_array_equal(labels[:, 1], 1.0 + stars.argmax(axis=1))
    assert_allclose(labels[:, 2].astype(float), values["dwell"])


@pytest.mark.parametrize("strategy", get_strategy_names())
def test_every_strategy_weighs_losses_of_all_kinds(strategy, table):
    X, y = table
    ranker = make("ShareBottom", loss_weight=strategy).fit(X, y)
    values = ranker.set_output(transform="pandas").predict_task(X)
    effect = X["price"] + X["item"].astype(int) / 15
    found = values.drop(columns=[c for c in values if "reason" in c]).corrwith(effect)
    assert (found > 0.8).all()
    assert ranker.score(X, y) > 0.37  # .25 before the first step
    assert np.isfinite(ranker.loss_weight_).all()


def test_sample_weights_are_in_the_loss_and_in_the_level(table):
    X, y = table
    weight = np.random.default_rng(1).gamma(1.0, size=len(X))
    ranker = make("MMoE").fit(X, y, sample_weight=weight)
    values = ranker.set_output(transform="pandas").predict_task(X)
    for task in ("stars", "dwell", "items"):
        own = y[task].notna()
        mean = np.average(values.loc[own, task], weights=weight[own])
        truth = np.average(y.loc[own, task].astype(float), weights=weight[own])
        assert_allclose(mean, truth, rtol=1e-6)


def test_rows_of_weight_0_and_missing_labels_are_the_same(table):
    X, y = table
    few = (np.arange(len(X)) % 3 == 0)[:, None] & np.array([1, 1, 1, 0, 1, 0], bool)
    weight = np.where(few, 0.0, 1.0)
    a = make("ShareBottom").fit(X, y, sample_weight=weight).predict_task(X)
    b = make("ShareBottom").fit(X, y.mask(few)).predict_task(X)
    assert_allclose(a, b, rtol=1e-5)


def test_early_stopping_and_history(table):
    X, y = table
    ranker = make("MMoE", early_stopping=True, max_iter=4, verbose=0).fit(X, y)
    assert ranker.n_validation_rows_ > 0
    assert ranker.history_["valid_loss"].notna().all()
    last = ranker.net_.history[-1]
    lacks = np.isnan([last[f"valid_task_{s}"] for s in ("auc", "kappa", "d2")])
    assert_array_equal(lacks.sum(axis=0), [2, 2, 2, 2, 2, 2])
    given = make("MMoE").fit(X, y, X_val=X, y_val=y)
    assert given.n_validation_rows_ == len(X)
    with pytest.raises(ValueError, match=r"y_val: Task 'reason' holds the label 'x'"):
        make("MMoE").fit(X, y, X_val=X, y_val=y.assign(reason="x"))


def test_the_printed_line_names_the_score_of_each_task(table, capsys):
    make("ShareBottom", max_iter=1, verbose=1).fit(*table)
    line = capsys.readouterr().out
    assert "click loss" in line
    assert "KAPPA" in line
    assert "D2" in line


@pytest.mark.parametrize("name", ["ShareBottom", "ChainedMMoE", "AITM"])
def test_saving_keeps_predictions_of_all_kinds(name, table, tmp_path):
    import skmtl

    X, y = table
    ranker = make(name).fit(X, y)
    ranker.save(tmp_path / "ranker.skmtl")
    loaded = skmtl.load(tmp_path / "ranker.skmtl")
    assert loaded.task_kinds_ == ranker.task_kinds_
    for twin in (loaded, pickle.loads(pickle.dumps(ranker))):
        assert_array_equal(twin.predict_task(X), ranker.predict_task(X))
    more = loaded.partial_fit(X[:100], y[:100]).predict_task(X)
    assert_array_equal(more, ranker.partial_fit(X[:100], y[:100]).predict_task(X))


def test_partial_fit_moves_levels_towards_the_new_table(table):
    X, y = table
    ranker = make("ShareBottom").partial_fit(X, y)
    before = ranker.set_output(transform="pandas").predict_task(X).mean()
    later = y.assign(dwell=y["dwell"] * 3, stars=y["stars"].where(y["stars"].isna(), 4))
    ranker.partial_fit(X, later)
    after = ranker.predict_task(X).mean()
    assert before["dwell"] * 1.3 < after["dwell"] < before["dwell"] * 3
    assert before["stars"] + 0.2 < after["stars"] < 4
    assert_allclose(after["items"], before["items"], rtol=0.05)
    assert ranker.prior_[ranker._kinds.outputs[2]] > before["dwell"]
    with pytest.raises(ValueError, match="label 'lost', which is not one"):
        ranker.partial_fit(X, y.assign(reason="lost"))


def test_warm_start_keeps_kinds(table):
    X, y = table
    ranker = make("ShareBottom", warm_start=True).fit(X, y)
    scale = ranker.task_kinds_[2].scale_
    ranker.fit(X, y.assign(dwell=y["dwell"] * 2))
    assert ranker.task_kinds_[2].scale_ == scale
    ranker.set_params(task_kinds=KINDS | {"dwell": "regression"})
    with pytest.raises(ValueError, match="continues with the kind of task Regression"):
        ranker.fit(X, y)


def test_a_task_without_differences_is_constant():
    X, y = make_table(200)
    y = y.assign(dwell=2.5, stars=3.0, reason="late")
    kinds = KINDS | {"stars": OrdinalTask(classes=[1, 2, 3])}
    with pytest.warns(UserWarning, match="only equal labels"):
        ranker = make("ShareBottom", task_kinds=kinds).fit(X, y)
    values = ranker.set_output(transform="pandas").predict_task(X)
    assert (values["dwell"] == 2.5).all()
    assert (values["stars"] == 3.0).all()
    assert (values["reason_late"] == 1.0).all()
    assert ranker.predict(X)[0, 5] == "late"


def test_predict_proba_of_classes_and_the_error_for_numbers(table):
    X, y = table
    kinds = {"stars": "ordinal", "reason": "multiclass"}
    ranker = make("ShareBottom", task_kinds=kinds)
    ranker.fit(X, y.drop(columns=["dwell", "items"]))
    proba = ranker.predict_proba(X)
    assert [p.shape[1] for p in proba] == [2, 4, 2, 3]
    for p in proba:
        assert_allclose(p.sum(axis=1), 1.0)
    assert [len(c) for c in ranker.classes_] == [2, 4, 2, 3]
    labels = ranker.predict(X)
    assert_array_equal(labels[:, 1], ranker.classes_[1][proba[1].argmax(axis=1)])
    with pytest.raises(ValueError, match="'stars' is of kind ordinal"):
        ranker.predict_task_proba(X)
    mixed = make("ShareBottom")
    with pytest.raises(AttributeError, match="task_kinds names a regression"):
        _ = mixed.predict_proba
    with pytest.raises(AttributeError, match="task 'dwell' is of kind regression"):
        mixed.fit(X, y).predict_proba(X)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("ESMM", {"task_order": None}, "ESMM orders the probabilities.*'stars'"),
        ("AITM", {"task_order": None}, "calibrator of AITM.*'stars'"),
        (
            "ChainedMMoE",
            {"chain_probability": True},
            r"chain_probability=True orders.*\['click', 'cart'\]",
        ),
        (
            "ShareBottom",
            {"label_weight": "1:2"},
            "'stars' is of kind ordinal",
        ),
        (
            "ShareBottom",
            {"label_weight": {"dwell": 2.0}},
            "'dwell' is of kind regression",
        ),
        ("ShareBottom", {"task_kinds": {"rating": "ordinal"}}, "not tasks"),
        ("ShareBottom", {"task_kinds": {}}, "task_kinds={'stars': 'regression'}"),
    ],
)
def test_refusals_name_the_task(name, params, message, table):
    X, y = table
    if params.get("task_kinds") == {}:
        y = y.drop(columns="reason")
    with pytest.raises(ValueError, match=message):
        make(name, **params).fit(X, y)


def test_pooled_task_and_towers_of_one_output_refuse_other_kinds(table):
    X, y = table
    with pytest.raises(ValueError, match=r"PooledTask has one score.*'stars'"):
        MAKERS["PooledTask"](task_kinds=KINDS).fit(X, y)
    own = MAKERS["MultiTaskRanker"](towers=PooledTower, task_kinds=KINDS)
    with pytest.raises(ValueError, match="'reason' has 3 outputs, but PooledTower"):
        own.fit(X, y)


def test_sources_take_binary_tasks_only(table, tmp_path):
    X, y = table
    X.join(y[["click", "stars"]]).to_parquet(tmp_path / "log.parquet")
    ranker = make("ShareBottom", task_kinds={"stars": "ordinal"})
    with pytest.raises(ValueError, match=r"block by block.*'stars' is of kind ordinal"):
        ranker.fit(tmp_path / "log.parquet", ["click", "stars"])


def test_label_weights_of_the_binary_tasks(table):
    X, y = table
    ranker = make("ShareBottom", label_weight={"click": 2.0, "cart": "1:1"}).fit(X, y)
    assert_array_equal(ranker.label_weight_[[1, 2, 4, 5]], 1.0)
    assert ranker.label_weight_[0] == 2.0
    balanced = (y["cart"] == 0).sum() / (y["cart"] == 1).sum()
    assert_allclose(ranker.label_weight_[3], balanced)


def test_probabilities_stay_ordered_beside_other_kinds(table):
    X, y = table
    # Clicks are more frequent, so that only the product keeps them below carts.
    order = {"click": ["cart"]}
    values = make("ESMM", task_order=order).fit(X, y).predict_task(X)
    assert (values[:, 0] <= values[:, 3]).all()
    assert (values[:, 0] > 0).all()
    free = make("ShareBottom").fit(X, y).predict_task(X)
    assert (free[:, 0] > free[:, 3]).all()


def test_the_calibrator_compares_the_outputs_of_binary_tasks(table):
    X, y = table
    excess = []
    for weight in (0, 10):  # clicks are more frequent, so that this order costs loss
        ranker = make(
            "AITM",
            calibrator_weight=weight,
            task_order={"click": ["cart"]},
            max_iter=10,
            random_state=0,
        ).fit(X, y)
        outputs = logits(ranker.net_, ranker.encoder_.encode(X))
        click, cart = (outputs[:, ranker._kinds.outputs[t].start] for t in (0, 3))
        excess.append(np.maximum(expit(click) - expit(cart), 0).mean())
    assert excess[0] > 0.2
    assert excess[1] < 0.01


def test_a_transfer_without_a_calibrator_takes_all_kinds(table):
    X, y = table
    ranker = make("AITM", calibrator_weight=0, task_order=None).fit(X, y)
    values = ranker.set_output(transform="pandas").predict_task(X)
    expected = means_of(y)
    for task in ("click", "stars", "dwell", "cart", "items"):
        found = values.loc[y[task].notna(), task].mean()
        assert found == pytest.approx(expected[task], rel=1e-6)


def test_a_longer_fit_meets_means_by_the_regression_estimator():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80_000, 3))
    y = pd.DataFrame(
        {
            "stars": np.digitize(X[:, 0] + rng.logistic(size=80_000), [-1, 1]) + 1,
            "dwell": np.exp(X[:, 1] + rng.normal(size=80_000)),
        }
    )
    kinds = {"stars": "ordinal", "dwell": RegressionTask(transform="log1p")}
    ranker = ShareBottom(
        task_kinds=kinds, max_iter=1, random_state=0, early_stopping=False,
        bottom_units=(16,), tower_units=(8,),
    )  # fmt: skip
    values = ranker.fit(X, y).predict_task(X)
    assert_allclose(values.mean(axis=0), y.mean(), rtol=0.01)


# scikit-learn's tools.


def numbers(n=300):
    X, y = make_table(n)
    return X[["price"]].to_numpy(), y[["click", "stars", "dwell"]].fillna(1.0)


SMALL = {"bottom_units": (8,), "tower_units": (4,), "max_iter": 2, "random_state": 0}


def small(**params):
    return ShareBottom(
        task_kinds={"stars": "ordinal", "dwell": RegressionTask("gamma")},
        **SMALL | params,
    )


def test_the_type_of_the_estimator_follows_the_kinds():
    assert is_classifier(ShareBottom())
    assert is_classifier(ShareBottom(task_kinds={"stars": "ordinal"}))
    assert is_regressor(small())
    assert not is_classifier(small())
    assert is_regressor(ShareBottom(task_kinds="regression"))


def test_tags_of_kinds_with_several_classes():
    for kinds in ("multiclass", "ordinal", MulticlassTask(), OrdinalTask()):
        assert get_tags(ShareBottom(task_kinds=kinds)).classifier_tags.multi_class
    for kinds in (None, "binary", {"stars": "ordinal"}):
        assert not get_tags(ShareBottom(task_kinds=kinds)).classifier_tags.multi_class


def test_tables_of_one_row_and_of_equal_labels():
    X, y = numbers()
    kinds = {"dwell": "regression"}
    ranker = ShareBottom(task_kinds=kinds, **SMALL).fit(X, y[["click", "dwell"]])
    tenths = y[["click", "dwell"]].assign(dwell=0.1)
    assert np.isnan(ranker.score(X[:1], tenths[:1]))
    assert get_task_scorer("rmse:dwell")(ranker, X[:1], tenths[:1]) < 0
    ranker.partial_fit(X[:1], tenths[:1])
    ranker.partial_fit(X[:9], tenths[:9])
    assert ranker.task_kinds_[1].low_ == np.float32(0.1)


def test_searches_and_curves_take_mixed_tables():
    X, y = numbers()
    search = GridSearchCV(small(), {"max_iter": [1, 2]}, cv=2, error_score="raise")
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    grid = {"task_kinds": [{"stars": "ordinal", "dwell": RegressionTask(loss)}
                           for loss in ("squared", "gamma")]}  # fmt: skip
    losses = GridSearchCV(small(), grid, cv=2, error_score="raise").fit(X, y)
    assert losses.best_params_["task_kinds"]["stars"] == "ordinal"
    found = cross_validate(small(), X, y, cv=2, scoring="r2", error_score="raise")
    curve = learning_curve(small(), X, y, cv=2, train_sizes=[0.5, 1.0])
    predicted = cross_val_predict(small(), X, y, cv=2)
    masked = y.mask(np.random.default_rng(0).random(y.shape) < 0.2)
    of_masked = cross_validate(small(), X, masked, cv=2)["test_score"]
    for fold, (train, test) in enumerate(KFold(2).split(X)):
        fitted = small().fit(X[train], y.iloc[train])
        labels = fitted.predict(X[test])
        assert_array_equal(predicted[test], labels)
        assert found["test_score"][fold] == pytest.approx(
            r2_score(y.iloc[test], labels)
        )
        assert curve[2][1, fold] == pytest.approx(fitted.score(X[test], y.iloc[test]))
        fitted.fit(X[train], masked.iloc[train])
        expected = fitted.score(X[test], masked.iloc[test])
        assert of_masked[fold] == pytest.approx(expected)


def test_classes_take_the_path_of_classifiers():
    X, y = numbers()
    stars = ShareBottom(task_kinds="ordinal", **SMALL)
    proba = cross_val_predict(stars, X, y["stars"], cv=2, method="predict_proba")
    assert proba.shape == (300, 4)
    # scikit-learn makes an array of the labels here, whose columns have no names.
    both = ShareBottom(task_kinds={"1": "ordinal"}, **SMALL)
    found = cross_val_predict(
        both, X, y[["click", "stars"]], cv=2, method="predict_proba"
    )
    assert [p.shape for p in found] == [(300, 2), (300, 4)]
    copy = clone(small())
    assert copy.task_kinds == small().task_kinds


def test_a_single_task_of_any_kind():
    X, y = numbers()
    dwell = ShareBottom(task_kinds=RegressionTask("gamma"), **SMALL).fit(X, y["dwell"])
    assert dwell.classes_ is None
    assert dwell.predict(X).shape == (300,)
    assert_allclose(dwell.predict(X).mean(), y["dwell"].mean())
    words = np.array(["a", "b", "c", "d"])[y["stars"].astype(int) - 1]
    reason = ShareBottom(task_kinds=MulticlassTask(), **SMALL).fit(X, words)
    assert reason.classes_.tolist() == ["a", "b", "c", "d"]
    assert set(reason.predict(X)) <= set("abcd")
    first = ShareBottom(task_kinds="multiclass", **SMALL)
    first.partial_fit(X[:9], words[:9], classes=list("abcde"))
    assert first.predict_proba(X).shape == (300, 5)
    grades = ShareBottom(task_kinds="ordinal", **SMALL)
    with pytest.raises(ValueError, match=r"'0' is ordinal.*whose order is not known"):
        grades.partial_fit(X[:9], words[:9], classes=list("abcd"))


@pytest.mark.parametrize("kind", ["ordinal", "multiclass"])
def test_labels_are_those_of_the_own_fit(kind):
    X, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 3
    for dtype in (np.int64, np.float64, np.int8):  # equal labels of other types
        ranker = ShareBottom(task_kinds=kind, **SMALL | {"max_iter": 1})
        assert ranker.fit(X, y.astype(dtype)).predict(X).dtype == dtype


def test_quantiles_cover_their_share():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(4000, 2))
    y = X[:, 0] + rng.exponential(size=4000)
    kind = RegressionTask("quantile", quantile=0.9)
    ranker = ShareBottom(task_kinds=kind, **SMALL | {"max_iter": 10}).fit(X, y)
    assert 0.87 < (y < ranker.predict(X)).mean() < 0.93


# Small layers: sums of float32 differ by less than the tolerance of the checks, whether
# rows are predicted one by one or together.
@parametrize_with_checks(
    [
        ShareBottom(
            task_kinds=kind,
            bottom_units=(8,),
            tower_units=(),
            learning_rate=0.05,
            max_iter=6,
            random_state=0,
        )
        for kind in ("regression", "multiclass")
    ],
)
def test_common_checks_of_scikit_learn(estimator, check):
    check(estimator)
