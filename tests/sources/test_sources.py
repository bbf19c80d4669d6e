"""Sources give the rows of their files in order, and name the file at fault."""

import os
import sys

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from skmtl._containers import is_source
from skmtl.sources import ParquetFiles
from skmtl.sources.opening import named_columns, open_source


def all_rows(source, columns=None):
    tables = [block.table for block in source.blocks(columns)]
    return pa.concat_tables(tables).to_pandas()


@pytest.fixture
def small(tmp_path):
    for k in range(3):
        frame = pd.DataFrame({"a": [k, k + 10], "b": ["x", None], "c": [0.5, 1.5]})
        frame.to_parquet(tmp_path / f"part{k}.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "of",
    [
        str,
        lambda folder: f"{folder}/*.parquet",
        lambda folder: sorted(folder.glob("*.parquet")),
        lambda folder: ds.dataset(folder),
        lambda folder: pl.scan_parquet(f"{folder}/*.parquet"),
        ParquetFiles,
    ],
    ids=["folder", "pattern", "list", "Dataset", "LazyFrame", "ParquetFiles"],
)
def test_every_form_gives_the_same_rows(small, of):
    given = of(small)
    assert is_source(given)
    source = open_source(given)
    expected = pd.concat(map(pd.read_parquet, sorted(small.glob("*.parquet"))))
    found = all_rows(source, ["c", "a"])
    pd.testing.assert_frame_equal(
        found, expected[["c", "a"]].reset_index(drop=True), check_dtype=False
    )
    assert source.names == ["a", "b", "c"]


@pytest.mark.parametrize("table", [pd.DataFrame({"a": [1]}), np.ones((2, 2)), [[1]]])
def test_tables_in_memory_are_no_sources(table):
    assert not is_source(table)
    y = [1, 0]
    assert named_columns(table, y, "y") is y


def test_addresses_of_other_file_systems():
    memory = fsspec.filesystem("memory")
    with memory.open("/logs/a.parquet", "wb") as file:
        pd.DataFrame({"a": [1, 2, 3]}).to_parquet(file)
    source = ParquetFiles("memory://logs/*.parquet")
    assert source.n_rows == 3
    assert all_rows(source)["a"].tolist() == [1, 2, 3]
    memory.rm("/logs", recursive=True)


def test_paths_of_several_file_systems(small):
    memory = fsspec.filesystem("memory")
    with memory.open("/logs/a.parquet", "wb") as file:
        frame = pd.DataFrame({"a": [7], "b": ["x"], "c": [0.5]})
        frame.to_parquet(file)
    paths = [f"{small}/part0.parquet", "memory://logs/a.parquet", small]
    source = ParquetFiles(paths)
    assert all_rows(source)["a"].tolist() == [0, 10, 7, 0, 10, 1, 11, 2, 12]
    memory.rm("/logs", recursive=True)


