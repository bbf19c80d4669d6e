"""label_weight, loss_weight and history_ of rankers."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold

from skmtl import ChainedMMoE, MMoE, ShareBottom
from skmtl.training.criterion import (
    entropy_weights,
    inverse_ratio,
    label_weights,
)
from skmtl.weighting import (
    MGDA,
    GradNorm,
    StaticWeighting,
    Uncertainty,
    get_strategy_names,
)
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import ON_IMPRESSIONS

NAMES = np.array(["click", "order"], dtype=object)
RATES = np.array([0.4, 0.01])
SMALL = {**ON_IMPRESSIONS, "max_iter": 2, "tower_units": (8,), "batch_size": 64}


def small_mmoe(**params):
    return MMoE(**{**SMALL, "n_experts": 3, "expert_units": (16,), **params})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [1, 1]),
        (3, [3, 3]),
        ([2, 0.5], [2, 0.5]),
        ({"order": 7, "click": 1}, [1, 7]),
        ("balanced", [1.5, 99]),
        ("1:1", [1.5, 99]),
        ("1:2", [1, 49.5]),  # click is at 2:3 already, and is not lowered
        ("2:1", [3, 198]),
        ("0.5:1", [1, 49.5]),
        ({"click": 1, "order": "1:2"}, [1, 49.5]),
        (["balanced", 5], [1.5, 5]),
    ],
)
def test_label_weights(value, expected):
    assert_allclose(label_weights(value, NAMES, RATES), expected)


@pytest.mark.parametrize("rate", [0.0, 1.0, np.nan])
def test_label_weight_of_a_task_without_both_classes(rate):
    assert_array_equal(label_weights("1:2", NAMES, np.array([rate, 0.5])), [1, 1])


@pytest.mark.parametrize(
    "text", ["0:1", "1:0", "a:b", "1", "1:2:3", "-1:2", "inf:1", "nan:1", ":", "blnced"]
)
def test_bad_ratios(impressions, text):
    X, y = impressions
    with pytest.raises(ValueError, match=r"label_weight of task 'click' is .*'1:2'"):
        small_mmoe(label_weight=text).fit(X, y)


def test_label_weight_counts_observed_labels_by_their_weights(impressions):
    X, y = impressions
    rng = np.random.default_rng(0)
    masked = y.astype(float)
    masked.loc[rng.random(len(y)) < 0.5, "cart"] = np.nan
    weight = rng.random(len(y))
    ranker = small_mmoe(label_weight="balanced", loss_weight="inverse_ratio")
    ranker.fit(X, masked, sample_weight=weight)
    seen = masked["cart"].notna()
    rate = np.average(masked["cart"][seen], weights=weight[seen])
    assert ranker.label_weight_[1] == pytest.approx((1 - rate) / rate)
    click = np.average(y["click"], weights=weight)
    inverse = np.array([(1 - click) / click, (1 - rate) / rate])
    assert_allclose(ranker.loss_weight_, inverse / inverse.mean(), rtol=1e-6)


def test_names_of_label_weights_are_checked_where_no_task_is_binary(impressions):
    X, y = impressions
    ranker = small_mmoe(task_kinds="regression", label_weight={"clik": 5.0})
    with pytest.raises(ValueError, match=r"label_weight names \['clik'\]"):
        ranker.fit(X, y)


def test_ratio_leaves_probabilities_true(impressions):
    X, y = impressions
    ranker = small_mmoe(label_weight="2:1", loss_weight="inverse_ratio").fit(X, y)
    mean = ranker.predict_task_proba(X).mean(axis=0)
    assert mean == pytest.approx(y.mean().to_numpy(), rel=0.01)
    assert abs(ranker.intercept_).max() < 0.6


def test_inverse_ratio():
    weights = inverse_ratio(np.array([0.5, 0.1, 0.01]))
    assert_allclose(weights, np.array([1, 9, 99]) / (109 / 3))
    assert weights.mean() == pytest.approx(1)
    with_gap = inverse_ratio(np.array([0.5, np.nan, 0.0, 0.1]))
    assert_allclose(with_gap, [0.2, 1, 1, 1.8])


def test_entropy_weights():
    rates = np.array([0.4, 0.05, np.nan, 0.0, 0.002])
    weights = entropy_weights(rates, np.ones(5))
    entropy = np.array([log_loss([1, 0], [p, p], sample_weight=[p, 1 - p])
                        for p in rates[[0, 1, 4]]])  # fmt: skip
    own = weights[[0, 1, 4]]
    assert_allclose(own**4 * entropy, (own**4 * entropy)[0])
    assert (own @ entropy) == pytest.approx(entropy.sum())
    assert weights[2:4].tolist() == [1.0, 1.0]
    assert entropy_weights(np.array([0.3]), np.ones(1)) == pytest.approx(1.0)
    # A positive of weight 19 counts as 19 rows: as many as there are negatives.
    heavy = entropy_weights(np.array([0.5, 0.05]), np.array([1.0, 19.0]))
    assert heavy[0] / heavy[1] == pytest.approx(1.9**0.25)


def test_auto_weighs_binary_tasks_by_observed_labels_and_their_weights(impressions):
    X, y = impressions
    rng = np.random.default_rng(0)
    masked = y.astype(float)
    masked.loc[rng.random(len(y)) < 0.5, "cart"] = np.nan
    weight = rng.random(len(y))
    ranker = small_mmoe(label_weight={"click": 1, "cart": 3})
    ranker.fit(X, masked, sample_weight=weight)
    seen = masked["cart"].notna()
    click = np.average(y["click"], weights=weight)
    cart = np.average(masked["cart"][seen], weights=weight[seen])
    rates = np.array([click, cart])
    expected = entropy_weights(rates, np.array([1.0, 3.0]))
    assert_allclose(ranker.loss_weight_, expected, rtol=1e-6)
    equal = small_mmoe(loss_weight=None).fit(X, y)
    assert equal.loss_weight_.tolist() == [1.0, 1.0]


def test_auto_is_1_where_tasks_are_of_several_kinds(impressions):
    X, y = impressions
    mixed = small_mmoe(task_kinds={"cart": "regression"}).fit(X, y)
    assert mixed.loss_weight_.tolist() == [1.0, 1.0]


# Each strategy with one kind of network: a mixture, connected towers, or neither.
KINDS = [ShareBottom, MMoE, ChainedMMoE]
PAIRS = [(name, KINDS[at % 3]) for at, name in enumerate(get_strategy_names())]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_every_strategy_trains_and_travels(name, kind):
    if name in {"pcgrad", "cagrad", "imtl_g", "aligned_mtl", "nash_mtl"}:
        pytest.importorskip("torchjd")
    X, y = make_impressions(600, n_tasks=3)
    y = y.astype(float)
    y.loc[y.index % 3 == 0, "cart"] = np.nan
    ranker = kind(**SMALL, loss_weight=name).fit(X, y)
    proba = ranker.predict_task_proba(X)
    assert np.isfinite(proba).all()
    assert ranker.score(X, y) > 0.6
    assert np.isfinite(ranker.loss_weight_).all()
    again = pickle.loads(pickle.dumps(ranker))
    assert_array_equal(again.predict_task_proba(X), proba)
    assert_array_equal(clone(ranker).fit(X, y).predict_task_proba(X), proba)


def test_instances_are_never_changed(impressions):
    X, y = impressions
    strategy = GradNorm(alpha=0.5)
    before = pickle.dumps(strategy)
    ranker = small_mmoe(loss_weight=strategy).fit(X, y)
    assert ranker.loss_weight is strategy
    assert pickle.dumps(strategy) == before
    assert not list(strategy.parameters())
    by_name = small_mmoe(loss_weight=GradNorm(alpha=0.5)).fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), by_name.predict_task_proba(X))


def test_strategies_in_a_grid(impressions):
    X, y = impressions
    grid = [
        {"loss_weight": [None, "uncertainty", MGDA(preference=[1, 2])]},
        {"loss_weight": [GradNorm()], "loss_weight__alpha": [0.0, 3.0]},
    ]
    search = GridSearchCV(small_mmoe(), grid, scoring="roc_auc", cv=KFold(2))
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    scores = search.cv_results_["mean_test_score"]
    assert scores[3] != scores[4]
    assert "GradNorm(alpha=0.5" in repr(small_mmoe(loss_weight=GradNorm(alpha=0.5)))


@pytest.mark.parametrize("name", ["uncertainty", "gradnorm"])
def test_learned_weights_are_criterion_parameters(impressions, name):
    X, y = impressions
    ranker = small_mmoe(loss_weight=name, weight_decay=1.0).fit(X, y)
    weighting = ranker.net_.criterion_.weighting
    assert [len(p) for p in weighting.parameters()] == [2]
    own = next(weighting.parameters())
    groups = ranker.net_.optimizer_.param_groups
    [group] = [g for g in groups if any(p is own for p in g["params"])]
    assert group["weight_decay"] == 0
    assert len(group["params"]) == 1
    assert_allclose(ranker.loss_weight_, weighting.current().numpy())
    assert ranker.loss_weight_[0] != ranker.loss_weight_[1]


def test_gradnorm_weights_sum_to_the_number_of_tasks(impressions):
    X, y = impressions
    ranker = small_mmoe(loss_weight="gradnorm", max_iter=4).fit(X, y)
    assert ranker.loss_weight_.sum() == pytest.approx(2, rel=1e-5)
    sums = ranker.history_.groupby("epoch")["loss_weight"].sum()
    assert_allclose(sums, 2, rtol=1e-5)


def test_a_loss_times_1000_does_not_drown_the_others(impressions, monkeypatch):
    """Its share of the gradient at the representation is of the others' size."""
    from skmtl.training import criterion

    plain = criterion.TaskLosses.forward

    def scaled(self, *arguments):
        return plain(self, *arguments) * torch.tensor([1000.0, 1.0])

    monkeypatch.setattr(criterion.TaskLosses, "forward", scaled)
    X, y = impressions
    shares = {}
    for name in (None, "gradnorm", "uncertainty", "mgda"):
        ranker = small_mmoe(loss_weight=name, record_gradients=True, max_iter=8)
        history = ranker.fit(X, y).history_
        last = history[history["epoch"] == 8]
        sent = (last["gradient_norm"] * last["loss_weight"]).to_numpy()
        shares[name] = sent[0] / sent[1]
    assert shares.pop(None) > 300
    assert all(0.1 < share < 10 for share in shares.values()), shares


