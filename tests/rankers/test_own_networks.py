"""Networks of parts that users choose: classes, functions and modules."""

import functools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from skmtl import ESMM, MMoE, MultiTaskRanker, ShareBottom
from skmtl.modules import (
    ChainedTowers,
    ExpertMixture,
    ModuleBottom,
    ParallelTowers,
    ProductTowers,
    SharedBottom,
    Sharing,
)
from skmtl.modules.layers import Dense
from skmtl.training.parameters import parameter
from skmtl.weighting import get_strategy_names

FEW = {"max_iter": 1, "embedding_dim": 4, "n_bins": 8, "random_state": 0}
IDS = {"categorical_features": ["user", "item"]}


class ColumnGates(ExpertMixture):
    """Experts read all columns, gates only some."""

    def __init__(self, *, columns, gate_columns, **sizes):
        super().__init__(**sizes)
        read = columns.positions(gate_columns)
        self.register_buffer("read", read, persistent=False)
        self.gates = Dense(len(read), self.n_tasks * self.n_experts)

    def gate_weights(self, x):
        return super().gate_weights(x[:, self.read])


class ColumnGatedMMoE(MMoE):
    """The same as an estimator."""

    gate_columns: list = parameter(default=("user",), allowed=["array-like"])

    def _make_sharing(self, embedding, names):
        return ColumnGates(
            columns=embedding.columns,
            gate_columns=self.gate_columns,
            **self._sizes(embedding, names),
        )


def body(width):
    return nn.Sequential(nn.Linear(width, 12), nn.ReLU(), nn.Linear(12, 6))


@parametrize_with_checks([MultiTaskRanker(sharing=ExpertMixture, sharing__n_experts=6)])
def test_common_checks(estimator, check):
    check(estimator)


def test_named_settings_are_the_same_networks(impressions):
    X, y = impressions
    pairs = [
        (ShareBottom(bottom_units=(8,)), {"sharing__units": (8,)}),
        (
            MMoE(n_experts=3, expert_units=(8,), gate_dropout=0.1, tower_units=(4,)),
            {
                "sharing": ExpertMixture,
                "sharing__n_experts": 3,
                "sharing__expert_units": (8,),
                "sharing__gate_dropout": 0.1,
                "tower_units": (4,),
            },
        ),
    ]
    for named, settings in pairs:
        own = MultiTaskRanker(**settings, **FEW, **IDS).fit(X, y)
        expected = named.set_params(**FEW, **IDS).fit(X, y).predict_task_proba(X)
        assert_array_equal(own.predict_task_proba(X), expected)


def test_gates_that_read_some_columns(impressions):
    X, y = impressions
    own = MultiTaskRanker(
        sharing=ColumnGates,
        sharing__gate_columns=["user"],
        sharing__n_experts=4,
        **FEW,
        **IDS,
    ).fit(X, y)
    named = ColumnGatedMMoE(n_experts=4, gate_columns=["user"], **FEW, **IDS).fit(X, y)
    assert_array_equal(own.predict_task_proba(X), named.predict_task_proba(X))
    assert own.net_.module_.sharing.fuses  # gates of their own stay on the fast way
    others = X.copy()
    rest = [name for name in X if name != "user"]
    others[rest] = X[rest].iloc[::-1].to_numpy()
    assert_array_equal(named.gate_weights(others), named.gate_weights(X))
    assert not np.array_equal(named.expert_outputs(others), named.expert_outputs(X))
    assert len(np.unique(named.gate_weights(X)[:, 0, 0])) > 1
    columns = own.net_.module_.embedding.columns
    assert set(columns) == set(X)
    with pytest.raises(ValueError, match="has no column 'shop'"):
        named.set_params(gate_columns=["shop"]).fit(X, y)
    assert_array_equal(named.predict_task_proba(X), own.predict_task_proba(X))


