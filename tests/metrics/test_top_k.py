"""Rank metrics equal scikit-learn's or the mean over all orders of tied rows."""

import warnings
from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import ndcg_score

from skmtl.metrics import (
    hit_rate_at_k,
    mrr_at_k,
    ndcg,
    precision_at_k,
    recall_at_k,
)
from tests.metrics import strategies


def precision_of(gains, k):
    return sum(gains[:k]) / k


def recall_of(gains, k):
    return sum(gains[:k]) / sum(gains)


def hit_of(gains, k):
    return float(any(g > 0 for g in gains[:k]))


def mrr_of(gains, k):
    return next((1 / (i + 1) for i, g in enumerate(gains[:k]) if g > 0), 0.0)


PLAIN = {
    precision_at_k: precision_of,
    recall_at_k: recall_of,
    hit_rate_at_k: hit_of,
    mrr_at_k: mrr_of,
}


def over_all_orders(formula, gains, score, k):
    """Mean of the formula over every order that the scores allow."""
    values = [
        formula([gains[i] for i in order], k)
        for order in permutations(range(len(gains)))
        if all(score[a] >= score[b] for a, b in pairwise(order))
    ]
    return np.mean(values)


@settings(deadline=None)
@given(st.data())
def test_equal_the_mean_over_all_orders(data):
    n, k = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 6))
    groups = np.repeat([4, 1, 9], 6)[:n]  # at most six rows: 720 orders
    score = data.draw(strategies.scores(n))
    y = data.draw(strategies.labels(n))
    y[0] = 1
    for metric, formula in PLAIN.items():
        values = []
        for g in np.unique(groups):
            rows = (groups == g) & ~np.isnan(y)
            if (y[rows] == 1).any():
                values.append(over_all_orders(formula, y[rows], score[rows], k))
        ours = metric(y, score, groups, k=k)
        assert ours == pytest.approx(np.mean(values), abs=1e-12)


@settings(deadline=None)
@given(st.data())
def test_ndcg_equals_scikit_learn(data):
    n = data.draw(st.integers(2, 40))
    k = data.draw(st.one_of(st.none(), st.integers(1, 12)))
    score, groups = data.draw(strategies.scores(n)), data.draw(strategies.group_ids(n))
    y = np.column_stack([data.draw(strategies.labels(n)) for _ in range(3)])
    y[0] = 1, 0, 0
    gains = np.array([1, 3, 10])
    relevance = y @ gains
    seen = ~np.isnan(relevance)
    values = [
        # scikit-learn refuses a list of one row: any order of it is the best one.
        ndcg_score([relevance[rows]], [score[rows].astype(float)], k=k)
        if rows.sum() > 1
        else 1.0
        for rows in (seen & (groups == g) for g in np.unique(groups))
        if relevance[rows].any()
    ]
    ours = ndcg(y, score, groups, k=k, gains=gains)
    assert ours == pytest.approx(np.mean(values), abs=1e-12)


def test_long_runs_of_equal_scores():
    rng = np.random.default_rng(0)
    n = 2000
    y = (rng.random(n) < 0.1).astype(float)
    groups = np.zeros(n)
    m, p = n, int(y.sum())
    missed = np.prod([(m - p - i) / (m - i) for i in range(20)])
    ours = hit_rate_at_k(y, np.ones(n), groups, k=20)
    assert ours == pytest.approx(1 - missed, abs=1e-10)
    simulated = np.mean([1 / (1 + rng.permutation(y).argmax()) for _ in range(4000)])
    assert mrr_at_k(y, np.ones(n), groups, k=n) == pytest.approx(simulated, abs=0.02)


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 300), rng.integers(0, 4, 300)
    groups, shuffled = rng.integers(0, 30, 300), rng.permutation(300)
    for metric in [ndcg, *PLAIN]:
        first = metric(y, score, groups, k=3)
        again = metric(y[shuffled], score[shuffled], groups[shuffled], k=3)
        assert first == pytest.approx(again, abs=1e-13)


def test_table_of_tasks_and_missing_labels():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, (200, 2)).astype(float)
    y[rng.random((200, 2)) < 0.2] = np.nan
    p, groups = rng.random((200, 2)), rng.integers(0, 20, 200)
    values, covered = recall_at_k(y, p, groups, k=2, return_coverage=True)
    for task in range(2):
        seen = ~np.isnan(y[:, task])
        one, share = recall_at_k(
            y[seen, task], p[seen, task], groups[seen], k=2, return_coverage=True
        )
        assert values[task] == one
        assert (covered.groups[task], covered.impressions[task]) == tuple(share)


def test_gains_use_rows_where_all_their_tasks_are_observed():
    y = pd.DataFrame({"click": [1, 0, 1.0], "order": [np.nan, 1, 0], "x": np.nan})
    gains = {"click": 1, "order": 10}
    with_row = recall_at_k(y, [3, 2, 1], [0, 0, 0], k=1, gains=gains)
    assert with_row == pytest.approx(10 / 11)


def test_gains_fuse_a_table_of_scores():
    rng = np.random.default_rng(3)
    y, p = rng.integers(0, 2, (60, 2)), rng.random((60, 2))
    groups = rng.integers(0, 6, 60)
    fused = ndcg(y, p @ [1.0, 4.0], groups, gains=[1, 4])
    assert ndcg(y, p, groups, gains=[1, 4]) == fused


