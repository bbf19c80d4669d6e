"""A fit on a source is the fit in memory, without the rows in memory."""

import itertools
import os
import signal
import sys
import tempfile
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest
from scipy import stats

from skmtl import ESMM, Checkpoint, MMoE, ShareBottom
from skmtl.datasets import make_funnel
from skmtl.encoding import EncodedTable, RaggedArray
from skmtl.sources import ParquetFiles
from skmtl.training import piles as piles_module
from tests.sources.makers import IDS, SHARED, TASKS, features


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where rankers put their piles; empty again after each test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert os.listdir(folder) == []


@pytest.fixture
def small_piles(monkeypatch):
    monkeypatch.setattr(piles_module, "PILE_BYTES", 2**14)


def assert_same_network(a, b):
    theirs = dict(b.net_.module_.named_parameters())
    for name, p in a.net_.module_.named_parameters():
        assert p.equal(theirs[name]), name


@pytest.mark.parametrize("weight", [None, "w", ["w", "w", "w"]], ids=str)
def test_one_pile_gives_the_bits_of_a_fit_in_memory(log, weight):
    folder, frame = log
    ranker = MMoE(early_stopping=False, n_experts=2, expert_units=(8,), **SHARED)
    given = frame["w"] if weight == "w" else None
    if isinstance(weight, list):
        given = frame[weight].to_numpy()
    names = [n for n in frame if weight is not None or n != "w"]
    source = ParquetFiles(folder, columns=names)
    X = features(frame)
    memory = ranker.fit(X, frame[TASKS], sample_weight=given)
    expected, network = memory.predict_task_proba(X), memory.net_
    ranker = MMoE(**ranker.get_params()).fit(source, y=TASKS, sample_weight=weight)
    memory.net_ = network
    assert_same_network(memory, ranker)
    np.testing.assert_allclose(ranker.predict_task_proba(X), expected, rtol=1e-5)
    np.testing.assert_array_equal(ranker.prior_, memory.prior_)
    np.testing.assert_array_equal(
        ranker.predict_task_proba(source), ranker.predict_task_proba(X)
    )
    assert ranker.history_.equals(memory.history_)


def test_a_single_task_of_words(log, tmp_path):
    _, frame = log
    frame = frame[["user_id", "price", "hour"]].assign(
        label=np.where(frame["click"] == 1, "yes", "no")
    )
    frame.to_parquet(tmp_path / "words.parquet")
    shared = {**SHARED, "categorical_features": ["user_id"], "early_stopping": False}
    X = frame.drop(columns="label")
    memory = ShareBottom(**shared).fit(X, frame["label"])
    source = ShareBottom(**shared).fit(tmp_path / "words.parquet", "label")
    assert source.classes_.tolist() == ["no", "yes"]
    assert_same_network(memory, source)
    assert source.predict(X).tolist() == memory.predict(X).tolist()


def test_labels_that_are_completed(log):
    folder, frame = log
    ranker = ESMM(early_stopping=False, **SHARED)
    source = ParquetFiles(folder, columns=[n for n in frame if n != "w"])
    a = ESMM(**ranker.get_params()).fit(features(frame), frame[TASKS])
    b = ranker.fit(source, y=TASKS)
    assert_same_network(a, b)


@pytest.mark.usefixtures("small_piles")
@pytest.mark.parametrize(
    "of",
    [
        str,
        lambda folder: ds.dataset(folder),
        lambda folder: pl.scan_parquet(f"{folder}/*.parquet"),
    ],
    ids=["path", "Dataset", "LazyFrame"],
)
def test_many_piles_and_rows_set_aside(log, of):
    folder, frame = log
    ranker = ShareBottom(early_stopping=True, validation_fraction=0.2, **SHARED)
    ranker.fit(of(folder), y=TASKS, sample_weight="w")
    assert ranker.n_validation_rows_ == 600
    assert ranker.history_["valid_loss"].notna().all()
    again = ShareBottom(**ranker.get_params()).fit(
        of(folder), y=TASKS, sample_weight="w"
    )
    assert_same_network(ranker, again)
    assert ranker.score(features(frame), frame[TASKS]) > 0.6


