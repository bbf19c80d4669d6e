"""A fit on a source refuses what it cannot use, and names it."""

import numpy as np
import polars as pl
import pytest

from skmtl import ShareBottom, TableEncoder
from skmtl.calibration import CalibratedTasksCV
from skmtl.sources import ParquetFiles
from skmtl.stacking import BlendedRanker, OutOfFoldScores
from tests.sources.makers import SHARED, TASKS, features


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": [1, 0]}, TypeError, r"y must name columns of it.*found a list"),
        ({"y": ["click", "buy"]}, ValueError, r"y names \['buy'\]"),
        ({"y": TASKS, "sample_weight": "weight"}, ValueError, r"sample_weight names"),
        ({"y": None}, ValueError, "y must name columns of X"),
        ({"y": ["price"]}, ValueError, r"0\.parquet, rows before 1,000: .*continuous"),
        ({"y": TASKS, "X_val": "none.parquet"}, FileNotFoundError, "none.parquet"),
        ({"y": TASKS, "y_val": TASKS}, ValueError, "y_val is given without X_val"),
        (
            {"y": TASKS, "sample_weight_val": "w"},
            ValueError,
            "sample_weight_val is given without X_val",
        ),
        ({"y": TASKS, "X_val": [[1]]}, ValueError, "X_val is given without y_val"),
    ],
)
def test_refusals(log, arguments, error, message):
    folder, _ = log
    with pytest.raises(error, match=message):
        ShareBottom(**SHARED).fit(folder, **arguments)


def test_arguments_for_a_validation_source_are_named(log, tmp_path):
    folder, frame = log
    ranker = ShareBottom(**SHARED)
    with pytest.raises(
        TypeError, match=r"^X_val is read block by block, so y_val must name columns"
    ):
        ranker.fit(folder, y=TASKS, X_val=folder, y_val=frame[TASKS])
    frame[["user_id", *TASKS]].to_parquet(tmp_path / "narrow.parquet")
    with pytest.raises(ValueError, match=r"^X_val lacks \['item_id'"):
        ranker.fit(folder, y=TASKS, X_val=tmp_path / "narrow.parquet")


def test_a_source_where_a_table_is_needed_is_refused(log):
    folder, frame = log
    X, y = features(frame)[:60], frame[TASKS[:1]][:60]
    path = str(folder)
    with pytest.raises(TypeError, match=r"X_val is a source .*X, which is in memory"):
        ShareBottom(**SHARED).fit(X, y, X_val=path, y_val=y)
    with pytest.raises(TypeError, match=r"X is a source .*OutOfFoldScores"):
        OutOfFoldScores().fit(path, y)
    with pytest.raises(TypeError, match=r"X is a source .*BlendedRanker"):
        BlendedRanker(ShareBottom(**SHARED)).fit(path, y)
    with pytest.raises(TypeError, match=r"X is a source .*CalibratedTasksCV"):
        CalibratedTasksCV(ShareBottom(**SHARED)).fit([path], y)
    encoder = TableEncoder(["user_id"]).fit(X[["user_id"]])
    for method in (encoder.transform, encoder.partial_fit):
        with pytest.raises(TypeError, match=r"X is a source .*TableEncoder"):
            method(folder)


@pytest.mark.parametrize("where", ["memory", "source"])
def test_a_warm_start_needs_a_weight_above_0(log, tmp_path, where):
    folder, frame = log
    ranker = ShareBottom(warm_start=True, early_stopping=False, **SHARED)
    ranker.fit(folder, y=TASKS, sample_weight="w")
    prior = ranker.prior_
    # Of these rows the first has a weight, but no label.
    frame = frame[:50].assign(w=np.arange(50) == 0).astype({"w": float})
    frame.loc[0, TASKS] = np.nan
    frame.to_parquet(tmp_path / "none.parquet")
    given = (features(frame), frame[TASKS], frame["w"])
    if where == "source":
        given = (tmp_path / "none.parquet", TASKS, "w")
    with pytest.raises(ValueError, match="sample_weight is zero for all rows"):
        ranker.fit(*given)
    np.testing.assert_array_equal(ranker.prior_, prior)


def test_splits_and_tables_part_by_part_are_refused(log):
    folder, frame = log
    ranker = ShareBottom(validation_split=[([0], [1])], **SHARED)
    with pytest.raises(ValueError, match="validation_split needs all rows in memory"):
        ranker.fit(folder, y=TASKS)
    with pytest.raises(TypeError, match="partial_fit takes one table in memory"):
        ranker.partial_fit(str(folder), y=TASKS)
    with pytest.raises(TypeError, match=r"Pass X\.collect\(\)"):
        ShareBottom(**SHARED).fit(pl.scan_parquet(folder), frame[TASKS])


@pytest.mark.parametrize("seed", range(3))
def test_parts_without_labels_are_refused(tmp_path, seed):
    pl.DataFrame({"x": [1.0, 2.0], "y": [0.0, None]}).write_parquet(tmp_path / "a")
    ranker = ShareBottom(max_iter=1, early_stopping=True, random_state=seed)
    with pytest.raises(ValueError, match=r"^validation_fraction=.auto. leaves no obs"):
        ranker.fit(ParquetFiles(tmp_path / "a"), y="y")
    pl.DataFrame({"x": [1.0, 2.0], "y": ["no", "no"]}).write_parquet(tmp_path / "b")
    with pytest.warns(UserWarning, match="only"):
        ranker.fit(ParquetFiles(tmp_path / "b"), y="y")
