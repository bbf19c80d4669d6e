"""Crosses between embedding and sharing, in every ranker."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skmtl import MMoE, MultiTaskRanker, ShareBottom, SingleTask, load
from skmtl.datasets import make_funnel
from skmtl.encoding import TableEncoder
from skmtl.modules import (
    Cross,
    CrossNetwork,
    FactorizationMachine,
    ModuleCross,
    SharedBottom,
)
from tests.rankers.makers import MAKERS, small_mmoe

FEW = {"categorical_features": "from_dtype", "max_iter": 1}
OURS = {"dcn": CrossNetwork, "fm": FactorizationMachine}


@pytest.fixture(scope="module")
def log():
    return make_funnel(
        400,
        n_users=30,
        n_items=20,
        tasks=["click", "cart"],
        click_rate=0.25,
        cart_rate=0.1,
        order_rate=0.01,
        history_length=3,
        random_state=0,
    )


def linear(width):
    return nn.Linear(width, 5)


def grid_point(search, k):
    return search.cv_results_["params"][k]


def crosses_of(ranker):
    return ranker.net_.module_.embedding.crosses


@pytest.mark.parametrize("name", MAKERS)
def test_every_ranker(name, log):
    crosses = "dcn" if len(name) % 2 else "fm"
    ranker = MAKERS[name](crosses=crosses, **FEW).fit(log.data, log.target)
    proba = ranker.predict_task_proba(log.data)
    assert np.isfinite(proba).all()
    made = crosses_of(ranker)
    assert len(made) == {"SingleTask": 2, "STEM": 3}.get(name, 1)
    assert all(type(one) is OURS[crosses] for one in made)
    assert_allclose(ranker.predict_task_proba(log.data[7:8]), proba[7:8], rtol=1e-4)


@pytest.mark.parametrize("crosses", OURS)
def test_separate_networks_stay_separate(crosses, log):
    ranker = SingleTask(
        crosses=crosses, max_iter=1, early_stopping=False, bottom_units=(4,),
        random_state=0,
    )  # fmt: skip
    X, y = log.data, log.target
    expected = ranker.fit(X, y).predict_task_proba(X)
    other = clone(ranker).fit(X, y.assign(cart=1 - y["cart"])).predict_task_proba(X)
    assert_array_equal(other[:, 0], expected[:, 0])
    assert not np.array_equal(other[:, 1], expected[:, 1])


def test_a_product_of_two_columns_is_learnt():
    """The labels of pairs that were never seen depend on their factors."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2, 60, 3))
    ids = rng.integers(0, 60, (6000, 2))
    y = (factors[0, ids[:, 0]] * factors[1, ids[:, 1]]).sum(axis=1) > 0
    train = (rng.random((60, 60)) < 0.6)[ids[:, 0], ids[:, 1]]
    X = pd.DataFrame(ids, columns=["user", "item"])
    params = {"categorical_features": ["user", "item"], "max_iter": 6}
    params |= {"bottom_units": (16,), "tower_units": (8,), "batch_size": 128}
    params |= {"learning_rate": 0.01, "unknown_rate": 0, "unknown_share": 0}
    scores = {}
    for crosses in (None, *OURS):
        ranker = ShareBottom(crosses=crosses, random_state=0, **params)
        scores[crosses] = ranker.fit(X[train], y[train]).score(X[~train], y[~train])
    assert min(scores["dcn"], scores["fm"]) > scores[None] + 0.07, scores