@pytest.mark.usefixtures("small_piles")
def test_the_mean_prediction_is_the_observed_rate(log):
    folder, frame = log
    ranker = ShareBottom(early_stopping=False, **SHARED).set_params(max_iter=4)
    ranker.fit(folder, y=TASKS, sample_weight="w")
    proba = ranker.predict_task_proba(features(frame))
    for t, task in enumerate(TASKS):
        seen = frame[task].notna()
        w = frame["w"][seen]
        mean = np.average(proba[seen, t], weights=w)
        assert mean == pytest.approx(np.average(frame[task][seen], weights=w), rel=1e-4)


@pytest.mark.parametrize("stopping", [True, "auto"])
def test_validation_rows_from_a_source_or_a_table(log, stopping, tmp_path):
    folder, frame = log
    X, y = features(frame), frame[TASKS]
    ranker = ShareBottom(early_stopping=stopping, **SHARED)
    memory = ShareBottom(**ranker.get_params()).fit(
        X, y, sample_weight=frame["w"], X_val=X[:999], y_val=y[:999]
    )
    valid = tmp_path / "valid.parquet"
    frame[:999].to_parquet(valid)
    given = {"y": TASKS, "sample_weight": "w"}
    ranker.fit(folder, **given, X_val=valid)
    assert ranker.n_validation_rows_ == 999
    pd.testing.assert_frame_equal(ranker.history_, memory.history_, rtol=1e-6)
    other = ShareBottom(**ranker.get_params())
    other.fit(folder, **given, X_val=X[:999], y_val=y[:999])
    assert_same_network(other, ranker)


@pytest.mark.usefixtures("small_piles")
def test_a_scorer_judges_the_rows_set_aside(log):
    folder, _ = log
    ranker = ShareBottom(scoring="auc:click", early_stopping=True, **SHARED)
    ranker.fit(folder, y=TASKS, sample_weight="w", X_val=folder)
    scores = [epoch["valid_score"] for epoch in ranker.net_.history]
    expected = [epoch["valid_task_auc"][0] for epoch in ranker.net_.history]
    assert scores == pytest.approx(expected)
    ranker.set_params(scoring=lambda estimator, X, y: 0.5)
    with pytest.raises(ValueError, match=r"scoring is a function.*Give X_val"):
        ranker.fit(folder, y=TASKS, sample_weight="w")


def test_warm_start_keeps_the_vocabulary(log):
    folder, _ = log
    ranker = ShareBottom(warm_start=True, early_stopping=False, **SHARED)
    ranker.fit(folder, y=TASKS, sample_weight="w")
    encoder = ranker.encoder_
    ranker.fit(folder / "1.parquet", y=TASKS, sample_weight="w")
    assert ranker.encoder_ is encoder
    assert ranker.n_iter_ == 4


def scattered(folder, n_rows):
    """Piles of rows that come in order, in blocks; the id of a row is its place."""
    table = EncodedTable(
        np.arange(n_rows, dtype=np.int32)[:, None],
        np.empty((n_rows, 0), np.int32),
        np.zeros((n_rows, 1), np.float32),
    )

    def new_piles(table, n_rows, *, weighted):
        layout = piles_module.RecordLayout.of(table, 1, weighted=weighted)
        return piles_module.Piles(str(folder), layout), layout.row_bytes(table)

    rng = np.random.default_rng(0)
    writer = piles_module.PileWriter(new_piles, False, n_rows, rng)
    for at in np.array_split(np.arange(n_rows), 7):
        labels = np.zeros((len(at), 1), np.float32)
        writer.add(table.take(at), labels, np.ones((len(at), 1)))
    return writer.piles


@pytest.mark.usefixtures("small_piles")
def test_every_pile_is_a_random_sample_and_no_row_is_lost(tmp_path):
    n_rows = 40_000
    piles = scattered(tmp_path, n_rows)
    n_piles = len(piles.sizes)
    assert n_piles >= 20
    pile_of = np.full(n_rows, -1)
    for p in range(n_piles):
        at = piles.read(p).encoded.ids[:, 0]
        assert (pile_of[at] == -1).all()
        pile_of[at] = p
    assert (pile_of >= 0).all()
    # Each pile takes its share of each tenth of the table.
    tenth = np.arange(n_rows) * 10 // n_rows
    counts = np.zeros((10, n_piles))
    np.add.at(counts, (tenth, pile_of), 1)
    assert stats.chi2_contingency(counts).pvalue > 1e-4
    # A row says nothing of the next.
    pairs = np.zeros((n_piles, n_piles))
    np.add.at(pairs, (pile_of[:-1], pile_of[1:]), 1)
    assert stats.chi2_contingency(pairs).pvalue > 1e-4


