"""task_report repeats the single metrics; its intervals hold what they promise."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning

from skmtl import metrics
from skmtl.metrics import task_report


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.random((400, 2)) < [0.4, 0.1], columns=["click", "order"])
    y = y.astype(float)
    y.iloc[:50, 1] = np.nan
    p = np.clip(rng.beta(1, 2, (400, 2)) + 0.1 * y.fillna(0).to_numpy(), 0, 1).round(2)
    return y, p, rng.integers(0, 40, 400)


def test_values_are_those_of_the_single_metrics(data):
    y, p, groups = data
    report = task_report(y, p, groups, k=3)
    assert list(report.index) == ["click", "order"]
    assert report.index.name == "task"
    assert list(report["n_labels"]) == [400, 350]
    assert list(report["positives"]) == list(y.sum())
    for name in ["roc_auc", "log_loss", "brier", "expected_calibration_error"]:
        np.testing.assert_allclose(report[name], getattr(metrics, name)(y, p))
    ratio = metrics.predicted_to_observed(y, p)
    np.testing.assert_allclose(report["predicted_to_observed"], ratio)
    gauc, covered = metrics.group_roc_auc(y, p, groups, return_coverage=True)
    np.testing.assert_allclose(report["group_roc_auc"], gauc)
    np.testing.assert_allclose(report["group_coverage"], covered.groups)
    np.testing.assert_allclose(report["ndcg@3"], metrics.ndcg(y, p, groups, k=3))
    for name in ["precision", "recall", "hit_rate", "mrr"]:
        expected = getattr(metrics, f"{name}_at_k")(y, p, groups, k=3)
        np.testing.assert_allclose(report[f"{name}@3"], expected)


def test_without_groups_or_intervals(data):
    y, p, _ = data
    report = task_report(y, p, interval=None)
    assert not [c for c in report if "@" in c or "group" in c or c.endswith("_low")]


def test_forms_of_the_probabilities(data):
    y, p, _ = data
    expected = task_report(y, p)
    as_list = [np.column_stack([1 - c, c]) for c in p.T]
    named = pd.DataFrame(p, columns=y.columns)
    for proba in (as_list, named, named[["order", "click"]]):
        pd.testing.assert_frame_equal(task_report(y, proba), expected)
    pd.testing.assert_frame_equal(task_report(y.to_numpy(), named), expected)
    one = task_report(y["click"], p[:, 0])
    pd.testing.assert_frame_equal(one, expected.loc[["click"]])
    assert list(task_report(y.to_numpy(), p).index) == ["0", "1"]


def delong_by_pairs(y, p, level):
    """The variance by the definition, over all pairs."""
    wins = (p[y][:, None] > p[~y]) + 0.5 * (p[y][:, None] == p[~y])
    m, n = wins.shape
    variance = wins.mean(1).var(ddof=1) / m + wins.mean(0).var(ddof=1) / n
    reach = norm.ppf(0.5 + level / 2) * np.sqrt(variance)
    return wins.mean() - reach, wins.mean() + reach


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_delong_interval(data, level):
    y, p, _ = data
    report = task_report(y, p, level=level)
    for task, name in enumerate(y):
        seen = y[name].notna().to_numpy()
        expected = delong_by_pairs(y[name][seen].to_numpy() == 1, p[seen, task], level)
        row = report.loc[name, ["roc_auc_low", "roc_auc_high"]]
        np.testing.assert_allclose(row.to_numpy(float), expected, atol=1e-12)


def test_delong_interval_covers_the_truth():
    rng = np.random.default_rng(1)
    truth, inside = norm.cdf(1 / np.sqrt(2)), 0
    for _ in range(300):
        y = rng.random(150) < 0.3
        score = norm.cdf(rng.normal(size=150) + y)
        row = task_report(y, score, level=0.9).iloc[0]
        inside += row["roc_auc_low"] <= truth <= row["roc_auc_high"]
    assert 0.84 < inside / 300 < 0.95


def test_bootstrap_of_rows_repeats_the_metrics_on_drawn_rows(data):
    y, p, _ = data
    y, p = y["click"].to_numpy(), p[:, 0]
    report = task_report(y, p, interval="bootstrap", n_resamples=400, random_state=0)
    rng = np.random.default_rng(2)
    drawn = [rng.integers(400, size=400) for _ in range(400)]
    for name in [
        "roc_auc",
        "log_loss",
        "brier",
        "predicted_to_observed",
        "expected_calibration_error",
    ]:
        metric = getattr(metrics, name)
        values = [metric(y[rows], p[rows]) for rows in drawn]
        low, high = np.quantile(values, [0.025, 0.975])
        reach = 0.25 * (high - low)
        row = report.iloc[0]
        assert row[f"{name}_low"] == pytest.approx(low, abs=reach)
        assert row[f"{name}_high"] == pytest.approx(high, abs=reach)


def test_bootstrap_of_groups_repeats_the_metrics_on_drawn_groups(data):
    y, p, groups = data
    y, p = y["click"].to_numpy(), p[:, 0]
    report = task_report(
        y, p, groups, k=3, interval="bootstrap", n_resamples=300, random_state=0
    )
    rng = np.random.default_rng(3)
    rows_of = [np.flatnonzero(groups == g) for g in range(40)]
    names = {"group_roc_auc": "group_roc_auc", "recall@3": "recall_at_k"}
    values = {name: [] for name in names}
    for _ in range(300):
        parts = [rows_of[g] for g in rng.integers(40, size=40)]
        rows = np.concatenate(parts)
        ids = np.repeat(np.arange(40), [len(part) for part in parts])
        for name, function in names.items():
            kwargs = {"k": 3} if "@" in name else {}
            value = getattr(metrics, function)(y[rows], p[rows], ids, **kwargs)
            values[name].append(value)
    for name, found in values.items():
        low, high = np.quantile(found, [0.025, 0.975])
        reach = 0.25 * (high - low)
        assert report.iloc[0][f"{name}_low"] == pytest.approx(low, abs=reach)
        assert report.iloc[0][f"{name}_high"] == pytest.approx(high, abs=reach)


def test_whole_groups_make_wider_intervals_where_users_repeat():
    rng = np.random.default_rng(4)
    y, p = np.repeat(rng.random((2, 60)), 10, axis=1)
    y, groups = y < 0.4, np.repeat(np.arange(60), 10)
    y[::10] ^= True
    kwargs = {"interval": "bootstrap", "random_state": 0}
    rows, users = task_report(y, p, **kwargs), task_report(y, p, groups, **kwargs)

    def width(report):
        return (report["roc_auc_high"] - report["roc_auc_low"]).iloc[0]

    assert width(users) > 2 * width(rows)


def test_the_same_random_state_gives_the_same_report(data):
    y, p, groups = data
    kwargs = {"interval": "bootstrap", "n_resamples": 5}
    first = task_report(y, p, groups, **kwargs, random_state=3)
    pd.testing.assert_frame_equal(
        task_report(y, p, groups, **kwargs, random_state=3), first
    )
    other = task_report(y, p, groups, **kwargs, random_state=4)
    assert (other["roc_auc_low"] != first["roc_auc_low"]).all()


@pytest.mark.parametrize("interval", ["delong", "bootstrap", None])
def test_undefined_values_are_named(interval):
    y = pd.DataFrame({"click": [0, 1, 1], "cart": [0, 0, 0], "order": [np.nan] * 3})
    with (
        pytest.warns(UndefinedMetricWarning, match=r"'cart' has 0 .*'roc_auc'"),
        pytest.warns(UndefinedMetricWarning, match=r"'order' has 0 .*'brier'"),
    ):
        report = task_report(
            y, np.full((3, 3), 0.5), [1, 1, 2], interval=interval, n_resamples=3
        )
    assert report.loc["click", "roc_auc"] == 0.5
    assert np.isfinite(report.loc["cart", "brier"])
    assert report.loc["order"].drop(["n_labels", "positives"]).isna().all()


BAD = {
    "interval": ({"interval": "wald"}, r"interval must be one of \['delong'"),
    "level text": ({"level": "0.9"}, "level must lie between 0 and 1; got '0.9'"),
    "level": ({"level": 95}, "level must lie between 0 and 1"),
    "few": (
        {"n_resamples": 1},
        "n_resamples must be a whole number of at least 2; got 1",
    ),
    "part": ({"n_resamples": 2.5}, "n_resamples must be a whole number"),
    "k": ({"k": 0}, "k must be a whole number"),
    "k none": ({"k": None}, "k must be a whole number"),
    "groups": ({"groups": [1]}, "groups must have shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    kwargs, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        task_report([0, 1], [0.1, 0.2], **kwargs)


def test_no_positive_anywhere_and_bad_probabilities():
    with pytest.raises(ValueError, match="No task has a positive label"):
        task_report([0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="must lie between 0 and 1; found 2"):
        task_report([0, 1], [0.1, 2])