def test_a_search_over_crosses_and_their_parameters(log):
    X, y = log.data, log.target["click"]
    ranker = small_mmoe(**FEW, crosses="dcn", crosses__rank=2)
    grid = [
        {"crosses__rank": [2, 8], "crosses__n_layers": [1]},
        {"crosses": ["fm"], "crosses__rank": [None]},  # not a parameter of it
        {"crosses": [None]},  # takes none
    ]
    search = GridSearchCV(ranker, grid, cv=2, error_score="raise", refit=False)
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    best = clone(ranker).set_params(**grid_point(search, 1)).fit(X, y)
    down = crosses_of(best)[0].down
    assert down[0].weight.shape[1] == 8
    assert len(down) == 1
    twin = clone(ranker)
    assert twin.get_params()["crosses__rank"] == 2
    assert "crosses__rank=2" in repr(twin)
    message = r"crosses__rank is not .* Factor.*set_params\(crosses__rank=None\)"
    with pytest.raises(ValueError, match=message):
        ranker.set_params(crosses="fm").fit(X, y)
    ranker.set_params(crosses__rank=None).fit(X, y)
    assert isinstance(crosses_of(ranker)[0], FactorizationMachine)


class Doubled(Cross):
    def __init__(self, width, columns):
        super().__init__()
        self.width, self.columns = width, columns

    def forward(self, x):
        return 2 * x


class FirstColumn(SharedBottom):
    """Reads one column."""

    def __init__(self, *, n_tasks, width, columns):
        self.read = columns["price"][-1]
        super().__init__(n_tasks=n_tasks, width=1, units=(2,))

    def forward(self, x):
        return super().forward(x[:, self.read])

    def mix(self, x):
        return super().mix(x[:, self.read])


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.weight


class OfWidth(Cross):
    def __init__(self, said):
        super().__init__()
        if said is not None:
            self.width = said

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    "params",
    [
        {"crosses": "dcn", "crosses__rank": 0},
        {"crosses": functools.partial(CrossNetwork, n_layers=True)},
        {"crosses": "fm", "crosses__between": "user_id"},
        {"crosses": "fm", "crosses__dim": 1.5},
        {"crosses": int},
    ],
)
def test_values_are_checked_before_the_table_is_read(params, monkeypatch, log):
    def fail(*args, **kwargs):
        raise AssertionError("the table was read")

    monkeypatch.setattr(TableEncoder, "fit_encode", fail)
    with pytest.raises(AssertionError, match="was read"):
        small_mmoe(**FEW).fit(log.data, log.target)
    with pytest.raises((TypeError, ValueError), match="crosses"):
        small_mmoe(**FEW, **params).fit(log.data, log.target)


def test_one_module_cannot_serve_several_tasks(log):
    one = Scaled()
    ranker = SingleTask(crosses=lambda: one, max_iter=1, random_state=0)
    with pytest.raises(ValueError, match="one module for several of the 2 sets"):
        ranker.fit(log.data, log.target)
    ranker.set_params(crosses=one).fit(log.data, log.target)
    first, second = crosses_of(ranker)
    assert first.module is not second.module


def test_own_crosses(log, tmp_path):
    X, y = log.data, log.target
    ranker = MultiTaskRanker(crosses=Doubled, sharing=FirstColumn, max_iter=1)
    ranker.fit(X, y)
    (one,) = crosses_of(ranker)
    assert type(one) is Doubled
    (alone,) = {ranker.predict_task_proba(X.assign(item_id=k))[0, 0] for k in (0, 1)}
    assert alone == ranker.predict_task_proba(X)[0, 0]
    fm = ranker.set_params(crosses="fm", crosses__between=["user_id", "item_id"])
    assert crosses_of(fm.fit(X, y))[0].pairs == [("user_id", "item_id")]
    plain = small_mmoe(**FEW, crosses=linear).fit(X, y)
    assert isinstance(crosses_of(plain)[0], ModuleCross)
    assert plain.net_.module_.embedding.width == 5
    path = tmp_path / "ranker"
    own = small_mmoe(**FEW, crosses=Doubled).fit(X, y)
    own.save(path, custom_objects={"Doubled": Doubled})
    again = load(path, custom_objects={"Doubled": Doubled})
    assert_array_equal(again.predict_task_proba(X), own.predict_task_proba(X))


