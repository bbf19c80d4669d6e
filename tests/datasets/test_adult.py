import bz2
import hashlib
from importlib.resources import files

import pandas as pd
import pytest

from skmtl.datasets import load_adult


@pytest.fixture(scope="module")
def adult():
    return load_adult()


def test_embedded_file_is_the_recorded_one():
    folder = files("skmtl.datasets") / "data"
    blob = (folder / "adult.csv.bz2").read_bytes()
    record = (folder / "README.rst").read_text()
    assert hashlib.sha256(blob).hexdigest() in record
    assert hashlib.sha256(bz2.decompress(blob)).hexdigest() in record


def test_rows_and_positives_of_the_original_files(adult):
    counts = adult.target["income"].groupby(adult.split, observed=True).agg(list)
    assert {name: (len(v), sum(v)) for name, v in counts.items()} == {
        "train": (32_561, 7_841),
        "test": (16_281, 3_846),
    }
    assert adult.target["never_married"].sum() == 16_117


def test_first_rows_of_both_original_files(adult):
    names = ["age", "workclass", "capital_gain", "native_country"]
    assert adult.data.loc[0, names].tolist() == [39, "State-gov", 2174, "United-States"]
    assert adult.sample_weight[[0, 32_561]].tolist() == [77_516, 226_802]
    assert adult.target.loc[0].tolist() == [0, 1]


def test_columns_and_dtypes(adult):
    assert adult.feature_names == list(adult.data.columns)
    assert adult.target_names == ["income", "never_married"]
    assert not {"fnlwgt", "marital_status", "income"} & set(adult.feature_names)
    kinds = adult.data.dtypes.astype(str).value_counts().to_dict()
    assert kinds == {"category": 7, "int64": 5}
    assert set(adult.target.dtypes.astype(str)) == {"int64"}
    assert all(
        isinstance(value, str)
        for name in adult.data.select_dtypes("category")
        for value in adult.data[name].cat.categories
    )
    assert adult.frame.columns.tolist() == adult.feature_names + adult.target_names
    assert "CC BY 4.0" in adult.DESCR


def test_question_marks_are_missing(adult):
    missing = adult.data.isna().sum()
    assert missing[missing > 0].to_dict() == {
        "workclass": 2_799,
        "occupation": 2_809,
        "native_country": 857,
    }


def test_return_x_y_and_drop_relationship(adult):
    X, y = load_adult(return_X_y=True, drop_relationship=True)
    pd.testing.assert_frame_equal(X, adult.data.drop(columns="relationship"))
    pd.testing.assert_frame_equal(y, adult.target)
