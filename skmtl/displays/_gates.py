"""How the gates mix the experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator

from skmtl._messages import shown
from skmtl._typing import ColumnName, FloatArray, IntArray, TableLike
from skmtl.displays._history_table import fitted_ranker
from skmtl.displays._panels import (
    Display,
    below,
    heat_table,
    name_inches,
    panels,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]


class GateWeightsDisplay(Display):
    """Distribution of the gate weights of each task.

    Parameters
    ----------
    gate_weights : ndarray of shape (n_samples, n_tasks, n_experts)
        Weights of the experts, which sum to 1 over the experts. The weight of an expert
        that a task does not read is 0 on all rows.
    task_names : sequence of str, default=None
        Names of the tasks. By default, their numbers.
    expert_names : sequence of str, default=None
        Names of the experts; by default their numbers.

    Attributes
    ----------
    means_ : ndarray of shape (n_tasks, n_experts)
        Mean weights.
    quantiles_ : ndarray of shape (5, n_tasks, n_experts)
        The quantiles 0.05, 0.25, 0.5, 0.75 and 0.95 of the weights.
    axes_ : ndarray of matplotlib Axes
        The panels, one for each task; a single one for ``kind="mean"``.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    ExpertSimilarityDisplay : Whether the experts differ.

    References
    ----------
    J. Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, section 4.2, equation 7 (gates).

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.displays import GateWeightsDisplay
    >>> weights = np.random.default_rng(0).dirichlet([1, 2, 3], size=(100, 2))
    >>> display = GateWeightsDisplay(
    ...     gate_weights=weights, task_names=["click", "order"]
    ... ).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['click', 'order']
    """

    def __init__(
        self,
        *,
        gate_weights: FloatArray,
        task_names: Sequence[ColumnName] | None = None,
        expert_names: Sequence[ColumnName] | None = None,
    ) -> None:
        self.gate_weights = gate_weights
        self.task_names = task_names
        self.expert_names = expert_names

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: TableLike
    ) -> GateWeightsDisplay:
        """Create the display from a fitted ranker with gates.

        Parameters
        ----------
        estimator : estimator
            A fitted ranker with gates, or a search that contains one.
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            Rows to evaluate the gates on.

        Returns
        -------
        GateWeightsDisplay
            The display, which is not plotted yet.

        Raises
        ------
        TypeError
            If the estimator contains no fitted ranker, or one without gates.
        """
        ranker = fitted_ranker(estimator)
        if not hasattr(ranker, "gate_weights"):
            raise TypeError(
                f"{type(ranker).__name__} has no gates. Pass a ranker with a method "
                "gate_weights, such as MMoE."
            )
        return cls(
            gate_weights=ranker.gate_weights(X),
            task_names=[str(name) for name in ranker.task_names_],
            expert_names=getattr(ranker, "expert_names_", None),
        )

    def plot(
        self, *, kind: str = "box", ax: Axes | Sequence[Axes] | None = None
    ) -> Self:
        """Plot the display.

        Parameters
        ----------
        kind : {"box", "mean"}, default="box"
            "box": one panel per task and one box per expert that the task reads. Boxes
            contain the middle half of the rows, whiskers 90 % of them. The line is the
            median, the diamond the mean, and the dashed line marks equal weights.
            "mean": the mean weights of all tasks in one table.
        ax : matplotlib Axes or sequence of them, default=None
            A panel for each task, or one for "mean"; by default a new figure.

        Returns
        -------
        self : GateWeightsDisplay
            The display, with the attributes.

        Raises
        ------
        ValueError
            If shapes, names or the number of panels do not match, or `kind` is
            unknown.
        """
        weights, tasks, experts = self._checked()
        if kind not in ("box", "mean"):
            raise ValueError(f"kind must be 'box' or 'mean', found {shown(kind)}.")
        self.means_ = weights.mean(axis=0)
        self.quantiles_ = np.quantile(weights, _QUANTILES, axis=0)
        # Of all rows: the quantiles of an expert that few rows use are 0 too.
        read = np.asarray(weights.any(axis=0))
        if kind == "mean":
            size = (
                1.6 + 0.55 * len(experts) + name_inches(tasks),
                1.0 + 0.4 * len(tasks) + name_inches(experts),
            )
            self.figure_, self.axes_ = panels("GateWeightsDisplay", 1, ax, size=size)
            means = np.where(read, self.means_, np.nan)  # blank where not read
            image = heat_table(self.axes_[0], means, tasks, experts, vmin=0)
            self.axes_[0].set(xlabel="expert", ylabel="task")
            self.figure_.colorbar(image, ax=self.axes_[0], label="mean gate weight")
            return self
        # Panels of a row share the names of the experts.
        width = 2.9 + name_inches(experts) / min(len(tasks), 4)
        size = (width, 1.1 + 0.24 * len(experts))
        self.figure_, self.axes_ = panels(
            "GateWeightsDisplay", len(tasks), ax, size=size, sharex=True, sharey=True
        )
        for t, axes in enumerate(self.axes_):
            handles = self._draw(axes, t, np.flatnonzero(read[t]), experts)
            axes.set(title=wrapped(tasks[t]), xlabel="gate weight")
        # Four panels in a row share one axis. Panels of the caller may be anywhere.
        for axes in self.axes_[:: 4 if ax is None else 1]:
            axes.set_ylabel("expert")
        below(self.figure_, self.axes_, handles.values(), list(handles), ax is None)
        return self

    def _checked(self) -> tuple[FloatArray, list[str], list[str]]:
        weights = np.asarray(self.gate_weights, dtype=np.float64)
        if weights.ndim != 3 or not weights.size:
            raise ValueError(
                "gate_weights must have shape (n_samples, n_tasks, n_experts); got "
                f"{weights.shape}."
            )
        found = []
        for what, names, n in (
            ("task_names", self.task_names, weights.shape[1]),
            ("expert_names", self.expert_names, weights.shape[2]),
        ):
            listed = [str(x) for x in (range(n) if names is None else names)]
            if len(listed) != n:
                raise ValueError(
                    f"{what} must have {n} names to match gate_weights; got {listed}."
                )
            found.append(listed)
        return weights, found[0], found[1]

    def _draw(
        self, axes: Axes, task: int, read: IntArray, experts: list[str]
    ) -> dict[str, Artist]:
        """One panel; returns the handles of the legend."""
        keys = ["whislo", "q1", "med", "q3", "whishi"]
        stats = [
            dict(zip(keys, self.quantiles_[:, task, e], strict=True))
            | {"mean": self.means_[task, e], "fliers": []}
            for e in read
        ]
        black = {"color": "black"}
        drawn = axes.bxp(
            stats, positions=read, orientation="horizontal", widths=0.6,
            showmeans=True, showfliers=False, patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": "0.85"}, medianprops=black | {"linewidth": 1.8},
            meanprops={"marker": "D", "markersize": 4, "markerfacecolor": "white",
                       "markeredgecolor": "black"},
        )  # fmt: skip
        equal = axes.axvline(
            1 / max(len(read), 1), color="0.4", linestyle="--", linewidth=1
        )
        axes.set_yticks(range(len(experts)), [wrapped(e, 48) for e in experts])
        # Downwards: the first expert is at the top.
        axes.set(xlim=(-0.02, 1.02), ylim=(len(experts) - 0.4, -0.6))
        axes.grid(axis="x", alpha=0.3)
        names = {
            "middle half of the rows": "boxes",
            "90 % of the rows": "whiskers",
            "median": "medians",
            "mean": "means",
        }
        handles = {name: drawn[key][0] for name, key in names.items() if drawn[key]}
        return handles | {"equal weights": equal}
