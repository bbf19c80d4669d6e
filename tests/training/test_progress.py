"""What a fit records of its epochs, and what it shows while it runs."""

import io
import re
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback

from skmtl import MMoE, ShareBottom
from skmtl.tasks import binary_kinds
from skmtl.training import epochs
from skmtl.training.epochs import MAX_ROWS, EpochScores, duration, scores_of_outputs


def small(**kwargs):
    shared = {"max_iter": 2, "tower_units": (8,), "random_state": 0, **kwargs}
    return ShareBottom(bottom_units=(16,), **shared)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def aucs(ranker, X, y, weight=None):
    proba = ranker.predict_task_proba(X)
    out = []
    for t, task in enumerate(y):
        seen = y[task].notna().to_numpy()
        w = None if weight is None else weight[seen]
        out.append(roc_auc_score(y[task][seen], proba[seen, t], sample_weight=w))
    return out


def test_validation_auc_is_that_of_the_predictions(impressions):
    X, y = impressions
    y = y.astype(float).mask(np.random.default_rng(0).random(y.shape) < 0.2)
    ranker = small(max_iter=1).fit(X[:1000], y[:1000], X_val=X[1000:], y_val=y[1000:])
    found = ranker.net_.history[-1, "valid_task_auc"]
    # Batches of other sizes round otherwise, which may swap one pair of equal scores.
    positives = (y[1000:] == 1).sum().to_numpy()
    pairs = positives * (y[1000:] == 0).sum().to_numpy()
    expected = aucs(ranker, X[1000:], y[1000:])
    assert (np.abs(np.array(found) - expected) <= 1.001 / pairs).all()


@pytest.mark.parametrize("n", [400, 1500])  # few rows are merged, many are not
def test_training_auc_counts_rows_by_weight_before_their_step(impressions, n):
    X, y = impressions[0][:n], impressions[1][:n].astype(float)
    weight = np.random.default_rng(1).integers(1, 4, n).astype(float)
    ranker = small(max_iter=1, learning_rate=1e-9, unknown_rate=0.0)
    ranker.fit(X, y, sample_weight=weight)
    found = ranker.net_.history[-1, "train_task_auc"]
    assert found == pytest.approx(aucs(ranker, X, y, weight), abs=1e-3)


def test_a_task_of_one_class_has_no_auc():
    logits, labels = np.array([[0.1, 2], [0.2, 1]]), np.array([[0, 1], [1, 1]])
    found = scores_of_outputs(logits, labels, None, binary_kinds(2))
    assert found == {"auc": pytest.approx([1.0, np.nan], nan_ok=True)}
    found = scores_of_outputs(logits, labels, np.zeros((2, 2)), binary_kinds(2))
    assert np.isnan(found["auc"]).all()


def test_training_auc_reads_a_bounded_number_of_rows():
    import torch

    callback = EpochScores(np.array(["click"]), binary_kinds(1), scalars=False)
    callback.on_epoch_begin(None)
    rows = torch.zeros(MAX_ROWS // 2, 1)
    for _ in range(4):
        callback.on_batch_end(
            None, batch=(None, rows), weight=None, training=True, y_pred=rows
        )
    assert len(callback.parts_[True]) == 2


def test_the_best_epoch_is_marked(impressions):
    X, y = impressions
    ranker = small(max_iter=6, early_stopping=True, learning_rate=0.05).fit(X, y)
    losses = ranker.net_.history[:, "valid_loss"]
    best = np.flatnonzero(ranker.net_.history[:, "valid_best"])[-1]
    assert best == np.argmin(losses)


def test_callbacks_of_the_caller_see_numbers_for_each_task(impressions):
    class Keep(Callback):
        seen = ()

        def on_epoch_end(self, net, **_):
            Keep.seen = dict(net.history[-1])

    X, y = impressions
    small(callbacks=[Keep()], early_stopping=True).fit(X, y)
    for key in ("train_loss", "valid_loss", "train_auc", "valid_auc", "loss_weight"):
        for name in y:
            assert isinstance(Keep.seen[f"{key}_{name}"], float)
    assert Keep.seen["valid_auc_cart"] == Keep.seen["valid_task_auc"][1]
    assert "valid_auc_cart" not in small().fit(X, y).net_.history[-1]


LINE = re.compile(
    r"epoch \d/2  (train|valid): click loss \d\.\d{5} AUC 0\.\d{5}, cart loss "
    r"\d\.\d{5} AUC 0\.\d{5}(  score 0\.\d{5})?  \d+\.\d s  [\d,]+ rows/s  "
    r"\d+\.\d s left"
)


@pytest.mark.parametrize(
    "settings", [{}, {"early_stopping": True, "scoring": "mean_auc"}]
)
def test_where_there_is_no_terminal_whole_lines_are_written(
    impressions, capsys, settings
):
    small(verbose=1, **settings).fit(*impressions)
    out = capsys.readouterr().out
    assert "\r" not in out
    lines = out.splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, line
        assert match[1] == ("valid" if settings else "train")
        assert bool(match[2]) == bool(settings)
    assert lines[-1].endswith("  0.0 s left")


def test_on_a_terminal_the_line_moves(impressions, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(epochs, "REFRESH", 0.0)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", "60")
    small(verbose=1).fit(*impressions)
    parts = stream.getvalue().replace("\n", "").split("\r")[1:]
    moving = [part for part in parts if "%" in part]
    whole = [part for part in parts if "%" not in part]
    assert len(moving) > 10
    assert all(len(part) < 60 for part in moving)
    assert re.search(r"100%  [\d,]+ rows/s  \d+\.\d s left", moving[-1])
    assert len(whole) == 2
    assert all(LINE.fullmatch(part) for part in whole)


def test_warm_starts_count_on(impressions, capsys):
    ranker = small(verbose=1, warm_start=True, max_iter=1)
    ranker.fit(*impressions).fit(*impressions)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/1", "epoch 2/2"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (3723, "1:02:03"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_progress_bar_shows_candidates_folds_and_epochs(impressions, capsys):
    callback = pytest.importorskip("sklearn.callback")
    X, y = impressions
    ranker = MMoE(n_experts=2, expert_units=(8,), tower_units=(), max_iter=2)
    search = GridSearchCV(ranker, {"learning_rate": [1e-3, 1e-2]}, cv=KFold(2))
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, y)
    out = capsys.readouterr().out
    assert "GridSearchCV" in out
    assert out.count("MMoE") >= 5
    assert "100%" in out


def test_scikit_learn_scores_the_ranker_after_each_epoch(impressions):
    callback = pytest.importorskip("sklearn.callback")
    X, y = impressions
    monitor = callback.ScoringMonitor(scoring="roc_auc")
    ranker = small(max_iter=3).set_callbacks(monitor).fit(X, y)
    log = monitor.get_logs().data_as_pandas
    last_epoch = log[log["parent_task_id_path"] == (0,)].iloc[-1]
    assert len(log) == 4  # the fit, and its three epochs
    assert log["roc_auc"].notna().all()
    # The intercept, which comes last, changes no order.
    assert last_epoch["roc_auc"] == pytest.approx(ranker.score(X, y), abs=1e-6)
