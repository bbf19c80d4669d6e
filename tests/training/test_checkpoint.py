"""A fit that was killed and started again ends with the same bits."""

import itertools
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback, LRScheduler, PassthroughScoring
from torch.optim.lr_scheduler import ExponentialLR

from skmtl import ESMM, Checkpoint, MMoE, ShareBottom
from skmtl.weighting import get_strategy_names
from tests.rankers.conftest import make_impressions

SMALL = {
    "max_iter": 4,
    "random_state": 0,
    "categorical_features": ["user", "item"],
    "expert_units": (8,),
    "n_experts": 2,
    "tower_units": (4,),
    "batch_size": 256,
}


class KilledError(Exception):
    """Stands for the end of a process."""


class KillAt(Callback):
    """End a fit at a batch of an epoch, as if the process died."""

    def __init__(self, epoch, batch):
        self.epoch, self.batch = epoch, batch

    def on_epoch_begin(self, net, **_):
        self.left = self.batch

    def on_batch_begin(self, net, training=False, **_):
        if training and len(net.history) == self.epoch:
            self.left -= 1
            if self.left < 0:
                raise KilledError


def killed_and_resumed(
    kind, params, tables, folder, *, epoch, batch, others=list, every="epoch"
):
    """Fit, die, and fit again in a new object."""
    checkpoint = Checkpoint(folder, every=every)
    with pytest.raises(KilledError):
        kind(callbacks=[KillAt(epoch, batch), *others(), checkpoint], **params).fit(
            *tables
        )
    counted = Epochs()
    callbacks = [counted, *others(), Checkpoint(folder, every=every)]
    ranker = kind(callbacks=callbacks, **params).fit(*tables)
    return ranker, counted


class Epochs(Callback):
    def __init__(self):
        self.n = self.n_batches = 0

    def on_epoch_begin(self, net, **_):
        self.n += 1

    def on_batch_begin(self, net, training=False, **_):
        self.n_batches += training


@pytest.fixture
def clock(monkeypatch):
    """A clock that is a second later at every look."""
    ticks = itertools.count()
    monkeypatch.setattr(
        "skmtl.training.checkpoint.monotonic", lambda: float(next(ticks))
    )


def assert_same(found, expected, X):
    assert_array_equal(found.predict_task_proba(X), expected.predict_task_proba(X))
    assert_array_equal(found.loss_weight_, expected.loss_weight_)
    assert found.history_.equals(expected.history_)
    assert found.n_iter_ == expected.n_iter_
    left = vars(found.net_.optimizer_), vars(expected.net_.optimizer_)
    for one, other in zip(left[0]["parts"], left[1]["parts"], strict=True):
        for p, q in zip(one.state.values(), other.state.values(), strict=True):
            for name in q:
                torch.testing.assert_close(p[name], q[name], rtol=0, atol=0)


CASES = {
    "plain": {},
    "early_stopping": {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 6},
    "score": {"early_stopping": True, "scoring": "mean_auc"},
    "dropout": {"dropout": 0.2, "gate_dropout": 0.2},
    "average": {"average_weights": True, "early_stopping": True},
    "sgd": {"optimizer": "sgd", "embedding_optimizer": "adagrad"},
    "dense": {"embedding_optimizer": "adam", "learning_rate_schedule": "linear"},
    "gradients": {"record_gradients": True},
    **{name: {"loss_weight": name} for name in get_strategy_names()},
}


@pytest.mark.parametrize("case", CASES)
def test_the_rest_of_a_fit_is_the_same(impressions, case, tmp_path):
    X, y = impressions
    params = {**SMALL, **CASES[case]}
    expected = MMoE(**params, callbacks=[Epochs()]).fit(X, y)
    ranker, counted = killed_and_resumed(
        MMoE, params, (X, y), tmp_path, epoch=3, batch=2
    )
    assert counted.n <= params["max_iter"] - 2
    assert_same(ranker, expected, X)
    assert not list(tmp_path.iterdir())  # nothing is left of a fit that is done


