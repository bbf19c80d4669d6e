"""Data of three tasks, and brute force as people write it."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import roc_auc_score

# What a label of a task (row) adds to the logit of each task.
SIGNAL = np.array([[1, 0.2, -0.3], [0.2, 1, 0.3], [-0.3, 0.3, 1]])


def brute_force(columns, label, points):
    """AUC of every point by the ranks of its scores; of some by scikit-learn too."""
    positive = np.asarray(label) == 1
    n_positive, n_negative = positive.sum(), (~positive).sum()
    out, some = [], range(0, len(points), 1 + len(points) // 10)
    for i, weights in enumerate(points):
        score = np.zeros(columns.shape[1])
        for weight, column in zip(weights, columns, strict=True):
            score = score + weight * column
        ranks = rankdata(score)[positive].sum() - n_positive * (n_positive + 1) / 2
        out.append(ranks / (n_positive * n_negative))
        if i in some:
            assert out[-1] == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    return np.array(out)


def three_tasks(n, seed, decimals=None):
    """Probabilities ``(n, 3)`` and labels ``(n, 3)``; each task has both classes."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, 3)) < [0.3, 0.1, 0.05]).astype(int)
    y[0], y[1] = 1, 0
    logit = rng.normal(size=(n, 3)) + y @ SIGNAL - [1, 2, 3]
    proba = 1 / (1 + np.exp(-logit))
    return (proba if decimals is None else proba.round(decimals)), y


class Given(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose table is the probabilities themselves."""

    def __init__(self, n_tasks=3):
        self.n_tasks = n_tasks

    @property
    def classes_(self):
        return [np.array([0, 1])] * self.n_tasks

    def fit(self, X, y):
        raise AssertionError("a fitted estimator must not be fitted again")

    def predict_proba(self, X):
        return [np.column_stack([1 - p, p]) for p in np.asarray(X).T]

    def predict(self, X):
        return (np.asarray(X) > 0.5).astype(int)

    def __sklearn_is_fitted__(self):
        return True
