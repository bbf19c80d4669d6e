"""The tables and rankers of the tests of rankers."""

from tests.rankers.conftest import impressions, maker

__all__ = ["impressions", "maker"]