def test_history_is_tidy(impressions):
    X, y = impressions
    ranker = small_mmoe(early_stopping=True, max_iter=3).fit(X, y)
    history = ranker.history_
    assert list(history.columns) == [
        "epoch",
        "task",
        "train_loss",
        "valid_loss",
        "loss_weight",
    ]
    assert history["epoch"].tolist() == [1, 1, 2, 2, 3, 3]
    assert history["task"].tolist() == ["click", "cart"] * 3
    assert history["valid_loss"].notna().all()
    assert_allclose(
        history["train_loss"], np.ravel(ranker.net_.history[:, "train_task_loss"])
    )
    assert small_mmoe().fit(X, y).history_["valid_loss"].isna().all()


@pytest.mark.parametrize("kind", [ShareBottom, MMoE, ChainedMMoE])
@pytest.mark.parametrize("loss_weight", [None, [0.3, 3.0], "mgda", "gradnorm"])
def test_gradients_are_recorded_on_request(impressions, kind, loss_weight):
    X, y = impressions
    params = {**SMALL, "max_iter": 1, "batch_size": 2000, "loss_weight": loss_weight}
    plain = kind(**params).fit(X, y)
    ranker = kind(**params, record_gradients=True).fit(X, y)
    assert_allclose(
        ranker.predict_task_proba(X), plain.predict_task_proba(X), rtol=1e-4
    )
    history = ranker.history_.set_index("task")
    assert (history["gradient_norm"] > 0).all()
    assert history.loc["click", "cosine_click"] == pytest.approx(1)
    assert history.loc["click", "cosine_cart"] == pytest.approx(
        history.loc["cart", "cosine_click"], abs=1e-6
    )
    # The first step of one and the same network: gradients without their weights.
    unweighted = kind(**{**params, "loss_weight": None}, record_gradients=True)
    expected = unweighted.fit(X, y).history_.set_index("task")
    columns = ["gradient_norm", "cosine_click", "cosine_cart"]
    assert_allclose(history[columns], expected[columns], rtol=1e-3, atol=1e-6)


