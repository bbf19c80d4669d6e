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


def _torch_bytes(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["code", "number", "other keys", "no archive"])
def test_a_forged_checkpoint_runs_nothing(kind, trap, tmp_path, table):
    """The checksum is right; it finds damage, not forgery."""
    data = {
        "code": lambda: _torch_bytes({"module": Hostile(trap)}),
        "number": lambda: _torch_bytes(7),
        "other keys": lambda: _torch_bytes({"a": torch.ones(2)}),
        "no archive": lambda: b"x" * 100,
    }[kind]()
    digest = hashlib.blake2b(data).hexdigest().encode()
    for name in (checkpoint._LAST, checkpoint._PREVIOUS):
        (tmp_path / name).write_bytes(checkpoint._FORMAT + digest + b"\n" + data)
    ranker = ShareBottom(**SMALL, callbacks=[Checkpoint(tmp_path)])
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(ValueError, match="Remove them to train from the start"),
    ):
        ranker.fit(*table)
    assert not trap.exists()


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
