"""roc_auc equals scikit-learn's, on data made to break it."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from skmtl.metrics import roc_auc
from tests.metrics import strategies


def reference(y, score, weight=None):
    """Plain scikit-learn on the observed rows; NaN for one class."""
    seen = ~np.isnan(y)
    if len(np.unique(y[seen])) < 2:
        return np.nan
    weight = None if weight is None else weight[seen]
    return roc_auc_score(y[seen], score[seen].astype(float), sample_weight=weight)


def by_pairs(y, score):
    """Every pair of a positive and a negative row, one by one."""
    won = [
        float(p > q) + float(p == q) / 2 for p in score[y == 1] for q in score[y == 0]
    ]
    return float(np.mean(won))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_equals_scikit_learn(data):
    n = data.draw(st.integers(2, 60))
    y = np.column_stack([data.draw(strategies.labels(n)) for _ in range(3)])
    score, weight = data.draw(strategies.scores(n)), data.draw(strategies.weights(n))
    if not (y == 1).any():
        y[0, 0] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        ours = roc_auc(y, score, sample_weight=weight)
    expected = [reference(column, score, weight) for column in y.T]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@settings(deadline=None)
@given(st.data())
def test_equals_all_pairs(data):
    n = data.draw(st.integers(2, 30))
    score = data.draw(strategies.scores(n))
    y = data.draw(strategies.labels(n, missing=False))
    y[:2] = 1, 0
    assert roc_auc(y, score) == pytest.approx(by_pairs(y, score), abs=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("rate", "signed"), [(0.5, False), (0.2, True), (0.005, False), (0.995, True)]
)
def test_many_rows(dtype, rate, signed):
    rng = np.random.default_rng(0)
    n = 300_000  # more than two chunks
    y = (rng.random(n) < rate).astype(float)
    score = (rng.random(n) + 0.1 * y - 0.5 * signed).astype(dtype)
    expected = roc_auc_score(y, score)
    assert roc_auc(y, score) == pytest.approx(expected, abs=1e-12)
    y[::7] = np.nan
    assert roc_auc(y, score) == pytest.approx(reference(y, score), abs=1e-12)


def test_many_rows_with_huge_runs():
    rng = np.random.default_rng(1)
    n = 400_000
    y = (rng.random(n) < 0.3).astype(int)
    score = rng.integers(0, 2, n)
    assert roc_auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert roc_auc(y, np.zeros(n)) == 0.5


@pytest.mark.parametrize("rate", [0.3, 0.004])
def test_a_score_against_many_tasks(rate):
    rng = np.random.default_rng(2)
    y = (rng.random((30_000, 11)) < rate).astype(np.int8)
    score = rng.normal(size=30_000).astype(np.float32)
    expected = [roc_auc_score(column, score) for column in y.T]
    np.testing.assert_allclose(roc_auc(y, score), expected, atol=1e-12)


def test_scores_whose_range_leaves_no_room():
    rng = np.random.default_rng(3)
    score = np.concatenate([rng.normal(size=500), [5e-324, -5e-324, 1e308, -1e308]])
    y = (rng.random((504, 3)) < 0.4).astype(float)
    expected = [roc_auc_score(column, score) for column in y.T]
    np.testing.assert_allclose(roc_auc(y, score), expected, atol=1e-12)


def test_neighbouring_float64_scores_are_told_apart():
    low = 0.3
    high = np.nextafter(low, 1)
    assert roc_auc([0, 1, 0], [low, high, -1e-300]) == 1.0
    assert roc_auc([1, 0, 0], [low, high, -1e-300]) == 0.5


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.uint64])
def test_integer_scores(dtype):
    rng = np.random.default_rng(4)
    info = np.iinfo(dtype) if dtype is not bool else None
    extremes = [0, 1] if info is None else [info.min, info.max, info.max - 1]
    score = rng.choice(np.array(extremes, dtype=dtype), 50)
    y = rng.integers(0, 2, 50)
    y[:2] = 0, 1
    assert roc_auc(y, score) == pytest.approx(by_pairs(y, score), abs=1e-15)


def test_table_of_scores_and_predict_proba_list():
    rng = np.random.default_rng(5)
    y = (rng.random((200, 2)) < 0.4).astype(float)
    p = rng.random((200, 2))
    expected = [roc_auc_score(y[:, t], p[:, t]) for t in range(2)]
    np.testing.assert_allclose(roc_auc(y, p), expected, atol=1e-12)
    as_list = [np.column_stack([1 - p[:, t], p[:, t]]) for t in range(2)]
    np.testing.assert_array_equal(roc_auc(y, as_list), roc_auc(y, p))


def test_columns_are_matched_by_name():
    y = pd.DataFrame({"click": [1, 0, 1], "order": [0, 1, 0]})
    p = pd.DataFrame({"order": [0.1, 0.9, 0.2], "click": [0.8, 0.1, 0.7]})
    np.testing.assert_array_equal(roc_auc(y, p), [1.0, 1.0])


def test_nullable_and_boolean_columns():
    y = pd.DataFrame(
        {
            "click": pd.array([True, False, None], dtype="boolean"),
            "order": pd.array([1, None, 0], dtype="Int64"),
        }
    )
    np.testing.assert_array_equal(roc_auc(y, [0.9, 0.1, 0.5]), [1.0, 1.0])


def test_polars_table():
    pl = pytest.importorskip("polars")
    y = pl.DataFrame({"click": [1, 0, None], "order": [1, 1, 0]})
    np.testing.assert_array_equal(roc_auc(y, [0.9, 0.1, 0.5]), [1.0, 0.5])


def test_shapes_of_the_result():
    area = roc_auc([0, 1], [0.1, 0.2])
    assert isinstance(area, float)
    assert area == 1.0
    np.testing.assert_array_equal(roc_auc([[0], [1]], [0.1, 0.2]), [1.0], strict=True)


def test_inputs_are_left_alone():
    y, score = np.array([0.0, 1.0, 1.0, np.nan]), np.array([3.0, -0.0, 0.0, 1.0])
    before = y.copy(), score.copy()
    roc_auc(y, score)
    roc_auc(y, score, sample_weight=np.ones(4))
    np.testing.assert_array_equal(y, before[0])
    np.testing.assert_array_equal(score.view(np.int64), before[1].view(np.int64))


def test_task_of_one_class_is_nan_with_its_name():
    y = pd.DataFrame({"click": [0, 1], "order": [0, 0], "cart": [1, np.nan]})
    with pytest.warns(UndefinedMetricWarning, match="tasks 'order', 'cart'"):
        values = roc_auc(y, [0.1, 0.2])
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan])


BAD = {
    "no positive": (([[0, np.nan]], [0.1]), {}, "No task has a positive label"),
    "rows": (([0, 1], [0.1]), {}, "score has 1 rows, but y has 2"),
    "tasks": (
        ([[0, 1], [1, 0]], np.ones((2, 3))),
        {},
        r"score has shape \(2, 3\), but y has 2 task",
    ),
    "binary proba": (
        ([0, 1], np.ones((2, 2))),
        {},
        r"predict_proba\(X\)\[:, 1\]",
    ),
    "names": (
        (
            pd.DataFrame({"a": [0, 1], "b": [1, 0]}),
            pd.DataFrame({"a": [1.0, 2], "c": 0}),
        ),
        {},
        r"The columns of score are \['a', 'c'\]",
    ),
    "nan score": (
        (pd.DataFrame({"a": [0, 1], "b": [1, 0]}), [[1, 2], [3, np.nan]]),
        {},
        "score of task 'b' must be finite; found nan at row 1",
    ),
    "inf score": (
        ([0, 1], [np.inf, 0]),
        {},
        "task '0' must be finite; found inf at row 0",
    ),
    "minus inf": (([0, 1], [0, -np.inf]), {}, "found -inf at row 1"),
    "both inf": (([0, 1], [np.inf, -np.inf]), {}, "found inf at row 0"),
    "label": (
        (pd.DataFrame({"click": [0, 1, 2]}), [0.1, 0.2, 0.3]),
        {},
        "multiclass: 3 classes in task 'click'",
    ),
    "text": ((["no", "yes"], ["a", "b"]), {}, "score must be numeric"),
    "one class": (([5, 5], [0.1, 0.2]), {}, r"labels of task '0' are all .*5"),
    "label of several": (
        (pd.DataFrame({"click": [0, 1], "order": [0, 2]}), [0.1, 0.2]),
        {},
        r"Task 'order' holds the labels \[2.0\] \(first in row 1\)",
    ),
    "empty": (([], []), {}, "y is empty"),
    "dimensions": ((np.ones((2, 2, 2)), [1, 2]), {}, "array with dim 3"),
    "repeated names": (
        (pd.DataFrame([[0, 1]], columns=["a", "a"]), [0.5]),
        {},
        r"\['a'\] appear more than once",
    ),
    "weight shape": (
        ([0, 1], [1, 2]),
        {"sample_weight": [1]},
        r"must have shape \(2,\)",
    ),
    "weight sign": (
        ([0, 1], [1, 2]),
        {"sample_weight": [1, -1]},
        "found -1.0 at row 1",
    ),
    "weight zero": (([0, 1], [1, 2]), {"sample_weight": [0, 0]}, "zero in every row"),
    "list": (([[0, 1]], [np.ones((1, 2)), np.ones((1, 3))]), {}, "entry 1 has shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    args, kwargs, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        roc_auc(*args, **kwargs)