# What changes from step to step beyond the parameters: all but these have no state.
STATELESS = {"mgda", "pcgrad", "cagrad", "imtl_g", "aligned_mtl"}


@pytest.mark.parametrize("case", sorted(CASES.keys() - STATELESS))
def test_the_rest_of_an_epoch_is_the_same(impressions, case, tmp_path, clock):
    X, y = (table[:900] for table in impressions)
    params = {**SMALL, "max_iter": 3, **CASES[case], "batch_size": 128}
    counted = Epochs()
    expected = MMoE(**params, callbacks=[counted]).fit(X, y)
    n_batches = counted.n_batches // counted.n
    ranker, counted = killed_and_resumed(
        MMoE, params, (X, y), tmp_path, epoch=2, batch=n_batches - 1, every="3s"
    )
    # Some of the second epoch was done, and no more than three steps are done again.
    assert 0 < counted.n_batches - (counted.n - 1) * n_batches <= 4
    assert_same(ranker, expected, X)
    assert not list(tmp_path.iterdir())


class Frozen(Callback):
    """Stop training the towers after the first epoch."""

    def on_epoch_begin(self, net, **_):
        if len(net.history) == 2:
            net.module_.towers.requires_grad_(False)


@pytest.mark.parametrize("every", ["epoch", "3s"])
def test_what_callbacks_know_is_resumed(impressions, every, tmp_path, clock):
    X, y = impressions

    def others():
        return [
            PassthroughScoring("train_loss_of_batches", on_train=True),
            LRScheduler(ExponentialLR, gamma=0.9, step_every="batch"),
            Frozen(),
            Losses(),
        ]

    class Losses(Callback):
        def on_batch_end(self, net, training=False, loss=None, **_):
            if training:
                net.history.record_batch("train_loss_of_batches", loss.item())
                net.history.record_batch("train_batch_size", 128)

    params = {**SMALL, "batch_size": 128}
    expected = MMoE(**params, callbacks=others()[::-1]).fit(X, y)
    ranker, _ = killed_and_resumed(
        MMoE, params, (X, y), tmp_path, epoch=3, batch=8,
        others=lambda: others()[::-1], every=every,
    )  # fmt: skip
    assert_same(ranker, expected, X)
    for key in ("train_loss_of_batches", "train_loss"):
        assert ranker.net_.history[:, key] == expected.net_.history[:, key]


def test_two_checkpoints_are_refused(impressions, tmp_path):
    callbacks = [Checkpoint(tmp_path / "a"), Checkpoint(tmp_path / "b")]
    with pytest.raises(ValueError, match="callbacks has 2 Checkpoints"):
        ShareBottom(callbacks=callbacks, **SMALL_BOTTOM).fit(*impressions)


def test_files_of_a_killed_write_are_removed(impressions, tmp_path):
    part = tmp_path / ".last.checkpoint.0123abcd.part"
    part.write_bytes(b"half")
    ShareBottom(callbacks=[Checkpoint(tmp_path)], **SMALL_BOTTOM).fit(*impressions)
    assert not part.exists()


def test_a_fit_that_dies_in_its_first_epoch_starts_again(impressions, tmp_path):
    X, y = impressions
    expected = ESMM(**{**SMALL_BOTTOM}).fit(X, y)
    ranker, counted = killed_and_resumed(
        ESMM, SMALL_BOTTOM, (X, y), tmp_path, epoch=1, batch=3
    )
    assert counted.n == 4
    assert_array_equal(ranker.predict_task_proba(X), expected.predict_task_proba(X))


SMALL_BOTTOM = {
    **{k: v for k, v in SMALL.items() if k not in ("expert_units", "n_experts")},
    "bottom_units": (8,),
}


