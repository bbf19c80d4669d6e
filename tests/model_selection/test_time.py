"""TimeSplit never trains on the future, nor on the users it is tested on."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import TimeSeriesSplit, cross_validate

from skmtl.metrics import get_task_scorer
from skmtl.model_selection import TimeSplit


def folds(split, time, groups=None):
    X = np.zeros((len(time), 1))
    return list(split.split(X, groups=groups, timestamps=time))


@settings(deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(0, 5),
    st.sampled_from([None, 7]),
    st.sampled_from([None, 20]),
    st.booleans(),
)
def test_nothing_leaks(seed, n_splits, gap, test_size, train_size, by_user):
    rng = np.random.default_rng(seed)
    time = rng.integers(0, 80, 400)
    time[:2] = 0, 79
    groups = rng.integers(0, 400, 400) if by_user else None
    split = TimeSplit(n_splits, test_size=test_size, gap=gap, train_size=train_size)
    found = folds(split, time, groups)
    assert len(found) == split.get_n_splits() == n_splits
    tested = np.concatenate([test for _, test in found])
    assert len(set(tested)) == len(tested)
    for train, test in found:
        start = time[test].min()
        assert time[train].max() + gap < start
        if train_size is not None:
            assert np.ptp(time[train]) < train_size
        if test_size is not None:
            assert np.ptp(time[test]) < test_size
        if by_user:
            assert not set(groups[train]) & set(groups[test])
    starts = [time[test].min() for _, test in found]
    assert starts == sorted(starts)
    assert time[found[-1][1]].max() == 79


def test_every_possible_row_is_used():
    time = np.random.default_rng(0).permutation(60)
    for train, test in folds(TimeSplit(3, test_size=10, gap=5), time):
        begin = time[test].min()
        assert sorted(time[test]) == list(range(begin, begin + 10))
        assert sorted(time[train]) == list(range(begin - 5))


def test_equals_scikit_learn_for_ordered_rows():
    time = np.arange(60)
    for ours, theirs in zip(
        folds(TimeSplit(5), time), TimeSeriesSplit(5).split(time), strict=True
    ):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_rows_of_one_timestamp_stay_together():
    time = np.repeat([1, 2, 3, 4], [10, 30, 5, 15])
    for train, test in folds(TimeSplit(2), time):
        assert not set(time[train]) & set(time[test])


@pytest.mark.parametrize("counts", [[90, 1, 1, 1], [1, 1, 90, 1], [1, 1, 1, 90]])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float64])
def test_unequal_timestamps_fill_every_window(counts, dtype):
    time = np.repeat(np.array([0, 60, 90, 120], dtype=dtype), counts)
    found = folds(TimeSplit(3), time)
    assert [set(time[test]) for _, test in found] == [{60}, {90}, {120}]
    assert len(folds(TimeSplit(2, test_size=50), time)) == 2


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates(zone):
    dates = pd.Series(pd.date_range("2026-01-01", periods=30, freq="D", tz=zone))
    shuffled = dates.sample(frac=1, random_state=0)
    found = folds(TimeSplit(2, test_size="5D", gap=pd.Timedelta(days=2)), shuffled)
    again = folds(TimeSplit(2, test_size="5D", gap=np.timedelta64(2, "D")), shuffled)
    for fold, same in zip(found, again, strict=True):
        for rows, expected in zip(fold, same, strict=True):
            assert_array_equal(rows, expected)
    days = shuffled.to_numpy()
    (train, test), (_, last) = found
    assert sorted(days[test]) == list(dates[20:25].to_numpy())
    assert sorted(days[train]) == list(dates[:18].to_numpy())
    assert sorted(days[last]) == list(dates[25:].to_numpy())


def test_users_of_the_test_are_not_trained_on():
    time, users = np.arange(8), np.array(list("abcabdce"))
    ((train, test),) = folds(TimeSplit(1, test_size=2), time, users)
    assert "".join(users[test]) == "ce"
    assert "".join(users[train]) == "ababd"


def test_metadata_routing():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(90, 2)), rng.integers(0, 2, (90, 2))
    time, users = rng.integers(0, 30, 90), rng.integers(0, 300, 90)
    model = DummyClassifier(strategy="uniform", random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        kwargs = {"scoring": get_task_scorer("auc"), "return_indices": True}
        result = cross_validate(
            model, X, y, cv=TimeSplit(3), params={"timestamps": time}, **kwargs
        )
        expected = folds(TimeSplit(3), time)
        for fold in range(3):
            np.testing.assert_array_equal(
                result["indices"]["test"][fold], expected[fold][1]
            )
        both = {"timestamps": time, "groups": users}
        asked = TimeSplit(3).set_split_request(groups=True)
        result = cross_validate(model, X, y, cv=asked, params=both, **kwargs)
        np.testing.assert_array_equal(
            result["indices"]["train"][2], folds(TimeSplit(3), time, users)[2][0]
        )
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            cross_validate(model, X, y, cv=TimeSplit(3), params=both, **kwargs)
    cv = list(TimeSplit(3).split(X, timestamps=time))
    assert len(cross_validate(model, X, y, cv=cv)["test_score"]) == 3


NUMBERS, DATES = np.arange(20), pd.date_range("2026-01-01", periods=20)
BAD = {
    "missing": ({}, None, "timestamps is missing: .*enable_metadata_routing=True"),
    "rows": ({}, NUMBERS[:5], "timestamps has 5 rows, but X has 20"),
    "nan": ({}, np.where(NUMBERS == 3, np.nan, 1.0), "missing time at row 3"),
    "text": ({}, NUMBERS.astype(str), "pandas.to_datetime"),
    "gap of numbers": ({"gap": "1D"}, NUMBERS, "gap must be a number; got '1D'"),
    "gap of dates": ({"gap": 3}, DATES, "gap must be a timedelta or a string"),
    "gap of numpy": (
        {"gap": np.int64(3)},
        DATES,
        "gap must be a timedelta or a string",
    ),
    "negative": ({"gap": -1}, NUMBERS, "gap must not be negative"),
    "zero": ({"test_size": 0}, NUMBERS, "test_size must be positive"),
    "long gap": ({"gap": 30}, NUMBERS, "Fold 0 has no training row"),
    "long test": ({"test_size": 10}, NUMBERS, "Fold 0 has no training row"),
    "one time": ({}, NUMBERS * 0, "need at least 6 distinct timestamps; there are 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    kwargs, time, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        list(TimeSplit(**kwargs).split(np.zeros((20, 1)), timestamps=time))


def test_bad_groups_and_n_splits():
    with pytest.raises(ValueError, match="groups has 3 rows, but X has 20"):
        folds(TimeSplit(2), NUMBERS, [1, 2, 3])
    with pytest.raises(ValueError, match="missing id at row 0"):
        folds(TimeSplit(2), NUMBERS, [None, *"a" * 19])
    with pytest.raises(ValueError, match="n_splits must be a whole number"):
        TimeSplit(0)
    with pytest.raises(ValueError, match="no training row"):
        folds(TimeSplit(2), NUMBERS, np.ones(20))


def test_empty_test_window():
    with pytest.raises(ValueError, match="Fold 0 has no test row"):
        folds(TimeSplit(2, test_size=3), np.array([0, 1, 2, 20]))
