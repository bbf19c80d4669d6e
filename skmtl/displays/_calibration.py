"""Calibration of all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy.typing as npt
from sklearn.calibration import CalibrationDisplay, calibration_curve

from skmtl.displays._panels import COLORS, panels, wrapped
from skmtl.displays._task_rows import predicted, task_rows


class TaskCalibrationDisplay:
    """Predicted against observed rates, a panel for each task.

    Each panel has its own scale: the rates of rare tasks lie near 0, where one common
    panel would show nothing. scikit-learn's `CalibrationDisplay`, which takes one
    output only, draws the curves.

    Parameters
    ----------
    prob_true, prob_pred : list of ndarray, one for each task
        Observed rate and mean predicted probability in each bin.
    task_names : sequence of str
        Names of the tasks.

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
    skmtl.metrics.expected_calibration_error : The distance as a number.
    TaskROCDisplay : Whether the order is right.

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
        prob_true: Sequence[npt.NDArray[Any]],
        prob_pred: Sequence[npt.NDArray[Any]],
        task_names: Sequence[Any],
    ) -> None:
        self.prob_true = prob_true
        self.prob_pred = prob_pred
        self.task_names = task_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_bins: int = 10,
        strategy: str = "quantile",
    ) -> TaskCalibrationDisplay:
        """Make the display of a fitted multioutput classifier.

        Parameters
        ----------
        estimator : estimator with ``predict_proba``
            A fitted ranker or other multioutput classifier.
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN where not observed, whose rows are left out for the task.
        n_bins : int, default=10
            Number of bins.
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins with as many rows each, or of equal width.

        Returns
        -------
        TaskCalibrationDisplay
            The display; nothing is drawn yet.

        Raises
        ------
        ValueError
            If a task has no positive or no negative label.
        """
        labels, proba = predicted(estimator, X, y)
        return cls.from_predictions(labels, proba, n_bins=n_bins, strategy=strategy)

    @classmethod
    def from_predictions(
        cls, y: Any, proba: Any, *, n_bins: int = 10, strategy: str = "quantile"
    ) -> TaskCalibrationDisplay:
        """Make the display of predictions.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN where not observed. Columns of a DataFrame name the tasks.
        proba : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
            Probabilities, or what ``predict_proba`` gives.
        n_bins : int, default=10
            Number of bins.
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins with as many rows each, or of equal width.

        Returns
        -------
        TaskCalibrationDisplay
            The display; nothing is drawn yet.

        Raises
        ------
        ValueError
            If a task has no positive or no negative label, or a probability is not
            between 0 and 1.
        """
        names, true, predictions = [], [], []
        for task in task_rows(y, proba, probability=True):
            rates = calibration_curve(
                task.label, task.score, n_bins=n_bins, strategy=strategy
            )
            names.append(task.name)
            true.append(rates[0])
            predictions.append(rates[1])
        return cls(prob_true=true, prob_pred=predictions, task_names=names)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            A panel for each task; by default a new figure.

        Returns
        -------
        self : TaskCalibrationDisplay
            The display, with `axes_`, `figure_` and `lines_`.

        Raises
        ------
        ValueError
            If the number of panels is not that of the tasks.
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
            axes.get_legend().remove()
            top = 1.06 * max(true.max(), pred.max())
            axes.set(
                title=wrapped(self.task_names[i]), xlim=(0, top), ylim=(0, top),
                xlabel="mean predicted probability", ylabel="observed rate",
                aspect="equal",
            )  # fmt: skip
            axes.grid(alpha=0.3)
        return self
