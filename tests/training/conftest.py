"""The tables and rankers of the tests of rankers."""

import pytest

from tests.rankers.conftest import make_impressions, maker

__all__ = ["maker"]


@pytest.fixture(scope="session")
def impressions():
    return make_impressions()
