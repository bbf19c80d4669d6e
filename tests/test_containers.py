"""Every container of a table or column becomes pandas, exactly."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from scipy import sparse

from skmtl._containers import as_frame, has_names, infer_column, to_native

BIG = 2**60 + 1
ROWS = {
    "user": [BIG, None, BIG + 1],
    "item": ["a", "b", None],
    "price": [1.5, None, 2.0],
    "liked": [True, None, False],
    "history": [["a"], None, ["b", "a"]],
}


class Stream:
    """A table of a library that nobody has heard of."""

    def __init__(self, table):
        self.table = table
        self.column_names = table.column_names

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Interchange:
    def __init__(self, frame):
        self.frame = frame

    def __dataframe__(self, *args, **kwargs):
        return self.frame.__dataframe__(*args, **kwargs)


TABLES = {
    "polars": lambda: pl.DataFrame(ROWS),
    "arrow": lambda: pa.table(ROWS),
    "record batch": lambda: pa.RecordBatch.from_pydict(ROWS),
    "stream": lambda: Stream(pa.table(ROWS)),
    "dict": lambda: dict(ROWS),
    "dict of polars": lambda: {n: pl.Series(v) for n, v in ROWS.items()},
    "dict of arrow": lambda: {n: pa.chunked_array([v]) for n, v in ROWS.items()},
    "records": lambda: [
        dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)
    ],
}


def cells(frame):
    def plain(value):
        if isinstance(value, list | np.ndarray):
            return list(value)
        return None if pd.isna(value) else value

    return {name: [plain(v) for v in frame[name].tolist()] for name in frame}


@pytest.mark.parametrize("form", TABLES)
def test_tables_keep_names_and_exact_cells(form):
    table = TABLES[form]()
    assert has_names(table)
    found = as_frame(table)
    assert cells(found) == ROWS
    assert isinstance(to_native(table), pd.DataFrame)


def test_rows_as_lists_are_read_by_column():
    rows = [list(row) for row in zip(*ROWS.values(), strict=True)]
    assert not has_names(rows)
    for given in (rows, tuple(map(tuple, rows)), np.array(rows, dtype=object)):
        found = as_frame(given)
        assert list(found) == [0, 1, 2, 3, 4]
        assert list(cells(found).values()) == list(ROWS.values())
        kinds = ["Int64", "str", "float64", "boolean", "object"]
        assert found.dtypes.astype(str).tolist() == kinds


def test_pandas_and_arrays_stay():
    frame = pd.DataFrame({"a": [1]})
    array = np.arange(6).reshape(3, 2)
    assert to_native(frame) is as_frame(frame) is frame
    assert to_native(array) is array
    assert not has_names(array)
    assert not has_names(pd.Series([1]))
    assert to_native([1, 2]) == [1, 2]
    assert to_native(None) is None


def test_columns_become_series_with_their_names():
    for column in (
        pl.Series("click", [BIG, None]),
        pa.array([BIG, None]),
        pa.chunked_array([[BIG], [None]]),
        pd.Index(pd.array([BIG, None], dtype="Int64"), name="click"),
    ):
        found = to_native(column, "y")
        assert isinstance(found, pd.Series)
        assert found[0] == BIG
        assert found.isna().tolist() == [False, True]
    assert to_native(pl.Series("click", [1])).name == "click"
    assert to_native(pl.Series([1])).name is None


def test_other_protocols_and_structured_arrays():
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    assert_frame_equal(as_frame(Interchange(frame)), frame)
    structured = np.array([(1, 0.5), (2, 1.5)], dtype=[("a", "i8"), ("b", "f8")])
    assert has_names(structured)
    assert_frame_equal(as_frame(structured), frame)


def test_byte_order_becomes_native():
    frame = pd.DataFrame({"a": [1, 2], "s": ["x", "y"], "b": [0.5, 1.5]}, index=[3, 3])
    foreign = frame.astype({"a": ">i8", "b": ">f8"})
    for given in (foreign, foreign[["a", "b"]].to_numpy().astype(">f8")):
        found = as_frame(given)
        assert all(t.isnative for t in found.dtypes if isinstance(t, np.dtype))
    assert_frame_equal(as_frame(foreign), frame)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ([1, 2], "int64"),
        ([BIG, None], "Int64"),
        ([1, pd.NA], "Int64"),
        ([2**63, 1], "uint64"),
        ([2**70, None], "object"),
        ([1.5, pd.NA], "float64"),
        ([1, 2.5, None], "float64"),
        ([2**53 + 1, 0.5], "object"),
        ([True, None], "boolean"),
        (["a", None], "str"),
        ([[1], [2, 3]], "object"),
        ([[1], [2]], "object"),
        ([None, None], "object"),
        ([], "object"),
    ],
)
def test_cells_get_the_type_that_holds_them(column, dtype):
    found = infer_column(column)
    assert str(found.dtype) == dtype
    there = [v for v in column if isinstance(v, list) or not pd.isna(v)]
    assert found.dropna().tolist() == there


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (pl.LazyFrame({"a": [1]}), TypeError, r"holds a query.*Pass y\.collect\(\)"),
        ({"a": [1], "b": [1, 2]}, ValueError, r"differ in length: {'a': 1, 'b': 2}"),
        (sparse.dok_array((2, 2)), TypeError, r"sparse.*Pass y\.toarray\(\)"),
        (sparse.csr_matrix((2, 2)), TypeError, "y is a sparse csr_matrix"),
        ({"a": 3}, ValueError, r"y\['a'\] must be a column.*found a int"),
        ({"a": np.ones((2, 2))}, ValueError, r"y\['a'\].*of shape \(2, 2\)"),
        ([{"a": 1}, 3], TypeError, "list of mappings, but row 1 is a int"),
    ],
)
def test_what_is_not_a_table_is_named(values, error, message):
    with pytest.raises(error, match=message):
        to_native(values, "y")


def test_rows_of_different_lengths_are_named():
    with pytest.raises(ValueError, match="row 0 has 2 cells, row 1 has 1"):
        as_frame([[1, "a"], [2]])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None, "b"], pa.string_view()),
        ([[1], None, [2, 3]], pa.list_view(pa.int64())),
        ([["a"], None, ["b", "a"]], pa.list_(pa.string_view())),
        ([[["a"]], None, [["b"]]], pa.list_(pa.large_list_view(pa.string_view()))),
        ([1, None, 2**60 + 1], pa.dictionary(pa.int8(), pa.int64())),
        ([None, None, None], pa.null()),
    ],
)
def test_arrow_views_dictionaries_and_nulls_become_plain(values, kind):
    column = pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, kind)]))
    whole = pd.DataFrame({"a": pd.Series(column, index=[5, 6, 7])})
    for given, expected in ((whole, values), (whole[1:], values[1:])):
        found = as_frame(given)
        assert list(found.index) == list(given.index)
        cells = [
            v if isinstance(v, list) else None if pd.isna(v) else v
            for v in found["a"].tolist()
        ]
        assert cells == expected
        assert as_frame(found) is found


def test_a_tuple_of_mappings_is_read_as_a_list_of_them():
    rows = [{"user": BIG, "item": "a"}, {"user": None, "item": "b"}]
    assert_frame_equal(as_frame(tuple(rows)), as_frame(rows))
    assert has_names(tuple(rows))


@pytest.mark.parametrize("empty", [[], ()])
def test_an_empty_list_is_refused(empty):
    with pytest.raises(ValueError, match=r"X is an empty (list|tuple), which has nei"):
        as_frame(empty)
