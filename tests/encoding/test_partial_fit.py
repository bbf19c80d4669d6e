"""Tables that arrive in parts: new ids get rows, old ids keep theirs."""

from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skmtl.encoding import TableEncoder

PARTS = st.one_of(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8), min_size=2),
    st.lists(
        st.lists(
            st.sampled_from([0, 7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]),
            min_size=1,
            max_size=8,
        ),
        min_size=2,
    ),
)


def one_column(ids):
    return pd.DataFrame({"id": ids})


@given(PARTS, st.integers(1, 3), st.none() | st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_an_id_gets_a_row_when_it_is_frequent_enough_and_keeps_it(parts, least, most):
    encoder = TableEncoder(["id"], min_frequency=least, max_categories=most)
    seen, row_of = Counter(), {}
    for part in parts:
        encoder.partial_fit(one_column(part))
        first_seen = list(dict.fromkeys([*seen, *part]))
        seen.update(part)
        ready = [i for i in first_seen if seen[i] >= least and i not in row_of]
        if most is not None:
            ready = sorted(ready, key=lambda i: -seen[i])[: most - len(row_of)]
        ids = list(seen)
        rows = encoder.encode(one_column(ids)).ids[:, 0].tolist()
        found = {i: row for i, row in zip(ids, rows, strict=True) if row}
        assert row_of.items() <= found.items()
        if most is None:
            assert set(found) == set(row_of) | set(ready)
        else:
            # Which of equally frequent ids comes first is not told here.
            new = sorted(seen[i] for i in set(found) - set(row_of))
            assert new == sorted(seen[i] for i in ready)
        assert sorted(found.values()) == list(range(1, len(found) + 1))
        row_of = found
        assert encoder.frequencies(one_column(ids))[:, 0].tolist() == [
            seen[i] for i in ids
        ]
    assert encoder.vocabulary_sizes_ == [len(row_of) + 1]


@pytest.mark.filterwarnings("ignore:No id in columns")
def test_frequencies_tell_unseen_ids_from_missing_cells():
    X = pd.DataFrame({"item": ["a", "b", "a", None], "user": [1, 1, 2, 3]})
    encoder = TableEncoder(["item", "user"]).fit(X)
    asked = pd.DataFrame({"item": ["b", "c", None, "a"], "user": [1, 9, 3, 2]})
    expected = [[1, 2], [0, 0], [-1, 1], [2, 1]]
    assert encoder.frequencies(asked).tolist() == expected
    assert encoder.row_frequencies().tolist() == [0, 2, 0, 2]
    weightless = TableEncoder(["item", "user"]).fit(X, sample_weight=[1, 1, 0, 1])
    assert weightless.frequencies(asked)[:, 0].tolist() == [1, 0, -1, 1]


def test_the_first_call_is_fit_and_numbers_stay():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"id": rng.integers(0, 9, 50), "x": rng.normal(size=50)})
    encoder = TableEncoder(["id"]).partial_fit(X)
    expected = TableEncoder(["id"]).fit(X)
    assert_array_equal(encoder.transform(X), expected.transform(X))
    encoder.partial_fit(X.assign(x=1000 * X["x"]))
    assert_array_equal(encoder.transform(X), expected.transform(X))
    polars = pl.DataFrame({"id": [100, 100], "x": [1.0, 2.0]})
    assert encoder.partial_fit(polars).encode(polars).ids[0, 0] > 0


def test_growth_maps_every_row_to_where_it_was():
    first = pd.DataFrame({"a": ["x", "x", "y", "y"], "b": [1, 1, 2, 2]})
    then = pd.DataFrame({"a": ["z", "z", "x", "w"], "b": [3, 3, 3, 9]})
    encoder = TableEncoder(["a", "b"]).fit(first)
    grown, growth = encoder.grown(then)
    assert encoder.vocabulary_sizes_ == [3, 3]
    assert grown.vocabulary_sizes_ == [4, 4]
    # Unknown, x, y and the new z; then unknown, 1, 2 and the new 3.
    assert growth.start.tolist() == [0, 1, 2, 0, 3, 4, 5, 3]
    assert growth.new.nonzero()[0].tolist() == [3, 7]


