"""Ids stay exact, numbers are robust, and every table form agrees."""

import datetime
import itertools
import pickle
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skmtl.encoding import TableEncoder
from skmtl.encoding._numbers import NumberScale
from skmtl.encoding._table import Columns

IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30),
    st.lists(
        st.integers(2**24 - 2, 2**24 + 3) | st.integers(2**53 - 2, 2**53 + 3),
        min_size=1,
        max_size=30,
    ),
    st.lists(st.integers(2**63 - 3, 2**64 - 1), min_size=1, max_size=30),
    st.lists(st.text(max_size=60), min_size=1, max_size=30),
)


def codes(ids, other=None, **params):
    params = {"categorical_features": ["id"], "min_frequency": 1, **params}
    encoder = TableEncoder(**params).fit(pd.DataFrame({"id": ids}))
    asked = ids if other is None else other
    found = encoder.encode(pd.DataFrame({"id": asked})).ids[:, 0]
    # A short table and a long one are looked up in different ways.
    long = encoder.encode(pd.DataFrame({"id": list(asked) * 1025})).ids[:, 0]
    assert_array_equal(long[: len(found)], found)
    return found


@given(IDS)
@settings(max_examples=150, deadline=None)
def test_ids_never_collide(ids):
    found = codes(ids)
    assert (found > 0).all()
    assert len(set(zip(ids, found, strict=True))) == len(set(ids)) == len(set(found))


@pytest.mark.filterwarnings("ignore:Column .* held")
@given(IDS, IDS)
@settings(max_examples=150, deadline=None)
def test_unseen_ids_go_to_row_zero(ids, other):
    row = dict(zip(ids, codes(ids).tolist(), strict=True))
    expected = [row.get(value, 0) for value in other]
    assert codes(ids, other).tolist() == expected


@pytest.mark.parametrize("n_buckets", [None, {"id": 10}])
@pytest.mark.parametrize("n", [4, 2000])
def test_ids_of_another_kind_are_pointed_out(n, n_buckets):
    numbers = pd.DataFrame({"id": np.arange(n) % 4})
    strings = numbers.astype(str)
    for X, other, was in ((numbers, strings, "numbers"), (strings, numbers, "strings")):
        encoder = TableEncoder(["id"], min_frequency=1, n_buckets=n_buckets).fit(X)
        with pytest.warns(UserWarning, match=f"Column 'id' held {was} in fit and hol"):
            assert not encoder.encode(other).ids.any()
        with pytest.warns(UserWarning, match="Column 'id' held"):
            encoder.encode(other.astype("category"))
        encoder.encode(X.mask(X == X))  # nothing there is of no kind


def test_rows_follow_frequency_and_rare_ids_share_row_zero():
    ids = ["c"] + ["b"] * 2 + ["a"] * 3 + [None] * 4
    assert codes(ids, min_frequency=2).tolist() == [0, 2, 2, 1, 1, 1, 0, 0, 0, 0]
    assert codes(ids, max_categories=1).tolist() == [0] * 3 + [1] * 3 + [0] * 4
    encoder = TableEncoder(min_frequency=1).fit(pd.DataFrame({"id": ids}))
    assert encoder.vocabulary_sizes_ == [4]


@pytest.mark.parametrize(
    "form",
    [
        lambda s: s.astype("int64"),
        lambda s: s.astype("int32"),
        lambda s: s.astype("uint8"),
        lambda s: s.astype("Int64"),
        lambda s: s.astype("float64"),
        lambda s: s.astype(object),
        lambda s: s.astype("category"),
    ],
)
def test_integer_ids_match_whatever_their_dtype(form):
    ids = pd.Series([3, 1, 3, 7, 1, 3])
    expected = codes(ids)
    assert_array_equal(codes(form(ids)), expected)
    assert_array_equal(codes(ids, form(ids)), expected)
    with_missing = pd.Series([3, None, 7])
    assert codes(ids, with_missing).tolist() == [1, 0, 3]


def test_string_ids_match_whatever_their_dtype():
    ids = pd.Series(["x", "y", "x", "z"], dtype=object)
    for dtype in (object, "str", "category", "string[python]"):
        assert codes(ids.astype(dtype)).tolist() == [1, 2, 1, 3]
        assert codes(ids, ids.astype(dtype)).tolist() == [1, 2, 1, 3]


def frame(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": rng.zipf(1.5, n) % 50,
            "item": [None if v < 3 else f"i{v}" for v in rng.zipf(1.3, n) % 40],
            "price": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(size=n)),
            "gain": rng.integers(0, 100, n) * (rng.random(n) < 0.2),
        }
    )