@pytest.mark.parametrize(
    ("address", "package"), [("s3://bucket/x.parquet", "s3fs"), ("gs://b/x", "gcsfs")]
)
def test_addresses_that_need_another_package(address, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # not installed
    monkeypatch.delitem(fsspec.registry, address[:2], raising=False)
    with pytest.raises(ImportError, match=f"{address}.* pip install {package}") as one:
        ParquetFiles(address)
    assert one.value.__cause__ is not None


def test_an_empty_list_of_paths():
    with pytest.raises(ValueError, match="paths is an empty list"):
        ParquetFiles([])


def test_only_the_columns_asked_for_are_there(small):
    source = ParquetFiles(small, columns=["b"])
    assert source.names == ["b"]
    with pytest.raises(ValueError, match=r"X lacks \['a'\].*\['b'\]"):
        source.blocks(["a"])


def test_named_columns_are_read_whole(small):
    found = named_columns(str(small), ["c", "a"], "y")
    assert found.columns.tolist() == ["c", "a"]
    assert found["a"].tolist() == [0, 10, 1, 11, 2, 12]
    assert named_columns(str(small), "a", "y").tolist() == [0, 10, 1, 11, 2, 12]
    with pytest.raises(ValueError, match=r"groups names \['user'\]"):
        named_columns(str(small), "user", "groups")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no Parquet file at '.*none"):
        ParquetFiles(tmp_path / "none.parquet")
    with pytest.raises(FileNotFoundError, match="folder with"):
        ParquetFiles(tmp_path)


def test_a_file_that_is_not_parquet_is_named(small):
    (small / "part1.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(
        ValueError,
        match=r"part1\.parquet' cannot be read as Parquet: .*[^.]\. Write the",
    ):
        ParquetFiles(small)


def test_a_damaged_file_is_named(small):
    path = small / "part1.parquet"
    rng = np.random.default_rng(0)
    pd.DataFrame({"a": rng.integers(0, 9**9, 5000), "b": "x", "c": 0.5}).to_parquet(
        path
    )
    data = bytearray(path.read_bytes())
    data[100:8000] = bytes(7900)
    path.write_bytes(data)
    source = ParquetFiles(small)
    with pytest.raises(ValueError, match=r"part1\.parquet' is damaged"):
        all_rows(source)


@pytest.mark.parametrize("change", ["rewrite", "remove"])
def test_a_file_that_changes_is_named(small, change):
    source = ParquetFiles(small)
    path = small / "part2.parquet"
    if change == "remove":
        path.unlink()
    else:
        pd.DataFrame({"a": [1], "b": ["x"], "c": [0.5]}).to_parquet(path)
        os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=r"part2\.parquet' has changed"):
        all_rows(source)


def test_a_missing_column_is_named_with_its_file(small):
    pd.DataFrame({"a": [1], "c": [0.5]}).to_parquet(small / "part1.parquet")
    with pytest.raises(ValueError, match=r"part1\.parquet' has no column 'b'"):
        ParquetFiles(small)
    assert ParquetFiles(small, columns=["a"]).n_rows == 5


def test_types_that_differ_are_named(small):
    frame = pd.DataFrame({"a": ["1"], "b": ["x"], "c": [0.5]})
    frame.to_parquet(small / "part1.parquet")
    with pytest.raises(
        ValueError, match=r"'a' is of type int64 in '.*part0.*string in '.*part1"
    ):
        ParquetFiles(small)


def test_widths_may_differ_and_files_without_a_value(small):
    table = pa.table(
        {
            "a": pa.array([7], pa.int16()),
            "b": pa.nulls(1),
            "c": pa.array([2], pa.float32()),
        }
    )
    pq.write_table(table, small / "part0.parquet")
    found = all_rows(ParquetFiles(small))
    assert found["a"].tolist() == [7, 1, 11, 2, 12]
    assert found["b"].isna().sum() == 3


def test_a_query_of_an_earlier_polars_says_which_version_it_needs(monkeypatch):
    monkeypatch.delattr(pl.LazyFrame, "collect_batches")
    with pytest.raises(ImportError, match=r"needs polars 1\.34 or later"):
        open_source(pl.LazyFrame({"a": [1]}))


def test_whole_numbers_may_be_floats_in_other_files(tmp_path):
    parts = [
        pd.DataFrame({"click": np.array([0, 1], np.int8), "n": [2**53, -7]}),
        pd.DataFrame({"click": np.array([1, np.nan], np.float32), "n": [0.5, np.nan]}),
    ]
    for order in (parts, parts[::-1]):
        for k, part in enumerate(order):
            part.to_parquet(tmp_path / f"{k}.parquet")
        found = all_rows(ParquetFiles(tmp_path))
        expected = pd.concat([p.astype(float) for p in order], ignore_index=True)
        pd.testing.assert_frame_equal(found, expected)


def test_integers_that_no_float_equals_are_named(tmp_path):
    pd.DataFrame({"id": [2**53 + 1], "x": [1]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"id": [np.nan], "x": [2]}).to_parquet(tmp_path / "1.parquet")
    source = ParquetFiles(tmp_path)
    with pytest.raises(ValueError, match=r"0\.parquet' has integers .* \['id'\]"):
        all_rows(source)
    assert all_rows(source, ["x"])["x"].tolist() == [1, 2]
