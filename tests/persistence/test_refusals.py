"""What a file cannot hold, and what is not read."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import EpochScoring

import skmtl
from skmtl import MMoE
from skmtl.persistence._container import pack, unpack
from tests.persistence.conftest import small_ranker


def refuse(message, estimator, tmp_path):
    path = tmp_path / "saved.safetensors"
    with pytest.raises(ValueError, match=message):
        skmtl.save(estimator, path)
    assert not path.exists()


def fade(progress):
    return 1 - progress


def test_functions_are_named(tmp_path):
    ranker = MMoE(learning_rate_schedule=fade)
    refuse(r"MMoE\.learning_rate_schedule is the function 'fade'", ranker, tmp_path)
    refuse(r"MMoE\.scoring is the function", MMoE(scoring=fade), tmp_path)


def test_objects_of_others_are_named(tmp_path):
    ranker = MMoE(callbacks=[EpochScoring("x")])
    refuse(r"MMoE\.callbacks\[0\] is a skorch\..*EpochScoring", ranker, tmp_path)
    around = skmtl.FixedOutputWeights(LogisticRegression())
    refuse(r"FixedOutputWeights\.estimator is a sklearn.*LogisticReg", around, tmp_path)
    refuse("LogisticRegression", LogisticRegression(), tmp_path)
    refuse("not an estimator", [1, 2], tmp_path)


def test_own_classes_are_named(tmp_path):
    class MMoE(skmtl.MMoE):
        """A namesake."""

    refuse("MMoE is a .*test_own_classes", MMoE(), tmp_path)


def test_own_scorers_are_named(fitted, table, tmp_path):
    from skmtl.metrics import make_task_scorer

    def metric(y, score):
        return float(score.mean())

    own = make_task_scorer(metric)
    search = skmtl.OutputWeightSearchCV(fitted, weights=3, cv="prefit", scoring=own)
    refuse("OutputWeightSearchCV.scoring", search, tmp_path)


def test_other_hyperparameters_than_those_of_fit(table, tmp_path):
    ranker = small_ranker("MMoE").fit(table[0][["price"]], table[1])
    ranker.set_params(n_experts=5)
    refuse("were changed after fit", ranker, tmp_path)
    ranker.set_params(n_experts=2, max_iter=7)
    ranker.save(tmp_path / "saved.safetensors")


def test_later_versions_say_who_wrote_them(fitted):
    data = fitted.__getstate__()["saved"]
    newer = _with_metadata(data, format_version="2", skmtl_version="9.1")
    with pytest.raises(ValueError, match=r"format version 2, .*skmtl 9\.1"):
        skmtl.persistence.from_bytes(newer)


@pytest.mark.parametrize("version", ["", "one", "²", "-1", "1.0"])
def test_versions_that_are_none(fitted, version):
    data = _with_metadata(fitted.__getstate__()["saved"], format_version=version)
    with pytest.raises(ValueError, match="version"):
        skmtl.persistence.from_bytes(data)


@pytest.mark.parametrize(
    "name", ["Popen", "os.system", "LogisticRegression", None, 3, ["MMoE"]]
)
def test_unknown_classes_are_named(fitted, name):
    data = _changed(fitted, lambda state: state["object"].update({"class": name}))
    with pytest.raises(ValueError, match="does not load"):
        skmtl.persistence.from_bytes(data)


def _set_method(state):
    state["object"]["state"]["fitted"]["predict_proba"] = 1


def _set_class(state):
    state["object"]["state"]["fitted"]["__class__"] = 1


def _unknown_parameter(state):
    state["object"]["state"]["params"]["n_foes"] = 1


def _unknown_value(state):
    state["object"]["state"]["params"]["n_experts"] = {"eval": "1"}


def _object_array(state):
    state["object"]["state"]["fitted"]["prior_"] = {"scalar": ["object", 1]}


def _object_of_a_part(state):
    made = {"class": "ExpertMixture", "state": {"params": {}, "fitted": {}}}
    state["object"]["state"]["params"]["towers"] = {"object": made, "number": 99}


def _optimizer(state):
    made = {"class": "torch.optim.SGD", "state": {"params": {}, "fitted": {}}}
    state["object"]["state"]["params"]["optimizer"] = {"object": made, "number": 99}


@pytest.mark.parametrize(
    "forge",
    [
        _set_method, _set_class, _unknown_parameter, _unknown_value, _object_array,
        _object_of_a_part, _optimizer,
    ],
)  # fmt: skip
def test_forged_files_are_refused(fitted, forge):
    with pytest.raises(ValueError, match="The file"):
        skmtl.persistence.from_bytes(_changed(fitted, forge))


def test_files_of_others(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "other.safetensors"
    numpy.save_file({"weight": np.ones(3)}, path)
    with pytest.raises(ValueError, match="not written by skmtl"):
        skmtl.load(path)
    path.write_bytes(b"PK\x03\x04 a zip")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        skmtl.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        skmtl.load(path)
    with pytest.raises(FileNotFoundError):
        skmtl.load(tmp_path / "nothing.safetensors")


def test_extra_is_named(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"skmtl\[safe\]"):
        MMoE().save(tmp_path / "saved.safetensors")


def _changed(estimator, change):
    arrays, metadata = unpack(estimator.__getstate__()["saved"])
    state = json.loads(metadata["state"])
    change(state)
    return pack(arrays, {**metadata, "state": json.dumps(state)})


def _with_metadata(data, **changes):
    arrays, metadata = unpack(data)
    return pack(arrays, {**metadata, **changes})
