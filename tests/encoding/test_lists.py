"""Columns of lists: every form agrees, ids stay exact, tables are shared."""

import pickle
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skmtl.encoding import RaggedArray, TableEncoder
from tests.versions import exact_text

NEAR = st.integers(2**24 - 2, 2**24 + 3) | st.integers(2**53 - 2, 2**53 + 3)
LARGE = st.integers(-(2**63), 2**63 - 1)
KINDS = [st.integers(0, 5), NEAR, LARGE, st.text(max_size=3), st.text(max_size=60)]


def lists_of(entries):
    cell = st.lists(entries | st.none(), max_size=6)
    return st.lists(cell | st.none(), min_size=1, max_size=20).filter(
        lambda cells: any(cell is not None for cell in cells)
    )


LISTS = st.one_of(*map(lists_of, KINDS))
BEYOND = lists_of(st.integers(2**63 - 3, 2**64 - 1))


def flat(cells):
    return [v for cell in cells for v in cell or () if v is not None]


def arrow(cells, make=pa.list_):
    kind = pa.string() if any(isinstance(v, str) for v in flat(cells)) else pa.int64()
    return pd.Series(cells, dtype=pd.ArrowDtype(make(kind)))


def array_of(cell):
    kept = [v for v in cell or () if v is not None]
    if cell is None:
        return None
    array = np.array(kept)
    # numpy's own strings lose the NULs at their end.
    return array if array.tolist() == kept else np.array(kept, dtype=object)


FORMS = {
    "tuples": lambda cells: [None if c is None else tuple(c) for c in cells],
    "arrays": lambda cells: pd.Series(list(map(array_of, cells)), dtype=object),
    "arrow": arrow,
    "large arrow": lambda cells: arrow(cells, pa.large_list),
    "chunked arrow": lambda cells: pd.concat(
        [arrow(cells[:1] + cells)[1:2], arrow(cells)[1:]], ignore_index=True
    ),
}


def encoder_of(X, **params):
    return TableEncoder(**{"min_frequency": 1, **params}).fit(X)


def rows_of(bag):
    return [bag.values[a:b].tolist() for a, b in zip(*ends(bag), strict=True)]


def ends(bag):
    return bag.offsets[:-1], bag.offsets[1:]


def reference(cells, asked, max_length=None, min_frequency=1):
    """Rows of the lists asked for, one by one."""

    def kept(cell):
        there = [v for v in cell or () if v is not None]
        return there if max_length is None else there[-max_length:]

    counted = Counter(v for cell in cells for v in kept(cell))
    frequent = [v for v, n in counted.most_common() if n >= min_frequency]
    row = {v: i + 1 for i, v in enumerate(frequent)}
    return [[row.get(v, 0) for v in kept(cell)] for cell in asked]


@exact_text
@pytest.mark.filterwarnings("ignore:No id in columns")
@given(LISTS | BEYOND, st.none() | st.integers(1, 4), st.integers(1, 2), st.data())
@settings(max_examples=200, deadline=None)
def test_lists_are_encoded_as_one_by_one(cells, max_length, min_frequency, data):
    params = {"max_length": max_length, "min_frequency": min_frequency}
    encoder = encoder_of(pd.DataFrame({"h": pd.Series(cells, dtype=object)}), **params)
    pool = LARGE if isinstance((flat(cells) or [0])[0], int) else st.text(max_size=3)
    asked = data.draw(lists_of(pool)) + cells
    X = pd.DataFrame({"h": pd.Series(asked, dtype=object)})
    (bag,) = encoder.encode(X).bags
    assert rows_of(bag) == reference(cells, asked, **params)
    assert encoder.vocabulary_sizes_ == [
        1 + max(map(max, filter(None, reference(cells, cells, **params))), default=0)
    ]