@pytest.mark.parametrize("crosses", OURS)
def test_new_ids_files_and_columns_that_bias_labels(crosses, log, tmp_path):
    X, y = log.data, log.target
    rng = np.random.default_rng(0)
    vectors = pd.DataFrame(rng.normal(size=(20, 4)), index=X["item_id"].cat.categories)
    ranker = small_mmoe(
        **FEW,
        crosses=crosses,
        bias_features=["position"],
        embeddings={"item_id": vectors},
        embedding_dim={"user_id": 4, "item_id": 4},
        min_frequency=1,
    )
    ranker.partial_fit(X[:200], y[:200])
    n_ids = sum(ranker.encoder_.vocabulary_sizes_)
    more = X[200:].astype({"user_id": int})
    more["user_id"] += 1000
    ranker.partial_fit(more, y[200:])
    assert sum(ranker.encoder_.vocabulary_sizes_) > n_ids
    ranker.save(tmp_path / "ranker")
    again = load(tmp_path / "ranker")
    without = more.drop(columns="position")
    expected = ranker.predict_task_proba(without)
    assert_array_equal(again.predict_task_proba(without), expected)
    one, other = (
        r.set_params(warm_start=True).fit(more, y[200:]) for r in (ranker, again)
    )
    proba = one.predict_task_proba(without)
    assert_array_equal(other.predict_task_proba(without), proba)
    assert not np.array_equal(proba, expected)


@pytest.mark.parametrize("loss_weight", ["mgda", "gradnorm"])
def test_strategies_balance_gradients_above_crosses(loss_weight, log):
    ranker = small_mmoe(**FEW, crosses="dcn", loss_weight=loss_weight)
    ranker.fit(log.data, log.target)
    module = ranker.net_.module_
    below = {id(p) for p in crosses_of(ranker).parameters()}
    assert below
    assert below <= {id(p) for p in module.shared_parameters()}
    before = small_mmoe(**FEW | {"max_iter": 1}, crosses="dcn", learning_rate=1e-12)
    before.fit(log.data, log.target)
    for name, one in crosses_of(ranker).named_parameters():
        assert one.ne(dict(crosses_of(before).named_parameters())[name]).any()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"crosses": "dcm"}, ValueError, r"'crosses' parameter of MMoE .* 'dcm'"),
        ({"crosses": 3}, ValueError, "'crosses' parameter of MMoE"),
        (
            {"crosses": "dcn", "crosses__ranks": 3},
            ValueError,
            r"crosses__ranks is not a parameter of CrossNetwork.*'rank'",
        ),
        ({"crosses": "dcn", "crosses__rank": 0}, ValueError, "crosses__rank must be"),
        (
            {"crosses": "fm", "crosses__between": ["item_id", "shop"]},
            ValueError,
            "crosses__between names 'shop'.* Its columns are",
        ),
        (
            {
                "crosses": "fm",
                "crosses__between": ["user_id", "position"],
                "bias_features": ["position"],
            },
            ValueError,
            "bias_features names 'position', which crosses__between reads too",
        ),
        ({"crosses": lambda: 3}, TypeError, "crosses must make a torch.nn.Module"),
        ({"crosses": int}, TypeError, "crosses must make .* found the class int"),
        ({"crosses": nn.Linear(2, 3)}, ValueError, "crosses: Linear .* it raised"),
        ({"crosses": OfWidth, "crosses__said": None}, ValueError, "has no width"),
        (
            {"crosses": OfWidth, "crosses__said": 3},
            ValueError,
            "crosses: OfWidth says that its output has width 3",
        ),
        (
            {"crosses": Doubled, "crosses__width": 3},
            ValueError,
            r"crosses__width cannot be set.* \['width', 'columns'\]",
        ),
    ],
)
def test_refusals_change_nothing(params, error, message, log):
    X, y = log.data, log.target
    ranker = MMoE(max_iter=1, expert_units=(4,), random_state=0).fit(X, y)
    before = ranker.predict_task_proba(X)
    with pytest.raises(error, match=message):
        ranker.set_params(**params).fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), before)
