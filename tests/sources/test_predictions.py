"""Predictions, scores and output weights of sources are those of tables."""

import os

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skmtl import OutputWeightSearchCV, ShareBottom
from skmtl.metrics import get_task_scorer
from skmtl.sources import ParquetFiles

TASKS = ["click", "cart", "order"]
FEATURES = ["user_id", "item_id", "category_id", "hour", "history"]


@pytest.fixture
def fitted(parts, monkeypatch):
    monkeypatch.setattr("skmtl.sources.source._MOST_ROWS", 700)
    monkeypatch.setattr("skmtl.sources.source._FEWEST_ROWS", 700)
    folder, frame = parts
    ranker = ShareBottom(
        categorical_features=["user_id", "item_id", "category_id", "history"],
        max_iter=1,
        tower_units=(4,),
        random_state=0,
    )
    return ranker.fit(frame[FEATURES], frame[TASKS]), folder, frame


def test_every_method_takes_a_source(fitted):
    ranker, folder, frame = fitted
    X, y = frame[FEATURES], frame[TASKS]
    expected = ranker.predict_task_proba(X)
    for source in (str(folder), pl.scan_parquet(folder)):
        np.testing.assert_array_equal(ranker.predict_task_proba(source), expected)
    np.testing.assert_array_equal(ranker.predict(folder), ranker.predict(X))
    for one, other in zip(
        ranker.predict_proba(folder), ranker.predict_proba(X), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert ranker.score(folder, TASKS) == ranker.score(X, y)
    weighted = ranker.score(X, y, sample_weight=frame["w"])
    assert ranker.score(folder, TASKS, sample_weight="w") == weighted


def test_probabilities_in_a_file(fitted, tmp_path):
    ranker, folder, frame = fitted
    path = tmp_path / "proba.parquet"
    given = ranker.predict_task_proba(folder, to=path, keep=["user_id", "history"])
    assert given.paths == [str(path)]
    found = pd.read_parquet(path)
    assert found.columns.tolist() == ["user_id", "history", *TASKS]
    expected = ranker.predict_task_proba(frame[FEATURES])
    np.testing.assert_array_equal(found[TASKS], expected)
    assert found["user_id"].tolist() == frame["user_id"].tolist()
    assert given.read(["click"])["click"].tolist() == found["click"].tolist()
    ranker.predict_task_proba(frame[FEATURES], to=path, keep=["item_id"])
    found = pd.read_parquet(path)
    np.testing.assert_array_equal(found[TASKS], expected)
    assert found["item_id"].tolist() == frame["item_id"].tolist()


def test_a_file_is_whole_or_not_there(fitted, tmp_path):
    ranker, folder, _ = fitted
    path = tmp_path / "proba.parquet"
    source = ParquetFiles(folder)
    os.remove(folder / "2.parquet")
    with pytest.raises(ValueError, match=r"2\.parquet' has changed"):
        ranker.predict_task_proba(source, to=path)
    assert [name for name in os.listdir(tmp_path) if "proba" in name] == []
    with pytest.raises(ValueError, match=r"keep names \['click'\], but these are"):
        ranker.predict_task_proba(folder, to=path, keep=["click"])
    with pytest.raises(ValueError, match=r"keep names \['none'\]"):
        ranker.predict_task_proba(folder, to=path, keep=["none"])


def test_a_missing_feature_is_named(fitted, tmp_path):
    ranker, _, frame = fitted
    frame.drop(columns="hour").to_parquet(tmp_path / "less.parquet")
    with pytest.raises(ValueError, match=r"X lacks \['hour'\]"):
        ranker.predict_task_proba(tmp_path / "less.parquet")
    array = ShareBottom(max_iter=1).fit(frame[["hour", "w"]].to_numpy(), frame[TASKS])
    with pytest.raises(ValueError, match="the table in fit had no names"):
        array.predict_task_proba(tmp_path / "less.parquet")


@pytest.mark.parametrize("name", ["mean_auc", "auc:order", "gauc:click"])
def test_scorers(fitted, name):
    ranker, folder, frame = fitted
    scorer = get_task_scorer(name)
    grouped = name.startswith("gauc")
    expected = scorer(
        ranker,
        frame[FEATURES],
        frame[TASKS],
        **({"groups": frame["user_id"]} if grouped else {}),
    )
    found = scorer(ranker, folder, TASKS, **({"groups": "user_id"} if grouped else {}))
    assert found == expected


def test_output_weights(fitted):
    ranker, folder, frame = fitted
    search = OutputWeightSearchCV(ranker, scoring="gauc:order", cv="prefit", weights=4)
    memory = OutputWeightSearchCV(**search.get_params(deep=False))
    memory.fit(frame[FEATURES], frame[TASKS], groups=frame["user_id"])
    search.fit(folder, TASKS, groups="user_id")
    np.testing.assert_array_equal(search.best_weights_, memory.best_weights_)
    assert search.best_score_ == memory.best_score_
    np.testing.assert_array_equal(
        search.decision_function(folder), memory.decision_function(frame[FEATURES])
    )
    with pytest.raises(ValueError, match=r"cv=3 needs the rows in memory"):
        search.set_params(cv=3).fit(folder, TASKS, groups="user_id")
    search.set_params(cv="prefit", scoring=lambda estimator, X, y: 0.0)
    with pytest.raises(ValueError, match="scoring is a function of the rows"):
        search.fit(folder, TASKS)
