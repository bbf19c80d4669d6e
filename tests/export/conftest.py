"""Fixtures of the tests of files."""

from functools import cache

import pytest

from skmtl import FixedOutputWeights
from skmtl.export import to_onnx
from tests.persistence.conftest import IDS, make_table, small_ranker


@pytest.fixture(scope="session", autouse=True)
def _operators_read_once():
    """Keep what each export reads again: the operators of ONNX and their signatures."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        read = cache(ONNXRegistry.from_torchlib)
    except (ImportError, AttributeError):  # another version; it only takes longer
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(read))
        yield


@pytest.fixture(scope="session")
def weighed(fitted):
    """The ranker with output weights."""
    return FixedOutputWeights(fitted, {"click": 1, "order": 5})


@pytest.fixture(scope="session")
def path(weighed, tmp_path_factory):
    """The file of the ranker with output weights."""
    path = tmp_path_factory.mktemp("export") / "ranker.onnx"
    to_onnx(weighed, path)
    return path


@pytest.fixture(scope="session")
def table():
    return make_table(400, 0)


@pytest.fixture(scope="session")
def fitted(table):
    return small_ranker("ShareBottom", categorical_features=IDS).fit(*table)