@pytest.mark.usefixtures("small_piles")
def test_each_epoch_takes_piles_and_their_rows_in_a_new_order(tmp_path):
    piles = scattered(tmp_path, 40_000)
    table = piles_module.PileTable(piles, None, "cpu")
    orders = [
        np.concatenate([X["ids"][:, 0] for X, _ in table.batches(100, shuffle=shuffle)])
        for shuffle in (False, True, True)
    ]
    pile_of = np.empty(40_000, dtype=int)
    for p in range(len(piles.sizes)):
        pile_of[piles.read(p).encoded.ids[:, 0]] = p
    as_written, *shuffled = orders
    ends = np.cumsum(piles.sizes)[:-1]
    assert all((np.diff(one) > 0).all() for one in np.split(as_written, ends))
    first_piles = []
    for order in shuffled:
        assert sorted(order) == list(range(40_000))
        starts = [0, *(np.flatnonzero(np.diff(pile_of[order])) + 1)]
        assert len(starts) == len(piles.sizes)  # one pile after the other
        first_piles.append(pile_of[order][starts].tolist())
        for rows in np.split(order, starts[1:]):
            assert abs(stats.spearmanr(rows, np.arange(len(rows))).statistic) < 0.15
    assert first_piles[0] != first_piles[1]
    assert first_piles[0] != sorted(first_piles[0])


def test_epochs_hold_two_piles_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(piles_module, "PILE_BYTES", 2**20)
    piles = scattered(tmp_path, 200_000)
    table = piles_module.PileTable(piles, None, "cpu")
    for shuffle in (False, True):
        tracemalloc.start()
        try:
            n_rows = sum(len(y) for _, (y, _, _) in table.batches(100, shuffle=shuffle))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert n_rows == 200_000
        # And a few batches at a time, for which half a pile is enough here.
        assert peak < 2.5 * piles.space().nbytes


def test_piles_keep_lists_and_labels(tmp_path):
    rng = np.random.default_rng(0)
    n = 1000
    lengths = rng.integers(0, 4, n)
    bag = RaggedArray.from_lengths(np.arange(lengths.sum()), lengths)
    ids = np.arange(n, dtype=np.int32)[:, None]
    numeric = rng.normal(size=(n, 2)).astype(np.float32)
    table = EncodedTable(ids, np.empty((n, 0), np.int32), numeric, (bag,))
    labels = (ids % 2).astype(np.float32)
    layout = piles_module.RecordLayout.of(table, 1, weighted=True)
    piles = piles_module.Piles(str(tmp_path), layout)
    pile = rng.integers(0, 7, n)
    for at in np.array_split(np.arange(n), 4):
        piles.add(table.take(at), labels[at], ids[at] + 1.0, pile[at])
    assert len(piles) == n
    for p in range(7):
        rows = piles.read(p)
        at = np.flatnonzero(pile == p)
        np.testing.assert_array_equal(rows.encoded.ids[:, 0], at)
        np.testing.assert_array_equal(rows.encoded.numeric, numeric[at])
        np.testing.assert_array_equal(rows.labels, labels[at])
        np.testing.assert_array_equal(rows.weight, ids[at] + 1)
        expected = bag.take(at)
        np.testing.assert_array_equal(rows.encoded.bags[0].values, expected.values)
        np.testing.assert_array_equal(rows.encoded.bags[0].offsets, expected.offsets)
    table = piles_module.PileTable(piles, None, "cpu")
    for size in (1, 64, 999, 5000):
        batches = list(table.batches(size, shuffle=True))
        assert len(batches) == len(table.batches(size, shuffle=True))
        assert [len(y) for _, (y, _, _) in batches][:-1] == [size] * (len(batches) - 1)
        found = np.concatenate([X["ids"][:, 0] for X, _ in batches])
        assert sorted(found) == list(range(n))
        lists = {
            int(i): entries.tolist()
            for X, _ in batches
            for i, entries in zip(
                X["ids"][:, 0],
                X["bags"]
                .columns[0]
                .values.split(X["bags"].columns[0].lengths.tolist()),
                strict=True,
            )
        }
        at = range(0, n, 97)
        assert [lists[i] for i in at] == [bag.take([i]).values.tolist() for i in at]


