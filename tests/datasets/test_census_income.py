import gzip
import hashlib
import os

import numpy as np
import pandas as pd
import pytest

from skmtl.datasets import _census_income, fetch_census_income
from skmtl.datasets._census_income import _COLUMNS, _TEST, _TRAIN

RATES = {
    "train": [0.0621, 0.4335],
    "test": [0.0620, 0.4325],
}


def lines(n, seed):
    """Rows in the form of the original files."""
    rng = np.random.default_rng(seed)
    rows = {name: rng.choice(["?", "Some text ", "b"], n) for name in _COLUMNS}
    for name in _census_income._INTEGERS:
        rows[name] = rng.integers(0, 99, n)
    rows["det_ind_code"] = rng.integers(0, 52, n)
    rows["instance_weight"] = rng.integers(100, 99_999, n) / 100
    rows["marital_stat"] = rng.choice(["Never married", "Divorced"], n)
    rows["income_50k"] = rng.choice(["- 50000.", "50000+."], n)
    table = pd.DataFrame(rows)[_COLUMNS]
    text = "".join(", ".join(map(str, row)) + "\n" for row in table.itertuples(False))
    return table, text.encode()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small table in the place of the original; its contents and its folder."""
    tables, contents = zip(lines(60, 0), lines(41, 1), strict=True)
    contents = dict(zip((_TRAIN, _TEST), contents, strict=True))
    sums = {name: hashlib.sha256(c).hexdigest() for name, c in contents.items()}
    monkeypatch.setattr(_census_income, "_MEMBERS", sums)
    monkeypatch.setenv("SKMTL_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return (
        pd.concat(tables, ignore_index=True),
        contents,
        tmp_path / "census_income_kdd",
    )


def place(contents, folder):
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))


@pytest.fixture
def no_download(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("no download expected")

    monkeypatch.setattr(_census_income, "download", fail)


def test_parsing_is_exact(small, no_download):
    table, contents, folder = small
    place(contents, folder)
    census = fetch_census_income()
    assert census.data.shape == (101, 38)
    assert (census.split == "test").tolist() == [False] * 60 + [True] * 41
    np.testing.assert_array_equal(census.sample_weight, table["instance_weight"])
    for name in census.feature_names:
        if name in _census_income._INTEGERS:
            assert census.data[name].dtype == "int64"
            assert census.data[name].tolist() == table[name].tolist()
        else:
            assert census.data[name].dtype == "category"
            text = census.data[name].astype(object).fillna("?").tolist()
            assert text == table[name].astype(str).tolist()
    income, married = census.target["income"], census.target["never_married"]
    assert income.tolist() == (table["income_50k"] == "50000+.").tolist()
    assert married.tolist() == (table["marital_stat"] == "Never married").tolist()


def test_inputs_hold_no_label_and_no_weight(small, no_download):
    _, contents, folder = small
    place(contents, folder)
    left_out = {"marital_stat", "instance_weight", "income_50k", "education"}
    assert set(fetch_census_income().feature_names) == set(_COLUMNS) - left_out
    X, y = fetch_census_income(keep_education=True, return_X_y=True)
    assert set(X) == set(_COLUMNS) - left_out | {"education"}
    assert list(y) == ["income", "never_married"]


def test_the_archive_itself_may_lie_in_the_folder(small, no_download, nested_archive):
    table, contents, folder = small
    folder.mkdir()
    (folder / "census+income+kdd.zip").write_bytes(nested_archive(**contents))
    assert fetch_census_income().data["age"].tolist() == table["age"].tolist()
    assert os.listdir(folder) == ["census+income+kdd.zip"]


def test_splits_are_a_partition_in_the_files_order(small, no_download):
    _, contents, folder = small
    place(contents, folder)
    whole = fetch_census_income()
    parts = fetch_census_income(return_splits=True)
    assert [len(part.data) for part in parts.values()] == [60, 20, 21]
    assert list(parts) == ["train", "validation", "test"]
    pd.testing.assert_frame_equal(parts.train.data, whole.data[:60])
    assert (parts.validation.split == "test").all()
    # The weights are distinct: they tell the rows apart.
    weights = [part.sample_weight for part in parts.values()]
    order = whole.sample_weight
    assert sorted(pd.concat(weights)) == sorted(order)
    for part in weights:
        positions = pd.Index(order).get_indexer(part)
        assert (np.diff(positions) > 0).all()


def test_random_state_draws_the_split(small, no_download):
    _, contents, folder = small
    place(contents, folder)

    def validation(**kwargs):
        bunch = fetch_census_income(return_splits=True, **kwargs).validation
        return bunch.sample_weight.tolist()

    assert validation() == validation(random_state=0)
    assert validation() == validation(random_state=np.random.default_rng(0))
    assert validation() != validation(random_state=1)
    (_, _), (X, y), (_, _) = fetch_census_income(return_splits=True, return_X_y=True)
    assert len(X) == len(y) == 20


def test_missing_files_without_download(small, no_download):
    with pytest.raises(OSError, match=r"not both in .*census_income_kdd.*dataset/117"):
        fetch_census_income(download_if_missing=False)
    assert not small[2].exists()


@pytest.mark.parametrize("archive_is_there", [True, False])
def test_download_is_kept_and_used(
    small, server, nested_archive, monkeypatch, archive_is_there
):
    _, contents, folder = small
    monkeypatch.setattr(_census_income, "_UCI", server.url)
    if archive_is_there:
        server.serve(
            "/static/public/117/census+income+kdd.zip", nested_archive(**contents)
        )
    for name, content in contents.items():
        path = f"/ml/machine-learning-databases/census-income-mld/{name}.gz"
        server.serve(path, gzip.compress(content))
    first = fetch_census_income()
    n_requests = len(server.requests)
    assert n_requests == (1 if archive_is_there else 3)
    assert sorted(os.listdir(folder)) == [f"{_TRAIN}.gz", f"{_TEST}.gz"]
    second = fetch_census_income(download_if_missing=False)
    assert len(server.requests) == n_requests
    pd.testing.assert_frame_equal(first.frame, second.frame)


def test_wrong_download_leaves_nothing(small, server, nested_archive, monkeypatch):
    _, contents, folder = small
    monkeypatch.setattr(_census_income, "_UCI", server.url)
    wrong = contents | {_TEST: contents[_TEST] + b"\n"}
    server.serve("/static/public/117/census+income+kdd.zip", nested_archive(**wrong))
    with pytest.raises(
        OSError, match=r"(?s)expected .*Nothing was kept.*HTTP error 404"
    ):
        fetch_census_income(n_retries=0)
    assert os.listdir(folder) == []


def test_corrupt_local_file_is_an_error(small, no_download):
    _, contents, folder = small
    place(contents | {_TEST: b"no"}, folder)
    with pytest.raises(OSError, match=r"census-income\.test\.gz: the sha256"):
        fetch_census_income()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"n_retries": -1}, ValueError),
        ({"n_retries": 1.5}, TypeError),
        ({"delay": -1.0}, ValueError),
        ({"random_state": "a"}, TypeError),
    ],
)
def test_bad_parameters(small, no_download, wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        fetch_census_income(**wrong)


@pytest.mark.skipif(
    "SKMTL_DATA_HOME" not in os.environ, reason="SKMTL_DATA_HOME is not set"
)
def test_published_rates_and_sizes():
    census = fetch_census_income(download_if_missing=False)
    for name, rates in RATES.items():
        rows = census.split == name
        np.testing.assert_allclose(census.target[rows].mean(), rates, atol=5e-5)
    assert census.split.value_counts().to_dict() == {"train": 199_523, "test": 99_762}
    assert census.data.shape == (299_285, 38)
    assert not census.data[_census_income._INTEGERS].isna().any(axis=None)
