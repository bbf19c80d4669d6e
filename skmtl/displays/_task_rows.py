"""Labels and probabilities of each task, for the rows where it was observed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skmtl._typing import FloatArray, LabelsLike, TableLike, WeightsLike
from skmtl.metrics._mixed import binary_part, kinds_of
from skmtl.metrics._predictions import (
    TaskPredictions,
    check_same_tasks,
    task_names_of,
)
from skmtl.metrics._validation import (
    check_labels,
    check_scores,
    check_weight,
    column_of,
)


class TaskRows(NamedTuple):
    """The rows of one task."""

    name: str
    label: npt.NDArray[np.bool_]
    score: FloatArray
    weight: FloatArray | None


def task_rows(
    y: LabelsLike,
    score: object,
    sample_weight: WeightsLike = None,
    *,
    probability: bool = False,
) -> Iterator[TaskRows]:
    """Yield the rows of each task; raise an error that names a task of one class."""
    labels = check_labels(y)
    scores = check_scores(score, labels, probability=probability)
    weights = check_weight(sample_weight, len(labels))
    for task, name in enumerate(labels.names):
        rows = labels.rows(task)
        label = labels.positive[task][rows]
        if not label.any() or label.all():
            raise ValueError(
                f"Task {name!r} has {int(label.sum())} positive and "
                f"{int((~label).sum())} negative labels; both are needed. Remove "
                "the task."
            )
        weight = None if weights is None else weights[rows]
        yield TaskRows(name, label, column_of(scores, task)[rows], weight)


def predicted(
    estimator: BaseEstimator, X: TableLike, y: LabelsLike
) -> tuple[Any, FloatArray]:
    """Return labels and the estimator's probabilities, in the order of its tasks.

    Tasks that are not binary are left out, with a warning.
    """
    kinds = kinds_of(estimator)
    if kinds is not None:
        return binary_part(estimator, X, y, kinds, "The display")
    names = task_names_of(estimator)
    if names is not None:
        check_same_tasks(y, names)
    labels = check_labels(y, names)
    return labels, TaskPredictions(estimator, labels.n_tasks).task_probabilities(X)
