"""Predictions of a fitted estimator, as scores of its tasks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags

from skmtl.metrics._validation import column_names
from skmtl.tasks import BinaryTask, TaskKind, TaskKinds, kinds_by_task


def _layers(estimator: object) -> Iterator[object]:
    """Yield an estimator, its last step or best estimator, and so on inwards.

    Output weights of a fitted estimator need no fit of their own.
    """
    while estimator is not None:
        yield estimator
        steps = getattr(estimator, "steps", None)
        if steps:
            estimator = steps[-1][1]
        elif isinstance(estimator, FusesTasks):
            estimator = _inner(estimator, refits=False)
        else:
            estimator = getattr(estimator, "best_estimator_", None)


def final_estimator(estimator: Any, X: Any = None) -> tuple[Any, Any]:
    """Return the innermost estimator of pipelines and searches, and its rows."""
    while True:
        steps = getattr(estimator, "steps", None)
        if steps:
            if X is not None and len(steps) > 1:
                X = estimator[:-1].transform(X)
            estimator = steps[-1][1]
            continue
        best = getattr(estimator, "best_estimator_", None)
        if best is None:
            return estimator, X
        estimator = best


def task_names_of(estimator: object) -> list[str] | None:
    """Return ``task_names_`` of an estimator, or of one that it contains."""
    for layer in _layers(estimator):
        names = getattr(layer, "task_names_", None)
        if names is not None:
            return [str(name) for name in names]
    return None


def kinds_to_read(
    estimator: object, names: Sequence[str], *, refits: bool = False
) -> list[TaskKind] | None:
    """Return the kinds of an estimator's tasks; None if all of them are binary.

    A fitted estimator knows them. Where it is not fitted, or a clone is to be fitted,
    they are read from its parameter `task_kinds`.

    Parameters
    ----------
    estimator : estimator
        A ranker, or an estimator that contains one: a pipeline, a search, a calibrated
        ranker. All others have binary tasks.
    names : sequence of str
        Names of the tasks, for estimators that are not fitted.
    refits : bool, default=False
        Whether clones of the estimator will be fitted, so that its last fit does not
        count.
    """
    while estimator is not None:
        # A clone of a frozen estimator keeps its fit.
        refits = refits and not isinstance(estimator, FrozenEstimator)
        kinds = None if refits else getattr(estimator, "task_kinds_", None)
        if kinds is None and (given := getattr(estimator, "task_kinds", None)):
            kinds = kinds_by_task(given, names)
        if kinds is not None:
            all_binary = all(isinstance(kind, BinaryTask) for kind in kinds)
            return None if all_binary else list(kinds)
        estimator = _inner(estimator, refits)
    return None


def expected_table(
    estimator: object, X: object, names: Sequence[str], kinds: Sequence[TaskKind]
) -> np.ndarray:
    """Expected labels ``(n_samples, n_columns)`` of a fitted estimator's tasks.

    Columns are those of `kinds`. A class that the estimator has not seen has
    probability 0.
    """
    final, rows = final_estimator(estimator, X)
    if not hasattr(final, "predict_task"):
        raise TypeError(
            f"{type(final).__name__} has no predict_task, so the expected labels of "
            "its tasks are not known. Pass a ranker of skmtl, or a pipeline of one."
        )
    table = np.asarray(final.predict_task(rows), dtype=np.float64)
    found = TaskKinds(final.task_kinds_).column_names(np.array(names, dtype=object))
    wanted = TaskKinds(kinds).column_names(np.array(names, dtype=object))
    if found == wanted:
        return table
    zeros = np.zeros(len(table))
    by_name = dict(zip(found, table.T, strict=True))
    return np.column_stack([by_name.get(name, zeros) for name in wanted])


def binary_columns(kinds: Sequence[TaskKind]) -> list[int]:
    """Columns of expected labels that belong to binary tasks."""
    starts = np.cumsum([0, *(kind.n_columns for kind in kinds)])
    pairs = zip(starts, kinds, strict=False)
    return [int(at) for at, kind in pairs if isinstance(kind, BinaryTask)]


def _inner(estimator: Any, refits: bool) -> Any:
    """Return the estimator inside another one; a fitted one, if it counts, first."""
    steps = getattr(estimator, "steps", None)
    if steps:
        return steps[-1][1]
    fitted = () if refits else ("best_estimator_", "estimator_")
    for name in (*fitted, "estimator"):
        found = getattr(estimator, name, None)
        if found is not None and not isinstance(found, type):
            return found
    return None


class FusesTasks:
    """Base of estimators whose ``decision_function`` ranks by all tasks at once."""


def fuses_tasks(estimator: BaseEstimator) -> bool:
    """Whether an estimator ranks by a fused score of its tasks."""
    return any(isinstance(layer, FusesTasks) for layer in _layers(estimator))


class TaskPredictions(BaseEstimator):
    """The predictions of any multioutput classifier, as one table.

    scikit-learn caches predictions by estimator and name of the method; this is the
    estimator to pass to it. Its methods avoid scikit-learn's own processing of the
    predictions of classifiers, which mixes up the classes where a training fold holds
    only one.
    """

    def __init__(self, estimator: BaseEstimator, n_tasks: int) -> None:
        self.estimator = estimator
        self.n_tasks = n_tasks

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # Before 1.9, scikit-learn calls arbitrary methods of no other type unchanged.
        tags.estimator_type = "outlier_detector"
        return tags

    def task_probabilities(self, X: object) -> np.ndarray:
        """Probabilities ``(n_samples,)`` of one task, or ``(n_samples, n_tasks)``."""
        proba = self._method("predict_proba")(X)
        if isinstance(proba, list):
            classes = self.estimator.classes_
            columns = [
                positive_column(p, c) for p, c in zip(proba, classes, strict=True)
            ]
            return columns[0] if len(columns) == 1 else np.column_stack(columns)
        proba = np.asarray(proba)
        if self.n_tasks == 1:
            return positive_column(proba, self.estimator.classes_)
        return proba

    def predict_task(self, X: object) -> np.ndarray:
        """Expected labels of a ranker, ``(n_samples, n_columns)``."""
        return np.asarray(self._method("predict_task")(X))

    def predict(self, X: object) -> np.ndarray:
        """Predicted labels, ``(n_samples,)`` or ``(n_samples, n_tasks)``."""
        return np.asarray(self._method("predict")(X))

    def ranking_score(self, X: object) -> np.ndarray:
        return np.asarray(self._method("decision_function")(X))

    def _method(self, name: str) -> Callable[[object], object]:
        method = getattr(self.estimator, name, None)
        if method is None:
            raise AttributeError(
                f"{type(self.estimator).__name__} has no {name}; the scorer needs it."
            )
        return method


def positive_column(proba: object, classes: object) -> np.ndarray:
    """Column of class 1, or of the greater of two other classes.

    Zeros if training saw no label but 0.
    """
    proba, classes = np.asarray(proba), np.asarray(classes)
    if proba.ndim != 2 or proba.shape[1] != len(classes) or len(classes) > 2:
        raise ValueError(
            "predict_proba must return a column for each class 0 and 1 of a task; got "
            f"shape {proba.shape} for the classes {classes.tolist()}."
        )
    found = np.flatnonzero(classes == 1)
    if len(found):
        return proba[:, found[0]]
    if len(classes) == 2:
        return proba[:, 1]  # classes_ are sorted
    if classes[0] == 0:
        return np.zeros(len(proba))
    raise ValueError(
        f"The estimator was fitted on the single class {classes.tolist()[0]!r}. "
        "It cannot be known whether that is the positive one: fit on labels of 0 and "
        "1, or of two classes."
    )


def is_table(y: Any) -> bool:
    """Whether labels are given as a table of tasks rather than as one column."""
    return len(y.shape if hasattr(y, "shape") else np.shape(y)) == 2


def check_same_tasks(y: object, names: list[str]) -> None:
    """Raise if the columns of a table of labels are not the fitted tasks."""
    found = column_names(y) if is_table(y) else None
    if found is not None and sorted(found) != sorted(names):
        raise ValueError(
            f"The estimator was fitted on the tasks {names}, but the columns of y are "
            f"{found}."
        )