def test_pandas_polars_and_arrays_agree():
    X = frame()
    encoder = TableEncoder(["user", "item"]).fit(X)
    expected = encoder.transform(X)
    columns = {k: [None if pd.isna(v) else v for v in X[k]] for k in X}
    X_polars = pl.DataFrame(columns)
    assert_array_equal(encoder.transform(X_polars), expected)
    assert_array_equal(TableEncoder(["user", "item"]).fit_transform(X_polars), expected)
    assert_array_equal(TableEncoder([0, 1]).fit_transform(X.to_numpy()), expected)
    mask = [True, True, False, False]
    assert_array_equal(TableEncoder(mask).fit_transform(X), expected)


def test_booleans_with_missing_cells_are_numbers_in_both_frames():
    cells = [True, None, False, True]
    X = pd.DataFrame({"liked": pd.array(cells, dtype="boolean")})
    X_polars = pl.DataFrame({"liked": cells})
    encoder = TableEncoder().fit(X_polars)
    assert encoder.numeric_names_ == ["liked"]
    assert_array_equal(encoder.transform(X_polars), TableEncoder().fit_transform(X))


def test_arrow_booleans_dictionaries_and_nulls():
    plain = pd.DataFrame(
        {
            "item": pd.Categorical(["a", "b", None, "b", "a"]),
            "liked": pd.array([True, None, False, True, False], dtype="boolean"),
            "nothing": [np.nan] * 5,
        }
    )
    kinds = [pa.dictionary(pa.int32(), pa.string()), pa.bool_(), pa.null()]
    arrow = pd.DataFrame(
        {
            name: plain[name].astype(object).astype(pd.ArrowDtype(kind))
            for name, kind in zip(plain, kinds, strict=True)
        }
    )
    encoder = TableEncoder().fit(plain)
    again = TableEncoder().fit(arrow)
    assert again.categorical_names_ == encoder.categorical_names_ == ["item"]
    assert_array_equal(again.transform(arrow), encoder.transform(plain))
    assert_array_equal(encoder.transform(arrow), again.transform(plain))
    # A column of ids that is empty in one file.
    assert not encoder.encode(arrow.assign(item=arrow["nothing"])).ids.any()


def test_columns_are_matched_by_name():
    X = frame()
    encoder = TableEncoder(["user", "item"]).fit(X)
    expected = encoder.transform(X)
    shuffled = X[["gain", "item", "user", "price"]].assign(more=1)
    assert_array_equal(encoder.transform(shuffled), expected)
    with pytest.raises(ValueError, match=r"lacks columns .*\['item'\]"):
        encoder.transform(X.drop(columns="item"))


@pytest.mark.parametrize(
    "names", [[7, 8, 3, 5], pd.MultiIndex.from_product([["a", "b"], [0, 1]])]
)
def test_columns_whose_names_are_no_strings_are_matched_too(names):
    X = frame().set_axis(names, axis=1)
    first, *others = X.columns
    encoder = TableEncoder([0, 1]).fit(X)
    expected = encoder.transform(X)
    assert_array_equal(encoder.transform(X[[*others, first]]), expected)
    with pytest.raises(ValueError, match="lacks columns"):
        encoder.transform(X[others])
    assert_array_equal(encoder.transform(X.to_numpy(object)), expected)
    with pytest.raises(ValueError, match="not there in the first call"):
        encoder.partial_fit(pd.concat([X, frame()], axis=1))
    # After an array there are no names to match.
    encoder = TableEncoder([0, 1]).fit(X.to_numpy(object))
    assert_array_equal(encoder.transform(X), expected)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_output_of_both_kinds_of_frame(container):
    X = frame()
    encoder = TableEncoder(["user", "item"], n_bins=4).fit(X)
    expected = encoder.transform(X)
    with sklearn.config_context(transform_output=container):
        by_config = encoder.transform(X)
    out = encoder.set_output(transform=container).transform(X)
    assert type(out).__module__.startswith(container)
    assert list(out.columns) == list(encoder.get_feature_names_out())
    assert_array_equal(out.to_numpy(), expected)
    assert out.equals(by_config)


def test_clone_pickle_and_output():
    X = frame()
    encoder = TableEncoder(["user", "item"], n_bins=4).fit(X)
    again = pickle.loads(pickle.dumps(encoder))
    assert_array_equal(again.transform(X), encoder.transform(X))
    assert not hasattr(clone(encoder), "vocabulary_sizes_")
    out = encoder.set_output(transform="pandas").transform(X)
    names = ["user", "item", "price", "gain", "price_bin", "gain_bin"]
    assert list(out.columns) == list(encoder.get_feature_names_out()) == names
    assert out["user"].dtype == out["gain_bin"].dtype == np.int32


