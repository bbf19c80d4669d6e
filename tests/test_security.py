"""What SECURITY.md and the guide say of hostile files and tables."""

import hashlib
import io
import os
import pickle
import time

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from skops import io as skops_io
from skorch.callbacks import Callback

import skmtl
from skmtl import ShareBottom, TableEncoder
from skmtl.persistence import trusted_types
from skmtl.training import checkpoint
from skmtl.training.checkpoint import Checkpoint

SMALL = {"max_iter": 2, "random_state": 0, "n_bins": 4, "tower_units": (4,)}


class Hostile:
    """Writes a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def trap(tmp_path):
    return tmp_path / "it ran"


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"id": list("abcd") * 20, "x": rng.normal(size=80)})
    return X, np.column_stack([X["x"] > 0, X["x"] > 1]).astype(int)


def test_a_pickle_runs_what_it_says(trap):
    pickle.loads(pickle.dumps(Hostile(trap)))
    assert trap.exists()


def test_load_runs_nothing(trap, tmp_path):
    path = tmp_path / "model"
    for content in (pickle.dumps(Hostile(trap)), _torch_bytes(Hostile(trap))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            skmtl.load(path)
    assert not trap.exists()


def test_skops_builds_nothing_else(trap):
    names = trusted_types()
    assert all(name.startswith(("skmtl.", "torch", "numpy")) for name in names)
    data = skops_io.dumps({"model": Hostile(trap)})
    with pytest.raises(TypeError, match="Untrusted types"):
        skops_io.loads(data, trusted=names)
    assert not trap.exists()


def test_only_a_fit_writes_to_the_paths_of_a_file(table, tmp_path):
    """And `set_params` keeps it from there."""
    folder, scratch = tmp_path / "run", tmp_path / "scratch"
    given = {"callbacks": [Checkpoint(folder)], "scratch_dir": str(scratch)}
    ShareBottom(**SMALL).fit(*table).set_params(**given).save(tmp_path / "model")
    loaded = skmtl.load(tmp_path / "model")
    loaded.predict_task_proba(table[0])
    assert loaded.scratch_dir == str(scratch)
    assert not folder.exists()
    loaded.set_params(callbacks=None, scratch_dir=None).fit(*table)
    assert not folder.exists()
    skmtl.load(tmp_path / "model").set_params(scratch_dir=None).fit(*table)
    assert folder.exists()
    assert not scratch.exists()


def _torch_bytes(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _forge(folder, data):
    """Files whose checksum is right; it finds damage, not forgery."""
    digest = hashlib.blake2b(data).hexdigest().encode()
    for name in (checkpoint._LAST, checkpoint._PREVIOUS):
        (folder / name).write_bytes(checkpoint._FORMAT + digest + b"\n" + data)


FORGED = {
    "number": 7,
    "other keys": {"a": torch.ones(2)},
    "fingerprint of a number": {"fingerprint": 7},
    "fingerprint of nothing": {"fingerprint": None},
    "fingerprint of a list": {"fingerprint": ["learning_rate"]},
    "fingerprint alone": {"fingerprint": {"learning_rate": "0.1"}},
    "no text": {1: 2},
}


@pytest.mark.parametrize("kind", ["code", "no archive", *FORGED])
def test_a_forged_checkpoint_runs_nothing(kind, trap, tmp_path, table):
    if kind == "code":
        data = _torch_bytes({"module": Hostile(trap)})
    else:
        data = b"x" * 100 if kind == "no archive" else _torch_bytes(FORGED[kind])
    _forge(tmp_path, data)
    ranker = ShareBottom(**SMALL, callbacks=[Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match="Remove them to train from the start"):
        ranker.fit(*table)
    assert not trap.exists()


class _StopError(Exception):
    """Ends a fit."""


class _Stop(Callback):
    def __init__(self):
        self.seen_ = 0

    def on_epoch_begin(self, net, **_):
        if len(net.history) == 2:
            raise _StopError


@pytest.fixture
def saved(tmp_path, table):
    """What a fit that was killed saved."""
    with pytest.raises(_StopError):
        ShareBottom(**SMALL, callbacks=[_Stop(), Checkpoint(tmp_path)]).fit(*table)
    return checkpoint._from_bytes((tmp_path / checkpoint._LAST).read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": {7: 8}},
        {"module": {}},
        {"module": {"a": torch.ones(2)}},
        {"optimizer": {}},
        {"optimizer": {"parts": 7}},
        {"generator": torch.ones(2)},
        {"average": {}},
        {"callbacks": [7]},
        {"history": [7]},
        {"pass": {}},
        {"frozen": [[]], "module": {"a": 7}},
    ],
    ids=repr,
)
def test_a_forged_checkpoint_of_the_same_fit_is_refused(change, saved, tmp_path, table):
    _forge(tmp_path, _torch_bytes(saved | change))
    ranker = ShareBottom(**SMALL, callbacks=[_Stop(), Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match=r"does not fit its network|is of another fit"):
        ranker.fit(*table)
    assert not hasattr(ranker, "net_")


def test_a_forged_checkpoint_replaces_no_method(saved, tmp_path, table):
    known = {"on_epoch_begin": 7, "__class__": 7, "__dict__": {}, "seen_": 1}
    change = {"callbacks": [("_Stop", known)]}
    _forge(tmp_path, _torch_bytes(saved | change))
    stop = _Stop()
    ranker = ShareBottom(**SMALL, callbacks=[stop, Checkpoint(tmp_path)])
    with pytest.raises(_StopError):
        ranker.fit(*table)
    assert callable(stop.on_epoch_begin)
    assert vars(stop) == {"seen_": 1}


def test_an_onnx_file_has_operators_and_no_paths(table, tmp_path):
    from skmtl.export import to_onnx

    to_onnx(ShareBottom(**SMALL).fit(*table), tmp_path / "ranker.onnx")
    model = onnx.load(tmp_path / "ranker.onnx", load_external_data=False)
    domains = {one.domain for one in model.opset_import}
    assert domains <= {"", "ai.onnx", "ai.onnx.ml"} | {
        f.domain for f in model.functions
    }
    assert all(not one.external_data for one in model.graph.initializer)


def test_ids_of_a_hostile_table_take_bounded_memory():
    n = 2000
    ids = pd.DataFrame({"id": [f"{'x' * 50}{k}" for k in range(n)]})
    limited = TableEncoder(["id"], min_frequency=1, max_categories=100).fit(ids)
    assert limited.vocabulary_sizes_ == [101]
    hashed = TableEncoder(["id"], n_buckets={"id": 50}).fit(ids)
    assert hashed.vocabulary_sizes_ == [51]
    assert len(pickle.dumps(hashed)) < 20_000
    size = len(pickle.dumps(limited))
    others = pd.DataFrame({"id": [f"y{k}" for k in range(n)]})
    limited.encode(others)  # what was not known stays unknown
    assert len(pickle.dumps(limited)) < size + 500


def test_integers_with_equal_hashes_take_linear_time():
    def seconds(n):
        cells = [2**64 + k * (2**61 - 1) for k in range(n)]
        X = pd.DataFrame({"id": pd.Series(cells, dtype=object)})
        start = time.process_time()
        TableEncoder(["id"], min_frequency=1).fit(X)
        return time.process_time() - start

    seconds(100)
    # Quadratic time would be 64 times as much.
    few, many = (min(seconds(n) for _ in range(3)) for n in (250, 2000))
    assert many < 30 * few


@pytest.mark.parametrize("text", ["=cmd|'/C'!A0", "{0.__class__}", "%s" * 50, "\0"])
def test_text_is_text(text, table):
    X, y = table
    ranker = ShareBottom(**SMALL).fit(X.assign(id=[text, "b"] * 40), y)
    assert np.isfinite(ranker.predict_task_proba(X.assign(id=text))).all()
    with pytest.raises(ValueError, match="lacks columns"):
        ranker.predict_task_proba(pd.DataFrame({text: [1.0]}))


def test_long_lists_can_be_cut():
    X = pd.DataFrame({"ids": [["a"] * 100_000, ["b"]]})
    encoder = TableEncoder(max_length=10, min_frequency=1).fit(X)
    assert encoder.encode(X).bags[0].values.size == 11
