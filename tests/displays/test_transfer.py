"""The picture of a report."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from skmtl import ShareBottom, SingleTask
from skmtl.displays import TransferDisplay
from skmtl.inspection import transfer_report

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


def color(line):
    return to_hex(line.get_color())


def test_panels_points_and_colours():
    display = TransferDisplay.from_report(REPORT).plot()
    assert [ax.get_title() for ax in display.axes_] == ["click", "order"]
    labels = [t.get_text() for t in display.axes_[0].get_yticklabels()]
    assert labels == ["SingleTask", "MMoE", "PLE"]
    points = [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_marker(), color(line))
        for line in display.axes_[0].lines
        if line.get_marker() in "ov^"
    ]
    assert points == [
        (0, 0, "o", "#7f7f7f"),
        (0.02, 1, "^", "#0072b2"),
        (-0.01, 2, "v", "#d55e00"),
    ]
    legend = display.figure_.legends[0]
    shown = dict(
        zip(
            [t.get_text() for t in legend.get_texts()],
            map(color, legend.legend_handles),
            strict=True,
        )
    )
    assert shown == {
        "worse": "#d55e00",
        "no significant difference": "#7f7f7f",
        "better": "#0072b2",
    }
    # Without an interval a point only.
    lines = [x for x in display.axes_[1].lines if len(x.get_xdata()) == 2]
    assert len(lines) == 1 + 2  # zero, and two intervals


def test_metric_and_axes_of_the_caller():
    figure, axes = plt.subplots(1, 2)
    display = TransferDisplay.from_report(REPORT, metric="group_roc_auc").plot(ax=axes)
    assert display.figure_ is figure
    assert axes[0].get_xlabel() == "difference in AUC within groups"
    one = REPORT[REPORT["task"] == "click"]
    _, ax = plt.subplots()
    assert TransferDisplay(report=one).plot(ax=ax).axes_.tolist() == [ax]


def test_a_report_names_its_reference_and_level():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X[:, :2] + rng.normal(size=(400, 2)) > 0).astype(int)
    report = transfer_report(
        [SingleTask(max_iter=1), ShareBottom(max_iter=1)], X, y, cv=2, level=0.9
    )
    (first, _) = TransferDisplay.from_report(report).plot().axes_
    assert first.get_xlabel() == "difference in AUC\nfrom SingleTask, 90 % interval"
    (bar,) = [line for line in first.lines if line.get_marker() == "D"]
    assert bar.get_ydata()[0] == 0  # the reference has no difference from itself


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
    with pytest.raises(ValueError, match=r"needs 2 panel\(s\), but ax has 1"):
        TransferDisplay.from_report(REPORT).plot(ax=ax)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skmtl\[plot\]"'):
        TransferDisplay.from_report(REPORT).plot()
