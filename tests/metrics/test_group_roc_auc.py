"""group_roc_auc equals a pandas groupby of roc_auc_score."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from skmtl.metrics import group_roc_auc, roc_auc
from tests.metrics import strategies


def reference(y, score, groups, weights="impressions", sample_weight=None):
    """GAUC as people write it, with the shares of groups and rows used."""
    w = np.ones(len(y)) if sample_weight is None else sample_weight
    table = pd.DataFrame({"y": y, "s": score.astype(float), "g": groups, "w": w})
    table = table.dropna(subset="y")
    areas, parts, rows = [], [], []
    for _, part in table.groupby("g"):
        if part.y.nunique() == 2:
            areas.append(roc_auc_score(part.y, part.s, sample_weight=part.w))
            clicks = part.w[part.y == 1].sum()
            size = {"impressions": part.w.sum(), "clicks": clicks, "equal": 1.0}
            parts.append(size[weights])
            rows.append(part.w.sum())
    if not areas:
        return np.nan, 0.0, 0.0
    covered = len(areas) / table.g.nunique(), sum(rows) / table.w.sum()
    return np.average(areas, weights=parts), *covered


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_equals_pandas_groupby(data):
    n = data.draw(st.integers(2, 50))
    y = np.column_stack([data.draw(strategies.labels(n)) for _ in range(2)])
    y[0, 0] = 1
    score, groups = data.draw(strategies.scores(n)), data.draw(strategies.group_ids(n))
    weight = data.draw(strategies.weights(n))
    how = data.draw(st.sampled_from(["impressions", "clicks", "equal"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        ours, covered = group_roc_auc(
            y, score, groups, weights=how, sample_weight=weight, return_coverage=True
        )
    expected = np.array([reference(c, score, groups, how, weight) for c in y.T])
    np.testing.assert_allclose(ours, expected[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(covered.groups, expected[:, 1], atol=1e-12)
    np.testing.assert_allclose(covered.impressions, expected[:, 2], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_many_rows(dtype, weighted):
    rng = np.random.default_rng(0)
    n = 300_000  # more than two chunks; few groups keep the reference fast
    groups = rng.integers(0, 200, n)
    groups[: n // 2] = 7  # one group longer than a chunk
    y = (rng.random(n) < 0.2).astype(float)
    y[::9] = np.nan
    score = rng.normal(size=n).astype(dtype)
    weight = rng.random(n) if weighted else None
    expected = reference(y, score, groups, sample_weight=weight)[0]
    ours = group_roc_auc(y, score, groups, sample_weight=weight)
    assert ours == pytest.approx(expected, abs=1e-12)


def test_a_score_against_many_tasks_and_wide_ids():
    rng = np.random.default_rng(1)
    n = 3000
    y = (rng.random((n, 9)) < 0.3).astype(float)
    y[rng.random((n, 9)) < 0.1] = np.nan
    groups = rng.choice([0, 5, 2**31 - 2, 17], n)
    score = rng.normal(size=n)
    expected = [reference(column, score, groups)[0] for column in y.T]
    np.testing.assert_allclose(
        group_roc_auc(y, score, groups), expected, rtol=0, atol=1e-12
    )


def test_one_group_is_the_plain_area():
    rng = np.random.default_rng(2)
    y, score = rng.integers(0, 2, 100), rng.random(100)
    assert group_roc_auc(y, score, np.full(100, "u")) == pytest.approx(
        roc_auc(y, score), abs=1e-15
    )


@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        lambda g: g.astype(str),
        lambda g: g.astype(float) / 3,
        lambda g: g.astype(np.uint64) + np.uint64(2**63),
        lambda g: pd.Series(g).astype("category"),
        lambda g: pd.Series(g.astype(str), dtype="string"),
        lambda g: pd.to_datetime(g, unit="D"),
    ],
)
def test_kinds_of_ids(make):
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 6, 80)
    y, score = rng.integers(0, 2, 80), rng.random(80)
    expected = group_roc_auc(y, score, groups)
    assert group_roc_auc(y, score, make(groups)) == pytest.approx(expected, abs=1e-15)


def test_negative_narrow_ids():
    groups = np.array([-128, 127, -128, 127], dtype=np.int8)
    assert group_roc_auc([0, 1, 1, 0], [1, 2, 3, 4], groups) == 0.5


def test_table_of_scores():
    rng = np.random.default_rng(4)
    y, p = (rng.random((200, 2)) < 0.4).astype(float), rng.random((200, 2))
    groups = rng.integers(0, 9, 200)
    expected = [group_roc_auc(y[:, t], p[:, t], groups) for t in range(2)]
    np.testing.assert_allclose(group_roc_auc(y, p, groups), expected, atol=1e-15)


def test_no_group_of_two_classes_is_nan_with_a_warning():
    y = pd.DataFrame({"click": [1, 0, 0, 1], "order": [1, 1, 0, 0]})
    with pytest.warns(UndefinedMetricWarning, match="task 'order' and set to NaN"):
        value = group_roc_auc(y, [4, 3, 2, 1], ["a", "a", "b", "b"])
    np.testing.assert_array_equal(value, [0.5, np.nan])


BAD = {
    "missing": ((None,), {}, "groups is missing"),
    "length": (([1],), {}, r"groups must have shape \(2,\) like y; got \(1,\)"),
    "nan id": (([1.0, np.nan],), {}, "missing id at row 1"),
    "none id": ((["a", None],), {}, "missing id at row 1"),
    "weights": (
        ([1, 1],),
        {"weights": "users"},
        r"\['impressions', 'clicks', 'equal'\]",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    args, kwargs, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        group_roc_auc([0, 1], [0.1, 0.2], *args, **kwargs)


def test_no_positive_anywhere():
    with pytest.raises(ValueError, match="No task has a positive label"):
        group_roc_auc([0, 0], [0.1, 0.2], [1, 1])
