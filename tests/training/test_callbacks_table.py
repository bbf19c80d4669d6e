"""Every callback of skorch: works, or is refused with what to do instead.

``docs/user_guide/skorch.rst`` has a row for each.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skorch.callbacks
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    Initializer,
    InputShapeSetter,
    LRScheduler,
    NeptuneLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    Unfreezer,
)

from skmtl import MMoE
from skmtl.metrics import get_task_scorer, roc_auc
from tests.rankers.makers import ON_IMPRESSIONS

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "skorch.rst"
SMALL = {
    **ON_IMPRESSIONS,
    "max_iter": 3,
    "expert_units": (8,),
    "tower_units": (4,),
    "batch_size": 256,
    "average_weights": False,
}


def fitted(impressions, *callbacks, valid=True, **params):
    X, y = impressions
    ranker = MMoE(callbacks=list(callbacks), **{**SMALL, **params})
    if valid:
        return ranker.fit(X[:1200], y[:1200], X_val=X[1200:], y_val=y[1200:])
    return ranker.fit(X[:1200], y[:1200])


def test_the_page_has_a_row_for_each():
    table = PAGE.read_text("utf-8").partition("   * - callback\n")[2]
    rows = set(re.findall(r"^   \* - ``(\w+)``", table, re.M))
    kinds = {
        name
        for name in skorch.callbacks.__all__
        if issubclass(getattr(skorch.callbacks, name), Callback) and name != "Callback"
    }
    assert rows == kinds | {"WarmRestartLR"}


# Probabilities in float32 may tie where outputs do not.
SCORINGS = {
    "roc_auc": np.mean,
    "None": np.mean,
    "auc:cart": lambda auc: auc[1],
    "function": lambda auc: auc[0],
}


def scoring(name):
    if name == "function":
        return lambda net, X, y: roc_auc_score(y[:, 0], net.predict_proba(X)[0][:, 1])
    if name == "None":
        return None
    return name if name == "roc_auc" else get_task_scorer(name)


# Without caching skorch passes no labels.
@pytest.mark.parametrize(
    ("name", "use_caching"), [*((name, True) for name in SCORINGS), ("function", False)]
)
def test_epoch_scoring(impressions, name, use_caching):
    if use_caching:
        callback = EpochScoring(scoring(name), lower_is_better=False, name="mine")
    else:
        labels = impressions[1][1200:].to_numpy()
        callback = EpochScoring(
            lambda net, X, y: scoring(name)(net, X, labels),
            lower_is_better=False,
            name="mine",
            use_caching=False,
        )
    ranker = fitted(impressions, callback)
    history = ranker.net_.history
    for found, areas in zip(
        history[:, "mine"], history[:, "valid_task_auc"], strict=True
    ):
        assert found == pytest.approx(SCORINGS[name](areas), abs=1e-4)
    assert any(history[:, "mine_best"])


def test_epoch_scoring_on_rows_of_training(impressions):
    callback = EpochScoring("roc_auc", on_train=True, lower_is_better=False)
    history = fitted(impressions, callback, valid=False).net_.history
    expected = np.mean(history[:, "train_task_auc"], axis=1)
    assert_allclose(history[:, "roc_auc"], expected, atol=1e-4)


def test_labels_that_were_not_observed_are_nan_for_scorers(impressions):
    X, y = impressions
    rng = np.random.default_rng(0)
    y = y.astype(float).mask(rng.random(y.shape) < 0.3)
    seen = []

    def keep(net, X, y):
        seen.append(y)
        return float(np.mean(roc_auc(y, np.column_stack(proba(net, X)))))

    def proba(net, X):
        return [p[:, 1] for p in net.predict_proba(X)]

    history = fitted((X, y), EpochScoring(keep, name="mine")).net_.history
    np.testing.assert_array_equal(seen[-1], y[1200:])
    assert_allclose(
        history[:, "mine"], np.mean(history[:, "valid_task_auc"], axis=1), atol=1e-4
    )


def test_one_task_is_a_binary_problem(impressions):
    X, y = impressions
    callback = EpochScoring("roc_auc", lower_is_better=False)
    history = fitted((X, y["click"]), callback).net_.history
    expected = np.ravel(history[:, "valid_task_auc"])
    assert_allclose(history[:, "roc_auc"], expected, atol=1e-4)


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("on_train", [True, False])
def test_batch_scoring(impressions, on_train, use_caching):
    def rate(net, X, y):
        assert len(net.predict_proba(X)[0]) == len(y)
        return float(y[:, 0].mean())

    callback = BatchScoring(
        rate, name="rate", on_train=on_train, use_caching=use_caching
    )
    ranker = fitted(impressions, callback, batch_size=300)
    part = slice(None, 1200) if on_train else slice(1200, None)
    expected = impressions[1]["click"][part].mean()
    assert_allclose(ranker.net_.history[:, "rate"], expected)


def test_passthrough_scoring(impressions):
    class Half(Callback):
        def on_batch_end(self, net, batch, training, **_):
            if training:
                net.history.record_batch("rows", len(batch[1]) / 2)

    half = fitted(impressions, Half(), PassthroughScoring("rows", on_train=True))
    sizes = [256, 256, 256, 256, 176]
    expected = np.average(np.divide(sizes, 2), weights=sizes)
    assert_allclose(half.net_.history[:, "rows"], expected)
    assert half.net_.history[0, "batches", 4, "train_batch_size"] == 176


def test_losses_of_batches_average_to_that_of_the_epoch(impressions):
    history = fitted(impressions, EpochTimer()).net_.history
    for part, count in (("train", 5), ("valid", 1)):
        for epoch in history:
            assert epoch[f"{part}_batch_count"] == count
            batches = [b for b in epoch["batches"] if f"{part}_loss" in b]
            sizes = [b[f"{part}_batch_size"] for b in batches]
            mean = np.average([b[f"{part}_loss"] for b in batches], weights=sizes)
            assert mean == pytest.approx(epoch[f"{part}_loss"], rel=1e-5)


def test_early_stopping_on_validation_and_training_loss(impressions):
    for monitor in ("valid_loss", "train_loss"):
        callback = EarlyStopping(
            monitor, patience=1, threshold=10, threshold_mode="abs", sink=id
        )
        valid = monitor == "valid_loss"
        ranker = fitted(impressions, callback, valid=valid, max_iter=9)
        assert ranker.n_iter_ == 2


def test_early_stopping_restores_the_best(impressions):
    callback = EarlyStopping(patience=2, load_best=True, sink=id)
    found = fitted(impressions, callback, max_iter=30, learning_rate=0.05)
    own = fitted(impressions, max_iter=found.best_iter_, learning_rate=0.05)
    assert found.best_iter_ < found.n_iter_
    assert_allclose(
        found.predict_task_proba(impressions[0]),
        own.predict_task_proba(impressions[0]),
    )


@pytest.mark.parametrize(
    "callback",
    [
        EarlyStopping(),
        EpochScoring("roc_auc"),
        BatchScoring("roc_auc"),
        PassthroughScoring("mine"),
        LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
    ],
)
def test_what_reads_validation_rows_is_refused_without(impressions, callback):
    with pytest.raises(ValueError, match=r"\[0\], \w+, reads .*Pass X_val and y_val"):
        fitted(impressions, callback, valid=False)
    with pytest.raises(ValueError, match="no validation rows"):
        MMoE(callbacks=[("named", callback)], **SMALL).partial_fit(*impressions)


def test_input_shape_setter_is_refused(impressions):
    for given in (InputShapeSetter(), InputShapeSetter, ("shape", InputShapeSetter())):
        with pytest.raises(TypeError, match="takes the shape of its input from the"):
            fitted(impressions, given)


def rates(impressions, *callbacks, **params):
    class Rates(Callback):
        def __init__(self):
            self.found = []

        def on_batch_begin(self, net, training, **_):
            if training:
                self.found.append(net.optimizer_.param_groups[0]["lr"])

    keep = Rates()
    ranker = fitted(impressions, keep, *callbacks, **params)
    return np.array(keep.found), ranker


def test_warm_restarts_and_schedules_by_batch(impressions):
    restart = LRScheduler("WarmRestartLR", min_lr=0.0, max_lr=0.01, base_period=2)
    found, _ = rates(impressions, restart, max_iter=4)
    cosine = 0.005 * (1 + np.cos(np.pi * np.arange(4) / 2))
    per_epoch = found[::5]
    assert per_epoch[0] == pytest.approx(0.01)
    assert per_epoch[1] == pytest.approx(cosine[1])
    by_batch = LRScheduler(
        torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5, step_every="batch"
    )
    found, ranker = rates(impressions, by_batch, max_iter=1)
    assert_allclose(found, 5e-3 * 0.5 ** np.arange(5))
    assert_allclose(ranker.net_.history[0, "batches", :5, "event_lr"], found)


def test_plateau_watches_a_score(impressions):
    plateau = LRScheduler(
        "ReduceLROnPlateau", monitor="train_loss", patience=0, threshold=0.99
    )
    found, _ = rates(impressions, plateau, valid=False)
    assert found[0] == 5e-3
    assert found[-1] == pytest.approx(5e-4)


def test_parameters_are_mapped_and_frozen(impressions):
    constant = partial(torch.nn.init.constant_, val=0.25)
    net = fitted(
        impressions, Initializer("towers*weight", fn=constant), Freezer("towers*")
    ).net_
    for name, p in net.module_.named_parameters():
        if name.startswith("towers") and name.endswith("weight"):
            assert (p == 0.25).all()
    again = fitted(
        impressions,
        ParamMapper("towers*weight", fn=constant, at=1),
        Freezer("towers*", at=1),
        Unfreezer("towers*", at=2),
        max_iter=2,
    ).net_
    moved = dict(again.module_.named_parameters())["towers.output.weight"]
    assert (moved != 0.25).any()


def test_print_log_prints_without_verbose(impressions, capsys):
    lists = ["loss_weight", "train_task_loss", "train_task_auc"]
    fitted(impressions, PrintLog(keys_ignored=lists), valid=False)
    out = capsys.readouterr().out
    assert "train_auc_cart" in out
    assert "train_task_auc" not in out
    assert len(out.splitlines()) == 5
    fitted(impressions, EpochTimer(), valid=False)
    assert not capsys.readouterr().out


def test_progress_bar(impressions, capsys):
    fitted(impressions, ProgressBar(detect_notebook=False))
    shown = capsys.readouterr().err
    assert shown.count("0/7") == 3


def test_neptune(impressions, monkeypatch):
    import sys
    from types import ModuleType

    logged = {}

    class Namespace:
        """Takes what neptune's runs take: values by path, and series to append to."""

        def __init__(self, path=""):
            self.path = path

        def __getitem__(self, key):
            return Namespace(f"{self.path}/{key}")

        def __setitem__(self, key, value):
            logged[f"{self.path}/{key}"] = value

        def append(self, value):
            logged.setdefault(self.path, []).append(value)

        def stop(self):
            logged["stopped"] = True

    types, handler = ModuleType("neptune.types"), ModuleType("neptune.handler")
    types.File = type(
        "File", (), {"from_content": staticmethod(lambda text, **_: text)}
    )
    handler.Handler = type("Handler", (), {})
    monkeypatch.setitem(sys.modules, "neptune", ModuleType("neptune"))
    monkeypatch.setitem(sys.modules, "neptune.types", types)
    monkeypatch.setitem(sys.modules, "neptune.handler", handler)
    lists = ["loss_weight", "train_task_loss", "train_task_auc"]
    callback = NeptuneLogger(Namespace(), keys_ignored=lists)
    history = fitted(impressions, callback, valid=False).net_.history
    assert logged["/training/train/epoch/auc_cart"] == history[:, "train_auc_cart"]
    assert "/training/train/epoch/task_auc" not in logged
    assert logged["stopped"]


