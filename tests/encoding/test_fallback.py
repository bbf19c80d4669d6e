"""Unknown ids fall back to a row of what another column says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skmtl.encoding import TableEncoder

CELLS = st.none() | st.sampled_from("abcd")
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12)
CHAIN = {"item": "kind", "kind": "shop"}


def frame(rows):
    return pd.DataFrame(rows, columns=["item", "kind", "shop"], dtype=object)


@given(TABLES, TABLES)
@settings(max_examples=150, deadline=None)
def test_rows_stand_for_the_first_known_id_of_the_chain(rows, asked):
    plain = TableEncoder(["item", "kind", "shop"], min_frequency=1).fit(frame(rows))
    encoder = TableEncoder(
        ["item", "kind", "shop"], min_frequency=1, fallback=CHAIN
    ).fit(frame(rows))
    own = plain.encode(frame(asked)).ids - plain.layout_.first
    found = encoder.encode(frame(asked)).ids - encoder.layout_.first
    n = plain.vocabulary_sizes_
    for (item, kind, shop), row in zip(own, found, strict=True):
        kinds, shops = n[0], n[0] + n[1] - 1
        if item:
            expected_item = item
        elif kind:
            expected_item = kinds + kind - 1
        elif shop:
            expected_item = shops + shop - 1
        else:
            expected_item = 0
        expected_kind = kind or (n[1] + shop - 1 if shop else 0)
        assert row.tolist() == [expected_item, expected_kind, shop]
    sizes = [n[0] + n[1] + n[2] - 2, n[1] + n[2] - 1, n[2]]
    assert encoder.vocabulary_sizes_ == sizes
    assert (found < sizes).all()


@pytest.mark.parametrize(
    ("fallback", "message"),
    [
        ({"item": "price"}, "fallback names 'price', which is not an id column"),
        ({"nothing": "kind"}, "fallback names 'nothing'"),
        (
            {"item": "kind", "kind": "item"},
            "has a cycle of columns: 'item' -> 'kind' -> 'item'",
        ),
        ({"item": "item"}, "has a cycle of columns: 'item' -> 'item'"),
        ({"shop": "kind"}, "fallback names 'shop', which is hashed"),
    ],
)
def test_bad_fallbacks_are_named(fallback, message):
    X = frame([("a", "b", "c")] * 2).assign(price=np.arange(2.0))
    with pytest.raises(ValueError, match=message):
        TableEncoder(fallback=fallback, n_buckets={"shop": 5}).fit(X)
