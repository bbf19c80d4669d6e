"""One task of a fitted classifier of several tasks, as a binary classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skmtl._messages import shown
from skmtl._typing import AnyArray, LabelsLike, ObjectArray, TableLike, WeightsLike
from skmtl.metrics import roc_auc
from skmtl.metrics._mixed import kinds_of
from skmtl.metrics._predictions import final_estimator, is_table, task_names_of
from skmtl.metrics._validation import column_names
from skmtl.tasks import BinaryTask


def task_classifier(estimator: BaseEstimator, task: str | int) -> TaskClassifier:
    """Select one task of a fitted classifier of several tasks.

    Tools for a single binary classifier work with it: `partial_dependence` and the
    displays of scikit-learn, among others.

    Parameters
    ----------
    estimator : estimator
        A fitted ranker, a pipeline that ends in one, or another classifier of several
        tasks.
    task : str or int
        The name of the task, or its position. It must be binary; other tasks of the
        estimator need not be.

    Returns
    -------
    TaskClassifier
        A classifier with `predict_proba` of shape ``(n_samples, 2)``, `predict`,
        `classes_` and `score`, the ROC AUC. It is fitted: as with scikit-learn's
        ``FrozenEstimator``, its `fit` changes nothing, and a clone is the same.

    Raises
    ------
    ValueError
        If `estimator` does not have the task, or it is not binary.
    sklearn.exceptions.NotFittedError
        If `estimator` is not fitted.

    Examples
    --------
    >>> from sklearn.inspection import partial_dependence
    >>> from skmtl import MMoE
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.inspection import task_classifier
    >>> log = make_funnel(2000, order_rate=0.01, random_state=0)
    >>> ranker = MMoE(max_iter=1, random_state=0).fit(log.data, log.target)
    >>> cart = task_classifier(ranker, "cart")
    >>> found = partial_dependence(cart, log.data, ["price"], grid_resolution=5)
    >>> found["average"].shape
    (1, 5)
    """
    check_is_fitted(estimator)
    place = _place(estimator, task)
    kinds = kinds_of(estimator)
    if kinds is not None and not isinstance(kinds[place], BinaryTask):
        raise ValueError(
            f"task_classifier selects a binary task, but task={shown(task)} is of kind "
            f"{kinds[place].name}. Use its column of predict_task, or fit a ranker of "
            "this task alone."
        )
    return TaskClassifier(estimator, place)


def _place(estimator: BaseEstimator, task: str | int) -> int:
    classes = estimator.classes_
    n_tasks = len(classes) if isinstance(classes, list) else 1
    names = task_names_of(estimator) or [str(at) for at in range(n_tasks)]
    if isinstance(task, Integral) and -n_tasks <= task < n_tasks:
        return int(task) % n_tasks
    if isinstance(task, str) and task in names:
        return names.index(task)
    raise ValueError(
        f"task={shown(task)} is not a task of {type(estimator).__name__}. Pass one of "
        f"the names {names}, or a position from 0 to {n_tasks - 1}."
    )


class TaskClassifier(ClassifierMixin, BaseEstimator):
    """What `task_classifier` returns; it holds no state of its own."""

    def __init__(self, estimator: BaseEstimator, task: int) -> None:
        self.estimator = estimator
        self.task = task

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # Tables may hold what the estimator accepts, such as strings and NaN.
        tags.input_tags = self.estimator.__sklearn_tags__().input_tags
        return tags

    @property
    def classes_(self) -> AnyArray:
        """The labels of the task."""
        classes = self.estimator.classes_
        return np.asarray(classes[self.task] if isinstance(classes, list) else classes)

    @property
    def n_features_in_(self) -> int:
        return int(self.estimator.n_features_in_)

    @property
    def feature_names_in_(self) -> AnyArray:
        names: ObjectArray = self.estimator.feature_names_in_
        return names

    def fit(self, X: TableLike, y: LabelsLike, **_: object) -> Self:
        """Do nothing: the estimator is fitted."""
        return self

    def predict_proba(self, X: TableLike) -> npt.NDArray[np.float64]:
        """Probabilities of shape ``(n_samples, n_classes)``."""
        kinds = kinds_of(self.estimator)
        # With a task without classes, the estimator has no predict_proba.
        if kinds is not None:
            ranker, rows = final_estimator(self.estimator, X)
            # A multiclass task has a column for each class.
            column = sum(kind.n_columns for kind in kinds[: self.task])
            p = np.asarray(ranker.predict_task(rows))[:, column]
            return np.column_stack([1 - p, p])
        proba = self.estimator.predict_proba(X)
        return np.asarray(proba[self.task] if isinstance(proba, list) else proba)

    def predict(self, X: TableLike) -> AnyArray:
        """The more probable label of each row."""
        chosen: AnyArray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return chosen

    def score(
        self, X: TableLike, y: LabelsLike, sample_weight: WeightsLike = None
    ) -> float:
        """Return the ROC AUC; NaN in `y` is a label that was not observed.

        If `y` is a table of labels, the column of the task is used.
        """
        if is_table(y):
            names = column_names(y)
            own = task_names_of(self.estimator)
            at = self.task
            if names is not None and own is not None and own[at] in names:
                at = names.index(own[at])
            y = np.asarray(y)[:, at]
        score = self.predict_proba(X)[:, -1]
        return float(roc_auc(y, score, sample_weight=sample_weight))
