"""Short tables, of any container, are encoded as the same rows of a long one."""

import copy
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from skmtl.encoding import TableEncoder
from skmtl.encoding import _lookup as lookup
from skmtl.encoding import _table as table
from tests.versions import EXACT_TEXT

END = "\0" if EXACT_TEXT else "_"
IDS = {
    "short": ["a", f"b{END}", "b", "", "seven_7", "ü", "日本"],
    "long": [
        "user_0000001",
        "user_0000002",
        "x" * 8,
        "x" * 9,
        "é" * 20,
        "日本語テキスト",
    ],
    "dense": [3, 1, 2, 7, 5, 4],
    "sparse": [-1, 0, 2**62, -(2**63), 10**12, 77],
}
UNSEEN = {
    "short": ["c", f"a{END}"],
    "long": ["x" * 10, "user_0000003"],
    "dense": [99, -4],
    "sparse": [10**15, 2**63 - 1],
}


def frame(n_rows, seed=0, unseen=False):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            name: [cells[k] for k in rng.integers(0, len(ids) + 2 * unseen, n_rows)]
            for name, ids in IDS.items()
            for cells in [[*ids, *UNSEEN[name]]]
        }
    )
    X["price"] = np.where(rng.random(n_rows) < 0.1, np.nan, rng.normal(size=n_rows))
    X["flag"], X["age"] = rng.random(n_rows) < 0.5, rng.integers(0, 90, n_rows)
    return X.astype({"age": np.float32})


@pytest.fixture(scope="module")
def encoder():
    return TableEncoder(categorical_features=list(IDS), min_frequency=1, n_bins=8).fit(
        frame(2000)
    )


def assert_same(first, second):
    for one, other in zip(
        first.as_dict().values(), second.as_dict().values(), strict=True
    ):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def column_by_column(encoder, X, monkeypatch):
    """What `encode` gives for the rows of a long table."""
    with monkeypatch.context() as patch:
        patch.setattr(table, "SHORT", 0)
        return encoder.encode(X)


CONTAINERS = {
    "frame": lambda X: X,
    "objects": lambda X: X.astype({"short": object, "long": object}),
    "categories": lambda X: X.astype(dict.fromkeys(IDS, "category")),
    "python strings": lambda X: X.astype(
        dict.fromkeys(["short", "long"], pd.StringDtype("python"))
    ),
    "arrow": lambda X: X.convert_dtypes(dtype_backend="pyarrow"),
    "part": lambda X: pd.concat([X, X])[len(X) :],
    "arrays": lambda X: {name: X[name].to_numpy() for name in X},
    "series": lambda X: dict(X.items()),
    "lists": lambda X: {name: X[name].tolist() for name in X},
    "records": lambda X: X.to_dict("records"),
    "more columns": lambda X: X.assign(more=1).to_dict("records"),
}


@pytest.mark.parametrize("n_rows", [1, 7, 60])
@pytest.mark.parametrize("container", CONTAINERS)
def test_short_tables_are_encoded_as_long_ones(encoder, container, n_rows, monkeypatch):
    X = frame(n_rows, seed=n_rows, unseen=True)
    expected = column_by_column(encoder, X, monkeypatch)
    assert (expected.ids % 100 != 0).any()
    assert_same(encoder.encode(CONTAINERS[container](X)), expected)


@pytest.mark.parametrize("has_arrays", [True, False])
def test_columns_of_a_short_table_do_not_become_series(
    encoder, has_arrays, monkeypatch
):
    X = frame(20, seed=1, unseen=True).astype({"short": "string", "long": "string"})
    expected = encoder.encode(X)
    if has_arrays:
        monkeypatch.setattr(pd.DataFrame, "items", None)
    else:  # a version of pandas without the method
        monkeypatch.delattr(pd.DataFrame, "_iter_column_arrays")
    assert_same(encoder.encode(X), expected)


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("n_rows", [1, 20])
def test_missing_cells_of_records(encoder, missing, n_rows, monkeypatch):
    rows = frame(n_rows).to_dict("records")
    for row in rows[::2]:
        row.update(short=missing, price=None)
    expected = column_by_column(encoder, rows, monkeypatch)
    assert_same(encoder.encode(rows), expected)
    first = encoder.layout_.column_first[0]
    assert (expected.ids[::2, 0] == first).all()
    missing_cells = pd.DataFrame(rows).astype({"short": "str"})
    assert_same(encoder.encode(missing_cells), expected)


def test_lone_surrogates_are_read(monkeypatch):
    X = pd.DataFrame({"id": pd.Series(["\ud800", "a", "\udfff" * 9], dtype=object)})
    encoder = TableEncoder(min_frequency=1).fit(X)
    assert encoder.encode(X).ids.ravel().tolist() == [1, 2, 3]
    assert encoder.encode({"id": ["\udfff" * 9, "b"]}).ids.ravel().tolist() == [3, 0]


