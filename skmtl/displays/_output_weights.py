"""The metric over the output weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from skmtl.displays._panels import below, panels, wrapped
from skmtl.displays._profile import draw_profile
from skmtl.displays._search_table import search_table
from skmtl.displays._simplex import draw_triangle, place, shares
from skmtl.displays._surface import draw_boundaries, draw_grid, draw_scattered

_KINDS = ("auto", "heatmap", "ternary", "profile")


class OutputWeightsDisplay:
    """A metric of the fused score over the candidates of output weights.

    The star is the best candidate. A solid line encloses the candidates inside the
    interval of the best; a dashed one, those that keep the constraints.

    Parameters
    ----------
    weights : array-like of shape (n_candidates, n_tasks)
        The candidates.
    scores : array-like of shape (n_candidates,)
        The metric, greater is better; NaN where it was not evaluated.
    task_names : sequence of str, default=None
        Names of the tasks; by default their numbers.
    metric : str, default="score"
        Name of the metric.
    feasible : array-like of bool, shape (n_candidates,), default=None
        Which candidates keep the constraints; None without constraints.
    best_index : int, default=None
        The best candidate; by default the feasible one of the highest score.
    interval : (float, float), default=None
        Interval of the best score.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The panels.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    ParetoFrontDisplay : Several metrics against each other.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.displays import OutputWeightsDisplay
    >>> step = np.linspace(0, 1, 6)
    >>> weights = np.array([(a, b) for a in step for b in step])[1:]
    >>> scores = 0.8 - (weights[:, 0] - 0.4) ** 2 - (weights[:, 1] - 0.8) ** 2
    >>> display = OutputWeightsDisplay(
    ...     weights=weights, scores=scores, task_names=["click", "order"]
    ... ).plot()
    >>> display.axes_[0].get_xlabel()
    'weight of click'
    """

    def __init__(
        self,
        *,
        weights: npt.ArrayLike,
        scores: npt.ArrayLike,
        task_names: Sequence[Any] | None = None,
        metric: str = "score",
        feasible: npt.ArrayLike | None = None,
        best_index: int | None = None,
        interval: tuple[float, float] | None = None,
    ) -> None:
        self.weights = weights
        self.scores = scores
        self.task_names = task_names
        self.metric = metric
        self.feasible = feasible
        self.best_index = best_index
        self.interval = interval

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        metric: str | None = None,
        n_resamples: int = 0,
        random_state: Any = None,
    ) -> OutputWeightsDisplay:
        """Make the display of a search.

        Parameters
        ----------
        search : OutputWeightSearchCV
            The fitted search.
        metric : str, default=None
            Which of several metrics to show; by default the one that chose.
        n_resamples : int, default=0
            Draws of the bootstrap interval of the best score; 0 for no interval.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws.

        Returns
        -------
        OutputWeightsDisplay
            The display; nothing is drawn yet.

        Raises
        ------
        ValueError
            If the search has no such metric, or an interval is wanted of another
            metric than the one that chose.
        """
        names, weights, scores = search_table(search)
        refit = getattr(search, "refit", None)
        chosen = refit if isinstance(refit, str) else next(iter(scores))
        shown = chosen if metric is None else metric
        if shown not in scores:
            raise ValueError(
                f"The search has no metric {shown!r}; it has {list(scores)}."
            )
        interval = None
        if n_resamples:
            if shown != chosen:
                raise ValueError(
                    f"The interval is that of {chosen!r}, which chose the weights. "
                    f"Show {shown!r} with n_resamples=0."
                )
            table = search.bootstrap_intervals(n_resamples, random_state=random_state)
            interval = tuple(table.loc["best", ["low", "high"]])
        title = getattr(search, "scoring", None)
        return cls(
            weights=weights,
            scores=scores[shown],
            task_names=names,
            metric=str(title) if shown == "score" and isinstance(title, str) else shown,
            feasible=search.cv_results_.get("feasible"),
            best_index=int(search.best_index_),
            interval=interval,
        )

    def plot(self, *, kind: str = "auto", ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        kind : {"auto", "heatmap", "ternary", "profile"}, default="auto"
            "heatmap": over the two weights that take more than one value. "ternary":
            over the shares of three weights in their sum, which are all that counts,
            since scale does not change an order. "profile": for any number of tasks, a
            panel for each with the score over the task's share, and the best at each
            share as a line. "auto": the first of these that fits.
        ax : matplotlib Axes or sequence of them, default=None
            The panel, for "profile" one for each task; by default a new figure.

        Returns
        -------
        self : OutputWeightsDisplay
            The display, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If shapes do not fit, no score is known, or `kind` does not fit the number
            of weights that vary.
        """
        self._read()
        kind = self._kind(kind)
        n = len(self._names) if kind == "profile" else 1
        size = {"heatmap": (5.4, 5.0), "ternary": (6.2, 5.8)}.get(kind, (3.0, 2.8))
        self.figure_, self.axes_ = panels("OutputWeightsDisplay", n, ax, size=size)
        handles = getattr(self, f"_draw_{kind}")()
        title = f"{wrapped(self.metric, 40)}\nbest {self._best_text()}"
        if kind != "profile":
            self.axes_[0].set_title(title, fontsize="medium")
        elif ax is None:
            self.figure_.suptitle(title, fontsize="medium")
        below(self.figure_, self.axes_, handles.values(), list(handles), ax is None)
        return self

    def _read(self) -> None:
        w = np.ma.filled(np.ma.asarray(self.weights, dtype=np.float64), np.nan)
        s = np.asarray(self.scores, dtype=np.float64)
        n_tasks = w.shape[1] if w.ndim == 2 else 0
        names = range(n_tasks) if self.task_names is None else self.task_names
        self._names = [str(name) for name in names]
        kept = None if self.feasible is None else np.asarray(self.feasible, dtype=bool)
        fits = w.ndim == 2 and s.shape == (len(w),) and len(self._names) == n_tasks
        if not fits or (kept is not None and kept.shape != s.shape):
            raise ValueError(
                "weights must be (n_candidates, n_tasks), with a score for each "
                f"candidate and a name for each task; got weights {w.shape}, scores "
                f"{s.shape} and the tasks {self._names}."
            )
        able = np.isfinite(s) if kept is None else np.isfinite(s) & kept
        if not able.any():
            raise ValueError("No candidate has a score and keeps the constraints.")
        self._w, self._s, self._kept = w, s, kept
        best = int(np.argmax(np.where(able, s, -np.inf)))
        self._best = best if self.best_index is None else self.best_index

    def _kind(self, kind: str) -> str:
        free = [t for t, column in enumerate(self._w.T) if np.ptp(column) > 0]
        self._free, n_tasks = free, len(self._names)
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}, found {kind!r}.")
        if kind == "auto":
            kind = "heatmap" if len(free) == 2 else "profile"
            kind = "ternary" if n_tasks == 3 and len(free) == 3 else kind
        need = {"heatmap": (2, len(free)), "ternary": (3, n_tasks)}.get(kind)
        if need and need[0] != need[1]:
            raise ValueError(
                f"kind={kind!r} needs {need[0]} weights, found {need[1]}: "
                f"{[self._names[t] for t in free]} vary. kind='profile' draws any."
            )
        return kind

    def _best_text(self) -> str:
        text = f"{self._s[self._best]:.4f}"
        if self.interval is not None:
            text += f" [{self.interval[0]:.4f}, {self.interval[1]:.4f}]"
        return text

    def _draw_heatmap(self) -> dict[str, Any]:
        ax, (a, b) = self.axes_[0], self._free
        x, y = self._w[:, a], self._w[:, b]
        image = draw_grid(ax, x, y, self._s)
        self.figure_.colorbar(image, ax=ax, label=wrapped(self.metric, 40))
        labels = [f"weight of {wrapped(self._names[t])}" for t in (a, b)]
        ax.set(xlabel=labels[0], ylabel=labels[1])
        return self._marks(ax, np.column_stack([x, y]))

    def _draw_ternary(self) -> dict[str, Any]:
        ax, points = self.axes_[0], place(shares(self._w))
        image = draw_scattered(ax, points, self._s)
        self.figure_.colorbar(image, ax=ax, label=wrapped(self.metric, 40), shrink=0.8)
        draw_triangle(ax, self._names)
        return self._marks(ax, points)

    def _marks(self, ax: Any, points: npt.NDArray[Any]) -> dict[str, Any]:
        low = None if self.interval is None else self.interval[0]
        handles = draw_boundaries(ax, points, self._s, low, self._kept)
        (star,) = ax.plot(
            *points[self._best], "*", markersize=16, color="white",
            markeredgecolor="black", zorder=5, linestyle="none",
        )  # fmt: skip
        weights = zip(self._names, self._w[self._best], strict=True)
        at = [f"{wrapped(name)} {weight:.3g}" for name, weight in weights]
        return {"best weights:\n" + "\n".join(at): star, **handles}

    def _draw_profile(self) -> dict[str, Any]:
        parts = shares(self._w)
        kept = np.ones(len(parts), bool) if self._kept is None else self._kept
        for task, ax in enumerate(self.axes_):
            handles = draw_profile(
                ax, parts[:, task], self._s, kept, self._best, self.interval
            )
            ax.set(
                title=wrapped(self._names[task]), xlabel="share of the weights",
                ylabel=wrapped(self.metric), xlim=(-0.03, 1.03),
            )  # fmt: skip
        return handles
