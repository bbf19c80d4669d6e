"""An encoder of a source is the encoder of the same table in memory."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skmtl import TableEncoder
from skmtl.encoding import _statistics
from skmtl.sources.source import Block, Source

FEATURES = ["user_id", "item_id", "category_id", "hour", "history"]


def assert_same_encoder(a, b):
    assert a.feature_names_in_.tolist() == b.feature_names_in_.tolist()
    assert a.vocabulary_sizes_ == b.vocabulary_sizes_
    for one, other in zip(a._vocabularies, b._vocabularies, strict=True):
        if hasattr(one, "arrays"):
            one, other = one.arrays(), other.arrays()
            assert one.keys() == other.keys()
            for name in one:
                assert one[name].dtype == other[name].dtype
                np.testing.assert_array_equal(one[name], other[name])
        else:
            assert vars(one) == vars(other)
    for one, other in zip(a._scales, b._scales, strict=True):
        assert (one.center, one.scale) == (other.center, other.scale)
        np.testing.assert_array_equal(one.edges, other.edges)


class Tables(Source):
    """Tables in memory as blocks."""

    def __init__(self, *tables):
        self.tables = tables

    @property
    def schema(self):
        return self.tables[0].schema

    def _blocks(self, columns, n_rows):
        for table in self.tables:
            yield Block(table.select(columns), "a table", table.nbytes)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Many blocks, whose ids are joined often."""
    monkeypatch.setattr("skmtl.sources.source._MOST_ROWS", 500)
    monkeypatch.setattr("skmtl.sources.source._FEWEST_ROWS", 500)
    monkeypatch.setattr(_statistics, "_PENDING", 100)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"min_frequency": 5, "n_bins": 8},
        {"max_categories": 20},
        {"max_length": 2},
        {"share_embedding": {"history": "item_id"}},
        {"fallback": {"item_id": "category_id"}},
    ],
    ids=lambda p: next(iter(p), "default"),
)
def test_vocabularies_and_bins_are_bit_equal(parts, parameters):
    folder, frame = parts
    X = frame[FEATURES]
    encoder = TableEncoder(
        ["user_id", "item_id", "category_id", "history"], **parameters
    )
    names = [n for n in frame if n not in FEATURES]
    streamed = TableEncoder(**encoder.get_params()).fit(folder, y=names)
    assert_same_encoder(encoder.fit(X), streamed)
    pd.testing.assert_frame_equal(encoder.summary(), streamed.summary())


def test_by_weight_and_dtype(parts):
    folder, frame = parts
    frame["w"] = np.arange(len(frame)) % 3 / 2
    for k, rows in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[rows].to_parquet(folder / f"{k}.parquet", index=False)
    columns = ["item_id", "hour", "history"]
    source = pl.scan_parquet(folder).select(*columns, "w")
    memory = TableEncoder().fit(frame[columns], sample_weight=frame["w"])
    assert_same_encoder(memory, TableEncoder().fit(source, sample_weight="w"))


def test_hashed_columns_are_not_counted(parts):
    folder, frame = parts
    source = pl.scan_parquet(folder).select("user_id", "item_id")
    encoder = TableEncoder(["user_id", "item_id"], n_buckets={"item_id": 50})
    streamed = TableEncoder(**encoder.get_params()).fit(source)
    assert_same_encoder(encoder.fit(frame[["user_id", "item_id"]]), streamed)
    assert streamed.summary()["distinct"].isna().tolist() == [False, True]


def test_columns_that_share_a_hash_are_not_counted(parts, monkeypatch):
    folder, frame = parts
    counted = []
    original = _statistics._AllIds._count

    def spy(self, cells):
        counted.append(self.name)
        original(self, cells)

    monkeypatch.setattr(_statistics._AllIds, "_count", spy)
    source = pl.scan_parquet(folder).select("user_id", "item_id", "history")
    encoder = TableEncoder(
        ["user_id", "item_id", "history"],
        n_buckets={"item_id": 50},
        share_embedding={"history": "item_id"},
    )
    streamed = TableEncoder(**encoder.get_params()).fit(source)
    assert set(counted) == {"user_id"}
    X = frame[["user_id", "item_id", "history"]]
    assert_same_encoder(encoder.fit(X), streamed)


def test_memory_of_pending_ids_counts_and_the_owner_is_named(monkeypatch):
    monkeypatch.setattr(_statistics, "_PENDING", 2**18)
    monkeypatch.setattr(_statistics, "free_memory", lambda: 100_000)
    many = np.random.default_rng(0).integers(0, 2**50, 5000)
    # One block, which is never joined with others.
    source = Tables(pa.table({"item": [1] * 5000, "seen": many}))
    encoder = TableEncoder(["item", "seen"], share_embedding={"seen": "item"})
    with pytest.raises(
        ValueError,
        match=r"'seen' has the most, at least 5,000 .*Hash 'item'.*n_buckets=\{'item'",
    ):
        encoder.fit(source)
    encoder.set_params(n_buckets={"item": 100}).fit(source)