def test_recording_draws_the_same_dropout(impressions):
    X, y = impressions
    plain, recorded = (
        ShareBottom(**SMALL, dropout=0.3, record_gradients=record).fit(X, y)
        for record in (False, True)
    )
    assert_allclose(
        recorded.predict_task_proba(X), plain.predict_task_proba(X), rtol=1e-4
    )


@pytest.mark.parametrize("name", ["uncertainty", "gradnorm", "mgda", "random"])
def test_validation_loss_does_not_move_with_the_weights(impressions, name):
    X, y = impressions
    ranker = small_mmoe(loss_weight=name, early_stopping=True, max_iter=3).fit(X, y)
    for epoch in ranker.net_.history:
        assert epoch["valid_loss"] == pytest.approx(sum(epoch["valid_task_loss"]))


def test_validation_loss_has_the_preference():
    X, y = make_impressions(800)
    ranker = small_mmoe(loss_weight=MGDA(preference=[1, 3]), early_stopping=True)
    for epoch in ranker.fit(X, y).net_.history:
        click, cart = epoch["valid_task_loss"]
        assert epoch["valid_loss"] == pytest.approx(0.5 * click + 1.5 * cart)


def test_warm_start_goes_on_with_the_strategy(impressions):
    X, y = impressions
    ranker = small_mmoe(loss_weight="gradnorm", warm_start=True).fit(X, y)
    initial = ranker.net_.criterion_.weighting.initial.clone()
    first = ranker.loss_weight_.copy()
    ranker.fit(X, y)
    assert len(ranker.history_) == 8
    assert torch.equal(ranker.net_.criterion_.weighting.initial, initial)
    assert not np.array_equal(ranker.loss_weight_, first)
    ranker.set_params(loss_weight="uncertainty")
    with pytest.raises(ValueError, match="continues with loss_weight=GradNorm"):
        ranker.fit(X, y)