def test_rows_are_drawn_by_kind():
    from skmtl.tasks import check_targets
    from skmtl.training.passes import HeldOut, LabelKinds

    rng = np.random.default_rng(0)
    y = np.column_stack([rng.random(5000) < 0.3, rng.random(5000) < 0.01]).astype(float)
    y[rng.random(5000) < 0.2, 1] = np.nan
    targets = check_targets(y)
    times = np.zeros(5000)
    for seed in range(100):
        kinds = LabelKinds(targets, np.ones(5000, dtype=np.int64))
        held_out = HeldOut(kinds, 0.1, np.random.RandomState(seed))
        drawn = np.concatenate(
            [
                held_out.draw(targets.take(at))
                for at in np.array_split(np.arange(5000), 7)
            ]
        )
        assert drawn.sum() == 500
        for label in (y[:, 0] == 1, y[:, 1] == 1, np.isnan(y[:, 1])):
            assert drawn[label].sum() == pytest.approx(0.1 * label.sum(), abs=2)
        times += drawn
    assert times.reshape(50, -1).mean(axis=1) == pytest.approx(
        np.full(50, 10.0), abs=1.5
    )


def test_progress_of_passes_and_epochs(log, capsys):
    folder, _ = log
    ShareBottom(verbose=1, **SHARED).fit(folder, y=TASKS, sample_weight="w")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pass 1 of 2, counting  3,000 rows  ")
    assert lines[1].startswith("pass 2 of 2, encoding  3,000 rows  ")
    assert " MB " in lines[0] or " kB " in lines[0]
    assert lines[2].startswith("epoch 1/2")


def test_scratch_space_is_checked_first(log, monkeypatch):
    folder, _ = log
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(
        ValueError, match=r"kB of scratch space.*1 kB free.*scratch_dir"
    ):
        ShareBottom(**SHARED).fit(folder, y=TASKS, sample_weight="w")
    ranker = ShareBottom(scratch_dir="/none", **SHARED)
    with pytest.raises(ValueError, match="'/none' is not a folder"):
        ranker.fit(folder, y=TASKS, sample_weight="w")


def test_scratch_dir_is_where_piles_are(log, tmp_path, monkeypatch):
    folder, _ = log
    other = tmp_path / "other"
    other.mkdir()
    found = []
    original = piles_module.Piles.read

    def spy(self, p, *args):
        found.append(self.folder)
        return original(self, p, *args)

    monkeypatch.setattr(piles_module.Piles, "read", spy)
    ranker = ShareBottom(scratch_dir=other, **SHARED)
    ranker.fit(folder, y=TASKS, sample_weight="w")
    assert found
    assert all(os.path.dirname(one) == str(other) for one in found)
    assert os.listdir(other) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_ctrl_c_cleans_up(log, tmp_path):
    folder, _ = log
    ranker = ShareBottom(
        max_iter=10_000,
        categorical_features=IDS,
        verbose=1,
        early_stopping=False,
        scratch_dir=tmp_path,
    )
    out, into = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(100)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.simplefilter("ignore")
        try:
            with open(into, "w", buffering=1) as sys.stdout:
                ranker.fit(folder, y=TASKS, sample_weight="w")
                print("kept")
        finally:
            os._exit(0)
    os.close(into)
    with open(out) as lines:
        for line in lines:
            if line.startswith("epoch     2/"):
                assert any(name.startswith("skmtl-") for name in os.listdir(tmp_path))
                os.kill(child, signal.SIGINT)
                break
        rest = lines.read()
    os.waitpid(child, 0)
    assert "kept" in rest
    assert [n for n in os.listdir(tmp_path) if n.startswith("skmtl-")] == []


