"""Columns of a log: names, and times of every kind."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skmtl.embedders import GraphSAGEEmbedder, Word2VecEmbedder
from skmtl.embedders._log import Log, column_position

CODES = np.arange(4)
GROUP = pd.Series(["u"] * 4, name="user")
DAYS = [3, 1, 4, 2]
DATES = [dt.date(2020, 1, day) for day in DAYS]
MOMENTS = [dt.datetime(2020, 1, day) for day in DAYS]
SPANS = [dt.timedelta(day) for day in DAYS]
ARROW = pd.ArrowDtype


@pytest.mark.parametrize(
    "time",
    [
        pd.Series(DATES, dtype=ARROW(pa.date32())),
        pd.Series(DATES, dtype=ARROW(pa.date64())),
        pd.Series(MOMENTS, dtype=ARROW(pa.timestamp("us", "UTC"))),
        pd.Series(SPANS, dtype=ARROW(pa.duration("ms"))),
        pd.Series([dt.time(d) for d in DAYS], dtype=ARROW(pa.time64("us"))),
        pd.Series(DATES, dtype=object),
        pd.Series(MOMENTS, dtype=object),
        pd.Series(MOMENTS),
        pd.Series(MOMENTS).dt.tz_localize("UTC"),
        pd.Series(SPANS),
        pd.Series(pd.PeriodIndex(DATES, freq="D")),
        pd.Series(DAYS),
        pd.Series(DAYS, dtype="UInt8"),
        pd.Series(DAYS, dtype=float),
    ],
    ids=lambda time: str(time.dtype) + type(time.iloc[0]).__name__,
)
def test_times_of_every_kind_order_the_events(time):
    log = Log.of(CODES, GROUP, time)
    np.testing.assert_array_equal(log.codes, np.argsort(DAYS))


def test_times_that_cannot_be_compared():
    mixed = pd.Series(MOMENTS, dtype=object, name="when")
    mixed[0] = mixed[0].replace(tzinfo=dt.UTC)
    with pytest.raises(TypeError, match="Column 'when' holds the times"):
        Log.of(CODES, GROUP, mixed)


@pytest.mark.parametrize("kind", [Word2VecEmbedder, GraphSAGEEmbedder])
def test_columns_of_one_name_are_refused_by_name(kind):
    X = pd.DataFrame([[1, 2, 3], [1, 3, 4]], columns=["c", "c", "d"])
    with pytest.raises(ValueError, match="several columns named 'c'"):
        kind(max_iter=1).fit(X)


def test_a_column_is_found_by_its_own_name_only():
    names = [True, np.nan, pd.NA, "user", 7]
    assert column_position("user", names, "group_column") == 3
    assert column_position(7, names, "group_column") == 4
    assert column_position(1, names, "group_column") == 1  # an index, not True
    assert column_position(-1, names, "group_column") == 4
    with pytest.raises(ValueError, match="names 'item', which is not a column"):
        column_position("item", names, "item_column")