def test_a_new_id_starts_from_its_fallback():
    first = pd.DataFrame({"item": ["x", "x", "y"], "kind": ["k", "k", "l"]})
    then = pd.DataFrame({"item": ["y", "z", "z"], "kind": ["l", "k", "k"]})
    encoder = TableEncoder(min_frequency=1, fallback={"item": "kind"})
    encoder.fit(first.iloc[:2])
    grown, growth = encoder.grown(then)
    rows = grown.encode(then).ids
    before = encoder.encode(then).ids
    assert encoder.vocabulary_sizes_ == [3, 2]  # unknown, x, any of kind k
    assert grown.vocabulary_sizes_ == [6, 3]  # unknown, x, z, y, k, l
    for column in (0, 1):
        assert_array_equal(growth.start[rows[:, column]], before[:, column])
    assert before[0].tolist() == [0, 3]  # neither y nor its kind was known
    assert before[1].tolist() == [2, 4]  # z was any of kind k
    unchanged = growth.start[grown.encode(first).ids[:2]]
    assert_array_equal(unchanged, encoder.encode(first).ids[:2])


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda X: X.drop(columns="x"), ValueError, r"lacks columns .*\['x'\]"),
        (
            lambda X: X.assign(more=1),
            ValueError,
            r"columns that were not there in the first call: \['more'\]",
        ),
        (
            lambda X: X.assign(id=X["id"].astype(str)),
            TypeError,
            "Column 'id' held numbers in earlier calls and holds strings now",
        ),
        (lambda X: X.assign(id=[1, "a"]), TypeError, "'id' mixes types"),
        (lambda X: X.assign(x="dear"), TypeError, "'x' must hold numbers"),
        (lambda X: X[:0], ValueError, "0 sample"),
    ],
)
def test_other_tables_are_refused_and_change_nothing(spoil, error, message):
    X = pd.DataFrame({"id": [5, 5], "x": [0.0, 1.0]})
    encoder = TableEncoder(["id"]).fit(X)
    before = encoder.transform(X)
    with pytest.raises(error, match=message):
        encoder.partial_fit(spoil(X))
    assert_array_equal(encoder.transform(X), before)
    assert encoder.frequencies(X).ravel().tolist() == [2, 2]


def test_numbers_after_strings_are_refused():
    encoder = TableEncoder(["id"]).fit(one_column(["a", "a"]))
    with pytest.raises(TypeError, match="held strings in earlier calls"):
        encoder.partial_fit(one_column([1, 1]))
    encoder.partial_fit(one_column([None, None]))  # nothing says which


def test_lists_and_shared_vocabularies_grow_too():
    X = pd.DataFrame({"item": ["a", "b"], "history": [["b"], ["a", "a"]]})
    encoder = TableEncoder(min_frequency=1, share_embedding={"history": "item"}).fit(X)
    more = pd.DataFrame({"item": ["c", "a"], "history": [["d", "a"], []]})
    grown, growth = encoder.grown(more)
    assert grown.vocabulary_sizes_ == [5]  # unknown, a, b, c, d
    assert sorted(grown.encode(more).bags[0].values.tolist()) == [1, 4]
    assert growth.new.tolist() == [False] * 3 + [True] * 2
    assert growth.start.tolist() == [0, 1, 2, 0, 0]


@pytest.mark.filterwarnings("ignore:No id in columns")
def test_what_hashing_and_falling_back_refuse_of_shared_columns():
    X = pd.DataFrame({"item": ["a", "b"], "seen": ["b", "a"], "kind": ["x", "y"]})
    X["history"] = [["b"], ["a", "a"]]
    share = {"seen": "item", "history": "item"}
    for parameters, message in (
        ({"fallback": {"seen": "kind"}}, "has an entry for 'seen', which shares"),
        ({"n_buckets": {"seen": 9}}, "n_buckets names 'seen', which shares"),
        ({"n_buckets": {"item": 9}, "n_hashes": 2}, "'history' holds lists"),
    ):
        with pytest.raises(ValueError, match=message):
            TableEncoder(share_embedding=share, **parameters).fit(X)
    hashed = TableEncoder(share_embedding=share, n_buckets={"item": 9}).fit(X)
    table = hashed.encode(X)
    assert table.bags[0].values.tolist() == [*table.ids[1:, 0], *[table.ids[0, 0]] * 2]
    falls = TableEncoder(
        share_embedding=share, fallback={"item": "kind"}, min_frequency=1
    )
    new = falls.fit(X).encode(X.assign(item=["z", "a"]))
    assert new.ids[0, 0] == falls.vocabulary_sizes_[0] - 2  # the row of kind x
