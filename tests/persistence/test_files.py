"""Files are whole, readable by others, and stay readable."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import skmtl
from skmtl import _files
from tests.persistence.keep_file import make

KEPT = Path(__file__).parent / "kept"
# Of what was released. A line is added with a new version, and none is ever changed.
CHECKSUMS = {
    "format_1.safetensors": (
        "e2b6d9269f0b4791f49bf2903bb8c78dc5813e65e61167cd98033552b2a9247c"
    ),
    "format_1.json": (
        "bd6970c56ebf8c1b1cc5b60c8b0c30f724b3e72a65a11643eb8411b9bf86ce70"
    ),
    # Of an embedder before it kept the columns of fit.
    "embedder_1.safetensors": (
        "cd8e873729af4be4450a486e370ac052a12725230bfe9eab3a6bec5b1ab32f4b"
    ),
    "embedder_1.json": (
        "b89d85fd41a803cd8e99bb536812f35934d0f5f8b1d2078b6f429efab4f4e4b4"
    ),
}


def test_a_crash_leaves_the_old_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "ranker.safetensors"
    fitted.save(path)
    before = path.read_bytes()

    def crash(*_):
        raise OSError("disk full")

    for where in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(_files.os, where, crash)
            with pytest.raises(OSError, match="disk full"):
                skmtl.ShareBottom().save(path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["ranker.safetensors"]


def test_permissions_are_those_of_other_files(fitted, tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    fitted.save(tmp_path / "ranker.safetensors")
    plain, saved = (
        (tmp_path / name).stat().st_mode for name in ("plain", "ranker.safetensors")
    )
    assert saved == plain


def test_other_libraries_read_the_tensors(fitted, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    path = tmp_path / "ranker.safetensors"
    fitted.save(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
        state = json.loads(metadata["state"])["object"]
        name = state["state"]["fitted"]["intercept_"]["array"]
        np.testing.assert_array_equal(file.get_tensor(name).numpy(), fitted.intercept_)
    assert metadata["class"] == "MMoE"
    assert metadata["format_version"] == "1"


@pytest.mark.parametrize(
    "path", sorted(KEPT.glob("format_*.safetensors")), ids=lambda p: p.stem
)
def test_kept_files_load(path):
    """Files of every version of the format, and what they predicted when written."""
    expected = json.loads(path.with_suffix(".json").read_text())
    X = pd.DataFrame(expected["X"])
    loaded = skmtl.load(path)
    np.testing.assert_allclose(
        loaded.decision_function(X), expected["score"], rtol=1e-5
    )
    np.testing.assert_allclose(
        loaded.predict_task_proba(X), expected["proba"], rtol=1e-5
    )


def test_the_kept_file_of_an_embedder_loads(tmp_path):
    pytest.importorskip("torch_geometric")
    expected = json.loads((KEPT / "embedder_1.json").read_text())
    rows = pd.DataFrame(expected["rows"])
    loaded = skmtl.load(KEPT / "embedder_1.safetensors")
    loaded.save(tmp_path / "again")
    for one in (loaded, skmtl.load(tmp_path / "again")):
        for X in (rows, rows[["price", "item", "group"]]):
            np.testing.assert_allclose(one.transform(X), expected["vectors"], rtol=1e-5)


def test_kept_files_never_change():
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in KEPT.iterdir()
    }
    assert found == CHECKSUMS


def test_no_name_in_a_file_is_lost(tmp_path):
    """Another name of anything is a new version, and needs a reader of the old one.

    One that is new needs a meaning where it is absent, which the kept files try.
    """
    from skmtl.persistence._container import VERSION

    make()[0].save(tmp_path / "now")
    now = said(tmp_path / "now")
    for owner, names in said(KEPT / f"format_{VERSION}.safetensors").items():
        assert names <= now[owner], owner
    assert {"Vocabulary", "ChainedMMoE", "TableEncoder"} <= now.keys()


def said(path):
    """The names in a file: of each class, those of its state."""
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(path, "numpy") as file:
        state = json.loads(file.metadata()["state"])
    found = {}

    def visit(node, owner):
        if isinstance(node, list):
            for one in node:
                visit(one, owner)
        if isinstance(node, dict):
            owner = node.get("class", owner)
            # How a value is written, which test_kept_files_load reads.
            names = [name for name in node if name not in ("dict", "same")]
            found.setdefault(owner, set()).update(names)
            for one in node.values():
                visit(one, owner)

    visit(state, None)
    return found
