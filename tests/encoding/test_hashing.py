"""Hashed ids: the same everywhere, spread evenly, and exact until the last step."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import stats

from skmtl._containers import infer_column
from skmtl.encoding import TableEncoder
from skmtl.encoding._hashing import buckets, stable_hash
from skmtl.encoding._vocabulary import as_keys
from tests.versions import exact_text

INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(2**53 - 2, 2**53 + 3)


def ids_of(values):
    return as_keys(infer_column(values), "id").distinct


def hashes_of(values):
    return stable_hash(ids_of(values))


@exact_text
@given(st.lists(INTEGERS, unique=True) | st.lists(st.text(), unique=True))
@settings(max_examples=150, deadline=None)
def test_different_ids_have_different_hashes(ids):
    assert len(np.unique(hashes_of(ids))) == len(ids)


@given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1))
@settings(max_examples=100, deadline=None)
def test_an_integer_hashes_alike_whatever_stands_beside_it(ids):
    ids = list(dict.fromkeys(ids))
    alone = [hashes_of([i])[0] for i in ids]
    assert hashes_of(ids).tolist() == alone
    assert hashes_of([*ids, 2**70]).tolist()[:-1] == alone


def test_whole_floats_hash_as_integers():
    whole = hashes_of([3.0, 0.5])
    assert whole[0] == hashes_of([3])[0] != whole[1]


@exact_text
def test_lone_surrogates_and_very_long_integers_have_hashes():
    odd = ["\ud800", "b\udfff", "b"]
    assert len(set(hashes_of(odd).tolist())) == 3
    assert hashes_of(odd)[2] == hashes_of(["b"])[0]
    assert len(set(hashes_of([10**5000, 10**5000 + 1, 7]).tolist())) == 3


@pytest.mark.parametrize("hash_number", [0, 1, 5])
@pytest.mark.parametrize("ids", ["numbers", "strings"])
def test_buckets_are_filled_evenly(ids, hash_number):
    index = range(100_000)
    if ids == "strings":
        index = [f"item-{i}" for i in index]
    found = buckets(ids_of(index), 1000, hash_number)
    assert found.min() == 0
    assert found.max() == 999
    assert stats.chisquare(np.bincount(found)).pvalue > 1e-4


def test_hash_functions_are_independent():
    ids = ids_of(range(100_000))
    first, second = buckets(ids, 20, 0), buckets(ids, 20, 1)
    table = np.zeros((20, 20))
    np.add.at(table, (first, second), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_missing_cells_and_ids_of_another_kind_have_row_zero():
    X = pd.DataFrame({"id": [1.0, None, 3.0]})
    encoder = TableEncoder(["id"], n_buckets={"id": 10}).fit(X)
    rows = encoder.encode(X).ids[:, 0]
    assert rows[1] == 0
    assert (rows[[0, 2]] > 0).all()
    with pytest.warns(UserWarning, match="held numbers in fit and holds strings"):
        rows = encoder.encode(pd.DataFrame({"id": ["1", "x"]})).ids
    assert rows.tolist() == [[0], [0]]
    assert encoder.frequencies(X).tolist() == [[-1]] * 3


def test_further_hashes_come_after_the_columns():
    X = pd.DataFrame({"a": ["x", "x"], "b": ["y", "y"], "c": ["p", "q"], "n": [1, 2]})
    encoder = TableEncoder(n_buckets={"a": 50, "c": 60}, n_hashes=3, n_bins=0)
    encoder.set_output(transform="pandas")
    out = encoder.fit(X).transform(X)
    names = ["a", "b", "c", "a_hash2", "c_hash2", "a_hash3", "c_hash3", "n"]
    assert list(out) == list(encoder.get_feature_names_out()) == names
    assert encoder.vocabulary_sizes_ == [51, 2, 61]
    for number, column in ((0, "a"), (1, "a_hash2"), (2, "a_hash3")):
        expected = buckets(ids_of(["x"]), 50, number) + 1
        assert_array_equal(out[column], [*expected, *expected])
    expected = buckets(ids_of(["p", "q"]), 60, 2) + 1
    assert_array_equal(out["c_hash3"], expected)
    fused = encoder.encode(X).ids - out[names[:7]].to_numpy()
    assert_array_equal(fused[0], [0, 51, 53, 0, 53, 0, 53])


def test_partial_fit_leaves_buckets_alone():
    X = pd.DataFrame({"id": ["a", "b"]})
    encoder = TableEncoder(n_buckets={"id": 7}).fit(X)
    before = encoder.transform(X)
    encoder.partial_fit(pd.DataFrame({"id": ["c", "c"]}))
    assert encoder.vocabulary_sizes_ == [8]
    assert_array_equal(encoder.transform(X), before)
    with pytest.raises(TypeError, match="'id' held strings in earlier calls"):
        encoder.partial_fit(pd.DataFrame({"id": [1, 2]}).astype("category"))


@pytest.mark.parametrize(
    ("n_buckets", "message"),
    [
        ({"x": 5}, "n_buckets names 'x', which is not an id column"),
        ({"id": 0}, "n_buckets of column 'id' must be an integer from 1 to"),
        ({"id": 2.5}, "found 2.5"),
    ],
)
def test_bad_buckets_are_named(n_buckets, message):
    X = pd.DataFrame({"id": ["a", "b"], "x": [1.0, 2.0]})
    with pytest.raises(ValueError, match=message):
        TableEncoder(n_buckets=n_buckets).fit(X)