def test_timer_is_there_already(impressions):
    assert all(d > 0 for d in fitted(impressions).net_.history[:, "dur"])


def test_trackers_that_take_an_experiment(impressions):
    logged = {}

    class Experiment:
        def log_scalar(self, name, value, step):
            logged.setdefault(name, []).append(value)

    lists = ["loss_weight", "train_task_loss", "train_task_auc"]
    ranker = fitted(
        impressions, SacredLogger(Experiment(), keys_ignored=lists), valid=False
    )
    assert logged["train_auc_cart"] == ranker.net_.history[:, "train_auc_cart"]
    assert not set(lists) & set(logged)


class TestParametersOfCallbacks:
    def ranker(self):
        scheduler = LRScheduler("StepLR", step_size=1, gamma=0.5)
        return MMoE(callbacks=[("lr", scheduler), EpochTimer()], **SMALL)

    def test_they_are_listed_and_set_as_in_skorch(self, impressions):
        ranker = self.ranker()
        params = ranker.get_params()
        assert params["callbacks__lr__gamma"] == 0.5
        assert isinstance(params["callbacks__EpochTimer"], EpochTimer)
        assert "callbacks__lr" not in ranker.get_params(deep=False)
        ranker.set_params(callbacks__lr__gamma=0.1)
        history = ranker.fit(*impressions).net_.history
        assert_allclose(history[:, "event_lr"], 5e-3 * 0.1 ** np.arange(3))

    def test_a_callback_is_left_out_or_changed(self, impressions):
        ranker = self.ranker().set_params(callbacks__lr=None).fit(*impressions)
        assert "event_lr" not in ranker.net_.history[-1]
        other = LRScheduler("StepLR", step_size=1, gamma=0.9)
        ranker.set_params(callbacks__lr=other, callbacks__lr__gamma=0.8)
        assert ranker.get_params()["callbacks__lr__gamma"] == 0.8

    def test_a_clone_has_its_own(self):
        ranker = self.ranker()
        clone(ranker).set_params(callbacks__lr__gamma=0.1)
        assert ranker.get_params()["callbacks__lr__gamma"] == 0.5

    def test_equal_kinds_are_numbered(self):
        ranker = MMoE(callbacks=[EpochTimer(), EpochTimer])
        assert {k for k in ranker.get_params() if k.startswith("callbacks__")} == {
            "callbacks__EpochTimer_1",
            "callbacks__EpochTimer_2",
        }

    def test_those_with_a_name_are_not_counted(self):
        ranker = MMoE(callbacks=[("timer", EpochTimer()), EpochTimer()])
        assert {k for k in ranker.get_params() if k.startswith("callbacks__")} == {
            "callbacks__timer",
            "callbacks__EpochTimer",
        }

    @pytest.mark.parametrize("name", ["callbacks__rate", "callbacks__rate__gamma"])
    def test_unknown_names(self, name):
        with pytest.raises(ValueError, match=r"\['EpochTimer', 'lr'\].*by a pair"):
            self.ranker().set_params(**{name: 1})
        with pytest.raises(ValueError, match="callback 'lr' is None"):
            self.ranker().set_params(callbacks__lr=None).set_params(
                callbacks__lr__gamma=1
            )
