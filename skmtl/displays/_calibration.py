"""Calibration curves of all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibrationDisplay, calibration_curve

from skmtl._typing import ColumnName, FloatArray, IntArray, LabelsLike, TableLike
from skmtl.displays._panels import COLORS, Display, panels, wrapped
from skmtl.displays._task_rows import predicted, task_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TaskCalibrationDisplay(Display):
    """Predicted and observed rates, in one panel per task.

    Each panel has its own scale, since the rates of rare tasks would not be visible on
    a common one. Bars are 95 % Wilson intervals of the observed rates [1]_. The curves
    are drawn by scikit-learn's `CalibrationDisplay`, which accepts a single output.

    Parameters
    ----------
    prob_true, prob_pred : list of ndarray, one per task
        Observed rate and mean predicted probability in each bin.
    task_names : sequence of str
        Names of the tasks.
    n_rows : list of ndarray, one per task, default=None
        Number of rows in each bin. None draws no intervals and no counts.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_tasks,)
        The panels.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib Line2D
        The curves.

    See Also
    --------
    skmtl.metrics.expected_calibration_error : The deviation as a number.
    TaskROCDisplay : How well the rows are ranked.

    References
    ----------
    .. [1] L. D. Brown, T. T. Cai and A. DasGupta, "Interval Estimation for a Binomial
           Proportion", Statistical Science 16, 2001, section 3.1.1 (Wilson interval).

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.displays import TaskCalibrationDisplay
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.uniform(size=(1000, 2)) * [0.5, 0.02]
    >>> y = (rng.uniform(size=(1000, 2)) < proba).astype(int)
    >>> display = TaskCalibrationDisplay.from_predictions(y, proba, n_bins=5).plot()
    >>> [len(line.get_xdata()) for line in display.lines_]
    [5, 5]
    """

    def __init__(
        self,
        *,
        prob_true: Sequence[FloatArray],
        prob_pred: Sequence[FloatArray],
        task_names: Sequence[ColumnName],
        n_rows: Sequence[FloatArray] | None = None,
    ) -> None:
        self.prob_true = prob_true
        self.prob_pred = prob_pred
        self.task_names = task_names
        self.n_rows = n_rows

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: TableLike,
        y: LabelsLike,
        *,
        n_bins: int = 10,
        strategy: str = "quantile",
    ) -> TaskCalibrationDisplay:
        """Create the display from a fitted multioutput classifier.

        Parameters
        ----------
        estimator : estimator with ``predict_proba``
            A fitted ranker or other multioutput classifier. Tasks of a ranker that are
            not binary are left out, with a warning.
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN if not observed. Such rows are ignored for the task.
        n_bins : int, default=10
            Number of bins.
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins with equally many rows, or of equal width.

        Returns
        -------
        TaskCalibrationDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If a task has no positive or no negative label.
        """
        labels, proba = predicted(estimator, X, y)
        return cls.from_predictions(labels, proba, n_bins=n_bins, strategy=strategy)

    @classmethod
    def from_predictions(
        cls,
        y: LabelsLike,
        proba: object,
        *,
        n_bins: int = 10,
        strategy: str = "quantile",
    ) -> TaskCalibrationDisplay:
        """Create the display from predictions.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN if not observed. The columns of a DataFrame name the tasks.
        proba : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
            Probabilities, or the result of ``predict_proba``.
        n_bins : int, default=10
            Number of bins.
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins with equally many rows, or of equal width.

        Returns
        -------
        TaskCalibrationDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If a task has no positive or no negative label, or a probability is not
            between 0 and 1.
        """
        bins: dict[str, Any] = {"task_names": [], "n_rows": []}
        bins |= {"prob_true": [], "prob_pred": []}
        for task in task_rows(y, proba, probability=True):
            true, predicted_mean = calibration_curve(
                task.label, task.score, n_bins=n_bins, strategy=strategy
            )
            bins["task_names"].append(task.name)
            bins["prob_true"].append(true)
            bins["prob_pred"].append(predicted_mean)
            bins["n_rows"].append(rows_per_bin(task.score, n_bins, strategy))
        return cls(**bins)

    def plot(self, *, ax: Axes | Sequence[Axes] | None = None) -> Self:
        """Plot the display.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            One panel per task; by default a new figure.

        Returns
        -------
        self : TaskCalibrationDisplay
            The display, with `axes_`, `figure_` and `lines_`.

        Raises
        ------
        ValueError
            If the number of panels differs from the number of tasks.
        """
        self.figure_, self.axes_ = panels(
            "TaskCalibrationDisplay", len(self.task_names), ax, size=(3.0, 3.1)
        )
        self.lines_ = []
        for i, axes in enumerate(self.axes_):
            true, pred = self.prob_true[i], self.prob_pred[i]
            one = CalibrationDisplay(true, pred, None)
            one.plot(ax=axes, color=COLORS[0], markersize=4)
            self.lines_.append(one.line_)
            # scikit-learn's legend names the line of perfect calibration in every
            # panel.
            axes.get_legend().remove()
            title, top = wrapped(self.task_names[i]), max(true.max(), pred.max())
            if self.n_rows is not None:
                n = self.n_rows[i]
                low, high = wilson_interval(true, n)
                reach = [true - low, high - true]
                axes.errorbar(pred, true, reach, fmt="none", ecolor="0.5", zorder=1)
                title += f"\n{true @ n:,.0f} of {n.sum():,} rows positive"
                top = max(top, high.max())
            axes.set(
                xlim=(0, 1.06 * top), ylim=(0, 1.06 * top),
                xlabel="mean predicted probability", ylabel="observed rate",
                aspect="equal",
            )  # fmt: skip
            axes.set_title(title, fontsize="medium")
            axes.grid(alpha=0.3)
        # Only the first panel, to save width.
        if self.n_rows is not None:
            self.axes_[0].set_ylabel("observed rate, 95 % interval")
        return self


def rows_per_bin(proba: FloatArray, n_bins: int, strategy: str) -> IntArray:
    """Rows in each bin of `calibration_curve` that is not empty."""
    # As `calibration_curve` does it, which does not return the counts.
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.percentile(proba, edges * 100)
    counts = np.bincount(np.searchsorted(edges[1:-1], proba), minlength=n_bins)
    return counts[counts > 0]


def wilson_interval(
    rate: FloatArray, n: FloatArray, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Bounds of a binomial proportion; not empty for rates of 0 and 1."""
    z = norm.ppf(0.5 + level / 2)
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    # Rounding may put a bound on the wrong side of a rate of 0 or 1.
    return np.minimum(centre - reach, rate), np.maximum(centre + reach, rate)
