"""What every ranker is to scikit-learn and to tables as people have them."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MMoE
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import small_mmoe


def test_learns_and_speaks_the_multioutput_convention(maker, impressions):
    X, y = impressions
    ranker = maker(max_iter=8)
    if hasattr(ranker, "gate_dropout"):
        ranker.set_params(gate_dropout=0.2)
    ranker.fit(X, y)
    assert ranker.score(X, y) > 0.8
    proba = ranker.predict_proba(X)
    assert [p.shape for p in proba] == [(len(X), 2)] * 2
    table = ranker.predict_task_proba(X)
    assert_array_equal(table[:, 1], proba[1][:, 1])
    assert_array_equal(ranker.predict(X), (table > 0.5).astype(int))
    assert list(ranker.task_names_) == ["click", "cart"]
    assert [list(c) for c in ranker.classes_] == [[0, 1], [0, 1]]
    expected = np.mean([roc_auc_score(y.iloc[:, t], table[:, t]) for t in range(2)])
    assert ranker.score(X, y) == pytest.approx(expected)


def test_set_output_gives_a_frame(impressions):
    X, y = impressions
    X = X.set_axis(X.index + 7)
    frame = small_mmoe().set_output(transform="pandas").fit(X, y).predict_task_proba(X)
    assert list(frame.columns) == ["click", "cart"]
    assert frame.index.equals(X.index)
    with pytest.raises(ValueError, match="transform must be"):
        small_mmoe().set_output(transform="polars")


def test_pandas_polars_and_reordered_frames_agree(maker, impressions):
    X, y = impressions
    X_polars = pl.DataFrame(
        {name: [None if pd.isna(v) else v for v in X[name]] for name in X}
    )
    expected = maker().fit(X, y).predict_task_proba(X)
    ranker = maker().fit(X_polars, pl.DataFrame(y.to_dict("list")))
    assert_array_equal(ranker.predict_task_proba(X_polars), expected)
    assert_array_equal(ranker.predict_task_proba(X[X.columns[::-1]]), expected)
    assert_array_equal(ranker.predict_task_proba(X.assign(extra=1)), expected)


def test_one_row_one_column_and_five_tasks():
    X, y = make_impressions(600, n_tasks=5)
    ranker = small_mmoe().fit(X, y)
    one = ranker.predict_task_proba(X.iloc[[3]])
    assert one.shape == (1, 5)
    assert one == pytest.approx(ranker.predict_task_proba(X)[[3]], abs=1e-6)
    only = MMoE(max_iter=1, random_state=0).fit(X[["item"]], y)
    assert only.predict_task_proba(X[["item"]]).shape == (600, 5)


def test_in_a_pipeline_and_a_grid_search(impressions):
    X, y = impressions
    scale = make_column_transformer(
        (StandardScaler(), ["price", "position"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipeline = make_pipeline(scale, small_mmoe(max_iter=2))
    grid = {"mmoe__n_experts": [2, 4], "mmoe__gate_dropout": [0.0, 0.3]}
    search = GridSearchCV(pipeline, grid, scoring="roc_auc", cv=KFold(2)).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.6


def test_clone_pickle_joblib_and_frozen(maker, impressions, tmp_path):
    X, y = impressions
    ranker = maker().fit(X, y)
    expected = ranker.predict_task_proba(X)
    assert not hasattr(clone(ranker), "net_")
    again = pickle.loads(pickle.dumps(ranker))
    assert_array_equal(again.predict_task_proba(X), expected)
    joblib.dump(ranker, tmp_path / "ranker.joblib")
    again = joblib.load(tmp_path / "ranker.joblib")
    assert_array_equal(again.predict_task_proba(X), expected)
    frozen = FrozenEstimator(ranker).fit(X, y)
    assert_array_equal(frozen.predict_proba(X)[0][:, 1], expected[:, 0])


def test_predict_names_the_column_that_is_missing(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    with pytest.raises(ValueError, match=r"lacks columns .*\['price'\]"):
        ranker.predict_proba(X.drop(columns="price"))


def test_unseen_ids_get_a_sensible_score(impressions):
    X, y = impressions
    ranker = small_mmoe(max_iter=8).fit(X, y)
    proba = ranker.predict_task_proba(X.assign(item="never seen"))
    assert abs(proba.mean(axis=0) - y.mean().to_numpy()).max() < 0.2


def test_integer_id_columns_are_pointed_out(impressions):
    X, y = impressions
    X = X.rename(columns={"user": "user_id"})
    with pytest.warns(UserWarning, match=r"\['user_id'\] are named like ids"):
        MMoE(max_iter=1, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MMoE(max_iter=1, categorical_features=["user_id", "item"]).fit(X, y)
