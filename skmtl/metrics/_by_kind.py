"""Scores of one task by the name of the metric, for every kind of task."""

from collections.abc import Callable

import numpy as np
from sklearn.metrics import (
    cohen_kappa_score,
    d2_pinball_score,
    d2_tweedie_score,
    r2_score,
)

from skmtl.metrics._roc_auc import roc_auc

Score = Callable[..., float]


def _kappa(
    y: np.ndarray, labels: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> float:
    """Cohen's kappa with quadratic weights; 1 where all labels are one and the same."""
    kappa: float = cohen_kappa_score(
        y, labels, weights="quadratic", sample_weight=sample_weight
    )
    return kappa


def auc_one_vs_rest(
    y: np.ndarray, proba: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> float:
    """Mean over the classes of the ROC AUC of each against all others.

    Classes without a row, or with all rows, are left out.
    """
    areas = []
    for k in range(proba.shape[1]):
        own = (y == k).astype(np.int64)
        if 0 < own.sum() < len(own):
            areas.append(roc_auc(own, proba[:, k], sample_weight=sample_weight))
    return float(np.mean(areas)) if areas else np.nan


SCORES: dict[str, Score] = {
    "auc": roc_auc,
    "auc_ovr": auc_one_vs_rest,
    "d2_pinball": d2_pinball_score,
    "d2_tweedie": d2_tweedie_score,
    "kappa": _kappa,
    "r2": r2_score,
}


def score_of(
    metric: str,
    y: np.ndarray,
    judged: np.ndarray,
    sample_weight: np.ndarray | None = None,
    **params: float,
) -> float:
    """Score of the observed labels of one task; greater is better.

    Parameters
    ----------
    metric : str
        Name of the metric.
    y : ndarray of shape (n_samples,)
        Numbers that stand for labels.
    judged : ndarray of shape (n_samples,) or (n_samples, n_classes)
        What the metric judges.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.
    **params : float
        Parameters of the metric.

    Returns
    -------
    float
        NaN for predictions that are not finite.
    """
    if not np.isfinite(judged).all():
        return np.nan
    return float(SCORES[metric](y, judged, sample_weight=sample_weight, **params))
