"""Fixtures of the tests of files."""

from functools import cache

import pytest

from tests.persistence.conftest import IDS, make_table, small_ranker


@pytest.fixture(scope="session", autouse=True)
def _operators_read_once():
    """Keep what each export reads again: the sources of all operators of ONNX."""
    try:
        from torch.onnx._internal.exporter._registration import onnxscript_apis as apis

        read = cache(apis.get_torchlib_ops)
    except (ImportError, AttributeError):  # another version; it only takes longer
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apis, "get_torchlib_ops", read)
        yield


@pytest.fixture(scope="session")
def table():
    return make_table(400, 0)


@pytest.fixture(scope="session")
def fitted(table):
    return small_ranker("ShareBottom", categorical_features=IDS).fit(*table)