def test_ids_with_the_same_hash_are_told_apart(monkeypatch):
    def zeros(self, starts, left):
        return np.zeros(len(starts), dtype=np.uint64)

    monkeypatch.setattr(lookup.Texts, "_hashes", zeros)
    one = TableEncoder(min_frequency=1).fit(pd.DataFrame({"id": ["user_00001", "a"]}))
    other = pd.DataFrame({"id": ["user_00002", "user_00001"]})
    assert one.encode(other).ids.ravel().tolist() == [0, 1]
    both = TableEncoder(min_frequency=1).fit(other)
    assert both.encode(other).ids.ravel().tolist() == [1, 2]


def test_errors_are_those_of_long_tables(encoder):
    for cell, message in ((np.inf, "infinity"), ("much", "numbers")):
        rows = frame(3).to_dict("records")
        rows[1]["price"] = cell
        with pytest.raises((ValueError, TypeError), match=message) as error:
            encoder.encode(rows)
        assert "'price'" in str(error.value)
    with pytest.raises(ValueError, match="lacks columns"):
        encoder.encode([{"short": "a"}])
    with pytest.warns(UserWarning, match="dense"):
        encoder.encode(frame(3).assign(dense=["a", "b", "c"]))


def test_the_hash_table_follows_new_ids_and_is_not_stored(encoder):
    row = frame(1).assign(short="new")
    known, size = copy.deepcopy(encoder), len(pickle.dumps(encoder))
    assert known.encode(row).ids[0, 0] == 0
    known.partial_fit(row)
    assert known.encode(row).ids[0, 0] == len(IDS["short"]) + 1
    assert encoder.encode(row).ids[0, 0] == 0
    assert len(pickle.dumps(encoder)) == size
    assert "_lookup" not in vars(encoder)


@pytest.mark.parametrize("n_rows", [1, 2])
def test_columns_of_a_row_are_matched_by_name(encoder, n_rows):
    X = frame(n_rows)
    for other in (X[X.columns[::-1]], X.assign(more="a")[["more", *X.columns]]):
        assert_same(encoder.encode(other), encoder.encode(X))
    for other in (X.drop(columns="age"), X.rename(columns={"short": "long_"})):
        with pytest.raises(ValueError, match="lacks columns"):
            encoder.encode(other)


def test_a_look_up_copies_none_of_the_strings():
    ids = pd.Series(np.arange(40_000)).map("user_{:060d}".format)
    known = TableEncoder(min_frequency=1).fit(pd.DataFrame({"id": ids}))
    row = {"id": [ids[7]]}
    known.encode(row)
    tracemalloc.start()
    try:
        known.encode(row)
        assert tracemalloc.get_traced_memory()[1] < ids.str.len().sum() / 8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_rows", [1, 2, 60])
@pytest.mark.parametrize("kind", ["sparse", "unused"])
def test_odd_columns_of_short_tables_and_of_long_ones(
    encoder, kind, n_rows, monkeypatch
):
    X = frame(n_rows)
    odd = X.copy()
    if kind == "sparse":
        odd["short"] = pd.arrays.SparseArray(X["short"].to_numpy(object))
    else:
        # A category of another type that no row has.
        known = [*IDS["dense"], "unused"]
        odd["dense"] = pd.Categorical(X["dense"], categories=known)
    expected = column_by_column(encoder, X, monkeypatch)
    assert_same(encoder.encode(odd), expected)
    assert_same(column_by_column(encoder, odd, monkeypatch), expected)


def test_a_misspelt_key_of_a_row_is_named():
    X = pd.DataFrame({"user": ["a", "b"] * 20, "user_2": 1.0, "price": range(40)})
    encoder = TableEncoder().fit(X)
    rows = X.head(3).to_dict("records")
    expected = encoder.encode(rows).numeric
    rows[2]["pirce"] = rows[2].pop("price")
    for some in (rows, tuple(rows), rows[2:]):
        with pytest.raises(ValueError, match=r"Row \d of X has no 'price', but 'pirc"):
            encoder.encode(some)
    # A row without a value, and other keys, are no mistakes.
    del rows[2]["pirce"]
    rows[2]["request"] = 7
    np.testing.assert_array_equal(encoder.encode(rows).numeric[:2], expected[:2])
    # Nor is a key that is beside the column elsewhere.
    rows[0]["prices"], rows[2]["prices"] = "3, 4", "5"
    assert len(encoder.encode(rows)) == 3
    # The name of another column is not a misspelling, nor one with another number.
    del rows[1]["user"]
    assert len(encoder.encode(rows)) == 3
    del rows[1]["user_2"]
    rows[1]["user_7"] = 1.0
    assert len(encoder.encode(rows)) == 3
