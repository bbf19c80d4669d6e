"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from skmtl._messages import shown
from skmtl.displays._history_table import best_epoch, fitted_ranker, history_table
from skmtl.displays._panels import (
    COLORS,
    LINES,
    MARKERS,
    Display,
    below,
    panels,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_LABELS = {
    "loss": "loss (nats)",
    "auc": "ROC AUC",
    "score": "validation score",
    "loss_weight": "loss weight",
    "gradient_norm": "gradient norm",
}


class HistoryDisplay(Display):
    """Training curves, with one panel per task and one line per fit.

    Training curves are dashed with open markers, validation curves solid with filled
    ones. A star marks the epoch whose weights were kept.

    Parameters
    ----------
    histories : mapping of str to DataFrame
        Maps the name of a fit to its table, which has one row per ``epoch`` and
        ``task``, and columns such as ``train_loss``, ``valid_loss``, ``train_auc``,
        ``valid_auc``, ``loss_weight`` and ``gradient_norm``.
    best_epochs : mapping of str to int, default=None
        The best epoch of each fit that has one.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The panels, ordered by metric.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : dict
        Maps ``(metric, task, fit, part)`` to the line. The part is "train", "valid" or
        "".

    See Also
    --------
    HistoryDisplay.from_estimator : Create the display from fitted rankers.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import ShareBottom
    >>> from skmtl.displays import HistoryDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3))
    >>> y = (X[:, :2] + rng.normal(size=(500, 2)) > 0).astype(int)
    >>> ranker = ShareBottom(early_stopping=True, random_state=0).fit(X, y)
    >>> display = HistoryDisplay.from_estimator(ranker).plot(["loss", "auc"])
    >>> [ax.get_title() for ax in display.axes_]
    ['0', '1', '0', '1']
    """

    def __init__(
        self,
        *,
        histories: Mapping[str, pd.DataFrame],
        best_epochs: Mapping[str, int] | None = None,
    ) -> None:
        self.histories = histories
        self.best_epochs = best_epochs

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator) -> HistoryDisplay:
        """Create the display from fitted rankers.

        Parameters
        ----------
        estimator : estimator, or mapping of str to estimator
            A fitted ranker, or a pipeline or search that contains one; or a mapping
            of names to several of them, to compare them.

        Returns
        -------
        HistoryDisplay
            The display, which is not plotted yet.

        Raises
        ------
        TypeError
            If an estimator contains no fitted ranker.
        """
        given = estimator
        if not isinstance(given, Mapping):
            given = {type(fitted_ranker(given)).__name__: given}
        rankers = {str(name): fitted_ranker(one) for name, one in given.items()}
        best = {name: best_epoch(one) for name, one in rankers.items()}
        return cls(
            histories={name: history_table(one) for name, one in rankers.items()},
            best_epochs={name: e for name, e in best.items() if e is not None},
        )

    @classmethod
    def from_history(
        cls, history: pd.DataFrame, *, best_epochs: Mapping[str, int] | None = None
    ) -> HistoryDisplay:
        """Create the display from tables.

        Parameters
        ----------
        history : DataFrame, or mapping of str to DataFrame
            The table of a fit, as in the constructor; or several tables by name. A
            single table gets the name "fit".
        best_epochs : mapping of str to int, default=None
            The best epoch of each fit, by its name.

        Returns
        -------
        HistoryDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If a table lacks the columns ``epoch`` and ``task``.
        """
        tables = history if isinstance(history, Mapping) else {"fit": history}
        for name, table in tables.items():
            missing = [c for c in ("epoch", "task") if c not in table]
            if missing:
                raise ValueError(
                    f"The history of {shown(name)} lacks the columns {missing}."
                )
        return cls(histories=dict(tables), best_epochs=best_epochs)

    def plot(
        self,
        metric: str | Sequence[str] = "loss",
        *,
        tasks: str | Sequence[str] | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Self:
        """Plot the display.

        Parameters
        ----------
        metric : str or sequence of str, default="loss"
            What to plot: "loss", "auc", "score", "loss_weight", "gradient_norm", or
            any column of the histories. A name such as "loss" stands for the columns
            ``train_loss`` and ``valid_loss``.
        tasks : str or sequence of str, default=None
            Which tasks; by default all.
        ax : matplotlib Axes or sequence of them, default=None
            One panel per metric and task, ordered by metric ("score" has one panel).
            By default, a new figure.

        Returns
        -------
        self : HistoryDisplay
            The display, with `axes_`, `figure_` and `lines_`.

        Raises
        ------
        ValueError
            If no history has the metric or a task, or if the number of panels does
            not match.
        """
        metrics = [metric] if isinstance(metric, str) else list(metric)
        known = list(
            dict.fromkeys(t for h in self.histories.values() for t in h["task"])
        )
        wanted = known if tasks is None else list(tasks)
        if isinstance(tasks, str):
            wanted = [tasks]
        if not wanted:
            raise ValueError(f"tasks is empty. Name some of {known}, or pass None.")
        for name in wanted:
            if name not in known:
                raise ValueError(
                    f"No history has the task {shown(name)}; they have {known}."
                )
        for one in metrics:
            self._check_metric(one)
        # The score is one number for all tasks; any task gives its rows.
        spots = [
            (m, t) for m in metrics for t in (wanted[:1] if m == "score" else wanted)
        ]
        # A row for each metric, with the tasks below each other, if they fit.
        n_columns = len(wanted) if len(wanted) <= 6 and len(metrics) > 1 else 4
        self.figure_, self.axes_ = panels(
            "HistoryDisplay", len(spots), ax, n_columns=n_columns
        )
        self.lines_: dict[tuple[str, str, str, str], Any] = {}
        for axes, (one, task) in zip(self.axes_, spots, strict=True):
            self._draw(axes, one, task)
        self._legend(ax is None)
        return self

    def _check_metric(self, metric: str) -> None:
        if not any(_parts(table, metric) for table in self.histories.values()):
            found = {str(c) for t in self.histories.values() for c in t}
            raise ValueError(
                f"No history has the metric {shown(metric)}. The columns are "
                f"{sorted(found - {'epoch', 'task'})}. Gradients are recorded with "
                "record_gradients=True, a score with scoring."
            )

    def _draw(self, axes: Axes, metric: str, task: str) -> None:
        for i, (fit, table) in enumerate(self.histories.items()):
            rows = table[table["task"] == task].sort_values("epoch")
            best = (self.best_epochs or {}).get(fit)
            for part, column in _parts(table, metric).items():
                x, y = rows["epoch"].to_numpy(), rows[column].to_numpy(dtype=float)
                if np.isnan(y).all():
                    continue
                color, train = COLORS[i % len(COLORS)], part == "train"
                # The eighth marker is a star, which marks the best epoch.
                (line,) = axes.plot(
                    x, y, color=color, marker=MARKERS[i % 7], markersize=4,
                    linestyle=LINES[1] if train else LINES[0],
                    markerfacecolor="white" if train else color,
                )  # fmt: skip
                self.lines_[metric, task, fit, part] = line
                if best is not None and not train:
                    at = x == best
                    # Later stars are smaller and on top, so that all can be seen.
                    axes.plot(
                        x[at], y[at], "*", color=color, markersize=max(19 - 5 * i, 6),
                        markeredgecolor="black", zorder=4 + i / 100,
                    )  # fmt: skip
        title = "all tasks" if metric == "score" else wrapped(task)
        axes.set(title=title, xlabel="epoch", ylabel=_LABELS.get(metric, metric))
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)

    def _legend(self, own: bool) -> None:
        lines: dict[str, Artist] = {}
        several = len(self.histories) > 1
        validated = {fit for _, _, fit, part in self.lines_ if part == "valid"}
        for (_, _, fit, part), line in self.lines_.items():
            name = {"train": "training", "valid": "validation", "": ""}[part]
            text = f"{wrapped(fit)}, {name}" if several and name else name or fit
            # A metric that is neither training nor validation is drawn like the latter.
            if name or (several and fit not in validated):
                lines.setdefault(text, line)
        handles = list(lines.values())
        stars = [
            line for ax in self.axes_ for line in ax.lines if line.get_marker() == "*"
        ]
        if stars:
            lines["best epoch"] = stars[0]
            handles.append(stars[0])
        if len(lines) > 1:
            below(self.figure_, self.axes_, handles, list(lines), own)


def _parts(table: pd.DataFrame, metric: str) -> dict[str, str]:
    """Maps the parts of a metric ("train", "valid", or "" for neither) to columns."""
    parts = {p: f"{p}_{metric}" for p in ("train", "valid") if f"{p}_{metric}" in table}
    return parts or ({"": metric} if metric in table else {})
