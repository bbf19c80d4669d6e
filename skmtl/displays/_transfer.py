"""Differences between estimators and a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from skmtl._messages import shown
from skmtl.displays._panels import Display, below, metric_label, panels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_COLUMNS = ["metric", "task", "estimator", "difference", "low", "high"]
# Marker and colour of each verdict; colours that colour-blind readers can distinguish.
_STYLES = {
    "worse": ("v", "#d55e00"),
    "no significant difference": ("o", "#7f7f7f"),
    "better": ("^", "#0072b2"),
}


class TransferDisplay(Display):
    """Differences from a reference with their intervals, in one panel per task.

    Negative transfer, where the whole interval is below zero, is orange with triangles
    that point down. Positive transfer is blue with triangles that point up. If the
    interval contains zero, the estimator is grey with a circle.

    Parameters
    ----------
    report : DataFrame
        The result of `skmtl.inspection.transfer_report`, or any table with the columns
        ``metric``, ``task``, ``estimator``, ``difference``, ``low`` and ``high``. Its
        ``attrs`` may have ``reference``, the name of the reference, and ``level``, the
        confidence level.
    metric : str, default="roc_auc"
        The metric to show, "roc_auc" or "group_roc_auc".

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_tasks,)
        The panels.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    skmtl.inspection.transfer_report : The numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.displays import TransferDisplay
    >>> report = pd.DataFrame(
    ...     {
    ...         "metric": "roc_auc",
    ...         "task": ["click", "order"],
    ...         "estimator": "MMoE",
    ...         "difference": [0.004, -0.010],
    ...         "low": [-0.001, -0.017],
    ...         "high": [0.009, -0.003],
    ...     }
    ... )
    >>> display = TransferDisplay.from_report(report).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['click', 'order']
    """

    def __init__(self, *, report: pd.DataFrame, metric: str = "roc_auc") -> None:
        self.report = report
        self.metric = metric

    @classmethod
    def from_report(
        cls, report: pd.DataFrame, *, metric: str = "roc_auc"
    ) -> TransferDisplay:
        """Create the display from a report.

        Parameters
        ----------
        report : DataFrame
            The result of `skmtl.inspection.transfer_report`.
        metric : str, default="roc_auc"
            The metric to show.

        Returns
        -------
        TransferDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If the report lacks a column or the metric.
        """
        missing = [c for c in _COLUMNS if c not in report]
        if missing:
            raise ValueError(
                f"The report lacks the columns {missing}. Pass the result of "
                "transfer_report."
            )
        known = report["metric"].unique().tolist()
        if metric not in known:
            raise ValueError(
                f"The report has no metric {shown(metric)}; it has {known}. "
                "'group_roc_auc' needs groups."
            )
        return cls(report=report, metric=metric)

    def plot(self, *, ax: Axes | Sequence[Axes] | None = None) -> Self:
        """Plot the differences.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            One panel per task. By default, a new figure with the panels side by side.

        Returns
        -------
        self : TransferDisplay
            The display, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If the number of panels differs from the number of tasks.
        """
        part = self.report[self.report["metric"] == self.metric]
        tasks = part["task"].unique()
        names = part["estimator"].unique().tolist()
        size = (2.9 + 1.2 / len(tasks), 1.3 + 0.33 * len(names))
        self.figure_, self.axes_ = panels(
            "TransferDisplay", len(tasks), ax, n_columns=len(tasks), size=size,
            sharey=True,
        )  # fmt: skip
        reference = self.report.attrs.get("reference")
        handles: dict[str, Artist] = {}
        for axes, task in zip(self.axes_, tasks, strict=True):
            handles |= _draw(axes, part[part["task"] == task], names, reference)
            axes.set(title=task, xlabel=self._label())
        shown = [name for name in ("reference", *_STYLES) if name in handles]
        below(self.figure_, self.axes_, [handles[v] for v in shown], shown, ax is None)
        return self

    def _label(self) -> str:
        """What the horizontal axis shows; one line for each part."""
        text = f"difference in {metric_label(self.metric)}"
        attrs = self.report.attrs
        if "reference" in attrs:
            text += f"\nfrom {attrs['reference']}"
        if "level" in attrs:
            text += f", {100 * attrs['level']:g} % interval"
        return text


def _draw(
    axes: Axes, rows: pd.DataFrame, names: list[str], reference: str | None
) -> Mapping[str, Artist]:
    """One panel; returns a handle for each verdict."""
    axes.axvline(0, color="black", linewidth=0.8)
    handles = {}
    for row in rows.to_dict("records"):
        place, low, high = names.index(row["estimator"]), row["low"], row["high"]
        if row["estimator"] == reference:  # its difference from itself has no verdict
            (handles["reference"],) = axes.plot(
                0, place, "D", color="black", markerfacecolor="white", linestyle="none"
            )
            continue
        verdict = "worse" if high < 0 else "better" if low > 0 else None
        verdict = verdict or "no significant difference"
        marker, color = _STYLES[verdict]
        if np.isfinite(low):
            axes.plot([low, high], [place, place], color=color, linewidth=2)
        (handles[verdict],) = axes.plot(
            row["difference"], place, marker, color=color, linestyle="none"
        )
    axes.set_yticks(range(len(names)), names)
    # Downwards: the first estimator is at the top.
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.4)
    axes.locator_params(axis="x", nbins=4)
    # Small differences take a power of ten at the axis instead of zeros at each tick.
    axes.ticklabel_format(axis="x", scilimits=(-3, 3), useMathText=True)
    return handles