def test_parameters_of_parts():
    ranker = MultiTaskRanker(sharing=ExpertMixture, sharing__n_experts=3)
    assert ranker.get_params()["sharing__n_experts"] == 3
    assert "sharing__n_experts" not in MultiTaskRanker().get_params()
    ranker.set_params(sharing__n_experts=5, towers__dropout=0.1, max_iter=7)
    twin = clone(ranker)
    assert twin.sharing is ExpertMixture
    params = twin.get_params(deep=False)
    assert params["sharing__n_experts"] == 5
    assert params["towers__dropout"] == 0.1
    assert params["max_iter"] == 7
    assert "sharing__n_experts=5" in repr(twin)
    assert "sharing" not in MMoE().get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'sharing'"):
        MMoE().set_params(sharing__n_experts=5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'shares__n'"):
        MultiTaskRanker(shares__n=3)


def test_a_grid_over_parameters_of_a_part(impressions):
    X, y = impressions
    ranker = MultiTaskRanker(sharing=ExpertMixture, **FEW, **IDS)
    grid = {"sharing__n_experts": [1, 2]}
    y = (y.sum(axis=1) > 0).astype(int)
    search = GridSearchCV(ranker, grid, cv=2, scoring="roc_auc").fit(X, y)
    best = search.best_estimator_
    n_experts = search.best_params_["sharing__n_experts"]
    assert best.net_.module_.sharing.n_experts == n_experts
    best.set_params(sharing=SharedBottom)
    with pytest.raises(ValueError, match=r"set_params\(sharing__n_experts=None\)"):
        best.fit(X, y)
    best.set_params(sharing__n_experts=None).fit(X, y)
    assert type(best.net_.module_.sharing) is SharedBottom


@pytest.mark.parametrize("loss_weight", [*get_strategy_names(), "inverse_ratio"])
def test_every_weighting(loss_weight, impressions):
    X, y = impressions
    ranker = MultiTaskRanker(
        sharing=ColumnGates,
        sharing__gate_columns=["user"],
        sharing__n_experts=2,
        loss_weight=loss_weight,
        **FEW,
        **IDS,
    )
    proba = ranker.fit(X, y).predict_task_proba(X)
    assert np.isfinite(proba).all()
    assert proba.std() > 0


def test_pickles(impressions):
    X, y = impressions
    ranker = MultiTaskRanker(
        sharing=ColumnGates, sharing__gate_columns=["item"], **FEW, **IDS
    ).fit(X, y)
    again = pickle.loads(pickle.dumps(ranker))
    assert_array_equal(again.predict_task_proba(X), ranker.predict_task_proba(X))
    assert again.get_params()["sharing__gate_columns"] == ["item"]


@pytest.mark.parametrize("loss_weight", [None, "mgda", "gradnorm"])
def test_a_plain_module_is_a_bottom(loss_weight, impressions):
    X, y = impressions
    ranker = MultiTaskRanker(sharing=body, loss_weight=loss_weight, **FEW, **IDS)
    sharing = ranker.fit(X, y).net_.module_.sharing
    assert isinstance(sharing, ModuleBottom)
    assert sharing.width == 6
    assert sharing.last_layer()[0] is sharing.module[2].weight
    X, _ = torch.randn(5, sharing.module[0].in_features), None
    representation, mixture = sharing.mix(X)
    torch.testing.assert_close(sharing(X), representation.expand(2, -1, -1))
    assert mixture.tolist() == [[[1.0], [1.0]]]


def test_a_module_is_copied(impressions):
    X, y = impressions
    width = ShareBottom(**FEW, **IDS).fit(X, y).net_.module_.embedding.width
    torch.manual_seed(0)
    module = SharedBottom(n_tasks=2, width=width, units=[5])
    before = module.layers[0].weight.detach().clone()
    ranker = MultiTaskRanker(sharing=module, **FEW, **IDS)
    one = ranker.fit(X, y).predict_task_proba(X)
    assert torch.equal(module.layers[0].weight, before)
    assert ranker.net_.module_.sharing is not module
    assert_array_equal(clone(ranker).fit(X, y).predict_task_proba(X), one)


def test_what_partial_has_bound_stays(impressions):
    X, y = impressions
    made = functools.partial(SharedBottom, units=[5], dropout=0.5)
    ranker = MultiTaskRanker(sharing=made, dropout=0.1, **FEW, **IDS).fit(X, y)
    module = ranker.net_.module_
    assert module.sharing.layers[1].p == 0.5
    assert module.towers.hidden[1].p == 0.1


def test_towers_that_keep_an_order(impressions):
    X, y = impressions
    y = y.assign(order=y.iloc[:, 0] & y.iloc[:, 1])[[y.columns[0], "order"]]
    own = MultiTaskRanker(
        sharing=SharedBottom,
        towers=ProductTowers,
        towers__parents=[[], [0]],
        **FEW,
        **IDS,
    )
    first, second = own.fit(X, y).predict_task_proba(X).T
    assert (second <= first).all()
    assert ESMM(**FEW, **IDS).fit(X, y).net_.module_.towers.bounds == [[], [0]]
    chained = ChainedTowers(parents=[[], [0]], width=3, units=[2])
    assert not chained.bounds

    class Turned(ProductTowers):
        def forward(self, representation):
            return -super().forward(representation)

    assert not Turned(parents=[[], [0]], width=3, units=[2], dropout=0.0).bounds


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"sharing": 3}, TypeError, "sharing must be a class, a function .* found 3"),
        (
            {"sharing": ExpertMixture, "sharing__n_expert": 3},
            ValueError,
            "sharing__n_expert is not a parameter of ExpertMixture, which takes",
        ),
        (
            {"towers": ParallelTowers, "towers__heads": 3},
            ValueError,
            "towers__heads is not a parameter of ParallelTowers",
        ),
        (
            {"sharing": body(3), "sharing__width": 3},
            ValueError,
            "sharing__width cannot be set, since sharing is an existing module",
        ),
        (
            {"sharing__n_tasks": 3},
            ValueError,
            r"sharing__n_tasks cannot be set.* supplies \['n_tasks', 'task_names',",
        ),
        ({"towers__width": 3}, ValueError, "towers__width cannot be set"),
        ({"towers": int}, TypeError, "towers must make .* found the class int"),
        ({"sharing": nn.Linear(3, 2)}, ValueError, "sharing: Linear .* it raised Run"),
        ({"tower_units": (True,)}, ValueError, "tower_units must hold .* found True"),
        ({"towers": body}, TypeError, r"towers must be a skmtl\.modules\.Towers"),
        (
            {"sharing": lambda width: nn.Flatten(0)},
            ValueError,
            r"must map \(batch, \d+\) to \(batch, units\), .* it gave \(\d+,\)",
        ),
    ],
)
def test_parts_that_cannot_be(settings, error, message, impressions):
    X, y = impressions
    ranker = MultiTaskRanker(**FEW, **IDS).fit(X, y)
    before = ranker.predict_task_proba(X)
    with pytest.raises(error, match=message):
        ranker.set_params(**settings).fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), before)


def test_tasks_are_offered_by_name(impressions):
    X, y = impressions
    seen = {}

    class Halves(Sharing):
        def __init__(self, width, task_names, columns):
            super().__init__()
            seen.update(width=width, names=task_names, columns=columns)
            self.width = width // len(task_names)

        def forward(self, x):
            return torch.stack([x[:, : self.width], x[:, -self.width :]])

    MultiTaskRanker(sharing=Halves, **FEW, **IDS).fit(pd.DataFrame(X), y)
    assert seen["names"] == list(y)
    assert set(seen["columns"]) == set(X)
