"""The picture of a report."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from skmtl.displays import TransferDisplay

REPORT = pd.DataFrame(
    {
        "metric": ["roc_auc"] * 6 + ["group_roc_auc"] * 6,
        "task": ["click"] * 3 + ["order"] * 3 + ["click"] * 3 + ["order"] * 3,
        "estimator": ["SingleTask", "MMoE", "PLE"] * 4,
        "difference": [0, 0.02, -0.01] * 2 + [0, 0.2, -0.1] * 2,
        "low": [0, 0.01, -0.02, 0, -0.01, np.nan] * 2,
        "high": [0, 0.03, -0.005, 0, 0.05, np.nan] * 2,
    }
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_panels_points_and_colours():
    display = TransferDisplay.from_report(REPORT).plot()
    assert [ax.get_title() for ax in display.axes_] == ["click", "order"]
    labels = [t.get_text() for t in display.axes_[0].get_yticklabels()]
    assert labels == ["SingleTask", "MMoE", "PLE"]
    points = [
        (line.get_xdata()[0], line.get_ydata()[0], to_hex(line.get_color()))
        for line in display.axes_[0].lines
        if line.get_marker() == "o"
    ]
    assert points == [(0, 0, "#7f7f7f"), (0.02, 1, "#0072b2"), (-0.01, 2, "#d55e00")]
    # Without an interval a point only.
    lines = [x for x in display.axes_[1].lines if len(x.get_xdata()) == 2]
    assert len(lines) == 1 + 2  # zero, and two intervals


def test_metric_and_axes_of_the_caller():
    figure, axes = plt.subplots(1, 2)
    display = TransferDisplay.from_report(REPORT, metric="group_roc_auc").plot(axes)
    assert display.figure_ is figure
    assert "group_roc_auc" in axes[0].get_xlabel()
    one = REPORT[REPORT["task"] == "click"]
    _, ax = plt.subplots()
    assert TransferDisplay(report=one).plot(ax).axes_.tolist() == [ax]


@pytest.mark.parametrize(
    ("report", "metric", "message"),
    [
        (REPORT.drop(columns="low"), "roc_auc", r"lacks the columns \['low'\]"),
        (REPORT[:6], "group_roc_auc", "needs groups"),
    ],
)
def test_bad_reports(report, metric, message):
    with pytest.raises(ValueError, match=message):
        TransferDisplay.from_report(report, metric=metric)


def test_wrong_number_of_panels():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=r"ax has 1 panel\(s\), but there are 2 tasks"):
        TransferDisplay.from_report(REPORT).plot(ax)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skmtl\[plot\]"'):
        TransferDisplay.from_report(REPORT).plot()
