"""The tables of the tests of rankers."""

from tests.rankers.conftest import impressions

__all__ = ["impressions"]