@exact_text
@given(LISTS)
@settings(max_examples=100, deadline=None)
def test_every_form_agrees(cells):
    X = pd.DataFrame({"h": pd.Series(cells, dtype=object)})
    encoder = encoder_of(X)
    expected = rows_of(encoder.encode(X).bags[0])
    assert expected == reference(cells, cells)
    polars = pl.DataFrame({"h": cells})
    assert rows_of(encoder.encode(polars).bags[0]) == expected
    assert rows_of(encoder_of(polars).encode(X).bags[0]) == expected
    for form in FORMS.values():
        other = pd.DataFrame({"h": form(cells)})
        if len(other) == len(X):
            again = encoder_of(other)
            assert rows_of(encoder.encode(other).bags[0]) == expected
            assert rows_of(again.encode(other).bags[0]) == expected
            assert rows_of(again.encode(X).bags[0]) == expected


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised(form):
    cells = [["a"], ["b", None], None, [], ["a", "c"]]
    X = pd.DataFrame({"h": FORMS[form](cells), "x": 1.0})
    assert encoder_of(X).bag_names_ == ["h"]
    assert encoder_of(X, categorical_features=["h"]).bag_names_ == ["h"]
    assert encoder_of(X, categorical_features=[0]).bag_names_ == ["h"]
    assert rows_of(encoder_of(X).encode(X).bags[0]) == [[1], [2], [], [], [1, 3]]


def test_arrow_lists_of_dictionaries_and_of_one_size():
    kind = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    X = pd.DataFrame({"h": pd.Series([["b"], None, ["b", "a"]], dtype=object)})
    expected = rows_of(encoder_of(X).encode(X).bags[0])
    column = pa.array([["b"], None, ["b", "a"]], type=kind)
    found = pd.DataFrame({"h": pd.array(column, dtype=pd.ArrowDtype(kind))})
    assert rows_of(encoder_of(found).encode(found).bags[0]) == expected
    pairs = [["b", "a"], None, ["b", None]]
    X = pd.DataFrame({"h": arrow(pairs, lambda kind: pa.list_(kind, 2))})
    assert rows_of(encoder_of(X).encode(X).bags[0]) == [[1, 2], [], [1]]
    X = pl.DataFrame({"h": pairs}, schema={"h": pl.Array(pl.String, 2)})
    assert rows_of(encoder_of(X).encode(X).bags[0]) == [[1, 2], [], [1]]
    X = pl.DataFrame({"h": pairs}, schema={"h": pl.List(pl.Categorical)})
    assert rows_of(encoder_of(X).encode(X).bags[0]) == [[1, 2], [], [1]]


def test_polars_without_pyarrow(monkeypatch):
    cells = [["a"], ["b", None], None, [], ["a", "c"]]
    X = pl.DataFrame({"h": cells})
    expected = rows_of(encoder_of(X).encode(X).bags[0])
    monkeypatch.setattr("skmtl._containers.find_spec", lambda name: None)
    assert rows_of(encoder_of(X).encode(X).bags[0]) == expected


def test_arrays_of_several_dtypes_stay_exact():
    big = 2**53
    cells = [np.array([big, big + 1]), np.array([]), np.array([2.0]), [big + 1]]
    X = pd.DataFrame({"h": pd.Series(cells, dtype=object)})
    with pytest.raises(TypeError, match="'h' mixes types"):
        encoder_of(X)  # as it would be for single ids
    X = pd.DataFrame({"h": pd.Series([*cells[:2], cells[3]], dtype=object)})
    assert rows_of(encoder_of(X).encode(X).bags[0]) == [[2, 1], [], [1]]


def test_nothing_but_empty_lists():
    X = pd.DataFrame({"h": [[], None, []]})
    encoder = encoder_of(X)
    assert (encoder.bag_names_, encoder.vocabulary_sizes_) == (["h"], [1])
    asked = pd.DataFrame({"h": [[3], [], None]})
    assert rows_of(encoder.encode(asked).bags[0]) == [[0], [], []]
    missing = pd.DataFrame({"h": [np.nan, None]})
    assert rows_of(encoder.encode(missing).bags[0]) == [[], []]


