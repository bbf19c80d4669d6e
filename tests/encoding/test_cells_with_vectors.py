"""Vectors in a cell become numbers; ids in lists stay ids."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skmtl import TableEncoder

VECTORS = np.random.default_rng(0).normal(size=(50, 3))
SPREAD = pd.DataFrame(VECTORS, columns=["v[0]", "v[1]", "v[2]"])


def arrow(kind):
    cells = pa.chunked_array([pa.array(VECTORS.tolist(), kind)])
    return pd.Series(pd.arrays.ArrowExtensionArray(cells))


FORMS = {
    "lists": lambda: pd.DataFrame({"v": VECTORS.tolist()}),
    "tuples": lambda: pd.DataFrame({"v": list(map(tuple, VECTORS))}),
    "arrays": lambda: pd.DataFrame({"v": list(VECTORS)}),
    "arrow lists": lambda: pd.DataFrame({"v": arrow(pa.list_(pa.float64()))}),
    "arrow of one size": lambda: pd.DataFrame({"v": arrow(pa.list_(pa.float64(), 3))}),
    "arrow table": lambda: pa.table({"v": VECTORS.tolist()}),
    "polars lists": lambda: pl.DataFrame({"v": VECTORS.tolist()}),
    "polars arrays": lambda: pl.DataFrame(
        {"v": VECTORS.tolist()}, schema={"v": pl.Array(pl.Float64, 3)}
    ),
    "dict": lambda: {"v": VECTORS.tolist()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("features", ["from_dtype", None])
def test_vectors_are_read_as_their_numbers(form, features):
    X = FORMS[form]()
    encoder = TableEncoder(features).fit(X)
    assert encoder.numeric_names_ == ["v[0]", "v[1]", "v[2]"]
    assert encoder.feature_names_in_.tolist() == ["v"]
    expected = TableEncoder().fit(SPREAD)
    assert_array_equal(encoder.transform(X), expected.transform(SPREAD))
    assert_array_equal(
        encoder.get_feature_names_out(), expected.get_feature_names_out()
    )
    for other in FORMS.values():
        assert_array_equal(encoder.transform(other()), expected.transform(SPREAD))


def test_other_columns_keep_their_places():
    X = pd.DataFrame({"id": list("ab") * 25, "v": list(VECTORS), "x": VECTORS[:, 0]})
    expected = pd.concat([X[["id"]], SPREAD, X[["x"]]], axis=1)
    encoder = TableEncoder().fit(X)
    assert encoder.n_features_in_ == 3
    for rows in (slice(None), slice(0, 1)):
        assert_array_equal(
            encoder.transform(X[rows]),
            TableEncoder().fit(expected).transform(expected[rows]),
        )
    before = encoder.transform(X)
    encoder.partial_fit(X.assign(id="c"))
    assert encoder.vocabulary_sizes_ == [4]
    assert_array_equal(encoder.transform(X), before)
    weights = (np.arange(50) < 30).astype(float)
    assert_array_equal(
        TableEncoder().fit(X, sample_weight=weights).transform(X),
        TableEncoder().fit(X[:30]).transform(X),
    )


def test_missing_vectors_and_missing_numbers():
    cells = [[0.5, 1.0], None, [np.nan, 2.0], [1.5, 4.0]]
    X = pd.DataFrame({"v": pd.Series(cells, dtype=object)})
    bins = TableEncoder(n_bins=2).set_output(transform="pandas").fit_transform(X)
    assert (bins["v[0]_bin"] == 0).tolist() == [False, True, True, False]
    assert (bins["v[1]_bin"] == 0).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "cells",
    [
        [[1, 2], [3, 4]],
        [[1.0, 2.0], [3.0, 4.0]],
        [["1.5", "2"], ["3", "4"]],
        [np.array([1, 2]), np.array([3, 4])],
    ],
)
def test_whole_numbers_and_strings_in_lists_are_ids(cells):
    X = pd.DataFrame({"h": pd.Series(cells, dtype=object)})
    assert TableEncoder(min_frequency=1).fit(X).bag_names_ == ["h"]


def test_a_type_of_fixed_size_and_floats_says_vector():
    whole = pl.DataFrame({"v": [[1.0, 0.0]]}, schema={"v": pl.Array(pl.Float32, 2)})
    assert TableEncoder().fit(whole).numeric_names_ == ["v[0]", "v[1]"]
    ids = pl.DataFrame({"v": [[1, 0]]}, schema={"v": pl.Array(pl.Int32, 2)})
    assert TableEncoder(min_frequency=1).fit(ids).bag_names_ == ["v"]


@pytest.mark.parametrize(
    ("cells", "params", "message"),
    [
        ([[0.5], [0.5, 1.5]], {}, "'v' holds lists of fractional numbers, such as 0.5"),
        ([[0.5, 1.5]] * 2, {"categorical_features": ["v"]}, "'v' holds lists of fract"),
        ([[1], [1, 2]], {"categorical_features": None}, "'v' holds vectors of 1 to 2"),
        ([[], []], {"categorical_features": None}, "'v' holds no number"),
    ],
)
def test_what_is_neither_vector_nor_ids_is_named(cells, params, message):
    X = pd.DataFrame({"v": pd.Series(cells, dtype=object)})
    with pytest.raises(ValueError, match=message):
        TableEncoder(**params).fit(X)


@pytest.mark.parametrize(
    ("cells", "error", "message"),
    [
        ([[0.5, 1.0], [0.5]], ValueError, "'v' held vectors of 2 .* row 1 has 1"),
        (
            [0.5, 1.0],
            TypeError,
            "'v' held vectors of 2 numbers in fit and holds single",
        ),
        ([["a", "b"], ["c", "d"]], TypeError, "'v' must hold vectors of numbers"),
        ([[0.5, np.inf], [1.0, 2.0]], ValueError, r"infinity.*column 'v\[1\]', row 0"),
    ],
)
def test_other_vectors_are_refused_later(cells, error, message):
    encoder = TableEncoder().fit(pd.DataFrame({"v": [[0.5, 1.5], [2.5, 3.5]]}))
    with pytest.raises(error, match=message):
        encoder.encode(pd.DataFrame({"v": pd.Series(cells, dtype=object)}))


def test_names_that_meet_are_refused():
    X = pd.DataFrame({"v": [[0.5, 1.5]], "v[1]": [2.0]})
    with pytest.raises(ValueError, match=r"columns of the same name: \['v\[1\]'\]"):
        TableEncoder().fit(X)
