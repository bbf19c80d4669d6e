"""Odd but possible input: an answer, or an error that says what is wrong."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skmtl import MMoE, ShareBottom
from skmtl.encoding import TableEncoder

X = pd.DataFrame({"x": np.arange(30.0), "z": np.arange(30.0) % 7})
Y = np.array([0, 1, 1] * 10)
SMALL = {"max_iter": 1, "random_state": 0, "n_bins": 4}


def test_a_column_whose_name_is_na():
    encoder = TableEncoder().fit(X)
    other = X.copy()
    other.columns = pd.Index(["x", pd.NA], dtype=object)
    with pytest.raises(ValueError, match=r"lacks columns .*'z'"):
        encoder.encode(other)
    with_more = X.copy()
    with_more[pd.NA] = 1.0
    assert_array_equal(encoder.encode(with_more).numeric, encoder.encode(X).numeric)


def test_score_of_labels_that_are_na():
    ranker = ShareBottom(**SMALL).fit(X, Y)
    floats = np.where(np.arange(30) % 5 == 0, np.nan, Y)
    expected = ranker.score(X, floats)
    for y in (
        pd.Series(floats).astype("Int64"),
        pd.Series(floats, dtype="Int64[pyarrow]"),
    ):
        assert ranker.score(X, y) == expected
    frame = pd.DataFrame({"y": pd.Series(floats).astype("Int64")})
    assert ranker.score(X, frame) == expected


@pytest.mark.parametrize("argument", ["X", "y"])
def test_complex_numbers(argument):
    values = {"X": X.to_numpy(), "y": Y}
    values[argument] = values[argument] + 1j
    with pytest.raises(
        ValueError, match=f"{argument} holds complex numbers. Pass real"
    ):
        ShareBottom(**SMALL).fit(**values)
    with pytest.raises(ValueError, match="y holds complex numbers"):
        ShareBottom(**SMALL).fit(X, (Y + 1j).tolist())


@pytest.mark.parametrize("split", [[[[1.0], [2.0]]], [[[0], [99]]], [[["a"], [1]]]])
def test_a_validation_split_that_has_no_rows_of_the_table(split):
    with pytest.raises(ValueError, match="of validation_split must be given as ind"):
        ShareBottom(**SMALL, validation_split=split).fit(X, Y)


def test_validation_with_a_scorer_where_only_one_label_came_up():
    ranker = ShareBottom(**SMALL, early_stopping=True, scoring=lambda *_: 1.0)
    fitted = ranker.fit(X, np.ones(30))
    assert_array_equal(fitted.predict(X), np.ones(30))
    ranker = MMoE(**SMALL, early_stopping=True).fit(X, np.full(30, 7))
    assert_array_equal(ranker.predict(X), np.full(30, 7))


def test_more_buckets_than_memory():
    encoder = TableEncoder(n_buckets={"id": 2**44}).fit(
        pd.DataFrame({"id": ["a", "b"]})
    )
    with pytest.raises(MemoryError, match=r"columns \['id'\] have .* smaller n_buck"):
        encoder.row_frequencies()
