"""ROC curves of all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from sklearn.base import BaseEstimator
from sklearn.metrics import RocCurveDisplay, auc, roc_curve

from skmtl._typing import ColumnName, FloatArray, LabelsLike, TableLike, WeightsLike
from skmtl.displays._panels import Display, line_style, panels, wrapped
from skmtl.displays._task_rows import predicted, task_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TaskROCDisplay(Display):
    """ROC curves of all tasks, in one panel.

    The curves are drawn by scikit-learn's `RocCurveDisplay`, which accepts a single
    output.

    Parameters
    ----------
    fpr, tpr : list of ndarray, one for each task
        False and true positive rates.
    roc_auc : sequence of float
        Area under each curve.
    task_names : sequence of str
        Names of the tasks.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel.
    figure_ : matplotlib Figure
        Its figure.
    lines_ : list of matplotlib Line2D
        The curves.

    See Also
    --------
    skmtl.metrics.roc_auc : Only the areas, faster.
    TaskCalibrationDisplay : Whether the probabilities are calibrated.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.displays import TaskROCDisplay
    >>> y = np.array([[0, 1], [1, 0], [0, 0], [1, 1]])
    >>> proba = np.array([[0.2, 0.9], [0.7, 0.8], [0.3, 0.1], [0.6, 0.6]])
    >>> display = TaskROCDisplay.from_predictions(y, proba).plot()
    >>> [float(area) for area in display.roc_auc]
    [1.0, 0.75]
    """

    def __init__(
        self,
        *,
        fpr: Sequence[FloatArray],
        tpr: Sequence[FloatArray],
        roc_auc: Sequence[float],
        task_names: Sequence[ColumnName],
    ) -> None:
        self.fpr = fpr
        self.tpr = tpr
        self.roc_auc = roc_auc
        self.task_names = task_names

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: TableLike,
        y: LabelsLike,
        *,
        sample_weight: WeightsLike = None,
    ) -> TaskROCDisplay:
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
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        TaskROCDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If a task has no positive or no negative label.
        """
        labels, proba = predicted(estimator, X, y)
        return cls.from_predictions(labels, proba, sample_weight=sample_weight)

    @classmethod
    def from_predictions(
        cls, y: LabelsLike, score: object, *, sample_weight: WeightsLike = None
    ) -> TaskROCDisplay:
        """Create the display from predictions.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN if not observed. The columns of a DataFrame name the tasks.
        score : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
            Scores of each task, one score for all tasks, or the result of
            ``predict_proba``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        TaskROCDisplay
            The display, which is not plotted yet.

        Raises
        ------
        ValueError
            If a task has no positive or no negative label.
        """
        curves: dict[str, Any] = {
            "fpr": [],
            "tpr": [],
            "roc_auc": [],
            "task_names": [],
        }
        for task in task_rows(y, score, sample_weight):
            fpr, tpr, _ = roc_curve(task.label, task.score, sample_weight=task.weight)
            values = (fpr, tpr, auc(fpr, tpr), task.name)
            for key, value in zip(curves, values, strict=True):
                curves[key].append(value)
        return cls(**curves)

    def plot(self, *, ax: Axes | Sequence[Axes] | None = None) -> Self:
        """Plot the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The panel; by default a new figure.

        Returns
        -------
        self : TaskROCDisplay
            The display, with `ax_`, `figure_` and `lines_`.
        """
        self.figure_, axes = panels("TaskROCDisplay", 1, ax, size=(5.0, 5.0))
        self.ax_, self.lines_ = axes[0], []
        for i, name in enumerate(self.task_names):
            text = f"{wrapped(name)} (AUC {self.roc_auc[i]:.4f})"
            one = RocCurveDisplay(fpr=self.fpr[i], tpr=self.tpr[i])
            one.plot(ax=self.ax_, name=text)
            # Versions of scikit-learn name the argument of `plot` for it differently.
            one.line_.set(**line_style(i))
            self.lines_.append(one.line_)
        self.ax_.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=0)
        self.ax_.set(xlabel="false positive rate", ylabel="true positive rate")
        self.ax_.legend(loc="lower right", fontsize="small")
        return self
