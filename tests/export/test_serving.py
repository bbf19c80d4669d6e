"""The apps of the page on serving answer as the ranker does, and node as Python."""

import json
import os
import shutil
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from skmtl.export import onnx_inputs
from tests.persistence.conftest import make_table

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

SERVING = Path(__file__).parents[2] / "docs" / "serving"


def client(name, path, monkeypatch):
    from starlette.testclient import TestClient

    monkeypatch.setenv("SKMTL_MODEL", str(path))
    spec = spec_from_file_location(name, SERVING / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return TestClient(module.app)


def request_of(frame):
    """Candidates of one user, as JSON has them."""
    rows = json.loads(frame.to_json(orient="records"))
    return {"context": {"user": rows[0]["user"]}, "candidates": rows}


@pytest.fixture(scope="module")
def candidates():
    frame = make_table(500, 4)[0]
    frame["user"] = 7
    frame.loc[3, "item"] = "never seen"
    return frame


def test_onnx_app(weighed, path, candidates, monkeypatch):
    other = candidates.iloc[::-1].head(20)
    with client("onnx_app", path, monkeypatch) as service:
        assert service.get("/health").json()["tasks"] == ["click", "order"]
        answer = service.post("/rank", json=request_of(candidates)).json()
        many = service.post(
            "/rank_many", json=[request_of(candidates), request_of(other)]
        ).json()
        wrong = service.post("/rank", json={"candidates": [{"price": "dear"}]})
        none = service.post("/rank", json={"candidates": []})
    expected = weighed.decision_function(candidates)
    np.testing.assert_allclose(answer["score"], expected, atol=1e-6)
    assert (
        answer["order"]
        == np.argsort(-np.array(answer["score"]), kind="stable").tolist()
    )
    np.testing.assert_allclose(
        answer["probabilities"], weighed.predict_task_proba(candidates), atol=1e-6
    )
    assert many[0] == answer
    np.testing.assert_allclose(
        many[1]["score"], weighed.decision_function(other), atol=1e-6
    )
    assert wrong.status_code == none.status_code == 422


def test_onnx_app_is_unhealthy_before_the_model_is_there(path, monkeypatch):
    service = client("onnx_app", path, monkeypatch)  # not started
    assert service.get("/health").status_code == 503


def test_ranker_app(weighed, candidates, tmp_path, monkeypatch):
    import torch

    threads = torch.get_num_threads()
    weighed.save(tmp_path / "ranker.safetensors")
    try:
        with client("ranker_app", tmp_path / "ranker.safetensors", monkeypatch) as one:
            assert one.get("/health").json() == {"tasks": ["click", "order"]}
            answer = one.post("/rank", json=request_of(candidates)).json()
            wrong = one.post("/rank", json={"candidates": [{"price": "dear"}]})
    finally:
        torch.set_num_threads(threads)
    expected = weighed.decision_function(candidates)
    assert answer["score"] == expected.tolist()
    assert answer["order"] == np.argsort(-expected, kind="stable").tolist()
    assert wrong.status_code == 422


def test_node_scores_the_same(path, candidates, tmp_path):
    """Needs node, and SKMTL_NODE_MODULES: a folder with onnxruntime-node from npm."""
    modules = os.environ.get("SKMTL_NODE_MODULES")
    if not modules or not shutil.which("node"):
        pytest.skip("SKMTL_NODE_MODULES names no folder with onnxruntime-node")
    session = onnxruntime.InferenceSession(path)
    text = session.get_modelmeta().custom_metadata_map["inputs"]
    path.with_suffix(".json").write_text(text)
    (tmp_path / "rows.json").write_text(candidates.to_json(orient="records"))
    out = subprocess.run(
        ["node", SERVING / "score.mjs", path, tmp_path / "rows.json"],
        cwd=modules, capture_output=True, text=True, check=True,
    )  # fmt: skip
    proba = session.run(None, onnx_inputs(session, candidates))[0]
    np.testing.assert_array_equal(np.array(json.loads(out.stdout)), proba.ravel())