def test_a_file_that_changes_between_passes(tmp_path, monkeypatch):
    frame = make_funnel(500, random_state=0)
    path = tmp_path / "a.parquet"
    frame.data.join(frame.target).to_parquet(path)
    from skmtl.training import source_fit

    original = source_fit.SourceFit._scatter

    def change(self, *arguments):
        frame.data.join(frame.target)[:100].to_parquet(path)
        return original(self, *arguments)

    monkeypatch.setattr(source_fit.SourceFit, "_scatter", change)
    ranker = ShareBottom(categorical_features=IDS[:4], max_iter=1)
    with pytest.raises(ValueError, match=r"a\.parquet' has changed since"):
        ranker.fit(path, y=TASKS)
    assert not hasattr(ranker, "net_")


@pytest.mark.usefixtures("small_piles")
@pytest.mark.parametrize("every", ["epoch", "2s"])
def test_a_checkpoint_resumes_from_new_piles(log, every, tmp_path, monkeypatch):
    folder, _ = log
    seconds = itertools.count()
    monkeypatch.setattr(
        "skmtl.training.checkpoint.monotonic", lambda: float(next(seconds))
    )

    class StopError(Exception):
        pass

    from skorch.callbacks import Callback

    class Crash(Callback):
        armed = True

        def on_train_begin(self, net, X=None, **_):
            self.n_steps, self.of_epoch = 0, -(-len(X) // net.batch_size)

        def on_batch_begin(self, net, training=False, **_):
            self.n_steps += training
            left = net.pass_ is not None and net.pass_.n_batches
            if self.armed and len(net.history) == 2 and left == 9:
                raise StopError

    arguments = {**SHARED, "max_iter": 3, "early_stopping": False, "dropout": 0.1}
    whole = ShareBottom(**arguments).fit(folder, y=TASKS, sample_weight="w")
    point = Checkpoint(tmp_path / "point", every=every)
    with pytest.raises(StopError):
        ShareBottom(callbacks=[point, Crash()], **arguments).fit(
            folder, y=TASKS, sample_weight="w"
        )
    Crash.armed = False
    crash = Crash()
    point = Checkpoint(tmp_path / "point", every=every)
    resumed = ShareBottom(callbacks=[point, crash], **arguments)
    resumed.fit(folder, y=TASKS, sample_weight="w")
    assert_same_network(whole, resumed)
    # Nine steps of the second epoch were done, and some of them saved.
    steps = 2 * crash.of_epoch - crash.n_steps
    assert steps == 0 if every == "epoch" else 7 <= steps <= 9


def test_pretrained_vectors_and_their_coverage(log):
    folder, frame = log
    items = np.unique(frame["item_id"])[::2]
    vectors = pd.DataFrame(np.eye(len(items), 4), index=items)
    shared = {**SHARED, "embeddings": {"item_id": vectors}, "early_stopping": False}
    source = ParquetFiles(folder, columns=[n for n in frame if n != "w"])
    memory = ShareBottom(**shared).fit(features(frame), frame[TASKS])
    ranker = ShareBottom(**shared).fit(source, y=TASKS)
    assert_same_network(memory, ranker)
    pd.testing.assert_frame_equal(
        ranker.embedding_coverage_, memory.embedding_coverage_
    )


def test_labels_that_are_floats_in_some_files(tmp_path):
    log = make_funnel(1500, random_state=0)
    X, y = log.data, log.target[["click"]].astype("int64")
    late = y[700:].astype(float)
    late[::9] = np.nan
    X[:700].assign(click=y.click[:700]).to_parquet(tmp_path / "0.parquet")
    X[700:].assign(click=late.click).to_parquet(tmp_path / "1.parquet")
    given = {
        "categorical_features": ["user_id", "item_id", "category_id", "device"],
        "max_iter": 1,
        "early_stopping": False,
        "random_state": 0,
    }
    found = ShareBottom(**given).fit(str(tmp_path), ["click"])
    whole = pd.concat([y[:700], late]).astype(float)
    X[:700].assign(click=whole.click[:700]).to_parquet(tmp_path / "0.parquet")
    same = ShareBottom(**given).fit(str(tmp_path), ["click"])
    np.testing.assert_array_equal(
        found.predict_task_proba(X), same.predict_task_proba(X)
    )
    assert found.prior_[0] == pytest.approx(whole.click.mean())
