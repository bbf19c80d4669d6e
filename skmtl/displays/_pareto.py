"""Several metrics against each other, and their Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skmtl._typing import ColumnName, FloatArray
from skmtl.displays._panels import (
    MARKERS,
    Display,
    below,
    metric_label,
    panels,
    wrapped,
)
from skmtl.displays._search_table import search_table
from skmtl.metrics._pareto import pareto_front

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


class ParetoFrontDisplay(Display):
    """Candidates by several metrics, and their Pareto front.

    The front contains the candidates that no other candidate beats: none is at least as
    good in every metric and better in one.

    Parameters
    ----------
    scores : array-like of shape (n_candidates, n_metrics)
        Metrics, where greater is better; NaN if they were not evaluated.
    metric_names : sequence of str
        Names of at least two metrics.
    weights : array-like of shape (n_candidates, n_tasks), default=None
        Output weights of the candidates. With them, the ends are marked, where one task
        has all the weight.
    task_names : sequence of str, default=None
        Names of the tasks. By default, their numbers.
    best_index : int, default=None
        The candidate that was chosen.

    Attributes
    ----------
    front_ : ndarray of shape (n_front,)
        Indices of the candidates on the front, by decreasing first metric.
    ends_ : dict of str to int
        Maps the name of a task to the candidate that has all the weight on it.
    axes_ : ndarray of matplotlib Axes
        One panel per pair of metrics.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    OutputWeightsDisplay : One metric over the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.displays import ParetoFrontDisplay
    >>> scores = np.array([[0.7, 0.5], [0.6, 0.6], [0.5, 0.5], [0.4, 0.8]])
    >>> display = ParetoFrontDisplay(
    ...     scores=scores, metric_names=["auc:click", "auc:order"]
    ... ).plot()
    >>> display.front_
    array([0, 1, 3])
    """

    def __init__(
        self,
        *,
        scores: npt.ArrayLike,
        metric_names: Sequence[ColumnName],
        weights: npt.ArrayLike | None = None,
        task_names: Sequence[ColumnName] | None = None,
        best_index: int | None = None,
    ) -> None:
        self.scores = scores
        self.metric_names = metric_names
        self.weights = weights
        self.task_names = task_names
        self.best_index = best_index

    @classmethod
    def from_search(
        cls, search: BaseEstimator, *, metrics: Sequence[str] | None = None
    ) -> ParetoFrontDisplay:
        """Create the display from a search with several metrics.

        Parameters
        ----------
        search : OutputWeightSearchCV
            The fitted search.
        metrics : sequence of str, default=None
            Which metrics, by default all.

        Returns
        -------
        ParetoFrontDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If the search has fewer than two metrics, or lacks one of them.
        """
        names, weights, scores = search_table(search)
        known = list(scores)
        shown = known if metrics is None else list(metrics)
        unknown = [m for m in shown if m not in known]
        if unknown or len(shown) < 2:
            raise ValueError(
                f"A Pareto front needs two metrics of the search, which has {known}; "
                f"got {shown}. Pass several names as scoring of the search."
            )
        return cls(
            scores=np.column_stack([scores[m] for m in shown]),
            metric_names=shown,
            weights=weights,
            task_names=names,
            best_index=int(search.best_index_),
        )

    def plot(self, *, ax: Axes | Sequence[Axes] | None = None) -> Self:
        """Plot the display.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            One panel per pair of metrics; by default a new figure.

        Returns
        -------
        self : ParetoFrontDisplay
            The display, with the attributes.

        Raises
        ------
        ValueError
            If shapes or the number of panels do not match.
        """
        scores = np.asarray(self.scores, dtype=np.float64)
        names = [str(name) for name in self.metric_names]
        if scores.ndim != 2 or scores.shape[1] != len(names) or len(names) < 2:
            raise ValueError(
                "scores must have a column for each of at least two metrics; got shape "
                f"{scores.shape} for {names}."
            )
        self.front_ = pareto_front(scores)
        self.ends_ = self._ends(len(scores))
        pairs = list(combinations(range(len(names)), 2))
        size = (5.4, 5.0) if len(pairs) == 1 else (3.6, 3.4)
        self.figure_, self.axes_ = panels(
            "ParetoFrontDisplay", len(pairs), ax, size=size, n_columns=3
        )
        for axes, (a, b) in zip(self.axes_, pairs, strict=True):
            handles = self._draw(axes, scores[:, a], scores[:, b], len(names) == 2)
            axes.set(
                xlabel=wrapped(metric_label(names[a])),
                ylabel=wrapped(metric_label(names[b])),
            )
            axes.grid(alpha=0.3)
        below(self.figure_, self.axes_, handles.values(), list(handles), ax is None)
        return self

    def _ends(self, n: int) -> dict[str, int]:
        if self.weights is None:
            return {}
        w = np.asarray(self.weights, dtype=np.float64)
        if w.ndim != 2 or len(w) != n:
            raise ValueError(
                f"weights must have a row for each of the {n} candidates; got shape "
                f"{w.shape}."
            )
        names = range(w.shape[1]) if self.task_names is None else self.task_names
        # Whatever its size: the scale of weights does not change a ranking.
        alone = (w != 0).sum(axis=1) == 1
        ends = {}
        for name, column in zip(names, w.T, strict=True):
            rows = np.flatnonzero(alone & (column > 0))
            if len(rows):
                ends[str(name)] = int(rows[0])
        return ends

    def _places(self, x: FloatArray, y: FloatArray) -> dict[tuple[str, ...], int]:
        """Candidates of the ends; those at the same place have one marker."""
        tasks: dict[tuple[float, float], list[str]] = {}
        for task, row in self.ends_.items():
            tasks.setdefault((float(x[row]), float(y[row])), []).append(task)
        return {tuple(names): self.ends_[names[0]] for names in tasks.values()}

    def _draw(
        self, ax: Axes, x: FloatArray, y: FloatArray, joined: bool
    ) -> dict[str, Artist]:
        handles: dict[str, Artist] = {}
        (handles["candidates"],) = ax.plot(x, y, ".", color="0.7", markersize=4)
        # The front of two metrics is a chain; of more metrics, a pair shows a cloud.
        (handles["Pareto front"],) = ax.plot(
            x[self.front_], y[self.front_], color="black", marker="o", markersize=4,
            linestyle="-" if joined else "none", linewidth=1,
        )  # fmt: skip
        for i, (tasks, row) in enumerate(self._places(x, y).items()):
            text = ",\n".join(f"only {wrapped(task)}" for task in tasks)
            (handles[text],) = ax.plot(
                x[row], y[row], MARKERS[1 + i % 6], markersize=7, color="#d55e00",
                markerfacecolor="white" if i < 6 else "0.6", markeredgewidth=1.6,
                zorder=6,
            )  # fmt: skip
        if self.best_index is not None:
            # Larger than the ends and below them, so that both can be seen.
            (handles["chosen"],) = ax.plot(
                x[self.best_index], y[self.best_index], "*", markersize=21,
                color="#f0e442", markeredgecolor="black", zorder=5, linestyle="none",
            )  # fmt: skip
        return handles
