"""Files of rankers whose tasks are not all binary."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl import BinaryTask, FixedOutputWeights, RegressionTask
from skmtl.calibration import CalibratedTasksCV
from skmtl.export import onnx_inputs, to_onnx
from tests.rankers.test_task_kinds import KINDS, make, make_table

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", ["ShareBottom", "ESMM"])
def test_files_give_one_probability_of_two_logits(name, tmp_path):
    X, y = make_table(400)
    kinds = {"cart": BinaryTask("jrc")}
    ranker = make(name, task_kinds=kinds, max_iter=1)
    ranker.fit(X, y[["click", "cart"]], groups=np.arange(400) // 8)
    to_onnx(ranker, tmp_path / "ranker.onnx", X=X)
    session = onnxruntime.InferenceSession(tmp_path / "ranker.onnx")
    (found,) = session.run(["probabilities"], onnx_inputs(session, X))
    assert_allclose(found, ranker.predict_task(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "dwells"),
    [
        ("ESMM", [RegressionTask(transform="log1p")]),
        ("ChainedMMoE", [RegressionTask("gamma"), RegressionTask("huber")]),
    ],
)
def test_files_give_expected_labels(name, dwells, tmp_path):
    X, y = make_table(400)
    y.loc[:, "items"] = 3.0  # nothing to learn
    kinds = dict(KINDS)
    for k, dwell in enumerate(dwells):
        y[f"dwell{k}"], kinds[f"dwell{k}"] = y["dwell"], dwell
    with pytest.warns(UserWarning, match="'items' has only equal labels"):
        ranker = make(name, task_kinds=kinds).fit(X, y)
    to_onnx(ranker, tmp_path / "ranker.onnx", X=X)
    session = onnxruntime.InferenceSession(tmp_path / "ranker.onnx")
    assert [one.name for one in session.get_outputs()] == ["predictions"]
    (found,) = session.run(None, onnx_inputs(session, X))
    assert_allclose(found, ranker.predict_task(X), rtol=1e-5, atol=1e-6)
    described = session.get_modelmeta().custom_metadata_map
    columns = ranker.set_output(transform="pandas").predict_task(X).columns
    assert json.loads(described["columns"]) == list(columns)
    assert np.isclose(found[:, 4], 3.0).all()


@pytest.mark.parametrize("method", ["sum", "product"])
def test_files_fuse_tasks_of_several_kinds(method, tmp_path):
    X, y = make_table(400)
    y = y[["stars", "reason", "click", "dwell"]]
    kinds = {task: KINDS[task] for task in ("stars", "reason", "dwell")}
    ranker = make("ShareBottom", task_kinds=kinds).fit(X, y)
    calibrated = CalibratedTasksCV(ranker, method="prior_shift", cv="prefit").fit(X, y)
    weights = {"stars": 0.5, ("click", "dwell"): 2.0}
    weighed = FixedOutputWeights(calibrated, weights, method=method)
    to_onnx(weighed, tmp_path / "ranker.onnx", X=X)
    session = onnxruntime.InferenceSession(tmp_path / "ranker.onnx")
    values, score = session.run(["predictions", "score"], onnx_inputs(session, X))
    assert_allclose(values, calibrated.predict_task(X), rtol=1e-5, atol=1e-6)
    assert_allclose(score, weighed.decision_function(X), rtol=1e-5)
    described = session.get_modelmeta().custom_metadata_map
    assert json.loads(described["output_weights"]) == [0.5, 2.0]
    assert json.loads(described["score_terms"]) == [["stars"], ["click", "dwell"]]