def test_a_warm_start_and_schedulers_of_skorch_resume(impressions, tmp_path):
    X, y = impressions

    def fit(*callbacks):
        ranker = ShareBottom(**SMALL_BOTTOM, warm_start=True).fit(X, y)
        scheduler = LRScheduler(ExponentialLR, gamma=0.5)
        return ranker.set_params(callbacks=[scheduler, *callbacks]).fit(X, y)

    expected = fit()
    with pytest.raises(KilledError):
        fit(KillAt(7, 1), Checkpoint(tmp_path))
    counted = Epochs()
    ranker = fit(counted, Checkpoint(tmp_path))
    assert counted.n == 2
    assert_same(ranker, expected, X)


def test_short_training_on_long_tables_resumes(tmp_path):
    """Its intercept comes from predictions that training made."""
    X, y = make_impressions(70_000)
    params = {**SMALL_BOTTOM, "max_iter": 2, "batch_size": 4096}
    expected = ShareBottom(**params).fit(X, y)
    ranker, counted = killed_and_resumed(
        ShareBottom, params, (X, y), tmp_path, epoch=2, batch=10
    )
    assert counted.n == 1
    assert_array_equal(ranker.intercept_, expected.intercept_)
    assert_array_equal(ranker.predict_task_proba(X), expected.predict_task_proba(X))


@pytest.fixture
def interrupted(impressions, tmp_path):
    with pytest.raises(KilledError):
        ShareBottom(callbacks=[KillAt(3, 0), Checkpoint(tmp_path)], **SMALL_BOTTOM).fit(
            *impressions
        )
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.1}, "learning_rate was 0.005, is 0.1"),
        ({"max_iter": 9}, "max_iter was 4, is 9"),
        ({"random_state": 1}, "random_state was 0, is 1"),
        ({"loss_weight": "mgda"}, "loss_weight was 'auto', is 'mgda'"),
    ],
)
def test_another_fit_is_refused(impressions, interrupted, change, message):
    params = {**SMALL_BOTTOM, **change}
    with pytest.raises(ValueError, match=message):
        ShareBottom(callbacks=[Checkpoint(interrupted)], **params).fit(*impressions)


def test_other_tables_are_refused(impressions, interrupted):
    X, y = impressions
    other = X.assign(price=X["price"] + 1)
    ranker = ShareBottom(callbacks=[Checkpoint(interrupted)], **SMALL_BOTTOM)
    with pytest.raises(ValueError, match="is of another fit: table was"):
        ranker.fit(other, y.iloc[::-1].reset_index(drop=True))
    with pytest.raises(ValueError, match="validation table"):
        ranker.fit(X, y, X_val=X[:100], y_val=y[:100])


def test_a_damaged_file_gives_way_to_the_one_before(impressions, interrupted):
    X, y = impressions
    expected = ShareBottom(**SMALL_BOTTOM).fit(X, y).predict_task_proba(X)
    last = interrupted / "last.checkpoint"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    counted = Epochs()
    # One callback more than the fit that was killed had.
    callbacks = [Epochs(), counted, Checkpoint(interrupted)]
    ranker = ShareBottom(callbacks=callbacks, **SMALL_BOTTOM)
    message = r"last.checkpoint is damaged\. .*previous.checkpoint.* is used\."
    with pytest.warns(UserWarning, match=message):
        ranker.fit(X, y)
    assert counted.n == 3
    assert_array_equal(ranker.predict_task_proba(X), expected)


