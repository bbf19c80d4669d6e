"""Fixtures of the tests of files."""

import pytest

from tests.persistence.conftest import IDS, make_table, small_ranker


@pytest.fixture(scope="session")
def table():
    return make_table(400, 0)


@pytest.fixture(scope="session")
def fitted(table):
    return small_ranker("ShareBottom", categorical_features=IDS).fit(*table)
