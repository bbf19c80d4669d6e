"""Probabilities of all tasks of a fitted classifier, in one table."""

import numpy as np
from sklearn.base import BaseEstimator

from skmtl.metrics._predictions import TaskPredictions


def task_table(estimator: BaseEstimator, X: object, n_tasks: int) -> np.ndarray:
    """Probabilities ``(n_samples, n_tasks)`` of a fitted classifier."""
    if n_tasks == 1:
        proba = estimator.predict_proba(X)
        proba = np.asarray(proba[0] if isinstance(proba, list) else proba)
        if proba.ndim != 2 or not proba.shape[1]:
            raise ValueError(
                f"{type(estimator).__name__}.predict_proba gives shape {proba.shape}. "
                "It must return a column for each class."
            )
        # Class 1 comes last. If training saw a single class, there is only its column,
        # which is constant.
        return proba[:, -1:].astype(np.float64)
    table = np.asarray(TaskPredictions(estimator, n_tasks).task_probabilities(X))
    if table.ndim != 2 or table.shape[1] != n_tasks:
        raise ValueError(
            f"{type(estimator).__name__}.predict_proba gives shape {table.shape}, but "
            f"there are {n_tasks} tasks. It must return a probability for each task."
        )
    return table.astype(np.float64)