@given(st.lists(st.lists(st.integers(0, 9)), max_size=9), st.data())
@settings(max_examples=100, deadline=None)
def test_take(cells, data):
    lengths = np.array([len(cell) for cell in cells], dtype=np.int64)
    bag = RaggedArray.from_lengths(np.array(flat(cells), dtype=np.int64), lengths)
    assert len(bag) == len(cells)
    assert_array_equal(bag.lengths, lengths)
    n = len(cells)
    at = data.draw(st.lists(st.integers(-n, n - 1), max_size=12) if n else st.just([]))
    assert rows_of(bag.take(np.array(at, dtype=int))) == [cells[i] for i in at]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    assert rows_of(bag.take(mask)) == [c for c, m in zip(cells, mask, strict=True) if m]
    part = data.draw(st.slices(n))
    assert rows_of(bag.take(part)) == cells[part]


def shop():
    return pd.DataFrame(
        {
            "item": ["a", "b", None, "a"],
            "price": [1.0, 2.0, 3.0, 4.0],
            "history": [["c", "b"], ["c"], None, ["a", None]],
            "tags": [[1], [], [2, 1], [7]],
        }
    )


def test_shared_vocabulary_counts_all_columns():
    X = shop()
    encoder = encoder_of(X, share_embedding={"history": "item"}, min_frequency=2)
    assert encoder.vocabulary_names_ == ["item", "tags"]
    assert encoder.vocabulary_sizes_ == [4, 2]
    assert encoder.vocabulary_of_ == {
        "item": "item",
        "history": "item",
        "tags": "tags",
    }
    table = encoder.encode(X)  # a three times; b and c twice
    assert table.ids.ravel().tolist() == [1, 2, 0, 1]
    assert rows_of(table.bags[0]) == [[3, 2], [3], [], [1]]
    assert rows_of(table.bags[1]) == [[5], [], [4, 5], [4]]  # after item's four rows
    assert table.shape == X.shape
    part = table.take([2, 0])
    assert rows_of(part.bags[1]) == [[4, 5], [5]]
    assert part.as_dict()["bags"] == part.bags


@pytest.mark.parametrize(
    "share",
    [
        {"history": "item"},
        {"item": "history"},
        {"item": "other", "history": "item"},
    ],
)
def test_sharing_works_in_every_direction(share):
    X = shop().assign(other=["c", "a", "a", "b"])
    table = encoder_of(X, share_embedding=share).encode(X)
    item, other = table.ids.T
    history = table.bags[0]
    known = {"a": item[0], "b": item[1], "c": history.values[0]}
    assert history.values.tolist() == [known[v] for v in "cbca"]
    if "other" in share.values():
        assert other.tolist() == [known[v] for v in "caab"]


def test_integers_and_fractions_share_exactly():
    X = pd.DataFrame({"a": [2**53, 2**53 + 1, 3], "b": [0.5, 1.5, 3.0]})
    encoder = encoder_of(X, categorical_features=["a", "b"], share_embedding={"b": "a"})
    assert encoder.vocabulary_sizes_ == [6]
    ids = encoder.encode(X).ids
    assert len(set(ids.ravel())) == 5
    assert ids[2, 0] == ids[2, 1]