def test_offsets_put_columns_side_by_side():
    X = frame()
    encoder = TableEncoder(["user", "item"]).fit(X)
    table, out = encoder.encode(X), encoder.transform(X)
    assert_array_equal(table.ids[:, 1] - encoder.vocabulary_sizes_[0], out[:, 1])
    assert table.ids.max() < sum(encoder.vocabulary_sizes_)
    assert table.bins.max() < sum(encoder.bin_sizes_)
    assert table.numeric.dtype == np.float32
    assert table.shape == X.shape
    assert_array_equal(table.take([5, 2]).ids, table.ids[[5, 2]])


NUMBERS = st.lists(
    st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0, np.nan]), min_size=1, max_size=60
).map(np.array)


@given(NUMBERS, st.integers(1, 20), st.data())
@settings(max_examples=150, deadline=None)
def test_a_weight_is_a_repetition(x, n_bins, data):
    times = data.draw(
        st.lists(st.integers(0, 3), min_size=len(x), max_size=len(x)).map(np.array)
    )
    weighted = NumberScale.fit(x, times.astype(float), n_bins)
    repeated = NumberScale.fit(np.repeat(x, times), None, n_bins)
    assert (weighted.center, weighted.scale) == (repeated.center, repeated.scale)
    assert_array_equal(weighted.edges, repeated.edges)


@given(NUMBERS, st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_scales_and_bins_keep_the_order(x, n_bins):
    scale = NumberScale.fit(x, None, n_bins)
    z, missing = scale.scaled(x), np.isnan(x)
    assert (z[missing] == 0).all()
    order = np.argsort(x[~missing], kind="stable")
    assert (np.diff(z[~missing][order]) >= 0).all()
    assert (np.abs(z) <= 3).all()
    if scale.edges is None:
        assert len(set(x)) <= 2
        assert not missing.any()
        return
    bins = scale.bins(x)
    assert (bins[missing] == 0).all()
    assert (np.diff(bins[~missing][order]) >= 0).all()
    assert ((bins[~missing] >= 1) & (bins[~missing] < scale.n_bins)).all()


def test_numbers_with_two_values_have_no_bins():
    flag = np.tile([0.0, 1.0], 50)
    gap = np.where(np.arange(100) == 7, np.nan, flag)
    X = pd.DataFrame({"flag": flag, "x": np.arange(100.0), "gap": gap, "one": 3.0})
    encoder = TableEncoder(n_bins=4, categorical_features=None).fit(X)
    assert len(encoder.bin_sizes_) == 2
    names = ["flag", "x", "gap", "one", "x_bin", "gap_bin"]
    assert list(encoder.get_feature_names_out()) == names
    for rows in (slice(None), slice(5, 9)):  # also the way of a few rows
        out = encoder.transform(X[rows])
        assert_array_equal(out[:, 4], 1 + np.arange(100)[rows] // 25)
        assert_array_equal(out[:, 5] == 0, np.isnan(gap[rows]))
        assert len(set(out[:, 0])) == 2
        assert_array_equal(out[:, 0] > out[:, 0].min(), flag[rows] == 1)
        assert (out[:, 3] == 0).all()


def test_a_heavy_value_has_its_bin_alone():
    rng = np.random.default_rng(0)
    x = np.r_[np.zeros(900), rng.lognormal(size=100), -1.0]
    bins = NumberScale.fit(x, None, 8).bins(x)
    assert set(bins[x == 0]).isdisjoint(bins[x != 0])
    assert len(set(bins[x == 0])) == 1
    assert len(set(bins[x > 0])) == 7


def test_light_values_share_bins_evenly():
    x = np.random.default_rng(1).normal(size=1000)
    counts = np.bincount(NumberScale.fit(x, None, 10).bins(x))[1:]
    assert_array_equal(counts, 100)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda X: X.assign(price=np.inf), ValueError, "column 'price'"),
        (lambda X: X.assign(item=[{}] * len(X)), TypeError, "'item' holds a dict"),
        (lambda X: X.assign(item=[1, "a"] * 200), TypeError, "'item' mixes types"),
        (
            lambda X: X.assign(item=datetime.datetime(2026, 1, 1)),
            TypeError,
            "'item' holds datetime64",
        ),
        (
            lambda X: X.assign(item=Decimal(1)),
            TypeError,
            "'item' holds Decimal objects",
        ),
        (
            lambda X: X.assign(price=datetime.datetime(2026, 1, 1)),
            TypeError,
            "'price' must hold numbers, found datetime64.* Turn times into numbers",
        ),
        (lambda X: X.assign(price="dear"), TypeError, "'price' must hold numbers"),
        (lambda X: X.assign(price=1j), ValueError, "Complex data not supported"),
        (lambda X: X[:0], ValueError, "0 sample"),
        (
            lambda X: X.set_axis(["user", "item", "a", "a"], axis=1),
            ValueError,
            r"same name: \['a'\]",
        ),
    ],
)
def test_bad_tables_are_named(spoil, error, message):
    with pytest.raises(error, match=message):
        TableEncoder(["user", "item"]).fit(spoil(frame()))


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        ([True], ValueError, "mask of 1 values"),
        (["nothing"], ValueError, "not a column of X"),
        ([9], ValueError, "index 9"),
        ([1.5], TypeError, "names, indices or booleans"),
    ],
)
def test_bad_selections_are_named(features, error, message):
    with pytest.raises(error, match=message):
        TableEncoder(features).fit(frame())


