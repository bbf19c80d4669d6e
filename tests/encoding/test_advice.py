"""What the encoder warns of: ids read as numbers, and ids that nothing can learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_wine
from sklearn.preprocessing import OrdinalEncoder

from skmtl import TableEncoder
from skmtl.encoding._advice import are_codes, whole_values


def rng():
    return np.random.default_rng(0)


def silent(X, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return TableEncoder(**params).fit(X)


@pytest.mark.parametrize("name", ["user_id", "itemId", "ID", "zip", "region_code"])
@pytest.mark.parametrize("dtype", ["int64", "UInt8", "float64", "Int64"])
def test_columns_named_like_ids_are_pointed_out(name, dtype):
    X = pd.DataFrame({name: [3, 5, 5, 3], "x": [0.5, 1.5, 0.5, 2.5]})
    with pytest.warns(UserWarning, match=rf"Columns \['{name}'\] are named like ids"):
        TableEncoder().fit(X.astype({name: dtype}))
    silent(X, categorical_features=[name])
    silent(X.astype({name: "category"}))
    silent(X.rename(columns={name: "number"}))


def test_one_missing_cell_does_not_hide_integer_ids():
    X = pd.DataFrame({"user_id": [3, 5, None, 3], "rate_id": [0.5, 1, None, 2]})
    assert X["user_id"].dtype == np.float64
    with pytest.warns(UserWarning, match=r"Columns \['user_id'\] are named"):
        TableEncoder().fit(X)


def test_integers_that_look_like_codes_are_pointed_out():
    codes = rng().choice([101, 207, 340, 512, 788], 200)
    X = pd.DataFrame({"channel": codes, "x": rng().normal(size=200)})
    with pytest.warns(
        UserWarning, match=r"Columns \['channel'\] hold integers that lo"
    ):
        TableEncoder().fit(X)
    X["channel"] = X["channel"].where(X.index > 0)  # float64 with a missing cell
    with pytest.warns(UserWarning, match=r"\['channel'\] hold integers that look like"):
        TableEncoder().fit(X)


AMOUNTS = {
    "prices": lambda r: r.choice([199, 299, 499, 999], 400),
    "years": lambda r: r.integers(1995, 2026, 400),
    "counts": lambda r: r.poisson(4, 4000),
    "ages": lambda r: np.clip(r.normal(45, 15, 9000).astype(int), 0, 90),
    "salaries": lambda r: r.choice([1000, 2000, 3500, 9000], 400),
    "many": lambda r: r.integers(0, 10**6, 400),
    "ratings": lambda r: r.integers(1, 6, 400),
    "weeks": lambda r: r.choice(
        53, 9000, p=np.r_[0.4, np.tile([0.002, 0.006], 25), 0.0, 0.4] / 1.0
    ),
}


@pytest.mark.parametrize("kind", AMOUNTS)
def test_amounts_are_not_called_codes(kind):
    assert not are_codes(AMOUNTS[kind](rng()))


def test_ordinary_tables_raise_no_alarm():
    for load in (load_digits, load_wine):
        silent(load(as_frame=True).data)
        silent(load().data)


def names(n):
    """Names in no order of their frequency."""
    pool = np.array([f"name{k:02d}" for k in range(30)])
    return rng().choice(pool, n, p=rng().dirichlet(np.ones(30)))


def test_codes_of_an_ordinal_encoder_are_pointed_out():
    X = pd.DataFrame({"x": rng().normal(size=9000), "name": names(9000)})
    coder = make_column_transformer(
        ("passthrough", ["x"]), (OrdinalEncoder(), ["name"])
    )
    coded = coder.fit_transform(X)
    with pytest.warns(UserWarning, match=r"Columns \[1\] hold integers that look like"):
        TableEncoder().fit(coded)
    silent(coded, categorical_features=[1])


def test_arrays_of_objects_and_rows_do_not_tell_integers_from_ids():
    X = np.array([[7, "a", 0.5], [7, "b", 1.5], [8, "a", 2.0]], dtype=object)
    for given in (X, X.tolist()):
        with pytest.warns(
            UserWarning, match=r"columns \[0\] hold int.*categorical_features=\[0, 1\]"
        ):
            encoder = TableEncoder().fit(given)
        assert encoder.numeric_names_ == [0, 2]
    silent(X, categorical_features=[0, 1])
    silent(X[:, [1, 2]])


def test_arrays_of_strings_turn_numbers_into_ids():
    X = np.array([["7", "a"], ["7", "b"], ["8", "a"]])
    with pytest.warns(UserWarning, match=r"array of strings. Its columns \[0\]"):
        TableEncoder(min_frequency=1).fit(X)
    silent(X[:, 1:], min_frequency=1)


def test_objects_that_are_fractions_are_numbers():
    for missing in (None, np.nan, pd.NA):
        X = pd.DataFrame({"x": pd.Series([1.5, missing, 2], dtype=object)})
        encoder = silent(X)
        assert encoder.numeric_names_ == ["x"]
        assert encoder.transform(X)[1, 1] == 0  # the bin of missing numbers
        with pytest.raises(TypeError, match="mixes types"):
            TableEncoder(["x"]).fit(X)
    X = pd.DataFrame({"x": pd.Series([1.5, pd.NA, 2.5], dtype=object)})
    assert TableEncoder(["x"], min_frequency=1).fit(X).encode(X).ids[1] == 0


def test_columns_of_which_no_id_comes_twice_are_pointed_out():
    X = pd.DataFrame({"text": ["a b", "c", "d e"], "item": ["x", "x", "y"]})
    with pytest.warns(UserWarning, match=r"No id in columns \['text'\].*=2 rows") as w:
        TableEncoder().fit(X)
    assert len(w) == 1
    silent(X, min_frequency=1)
    silent(X, n_buckets={"text": 5})
    silent(X.assign(text=None))
    # The first of several parts may still be followed by others.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableEncoder().partial_fit(X).partial_fit(X)


def test_whole_values():
    assert whole_values(pd.Series([0.5, 1.0])) is None
    assert whole_values(pd.Series([True, False])) is None
    assert whole_values(pd.Series(["1"])) is None
    assert whole_values(pd.Series([1.0, np.nan])).tolist() == [1]
    assert whole_values(pd.Series([1.0, 2.0]), only_integers=True) is None
    assert whole_values(pd.Series([1e300])) is None
    assert whole_values(pd.Series([2**63], dtype="uint64")) is None