def test_output_clone_and_pickle():
    X = shop()
    encoder = encoder_of(X, share_embedding={"history": "item"}, n_bins=2)
    again = pickle.loads(pickle.dumps(encoder))
    assert rows_of(again.encode(X).bags[0]) == rows_of(encoder.encode(X).bags[0])
    assert clone(encoder).share_embedding == {"history": "item"}
    names = ["item", "history_length", "tags_length", "price", "price_bin"]
    assert encoder.get_feature_names_out().tolist() == names
    out = encoder.transform(X)
    assert_array_equal(out[:, 1:3].T, [[2, 1, 0, 1], [1, 0, 2, 1]])
    frame = encoder.set_output(transform="pandas").transform(X)
    assert frame.columns.tolist() == names
    assert_array_equal(frame.to_numpy(), out)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[1], [[2]]], "'h' holds lists of lists"),
        ([["a"], [["b"]]], "'h' holds lists of lists"),
        ([np.zeros((2, 2)), np.zeros((2, 2))], "'h' holds arrays that are not 1-D"),
        ([[1, "a"], [2]], r"'h' mixes types \(int, str\)"),
        ([["a"], [2]], r"'h' mixes types \(int, str\)"),
        ([[1], 3], r"'h' mixes lists with single values \(int\)"),
        ([[1], "a"], r"'h' mixes lists with single values \(str\)"),
        ([3, [1]], "'h' holds both lists and single ids"),
        ([[1], {2}], r"'h' mixes lists with single values \(set\)"),
        ([[pd.Timestamp(0)], []], "'h' holds Timestamp objects"),
    ],
)
def test_bad_lists_are_named(cells, message):
    X = pd.DataFrame({"x": 1.0, "h": pd.Series(cells, dtype=object)})
    with pytest.raises(TypeError, match=message):
        encoder_of(X)


def test_nested_arrow_and_polars_lists_are_named():
    kind = pd.ArrowDtype(pa.list_(pa.list_(pa.int64())))
    for X in (
        pd.DataFrame({"h": pd.Series([[[1]], None], dtype=kind)}),
        pl.DataFrame({"h": [[[1]], None]}),
    ):
        with pytest.raises(TypeError, match="'h' holds lists of lists"):
            encoder_of(X)


def test_infinity_in_a_list_is_named():
    with pytest.raises(ValueError, match="infinity: column 'h'"):
        encoder_of(pd.DataFrame({"h": [[1.0, np.inf]]}))


def test_lists_of_different_lengths_are_not_numbers():
    for column in ([[1.0], [1.0, 2.0]], arrow([[1], [1, 2]])):
        X = pd.DataFrame({"h": column})
        with pytest.raises(ValueError, match="'h' holds vectors of 1 to 2 numbers"):
            encoder_of(X, categorical_features=None)


def test_a_column_keeps_its_kind():
    X = shop()
    encoder = encoder_of(X)
    with pytest.raises(TypeError, match="'tags' mixes lists with single"):
        encoder.encode(X.assign(tags=[1, 2, 3, 4]))
    with pytest.raises(TypeError, match="'item' holds both lists and single"):
        encoder.encode(X.assign(item=[["a"]] * 4))


@pytest.mark.parametrize(
    ("share", "error", "message"),
    [
        ({"histroy": "item"}, ValueError, "'histroy', which is not a column of X"),
        ({"history": "itme"}, ValueError, "'itme', which is not a column of X"),
        ({"history": "price"}, ValueError, "'price', which is read as numbers"),
        ({"item": "item"}, ValueError, "cycle of columns: 'item' -> 'item'"),
        (
            {"item": "history", "history": "item"},
            ValueError,
            "cycle of columns: 'item' -> 'history' -> 'item'",
        ),
        (
            {"tags": "item"},
            TypeError,
            "column 'item', which holds strings, with column 'tags', which holds num",
        ),
        ([("tags", "item")], ValueError, "'share_embedding' parameter"),
    ],
)
def test_bad_sharing_is_named_before_anything_changes(share, error, message):
    X = shop()
    encoder = encoder_of(X)
    before = encoder.transform(X)
    with pytest.raises(error, match=message):
        encoder.set_params(share_embedding=share).fit(X)
    assert_array_equal(encoder.transform(X), before)


def test_nothing_can_be_taken():
    encoder = encoder_of(shop())
    table = encoder.encode(shop()).take([])
    assert len(table) == 0
    assert len(table.bags[0]) == 0


def test_lists_are_found_below_many_missing_cells():
    X = pd.DataFrame({"tags": [None] * 1500 + [["a", "b"], ["a"]]})
    encoder = TableEncoder(min_frequency=1).fit(X)
    assert encoder.bag_names_ == ["tags"]