@pytest.mark.parametrize(
    "blocks",
    [
        ([1.0, 2.0, None, 2.0], [2.0, 2.5, float("nan"), 0.0], [-0.0, 2.5]),
        ([True, None, False], [True, True]),
        ([2**60 + 1, 2**60, None], [2**60 + 1, 5]),
        (["b", None, "a"], ["c", "a", "b"]),
        ([None, None], [3, 3]),
    ],
    ids=["fractions", "booleans", "large integers", "strings", "nulls first"],
)
def test_ids_of_every_type(blocks):
    whole = pa.array([cell for block in blocks for cell in block])
    tables = [pa.table({"id": pa.array(block, whole.type)}) for block in blocks]
    parameters = {"categorical_features": ["id"], "min_frequency": 1}
    memory = TableEncoder(**parameters).fit(pa.table({"id": whole}))
    assert_same_encoder(memory, TableEncoder(**parameters).fit(Tables(*tables)))


def test_unsigned_ids_beyond_int64_and_dictionaries():
    large = pa.array([2**63 + 5, 7, 7, 2**63 + 5], pa.uint64())
    words = pa.array(["a", "b", "b", None]).dictionary_encode()
    table = pa.table({"n": large, "word": words})
    parameters = {"categorical_features": ["n", "word"]}
    memory = TableEncoder(**parameters).fit(table)
    blocks = Tables(table.slice(1, 2), table.slice(0, 1), table.slice(3))
    streamed = TableEncoder(**parameters).fit(blocks)
    order = pa.concat_tables([table.slice(1, 2), table.slice(0, 1), table.slice(3)])
    assert_same_encoder(TableEncoder(**parameters).fit(order), streamed)
    assert memory.vocabulary_sizes_ == streamed.vocabulary_sizes_


def test_bins_of_a_sample_are_close(monkeypatch):
    monkeypatch.setattr(_statistics, "_SAMPLE_ROWS", 2**14)
    rng = np.random.default_rng(0)
    x = rng.lognormal(sigma=2.0, size=200_000)
    x[rng.random(len(x)) < 0.2] = 0.0
    x[100] = np.nan
    x[150_000] = 1e9
    blocks = np.array_split(x, 7)
    source = Tables(*(pa.table({"x": block}) for block in blocks))
    memory = TableEncoder(None).fit(pd.DataFrame({"x": x}))
    streamed = TableEncoder(None).fit(source)
    assert len(streamed._scales[0].edges) == len(memory._scales[0].edges)
    seen = np.sort(x[~np.isnan(x)])
    ranks = [np.searchsorted(seen, e._scales[0].edges) for e in (memory, streamed)]
    # Of 16,384 rows; those of 2**20 are eight times closer.
    assert np.abs(ranks[0] - ranks[1]).max() / len(seen) < 0.012
    assert streamed.summary()["missing"].item() == 1
    assert streamed._profile["x"]["examples"][-1] == 1e9


def test_every_row_is_as_likely_to_stay():
    kept = np.zeros(1000)
    for seed in range(300):
        sample = _statistics.NumberSample(1)
        sample.size, sample.rng = 100, np.random.default_rng(seed)
        for block in np.array_split(np.arange(1000.0), 9):
            sample.add(block[:, None], None)
        assert len(np.unique(sample.rows)) == 100
        kept[sample.rows[:, 0].astype(int)] += 1
    expected, sd = 30, np.sqrt(300 * 0.1 * 0.9)
    assert np.abs(kept.reshape(10, -1).mean(axis=1) - expected).max() < 4 * sd / 10


def test_too_many_ids_name_the_column_and_the_way_out(monkeypatch):
    monkeypatch.setattr(_statistics, "free_memory", lambda: 100_000)
    rng = np.random.default_rng(0)
    tables = [
        pa.table({"few": [1] * 5000, "many": rng.integers(0, 2**50, 5000)})
        for _ in range(5)
    ]
    with pytest.raises(ValueError, match=r"'many' has the most.*n_buckets=\{'many'"):
        TableEncoder(["few", "many"]).fit(Tables(*tables))
    TableEncoder(["few", "many"], n_buckets={"many": 100}).fit(Tables(*tables))


def test_errors_name_the_rows(tmp_path):
    for k, value in enumerate([1.0, np.inf]):
        frame = pd.DataFrame(
            {"x": np.linspace(0, value, 10) if k == 0 else value}, index=range(10)
        )
        frame.to_parquet(tmp_path / f"{k}.parquet")
    with pytest.raises(ValueError, match=r"1\.parquet, rows before 10.*infinity"):
        TableEncoder(None).fit(str(tmp_path))
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), tmp_path / "e.parquet")
    with pytest.raises(ValueError, match="no row to learn from"):
        TableEncoder(None).fit(tmp_path / "e.parquet")


def test_weights_must_name_a_column(parts):
    folder, frame = parts
    with pytest.raises(TypeError, match="sample_weight must name columns of it"):
        TableEncoder().fit(folder, sample_weight=frame["w"])
    with pytest.raises(ValueError, match=r"sample_weight names.*'w', 'hour'.*one col"):
        TableEncoder().fit(folder, sample_weight=["w", "hour"])
    with pytest.raises(ValueError, match=r"\['weight'\], which are not among"):
        TableEncoder().fit(folder, sample_weight="weight")


def test_a_failed_fit_leaves_the_encoder(parts):
    folder, frame = parts
    encoder = TableEncoder().fit(frame[["item_id"]])
    with pytest.raises(ValueError, match="which is not a column"):
        encoder.set_params(categorical_features=["none"]).fit(folder)
    assert encoder.vocabulary_names_ == ["item_id"]