def test_a_damaged_file_never_replaces_the_one_before(
    impressions, interrupted, monkeypatch
):
    """A process dies at its first save after it used the file before."""
    X, y = impressions
    expected = ShareBottom(**SMALL_BOTTOM).fit(X, y).predict_task_proba(X)
    last = interrupted / "last.checkpoint"
    last.write_bytes(last.read_bytes()[:-10])

    def dies(path, *parts):
        raise KilledError

    ranker = ShareBottom(callbacks=[Checkpoint(interrupted)], **SMALL_BOTTOM)
    with monkeypatch.context() as patched:
        patched.setattr("skmtl.training.checkpoint.write_whole", dies)
        with pytest.warns(UserWarning, match="is damaged"), pytest.raises(KilledError):
            ranker.fit(X, y)
    counted = Epochs()
    callbacks = [counted, Checkpoint(interrupted)]
    ranker = ShareBottom(callbacks=callbacks, **SMALL_BOTTOM)
    with pytest.warns(UserWarning, match="is damaged"):
        ranker.fit(X, y)
    assert counted.n == 3
    assert_array_equal(ranker.predict_task_proba(X), expected)


def test_two_damaged_files_are_an_error(impressions, interrupted):
    for file in interrupted.iterdir():
        file.write_bytes(file.read_bytes()[:-10])
    ranker = ShareBottom(callbacks=[Checkpoint(interrupted)], **SMALL_BOTTOM)
    with pytest.raises(ValueError, match="Remove them to train from the start"):
        ranker.fit(*impressions)
    assert len(list(interrupted.iterdir())) == 2


def test_a_crash_while_files_are_removed_leaves_the_last(interrupted, monkeypatch):
    removed = []
    monkeypatch.setattr(Path, "unlink", lambda self, **_: removed.append(self.name))
    Checkpoint(interrupted).remove()
    assert removed == ["previous.checkpoint", "last.checkpoint"]


def test_saves_wait_for_their_time(impressions, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("skmtl.training.checkpoint.monotonic", lambda: now[0])
    written = []
    monkeypatch.setattr(
        "skmtl.training.checkpoint.write_whole",
        lambda path, *parts: written.append(path),
    )

    class Clock(Callback):
        def on_epoch_end(self, net, **_):
            now[0] += 25 * 60

    params = {**SMALL_BOTTOM, "max_iter": 7}
    ShareBottom(callbacks=[Clock(), Checkpoint(tmp_path, every="1h")], **params).fit(
        *impressions
    )
    assert len(written) == 2  # after 75 and 150 minutes


@pytest.mark.parametrize("every", ["10 minutes", "min", "", 600])
def test_times_are_checked(impressions, tmp_path, every):
    ranker = ShareBottom(callbacks=[Checkpoint(tmp_path, every=every)], **SMALL_BOTTOM)
    with pytest.raises(ValueError, match="must be 'epoch' or a time such as"):
        ranker.fit(*impressions)


def test_a_seed_is_needed(impressions, tmp_path):
    params = {**SMALL_BOTTOM, "random_state": None}
    with pytest.raises(ValueError, match="needs random_state to be an integer"):
        ShareBottom(callbacks=[Checkpoint(tmp_path)], **params).fit(*impressions)


class Say(Callback):
    def on_epoch_begin(self, net, **_):
        print("epoch", len(net.history), flush=True)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_kill_9(tmp_path):
    """A process that dies between any two instructions, and another one after it."""
    X, y = make_impressions(4000)
    expected = to_be_killed().fit(X, y).predict_task_proba(X)
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            with open(into, "w") as sys.stdout:
                to_be_killed(Say(), Checkpoint(tmp_path / "run")).fit(X, y)
        finally:
            os._exit(1)
    os.close(into)
    with open(out) as lines:
        for line in lines:
            if line.strip() == "epoch 4":  # two epochs are saved, perhaps three
                break
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    assert os.WTERMSIG(status) == signal.SIGKILL
    counted = Epochs()
    ranker = to_be_killed(counted, Checkpoint(tmp_path / "run")).fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), expected)
    assert counted.n in (2, 3)
    assert not list((tmp_path / "run").iterdir())


def to_be_killed(*callbacks):
    return MMoE(
        max_iter=5,
        batch_size=256,
        random_state=0,
        dropout=0.1,
        categorical_features=["user", "item"],
        callbacks=list(callbacks),
    )
