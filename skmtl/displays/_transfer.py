"""Transfer between tasks, at a glance."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from skmtl._extras import import_extra

_COLUMNS = ["metric", "task", "estimator", "difference", "low", "high"]
# Colours that colour-blind readers tell apart.
_WORSE, _BETTER, _OPEN = "#d55e00", "#0072b2", "#7f7f7f"


class TransferDisplay:
    """Differences from a reference with their intervals, a panel for each task.

    Negative transfer, an interval that lies below zero as a whole, is orange; positive
    transfer is blue; where the interval holds zero it is grey.

    Parameters
    ----------
    report : DataFrame
        What `skmtl.inspection.transfer_report` gives, or any table with the columns
        ``metric``, ``task``, ``estimator``, ``difference``, ``low`` and ``high``.
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
        """Make the display of a report.

        Parameters
        ----------
        report : DataFrame
            What `skmtl.inspection.transfer_report` gives.
        metric : str, default="roc_auc"
            The metric to show.

        Returns
        -------
        TransferDisplay
            The display; nothing is drawn yet.

        Raises
        ------
        ValueError
            If the report lacks a column or the metric.
        """
        missing = [c for c in _COLUMNS if c not in report]
        if missing:
            raise ValueError(f"The report lacks the columns {missing}.")
        known = report["metric"].unique().tolist()
        if metric not in known:
            raise ValueError(
                f"The report has no metric {metric!r}; it has {known}. "
                "'group_roc_auc' needs groups."
            )
        return cls(report=report, metric=metric)

    def plot(self, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            A panel for each task; by default a new figure with all side by side.

        Returns
        -------
        self : TransferDisplay
            The display, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If the number of panels is not that of the tasks.
        """
        part = self.report[self.report["metric"] == self.metric]
        tasks = part["task"].unique()
        names = part["estimator"].unique().tolist()
        if ax is None:
            pyplot = import_extra("matplotlib.pyplot", "plot", "TransferDisplay.plot")
            size = (1.2 + 2.9 * len(tasks), 0.9 + 0.33 * len(names))
            ax = pyplot.subplots(
                ncols=len(tasks), figsize=size, sharey=True, layout="constrained"
            )[1]
        self.axes_ = np.atleast_1d(np.asarray(ax, dtype=object))
        if len(self.axes_) != len(tasks):
            raise ValueError(
                f"ax has {len(self.axes_)} panel(s), but there are {len(tasks)} tasks: "
                f"{tasks.tolist()}."
            )
        self.figure_ = self.axes_[0].figure
        for axes, task in zip(self.axes_, tasks, strict=True):
            _draw(axes, part[part["task"] == task], names)
            axes.set(title=task, xlabel=f"difference in {self.metric}")
        return self


def _draw(axes: Any, rows: pd.DataFrame, names: list[str]) -> None:
    axes.axvline(0, color="black", linewidth=0.8)
    for row in rows.to_dict("records"):
        place, low, high = names.index(row["estimator"]), row["low"], row["high"]
        color = _WORSE if high < 0 else _BETTER if low > 0 else _OPEN
        if np.isfinite(low):
            axes.plot([low, high], [place, place], color=color, linewidth=2)
        axes.plot(row["difference"], place, "o", color=color)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.4)
    axes.locator_params(axis="x", nbins=4)
    # Small differences take a power of ten at the axis instead of zeros at each tick.
    axes.ticklabel_format(axis="x", scilimits=(-3, 3), useMathText=True)
