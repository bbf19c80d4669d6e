"""Fits with losses of the order within groups."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

import skmtl
from skmtl import BinaryTask, OutputWeightSearchCV, ShareBottom
from skmtl.calibration import CalibratedTasksCV
from skmtl.metrics import get_task_scorer, group_roc_auc, roc_auc
from skmtl.modules.draws import draw_lists
from skmtl.tasks import check_targets
from skmtl.training import net
from skmtl.training.batches import Batches, Processes, TensorTable, group_codes
from skmtl.training.slices import Slices
from tests.rankers.makers import MAKERS

RANKED = {"click": BinaryTask("pairwise"), "cart": BinaryTask("listwise")}
# "jrc" has two outputs for a task.
TWO_LOGITS = {"click": BinaryTask("jrc"), "cart": BinaryTask("lambdarank")}
SMALL = {"max_iter": 2, "batch_size": 128, "random_state": 0}


def make_log(n=1600, seed=0):
    """Requests of 8 rows, whose clicks depend on the request far more than on `x`."""
    rng = np.random.default_rng(seed)
    request = np.repeat(rng.permutation(n // 8), 8)
    level = np.repeat(rng.normal(size=n // 8), 8)
    X = pd.DataFrame({"level": level, "x": rng.normal(size=n)})
    z = 3 * X["level"] + 0.5 * X["x"] + rng.logistic(size=n)
    y = pd.DataFrame({"click": z > 0, "cart": z > 2}).astype(float)
    return X, y, request


@pytest.fixture(scope="module")
def log():
    return make_log()


def small(**params):
    return ShareBottom(**{"task_kinds": RANKED} | SMALL | params)


# Lists.


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 9))
def test_lists_are_of_one_group_and_not_too_long(groups, longest):
    groups = torch.tensor(groups)
    order, lists = draw_lists(groups, longest)
    assert_array_equal(order.sort().values, np.arange(len(groups)))
    assert (lists.diff() >= 0).all()
    table = pd.DataFrame({"group": groups[order], "list": lists})
    sizes = table.groupby("list")["group"].agg(["nunique", "size", "first"])
    assert (sizes["nunique"] == 1).all()
    assert sizes["size"].max() <= longest
    of_group = sizes.groupby("first")["size"].agg(["min", "max", "size"])
    assert (of_group["max"] - of_group["min"] <= 1).all()
    counts = table["group"].value_counts().sort_index()
    assert_array_equal(of_group["size"], -(-counts // longest))


def test_batches_are_made_of_lists_that_are_drawn_again():
    groups = torch.arange(200) // 5
    X = {"numeric": torch.arange(200.0)[:, None]}
    table = TensorTable(X, torch.zeros(200, 1), None, groups)
    passes = [list(Batches(table, 30, shuffle=True)) for _ in range(2)]
    assert [len(y) for _, (y, _, _) in passes[0]] == [30] * 6 + [20]
    seen = [torch.cat([X["numeric"][:, 0] for X, _ in batches]) for batches in passes]
    assert not seen[0].equal(seen[1])
    for batches in passes:
        for X, (_, _, lists) in batches:
            own = groups[X["numeric"][:, 0].long()]
            pairs = pd.DataFrame({"group": own, "list": lists}).drop_duplicates()
            assert len(pairs) == len(own) // 5 == pairs["group"].nunique()
    # Those after a batch are the same, for an epoch that is resumed.
    torch.manual_seed(3)
    every = list(Batches(table, 30, shuffle=True))
    torch.manual_seed(3)
    left = list(Batches(table, 30, shuffle=True).after(4))
    for (X, target), (same, again) in zip(every[4:], left, strict=True):
        assert X["numeric"].equal(same["numeric"])
        assert target[2].equal(again[2])


def test_spread_rows_are_of_whole_groups():
    groups = torch.arange(100) % 20
    X = {"numeric": torch.arange(100.0)[:, None]}
    some = TensorTable(X, torch.zeros(100, 1), None, groups).spread(30)
    found = groups[some.X["numeric"][:, 0].long()]
    assert_array_equal(found, np.repeat([0, 4, 8, 12, 16], 5))


# Fits.


def test_the_order_within_groups_is_learnt_first(log):
    X, y, request = log
    test, truth, groups = make_log(4000, seed=1)
    proba = {
        weight: small(
            task_kinds=None
            if weight is None
            else dict.fromkeys(y, BinaryTask("pairwise", ranking_weight=weight)),
            bottom_units=(4,),
            bin_dim=1,
            average_weights=False,
        )
        .fit(X, y, groups=request)
        .predict_task_proba(test)
        for weight in (None, 100.0)
    }
    plain, ranked = (group_roc_auc(truth, p, groups) for p in proba.values())
    assert (ranked > plain + 0.02).all()
    over_all = [roc_auc(truth, p) for p in proba.values()]
    assert (over_all[0] > over_all[1]).all()


def test_groups_change_nothing_without_such_a_task(log):
    X, y, request = log
    kinds = {"click": BinaryTask()}
    first = small(task_kinds=None).fit(X, y).predict_task(X)
    for given_kinds, groups in ((None, request), (kinds, request), (kinds, None)):
        ranker = small(task_kinds=given_kinds).fit(X, y, groups=groups)
        assert_array_equal(ranker.predict_task(X), first)


@pytest.mark.parametrize("name", MAKERS)
def test_every_ranker_takes_them(name, log):
    X, y, request = log
    losses = {}
    ranked = RANKED if name == "PooledTask" else TWO_LOGITS
    for kind, kinds in {"plain": None, "ranked": ranked}.items():
        own = {"categorical_features": "from_dtype", "task_kinds": kinds}
        ranker = MAKERS[name](**SMALL | own)
        ranker.fit(X, y, groups=request)
        losses[kind] = ranker.history_.set_index(["epoch", "task"])["train_loss"]
        proba = ranker.predict_task_proba(X)
        assert_allclose(proba.mean(axis=0), y.mean(), rtol=1e-6)
    assert (losses["ranked"] > 1.05 * losses["plain"]).all()
    assert ranker.task_kinds_ == list(ranked.values())


def test_names_of_groups_do_not_matter(log):
    X, y, request = log
    expected = small().fit(X, y, groups=request).predict_task(X)
    for groups in (np.arange(len(X)) // 8, [f"r{c}" for c in request]):
        found = small().fit(X, y, groups=groups).predict_task(X)
        assert_array_equal(found, expected)
    found = small().fit(X, y, groups=request % 50).predict_task(X)
    assert not np.array_equal(found, expected)


def test_one_task_with_labels_of_its_own(log):
    X, y, request = log
    kind = BinaryTask("listwise")
    expected = small(task_kinds=kind).fit(X, y["cart"], groups=request)
    names = np.where(y["cart"] == 1, "yes", "no")
    found = small(task_kinds=kind).fit(X, names, groups=request)
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    assert found.task_kinds_ == [kind]


def test_one_score_for_all_tasks_cannot_be_two_logits(log):
    X, y, request = log
    ranker = MAKERS["PooledTask"](task_kinds=TWO_LOGITS, categorical_features=[])
    with pytest.raises(ValueError, match=r"task 'click', BinaryTask\(ranking='jrc'\)"):
        ranker.fit(X, y, groups=request)


def test_two_logits_are_one_probability(log, tmp_path):
    X, y, request = log
    y = y.mask(np.random.default_rng(0).random(y.shape) < 0.3)
    y["none"] = 0.0
    ranker = small(task_kinds=dict.fromkeys(y, BinaryTask("jrc")), label_weight=3.0)
    with pytest.warns(UserWarning, match="'none' has only one class"):
        ranker.fit(X, y, groups=request)
    proba = ranker.predict_task(X)
    assert proba.shape == y.shape
    assert (proba[:, 2] == 0).all()
    for task in ("click", "cart"):
        seen, column = y[task].notna(), list(y).index(task)
        assert_allclose(proba[seen, column].mean(), y[task].mean(), rtol=1e-6)
    assert_array_equal(np.stack(ranker.predict_proba(X))[:, :, 1].T, proba)
    assert_array_equal(ranker.predict(X), proba > 0.5)
    assert ranker.score(X, y) == pytest.approx(
        roc_auc(y[list(RANKED)], proba[:, :2]).mean()
    )
    encoded = ranker.encoder_.encode(X)
    of_net = np.stack(ranker.net_.predict_proba(encoded))[:2, :, 1].T
    log_odds = np.log(of_net / (1 - of_net)) + ranker.intercept_[:4:2]
    assert_allclose(1 / (1 + np.exp(-log_odds)), proba[:, :2], rtol=1e-6)
    with pytest.warns(UserWarning, match="undefined for task 'none'"):
        assert ranker.net_.score(encoded, y) == pytest.approx(ranker.score(X, y))
    ranker.save(tmp_path / "ranker.skmtl")
    loaded = skmtl.load(tmp_path / "ranker.skmtl")
    assert_array_equal(loaded.predict_task(X), proba)


def test_beside_other_kinds_and_missing_labels(log):
    X, y, request = log
    y = y.assign(stars=np.digitize(X["x"], [-1, 0, 1]) + 1.0)
    y = y.mask(np.random.default_rng(0).random(y.shape) < 0.3)
    ranker = small(task_kinds=RANKED | {"stars": "ordinal"})
    values = ranker.fit(X, y, groups=request).predict_task(X)
    seen = y["click"].notna()
    assert_allclose(values[seen, 0].mean(), y["click"].mean(), rtol=1e-6)
    assert ranker.score(X, y) > 0.7


def test_batches_of_any_size_are_taken_whole(log, monkeypatch):
    X, y, request = log
    expected = small(batch_size=400).fit(X, y, groups=request).predict_task(X)
    monkeypatch.setattr(net, "_WHOLE_ROWS", 100)
    monkeypatch.setattr(net, "_BLOCK_ROWS", 50)
    found = small(batch_size=400).fit(X, y, groups=request).predict_task(X)
    assert_array_equal(found, expected)


@pytest.mark.parametrize("strategy", ["famo", "gradnorm", "mgda"])
def test_strategies_weigh_the_sum(strategy, log):
    X, y, request = log
    ranker = small(loss_weight=strategy).fit(X, y, groups=request)
    assert ranker.score(X, y) > 0.8
    # More than one batch has, since lists of other batches are of other rows.
    assert (ranker.history_["train_loss"] > 0.3).all()


def test_validation_rows_are_judged_by_the_cross_entropy(log):
    X, y, request = log
    ranker = small(early_stopping=True, validation_fraction=0.25)
    ranker.fit(X, y, groups=request)
    assert ranker.n_validation_rows_ == 400
    losses = ranker.history_.groupby("task")[["train_loss", "valid_loss"]].last()
    assert (losses["train_loss"] > 1.2 * losses["valid_loss"]).all()


def test_further_fits_take_groups(log, tmp_path):
    X, y, request = log
    ranker = small().fit(X, y, groups=request)
    ranker.save(tmp_path / "ranker.skmtl")
    loaded = skmtl.load(tmp_path / "ranker.skmtl")
    assert loaded.task_kinds == RANKED
    for one in (ranker, loaded):
        one.partial_fit(X, y, groups=request)
    assert_array_equal(loaded.predict_task(X), ranker.predict_task(X))
    with pytest.raises(ValueError, match=r"Pass groups=.*, the group of each row"):
        ranker.partial_fit(X, y)
    warm = small(warm_start=True).fit(X, y, groups=request)
    assert warm.fit(X, y, groups=request).n_iter_ == 4


# Refusals.


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (None, r"'click', BinaryTask\(ranking='pairwise'\), compares rows of a group"),
        (np.arange(3), "groups"),
        (np.array([None, *range(1, 1600)], dtype=object), "missing id at row 0"),
    ],
)
def test_groups_that_are_missing(groups, message, log):
    X, y, _ = log
    ranker = small()
    with pytest.raises(ValueError, match=message):
        ranker.fit(X, y, groups=groups)
    assert not hasattr(ranker, "net_")


def test_sources_have_no_groups(log, tmp_path):
    X, y, request = log
    X.join(y).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(ValueError, match=r"'click', BinaryTask.*compares the rows"):
        small().fit(tmp_path / "log.parquet", list(y))
    for name in ("groups", "groups_val"):
        with pytest.raises(ValueError, match=f"{name} is for tables in memory"):
            small().fit(tmp_path / "log.parquet", list(y), **{name: request})


def test_processes_that_share_batches_are_refused(log):
    _, y, request = log
    targets = check_targets(y, kinds=[BinaryTask(), BinaryTask("pairwise")])
    weight = np.ones(y.shape)
    codes = group_codes(request, targets, weight, Processes())
    assert_array_equal(codes, np.arange(len(y)) // 8)
    with pytest.raises(ValueError, match="2 processes or micro-batches share it"):
        group_codes(request, targets, weight, Slices(2))
    assert group_codes(request, check_targets(y), weight, Slices(2)) is None


@pytest.mark.parametrize("case", ["number", "click", "weight"])
def test_groups_with_nothing_to_compare_are_warned_of(log, case):
    _, y, request = log
    y = y[["click"]]
    targets = check_targets(y, kinds=[BinaryTask("pairwise")])
    groups = {"number": np.arange(len(y)), "click": y["click"]}.get(case, request)
    weight = np.ones(y.shape)
    if case == "weight":  # one label of each group counts
        weight[:, 0] = y["click"] == request % 2
    with pytest.warns(UserWarning, match="'click' .* cannot learn an order from label"):
        group_codes(groups, targets, weight, Processes())


# Searches.


def test_groups_survive_a_search(log):
    X, y, request = log
    grid = {"task_kinds": [None, RANKED]}
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_task_scorer("gauc").set_score_request(groups=True)
        search = GridSearchCV(small(), grid, cv=GroupKFold(2), scoring=scorer)
        search.fit(X, y, groups=request)
    train = next(iter(GroupKFold(2).split(X, y, request)))[0]
    own = small().fit(X.iloc[train], y.iloc[train], groups=request[train])
    found = search.cv_results_["split0_test_score"][1]
    test = np.setdiff1d(np.arange(len(X)), train)
    assert_allclose(
        found, get_task_scorer("gauc")(
            own, X.iloc[test], y.iloc[test], groups=request[test]
        ),
    )  # fmt: skip
    assert clone(search).estimator.task_kinds == RANKED


@pytest.mark.parametrize("pipeline", [False, True])
def test_groups_reach_the_folds_of_cross_validation_and_the_ranker(pipeline, log):
    X, y, request = log
    # scikit-learn makes an array of the labels, so that tasks have no names.
    ranker = small(task_kinds=BinaryTask("jrc"), max_iter=1)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = make_pipeline("passthrough", ranker) if pipeline else ranker
        params = {"groups": request}
        found = cross_val_predict(
            estimator, X, y, cv=GroupKFold(2), params=params, method="predict_proba"
        )
    for train, test in GroupKFold(2).split(X, y, request):
        assert set(request[train]).isdisjoint(request[test])
        own = clone(ranker).fit(X.iloc[train], y.iloc[train], groups=request[train])
        expected = own.predict_proba(X.iloc[test])
        assert_array_equal(np.stack(found)[:, test], np.stack(expected))


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("outer", [OutputWeightSearchCV, CalibratedTasksCV])
def test_groups_reach_the_ranker_of_our_searches(outer, routing, log):
    X, y, request = log
    with sklearn.config_context(enable_metadata_routing=routing):
        fitted = outer(small(), cv=GroupKFold(2)).fit(X, y, groups=request)
    expected = small().fit(X, y, groups=request).predict_task_proba(X)
    assert_array_equal(fitted.estimator_.predict_task_proba(X), expected)


# Rows that are measured before training.


def test_measured_rows_are_in_lists_as_long_as_those_of_training(log):
    rng = np.random.default_rng(0)
    # Numbers of groups that are not there, as after rows were set aside.
    groups = torch.from_numpy(rng.choice([1, 5, 7], size=1000, p=[0.9, 0.05, 0.05]))
    y = torch.arange(1000.0)[:, None]
    table = TensorTable({"x": y}, y, None, groups)
    for n_rows in (5000, 1000, 250):
        some = table.spread(n_rows)
        assert len(some) == pytest.approx(min(n_rows, 1000), rel=0.1)
        assert some.groups.bincount().max() <= 16
        rows = some.y[:, 0].long()
        assert len(rows.unique()) == len(rows)
        for number in some.groups.unique():
            assert len(groups[rows[some.groups == number]].unique()) == 1


def test_gradnorm_measures_rows_of_one_group_among_others():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70_100, 2))
    y = (X[:, :1] + rng.normal(size=(70_100, 2)) > 1).astype(int)
    ranker = ShareBottom(
        task_kinds=BinaryTask("listwise"),
        loss_weight="gradnorm",
        bottom_units=(4,),
        tower_units=(),
        batch_size=8192,
        max_iter=1,
        validation_split=[(np.arange(100, 70_100), np.arange(100))],
        early_stopping=True,
        random_state=0,
    )
    ranker.fit(X, y, groups=np.repeat([0, 1], [100, 70_000]))
    assert np.isfinite(ranker.loss_weight_).all()
