"""Metrics against each other, and the candidates that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from skmtl.displays._panels import MARKERS, below, panels, wrapped
from skmtl.displays._search_table import search_table


class ParetoFrontDisplay:
    """Candidates by several metrics, and the front of those that no other beats.

    Parameters
    ----------
    scores : array-like of shape (n_candidates, n_metrics)
        Metrics, greater is better; NaN where they were not evaluated.
    metric_names : sequence of str
        Names of at least two metrics.
    weights : array-like of shape (n_candidates, n_tasks), default=None
        Output weights of the candidates; with them the ends, where one task has all
        the weight, are marked.
    task_names : sequence of str, default=None
        Names of the tasks; by default their numbers.
    best_index : int, default=None
        The candidate that was chosen.

    Attributes
    ----------
    front_ : ndarray of shape (n_front,)
        Indices of the candidates on the front, the first metric falling.
    ends_ : dict of str to int
        Name of a task to the candidate with all weight on it.
    axes_ : ndarray of matplotlib Axes
        A panel for each pair of metrics.
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
        metric_names: Sequence[Any],
        weights: npt.ArrayLike | None = None,
        task_names: Sequence[Any] | None = None,
        best_index: int | None = None,
    ) -> None:
        self.scores = scores
        self.metric_names = metric_names
        self.weights = weights
        self.task_names = task_names
        self.best_index = best_index

    @classmethod
    def from_search(
        cls, search: Any, *, metrics: Sequence[str] | None = None
    ) -> ParetoFrontDisplay:
        """Make the display of a search with several metrics.

        Parameters
        ----------
        search : OutputWeightSearchCV
            The fitted search.
        metrics : sequence of str, default=None
            Which metrics, by default all.

        Returns
        -------
        ParetoFrontDisplay
            The display; nothing is drawn yet.

        Raises
        ------
        ValueError
            If the search has fewer than two metrics, or not those.
        """
        names, weights, scores = search_table(search)
        known = list(scores)
        shown = known if metrics is None else list(metrics)
        unknown = [m for m in shown if m not in known]
        if unknown or len(shown) < 2:
            raise ValueError(
                f"A front needs two metrics of the search, which has {known}; asked "
                f"for {shown}. Give the search several names in scoring."
            )
        return cls(
            scores=np.column_stack([scores[m] for m in shown]),
            metric_names=shown,
            weights=weights,
            task_names=names,
            best_index=int(search.best_index_),
        )

    def plot(self, *, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            A panel for each pair of metrics; by default a new figure.

        Returns
        -------
        self : ParetoFrontDisplay
            The display, with the attributes.

        Raises
        ------
        ValueError
            If shapes or the number of panels do not fit.
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
            axes.set(xlabel=wrapped(names[a]), ylabel=wrapped(names[b]))
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
        alone = (w != 0).sum(axis=1) == 1
        ends = {}
        for name, column in zip(names, w.T, strict=True):
            rows = np.flatnonzero(alone & (column > 0))
            if len(rows):
                ends[str(name)] = int(rows[0])
        return ends

    def _draw(self, ax: Any, x: Any, y: Any, joined: bool) -> dict[str, Any]:
        handles: dict[str, Any] = {}
        (handles["candidates"],) = ax.plot(x, y, ".", color="0.7", markersize=4)
        # In two metrics the front is a chain; of more, a pair shows a cloud.
        (handles["Pareto front"],) = ax.plot(
            x[self.front_], y[self.front_], color="black", marker="o", markersize=4,
            linestyle="-" if joined else "none", linewidth=1,
        )  # fmt: skip
        for i, (task, row) in enumerate(self.ends_.items()):
            (handles[f"only {wrapped(task)}"],) = ax.plot(
                x[row], y[row], MARKERS[1 + i % 6], markersize=9, color="#d55e00",
                markerfacecolor="white" if i < 6 else "0.6", markeredgewidth=1.6,
            )  # fmt: skip
        if self.best_index is not None:
            (handles["chosen"],) = ax.plot(
                x[self.best_index], y[self.best_index], "*", markersize=16,
                color="white", markeredgecolor="black", zorder=5,
            )  # fmt: skip
        return handles


def pareto_front(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Rows that no other row beats, the first metric falling.

    A row is beaten by one that is at least as good in every metric and better in one.
    Rows with NaN are left out.
    """
    known = np.flatnonzero(np.isfinite(scores).all(axis=1))
    falling = known[np.lexsort(-scores[known].T[::-1])]
    front: list[int] = []
    for row in falling:  # nothing later in this order can beat a row that stays
        kept, one = scores[front], scores[row]
        if not ((kept >= one).all(axis=1) & (kept > one).any(axis=1)).any():
            front.append(int(row))
    return np.array(front, dtype=np.intp)
