"""score matches tasks by name, and weighs rows and tasks."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.metrics import roc_auc_score

from tests.rankers.makers import small_mmoe


def test_score_matches_tasks_by_name(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    assert ranker.score(X, y[["cart", "click"]]) == ranker.score(X, y)
    with pytest.raises(ValueError, match=r"The tasks are \['click', 'cart'\], but"):
        ranker.score(X, y.rename(columns={"cart": "order"}))
    assert small_mmoe().fit(X, y.to_numpy()).score(X, y) == ranker.score(X, y)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_weights_match_tasks_by_name(impressions, frame):
    X, y = impressions
    rng = np.random.default_rng(0)
    weight = pd.DataFrame(rng.random(y.shape), columns=list(y))
    turned = frame({name: weight[name].to_numpy() for name in ("cart", "click")})
    ranker = small_mmoe(max_iter=1).fit(X, y, weight.to_numpy())
    again = small_mmoe(max_iter=1).fit(X, y, turned)
    assert_array_equal(again.predict_task_proba(X), ranker.predict_task_proba(X))
    assert ranker.score(X, y, turned) == ranker.score(X, y, weight.to_numpy())


def test_score_weighs_rows_and_tasks(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    weight = np.random.default_rng(0).integers(0, 3, y.shape)
    proba = ranker.predict_task_proba(X)
    expected = [
        roc_auc_score(y[task], proba[:, t], sample_weight=weight[:, t])
        for t, task in enumerate(y)
    ]
    assert ranker.score(X, y, weight) == pytest.approx(np.mean(expected))
    for bad, message in ((weight[:-1], "has shape"), (weight - 1, "negative weight")):
        with pytest.raises(ValueError, match=message):
            ranker.score(X, y, bad)
