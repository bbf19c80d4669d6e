"""Metrics of probabilities equal scikit-learn's or a formula in plain numpy."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning

from skmtl.metrics import (
    brier,
    expected_calibration_error,
    log_loss,
    predicted_to_observed,
)
from tests.metrics import strategies

ALL = [brier, expected_calibration_error, log_loss, predicted_to_observed]


@settings(deadline=None)
@given(st.data())
def test_log_loss_and_brier_equal_scikit_learn(data):
    n = data.draw(st.integers(2, 40))
    y = np.column_stack([data.draw(strategies.labels(n)) for _ in range(2)])
    y[:2] = 0, 1
    weight = data.draw(strategies.weights(n))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    p = rng.random((n, 2)).astype(data.draw(st.sampled_from([np.float64, np.float32])))
    p[rng.random((n, 2)) < 0.2] = 0
    p[rng.random((n, 2)) < 0.2] = 1
    # scikit-learn computes in float32 when the probabilities are.
    tolerance = 1e-12 if p.dtype == np.float64 else 1e-5
    for task in range(2):
        seen = ~np.isnan(y[:, task])
        args = y[seen, task], p[seen, task]
        w = None if weight is None else weight[seen]
        expected = sk.log_loss(*args, sample_weight=w, labels=[0, 1])
        ours = log_loss(y, p, sample_weight=weight)[task]
        assert ours == pytest.approx(expected, rel=tolerance, abs=tolerance)
        expected = sk.brier_score_loss(*args, sample_weight=w, pos_label=1)
        ours = brier(y, p, sample_weight=weight)[task]
        assert ours == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@pytest.mark.parametrize("weighted", [False, True])
def test_calibration_error_bin_by_bin(strategy, weighted):
    rng = np.random.default_rng(0)
    p = rng.beta(1, 6, 500)
    y = (rng.random(500) < p**1.3).astype(float)
    w = rng.random(500) if weighted else np.ones(500)
    edges = (
        np.linspace(0, 1, 8)
        if strategy == "uniform"
        else np.quantile(p, np.linspace(0, 1, 8))
    )
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (p >= low) & ((p < high) | (high == edges[-1]))
        if inside.any():
            mean_p = np.average(p[inside], weights=w[inside])
            mean_y = np.average(y[inside], weights=w[inside])
            expected += w[inside].sum() / w.sum() * abs(mean_p - mean_y)
    ours = expected_calibration_error(
        y, p, n_bins=7, strategy=strategy, sample_weight=w if weighted else None
    )
    assert ours == pytest.approx(expected, abs=1e-12)


def test_calibration_error_of_a_constant_is_its_bias():
    y = np.array([0, 0, 0, 1])
    for strategy in ("quantile", "uniform"):
        value = expected_calibration_error(y, np.full(4, 0.4), strategy=strategy)
        assert value == pytest.approx(0.15)


def test_predicted_to_observed():
    y = [[1, np.nan], [0, 1], [1, 1]]
    p = [[0.5, 0.9], [0.1, 0.5], [0.6, 0.5]]
    np.testing.assert_allclose(predicted_to_observed(y, p), [0.6, 0.5])
    weighted = predicted_to_observed(y, p, sample_weight=[2, 1, 1])
    np.testing.assert_allclose(weighted, [1.7 / 3, 0.5])


@pytest.mark.parametrize("metric", ALL)
def test_undefined_task_is_named(metric):
    y = pd.DataFrame({"click": [0, 1], "order": [np.nan, np.nan]})
    p = np.full((2, 2), 0.5)
    with pytest.warns(UndefinedMetricWarning, match="task 'order' and set to NaN"):
        values = metric(y, p)
    assert np.isfinite(values[0])
    assert np.isnan(values[1])


@pytest.mark.parametrize("metric", ALL)
def test_missing_labels_are_left_out(metric):
    rng = np.random.default_rng(1)
    y, p = rng.integers(0, 2, 50).astype(float), rng.random(50)
    y[:10] = np.nan
    assert metric(y, p) == metric(y[10:], p[10:])


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("proba", "message"),
    [
        (
            [[0.1, 1.5], [0, 0]],
            "proba of task 'order' must lie between 0 and 1; found 1.5",
        ),
        ([[0.1, 0.5], [np.nan, 0]], "task 'click' must lie .*; found nan at row 1"),
        ([[0.1, 0.5], [-0.1, 0]], "task 'click' must lie .*; found -0.1 at row 1"),
        ([0.1, 0.2], "proba must have a column for each of the 2 tasks"),
    ],
)
def test_bad_probabilities(metric, proba, message):
    y = pd.DataFrame({"click": [0, 1], "order": [1, 0]})
    with pytest.raises(ValueError, match=message):
        metric(y, proba)


def test_no_positive_anywhere():
    with pytest.raises(ValueError, match="No task has a positive label"):
        predicted_to_observed([0, 0], [0.1, 0.1])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_bins": 0}, "n_bins must be a whole number of at least 1; got 0"),
        ({"n_bins": "auto"}, "n_bins must be a whole number of at least 1"),
        ({"strategy": "width"}, "strategy must be one of"),
    ],
)
def test_bad_bins(kwargs, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error([0, 1], [0.1, 0.2], **kwargs)
