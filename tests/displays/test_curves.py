"""ROC and calibration of all tasks."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score, roc_curve

from skmtl import ShareBottom
from skmtl.displays import TaskCalibrationDisplay, TaskROCDisplay
from skmtl.displays._calibration import wilson_interval


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(3)
    proba = rng.random((2000, 3)) * [0.8, 0.3, 0.05]
    y = pd.DataFrame(
        (rng.random(proba.shape) < proba).astype(float), columns=["a", "b", "c"]
    )
    y.loc[rng.random(len(y)) < 0.2, "b"] = np.nan
    return y, proba, rng.integers(1, 5, len(y)).astype(float)


def test_curves_are_scikit_learns_on_the_observed_rows(predictions):
    y, proba, weight = predictions
    display = TaskROCDisplay.from_predictions(y, proba, sample_weight=weight).plot()
    for t, task in enumerate(y):
        seen = y[task].notna().to_numpy()
        given = (y[task][seen], proba[seen, t])
        fpr, tpr, _ = roc_curve(*given, sample_weight=weight[seen])
        np.testing.assert_allclose(display.lines_[t].get_xdata(), fpr)
        np.testing.assert_allclose(display.lines_[t].get_ydata(), tpr)
        area = roc_auc_score(*given, sample_weight=weight[seen])
        assert display.roc_auc[t] == pytest.approx(area)
        label = display.ax_.get_legend().get_texts()[t].get_text()
        assert label == f"{task} (AUC {area:.4f})"
    assert display.ax_.get_xlabel() == "false positive rate"


def test_bins_are_scikit_learns_on_the_observed_rows(predictions):
    y, proba, _ = predictions
    display = TaskCalibrationDisplay.from_predictions(y, proba, n_bins=7).plot()
    for t, task in enumerate(y):
        seen = y[task].notna().to_numpy()
        true, pred = calibration_curve(
            y[task][seen], proba[seen, t], n_bins=7, strategy="quantile"
        )
        np.testing.assert_allclose(display.lines_[t].get_xdata(), pred)
        np.testing.assert_allclose(display.lines_[t].get_ydata(), true)
        top = wilson_interval(true, display.n_rows[t])[1].max()
        assert display.axes_[t].get_xlim()[1] == pytest.approx(1.06 * top)
        n = int(seen.sum())
        positive = int(y[task][seen].sum())
        assert display.n_rows[t].sum() == n
        title = display.axes_[t].get_title()
        assert title == f"{task}\n{positive:,} of {n:,} rows positive"


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_counts_are_those_of_the_curve(strategy):
    rng = np.random.default_rng(0)
    proba = rng.beta(1, 8, 500).round(2)  # with ties, and empty bins
    y = (rng.random(500) < proba).astype(int)
    display = TaskCalibrationDisplay.from_predictions(y, proba, strategy=strategy)
    (n,), (true,), (pred,) = display.n_rows, display.prob_true, display.prob_pred
    assert n.sum() == 500
    assert true @ n == pytest.approx(y.sum())
    assert pred @ n == pytest.approx(proba.sum())


def test_intervals_are_wilsons():
    rate, n = np.array([0.0, 0.2, 1.0]), np.array([7, 50, 12])
    low, high = wilson_interval(rate, n)
    for i in range(3):
        test = binomtest(round(rate[i] * n[i]), n[i])
        wanted = test.proportion_ci(method="wilson")
        assert (low[i], high[i]) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0),
        ShareBottom(max_iter=1, random_state=0),
    ],
    ids=["forest", "ranker"],
)
def test_any_multioutput_classifier(model):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("uvw"))
    y = pd.DataFrame(
        (X.to_numpy()[:, :2] + rng.normal(size=(600, 2)) > 0).astype(int),
        columns=["click", "order"],
    )
    model.fit(X, y)
    curves = TaskROCDisplay.from_estimator(model, X, y)
    listed = model.predict_proba(X)
    wanted = [roc_auc_score(y.iloc[:, t], listed[t][:, 1]) for t in range(2)]
    assert curves.roc_auc == pytest.approx(wanted)
    assert curves.task_names == ["click", "order"]
    bins = TaskCalibrationDisplay.from_estimator(model, X, y, n_bins=4)
    again = TaskCalibrationDisplay.from_predictions(y, listed, n_bins=4)
    for a, b in zip(bins.prob_pred, again.prob_pred, strict=True):
        np.testing.assert_allclose(a, b)


def test_columns_are_matched_by_name_where_the_tasks_are_known():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = pd.DataFrame({"a": X[:, 0] > 0, "b": X[:, 1] > 0.5}).astype(int)
    ranker = ShareBottom(max_iter=1, random_state=0).fit(X, y)
    one = TaskROCDisplay.from_estimator(ranker, X, y)
    other = TaskROCDisplay.from_estimator(ranker, X, y[["b", "a"]])
    assert one.roc_auc == other.roc_auc
    with pytest.raises(ValueError, match="fitted on the tasks"):
        TaskROCDisplay.from_estimator(ranker, X, y.rename(columns={"a": "c"}))


@pytest.mark.parametrize("display", [TaskROCDisplay, TaskCalibrationDisplay])
def test_a_task_of_one_class_is_refused_by_name(display, predictions):
    y, proba, _ = predictions
    with pytest.raises(ValueError, match="Task 'c' has 0 positive"):
        display.from_predictions(y.assign(c=0.0), proba)


@pytest.mark.parametrize("display", [TaskROCDisplay, TaskCalibrationDisplay])
def test_eight_tasks_with_long_names_fit(display, long_names, outside):
    rng = np.random.default_rng(0)
    proba = rng.random((500, 8))
    y = pd.DataFrame((rng.random((500, 8)) < proba).astype(int), columns=long_names)
    drawn = display.from_predictions(y, proba).plot()
    assert not outside(drawn.figure_)
    if display is TaskROCDisplay:
        styles = {str(line._dash_pattern) for line in drawn.lines_}
        assert len(styles) == 8, "two tasks look alike in grey"
