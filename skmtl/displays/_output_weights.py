"""A metric over the output weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skmtl._typing import ColumnName, FloatArray, RandomStateLike
from skmtl.displays._panels import Display, below, metric_label, panels, wrapped
from skmtl.displays._search_table import search_table
from skmtl.displays._weight_axes import (
    draw_grid,
    draw_marks,
    draw_points,
    draw_profile,
    draw_triangle,
    place,
    shares,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_KINDS = ("auto", "curve", "heatmap", "ternary", "profile")

_SIZES = {"curve": (5.4, 4.2), "heatmap": (5.4, 5.0), "ternary": (6.2, 5.8)}


class OutputWeightsDisplay(Display):
    """A metric of the fused score over the candidates of output weights.

    The star is the best candidate. Candidates that violate a constraint are crossed
    out, and those below the interval of the best have a black dot. Nothing is
    interpolated between the candidates.

    Parameters
    ----------
    weights : array-like of shape (n_candidates, n_tasks)
        The candidates.
    scores : array-like of shape (n_candidates,)
        The metric, where greater is better; NaN if it was not evaluated.
    task_names : sequence of str, default=None
        Names of the tasks. By default, their numbers.
    metric : str, default="score"
        Name of the metric.
    feasible : array-like of bool, shape (n_candidates,), default=None
        Which candidates satisfy the constraints. None without constraints.
    best_index : int, default=None
        The best candidate; by default the feasible one with the highest score.
    interval : (float, float), default=None
        Interval of the best score.
    level : float, default=0.95
        Confidence level of the interval.

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
    'share of order in the weights (the rest: click)'
    """

    def __init__(
        self,
        *,
        weights: npt.ArrayLike,
        scores: npt.ArrayLike,
        task_names: Sequence[ColumnName] | None = None,
        metric: str = "score",
        feasible: npt.ArrayLike | None = None,
        best_index: int | None = None,
        interval: tuple[float, float] | None = None,
        level: float = 0.95,
    ) -> None:
        self.weights = weights
        self.scores = scores
        self.task_names = task_names
        self.metric = metric
        self.feasible = feasible
        self.best_index = best_index
        self.interval = interval
        self.level = level

    @classmethod
    def from_search(
        cls,
        search: BaseEstimator,
        *,
        metric: str | None = None,
        n_resamples: int = 0,
        random_state: RandomStateLike = None,
    ) -> OutputWeightsDisplay:
        """Create the display from a search.

        Parameters
        ----------
        search : OutputWeightSearchCV
            The fitted search.
        metric : str, default=None
            Which of several metrics to show; by default the one that selected the
            weights.
        n_resamples : int, default=0
            Number of resamples for the 95 % bootstrap interval of the best score; 0 for
            no interval.
        random_state : int, RandomState instance or None, default=None
            Seed of the resamples.

        Returns
        -------
        OutputWeightsDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If the search lacks the metric, or an interval is requested for a metric
            that did not select the weights.
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
                    f"The interval belongs to {chosen!r}, which selected the weights. "
                    f"Use n_resamples=0 to show {shown!r}."
                )
            table = search.bootstrap_intervals(n_resamples, random_state=random_state)
            interval = tuple(table.loc["best", ["low", "high"]])
        # A search with a single metric calls it "score" in its results.
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

    def plot(
        self, *, kind: str = "auto", ax: Axes | Sequence[Axes] | None = None
    ) -> Self:
        """Plot the metric.

        Parameters
        ----------
        kind : {"auto", "curve", "heatmap", "ternary", "profile"}, default="auto"
            The scale of the weights does not change a ranking, so most plots show the
            share of a task in the sum of the weights.

            "curve": two tasks, over the share of the second. "heatmap": over the two
            weights that vary. "ternary": three tasks, over their shares. "profile": any
            number of tasks, with one panel per task that shows the score over its share
            and the best score at each share. "auto": the first of these that fits.
        ax : matplotlib Axes or sequence of them, default=None
            The panel, for "profile" one per task; by default a new figure.

        Returns
        -------
        self : OutputWeightsDisplay
            The display, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If shapes do not match, all scores are NaN, or `kind` does not match the
            number of weights that vary.
        """
        self._read()
        kind = self._kind(kind)
        n = len(self._names) if kind == "profile" else 1
        size = _SIZES.get(kind, (3.0, 2.8))
        self.figure_, self.axes_ = panels("OutputWeightsDisplay", n, ax, size=size)
        handles = getattr(self, f"_draw_{kind}")()
        title = f"{self._label(40)}\nbest {self._best_text()}"
        # The panels of a profile have the names of the tasks as titles. A figure of the
        # caller keeps its own title.
        if kind != "profile":
            self.axes_[0].set_title(title, fontsize="medium")
        elif ax is None:
            self.figure_.suptitle(title, fontsize="medium")
        below(self.figure_, self.axes_, handles.values(), list(handles), ax is None)
        return self

    def _read(self) -> None:
        # scikit-learn's searches keep parameters in masked arrays.
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
            raise ValueError("No candidate has a score and satisfies the constraints.")
        self._w, self._s, self._kept = w, s, kept
        best = int(np.argmax(np.where(able, s, -np.inf)))
        self._best = best if self.best_index is None else self.best_index

    def _kind(self, kind: str) -> str:
        # A grid may fix some of the weights.
        free = [t for t, column in enumerate(self._w.T) if np.ptp(column) > 0]
        self._free, n_tasks = free, len(self._names)
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {_KINDS}, found {kind!r}.")
        if kind == "auto" and n_tasks == 2:
            return "curve"
        if kind == "auto":
            kind = "heatmap" if len(free) == 2 else "profile"
            kind = "ternary" if n_tasks == 3 and len(free) == 3 else kind
        needs = {"curve": (2, n_tasks), "heatmap": (2, len(free))}
        needs["ternary"] = (3, n_tasks)
        need, found = needs.get(kind, (0, 0))
        if need != found:
            raise ValueError(
                f"kind={kind!r} needs {need} weights, found {found}: "
                f"{[self._names[t] for t in free]} vary. kind='profile' accepts any "
                "number."
            )
        return kind

    def _label(self, width: int = 26) -> str:
        return wrapped(metric_label(self.metric), width)

    def _interval_name(self) -> str:
        return f"{100 * self.level:g} % interval"

    def _best_text(self) -> str:
        text = f"{self._s[self._best]:.4f}"
        if self.interval is not None:
            low, high = self.interval
            text += f", {self._interval_name()} {low:.4f} to {high:.4f}"
        return text

    def _draw_curve(self) -> dict[str, Artist]:
        (ax,), share = self.axes_, shares(self._w)[:, 1]
        handles = self._profile(ax, share, joined=True)
        first, second = map(wrapped, self._names)
        ax.set_xlabel(f"share of {second} in the weights (the rest: {first})")
        return handles

    def _draw_heatmap(self) -> dict[str, Artist]:
        ax, (a, b) = self.axes_[0], self._free
        x, y = self._w[:, a], self._w[:, b]
        image = draw_grid(ax, x, y, self._s)
        self.figure_.colorbar(image, ax=ax, label=self._label(40))
        labels = [f"weight of {wrapped(self._names[t])}" for t in (a, b)]
        ax.set(xlabel=labels[0], ylabel=labels[1])
        return self._marks(ax, np.column_stack([x, y]))

    def _draw_ternary(self) -> dict[str, Artist]:
        ax, points = self.axes_[0], place(shares(self._w))
        image = draw_points(ax, points, self._s)
        self.figure_.colorbar(image, ax=ax, label=self._label(40), shrink=0.8)
        draw_triangle(ax, self._names)
        return self._marks(ax, points)

    def _marks(self, ax: Axes, points: FloatArray) -> dict[str, Artist]:
        low = None if self.interval is None else self.interval[0]
        handles = draw_marks(ax, points, self._s, low, self._kept)
        if low is not None:
            name = f"below the {self._interval_name()} of the best"
            # The pair comes first in the legend; `pop` removes it before the rest is
            # copied.
            handles = {name: handles.pop("below"), **handles}
        (star,) = ax.plot(
            *points[self._best], "*", markersize=16, color="white",
            markeredgecolor="black", zorder=5, linestyle="none",
        )  # fmt: skip
        parts = shares(self._w[[self._best]])[0]
        at = [f"{wrapped(n)} {p:.0%}" for n, p in zip(self._names, parts, strict=True)]
        return {"best, shares of the weights:\n" + "\n".join(at): star, **handles}

    def _draw_profile(self) -> dict[str, Artist]:
        parts = shares(self._w)
        for task, ax in enumerate(self.axes_):
            handles = self._profile(ax, parts[:, task])
            ax.set(title=wrapped(self._names[task]), xlabel="share of the weights")
        return handles

    def _profile(
        self, ax: Axes, share: FloatArray, *, joined: bool = False
    ) -> dict[str, Artist]:
        kept = np.ones(len(share), bool) if self._kept is None else self._kept
        handles = draw_profile(
            ax, share, self._s, kept, self._best, self.interval, joined=joined
        )
        if self.interval is not None:
            name = f"{self._interval_name()} of the best"
            handles[name] = handles.pop("interval")
        ax.set(ylabel=self._label(), xlim=(-0.03, 1.03))
        return handles