def test_integer_ids_are_pointed_out():
    X = frame().rename(columns={"user": "userId"})
    with pytest.warns(UserWarning, match="'userId'"):
        TableEncoder().fit(X)


def test_polars_decimals_are_numbers():
    cells = [Decimal("1.5"), None, Decimal(3)]
    table = pl.DataFrame({"price": cells})
    expected = pl.DataFrame({"price": [1.5, None, 3.0]})
    encoder = TableEncoder().fit(expected)
    assert encoder.numeric_names_ == ["price"]
    assert_array_equal(encoder.transform(table), encoder.transform(expected))


def test_column_names_that_are_booleans_name_columns():
    X = pd.DataFrame({True: [1.0, 2.0, 4.0], False: [3.0, 4.0, 9.0]})
    encoder = TableEncoder().fit(X)
    expected = encoder.transform(X)
    assert len(expected) == 3
    assert_array_equal(encoder.transform(X.iloc[:, ::-1]), expected)
    assert_array_equal(encoder.transform(X.iloc[:2]), expected[:2])


@pytest.mark.parametrize("name", [np.nan, None, pd.NA, pd.NaT])
def test_columns_without_a_name_are_refused(name):
    X = pd.DataFrame([[1.0, 2.0]]).set_axis([0, name], axis=1)
    with pytest.raises(ValueError, match=r"columns without a name: .* at position 1"):
        TableEncoder().fit(X)


@pytest.mark.parametrize("kind", [">i8", ">f8", ">u4"])
def test_byte_order_does_not_matter(kind):
    X = pd.DataFrame({"id": [3, 1, 3, 7], "x": [1.0, 2.0, 3.0, 9.0]})
    foreign = X.astype(kind)
    encoder = TableEncoder(["id"], min_frequency=1).fit(X)
    expected = encoder.transform(X)
    assert_array_equal(encoder.transform(foreign), expected)
    assert_array_equal(
        TableEncoder(["id"], min_frequency=1).fit_transform(foreign), expected
    )
    array = TableEncoder([0], min_frequency=1).fit(X.to_numpy())
    assert_array_equal(array.transform(X.to_numpy().astype(">f8")), expected)


def test_every_container_is_encoded_alike():
    X = frame()
    columns = {k: [None if pd.isna(v) else v for v in X[k]] for k in X}
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    expected = TableEncoder(["user", "item"]).fit_transform(X)
    for table in (
        pa.table(columns),
        pa.RecordBatch.from_pydict(columns),
        columns,
        [dict(zip(columns, row, strict=True)) for row in rows],
    ):
        encoder = TableEncoder(["user", "item"]).fit(table)
        assert encoder.feature_names_in_.tolist() == list(X)
        assert_array_equal(encoder.transform(table), expected)
        assert_array_equal(encoder.transform(X), expected)
    encoder = TableEncoder([0, 1]).fit(rows)
    assert encoder.numeric_names_ == [2, 3]
    assert_array_equal(encoder.transform(rows), expected)


def test_large_integers_beside_missing_cells_stay_exact_in_object_arrays():
    big = 2**60
    X = np.array([[big, "a"], [big + 1, "a"], [None, "b"]], dtype=object)
    encoder = TableEncoder([0, 1], min_frequency=1).fit(X)
    assert encoder.encode(X).ids[:, 0].tolist() == [1, 2, 0]


def test_numbers_come_as_they_are():
    X = pd.DataFrame({"item": ["a", "b", None], "price": [1e9, np.nan, -3.0]})
    encoder = TableEncoder(min_frequency=1, n_bins=0).fit(X)
    np.testing.assert_array_equal(encoder.numbers(X), X[["price"]])
    back = encoder.numbers(X[["price", "item"]])
    np.testing.assert_array_equal(back, X[["price"]])


