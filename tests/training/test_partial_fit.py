"""Training as tables arrive."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from scipy.stats import beta
from skorch.callbacks import Callback

from skmtl import STEM, MMoE, ShareBottom
from skmtl.tasks import binary_kinds
from skmtl.training.intercept import means_after
from skmtl.training.starts import grow_net
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import MAKERS, SMALL


def days(n_days=3, n=600, n_tasks=2):
    """Every day has items that no day before had; an item is of one kind."""
    found = []
    for day in range(n_days):
        X, y = make_impressions(n, seed=day, n_tasks=n_tasks)
        new = np.arange(n) % 5 == 0
        names = pd.Series([f"day-{day}-{i % 20}" for i in range(n)])
        item = X["item"].mask(new, names)
        kind = item.str.len().fillna(0).astype(int)
        found.append((X.assign(item=item, kind=kind), y))
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_the_first_call_is_a_fit_of_one_epoch(name):
    X, y = make_impressions(700)
    first = MAKERS[name](max_iter=7, n_bins=8).partial_fit(X, y)
    expected = MAKERS[name](max_iter=1, n_bins=8).fit(X, y)
    assert_array_equal(first.predict_task_proba(X), expected.predict_task_proba(X))
    assert first.n_iter_ == 1
    assert_array_equal(first.prior_, expected.prior_)


@pytest.mark.parametrize("fitted_by", ["fit", "partial_fit"])
def test_days_follow_one_another(fitted_by):
    (X0, y0), (X1, y1), (X2, y2) = days()
    ranker = getattr(ShareBottom(**SMALL), fitted_by)(X0, y0)
    epochs = ranker.n_iter_
    sizes = ranker.encoder_.vocabulary_sizes_
    numbers = ranker.encoder_.transform(X0)[:, 2:]
    score = ranker.score(X2, y2)
    ranker.partial_fit(X1, y1).partial_fit(X2, y2)
    assert ranker.n_iter_ == epochs + 2
    assert len(ranker.history_) == 2 * ranker.n_iter_
    grown = ranker.encoder_.vocabulary_sizes_
    assert grown[1] >= sizes[1] + 40
    table = ranker.net_.module_.embedding.ids.tables[0]
    assert table.shape == (sum(grown), 16)
    assert_array_equal(ranker.encoder_.transform(X0)[:, 2:], numbers)
    y = pd.concat([y0, y1, y2])
    assert_allclose(ranker.prior_, y.mean())
    assert ranker.score(X2, y2) > score
    again = pickle.loads(pickle.dumps(ranker)).partial_fit(X0, y0)
    assert_array_equal(
        again.predict_task_proba(X0),
        ranker.partial_fit(X0, y0).predict_task_proba(X0),
    )


def test_without_new_ids_a_call_is_one_more_epoch():
    """One batch, so that no order of rows is drawn, and nothing else is."""
    X, y = make_impressions(1500)
    given = {**SMALL, "max_iter": 1, "batch_size": 2000, "unknown_rate": 0.0}
    daily = ShareBottom(**given).partial_fit(X, y)
    daily.encoder_.min_frequency = 10**6  # no id becomes frequent enough
    daily.partial_fit(X, y)
    warm = ShareBottom(warm_start=True, **given).fit(X, y).fit(X, y)
    for found, expected in zip(
        daily.net_.module_.parameters(), warm.net_.module_.parameters(), strict=True
    ):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (ShareBottom, {}),
        (ShareBottom, {"embedding_optimizer": "adam"}),
        (ShareBottom, {"embedding_optimizer": "adagrad"}),
        (ShareBottom, {"embedding_dim": {"item": 8, "user": 4}}),
        (
            STEM,
            {
                "fallback": {"item": "kind"},
                "categorical_features": ["user", "item", "kind"],
            },
        ),
        (ShareBottom, {"n_buckets": {"item": 30}, "n_hashes": 2}),
    ],
)
def test_tables_and_optimisers_grow_without_a_trace(kind, given):
    (X0, y0), (X1, _) = days(2)
    ranker = kind(**{**SMALL, **given}).fit(X0, y0)
    proba = [ranker.predict_task_proba(X) for X in (X0, X1)]
    net, encoder = ranker.net_, ranker.encoder_
    before = {name: p.detach().clone() for name, p in net.module_.named_parameters()}
    moments = [_moments(net, table) for table, _ in net.module_.id_tables()]
    ranker.encoder_, growth = encoder.grown(X1)
    assert growth.new.any()
    grow_net(net, ranker.encoder_.vocabulary_sizes_, growth)
    # New ids start as what they were: nobody's score moves.
    assert_array_equal(ranker.predict_task_proba(X0), proba[0])
    assert_array_equal(ranker.predict_task_proba(X1), proba[1])
    for name, p in net.module_.named_parameters():
        assert "tables" in name or torch.equal(p, before[name])
    n_new = 0
    for (table, _), old in zip(net.module_.id_tables(), moments, strict=True):
        for name, value in _moments(net, table).items():
            if value.dim() == 0:
                assert value == old[name]
                continue
            assert len(value) == len(table)
            is_new = (value == 0).all(dim=1)
            assert value.sum().item() == pytest.approx(old[name].sum().item(), rel=1e-4)
            assert is_new.sum() >= len(value) - len(old[name])
        n_new += len(table) - len(old["sum" if "sum" in old else "exp_avg"])
    assert n_new == growth.new.sum()
    ranker.partial_fit(X1, y0)


def _moments(net, table):
    """What the one optimiser that trains a table knows of it."""
    (found,) = [
        optimizer.state[table]
        for optimizer in net.all_optimizers
        if any(p is table for g in optimizer.param_groups for p in g["params"])
    ]
    return {k: torch.as_tensor(v).clone() for k, v in found.items()}


def test_a_task_without_positives_on_the_first_day_is_learnt_later():
    (X0, y0), (X1, y1), (X2, y2) = days()
    ranker = ShareBottom(**SMALL)
    with pytest.warns(UserWarning, match="'cart' has only one class"):
        ranker.partial_fit(X0, y0.assign(cart=0))
    assert (ranker.predict_task_proba(X0)[:, 1] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranker.partial_fit(X1, y1).partial_fit(X2, y2.assign(cart=0))
    assert ranker.prior_[1] == pytest.approx(y1["cart"].sum() / 1800)
    proba = ranker.predict_task_proba(X1)
    assert 0 < proba[:, 1].mean() < 0.5
    assert len(np.unique(proba[:, 1])) > 100


def test_unobserved_labels_and_weights():
    (X0, y0), (X1, y1) = days(2)
    weight = np.ones((600, 2))
    weight[::2] = 0
    ranker = ShareBottom(**SMALL).partial_fit(X0, y0, sample_weight=weight)
    ranker.partial_fit(X1, y1.astype(float).assign(cart=np.nan))
    expected = y0["cart"][1::2].mean()
    assert ranker.prior_[1] == pytest.approx(expected)
    assert ranker.prior_[0] == pytest.approx(
        (y0["click"][1::2].sum() + y1["click"].sum()) / 900
    )
    assert np.isfinite(ranker.predict_task_proba(X1)).all()


def test_one_task_whose_labels_come_one_by_one():
    X, y = make_impressions(600)
    liked = np.where(y["click"] == 1, "yes", "no")
    ranker = ShareBottom(**SMALL)
    no = liked == "no"
    ranker.partial_fit(X[no], liked[no], classes=["no", "yes"])
    assert ranker.classes_.tolist() == ["no", "yes"]
    ranker.partial_fit(X, liked)
    assert len(np.unique(ranker.predict_proba(X)[:, 1])) > 100
    yes = ~no
    ranker.partial_fit(X[yes], liked[yes])
    assert ranker.prior_[0] == pytest.approx(2 * yes.sum() / (2 * 600))
    with pytest.raises(ValueError, match=r"label 'maybe', which is not one of"):
        ranker.partial_fit(X, np.where(no, "maybe", "yes"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, y: (X.drop(columns="price"), y), ValueError, r"lacks .*\['price'\]"),
        (
            lambda X, y: (X.assign(color="red"), y),
            ValueError,
            r"not there in the first call: \['color'\]",
        ),
        (
            lambda X, y: (X.assign(item=np.arange(len(X))), y),
            TypeError,
            "Column 'item' held strings in earlier calls and holds numbers now",
        ),
        (lambda X, y: (X.assign(price="dear"), y), TypeError, "'price' must hold"),
        (
            lambda X, y: (X, y.rename(columns={"cart": "order"})),
            ValueError,
            r"partial_fit continues with the tasks \['click', 'cart'\], but y has "
            r"\['click', 'order'\]",
        ),
        (lambda X, y: (X, y["click"]), ValueError, "continues with the tasks"),
        (lambda X, y: (X, y * 2), ValueError, "Task 'click' holds the labels"),
    ],
)
def test_other_tables_are_refused_and_change_nothing(change, error, message):
    (X0, y0), (X1, y1) = days(2)
    ranker = ShareBottom(**SMALL).partial_fit(X0, y0)
    before = pickle.dumps(ranker.predict_task_proba(X0))
    with pytest.raises(error, match=message):
        ranker.partial_fit(*change(X1, y1))
    assert pickle.dumps(ranker.predict_task_proba(X0)) == before
    assert ranker.n_iter_ == 1
    ranker.partial_fit(X1, y1)


def test_a_call_that_diverges_changes_nothing():
    (X0, y0), (X1, y1) = days(2)
    ranker = ShareBottom(**SMALL).partial_fit(X0, y0)
    before = ranker.predict_task_proba(X1)
    with pytest.raises(ValueError, match="is no longer a finite number"):
        ranker.set_params(learning_rate=1e30).partial_fit(X1, y1)
    assert_array_equal(ranker.predict_task_proba(X1), before)
    assert ranker.encoder_.frequencies(X1)[0, 1] == 0


def test_callbacks_and_lines_of_a_call(capsys):
    class Count(Callback):
        epochs = 0

        def on_epoch_end(self, net, **_):
            Count.epochs += 1

    (X0, y0), (X1, y1) = days(2)
    ranker = ShareBottom(**{**SMALL, "verbose": 1, "callbacks": [Count()]})
    ranker.partial_fit(X0, y0).partial_fit(pl.from_pandas(X1), y1)
    assert Count.epochs == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1/1", "2/2"]


def test_label_weights_follow_the_rates_of_all_calls():
    (X0, y0), (X1, y1) = days(2)
    ranker = ShareBottom(label_weight="balanced", **SMALL)
    ranker.partial_fit(X0, y0).partial_fit(X1, y1)
    rate = pd.concat([y0, y1]).mean()
    assert_allclose(ranker.label_weight_, (1 - rate) / rate)
    assert ranker.predict_task_proba(X1).mean() < 0.5  # probabilities of the tables


def test_what_partial_fit_cannot_do_is_said():
    X, y = make_impressions(200)
    with pytest.raises(ValueError, match="Set early_stopping=False"):
        ShareBottom(early_stopping=True, **SMALL).partial_fit(X, y)
    with pytest.raises(ValueError, match="classes of task 'cart'"):
        ShareBottom(**SMALL).partial_fit(X, y, classes=[[0, 1], ["no", "yes"]])
    with pytest.raises(ValueError, match="classes has 3 entries, but y has 2 tasks"):
        ShareBottom(**SMALL).partial_fit(X, y, classes=[[0, 1]] * 3)
    with pytest.raises(ValueError, match=r"classes of task 'click' are \[0, 1, 2\]"):
        ShareBottom(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    for labels in (y, y["click"]):
        for classes in (3, "yes"):
            with pytest.raises(ValueError, match=f"classes must list .*{classes!r}"):
                ShareBottom(**SMALL).partial_fit(X, labels, classes=classes)
    ranker = MMoE(loss_weight="uncertainty", **SMALL).partial_fit(X, y)
    with pytest.raises(ValueError, match="partial_fit continues with loss_weight"):
        ranker.set_params(loss_weight=None).partial_fit(X, y)


def test_means_after_are_means_of_the_posterior():
    kinds = binary_kinds(3)
    rng = np.random.default_rng(0)
    y = (rng.random((5000, 3)) < [0.1, 0.02, 0.5]).astype(np.float32)
    weight = rng.random(y.shape) * (rng.random(y.shape) < 0.9)
    expected, known = np.array([0.08, 0.03, 0.4]), np.array([500.0, 7.0, 3.0])
    found = means_after(expected, (known, known), y, weight, kinds)
    for task in range(3):
        mean = weight[weight[:, task] > 0, task].mean()
        w, before = weight[:, task] / mean, min(known[task] / mean, 100)
        # The beta distribution with this mean and so many positives, after new labels.
        a, b = before, before / expected[task] - before
        posterior = beta(a + w @ y[:, task], b + w @ (1 - y[:, task]))
        assert found[task] == pytest.approx(posterior.mean(), rel=1e-9)
    first = means_after(np.zeros(3), np.zeros((2, 3)), y, np.ones(y.shape), kinds)
    assert_allclose(first, y.mean(axis=0), rtol=1e-6)  # nothing was known before
    unseen = means_after(expected, (known, known), y, weight * [0, 1, 1], kinds)
    assert np.isnan(unseen[0])
    assert_array_equal(unseen[1:], found[1:])


def test_levels_of_rare_tasks_stay_where_they_are_known_to_be():
    rng = np.random.default_rng(0)
    levels = []
    for seed in range(2):
        ranker = ShareBottom(random_state=seed, learning_rate=0.01, batch_size=256)
        for _ in range(6):
            X = rng.normal(size=(4000, 3))
            proba = expit(X[:, :2] - [2.5, 6.5])
            ranker.partial_fit(X, (rng.random(proba.shape) < proba).astype(int))
        X = rng.normal(size=(20_000, 3))
        true = expit(X[:, :2] - [2.5, 6.5]).mean(axis=0)
        levels.append(ranker.predict_task_proba(X).mean(axis=0) / true)
    # 24,000 rows have about 60 positives of the rare task.
    assert_allclose(np.mean(levels, axis=0), 1.0, atol=0.3)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))]
)
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
@pytest.mark.parametrize("embedding_optimizer", ["lazy_adam", "adagrad", "adam"])
def test_every_part_goes_on_learning(how, again, embedding_optimizer):
    """Optimisers of a copied ranker train the copied tables."""
    X, y = make_impressions(600)
    ranker = ShareBottom(embedding_optimizer=embedding_optimizer, **SMALL)
    ranker = again(ranker.fit(X, y))
    net = ranker.net_
    trained = [
        p for o in net.all_optimizers for g in o.param_groups for p in g["params"]
    ]
    assert {id(p) for p in trained} >= {id(p) for p in net.module_.parameters()}
    before = [p.detach().clone() for p in net.module_.parameters()]
    encoder = ranker.encoder_
    if how == "warm_start":
        ranker.set_params(warm_start=True).fit(X, y)
    else:
        ranker.encoder_.min_frequency = 10**6  # no id becomes frequent enough
        ranker.partial_fit(X, y)
    assert encoder.vocabulary_sizes_ == ranker.encoder_.vocabulary_sizes_
    for p, old in zip(ranker.net_.module_.parameters(), before, strict=True):
        assert not p.numel() or (p.detach() != old).any()
