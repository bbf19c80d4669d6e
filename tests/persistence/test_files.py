"""Files are whole, readable by others, and stay readable."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import skmtl
from skmtl import _files

KEPT = Path(__file__).parent / "kept"


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
    "path", sorted(KEPT.glob("*.safetensors")), ids=lambda p: p.stem
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


def test_a_file_of_this_version_is_kept():
    from skmtl.persistence._container import VERSION

    assert (KEPT / f"format_{VERSION}.safetensors").exists()