@given(NUMBERS, st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_ranges_say_where_in_its_bin_a_number_lies(x, n_bins):
    scale = NumberScale.fit(x, None, n_bins)
    if scale.edges is None:
        return
    ranges = scale.ranges().astype(np.float64)
    assert ranges.shape == (scale.n_bins, 2)
    # Missing, and the two ends, have one edge at most.
    assert (ranges[[0, 1, -1]] == 0).all()
    low, per_unit = ranges[scale.bins(x)].T
    share = (scale.scaled(x) - low) * per_unit
    inside = per_unit > 0
    assert (share[inside] > -0.05).all()
    assert (share[inside] < 1.05).all()
    width = np.diff(scale.scaled(scale.edges).astype(np.float64))
    wide = ranges[2:-1, 1] > 0
    assert_array_equal(wide, width > 1e-5)
    np.testing.assert_allclose(1 / ranges[2:-1, 1][wide], width[wide], rtol=1e-5)


def test_a_bin_of_one_value_has_no_range():
    x = np.r_[np.zeros(50), np.arange(1.0, 51.0)]
    encoder = TableEncoder(None, n_bins=8).fit(x[:, None])
    (zero,) = np.unique(encoder.encode(np.zeros((1, 1))).bins)
    assert encoder.bin_ranges_[zero, 1] == 0
    assert (encoder.bin_ranges_[zero + 1 : -1, 1] > 0).sum() >= 3


def test_flags_have_bins_where_they_are_asked_for():
    x = np.array([[0.0], [1.0], [1.0]])
    assert TableEncoder(None).fit(x).bin_sizes_ == []
    encoder = TableEncoder(None, bin_flags=True).fit(x)
    assert len(np.unique(encoder.encode(x).bins)) == 2


def test_a_table_of_many_columns_is_encoded_as_parts_of_it():
    """Beyond so many columns, Series are made some at a time."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.integers(0, 3, (6, 1200))).add_prefix("c")
    X[["c3", "c700"]] = X[["c3", "c700"]].astype("category")
    X["c9"] = [["a"], ["b", "a"]] * 3
    whole = TableEncoder(min_frequency=1).fit(X)
    names = ["c3", "c9", "c11", "c700", "c1199"]
    part = TableEncoder(min_frequency=1).fit(X[names])
    table, expected = whole.encode(X), part.encode(X[names])
    assert_array_equal(table.ids, expected.ids)
    at = [whole.numeric_names_.index(name) for name in ("c11", "c1199")]
    assert_array_equal(table.numeric[:, at], expected.numeric)
    assert_array_equal(table.bags[0].values, expected.bags[0].values)
    parts = TableEncoder(min_frequency=1).fit(X[:3]).partial_fit(X[3:])
    known = parts.encode(X).ids > np.array(parts.layout_.column_first)
    assert known.all()


@pytest.mark.parametrize("n_columns", [1, 63, 64, 65, 127, 128, 129])
def test_columns_are_all_there_once(n_columns):
    frame = pd.DataFrame(np.arange(n_columns)[None] * 1.0).add_prefix("c")
    found = list(itertools.islice(Columns(frame), n_columns + 1))
    assert [column.item() for column in found] == list(range(n_columns))
    with pytest.raises(IndexError):
        Columns(frame)[n_columns]
    with pytest.raises(IndexError):
        Columns(frame)[-1]
    assert TableEncoder().fit(frame).encode(frame).numeric.shape == (1, n_columns)


def calls(work):
    """How many functions of Python and C are called, which no other process changes."""
    counted = 0

    def count(frame, event, argument):
        nonlocal counted
        counted += event in ("call", "c_call")

    work()  # what is made once
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("kind", ["numbers", "ids", "lists"])
def test_work_is_linear_in_the_number_of_columns(kind):
    """Four times the columns take four times as many calls, and not sixteen."""
    rng = np.random.default_rng(0)
    fit, one_row = [], []
    for n_columns in (100, 400):
        cells = rng.normal(size=(4, n_columns))
        if kind != "numbers":
            cells = cells.astype(int)
        X = pd.DataFrame(cells).add_prefix("c")
        if kind == "lists":
            X = X.astype(object).map(lambda cell: [cell])
        features = None if kind == "numbers" else list(X)
        encoder = TableEncoder(features, min_frequency=1)
        fit.append(calls(lambda e=encoder, X=X: e.fit(X)))
        one_row.append(calls(lambda e=encoder, X=X[:1]: e.encode(X)))
    assert fit[1] < 4.2 * fit[0]
    assert one_row[1] < 4.2 * one_row[0]
