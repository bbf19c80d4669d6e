"""Vocabularies: exact whatever the types, linear in time, and plain arrays to store."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skmtl._containers import infer_column
from skmtl.encoding import TableEncoder
from skmtl.encoding._numbers import number_of, number_text
from skmtl.encoding._vocabulary import Ids, Vocabulary, as_keys
from tests.versions import exact_text

BIG = 2**53
NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.integers(BIG - 3, BIG + 3)
    | st.floats(allow_nan=False, allow_infinity=False)
)
ONE_KIND = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, unique=True),
    st.lists(st.integers(-(2**70), 2**70), min_size=1, unique=True),
    st.lists(st.text() | st.just("\ud800"), min_size=1, unique=True),
)


def ids_of(values):
    column = (
        pd.Series(values, dtype=object)
        if isinstance(values[0], str)
        else (infer_column(values))
    )
    return as_keys(column, "id").distinct


def vocabulary(values, counts=None, **limits):
    ids = ids_of(values)
    counts = np.ones(len(ids), np.int64) if counts is None else np.array(counts)
    return Vocabulary.fit(
        ids, counts, **{"min_frequency": 1, "max_categories": None, **limits}
    )


@given(NUMBERS, NUMBERS)
@settings(max_examples=300, deadline=None)
def test_the_text_of_numbers_is_equal_when_they_are(a, b):
    assert (number_text(a) == number_text(b)) == (a == b)
    assert number_of(number_text(a)) == a


@given(ONE_KIND, ONE_KIND)
@settings(max_examples=300, deadline=None)
def test_positions_and_joins_are_those_of_python(first, more):
    a, b = ids_of(first), ids_of(more)
    strings = isinstance(first[0], str), isinstance(more[0], str)
    place = {v: i for i, v in enumerate(first)} if strings[0] == strings[1] else {}
    expected = [place.get(v, -1) for v in more]
    assert a.positions(b).tolist() == expected
    if strings[0] == strings[1]:
        new = b.take(np.array(expected) < 0)
        joined = a.joined(new)
        assert joined.tolist() == first + [v for v in more if v not in place]
        assert_array_equal(joined.positions(a), np.arange(len(a)))


@exact_text
@given(ONE_KIND, st.integers(1, 3), st.data())
@settings(max_examples=150, deadline=None)
def test_arrays_hold_everything(values, min_frequency, data):
    counts = data.draw(
        st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values))
    )
    own = vocabulary(values, counts, min_frequency=min_frequency)
    arrays = own.arrays()
    assert {a.dtype.kind for a in arrays.values()} <= set("iufb")
    for again in (Vocabulary.from_arrays(arrays), pickle.loads(pickle.dumps(own))):
        assert again.ids.tolist() == own.ids.tolist()
        assert again.rest.tolist() == own.rest.tolist()
        assert_array_equal(again.counts, own.counts)
        assert_array_equal(again.rest_counts, own.rest_counts)
        assert again.numbers == own.numbers
        assert_array_equal(
            again.rows_of_ids(ids_of(values)), own.rows_of_ids(ids_of(values))
        )


def test_empty_vocabularies_have_arrays_too():
    own = vocabulary([1]).arrays() | {}
    empty = Vocabulary(*[Ids(np.empty(0), False), np.empty(0, np.int64)] * 2)
    again = Vocabulary.from_arrays(empty.arrays())
    assert len(again) == 1
    assert again.numbers is None
    assert own["ids"].tolist() == [1]


def test_a_fraction_does_not_round_integers_that_are_known():
    asked = pd.DataFrame({"a": [BIG, BIG + 1]})
    encoder = TableEncoder(["a"], min_frequency=1)
    encoder.fit(pd.DataFrame({"a": [BIG + 1, BIG + 1]}))
    encoder.partial_fit(pd.DataFrame({"a": [0.5, 0.5]}))
    assert encoder.encode(asked).ids.ravel().tolist() == [0, 1]
    assert encoder.encode(pd.DataFrame({"a": [0.5, 0.25]})).ids[:, 0].tolist() == [2, 0]
    encoder.partial_fit(asked)
    assert encoder.encode(asked).ids.ravel().tolist() == [3, 1]


def test_shared_integers_and_fractions_stay_apart():
    X = pd.DataFrame({"a": [BIG + 1] * 3, "b": [0.5, 1.5, 0.5]})
    encoder = TableEncoder(["a", "b"], min_frequency=1, share_embedding={"b": "a"})
    encoder.fit(X)
    asked = pd.DataFrame({"a": [BIG, BIG + 1], "b": [1.5, 0.5]})
    assert encoder.encode(asked).ids.tolist() == [[0, 3], [1, 2]]


@pytest.mark.parametrize("dtype", ["UInt64", "Int64", "uint64[pyarrow]"])
def test_a_column_without_any_id(dtype):
    encoder = TableEncoder(["a"], min_frequency=1).fit(pd.DataFrame({"a": [3, 4]}))
    empty = pd.DataFrame({"a": pd.Series([pd.NA, pd.NA], dtype=dtype)})
    assert encoder.encode(empty).ids.tolist() == [[0], [0]]


@exact_text
def test_lone_surrogates_are_ids():
    X = pd.DataFrame({"a": pd.Series(["\ud800", "b", "b"], dtype=object)})
    X["b"] = pd.Series(["b", "\udfff", "\ud800"], dtype=object)
    encoder = TableEncoder(min_frequency=1, share_embedding={"b": "a"}).fit(X)
    assert encoder.encode(X).ids.tolist() == [[2, 1], [1, 3], [1, 2]]
    encoder.partial_fit(X.assign(a=pd.Series(["\ud801"] * 3, dtype=object)))
    again = pickle.loads(pickle.dumps(encoder))
    assert_array_equal(again.encode(X).ids, encoder.encode(X).ids)


class Oddly(str):
    """A string that hashes otherwise than its text."""

    def __hash__(self):
        return 7


@pytest.mark.parametrize("kind", [np.str_, Oddly])
def test_strings_of_other_classes_are_their_text(kind):
    plain = ["a", "b", "a", None]
    X = pd.DataFrame({"a": pd.Series([v and kind(v) for v in plain], dtype=object)})
    encoder = TableEncoder(min_frequency=1).fit(X)
    for asked in (X, pd.DataFrame({"a": plain})):
        assert encoder.encode(asked).ids.ravel().tolist() == [1, 2, 1, 0]


def test_no_python_integer_is_hashed():
    """Integers of one hash, of which a hash table would take quadratic time."""

    class Counted(int):
        hashed = 0

        def __hash__(self):
            Counted.hashed += 1
            return 7

    values = [Counted(2**64 + k * (2**61 - 1)) for k in range(300)]
    X = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    encoder = TableEncoder(min_frequency=1).fit(X)
    assert sorted(encoder.encode(X).ids.ravel()) == list(range(1, 301))
    assert not Counted.hashed


def test_very_long_integers_are_ids():
    values = [10**5000, 10**5000 + 1, 3]
    X = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    encoder = TableEncoder(min_frequency=1).fit(X)
    assert encoder.encode(X).ids.ravel().tolist() == [1, 2, 3]
    assert encoder.encode(pd.DataFrame({"a": [3, 4]})).ids.ravel().tolist() == [3, 0]


@pytest.mark.parametrize("n_buckets", [None, {"id": 16}])
@pytest.mark.parametrize(
    "ids",
    [
        np.arange(40) * 1000,
        [f"id{k}" for k in range(40)],
        pd.Series([f"id{k}" for k in range(40)], dtype=object),
        np.arange(40) / 2,
        np.arange(40.0),
        pd.array(range(40), dtype="Int64"),
        2**63 + np.arange(40, dtype=np.uint64),
    ],
    ids=["int", "str", "object", "fractions", "whole floats", "Int64", "uint64"],
)
def test_few_rows_of_a_categorical_are_those_of_the_whole(ids, n_buckets):
    rng = np.random.default_rng(0)
    cells = pd.Series(ids).take(rng.integers(0, 40, 3000)).reset_index(drop=True)
    column = cells.astype("category")
    column[rng.random(3000) < 0.1] = None
    encoder = TableEncoder(["id"], n_buckets=n_buckets)
    encoder.fit(pd.DataFrame({"id": column[:2000]}))
    whole = encoder.encode(pd.DataFrame({"id": column})).ids
    assert len(np.unique(whole)) > 10
    for rows in (slice(3, 4), slice(190, 210), slice(250, 289)):
        few = encoder.encode(pd.DataFrame({"id": column[rows]})).ids
        assert_array_equal(few, whole[rows])


def test_few_rows_do_not_read_all_categories(monkeypatch):
    column = pd.Series(range(1000)).astype("category")
    encoder = TableEncoder().fit(pd.DataFrame({"id": column.repeat(2)}))
    seen = []
    monkeypatch.setattr(Ids, "positions", lambda ids, others: seen.append(len(others)))
    found = encoder.encode(pd.DataFrame({"id": column[700:703]})).ids
    assert_array_equal(found[:, 0], [701, 702, 703])
    assert not seen