def test_k_none_takes_all_places():
    y, score, groups = [1, 0, 0, 1], [1, 2, 3, 4], [0, 0, 0, 1]
    assert precision_at_k(y, score, groups, k=None) == pytest.approx((1 / 3 + 1) / 2)
    assert recall_at_k(y, score, groups, k=None) == 1
    assert hit_rate_at_k(y, score, groups, k=None) == 1
    assert mrr_at_k(y, score, groups, k=None) == pytest.approx((1 / 3 + 1) / 2)


def test_weights_of_groups():
    y, score, groups = [0, 1, 1, 0, 1], [5, 4, 3, 2, 1], list("aabbb")
    value = {"a": 0.5, "b": 1.0}
    sizes = {"equal": (1, 1), "impressions": (2, 3), "clicks": (1, 2)}
    for weights, (a, b) in sizes.items():
        expected = (value["a"] * a + value["b"] * b) / (a + b)
        assert mrr_at_k(y, score, groups, weights=weights) == pytest.approx(expected)


def test_undefined_task_is_named():
    y = pd.DataFrame({"click": [0, 1], "order": [0, np.nan], "cart": [np.nan] * 2})
    for metric in [ndcg, *PLAIN]:
        with pytest.warns(UndefinedMetricWarning, match="tasks 'order', 'cart'"):
            values = metric(y, [1, 2], [0, 0], k=1)
        np.testing.assert_array_equal(np.isnan(values), [False, True, True])


def test_undefined_fused_gain_is_named():
    y = pd.DataFrame({"click": [0, 1], "order": [0, 0]})
    with pytest.warns(UndefinedMetricWarning, match=r"click\+order"):
        assert np.isnan(ndcg(y, [1, 2], [0, 0], gains={"order": 1}))


BAD = {
    "k zero": ({"k": 0}, "k must be a whole number of at least 1; got 0"),
    "k text": ({"k": "ten"}, "k must be a whole number of at least 1; got 'ten'"),
    "k part": ({"k": 1.5}, "k must be a whole number"),
    "task": (
        {"gains": {"buy": 1}},
        r"Unknown task 'buy'. The known tasks are \['click'",
    ),
    "gains": ({"gains": [1, 2, 3]}, "gains must give one number for each task"),
    "negative": ({"gains": [1, -2]}, "must be finite, not negative"),
    "zero": ({"gains": [0, 0]}, "not all zero"),
    "weights": ({"weights": "users"}, "weights must be one of"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    kwargs, message = BAD[case]
    y = pd.DataFrame({"click": [0, 1], "order": [1, 0]})
    with pytest.raises(ValueError, match=message):
        ndcg(y, [1, 2], [0, 0], **kwargs)


@pytest.mark.parametrize("metric", [ndcg, *PLAIN])
def test_bad_groups_and_labels(metric):
    with pytest.raises(ValueError, match="groups is missing"):
        metric([0, 1], [1, 2], None)
    with pytest.raises(ValueError, match=r"groups must have shape \(2,\)"):
        metric([0, 1], [1, 2], [1, 1, 1])
    with pytest.raises(ValueError, match="No task has a positive label"):
        metric([0, 0], [1, 2], [1, 1])
    with pytest.raises(ValueError, match="found nan at row 0"):
        metric([0, 1], [np.nan, 2], [1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric([0, 1], [1, 2], [1, 1])


def test_gains_of_numbers_and_products():
    """The revenue of orders, which is not known where there is none."""
    rng = np.random.default_rng(0)
    order = (rng.random(90) < 0.4).astype(float)
    y = pd.DataFrame(
        {
            "order": order,
            "revenue": np.where(order == 1, rng.lognormal(size=90), np.nan),
        }
    )
    groups, score = np.arange(90) // 9, rng.normal(size=90)
    revenue = y["revenue"].fillna(0).to_numpy()
    gains = {("order", "revenue"): 2, "order": 0.5}
    gain = 2 * revenue + 0.5 * order
    for metric, formula in ((recall_at_k, recall_of), (precision_at_k, precision_of)):
        expected = [
            formula(gain[own][np.argsort(-score[own])].tolist(), 3)
            for own in (groups == g for g in range(10))
            if gain[own].any()
        ]
        found = metric(y, score, groups, k=3, gains=gains)
        assert found == pytest.approx(np.mean(expected))
    # A table of predictions is fused into the expected gain.
    table = pd.DataFrame({"revenue": rng.lognormal(size=90), "order": rng.random(90)})
    fused = 2 * table["order"] * table["revenue"] + 0.5 * table["order"]
    assert ndcg(y, table, groups, gains=gains) == ndcg(y, fused, groups, gains=gains)
    # Without a label of the revenue alone, a row is left out.
    known = y["revenue"].notna().to_numpy()
    alone = ndcg(y, score, groups, gains={"revenue": 1})
    assert alone == ndcg(
        y[known], score[known], groups[known], gains={("order", "revenue"): 1}
    )
    with pytest.raises(ValueError, match=r"order \* revenue need labels of at least 0"):
        ndcg(y.assign(revenue=-1.0), score, groups, gains={("order", "revenue"): 1})
    with pytest.raises(ValueError, match="Unknown task 'cart'"):
        ndcg(y, score, groups, gains={("order", "cart"): 1})