def test_warm_start_takes_new_fixed_weights(impressions):
    X, y = impressions
    ranker = small_mmoe(warm_start=True).fit(X, y)
    ranker.set_params(loss_weight=[1.0, 3.0], label_weight=[1.0, 2.0]).fit(X, y)
    assert list(ranker.loss_weight_) == [1, 3]
    criterion = ranker.net_.criterion_
    assert criterion.weighting.current().tolist() == [1, 3]
    assert criterion.task_losses.by_label[0].weight.tolist() == [1, 2]


@pytest.fixture(scope="module")
def fitted(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    return ranker, ranker.predict_task_proba(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss_weight": "gradnom"}, r"is not a known strategy. .*'gradnorm'"),
        ({"loss_weight": torch.nn.Linear(1, 1)}, "is not a loss weighting"),
        ({"loss_weight": [0, 0]}, "loss_weight is 0 for every task"),
        ({"loss_weight": {"click": 1}}, r"no value for the tasks \['cart'\]"),
        ({"loss_weight": MGDA(preference=[1, 2, 3])}, r"preference has shape \(3,\)"),
        ({"loss_weight": StaticWeighting([1])}, "there are 2 tasks"),
        ({"loss_weight": StaticWeighting({"click": 1})}, r"no value .*\['cart'\]"),
        (
            {"loss_weight": pd.Series([1, 9])},
            r"by its index.*loss_weight.tolist",
        ),
        ({"loss_weight": pd.Series([1.0], ["click"])}, r"no value .*\['cart'\]"),
        ({"label_weight": pd.Series([1, 9])}, r"\['0', '1'\], which are not tasks"),
        ({"label_weight": pd.Series([1, 2, 3], ["click", "cart", "cart"])}, "twice"),
        ({"label_weight": {"click": 1, "cart": 1, "buy": 2}}, r"names \['buy'\]"),
        ({"label_weight": {"click": "1:2"}}, r"no value for the tasks \['cart'\]"),
        ({"label_weight": ["1:2"]}, "label_weight"),
        ({"label_weight": [1, "0:1"]}, "label_weight of task 'cart' is '0:1'"),
    ],
)
def test_bad_weights_are_refused_before_anything_changes(
    impressions, params, message, fitted
):
    X, y = impressions
    ranker, expected = copy.deepcopy(fitted)
    with pytest.raises((ValueError, TypeError), match=message):
        ranker.set_params(**params).fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), expected)


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_weights_by_name_are_matched_by_name(impressions, kind):
    """A Series too: by position the weights of two tasks would swap."""
    X, y = impressions
    values = kind({"cart": 9.0, "click": 1.0})
    ranker = small_mmoe(loss_weight=values, label_weight=values).fit(X, y)
    assert ranker.loss_weight_.tolist() == [1.0, 9.0]
    assert ranker.label_weight_.tolist() == [1.0, 9.0]
    ratios = kind({"cart": "1:1", "click": 1.0})
    weights = small_mmoe(label_weight=ratios).fit(X, y).label_weight_
    assert weights[0] == 1.0
    assert weights[1] > 1.0


def test_numbers_name_the_tasks_of_an_array(impressions):
    X, y = impressions
    for values in (pd.Series([1.0, 9.0]), {1: 9.0, 0: 1.0}):
        ranker = small_mmoe(loss_weight=values).fit(X, y.to_numpy())
        assert ranker.loss_weight_.tolist() == [1.0, 9.0]


def test_strategies_with_one_task(impressions):
    X, y = impressions
    for strategy in ("gradnorm", "mgda", Uncertainty(learning_rate=0.01)):
        ranker = small_mmoe(loss_weight=strategy, label_weight="1:2")
        assert ranker.fit(X, y["cart"]).score(X, y["cart"]) > 0.6
