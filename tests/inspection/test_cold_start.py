"""AUC by how often ids were seen, against a naive count."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from skmtl import MMoE
from skmtl.inspection import cold_start_report
from skmtl.metrics import task_report
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import ON_IMPRESSIONS

GIVEN = {**ON_IMPRESSIONS, "n_experts": 2, "expert_units": (8,), "max_iter": 1}


@pytest.fixture(scope="module")
def tables():
    X, y = make_impressions(1500)
    y = y.astype(float).mask(np.random.default_rng(0).random(y.shape) < 0.2)
    return X[:900], y[:900], X[900:], y[900:]


def kind_of(value, seen, often):
    if pd.isna(value):
        return "missing"
    return "often" if seen[value] >= often else "rarely" if seen[value] else "never"


def test_equals_a_naive_count(tables):
    X, y, X_new, y_new = tables
    ranker = MMoE(**GIVEN).fit(X, y)
    report = cold_start_report(ranker, X_new, y_new, often=6)
    proba = ranker.predict_task_proba(X_new)
    keys = ["column", "seen", "task"]
    found = report.set_index(keys).to_dict("index")
    assert len(found) == len(report) == 3 * 2 + 4 * 2  # no user is missing
    for column in ("user", "item"):
        # A row without any label is not a training row.
        seen = Counter(X[column][y.notna().any(axis=1)])
        kinds = [kind_of(value, seen, 6) for value in X_new[column]]
        for kind in set(kinds):
            mask = np.array([k == kind for k in kinds])
            for t, task in enumerate(y):
                label = y_new[task].to_numpy()
                known = mask & ~np.isnan(label)
                row = found[column, kind, task]
                assert row["n_rows"] == mask.sum()
                assert row["n_labels"] == known.sum()
                assert row["positives"] == label[known].sum()
                expected = np.nan
                if 0 < row["positives"] < row["n_labels"]:
                    expected = roc_auc_score(label[known], proba[known, t])
                assert row["roc_auc"] == pytest.approx(expected, nan_ok=True)
                if 1 < row["positives"] < row["n_labels"] - 1:
                    [judged] = task_report(label[known], proba[known, t]).to_dict(
                        "records"
                    )
                    for bound in ("roc_auc_low", "roc_auc_high"):
                        assert row[bound] == pytest.approx(judged[bound])
    assert (report.groupby("column")["n_rows"].sum() == 2 * len(X_new)).all()


def test_counts_go_on_with_partial_fit(tables):
    X, y, X_new, y_new = tables
    y_new = y_new.fillna(0)
    ranker = MMoE(**GIVEN).partial_fit(X, y).partial_fit(X_new, y_new)
    report = cold_start_report(ranker, X_new, y_new, columns=["item"], often=1)
    rows = report[report["task"] == "click"].set_index("seen")["n_rows"]
    assert rows["rarely"] == rows["never"] == 0
    assert rows["often"] + rows["missing"] == len(X_new)
    undefined = report[report["seen"] == "never"]["roc_auc"]
    assert undefined.isna().all()


def test_frames_columns_in_another_order_and_one_task(tables):
    X, y, X_new, y_new = tables
    ranker = MMoE(**GIVEN).fit(X, y)
    expected = cold_start_report(ranker, X_new, y_new)
    ranker.set_output(transform="pandas")
    found = cold_start_report(ranker, X_new, y_new[["cart", "click"]])
    pd.testing.assert_frame_equal(found, expected)
    single = MMoE(**GIVEN).fit(X, y["click"])
    report = cold_start_report(single, X_new, y_new["click"])
    assert set(report["task"]) == {"click"}


def test_hashed_columns_are_left_out(tables):
    X, y, X_new, y_new = tables
    ranker = MMoE(n_buckets={"item": 50}, **GIVEN).fit(X, y)
    report = cold_start_report(ranker, X_new, y_new)
    assert set(report["column"]) == {"user"}
    pd.testing.assert_frame_equal(
        cold_start_report(ranker, X_new, y_new, columns="user"), report
    )
    with pytest.raises(ValueError, match="Column 'item' is hashed, so it is not known"):
        cold_start_report(ranker, X_new, y_new, columns=["item"])


def test_a_column_that_shares_hashed_rows_is_left_out(tables):
    X, y, X_new, y_new = tables
    X, X_new = (t.assign(user=t["user"].astype(t["item"].dtype)) for t in (X, X_new))
    share = {"share_embedding": {"user": "item"}, "n_buckets": {"item": 50}}
    ranker = MMoE(**share, **GIVEN).fit(X, y)
    with pytest.raises(ValueError, match="no id columns with a vocabulary"):
        cold_start_report(ranker, X_new, y_new)


def test_what_has_no_ids_is_refused(tables):
    X, y, X_new, y_new = tables
    numbers = MMoE(max_iter=1, random_state=0).fit(X[["price"]], y)
    with pytest.raises(ValueError, match="no id columns"):
        cold_start_report(numbers, X_new, y_new)
    with pytest.raises(TypeError, match=r"Pipeline is not a ranker.* pipeline\[-1\]"):
        cold_start_report(make_pipeline(numbers), X_new, y_new)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"often": 0}, "often must be an integer of at least 1, found 0"),
        ({"level": 1.0}, "level must be between 0 and 1, found 1.0"),
        ({"columns": ["price"]}, "'price' is not an id column of the ranker"),
    ],
)
def test_bad_parameters_are_named(tables, given, message):
    X, y, X_new, y_new = tables
    ranker = MMoE(**GIVEN).fit(X, y)
    with pytest.raises(ValueError, match=message):
        cold_start_report(ranker, X_new, y_new, **given)
    with pytest.raises(ValueError, match=r"tasks \['click', 'order'\], but the rank"):
        cold_start_report(ranker, X_new, y_new.rename(columns={"cart": "order"}))


def test_columns_that_are_not_read_when_ranking(tables):
    X, y, X_new, y_new = tables
    ranker = MMoE(**GIVEN, bias_features=["item"]).fit(X, y)
    report = cold_start_report(ranker, X_new, y_new)
    assert set(report["column"]) == {"user"}
    # What these columns hold does not matter.
    odd = X_new.assign(item=[{}] * len(X_new))
    pd.testing.assert_frame_equal(cold_start_report(ranker, odd, y_new), report)
    with pytest.raises(ValueError, match="'item' is one of bias_features"):
        cold_start_report(ranker, X_new, y_new, columns="item")


def test_tasks_that_are_not_binary_are_left_out(tables):
    X, y, X_new, y_new = tables
    more = [part.assign(age=np.arange(len(part)) / 1.0) for part in (y, y_new)]
    ranker = MMoE(**GIVEN, task_kinds={"age": "regression"}).fit(X, more[0])
    with pytest.warns(UserWarning, match=r"cold_start_report leaves out.*\['age'\]"):
        report = cold_start_report(ranker, X_new, more[1])
    assert set(report["task"]) == set(y)
    click = report[(report["column"] == "item") & (report["seen"] == "never")]
    assert click["n_rows"].iloc[0] > 0
